// fedctl's side of the admin socket: one request, one answer. Blocking.
#pragma once

#include <string>
#include <string_view>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// False: `why` is a sentence for people, with what to do.
[[nodiscard]] bool ask(const std::string& socket_path, const Json& request, Json& answer,
                       std::string& why);

}  // namespace fedgate::admin
