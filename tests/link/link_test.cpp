// Edges and gateways on machines of their own, over TLS on the simulated network: who gets in, what
// passes, and what becomes of it when connections, machines and cables break.
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "tests/link/link_sides.hpp"

namespace fedgate::link {
namespace {

TEST_F(LinkTest, EverythingPassesAndFatesComeBack) {
    EdgeSide edge(simulation_, "edge1.int", {"gw1.int"});
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }))
        << edge.machine.log() << gateway.machine.log();
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 1; }));
    ASSERT_TRUE(edge.send("m1"));
    ASSERT_TRUE(gateway.send(make_ticket(0, 77)));
    ASSERT_TRUE(until([&] { return edge.taken.size() + gateway.taken.size() == 2; }));
    EXPECT_EQ(gateway.domains, (std::set<std::string>{"b.example"}));
    EXPECT_EQ(gateway.proofs, (std::set<Proof>{Proof::kDialbackTls}));
    edge.tell(Fate::kFailed, Fault::kQueueFull);
    edge.server.on_partner({PartnerNews::Kind::kUp, Fault::kNone, "a.example", "b.example"});
    ASSERT_TRUE(until([&] { return gateway.fates[77].size() == 2 && !gateway.news.empty(); }));
    EXPECT_EQ(gateway.fates[77][0].fate, Fate::kWritten);
    EXPECT_TRUE(gateway.fates[77][0].acknowledges);
    EXPECT_EQ(gateway.fates[77][1].fault, Fault::kQueueFull);
}

TEST_F(LinkTest, OnlyKnownNamesGetIn) {
    EdgeSide edge(simulation_, "edge1.int", {"gw2.int"});
    GatewaySide stranger(simulation_, "gw1.int", {{"edge1.int", &edge}});
    GatewaySide misled(simulation_, "gw2.int", {{"edge2.int", &edge}});
    wait(5s);
    EXPECT_EQ(edge.server.up_count(), 0u);
    EXPECT_NE(edge.machine.log().find("another name"), std::string::npos);
    EXPECT_NE(misled.machine.log().find("another name"), std::string::npos);
    EXPECT_EQ(stranger.client->up_count(), 0u);
}

TEST_F(LinkTest, ACertificateOfAnotherAuthorityIsRefused) {
    EdgeSide edge(simulation_, "edge1.int", {"gw1.int"}, {"edge1.int", "gw2.int"});
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    wait(5s);
    EXPECT_EQ(edge.server.up_count(), 0u);
    EXPECT_NE(edge.machine.log().find("not valid here"), std::string::npos);
    GatewaySide careful(simulation_, "gw2.int", {{"edge1.int", &edge}}, {"gw2.int"});
    wait(5s);
    EXPECT_EQ(careful.client->up_count(), 0u);
}

TEST_F(LinkTest, ASlowGatewayIsFeltByWhoeverSends) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    gateway.room = false;
    const std::string text(10'000, 't');
    std::size_t sent = 0;
    const auto push = [&] {
        while (edge.server.take_stanza({"b.example", Proof::kCertificate,
                                        "<message from='u@b.example' to='v@a.example' id='" +
                                            std::to_string(sent) + "'><body>" + text +
                                            "</body></message>"})) {
            ++sent;
        }
    };
    push();
    wait(10s);
    push();
    EXPECT_LE(sent * text.size(), limits::kLinkWindowBytes);
    EXPECT_EQ(edge.server.up_count(), 1u);  // it answers pings all the time
    gateway.room = true;
    ASSERT_TRUE(until([&] { return gateway.taken.size() == sent; }));
    push();
    EXPECT_TRUE(until([&] { return gateway.taken.size() == sent; }));
}

// Each time it is read again: a long one is to cost no more than a small part of a core.
TEST_F(LinkTest, WhatFindsNoRoomIsOfferedAgainTheLaterTheLongerItIs) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    wait(kGatewaysGather);
    const auto offered_within_a_second = [&](std::size_t bytes) {
        gateway.room = false;
        const std::size_t taken = gateway.taken.size();
        const std::string text(bytes, 'x');
        EXPECT_TRUE(until([&] { return edge.send(text); }));
        wait(100ms);
        const std::size_t before = gateway.offered;
        wait(1s);
        const std::size_t offered = gateway.offered - before;
        gateway.room = true;
        EXPECT_TRUE(until([&] { return gateway.taken.size() == taken + 1; }, 600ms));
        return offered;
    };
    EXPECT_GT(offered_within_a_second(100), 300u);
    EXPECT_LT(offered_within_a_second(1 << 20), 35u);
    EXPECT_LE(offered_within_a_second(15 << 20), 3u);
}

TEST_F(LinkTest, BrokenConnectionsLoseAndDoubleNothing) {
    std::size_t breaks = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        SCOPED_TRACE(seed);
        Simulation simulation({.seed = seed});
        EdgeSide edge(simulation, "edge1.int");
        GatewaySide gateway(simulation, "gw1.int", {{"edge1.int", &edge}});
        const auto run = [&](Duration time) { simulation.run_for([] { return false; }, time); };
        run(1s);
        std::vector<std::string> sent;
        Ticket last = 0;
        for (int round = 0; round < 200; ++round) {
            const std::string id = "m" + std::to_string(round);
            if (edge.send(id)) sent.push_back(id);
            if (gateway.send(last + 1)) ++last;
            if (round % 20 == 7 && simulation.break_connection(500)) ++breaks;
            if (round % 3 == 0) edge.tell(Fate::kAcknowledged);
            run(30ms);
        }
        run(3s);
        edge.tell(Fate::kAcknowledged);
        run(1s);
        ASSERT_EQ(gateway.taken.size(), sent.size());
        for (std::size_t i = 0; i < sent.size(); ++i) {
            EXPECT_NE(gateway.taken[i].find("'" + sent[i] + "'"), std::string::npos);
        }
        ASSERT_EQ(edge.taken.size(), last);
        for (Ticket ticket = 1; ticket <= last; ++ticket) {
            EXPECT_EQ(edge.taken[ticket - 1], "<message id='" + std::to_string(ticket) + "'/>");
            ASSERT_EQ(gateway.fates[ticket].size(), 2u);
            EXPECT_EQ(gateway.last_fate(ticket), Fate::kAcknowledged);
        }
        EXPECT_TRUE(edge.errors.empty());
        EXPECT_GT(sent.size(), 100u);
    }
    EXPECT_GT(breaks, 50u);
}

