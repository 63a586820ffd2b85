// The edge against the edge of a partner, on the simulation: who gets in, what gets through, what
// is told when it does not.
#include <deque>

#include <gtest/gtest.h>

#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

// A gateway that keeps what it is given.
struct Door final : link::GatewayDoor {
    struct Got {
        std::string domain;
        link::Proof proof;
        std::string stanza;
    };
    bool take_stanza(const link::FromPartner& from) override {
        if (!room) {
            ++refused;
            return false;
        }
        got.push_back({std::string(from.from_domain), from.proof, std::string(from.stanza)});
        answer(from);
        if (errors_go_to != nullptr && from.stanza.starts_with("<message")) refuse(from);
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override { outcomes.push_back(outcome); }
    [[nodiscard]] bool has(link::Ticket ticket, link::Fate fate) const {
        for (const link::Outcome& outcome : outcomes) {
            if (outcome.ticket == ticket && outcome.fate == fate) return true;
        }
        return false;
    }
    [[nodiscard]] link::Fault fault(link::Ticket ticket) const {
        for (const link::Outcome& outcome : outcomes) {
            if (outcome.ticket == ticket) return outcome.fault;
        }
        return link::Fault::kNone;
    }

    // What servers do: `to` answers a ping.
    void answer(const link::FromPartner& from) {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
        if (pings_go_to == nullptr || !stanza.root.child("ping", "urn:xmpp:ping")) return;
        ++pings;
        FEDGATE_CHECK(pings_go_to->take_stanza(
            {0, stanza.to, stanza.from,
             "<iq type='result' from='" + std::string(stanza.to) + "' to='" +
                 std::string(stanza.from) + "' id='" + std::string(stanza.id) + "'/>"}));
    }

    // As where the SIP user is not known.
    void refuse(const link::FromPartner& from) {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
        const std::string their(from.from_domain);
        FEDGATE_CHECK(errors_go_to->take_stanza(
            {0, "a.example", their,
             "<message type='error' from='" + std::string(stanza.to) + "' to='" +
                 std::string(stanza.from) + "' id='" + std::string(stanza.id) + "'><body>" +
                 std::string(error_bytes, 'e') + "</body></message>"}));
    }
    [[nodiscard]] std::ptrdiff_t messages(Bytes domain) const {
        return std::ranges::count_if(got, [domain](const Got& one) {
            return one.domain == domain && one.stanza.starts_with("<message");
        });
    }

    bool room = true;
    edge::Edge* errors_go_to = nullptr;
    std::size_t error_bytes = 100;
    edge::Edge* pings_go_to = nullptr;
    unsigned pings = 0;
    unsigned refused = 0;
    std::vector<Got> got;
    std::vector<link::Outcome> outcomes;
};

class EdgePair : public testing::Test {
protected:
    void start(Settings ours = {}, Settings theirs = {}, std::uint32_t shards = 1,
               bool certified = false) {
        Settings a = server_rules("a.example", "b.example");
        Settings b = server_rules("b.example", "a.example");
        a.insert(a.end(), ours.begin(), ours.end());
        b.insert(b.end(), theirs.begin(), theirs.end());
        a_ = std::make_unique<Server>(simulation_, simulation_.make_node(), shards, a, certified);
        b_ = std::make_unique<Server>(simulation_, simulation_.make_node(), 1, b, certified);
        a_->knows("b.example", simulation_, b_->node());
        b_->knows("a.example", simulation_, a_->node());
        for (auto& seat : a_->seats()) a_->start_edge(seat, door_a_);
        b_->start_edge(b_->seats()[0], door_b_);
    }
    edge::Edge& a(std::size_t shard = 0) { return *a_->seats()[shard].edge; }
    edge::Edge& b() { return *b_->seats()[0].edge; }

    bool send_from_a(link::Ticket ticket, const std::string& text = "hello") {
        return a().take_stanza({ticket, "a.example", "b.example",
                                "<message from='u@a.example' to='v@b.example' id='m'><body>" +
                                    text + "</body></message>"});
    }
    // Answers that were passed on; pings are as well.
    [[nodiscard]] std::ptrdiff_t results_at_a() const {
        return std::ranges::count_if(door_a_.got, [](const Door::Got& got) {
            return got.stanza.starts_with("<iq type='result'");
        });
    }
    bool until(const std::function<bool()>& predicate, Duration time = 40s) {
        return simulation_.run_for(predicate, time);
    }

