// fedctl appliance, fedctl factory-reset: for the appliance image, whose keeper (appliance/image)
// does what the daemon may not. What its console shows it writes to a file, too; a wish for a reset
// it finds beside the admin socket.
#pragma once

#include <string>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

struct AppliancePlaces {
    std::string page = "/run/appliance/page";
    std::string wish = "/run/fedgate/factory-reset";
};

[[nodiscard]] Json answer_appliance(const Json& request, const AppliancePlaces& = {});

}  // namespace fedgate::admin
