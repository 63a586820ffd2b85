// fedctl dns check and fedctl doctor: what the network says, beside what the daemon knows.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

using AskDaemon = std::function<bool(const Json& request, Json& answer, std::string& why)>;

// `plan`: the answer of `dns plan`; `server`: address:port of a name server, or empty: those that
// the daemon asks. `records`, each with `state`: `right`, `wrong`, `missing`, `unknown`.
[[nodiscard]] Json check_dns(const Json& plan, const std::string& server, std::string& why);
[[nodiscard]] std::string show_dns_check(const Json& answer);

// `steps` in their order, and `first`, the one that is broken, if any.
[[nodiscard]] Json run_doctor(const std::string& domain, const std::string& from,
                              const std::string& server, const AskDaemon&, std::string& why);
[[nodiscard]] std::string show_doctor(const Json& answer);

}  // namespace fedgate::admin
