#include "appliance/admin/forecast.hpp"

namespace fedgate::admin {
namespace {

using namespace rules::method;

Forecast refused(std::string_view why) { return {0, {}, why}; }

Forecast within_tls(const rules::Negotiation& row, const Offer& offer) {
    const bool dialback = row.allows(kDialbackTls);
    if (!offer.secured) return refused("the TLS handshake with them fails");
    if (!offer.certificate && !dialback)
        return refused("their certificate does not prove the domain, and nothing else would do");
    if (offer.certificate && row.allows(kSaslTls) && offer.external)
        return {kSaslTls, "certificate", {}};
    if (!dialback)
        return refused("they don't offer SASL EXTERNAL to our certificate, and dialback is off");
    if (!offer.dialback) return refused("they offer nothing that is allowed");
    return {kDialbackTls, offer.certificate ? "certificate" : "dialback over TLS", {}};
}

}  // namespace

Forecast forecast(const rules::Negotiation& row, const Offer& offer) {
    if (!row.valid()) return refused(row.remark);
    const bool wants_tls = row.allows(kSaslTls) || row.allows(kDialbackTls);
    if (offer.tls && wants_tls) return within_tls(row, offer);
    if (!row.allows(kDialbackClear)) return refused("they offer no TLS");
    if (offer.tls_required) return refused("they insist on TLS");
    if (!offer.clear_dialback) return refused("they offer no dialback without TLS");
    return {kDialbackClear, "dialback in clear", {}};
}

const rules::Negotiation* safest(const Offer& offer) {
    using enum rules::Need;
    const rules::Negotiation* const from_the_safest[] = {
        &rules::negotiation(kRequired, kRequired, false),
        &rules::negotiation(kRequired, kOptional, true),
        &rules::negotiation(kOptional, kOptional, true),
        &rules::negotiation(kNone, kNone, true),
    };
    for (const rules::Negotiation* row : from_the_safest) {
        if (forecast(*row, offer).method != 0) return row;
    }
    return nullptr;
}

}  // namespace fedgate::admin