    Simulation simulation_{{.seed = 5}};
    Door door_a_;
    Door door_b_;
    std::unique_ptr<Server> a_;
    std::unique_ptr<Server> b_;
};

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

// S2S-15, XEP-0288: one connection for both directions, whatever shard it and the pair are on.
class Bidi : public EdgePair, public testing::WithParamInterface<std::uint32_t> {
protected:
    void start_both_ways() {
        start({{"partner/b.example/bidi", "yes"}}, {{"partner/a.example/bidi", "yes"}}, GetParam());
        door_a_.pings_go_to = &a();
        door_b_.pings_go_to = &b();
    }
    bool send_from_b(link::Ticket ticket, const std::string& text = "hello") {
        return b().take_stanza({ticket, "b.example", "a.example",
                                "<message from='v@b.example' to='u@a.example' id='m'><body>" +
                                    text + "</body></message>"});
    }
    static std::ptrdiff_t messages(const Door& door) {
        return std::ranges::count_if(
            door.got, [](const Door::Got& got) { return got.stanza.starts_with("<message"); });
    }
};
INSTANTIATE_TEST_SUITE_P(Shards, Bidi, testing::Values(1u, 3u));

TEST_P(Bidi, OneConnectionServesBoth) {
    start_both_ways();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 1; })) << a_->log() << b_->log();
    for (link::Ticket ticket = 10; ticket < 210; ++ticket) ASSERT_TRUE(send_from_b(ticket));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 200; }));
    EXPECT_TRUE(until([&] { return door_b_.has(209, link::Fate::kAcknowledged); }));
    EXPECT_TRUE(until([&] { return door_a_.has(1, link::Fate::kAcknowledged); }));
    EXPECT_EQ(a_->count(Counter::kXmppInEstablished), 0u);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 1u);
    EXPECT_EQ(b_->count(Counter::kXmppOutEstablished), 0u);
}

// P9: an answer that their stream carried, unconfirmed, opens no stream to who is denied.
TEST_P(Bidi, NobodyConnectsToWhoIsTakenAway) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; })) << a_->log() << b_->log();
    door_b_.pings_go_to = nullptr;
    ASSERT_TRUE(send_from_a(0));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 1; }));
    const auto connections = b_->count(Counter::kXmppInAccepted);  // about a dialback key
    Settings without = server_rules("a.example", "b.example");
    without.push_back({"federation.deny", "b.example"});
    a_->reload(without);
    until([] { return false; }, 20s);
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), connections) << a_->log();
}

// The same where the one with many shards accepts: stream and pair meet by mailbox.
TEST_P(Bidi, TheyOpenItAndWeUseIt) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; })) << a_->log() << b_->log();
    for (link::Ticket ticket = 10; ticket < 210; ++ticket) {
        ASSERT_TRUE(send_from_a(ticket, std::to_string(ticket) + std::string(20'000, 'x')));
        until([] { return false; }, 1ms);
    }
    ASSERT_TRUE(until([&] { return messages(door_b_) == 200; }));
    link::Ticket next = 10;
    for (const Door::Got& got : door_b_.got) {
        if (!got.stanza.starts_with("<message")) continue;
        EXPECT_NE(got.stanza.find("<body>" + std::to_string(next++) + "x"), std::string::npos);
    }
    EXPECT_TRUE(until([&] { return door_a_.has(209, link::Fate::kAcknowledged); }));
    EXPECT_EQ(a_->count(Counter::kXmppOutEstablished), 0u);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 0u);
    // And it ends as any stream does, with nothing in doubt.
    ASSERT_TRUE(until([&] { return a_->count(Counter::kXmppInEstablished) == 0; }, 700s));
    EXPECT_EQ(std::ranges::count(door_a_.outcomes, link::Fate::kInDoubt, &link::Outcome::fate), 0);
    ASSERT_TRUE(send_from_a(300));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 201; }));
    EXPECT_EQ(a_->count(Counter::kXmppOutEstablished), 1u);
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

// S2S-20: both connect at once, and both streams stand until one is idle; the other then serves.
TEST_P(Bidi, OfTwoTheIdleOneGoes) {
    start_both_ways();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1 && messages(door_b_) == 1; }));
    EXPECT_EQ(a_->count(Counter::kXmppOutEstablished), 1u);
    EXPECT_EQ(b_->count(Counter::kXmppOutEstablished), 1u);
    for (link::Ticket ticket = 2; ticket < 9; ++ticket) {
        until([] { return false; }, 100s);
        ASSERT_TRUE(send_from_a(ticket));
    }
    ASSERT_TRUE(until([&] { return messages(door_b_) == 8; }));
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 1u);
    EXPECT_EQ(a_->count(Counter::kXmppInEstablished), 0u) << a_->log();
    ASSERT_TRUE(send_from_b(2));
    ASSERT_TRUE(until([&] { return door_b_.has(2, link::Fate::kAcknowledged); }));
    EXPECT_EQ(messages(door_a_), 2);
    EXPECT_EQ(b_->count(Counter::kXmppOutEstablished), 0u);
    for (const Door* door : {&door_a_, &door_b_}) {
        EXPECT_EQ(std::ranges::count(door->outcomes, link::Fate::kInDoubt, &link::Outcome::fate),
                  0);
    }
}

