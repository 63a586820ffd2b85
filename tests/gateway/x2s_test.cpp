// Rules of the way from partners to SIP that gateway_test.cpp does not need for its stories.
#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

std::string header(const std::string& message, const std::string& name) {
    const std::size_t at = message.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "none";
    const std::size_t begin = at + name.size() + 4;
    return message.substr(begin, message.find("\r\n", begin) - begin);
}

// The error stanza that an answer of the pool leads to.
std::string error_of(int status, const std::string& reason, const std::string& headers = {}) {
    World world;
    auto peer = world.peer();
    peer->reason = reason;
    peer->extra_headers = headers;
    peer->answer = [status](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? status : 200;
    };
    EXPECT_TRUE(world.give(World::message("a1", "hello")));
    EXPECT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); })) << status;
    world.pass(40s);
    EXPECT_EQ(peer->requests.size(), 1u) << status;  // ERR-3: neither credentials nor redirects
    return world.edge().stanzas.empty() ? std::string() : world.edge().stanzas[0];
}

TEST(X2s, IdentifiersOfAStanzaStayOnItsSide) {  // GEN-2, IM-2, IM-5, IM-6
    World world;
    auto peer = world.peer();
    peer->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? 404 : 200;
    };
    for (const char* body : {"one", "two"})
        ASSERT_TRUE(world.give(World::message("same-id", body)));
    ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 2; })) << world.log();
    const std::string& first = peer->requests.at(0);
    const std::string& second = peer->requests.at(1);
    for (const char* name : {"Via", "From", "Call-ID"})
        EXPECT_NE(header(first, name), header(second, name)) << name;
    EXPECT_TRUE(has(header(first, "Via"), ";branch=z9hG4bK"));
    EXPECT_FALSE(has(first, "same-id"));
    EXPECT_GE(header(first, "Call-ID").size(), 32u);  // 128 bits
    for (const std::string& error : world.edge().stanzas)
        EXPECT_TRUE(has(error, "id='same-id'")) << error;
}

TEST(X2s, AcceptedIsNotTold) {  // IM-16
    World world;
    auto peer = world.peer();
    peer->answer = [](const sip::Message&) { return 202; };
    ASSERT_TRUE(world.give(World::message("a1", "hello")));
    ASSERT_TRUE(world.until([&] { return world.count(Counter::kMessagesX2sDelivered) == 1; }));
    world.pass(40s);
    EXPECT_TRUE(world.edge().stanzas.empty());
    EXPECT_EQ(peer->requests.size(), 1u);
}

