// fedctl dns check: what the network says, beside what the daemon knows.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

class Outside;

using AskDaemon = std::function<bool(const Json& request, Json& answer, std::string& why)>;

// As the daemon sees it: its name servers, its certificate, these roots (empty: the system's).
// `server`: as below. Null: `why` is a sentence.
[[nodiscard]] std::unique_ptr<Outside> outside_of(const Json& facts, const std::string& server,
                                                  const std::string& ca, std::string& why);

// `plan`: the answer of `dns plan`; `server`: address:port of a name server, or empty: those that
// the daemon asks. `records`, each with `state`: `right`, `wrong`, `missing`, `unknown`.
[[nodiscard]] Json check_dns(const Json& plan, const std::string& server, std::string& why);
[[nodiscard]] std::string show_dns_check(const Json& answer);

}  // namespace fedgate::admin
