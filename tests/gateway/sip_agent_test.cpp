// What the gateway says and does as a SIP user agent, besides carrying messages.
#include <gtest/gtest.h>

#include "core/base/hash.hpp"
#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

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
        EXPECT_TRUE(has(response, "\r\nAllow: MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE\r\n"))
            << response;
        EXPECT_TRUE(has(response, "\r\nAllow-Events: presence\r\n")) << response;
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

TEST(SipAgent, OtherMethodsAreNotAllowed) {  // IQ-14, PRES-77
    for (const char* method :
         {"INVITE", "INFO", "REFER", "PUBLISH", "REGISTER", "UPDATE", "PRACK", "BENOTIFY"}) {
        World world;
        auto peer = world.peer();
        peer->send_tcp(world.sip_address(),
                       World::request("b1", "", "", "TCP", "sip:juliet@xmpp.example",
                                      "sip:romeo@sip.example", method));
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; })) << method;
        EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 405 ")) << peer->responses[0];
        EXPECT_TRUE(has(peer->responses[0], "\r\nAllow: MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE\r\n"))
            << peer->responses[0];
        EXPECT_TRUE(world.edge().stanzas.empty());
    }
}

TEST(SipAgent, ACancelChangesNothingForAMessage) {  // SIP-19, RFC 3261 9.2
    World world;
    auto peer = world.peer();
    const auto request = [](const char* method, const char* branch) {
        return World::request(branch, "", "", "UDP", "sip:juliet@xmpp.example",
                              "sip:romeo@sip.example", method);
    };
    peer->send_udp(world.sip_address(), World::request("m1", "x", {}, "UDP"));
    ASSERT_TRUE(world.until([&] { return !peer->responses.empty(); }));
    const std::size_t before = peer->responses.size();
    const auto stanzas = world.edge().stanzas.size();
    peer->send_udp(world.sip_address(), request("CANCEL", "m1"));
    peer->send_udp(world.sip_address(), request("CANCEL", "m2"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() >= before + 2; }));
    for (std::size_t i = before; i < peer->responses.size(); ++i) {
        const bool known = has(peer->responses[i], "z9hG4bKm1");
        EXPECT_TRUE(peer->responses[i].starts_with(known ? "SIP/2.0 200 " : "SIP/2.0 481 "))
            << peer->responses[i];
    }
    EXPECT_EQ(world.edge().stanzas.size(), stanzas);
}

