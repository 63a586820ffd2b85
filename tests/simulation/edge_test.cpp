// The edge against the edge of a partner, on the simulation: who gets in, what gets through, what
// is told when it does not.
#include <gtest/gtest.h>

#include "tests/simulation/edge_pair.hpp"

namespace fedgate::simulation {
namespace {

TEST_F(EdgePair, AStanzaCrossesAsTheBytesItIs) {  // N4, N5: dialback over TLS
    start();
    ASSERT_TRUE(send_from_a(7));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); })) << a_->log() << b_->log();
    EXPECT_EQ(door_b_.got[0].domain, "a.example");
    EXPECT_EQ(door_b_.got[0].proof, link::Proof::kDialbackTls);
    EXPECT_EQ(door_b_.got[0].stanza,
              "<message from='u@a.example' to='v@b.example' id='m'><body>hello</body></message>");
    EXPECT_TRUE(until([&] { return door_a_.has(7, link::Fate::kWritten); }));
}

TEST_F(EdgePair, OneStreamServesMany) {  // X3, S2S-20
    start();
    for (link::Ticket ticket = 1; ticket <= 200; ++ticket) ASSERT_TRUE(send_from_a(ticket));
    ASSERT_TRUE(until([&] { return door_b_.got.size() >= 200; }));
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), 1U);
}

TEST_F(EdgePair, ABurstBeyondTheUnacknowledgedGoesOnAtOnce) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    constexpr std::size_t kBurst = limits::kUnacknowledgedStanzas + 500;
    for (link::Ticket ticket = 2; ticket <= kBurst; ++ticket) ASSERT_TRUE(send_from_a(ticket));
    const auto messages = [&] {
        return std::ranges::count_if(
            door_b_.got, [](const Door::Got& got) { return got.stanza.starts_with("<message"); });
    };
    EXPECT_TRUE(until([&] { return messages() == kBurst; }, 200ms)) << messages();
}

TEST_F(EdgePair, AStrangerIsRefused) {  // P1: default deny, ERR-46
    start();
    ASSERT_TRUE(a().take_stanza(
        {3, "a.example", "c.example", "<message from='u@a.example' to='v@c.example'/>"}));
    ASSERT_TRUE(until([&] { return door_a_.has(3, link::Fate::kFailed); }));
    EXPECT_EQ(door_a_.fault(3), link::Fault::kBlocked);
}

TEST_F(EdgePair, APartnerThatDoesNotKnowUsSaysSo) {  // ERR-44
    start({}, {{"partner/a.example/enabled", "no"}});
    ASSERT_TRUE(send_from_a(3));
    ASSERT_TRUE(until([&] { return door_a_.has(3, link::Fate::kFailed); }));
    EXPECT_EQ(door_a_.fault(3), link::Fault::kRemoteDenied) << b_->log();
    EXPECT_TRUE(door_b_.got.empty());
}

// S2S-21: what was final is asked again when its time is over.
TEST_F(EdgePair, ARefusalIsForgottenInTime) {
    start({}, {{"partner/a.example/enabled", "no"}});
    ASSERT_TRUE(send_from_a(3));
    ASSERT_TRUE(until([&] { return door_a_.has(3, link::Fate::kFailed); }));
    const std::uint64_t asked = b_->count(Counter::kXmppInAccepted);
    ASSERT_TRUE(send_from_a(4));
    ASSERT_TRUE(until([&] { return door_a_.has(4, link::Fate::kFailed); }));
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), asked);
    until([] { return false; }, 61s);
    ASSERT_TRUE(send_from_a(5));
    ASSERT_TRUE(until([&] { return door_a_.has(5, link::Fate::kFailed); }));
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), asked + 1);
}

// One that comes to us is there again, and has perhaps come to know us.
TEST_F(EdgePair, WhoComesToUsIsTriedAtOnce) {
    start({}, {{"partner/a.example/enabled", "no"}}, 2, true);
    ASSERT_TRUE(send_from_a(3));
    ASSERT_TRUE(until([&] { return door_a_.has(3, link::Fate::kFailed); }));
    EXPECT_EQ(door_a_.fault(3), link::Fault::kRemoteDenied) << b_->log();
    const auto rules = compile(server_rules("b.example", "a.example"));
    b().reload(*rules, b_->seats()[0].certificates);
    ASSERT_TRUE(send_from_a(4));
    ASSERT_TRUE(until([&] { return door_a_.has(4, link::Fate::kFailed); }));
    ASSERT_TRUE(b().take_stanza(
        {1, "b.example", "a.example", "<message from='v@b.example' to='u@a.example' id='m'/>"}));
    ASSERT_TRUE(until([&] { return !door_a_.got.empty(); })) << a_->log() << b_->log();
    ASSERT_TRUE(send_from_a(5));
    ASSERT_TRUE(until([&] { return door_a_.has(5, link::Fate::kWritten); }, 1s)) << a_->log();
    b_->seats()[0].edge.reset();
}

