// Finds the next byte that matters, 16 bytes at a time (SSE2, which every amd64 has) and 32 at a time
// in long runs where the processor has AVX2.
#pragma once

#include <bit>
#include <cstddef>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

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

inline const char* find_special_sse2(const char* p, const char* end, char a, char b, char c) {
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i as = _mm_set1_epi8(a);
    const __m128i bs = _mm_set1_epi8(b);
    const __m128i cs = _mm_set1_epi8(c);
    for (; end - p >= 16; p += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        // Signed: bytes over 0x7F are negative, so below a space, too.
        const __m128i hit = _mm_or_si128(
            _mm_or_si128(_mm_cmplt_epi8(bytes, space), _mm_cmpeq_epi8(bytes, as)),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, bs), _mm_cmpeq_epi8(bytes, cs)));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hit));
        if (mask != 0) return p + std::countr_zero(mask);
    }
    return find_special_bytewise(p, end, a, b, c);
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

// The first 16 bytes in line: most runs of a stanza end there; what is longer pays for the call.
inline const char* find_special(FindSpecial long_run, const char* p, const char* end, char a, char b,
                                char c) {
#if defined(__SSE2__)
    if (end - p >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        const __m128i hit = _mm_or_si128(
            _mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(bytes, _mm_set1_epi8(a))),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b)), _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c))));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hit));
        if (mask != 0) return p + std::countr_zero(mask);
        p += 16;
    }
#endif
    return long_run(p, end, a, b, c);
}

// The first byte in [p, end) that is one of kSet, else end.
template <char... kSet>
const char* find_any(const char* p, const char* end) {
#if defined(__SSE2__)
    for (; end - p >= 16; p += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        __m128i hit = _mm_setzero_si128();
        ((hit = _mm_or_si128(hit, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(kSet)))), ...);
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hit));
        if (mask != 0) return p + std::countr_zero(mask);
    }
#endif
    while (p != end && ((*p != kSet) && ...)) ++p;
    return p;
}

}  // namespace fedgate::xml
