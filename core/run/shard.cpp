#include "core/run/shard.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <sched.h>
#include <unistd.h>
#include <utility>

#include "core/base/check.hpp"

namespace fedgate {

// One shard's place in the group: it is there before the shard is, and after.
struct ShardGroup::Seat {
    explicit Seat(int index) : log(index) {}

    Stats stats;
    Log log;
    std::mutex mutex;  // of the two below; the message path never takes it
    std::deque<ShardFunction> posted;
    Loop* loop = nullptr;
    // Read by the shard in every turn without the mutex: is there something in `posted`?
    std::atomic<bool> has_posted{false};
    // For the other shards, who run only while this one does (the two latches): no lock.
    Loop* peer_loop = nullptr;
};

ShardGroup::ShardGroup(std::uint32_t count, std::size_t mailbox_bytes)
    : count_(count), all_here_(count), all_done_(count) {
    FEDGATE_CHECK(count > 0);
    for (std::uint32_t i = 0; i < count; ++i)
        seats_.push_back(std::make_unique<Seat>(static_cast<int>(i)));
    for (std::uint32_t i = 0; i < count * count * 2; ++i) {
        mailboxes_.push_back(std::make_unique<Mailbox>(mailbox_bytes));
    }
}

ShardGroup::~ShardGroup() = default;

bool ShardGroup::post(std::uint32_t shard, ShardFunction&& function) {
    FEDGATE_CHECK(shard < count_);
    Seat& seat = *seats_[shard];
    const std::lock_guard lock(seat.mutex);
    if (seat.posted.size() >= limits::kPostedFunctions) return false;
    seat.posted.push_back(std::move(function));
    seat.has_posted.store(true, std::memory_order_release);
    if (seat.loop != nullptr) seat.loop->wake();
    return true;
}

void ShardGroup::stop() {
    stopping_.store(true, std::memory_order_release);
    for (const auto& seat : seats_) {
        const std::lock_guard lock(seat->mutex);
        if (seat->loop != nullptr) seat->loop->wake();
    }
}

const Stats& ShardGroup::stats(std::uint32_t shard) const { return seats_[shard]->stats; }

std::uint64_t ShardGroup::sum(Counter counter) const {
    std::uint64_t sum = 0;
    for (const auto& seat : seats_) sum += seat->stats.value(counter);
    return sum;
}

Log& ShardGroup::log(std::uint32_t shard) { return seats_[shard]->log; }

Shard::Shard(ShardGroup& group, std::uint32_t index, Loop& loop)
    : group_(group),
      index_(index),
      loop_(loop),
      record_bytes_max_(group.mailbox(index, index, RecordUse::kMayWait).record_bytes_max()),
      again_(*this) {
    FEDGATE_CHECK(index < group.count());
    ShardGroup::Seat& seat = *group_.seats_[index_];
    {
        const std::lock_guard lock(seat.mutex);
        FEDGATE_CHECK(seat.loop == nullptr);
        seat.loop = &loop_;
    }
    seat.peer_loop = &loop_;
    seat.log.set_clock(&loop_);
    loop_.set_turn_hook(this);
    // What came before this shard did is waiting already, and nobody will wake it for that.
    loop_.timers().arm(again_, loop_.now());
}

Shard::~Shard() {
    ShardGroup::Seat& seat = *group_.seats_[index_];
    loop_.cancel_turn_task(*this);
    loop_.set_turn_hook(nullptr);
    seat.log.set_clock(nullptr);
    seat.peer_loop = nullptr;
    const std::lock_guard lock(seat.mutex);
    seat.loop = nullptr;
}

Stats& Shard::stats() { return group_.seats_[index_]->stats; }
Log& Shard::log() { return group_.seats_[index_]->log; }

bool Shard::send(std::uint32_t to_shard, std::uint32_t kind, std::initializer_list<Bytes> parts) {
    FEDGATE_CHECK(to_shard < count());
    FEDGATE_CHECK(kind < limits::kRecordKinds);
    // Also when it is full: the other shard must hear of what is in there.
    loop_.at_turn_end(*this);
    if (group_.mailbox(index_, to_shard, uses_[kind]).push(kind, parts)) return true;
    stats().add(Counter::kMailboxRefused);
    return false;
}

void Shard::set_handler(std::uint32_t kind, RecordHandler& handler, RecordUse use) {
    FEDGATE_CHECK(kind < limits::kRecordKinds);
    handlers_[kind] = &handler;
    uses_[kind] = use;
}

void Shard::run() {
    group_.all_here_.arrive_and_wait();
    while (!group_.stopping_.load(std::memory_order_acquire)) loop_.run_turn(1h);
    loop_.run_turn(0s);  // hands the last turn's sends to the kernel
    group_.all_done_.arrive_and_wait();
}

void Shard::on_turn() {
    stats().add(Counter::kLoopTurns);
    run_posted();
    take_records();
}

void Shard::run_posted() {
    ShardGroup::Seat& seat = *group_.seats_[index_];
    if (!seat.has_posted.load(std::memory_order_acquire)) return;
    std::deque<ShardFunction> functions;
    {
        const std::lock_guard lock(seat.mutex);
        functions.swap(seat.posted);
        seat.has_posted.store(false, std::memory_order_relaxed);
    }
    for (ShardFunction& function : functions) function(*this);
}

void Shard::take_records() {
    bool more = false;
    bool refused = false;
    for (const RecordUse use : {RecordUse::kAlwaysTaken, RecordUse::kMayWait}) {
        for (std::uint32_t from = 0; from < count(); ++from) {
            const auto handle = [this, from, use, &refused](std::uint32_t kind, Bytes record) {
                FEDGATE_CHECK(handlers_[kind] != nullptr);
                if (handlers_[kind]->on_record(kind, from, record)) return true;
                FEDGATE_CHECK(use == RecordUse::kMayWait);
                refused = true;
                return false;
            };
            Mailbox& mailbox = group_.mailbox(from, index_, use);
            const std::size_t taken = mailbox.pop(limits::kMailboxRecordsPerTurn, handle);
            more = taken == limits::kMailboxRecordsPerTurn || more;
        }
    }
    if (more) {
        loop_.timers().arm(again_, loop_.now());
    } else if (refused) {
        loop_.timers().arm(again_, loop_.now() + 1ms);
    }
}

// Once a batch, not once a record: whoever was sent something in this turn is woken.
void Shard::on_turn_end() {
    for (std::uint32_t to = 0; to < count(); ++to) {
        const bool taken = group_.mailbox(index_, to, RecordUse::kAlwaysTaken).take_wake_needed();
        const bool waiting = group_.mailbox(index_, to, RecordUse::kMayWait).take_wake_needed();
        if (!taken && !waiting) continue;
        if (to == index_) {
            loop_.timers().arm(again_, loop_.now());  // cheaper than to wake oneself
        } else if (Loop* loop = group_.seats_[to]->peer_loop; loop != nullptr) {
            loop->wake();
        }
    }
}

std::vector<std::uint16_t> usable_cpus() {
    cpu_set_t usable;
    std::vector<std::uint16_t> cpus;
    if (sched_getaffinity(getpid(), sizeof usable, &usable) != 0) return cpus;
    for (std::uint16_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &usable)) cpus.push_back(cpu);
    }
    return cpus;
}

std::uint32_t core_count(std::uint32_t threads) {
    if (threads != 0) return threads;
    return std::max<std::uint32_t>(static_cast<std::uint32_t>(usable_cpus().size()), 1);
}

Result<void> run_on_cpus(std::uint32_t n, std::span<const std::uint16_t> wanted) {
    const std::vector<std::uint16_t> usable = usable_cpus();
    if (usable.empty()) return failure(Errc::kSystem, "sched_getaffinity", errno);
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (const std::uint16_t cpu : usable) {
        if (std::ranges::find(wanted, cpu) != wanted.end()) CPU_SET(cpu, &cpus);
    }
    if (CPU_COUNT(&cpus) == 0) CPU_SET(usable[n % usable.size()], &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
        return failure(Errc::kSystem, "sched_setaffinity", errno);
    return {};
}

}  // namespace fedgate
