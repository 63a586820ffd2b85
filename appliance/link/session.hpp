// One link between an edge and a gateway, as one of them sees it: numbered frames both ways that
// outlive the connection that carries them. Pure: bytes and the present time in; bytes, frames and
// the next deadline out. README.md tells the protocol.
//
// What has been given to send() is kept until the peer has taken it. When the connection breaks and
// another one to the same process comes in time, the session goes on behind what each has taken:
// nothing is lost or doubled. When it can't, each kept frame goes back to the owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "appliance/link/frame.hpp"
#include "core/base/limits.hpp"
#include "core/base/time.hpp"

namespace fedgate::link {

// The peer's HELLO, once ours was sent.
constexpr Duration kHelloWithin = std::chrono::seconds(2);
// Silence of the peer: asked whether it is there, then taken for dead.
constexpr Duration kPingAfter = std::chrono::seconds(1);
constexpr Duration kDeadAfter = std::chrono::seconds(3);
// While something is not acknowledged, which takes 50 ms: asked sooner; and then it is suspect, and
// is given nothing new, which would only be in doubt.
constexpr Duration kPingSoonAfter = std::chrono::milliseconds(500);
constexpr Duration kSuspectAfter = std::chrono::seconds(1);
// From the break on: then another connection can't go on with the session. Whoever else there is
// goes on within a second of the death of a process.
constexpr Duration kResumeWithin = std::chrono::milliseconds(600);
// What was taken is acknowledged within this time.
constexpr Duration kAckWithin = std::chrono::milliseconds(50);
// Who is owed the fate of a stanza gets it in time, whatever becomes of the link.
static_assert(kDeadAfter + kResumeWithin + kHelloWithin < kFateWithin);

class Session;

// Each may call send(); none may destroy the session, or call anything else of it.
class SessionOwner {
public:
    // For the connection, which takes it all, or else is to be given up: broken().
    virtual void on_output(Session&, Bytes) = 0;
    // A numbered one. False, for those of the stanzas' lane only: no room now; offer() brings it
    // again, and those behind it wait.
    [[nodiscard]] virtual bool on_frame(Session&, const Frame&) = 0;
    // Both have said who they are: send() works. `resumed`: nothing has been lost.
    virtual void on_up(Session&, bool resumed) = 0;
    // The connection is of no use any more: to be closed, once what was written has gone. `why`: a
    // sentence without a full stop.
    virtual void on_down(Session&, Bytes why) = 0;
    // Given to send() and never acknowledged, in order in its lane. The session is over by then.
    // `maybe_taken`: the peer may have it all the same.
    virtual void on_returned(Session&, const Frame&, bool maybe_taken) = 0;
    // Behind those: nothing more is to come of the session that was.
    virtual void on_over(Session&) {}
    // After send() has said no: there is room again.
    virtual void on_room(Session&) {}
    // The peer wants nothing new.
    virtual void on_drain(Session&) {}

protected:
    ~SessionOwner() = default;
};

struct SessionSelf {
    Role role = Role::kEdge;
    std::string node;
    Id instance{};           // of this process
    std::uint16_t part = 0;  // which of its links with the same peer
    std::uint32_t window = limits::kLinkWindowBytes;
};

class Session {
public:
    enum class State : std::uint8_t {
        kDown,      // no connection
        kGreeting,  // one, and our HELLO is on its way
        kUp,
    };
    struct Peer {
        std::uint16_t minor = 0;
        std::uint16_t part = 0;
        Id instance{};
        std::string node;
        bool draining = false;
    };

    Session(SessionOwner& owner, SessionSelf self) : owner_(owner), self_(std::move(self)) {}
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // Why a HELLO can't be answered to by this role; nothing: it can.
    [[nodiscard]] static std::optional<End> fault_of(const Hello&, Role own);

    // Whoever has dialled: a connection stands.
    void open(Instant now);
    // Whoever answers: `theirs`, without a fault, has come on a new connection, which takes the
    // place of one that there may be. It is for this session if `theirs` names it; else a new one
    // begins here, called `fresh`.
    void accept(const Hello& theirs, const Id& fresh, Instant now);
    // From the connection. Returns how many bytes at the front are done with.
    [[nodiscard]] std::size_t receive(Bytes input, Instant now);
    // The owner may have room for what it has refused.
    void offer(Instant now);
    // The connection is gone.
    void broken(Instant now);
    // Nobody is there any more who could go on with the session: it is over.
    void give_up();
    // The session is over, for this reason: the last frame, then on_down().
    void end(EndCode, Bytes sentence);
    // Tells the peer, now and whenever a connection comes.
    void drain();
    // The peer has heard that, and what it had sent before is here and taken; or it is not there.
    [[nodiscard]] bool quiet() const;
    // To be called by deadline(), which any call may change.
    void on_time(Instant now);
    [[nodiscard]] Instant deadline() const;

