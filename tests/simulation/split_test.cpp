// Fedgate as two machines, an edge and a gateway, and the link between them: the law is the same as
// for one.
#include <gtest/gtest.h>

#include "tests/simulation/seeds.hpp"
#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

void expect_the_law(World& world) {
    const auto totals = world.ledger.totals();
    EXPECT_EQ(totals.open, 0U) << world.describe();
    EXPECT_EQ(totals.doubled, 0U);
    EXPECT_EQ(totals.disordered, 0U) << world.ledger.first_wrong << world.describe();
}
void pass(World& world, Duration time) {
    world.simulation.run_for([] { return false; }, time);
}
void send_some(World& world) {
    for (unsigned i = 0; i < 8; ++i) {
        world.send_to_sip(i);
        world.send_to_xmpp(i);
    }
}

TEST(Split, MessagesCrossBothWaysInOrder) {
    World world(1, {.split = true});
    for (unsigned round = 0; round < 20; ++round) {
        send_some(world);
        pass(world, 20ms);
    }
    ASSERT_TRUE(world.settle()) << world.describe();
    expect_the_law(world);
    const auto totals = world.ledger.totals();
    EXPECT_EQ(totals.delivered, totals.sent) << world.describe();
    for (const auto& seat : world.fedgate.seats()) EXPECT_EQ(seat.client->up_count(), 1U);
    EXPECT_EQ(world.outer->seats()[0].server->up_count(), 2U);
    EXPECT_EQ(world.fedgate.seats()[0].edge, nullptr);
}

TEST(Split, RefusalsComeBackToTheirSenders) {
    World world(3, {.split = true});
    world.pool->answer = 486;
    for (unsigned i = 0; i < 10; ++i) world.send_to_sip(i);
    ASSERT_TRUE(world.settle()) << world.describe();
    EXPECT_EQ(world.ledger.totals().refused, 10U);
}

// The link only: both know what the other has, so that all of it arrives.
TEST(Split, AShortCutOfTheLinkLosesNothing) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, {.split = true});
        send_some(world);
        ASSERT_TRUE(world.settle());
        for (int round = 0; round < 10; ++round) {
            send_some(world);
            pass(world, std::chrono::microseconds(world.simulation.random(3'000)));
            world.simulation.cut(world.fedgate.node(), world.outer->node());
            send_some(world);
            pass(world, std::chrono::milliseconds(world.simulation.random(2'000)));
            world.simulation.heal(world.fedgate.node(), world.outer->node());
            pass(world, 200ms);
        }
        ASSERT_TRUE(world.settle(200s)) << world.describe();
        expect_the_law(world);
        const auto totals = world.ledger.totals();
        EXPECT_EQ(totals.delivered, totals.sent) << world.describe();
    }
}

// Any connection, the link's among them, and black holes between any two.
TEST(Split, WhateverBreaksNothingIsLostInSilence) {
    const auto [first, last] = seeds(500, 519);
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, {.shards = 1 + static_cast<std::uint32_t>(seed % 3),
                           .both_ways = seed % 2 == 1,
                           .split = true});
        world.ledger.allowed_refusals = 12;
        const std::pair<Simulation::Node, Simulation::Node> cables[] = {
            {world.fedgate.node(), world.outer->node()},
            {world.outer->node(), world.partner.node()},
            {world.fedgate.node(), world.pool_node}};
        for (unsigned round = 0; round < 12; ++round) {
            send_some(world);
            if (world.simulation.random(2) == 0) {
                static_cast<void>(world.simulation.break_connection(2'000));
            } else {
                const auto [a, b] = cables[world.simulation.random(3)];
                world.simulation.cut(a, b);
                pass(world, std::chrono::milliseconds(100 + world.simulation.random(9'000)));
                world.simulation.heal(a, b);
            }
            pass(world, 300ms);
        }
        world.settle(300s);
        expect_the_law(world);
        if (HasFailure()) return;
        for (int i = 0; i < 3; ++i) {
            world.send_to_sip(1);
            world.send_to_xmpp(1);
            EXPECT_TRUE(world.settle());
            pass(world, 40s);
        }
        const unsigned before = world.ledger.totals().delivered;
        world.send_to_sip(1);
        world.send_to_xmpp(1);
        EXPECT_TRUE(world.settle());
        EXPECT_EQ(world.ledger.totals().delivered, before + 2) << world.describe();
    }
}

}  // namespace
}  // namespace fedgate::simulation
