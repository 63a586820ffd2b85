// The whole gateway on the simulation.
#include "appliance/gateway/gateway.hpp"

#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"
#include "tests/net/certificates.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::World;

// ---- XMPP -> SIP

TEST(GatewayToSip, AMessageIsDeliveredAndNobodyIsTold) {  // IM-1, IM-2, IM-3, IM-16
    World world;
    auto peer = world.peer();
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    ASSERT_EQ(peer->requests.size(), 1u);
    EXPECT_TRUE(peer->requests[0].starts_with(
        "MESSAGE sip:romeo@sip.example SIP/2.0\r\nVia: SIP/2.0/TCP "));
    EXPECT_TRUE(has(peer->requests[0], "From: <sip:juliet@xmpp.example;gr=balcony>;tag="));
    EXPECT_TRUE(has(peer->requests[0], "\r\n\r\nhello"));
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(GatewayToSip, AnErrorComesBackOnItsOwnSide) {  // IM-17, ERR-1, ERR-2
    const std::pair<int, const char*> rows[] = {{404, "<item-not-found"},
                                                {486, "<recipient-unavailable"},
                                                {503, "<internal-server-error"},
                                                {301, "<gone"}};
    for (const auto& [status, condition] : rows) {
        World world;
        auto peer = world.peer();
        peer->extra_headers = status == 301 ? "Contact: <sip:new@xmpp.example>\r\n" : "";
        peer->answer = [s = status](const sip::Message& m) {
            return m.method == sip::Method::kMessage ? s : 200;
        };
        ASSERT_TRUE(world.give(World::message("a1", "hello")));
        ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); })) << status;
        const std::string& error = world.edge().stanzas[0];
        EXPECT_TRUE(has(error, "from='romeo@sip.example'")) << error;
        EXPECT_TRUE(has(error, "to='juliet@xmpp.example/balcony'"));
        EXPECT_TRUE(has(error, "id='a1'"));
        EXPECT_TRUE(has(error, "type='error'"));
        EXPECT_TRUE(has(error, "by='sip.example'"));
        EXPECT_TRUE(has(error, condition)) << error;
        EXPECT_FALSE(has(error, "hello"));
        EXPECT_FALSE(has(error, "<text"));  // the default phrase says no more than the code
        EXPECT_EQ(has(error, "xmpp:new@xmpp.example"), status == 301) << error;  // ERR-301
        EXPECT_EQ(world.edge().their_domains[0], "xmpp.example");
        EXPECT_EQ(world.count(Counter::kMessagesX2sRefused), 1u);
    }
}

TEST(GatewayToSip, A503GoesToTheNextHop) {  // SIP-8: new branch, same Call-ID, From tag, CSeq
    World world(
        test::Settings{{"domain/sip.example/next_hop",
                        "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}});
    auto first = world.peer();
    auto second = world.peer("10.99.0.2:5070");
    first->answer = [](const sip::Message&) { return 503; };
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    ASSERT_EQ(first->requests.size(), 1u);
    ASSERT_EQ(second->requests.size(), 1u);
    const auto via_end = [](const std::string& request) {
        return request.find("\r\n", request.find("\r\n") + 2);
    };
    EXPECT_EQ(first->requests[0].substr(via_end(first->requests[0])),
              second->requests[0].substr(via_end(second->requests[0])));
    EXPECT_NE(first->requests[0], second->requests[0]);
    // It is down for a while: the next message does not ask it again.
    ASSERT_TRUE(world.give(World::message("a2", "again")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 2; }));
    EXPECT_EQ(first->requests.size(), 1u);
}

TEST(GatewayToSip, ADeadHopIsPassedOverAndComesBack) {  // SIP-8
    World world(
        test::Settings{{"domain/sip.example/next_hop",
                        "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}});
    auto second = world.peer("10.99.0.2:5070");
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(
            world.give(World::message("a" + std::to_string(i), "hello " + std::to_string(i))));
        world.pass(100ms);
    }
    EXPECT_EQ(second->requests.size(), 5u) << world.log();
    EXPECT_TRUE(world.edge().stanzas.empty());
    auto first = world.peer();
    world.pass(40s);  // OPTIONS finds it
    EXPECT_GT(first->options, 0);
    ASSERT_TRUE(world.give(World::message("b", "back")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 6; }));
    EXPECT_EQ(first->requests.size(), 1u) << world.log();
}

TEST(GatewayToSip, NoHopAtAllIsAnError) {  // ERR-L3
    World world;
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); }));
    EXPECT_TRUE(has(world.edge().stanzas[0], "<remote-server-timeout")) << world.edge().stanzas[0];
}

TEST(GatewayToSip, ANameThatIsNotThereIsAnError) {  // ERR-L2
    World world(
        test::Settings{{"domain/sip.example/next_hop", "sip:nowhere.example;transport=tcp"}});
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); }));
    EXPECT_TRUE(has(world.edge().stanzas[0], "<remote-server-not-found"))
        << world.edge().stanzas[0];
}

