// What we offer a partner and ask of it, as a page for its administrator (features.md Q9). Nothing
// in it but what the partner sees anyway, or has to know.
#pragma once

#include <string>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

class Configuration;

// `domain`: normalised; that of a listed partner, of one of its further domains, or, where
// federation.discovery is on, any.
[[nodiscard]] Json partner_sheet(const std::string& domain, const Configuration&);
[[nodiscard]] std::string show_sheet(const Json& answer);

}  // namespace fedgate::admin
