// X.509 certificates: a strict DER parser of our own (the input is hostile) and the judgement of a
// chain by CERT-5 and CERT-6. Why not wolfSSL's own chain check: it adds the intermediate
// certificates of each peer to the roots that all connections share, also unproven ones when the
// handshake is to go on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/peer_identity.hpp"
#include "core/base/time.hpp"

namespace fedgate::net {

constexpr std::size_t kCertificateBytesMax = 65'536;
constexpr std::size_t kCertificateNamesMax = 512;  // SAN entries; more: malformed
constexpr std::size_t kChainCertificatesMax = 8;  // shown by a peer; those behind are not looked at

enum class KeyKind : std::uint8_t { kOther, kRsa, kP256, kP384, kP521, kEd25519 };
enum class SignatureKind : std::uint8_t {
    kWeakOrUnknown,  // SHA-1, MD5, PSS, DSA, ...
    kRsaSha256,
    kRsaSha384,
    kRsaSha512,
    kEcdsaSha256,
    kEcdsaSha384,
    kEcdsaSha512,
    kEd25519,
};

// All views point into the DER that was parsed.
struct Certificate {
    Bytes der;
    Bytes signed_part;  // tbsCertificate, as signed
    Bytes issuer;       // Name, whole element
    Bytes subject;
    Bytes public_key;  // SubjectPublicKeyInfo, whole element
    Bytes key_bits;    // content of its bit string
    Bytes signature;
    KeyKind key = KeyKind::kOther;
    unsigned rsa_bits = 0;
    SignatureKind signature_kind = SignatureKind::kWeakOrUnknown;
    WallTime not_before{};
    WallTime not_after{};
    bool is_ca = false;
    bool version_1 = false;
    int path_length = -1;               // -1: no bound
    bool may_sign_certificates = true;  // keyUsage
    bool usage_fits = true;             // extendedKeyUsage, CERT-6
    bool unknown_critical = false;      // an extension that must be understood and is not
    std::vector<Bytes> dns_names;
    std::vector<Bytes> srv_names;
    std::vector<Bytes> xmpp_addrs;
    std::vector<Bytes> uris;
};

Result<Certificate> parse_certificate(Bytes der);

// CERT-5.
bool has_strong_key(const Certificate&);

// The DER of each certificate in a PEM text.
Result<std::vector<std::string>> parse_pem_certificates(Bytes pem);

// The roots. Immutable once loaded; any number of threads may read it.
class TrustStore {
public:
    // A root that can't be parsed is left out (system bundles hold odd ones); none at all is an
    // error.
    static Result<TrustStore> parse(Bytes pem);

    // Each a whole certificate.
    static Result<TrustStore> of(std::vector<std::string> ders);

    TrustStore() = default;
    TrustStore(TrustStore&&) = default;
    TrustStore& operator=(TrustStore&&) = default;

    // `chain` as shown: end entity first. Null: valid. Else why not, for people; a literal.
    [[nodiscard]] const char* judge(std::span<const Bytes> chain, WallTime now) const;
    [[nodiscard]] std::size_t count() const { return roots_.size(); }
    [[nodiscard]] std::span<const Certificate> roots() const { return roots_; }

private:
    std::vector<std::string> ders_;   // strings move with their bytes' owner, so:
    std::vector<Certificate> roots_;  // parsed after ders_ is complete
};

// Everything that PeerIdentity tells, for the chain that a peer has shown (may be empty).
PeerIdentity identify_peer(std::span<const Bytes> chain, const TrustStore&, WallTime now);

}  // namespace fedgate::net
