#include "xml/writer.hpp"

#include <string>

#include <gtest/gtest.h>

#include "xml/framer.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::xml {
namespace {

template <typename Write>
std::string written(Write&& write) {
    char memory[4'096];
    Sink sink{MutableBytes(memory)};
    write(sink);
    EXPECT_FALSE(sink.overflowed());
    return std::string(sink.written());
}

TEST(Writer, Escapes) {  // IM-32
    EXPECT_EQ(written([](Sink& s) { write_text(s, "a<b>&\"'\r\n\t]]>"); }),
              "a&lt;b&gt;&amp;\"'&#13;\n\t]]&gt;");
    EXPECT_EQ(written([](Sink& s) { write_attribute_value(s, "<>&'\"\r\n\t"); }),
              "&lt;&gt;&amp;&apos;&quot;&#13;&#10;&#9;");
    EXPECT_EQ(written([](Sink& s) { write_text(s, ""); }), "");
}

TEST(Writer, EscapesAtEachPlaceOfEachSize) {
    for (std::size_t size = 1; size <= 40; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            std::string value(size, 'a');
            value[at] = '<';
            const std::string escaped =
                std::string(at, 'a') + "&lt;" + std::string(size - at - 1, 'a');
            EXPECT_EQ(written([&](Sink& s) { write_element(s, "b", {}, value); }),
                      "<b>" + escaped + "</b>");
            EXPECT_EQ(written([&](Sink& s) { write_start(s, "b", {{"c", value}}); }),
                      "<b c='" + escaped + "'>");
        }
    }
}

TEST(Writer, WritesTags) {
    EXPECT_EQ(written([](Sink& s) {
                  write_start(s, "a", {{"b", "1'"}, {"none", {}}, {"empty", ""}});
                  write_empty(s, "c", {{"d", "2"}});
                  write_element(s, "e", {}, "x&y");
                  write_end(s, "a");
              }),
              "<a b='1&apos;' empty=''><c d='2'/><e>x&amp;y</e></a>");
}

TEST(Writer, SaysWhenThereIsNoRoom) {
    char memory[8];
    Sink sink{MutableBytes(memory)};
    write_element(sink, "abc", {}, "x");
    EXPECT_TRUE(sink.overflowed());
}

TEST(Writer, WhatItWritesIsReadBack) {
    for (const Bytes text : {"plain", "<&>'\"", "\r\n\t x ", "]]>", "ü😀", "&amp;", ""}) {
        const std::string element =
            written([&](Sink& s) { write_element(s, "m", {{"a", text}}, text); });
        const std::string bytes = "<s xmlns='jabber:server'>" + element;
        Framer framer;
        Frame frame;
        ASSERT_EQ(framer.next(bytes, frame), FrameStatus::kDone);
        ASSERT_EQ(framer.next(Bytes(bytes).substr(frame.consumed), frame), FrameStatus::kDone)
            << element;
        const Element read(frame.bytes, framer.scope());
        EXPECT_EQ(written([&](Sink& s) { read.text(s); }), text);
        EXPECT_EQ(written([&](Sink& s) { read.attribute("a", s); }), text);
    }
}

TEST(StanzaError, HasTheFormOfTheRule) {  // ERR-1
    const StanzaError error{StanzaCondition::kItemNotFound,
                            ErrorType::kCancel,
                            "sip.example.net",
                            "No <such> user",
                            {}};
    const std::string bytes = written([&](Sink& s) {
        write_stanza_error(s, StanzaKind::kMessage, "romeo@sip.example.net",
                           "juliet@im.example.com/x&y", "i1", error);
    });
    EXPECT_EQ(bytes,
              "<message from='romeo@sip.example.net' to='juliet@im.example.com/x&amp;y' id='i1' "
              "type='error'>"
              "<error type='cancel' by='sip.example.net'>"
              "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
              "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>No &lt;such&gt; "
              "user</text>"
              "</error></message>");
}

TEST(StanzaError, EachConditionRoundTrips) {  // ERR-20..36 read them
    const StreamScope scope;
    for (std::size_t i = 0; i < kStanzaConditions; ++i) {
        const auto condition = static_cast<StanzaCondition>(i);
        EXPECT_EQ(parse_stanza_condition(name_of(condition)), condition);
        const StanzaError error{condition, default_type(condition), "by.example", "why", "sip:a@b"};
        const std::string bytes =
            written([&](Sink& s) { write_stanza_error(s, StanzaKind::kIq, "a", "b", {}, error); });
        const Stanza stanza = parse_stanza(bytes, scope);
        EXPECT_EQ(stanza.type, "error");
        EXPECT_EQ(stanza.id.data(), nullptr);
        const auto read = parse_stanza_error(stanza.root);
        ASSERT_TRUE(read) << bytes;
        EXPECT_EQ(read->condition, condition);
        EXPECT_EQ(read->type, error.type);
        EXPECT_EQ(read->by, error.by);
        EXPECT_EQ(read->text, error.text);
        EXPECT_EQ(read->address, error.address);
    }
    EXPECT_FALSE(parse_stanza_condition("payment-required"));
}

TEST(StanzaError, ReadsWhatOthersWrite) {
    const StreamScope scope;
    const auto read = [&](Bytes bytes) { return parse_stanza_error(Element(bytes, scope)); };
    EXPECT_FALSE(read("<message type='error'><body/></message>"));
    EXPECT_FALSE(read("<message type='error'><error xmlns='urn:other'/></message>"));
    const auto unknown =
        read("<message type='error'><error type='odd'><x xmlns='urn:x'/></error></message>");
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->condition, StanzaCondition::kUndefinedCondition);
    const auto gone = read(
        "<message type='error'><body>x</body><error><text "
        "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>t</text>"
        "<e:gone "
        "xmlns:e='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:a@b</e:gone></error></message>");
    ASSERT_TRUE(gone);
    EXPECT_EQ(gone->condition, StanzaCondition::kGone);
    EXPECT_EQ(gone->type, ErrorType::kCancel);
    EXPECT_EQ(gone->address, "xmpp:a@b");
    EXPECT_EQ(gone->text, "t");
}

}  // namespace
}  // namespace fedgate::xml
