// Rules of the way from SIP to partners that gateway_test.cpp does not need for its stories.
#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

std::string bounce(const std::string& from, const std::string& id, const std::string& condition) {
    return "<message type='error' from='" + from + "' to='romeo@sip.example' id='" + id +
           "'><error type='cancel'>" + condition + "</error></message>";
}

TEST(S2x, ConfigurationDecidesTheDirection) {  // GEN-1: no name is looked up to know it
    World world(Settings{{"federation.discovery", "yes"}});
    auto peer = world.peer();
    peer->send_tcp(world.sip_address(), World::request("b1", "x"));
    peer->send_tcp(world.sip_address(),
                   World::request("b2", "x", "", "TCP", "sip:a@in-no-set.example"));
    peer->send_tcp(world.sip_address(), World::request("b3", "x", "", "TCP", "sip:a@sip.example"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 3; })) << world.log();
    EXPECT_TRUE(peer->responses[2].starts_with("SIP/2.0 403 "));  // ours: never by XMPP
    EXPECT_EQ(world.edge().their_domains.at(0), "xmpp.example");
    // What is in no set is looked up as XMPP.
    ASSERT_EQ(world.edge().their_domains.size(), 2u) << peer->responses[1];
    EXPECT_EQ(world.edge().their_domains[1], "in-no-set.example");
}

TEST(S2x, WhoSendsToWhom) {  // ADDR-20, ADDR-21, ADDR-27, SIP-33
    struct Row {
        const char* rule;
        const char* to;  // the To header
        const char* headers;
        const char* expected;  // of the stanza, or of the answer
    };
    const Row rows[] = {
        {"ADDR-20: To is not looked at", "<sip:other@elsewhere.example>", "",
         "from='romeo@sip.example' to='juliet@xmpp.example'"},
        {"ADDR-20", "<sip:juliet@xmpp.example>",
         "P-Asserted-Identity: \"R\" <sip:boss@sip.example>\r\n",
         "from='boss@sip.example' to='juliet@xmpp.example'"},
        {"ADDR-20: a sip URI", "<sip:juliet@xmpp.example>",
         "P-Asserted-Identity: <tel:+15551234>, <sip:boss@sip.example>\r\n",
         "from='boss@sip.example' to="},
        {"ADDR-20: no sip URI", "<sip:juliet@xmpp.example>",
         "P-Asserted-Identity: <tel:+15551234>\r\n", "from='romeo@sip.example' to="},
        {"SIP-33", "<sip:juliet@xmpp.example>",
         "P-Asserted-Identity: <sip:boss@sip.example>\r\nPrivacy: id\r\n",
         "from='romeo@sip.example' to="},
        {"SIP-32", "<sip:juliet@xmpp.example>", "P-Asserted-Identity: <sip:boss@evil.example>\r\n",
         "SIP/2.0 403 "},
        {"ADDR-21", "<sips:juliet@xmpp.example>", "", "SIP/2.0 480 "},
        {"ADDR-27", "<sip:juliet@xmpp.example>", "Contact: <sip:romeo@sip.example;gr=desk>\r\n",
         "from='romeo@sip.example/desk' to="},
        {"ADDR-27: another AOR", "<sip:juliet@xmpp.example>",
         "Contact: <sip:else@sip.example;gr=desk>\r\n", "from='romeo@sip.example' to="},
    };
    for (const Row& row : rows) {
        World world;
        auto peer = world.peer();
        std::string request = World::request("b1", "x", row.headers);
        request.replace(request.find("To: ") + 4, std::string("<sip:juliet@xmpp.example>").size(),
                        row.to);
        peer->send_tcp(world.sip_address(), request);
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; })) << row.rule;
        const std::string& got =
            world.edge().stanzas.empty() ? peer->responses[0] : world.edge().stanzas[0];
        EXPECT_TRUE(has(got, row.expected)) << row.rule << '\n' << got;
    }
}

