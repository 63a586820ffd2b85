// `fedctl config`: what was committed, by whom, what it changed, and the way back. Control thread.
#pragma once

#include <string>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// `action`: `log`, `diff` (`from`, `to`), `rollback` (`number`, `dry_run`, `comment`).
[[nodiscard]] Json answer_history(const Json& request, const std::string& author, AdminHost&,
                                  Configuration&);

}  // namespace fedgate::admin
