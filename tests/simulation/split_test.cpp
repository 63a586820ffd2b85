// Fedgate as two machines, an edge and a gateway, and the link between them: the law is the same as
// for one.
#include <map>

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

// Partners' connections come to any shard; their stanzas go through the first one's, and what it
// has no room for waits where it came from.
TEST(Split, EveryShardOfAnEdgeReachesTheGateway) {
    std::uint64_t refused = 0;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(seed);
        World world(
            seed, {.both_ways = true, .mailbox_bytes = 16 << 10, .split = true, .outer_shards = 3});
        pass(world, 1s);
        world.simulation.cut(world.fedgate.node(), world.outer->node());
        pass(world, link::kDeadAfter + 500ms);
        const std::string more(3'000, 'x');
        for (unsigned i = 0; i < 160; ++i) world.send_to_sip(i % 8, {.more = more});
        pass(world, 1s);
        world.simulation.heal(world.fedgate.node(), world.outer->node());
        ASSERT_TRUE(world.settle(60s)) << world.describe();
        expect_the_law(world);
        const auto totals = world.ledger.totals();
        EXPECT_EQ(totals.delivered, totals.sent) << world.describe();
        refused += world.outer->count(Counter::kMailboxRefused);
    }
    EXPECT_GT(refused, 0U);
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
                           .split = true,
                           .outer_shards = 1 + static_cast<std::uint32_t>(seed % 2)});
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
        world.simulation.break_no_more();
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

// How long it takes until a message is through: of each direction, or only of those to partners.
Duration served_after(World& world, unsigned user, bool both = true) {
    const Instant start = world.simulation.now();
    std::map<std::string, Ledger::Entry> before = world.ledger.entries;
    bool ways[2] = {!both, false};
    while (!(ways[0] && ways[1]) && world.simulation.now() < start + 30s) {
        world.send_to_sip(user);
        world.send_to_xmpp(user);
        pass(world, 50ms);
        for (const auto& [name, entry] : world.ledger.entries) {
            if (!before.contains(name) && entry.delivered > 0) ways[entry.to_sip ? 0 : 1] = true;
        }
    }
    return world.simulation.now() - start;
}
std::uint64_t sent_by(Server& edge) {
    std::uint64_t stanzas = 0;
    for (const auto& row : edge.seats()[0].edge->rows()) stanzas += row.inbound ? 0 : row.stanzas;
    return stanzas;
}
void expect_both_ways_work(World& world) {
    for (int i = 0; i < 3; ++i) {
        send_some(world);
        EXPECT_TRUE(world.settle()) << world.describe();
        pass(world, 40s);
    }
    const unsigned before = world.ledger.totals().delivered;
    send_some(world);
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.ledger.totals().delivered, before + 16) << world.describe();
}

// Two edges and two gateways. Nobody is told of the fault.
TEST(Split, WhereAnEdgeDiesTheOtherServesWithinASecond) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, {.split = true, .doubled = true});
        world.ledger.allowed_refusals = 2;
        send_some(world);
        ASSERT_TRUE(world.settle()) << world.describe();
        pass(world, 12s);
        EXPECT_GT(sent_by(*world.outer), 0u);
        world.kill(*world.outer);
        EXPECT_LT(served_after(world, 1), 1s);
        pass(world, 20s);
        world.revive(*world.outer);
        EXPECT_EQ(sent_by(*world.outer), 0u);
        const Instant start = world.simulation.now();
        while (sent_by(*world.outer) == 0 && world.simulation.now() < start + 20s) {
            send_some(world);
            pass(world, 100ms);
        }
        EXPECT_LT(world.simulation.now() - start, 10s);
        ASSERT_TRUE(world.settle()) << world.describe();
        expect_the_law(world);
        expect_both_ways_work(world);
    }
}

