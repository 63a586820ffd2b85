// The store of a simulated process: what would be on its disk, in memory. Slow, failing and cut off
// as a test or the seed says. One thread, virtual time.
//
// A restart: crash(), take down what ran on the shards, restart(), attach() the new ones. Or, in
// peace, restart() while the shards are still there. It is destroyed before them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "appliance/store/desk.hpp"

namespace fedgate::store {

class Memory final : private Keeper {
public:
    using OwnerOf = std::function<std::uint32_t(const Row&)>;

    // What lies between a batch and its end: a write and its fsync. The seed of the simulation
    // picks where they differ.
    struct Disk {
        Duration delay_min = 1ms;
        Duration delay_max = 1ms;
        std::size_t rows_at_once = 256;  // handed over at start
        bool shared = false;             // by a pool: lose(), gain(); at start all slots are ours
    };

    Memory(std::uint32_t shards, OwnerOf owner_of) : Memory(shards, std::move(owner_of), Disk()) {}
    Memory(std::uint32_t shards, OwnerOf owner_of, const Disk&);
    ~Memory();

    [[nodiscard]] Desk& door(std::uint32_t shard);
    // From then on the shard's changes are kept; what it owns is handed to it, with turns in
    // between (where there is nothing, it hears of that at once).
    void attach(std::uint32_t shard, Shard&, User&);

    // A full disk, from now on or no more. What waits is tried again when it has room.
    void set_failing(bool);
    // Another node takes them; they come (back) with their rows.
    void lose(const Slots&);
    void gain(const Slots&);
    // The last Desk::leave() that is done.
    [[nodiscard]] std::uint64_t left() const { return left_; }
    // Doors that have let go of their share by themselves.
    [[nodiscard]] std::uint64_t lapses() const { return lapses_; }
    // kill -9: what is not on disk is gone, or has just made it there (`made_it` says so of each
    // batch under way), and nobody has been told. Nothing of this process comes back.
    void crash(const std::function<bool()>& made_it);
    // Other doors, for the next process: as after crash(), or after an end in peace.
    void restart();

    // What is on disk.
    [[nodiscard]] const std::map<std::string, Change>& rows() const { return rows_; }
    [[nodiscard]] const Change* find(Kind kind, Bytes xmpp, Bytes sip) const {
        const auto found = rows_.find(key_of(kind, xmpp, sip));
        return found != rows_.end() ? &found->second : nullptr;
    }
    // As if an earlier process had left it.
    void plant(const Row& row) { rows_[key_of(row.kind, row.xmpp, row.sip)] = Change(row, false); }

private:
    struct Seat;
    void take(std::uint32_t shard, Batch) override;
    void on_left(std::uint64_t time) override { left_ = time; }
    void on_lapsed() override { ++lapses_; }
    void write(const Batch&);

    OwnerOf owner_of_;
    Disk disk_;
    bool failing_ = false;
    Slots held_ = ~Slots();
    std::uint64_t left_ = 0;
    std::uint64_t lapses_ = 0;
    std::map<std::string, Change> rows_;
    std::vector<std::unique_ptr<Seat>> seats_;
};

}  // namespace fedgate::store
