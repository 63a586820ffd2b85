#include "appliance/store/desk.hpp"

#include <utility>
#include <vector>

#include "core/base/limits.hpp"

namespace fedgate::store {

void Desk::attach(Shard& shard, User& user) {
    shard_ = &shard;
    user_ = &user;
    if (shared_) user.on_tenure(tenure_);
}

void Desk::detach() {
    if (shard_ != nullptr) shard_->loop().cancel_turn_task(*this);
    lease_timer_.cancel();
    shard_ = nullptr;
    user_ = nullptr;
}

std::optional<Sequence> Desk::refuse() {
    if (shard_ != nullptr) shard_->stats().add(Counter::kStoreRefused);
    return std::nullopt;
}

std::optional<Sequence> Desk::put(const Row& row) {
    if (failing_ || !is_in(open_, row.xmpp, row.sip)) return refuse();
    return add(Change(row, false), limits::kStoreWaiting);
}

std::optional<Sequence> Desk::update(const Row& row) {
    if (!is_in(lent_, row.xmpp, row.sip)) return refuse();
    return add(Change(row, false), limits::kStoreWaiting);
}

// Twice the bound: whoever refuses what waits already must be able to take it back.
std::optional<Sequence> Desk::erase(Kind kind, Bytes xmpp, Bytes sip) {
    if (!is_in(lent_, xmpp, sip)) return refuse();
    const Row row{.kind = kind, .xmpp = xmpp, .sip = sip, .auth = 0, .changed = {}, .detail = {}};
    return add(Change(row, true), 2 * limits::kStoreWaiting);
}

std::optional<Sequence> Desk::add(Change change, std::size_t count_max) {
    if (shard_ == nullptr) return std::nullopt;
    const Row row = change.row();
    std::string key = key_of(row.kind, row.xmpp, row.sip);
    const auto found = waiting_.changes.find(key);
    const bool is_new = found == waiting_.changes.end();
    const std::size_t before = is_new ? 0 : found->second.text.size();
    const std::size_t bytes = waiting_bytes_ - before + change.text.size();
    const bool full = (is_new && waiting_.changes.size() + under_way_ >= count_max) ||
                      (!change.erased && bytes > limits::kStoreWaitingBytes);
    if (full || row.detail.size() > limits::kStoreDetailBytes) {
        shard_->stats().add(Counter::kStoreRefused);
        shard_->log().event(EventId::kQueueFull, {{"queue", "store"}, {"shard", index_}});
        return std::nullopt;
    }
    shard_->stats().add(Counter::kStoreChanges);
    waiting_bytes_ = bytes;
    if (is_new) {
        waiting_.changes.emplace(std::move(key), std::move(change));
    } else {
        found->second = std::move(change);
    }
    note_count();
    shard_->loop().at_turn_end(*this);
    return ++waiting_.last;
}

void Desk::on_turn_end() {
    if (!failing_) {
        hand_over();
        return end_leaving();
    }
    if (waiting_.last == told_failed_) return;
    told_failed_ = waiting_.last;
    user_->on_stored(told_failed_, false);
}

void Desk::hand_over() {
    if (busy_ || waiting_.changes.empty()) return;
    busy_ = true;
    under_way_ = waiting_.changes.size();
    waiting_bytes_ = 0;
    keeper_.take(index_, std::exchange(waiting_, Batch{{}, waiting_.last}));
}

void Desk::on_written(Batch batch, bool ok) {
    busy_ = false;
    under_way_ = 0;
    failing_ = !ok;
    if (ok) {
        if (shard_ != nullptr) shard_->stats().add(Counter::kStoreKept, batch.changes.size());
        note_count();
        hand_over();
        written_ = batch.last;
        end_leaving();
        if (user_ != nullptr) user_->on_stored(batch.last, true);
        return;
    }
    for (auto& [key, change] : batch.changes) {  // what came later holds
        const Row row = change.row();
        if (!is_in(lent_ | parting_, row.xmpp, row.sip)) continue;  // another node's meanwhile
        const std::size_t bytes = change.text.size();
        if (waiting_.changes.try_emplace(key, std::move(change)).second) waiting_bytes_ += bytes;
    }
    note_count();
    if (shard_ != nullptr) on_turn_end();
}

void Desk::set_failing(bool failing) {
    failing_ = failing;
    if (shard_ != nullptr) on_turn_end();
}

void Desk::restore(std::span<const Change> changes) {
    if (user_ == nullptr) return;
    std::vector<Row> rows;
    rows.reserve(changes.size());
    for (const Change& change : changes) {
        const Row row = change.row();
        if (is_in(lent_, row.xmpp, row.sip)) rows.push_back(row);  // else they came too late
    }
    shard_->stats().add(Counter::kStoreRestored, rows.size());
    user_->on_restored(rows);
}

void Desk::restore_done() {
    if (user_ != nullptr) user_->on_restore_done();
}

// The user writes no more of them.
void Desk::close(const Slots& slots) {
    lent_ &= ~slots;
    open_ &= ~slots;
    if (user_ != nullptr) user_->on_lost(slots);
}

void Desk::leave(const Slots& slots, std::uint64_t time) {
    close(slots);
    leaving_time_ = time;
    leaving_.reset();
    parting_ = slots;
    leaving_ = waiting_.last;
    end_leaving();
}

// What waited of those slots is written, or nothing waits any more: it was lost.
void Desk::end_leaving() {
    if (!leaving_ || (written_ < *leaving_ && (busy_ || !waiting_.changes.empty()))) return;
    leaving_.reset();
    parting_.reset();
    keeper_.on_left(leaving_time_);
}

void Desk::lose(const Slots& slots) {
    close(slots);
    parting_ &= ~slots;
    std::erase_if(waiting_.changes, [&](const auto& one) {
        const Row row = one.second.row();
        if (!slots[slot_of(row.xmpp, row.sip)]) return false;
        waiting_bytes_ -= one.second.text.size();
        return true;
    });
    note_count();
    end_leaving();
}

void Desk::renew(const Lease& lease) {
    lease_ = lease;
    if (shard_ == nullptr) return;
    set_tenure(shard_->loop().now() < lease.late_at ? Tenure::kHeld : Tenure::kLate);
    look_at_lease();
}

void Desk::set_others_hold(bool hold) {
    others_hold_ = hold;
    if (shard_ != nullptr && tenure_ == Tenure::kLate) {
        shard_->loop().timers().arm(lease_timer_, shard_->loop().now());
    }
}

// Where nobody is at the store nobody can take anything: what stands goes on.
void Desk::look_at_lease() {
    const Instant now = shard_->loop().now();
    if (tenure_ == Tenure::kHeld && now >= lease_.late_at) set_tenure(Tenure::kLate);
    if (tenure_ == Tenure::kLate && now >= lease_.over_at && others_hold_) {
        lose(Slots(lent_));
        keeper_.on_lapsed();
        set_tenure(Tenure::kLost);
    }
    const Instant next = tenure_ == Tenure::kHeld ? lease_.late_at : lease_.over_at;
    if (tenure_ != Tenure::kLost && now < next) shard_->loop().timers().arm(lease_timer_, next);
}

void Desk::set_tenure(Tenure tenure) {
    if (std::exchange(tenure_, tenure) != tenure) user_->on_tenure(tenure);
}

Batch Desk::take_rest() { return std::exchange(waiting_, {}); }

void Desk::note_count() {
    count_.store(waiting_.changes.size() + under_way_, std::memory_order_relaxed);
}

}  // namespace fedgate::store
