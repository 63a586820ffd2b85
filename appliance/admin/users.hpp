// `fedctl user`: users of ours that are listed, and the policies granted to them, as commits.
// Control thread.
#pragma once

#include <string>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// `action`: `list` (`filter`, `policy`), `show`, `import`, `grant` (`policy`), `remove`; `users`,
// `rows` of an import (`address`, `name`, `site`, `policy`, `line`), `ours_only`, `dry_run`,
// `comment`, `confirm`.
[[nodiscard]] Json answer_user(const Json& request, const std::string& author, AdminHost&,
                               Configuration&);

}  // namespace fedgate::admin
