// What of watchers outlives the process: how far the contact's approval is, and the dialogs, so
// that the SIP side need not notice a restart.
#include <algorithm>
#include <charconv>
#include <utility>

#include "appliance/gateway/watchers.hpp"

namespace fedgate::gateway {
namespace {

// RFC 3261 12.2.1.1: CSeq rises. So many NOTIFYs may have gone out since a row was written.
constexpr std::uint32_t kCseqJump = 1 << 20;
constexpr std::size_t kLineBytes = 64 + kEventIdBytes;
constexpr std::size_t kDetailBytes =
    kLineBytes + kDialogsOfPair * (kLineBytes + sip::Dialog::kSavedBytes);
static_assert(kDetailBytes <= limits::kStoreDetailBytes);
constexpr int kLinesOfDialog = 8;

bool take_line(Bytes& text, Bytes& line) {
    const std::size_t end = text.find('\n');
    if (end == Bytes::npos) return false;
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return true;
}

bool take_number(Bytes& text, std::int64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with(' ')) text.remove_prefix(1);
    return true;
}

}  // namespace

// A line for the record: "sent" or nothing. For each dialog: when it ends, the CSeq that made it,
// the id of its event; and its own lines.
void Watchers::write_detail(const Watcher& watcher, Sink& out) {
    out.append(watcher.sent ? "sent\n" : "\n");
    const WallTime wall = host_.shard().loop().wall_now();
    for (const WatcherDialog* one = watcher.dialogs; one != nullptr; one = one->next) {
        if (one->poll || one->notifier.state() == sip::NotifierState::kTerminated) continue;
        const auto left = std::chrono::ceil<std::chrono::seconds>(one->expires_at - now());
        out.append_number((wall + left).time_since_epoch().count());
        out.append(' ');
        out.append_number(one->first_cseq);
        out.append(' ');
        if (one->event_id) out.append(*one->event_id);
        out.append('\n');
        one->dialog.save(out);
    }
}

store::Row Watchers::row_of(const Watcher& watcher, Sink& detail) {
    write_detail(watcher, detail);
    FEDGATE_CHECK(!detail.overflowed());
    return {store::Kind::kWatcher, watcher.contact_jid(),
            watcher.sip_jid(),     static_cast<std::uint8_t>(watcher.auth),
            watcher.changed,       detail.written()};
}

// As it stands now; nobody waits for it. Without room it is still unkept, and tried again.
void Watchers::keep(Watcher& watcher) {
    watcher.unkept = false;
    store::Door* door = host_.store();
    if (door == nullptr) return;
    if (watcher.auth == WatcherAuth::kNone) {
        if (watcher.kept) {
            watcher.kept = watcher.unkept =
                !door->erase(store::Kind::kWatcher, watcher.contact_jid(), watcher.sip_jid());
        }
        return;
    }
    char memory[kDetailBytes];
    Sink detail{MutableBytes(memory)};
    watcher.unkept = !door->update(row_of(watcher, detail)).has_value();
    watcher.kept = watcher.kept || !watcher.unkept;
}

// How it is now is to be promised: act() follows when it is on disk. False: the store takes no
// promise.
bool Watchers::promise(Watcher& watcher) {
    store::Door* door = host_.store();
    watcher.unkept = false;
    if (door == nullptr) {
        act(watcher);
        return true;
    }
    char memory[kDetailBytes];
    Sink detail{MutableBytes(memory)};
    const auto sequence = door->put(row_of(watcher, detail));
    if (!sequence) return false;
    watcher.kept = true;
    watcher.awaits = *sequence;
    storing_.push_back({*sequence, watcher.self});
    return true;
}

// What could not be kept for now is tried again by the store. A question to the contact waits for
// that; what he has answered holds at once.
void Watchers::on_stored(store::Sequence last, bool ok) {
    const auto take = [&](const Stored& one) {
        Watcher* watcher = watchers_.find(one.watcher);
        if (watcher == nullptr || is_gone(*watcher) || watcher->awaits != one.sequence) return;
        if (!ok && watcher->auth == WatcherAuth::kAsked) return;
        NotifyLane& lane = watcher->domain.lane;
        act(*watcher);
        settle(*watcher);
        send_waiting(lane);
    };
    if (ok) {
        while (!storing_.empty() && storing_.front().sequence <= last) {
            const Stored first = storing_.front();
            storing_.pop_front();
            take(first);
        }
        if (storing_.empty()) storing_.trim();
        return;
    }
    for (std::size_t i = 0; i < storing_.size() && storing_.begin()[i].sequence <= last; ++i) {
        take(Stored(storing_.begin()[i]));
    }
}

