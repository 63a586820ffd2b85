#include "sip/writer.hpp"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

using test::crlf;

RequestHead message_head() {
    RequestHead head;
    head.method = method_text(Method::kMessage);
    head.uri = "sip:bob@sip.example";
    head.via = {Transport::kUdp, "gw.example", 5060, "z9hG4bKabc", true, false};
    head.from = {"", "sip:alice@xmpp.example;gr=home", "t1"};
    head.to = {"", "sip:bob@sip.example", ""};
    head.call_id = "c1";
    head.cseq = 7;
    return head;
}

TEST(Writer, WritesARequestInOrder) {  // SIP-4, SIP-17, IM-15
    std::array<char, 2048> memory;
    Sink sink(memory);
    RequestHead head = message_head();
    head.route = "<sip:proxy.example;lr>";
    write_request_head(sink, head);
    write_header(sink, HeaderName::kSubject, "hi");
    write_body(sink, "text/plain;charset=UTF-8", "hello");
    EXPECT_EQ(sink.written(), crlf("MESSAGE sip:bob@sip.example SIP/2.0\n"
                                   "Via: SIP/2.0/UDP gw.example:5060;branch=z9hG4bKabc;rport\n"
                                   "Max-Forwards: 70\n"
                                   "Route: <sip:proxy.example;lr>\n"
                                   "From: <sip:alice@xmpp.example;gr=home>;tag=t1\n"
                                   "To: <sip:bob@sip.example>\n"
                                   "Call-ID: c1\n"
                                   "CSeq: 7 MESSAGE\n"
                                   "Subject: hi\n"
                                   "Content-Type: text/plain;charset=UTF-8\n"
                                   "Content-Length: 5\n"
                                   "\n"
                                   "hello"));
}

TEST(Writer, WhatItWritesIsReadBack) {
    std::array<char, 2048> memory;
    Sink sink(memory);
    RequestHead head = message_head();
    head.from.display = "Al \"the\\x\" \xc3\xbc\x01";
    write_request_head(sink, head);
    write_no_body(sink);
    test::Read read(sink.written());
    ASSERT_EQ(read.parse(Carrier::kStream).parsed.verdict, Verdict::kDone) << read.parsed.reason;
    std::array<char, 64> name;
    Sink display(name);
    unquote(read.message.from.display, display);
    EXPECT_EQ(display.written(), "Al \"the\\x\" \xc3\xbc ");
    EXPECT_EQ(read.message.from.uri.text, head.from.uri);
    EXPECT_EQ(read.message.via.branch, head.via.branch);
    EXPECT_EQ(read.message.cseq.number, 7u);
}

TEST(Writer, NoValueCanEndItsLine) {
    std::array<char, 2048> memory;
    Sink sink(memory);
    RequestHead head = message_head();
    head.call_id = "c1\r\nX: y";
    write_request_head(sink, head);
    write_header(sink, HeaderName::kSubject, Bytes("a\r\nContent-Length: 9\n\r\0z", 24));
    write_no_body(sink);
    EXPECT_EQ(sink.written().find("\r\nX: y"), Bytes::npos);
    EXPECT_NE(sink.written().find("Subject: a  Content-Length: 9   z\r\n"), Bytes::npos);
}

TEST(Writer, NoByteOfAnyValueCanEndItsLine) {
    const auto lines_of = [](const RequestHead& head) {
        std::array<char, 2048> memory;
        Sink sink(memory);
        write_request_head(sink, head);
        EXPECT_EQ(sink.written().find('\0'), Bytes::npos);
        EXPECT_EQ(std::ranges::count(sink.written(), '\r'),
                  std::ranges::count(sink.written(), '\n'));
        return std::ranges::count(sink.written(), '\n');
    };
    const auto lines = lines_of(message_head());
    for (const char end : {'\r', '\n', '\0'}) {
        for (std::size_t size = 1; size <= 40; ++size) {
            for (std::size_t at = 0; at < size; ++at) {
                std::string value(size, 'a');
                value[at] = end;
                for (const auto place : {0, 1, 2, 3, 4, 5}) {
                    RequestHead head = message_head();
                    Bytes* const values[] = {&head.uri,    &head.from.uri, &head.from.tag,
                                             &head.to.uri, &head.call_id,  &head.from.display};
                    *values[place] = value;
                    ASSERT_EQ(lines_of(head), lines) << size << ' ' << at << ' ' << place;
                }
            }
        }
    }
}