TEST_F(LinkTest, WhereAnEdgeDiesAnotherOneCarriesOn) {
    EdgeSide first(simulation_, "edge1.int");
    EdgeSide second(simulation_, "edge2.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &first}, {"edge2.int", &second}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    ASSERT_TRUE(gateway.send(1));  // written, and never acknowledged
    ASSERT_TRUE(until([&] { return first.taken.size() == 1; }));
    first.tell(Fate::kAcknowledged);
    ASSERT_TRUE(until([&] { return gateway.ended(1); }));
    ASSERT_TRUE(gateway.send(2));  // taken by the edge, no fate is known
    ASSERT_TRUE(until([&] { return first.taken.size() == 2; }));
    ASSERT_TRUE(gateway.send(3));  // on its way
    simulation_.kill(first.machine.node);
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 1; }, 100ms));
    ASSERT_TRUE(until([&] { return gateway.send(4); }, kResumeWithin + 10ms));
    ASSERT_TRUE(until([&] { return second.taken.size() == 1; }, 100ms));
    ASSERT_TRUE(until([&] { return gateway.ended(2) && gateway.ended(3); }));
    EXPECT_EQ(gateway.last_fate(1), Fate::kAcknowledged);
    EXPECT_EQ(gateway.last_fate(2), Fate::kInDoubt);
    EXPECT_EQ(gateway.last_fate(3), Fate::kInDoubt);
    EXPECT_EQ(second.taken, (std::vector<std::string>{"<message id='4'/>"}));
}

TEST_F(LinkTest, ABlackHoleIsFoundOutInTime) {
    EdgeSide first(simulation_, "edge1.int");
    EdgeSide second(simulation_, "edge2.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &first}, {"edge2.int", &second}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    simulation_.cut(first.machine.node, gateway.machine.node);
    ASSERT_TRUE(gateway.send(1));
    const Instant start = simulation_.now();
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 1; }, 5s));
    ASSERT_TRUE(until([&] { return gateway.send(2); }, kResumeWithin + 10ms));
    EXPECT_LT(simulation_.now() - start, 5s);
    ASSERT_TRUE(until([&] { return second.taken.size() == 1; }, 1s));
    ASSERT_TRUE(until([&] { return gateway.ended(1); }));
    EXPECT_EQ(gateway.last_fate(1), Fate::kInDoubt);
    EXPECT_LT(simulation_.now() - start, kFateWithin);
    simulation_.heal(first.machine.node, gateway.machine.node);
    EXPECT_EQ(gateway.backs, 0u);
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }, 10s));
    second.tell(Fate::kWritten);
    EXPECT_EQ(gateway.backs, 0u);  // it is on trial
    wait(kTrialFirst + 1s);
    EXPECT_EQ(gateway.backs, 1u);
    ASSERT_TRUE(gateway.send(3));
    EXPECT_TRUE(until(
        [&] { return std::ranges::find(first.taken, "<message id='3'/>") != first.taken.end(); }));
    EXPECT_EQ(std::ranges::count(first.taken, "<message id='2'/>"), 0);
}

// While they are apart, what partners send goes to others; so it does while it is on trial.
TEST_F(LinkTest, AGatewayIsToldThatAnEdgeHasTakenItBack) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    const GatewaySide::Edges edges{{"edge1.int", &edge}};
    auto two = std::make_unique<GatewaySide>(simulation_, "gw2.int", edges);
    const auto node = two->machine.node;
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }));
    wait(kSteadyAfter);
    EXPECT_EQ(two->backs, 0u);
    simulation_.cut(edge.machine.node, node);
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    wait(kResumeWithin + 100ms);
    simulation_.heal(edge.machine.node, node);
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }));
    EXPECT_TRUE(until([&] { return two->backs == 1; }, 100ms));
    simulation_.kill(node);
    wait(kResumeWithin + 100ms);
    two = std::make_unique<GatewaySide>(simulation_, "gw2.int", edges, kAll, GatewaySide::Adjust{},
                                        node);
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }));
    wait(kTrialFirst - 200ms);
    EXPECT_EQ(two->backs, 0u);
    EXPECT_TRUE(until([&] { return two->backs == 1; }, 400ms));
    wait(kTrialMax);
    EXPECT_EQ(two->backs, 1u);
    EXPECT_EQ(one.backs, 0u);
}

TEST_F(LinkTest, EachConversationHasOneGateway) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    auto two = std::make_unique<GatewaySide>(
        simulation_, "gw2.int",
        std::vector<std::pair<std::string, const EdgeSide*>>{{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }));
    const auto send_all = [&] {
        for (int user = 0; user < 40; ++user) {
            const std::string name = "v" + std::to_string(user);
            ASSERT_TRUE(until([&] { return edge.send("m", name); }));
        }
    };
    send_all();
    ASSERT_TRUE(until([&] { return one.taken.size() + two->taken.size() == 40; }));
    const auto first = one.taken;
    EXPECT_GT(first.size(), 8u);
    EXPECT_GT(two->taken.size(), 8u);
    send_all();
    ASSERT_TRUE(until([&] { return one.taken.size() + two->taken.size() == 80; }));
    EXPECT_EQ(one.taken.size(), 2 * first.size());

    // Written otherwise it is the same conversation.
    ASSERT_TRUE(edge.server.take_stanza(
        {"b.example", Proof::kCertificate,
         "<message from='U@B.example/home' to='&#x56;0@a.example/x' id='m'/>"}));
    ASSERT_TRUE(edge.send("m", "v0"));
    ASSERT_TRUE(until([&] { return one.taken.size() + two->taken.size() == 82; }));
    EXPECT_EQ((one.taken.size() - 2 * first.size()) % 2, 0u);

    // One that goes is sent nothing new.
    two->client->drain();
    wait(100ms);
    one.taken.clear();
    two->taken.clear();
    send_all();
    EXPECT_TRUE(until([&] { return one.taken.size() == 40; }));
    EXPECT_TRUE(two->taken.empty());
}