TEST(X2s, AReasonThatSaysMoreThanItsCodeIsPassedOn) {  // ERR-2
    EXPECT_TRUE(
        has(error_of(480, "Gone fishing"),
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>Gone fishing</text>"));
    EXPECT_FALSE(has(error_of(480, "Temporarily Unavailable"), "<text"));
    EXPECT_TRUE(has(error_of(480,
                             "Beim \xC3\x9C"
                             "ben <3"),
                    ">Beim \xC3\x9C"
                    "ben &lt;3</text>"));
    const std::string cut = error_of(480, std::string(255, 'a') + "\xC3\xBC\xC3\xBC");
    EXPECT_TRUE(has(cut, ">" + std::string(255, 'a') + "\xC3\xBC</text>"))
        << cut;  // 256 characters
    EXPECT_FALSE(
        has(error_of(480, "Gone", "Warning: 399 pool.sip.example \"secret\"\r\n"), "secret"));
}

TEST(X2s, NeitherChallengesNorRedirectsElsewhereAreFollowed) {  // ERR-3, ERR-401, ERR-407
    EXPECT_TRUE(has(error_of(401, "", "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n"),
                    "<not-authorized"));
    EXPECT_TRUE(has(error_of(407, "", "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n"),
                    "<registration-required"));
    EXPECT_TRUE(has(error_of(302, "", "Contact: <sip:romeo@10.99.0.9:5070>\r\n"), "<redirect"));
}

TEST(X2s, ANewAddressIsTheContactOfTheHighestQ) {  // ERR-300, ERR-301
    EXPECT_TRUE(
        has(error_of(302, "", "Contact: <sip:a@x.example>;q=0.3, <sip:b@x.example>;q=0.7\r\n"),
            ">xmpp:b@x.example</redirect>"));
    EXPECT_TRUE(
        has(error_of(305, "", "Contact: <sip:a@x.example>;q=0.9\r\nContact: <sip:b@x.example>\r\n"),
            ">xmpp:b@x.example</redirect>"));  // 1.0 is the default
    EXPECT_TRUE(has(error_of(301, "", "Contact: <sip:a@x.example>, <sip:b@x.example>\r\n"),
                    ">xmpp:a@x.example</gone>"));  // the first on a tie
    EXPECT_TRUE(
        has(error_of(302, "", "Contact: <sip:a@192.0.2.1>\r\n"), ">sip:a@192.0.2.1</redirect>"));
    const std::string none = error_of(301, "");
    EXPECT_TRUE(has(none, "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>")) << none;
    EXPECT_TRUE(has(error_of(302, ""), "<redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"));
    EXPECT_TRUE(has(error_of(410, "", "Contact: <sip:a@x.example>\r\n"),
                    "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"));  // ERR-410
    EXPECT_TRUE(
        has(error_of(380, "", "Contact: <sip:a@x.example>\r\n"), "<not-acceptable "));  // ERR-380
}

TEST(X2s, TheSenderIsAssertedWhereItIsAskedFor) {  // SIP-33
    for (const bool on : {false, true}) {
        World world(Settings{{"domain/sip.example/send_pai", on ? "yes" : "no"}});
        auto peer = world.peer();
        ASSERT_TRUE(world.give(World::message("a1", "hello")));
        ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
        EXPECT_EQ(header(peer->requests[0], "P-Asserted-Identity"),
                  on ? "<sip:juliet@xmpp.example>" : "none");
        EXPECT_EQ(header(peer->requests[0], "P-Preferred-Identity"), "none");
        EXPECT_EQ(header(peer->requests[0], "Privacy"), "none");
    }
}

TEST(X2s, TelephoneNumbersAreMarkedWhereItIsAskedFor) {  // ADDR-28
    const auto request_uri = [](const char* phone, const std::string& user) {
        World world(Settings{{"domain/sip.example/phone", phone}});
        auto peer = world.peer();
        EXPECT_TRUE(world.give("<message from='j@xmpp.example' to='" + user +
                               "@sip.example' id='a'><body>x</body></message>"));
        EXPECT_TRUE(world.until([&] { return peer->requests.size() == 1; })) << world.log();
        const std::string request = peer->requests.at(0);
        EXPECT_EQ(has(header(request, "To"), ";user=phone>"),
                  has(request.substr(0, request.find("\r\n")), ";user=phone"));
        return request.substr(8, request.find(" SIP/2.0") - 8);
    };
    EXPECT_EQ(request_uri("yes", "+15551234567"), "sip:+15551234567@sip.example;user=phone");
    EXPECT_EQ(request_uri("no", "+15551234567"), "sip:+15551234567@sip.example");
    EXPECT_EQ(request_uri("yes", "15551234567"), "sip:15551234567@sip.example");
    EXPECT_EQ(request_uri("yes", "+12"), "sip:+12@sip.example");
    EXPECT_EQ(request_uri("yes", "+1555x"), "sip:+1555x@sip.example");
    EXPECT_EQ(request_uri("yes", "+1234567890123456"), "sip:+1234567890123456@sip.example");
}

TEST(X2s, WhatIsTooLargeForADatagramGoesByStream) {  // SIP-7, IM-18
    World world(Settings{{"domain/sip.example/next_hop",
                          "sip:10.99.0.1:5070;transport=udp sip:10.99.0.1:5070;transport=tcp"}});
    auto peer = world.peer();
    ASSERT_TRUE(world.give(World::message("a1", "small")));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    EXPECT_TRUE(has(header(peer->requests[0], "Via"), "SIP/2.0/UDP"));
    ASSERT_TRUE(world.give(World::message("a2", std::string(1'300, 'x'))));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 2; })) << world.log();
    EXPECT_TRUE(has(header(peer->requests[1], "Via"), "SIP/2.0/TCP"));
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(X2s, ChildrenOfUnknownNamespacesAreIgnored) {  // IQ-16, GEN-4
    World world;
    auto peer = world.peer();
    ASSERT_TRUE(world.give(World::message("a1", "hello", "juliet", "chat",
                                          "<x xmlns='urn:unknown'><body>no</body></x>")));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    EXPECT_TRUE(peer->requests[0].ends_with("\r\n\r\nhello"));
    EXPECT_FALSE(has(peer->requests[0], "unknown"));
    // In an iq it is a request that we do not know: IQ-10, and SEC-5, the same answer for every
    // user.
    for (const char* user : {"romeo", "nobody"}) {
        ASSERT_TRUE(world.give("<iq type='get' id='i' from='juliet@xmpp.example/b' to='" +
                               std::string(user) + "@sip.example'><x xmlns='urn:unknown'/></iq>"));
    }
    ASSERT_EQ(world.edge().stanzas.size(), 2u);
    std::string other = world.edge().stanzas[1];
    EXPECT_TRUE(has(other, "<service-unavailable"));
    other.replace(other.find("nobody"), 6, "romeo");
    EXPECT_EQ(world.edge().stanzas[0], other);
    world.pass(1s);
    EXPECT_EQ(peer->requests.size(), 1u);  // and the pool is not asked
}

TEST(X2s, TextsAreNotLogged) {  // SEC-6
    World world(Settings{{"log.level", "debug"}});
    auto peer = world.peer();
    int status = 200;
    peer->answer = [&](const sip::Message&) { return status; };
    const std::string secret = "whispered-words";
    const std::string subject = "<subject>" + secret + "</subject>";
    ASSERT_TRUE(world.give(World::message("a1", secret, "juliet", "chat", subject)));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
    status = 404;
    ASSERT_TRUE(world.give(World::message("a2", secret + "2", "juliet", "chat", subject)));
    ASSERT_TRUE(world.give(World::message("a3", secret, "juliet", "groupchat", subject)));
    peer->send_tcp(world.sip_address(),
                   World::request("b1", secret, "Subject: " + secret + "\r\n"));
    peer->send_tcp(world.sip_address(),
                   World::request("b2", secret, "Content-Type: image/" + secret + "\r\n"));
    peer->send_tcp(world.sip_address(),
                   "MESSAGE sip:juliet@xmpp.example SIP/2.0\r\n" + secret + "\r\n\r\n");
    world.pass(5s);
    const std::string log = world.log();
    EXPECT_TRUE(has(log, "sip.malformed") || has(log, "FG-")) << log;
    EXPECT_FALSE(has(log, secret)) << log;
}

}  // namespace
}  // namespace fedgate::gateway
