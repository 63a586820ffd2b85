// Whom a load may be sent to, and whether anybody is there.
#pragma once

#include "bench/load/options.hpp"

namespace fedgate::load {

// False, with a sentence on standard error: an address is wrong, is not ours to load, or nobody
// listens there. Blocks for 3 s at most for each address.
[[nodiscard]] bool check_targets(const Options&);

}  // namespace fedgate::load
