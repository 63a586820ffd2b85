// Sessions of the profile lync: SESS-*, CS-*, RCPT-3; features.md A15.
#include "appliance/gateway/session.hpp"

#include <gtest/gtest.h>

#include "tests/gateway/session_scene.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::state_stanza;
using test::tag_of;
using test::World;

const Settings kLyncDomain = {{"domain/sip.example/profile", "lync"}};
const std::string kSipNull =
    "v=0\r\no=- 0 0 IN IP4 10.99.0.1\r\ns=session\r\nc=IN IP4 10.99.0.1\r\nt=0 0\r\n"
    "m=message 5060 sip null\r\na=accept-types:text/plain\r\n";
const std::string kAudio =
    "v=0\r\no=- 0 0 IN IP4 10.99.0.1\r\ns=session\r\nc=IN IP4 10.99.0.1\r\nt=0 0\r\n"
    "m=audio 5060 RTP/AVP 0\r\n";

class Scene : public test::SessionScene {
public:
    explicit Scene(const Settings& more = {}, std::uint32_t shards = 1)
        : SessionScene(with(more), kSipNull, shards) {}
    static Settings with(const Settings& more) {
        Settings all = kLyncDomain;
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
};

std::string bounce_of(const std::string& stanza, const std::string& condition) {
    const std::size_t id = stanza.find(" id='") + 5;
    return "<message type='error' from='juliet@xmpp.example' to='romeo@sip.example' id='" +
           stanza.substr(id, stanza.find('\'', id) - id) + "'><error type='cancel'><" + condition +
           " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
}

// SESS-1, SESS-3, SESS-40..42.
TEST(Session, ATextOpensItAndGoesInItsDialog) {
    Scene scene;
    ASSERT_TRUE(
        scene.world.give(World::message("m1", "hello", "juliet", "chat", "<thread>t-1</thread>")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    const std::string invite = scene.requests("INVITE").at(0);
    EXPECT_TRUE(has(invite, "m=message 5060 "));
    EXPECT_TRUE(has(invite, "sip null"));
    EXPECT_EQ(header_of(invite, "Call-ID"), "t-1");
    EXPECT_FALSE(header_of(invite, "Contact").empty());
    EXPECT_FALSE(header_of(invite, "Ms-Conversation-ID").empty());
    EXPECT_EQ(scene.requests("ACK").size(), 1u);
    const std::string message = scene.requests("MESSAGE").at(0);
    EXPECT_EQ(header_of(message, "Call-ID"), "t-1");
    EXPECT_EQ(tag_of(header_of(message, "To")), "peer");
    // ADDR-10: which device it is says the INVITE, as Lync does, and without a GRUU.
    const std::string from = header_of(message, "From");
    EXPECT_TRUE(from.starts_with("<sip:juliet@xmpp.example>;tag=")) << from;
    EXPECT_EQ(header_of(invite, "From"), from + ";epid=6d55c0974c");
    EXPECT_EQ(header_of(message, "CSeq"), "2 MESSAGE");
    EXPECT_EQ(header_of(invite, "User-Agent"), "Fedgate");
    EXPECT_TRUE(header_of(message, "User-Agent").empty());
    EXPECT_TRUE(message.starts_with("MESSAGE sip:romeo@10.99.0.1:5070;transport=tcp "));
    EXPECT_EQ(header_of(message, "Max-Forwards"), "70");  // behind the Via, which is written anew
    EXPECT_TRUE(message.ends_with("\r\n\r\nhello"));
    ASSERT_TRUE(scene.world.give(World::message("m2", "again")));
    ASSERT_TRUE(scene.sent("MESSAGE", 2));
    EXPECT_EQ(header_of(scene.requests("MESSAGE").at(1), "CSeq"), "3 MESSAGE");
    EXPECT_EQ(scene.requests("INVITE").size(), 1u);
    EXPECT_EQ(scene.open(), 1u);
    scene.world.pass(1s);
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sDelivered), 2u);
}

// RCPT-3: the 200 is of the user agent itself.
TEST(Session, A200IsAReceiptAndA202IsNone) {
    Scene scene;
    const std::string asks = "<request xmlns='urn:xmpp:receipts'/>";
    ASSERT_TRUE(scene.world.give(World::message("m1", "hello", "juliet", "chat", asks)));
    ASSERT_TRUE(scene.told("<received xmlns='urn:xmpp:receipts' id='m1'/>"));
    scene.peer->answer = [](const sip::Message&) { return 202; };
    ASSERT_TRUE(scene.world.give(World::message("m2", "again", "juliet", "chat", asks)));
    ASSERT_TRUE(scene.sent("MESSAGE", 2));
    scene.world.pass(1s);
    EXPECT_FALSE(scene.tells("id='m2'/>"));
}

// SESS-4.
TEST(Session, WhatWaitsForTheAnswerIsBoundedAndEachTextHasItsOwnError) {
    Scene scene;
    scene.peer->answer = [](const sip::Message&) { return 0; };
    for (int i = 0; i < 21; ++i) {
        ASSERT_TRUE(scene.world.give(World::message("m" + std::to_string(i), std::to_string(i))));
    }
    EXPECT_EQ(scene.world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(scene.tells("id='m20'"));
    ASSERT_TRUE(scene.world.until([&] { return scene.world.edge().stanzas.size() == 21; }));
    EXPECT_EQ(scene.requests("MESSAGE").size(), 0u);
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sRefused), 21u);
}

TEST(Session, ARefusedInviteIsItsTextsError) {
    Scene scene;
    scene.peer->answer = [](const sip::Message&) { return 480; };
    ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
    ASSERT_TRUE(scene.told("<recipient-unavailable"));
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_EQ(scene.requests("INVITE").size(), 1u);
}

