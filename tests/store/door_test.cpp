// What the gateway may rely on: the door, on the store of the simulation.
#include <gtest/gtest.h>

#include "appliance/store/memory.hpp"
#include "core/base/limits.hpp"
#include "core/run/simulation.hpp"

namespace fedgate::store {
namespace {

struct Listener final : User {
    void on_stored(Sequence last, bool ok) override { told.emplace_back(last, ok); }
    void on_restored(std::span<const Row> rows) override {
        ++batches;
        for (const Row& row : rows) names.emplace_back(row.xmpp);
    }
    void on_restore_done() override { ++done; }
    void on_lost(const Slots& slots) override { lost |= slots; }
    void on_tenure(Tenure tenure) override { tenures.push_back(tenure); }

    Slots lost;
    std::vector<Tenure> tenures;
    std::vector<std::pair<Sequence, bool>> told;
    std::vector<std::string> names;
    int batches = 0;
    int done = 0;
};

Row row(Bytes xmpp, std::uint8_t auth = 1, Bytes detail = {}) {
    return {.kind = Kind::kWatch,
            .xmpp = xmpp,
            .sip = "romeo@sip.example",
            .auth = auth,
            .changed = WallTime(1'000s),
            .detail = detail};
}

class DoorTest : public testing::Test {
protected:
    explicit DoorTest(const Memory::Disk& disk = Memory::Disk())
        : memory(1, [](const Row&) { return 0U; }, disk) {
        start();
    }

    void start() {
        group = std::make_unique<ShardGroup>(1);
        loop = &simulation.make_loop(node);
        shard = std::make_unique<Shard>(*group, 0, *loop);
        listener = {};
        memory.attach(0, *shard, listener);
        door = &memory.door(0);
    }
    bool until(const std::function<bool()>& predicate) {
        return simulation.run_for(predicate, 10s);
    }
    bool told(Sequence last, bool ok) {
        return until(
            [&] { return !listener.told.empty() && listener.told.back() == std::pair(last, ok); });
    }
    // What was put is under way then: the disk needs longer.
    void turn() {
        simulation.run_for([] { return false; }, 100us);
    }
    std::uint64_t count(Counter counter) { return group->sum(counter); }

    Simulation simulation;
    Simulation::Node node = simulation.make_node();
    std::unique_ptr<ShardGroup> group;
    SimulatedLoop* loop = nullptr;
    std::unique_ptr<Shard> shard;
    Memory memory;
    Listener listener;
    Desk* door = nullptr;
};

TEST_F(DoorTest, SaysWhatIsOnDisk) {
    EXPECT_EQ(door->put(row("juliet@xmpp.example")), 1U);
    EXPECT_TRUE(listener.told.empty());
    EXPECT_EQ(memory.find(Kind::kWatch, "juliet@xmpp.example", "romeo@sip.example"), nullptr);
    ASSERT_TRUE(told(1, true));
    EXPECT_NE(memory.find(Kind::kWatch, "juliet@xmpp.example", "romeo@sip.example"), nullptr);
    EXPECT_EQ(door->erase(Kind::kWatch, "juliet@xmpp.example", "romeo@sip.example"), 2U);
    ASSERT_TRUE(told(2, true));
    EXPECT_TRUE(memory.rows().empty());
}

TEST_F(DoorTest, TakesWhatWaitsAsOne) {
    for (std::uint8_t auth = 1; auth <= 10; ++auth) {
        ASSERT_TRUE(door->put(row("juliet@xmpp.example", auth)));
    }
    EXPECT_EQ(door->waiting(), 1U);
    ASSERT_TRUE(told(10, true));
    EXPECT_EQ(listener.told.size(), 1U);
    EXPECT_EQ(count(Counter::kStoreKept), 1U);
    EXPECT_EQ(memory.rows().begin()->second.auth, 10);
}

TEST_F(DoorTest, GathersWhileTheDiskIsBusy) {
    ASSERT_TRUE(door->put(row("a@xmpp.example")));
    turn();  // the first is under way
    for (const char* name : {"b@xmpp.example", "c@xmpp.example", "d@xmpp.example"}) {
        ASSERT_TRUE(door->put(row(name)));
    }
    ASSERT_TRUE(told(4, true));
    const std::vector<std::pair<Sequence, bool>> expected{{1, true}, {4, true}};
    EXPECT_EQ(listener.told, expected);
    EXPECT_EQ(memory.rows().size(), 4U);
}

TEST_F(DoorTest, AFullDiskRefusesPromisesAndKeepsWhatStands) {
    memory.set_failing(true);
    ASSERT_TRUE(door->put(row("juliet@xmpp.example")));
    ASSERT_TRUE(told(1, false));
    EXPECT_TRUE(door->failing());
    EXPECT_FALSE(door->put(row("nurse@xmpp.example")));
    EXPECT_EQ(door->update(row("benvolio@xmpp.example")), 2U);
    ASSERT_TRUE(told(2, false));
    memory.set_failing(false);
    ASSERT_TRUE(told(2, true));
    EXPECT_FALSE(door->failing());
    EXPECT_EQ(memory.rows().size(), 2U);
    EXPECT_EQ(count(Counter::kStoreRefused), 1U);
}

TEST_F(DoorTest, WhatIsRefusedAndErasedDoesNotComeBack) {
    memory.set_failing(true);
    ASSERT_TRUE(door->put(row("juliet@xmpp.example")));
    ASSERT_TRUE(told(1, false));
    ASSERT_TRUE(door->erase(Kind::kWatch, "juliet@xmpp.example", "romeo@sip.example"));
    memory.set_failing(false);
    ASSERT_TRUE(told(2, true));
    EXPECT_TRUE(memory.rows().empty());
}

TEST_F(DoorTest, ALaterChangeHoldsBeforeOneThatFailed) {
    ASSERT_TRUE(door->put(row("juliet@xmpp.example", 1)));
    memory.set_failing(true);
    turn();  // it is under way
    ASSERT_TRUE(door->update(row("juliet@xmpp.example", 2)));
    ASSERT_TRUE(told(2, false));
    memory.set_failing(false);
    ASSERT_TRUE(told(2, true));
    EXPECT_EQ(memory.rows().begin()->second.auth, 2);
}

TEST_F(DoorTest, TheBoundRefusesButErases) {
    memory.set_failing(true);
    for (std::size_t i = 0; i < limits::kStoreWaiting; ++i) {
        ASSERT_TRUE(door->update(row(std::to_string(i) + "@xmpp.example")));
    }
    EXPECT_FALSE(door->update(row("juliet@xmpp.example")));
    EXPECT_TRUE(door->update(row("0@xmpp.example", 9)));  // waits already
    EXPECT_TRUE(door->erase(Kind::kWatch, "juliet@xmpp.example", "romeo@sip.example"));
    EXPECT_EQ(count(Counter::kStoreRefused), 1U);
    const std::string detail(limits::kStoreDetailBytes + 1, 'x');
    EXPECT_FALSE(door->update(row("0@xmpp.example", 1, detail)));
    const std::string most(limits::kStoreDetailBytes, 'x');
    std::size_t taken = 0;
    while (taken < limits::kStoreWaiting &&
           door->update(row(std::to_string(taken) + "@xmpp.example", 1, most))) {
        ++taken;
    }
    EXPECT_NEAR(static_cast<double>(taken),
                static_cast<double>(limits::kStoreWaitingBytes / limits::kStoreDetailBytes), 100);
}

TEST_F(DoorTest, ARestartHandsOverWhatWasKept) {
    ASSERT_TRUE(until([&] { return listener.done == 1; }));
    EXPECT_TRUE(listener.names.empty());
    for (int i = 0; i < 1'000; ++i) {
        ASSERT_TRUE(door->put(row(std::to_string(i) + "@xmpp.example")));
    }
    ASSERT_TRUE(told(1'000, true));
    ASSERT_TRUE(door->put(row("late@xmpp.example")));  // nobody was told of it
    turn();
    memory.crash([] { return false; });
    shard.reset();
    memory.restart();
    start();
    ASSERT_TRUE(until([&] { return listener.done == 1; }));
    EXPECT_EQ(listener.names.size(), 1'000U);
    EXPECT_EQ(listener.batches, 4);
}

TEST_F(DoorTest, AnEndInPeaceKeepsWhatWaits) {
    ASSERT_TRUE(door->put(row("juliet@xmpp.example")));
    memory.restart();
    EXPECT_EQ(memory.rows().size(), 1U);
}

class SharedDoorTest : public DoorTest {
protected:
    SharedDoorTest() : DoorTest({.shared = true}) {}
    static Slots slot(Bytes xmpp) { return Slots().set(slot_of(xmpp, "romeo@sip.example")); }
};

TEST_F(SharedDoorTest, WhatAnotherNodeHasIsNotTaken) {
    ASSERT_TRUE(door->put(row("juliet@xmpp.example")));
    ASSERT_TRUE(told(1, true));
    const Slots juliets = slot("juliet@xmpp.example");
    ASSERT_NE(juliets, slot("nurse@xmpp.example"));
    memory.lose(juliets);
    EXPECT_EQ(listener.lost, juliets);
    EXPECT_FALSE(door->has(slot_of("juliet@xmpp.example", "romeo@sip.example")));
    EXPECT_FALSE(door->put(row("juliet@xmpp.example", 2)));
    EXPECT_FALSE(door->update(row("juliet@xmpp.example", 2)));
    EXPECT_FALSE(door->erase(Kind::kWatch, "juliet@xmpp.example", "romeo@sip.example"));
    EXPECT_TRUE(door->put(row("nurse@xmpp.example")));
    ASSERT_TRUE(told(2, true));
    EXPECT_EQ(memory.rows().size(), 2U);
    memory.gain(juliets);
    EXPECT_EQ(listener.names, std::vector<std::string>{"juliet@xmpp.example"});
    EXPECT_TRUE(door->put(row("juliet@xmpp.example", 2)));
}

// It would undo what the other node has done meanwhile.
TEST_F(SharedDoorTest, WhatWaitedForALostSlotIsNotWrittenLater) {
    const Slots juliets = slot("juliet@xmpp.example");
    ASSERT_TRUE(door->put(row("juliet@xmpp.example", 1)));
    turn();  // it is under way
    ASSERT_TRUE(door->put(row("juliet@xmpp.example", 2)));
    ASSERT_TRUE(door->put(row("nurse@xmpp.example")));
    memory.set_failing(true);
    memory.lose(juliets);
    ASSERT_TRUE(told(3, false));
    memory.gain(juliets);
    memory.set_failing(false);
    ASSERT_TRUE(told(3, true));
    EXPECT_EQ(door->waiting(), 0U);
    EXPECT_EQ(memory.rows().size(), 1U);
}

TEST_F(SharedDoorTest, WhatWaitsIsWrittenBeforeASlotIsLeft) {
    const Slots juliets = slot("juliet@xmpp.example");
    ASSERT_TRUE(door->put(row("juliet@xmpp.example", 1)));
    turn();
    memory.set_failing(true);
    door->leave(juliets, 1);
    EXPECT_EQ(listener.lost, juliets);
    EXPECT_FALSE(door->update(row("juliet@xmpp.example", 2)));
    ASSERT_TRUE(told(1, false));
    EXPECT_EQ(memory.left(), 0U);
    memory.set_failing(false);
    ASSERT_TRUE(told(1, true));
    EXPECT_EQ(memory.left(), 1U);
    EXPECT_EQ(memory.rows().size(), 1U);
    door->leave(slot("nurse@xmpp.example"), 2);  // nothing waits
    EXPECT_EQ(memory.left(), 2U);
}

// All that waited was of slots that another node has taken meanwhile: nothing is to be written.
TEST_F(SharedDoorTest, ASlotIsLeftAlsoWhenWhatWaitedIsLost) {
    const Slots juliets = slot("juliet@xmpp.example");
    memory.set_failing(true);
    ASSERT_TRUE(door->put(row("juliet@xmpp.example", 1)));
    ASSERT_TRUE(told(1, false));
    door->leave(juliets | slot("nurse@xmpp.example"), 1);
    EXPECT_EQ(memory.left(), 0U);
    memory.lose(juliets);
    memory.set_failing(false);
    EXPECT_TRUE(until([&] { return memory.left() == 1U; }));
    EXPECT_TRUE(memory.rows().empty());
}

// Others will take what this node has: nobody is to have it twice.
TEST_F(SharedDoorTest, TheShareOfWhoIsCutOffIsLetGoBeforeOthersTakeIt) {
    ASSERT_TRUE(door->put(row("juliet@xmpp.example")));
    ASSERT_TRUE(told(1, true));
    using Tenures = std::vector<Tenure>;
    const Instant start = simulation.now();
    const auto at = [&](Duration time) {
        simulation.run_for([] { return false; }, start + time - simulation.now());
    };
    door->renew({start + 1s, start + 3s});
    door->set_others_hold(true);
    at(500ms);
    door->renew({start + 1'500ms, start + 3'500ms});
    at(1'490ms);
    EXPECT_EQ(listener.tenures, (Tenures{Tenure::kLost, Tenure::kHeld}));
    at(1'510ms);
    EXPECT_EQ(listener.tenures.back(), Tenure::kLate);
    memory.set_failing(true);
    ASSERT_TRUE(door->update(row("juliet@xmpp.example", 2)));
    at(3'490ms);
    EXPECT_TRUE(listener.lost.none());
    at(3'510ms);
    EXPECT_EQ(listener.tenures.back(), Tenure::kLost);
    EXPECT_TRUE(listener.lost.all());
    EXPECT_EQ(memory.lapses(), 1U);
    EXPECT_FALSE(door->update(row("juliet@xmpp.example", 3)));
    EXPECT_EQ(door->waiting(), 0U);
    // Rows that were on their way are others' meanwhile.
    door->restore({{Change(row("nurse@xmpp.example"), false)}});
    door->open(~Slots());
    EXPECT_TRUE(listener.names.empty());
    EXPECT_FALSE(door->has(0));
    memory.gain(~Slots());
    door->renew({simulation.now() + 1s, simulation.now() + 3s});
    EXPECT_EQ(listener.tenures.back(), Tenure::kHeld);
    EXPECT_EQ(listener.names, std::vector<std::string>{"juliet@xmpp.example"});
    EXPECT_TRUE(door->has(0));
}

// Others are not to give up anything for one that is back and takes nothing yet.
TEST_F(SharedDoorTest, WhoComesBackIsLateAtFirst) {
    using Tenures = std::vector<Tenure>;
    door->renew({simulation.now(), simulation.now() + 3s});
    EXPECT_EQ(listener.tenures, (Tenures{Tenure::kLost, Tenure::kLate}));
    door->set_others_hold(true);
    simulation.run_for([] { return false; }, 2s);
    EXPECT_TRUE(listener.lost.none());
    door->renew({simulation.now() + 1s, simulation.now() + 3s});
    EXPECT_EQ(listener.tenures.back(), Tenure::kHeld);
}

// Where nobody is at the store nobody takes anything.
TEST_F(SharedDoorTest, WhatStandsGoesOnWhileNobodyIsAtTheStore) {
    const Instant start = simulation.now();
    door->set_others_hold(true);
    door->renew({start + 1s, start + 3s});
    until([&] { return simulation.now() >= start + 2s; });
    door->set_others_hold(false);
    until([&] { return simulation.now() >= start + 9s; });
    EXPECT_EQ(listener.tenures.back(), Tenure::kLate);
    EXPECT_TRUE(listener.lost.none());
    // Now one is.
    door->set_others_hold(true);
    EXPECT_TRUE(listener.lost.none());  // not from within a call
    EXPECT_TRUE(until([&] { return listener.lost.all(); }));
}

}  // namespace
}  // namespace fedgate::store
