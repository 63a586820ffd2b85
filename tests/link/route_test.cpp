// Which edges what goes to partners takes: by its sender's site, by pools that change meanwhile, by
// certificates that are not good any more.
#include <algorithm>
#include <memory>
#include <string>

#include "core/config/file.hpp"
#include "tests/link/link_sides.hpp"

namespace fedgate::link {
namespace {

std::unique_ptr<const rules::Snapshot> rules_of(const std::string& text) {
    config::Problems problems;
    config::Tree tree;
    std::vector<config::Setting> settings;
    config::parse_settings(
        "federation.allow = yes\npool/a/members = edge1.int\npool/b/members = edge2.int\n"
        "pool/b/priority = 10\ndomain/a.example/next_hop = sip:192.0.2.1\n"
        "domain/c.example/next_hop = sip:192.0.2.1\n" +
            text,
        "t", settings, problems);
    config::apply(settings, tree, problems);
    auto rules = rules::compile(tree, 1, problems);
    for (const auto& problem : problems) ADD_FAILURE() << problem.line();
    return rules;
}

// Two pools of one edge each; the first one is the better one.
class RouteTest : public LinkTest {
protected:
    static void pools(ClientSettings& settings, net::SimulatedResolver&) {
        settings.edges[0].pool = "a";
        settings.edges[1].pool = "b";
    }
    void rules(const std::string& text) {
        auto next = rules_of(text);
        gateway_.client->set_rules(next.get());
        rules_ = std::move(next);
    }
    void SetUp() override {
        ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 2; }));
    }
    bool send(Ticket ticket, const std::string& from, const std::string& our = "a.example") {
        return gateway_.client->take_stanza(
            {ticket, our, "b.example",
             "<message from='" + from + "@" + our + "' id='" + std::to_string(ticket) + "'/>"});
    }
    // True: the first edge has got it; the fate is told.
    bool goes_by_first(const std::string& from, const std::string& our = "a.example") {
        const std::size_t first = first_->taken.size();
        const std::size_t both = first + second_.taken.size();
        EXPECT_TRUE(until([&] { return send(++ticket_, from, our); }, 3s));
        EXPECT_TRUE(
            until([&] { return first_->taken.size() + second_.taken.size() == both + 1; }, 3s));
        first_->tell(Fate::kWritten);
        second_.tell(Fate::kWritten);
        EXPECT_TRUE(until([&] { return gateway_.ended(ticket_); }));
        wait(kAckWithin + 10ms);
        return first_->taken.size() == first + 1;
    }
    RouteRow row(const std::string& site) const {
        for (const RouteRow& one : gateway_.client->routes()) {
            if (one.site == site) return one;
        }
        ADD_FAILURE() << "no route of " << site;
        return {};
    }

    Ticket ticket_ = 0;
    std::unique_ptr<EdgeSide> first_ = std::make_unique<EdgeSide>(simulation_, "edge1.int");
    EdgeSide second_{simulation_, "edge2.int"};
    std::unique_ptr<const rules::Snapshot> rules_;
    GatewaySide gateway_{simulation_,
                         "gw1.int",
                         {{"edge1.int", first_.get()}, {"edge2.int", &second_}},
                         kAll,
                         pools};
};

TEST_F(RouteTest, EachSiteGoesByItsOwnPool) {
    EXPECT_TRUE(goes_by_first("v"));
    rules("site/rome/route = b\ndomain/a.example/site = rome\n");
    EXPECT_FALSE(goes_by_first("v"));
    EXPECT_TRUE(goes_by_first("v", "c.example"));
    rules(
        "site/rome/route = b\nsite/paris/route = a\ndomain/a.example/site = rome\n"
        "domain/c.example/site = paris\nuser/o'hara@a.example/site = paris\n"
        "user/q@c.example/site = rome\n");
    EXPECT_FALSE(goes_by_first("v"));
    EXPECT_TRUE(goes_by_first("o\\27hara"));  // XEP-0106: as policies know him
    EXPECT_TRUE(goes_by_first("v", "c.example"));
    EXPECT_FALSE(goes_by_first("q", "c.example"));
    EXPECT_EQ(row("rome").now, "b");
    EXPECT_EQ(row("paris").now, "a");
    EXPECT_EQ(row("").now, "a");
}

