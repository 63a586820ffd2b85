#include "appliance/store/service.hpp"

#include <algorithm>
#include <filesystem>
#include <pthread.h>
#include <utility>

namespace fedgate::store {
namespace {

constexpr auto kRetry = std::chrono::seconds(1);
constexpr auto kRetryMending = std::chrono::seconds(30);  // reads all rows each time
constexpr std::size_t kRowsAtOnce = 256;                  // for a shard, at start: about 1 ms
constexpr std::size_t kSlotsAtOnce = 8;                   // of a pool
constexpr std::uint32_t kBatchesAhead = 2;                // one being taken, one waiting

WallTime wall_now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::string count(std::uint64_t number, const char* what) {
    return std::to_string(number) + ' ' + what + (number == 1 ? "" : "s");
}

std::string describe(const Damage& damage) {
    std::string text = count(damage.rows, "subscription") + " could be saved, ";
    return text + (damage.lost() > 0 ? count(damage.lost(), "subscription") +
                                           (damage.lost() == 1 ? " is lost" : " are lost")
                   : damage.rows > 0 ? "none is lost"
                                     : "how many are lost is not known");
}

}  // namespace

Service::Service(ShardGroup& group, std::unique_ptr<Database> database, OwnerOf owner_of)
    : group_(group),
      owner_of_(std::move(owner_of)),
      database_(std::move(database)),
      taken_(group.count()),
      under_way_(group.count()) {
    for (std::uint32_t i = 0; i < group.count(); ++i) {
        desks_.emplace_back(new Desk(*this, i, database_->is_shared()));
    }
}

Service::~Service() { finish(); }

void Service::start() {
    thread_ = std::thread([this] { run(); });
}

void Service::take(std::uint32_t shard, Batch batch) {
    const std::lock_guard lock(mutex_);
    taken_[shard] = std::move(batch);
    changed_.notify_one();
}

void Service::on_left(std::uint64_t time) {
    const std::lock_guard lock(mutex_);
    if (time == leaving_time_) ++left_;
    changed_.notify_one();
}

void Service::on_lapsed() {
    const std::lock_guard lock(mutex_);
    lapsed_ = true;
}

void Service::run() {
    pthread_setname_np(pthread_self(), "store");
    try_again();
    while (wait()) {
        if (fault_ != Fault::kNone) {
            if (Clock::now() >= retry_at_) try_again();
        } else if (database_->is_shared() && !retired_) {
            begin_resigning();
            Fault fault = finish_leaving();
            if (fault == Fault::kNone && Clock::now() >= turn_at_) fault = share();
            if (fault == Fault::kNone) fault = restore_some();
            if (fault != Fault::kNone) begin_fault(fault);
        }
        write();
    }
}

// False: the end.
bool Service::wait() {
    std::unique_lock lock(mutex_);
    const auto has_work = [this] {
        return stopping_ || std::ranges::any_of(taken_, [](const auto& one) { return !!one; });
    };
    if (fault_ != Fault::kNone) {
        changed_.wait_until(lock, retry_at_, has_work);
    } else if (!database_->is_shared() || retired_) {
        changed_.wait(lock, has_work);
    } else if (to_restore_.none()) {
        changed_.wait_until(lock, turn_at_, [&] {
            return has_work() || resigning_ || (leaving_.any() && left_ == desks_.size());
        });
    }
    return !stopping_;
}

void Service::try_again() {
    Fault fault = database_->is_open() && restored_ ? database_->probe() : open();
    if (fault == Fault::kDamaged) fault = mend();
    if (fault == Fault::kNone && database_->is_shared() && !retired_) fault = share();
    if (fault == Fault::kNone && !restored_ && !database_->is_shared()) fault = restore();
    if (fault == Fault::kNone) return end_fault();
    begin_fault(fault);
    if (told_restored_) return;
    // What can be read is read, so that nobody loses what he has because the disk is full.
    if (fault == Fault::kUnusable && database_->open_to_read() == Fault::kNone) {
        static_cast<void>(restore());
        database_->close();
    }
    end_restoring();
}

Fault Service::open() {
    const Fault fault = database_->open();
    std::vector<std::string> set_aside = database_->set_aside();
    const std::lock_guard lock(mutex_);
    set_aside_ = std::move(set_aside);
    rows_ = database_->rows();
    return fault;
}

// The damaged file is set aside, and a new one made of what can be read of it.
Fault Service::mend() {
    Damage damage;
    std::string aside;
    const Fault fault = database_->rebuild(wall_now(), damage, aside);
    if (fault != Fault::kNone) {
        const std::lock_guard lock(mutex_);
        why_ = "is damaged, and what can be read of it can't be saved: " + database_->why();
        return Fault::kDamaged;
    }
    log_.event(EventId::kStoreDamaged, {{"store", database_->name()},
                                        {"saved", damage.rows},
                                        {"lost", damage.lost()},
                                        {"bad_rows", damage.bad_rows},
                                        {"bad_pages", damage.bad_pages},
                                        {"aside", aside}});
    std::vector<std::string> set_aside = database_->set_aside();
    const std::lock_guard lock(mutex_);
    damage_ =
        "the store was found damaged at " + readable_minute(wall_now()) + ": " + describe(damage);
    set_aside_ = std::move(set_aside);
    rows_ = database_->rows();
    return Fault::kNone;
}

// What was handed over before a reading failed is passed over by the next: the order is the same.
Fault Service::restore() {
    const auto began = Clock::now();
    bool going_on = true;
    Damage damage;
    const Fault fault = scan({}, damage, going_on);
    if (fault != Fault::kNone || !going_on) return fault;
    restored_ = true;
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    log_.event(EventId::kStoreRestored, {{"rows", damage.rows}, {"ms", took.count()}});
    end_restoring();
    if (!damage.any() || mend() == Fault::kNone) return Fault::kNone;
    log_.event(EventId::kStoreFailed, {{"store", database_->name()}, {"error", why_}});
    {
        const std::lock_guard lock(mutex_);
        damage_ = "the store " + database_->name() + " " + why_ + "; it is used as it is, " +
                  describe(damage) + "; make room in its directory and start again";
    }
    return database_->open();
}

Fault Service::scan(const Slots& which, Damage& damage, bool& going_on) {
    std::vector<std::vector<Change>> ready(group_.count());
    std::uint64_t seen = 0;
    const Fault fault = database_->scan(
        which,
        [&](Change&& change) {
            if (++seen <= handed_over_) return true;
            const std::uint32_t shard = owner_of_(change.row());
            ready[shard].push_back(std::move(change));
            if (ready[shard].size() < kRowsAtOnce) return true;
            going_on = hand_over(shard, std::exchange(ready[shard], {}));
            return going_on;
        },
        damage);
    for (std::uint32_t i = 0; i < ready.size() && going_on; ++i) {
        if (!ready[i].empty()) going_on = hand_over(i, std::move(ready[i]));
    }
    if (!database_->is_shared()) handed_over_ = std::max(handed_over_, seen);
    return fault;
}

// ---- A pool: who has which slots

Fault Service::share() {
    const auto began = Clock::now();
    turn_at_ = began + database_->pace().turn;
    Shares shares;
    const Fault fault = database_->meet(shares);
    held_ &= ~shares.lost;
    to_restore_ &= ~shares.lost;
    leaving_ &= ~shares.lost;
    if (fault == Fault::kNone) take_again_if_lapsed(shares);
    if (shares.lost.any()) {
        log_.event(EventId::kStoreShares, {{"lost", shares.lost.count()}});
        tell_all([lost = shares.lost](Desk& desk) { desk.lose(lost); });
    }
    held_ |= shares.gained;
    if (shares.gained.any()) {
        if (to_restore_.none()) began_ = Clock::now();
        to_restore_ |= shares.gained;
        log_.event(EventId::kStoreShares, {{"gained", shares.gained.count()}});
        tell_all([gained = shares.gained](Desk& desk) { desk.lend(gained); });
    }
    {
        const std::lock_guard lock(mutex_);
        shares_ = database_->describe_shares();
        rows_ = database_->rows();
    }
    if (fault != Fault::kNone) return fault;
    tell_all([lease = lease_from(began)](Desk& desk) { desk.renew(lease); });
    shares.due &= ~to_restore_;  // first they are read, so that leaving them is one thing
    if (leaving_.none() && shares.due.any()) {
        leaving_ = shares.due;
        log_.event(EventId::kStoreShares, {{"given", leaving_.count()}});
        std::uint64_t time = 0;
        {
            const std::lock_guard lock(mutex_);
            time = ++leaving_time_;
            left_ = 0;
        }
        tell_all([due = shares.due, time](Desk& desk) { desk.leave(due, time); });
    }
    restored_ = true;
    if (to_restore_.none() && !told_restored_) end_restoring();
    if (resigned_ && leaving_.none()) {
        database_->retire();
        retired_ = true;
    }
    return fault;
}

// What a shard has let go of meanwhile, and nobody has taken, is read anew.
void Service::take_again_if_lapsed(Shares& shares) {
    {
        const std::lock_guard lock(mutex_);
        if (!std::exchange(lapsed_, false) || resigned_) return;
    }
    shares.lost |= held_ & ~leaving_;
    shares.gained |= held_ & ~leaving_;
}

// Others see this node's death at earliest a lease after it has begun to say that it lives. Who has
// been away himself takes nobody for dead that soon, and till then is no reason for others to give
// anything up: after an outage of the server they are not back at the same moment.
Lease Service::lease_from(Clock::time_point began) {
    const Pace pace = database_->pace();
    const auto over = pace.lease - pace.turn / 2;
    if (began - std::exchange(met_at_, began) > pace.lease / 2) may_take_at_ = began + over;
    const auto late_at = began < may_take_at_ ? began : began + pace.turn * 3 / 2;
    return {Instant(late_at.time_since_epoch()), Instant((began + over).time_since_epoch())};
}

void Service::resign() {
    const std::lock_guard lock(mutex_);
    resigning_ = true;
    changed_.notify_one();
}

void Service::begin_resigning() {
    {
        const std::lock_guard lock(mutex_);
        if (!std::exchange(resigning_, false)) return;
    }
    database_->resign();
    resigned_ = true;
    to_restore_.reset();
    turn_at_ = {};
}

// Some at a time: the others must hear of us meanwhile.
Fault Service::restore_some() {
    if (to_restore_.none()) return Fault::kNone;
    Slots some;
    for (std::size_t slot = 0; slot < kSlots && some.count() < kSlotsAtOnce; ++slot) {
        some.set(slot, to_restore_[slot]);
    }
    bool going_on = true;
    Damage damage;
    const Fault fault = scan(some, damage, going_on);
    if (fault != Fault::kNone || !going_on) return fault;
    tell_all([some](Desk& desk) { desk.open(some); });
    to_restore_ &= ~some;
    restoring_ += damage.rows;
    {
        const std::lock_guard lock(mutex_);
        rows_ = database_->rows();
    }
    if (to_restore_.any()) return fault;
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
    log_.event(EventId::kStoreRestored, {{"rows", restoring_}, {"ms", took.count()}});
    restoring_ = 0;
    end_restoring();
    return fault;
}

Fault Service::finish_leaving() {
    {
        const std::lock_guard lock(mutex_);
        if (leaving_.none() || left_ < desks_.size()) return Fault::kNone;
    }
    if (const Fault fault = database_->give_up(leaving_); fault != Fault::kNone) return fault;
    held_ &= ~leaving_;
    leaving_.reset();  // not before: they are served here no more, whosever they are
    if (resigned_) turn_at_ = {};
    const std::lock_guard lock(mutex_);
    shares_ = database_->describe_shares();
    rows_ = database_->rows();
    return Fault::kNone;
}

// So that no shard is held up for long, and no memory fills up before one that is.
bool Service::hand_over(std::uint32_t shard, std::vector<Change> rows) {
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || under_way_[shard] < kBatchesAhead; });
        if (stopping_) return false;
        ++under_way_[shard];
    }
    return post(shard, [this, shard, rows = std::move(rows)](Shard&) {
        desks_[shard]->restore(rows);
        const std::lock_guard lock(mutex_);
        --under_way_[shard];
        changed_.notify_one();
    });
}

