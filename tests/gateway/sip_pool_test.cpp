// A pool of next hops: which of them is asked, when one is left, when it is asked again.
#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::SipPhone;
using test::World;

const Settings kTwo{{"domain/sip.example/next_hop",
                     "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}};

// Two nodes, each on a network node of its own, and messages of a hundred users.
class SipPool : public testing::Test {
protected:
    void start(const Settings& settings = kTwo, const test::Services& services = {},
               const std::map<std::string, std::string>& names = {}) {
        dead_.clear();
        for (auto& node : nodes_) node.reset();
        world_.reset();
        world_ = std::make_unique<World>(settings, 1, nullptr, names, services);
        for (int i = 0; i < 2; ++i) revive(i);
    }
    void revive(int which) {
        if (nodes_[which]) dead_.push_back(std::move(nodes_[which]));
        network_[which] = world_->simulation.make_node();
        const std::string address = "10.99.0." + std::to_string(which + 1) + ":5070";
        nodes_[which] = std::make_unique<SipPhone>(world_->simulation.make_loop(network_[which]),
                                                   address.c_str());
    }
    // Its processes die: connections are reset, new ones refused.
    void kill(int which) {
        nodes_[which]->stop();
        world_->pass(1ms);
    }
    void send(unsigned count = 1) {
        for (unsigned i = 0; i < count; ++i) {
            const std::string id = "m" + std::to_string(++sent_);
            ASSERT_TRUE(world_->give(World::message(id, id, "user" + std::to_string(sent_ % 100))));
        }
    }
    // A message each 50 ms for that time.
    void traffic(Duration time) {
        for (Duration passed{}; passed < time; passed += 50ms) {
            send();
            world_->pass(50ms);
        }
    }
    std::size_t got(int which) { return nodes_[which]->requests.size(); }
    std::uint64_t count(Counter counter) { return world_->count(counter); }
    bool delivered(std::uint64_t number, Duration at_most = 60s) {
        return world_->until([&] { return count(Counter::kMessagesX2sDelivered) == number; },
                             at_most);
    }

    std::unique_ptr<World> world_;
    Simulation::Node network_[2]{};
    std::unique_ptr<SipPhone> nodes_[2];
    std::vector<std::unique_ptr<SipPhone>> dead_;  // the loop has a last word on their sockets
    unsigned sent_ = 0;
};

int silent(const sip::Message&) { return 0; }

TEST_F(SipPool, AKilledNodeIsLeftAtOnceAndReturnsWithinTenSeconds) {  // SIP-8
    start();
    traffic(1s);
    EXPECT_EQ(got(0), sent_);
    nodes_[0]->answer = silent;
    send(10);
    world_->pass(100ms);
    kill(0);  // ten have no answer: they go to the other one, with all that come
    const Instant killed = world_->simulation.now();
    send(10);
    ASSERT_TRUE(delivered(sent_, 1s)) << world_->log();
    EXPECT_LT(world_->simulation.now() - killed, 1s);
    EXPECT_EQ(got(1), 20U);
    EXPECT_EQ(count(Counter::kSipRequestsMoved), 20U);
    EXPECT_EQ(count(Counter::kMessagesX2sInDoubt), 0U);
    traffic(20s);
    revive(0);
    const Instant back = world_->simulation.now();
    while (got(0) == 0 && world_->simulation.now() - back < 20s) traffic(100ms);
    EXPECT_LT(world_->simulation.now() - back, 10s);
    ASSERT_TRUE(delivered(sent_)) << world_->log();
    EXPECT_TRUE(world_->edge().stanzas.empty());
}

// It accepts and says nothing. What waits there is not left longer than what comes later.
TEST_F(SipPool, ABlackHoleIsLeftWhenItIsSuspect) {  // SIP-8
    start();
    traffic(1s);
    ASSERT_TRUE(delivered(sent_));
    nodes_[0]->answer = silent;
    traffic(30s);
    ASSERT_TRUE(delivered(sent_, 5s)) << world_->log();
    EXPECT_TRUE(world_->edge().stanzas.empty());
    // An OPTIONS within 5 s, suspect 4 s later, and what has waited for 4 s goes elsewhere: that
    // are three, and it is down.
    EXPECT_LT(got(0) - 20, 10U * 20);
    EXPECT_EQ(got(1), sent_ - 20);
    nodes_[0]->answer = [](const sip::Message&) { return 200; };
    const std::size_t before = got(0);
    const Instant back = world_->simulation.now();
    while (got(0) == before && world_->simulation.now() - back < 20s) traffic(100ms);
    EXPECT_LT(world_->simulation.now() - back, 10s);
}

// TCP tries again at ever longer intervals: a connection that was cut off for 20 s would need 12
// more.
TEST_F(SipPool, AConnectionIntoABlackHoleIsReplaced) {  // SIP-8
    for (const Duration outage : {12s, 20s, 40s}) {
        start();
        traffic(1s);
        world_->simulation.cut(world_->node(), network_[0]);
        traffic(outage);
        world_->simulation.heal(world_->node(), network_[0]);
        const std::size_t before = got(0);
        const Instant back = world_->simulation.now();
        while (got(0) == before && world_->simulation.now() - back < 30s) traffic(100ms);
        EXPECT_LT(world_->simulation.now() - back, 10s);
        EXPECT_GE(nodes_[0]->accepted(), outage > 15s ? 2U : 1U);
        ASSERT_TRUE(delivered(sent_)) << world_->log();
        sent_ = 0;
    }
}

TEST_F(SipPool, WhoIgnoresOptionsAndAnswersMessagesIsNotDown) {  // SIP-8
    start();
    nodes_[0]->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kOptions ? 0 : 200;
    };
    traffic(60s);
    EXPECT_EQ(got(0), sent_);
    EXPECT_EQ(nodes_[0]->accepted(), 1U);
}

TEST_F(SipPool, RetryAfterIsHonoured) {  // SIP-8, RFC 3261 21.5.4
    for (const bool said : {true, false}) {
        start();
        nodes_[0]->extra_headers = said ? "Retry-After: 20 (maintenance)\r\n" : "";
        nodes_[0]->answer = [](const sip::Message& m) {
            return m.method == sip::Method::kMessage ? 503 : 200;
        };
        send();
        world_->pass(100ms);
        EXPECT_EQ(got(0), 1U);
        EXPECT_EQ(got(1), 1U);
        nodes_[0]->answer = [](const sip::Message&) { return 200; };
        const int asked = nodes_[0]->options;
        traffic(15s);
        // With it, not even asked; without it OPTIONS brings it back.
        EXPECT_EQ(nodes_[0]->options > asked, !said);
        EXPECT_EQ(got(0) > 1, !said);
        traffic(10s);
        EXPECT_GT(got(0), 1U) << world_->log();
        sent_ = 0;
    }
}

TEST_F(SipPool, RetryAfterOfTheOnlyNodeIsHonouredToo) {  // RFC 3261 21.5.4
    start(Settings{});
    nodes_[0]->extra_headers = "Retry-After: 20\r\n";
    nodes_[0]->answer = [](const sip::Message&) { return 503; };
    send(2);
    world_->pass(1s);
    EXPECT_EQ(world_->edge().stanzas.size(), 2U);
    const std::size_t asked = got(0);
    traffic(10s);
    EXPECT_EQ(got(0), asked);
    EXPECT_EQ(world_->edge().stanzas.size(), sent_);
    nodes_[0]->answer = [](const sip::Message&) { return 200; };
    world_->pass(10s);
    send();
    world_->pass(1s);
    EXPECT_EQ(got(0), asked + 1) << world_->log();
}

TEST_F(SipPool, A503ToOptionsIsDown) {  // SIP-8, SIP-25: as a node that is drained says
    start();
    nodes_[0]->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kOptions ? 503 : 200;
    };
    traffic(6s);
    const std::size_t before = got(0);
    traffic(6s);
    EXPECT_EQ(got(0), before);
    EXPECT_TRUE(world_->edge().stanzas.empty());
}

