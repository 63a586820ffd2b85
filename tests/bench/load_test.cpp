// The pieces of fedload's presence that need nobody at the other end.
#include <array>
#include <map>

#include <gtest/gtest.h>

#include "bench/load/pairs.hpp"
#include "bench/load/presence.hpp"
#include "bench/load/results.hpp"

namespace fedgate::load {
namespace {

TEST(Pairs, AreFoundByTheirEnds) {
    for (const auto& [watchers, contacts, domains] : std::initializer_list<std::array<unsigned, 3>>{
             {100, 20, 4}, {3, 40, 2}, {7, 5, 5}, {1, 1, 1}}) {
        const Pairs pairs(watchers, contacts, domains);
        ASSERT_EQ(pairs.count(), watchers * contacts);
        for (unsigned pair = 0; pair < pairs.count(); ++pair) {
            ASSERT_EQ(pairs.find(pairs.ends(pair)), pair);
        }
    }
}

TEST(Pairs, AreSpreadEvenly) {
    const Pairs pairs(100, 20, 4);
    std::map<unsigned, unsigned> of_sip, of_domain;
    std::map<std::pair<unsigned, unsigned>, unsigned> of_user;
    for (unsigned pair = 0; pair < pairs.count(); ++pair) {
        const PairEnds ends = pairs.ends(pair);
        ++of_sip[ends.sip];
        ++of_domain[ends.domain];
        ++of_user[{ends.domain, ends.user}];
    }
    for (const auto& [sip, count] : of_sip) EXPECT_EQ(count, 20U);
    for (const auto& [domain, count] : of_domain) EXPECT_EQ(count, 500U);
    for (const auto& [user, count] : of_user) EXPECT_EQ(count, 10U);
}

TEST(Pairs, WhoIsNoContactIsNotFound) {
    const Pairs pairs(100, 20, 4);
    EXPECT_FALSE(pairs.find({100, 0, 0}));
    EXPECT_FALSE(pairs.find({0, 0, 4}));
    EXPECT_FALSE(pairs.find({0, 25, 0}));
    EXPECT_TRUE(pairs.find({0, 4, 0}));
    EXPECT_FALSE(pairs.find({0, 5, 0}));
    EXPECT_FALSE(pairs.find({UINT32_MAX, UINT32_MAX, UINT32_MAX}));
}

TEST(Document, TellsItsNumber) {
    std::array<char, 1'024> memory;
    Sink sink(memory);
    write_document(sink, "s1", "sip.example", 47);
    ASSERT_FALSE(sink.overflowed());
    EXPECT_EQ(note_of(sink.written()), 47U);
    EXPECT_EQ(note_of("<presence><note xml:lang='en'>8</note><note>9</note></presence>"), 8U);
    EXPECT_EQ(note_of("<presence/>"), SIZE_MAX);
    EXPECT_EQ(note_of("<presence><note>away</note></presence>"), SIZE_MAX);
    EXPECT_EQ(note_of("<presence><note"), SIZE_MAX);
}

TEST(Histogram, IsAsExactAsItSays) {
    for (const auto& [resolution, off] : {std::pair(Histogram::Resolution::kFine, 0.016),
                                          std::pair(Histogram::Resolution::kCoarse, 0.125)}) {
        Histogram histogram(resolution);
        for (std::uint64_t ns = 1'000; ns <= 1'000'000; ns += 1'000) histogram.add(ns);
        EXPECT_NEAR(histogram.at(0.5), 500, 500 * off);
        EXPECT_NEAR(histogram.at(0.99), 990, 990 * off);
        EXPECT_EQ(histogram.max(), 1'000);
        EXPECT_EQ(histogram.at(1), 1'000);
        histogram.add(std::uint64_t{1} << 62);  // beyond the last bucket
        EXPECT_EQ(histogram.count(), 1'001U);
    }
}

TEST(Series, KeepsAllInFewSlices) {
    Series series;
    constexpr std::uint64_t kSecond = 1'000'000'000;
    for (std::uint64_t second = 0; second < 1'000; ++second) series.add(second * kSecond, 1'000);
    EXPECT_LE(series.slices().size(), 600U);
    EXPECT_GE(series.slices().size(), 300U);
    std::uint64_t count = 0, timed = 0;
    for (const Series::Slice& slice : series.slices()) {
        count += slice.count;
        timed += slice.latency.count();
    }
    EXPECT_EQ(count, 1'000U);
    EXPECT_EQ(timed, 1'000U);
    EXPECT_GE(static_cast<double>(series.slices().size()) * series.slice_seconds(), 999);
}

}  // namespace
}  // namespace fedgate::load
