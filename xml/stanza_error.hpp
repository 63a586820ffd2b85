// Stanza errors (RFC 6120 8.3): conditions, their names and types, writing and reading; and what
// the Framer refuses as a stream error.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/bytes.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"
#include "xml/stream_error.hpp"

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

Bytes name_of(ErrorType type);
Bytes name_of(StanzaCondition condition);
// The type that RFC 6120 8.3.3 associates; where it allows two, the first.
ErrorType default_type(StanzaCondition condition);
std::optional<ErrorType> parse_error_type(Bytes name);
std::optional<StanzaCondition> parse_stanza_condition(Bytes name);
// S2S-7, S2S-8: the stream error that answers what the Framer refused.
StreamError stream_error(XmlFault fault);

struct StanzaError {
    StanzaCondition condition = StanzaCondition::kUndefinedCondition;
    ErrorType type = ErrorType::kCancel;
    Bytes by;       // domain that made the error, or null
    Bytes text;     // for people, English, or null
    Bytes address;  // content of gone and redirect (new address), or null
};
// ERR-1: a stanza of the same kind with type='error'. Addresses are those of the error (from = the
// original `to`), decoded; `id` too, null if the original had none.
void write_stanza_error(Sink& sink, StanzaKind kind, Bytes from, Bytes to, Bytes id,
                        const StanzaError& error);

// Of a received stanza with type='error'. Texts are raw: decode_text(). A condition that we don't
// know is undefined-condition; an unknown or missing type is the condition's default. Null
// optional: no <error/> child.
std::optional<StanzaError> parse_stanza_error(const Element& stanza);

}  // namespace fedgate::xml
