// The law under faults: whatever breaks, at moments that the seed picks, every message ends
// delivered once, refused to its sender, or in doubt and told so; and what is healed works again.
// FEDGATE_SEEDS=1000-1999: those seeds in place of the usual ones.
#include <gtest/gtest.h>

#include "tests/simulation/seeds.hpp"
#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

constexpr unsigned kRounds = 12;

struct Faults {
    World& world;
    const Simulation::Node far[2] = {world.partner.node(), world.pool_node};
    const SocketAddress doors[2] = {world.simulation.address(world.partner.node(), 5269),
                                    Pool::listen_address(kSipPort)};

    void pass(Duration time) {
        world.simulation.run_for([] { return false; }, time);
    }
    // For how long most of them last.
    Duration pause() { return std::chrono::milliseconds(100 + world.simulation.random(9'000)); }
    void cut() {
        const std::uint64_t side = world.simulation.random(2);
        world.simulation.cut(world.fedgate.node(), far[side]);
        pass(pause());
        world.simulation.heal(world.fedgate.node(), far[side]);
    }
    void refuse(Duration time) {
        const std::uint64_t side = world.simulation.random(2);
        world.simulation.refuse_connects(doors[side], true);
        static_cast<void>(world.simulation.break_connection(1));
        pass(time);
        world.simulation.refuse_connects(doors[side], false);
    }
    void restart() {
        if (world.simulation.random(2) == 0) {
            world.restart_partner();
        } else {
            world.restart_pool();
        }
    }
};

// Half of the seeds with one stream for both directions, half with sessions that can be resumed.
void expect_the_law(std::uint64_t seed, unsigned kinds, Duration outage) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const bool both_ways = seed % 2 == 1;
    const bool certified = seed / 2 % 2 == 1;
    World world(seed, {.shards = 1 + static_cast<std::uint32_t>(seed % 3),
                       .certified = certified,
                       .both_ways = both_ways});
    Faults faults{world};
    world.ledger.allowed_refusals = kRounds;  // an answer is written again for each break, at most
    for (unsigned round = 0; round < kRounds; ++round) {
        for (unsigned i = 0; i < 8; ++i) {
            world.send_to_sip(i);
            world.send_to_xmpp(i);
        }
        switch (world.simulation.random(kinds)) {
            case 0: faults.cut(); break;
            case 1: faults.refuse(faults.pause()); break;
            case 2: static_cast<void>(world.simulation.break_connection(500)); break;
            case 3: break;
            case 4:
                faults.pass(std::chrono::microseconds(world.simulation.random(3'000)));
                faults.restart();
                break;
            default: faults.refuse(outage); break;
        }
        faults.pass(300ms);
    }
    world.settle(300s);
    const auto totals = world.ledger.totals();
    EXPECT_EQ(totals.open, 0U) << world.describe();
    EXPECT_EQ(totals.doubled, 0U);
    EXPECT_EQ(totals.disordered, 0U);
    if (totals.open != 0) return;
    // Healed: the next message crosses each way, after those that find out which connections a
    // black hole has left half dead: one each way, or two where both go both ways.
    for (int i = 0; i < 3; ++i) {
        world.send_to_sip(1);
        world.send_to_xmpp(1);
        EXPECT_TRUE(world.settle());
        faults.pass(40s);
    }
    const unsigned before = world.ledger.totals().delivered;
    world.send_to_sip(1);
    world.send_to_xmpp(1);
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.ledger.totals().delivered, before + 2) << world.fedgate.log();
}

// Black holes, refused connects and breaks.
TEST(AnyFault, LosesNothingInSilence) {
    const auto [first, last] = seeds(200, 259);
    for (std::uint64_t seed = first; seed <= last; ++seed) expect_the_law(seed, 4, {});
}

// And servers that come back without what they knew, at once or after minutes.
TEST(AnyFault, RestartsAndOutagesLoseNothingInSilence) {
    const auto [first, last] = seeds(300, 339);
    for (std::uint64_t seed = first; seed <= last; ++seed) expect_the_law(seed, 6, 150s);
}

}  // namespace
}  // namespace fedgate::simulation
