// Watches and XMPP: subscribe, unsubscribe, probe and signs of life in; approval and presence out.
#include <algorithm>

#include "appliance/gateway/pidf.hpp"
#include "appliance/gateway/watches.hpp"
#include "core/base/hash.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kOutageTextBytes = 512;
constexpr Duration kRepeatAfter = std::chrono::seconds(60);  // sooner when the partner is back
// What is in doubt was on a way that broke; there is another, which nobody may have news of.
constexpr Duration kRepeatDoubtAfter = std::chrono::seconds(2);
constexpr int kWatchIndexBits = 24;
static_assert(kWatches <= 1U << kWatchIndexBits);

PresenceToken token_of(const Watch& watch) {
    const PresenceToken generation = watch.self.generation;
    const PresenceToken own = (generation << kWatchIndexBits) | watch.self.index;
    return kWatchToken | (own & (kWatchToken - 1));
}

using Id = std::array<char, 16>;
Id fresh_id(Random& random) { return to_hex(random.bytes<8>()); }  // PRES-9

Bytes text_of(const Id& id) { return {id.data(), id.size()}; }

}  // namespace

bool Watches::take_stanza(StanzaCall& call, const Key& pair) {
    Watch* watch = find(pair);
    if (call.stanza.type == "unsubscribe") return take_unsubscribe(call, watch);
    const Admission admission = admit(call.from, call.to, pair);
    if (admission == Admission::kRefused) return refuse_by_policy(call);
    return call.stanza.type == "probe" ? take_probe(call, watch, pair, admission)
                                       : take_subscribe(call, watch, pair, admission);
}

// With an error, not with `unsubscribed`: that would say that our user declined, and would end what
// stands on the other side while only a rule of ours has changed (RFC 6121 3.1.2 lets an error
// answer a request). It says why, as for a message.
bool Watches::refuse_by_policy(StanzaCall& call) {
    if (!host_.refuse(call, LocalFault::kPolicy)) return false;
    host_.shard().stats().add(Counter::kPolicyRefused);
    host_.shard().log().event(EventId::kPolicyRefused, {{"direction", "from XMPP"},
                                                        {"partner", call.from_partner.from_domain},
                                                        {"rule", "presence"}});
    return true;
}

// SEC-4. Null: at a bound, and refused (or not, when there is no room now).
Watch* Watches::make_counted(StanzaCall& call, const Key& pair, bool& refused) {
    const Key user = host_.keys().make({call.from.jid.local, call.from.jid.domain});
    const auto& bounds = host_.rules().settings.presence;
    const auto refusal = host_.quota().enter(bounds, user, call.from.domain_ascii);
    if (refusal == SubscriptionQuota::Refusal::kNone) {
        if (Watch* watch = make(pair, call.from, call.to)) return watch;
        host_.quota().leave(user, call.from.domain_ascii);
    }
    refused = host_.refuse(call, LocalFault::kQuota);
    host_.shard().stats().add(Counter::kRateLimited);
    host_.shard().log().event(EventId::kRateLimited,
                              {{"limit", SubscriptionQuota::name_of(refusal)},
                               {"partner", call.from_partner.from_domain}});
    return nullptr;
}

