// features.md A5: what a partner's tls, sasl and dialback allow. 18 rows, as data. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fedgate::rules {

enum class Need : std::uint8_t { kRequired, kOptional, kNone };

// Ways in which a partner may prove its domain, as a set of bits.
namespace method {
constexpr std::uint8_t kSaslTls = 1;        // S/TLS: SASL EXTERNAL over TLS
constexpr std::uint8_t kDialbackTls = 2;    // D/TLS
constexpr std::uint8_t kDialbackClear = 4;  // D/TCP
}  // namespace method

struct Negotiation {
    Need tls;
    Need sasl;
    bool dialback;
    std::uint8_t methods;     // 0: cannot work
    std::string_view remark;  // invalid: the reason; else a warning, or empty

    [[nodiscard]] constexpr bool valid() const { return methods != 0; }
    [[nodiscard]] constexpr bool allows(std::uint8_t one) const { return (methods & one) != 0; }
    // Only a certificate proves a domain (interworking 10.3, `auth` strict).
    [[nodiscard]] constexpr bool strict() const { return methods == method::kSaslTls; }
};

[[nodiscard]] std::span<const Negotiation> negotiations();
[[nodiscard]] const Negotiation& negotiation(Need tls, Need sasl, bool dialback);
// For people: "SASL EXTERNAL over TLS, dialback over TLS"; "none".
[[nodiscard]] std::string methods_text(const Negotiation&);
// One sentence: what will prove the partner, and what if it does not.
[[nodiscard]] std::string_view outlook(const Negotiation&);

}  // namespace fedgate::rules
