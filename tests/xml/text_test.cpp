#include "xml/text.hpp"

#include <string>

#include <gtest/gtest.h>

#include "xml/utf8.hpp"

namespace fedgate::xml {
namespace {

template <typename Write>
std::string written(Write&& write, Bytes text) {
    char memory[4'096];
    Sink sink{MutableBytes(memory)};
    write(sink, text);
    EXPECT_FALSE(sink.overflowed());
    return std::string(sink.written());
}

TEST(Text, KnowsUtf8) {
    for (const Bytes text :
         {"", "abc", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
          "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
        EXPECT_TRUE(is_utf8(text)) << text;
    }
    for (const Bytes text :
         {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xe2\x28\xa1", "abc\xff"}) {
        EXPECT_FALSE(is_utf8(text)) << text;
    }
}

TEST(Text, EachCodePointRoundTrips) {
    for (char32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 251) {
        if (c >= 0xD800 && c < 0xE000) continue;
        char memory[4];
        Sink sink{MutableBytes(memory)};
        write_utf8(sink, c);
        const Bytes bytes = sink.written();
        const Utf8Character decoded = decode_utf8(bytes.data(), bytes.data() + bytes.size());
        ASSERT_EQ(decoded.status, Utf8Character::Status::kValid);
        ASSERT_EQ(decoded.value, c);
        ASSERT_EQ(decoded.size, bytes.size());
    }
}

TEST(Text, ReplacesWhatXmlDoesNotAllow) {  // IM-24
    const std::string mark = "\xEF\xBF\xBD";
    EXPECT_EQ(written(write_xml_text, "a\tb\r\nü😀\x7f"), "a\tb\r\nü😀\x7f");
    EXPECT_EQ(written(write_xml_text, Bytes("a\0b", 3)), "a" + mark + "b");
    EXPECT_EQ(written(write_xml_text, "\x01\x0b\x1f"), mark + mark + mark);
    EXPECT_EQ(written(write_xml_text, "\xef\xbf\xbe\xef\xbf\xbf"), mark + mark);
    EXPECT_EQ(written(write_xml_text, "\xff"), mark);
    EXPECT_EQ(written(write_xml_text, "x\xe2\x82y"), "x" + mark + "y");
    EXPECT_EQ(written(write_xml_text, "\xf0\x9f\x98"), mark);
    EXPECT_EQ(written(write_xml_text, "\xc0\xaf"), mark + mark);
    EXPECT_TRUE(is_xml_text("a\tü"));
    EXPECT_FALSE(is_xml_text("\x02"));
    EXPECT_FALSE(is_xml_text("\xef\xbf\xbf"));
}

TEST(Text, ChangesLineEnds) {  // IM-3, IM-32
    EXPECT_EQ(written(write_crlf_lines, "a\nb\rc\r\nd\r\r\n"), "a\r\nb\r\nc\r\nd\r\n\r\n");
    EXPECT_EQ(written(write_lf_lines, "a\nb\rc\r\nd\r\r\n"), "a\nb\nc\nd\n\n");
    EXPECT_EQ(written(write_lf_lines, ""), "");
    EXPECT_EQ(written(write_crlf_lines, "\r"), "\r\n");
}

}  // namespace
}  // namespace fedgate::xml
