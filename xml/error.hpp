// Stanza errors (RFC 6120 8.3) and stream errors (4.9): conditions, their names, writing and reading.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/bytes.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"

namespace fedgate::xml {

enum class ErrorType : std::uint8_t { kAuth, kCancel, kContinue, kModify, kWait };

enum class StanzaCondition : std::uint8_t {
    kBadRequest,
    kConflict,
    kFeatureNotImplemented,
    kForbidden,
    kGone,
    kInternalServerError,
    kItemNotFound,
    kJidMalformed,
    kNotAcceptable,
    kNotAllowed,
    kNotAuthorized,
    kPolicyViolation,
    kRecipientUnavailable,
    kRedirect,
    kRegistrationRequired,
    kRemoteServerNotFound,
    kRemoteServerTimeout,
    kResourceConstraint,
    kServiceUnavailable,
    kSubscriptionRequired,
    kUndefinedCondition,
    kUnexpectedRequest,
};
inline constexpr std::size_t kStanzaConditions = 22;

enum class StreamCondition : std::uint8_t {
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
};
inline constexpr std::size_t kStreamConditions = 25;

Bytes name_of(ErrorType type);
Bytes name_of(StanzaCondition condition);
Bytes name_of(StreamCondition condition);
// The type that RFC 6120 8.3.3 associates; where it allows two, the first.
ErrorType default_type(StanzaCondition condition);
std::optional<ErrorType> parse_error_type(Bytes name);
std::optional<StanzaCondition> parse_stanza_condition(Bytes name);
std::optional<StreamCondition> parse_stream_condition(Bytes name);
// S2S-7, S2S-8: the stream error that answers what the Framer refused.
StreamCondition stream_condition(XmlFault fault);

struct StanzaError {
    StanzaCondition condition = StanzaCondition::kUndefinedCondition;
    ErrorType type = ErrorType::kCancel;
    Bytes by;         // domain that made the error, or null
    Bytes text;       // for people, English, or null
    Bytes address;    // content of gone and redirect (new address), or null
};
// ERR-1: a stanza of the same kind with type='error'. Addresses are those of the error (from = the
// original `to`), decoded; `id` too, null if the original had none.
void write_stanza_error(Sink& sink, StanzaKind kind, Bytes from, Bytes to, Bytes id,
                        const StanzaError& error);

// Of a received stanza with type='error'. Texts are raw: decode_text(). A condition that we don't know
// is undefined-condition; an unknown or missing type is the condition's default. Null optional: no
// <error/> child.
std::optional<StanzaError> parse_stanza_error(const Element& stanza);

// <stream:error>, with the prefix `stream` as in our headers. `too_big` adds S2S-8's element.
void write_stream_error(Sink& sink, StreamCondition condition, Bytes text = {}, bool too_big = false);
struct StreamError {
    StreamCondition condition = StreamCondition::kUndefinedCondition;
    Bytes text;       // raw, or null
    Bytes address;    // content of see-other-host, raw
};
// Null optional: the element is not a stream error.
std::optional<StreamError> parse_stream_error(const Element& element);

}  // namespace fedgate::xml
