// `fedctl cs`: lines of the reference's shell, run by the requests that fedctl's own verbs make, so
// that the daemon checks and commits both alike.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// Asks the daemon. False: `why`.
using Ask = std::function<bool(const Json& request, Json& answer, std::string& why)>;

// What goes through a '|', and what is printed: fields in the reference's order.
struct ShellObject {
    std::string name;  // by which the daemon knows it
    std::vector<std::pair<std::string, std::string>> fields;
    std::string line;       // of a program that prints lines: it has no fields
    std::string kind = {};  // `user`, `policy`, ...: whose name it is
};

struct CmdletsOutcome {
    std::vector<std::string> notes;  // what was guessed, and what to know
    std::string out;                 // for people
    Json results = Json::array();    // for programs: the objects
    Json commits = Json::array();    // the daemon's answers
    std::string why;                 // empty: all was done
};

// All lines are read and understood before the first one is run; the first that is refused ends it.
[[nodiscard]] CmdletsOutcome run_cmdlets(std::string_view text, const Ask&);

}  // namespace fedgate::admin