// Or it would be given what is the others', who come a moment later.
TEST_F(LinkTest, TheFirstGatewayThatComesWaitsForTheOthers) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    EXPECT_FALSE(edge.send("m"));
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }, kGatewaysGather / 2));
    EXPECT_TRUE(edge.send("m"));

    EdgeSide waiting(simulation_, "edge2.int");
    GatewaySide alone(simulation_, "gw1.int", {{"edge2.int", &waiting}});
    ASSERT_TRUE(until([&] { return waiting.server.up_count() == 1; }));
    wait(kGatewaysGather - 10ms);
    EXPECT_FALSE(waiting.send("m"));
    wait(10ms);
    EXPECT_TRUE(waiting.send("m"));
}

// A conversation that moves to a link that comes waits until what went before it was taken.
TEST_F(LinkTest, NothingOvertakesWhereALinkComesOrGoes) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    wait(kGatewaysGather);
    one.room = false;
    for (int user = 0; user < 40; ++user) ASSERT_TRUE(edge.send("m", "v" + std::to_string(user)));
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }));
    unsigned waiting = 0;
    for (int user = 0; user < 40; ++user) {
        if (!edge.send("n", "v" + std::to_string(user))) ++waiting;
    }
    EXPECT_GT(waiting, 8u);
    EXPECT_LT(waiting, 32u);
    wait(1s);
    EXPECT_TRUE(two.taken.empty());
    one.room = true;
    ASSERT_TRUE(until([&] { return one.taken.size() == 80 - waiting; }));
    for (int user = 0; user < 40; ++user) {
        ASSERT_TRUE(until([&] { return edge.send("o", "v" + std::to_string(user)); }, 1s));
    }
    EXPECT_TRUE(until([&] { return two.taken.size() == waiting; }));
}

// At most what was on its way is refused; nothing is silent.
TEST_F(LinkTest, WhatADeadGatewayHadIsTold) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    wait(kGatewaysGather);
    ASSERT_TRUE(edge.send("m1"));
    ASSERT_TRUE(until([&] { return gateway.taken.size() == 1; }));
    wait(1s);  // acknowledged
    ASSERT_TRUE(edge.send("m2"));
    simulation_.kill(gateway.machine.node);
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 0; }, 1s));
    EXPECT_FALSE(edge.send("m3"));  // it waits
    ASSERT_TRUE(until([&] { return !edge.errors.empty(); }));
    EXPECT_EQ(edge.errors.size(), 1u);
    EXPECT_NE(edge.errors[0].find("id='m2'"), std::string::npos);
    EXPECT_NE(edge.errors[0].find("remote-server-timeout"), std::string::npos);
    EXPECT_NE(edge.errors[0].find("to='u@b.example'"), std::string::npos);
    wait(kGatewayAwaited);
    EXPECT_TRUE(edge.send("m4"));
    EXPECT_EQ(edge.errors.size(), 2u);
    EXPECT_TRUE(edge.server.take_stanza(
        {"b.example", Proof::kCertificate,
         "<message type='error' from='u@b.example' to='v@a.example' id='e'/>"}));
    EXPECT_EQ(edge.errors.size(), 2u);  // no error for an error
}

TEST_F(LinkTest, WithoutAnEdgeSendersAreTold) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 1; }));
    simulation_.kill(edge.machine.node);
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 0; }, 1s));
    EXPECT_FALSE(gateway.send(1));
    wait(kEdgeAwaited + kResumeWithin);
    EXPECT_TRUE(gateway.send(1));
    ASSERT_TRUE(gateway.ended(1));
    EXPECT_EQ(gateway.fates[1][0].fault, Fault::kUnreachable);
}

