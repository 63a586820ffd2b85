// The header fields that SIP knows by name: one id each, its long name (written) and compact form
// (read). RFC 3261 7.3.3 and 20, RFC 3428, 6665, 3325, 3262, 4028, 5626.
#pragma once

#include <cstddef>
#include <cstdint>

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

// Any case, long or compact. kOther when it is none of ours. The name must be a token.
[[nodiscard]] HeaderName find_header_name(Bytes name);
// The long name, as it is written. Empty for kOther.
[[nodiscard]] Bytes header_text(HeaderName id);

}  // namespace fedgate::sip