TEST(GatewayToSip, SilenceEndsAfterTimerF) {  // ERR-408, SIP-10
    World world;
    auto peer = world.peer();
    peer->answer = [](const sip::Message&) { return 0; };
    const Instant begin = world.simulation.now();
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); }));
    EXPECT_TRUE(has(world.edge().stanzas[0], "<remote-server-timeout"));
    EXPECT_GE(world.simulation.now() - begin, 32s);
    EXPECT_LT(world.simulation.now() - begin, 33s);
    EXPECT_EQ(world.count(Counter::kMessagesX2sInDoubt), 1u);
}

TEST(GatewayToSip, ASilentServerDoesNotHoldUpAQueue) {  // SIP-8: 32 s in all, GEN-5
    World world;
    auto peer = world.peer();
    peer->answer = [](const sip::Message&) { return 0; };
    const Instant begin = world.simulation.now();
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(
            world.give(World::message("a" + std::to_string(i), "hello " + std::to_string(i))));
    }
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 20; }));
    EXPECT_LT(world.simulation.now() - begin, 34s);
    for (const std::string& error : world.edge().stanzas)
        EXPECT_TRUE(has(error, "<remote-server-timeout"));
    EXPECT_EQ(world.count(Counter::kMessagesX2sInDoubt), 1u);  // the others never left
    EXPECT_EQ(world.count(Counter::kMessagesX2sRefused), 19u);
}

TEST(GatewayToSip, AConnectionKilledInTheMiddleIsAnErrorForEach) {  // ERR-L3
    World world;
    auto peer = world.peer();
    peer->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? 0 : 200;
    };
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(world.give(
            World::message("a" + std::to_string(i), "hello", "user" + std::to_string(i))));
    }
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 10; }));
    peer->stop();
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 10; }, 5s)) << world.log();
    for (const std::string& error : world.edge().stanzas)
        EXPECT_TRUE(has(error, "<remote-server-timeout"));
    EXPECT_EQ(world.count(Counter::kMessagesX2sInDoubt), 10u);
}

TEST(GatewayToSip, AConnectionKilledInTheMiddleSendsItToTheNextHop) {  // SIP-8
    World world(
        test::Settings{{"domain/sip.example/next_hop",
                        "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}});
    auto first = world.peer();
    auto second = world.peer("10.99.0.2:5070");
    first->answer = [](const sip::Message&) { return -1; };
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    EXPECT_EQ(first->requests.size(), 1u);
    EXPECT_EQ(second->requests.size(), 1u);
}

TEST(GatewayToSip, AHopThatKillsIsNotAskedTwice) {  // SIP-8, ERR-L3
    World world;
    auto peer = world.peer();
    peer->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? -1 : 200;
    };
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); }, 2s)) << world.log();
    world.pass(40s);
    EXPECT_EQ(peer->requests.size(), 1u);
    EXPECT_EQ(world.edge().stanzas.size(), 1u);
}

TEST(GatewayToSip, RetransmitsOverUdpOnly) {  // SIP-10, SIP-13
    World world(
        test::Settings{{"domain/sip.example/next_hop", "sip:10.99.0.1:5070;transport=udp"}});
    auto peer = world.peer();
    int seen = 0;
    peer->answer = [&](const sip::Message& m) {
        return m.method != sip::Method::kMessage || ++seen == 3 ? 200 : 0;
    };
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    ASSERT_EQ(peer->requests.size(), 3u);
    EXPECT_EQ(peer->requests[0], peer->requests[2]);
    EXPECT_TRUE(has(peer->requests[0], ";rport\r\n"));
}

TEST(GatewayToSip, WhatIsTooBigForUdpIsRefused) {  // IM-18
    World world(
        test::Settings{{"domain/sip.example/next_hop", "sip:10.99.0.1:5070;transport=udp"}});
    auto peer = world.peer();
    ASSERT_TRUE(world.give(World::message("a1", std::string(1'300, 'x'))));
    ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); }));
    EXPECT_TRUE(has(world.edge().stanzas[0], "<policy-violation")) << world.edge().stanzas[0];
    EXPECT_TRUE(has(world.edge().stanzas[0], "type='modify'"));
}

TEST(GatewayToSip, OneOfAPairIsPendingAndOrderIsKept) {  // GEN-5
    World world(test::Settings{{"partner/xmpp.example/rate_sender_messages", "none"}});
    auto peer = world.peer();
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(
            world.give(World::message("m" + std::to_string(i), "text " + std::to_string(i))));
        if (i % 25 == 24) world.pass(200ms);
    }
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 100; }))
        << world.log();
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(peer->requests[static_cast<std::size_t>(i)].ends_with("\r\n\r\ntext " +
                                                                          std::to_string(i)));
    }
}

TEST(GatewayToSip, AFullQueueIsToldAtOnce) {  // GEN-5: 50 wait behind the one that is pending
    World world(test::Settings{{"partner/xmpp.example/rate_sender_messages", "none"}});
    auto peer = world.peer();
    peer->answer = [](const sip::Message&) { return 0; };
    for (int i = 0; i < 52; ++i)
        ASSERT_TRUE(world.give(World::message("m" + std::to_string(i), "t" + std::to_string(i))));
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(has(world.edge().stanzas[0], "<resource-constraint"));
    EXPECT_TRUE(has(world.edge().stanzas[0], "id='m51'"));
}