// PRES-30, PRES-34.
bool Watches::take_subscribe(StanzaCall& call, Watch* watch, const Key& pair, Admission admission) {
    if (watch == nullptr) {
        bool refused = false;
        watch = make_counted(call, pair, refused);
        if (watch == nullptr) return refused;
    }
    if (watch->is_granted() && !watch->leaving) {
        if (watch->approval == Approval::kTold) {
            const Pair both(*watch);
            say(both, "subscribed", watch->sip(), watch->xmpp(), token_of(*watch));
            tell_announced(*watch, both, watch->xmpp());
        }
        touch(*watch);
        settle(*watch);
        return true;
    }
    if (watch->approval != Approval::kAsked) {
        const Approval before = watch->approval;
        const bool was_leaving = watch->leaving;
        const bool was_resting = watch->resting;
        const bool stood = watch->stands;
        const std::uint8_t debts = watch->debts;
        watch->approval = Approval::kAsked;
        watch->asked_at = wall_now();
        watch->wanted = true;
        if (watch->leaving) watch->owe(Debt::kTakeBack);  // what was seen before is seen anew
        watch->leaving = watch->resting = watch->stands = false;
        watch->forgive(Debt::kEnd);
        watch->forgive(Debt::kError);
        if (!ask_store(*watch)) {
            watch->approval = before;  // what ends goes on ending
            watch->leaving = was_leaving;
            watch->resting = was_resting;
            watch->stands = stood;
            watch->debts = debts;
            const bool refused = host_.refuse(call, LocalFault::kOverload);
            settle(*watch);
            return refused;
        }
    }
    watch->interest_at = now();
    const sip::SubscriberState state = watch->subscriber.state();
    const bool goes_on =
        state == sip::SubscriberState::kNotifyWait || state == sip::SubscriberState::kPending;
    if (admission == Admission::kAllowed && !goes_on) {
        run(*watch, watch->subscriber.subscribe(now()));
    }
    settle(*watch);
    return true;
}

// PRES-43.
bool Watches::take_unsubscribe(StanzaCall& call, Watch* watch) {
    if (watch == nullptr || watch->approval == Approval::kNone) {
        if (watch != nullptr && watch->owes(Debt::kEnd)) return true;
        char memory[2 * xml::kJidBytes];
        Sink names{MutableBytes(memory)};
        xml::write_jid(names, call.from.jid.bare());
        const std::size_t user_bytes = names.size();
        xml::write_jid(names, call.to.jid.bare());
        Sink stanza{host_.stanza_memory()};
        write_presence_kind("unsubscribed", names.written().substr(user_bytes),
                            names.written().substr(0, user_bytes),
                            text_of(fresh_id(host_.random())), stanza);
        host_.to_partner(call.to.domain_ascii, call.from.domain_ascii, stanza.written());
        return true;
    }
    if (watch->leaving) return true;
    watch->leaving = true;
    watch->eager = watch->stands = false;
    const bool is_ending = watch->resting;  // its end is reported, and then it is this one
    run(*watch, watch->subscriber.unsubscribe(now()));
    const sip::SubscriberState state = watch->subscriber.state();
    const bool has_ended =
        state == sip::SubscriberState::kTerminated || state == sip::SubscriberState::kLeft;
    if (watch->leaving && has_ended && !is_ending && watch->subscriber.deadline() == kNever) {
        on_ended(*watch, true);
    }
    settle(*watch);
    return true;
}

// PRES-45.
bool Watches::take_probe(StanzaCall& call, Watch* watch, const Key& pair, Admission admission) {
    using S = sip::SubscriberState;
    if (watch == nullptr || watch->approval == Approval::kNone) {
        if (admission == Admission::kHeld) return host_.refuse(call, LocalFault::kPolicy);
        if (watch == nullptr) {
            bool refused = false;
            watch = make_counted(call, pair, refused);
            if (watch == nullptr) return refused;
        }
        note_prober(*watch, call.from_text);
        run(*watch, watch->subscriber.fetch(now()));
        settle(*watch);
        return true;
    }
    if (watch->is_granted() && !watch->leaving) {
        touch(*watch);
        const S state = watch->subscriber.state();
        if (state == S::kNotifyWait && !watch->stands) {  // the NOTIFY answers
            note_prober(*watch, call.from_text);
        } else {
            const Pair both(*watch);
            tell_announced(*watch, both, call.from_text);
        }
        settle(*watch);
        return true;
    }
    // He waits for approval: there is nothing to know, and no need to ask for that.
    const Pair both(*watch);
    say(both, "unavailable", watch->sip(), call.from_text);
    return true;
}

// One of them; when there are several the answer goes to all.
void Watches::note_prober(Watch& watch, Bytes prober) {
    std::string& known = watch.waiting().prober;
    if (known.empty()) {
        known = prober;
    } else if (known != prober) {
        known = watch.xmpp();
    }
}

