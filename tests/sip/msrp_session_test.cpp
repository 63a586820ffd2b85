#include "sip/msrp_session.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sip/msrp_session_tables.hpp"
#include "tests/sip/msrp_support.hpp"

namespace fedgate::sip {
namespace {

using test::kAlice;
using test::kBob;
using test::msrp_answer;
using test::msrp_end;
using test::msrp_request;
using test::msrp_send;
using A = MsrpActions;
using S = MsrpState;
using Texts = std::vector<std::string>;

constexpr Instant kStart{};
constexpr std::size_t kSizeMax = 10'000;

// Bob's session with Alice, and what it wrote.
struct World {
    explicit World(MsrpRole role = MsrpRole::kPassive,
                   MsrpFailureReport reports = MsrpFailureReport::kYes, std::uint64_t their_max = 0,
                   std::size_t memory_max = 100'000) {
        memory.bytes_max = memory_max;
        terms.size_max = kSizeMax;
        terms.failure_report = reports;
        terms.memory = &memory;
        session = std::make_unique<MsrpSession>(terms,
                                                MsrpPeer{.role = role,
                                                         .our_path = kBob,
                                                         .their_path = kAlice,
                                                         .size_max = their_max,
                                                         .seed = 7},
                                                kStart);
    }
    // What comes in on its connection; the actions of all of it.
    A feed(const std::string& bytes, Instant now = kStart) {
        A actions = A::kNone;
        test::frame_msrp(
            bytes, {}, kSizeMax, [&](const MsrpFrame& frame, const MsrpMessage& message) {
                Sink out(room);
                actions = actions | (frame.kind == MsrpFrameKind::kRefused
                                         ? session->on_refused(message, frame.fault, out)
                                         : session->on_message(message, now, out));
                EXPECT_FALSE(out.overflowed());
                wrote += out.written();
                if (has(actions, A::kMessage) && !session->content().message_id.empty()) {
                    came.push_back(std::string(session->content().message_id) + "|" +
                                   std::string(session->content().content_type) + "|" +
                                   std::string(session->content().body) +
                                   (session->content().success_report ? "|report" : ""));
                }
            });
        return actions;
    }
    MsrpSent send(const MsrpOutgoing& message, Instant now = kStart) {
        Sink out(room);
        const MsrpSent sent = session->send(message, now, out);
        wrote += out.written();
        return sent;
    }
    void bind() {
        ASSERT_EQ(feed(msrp_request("bind", "SEND", "Message-ID: first\r\n") + msrp_end("bind")),
                  A::kBound);
    }
    // The statuses that it answered with, and what it sent: since it was asked last.
    Texts take_written() {
        Texts out;
        test::frame_msrp(
            wrote, {}, kSizeMax * 2, [&](const MsrpFrame& frame, const MsrpMessage& message) {
                EXPECT_EQ(frame.kind, MsrpFrameKind::kMessage);
                EXPECT_EQ(message.to.text, kAlice);
                EXPECT_EQ(message.from.text, kBob);
                last_transaction = message.transaction;
                last_message_id = message.message_id;
                out.push_back(message.method == MsrpMethod::kNone   ? std::to_string(message.status)
                              : message.method == MsrpMethod::kSend ? "SEND"
                                                                    : "REPORT");
            });
        wrote.clear();
        return out;
    }

