#include "appliance/store/memory.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/check.hpp"

namespace fedgate::store {

// One shard's: its door, the batch that is being written, what it is still to be given.
struct Memory::Seat final : TimerOwner {
    Seat(Memory& memory, std::uint32_t index)
        : store(memory), desk(memory, index, memory.disk_.shared) {}

    void on_timer(Timer& timer) override {
        if (&timer == &restoring) return restore_some();
        Batch done = std::move(*batch);
        batch.reset();
        const bool ok = !store.failing_;
        if (ok) store.write(done);
        desk.on_written(std::move(done), ok);
    }
    void restore_some() {
        const std::size_t count = std::min(store.disk_.rows_at_once, to_restore.size());
        std::vector<Change> some(to_restore.end() - static_cast<std::ptrdiff_t>(count),
                                 to_restore.end());
        to_restore.resize(to_restore.size() - count);
        if (!some.empty()) desk.restore(some);
        if (to_restore.empty()) return desk.restore_done();
        shard->loop().timers().arm(restoring, shard->loop().now() + 1ms);
    }

    Memory& store;
    Desk desk;
    Shard* shard = nullptr;
    std::optional<Batch> batch;
    Timer written{*this};
    std::vector<Change> to_restore;
    Timer restoring{*this};
};

Memory::Memory(std::uint32_t shards, OwnerOf owner_of, const Disk& disk)
    : owner_of_(std::move(owner_of)), disk_(disk) {
    for (std::uint32_t i = 0; i < shards; ++i) seats_.push_back(std::make_unique<Seat>(*this, i));
}

Memory::~Memory() {
    for (auto& seat : seats_) seat->desk.detach();
}

Desk& Memory::door(std::uint32_t shard) { return seats_.at(shard)->desk; }

void Memory::attach(std::uint32_t shard, Shard& at, User& user) {
    Seat& seat = *seats_.at(shard);
    seat.shard = &at;
    seat.desk.attach(at, user);
    seat.desk.lend(held_);
    seat.desk.open(held_);
    for (const auto& [key, change] : rows_) {
        if (owner_of_(change.row()) == shard) seat.to_restore.push_back(change);
    }
    if (failing_) seat.desk.set_failing(true);
    if (seat.to_restore.empty()) return seat.desk.restore_done();
    at.loop().timers().arm(seat.restoring, at.loop().now());
}

void Memory::set_failing(bool failing) {
    failing_ = failing;
    if (failing) return;  // whoever writes notices
    for (auto& seat : seats_) seat->desk.set_failing(false);
}

void Memory::lose(const Slots& slots) {
    held_ &= ~slots;
    for (auto& seat : seats_) seat->desk.lose(slots);
}

void Memory::gain(const Slots& slots) {
    held_ |= slots;
    for (std::uint32_t i = 0; i < seats_.size(); ++i) {
        Desk& desk = seats_[i]->desk;
        std::vector<Change> rows;
        for (const auto& [key, change] : rows_) {
            const Row row = change.row();
            if (owner_of_(row) == i && slots[slot_of(row.xmpp, row.sip)]) rows.push_back(change);
        }
        desk.lend(slots);
        desk.restore(rows);
        desk.open(slots);
        desk.restore_done();
    }
}

void Memory::crash(const std::function<bool()>& made_it) {
    for (auto& seat : seats_) {
        if (seat->batch && !failing_ && made_it()) write(*seat->batch);
        seat->batch.reset();
        seat->written.cancel();
        seat->restoring.cancel();
        seat->desk.detach();
        static_cast<void>(seat->desk.take_rest());
    }
}

void Memory::restart() {
    const auto count = static_cast<std::uint32_t>(seats_.size());
    for (auto& seat : seats_) {  // in peace: what waits is written at the end
        if (seat->batch && !failing_) write(*seat->batch);
        const Batch rest = seat->desk.take_rest();
        if (!failing_) write(rest);
        seat->desk.detach();
    }
    seats_.clear();
    for (std::uint32_t i = 0; i < count; ++i) seats_.push_back(std::make_unique<Seat>(*this, i));
}

void Memory::take(std::uint32_t shard, Batch batch) {
    Seat& seat = *seats_[shard];
    FEDGATE_CHECK(!seat.batch);
    seat.batch = std::move(batch);
    Loop& loop = seat.shard->loop();
    Duration delay = disk_.delay_min;
    if (disk_.delay_max > disk_.delay_min) {
        std::uint32_t random = 0;
        loop.fill_random(MutableBytes(reinterpret_cast<char*>(&random), sizeof random));
        delay += (disk_.delay_max - disk_.delay_min) / 1'000 * (random % 1'001);
    }
    loop.timers().arm(seat.written, loop.now() + delay);
}

void Memory::write(const Batch& batch) {
    for (const auto& [key, change] : batch.changes) {
        const Row row = change.row();
        if (!held_[slot_of(row.xmpp, row.sip)]) continue;
        if (change.erased) {
            rows_.erase(key);
        } else {
            rows_[key] = change;
        }
    }
}

}  // namespace fedgate::store
