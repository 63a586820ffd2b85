#include "core/run/shard.hpp"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/run/simulation.hpp"
#include "core/run/uring_loop.hpp"

namespace fedgate {
namespace {

constexpr std::uint32_t kData = 3;
constexpr std::uint32_t kBack = 4;

struct Records : RecordHandler {
    bool on_record(std::uint32_t kind, std::uint32_t from, Bytes record) override {
        if (refusals > 0) {
            --refusals;
            return false;
        }
        seen.push_back(std::to_string(kind) + "/" + std::to_string(from) + "/" +
                       std::string(record));
        return true;
    }
    int refusals = 0;
    std::vector<std::string> seen;
};

// Three shards in one thread.
struct Shards {
    Shards() {
        const Simulation::Node node = simulation.make_node();
        for (std::uint32_t i = 0; i < 3; ++i) {
            loops.push_back(&simulation.make_loop(node));
            shards.push_back(std::make_unique<Shard>(group, i, *loops.back()));
            records.push_back(std::make_unique<Records>());
            shards.back()->set_handler(kData, *records.back(), RecordUse::kMayWait);
        }
    }
    Simulation simulation;
    ShardGroup group{3, 65'536};
    std::vector<SimulatedLoop*> loops;
    std::vector<std::unique_ptr<Records>> records;
    std::vector<std::unique_ptr<Shard>> shards;
};

TEST(Shard, SendsRecordsToOthersAndToItself) {
    Shards all;
    EXPECT_TRUE(all.shards[0]->send(1, kData, {"a", "b"}));
    EXPECT_TRUE(all.shards[0]->send(0, kData, {"self"}));
    EXPECT_TRUE(all.shards[2]->send(1, kData, {"c"}));
    EXPECT_TRUE(all.records[0]->seen.empty());  // never from within send()
    all.simulation.run_for([] { return false; }, 10ms);
    EXPECT_EQ(all.records[0]->seen, std::vector<std::string>{"3/0/self"});
    EXPECT_EQ(all.records[1]->seen, (std::vector<std::string>{"3/0/ab", "3/2/c"}));
}

// Takes a question only when there is room for the answer, and asks as much as it can.
struct Asker final : RecordHandler {
    explicit Asker(Shard& s) : shard(s) {
        shard.set_handler(kData, *this, RecordUse::kMayWait);
        shard.set_handler(kBack, *this);
    }
    void ask() {
        while (shard.send(1 - shard.index(), kData, {std::string(500, 'q')})) ++asked;
    }
    bool on_record(std::uint32_t kind, std::uint32_t from, Bytes) override {
        if (kind == kBack) {
            ++answers;
            return true;
        }
        ask();
        return shard.send(from, kBack, {std::string(400, 'a')});
    }
    Shard& shard;
    std::uint64_t asked = 0;
    std::uint64_t answers = 0;
};

TEST(Shard, TwoThatWaitForRoomAtEachOtherGoOn) {
    Simulation simulation;
    ShardGroup group(2, 4'096);
    const Simulation::Node node = simulation.make_node();
    Shard first(group, 0, simulation.make_loop(node));
    Shard second(group, 1, simulation.make_loop(node));
    Asker a(first);
    Asker b(second);
    a.ask();
    b.ask();
    EXPECT_TRUE(simulation.run_for([&] { return a.answers > 1'000 && b.answers > 1'000; }, 60s))
        << a.answers << " of " << a.asked << ", " << b.answers << " of " << b.asked;
}

TEST(Shard, ARefusedRecordIsOfferedAgain) {
    Shards all;
    all.records[1]->refusals = 5;
    EXPECT_TRUE(all.shards[0]->send(1, kData, {"1"}));
    EXPECT_TRUE(all.shards[0]->send(1, kData, {"2"}));
    const Instant start = all.simulation.now();
    ASSERT_TRUE(all.simulation.run_for([&] { return all.records[1]->seen.size() == 2; }, 100ms));
    EXPECT_EQ(all.records[1]->seen, (std::vector<std::string>{"3/0/1", "3/0/2"}));
    EXPECT_LT(all.simulation.now(), start + 20ms);
}

TEST(Shard, AFullMailboxSaysNoAndIsCounted) {
    Shards all;
    const std::string record(1'000, 'r');
    std::size_t taken = 0;
    while (all.shards[0]->send(1, kData, {record})) ++taken;
    EXPECT_GE(taken, 60U);
    EXPECT_EQ(all.shards[0]->stats().value(Counter::kMailboxRefused), 1U);
    ASSERT_TRUE(
        all.simulation.run_for([&] { return all.records[1]->seen.size() == taken; }, 100ms));
    EXPECT_TRUE(all.shards[0]->send(1, kData, {record}));
    EXPECT_FALSE(
        all.shards[0]->send(1, kData, {std::string(all.shards[0]->record_bytes_max() + 1, 'x')}));
}

TEST(Shard, MoreRecordsThanOneTurnTakesAreNotLeftBehind) {
    Shards all;
    const std::size_t count = limits::kMailboxRecordsPerTurn * 3 + 1;
    for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(all.shards[0]->send(1, kData, {"x"}));
    EXPECT_TRUE(all.simulation.run_for([&] { return all.records[1]->seen.size() == count; }, 5ms));
}

TEST(Shard, RunsWhatIsPostedAlsoBeforeItIsThere) {
    Simulation simulation;
    ShardGroup group(1);
    std::vector<int> ran;
    EXPECT_TRUE(group.post(0, [&](Shard&) { ran.push_back(1); }));
    SimulatedLoop& loop = simulation.make_loop(simulation.make_node());
    Shard shard(group, 0, loop);
    EXPECT_TRUE(simulation.run_for([&] { return ran.size() == 1; }, 10ms));
    EXPECT_TRUE(group.post(0, [&](Shard& on) { ran.push_back(static_cast<int>(on.index()) + 2); }));
    EXPECT_TRUE(simulation.run_for([&] { return ran.size() == 2; }, 10ms));
    EXPECT_EQ(ran, (std::vector<int>{1, 2}));
    std::size_t taken = 0;
    while (group.post(0, [](Shard&) {})) ++taken;
    EXPECT_EQ(taken, limits::kPostedFunctions);
}

// On each thread: sends `count` records to the next shard, whatever room there is, and counts what
// comes.
class Ring : public RecordHandler, TurnTask {
public:
    Ring(Shard& shard, std::uint32_t count) : shard_(shard), left_(count), expected_(count) {
        shard_.set_handler(kData, *this);
        shard_.set_handler(kBack, *this);
        shard_.loop().at_turn_end(*this);
    }
    ~Ring() { shard_.loop().cancel_turn_task(*this); }
    bool on_record(std::uint32_t kind, std::uint32_t, Bytes record) override {
        if (kind == kBack) {
            if (++done_ == shard_.count()) shard_.group().stop();
            return true;
        }
        in_order_ = in_order_ && record == std::to_string(received_);
        if (++received_ == expected_) tell_done_ = true;
        shard_.stats().add(Counter::kXmppStanzasIn);
        return true;
    }
    [[nodiscard]] bool in_order() const { return in_order_; }

private:
    void on_turn_end() override {
        while (left_ > 0 && shard_.send((shard_.index() + 1) % shard_.count(), kData,
                                        {std::to_string(expected_ - left_)})) {
            --left_;
        }
        if (tell_done_ && shard_.send(0, kBack, {})) {
            tell_done_ = false;
            told_ = true;
        }
        if (left_ > 0 || !told_) shard_.loop().at_turn_end(*this);
    }

    Shard& shard_;
    std::uint32_t left_;
    std::uint32_t expected_;
    std::uint32_t received_ = 0;
    std::uint32_t done_ = 0;
    bool tell_done_ = false;
    bool told_ = false;
    bool in_order_ = true;
};

TEST(Shard, ThreadsOnIoUringPassRecordsInOrder) {
    constexpr std::uint32_t kThreads = 3;
    constexpr std::uint32_t kRecords = 5'000;
    ShardGroup group(kThreads, 16'384);
    std::atomic<std::uint32_t> good{0};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < kThreads; ++i) {
        threads.emplace_back([&group, &good, i] {
            EXPECT_TRUE(run_on_cpus(i).has_value());
            auto loop = UringLoop::make({.submissions = 64, .buffers = 8, .buffers_max = 8});
            if (!loop) return std::abort();
            Shard shard(group, i, **loop);
            Ring ring(shard, kRecords);
            shard.run();
            if (ring.in_order()) ++good;
        });
    }
    std::atomic<bool> posted{false};
    EXPECT_TRUE(group.post(1, [&posted](Shard&) { posted = true; }));
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(good, kThreads);
    EXPECT_TRUE(posted);
    EXPECT_EQ(group.sum(Counter::kXmppStanzasIn), kThreads * kRecords);
}

TEST(Stats, AddUpOverTheShards) {
    ShardGroup group(2);
    Simulation simulation;
    SimulatedLoop& loop = simulation.make_loop(simulation.make_node());
    Shard one(group, 0, loop);
    one.stats().add(Counter::kSipRequestsIn, 3);
    one.stats().add(Counter::kXmppInConnections);
    one.stats().subtract(Counter::kXmppInConnections);
    EXPECT_EQ(group.sum(Counter::kSipRequestsIn), 3U);
    EXPECT_EQ(group.stats(0).value(Counter::kXmppInConnections), 0U);
    EXPECT_EQ(group.stats(1).value(Counter::kSipRequestsIn), 0U);
}

TEST(Stats, EachCounterHasANameOfItsOwnAndADescription) {
    for (const CounterInfo& info : counter_table()) {
        EXPECT_NE(info.name.find('.'), Bytes::npos) << info.name;
        EXPECT_FALSE(info.description.empty()) << info.name;
        for (const CounterInfo& other : counter_table()) {
            EXPECT_EQ(info.name == other.name, info.counter == other.counter) << info.name;
        }
    }
}

}  // namespace
}  // namespace fedgate