    // False: nothing was taken, for want of room or of a connection. What does not fit into a frame
    // (fits()) is never to be given.
    [[nodiscard]] bool send(const Outcome&);
    [[nodiscard]] bool send(const PartnerNews&);
    [[nodiscard]] bool send(const FromPartner&);
    [[nodiscard]] bool send(const ToPartner&);
    [[nodiscard]] bool send(const Answer&);
    [[nodiscard]] bool send(const GatewayNews&);
    [[nodiscard]] bool send(const Request&);
    [[nodiscard]] bool send(const NodeNews&);
    [[nodiscard]] bool send(const CommitPiece&);
    [[nodiscard]] bool send(const DialbackSecret&);
    [[nodiscard]] bool send(const StoreNews&);

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] const Peer& peer() const { return peer_; }
    [[nodiscard]] const Id& id() const { return session_; }
    // It owes an answer, and perhaps gives none any more.
    [[nodiscard]] bool suspect(Instant now) const {
        return state_ == State::kUp && pinged_ && now >= heard_at_ + kSuspectAfter;
    }
    // A connection may still go on with what there is.
    [[nodiscard]] bool resumable() const { return session_ != Id{}; }
    // Nothing is unacknowledged, and nothing waits for the owner: end() loses nothing.
    [[nodiscard]] bool settled() const;
    [[nodiscard]] std::size_t unacknowledged_bytes(Lane lane) const {
        return out_[index_of(lane)].unacknowledged();
    }
    // In this session, from its beginning.
    [[nodiscard]] std::uint64_t sent(Lane lane) const { return out_[index_of(lane)].sent; }
    [[nodiscard]] std::uint64_t acknowledged(Lane lane) const {
        return out_[index_of(lane)].acknowledged;
    }
    [[nodiscard]] std::size_t memory() const;

private:
    // Frames in one piece of memory, as they go out; those before `front` are acknowledged.
    struct Out {
        std::string bytes;
        std::size_t front = 0;
        std::uint64_t acknowledged = 0;
        std::uint64_t sent = 0;

        [[nodiscard]] std::size_t unacknowledged() const { return bytes.size() - front; }
        void drop_until(std::uint64_t count);
    };

    template <typename T>
    [[nodiscard]] bool put(Lane, const T&);
    template <typename T>
    void tell(const T&);
    void take(const FrameRead&, Bytes raw, Instant now);
    void take_numbered(const FrameRead&, Bytes raw, Instant now);
    void on_hello(const Hello&, Instant now);
    void go_up(bool resumed, Instant now);
    [[nodiscard]] Instant ping_at() const;
    [[nodiscard]] bool belongs_here(const Frame&) const;
    [[nodiscard]] bool can_have(const Counts& taken) const;
    void acknowledge(const Counts& taken);
    void count_taken(Lane, std::size_t bytes, Instant now);
    void send_ack();
    void tell_drain();
    void leave_connection();
    void go_down(bool maybe_taken, Bytes why);
    void give_back(bool maybe_taken);

    SessionOwner& owner_;
    const SessionSelf self_;
    State state_ = State::kDown;
    Peer peer_;
    Id session_{};
    std::size_t window_ = 0;  // the smaller one
    bool draining_ = false;
    bool drain_heard_ = false;  // by this connection's peer
    bool refused_ = false;      // by send(), and on_room() has not come

    Out out_[kLanes];
    Counts taken_{};
    std::size_t untold_frames_ = 0;  // taken, and not yet acknowledged
    std::size_t untold_bytes_ = 0;
    std::string waiting_;  // stanzas that the owner has refused, and what came behind them
    std::size_t waiting_front_ = 0;

    Instant heard_at_{};
    bool pinged_ = false;  // since then
    Instant ack_at_ = kNever;
    Instant hello_until_ = kNever;
    Instant resume_until_ = kNever;
};

}  // namespace fedgate::link