// PRES-42, PRES-46, PRES-80.
void Watches::on_evidence(const StanzaCall& call, const Key& pair) {
    if (count() == 0) return;
    Watch* const watch = find(pair);
    if (watch == nullptr || watch->approval == Approval::kNone || watch->leaving) return;
    const bool is_presence = call.stanza.kind == xml::StanzaKind::kPresence;
    const Bytes resource = call.from.jid.resource;
    const auto hash =
        is_presence ? static_cast<std::uint32_t>(host_.keys().make({resource}).low) : 0;
    if (is_presence && call.stanza.type == "unavailable") {
        if (resource.empty()) watch->resources.clear();
        const bool nobody = resource.empty() || watch->resources.remove(hash);
        if (!nobody || !watch->is_granted() || !watch->wanted) return;
        watch->rest_at = now() + kRestAfter;
    } else {
        if (is_presence && !resource.empty()) watch->resources.add(hash);
        if (watch->wanted && watch->dialog) {  // as for nearly all messages: its timer sees it
            watch->interest_at = now();
            watch->rest_at = kNever;
            return;
        }
        touch(*watch);
    }
    settle(*watch);
}

// ---- To the XMPP user

void Watches::say(const Pair& pair, Bytes type, Bytes from, Bytes to, PresenceToken token) {
    Sink stanza{host_.stanza_memory()};
    write_presence_kind(type, from, to, text_of(fresh_id(host_.random())), stanza);
    FEDGATE_CHECK(!stanza.overflowed());
    host_.to_partner(pair.sip.domain_ascii, pair.xmpp.domain_ascii, stanza.written(), token);
}

void Watches::tell(const Pair& pair, const Presence& presence, Bytes from, Bytes to, Bytes language,
                   bool notes, PresenceToken token) {
    const Id id = fresh_id(host_.random());
    Sink stanza{host_.stanza_memory()};
    write_presence(
        {.from = from, .to = to, .id = text_of(id), .language = language, .now = wall_now()},
        presence, notes, stanza);
    FEDGATE_CHECK(!stanza.overflowed());
    host_.shard().stats().add(Counter::kPresenceS2x);
    host_.to_partner(pair.sip.domain_ascii, pair.xmpp.domain_ascii, stanza.written(), token);
}

bool Watches::shows_notes(const Pair& pair) const {  // R7; features.md P8
    const rules::Partner* partner = host_.rules().partner(pair.xmpp.domain_ascii);
    return partner != nullptr && rules::effects(partner->type).sees_note &&
           partner->passes(rules::Kind::kNotes);
}

void Watches::tell_state(Watch& watch, const Pair& pair, const Presence& presence, Bytes language,
                         bool notes) {
    presence.available ? note_there(watch, presence.resource) : note_gone(watch, presence.resource);
    tell(pair, presence, watch.sip(), watch.xmpp(), language, notes, token_of(watch));
}

void Watches::note_gone(Watch& watch, Bytes resource) {
    if (resource.empty()) return;  // that is said again as long as nobody is there
    note_there(watch, resource);
    Watch::Waiting& rest = watch.waiting();
    while (rest.gone.size() + resource.size() + 1 > kGoneBytes) {
        rest.gone.erase(0, rest.gone.find('\n') + 1);
    }
    rest.gone.append(resource).append(1, '\n');
    rest.gone_until = now() + kGoneKept;
}

void Watches::note_there(Watch& watch, Bytes resource) {
    if (watch.rest == nullptr) return;
    std::string& gone = watch.rest->gone;
    for (std::size_t at = 0; at < gone.size();) {
        const std::size_t end = gone.find('\n', at);
        if (Bytes(gone).substr(at, end - at) == resource) {
            gone.erase(at, end + 1 - at);
            return;
        }
        at = end + 1;
    }
}

