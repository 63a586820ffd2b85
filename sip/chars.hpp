// Character classes of RFC 3261 25.1 as one table, and the small scans over them. Internal to sip/.
#pragma once

#include <array>
#include <cstdint>

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

#include <bit>

#include "core/base/bytes.hpp"
#include "core/base/hex.hpp"

namespace fedgate::sip::chars {

enum Class : std::uint16_t {
    kAlpha = 1,
    kDigit = 2,
    kHex = 4,
    kToken = 8,        // token
    kUser = 16,        // user, without escapes; also the set of ADDR-4
    kPassword = 32,    // password, without escapes
    kParam = 64,       // paramchar, without escapes; also the set of ADDR-7
    kUriHeader = 128,  // hname, hvalue with '=' and '&', without escapes
    kHost = 256,       // letters, digits, '-', '.'
    kUri = 512,     // anything that may stand in some URI: printable ASCII but SP " < > \ ^ ` { | }
    kSpace = 1024,  // SP, HT
    kBare = 2048,   // an unquoted parameter value: printable or UTF-8, but not SP , ; " < >
    kLine = 4096,   // anything but NUL, CR, LF
    kGraph = 8192,  // printable ASCII but SP
};

constexpr std::array<std::uint16_t, 256> make_table() {
    std::array<std::uint16_t, 256> table{};
    const auto add = [&table](std::string_view set, int bits) {
        for (const char c : set) {
            auto& entry = table[static_cast<std::uint8_t>(c)];
            entry = static_cast<std::uint16_t>(entry | bits);
        }
    };
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    constexpr std::string_view kDigits = "0123456789";
    constexpr int kEverywhere = kToken | kUser | kPassword | kParam | kUriHeader | kHost;
    add(kLetters, kAlpha | kEverywhere);
    add(kDigits, kDigit | kHex | kEverywhere);
    add("abcdefABCDEF", kHex);
    add("-.!%*_+`'~", kToken);
    add("-_.!~*'()", kUser | kPassword | kParam | kUriHeader);  // mark
    add("&=+$,;?/", kUser);
    add("&=+$,", kPassword);
    add("[]/:&+$", kParam);
    add("[]/?:+$=&", kUriHeader);
    add("-.", kHost);
    add(" \t", kSpace);
    for (int c = 0x21; c < 0x7f; ++c) {
        const char one = static_cast<char>(c);
        if (std::string_view("\"<>\\^`{|}").find(one) == std::string_view::npos)
            add({&one, 1}, kUri);
        if (std::string_view(",;\"<>").find(one) == std::string_view::npos) add({&one, 1}, kBare);
        add({&one, 1}, kGraph);
    }
    for (std::size_t c = 0x80; c < 0x100; ++c) table[c] |= kBare;
    for (std::size_t c = 0; c < 0x100; ++c) {
        if (c != 0 && c != '\r' && c != '\n') table[c] |= kLine;
    }
    return table;
}
inline constexpr std::array<std::uint16_t, 256> kTable = make_table();

constexpr bool is(char c, int classes) {
    return (kTable[static_cast<std::uint8_t>(c)] & classes) != 0;
}

// For sixteen bytes at a time: bit h of entry l is set when the byte 0xhl, below 0x80, is of the
// classes.
template <int kClasses>
inline constexpr std::array<std::uint8_t, 16> kNibbles = [] {
    std::array<std::uint8_t, 16> rows{};
    for (std::size_t c = 0; c < 0x80; ++c) {
        if ((kTable[c] & kClasses) != 0)
            rows[c & 15] = static_cast<std::uint8_t>(rows[c & 15] | 1u << (c >> 4));
    }
    return rows;
}();

// How many bytes at the front are of these classes.
template <int kClasses>
inline std::size_t span(Bytes text) {
    std::size_t i = 0;
#ifdef __SSSE3__
    const __m128i rows =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(kNibbles<kClasses>.data()));
    const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    const auto outside_of = [&](__m128i block) {
        // A byte from 0x80 on picks 0 in the first look-up.
        const __m128i row = _mm_shuffle_epi8(rows, block);
        const __m128i bit =
            _mm_shuffle_epi8(bits, _mm_and_si128(_mm_srli_epi16(block, 4), _mm_set1_epi8(15)));
        const __m128i out = _mm_cmpeq_epi8(_mm_and_si128(row, bit), _mm_setzero_si128());
        auto mask = static_cast<unsigned>(_mm_movemask_epi8(out));
        if ((kClasses & (kBare | kLine)) != 0)
            mask &= ~static_cast<unsigned>(_mm_movemask_epi8(block));
        return mask;
    };
    const auto outside = [&](std::size_t at) {
        return outside_of(_mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at)));
    };
    for (; i + 16 <= text.size(); i += 16) {
        const unsigned mask = outside(i);
        if (mask != 0) return i + static_cast<std::size_t>(std::countr_zero(mask));
    }
    if (i != 0) {  // the last sixteen, of which some were seen
        const unsigned mask = i == text.size() ? 0 : outside(text.size() - 16);
        if (mask == 0) return text.size();
        return text.size() - 16 + static_cast<std::size_t>(std::countr_zero(mask));
    }
    if (text.size() >= 8) {  // the first eight and the last
        const char* const last = text.data() + text.size() - 8;
        const unsigned mask = outside_of(
            _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(text.data())),
                               _mm_loadl_epi64(reinterpret_cast<const __m128i*>(last))));
        if (mask == 0) return text.size();
        const auto at = static_cast<std::size_t>(std::countr_zero(mask));
        return at < 8 ? at : text.size() - 16 + at;
    }