TEST(GatewayToSip, ASenderHasARate) {  // S2S-65: 20/s, burst 60
    World world;
    auto peer = world.peer();
    for (int i = 0; i < 61; ++i) {
        std::string stanza = World::message("m" + std::to_string(i), "t");
        stanza.replace(stanza.find("romeo"), 5, "r" + std::to_string(i));
        ASSERT_TRUE(world.give(stanza));
    }
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(has(world.edge().stanzas[0], "<policy-violation"));
    EXPECT_TRUE(has(world.edge().stanzas[0], "type='wait'"));
}

TEST(GatewayToSip, ARingIsBroken) {  // SEC-3
    World world;
    auto peer = world.peer();
    for (int i = 0; i < 9; ++i) {
        ASSERT_TRUE(world.give(World::message("m" + std::to_string(i), "again")));
        world.pass(10ms);
    }
    EXPECT_EQ(peer->requests.size(), 8u);
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(has(world.edge().stanzas[0], "<policy-violation"));
}

TEST(GatewayToSip, RefusesWhatRulesRefuse) {
    const auto refused = [](const test::Settings& settings, const std::string& stanza) {
        World world(settings);
        auto peer = world.peer();
        EXPECT_TRUE(world.give(stanza));
        world.pass(1s);
        EXPECT_TRUE(peer->requests.empty());
        return world.edge().stanzas.empty() ? std::string("nothing") : world.edge().stanzas[0];
    };
    const std::string message = World::message("a", "x");
    EXPECT_TRUE(
        has(refused({{"federation.allow", "no"}}, message), "<policy-violation"));  // ERR-L5
    EXPECT_TRUE(has(refused({{"policy/global/xmpp_access", "no"}}, message), "<policy-violation"));
    EXPECT_TRUE(
        has(refused({{"partner/xmpp.example/enabled", "no"}}, message), "<policy-violation"));
    EXPECT_TRUE(has(refused({{"partner/xmpp.example/type", "public_unverified"}}, message),
                    "<policy-violation"));  // A6
    EXPECT_TRUE(has(refused({}, World::message("a", "x", "juliet", "groupchat")),
                    "<service-unavailable"));  // IM-7
    EXPECT_TRUE(has(refused({{"im.max_bytes", "8"}}, World::message("a", "123456789")),
                    "<policy-violation"));  // IM-19
    EXPECT_TRUE(has(refused({{"domain/sip.example/strict_1300", "yes"}},
                            World::message("a", std::string(1'300, 'x'))),
                    "<policy-violation"));  // IM-18
    EXPECT_TRUE(has(
        refused(
            {},
            "<message from='j@xmpp.example/r' to='sip.example' id='a'><body>x</body></message>"),
        "<service-unavailable"));  // IM-20
    EXPECT_EQ(refused({},
                      "<message from='j@xmpp.example' to='sip.example' "
                      "type='headline'><body>x</body></message>"),
              "nothing");  // IM-20
    EXPECT_TRUE(has(refused({},
                            "<message from='j@xmpp.example' to='\\20x@sip.example' "
                            "id='a'><body>x</body></message>"),
                    "<jid-malformed"));  // ERR-L7, ADDR-31
    EXPECT_EQ(refused({}, World::message("a", "x", "juliet", "error")), "nothing");  // ERR-5
    EXPECT_EQ(refused({}, "<presence from='j@xmpp.example/r' to='romeo@sip.example'/>"), "nothing");
    EXPECT_TRUE(has(refused({},
                            "<iq from='j@xmpp.example/r' to='sip.example' id='i' type='get'><ping "
                            "xmlns='urn:xmpp:ping'/></iq>"),
                    "type='result'"));  // IQ-6
}

TEST(GatewayToSip, BackPressureOfTheEdgeLosesNothing) {
    World world;
    auto peer = world.peer();
    world.edge().refuse = 1;
    EXPECT_FALSE(world.give(World::message("a", "x", "juliet", "groupchat")));  // comes again
    EXPECT_TRUE(world.give(World::message("a", "x", "juliet", "groupchat")));
    EXPECT_EQ(world.edge().stanzas.size(), 1u);
    peer->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? 404 : 200;
    };
    world.edge().refuse = 3;
    ASSERT_TRUE(world.give(World::message("b", "x")));
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 2; }));
    EXPECT_TRUE(has(world.edge().stanzas[1], "<item-not-found"));
}

TEST(GatewayToSip, DrainingRefusesWhatIsNewAndEndsWhatIsPending) {
    World world;
    auto peer = world.peer();
    peer->answer = [&](const sip::Message&) { return 0; };
    ASSERT_TRUE(world.give(World::message("a", "x")));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    world.gateway().drain();
    EXPECT_FALSE(world.gateway().drained());
    ASSERT_TRUE(world.give(World::message("b", "y")));
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(has(world.edge().stanzas[0], "<resource-constraint"));
    ASSERT_TRUE(world.until([&] { return world.gateway().drained(); }));
    EXPECT_EQ(world.edge().stanzas.size(), 2u);
}

// ---- SIP -> XMPP