// What he knows already, or that nothing is known.
void Watches::tell_announced(const Watch& watch, const Pair& pair, Bytes to) {
    const bool notes = shows_notes(pair);
    const PresenceToken token = watch.is_granted() ? token_of(watch) : 0;
    bool any = false;
    for (const Presence& one : watch.announced) {
        any = true;
        tell(pair, one, watch.sip(), to, {}, notes, token);
    }
    if (!any) say(pair, "unavailable", watch.sip(), to, token);
}

// What he was told is lost, or may be: the partner could not be reached. All of it again, for
// nobody there asks by himself when only the way was broken.
void Watches::on_unsent(PresenceToken token, bool in_doubt) {
    Watch* watch = slab_.find_at(token & ((1U << kWatchIndexBits) - 1));
    if (watch == nullptr || is_gone(*watch) || token_of(*watch) != token) return;
    if (!watch->is_granted()) return;
    watch->unheard = true;
    repeat_at_ = std::min(repeat_at_, now() + (in_doubt ? kRepeatDoubtAfter : kRepeatAfter));
}

void Watches::on_partner(const link::PartnerNews& news) {
    const bool there =
        news.kind == link::PartnerNews::Kind::kUp || news.kind == link::PartnerNews::Kind::kSeen;
    if (!there || repeat_at_ == kNever) return;
    repeat_at_ = now();
    look_at_ways();
}

void Watches::repeat(Watch& watch) {
    const Pair pair(watch);
    watch.unheard = false;
    if (watch.approval == Approval::kTold) {
        say(pair, "subscribed", watch.sip(), watch.xmpp(), token_of(watch));
    }
    if (watch.rest != nullptr) {
        Bytes rest = watch.rest->gone;
        for (std::size_t end = 0; (end = rest.find('\n')) != Bytes::npos;) {
            Presence gone;
            gone.resource = rest.substr(0, end);
            tell(pair, gone, watch.sip(), watch.xmpp(), {}, false, token_of(watch));
            rest.remove_prefix(end + 1);
        }
        watch.rest->gone_until = now() + kGoneKept;
    }
    tell_announced(watch, pair, watch.xmpp());
}

// PRES-14..18, PRES-31: what a NOTIFY says, with a document or (empty) without.
void Watches::show(Watch& watch, const Pair& pair, Bytes document, Bytes language) {
    if (watch.leaving || watch.resting || watch.approval == Approval::kAsked) return;
    const bool notes = shows_notes(pair);
    const bool probed = watch.has_prober();
    bool told = false;
    if (!document.empty()) {
        Sink memory{host_.request_memory()};
        const PidfVerdict verdict = read_pidf(document, tree_, tuples_, memory);
        if (verdict != PidfVerdict::kRead) {
            host_.drop("presence document that can't be read");
        } else if (watch.approval == Approval::kNone) {  // PRES-45: to him who asks, once
            Presences of_poll;
            static_cast<void>(of_poll.diff(tuples_, [&](const Presence& one) {
                if (probed) tell(pair, one, watch.sip(), watch.rest->prober, language, notes);
                return told = true;
            }));
        } else {
            static_cast<void>(watch.announced.diff(tuples_, [&](const Presence& one) {
                tell_state(watch, pair, one, language, notes);
                return told = true;
            }));
            keep_if_changed(watch);
        }
    }
    if (told && probed) watch.rest->prober.clear();
    if (!told && probed) answer_prober(watch, pair);
    if (!told && !probed && watch.outage_told) watch.owe(Debt::kReassure);
    watch.outage_told = false;
}

// PRES-18: a new dialog that knows nothing of the contact. What was told in the last one is true no
// longer; and of a process that was killed, the row may not have all that was told.
void Watches::forget_state(Watch& watch) {
    if (watch.leaving || watch.resting || !watch.is_granted()) return;
    watch.owe(Debt::kTakeBack);
    if (watch.restored) watch.owe(Debt::kReassure);
    static_cast<void>(pay(watch));  // before a prober has his answer; what is left, settle() pays
}

void Watches::answer_prober(Watch& watch, const Pair& pair) {
    const std::string prober = std::exchange(watch.rest->prober, {});
    if (!prober.empty()) tell_announced(watch, pair, prober);
}