#endif
    while (i < text.size() && is(text[i], kClasses)) ++i;
    return i;
}
// The same, where few are expected.
template <int kClasses>
inline std::size_t short_span(Bytes text) {
    std::size_t i = 0;
    while (i < text.size() && is(text[i], kClasses)) ++i;
    return i;
}
template <int kClasses>
inline bool all(Bytes text) {
    return span<kClasses>(text) == text.size();
}

// As span(), and %HH. A broken escape ends it.
template <int kClasses>
inline std::size_t span_escaped(Bytes text) {
    std::size_t i = span<kClasses>(text);
    while (i + 2 < text.size() && text[i] == '%' && is(text[i + 1], kHex) &&
           is(text[i + 2], kHex)) {
        i += 3;
        i += span<kClasses>(text.substr(i));
    }
    return i;
}

// Is there a CR, LF or NUL in it? Also true for other low controls, which are as rare.
inline bool may_end_line(Bytes text) {
    constexpr char kLast = '\r';
    std::size_t i = 0;
#ifdef __SSE2__
    const auto low = [](__m128i block) {
        return _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(kLast)), block);
    };
    const auto low_at = [&](std::size_t at) {
        return low(_mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at)));
    };
    if (text.size() >= 16) {
        __m128i any = low_at(text.size() - 16);
        for (; i + 16 < text.size(); i += 16) any = _mm_or_si128(any, low_at(i));
        return _mm_movemask_epi8(any) != 0;
    }
    if (text.size() >= 8) {  // the first eight and the last
        const char* const last = text.data() + text.size() - 8;
        return _mm_movemask_epi8(low(_mm_unpacklo_epi64(
                   _mm_loadl_epi64(reinterpret_cast<const __m128i*>(text.data())),
                   _mm_loadl_epi64(reinterpret_cast<const __m128i*>(last))))) != 0;
    }
#endif
    for (; i < text.size(); ++i) {
        if (static_cast<std::uint8_t>(text[i]) <= kLast) return true;
    }
    return false;
}

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

inline Bytes skip_space(Bytes text) {
    const char* begin = text.data();
    const char* const end = begin + text.size();
    while (begin != end && is(*begin, kSpace)) ++begin;
    return {begin, static_cast<std::size_t>(end - begin)};
}
inline Bytes trim(Bytes text) {
    text = skip_space(text);
    const char* end = text.data() + text.size();
    while (end != text.data() && is(end[-1], kSpace)) --end;
    return {text.data(), static_cast<std::size_t>(end - text.data())};
}
inline bool take(Bytes& text, char c) {
    if (text.empty() || text.front() != c) return false;
    text.remove_prefix(1);
    return true;
}

// The length of the quoted string at the front, its quotes included; 0 when it does not end.
inline std::size_t quoted_size(Bytes text) {
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') return i + 1;
        if (text[i] == '\\') ++i;
    }
    return 0;
}

// Takes the digits at the front as a number: how many there are; 0 also when it is more than `max`.
inline std::size_t take_number(Bytes& text, std::uint64_t max, std::uint64_t& out) {
    std::uint64_t value = 0;
    std::size_t i = 0;
    for (; i < text.size(); ++i) {
        const auto digit = static_cast<std::uint64_t>(static_cast<std::uint8_t>(text[i])) - '0';
        if (digit > 9) break;
        value = value * 10 + digit;
        if (value > max) return 0;  // max is far below 2^60, so this comes before an overflow
    }
    text.remove_prefix(i);
    out = value;
    return i;
}
// 1*DIGIT as a number; false when there is another byte, nothing, or more than `max`.
inline bool number(Bytes text, std::uint64_t max, std::uint64_t& out) {
    return take_number(text, max, out) != 0 && text.empty();
}

}  // namespace fedgate::sip::chars
