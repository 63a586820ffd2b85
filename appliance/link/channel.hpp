// A session with the connection that carries it at the time, and their timer: what both ends of a
// link have in common. Thread: the shard's.
#pragma once

#include <memory>
#include <span>

#include "appliance/link/peer.hpp"
#include "appliance/link/session.hpp"
#include "core/run/loop.hpp"
#include "core/run/timers.hpp"
#include "net/certificate.hpp"
#include "net/connection.hpp"

namespace fedgate::link {

constexpr Bytes kLinkAlpn = "fedgate-link";
constexpr net::ConnectionLimits kLinkConnection{limits::kLinkFrameBytes + 4,
                                                limits::kLinkUnsentBytes};

class Channel;

// As SessionOwner; none may destroy the channel.
class ChannelOwner {
public:
    // False: it is offered again soon.
    [[nodiscard]] virtual bool on_frame(Channel&, const Frame&) = 0;
    virtual void on_up(Channel&, bool resumed) = 0;
    // There is no connection any more, for this reason.
    virtual void on_down(Channel&, Bytes why) = 0;
    virtual void on_returned(Channel&, const Frame&, bool maybe_taken) = 0;
    virtual void on_over(Channel&) = 0;
    virtual void on_room(Channel&) {}
    virtual void on_drain(Channel&) = 0;

protected:
    ~ChannelOwner() = default;
};

class Channel final : SessionOwner, net::ConnectionOwner, TimerOwner {
public:
    Channel(Loop& loop, ChannelOwner& owner, SessionSelf self)
        : loop_(loop), owner_(owner), session_(*this, std::move(self)), timer_(*this) {}
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // A connection to a peer that has proved itself: of whoever dialled, and of whoever answers to
    // this HELLO. One that there is gives way.
    void dialled(std::unique_ptr<net::Connection>);
    void answer(std::unique_ptr<net::Connection>, const Hello&, const Id& fresh);

    template <typename T>
    [[nodiscard]] bool send(const T& frame) {
        return session_.send(frame);
    }
    void drain() { session_.drain(); }
    void end(EndCode code, Bytes sentence) { session_.end(code, sentence); }
    void give_up() { session_.give_up(); }

    [[nodiscard]] const Session& session() const { return session_; }
    [[nodiscard]] const net::Connection* connection() const { return connection_.get(); }
    // Who is at the other end, judged on these terms from now on. There must be a connection.
    [[nodiscard]] Known identify_again(const net::PeerTerms& terms,
                                       std::span<const std::string> names) {
        connection_->judge_with(terms);
        return identify(*connection_, names);
    }
    // Nothing that was written is on its way out any more.
    [[nodiscard]] bool closed() const { return connection_ == nullptr && parting_ == nullptr; }
    [[nodiscard]] bool up() const { return session_.state() == Session::State::kUp; }
    // Takes what is new.
    [[nodiscard]] bool open() const {
        return up() && !session_.peer().draining && !session_.suspect(loop_.now());
    }
    // Has no connection, but the next one can go on with all that there is; or has one that may be
    // dead. It is waited for, so that nothing is overtaken or goes to and fro.
    [[nodiscard]] bool returning() const {
        return up() ? !session_.peer().draining && session_.suspect(loop_.now())
                    : session_.resumable();
    }

private:
    void on_output(Session&, Bytes) override;
    bool on_frame(Session&, const Frame&) override;
    void on_up(Session&, bool resumed) override;
    void on_down(Session&, Bytes why) override;
    void on_returned(Session&, const Frame&, bool maybe_taken) override;
    void on_over(Session&) override;
    void on_room(Session&) override;
    void on_drain(Session&) override;
    std::size_t on_data(net::Connection&, MutableBytes input) override;
    void on_closed(net::Connection&, Error reason) override;
    void on_timer(Timer&) override;
    void take(std::unique_ptr<net::Connection>);
    void arm();

    Loop& loop_;
    ChannelOwner& owner_;
    Session session_;
    std::unique_ptr<net::Connection> connection_;
    std::unique_ptr<net::Connection> parting_;  // flushes what was written last
    Instant offer_at_ = kNever;
    Timer timer_;
};

}  // namespace fedgate::link