// Errors and presence are worth something later, too; a message is not kept for so long.
TEST_F(LinkTest, WhatIsOwedWaitsForAGateway) {
    EdgeSide edge(simulation_, "edge1.int");
    auto gateway = std::make_unique<GatewaySide>(simulation_, "gw1.int",
                                                 GatewaySide::Edges{{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    simulation_.kill(gateway->machine.node);
    wait(kGatewayAwaited + kResumeWithin + 1s);
    const std::string error = "<message type='error' from='u@b.example' to='v@a.example' id='e'/>";
    const std::string presence = "<presence from='u@b.example' to='v@a.example'/>";
    ASSERT_TRUE(edge.server.take_stanza({"b.example", Proof::kCertificate, error}));
    ASSERT_TRUE(edge.server.take_stanza({"b.example", Proof::kCertificate, presence}));
    ASSERT_TRUE(edge.send("m"));
    EXPECT_EQ(edge.errors.size(), 1u);
    wait(20s);
    GatewaySide other(simulation_, "gw2.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    ASSERT_TRUE(until([&] { return edge.send("n"); }));
    ASSERT_TRUE(until([&] { return other.taken.size() == 3; }));
    EXPECT_EQ(other.taken[0], error);
    EXPECT_EQ(other.taken[1], presence);
    EXPECT_EQ(edge.errors.size(), 1u);
    EXPECT_EQ(edge.machine.group.sum(Counter::kMapDropped), 0u);
}

TEST_F(LinkTest, WhatIsOwedForTooLongOrTooMuchIsCounted) {
    EdgeSide edge(simulation_, "edge1.int");
    wait(kGatewayAwaited + 1s);
    const std::string presence = "<presence from='u@b.example' to='v@a.example'/>";
    ASSERT_TRUE(edge.server.take_stanza({"b.example", Proof::kCertificate, presence}));
    wait(kLateNewsKept);
    EXPECT_EQ(edge.machine.group.sum(Counter::kMapDropped), 1u);
    const std::string big = "<presence from='u@b.example' to='v@a.example'><status>" +
                            std::string(1 << 20, 's') + "</status></presence>";
    for (std::size_t i = 0; i <= limits::kLinkAgainBytes >> 20; ++i) {
        ASSERT_TRUE(edge.server.take_stanza({"b.example", Proof::kCertificate, big}));
    }
    EXPECT_EQ(edge.machine.group.sum(Counter::kMapDropped), 2u);
}

// At once, not when the next stanza to him fails.
TEST_F(LinkTest, WhenAnEdgeDiesItsPartnersAreNews) {
    EdgeSide first(simulation_, "edge1.int");
    EdgeSide second(simulation_, "edge2.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &first}, {"edge2.int", &second}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    first.server.on_partner({PartnerNews::Kind::kUp, Fault::kNone, "a.example", "b.example"});
    second.server.on_partner({PartnerNews::Kind::kUp, Fault::kNone, "a.example", "c.example"});
    ASSERT_TRUE(until([&] { return gateway.news.size() == 2; }));
    gateway.news.clear();
    gateway.kinds.clear();
    simulation_.kill(first.machine.node);
    ASSERT_TRUE(until([&] { return !gateway.news.empty(); }, 1s));
    EXPECT_EQ(gateway.news, (std::vector<std::string>{"b.example"}));
    EXPECT_EQ(gateway.kinds[0], PartnerNews::Kind::kBroke);
    simulation_.kill(second.machine.node);
    ASSERT_TRUE(until([&] { return gateway.news.size() == 2; }, 1s));
    EXPECT_EQ(gateway.news[1], "c.example");
    EXPECT_EQ(gateway.kinds[1], PartnerNews::Kind::kDown);
}

// Of an edge by which nothing goes to him it says nothing that his stream there breaks.
TEST_F(LinkTest, NewsOfAnotherEdgeAreNone) {
    EdgeSide first(simulation_, "edge1.int");
    EdgeSide second(simulation_, "edge2.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &first}, {"edge2.int", &second}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    ASSERT_TRUE(gateway.send(1));
    second.server.on_partner({PartnerNews::Kind::kBroke, Fault::kNone, "a.example", "b.example"});
    second.server.on_partner({PartnerNews::Kind::kSeen, Fault::kNone, "a.example", "b.example"});
    ASSERT_TRUE(until([&] { return !gateway.news.empty(); }));
    EXPECT_EQ(gateway.kinds, (std::vector{PartnerNews::Kind::kSeen}));
}

TEST_F(LinkTest, EdgesOfOnePrioritySharePartnersByWeight) {
    EdgeSide first(simulation_, "edge1.int");
    EdgeSide second(simulation_, "edge2.int");
    EdgeSide spare(simulation_, "edge3.int");
    const auto adjust = [](ClientSettings& settings, net::SimulatedResolver&) {
        settings.edges[0].priority = settings.edges[1].priority = 1;
        settings.edges[0].weight = 3;
        settings.edges[2].priority = 2;
    };
    const GatewaySide::Edges edges{
        {"edge1.int", &first}, {"edge2.int", &second}, {"edge3.int", &spare}};
    GatewaySide one(simulation_, "gw1.int", edges, kAll, adjust);
    GatewaySide two(simulation_, "gw2.int", edges, kAll, adjust);
    ASSERT_TRUE(until([&] { return one.client->up_count() + two.client->up_count() == 6; }));
    for (Ticket i = 1; i <= 200; ++i) {
        ASSERT_TRUE(one.send(i, "p" + std::to_string(i) + ".example"));
    }
    ASSERT_TRUE(until([&] { return first.taken.size() + second.taken.size() == 200; }));
    EXPECT_GT(first.taken.size(), 130u);
    EXPECT_LT(first.taken.size(), 170u);
    EXPECT_TRUE(spare.taken.empty());
    // Any other gateway chooses the same.
    const auto taken = std::exchange(first.taken, {});
    for (Ticket i = 1; i <= 200; ++i) {
        ASSERT_TRUE(two.send(i, "p" + std::to_string(i) + ".example"));
    }
    ASSERT_TRUE(until([&] { return first.taken.size() == taken.size(); }));
    wait(100ms);
    EXPECT_EQ(first.taken, taken);
}

// What an edge that is not the best one any more has not got away yet comes first.
TEST_F(LinkTest, PartnersGoBackToTheBetterEdgeInOrder) {
    auto first = std::make_unique<EdgeSide>(simulation_, "edge1.int");
    EdgeSide second(simulation_, "edge2.int");
    GatewaySide gateway(simulation_, "gw1.int",
                        {{"edge1.int", first.get()}, {"edge2.int", &second}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    const auto node = first->machine.node;
    simulation_.kill(node);
    const Instant start = simulation_.now();
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 1; }));
    ASSERT_TRUE(until([&] { return gateway.send(1); }, 1s));
    EXPECT_LT(simulation_.now() - start, 1s);
    ASSERT_TRUE(until([&] { return second.taken.size() == 1; }, 100ms));
    wait(100ms);
    first = std::make_unique<EdgeSide>(simulation_, "edge1.int", node);
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }, 5s));
    wait(kTrialFirst);
    EXPECT_FALSE(gateway.send(2));  // held back for a moment: the first one has no fate
    wait(300ms);
    ASSERT_TRUE(gateway.send(2));  // that takes too long
    ASSERT_TRUE(until([&] { return second.taken.size() == 2; }));
    second.tell(Fate::kWritten);
    ASSERT_TRUE(until([&] { return gateway.ended(1) && gateway.ended(2); }));
    wait(kAckWithin + 10ms);
    ASSERT_TRUE(gateway.send(3));
    EXPECT_TRUE(until([&] { return first->taken.size() == 1; }));
    EXPECT_EQ(second.taken.size(), 2u);
}

// Each time that it is gone again within seconds it has to stay for longer before it is used.
TEST_F(LinkTest, AnEdgeThatComesAndGoesIsTrustedLater) {
    auto first = std::make_unique<EdgeSide>(simulation_, "edge1.int");
    EdgeSide second(simulation_, "edge2.int");
    GatewaySide gateway(simulation_, "gw1.int",
                        {{"edge1.int", first.get()}, {"edge2.int", &second}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    const auto node = first->machine.node;
    Ticket ticket = 0;
    Duration before{};
    for (int round = 0; round < 4; ++round) {
        simulation_.kill(node);
        ASSERT_TRUE(until([&] { return gateway.client->up_count() == 1; }));
        wait(100ms);
        first = std::make_unique<EdgeSide>(simulation_, "edge1.int", node);
        ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
        const Instant start = simulation_.now();
        while (first->taken.empty() && simulation_.now() < start + kTrialMax) {
            static_cast<void>(gateway.send(++ticket));
            wait(50ms);
            first->tell(Fate::kWritten);
            second.tell(Fate::kWritten);
        }
        const Duration took = simulation_.now() - start;
        EXPECT_GT(took, before + kTrialFirst / 2);
        before = took;
    }
    EXPECT_LT(before, kTrialMax);
    wait(kTrialMax);  // it has proved steady
    simulation_.kill(node);
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 1; }));
    wait(100ms);
    first = std::make_unique<EdgeSide>(simulation_, "edge1.int", node);
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    ASSERT_TRUE(gateway.send(++ticket));
    EXPECT_TRUE(until([&] { return first->taken.size() == 1; }, 100ms));
}

TEST_F(LinkTest, EdgesAreFoundByTheirRecords) {
    EdgeSide first(simulation_, "edge1.int");
    EdgeSide second(simulation_, "edge2.int");
    EdgeSide stray(simulation_, "edge3.int");
    const auto adjust = [](ClientSettings& settings, net::SimulatedResolver& resolver) {
        settings.edges = {{"int"}};
        resolver.add_srv("_fedgate-link._tcp.int", {20, 1, kPort, "edge2.int"});
        resolver.add_srv("_fedgate-link._tcp.int", {10, 1, kPort, "edge1.int"});
    };
    GatewaySide gateway(simulation_, "gw1.int",
                        {{"edge1.int", &first}, {"edge2.int", &second}, {"edge3.int", &stray}},
                        kAll, adjust);
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    ASSERT_TRUE(gateway.send(1));
    ASSERT_TRUE(until([&] { return first.taken.size() == 1; }));
    first.tell(Fate::kWritten);
    // Others take their places.
    auto& resolver = gateway.machine.resolver;
    resolver.clear("_fedgate-link._tcp.int");
    wait(70s);
    EXPECT_EQ(gateway.client->up_count(), 2u);  // who does not answer changes nothing
    resolver.add_srv("_fedgate-link._tcp.int", {10, 1, kPort, "edge3.int"});
    resolver.add_srv("_fedgate-link._tcp.int", {20, 1, kPort, "edge2.int"});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 3; }, 70s));
    ASSERT_TRUE(until([&] { return gateway.send(2); }));
    ASSERT_TRUE(until([&] { return stray.taken.size() == 1; }));
    simulation_.kill(first.machine.node);
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    wait(130s);
    gateway.machine.log();
    wait(130s);
    EXPECT_EQ(gateway.machine.log(), "");  // who is not named any more is not looked for
}

