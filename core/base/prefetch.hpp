// What is read soon is fetched from memory meanwhile, which is much slower than what comes before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace fedgate {

// All cache lines of these bytes. They may be nobody's any more: nothing is read.
inline void prefetch(const void* begin, std::size_t bytes) {
    constexpr std::uintptr_t kLine = 64;
    const auto at = reinterpret_cast<std::uintptr_t>(begin);
    for (std::uintptr_t line = at & ~(kLine - 1); line < at + bytes; line += kLine) {
        __builtin_prefetch(reinterpret_cast<const void*>(line));
    }
}

// The same of a size that is known beforehand, which is cheaper.
template <std::size_t kBytes>
inline void prefetch(const void* begin) {
    constexpr std::size_t kLine = 64;
    const auto at = reinterpret_cast<std::uintptr_t>(begin);
    const auto fetch = [at]<std::size_t... kLines>(std::index_sequence<kLines...>) {
        (__builtin_prefetch(reinterpret_cast<const void*>(at + kLine * kLines)), ...);
        __builtin_prefetch(reinterpret_cast<const void*>(at + kBytes - 1));
    };
    fetch(std::make_index_sequence<(kBytes + kLine - 1) / kLine>());
}

}  // namespace fedgate
