#include "appliance/edge/ended.hpp"

#include <optional>
#include <string_view>

#include "net/address.hpp"
#include "xml/certificate.hpp"

namespace fedgate::edge {

namespace {

using Cause = xml::StreamEnd::Cause;

struct Reason {
    FailureKind kind;
    EventId event;
    std::string text;
};

// Would a good certificate have helped? Then the bad one is the reason, whatever came of it.
bool is_for_the_certificate(const xml::Stream& stream, const xml::StreamEnd& end,
                            const xml::StreamPolicy& policy) {
    if (!stream.encrypted() || stream.authenticated()) return false;
    switch (end.cause) {
        case Cause::kCertificate: return true;
        case Cause::kErrorSent: return end.condition == xml::StreamError::kNotAuthorized;
        // There was no EXTERNAL for him, and he has nothing else, or it was not enough.
        case Cause::kNoMethod:
        case Cause::kErrorReceived: return policy.external;
        // A clean close: he may have come to ask about a dialback key only.
        case Cause::kClosedByPeer: return policy.external && !policy.dialback_tls;
        default: return false;
    }
}

// They came without TLS, and were turned away or went when they saw <required/>.
bool is_for_want_of_tls(const xml::Stream& stream, const xml::StreamEnd& end,
                        const xml::StreamPolicy& policy) {
    return !stream.encrypted() && policy.possible() && policy.tls_required() &&
           (end.cause == Cause::kNoTls || end.cause == Cause::kErrorReceived ||
            (end.cause == Cause::kErrorSent && stream.role() == xml::Stream::Role::kInbound &&
             end.condition == xml::StreamError::kPolicyViolation));
}

// We have nothing to do with them.
bool is_for_policy(const xml::StreamEnd& end, const xml::StreamPolicy& policy) {
    return end.cause == Cause::kErrorSent && !policy.allowed &&
           end.condition == xml::StreamError::kPolicyViolation;
}

std::string_view why_not_allowed(const rules::Snapshot& rules, Bytes their) {
    if (!rules.settings.federation_allow) return explain(rules::Reason::kFederationOff);
    const rules::Partner* partner = rules.partner(their);
    if (partner == nullptr) return explain(rules.why_no_partner(their));
    return explain(partner->enabled ? rules::Reason::kNotOurDomain
                                    : rules::Reason::kPartnerDisabled);
}

std::optional<Reason> reason_of(const xml::Stream& stream, const xml::StreamEnd& end) {
    switch (end.cause) {
        case Cause::kErrorSent:
            return Reason{FailureKind::kStreamErrorSent, EventId::kStreamErrorSent,
                          "stream error " + std::string(xml::name_of(end.condition))};
        case Cause::kErrorReceived:
            return Reason{FailureKind::kStreamErrorReceived, EventId::kStreamErrorReceived,
                          "stream error " + std::string(xml::name_of(end.condition))};
        case Cause::kNoTls:
            return Reason{FailureKind::kTls, EventId::kTlsFailed,
                          "the partner wants TLS, which is off for it"};
        case Cause::kNoMethod:
            return Reason{FailureKind::kSasl, EventId::kSaslRefused,
                          stream.encrypted()
                              ? "the partner offers no method that is allowed for it"
                              : "in clear the partner offers no method that is allowed for it"};
        case Cause::kRefused:
            // Inbound: a dialback key, of which the verification has told.
            if (stream.role() == xml::Stream::Role::kInbound) return std::nullopt;
            return Reason{FailureKind::kSasl, EventId::kSaslRefused,
                          "the partner refuses SASL EXTERNAL: it may not trust our certificate"};
        case Cause::kTimeout:
            return Reason{FailureKind::kUnreachable, EventId::kStreamTimeout,
                          "the stream was not set up in time"};
        default: return std::nullopt;
    }
}

}  // namespace

void tell_why_ended(Context& context, const xml::Stream& stream, const xml::StreamEnd& end,
                    const net::Connection& connection) {
    const Bytes their = stream.their_domain();
    const bool inbound = stream.role() == xml::Stream::Role::kInbound;
    std::optional<Reason> reason;
    const xml::StreamPolicy policy = context.stream_policy(stream.our_domain(), their);
    if (is_for_the_certificate(stream, end, policy) &&
        !xml::covers(connection.peer(), their, false)) {
        reason = Reason{FailureKind::kCertificate, EventId::kCertificateRefused,
                        xml::why_not_covered(connection.peer(), their)};
    } else if (is_for_policy(end, policy) && !their.empty()) {
        reason = Reason{FailureKind::kStreamErrorSent, EventId::kPartnerDenied,
                        std::string(why_not_allowed(*context.rules, their))};
    } else if (is_for_want_of_tls(stream, end, policy)) {
        reason = Reason{FailureKind::kTls, EventId::kPartnerTlsRequired,
                        "TLS is required, and the partner has none"};
    } else if (!stream.authenticated() || end.cause == Cause::kErrorSent ||
               end.cause == Cause::kErrorReceived) {
        reason = reason_of(stream, end);
    }
    if (!reason) return;
    const std::string peer = net::format_address(connection.peer_address());
    const bool stream_error = reason->event == EventId::kStreamErrorSent ||
                              reason->event == EventId::kStreamErrorReceived;
    context.log.event(reason->event,
                      {{"direction", inbound ? "in" : "out"},
                       {"partner", their},
                       {"peer", peer},
                       {stream_error ? "condition" : "reason",
                        stream_error ? xml::name_of(end.condition) : Bytes(reason->text)}});
    if (their.empty()) return;
    if (inbound && !stream.authenticated()) context.stats.add(Counter::kXmppInFailed);
    context.note_failure(reason->kind, inbound, their, peer, std::move(reason->text));
}

void tell_tls_failed(Context& context, bool inbound, Bytes their, const net::Connection& connection,
                     Error reason) {
    std::string peer = net::format_address(connection.peer_address());
    context.log.event(EventId::kTlsFailed, {{"direction", inbound ? "in" : "out"},
                                            {"partner", their},
                                            {"peer", peer},
                                            {"where", reason.where}});
    if (their.empty()) return;
    if (inbound) context.stats.add(Counter::kXmppInFailed);
    context.note_failure(FailureKind::kTls, inbound, their, std::move(peer),
                         "the TLS handshake failed: " + std::string(reason.where));
}

}  // namespace fedgate::edge