const std::string kRequest = crlf(
    "MESSAGE sip:bob@xmpp.example SIP/2.0\n"
    "Via: SIP/2.0/UDP 192.0.2.1:5070 ;branch=z9hG4bKabc;rport;x=\"y;z\" , SIP/2.0/TCP "
    "two;branch=z9hG4bK2\n"
    "v: SIP/2.0/TLS three\n"
    "From: \"A\"  <sip:alice@sip.example>;tag=1\n"
    "t: <sip:bob@xmpp.example>\n"
    "Call-ID: x@y\n"
    "CSeq: 0001  MESSAGE\n"
    "Content-Length: 0\n"
    "\n");

std::string respond(const std::string& request, const ResponseHead& head) {
    test::Read read(request);
    EXPECT_EQ(read.parse(Carrier::kStream).parsed.verdict, Verdict::kDone) << read.parsed.reason;
    std::array<char, 2048> memory;
    Sink sink(memory);
    write_response_head(sink, read.message, head);
    write_no_body(sink);
    EXPECT_FALSE(sink.overflowed());
    return std::string(sink.written());
}

TEST(Writer, AResponseCopiesWhatItMust) {  // SIP-4, RFC 3261 8.2.6.2
    EXPECT_EQ(respond(kRequest, {200, "", "t9", "", 0}),
              crlf("SIP/2.0 200 OK\n"
                   "Via: SIP/2.0/UDP 192.0.2.1:5070 ;branch=z9hG4bKabc;rport;x=\"y;z\" , "
                   "SIP/2.0/TCP two;branch=z9hG4bK2\n"
                   "Via: SIP/2.0/TLS three\n"
                   "From: \"A\"  <sip:alice@sip.example>;tag=1\n"
                   "To: <sip:bob@xmpp.example>;tag=t9\n"
                   "Call-ID: x@y\n"
                   "CSeq: 0001  MESSAGE\n"
                   "Content-Length: 0\n"
                   "\n"));
}

TEST(Writer, AddsReceivedAndRport) {  // SIP-13, RFC 3581 4
    const std::string asked = respond(kRequest, {200, "", "t9", "192.0.2.1", 4444});
    EXPECT_NE(
        asked.find("Via: SIP/2.0/UDP "
                   "192.0.2.1:5070;branch=z9hG4bKabc;x=\"y;z\";received=192.0.2.1;rport=4444 , "
                   "SIP/2.0/TCP two;branch=z9hG4bK2\r\nVia: SIP/2.0/TLS three\r\n"),
        std::string::npos)
        << asked;
    std::string plain = kRequest;
    plain.replace(plain.find(";rport"), 6, "");
    EXPECT_NE(respond(plain, {200, "", "t", "192.0.2.1", 4444})
                  .find("192.0.2.1:5070 ;branch=z9hG4bKabc;x=\"y;z\" ,"),
              std::string::npos);
    EXPECT_NE(respond(plain, {200, "", "t", "2001:db8::9", 4444})
                  .find("192.0.2.1:5070 ;branch=z9hG4bKabc;x=\"y;z\";received=2001:db8::9 ,"),
              std::string::npos);
    std::string forged = kRequest;
    forged.replace(forged.find(";rport"), 6, ";received=203.0.113.9;rport=1");
    const std::string answer = respond(forged, {200, "", "t", "192.0.2.7", 4444});
    EXPECT_EQ(answer.find("203.0.113.9"), std::string::npos);
    EXPECT_NE(answer.find(";received=192.0.2.7;rport=4444"), std::string::npos);
}

TEST(Writer, TheTagIsAddedOnlyWhereItIsMissing) {
    EXPECT_EQ(respond(kRequest, {100, "", "t9", "", 0}).find("tag=t9"), std::string::npos);
    std::string tagged = kRequest;
    tagged.replace(tagged.find("<sip:bob@xmpp.example>\r\n"), 24,
                   "<sip:bob@xmpp.example>;tag=old\r\n");
    EXPECT_EQ(respond(tagged, {200, "", "t9", "", 0}).find("tag=t9"), std::string::npos);
}

TEST(Writer, AnswersWhatIsMalformed) {  // SIP-2
    std::string bad = kRequest;
    bad.replace(bad.find("t: <sip:bob"), 6, "X: <si");
    bad.replace(bad.find("SIP/2.0/UDP 192"), 15, "SIP/2.0/UDP ???");
    test::Read read(bad);
    ASSERT_EQ(read.parse(Carrier::kStream).parsed.status, 400);
    std::array<char, 2048> memory;
    Sink sink(memory);
    write_response_head(sink, read.message, {400, "", "t9", "192.0.2.1", 9});
    EXPECT_NE(sink.written().find("Via: SIP/2.0/UDP ???"), Bytes::npos);
    EXPECT_EQ(sink.written().find("To:"), Bytes::npos);
    EXPECT_NE(sink.written().find("Call-ID: x@y\r\n"), Bytes::npos);
}