void Service::end_restoring() {
    {
        const std::lock_guard lock(mutex_);
        told_restored_ = true;
    }
    tell_all([](Desk& desk) { desk.restore_done(); });
}

void Service::tell_all(const std::function<void(Desk&)>& what) {
    for (std::uint32_t i = 0; i < desks_.size(); ++i) {
        static_cast<void>(post(i, [this, i, what](Shard&) { what(*desks_[i]); }));
    }
}

void Service::write() {
    std::vector<std::optional<Batch>> batches(desks_.size());
    {
        const std::lock_guard lock(mutex_);
        batches.swap(taken_);
        taken_.resize(desks_.size());
    }
    std::vector<const Batch*> all;
    for (const auto& batch : batches) {
        if (batch) all.push_back(&*batch);
    }
    if (all.empty()) return;
    if (fault_ != Fault::kNone) return give_back(std::move(batches), false);
    Fault fault = write(all);
    if (fault == Fault::kNone && database_->is_behind() && !retired_) fault = share();
    if (fault != Fault::kNone) begin_fault(fault);
    give_back(std::move(batches), fault == Fault::kNone);
}

Fault Service::write(const std::vector<const Batch*>& batches) {
    Fault fault = database_->write(batches);
    if (fault == Fault::kDamaged && mend() == Fault::kNone) fault = database_->write(batches);
    if (fault != Fault::kNone) return fault;
    const std::lock_guard lock(mutex_);
    last_commit_ = wall_now();
    rows_ = database_->rows();
    return fault;
}

