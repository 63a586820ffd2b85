#include "net/target_pool.hpp"

#include <gtest/gtest.h>

namespace fedgate::net {
namespace {

struct First final : Random {
    std::uint32_t below(std::uint32_t) override { return 0; }
};

Target target(const std::string& host, std::uint16_t priority) {
    return {host, 5269, Transport::kTcp, priority, 1, {}};
}

struct TargetPoolTest : testing::Test {
    void SetUp() override {
        const Target targets[] = {target("a", 1), target("b", 2), target("c", 3)};
        pool.set(targets);
    }
    std::string pick(const TargetPool::Tried& tried = {}) {
        const auto index = pool.pick(now, random, tried);
        return index ? pool.at(*index).host : "";
    }
    TargetPool pool;
    First random;
    Instant now{1000s};
};

TEST_F(TargetPoolTest, LowestPriorityFirst) {
    EXPECT_EQ(pick(), "a");
    EXPECT_EQ(pick({true}), "b");
    EXPECT_EQ(pick({true, true}), "c");
    EXPECT_EQ(pick({true, true, true}), "");
    EXPECT_EQ(TargetPool().pick(now, random), std::nullopt);
    EXPECT_EQ(TargetPool().next_pick(now), kNever);
}

// DNS-8: skipped for 30 s, and then used again without an administrator.
TEST_F(TargetPoolTest, AFailedOneIsSkippedForAWhile) {
    pool.on_failure(0, now, random);
    EXPECT_EQ(pick(), "b");
    now += 29s;
    EXPECT_EQ(pick(), "b");
    now += 1s;
    EXPECT_EQ(pick(), "a");
    // SIP-8: Retry-After.
    pool.on_failure(0, now, random, 100s);
    now += 99s;
    EXPECT_EQ(pick(), "b");
    pool.on_success(0);
    EXPECT_EQ(pick(), "a");
}

// DNS-8: when all have failed, one is probed every 2-4 s, each in its turn.
TEST_F(TargetPoolTest, ProbesWhenAllAreDown) {
    for (std::size_t i = 0; i < 3; ++i) pool.on_failure(i, now, random);
    EXPECT_EQ(pick(), "");
    EXPECT_EQ(pool.next_pick(now), now + 2s);
    now += 1999ms;
    EXPECT_EQ(pick(), "");
    now += 1ms;
    EXPECT_EQ(pick(), "a");
    EXPECT_EQ(pick(), "");  // only one
    pool.on_failure(0, now, random);
    now += 2s;
    EXPECT_EQ(pick(), "b");
    now += 2s;
    EXPECT_EQ(pick(), "c");
    pool.on_success(2);
    EXPECT_EQ(pick(), "c");
    EXPECT_TRUE(pool.any_up(now));
    EXPECT_EQ(pool.next_pick(now), now);
}

TEST_F(TargetPoolTest, ANewSetKeepsHealth) {
    pool.on_failure(0, now, random);
    const Target again[] = {target("new", 9), target("a", 1)};
    pool.set(again);
    EXPECT_EQ(pool.count(), 2u);
    EXPECT_FALSE(pool.is_up(1, now));
    EXPECT_EQ(pick(), "new");
    const std::vector<Target> many(1'000, target("x", 1));
    pool.set(many);
    EXPECT_EQ(pool.count(), TargetPool::kTargetsMax);
}

}  // namespace
}  // namespace fedgate::net
