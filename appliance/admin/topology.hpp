// `fedctl site`, `pool`, `route`: the topology as an administrator sees it, and changes of it as
// commits. Control thread.
#pragma once

#include <string>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// `verb`: `site`, `pool` with `action`: `list`, `show`, `set`, `remove`; `route` with `list`,
// `set`, `unset`. `name`; `settings` (`priority=10`, `members+=edge3.example`), of `route set` the
// pool; `dry_run`, `comment`.
[[nodiscard]] Json answer_topology(const Json& request, const std::string& author, AdminHost&,
                                   Configuration&);

}  // namespace fedgate::admin
