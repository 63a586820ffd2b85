// What is read soon is fetched from memory meanwhile, which is much slower than what comes before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace fedgate {

// The cache line of that byte, which may be nobody's any more: nothing is read.
inline void prefetch_line(const void* at) {
    __builtin_prefetch(at);
    // GCC leaves out calls of a function that has no effect, and takes a prefetch for none. This
    // costs nothing and is one.
    asm volatile("");
}

// All cache lines of these bytes.
inline void prefetch(const void* begin, std::size_t bytes) {
    constexpr std::uintptr_t kLine = 64;
    const auto at = reinterpret_cast<std::uintptr_t>(begin);
    for (std::uintptr_t line = at & ~(kLine - 1); line < at + bytes; line += kLine) {
        prefetch_line(reinterpret_cast<const void*>(line));
    }
}

// The same of a size that is known beforehand, which is cheaper.
template <std::size_t kBytes>
inline void prefetch(const void* begin) {
    constexpr std::size_t kLine = 64;
    const auto at = reinterpret_cast<std::uintptr_t>(begin);
    const auto fetch = [at]<std::size_t... kLines>(std::index_sequence<kLines...>) {
        (prefetch_line(reinterpret_cast<const void*>(at + kLine * kLines)), ...);
        prefetch_line(reinterpret_cast<const void*>(at + kBytes - 1));
    };
    fetch(std::make_index_sequence<(kBytes + kLine - 1) / kLine>());
}

}  // namespace fedgate
