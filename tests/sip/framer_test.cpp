#include "sip/framer.hpp"

#include <gtest/gtest.h>

#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

using test::crlf;
using test::feed;

const std::string kOptions = crlf(
    "OPTIONS sip:h.example SIP/2.0\n"
    "Via: SIP/2.0/TCP h;branch=z9hG4bK1\n"
    "From: <sip:a@b>;tag=1\n"
    "To: <sip:h.example>\n"
    "Call-ID: 1\n"
    "CSeq: 1 OPTIONS\n"
    "Content-Length: 0\n"
    "\n");

FrameKind one(Framer& framer, std::string bytes, std::size_t& consumed) {
    Message message;
    const Frame frame = framer.next(bytes, message);
    consumed = frame.consumed;
    return frame.kind;
}

TEST(Framer, AnswersAPingAndSkipsAPong) {  // SIP-3
    std::size_t consumed = 0;
    Framer whole(test::kBodyMax);
    EXPECT_EQ(one(whole, "\r\n\r\n", consumed), FrameKind::kPing);
    EXPECT_EQ(consumed, 4u);
    EXPECT_EQ(one(whole, "", consumed), FrameKind::kNeedMore);
    EXPECT_EQ(one(whole, "\r", consumed), FrameKind::kNeedMore);
    EXPECT_EQ(one(whole, "\r\n", consumed), FrameKind::kPong);
    EXPECT_EQ(consumed, 2u);
    // The second half of a ping that came in two.
    EXPECT_EQ(one(whole, "\r\n" + kOptions, consumed), FrameKind::kPing);
    EXPECT_EQ(consumed, 2u);
    EXPECT_EQ(one(whole, kOptions, consumed), FrameKind::kMessage);
    EXPECT_EQ(consumed, kOptions.size());
    // A pong before a message is no half ping for the next one.
    EXPECT_EQ(one(whole, "\r\n" + kOptions, consumed), FrameKind::kPong);
    EXPECT_EQ(one(whole, kOptions, consumed), FrameKind::kMessage);
    EXPECT_EQ(one(whole, "\r\n", consumed), FrameKind::kPong);
}

TEST(Framer, WaitsForTheWholeMessageAtEachSplitPoint) {
    const std::string stream = "\r\n\r\n" + kOptions + "\r\n" + kOptions + kOptions;
    const auto whole = feed(stream, {});
    ASSERT_EQ(whole.size(), 3u);
    for (std::size_t cut = 1; cut < stream.size(); ++cut)
        ASSERT_EQ(feed(stream, {cut}), whole) << cut;
}

