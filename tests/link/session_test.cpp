// One link: greeting, counts, bounds, silence, and what becomes of frames when it breaks.
#include "appliance/link/session.hpp"

#include <gtest/gtest.h>

#include "core/base/limits.hpp"
#include "tests/link/session_support.hpp"

namespace fedgate::link {
namespace {

using namespace test;
using Seen = std::vector<std::string>;
using State = Session::State;

constexpr Instant kStart{std::chrono::hours(1)};

FromPartner from(Bytes stanza) { return {"b.example", Proof::kCertificate, stanza}; }
ToPartner to(Ticket ticket, Bytes stanza) { return {ticket, "a.example", "b.example", stanza}; }
Outcome outcome(Ticket ticket) { return {ticket, Fate::kWritten}; }

// The gateway dials, the edge answers.
class LinkSession : public testing::Test {
protected:
    void connect(std::uint64_t fresh = 7) {
        gateway.session.open(now);
        const std::string hello = gateway.take_out();
        const FrameRead read = read_frame(hello, kLinkMinor);
        ASSERT_EQ(read.status, FrameRead::Status::kWhole);
        edge.session.accept(std::get<Hello>(read.frame), id_of(fresh), now);
        to_gateway();
        to_edge();
    }
    void up() {
        connect();
        gateway.take_seen();
        edge.take_seen();
    }
    void to_gateway() {
        const std::string bytes = edge.take_out();
        EXPECT_EQ(gateway.session.receive(bytes, now), bytes.size());
    }
    void to_edge() {
        const std::string bytes = gateway.take_out();
        EXPECT_EQ(edge.session.receive(bytes, now), bytes.size());
    }
    void cut() {  // and what is on its way is lost
        gateway.session.broken(now);
        edge.session.broken(now);
        gateway.take_out();
        edge.take_out();
    }
    void wait(Duration time) {
        now += time;
        gateway.session.on_time(now);
        edge.session.on_time(now);
    }

