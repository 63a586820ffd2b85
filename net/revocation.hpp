// Is a certificate revoked (N13, RFC 5280 5, RFC 6960)? Lists that the administrator has put there,
// and the response that a peer's server staples to its handshake. Nothing is fetched.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/time.hpp"
#include "net/certificate.hpp"

namespace fedgate::net {

constexpr std::size_t kRevocationListBytesMax = 32 << 20;  // of one file
constexpr std::size_t kRevocationListsMax = 256;           // in all files
constexpr std::size_t kStapleBytesMax = 16'384;

struct RevocationStatus {
    enum class State : std::uint8_t { kUnknown, kGood, kRevoked };
    State state = State::kUnknown;
    WallTime at{};        // kRevoked: when
    unsigned reason = 0;  // CRLReason; 0: none given
};

// `key compromise`, ...; empty: none that is worth telling.
[[nodiscard]] const char* name_of_reason(unsigned reason);

// Immutable once loaded; any number of threads may read it.
class RevocationLists {
public:
    // All lists of one file, PEM or DER. False: `fault` is the rest of a sentence that begins with
    // the file's name, and nothing was added.
    [[nodiscard]] bool add(std::string file, std::string& fault);

    // A list counts when `issuer` has signed it. What it lists is revoked also after its time; what
    // it does not list is good only within its time.
    [[nodiscard]] RevocationStatus look_up(const Certificate&, const Certificate& issuer,
                                           WallTime now) const;

    [[nodiscard]] std::size_t count() const { return lists_.size(); }
    // When the first of them ends; the issuer's name for people.
    [[nodiscard]] WallTime next_update(std::string& issuer) const;

private:
    struct Entry {
        Bytes serial;
        WallTime at{};
        unsigned reason = 0;
    };
    struct List {
        Bytes signed_part;
        Bytes issuer;
        Bytes signature;
        SignatureAlgorithm algorithm;
        std::string digest;  // of signed_part
        WallTime this_update{};
        WallTime next_update{};
        bool users = true;           // it speaks of end entities
        bool authorities = true;     // it speaks of authorities
        bool all_reasons = true;     // else what is not listed may be revoked elsewhere
        std::vector<Bytes> uris;     // where it is published; empty: it speaks of all certificates
        std::vector<Entry> entries;  // by serial
    };
    static bool parse(Bytes der, List&, std::string& fault);
    static bool parse_entries(Bytes list, List&);
    static bool parse_point(Bytes value, List&, std::string& fault);
    [[nodiscard]] static bool speaks_of(const List&, const Certificate&);

    std::vector<std::unique_ptr<std::string>> files_;  // the lists point into them
    std::vector<List> lists_;
};

// A stapled OCSP response about `subject`, whose issuer is `issuer`; `lists` (may be null) tell of
// the one who made it. kUnknown also when it is not a response, not signed by the issuer or
// somebody he delegated it to, about another certificate, or of another time.
[[nodiscard]] RevocationStatus judge_staple(Bytes response, const Certificate& subject,
                                            const Certificate& issuer, const RevocationLists* lists,
                                            WallTime now);

}  // namespace fedgate::net
