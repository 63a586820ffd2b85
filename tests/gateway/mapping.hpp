// For tests of the mapping: when it is, and in which stream.
#pragma once

#include "core/base/time.hpp"
#include "xml/scope.hpp"

namespace fedgate::gateway {

inline const xml::StreamScope kScope;
inline constexpr WallTime kNow{
    std::chrono::seconds(1'600'000'000)};  // Sun, 13 Sep 2020 12:26:40 GMT

}  // namespace fedgate::gateway
