// Points in time and spans of time. There is no "now" here: the loop gives the present time as an
// argument, so that a simulation can invent it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace fedgate {

using Duration = std::chrono::nanoseconds;

// A clock without now(): steady time since an arbitrary start.
struct MonotonicClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<MonotonicClock>;
    static constexpr bool is_steady = true;
};

using Instant = MonotonicClock::time_point;  // for deadlines
using WallTime = std::chrono::sys_seconds;   // for Date headers and certificates

constexpr Instant kNever = Instant::max();

// For people: `2026-11-25`, and `2026-11-25 18:29 UTC`.
[[nodiscard]] std::string readable_day(WallTime);
[[nodiscard]] std::string readable_minute(WallTime);

using namespace std::chrono_literals;

}  // namespace fedgate
