// A partner: an XMPP domain with which the organisation federates, and on which terms (features.md
// A3, A6). Immutable part of a Snapshot.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/address.hpp"
#include "core/config/value.hpp"
#include "core/rules/negotiation.hpp"

namespace fedgate::rules {

using config::Rate;

enum class PartnerType : std::uint8_t { kFederated, kPublicVerified, kPublicUnverified };

// A6: what a partner's users may do without our user's approval.
struct TypeEffects {
    bool sees_presence_unapproved;
    bool may_message_unapproved;
    bool sees_note;
};
[[nodiscard]] const TypeEffects& effects(PartnerType);

// features.md P8: what may pass with a partner, in both directions. The order of the words of the
// key.
enum class Kind : std::uint8_t { kMessage, kPresence, kIq, kTyping, kNotes, kHtml };

class Kinds {
public:
    void set(Kind kind, bool on) {
        on ? bits_ |= bit(kind) : bits_ &= static_cast<std::uint8_t>(~bit(kind));
    }
    [[nodiscard]] bool has(Kind kind) const { return (bits_ & bit(kind)) != 0; }
    bool operator==(const Kinds&) const = default;

private:
    static constexpr std::uint8_t bit(Kind kind) {
        return static_cast<std::uint8_t>(1U << static_cast<unsigned>(kind));
    }
    std::uint8_t bits_ = 0x3F;  // all
};

struct Partner {
    std::string
        domain;  // primary; empty: the template partner/default, applied to a discovered domain
    std::vector<std::string> additional_domains;
    std::string description;
    bool enabled = true;
    PartnerType type = PartnerType::kPublicUnverified;
    Negotiation negotiation{};  // tls, sasl, dialback and what follows from them
    bool keepalive = true;
    bool bidi = false;                   // S2S-15
    std::uint32_t connection_limit = 0;  // effective; the key's 0 was replaced by the common limit
    config::HostPort proxy;              // host empty: SRV decides
    bool prefer_direct = false;          // DNS-2
    bool dane = true;                    // CERT-8
    bool legacy_tls = false;             // features.md N15
    std::string ca;                      // PEM path; empty: tls.external.ca
    std::vector<std::string> pins;  // CERT-7: SHA-256, lower-case hex; not empty: instead of ca
    bool strict_usage = false;      // CERT-6
    Kinds kinds;                    // what is part of another is not there without that
    Rate rate_bytes;                // S2S-64
    Rate rate_stanzas;              // S2S-64
    Rate rate_connections;          // features.md X14
    Rate rate_sender_messages;      // S2S-65

    // By its name, not by a pattern.
    [[nodiscard]] bool lists(std::string_view one) const {
        return one == domain ||
               std::ranges::find(additional_domains, one) != additional_domains.end();
    }
    [[nodiscard]] bool discovered() const { return domain.empty(); }
    [[nodiscard]] bool passes(Kind kind) const { return kinds.has(kind); }
};

}  // namespace fedgate::rules