TEST_F(EdgePair, ADomainWithoutServerIsSaidSo) {  // ERR-40
    start({{"partner/nowhere.example/type", "federated"}});
    ASSERT_TRUE(a().take_stanza({3, "a.example", "nowhere.example",
                                 "<message from='u@a.example' to='v@nowhere.example'/>"}));
    ASSERT_TRUE(until([&] { return door_a_.has(3, link::Fate::kFailed); }));
    EXPECT_EQ(door_a_.fault(3), link::Fault::kNoSuchDomain);
}

// X7: whoever owns a pattern's names fills the table of streams for himself only.
TEST_F(EdgePair, APatternHasABoundOfItsOwn) {
    start({{"partner/*.many.example/type", "federated"},
           {"partner/*.many.example/enabled", "no"}});  // each refusal is remembered for a while
    const auto fault_of = [&](link::Ticket ticket) {
        const std::string domain = "d" + std::to_string(ticket) + ".many.example";
        EXPECT_TRUE(a().take_stanza(
            {ticket, "a.example", domain, "<message from='u@a.example' to='v@" + domain + "'/>"}));
        EXPECT_TRUE(until([&] { return !door_a_.outcomes.empty(); }, 1ms));
        return std::exchange(door_a_.outcomes, {})[0].fault;
    };
    for (link::Ticket ticket = 1; ticket < limits::kOutStreamsOfPattern; ++ticket) {
        ASSERT_EQ(fault_of(ticket), link::Fault::kBlocked);
    }
    EXPECT_EQ(fault_of(100'000), link::Fault::kBlocked);
    EXPECT_EQ(fault_of(100'001), link::Fault::kQueueFull);
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }, 900ms));
    door_a_.outcomes.clear();
    EXPECT_EQ(fault_of(100'002), link::Fault::kQueueFull);
    // What is not remembered any more makes room.
    until([] { return false; }, 32s);
    door_a_.outcomes.clear();
    EXPECT_EQ(fault_of(100'003), link::Fault::kBlocked);
}

TEST_F(EdgePair, ADeadServerIsSaidSoInTimeAndTrafficIsBackSoon) {  // ERR-41, DNS-8
    start();
    const SocketAddress listener = simulation_.address(b_->node(), 5269);
    simulation_.refuse_connects(listener, true);
    ASSERT_TRUE(send_from_a(3));
    ASSERT_TRUE(until([&] { return door_a_.has(3, link::Fate::kFailed); }, 8s));
    EXPECT_EQ(door_a_.fault(3), link::Fault::kUnreachable);
    simulation_.refuse_connects(listener, false);
    const Instant back = simulation_.now();
    link::Ticket ticket = 10;
    while (door_b_.got.empty() && simulation_.now() - back < 10s) {
        static_cast<void>(send_from_a(++ticket));
        until([&] { return !door_b_.got.empty(); }, 50ms);
    }
    EXPECT_FALSE(door_b_.got.empty());
    EXPECT_LT(simulation_.now() - back, 5s);
}

// The gateway hears on each shard what becomes of the way to a partner.
TEST_F(EdgePair, WhatBecomesOfTheWayIsNews) {
    using Kind = link::PartnerNews::Kind;
    constexpr std::uint32_t kShards = 3;
    start({{"xmpp.timeouts.inactivity", "60s"}}, {}, kShards);
    const auto told = [&](Kind kind) {
        const bool came = until([&] { return door_a_.news.size() >= kShards; }, 8s);
        const auto all = std::exchange(door_a_.news, {});
        return came && all.size() == kShards && std::ranges::all_of(all, [&](const auto& one) {
                   return one.kind == kind && one.domains == "a.example b.example";
               });
    };
    ASSERT_TRUE(send_from_a(1));
    EXPECT_TRUE(told(Kind::kUp));
    // Closed by us, since nobody needs it: no news.
    ASSERT_TRUE(until([&] { return a_->count(Counter::kXmppOutEstablished) == 0; }, 200s));
    until([] { return false; }, 5s);
    EXPECT_TRUE(door_a_.news.empty());
    ASSERT_TRUE(send_from_a(2));
    EXPECT_TRUE(told(Kind::kUp));
    // Broken, and not to be had again.
    simulation_.refuse_connects(simulation_.address(b_->node(), 5269), true);
    while (simulation_.break_connection(1)) {
    }
    EXPECT_TRUE(told(Kind::kBroke));
    ASSERT_TRUE(send_from_a(3));
    ASSERT_TRUE(until([&] { return door_a_.news.size() == kShards; }, 8s));
    EXPECT_EQ(door_a_.news[0].fault, link::Fault::kUnreachable);
    EXPECT_NE(door_a_.news[0].why.find("Connection refused"), std::string::npos);
    EXPECT_TRUE(told(Kind::kDown));
    // A stream of theirs that breaks: what was on it may be lost.
    simulation_.refuse_connects(simulation_.address(b_->node(), 5269), false);
    ASSERT_TRUE(b().take_stanza(
        {1, "b.example", "a.example", "<message from='v@b.example' to='u@a.example'/>"}));
    ASSERT_TRUE(until([&] { return !door_a_.got.empty(); }, 8s)) << a_->log();
    door_a_.news.clear();
    while (simulation_.break_connection(1)) {
    }
    EXPECT_TRUE(told(Kind::kBroke));
    // Theirs, closed in order.
    ASSERT_TRUE(b().take_stanza(
        {2, "b.example", "a.example", "<message from='v@b.example' to='u@a.example'/>"}));
    ASSERT_TRUE(until([&] { return door_a_.got.size() == 2; }, 8s)) << a_->log();
    EXPECT_TRUE(told(Kind::kSeen));
    b().drain();
    ASSERT_TRUE(until([&] { return a_->count(Counter::kXmppInEstablished) == 0; }, 8s));
    EXPECT_TRUE(door_a_.news.empty());
}

// The same with several targets, none of which even refuses; the last of them returns.
TEST_F(EdgePair, AllTargetsAreSilentAndTheLastOneReturns) {  // ERR-41, DNS-8
    start();
    for (std::uint16_t i = 0; i < 3; ++i) {
        const auto hole = simulation_.make_node();
        simulation_.make_loop(hole);
        simulation_.cut(a_->node(), hole);
        const std::string host = "hole" + std::to_string(i) + ".b.example";
        a_->seats()[0].resolver->add_srv("_xmpp-server._tcp.b.example", {i, 0, 5269, host});
        a_->seats()[0].resolver->add_address(host, simulation_.address(hole, 0));
    }
    simulation_.cut(a_->node(), b_->node());
    ASSERT_TRUE(send_from_a(3));
    ASSERT_TRUE(until([&] { return door_a_.has(3, link::Fate::kFailed); }, 30s));
    EXPECT_EQ(door_a_.fault(3), link::Fault::kUnreachable);
    link::Ticket ticket = 10;
    const auto write_for = [&](Duration time) {
        for (const Instant end = simulation_.now() + time;
             door_b_.got.empty() && simulation_.now() < end;) {
            static_cast<void>(send_from_a(++ticket));
            until([&] { return !door_b_.got.empty(); }, 50ms);
        }
    };
    write_for(20s);
    EXPECT_TRUE(door_b_.got.empty());
    simulation_.heal(a_->node(), b_->node());
    const Instant back = simulation_.now();
    write_for(10s);
    EXPECT_FALSE(door_b_.got.empty());
    EXPECT_LT(simulation_.now() - back, 5s);
}

TEST_F(EdgePair, WhatABrokenStreamCarriedIsInDoubt) {  // S2S-16 without XEP-0198
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return door_a_.has(1, link::Fate::kWritten); }));
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kWritten); }));
    simulation_.kill(b_->node());
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kInDoubt); }));
}