    MsrpMemory memory;
    MsrpTerms terms;
    std::unique_ptr<MsrpSession> session;
    std::vector<char> room = std::vector<char>(1 << 17);
    std::string wrote;
    Texts came;
    std::string last_transaction;
    std::string last_message_id;
};

TEST(MsrpSession, EachStateAndEventIsInTheTableOrChangesNothing) {  // SESS-21, SESS-25
    using tables::msrp::kRows;
    for (int from = 0; from < static_cast<int>(S::kCount); ++from) {
        int ways_out = 0;
        for (const auto& row : kRows) {
            if (row.from != static_cast<S>(from)) continue;
            ++ways_out;
            EXPECT_NE(row.to, row.from);
            EXPECT_EQ(has(row.actions, A::kEnd), row.to == S::kOver && row.on != MsrpEvent::kEnd);
            EXPECT_EQ(has(row.actions, A::kBound), row.to == S::kBound);
        }
        EXPECT_EQ(ways_out == 0, static_cast<S>(from) == S::kOver);
    }
}

TEST(MsrpSession, IsBoundByTheFirstRequestForIt) {  // SESS-21
    World world;
    EXPECT_EQ(world.session->state(), S::kWaiting);
    EXPECT_EQ(world.session->deadline(), kStart + 30s);
    EXPECT_EQ(world.send({.tag = 1, .content_type = "text/plain", .body = "x"}),
              MsrpSent::kNotBound);
    world.bind();
    EXPECT_EQ(world.session->state(), S::kBound);
    EXPECT_EQ(world.session->deadline(), kNever);
    EXPECT_EQ(world.take_written(), Texts{"200"});
    EXPECT_EQ(world.last_transaction, "bind");
    // A first SEND with a body binds too.
    World other;
    EXPECT_EQ(other.feed(msrp_send("tid1", "abcd", "1-1/1", "x")), A::kBound | A::kMessage);
    // Nothing came: over.
    World third;
    EXPECT_EQ(third.session->on_time(kStart + 29s), A::kNone);
    EXPECT_EQ(third.session->on_time(kStart + 30s), A::kEnd);
    EXPECT_EQ(third.session->state(), S::kOver);
    EXPECT_EQ(third.session->deadline(), kNever);
}

TEST(MsrpSession, TheOneThatConnectsSaysSoFirst) {  // SESS-21
    World world(MsrpRole::kActive);
    EXPECT_EQ(world.session->state(), S::kConnecting);
    Sink out(world.room);
    EXPECT_EQ(world.session->on_connected(kStart + 1s, out), A::kNone);
    world.wrote = out.written();
    EXPECT_TRUE(world.wrote.find("Content-Type") == std::string::npos);
    EXPECT_EQ(world.take_written(), Texts{"SEND"});
    EXPECT_EQ(world.session->state(), S::kBinding);
    EXPECT_EQ(world.session->deadline(), kStart + 31s);
    EXPECT_EQ(world.feed(msrp_answer("other", "200 OK")), A::kNone);
    EXPECT_EQ(world.feed(msrp_answer(world.last_transaction, "200 OK")), A::kBound);
    EXPECT_EQ(world.session->state(), S::kBound);
    for (const char* const status : {"481", "506", "403", "400"}) {
        World refused(MsrpRole::kActive);
        Sink bind(refused.room);
        EXPECT_EQ(refused.session->on_connected(kStart, bind), A::kNone);
        refused.wrote = bind.written();
        static_cast<void>(refused.take_written());
        EXPECT_EQ(refused.feed(msrp_answer(refused.last_transaction, status)), A::kEnd);
        EXPECT_EQ(std::to_string(refused.session->outcome().status), status);
    }
    World silent(MsrpRole::kActive);
    Sink bind(silent.room);
    EXPECT_EQ(silent.session->on_connected(kStart, bind), A::kNone);
    EXPECT_EQ(silent.session->on_time(kStart + 30s), A::kEnd);
}

TEST(MsrpSession, WhatIsForNobodyIsAnswered481) {  // RFC 4975 5.4, 7.3
    const std::string line = "Message-ID: abcd\r\n";
    const std::string stranger = "msrp://alicepc.example.com:7777/other;tcp";
    const std::string elsewhere = "msrp://bob.example.com:8888/other;tcp";
    for (const auto& [to, from] :
         {std::pair{kBob, stranger}, {elsewhere, kAlice}, {kBob + " " + kBob, kAlice}}) {
        World world;
        EXPECT_EQ(world.feed(msrp_request("tid1", "SEND", line, to, from) + msrp_end("tid1")),
                  A::kNone);
        EXPECT_EQ(world.session->state(), S::kWaiting);
        EXPECT_TRUE(world.wrote.starts_with("MSRP tid1 481 ")) << world.wrote;
        world.wrote.clear();
        EXPECT_EQ(
            world.feed(msrp_request("tid1", "SEND", line + "Byte-Range: 0-0/0\r\n", to, from) +
                       msrp_end("tid1")),
            A::kNone);
        EXPECT_TRUE(world.wrote.starts_with("MSRP tid1 481 ")) << world.wrote;
    }
    World over;
    over.bind();
    EXPECT_EQ(over.session->end(), A::kNone);
    static_cast<void>(over.take_written());
    EXPECT_EQ(over.feed(msrp_send("tid1", "abcd", "1-1/1", "x")), A::kNone);
    EXPECT_EQ(over.take_written(), Texts{"481"});
    MsrpMessage report;
    const std::string head = msrp_request("tid1", "REPORT", line + "Status: 000 200\r\n");
    EXPECT_EQ(read_msrp_head(head, report).status, 0);
    EXPECT_EQ(judge_stray(report), 0);
}

TEST(MsrpSession, AnUnknownMethodIsAnswered501) {  // RFC 4975 7.3, 10.9
    World world;
    EXPECT_EQ(world.feed(msrp_request("tid1", "AUTH", "") + msrp_end("tid1")), A::kBound);
    EXPECT_EQ(world.take_written(), Texts{"501"});
}

TEST(MsrpSession, AWholeMessageIsAnsweredAndGivenOut) {  // SESS-23, RCPT-4
    World world;
    world.bind();
    // RFC 4975 11.1: what its Byte-Range says of its end is wrong in the example, and does not
    // count.
    EXPECT_EQ(world.feed(msrp_send("d93kswow", "12339sdqwer", "1-16/16", "Hi, I'm Alice!")),
              A::kMessage);
    EXPECT_EQ(world.feed(msrp_send("tid2", "abcd", "1-*/*", "x", '$', "Success-Report: yes\r\n")),
              A::kMessage);
    EXPECT_EQ(world.came,
              (Texts{"12339sdqwer|text/plain|Hi, I'm Alice!", "abcd|text/plain|x|report"}));
    EXPECT_EQ(world.take_written(), (Texts{"200", "200", "200"}));
}

TEST(MsrpSession, AnswersAsFarAsItIsAsked) {  // SESS-23, RFC 4975 7.1.2
    struct Case {
        const char* line;
        Texts good, bad;
    };
    for (const Case& c : {Case{"Failure-Report: yes\r\n", {"200"}, {"413"}},
                          {"Failure-Report: partial\r\n", {}, {"413"}},
                          {"Failure-Report: no\r\n", {}, {}}}) {
        World world;
        world.bind();
        static_cast<void>(world.take_written());
        EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-1/1", "x", '$', c.line)), A::kMessage);
        EXPECT_EQ(world.take_written(), c.good);
        EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-1/10001", "x", '+', c.line)), A::kNone);
        EXPECT_EQ(world.take_written(), c.bad);
    }
}

TEST(MsrpSession, ChunksBecomeAMessageInAnyOrder) {  // SESS-23, RFC 4975 5.1
    const Texts chunks = {
        msrp_send("tid1", "4564dpWd", "1-*/8", "abc", '+'),
        msrp_send("tid2", "4564dpWd", "4-*/*", "d", '+'),
        msrp_send("tid3", "4564dpWd", "5-8/8", "EFGH", '$', "Success-Report: yes\r\n")};
    std::array<std::size_t, 3> order = {0, 1, 2};
    do {
        World world;
        world.bind();
        static_cast<void>(world.take_written());
        EXPECT_EQ(world.feed(chunks[order[0]] + chunks[order[1]]), A::kNone);
        EXPECT_EQ(world.memory.bytes, order[2] == 2 ? 4u : 8u);
        EXPECT_EQ(world.session->deadline(), kStart + 60s);
        EXPECT_EQ(world.feed(chunks[order[2]]), A::kMessage);
        EXPECT_EQ(world.came, Texts{"4564dpWd|text/plain|abcdEFGH|report"});
        EXPECT_EQ(world.take_written(), (Texts{"200", "200", "200"}));
        EXPECT_EQ(world.memory.bytes, 0u);
        EXPECT_EQ(world.session->deadline(), kNever);
    } while (std::ranges::next_permutation(order).found);
}

TEST(MsrpSession, WhereChunksOverlapTheLaterOneHolds) {  // RFC 4975 5.1
    World world;
    world.bind();
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-4/*", "aaaa", '+') +
                         msrp_send("tid2", "abcd", "7-9/*", "ccc", '+') +
                         msrp_send("tid3", "abcd", "3-8/*", "bbbbbb", '+') +
                         msrp_send("tid4", "abcd", "10-9/9", "")),
              A::kMessage);
    EXPECT_EQ(world.came, Texts{"abcd|text/plain|aabbbbbbc"});
}

TEST(MsrpSession, SeveralMessagesMayBeInterleaved) {  // RFC 4975 5.1
    World world;
    world.bind();
    EXPECT_EQ(world.feed(msrp_send("tid1", "aaaa", "1-*/4", "ab", '+') +
                         msrp_send("tid2", "bbbb", "1-*/2", "x", '+') +
                         msrp_send("tid3", "cccc", "1-1/1", "whole") +
                         msrp_send("tid4", "bbbb", "2-2/2", "y") +
                         msrp_send("tid5", "aaaa", "3-4/4", "cd")),
              A::kMessage);
    EXPECT_EQ(world.came,
              (Texts{"cccc|text/plain|whole", "bbbb|text/plain|xy", "aaaa|text/plain|abcd"}));
}

