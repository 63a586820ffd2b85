// The system's clock, for administration. Cores are given the time (core/base/time.hpp).
#pragma once

#include <chrono>

#include "core/base/time.hpp"

namespace fedgate::admin {

[[nodiscard]] inline WallTime wall_now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace fedgate::admin
