// What watches (RFC 8048 section 5.2) and watchers (5.3) need of the gateway around them. Owner:
// the engine. Thread: the shard's.
#pragma once

#include "appliance/gateway/call.hpp"
#include "appliance/gateway/key.hpp"
#include "appliance/gateway/random.hpp"
#include "appliance/gateway/sip_agent.hpp"
#include "appliance/gateway/subscription_quota.hpp"
#include "appliance/store/store.hpp"
#include "core/run/shard.hpp"

namespace fedgate::gateway {

// Stanzas about presence that the edge had no room for wait in the outbox, in their order. Beyond
// this what makes more of them is held back: has_room().
constexpr std::size_t kOutboxBytes = 4 << 20;  // of one shard

// While rows of the store are being read none is written: so many subscriptions of a shard, in each
// direction, go on meanwhile, a part of what can wait for the store.
constexpr std::size_t kRestoredEarly = limits::kStoreWaiting / 4;

// Whose stanza it was that could not go: 47 bits of the asker's. 0: nobody asks.
using PresenceToken = std::uint64_t;
constexpr int kPresenceTokenBits = 47;
// Whose: a domain that is watched, a watch, or else a watcher.
constexpr PresenceToken kDomainToken = PresenceToken{1} << (kPresenceTokenBits - 1);
constexpr PresenceToken kWatchToken = PresenceToken{1} << (kPresenceTokenBits - 2);

class PresenceHost {
public:
    [[nodiscard]] virtual Shard& shard() = 0;
    [[nodiscard]] virtual SipAgent& agent() = 0;
    [[nodiscard]] virtual Random& random() = 0;
    [[nodiscard]] virtual const KeyMaker& keys() const = 0;
    [[nodiscard]] virtual const rules::Snapshot& rules() const = 0;
    // Null: nothing outlives the process.
    [[nodiscard]] virtual store::Door* store() = 0;
    [[nodiscard]] virtual Key pair_key(const AddressView& xmpp, const AddressView& sip) const = 0;
    [[nodiscard]] virtual SubscriptionQuota& quota() = 0;  // SEC-4

    // features.md A6: has our user added the XMPP user, so that the one may see him too? Asked by
    // watches; told to watches when he does.
    [[nodiscard]] virtual bool is_watched(const Key& pair) = 0;
    virtual void on_watched(const Key& pair) = 0;
    virtual void on_unwatched(const Key& pair) = 0;

    // Asked before an event is taken that may lead to stanzas; false: not now, hold its source
    // back, or try again kRetryTelling later. After it to_partner() always takes.
    [[nodiscard]] virtual bool has_room() const = 0;
    // Not all rows of the store are in: what would concern one of those that are not has to wait.
    [[nodiscard]] virtual bool restoring() const = 0;
    // False: another node of the pool knows of the two, or this one will in a moment. Nothing is to
    // be said of what they have.
    [[nodiscard]] virtual bool has(const AddressView& xmpp, const AddressView& sip) const = 0;
    // With a token: on_sent(token) follows when it was written to a stream, on_unsent(token, fault)
    // if not, or if it is in doubt; both are those of whose it is.
    virtual void to_partner(Bytes our_domain, Bytes their_domain, Bytes stanza,
                            PresenceToken token = 0) = 0;
    // Memory for one stanza, until the next call; as large as any stanza of ours.
    [[nodiscard]] virtual MutableBytes stanza_memory() = 0;
    // And for one request.
    [[nodiscard]] virtual MutableBytes request_memory() = 0;
    // The answer to a request, once; to an ACK: nothing. Of a body the type is the last of the
    // headers.
    virtual void answer(const Origin&, const SipAnswer&, Bytes headers = {}, Bytes body = {}) = 0;
    // An error stanza for a stanza that goes no further. False: the edge has no room now.
    [[nodiscard]] virtual bool refuse(const StanzaCall&, LocalFault) = 0;
    virtual void drop(const char* what) = 0;  // GEN-4

protected:
    ~PresenceHost() = default;
};

}  // namespace fedgate::gateway
