#include "xml/stanza.hpp"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "xml/framer.hpp"

namespace fedgate::xml {
namespace {

constexpr Bytes kHeader =
    "<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams' "
    "xmlns:d='jabber:server:dialback' from=\"im.example.com\" to='sip.example.net' id = 's1' "
    "version='1.0' xml:lang='en'>";

// RFC 6120 4.8.5: what leans on the header of a stream stands for itself afterwards.
TEST(SelfContained, DeclaresWhatTheHeaderDeclares) {
    const Bytes header =
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "xmlns:q=\"urn:it's\" xmlns:j='jabber:server'>";
    const auto converted = [&header](const std::string& element) {
        const std::string bytes = std::string(header) + element;
        Framer framer;
        Frame frame;
        EXPECT_EQ(framer.next(bytes, frame), FrameStatus::kDone);
        EXPECT_EQ(framer.next(Bytes(bytes).substr(frame.consumed), frame), FrameStatus::kDone);
        EXPECT_TRUE(frame.uses_stream_prefix);
        return self_contained(frame.bytes, framer.scope());
    };
    const auto alone = [](const std::string& element) {
        const std::string bytes = "<s:stream xmlns:s='http://etherx.jabber.org/streams'>" + element;
        Framer framer;
        Frame frame;
        EXPECT_EQ(framer.next(bytes, frame), FrameStatus::kDone);
        EXPECT_EQ(framer.next(Bytes(bytes).substr(frame.consumed), frame), FrameStatus::kDone)
            << element;
        EXPECT_FALSE(frame.uses_stream_prefix);
    };
    const StreamScope none;
    const std::string prefixed = converted("<j:message to='b'><j:body>x</j:body></j:message>");
    alone(prefixed);
    const Stanza stanza = parse_stanza(prefixed, none);
    EXPECT_EQ(stanza.kind, StanzaKind::kMessage);
    EXPECT_EQ(stanza.to, "b");
    EXPECT_TRUE(stanza.root.child("body", "jabber:server"));
    const std::string own =
        converted("<message xmlns:j='urn:mine'><j:a/><q:b/><stream:c/></message>");
    alone(own);
    const Stanza mine = parse_stanza(own, none);
    EXPECT_TRUE(mine.root.child("a", "urn:mine"));
    EXPECT_TRUE(mine.root.child("b", "urn:it's"));
    EXPECT_TRUE(mine.root.child("c", kStreamNamespace));
    alone(converted("<j:iq/>"));
}

// A stream on which kHeader came, and one element after it.
class Stream {
public:
    explicit Stream(Bytes element, Bytes header = kHeader)
        : bytes_(std::string(header) + std::string(element)) {
        Frame frame;
        EXPECT_EQ(framer_.next(bytes_, frame), FrameStatus::kDone);
        header_ = parse_stream_header(frame.bytes, framer_.scope());
        const Bytes rest = Bytes(bytes_).substr(frame.consumed);
        if (rest.empty()) return;
        EXPECT_EQ(framer_.next(rest, frame), FrameStatus::kDone) << element;
        stanza_ = parse_stanza(frame.bytes, framer_.scope(), frame.outline);
    }
    const Stanza* operator->() const { return &stanza_; }
    [[nodiscard]] const Element& root() const { return stanza_.root; }
    [[nodiscard]] const StreamHeader& header() const { return header_; }

private:
    std::string bytes_;
    Framer framer_;
    StreamHeader header_;
    Stanza stanza_;
};

std::string text_of(const Element& element) {
    char memory[2'048];
    Sink sink{MutableBytes(memory)};
    EXPECT_TRUE(element.text(sink));
    return std::string(sink.written());
}

template <typename Decode>
std::string decoded(Decode&& decode, Bytes raw) {
    char memory[256];
    Sink sink{MutableBytes(memory)};
    EXPECT_TRUE(decode(raw, sink));
    return std::string(sink.written());
}

std::string described(const Element& element) {
    std::string text;
    char memory[2'048];
    Sink sink{MutableBytes(memory)};
    for (const Bytes part : {element.prefix(), element.name(), element.namespace_uri(),
                             element.bytes(), element.content(), element.text_view(sink)})
        text.append(part).append("|");
    for (const Element& child : element.children()) text += "(" + described(child) + ")";
    return text;
}

std::string described(const Stanza& stanza) {
    std::string text(stanza_kind_name(stanza.kind));
    for (const Bytes part : {stanza.from, stanza.to, stanza.id, stanza.type, stanza.lang})
        text.append(part.data() == nullptr ? "none" : part).append("|");
    return text + described(stanza.root);
}

// With the framer's outline and without, wherever the bytes were cut.
TEST(Stanza, LooksTheSameWithAnOutline) {
    std::string many = "<iq>";
    for (int i = 0; i < 40; ++i) many += "<c n='" + std::to_string(i) + "'>t<d/></c>";
    many += "</iq>";
    const std::string elements[] = {
        "<message/>",
        "<message from='a@b' to=\"c\" id='&amp;' type='chat' xml:lang='de' other='>'></message>",
        "<message to='a\nb'>text<body>one &lt; two</body>text<body "
        "xml:lang='de'>plain</body></message>",
        "<message><body><![CDATA[a<b]]></body><body>a\r\nb</body><body/><body></body></message>",
        "<message><html xmlns='urn:h'><body xmlns='urn:b'><p>a</p>b</body></html><d:x/></message>",
        "<p:message xmlns:p='jabber:server' "
        "xmlns='urn:o'><p:body>a</p:body><body>b</body></p:message>",
        "<message xmlns='urn:o'><a/><b xmlns='jabber:server'><c/></b></message>",
        "<presence><c a='1' b='/>' xmlns='urn:c'/><show>away</show></presence>",
        many,
    };
    for (const std::string& element : elements) {
        const std::string bytes = std::string(kHeader) + element;
        for (std::size_t cut = kHeader.size(); cut < bytes.size(); ++cut) {
            Framer framer;
            Frame frame;
            ASSERT_EQ(framer.next(bytes, frame), FrameStatus::kDone);
            const Bytes rest = Bytes(bytes).substr(frame.consumed);
            ASSERT_EQ(framer.next(rest.substr(0, cut - kHeader.size()), frame),
                      FrameStatus::kNeedMore);
            ASSERT_EQ(framer.next(rest, frame), FrameStatus::kDone) << element;
            ASSERT_NE(frame.outline, nullptr);
            ASSERT_EQ(described(parse_stanza(frame.bytes, framer.scope(), frame.outline)),
                      described(parse_stanza(frame.bytes, framer.scope())));
        }
    }
}

TEST(Stanza, CopiesNoTextThatIsPlain) {
    char memory[64];
    Sink sink{MutableBytes(memory)};
    const Stream plain("<message from='a'><body>one 'two' \xC3\xBC\n three</body></message>");
    EXPECT_TRUE(plain->plain);
    EXPECT_EQ(plain.root().first_child().text_view(sink), "one 'two' \xC3\xBC\n three");
    EXPECT_EQ(sink.size(), 0u);
    const Stream other("<message from='a&amp;'><body>a&amp;b</body></message>");
    EXPECT_FALSE(other->plain);
    EXPECT_EQ(other.root().first_child().text_view(sink), "a&b");
    EXPECT_EQ(sink.size(), 3u);
}

TEST(Stanza, ShowsWhatRoutingNeeds) {
    const Stream stream(
        "<message type=\"chat\"\n from='a@b/c&amp;d' to = 'e@f' id='' xml:lang='de' "
        "other='x'><body/></message>");
    EXPECT_EQ(stream->kind, StanzaKind::kMessage);
    EXPECT_EQ(stream->from, "a@b/c&amp;d");
    EXPECT_EQ(stream->to, "e@f");
    EXPECT_EQ(stream->type, "chat");
    EXPECT_EQ(stream->lang, "de");
    EXPECT_NE(stream->id.data(), nullptr);
    EXPECT_TRUE(stream->id.empty());
    const Stream bare("<presence/>");
    EXPECT_EQ(bare->kind, StanzaKind::kPresence);
    EXPECT_EQ(bare->from.data(), nullptr);
    EXPECT_EQ(bare->id.data(), nullptr);
}

TEST(Stanza, IsAStanzaOnlyInTheContentNamespace) {
    EXPECT_EQ(Stream("<iq/>")->kind, StanzaKind::kIq);
    EXPECT_EQ(Stream("<p:iq xmlns:p='jabber:server'/>")->kind, StanzaKind::kIq);
    EXPECT_EQ(Stream("<iq xmlns='jabber:client'/>")->kind, StanzaKind::kOther);
    EXPECT_EQ(Stream("<d:iq/>")->kind, StanzaKind::kOther);
    EXPECT_EQ(Stream("<messages/>")->kind, StanzaKind::kOther);
    EXPECT_EQ(Stream("<iq xmlns='jabber&#58;server'/>")->kind, StanzaKind::kOther);
    EXPECT_EQ(Stream("<iq/>", "<stream xmlns='jabber:client'>")->kind, StanzaKind::kOther);
}

TEST(Stanza, HeaderAttributes) {  // S2S-2, S2S-6
    const Stream stream("");
    EXPECT_EQ(stream.header().name, "stream");
    EXPECT_EQ(stream.header().stream_namespace, kStreamNamespace);
    EXPECT_EQ(stream.header().default_namespace, kServerNamespace);
    EXPECT_TRUE(stream.header().dialback);
    EXPECT_EQ(stream.header().from, "im.example.com");
    EXPECT_EQ(stream.header().to, "sip.example.net");
    EXPECT_EQ(stream.header().id, "s1");
    EXPECT_EQ(stream.header().version, "1.0");
    EXPECT_EQ(stream.header().lang, "en");
    const Stream bare("", "<stream>");
    EXPECT_EQ(bare.header().stream_namespace.data(), nullptr);
    EXPECT_EQ(bare.header().default_namespace.data(), nullptr);
    EXPECT_EQ(bare.header().version.data(), nullptr);
    EXPECT_FALSE(bare.header().dialback);
}

TEST(Stanza, DialbackIsFoundByItsNamespace) {  // DB-4
    EXPECT_TRUE(Stream("<d:result/>").root().is("result", kDialbackNamespace));
    EXPECT_TRUE(Stream("<x:result xmlns:x='jabber:server:dialback'/>")
                    .root()
                    .is("result", kDialbackNamespace));
    EXPECT_TRUE(
        Stream("<result xmlns='jabber:server:dialback'/>").root().is("result", kDialbackNamespace));
    EXPECT_FALSE(Stream("<d:result xmlns:d='urn:other'/>").root().is("result", kDialbackNamespace));
    EXPECT_FALSE(Stream("<s:result/>").root().is("result", kDialbackNamespace));
}

TEST(Element, NamespacesFollowTheScopes) {
    const Stream stream(
        "<message xmlns:x='urn:1'><x:a/><b xmlns='urn:2'><c/><x:d "
        "xmlns:x='urn:3'><e/><x:f/></x:d><x:g/></b>"
        "<h/><d:i/><j xmlns=''><k/></j><xml:l/></message>");
    const Element root = stream.root();
    EXPECT_EQ(root.child("a", "urn:1").bytes(), "<x:a/>");
    const Element b = root.child("b", "urn:2");
    ASSERT_TRUE(b);
    EXPECT_TRUE(b.child("c", "urn:2"));
    const Element d = b.child("d", "urn:3");
    ASSERT_TRUE(d);
    EXPECT_TRUE(d.child("e", "urn:2"));
    EXPECT_TRUE(d.child("f", "urn:3"));
    EXPECT_TRUE(b.child("g", "urn:1"));
    EXPECT_TRUE(root.child("h", kServerNamespace));
    EXPECT_TRUE(root.child("i", kDialbackNamespace));
    const Element j = root.child("j", "");
    ASSERT_TRUE(j);
    EXPECT_TRUE(j.child("k", ""));
    EXPECT_TRUE(root.child("l", kXmlNamespace));
    EXPECT_FALSE(root.child("a", "urn:3"));
}

TEST(Element, WalksChildrenOverTextAndNesting) {
    const Stream stream(
        "<iq> one <a x='>' y=\"'/>\"><a><a/></a></a> &lt; <![CDATA[<no/>]]><b >t</b ><c\n/>]] > "
        "end</iq>");
    std::vector<std::string> names;
    for (const Element& child : stream.root().children()) names.emplace_back(child.bytes());
    EXPECT_EQ(names, (std::vector<std::string>{"<a x='>' y=\"'/>\"><a><a/></a></a>", "<b >t</b >",
                                               "<c\n/>"}));
    EXPECT_EQ(stream.root().first_child().content(), "<a><a/></a>");
    EXPECT_EQ(stream.root().first_child().attribute("y"), "'/>");
    EXPECT_EQ(text_of(stream.root()), " one  < <no/>]] > end");
    EXPECT_FALSE(stream.root().next_sibling());
    EXPECT_FALSE(Stream("<iq/>").root().first_child());
    EXPECT_FALSE(Stream("<iq>x</iq>").root().first_child());
}

TEST(Element, TextIsDecoded) {
    EXPECT_EQ(
        text_of(Stream("<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x1F600;&#xd;\r\n\r\n\rx</a>").root()),
        "<>&\"'A😀\r\n\n\nx");
    EXPECT_EQ(text_of(Stream("<a>1<![CDATA[&amp;\r\n]]]]><![CDATA[>]]><b>no</b>2</a>").root()),
              "1&amp;\n]]>2");
    EXPECT_EQ(text_of(Stream("<a/>").root()), "");
    EXPECT_EQ(text_of(Stream("<a></a>").root()), "");
    char memory[4];
    Sink sink{MutableBytes(memory)};
    EXPECT_FALSE(Stream("<a>12345</a>").root().text(sink));
}

TEST(Element, AttributesAreDecoded) {
    EXPECT_EQ(decoded(decode_attribute, "a&amp;b\tc\r\nd\ne&#10;&#9;"), "a&b c d e\n\t");
    char memory[64];
    Sink sink{MutableBytes(memory)};
    const Bytes plain = "plain";
    EXPECT_EQ(attribute_value(plain, sink).data(), plain.data());
    EXPECT_EQ(attribute_value("a&lt;", sink), "a<");
    EXPECT_EQ(attribute_value("&#66;", sink), "B");
    EXPECT_FALSE(Stream("<a/>").root().attribute("b", sink));
}

TEST(Element, APrefixIsThatOfTheNearestDeclaration) {
    const auto uri_of = [](const char* text, std::size_t depth) {
        const Stream stream(text);
        Element element = stream.root();
        for (; depth > 0; --depth) element = element.first_child();
        return std::string(element.namespace_uri());
    };
    EXPECT_EQ(uri_of("<a xmlns:p='0'><p:b xmlns:p='1'/></a>", 1), "1");
    EXPECT_EQ(uri_of("<a xmlns:p='0'><p:b/></a>", 1), "0");
    EXPECT_EQ(uri_of("<a xmlns:p='0'><b xmlns:p='1'><p:c/></b></a>", 2), "1");
    EXPECT_EQ(uri_of("<a xmlns:p='0'><b xmlns:q='1'><p:c/></b></a>", 2), "0");
    EXPECT_EQ(uri_of("<a xmlns:p='0'><b xmlns:p='1'><c><p:d/></c></b></a>", 3), "1");
    EXPECT_EQ(uri_of("<a xmlns:p='0'><b><c><p:d/></c></b></a>", 3), "0");
    EXPECT_EQ(uri_of("<a xmlns:p='0'><b xmlns:p='1'><c><d xmlns:p='2'><p:e/></d></c></b></a>", 4),
              "2");
}

// Never the square of their number, which would take a quarter of an hour here.
TEST(Element, ManyPrefixedChildrenAreCheap) {
    std::string text = "<m xmlns:p='u'><b xmlns:q='v'>";
    for (int i = 0; i < 200'000; ++i) text += "<p:c/>";
    text += "</b>";
    for (int i = 0; i < 200'000; ++i) text += "<p:c/>";
    text += "</m>";
    const StreamScope scope;
    const Element root(text, scope);
    EXPECT_FALSE(root.child("c", "w"));
    EXPECT_FALSE(root.first_child().child("c", "w"));
    EXPECT_TRUE(root.child("c", "u"));
}

// Whatever the bytes: no read outside them (the sanitizers watch), and the walk ends.
TEST(Element, StaysInsideBrokenBytes) {
    std::mt19937 random(99);
    const auto pick = [&random](std::size_t below) {
        return static_cast<std::size_t>(random()) % below;
    };
    const StreamScope scope;
    const std::string good =
        "<x:message xmlns:x='urn:x' from='a'><body "
        "b=\"1\">t<![CDATA[x]]>&amp;</body><y:c/><d/></x:message>";
    constexpr Bytes kSpice = "<>/!='\" &;[]x:";
    for (int round = 0; round < 3'000; ++round) {
        std::string bytes = good.substr(0, 1 + pick(good.size()));
        for (std::size_t edits = pick(5); edits > 0; --edits)
            bytes[pick(bytes.size())] = kSpice[pick(kSpice.size())];
        const std::vector<char> exact(bytes.begin(), bytes.end());
        const Stanza stanza = parse_stanza(Bytes(exact.data(), exact.size()), scope);
        char memory[256];
        Sink sink{MutableBytes(memory)};
        stanza.root.text(sink);
        std::size_t count = 0;
        for (const Element& child : stanza.root.children()) {
            child.text(sink);
            (void)child.namespace_uri();
            ASSERT_LT(++count, bytes.size());
        }
    }
}

}  // namespace
}  // namespace fedgate::xml
