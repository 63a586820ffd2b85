// What a SIP user may do: user > site > global, the whole policy wins (features.md A7).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fedgate::rules {

struct Policy {
    std::string name;  // `global`, `site:paris`, `press`
    std::string description;
    bool federation_access = false;
    bool xmpp_access = false;
    bool outside_access = false;
    bool public_cloud_access = false;
    bool public_cloud_av_access = false;
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