TEST(GatewayToXmpp, AMessageIsAnsweredWhenItWasWritten) {  // IM-30..IM-38, IM-49
    World world;
    auto peer = world.peer();
    world.edge().at_once = false;
    peer->send_tcp(world.sip_address(),
                   World::request("b1", "hello", "Content-Type: text/plain\r\n"));
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 1; })) << world.log();
    EXPECT_EQ(
        world.edge().stanzas[0],
        "<message from='romeo@sip.example' to='juliet@xmpp.example' id='b1'><body>hello</body>"
        "<thread>call-b1</thread></message>");
    world.pass(1s);
    EXPECT_TRUE(peer->responses.empty());
    world.gateway().on_outcome(
        {world.edge().tickets[0], link::Fate::kWritten, link::Fault::kNone, false});
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    EXPECT_TRUE(
        peer->responses[0].starts_with("SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP ua.sip.example:5070"));
    EXPECT_TRUE(has(peer->responses[0], "To: <sip:juliet@xmpp.example>;tag="));
    EXPECT_FALSE(has(peer->responses[0], "Contact"));
}

TEST(GatewayToXmpp, FaultsOfTheLinkAreAnswered) {  // ERR-40..ERR-46
    const std::pair<link::Fault, const char*> rows[] = {
        {link::Fault::kNoSuchDomain, "404 Domain Not Found"},
        {link::Fault::kUnreachable, "408 "},
        {link::Fault::kNotTrusted, "403 Federation Not Possible"},
        {link::Fault::kRemoteDenied, "403 "},
        {link::Fault::kRemoteFailing, "500 "},
        {link::Fault::kBlocked, "403 "},
        {link::Fault::kQueueFull, "500 "}};
    for (const auto& [fault, answer] : rows) {
        World world;
        auto peer = world.peer();
        world.edge().at_once = false;
        peer->send_tcp(world.sip_address(), World::request("b1", "hello"));
        ASSERT_TRUE(world.until([&] { return world.edge().tickets.size() == 1; }));
        world.gateway().on_outcome({world.edge().tickets[0], link::Fate::kFailed, fault, false});
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
        EXPECT_TRUE(peer->responses[0].starts_with(std::string("SIP/2.0 ") + answer))
            << peer->responses[0];
        EXPECT_EQ(has(peer->responses[0], "Retry-After: 30"), has(answer, "500"));
        EXPECT_EQ(world.count(Counter::kMessagesS2xRefused), 1u);
    }
}

TEST(GatewayToXmpp, HoldsEightSecondsAtMost) {  // IM-49, ERR-34, SIP-12
    World world;
    auto peer = world.peer();
    world.edge().at_once = false;
    peer->send_tcp(world.sip_address(), World::request("b1", "hello"));
    const Instant begin = world.simulation.now();
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 504 "));
    EXPECT_GE(world.simulation.now() - begin, 8s);
    EXPECT_LT(world.simulation.now() - begin, 9s);
    world.gateway().on_outcome(
        {world.edge().tickets[0], link::Fate::kFailed, link::Fault::kExpired, false});
    world.pass(1s);
    EXPECT_EQ(peer->responses.size(), 1u);
    EXPECT_TRUE(world.gateway().drained());
}

TEST(GatewayToXmpp, ALateBounceBecomesOneNotice) {  // IM-50
    World world;
    auto peer = world.peer();
    peer->send_tcp(world.sip_address(), World::request("b1", "hello"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    const std::string bounce =
        "<message type='error' from='juliet@xmpp.example' to='romeo@sip.example' id='b1'><error "
        "type='cancel'>"
        "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "
        "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no such user</text></error></message>";
    ASSERT_TRUE(world.give(bounce));
    ASSERT_TRUE(world.give(bounce));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; })) << world.log();
    const std::string& notice = peer->requests[0];
    EXPECT_TRUE(notice.starts_with("MESSAGE sip:romeo@sip.example SIP/2.0\r\n"));
    EXPECT_TRUE(has(notice, "From: <sip:juliet@xmpp.example>;tag="));
    EXPECT_TRUE(has(notice, "In-Reply-To: call-b1\r\n"));
    EXPECT_TRUE(has(notice, "\r\n\r\nYour message could not be delivered: no such user."));
    world.pass(5s);
    EXPECT_EQ(peer->requests.size(), 1u);
}

TEST(GatewayToXmpp, ANoticeThatFailsIsNotAnsweredByAnother) {  // IM-50, SEC-2
    World world;
    auto peer = world.peer();
    peer->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? 404 : 200;
    };
    peer->send_tcp(world.sip_address(), World::request("b1", "hello"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    world.gateway().on_outcome(
        {world.edge().tickets[0], link::Fate::kInDoubt, link::Fault::kNone, false});
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    EXPECT_TRUE(has(peer->requests[0], "may or may not have arrived"));
    world.pass(5s);
    EXPECT_EQ(world.edge().stanzas.size(), 1u);  // only the message itself
    EXPECT_EQ(world.count(Counter::kMessagesS2xInDoubt), 1u);
}

TEST(GatewayToXmpp, ABounceWithinTheWaitIsTheAnswer) {  // IM-50, ERR-10, ERR-11, ERR-26
    World world(test::Settings{{"im.error_wait", "500ms"}});
    auto peer = world.peer();
    peer->send_tcp(world.sip_address(), World::request("b1", "hello"));
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 1; }));
    ASSERT_TRUE(world.give(
        "<message type='error' from='juliet@xmpp.example' to='romeo@sip.example' id='b1'>"
        "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>not here</text></error></message>"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 604 not here\r\n")) << peer->responses[0];
    peer->send_tcp(world.sip_address(), World::request("b2", "hello"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 2; }));
    EXPECT_TRUE(peer->responses[1].starts_with("SIP/2.0 200 "));
}

