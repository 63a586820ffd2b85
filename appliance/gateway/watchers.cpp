#include "appliance/gateway/watchers.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/hash.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kHeaderBytes = 4 * xml::kJidBytes + 512;
constexpr int kWatcherIndexBits = 20;
static_assert(kWatchersMax <= 1U << kWatcherIndexBits);

PresenceToken token_of(Handle<Watcher> watcher) {
    constexpr std::uint64_t kMask = kWatchToken - 1;
    return ((PresenceToken{watcher.generation} << kWatcherIndexBits) | watcher.index) & kMask;
}

// PRES-72..74. Status 0: for `seconds`.
SipAnswer judge(const sip::Message& request, const sip::NotifierTiming& timing, Sink& headers,
                std::uint32_t& seconds) {
    const auto event = sip::parse_event(request.value(sip::HeaderName::kEvent));
    if (!event || event->package != "presence") return {489, {}};
    if (event->id.size() > kEventIdBytes) return {400, "Event Id Too Long"};
    if (!accepts_pidf(request)) {
        sip::write_header(headers, sip::HeaderName::kAccept, kPidfType);
        return {406, {}};
    }
    const sip::ExpiresVerdict verdict = sip::judge_expires(request, timing);
    seconds = verdict.seconds;
    if (verdict.status == 200) return {0, {}};
    if (verdict.status == 423) {
        sip::write_header_number(headers, sip::HeaderName::kMinExpires, timing.expires_min);
    }
    return {verdict.status, {}};
}

// PRES-70: what an error says of a subscription.
struct EndRow {
    xml::StanzaCondition condition;
    const char* reason;
};
using Condition = xml::StanzaCondition;
constexpr EndRow kEnds[] = {
    {Condition::kItemNotFound, "noresource"},
    {Condition::kGone, "noresource"},
    {Condition::kForbidden, "rejected"},
    {Condition::kNotAllowed, "rejected"},
    {Condition::kNotAuthorized, "rejected"},
    {Condition::kPolicyViolation, "rejected"},
    {Condition::kRegistrationRequired, "rejected"},
    {Condition::kSubscriptionRequired, "rejected"},
    {Condition::kRemoteServerNotFound, "probation"},
    {Condition::kRemoteServerTimeout, "probation"},
    {Condition::kRecipientUnavailable, "probation"},
    {Condition::kResourceConstraint, "probation"},
    {Condition::kInternalServerError, "probation"},
};

const char* reason_of(Condition condition) {
    for (const EndRow& row : kEnds) {
        if (row.condition == condition) return row.reason;
    }
    return "noresource";
}

}  // namespace

void Watcher::on_timer(Timer&) { owner.on_timer(*this); }

Watchers::Watchers(PresenceHost& host) : host_(host) {
    const auto random = host_.random().bytes<16>();
    std::memcpy(&secret_, random.data(), sizeof secret_);
}

Watchers::~Watchers() = default;

bool Watchers::has_asked(const Key& pair) const {
    const Watcher* watcher = find(pair);
    return watcher != nullptr &&
           (watcher->auth == WatcherAuth::kAsked || watcher->auth == WatcherAuth::kGranted);
}

// ---- From SIP

