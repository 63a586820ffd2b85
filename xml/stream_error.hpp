// The stream error conditions of RFC 6120 4.9.3, as names on the wire and by what they mean for a
// retry.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/bytes.hpp"

namespace fedgate::xml {

enum class StreamError : std::uint8_t {
    kNone,
    kBadFormat,
    kBadNamespacePrefix,
    kConflict,
    kConnectionTimeout,
    kHostGone,
    kHostUnknown,
    kImproperAddressing,
    kInternalServerError,
    kInvalidFrom,
    kInvalidNamespace,
    kInvalidXml,
    kNotAuthorized,
    kNotWellFormed,
    kPolicyViolation,
    kRemoteConnectionFailed,
    kReset,
    kResourceConstraint,
    kRestrictedXml,
    kSeeOtherHost,
    kSystemShutdown,
    kUndefinedCondition,
    kUnsupportedEncoding,
    kUnsupportedFeature,
    kUnsupportedStanzaType,
    kUnsupportedVersion,
    kStanzaTooBig,    // on the wire: policy-violation with urn:xmpp:errors stanza-too-big (S2S-8)
    kHandledTooHigh,  // on the wire: undefined-condition with handled-count-too-high (XEP-0198)
};

struct StreamErrorRow {
    StreamError error;
    Bytes name;
    bool permanent;  // S2S-21; what it does not name is permanent: the same bytes would be refused
                     // again
};

constexpr std::array kStreamErrors = {
    StreamErrorRow{StreamError::kNone, "", false},
    StreamErrorRow{StreamError::kBadFormat, "bad-format", true},
    StreamErrorRow{StreamError::kBadNamespacePrefix, "bad-namespace-prefix", true},
    StreamErrorRow{StreamError::kConflict, "conflict", false},
    StreamErrorRow{StreamError::kConnectionTimeout, "connection-timeout", false},
    StreamErrorRow{StreamError::kHostGone, "host-gone", true},
    StreamErrorRow{StreamError::kHostUnknown, "host-unknown", true},
    StreamErrorRow{StreamError::kImproperAddressing, "improper-addressing", true},
    StreamErrorRow{StreamError::kInternalServerError, "internal-server-error", false},
    StreamErrorRow{StreamError::kInvalidFrom, "invalid-from", true},
    StreamErrorRow{StreamError::kInvalidNamespace, "invalid-namespace", true},
    StreamErrorRow{StreamError::kInvalidXml, "invalid-xml", true},
    StreamErrorRow{StreamError::kNotAuthorized, "not-authorized", true},
    StreamErrorRow{StreamError::kNotWellFormed, "not-well-formed", true},
    StreamErrorRow{StreamError::kPolicyViolation, "policy-violation", true},
    StreamErrorRow{StreamError::kRemoteConnectionFailed, "remote-connection-failed", false},
    StreamErrorRow{StreamError::kReset, "reset", false},
    StreamErrorRow{StreamError::kResourceConstraint, "resource-constraint", false},
    StreamErrorRow{StreamError::kRestrictedXml, "restricted-xml", true},
    StreamErrorRow{StreamError::kSeeOtherHost, "see-other-host", false},
    StreamErrorRow{StreamError::kSystemShutdown, "system-shutdown", false},
    StreamErrorRow{StreamError::kUndefinedCondition, "undefined-condition", false},
    StreamErrorRow{StreamError::kUnsupportedEncoding, "unsupported-encoding", true},
    StreamErrorRow{StreamError::kUnsupportedFeature, "unsupported-feature", true},
    StreamErrorRow{StreamError::kUnsupportedStanzaType, "unsupported-stanza-type", true},
    StreamErrorRow{StreamError::kUnsupportedVersion, "unsupported-version", true},
    StreamErrorRow{StreamError::kStanzaTooBig, "policy-violation", true},
    StreamErrorRow{StreamError::kHandledTooHigh, "undefined-condition", false},
};

consteval bool stream_errors_in_order() {
    for (std::size_t i = 0; i < kStreamErrors.size(); ++i) {
        if (static_cast<std::size_t>(kStreamErrors[i].error) != i) return false;
    }
    return true;
}
static_assert(stream_errors_in_order());

constexpr Bytes name_of(StreamError error) {
    return kStreamErrors[static_cast<std::size_t>(error)].name;
}
constexpr bool is_permanent(StreamError error) {
    return kStreamErrors[static_cast<std::size_t>(error)].permanent;
}

// What a peer's condition is; kUndefinedCondition when it is none of the RFC's.
constexpr StreamError parse_stream_error(Bytes name) {
    for (const StreamErrorRow& row : kStreamErrors) {
        if (row.error != StreamError::kNone && row.name == name) return row.error;
    }
    return StreamError::kUndefinedCondition;
}

}  // namespace fedgate::xml
