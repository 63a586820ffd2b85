// CPUs as configuration and the kernel write them: `0-3,8`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fedgate::config {

constexpr std::uint16_t kCpuMax = 1023;  // as far as cpu_set_t goes

using CpuSet = std::vector<std::uint16_t>;  // ascending, each once

// Commas or blanks separate. Nothing: it isn't one; empty is.
[[nodiscard]] std::optional<CpuSet> parse_cpu_set(std::string_view text);
[[nodiscard]] std::string format_cpu_set(const CpuSet&);

}  // namespace fedgate::config
