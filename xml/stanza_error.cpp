#include "xml/stanza_error.hpp"

#include <array>

#include "xml/writer.hpp"

namespace fedgate::xml {
namespace {

struct Row {
    StanzaCondition condition;
    Bytes name;
    ErrorType type;
};

// RFC 6120 8.3.3.
constexpr std::array kConditions = {
    Row{StanzaCondition::kBadRequest, "bad-request", ErrorType::kModify},
    Row{StanzaCondition::kConflict, "conflict", ErrorType::kCancel},
    Row{StanzaCondition::kFeatureNotImplemented, "feature-not-implemented", ErrorType::kCancel},
    Row{StanzaCondition::kForbidden, "forbidden", ErrorType::kAuth},
    Row{StanzaCondition::kGone, "gone", ErrorType::kCancel},
    Row{StanzaCondition::kInternalServerError, "internal-server-error", ErrorType::kCancel},
    Row{StanzaCondition::kItemNotFound, "item-not-found", ErrorType::kCancel},
    Row{StanzaCondition::kJidMalformed, "jid-malformed", ErrorType::kModify},
    Row{StanzaCondition::kNotAcceptable, "not-acceptable", ErrorType::kModify},
    Row{StanzaCondition::kNotAllowed, "not-allowed", ErrorType::kCancel},
    Row{StanzaCondition::kNotAuthorized, "not-authorized", ErrorType::kAuth},
    Row{StanzaCondition::kPolicyViolation, "policy-violation", ErrorType::kModify},
    Row{StanzaCondition::kRecipientUnavailable, "recipient-unavailable", ErrorType::kWait},
    Row{StanzaCondition::kRedirect, "redirect", ErrorType::kModify},
    Row{StanzaCondition::kRegistrationRequired, "registration-required", ErrorType::kAuth},
    Row{StanzaCondition::kRemoteServerNotFound, "remote-server-not-found", ErrorType::kCancel},
    Row{StanzaCondition::kRemoteServerTimeout, "remote-server-timeout", ErrorType::kWait},
    Row{StanzaCondition::kResourceConstraint, "resource-constraint", ErrorType::kWait},
    Row{StanzaCondition::kServiceUnavailable, "service-unavailable", ErrorType::kCancel},
    Row{StanzaCondition::kSubscriptionRequired, "subscription-required", ErrorType::kAuth},
    Row{StanzaCondition::kUndefinedCondition, "undefined-condition", ErrorType::kCancel},
    Row{StanzaCondition::kUnexpectedRequest, "unexpected-request", ErrorType::kWait},
};

consteval bool in_order() {
    for (std::size_t i = 0; i < kConditions.size(); ++i) {
        if (static_cast<std::size_t>(kConditions[i].condition) != i) return false;
    }
    return kConditions.size() == kStanzaConditions;
}
static_assert(in_order());

constexpr std::array<Bytes, 5> kTypes = {"auth", "cancel", "continue", "modify", "wait"};

}  // namespace

Bytes name_of(ErrorType type) { return kTypes[static_cast<std::size_t>(type)]; }
Bytes name_of(StanzaCondition condition) {
    return kConditions[static_cast<std::size_t>(condition)].name;
}
ErrorType default_type(StanzaCondition condition) {
    return kConditions[static_cast<std::size_t>(condition)].type;
}

std::optional<ErrorType> parse_error_type(Bytes name) {
    for (std::size_t i = 0; i < kTypes.size(); ++i) {
        if (kTypes[i] == name) return static_cast<ErrorType>(i);
    }
    return std::nullopt;
}

std::optional<StanzaCondition> parse_stanza_condition(Bytes name) {
    for (const Row& row : kConditions) {
        if (row.name == name) return row.condition;
    }
    return std::nullopt;
}

StreamError stream_error(XmlFault fault) {
    switch (fault) {
        case XmlFault::kNone: return StreamError::kNone;
        case XmlFault::kNotWellFormed: return StreamError::kNotWellFormed;
        case XmlFault::kRestrictedXml: return StreamError::kRestrictedXml;
        case XmlFault::kUnsupportedEncoding: return StreamError::kUnsupportedEncoding;
        case XmlFault::kBadFormat: return StreamError::kBadFormat;
        case XmlFault::kBadNamespacePrefix: return StreamError::kBadNamespacePrefix;
        case XmlFault::kTooBig: return StreamError::kStanzaTooBig;
        case XmlFault::kTooDeep:
        case XmlFault::kTooManyAttributes:
        case XmlFault::kTooManyPrefixes: break;
    }
    return StreamError::kPolicyViolation;
}

void write_stanza_error(Sink& sink, StanzaKind kind, Bytes from, Bytes to, Bytes id,
                        const StanzaError& error) {
    const Bytes name = stanza_kind_name(kind);
    const Bytes condition = name_of(error.condition);
    write_start(sink, name, {{"from", from}, {"to", to}, {"id", id}, {"type", "error"}});
    write_start(sink, "error", {{"type", name_of(error.type)}, {"by", error.by}});
    if (error.address.empty()) {
        write_empty(sink, condition, {{"xmlns", kStanzasNamespace}});
    } else {
        write_element(sink, condition, {{"xmlns", kStanzasNamespace}}, error.address);
    }
    if (!error.text.empty()) {
        write_element(sink, "text", {{"xmlns", kStanzasNamespace}, {"xml:lang", "en"}}, error.text);
    }
    write_end(sink, "error");
    write_end(sink, name);
}

std::optional<StanzaError> parse_stanza_error(const Element& stanza) {
    for (const Element& child : stanza.children()) {
        if (child.name() != "error" || child.namespace_uri() != stanza.namespace_uri()) continue;
        StanzaError error;
        for (const Element& part : child.children()) {
            if (part.namespace_uri() != kStanzasNamespace) continue;
            if (part.name() == "text") {
                error.text = part.content();
            } else if (const auto condition = parse_stanza_condition(part.name())) {
                error.condition = *condition;
                error.address = part.content();
            }
        }
        error.type =
            parse_error_type(child.attribute("type")).value_or(default_type(error.condition));
        error.by = child.attribute("by");
        return error;
    }
    return std::nullopt;
}

}  // namespace fedgate::xml
