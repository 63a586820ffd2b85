#include "appliance/gateway/message.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/gateway/mapping.hpp"
#include "tests/text.hpp"
#include "xml/scope.hpp"

namespace fedgate::gateway {
namespace {

// The whole way of a stanza, or the name of what it is used for.
std::string to_sip(const std::string& text, std::size_t body_bytes_max = 32'768) {
    const xml::Stanza stanza = xml::parse_stanza(text, kScope);
    std::vector<char> memory(4 * text.size() + 65'536);
    Sink sink{MutableBytes(memory)};
    const StanzaText read = read_stanza(stanza, body_bytes_max, sink);
    switch (read.use) {
        case StanzaUse::kSend: break;
        case StanzaUse::kError: return "error";
        case StanzaUse::kGroupchat: return "groupchat";
        case StanzaUse::kDrop: return "drop";
        case StanzaUse::kChatState: return "chat state";
        case StanzaUse::kReceipt: return "receipt";
        case StanzaUse::kEncrypted: return "encrypted";
        case StanzaUse::kOffer: return "offer";
        case StanzaUse::kTooLarge: return "too large";
    }
    char call_id_memory[256];
    Sink call_id{MutableBytes(call_id_memory)};
    write_call_id(read.text.thread, "fresh", call_id);
    Envelope envelope;
    envelope.request_uri = envelope.to_uri = "sip:romeo@sip.example";
    envelope.from_uri = "sip:juliet@xmpp.example;gr=balcony";
    envelope.from_tag = "tag1";
    envelope.call_id = call_id.written();
    envelope.via = {sip::Transport::kTcp, "gw.example", 5060, "z9hG4bKb", false, false};
    std::vector<char> out_memory(4 * text.size() + 65'536);
    Sink out{MutableBytes(out_memory)};
    std::vector<char> scratch(8 * text.size() + 1'024);
    write_request(envelope, read.text, MutableBytes(scratch), out);
    return std::string(out.written());
}

std::string stanza(const std::string& content, const std::string& attributes = "") {
    return "<message from='juliet@xmpp.example/balcony' to='romeo@sip.example' id='1'" +
           attributes + ">" + content + "</message>";
}

TEST(MessageToSip,
     WritesTheRequestOfTheStandard) {  // RFC 7572 example 1 -> 2: IM-1, IM-2, IM-3, IM-15
    EXPECT_EQ(to_sip(stanza("<body>Art thou not Romeo, and a Montague?</body>")),
              "MESSAGE sip:romeo@sip.example SIP/2.0\r\n"
              "Via: SIP/2.0/TCP gw.example:5060;branch=z9hG4bKb\r\n"
              "Max-Forwards: 70\r\n"
              "From: <sip:juliet@xmpp.example;gr=balcony>;tag=tag1\r\n"
              "To: <sip:romeo@sip.example>\r\n"
              "Call-ID: fresh\r\n"
              "CSeq: 1 MESSAGE\r\n"
              "User-Agent: Fedgate\r\n"
              "Content-Type: text/plain;charset=UTF-8\r\n"
              "Content-Length: 35\r\n\r\n"
              "Art thou not Romeo, and a Montague?");
}

TEST(MessageToSip, KeepsTheTextButForLineEnds) {  // IM-3, IM-25
    EXPECT_EQ(body_of(to_sip(stanza("<body> a\nb&#13;c&#13;\nd </body>"))), " a\r\nb\r\nc\r\nd ");
    EXPECT_EQ(body_of(to_sip(stanza("<body>&lt;&amp;&gt;&quot;&apos;&#x9;😀</body>"))),
              "<&>\"'\t😀");
    EXPECT_EQ(body_of(to_sip(stanza("<body><![CDATA[<b>]]></body>"))), "<b>");
}

TEST(MessageToSip, MapsSubjectThreadAndLanguage) {
    EXPECT_TRUE(has(to_sip(stanza("<subject>a&#9;\nb</subject><body>x</body>")),
                    "\r\nSubject: a b\r\n"));  // IM-4
    const std::string cut =
        to_sip(stanza("<subject>" + std::string(255, 'a') + "üü</subject><body>x</body>"));
    EXPECT_TRUE(
        has(cut, "Subject: " + std::string(255, 'a') + "ü\r\n"));  // IM-4: characters, not bytes
    EXPECT_TRUE(has(to_sip(stanza("<thread>711609sa@x</thread><body>x</body>")),
                    "Call-ID: 711609sa@x\r\n"));  // IM-5
    EXPECT_TRUE(
        has(to_sip(stanza("<thread>two words</thread><body>x</body>")), "Call-ID: t-"));  // IM-5
    EXPECT_TRUE(has(to_sip(stanza("<body>x</body>", " xml:lang='cs'")),
                    "Content-Language: cs\r\n"));  // IM-8
    EXPECT_TRUE(has(to_sip(stanza("<body xml:lang='de-CH'>x</body>", " xml:lang='cs'")),
                    "Content-Language: de-CH\r\n"));
    EXPECT_FALSE(has(to_sip(stanza("<body>x</body>", " xml:lang='no_good'")), "Content-Language"));
    EXPECT_TRUE(has(
        to_sip(
            stanza("<nick xmlns='http://jabber.org/protocol/nick'>Ju \"J\"</nick><body>x</body>")),
        "From: \"Ju \\\"J\\\"\" <sip:"));  // IM-13, ADDR-9
    EXPECT_TRUE(has(
        to_sip(
            stanza("<delay xmlns='urn:xmpp:delay' stamp='2010-11-13T23:29:00Z'/><body>x</body>")),
        "Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n"));  // IM-12
}

TEST(MessageToSip, MakesCallIdsOfThreads) {  // IM-5
    EXPECT_TRUE(may_be_call_id("a.b-c!%*_+`'~()<>:\\\"/[]?{}@x"));
    for (const char* bad : {"", "a b", "@x", "a@", "a@b@c", "ü", "a;b"})
        EXPECT_FALSE(may_be_call_id(bad)) << bad;
    EXPECT_TRUE(may_be_call_id(std::string(128, 'a')));
    EXPECT_FALSE(may_be_call_id(std::string(129, 'a')));
    char memory[64];
    Sink sink{MutableBytes(memory)};
    write_call_id("a b", "fresh", sink);
    EXPECT_EQ(sink.written(), "t-c8687a08aa5d6ed2044328fa6a697ab8");  // sha256("a b")
}

TEST(MessageToSip, ChoosesOneBody) {  // IM-9
    EXPECT_EQ(
        body_of(to_sip(stanza("<body xml:lang='de'>de</body><body>none</body>", " xml:lang='de'"))),
        "none");
    EXPECT_EQ(body_of(to_sip(stanza("<body xml:lang='fr'>fr</body><body xml:lang='de'>de</body>",
                                    " xml:lang='de'"))),
              "de");
    EXPECT_EQ(body_of(to_sip(stanza("<body xml:lang='fr'>fr</body><body xml:lang='de'>de</body>"))),
              "fr");
    EXPECT_TRUE(has(to_sip(stanza("<subject>none</subject><subject xml:lang='de'>ja</subject>"
                                  "<body xml:lang='de'>de</body>",
                                  " xml:lang='de'")),
                    "Subject: ja\r\n"));
}

// SESS-42: the room of a text is known before it is written.
TEST(MessageToSip, ATextInASessionHasTheRoomThatItNeeds) {
    Text text;
    const std::string subject(200, '\n');
    for (unsigned parts = 0; parts < 16; ++parts) {
        text.body = (parts & 1) != 0 ? Bytes("hello") : Bytes();
        text.subject = (parts & 2) != 0 ? Bytes(subject) : Bytes();
        text.language = (parts & 4) != 0 ? Bytes("de-CH-1996") : Bytes();
        text.written_at = std::nullopt;
        if ((parts & 8) != 0) text.written_at = WallTime(std::chrono::seconds(1'289'690'940));
        std::array<char, 1'024> memory;
        Sink sink{MutableBytes(memory)};
        write_session_text(text, sink);
        EXPECT_LE(sink.size(), session_text_bytes_max(text)) << sink.written();
        EXPECT_LE(session_text_bytes_max(text), sink.size() + 192);
    }
    const std::string longest(1 << 20, 'x');
    text.body = longest;
    std::vector<char> memory(2 * longest.size());
    Sink sink{MutableBytes(memory)};
    write_session_text(text, sink);
    EXPECT_LE(sink.size(), session_text_bytes_max(text));
}

TEST(MessageToSip, KnowsWhatIsNotAMessage) {
    EXPECT_EQ(to_sip(stanza("<body>x</body>", " type='error'")), "error");          // ERR-5, IM-7
    EXPECT_EQ(to_sip(stanza("<body>x</body>", " type='groupchat'")), "groupchat");  // IM-7, MUC-1
    EXPECT_EQ(to_sip(stanza("<composing xmlns='http://jabber.org/protocol/chatstates'/>")),
              "chat state");  // IM-10
    EXPECT_EQ(to_sip(stanza("<received xmlns='urn:xmpp:receipts' id='a'/>")), "receipt");
    EXPECT_EQ(to_sip(stanza("")), "drop");
    EXPECT_EQ(to_sip(stanza("<body/>")), "drop");
    EXPECT_EQ(
        to_sip(stanza(
            "<forwarded xmlns='urn:xmpp:forward:0'><message><body>x</body></message></forwarded>")),
        "drop");  // IM-14
    const std::string subject_only = to_sip(stanza("<subject>s</subject>"));
    EXPECT_TRUE(has(subject_only, "Content-Length: 0\r\n"));  // IM-10
    EXPECT_FALSE(has(subject_only, "Content-Type"));
    for (const char* type : {"normal", "chat", "headline", "whatever"}) {  // IM-7
        EXPECT_EQ(body_of(to_sip(stanza("<body>x</body>", std::string(" type='") + type + "'"))),
                  "x");
    }
}

TEST(MessageToSip, IgnoresWhatHasNoRule) {  // IM-14, GEN-4
    EXPECT_EQ(body_of(to_sip(stanza("<body>plain *strong*</body>"
                                    "<store xmlns='urn:xmpp:hints'/>"
                                    "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>"
                                    "<markable xmlns='urn:xmpp:chat-markers:0'/>"
                                    "<retract xmlns='urn:xmpp:message-retract:1' id='x'/>"
                                    "<encrypted xmlns='eu.siacs.conversations.axolotl'>"
                                    "<payload>x</payload></encrypted>"))),
              "plain *strong*");  // XEP-0393 passes; SEC-7: fallback body only
    for (const char* content :
         {"<active xmlns='urn:xmpp:hints'/>",
          "<retract xmlns='urn:xmpp:message-retract:1' id='x'/>",
          "<no-store xmlns='urn:xmpp:hints'/>", "<markable xmlns='urn:xmpp:chat-markers:0'/>",
          "<x xmlns='jabber:x:oob'/>", "<body> </body><body/>"}) {
        const std::string what = to_sip(stanza(content));
        EXPECT_TRUE(what == "drop" || body_of(what) == " ") << content << what;
    }
}

const std::string kHtml =
    "<html xmlns='http://jabber.org/protocol/xhtml-im'><body "
    "xmlns='http://www.w3.org/1999/xhtml'><p style='color:red' onclick='x()'>a <b>b</b>"
    "<script>evil()</script><a href='javascript:x'>c</a></p></body></html>";

TEST(MessageToSip, OffersMarkupBesideThePlainText) {  // IM-11
    const std::string both = to_sip(stanza(kHtml + "<body>a *b*c</body>"));
    EXPECT_TRUE(has(both, "Content-Type: multipart/alternative;boundary=tag1\r\n"));
    EXPECT_EQ(body_of(both),
              "--tag1\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\na *b*c\r\n"
              "--tag1\r\nContent-Type: text/html;charset=UTF-8\r\n\r\n"
              "<html><body><p>a <strong>b</strong>c</p></body></html>\r\n--tag1--\r\n");
    EXPECT_EQ(to_sip(stanza(kHtml)), "drop");  // no text: nothing that everybody could read
    EXPECT_EQ(body_of(to_sip(stanza("<html xmlns='http://jabber.org/protocol/xhtml-im'><body "
                                    "xmlns='http://www.w3.org/1999/xhtml'>x</body></html>"
                                    "<body>x</body>"))),
              "x");  // no markup, no second part
}

// XEP-0308, XEP-0461, XEP-0428, XEP-0444, XEP-0066
TEST(MessageToSip, ModernChatReadsWell) {
    EXPECT_EQ(body_of(to_sip(stanza("<body>There</body>"
                                    "<replace id='1' xmlns='urn:xmpp:message-correct:0'/>"))),
              "* There");
    EXPECT_EQ(body_of(to_sip(stanza("<body>&gt; Anna wrote:\n&gt; Hi\nHello</body>"
                                    "<reply to='anna@x' id='1' xmlns='urn:xmpp:reply:0'/>"
                                    "<fallback for='urn:xmpp:reply:0' xmlns='urn:xmpp:fallback:0'>"
                                    "<body start='0' end='20'/></fallback>"))),
              "> Anna wrote:\r\n> Hi\r\nHello");
    const std::string reaction = "<reactions id='1' xmlns='urn:xmpp:reactions:0'>";
    EXPECT_EQ(body_of(to_sip(stanza(reaction + "<reaction>👍</reaction><reaction>\n❤️ </reaction>"
                                               "<reaction/></reactions>"))),
              "Reacted with 👍 ❤️");
    EXPECT_EQ(to_sip(stanza(reaction + "</reactions>")), "drop");  // taken back
    EXPECT_EQ(
        body_of(to_sip(stanza(reaction + "<reaction>👍</reaction></reactions><body>+1</body>"))),
        "+1");
    const auto link = [](const std::string& url, const std::string& text = "") {
        return "<x xmlns='jabber:x:oob'><url>" + url + "</url>" + text + "</x>";
    };
    EXPECT_EQ(body_of(to_sip(stanza("<body>https://x/a.png</body>" + link("https://x/a.png")))),
              "https://x/a.png");
    EXPECT_EQ(body_of(to_sip(stanza("<body>look</body>" +
                                    link("https://x/a?b=1&amp;c=2", "<desc>a rose</desc>") +
                                    link("https://x/b")))),
              "look\r\na rose https://x/a?b=1&c=2\r\nhttps://x/b");
    EXPECT_EQ(body_of(to_sip(stanza(link("https://x/a", "<desc>a rose</desc>")))),
              "a rose https://x/a");
    // Few are looked at, be they in the text or not: each look is a search through the text.
    std::string many;
    for (int i = 0; i < 7; ++i) many += link("https://x/a");
    EXPECT_EQ(body_of(to_sip(stanza("<body>https://x/a</body>" + many + link("https://x/b") +
                                    link("https://x/c")))),
              "https://x/a\r\nhttps://x/b");
}

TEST(MessageToSip, NeverSilentlyDropsWhatWasEncrypted) {  // SEC-7
    for (const char* content :
         {"<encrypted xmlns='eu.siacs.conversations.axolotl'><header/><payload>x</payload>"
          "</encrypted>",
          "<encrypted xmlns='urn:xmpp:omemo:2'><payload>x</payload></encrypted>",
          "<openpgp xmlns='urn:xmpp:openpgp:0'>x</openpgp>",
          "<x xmlns='jabber:x:encrypted'>x</x>"}) {
        EXPECT_EQ(to_sip(stanza(content)), "encrypted") << content;
    }
    // Keys for later messages, which no person wrote.
    EXPECT_EQ(to_sip(stanza("<encrypted xmlns='eu.siacs.conversations.axolotl'><header/>"
                            "</encrypted>")),
              "drop");
}

TEST(MessageToSip, TellsWhatCantBeAnswered) {  // S5
    EXPECT_EQ(to_sip(stanza("<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>")), "offer");
    EXPECT_EQ(to_sip(stanza("<retract xmlns='urn:xmpp:jingle-message:0' id='1'/>")), "drop");
    EXPECT_EQ(to_sip(stanza("<x xmlns='jabber:x:conference' jid='room@x'/>")), "offer");
    EXPECT_EQ(
        body_of(to_sip(stanza("<body>come</body><x xmlns='jabber:x:conference' jid='room@x'/>"))),
        "come");
}

TEST(MessageToSip, KnowsWhatSaysNothing) {  // SEC-2
    const auto silent = [](const std::string& content) {
        return says_nothing(xml::parse_stanza(stanza(content), kScope));
    };
    for (const char* content :
         {"", "<body/>", "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
          "<received xmlns='urn:xmpp:receipts' id='a'/>"}) {
        EXPECT_TRUE(silent(content)) << content;
    }
    for (const char* content :
         {"<body>x</body>", "<subject>x</subject>",
          "<active xmlns='http://jabber.org/protocol/chatstates'/><body>x</body>",
          "<openpgp xmlns='urn:xmpp:openpgp:0'>x</openpgp>",
          "<reactions xmlns='urn:xmpp:reactions:0'><reaction>x</reaction></reactions>",
          "<x xmlns='jabber:x:oob'><url>x</url></x>"}) {
        EXPECT_FALSE(silent(content)) << content;
    }
}

TEST(MessageToSip, BoundsTheBody) {  // IM-19
    EXPECT_EQ(to_sip(stanza("<body>123456789</body>"), 8), "too large");
    EXPECT_EQ(body_of(to_sip(stanza("<body>12345678</body>"), 8)), "12345678");
}

// ---- the other way

std::string to_xmpp(const std::string& headers, const std::string& body, bool chat = false,
                    std::size_t body_bytes_max = 32'768) {
    std::string text =
        "MESSAGE sip:juliet@xmpp.example SIP/2.0\r\nVia: SIP/2.0/TCP s;branch=z9hG4bKeskdgs\r\n"
        "From: <sip:romeo@sip.example>;tag=1\r\nTo: <sip:juliet@xmpp.example>\r\nCall-ID: c1\r\n"
        "CSeq: 1 MESSAGE\r\n" +
        headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    sip::Message message;
    const auto parsed =
        sip::parse_message(MutableBytes(text), sip::Carrier::kStream, 1 << 20, message);
    if (parsed.verdict != sip::Verdict::kDone) return "not SIP";
    std::vector<char> scratch(4 * text.size() + 1'024);
    std::vector<char> memory(4 * text.size() + 1'024);
    Sink sink{MutableBytes(memory)};
    const RequestText read =
        read_request(message, kNow, body_bytes_max, MutableBytes(scratch), sink);
    switch (read.use) {
        case RequestUse::kStanza: break;
        case RequestUse::kDrop: return "200";
        case RequestUse::kTyping: return "typing " + std::string(read.document);
        case RequestUse::kReceipt: return "receipt " + std::string(read.document);
        case RequestUse::kUnsupportedType: return "415 type";
        case RequestUse::kUnsupportedEncoding: return "415 encoding";
        case RequestUse::kMalformed: return "400";
        case RequestUse::kTooLarge: return "413";
    }
    StanzaHead head;
    head.from = "romeo@sip.example";
    head.to = "juliet@xmpp.example";
    head.id = stanza_id(message.via.branch);
    head.thread = message.call_id;
    head.our_domain = "sip.example";
    head.chat = chat;
    std::vector<char> out_memory(8 * text.size() + 1'024);
    Sink out{MutableBytes(out_memory)};
    write_stanza(head, read.text, out);
    return std::string(out.written());
}

const std::string kFront = "<message from='romeo@sip.example' to='juliet@xmpp.example' id='eskdgs'";

TEST(MessageToXmpp, WritesTheStanzaOfTheStandard) {  // RFC 7572 example 4 -> 5: IM-30..IM-38
    EXPECT_EQ(
        to_xmpp("Content-Type: text/plain\r\n", "Neither, fair saint, if either thee dislike."),
        kFront +
            "><body>Neither, fair saint, if either thee "
            "dislike.</body><thread>c1</thread></message>");
    EXPECT_EQ(to_xmpp("", "x", true),
              kFront + " type='chat'><body>x</body><thread>c1</thread></message>");  // IM-38
}

TEST(MessageToXmpp, EscapesAndCleans) {  // IM-32, IM-24
    EXPECT_TRUE(
        has(to_xmpp("", "a<b>&]]>\r\nc\rd\x01"), "<body>a&lt;b&gt;&amp;]]&gt;\nc\nd\uFFFD</body>"));
}

TEST(MessageToXmpp, MapsSubjectLanguageAndDate) {
    EXPECT_TRUE(has(to_xmpp("Subject: s & t\r\n", "x"), "<subject>s &amp; t</subject>"));  // IM-33
    EXPECT_FALSE(has(to_xmpp("Subject: \r\n", "x"), "subject"));
    EXPECT_TRUE(has(to_xmpp("Content-Language: cs, de\r\n", "x"), " xml:lang='cs'>"));  // IM-36
    EXPECT_TRUE(
        has(to_xmpp("Date: Sun, 13 Sep 2020 12:25:39 GMT\r\n", "x"),  // IM-46
            "<delay xmlns='urn:xmpp:delay' stamp='2020-09-13T12:25:39Z' from='sip.example'/>"));
    EXPECT_FALSE(has(to_xmpp("Date: Sun, 13 Sep 2020 12:25:41 GMT\r\n", "x"), "delay"));
    EXPECT_TRUE(has(to_xmpp("Date: Sat, 01 Jan 0001 00:00:00 GMT\r\n", "x"),
                    "stamp='0001-01-01T00:00:00Z'"));
    EXPECT_FALSE(has(to_xmpp("Date: Fri, 31 Dec 9999 23:59:59 GMT\r\nExpires: 4294967295\r\n", "x"),
                     "delay"));
    EXPECT_TRUE(has(to_xmpp("Content-Type: message/cpim\r\n",
                            "Subject: in\r\nDateTime: 2020-01-01T00:00:00Z\r\n\r\nContent-Type: "
                            "text/plain\r\n\r\nx"),
                    "<subject>in</subject><body>x</body>"));  // IM-42
}

TEST(MessageToXmpp, DropsOrRefusesWhatMakesNoStanza) {
    EXPECT_EQ(to_xmpp("Date: Sun, 13 Sep 2020 12:00:00 GMT\r\nExpires: 60\r\n", "x"),
              "200");  // IM-47
    EXPECT_NE(to_xmpp("Date: Sun, 13 Sep 2020 12:00:00 GMT\r\nExpires: 7200\r\n", "x"), "200");
    EXPECT_EQ(to_xmpp("", ""), "200");  // IM-48
    EXPECT_TRUE(has(to_xmpp("Subject: s\r\n", ""), "><subject>s</subject><thread>"));
    EXPECT_EQ(to_xmpp("Content-Type: application/im-iscomposing+xml\r\n", "<x/>"),
              "typing <x/>");  // IM-43
    EXPECT_EQ(
        to_xmpp("Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n", "<x/>"),
        "receipt <x/>");                                                       // IM-44
    EXPECT_EQ(to_xmpp("Content-Type: text/rtf\r\n", "{\\rtf1}"), "415 type");  // IM-45
    EXPECT_EQ(to_xmpp("Content-Encoding: gzip\r\n", "x"), "415 encoding");     // IM-45
    EXPECT_NE(to_xmpp("Content-Encoding: identity\r\n", "x"), "415 encoding");
    EXPECT_EQ(to_xmpp("Content-Type: multipart/mixed\r\n", "x"), "400");
    EXPECT_EQ(to_xmpp("", "123456789", false, 8), "413");  // IM-19
    const auto around = [](const std::string& text) {      // what it is sent with is not the text
        return to_xmpp(
            "Content-Type: multipart/mixed;boundary=b\r\n",
            "--b\r\n\r\n" + text + "\r\n--b\r\nContent-Type: image/png\r\n\r\nxxxxxxxxx\r\n--b--",
            false, 8);
    };
    EXPECT_TRUE(has(around("12345678"), "<body>12345678</body>"));
    EXPECT_EQ(around("123456789"), "413");
}

TEST(MessageToXmpp, CarriesMarkupBesideThePlainText) {  // IM-39, IM-40
    EXPECT_EQ(to_xmpp("Content-Type: text/html\r\n", "<p>a <b>b</b></p><i>c &lt;</i>"),
              kFront +
                  "><body>a b\nc &lt;</body><html xmlns='http://jabber.org/protocol/xhtml-im'>"
                  "<body xmlns='http://www.w3.org/1999/xhtml'><p>a <strong>b</strong></p>"
                  "<em>c &lt;</em></body></html><thread>c1</thread></message>");
    const std::string both = to_xmpp("Content-Type: multipart/alternative;boundary=b\r\n",
                                     "--b\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n"
                                     "Content-Transfer-Encoding: base64\r\n\r\nPGI+eDwvYj4=\r\n"
                                     "--b--");
    EXPECT_TRUE(has(both, "<body>plain</body><html")) << both;
    EXPECT_TRUE(has(both, "<strong>x</strong>")) << both;
    EXPECT_FALSE(has(to_xmpp("Content-Type: multipart/mixed;boundary=b\r\n",
                             "--b\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n"
                             "<b>another</b>\r\n--b--"),
                     "another"));
    EXPECT_FALSE(has(to_xmpp("Content-Type: text/html\r\n", "no markup &amp; all"), "<html"));
    const std::string much =
        to_xmpp("Content-Type: text/html\r\n", "<b>" + std::string(17'000, 'x') + "</b>");
    EXPECT_TRUE(has(much, std::string(17'000, 'x')));
    EXPECT_FALSE(has(much, "<html"));
    // What Lync says of fonts is no part of the text.
    EXPECT_EQ(to_xmpp("Content-Type: text/plain; charset=UTF-8; msgr=WAAtAE0ATQBTAC0A\r\n", "x"),
              kFront + "><body>x</body><thread>c1</thread></message>");
}

TEST(MessageToXmpp, TakesTheIdFromTheBranch) {  // IM-35
    EXPECT_EQ(stanza_id("z9hG4bKa.B_9~-"), "a.B_9~-");
    EXPECT_EQ(stanza_id("z9hG4bK" + std::string(64, 'a')), std::string(64, 'a'));
    for (const std::string& bad : {std::string(""), std::string("z9hG4bK"), std::string("other"),
                                   std::string("z9hG4bKa/b"), "z9hG4bK" + std::string(65, 'a')}) {
        EXPECT_EQ(stanza_id(bad), "") << bad;
    }
}

}  // namespace
}  // namespace fedgate::gateway
