// SASL EXTERNAL (RFC 4422 appendix A, XEP-0178), the only mechanism between servers (S2S-14).
#pragma once

#include <cstdint>

#include "core/base/bytes.hpp"

namespace fedgate::xml {

enum class SaslOutcome : std::uint8_t {
    kSuccess,
    kNotAuthorized,  // the certificate does not prove the domain, or EXTERNAL was not offered
    kInvalidAuthzid,
    kInvalidMechanism,
    kIncorrectEncoding,
};

// Our <auth/>: authzid is our domain in base64 (compatibility).
void write_sasl_auth(Sink&, Bytes our_domain);
void write_sasl_success(Sink&);
void write_sasl_failure(Sink&, SaslOutcome);

// Judges a peer's <auth mechanism='..'>text</auth>. `their_domain` is the header's `from`, which
// the certificate proves if `proved`. No text, "=" and their_domain are accepted as authzid.
SaslOutcome judge_sasl_auth(Bytes mechanism, Bytes text, Bytes their_domain, bool proved);

}  // namespace fedgate::xml
