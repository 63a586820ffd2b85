// CRC-32 as in ISO 3309, zlib and Ethernet: other programs can compute it, too.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/bytes.hpp"

namespace fedgate::store {

class Crc32 {
public:
    void add(Bytes bytes) {
        for (const char c : bytes) {
            state_ = kTable[(state_ ^ static_cast<unsigned char>(c)) & 0xff] ^ (state_ >> 8);
        }
    }
    [[nodiscard]] std::uint32_t value() const { return ~state_; }

private:
    static constexpr std::array<std::uint32_t, 256> kTable = [] {
        std::array<std::uint32_t, 256> table{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit) {
                value = (value & 1) != 0 ? 0xedb8'8320U ^ (value >> 1) : value >> 1;
            }
            table[i] = value;
        }
        return table;
    }();
    std::uint32_t state_ = ~std::uint32_t{0};
};

}  // namespace fedgate::store
