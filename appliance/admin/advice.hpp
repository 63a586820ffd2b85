// What to do about a failure with a partner, and whose side it is. Pure.
#pragma once

#include <string>
#include <string_view>

#include "appliance/admin/host.hpp"

namespace fedgate::admin {

// One sentence.
[[nodiscard]] std::string advice_on(const FailureRow&, std::string_view partner);

}  // namespace fedgate::admin