TEST_P(Bidi, WhatALostStreamCarriedIsInDoubt) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    until([] { return false; }, 1s);
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kWritten); }));
    simulation_.kill(b_->node());
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kInDoubt); }, 5s));
}

TEST_P(Bidi, APartnerThatHangsIsGivenUp) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    until([] { return false; }, 1s);
    simulation_.cut(a_->node(), b_->node());
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kInDoubt); }, 45s));
    EXPECT_TRUE(until([&] { return a_->count(Counter::kXmppInEstablished) == 0; }, 15s));
}

// Nobody reads over there: what is under way stays bounded, the rest waits and is refused in time.
TEST_P(Bidi, AStreamThatStandsStillHoldsBack) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    until([] { return false; }, 1s);
    simulation_.cut(a_->node(), b_->node());
    constexpr link::Ticket kCount = 100;
    for (link::Ticket ticket = 2; ticket < 2 + kCount; ++ticket) {
        ASSERT_TRUE(send_from_a(ticket, std::string(30'000, 'x')));
        until([] { return false; }, 1ms);
    }
    const auto fates = [&](link::Fate fate) {
        return std::ranges::count(door_a_.outcomes, fate, &link::Outcome::fate);
    };
    EXPECT_LE(fates(link::Fate::kWritten), 40);  // kCarrierWindowBytes and what the network took
    EXPECT_GE(fates(link::Fate::kWritten), 30);
    ASSERT_TRUE(until(
        [&] {
            return fates(link::Fate::kInDoubt) + fates(link::Fate::kFailed) ==
                   static_cast<std::ptrdiff_t>(kCount);
        },
        60s))
        << fates(link::Fate::kInDoubt) << ' ' << fates(link::Fate::kFailed);
}

TEST_P(Bidi, DrainEndsIt) {  // X18
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 1; }));
    for (auto& seat : a_->seats()) seat.edge->drain();
    EXPECT_TRUE(until(
        [&] {
            return std::ranges::all_of(a_->seats(),
                                       [](const auto& seat) { return seat.edge->drained(); });
        },
        12s));
    EXPECT_EQ(std::ranges::count(door_a_.outcomes, link::Fate::kInDoubt, &link::Outcome::fate), 0);
}

TEST_P(Bidi, OnlyWithPartnersThatHaveIt) {
    start({{"partner/b.example/bidi", "yes"}}, {}, GetParam());
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 1; }));
    ASSERT_TRUE(send_from_b(2));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    EXPECT_EQ(a_->count(Counter::kXmppInEstablished), 1u);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 1u);
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
    struct Silent final : SocketOwner {
        void on_end(Socket, int) override { ++ended; }
        unsigned ended = 0;
    } silent;
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
    struct Silent final : SocketOwner {
        void on_end(Socket, int) override { ++ended; }
        unsigned ended = 0;
    } silent;
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
    struct Silent final : SocketOwner {
        void on_end(Socket, int) override { ++ended; }
        unsigned ended = 0;
    } silent;
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
    struct Silent final : SocketOwner {
        void on_end(Socket, int) override { ++ended; }
        unsigned ended = 0;
    } silent;
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
    struct Silent final : SocketOwner {
        void on_end(Socket, int) override { ++ended; }
        unsigned ended = 0;
    } silent;
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

TEST_F(EdgePair, DrainClosesCleanly) {  // X18, S2S-19
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    b().drain();
    a().drain();
    EXPECT_TRUE(until([&] { return a().drained() && b().drained(); }, 12s))
        << a_->log() << b_->log();
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
    }
}

TEST_F(EdgePair, ATakenAwayPartnerIsCutOff) {  // P9: live
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    Settings without = server_rules("b.example", "a.example");
    without.emplace_back("partner/a.example/enabled", "no");
    const auto rules = compile(without);
    b().reload(*rules, b_->seats()[0].certificates);
    ASSERT_TRUE(until([&] { return b_->count(Counter::kXmppInEstablished) == 0; }, 10s))
        << b_->log();
    b_->seats()[0].edge.reset();
}

// A5: neither side goes on with what its rules do not accept any more.
// Neither for an answer of ours that its stream had not seen confirmed.
TEST_F(EdgePair, NobodyConnectsToWhoIsTakenAway) {
    start();
    ASSERT_TRUE(send_from_a(0));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    const auto connections = b_->count(Counter::kXmppInAccepted);
    Settings without = server_rules("a.example", "b.example");
    without.push_back({"federation.deny", "b.example"});
    a_->reload(without);
    until([] { return false; }, 20s);
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), connections) << a_->log();
}