TEST(GatewayToXmpp, ARequestThatComesAgainIsAbsorbed) {  // SIP-11
    World world;
    auto peer = world.peer();
    const std::string request = World::request("b1", "hello", "", "UDP");
    for (int i = 0; i < 3; ++i) {
        peer->send_udp(world.sip_address(), request);
        world.pass(100ms);
    }
    EXPECT_EQ(world.edge().stanzas.size(), 1u);
    ASSERT_EQ(peer->responses.size(), 3u);
    EXPECT_EQ(peer->responses[0], peer->responses[2]);
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(peer->responses[0], ";received=10.99.0.1")) << peer->responses[0];  // SIP-13
    // Merged: the same request by another way.
    std::string merged = request;
    merged.replace(merged.find("z9hG4bKb1"), 9, "z9hG4bKb9");
    peer->send_udp(world.sip_address(), merged);
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 4; }));
    EXPECT_TRUE(peer->responses[3].starts_with("SIP/2.0 482 ")) << peer->responses[3];
}

// The node that carried it died with our answer: its sender asks again, by another one.
TEST(GatewayToXmpp, WhatMayHaveArrivedIsNotSentAgain) {  // SIP-11
    for (const link::Fate fate :
         {link::Fate::kWritten, link::Fate::kInDoubt, link::Fate::kFailed}) {
        World world;
        world.edge().at_once = false;
        auto first = world.peer();
        auto second = world.peer("10.99.0.2:5070");
        const std::string request = World::request("b1", "hello");
        first->send_tcp(world.sip_address(), request);
        ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 1; }));
        world.gateway().on_outcome(
            {world.edge().tickets[0], fate, link::Fault::kUnreachable, false});
        ASSERT_TRUE(world.until([&] { return first->responses.size() == 1; }));
        EXPECT_EQ(first->responses[0].starts_with("SIP/2.0 200 "), fate == link::Fate::kWritten);
        std::string again = request;
        again.replace(again.find("z9hG4bKb1"), 9, "z9hG4bKb9");
        second->send_tcp(world.sip_address(), again);
        const bool never = fate == link::Fate::kFailed;  // then it may be sent
        ASSERT_TRUE(world.until([&] {
            return never ? world.edge().stanzas.size() == 2 : second->responses.size() == 1;
        }));
        EXPECT_EQ(world.edge().stanzas.size(), never ? 2U : 1U);
        EXPECT_TRUE(never || second->responses[0].starts_with("SIP/2.0 482 "));
        world.pass(61s);  // nothing is left of it
        EXPECT_TRUE(world.gateway().drained() || never);
    }
}

TEST(GatewayToXmpp, RefusesWhatItMust) {
    struct Row {
        const char* rule;
        std::string request;
        const char* status;
        const char* header;
    };
    const Row rows[] = {
        {"ADDR-21", World::request("b", "x", "", "TCP", "sips:juliet@xmpp.example"), "480 ",
         "Warning: 380 "},
        {"ADDR-21", World::request("b", "x", "", "TCP", "tel:+15551234"), "416 ", ""},
        {"ADDR-30", World::request("b", "x", "", "TCP", "sip:%20a@xmpp.example"),
         "400 Address Not Representable", ""},
        {"ADDR-29", World::request("b", "x", "", "TCP", "sip:xmpp.example"), "404 ", ""},
        {"SIP-32",
         World::request("b", "x", "", "TCP", "sip:juliet@xmpp.example", "sip:m@evil.example"),
         "403 ", ""},
        {"SEC-1", World::request("b", "x", "", "TCP", "sip:juliet@sip.example"), "403 ", ""},
        {"ERR-46", World::request("b", "x", "", "TCP", "sip:juliet@unknown.example"), "403 ", ""},
        {"SIP-33",
         World::request("b", "x", "", "TCP", "sip:juliet@xmpp.example",
                        "sip:anonymous@anonymous.invalid"),
         "403 ", ""},
        {"IM-45", World::request("b", "x", "Content-Type: image/png\r\n"), "415 ",
         "Accept: text/plain, "},
        {"IM-45", World::request("b", "x", "Content-Encoding: gzip\r\n"), "415 ",
         "Accept-Encoding: identity"},
        {"IM-51", World::request("b", "x", "Require: 100rel\r\n"), "420 ", "Unsupported: 100rel"},
        {"IM-48", World::request("b", ""), "200 ", ""},
        {"IQ-14",
         World::request("b", "", "", "TCP", "sip:juliet@xmpp.example", "sip:romeo@sip.example",
                        "INFO"),
         "405 ", "Allow: "},
        {"IQ-13",
         World::request("b", "", "", "TCP", "sip:juliet@xmpp.example", "sip:romeo@sip.example",
                        "OPTIONS"),
         "200 ", "Allow: "},
    };
    for (const Row& row : rows) {
        World world;
        auto peer = world.peer();
        peer->send_tcp(world.sip_address(), row.request);
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; })) << row.rule;
        EXPECT_TRUE(peer->responses[0].starts_with(std::string("SIP/2.0 ") + row.status))
            << row.rule << peer->responses[0];
        EXPECT_TRUE(has(peer->responses[0], row.header)) << row.rule << peer->responses[0];
        EXPECT_TRUE(world.edge().stanzas.empty()) << row.rule;
    }
}

