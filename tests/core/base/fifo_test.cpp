#include "core/base/fifo.hpp"

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

std::vector<int> all(const Fifo<int>& fifo) { return {fifo.begin(), fifo.end()}; }

TEST(Fifo, WhatCameFirstGoesFirst) {
    Fifo<int> fifo;
    for (int i = 0; i < 5; ++i) fifo.push_back(i);
    fifo.pop_front();
    fifo.pop_front(2);
    EXPECT_EQ(fifo.front(), 3);
    EXPECT_EQ(fifo.back(), 4);
    EXPECT_EQ(all(fifo), (std::vector<int>{3, 4}));
    fifo.pop_front(2);
    EXPECT_TRUE(fifo.empty());
}

TEST(Fifo, WhatHasGoneIsHeldNoMore) {
    const auto item = std::make_shared<int>(1);
    Fifo<std::shared_ptr<int>> fifo;
    fifo.push_back(item);
    fifo.push_back(nullptr);
    fifo.pop_front();
    EXPECT_EQ(item.use_count(), 1);
}

TEST(Fifo, ItsMemoryFollowsWhatWaitsNotWhatHasPassed) {
    Fifo<std::string> fifo;
    std::deque<std::string> model;
    for (int i = 0; i < 100'000; ++i) {
        fifo.push_back(std::to_string(i));
        model.push_back(std::to_string(i));
        if (i < 10) continue;
        ASSERT_EQ(fifo.front(), model.front());
        fifo.pop_front();
        model.pop_front();
    }
    EXPECT_TRUE(std::equal(fifo.begin(), fifo.end(), model.begin(), model.end()));
    EXPECT_LE(fifo.capacity(), 64U);
}

TEST(Fifo, WithNothingInItItHoldsNoMemory) {
    Fifo<int> fifo;
    EXPECT_EQ(fifo.capacity(), 0U);
    fifo.push_back(1);
    fifo.trim();
    EXPECT_EQ(all(fifo), std::vector<int>{1});
    fifo.pop_front();
    fifo.trim();
    EXPECT_EQ(fifo.capacity(), 0U);
}

TEST(Fifo, SomeGoFromItsMiddle) {
    Fifo<int> fifo;
    for (int i = 0; i < 8; ++i) fifo.push_back(i);
    fifo.pop_front();
    std::vector<int> asked;
    fifo.erase_if([&](int i) {
        asked.push_back(i);
        return i % 2 != 0;
    });
    EXPECT_EQ(asked, (std::vector<int>{1, 2, 3, 4, 5, 6, 7}));
    EXPECT_EQ(all(fifo), (std::vector<int>{2, 4, 6}));
}

TEST(Fifo, AMovedOneIsEmpty) {
    Fifo<int> fifo;
    for (int i = 0; i < 3; ++i) fifo.push_back(i);
    fifo.pop_front();
    const Fifo<int> taken = std::exchange(fifo, {});
    EXPECT_TRUE(fifo.empty());
    EXPECT_EQ(all(taken), (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace fedgate
