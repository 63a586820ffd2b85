// The verbs of the admin socket: one request in, one JSON document out. Control thread.
#pragma once

#include <string_view>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"
#include "appliance/admin/roles.hpp"

namespace fedgate::admin {

class TestSchedule;

// `{"verb": "status"}`, `{"verb": "sysctl", "action": "write", "settings": ["K=V"]}`, or words:
// `status`, `sysctl KEY...`. The answer has `ok`, and `error` or `errors` where it is false.
[[nodiscard]] Json answer_request(std::string_view line, const Caller&, AdminHost&, Configuration&,
                                  TestSchedule* = nullptr);

}  // namespace fedgate::admin
