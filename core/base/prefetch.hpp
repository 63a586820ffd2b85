// What is read soon is fetched from memory meanwhile, which is much slower than what comes before.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fedgate {

// All cache lines of these bytes. They may be nobody's any more: nothing is read.
inline void prefetch(const void* begin, std::size_t bytes) {
    constexpr std::uintptr_t kLine = 64;
    const auto at = reinterpret_cast<std::uintptr_t>(begin);
    for (std::uintptr_t line = at & ~(kLine - 1); line < at + bytes; line += kLine) {
        __builtin_prefetch(reinterpret_cast<const void*>(line));
    }
}

}  // namespace fedgate
