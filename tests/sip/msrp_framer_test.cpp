#include "sip/msrp_framer.hpp"

#include <string>

#include <gtest/gtest.h>

#include "tests/sip/msrp_support.hpp"

namespace fedgate::sip {
namespace {

using test::feed_msrp;
using test::kAlice;
using test::kBob;
using test::kMsrpBodyMax;
using test::msrp_answer;
using test::msrp_end;
using test::msrp_request;
using test::msrp_send;

using Texts = std::vector<std::string>;

std::string sent(const std::string& id, const std::string& message_id, const std::string& body,
                 const std::string& first = "1", char flag = '$') {
    return id + "|" + kBob + "|" + kAlice + "|" + message_id + "|text/plain|" + body + "|0|" +
           first + flag;
}

TEST(MsrpFramer, TheExamplesOfRfc4975AreFramed) {  // RFC 4975 5.1, 7.1, 11.1, 11.6
    const std::string stream =
        msrp_send("d93kswow", "12339sdqwer", "1-16/16", "Hi, I'm Alice!") +
        msrp_answer("d93kswow", "200 OK") +
        msrp_send("dkei38sd", "4564dpWd", "1-*/8", "abcd", '+') +
        msrp_send("dkei38ia", "4564dpWd", "5-8/8", "EFGH") +
        msrp_request("dkei38sd", "REPORT",
                     "Message-ID: 12339sdqwer\r\nByte-Range: 1-106/106\r\nStatus: 000 200 OK\r\n") +
        msrp_end("dkei38sd");
    EXPECT_EQ(feed_msrp(stream, {}),
              (Texts{sent("d93kswow", "12339sdqwer", "Hi, I'm Alice!"),
                     "d93kswow|" + kBob + "|" + kAlice + "||||200|1$",
                     sent("dkei38sd", "4564dpWd", "abcd", "1", '+'),
                     sent("dkei38ia", "4564dpWd", "EFGH", "5"),
                     "dkei38sd|" + kBob + "|" + kAlice + "|12339sdqwer|||0|1$"}));
}

// All that a body may look like, and what is refused, skipped and gone on behind.
std::string everything() {
    const std::string head = "Message-ID: abcd\r\nContent-Type: text/plain\r\n\r\n";
    return msrp_send("tid1", "abcd", "1-2/2",
                     "x\r\n-------tid\r\n-------tid2$\r\n-------tid10+\r\ny") +
           msrp_request("tid1", "SEND", head) + "\r\n" + msrp_end("tid1") +  // no bytes
           msrp_request("tid1", "SEND", head) + msrp_end("tid1") +           // nor its CRLF
           msrp_send("tid1", "abcd", "1-9/9", std::string(20, '\n')) +
           msrp_request("tid1", "SEND", "Message-ID: abcd\r\n") + msrp_end("tid1", '#') +
           msrp_send("tid1", "abcd", "1-*/*", std::string(120, 'y') + "\r\n-------tid", '+') +
           msrp_send("tid1", "abc", "1-1/1", "wrong id") +
           msrp_send("tid1", "abcd", "1-1/101", "z", '+') +
           msrp_request("tid1", "SEND", "Message-ID: abc\r\n\r\n") + msrp_end("tid1") +
           msrp_request("tid1", "SEND", "Message-ID: abc\r\n") + msrp_end("tid1") +
           msrp_request("tid1", "SEND", "Message-ID: abcd\r\n\r\n") + "x\r\n" + msrp_end("tid1") +
           msrp_answer("tid1", "413") + msrp_send("tid1", "abcd", "1-1/1", "last");
}

TEST(MsrpFramer, ABodyIsWhatIsBeforeItsEndLine) {  // SESS-23
    const Texts out = feed_msrp(everything(), {}, 100);
    ASSERT_EQ(out.size(), 13u);
    EXPECT_EQ(out[0],
              sent("tid1", "abcd", "x\r\n-------tid\r\n-------tid2$\r\n-------tid10+\r\ny"));
    EXPECT_EQ(out[1], sent("tid1", "abcd", ""));
    EXPECT_EQ(out[2], sent("tid1", "abcd", ""));
    EXPECT_EQ(out[3], sent("tid1", "abcd", std::string(20, '\n')));
    EXPECT_TRUE(out[4].ends_with("#"));
    EXPECT_EQ(out[5], "413 body too long");
    EXPECT_EQ(out[6], "400 header field value");
    EXPECT_EQ(out[7], "413 total");
    EXPECT_EQ(out[8], "400 header field value");
    EXPECT_EQ(out[9], "400 header field value");
    EXPECT_EQ(out[10], "400 no Content-Type");
    EXPECT_TRUE(out[11].ends_with("|413|1$"));
    EXPECT_EQ(out[12], sent("tid1", "abcd", "last"));
}

TEST(MsrpFramer, SeesTheSameAtEachSplitPoint) {
    const std::string stream = everything();
    const Texts whole = feed_msrp(stream, {}, 100);
    for (std::size_t cut = 1; cut < stream.size(); ++cut)
        ASSERT_EQ(feed_msrp(stream, {cut}, 100), whole) << cut;
    std::vector<std::size_t> each(stream.size());
    for (std::size_t i = 0; i < each.size(); ++i) each[i] = i;
    EXPECT_EQ(feed_msrp(stream, each, 100), whole);
}

TEST(MsrpFramer, ClosesWhereTheBoundaryIsLost) {
    const std::string good = msrp_send("tid1", "abcd", "1-1/1", "x");
    const std::string head = "Message-ID: abcd\r\nContent-Type: text/plain\r\n\r\n";
    for (const std::string& bad :
         {std::string("\r\n"), std::string("GET / HTTP/1.1\r\n"), std::string("MSRP tid1 SEND\n"),
          msrp_request("tid1", "SEND", "Message-ID: abcd\n"), msrp_request("tid1", "SEND", "\n"),
          // An end-line of another transaction, without a flag, with something behind it.
          msrp_request("tid1", "SEND", "Message-ID: abcd\r\n") + msrp_end("tid2"),
          msrp_request("tid1", "SEND", "Message-ID: abcd\r\n-------tid1\r\n"),
          msrp_request("tid1", "SEND", "Message-ID: abcd\r\n-------tid1$ \r\n"),
          msrp_request("tid1", "SEND", head) + "x\r\n-------tid1$ \r\n",
          msrp_request("tid1", "SEND", head) + "x\r\n-------tid1$\n\n",
          msrp_request("tid1", "200 OK", "\r\n") + "x\r\n" + msrp_end("tid1")}) {
        const Texts whole = feed_msrp(bad + good, {});
        ASSERT_EQ(whole.size(), 1u) << bad;
        EXPECT_TRUE(whole[0].starts_with("400 ") && whole[0].ends_with(" close"))
            << bad << whole[0];
        for (std::size_t cut = 1; cut < bad.size(); ++cut)
            ASSERT_EQ(feed_msrp(bad + good, {cut}), whole) << cut;
    }
}

TEST(MsrpFramer, WhatIsNotMsrpIsRefusedWithItsFirstBytes) {
    MsrpFramer framer(kMsrpBodyMax);
    MsrpMessage message;
    EXPECT_EQ(framer.next("MS", message).kind, MsrpFrameKind::kNeedMore);
    EXPECT_TRUE(framer.next("MSR/", message).fault.close);
    EXPECT_TRUE(MsrpFramer(kMsrpBodyMax).next("\x16\x03\x01", message).fault.close);
}

TEST(MsrpFramer, ABodyUpToTheBoundIsTaken) {  // SESS-23
    for (const std::size_t size : {99u, 100u, 101u}) {
        const std::string stream = msrp_send("tid1", "abcd", "1-*/*", std::string(size, 'x')) +
                                   msrp_send("tid2", "abcd", "1-1/1", "y");
        const Texts whole = feed_msrp(stream, {}, 100);
        ASSERT_EQ(whole.size(), 2u);
        EXPECT_EQ(whole[0],
                  size > 100 ? "413 body too long" : sent("tid1", "abcd", std::string(size, 'x')));
        for (std::size_t cut = 1; cut < stream.size(); ++cut)
            ASSERT_EQ(feed_msrp(stream, {cut}, 100), whole);
    }
}

TEST(MsrpFramer, AnEndlessChunkEndsTheConnection) {
    const auto with = [](std::size_t size) {
        return feed_msrp(msrp_send("tid1", "abcd", "1-*/*", std::string(size, 'x')) +
                             msrp_send("tid1", "abcd", "1-1/1", "y"),
                         {}, 100);
    };
    EXPECT_EQ(with(limits::kMsrpSkippedBytes - 2),
              (Texts{"413 body too long", sent("tid1", "abcd", "y")}));
    EXPECT_EQ(with(limits::kMsrpSkippedBytes - 1),
              (Texts{"413 body too long", "413 body much too long close"}));
}

// Whether its end is here already or not.
TEST(MsrpFramer, ABodyThatIsTooLongIsRefusedBeforeItsEndLineIs) {
    const std::string head = "Message-ID: abcd\r\nContent-Type: text/plain\r\n\r\n";
    const auto with = [&head](std::size_t size) {
        return msrp_request("tid1", "SEND", head) + std::string(size, 'x') +
               "\r\n-------tid1$ \r\n";
    };
    const std::vector<std::pair<std::size_t, Texts>> cases{
        {100, {"400 end-line close"}},
        {101, {"413 body too long", "400 end-line close"}},
        {120, {"413 body too long", "400 end-line close"}},
        {limits::kMsrpSkippedBytes - 2, {"413 body too long", "400 end-line close"}},
        {limits::kMsrpSkippedBytes - 1, {"413 body too long", "413 body much too long close"}}};
    for (const auto& [size, expected] : cases) {
        const std::string stream = with(size);
        EXPECT_EQ(feed_msrp(stream, {}, 100), expected) << size;
        const std::size_t first = stream.size() - std::min<std::size_t>(stream.size(), 40);
        for (std::size_t cut = std::max<std::size_t>(1, first); cut < stream.size(); ++cut)
            ASSERT_EQ(feed_msrp(stream, {cut}, 100), expected) << size << " " << cut;
    }
}

TEST(MsrpFramer, AnEndlessHeaderSectionEndsTheConnection) {
    const std::string start = msrp_request("tid1", "SEND", "Message-ID: abcd\r\nX: ");
    const auto with = [&start](std::size_t size) {
        const std::string end = "\r\n" + msrp_end("tid1");
        return start + std::string(size - start.size() - end.size(), 'x') + end;
    };
    EXPECT_TRUE(feed_msrp(with(limits::kMsrpHeaderBytes), {}).at(0).ends_with("$"));
    const std::string over = with(limits::kMsrpHeaderBytes + 1);
    EXPECT_EQ(feed_msrp(over, {}), Texts{"400 header section too long close"});
    EXPECT_EQ(feed_msrp(over.substr(0, limits::kMsrpHeaderBytes), {}),
              Texts{"400 header section too long close"});
}

// 2 MB of body a byte at a time: quadratic work would not end within the test's time.
TEST(MsrpFramer, DoesNotStartAgainForEachRead) {
    const std::string text = msrp_send("tid1", "abcd", "1-*/*", std::string(2'000'000, '-'));
    MsrpFramer framer(3'000'000);
    MsrpMessage message;
    for (std::size_t size = 1; size < text.size(); ++size) {
        ASSERT_EQ(framer.next(Bytes(text).substr(0, size), message).kind, MsrpFrameKind::kNeedMore);
    }
    EXPECT_EQ(framer.next(text, message).consumed, text.size());
    EXPECT_EQ(message.body.size(), 2'000'000u);
}

}  // namespace
}  // namespace fedgate::sip
