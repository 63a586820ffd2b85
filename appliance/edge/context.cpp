#include "appliance/edge/context.hpp"

#include <algorithm>
#include <utility>

#include "appliance/edge/sessions.hpp"
#include "core/base/limits.hpp"
#include "net/address.hpp"

namespace fedgate::edge {

namespace {

xml::StreamPolicy methods_of(std::uint8_t methods, bool bidi) {
    return {.allowed = true,
            .external = (methods & rules::method::kSaslTls) != 0,
            .dialback_tls = (methods & rules::method::kDialbackTls) != 0,
            .dialback_clear = (methods & rules::method::kDialbackClear) != 0,
            .bidi = bidi};
}

}  // namespace

xml::StreamPolicy Context::stream_policy(Bytes our, Bytes their) const {
    if (!rules->settings.federation_allow) return {};
    if (their.empty()) {
        std::uint8_t methods = 0;
        bool bidi = false;
        for (const rules::Partner& partner : rules->partners()) {
            if (partner.discovered() && !rules->settings.federation_discovery) continue;
            if (!partner.enabled) continue;
            methods |= partner.negotiation.methods;
            bidi = bidi || partner.bidi;
        }
        return methods == 0 ? xml::StreamPolicy{} : methods_of(methods, bidi);
    }
    // SEC-1: nobody outside speaks for a domain of ours; partner() is null for those.
    const rules::Partner* partner = rules->partner(their);
    if (partner == nullptr || !partner->enabled) return {};
    if (!our.empty() && rules->sip_domain(our) == nullptr) return {};
    return methods_of(partner->negotiation.methods, partner->bidi);
}

xml::Served Context::serves(Bytes our) const {
    if (rules->sip_domain(our) != nullptr) return xml::Served::kYes;
    return std::ranges::find(gone, our) != gone.end() ? xml::Served::kGone : xml::Served::kNo;
}

bool Context::asks_dane(Bytes their) const {
    if (rules->settings.dns_trust_anchor.empty()) return false;
    const rules::Partner* partner = rules->partner(their);
    return partner != nullptr && partner->enabled && partner->dane;
}

net::TlsFloor Context::tls_floor(Bytes their) const {
    const rules::Partner* partner = rules->partner(their);
    return partner != nullptr && partner->legacy_tls ? net::TlsFloor::kLegacy
                                                     : net::TlsFloor::kModern;
}

void Context::tell(EventId event, FailureKind kind, bool inbound, Bytes their,
                   const net::Connection* connection, std::string text) {
    const std::string peer =
        connection != nullptr ? net::format_address(connection->peer_address()) : std::string();
    log.event(event, {{"direction", inbound ? "in" : "out"},
                      {"partner", their},
                      {"peer", peer},
                      {"reason", text}});
    note_failure(kind, inbound, their, peer, std::move(text));
}

void Context::note_failure(FailureKind kind, bool inbound, Bytes their, std::string peer,
                           std::string text) {
    failures.note(*rules, {std::string(their), inbound, kind, loop.wall_now(), std::move(peer),
                           std::move(text)});
}

void Context::note_certificate(Bytes their, const net::Connection& connection, bool direct_tls) {
    if (connection.secured())
        seen.note(*rules, their, connection.peer(), direct_tls, loop.wall_now());
}

Duration Context::space_pause(const xml::StreamLimits& theirs) const {
    // Keeps address translators on the way awake.
    constexpr int kSpacesPerInterval = 5;
    const Duration pause = rules->settings.xmpp.keepalive_interval / kSpacesPerInterval;
    return theirs.idle == Duration{} ? pause : std::min(pause, theirs.idle / 2);
}

void Context::tell_answer_lost(Bytes our, Bytes their) {
    stats.add(Counter::kXmppAnswersLost);
    log.event(EventId::kAnswerLost, {{"partner", their}, {"domain", our}});
}

void Context::apply_rules() {
    failures.recheck(*rules);
    seen.recheck(*rules);
    const rules::Settings::Xmpp& xmpp = rules->settings.xmpp;
    settings.stanza_bytes_max = xmpp.stanza_bytes;
    settings.depth_max = xmpp.depth;
    settings.idle_max = std::min(xmpp.keepalive_interval, xmpp.inactivity);
    settings.establish_max = xmpp.establish;
    settings.resume_max = kSessionKept;
    if (!rules->sip_domains().empty()) settings.default_domain = rules->sip_domains().front().name;

    std::vector<std::string> before = std::exchange(ours, {});
    for (const rules::SipDomain& domain : rules->sip_domains()) ours.push_back(domain.name);
    for (std::string& name : before) {
        if (rules->sip_domain(name) == nullptr) gone.push_back(std::move(name));
    }
    std::erase_if(gone,
                  [this](const std::string& name) { return rules->sip_domain(name) != nullptr; });
    if (gone.size() > limits::kGoneDomains) {
        gone.erase(gone.begin(), gone.end() - static_cast<std::ptrdiff_t>(limits::kGoneDomains));
    }
}

}  // namespace fedgate::edge
