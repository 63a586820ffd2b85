// 128-bit keys made from names by a seeded hash. The seed is the process's secret, so a peer can't make
// two names meet; that is why the key alone is the identity and the names need not be kept. Every shard
// uses the same seed: a key also tells the owner's shard.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "core/base/bytes.hpp"
#include "sip/transaction_key.hpp"

namespace fedgate::gateway {

using Key = sip::TransactionKey;    // 128 bits; sip::KeyIndex takes it

class KeyMaker {
public:
    explicit KeyMaker(sip::KeySecret seed) : seed_low_(seed.a), seed_high_(seed.b) {}

    // Parts are kept apart by their lengths: {"ab", "c"} is not {"a", "bc"}.
    [[nodiscard]] Key make(std::initializer_list<Bytes> parts) const {
        Key key{.high = seed_high_, .low = seed_low_};
        for (const Bytes part : parts) {
            key.low = mix(key.low ^ part.size() ^ kPrimeA, seed_high_ ^ kPrimeB);
            add(key, part);
        }
        key.low = mix(key.low ^ kPrimeB, key.high ^ seed_low_);
        key.high = mix(key.high ^ kPrimeA, key.low ^ seed_high_);
        return key;
    }

private:
    __extension__ using Wide = unsigned __int128;
    static constexpr std::uint64_t kPrimeA = 0xA076'1D64'78BD'642FULL;
    static constexpr std::uint64_t kPrimeB = 0xE703'7ED1'A0B4'28DBULL;

    // Folded multiplication: every bit of both operands reaches the result.
    static std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
    static std::uint64_t read(const char* bytes, std::size_t count) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes, count);
        return word;
    }
    void add(Key& key, Bytes bytes) const {
        const char* at = bytes.data();
        std::size_t left = bytes.size();
        while (left > 0) {
            const std::size_t first = left < 8 ? left : 8;
            const std::size_t second = left < 16 ? left - first : 8;
            const std::uint64_t a = read(at, first);
            const std::uint64_t b = second > 0 ? read(at + first, second) : 0;
            key.low = mix(a ^ key.low ^ seed_high_, b ^ kPrimeA ^ seed_low_);
            key.high = mix(a ^ kPrimeB ^ seed_low_, b ^ key.high ^ seed_high_);
            at += first + second;
            left -= first + second;
        }
    }

    std::uint64_t seed_low_;
    std::uint64_t seed_high_;
};

}  // namespace fedgate::gateway