void Service::give_back(std::vector<std::optional<Batch>> batches, bool ok) {
    for (std::uint32_t i = 0; i < batches.size(); ++i) {
        if (!batches[i]) continue;
        static_cast<void>(post(i, [this, i, ok, batch = std::move(*batches[i])](Shard&) mutable {
            desks_[i]->on_written(std::move(batch), ok);
        }));
    }
}

void Service::begin_fault(Fault fault) {
    const bool mending = fault == Fault::kDamaged;
    const std::string why = mending ? why_ : database_->why();
    const bool is_new = fault_ == Fault::kNone;
    if (is_new || why != why_) {
        log_.event(EventId::kStoreFailed, {{"store", database_->name()}, {"error", why}});
    }
    {
        const std::lock_guard lock(mutex_);
        if (is_new) since_ = wall_now();
        fault_ = fault;
        why_ = why;
        retry_at_ = Clock::now() + (mending ? Clock::duration(kRetryMending) : kRetry);
    }
    if (is_new) tell_all([](Desk& desk) { desk.set_failing(true); });
}

void Service::end_fault() {
    if (fault_ == Fault::kNone) return;
    const auto lasted = wall_now() - since_;
    {
        const std::lock_guard lock(mutex_);
        fault_ = Fault::kNone;
        why_.clear();
        rows_ = database_->rows();
    }
    log_.event(EventId::kStoreHealed, {{"store", database_->name()}, {"failed_s", lasted.count()}});
    tell_all([](Desk& desk) { desk.set_failing(false); });
}

