// Which of several nodes has a conversation: the one whose name scores highest for it, so that one
// that comes or goes moves only its own share. The same on every machine: edges choose a gateway by
// it, and gateways what they serve from the pool's store.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>

#include "core/base/bytes.hpp"
#include "core/base/hash.hpp"

namespace fedgate {

// Conversations go from node to node by slots, so that all that are in one have one owner.
inline constexpr std::size_t kSlots = 256;
using Slots = std::bitset<kSlots>;

// The last step of splitmix64: scores of names must not follow one another.
constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// A bare address as it is enforced.
constexpr std::uint64_t hash_of_address(Bytes local, Bytes domain, std::uint64_t seed) {
    return fnv1a(domain, fnv1a("@", fnv1a(local, seed)));
}
constexpr std::uint64_t hash_of_address(Bytes bare, std::uint64_t seed) {
    const std::size_t at = bare.find('@');
    if (at == Bytes::npos) return hash_of_address({}, bare, seed);
    return hash_of_address(bare.substr(0, at), bare.substr(at + 1), seed);
}

constexpr std::size_t slot_of(std::uint64_t conversation) { return mix(conversation) % kSlots; }
// Of the XMPP user's address and the SIP user's.
constexpr std::size_t slot_of(Bytes xmpp, Bytes sip) {
    return slot_of(hash_of_address(sip, hash_of_address(xmpp, 0)));
}

// How sure a node is of its share of what its pool keeps: appliance/store/README.md.
enum class Tenure : std::uint8_t {
    kLost,  // it has none: others may have what was its own
    kLate,  // it has one, and has not been at the store for a while
    kHeld,
};

constexpr std::uint64_t score_of(Bytes node, std::size_t slot) { return mix(fnv1a(node, slot)); }

}  // namespace fedgate
