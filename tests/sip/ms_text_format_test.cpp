#include "sip/ms_text_format.hpp"

#include <string>

#include <gtest/gtest.h>

#include "core/base/hash.hpp"

namespace fedgate::sip {
namespace {

// "type|charset|body", or why there is none.
std::string read(Bytes value, std::size_t room = 256) {
    std::string bytes(room, '\0');
    Sink memory{MutableBytes(bytes)};
    memory.append("..");
    const auto text = parse_ms_text_format(value, memory);
    if (text)
        return std::string(text->type)
            .append("|")
            .append(text->charset)
            .append("|")
            .append(text->body);
    EXPECT_EQ(memory.written(), "..");
    EXPECT_FALSE(memory.overflowed());
    return text.error().where;
}

TEST(MsTextFormat, IsRead) {  // SESS-41
    EXPECT_EQ(read("text/plain; charset=UTF-8;msgr=WAAtAE0ATQBTAC0A;ms-body=SGk="),
              "text/plain|UTF-8|Hi");
    EXPECT_EQ(read("TEXT/Plain;MS-BODY=\"SGk=\" ; charset=\"utf-8\""), "TEXT/Plain|utf-8|Hi");
    EXPECT_EQ(read("text/html;ms-body=PGI+SGk8L2I+"), "text/html||<b>Hi</b>");
    EXPECT_EQ(read("text/plain;ms-body=SGk"), "text/plain||Hi");
    EXPECT_EQ(read("text/plain;ms-body=SGkhIQ"), "text/plain||Hi!!");
    EXPECT_EQ(read("text/plain;ms-body="), "text/plain||");
    EXPECT_EQ(read("text/plain;ms-body=8J+YgA=="), "text/plain||\xf0\x9f\x98\x80");
}

TEST(MsTextFormat, TheFirstTextOfAListThatWeRead) {
    EXPECT_EQ(read("text/rtf;ms-body=AAAA, text/html;ms-body=SGk= ,text/plain;ms-body=QUFB"),
              "text/html||Hi");
    EXPECT_EQ(read("text/plain;charset=UTF-8, text/html;ms-body=SGk="), "text/html||Hi");
    EXPECT_EQ(read("text/plain;x=\"a,b\";ms-body=SGk="), "text/plain||Hi");
    EXPECT_EQ(read("text/plain;charset=UTF-8"), "ms-text-format without ms-body");
    EXPECT_EQ(read(""), "ms-text-format without ms-body");
    EXPECT_EQ(read("text/x-msmsgsinvite; charset=UTF-8;ms-body=SGk="), "ms-text-format type");
}

TEST(MsTextFormat, GarbageIsRefused) {
    for (const char* const bad :
         {",", "text", "text/plain;", "text/plain;ms-body=SGk=;;x", "text/plain x"}) {
        EXPECT_TRUE(read(bad).starts_with("Content-Type")) << bad << ": " << read(bad);
    }
    for (const char* const bad : {"S", "SGk==", "=", "====", "S===", "SG=k",
                                  "SGk=SGk=", "S*k=", "SGl=", "SGk=SGkh", "SGkhS", "SG\xc3\xa4="}) {
        EXPECT_EQ(read(std::string("text/plain;ms-body=") + bad), "ms-body") << bad;
    }
}

TEST(MsTextFormat, TheMemoryIsTheBound) {
    EXPECT_EQ(read("text/plain;ms-body=SGkh", 5), "text/plain||Hi!");
    EXPECT_EQ(read("text/plain;ms-body=SGkh", 4), "ms-body");
    EXPECT_EQ(read("text/plain;ms-body=" + std::string(40'000, 'A'), 1'000), "ms-body");
}

// Of any length modulo three, and in UTF-8.
TEST(MsTextFormat, WhatWasWrittenIsRead) {  // G4
    char bytes[256];
    for (const std::string text : {"", "H", "Hi", "Hi!", "a\r\nb \xf0\x9f\x98\x80"}) {
        Sink value{MutableBytes(bytes)};
        value.append("text/plain; charset=UTF-8;ms-body=");
        write_base64(value, text);
        EXPECT_EQ(read(value.written()), "text/plain|UTF-8|" + text);
    }
}

}  // namespace
}  // namespace fedgate::sip