TEST(MsrpSession, OneMoreThanTheBoundIsStopped) {
    World world;
    world.bind();
    for (std::size_t i = 0; i < limits::kMsrpPartials; ++i) {
        EXPECT_EQ(world.feed(msrp_send("tid1", "msg" + std::to_string(i), "1-*/*", "a", '+')),
                  A::kNone);
    }
    static_cast<void>(world.take_written());
    EXPECT_EQ(world.feed(msrp_send("tid1", "more", "1-*/*", "a", '+')), A::kNone);
    EXPECT_EQ(world.take_written(), Texts{"413"});
    EXPECT_EQ(world.feed(msrp_send("tid1", "whole", "1-1/1", "a")), A::kMessage);
    EXPECT_EQ(world.feed(msrp_send("tid1", "msg0", "2-2/2", "b")), A::kMessage);
    EXPECT_EQ(world.feed(msrp_send("tid1", "more", "1-*/*", "a", '+')), A::kNone);
    EXPECT_EQ(world.take_written(), (Texts{"200", "200", "200"}));
}

TEST(MsrpSession, APieceMoreThanTheBoundIsStopped) {
    World world;
    world.bind();
    static_cast<void>(world.take_written());
    for (std::size_t i = 0; i < limits::kMsrpPieces; ++i) {
        EXPECT_EQ(
            world.feed(msrp_send("tid1", "abcd", std::to_string(2 * i + 2) + "-*/*", "a", '+')),
            A::kNone);
    }
    EXPECT_EQ(world.take_written(), Texts(limits::kMsrpPieces, "200"));
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "100-*/*", "a", '+')), A::kDropped);
    EXPECT_EQ(world.take_written(), Texts{"413"});
    EXPECT_EQ(world.memory.bytes, 0u);
}