// An answer is said again; a receipt is not, nor is typing, which would come behind its text then.
TEST_F(EdgePair, ABrokenStreamSaysAgainWhatIsNotForOnce) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return door_a_.has(1, link::Fate::kAcknowledged); }));
    for (const auto& [ticket, text] : {std::pair{link::Ticket{0}, "an answer"},
                                       {link::kOnce, "a receipt"},
                                       {link::kForNow, "typing"}}) {
        ASSERT_TRUE(send_from_a(ticket, text));
    }
    ASSERT_TRUE(simulation_.break_connection(1));
    until([] { return false; }, 20s);
    const auto times = [&](const char* text) {
        return std::ranges::count_if(door_b_.got, [text](const Door::Got& got) {
            return got.stanza.find(text) != std::string::npos;
        });
    };
    EXPECT_GE(times("an answer"), 1);
    EXPECT_LE(times("a receipt"), 1);
    EXPECT_LE(times("typing"), 1);
    // What waits for a stream waits as an answer does, or is given up as if somebody asked.
    const SocketAddress address = simulation_.address(b_->node(), 5269);
    simulation_.refuse_connects(address, true);
    static_cast<void>(simulation_.break_connection(1));
    until([] { return false; }, 1s);
    door_b_.got.clear();
    ASSERT_TRUE(send_from_a(link::kOnce, "a receipt"));
    ASSERT_TRUE(send_from_a(link::kForNow, "typing"));
    until([] { return false; }, 60s);
    simulation_.refuse_connects(address, false);
    EXPECT_TRUE(until([&] { return times("a receipt") == 1; }, 20s)) << a_->log();
    EXPECT_EQ(times("typing"), 0);
    for (const link::Outcome& outcome : door_a_.outcomes) EXPECT_EQ(outcome.ticket, 1U);
}

