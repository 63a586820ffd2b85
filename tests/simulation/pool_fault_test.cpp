// The law when the nodes of the SIP pool die and come back under traffic both ways, at moments and
// in ways that the seed picks. FEDGATE_SEEDS=1000-1999: those seeds in place of the usual ones.
#include <gtest/gtest.h>

#include "tests/simulation/seeds.hpp"
#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

constexpr unsigned kPoolRounds = 10;
constexpr unsigned kKinds = 6;

struct PoolFaults {
    World& world;

    void pass(Duration time) {
        world.simulation.run_for([] { return false; }, time);
    }
    unsigned pick() { return 1 + static_cast<unsigned>(world.simulation.random(2)); }
    // Mostly short; at times longer than Timer F.
    Duration pause() {
        const std::uint64_t longest = world.simulation.random(8) == 0 ? 60'000 : 9'000;
        return std::chrono::milliseconds(100 + world.simulation.random(longest));
    }
    void traffic(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            world.send_to_sip(i);
            world.send_to_xmpp(i);
        }
    }
    // While half of the messages are on their way, for some time, and then it is back.
    void happen() {
        pass(std::chrono::microseconds(world.simulation.random(3'000)));
        const unsigned number = pick();
        Pool& node = number == 1 ? *world.pool : *world.second;
        const Simulation::Node place = number == 1 ? world.pool_node : world.second_node;
        const SocketAddress door = Pool::listen_address(kSipPort, number);
        node.answer_again = world.simulation.random(2) == 0 ? 200 : 482;
        switch (world.simulation.random(kKinds)) {
            case 0:
                world.kill_node(number);
                outage();
                world.start_node(number);
                break;
            case 1:
                world.simulation.cut(world.fedgate.node(), place);
                outage();
                world.simulation.heal(world.fedgate.node(), place);
                break;
            case 2:
                world.simulation.refuse_connects(door, true);
                static_cast<void>(world.simulation.break_connection(1));
                outage();
                world.simulation.refuse_connects(door, false);
                break;
            case 3:  // what it has taken is lost with it
                node.deaf = true;
                outage();
                node.deaf = false;
                break;
            case 4:
                node.answer = 503;
                outage();
                node.answer = 200;
                break;
            default: static_cast<void>(world.simulation.break_connection(500)); break;
        }
    }
    void outage() {
        traffic(4);
        pass(pause());
        traffic(4);
        pass(pause());
    }
};

void expect_the_law(std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::string first = "sip:10.99.0.1:5060;transport=tcp";
    const std::string second = "sip:10.99.0.2:5060;transport=tcp";
    World world(seed, {.shards = 1 + static_cast<std::uint32_t>(seed % 3),
                       .more = {{"domain/sip.example/next_hop", first + ' ' + second}},
                       .both_ways = seed % 2 == 1});
    world.start_node(2);
    PoolFaults faults{world};
    world.ledger.allowed_refusals =
        kPoolRounds;  // an answer is written again for each break, at most
    for (unsigned round = 0; round < kPoolRounds; ++round) {
        faults.traffic(8);
        faults.happen();
        faults.pass(300ms);
    }
    world.settle(300s);
    const auto totals = world.ledger.totals();
    EXPECT_EQ(totals.open, 0U) << world.describe();
    EXPECT_EQ(totals.doubled, 0U);
    if (totals.open != 0) return;
    // Healed: nothing is refused any more, after what finds out which connections are to break yet.
    for (int i = 0; i < 3; ++i) {
        faults.traffic(8);
        EXPECT_TRUE(world.settle());
        faults.pass(10s);
    }
    const unsigned before = world.ledger.totals().delivered;
    faults.traffic(8);
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.ledger.totals().delivered, before + 16) << world.describe();
}

TEST(PoolFault, LosesNothingInSilence) {  // SIP-8, SIP-11
    const auto [first, last] = seeds(500, 529);
    for (std::uint64_t seed = first; seed <= last; ++seed) expect_the_law(seed);
}

}  // namespace
}  // namespace fedgate::simulation
