// How many presence subscriptions there may be, in both directions: SEC-4. One for all shards of a
// process, or a bound would not hold for all of them together: a mutex guards it. So it is asked
// when a subscription comes or goes, and never for what passes through one. Owner: the program; it
// outlives the gateways. Thread: any shard's.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "appliance/gateway/conversation.hpp"
#include "appliance/gateway/key.hpp"
#include "core/base/bytes.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::gateway {

class SubscriptionQuota {
public:
    enum class Refusal : std::uint8_t { kNone, kWatcher, kDomain, kAll, kRate };

    // One more: `watcher` is who watches, whoever and wherever he is; `xmpp_domain` that of the two
    // that is not ours. kNone: it counts until leave().
    [[nodiscard]] Refusal enter(const rules::Settings::Presence&, const Key& watcher,
                                Bytes xmpp_domain);
    // One that stands already, from the store: counts, whatever the bounds are now.
    void restore(const Key& watcher, Bytes xmpp_domain);
    void leave(const Key& watcher, Bytes xmpp_domain);
    // Nobody watches through it now, and what was approved stays: it counts no more for the
    // watcher, until he wakes it.
    void rest(const Key& watcher);
    [[nodiscard]] Refusal wake(const rules::Settings::Presence&, const Key& watcher);
    void leave_resting(Bytes xmpp_domain);
    // A contact is to be asked, who was not yet: as many at once as one may watch, then a few a
    // minute. Else kRate.
    [[nodiscard]] Refusal ask(const rules::Settings::Presence&, const Key& watcher, Instant now);

    [[nodiscard]] std::size_t count() const;
    // The key of the bound.
    [[nodiscard]] static const char* name_of(Refusal);

private:
    struct Hash {
        std::size_t operator()(const Key& key) const { return key.low; }
        using is_transparent = void;
        std::size_t operator()(Bytes text) const { return std::hash<Bytes>()(text); }
    };
    void add(const Key& watcher, Bytes xmpp_domain);
    [[nodiscard]] bool has_room(const rules::Settings::Presence&, const Key& watcher) const;

    mutable std::mutex mutex_;
    std::size_t count_ = 0;
    SenderRates asked_;
    std::unordered_map<Key, std::uint32_t, Hash> watchers_;
    std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> domains_;
};

}  // namespace fedgate::gateway
