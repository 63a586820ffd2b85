// The initiating side of one XMPP stream (RFC 6120 2.1): finds the partner's server, connects, and
// drives the stream engine until the stream is over; goes on with the next target while nothing was
// proved yet (DNS-7), or where a target says that another host is the one (S2S-21). Used by
// OutStream (our stanzas) and Verification (dialback questions). Owner: one of those two. Thread:
// the shard's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "appliance/edge/context.hpp"
#include "appliance/edge/intake.hpp"
#include "appliance/link/link.hpp"
#include "net/dialer.hpp"

namespace fedgate::edge {

class Initiator;

class InitiatorOwner {
public:
    // kPair, kPairRefused, kVerifyAnswer, kAcknowledged.
    virtual void on_action(const xml::Action&) = 0;
    // XEP-0288: no stanza of theirs is to be taken for now; one has come in and gone on; the answer
    // to our ping `number`.
    [[nodiscard]] virtual bool answers_wait() { return false; }
    virtual void on_received(const xml::Action&) {}
    virtual void on_pong(std::uint64_t /*number*/) {}
    // TLS stands. True: that was all that was wanted of this server.
    [[nodiscard]] virtual bool on_secured(const PeerIdentity&) { return false; }
    // A connection stands and the stream engine is there.
    virtual void on_stream_started() {}
    // Bytes that write() had refused may be tried again.
    virtual void on_room() {}
    // Over: no target worked, or the stream ended. Not before `retry_at` is it worth to start
    // again. The Initiator may be destroyed or started again from here on, not from within this
    // call.
    virtual void on_over(link::Fault, bool permanent, Instant retry_at) = 0;

protected:
    ~InitiatorOwner() = default;
};

class Initiator final : public xml::StreamHost, net::DialerOwner, net::ConnectionOwner, TimerOwner {
public:
    Initiator(Context&, InitiatorOwner&, xml::Stream::Role, std::string our, std::string their);
    ~Initiator();
    Initiator(const Initiator&) = delete;
    Initiator& operator=(const Initiator&) = delete;

    void start();
    // Before start(): asks to go on with this session (XEP-0198), or for a new one.
    void resume(std::optional<xml::Session> session) { resume_ = std::move(session); }
    // From within on_over(): the session that a broken connection leaves behind.
    [[nodiscard]] std::optional<xml::Session> take_lost() { return std::exchange(lost_, {}); }
    // Null while no connection stands.
    [[nodiscard]] xml::Stream* stream() { return stream_.get(); }
    [[nodiscard]] const net::Connection* connection() const { return connection_.get(); }
    // That the last stream which stood was with.
    [[nodiscard]] const SocketAddress& last_reached() const { return last_reached_; }
    // The rules have changed.
    void recheck() { intake_.set_rates(their_); }
    // After calls of stream() that may have produced actions.
    void pump() { pump({}); }
    // Clean, and no other target is tried; nothing happens while no connection stands.
    void close();
    void fail(xml::StreamError);
    [[nodiscard]] bool closed_by_us() const { return done_; }
    // By them, without an error.
    [[nodiscard]] bool closed_in_order() const { return in_order_; }
    // Our closing tag by theirs.
    [[nodiscard]] bool close_answered() const { return close_answered_; }
    void abort();  // the peer does not read any more (S2S-66)
    // The targets' failures under earlier rules, between two attempts only.
    void forget_failures() { pool_ = {}; }
    // RFC 6120 13.7.2.3: does their certificate still do, on the terms of now?
    [[nodiscard]] bool proves_still();
    // N15: is what was agreed on in TLS enough, by the rules of now?
    [[nodiscard]] bool suffices() const;
    // The owner has said why this attempt fails.
    void told() { told_ = true; }
    void send_space();  // a white space keep-alive (RFC 6120 4.6.1)

private:
    void on_dialed(net::Dialer&, std::unique_ptr<net::Connection>, const net::Target&) override;
    void on_dial_failed(net::Dialer&, net::DialFault, Error last, Instant retry_at) override;
    void on_secured(net::Connection&) override;
    std::size_t on_data(net::Connection&, MutableBytes input) override;
    void on_writable(net::Connection&) override;
    void on_closed(net::Connection&, Error reason) override;
    bool write(Bytes) override;
    xml::Served serves(Bytes our) override { return context_.serves(our); }
    xml::StreamPolicy policy(Bytes our, Bytes their) override;
    void fill_random(MutableBytes memory) override { context_.loop.fill_random(memory); }
    void on_timer(Timer&) override;

    enum TimerKind : std::uint32_t { kDeadline, kHold };

    struct OtherHost {  // S2S-21: that a target has named
        config::HostPort place;
        net::Dialer dialer;
        bool dialed = false;
    };

    std::size_t pump(Bytes input);
    void act(const xml::Action&);
    [[nodiscard]] bool on_stanza(const xml::Action&);
    void hold_until(Instant);
    void on_stream_end(const xml::StreamEnd&);
    [[nodiscard]] bool is_sent_on(const xml::StreamEnd&);
    void dial_other_host();
    [[nodiscard]] net::ConnectionLimits connection_limits() const;
    void tell(EventId, FailureKind, std::string text);
    void try_next_or_end(Error why);
    void on_proved();
    void on_connection_over();
    void end(Instant retry_at);

    Context& context_;
    InitiatorOwner& owner_;
    const xml::Stream::Role role_;
    const std::string our_;
    const std::string their_;
    net::TargetPool pool_;
    SocketAddress last_reached_;             // that the last stream stood with
    std::optional<net::Dialer> dialer_;      // of this attempt
    std::unique_ptr<OtherHost> other_host_;  // of this attempt, in use or about to be
    std::unique_ptr<net::Connection> connection_;
    std::unique_ptr<xml::Stream> stream_;
    std::optional<xml::Session> resume_;
    std::optional<xml::Session> lost_;
    Timer deadline_;
    Timer hold_;
    Intake intake_;                                  // XEP-0288
    link::Fault fault_ = link::Fault::kUnreachable;  // of the last target that failed
    bool permanent_ = false;
    bool proved_ = false;  // a pair was accepted: what fails now is not the target's fault
    bool done_ = false;    // close() was called
    bool direct_tls_ = false;
    net::DaneQuestion dane_;    // until TLS begins
    bool demands_tls_ = false;  // it has TLSA records
    bool closing_ = false;
    bool sent_on_ = false;         // in this attempt
    std::uint64_t judged_by_ = 0;  // digest of the terms
    bool told_ = false;            // why this attempt fails, by a target that could be reached
    bool aborted_ = false;
    bool in_order_ = false;
    bool close_answered_ = false;
    bool held_ = false;  // not reading until hold_
};

}  // namespace fedgate::edge
