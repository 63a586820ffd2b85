// The header fields that SIP knows by name: one id each, its long name (written) and compact form
// (read). RFC 3261 7.3.3 and 20, RFC 3428, 6665, 3325, 3262, 4028, 5626.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/base/bytes.hpp"

namespace fedgate::sip {

enum class HeaderName : std::uint8_t {
    kOther,  // any name that is not in the table
    kAccept,
    kAcceptContact,
    kAcceptEncoding,
    kAcceptLanguage,
    kAllow,
    kAllowEvents,
    kAuthenticationInfo,
    kAuthorization,
    kCallId,
    kContact,
    kContentDisposition,
    kContentEncoding,
    kContentLanguage,
    kContentLength,
    kContentTransferEncoding,
    kContentType,
    kCseq,
    kDate,
    kErrorInfo,
    kEvent,
    kExpires,
    kFrom,
    kIdentity,
    kInReplyTo,
    kMaxForwards,
    kMimeVersion,
    kMinExpires,
    kOrganization,
    kPAssertedIdentity,
    kPPreferredIdentity,
    kPath,
    kPriority,
    kPrivacy,
    kProxyAuthenticate,
    kProxyAuthenticationInfo,
    kProxyAuthorization,
    kProxyRequire,
    kReason,
    kRecordRoute,
    kReferTo,
    kReferredBy,
    kRejectContact,
    kReplaces,
    kRequestDisposition,
    kRequire,
    kRetryAfter,
    kRoute,
    kServer,
    kSessionExpires,
    kSipEtag,
    kSipIfMatch,
    kSubject,
    kSubscriptionState,
    kSupported,
    kTimestamp,
    kTo,
    kUnsupported,
    kUserAgent,
    kVia,
    kWarning,
    kWwwAuthenticate,
    kCount
};

constexpr std::size_t kHeaderNameCount = static_cast<std::size_t>(HeaderName::kCount);

// Size, first and last four letters, case folded, into a table with room to spare: one look finds
// the only candidate. That there is only one is checked when it is compiled.
struct HeaderIndex {
    static constexpr unsigned kSlotBits = 9;
    static constexpr std::size_t kShort = 16;  // a longer name is not in `lower`
    std::array<std::uint8_t, 1 << kSlotBits> slots{};
    std::array<std::uint8_t, 128> compact{};
    std::array<std::array<char, kShort>, kHeaderNameCount> lower{};
    std::array<std::uint8_t, kHeaderNameCount> sizes{};
    bool unique = true;

    static constexpr std::uint32_t letters(const char* text) {
        std::uint32_t word = 0;
        if consteval {
            for (unsigned i = 4; i-- > 0;) word = word << 8 | static_cast<std::uint8_t>(text[i]);
        } else {
            std::memcpy(&word, text, sizeof word);
        }
        return word | 0x2020'2020;
    }
    // Of at least two letters; those of less than four are To and Via.
    static constexpr std::size_t slot_of(const char* name, std::size_t size) {
        if (size < 4) return size;
        const std::uint32_t mixed =
            (letters(name) * 0x0a04'ef49 ^ letters(name + size - 4) * 0x6816'de07) +
            static_cast<std::uint32_t>(size) * 0x12bc'cdcb;
        return mixed >> (32 - kSlotBits);
    }
};
extern const HeaderIndex kHeaderIndex;

#ifdef __SSE2__
// The name that the first `size` bytes of `front` are; kOther when it is none of the long ones that
// are not longer than that.
inline HeaderName find_short_name(const char* front, std::size_t size) {
    if (size < 2) return HeaderName::kOther;
    const std::size_t id = kHeaderIndex.slots[HeaderIndex::slot_of(front, size)];
    if (kHeaderIndex.sizes[id] != size) return HeaderName::kOther;
    // Ours have letters and '-' only, and the other one is a token: what differs in bit 5 differs
    // in case.
    const __m128i text =
        _mm_or_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(front)), _mm_set1_epi8(0x20));
    const __m128i name =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(kHeaderIndex.lower[id].data()));
    const auto other = ~static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(text, name)));
    return static_cast<std::size_t>(std::countr_zero(other)) >= size ? static_cast<HeaderName>(id)
                                                                     : HeaderName::kOther;
}
#endif

// Any case, long or compact. kOther when it is none of ours. The name must be a token.
[[nodiscard]] HeaderName find_header_name(Bytes name);
// The long name, as it is written. Empty for kOther.
[[nodiscard]] Bytes header_text(HeaderName id);

}  // namespace fedgate::sip