TEST(Writer, NoViaBringsAControlIntoAnAnswer) {
    for (const std::string& bad : {std::string("\r"), std::string(1, '\0')}) {
        std::string bytes = crlf(
            "OPTIONS sip:h.example SIP/2.0\nVia: SIP/2.0/UDP "
            "h.example;branch=z9hG4bK1;x=\"a@b\"\n\n");
        bytes.replace(bytes.find('@', bytes.find("Via")), 1, bad);
        Message message;
        static_cast<void>(parse_message(bytes, Carrier::kDatagram, test::kBodyMax, message));
        ASSERT_TRUE(message.answerable());
        for (const char* source : {"", "192.0.2.7"}) {
            char memory[1'024];
            Sink sink{MutableBytes(memory)};
            ResponseHead head;
            head.status = 400;
            head.source_host = source;
            write_response_head(sink, message, head);
            const Bytes answer = sink.written();
            for (std::size_t at = answer.find(bad); at != Bytes::npos;
                 at = answer.find(bad, at + 1)) {
                EXPECT_EQ(answer[at + 1], '\n') << answer;
            }
        }
    }
}

TEST(Writer, BuildsTheAckOfAFailure) {  // RFC 3261 17.1.1.3, ERT-3
    test::Read invite(crlf(
        "INVITE sip:b@h SIP/2.0\nVia: SIP/2.0/UDP gw;branch=z9hG4bK1\nRoute: <sip:p;lr>\n"
        "Proxy-Authorization: Digest a\nAuthorization: Digest b\nRoute: <sip:q;lr>\n"
        "From: <sip:a@x>;tag=1\nTo: <sip:b@h>\nCall-ID: c\nCSeq: 5 INVITE\nContent-Length: 0\n\n"));
    test::Read response(
        crlf("SIP/2.0 486 Busy\nVia: SIP/2.0/UDP gw;branch=z9hG4bK1\nFrom: <sip:a@x>;tag=1\n"
             "To: <sip:b@h>;tag=2\nCall-ID: c\nCSeq: 5 INVITE\nContent-Length: 0\n\n"));
    ASSERT_EQ(invite.parse(Carrier::kStream).parsed.verdict, Verdict::kDone);
    ASSERT_EQ(response.parse(Carrier::kStream).parsed.verdict, Verdict::kDone);
    std::array<char, 1024> memory;
    Sink sink(memory);
    write_ack(sink, invite.message, response.message);
    EXPECT_EQ(sink.written(),
              crlf("ACK sip:b@h SIP/2.0\nVia: SIP/2.0/UDP gw;branch=z9hG4bK1\nMax-Forwards: 70\n"
                   "Route: <sip:p;lr>\nRoute: <sip:q;lr>\nFrom: <sip:a@x>;tag=1\n"
                   "To: <sip:b@h>;tag=2\nCall-ID: c\nCSeq: 5 ACK\nAuthorization: Digest b\n"
                   "Proxy-Authorization: Digest a\nContent-Length: 0\n\n"));
    sink.truncate(0);
    write_cancel(sink, invite.message);  // SIP-19, RFC 3261 9.1
    EXPECT_EQ(sink.written(),
              crlf("CANCEL sip:b@h SIP/2.0\nVia: SIP/2.0/UDP gw;branch=z9hG4bK1\n"
                   "Max-Forwards: 70\nRoute: <sip:p;lr>\nRoute: <sip:q;lr>\n"
                   "From: <sip:a@x>;tag=1\nTo: <sip:b@h>\nCall-ID: c\nCSeq: 5 CANCEL\n"
                   "Content-Length: 0\n\n"));
}

TEST(Writer, SaysWhenThereIsNoRoom) {
    std::array<char, 100> memory;
    Sink sink(memory);
    write_request_head(sink, message_head());
    EXPECT_TRUE(sink.overflowed());
}

TEST(Writer, EachStatusHasAPhrase) {
    EXPECT_EQ(reason_phrase(200), "OK");
    EXPECT_EQ(reason_phrase(202), "Accepted");
    EXPECT_EQ(reason_phrase(489), "Bad Event");
    EXPECT_EQ(reason_phrase(606), "Not Acceptable");
    EXPECT_EQ(reason_phrase(100), "Trying");
    for (std::uint16_t status = 100; status < 700; ++status)
        EXPECT_FALSE(reason_phrase(status).empty());
}

}  // namespace
}  // namespace fedgate::sip