bool Watchers::take_subscribe(const sip::Message& request, RequestCall& call, const Key& pair,
                              Bytes to_tag, const Origin& origin) {
    if (!host_.has_room() || host_.restoring()) return false;
    char header_memory[kHeaderBytes];
    Sink headers{MutableBytes(header_memory)};
    const auto refuse = [&](const SipAnswer& answer) {
        host_.answer(origin, answer, headers.written());
        return true;
    };
    std::uint32_t seconds = 0;
    if (const SipAnswer refusal = judge(request, timing_, headers, seconds); refusal.status != 0) {
        return refuse(refusal);
    }
    const rules::Decision decision = call.decision_on(rules::Kind::kPresence);
    if (!decision.allowed()) {  // ERR-46
        host_.shard().stats().add(Counter::kPolicyRefused);
        host_.shard().log().event(EventId::kPolicyRefused,
                                  {{"direction", "to XMPP"},
                                   {"partner", call.to.domain_ascii},
                                   {"rule", rules::explain(decision.reason)}});
        return refuse(sip_answer(link::Fault::kBlocked, false));
    }
    if (!host_.has(call.to, call.from)) return refuse(sip_answer(link::Fault::kQueueFull, false));
    Watcher* watcher = find(pair);
    if (watcher != nullptr && watcher->auth == WatcherAuth::kDenied && watcher->until > now()) {
        return refuse({403, {}});  // PRES-62
    }
    for (WatcherDialog* one = watcher != nullptr ? watcher->dialogs : nullptr; one != nullptr;
         one = one->next) {  // SIP-11
        if (one->first_cseq == request.cseq.number && one->dialog.call_id() == request.call_id &&
            one->dialog.remote_tag() == request.from.tag) {
            return refuse({482, {}});
        }
    }
    if (watcher != nullptr && watcher->dialog_count >= kDialogsOfPair) {  // SEC-4
        return refuse({403, "Too Many Subscriptions"});
    }
    auto dialog = sip::Dialog::from_request(request, to_tag);
    if (!dialog) return refuse({sip::Dialog::refusal(dialog.error()), {}});
    if (watcher == nullptr) watcher = make(call.from, call.to, pair);
    if (watcher == nullptr) return refuse(sip_answer(link::Fault::kQueueFull, false));
    using Bound = SubscriptionQuota::Refusal;
    Bound bound = take_place(*watcher);
    const bool asks = seconds != 0 && watcher->auth != WatcherAuth::kGranted &&
                      watcher->auth != WatcherAuth::kAsked;
    if (bound == Bound::kNone && asks) {
        bound = host_.quota().ask(host_.rules().settings.presence, user_key(*watcher), now());
    }
    WatcherDialog* begun =
        bound == Bound::kNone ? begin(*watcher, request, std::move(*dialog), seconds) : nullptr;
    if (begun == nullptr) {
        give_back(*watcher, std::max<std::uint8_t>(watcher->dialog_count, 1));
        settle(*watcher);
        host_.shard().stats().add(Counter::kRateLimited);
        host_.shard().log().event(
            EventId::kRateLimited,
            {{"limit", SubscriptionQuota::name_of(bound)}, {"partner", call.to.domain_ascii}});
        return bound == Bound::kWatcher ? refuse({403, "Too Many Subscriptions"})
                                        : refuse(sip_answer(link::Fault::kQueueFull, false));
    }
    NotifyLane& lane = watcher->domain.lane;
    if (!begun->poll && watcher->auth != WatcherAuth::kGranted) {
        ask(*watcher);
        if (watcher->auth == WatcherAuth::kNone) {  // the store fails
            free(*begun);
            settle(*watcher);
            return refuse(sip_answer(link::Fault::kQueueFull, false));
        }
    }
    write_answer_headers(call.to, host_.agent().route_of(*call.domain), seconds, headers);
    host_.answer(origin, {200, {}}, headers.written());
    run(*begun, begun->notifier.start(seconds, now()));
    if (begun->poll && knows(*watcher) && !watcher->stale) {  // PRES-69
        run(*begun, begun->notifier.change(true, now()));
    } else if (watcher->auth == WatcherAuth::kGranted ||
               (begun->poll && watcher->auth == WatcherAuth::kNone)) {
        probe_if_quiet(*watcher, kFresh);  // PRES-61
    }
    settle(*watcher);
    send_waiting(lane);
    if (seconds != 0) host_.on_watched(pair);  // features.md A6
    return true;
}

