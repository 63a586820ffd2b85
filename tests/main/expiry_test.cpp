#include "appliance/main/expiry.hpp"

#include <gtest/gtest.h>

namespace fedgate {
namespace {

WallTime at_day(int number) { return WallTime(std::chrono::days(number)); }

TEST(ExpiryNotices, AreFourAndThenDaily) {  // C8
    ExpiryNotices notices;
    std::string days;
    for (int day = 0; day <= 103; ++day) {
        for (int again = 0; again < 2; ++again) {
            if (notices.is_due("a", at_day(100), at_day(day)))
                days += std::to_string(100 - day) + " ";
        }
    }
    EXPECT_EQ(days, "30 14 7 1 -1 -2 -3 ");
    // Seen for the first time when it is near its end, it is one notice; and a new one is new.
    EXPECT_TRUE(notices.is_due("b", at_day(100), at_day(95)));
    EXPECT_FALSE(notices.is_due("b", at_day(100), at_day(96)));
    EXPECT_TRUE(notices.is_due("b", at_day(101), at_day(96)));
    notices.keep([](const std::string& name) { return name != "b"; });
    EXPECT_TRUE(notices.is_due("b", at_day(100), at_day(97)));
}

TEST(ExpiryNotices, OfTwoThatAreShownInTurnEachIsToldOnce) {
    ExpiryNotices notices;
    std::string told;
    for (int hour = 0; hour < 48; ++hour) {
        const WallTime now = at_day(93) + std::chrono::hours(hour);
        for (const int end : {100, 110, 500}) {
            if (notices.is_due("a", at_day(end), now)) told += std::to_string(end) + " ";
        }
    }
    EXPECT_EQ(told, "100 110 ");
    // No more of them are kept than a server may have of them: the later ones stay told.
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(notices.is_due("a", at_day(101) + std::chrono::hours(i), at_day(95)));
    }
    EXPECT_FALSE(notices.is_due("a", at_day(110), at_day(95)));
    EXPECT_TRUE(notices.is_due("a", at_day(101), at_day(95)));
}

}  // namespace
}  // namespace fedgate
