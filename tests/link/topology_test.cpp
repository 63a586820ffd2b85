// What nodes tell each other of their commits, over links on the simulated network.
#include "appliance/link/topology.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "appliance/link/client.hpp"
#include "appliance/link/server.hpp"
#include "core/run/simulation.hpp"
#include "tests/link/link_sides.hpp"

namespace fedgate::link {
namespace {

const std::vector<std::string> kNames{"edge1.int", "edge2.int", "gw1.int", "gw2.int"};

// The commits of a test: their texts, and which they are.
struct Books {
    config::CommitId add(std::uint64_t number, const std::string& text) {
        return ids[text] = {number, config::CommitRank::kPerson, WallTime(1s), sha256({text})};
    }
    std::map<std::string, config::CommitId> ids;
};

// One process, with a control thread that takes every commit that is newer.
struct Process : TopologyOwner {
    Process(Simulation& simulation, Books& its_books, std::string its_name,
            std::optional<Simulation::Node> its_node = {})
        : books(its_books),
          name(std::move(its_name)),
          node(its_node ? *its_node : simulation.make_node()),
          loop(simulation.make_loop(node)),
          shard(group, 0, loop),
          resolver(loop),
          tls(tls_of(name, kNames)),
          topology(loop, *this) {}

    void on_commit(Bytes peer, std::string published, std::chrono::seconds left) override {
        ++received;
        from = peer;
        if (refuses) return;
        const auto known = books.ids.find(published);
        if (known == books.ids.end()) {
            ++garbage;
        } else if (known->second > newest) {
            commit(published, left);
        }
    }
    void on_bad_commit(Bytes) override { ++garbage; }
    void on_secret(WallTime, Bytes its_secret) override { secret = its_secret; }

    void commit(const std::string& published, std::chrono::seconds left = {}) {
        text = published;
        newest = books.ids[published];
        time_left = left;
        topology.set_newest({name, newest, usable ? newest.number : 0, usable ? "" : "no file"},
                            std::make_shared<const std::string>(published), left);
    }
    void say_again() { topology.set_newest({name, newest, 0, ""}, nullptr, {}); }
    void make_secret(std::int64_t made, const std::string& its_secret) {
        secret = its_secret;
        topology.set_secret(WallTime(std::chrono::seconds(made)), its_secret);
    }
    // "gw1.int 3, ..."
    std::string sees() const {
        std::string all;
        for (const NodeRow& row : topology.rows()) {
            all +=
                row.node + ' ' + std::to_string(row.in_force) + (row.why.empty() ? "" : "!") + ' ';
        }
        return all;
    }

    Books& books;
    const std::string name;
    Simulation::Node node;
    SimulatedLoop& loop;
    ShardGroup group{1};
    Shard shard;
    net::SimulatedResolver resolver;
    std::unique_ptr<net::TlsContext> tls;
    Topology topology;
    config::CommitId newest{};
    std::chrono::seconds time_left{};
    std::string text, from, secret;
    bool usable = true;
    bool refuses = false;
    int received = 0;
    int garbage = 0;
};

struct AnEdge final : Process, EdgeDoor {
    AnEdge(Simulation& simulation, Books& its_books, const std::string& its_name,
           std::optional<Simulation::Node> its_node = {})
        : Process(simulation, its_books, its_name, its_node),
          server(shard, *tls,
                 {{simulation.address(node, kPort)}, {"gw1.int", "gw2.int"}, name, &topology}) {
        server.attach(*this);
        FEDGATE_CHECK(server.start().has_value());
    }
    bool take_stanza(const ToPartner&) override { return true; }

    Server server;
};

struct AGateway final : Process, GatewayDoor {
    AGateway(Simulation& simulation, Books& its_books, const std::string& its_name,
             const std::vector<const AnEdge*>& edges)
        : Process(simulation, its_books, its_name) {
        ClientSettings settings;
        for (const AnEdge* edge : edges) {
            settings.edges.push_back({edge->name, kPort});
            resolver.add_address(edge->name, simulation.address(edge->node, 0));
        }
        settings.node = name;
        settings.topology = &topology;
        loop.fill_random({reinterpret_cast<char*>(settings.instance.data()), 16});
        client = std::make_unique<Client>(shard, resolver, *tls, settings);
        client->attach(*this);
        client->start();
    }
    bool take_stanza(const FromPartner&) override { return true; }
    void on_outcome(const Outcome&) override {}
    void on_partner(const PartnerNews&) override { ++news; }

