// Digests, text encodings and random streams. The only door to wolfCrypt's hashes. Nothing here
// allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>

#include "core/base/bytes.hpp"
#include "core/base/hex.hpp"

namespace fedgate {

using Md5Digest = std::array<std::uint8_t, 16>;
using Sha1Digest = std::array<std::uint8_t, 20>;
using Sha256Digest = std::array<std::uint8_t, 32>;
using Sha512Digest = std::array<std::uint8_t, 64>;

// Each hashes the parts one after the other.
Md5Digest md5(std::initializer_list<Bytes> parts);  // digest authentication has nothing else
Sha1Digest sha1(std::initializer_list<Bytes> parts);
Sha256Digest sha256(std::initializer_list<Bytes> parts);
Sha512Digest sha512(std::initializer_list<Bytes> parts);
Sha256Digest hmac_sha256(Bytes key, std::initializer_list<Bytes> parts);

template <std::size_t N>
std::array<char, 2 * N> to_hex(const std::array<std::uint8_t, N>& bytes) {
    std::array<char, 2 * N> hex;
    write_hex(hex.data(), bytes);
    return hex;
}

// Random bytes, as many as wanted, out of a random key: the stream of ChaCha20 (RFC 8439
// section 2.4) with counter and nonce zero. A key serves once.
void expand_random(const std::array<std::uint8_t, 32>& key, MutableBytes out);

// RFC 4648 section 4, with padding.
constexpr std::size_t base64_size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }
void write_base64(Sink&, Bytes);
// Strict: alphabet, padding and zero trailing bits are checked, no white space. Returns the decoded
// size, or nothing if the text is wrong or `out` too small.
std::optional<std::size_t> decode_base64(Bytes text, MutableBytes out);

// Time does not depend on the contents (it does on the sizes).
bool equal_constant_time(Bytes a, Bytes b);

// For tables and shard choice; not for anything that a peer may attack with chosen keys unless
// seeded.
constexpr std::uint64_t fnv1a(Bytes bytes, std::uint64_t seed = 0) {
    std::uint64_t hash = 0xcbf29ce484222325ull ^ seed;
    for (const char c : bytes) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3ull;
    }
    return hash;
}

}  // namespace fedgate
