// How much one partner, one address and everybody may, and that the others do not feel it.
#include <gtest/gtest.h>

#include "tests/simulation/edge_pair.hpp"

namespace fedgate::simulation {
namespace {

// Connects and says nothing.
struct Silent final : SocketOwner {
    void on_end(Socket, int) override { ++ended; }
    unsigned ended = 0;
};

// X7: of all that it opens at once, from whichever of its domains and to whichever shard.
TEST_F(EdgePair, APartnerHasAllItsConnectionsAndNoMore) {
    Settings theirs{{"xmpp.limits.unauthenticated_per_address", "100"}};
    Settings ours = server_rules("a.example", "*.b.example");
    ours.emplace_back("partner/*.b.example/connection_limit", "20");
    ours.insert(ours.end(), theirs.begin(), theirs.end());
    const unsigned count = 25;
    const auto domain = [](unsigned i) { return "d" + std::to_string(i) + ".b.example"; };
    for (unsigned i = 0; i < count; ++i) {
        theirs.emplace_back("domain/" + domain(i) + "/next_hop",
                            "sip:10.99.0.1:5060;transport=tcp");
    }
    start(ours, theirs, 4);
    for (unsigned i = 0; i < count; ++i) {
        a_->knows(domain(i), simulation_, b_->node());
        const std::string message = "<message from='u@" + domain(i) + "' to='v@a.example'/>";
        ASSERT_TRUE(b().take_stanza({i + 1, domain(i), "a.example", message}));
    }
    until([] { return false; }, 10s);
    EXPECT_EQ(a_->count(Counter::kXmppInEstablished), 20U) << a_->log();
}

TEST_F(EdgePair, ConnectionsFromOneAddressAreLimited) {  // S2S-62 at its default
    start({}, {}, 4);
    SimulatedLoop& loop = simulation_.make_loop(simulation_.make_node());
    Silent silent;
    std::vector<Socket> sockets;
    for (unsigned i = 0; i < 15; ++i) {
        auto socket = loop.connect(simulation_.address(a_->node(), 5269), silent);
        ASSERT_TRUE(socket.has_value());
        sockets.push_back(*socket);
    }
    ASSERT_TRUE(until([&] { return silent.ended == 5; }, 5s));
    // S2S-60: and those that say nothing are put out.
    ASSERT_TRUE(until([&] { return silent.ended == 15; }, 11s));
    for (const Socket socket : sockets) loop.close(socket);
    until([] { return false; }, 1s);
}

// S2S-62: whoever comes from many addresses and proves nothing makes room for the next.
TEST_F(EdgePair, SilentConnectionsFromEverywhereKeepNobodyOut) {
    start({}, {{"xmpp.limits.connections", "50"}});
    Silent silent;
    std::vector<std::pair<SimulatedLoop*, Socket>> sockets;
    for (unsigned i = 0; i < 30; ++i) {
        SimulatedLoop& loop = simulation_.make_loop(simulation_.make_node());
        const auto socket = loop.connect(simulation_.address(b_->node(), 5269), silent);
        ASSERT_TRUE(socket.has_value());
        sockets.emplace_back(&loop, *socket);
    }
    ASSERT_TRUE(until([&] { return silent.ended == 25; }, 5s));
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }, 5s)) << b_->log();
    EXPECT_EQ(silent.ended, 26U);
    for (const auto& [loop, socket] : sockets) loop->close(socket);
    until([] { return false; }, 1s);
}

TEST_F(EdgePair, NewConnectionsHaveARate) {  // S2S-63: 60 a minute, a bucket of 30
    start({{"xmpp.rate.connections_per_address", "60/min"},
           {"xmpp.limits.unauthenticated_per_address", "1000"}});
    SimulatedLoop& loop = simulation_.make_loop(simulation_.make_node());
    Silent silent;
    std::vector<Socket> sockets;
    for (unsigned i = 0; i < 40; ++i) {
        auto socket = loop.connect(simulation_.address(a_->node(), 5269), silent);
        ASSERT_TRUE(socket.has_value());
        sockets.push_back(*socket);
    }
    ASSERT_TRUE(until([&] { return silent.ended == 10; }, 5s));
    for (const Socket socket : sockets) loop.close(socket);
    until([] { return false; }, 1s);
}

TEST_F(EdgePair, ARateHoldsBackAndLosesNothing) {  // S2S-64
    start({}, {{"partner/a.example/rate_stanzas", "100/s"}});
    const unsigned count = 600;
    for (link::Ticket ticket = 1; ticket <= count; ++ticket) ASSERT_TRUE(send_from_a(ticket));
    const Instant start_time = simulation_.now();
    ASSERT_TRUE(until([&] { return door_b_.got.size() >= count; }, 60s));
    EXPECT_GT(simulation_.now() - start_time, 3s);  // 200 at once, then 100/s
}

