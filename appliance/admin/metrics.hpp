// What admin.http.listen serves: /metrics for Prometheus, /health and /ready for who balances load
// or watches the process. Control thread.
#pragma once

#include <string_view>

#include "appliance/admin/host.hpp"
#include "appliance/admin/http.hpp"

namespace fedgate::admin {

class Configuration;

// /health: 200 while every core answers, draining or not: 503 means that a restart is in order.
// /ready: 200 while its roles can do their work; 503 says why not, and whoever balances load sends
// nothing new.
[[nodiscard]] HttpAnswer answer_http(std::string_view path, AdminHost&, const Configuration&);

}  // namespace fedgate::admin
