// Who may do what on admin.socket: by the UNIX groups that the process at its other end is in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/rules/snapshot.hpp"

namespace fedgate::admin {

enum class Role : std::uint8_t { kNone, kViewer, kOperator, kAdministrator };

[[nodiscard]] std::string_view name_of(Role);

struct Caller {
    std::string user;
    Role role = Role::kNone;
};

// The process at the other end of this UNIX socket, as it was when it connected. Root and the
// daemon's own user are always administrators.
[[nodiscard]] Caller caller_of(int descriptor, const rules::Settings::AdminGroups&);

// Why nobody, or not everybody, gets a role by them: this machine does not know a group, or this
// process can not see who calls. Sentences.
[[nodiscard]] std::vector<std::string> unknown_groups(const rules::Settings::AdminGroups&);

// What a request takes. Of one that is not known: administrator.
[[nodiscard]] Role role_for(std::string_view verb, std::string_view action, bool any_arguments);

}  // namespace fedgate::admin