TEST(SipAgent, ATargetThatIsSuspectIsNotWaitedFor) {  // SIP-8: 4 s instead of Timer F
    World world(Settings{{"domain/sip.example/next_hop",
                          "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}});
    auto silent = world.peer();
    auto second = world.peer("10.99.0.2:5070");
    silent->answer = [](const sip::Message&) { return 0; };
    world.pass(9500ms);  // an OPTIONS after 5 s, which has no answer 4 s later
    EXPECT_GE(silent->options, 1);
    const Instant begin = world.simulation.now();
    ASSERT_TRUE(world.give(World::message("a1", "x")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    EXPECT_EQ(silent->requests.size(), 1u);
    EXPECT_EQ(second->requests.size(), 1u);
    EXPECT_GE(world.simulation.now() - begin, 4s);
    EXPECT_LT(world.simulation.now() - begin, 5s);
    // Nor has it answered a second one: it is down, and not even asked.
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

// SIP-13, RFC 3261 18.2.2: the peer is gone when its answer is known.
TEST(SipAgent, AnAnswerFindsANewWayBack) {
    for (const bool has_connection : {true, false}) {
        World world(Settings{{"sip.options_interval", "1h"},
                             {"domain/sip.example/next_hop", "sip:10.0.0.2:5070;transport=tcp"}});
        auto peer = world.peer("10.0.0.2:5070");
        if (has_connection) {
            ASSERT_TRUE(world.give(World::message("a1", "x")));
            ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
        }
        world.edge().at_once = false;
        for (const char* branch : {"b1", "b2"})
            peer->send_tcp(world.sip_address(), World::request(branch, branch));
        ASSERT_TRUE(world.until([&] { return world.edge().tickets.size() == 2; })) << world.log();
        peer->hang_up();
        world.pass(1s);
        EXPECT_TRUE(peer->responses.empty());
        for (const link::Ticket ticket : world.edge().tickets) {
            world.edge().door->on_outcome(
                {ticket, link::Fate::kWritten, link::Fault::kNone, false});
        }
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 2; })) << world.log();
        EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 200 ")) << peer->responses[0];
        EXPECT_EQ(peer->accepted(), 1u);
        world.pass(2min);
        EXPECT_EQ(world.count(Counter::kSipOutConnections), has_connection ? 1u : 0u);
    }
}

// RFC 3261 18.1.2: what answers no request of ours goes nowhere.
TEST(SipAgent, StrayResponsesAreDropped) {
    World world(Settings{{"sip.options_interval", "1h"}});
    auto peer = world.peer();
    auto bystander = world.peer("10.99.0.2:5070");
    ASSERT_TRUE(world.give(World::message("a1", "x")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }));
    const std::string ours = header_of(peer->requests[0], "Via");
    const std::uint64_t out =
        world.count(Counter::kSipRequestsOut) + world.count(Counter::kSipResponsesOut);
    int sent = 0;
    for (const std::string& via :
         {ours,  // its request has ended
          std::string("SIP/2.0/UDP 10.99.0.2:5070;branch=z9hG4bKother"),
          ours + "\r\nVia: SIP/2.0/UDP 10.99.0.2:5070;branch=z9hG4bKother",
          std::string("SIP/2.0/UDP 10.99.0.2:5070;branch=z9hG4bK") + std::string(64, '0')}) {
        for (const char* status : {"100 Trying", "200 OK", "401 Unauthorized", "503 Full"}) {
            const std::string response = "SIP/2.0 " + std::string(status) + "\r\nVia: " + via +
                                         "\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n"
                                         "Call-ID: 1\r\nCSeq: 1 MESSAGE\r\n"
                                         "Content-Length: 0\r\n\r\n";
            peer->send_udp(world.sip_address(), response);
            peer->send_tcp(world.sip_address(), response);
            sent += 2;
        }
    }
    world.pass(5s);
    EXPECT_EQ(world.count(Counter::kSipResponsesIn), 1u + static_cast<std::uint64_t>(sent));
    EXPECT_EQ(world.count(Counter::kSipRequestsOut) + world.count(Counter::kSipResponsesOut), out);
    EXPECT_TRUE(bystander->responses.empty());
    EXPECT_EQ(peer->requests.size(), 1u);
    EXPECT_TRUE(world.edge().stanzas.empty());
}

// RFC 3261 18.1.2: with a second Via it is somebody else's, whatever the first one says.
TEST(SipAgent, AResponseWithTwoViaAnswersNothing) {
    World world(Settings{{"sip.options_interval", "1h"}});
    auto peer = world.peer();
    peer->answer = [](const sip::Message&) { return 0; };
    ASSERT_TRUE(world.give(World::message("a1", "x")));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    const auto answer = [&](const char* more) {
        return "SIP/2.0 200 OK\r\nVia: " + header_of(peer->requests[0], "Via") + more +
               "\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: 1\r\n"
               "CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
    };
    peer->send_tcp(world.sip_address(), answer("\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKother"));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kSipResponsesIn) == 1; }));
    world.pass(1s);
    EXPECT_EQ(world.count(Counter::kMessagesX2sDelivered), 0u);
    peer->send_tcp(world.sip_address(), answer(""));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }));
}

TEST(SipAgent, WhereAnswersOverUdpGo) {  // SIP-13, RFC 3581
    struct Row {
        const char* from;  // 10.0.0.0/8 is trusted
        const char* sent_by;
        const char* answer;  // where it comes
    };
    for (const Row& row : {
             Row{"10.99.0.1:5070", "ua.sip.example:5070", "10.99.0.1:5070"},
             Row{"10.99.0.1:5071", "ua.sip.example:5070", "10.99.0.1:5070"},
             Row{"10.99.0.1:5071", "ua.sip.example:5070;rport", "10.99.0.1:5071"},
             Row{"10.99.0.1:5071", "ua.sip.example", "10.99.0.1:5060"},
             Row{"10.99.0.1:5071", "10.99.0.2:5070", "10.99.0.1:5070"},  // never another address
             Row{"10.99.0.1:5070", "ua.sip.example:5070;maddr=10.99.0.2", "10.99.0.1:5070"},
             Row{"10.99.0.1:5070", "ua.sip.example:5070;received=10.99.0.2", "10.99.0.1:5070"},
             Row{"192.0.2.1:5071", "ua.sip.example:5070", "192.0.2.1:5071"},  // not trusted
         }) {
        World world(Settings{{"sip.options_interval", "1h"}});
        auto peer = world.peer(row.from);
        const bool same = std::string(row.from) == row.answer;
        auto other = same ? nullptr : world.peer(row.answer);
        auto bystander = world.peer("10.99.0.2:5070");
        std::string request = World::request("b1", "x", "", "UDP");
        const std::string sent_by = "ua.sip.example:5070";
        request.replace(request.find(sent_by), sent_by.size(), row.sent_by);
        peer->send_udp(world.sip_address(), request);
        test::SipPhone& gets = same ? *peer : *other;
        ASSERT_TRUE(world.until([&] { return gets.responses.size() == 1; }, 5s))
            << row.from << row.sent_by << world.log();
        EXPECT_TRUE(bystander->responses.empty());
        const std::string via = header_of(gets.responses[0], "Via");
        const std::string source = std::string(row.from).substr(0, std::string(row.from).find(':'));
        EXPECT_TRUE(has(via, ";received=" + source)) << via;
    }
}