bool Watchers::take_refresh(const sip::Message& request, const rules::SipDomain& domain,
                            const Origin& origin) {
    if (!host_.has_room()) return false;
    char header_memory[kHeaderBytes];
    Sink headers{MutableBytes(header_memory)};
    const auto answer = [&](const SipAnswer& sip_answer) {
        host_.answer(origin, sip_answer, headers.written());
        return true;
    };
    WatcherDialog* const dialog = find_dialog(request);
    if (dialog == nullptr && host_.restoring()) return false;
    if (dialog == nullptr || dialog->notifier.state() == sip::NotifierState::kTerminated) {
        return answer({481, {}});  // SIP-22
    }
    Watcher& watcher = dialog->watcher;
    if (host_.rules().sip_domain(watcher.domain.our) != &domain)
        return answer({403, {}});  // SIP-32
    SipRoute* route = host_.agent().find_route(watcher.domain.our);
    Address contact;
    if (route == nullptr || !read_jid(watcher.contact_jid(), contact)) return answer({481, {}});
    std::uint32_t seconds = 0;
    SipAnswer refusal = judge(request, timing_, headers, seconds);
    if (refusal.status == 0) {
        const auto event = sip::parse_event(request.value(sip::HeaderName::kEvent));
        if (event->id != (dialog->event_id ? Bytes(*dialog->event_id) : Bytes())) {  // SIP-23
            refusal.status = 481;
        }
    }
    if (refusal.status == 0) refusal.status = dialog->dialog.on_request(request);
    if (refusal.status != 0) return answer(refusal);
    write_answer_headers(contact, *route, seconds, headers);
    answer({200, {}});
    NotifyLane& lane = watcher.domain.lane;
    dialog->expires_at = now() + std::chrono::seconds(seconds);
    // PRES-66
    if (seconds > 0 && watcher.auth == WatcherAuth::kGranted) probe_if_quiet(watcher, kQuiet);
    run(*dialog, dialog->notifier.on_subscribe(seconds, now()));
    watcher.unkept = true;
    settle(watcher);
    send_waiting(lane);
    return true;
}

Watcher* Watchers::find(const Key& pair) const {
    Watcher* const watcher = index_.find(pair);
    return watcher != nullptr && !is_gone(*watcher) ? watcher : nullptr;
}

WatcherDialog* Watchers::find_dialog(const sip::Message& request) const {
    WatcherDialog* const dialog = dialog_index_.find(sip::dialog_key(secret_, request));
    return dialog != nullptr && !is_gone(dialog->watcher) ? dialog : nullptr;
}

Watcher* Watchers::make(const AddressView& user, const AddressView& contact, const Key& pair) {
    if (Watcher* const gone = index_.find(pair)) forget(*gone);
    Handle<Watcher> handle;
    ContactDomain& domain = domain_of(user.domain_ascii, contact.domain_ascii);
    Watcher* watcher = watchers_.make(handle, *this, domain);
    if (watcher == nullptr) {
        forget_if_empty(domain);
        return nullptr;
    }
    watcher->self = handle;
    watcher->pair = pair;
    places_ = std::max(places_, handle.index + 1);
    char memory[2 * xml::kJidBytes];
    Sink names{MutableBytes(memory)};
    xml::write_jid(names, {user.jid.local, user.jid.domain, {}});
    watcher->sip_jid_bytes = static_cast<std::uint16_t>(names.size());
    xml::write_jid(names, {contact.jid.local, contact.jid.domain, {}});
    FEDGATE_CHECK(!names.overflowed());
    watcher->names.assign(names.written());
    watcher->birth = losses_.birth(slot_of(watcher->contact_jid(), watcher->sip_jid()));
    index_.insert(*watcher);
    watcher->next_of_domain = domain.first;
    if (domain.first != nullptr) domain.first->previous_of_domain = watcher;
    domain.first = watcher;
    ++domain.count;
    return watcher;
}

// SEC-4: a record has one as long as it is there, a further dialog one more. A contact whom nobody
// watches any more, and who has approved, is one of 90 days: that is not one of the user's.
SubscriptionQuota::Refusal Watchers::take_place(Watcher& watcher) {
    using Bound = SubscriptionQuota::Refusal;
    const auto& bounds = host_.rules().settings.presence;
    if (watcher.resting) {
        const Bound bound = host_.quota().wake(bounds, user_key(watcher));
        if (bound != Bound::kNone) return bound;
        watcher.resting = false;
    }
    if (watcher.places > watcher.dialog_count) return Bound::kNone;
    const Bound bound = host_.quota().enter(bounds, user_key(watcher), watcher.domain.their);
    if (bound == Bound::kNone) ++watcher.places;
    return bound;
}

void Watchers::give_back(Watcher& watcher, std::uint8_t keep) {
    for (; watcher.places > keep; --watcher.places) {
        watcher.resting ? host_.quota().leave_resting(watcher.domain.their)
                        : host_.quota().leave(user_key(watcher), watcher.domain.their);
    }
}

ContactDomain* Watchers::find_domain(Bytes our, Bytes their) {
    char memory[2 * limits::kJidPartBytes + 8];
    Sink key{MutableBytes(memory)};
    key.append(our);
    key.append(' ');
    key.append(their);
    const auto found = contact_domains_.find(key.written());
    return found != contact_domains_.end() ? &found->second : nullptr;
}

