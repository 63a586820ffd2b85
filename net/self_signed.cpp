// A certificate for a daemon that has none configured.
// clang-format off: wolfSSL's other headers mean something else without this one before them.
#include <wolfssl/options.h>
// clang-format on

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>

#include "net/making.hpp"
#include "net/tls.hpp"

namespace fedgate::net {

void prepare_tls_library();  // tls.cpp

namespace {

constexpr std::size_t kDerBytesMax = 4'096;
constexpr std::size_t kNamesBytesMax = 1'024;

// Key and generator with their clean-up.
struct Maker {
    WC_RNG random{};
    ecc_key key{};
    bool ready = false;

    Maker() {
        prepare_tls_library();
        if (wc_InitRng(&random) != 0) return;
        if (wc_ecc_init(&key) != 0) return;
        ready = wc_ecc_make_key_ex(&random, 32, &key, ECC_SECP256R1) == 0;
    }
    ~Maker() {
        wc_ecc_free(&key);
        wc_FreeRng(&random);
    }
};

// RFC 5280 4.1.2.5: UTCTime up to 2049, then GeneralizedTime. Returns its size.
int write_time(byte* into, WallTime time) {
    using namespace std::chrono;
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{time - day};
    char text[32];
    const int year = static_cast<int>(date.year());
    const bool is_short = year < 2050;
    const int size = std::snprintf(
        text, sizeof text, is_short ? "%02d%02u%02u%02d%02d%02dZ" : "%04d%02u%02u%02d%02d%02dZ",
        is_short ? year % 100 : year, static_cast<unsigned>(date.month()),
        static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
        static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
    into[0] = is_short ? 0x17 : 0x18;
    into[1] = static_cast<byte>(size);
    std::memcpy(into + 2, text, static_cast<std::size_t>(size));
    return size + 2;
}

}  // namespace

std::string to_pem(Bytes der, int type) {
    std::string pem(der.size() * 2 + 256, '\0');
    const int length =
        wc_DerToPem(reinterpret_cast<const byte*>(der.data()), static_cast<word32>(der.size()),
                    reinterpret_cast<byte*>(pem.data()), static_cast<word32>(pem.size()), type);
    pem.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
    return pem;
}

std::string alt_names_der(const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& name : names) {
        list += '\x82';
        list += static_cast<char>(name.size());
        list += name;
    }
    std::string der = "\x30\x82";
    der += static_cast<char>(list.size() >> 8);
    der += static_cast<char>(list.size() & 0xff);
    if (list.size() < 128)
        der = std::string("\x30") + static_cast<char>(list.size());
    else if (list.size() < 256)
        der = std::string("\x30\x81") + static_cast<char>(list.size());
    return der + list;
}

Result<SelfSigned> make_self_signed(const std::vector<std::string>& dns_names, unsigned days,
                                    WallTime from) {
    std::size_t total = 0;
    for (const std::string& name : dns_names) {
        if (name.empty() || name.size() > kAltNameBytesMax)
            return failure(Errc::kMalformed, "certificate name");
        total += name.size() + 2;
    }
    if (dns_names.empty() || total > kNamesBytesMax)
        return failure(Errc::kLimit, "certificate names");
    Maker maker;
    const auto wanted = std::make_unique<Cert>();
    if (!maker.ready || wc_InitCert(wanted.get()) != 0)
        return failure(Errc::kSystem, "key generation");

    const std::string names = alt_names_der(dns_names);
    const std::string& first = dns_names.front();
    std::memcpy(wanted->altNames, names.data(), names.size());
    wanted->altNamesSz = static_cast<int>(names.size());
    const std::size_t shown = std::min<std::size_t>(first.size(), CTC_NAME_SIZE - 1);
    std::memcpy(wanted->subject.commonName, first.data(), shown);
    wanted->sigType = CTC_SHA256wECDSA;
    wanted->daysValid = static_cast<int>(days);
    if (from != WallTime{}) {
        wanted->beforeDateSz = write_time(wanted->beforeDate, from);
        wanted->afterDateSz = write_time(wanted->afterDate, from + std::chrono::days(days));
    }
    wanted->isCA = 0;

    std::array<byte, kDerBytesMax> der{};
    const int body =
        wc_MakeCert(wanted.get(), der.data(), der.size(), nullptr, &maker.key, &maker.random);
    if (body <= 0) return failure(Errc::kCertificate, "certificate generation");
    const int size = wc_SignCert(wanted->bodySz, wanted->sigType, der.data(), der.size(), nullptr,
                                 &maker.key, &maker.random);
    if (size <= 0) return failure(Errc::kCertificate, "certificate generation");
    SelfSigned made;
    const auto bytes_of = [](const byte* at, int count) {
        return Bytes(reinterpret_cast<const char*>(at), static_cast<std::size_t>(count));
    };
    made.certificate = to_pem(bytes_of(der.data(), size), CERT_TYPE);
    std::array<byte, 512> secret{};
    const int secret_size = wc_EccKeyToDer(&maker.key, secret.data(), secret.size());
    if (secret_size > 0)
        made.key = to_pem(bytes_of(secret.data(), secret_size), ECC_PRIVATEKEY_TYPE);
    if (made.certificate.empty() || made.key.empty()) return failure(Errc::kSystem, "PEM");
    return made;
}

}  // namespace fedgate::net
