// Edge and gateway, whole, on the simulation: what is promised about every message holds for any
// seed, and a seed replays a run (architecture: "One seam for the outside world").
#include <gtest/gtest.h>

#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

void expect_clean(const Ledger::Totals& totals) {
    EXPECT_EQ(totals.open, 0U);
    EXPECT_EQ(totals.doubled, 0U);
    EXPECT_EQ(totals.disordered, 0U);
}

TEST(Federation, AMessageCrossesBothWays) {
    World world(1);
    world.send_to_sip(1);
    world.send_to_xmpp(1);
    ASSERT_TRUE(world.settle()) << world.fedgate.log() << world.partner.log();
    const auto totals = world.ledger.totals();
    expect_clean(totals);
    EXPECT_EQ(totals.delivered, 2U) << world.fedgate.log();
}

TEST(Federation, ManyPairsKeepTheirOrder) {  // GEN-5
    World world(2);
    for (unsigned round = 0; round < 20; ++round) {
        for (unsigned i = 0; i < 25; ++i) {
            world.send_to_sip(i);
            world.send_to_xmpp(i);
        }
        world.simulation.run_for([] { return false; }, 5ms);
    }
    ASSERT_TRUE(world.settle()) << world.ledger.first_open();
    const auto totals = world.ledger.totals();
    expect_clean(totals);
    EXPECT_EQ(totals.delivered, totals.sent) << world.fedgate.log();
}

TEST(Federation, RefusalsComeBackToTheirSenders) {
    World world(3);
    world.pool->answer = 486;
    for (unsigned i = 0; i < 10; ++i) world.send_to_sip(i);
    ASSERT_TRUE(world.settle());
    EXPECT_EQ(world.ledger.totals().refused, 10U);
}

TEST(Federation, ASilentPoolIsAnError) {  // ERR-408: local Timer F
    World world(4);
    world.pool->silent = true;
    world.send_to_sip(1);
    ASSERT_TRUE(world.settle());
    EXPECT_EQ(world.ledger.totals().refused, 1U);
}

// Runs traffic with connections breaking at random bytes; returns the trace.
std::uint64_t run_with_faults(std::uint64_t seed, Ledger::Totals& totals, std::string& open,
                              bool both_ways = false) {
    World world(seed, 2, {}, false, both_ways);
    world.ledger.allowed_refusals =
        4;  // an error is said again for each stream that breaks under it
    unsigned faults = 0;
    for (unsigned round = 0; round < 30; ++round) {
        for (unsigned i = 0; i < 5; ++i) {
            world.send_to_sip(i);
            world.send_to_xmpp(i);
        }
        if (round % 5 == 4 && world.simulation.break_connection(2'000)) ++faults;
        world.simulation.run_for([] { return false; }, 300ms);
    }
    world.settle(200s);
    totals = world.ledger.totals();
    open = world.ledger.first_open();
    EXPECT_GT(faults, 0U);
    return world.simulation.trace_hash();
}

TEST(Federation, BrokenConnectionsLoseNothingInSilence) {
    for (std::uint64_t seed = 100; seed < 120; ++seed) {
        Ledger::Totals totals;
        std::string open;
        run_with_faults(seed, totals, open, seed % 2 == 1);
        EXPECT_EQ(totals.open, 0U) << "seed " << seed << ", message " << open;
        EXPECT_EQ(totals.doubled, 0U) << "seed " << seed;
        EXPECT_EQ(totals.disordered, 0U) << "seed " << seed;
        EXPECT_GT(totals.delivered, totals.sent / 3) << "seed " << seed;
    }
}

// Black holes, refused connects and breaks, at moments that the seed picks.
TEST(Federation, AnyFaultLosesNothingInSilence) {
    constexpr unsigned kRounds = 12;
    for (std::uint64_t seed = 200; seed < 260; ++seed) {
        World world(seed, 2, {}, false, seed % 2 == 1);
        world.ledger.allowed_refusals =
            kRounds;  // an answer is written again for each break, at most
        Simulation& simulation = world.simulation;
        const auto pass = [&](Duration time) { simulation.run_for([] { return false; }, time); };
        const Simulation::Node far[] = {world.partner.node(), world.pool_node};
        const SocketAddress doors[] = {simulation.address(world.partner.node(), 5269),
                                       Pool::listen_address(kSipPort)};
        for (unsigned round = 0; round < kRounds; ++round) {
            for (unsigned i = 0; i < 8; ++i) {
                world.send_to_sip(i);
                world.send_to_xmpp(i);
            }
            const std::uint64_t side = simulation.random(2);
            const Duration pause = std::chrono::milliseconds(100 + simulation.random(9'000));
            switch (simulation.random(4)) {
                case 0:
                    simulation.cut(world.fedgate.node(), far[side]);
                    pass(pause);
                    simulation.heal(world.fedgate.node(), far[side]);
                    break;
                case 1:
                    simulation.refuse_connects(doors[side], true);
                    static_cast<void>(simulation.break_connection(1));
                    pass(pause);
                    simulation.refuse_connects(doors[side], false);
                    break;
                case 2: static_cast<void>(simulation.break_connection(500)); break;
                default: break;
            }
            pass(300ms);
        }
        world.settle(300s);
        const auto totals = world.ledger.totals();
        EXPECT_EQ(totals.open, 0U) << "seed " << seed << world.describe();
        EXPECT_EQ(totals.doubled, 0U) << "seed " << seed;
        EXPECT_EQ(totals.disordered, 0U) << "seed " << seed;
        // Healed: the next message crosses each way.
        if (totals.open != 0) continue;
        pass(40s);
        const unsigned before = world.ledger.totals().delivered;
        world.send_to_sip(1);
        world.send_to_xmpp(1);
        EXPECT_TRUE(world.settle());
        EXPECT_EQ(world.ledger.totals().delivered, before + 2)
            << "seed " << seed << world.fedgate.log();
    }
}

TEST(Federation, ASeedReplaysARun) {
    Ledger::Totals first, second, other;
    std::string open;
    const std::uint64_t trace = run_with_faults(7, first, open);
    EXPECT_EQ(trace, run_with_faults(7, second, open));
    EXPECT_EQ(first.delivered, second.delivered);
    EXPECT_NE(trace, run_with_faults(8, other, open));
}

}  // namespace
}  // namespace fedgate::simulation