TEST(S2x, WhatIsKnownOfTwoIsOfThePresentRules) {  // ADDR-20, ERR-46
    World world;
    auto settings = test::base_settings();
    const auto before = test::compile(settings);
    settings.emplace_back("policy/global/xmpp_access", "no");
    const auto after = test::compile(settings);
    auto peer = world.peer();
    const auto send = [&](const std::string& request) {
        const std::size_t count = peer->responses.size() + 1;
        peer->send_tcp(world.sip_address(), request);
        EXPECT_TRUE(world.until([&] { return peer->responses.size() == count; })) << request;
    };
    send(World::request("b1", "x"));
    send(World::request("b2", "x"));  // known
    EXPECT_EQ(world.edge().stanzas.size(), 2u);
    for (auto& gateway : world.gateways) gateway->reload(*after);
    send(World::request("b3", "x"));
    EXPECT_EQ(world.edge().stanzas.size(), 2u);
    EXPECT_TRUE(peer->responses.back().starts_with("SIP/2.0 403 "));
    for (auto& gateway : world.gateways) gateway->reload(*before);
    send(World::request("b4", "x"));
    EXPECT_EQ(world.edge().stanzas.size(), 3u);
    // The same sender to another one, and another sender to the same one.
    send(World::request("b5", "x", "", "TCP", "sip:a@xmpp.example"));
    ASSERT_EQ(world.edge().stanzas.size(), 4u);
    EXPECT_TRUE(has(world.edge().stanzas[3], "from='romeo@sip.example' to='a@xmpp.example'"));
    send(World::request("b6", "x", "P-Asserted-Identity: <sip:boss@sip.example>\r\n"));
    ASSERT_EQ(world.edge().stanzas.size(), 5u);
    EXPECT_TRUE(has(world.edge().stanzas[4], "from='boss@sip.example' to='juliet@xmpp.example'"));
}

TEST(S2x, ErrorsOfTheOtherSideWithinTheWait) {  // ERR-10, ERR-12, ERR-21, ERR-23, ERR-24, ERR-31
    struct Row {
        const char* from;
        const char* condition;
        const char* status;
        const char* contact;
    };
    const char* full = "juliet@xmpp.example/balcony";
    const char* bare = "juliet@xmpp.example";
    const Row rows[] = {
        {full, "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "404 ", ""},
        {bare, "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "604 ", ""},
        {full, "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "405 ", ""},
        {bare, "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "403 ", ""},
        {bare, "<made-up xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "400 ", ""},  // ERR-20
        {bare, "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:new@xmpp.example</gone>",
         "301 ", "Contact: <sip:new@xmpp.example>\r\n"},
        {bare, "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>mailto:new@xmpp.example</gone>",
         "410 ", ""},
        {bare, "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "410 ", ""},
        {bare,
         "<redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:new@xmpp.example</redirect>",
         "302 ", "Contact: <sip:new@xmpp.example>\r\n"},
        {bare, "<redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "480 ", ""},
        {bare, "<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "500 ", ""},
    };
    for (const Row& row : rows) {
        World world(Settings{{"im.error_wait", "500ms"}});
        auto peer = world.peer();
        peer->send_tcp(world.sip_address(), World::request("b1", "hello"));
        ASSERT_TRUE(world.until([&] { return world.edge().stanzas.size() == 1; }));
        ASSERT_TRUE(world.give(bounce(row.from, "b1", row.condition)));
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; })) << row.condition;
        EXPECT_TRUE(peer->responses[0].starts_with(std::string("SIP/2.0 ") + row.status))
            << row.from << row.condition << '\n'
            << peer->responses[0];
        EXPECT_EQ(has(peer->responses[0], "Contact: "), *row.contact != '\0');
        EXPECT_TRUE(has(peer->responses[0], row.contact)) << peer->responses[0];
        EXPECT_EQ(has(peer->responses[0], "Retry-After: 30\r\n"),
                  has(row.status, "500"));                                      // ERR-25
        EXPECT_EQ(has(peer->responses[0], "Allow: "), has(row.status, "405"));  // ERR-21
    }
}

TEST(S2x, AMessageIsRememberedForAMinute) {  // GEN-3, IM-50
    World world;
    auto peer = world.peer();
    const std::string gone = "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
    for (const char* id : {"b1", "b2"}) peer->send_tcp(world.sip_address(), World::request(id, id));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 2; }));
    world.pass(59s);
    ASSERT_TRUE(world.give(bounce("juliet@xmpp.example", "b1", gone)));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }, 500ms)) << world.log();
    world.pass(2s);
    ASSERT_TRUE(world.give(bounce("juliet@xmpp.example", "b2", gone)));
    ASSERT_TRUE(world.give(bounce("juliet@xmpp.example", "never-sent", gone)));
    world.pass(2s);
    EXPECT_EQ(peer->requests.size(), 1u);
    EXPECT_EQ(world.edge().stanzas.size(), 2u);  // ERR-5: and no error answers an error
}

// What another gateway has asked for is over at last even if the edge says nothing of the stanza.
TEST(S2x, AnotherGatewayIsAnsweredWhateverBecomesOfTheStanza) {
    World world;
    world.edge().at_once = false;
    ASSERT_TRUE(world.gateway().take_request({77, 1, World::request("b1", "x")}));
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    world.pass(59s);
    EXPECT_TRUE(world.edge().answers.empty());
    world.pass(2s);
    EXPECT_EQ(world.edge().answers, (std::map<link::Ticket, unsigned>{{77, 504}}));
    EXPECT_EQ(world.count(Counter::kMessagesS2xRefused), 1u);
}

}  // namespace
}  // namespace fedgate::gateway
