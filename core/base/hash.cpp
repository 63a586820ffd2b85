#include "core/base/hash.hpp"

#include <wolfssl/options.h>
// options.h first: the other headers mean something else for every option.
#include <algorithm>
#include <cstring>

#include <wolfssl/wolfcrypt/chacha.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/md5.h>
#include <wolfssl/wolfcrypt/sha.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>

namespace fedgate {

namespace {

const byte* data_of(Bytes bytes) { return reinterpret_cast<const byte*>(bytes.data()); }
word32 size_of(Bytes bytes) { return static_cast<word32>(bytes.size()); }

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> kBase64Value = [] {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (int i = 0; i < 64; ++i) {
        values[static_cast<unsigned char>(kBase64[i])] = static_cast<std::int8_t>(i);
    }
    return values;
}();

std::uint32_t value_of(char c) {
    return static_cast<std::uint32_t>(kBase64Value[static_cast<unsigned char>(c)]);
}

// wolfCrypt's software digests fail only on bad arguments: that would be our bug.
template <typename Digest, typename State>
Digest digest_of(std::initializer_list<Bytes> parts, int (*init)(State*),
                 int (*update)(State*, const byte*, word32), int (*finish)(State*, byte*),
                 void (*release)(State*)) {
    Digest digest;
    State state;
    FEDGATE_CHECK(init(&state) == 0);
    for (const Bytes part : parts) {
        FEDGATE_CHECK(update(&state, data_of(part), size_of(part)) == 0);
    }
    FEDGATE_CHECK(finish(&state, digest.data()) == 0);
    release(&state);
    return digest;
}

}  // namespace

Md5Digest md5(std::initializer_list<Bytes> parts) {
    return digest_of<Md5Digest>(parts, wc_InitMd5, wc_Md5Update, wc_Md5Final, wc_Md5Free);
}

Sha1Digest sha1(std::initializer_list<Bytes> parts) {
    return digest_of<Sha1Digest>(parts, wc_InitSha, wc_ShaUpdate, wc_ShaFinal, wc_ShaFree);
}

Sha256Digest sha256(std::initializer_list<Bytes> parts) {
    return digest_of<Sha256Digest>(parts, wc_InitSha256, wc_Sha256Update, wc_Sha256Final,
                                   wc_Sha256Free);
}

Sha512Digest sha512(std::initializer_list<Bytes> parts) {
    return digest_of<Sha512Digest>(parts, wc_InitSha512, wc_Sha512Update, wc_Sha512Final,
                                   wc_Sha512Free);
}

Sha256Digest hmac_sha256(Bytes key, std::initializer_list<Bytes> parts) {
    Sha256Digest digest;
    Hmac state;
    FEDGATE_CHECK(wc_HmacInit(&state, nullptr, INVALID_DEVID) == 0);
    FEDGATE_CHECK(wc_HmacSetKey(&state, WC_SHA256, data_of(key), size_of(key)) == 0);
    for (const Bytes part : parts) {
        FEDGATE_CHECK(wc_HmacUpdate(&state, data_of(part), size_of(part)) == 0);
    }
    FEDGATE_CHECK(wc_HmacFinal(&state, digest.data()) == 0);
    wc_HmacFree(&state);
    return digest;
}

void expand_random(const std::array<std::uint8_t, 32>& key, MutableBytes out) {
    ChaCha state;
    constexpr std::array<byte, CHACHA_IV_BYTES> kNonce{};
    FEDGATE_CHECK(wc_Chacha_SetKey(&state, key.data(), static_cast<word32>(key.size())) == 0);
    FEDGATE_CHECK(wc_Chacha_SetIV(&state, kNonce.data(), 0) == 0);
    std::memset(out.data(), 0, out.size());
    auto* bytes = reinterpret_cast<byte*>(out.data());
    FEDGATE_CHECK(wc_Chacha_Process(&state, bytes, bytes, size_of({out.data(), out.size()})) == 0);
    explicit_bzero(&state, sizeof state);
}

void write_base64(Sink& out, Bytes bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            const auto octet = j < count ? static_cast<unsigned char>(bytes[i + j]) : 0u;
            group = group << 8 | octet;
        }
        for (std::size_t j = 0; j < 4; ++j) {
            out.append(j <= count ? kBase64[group >> (18 - 6 * j) & 63] : '=');
        }
    }
}

std::optional<std::size_t> decode_base64(Bytes text, MutableBytes out) {
    if (text.size() % 4 != 0) return std::nullopt;
    if (text.empty()) return 0;
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
    const std::size_t digits = text.size() - padding;
    const std::size_t size = text.size() / 4 * 3 - padding;
    if (size > out.size()) return std::nullopt;
    std::uint32_t bits = 0;
    std::uint32_t bit_count = 0;
    std::size_t written = 0;
    for (const char c : text.substr(0, digits)) {
        if (kBase64Value[static_cast<unsigned char>(c)] < 0) return std::nullopt;
        bits = bits << 6 | value_of(c);
        bit_count += 6;
        if (bit_count < 8) continue;
        bit_count -= 8;
        out[written++] = static_cast<char>(bits >> bit_count & 0xff);
    }
    // RFC 4648 3.5: one byte string has one encoding only.
    if ((bits & ((1u << bit_count) - 1)) != 0) return std::nullopt;
    FEDGATE_CHECK(written == size);
    return size;
}

bool equal_constant_time(Bytes a, Bytes b) {
    if (a.size() != b.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    }
    // Keeps the compiler from leaving the loop early.
    asm volatile("" : "+r"(difference));
    return difference == 0;
}

}  // namespace fedgate