    std::unique_ptr<Client> client;
    int news = 0;
};

class TopologyTest : public testing::Test {
protected:
    bool until(const std::function<bool()>& predicate, Duration time = 10s) {
        return simulation_.run_for(predicate, time);
    }
    bool joined() {
        return until([&] {
            return gw1_.client->up_count() == 2 && gw2_.client->up_count() == 2 &&
                   gw1_.topology.rows().size() == 3 && gw2_.topology.rows().size() == 3;
        });
    }
    bool all_have(const std::string& text, Duration time = 10s) {
        return until(
            [&] {
                return std::ranges::all_of(all_,
                                           [&](const Process* one) { return one->text == text; });
            },
            time);
    }

    Simulation simulation_{{.seed = 7}};
    Books books_;
    AnEdge edge1_{simulation_, books_, "edge1.int"};
    AnEdge edge2_{simulation_, books_, "edge2.int"};
    AGateway gw1_{simulation_, books_, "gw1.int", {&edge1_, &edge2_}};
    AGateway gw2_{simulation_, books_, "gw2.int", {&edge1_, &edge2_}};
    std::vector<Process*> all_{&edge1_, &edge2_, &gw1_, &gw2_};
};

TEST_F(TopologyTest, ACommitOfOneIsEverybodys) {
    ASSERT_TRUE(joined());
    const char* const names[] = {"edge1.int", "edge2.int", "gw1.int", "gw2.int"};
    std::uint64_t number = 0;
    for (Process* one : all_) {
        const std::string text = "commit of " + one->name;
        books_.add(++number, text);
        one->commit(text, 60s);
        ASSERT_TRUE(all_have(text, 500ms)) << one->name;
        for (const Process* other : all_) {
            if (other == one) continue;
            EXPECT_GE(other->time_left, 59s);
        }
    }
    const auto has_seen = [&](std::size_t i) {
        std::string others;
        for (std::size_t j = 0; j < 4; ++j) {
            if (j != i) others += names[j] + std::string(" 4 ");
        }
        return all_[i]->sees() == others;
    };
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_TRUE(until([&] { return has_seen(i); })) << all_[i]->sees();
        EXPECT_EQ(all_[i]->garbage, 0);
    }
}

TEST_F(TopologyTest, OneThatCannotUseItPassesItOnAndSaysSo) {
    ASSERT_TRUE(joined());
    edge1_.usable = edge2_.usable = false;
    books_.add(1, "one");
    gw1_.commit("one");
    ASSERT_TRUE(all_have("one"));
    EXPECT_TRUE(until([&] { return gw2_.sees() == "edge1.int 0! edge2.int 0! gw1.int 1 "; }))
        << gw2_.sees();
}

TEST_F(TopologyTest, WhoDidNotTakeItGetsItAgainWhenHeAsks) {
    ASSERT_TRUE(joined());
    edge1_.refuses = true;
    books_.add(1, "one");
    gw1_.commit("one");
    ASSERT_TRUE(until([&] { return edge2_.text == "one" && gw2_.text == "one"; }));
    ASSERT_TRUE(until([&] { return edge1_.received == 2; }));  // of both gateways
    for (int i = 0; i < 10; ++i) {
        edge1_.say_again();
        static_cast<void>(until([] { return false; }, 100ms));
    }
    EXPECT_EQ(edge1_.received, 2);  // not each time
    edge1_.refuses = false;
    EXPECT_TRUE(all_have("one", 5s));
    edge1_.say_again();
    static_cast<void>(until([] { return false; }, 10s));
    EXPECT_LE(edge1_.received, 4);
}

// Whoever says something else all the time makes no flood of it.
TEST_F(TopologyTest, OfWhatChangesAllTheTimeOthersHearNowAndThen) {
    ASSERT_TRUE(joined());
    std::set<std::string> near;
    std::set<std::string> far;
    for (std::uint64_t i = 1; i <= 2'000; ++i) {
        edge1_.topology.set_newest({"edge1.int", {}, i, ""}, nullptr, {});
        static_cast<void>(until([] { return false; }, 1ms));
        near.insert(gw1_.sees());
        far.insert(edge2_.sees());
    }
    EXPECT_TRUE(until([&] { return edge2_.sees().starts_with("edge1.int 2000 "); }, 1s));
    EXPECT_GE(near.size(), 5u);
    EXPECT_LE(near.size(), 15u);
    EXPECT_LE(far.size(), 15u);
}

TEST_F(TopologyTest, WhatWasMadeOnBothSidesOfACutEndsAsTheNewerOne) {
    ASSERT_TRUE(joined());
    for (Process* one : {static_cast<Process*>(&gw2_), static_cast<Process*>(&edge2_)}) {
        simulation_.cut(gw1_.node, one->node);
        simulation_.cut(edge1_.node, one->node);
    }
    ASSERT_TRUE(
        until([&] { return gw1_.client->up_count() == 1 && gw2_.client->up_count() == 1; }));
    books_.add(1, "of the first");
    books_.add(2, "of the second");
    gw1_.commit("of the first");
    gw2_.commit("of the second");
    ASSERT_TRUE(until([&] { return edge1_.text == "of the first"; }));
    ASSERT_TRUE(until([&] { return edge2_.text == "of the second"; }));
    EXPECT_TRUE(until([&] { return gw1_.sees() == "edge1.int 1 "; })) << gw1_.sees();
    for (Process* one : {static_cast<Process*>(&gw2_), static_cast<Process*>(&edge2_)}) {
        simulation_.heal(gw1_.node, one->node);
        simulation_.heal(edge1_.node, one->node);
    }
    EXPECT_TRUE(all_have("of the second"));
    EXPECT_TRUE(joined());
}

TEST_F(TopologyTest, ALongOneLeavesRoomForOtherNewsAndSurvivesBreaks) {
    ASSERT_TRUE(joined());
    std::string text(limits::kCommitBytes, 'x');
    for (std::size_t i = 0; i < text.size(); i += 1000) text[i] = static_cast<char>('a' + i % 26);
    books_.add(1, text);
    edge1_.commit(text);
    int told = 0;
    for (int round = 0; gw1_.text.empty() && round < 2000; ++round) {
        edge1_.server.on_partner({PartnerNews::Kind::kUp, Fault::kNone, "a.example", "b.example"});
        if (round % 5 == 4) simulation_.break_connection(500);
        ++told;
        static_cast<void>(until([] { return false; }, 20ms));
    }
    EXPECT_TRUE(all_have(text, 60s));
    EXPECT_GT(gw1_.news, told / 2);
    EXPECT_EQ(gw1_.garbage + gw2_.garbage + edge2_.garbage, 0);
}

TEST_F(TopologyTest, ANewerOneTakesThePlaceOfOneOnItsWay) {
    ASSERT_TRUE(joined());
    const std::string text(limits::kCommitBytes, 'x');
    books_.add(1, text);
    books_.add(2, "short");
    gw1_.commit(text);
    static_cast<void>(until([] { return false; }, 10ms));
    gw1_.commit("short");
    EXPECT_TRUE(all_have("short", 2s));
    EXPECT_EQ(edge1_.garbage, 0);
}

TEST_F(TopologyTest, TheOldestSecretIsEverybodys) {
    const std::string old(64, 'o');
    edge1_.make_secret(20, std::string(64, 'n'));
    edge2_.make_secret(10, old);
    ASSERT_TRUE(joined());
    EXPECT_TRUE(until([&] { return edge1_.secret == old && edge2_.secret == old; }));
    // Of two made at once, one; and one that comes when the gateways have one already.
    edge1_.make_secret(5, std::string(64, 'b'));
    edge2_.make_secret(5, std::string(64, 'a'));
    EXPECT_TRUE(until([&] {
        return edge1_.secret == std::string(64, 'a') && edge2_.secret == std::string(64, 'a');
    }));
    edge1_.make_secret(30, std::string(64, 'z'));  // as after the loss of its disk
    EXPECT_TRUE(until([&] { return edge1_.secret == std::string(64, 'a'); }));
}

// A node that was taken over knows the secret, and may replace it; it can't make all others change
// it all the time, so that no partner can verify a key.
TEST_F(TopologyTest, EarlierAndEarlierSecretsDoNotChangeItAllTheTime) {
    ASSERT_TRUE(joined());
    edge1_.make_secret(100'000, std::string(64, 'a'));
    ASSERT_TRUE(until([&] { return edge2_.secret == std::string(64, 'a'); }));
    std::set<std::string> seen;
    for (int i = 1; i <= 200; ++i) {
        std::string secret = std::to_string(i);
        secret.resize(64, 'b');
        edge2_.make_secret(100'000 - i, secret);
        static_cast<void>(until([] { return false; }, 100ms));
        seen.insert(edge1_.secret);
    }
    EXPECT_GE(seen.size(), 5u);
    EXPECT_LE(seen.size(), 10u);
    EXPECT_NE(edge1_.secret, edge2_.secret);
    EXPECT_TRUE(until([&] { return edge1_.secret == edge2_.secret; }, 1'300s));  // the earliest one
}

}  // namespace
}  // namespace fedgate::link
