// What the machine has to give and to guard: the ports that the configuration opens, whom each is
// for, and what the kernel has to allow. Control thread.
#pragma once

#include "appliance/admin/json.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::admin {

// `ports`, each with `for`: everybody, gateways, sip; `gateways` by name; `sip` as networks;
// `connections`, `backlog`, `datagram_bytes`.
[[nodiscard]] Json machine_of(const rules::Snapshot&);

}  // namespace fedgate::admin
