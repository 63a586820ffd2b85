// A shard: what one core runs. It owns nothing of the others: shards meet in mailboxes only
// (inbox.hpp).
//
// Start: one ShardGroup, made before the threads. Then in each thread: run_on_cpus(), a UringLoop,
// a Shard, what the shard serves, Shard::run(). In a simulation: the same, all in one thread,
// without run().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <latch>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"
#include "core/run/inbox.hpp"
#include "core/run/log.hpp"
#include "core/run/loop.hpp"
#include "core/run/stats.hpp"

namespace fedgate {

class Shard;
using ShardFunction = std::move_only_function<void(Shard&)>;

// May the handler of a kind refuse a record for now? Where one shard's refusal can wait for another
// shard that waits for it, everything stands: so kinds that are always taken have mailboxes of
// their own, and a record that waits may need no more than room in those to go on.
enum class RecordUse : std::uint8_t { kAlwaysTaken, kMayWait };

class RecordHandler {
public:
    // A record from `from_shard` (it may be this one). The view is valid for the call only.
    // False (kMayWait only): it can't be taken now; it stays at the front of its mailbox and is
    // offered again (next turn or after 1 ms); what that shard has sent after it waits too, but for
    // kAlwaysTaken.
    [[nodiscard]] virtual bool on_record(std::uint32_t kind, std::uint32_t from_shard,
                                         Bytes record) = 0;

protected:
    ~RecordHandler() = default;
};

// What the shards of one process have in common: mailboxes, and what the control thread reads and
// posts. Must outlive the shards.
class ShardGroup {
public:
    explicit ShardGroup(std::uint32_t count, std::size_t mailbox_bytes = limits::kMailboxBytes);
    ~ShardGroup();
    ShardGroup(const ShardGroup&) = delete;
    ShardGroup& operator=(const ShardGroup&) = delete;

    [[nodiscard]] std::uint32_t count() const { return count_; }

    // Any thread; takes a mutex, so not for the message path. The function runs on the shard's
    // thread, soon. False: the queue is full (limits::kPostedFunctions). A shard that is not there
    // yet finds it when it comes; what is left when the group goes is destroyed without being run.
    // Moved from only if it was taken.
    [[nodiscard]] bool post(std::uint32_t shard, ShardFunction&&);
    // Any thread: every Shard::run() returns.
    void stop();

    [[nodiscard]] const Stats& stats(std::uint32_t shard) const;
    [[nodiscard]] std::uint64_t sum(Counter) const;
    [[nodiscard]] Log& log(std::uint32_t shard);  // control thread: drain(), set_level()

private:
    friend class Shard;
    struct Seat;
    [[nodiscard]] Mailbox& mailbox(std::uint32_t from, std::uint32_t to, RecordUse use) {
        const std::size_t pair = static_cast<std::size_t>(from) * count_ + to;
        return *mailboxes_[pair * 2 + static_cast<std::size_t>(use)];
    }

    std::uint32_t count_;
    std::vector<std::unique_ptr<Mailbox>> mailboxes_;  // [(from * count + to) * 2 + use]
    std::vector<std::unique_ptr<Seat>> seats_;
    std::atomic<bool> stopping_{false};
    std::latch all_here_;  // nobody wakes a loop that is not there yet
    std::latch all_done_;  // nobody takes down a loop that another may still wake
};

// Thread: the one that runs its loop; nothing here is for others.
class Shard final : private TurnHook, private TurnTask, private TimerOwner {
public:
    Shard(ShardGroup&, std::uint32_t index, Loop&);
    ~Shard();
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;

    [[nodiscard]] std::uint32_t index() const { return index_; }
    [[nodiscard]] std::uint32_t count() const { return group_.count(); }
    [[nodiscard]] Loop& loop() { return loop_; }
    [[nodiscard]] Stats& stats();
    [[nodiscard]] Log& log();
    [[nodiscard]] ShardGroup& group() { return group_; }

    // Copies the parts into one record for `to_shard` (also to itself: it comes back from
    // on_record(), never from within send()). Order is kept for each pair of shards and use. False:
    // its mailbox is full, nothing was taken: stop reading from the source and try again later. A
    // record is at most record_bytes_max() long: a bigger one is refused for ever.
    [[nodiscard]] bool send(std::uint32_t to_shard, std::uint32_t kind,
                            std::initializer_list<Bytes> parts);
    [[nodiscard]] std::size_t record_bytes_max() const { return record_bytes_max_; }
    // Who takes records of this kind (below limits::kRecordKinds). Set before the first turn, and
    // alike on all shards.
    void set_handler(std::uint32_t kind, RecordHandler&, RecordUse = RecordUse::kAlwaysTaken);

    // Turns until ShardGroup::stop(). Waits at its start and at its end until all shards of the
    // group are there: every shard of the group must be run, each by a thread of its own.
    void run();

private:
    void on_turn() override;
    void on_turn_end() override;
    void on_timer(Timer&) override {}  // it only ends the wait: on_turn() follows
    void run_posted();
    void take_records();

    ShardGroup& group_;
    std::uint32_t index_;
    Loop& loop_;
    std::size_t record_bytes_max_;
    std::array<RecordHandler*, limits::kRecordKinds> handlers_{};
    std::array<RecordUse, limits::kRecordKinds> uses_{};
    Timer again_;  // there is more to do than was done in this turn
};

// CPUs that the process may use, ascending: those of its first thread, which is never bound to
// less.
[[nodiscard]] std::vector<std::uint16_t> usable_cpus();
// How many cores core.threads makes: 0 is one for each of them.
[[nodiscard]] std::uint32_t core_count(std::uint32_t threads);
// Binds the calling thread to those of them that are `wanted`; where none is, to the n-th one
// (modulo their count).
Result<void> run_on_cpus(std::uint32_t n, std::span<const std::uint16_t> wanted = {});

}  // namespace fedgate