TEST(GatewayToXmpp, HopsThatAreUsedUpAre483) {  // SIP-17, ERR-47
    World world;
    auto peer = world.peer();
    std::string request = World::request("b", "x");
    request.replace(request.find("Forwards: 70"), 12, "Forwards: 0");
    peer->send_tcp(world.sip_address(), request);
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 483 "));
}

TEST(GatewayToXmpp, AStrangerIsRefused) {  // SIP-30
    World world(test::Settings{{"sip.trusted", "192.0.2.0/24"}});
    auto peer = world.peer();
    peer->send_tcp(world.sip_address(), World::request("b", "x"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 403 "));
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(GatewayToXmpp, BackPressureHoldsTheConnectionBack) {
    World world;
    auto peer = world.peer();
    world.edge().refuse = 20;
    for (int i = 0; i < 5; ++i)
        peer->send_tcp(world.sip_address(), World::request("b" + std::to_string(i), "same"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 5; })) << world.log();
    ASSERT_EQ(world.edge().stanzas.size(), 5u);
    for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(has(world.edge().stanzas[static_cast<std::size_t>(i)],
                        "id='b" + std::to_string(i) + "'"));
        EXPECT_TRUE(peer->responses[static_cast<std::size_t>(i)].starts_with("SIP/2.0 200 "));
    }
}

// The next message is read before the one in front of it is taken, which may have to wait.
TEST(GatewayToXmpp, WhatStandsBehindAMessageThatWaitsIsWhole) {
    std::string folded = World::request("b2", "second");
    folded.replace(folded.find("Max-Forwards:"), 13, "X-Folded: a\r\n b\r\nMax-Forwards:");
    std::string too_long = World::request("b2", "");
    too_long.replace(too_long.find("Length: 0"), 9, "Length: 90000");
    std::string hopeless = World::request("b2", "second");
    hopeless.replace(hopeless.find("Length: 6"), 9, "Length: x");
    // Unfolded it would be in order.
    std::string folded_length = World::request("b2", "second");
    folded_length.replace(folded_length.find("Length: 6"), 9, "Length:\r\n 6");
    std::string bare_line_end = World::request("b2", "second");
    bare_line_end.replace(bare_line_end.find("Max-Forwards:"), 13,
                          "X-Folded: a\n b\r\nMax-Forwards:");
    const std::string whole = World::request("b2", "second");
    const std::string third = World::request("b3", "third");
    struct Row {
        std::string behind;
        std::string expected;  // the bodies that arrive, and the answers
    };
    const Row rows[] = {
        {whole + third, "first second third 200 200 200"},
        {folded + third, "first second third 200 200 200"},
        {"\r\n" + whole + "\r\n\r\n" + third, "first second third 200 200 200"},
        {too_long + std::string(90'000, 'M') + third, "first third 200 413 200"},
        {hopeless + third, "first 200 400"},  // where it ends nobody knows
        {folded_length + third, "first 200 400"},
        {bare_line_end + third, "first 200 400"},
    };
    for (const Row& row : rows) {
        for (const int refuse : {0, 3}) {
            World world;
            auto peer = world.peer();
            world.edge().refuse = refuse;
            peer->send_tcp(world.sip_address(), World::request("b1", "first") + row.behind);
            const auto seen = [&] {
                std::string text;
                for (const std::string& stanza : world.edge().stanzas) {
                    const std::size_t begin = stanza.find("<body>") + 6;
                    text += stanza.substr(begin, stanza.find('<', begin) - begin) + ' ';
                }
                std::vector<std::string> answers = peer->responses;
                std::ranges::sort(answers, {}, [](const std::string& answer) {
                    return answer.substr(answer.find("branch="), 16);
                });
                for (const std::string& answer : answers) text += answer.substr(8, 4);
                return text.substr(0, text.size() - 1);
            };
            EXPECT_TRUE(world.until([&] { return seen() == row.expected; }, 2s))
                << seen() << "\nfor " << row.behind.substr(0, 500) << world.log();
        }
    }
}

TEST(GatewayToXmpp, TheAnswerKeepsTheThread) {  // IM-5, IM-34, ADDR-8, IM-30
    World world;
    auto peer = world.peer();
    ASSERT_TRUE(
        world.give(World::message("a1", "x", "juliet", "chat", "<thread>two words</thread>")));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    const std::size_t at = peer->requests[0].find("Call-ID: ") + 9;
    const std::string call_id =
        peer->requests[0].substr(at, peer->requests[0].find("\r\n", at) - at);
    EXPECT_TRUE(call_id.starts_with("t-"));
    std::string reply = World::request("b1", "y", "", "TCP", "sip:juliet@xmpp.example;gr=balcony",
                                       "sip:romeo@sip.example;gr=desk");
    reply.replace(reply.find("call-b1"), 7, call_id);
    peer->send_tcp(world.sip_address(), reply);
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 1; }));
    EXPECT_TRUE(has(world.edge().stanzas[0], "<thread>two words</thread>"))
        << world.edge().stanzas[0];
    EXPECT_TRUE(has(world.edge().stanzas[0],
                    "from='romeo@sip.example/desk' to='juliet@xmpp.example/balcony'"));
    std::string direct = World::message("a2", "z", "juliet", "chat", "<thread>two words</thread>");
    direct.replace(direct.find("to='romeo@sip.example'"), 22, "to='romeo@sip.example/desk'");
    ASSERT_TRUE(world.give(direct));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 2; }));
    EXPECT_TRUE(peer->requests[1].starts_with("MESSAGE sip:romeo@sip.example;gr=desk SIP/2.0"));
    EXPECT_TRUE(has(peer->requests[1], "CSeq: 2 MESSAGE"));
    EXPECT_TRUE(has(peer->requests[1], "To: <sip:romeo@sip.example>\r\n"));  // ADDR-8
}