// SESS-45, ERR-2: what the pool's servers write for administrators is theirs, unless the domain
// says that it may be told.
TEST(Session, WhyItFailedIsToldWhereTheDomainSaysSo) {
    const struct {
        const char* headers;
        const char* told;
    } kRows[] = {
        {"ms-diagnostics: 15102;reason=\"The \\\"mailbox\\\" is "
         "full\";source=\"fe.sip.example\"\r\n"
         "ms-diagnostics-public: 15102;reason=\"Full\"\r\n",
         "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>The \"mailbox\" is "
         "full<"},
        {"ms-diagnostics: 15102;source=\"fe.sip.example\"\r\n"
         "Warning: 399 fe.sip.example \"Not for \\you\", 399 b \"more\"\r\n",
         ">Not for you<"},
        {"Warning: 399 fe.sip.example \"without an end\r\n", ">Out to lunch<"},
    };
    for (const auto& row : kRows) {
        for (const bool verbose : {false, true}) {
            Scene scene(Settings{{"domain/sip.example/verbose_errors", verbose ? "yes" : "no"}});
            scene.peer->extra_headers = row.headers;
            scene.peer->reason = "Out to lunch";
            // Of the INVITE, and of a text in a session.
            for (const auto refused : {sip::Method::kInvite, sip::Method::kMessage}) {
                scene.peer->answer = [refused](const sip::Message& request) {
                    return request.method == refused ? 480 : 200;
                };
                const std::size_t before = scene.world.edge().stanzas.size();
                ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
                ASSERT_TRUE(
                    scene.world.until([&] { return scene.world.edge().stanzas.size() > before; }));
                const std::string error = scene.world.edge().stanzas.back();
                EXPECT_TRUE(has(error, "<recipient-unavailable")) << error;
                EXPECT_TRUE(has(error, verbose ? row.told : ">Out to lunch<")) << error;
            }
        }
    }
}

