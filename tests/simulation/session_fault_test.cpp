// The law where the SIP side is of profile lync: texts go in sessions, which end, are forgotten,
// refused, and lost with whoever has them, at moments and in ways that the seed picks.
// FEDGATE_SEEDS=1000-1999: those seeds in place of the usual ones.
#include <gtest/gtest.h>

#include "tests/simulation/seeds.hpp"
#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

constexpr unsigned kSessionRounds = 10;
constexpr unsigned kSessionPairs = 8;

struct SessionFaults {
    World& world;

    void pass(Duration time) {
        world.simulation.run_for([] { return false; }, time);
    }
    std::uint64_t random(std::uint64_t below) { return world.simulation.random(below); }
    // Mostly short; at times longer than a text may wait.
    Duration pause() {
        return std::chrono::milliseconds(100 + random(random(8) == 0 ? 60'000 : 9'000));
    }
    void traffic(unsigned count = kSessionPairs) {
        for (unsigned i = 0; i < count; ++i) {
            world.send_to_sip(i);
            world.send_to_xmpp(i);
        }
    }
    void outage() {
        traffic(4);
        pass(pause());
        traffic(4);
        pass(pause());
    }
    // While half of the texts are on their way, for some time, and then it is well again.
    void happen() {
        pass(std::chrono::microseconds(random(3'000)));
        const unsigned number = 1 + static_cast<unsigned>(random(2));
        Pool& node = number == 1 ? *world.pool : *world.second;
        const Simulation::Node place = number == 1 ? world.pool_node : world.second_node;
        node.answer_again = random(2) == 0 ? 200 : 482;
        const auto for_some_time = [&](auto& what, auto value) {
            const auto before = std::exchange(what, value);
            outage();
            what = before;
        };
        switch (random(10)) {
            case 0:
                world.kill_node(number);
                outage();
                return world.start_node(number);
            case 1:
                world.simulation.cut(world.fedgate.node(), place);
                outage();
                return world.simulation.heal(world.fedgate.node(), place);
            case 2: return for_some_time(node.deaf, true);
            case 3: return for_some_time(node.answer, std::uint16_t{503});
            case 4: return for_some_time(node.answer, std::uint16_t{486});
            case 5: return for_some_time(node.knows_sessions, false);
            case 6: return world.pool->forget_calls();
            case 7: return world.pool->end_calls();
            case 8: return world.crash_fedgate(std::chrono::milliseconds(1 + random(2'000)));
            default: static_cast<void>(world.simulation.break_connection(500));
        }
    }
};

std::uint64_t expect_the_law_of_sessions(std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::string first = "sip:10.99.0.1:5060;transport=tcp";
    const std::string second = "sip:10.99.0.2:5060;transport=tcp";
    World world(seed, {.shards = 1 + static_cast<std::uint32_t>(seed % 3),
                       .more = {{"domain/sip.example/next_hop", first + ' ' + second}},
                       .both_ways = seed % 2 == 1,
                       .sessions = true});
    world.start_node(2);
    SessionFaults faults{world};
    // An answer is written again for each break, at most.
    world.ledger.allowed_refusals = kSessionRounds;
    for (unsigned round = 0; round < kSessionRounds; ++round) {
        faults.traffic();
        faults.happen();
        faults.pass(300ms);
    }
    world.settle(300s);
    const auto totals = world.ledger.totals();
    EXPECT_EQ(totals.open, 0U) << world.describe();
    EXPECT_EQ(totals.doubled, 0U) << world.describe();
    EXPECT_EQ(totals.disordered, 0U) << world.ledger.first_wrong << world.describe();
    EXPECT_EQ(world.ledger.strange, 0U) << world.ledger.first_wrong;
    if (totals.open != 0) return 0;
    // Healed: nothing is refused any more, after what finds out which connections are to break yet.
    for (int i = 0; i < 3; ++i) {
        faults.traffic();
        EXPECT_TRUE(world.settle());
        faults.pass(40s);
    }
    const unsigned before = world.ledger.totals().delivered;
    faults.traffic();
    EXPECT_TRUE(world.settle());
    EXPECT_EQ(world.ledger.totals().delivered, before + 2 * kSessionPairs) << world.describe();
    return world.fedgate.count(Counter::kSessionsX2s) + world.fedgate.count(Counter::kSessionsS2x);
}

TEST(SessionFault, LosesNothingInSilence) {  // SESS-4, SESS-45
    const auto [first, last] = seeds(700, 719);
    std::uint64_t sessions = 0;
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        sessions += expect_the_law_of_sessions(seed);
    }
    EXPECT_GT(sessions, 10 * (last - first + 1));
}

// What the law is about: in sessions, and each text once.
TEST(SessionFault, TextsOfAPairShareASession) {  // SESS-1
    World world(1, {.sessions = true});
    for (int round = 0; round < 5; ++round) {
        SessionFaults{world}.traffic();
        ASSERT_TRUE(world.settle()) << world.describe();
    }
    EXPECT_EQ(world.ledger.totals().delivered, 10 * kSessionPairs) << world.describe();
    const std::uint64_t begun =
        world.fedgate.count(Counter::kSessionsX2s) + world.fedgate.count(Counter::kSessionsS2x);
    EXPECT_GE(begun, kSessionPairs);
    EXPECT_LE(begun, 2 * kSessionPairs);  // both may begin at once
    EXPECT_GT(world.fedgate.count(Counter::kSessionsOpen), 0U);
}

}  // namespace
}  // namespace fedgate::simulation
