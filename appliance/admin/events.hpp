// `fedctl events`: what was logged lately, and the catalogue that explains each event.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

class Configuration;

// `after`: a number of the answer before, with whom `missed` are told; `since`: seconds of 1970;
// `severity`: no less than that; `id`: `FG-1101`; `count`: the last ones only; `language`.
[[nodiscard]] Json answer_events(const Json& request, AdminHost&, const Configuration&);

struct EventsToolOptions {
    std::ostream& out;
    std::ostream& err;
    bool json = false;
    // Asks the daemon. False: the text says why.
    std::function<bool(const Json& request, Json& answer, std::string& why)> ask;
};

// `words`: what is behind `events`. Returns the exit status.
[[nodiscard]] int run_events_tool(const EventsToolOptions&, const std::vector<std::string>& words);

}  // namespace fedgate::admin
