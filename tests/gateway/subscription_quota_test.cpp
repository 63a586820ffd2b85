#include "appliance/gateway/subscription_quota.hpp"

#include <gtest/gtest.h>

namespace fedgate::gateway {
namespace {

using Refusal = SubscriptionQuota::Refusal;

constexpr Key kJuliet{1, 2};
constexpr Key kRomeo{3, 4};
constexpr rules::Settings::Presence kBounds{.expires = 3'600,
                                            .subscriptions = 6,
                                            .subscriptions_per_domain = 4,
                                            .subscriptions_per_watcher = 3};

TEST(SubscriptionQuota, HoldsForOneWatcherForHisDomainAndForAll) {  // SEC-4
    SubscriptionQuota quota;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(quota.enter(kBounds, kJuliet, "a"), Refusal::kNone);
    EXPECT_EQ(quota.enter(kBounds, kJuliet, "b"), Refusal::kWatcher);
    EXPECT_EQ(quota.enter(kBounds, kRomeo, "a"), Refusal::kNone);
    EXPECT_EQ(quota.enter(kBounds, kRomeo, "a"), Refusal::kDomain);
    EXPECT_EQ(quota.enter(kBounds, kRomeo, "b"), Refusal::kNone);
    EXPECT_EQ(quota.enter(kBounds, kRomeo, "b"), Refusal::kNone);
    EXPECT_EQ(quota.count(), 6u);
    EXPECT_EQ(quota.enter(kBounds, {5, 6}, "c"), Refusal::kAll);
    quota.leave(kJuliet, "a");
    EXPECT_EQ(quota.enter(kBounds, {5, 6}, "c"), Refusal::kNone);
    EXPECT_EQ(quota.enter(kBounds, kRomeo, "c"), Refusal::kWatcher);
}

TEST(SubscriptionQuota, WhatRestsCountsForAllButTheWatcher) {  // SEC-4
    SubscriptionQuota quota;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(quota.enter(kBounds, kJuliet, "a"), Refusal::kNone);
    quota.rest(kJuliet);
    EXPECT_EQ(quota.count(), 3u);
    EXPECT_EQ(quota.enter(kBounds, kJuliet, "b"), Refusal::kNone);
    EXPECT_EQ(quota.wake(kBounds, kJuliet), Refusal::kWatcher);
    EXPECT_EQ(quota.enter(kBounds, kRomeo, "a"), Refusal::kNone);
    EXPECT_EQ(quota.enter(kBounds, kRomeo, "a"), Refusal::kDomain);
    quota.leave(kJuliet, "b");
    EXPECT_EQ(quota.wake(kBounds, kJuliet), Refusal::kNone);
    EXPECT_EQ(quota.enter(kBounds, kJuliet, "b"), Refusal::kWatcher);
    quota.rest(kJuliet);
    quota.leave_resting("a");
    EXPECT_EQ(quota.count(), 3u);
    EXPECT_EQ(quota.enter(kBounds, kRomeo, "a"), Refusal::kNone);
}

TEST(SubscriptionQuota, WhoAsksForMoreIsSlowed) {  // SEC-4, S2S-65
    SubscriptionQuota quota;
    const Instant start{};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(quota.ask(kBounds, kJuliet, start), Refusal::kNone);
    EXPECT_EQ(quota.ask(kBounds, kJuliet, start), Refusal::kRate);
    EXPECT_EQ(quota.ask(kBounds, kRomeo, start), Refusal::kNone);
    EXPECT_EQ(quota.ask(kBounds, kJuliet, start + std::chrono::seconds(7)), Refusal::kNone);
    EXPECT_EQ(quota.ask(kBounds, kJuliet, start + std::chrono::seconds(7)), Refusal::kRate);
}

TEST(SubscriptionQuota, WhatStandsCountsEvenAboveTheBounds) {
    SubscriptionQuota quota;
    for (int i = 0; i < 9; ++i) quota.restore(kJuliet, "a");
    EXPECT_EQ(quota.count(), 9u);
    EXPECT_EQ(quota.enter(kBounds, kJuliet, "a"), Refusal::kWatcher);
    for (int i = 0; i < 9; ++i) quota.leave(kJuliet, "a");
    EXPECT_EQ(quota.count(), 0u);
    EXPECT_EQ(quota.enter(kBounds, kJuliet, "a"), Refusal::kNone);
}

}  // namespace
}  // namespace fedgate::gateway
