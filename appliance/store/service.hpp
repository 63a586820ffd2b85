// The store of the daemon: a database, written and read by a thread of its own, so that a slow disk
// or server stops nobody. All that the shards have handed over while one commit was under way is
// the next.
//
// Order of life: make it before the shards; each shard's thread attaches a user to its door();
// start() when the listeners are open; the shards' threads end; finish(); destroy it after that.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "appliance/store/database.hpp"
#include "appliance/store/desk.hpp"
#include "core/run/log.hpp"

namespace fedgate::store {

// For `fedctl status`.
struct Status {
    std::string name;  // path or URL
    bool restoring = false;
    std::uint64_t rows = 0;
    std::uint64_t waiting = 0;            // changes that are not on disk
    std::optional<WallTime> last_commit;  // none since the start
    bool failing = false;
    std::string shares;  // of a pool: who has what
    std::vector<std::string>
        remarks;  // a sentence each: what, since when, what follows, what to do
};

class Service final : private Keeper {
public:
    // Which shard owns the pair of a row. Called on the store's thread.
    using OwnerOf = std::function<std::uint32_t(const Row&)>;

    Service(ShardGroup&, std::unique_ptr<Database>, OwnerOf);
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    [[nodiscard]] Desk& door(std::uint32_t shard) { return *desks_[shard]; }
    void start();
    // Of a pool: this node takes nothing new any more, and the others take over what it has. Any
    // thread; once.
    void resign();
    // Waits for the store's thread, and writes what nobody has taken yet.
    void finish();

    // Control thread.
    [[nodiscard]] Status status();
    [[nodiscard]] Log& log() { return log_; }

private:
    using Clock = std::chrono::steady_clock;

    void take(std::uint32_t shard, Batch) override;
    void on_left(std::uint64_t time) override;
    void on_lapsed() override;
    void run();
    [[nodiscard]] bool wait();
    void try_again();
    [[nodiscard]] Fault open();
    [[nodiscard]] Fault mend();
    [[nodiscard]] Fault restore();
    [[nodiscard]] Fault scan(const Slots&, Damage&, bool& going_on);
    [[nodiscard]] Fault share();
    void take_again_if_lapsed(Shares&);
    [[nodiscard]] Lease lease_from(Clock::time_point);
    void begin_resigning();
    [[nodiscard]] Fault restore_some();
    [[nodiscard]] Fault finish_leaving();
    [[nodiscard]] bool hand_over(std::uint32_t shard, std::vector<Change>);
    void tell_all(const std::function<void(Desk&)>&);
    void end_restoring();
    void write();
    [[nodiscard]] Fault write(const std::vector<const Batch*>&);
    void give_back(std::vector<std::optional<Batch>>, bool ok);
    void begin_fault(Fault);
    void end_fault();
    [[nodiscard]] bool post(std::uint32_t shard, ShardFunction);

    ShardGroup& group_;
    const OwnerOf owner_of_;
    const std::unique_ptr<Database> database_;  // the store's thread's
    std::vector<std::unique_ptr<Desk>> desks_;  // the shards'
    Log log_{-1};                               // the store's thread's
    bool restored_ = false;                     // the same; all rows were handed over
    std::uint64_t handed_over_ = 0;             // the same
    Clock::time_point turn_at_{};               // the same, as what follows: of a pool
    Clock::time_point met_at_{};                // the last meet() began
    Clock::time_point may_take_at_{};
    Slots held_;
    Slots to_restore_;
    Slots leaving_;
    bool resigned_ = false;
    bool retired_ = false;       // and nothing is left
    Clock::time_point began_{};  // to restore
    std::uint64_t restoring_ = 0;

    std::mutex mutex_;  // of all that follows
    std::condition_variable changed_;
    std::vector<std::optional<Batch>> taken_;  // by shard
    std::vector<std::uint32_t> under_way_;     // batches of rows that a shard has not taken yet
    std::uint64_t leaving_time_ = 0;           // the how manieth
    std::size_t left_ = 0;                     // shards that have done so then
    bool lapsed_ = false;                      // a shard has let go of its share
    bool stopping_ = false;
    bool resigning_ = false;
    bool told_restored_ = false;  // the shards go on, with or without rows
    Fault fault_ = Fault::kNone;
    std::string why_;
    WallTime since_{};
    Clock::time_point retry_at_{};
    std::uint64_t rows_ = 0;
    std::string shares_;
    std::optional<WallTime> last_commit_;
    std::string damage_;  // what was found, a sentence
    std::vector<std::string> set_aside_;

    std::thread thread_;
};

}  // namespace fedgate::store