ContactDomain& Watchers::domain_of(Bytes our, Bytes their) {
    if (ContactDomain* found = find_domain(our, their)) return *found;
    auto lane = lanes_.find(our);
    if (lane == lanes_.end()) lane = lanes_.try_emplace(std::string(our)).first;
    std::string name(our);
    name.append(1, ' ').append(their);
    ContactDomain& made =
        contact_domains_
            .try_emplace(std::move(name), *this, std::string(our), std::string(their), lane->second)
            .first->second;
    made.number = next_domain_++;
    return made;
}

void Watchers::forget_if_empty(ContactDomain& domain) {
    if (domain.count == 0) contact_domains_.erase(domain.our + ' ' + domain.their);
}

WatcherDialog* Watchers::begin(Watcher& watcher, const sip::Message& request, sip::Dialog&& dialog,
                               std::uint32_t seconds) {
    const bool unkept = watcher.unkept;
    WatcherDialog* begun = add(watcher, std::move(dialog));
    if (begun == nullptr) return nullptr;
    begun->first_cseq = request.cseq.number;
    begun->poll = seconds == 0;
    if (begun->poll) watcher.unkept = unkept;
    begun->expires_at = now() + std::chrono::seconds(seconds);
    const auto event = sip::parse_event(request.value(sip::HeaderName::kEvent));
    if (event && !event->id.empty()) begun->event_id = std::make_unique<std::string>(event->id);
    return begun;
}

WatcherDialog* Watchers::add(Watcher& watcher, sip::Dialog&& dialog) {
    Handle<WatcherDialog> handle;
    const bool approved = watcher.auth == WatcherAuth::kGranted && watcher.awaits == 0;
    WatcherDialog* added =
        dialogs_.make(handle, watcher, std::move(dialog), sip::Notifier(timing_, approved));
    if (added == nullptr) return nullptr;
    added->self = handle;
    added->key = added->dialog.key(secret_);
    added->approved_once = approved;
    dialog_index_.insert(*added);
    added->next = watcher.dialogs;
    watcher.dialogs = added;
    ++watcher.dialog_count;
    watcher.unkept = true;
    if (watcher.auth != WatcherAuth::kDenied) watcher.until = kNever;
    return added;
}

// ---- From XMPP

bool Watchers::take_stanza(StanzaCall& call, const Key& pair) {
    if (!host_.has_room()) return false;
    Watcher* watcher = find(pair);
    if (watcher == nullptr) {  // PRES-82
        host_.drop("presence for nobody who watches");
        return true;
    }
    NotifyLane& lane = watcher->domain.lane;
    if (call.stanza.type.empty() || call.stanza.type == "unavailable") {
        on_presence(call, *watcher);
    } else if (call.stanza.type == "subscribed") {
        on_approved(*watcher);
    } else if (call.stanza.type == "unsubscribed") {
        on_refused(*watcher);
    } else {
        on_error(call, *watcher);
    }
    settle(*watcher);
    send_waiting(lane);
    return true;
}

// PRES-65. What is no news ends here.
void Watchers::on_presence(const StanzaCall& call, Watcher& watcher) {
    const bool polled = watcher.dialogs != nullptr;
    if (watcher.auth != WatcherAuth::kGranted && !polled) {
        return host_.drop("presence of one who has not approved");
    }
    Sink memory{host_.stanza_memory()};
    const Presence presence = read_presence(call.stanza, call.from.jid.resource, memory);
    if (watcher.auth != WatcherAuth::kGranted && !knows(watcher)) watcher.presences.clear();
    // Prosody 0.12 says so to everybody who asks: it is no state, but what strangers get.
    if (watcher.auth == WatcherAuth::kAsked && !presence.available && watcher.presences.empty()) {
        return host_.drop("unavailable before the contact approves");
    }
    // After he was told that the contact's server can't be reached, the same state is news, too.
    const bool news = watcher.presences.set(presence) || watcher.stale || is_lost(watcher);
    watcher.heard_at = now();
    watcher.stale = false;
    watcher.failures = 0;
    if (!news) return;
    host_.shard().stats().add(Counter::kPresenceX2s);
    tell_all(watcher, watcher.presences.available_count() == 0);
}

