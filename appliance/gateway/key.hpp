// 128-bit keys made from names by a seeded hash. The seed is the process's secret, so a peer can't
// make two names meet; that is why the key alone is the identity and the names need not be kept.
// Every shard uses the same seed: a key also tells the owner's shard.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "core/base/bytes.hpp"
#include "sip/transaction_key.hpp"

namespace fedgate::gateway {

using Key = sip::TransactionKey;  // 128 bits; sip::KeyIndex takes it

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
    template <typename Word>
    static std::uint64_t read(const char* bytes) {
        Word word;
        std::memcpy(&word, bytes, sizeof word);
        return word;
    }
    void add(Key& key, std::uint64_t a, std::uint64_t b) const {
        key.low = mix(a ^ key.low ^ seed_high_, b ^ kPrimeA ^ seed_low_);
        key.high = mix(a ^ kPrimeB ^ seed_low_, b ^ key.high ^ seed_high_);
    }
    // The end of a part is read from both its ends: words of fixed size, which may overlap. With
    // the part's length nothing is lost by that.
    void add(Key& key, Bytes bytes) const {
        const char* at = bytes.data();
        std::size_t left = bytes.size();
        for (; left > 16; at += 16, left -= 16)
            add(key, read<std::uint64_t>(at), read<std::uint64_t>(at + 8));
        if (left >= 8) {
            add(key, read<std::uint64_t>(at), read<std::uint64_t>(at + left - 8));
        } else if (left >= 4) {
            add(key, read<std::uint32_t>(at), read<std::uint32_t>(at + left - 4));
        } else if (left > 0) {
            add(key, read<std::uint8_t>(at),
                read<std::uint8_t>(at + left / 2) << 8 | read<std::uint8_t>(at + left - 1));
        }
    }

    std::uint64_t seed_low_;
    std::uint64_t seed_high_;
};

}  // namespace fedgate::gateway