TEST_F(EdgePair, AnAnsweredPingEndsTheDoubt) {
    start();
    // Their side answers pings, as any server does.
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] {
        return std::ranges::any_of(door_b_.got,
                                   [](const auto& got) { return got.stanza.starts_with("<iq"); });
    }));
    const std::string ping = door_b_.got.back().stanza;
    const std::string id = ping.substr(
        ping.find("id='") + 4, ping.find('\'', ping.find("id='") + 4) - ping.find("id='") - 4);
    ASSERT_TRUE(
        b().take_stanza({0, "b.example", "a.example",
                         "<iq type='result' from='b.example' to='a.example' id='" + id + "'/>"}));
    ASSERT_TRUE(until([&] { return door_a_.has(1, link::Fate::kAcknowledged); }));
    EXPECT_EQ(results_at_a(), 0);  // it was the edge's own
}

// S2S-17: who answers is known from the start, so that its silence soon after says something.
TEST_F(EdgePair, APartnerThatHangsSoonIsFoundOut) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until(
        [&] {
            return std::ranges::any_of(
                door_b_.got, [](const auto& got) { return got.stanza.starts_with("<iq"); });
        },
        2s));
    ASSERT_TRUE(b().take_stanza(
        {0, "b.example", "a.example",
         "<iq type='result' from='b.example' to='a.example' id='fedgate-ping-1'/>"}));
    ASSERT_TRUE(until([&] { return door_a_.has(1, link::Fate::kAcknowledged); }, 2s));
    ASSERT_TRUE(send_from_a(2));  // nobody answers any more
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kInDoubt); }, 40s));
}

// S2S-17, S2S-18: a stream without traffic is pinged, and the pings keep nothing open.
class SilentPair : public EdgePair, public testing::WithParamInterface<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Shards, SilentPair, testing::Values(1u, 3u));

TEST_P(SilentPair, IsPingedUntilItIsIdle) {
    start({}, {}, GetParam());
    door_a_.pings_go_to = &a();
    door_b_.pings_go_to = &b();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return door_a_.has(1, link::Fate::kAcknowledged); }, 2s));
    until([] { return false; }, 290s);
    EXPECT_EQ(door_b_.pings, 1u);
    until([] { return false; }, 25s);
    EXPECT_GE(door_b_.pings, 2u);
    until([] { return false; }, 270s);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 1u);
    until([] { return false; }, 30s);
    EXPECT_EQ(a_->count(Counter::kXmppInEstablished), 0u);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 0u);
    EXPECT_EQ(a_->log().find("connection-timeout"), std::string::npos);
    EXPECT_EQ(b_->log().find("connection-timeout"), std::string::npos);
}

// DB-5: whatever shard the key comes to, it is asked about on the stream that stands.
class Key : public EdgePair, public testing::WithParamInterface<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Shards, Key, testing::Values(1u, 3u));