// PRES-63.
void Watchers::on_approved(Watcher& watcher) {
    if (watcher.auth == WatcherAuth::kNone) return host_.drop("subscribed without a wish");
    if (watcher.auth == WatcherAuth::kGranted) return;
    if (!knows(watcher)) watcher.presences.clear();
    set_auth(watcher, WatcherAuth::kGranted);
}

// PRES-64.
void Watchers::on_refused(Watcher& watcher) {
    if (watcher.auth == WatcherAuth::kNone) {  // the answer to the probe of a poll
        tell_all(watcher, true);
        return;
    }
    if (watcher.auth == WatcherAuth::kDenied) return;
    watcher.presences.clear();
    set_auth(watcher, WatcherAuth::kDenied);
}

// PRES-70, PRES-83: only what answers a stanza of ours. Those of the other direction have other
// ids.
void Watchers::on_error(const StanzaCall& call, Watcher& watcher) {
    const auto id = id_of(watcher);
    if (call.id != Bytes(id.data(), id.size())) {
        return host_.drop("error that belongs to no presence");
    }
    const auto error = xml::parse_stanza_error(call.stanza.root);
    end_for(watcher, error ? error->condition : Condition::kUndefinedCondition);
}

void Watchers::end_for(Watcher& watcher, Condition condition) {
    const char* reason = reason_of(condition);
    end_all(watcher, reason, Bytes(reason) == "probation" ? kProbationSeconds : 0);
    watcher.presences.clear();
    if (watcher.auth != WatcherAuth::kDenied) set_auth(watcher, WatcherAuth::kNone);
}

void Watchers::end_all(Watcher& watcher, const char* reason, std::uint32_t retry_after) {
    WatcherDialog* next = nullptr;
    for (WatcherDialog* one = watcher.dialogs; one != nullptr; one = next) {
        next = one->next;
        if (one->poll) {
            run(*one, one->notifier.change(true, now()));
            continue;
        }
        one->without_body = true;
        run(*one, one->notifier.end(reason, retry_after, now()));
    }
}

// ---- To XMPP

// PRES-60: once; and when the wish is uttered anew long after.
void Watchers::ask(Watcher& watcher) {
    if (watcher.auth == WatcherAuth::kGranted) return;
    if (watcher.auth == WatcherAuth::kAsked && now() < watcher.asked_at + kAskAgain) return;
    set_auth(watcher, WatcherAuth::kAsked);
}

void Watchers::probe_if_quiet(Watcher& watcher, Duration quiet) {
    if (now() < watcher.heard_at + quiet || now() < watcher.asked_at + kFresh) return;
    send(watcher, "probe");
}

// What was known is so no more, unless it is said again now: the answer has each resource that is
// there (RFC 6121 4.3.2), and none of those whose end was lost on the way.
void Watchers::doubt(Watcher& watcher) {
    watcher.stale = true;
    watcher.presences.doubt();
    watcher.doubt_at = now() + kAnswerWait;
    send(watcher, "probe");
}

void Watchers::send(Watcher& watcher, Bytes kind) {
    const auto id = id_of(watcher);
    Sink stanza{host_.stanza_memory()};
    write_presence_kind(kind, watcher.sip_jid(), watcher.contact_jid(), Bytes(id.data(), id.size()),
                        stanza);
    FEDGATE_CHECK(!stanza.overflowed());
    const bool asks = kind == "subscribe" || kind == "probe";
    if (asks) {
        watcher.asked_at = now();
        watcher.again_at = kNever;
    }
    if (kind == "subscribe" && !std::exchange(watcher.sent, true)) watcher.unkept = true;
    if (asks) note_unwritten(watcher, true);
    host_.to_partner(watcher.domain.our, watcher.domain.their, stanza.written(),
                     asks ? token_of(watcher.self) : 0);
}

void Watchers::note_unwritten(Watcher& watcher, bool unwritten) {
    if (std::exchange(watcher.unwritten, unwritten) == unwritten) return;
    unwritten ? ++watcher.domain.unwritten : --watcher.domain.unwritten;
}

// Of all that we send for this pair; nobody else can make it.
std::array<char, 32> Watchers::id_of(const Watcher& watcher) const {
    const Key key = host_.keys().make({"watcher", watcher.names});
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &key.high, 8);
    std::memcpy(bytes.data() + 8, &key.low, 8);
    return to_hex(bytes);
}

