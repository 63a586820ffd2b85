#include "xml/document.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/limits.hpp"

namespace fedgate::xml {
namespace {

constexpr std::size_t kBytesMax = 65'536;

DocumentStatus status_of(const std::string& text, std::size_t bytes_max = kBytesMax) {
    Document document;
    return document.read(text, bytes_max);
}

// Elements as {namespace}name(text)[children], in document order. Each is walked through twice:
// once for its text, once for its children.
std::string outline(Walker& walk) {
    std::string text = "{" + std::string(walk.namespace_uri()) + "}" + std::string(walk.name());
    std::vector<char> memory(4'096);
    Sink sink{MutableBytes(memory)};
    Walker reader = walk;
    EXPECT_TRUE(reader.text(sink));
    EXPECT_FALSE(reader.enter());
    if (sink.size() != 0) text += "(" + std::string(sink.written()) + ")";
    for (; walk.enter(); walk.leave()) text += "[" + outline(walk) + "]";
    return text;
}

std::string outline_of(const std::string& text) {
    Document document;
    if (document.read(text, kBytesMax) != DocumentStatus::kRead) return "refused";
    Walker walk = document.walk();
    EXPECT_TRUE(walk.enter());
    const std::string all = outline(walk);
    walk.leave();
    EXPECT_FALSE(walk.enter());
    return all;
}

TEST(Document, ReadsElementsNamespacesAndText) {
    EXPECT_EQ(outline_of("<a xmlns='u' xmlns:p='v'><b/><p:c>x &amp; y</p:c>z</a>"),
              "{u}a(z)[{u}b][{v}c(x & y)]");
    EXPECT_EQ(outline_of("<a><b xmlns='u'><c xmlns=''/></b></a>"), "{}a[{u}b[{}c]]");
    EXPECT_EQ(outline_of("<p:a xmlns:p='u'><p:b xmlns:p='v'/><p:c/></p:a>"), "{u}a[{v}b][{u}c]");
    EXPECT_EQ(outline_of("<a>1<![CDATA[<2>\r\n]]>&#x33;\r4<b/>5</a>"), "{}a(1<2>\n3\n45)[{}b]");
    EXPECT_EQ(outline_of("<a xmlns:pp='v' xmlns:q='w' xmlns:p='u'><p:b/></a>"), "{}a[{u}b]");
}

TEST(Document, TakesWhatMayStandAroundTheRoot) {
    for (const char* before :
         {"", "<?xml version='1.0'?>", "\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n",
          "<?xml version='1.0' encoding='UTF-8' standalone='no' ?> <!-- one --> <!----> ", "\n"}) {
        EXPECT_EQ(outline_of(std::string(before) + "<a/>"), "{}a") << before;
        EXPECT_EQ(outline_of(std::string(before) + "<a></a>\n<!-- end -->\n"), "{}a") << before;
    }
}

TEST(Document, SkipsComments) {
    EXPECT_EQ(outline_of("<a>x<!-- <b> & -->y<!----><c/></a>"), "{}a(xy)[{}_][{}_][{}c]");
    EXPECT_EQ(outline_of("<a><![CDATA[<!-- text -->]]></a>"), "{}a(<!-- text -->)");
    for (const char* text : {"<a><!-- x -- y --></a>", "<a><!-- x </a>", "<a b='<!-- x -->'/>",
                             "<a <!-- x --> b=''/>", "<a><!--x--->y</a>", "<!-- x <a/>",
                             "<a/><!-- x", "<a/><!-->", "<a><b<!---->c/></a>", "<<!---->a/>"}) {
        EXPECT_EQ(status_of(text), DocumentStatus::kNotWellFormed) << text;
    }
}

TEST(Document, RefusesWhatIsNotWellFormedOrMoreThanADocument) {
    for (const char* text :
         {"",
          " ",
          "text",
          "<a>",
          "</a>",
          "<a></b>",
          "<a/><b/>",
          "<a/>text",
          "text<a/>",
          "<a b=c/>",
          "<a b='1' b='2'/>",
          "<p:a/>",
          "<a><p:b/></a>",
          "<a xmlns:p=''/>",
          "<a>&nbsp;</a>",
          "<a>&#0;</a>",
          "<a>&#xD800;</a>",
          "<a>]]></a>",
          "<a>\x01</a>",
          "<a>\xFF</a>",
          "<a>\xC0\xAF</a>",
          "<a b='<'/>",
          "<d></d></d>",
          "</d>",
          "<a>\xED\xA0\x80</a>",
          "<!DOCTYPE a><a/>",
          "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
          "<a><!DOCTYPE b></a>",
          "<?xml version='1.0'?><!DOCTYPE a SYSTEM 'http://x.example/a.dtd'><a/>",
          "<?xml-stylesheet href='x'?><a/>",
          "<a><?php x?></a>",
          "<?xml version='1.0'?",
          "<?xml version='1.1'?><a/>",
          "<?xml version='1.0' encoding='UTF-16'?><a/>",
          "<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
          " <?xml version='1.0'?><a/>",
          "\xFE\xFF<a/>",
          "<a:b:c xmlns:a='u'/>",
          "<a xmlns:xml='u'/>"}) {
        EXPECT_EQ(status_of(text), DocumentStatus::kNotWellFormed) << text;
    }
    using namespace std::string_literals;
    EXPECT_EQ(status_of("<a>\0</a>"s), DocumentStatus::kNotWellFormed);
    EXPECT_EQ(status_of("<a/>\0"s), DocumentStatus::kNotWellFormed);
}

std::string repeated(const std::string& text, std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all += text;
    return all;
}

TEST(Document, BoundsSizeDepthAttributesAndPrefixes) {
    EXPECT_EQ(status_of("<a>" + repeated("x", 93) + "</a>", 100), DocumentStatus::kRead);
    EXPECT_EQ(status_of("<a>" + repeated("x", 94) + "</a>", 100), DocumentStatus::kTooLarge);
    EXPECT_EQ(status_of("<a>" + repeated("x", 1 << 20) + "</a>"), DocumentStatus::kTooLarge);
    const auto nested = [](std::size_t depth) {
        return repeated("<a>", depth) + repeated("</a>", depth);
    };
    EXPECT_EQ(status_of(nested(limits::kXmlDepth)), DocumentStatus::kRead);
    EXPECT_EQ(status_of(nested(limits::kXmlDepth + 1)), DocumentStatus::kTooLarge);
    EXPECT_EQ(status_of(nested(10'000), 1 << 20), DocumentStatus::kTooLarge);
    std::string attributes;
    for (int i = 0; i < 300; ++i) attributes += " a" + std::to_string(i) + "=''";
    EXPECT_EQ(status_of("<a" + attributes + "/>"), DocumentStatus::kTooLarge);
    std::string prefixes;
    for (int i = 0; i < 40; ++i) prefixes += " xmlns:p" + std::to_string(i) + "='u'";
    EXPECT_EQ(status_of("<a" + prefixes + "/>"), DocumentStatus::kTooLarge);
}

TEST(Document, ReadsOneAfterTheOther) {
    Document document;
    const std::string many = "<a>" + repeated("<b c='d'/>", 5'000) + "</a>";
    ASSERT_EQ(document.read(many, kBytesMax), DocumentStatus::kRead);
    std::size_t count = 0;
    Walker walk = document.walk();
    ASSERT_TRUE(walk.enter());
    for (; walk.enter(); walk.leave()) count += walk.attribute("c") == "d" ? 1 : 0;
    EXPECT_EQ(count, 5'000U);
    EXPECT_EQ(document.read("<a>", kBytesMax), DocumentStatus::kNotWellFormed);
    const std::string french = "<e xml:lang='fr'><f/><g xml:lang='de'/></e>";
    ASSERT_EQ(document.read(french, kBytesMax), DocumentStatus::kRead);
    walk = document.walk();
    ASSERT_TRUE(walk.enter());
    EXPECT_TRUE(walk.is("e", ""));
    EXPECT_EQ(walk.attribute("x").data(), nullptr);
    ASSERT_TRUE(walk.enter());
    EXPECT_EQ(walk.language(), "fr");
    walk.leave();
    ASSERT_TRUE(walk.enter());
    EXPECT_EQ(walk.language(), "de");
    walk.leave();
    EXPECT_EQ(walk.language(), "fr");
    EXPECT_FALSE(walk.enter());
}

TEST(Document, LeavesWhatIsLeft) {
    Document document;
    const std::string text =
        "<a xmlns:p='u'><b><c xmlns:p='v'>1</c><![CDATA[</b>]]><d e='>'><d/></d></b><p:f/></a>";
    ASSERT_EQ(document.read(text, kBytesMax), DocumentStatus::kRead);
    Walker walk = document.walk();
    ASSERT_TRUE(walk.enter());
    ASSERT_TRUE(walk.enter());
    ASSERT_TRUE(walk.enter());
    EXPECT_EQ(walk.name(), "c");
    walk.leave();
    walk.leave();
    ASSERT_TRUE(walk.enter());
    EXPECT_TRUE(walk.is("f", "u"));
    walk.leave();
    EXPECT_FALSE(walk.enter());
    walk.leave();
    walk.leave();
    EXPECT_FALSE(walk.enter());
}

TEST(Document, IsBackAtTheElementAtHand) {
    Document document;
    const std::string text =
        "<a b='1'><p:c xmlns:p='v' b='2'>x<d xmlns='w' b='3'/>y<e/></p:c><f/></a>";
    ASSERT_EQ(document.read(text, kBytesMax), DocumentStatus::kRead);
    Walker walk = document.walk();
    EXPECT_EQ(walk.attribute("b").data(), nullptr);
    ASSERT_TRUE(walk.enter());
    ASSERT_TRUE(walk.enter());
    ASSERT_TRUE(walk.enter());
    EXPECT_TRUE(walk.is("d", "w"));
    EXPECT_EQ(walk.attribute("b"), "3");
    walk.leave();
    EXPECT_TRUE(walk.is("c", "v"));
    EXPECT_EQ(walk.attribute("b"), "2");
    char memory[16];
    Sink sink{MutableBytes(memory)};
    EXPECT_TRUE(walk.text(sink));
    EXPECT_EQ(sink.written(), "y");
    EXPECT_TRUE(walk.is("c", "v"));
    EXPECT_EQ(walk.attribute("b"), "2");
    walk.leave();
    EXPECT_TRUE(walk.is("a", ""));
    EXPECT_EQ(walk.attribute("b"), "1");
    walk.leave();
    EXPECT_EQ(walk.name(), "");
    EXPECT_EQ(walk.attribute("b").data(), nullptr);
}

TEST(Document, DecodesAttributes) {
    Document document;
    const std::string text = "<a b='x&lt;&#10;\ty' c=\"'\"/>";
    ASSERT_EQ(document.read(text, kBytesMax), DocumentStatus::kRead);
    char memory[16];
    Sink sink{MutableBytes(memory)};
    Walker walk = document.walk();
    ASSERT_TRUE(walk.enter());
    EXPECT_TRUE(walk.attribute("b", sink));
    EXPECT_EQ(sink.written(), "x<\n y");
    EXPECT_EQ(walk.attribute("c"), "'");
    EXPECT_FALSE(walk.attribute("d", sink));
}

}  // namespace
}  // namespace fedgate::xml