// DNS may name a host, but not make it trusted.
TEST_F(LinkTest, ARecordForAnotherDomainNeedsTheDomainsCertificate) {
    EdgeSide edge(simulation_, "edge1.int");
    const auto adjust = [](ClientSettings& settings, net::SimulatedResolver& resolver) {
        settings.edges = {{"corp.example"}};
        resolver.add_srv("_fedgate-link._tcp.corp.example", {10, 1, kPort, "edge1.int"});
    };
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}}, kAll, adjust);
    wait(5s);
    EXPECT_EQ(gateway.client->up_count(), 0u);
    EXPECT_NE(gateway.machine.log().find("another name"), std::string::npos);
}

// Within a second of a death its conversations are another's, and later its own again.
TEST_F(LinkTest, WhereAGatewayDiesAnotherOneServesAndGivesBack) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    auto two = std::make_unique<GatewaySide>(simulation_, "gw2.int",
                                             GatewaySide::Edges{{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }));
    std::string user;
    for (int i = 0; two->taken.empty(); ++i) {
        user = "v" + std::to_string(i);
        ASSERT_TRUE(edge.send("m", user));
        wait(100ms);
    }
    wait(kSteadyAfter);
    const auto node = two->machine.node;
    const std::size_t taken = one.taken.size();
    simulation_.kill(node);
    const Instant start = simulation_.now();
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 1; }));
    ASSERT_TRUE(until([&] { return edge.send("n", user); }, 2s));
    ASSERT_TRUE(until([&] { return one.taken.size() == taken + 1; }, 1s));
    EXPECT_LT(simulation_.now() - start, 1s);
    two = std::make_unique<GatewaySide>(simulation_, "gw2.int",
                                        GatewaySide::Edges{{"edge1.int", &edge}}, kAll,
                                        GatewaySide::Adjust{}, node);
    ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }));
    one.room = false;
    ASSERT_TRUE(until([&] { return edge.send("o", user) && !two->taken.empty(); }, 5s));
    EXPECT_NE(two->taken[0].find("id='o'"), std::string::npos);
    EXPECT_EQ(one.taken.size(), taken + 1);
}