// Null: not a watcher's, or he is gone.
Watcher* Watchers::find_watcher(PresenceToken token) {
    if ((token & (kDomainToken | kWatchToken)) != 0) return nullptr;
    Watcher* watcher = watchers_.find_at(token & ((1U << kWatcherIndexBits) - 1));
    return watcher != nullptr && !is_gone(*watcher) && token_of(watcher->self) == token ? watcher
                                                                                        : nullptr;
}

// It may come from within to_partner().
void Watchers::on_unsent(PresenceToken token, link::Fault fault) {
    if (ContactDomain* domain = find_domain(token)) return on_down(*domain, fault, {});
    Watcher* watcher = find_watcher(token);
    if (watcher == nullptr) return;
    note_unwritten(*watcher, false);
    watcher->fault = fault;
    host_.shard().loop().timers().arm(watcher->timer, now());
    if (says_of_the_way(fault)) on_down(watcher->domain, fault, {});
}

void Watchers::on_fault(Watcher& watcher, link::Fault fault) {
    const bool asked = watcher.auth == WatcherAuth::kAsked;
    if (!asked && watcher.auth != WatcherAuth::kGranted) {  // a poll's
        return tell_all(watcher, true);
    }
    if (asked && fault == link::Fault::kNoSuchDomain) {
        return end_for(watcher, Condition::kRemoteServerNotFound);
    }
    if (asked && (fault == link::Fault::kRemoteDenied || fault == link::Fault::kBlocked)) {
        return end_for(watcher, Condition::kNotAllowed);
    }
    watcher.doubt_at = kNever;
    if (asked && std::exchange(watcher.sent, false)) watcher.unkept = true;
    ask_later(watcher);
}

void Watchers::ask_later(Watcher& watcher) {
    const Duration pause = std::min(kUnsentFirst * (1U << watcher.failures), kUnsentMax);
    if (watcher.failures < 6) ++watcher.failures;
    watcher.again_at = now() + pause / 10 * 8 + pause / 1'000 * host_.random().below(400);
}

// ---- Approval

// Acts when it is on disk, if there is one.
void Watchers::set_auth(Watcher& watcher, WatcherAuth auth) {
    const WatcherAuth before = std::exchange(watcher.auth, auth);
    watcher.changed = std::chrono::floor<std::chrono::seconds>(host_.shard().loop().wall_now());
    watcher.until = auth == WatcherAuth::kDenied ? now() + kDenialHolds : kNever;
    watcher.again_at = watcher.doubt_at = kNever;
    watcher.failures = 0;
    watcher.sent = watcher.stale = false;
    if (auth == WatcherAuth::kAsked) watcher.asked_at = now();
    if (auth == WatcherAuth::kNone || auth == WatcherAuth::kDenied) {
        host_.on_unwatched(watcher.pair);  // features.md A6
    }
    if (auth == WatcherAuth::kNone) {
        watcher.awaits = 0;
        return keep(watcher);
    }
    if (promise(watcher)) return;
    if (auth == WatcherAuth::kAsked) {  // nobody is asked what would be forgotten
        watcher.auth = before == WatcherAuth::kAsked ? before : WatcherAuth::kNone;
        watcher.unkept = watcher.kept;
        return;
    }
    act(watcher);  // it is so, whatever the disk says
    keep(watcher);
}

void Watchers::act(Watcher& watcher) {
    watcher.awaits = 0;
    switch (watcher.auth) {
        case WatcherAuth::kNone: break;
        case WatcherAuth::kAsked: send(watcher, "subscribe"); break;
        case WatcherAuth::kGranted: {
            WatcherDialog* next = nullptr;
            for (WatcherDialog* one = watcher.dialogs; one != nullptr; one = next) {
                next = one->next;
                one->approved_once = true;
                run(*one, one->notifier.approve(now()));
            }
            break;
        }
        case WatcherAuth::kDenied: end_all(watcher, "rejected", 0); break;
    }
}

// ---- Time, ends

