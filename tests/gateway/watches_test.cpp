// XMPP users watch SIP contacts: interworking section 6.2, through the whole gateway.
#include "appliance/gateway/watches.hpp"

#include <utility>

#include <gtest/gtest-spi.h>

#include "appliance/gateway/watch.hpp"
#include "tests/gateway/watch_scene.hpp"

namespace fedgate::gateway {
namespace {

using test::kClosed;
using test::kOpen;
using test::pidf;
using test::Settings;
using test::WatchScene;

const std::string kSubscribed =
    "<presence from='romeo@sip.example' to='juliet@xmpp.example' type='subscribed'/>";
const std::string kUnsubscribed =
    "<presence from='romeo@sip.example' to='juliet@xmpp.example' type='unsubscribed'/>";
const std::string kUnavailable =
    "<presence from='romeo@sip.example' to='juliet@xmpp.example' type='unavailable'/>";
const std::string kDeskGone =
    "<presence from='romeo@sip.example/desk' to='juliet@xmpp.example' type='unavailable'>"
    "</presence>";
const std::string kDesk =
    "<presence from='romeo@sip.example/desk' to='juliet@xmpp.example'></presence>";

// RFC 8048 5.2.1, on one shard and on four.
TEST(Watches, FromTheWishToPresence) {  // PRES-30, PRES-31, PRES-14, PRES-16, PRES-81, R2, SIP-20
    for (const std::uint32_t shards : {1u, 4u}) {
        WatchScene scene({}, shards);
        scene.stanza("subscribe", "balcony");  // PRES-85: the resource counts for nothing
        const std::string first = scene.subscribe(1);
        EXPECT_TRUE(first.starts_with("SUBSCRIBE sip:romeo@sip.example SIP/2.0\r\n")) << first;
        EXPECT_TRUE(header_of(first, "From").starts_with("<sip:juliet@xmpp.example>;tag="));
        EXPECT_EQ(header_of(first, "To"), "<sip:romeo@sip.example>");
        EXPECT_EQ(header_of(first, "Event"), "presence");
        EXPECT_EQ(header_of(first, "Accept"), "application/pidf+xml");
        EXPECT_EQ(header_of(first, "Expires"), "3600");
        EXPECT_EQ(header_of(first, "User-Agent"), "Fedgate");
        EXPECT_TRUE(header_of(first, "Contact").starts_with("<sip:juliet@")) << first;
        EXPECT_EQ(scene.notify(first, "active;expires=3600",
                               pidf({{"desk",
                                      "<status><basic>open</basic></status>"
                                      "<note>busy</note>"},
                                     {"phone", kOpen}})),
                  "SIP/2.0 200 OK");
        EXPECT_EQ(scene.sent(1), kSubscribed);
        EXPECT_EQ(scene.sent(2),
                  "<presence from='romeo@sip.example/desk' to='juliet@xmpp.example'>"
                  "<status>busy</status></presence>");
        EXPECT_EQ(scene.sent(3),
                  "<presence from='romeo@sip.example/phone' to='juliet@xmpp.example'></presence>");
        // PRES-33; what is the same is not said again, what is gone is.
        EXPECT_EQ(scene.notify(first, "active;expires=3000", pidf({{"phone", kOpen}})),
                  "SIP/2.0 200 OK");
        EXPECT_EQ(scene.sent(4), kDeskGone);
        scene.quiet(4);
        EXPECT_EQ(scene.subscribes.size(), 1u);
    }
}

// Who may see a contact may ask what his devices can; a stranger hears what is said of nobody.
TEST(Watches, WhoSeesAContactMayAskWhatHeCan) {  // IQ-3, IQ-4, RCPT-6, SEC-5
    const struct {
        std::uint32_t shards;
        const char* profile;
    } kRows[] = {{1, "page"}, {4, "page"}, {1, "lync"}};
    for (const auto& row : kRows) {
        WatchScene scene({{"domain/sip.example/profile", row.profile}}, row.shards);
        const auto asks = [&](const std::string& user, const std::string& whom) {
            const std::string text = "<iq from='" + user + "@xmpp.example/balcony' to='" + whom +
                                     "' id='q1' type='get'>"
                                     "<query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
            const std::size_t before = scene.stanzas().size();
            EXPECT_TRUE(scene.world.gateways[0]->take_stanza(
                {"xmpp.example", link::Proof::kCertificate, text}));
            EXPECT_TRUE(scene.world.until([&] { return scene.stanzas().size() > before; }));
            for (const std::string& stanza : scene.stanzas()) {
                if (has(stanza, "id='q1'") && has(stanza, "type='result'")) return stanza;
            }
            return std::string();
        };
        EXPECT_EQ(asks("juliet", "romeo@sip.example"), "");
        scene.stanza("subscribe");
        scene.notify(scene.subscribe(1), "active;expires=3600", pidf({{"desk", kOpen}}));
        scene.sent(2);
        EXPECT_EQ(asks("juliet", "romeo@sip.example/phone"), "");
        EXPECT_EQ(asks("tybalt", "romeo@sip.example/desk"), "");
        const std::string can = asks("juliet", "romeo@sip.example/desk");
        EXPECT_TRUE(has(can, "category='client'")) << can;
        EXPECT_EQ(has(can, "'urn:xmpp:receipts'"), row.profile == std::string("lync")) << can;
    }
}

// The user changes his mind before the server has answered: nothing of before counts.
TEST(Watches, WhoComesBackAtOnceSeesAllAnew) {  // PRES-30, PRES-43
    WatchScene scene;
    scene.stanza("subscribe");
    scene.notify(scene.subscribe(1), "active;expires=3600", pidf({{"desk", kOpen}}));
    EXPECT_EQ(scene.sent(2), kDesk);
    scene.stanza("unsubscribe");
    scene.stanza("subscribe");
    EXPECT_EQ(scene.sent(3), kDeskGone);
    EXPECT_EQ(header_of(scene.subscribe(2), "Expires"), "0");
    scene.notify(scene.subscribe(3), "active;expires=3600", pidf({{"desk", kOpen}}));
    EXPECT_EQ(scene.sent(4), kSubscribed);
    EXPECT_EQ(scene.sent(5), kDesk);
}

TEST(Watches, WhoIsPendingIsToldNothing) {  // PRES-32, PRES-34
    WatchScene scene;
    scene.stanza("subscribe");
    const std::string first = scene.subscribe(1);
    EXPECT_EQ(scene.notify(first, "pending;expires=3600", pidf({{"desk", kOpen}})),
              "SIP/2.0 200 OK");
    scene.stanza("subscribe");  // again: it is asked already
    scene.stanza("probe", "balcony");
    EXPECT_TRUE(has(scene.sent(1), "to='juliet@xmpp.example/balcony' type='unavailable'"));
    scene.quiet(1);
    EXPECT_EQ(scene.subscribes.size(), 1u);
    EXPECT_EQ(scene.notify(first, "active;expires=3600"), "SIP/2.0 200 OK");
    EXPECT_EQ(scene.sent(2), kSubscribed);
    scene.quiet(2);
}

TEST(Watches, WhoIsApprovedIsToldSoAgain) {  // PRES-34
    WatchScene scene;
    scene.approved();
    scene.stanza("subscribe");
    EXPECT_EQ(scene.sent(3), kSubscribed);
    EXPECT_EQ(scene.sent(4), kDesk);
    scene.quiet(4);
    EXPECT_EQ(scene.subscribes.size(), 1u);
}

TEST(Watches, ARefusalIsUnsubscribed) {  // PRES-35, ERT-4
    for (const int status : {403, 489, 603}) {
        WatchScene scene;
        scene.status = status;
        scene.stanza("subscribe");
        EXPECT_EQ(scene.sent(1), kUnsubscribed) << status;
        scene.quiet(1);
        EXPECT_EQ(scene.subscribes.size(), 1u);
        WatchScene later;  // to a refresh
        later.approved();
        later.status = status;
        later.subscribe(2, 3'600s);
        EXPECT_EQ(later.sent(3), kDeskGone) << status;
        EXPECT_EQ(later.sent(4), kUnsubscribed) << status;
        later.quiet(4, 7'200s);
        EXPECT_EQ(later.subscribes.size(), 2u);
    }
}

TEST(Watches, WhoDoesNotExistIsAnError) {  // PRES-36
    const std::vector<std::pair<int, std::string>> rows = {
        {404, "cancel' by='sip.example'><item-not-found"},
        {410, "cancel' by='sip.example'><gone"},
        {416, "modify' by='sip.example'><not-acceptable"},
        {484, "cancel' by='sip.example'><item-not-found"},
        {485, "cancel' by='sip.example'><item-not-found"},
        {604, "cancel' by='sip.example'><item-not-found"},
        {606, "modify' by='sip.example'><not-acceptable"}};
    for (const auto& [status, error] : rows) {
        WatchScene scene;
        scene.status = status;
        scene.stanza("subscribe", "balcony");
        const std::string told = scene.sent(1);
        EXPECT_TRUE(has(told, "from='romeo@sip.example' to='juliet@xmpp.example' type='error'"))
            << told;
        EXPECT_TRUE(has(told, error)) << told;
        scene.quiet(1);
    }
    WatchScene later;
    later.approved();
    later.status = 404;
    later.subscribe(2, 3'600s);
    EXPECT_EQ(later.sent(3), kDeskGone);
    EXPECT_EQ(later.sent(4), kUnsubscribed);
}

TEST(Watches, AsksForAsLongAsItMust) {  // PRES-37
    WatchScene scene;
    scene.status = 423;
    scene.peer->extra_headers = "Min-Expires: 7200\r\n";
    scene.stanza("subscribe");
    EXPECT_EQ(header_of(scene.subscribe(2), "Expires"), "7200");
    scene.quiet(0, 40s);
    EXPECT_EQ(scene.subscribes.size(), 2u);
}

TEST(Watches, RefreshesInTime) {  // PRES-40, SIP-9, SIP-22
    WatchScene scene;
    const std::string first = scene.approved();
    scene.says = "active;expires=3600";
    scene.document = pidf({{"desk", kOpen}});
    scene.world.pass(350s);
    EXPECT_EQ(scene.subscribes.size(), 1u);
    const std::string again = scene.subscribe(2, 2'900s);
    EXPECT_TRUE(again.starts_with("SUBSCRIBE sip:romeo@10.99.0.1:5070;transport=tcp SIP/2.0"));
    EXPECT_EQ(header_of(again, "Call-ID"), header_of(first, "Call-ID"));
    EXPECT_EQ(header_of(again, "CSeq"), "2 SUBSCRIBE");
    EXPECT_EQ(header_of(again, "To"), "<sip:romeo@sip.example>;tag=peer");
    EXPECT_EQ(header_of(again, "Expires"), "3600");
    scene.world.pass(2'870s);
    EXPECT_EQ(scene.subscribes.size(), 2u);
    scene.subscribe(3, 400s);
    scene.quiet(2, 7'200s);
    EXPECT_GE(scene.subscribes.size(), 5u);
}

TEST(Watches, ADialogThatIsGoneIsMadeAnew) {  // PRES-38
    WatchScene scene;
    const std::string first = scene.approved();
    scene.peer->answer = [&](const sip::Message& request) {
        if (request.method != sip::Method::kSubscribe) return 200;
        scene.subscribes.emplace_back(request.bytes);
        return request.to.tag.empty() ? 200 : 481;
    };
    const std::string anew = scene.subscribe(3, 3'600s);
    EXPECT_NE(header_of(anew, "Call-ID"), header_of(first, "Call-ID"));
    EXPECT_NE(header_of(anew, "From"), header_of(first, "From"));
    EXPECT_EQ(scene.notify(first, "active"), "SIP/2.0 481 Call/Transaction Does Not Exist");
    EXPECT_EQ(scene.notify(anew, "active", pidf({{"desk", kOpen}})), "SIP/2.0 200 OK");
    scene.quiet(2);
}

TEST(Watches, TriesAgainLater) {  // PRES-39, PRES-41
    for (const int status : {480, 503}) {
        WatchScene scene;
        scene.status = status;
        scene.peer->extra_headers = "Retry-After: 100\r\n";
        scene.stanza("subscribe");
        scene.subscribe(1);
        scene.world.pass(99s);
        EXPECT_EQ(scene.subscribes.size(), 1u);
        scene.peer->extra_headers.clear();
        scene.subscribe(2, 40s);
        scene.subscribe(3, 145s);
        scene.status = 200;
        EXPECT_EQ(scene.notify(scene.subscribe(4, 290s), "active"), "SIP/2.0 200 OK");
        EXPECT_EQ(scene.sent(1), kSubscribed);
    }
    WatchScene silent;  // no NOTIFY
    silent.stanza("subscribe");
    silent.subscribe(1);
    silent.world.pass(31s);
    EXPECT_EQ(silent.subscribes.size(), 1u);
    silent.subscribe(2, 75s);
    silent.quiet(0);
}

TEST(Watches, NobodyWaitsForADay) {  // PRES-39
    WatchScene scene;
    scene.status = 480;
    scene.stanza("subscribe");
    scene.world.pass(23h);
    EXPECT_TRUE(scene.stanzas().empty());
    const std::string error = scene.sent(1, 3h);
    EXPECT_TRUE(has(error, "type='error'")) << error;
    EXPECT_TRUE(has(error, "<recipient-unavailable")) << error;
    const std::size_t tries = scene.subscribes.size();
    EXPECT_LE(tries, 40u);
    scene.quiet(1, 5h);
    EXPECT_EQ(scene.subscribes.size(), tries);
}

TEST(Watches, AFailedRefreshTakesBackAndComesBack) {  // PRES-39
    WatchScene scene;
    scene.approved();
    scene.status = 480;
    scene.subscribe(2, 3'600s);
    EXPECT_EQ(scene.sent(3), kDeskGone);
    scene.status = 200;
    scene.says = "active;expires=3600";
    scene.document = pidf({{"desk", kOpen}});
    EXPECT_EQ(scene.sent(4, 100s), kDesk);  // and no second `subscribed`
    scene.quiet(4);
}

TEST(Watches, WhoShowsNoInterestRunsOut) {  // PRES-42, PRES-45
    WatchScene scene;
    scene.says = "active;expires=3600";
    scene.document = pidf({{"desk", kOpen}});
    scene.stanza("subscribe");
    scene.sent(2);
    scene.world.pass(20h);
    ASSERT_TRUE(scene.world.give(test::World::message("a1", "hello")));  // a sign of life
    scene.world.pass(23h);
    EXPECT_EQ(scene.stanzas().size(), 2u);
    EXPECT_EQ(scene.sent(3, 3h), kDeskGone);
    const std::size_t before = scene.subscribes.size();
    scene.quiet(3, 10h);
    EXPECT_EQ(scene.subscribes.size(), before);
    scene.stanza("probe", "balcony");
    EXPECT_EQ(header_of(scene.subscribe(before + 1), "Expires"), "3600");
    EXPECT_EQ(scene.sent(4), kDesk);
    scene.quiet(4);
}

TEST(Watches, LeavesTheDialogAndSaysSo) {  // PRES-43, PRES-44, PRES-76, ERT-2
    WatchScene scene;
    const std::string first = scene.approved();
    scene.stanza("unsubscribe");
    const std::string last = scene.subscribe(2);
    EXPECT_EQ(header_of(last, "Expires"), "0");
    EXPECT_EQ(header_of(last, "Call-ID"), header_of(first, "Call-ID"));
    EXPECT_EQ(scene.sent(3), kDeskGone);
    EXPECT_EQ(scene.sent(4), kUnsubscribed);
    EXPECT_EQ(scene.notify(first, "terminated;reason=timeout", pidf({{"phone", kOpen}})),
              "SIP/2.0 200 OK");
    scene.quiet(4, 40s);
    EXPECT_EQ(scene.notify(first, "active"), "SIP/2.0 481 Call/Transaction Does Not Exist");
    scene.stanza("unsubscribe");  // without a dialog: at once
    EXPECT_EQ(scene.sent(5), kUnsubscribed);
    scene.stanza("subscribe");  // from the beginning
    EXPECT_EQ(scene.notify(scene.subscribe(3), "active"), "SIP/2.0 200 OK");
    EXPECT_EQ(scene.sent(6), kSubscribed);
    scene.quiet(6);
}

TEST(Watches, WhoLeavesWithoutAnAnswerHasLeftToo) {  // PRES-43
    WatchScene scene;
    scene.approved();
    scene.status = 0;  // silence
    scene.stanza("unsubscribe");
    EXPECT_EQ(scene.sent(4, 40s), kUnsubscribed);
    scene.quiet(4, 40s);
}

TEST(Watches, AProbeIsAnsweredToWhoAsks) {  // PRES-45, PRES-16
    WatchScene scene;
    scene.approved();
    scene.stanza("probe", "balcony");
    EXPECT_EQ(scene.sent(3),
              "<presence from='romeo@sip.example/desk' to='juliet@xmpp.example/balcony'>"
              "</presence>");
    scene.quiet(3);
    EXPECT_EQ(scene.subscribes.size(), 1u);
}

TEST(Watches, AStrangersProbeIsAPoll) {  // PRES-45, R14, PRES-18
    const auto polled = [](int status, const std::string& document) {
        WatchScene scene;
        scene.status = status;
        scene.stanza("probe", "balcony");
        const std::string poll = scene.subscribe(1);
        EXPECT_EQ(header_of(poll, "Expires"), "0");
        if (status == 200) {
            EXPECT_EQ(scene.notify(poll, "terminated;reason=timeout", document), "SIP/2.0 200 OK");
        }
        const std::string told = scene.sent(1);
        scene.quiet(1, 100s);
        EXPECT_EQ(scene.subscribes.size(), 1u);
        EXPECT_EQ(scene.world.gateway().status().watches, 0u);
        return told;
    };
    EXPECT_EQ(polled(200, pidf({{"desk", kOpen}})),
              "<presence from='romeo@sip.example/desk' to='juliet@xmpp.example/balcony'>"
              "</presence>");
    EXPECT_TRUE(has(polled(200, ""), "to='juliet@xmpp.example/balcony' type='unavailable'"));
    EXPECT_EQ(polled(403, ""), kUnsubscribed);
    EXPECT_EQ(polled(603, ""), kUnsubscribed);
    EXPECT_TRUE(has(polled(404, ""), "type='unavailable'"));
}

TEST(Watches, WhoGoesOfflineLetsGo) {                           // PRES-46, PRES-80
    WatchScene scene(Settings{{"presence.expires", "86400"}});  // no refresh meanwhile
    scene.stanza("subscribe");
    scene.notify(scene.subscribe(1), "active;expires=86400", pidf({{"desk", kOpen}}));
    scene.sent(2);
    scene.stanza("", "balcony");
    scene.stanza("", "orchard");
    scene.stanza("unavailable", "balcony");
    scene.world.pass(400s);
    EXPECT_EQ(scene.subscribes.size(), 1u);  // one is still there
    scene.stanza("unavailable", "orchard");
    scene.world.pass(290s);
    scene.stanza("", "orchard");  // and is back
    scene.world.pass(400s);
    EXPECT_EQ(scene.subscribes.size(), 1u);
    scene.stanza("unavailable");  // all
    scene.world.pass(299s);
    EXPECT_EQ(scene.subscribes.size(), 1u);
    EXPECT_EQ(header_of(scene.subscribe(2, 2s), "Expires"), "0");
    EXPECT_EQ(scene.sent(3), kDeskGone);
    scene.quiet(3, 60s);
    scene.says = "active;expires=86400";
    scene.document = pidf({{"desk", kOpen}});
    scene.stanza("", "balcony");
    EXPECT_EQ(header_of(scene.subscribe(3), "Expires"), "86400");
    EXPECT_EQ(scene.sent(4), kDesk);
    scene.quiet(4);
}

TEST(Watches, ANotifyIsTakenFromWhomItConcerns) {  // PRES-47, SIP-21..24
    WatchScene scene;
    const std::string first = scene.approved();
    const std::string document = pidf({{"phone", kOpen}});
    const auto answer = [&](const std::string& state, const std::string& headers,
                            const std::string& tag, const std::string& of) {
        return scene.notify(of, state, document, headers, tag).substr(8, 3);
    };
    EXPECT_EQ(answer("active", {}, "fork", first), "481");
    EXPECT_EQ(answer("", {}, "peer", first), "400");
    EXPECT_EQ(answer("active", "Event: dialog\r\n", "peer", first), "489");
    EXPECT_EQ(answer("active", "Event: presence;id=7\r\n", "peer", first), "481");
    std::string foreign = first;
    const std::size_t tag = foreign.find(";tag=") + 5;
    for (const std::size_t digit : {10u, 20u, 31u}) {  // its place, its secret
        std::string guess = foreign;
        guess[tag + digit] = guess[tag + digit] == '7' ? '8' : '7';
        EXPECT_EQ(answer("active", {}, "peer", guess), "481") << digit;
    }
    const std::size_t call_id = foreign.find("Call-ID: ") + 9;
    foreign[call_id] = foreign[call_id] == '7' ? '8' : '7';
    EXPECT_EQ(answer("active", {}, "peer", foreign), "481");
    scene.quiet(2);
    EXPECT_EQ(answer("active", {}, "peer", first), "200");
    EXPECT_TRUE(has(scene.sent(3), "romeo@sip.example/phone"));
}

TEST(Watches, TheEndSaysWhatIsNext) {  // PRES-50..55
    struct Row {
        std::string state;
        std::vector<std::string> told;
        Duration not_before;
        Duration until;  // 0: never
    };
    const std::vector<Row> rows = {
        {"terminated;reason=deactivated", {}, 0s, 5s},
        {"terminated;reason=timeout", {}, 0s, 5s},
        {"terminated;reason=probation", {kDeskGone}, 290s, 320s},
        {"terminated;reason=giveup;retry-after=500", {kDeskGone}, 490s, 540s},
        {"terminated;reason=rejected", {kDeskGone, kUnsubscribed}, 0s, 0s},
        {"terminated;reason=noresource", {kDeskGone, kUnsubscribed}, 0s, 0s},
        {"terminated;reason=invariant", {}, 0s, 0s},
        {"terminated", {kDeskGone}, 47s, 80s},
        {"terminated;reason=whatever", {kDeskGone}, 47s, 80s},
    };
    for (const Row& row : rows) {
        WatchScene scene;
        const std::string first = scene.approved();
        scene.world.pass(100s);  // PRES-50 is no circle
        EXPECT_EQ(scene.notify(first, row.state), "SIP/2.0 200 OK");
        scene.world.pass(row.not_before);
        EXPECT_EQ(scene.subscribes.size(), 1u) << row.state;
        if (row.until != 0s) {
            const std::string anew = scene.subscribe(2, row.until - row.not_before);
            EXPECT_FALSE(has(header_of(anew, "To"), "tag=")) << row.state;
        } else {
            scene.world.pass(7'200s);
            EXPECT_EQ(scene.subscribes.size(), 1u) << row.state;
        }
        ASSERT_EQ(scene.stanzas().size(), 2 + row.told.size()) << row.state;
        for (std::size_t i = 0; i < row.told.size(); ++i) EXPECT_EQ(scene.sent(3 + i), row.told[i]);
    }
}

TEST(Watches, ABodyOfTheEndComesBeforeIt) {  // PRES-54, PRES-52
    WatchScene scene;
    const std::string first = scene.approved();
    EXPECT_EQ(scene.notify(first, "terminated;reason=invariant", pidf({{"phone", kOpen}})),
              "SIP/2.0 200 OK");
    EXPECT_TRUE(has(scene.sent(3), "/phone"));
    EXPECT_EQ(scene.sent(4), kDeskGone);
    scene.stanza("probe", "balcony");  // what was said last stays true
    EXPECT_TRUE(has(scene.sent(5), "from='romeo@sip.example/phone'"));
    scene.quiet(5);
    EXPECT_EQ(scene.subscribes.size(), 1u);
}

// What a server of Lync answers with: its document in the 200 is not ours to read (SESS-46), the
// NOTIFY is; and its states, one tuple each time.
TEST(Watches, ALyncDomainsStates) {  // SESS-46, PRES-3, PRES-10, PRES-14, PRES-18, R9, R10; A15
    WatchScene scene(Settings{{"domain/sip.example/profile", "lync"}});
    const auto lync = [](const std::string& basic, const std::string& activity = {},
                         const std::string& note = {}) {
        const std::string said = activity.empty() ? ""
                                                  : "<ep:activities><ep:activity>" + activity +
                                                        "</ep:activity></ep:activities>";
        return "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
               "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" "
               "xmlns:ep=\"urn:ietf:params:xml:ns:pidf:status:rpid-status\" "
               "xmlns:et=\"urn:ietf:params:xml:ns:pidf:rpid-tuple\" "
               "xmlns:ci=\"urn:ietf:params:xml:ns:pidf:cipid\" entity=\"sip:romeo@sip.example\">"
               "<tuple id=\"0\"><status><basic>" +
               basic + "</basic>" + said + "</status>" + note +
               "</tuple><ci:display-name>Romeo</ci:display-name></presence>";
    };
    scene.peer->extra_headers = "Supported: ms-benotify, ms-piggyback-first-notify\r\n";
    scene.peer->pidf = lync("open", "busy");
    scene.stanza("subscribe");
    const std::string first = scene.subscribe(1);
    EXPECT_EQ(header_of(first, "Accept"), "application/pidf+xml");
    EXPECT_EQ(header_of(first, "Supported"), "");
    EXPECT_EQ(scene.notify(first, "active;expires=3600", lync("open")), "SIP/2.0 200 OK");
    EXPECT_EQ(scene.sent(1), kSubscribed);
    const std::string from = "<presence from='romeo@sip.example/0' to='juliet@xmpp.example'";
    EXPECT_EQ(scene.sent(2), from + "></presence>");
    const struct {
        std::string document;
        std::string content;
    } kStates[] = {
        {lync("open", "away"), "><show>away</show>"},
        {lync("open", "busy"), "><show>dnd</show>"},
        {lync("open", "on-the-phone"),
         "><show>dnd</show><status xml:lang='en'>On the phone</status>"},
        {lync("open", "meeting", "<note>with Tybalt</note>"),
         "><show>dnd</show><status>with Tybalt</status>"},
        {lync("open", "active"), ">"},
        {lync("closed"), " type='unavailable'>"},
    };
    std::size_t n = 2;
    for (const auto& state : kStates) {
        EXPECT_EQ(scene.notify(first, "active;expires=3000", state.document), "SIP/2.0 200 OK");
        EXPECT_EQ(scene.sent(++n), from + state.content + "</presence>");
    }
    // What we have not asked for: the dialog lives, and the old state stays.
    EXPECT_EQ(scene.notify(first, "active;expires=3000", "<presentity/>",
                           "Content-Type: text/xml+msrtc.pidf\r\n"),
              "SIP/2.0 415 Unsupported Media Type");
    scene.quiet(n);
    EXPECT_EQ(scene.subscribes.size(), 1u);
}

TEST(Watches, ClosedIsSaidOnce) {  // PRES-15
    WatchScene scene;
    const std::string first = scene.approved(pidf({{"desk", kClosed}}));
    EXPECT_TRUE(has(scene.sent(2), "from='romeo@sip.example' to='juliet@xmpp.example'"));
    EXPECT_TRUE(has(scene.sent(2), "type='unavailable'"));
    EXPECT_EQ(scene.notify(first, "active", pidf({{"desk", kClosed}})), "SIP/2.0 200 OK");
    scene.quiet(2);
    EXPECT_EQ(scene.notify(first, "active", pidf({{"desk", kOpen}})), "SIP/2.0 200 OK");
    EXPECT_EQ(scene.sent(3), kDesk);
    EXPECT_EQ(scene.notify(first, "active", pidf({{"desk", kClosed}})), "SIP/2.0 200 OK");
    EXPECT_EQ(scene.sent(4), kDeskGone);
    scene.quiet(4);
}

TEST(Watches, WhatCantBeReadChangesNothing) {  // PRES-17, PRES-18
    WatchScene scene;
    const std::string first = scene.approved();
    for (const std::string body : {"<presence", "<other xmlns='urn:x'/>",
                                   "<!DOCTYPE a><presence xmlns='urn:ietf:params:xml:ns:pidf'/>"}) {
        EXPECT_EQ(scene.notify(first, "active", body), "SIP/2.0 200 OK") << body;
    }
    EXPECT_EQ(scene.notify(first, "active", "x", "Content-Type: text/plain\r\n"),
              "SIP/2.0 415 Unsupported Media Type");
    EXPECT_TRUE(has(scene.peer->responses.back(), "\r\nAccept: application/pidf+xml\r\n"));
    EXPECT_EQ(scene.notify(first, "active"), "SIP/2.0 200 OK");
    scene.quiet(2);
    EXPECT_EQ(scene.notify(first, "active", pidf({{"phone", kOpen}})), "SIP/2.0 200 OK");
    scene.sent(4);
}

TEST(Watches, OtherPresenceIsRefused) {  // PRES-84, PRES-86
    WatchScene scene;
    scene.stanza("dance", "balcony");
    EXPECT_TRUE(has(scene.sent(1), "type='modify' by='sip.example'><bad-request"));
    scene.stanza("", "nick", "juliet", "<x xmlns='http://jabber.org/protocol/muc'/>");
    EXPECT_TRUE(has(scene.sent(2), "type='cancel' by='sip.example'><service-unavailable"));
    EXPECT_TRUE(scene.subscribes.empty());
}

TEST(Watches, TheirNumberIsBounded) {  // SEC-4, S2S-65
    WatchScene scene(Settings{{"sec.subscriptions_per_domain", "2"}});
    scene.stanza("subscribe", {}, "a");
    scene.stanza("subscribe", {}, "b");
    scene.stanza("subscribe", {}, "c");
    EXPECT_TRUE(has(scene.sent(1), "type='wait' by='sip.example'><resource-constraint"))
        << scene.sent(1);
    scene.stanza("unsubscribe", {}, "b");  // it waits for its NOTIFY, or the end of that
    scene.world.pass(70s);
    scene.stanza("subscribe", {}, "c");
    EXPECT_TRUE(has(header_of(scene.subscribe(scene.subscribes.size() + 1), "From"), "sip:c@"));
    WatchScene often;
    for (int i = 0; i < 10; ++i) often.stanza("subscribe");
    often.world.pass(1s);
    EXPECT_TRUE(often.stanzas().empty());
    often.stanza("subscribe");
    EXPECT_TRUE(has(often.sent(1), "type='wait' by='sip.example'><policy-violation"));
    often.world.pass(6s);
    often.stanza("subscribe");
    often.quiet(1);
}

TEST(Watches, PolicyDecides) {  // ERR-L5, P4, R3, R7
    WatchScene refused(Settings{{"policy/global/xmpp_access", "no"}});
    refused.stanza("subscribe");
    EXPECT_TRUE(has(refused.sent(1), "<policy-violation"));
    refused.stanza("probe");
    EXPECT_TRUE(has(refused.sent(2), "<policy-violation"));
    EXPECT_TRUE(refused.subscribes.empty());
    for (const char* type : {"public_verified", "public_unverified"}) {
        const bool held = type == std::string("public_unverified");
        WatchScene scene(Settings{{"partner/xmpp.example/type", type}});
        scene.stanza("subscribe");
        scene.world.pass(5s);
        EXPECT_EQ(scene.subscribes.size(), held ? 0u : 1u) << type;
        if (held) {  // until our user adds him
            scene.peer->send_tcp(
                scene.world.sip_address(),
                test::World::request("w", "",
                                     "Event: presence\r\nContact: "
                                     "<sip:romeo@10.99.0.1:5070;transport=tcp>\r\n",
                                     "TCP", "sip:juliet@xmpp.example", "sip:romeo@sip.example",
                                     "SUBSCRIBE"));
        }
        const std::string first = scene.subscribe(1);
        const std::size_t before = scene.stanzas().size();
        scene.notify(first, "active", pidf({{"desk", kOpen + "<note>in the garden</note>"}}));
        EXPECT_EQ(scene.sent(before + 1), kSubscribed);
        EXPECT_EQ(scene.sent(before + 2), kDesk) << type;  // without the note
        if (!held) continue;
        // The contact declines our user's wish, who so no longer watches: nor may the contact.
        scene.stanza("unsubscribed");
        EXPECT_EQ(header_of(scene.subscribe(2), "Expires"), "0");
        EXPECT_EQ(scene.sent(before + 3), kDeskGone);
    }
}

// What was said while the partner could not be reached is said again.
TEST(Watches, WhatWasLostOnTheWayIsSaidAgain) {  // PRES-14
    WatchScene scene;
    scene.approved();
    const auto news = [&](link::PartnerNews::Kind kind) {
        scene.world.gateway().on_partner(
            {kind, link::Fault::kUnreachable, "sip.example", "xmpp.example", {}});
    };
    scene.world.edge().at_once = false;
    scene.notify(scene.subscribes.back(), "active;expires=3600", pidf({{"phone", kOpen}}));
    EXPECT_TRUE(has(scene.sent(3), "from='romeo@sip.example/phone'"));
    EXPECT_EQ(scene.sent(4), kDeskGone);
    news(link::PartnerNews::Kind::kDown);
    for (const link::Ticket ticket : scene.world.edge().tickets) {
        scene.world.gateway().on_outcome(
            {ticket, link::Fate::kFailed, link::Fault::kUnreachable, false});
    }
    scene.quiet(4, 5s);
    news(link::PartnerNews::Kind::kUp);
    EXPECT_EQ(scene.sent(5), kSubscribed);
    EXPECT_EQ(scene.sent(6), kDeskGone);
    EXPECT_TRUE(has(scene.sent(7), "from='romeo@sip.example/phone'"));
    scene.quiet(7, 90s);
}

// The way broke, and another one stands already: no news of the partner will come.
TEST(Watches, WhatIsInDoubtIsSaidAgainSoon) {  // PRES-14
    WatchScene scene;
    scene.approved();
    scene.world.edge().at_once = false;
    scene.notify(scene.subscribes.back(), "active;expires=3600", pidf({{"phone", kOpen}}));
    scene.sent(4);
    const auto end_as = [&](link::Fate fate) {
        for (const link::Ticket ticket : std::exchange(scene.world.edge().tickets, {})) {
            scene.world.gateway().on_outcome({ticket, fate, link::Fault::kUnreachable, false});
        }
    };
    end_as(link::Fate::kInDoubt);
    scene.quiet(4, 1s);
    scene.world.pass(1s);
    EXPECT_EQ(scene.sent(6), kDeskGone);
    EXPECT_TRUE(has(scene.sent(7), "from='romeo@sip.example/phone'"));
    end_as(link::Fate::kFailed);
    scene.quiet(7, 59s);
}

// With the devices that have left, in either way: a client shows them until it is told so.
TEST(Watches, WhoIsGoneIsSaidAgain) {  // PRES-14
    for (const bool closed : {true, false}) {
        WatchScene scene;
        scene.approved(pidf({{"desk", kOpen}, {"phone", kOpen}}));
        scene.sent(3);
        scene.world.edge().at_once = false;
        const auto lose = [&](link::Fate fate) {
            for (const link::Ticket ticket : scene.world.edge().tickets) {
                scene.world.gateway().on_outcome({ticket, fate, link::Fault::kUnreachable, false});
            }
            scene.world.edge().tickets.clear();
            scene.world.gateway().on_partner({link::PartnerNews::Kind::kUp,
                                              link::Fault::kNone,
                                              "sip.example",
                                              "xmpp.example",
                                              {}});
        };
        scene.world.edge().tickets.clear();
        std::vector<std::pair<std::string, std::string>> left{{"phone", kOpen}};
        if (closed) left.emplace_back("desk", kClosed);
        scene.notify(scene.subscribes.back(), "active;expires=3600", pidf(left));
        EXPECT_EQ(scene.sent(4), kDeskGone);
        lose(link::Fate::kFailed);
        EXPECT_EQ(scene.sent(5), kSubscribed);
        EXPECT_EQ(scene.sent(6), kDeskGone);
        EXPECT_TRUE(has(scene.sent(7), "from='romeo@sip.example/phone'"));
        scene.world.pass(50s);  // that was lost, too, and comes to light late
        lose(link::Fate::kInDoubt);
        EXPECT_EQ(scene.sent(9), kDeskGone);
        scene.sent(10);
        // Who is back is gone no more; who was heard to be gone is not said to be so for ever.
        scene.notify(scene.subscribes.back(), "active;expires=3600",
                     pidf({{"phone", kOpen}, {"desk", kOpen}}));
        EXPECT_EQ(scene.sent(11), kDesk);
        scene.notify(scene.subscribes.back(), "active;expires=3600", pidf({{"desk", kOpen}}));
        const std::string phone_gone = scene.sent(12);
        EXPECT_TRUE(has(phone_gone,
                        "romeo@sip.example/phone' to='juliet@xmpp.example' "
                        "type='unavailable'"));
        lose(link::Fate::kFailed);
        EXPECT_EQ(scene.sent(13), kSubscribed);
        EXPECT_EQ(scene.sent(14), phone_gone);
        EXPECT_EQ(scene.sent(15), kDesk);
        scene.quiet(15, kGoneKept + 1s);
        scene.notify(scene.subscribes.back(), "active;expires=3600",
                     pidf({{"desk", kOpen + "<note>again</note>"}}));
        scene.sent(16);
        lose(link::Fate::kFailed);
        EXPECT_TRUE(has(scene.sent(18), "from='romeo@sip.example/desk'"));
        scene.quiet(18);
    }
}

// And by the next process, if he may not have heard it from this one.
TEST(Watches, WhoIsGoneIsSaidAgainAfterARestart) {  // PRES-14
    const auto disk = test::make_store();
    {
        WatchScene scene({}, 1, disk.get());
        scene.approved(pidf({{"desk", kOpen}, {"phone", kOpen}}));
        scene.sent(3);
        scene.notify(scene.subscribes.back(), "active;expires=3600", pidf({{"phone", kOpen}}));
        EXPECT_EQ(scene.sent(4), kDeskGone);
        scene.world.pass(1s);
        disk->crash([] { return true; });
    }
    disk->restart();
    WatchScene scene({}, 1, disk.get());
    scene.notify(scene.subscribe(1), "active;expires=3600", pidf({{"phone", kOpen}}));
    EXPECT_TRUE(has(scene.sent(1), "from='romeo@sip.example/phone'"));
    EXPECT_EQ(scene.sent(2), kDeskGone);
    scene.quiet(2);
}

// The contact has gone while nobody was subscribed, and his server has nothing of him: what was
// told before is true no longer. Of what the row may lack, the user is told, too.
TEST(Watches, WhoWentBetweenTwoDialogsIsGone) {  // PRES-18
    for (const bool is_kept : {true, false}) {
        const auto disk = test::make_store();
        {
            WatchScene scene({}, 1, disk.get());
            scene.stanza("subscribe");
            scene.notify(scene.subscribe(1), "active;expires=3600",
                         is_kept ? pidf({{"desk", kOpen}}) : "");
            scene.sent(is_kept ? 2 : 1);
            scene.world.pass(1s);
            disk->crash([] { return true; });
        }
        disk->restart();
        WatchScene scene({}, 1, disk.get());
        const std::string first = scene.subscribe(1);
        std::size_t told = 1;
        if (is_kept) {  // who asks meanwhile hears of what is true now
            scene.stanza("probe", "balcony");
            scene.notify(first, "active;expires=3600");
            EXPECT_EQ(scene.sent(told++), kDeskGone);
            EXPECT_TRUE(has(scene.sent(told), "to='juliet@xmpp.example/balcony' type='unav"));
        } else {
            scene.notify(first, "pending;expires=3600");
            scene.quiet(0);
            scene.notify(first, "active;expires=3600");
            EXPECT_EQ(scene.sent(told),
                      "<presence from='romeo@sip.example' to='juliet@xmpp.example' "
                      "type='unavailable'/>");
        }
        scene.notify(first, "active;expires=3600");
        scene.quiet(told);
        scene.notify(first, "active;expires=3600", pidf({{"desk", kOpen}}));
        EXPECT_EQ(scene.sent(++told), kDesk);
        scene.notify(first, "pending;expires=3600");  // a later one says nothing new
        scene.notify(first, "active;expires=3600");
        scene.quiet(told);
    }
}

// A document of another kind is refused, and is not "nothing".
TEST(Watches, WhatIsRefusedTakesNothingBack) {  // PRES-17
    const auto disk = test::make_store();
    {
        WatchScene scene({}, 1, disk.get());
        scene.approved();
        scene.world.pass(1s);
        disk->crash([] { return true; });
    }
    disk->restart();
    WatchScene scene({}, 1, disk.get());
    const std::string first = scene.subscribe(1);
    EXPECT_EQ(scene.notify(first, "active", "x", "Content-Type: text/plain\r\n"),
              "SIP/2.0 415 Unsupported Media Type");
    scene.quiet(0);
}

// However many come and go.
TEST(Watches, WhoIsGoneIsBounded) {
    const auto disk = test::make_store();
    WatchScene scene({}, 1, disk.get());
    scene.approved();
    std::size_t told = 2;
    for (int i = 0; i < 40; ++i) {
        const std::string name = "device-" + std::to_string(i) + std::string(900, 'x');
        scene.notify(scene.subscribes.back(), "active;expires=3600", pidf({{name, kOpen}}));
        told += 2;  // and the one before it is gone
        scene.sent(told);
    }
    scene.world.pass(1s);
    const store::Change* row =
        disk->find(store::Kind::kWatch, "juliet@xmpp.example", "romeo@sip.example");
    ASSERT_NE(row, nullptr);
    EXPECT_LE(row->row().detail.size(), 1 + 1'024 + kGoneBytes);
    EXPECT_GE(row->row().detail.size(), kGoneBytes);
    scene.world.pass(kGoneKept);
    scene.notify(scene.subscribes.back(), "active;expires=3600", pidf({{"desk", kOpen}}));
    scene.sent(told + 2);
    scene.world.pass(1s);
    EXPECT_LE(row->row().detail.size(), 1 + 2 * 1'024u);
}

// RFC 6665 4.2.2: its NOTIFYs of that time had no answer, and it may have let go of the dialog.
TEST(Watches, AServerThatWasAwayIsAskedWhetherItRemembers) {
    for (const auto& [away, asks] : {std::pair(60s, true), std::pair(5s, false)}) {
        WatchScene scene;
        scene.approved();
        scene.stop();
        scene.world.pass(away);
        scene.play();
        if (asks) {
            const std::string refresh = scene.subscribe(2);
            EXPECT_EQ(header_of(refresh, "To"), "<sip:romeo@sip.example>;tag=peer");
            scene.notify(refresh, "active;expires=3600");
        }
        scene.world.pass(60s);
        EXPECT_EQ(scene.subscribes.size(), asks ? 2u : 1u);
        EXPECT_EQ(scene.stanzas().size(), 2u);  // nobody was told
    }
}

// Also who only waits to try again.
TEST(Watches, ARevokedPolicyEndsIt) {  // U6, ERR-L5
    auto settings = test::base_settings();
    const auto before = test::compile(settings);
    settings.emplace_back("policy/global/xmpp_access", "no");
    const auto after = test::compile(settings);
    for (const bool waits : {false, true}) {
        WatchScene scene;
        scene.approved();
        if (waits) {
            scene.notify(scene.subscribes.back(), "terminated;reason=probation;retry-after=600");
            EXPECT_TRUE(has(scene.sent(3), "type='unavailable'"));
        }
        scene.world.gateway().reload(*after);
        EXPECT_TRUE(has(scene.sent(3), "type='unavailable'"));
        scene.world.pass(5s);
        const std::size_t asked = scene.subscribes.size();
        EXPECT_EQ(asked, waits ? 1u : 2u);
        // PRES-44: the last NOTIFY comes behind the 200, has a document, and is for nobody.
        if (!waits)
            scene.notify(scene.subscribe(2), "terminated;reason=timeout", pidf({{"desk", kOpen}}));
        scene.world.pass(3h);
        EXPECT_EQ(scene.stanzas().size(), 3u);
        EXPECT_EQ(scene.subscribes.size(), asked);
        scene.world.gateway().reload(*before);
        EXPECT_EQ(header_of(scene.subscribe(asked + 1), "Expires"), "3600");
    }
}

// Whom our user has not added is not kept for ever.
TEST(Watches, NobodyIsHeldForMoreThanADay) {  // PRES-39, SEC-4
    WatchScene scene(Settings{{"partner/xmpp.example/type", "public_unverified"}});
    scene.stanza("subscribe");
    scene.quiet(0, 23h);
    EXPECT_EQ(scene.world.gateway().status().watches, 1u);
    EXPECT_TRUE(has(scene.sent(1, 2h), "<policy-violation"));
    EXPECT_EQ(scene.world.gateway().status().watches, 0u);
    EXPECT_TRUE(scene.subscribes.empty());
}

TEST(Watches, AnOutageIsToldWhenItLasts) {  // R12
    WatchScene scene(Settings{{"presence.lost_after", "5s"}});
    scene.approved();
    scene.stop();
    EXPECT_TRUE(has(scene.sent(3, 20s), "can't be reached since "));
}

TEST(Watches, AnOutageIsToldWithItsReason) {  // R12
    WatchScene scene;
    scene.approved();
    scene.stop();
    scene.world.pass(60s);
    EXPECT_EQ(scene.stanzas().size(), 2u);  // it may be short
    const std::string gone = scene.sent(3, 120s);
    EXPECT_TRUE(has(gone, "from='romeo@sip.example/desk'")) << gone;
    EXPECT_TRUE(has(gone, "type='unavailable'")) << gone;
    EXPECT_TRUE(has(gone, ">sip.example can't be reached since ")) << gone;
    EXPECT_TRUE(has(gone, " UTC: connection refused</status>")) << gone;
    scene.quiet(3, 600s);
    scene.play();
    const std::string again = scene.subscribe(scene.subscribes.size() + 1, 60s);
    EXPECT_EQ(header_of(again, "To"), "<sip:romeo@sip.example>;tag=peer");
    EXPECT_EQ(scene.notify(again, "active;expires=3600", pidf({{"desk", kOpen}})),
              "SIP/2.0 200 OK");
    EXPECT_EQ(scene.sent(4), kDesk);
    // Over a refresh: the dialog is lost, and comes back long before the next try is due.
    scene.stop();
    EXPECT_TRUE(has(scene.sent(5, 300s), "can't be reached since"));
    scene.quiet(5, 7'200s);
    scene.play();
    const std::string anew = scene.subscribe(scene.subscribes.size() + 1, 60s);
    EXPECT_EQ(header_of(anew, "To"), "<sip:romeo@sip.example>");
    EXPECT_EQ(scene.notify(anew, "active;expires=3600"), "SIP/2.0 200 OK");
    EXPECT_EQ(scene.sent(6), kUnavailable);  // nothing is known, but the note is true no longer
    scene.quiet(6);
}

const store::Change* row_of(const store::Memory& disk, const std::string& user = "juliet") {
    return disk.find(store::Kind::kWatch, user + "@xmpp.example", "romeo@sip.example");
}

TEST(Watches, SurviveARestart) {  // PRES-31, PRES-33, R4: nobody is asked again
    for (const std::uint32_t shards : {1u, 4u}) {
        const auto disk = test::make_store(shards);
        {
            WatchScene scene({}, shards, disk.get());
            scene.approved(pidf({{"desk", kOpen}, {"phone", kOpen}}));
            scene.sent(3);
            scene.stanza("subscribe", {}, "nurse");
            scene.notify(scene.subscribe(2), "pending");
            scene.world.pass(1s);
            ASSERT_NE(row_of(*disk), nullptr);
            EXPECT_EQ(row_of(*disk)->auth, 3);
            EXPECT_EQ(row_of(*disk, "nurse")->auth, 1);
            disk->crash([] { return true; });
        }
        disk->restart();
        WatchScene scene({}, shards, disk.get());
        scene.subscribe(2);
        const bool first = has(header_of(scene.subscribes[0], "From"), "juliet");
        const std::string of_juliet = scene.subscribes[first ? 0 : 1];
        const std::string of_nurse = scene.subscribes[first ? 1 : 0];
        scene.notify(of_juliet, "active", pidf({{"desk", kOpen}}));
        EXPECT_EQ(scene.sent(1), kDesk);  // and no `subscribed`
        EXPECT_EQ(scene.sent(2),          // it was announced before
                  "<presence from='romeo@sip.example/phone' to='juliet@xmpp.example' "
                  "type='unavailable'></presence>");
        scene.notify(of_nurse, "active");
        EXPECT_TRUE(has(scene.sent(3), "to='nurse@xmpp.example' type='subscribed'"));
        scene.quiet(3);
        scene.stanza("unsubscribe");
        scene.sent(5);
        scene.world.pass(1s);
        EXPECT_EQ(row_of(*disk), nullptr);
    }
}

// What goes to another node of the pool is forgotten without a word, and is there when it returns.
TEST(Watches, AnotherNodeGoesOnWithThem) {  // PRES-31, R4
    const auto of_shard = [](const store::Row&) { return 0U; };
    store::Memory disk(1, of_shard, {.shared = true});
    WatchScene scene({}, 1, &disk);
    const std::string old = scene.approved();
    scene.world.pass(1s);
    disk.lose(~Slots());
    scene.quiet(2);
    EXPECT_EQ(scene.world.gateway().status().watches, 0U);
    EXPECT_EQ(scene.subscribes.size(), 1U);
    EXPECT_TRUE(scene.notify(old, "active;expires=3600", pidf({{"desk", kClosed}}))
                    .starts_with("SIP/2.0 481 "));
    // Nothing is said of what another one knows: no `unsubscribed`, no `unavailable`.
    for (const std::string type : {"subscribe", "unsubscribe", "probe"}) {
        const std::size_t before = scene.stanzas().size();
        scene.stanza(type);
        const std::string refused = scene.sent(before + 1);
        EXPECT_TRUE(has(refused, "type='error'")) << refused;
        EXPECT_TRUE(has(refused, "resource-constraint")) << refused;
    }
    ASSERT_NE(row_of(disk), nullptr);
    EXPECT_EQ(row_of(disk)->auth, 3);
    const std::size_t said = scene.stanzas().size();
    disk.gain(~Slots());
    scene.notify(scene.subscribe(2), "active;expires=3600", pidf({{"desk", kOpen}}));
    EXPECT_EQ(scene.sent(said + 1), kDesk);  // and no `subscribed`
    scene.quiet(said + 1);
}

// As fast as the pool answers; one that does not is not swamped, and does not hold up all others.
TEST(Watches, AfterARestartThePoolDecidesHowFast) {  // R4
    constexpr std::size_t kMany = 3'000;
    const auto plant = [](store::Memory& disk) {
        for (std::size_t i = 0; i < kMany; ++i) {
            disk.plant({.kind = store::Kind::kWatch,
                        .xmpp = "juliet" + std::to_string(i) + "@xmpp.example",
                        .sip = "romeo@sip.example",
                        .auth = static_cast<std::uint8_t>(Approval::kTold),
                        .detail = "1"});
        }
    };
    const auto disk = test::make_store();
    plant(*disk);
    WatchScene quick({}, 1, disk.get());
    EXPECT_TRUE(quick.world.until([&] { return quick.subscribes.size() == kMany; }, 1s))
        << quick.subscribes.size();
    const auto silent_disk = test::make_store();
    plant(*silent_disk);
    WatchScene silent({}, 1, silent_disk.get());
    silent.status = 0;
    silent.world.pass(1s);
    EXPECT_GE(silent.subscribes.size(), kSubscribesUnanswered);
    EXPECT_LE(silent.subscribes.size(), kSubscribesUnanswered + kSubscribesPerSecondSlow);
    silent.world.pass(1s);
    EXPECT_GE(silent.subscribes.size(), kSubscribesUnanswered + kSubscribesPerSecondSlow);
}

// Millions are not to hold up all others: they are gone at once, and freed little by little.
TEST(Watches, WhatIsAnothersIsFreedInPortions) {  // R4
    constexpr std::size_t kMany = 4'096;
    constexpr std::size_t kPortion = 1'024;
    const auto of_shard = [](const store::Row&) { return 0U; };
    store::Memory disk(1, of_shard, {.shared = true});
    for (std::size_t i = 1; i < kMany; ++i) {
        disk.plant({.kind = store::Kind::kWatch,
                    .xmpp = "juliet" + std::to_string(i) + "@xmpp.example",
                    .sip = "romeo@sip.example",
                    .auth = static_cast<std::uint8_t>(Approval::kTold),
                    .detail = "0"});
    }
    WatchScene scene({}, 1, &disk);
    const auto count = [&] { return scene.world.gateway().status().watches; };
    ASSERT_TRUE(scene.world.until([&] { return count() == kMany - 1; }));
    scene.world.pass(1s);
    const std::string first = scene.approved();  // the last one
    scene.world.pass(1s);
    const std::size_t said = scene.stanzas().size();
    disk.lose(~Slots());
    EXPECT_EQ(count(), kMany);
    EXPECT_TRUE(has(scene.notify(first, "active", pidf({{"desk", kClosed}})), " 481 "));
    EXPECT_GE(count(), kMany - 2 * kPortion);
    EXPECT_TRUE(scene.world.until([&] { return count() == 0; }, 50ms));
    EXPECT_EQ(scene.stanzas().size(), said);
    // Those that come again before they were freed are new.
    disk.gain(~Slots());
    ASSERT_EQ(count(), kMany);
    const std::string second = scene.subscribe(2);
    disk.lose(~Slots());
    disk.gain(~Slots());
    EXPECT_EQ(count(), kMany);
    EXPECT_TRUE(has(scene.notify(second, "active", pidf({{"desk", kOpen}})), " 481 "));
    const std::string third = scene.subscribe(3);
    EXPECT_TRUE(has(scene.notify(third, "active", pidf({{"desk", kOpen}})), " 200 "));
    scene.world.pass(1s);
    EXPECT_EQ(count(), kMany);
}

TEST(Watches, WhatIsRestoredCounts) {  // SEC-4
    const auto disk = test::make_store();
    disk->plant({.kind = store::Kind::kWatch,
                 .xmpp = "juliet@xmpp.example",
                 .sip = "mercutio@sip.example",
                 .auth = 3,
                 .detail = "0"});
    WatchScene scene(Settings{{"sec.subscriptions_per_watcher", "1"}}, 1, disk.get());
    scene.stanza("subscribe");
    EXPECT_TRUE(has(scene.sent(1), "type='wait' by='sip.example'><resource-constraint"));
    EXPECT_TRUE(scene.subscribes.empty());
    scene.stanza("subscribe", {}, "nurse");
    scene.subscribe(1);
}

TEST(Watches, ARowThatCouldNotBeErasedIsErasedLater) {  // PRES-43
    const auto disk = test::make_store();
    WatchScene scene({}, 1, disk.get());
    scene.approved();
    scene.world.pass(1s);
    ASSERT_NE(row_of(*disk), nullptr);
    disk->set_failing(true);
    for (std::size_t i = 0;
         disk->door(0).erase(store::Kind::kWatcher, "f" + std::to_string(i), "romeo@sip.example");
         ++i) {
    }
    scene.stanza("unsubscribe");
    EXPECT_EQ(header_of(scene.subscribe(2), "Expires"), "0");
    scene.world.pass(5s);
    EXPECT_NE(row_of(*disk), nullptr);
    EXPECT_EQ(scene.stanzas().size(), 3u);  // he waits for the word that it is over
    disk->set_failing(false);
    EXPECT_TRUE(has(scene.sent(4), "type='unsubscribed'"));
    EXPECT_EQ(row_of(*disk), nullptr);
    EXPECT_TRUE(
        scene.world.until([&] { return scene.world.gateway().status().watches == 0; }, 60s));
}

TEST(Watches, WhatIsPromisedIsOnDisk) {  // PRES-31
    const auto disk = test::make_store();
    WatchScene scene({}, 1, disk.get());
    scene.stanza("subscribe");
    const std::string first = scene.subscribe(1);
    scene.world.pass(1s);
    disk->set_failing(true);
    scene.notify(first, "active", pidf({{"desk", kOpen}}));
    scene.notify(first, "active", pidf({{"phone", kOpen}}));
    scene.quiet(0);  // `subscribed` waits for the disk, and presence for that
    scene.stanza("subscribe", {}, "nurse");
    EXPECT_TRUE(has(scene.sent(1), "type='wait' by='sip.example'><resource-constraint"));
    disk->set_failing(false);
    EXPECT_EQ(scene.sent(2), kSubscribed);
    EXPECT_TRUE(has(scene.sent(3), "from='romeo@sip.example/phone'"));  // the last document
    scene.quiet(3);
}

TEST(Watches, AWordThatWasNotSaidIsSaidAfterTheRestart) {  // PRES-31
    const auto disk = test::make_store();
    disk->plant({.kind = store::Kind::kWatch,
                 .xmpp = "juliet@xmpp.example",
                 .sip = "romeo@sip.example",
                 .auth = 2,
                 .detail = "1"});
    disk->plant({.kind = store::Kind::kWatch,
                 .xmpp = "nurse@xmpp.example",
                 .sip = "romeo@sip.example",
                 .auth = 3,
                 .detail = "0"});  // of no interest to her: nothing is asked
    WatchScene scene({}, 1, disk.get());
    scene.notify(scene.subscribe(1), "active", pidf({{"desk", kOpen}}));
    EXPECT_EQ(scene.sent(1), kSubscribed);
    EXPECT_EQ(scene.sent(2), kDesk);
    scene.quiet(2);
    EXPECT_EQ(scene.subscribes.size(), 1u);
    EXPECT_EQ(scene.world.gateway().status().watches, 2u);
}

// A stanza that others wait for did not go: this is told, and the tests behind it run.
TEST(Watches, NoStanzaAtAllIsAFailureLikeOthers) {
    WatchScene scene;
    EXPECT_NONFATAL_FAILURE(scene.quiet(1, 1s), "none at all");
}

}  // namespace
}  // namespace fedgate::gateway
