#include "appliance/gateway/html.hpp"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "appliance/gateway/text.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {
namespace {

std::string xhtml(Bytes html) {
    std::vector<char> memory(16 * html.size() + 256);
    Sink sink{MutableBytes(memory)};
    static_cast<void>(write_xhtml_of_html(html, sink));
    EXPECT_FALSE(sink.overflowed());
    return std::string(sink.written());
}

TEST(Html, KeepsWhatXhtmlImHas) {  // IM-39
    EXPECT_EQ(xhtml("<P>a<BR>b</P>"), "<p>a<br/>b</p>");
    EXPECT_EQ(xhtml("<b>a</b><i>b</i><u>c</u><font color=red>d</font>"),
              "<strong>a</strong><em>b</em>cd");
    EXPECT_EQ(xhtml("<ul><li>a<li>b</ul>"), "<ul><li>a</li><li>b</li></ul>");
    EXPECT_EQ(xhtml("<ol><li>a<ul><li>b</ul><li>c</ol>"),
              "<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>");
    EXPECT_EQ(xhtml("<li>a"), "<br/>a");  // in no list
    EXPECT_EQ(xhtml("<p>a<p>b"), "<p>a</p><p>b</p>");
    EXPECT_EQ(xhtml("<p>a<b>b<blockquote>c</blockquote>"),
              "<p>a<strong>b</strong></p><blockquote>c</blockquote>");
    EXPECT_EQ(xhtml("a &lt;b&gt; &amp; c < d"), "a &lt;b&gt; &amp; c &lt; d");
    EXPECT_EQ(xhtml("<em>a<strong>b</em>c</strong>"), "<em>a<strong>b</strong></em>c");
    EXPECT_EQ(xhtml("<img src=x onerror=alert(1)>a<input value='x'>"), "a");
    EXPECT_EQ(xhtml("<!DOCTYPE html><head><title>t</title></head><?php x ?>a<!-- b -->"), "a");
    EXPECT_EQ(xhtml("<scr<script>alert(1)</script>ipt>a"), "alert(1)ipt&gt;a");
    EXPECT_EQ(xhtml("<style>a{}</style ><script>x</SCRIPT>b"), "b");
}

TEST(Html, LinksLeadSomewhereAndDoNothing) {  // IM-39
    EXPECT_EQ(xhtml("<a href='https://x/?a=1&amp;b=\"2\"' onclick='x()' target=_blank>l</a>"),
              "<a href='https://x/?a=1&amp;b=&quot;2&quot;'>l</a>");
    EXPECT_EQ(xhtml("<a title='href=javascript:x' href = HTTP://x>l</a>"),
              "<a href='HTTP://x'>l</a>");
    EXPECT_EQ(xhtml("<a href=mailto:a@b>l</a><a href=xmpp:a@b>m</a>"),
              "<a href='mailto:a@b'>l</a><a href='xmpp:a@b'>m</a>");
    for (const char* href :
         {"javascript:x", "JaVaScript:x", " javascript:x", "java&#10;script:x", "&#106;avascript:x",
          "data:text/html,x", "//x", "/x", "http:", "https://x y", "https://x\ny", "vbscript:x",
          "https&#58;", "file:///etc/passwd", ""}) {
        EXPECT_EQ(xhtml("<a href=\"" + std::string(href) + "\">l</a>"), "l") << href;
    }
    EXPECT_EQ(xhtml("<a href='https://x" + std::string(3'000, 'x') + "'>l</a>"), "l");
}

TEST(Html, BoundsTheDepth) {
    std::string deep;
    for (int i = 0; i < 1'000; ++i) deep += "<span>";
    const std::string written = xhtml(deep + "x");
    EXPECT_EQ(written.size(), 16 * std::string("<span></span>").size() + 1);
}

// Whatever comes: it is well-formed, and of nothing but what IM-39 allows.
void expect_harmless(const std::string& html) {
    std::vector<char> clean_memory(4 * html.size() + 64);
    Sink clean{MutableBytes(clean_memory)};
    write_clean(Charset::kUtf8, html, clean);
    const std::string text = "<s xmlns='x'><body>" + xhtml(clean.written()) + "</body></s>";
    xml::Framer framer;
    framer.set_element_bytes_max(1 << 20);
    Bytes rest = text;
    std::vector<xml::Element> elements;
    for (int i = 0; i < 3; ++i) {
        xml::Frame frame;
        ASSERT_EQ(framer.next(rest, frame), xml::FrameStatus::kDone) << html << "\n" << text;
        rest.remove_prefix(frame.consumed);
        if (i == 1) elements.emplace_back(frame.bytes, framer.scope());
    }
    static const std::set<std::string> kAllowed = {
        "p",  "br", "span", "strong", "em", "a",  "blockquote", "ul",   "ol", "li",
        "h1", "h2", "h3",   "h4",     "h5", "h6", "pre",        "code", "q",  "cite"};
    for (std::size_t i = 0; i < elements.size(); ++i) {
        for (const xml::Element& child : elements[i].children()) {
            ASSERT_TRUE(kAllowed.contains(std::string(child.name()))) << html << "\n" << text;
            xml::Attribute attribute;
            for (xml::AttributeReader reader = child.attributes(); reader.next(attribute);) {
                ASSERT_TRUE(child.name() == "a" && attribute.name == "href") << text;
                const std::string value(attribute.value);
                ASSERT_TRUE(value.starts_with("http") || value.starts_with("mailto:") ||
                            value.starts_with("xmpp:") || value.starts_with("HTTP"))
                    << text;
            }
            elements.push_back(child);
        }
    }
}

TEST(Html, NothingElseLeaks) {  // IM-39
    const std::vector<std::string> pieces = {"<",
                                             ">",
                                             "\"",
                                             "'",
                                             "=",
                                             "/",
                                             "&",
                                             ";",
                                             "a",
                                             "href",
                                             "http://x",
                                             "javascript:",
                                             "script",
                                             "style",
                                             "p",
                                             "li",
                                             "ul",
                                             "<p>",
                                             "</p>",
                                             "<b>",
                                             "</b>",
                                             "<a href=",
                                             "</a>",
                                             "<!--",
                                             "-->",
                                             "<![CDATA[",
                                             "]]>",
                                             "<script>",
                                             "</script>",
                                             "<?x",
                                             "<!DOCTYPE x>",
                                             "&#60;",
                                             "&lt;",
                                             "\xC3\xBC",
                                             "\xFF",
                                             " ",
                                             "\n",
                                             "<svg onload=x>",
                                             "&#x3c;",
                                             "<li>",
                                             "</ul>",
                                             "<img src='x'>",
                                             "\0x",
                                             "&#0;",
                                             "<a\nhref='https://a'>"};
    std::uint64_t state = 88172645463325252u;
    const auto next = [&state] {
        state ^= state << 13;
        state ^= state >> 7;
        return state ^= state << 17;
    };
    for (int round = 0; round < 4'000; ++round) {
        std::string html;
        for (std::uint64_t n = next() % 24; n > 0; --n) html += pieces[next() % pieces.size()];
        expect_harmless(html);
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace fedgate::gateway
