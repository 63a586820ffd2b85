#include "appliance/admin/report_tool.hpp"

#include <algorithm>
#include <ostream>
#include <sstream>
#include <utility>

#include "appliance/admin/json.hpp"
#include "appliance/admin/tool.hpp"

namespace fedgate::admin {
namespace {

// Its title, and its words.
using ReportPart = std::pair<const char*, std::vector<std::string>>;

std::vector<ReportPart> report_parts(const std::string& since) {
    return {{"services", {"services"}},
            {"ports", {"ports"}},
            {"routes", {"route", "list"}},
            {"certificates", {"cert", "check"}},
            {"events", {"events", "--severity", "warning", "--since", since}}};
}

}  // namespace

int run_report_tool(const ReportTool& tool, const std::vector<std::string>& rest) {
    std::string since = "24h";
    if (rest.size() == 2 && rest[0] == "--since") {
        since = rest[1];
    } else if (!rest.empty()) {
        tool.err << "fedctl: report takes nothing more than --since TIME\n";
        return kExitUsage;
    }
    Json all = Json::object();
    std::string text;
    int worst = kExitOk;
    for (const auto& [title, words] : report_parts(since)) {
        std::ostringstream out;
        std::ostringstream err;
        const int outcome = tool.run(words, out, err);
        // A wrong TIME; or, of the first, that no daemon answers: the others would say no more.
        if (outcome == kExitUsage || (outcome != kExitOk && all.empty())) {
            tool.err << err.str();
            return outcome;
        }
        worst = std::max(worst, outcome);
        const std::string said = out.str() + err.str();
        text += std::string("== ") + title + "\n" + (said.empty() ? "nothing\n" : said) + "\n";
        all[title] = {{"good", outcome == kExitOk}};
        if (Json found = parse_json(out.str()); !found.is_discarded())
            all[title]["found"] = std::move(found);
        if (!err.str().empty()) all[title]["error"] = err.str();
    }
    tool.out << (tool.json ? write_json(all) + "\n" : text);
    return worst;
}

}  // namespace fedgate::admin
