// What a SIP user may do: user > site > global, the whole policy wins (features.md A7).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fedgate::rules {

struct Policy {
    std::string name;  // `global`, `site:paris`, `press`
    std::string description;
    bool federation_access = false;
    bool xmpp_access = false;
    bool outside_access = false;
    bool public_cloud_access = false;
    bool public_cloud_av_access = false;
    std::vector<std::string> partners;  // by their primary domains, sorted; empty: all

    // features.md U9.
    [[nodiscard]] bool names(std::string_view partner) const {
        return partners.empty() || std::ranges::binary_search(partners, partner);
    }
};

enum class Direction : std::uint8_t { kToXmpp, kFromXmpp };

// Which rule decided, in the order in which they are asked.
enum class Reason : std::uint8_t {
    kAllowed,
    kFederationOff,     // federation.allow
    kNotOurDomain,      // the SIP side's domain is not one of domain/*
    kOurDomain,         // SEC-1: the XMPP side's domain is one of domain/*
    kPartnerDenied,     // federation.deny
    kPartnerUnknown,    // not listed, and federation.discovery is off
    kPartnerDisabled,   // partner/X/enabled
    kFederationAccess,  // the user's policy: federation_access
    kXmppAccess,        // the user's policy: xmpp_access
    kNotItsPartner,     // the user's policy: partners
    kKindRefused,       // partner/X/stanzas
    kApprovalNeeded,    // partner type public_unverified: our user has to add or write first (A6)
};

struct Decision {
    Reason reason = Reason::kFederationOff;
    const Policy* policy = nullptr;  // the one that was asked, if it came to that

    [[nodiscard]] bool allowed() const { return reason == Reason::kAllowed; }
};

// One sentence for people, with the key that decides.
[[nodiscard]] std::string_view explain(Reason);

}  // namespace fedgate::rules
