// The verbs of the admin socket: one request in, one JSON document out. Control thread.
#pragma once

#include <string>
#include <string_view>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

class TestSchedule;

// `{"verb": "status"}`, `{"verb": "sysctl", "action": "write", "settings": ["K=V"]}`, or words:
// `status`, `sysctl KEY...`. The answer has `ok`, and `error` or `errors` where it is false.
// `author`: the UNIX user who asks.
[[nodiscard]] Json answer_request(std::string_view line, const std::string& author, AdminHost&,
                                  Configuration&, const TestSchedule* = nullptr);

// GET /metrics and /health for the HTTP listener: a whole HTTP/1.1 response.
[[nodiscard]] std::string answer_http(std::string_view request_line, AdminHost&, Configuration&);

}  // namespace fedgate::admin