TEST(GatewayToXmpp, AnUnverifiedPartnerMayAnswer) {  // features.md A6
    World world(test::Settings{{"partner/xmpp.example/type", "public_unverified"}});
    auto peer = world.peer();
    ASSERT_TRUE(world.give(World::message("a1", "first")));
    EXPECT_EQ(world.edge().stanzas.size(), 1u);
    peer->send_tcp(world.sip_address(), World::request("b1", "hello"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    ASSERT_TRUE(world.give(World::message("a2", "answer")));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; })) << world.log();
}

// ---- TLS

const test::Settings kTlsSettings = {
    {"sip.listen", "tls:0.0.0.0:5061"},
    {"sip.trusted", "192.0.2.0/24"},
    {"domain/sip.example/next_hop", "sip:second.example:5070;transport=tls"}};

TEST(GatewayTls, ANextHopThatProvesItsNameIsUsed) {  // SIP-31
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    auto theirs = certificates.context({"second"});
    World world(kTlsSettings, 1, ours.get(), {{"second.example", "10.99.0.1"}});
    auto peer = world.peer("10.99.0.1:5070", theirs.get());
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
        << world.log();
    EXPECT_TRUE(has(peer->requests[0], "Via: SIP/2.0/TLS gw.example:5061"));
}

TEST(GatewayTls, ANextHopThatDoesNotIsNot) {  // SIP-31, ERR-L3
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    for (const char* name : {"weak_ca", "client"}) {  // another authority; no such name
        auto theirs = certificates.context({name});
        World world(kTlsSettings, 1, ours.get(), {{"second.example", "10.99.0.1"}});
        auto peer = world.peer("10.99.0.1:5070", theirs.get());
        ASSERT_TRUE(world.give(World::message("a1", "hello")));
        ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); })) << name;
        EXPECT_TRUE(has(world.edge().stanzas[0], "<remote-server-timeout"));
        EXPECT_TRUE(peer->requests.empty());
        EXPECT_TRUE(has(world.log(), "FG-1302"));
    }
}

TEST(GatewayTls, ACertificateMakesAPeerTrusted) {  // SIP-30
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    for (const auto& [name, status] :
         {std::pair{"second", "SIP/2.0 200 "}, std::pair{"client", "SIP/2.0 403 "}}) {
        auto theirs = certificates.context({name});
        World world(kTlsSettings, 1, ours.get());
        auto peer = world.peer("10.99.0.1:5070", theirs.get());
        peer->send_tls(world.sip_address(5061), World::request("b1", "hello", "", "TLS"));
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }))
            << name << world.log();
        EXPECT_TRUE(peer->responses[0].starts_with(status)) << name << peer->responses[0];
    }
}

// SIP-14, RFC 5923: it connects, and what is for it goes back by that.
TEST(GatewayTls, APeerThatProvesItsNameIsReachedByItsConnection) {
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    auto theirs = certificates.context({"second"});
    struct Row {
        const char* via;
        bool reached;
    };
    for (const Row& row : {Row{"second.example:5070;alias", true},   //
                           Row{"second.example:5070", false},        // not offered
                           Row{"second.example:5071;alias", false},  // another port
                           Row{"first.example:5070;alias", false},   // a name that is not proved
                           Row{"10.0.0.2:5070;alias", false}}) {
        test::Settings settings = kTlsSettings;
        settings.emplace_back("sip.options_interval", "1h");
        World world(settings, 1, ours.get(), {{"second.example", "10.0.0.2"}});
        auto peer = world.peer("10.0.0.2:5070", theirs.get());
        std::string request = World::request("b1", "hello", "", "TLS");
        const std::string sent_by = "ua.sip.example:5070";
        request.replace(request.find(sent_by), sent_by.size(), row.via);
        peer->send_tls(world.sip_address(5061), request);
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; })) << world.log();
        ASSERT_TRUE(world.give(World::message("a1", "back")));
        ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }))
            << row.via << world.log();
        EXPECT_EQ(peer->accepted(), row.reached ? 0u : 1u) << row.via;
        EXPECT_EQ(peer->requests.size(), 1u);
        EXPECT_TRUE(has(peer->requests[0], ";alias\r\n"));
        // It goes: so does the way back, and the next message takes another.
        if (!row.reached) continue;
        peer->hang_up();
        world.pass(1s);
        ASSERT_TRUE(world.give(World::message("a2", "again")));
        ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 2; }));
        EXPECT_EQ(peer->accepted(), 1u);
    }
}

