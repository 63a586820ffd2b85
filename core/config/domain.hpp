// Domain names as keys: U-label or A-label in, A-label in lower case out. The only file over
// libidn2.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fedgate::config {

// One trailing dot is removed. Nothing: not a domain name (IDNA2008, RFC 1035 sizes, an IP
// literal).
[[nodiscard]] std::optional<std::string> normalise_domain(std::string_view text);

}  // namespace fedgate::config
