// Whom a load may be sent to, and whether anybody is there.
#pragma once

#include "bench/load/options.hpp"

namespace fedgate::load {

// Turns the targets' names into addresses. False, with a sentence on standard error: a name has no
// address, an address is not ours to load, or nobody listens there. Blocks for 8 s at most for
// each.
[[nodiscard]] bool check_targets(Options&);

}  // namespace fedgate::load