TEST_F(EdgePair, AStreamWithAWeakerProofThanTheNewRulesIsEnded) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    Settings settings = server_rules("b.example", "a.example");
    settings.emplace_back("partner/a.example/sasl", "required");
    settings.emplace_back("partner/a.example/dialback", "no");
    const auto rules = compile(settings);
    b().reload(*rules, b_->seats()[0].certificates);
    ASSERT_TRUE(until([&] { return b_->count(Counter::kXmppInEstablished) == 0; }, 10s))
        << b_->log();
    b_->seats()[0].edge.reset();
}

TEST_F(EdgePair, OurStreamWithAWeakerProofThanTheNewRulesIsEnded) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    Settings settings = server_rules("a.example", "b.example");
    settings.emplace_back("partner/b.example/sasl", "required");
    settings.emplace_back("partner/b.example/dialback", "no");
    const auto rules = compile(settings);
    a().reload(*rules, a_->seats()[0].certificates);
    ASSERT_TRUE(until([&] { return b_->count(Counter::kXmppInEstablished) == 0; }, 10s))
        << b_->log();
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kFailed); }));
    EXPECT_EQ(door_a_.fault(2), link::Fault::kNotTrusted);
    EXPECT_EQ(std::ranges::count_if(
                  door_b_.got, [](const auto& got) { return got.stanza.starts_with("<message"); }),
              1);
    a_->seats()[0].edge.reset();
}

TEST_F(EdgePair, ARefusalOfTheOldRulesDoesNotOutlastThem) {  // P9: live
    start({{"partner/b.example/sasl", "required"}, {"partner/b.example/dialback", "no"}});
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return door_a_.has(1, link::Fate::kFailed); }));
    EXPECT_EQ(door_a_.fault(1), link::Fault::kNotTrusted);
    const auto rules = compile(server_rules("a.example", "b.example"));
    a().reload(*rules, a_->seats()[0].certificates);
    ASSERT_TRUE(send_from_a(2));  // neither a back-off nor a target that is held down (DNS-8)
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kWritten); }, 1s)) << a_->log();
    a_->seats()[0].edge.reset();
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

// RFC 6120 13.7.2.3. A chain costs as much as many messages: after a reload they are judged in
// slices, and nobody is forgotten.
TEST(Reload, JudgesCertificatesInSlices) {
    constexpr std::uint64_t kStreams = 3 * limits::kRejudgedPerTurn + 1;
    const auto domain = [](std::uint64_t i) { return "d" + std::to_string(i) + ".many.example"; };
    Settings ours = server_rules("a.example", "*.many.example");
    ours.insert(ours.end(), {{"partner/*.many.example/connection_limit", "200"},
                             {"partner/*.many.example/rate_connections", "none"},
                             {"xmpp.limits.unauthenticated_per_address", "200"}});
    Settings theirs = server_rules(domain(0).c_str(), "a.example");
    for (std::uint64_t i = 1; i < kStreams; ++i)
        theirs.emplace_back("domain/" + domain(i) + "/phone", "no");
    Simulation simulation{{.seed = 37}};
    Server a(simulation, simulation.make_node(), 1, ours, true);
    Server b(simulation, simulation.make_node(), 1, theirs, true);
    b.knows("a.example", simulation, a.node());
    Door door_a;
    Door door_b;
    a.start_edge(a.seats()[0], door_a);
    b.start_edge(b.seats()[0], door_b);
    for (std::uint64_t i = 0; i < kStreams; ++i) {
        ASSERT_TRUE(b.seats()[0].edge->take_stanza(
            {i + 1, domain(i), "a.example",
             "<message from='u@" + domain(i) + "' to='v@a.example'/>"}));
    }
    ASSERT_TRUE(
        simulation.run_for([&] { return a.count(Counter::kXmppInEstablished) == kStreams; }, 20s))
        << a.count(Counter::kXmppInEstablished) << a.log();

    // Their authority is trusted no more.
    net::TlsConfig tls;
    tls.credentials.push_back(
        {{{}, Server::certificate(0).certificate}, {{}, Server::certificate(0).key}});
    edge::Certificates& certificates = a.seats()[0].certificates;
    certificates.external = *net::TlsContext::load(tls);
    ++certificates.generation;
    a.reload(ours);
    std::uint64_t before = a.count(Counter::kXmppStreamErrorsSent);
    EXPECT_EQ(before, 0U);
    std::uint64_t most = 0;
    EXPECT_TRUE(simulation.run_for(
        [&] {
            const std::uint64_t sent = a.count(Counter::kXmppStreamErrorsSent);
            most = std::max(most, sent - before);
            before = sent;
            return a.count(Counter::kXmppInEstablished) == 0;
        },
        5s));
    EXPECT_EQ(before, kStreams);
    EXPECT_EQ(most, limits::kRejudgedPerTurn);
}

}  // namespace
}  // namespace fedgate::simulation