TEST_F(SipPool, AllDownAndOneBack) {  // SIP-8
    start();
    traffic(1s);
    kill(0);
    kill(1);
    traffic(20s);
    EXPECT_GT(world_->edge().stanzas.size(), 300U);  // refused, none in silence
    revive(1);
    const Instant back = world_->simulation.now();
    while (got(1) == 0 && world_->simulation.now() - back < 20s) traffic(100ms);
    EXPECT_LT(world_->simulation.now() - back, 10s);
    const std::size_t refused = world_->edge().stanzas.size();
    traffic(2s);
    EXPECT_EQ(world_->edge().stanzas.size(), refused) << world_->log();
}

// The second node dies before anybody has found out that the first one is back.
TEST_F(SipPool, WhatIsUnderWayAsksThoseThatAreDown) {  // SIP-8
    start(Settings{kTwo[0], {"sip.options_interval", "1h"}});
    kill(0);
    for (int i = 0; i < 3; ++i) {
        send();
        world_->pass(100ms);
    }
    ASSERT_TRUE(delivered(3));
    EXPECT_EQ(got(1), 3U);
    revive(0);
    nodes_[1]->answer = silent;
    send();
    world_->pass(100ms);
    kill(1);
    EXPECT_TRUE(delivered(4, 1s)) << world_->log();
    EXPECT_EQ(got(0), 1U);
}

