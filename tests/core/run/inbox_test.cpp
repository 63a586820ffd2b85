#include "core/run/inbox.hpp"

#include <deque>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

TEST(Mailbox, KeepsKindsBytesAndOrder) {
    Mailbox box(4096);
    EXPECT_TRUE(box.push(1, {"a", "", "bc"}));
    EXPECT_TRUE(box.push(2, {}));
    std::vector<std::pair<std::uint32_t, std::string>> seen;
    const auto take = [&](std::uint32_t kind, Bytes bytes) {
        seen.emplace_back(kind, std::string(bytes));
        return true;
    };
    EXPECT_EQ(box.pop(1, take), 1U);
    EXPECT_EQ(box.pop(10, take), 1U);
    EXPECT_EQ(box.pop(10, take), 0U);
    EXPECT_EQ(seen, (std::vector<std::pair<std::uint32_t, std::string>>{{1, "abc"}, {2, ""}}));
}

TEST(Mailbox, AsksForOneWakeUpForEachBatch) {
    Mailbox box(4096);
    EXPECT_FALSE(box.take_wake_needed());
    EXPECT_TRUE(box.push(1, {"x"}));
    EXPECT_TRUE(box.push(1, {"y"}));
    EXPECT_TRUE(box.take_wake_needed());
    EXPECT_FALSE(box.take_wake_needed());
}

TEST(Mailbox, WhenFullTakesNothingAndGoesOnLater) {
    Mailbox box(64);
    int count = 0;
    while (box.push(1, {"12345678"})) ++count;
    EXPECT_EQ(count, 4);  // 64 / (8 header + 8)
    EXPECT_FALSE(box.push(1, {"12345678"}));
    EXPECT_EQ(box.pop(1, [](std::uint32_t, Bytes) { return true; }), 1U);
    EXPECT_TRUE(box.push(1, {"12345678"}));
    EXPECT_FALSE(box.push(1, {"12345678"}));
}

TEST(Mailbox, ARefusedRecordStaysAtTheFront) {
    Mailbox box(4096);
    EXPECT_TRUE(box.push(1, {"one"}));
    EXPECT_TRUE(box.push(2, {"two"}));
    EXPECT_EQ(box.pop(10, [](std::uint32_t kind, Bytes) { return kind == 1; }), 1U);
    std::uint32_t front = 0;
    EXPECT_EQ(box.pop(10,
                      [&](std::uint32_t kind, Bytes) {
                          front = kind;
                          return false;
                      }),
              0U);
    EXPECT_EQ(front, 2U);
}

TEST(Mailbox, TheBiggestRecordFitsAtAnyPosition) {
    Mailbox box(1024);
    const std::string big(box.record_bytes_max(), 'b');
    EXPECT_FALSE(box.push(1, {big, "x"}));
    for (std::size_t shift = 0; shift < 200; ++shift) {
        ASSERT_TRUE(box.push(1, {"12345678"}));
        ASSERT_EQ(box.pop(9, [](std::uint32_t, Bytes) { return true; }), 1U);
        ASSERT_TRUE(box.push(2, {big}));
        ASSERT_EQ(box.pop(9, [&](std::uint32_t, Bytes bytes) { return bytes == big; }), 1U);
    }
}

TEST(Mailbox, BehavesAsAQueue) {
    std::mt19937 random(3);
    Mailbox box(2048);
    std::deque<std::string> model;
    std::uint32_t next = 0;
    for (int step = 0; step < 50'000; ++step) {
        if (random() % 2 == 0) {
            std::string bytes(random() % 300, static_cast<char>('a' + next % 26));
            if (box.push(next, {bytes})) {
                model.push_back(std::move(bytes));
                ++next;
            } else {
                ASSERT_FALSE(model.empty());
            }
        } else {
            box.pop(random() % 4, [&](std::uint32_t kind, Bytes bytes) {
                if (random() % 8 == 0) return false;
                EXPECT_EQ(kind, next - model.size());
                EXPECT_EQ(bytes, model.front());
                model.pop_front();
                return true;
            });
        }
        ASSERT_FALSE(HasFailure());
    }
}

TEST(Mailbox, CarriesRecordsBetweenTwoThreads) {
    constexpr std::uint32_t kRecords = 100'000;
    Mailbox box(8192);
    std::thread producer([&box] {
        std::string bytes;
        for (std::uint32_t i = 0; i < kRecords;) {
            bytes.assign(i % 97, static_cast<char>(i));
            if (box.push(i, {bytes})) {
                ++i;
            } else {
                std::this_thread::yield();
            }
        }
    });
    std::uint32_t expected = 0;
    bool right = true;
    while (expected < kRecords) {
        const std::size_t count = box.pop(64, [&](std::uint32_t kind, Bytes bytes) {
            right = right && kind == expected && bytes.size() == kind % 97 &&
                    bytes.find_first_not_of(static_cast<char>(kind)) == Bytes::npos;
            ++expected;
            return true;
        });
        if (count == 0) std::this_thread::yield();
    }
    producer.join();
    EXPECT_TRUE(right);
}

}  // namespace
}  // namespace fedgate