// What we want of a peer may wait; what it waits for has room.
TEST(SipAgent, RequestsLeaveRoomForAnswers) {  // SIP-14
    World world;
    auto peer = world.peer();
    ASSERT_TRUE(world.give(World::message("a", "x")));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    peer->stop_reading();
    const std::string text(4'000, 'x');
    for (int i = 0; i < 1'000; ++i) {
        ASSERT_TRUE(world.give(World::message("m", text, "user" + std::to_string(i))));
        world.pass(1ms);
    }
    for (int i = 0; i < 50; ++i)
        peer->send_back(World::request(std::to_string(i), std::to_string(i)));
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 50; }, 2s));
    world.pass(100ms);
    peer->read_again();
    EXPECT_TRUE(world.until([&] { return peer->responses.size() == 50; }, 2s))
        << peer->responses.size();
    EXPECT_TRUE(
        world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1'001; }, 5s));
    EXPECT_EQ(peer->accepted(), 1u);
}

TEST(SipAgent, AQuietConnectionIsPinged) {  // SIP-15
    int turn = 0;
    for (const bool pongs : {true, false, false}) {
        World world(Settings{{"sip.options_interval", "1h"}});
        auto peer = world.peer();
        peer->pongs = pongs;
        const bool answers = pongs || turn++ == 0;
        peer->answer = [&](const sip::Message& m) {
            return m.method == sip::Method::kMessage || answers ? 200 : 0;
        };
        ASSERT_TRUE(world.give(World::message("a1", "x")));
        ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
        world.pass(59s);
        EXPECT_EQ(peer->pings, 0);
        world.pass(2s);
        EXPECT_EQ(peer->pings, 1);
        EXPECT_EQ(peer->options, 0);
        world.pass(11s);
        EXPECT_EQ(peer->options, pongs ? 0 : 1);  // whose answer says enough
        world.pass(11s);
        ASSERT_TRUE(world.give(World::message("a2", "y")));
        ASSERT_TRUE(world.until([&] { return peer->requests.size() == 2; }));
        EXPECT_EQ(peer->accepted(), answers ? 1u : 2u);  // closed without a word from it
        EXPECT_TRUE(world.edge().stanzas.empty());
    }
}

// SIP-30: a pool that wants to know who we are, by the form without qop.
struct Challenger {
    explicit Challenger(test::SipPhone& peer) : peer_(peer) {
        peer.answer = [this](const sip::Message& message) { return answer(message); };
        ask("");
    }
    void ask(const std::string& more) {
        peer_.extra_headers = "Proxy-Authenticate: Digest realm=\"pool\",nonce=\"n" +
                              std::to_string(++nonce_) + "\"" + more + "\r\n";
    }
    int answer(const sip::Message& message) {
        if (message.method != sip::Method::kMessage) return 200;
        const auto hex = [](std::initializer_list<Bytes> parts) {
            const auto text = to_hex(md5(parts));
            return std::string(text.data(), text.size());
        };
        const std::string response =
            hex({hex({"fedgate:pool:", password}), ":n" + std::to_string(nonce_) + ":",
                 hex({"MESSAGE:", message.request_uri_text})});
        const Bytes given = message.value(sip::HeaderName::kProxyAuthorization);
        if (!given.empty() && stale) {
            ask(",stale=true");
            stale = forever;
            return 407;
        }
        return given.find("response=\"" + response + "\"") != Bytes::npos ? 200 : 407;
    }
    std::string password = "secret";
    bool stale = false;    // the first answer is refused for its age
    bool forever = false;  // and so on

private:
    test::SipPhone& peer_;
    int nonce_ = 0;
};

const Settings kCredentials{{"domain/sip.example/digest_user", "fedgate"},
                            {"domain/sip.example/digest_password", "secret"}};

