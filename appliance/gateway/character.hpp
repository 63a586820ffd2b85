// Characters, as text of any kind has them.
#pragma once

#include <cstddef>

namespace fedgate::gateway {

// One that was decoded, and of how many bytes.
struct Decoded {
    char32_t c;
    std::size_t size;
};

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

constexpr bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

}  // namespace fedgate::gateway
