// Errors at the border: SIP status <-> XMPP stanza error, and what a stanza's way through the link
// comes to (RFC 7247 section 7; interworking section 7). Tables only.
#pragma once

#include <cstdint>

#include "appliance/link/link.hpp"
#include "core/base/bytes.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::gateway {

struct ErrorKind {
    xml::StanzaCondition condition;
    xml::ErrorType type;
};

// Failures of ours on the SIP side.
enum class LocalFault : std::uint8_t {
    kNoNextHop,    // ERR-L2
    kUnreachable,  // ERR-L3: refused, reset or timed out
    kTimeout,      // ERR-408: it waited for too long behind others
    kInDoubt,      // ERR-408: it was sent, and its connection broke or it found no answer
    kOverload,     // ERR-L4
    kPolicy,       // ERR-L5
    kRate,         // ERR-L5
    kLoop,         // SEC-3
    kQuota,        // SEC-4
    kPayload,      // ERR-L6
    kAddress,      // ERR-L7
    kTooLarge,     // IM-18, IM-19
    kDraining,     // we are going down: try again
    kEncrypted,    // SEC-7
};
[[nodiscard]] ErrorKind stanza_error(LocalFault);
[[nodiscard]] Bytes explain(LocalFault);

// ERR-300..ERR-502 and the class rule ERR-4, for 300..699.
[[nodiscard]] ErrorKind stanza_error_of_status(std::uint16_t status);

struct SipAnswer {
    std::uint16_t status;
    Bytes reason;                   // empty: the default phrase
    std::uint16_t retry_after = 0;  // seconds; 0: none
    friend bool operator==(const SipAnswer&, const SipAnswer&) = default;
};

// ERR-20..ERR-36 for a MESSAGE. `full`: the failing address was a full JID (ERR-12). `waited`: the
// request is older than 8 s (ERR-34). Gone and redirect: `address_mapped` when their new address
// maps. `lync`: a 6xx would stop it from asking another of his devices (ERR-30, ERR-35).
[[nodiscard]] SipAnswer sip_answer(xml::StanzaCondition, bool full, bool waited,
                                   bool address_mapped, bool lync = false);

// ERR-40..ERR-46.
[[nodiscard]] SipAnswer sip_answer(link::Fault, bool waited);

}  // namespace fedgate::gateway
