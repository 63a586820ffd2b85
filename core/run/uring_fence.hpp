// The fence round a ring. A filter of system calls does not see what a ring is asked for, so a ring
// that may do all does what the filter denies: it opens files and starts connections of any kind.
// A ring of ours may do what uring_sockets.cpp submits and uring_buffers.cpp registers, and nothing
// else, for good.
#pragma once

#include <vector>

#include <liburing.h>

#include "core/base/error.hpp"
#include "core/run/uring_loop.hpp"

namespace fedgate {

// The ring was made with IORING_SETUP_R_DISABLED; then it works. On failure it is not to be used.
[[nodiscard]] Result<void> fence_and_enable(io_uring&);

// Asks the ring for what it may not do. What is submitted to it already goes with it.
[[nodiscard]] std::vector<RingTrial> try_fence_of(io_uring&);

}  // namespace fedgate
