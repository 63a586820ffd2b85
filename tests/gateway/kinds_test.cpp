// features.md P8: what passes with a partner, by partner/*/stanzas, in both directions.
#include <gtest/gtest.h>

#include "tests/gateway/watch_scene.hpp"
#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::kOpen;
using test::pidf;
using test::Settings;
using test::SipPhone;
using test::WatchScene;
using test::World;

const std::string kComposing =
    "<message from='juliet@xmpp.example/balcony' to='romeo@sip.example' type='chat' id='c1'>"
    "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
const std::string kIsComposing =
    "<?xml version='1.0' encoding='UTF-8'?><isComposing "
    "xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state></isComposing>";
const std::string kQuestion =
    "<iq type='get' id='i1' from='juliet@xmpp.example/balcony' to='sip.example'>"
    "<ping xmlns='urn:xmpp:ping'/></iq>";

Settings only(const std::string& kinds) {
    return {{"partner/xmpp.example/stanzas", kinds},
            {"domain/sip.example/html_out", "alternative"}};
}

class Kinds {
public:
    explicit Kinds(const std::string& kinds) : world(only(kinds)), peer(world.peer()) {}

    // The answer to what our user sends.
    std::string sip(const std::string& body, const std::string& type = "text/plain") {
        const std::size_t count = peer->responses.size() + 1;
        peer->send_tcp(world.sip_address(), World::request("b" + std::to_string(count), body,
                                                           "Content-Type: " + type + "\r\n"));
        EXPECT_TRUE(world.until([&] { return peer->responses.size() == count; }));
        return peer->responses.back();
    }
    // What comes of a stanza of the partner's user: what the partner is told, or what our user is.
    std::string xmpp(const std::string& stanza) {
        const std::size_t stanzas = world.edge().stanzas.size();
        const std::size_t requests = peer->requests.size();
        EXPECT_TRUE(world.give(stanza));
        world.pass(1s);
        if (world.edge().stanzas.size() > stanzas) return world.edge().stanzas.back();
        return peer->requests.size() > requests ? peer->requests.back() : "nothing";
    }

    World world;
    std::unique_ptr<SipPhone> peer;
};