TEST(MsrpSession, ATooLongMessageIsStoppedAtOnce) {  // SESS-23, RFC 7573 8
    const std::string most(kSizeMax, 'x');
    World world;
    world.bind();
    static_cast<void>(world.take_written());
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-*/*", most)), A::kMessage);
    // By what it says; by what comes; by what comes in pieces; by where a piece is.
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-1/10001", "x", '+')), A::kNone);
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-*/*", most + "x")), A::kNone);
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-*/*", most, '+')), A::kNone);
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "10001-*/*", "x")), A::kDropped);
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "4294967295-*/*", "x")), A::kNone);
    EXPECT_EQ(world.take_written(), (Texts{"200", "413", "413", "200", "413", "413"}));
    // What had come of it is dropped, also where the framer refused the rest.
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-*/*", "x", '+') +
                         msrp_send("tid1", "abcd", "2-*/*", most + most, '+')),
              A::kDropped);
    EXPECT_EQ(world.take_written(), (Texts{"200", "413"}));
    EXPECT_EQ(world.memory.bytes, 0u);
    // Without a body there is nothing for the framer to stop at.
    EXPECT_EQ(
        world.feed(msrp_send("tid1", "abcd", "1-*/*", "x", '+') +
                   msrp_request("tid1", "SEND", "Message-ID: abcd\r\nByte-Range: 2-1/10001\r\n") +
                   msrp_end("tid1")),
        A::kDropped);
}

TEST(MsrpSession, TheMemoryOfAShardIsABoundOfAll) {
    World world(MsrpRole::kPassive, MsrpFailureReport::kYes, 0, 10);
    world.bind();
    static_cast<void>(world.take_written());
    EXPECT_EQ(world.feed(msrp_send("tid1", "aaaa", "1-*/*", "123456", '+')), A::kNone);
    EXPECT_EQ(world.feed(msrp_send("tid1", "bbbb", "1-*/*", "12345", '+')), A::kDropped);
    EXPECT_EQ(world.feed(msrp_send("tid1", "cccc", "1-*/*", "1234", '+')), A::kNone);
    EXPECT_EQ(world.take_written(), (Texts{"200", "413", "200"}));
    EXPECT_EQ(world.memory.bytes, 10u);
    world.session.reset();
    EXPECT_EQ(world.memory.bytes, 0u);
}

// Else a byte would take the memory of a whole message from everybody.
TEST(MsrpSession, OnlySoMuchMayBeMissingBetweenPieces) {
    constexpr std::size_t kMost = 2 * limits::kMsrpChunkBytes;
    World world;
    world.bind();
    static_cast<void>(world.take_written());
    const auto feed = [&world](const char* id, std::size_t first) {
        return world.feed(msrp_send("tid1", id, std::to_string(first) + "-*/*", "x", '+'));
    };
    EXPECT_EQ(feed("aaaa", kMost + 2), A::kDropped);
    EXPECT_EQ(feed("bbbb", kMost + 1), A::kNone);
    EXPECT_EQ(feed("bbbb", kMost + 2), A::kNone);
    EXPECT_EQ(feed("cccc", kMost / 2 + 1), A::kNone);
    EXPECT_EQ(feed("cccc", kMost + 2), A::kNone);
    EXPECT_EQ(world.memory.bytes, 2 * (kMost + 2));
    EXPECT_EQ(feed("cccc", kMost + 4), A::kDropped);  // all gaps together
    EXPECT_EQ(world.take_written(), (Texts{"413", "200", "200", "200", "200", "413"}));
    EXPECT_EQ(world.memory.bytes, kMost + 2);
}

TEST(MsrpSession, AnAbortedMessageIsDiscarded) {  // SESS-23
    World world;
    world.bind();
    static_cast<void>(world.take_written());
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-*/*", "x", '+') +
                         msrp_send("tid2", "abcd", "2-*/*", "y", '#')),
              A::kDropped);
    EXPECT_EQ(
        world.feed(msrp_request("tid1", "SEND", "Message-ID: abcd\r\n") + msrp_end("tid1", '#')),
        A::kNone);
    EXPECT_EQ(world.take_written(), (Texts{"200", "200", "200"}));
    EXPECT_EQ(world.memory.bytes, 0u);
    EXPECT_TRUE(world.came.empty());
}

TEST(MsrpSession, AMessageWithTwoEndsIsRefused) {
    for (const std::string& second :
         {msrp_send("tid2", "abcd", "6-6/*", "z"), msrp_send("tid2", "abcd", "2-2/*", "z"),
          msrp_send("tid2", "abcd", "6-6/*", "z", '+')}) {
        World world;
        world.bind();
        static_cast<void>(world.take_written());
        EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "3-4/4", "xy") + second), A::kDropped);
        EXPECT_EQ(world.take_written(), (Texts{"200", "400"}));
    }
}

TEST(MsrpSession, AMessageThatDoesNotGoOnIsGivenUp) {
    World world;
    world.bind();
    EXPECT_EQ(world.feed(msrp_send("tid1", "abcd", "1-*/*", "x", '+')), A::kNone);
    EXPECT_EQ(world.feed(msrp_send("tid2", "abcd", "2-*/*", "x", '+'), kStart + 30s), A::kNone);
    EXPECT_EQ(world.session->on_time(kStart + 59s), A::kNone);
    EXPECT_EQ(world.session->deadline(), kStart + 60s);  // however it drips
    EXPECT_EQ(world.session->on_time(kStart + 60s), A::kDropped);
    EXPECT_EQ(world.session->deadline(), kNever);
    EXPECT_EQ(world.memory.bytes, 0u);
}

