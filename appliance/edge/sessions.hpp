// Sessions of partners that can be resumed (XEP-0198): which in-stream has each, and, when its
// connection broke, the count that it had reached. A resumed session gives its new stream nothing
// but that count: who may send what is proved on the new stream, and must cover what was proved on
// the old one. Every session has a home shard, by its id; the streams are anywhere, so all that is
// said goes by mailbox, also to the own shard. Owner: the Edge. Thread: the shard's.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "appliance/link/link.hpp"
#include "core/run/shard.hpp"

namespace fedgate::edge {

// How long a session without a stream is kept, and, after that, the count that goes with a refusal.
constexpr Duration kSessionKept = 120s;

class SessionsOwner {
public:
    struct Left {
        std::string pairs;
        std::uint32_t handled = 0;
    };
    // What resume() has led to. False: that stream can't use it (any more).
    [[nodiscard]] virtual bool on_session(std::uint64_t stream, bool granted,
                                          std::optional<std::uint32_t> handled) = 0;
    // Another stream goes on with the session of this one, which ends. Nothing: it has ended.
    [[nodiscard]] virtual std::optional<Left> take_session(std::uint64_t stream) = 0;
    // Whom the sessions of a partner's domain count for besides itself: the pattern that it is
    // below. Empty: it is listed by name.
    [[nodiscard]] virtual std::string pattern_of(Bytes their) = 0;

protected:
    ~SessionsOwner() = default;
};

class Sessions final : RecordHandler, TimerOwner {
public:
    Sessions(Shard&, SessionsOwner&);

    // `stream` is the in-stream's handle, packed. `pairs`: "<our domain> <their domain>\n" for each
    // pair that was proved, "* <their domain>\n" where any domain of ours goes with it.
    void begin(Bytes id, Bytes pairs, std::uint64_t stream);
    // The stream is over. `broken`: not closed, so the session can be resumed.
    void end(Bytes id, Bytes pairs, std::uint64_t stream, std::uint32_t handled, bool broken);
    void resume(Bytes id, Bytes pairs, std::uint64_t stream);
    // Now and then: forgets what is too old.
    void sweep();

    [[nodiscard]] std::size_t count() const { return sessions_.size(); }

private:
    static constexpr std::size_t kIdBytes = 32;
    enum class Say : std::uint32_t { kBegin, kEnd, kResume, kTake, kGone, kAnswer, kPassed };
    struct Record {  // then the pairs
        Say say = Say::kBegin;
        std::uint32_t handled = 0;
        std::uint64_t stream = 0;
        char id[kIdBytes] = {};
        bool broken = false;   // kEnd
        bool granted = false;  // kAnswer, and the next
        bool has_handled = false;
    };
    struct Seat {  // of an in-stream
        std::uint32_t shard = 0;
        std::uint64_t stream = 0;
        bool operator==(const Seat&) const = default;
    };
    struct Session {
        enum class State : std::uint8_t { kLive, kBroken, kOver };
        State state = State::kLive;
        Seat seat;  // kLive
        std::uint32_t handled = 0;
        Instant until = kNever;  // not kLive
        std::string pairs;
        std::string pattern;            // not kLive
        std::optional<Seat> wanted_by;  // kLive: who waits until its stream has ended
        std::string wanted_pairs;
    };
    // GEN-5: the end of a stream is told when what it had given to other shards is there, or
    // newer stanzas of the session would overtake it. A mark goes behind them and comes back.
    struct Held {
        Record record;
        std::string pairs;
        std::vector<std::uint32_t> unmarked;  // shards
        std::uint32_t awaited = 0;            // marks that are not back
    };
    struct Unsent {
        std::uint32_t to;
        Record record;
        std::string pairs;
    };

    [[nodiscard]] bool on_record(std::uint32_t kind, std::uint32_t from_shard,
                                 Bytes bytes) override;
    void on_timer(Timer&) override { send_waiting(); }
    void say_home(Bytes id, Record, Bytes pairs);
    void say(std::uint32_t to, const Record&, Bytes pairs);
    void send_waiting();
    void mark(std::uint64_t number, Held&);
    void on_passed(std::uint64_t number);
    [[nodiscard]] bool try_send(std::uint32_t to, const Record&, Bytes pairs);
    void answer(const Seat&, Bytes id, bool granted, std::optional<std::uint32_t> handled,
                Bytes pairs);

    // At home.
    void on_begin(Bytes id, const Seat&, Bytes pairs);
    void on_end(Bytes id, const Seat&, const Record&, Bytes pairs);
    void on_resume(Bytes id, const Seat&, Bytes pairs);
    void on_gone(Bytes id, const Seat&);
    void settle(Bytes id, Session&, const Seat&, Bytes pairs);
    void detach(Session&, Bytes pairs);
    void attach(Session&);
    void forget(std::unordered_map<std::string, Session>::iterator);
    void make_room_for(Bytes their, Bytes pattern);
    template <typename Concerns>
    void forget_oldest(std::size_t count, Concerns);

    Shard& shard_;
    SessionsOwner& owner_;
    std::unordered_map<std::string, Session> sessions_;
    // Of those without a stream, by partner and by pattern.
    std::unordered_map<std::string, std::size_t> detached_;
    std::map<std::uint64_t, Held> held_;  // as many at most as there are streams
    std::uint64_t next_held_ = 0;
    std::deque<Unsent> unsent_;
    Timer again_;
};

}  // namespace fedgate::edge
