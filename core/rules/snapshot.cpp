#include "core/rules/snapshot.hpp"

namespace fedgate::rules {

namespace {

// The domain itself, else the longest `*.domain` above it.
std::uint32_t find_pattern(const NameIndex& index, Bytes domain) {
    std::uint32_t found = index.find(domain);
    for (std::size_t dot = domain.find('.'); found == NameIndex::kNone && dot != Bytes::npos;
         dot = domain.find('.', dot + 1)) {
        found = index.find("*", domain.substr(dot), {});
    }
    return found;
}

}  // namespace

const Partner* Snapshot::partner(Bytes domain) const {
    if (denied(domain)) return nullptr;
    std::uint32_t found = partner_index_.find(domain);
    if (found != NameIndex::kNone) return &partners_[found];
    // SEC-1: a domain of ours is never a partner.
    if (sip_domain(domain) != nullptr) return nullptr;
    found = find_pattern(partner_index_, domain);
    if (found != NameIndex::kNone) return &partners_[found];
    return settings.federation_discovery ? &partners_.front() : nullptr;
}

bool Snapshot::denied(Bytes domain) const {
    return deny_index_.count() != 0 && find_pattern(deny_index_, domain) != NameIndex::kNone;
}

Reason Snapshot::why_no_partner(Bytes domain) const {
    if (sip_domain(domain) != nullptr) return Reason::kOurDomain;
    return denied(domain) ? Reason::kPartnerDenied : Reason::kPartnerUnknown;
}

const SipDomain* Snapshot::sip_domain(Bytes domain) const {
    const std::uint32_t found = sip_domain_index_.find(domain);
    return found == NameIndex::kNone ? nullptr : &sip_domains_[found];
}

const Policy& Snapshot::policy_of(Bytes user, const SipDomain& domain) const {
    const std::uint32_t found = user_index_.find(user, "@", domain.name);
    if (found != NameIndex::kNone) return policies_[found];
    return policies_[domain_policies_[static_cast<std::size_t>(&domain - sip_domains_.data())]];
}

const Site* Snapshot::site_of(Bytes user, const SipDomain& domain) const {
    std::uint32_t found = NameIndex::kNone;
    if (users_have_sites()) found = user_site_index_.find(user, "@", domain.name);
    if (found == NameIndex::kNone) {
        found = domain_sites_[static_cast<std::size_t>(&domain - sip_domains_.data())];
    }
    return found == NameIndex::kNone ? nullptr : &sites_[found];
}

Decision Snapshot::may_converse(Bytes user, Bytes our_domain, Bytes xmpp_domain,
                                Direction direction) const {
    if (!settings.federation_allow) return {Reason::kFederationOff};
    const SipDomain* ours = sip_domain(our_domain);
    if (ours == nullptr) return {Reason::kNotOurDomain};
    const Partner* theirs = partner(xmpp_domain);
    if (theirs == nullptr) return {why_no_partner(xmpp_domain)};
    return may_converse(user, *ours, *theirs, direction);
}

Decision Snapshot::may_converse(Bytes user, const SipDomain& ours, const Partner& theirs,
                                Direction direction) const {
    if (!settings.federation_allow) return {Reason::kFederationOff};
    if (!theirs.enabled) return {Reason::kPartnerDisabled};
    const Policy& policy = policy_of(user, ours);
    // features.md A7: XMPP needs both.
    if (!policy.federation_access) return {Reason::kFederationAccess, &policy};
    if (!policy.xmpp_access) return {Reason::kXmppAccess, &policy};
    if (!policy.names(theirs.domain)) return {Reason::kNotItsPartner, &policy};
    // features.md A6.
    if (direction == Direction::kFromXmpp && !effects(theirs.type).may_message_unapproved) {
        return {Reason::kApprovalNeeded, &policy};
    }
    return {Reason::kAllowed, &policy};
}

Decision of_kind(const Decision& decision, const Partner* partner, Kind kind) {
    const bool open = decision.allowed() || decision.reason == Reason::kApprovalNeeded;
    if (!open || partner == nullptr || partner->passes(kind)) return decision;
    return {Reason::kKindRefused, decision.policy};
}

bool Snapshot::sip_trusted(Bytes address) const {
    for (const config::Network& network : settings.sip.trusted) {
        if (network.contains(address)) return true;
    }
    return false;
}

}  // namespace fedgate::rules