TEST(MsrpSession, OnlyTypesThatWereOfferedAreTaken) {  // SESS-20, RFC 4975 10.6
    struct Case {
        const char* accepted;
        const char* type;
        bool good;
    };
    for (const Case& c :
         {Case{"text/plain application/im-iscomposing+xml", "TEXT/Plain; charset=utf-8", true},
          {"text/plain application/im-iscomposing+xml", "application/im-iscomposing+xml", true},
          {"text/plain", "text/html", false},
          {"text/plain", "text", false},
          {"text/plain", "text/plainer", false},
          {"text/*", "text/html", true},
          {"text/*", "image/png", false},
          {"text/plain *", "image/png", true},
          {"", "text/plain", false}}) {
        World world;
        world.terms.accept_types = c.accepted;
        world.bind();
        static_cast<void>(world.take_written());
        const std::string head =
            std::string("Message-ID: abcd\r\nContent-Type: ") + c.type + "\r\n\r\n";
        EXPECT_EQ(world.feed(msrp_request("tid1", "SEND", head) + "x\r\n" + msrp_end("tid1")),
                  c.good ? A::kMessage : A::kNone)
            << c.accepted << c.type;
        EXPECT_EQ(world.take_written(), Texts{c.good ? "200" : "415"});
    }
    World world;
    world.bind();
    static_cast<void>(world.take_written());
    const std::string type = "text/plain;x=" + std::string(limits::kMsrpContentTypeBytes, 'x');
    EXPECT_EQ(world.feed(msrp_request("tid1", "SEND",
                                      "Message-ID: abcd\r\nContent-Type: " + type + "\r\n\r\n") +
                         "x\r\n" + msrp_end("tid1")),
              A::kNone);
    EXPECT_EQ(world.take_written(), Texts{"415"});
}

