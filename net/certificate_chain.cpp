// The judgement of a chain, and the only place of net that calls wolfCrypt's signature checks.
// clang-format off: wolfSSL's other headers mean something else without this one before them.
#include <wolfssl/options.h>
// clang-format on

#include <array>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/signature.h>

#include "net/certificate.hpp"

namespace fedgate::net {
namespace {

constexpr unsigned kRsaBitsMin = 2048;  // CERT-5
constexpr unsigned kRsaBitsMax = 8192;  // a bigger one only costs us time

const byte* data(Bytes bytes) { return reinterpret_cast<const byte*>(bytes.data()); }
word32 size(Bytes bytes) { return static_cast<word32>(bytes.size()); }

bool check_rsa(const Certificate& issuer, const Certificate& subject, wc_HashType hash) {
    RsaKey key;
    if (wc_InitRsaKey(&key, nullptr) != 0) return false;
    word32 index = 0;
    const bool good =
        wc_RsaPublicKeyDecode(data(issuer.public_key), &index, &key, size(issuer.public_key)) ==
            0 &&
        wc_SignatureVerify(hash, WC_SIGNATURE_TYPE_RSA_W_ENC, data(subject.signed_part),
                           size(subject.signed_part), data(subject.signature),
                           size(subject.signature), &key, sizeof key) == 0;
    wc_FreeRsaKey(&key);
    return good;
}

bool check_ecdsa(const Certificate& issuer, const Certificate& subject, wc_HashType hash) {
    ecc_key key;
    if (wc_ecc_init(&key) != 0) return false;
    word32 index = 0;
    const bool good = wc_EccPublicKeyDecode(data(issuer.public_key), &index, &key,
                                            size(issuer.public_key)) == 0 &&
                      wc_SignatureVerify(hash, WC_SIGNATURE_TYPE_ECC, data(subject.signed_part),
                                         size(subject.signed_part), data(subject.signature),
                                         size(subject.signature), &key, sizeof key) == 0;
    wc_ecc_free(&key);
    return good;
}

bool check_ed25519(const Certificate& issuer, const Certificate& subject) {
    ed25519_key key;
    if (wc_ed25519_init(&key) != 0) return false;
    int good = 0;
    const bool done =
        wc_ed25519_import_public(data(issuer.key_bits), size(issuer.key_bits), &key) == 0 &&
        wc_ed25519_verify_msg(data(subject.signature), size(subject.signature),
                              data(subject.signed_part), size(subject.signed_part), &good,
                              &key) == 0;
    wc_ed25519_free(&key);
    return done && good == 1;
}

bool is_ec(KeyKind kind) {
    return kind == KeyKind::kP256 || kind == KeyKind::kP384 || kind == KeyKind::kP521;
}

bool is_signed_by(const Certificate& subject, const Certificate& issuer) {
    const bool rsa = issuer.key == KeyKind::kRsa;
    const bool ec = is_ec(issuer.key);
    switch (subject.signature_kind) {
        case SignatureKind::kRsaSha256:
            return rsa && check_rsa(issuer, subject, WC_HASH_TYPE_SHA256);
        case SignatureKind::kRsaSha384:
            return rsa && check_rsa(issuer, subject, WC_HASH_TYPE_SHA384);
        case SignatureKind::kRsaSha512:
            return rsa && check_rsa(issuer, subject, WC_HASH_TYPE_SHA512);
        case SignatureKind::kEcdsaSha256:
            return ec && check_ecdsa(issuer, subject, WC_HASH_TYPE_SHA256);
        case SignatureKind::kEcdsaSha384:
            return ec && check_ecdsa(issuer, subject, WC_HASH_TYPE_SHA384);
        case SignatureKind::kEcdsaSha512:
            return ec && check_ecdsa(issuer, subject, WC_HASH_TYPE_SHA512);
        case SignatureKind::kEd25519:
            return issuer.key == KeyKind::kEd25519 && check_ed25519(issuer, subject);
        case SignatureKind::kWeakOrUnknown: return false;
    }
    return false;
}

// What must hold for every certificate of a path, the root included.
const char* fault_of_any(const Certificate& certificate, WallTime now) {
    if (now < certificate.not_before) return "a certificate of the chain is not valid yet";
    if (now > certificate.not_after) return "a certificate of the chain has expired";
    if (certificate.unknown_critical) return "a critical extension is not understood";
    if (certificate.key == KeyKind::kOther) return "the kind of key is not accepted";
    if (certificate.key == KeyKind::kRsa &&
        (certificate.rsa_bits < kRsaBitsMin || certificate.rsa_bits > kRsaBitsMax)) {
        return "an RSA key has fewer than 2048 bits, or far too many";
    }
    return nullptr;
}

// May `issuer` sign certificates with `below` authorities between it and the end entity?
bool may_issue(const Certificate& issuer, int below) {
    if (!issuer.is_ca || !issuer.may_sign_certificates) return false;
    return issuer.path_length < 0 || issuer.path_length >= below;
}

}  // namespace

bool has_strong_key(const Certificate& certificate) {
    if (certificate.key != KeyKind::kRsa) return certificate.key != KeyKind::kOther;
    return certificate.rsa_bits >= kRsaBitsMin && certificate.rsa_bits <= kRsaBitsMax;
}

std::string certificate_fingerprint(Bytes der) {
    std::array<byte, WC_SHA256_DIGEST_SIZE> digest{};
    std::string text;
    if (wc_Sha256Hash(data(der), size(der), digest.data()) != 0) return text;
    constexpr char kHex[] = "0123456789abcdef";
    for (const byte b : digest) {
        text += kHex[b >> 4];
        text += kHex[b & 15];
    }
    return text;
}

Result<std::vector<std::string>> parse_pem_certificates(Bytes pem) {
    constexpr Bytes kBegin = "-----BEGIN CERTIFICATE-----";
    constexpr Bytes kEnd = "-----END CERTIFICATE-----";
    std::vector<std::string> ders;
    for (std::size_t at = pem.find(kBegin); at != Bytes::npos; at = pem.find(kBegin, at)) {
        at += kBegin.size();
        const std::size_t end = pem.find(kEnd, at);
        if (end == Bytes::npos) return failure(Errc::kMalformed, "PEM: no end line");
        const Bytes text = pem.substr(at, end - at);
        std::string der(text.size() * 3 / 4 + 4, '\0');
        auto length = static_cast<word32>(der.size());
        if (Base64_Decode(data(text), size(text), reinterpret_cast<byte*>(der.data()), &length) !=
            0) {
            return failure(Errc::kMalformed, "PEM: not base64");
        }
        der.resize(length);
        ders.push_back(std::move(der));
        at = end;
    }
    if (ders.empty()) return failure(Errc::kNotFound, "PEM: no certificate");
    return ders;
}

Result<TrustStore> TrustStore::parse(Bytes pem) {
    FEDGATE_TRY(ders, parse_pem_certificates(pem));
    return of(std::move(ders));
}

Result<TrustStore> TrustStore::of(std::vector<std::string> ders) {
    TrustStore store;
    store.ders_ = std::move(ders);
    for (const std::string& der : store.ders_) {
        auto root = parse_certificate(der);
        if (root) store.roots_.push_back(std::move(*root));
    }
    if (store.roots_.empty()) return failure(Errc::kCertificate, "no usable root");
    return store;
}

const char* TrustStore::judge(std::span<const Bytes> chain, WallTime now) const {
    chain = chain.first(std::min(chain.size(), kChainCertificatesMax));
    std::vector<Certificate> shown;
    for (const Bytes der : chain) {
        auto parsed = parse_certificate(der);
        if (!parsed) return "a certificate of the chain is malformed";
        shown.push_back(std::move(*parsed));
    }
    if (shown.empty()) return "no certificate was shown";
    if (shown[0].is_ca) return "the certificate is an authority's, not a server's";  // CERT-6
    if (!shown[0].usage_fits) return "the certificate is not for servers (extended key usage)";

    std::vector<bool> used(shown.size());
    const Certificate* current = &shown[0];
    used[0] = true;
    for (int below = 0;; ++below) {
        if (const char* fault = fault_of_any(*current, now)) return fault;
        const char* root_fault = nullptr;
        for (const Certificate& root : roots_) {
            if (root.der == current->der) return nullptr;  // trusted as it is
            if (root.subject != current->issuer || !(root.version_1 || may_issue(root, below)))
                continue;
            if (!is_signed_by(*current, root)) continue;
            root_fault = fault_of_any(root, now);
            if (root_fault == nullptr) return nullptr;
        }
        if (root_fault != nullptr) return root_fault;
        if (current->signature_kind == SignatureKind::kWeakOrUnknown) {
            return "a certificate of the chain has a signature weaker than SHA-256, or an unknown "
                   "one";
        }
        const Certificate* issuer = nullptr;
        for (std::size_t i = 1; i < shown.size() && issuer == nullptr; ++i) {
            if (used[i] || shown[i].subject != current->issuer || !may_issue(shown[i], below))
                continue;
            used[i] = true;
            if (is_signed_by(*current, shown[i])) issuer = &shown[i];
        }
        if (issuer == nullptr) return "the issuer is not known";
        current = issuer;
    }
}

}  // namespace fedgate::net
