// fedctl setup: the deployment wizard. A few questions, one change, then the checks of the
// reference and what is left to do outside. All questions come before the change: whoever stops in
// the middle has changed nothing.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "appliance/admin/outside_tool.hpp"

namespace fedgate::admin {

struct SetupOptions {
    std::istream& in;
    std::ostream& out;
    std::ostream& err;
    bool json = false;
    bool terminal = false;  // somebody answers
    AskDaemon ask;
};

// `words`: behind the verb. The exit status.
[[nodiscard]] int run_setup(const SetupOptions&, const std::vector<std::string>& words);

}  // namespace fedgate::admin