// When the partner finds that out, is his own affair.
TEST(Split, WhereAnEdgeVanishesTheOtherServesWithinFiveSeconds) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, {.split = true, .doubled = true});
        world.ledger.allowed_refusals = 2;
        send_some(world);
        ASSERT_TRUE(world.settle()) << world.describe();
        pass(world, 12s);
        const auto hole = [&](bool there) {
            for (const auto node :
                 {world.fedgate.node(), world.fedgate2->node(), world.partner.node()}) {
                there ? world.simulation.cut(world.outer->node(), node)
                      : world.simulation.heal(world.outer->node(), node);
            }
        };
        hole(true);
        EXPECT_LT(served_after(world, 1, false), 5s);
        pass(world, 20s);
        hole(false);
        ASSERT_TRUE(world.settle()) << world.describe();
        expect_the_law(world);
        expect_both_ways_work(world);
    }
}

TEST(Split, WhereAGatewayDiesTheOtherServesWithinASecond) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, {.split = true, .doubled = true});
        world.ledger.allowed_refusals = 2;
        send_some(world);
        ASSERT_TRUE(world.settle()) << world.describe();
        pass(world, 12s);
        Server& dying = seed % 2 == 0 ? world.fedgate : *world.fedgate2;
        world.kill(dying);
        for (unsigned user = 0; user < 4; ++user) EXPECT_LT(served_after(world, user), 1s);
        pass(world, 5s);
        world.revive(dying);
        for (unsigned round = 0; round < 40; ++round) {
            send_some(world);
            pass(world, 100ms);
        }
        ASSERT_TRUE(world.settle()) << world.describe();
        expect_the_law(world);
        expect_both_ways_work(world);
        EXPECT_GT(dying.count(Counter::kMessagesX2sAccepted), 0u);
    }
}

// SIP servers send to any gateway. The receipt that comes back is understood only where its message
// was served: where the stanzas of the pair go.
TEST(Split, ARequestThatComesToAnyGatewayIsServedByTheOwner) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(seed);
        World world(
            seed,
            {.shards = 1 + static_cast<std::uint32_t>(seed % 3), .split = true, .doubled = true});
        pass(world, 1s);
        for (unsigned round = 0; round < 5; ++round) {
            for (unsigned i = 0; i < 16; ++i) world.send_to_xmpp(i, {.more = "", .asks = true});
            pass(world, 50ms);
        }
        ASSERT_TRUE(world.settle()) << world.describe();
        pass(world, 2s);
        expect_the_law(world);
        EXPECT_EQ(world.ledger.totals().delivered, 80u);
        EXPECT_EQ(world.ledger.extras().receipts, 80u) << world.describe();
        EXPECT_GT(world.fedgate.count(Counter::kMessagesS2xAccepted), 10u);
        EXPECT_GT(world.fedgate2->count(Counter::kMessagesS2xAccepted), 10u);
    }
}

TEST(Split, WhateverDiesOfTwoAndTwoNothingIsLostInSilence) {
    const auto [first, last] = seeds(600, 609);
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, {.shards = 1 + static_cast<std::uint32_t>(seed % 2),
                           .both_ways = seed % 3 == 1,
                           .split = true,
                           .doubled = true});
        world.ledger.allowed_refusals = 12;
        Server* const machines[] = {&world.fedgate, world.fedgate2.get(), world.outer.get(),
                                    world.outer2.get()};
        for (unsigned round = 0; round < 12; ++round) {
            send_some(world);
            const auto one = world.simulation.random(4);
            const auto pause = std::chrono::milliseconds(100 + world.simulation.random(9'000));
            switch (world.simulation.random(3)) {
                case 0:
                    world.kill(*machines[one]);
                    pass(world, 100ms);
                    send_some(world);
                    pass(world, pause);
                    world.revive(*machines[one]);
                    break;
                case 1: static_cast<void>(world.simulation.break_connection(2'000)); break;
                default: {
                    const auto a = machines[one % 2]->node();
                    const auto b = machines[2 + one / 2]->node();
                    world.simulation.cut(a, b);
                    pass(world, pause);
                    world.simulation.heal(a, b);
                }
            }
            pass(world, 300ms);
        }
        world.settle(300s);
        expect_the_law(world);
        if (HasFailure()) return;
        expect_both_ways_work(world);
    }
}

}  // namespace
}  // namespace fedgate::simulation
