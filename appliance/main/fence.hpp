// The process gives up what Fedgate has no need of, so that whoever takes it over with what he
// sends has little of it: no program, no other process, no new ring, no memory that is made
// to run after it was written (but a file may be: NoExecPaths of the unit), no raw socket, nothing
// of the kernel's that is a superuser's. Denied with EPERM, for all threads, those to come as well,
// and for good; systemd's filter (fedgated.service) stands round it and can't deny new rings, since
// we need ours.
#pragma once

#include "core/base/error.hpp"

namespace fedgate {

// Control thread, after the last ring was made.
[[nodiscard]] Result<void> fence_process();

// The sanitizer's check for leaks is a process that traces this one: a build with it, and no other,
// may make such a process.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kKeepsTracing = true;
#else
inline constexpr bool kKeepsTracing = false;
#endif

}  // namespace fedgate
