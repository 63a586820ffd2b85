#include "appliance/edge/door_guard.hpp"

#include <gtest/gtest.h>

#include "core/config/tree.hpp"

namespace fedgate::edge {
namespace {

using Refusal = DoorGuard::Refusal;

const Instant kStart{std::chrono::hours(1)};

SocketAddress address(int i) {
    return *net::parse_address("192.0.2." + std::to_string(i) + ":1000");
}

rules::Settings::Xmpp defaults() {
    config::Problems problems;
    return rules::compile(config::Tree(), 1, problems)->settings.xmpp;
}

rules::Settings::Xmpp without_rate() {
    rules::Settings::Xmpp settings = defaults();
    settings.connections_per_address = rules::Rate{};
    return settings;
}

TEST(DoorGuard, BoundsWhatIsNotAuthenticated) {  // S2S-62: 10 for each address, 10 % in all
    rules::Settings::Xmpp settings = without_rate();
    settings.connections = 250;
    DoorGuard guard(1);
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(guard.enter(settings, address(1), kStart), Refusal::kNone);
    EXPECT_EQ(guard.enter(settings, address(1), kStart), Refusal::kUnauthenticated);
    for (int i = 0; i < 15; ++i)
        EXPECT_EQ(guard.enter(settings, address(2 + i), kStart), Refusal::kNone);
    EXPECT_NE(guard.enter(settings, address(100), kStart), Refusal::kNone);
    // Whoever proves itself or leaves makes room.
    EXPECT_TRUE(guard.authenticate(settings, 100, address(1), "a.example", "b.example"));
    EXPECT_EQ(guard.enter(settings, address(1), kStart), Refusal::kNone);
    EXPECT_NE(guard.enter(settings, address(100), kStart), Refusal::kNone);
    guard.leave(address(1), {}, {});
    EXPECT_EQ(guard.enter(settings, address(100), kStart), Refusal::kNone);
    EXPECT_EQ(guard.connections(), 26u);
}

TEST(DoorGuard, BoundsAll) {  // features.md X7
    rules::Settings::Xmpp settings = without_rate();
    settings.connections = 20;
    settings.streams_per_domain_pair = 1'000;
    DoorGuard guard(1);
    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(guard.enter(settings, address(1), kStart), Refusal::kNone);
        ASSERT_TRUE(guard.authenticate(settings, 1'000, address(1), "a.example", "b.example"));
    }
    EXPECT_EQ(guard.enter(settings, address(2), kStart), Refusal::kTotal);
    guard.leave(address(1), "a.example", "b.example");
    EXPECT_EQ(guard.enter(settings, address(2), kStart), Refusal::kNone);
}

TEST(DoorGuard, BoundsThePairAndThePartner) {  // S2S-62: four of a pair
    const rules::Settings::Xmpp settings = without_rate();
    DoorGuard guard(1);
    const auto prove = [&](const char* our, const char* their, std::uint32_t partner_limit) {
        EXPECT_EQ(guard.enter(settings, address(1), kStart), Refusal::kNone);
        const bool in = guard.authenticate(settings, partner_limit, address(1), our, their);
        if (!in) guard.leave(address(1), {}, {});
        return in;
    };
    EXPECT_EQ(settings.streams_per_domain_pair, 4u);
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(prove("a.example", "b.example", 6));
    EXPECT_FALSE(prove("a.example", "b.example", 6));
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(prove("other.example", "b.example", 6));
    EXPECT_FALSE(prove("other.example", "b.example", 6));  // six of a partner
    EXPECT_TRUE(prove("a.example", "c.example", 6));
    guard.leave(address(1), "a.example", "b.example");
    EXPECT_TRUE(prove("a.example", "b.example", 6));
}

TEST(DoorGuard, BoundsNewConnectionsOfAnAddress) {  // S2S-63: 60 a minute, a bucket of 30
    const rules::Settings::Xmpp settings = defaults();
    DoorGuard guard(1);
    const auto come = [&](int who, Instant now) {
        const Refusal refusal = guard.enter(settings, address(who), now);
        if (refusal == Refusal::kNone) guard.leave(address(who), {}, {});
        return refusal;
    };
    for (int i = 0; i < 30; ++i) EXPECT_EQ(come(1, kStart), Refusal::kNone) << i;
    EXPECT_EQ(come(1, kStart), Refusal::kRate);
    EXPECT_EQ(come(2, kStart), Refusal::kNone);
    EXPECT_EQ(come(1, kStart + 900ms), Refusal::kRate);
    EXPECT_EQ(come(1, kStart + 1s), Refusal::kNone);
    EXPECT_EQ(come(1, kStart + 1s), Refusal::kRate);
}

TEST(DoorGuard, SharesItsBoundsAmongShards) {
    const rules::Settings::Xmpp settings = without_rate();
    DoorGuard guard(4);
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(guard.enter(settings, address(1), kStart), Refusal::kNone);
    EXPECT_EQ(guard.enter(settings, address(1), kStart), Refusal::kUnauthenticated);
}

}  // namespace
}  // namespace fedgate::edge
