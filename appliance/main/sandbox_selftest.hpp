// `fedgated --sandbox-selftest`: makes a ring as the daemon does, gives up what it gives up, and
// tries all of that from the ring's thread.
#pragma once

namespace fedgate {

// Prints a row for each denial. The exit status: 0 only if all are denied.
[[nodiscard]] int test_sandbox();

}  // namespace fedgate
