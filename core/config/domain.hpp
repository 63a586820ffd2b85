// Domain names as keys: U-label or A-label in, A-label in lower case out. The only file over
// libidn2.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.hpp"

namespace fedgate::config {

// One trailing dot is removed. Nothing: not a domain name (IDNA2008, RFC 1035 sizes, an IP
// literal).
[[nodiscard]] std::optional<std::string> normalise_domain(std::string_view text);

// A domain, or `*.` and a domain: all its sub-domains at any depth, not the domain itself.
[[nodiscard]] std::optional<std::string> normalise_pattern(std::string_view text);

// An item of federation.deny: a pattern, with `@` and a time if it ends by itself.
struct Denied {
    std::string pattern;
    WallTime until = WallTime::max();
};
[[nodiscard]] std::optional<Denied> parse_denied(std::string_view text);
[[nodiscard]] std::string format_denied(const Denied&);

}  // namespace fedgate::config
