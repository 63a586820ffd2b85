// R12, PRES-71: a partner that can't be reached. Who watches there is told since when and why, and
// when it can be reached again its contacts are asked how they are.
#include <algorithm>
#include <span>

#include "appliance/gateway/watchers.hpp"
#include "core/base/hash.hpp"
#include "xml/text.hpp"

namespace fedgate::gateway {
namespace {

// The first of them comes soon: a stream that broke says nothing of whether the next one stands.
constexpr Duration kFirstAsk = std::chrono::seconds(2);

Bytes explain(link::Fault fault) {
    switch (fault) {
        case link::Fault::kNoSuchDomain: return "the domain has no XMPP server";
        case link::Fault::kNotTrusted: return "the two servers do not trust each other";
        case link::Fault::kRemoteDenied: return "its server refuses us";
        case link::Fault::kRemoteFailing: return "its server fails";
        case link::Fault::kBlocked: return "not allowed by policy";
        case link::Fault::kQueueFull: return "too much waits for its server";
        case link::Fault::kExpired: return "its server takes nothing";
        case link::Fault::kNone:
        case link::Fault::kTooLong:
        case link::Fault::kUnreachable: break;
    }
    return "its server does not answer";
}

}  // namespace

// Of the partner, or only of one stanza?
bool Watchers::says_of_the_way(link::Fault fault) {
    return fault != link::Fault::kTooLong && fault != link::Fault::kQueueFull;
}

void Watchers::on_sent(PresenceToken token) {
    if (ContactDomain* domain = find_domain(token)) return on_up(*domain);
    if (Watcher* watcher = find_watcher(token)) note_unwritten(*watcher, false);
}

void ContactDomain::on_timer(Timer&) { owner.on_timer(*this); }

ContactDomain* Watchers::find_domain(PresenceToken token) {
    if ((token & kDomainToken) == 0) return nullptr;
    const auto number = static_cast<std::uint32_t>(token & ~kDomainToken);
    for (auto& [name, domain] : contact_domains_) {
        if (domain.number == number) return &domain;
    }
    return nullptr;
}

void Watchers::on_partner(const link::PartnerNews& news) {
    ContactDomain* domain = find_domain(news.our_domain, news.their_domain);
    if (domain == nullptr) return;
    if (news.kind == link::PartnerNews::Kind::kUp) return on_up(*domain);
    if (news.kind == link::PartnerNews::Kind::kSeen) {
        if (domain->down_at != kNever) domain->ask_at = now();
        return arm(*domain);
    }
    on_down(*domain, news.fault, news.why);
}

// Since the first sign; the reason is the last one.
void Watchers::on_down(ContactDomain& domain, link::Fault fault, Bytes why) {
    domain.fault = fault;
    if (!why.empty()) domain.why.assign(why.substr(0, kReasonBytes));
    if (domain.down_at != kNever) return;
    domain.why.assign(why.substr(0, kReasonBytes));
    domain.down_at = now();
    domain.down_since = std::chrono::floor<std::chrono::seconds>(host_.shard().loop().wall_now());
    domain.ask_at = now() + kFirstAsk;
    if (domain.walk == ContactDomain::Walk::kHealed) domain.walk = ContactDomain::Walk::kNone;
    arm(domain);
}

void Watchers::on_up(ContactDomain& domain) {
    if (domain.down_at == kNever) return;
    if (domain.lost) {
        host_.shard().log().event(EventId::kPartnerBack,
                                  {{"partner", domain.their}, {"domain", domain.our}});
    }
    domain.down_at = domain.ask_at = kNever;
    domain.lost = false;
    domain.walk = ContactDomain::Walk::kHealed;
    domain.next = domain.first;
    domain.walk_at = now();
    arm(domain);
}

// XEP-0199, so that the edge tries to set up a stream. What answers does not matter: written is
// enough.
void Watchers::ask_domain(ContactDomain& domain) {
    domain.ask_at = now() + host_.rules().settings.presence.ask_again;
    Sink stanza{host_.stanza_memory()};
    xml::DomainBuffer name;
    const auto id = to_hex(host_.random().bytes<8>());
    stanza.append("<iq type='get' from='");  // in domains there is nothing to escape
    stanza.append(xml::wire_domain(domain.our, name));
    stanza.append("' to='");
    stanza.append(xml::wire_domain(domain.their, name));
    stanza.append("' id='");
    stanza.append(Bytes(id.data(), id.size()));
    stanza.append("'><ping xmlns='urn:xmpp:ping'/></iq>");
    FEDGATE_CHECK(!stanza.overflowed());
    host_.to_partner(domain.our, domain.their, stanza.written(), kDomainToken | domain.number);
}

void Watchers::on_timer(ContactDomain& domain) {
    ++domain.count;  // the last watcher may be freed here, and it must not go with him
    const bool room = host_.has_room();
    if (room && domain.ask_at <= now()) ask_domain(domain);
    const Duration patience = host_.rules().settings.presence.lost_after;
    if (domain.down_at != kNever && !domain.lost && domain.down_at + patience <= now()) {
        domain.lost = true;
        domain.walk = ContactDomain::Walk::kLost;
        domain.next = domain.first;
        domain.walk_at = now();
        host_.shard().log().event(
            EventId::kPartnerLost,
            {{"partner", domain.their},
             {"domain", domain.our},
             {"why", domain.why.empty() ? explain(domain.fault) : Bytes(domain.why)}});
    }
    if (room && domain.walk_at <= now()) walk(domain);
    arm(domain);
    send_waiting(domain.lane);
    --domain.count;
    forget_if_empty(domain);
}

void Watchers::arm(ContactDomain& domain) {
    Instant due = std::min(domain.ask_at, domain.walk_at);
    if (domain.down_at != kNever && !domain.lost) {
        due = std::min(due, domain.down_at + host_.rules().settings.presence.lost_after);
    }
    if (due == kNever) return domain.timer.cancel();
    // Without room for stanzas: soon again, but not at once.
    if (due <= now()) due = now() + kNotifyAgain;
    host_.shard().loop().timers().arm(domain.timer, due);
}

// Lost: 2,000 a second, nobody needs to be told faster. Healed: spread, since each makes the
// partner work.
void Watchers::walk(ContactDomain& domain) {
    std::size_t some = std::max<std::size_t>(kWalkedAtOnce / host_.shard().count(), 1);
    if (domain.walk == ContactDomain::Walk::kHealed) {
        some = std::min(some, 1 + domain.count / (kHealWithin / kWalkedEvery));
    }
    for (; some > 0 && domain.next != nullptr; --some) {
        Watcher& watcher = *domain.next;
        domain.next = watcher.next_of_domain;
        if (is_gone(watcher)) continue;
        step(domain, watcher);
        settle(watcher);
    }
    domain.walk_at = domain.next != nullptr ? now() + kWalkedEvery : kNever;
    if (domain.next == nullptr) domain.walk = ContactDomain::Walk::kNone;
}

void Watchers::step(ContactDomain& domain, Watcher& watcher) {
    if (domain.walk == ContactDomain::Walk::kLost) {
        if (is_lost(watcher)) tell_all(watcher, true);
        return;
    }
    if (watcher.auth == WatcherAuth::kAsked && watcher.again_at != kNever) {
        send(watcher, "subscribe");
    } else if (watcher.auth == WatcherAuth::kGranted && watcher.dialogs != nullptr) {
        doubt(watcher);
    }
}

// Through all of them, once more if that was said again meanwhile: so one that comes and goes keeps
// nobody from his turn.
void Watchers::on_edge_back() {
    ask_again_ = true;
    if (!asking_.armed()) host_.shard().loop().timers().arm(asking_, now() + kEdgesGather);
}

void Watchers::ask_some() {
    if (ask_at_ >= places_ && restored_.empty() && std::exchange(ask_again_, false)) ask_at_ = 0;
    std::size_t some = std::max<std::size_t>(kRestoredAtOnce / host_.shard().count(), 1);
    for (std::uint32_t i = 0; i < kJudgedAtOnce && ask_at_ < places_; ++i) {
        if (some == 0 || !host_.has_room()) break;
        Watcher* const watcher = watchers_.find_at(ask_at_++);
        if (watcher == nullptr || is_gone(*watcher)) continue;
        if (ask_how_it_is(*watcher)) --some;
    }
    const bool goes_on = ask_at_ < places_;
    if (!goes_on) ask_at_ = kNobodyToAsk;
    if (!goes_on && !ask_again_) return;
    host_.shard().loop().timers().arm(asking_, now() + (goes_on ? kRestoredEvery : kEdgesGather));
}

// What the contact has said may have come to another node. RFC 6121 3.1.3: whom he has approved is
// told so again, and he is not asked twice.
bool Watchers::ask_how_it_is(Watcher& watcher) {
    if (watcher.domain.down_at != kNever) return false;  // it will be, then
    const bool asks = watcher.auth == WatcherAuth::kAsked && watcher.awaits == 0;
    const bool knows = watcher.auth == WatcherAuth::kGranted && watcher.dialogs != nullptr;
    if (!asks && !knows) return false;
    const std::size_t bound = kUnwrittenOfDomain / host_.shard().count();
    if (watcher.domain.unwritten >= std::max<std::size_t>(bound, 1)) {
        if (asks) watcher.sent = false;
        wait_for_turn(watcher);
        return true;
    }
    asks ? send(watcher, "subscribe") : doubt(watcher);
    settle(watcher);
    return true;
}

// Nothing has come from him since then.
bool Watchers::is_lost(const Watcher& watcher) const {
    return watcher.domain.lost && watcher.auth == WatcherAuth::kGranted &&
           watcher.heard_at < watcher.domain.down_at;
}

void Watchers::write_lost(const Watcher& watcher, Bytes aor, Sink& out) {
    const ContactDomain& domain = watcher.domain;
    char memory[kReasonBytes + limits::kJidPartBytes + 128];
    Sink note{MutableBytes(memory)};
    note.append(domain.their);
    note.append(" can't be reached since ");
    note.append(readable_minute(domain.down_since));
    note.append(": ");
    const Bytes why = domain.why;
    note.append(why.empty() || !xml::is_xml_text(why) ? explain(domain.fault) : why);
    Presence closed;
    if (!watcher.presences.empty()) closed.resource = watcher.presences.begin()->resource;
    closed.add_note({"en", note.written()});
    static_cast<void>(write_pidf(aor, std::span(&closed, 1), true, out, form_for(watcher)));
}

PidfForm Watchers::form_for(const Watcher& watcher) const {
    const rules::SipDomain* domain = host_.rules().sip_domain(watcher.domain.our);
    const bool lync = domain != nullptr && domain->profile == rules::Profile::kLync;
    return lync ? PidfForm::kLync : PidfForm::kStandard;
}

}  // namespace fedgate::gateway
