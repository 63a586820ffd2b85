// Hexadecimal digits, lower case, as ids and branches have them; eight bytes at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

namespace fedgate {

// Two digits for each byte; returns where they end.
inline char* write_hex(char* out, std::span<const std::uint8_t> bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::size_t i = 0;
#ifdef __SSSE3__
    const auto write_eight = [&](std::size_t at) {
        const __m128i digits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kDigits));
        const __m128i block = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes.data() + at));
        const __m128i high = _mm_srli_epi16(block, 4);
        const __m128i both = _mm_and_si128(_mm_unpacklo_epi8(high, block), _mm_set1_epi8(15));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * at), _mm_shuffle_epi8(digits, both));
    };
    for (; i + 8 <= bytes.size(); i += 8) write_eight(i);
    if (i != 0) {  // the last eight, of which some were seen
        if (i != bytes.size()) write_eight(bytes.size() - 8);
        return out + 2 * bytes.size();
    }
#endif
    for (; i < bytes.size(); ++i) {
        out[2 * i] = kDigits[bytes[i] >> 4];
        out[2 * i + 1] = kDigits[bytes[i] & 15];
    }
    return out + 2 * bytes.size();
}

constexpr int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Fills `bytes` from twice as many digits, of either case. False: one is none.
inline bool read_hex(const char* text, std::span<std::uint8_t> bytes) {
    std::size_t i = 0;
#ifdef __SSSE3__
    const auto read_eight = [&](std::size_t at) {
        const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + 2 * at));
        const __m128i digit = _mm_sub_epi8(block, _mm_set1_epi8('0'));
        const __m128i letter =
            _mm_sub_epi8(_mm_or_si128(block, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        // Unsigned: x <= n.
        const __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
        const __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);
        const __m128i values =
            _mm_or_si128(_mm_and_si128(is_digit, digit),
                         _mm_andnot_si128(is_digit, _mm_add_epi8(letter, _mm_set1_epi8(10))));
        const __m128i pairs = _mm_maddubs_epi16(values, _mm_set1_epi16(0x0110));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(bytes.data() + at),
                         _mm_packus_epi16(pairs, pairs));
        return _mm_movemask_epi8(_mm_or_si128(is_digit, is_letter)) == 0xffff;
    };
    for (; i + 8 <= bytes.size(); i += 8) {
        if (!read_eight(i)) return false;
    }
    if (i != 0) return i == bytes.size() || read_eight(bytes.size() - 8);
#endif
    for (; i < bytes.size(); ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return true;
}

}  // namespace fedgate