TEST_F(RouteTest, WithoutItsPoolASiteGoesByTheOthersAndComesBack) {
    rules("site/paris/route = a\ndomain/a.example/site = paris\n");
    EXPECT_TRUE(goes_by_first("v"));
    const auto node = first_->machine.node;
    wait(kSteadyAfter);
    simulation_.kill(node);
    const Instant start = simulation_.now();
    ASSERT_TRUE(until([&] {
        if (send(ticket_ + 1, "v")) ++ticket_;
        return !second_.taken.empty();
    }));
    EXPECT_LT(simulation_.now() - start, 1s);
    wait(100ms);
    second_.tell(Fate::kWritten);
    EXPECT_EQ(row("paris").now, "b");
    ASSERT_EQ(row("paris").missing.size(), 1u);
    EXPECT_TRUE(row("paris").missing[0].starts_with("edge1.int: ")) << row("paris").missing[0];
    wait(10s);
    first_ = std::make_unique<EdgeSide>(simulation_, "edge1.int", node);
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 2; }, 5s));
    EXPECT_TRUE(goes_by_first("v"));
    EXPECT_EQ(row("paris").now, "a");
    EXPECT_TRUE(row("paris").missing.empty());
    // Gone again within seconds: then it is waited for, and the route says so when that is over.
    simulation_.kill(node);
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 1; }));
    wait(1s);
    first_ = std::make_unique<EdgeSide>(simulation_, "edge1.int", node);
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 2; }, 5s));
    EXPECT_EQ(row("paris").now, "b");
    EXPECT_EQ(row("paris").missing,
              (std::vector<std::string>{"edge1.int: on trial, since it came and went"}));
    gateway_.machine.log();
    wait(kTrialFirst + 10ms);
    EXPECT_EQ(row("paris").now, "a");
    EXPECT_NE(gateway_.machine.log().find("FG-5004"), std::string::npos);
}

// What went the old way comes first.
TEST_F(RouteTest, AMovedRouteKeepsTheOrder) {
    rules("site/rome/route = a\ndomain/a.example/site = rome\n");
    ASSERT_TRUE(send(1, "v"));
    ASSERT_TRUE(until([&] { return first_->taken.size() == 1; }));
    rules("site/rome/route = b\ndomain/a.example/site = rome\n");
    EXPECT_FALSE(send(2, "v"));
    first_->tell(Fate::kWritten);
    ASSERT_TRUE(until([&] { return gateway_.ended(1); }));
    ASSERT_TRUE(until([&] { return send(2, "v"); }, 100ms));
    EXPECT_TRUE(until([&] { return second_.taken.size() == 1; }));
}

TEST_F(RouteTest, AUserOfAnotherSiteWaitsForWhatHeSentBefore) {
    const std::string sites =
        "site/rome/route = b\nsite/paris/route = a\ndomain/a.example/site = paris\n"
        "user/x@a.example/site = rome\n";
    rules(sites);
    ASSERT_TRUE(send(1, "v"));
    ASSERT_TRUE(until([&] { return first_->taken.size() == 1; }));
    rules(sites + "user/v@a.example/site = rome\n");
    EXPECT_FALSE(send(2, "v"));
    first_->tell(Fate::kWritten);
    ASSERT_TRUE(until([&] { return gateway_.ended(1); }));
    ASSERT_TRUE(until([&] { return send(2, "v"); }, 100ms));
    EXPECT_TRUE(until([&] { return second_.taken.size() == 1; }));
}

