// Public keys and the signatures that certificates, revocation lists and OCSP responses carry. The
// only place of net that calls wolfCrypt's signature checks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/hash.hpp"

namespace fedgate::net {

enum class KeyKind : std::uint8_t { kOther, kRsa, kP256, kP384, kP521, kEd25519 };

struct PublicKey {
    Bytes info;  // SubjectPublicKeyInfo, whole element
    Bytes bits;  // content of its bit string
    KeyKind kind = KeyKind::kOther;
    unsigned rsa_bits = 0;
};
[[nodiscard]] bool parse_public_key(Bytes whole, PublicKey&);

enum class HashKind : std::uint8_t { kNone, kSha256, kSha384, kSha512 };
enum class SignatureScheme : std::uint8_t { kWeakOrUnknown, kRsa, kRsaPss, kEcdsa, kEd25519 };

struct SignatureAlgorithm {
    SignatureScheme scheme = SignatureScheme::kWeakOrUnknown;  // SHA-1, MD5, DSA, ...
    HashKind hash = HashKind::kNone;
    unsigned salt_bytes = 0;  // PSS
    bool operator==(const SignatureAlgorithm&) const = default;
};
// Of the content of an AlgorithmIdentifier. False: malformed.
[[nodiscard]] bool parse_signature_algorithm(Bytes content, SignatureAlgorithm&);

// Bytes of a digest; empty for kNone.
[[nodiscard]] std::string digest_of(HashKind, Bytes message);

[[nodiscard]] bool is_signed(Bytes message, Bytes signature, const SignatureAlgorithm&,
                             const PublicKey& by);
// The signatures that were found good last: a partner shows the same chain with each connection,
// and one that is good stays so. A new one may take the place of another.
class GoodSignatures {
public:
    // is_signed(), looked up where it can be.
    [[nodiscard]] bool check(Bytes message, Bytes signature, const SignatureAlgorithm&,
                             const PublicKey& by);
    [[nodiscard]] std::size_t looked_up() const { return looked_up_; }

private:
    static constexpr std::size_t kPlaces = 1'024;

    std::vector<Sha256Digest> places_;  // of all that a check looks at; none before the first
    std::size_t looked_up_ = 0;
};

// By what a key of this kind signs here; kWeakOrUnknown: by nothing.
[[nodiscard]] SignatureAlgorithm algorithm_of(const PublicKey&);
// By the key of a PEM file, which belongs to `own`; is_signed() says yes to what is made.
[[nodiscard]] Result<std::string> sign(Bytes message, Bytes key_pem, const PublicKey& own);

// For a message whose digest is at hand. Ed25519 has none: false.
[[nodiscard]] bool is_digest_signed(Bytes digest, Bytes signature, const SignatureAlgorithm&,
                                    const PublicKey& by);

}  // namespace fedgate::net
