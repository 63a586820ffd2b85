// HTTP Digest authentication as a user agent client (SIP-30): challenges in, Authorization lines
// out. RFC 7616, as RFC 3261 22.4 and RFC 8760 apply it to SIP. Pure. Challenges are kept, so that
// the requests that follow have their answer with them; only a new one allocates.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/base/bytes.hpp"
#include "sip/message.hpp"

namespace fedgate::sip {

// Each of realm, nonce and opaque; a challenge with a longer one is not answered.
constexpr std::size_t kDigestTextBytes = 512;
// Realms that one server's challenges are kept of. One more takes the place of the oldest.
constexpr std::size_t kDigestRealms = 4;

enum class DigestAlgorithm : std::uint8_t { kMd5, kSha256 };  // the stronger one is last

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
    bool proxy = false;    // of Proxy-Authenticate: Proxy-Authorization answers it
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

// What one server has asked for last, for each of its realms.
class Challenges {
public:
    // One bit for each realm that is kept.
    using Realms = std::uint8_t;
    static_assert(kDigestRealms <= 8);

    // Takes what a 401 or 407 asks for. It may hold the challenges of several servers, of both
    // kinds (RFC 3261 16.7); of those for one realm the strongest that we know counts (RFC 8760
    // 2.4 leaves that to us). `answered`: realms that the request has already answered; they are
    // taken once more only if just the nonce was too old. Gives those that were taken; none: there
    // is no use in asking again.
    Realms take(const Message& response, Realms answered);
    // RFC 7616 3.5: the answer to a request with credentials may hold the nonce of the next one.
    void take_next_nonce(const Message& response);
    void forget() { kept_ = {}; }

    [[nodiscard]] bool empty() const;
    // What write() writes at the most.
    [[nodiscard]] std::size_t bytes_max(Bytes user, Bytes uri) const;
    // A header line for each realm, CRLF included. Counts the uses of a nonce (RFC 7616 3.4).
    void write(Sink&, const Credentials&, const AuthorizedRequest&);

private:
    struct Kept {
        std::string realm, nonce, opaque, algorithm;
        std::string cnonce;  // of a session's first request
        Challenge flags;     // without its views
        std::uint32_t uses = 0;

        void keep(const Challenge&);
        [[nodiscard]] Challenge challenge() const;
    };
    [[nodiscard]] Kept* find(const Challenge&);
    [[nodiscard]] Kept* only_one(bool proxy);

    std::array<Kept, kDigestRealms> kept_;
    std::size_t next_ = 0;
};

}  // namespace fedgate::sip
