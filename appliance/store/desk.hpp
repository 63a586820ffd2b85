// The door of one shard: gathers its changes and hands them on batch by batch, one at a time, so
// that all that comes while the disk is busy is one batch.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "appliance/store/change.hpp"
#include "appliance/store/store.hpp"
#include "core/run/shard.hpp"
#include "core/run/timers.hpp"

namespace fedgate::store {

// Who takes the batches. One of a desk is under way at a time; it comes back by on_written().
class Keeper {
public:
    virtual void take(std::uint32_t shard, Batch) = 0;
    // After Desk::leave(): nothing of those slots waits any more. `time`: the how manieth it was.
    virtual void on_left(std::uint64_t time) { static_cast<void>(time); }
    // The desk has let go of all that was lent to it.
    virtual void on_lapsed() {}

protected:
    ~Keeper() = default;
};

// Of a node's share of a pool: what it is sure of without being at the store again.
struct Lease {
    Instant late_at;  // Tenure::kLate from then on
    Instant over_at;  // a little later others may take the share
};

// Owner: the keeper. Thread: the shard's, but for what is said to be others'. Not while a shard is
// attached: move(), the destructor.
class Desk final : public Door, private TurnTask, private TimerOwner {
public:
    // `shared`: it takes nothing but of the slots that are lent to it.
    Desk(Keeper& keeper, std::uint32_t index, bool shared = false)
        : keeper_(keeper), index_(index), shared_(shared) {}
    Desk(const Desk&) = delete;
    Desk& operator=(const Desk&) = delete;

    // Both outlive the desk's use: until detach(). Changes before attach() are not taken.
    void attach(Shard&, User&);
    void detach();

    [[nodiscard]] std::optional<Sequence> put(const Row&) override;
    std::optional<Sequence> update(const Row&) override;
    std::optional<Sequence> erase(Kind, Bytes xmpp, Bytes sip) override;
    [[nodiscard]] bool has(std::size_t slot) const override { return !shared_ || open_[slot]; }
    void set_others_hold(bool) override;
    [[nodiscard]] bool failing() const override { return failing_; }

    // The keeper's, on the shard's thread. Not `ok`: the desk fails from now on, and keeps what
    // could not be written until set_failing(false).
    void on_written(Batch, bool ok);
    void set_failing(bool);
    void restore(std::span<const Change>);
    void restore_done();
    // Of a pool. Slots that come: lend(), restore() their rows, open(). That go: leave() in peace,
    // or lose(), which drops what waits.
    void lend(const Slots& slots) { lent_ |= slots; }
    void open(const Slots& slots) { open_ |= slots & lent_; }
    void leave(const Slots&, std::uint64_t time);
    void lose(const Slots&);
    // This node has been at the store. When that is over without another one, while other nodes
    // are there, the desk loses by itself all that was lent to it.
    void renew(const Lease&);

    // Any thread: changes that are not on disk yet.
    [[nodiscard]] std::size_t waiting() const { return count_.load(std::memory_order_relaxed); }
    // The keeper's, when the shard's thread has ended: what nobody has taken.
    [[nodiscard]] Batch take_rest();

private:
    [[nodiscard]] std::optional<Sequence> add(Change, std::size_t count_max);
    void hand_over();
    void note_count();
    void close(const Slots&);
    void end_leaving();
    void look_at_lease();
    void set_tenure(Tenure);
    [[nodiscard]] bool is_in(const Slots& slots, Bytes xmpp, Bytes sip) const {
        return !shared_ || slots[slot_of(xmpp, sip)];
    }
    [[nodiscard]] std::optional<Sequence> refuse();
    void on_turn_end() override;
    void on_timer(Timer&) override { look_at_lease(); }

    Keeper& keeper_;
    const std::uint32_t index_;
    const bool shared_;
    Slots lent_;                       // their rows may be changed
    Slots open_;                       // and new ones made: all that there were are here
    Slots parting_;                    // what waits of them is still written
    std::optional<Sequence> leaving_;  // until that is written
    std::uint64_t leaving_time_ = 0;
    Tenure tenure_ = Tenure::kLost;
    Lease lease_{};
    bool others_hold_ = false;
    Timer lease_timer_{*this};
    Shard* shard_ = nullptr;
    User* user_ = nullptr;
    Batch waiting_;
    std::size_t waiting_bytes_ = 0;
    std::size_t under_way_ = 0;  // changes
    bool busy_ = false;          // a batch is under way
    bool failing_ = false;
    Sequence told_failed_ = 0;
    Sequence written_ = 0;
    std::atomic<std::size_t> count_{0};
};

}  // namespace fedgate::store
