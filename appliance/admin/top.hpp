// `fedctl top`: a live screen of streams, rates and queues.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

struct TopOptions {
    std::ostream& out;
    std::ostream& err;
    bool json = false;
    bool terminal = false;  // drawn anew at the same place; else shown once
    // Asks the daemon. False: the text says why.
    std::function<bool(const Json& request, Json& answer, std::string& why)> ask;
};

// `words`: what is behind `top`. Returns the exit status.
[[nodiscard]] int run_top(const TopOptions&, const std::vector<std::string>& words);

// What the daemon said at one moment: its answers to status, counters and streams.
struct TopSample {
    Json status;
    Json counters;
    Json streams;
};

// With rates from the one to the other, `seconds` later: members `rates`, `queues`, `next_hops`,
// `streams`, the busiest first, and what it is.
[[nodiscard]] Json top_of(const TopSample& before, const TopSample& now, double seconds);
[[nodiscard]] std::string show_top(const Json& top);

}  // namespace fedgate::admin
