// Finds the next byte that matters, 16 bytes at a time (SSE2, which every amd64 has) and 32 at a
// time in long runs where the processor has AVX2.
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "core/base/bytes.hpp"
#include "xml/utf8.hpp"

namespace fedgate::xml {

// The first byte in [p, end) that is `a`, `b` or `c`, a control character, or not ASCII; else end.
using FindSpecial = const char* (*)(const char* p, const char* end, char a, char b, char c);

inline const char* find_special_bytewise(const char* p, const char* end, char a, char b, char c) {
    for (; p != end; ++p) {
        if (static_cast<signed char>(*p) < 0x20 || *p == a || *p == b || *p == c) return p;
    }
    return end;
}

#if defined(__SSE2__)

// Signed comparison: bytes over 0x7F are negative, so below a space, too.
inline unsigned special_mask(const char* p, __m128i space, __m128i as, __m128i bs, __m128i cs) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit =
        _mm_or_si128(_mm_or_si128(_mm_cmplt_epi8(bytes, space), _mm_cmpeq_epi8(bytes, as)),
                     _mm_or_si128(_mm_cmpeq_epi8(bytes, bs), _mm_cmpeq_epi8(bytes, cs)));
    return static_cast<unsigned>(_mm_movemask_epi8(hit));
}

inline const char* find_special_sse2(const char* p, const char* end, char a, char b, char c) {
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i as = _mm_set1_epi8(a);
    const __m128i bs = _mm_set1_epi8(b);
    const __m128i cs = _mm_set1_epi8(c);
    if (end - p < 16) return find_special_bytewise(p, end, a, b, c);
    for (; end - p >= 16; p += 16) {
        const unsigned mask = special_mask(p, space, as, bs, cs);
        if (mask != 0) return p + std::countr_zero(mask);
    }
    if (p == end) return end;
    const unsigned mask = special_mask(end - 16, space, as, bs, cs);  // some of them were seen
    return mask == 0 ? end : end - 16 + std::countr_zero(mask);
}

__attribute__((target("avx2"))) inline const char* find_special_avx2(const char* p, const char* end,
                                                                     char a, char b, char c) {
    const __m256i space = _mm256_set1_epi8(0x20);
    const __m256i as = _mm256_set1_epi8(a);
    const __m256i bs = _mm256_set1_epi8(b);
    const __m256i cs = _mm256_set1_epi8(c);
    for (; end - p >= 32; p += 32) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        const __m256i hit = _mm256_or_si256(
            _mm256_or_si256(_mm256_cmpgt_epi8(space, bytes), _mm256_cmpeq_epi8(bytes, as)),
            _mm256_or_si256(_mm256_cmpeq_epi8(bytes, bs), _mm256_cmpeq_epi8(bytes, cs)));
        const auto mask = static_cast<unsigned>(_mm256_movemask_epi8(hit));
        if (mask != 0) return p + std::countr_zero(mask);
    }
    return find_special_sse2(p, end, a, b, c);
}

inline FindSpecial resolve_find_special() {
    return __builtin_cpu_supports("avx2") ? find_special_avx2 : find_special_sse2;
}

#else

inline FindSpecial resolve_find_special() { return find_special_bytewise; }

#endif

// The first 48 bytes in line: most runs of a stanza end there; a longer one is worth the call.
inline const char* find_special(FindSpecial long_run, const char* p, const char* end, char a,
                                char b, char c) {
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i as = _mm_set1_epi8(a);
    const __m128i bs = _mm_set1_epi8(b);
    const __m128i cs = _mm_set1_epi8(c);
    for (int block = 0; block < 3 && end - p >= 16; ++block, p += 16) {
        const unsigned mask = special_mask(p, space, as, bs, cs);
        if (mask != 0) return p + std::countr_zero(mask);
    }
#endif
    return long_run(p, end, a, b, c);
}

inline const char* find_special(const char* p, const char* end, char a, char b, char c) {
#if defined(__SSE2__)
    return find_special_sse2(p, end, a, b, c);
#else
    return find_special_bytewise(p, end, a, b, c);
#endif
}

// The first byte in [p, end) that is one of kSet, else end.
template <char... kSet>
const char* find_any(const char* p, const char* end) {
#if defined(__SSE2__)
    const auto hits_in = [](__m128i bytes) {
        __m128i hit = _mm_setzero_si128();
        ((hit = _mm_or_si128(hit, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(kSet)))), ...);
        return static_cast<unsigned>(_mm_movemask_epi8(hit));
    };
    const auto hits = [&](const char* at) {
        return hits_in(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    };
    if (end - p >= 16) {
        for (; end - p >= 16; p += 16) {
            const unsigned mask = hits(p);
            if (mask != 0) return p + std::countr_zero(mask);
        }
        const unsigned mask = p == end ? 0 : hits(end - 16);  // some of them were seen
        return mask == 0 ? end : end - 16 + std::countr_zero(mask);
    }
    if (end - p >= 8) {  // the first eight and the last
        const unsigned mask =
            hits_in(_mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)),
                                       _mm_loadl_epi64(reinterpret_cast<const __m128i*>(end - 8))));
        if (mask == 0) return end;
        const int at = std::countr_zero(mask);
        return at < 8 ? p + at : end - 16 + at;
    }
#endif
    while (p != end && ((*p != kSet) && ...)) ++p;
    return p;
}

// Behind the ASCII name characters at p. Byte by byte: names are short and much the same each time,
// so the branches are foreseen, where a search by blocks has to wait for its own result (166
// against 147 ns for a chat stanza).
inline const char* skip_name(const char* p, const char* end) {
    while (p != end && kNameByte[static_cast<unsigned char>(*p)]) ++p;
    return p;
}

// bytes == literal, compared in registers.
template <std::size_t kSize>
bool is_literal(Bytes bytes, const char (&literal)[kSize]) {
    return bytes.size() == kSize - 1 && std::memcmp(bytes.data(), literal, kSize - 1) == 0;
}

// memcmp for the length of a name; up to `a_end` and `b_end` may be read.
inline bool same_bytes(const char* a, const char* a_end, const char* b, const char* b_end,
                       std::size_t size) {
#if defined(__SSE2__)
    if (size <= 16 && a_end - a >= 16 && b_end - b >= 16) {
        const __m128i equal = _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a)),
                                             _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)));
        const unsigned wanted = (1U << size) - 1;
        return (static_cast<unsigned>(_mm_movemask_epi8(equal)) & wanted) == wanted;
    }
#endif
    return std::memcmp(a, b, size) == 0;
}

}  // namespace fedgate::xml
