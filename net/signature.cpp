// clang-format off: wolfSSL's other headers mean something else without this one before them.
#include <wolfssl/options.h>
// clang-format on

#include "net/signature.hpp"

#include <array>
#include <cstring>

#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

#include "net/certificate.hpp"
#include "net/der.hpp"

namespace fedgate::net {

void prepare_tls_library();  // tls.cpp

namespace {

constexpr Bytes kOidRsaKey("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9);
constexpr Bytes kOidRsaMgf1("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08", 9);
constexpr Bytes kOidRsaPss("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", 9);
constexpr Bytes kOidRsaSha256("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", 9);
constexpr Bytes kOidRsaSha384("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", 9);
constexpr Bytes kOidRsaSha512("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", 9);
constexpr Bytes kOidEcKey("\x2a\x86\x48\xce\x3d\x02\x01", 7);
constexpr Bytes kOidEcdsaSha256("\x2a\x86\x48\xce\x3d\x04\x03\x02", 8);
constexpr Bytes kOidEcdsaSha384("\x2a\x86\x48\xce\x3d\x04\x03\x03", 8);
constexpr Bytes kOidEcdsaSha512("\x2a\x86\x48\xce\x3d\x04\x03\x04", 8);
constexpr Bytes kOidCurveP256("\x2a\x86\x48\xce\x3d\x03\x01\x07", 8);
constexpr Bytes kOidCurveP384("\x2b\x81\x04\x00\x22", 5);
constexpr Bytes kOidCurveP521("\x2b\x81\x04\x00\x23", 5);
constexpr Bytes kOidEd25519("\x2b\x65\x70", 3);
constexpr Bytes kOidSha256("\x60\x86\x48\x01\x65\x03\x04\x02\x01", 9);
constexpr Bytes kOidSha384("\x60\x86\x48\x01\x65\x03\x04\x02\x02", 9);
constexpr Bytes kOidSha512("\x60\x86\x48\x01\x65\x03\x04\x02\x03", 9);

constexpr word32 kRsaBytesMax = 1'024;  // 8192 bits
constexpr std::size_t kRsaExponentBytesMax = 8;

const byte* data(Bytes bytes) { return reinterpret_cast<const byte*>(bytes.data()); }
word32 size(Bytes bytes) { return static_cast<word32>(bytes.size()); }

wc_HashType type_of(HashKind hash) {
    switch (hash) {
        case HashKind::kSha256: return WC_HASH_TYPE_SHA256;
        case HashKind::kSha384: return WC_HASH_TYPE_SHA384;
        case HashKind::kSha512: return WC_HASH_TYPE_SHA512;
        case HashKind::kNone: break;
    }
    return WC_HASH_TYPE_NONE;
}

int mask_of(HashKind hash) {
    switch (hash) {
        case HashKind::kSha256: return WC_MGF1SHA256;
        case HashKind::kSha384: return WC_MGF1SHA384;
        case HashKind::kSha512: return WC_MGF1SHA512;
        case HashKind::kNone: break;
    }
    return WC_MGF1NONE;
}

HashKind hash_kind(Bytes object) {
    if (object == kOidSha256) return HashKind::kSha256;
    if (object == kOidSha384) return HashKind::kSha384;
    if (object == kOidSha512) return HashKind::kSha512;
    return HashKind::kNone;
}

// AlgorithmIdentifier of a hash; parameters are NULL or absent.
bool take_hash(Bytes wrapped, HashKind& hash) {
    Bytes content, object, none;
    if (!take_only(wrapped, der::kSequence, content)) return false;
    Der parts(content);
    bool there = false;
    if (!parts.take(der::kObject, object) || !parts.take_optional(der::kNull, none, there) ||
        !parts.at_end() || !none.empty()) {
        return false;
    }
    hash = hash_kind(object);
    return true;
}

// RFC 4055 3.1. What is left out is SHA-1 or a salt of 20 bytes. One hash serves both purposes.
bool parse_pss(Bytes parameters, SignatureAlgorithm& out) {
    Bytes content, wrapped, mask, object, number;
    if (!take_only(parameters, der::kSequence, content)) return false;
    Der parts(content);
    HashKind hash = HashKind::kNone;
    HashKind mask_hash = HashKind::kNone;
    bool there = false;
    if (!parts.take_optional(0xa0, wrapped, there)) return false;
    if (there && !take_hash(wrapped, hash)) return false;
    if (!parts.take_optional(0xa1, wrapped, there)) return false;
    if (there) {
        if (!take_only(wrapped, der::kSequence, mask)) return false;
        Der mask_parts(mask);
        Bytes rest_content, rest;
        if (!mask_parts.take(der::kObject, object) ||
            !mask_parts.take(der::kSequence, rest_content, &rest) || !mask_parts.at_end()) {
            return false;
        }
        if (object == kOidRsaMgf1 && !take_hash(rest, mask_hash)) return false;
    }
    unsigned salt = 20;
    if (!parts.take_optional(0xa2, wrapped, there)) return false;
    if (there) {
        if (!take_only(wrapped, der::kInteger, number) || number.empty() || number.size() > 2 ||
            (number[0] & 0x80) != 0) {
            return false;
        }
        salt = 0;
        for (const char c : number) salt = salt << 8 | static_cast<unsigned char>(c);
    }
    if (!parts.take_optional(0xa3, wrapped, there)) return false;  // trailerField: 1
    if (there && (!take_only(wrapped, der::kInteger, number) || number != Bytes("\x01", 1)))
        return false;
    if (!parts.at_end()) return false;
    if (hash != HashKind::kNone && hash == mask_hash) out = {SignatureScheme::kRsaPss, hash, salt};
    return true;
}

// A decoded RSA key with its clean-up.
struct Rsa {
    RsaKey key{};
    bool usable = false;

    explicit Rsa(const PublicKey& by) {
        if (wc_InitRsaKey(&key, nullptr) != 0) return;
        word32 index = 0;
        usable = wc_RsaPublicKeyDecode(data(by.info), &index, &key, size(by.info)) == 0;
    }
    ~Rsa() { wc_FreeRsaKey(&key); }
    Rsa(const Rsa&) = delete;
    Rsa& operator=(const Rsa&) = delete;
};

bool check_rsa(Bytes digest, Bytes signature, HashKind hash, const PublicKey& by) {
    Rsa rsa(by);
    std::array<byte, 128> encoded{};  // DigestInfo
    if (!rsa.usable || digest.size() > WC_SHA512_DIGEST_SIZE) return false;
    const word32 length = wc_EncodeSignature(encoded.data(), data(digest), size(digest),
                                             wc_HashGetOID(type_of(hash)));
    return length > 0 && wc_SignatureVerifyHash(type_of(hash), WC_SIGNATURE_TYPE_RSA_W_ENC,
                                                encoded.data(), length, data(signature),
                                                size(signature), &rsa.key, sizeof rsa.key) == 0;
}

bool check_pss(Bytes digest, Bytes signature, const SignatureAlgorithm& algorithm,
               const PublicKey& by) {
    Rsa rsa(by);
    std::array<byte, kRsaBytesMax> input{};
    std::array<byte, kRsaBytesMax> found{};
    if (!rsa.usable || signature.size() > input.size() || by.rsa_bits > kRsaBytesMax * 8)
        return false;
    signature.copy(reinterpret_cast<char*>(input.data()), signature.size());
    const auto hash = type_of(algorithm.hash);
    const int salt = static_cast<int>(algorithm.salt_bytes);
    const int length =
        wc_RsaPSS_Verify_ex(input.data(), size(signature), found.data(), kRsaBytesMax, hash,
                            mask_of(algorithm.hash), salt, &rsa.key);
    return length > 0 && wc_RsaPSS_CheckPadding_ex(data(digest), size(digest), found.data(),
                                                   static_cast<word32>(length), hash, salt,
                                                   static_cast<int>(by.rsa_bits)) == 0;
}

bool check_ecdsa(Bytes digest, Bytes signature, HashKind hash, const PublicKey& by) {
    ecc_key key;
    if (wc_ecc_init(&key) != 0) return false;
    word32 index = 0;
    const bool good =
        wc_EccPublicKeyDecode(data(by.info), &index, &key, size(by.info)) == 0 &&
        wc_SignatureVerifyHash(type_of(hash), WC_SIGNATURE_TYPE_ECC, data(digest), size(digest),
                               data(signature), size(signature), &key, sizeof key) == 0;
    wc_ecc_free(&key);
    return good;
}

bool check_ed25519(Bytes message, Bytes signature, const PublicKey& by) {
    ed25519_key key;
    if (wc_ed25519_init(&key) != 0) return false;
    int good = 0;
    const bool done = wc_ed25519_import_public(data(by.bits), size(by.bits), &key) == 0 &&
                      wc_ed25519_verify_msg(data(signature), size(signature), data(message),
                                            size(message), &good, &key) == 0;
    wc_ed25519_free(&key);
    return done && good == 1;
}

std::string hash_of(wc_HashType type, Bytes message) {
    const int length = wc_HashGetDigestSize(type);
    if (length <= 0) return {};
    std::string digest(static_cast<std::size_t>(length), '\0');
    const int done = wc_Hash(type, data(message), size(message),
                             reinterpret_cast<byte*>(digest.data()), static_cast<word32>(length));
    return done == 0 ? digest : std::string();
}

struct Random {
    WC_RNG source{};
    bool ready = false;

    Random() {
        prepare_tls_library();
        ready = wc_InitRng(&source) == 0;
    }
    ~Random() { wc_FreeRng(&source); }
    Random(const Random&) = delete;
    Random& operator=(const Random&) = delete;
};

// Each returns the signature; empty: the key is of another kind, or is damaged.
std::string sign_ecdsa(Bytes digest, Bytes key_der, WC_RNG& random) {
    ecc_key key;
    if (wc_ecc_init(&key) != 0) return {};
    std::string made(ECC_MAX_SIG_SIZE, '\0');
    word32 index = 0;
    auto length = static_cast<word32>(made.size());
    const bool done =
        wc_EccPrivateKeyDecode(data(key_der), &index, &key, size(key_der)) == 0 &&
        wc_ecc_sign_hash(data(digest), size(digest), reinterpret_cast<byte*>(made.data()), &length,
                         &random, &key) == 0;
    wc_ecc_free(&key);
    made.resize(done ? length : 0);
    return made;
}

std::string sign_rsa(Bytes digest, HashKind hash, Bytes key_der, WC_RNG& random) {
    RsaKey key;
    if (wc_InitRsaKey(&key, nullptr) != 0) return {};
    std::array<byte, 128> encoded{};  // DigestInfo
    const word32 encoded_size = wc_EncodeSignature(encoded.data(), data(digest), size(digest),
                                                   wc_HashGetOID(type_of(hash)));
    std::string made(kRsaBytesMax, '\0');
    word32 index = 0;
    int length = 0;
    if (wc_RsaPrivateKeyDecode(data(key_der), &index, &key, size(key_der)) == 0 &&
        wc_RsaSetRNG(&key, &random) == 0) {
        length = wc_RsaSSL_Sign(encoded.data(), encoded_size, reinterpret_cast<byte*>(made.data()),
                                kRsaBytesMax, &key, &random);
    }
    wc_FreeRsaKey(&key);
    made.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
    return made;
}

std::string sign_ed25519(Bytes message, Bytes key_der, const PublicKey& own) {
    ed25519_key key;
    if (wc_ed25519_init(&key) != 0) return {};
    std::string made(ED25519_SIG_SIZE, '\0');
    word32 index = 0;
    auto length = static_cast<word32>(made.size());
    const bool done = wc_Ed25519PrivateKeyDecode(data(key_der), &index, &key, size(key_der)) == 0 &&
                      wc_ed25519_import_public(data(own.bits), size(own.bits), &key) == 0 &&
                      wc_ed25519_sign_msg(data(message), size(message),
                                          reinterpret_cast<byte*>(made.data()), &length, &key) == 0;
    wc_ed25519_free(&key);
    made.resize(done ? length : 0);
    return made;
}

}  // namespace

bool parse_public_key(Bytes whole, PublicKey& out) {
    Bytes content, algorithm, object, bits;
    if (!take_only(whole, der::kSequence, content)) return false;
    Der key(content);
    if (!key.take(der::kSequence, algorithm) || !key.take(der::kBitString, bits) || !key.at_end())
        return false;
    if (bits.empty() || bits[0] != 0) return false;
    out.info = whole;
    out.bits = bits.substr(1);
    Der parts(algorithm);
    if (!parts.take(der::kObject, object)) return false;
    if (object == kOidEd25519) {
        if (out.bits.size() == 32) out.kind = KeyKind::kEd25519;
    } else if (object == kOidEcKey) {
        Bytes curve;
        // Explicit parameters: not a key we take.
        if (!parts.take(der::kObject, curve)) return true;
        if (curve == kOidCurveP256) out.kind = KeyKind::kP256;
        if (curve == kOidCurveP384) out.kind = KeyKind::kP384;
        if (curve == kOidCurveP521) out.kind = KeyKind::kP521;
    } else if (object == kOidRsaKey) {
        Bytes numbers, modulus, exponent;
        Der rsa(out.bits);
        if (!rsa.take(der::kSequence, numbers)) return false;
        Der integers(numbers);
        if (!integers.take(der::kInteger, modulus) || !integers.take(der::kInteger, exponent))
            return false;
        while (!modulus.empty() && modulus[0] == 0) modulus.remove_prefix(1);
        if (modulus.empty()) return false;
        out.rsa_bits = static_cast<unsigned>(modulus.size() * 8);
        for (auto top = static_cast<unsigned char>(modulus[0]); (top & 0x80) == 0;
             top = static_cast<unsigned char>(top << 1)) {
            --out.rsa_bits;
        }
        while (!exponent.empty() && exponent[0] == 0) exponent.remove_prefix(1);
        // The peer makes the key, and the exponent is what checking a signature costs us.
        const bool cheap = exponent.size() <= kRsaExponentBytesMax;
        if (cheap && !exponent.empty() && exponent != Bytes("\x01", 1)) out.kind = KeyKind::kRsa;
    }
    return true;
}

bool parse_signature_algorithm(Bytes content, SignatureAlgorithm& out) {
    using enum SignatureScheme;
    Der parts(content);
    Bytes object, parameters;
    out = {};
    if (!parts.take(der::kObject, object)) return false;
    if (object == kOidRsaSha256) out = {kRsa, HashKind::kSha256};
    if (object == kOidRsaSha384) out = {kRsa, HashKind::kSha384};
    if (object == kOidRsaSha512) out = {kRsa, HashKind::kSha512};
    if (object == kOidEcdsaSha256) out = {kEcdsa, HashKind::kSha256};
    if (object == kOidEcdsaSha384) out = {kEcdsa, HashKind::kSha384};
    if (object == kOidEcdsaSha512) out = {kEcdsa, HashKind::kSha512};
    if (object == kOidEd25519) out = {SignatureScheme::kEd25519, HashKind::kNone};
    if (object != kOidRsaPss) return true;
    unsigned char tag = 0;
    Bytes ignored;
    return parts.next(tag, ignored, parameters) && parts.at_end() && parse_pss(parameters, out);
}

std::string digest_of(HashKind hash, Bytes message) {
    return hash == HashKind::kNone ? std::string() : hash_of(type_of(hash), message);
}

bool is_signed(Bytes message, Bytes signature, const SignatureAlgorithm& algorithm,
               const PublicKey& by) {
    if (algorithm.scheme == SignatureScheme::kEd25519)
        return by.kind == KeyKind::kEd25519 && check_ed25519(message, signature, by);
    return is_digest_signed(digest_of(algorithm.hash, message), signature, algorithm, by);
}

bool GoodSignatures::check(Bytes message, Bytes signature, const SignatureAlgorithm& algorithm,
                           const PublicKey& by) {
    const std::uint64_t front[] = {std::uint64_t(algorithm.scheme), std::uint64_t(algorithm.hash),
                                   algorithm.salt_bytes, signature.size(), by.info.size()};
    const Sha256Digest all =
        sha256({{reinterpret_cast<const char*>(front), sizeof front}, signature, by.info, message});
    if (places_.empty()) places_.resize(kPlaces);
    Sha256Digest& place = places_[(all[0] | std::size_t{all[1]} << 8) % kPlaces];
    if (place == all) {
        ++looked_up_;
        return true;
    }
    if (!is_signed(message, signature, algorithm, by)) return false;
    place = all;
    return true;
}

SignatureAlgorithm algorithm_of(const PublicKey& key) {
    switch (key.kind) {
        case KeyKind::kRsa: return {SignatureScheme::kRsa, HashKind::kSha256};
        case KeyKind::kP256: return {SignatureScheme::kEcdsa, HashKind::kSha256};
        case KeyKind::kP384: return {SignatureScheme::kEcdsa, HashKind::kSha384};
        case KeyKind::kP521: return {SignatureScheme::kEcdsa, HashKind::kSha512};
        case KeyKind::kEd25519: return {SignatureScheme::kEd25519, HashKind::kNone};
        case KeyKind::kOther: break;
    }
    return {};
}

Result<std::string> sign(Bytes message, Bytes key_pem, const PublicKey& own) {
    const SignatureAlgorithm algorithm = algorithm_of(own);
    const std::string digest = digest_of(algorithm.hash, message);
    Random random;
    if (!random.ready) return failure(Errc::kSystem, "no random numbers");
    for (const char* label : {"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"}) {
        auto ders = parse_pem(key_pem, label);
        if (!ders) continue;
        std::string made;
        const Bytes key = ders->front();
        if (algorithm.scheme == SignatureScheme::kEcdsa)
            made = sign_ecdsa(digest, key, random.source);
        if (algorithm.scheme == SignatureScheme::kRsa)
            made = sign_rsa(digest, algorithm.hash, key, random.source);
        if (algorithm.scheme == SignatureScheme::kEd25519) made = sign_ed25519(message, key, own);
        for (std::string& der : *ders) explicit_bzero(der.data(), der.size());
        if (is_signed(message, made, algorithm, own)) return made;
    }
    return failure(Errc::kCertificate, "the key is not that of the certificate");
}

bool is_digest_signed(Bytes digest, Bytes signature, const SignatureAlgorithm& algorithm,
                      const PublicKey& by) {
    if (digest.empty() || signature.empty()) return false;
    const bool rsa = by.kind == KeyKind::kRsa;
    const bool ec =
        by.kind == KeyKind::kP256 || by.kind == KeyKind::kP384 || by.kind == KeyKind::kP521;
    switch (algorithm.scheme) {
        case SignatureScheme::kRsa: return rsa && check_rsa(digest, signature, algorithm.hash, by);
        case SignatureScheme::kRsaPss: return rsa && check_pss(digest, signature, algorithm, by);
        case SignatureScheme::kEcdsa:
            return ec && check_ecdsa(digest, signature, algorithm.hash, by);
        case SignatureScheme::kEd25519:
        case SignatureScheme::kWeakOrUnknown: break;
    }
    return false;
}

}  // namespace fedgate::net
