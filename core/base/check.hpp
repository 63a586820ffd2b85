// FEDGATE_CHECK: an invariant of ours, on in release builds. A failed check is our bug: the process
// ends and the supervisor starts it again. Never used on anything that a peer can influence.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace fedgate {

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "fedgate: invariant broken: %s (%s:%d)\n", condition, file, line);
    std::abort();
}

}  // namespace fedgate

#define FEDGATE_CHECK(condition)                       \
    (__builtin_expect(static_cast<bool>(condition), 1) \
         ? static_cast<void>(0)                        \
         : ::fedgate::check_failed(#condition, __FILE__, __LINE__))
