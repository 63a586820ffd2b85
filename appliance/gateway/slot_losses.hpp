// What of a table went to other nodes with its slot of the pool (appliance/store/README.md): it is
// gone at once, and its memory is given back a little at a time. Thread: the shard's.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/rendezvous.hpp"

namespace fedgate::gateway {

// Kept by what is in the table: in which slot it is, and when it was made.
struct SlotBirth {
    std::uint32_t losses = 0;  // that there had been
    std::uint8_t slot = 0;
};

class SlotLosses {
public:
    void lose(const Slots& slots) {
        ++count_;
        for (std::size_t slot = 0; slot < kSlots; ++slot) {
            if (slots[slot]) last_[slot] = count_;
        }
    }
    [[nodiscard]] SlotBirth birth(std::size_t slot) const {
        return {count_, static_cast<std::uint8_t>(slot)};
    }
    [[nodiscard]] bool is_gone(const SlotBirth& birth) const {
        return birth.losses < last_[birth.slot];
    }

private:
    std::uint32_t count_ = 0;
    std::array<std::uint32_t, kSlots> last_{};  // the number of its last loss
};

}  // namespace fedgate::gateway