TEST_F(EdgePair, ASlowRateIsARateAndNoStop) {
    start({}, {{"partner/a.example/rate_stanzas", "20/min"}});
    for (link::Ticket ticket = 1; ticket <= 4; ++ticket) ASSERT_TRUE(send_from_a(ticket));
    ASSERT_TRUE(until([&] { return door_b_.got.size() >= 4; }, 20s));
}

TEST_F(EdgePair, NewRatesActAtOnce) {
    start({}, {{"partner/a.example/rate_stanzas", "1/h"},
               {"xmpp.rate.connections_per_address", "1/h"}});
    const unsigned count = 100;
    for (link::Ticket ticket = 1; ticket <= count; ++ticket) ASSERT_TRUE(send_from_a(ticket));
    until([] { return false; }, 5s);
    EXPECT_LE(door_b_.got.size(), 1U);
    const auto rules = compile(server_rules("b.example", "a.example"));
    b().reload(*rules, b_->seats()[0].certificates);
    ASSERT_TRUE(until([&] { return door_b_.got.size() >= count; }, 5s));
    SimulatedLoop& loop = simulation_.make_loop(a_->node());
    Silent silent;
    const auto socket = loop.connect(simulation_.address(b_->node(), 5269), silent);
    ASSERT_TRUE(socket.has_value());
    until([] { return false; }, 5s);
    EXPECT_EQ(silent.ended, 0U);
    loop.close(*socket);
    until([] { return false; }, 1s);
    b_->seats()[0].edge.reset();
}

TEST_F(EdgePair, MoreConnectionsMayBeAllowedLater) {
    const Settings few{{"xmpp.limits.connections", "20"}};
    start(few);
    Settings many = server_rules("a.example", "b.example");
    many.emplace_back("xmpp.limits.connections", "5000");
    many.emplace_back("xmpp.limits.unauthenticated_per_address", "1000");
    a_->reload(many);
    SimulatedLoop& loop = simulation_.make_loop(simulation_.make_node());
    Silent silent;
    std::vector<Socket> sockets;
    for (unsigned i = 0; i < 300; ++i) {
        const auto socket = loop.connect(simulation_.address(a_->node(), 5269), silent);
        ASSERT_TRUE(socket.has_value());
        sockets.push_back(*socket);
    }
    until([] { return false; }, 5s);
    EXPECT_EQ(silent.ended, 0U);
    for (const Socket socket : sockets) loop.close(socket);
    until([] { return false; }, 1s);
}

// A partner that asks what is answered by errors, and one that is honest: GEN-5, S2S-66.
class Asker : public EdgePair {
protected:
    void ask(std::uint32_t shards, const std::string& bidi = "no") {
        const Settings more = {{"partner/xmpp.example/type", "federated"},
                               {"partner/xmpp.example/rate_stanzas", "none"},
                               {"partner/b.example/bidi", bidi}};
        start(more, {{"partner/a.example/bidi", bidi}}, shards, true);
        honest_ = std::make_unique<Server>(simulation_, simulation_.make_node(), 1,
                                           server_rules(kXmppDomain, "a.example"), true);
        a_->knows(kXmppDomain, simulation_, honest_->node());
        honest_->knows("a.example", simulation_, a_->node());
        honest_->start_edge(honest_->seats()[0], door_honest_);
        door_a_.errors_go_to = &a();
    }
    // As fast as it can, for so long.
    void flood(Duration time) {
        const Instant end = b_->seats()[0].loop->now() + time;
        while (b_->seats()[0].loop->now() < end) {
            for (int i = 0; i < 100; ++i) {
                ASSERT_TRUE(b().take_stanza({++asked_, "b.example", "a.example",
                                             "<message from='u@b.example' to='v@a.example' "
                                             "id='m'><body>?</body></message>"}));
            }
            until([] { return false; }, 20ms);
        }
    }
    [[nodiscard]] bool serves_the_honest() {
        const auto before = door_honest_.messages("a.example");
        FEDGATE_CHECK(honest_->seats()[0].edge->take_stanza(
            {++asked_, kXmppDomain, "a.example",
             "<message from='u@xmpp.example' to='v@a.example' id='m'><body>?</body></message>"}));
        return until([&] { return door_honest_.messages("a.example") > before; }, 3s);
    }
    [[nodiscard]] std::ptrdiff_t asked() const { return door_a_.messages("b.example"); }
    [[nodiscard]] std::ptrdiff_t answered() const { return door_b_.messages("a.example"); }
    [[nodiscard]] std::size_t waiting() const {
        std::size_t count = 0;
        for (const auto& seat : a_->seats()) {
            for (const edge::StreamRow& row : seat.edge->rows()) count += row.waiting;
        }
        return count;
    }
    void is_bounded_then_goes_on() {
        const auto read = asked();
        flood(1s);
        EXPECT_EQ(asked(), read);  // it is not read
        EXPECT_LE(waiting(), limits::kDomainPairQueueStanzas);
        EXPECT_TRUE(serves_the_honest());
    }
    void all_is_answered() {
        ASSERT_TRUE(until([&] { return waiting() == 0 && answered() == asked(); }))
            << waiting() << " wait; " << answered() << " of " << asked() << '\n'
            << a_->log();
        EXPECT_EQ(a_->count(Counter::kXmppAnswersLost), 0U);
        const auto read = asked();
        flood(500ms);
        EXPECT_TRUE(until([&] { return asked() > read + 200 && answered() == asked(); }))
            << answered() << " of " << asked() << ", before: " << read << '\n'
            << a_->log();
    }

