// The table of watches, their time, and what the store keeps of them.
#include "appliance/gateway/watches.hpp"

#include <algorithm>

#include "appliance/gateway/sip_route.hpp"
#include "xml/jid.hpp"

namespace fedgate::gateway {
namespace {

constexpr Duration kWaysEvery = std::chrono::seconds(1);
// RFC 6665 4.2.2: a server whose NOTIFY is not answered for 32 s lets go of the subscription, and
// we would not know before the next refresh. An outage shows up to 9 s late, by OPTIONS.
constexpr Duration kServerForgets = std::chrono::seconds(20);
constexpr Duration kSweepTick = std::chrono::milliseconds(5);
constexpr std::uint32_t kSweepPlaces = 1'024;  // looked at in a tick, which costs far below 1 ms

// Reachable, as far as is known; else why not.
bool is_reachable(const SipRoute& route, const char*& why) {
    if (!route.ready()) return true;
    why = "no SIP server was found";
    for (const auto& leg : route.legs()) {
        if (route.is_up(*leg) && !leg->suspect) return true;
        why = leg->why;
    }
    return false;
}

}  // namespace

void Watch::on_timer(Timer&) { watches.on_watch_timer(*this); }

Watches::Pair::Pair(const Watch& watch) {
    view_jid(watch.xmpp(), xmpp);
    view_jid(watch.sip(), sip);
}

Watches::Watches(PresenceHost& host)
    : host_(host), ways_timer_(*this), sweep_timer_(*this), freeing_timer_(*this) {}

Watches::~Watches() = default;

Instant Watches::now() const { return host_.shard().loop().now(); }
WallTime Watches::wall_now() const { return host_.shard().loop().wall_now(); }

void Watches::reload() {
    ways_.clear();
    if (count() == 0) return;
    judges_ = true;
    sweep();
}

Watch* Watches::find(const Key& pair) const {
    Watch* const watch = index_.find(pair);
    return watch != nullptr && !is_gone(*watch) ? watch : nullptr;
}

Watch* Watches::make(const Key& pair, const AddressView& xmpp, const AddressView& sip) {
    if (Watch* const gone = index_.find(pair)) free(*gone);
    timing_.expires = host_.rules().settings.presence.expires;  // of all, from their next start on
    const auto random = host_.random().bytes<2>();
    std::uint16_t spread;
    std::memcpy(&spread, random.data(), sizeof spread);
    Handle<Watch> handle;
    Watch* watch = slab_.make(handle, *this, timing_, spread);
    if (watch == nullptr) return nullptr;
    watch->self = handle;
    watch->pair = pair;
    char memory[2 * xml::kJidBytes];
    Sink names{MutableBytes(memory)};
    xml::write_jid(names, xmpp.jid.bare());
    watch->xmpp_bytes = static_cast<std::uint16_t>(names.size());
    xml::write_jid(names, sip.jid.bare());
    FEDGATE_CHECK(!names.overflowed());
    watch->sip_bytes = static_cast<std::uint16_t>(names.size() - watch->xmpp_bytes);
    watch->names = std::make_unique_for_overwrite<char[]>(names.size());
    std::memcpy(watch->names.get(), memory, names.size());
    watch->birth = losses_.birth(slot_of(watch->xmpp(), watch->sip()));
    watch->interest_at = now();
    index_.insert(*watch);
    places_ = std::max(places_, handle.index + 1);
    if (!ways_timer_.armed()) host_.shard().loop().timers().arm(ways_timer_, now() + kWaysEvery);
    return watch;
}

void Watches::free(Watch& watch) {
    const Pair pair(watch);
    host_.quota().leave(host_.keys().make({pair.xmpp.jid.local, pair.xmpp.jid.domain}),
                        pair.xmpp.domain_ascii);
    index_.erase(watch);
    slab_.free(watch.self);
}

// What waits no more.
void Watches::free_rest(Watch& watch) {
    if (watch.rest == nullptr) return;
    Watch::Waiting& rest = *watch.rest;
    if (!watch.unheard && rest.gone_until <= now()) rest.gone.clear();
    if (rest.prober.empty() && rest.document.empty() && rest.gone.empty()) watch.rest.reset();
}

void Watches::settle(Watch& watch) {
    while (watch.unsent) {
        watch.unsent = false;
        const std::uint8_t attempt = watch.subscriber.attempt();
        // Busy ourselves: what holds goes on holding.
        run(watch, watch.fault == LocalFault::kOverload
                       ? watch.subscriber.on_answer(attempt, {503, {}, {}, {}}, now())
                       : watch.subscriber.on_no_answer(attempt, now()));
    }
    if (watch.unsaved) keep(watch);
    const bool paid = pay(watch);
    free_rest(watch);
    const bool has_gone = watch.rest != nullptr && !watch.rest->gone.empty() && !watch.unheard;
    const sip::SubscriberState state = watch.subscriber.state();
    const bool is_idle =
        state == sip::SubscriberState::kTerminated || state == sip::SubscriberState::kInit;
    if (watch.approval == Approval::kNone && is_idle && watch.debts == 0 && watch.unstored == 0 &&
        !watch.unsaved) {
        return free(watch);
    }
    Instant due = std::min(watch.subscriber.deadline(), watch.rest_at);
    if (watch.is_granted() && watch.wanted) due = std::min(due, watch.interest_at + kInterestKept);
    if (watch.approval == Approval::kAsked && is_idle) due = std::min(due, forgotten_at(watch));
    if (has_gone) due = std::min(due, watch.rest->gone_until);
    if (!paid) due = std::min(due, now() + kDebtRetry);
    if (watch.unsaved) due = std::min(due, now() + kStoreRetry);
    if (due == kNever) return watch.timer.cancel();
    host_.shard().loop().timers().arm(watch.timer, due);
}

void Watches::on_watch_timer(Watch& watch) {
    if (is_gone(watch)) return;
    if (watch.rest_at <= now()) {  // PRES-46
        watch.rest_at = kNever;
        watch.wanted = false;
        watch.eager = false;
        if (watch.stands) watch.owe(Debt::kTakeBack);
        watch.stands = false;
        watch.resting = true;
        run(watch, watch.subscriber.unsubscribe(now()));
        if (watch.subscriber.state() == sip::SubscriberState::kTerminated) watch.resting = false;
        keep_if_changed(watch);
    }
    if (watch.is_granted() && watch.wanted && watch.interest_at + kInterestKept <= now()) {
        watch.wanted = false;  // PRES-42
        watch.eager = false;
        if (watch.stands) watch.owe(Debt::kTakeBack);
        watch.stands = false;
        watch.subscriber.set_wanted(false, now());
        keep_if_changed(watch);
    }
    while (watch.subscriber.deadline() <= now()) run(watch, watch.subscriber.on_time(now()));
    const bool asks_nobody = watch.subscriber.state() == sip::SubscriberState::kInit ||
                             watch.subscriber.state() == sip::SubscriberState::kTerminated;
    if (watch.approval == Approval::kAsked && asks_nobody && forgotten_at(watch) <= now()) {
        const Pair pair(watch);
        if (admit(pair.xmpp, pair.sip, watch.pair) != Admission::kAllowed) {
            watch.fault = LocalFault::kPolicy;
        }
        give_up(watch);
    }
    settle(watch);
}

// PRES-39: when nobody waits any more for an answer to what the user has asked.
Instant Watches::forgotten_at(const Watch& watch) const {
    return now() + (watch.asked_at + kAskedAtMost - wall_now());
}

// He has shown himself.
void Watches::touch(Watch& watch) {
    watch.interest_at = now();
    watch.rest_at = kNever;
    if (watch.leaving || !watch.is_granted()) return;
    if (!watch.wanted) {
        watch.wanted = true;
        watch.subscriber.set_wanted(true, now());
        keep_if_changed(watch);
    }
    start_if_idle(watch);
}

// Not who waits to try again: the other side may have said for how long.
void Watches::start_if_idle(Watch& watch) {
    using S = sip::SubscriberState;
    const S state = watch.subscriber.state();
    const bool waits = state == S::kInit && watch.subscriber.deadline() != kNever;
    const bool goes_on = state == S::kNotifyWait || state == S::kPending || state == S::kActive;
    if (goes_on || waits || watch.stands) return;
    const Pair pair(watch);
    if (admit(pair.xmpp, pair.sip, watch.pair) != Admission::kAllowed) return;
    watch.resting = false;
    run(watch, watch.subscriber.subscribe(now()));
}

// features.md A6: a partner that is not verified may see who sees him, and no more.
Watches::Admission Watches::admit(const AddressView& xmpp, const AddressView& sip,
                                  const Key& pair) const {
    const rules::Snapshot& rules = host_.rules();
    const rules::SipDomain* domain = rules.sip_domain(sip.domain_ascii);
    const rules::Partner* partner = rules.partner(xmpp.domain_ascii);
    if (domain == nullptr || partner == nullptr) return Admission::kRefused;
    const rules::Decision decision =
        rules::of_kind(rules.may_converse(sip.user, *domain, *partner, rules::Direction::kFromXmpp),
                       partner, rules::Kind::kPresence);
    if (decision.allowed()) return Admission::kAllowed;
    if (decision.reason != rules::Reason::kApprovalNeeded) return Admission::kRefused;
    return host_.is_watched(pair) ? Admission::kAllowed : Admission::kHeld;
}

void Watches::on_watched(const Key& pair) {
    Watch* watch = find(pair);
    if (watch == nullptr || watch->approval == Approval::kNone || watch->leaving) return;
    start_if_idle(*watch);
    settle(*watch);
}

void Watches::on_unwatched(const Key& pair) {
    Watch* watch = find(pair);
    if (watch == nullptr || watch->approval == Approval::kNone || watch->leaving) return;
    static_cast<void>(end_if_forbidden(*watch));
}

// ---- The store

// '1' while the user is interested, and the announced resources; those too whose end he may not
// have heard: the next process takes them back again.
void Watches::write_detail(const Watch& watch, Sink& out) const {
    out.append(watch.wanted ? '1' : '0');
    watch.announced.save(out);
    if (watch.rest != nullptr) out.append(watch.rest->gone);
}

void Watches::note_unstored(Watch& watch, std::optional<store::Sequence> sequence) {
    watch.unsaved = !sequence.has_value();
    if (!sequence) return;
    watch.unstored = *sequence;
    if (watch.listed) return;
    watch.listed = true;
    unstored_.emplace_back(*sequence, watch.self);
}

bool Watches::ask_store(Watch& watch) {
    store::Door* const store = host_.store();
    if (store == nullptr) return true;
    const auto sequence = store->put({.kind = store::Kind::kWatch,
                                      .xmpp = watch.xmpp(),
                                      .sip = watch.sip(),
                                      .auth = static_cast<std::uint8_t>(watch.approval),
                                      .changed = watch.asked_at,
                                      .detail = "1"});
    if (!sequence) return false;
    note_unstored(watch, sequence);
    return true;
}

// As the watch is now.
void Watches::keep(Watch& watch) {
    store::Door* const store = host_.store();
    watch.unsaved = false;
    if (store == nullptr) return;
    if (watch.approval == Approval::kNone) {
        return note_unstored(watch, store->erase(store::Kind::kWatch, watch.xmpp(), watch.sip()));
    }
    static_assert(1 + 2 * limits::kPresenceBytes + kGoneBytes <= limits::kStoreDetailBytes);
    char memory[limits::kStoreDetailBytes];
    Sink detail{MutableBytes(memory)};
    write_detail(watch, detail);
    FEDGATE_CHECK(!detail.overflowed());
    watch.saved = static_cast<std::uint32_t>(host_.keys().make({detail.written()}).low);
    note_unstored(watch, store->update({.kind = store::Kind::kWatch,
                                        .xmpp = watch.xmpp(),
                                        .sip = watch.sip(),
                                        .auth = static_cast<std::uint8_t>(watch.approval),
                                        .changed = watch.asked_at,
                                        .detail = detail.written()}));
}

void Watches::keep_if_changed(Watch& watch) {
    if (host_.store() == nullptr || !watch.is_granted()) return;
    char memory[limits::kStoreDetailBytes];
    Sink detail{MutableBytes(memory)};
    write_detail(watch, detail);
    const auto hash = static_cast<std::uint32_t>(host_.keys().make({detail.written()}).low);
    if (hash != watch.saved) keep(watch);
}

void Watches::on_stored(store::Sequence last, bool ok) {
    if (!ok) return;  // what waits for it goes on waiting
    while (!unstored_.empty() && unstored_.front().first <= last) {
        const Handle<Watch> handle = unstored_.front().second;
        unstored_.pop_front();
        Watch* watch = slab_.find(handle);
        if (watch == nullptr || is_gone(*watch)) continue;
        if (watch->unstored > last) {  // it has changed again
            unstored_.emplace_back(watch->unstored, handle);
            continue;
        }
        watch->listed = false;
        watch->unstored = 0;
        settle(*watch);
    }
}

void Watches::restore(const store::Row& row) {
    Address xmpp;
    Address sip;
    const auto approval = static_cast<Approval>(row.auth);
    const bool is_good = row.auth > 0 && approval <= Approval::kTold && read_jid(row.xmpp, xmpp) &&
                         read_jid(row.sip, sip);
    if (!is_good) return host_.drop("row of a watch");
    const Key pair = host_.pair_key(xmpp, sip);
    if (find(pair) != nullptr) return;  // it came late; what is here is newer
    Watch* watch = make(pair, xmpp, sip);
    if (watch == nullptr) return host_.drop("row of a watch");
    host_.quota().restore(host_.keys().make({xmpp.jid.local, xmpp.jid.domain}), xmpp.domain_ascii);
    watch->approval = approval;
    watch->asked_at = row.changed;
    watch->wanted = approval == Approval::kAsked || row.detail.starts_with('1');
    watch->announced.restore(row.detail.substr(std::min<std::size_t>(row.detail.size(), 1)));
    watch->saved = static_cast<std::uint32_t>(host_.keys().make({row.detail}).low);
    watch->eager = watch->wanted;
    watch->restored = true;
    if (!sweep_timer_.armed()) {
        host_.shard().loop().timers().arm(sweep_timer_, now() + kSweepTick);
    }
    settle(*watch);
}

// Another node of the pool subscribes anew; the dialogs of this one end by the answer to their next
// NOTIFY.
void Watches::drop(const Slots& slots) {
    losses_.lose(slots);
    free_at_ = 0;
    if (count() != 0) host_.shard().loop().timers().arm(freeing_timer_, now());
}

void Watches::free_gone() {
    const std::uint32_t end = std::min(places_, free_at_ + kSweepPlaces);
    for (; free_at_ < end; ++free_at_) {
        Watch* const watch = slab_.find_at(free_at_);
        if (watch != nullptr && is_gone(*watch)) free(*watch);
    }
    if (free_at_ < places_) {
        host_.shard().loop().timers().arm(freeing_timer_, now() + kSweepTick);
    }
}

// ---- Facts

bool Watches::granted(const Key& pair) const {
    const Watch* watch = find(pair);
    return watch != nullptr && watch->is_granted() && !watch->leaving;
}

bool Watches::announces(const Key& pair, Bytes resource) const {
    const Watch* watch = find(pair);
    if (watch == nullptr) return false;
    for (const Presence& one : watch->announced) {
        if (one.available && one.resource == resource) return true;
    }
    return false;
}

// ---- Ways, and the walk through all watches

void Watches::on_timer(Timer& timer) {
    if (&timer == &sweep_timer_) return sweep_some();
    if (&timer == &freeing_timer_) return free_gone();
    look_at_ways();
    if (count() != 0) host_.shard().loop().timers().arm(ways_timer_, now() + kWaysEvery);
}

void Watches::look_at_ways() {
    const auto& domains = host_.rules().sip_domains();
    if (ways_.size() != domains.size()) {
        ways_.clear();
        for (const rules::SipDomain& domain : domains) {
            char memory[limits::kJidPartBytes];
            Sink unicode{MutableBytes(memory)};
            static_cast<void>(xml::domain_to_unicode(domain.name, unicode));
            Way way;
            way.domain = domain.name;
            way.unicode = unicode.written();
            way.since = now();
            ways_.push_back(std::move(way));
        }
    }
    const Duration patience = host_.rules().settings.presence.lost_after;
    for (std::size_t i = 0; i < ways_.size(); ++i) {
        Way& way = ways_[i];
        const char* why = "";
        const bool is_up = is_reachable(host_.agent().route_of(domains[i]), why);
        const bool came_back = is_up && !way.is_up;
        if (came_back && now() - way.since >= kServerForgets) way.renews = true;
        if (is_up != way.is_up) way.since = now();
        way.is_up = is_up;
        way.why = why;
        const bool lasts = !is_up && !way.told && now() - way.since >= patience;
        if (came_back || lasts) sweep();
        way.told = !is_up && (way.told || lasts);
    }
    if (repeat_at_ <= now()) {
        repeat_at_ = kNever;
        repeats_ = true;
        sweep();
    }
}

Watches::Way* Watches::find_way(const Watch& watch) {
    const Bytes sip = watch.sip();
    const Bytes domain = sip.substr(sip.find('@') + 1);
    for (Way& way : ways_) {
        if (way.unicode == domain) return &way;
    }
    return nullptr;
}

// From the beginning.
void Watches::sweep() {
    sweep_at_ = 0;
    if (!sweep_timer_.armed()) host_.shard().loop().timers().arm(sweep_timer_, now());
}

// One more within this tick?
bool Watches::may_send(std::uint32_t sent) const {
    constexpr auto kTicks = static_cast<std::uint32_t>(std::chrono::seconds(1) / kSweepTick);
    const std::uint32_t shards = host_.shard().count();
    if (!host_.has_room() || (host_.restoring() && early_ >= kRestoredEarly)) return false;
    const bool slow = host_.agent().presence_count() * shards >= kSubscribesUnanswered;
    const std::uint32_t rate = slow ? kSubscribesPerSecondSlow : kSubscribesPerSecond;
    return sent < std::max(1U, rate / kTicks / shards);
}

void Watches::sweep_some() {
    const std::uint32_t end = std::min(places_, sweep_at_ + kSweepPlaces);
    std::uint32_t sent = 0;
    while (sweep_at_ < end && may_send(sent)) {
        Watch* watch = slab_.find_at(sweep_at_++);
        if (watch != nullptr && !is_gone(*watch) && revive(*watch)) ++sent;
    }
    if (host_.restoring()) early_ += sent;
    if (sweep_at_ >= places_) {
        judges_ = repeats_ = false;
        for (Way& way : ways_) way.renews = false;
        return;
    }
    host_.shard().loop().timers().arm(sweep_timer_, now() + kSweepTick);
}

// True: it has to rest, until the rules change again.
bool Watches::end_if_forbidden(Watch& watch) {
    using S = sip::SubscriberState;
    const S state = watch.subscriber.state();
    const bool goes_on = state == S::kNotifyWait || state == S::kPending || state == S::kActive;
    const bool waits = state == S::kInit && watch.subscriber.deadline() != kNever;
    if (!goes_on && !waits && !watch.stands) return false;
    const Pair pair(watch);
    if (admit(pair.xmpp, pair.sip, watch.pair) == Admission::kAllowed) return false;
    if (watch.stands) watch.owe(Debt::kTakeBack);
    watch.stands = false;
    watch.resting = watch.eager = true;
    run(watch, watch.subscriber.unsubscribe(now()));
    if (watch.subscriber.state() == S::kTerminated) watch.resting = false;
    settle(watch);
    return true;
}

// True: it has sent something.
bool Watches::revive(Watch& watch) {
    using S = sip::SubscriberState;
    if (watch.approval == Approval::kNone || watch.leaving) return false;
    const S state = watch.subscriber.state();
    const bool goes_on = state == S::kNotifyWait || state == S::kPending || state == S::kActive;
    if (judges_ && end_if_forbidden(watch)) return true;
    const Way* way = find_way(watch);
    const bool is_up = way == nullptr || way->is_up;
    bool sent = repeats_ && watch.unheard && watch.is_granted();
    if (sent) repeat(watch);
    if (!is_up) {
        if (!way->told || !watch.is_granted() || !watch.wanted || watch.outage_told) return false;
        watch.owe(Debt::kTakeBack);
        watch.owe(Debt::kOutage);
    } else if ((watch.outage_told && state == S::kActive) ||
               (way != nullptr && way->renews && (state == S::kActive || state == S::kPending))) {
        run(watch, watch.subscriber.refresh(now()));
        sent = true;
    } else if (watch.eager && watch.wanted && !goes_on) {
        const Pair pair(watch);
        if (admit(pair.xmpp, pair.sip, watch.pair) != Admission::kAllowed) return false;
        watch.eager = watch.resting = false;
        run(watch, watch.subscriber.subscribe(now()));
        sent = true;
    } else if (!sent) {
        return false;
    }
    settle(watch);
    return sent;
}

}  // namespace fedgate::gateway
