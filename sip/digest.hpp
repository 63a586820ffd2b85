// HTTP Digest authentication as a user agent client (SIP-30): a challenge in, an Authorization line
// out. RFC 7616, as RFC 3261 22.4 and RFC 8760 apply it to SIP. Pure; nothing here allocates.
#pragma once

#include <cstdint>

#include "core/base/bytes.hpp"
#include "sip/message.hpp"

namespace fedgate::sip {

// Each of realm, nonce and opaque; a challenge with a longer one is not answered.
constexpr std::size_t kDigestTextBytes = 512;
// What write_authorization() writes at the most, beside the user (twice, where it is all quotes)
// and the URI.
constexpr std::size_t kDigestLineBytes = 3 * kDigestTextBytes + 512;

enum class DigestAlgorithm : std::uint8_t { kMd5, kSha256 };

// Views into the response. Realm, nonce and opaque are as written, quotes included, to be given
// back so.
struct Challenge {
    Bytes realm;
    Bytes nonce;
    Bytes opaque;     // empty: none
    Bytes algorithm;  // without quotes; empty: none, which means MD5
    DigestAlgorithm kind = DigestAlgorithm::kMd5;
    bool session = false;  // MD5-sess, SHA-256-sess
    bool qop = false;      // "auth" is offered; else the form of RFC 2069 (RFC 3261 22.4)
    bool stale = false;    // only the nonce was too old
    bool proxy = false;    // 407: Proxy-Authorization answers it
};

struct Credentials {
    Bytes user;
    Bytes password;
};

// What is being asked for, as it stands in the request.
struct AuthorizedRequest {
    Bytes method;
    Bytes uri;
    Bytes cnonce;  // a token, new for each request
};

// The topmost challenge of a 401 or 407 that can be answered (RFC 8760 2.4): scheme Digest, an
// algorithm that is known, no demand for auth-int alone. False: there is none.
[[nodiscard]] bool find_challenge(const Message& response, Challenge& out);

// The whole header line, CRLF included. The nonce is used once: nc is 1.
void write_authorization(Sink&, const Challenge&, const Credentials&, const AuthorizedRequest&);

}  // namespace fedgate::sip