TEST_F(RouteTest, AnEdgeThatIsNoneAnyMoreIsLetGoInOrder) {
    ASSERT_TRUE(send(1, "v"));
    ASSERT_TRUE(until([&] { return first_->taken.size() == 1; }));
    gateway_.room = false;
    wait(kGatewaysGather);
    ASSERT_TRUE(first_->send("m1"));  // from a partner, and not taken yet
    wait(100ms);
    gateway_.client->set_edges({{"edge2.int", kPort, 1, 1, "b"}});
    wait(2s);
    EXPECT_EQ(gateway_.client->up_count(), 2u);  // for those two
    ASSERT_TRUE(until([&] { return send(2, "v"); }));
    gateway_.room = true;
    ASSERT_TRUE(until([&] { return first_->taken.size() == 2; }));  // behind the other one
    first_->tell(Fate::kAcknowledged);
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 1; }, 1s));
    ASSERT_TRUE(gateway_.ended(1));
    EXPECT_EQ(gateway_.last_fate(1), Fate::kAcknowledged);
    EXPECT_EQ(gateway_.taken.size(), 1u);
    wait(100ms);
    EXPECT_NE(first_->machine.log().find("does not use this edge any more"), std::string::npos);
    EXPECT_EQ(gateway_.client->rows().size(), 1u);
    ASSERT_TRUE(until([&] { return send(3, "v"); }));
    EXPECT_TRUE(until([&] { return second_.taken.size() >= 1; }));
    // And it comes back.
    gateway_.client->set_edges({{"edge1.int", kPort, 0, 1, "a"}, {"edge2.int", kPort, 1, 1, "b"}});
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 2; }));
    second_.tell(Fate::kWritten);
    wait(kAckWithin + 10ms);
    EXPECT_TRUE(goes_by_first("v"));
}

TEST_F(RouteTest, AnEdgeThatIsTakenBackAtOnceComesBack) {
    first_->room = false;
    ASSERT_TRUE(send(1, "v"));
    wait(100ms);
    gateway_.client->set_edges({{"edge2.int", kPort, 1, 1, "b"}});
    gateway_.client->set_edges({{"edge1.int", kPort, 0, 1, "a"}, {"edge2.int", kPort, 1, 1, "b"}});
    wait(1s);
    first_->room = true;
    ASSERT_TRUE(until([&] { return first_->taken.size() == 1; }));
    first_->tell(Fate::kWritten);
    ASSERT_TRUE(until([&] { return gateway_.ended(1); }));
    wait(1s);
    EXPECT_EQ(gateway_.client->up_count(), 2u);
    EXPECT_TRUE(goes_by_first("v"));
}

// From names to a domain whose records name the same edges, and back: what is on its way stays
// there, and no session ends.
TEST_F(RouteTest, AnEdgeThatIsNamedInAnotherWayKeepsItsLink) {
    const std::vector<ClientSettings::Edge> hosts{{"edge1.int", kPort, 0, 1, "a"},
                                                  {"edge2.int", kPort, 1, 1, "b"}};
    const auto opened = [&] { return gateway_.machine.group.sum(Counter::kLinkOpened); };
    auto& resolver = gateway_.machine.resolver;
    resolver.add_srv("_fedgate-link._tcp.int", {10, 1, kPort, "edge1.int"});
    resolver.add_srv("_fedgate-link._tcp.int", {20, 1, kPort, "edge2.int"});
    resolver.set_delay(500ms);  // till then it is not known whom the domain names
    ASSERT_TRUE(send(1, "v"));
    ASSERT_TRUE(until([&] { return first_->taken.size() == 1; }));
    gateway_.client->set_edges({{"int", 0, 0, 1, "a"}});
    wait(2s);
    EXPECT_EQ(gateway_.client->rows().size(), 2u);
    EXPECT_EQ(gateway_.client->rows()[0].peer, "edge1.int:23456");
    // The same twice, and by its record, too.
    gateway_.client->set_edges(
        {{"edge1.int", kPort, 0, 1, "a"}, {"int", 0, 0, 1, "a"}, {"edge1.int", kPort, 3, 1, "a"}});
    wait(2s);
    EXPECT_EQ(gateway_.client->rows().size(), 2u);
    gateway_.client->set_edges(hosts);
    wait(2s);
    EXPECT_EQ(gateway_.client->rows().size(), 2u);
    first_->tell(Fate::kAcknowledged);
    ASSERT_TRUE(until([&] { return gateway_.ended(1); }));
    EXPECT_EQ(gateway_.last_fate(1), Fate::kAcknowledged);
    EXPECT_EQ(opened(), 2u);
    EXPECT_TRUE(goes_by_first("v"));
    // A domain that does not name it: it is let go.
    resolver.clear("_fedgate-link._tcp.int");
    resolver.add_srv("_fedgate-link._tcp.int", {20, 1, kPort, "edge2.int"});
    gateway_.client->set_edges({{"int", 0, 0, 1, "b"}});
    ASSERT_TRUE(until([&] { return gateway_.client->rows().size() == 1; }));
    EXPECT_EQ(gateway_.client->rows()[0].peer, "edge2.int:23456");
    EXPECT_EQ(opened(), 2u);
}

