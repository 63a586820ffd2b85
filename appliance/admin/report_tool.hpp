// `fedctl report`: what the second part of the reference looks at one by one, at once (features.md
// Q2). Thread: fedctl's.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace fedgate::admin {

struct ReportTool {
    std::ostream& out;
    std::ostream& err;
    bool json;
    // A verb of fedctl's with its words; its exit status.
    std::function<int(const std::vector<std::string>&, std::ostream& out, std::ostream& err)> run;
};

// The worst exit status of its parts.
[[nodiscard]] int run_report_tool(const ReportTool&, const std::vector<std::string>& rest);

}  // namespace fedgate::admin
