#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/event.hpp"
#include "core/base/slab.hpp"

namespace fedgate {
namespace {

TEST(Sink, DropsWhatDoesNotFitAndSaysSo) {
    char memory[8];
    Sink sink(memory);
    sink.append("abc");
    sink.append_number(-12);
    sink.append('d');
    EXPECT_EQ(sink.written(), "abc-12d");
    EXPECT_FALSE(sink.overflowed());
    sink.append("xy");
    EXPECT_TRUE(sink.overflowed());
    EXPECT_EQ(sink.written(), "abc-12d");
    sink.truncate(3);
    EXPECT_FALSE(sink.overflowed());
    EXPECT_EQ(sink.room(), 5U);
}

TEST(Sink, SeveralFitAllOrNone) {
    char memory[8];
    Sink sink(memory);
    const std::string two = "xy";
    sink.append("a", Bytes(), two, "b");
    EXPECT_EQ(sink.written(), "axyb");
    sink.append("cd", two, "e");
    EXPECT_TRUE(sink.overflowed());
    EXPECT_EQ(sink.written(), "axyb");
    sink.truncate(sink.size());
    sink.append("cd", two);
    EXPECT_FALSE(sink.overflowed());
    EXPECT_EQ(sink.written(), "axybcdxy");
}

TEST(Slab, AHandleFindsNothingOnceItsSlotWasFreed) {
    Slab<std::string> slab(2);
    Handle<std::string> a, b, c;
    ASSERT_NE(slab.make(a, "a"), nullptr);
    ASSERT_NE(slab.make(b, "b"), nullptr);
    EXPECT_EQ(slab.make(c, "c"), nullptr);  // the bound
    slab.free(a);
    EXPECT_EQ(slab.find(a), nullptr);
    ASSERT_NE(slab.make(c, "c"), nullptr);
    EXPECT_EQ(c.index, a.index);
    EXPECT_EQ(slab.find(a), nullptr);
    EXPECT_EQ(*slab.find(c), "c");
    EXPECT_EQ(*slab.find(b), "b");
    EXPECT_EQ(Handle<std::string>::unpack(c.pack()), c);
    EXPECT_EQ(slab.find(Handle<std::string>{}), nullptr);
}

TEST(Slab, ObjectsDoNotMoveWhenItGrows) {
    Slab<int> slab(1'000);
    std::vector<Handle<int>> handles(1'000);
    Handle<int> first;
    const int* place = slab.make(first, -1);
    for (int i = 1; i < 1'000; ++i)
        ASSERT_NE(slab.make(handles[static_cast<std::size_t>(i)], i), nullptr);
    EXPECT_EQ(slab.find(first), place);
    int sum = 0;
    slab.for_each([&](Handle<int>, int value) { sum += value; });
    EXPECT_EQ(sum, 999 * 1'000 / 2 - 1);
    EXPECT_EQ(slab.count(), slab.count_max());
}

Result<int> half(int value) {
    if (value % 2 != 0) return failure(Errc::kMalformed, "odd");
    return value / 2;
}

Result<int> quarter(int value) {
    FEDGATE_TRY(once, half(value));
    FEDGATE_TRY(twice, half(once));
    return twice;
}

TEST(Try, ReturnsTheFirstError) {
    EXPECT_EQ(quarter(12).value(), 3);
    EXPECT_EQ(quarter(6).error().code, Errc::kMalformed);
}

TEST(Events, EachHasItsTextInBothLanguages) {
    for (const EventInfo& info : kEvents) {
        for (const EventText& text : {info.english, info.french}) {
            EXPECT_FALSE(text.sentence.empty()) << info.number;
            EXPECT_FALSE(text.cause.empty()) << info.number;
            EXPECT_FALSE(text.remedy.empty()) << info.number;
            EXPECT_EQ(text.sentence.find('"'), Bytes::npos) << info.number;
        }
        EXPECT_GE(info.number, 1000);
        EXPECT_LE(info.number, 9999);
    }
}

}  // namespace
}  // namespace fedgate
