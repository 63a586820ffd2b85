// Name -> number, open addressing, built once. A look-up hashes, then compares at most a few names;
// it allocates nothing. ASCII case does not count.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.hpp"

namespace fedgate::rules {

class NameIndex {
public:
    static constexpr std::uint32_t kNone = UINT32_MAX;

    // False: the name is there already, with another number.
    bool add(Bytes name, std::uint32_t number);
    [[nodiscard]] std::uint32_t find(Bytes name) const;
    // Looks up `a` + `b` + `c`.
    [[nodiscard]] std::uint32_t find(Bytes a, Bytes b, Bytes c) const;
    [[nodiscard]] std::size_t count() const { return names_.size(); }

private:
    struct Slot {
        std::uint32_t hash = 0;
        std::uint32_t entry = kNone;  // index into names_, numbers_
    };
    void rehash(std::size_t slots);

    std::vector<Slot> slots_;  // power of two, at most half full
    std::vector<std::string> names_;
    std::vector<std::uint32_t> numbers_;
};

}  // namespace fedgate::rules
