// The law of presence: after whatever broke is healed, each sees what each device of the other says
// and no device that is gone, nobody is asked twice, and nobody sees whom he may not.
// FEDGATE_SEEDS=1000-1999: those seeds in place of the usual ones.
#include <gtest/gtest.h>

#include "tests/simulation/presence_world.hpp"
#include "tests/simulation/seeds.hpp"

namespace fedgate::simulation {
namespace {

constexpr unsigned kPeople = 8;

TEST(Presence, PeopleMeetAndSeeEachOther) {
    PresenceWorld world(1, kPeople);
    world.meet();
    ASSERT_TRUE(world.settle(20s)) << world.describe();
    for (unsigned i = 0; i < kPeople; ++i) {
        EXPECT_EQ(world.contacts.users[i].asked, 1U);
    }
    world.agents.tell(0, true, "In a meeting");
    world.contacts.tell(1, true, "Gone for lunch");
    for (std::size_t device = 0; device < 2; ++device) {
        world.contacts.tell(2, false, "", device);
        world.agents.tell(3, false, "", device);
    }
    world.contacts.tell(4, false, "", 1);
    world.agents.tell(5, false, "", 1);
    world.contacts.tell(6, true, "Driving", 2);
    world.agents.tell(7, true, "Driving", 2);
    EXPECT_TRUE(world.settle(20s)) << world.describe();
}

// kill -9 and start: everything right within 10 s, and nobody is asked again.
TEST(Presence, OutlivesTheProcess) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        PresenceWorld world(seed, kPeople, 1 + static_cast<std::uint32_t>(seed % 3));
        world.meet();
        ASSERT_TRUE(world.settle(20s)) << world.describe();
        world.pass(2s);  // on disk
        world.crash_fedgate(500ms);
        world.agents.tell(0, true, "In a meeting");  // it did not hear that
        world.contacts.tell(1, true, "Gone for lunch");
        EXPECT_TRUE(world.settle(10s)) << world.describe();
        world.agents.tell(2, true, "Back");
        world.contacts.tell(3, true, "Back");
        EXPECT_TRUE(world.settle(10s)) << world.describe();
        for (const Contacts::User& user : world.contacts.users) {
            EXPECT_EQ(user.asked, 1U);
            EXPECT_EQ(user.lost, 0U);
        }
    }
}

struct PresenceFaults {
    PresenceWorld& world;

    std::uint64_t random(std::uint64_t below) { return world.simulation.random(below); }
    Duration pause() {
        return std::chrono::milliseconds(50 + random(random(6) == 0 ? 200'000 : 5'000));
    }
    // Some people change what they say.
    void changes(unsigned round) {
        for (unsigned i = 0; i < kPeople; ++i) {
            const std::string note = "note " + std::to_string(round) + ' ' + std::to_string(i);
            const auto device = [&] { return static_cast<std::size_t>(random(3)); };
            if (random(3) == 0) world.agents.tell(i, random(2) != 0, note, device());
            if (random(3) == 0) world.contacts.tell(i, random(2) != 0, note, device());
        }
    }
    void happen(unsigned round) {
        const auto hole = [&](Simulation::Node side) {
            world.simulation.cut(world.fedgate.node(), side);
            changes(round);
            world.pass(pause());
            world.simulation.heal(world.fedgate.node(), side);
        };
        switch (random(6)) {
            case 0: return hole(world.partner.node());
            case 1: return hole(world.agents_node);
            case 2: return static_cast<void>(world.simulation.break_connection(500));
            case 3: return world.crash_fedgate(pause() / 10);
            case 4:
                world.stop_partner();
                world.pass(pause());
                return world.start_partner();
            default: break;
        }
    }
};

TEST(Presence, IsRightAgainAfterAnyFault) {
    const auto [first, last] = seeds(1, 60);
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        PresenceWorld world(seed, kPeople, 1 + static_cast<std::uint32_t>(seed % 3),
                            {{"presence.lost_after", "20s"}});
        PresenceFaults faults{world};
        world.meet();
        ASSERT_TRUE(world.settle(20s)) << world.describe();
        for (unsigned round = 0; round < 6; ++round) {
            faults.changes(round);
            world.pass(std::chrono::microseconds(faults.random(3'000)));
            faults.happen(round);
            world.pass(std::chrono::milliseconds(faults.random(2'000)));
        }
        EXPECT_TRUE(world.settle(400s)) << world.describe();
        for (const Contacts::User& user : world.contacts.users) EXPECT_LE(user.asked, 1U);
    }
}

}  // namespace
}  // namespace fedgate::simulation