// SESS-42, GEN-5: one at a time, and of any allowed length, whatever holds for single messages.
TEST(Session, TextsGoOneAtATimeAndOfAnyLength) {
    Scene scene(Settings{{"domain/sip.example/strict_1300", "yes"}});
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    scene.peer->answer = [](const sip::Message&) { return 0; };
    const std::string longer(20'000, 'x');
    ASSERT_TRUE(scene.world.give(World::message("m1", longer)));
    ASSERT_TRUE(scene.world.give(World::message("m2", "second")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    scene.world.pass(2s);
    ASSERT_EQ(scene.requests("MESSAGE").size(), 1u);
    const std::string first = scene.requests("MESSAGE").at(0);
    EXPECT_TRUE(first.ends_with("\r\n\r\n" + longer));
    EXPECT_EQ(header_of(first, "Content-Type"), "text/plain;charset=UTF-8");
    scene.respond(first, "200 OK");
    ASSERT_TRUE(scene.sent("MESSAGE", 2));
    EXPECT_EQ(header_of(scene.requests("MESSAGE").at(1), "CSeq"), "2 MESSAGE");
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
}

// SIP-16, SESS-42: at once, or when its turn has come.
TEST(Session, TextsGoByTheRouteSet) {
    const std::string contact = "sip:romeo@10.99.0.1:5070;transport=tcp";
    const struct {
        std::string route;
        std::string uri;
        std::string route_header;
    } kRows[] = {
        {"<sip:10.99.0.1:5070;transport=tcp;lr>", contact, "<sip:10.99.0.1:5070;transport=tcp;lr>"},
        {"<sip:10.99.0.1:5070;transport=tcp>", "sip:10.99.0.1:5070;transport=tcp",
         "<" + contact + ">"},
    };
    for (const auto& row : kRows) {
        Scene scene;
        scene.acknowledge(scene.call(kSipNull, "Record-Route: " + row.route + "\r\n"));
        scene.peer->answer = [](const sip::Message&) { return 0; };
        ASSERT_TRUE(scene.world.give(World::message("m1", "one")));
        ASSERT_TRUE(scene.world.give(World::message("m2", "two")));
        ASSERT_TRUE(scene.sent("MESSAGE"));
        scene.respond(scene.requests("MESSAGE").at(0), "200 OK");
        ASSERT_TRUE(scene.sent("MESSAGE", 2));
        for (const std::string& message : scene.requests("MESSAGE")) {
            EXPECT_TRUE(message.starts_with("MESSAGE " + row.uri + " SIP/2.0\r\n")) << message;
            EXPECT_EQ(header_of(message, "Route"), row.route_header) << message;
        }
    }
}

// SESS-45: who doesn't answer may have the text; it is not sent twice, and the session is over.
TEST(Session, ATextWithoutAnAnswerIsInDoubtAndEndsIt) {
    for (const int status : {0, 408}) {
        Scene scene;
        ASSERT_TRUE(scene.world.give(World::message("m1", "one")));
        ASSERT_TRUE(scene.sent("MESSAGE"));
        scene.peer->answer = [status](const sip::Message& request) {
            return request.method == sip::Method::kMessage ? status : 200;
        };
        ASSERT_TRUE(scene.world.give(World::message("m2", "two")));
        ASSERT_TRUE(scene.world.until([&] { return scene.tells("id='m2'"); }, 60s));
        EXPECT_TRUE(scene.tells("<remote-server-timeout"));
        ASSERT_TRUE(scene.sent("BYE"));
        EXPECT_EQ(scene.requests("MESSAGE").size(), 2u);
        ASSERT_TRUE(scene.world.give(World::message("m3", "three")));
        ASSERT_TRUE(scene.sent("INVITE", 2));
    }
}

// SESS-5.
TEST(Session, WithoutSessionsOverThereTextsGoOneByOneForAnHour) {
    Scene scene;
    scene.peer->answer = [](const sip::Message& request) {
        return request.method == sip::Method::kInvite ? 488 : 200;
    };
    ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    const std::string message = scene.requests("MESSAGE").at(0);
    EXPECT_EQ(header_of(message, "To"), "<sip:romeo@sip.example>");
    EXPECT_TRUE(has(header_of(message, "From"), ";epid=6d55c0974c"));  // ADDR-10
    EXPECT_TRUE(message.ends_with("\r\n\r\nhello"));
    ASSERT_TRUE(scene.world.give(World::message("m2", "again")));
    ASSERT_TRUE(scene.sent("MESSAGE", 2));
    EXPECT_EQ(scene.requests("INVITE").size(), 1u);
    scene.world.pass(61min);
    ASSERT_TRUE(scene.world.give(World::message("m3", "later")));
    ASSERT_TRUE(scene.sent("INVITE", 2));
    // It was no better: the next one tries again.
    scene.peer->answer = [](const sip::Message& request) {
        return request.method == sip::Method::kInvite ? 488 : 405;
    };
    ASSERT_TRUE(scene.sent("MESSAGE", 3));
    ASSERT_TRUE(scene.world.give(World::message("m4", "no")));
    ASSERT_TRUE(scene.told("id='m4'"));
    ASSERT_TRUE(scene.world.give(World::message("m5", "no")));
    ASSERT_TRUE(scene.sent("INVITE", 3));
}

TEST(Session, EachWayToSayThatThereAreNone) {  // SESS-5
    for (const int status : {405, 415, 488, 501, 606}) {
        Scene scene;
        scene.peer->answer = [status](const sip::Message& request) {
            return request.method == sip::Method::kInvite ? status : 200;
        };
        ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
        ASSERT_TRUE(scene.sent("MESSAGE")) << status;
        EXPECT_TRUE(scene.world.edge().stanzas.empty()) << status;
    }
}

TEST(Session, A200WithoutADescriptionOfMessagesIsEnded) {
    Scene scene;
    scene.peer->sdp = kAudio;
    ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
    ASSERT_TRUE(scene.sent("BYE"));
    EXPECT_EQ(scene.requests("ACK").size(), 1u);
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_EQ(header_of(scene.requests("MESSAGE").at(0), "To"), "<sip:romeo@sip.example>");
    scene.world.pass(1s);
    EXPECT_EQ(scene.open(), 0u);
}

// SESS-45.
TEST(Session, ADialogThatIsForgottenIsMadeAnewOnceAndNothingIsLost) {
    Scene scene;
    ASSERT_TRUE(scene.world.give(World::message("m1", "one")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    bool dead = true;
    scene.peer->answer = [&dead](const sip::Message& request) {
        if (request.method == sip::Method::kInvite) dead = false;
        return dead ? 481 : 200;
    };
    ASSERT_TRUE(scene.world.give(World::message("m2", "two")));
    ASSERT_TRUE(scene.sent("INVITE", 2));
    ASSERT_TRUE(scene.sent("MESSAGE", 3));
    EXPECT_TRUE(scene.requests("MESSAGE").at(2).ends_with("\r\n\r\ntwo"));
    scene.world.pass(1s);
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
    scene.peer->answer = [](const sip::Message& request) {
        return request.method == sip::Method::kMessage ? 481 : 200;
    };
    ASSERT_TRUE(scene.world.give(World::message("m3", "three")));
    ASSERT_TRUE(scene.told("<item-not-found"));
    EXPECT_EQ(scene.requests("MESSAGE").size(), 5u);
    EXPECT_EQ(scene.world.edge().stanzas.size(), 1u);
}

// SESS-10, SESS-11, SESS-3.
TEST(Session, TheSipUserCallsAndTheyTalk) {
    Scene scene;
    const std::string answer = scene.call();
    ASSERT_TRUE(answer.starts_with("SIP/2.0 200 ")) << answer;
    EXPECT_TRUE(has(answer, "m=message"));
    EXPECT_FALSE(header_of(answer, "Contact").empty());
    scene.acknowledge(answer);
    EXPECT_TRUE(scene.world.edge().stanzas.empty());  // CS-12
    EXPECT_TRUE(scene.say(answer, 2, "hello", "text/plain; charset=UTF-8;msgr=WAA")
                    .starts_with("SIP/2.0 200 "));
    const std::string stanza = scene.world.edge().stanzas.at(0);
    EXPECT_TRUE(has(stanza, "<body>hello</body>"));
    EXPECT_TRUE(has(stanza, "type='chat'"));
    EXPECT_TRUE(has(stanza, "<thread>call-i1</thread>"));
    EXPECT_TRUE(has(stanza, "<active xmlns='http://jabber.org/protocol/chatstates'/>"));  // CS-7
    // The answer goes in the same dialog.
    ASSERT_TRUE(scene.world.give(World::message("m1", "welcome")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_TRUE(scene.requests("INVITE").empty());
    EXPECT_EQ(header_of(scene.requests("MESSAGE").at(0), "Call-ID"), "call-i1");
    // SESS-2: to the resource that has written.
    EXPECT_TRUE(scene.say(answer, 3, "fine").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(scene.world.edge().stanzas.back(), "to='juliet@xmpp.example/balcony'"));
    // He has answered without a state, so he gets none (CS-7).
    EXPECT_FALSE(has(scene.world.edge().stanzas.back(), "<active"));
}

TEST(Session, AnInviteWithoutAnOfferGetsOurs) {
    Scene scene;
    const std::string answer = scene.call("");
    EXPECT_TRUE(has(answer, "m=message"));
    scene.acknowledge(answer, kSipNull);
    ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    // What they answer must be of messages.
    Scene other;
    other.acknowledge(other.call(""), kAudio);
    ASSERT_TRUE(other.sent("BYE"));
}

// features.md G15, SESS-11, SESS-12.
TEST(Session, WhatIsNoSessionOfMessagesIsRefusedAtOnce) {
    Scene scene;
    EXPECT_TRUE(scene.call(kAudio, {}, "a1").starts_with("SIP/2.0 488 "));
    EXPECT_TRUE(scene.call("nonsense", {}, "a2").starts_with("SIP/2.0 400 "));
    EXPECT_TRUE(scene.call(kSipNull, "Replaces: x;to-tag=1;from-tag=2\r\n", "a3")
                    .starts_with("SIP/2.0 403 "));
    EXPECT_TRUE(scene.call(kSipNull, "Session-Expires: 30\r\n", "a4").starts_with("SIP/2.0 422 "));
    for (const std::string group :
         {"TriggeredInvite: TRUE\r\n",
          "EndPoints: <sip:romeo@sip.example>, <sip:juliet@xmpp.example>, <sip:x@y.example>\r\n"}) {
        const std::string refusal = scene.call(kSipNull, group, "g" + std::to_string(group.size()));
        EXPECT_TRUE(refusal.starts_with("SIP/2.0 488 "));
        EXPECT_TRUE(header_of(refusal, "ms-diagnostics-public").starts_with("1027;reason="));
    }
    EXPECT_EQ(scene.open(), 0u);
    // One of several lines is enough, and two people are the usual.
    const std::string both =
        scene.call(kAudio + "m=message 5060 sip null\r\n",
                   "EndPoints: <sip:romeo@sip.example>, <sip:juliet@xmpp.example>\r\n", "a5");
    EXPECT_TRUE(both.starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(both, "m=audio 0 "));
    EXPECT_EQ(scene.world.count(Counter::kSessionsRefused), 6u);
}

// SESS-44, SESS-43.
TEST(Session, TypingBothWays) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    ASSERT_TRUE(scene.world.give(state_stanza("composing")));
    ASSERT_TRUE(scene.sent("INFO"));
    EXPECT_TRUE(has(scene.requests("INFO").at(0), "<KeyboardActivity><status status=\"type\""));
    ASSERT_TRUE(scene.world.give(state_stanza("paused")));
    ASSERT_TRUE(scene.sent("INFO", 2));
    EXPECT_TRUE(has(scene.requests("INFO").at(1), "status=\"idle\""));
    const std::string type =
        "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" /></KeyboardActivity>";
    scene.peer->send_tcp(
        scene.world.sip_address(),
        scene.in_call(answer, "INFO", 2, type, "Content-Type: application/xml\r\n"));
    EXPECT_TRUE(scene.final_answer("INFO").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(scene.tells("<composing xmlns='http://jabber.org/protocol/chatstates'/>"));
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_call(answer, "INFO", 3, "what?", "Content-Type: text/x\r\n"));
    EXPECT_TRUE(scene.final_answer("INFO").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(scene.say(answer, 4, "x", "text/x-msmsgsinvite").starts_with("SIP/2.0 488 "));
    EXPECT_TRUE(scene.say(answer, 5, "x", "text/rtf").starts_with("SIP/2.0 415 "));
    EXPECT_TRUE(scene.say(answer, 6, "", "Text/X-msmsgsinvite").starts_with("SIP/2.0 488 "));
}

// SESS-7, CS-5.
TEST(Session, EitherMayLeave) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    ASSERT_TRUE(scene.world.give(state_stanza("composing")));
    ASSERT_TRUE(scene.sent("INFO"));
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(answer, "BYE", 2));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(scene.tells("<gone xmlns='http://jabber.org/protocol/chatstates'/>"));
    EXPECT_EQ(scene.open(), 0u);
    // What he writes then opens another.
    ASSERT_TRUE(scene.world.give(World::message("m1", "wait")));
    ASSERT_TRUE(scene.sent("INVITE"));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    ASSERT_TRUE(scene.world.give(state_stanza("gone")));
    ASSERT_TRUE(scene.sent("BYE"));
    scene.world.pass(1s);
    EXPECT_EQ(scene.open(), 0u);
    // SIP-22: and what comes in it now is in no dialog.
    const std::string invite = scene.requests("INVITE").at(0);
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_ours(invite, "MESSAGE", 5, "x", "Content-Type: text/plain\r\n"));
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 481 "));
}

// SESS-7: who has left has left that session, not the next one, and not if he writes again.
TEST(Session, WhoHasLeftIsBackWithTheNextSessionOrText) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    scene.peer->answer = [](const sip::Message&) { return 0; };
    const auto leave_behind = [&](const char* id, std::size_t nth) {
        ASSERT_TRUE(scene.world.give(World::message(id, "on its way")));
        ASSERT_TRUE(scene.sent("MESSAGE", nth));
        ASSERT_TRUE(scene.world.give(state_stanza("gone")));
    };
    leave_behind("m1", 1);
    ASSERT_TRUE(scene.world.give(World::message("m2", "one thing more")));
    scene.respond(scene.requests("MESSAGE").at(0), "200 OK");
    ASSERT_TRUE(scene.sent("MESSAGE", 2));
    scene.respond(scene.requests("MESSAGE").at(1), "200 OK");
    scene.world.pass(1s);
    EXPECT_TRUE(scene.requests("BYE").empty());
    leave_behind("m3", 3);
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(answer, "BYE", 2));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    const std::string next = scene.call();
    ASSERT_TRUE(next.starts_with("SIP/2.0 200 ")) << next;
    scene.acknowledge(next);
    scene.respond(scene.requests("MESSAGE").at(2), "200 OK");
    scene.world.pass(1s);
    EXPECT_TRUE(scene.requests("BYE").empty());
    EXPECT_EQ(scene.open(), 1u);
}

// SIP-30, RFC 3261 22.2: the text that follows one with credentials has a higher number than that.
TEST(Session, AfterCredentialsTheNumbersGoOn) {
    Scene scene(Settings{{"domain/sip.example/digest_user", "gate"},
                         {"domain/sip.example/digest_password", "secret"}});
    scene.acknowledge(scene.call());
    scene.peer->answer = [](const sip::Message& request) {
        const bool proved = request.find(sip::HeaderName::kProxyAuthorization) != nullptr;
        return request.method == sip::Method::kMessage && !proved ? 407 : 200;
    };
    scene.peer->extra_headers =
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
    for (std::size_t i = 1; i <= 3; ++i) {
        ASSERT_TRUE(scene.world.give(World::message("m" + std::to_string(i), std::to_string(i))));
        ASSERT_TRUE(scene.world.until(
            [&] { return scene.world.count(Counter::kMessagesX2sDelivered) == i; }));
    }
    std::uint32_t last = 0;
    for (const std::string& message : scene.requests("MESSAGE")) {
        const auto cseq = static_cast<std::uint32_t>(std::stoul(header_of(message, "CSeq")));
        EXPECT_GT(cseq, last) << message;
        last = cseq;
    }
    EXPECT_GT(scene.requests("MESSAGE").size(), 3u);
}

// SESS-8.
TEST(Session, TenMinutesOfSilenceEndIt) {
    Scene scene;
    scene.acknowledge(scene.call());
    scene.world.pass(9min);
    ASSERT_TRUE(scene.world.give(World::message("m1", "still here")));
    scene.world.pass(9min);
    EXPECT_TRUE(scene.requests("BYE").empty());
    ASSERT_TRUE(scene.world.give(state_stanza("composing")));
    scene.world.pass(2min);
    EXPECT_EQ(scene.requests("BYE").size(), 1u);
    EXPECT_TRUE(scene.tells("<gone xmlns='http://jabber.org/protocol/chatstates'/>"));
    EXPECT_EQ(scene.open(), 0u);
}

TEST(Session, ATextOfTheSipUserIsNoSilence) {  // SESS-8
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    scene.world.pass(9min);
    EXPECT_TRUE(scene.say(answer, 2, "still here").starts_with("SIP/2.0 200 "));
    scene.world.pass(9min);
    EXPECT_TRUE(scene.requests("BYE").empty());
    scene.world.pass(2min);
    EXPECT_EQ(scene.requests("BYE").size(), 1u);
}

// RFC 3261 13.3.1.4.
TEST(Session, WithoutAnAckItIsEnded) {
    Scene scene;
    ASSERT_TRUE(scene.call().starts_with("SIP/2.0 200 "));
    ASSERT_TRUE(scene.world.give(World::message("m1", "waits")));
    scene.world.pass(10s);
    EXPECT_TRUE(scene.requests("MESSAGE").empty());
    ASSERT_TRUE(scene.sent("BYE"));
    ASSERT_TRUE(scene.sent("INVITE"));  // what has waited goes by a session of ours
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_EQ(scene.requests("MESSAGE").size(), 1u);
}

// RFC 4028.
TEST(Session, WhoAsksForATimerRefreshesItOrItEnds) {
    Scene scene;
    const std::string answer = scene.call(kSipNull, "Supported: timer\r\nSession-Expires: 120\r\n");
    EXPECT_EQ(header_of(answer, "Session-Expires"), "120;refresher=uac");
    scene.acknowledge(answer);
    scene.world.pass(100s);
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_call(answer, "UPDATE", 2, {},
                                       "Supported: timer\r\nSession-Expires: 120\r\n"
                                       "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"));
    EXPECT_TRUE(scene.final_answer("UPDATE").starts_with("SIP/2.0 200 "));
    scene.world.pass(100s);
    EXPECT_EQ(scene.open(), 1u);
    scene.world.pass(30s);
    EXPECT_EQ(scene.requests("BYE").size(), 1u);
}

// SESS-12: the same answer, whatever it says of holding.
TEST(Session, ANewOfferInItIsAnswered) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_call(answer, "INVITE", 2, kSipNull + "a=inactive\r\n",
                                       "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
                                       "Content-Type: application/sdp\r\n"));
    const std::string again = scene.final_answer("INVITE");
    EXPECT_TRUE(again.starts_with("SIP/2.0 200 "));
    EXPECT_EQ(again.substr(again.find("v=0")), answer.substr(answer.find("v=0")));
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_call(answer, "INVITE", 3, kAudio,
                                       "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
                                       "Content-Type: application/sdp\r\n"));
    EXPECT_TRUE(scene.final_answer("INVITE").starts_with("SIP/2.0 488 "));
    EXPECT_EQ(scene.open(), 1u);
}

