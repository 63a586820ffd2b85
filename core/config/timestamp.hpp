// Points in time as configuration writes them: `2026-11-25T18:29:39Z`, UTC.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.hpp"

namespace fedgate::config {

[[nodiscard]] std::string format_time(WallTime);
[[nodiscard]] std::optional<WallTime> parse_time(std::string_view text);

}  // namespace fedgate::config