TEST_P(Key, IsAskedAboutOnTheStreamThatStands) {
    start({}, {}, GetParam());
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    until([] { return false; }, 1s);
    EXPECT_EQ(a_->count(Counter::kXmppInAccepted), 1U);  // b's question
    ASSERT_TRUE(b().take_stanza(
        {1, "b.example", "a.example", "<message from='v@b.example' to='u@a.example'/>"}));
    ASSERT_TRUE(until([&] { return door_a_.messages("b.example") == 1; })) << a_->log();
    EXPECT_EQ(a_->count(Counter::kXmppInAccepted), 2U);
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), 1U);
    EXPECT_EQ(a_->count(Counter::kDialbackVerified), 1U);
}

// S2S-44: the domain's server does not know the key, but shows the certificate of who sent it.
TEST_F(EdgePair, WhoShowsTheCertificateOfTheServerIsBelieved) {
    start();
    Door door;
    Server another(simulation_, simulation_.make_node(), 1, server_rules("b.example", "a.example"));
    Server twin(simulation_, simulation_.make_node(), 1, server_rules("b.example", "a.example"));
    ASSERT_EQ(twin.node() % 2, b_->node() % 2);
    for (Server* server : {&another, &twin}) server->start_edge(server->seats()[0], door);
    const auto reaches_with = [&](const Server& authority) {
        net::SimulatedResolver& dns = *a_->seats()[0].resolver;
        dns.clear("host.b.example");
        dns.add_address("host.b.example", simulation_.address(authority.node(), 0));
        const auto before = door_a_.messages("b.example");
        static_cast<void>(b().take_stanza(
            {1, "b.example", "a.example", "<message from='v@b.example' to='u@a.example'/>"}));
        return until([&] { return door_a_.messages("b.example") > before; }, 5s);
    };
    EXPECT_FALSE(reaches_with(another));
    until([] { return false; }, 4000s);  // such a refusal is remembered
    EXPECT_TRUE(reaches_with(twin)) << a_->log();
    EXPECT_EQ(door_a_.got.back().proof, link::Proof::kDialbackTls);
    EXPECT_EQ(twin.count(Counter::kXmppInAccepted), 1U);
}

// X10: the cable is pulled; neither side learns it from its network.
TEST_F(EdgePair, ADeadPartnerIsFoundOut) {
    start();
    door_a_.pings_go_to = &a();
    door_b_.pings_go_to = &b();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return door_a_.has(1, link::Fate::kAcknowledged); }, 2s));
    until([] { return false; }, 1s);  // both have learnt that the other answers pings
    simulation_.cut(a_->node(), b_->node());
    until([] { return false; }, 320s);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 1u);
    const auto nothing_left = [&] {
        return std::ranges::none_of(a().rows(), [](const auto& row) { return !row.listening; }) &&
               std::ranges::none_of(b().rows(), [](const auto& row) { return !row.listening; });
    };
    EXPECT_TRUE(until(nothing_left, 25s)) << a_->log() << b_->log();
}

TEST_F(EdgePair, AUserIsNotTheServerThatWasPinged) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] {
        return std::ranges::any_of(door_b_.got,
                                   [](const auto& got) { return got.stanza.starts_with("<iq"); });
    }));
    for (const char* from : {"u@b.example", "b.example/r", "u&#64;b.example"}) {
        ASSERT_TRUE(b().take_stanza({0, "b.example", "a.example",
                                     std::string("<iq type='result' from='") + from +
                                         "' to='a.example' id='fedgate-ping-1'/>"}));
    }
    ASSERT_TRUE(until([&] { return results_at_a() == 3; }));
    EXPECT_FALSE(door_a_.has(1, link::Fate::kAcknowledged));
}

// Listens and says nothing.
struct Mute final : SocketOwner {
    Mute(Simulation& simulation, Server& asker, const std::string& domain, std::uint16_t priority)
        : node(simulation.make_node()), loop(simulation.make_loop(node)) {
        auto socket = loop.listen(simulation.address(node, 5269), *this);
        FEDGATE_CHECK(socket.has_value());
        listener = *socket;
        const std::string host = "mute" + std::to_string(node) + "." + domain;
        asker.seats()[0].resolver->add_srv("_xmpp-server._tcp." + domain,
                                           {priority, 0, 5269, host});
        asker.seats()[0].resolver->add_address(host, simulation.address(node, 0));
    }
    ~Mute() {
        loop.close(listener);
        for (const Socket socket : sockets) loop.close(socket);
    }
    void on_accept(Socket, Socket socket, const SocketAddress&) override {
        sockets.push_back(socket);
        loop.adopt(socket, *this);
    }