// features.md G4, SESS-41.
TEST(Session, ATextInTheInviteIsNeitherLostNorTwice) {
    Scene scene;
    // "hello"
    const std::string first =
        "ms-text-format: text/plain; charset=UTF-8;msgr=WAA;ms-body=aGVsbG8=\r\n";
    const std::string answer = scene.call(kSipNull, first);
    ASSERT_TRUE(answer.starts_with("SIP/2.0 200 "));
    EXPECT_EQ(header_of(answer, "Supported"), "ms-text-format");
    ASSERT_EQ(scene.world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(has(scene.world.edge().stanzas[0], "<body>hello</body>"));
    // Where it can't arrive, the call doesn't either, and nobody believes that it has.
    Scene other;
    other.world.edge().fault = link::Fault::kUnreachable;
    const std::string refusal = other.call(kSipNull, first);
    EXPECT_FALSE(refusal.starts_with("SIP/2.0 2")) << refusal;
    EXPECT_EQ(other.open(), 0u);
    // What is not read is not said to be.
    Scene third;
    const std::string unread =
        third.call(kSipNull, "ms-text-format: text/rtf;ms-body=aGVsbG8=\r\n");
    ASSERT_TRUE(unread.starts_with("SIP/2.0 200 "));
    EXPECT_EQ(header_of(unread, "Supported"), "");
}

// He has cancelled before it was known whether his text arrives: there is no session, and nothing
// waits for its ACK.
TEST(Session, ACallThatWasCancelledTakesNoPlace) {
    Scene scene;
    scene.world.edge().at_once = false;
    const std::string headers =
        "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
        "ms-text-format: text/plain; charset=UTF-8;ms-body=aGVsbG8=\r\n"
        "Content-Type: application/sdp\r\n";
    std::string invite = World::request("i1", kSipNull, headers, "TCP", "sip:juliet@xmpp.example",
                                        "sip:romeo@sip.example", "INVITE");
    scene.peer->send_tcp(scene.world.sip_address(), invite);
    ASSERT_TRUE(scene.world.until([&] { return !scene.world.edge().tickets.empty(); }));
    std::string cancel = World::request("i1", "", {}, "TCP", "sip:juliet@xmpp.example",
                                        "sip:romeo@sip.example", "CANCEL");
    scene.peer->send_tcp(scene.world.sip_address(), cancel);
    EXPECT_TRUE(scene.final_answer("INVITE").starts_with("SIP/2.0 487 "));
    scene.world.gateway().on_outcome(
        {scene.world.edge().tickets[0], link::Fate::kWritten, link::Fault::kNone, false});
    scene.world.pass(2s);
    EXPECT_EQ(scene.open(), 0u);
    ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
}

// So too where another shard has the conversation than the one that the call came to.
TEST(Session, ACallOfAnotherShardThatWasCancelledTakesNoPlace) {
    Scene scene({}, 4);
    for (auto& edge : scene.world.edges) edge->at_once = false;
    const std::string headers =
        "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
        "ms-text-format: text/plain; charset=UTF-8;ms-body=aGVsbG8=\r\n"
        "Content-Type: application/sdp\r\n";
    constexpr std::size_t kCalls = 8;  // whose conversations are on all shards
    for (std::size_t i = 0; i < kCalls; ++i) {
        const std::string name = "i" + std::to_string(i);
        const std::string from = "sip:" + name + "@sip.example";
        scene.peer->send_tcp(scene.world.sip_address(),
                             World::request(name, kSipNull, headers, "TCP",
                                            "sip:juliet@xmpp.example", from, "INVITE"));
        const auto held = [&] {
            std::size_t all = 0;
            for (auto& edge : scene.world.edges) all += edge->tickets.size();
            return all == i + 1;
        };
        ASSERT_TRUE(scene.world.until(held));
        scene.peer->send_tcp(
            scene.world.sip_address(),
            World::request(name, "", {}, "TCP", "sip:juliet@xmpp.example", from, "CANCEL"));
        EXPECT_TRUE(scene.final_answer("INVITE").starts_with("SIP/2.0 487 "));
    }
    EXPECT_EQ(scene.open(), kCalls);
    scene.world.pass(1s);
    std::size_t shards_used = 0;
    for (std::size_t i = 0; i < scene.world.edges.size(); ++i) {
        shards_used += scene.world.edges[i]->tickets.empty() ? 0 : 1;
        for (const auto ticket : scene.world.edges[i]->tickets) {
            scene.world.gateways[i]->on_outcome(
                {ticket, link::Fate::kWritten, link::Fault::kNone, false});
        }
    }
    EXPECT_GE(shards_used, 3u);
    scene.world.pass(1s);
    EXPECT_EQ(scene.open(), 0u);
}

// A re-INVITE that was cancelled while its 200 was on the way from there: the session stands.
TEST(Session, ACancelledOfferOfAnotherShardEndsNothing) {  // SESS-12, SIP-19
    Scene scene({}, 4);
    constexpr std::size_t kCalls = 8;
    std::vector<std::string> cancelled;
    const std::string headers =
        "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\nContent-Type: application/sdp\r\n";
    // A 200 without an ACK comes again, among the answers to later calls.
    const auto answer_to = [&](const std::string& name, const std::string& cseq) {
        const std::string* found = nullptr;
        EXPECT_TRUE(scene.world.until([&] {
            for (const std::string& one : scene.peer->responses) {
                if (!one.starts_with("SIP/2.0 1") && header_of(one, "Call-ID") == "call-" + name &&
                    header_of(one, "CSeq") == cseq)
                    found = &one;
            }
            return found != nullptr;
        })) << name;
        return found != nullptr ? *found : std::string();
    };
    for (std::size_t i = 0; i < kCalls; ++i) {
        const std::string name = "n" + std::to_string(i);
        const std::string from = "sip:" + name + "@sip.example";
        scene.peer->send_tcp(scene.world.sip_address(),
                             World::request(name, kSipNull, headers, "TCP",
                                            "sip:juliet@xmpp.example", from, "INVITE"));
        const std::string answer = answer_to(name, "1 INVITE");
        const auto of_his = [&](std::string request, const std::string& branch) {
            request.replace(request.find("<sip:romeo@"), 11, "<sip:" + name + "@");
            const std::size_t at = request.find("branch=") + 7;
            return request.replace(at, request.find("\r\n", at) - at, "z9hG4bK" + name + branch);
        };
        scene.peer->send_tcp(scene.world.sip_address(),
                             of_his(scene.in_call(answer, "ACK", 1, {}, {}, name), "a"));
        scene.world.pass(100ms);
        scene.peer->send_tcp(
            scene.world.sip_address(),
            of_his(scene.in_call(answer, "INVITE", 2, kSipNull, headers, name), "b") +
                of_his(scene.in_call(answer, "CANCEL", 2, {}, {}, name), "b"));
        if (answer_to(name, "2 INVITE").starts_with("SIP/2.0 487 ")) cancelled.push_back(name);
    }
    EXPECT_GE(cancelled.size(), 3u);
    scene.world.pass(40s);  // the 200 of another one has no ACK
    for (const std::string& name : cancelled) {
        for (const std::string& bye : scene.requests("BYE")) {
            EXPECT_FALSE(has(header_of(bye, "To"), "<sip:" + name + "@")) << bye;
        }
    }
    EXPECT_EQ(scene.open(), cancelled.size());
}

// The notice of a text that bounced late waits for a call that fails, too (IM-50).
TEST(Session, ANoticeThatWaitsForARefusedCallEndsWithIt) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    EXPECT_TRUE(scene.say(answer, 2, "hello").starts_with("SIP/2.0 200 "));
    const std::string stanza = scene.world.edge().stanzas.at(0);
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(answer, "BYE", 3));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    scene.peer->answer = [](const sip::Message&) { return 0; };
    ASSERT_TRUE(scene.world.give(World::message("m1", "wait")));
    ASSERT_TRUE(scene.sent("INVITE"));
    ASSERT_TRUE(scene.world.give(bounce_of(stanza, "item-not-found")));
    ASSERT_TRUE(scene.told("id='m1'"));
    scene.world.pass(11min);
    EXPECT_EQ(scene.open(), 0u);
}

