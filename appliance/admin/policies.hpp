// `fedctl policy`: what users may do, by scope (features.md A7), and changes of it as commits.
// Control thread.
#pragma once

#include <string>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// `action`: `list`, `show`, `new`, `set`, `remove` (`force`); `names`, `settings`
// (`xmpp_access=yes`), `dry_run`, `comment`, `confirm`.
[[nodiscard]] Json answer_policy(const Json& request, const std::string& author, AdminHost&,
                                 Configuration&);

}  // namespace fedgate::admin