    Instant now = kStart;
    Side gateway{Role::kGateway, 1};
    Side edge{Role::kEdge, 2};
};

TEST_F(LinkSession, BothSayWhoTheyAre) {
    EXPECT_FALSE(gateway.session.send(to(1, "<a/>")));
    EXPECT_EQ(gateway.session.deadline(), kNever);
    gateway.session.open(now);
    EXPECT_EQ(gateway.session.deadline(), now + kHelloWithin);
    EXPECT_FALSE(gateway.session.send(to(1, "<a/>")));
    const std::string hello = gateway.take_out();
    const FrameRead read = read_frame(hello, kLinkMinor);
    ASSERT_EQ(read.status, FrameRead::Status::kWhole);
    EXPECT_FALSE(Session::fault_of(std::get<Hello>(read.frame), Role::kEdge));
    edge.session.accept(std::get<Hello>(read.frame), id_of(7), now);
    EXPECT_EQ(edge.take_seen(), (Seen{"up"}));
    EXPECT_EQ(edge.session.peer().node, "gw1");
    EXPECT_EQ(edge.session.peer().instance, id_of(1));
    to_gateway();
    EXPECT_EQ(gateway.take_seen(), (Seen{"up", "room"}));
    EXPECT_EQ(gateway.session.peer().node, "edge1");
    EXPECT_EQ(gateway.session.id(), id_of(7));
    ASSERT_TRUE(gateway.session.send(to(1, "<a/>")));
    ASSERT_TRUE(edge.session.send(from("<b/>")));
    ASSERT_TRUE(edge.session.send(outcome(1)));
    ASSERT_TRUE(edge.session.send(
        PartnerNews{PartnerNews::Kind::kUp, Fault::kNone, "a.example", "b.example"}));
    to_edge();
    to_gateway();
    EXPECT_EQ(edge.take_seen(), (Seen{"to 1 <a/>"}));
    EXPECT_EQ(gateway.take_seen(), (Seen{"from <b/>", "outcome 1", "news b.example"}));
}

TEST_F(LinkSession, WhoDoesNotAnswerTheHelloIsGivenUp) {
    gateway.session.open(now);
    wait(kHelloWithin - 1ms);
    EXPECT_EQ(gateway.session.state(), State::kGreeting);
    wait(1ms);
    EXPECT_EQ(gateway.session.state(), State::kDown);
    EXPECT_EQ(gateway.take_seen(), (Seen{"down: no HELLO has come"}));
}

TEST_F(LinkSession, AnotherVersionOrTheSameRoleIsRefused) {
    Hello hello;
    hello.role = Role::kGateway;
    EXPECT_FALSE(Session::fault_of(hello, Role::kEdge));
    EXPECT_EQ(Session::fault_of(hello, Role::kGateway)->code, EndCode::kRefused);
    hello.major = kLinkMajor + 1;
    EXPECT_EQ(Session::fault_of(hello, Role::kEdge)->code, EndCode::kVersion);

    gateway.session.open(now);
    gateway.take_out();
    hello.role = Role::kEdge;
    std::string bytes;
    write_frame(bytes, hello);
    EXPECT_EQ(gateway.session.receive(bytes, now), bytes.size());
    EXPECT_EQ(gateway.session.state(), State::kDown);
    const auto out = gateway.take_out();
    ASSERT_EQ(frames_of(out).size(), 1u);
    EXPECT_EQ(std::get<End>(frames_of(out)[0]).code, EndCode::kVersion);
}

TEST_F(LinkSession, AcknowledgesByNumberBytesAndTime) {
    up();
    for (std::size_t i = 0; i + 1 < limits::kLinkAckFrames; ++i) {
        ASSERT_TRUE(edge.session.send(outcome(i)));
    }
    to_gateway();
    EXPECT_EQ(gateway.out, "");
    EXPECT_GT(edge.session.unacknowledged_bytes(Lane::kNews), 0u);
    EXPECT_EQ(gateway.session.deadline(), now + kAckWithin);
    ASSERT_TRUE(edge.session.send(outcome(99)));
    to_gateway();
    to_edge();
    EXPECT_EQ(edge.session.unacknowledged_bytes(Lane::kNews), 0u);

    ASSERT_TRUE(edge.session.send(from(std::string(limits::kLinkAckBytes, 's'))));
    to_gateway();
    to_edge();
    EXPECT_TRUE(edge.session.settled());

    ASSERT_TRUE(edge.session.send(from("<b/>")));
    to_gateway();
    wait(kAckWithin - 1ms);
    EXPECT_EQ(gateway.out, "");
    wait(1ms);
    to_edge();
    EXPECT_TRUE(edge.session.settled());
}

TEST_F(LinkSession, AtTheWindowNothingIsTaken) {
    up();
    gateway.refusing = true;
    const std::string stanza(100'000, 's');
    std::size_t taken = 0;
    while (edge.session.send(from(stanza))) ++taken;
    EXPECT_EQ(taken, limits::kLinkWindowBytes / 100'000);
    EXPECT_LE(edge.session.unacknowledged_bytes(Lane::kStanzas), limits::kLinkWindowBytes);
    EXPECT_TRUE(edge.session.send(outcome(1)));  // that lane is another one
    to_gateway();
    wait(kAckWithin);
    to_edge();
    EXPECT_EQ(gateway.take_seen(), (Seen{"outcome 1"}));  // overtakes what has to wait
    EXPECT_FALSE(edge.session.send(from(stanza)));
    EXPECT_EQ(edge.take_seen(), Seen{});

    gateway.refusing = false;
    gateway.session.offer(now);
    EXPECT_EQ(gateway.take_seen().size(), taken);
    wait(kAckWithin);
    to_edge();
    EXPECT_EQ(edge.take_seen(), (Seen{"room"}));
    EXPECT_TRUE(edge.session.settled());
    EXPECT_TRUE(edge.session.send(from(stanza)));
}

TEST_F(LinkSession, AloneAnyFramePasses) {
    up();
    const std::string stanza(limits::kLinkStanzaBytes, 's');
    ASSERT_TRUE(edge.session.send(from(stanza)));
    EXPECT_FALSE(edge.session.send(from("<b/>")));
    gateway.refusing = true;
    to_gateway();
    EXPECT_EQ(gateway.session.state(), State::kUp);
    gateway.refusing = false;
    gateway.session.offer(now);
    EXPECT_EQ(gateway.take_seen().size(), 1u);
    to_edge();
    EXPECT_TRUE(edge.session.send(from("<b/>")));
    EXPECT_LT(edge.session.memory(), 1u << 20);
}

TEST_F(LinkSession, WhoSendsMoreThanTheWindowIsPutOut) {
    up();
    gateway.refusing = true;
    std::string bytes;
    const std::string stanza(100'000, 's');
    for (int i = 0; i < 42; ++i) write_frame(bytes, from(stanza));
    EXPECT_EQ(gateway.session.receive(bytes, now), bytes.size());
    EXPECT_EQ(gateway.session.state(), State::kDown);
    EXPECT_EQ(gateway.take_seen(), (Seen{"down: more is sent than may be unacknowledged"}));
    EXPECT_LT(gateway.session.memory(), 1u << 20);
}

TEST_F(LinkSession, SilenceIsAskedAboutAndThenTheEnd) {
    up();
    wait(kPingAfter - 1ms);
    EXPECT_EQ(gateway.out, "");
    wait(1ms);
    ASSERT_EQ(frames_of(gateway.out).size(), 1u);
    to_edge();
    to_gateway();  // pings and a pong
    to_edge();
    EXPECT_EQ(gateway.out, "");
    wait(kPingAfter);
    wait(kDeadAfter - kPingAfter - 1ms);
    EXPECT_EQ(gateway.session.state(), State::kUp);
    EXPECT_EQ(frames_of(gateway.out).size(), 1u);  // asked once
    wait(1ms);
    EXPECT_EQ(gateway.session.state(), State::kDown);
    EXPECT_EQ(gateway.take_seen(), (Seen{"down: nothing was heard"}));
    EXPECT_TRUE(gateway.session.resumable());
}

TEST_F(LinkSession, ABrokenConnectionLosesAndDoublesNothing) {
    up();
    ASSERT_TRUE(edge.session.send(from("<b1/>")));
    ASSERT_TRUE(edge.session.send(outcome(1)));
    to_gateway();  // taken, and not acknowledged yet
    ASSERT_TRUE(edge.session.send(from("<b2/>")));
    ASSERT_TRUE(gateway.session.send(to(5, "<a/>")));
    gateway.take_seen();
    cut();  // neither has come
    EXPECT_FALSE(gateway.session.send(to(6, "<a/>")));
    wait(kResumeWithin - 1ms);
    connect(8);
    EXPECT_EQ(gateway.take_seen(), (Seen{"up again", "room", "from <b2/>"}));
    EXPECT_EQ(edge.take_seen(), (Seen{"up again", "to 5 <a/>"}));
    EXPECT_EQ(gateway.session.id(), id_of(7));
    wait(kAckWithin);
    to_gateway();
    to_edge();
    EXPECT_TRUE(gateway.session.settled());
    EXPECT_TRUE(edge.session.settled());
}

// It is not counted, and so it comes again.
TEST_F(LinkSession, WhatWasRefusedWhenItBrokeComesAgain) {
    up();
    gateway.refusing = true;
    ASSERT_TRUE(edge.session.send(from("<b1/>")));
    ASSERT_TRUE(edge.session.send(from("<b2/>")));
    to_gateway();
    cut();
    gateway.refusing = false;
    connect();
    EXPECT_EQ(gateway.take_seen(), (Seen{"up again", "from <b1/>", "from <b2/>"}));
}

TEST_F(LinkSession, ANewConnectionTakesThePlaceOfOneThatSeemsToStand) {
    up();
    ASSERT_TRUE(edge.session.send(from("<b1/>")));
    edge.take_out();
    gateway.session.broken(now);  // the edge has not noticed
    connect();
    EXPECT_EQ(gateway.take_seen(), (Seen{"up again", "from <b1/>"}));
    EXPECT_EQ(edge.take_seen(), (Seen{"up again"}));
}

TEST_F(LinkSession, AnotherProcessHasNothingOfIt) {
    up();
    ASSERT_TRUE(gateway.session.send(to(5, "<a5/>")));
    ASSERT_TRUE(gateway.session.send(to(6, "<a6/>")));
    to_edge();
    cut();
    Side other(Role::kEdge, 3);
    gateway.session.open(now);
    const std::string hello = gateway.take_out();
    other.session.accept(std::get<Hello>(read_frame(hello, kLinkMinor).frame), id_of(9), now);
    const std::string answer = other.take_out();
    EXPECT_EQ(gateway.session.receive(answer, now), answer.size());
    EXPECT_EQ(gateway.take_seen(), (Seen{"maybe to 5 <a5/>", "maybe to 6 <a6/>", "up"}));
    EXPECT_EQ(gateway.session.id(), id_of(9));
    EXPECT_TRUE(gateway.session.settled());
}

TEST_F(LinkSession, TooLateItIsAnotherSession) {
    up();
    ASSERT_TRUE(gateway.session.send(to(5, "<a/>")));
    ASSERT_TRUE(edge.session.send(from("<b/>")));
    cut();
    EXPECT_EQ(gateway.session.deadline(), now + kResumeWithin);
    wait(kResumeWithin);
    EXPECT_EQ(gateway.take_seen(), (Seen{"maybe to 5 <a/>"}));
    EXPECT_EQ(edge.take_seen(), (Seen{"maybe from <b/>"}));
    EXPECT_FALSE(gateway.session.resumable());
    EXPECT_EQ(gateway.session.deadline(), kNever);
    connect(8);
    EXPECT_EQ(gateway.take_seen(), (Seen{"up"}));
    EXPECT_EQ(gateway.session.id(), id_of(8));
}

// That a connection was tried meanwhile does not make the time longer.
TEST_F(LinkSession, AVainConnectionDoesNotKeepASession) {
    up();
    ASSERT_TRUE(gateway.session.send(to(5, "<a/>")));
    cut();
    wait(kResumeWithin - 1ms);
    gateway.session.open(now);
    gateway.session.broken(now);
    wait(1ms);
    EXPECT_EQ(gateway.take_seen(), (Seen{"maybe to 5 <a/>"}));
}

TEST_F(LinkSession, AnEndInOrderLeavesNoDoubt) {
    up();
    edge.refusing = true;
    ASSERT_TRUE(gateway.session.send(to(5, "<a5/>")));
    to_edge();
    ASSERT_TRUE(gateway.session.send(to(6, "<a6/>")));
    edge.refusing = false;
    edge.session.offer(now);  // 5 has been taken, and not yet acknowledged
    edge.session.end(EndCode::kDone, "");
    to_gateway();
    EXPECT_EQ(gateway.take_seen(), (Seen{"not to 6 <a6/>", "down: the peer has ended it"}));
    EXPECT_FALSE(gateway.session.resumable());
}

TEST_F(LinkSession, WhoEndsItWithSomethingUnacknowledgedIsInDoubt) {
    up();
    ASSERT_TRUE(gateway.session.send(to(5, "<a/>")));
    EXPECT_FALSE(gateway.session.settled());
    gateway.session.end(EndCode::kDone, "stops");
    EXPECT_EQ(gateway.take_seen(), (Seen{"maybe to 5 <a/>", "down: stops"}));
    to_edge();
    EXPECT_EQ(edge.take_seen(), (Seen{"to 5 <a/>", "down: stops"}));
}

TEST_F(LinkSession, DrainIsToldAgainOnEachConnection) {
    up();
    gateway.session.drain();
    to_edge();
    EXPECT_EQ(edge.take_seen(), (Seen{"drain"}));
    EXPECT_TRUE(edge.session.peer().draining);
    cut();
    EXPECT_FALSE(edge.session.peer().draining);
    connect();
    EXPECT_EQ(edge.take_seen(), (Seen{"up again", "drain"}));
}

TEST_F(LinkSession, FramesThatDoNotBelongEndIt) {
    const auto refused = [](Role role, const auto& frame, EndCode code) {
        const Instant at = kStart;
        Side side(role);
        Hello hello;
        hello.role = role == Role::kEdge ? Role::kGateway : Role::kEdge;
        side.session.accept(hello, id_of(7), at);
        side.take_out();
        std::string bytes;
        write_frame(bytes, frame);
        EXPECT_EQ(side.session.receive(bytes, at), bytes.size());
        EXPECT_EQ(side.session.state(), State::kDown);
        EXPECT_EQ(side.seen.size(), 2u);  // nothing of it was shown
        const auto out = side.take_out();
        const auto frames = frames_of(out);
        ASSERT_EQ(frames.size(), 2u);
        EXPECT_TRUE(std::holds_alternative<Ack>(frames[0]));
        EXPECT_EQ(std::get<End>(frames[1]).code, code);
    };
    refused(Role::kEdge, from("<b/>"), EndCode::kMalformed);
    refused(Role::kEdge, outcome(1), EndCode::kMalformed);
    refused(Role::kEdge, PartnerNews{PartnerNews::Kind::kUp, Fault::kNone, "a", "b"},
            EndCode::kMalformed);
    refused(Role::kGateway, to(1, "<a/>"), EndCode::kMalformed);
    refused(Role::kGateway, Hello{}, EndCode::kMalformed);
    refused(Role::kGateway, Ack{{1, 0}}, EndCode::kCount);
    refused(Role::kGateway, Ack{{0, 1}}, EndCode::kCount);
}

TEST_F(LinkSession, AHelloThatHasMoreThanWasSentIsRefused) {
    up();
    cut();
    Hello hello;
    hello.role = Role::kGateway;
    hello.session = id_of(7);
    hello.taken = {0, 1};
    edge.session.accept(hello, id_of(8), now);
    EXPECT_EQ(edge.session.state(), State::kDown);
    EXPECT_EQ(std::get<End>(frames_of(edge.out).at(0)).code, EndCode::kCount);
}

// While nodes of two versions talk: it would lose the body, and half of an answer is none.
TEST_F(LinkSession, AnOlderPeerGetsNoAnswerThatHasABody) {
    Hello hello;
    hello.role = Role::kGateway;
    hello.minor = kBodyMinor - 1;
    hello.window = limits::kLinkWindowBytes;
    edge.session.accept(hello, id_of(7), now);
    edge.take_out();
    for (const Bytes body : {Bytes("v=0"), Bytes()}) {
        ASSERT_TRUE(edge.session.send(
            Answer{5, Answer::Kind::kAnswered, 200, 0, "tag", "OK", "A: b\r\n", body}));
        const std::string out = edge.take_out();
        const auto answer = std::get<Answer>(frames_of(out).at(0));
        EXPECT_EQ(answer.ticket, 5U);
        EXPECT_EQ(answer.status, body.empty() ? 200 : 503);
        EXPECT_EQ(answer.to_tag, body.empty() ? "tag" : "");
    }
}

TEST_F(LinkSession, UnknownFramesOfANewerPeerCount) {
    Hello hello;
    hello.role = Role::kEdge;
    hello.minor = kLinkMinor + 1;
    hello.window = 1000;
    gateway.session.accept(hello, id_of(7), now);
    gateway.take_out();
    gateway.refusing = true;
    std::string bytes("\0\0\0\3\x5F??\0\0\0\1\xBF", 12);
    write_frame(bytes, from("<b/>"));
    bytes.append("\0\0\0\1\xBF\0\0\0\1\x3F", 10);
    EXPECT_EQ(gateway.session.receive(bytes, now), bytes.size());
    wait(kAckWithin);
    auto out = gateway.take_out();
    EXPECT_EQ(std::get<Ack>(frames_of(out).at(0)).taken, (Counts{1, 1}));
    gateway.refusing = false;
    gateway.session.offer(now);
    wait(kAckWithin);
    out = gateway.take_out();
    EXPECT_EQ(std::get<Ack>(frames_of(out).at(0)).taken, (Counts{1, 3}));
}

}  // namespace
}  // namespace fedgate::link
