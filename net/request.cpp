// clang-format off: wolfSSL's other headers mean something else without this one before them.
#include <wolfssl/options.h>
// clang-format on

#include "net/request.hpp"

#include <cstring>
#include <memory>
#include <optional>

#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "net/certificate.hpp"
#include "net/making.hpp"

namespace fedgate::net {

void prepare_tls_library();  // tls.cpp

namespace {

constexpr std::size_t kDerBytesMax = 32'768;

// Keys and generator with their clean-up.
struct Maker {
    WC_RNG random{};
    RsaKey rsa{};
    ecc_key ec{};
    bool ready = false;

    Maker() {
        prepare_tls_library();
        ready = wc_InitRng(&random) == 0;
        ready = wc_InitRsaKey(&rsa, nullptr) == 0 && ready;
        ready = wc_ecc_init(&ec) == 0 && ready;
        ready = wc_RsaSetRNG(&rsa, &random) == 0 && ready;
    }
    ~Maker() {
        wc_ecc_free(&ec);
        wc_FreeRsaKey(&rsa);
        wc_FreeRng(&random);
    }
};

// A key in DER: forgotten when it is done with.
struct Secret {
    std::string bytes = std::string(kDerBytesMax, '\0');
    ~Secret() { explicit_bzero(bytes.data(), bytes.size()); }
    [[nodiscard]] byte* data() { return reinterpret_cast<byte*>(bytes.data()); }
    [[nodiscard]] word32 size() const { return static_cast<word32>(bytes.size()); }
};

int rsa_bits(NewKey kind) {
    return kind == NewKey::kRsa2048   ? 2'048
           : kind == NewKey::kRsa3072 ? 3'072
           : kind == NewKey::kRsa4096 ? 4'096
                                      : 0;
}

bool put(char (&into)[CTC_NAME_SIZE], char& encoding, const std::string& text, char as = CTC_UTF8) {
    if (text.size() > kSubjectBytesMax) return false;
    std::memcpy(into, text.c_str(), text.size() + 1);
    encoding = as;
    return true;
}

// RSA, or else the curve's hash.
std::optional<bool> read_key(Bytes pem, Maker& maker) {
    for (const char* label : {"RSA PRIVATE KEY", "EC PRIVATE KEY"}) {
        auto ders = parse_pem(pem, label);
        if (!ders) continue;
        std::string& der = ders->front();
        const byte* bytes = reinterpret_cast<const byte*>(der.data());
        const auto size = static_cast<word32>(der.size());
        word32 at = 0;
        const bool is_rsa = label[0] == 'R';
        const int outcome = is_rsa ? wc_RsaPrivateKeyDecode(bytes, &at, &maker.rsa, size)
                                   : wc_EccPrivateKeyDecode(bytes, &at, &maker.ec, size);
        explicit_bzero(der.data(), der.size());
        if (outcome == 0) return is_rsa;
    }
    return std::nullopt;
}

}  // namespace

Result<std::string> make_key(NewKey kind) {
    Maker maker;
    Secret der;
    if (!maker.ready) return failure(Errc::kSystem, "no random numbers");
    int size = 0;
    const int bits = rsa_bits(kind);
    if (bits != 0) {
        if (wc_MakeRsaKey(&maker.rsa, bits, WC_RSA_EXPONENT, &maker.random) == 0)
            size = wc_RsaKeyToDer(&maker.rsa, der.data(), der.size());
    } else {
        const bool small = kind == NewKey::kP256;
        if (wc_ecc_make_key_ex(&maker.random, small ? 32 : 48, &maker.ec,
                               small ? ECC_SECP256R1 : ECC_SECP384R1) == 0)
            size = wc_EccKeyToDer(&maker.ec, der.data(), der.size());
    }
    if (size <= 0) return failure(Errc::kSystem, "key generation");
    std::string pem = to_pem(Bytes(der.bytes).substr(0, static_cast<std::size_t>(size)),
                             bits != 0 ? PRIVATEKEY_TYPE : ECC_PRIVATEKEY_TYPE);
    if (pem.empty()) return failure(Errc::kSystem, "PEM");
    return pem;
}

Result<std::string> make_request(Bytes key_pem, const Subject& subject,
                                 const std::vector<std::string>& dns_names) {
    if (dns_names.empty() || dns_names.size() > kRequestNamesMax)
        return failure(Errc::kLimit, "request names");
    for (const std::string& name : dns_names) {
        if (name.empty() || name.size() > kAltNameBytesMax)
            return failure(Errc::kMalformed, "request name");
    }
    Maker maker;
    const auto wanted = std::make_unique<Cert>();
    if (!maker.ready || wc_InitCert(wanted.get()) != 0) return failure(Errc::kSystem, "request");
    const std::optional<bool> is_rsa = read_key(key_pem, maker);
    if (!is_rsa) return failure(Errc::kCertificate, "key");
    wanted->version = 0;  // RFC 2986 4.1
    CertName& name = wanted->subject;
    if (!put(name.commonName, name.commonNameEnc, subject.common_name) ||
        !put(name.org, name.orgEnc, subject.organisation) ||
        !put(name.unit, name.unitEnc, subject.unit) ||
        !put(name.locality, name.localityEnc, subject.city) ||
        !put(name.state, name.stateEnc, subject.state) ||
        !put(name.country, name.countryEnc, subject.country, CTC_PRINTABLE))
        return failure(Errc::kLimit, "subject");
    const std::string names = alt_names_der(dns_names);
    static_assert(kRequestNamesMax * (kAltNameBytesMax + 2) + 4 < CTC_MAX_ALT_SIZE);
    std::memcpy(wanted->altNames, names.data(), names.size());
    wanted->altNamesSz = static_cast<int>(names.size());
    const bool big_curve = !*is_rsa && wc_ecc_size(&maker.ec) > 32;
    wanted->sigType = *is_rsa ? CTC_SHA256wRSA : big_curve ? CTC_SHA384wECDSA : CTC_SHA256wECDSA;
    if (wc_SetKeyUsage(wanted.get(),
                       *is_rsa ? "digitalSignature,keyEncipherment" : "digitalSignature") != 0 ||
        wc_SetExtKeyUsage(wanted.get(), "serverAuth,clientAuth") != 0)
        return failure(Errc::kSystem, "key usage");
    std::string der(kDerBytesMax, '\0');
    auto* bytes = reinterpret_cast<byte*>(der.data());
    const auto room = static_cast<word32>(der.size());
    RsaKey* rsa = *is_rsa ? &maker.rsa : nullptr;
    ecc_key* ec = *is_rsa ? nullptr : &maker.ec;
    if (wc_MakeCertReq(wanted.get(), bytes, room, rsa, ec) <= 0)
        return failure(Errc::kCertificate, "request");
    const int size =
        wc_SignCert(wanted->bodySz, wanted->sigType, bytes, room, rsa, ec, &maker.random);
    if (size <= 0) return failure(Errc::kCertificate, "signature of the request");
    std::string pem = to_pem(Bytes(der).substr(0, static_cast<std::size_t>(size)), CERTREQ_TYPE);
    if (pem.empty()) return failure(Errc::kSystem, "PEM");
    return pem;
}

}  // namespace fedgate::net