// IM-50: its session ends before the notice could go, by a BYE or by a 481 to it. It opens another.
TEST(Session, ANoticeWhoseSessionEndsGoesByTheNext) {
    for (const bool forgotten : {false, true}) {
        Scene scene;
        const std::string answer = scene.call();
        scene.acknowledge(answer);
        EXPECT_TRUE(scene.say(answer, 2, "hello").starts_with("SIP/2.0 200 "));
        const std::string stanza = scene.world.edge().stanzas.at(0);
        if (forgotten) {
            scene.peer->answer = [&](const sip::Message& request) {
                const bool known = !scene.requests("INVITE").empty();
                return request.method == sip::Method::kMessage && !known ? 481 : 200;
            };
        } else {
            scene.peer->answer = [](const sip::Message&) { return 0; };
            ASSERT_TRUE(scene.world.give(World::message("m1", "wait")));
            ASSERT_TRUE(scene.sent("MESSAGE"));
        }
        ASSERT_TRUE(scene.world.give(bounce_of(stanza, "item-not-found")));
        if (!forgotten) {
            scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(answer, "BYE", 3));
            EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
            scene.peer->answer = [](const sip::Message&) { return 200; };
            scene.respond(scene.requests("MESSAGE").at(0), "200 OK");
        }
        ASSERT_TRUE(scene.sent("INVITE"));
        ASSERT_TRUE(scene.sent("MESSAGE", 2));
        const std::string notice = scene.requests("MESSAGE").at(1);
        EXPECT_TRUE(has(notice, "Your message could not be delivered: item-not-found.")) << notice;
        EXPECT_EQ(header_of(notice, "Call-ID"),
                  header_of(scene.requests("INVITE").at(0), "Call-ID"));
        scene.world.pass(1s);
        EXPECT_EQ(scene.world.count(Counter::kMessagesS2xUntold), 0u);
        EXPECT_EQ(scene.requests("MESSAGE").size(), 2u);
    }
}