TEST(Framer, ClosesWhereTheBoundaryIsLost) {  // SIP-3
    for (const char* const start : {"\n", "\rX", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"}) {
        const auto out = feed(start + kOptions + kOptions, {});
        ASSERT_EQ(out.size(), 1u) << start;
        EXPECT_TRUE(out[0].starts_with("400 ")) << out[0];
        EXPECT_NE(out[0].find(" close"), std::string::npos) << out[0];
    }
}

TEST(Framer, WhatIsNotSipIsRefusedWithItsFirstLine) {
    for (const char* line :
         {"hello\r\n", "GET / HTTP/1.1\r\n", "\x16\x03\x01\r\n", "MESSAGE sip:a@b\r\n"}) {
        Framer framer(test::kBodyMax);
        Message message;
        std::string bytes = line;
        const Frame frame = framer.next(bytes, message);
        EXPECT_EQ(frame.kind, FrameKind::kMalformed) << line;
        EXPECT_TRUE(frame.close) << line;
        EXPECT_FALSE(message.answerable()) << line;
        // As soon as that line is whole, however it came.
        EXPECT_EQ(feed(line, {1, 3}), feed(line, {})) << line;
    }
}

TEST(Framer, AWrongMessageWithASureBoundaryIsSkipped) {
    std::string bad = kOptions;
    bad.replace(bad.find("CSeq: 1"), 7, "CSeq: x");
    const auto out = feed(bad + kOptions, {});
    ASSERT_EQ(out.size(), 2u);
    EXPECT_EQ(out[0], "400 CSeq number answer");
    EXPECT_TRUE(out[1].starts_with("OPTIONS"));
}

TEST(Framer, ALongBodyIsRefusedBeforeItComes) {  // SIP-3, IM-19
    std::string big = kOptions;
    big.replace(big.find("Length: 0"), 9, "Length: 101");
    EXPECT_EQ(feed(big, {}, 100).at(0), "413 body too long answer");
    EXPECT_TRUE(feed(big, {}, 101).empty());
    // What follows is read, wherever the body was cut; nothing in the body is a message.
    const std::string body = (kOptions + kOptions).substr(0, 101);
    const std::string stream = big + body + kOptions;
    const auto whole = feed(stream, {}, 100);
    ASSERT_EQ(whole.size(), 2u);
    EXPECT_TRUE(whole[1].starts_with("OPTIONS"));
    for (std::size_t cut = 1; cut < stream.size(); ++cut)
        ASSERT_EQ(feed(stream, {cut}, 100), whole) << cut;
    // A response is read without it.
    std::string answer = big.substr(big.find("\r\n"));
    answer.insert(0, "SIP/2.0 200 OK");
    const auto answered = feed(answer + body + kOptions, {}, 100);
    ASSERT_EQ(answered.size(), 2u);
    EXPECT_TRUE(answered[0].starts_with("200|z9hG4bK1|")) << answered[0];
    EXPECT_TRUE(answered[1].starts_with("OPTIONS"));
}

TEST(Framer, AHugeBodyEndsTheConnection) {  // SIP-3: nobody waits for a gigabyte
    std::string big = kOptions;
    const auto length = std::to_string(limits::kSipSkippedBodyBytes + 1);
    big.replace(big.find("Length: 0"), 9, "Length: " + length);
    EXPECT_EQ(feed(big + kOptions, {}), std::vector<std::string>{"413 body too long close answer"});
    big.replace(big.find(length), length.size(), std::to_string(limits::kSipSkippedBodyBytes));
    EXPECT_EQ(feed(big + kOptions, {}), std::vector<std::string>{"413 body too long answer"});
}

TEST(Framer, AnEndlessHeaderSectionIsRefusedAtTheBound) {  // SIP-3
    std::string endless = kOptions.substr(0, kOptions.size() - 2);
    while (endless.size() < limits::kSipHeaderBytes + 10)
        endless += "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n";
    const auto whole = feed(endless, {});
    EXPECT_EQ(whole.at(0).substr(0, 4), "513 ");
    EXPECT_NE(whole.at(0).find("close answer"), std::string::npos);
}

TEST(Framer, MoreViaThanTheBoundAreRefusedAndTheStreamGoesOn) {  // SIP-3
    const auto with = [](std::size_t count) {
        std::string text = kOptions;
        std::string more;
        for (std::size_t i = 1; i < count; ++i) more += ", SIP/2.0/UDP h" + std::to_string(i);
        text.insert(text.find("\r\nFrom"), more);
        return text;
    };
    const auto out = feed(with(limits::kSipVias) + with(limits::kSipVias + 1) + kOptions, {});
    ASSERT_EQ(out.size(), 3u);
    EXPECT_TRUE(out[0].starts_with("OPTIONS")) << out[0];
    EXPECT_EQ(out[1], "513 too many Via answer");
    EXPECT_TRUE(out[2].starts_with("OPTIONS")) << out[2];
}

// Reads of one byte must not cost a new look at all that is there: 30 KB a byte at a time, and no
// message is parsed more than a few times. (Quadratic work would be 450 MB of scanning for the
// short reads alone.)
TEST(Framer, DoesNotStartAgainForEachRead) {
    std::string text = kOptions;
    text.insert(text.find("Call-ID"), "X: " + std::string(30'000, 'x') + "\r\n");
    Framer framer(test::kBodyMax);
    Message message;
    std::size_t messages = 0;
    for (std::size_t size = 1; size <= text.size(); ++size) {
        const Frame frame = framer.next(MutableBytes(text.data(), size), message);
        // While it waits, the framer has not touched the message since the first attempt.
        if (size > 40 && size < text.size()) {
            ASSERT_EQ(message.header_count, 0u);
        }
        if (frame.kind == FrameKind::kMessage) ++messages;
    }
    EXPECT_EQ(messages, 1u);
}

TEST(Datagram, IsOneMessageWhateverFollows) {  // SIP-41
    test::Read read("\r\n" + kOptions + "INVITE ...");
    const Frame frame = read.datagram();
    EXPECT_EQ(frame.kind, FrameKind::kMessage);
    EXPECT_EQ(frame.consumed, read.buffer.size());
    EXPECT_EQ(read.message.method, Method::kOptions);
    EXPECT_EQ(test::Read(std::string("\r\n\r\n")).datagram().kind, FrameKind::kPing);
    EXPECT_EQ(test::Read(std::string("\r\n")).datagram().kind, FrameKind::kPong);
    EXPECT_EQ(test::Read(std::string()).datagram().kind, FrameKind::kPong);
    const Frame cut = test::Read(kOptions.substr(0, 60)).datagram();
    EXPECT_EQ(cut.kind, FrameKind::kMalformed);
    EXPECT_EQ(cut.status, 400);
    EXPECT_FALSE(cut.close);
}

}  // namespace
}  // namespace fedgate::sip
