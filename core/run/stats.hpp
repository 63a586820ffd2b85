// What a shard counts. One table names every counter; each shard has its own storage, written by
// its thread only (a relaxed store, no read-modify-write), readable by the control thread at any
// time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fedgate {

// The rows of kCounters (stats.cpp) are in this order.
enum class Counter : std::uint16_t {
    kLoopTurns,
    kMailboxRefused,
    kXmppInConnections,
    kXmppInEstablished,
    kXmppInAccepted,
    kXmppInRefused,
    kXmppInFailed,
    kXmppInResumed,
    kXmppOutConnections,
    kXmppOutEstablished,
    kXmppOutOpened,
    kXmppOutResumed,
    kXmppOutFailed,
    kXmppOutMoved,
    kXmppTlsFailed,
    kXmppStanzasIn,
    kXmppStanzasOut,
    kXmppStanzasRefused,
    kXmppAnswersLost,
    kXmppErrorsSent,
    kXmppErrorsReceived,
    kXmppStreamErrorsSent,
    kXmppStreamErrorsReceived,
    kDialbackVerified,
    kDialbackRefused,
    kSaslExternalAccepted,
    kSaslExternalRefused,
    kSipInConnections,
    kSipOutConnections,
    kSipRequestsIn,
    kSipRequestsOut,
    kSipRequestsMoved,
    kSipResponsesIn,
    kSipResponsesOut,
    kSipRetransmissionsIn,
    kSipRetransmissionsOut,
    kSipTransactionTimeouts,
    kSipBad,
    kSipDatagramsDropped,
    kMsrpInConnections,
    kMsrpOutConnections,
    kMsrpRefused,
    kMsrpBad,
    kMsrpMessagesIn,
    kMsrpMessagesOut,
    kMessagesX2sAccepted,
    kMessagesX2sDelivered,
    kMessagesX2sRefused,
    kMessagesX2sInDoubt,
    kMessagesS2xAccepted,
    kMessagesS2xDelivered,
    kMessagesS2xRefused,
    kMessagesS2xInDoubt,
    kMessagesS2xUntold,
    kSessionsX2s,
    kSessionsS2x,
    kSessionsRefused,
    kSessionsOpen,
    kPresenceX2s,
    kPresenceS2x,
    kMapDropped,
    kPolicyRefused,
    kRateLimited,
    kLinkStanding,
    kLinkOpened,
    kLinkRefused,
    kLinkStanzasFromPartners,
    kLinkStanzasToPartners,
    kLinkBackPressure,
    kStoreChanges,
    kStoreKept,
    kStoreRefused,
    kStoreRestored,
    kCount_,
};

constexpr std::size_t kCounterCount = static_cast<std::size_t>(Counter::kCount_);

struct CounterInfo {
    Counter counter;
    std::string_view name;  // dotted: xmpp.in.connections
    bool current;           // goes up and down; else it only grows
    std::string_view description;
};

[[nodiscard]] std::span<const CounterInfo, kCounterCount> counter_table();
[[nodiscard]] const CounterInfo& counter_info(Counter);

// The counters of one shard. Owner: the ShardGroup (or a test). Written by one thread only.
class alignas(64) Stats {
public:
    void add(Counter counter, std::uint64_t count = 1) {
        auto& value = values_[static_cast<std::size_t>(counter)];
        value.store(value.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    }
    void subtract(Counter counter, std::uint64_t count = 1) { add(counter, 0 - count); }

    // Any thread.
    [[nodiscard]] std::uint64_t value(Counter counter) const {
        return values_[static_cast<std::size_t>(counter)].load(std::memory_order_relaxed);
    }

private:
    std::array<std::atomic<std::uint64_t>, kCounterCount> values_{};
};

}  // namespace fedgate
