// What the gateway says and does as a SIP user agent, besides carrying messages.
#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string options(const std::string& branch, const std::string& uri) {
    return World::request(branch, "", "", "TCP", uri, "sip:romeo@sip.example", "OPTIONS");
}

TEST(SipAgent, NoDialogIsOurs) {  // SIP-22
    World world;
    auto peer = world.peer();
    std::string request = World::request("b1", "x");
    request.insert(request.find("\r\nCall-ID"), ";tag=never-given");
    peer->send_tcp(world.sip_address(), request);
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 481 ")) << peer->responses[0];
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(SipAgent, OptionsTellThatItLives) {  // SIP-25, IQ-13
    World world;
    auto peer = world.peer();
    peer->send_tcp(world.sip_address(), options("o1", "sip:gw.example"));
    peer->send_tcp(world.sip_address(), options("o2", "sip:xmpp.example"));
    peer->send_tcp(world.sip_address(), options("o3", "sip:juliet@xmpp.example"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 3; }));
    for (const std::string& response : peer->responses) {
        EXPECT_TRUE(response.starts_with("SIP/2.0 200 ")) << response;
        EXPECT_TRUE(has(response, "\r\nAllow: MESSAGE, OPTIONS\r\n")) << response;
        EXPECT_TRUE(has(response, "\r\nAccept: text/plain"));
        EXPECT_TRUE(has(response, "\r\nSupported:"));
    }
    world.gateway().drain();
    peer->send_tcp(world.sip_address(), options("o4", "sip:gw.example"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 4; }));
    EXPECT_TRUE(peer->responses[3].starts_with("SIP/2.0 503 ")) << peer->responses[3];
    EXPECT_TRUE(has(peer->responses[3], "\r\nRetry-After: "));
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(SipAgent, OtherMethodsAreNotAllowed) {  // IQ-14
    for (const char* method : {"INVITE", "INFO", "REFER", "PUBLISH", "REGISTER", "UPDATE", "PRACK",
                               "SUBSCRIBE", "NOTIFY", "BENOTIFY"}) {
        World world;
        auto peer = world.peer();
        peer->send_tcp(world.sip_address(),
                       World::request("b1", "", "", "TCP", "sip:juliet@xmpp.example",
                                      "sip:romeo@sip.example", method));
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; })) << method;
        EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 405 ")) << peer->responses[0];
        EXPECT_TRUE(has(peer->responses[0], "\r\nAllow: MESSAGE, OPTIONS\r\n"))
            << peer->responses[0];
        EXPECT_TRUE(world.edge().stanzas.empty());
    }
}

TEST(SipAgent, ATargetThatIsSuspectIsNotWaitedFor) {  // SIP-8: 4 s instead of Timer F
    World world(Settings{{"domain/sip.example/next_hop",
                          "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}});
    auto silent = world.peer();
    auto second = world.peer("10.99.0.2:5070");
    silent->answer = [](const sip::Message&) { return 0; };
    world.pass(11s);  // an OPTIONS after 5 s, which has no answer when the next is due
    EXPECT_GE(silent->options, 1);
    const Instant begin = world.simulation.now();
    ASSERT_TRUE(world.give(World::message("a1", "x")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    EXPECT_EQ(silent->requests.size(), 1u);
    EXPECT_EQ(second->requests.size(), 1u);
    EXPECT_GE(world.simulation.now() - begin, 4s);
    EXPECT_LT(world.simulation.now() - begin, 5s);
    // Timer F of the OPTIONS: it is down, and not even asked.
    world.pass(30s);
    ASSERT_TRUE(world.give(World::message("a2", "y")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 2; }, 1s))
        << world.log();
    EXPECT_EQ(silent->requests.size(), 1u);
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(SipAgent, ATargetThatIsNotSuspectHasItsTime) {  // SIP-8, SIP-10
    World world(Settings{{"domain/sip.example/next_hop",
                          "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}});
    auto slow = world.peer();
    auto second = world.peer("10.99.0.2:5070");
    slow->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? 0 : 200;
    };
    ASSERT_TRUE(world.give(World::message("a1", "x")));
    world.pass(31s);
    EXPECT_TRUE(second->requests.empty());  // it could arrive twice
    EXPECT_TRUE(world.edge().stanzas.empty());
    world.pass(2s);
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(has(world.edge().stanzas[0], "<remote-server-timeout"));
}

TEST(SipAgent, OneConnectionServesBothWays) {  // SIP-14
    World world;
    auto peer = world.peer();
    for (const char* id : {"a1", "a2", "a3"}) {
        ASSERT_TRUE(world.give(World::message(id, id)));
        world.pass(1s);
    }
    EXPECT_EQ(peer->requests.size(), 3u);
    EXPECT_EQ(peer->accepted(), 1u);
    peer->send_back(World::request("b1", "hello"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 200 "));
    EXPECT_EQ(world.edge().stanzas.size(), 1u);
}

TEST(SipAgent, AQuietConnectionIsPinged) {  // SIP-15
    for (const bool pongs : {true, false}) {
        World world(Settings{{"sip.options_interval", "1h"}});
        auto peer = world.peer();
        peer->pongs = pongs;
        ASSERT_TRUE(world.give(World::message("a1", "x")));
        ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
        world.pass(59s);
        EXPECT_EQ(peer->pings, 0);
        world.pass(2s);
        EXPECT_EQ(peer->pings, 1);
        world.pass(11s);
        ASSERT_TRUE(world.give(World::message("a2", "y")));
        ASSERT_TRUE(world.until([&] { return peer->requests.size() == 2; }));
        EXPECT_EQ(peer->accepted(), pongs ? 1u : 2u);  // closed without its pong
        EXPECT_TRUE(world.edge().stanzas.empty());
    }
}

}  // namespace
}  // namespace fedgate::gateway
