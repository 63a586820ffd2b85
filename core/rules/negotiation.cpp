#include "core/rules/negotiation.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace fedgate::rules {
namespace {

using enum Need;
using namespace method;

constexpr std::string_view kDialbackIdle =
    "dialback will not be used: sasl = required demands a certificate, which is the safest. With "
    "sasl = optional both are good";
constexpr std::string_view kSaslNeedsTls =
    "SASL EXTERNAL needs TLS, which this partner may leave out; such streams may fail. Set tls = "
    "required";
constexpr std::string_view kNoTlsNoSasl =
    "SASL EXTERNAL needs TLS, which is off; only dialback in clear remains. Set sasl = none to say "
    "so";
constexpr std::string_view kSaslWithoutTls =
    "no method is left: SASL EXTERNAL needs TLS, and dialback is off. Set tls = required or "
    "dialback = yes";
constexpr std::string_view kNothingOn =
    "no method is left: SASL and dialback are both off. Set sasl = required or dialback = yes";
constexpr std::string_view kClear =
    "streams may run in clear, and the partner is known by DNS only";

// features.md A5, row by row. The row required/optional/yes: D/TCP of the "common" table would need
// a stream in clear, which tls = required forbids; the full table holds.
constexpr Negotiation kRows[] = {
    {kRequired, kRequired, true, kSaslTls, kDialbackIdle},
    {kRequired, kRequired, false, kSaslTls, ""},
    {kOptional, kRequired, true, kSaslTls | kDialbackTls | kDialbackClear, kSaslNeedsTls},
    {kOptional, kRequired, false, kSaslTls, kSaslNeedsTls},
    {kNone, kRequired, true, kDialbackClear, kNoTlsNoSasl},
    {kNone, kRequired, false, 0, kSaslWithoutTls},
    {kRequired, kOptional, true, kSaslTls | kDialbackTls, ""},
    {kRequired, kOptional, false, kSaslTls, ""},
    {kOptional, kOptional, true, kSaslTls | kDialbackTls | kDialbackClear, kSaslNeedsTls},
    {kOptional, kOptional, false, kSaslTls, kSaslNeedsTls},
    {kNone, kOptional, true, kDialbackClear, kNoTlsNoSasl},
    {kNone, kOptional, false, 0, kSaslWithoutTls},
    {kRequired, kNone, true, kDialbackTls, ""},
    {kRequired, kNone, false, 0, kNothingOn},
    {kOptional, kNone, true, kDialbackTls | kDialbackClear, kClear},
    {kOptional, kNone, false, 0, kNothingOn},
    {kNone, kNone, true, kDialbackClear, kClear},
    {kNone, kNone, false, 0, kNothingOn},
};

constexpr std::size_t index_of(Need tls, Need sasl, bool dialback) {
    return static_cast<std::size_t>(sasl) * 6 + static_cast<std::size_t>(tls) * 2 +
           (dialback ? 0 : 1);
}

constexpr bool each_in_its_place() {
    for (std::size_t i = 0; i < std::size(kRows); ++i) {
        if (index_of(kRows[i].tls, kRows[i].sasl, kRows[i].dialback) != i) return false;
    }
    return std::size(kRows) == 18;
}
static_assert(each_in_its_place());

}  // namespace

std::span<const Negotiation> negotiations() { return kRows; }

const Negotiation& negotiation(Need tls, Need sasl, bool dialback) {
    const std::size_t index = index_of(tls, sasl, dialback);
    FEDGATE_CHECK(index < std::size(kRows));
    return kRows[index];
}

std::string methods_text(const Negotiation& row) {
    constexpr std::pair<std::uint8_t, std::string_view> kNames[] = {
        {kSaslTls, "SASL EXTERNAL over TLS"},
        {kDialbackTls, "dialback over TLS"},
        {kDialbackClear, "dialback in clear"}};
    std::string text;
    for (const auto& [method, name] : kNames) {
        if (row.allows(method)) text.append(text.empty() ? "" : ", ").append(name);
    }
    return text.empty() ? "none" : text;
}

std::string_view outlook(const Negotiation& row) {
    switch (row.methods) {
        case kSaslTls:
            return "their certificate must prove the domain; without that no stream comes up";
        case kSaslTls | kDialbackTls:
            return "a certificate that proves the domain is enough; else dialback has to, over TLS";
        case kSaslTls | kDialbackTls | kDialbackClear:
            return "a certificate that proves the domain is enough; else dialback has to, over TLS "
                   "where they have it and in clear where not";
        case kDialbackTls: return "dialback proves the domain, over TLS";
        case kDialbackTls | kDialbackClear:
            return "dialback proves the domain, over TLS where they have it and in clear where not";
        case kDialbackClear:
            return "dialback proves the domain, in clear: anybody on the way may "
                   "read along and pretend";
        default: return "no stream can come up";
    }
}

}  // namespace fedgate::rules
