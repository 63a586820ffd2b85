#include "appliance/gateway/subscription_quota.hpp"

namespace fedgate::gateway {
namespace {

template <typename Map, typename Name>
void count_down(Map& map, const Name& name) {
    const auto found = map.find(name);
    FEDGATE_CHECK(found != map.end());
    if (--found->second == 0) map.erase(found);
}

}  // namespace

SubscriptionQuota::Refusal SubscriptionQuota::enter(const rules::Settings::Presence& bounds,
                                                    const Key& watcher, Bytes xmpp_domain) {
    const std::lock_guard lock(mutex_);
    const auto of_domain = domains_.find(xmpp_domain);
    if (!has_room(bounds, watcher)) return Refusal::kWatcher;
    if (of_domain != domains_.end() && of_domain->second >= bounds.subscriptions_per_domain) {
        return Refusal::kDomain;
    }
    if (count_ >= bounds.subscriptions) return Refusal::kAll;
    add(watcher, xmpp_domain);
    return Refusal::kNone;
}

void SubscriptionQuota::restore(const Key& watcher, Bytes xmpp_domain) {
    const std::lock_guard lock(mutex_);
    add(watcher, xmpp_domain);
}

void SubscriptionQuota::add(const Key& watcher, Bytes xmpp_domain) {
    ++count_;
    ++watchers_[watcher];
    if (const auto found = domains_.find(xmpp_domain); found != domains_.end()) {
        ++found->second;
    } else {
        domains_.emplace(xmpp_domain, 1);
    }
}

void SubscriptionQuota::leave(const Key& watcher, Bytes xmpp_domain) {
    const std::lock_guard lock(mutex_);
    --count_;
    count_down(watchers_, watcher);
    count_down(domains_, xmpp_domain);
}

void SubscriptionQuota::rest(const Key& watcher) {
    const std::lock_guard lock(mutex_);
    count_down(watchers_, watcher);
}

SubscriptionQuota::Refusal SubscriptionQuota::wake(const rules::Settings::Presence& bounds,
                                                   const Key& watcher) {
    const std::lock_guard lock(mutex_);
    if (!has_room(bounds, watcher)) return Refusal::kWatcher;
    ++watchers_[watcher];
    return Refusal::kNone;
}

void SubscriptionQuota::leave_resting(Bytes xmpp_domain) {
    const std::lock_guard lock(mutex_);
    --count_;
    count_down(domains_, xmpp_domain);
}

bool SubscriptionQuota::has_room(const rules::Settings::Presence& bounds,
                                 const Key& watcher) const {
    const auto found = watchers_.find(watcher);
    return found == watchers_.end() || found->second < bounds.subscriptions_per_watcher;
}

SubscriptionQuota::Refusal SubscriptionQuota::ask(const rules::Settings::Presence& bounds,
                                                  const Key& watcher, Instant now) {
    const std::lock_guard lock(mutex_);
    const bool may = asked_.take(watcher, kSubscribeRate, bounds.subscriptions_per_watcher, now);
    return may ? Refusal::kNone : Refusal::kRate;
}

std::size_t SubscriptionQuota::count() const {
    const std::lock_guard lock(mutex_);
    return count_;
}

const char* SubscriptionQuota::name_of(Refusal refusal) {
    switch (refusal) {
        case Refusal::kWatcher: return "sec.subscriptions_per_watcher";
        case Refusal::kDomain: return "sec.subscriptions_per_domain";
        case Refusal::kAll: return "presence.subscriptions";
        case Refusal::kRate: return "subscribe requests of one user";
        case Refusal::kNone: break;
    }
    return "";
}

}  // namespace fedgate::gateway
