#include "core/config/timestamp.hpp"

#include <gtest/gtest.h>

#include "core/config/domain.hpp"

namespace fedgate::config {
namespace {

TEST(Timestamp, IsReadAsItIsWritten) {
    for (const char* text :
         {"1970-01-01T00:00:00Z", "2026-11-25T18:29:39Z", "2028-02-29T23:59:59Z"}) {
        const auto time = parse_time(text);
        ASSERT_TRUE(time) << text;
        EXPECT_EQ(format_time(*time), text);
    }
    EXPECT_EQ(parse_time("1970-01-02T00:00:01Z")->time_since_epoch().count(), 86401);
}

TEST(Timestamp, WhatIsNoTimeIsRefused) {
    for (const char* text :
         {"", "2026-11-25", "2026-11-25T18:29:39", "2026-11-25 18:29:39Z", "2026-02-29T00:00:00Z",
          "2026-13-01T00:00:00Z", "2026-11-25T24:00:00Z", "2026-11-25T23:60:00Z",
          "2026-11-25T23:59:60Z", "+026-11-25T18:29:39Z", "2026-11-25T18:29:39ZZ"}) {
        EXPECT_FALSE(parse_time(text)) << text;
    }
}

TEST(Timestamp, ADenialIsAPatternAndPerhapsAnEnd) {
    for (const char* text : {"a.example", "*.a.example", "*.a.example@2026-11-25T18:29:39Z"}) {
        const auto denied = parse_denied(text);
        ASSERT_TRUE(denied) << text;
        EXPECT_EQ(format_denied(*denied), text);
    }
    EXPECT_EQ(parse_denied("*.B\xc3\xbc"
                           "cher.example")
                  ->pattern,
              "*.xn--bcher-kva.example");
    for (const char* text : {"", "*", "*.", "a.*.example", "**.example", "a.example@",
                             "a.example@tomorrow", "@2026-11-25T18:29:39Z", "*a.example"}) {
        EXPECT_FALSE(parse_denied(text)) << text;
    }
}

}  // namespace
}  // namespace fedgate::config
