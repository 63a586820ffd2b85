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
    EXPECT_FALSE(notices.is_due("b", at_day(500), at_day(97)));
    EXPECT_TRUE(notices.is_due("b", at_day(100), at_day(97)));
    notices.keep([](const std::string& name) { return name != "b"; });
    EXPECT_TRUE(notices.is_due("b", at_day(100), at_day(97)));
}

}  // namespace
}  // namespace fedgate