// Rows of an earlier process; they wait for their turn (on_timer) to be told and asked anew.
void Watchers::restore(const store::Row& row) {
    Address contact;
    Address user;
    if (!read_jid(row.xmpp, contact) || !read_jid(row.sip, user) ||
        row.auth > static_cast<std::uint8_t>(WatcherAuth::kDenied)) {
        return host_.drop("row of the store");
    }
    const Key pair = host_.pair_key(contact, user);
    const auto auth = static_cast<WatcherAuth>(row.auth);
    Watcher* watcher = find(pair);
    if (watcher != nullptr) {  // a store that was healed late: he has come by himself
        if (auth == WatcherAuth::kGranted && watcher->auth == WatcherAuth::kAsked) {
            NotifyLane& lane = watcher->domain.lane;
            watcher->auth = auth;
            act(*watcher);
            keep(*watcher);
            settle(*watcher);
            send_waiting(lane);
        }
        return;
    }
    watcher = make(user, contact, pair);
    if (watcher == nullptr) return host_.drop("row of the store");
    watcher->auth = auth;
    watcher->changed = row.changed;
    watcher->kept = true;
    watcher->places = 1;
    host_.quota().restore(user_key(*watcher), watcher->domain.their);
    Bytes detail = row.detail;
    Bytes line;
    // Of another node's the answer may have gone there: RFC 6121 3.1.3, he is not asked twice.
    watcher->sent = take_line(detail, line) && line == "sent" && host_.restoring();
    while (!detail.empty() && restore(*watcher, detail)) {
    }
    const Duration age = host_.shard().loop().wall_now() - row.changed;
    if (auth == WatcherAuth::kDenied) watcher->until = now() + (kDenialHolds - age);
    if (auth != WatcherAuth::kDenied && watcher->dialogs == nullptr) {
        watcher->until =
            now() + ((auth == WatcherAuth::kAsked ? kUnansweredDisuse : kDisuse) - age);
    }
    watcher->unkept = false;
    wait_for_turn(*watcher);
    settle(*watcher);
}

void Watchers::wait_for_turn(const Watcher& watcher) {
    restored_.push_back(watcher.self);
    if (going_on_.armed()) return;
    host_.shard().loop().timers().arm(going_on_, now() + kRestoredEvery);
}

// One dialog of its detail. False: the rest is not to be read.
bool Watchers::restore(Watcher& watcher, Bytes& detail) {
    Bytes front;
    std::int64_t expires = 0;
    std::int64_t first_cseq = 0;
    if (!take_line(detail, front) || !take_number(front, expires) ||
        !take_number(front, first_cseq)) {
        return false;
    }
    Bytes rest = detail;
    Bytes line;
    for (int i = 0; i < kLinesOfDialog; ++i) {
        if (!take_line(rest, line)) return false;
    }
    auto dialog = sip::Dialog::restore(detail.substr(0, detail.size() - rest.size()));
    detail = rest;
    const std::int64_t left =  // the clock may have been set since
        std::clamp<std::int64_t>(
            expires - host_.shard().loop().wall_now().time_since_epoch().count(), 0,
            timing_.expires);
    if (!dialog || watcher.dialog_count >= kDialogsOfPair || front.size() > kEventIdBytes)
        return true;
    dialog->note_cseq(dialog->local_cseq() + kCseqJump);
    WatcherDialog* begun = add(watcher, std::move(*dialog));
    if (begun == nullptr) return false;
    if (watcher.dialog_count > watcher.places) {
        ++watcher.places;
        host_.quota().restore(user_key(watcher), watcher.domain.their);
    }
    begun->first_cseq = static_cast<std::uint32_t>(first_cseq);
    begun->expires_at = now() + std::chrono::seconds(left);
    if (!front.empty()) begun->event_id = std::make_unique<std::string>(front);
    begun->notifier.resume(begun->expires_at);
    return true;
}

void Watchers::on_restore_done() { go_on(); }

// Another node of the pool goes on with their dialogs, which are in the rows.
void Watchers::drop(const Slots& slots) {
    losses_.lose(slots);
    free_at_ = 0;
    if (count() != 0) host_.shard().loop().timers().arm(freeing_, now());
}

void Watchers::free_gone() {
    const std::uint32_t end = std::min(places_, free_at_ + kJudgedAtOnce);
    for (; free_at_ < end; ++free_at_) {
        Watcher* const watcher = watchers_.find_at(free_at_);
        if (watcher != nullptr && is_gone(*watcher)) forget(*watcher);
    }
    if (free_at_ < places_) host_.shard().loop().timers().arm(freeing_, now() + kJudgedEvery);
}

// Each waits behind the others when too much waits for his contact's domain already.
void Watchers::go_on() {
    const std::size_t shards = host_.shard().count();
    std::size_t some = std::max<std::size_t>(kRestoredAtOnce / shards, 1);
    some = std::min(some, restored_.size());
    if (host_.restoring()) some = std::min(some, kRestoredEarly - early_);
    for (; some > 0 && host_.has_room(); --some) {
        const Handle<Watcher> handle = restored_.front();
        restored_.pop_front();
        Watcher* watcher = watchers_.find(handle);
        if (watcher == nullptr || is_gone(*watcher)) continue;
        if (watcher->domain.unwritten >= std::max<std::size_t>(kUnwrittenOfDomain / shards, 1)) {
            restored_.push_back(handle);
            continue;
        }
        if (host_.restoring()) ++early_;
        if (!end_if_revoked(*watcher)) go_on(*watcher);
    }
    if (restored_.empty()) return restored_.trim();
    host_.shard().loop().timers().arm(going_on_, now() + kRestoredEvery);
}

void Watchers::go_on(Watcher& watcher) {
    // With the CSeqs that it goes on from: the next process must not use them again.
    if (watcher.dialogs != nullptr) watcher.unkept = true;
    if (watcher.auth == WatcherAuth::kAsked && !watcher.sent) send(watcher, "subscribe");
    if (watcher.auth == WatcherAuth::kGranted && watcher.dialogs != nullptr) doubt(watcher);
    settle(watcher);
}

}  // namespace fedgate::gateway