// The queue of a shard that is busy empties soon; one that has ended takes nothing any more.
bool Service::post(std::uint32_t shard, ShardFunction function) {
    while (!group_.post(shard, std::move(function))) {
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, 1ms, [this] { return stopping_; })) return false;
    }
    return true;
}

void Service::finish() {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        stopping_ = true;
        changed_.notify_all();
    }
    if (!thread_.joinable()) return;
    thread_.join();
    // What was taken goes first: a write has no order in itself.
    std::vector<Batch> rest;
    std::vector<const Batch*> first;
    std::vector<const Batch*> last;
    rest.reserve(desks_.size());
    std::uint64_t waiting = 0;
    for (std::uint32_t i = 0; i < desks_.size(); ++i) {
        waiting += desks_[i]->waiting();
        if (taken_[i]) first.push_back(&*taken_[i]);
        last.push_back(&rest.emplace_back(desks_[i]->take_rest()));
    }
    const bool written = database_->is_open() && restored_ &&
                         (first.empty() || write(first) == Fault::kNone) &&
                         write(last) == Fault::kNone;
    if (!written && waiting > 0) {
        log_.event(
            EventId::kStoreFailed,
            {{"store", database_->name()}, {"error", database_->why()}, {"changes_lost", waiting}});
    }
    database_->retire();
    database_->close();
}

Status Service::status() {
    Status status;
    status.name = database_->name();
    for (const auto& desk : desks_) status.waiting += desk->waiting();
    const std::lock_guard lock(mutex_);
    status.restoring = !told_restored_;
    status.rows = rows_;
    status.last_commit = last_commit_;
    status.shares = shares_;
    status.failing = fault_ != Fault::kNone;
    if (status.failing) {
        status.remarks.push_back(
            "the store " + status.name + " " + why_ + " (since " + readable_minute(since_) +
            "): new subscriptions are refused, " +
            (lapsed_ ? "other nodes of the pool serve those that stand" : "what stands goes on") +
            "; " + database_->remedy(fault_) + ", and it heals by itself");
    }
    const auto removed = std::erase_if(set_aside_, [](const std::string& path) {
        std::error_code error;
        return !std::filesystem::exists(path, error) && !error;
    });
    if (removed > 0 && set_aside_.empty()) damage_.clear();
    if (set_aside_.empty()) {
        if (!damage_.empty()) status.remarks.push_back(damage_);
    } else {
        status.remarks.push_back(
            (damage_.empty() ? std::string("the store was damaged once") : damage_) +
            "; the damaged file is kept as " + set_aside_.back() +
            ": check disk and memory, then remove it");
    }
    return status;
}

}  // namespace fedgate::store