// Conversations are where their rows are, as long as anybody has any; and who can't reach the store
// hears whether another one can.
TEST_F(LinkTest, AGatewayWithoutTheStoreGivesWayToOthers) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}});
    one.client->set_tenure(Tenure::kLost);  // as at a start
    two.client->set_tenure(Tenure::kLost);
    ASSERT_TRUE(until([&] { return one.client->has_others() && two.client->has_others(); }));
    wait(100ms);
    unsigned sent = 0;
    const auto shares = [&] {
        one.taken.clear();
        two.taken.clear();
        for (int i = 0; i < 100; ++i) {
            const std::string id = std::to_string(++sent);
            EXPECT_TRUE(until([&] { return edge.send(id, "v" + std::to_string(i)); }));
        }
        EXPECT_TRUE(until([&] { return one.taken.size() + two.taken.size() == 100; }));
        return std::pair(one.taken.size(), two.taken.size());
    };
    const auto both = shares();
    EXPECT_GT(both.first, 25u);
    EXPECT_GT(both.second, 25u);
    one.client->set_tenure(Tenure::kHeld);
    ASSERT_TRUE(until([&] { return two.others_hold; }, 100ms));
    EXPECT_EQ(shares(), std::pair(100ul, 0ul));
    EXPECT_FALSE(one.others_hold);
    two.client->set_tenure(Tenure::kHeld);
    ASSERT_TRUE(until([&] { return one.others_hold; }, 100ms));
    EXPECT_EQ(shares(), both);
    // One that is late has its share still; it is no reason for others to give up theirs.
    wait(kSteadyAfter);
    one.client->set_tenure(Tenure::kLate);
    ASSERT_TRUE(until([&] { return !two.others_hold; }, 100ms));
    EXPECT_EQ(shares(), both);
    EXPECT_TRUE(one.others_hold);
    one.client->set_tenure(Tenure::kLost);
    ASSERT_TRUE(until([&] { return one.client->is_anothers(1) && one.client->is_anothers(2); }));
    EXPECT_TRUE(one.client->has_others());  // that may be asked
    EXPECT_EQ(shares(), std::pair(0ul, 100ul));
    EXPECT_EQ(one.backs, 0u);
    one.client->set_tenure(Tenure::kHeld);
    EXPECT_TRUE(until([&] { return one.backs == 1; }, 100ms));
    EXPECT_EQ(shares(), both);
    // A way that is broken says nothing of the others.
    simulation_.cut(edge.machine.node, one.machine.node);
    EXPECT_TRUE(until([&] { return !one.others_hold; }));
}

TEST_F(LinkTest, AStoreThatComesAndGoesIsTrustedLater) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}});
    for (GatewaySide* gateway : {&one, &two}) gateway->client->set_tenure(Tenure::kHeld);
    ASSERT_TRUE(until([&] { return one.client->has_others() && two.client->has_others(); }));
    one.client->set_tenure(Tenure::kLost);
    ASSERT_TRUE(until([&] { return !two.client->has_others(); }, 100ms));
    one.client->set_tenure(Tenure::kHeld);
    wait(kTrialFirst - 200ms);
    EXPECT_FALSE(two.client->has_others());
    EXPECT_TRUE(until([&] { return two.client->has_others(); }, 400ms));
}

// An edge that ends waits for that: else what it had sent would be in doubt.
TEST_F(LinkTest, AnEdgeHasSettledWhenAllThatItSentIsTaken) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    wait(kGatewaysGather);
    gateway.room = false;
    ASSERT_TRUE(until([&] { return edge.send("m"); }));
    wait(1s);
    EXPECT_FALSE(edge.server.settled());
    gateway.room = true;
    EXPECT_TRUE(until([&] { return edge.server.settled(); }, 1s));
    EXPECT_EQ(gateway.taken.size(), 1u);
}

// Others do not have its rows, so nothing is gained by trying it for long.
TEST_F(LinkTest, AGatewayThatHoldsItsShareIsOnNoTrial) {
    EdgeSide edge(simulation_, "edge1.int");
    const GatewaySide::Edges edges{{"edge1.int", &edge}};
    GatewaySide one(simulation_, "gw1.int", edges);
    auto two = std::make_unique<GatewaySide>(simulation_, "gw2.int", edges);
    const auto node = two->machine.node;
    for (GatewaySide* gateway : {&one, two.get()}) gateway->client->set_tenure(Tenure::kHeld);
    ASSERT_TRUE(until([&] { return one.client->has_others() && two->client->has_others(); }));
    for (int round = 0; round < 4; ++round) {
        simulation_.kill(node);
        ASSERT_TRUE(until([&] { return !one.client->has_others(); }, 1s));
        two = std::make_unique<GatewaySide>(simulation_, "gw2.int", edges, kAll,
                                            GatewaySide::Adjust{}, node);
        two->client->set_tenure(Tenure::kLost);
        ASSERT_TRUE(until([&] { return edge.server.up_count() == 2; }));
        wait(1'100ms);
        EXPECT_FALSE(one.client->has_others());
        EXPECT_EQ(two->backs, 0u);
        two->client->set_tenure(Tenure::kHeld);
        EXPECT_TRUE(until([&] { return one.client->has_others(); }, 100ms));
        EXPECT_TRUE(until([&] { return two->backs == 1; }, 100ms));
        two->taken.clear();
        for (int i = 0; i < 20; ++i) {
            ASSERT_TRUE(
                until([&] { return edge.send("m" + std::to_string(i), "v" + std::to_string(i)); }));
        }
        EXPECT_TRUE(until([&] { return !two->taken.empty(); }));
    }
}

// Who takes nothing any more, and whose conversations are others' now, is waited for, so that
// nothing overtakes; but not for ever.
TEST_F(LinkTest, WhoTakesNothingIsOvertaken) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}});
    for (GatewaySide* gateway : {&one, &two}) gateway->client->set_tenure(Tenure::kHeld);
    ASSERT_TRUE(until([&] { return one.client->has_others() && two.client->has_others(); }));
    wait(100ms);
    two.room = false;
    unsigned sent = 0;
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(
            until([&] { return edge.send(std::to_string(++sent), "v" + std::to_string(i)); }));
    }
    wait(100ms);
    const std::size_t taken = one.taken.size();
    ASSERT_LT(taken, sent);
    two.client->set_tenure(Tenure::kLost);
    const Instant start = simulation_.now();
    ASSERT_TRUE(until([&] { return !one.client->has_others(); }));
    EXPECT_FALSE(edge.send("late", "v0"));
    ASSERT_TRUE(until([&] { return edge.send("late", "v0"); }, 2 * kOvertakenAfter));
    EXPECT_GE(simulation_.now() - start, kOvertakenAfter);
    EXPECT_TRUE(until([&] { return one.taken.size() == taken + 1; }));
    two.room = true;  // what it has been sent is still its own
    EXPECT_TRUE(until([&] { return two.taken.size() == sent - taken; }));
}