// `unavailable` for all that was told; where that is because of us with the reason. True: he has
// heard one.
bool Watches::take_back(Watch& watch, const Pair& pair) {
    Note note;
    char memory[kOutageTextBytes];
    if (watch.owes(Debt::kOutage)) {
        const Way* way = find_way(watch);
        const bool is_known = way != nullptr && !way->is_up;
        const WallTime since =
            is_known ? wall_now() - std::chrono::floor<std::chrono::seconds>(now() - way->since)
                     : wall_now();
        Sink text{MutableBytes(memory)};
        text.append(pair.sip.domain_ascii);
        text.append(" can't be reached since ");
        text.append(readable_minute(since));
        text.append(": ");
        text.append(is_known && *way->why != '\0' ? Bytes(way->why) : Bytes("no answer"));
        note = {"en", text.written()};
    }
    bool told = false;
    const auto send = [&](const Presence& gone) {
        Presence with_reason = gone;
        if (!note.text.empty()) with_reason.add_note(note);
        tell_state(watch, pair, with_reason, {}, true);
        return told = true;
    };
    static_cast<void>(watch.announced.take_back(send));
    if (!watch.owes(Debt::kOutage)) return told;
    if (!told) static_cast<void>(send(Presence()));
    watch.outage_told = true;
    return true;
}

// PRES-36, PRES-39.
void Watches::say_error(const Watch& watch, const Pair& pair) {
    const ErrorKind kind =
        watch.status != 0 ? stanza_error_of_status(watch.status) : stanza_error(watch.fault);
    xml::StanzaError error;
    error.condition = kind.condition;
    error.type = kind.type;
    error.by = pair.sip.domain_ascii;
    if (watch.status == 0) error.text = explain(watch.fault);
    Sink stanza{host_.stanza_memory()};
    xml::write_stanza_error(stanza, xml::StanzaKind::kPresence, watch.sip(), watch.xmpp(), {},
                            error);
    FEDGATE_CHECK(!stanza.overflowed());
    host_.to_partner(pair.sip.domain_ascii, pair.xmpp.domain_ascii, stanza.written());
}

// Says what is due. False: there is no room for it now. What waits for the store is not due.
bool Watches::pay(Watch& watch) {
    if (watch.debts == 0) return true;
    if (!host_.has_room()) return false;
    const Pair pair(watch);
    if (watch.owes(Debt::kTakeBack)) {
        if (take_back(watch, pair)) watch.forgive(Debt::kReassure);
        watch.forgive(Debt::kTakeBack);
        watch.forgive(Debt::kOutage);
        keep_if_changed(watch);
    }
    if (watch.owes(Debt::kApproval) && watch.unstored == 0 && !watch.unsaved) {
        watch.forgive(Debt::kApproval);
        say(pair, "subscribed", watch.sip(), watch.xmpp(), token_of(watch));
        watch.approval = Approval::kTold;
        keep(watch);
        if (watch.rest != nullptr) {
            const std::string document = std::exchange(watch.rest->document, {});
            show(watch, pair, document, watch.rest->language);
        }
    }
    if (watch.owes(Debt::kAnswer)) {
        watch.forgive(Debt::kAnswer);
        if (watch.rest != nullptr) answer_prober(watch, pair);
    }
    if (watch.owes(Debt::kReassure)) {
        watch.forgive(Debt::kReassure);
        say(pair, "unavailable", watch.sip(), watch.xmpp(), token_of(watch));
    }
    const bool is_kept = watch.unstored == 0 && !watch.unsaved;
    if (is_kept && watch.owes(Debt::kEnd)) {
        watch.forgive(Debt::kEnd);
        say(pair, "unsubscribed", watch.sip(), watch.xmpp());
    }
    if (is_kept && watch.owes(Debt::kError)) {
        watch.forgive(Debt::kError);
        say_error(watch, pair);
    }
    return true;
}

}  // namespace fedgate::gateway
