// `fedctl partner`: the partners as an administrator sees them, and changes of them as commits.
// Control thread.
#pragma once

#include <string>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// `action`: `list` (`filter`), `show`, `add`, `set`, `reset`, `remove`, `block` (`for`), `unblock`;
// `domains`, `settings` (`tls=optional`, `additional_domains+=sub.example`), `dry_run`, `comment`.
[[nodiscard]] Json answer_partner(const Json& request, const std::string& author, AdminHost&,
                                  Configuration&);

}  // namespace fedgate::admin