void Watchers::on_timer(Watcher& watcher) {
    if (is_gone(watcher)) return;
    if (!host_.has_room()) {
        return host_.shard().loop().timers().arm(watcher.timer, now() + kNotifyAgain);
    }
    NotifyLane& lane = watcher.domain.lane;
    const link::Fault fault = std::exchange(watcher.fault, link::Fault::kNone);
    if (fault != link::Fault::kNone) on_fault(watcher, fault);
    if (watcher.again_at <= now()) {
        watcher.again_at = kNever;
        watcher.auth == WatcherAuth::kAsked ? send(watcher, "subscribe") : doubt(watcher);
    }
    if (watcher.doubt_at <= now()) {
        note_unwritten(watcher, false);
        watcher.doubt_at = kNever;
        take_doubted_for_gone(watcher);
    }
    if (watcher.until <= now()) {
        if (watcher.auth == WatcherAuth::kGranted) send(watcher, "unsubscribe");  // PRES-78
        set_auth(watcher, WatcherAuth::kNone);
    }
    WatcherDialog* next = nullptr;
    for (WatcherDialog* one = watcher.dialogs; one != nullptr; one = next) {
        next = one->next;
        if (one->notifier.deadline() <= now()) run(*one, one->notifier.on_time(now()));
    }
    settle(watcher);
    send_waiting(lane);
}

void Watchers::take_doubted_for_gone(Watcher& watcher) {
    if (!std::exchange(watcher.stale, false)) {
        if (!watcher.presences.drop_doubted()) return;
        return tell_all(watcher, watcher.presences.available_count() == 0);
    }
    const bool first = watcher.failures == 0;
    if (watcher.presences.set(Presence()) || (first && knows(watcher))) tell_all(watcher, true);
    ask_later(watcher);  // he may be there, and his server could not reach us
}

// The last thing that an event does: a record for nothing goes, else its time is set.
void Watchers::settle(Watcher& watcher) {
    if (watcher.unkept) keep(watcher);
    if (watcher.dialogs == nullptr && watcher.fault == link::Fault::kNone) {
        if (watcher.auth == WatcherAuth::kNone && watcher.awaits == 0 && !watcher.unkept) {
            return free(watcher);
        }
        if (watcher.auth == WatcherAuth::kGranted && !std::exchange(watcher.resting, true)) {
            host_.quota().rest(user_key(watcher));
        }
        if (watcher.until == kNever) {
            watcher.until =
                now() + (watcher.auth == WatcherAuth::kAsked ? kUnansweredDisuse : kDisuse);
        }
    }
    Instant due = std::min({watcher.again_at, watcher.doubt_at, watcher.until});
    if (watcher.unkept) due = std::min(due, now() + kKeepAgain);
    if (watcher.fault != link::Fault::kNone) due = now();
    for (const WatcherDialog* one = watcher.dialogs; one != nullptr; one = one->next) {
        due = std::min(due, one->notifier.deadline());
    }
    if (due == kNever) return watcher.timer.cancel();
    host_.shard().loop().timers().arm(watcher.timer, due);
}

void Watchers::free(WatcherDialog& dialog) {
    FEDGATE_CHECK(!dialog.waiting);
    Watcher& watcher = dialog.watcher;
    WatcherDialog** link = &watcher.dialogs;
    while (*link != &dialog) link = &(*link)->next;
    *link = dialog.next;
    --watcher.dialog_count;
    give_back(watcher, std::max<std::uint8_t>(watcher.dialog_count, 1));
    watcher.unkept = watcher.unkept || !dialog.poll;
    dialog_index_.erase(dialog);
    dialogs_.free(dialog.self);
}

void Watchers::free(Watcher& watcher) {
    give_back(watcher, 0);
    note_unwritten(watcher, false);
    ContactDomain& domain = watcher.domain;
    (watcher.previous_of_domain != nullptr ? watcher.previous_of_domain->next_of_domain
                                           : domain.first) = watcher.next_of_domain;
    if (watcher.next_of_domain != nullptr) {
        watcher.next_of_domain->previous_of_domain = watcher.previous_of_domain;
    }
    --domain.count;
    if (domain.next == &watcher) domain.next = watcher.next_of_domain;
    index_.erase(watcher);
    watchers_.free(watcher.self);
    forget_if_empty(domain);
}

// Without a word to anybody.
void Watchers::forget(Watcher& watcher) {
    while (watcher.dialogs != nullptr) {
        if (watcher.dialogs->waiting) leave_lane(*watcher.dialogs);
        free(*watcher.dialogs);
    }
    free(watcher);
}

bool Watchers::knows(const Watcher& watcher) {
    if (watcher.presences.empty()) return false;
    return watcher.auth == WatcherAuth::kGranted || now() < watcher.heard_at + kFresh;
}

}  // namespace fedgate::gateway