    Simulation::Node node;
    SimulatedLoop& loop;
    Socket listener{};
    std::vector<Socket> sockets;
};

// DB-5: an answer is an answer; the other targets are not asked as well.
TEST_F(EdgePair, ADialbackQuestionIsAskedOnce) {
    start();
    const Mute other(simulation_, *b_, "a.example", 20);
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    until([] { return false; }, 20s);
    EXPECT_TRUE(other.sockets.empty());
}

// S2S-60: 30 s for all targets together, however many there are.
TEST_F(EdgePair, ADialbackQuestionHasATimeLimit) {
    start();
    std::deque<Mute> mute;
    for (int i = 0; i < 8; ++i) mute.emplace_back(simulation_, *b_, "a.example", 5);
    ASSERT_TRUE(send_from_a(1));
    until([] { return false; }, 100s);
    std::size_t count = 0;
    for (const Mute& one : mute) count += one.sockets.size();
    EXPECT_GE(count, 2U);
    EXPECT_LE(count, 4U);
}

TEST_F(EdgePair, AFullGatewayStopsTheReading) {  // back-pressure, nothing lost
    start();
    door_b_.room = false;
    const unsigned count = 500;
    for (link::Ticket ticket = 1; ticket <= count; ++ticket) {
        ASSERT_TRUE(send_from_a(ticket, std::string(1'000, 'x')));
    }
    ASSERT_TRUE(until([&] { return door_b_.refused > 20; }));
    EXPECT_TRUE(door_b_.got.empty());
    door_b_.room = true;
    ASSERT_TRUE(until([&] { return door_b_.got.size() >= count; }));
}

TEST_F(EdgePair, DrainClosesCleanly) {  // X18, S2S-19
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    b().drain();
    a().drain();
    EXPECT_TRUE(until([&] { return a().drained() && b().drained(); }, 12s))
        << a_->log() << b_->log();
}

// S2S-16 without XEP-0198, and no answer to a ping: it may have come to another edge.
TEST_F(EdgePair, TheAnswerToAClosingTagAcknowledges) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    ASSERT_TRUE(send_from_a(2));
    a().drain();
    ASSERT_TRUE(until([&] { return a().drained(); }, 2s)) << a_->log();
    for (const link::Ticket ticket : {1U, 2U}) {
        EXPECT_TRUE(door_a_.has(ticket, link::Fate::kAcknowledged)) << ticket;
        EXPECT_FALSE(door_a_.has(ticket, link::Fate::kInDoubt)) << ticket;
    }
}

TEST_F(EdgePair, WithoutOneItIsInDoubt) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    simulation_.cut(a_->node(), b_->node());
    a().drain();
    ASSERT_TRUE(until([&] { return a().drained(); }, 12s)) << a_->log();
    EXPECT_TRUE(door_a_.has(1, link::Fate::kInDoubt));
    EXPECT_FALSE(door_a_.has(1, link::Fate::kAcknowledged));
}

// More is on its way than may be unacknowledged, and the partner answers no ping.
TEST_F(EdgePair, DrainSendsNothingTwiceAndDropsNothing) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    constexpr std::size_t kBurst = limits::kUnacknowledgedStanzas + 500;
    for (link::Ticket ticket = 2; ticket <= kBurst; ++ticket) {
        ASSERT_TRUE(send_from_a(ticket, "number " + std::to_string(ticket) + "."));
    }
    a().drain();
    ASSERT_TRUE(until([&] { return a().drained(); }, 12s)) << a_->log();
    const auto times_at_b = [&](link::Ticket ticket) {
        const std::string text = "number " + std::to_string(ticket) + ".";
        return std::ranges::count_if(
            door_b_.got, [&](const Door::Got& got) { return got.stanza.contains(text); });
    };
    for (link::Ticket ticket = 2; ticket <= kBurst; ++ticket) {
        const bool written = door_a_.has(ticket, link::Fate::kWritten);
        ASSERT_TRUE(written || door_a_.has(ticket, link::Fate::kFailed)) << ticket;
        ASSERT_EQ(times_at_b(ticket), written ? 1 : 0) << ticket;
        ASSERT_EQ(door_a_.has(ticket, link::Fate::kAcknowledged), written) << ticket;
    }
}

}  // namespace
}  // namespace fedgate::simulation