TEST_F(SipPool, SharesAreThoseOfTheRecords) {  // SIP-6, RFC 2782
    const auto record = [](std::uint16_t priority, std::uint16_t weight, int node) {
        return std::pair("_sip._tcp.pool.sip.example",
                         net::SrvRecord{priority, weight, 5070, "n" + std::to_string(node)});
    };
    const Settings settings{{"domain/sip.example/next_hop", "sip:pool.sip.example;transport=tcp"}};
    const std::map<std::string, std::string> names{{"n1", "10.99.0.1"}, {"n2", "10.99.0.2"}};
    start(settings, {record(10, 75, 1), record(10, 25, 2)}, names);
    traffic(100s);
    EXPECT_NEAR(static_cast<double>(got(0)) / sent_, 0.75, 0.04);
    EXPECT_EQ(got(0) + got(1), sent_);
    sent_ = 0;
    start(settings, {record(20, 75, 1), record(10, 25, 2)}, names);
    traffic(5s);
    EXPECT_EQ(got(1), sent_);  // a lower priority is first, whatever the weights
    kill(1);
    traffic(5s);
    EXPECT_EQ(got(0), 100U);
    EXPECT_TRUE(world_->edge().stanzas.empty());
}

// The first node gave it to a user agent and died: the second one's user agent knows it.
TEST_F(SipPool, WhatWasThereAlreadyIsInDoubt) {  // SIP-11: 482
    start();
    nodes_[0]->answer = silent;
    send();
    world_->pass(100ms);
    nodes_[1]->answer = [](const sip::Message&) { return 482; };
    kill(0);
    ASSERT_TRUE(world_->until([&] { return world_->edge().stanzas.size() == 1; }));
    EXPECT_TRUE(has(world_->edge().stanzas[0], "<remote-server-timeout"));
    EXPECT_TRUE(has(world_->edge().stanzas[0], "may or may not have arrived"));
    EXPECT_EQ(count(Counter::kMessagesX2sInDoubt), 1U);
    // Of one that nobody had it is what it says: a loop.
    send();
    ASSERT_TRUE(world_->until([&] { return world_->edge().stanzas.size() == 2; }));
    EXPECT_TRUE(has(world_->edge().stanzas[1], "<not-acceptable"));  // ERR-406
    EXPECT_EQ(count(Counter::kMessagesX2sInDoubt), 1U);
}

// Three connections that broke within ten seconds; one or two may happen to anybody.
TEST_F(SipPool, ThreeFailuresWithinTenSecondsAreDown) {  // SIP-8
    for (const bool quick : {true, false}) {
        start(Settings{kTwo[0], {"sip.options_interval", "1h"}});
        nodes_[0]->answer = [](const sip::Message&) { return -1; };
        for (int i = 0; i < 6; ++i) {
            send();
            world_->pass(quick ? 1s : 11s);
        }
        EXPECT_EQ(got(0), quick ? 3U : 6U);
        EXPECT_EQ(got(1), 6U);
        EXPECT_TRUE(delivered(6));
        sent_ = 0;
    }
}

// Its next hop has another way now, its last request has ended, and nobody has looked since: the
// connection is still there and finds that its peer is silent.
TEST_F(SipPool, AConnectionOfAWayThatIsGoneMayBeQuiet) {  // SIP-15
    start(Settings{{"sip.options_interval", "1h"}});
    nodes_[0]->pongs = false;
    nodes_[0]->answer = silent;
    send();
    world_->pass(100ms);
    ASSERT_EQ(got(0), 1U);
    const auto rules = test::compile(
        World::with({{"sip.options_interval", "1h"},
                     {"domain/sip.example/next_hop", "sip:10.99.0.2:5070;transport=tcp"}}));
    world_->gateway().reload(*rules);
    world_->pass(90s);
    EXPECT_EQ(nodes_[0]->pings, 1);
    EXPECT_EQ(world_->edge().stanzas.size(), 1U);  // nobody has answered
    send();
    EXPECT_TRUE(delivered(1, 1s)) << world_->log();
    EXPECT_EQ(got(1), 1U);
}

// One node died with it; that the other one does not take it says nothing about that.
TEST_F(SipPool, WhatMayBeThereIsNotRefusedByAnotherNode) {  // SIP-8, IM-17
    for (const int status : {404, 480, 482, 503, 302, 407}) {
        start();
        nodes_[0]->answer = silent;
        send();
        world_->pass(100ms);
        nodes_[1]->extra_headers = "Contact: <sip:romeo@10.99.0.2:5070>\r\n";
        nodes_[1]->answer = [status](const sip::Message& m) {
            return m.method == sip::Method::kMessage ? status : 200;
        };
        kill(0);
        ASSERT_TRUE(world_->until([&] { return world_->edge().stanzas.size() == 1; }));
        EXPECT_EQ(got(1), 1U);
        EXPECT_TRUE(has(world_->edge().stanzas[0], "may or may not have arrived")) << status;
        EXPECT_EQ(count(Counter::kMessagesX2sInDoubt), 1U) << status;
        sent_ = 0;
    }
}

