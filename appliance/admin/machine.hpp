// What the machine has to give and to guard: the ports that the configuration opens, whom each is
// for, and what the kernel has to allow. Control thread.
#pragma once

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

class Configuration;

// `ports`, each with `for`: everybody, gateways, sip; `gateways` by name; `sip` as networks;
// `connections`, `backlog`, `datagram_bytes`.
[[nodiscard]] Json machine_of(const Configuration&);

}  // namespace fedgate::admin