TEST(SipAgent, AChallengeIsAnswered) {  // SIP-30, ERR-3
    World world(kCredentials);
    auto peer = world.peer();
    const Challenger challenger(*peer);
    ASSERT_TRUE(world.give(World::message("a1", "x")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    ASSERT_EQ(peer->requests.size(), 2u);
    EXPECT_TRUE(has(peer->requests[0], "\r\nCSeq: 1 MESSAGE\r\n"));
    EXPECT_TRUE(has(peer->requests[1], "\r\nCSeq: 2 MESSAGE\r\nProxy-Authorization: Digest "))
        << peer->requests[1];
    EXPECT_NE(header_of(peer->requests[0], "Via"), header_of(peer->requests[1], "Via"));
    for (const char* const same : {"From", "To", "Call-ID", "Content-Length"}) {
        EXPECT_EQ(header_of(peer->requests[0], same), header_of(peer->requests[1], same));
    }
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(SipAgent, AChallengeIsRemembered) {  // SIP-30: one round trip for each that follows
    World world(kCredentials);
    auto peer = world.peer();
    Challenger challenger(*peer);
    for (const char* id : {"a1", "a2", "a3"}) {
        ASSERT_TRUE(world.give(World::message(id, id)));
        world.pass(1s);
    }
    EXPECT_EQ(world.count(Counter::kMessagesX2sDelivered), 3u);
    ASSERT_EQ(peer->requests.size(), 4u);
    EXPECT_TRUE(has(peer->requests[3], "\r\nCSeq: 1 MESSAGE\r\nProxy-Authorization: Digest "));
    // Its time is over: a new challenge is not an offence.
    challenger.ask("");
    ASSERT_TRUE(world.give(World::message("a4", "x")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 4; }));
    EXPECT_EQ(peer->requests.size(), 6u);
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(SipAgent, EachNodeHasItsOwnNonces) {  // SIP-30, SIP-8
    Settings settings = kCredentials;
    settings.emplace_back("domain/sip.example/next_hop",
                          "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp");
    World world(settings);
    auto first = world.peer();
    auto second = world.peer("10.99.0.2:5070");
    Challenger one(*first);
    Challenger two(*second);
    two.ask("");
    two.ask("");
    bool dies = false;
    first->answer = [&](const sip::Message& message) {
        return dies && message.method == sip::Method::kMessage ? -1 : one.answer(message);
    };
    ASSERT_TRUE(world.give(World::message("a1", "x")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }));
    // With the credentials of the first it comes to the second, which asks for its own.
    dies = true;
    ASSERT_TRUE(world.give(World::message("a2", "y")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 2; }))
        << world.log();
    ASSERT_EQ(second->requests.size(), 2u);
    EXPECT_FALSE(has(second->requests[0], "Proxy-Authorization"));
    EXPECT_TRUE(has(second->requests[1], "nonce=\"n3\""));
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(SipAgent, AProbeIsNotAuthorized) {  // SIP-8: a node that asks who we are is alive
    World world(kCredentials);
    auto peer = world.peer();
    Challenger challenger(*peer);
    peer->answer = [](const sip::Message&) { return 407; };
    world.pass(20s);
    EXPECT_LE(peer->options, 4);
    EXPECT_TRUE(peer->requests.empty());
}

TEST(SipAgent, AnOldNonceIsTakenOnceMore) {  // SIP-30
    for (const bool forever : {false, true}) {
        World world(kCredentials);
        auto peer = world.peer();
        Challenger challenger(*peer);
        challenger.stale = true;
        challenger.forever = forever;
        ASSERT_TRUE(world.give(World::message("a1", "x")));
        ASSERT_TRUE(world.until([&] {
            return world.count(Counter::kMessagesX2sDelivered) + world.edge().stanzas.size() == 1;
        })) << world.log();
        ASSERT_EQ(peer->requests.size(), 3u);
        EXPECT_EQ(world.edge().stanzas.size(), forever ? 1u : 0u);
        // Only the last answer is in it.
        EXPECT_EQ(peer->requests[2].find("Proxy-Authorization"),
                  peer->requests[2].rfind("Proxy-Authorization"));
        EXPECT_TRUE(has(peer->requests[2], "\r\nCSeq: 3 MESSAGE\r\n"));
    }
}

TEST(SipAgent, WrongCredentialsAreAnError) {  // SIP-30, ERR-407
    for (const bool any : {true, false}) {
        World world(any ? kCredentials : Settings{});
        auto peer = world.peer();
        Challenger challenger(*peer);
        challenger.password = "another";
        ASSERT_TRUE(world.give(World::message("a1", "x")));
        ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 1; })) << world.log();
        EXPECT_TRUE(has(world.edge().stanzas[0], "type='error'")) << world.edge().stanzas[0];
        EXPECT_EQ(peer->requests.size(), any ? 2u : 1u);
    }
}

TEST(SipAgent, WithCredentialsItMayBeTooBigForUdp) {  // SIP-30, SIP-7
    Settings settings = kCredentials;
    settings.emplace_back("domain/sip.example/next_hop",
                          "sip:10.99.0.1:5070;transport=udp sip:10.99.0.1:5070;transport=tcp");
    World world(settings);
    auto peer = world.peer();
    const Challenger challenger(*peer);
    ASSERT_TRUE(world.give(World::message("a1", std::string(800, 'x'))));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    ASSERT_GE(peer->requests.size(), 2u);
    EXPECT_TRUE(has(peer->requests.front(), "Via: SIP/2.0/UDP"));
    EXPECT_TRUE(has(peer->requests.back(), "Via: SIP/2.0/TCP"));
}

}  // namespace
}  // namespace fedgate::gateway
