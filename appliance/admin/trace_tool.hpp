// fedctl trace: asks the daemon for rows until the time is over or the terminal says stop.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

struct TraceTerminal {
    std::ostream& out;
    std::ostream& err;
    bool json = false;  // a row a line, as it came
    std::function<bool(const Json& request, Json& answer, std::string& why)> ask;
};

// Its exit status.
[[nodiscard]] int run_trace_tool(const TraceTerminal&, const std::vector<std::string>& rest);

}  // namespace fedgate::admin
