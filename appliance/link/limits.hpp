// The bounds of the link, which nothing else asks for: more rows of core/base/limits.hpp.
#pragma once

#include <cstddef>

namespace fedgate::limits {

// One frame, and in it one stanza (no xmpp.limits.stanza_bytes is larger); over: the link ends, as
// with a peer that does not speak its language. Texts for people are cut.
constexpr std::size_t kLinkStanzaBytes = 16 << 20;
constexpr std::size_t kLinkFrameBytes = kLinkStanzaBytes + (64 << 10);
constexpr std::size_t kLinkTextBytes = 1'024;
// Bytes that were sent and are not acknowledged, for each lane; alone, any frame passes. At the
// bound: nothing more is taken from whoever sends (back-pressure). A peer that sends more is put
// out.
constexpr std::size_t kLinkWindowBytes = 4 << 20;
// Frames and bytes after which they are acknowledged at once.
constexpr std::size_t kLinkAckFrames = 64;
constexpr std::size_t kLinkAckBytes = kLinkWindowBytes / 8;
// What waits for a connection: the windows, and what is said without being numbered. At the bound:
// the peer does not read, and the connection is given up.
constexpr std::size_t kLinkUnsentBytes = 2 * (kLinkWindowBytes + kLinkFrameBytes) + (1 << 20);
// Stanzas given to the other side whose fate has not been told, for each shard; and outcomes that
// wait for a link. At the bound: back-pressure.
constexpr std::size_t kLinkTickets = 1 << 17;
constexpr std::size_t kLinkOutcomes = 1 << 14;
// What came back from a link that is over and waits for another one, for each shard. At the bound:
// its sender is told, or, of an answer, it is counted as lost.
constexpr std::size_t kLinkAgainBytes = 2 * kLinkWindowBytes;
// Connections to an edge's link that have not said who they are, and links of one peer's process.
// At the bound: refused.
constexpr std::size_t kLinkGuests = 64;
constexpr std::size_t kLinkParts = 256;

}  // namespace fedgate::limits