    std::unique_ptr<Server> honest_;
    Door door_honest_;
    link::Ticket asked_ = 0;
};

TEST_F(Asker, IsNotReadWhileItLetsNobodyConnect) {
    ask(4);
    const SocketAddress address = simulation_.address(b_->node(), 5269);
    simulation_.refuse_connects(address, true);
    flood(3s);
    is_bounded_then_goes_on();
    simulation_.refuse_connects(address, false);
    all_is_answered();
}

TEST_F(Asker, IsNotReadWhileItDoesNotReadTheAnswers) {
    ask(2);
    door_a_.error_bytes = 1'000;
    ASSERT_TRUE(serves_the_honest());
    flood(20ms);
    ASSERT_TRUE(until([&] { return answered() > 0; }));
    door_b_.room = false;
    flood(3s);
    is_bounded_then_goes_on();
    door_b_.room = true;
    all_is_answered();
}

// S2S-15: the same where it asks on a stream that we opened.
TEST_F(Asker, IsNotReadOnOurStreamEither) {
    ask(2, "yes");
    door_a_.error_bytes = 1'000;
    ASSERT_TRUE(serves_the_honest());
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return answered() == 1; }));
    flood(20ms);
    ASSERT_TRUE(until([&] { return answered() > 1; }));
    EXPECT_EQ(b_->count(Counter::kXmppOutEstablished), 0U);
    door_b_.room = false;
    flood(3s);
    is_bounded_then_goes_on();
    EXPECT_EQ(b_->count(Counter::kXmppOutEstablished), 0U);
    // What it had sent meanwhile comes in before it can acknowledge anything.
    door_b_.room = true;
    ASSERT_TRUE(until([&] {
        const auto lost = static_cast<std::ptrdiff_t>(a_->count(Counter::kXmppAnswersLost));
        return waiting() == 0 && answered() + lost >= asked();
    })) << waiting()
        << " wait; " << answered() << " of " << asked();
    const auto read = asked();
    flood(500ms);
    EXPECT_TRUE(until([&] { return asked() > read + 200; })) << asked() - read;
}

// A SIP pool that fails fails all that is under way there, at once.
TEST_F(Asker, MoreErrorsAtOnceThanTheQueueHolds) {
    ask(1);
    ASSERT_TRUE(serves_the_honest());
    const SocketAddress address = simulation_.address(b_->node(), 5269);
    for (const bool reachable : {true, false}) {
        if (!reachable) simulation_.refuse_connects(address, true);
        const auto before = answered();
        const auto count = static_cast<std::ptrdiff_t>(5 * limits::kDomainPairQueueStanzas);
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            door_a_.refuse({"b.example", {}, "<message from='u@b.example' to='v@a.example'/>"});
        }
        if (!reachable) {
            until([] { return false; }, 60s);
            simulation_.refuse_connects(address, false);
        }
        EXPECT_TRUE(until([&] { return answered() == before + count; })) << answered() - before;
        EXPECT_EQ(a_->count(Counter::kXmppAnswersLost), 0U);
        ASSERT_TRUE(simulation_.break_connection(1));
        until([] { return false; }, 1s);
    }
}

// An error for a message is kept for minutes; whoever can't be told then must at least be counted.
TEST_F(Asker, AnAnswerThatIsLostIsTold) {
    ask(1);
    const SocketAddress address = simulation_.address(b_->node(), 5269);
    simulation_.refuse_connects(address, true);
    flood(20ms);
    ASSERT_TRUE(until([&] { return asked() == 100; }));
    until([] { return false; }, link::kLateNewsKept - 10s);
    EXPECT_EQ(a_->count(Counter::kXmppAnswersLost), 0U);
    ASSERT_TRUE(until([&] { return a_->count(Counter::kXmppAnswersLost) == 100; }, 20s));
    EXPECT_NE(a_->log().find("An answer of ours was lost"), std::string::npos) << a_->log();
}

}  // namespace
}  // namespace fedgate::simulation