// It came as a next hop of one domain. Of another one, at the same address, it is none.
TEST(GatewayTls, TheConnectionOfANextHopIsNoneOfAnotherDomains) {  // SIP-14, SIP-31
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    auto theirs = certificates.context({"second"});
    test::Settings settings = kTlsSettings;
    settings.emplace_back("sip.options_interval", "1h");
    settings.emplace_back("domain/other.example/next_hop", "sip:third.example:5070;transport=tls");
    World world(settings, 1, ours.get(),
                {{"second.example", "10.0.0.2"}, {"third.example", "10.0.0.2"}});
    auto peer = world.peer("10.0.0.2:5070", theirs.get());
    std::string request = World::request("b1", "hello", "", "TLS");
    const std::string sent_by = "ua.sip.example:5070";
    request.replace(request.find(sent_by), sent_by.size(), "second.example:5070;alias");
    peer->send_tls(world.sip_address(5061), request);
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; })) << world.log();
    std::string message = World::message("a1", "not for it");
    message.replace(message.find("sip.example"), 11, "other.example");
    const std::size_t before = world.edge().stanzas.size();
    ASSERT_TRUE(world.give(message));
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() > before; })) << world.log();
    EXPECT_TRUE(has(world.edge().stanzas.back(), "<remote-server-timeout"));
    EXPECT_TRUE(peer->requests.empty());
    EXPECT_TRUE(has(world.log(), "FG-1302"));
}

// ---- several shards

TEST(GatewayShards,
     EachPairHasOneOwnerAndAllArrives) {  // GEN-5 across shards; SIP-13: branches lead home
    World world(test::Settings{{"domain/sip.example/next_hop", "sip:10.99.0.1:5070;transport=udp"}},
                3);
    auto peer = world.peer();
    constexpr int kPairs = 30;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < kPairs; ++i) {
            ASSERT_TRUE(
                world.give(World::message("m" + std::to_string(i), "round " + std::to_string(round),
                                          "user" + std::to_string(i)),
                           static_cast<std::uint32_t>(i + round) % 3));
        }
        world.pass(50ms);
    }
    ASSERT_TRUE(world.until([&] {
        return world.count(Counter::kMessagesX2sDelivered) == 3 * kPairs;
    })) << world.log();
    std::map<std::string, int> rounds;
    std::map<std::string, std::string> seen;  // retransmissions are not new
    for (const std::string& request : peer->requests) {
        const std::string from = request.substr(request.find("From: "), 30);
        if (seen[from] == request) continue;
        seen[from] = request;
        EXPECT_TRUE(request.ends_with("round " + std::to_string(rounds[from]++))) << request;
    }
}

TEST(GatewayShards, AnswersGoBackToTheShardOfTheRequest) {
    World world({}, 3);
    auto peer = world.peer();
    for (int i = 0; i < 30; ++i) {
        peer->send_tcp(world.sip_address(),
                       World::request("b" + std::to_string(i), "hello", "", "TCP",
                                      "sip:user" + std::to_string(i) + "@xmpp.example"));
    }
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 30; })) << world.log();
    for (const std::string& response : peer->responses)
        EXPECT_TRUE(response.starts_with("SIP/2.0 200 "));
    std::size_t owners = 0;
    std::size_t stanzas = 0;
    for (const auto& edge : world.edges) {
        owners += edge->stanzas.empty() ? 0 : 1;
        stanzas += edge->stanzas.size();
    }
    EXPECT_EQ(stanzas, 30u);
    EXPECT_EQ(owners, 3u);
    // A late bounce finds the owner from any shard.
    ASSERT_TRUE(
        world.give("<message type='error' from='user7@xmpp.example' to='romeo@sip.example' id='b7'>"
                   "<error type='cancel'><gone "
                   "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
                   2));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    EXPECT_TRUE(has(peer->requests[0], "In-Reply-To: call-b7"));
}

TEST(GatewayRows, PortsAndTargetsAreShown) {
    World world;
    auto peer = world.peer();
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }));
    const auto ports = world.gateway().ports();
    ASSERT_EQ(ports.size(), 3u);
    EXPECT_TRUE(ports[0].listening);
    EXPECT_EQ(ports[2].peer, "10.99.0.1:5070");
    EXPECT_EQ(ports[2].purpose, "next hop of sip.example");
    const auto targets = world.gateway().targets();
    ASSERT_EQ(targets.size(), 1u);
    EXPECT_TRUE(targets[0].up);
    EXPECT_EQ(targets[0].pending, 0u);
    EXPECT_EQ(world.gateway().status().conversations, 1u);
}

}  // namespace
}  // namespace fedgate::gateway