// It is not known whom the domain names; but who was taken out is not kept for ever.
TEST_F(RouteTest, AnEdgeIsLetGoThoughADomainNeverResolves) {
    gateway_.machine.resolver.set_silent("_fedgate-link._tcp.lost.int", true);
    gateway_.client->set_edges({{"edge2.int", kPort, 1, 1, "b"}, {"lost.int", 0, 0, 1, "a"}});
    wait(29s);
    EXPECT_EQ(gateway_.client->up_count(), 2u);
    ASSERT_TRUE(until([&] { return gateway_.client->rows().size() == 1; }, 2s));
    EXPECT_EQ(gateway_.client->rows()[0].peer, "edge2.int:23456");
}

// The names are of a domain that DNSSEC does not vouch for: its certificate has to be the domain's.
TEST_F(RouteTest, ARecordOfAnotherDomainDoesNotKeepTheLink) {
    gateway_.machine.resolver.add_srv("_fedgate-link._tcp.corp.example",
                                      {10, 1, kPort, "edge1.int"});
    gateway_.client->set_edges({{"corp.example", 0, 0, 1, "a"}, {"edge2.int", kPort, 1, 1, "b"}});
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 1; }));
    wait(2s);
    EXPECT_EQ(gateway_.client->up_count(), 1u);
    EXPECT_NE(gateway_.machine.log().find("another name"), std::string::npos);
}

// One process by two names, or at two ports, would have two links, which end each other's session.
TEST_F(RouteTest, AnEdgeThatIsReachedInTwoWaysHasOneLink) {
    const auto opened = [&] { return gateway_.machine.group.sum(Counter::kLinkOpened); };
    EdgeSide third(simulation_, "edge3.int");
    auto& resolver = gateway_.machine.resolver;
    for (const char* name : {"one.int", "two.int"}) {
        resolver.add_address(name, simulation_.address(third.machine.node, 0));
        resolver.add_srv("_fedgate-link._tcp.edge3.int", {10, 1, kPort, name});
    }
    const std::vector<ClientSettings::Edge> by_names{{"edge2.int", kPort, 1, 1, "b"},
                                                     {"edge3.int", 0, 0, 1, "a"}};
    gateway_.client->set_edges(by_names);
    wait(10s);
    EXPECT_EQ(opened(), 3u);  // not once more
    EXPECT_EQ(gateway_.client->up_count(), 2u);
    const auto is_told = [](const LinkRow& row) {
        return row.why.ends_with("is linked already") && row.why.starts_with("it is ");
    };
    EXPECT_EQ(std::ranges::count_if(gateway_.client->rows(), is_told), 1);
    third.server.set_listen({simulation_.address(third.machine.node, kPort),
                             simulation_.address(third.machine.node, kPort + 1)});
    resolver.add_address("edge3.int", simulation_.address(third.machine.node, 0));
    gateway_.client->set_edges({{"edge2.int", kPort, 1, 1, "b"},
                                {"edge3.int", kPort, 0, 1, "a"},
                                {"edge3.int", kPort + 1, 0, 1, "a"}});
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 2; }));
    wait(10s);
    EXPECT_LE(opened(), 5u);  // it is known by what it says when it is there
    EXPECT_EQ(gateway_.client->up_count(), 2u);
}

