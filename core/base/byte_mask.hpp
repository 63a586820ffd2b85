// Where a byte stands in a short text, as a mask (what labels and host names are judged by), and
// whether a text is ASCII.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/base/bytes.hpp"

namespace fedgate {

constexpr std::size_t kByteMaskBytes = 64;

// Bit i is set where text[i] is `byte`; of at most kByteMaskBytes bytes.
inline std::uint64_t byte_mask(Bytes text, char byte) {
    std::uint64_t mask = 0;
    std::size_t i = 0;
#ifdef __SSE2__
    const __m128i wanted = _mm_set1_epi8(byte);
    const auto look_at = [&](std::size_t at) {
        const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
        const int found = _mm_movemask_epi8(_mm_cmpeq_epi8(block, wanted));
        mask |= static_cast<std::uint64_t>(static_cast<unsigned>(found)) << at;
    };
    for (; i + 16 <= text.size(); i += 16) look_at(i);
    if (i != 0) {
        if (i != text.size()) look_at(text.size() - 16);
        return mask;
    }
    if (text.size() >= 8) {
        const char* const last = text.data() + text.size() - 8;
        const __m128i halves =
            _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(text.data())),
                               _mm_loadl_epi64(reinterpret_cast<const __m128i*>(last)));
        const auto found = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(halves, wanted)));
        return (found & 0xff) | static_cast<std::uint64_t>(found >> 8) << (text.size() - 8);
    }
#endif
    for (; i < text.size(); ++i) mask |= static_cast<std::uint64_t>(text[i] == byte) << i;
    return mask;
}

inline bool is_ascii(Bytes text) {
    std::uint64_t all = 0;
    std::uint64_t word = 0;
    while (text.size() >= sizeof word) {
        std::memcpy(&word, text.data(), sizeof word);
        all |= word;
        text.remove_prefix(sizeof word);
    }
    for (const char c : text) all |= static_cast<std::uint8_t>(c);
    return (all & 0x8080'8080'8080'8080) == 0;
}

}  // namespace fedgate
