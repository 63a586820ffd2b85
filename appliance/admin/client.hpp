// fedctl's side of the admin socket: one request, one answer. Blocking.
#pragma once

#include <string>
#include <string_view>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// One line, and files for `sysctl -p` and users for an import travel in it. fedgated closes on a
// longer one.
constexpr std::size_t kRequestBytes = 32 << 20;

// False: `why` is a sentence for people, with what to do.
[[nodiscard]] bool ask(const std::string& socket_path, const Json& request, Json& answer,
                       std::string& why);

}  // namespace fedgate::admin
