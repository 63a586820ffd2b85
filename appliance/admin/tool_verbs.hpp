// What fedctl's verbs have in common: whom they ask, where the answer goes, and the exit status.
// Their own code: tool_sysctl.cpp, tool_commits.cpp, tool_checks.cpp; those that take no words:
// tool.cpp. Thread: fedctl's.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "appliance/admin/json.hpp"
#include "appliance/admin/outside_tool.hpp"

namespace fedgate::admin {

struct ToolTerminal {
    std::istream& in;
    std::ostream& out;
    std::ostream& err;
    bool json = false;  // the daemon's answer as it came
    AskDaemon ask;
};

class ToolVerbs {
public:
    explicit ToolVerbs(ToolTerminal terminal);

protected:
    using Show = std::function<std::string(const Json& answer)>;

    [[nodiscard]] int usage(const std::string& text) const;
    [[nodiscard]] int fail(const std::string& text) const;
    // Asks, prints the answer or the errors. `prepare` may change what came.
    [[nodiscard]] int tell(const Json& request, const Show&,
                           const std::function<void(Json&)>& prepare = {}) const;
    // What fedctl found itself; `good` decides. Empty: `why`.
    [[nodiscard]] int tell_found(const Json& found, const Show&, const std::string& why) const;

    // As ReadInput has it.
    [[nodiscard]] bool read_input(const std::string& file, std::string& text,
                                  std::string& why) const;
    // A commit's, or of seconds. False: it is none.
    [[nodiscard]] static bool read_number(const std::string& text, std::uint64_t& number);

    ToolTerminal terminal_;
    std::ostream& out_;
    std::ostream& err_;
};

// Each returns the exit status; `rest` is what is behind the verb.
[[nodiscard]] int run_sysctl_verb(const ToolTerminal&, const std::vector<std::string>& rest);
// What changes is a commit. `verb`: partner, policy, user, site, pool, route, config or cs.
[[nodiscard]] int run_commit_verb(const ToolTerminal&, const std::string& verb,
                                  const std::vector<std::string>& rest);
// `verb`: dns, doctor or test.
[[nodiscard]] int run_check_verb(const ToolTerminal&, const std::string& verb,
                                 const std::vector<std::string>& rest);

}  // namespace fedgate::admin