TEST(MsrpSession, AMessageGoesOutWholeOrInChunks) {  // SESS-22
    World world(MsrpRole::kPassive, MsrpFailureReport::kNo);
    world.bind();
    static_cast<void>(world.take_written());
    for (const std::size_t size : {0u, 1u, 2'048u, 2'049u, 9'000u}) {
        std::string body(size, 'x');
        for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 23);
        EXPECT_EQ(
            world.send(
                {.tag = 1, .content_type = "text/plain", .body = body, .success_report = true}),
            MsrpSent::kSent);
        std::string joined;
        std::string ids;
        std::size_t chunks = 0;
        test::frame_msrp(
            world.wrote, {}, kSizeMax, [&](const MsrpFrame&, const MsrpMessage& message) {
                EXPECT_LE(message.body.size(), limits::kMsrpChunkBytes);
                EXPECT_EQ(message.range.first, joined.size() + 1);
                EXPECT_EQ(message.range.last, joined.size() + message.body.size());
                EXPECT_EQ(message.range.total, size);
                EXPECT_EQ(message.failure_report, MsrpFailureReport::kNo);  // SESS-24
                EXPECT_TRUE(message.success_report);                        // RCPT-1
                EXPECT_EQ(ids.find(std::string(message.transaction) + "|"), std::string::npos);
                ids += std::string(message.transaction) + "|";
                joined += message.body;
                ++chunks;
                EXPECT_EQ(message.flag, joined.size() == size ? MsrpFlag::kLast : MsrpFlag::kMore);
            });
        EXPECT_EQ(joined, body);
        EXPECT_EQ(chunks, std::max<std::size_t>(1, (size + 2'047) / 2'048));
        world.wrote.clear();
    }
}

TEST(MsrpSession, WhatWeSendIsWhatAPeerOfOursTakes) {  // SESS-22, SESS-23
    World bob(MsrpRole::kPassive, MsrpFailureReport::kYes);
    bob.bind();
    bob.wrote.clear();
    const std::string body(9'000, 'y');
    EXPECT_EQ(
        bob.send({.tag = 5, .content_type = "text/plain", .body = body, .success_report = true}),
        MsrpSent::kSent);
    MsrpMemory memory{.bytes_max = kSizeMax};
    MsrpTerms terms{.size_max = kSizeMax, .memory = &memory};
    MsrpSession alice(
        terms, {.role = MsrpRole::kPassive, .our_path = kAlice, .their_path = kBob, .seed = 8},
        kStart);
    std::string answers;
    test::frame_msrp(bob.wrote, {}, kSizeMax, [&](const MsrpFrame&, const MsrpMessage& message) {
        Sink out(bob.room);
        const A actions = alice.on_message(message, kStart, out);
        if (has(actions, A::kMessage)) {
            EXPECT_EQ(alice.content().body, body);
            EXPECT_TRUE(alice.report(alice.content().message_id, body.size(), out));
        }
        answers += out.written();
    });
    EXPECT_EQ(bob.feed(answers), A::kAccepted | A::kDelivered);  // RCPT-2, RCPT-3
    EXPECT_EQ(bob.session->outcome().tag, 5u);
    EXPECT_EQ(bob.session->deadline(), kNever);
}

TEST(MsrpSession, AWishedTransactionIdIsUsedIfItCanBe) {  // SESS-22, RFC 4975 7.1
    World world;
    world.bind();
    static_cast<void>(world.take_written());
    const auto id_of = [&world](const char* wish, const std::string& body) {
        EXPECT_EQ(
            world.send({.tag = 1, .transaction = wish, .content_type = "text/plain", .body = body}),
            MsrpSent::kSent);
        static_cast<void>(world.take_written());
        return world.last_transaction;
    };
    EXPECT_EQ(id_of("stanza-1", "x"), "stanza-1");
    EXPECT_NE(id_of("stanza-1", "x"), "stanza-1");  // in use
    EXPECT_NE(id_of("stanza-1.2", "x"), "stanza-1.2");
    EXPECT_NE(id_of("a b", "x"), "a b");
    EXPECT_NE(id_of("abcdefghijklmnopqrstuvwxyz", "x"),
              "abcdefghijklmnopqrstuvwxyz");  // no room for chunks
    EXPECT_NE(id_of("stanza-2", "x\r\n-------stanza-2$\r\n"), "stanza-2");
    EXPECT_EQ(id_of("stanza-2", "x"), "stanza-2");
}

TEST(MsrpSession, AnAnswerIsAnActionForItsMessage) {  // SESS-25
    struct Case {
        const char* status;
        A actions;
    };
    for (const Case& c : {Case{"200 OK", A::kAccepted},
                          {"408", A::kFailed | A::kEnd},
                          {"413", A::kFailed | A::kEnd},
                          {"415", A::kFailed | A::kEnd},
                          {"481", A::kFailed | A::kEnd},
                          {"501", A::kFailed | A::kEnd},
                          {"506", A::kFailed | A::kEnd},
                          {"403", A::kFailed}}) {
        World world;
        world.bind();
        EXPECT_EQ(world.send({.tag = 4, .content_type = "text/plain", .body = "other"}),
                  MsrpSent::kSent);
        static_cast<void>(world.take_written());
        EXPECT_EQ(world.send({.tag = 5, .content_type = "text/plain", .body = "x"}),
                  MsrpSent::kSent);
        static_cast<void>(world.take_written());
        EXPECT_EQ(world.feed(msrp_answer(world.last_transaction, c.status)), c.actions) << c.status;
        EXPECT_EQ(world.feed(msrp_answer(world.last_transaction, c.status)), A::kNone);
        EXPECT_EQ(world.session->outcome().tag, 5u);
        EXPECT_EQ(world.session->outcome().status, std::stoi(c.status));
        // The other one is lost with the session, and only then.
        MsrpOutcome lost;
        EXPECT_EQ(world.session->take_failed(lost), has(c.actions, A::kEnd));
        EXPECT_EQ(lost.tag, has(c.actions, A::kEnd) ? 4u : 0u);
        EXPECT_FALSE(world.session->take_failed(lost));
    }
}

TEST(MsrpSession, WhatNobodyAsksAfterEndsNothing) {  // CS-9
    for (const char* const status : {"413", "415"}) {
        World world;
        world.bind();
        EXPECT_EQ(world.send({.content_type = "application/im-iscomposing+xml", .body = "x"}),
                  MsrpSent::kSent);
        static_cast<void>(world.take_written());
        EXPECT_EQ(world.feed(msrp_answer(world.last_transaction, status)), A::kNone);
        EXPECT_EQ(world.session->state(), S::kBound);
        EXPECT_EQ(world.session->outcome().status, std::stoi(status));
    }
}

TEST(MsrpSession, EachChunkIsAnswered) {
    World world;
    world.bind();
    static_cast<void>(world.take_written());
    const std::string body(5'000, 'x');
    EXPECT_EQ(
        world.send({.tag = 5, .transaction = "long", .content_type = "text/plain", .body = body}),
        MsrpSent::kSent);
    EXPECT_EQ(world.feed(msrp_answer("long.0", "200 OK") + msrp_answer("long.1", "200 OK")),
              A::kNone);
    EXPECT_EQ(world.session->deadline(), kStart + 30s);
    EXPECT_EQ(world.feed(msrp_answer("longer", "413")), A::kNone);
    EXPECT_EQ(world.feed(msrp_answer("long.2", "200 OK")), A::kAccepted);
    EXPECT_EQ(world.session->deadline(), kStart + 60s);  // a REPORT may follow
    EXPECT_EQ(
        world.send({.tag = 6, .transaction = "long", .content_type = "text/plain", .body = body}),
        MsrpSent::kSent);
    EXPECT_EQ(world.feed(msrp_answer("long.1", "413")), A::kFailed | A::kEnd);
    EXPECT_EQ(world.session->outcome().tag, 6u);
}

TEST(MsrpSession, SilenceIsAFailureWhereAnswersWereAskedFor) {  // SESS-25, RFC 4975 7.1.2
    for (const MsrpFailureReport reports :
         {MsrpFailureReport::kYes, MsrpFailureReport::kPartial, MsrpFailureReport::kNo}) {
        World world(MsrpRole::kPassive, reports);
        world.bind();
        EXPECT_EQ(world.send({.tag = 5, .content_type = "text/plain", .body = "x"}, kStart + 1s),
                  MsrpSent::kSent);
        EXPECT_EQ(world.send(
                      {.tag = 6, .content_type = "text/plain", .body = "x", .success_report = true},
                      kStart + 1s),
                  MsrpSent::kSent);
        EXPECT_EQ(world.session->deadline(), kStart + 31s);
        EXPECT_EQ(world.session->on_time(kStart + 30s), A::kNone);
        if (reports == MsrpFailureReport::kYes) {
            EXPECT_EQ(world.session->on_time(kStart + 31s), A::kFailed | A::kEnd);
            EXPECT_EQ(world.session->outcome().tag, 5u);
            EXPECT_EQ(world.session->outcome().status, 408);
            continue;
        }
        EXPECT_EQ(world.session->on_time(kStart + 31s), A::kNone);
        EXPECT_EQ(world.session->deadline(), kStart + 301s);  // the receipt
        EXPECT_EQ(world.session->on_time(kStart + 301s), A::kNone);
        EXPECT_EQ(world.session->deadline(), kNever);
        EXPECT_EQ(world.session->state(), S::kBound);
    }
}

TEST(MsrpSession, ABrokenConnectionFailsWhatIsNotKnownToHaveArrived) {  // SESS-25
    World world;
    world.bind();
    for (std::uint64_t tag = 1; tag <= 4; ++tag) {
        const std::string id = "msg" + std::to_string(tag);
        EXPECT_EQ(world.send({.tag = tag,
                              .transaction = id,
                              .content_type = "text/plain",
                              .body = "x",
                              .success_report = tag == 2}),
                  MsrpSent::kSent);
    }
    EXPECT_EQ(world.feed(msrp_answer("msg1", "200 OK") + msrp_answer("msg2", "200 OK")),
              A::kAccepted);
    MsrpOutcome lost;
    EXPECT_FALSE(world.session->take_failed(lost));  // not while it lives
    EXPECT_EQ(world.session->on_lost(), A::kEnd);
    EXPECT_TRUE(world.session->take_failed(lost));
    EXPECT_EQ(lost.tag, 3u);
    EXPECT_EQ(lost.status, 408);
    EXPECT_TRUE(world.session->take_failed(lost));
    EXPECT_EQ(lost.tag, 4u);
    EXPECT_FALSE(world.session->take_failed(lost));
    EXPECT_EQ(world.session->on_lost(), A::kNone);
}

std::string report_of(const std::string& message_id, const std::string& range,
                      const std::string& status) {
    return msrp_request("rep1", "REPORT",
                        "Message-ID: " + message_id + "\r\nByte-Range: " + range +
                            "\r\nStatus: " + status + "\r\n") +
           msrp_end("rep1");
}

TEST(MsrpSession, AReportSaysThatItArrived) {  // RCPT-3, RFC 4975 7.1.2
    World world(MsrpRole::kPassive, MsrpFailureReport::kNo);
    world.bind();
    const auto sent = [&world](const std::string& body) {
        EXPECT_EQ(
            world.send(
                {.tag = 5, .content_type = "text/plain", .body = body, .success_report = true}),
            MsrpSent::kSent);
        static_cast<void>(world.take_written());
        return world.last_message_id;
    };
    const std::string id = sent("0123456789");
    EXPECT_EQ(world.feed(report_of("other", "1-10/10", "000 200 OK")), A::kNone);
    EXPECT_EQ(world.feed(report_of(id, "1-4/10", "000 200 OK")), A::kNone);  // a part of it
    EXPECT_EQ(world.feed(report_of(id, "6-10/10", "000 200 OK")),
              A::kNone);  // the fifth byte is missing
    EXPECT_EQ(world.feed(report_of(id, "5-99/10", "000 200 OK")), A::kDelivered);
    EXPECT_EQ(world.session->outcome().tag, 5u);
    EXPECT_EQ(world.feed(report_of(id, "1-10/10", "000 200 OK")), A::kNone);  // once
    EXPECT_EQ(world.feed(report_of(sent("x"), "1-1/1", "000 408 late")), A::kFailed);
    EXPECT_EQ(world.session->outcome().status, 408);
    EXPECT_EQ(world.feed(report_of(sent("x"), "1-1/1", "001 200 OK")), A::kNone);
    EXPECT_EQ(world.feed(report_of(sent(""), "1-0/0", "000 200")), A::kDelivered);
    EXPECT_TRUE(world.wrote.empty());  // no answer to a REPORT
}

TEST(MsrpSession, TooLongForThePeerIsNotSent) {  // a=max-size
    World world(MsrpRole::kPassive, MsrpFailureReport::kYes, 10);
    world.bind();
    static_cast<void>(world.take_written());
    EXPECT_EQ(world.send({.tag = 1, .content_type = "text/plain", .body = "0123456789a"}),
              MsrpSent::kTooLong);
    EXPECT_EQ(world.wrote, "");
    EXPECT_EQ(world.send({.tag = 1, .content_type = "text/plain", .body = "0123456789"}),
              MsrpSent::kSent);
}

TEST(MsrpSession, WithoutRoomNothingIsSent) {
    World world;
    world.bind();
    std::array<char, 3'000> small;
    Sink out(small);
    out.append("before");
    const std::string body(5'000, 'x');
    EXPECT_EQ(
        world.session->send({.tag = 1, .content_type = "text/plain", .body = body}, kStart, out),
        MsrpSent::kFull);
    EXPECT_EQ(out.written(), "before");
    EXPECT_FALSE(out.overflowed());
    EXPECT_EQ(world.session->deadline(), kNever);
    std::array<char, 20> tiny;
    Sink full(tiny);
    EXPECT_FALSE(world.session->report("abcd", 1, full));
    EXPECT_EQ(full.size(), 0u);
}

TEST(MsrpSession, OneMoreThanTheBoundWaits) {
    World world;
    world.bind();
    for (std::size_t i = 0; i < limits::kMsrpUnsettled; ++i) {
        EXPECT_EQ(world.send({.tag = 1,
                              .transaction = "first",
                              .content_type = "text/plain",
                              .body = "x",
                              .success_report = true}),
                  MsrpSent::kSent);
    }
    EXPECT_EQ(world.send({.tag = 1, .content_type = "text/plain", .body = "x"}), MsrpSent::kFull);
    EXPECT_EQ(world.feed(msrp_answer("first", "200 OK")), A::kAccepted);
    // What is answered waits for a receipt only, and gives way.
    EXPECT_EQ(world.send({.tag = 1, .content_type = "text/plain", .body = "x"}), MsrpSent::kSent);
    EXPECT_EQ(world.send({.tag = 1, .content_type = "text/plain", .body = "x"}), MsrpSent::kFull);
    World silent(MsrpRole::kPassive, MsrpFailureReport::kNo);
    silent.bind();
    for (std::size_t i = 0; i < 2 * limits::kMsrpUnsettled; ++i) {
        EXPECT_EQ(silent.send({.tag = 1, .content_type = "text/plain", .body = "x"}),
                  MsrpSent::kSent);
    }
}

// RFC 4975 7.1.2: what the peer has taken, a relay behind it may have lost.
TEST(MsrpSession, AfterA200AReportMaySayThatItFailed) {
    World world;
    world.bind();
    std::vector<std::string> ids;
    const auto sent = [&](std::uint64_t tag) {
        const std::string name = "text" + std::to_string(tag);
        EXPECT_EQ(world.send({.tag = tag,
                              .transaction = name,
                              .content_type = "text/plain",
                              .body = "0123456789"}),
                  MsrpSent::kSent);
        static_cast<void>(world.take_written());
        ids.push_back(world.last_message_id);
        EXPECT_EQ(world.feed(msrp_answer(name, "200 OK")), A::kAccepted);
        EXPECT_EQ(world.feed(msrp_answer(name, "200 OK")), A::kNone);  // once
        return world.last_message_id;
    };
    const std::string first = sent(1);
    EXPECT_TRUE(world.session->awaits(1));
    EXPECT_EQ(world.feed(msrp_answer("text1", "481 x")), A::kNone);
    EXPECT_EQ(world.feed(report_of(first, "1-10/10", "000 408 late")), A::kFailed);
    EXPECT_EQ(world.session->outcome().tag, 1u);
    EXPECT_EQ(world.session->outcome().status, 408);
    EXPECT_FALSE(world.session->awaits(1));
    EXPECT_EQ(world.feed(report_of(first, "1-10/10", "000 408 late")), A::kNone);  // once
    // One that arrived fails no more, asked or not.
    const std::string second = sent(2);
    EXPECT_EQ(world.feed(report_of(second, "1-10/10", "000 200 OK")), A::kNone);
    EXPECT_EQ(world.feed(report_of(second, "1-10/10", "000 408 late")), A::kNone);
    EXPECT_EQ(world.session->deadline(), kNever);
    // Not for ever, and not for ever more of them.
    for (std::uint64_t i = 0; i <= limits::kMsrpMayFail; ++i) sent(10 + i);
    EXPECT_FALSE(world.session->awaits(10));
    EXPECT_TRUE(world.session->awaits(11));
    EXPECT_EQ(world.session->deadline(), kStart + 60s);
    EXPECT_EQ(world.session->on_time(kStart + 59s), A::kNone);
    EXPECT_TRUE(world.session->awaits(11));
    EXPECT_EQ(world.session->on_time(kStart + 60s), A::kNone);
    EXPECT_FALSE(world.session->awaits(11));
    EXPECT_EQ(world.session->deadline(), kNever);
    EXPECT_EQ(world.feed(report_of(ids.back(), "1-10/10", "000 408 late")), A::kNone);
    // What is over does not make them fail.
    sent(30);
    static_cast<void>(world.session->on_lost());
    MsrpOutcome lost;
    EXPECT_FALSE(world.session->take_failed(lost));
}

// What has been answered gives way to what has not, and before what is to be receipted.
TEST(MsrpSession, WhatMayFailTakesNoPlaceThatIsNeeded) {
    World world;
    world.bind();
    const auto send = [&](std::uint64_t tag, const std::string& name, bool wanted) {
        return world.send({.tag = tag,
                           .transaction = name,
                           .content_type = "text/plain",
                           .body = "x",
                           .success_report = wanted});
    };
    for (std::size_t i = 1; i <= limits::kMsrpUnsettled; ++i) {
        const std::string name = "text" + std::to_string(i);
        EXPECT_EQ(send(i, name, i != 2), MsrpSent::kSent);
        EXPECT_EQ(world.feed(msrp_answer(name, "200 OK")), A::kAccepted);
    }
    EXPECT_EQ(send(100, "more1", true), MsrpSent::kSent);
    EXPECT_TRUE(world.session->awaits(1));
    EXPECT_FALSE(world.session->awaits(2));
    EXPECT_EQ(send(101, "more2", true), MsrpSent::kSent);
    EXPECT_FALSE(world.session->awaits(1));
}

TEST(MsrpSession, AnIdleOneIsSmall) { EXPECT_LE(sizeof(MsrpSession), 512u); }

}  // namespace
}  // namespace fedgate::sip
