#include "sip/message.hpp"

#include <random>

#include <gtest/gtest.h>

#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

using test::crlf;
using test::feed;

const std::string kGood = crlf(
    "MESSAGE sip:bob@xmpp.example SIP/2.0\n"
    "Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKabc;rport\n"
    "Max-Forwards: 70\n"
    "From: \"Al\" <sip:alice@sip.example>;tag=1\n"
    "To: <sip:bob@xmpp.example>\n"
    "Call-ID: x@y\n"
    "CSeq: 1 MESSAGE\n"
    "Content-Type: text/plain;charset=UTF-8\n"
    "Content-Length: 5\n"
    "\n"
    "hello");

std::string with(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

// The status of the refusal on a stream, 0 when it is read, -1 when more is needed.
int stream_status(const std::string& bytes, bool* close = nullptr) {
    test::Read read(bytes);
    read.parse(Carrier::kStream);
    if (close != nullptr) *close = read.parsed.close;
    if (read.parsed.verdict == Verdict::kNeedMore) return -1;
    return read.parsed.verdict == Verdict::kDone ? 0 : read.parsed.status;
}
int datagram_status(const std::string& bytes) {
    test::Read read(bytes);
    read.parse(Carrier::kDatagram);
    return read.parsed.verdict == Verdict::kDone ? 0 : read.parsed.status;
}

TEST(Message, GivesViewsOfEachPart) {
    test::Read read(kGood);
    read.parse(Carrier::kStream);
    const Message& m = read.message;
    ASSERT_EQ(read.parsed.verdict, Verdict::kDone);
    EXPECT_EQ(read.parsed.size, kGood.size());
    EXPECT_TRUE(m.is_request);
    EXPECT_EQ(m.method, Method::kMessage);
    EXPECT_EQ(m.request_uri.user, "bob");
    EXPECT_EQ(m.via.transport, Transport::kTcp);
    EXPECT_EQ(m.via.sent_by.port, 5060);
    EXPECT_TRUE(m.via.has_rport);
    EXPECT_EQ(m.from.display, "\"Al\"");
    EXPECT_EQ(m.from.tag, "1");
    EXPECT_EQ(m.to.tag, "");
    EXPECT_EQ(m.call_id, "x@y");
    EXPECT_EQ(m.cseq.number, 1u);
    EXPECT_EQ(m.body, "hello");
    const auto type = parse_content_type(m.value(HeaderName::kContentType));
    ASSERT_TRUE(type);
    EXPECT_TRUE(type->is("TEXT", "plain"));
    EXPECT_EQ(type->charset, "UTF-8");
    EXPECT_GE(m.body.data(), read.buffer.data());
    EXPECT_LT(m.body.data(), read.buffer.data() + read.buffer.size());
}

TEST(Message, NothingIsLeftOfTheOneBefore) {
    test::Read read(kGood);
    read.parse(Carrier::kDatagram);
    std::string next = "SIP/2.0 x\r\n\r\n";
    const Parsed parsed = parse_message(next, Carrier::kDatagram, test::kBodyMax, read.message);
    EXPECT_EQ(parsed.verdict, Verdict::kMalformed);
    const Message& m = read.message;
    EXPECT_FALSE(m.is_request);
    EXPECT_EQ(m.method, Method::kUnknown);
    for (const Bytes left : {m.body, m.method_name, m.request_uri_text, m.reason, m.call_id,
                             m.via.text, m.from.tag, m.to.uri.text, m.cseq.method_name}) {
        EXPECT_EQ(left, "");
    }
    EXPECT_EQ(m.find(HeaderName::kVia), nullptr);
    EXPECT_EQ(m.via_count, 0u);
    EXPECT_EQ(m.max_forwards, 70u);
    EXPECT_EQ(m.cseq.number, 0u);
}

TEST(Message, AcceptsWhatIsOnlyUnusual) {  // SIP-1
    EXPECT_EQ(stream_status(with(kGood, "Via:", "v\t :\t")), 0);
    EXPECT_EQ(stream_status(with(kGood, "From:", "fROm:")), 0);
    EXPECT_EQ(stream_status(with(kGood, "Call-ID: x@y", "i:x@y")), 0);
    EXPECT_EQ(stream_status(with(kGood, "Call-ID: x@y", "Call-ID:\r\n  x@y\r\n ")), 0);
    EXPECT_EQ(stream_status(with(kGood, "Max-Forwards: 70\r\n", "")), 0);
    EXPECT_EQ(stream_status(with(kGood, "Max-Forwards: 70", "X-New: \xc3\xbc;;,\"\"")), 0);
    EXPECT_EQ(stream_status(with(kGood, "Max-Forwards: 70", "Subject:")), 0);
    EXPECT_EQ(
        stream_status(with(kGood, ";rport", ";rport, SIP/2.0/UDP h, SIP/2.0/TCP [2001:db8::1]:99")),
        0);
    EXPECT_EQ(
        stream_status(with(kGood, "bob@xmpp.example SIP", "b%20b@[2001:db8::1]:5070;lr=on SIP")),
        0);
    EXPECT_EQ(datagram_status(with(kGood, "Call-ID: x@y\r\n", "Call-ID: x@y\n")), 0);
    EXPECT_EQ(datagram_status(with(kGood, "Content-Length: 5\r\n", "")), 0);
}

TEST(Message, ReadsEachCompactForm) {  // SIP-1
    const std::string forms = "vftmilcskeouxbadjry";
    for (const char form : forms) {
        const std::string upper(1, static_cast<char>(form - 0x20));
        const HeaderName id = find_header_name(std::string(1, form));
        EXPECT_NE(id, HeaderName::kOther) << form;
        EXPECT_EQ(find_header_name(upper), id);
        EXPECT_EQ(find_header_name(header_text(id)), id);
    }
    EXPECT_EQ(find_header_name("z"), HeaderName::kOther);
    EXPECT_EQ(find_header_name("\xff"), HeaderName::kOther);
    for (std::size_t i = 1; i < kHeaderNameCount; ++i) {
        std::string name(header_text(static_cast<HeaderName>(i)));
        EXPECT_EQ(find_header_name(name), static_cast<HeaderName>(i));
        for (char& c : name) c = static_cast<char>(std::toupper(c));
        EXPECT_EQ(find_header_name(name), static_cast<HeaderName>(i));
        EXPECT_EQ(find_header_name(name + "x"), HeaderName::kOther);
    }
}

// The parser tells names where they stand: whatever is around them, and as near to the end.
TEST(Message, KnowsEachNameInItsLine) {
    const auto id_in = [](const std::string& line) {
        test::Read read("OPTIONS sip:a SIP/2.0\r\n" + line + "\r\n\r\n");
        read.parse(Carrier::kDatagram);
        EXPECT_EQ(read.message.headers().size(), 1u) << line;
        return read.message.headers().front().id;
    };
    for (std::size_t i = 1; i < kHeaderNameCount; ++i) {
        std::string name(header_text(static_cast<HeaderName>(i)));
        for (const char* rest :
             {":", ": ", " :", "\t: x", ":x", ": a longer value: with a colon"}) {
            EXPECT_EQ(id_in(name + rest), static_cast<HeaderName>(i)) << name << rest;
        }
        for (std::size_t at = 0; at < name.size(); ++at) {
            std::string other = name;
            other[at] = other[at] == '_' ? '!' : '_';
            EXPECT_EQ(id_in(other + ": a value that is long"), HeaderName::kOther) << other;
            other[at] = static_cast<char>(name[at] ^ 0x20);
            if (name[at] == '-') continue;
            EXPECT_EQ(id_in(other + ":"), static_cast<HeaderName>(i)) << other;
        }
        EXPECT_EQ(id_in(name + "x: a value that is long"), HeaderName::kOther) << name;
    }
}

TEST(Message, UnfoldsInPlaceOnceAndForAll) {  // SIP-1
    std::string text = with(kGood, "Max-Forwards: 70", "Subject: one\r\n \t two\r\n\tthree  ");
    test::Read read(text);
    read.parse(Carrier::kStream);
    ASSERT_EQ(read.parsed.verdict, Verdict::kDone);
    EXPECT_EQ(read.message.value(HeaderName::kSubject), "one two three");
    const std::string first = test::describe({FrameKind::kMessage, 0, 0, "", false}, read.message);
    read.parse(Carrier::kStream);
    ASSERT_EQ(read.parsed.verdict, Verdict::kDone);
    EXPECT_EQ(test::describe({FrameKind::kMessage, 0, 0, "", false}, read.message), first);
}

TEST(Message, RefusesWhatIsWrong) {  // SIP-2
    struct Case {
        const char* from;
        const char* to;
        int status;
    };
    const Case cases[] = {
        {"To: <sip:bob@xmpp.example>\r\n", "", 400},
        {"From: \"Al\" <sip:alice@sip.example>;tag=1\r\n", "", 400},
        {"Call-ID: x@y\r\n", "", 400},
        {"CSeq: 1 MESSAGE\r\n", "", 400},
        {"Call-ID: x@y\r\n", "Call-ID: x@y\r\ni: x@y\r\n", 400},
        {"Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70", 400},
        {"Max-Forwards: 70", "Max-Forwards: -1", 400},
        {"Max-Forwards: 70", "Max-Forwards: 256", 400},
        {"CSeq: 1 MESSAGE", "CSeq: 1 OPTIONS", 400},
        {"CSeq: 1 MESSAGE", "CSeq: 2147483648 MESSAGE", 400},
        {"CSeq: 1 MESSAGE", "CSeq: -1 MESSAGE", 400},
        {"CSeq: 1 MESSAGE", "CSeq: 1MESSAGE", 400},
        {"Call-ID: x@y", "Call-ID: x y", 400},
        {"Call-ID: x@y", "Call-ID:", 400},
        {"tag=1", "tag=1;tag=2", 400},
        {"tag=1", "tag=", 400},
        {"tag=1", "tag=a@b", 400},
        {"\"Al\"", "\"Al", 400},
        {"<sip:alice@sip.example>", "<sip:alice@sip.example", 400},
        {"<sip:bob@xmpp.example>", "<sip:bob@>", 400},
        {"<sip:bob@xmpp.example>", "mailto:bob@xmpp.example", 416},
        {"branch=z9hG4bKabc", "branch=a;branch=b", 400},
        {"192.0.2.1:5060", "192.0.2.1:99999", 400},
        {"192.0.2.1:5060", "2001:db8::1", 400},
        {"SIP/2.0/TCP", "SIP/3.0/TCP", 400},
        {"Max-Forwards: 70", "Contact: <sip:a@b", 400},
        {"Max-Forwards: 70", "Contact: \"x <sip:a@b>", 400},
        {"SIP/2.0\r\nVia", "SIP/2.1\r\nVia", 505},
        {"SIP/2.0\r\nVia", "SIP/2\r\nVia", 400},
        {"SIP/2.0\r\nVia", "SIP/2.0 \r\nVia", 400},
        {"MESSAGE sip:", "MESS{AGE sip:", 501},
        {"sip:bob@xmpp.example SIP", "http://xmpp.example SIP", 416},
        {"Max-Forwards: 70", "Subject: \xc3\x28", 400},      // GEN-6
        {"Max-Forwards: 70", "Subject: \xed\xa0\x80", 400},  // GEN-6: a surrogate
        {"Max-Forwards: 70", "Subject: a\x01z", 400},
    };
    for (const Case& one : cases) {
        bool close = true;
        EXPECT_EQ(stream_status(with(kGood, one.from, one.to), &close), one.status) << one.to;
        EXPECT_FALSE(close) << one.to;
        EXPECT_EQ(datagram_status(with(kGood, one.from, one.to)), one.status) << one.to;
    }
    std::string nul = with(kGood, "Max-Forwards: 70", "Subject: a?z");
    nul[nul.find("a?z") + 1] = '\0';
    EXPECT_EQ(stream_status(nul), 400);
}

// The scan takes sixteen bytes at a time, and what is left one by one.
TEST(Message, AControlCharacterIsSeenWhereverItStands) {
    const std::string good =
        kGood.substr(0, kGood.find("Content-Type")) + "Content-Length: 0\r\n\r\n";
    ASSERT_EQ(datagram_status(good), 0);
    for (std::size_t i = 1; i < 40; ++i) {
        std::string bad = good;
        const std::size_t at = good.find("Call-ID: ") + 9;
        bad.insert(
            at, "X\r\nX: " + std::string(i, 'x') + '\x01' + std::string(40 - i, 'x') + "\r\nI2: ");
        EXPECT_EQ(datagram_status(bad), 400) << i;
        bad = good;
        bad.insert(bad.size() - 2, "X: \x01" + std::string(i % 8, 'x') + "\r\n");
        EXPECT_EQ(datagram_status(bad), 400) << i;
        bad.replace(bad.find('\x01'), 1, "\t");
        EXPECT_EQ(datagram_status(bad), 0) << i;
    }
}

TEST(Message, AMalformedRequestCanStillBeAnswered) {  // SIP-2
    test::Read read(with(kGood, "CSeq: 1 MESSAGE", "CSeq: x"));
    read.parse(Carrier::kStream);
    ASSERT_EQ(read.parsed.verdict, Verdict::kMalformed);
    EXPECT_TRUE(read.message.answerable());
    EXPECT_EQ(read.message.via.branch, "z9hG4bKabc");
    EXPECT_EQ(read.message.value(HeaderName::kCseq), "x");
    EXPECT_EQ(read.parsed.size, kGood.size() - 8);
    test::Read ack(with(with(kGood, "MESSAGE sip", "ACK sip"), "CSeq: 1 MESSAGE", "CSeq: x"));
    ack.parse(Carrier::kStream);
    EXPECT_EQ(ack.parsed.verdict, Verdict::kMalformed);
    EXPECT_FALSE(ack.message.answerable());
    test::Read other(std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    other.parse(Carrier::kStream);
    EXPECT_EQ(other.parsed.verdict, Verdict::kMalformed);
    EXPECT_TRUE(other.parsed.close);
    EXPECT_FALSE(other.message.answerable());
    test::Read response(
        std::string("SIP/2.0 999 x\r\nVia: SIP/2.0/TCP h\r\nContent-Length: 0\r\n\r\n"));
    response.parse(Carrier::kStream);
    EXPECT_EQ(response.parsed.verdict, Verdict::kMalformed);
    EXPECT_FALSE(response.message.answerable());
}

TEST(
    Message,
    OnlyAnExactContentLengthIsALength) {  // SIP-3; where parsers disagree, a body runs as a request
    const char* const bad[] = {"",
                               "-5",
                               "+5",
                               "0 412",
                               "5 5",
                               "5,5",
                               "5;x",
                               "0x5",
                               "5 a",
                               "5.0",
                               "\"5\"",
                               "5\v",
                               "4294967296",
                               "99999999999999999999",
                               "\r\n 5",
                               "5\r\n ",
                               "5\r\nContent-Length: 5",
                               "5\r\nl: 5",
                               "5\r\nContent-Length : 6"};
    for (const char* const value : bad) {
        const std::string bytes =
            with(kGood, "Content-Length: 5", std::string("Content-Length: ") + value);
        bool close = false;
        EXPECT_EQ(stream_status(bytes, &close), 400) << value;
        EXPECT_TRUE(close) << value;
        EXPECT_EQ(datagram_status(bytes), 400) << value;
    }
    bool close = false;
    EXPECT_EQ(stream_status(with(kGood, "Content-Length: 5\r\n", ""), &close), 400);
    EXPECT_TRUE(close);
    EXPECT_EQ(stream_status(with(kGood, "Content-Length: 5", "Content-Length :\t 005 ")), 0);
    EXPECT_EQ(stream_status(with(kGood, "Content-Length: 5", "Content-Length: 6")), -1);
    EXPECT_EQ(datagram_status(with(kGood, "Content-Length: 5", "Content-Length: 6")), 400);
    test::Read shorter(with(kGood, "Content-Length: 5", "Content-Length: 4"));
    EXPECT_EQ(shorter.parse(Carrier::kStream).parsed.size, kGood.size() - 1);
    EXPECT_EQ(shorter.message.body, "hell");
    EXPECT_EQ(shorter.parse(Carrier::kDatagram).message.body, "hell");  // SIP-41
}

TEST(Message, ABareLineEndOnAStreamEndsIt) {  // SIP-1
    const std::pair<const char*, const char*> cases[] = {
        {"Call-ID: x@y\r\n", "Call-ID: x@y\n"},
        {"Call-ID: x@y\r\n", "Call-ID: x@y\rContent-Length: 9\r\n"},
        {"SIP/2.0\r\n", "SIP/2.0\n"},
        {"\r\n\r\nhello", "\n\nhello"},
        {"Call-ID: x@y\r\n", "Call-ID: x@y\r\r\n"},
        {"Call-ID: x@y\r\n", "no colon\r\n"},
        {"Call-ID: x@y\r\n", "b@d: x\r\n"},
        {"SIP/2.0\r\nVia", "SIP/2.0\r\n Via"},
    };
    for (const auto& [from, to] : cases) {
        bool close = false;
        EXPECT_EQ(stream_status(with(kGood, from, to), &close), 400) << to;
        EXPECT_TRUE(close) << to;
    }
}

TEST(Message, BoundsHoldExactly) {  // SIP-3
    const auto with_vias = [](std::size_t count) {
        std::string vias;
        for (std::size_t i = 1; i < count; ++i) vias += "Via: SIP/2.0/TCP h\r\n";
        return with(kGood, "Max-Forwards: 70\r\n", vias);
    };
    EXPECT_EQ(stream_status(with_vias(limits::kSipVias)), 0);
    EXPECT_EQ(stream_status(with_vias(limits::kSipVias + 1)), 513);
    std::string joined = "SIP/2.0/TCP h";
    for (std::size_t i = 0; i < limits::kSipVias; ++i) joined += ",SIP/2.0/TCP h";
    EXPECT_EQ(stream_status(with(kGood, "Max-Forwards: 70", "Via: " + joined)), 513);

    const auto with_headers = [](std::size_t count) {
        std::string more;
        for (std::size_t i = 8; i < count; ++i) more += "X: y\r\n";
        return with(kGood, "Call-ID", more + "Call-ID");
    };
    bool close = false;
    EXPECT_EQ(stream_status(with_headers(limits::kSipHeaders)), 0);
    EXPECT_EQ(stream_status(with_headers(limits::kSipHeaders + 1), &close), 513);
    EXPECT_TRUE(close);

    const auto with_head_bytes = [](std::size_t size) {
        const std::size_t now = kGood.size() - 5;
        return with(kGood, "Max-Forwards: 70",
                    "Max-Forwards: 70\r\nX: " + std::string(size - now - 5, 'x'));
    };
    EXPECT_EQ(stream_status(with_head_bytes(limits::kSipHeaderBytes)), 0);
    EXPECT_EQ(stream_status(with_head_bytes(limits::kSipHeaderBytes + 1), &close), 513);
    EXPECT_TRUE(close);
    EXPECT_EQ(stream_status(std::string(limits::kSipHeaderBytes - 1, 'x')), -1);
    EXPECT_EQ(stream_status(std::string(limits::kSipHeaderBytes, 'x')), 513);

    test::Read body(kGood);
    EXPECT_EQ(body.parse(Carrier::kStream, 5).parsed.verdict, Verdict::kDone);
    EXPECT_EQ(body.parse(Carrier::kStream, 4).parsed.status, 413);
    EXPECT_FALSE(body.parsed.close);
    EXPECT_EQ(body.parsed.skip, 5u);
    EXPECT_TRUE(body.message.answerable());
}

TEST(Message, AskForTheRestBySize) {
    test::Read read(kGood.substr(0, kGood.size() - 3));
    read.parse(Carrier::kStream);
    EXPECT_EQ(read.parsed.verdict, Verdict::kNeedMore);
    EXPECT_EQ(read.parsed.size, kGood.size());
}

// Whatever comes in: no crash, nothing read outside, and the same verdicts however it is cut.
TEST(Message, RandomDamageGivesTheSameVerdictForEachCut) {
    std::mt19937 random(4475);
    const std::string soup = "\r\n \t:;,<>\"\\@%[]=/?SIP2.0lLvV\0\x80\xc3";
    for (int round = 0; round < 3'000; ++round) {
        std::string bytes = kGood + kGood;
        const int damage = static_cast<int>(random() % 4) + 1;
        for (int i = 0; i < damage; ++i) {
            const std::size_t at = random() % bytes.size();
            const char c = soup[random() % soup.size()];
            switch (random() % 3) {
                case 0: bytes[at] = c; break;
                case 1: bytes.insert(at, 1, c); break;
                default: bytes.erase(at, random() % 4); break;
            }
        }
        const auto whole = feed(bytes, {});
        const std::size_t cut = random() % bytes.size();
        ASSERT_EQ(feed(bytes, {cut}), whole) << bytes;
        const std::size_t cut2 = cut + random() % (bytes.size() - cut);
        ASSERT_EQ(feed(bytes, {cut, cut2}), whole) << bytes;
        test::Read read(bytes);
        (void)read.datagram();
    }
}

}  // namespace
}  // namespace fedgate::sip