// Where the first node sends a message by 302, and what of it comes to the second one.
class SipRedirect : public SipPool {
protected:
    void start_with(const std::string& contact, const Settings& more = {}) {
        Settings settings = kTwo;
        settings.insert(settings.end(), more.begin(), more.end());
        start(settings);
        nodes_[0]->extra_headers = "Contact: <" + contact + ">\r\n";
        nodes_[0]->answer = [](const sip::Message& m) {
            return m.method == sip::Method::kMessage ? 302 : 200;
        };
        send();
        ASSERT_TRUE(world_->until([&] {
            return count(Counter::kMessagesX2sDelivered) + world_->edge().stanzas.size() == 1;
        })) << world_->log();
    }
    static std::string line(const std::string& message, const std::string& name) {
        const std::size_t begin = message.find(name);
        return message.substr(begin, message.find("\r\n", begin) - begin);
    }
};

TEST_F(SipRedirect, ToANodeOfThePoolIsFollowed) {  // SIP-9, ERR-3
    for (const char* contact :
         {"sip:romeo@10.99.0.2:5070", "sip:romeo@10.99.0.2:5070;transport=tcp",
          "sip:romeo@10.99.0.2?Subject=x"}) {
        start_with(contact);
        ASSERT_EQ(got(1), 1U) << contact;
        EXPECT_TRUE(world_->edge().stanzas.empty());
        const std::string& first = nodes_[0]->requests[0];
        const std::string& second = nodes_[1]->requests[0];
        const std::string uri = std::string(contact).substr(0, std::string(contact).find('?'));
        EXPECT_EQ(second.substr(0, second.find("\r\n")), "MESSAGE " + uri + " SIP/2.0");
        for (const char* same : {"From: ", "To: ", "Call-ID: ", "Content-Length: "}) {
            EXPECT_EQ(line(first, same), line(second, same));
        }
        EXPECT_EQ(line(first, "CSeq: "), "CSeq: 1 MESSAGE");
        EXPECT_EQ(line(second, "CSeq: "), "CSeq: 2 MESSAGE");
        EXPECT_NE(line(first, "Via: "), line(second, "Via: "));
        EXPECT_EQ(second.substr(second.find("\r\n\r\n")), first.substr(first.find("\r\n\r\n")));
        sent_ = 0;
    }
}

TEST_F(SipRedirect, WithinTheDomainIsFollowedOnce) {  // SIP-9, ERR-300
    start_with("sip:mercutio@sip.example");  // by the first node again, which does not know an end
    EXPECT_EQ(got(0), 2U);
    EXPECT_EQ(got(1), 0U);
    ASSERT_EQ(world_->edge().stanzas.size(), 1U);
    EXPECT_TRUE(has(world_->edge().stanzas[0], ">xmpp:mercutio@sip.example</redirect>"));
    EXPECT_TRUE(has(nodes_[0]->requests[1], "MESSAGE sip:mercutio@sip.example SIP/2.0\r\n"));
}

TEST_F(SipRedirect, ElsewhereIsAnError) {  // ERR-3, ERR-300
    const Settings closed{{"policy/closed/federation_access", "no"},
                          {"policy/closed/xmpp_access", "no"},
                          {"user/mercutio@sip.example/policy", "closed"}};
    for (const auto& [contact, settings] : std::vector<std::pair<std::string, Settings>>{
             {"sip:romeo@10.99.0.9:5070", {}},                // not a node
             {"sip:romeo@10.99.0.2:5080", {}},                // nor that one
             {"sip:romeo@10.99.0.2:5070;transport=udp", {}},  // nor so
             {"sip:mercutio@10.99.0.2:5070", {}},             // another user, by no name of ours
             {"sip:mercutio@sip.example", closed},            // who may not be written to
             {"sip:romeo@other.example", {}},
             {"sip:10.99.0.2:5070", {}},
             {"sips:romeo@sip.example", {}},
             {"tel:+33123456789", {}}}) {
        start_with(contact, settings);
        EXPECT_EQ(got(0), 1U) << contact;
        EXPECT_EQ(got(1), 0U) << contact;
        ASSERT_EQ(world_->edge().stanzas.size(), 1U);
        EXPECT_TRUE(has(world_->edge().stanzas[0], "<redirect")) << contact;
        sent_ = 0;
    }
}

}  // namespace
}  // namespace fedgate::gateway
