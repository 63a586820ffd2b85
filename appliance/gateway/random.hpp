// Random bytes of the loop, fetched many at a time: a message needs some dozens of them. Thread:
// the shard's.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "core/run/loop.hpp"
#include "net/srv.hpp"

namespace fedgate::gateway {

class Random final : public net::Random {
public:
    explicit Random(Loop& loop) : loop_(loop) {}

    template <std::size_t kCount>
    [[nodiscard]] std::array<std::uint8_t, kCount> bytes() {
        static_assert(kCount <= kStock);
        if (kCount > kStock - used_) {
            loop_.fill_random(MutableBytes(reinterpret_cast<char*>(stock_.data()), kStock));
            used_ = 0;
        }
        std::array<std::uint8_t, kCount> taken;
        std::memcpy(taken.data(), stock_.data() + used_, kCount);
        std::memset(stock_.data() + used_, 0, kCount);
        used_ += kCount;
        return taken;
    }
    std::uint32_t below(std::uint32_t bound) override {
        const auto raw = bytes<4>();
        std::uint32_t value = 0;
        std::memcpy(&value, raw.data(), sizeof value);
        return static_cast<std::uint32_t>((std::uint64_t{value} * bound) >> 32);
    }

private:
    static constexpr std::size_t kStock = 4'096;
    Loop& loop_;
    std::array<std::uint8_t, kStock> stock_{};
    std::size_t used_ = kStock;
};

}  // namespace fedgate::gateway
