// Which seeds a search runs: the usual ones, or those of FEDGATE_SEEDS, as `7` or `1000-1999`.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <utility>

namespace fedgate::simulation {

inline std::pair<std::uint64_t, std::uint64_t> seeds(std::uint64_t first, std::uint64_t last) {
    if (const char* wanted = std::getenv("FEDGATE_SEEDS")) {
        char* end = nullptr;
        first = last = std::strtoull(wanted, &end, 10);
        if (*end == '-') last = std::strtoull(end + 1, nullptr, 10);
    }
    return {first, last};
}

}  // namespace fedgate::simulation