// So too when it has ended before; and where the other side knows no sessions, it goes by itself.
TEST(Session, ANoticeWithoutASessionOpensOne) {  // IM-50, SESS-5
    for (const int status : {200, 488}) {
        Scene scene;
        const std::string answer = scene.call();
        scene.acknowledge(answer);
        EXPECT_TRUE(scene.say(answer, 2, "hello").starts_with("SIP/2.0 200 "));
        scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(answer, "BYE", 3));
        EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
        scene.peer->answer = [status](const sip::Message& request) {
            return request.method == sip::Method::kInvite ? status : 200;
        };
        ASSERT_TRUE(
            scene.world.give(bounce_of(scene.world.edge().stanzas.at(0), "item-not-found")));
        ASSERT_TRUE(scene.sent("MESSAGE"));
        EXPECT_EQ(scene.requests("INVITE").size(), 1u);
        const std::string notice = scene.requests("MESSAGE").at(0);
        EXPECT_TRUE(has(notice, "could not be delivered")) << notice;
        EXPECT_EQ(has(header_of(notice, "To"), ";tag=peer"), status == 200) << notice;
        scene.world.pass(1s);
        EXPECT_EQ(scene.world.count(Counter::kMessagesS2xUntold), 0u);
    }
}

// A server that is not ready has it later, in the same conversation.
TEST(Session, ANoticeThatIsNotTakenGoesLater) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    EXPECT_TRUE(scene.say(answer, 2, "hello").starts_with("SIP/2.0 200 "));
    scene.peer->answer = [](const sip::Message&) { return 503; };
    ASSERT_TRUE(scene.world.give(bounce_of(scene.world.edge().stanzas.at(0), "item-not-found")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    scene.world.pass(1s);
    scene.peer->answer = [](const sip::Message&) { return 200; };
    ASSERT_TRUE(scene.world.until([&] { return scene.requests("MESSAGE").size() == 2; }, 5min));
    const std::string notice = scene.requests("MESSAGE").at(1);
    EXPECT_EQ(header_of(notice, "Call-ID"), "call-i1");
    EXPECT_TRUE(has(notice, "could not be delivered"));
    scene.world.pass(1s);
    EXPECT_EQ(scene.world.count(Counter::kMessagesS2xUntold), 0u);
}

// ERR-30, ERR-35: nobody but he himself is out.
TEST(Session, ABounceStopsNoOtherDeviceOfLync) {
    for (const char* const condition : {"service-unavailable", "recipient-unavailable"}) {
        Scene scene(Settings{{"im.error_wait", "2s"}});
        const std::string answer = scene.call();
        scene.acknowledge(answer);
        scene.peer->send_tcp(scene.world.sip_address(),
                             scene.in_call(answer, "MESSAGE", 2, "hello",
                                           "Content-Type: text/plain; charset=UTF-8\r\n"));
        ASSERT_TRUE(scene.told("<body>hello</body>"));
        ASSERT_TRUE(scene.world.give(bounce_of(scene.world.edge().stanzas.at(0), condition)));
        EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 480 ")) << condition;
    }
}

// SESS-6.
TEST(Session, OfTwoThatCrossOneSendsAndTheOtherEndsSoon) {
    Scene scene;
    scene.peer->answer = [](const sip::Message&) { return 0; };
    ASSERT_TRUE(scene.world.give(
        World::message("m1", "hello", "juliet", "chat", "<thread>z-later</thread>")));
    ASSERT_TRUE(scene.sent("INVITE"));
    scene.peer->answer = [](const sip::Message&) { return 200; };
    const std::string answer = scene.call();  // call-i1 is smaller than z-later
    scene.acknowledge(answer);
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_EQ(header_of(scene.requests("MESSAGE").at(0), "Call-ID"), "call-i1");
}

TEST(Session, OfTwoThatCrossOursSendsIfItsCallIdIsTheSmaller) {
    Scene scene;
    scene.peer->answer = [](const sip::Message&) { return 0; };
    ASSERT_TRUE(scene.world.give(
        World::message("m1", "hello", "juliet", "chat", "<thread>a-first</thread>")));
    ASSERT_TRUE(scene.sent("INVITE"));
    scene.acknowledge(scene.call());
    EXPECT_TRUE(scene.requests("MESSAGE").empty());
    scene.peer->answer = [](const sip::Message&) { return 200; };
    scene.respond(scene.requests("INVITE").at(0), "200 OK", kSipNull);
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_EQ(header_of(scene.requests("MESSAGE").at(0), "Call-ID"), "a-first");
    scene.world.pass(2min);  // theirs is ended
    EXPECT_EQ(scene.requests("BYE").size(), 1u);
    EXPECT_EQ(header_of(scene.requests("BYE").at(0), "Call-ID"), "call-i1");
}

TEST(Session, ACallOfOursThatFailsLeavesTheTextsToTheirs) {
    Scene scene;
    scene.peer->answer = [](const sip::Message&) { return 0; };
    ASSERT_TRUE(scene.world.give(
        World::message("m1", "hello", "juliet", "chat", "<thread>z-later</thread>")));
    ASSERT_TRUE(scene.sent("INVITE"));
    const std::string answer = scene.call();
    scene.respond(scene.requests("INVITE").at(0), "486 Busy Here");
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
    scene.peer->answer = [](const sip::Message&) { return 200; };
    scene.acknowledge(answer);
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
}

// SIP-11: by two ways.
TEST(Session, OneCallThatComesTwiceIsOne) {
    Scene scene;
    scene.acknowledge(scene.call());
    std::string again =
        World::request("i1", kSipNull,
                       "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
                       "Content-Type: application/sdp\r\n",
                       "TCP", "sip:juliet@xmpp.example", "sip:romeo@sip.example", "INVITE");
    again.replace(again.find("z9hG4bKi1"), 9, "z9hG4bKi2");
    scene.peer->send_tcp(scene.world.sip_address(), again);
    EXPECT_TRUE(scene.final_answer("INVITE").starts_with("SIP/2.0 482 "));
    EXPECT_EQ(scene.open(), 1u);
}

// SIP-11: a proxy that has lost our answer goes by another way.
TEST(Session, ATextThatComesTwiceIsOne) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    std::string text = scene.in_call(answer, "MESSAGE", 2, "once", "Content-Type: text/plain\r\n");
    scene.world.edge().refuse = 1;  // it has to wait, and is not its own double then
    scene.peer->send_tcp(scene.world.sip_address(), text);
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 200 "));
    text.replace(text.find("z9hG4bKMESSAGE2"), 15, "z9hG4bKMESSAGEx");
    scene.peer->send_tcp(scene.world.sip_address(), text);
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 482 "));
    EXPECT_EQ(scene.world.edge().stanzas.size(), 1u);
    // What was not taken is not its own double.
    text = scene.in_call(answer, "MESSAGE", 3, "again", "Content-Type: text/plain\r\n");
    scene.world.edge().fault = link::Fault::kQueueFull;
    scene.peer->send_tcp(scene.world.sip_address(), text);
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 500 "));
    scene.world.edge().fault = link::Fault::kNone;
    text.replace(text.find("z9hG4bKMESSAGE3"), 15, "z9hG4bKMESSAGEy");
    scene.peer->send_tcp(scene.world.sip_address(), text);
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(scene.say(answer, 4, "thrice").starts_with("SIP/2.0 200 "));
}

