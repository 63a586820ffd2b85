// fedctl dns: the records that lead partners to our edges. Control thread.
#pragma once

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// `plan`: `zone`, the lines to publish, for each SIP domain and each edge that partners may take;
// `addresses`, the names in it that need an address record; `records`, the same as fields;
// `servers`, `certificate` and `next_certificate`, for what fedctl does with it.
[[nodiscard]] Json answer_dns(const Json& request, const Configuration&);

}  // namespace fedgate::admin
