// X.509 certificates: a strict parser of our own (the input is hostile) and the judgement of what a
// peer has shown, by CERT-5 to CERT-7. Why not wolfSSL's own chain check: it adds the intermediate
// certificates of each peer to the roots that all connections share, also unproven ones when the
// handshake is to go on.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/peer_identity.hpp"
#include "core/base/time.hpp"
#include "net/signature.hpp"

namespace fedgate::net {

class RevocationLists;  // net/revocation.hpp
struct DaneQuestion;    // net/dane.hpp

constexpr std::size_t kCertificateBytesMax = 65'536;
constexpr std::size_t kCertificateNamesMax = 512;  // SAN entries, constraints; more: malformed
constexpr std::size_t kChainCertificatesMax = 8;  // shown by a peer; those behind are not looked at

// All views point into the DER that was parsed.
struct Certificate {
    Bytes der;
    Bytes signed_part;  // tbsCertificate, as signed
    Bytes serial;       // content of the INTEGER
    Bytes issuer;       // Name, whole element
    Bytes subject;
    PublicKey key;
    Bytes signature;
    SignatureAlgorithm algorithm;
    WallTime not_before{};
    WallTime not_after{};
    bool is_ca = false;
    bool version_1 = false;
    int path_length = -1;               // -1: no bound
    bool may_sign_certificates = true;  // keyUsage
    bool may_sign_lists = true;         // keyUsage
    bool usage_any = true;              // extendedKeyUsage: absent or anyExtendedKeyUsage
    bool usage_server = false;
    bool usage_client = false;
    bool usage_xmpp = false;  // id-on-xmppAddr
    bool usage_sip = false;   // id-kp-sipDomain
    bool usage_ocsp = false;
    bool ocsp_no_check = false;     // id-pkix-ocsp-nocheck
    bool unknown_critical = false;  // an extension that must be understood and is not
    std::vector<Bytes> dns_names;
    std::vector<Bytes> srv_names;
    std::vector<Bytes> xmpp_addrs;
    std::vector<Bytes> uris;
    std::vector<Bytes> list_uris;  // cRLDistributionPoints
    std::vector<Bytes> permitted;  // nameConstraints: dNSNames below an authority
    std::vector<Bytes> excluded;
};

Result<Certificate> parse_certificate(Bytes der);

// A signing request (PKCS #10) that its own key has signed: neither issuer, serial nor dates.
Result<Certificate> parse_request(Bytes der);

// CERT-5.
bool has_strong_key(const Certificate&);

// The DER of each block with this label in a PEM text.
Result<std::vector<std::string>> parse_pem(Bytes pem, Bytes label);
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

    [[nodiscard]] std::size_t count() const { return roots_.size(); }
    [[nodiscard]] std::span<const Certificate> roots() const { return roots_; }

private:
    std::vector<std::string> ders_;   // strings move with their bytes' owner, so:
    std::vector<Certificate> roots_;  // parsed after ders_ is complete
};

// N13. What is known to be revoked is always refused but with kOff.
enum class Revocation : std::uint8_t {
    kOff,
    kSoft,  // a status that is not known passes
    kHard,  // it does not, for each certificate below the root
};

// On which terms a peer is believed. Everything is borrowed.
struct PeerTerms {
    const TrustStore* roots = nullptr;         // null: no chain is valid
    const RevocationLists* revoked = nullptr;  // null: none
    Revocation revocation = Revocation::kSoft;
    WallTime revoked_by{};      // when revocation counts; zero: at the time of all the rest
    bool strict_usage = false;  // CERT-6: the usage for its TLS role, no other
    bool sip = false;           // SIP-31: the other usage that will do is that for SIP
    std::span<const std::string> pins{};   // CERT-7: SHA-256 in lower-case hex; replace roots
    std::uint64_t generation = 0;          // of what was loaded
    const DaneQuestion* dane = nullptr;    // null: that of the session, if it has one
    GoodSignatures* signatures = nullptr;  // null: none is remembered

    // Other terms, another number.
    [[nodiscard]] std::uint64_t digest() const;
};

// What a peer has shown in its handshake.
struct Shown {
    std::span<const Bytes> chain{};  // end entity first; may be empty
    Bytes staple{};                  // OCSP response, or empty
    bool by_client = false;          // the peer is the TLS client
};

// Everything that PeerIdentity tells.
PeerIdentity identify_peer(const Shown&, const PeerTerms&, WallTime now);

// Why the chain is not to be believed, as the rest of a sentence that begins with "the
// certificate"; empty: it is.
std::string fault_of_chain(const Shown&, const PeerTerms&, WallTime now);

}  // namespace fedgate::net