// An edge that does not finish what it has is not waited for longer than that.
TEST_F(RouteTest, LettingGoHasABound) {
    ASSERT_TRUE(send(1, "v"));
    ASSERT_TRUE(until([&] { return first_->taken.size() == 1; }));
    gateway_.client->set_edges({{"edge2.int", kPort, 1, 1, "b"}});
    wait(kLetGoWithin - 1s);
    EXPECT_EQ(gateway_.client->up_count(), 2u);
    wait(2s);
    EXPECT_EQ(gateway_.client->up_count(), 1u);
    ASSERT_TRUE(gateway_.ended(1));
    EXPECT_EQ(gateway_.last_fate(1), Fate::kInDoubt);
}

TEST_F(RouteTest, AGatewayThatIsNoneAnyMoreIsLetGoInOrder) {
    GatewaySide other(simulation_, "gw2.int", {{"edge1.int", first_.get()}});
    ASSERT_TRUE(until([&] { return first_->server.up_count() == 2; }));
    ASSERT_TRUE(send(1, "v"));
    ASSERT_TRUE(until([&] { return first_->taken.size() == 1; }));
    first_->server.set_gateways({"gw2.int"});
    for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(
            until([&] { return first_->send("m" + std::to_string(i), "v" + std::to_string(i)); }));
    }
    ASSERT_TRUE(until([&] { return other.taken.size() == 50; }));  // all to the one that stays
    EXPECT_TRUE(gateway_.taken.empty());
    wait(2s);
    EXPECT_EQ(first_->server.up_count(), 2u);  // it is owed a fate
    first_->tell(Fate::kWritten);
    ASSERT_TRUE(until([&] { return first_->server.up_count() == 1; }, 1s));
    ASSERT_TRUE(gateway_.ended(1));
    EXPECT_EQ(gateway_.last_fate(1), Fate::kWritten);
    wait(5s);
    EXPECT_EQ(first_->server.up_count(), 1u);
    EXPECT_EQ(first_->server.rows().size(), 1u);
    EXPECT_NE(gateway_.machine.log().find("does not know this gateway any more"),
              std::string::npos);
    first_->server.set_gateways({"gw1.int", "gw2.int"});
    EXPECT_TRUE(until([&] { return first_->server.up_count() == 2; }, 5s));
}

TEST_F(RouteTest, WhoIsNotTrustedAnyMoreIsEnded) {
    const auto old = tls_of("edge1.int", kAll);
    first_->server.set_tls(*old);
    wait(100ms);
    EXPECT_EQ(first_->server.up_count(), 1u);  // it is as good as before
    const auto edge = tls_of("edge1.int", {"edge1.int", "gw2.int"});
    first_->server.set_tls(*edge);
    EXPECT_EQ(first_->server.up_count(), 0u);
    EXPECT_NE(first_->machine.log().find("not valid here"), std::string::npos);
    const auto gateway = tls_of("gw1.int", {"gw1.int", "edge1.int"});
    EXPECT_EQ(gateway_.client->up_count(), 2u);
    gateway_.client->set_tls(*gateway);
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() == 0; }));
    const auto again = tls_of("gw1.int", kAll);
    gateway_.client->set_tls(*again);
    first_->server.set_tls(*old);
    EXPECT_TRUE(until([&] { return gateway_.client->up_count() == 2; }));
}

TEST_F(RouteTest, ListenersChangeAndLinksStay) {
    const auto other = simulation_.address(first_->machine.node, kPort + 1);
    first_->server.set_listen({other});
    wait(1s);
    EXPECT_EQ(first_->server.up_count(), 1u);
    ASSERT_EQ(first_->server.listening().size(), 1u);
    gateway_.client->set_edges({{"edge1.int", kPort + 1}, {"edge2.int", kPort, 1}});
    wait(1s);
    EXPECT_EQ(first_->server.up_count(), 1u);  // as it stands
    EXPECT_TRUE(goes_by_first("v"));
    simulation_.break_connection(0);
    ASSERT_TRUE(until([&] { return gateway_.client->up_count() < 2; }));
    EXPECT_TRUE(until([&] { return gateway_.client->up_count() == 2; }));
    EXPECT_TRUE(goes_by_first("v"));
}

}  // namespace
}  // namespace fedgate::link