TEST(PartnerKinds, WithoutMessagesNoneGoesEitherWayAndItsSenderIsTold) {
    Kinds kinds("presence,iq");
    EXPECT_TRUE(has(kinds.xmpp(World::message("m1", "hello")), "<policy-violation"));
    EXPECT_EQ(kinds.xmpp(kComposing), "nothing");  // SEC-2
    EXPECT_TRUE(kinds.sip("hello").starts_with("SIP/2.0 403 "));
    EXPECT_TRUE(
        kinds.sip(kIsComposing, "application/im-iscomposing+xml").starts_with("SIP/2.0 403 "));
    EXPECT_EQ(kinds.world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(kinds.peer->requests.empty());
    EXPECT_EQ(kinds.world.count(Counter::kPolicyRefused), 4u);
    EXPECT_TRUE(has(kinds.xmpp(kQuestion), "type='result'"));
}

TEST(PartnerKinds, WithoutQueriesTheyAreRefusedAndNothingElseIs) {
    Kinds kinds("message,presence,typing");
    EXPECT_TRUE(has(kinds.xmpp(kQuestion), "<policy-violation"));
    // Answers to nothing of ours are not answered.
    EXPECT_EQ(kinds.xmpp("<iq type='result' id='i2' from='xmpp.example' to='sip.example'/>"),
              "nothing");
    EXPECT_TRUE(has(kinds.xmpp(World::message("m1", "hello")), "hello"));
    EXPECT_TRUE(kinds.sip("hello").starts_with("SIP/2.0 200 "));
}

TEST(PartnerKinds, WithoutTypingOnlyThatIsLeftOut) {
    Kinds kinds("message,presence,iq");
    const std::string text = World::message(
        "m1", "hello", "juliet", "chat", "<active xmlns='http://jabber.org/protocol/chatstates'/>");
    EXPECT_TRUE(has(kinds.xmpp(text), "hello"));
    EXPECT_EQ(kinds.xmpp(kComposing), "nothing");
    const std::string answer = kinds.sip(kIsComposing, "application/im-iscomposing+xml");
    EXPECT_TRUE(answer.starts_with("SIP/2.0 415 ")) << answer;
    EXPECT_TRUE(has(header_of(answer, "Accept"), "text/plain")) << answer;
    EXPECT_FALSE(has(answer, "iscomposing+xml")) << answer;
    EXPECT_TRUE(kinds.sip("hello").starts_with("SIP/2.0 200 "));
    EXPECT_FALSE(has(kinds.world.edge().stanzas.back(), "chatstates"));
    Kinds all("message,typing");
    EXPECT_TRUE(has(all.xmpp(text), "hello"));
    EXPECT_TRUE(
        all.sip(kIsComposing, "application/im-iscomposing+xml").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(all.xmpp(kComposing), "<state>active</state>"));
    EXPECT_TRUE(all.sip("hello").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(all.world.edge().stanzas.back(), "chatstates"));
}

TEST(PartnerKinds, WithoutMarkupThePlainTextPasses) {
    const std::string text =
        World::message("m1", "hello", "juliet", "chat",
                       "<html xmlns='http://jabber.org/protocol/xhtml-im'><body "
                       "xmlns='http://www.w3.org/1999/xhtml'><strong>hello</strong></body></html>");
    for (const bool html : {true, false}) {
        Kinds kinds(html ? "message,html" : "message");
        const std::string request = kinds.xmpp(text);
        EXPECT_TRUE(has(request, "\r\nhello")) << request;
        EXPECT_EQ(has(request, "text/html"), html) << request;
        EXPECT_TRUE(kinds.sip("<p>good <b>day</b></p>", "text/html").starts_with("SIP/2.0 200 "));
        const std::string& stanza = kinds.world.edge().stanzas.back();
        EXPECT_TRUE(has(stanza, "<body>good day</body>")) << stanza;
        EXPECT_EQ(has(stanza, "xhtml"), html) << stanza;
    }
}

TEST(PartnerKinds, WithoutNotesPresenceHasNone) {
    for (const bool notes : {true, false}) {
        WatchScene scene(only(notes ? "presence,notes" : "presence"));
        scene.approved(pidf({{"desk", kOpen + "<note>in the garden</note>"}}));
        const std::string presence = scene.sent(2);
        EXPECT_EQ(has(presence, "in the garden"), notes) << presence;
        EXPECT_FALSE(has(presence, "type=")) << presence;
    }
}

// A partner with whom only presence is shared.
TEST(PartnerKinds, PresenceAlonePassesAndChangesAreInForceAtOnce) {
    WatchScene scene(only("presence"));
    scene.approved();
    ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
    EXPECT_TRUE(has(scene.sent(3), "<policy-violation"));
    auto settings = World::with(only("message"));
    const auto messages_only = test::compile(settings);
    scene.world.gateway().reload(*messages_only);
    EXPECT_TRUE(has(scene.sent(4), "type='unavailable'"));
    EXPECT_EQ(header_of(scene.subscribe(2), "Expires"), "0");
    scene.stanza("probe");
    EXPECT_TRUE(has(scene.sent(5), "<policy-violation"));
    scene.stanza("subscribe");
    EXPECT_TRUE(has(scene.sent(6), "<policy-violation"));
    scene.stanza("", "balcony");  // RFC 6121 4.2.3: never answered
    scene.quiet(6);
    ASSERT_TRUE(scene.world.give(World::message("m2", "hello")));
    EXPECT_TRUE(scene.world.until([&] { return has(scene.peer->requests.back(), "hello"); }));
}

}  // namespace
}  // namespace fedgate::gateway
