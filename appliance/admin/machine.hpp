// What the machine has to give and to guard: the ports that the configuration opens, whom each is
// for, and what the kernel has to allow. Control thread.
#pragma once

#include <string>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

class Configuration;

// `ports`, each with `for`: everybody, gateways, sip, and `last`, where it is the first of several;
// `gateways` by name; `sip` as networks;
// `connections`, `backlog`, `datagram_bytes`.
[[nodiscard]] Json machine_of(const Configuration&);

// What the machine calls itself.
[[nodiscard]] std::string host_name();

}  // namespace fedgate::admin