// What came to the one that does not have the conversation is asked of the one that has, and of no
// other; both know which one that is.
TEST_F(LinkTest, ARequestIsTakenToWhoeverHasItsConversation) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return one.client->up_count() == 1; }));
    wait(100ms);
    EXPECT_FALSE(one.client->has_others());
    EXPECT_FALSE(one.client->is_anothers(1));
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return one.client->has_others() && two.client->has_others(); }));
    unsigned anothers = 0;
    for (std::uint64_t i = 0; i < 100; ++i) {
        EXPECT_NE(one.client->is_anothers(i), two.client->is_anothers(i));
        if (!one.client->is_anothers(i)) continue;
        ++anothers;
        ASSERT_TRUE(one.client->ask({i, i, "MESSAGE " + std::to_string(i)}));
    }
    EXPECT_GT(anothers, 25u);
    EXPECT_LT(anothers, 75u);
    ASSERT_TRUE(until([&] { return two.requests.size() == anothers; }));
    EXPECT_TRUE(one.requests.empty());
    wait(1s);  // all is acknowledged: it is the answers that are owed
    EXPECT_FALSE(one.client->settled());
    EXPECT_FALSE(two.client->settled());
    for (const auto& [ticket, bytes] : two.requests) {
        two.client->answer({ticket, Answer::Kind::kAnswered, 200, 0, "tag", "OK", bytes + "\r\n"});
    }
    ASSERT_TRUE(until([&] { return one.answers.size() == anothers; }));
    for (const auto& [ticket, answer] : one.answers) {
        EXPECT_EQ(answer, "200 MESSAGE " + std::to_string(ticket) + "\r\n");
    }
    EXPECT_TRUE(until([&] { return one.client->settled() && two.client->settled(); }, 1s));
    // What is the same conversation for a stanza is the same for a request.
    const std::uint64_t conversation =
        hash_of_address("v7", "a.example", hash_of_address("u", "b.example", 0));
    ASSERT_TRUE(edge.send("m", "v7"));
    ASSERT_TRUE(until([&] { return one.taken.size() + two.taken.size() == 1; }));
    EXPECT_EQ(two.taken.size() == 1, one.client->is_anothers(conversation));
    two.client->drain();
    EXPECT_TRUE(until([&] { return !one.client->has_others(); }));
}

// What an edge says of gateways holds as far as it says what the topology says.
TEST_F(LinkTest, OnlyMembersOfThePoolMayBeNamedAndAsk) {
    EdgeSide edge(simulation_, "edge1.int");
    const auto with = [](std::vector<std::string> pool) {
        return
            [pool](ClientSettings& settings, net::SimulatedResolver&) { settings.gateways = pool; };
    };
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}}, kAll, with({"gw1.int"}));
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}}, kAll,
                    with({"gw1.int", "gw2.int"}));
    ASSERT_TRUE(until([&] { return two.client->has_others(); }));
    EXPECT_FALSE(one.client->has_others());
    std::uint64_t conversation = 0;
    while (!two.client->is_anothers(conversation)) {
        EXPECT_FALSE(one.client->is_anothers(conversation++));
    }
    ASSERT_TRUE(two.client->ask({1, conversation, "MESSAGE"}));
    ASSERT_TRUE(until([&] { return two.answers.size() == 1; }));
    EXPECT_EQ(two.answers[1], "403 ");
    EXPECT_TRUE(one.requests.empty());
}

TEST_F(LinkTest, AnEdgeOfOneGatewayTakesNoRequests) {
    EdgeSide edge(simulation_, "edge1.int", {"gw1.int"});
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 1; }));
    ASSERT_TRUE(gateway.client->ask({1, 1, "MESSAGE"}));
    ASSERT_TRUE(until([&] { return gateway.answers.size() == 1; }));
    EXPECT_EQ(gateway.answers[1], "403 ");
    EXPECT_TRUE(gateway.requests.empty());
}

TEST_F(LinkTest, WhoWasAskedAndDiesIsTold) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return one.client->has_others() && two.client->has_others(); }));
    std::uint64_t conversation = 0;
    while (!one.client->is_anothers(conversation)) ++conversation;
    ASSERT_TRUE(one.client->ask({1, conversation, "MESSAGE"}));
    ASSERT_TRUE(until([&] { return two.requests.size() == 1; }));
    two.room = false;  // nobody waits for it
    ASSERT_TRUE(one.client->ask({2, conversation, "MESSAGE"}));
    ASSERT_TRUE(until([&] { return one.answers.size() == 1; }));
    EXPECT_EQ(one.answers[2], "503 ");
    two.room = true;
    ASSERT_TRUE(one.client->ask({3, conversation, "MESSAGE"}));
    wait(10ms);
    simulation_.kill(two.machine.node);
    ASSERT_TRUE(until([&] { return one.answers.size() == 3; }, 1s));
    EXPECT_EQ(one.answers[1], "lost");
    EXPECT_EQ(one.answers[3], "lost");
    EXPECT_FALSE(one.client->is_anothers(conversation));
    simulation_.kill(edge.machine.node);
    wait(1s);
    EXPECT_FALSE(one.client->ask({4, conversation, "MESSAGE"}));
}

