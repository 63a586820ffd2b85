#include "core/base/event.hpp"

#include <string>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

TEST(Event, EachIsExplainedInBothLanguages) {
    for (const EventInfo& info : kEvents) {
        const std::string id = "FG-" + std::to_string(info.number);
        for (const EventText* text : {&info.english, &info.french}) {
            EXPECT_FALSE(text->sentence.empty()) << id;
            EXPECT_FALSE(text->cause.empty()) << id;
            EXPECT_FALSE(text->remedy.empty()) << id;
            EXPECT_EQ(text->sentence.find_first_of("\"\n"), Bytes::npos)
                << id;  // a line's, in quotes
        }
        EXPECT_NE(info.english.sentence, info.french.sentence) << id;
        EXPECT_EQ(&event_text(info.id, Language::kFrench), &info.french);
        EXPECT_GE(info.number, 1000) << id;
    }
}

}  // namespace
}  // namespace fedgate
