// Which commit, and which of two holds: alike on every node of a pool, whatever it has seen.
#pragma once

#include <compare>
#include <cstdint>

#include "core/base/hash.hpp"
#include "core/base/time.hpp"

namespace fedgate::config {

// Who is behind a commit. Of two with one number, made on two sides of a cut, a person's word holds
// over what a node did by itself.
enum class CommitRank : std::uint8_t {
    kAutomatic,  // nobody had confirmed the one before
    kOwnOnly,    // it concerns the node alone that made it
    kPerson,
};

// The greater one holds.
struct CommitId {
    std::uint64_t number = 0;  // 0: nothing was ever committed
    CommitRank rank = CommitRank::kAutomatic;
    WallTime time{};
    Sha256Digest digest{};  // of what is published of it

    auto operator<=>(const CommitId&) const = default;
};

}  // namespace fedgate::config