// Each has requests for the other, and what each makes of them has to go through the same edge.
TEST_F(LinkTest, TwoGatewaysThatWereOverloadedGoOn) {
    EdgeSide edge(simulation_, "edge1.int");
    GatewaySide one(simulation_, "gw1.int", {{"edge1.int", &edge}});
    GatewaySide two(simulation_, "gw2.int", {{"edge1.int", &edge}});
    ASSERT_TRUE(until([&] { return one.client->has_others() && two.client->has_others(); }));
    const std::string big(200'000, 'x');
    GatewaySide* const both[] = {&one, &two};
    std::uint64_t conversations[] = {0, 0};
    std::size_t asked[] = {0, 0};
    for (const int i : {0, 1}) {
        both[i]->relays = true;
        while (!both[i]->client->is_anothers(conversations[i])) ++conversations[i];
    }
    for (int step = 0; step < 300; ++step) {  // more than the edge takes
        edge.budget = step % 3 == 0;
        for (const int i : {0, 1}) {
            for (int more = 0; more < 4; ++more) {
                if (both[i]->client->ask({asked[i] + 1, conversations[i], big})) ++asked[i];
                static_cast<void>(both[i]->relay(big));
            }
        }
        edge.tell(Fate::kAcknowledged);
        wait(1ms);
    }
    edge.budget = ~std::size_t{0};
    EXPECT_TRUE(until(
        [&] {
            edge.tell(Fate::kAcknowledged);
            return one.answers.size() == asked[0] && two.answers.size() == asked[1];
        },
        30s));
}

// It has proved who it is, and then says nothing: each time that the records are asked for again.
TEST_F(LinkTest, AnEdgeOfTheRecordsThatSaysNothing) {
    struct Mute final : SocketOwner, net::ConnectionOwner {
        Mute(Simulation& simulation, const std::string& name) : machine(simulation, name, kAll) {
            const auto listening =
                machine.loop.listen(simulation.address(machine.node, kPort), *this);
            FEDGATE_CHECK(listening.has_value());
        }
        void on_accept(Socket, Socket socket, const SocketAddress& peer) override {
            all.push_back(std::make_unique<net::Connection>(machine.loop, *this, kLinkConnection,
                                                            socket, peer));
            all.back()->start_tls_server(*machine.tls, kLinkAlpn);
        }
        void on_secured(net::Connection&) override { ++secured; }
        std::size_t on_data(net::Connection&, MutableBytes input) override { return input.size(); }
        void on_closed(net::Connection&, Error) override {}

        Machine machine;
        unsigned secured = 0;
        std::vector<std::unique_ptr<net::Connection>> all;
    };
    Mute mute(simulation_, "edge1.int");
    EdgeSide other(simulation_, "edge2.int");
    const auto adjust = [&](ClientSettings& settings, net::SimulatedResolver& resolver) {
        settings.edges = {{"int"}};
        resolver.add_srv("_fedgate-link._tcp.int", {10, 1, kPort, "edge1.int"});
        resolver.add_address("edge1.int", simulation_.address(mute.machine.node, 0));
    };
    GatewaySide gateway(simulation_, "gw1.int", {{"edge2.int", &other}}, kAll, adjust);
    wait(200s);  // the records are asked for again every minute
    EXPECT_GT(mute.secured, 10u);
    EXPECT_EQ(gateway.client->up_count(), 0u);
}

// They come in and say nothing, as many as want to: whoever has a certificate gets in all the same.
TEST_F(LinkTest, WhoSaysNothingKeepsNobodyOut) {
    struct Mute final : net::ConnectionOwner {
        std::size_t on_data(net::Connection&, MutableBytes input) override { return input.size(); }
        void on_closed(net::Connection&, Error) override { ++closed; }
        std::size_t closed = 0;
    };
    EdgeSide edge(simulation_, "edge1.int");
    Machine machine(simulation_, "gw2.int", kAll);
    Mute mute;
    std::vector<std::unique_ptr<net::Connection>> all;
    const auto come_in = [&] {
        auto made = net::Connection::connect(machine.loop, mute, kLinkConnection,
                                             simulation_.address(edge.machine.node, kPort));
        if (made) all.push_back(std::move(*made));
    };
    for (std::size_t i = 0; i < limits::kLinkGuests; ++i) come_in();
    wait(100ms);
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &edge}});
    for (int i = 0; i < 500 && gateway.client->up_count() == 0; ++i) {
        come_in();
        wait(1ms);
    }
    EXPECT_EQ(gateway.client->up_count(), 1u);
    EXPECT_GT(mute.closed, 0u);
}

// What is given to a peer that may be dead is in doubt when it is: no more than that of a second.
TEST_F(LinkTest, ASuspectPeerIsGivenNothingNew) {
    EdgeSide first(simulation_, "edge1.int", {"gw1.int"});
    EdgeSide second(simulation_, "edge2.int");
    GatewaySide gateway(simulation_, "gw1.int", {{"edge1.int", &first}, {"edge2.int", &second}});
    ASSERT_TRUE(until([&] { return gateway.client->up_count() == 2; }));
    ASSERT_TRUE(until([&] { return first.server.up_count() == 1; }));
    simulation_.cut(first.machine.node, gateway.machine.node);
    Ticket given = 0;
    unsigned received = 0;
    for (int i = 0; i < 55; ++i) {
        if (gateway.send(given + 1)) ++given;
        if (first.send("m" + std::to_string(i))) ++received;
        wait(50ms);
    }
    EXPECT_EQ(gateway.client->up_count(), 2u);
    EXPECT_GE(given, 19u);
    EXPECT_LE(given, 21u);
    EXPECT_GE(received, 19u);
    EXPECT_LE(received, 21u);
    ASSERT_TRUE(until([&] { return gateway.send(given + 1); }, 2s));
    ASSERT_TRUE(until([&] { return second.taken.size() == 1; }));
}

}  // namespace
}  // namespace fedgate::link