// RFC 3261 12.2.2, 14.2.
TEST(Session, WhatIsOutOfOrderIsRefused) {
    Scene scene;
    const std::string answer = scene.call();
    const std::string offer = scene.in_call(answer, "INVITE", 2, kSipNull,
                                            "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
                                            "Content-Type: application/sdp\r\n");
    scene.peer->send_tcp(scene.world.sip_address(), offer);
    EXPECT_TRUE(scene.final_answer("INVITE").starts_with("SIP/2.0 500 "));
    scene.acknowledge(answer);
    EXPECT_TRUE(scene.say(answer, 7, "seven").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(scene.say(answer, 5, "five").starts_with("SIP/2.0 500 "));
    EXPECT_EQ(scene.world.edge().stanzas.size(), 1u);
}

// SEC-1: who speaks for another of our domains.
TEST(Session, AnotherDomainIsNotInIt) {
    Scene scene(Settings{{"domain/other.example/next_hop", "sip:10.99.0.1:5070;transport=tcp"}});
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    std::string foreign = scene.in_call(answer, "MESSAGE", 2, "x", "Content-Type: text/plain\r\n");
    foreign.replace(foreign.find("romeo@sip.example"), 17, "romeo@other.example");
    scene.peer->send_tcp(scene.world.sip_address(), foreign);
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 403 "));
}

// A thread that is longer than what is kept is none (kThreadBytesMax).
TEST(Session, AnEndlessThreadIsNotKept) {
    Scene scene;
    ASSERT_TRUE(scene.world.give(World::message(
        "m1", "hello", "juliet", "chat", "<thread>" + std::string(2'000, 't') + "</thread>")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    const std::string invite = scene.requests("INVITE").at(0);
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_ours(invite, "MESSAGE", 1, "hi", "Content-Type: text/plain\r\n"));
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(scene.tells("<thread>" + header_of(invite, "Call-ID") + "</thread>"));
}

// SESS-9.
TEST(Session, WhoHasGoneOfflineIsWrittenToAtHisBareAddress) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    ASSERT_TRUE(scene.world.give(World::message("m1", "hello")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    ASSERT_TRUE(
        scene.world.give("<presence from='juliet@xmpp.example/balcony' "
                         "to='romeo@sip.example' type='unavailable'/>"));
    EXPECT_TRUE(scene.say(answer, 2, "there?").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(scene.world.edge().stanzas.back(), "to='juliet@xmpp.example'"));
}

// SIP-22, SEC-1: who knows half of a dialog is not in it.
TEST(Session, ForgedRequestsAreInNoDialog) {
    Scene scene;
    const std::string answer = scene.call();
    scene.acknowledge(answer);
    std::string forged = scene.in_call(answer, "MESSAGE", 2, "x", "Content-Type: text/plain\r\n");
    forged.replace(forged.find(";tag=fi1"), 8, ";tag=fi2");
    scene.peer->send_tcp(scene.world.sip_address(), forged);
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 481 "));
    forged = scene.in_call(answer, "MESSAGE", 2, "x", "Content-Type: text/plain\r\n");
    forged.replace(forged.find("Call-ID: call-i1"), 16, "Call-ID: call-i2");
    forged.replace(forged.find("z9hG4bKMESSAGE2"), 15, "z9hG4bKMESSAGEx");
    scene.peer->send_tcp(scene.world.sip_address(), forged);
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 481 "));
    // Another sender in the same dialog: it is its own two users' all the same.
    forged = scene.in_call(answer, "MESSAGE", 3, "x", "Content-Type: text/plain\r\n");
    forged.replace(forged.find("<sip:romeo@"), 11, "<sip:mercu@");
    scene.peer->send_tcp(scene.world.sip_address(), forged);
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(scene.world.edge().stanzas.back(), "from='romeo@sip.example'"));
}

// Whom it is for says the Request-URI, which the policy has judged; To may say anything.
TEST(Session, ToOfAnInviteNamesNobody) {
    Scene scene;
    std::string invite =
        World::request("i1", kSipNull,
                       "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
                       "Content-Type: application/sdp\r\n",
                       "TCP", "sip:juliet@xmpp.example", "sip:romeo@sip.example", "INVITE");
    const std::string to = "To: <sip:juliet@xmpp.example>";
    invite.replace(invite.find(to), to.size(),
                   "To: <sip:nurse:" + std::string(3'000, 'p') + "@xmpp.example>");
    scene.peer->send_tcp(scene.world.sip_address(), invite);
    const std::string answer = scene.final_answer("INVITE");
    ASSERT_TRUE(answer.starts_with("SIP/2.0 200 ")) << answer.substr(0, 200);
    scene.acknowledge(answer);
    EXPECT_TRUE(scene.say(answer, 2, "hello").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(scene.world.edge().stanzas.at(0), "to='juliet@xmpp.example'"));
}

// Only so many at a time of one pair.
TEST(Session, CallsOfOnePairAreBounded) {
    Scene scene;
    for (int i = 0; i < kSessionsOfPair; ++i) {
        EXPECT_TRUE(scene.call(kSipNull, {}, "c" + std::to_string(i)).starts_with("SIP/2.0 200 "));
    }
    EXPECT_TRUE(scene.call(kSipNull, {}, "c9").starts_with("SIP/2.0 486 "));
    EXPECT_EQ(scene.open(), std::size_t{kSessionsOfPair});
}

// A process that ends says so.
TEST(Session, DrainingEndsThem) {
    Scene scene;
    scene.acknowledge(scene.call());
    scene.world.gateway().drain();
    ASSERT_TRUE(scene.sent("BYE"));
    EXPECT_TRUE(scene.world.until([&] { return scene.world.gateway().drained(); }));
    // One that is being opened ends when its texts have gone.
    Scene other;
    other.peer->answer = [](const sip::Message&) { return 0; };
    ASSERT_TRUE(other.world.give(World::message("m1", "hello")));
    ASSERT_TRUE(other.sent("INVITE"));
    other.world.gateway().drain();
    other.peer->answer = [](const sip::Message&) { return 200; };
    other.respond(other.requests("INVITE").at(0), "200 OK", kSipNull);
    ASSERT_TRUE(other.sent("MESSAGE"));
    ASSERT_TRUE(other.sent("BYE"));
    EXPECT_TRUE(other.world.until([&] { return other.world.gateway().drained(); }));
}

}  // namespace
}  // namespace fedgate::gateway
