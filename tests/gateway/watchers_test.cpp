// SIP users watch XMPP contacts: interworking section 6.3, through the whole gateway.
#include "appliance/gateway/watchers.hpp"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/conversation.hpp"
#include "appliance/gateway/key.hpp"
#include "appliance/gateway/watcher.hpp"
#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

struct Wish {
    std::string call_id = "watch-1";
    std::string contact = "juliet";
    std::string user = "romeo";
    std::string expires = "600";
    std::string headers = {};
    std::string event = "presence";
    std::string domain = "xmpp.example";
    int cseq = 0;  // 0: the next one
};

// A SIP client behind its server, which watches; and a partner's contacts.
class Scene {
public:
    explicit Scene(const Settings& more = {}, std::uint32_t shards = 1,
                   store::Memory* store = nullptr, const sip::KeySecret& secret = {7, 11})
        : world(more, shards, nullptr, {}, {}, store, secret), peer(world.peer()), store_(store) {
        peer->answer = [this](const sip::Message& request) {
            if (request.method != sip::Method::kNotify) return 200;
            notifies.emplace_back(request.bytes);
            return notify_status;
        };
    }

    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;
    ~Scene() {  // the store outlives the shards that it knows
        if (store_ != nullptr) store_->crash([] { return true; });
    }

    // Sends a SUBSCRIBE and gives the answer to it. `to_tag`: of its dialog.
    std::string subscribe(const Wish& wish = Wish(), const std::string& to_tag = {}) {
        const std::size_t before = peer->responses.size();
        const std::string uri = "sip:" + wish.contact + "@" + wish.domain;
        const std::string cseq = std::to_string(wish.cseq != 0 ? wish.cseq : ++cseq_);
        std::string request =
            "SUBSCRIBE " + uri + " SIP/2.0\r\nVia: SIP/2.0/TCP 10.99.0.1:5070;branch=z9hG4bKs" +
            cseq + "\r\nMax-Forwards: 70\r\nFrom: <sip:" + wish.user + "@sip.example>;tag=f-" +
            wish.call_id + "\r\nTo: <" + uri + ">" + (to_tag.empty() ? "" : ";tag=" + to_tag) +
            "\r\nCall-ID: " + wish.call_id + "\r\nCSeq: " + cseq +
            " SUBSCRIBE\r\nContact: <sip:" + wish.user + "@10.99.0.1:5070;transport=tcp>\r\n";
        if (!wish.event.empty()) request += "Event: " + wish.event + "\r\n";
        if (!wish.expires.empty()) request += "Expires: " + wish.expires + "\r\n";
        request += wish.headers + "Content-Length: 0\r\n\r\n";
        peer->send_tcp(world.sip_address(), request);
        const bool came = world.until([&] { return peer->responses.size() > before; });
        EXPECT_TRUE(came) << world.log();
        return came ? peer->responses.back() : std::string();
    }
    static std::string tag_of(const std::string& answer) {
        const std::string to = header_of(answer, "To");
        return to.substr(to.find(";tag=") + 5);
    }
    // A stanza of the contact, at any shard, which takes it to its owner.
    void stanza(const std::string& type, const std::string& content = {},
                const std::string& resource = {}, const std::string& id = "s1",
                const std::string& contact = "juliet") {
        const std::string text =
            "<presence from='" + contact + "@xmpp.example" +
            (resource.empty() ? "" : "/" + resource) + "' to='romeo@sip.example' id='" + id + "'" +
            (type.empty() ? "" : " type='" + type + "'") + ">" + content + "</presence>";
        EXPECT_TRUE(world.give(text));
    }
    // Waits for the n-th NOTIFY, and gives it.
    std::string notify(std::size_t n, Duration at_most = 30s) {
        const bool came = world.until([&] { return notifies.size() >= n; }, at_most);
        EXPECT_TRUE(came) << "NOTIFY " << n << "\n" << world.log();
        return came ? notifies[n - 1] : std::string();
    }
    std::vector<std::string> stanzas() {
        std::vector<std::string> all;
        for (auto& edge : world.edges) {
            all.insert(all.end(), edge->stanzas.begin(), edge->stanzas.end());
        }
        return all;
    }
    std::string sent(std::size_t n) {
        const bool came = world.until([&] { return stanzas().size() >= n; });
        EXPECT_TRUE(came) << "stanza " << n << "\n" << world.log();
        return came ? stanzas()[n - 1] : std::string();
    }
    // Asked and approved; the tag of the dialog. Two NOTIFYs have come, one stanza has gone.
    std::string approved() {
        const std::string answer = subscribe();
        notify(1);
        sent(1);
        stanza("subscribed");
        EXPECT_TRUE(has(notify(2), "Subscription-State: active"));
        return tag_of(answer);
    }

    World world;
    std::unique_ptr<test::SipPhone> peer;
    std::vector<std::string> notifies;
    int notify_status = 200;
    // All that has come, when nothing more does.
    std::size_t quiet(Duration time = 10s) {
        world.pass(time);
        return notifies.size();
    }

private:
    store::Memory* store_;
    int cseq_ = 0;
    int branch_ = 0;
};

// The whole of RFC 8048 5.3.1 and 6.2, on one shard and on four.
TEST(Watchers, FromTheWishToTheDocument) {  // PRES-60, PRES-63, PRES-65, R1
    for (const std::uint32_t shards : {1u, 4u}) {
        Scene scene({}, shards);
        const std::string answer = scene.subscribe();
        EXPECT_TRUE(answer.starts_with("SIP/2.0 200 ")) << answer;
        EXPECT_EQ(header_of(answer, "Expires"), "600");
        EXPECT_TRUE(has(header_of(answer, "Contact"), "sip:juliet@gw.example")) << answer;
        const std::string first = scene.notify(1);
        EXPECT_TRUE(first.starts_with("NOTIFY sip:romeo@10.99.0.1:5070;transport=tcp SIP/2.0\r\n"));
        EXPECT_EQ(header_of(first, "Subscription-State"), "pending;expires=600");
        EXPECT_EQ(header_of(first, "Event"), "presence");
        EXPECT_EQ(header_of(first, "Content-Length"), "0");
        EXPECT_EQ(header_of(first, "Call-ID"), "watch-1");
        EXPECT_TRUE(has(header_of(first, "From"), ";tag=" + Scene::tag_of(answer)));
        EXPECT_TRUE(has(header_of(first, "To"), ";tag=f-watch-1"));
        EXPECT_TRUE(has(scene.sent(1),
                        "type='subscribe' from='romeo@sip.example' to='juliet@xmpp.example'") ||
                    has(scene.sent(1), "to='juliet@xmpp.example'"))
            << scene.sent(1);
        scene.stanza("subscribed");
        const std::string second = scene.notify(2);
        EXPECT_TRUE(header_of(second, "Subscription-State").starts_with("active;expires="));
        EXPECT_EQ(header_of(second, "Content-Length"), "0");
        scene.stanza("", "<show>away</show><status>be right back</status>", "balcony");
        const std::string third = scene.notify(3);
        EXPECT_EQ(header_of(third, "Content-Type"), "application/pidf+xml");
        EXPECT_TRUE(has(body_of(third), "entity='pres:juliet@xmpp.example'")) << third;
        EXPECT_TRUE(has(body_of(third), "<tuple id='ID-balcony'>"));
        EXPECT_TRUE(has(body_of(third), "be right back"));
        EXPECT_EQ(scene.stanzas().size(), 1u);
    }
}

// Prosody answers <subscribe/> with it at once; a document that says so would be wrong for 5 s.
TEST(Watchers, UnavailableBeforeTheApprovalIsNoState) {  // PRES-63, PRES-65
    Scene scene;
    scene.subscribe();
    scene.notify(1);
    scene.sent(1);
    scene.stanza("unavailable");
    scene.stanza("subscribed");
    EXPECT_EQ(header_of(scene.notify(2), "Content-Length"), "0");
    scene.stanza("", "", "balcony");
    EXPECT_TRUE(has(body_of(scene.notify(3, 1s)), "<basic>open</basic>"));
}

TEST(Watchers, WhatIsRefusedAtOnce) {  // PRES-72, PRES-73, PRES-74, SEC-4, R9, R10
    struct Row {
        const char* what;
        Wish wish;
        const char* status;
        const char* header;
    };
    Wish plain;
    const auto wish = [&](auto&& change) {
        Wish one = plain;
        change(one);
        return one;
    };
    const Row rows[] = {
        {"PRES-72", wish([](Wish& w) { w.event = "message-summary"; }), "489",
         "Allow-Events: presence"},
        {"PRES-72: none", wish([](Wish& w) { w.event = ""; }), "489", "Allow-Events: presence"},
        {"PRES-73", wish([](Wish& w) { w.headers = "Accept: text/xml+msrtc.pidf\r\n"; }), "406",
         "Accept: application/pidf+xml"},
        {"PRES-73: it is among them", wish([](Wish& w) {
             w.headers =
                 "Accept: text/xml+msrtc.pidf, application/xpidf+xml\r\n"
                 "Accept: application/pidf+xml;q=0.1\r\n";
         }),
         "200", "Expires: 600"},
        {"PRES-74", wish([](Wish& w) { w.expires = "59"; }), "423", "Min-Expires: 60"},
        {"PRES-74: no number", wish([](Wish& w) { w.expires = "soon"; }), "400", ""},
        {"PRES-60: at most an hour", wish([](Wish& w) { w.expires = "28800"; }), "200",
         "Expires: 3600"},
        {"PRES-60: nothing asked for", wish([](Wish& w) { w.expires = ""; }), "200",
         "Expires: 3600"},
        {"nobody's partner", wish([](Wish& w) { w.domain = "stranger.example"; }), "403", ""},
        {"R9: what Lync offers", wish([](Wish& w) {
             w.headers =
                 "Supported: ms-benotify\r\nProxy-Require: ms-benotify\r\n"
                 "Supported: ms-piggyback-first-notify\r\n"
                 "Supported: com.microsoft.autoextend\r\n";
         }),
         "200", "Expires: 600"},
    };
    for (const Row& row : rows) {
        Scene scene;
        const std::string answer = scene.subscribe(row.wish);
        EXPECT_TRUE(answer.starts_with(std::string("SIP/2.0 ") + row.status)) << row.what << answer;
        EXPECT_TRUE(has(answer, row.header)) << row.what << "\n" << answer;
        const bool taken = std::string(row.status) == "200";
        EXPECT_EQ(scene.quiet(1s), taken ? 1u : 0u) << row.what;
        EXPECT_EQ(scene.stanzas().size(), taken ? 1u : 0u) << row.what;
    }
}

TEST(Watchers, PolicyDecidesAsForMessages) {  // SEC-4, P4
    Scene scene(Settings{{"policy/global/xmpp_access", "no"}});
    EXPECT_TRUE(scene.subscribe().starts_with("SIP/2.0 403 "));
    EXPECT_TRUE(scene.stanzas().empty());
}

TEST(Watchers, ARevokedPolicyEndsIt) {  // U6, P8, ERR-46
    const Settings revoked = {{"policy/global/xmpp_access", "no"},
                              {"partner/xmpp.example/stanzas", "message,iq"}};
    for (const auto& change : revoked) {
        Scene scene({}, 4);
        scene.approved();
        scene.stanza("", "", "balcony");
        scene.notify(3);
        auto settings = test::base_settings();
        const auto before = test::compile(settings);
        settings.push_back(change);
        const auto after = test::compile(settings);
        for (auto& gateway : scene.world.gateways) gateway->reload(*after);
        EXPECT_EQ(header_of(scene.notify(4), "Subscription-State"), "terminated;reason=rejected");
        EXPECT_EQ(header_of(scene.notifies[3], "Content-Length"), "0");
        EXPECT_TRUE(has(scene.sent(2), "type='unavailable'"));
        scene.stanza("", "<show>dnd</show>", "balcony");
        EXPECT_EQ(scene.quiet(), 4u);
        EXPECT_TRUE(scene.subscribe({.call_id = "again"}).starts_with("SIP/2.0 403 "));
        for (auto& gateway : scene.world.gateways) gateway->reload(*before);
        scene.subscribe({.call_id = "later"});
        EXPECT_TRUE(has(scene.notify(5), "Subscription-State: active"));
    }
}

TEST(Watchers, WithoutNotesStatesHaveNone) {  // P8
    for (const bool notes : {true, false}) {
        Scene scene(
            Settings{{"partner/xmpp.example/stanzas", notes ? "presence,notes" : "presence"}});
        scene.approved();
        scene.stanza("", "<show>away</show><status>in the garden</status>", "balcony");
        const std::string notify = scene.notify(3);
        EXPECT_TRUE(has(notify, "away")) << notify;
        EXPECT_EQ(has(notify, "in the garden"), notes) << notify;
    }
}

TEST(Watchers, FiveDialogsOfOnePair) {  // SEC-4, PRES-79
    Scene scene;
    for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(
            scene.subscribe({.call_id = "w" + std::to_string(i)}).starts_with("SIP/2.0 200 "));
    }
    EXPECT_TRUE(scene.subscribe({.call_id = "w5"}).starts_with("SIP/2.0 403 "));
    scene.notify(5);
    EXPECT_EQ(scene.sent(1), scene.stanzas().back());  // asked once
    scene.stanza("subscribed");
    scene.notify(10);
    scene.stanza("", "", "balcony");
    scene.notify(15);
    for (std::size_t i = 10; i < 15; ++i) {
        EXPECT_EQ(body_of(scene.notifies[i]), body_of(scene.notifies[10]));
        EXPECT_TRUE(has(scene.notifies[i], "<basic>open</basic>"));
    }
    EXPECT_EQ(scene.quiet(), 15u);
}

TEST(Watchers, TheSameRequestByAnotherWay) {  // SIP-11
    Scene scene;
    EXPECT_TRUE(scene.subscribe({.cseq = 7}).starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(scene.subscribe({.cseq = 7}).starts_with("SIP/2.0 482 "));
    EXPECT_EQ(scene.quiet(), 1u);
}

TEST(Watchers, ADeclineEndsIt) {  // PRES-64, PRES-62, R11
    Scene scene;
    scene.subscribe();
    scene.notify(1);
    scene.stanza("unsubscribed");
    const std::string last = scene.notify(2);
    EXPECT_EQ(header_of(last, "Subscription-State"), "terminated;reason=rejected");
    EXPECT_EQ(header_of(last, "Content-Length"), "0");
    const std::string again = scene.subscribe({.call_id = "watch-2"});
    EXPECT_TRUE(again.starts_with("SIP/2.0 403 ")) << again;
    EXPECT_EQ(scene.stanzas().size(), 1u);
    // An hour later he may ask again.
    scene.world.pass(3601s);
    EXPECT_TRUE(scene.subscribe({.call_id = "watch-3"}).starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(scene.sent(2), "type='subscribe'"));
}

TEST(Watchers, AnApprovalIsRevoked) {  // PRES-64
    Scene scene;
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    scene.stanza("unsubscribed");
    const std::string last = scene.notify(4);
    EXPECT_EQ(header_of(last, "Subscription-State"), "terminated;reason=rejected");
    EXPECT_EQ(header_of(last, "Content-Length"), "0");
    EXPECT_EQ(scene.quiet(), 4u);
}

TEST(Watchers, NobodyAskedForIt) {  // PRES-82
    Scene scene;
    scene.stanza("subscribed");
    scene.stanza("unsubscribed");
    scene.stanza("", "", "balcony");
    EXPECT_EQ(scene.quiet(), 0u);
    EXPECT_TRUE(scene.subscribe().starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(header_of(scene.notify(1), "Subscription-State").starts_with("pending"));
}

TEST(Watchers, WhoIsKnownToAgreeIsNotAskedAgain) {  // PRES-61
    Scene scene;
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    EXPECT_TRUE(scene.subscribe({.call_id = "second"}).starts_with("SIP/2.0 200 "));
    const std::string first = scene.notify(4);
    EXPECT_TRUE(header_of(first, "Subscription-State").starts_with("active;expires="));
    EXPECT_TRUE(has(body_of(first), "<tuple id='ID-balcony'>"));
    scene.world.pass(1s);
    EXPECT_EQ(scene.stanzas().size(), 1u);  // it is fresh
    scene.world.pass(120s);
    scene.subscribe({.call_id = "third"});
    EXPECT_TRUE(has(scene.sent(2), "type='probe'"));
}

TEST(Watchers, PresenceBeforeTheApprovalIsKeptAMinute) {  // PRES-65, PRES-63
    for (const bool late : {false, true}) {
        Scene scene;
        scene.subscribe();
        scene.notify(1);
        scene.stanza("", "", "balcony");
        scene.world.pass(late ? 90s : 5s);
        EXPECT_EQ(scene.notifies.size(), 1u);
        scene.stanza("subscribed");
        EXPECT_EQ(has(scene.notify(2), "<tuple id='ID-balcony'>"), !late);
    }
}

TEST(Watchers, ARefreshIsAnsweredWithTheState) {  // PRES-66, SIP-22
    Scene scene;
    const std::string tag = scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    const std::string answer = scene.subscribe({.expires = "900"}, tag);
    EXPECT_TRUE(answer.starts_with("SIP/2.0 200 ")) << answer;
    EXPECT_EQ(header_of(answer, "Expires"), "900");
    EXPECT_TRUE(has(header_of(answer, "Contact"), "sip:juliet@gw.example"));
    const std::string now = scene.notify(4);
    EXPECT_EQ(header_of(now, "Subscription-State"), "active;expires=900");
    EXPECT_TRUE(has(body_of(now), "<tuple id='ID-balcony'>"));
    EXPECT_EQ(scene.stanzas().size(), 1u);
    EXPECT_TRUE(scene.subscribe({.expires = "30"}, tag).starts_with("SIP/2.0 423 "));
    EXPECT_TRUE(scene.subscribe({.event = "presence;id=7"}, tag).starts_with("SIP/2.0 481 "));
    EXPECT_TRUE(scene.subscribe({.cseq = 1}, tag).starts_with("SIP/2.0 500 "));
    EXPECT_TRUE(scene.subscribe({.call_id = "other"}, tag).starts_with("SIP/2.0 481 "));
    // Nothing was heard for an hour.
    for (int i = 0; i < 5; ++i) {
        scene.world.pass(800s);
        EXPECT_TRUE(scene.subscribe({.expires = "900"}, tag).starts_with("SIP/2.0 200 "));
    }
    EXPECT_TRUE(has(scene.sent(2), "type='probe'"));
    EXPECT_EQ(scene.stanzas().size(), 2u);
}

TEST(Watchers, TheEventsIdIsRepeated) {  // SIP-23
    Scene scene;
    const std::string tag = Scene::tag_of(scene.subscribe({.event = "presence;id=7"}));
    EXPECT_EQ(header_of(scene.notify(1), "Event"), "presence;id=7");
    EXPECT_TRUE(scene.subscribe({}, tag).starts_with("SIP/2.0 481 "));
    EXPECT_TRUE(scene.subscribe({.event = "presence;id=7"}, tag).starts_with("SIP/2.0 200 "));
}

TEST(Watchers, HeLeaves) {  // PRES-67, PRES-79
    Scene scene;
    const std::string tag = scene.approved();
    const std::string second = Scene::tag_of(scene.subscribe({.call_id = "second"}));
    scene.notify(3);
    scene.stanza("", "", "balcony");
    scene.notify(5);
    std::size_t before = scene.stanzas().size();
    EXPECT_TRUE(scene.subscribe({.expires = "0"}, tag).starts_with("SIP/2.0 200 "));
    const std::string last = scene.notify(6);
    EXPECT_EQ(header_of(last, "Subscription-State"), "terminated;reason=timeout");
    EXPECT_TRUE(has(body_of(last), "<basic>closed</basic>")) << last;
    EXPECT_TRUE(has(body_of(last), "<tuple id='ID-balcony'>"));
    EXPECT_FALSE(has(last, "open"));
    scene.world.pass(5s);
    EXPECT_EQ(scene.stanzas().size(), before);  // the other one is there still
    EXPECT_TRUE(scene.subscribe({.expires = "0"}, tag).starts_with("SIP/2.0 481 "));
    EXPECT_TRUE(
        scene.subscribe({.call_id = "second", .expires = "0"}, second).starts_with("SIP/2.0 200 "));
    scene.notify(7);
    const std::string stanza = scene.sent(before + 1);
    EXPECT_TRUE(has(stanza, "type='unavailable'"));
    EXPECT_TRUE(has(stanza, "'romeo@sip.example'") && has(stanza, "'juliet@xmpp.example'"));
    scene.world.pass(5s);
    EXPECT_EQ(scene.stanzas().size(), before + 1);  // and no unsubscribe
}

TEST(Watchers, ItRunsOut) {  // PRES-68
    Scene scene;
    scene.approved();
    scene.world.pass(550s);
    EXPECT_EQ(scene.notifies.size(), 2u);
    EXPECT_EQ(header_of(scene.notify(3, 60s), "Subscription-State"), "terminated;reason=timeout");
    EXPECT_TRUE(has(scene.sent(2), "type='unavailable'"));
    EXPECT_EQ(scene.quiet(), 3u);
}

TEST(Watchers, APoll) {  // PRES-69, R14
    Scene scene;
    EXPECT_TRUE(scene.subscribe({.expires = "0"}).starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(scene.sent(1), "type='probe'"));
    EXPECT_TRUE(scene.notifies.empty());
    scene.stanza("", "<show>dnd</show>", "balcony");
    const std::string only = scene.notify(1, 500ms);
    EXPECT_EQ(header_of(only, "Subscription-State"), "terminated;reason=timeout");
    EXPECT_TRUE(has(body_of(only), "<basic>open</basic>"));
    EXPECT_EQ(scene.quiet(), 1u);
    // Nothing comes: two seconds, and no body.
    Scene silent;
    silent.subscribe({.expires = "0"});
    silent.world.pass(1900ms);
    EXPECT_TRUE(silent.notifies.empty());
    EXPECT_EQ(header_of(silent.notify(1, 200ms), "Content-Length"), "0");
    // What is known is told at once.
    Scene known;
    known.approved();
    known.stanza("", "", "balcony");
    known.notify(3);
    known.subscribe({.call_id = "poll", .expires = "0"});
    EXPECT_TRUE(has(known.notify(4, 500ms), "<tuple id='ID-balcony'>"));
    EXPECT_EQ(known.stanzas().size(), 1u);
    EXPECT_EQ(known.quiet(), 4u);
}

TEST(Watchers, WhatAnErrorSays) {  // PRES-70, PRES-83
    struct Row {
        const char* condition;
        const char* state;
    };
    const Row rows[] = {
        {"item-not-found", "noresource"},
        {"gone", "noresource"},
        {"forbidden", "rejected"},
        {"not-allowed", "rejected"},
        {"not-authorized", "rejected"},
        {"policy-violation", "rejected"},
        {"registration-required", "rejected"},
        {"subscription-required", "rejected"},
        {"remote-server-not-found", "probation;retry-after=300"},
        {"remote-server-timeout", "probation;retry-after=300"},
        {"recipient-unavailable", "probation;retry-after=300"},
        {"resource-constraint", "probation;retry-after=300"},
        {"internal-server-error", "probation;retry-after=300"},
        {"service-unavailable", "noresource"},
    };
    for (const Row& row : rows) {
        Scene scene;
        scene.subscribe();
        scene.notify(1);
        const std::string asked = scene.sent(1);
        const std::string id = asked.substr(asked.find(" id='") + 5, 32);
        const std::string error = std::string("<error type='cancel'><") + row.condition +
                                  " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        scene.stanza("error", error, {}, "another");  // of a presence of the other direction
        EXPECT_EQ(scene.quiet(1s), 1u);
        scene.stanza("error", error, {}, id);
        EXPECT_EQ(header_of(scene.notify(2), "Subscription-State"),
                  std::string("terminated;reason=") + row.state);
        scene.subscribe({.call_id = "watch-2"});  // as if it had never been
        EXPECT_TRUE(has(scene.sent(2), "type='subscribe'")) << row.condition;
    }
}

TEST(Watchers, AllResourcesNewestFirst) {  // PRES-13, R6
    Scene scene;
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    scene.stanza("", "<show>away</show>", "garden");
    std::string document = body_of(scene.notify(4));
    EXPECT_LT(document.find("ID-garden"), document.find("ID-balcony"));
    EXPECT_NE(document.find("ID-balcony"), std::string::npos);
    scene.world.pass(6s);
    scene.stanza("unavailable", "", "garden");
    document = body_of(scene.notify(5));
    EXPECT_FALSE(has(document, "ID-garden"));
    scene.stanza("unavailable", "", "balcony");
    document = body_of(scene.notify(6, 1s));
    EXPECT_TRUE(has(document, "<tuple id='ID-balcony'><status><basic>closed"));
}

// What a server of Lync asks with, and how it is answered: one tuple, in PIDF, although it prefers
// others; nothing in the 200, and no BENOTIFY (SESS-46).
TEST(Watchers, ALyncDomainIsToldOneTuple) {  // SESS-46, PRES-13, PRES-67, R6, R9, R10; A15
    Scene scene(Settings{{"domain/sip.example/profile", "lync"}});
    Wish wish;
    wish.headers =
        "Accept: application/msrtc-event-categories+xml, text/xml+msrtc.pidf, "
        "application/xpidf+xml, application/pidf+xml\r\n"
        "Supported: ms-piggyback-first-notify\r\nSupported: ms-benotify\r\n"
        "Proxy-Require: ms-benotify\r\n";
    const std::string answer = scene.subscribe(wish);
    EXPECT_TRUE(answer.starts_with("SIP/2.0 200 ")) << answer;
    EXPECT_EQ(header_of(answer, "Content-Length"), "0");
    EXPECT_FALSE(has(answer, "ms-")) << answer;
    scene.notify(1);
    scene.stanza("subscribed");
    scene.notify(2);
    scene.stanza("", "<show>dnd</show><priority>1</priority>", "balcony");
    const std::string third = scene.notify(3);
    EXPECT_EQ(header_of(third, "Content-Type"), "application/pidf+xml");
    const std::string busy = "<ep:activity>busy</ep:activity>";
    EXPECT_TRUE(has(body_of(third), "entity='sip:juliet@xmpp.example'")) << third;
    EXPECT_TRUE(has(body_of(third), busy)) << third;
    scene.stanza("", "<show>away</show>", "garden");
    const std::string fourth = body_of(scene.notify(4));
    EXPECT_TRUE(has(fourth, busy)) << fourth;
    EXPECT_EQ(fourth.find("<tuple"), fourth.rfind("<tuple")) << fourth;
    // The last one, when he leaves.
    Wish leave;
    leave.expires = "0";
    EXPECT_TRUE(scene.subscribe(leave, Scene::tag_of(answer)).starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(body_of(scene.notify(5)), "<tuple id='0'><status><basic>closed</basic>"));
    // Nothing else is offered to who takes no PIDF.
    Wish old;
    old.call_id = "watch-2";
    old.headers = "Accept: text/xml+msrtc.pidf\r\n";
    EXPECT_TRUE(scene.subscribe(old).starts_with("SIP/2.0 406 "));
    // A list of contacts at a time is nothing that is understood (RFC 5367).
    Wish list;
    list.call_id = "watch-3";
    list.headers = "Require: adhoclist\r\nSupported: eventlist\r\n";
    const std::string refused = scene.subscribe(list);
    EXPECT_TRUE(refused.starts_with("SIP/2.0 420 ")) << refused;
    EXPECT_EQ(header_of(refused, "Unsupported"), "adhoclist");
}

TEST(Watchers, OneDocumentInFiveSeconds) {  // PRES-19, R13
    Scene scene;
    scene.approved();
    const Instant begun = scene.world.simulation.now();
    for (int i = 0; i < 40; ++i) {  // 8 s
        scene.stanza("", "<status>" + std::to_string(i) + "</status>", "balcony");
        scene.world.pass(200ms);
    }
    const Duration took = scene.world.simulation.now() - begun;
    const std::size_t count = scene.quiet();
    EXPECT_LE(count - 2, static_cast<std::size_t>(took / 5s) + 2);
    EXPECT_TRUE(has(scene.notifies.back(), ">39</note>"));
    EXPECT_TRUE(has(scene.notify(3), ">0</note>"));
    // What is no news makes nothing; that all are gone is told at once.
    scene.stanza("", "<status>39</status>", "balcony");
    EXPECT_EQ(scene.quiet(), count);
    scene.stanza("", "<status>40</status>", "balcony");
    scene.notify(count + 1, 1s);
    scene.stanza("unavailable", "", "balcony");
    EXPECT_TRUE(has(scene.notify(count + 2, 1s), "closed"));
}

TEST(Watchers, NobodyElseIsTold) {  // PRES-20
    Scene scene;
    scene.approved();
    scene.subscribe({.call_id = "other", .user = "benvolio"});
    scene.notify(3);
    scene.stanza("", "<status>for Romeo</status>", "balcony");  // to='romeo@sip.example'
    EXPECT_TRUE(has(header_of(scene.notify(4), "Call-ID"), "watch-1"));
    EXPECT_EQ(scene.quiet(), 4u);
}

TEST(Watchers, ANotifyThatFails) {  // PRES-75
    struct Row {
        int status;
        bool ends;
    };
    for (const Row row :
         {Row{481, true}, Row{404, true}, Row{603, true}, Row{500, false}, Row{0, true}}) {
        Scene scene;
        const std::string tag = scene.approved();
        scene.notify_status = row.status;
        scene.stanza("", "", "balcony");
        scene.notify(3);
        scene.world.pass(40s);
        scene.notify_status = 200;
        const std::string answer = scene.subscribe({}, tag);
        EXPECT_TRUE(answer.starts_with(row.ends ? "SIP/2.0 481 " : "SIP/2.0 200 ")) << row.status;
        EXPECT_EQ(scene.stanzas().size(), row.ends ? 2u : 1u) << row.status;
        if (row.ends) {
            EXPECT_TRUE(has(scene.sent(2), "type='unavailable'"));
        }
    }
}

// PRES-75: no answer from a pool that answers is the watcher's silence, and ends it; no answer from
// a pool that is silent altogether, or was within the time that a NOTIFY takes, says nothing of
// him.
TEST(Watchers, ASilentPoolIsNotASilentWatcher) {
    for (const bool pool_is_silent : {true, false}) {
        Scene scene(Settings{{"domain/sip.example/next_hop", "sip:10.99.0.1:5070;transport=udp"},
                             {"sip.listen", "udp:0.0.0.0:5060 tcp:0.0.0.0:5060"}});
        const std::string tag = scene.approved();
        scene.peer->answer = [&](const sip::Message& request) {
            const bool is_notify = request.method == sip::Method::kNotify;
            return is_notify || pool_is_silent ? 0 : 200;
        };
        scene.stanza("", "", "balcony");
        scene.world.pass(25s);
        scene.peer->answer = [&](const sip::Message& request) {  // the pool is back at the end
            return request.method == sip::Method::kNotify ? 0 : 200;
        };
        scene.world.pass(15s);
        const std::string answer = scene.subscribe({}, tag);
        EXPECT_TRUE(answer.starts_with(pool_is_silent ? "SIP/2.0 200 " : "SIP/2.0 481 ")) << answer;
    }
}

// SIP-7: what no datagram can hold, where nothing but datagrams is spoken, will not go the next
// time either: he is told that it is over, and the administrator why.
TEST(Watchers, ADocumentThatIsTooLongForTheWholePoolEndsTheView) {
    Scene scene(Settings{{"domain/sip.example/next_hop", "sip:10.99.0.1:5070;transport=udp"},
                         {"sip.listen", "udp:0.0.0.0:5060 tcp:0.0.0.0:5060"}});
    const std::string tag = scene.approved();
    const std::string note = "<status>" + std::string(600, 'n') + "</status>";
    for (const char* resource : {"desk", "phone", "car"}) scene.stanza("", note, resource);
    ASSERT_TRUE(scene.world.until([&] {
        return has(scene.notifies.back(), "terminated;reason=giveup;retry-after=3600\r\n");
    })) << scene.notifies.back();
    EXPECT_TRUE(body_of(scene.notifies.back()).empty());
    EXPECT_TRUE(has(scene.world.log(), "FG-4005"));
    const std::size_t before = scene.notifies.size();
    scene.world.pass(5min);
    EXPECT_EQ(scene.notifies.size(), before);
    EXPECT_TRUE(scene.subscribe({}, tag).starts_with("SIP/2.0 481 "));
}

// ---- What outlives the process

Key pair_of(const store::Row& row, const sip::KeySecret& secret = {7, 11}) {
    Address xmpp;
    Address sip;
    FEDGATE_CHECK(read_jid(row.xmpp, xmpp) && read_jid(row.sip, sip));
    return KeyMaker(secret).make({xmpp.jid.local, xmpp.jid.domain, sip.jid.local, sip.jid.domain});
}

std::unique_ptr<store::Memory> make_store(std::uint32_t shards = 1,
                                          const sip::KeySecret& secret = {7, 11}) {
    return std::make_unique<store::Memory>(shards, [=](const store::Row& row) {
        return Conversations::owner_of(pair_of(row, secret), shards);
    });
}

const store::Change* row_in(const store::Memory& store) {
    return store.find(store::Kind::kWatcher, "juliet@xmpp.example", "romeo@sip.example");
}

TEST(Watchers, ARestartIsNotNoticed) {  // R4
    for (const std::uint32_t shards : {1u, 4u}) {
        const auto store = make_store(shards);
        std::string tag;
        std::uint32_t cseq = 0;
        {
            Scene scene({}, shards, store.get());
            tag = scene.approved();
            scene.stanza("", "", "balcony");
            cseq = static_cast<std::uint32_t>(std::stoul(header_of(scene.notify(3), "CSeq")));
            scene.world.pass(1s);
            ASSERT_NE(row_in(*store), nullptr);
            EXPECT_EQ(row_in(*store)->auth, 2);
            store->crash([] { return true; });
        }
        store->restart();
        Scene scene({}, shards, store.get());
        EXPECT_TRUE(has(scene.sent(1), "type='probe'"));  // and nobody is asked again
        EXPECT_TRUE(scene.notifies.empty());
        scene.stanza("", "<show>xa</show>", "balcony");
        const std::string told = scene.notify(1, 1s);
        EXPECT_EQ(header_of(told, "Call-ID"), "watch-1");
        EXPECT_TRUE(header_of(told, "Subscription-State").starts_with("active;expires="));
        EXPECT_TRUE(has(body_of(told), "<basic>open</basic>"));
        EXPECT_GT(std::stoul(header_of(told, "CSeq")), cseq + 1'000'000);
        EXPECT_TRUE(scene.subscribe({.cseq = 50}, tag).starts_with("SIP/2.0 200 "));
        scene.notify(2);
        EXPECT_TRUE(scene.subscribe({.expires = "0", .cseq = 51}, tag).starts_with("SIP/2.0 200 "));
        EXPECT_TRUE(has(scene.sent(2), "type='unavailable'"));
        // He is remembered as approved.
        scene.subscribe({.call_id = "later"});
        EXPECT_TRUE(has(scene.notify(4), "Subscription-State: active"));
    }
}

// A process has a secret of its own, and gives pairs to its shards by that; the tag tells a shard
// of the one before.
TEST(Watchers, ADialogOfAnotherProcessIsFoundOnWhicheverShardItIs) {  // R4, SIP-20
    constexpr std::uint32_t kShards = 4;
    const auto store = make_store(kShards);
    std::string tag;
    {
        Scene scene({}, kShards, store.get());
        tag = scene.approved();
        scene.world.pass(1s);
    }
    ASSERT_NE(row_in(*store), nullptr);
    const store::Row row = row_in(*store)->row();
    const auto owner = [&](const sip::KeySecret& secret) {
        return Conversations::owner_of(pair_of(row, secret), kShards);
    };
    sip::KeySecret secret{7, 11};
    while (owner(secret) == owner({7, 11})) ++secret.a;
    const auto next = make_store(kShards, secret);
    next->plant(row);
    Scene scene({}, kShards, next.get(), secret);
    scene.world.pass(1s);
    EXPECT_TRUE(scene.subscribe({.cseq = 50}, tag).starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(scene.subscribe({.call_id = "never", .cseq = 51}, tag).starts_with("SIP/2.0 481 "));
}

// What goes to another node of the pool is forgotten without a word, and is there when it returns.
TEST(Watchers, AnotherNodeGoesOnWithThem) {  // R4
    const auto of_shard = [](const store::Row&) { return 0U; };
    store::Memory store(1, of_shard, {.shared = true});
    Scene scene({}, 1, &store);
    const std::string tag = scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    scene.world.pass(1s);
    const std::size_t said = scene.stanzas().size();
    const Slots all = ~Slots();
    scene.stanza("", "<show>away</show>", "balcony");  // its NOTIFY is on its way, or waits
    store.lose(all);
    const std::size_t told = scene.quiet();
    EXPECT_EQ(scene.world.gateway().status().watchers, 0U);
    scene.stanza("", "<show>xa</show>", "balcony");
    scene.stanza("subscribed");
    EXPECT_TRUE(scene.subscribe({.cseq = 50}, tag).starts_with("SIP/2.0 481 "));
    EXPECT_TRUE(scene.subscribe({.call_id = "later"}).starts_with("SIP/2.0 500 "));
    EXPECT_EQ(scene.quiet(), told);
    EXPECT_EQ(scene.stanzas().size(), said);
    ASSERT_NE(row_in(store), nullptr);
    EXPECT_EQ(row_in(store)->auth, 2);
    store.gain(all);
    EXPECT_TRUE(has(scene.sent(said + 1), "type='probe'"));
    scene.stanza("", "<show>xa</show>", "balcony");
    const std::string next = scene.notify(told + 1, 1s);
    EXPECT_EQ(header_of(next, "Call-ID"), "watch-1");
    EXPECT_TRUE(header_of(next, "Subscription-State").starts_with("active;expires="));
    EXPECT_TRUE(scene.subscribe({.cseq = 60}, tag).starts_with("SIP/2.0 200 "));
}

// Millions are not to hold up all others: they are gone at once, and freed little by little.
TEST(Watchers, WhatIsAnothersIsFreedInPortions) {  // R4
    constexpr std::size_t kMany = 4 * kJudgedAtOnce;
    const auto of_shard = [](const store::Row&) { return 0U; };
    store::Memory store(1, of_shard, {.shared = true});
    for (std::size_t i = 1; i < kMany; ++i) {
        const std::string contact = "c" + std::to_string(i) + "@xmpp.example";
        const std::string user = "u" + std::to_string(i) + "@sip.example";
        store.plant({store::Kind::kWatcher, contact, user, 2,
                     std::chrono::floor<std::chrono::seconds>(SimulationSettings().wall_start),
                     "\n"});
    }
    Scene scene({}, 1, &store);
    const auto count = [&] { return scene.world.gateway().status().watchers; };
    ASSERT_TRUE(scene.world.until([&] { return count() == kMany - 1; }));
    scene.world.pass(1s);
    const std::string tag = scene.approved();  // the last one
    const std::size_t told = scene.quiet();
    const std::size_t said = scene.stanzas().size();
    store.lose(~Slots());
    EXPECT_EQ(count(), kMany);
    scene.stanza("", "<show>xa</show>", "balcony");
    EXPECT_TRUE(scene.subscribe({.cseq = 50}, tag).starts_with("SIP/2.0 481 "));
    ASSERT_TRUE(scene.world.until([&] { return count() < kMany; }, kJudgedEvery));
    EXPECT_GE(count(), kMany - kJudgedAtOnce);
    EXPECT_TRUE(scene.world.until([&] { return count() == 0; }, 5 * kJudgedEvery));
    EXPECT_EQ(scene.quiet(), told);
    EXPECT_EQ(scene.stanzas().size(), said);
    // Those that come again before they were freed are new.
    store.gain(~Slots());
    ASSERT_EQ(count(), kMany);
    scene.stanza("", "<show>away</show>", "balcony");  // its NOTIFY waits, or is on its way
    store.lose(~Slots());
    store.gain(~Slots());
    EXPECT_EQ(count(), kMany);
    scene.world.pass(1s);
    EXPECT_EQ(count(), kMany);
    EXPECT_TRUE(scene.subscribe({.cseq = 60}, tag).starts_with("SIP/2.0 200 "));
}

// His answer may have gone to the node that is dead.
TEST(Watchers, ANextNodeAsksWhoHasNotAnswered) {  // PRES-61
    const auto of_shard = [](const store::Row&) { return 0U; };
    store::Memory store(1, of_shard, {.shared = true});
    Scene scene({}, 1, &store);
    scene.subscribe();
    EXPECT_TRUE(has(scene.sent(1), "type='subscribe'"));
    scene.world.pass(1s);
    store.lose(~Slots());
    store.gain(~Slots());
    EXPECT_TRUE(has(scene.sent(2), "type='subscribe'"));
}

// Rows of an earlier process: contacts that are still to be asked, or that have been.
void plant(store::Memory& store, const std::string& contact, bool asked) {
    store.plant(
        {.kind = store::Kind::kWatcher,
         .xmpp = contact,
         .sip = "romeo@sip.example",
         .auth = static_cast<std::uint8_t>(WatcherAuth::kAsked),
         .changed = std::chrono::floor<std::chrono::seconds>(SimulationSettings().wall_start),
         .detail = asked ? "sent\n" : "\n"});
}

// What a partner takes slowly does not fill its queue, and nobody else waits for it.
TEST(Watchers, AfterARestartEachPartnerIsAskedAsFastAsItTakesThat) {  // R4, R12
    const auto store = make_store();
    constexpr std::size_t kMany = 2 * kUnwrittenOfDomain;
    constexpr std::size_t kOthers = 10;
    for (std::size_t i = 0; i < kMany; ++i) {
        plant(*store, "c" + std::to_string(i) + "@xmpp.example", false);
    }
    for (std::size_t i = 0; i < kOthers; ++i) {  // the last ones to be read
        plant(*store, "a" + std::to_string(i) + "@other.example", false);
    }
    Scene scene(Settings{{"partner/other.example/type", "federated"}}, 1, store.get());
    test::FakeEdge& edge = scene.world.edge();
    edge.at_once = false;
    scene.world.pass(5s);
    const auto asked = [&](const char* domain) {
        return static_cast<std::size_t>(std::ranges::count(edge.their_domains, domain));
    };
    EXPECT_EQ(asked("xmpp.example"), kUnwrittenOfDomain);
    EXPECT_EQ(asked("other.example"), kOthers);
    const std::vector<link::Ticket> tickets = edge.tickets;
    const bool written[] = {true, false};
    for (std::size_t i = 0; i < tickets.size(); ++i) {
        const bool ok = written[i % 2];
        scene.world.gateway().on_outcome(
            {tickets[i], ok ? link::Fate::kWritten : link::Fate::kFailed,
             ok ? link::Fault::kNone : link::Fault::kQueueFull, false});
    }
    scene.world.pass(1s);
    EXPECT_EQ(asked("xmpp.example"), kMany);
}

// Who is there already need not wait for all the others.
TEST(Watchers, GoesOnWhileTheStoreIsRead) {  // R4
    constexpr int kRows = 5'000;
    store::Memory store(1, [](const store::Row&) { return 0U; },
                        {.delay_min = 1ms, .delay_max = 1ms, .rows_at_once = 1});
    std::string tag;
    {
        Scene scene({}, 1, &store);
        tag = scene.approved();
        scene.world.pass(1s);
        store.crash([] { return true; });
    }
    store.restart();
    for (int i = 0; i < kRows; ++i) {  // read after hers, which takes five seconds
        plant(store, "a" + std::to_string(i) + "@xmpp.example", true);
    }
    Scene scene(Settings{{"sec.subscriptions_per_watcher", "10000"}}, 1, &store);
    const auto is_reading = [&] { return scene.world.gateway().status().watchers < kRows; };
    EXPECT_TRUE(has(scene.sent(1), "type='probe'"));
    scene.stanza("", "<show>xa</show>", "balcony");
    EXPECT_TRUE(has(body_of(scene.notify(1)), "<basic>open</basic>"));
    EXPECT_TRUE(scene.subscribe({.cseq = 50}, tag).starts_with("SIP/2.0 200 "));
    scene.notify(2);
    EXPECT_TRUE(is_reading());
    // What may be about rows that are not there yet waits.
    const auto give = [&](const std::string& from) {
        return scene.world.give("<presence from='" + from +
                                "@xmpp.example' to='romeo@sip.example' type='subscribed'/>");
    };
    EXPECT_FALSE(give("a0"));
    EXPECT_FALSE(scene.world.give(
        "<presence from='juliet@xmpp.example' to='romeo@sip.example' type='subscribe'/>"));
    EXPECT_TRUE(is_reading());
    const std::string later = scene.subscribe({.call_id = "later"});
    EXPECT_TRUE(later.starts_with("SIP/2.0 200 ")) << later;
    EXPECT_FALSE(is_reading());
    EXPECT_TRUE(give("a0"));
}

// Whatever a client writes there, the row of its pair has room for it.
TEST(Watchers, TheEventsIdIsBounded) {  // SIP-23
    const auto store = make_store();
    Scene scene({}, 1, store.get());
    for (int i = 0; i < kDialogsOfPair; ++i) {
        Wish wish{.call_id = "long-" + std::to_string(i),
                  .event = "presence;id=" + std::string(8'000, 'a')};
        EXPECT_TRUE(scene.subscribe(wish).starts_with("SIP/2.0 400 ")) << i;
        wish.event = "presence;id=" + std::string(kEventIdBytes, 'a');
        EXPECT_TRUE(scene.subscribe(wish).starts_with("SIP/2.0 200 ")) << i;
    }
    scene.world.pass(1s);
    ASSERT_NE(row_in(*store), nullptr);
    EXPECT_TRUE(has(row_in(*store)->text, std::string(kEventIdBytes, 'a')));
}

// Offline meanwhile, and the server says nothing to the probe: so it is told, not the old state.
TEST(Watchers, WhoIsSilentAfterARestartIsOffline) {  // PRES-13, R12
    const auto store = make_store();
    {
        Scene scene({}, 1, store.get());
        scene.approved();
        scene.world.pass(1s);
        store->crash([] { return true; });
    }
    store->restart();
    Scene scene({}, 1, store.get());
    EXPECT_TRUE(has(body_of(scene.notify(1)), "<basic>closed</basic>"));
    EXPECT_EQ(scene.quiet(), 1u);
}

TEST(Watchers, WhatIsPromisedIsOnDisk) {  // PRES-60, PRES-63
    const auto store = make_store();
    Scene scene({}, 1, store.get());
    store->set_failing(true);
    scene.world.pass(1s);
    // It is not known yet that the disk fails; the contact is asked when it is certain that his
    // answer finds somebody.
    scene.subscribe();
    scene.world.pass(5s);
    EXPECT_TRUE(scene.stanzas().empty());
    const std::string refused = scene.subscribe({.call_id = "other", .user = "benvolio"});
    EXPECT_TRUE(refused.starts_with("SIP/2.0 500 ")) << refused;
    EXPECT_EQ(header_of(refused, "Retry-After"), "30");
    store->set_failing(false);
    EXPECT_TRUE(has(scene.sent(1), "type='subscribe'"));
    store->set_failing(true);
    scene.stanza("subscribed");  // it is so, whatever the disk says
    EXPECT_TRUE(has(scene.notify(2), "Subscription-State: active"));
}

TEST(Watchers, ACrashBetweenDiskAndContact) {  // PRES-60
    for (const bool sent : {false, true}) {
        const auto store = make_store();
        {
            Scene scene({}, 1, store.get());
            scene.subscribe();
            if (sent) {
                scene.sent(1);
                scene.world.pass(1s);
            }
            store->crash([] { return true; });
        }
        store->restart();
        Scene scene({}, 1, store.get());
        scene.world.pass(5s);
        EXPECT_EQ(scene.stanzas().size(), sent ? 0u : 1u);  // never twice
        scene.stanza("subscribed");
        EXPECT_TRUE(has(scene.notify(1), "Subscription-State: active"));
    }
}

TEST(Watchers, WhatEndsIsForgotten) {  // PRES-64, PRES-70
    const auto store = make_store();
    Scene scene({}, 1, store.get());
    scene.approved();
    scene.stanza("unsubscribed");
    EXPECT_TRUE(has(scene.notify(3), "terminated;reason=rejected"));
    scene.world.pass(1s);
    ASSERT_NE(row_in(*store), nullptr);  // PRES-62 holds over a restart
    EXPECT_EQ(row_in(*store)->auth, 3);
    scene.world.pass(3700s);
    EXPECT_EQ(row_in(*store), nullptr);
}

// A store without room for the moment; what is refused is tried again until it is kept.
TEST(Watchers, WhatCouldNotBeKeptIsKeptLater) {  // PRES-64, PRES-67
    const auto store = make_store();
    Scene scene({}, 1, store.get());
    const std::string tag = scene.approved();
    scene.world.pass(1s);
    store->set_failing(true);
    // So many that there is no room for one more, even when the first of them come back.
    for (std::size_t i = 0; i < 2 * limits::kStoreWaiting; ++i) {
        const std::string name = "f" + std::to_string(i) + "@xmpp.example";
        if (!store->door(0).update({store::Kind::kWatch, name, "romeo@sip.example", 1, {}, {}})) {
            break;
        }
    }
    scene.world.pass(1s);
    EXPECT_FALSE(store->door(0).update({store::Kind::kWatch, "g", "h", 1, {}, {}}));
    EXPECT_TRUE(scene.subscribe({.expires = "0"}, tag).starts_with("SIP/2.0 200 "));
    scene.world.pass(5s);
    EXPECT_TRUE(has(row_in(*store)->text, "watch-1"));
    store->set_failing(false);
    EXPECT_TRUE(scene.world.until([&] { return !has(row_in(*store)->text, "watch-1"); }, 10s));
    EXPECT_EQ(row_in(*store)->auth, 2);
}

TEST(Watchers, NinetyDaysOfDisuse) {  // PRES-78
    const auto store = make_store();
    const WallTime now = World::settings_of(false).wall_start;
    const auto plant = [&](const char* contact, int days) {
        store->plant({store::Kind::kWatcher, contact, "romeo@sip.example", 2,
                      now - std::chrono::hours(24 * days), "sent\n"});
    };
    plant("juliet@xmpp.example", 91);
    plant("nurse@xmpp.example", 89);
    Scene scene({}, 1, store.get());
    EXPECT_TRUE(has(scene.sent(1), "type='unsubscribe'"));
    EXPECT_TRUE(has(scene.sent(1), "'juliet@xmpp.example'"));
    scene.world.pass(5s);
    EXPECT_EQ(row_in(*store), nullptr);
    EXPECT_EQ(store->rows().size(), 1u);
    EXPECT_EQ(scene.stanzas().size(), 1u);
}

TEST(Watchers, WhatADiskHasSpoiltIsLeftOut) {
    const auto store = make_store();
    const char* const details[] = {"",
                                   "sent",
                                   "sent\n5",
                                   "sent\n99999999999 1 \n1 2 r\nx\n",
                                   "sent\n9999999999 1 \n1 2 r\na\nb\nc\nd\ne\n\nno uri\n",
                                   "\n\n\n\n\n\n\n\n\n\n\n"};
    int n = 0;
    for (const char* const detail : details) {
        const std::string contact = "c" + std::to_string(n++) + "@xmpp.example";
        store->plant({store::Kind::kWatcher, contact, "romeo@sip.example", 2, {}, detail});
    }
    store->plant({store::Kind::kWatcher, "juliet@xmpp.example", "romeo@sip.example", 77, {}, ""});
    Scene scene({}, 1, store.get());
    scene.world.pass(5s);
    EXPECT_TRUE(scene.subscribe().starts_with("SIP/2.0 200 "));
}

// ---- Partners that can't be reached

// The partner is gone, or back, as the edge tells it.
void set_reachable(Scene& scene, bool reachable, const std::string& why = {}) {
    for (auto& edge : scene.world.edges) {
        edge->fault = reachable ? link::Fault::kNone : link::Fault::kUnreachable;
    }
    if (reachable) return;  // it has to find out
    for (auto& gateway : scene.world.gateways) {
        gateway->on_partner({link::PartnerNews::Kind::kDown, link::Fault::kUnreachable,
                             "sip.example", "xmpp.example", why});
    }
}

std::size_t count_of(Scene& scene, const std::string& part) {
    const auto all = scene.stanzas();
    return static_cast<std::size_t>(
        std::ranges::count_if(all, [&](const std::string& one) { return has(one, part); }));
}

TEST(Watchers, ALostPartnerIsOneTupleToLyncToo) {  // PRES-71
    Scene scene(Settings{{"domain/sip.example/profile", "lync"}});
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    set_reachable(scene, false, "connection refused");
    const std::string told = body_of(scene.notify(4, 200s));
    EXPECT_TRUE(has(told, "<tuple id='0'><status><basic>closed</basic></status><note")) << told;
    EXPECT_TRUE(has(told, "connection refused</note>")) << told;
}

TEST(Watchers, WhoWatchesIsToldSinceWhenAndWhy) {  // PRES-71, R12
    for (const std::uint32_t shards : {1u, 4u}) {
        Scene scene({}, shards);
        const std::string tag = scene.approved();
        scene.stanza("", "", "balcony");
        scene.notify(3);
        set_reachable(scene, false, "none of its servers could be reached: connection refused");
        scene.world.pass(115s);
        EXPECT_EQ(scene.notifies.size(), 3u);
        const std::string lost = scene.notify(4, 10s);
        EXPECT_TRUE(header_of(lost, "Subscription-State").starts_with("active;"));
        EXPECT_TRUE(has(body_of(lost), "<tuple id='ID-balcony'><status><basic>closed")) << lost;
        EXPECT_TRUE(has(body_of(lost), "xmpp.example can't be reached since 20") ||
                    has(body_of(lost), "xmpp.example can&apos;t be reached since 20"))
            << lost;
        EXPECT_TRUE(has(body_of(lost),
                        " UTC: none of its servers could be reached: connection "
                        "refused</note>"));
        // The dialog lives, and says so to a refresh.
        EXPECT_TRUE(scene.subscribe({}, tag).starts_with("SIP/2.0 200 "));
        EXPECT_EQ(body_of(scene.notify(5)), body_of(lost));
        EXPECT_GE(count_of(scene, "urn:xmpp:ping"), 4u * 1);
        // It heals by itself.
        const std::size_t probes = count_of(scene, "type='probe'");
        set_reachable(scene, true);
        ASSERT_TRUE(
            scene.world.until([&] { return count_of(scene, "type='probe'") > probes; }, 31s));
        scene.stanza("", "", "balcony");
        EXPECT_TRUE(has(body_of(scene.notify(6, 6s)), "<basic>open</basic>"));
        const std::size_t pings = count_of(scene, "urn:xmpp:ping");
        EXPECT_EQ(scene.quiet(120s), 6u);
        EXPECT_EQ(count_of(scene, "urn:xmpp:ping"), pings);
    }
}

// His server comes back and says by itself how he is: as it was before.
TEST(Watchers, WhoComesBackAsHeWasIsSeen) {  // PRES-71, R12
    Scene scene;
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    set_reachable(scene, false);
    EXPECT_TRUE(has(scene.notify(4, 130s), "its server does not answer</note>"));
    scene.stanza("", "", "balcony");
    EXPECT_TRUE(has(body_of(scene.notify(5, 6s)), "<basic>open</basic>"));
}

TEST(Watchers, APartnerThatComesToUsIsAskedAtOnce) {  // PRES-71
    Scene scene;
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    set_reachable(scene, false);
    scene.notify(4, 130s);
    set_reachable(scene, true);
    for (int i = 0; i < 2; ++i) {  // it is there again, and that says nothing new
        const std::size_t pings = count_of(scene, "urn:xmpp:ping");
        scene.world.gateway().on_partner(
            {link::PartnerNews::Kind::kSeen, link::Fault::kNone, "sip.example", "xmpp.example"});
        scene.world.pass(1s);
        EXPECT_EQ(count_of(scene, "urn:xmpp:ping"), pings + (i == 0 ? 1 : 0));
        EXPECT_EQ(count_of(scene, "type='probe'"), 1u);
    }
}

// He went offline meanwhile, and his server has nothing to say of him.
TEST(Watchers, WhoIsSilentAfterwardsIsOffline) {  // PRES-71, R12
    Scene scene;
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    set_reachable(scene, false);
    EXPECT_TRUE(has(scene.notify(4, 130s), "its server does not answer</note>"));
    set_reachable(scene, true);
    const std::string last = scene.notify(5, 60s);
    EXPECT_TRUE(has(body_of(last), "<basic>closed</basic>"));
    EXPECT_FALSE(has(body_of(last), "<note"));
}

TEST(Watchers, AShortBreakIsNotTold) {  // PRES-71
    Scene scene;
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    scene.world.gateway().on_partner({link::PartnerNews::Kind::kBroke, link::Fault::kUnreachable,
                                      "sip.example", "xmpp.example"});
    ASSERT_TRUE(scene.world.until([&] { return count_of(scene, "type='probe'") == 1; }, 10s));
    scene.stanza("", "", "balcony");
    EXPECT_EQ(scene.quiet(), 4u);  // a probe was answered: it may be news
    EXPECT_TRUE(has(body_of(scene.notifies[3]), "<basic>open</basic>"));
}

// An edge went on without us: what contacts have said may have come to another node.
TEST(Watchers, AnEdgeThatIsBackHasContactsAsked) {  // PRES-71
    Scene scene;
    scene.approved();
    scene.stanza("", "", "balcony");
    scene.notify(3);
    for (int i = 0; i < 3; ++i) scene.world.gateway().on_edge_back();  // edges of one pool
    ASSERT_TRUE(scene.world.until([&] { return count_of(scene, "type='probe'") == 1; }, 2s));
    scene.stanza("", "<show>away</show>", "balcony");
    EXPECT_TRUE(has(body_of(scene.notify(4, 6s)), "away"));
    EXPECT_EQ(scene.quiet(60s), 4u);
    EXPECT_EQ(count_of(scene, "type='probe'"), 1);
    // Who is on trial again and again asks no more often than it takes to hear of all.
    for (int i = 0; i < 100; ++i) {
        scene.world.gateway().on_edge_back();
        scene.world.pass(20ms);
    }
    scene.world.pass(2s);
    EXPECT_LE(count_of(scene, "type='probe'"), 4);
    EXPECT_GE(count_of(scene, "type='probe'"), 2);
}

TEST(Watchers, AnEdgeThatIsBackHasAnApprovalSaidAgain) {  // PRES-71; RFC 6121 3.1.3
    Scene scene;
    scene.subscribe();
    scene.sent(1);
    scene.notify(1);
    scene.world.gateway().on_edge_back();  // meanwhile another node was told
    ASSERT_TRUE(scene.world.until([&] { return count_of(scene, "type='subscribe'") == 2; }, 2s));
    scene.stanza("subscribed");
    EXPECT_TRUE(has(scene.notify(2), "Subscription-State: active"));
}

TEST(Watchers, AnEdgeThatIsBackHasSomeAskedAtOnce) {
    constexpr std::size_t kMany = 4 * kRestoredAtOnce;
    Scene scene(Settings{{"sec.subscriptions_per_watcher", "1000"}});
    for (std::size_t i = 0; i < kMany; ++i) {
        const std::string n = std::to_string(i);
        EXPECT_TRUE(
            scene.subscribe({.call_id = n, .contact = "c" + n}).starts_with("SIP/2.0 200 "));
    }
    ASSERT_EQ(count_of(scene, "type='subscribe'"), kMany);
    scene.world.gateway().on_edge_back();
    scene.world.pass(kEdgesGather - 1ms);
    EXPECT_EQ(count_of(scene, "type='subscribe'"), kMany);
    std::size_t before = kMany;
    for (int i = 0; i < 5; ++i) {
        scene.world.pass(kRestoredEvery);
        const std::size_t asked = count_of(scene, "type='subscribe'");
        EXPECT_LE(asked, before + kRestoredAtOnce);
        before = asked;
    }
    EXPECT_EQ(before, 2 * kMany);
}

// The end of one of several devices was lost on the way: a probe is answered by those that are
// there (RFC 6121 4.3.2).
TEST(Watchers, ADeviceThatIsNotThereAfterABreakIsGone) {  // PRES-13, PRES-71
    Scene scene;
    scene.approved();
    for (const char* device : {"balcony", "home", "car"}) scene.stanza("", "", device);
    scene.world.pass(6s);
    const auto breaks = [&] {
        scene.world.gateway().on_partner({link::PartnerNews::Kind::kBroke,
                                          link::Fault::kUnreachable, "sip.example",
                                          "xmpp.example"});
    };
    breaks();
    ASSERT_TRUE(scene.world.until([&] { return count_of(scene, "type='probe'") == 1; }, 10s));
    scene.stanza("", "", "balcony");
    scene.stanza("", "<show>away</show>", "car");
    scene.world.pass(6s);
    EXPECT_TRUE(has(body_of(scene.notifies.back()), "'ID-home'"));  // he may be slow
    scene.world.pass(6s);
    EXPECT_FALSE(has(body_of(scene.notifies.back()), "'ID-home'"));
    EXPECT_TRUE(has(body_of(scene.notifies.back()), "'ID-car'"));
    EXPECT_TRUE(has(body_of(scene.notifies.back()), "'ID-balcony'"));
    const std::size_t told = scene.notifies.size();
    EXPECT_EQ(scene.quiet(60s), told);
    // All that he has are there: no news.
    breaks();
    ASSERT_TRUE(scene.world.until([&] { return count_of(scene, "type='probe'") == 2; }, 10s));
    scene.stanza("", "", "balcony");
    scene.stanza("", "<show>away</show>", "car");
    scene.quiet(60s);
    EXPECT_TRUE(has(body_of(scene.notifies.back()), "'ID-car'"));
    EXPECT_TRUE(has(body_of(scene.notifies.back()), "'ID-balcony'"));
    EXPECT_EQ(count_of(scene, "type='probe'"), 2u);
}

TEST(Watchers, AWishThatCanNotGoWaits) {  // PRES-60, PRES-70
    struct Row {
        link::Fault fault;
        const char* state;
    };
    for (const Row& row :
         {Row{link::Fault::kUnreachable, ""}, Row{link::Fault::kQueueFull, ""},
          Row{link::Fault::kNotTrusted, ""},
          Row{link::Fault::kNoSuchDomain, "terminated;reason=probation;retry-after=300"},
          Row{link::Fault::kRemoteDenied, "terminated;reason=rejected"}}) {
        Scene scene;
        scene.world.edge().fault = row.fault;
        EXPECT_TRUE(scene.subscribe({.expires = "3600"}).starts_with("SIP/2.0 200 "));
        scene.world.pass(20s);
        if (*row.state != 0) {
            EXPECT_EQ(header_of(scene.notifies.back(), "Subscription-State"), row.state);
            continue;
        }
        EXPECT_EQ(scene.notifies.size(), 1u);
        EXPECT_EQ(count_of(scene, "type='subscribe'"), 1u);
        scene.world.pass(200s);
        EXPECT_LE(count_of(scene, "type='subscribe'"), 3u);  // 60 s, 120 s
        const std::size_t before = count_of(scene, "type='subscribe'");
        scene.world.edge().fault = link::Fault::kNone;
        EXPECT_TRUE(
            scene.world.until([&] { return count_of(scene, "type='subscribe'") > before; }, 300s));
        scene.world.pass(300s);
        EXPECT_EQ(count_of(scene, "type='subscribe'"), before + 1);
        scene.stanza("subscribed");
        EXPECT_TRUE(has(scene.notify(2), "Subscription-State: active"));
    }
}

// ---- Many

TEST(Watchers, AStormIsSentInPieces) {  // R13
    Scene scene;
    bool silent = true;
    scene.peer->answer = [&](const sip::Message& request) {
        if (request.method != sip::Method::kNotify) return 200;
        scene.notifies.emplace_back(request.bytes);
        return silent ? 0 : 200;
    };
    constexpr int kMany = 150;
    for (int i = 0; i < kMany; ++i) {
        scene.subscribe({.call_id = "c" + std::to_string(i), .user = "u" + std::to_string(i)});
    }
    scene.world.pass(1s);
    EXPECT_EQ(scene.notifies.size(), 64u);
    silent = false;
    EXPECT_TRUE(scene.world.until([&] { return scene.notifies.size() == kMany; }, 60s));
}

TEST(Watchers, BoundsOfSubscriptions) {  // SEC-4
    Scene scene(
        Settings{{"sec.subscriptions_per_watcher", "3"}, {"sec.subscriptions_per_domain", "5"}});
    const auto wish = [&](const std::string& user, const std::string& contact) {
        return scene.subscribe({.call_id = user + contact, .contact = contact, .user = user});
    };
    std::string tag;
    for (const char* contact : {"a", "b", "c"}) tag = Scene::tag_of(wish("romeo", contact));
    EXPECT_TRUE(wish("romeo", "d").starts_with("SIP/2.0 403 "));
    EXPECT_TRUE(wish("benvolio", "a").starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(wish("benvolio", "b").starts_with("SIP/2.0 200 "));
    const std::string refused = wish("benvolio", "c");
    EXPECT_TRUE(refused.starts_with("SIP/2.0 500 "));
    EXPECT_EQ(header_of(refused, "Retry-After"), "30");
    // His dialog goes, but what he has asked stands for a day; then another may come.
    scene.subscribe({.call_id = "romeoc", .contact = "c", .expires = "0"}, tag);
    scene.world.pass(1s);
    EXPECT_TRUE(wish("benvolio", "c").starts_with("SIP/2.0 500 "));
    EXPECT_TRUE(wish("romeo", "d").starts_with("SIP/2.0 403 "));
    EXPECT_EQ(scene.stanzas().size(), 6u);  // five asked, one left
    scene.world.pass(25h);
    EXPECT_TRUE(wish("benvolio", "c").starts_with("SIP/2.0 200 "));
    EXPECT_EQ(count_of(scene, "type='unsubscribe'"), 0u);
}

// Asking and leaving gives nothing that stays, and does not swamp the partner.
TEST(Watchers, WhoAsksAndLeavesIsBounded) {  // SEC-4, S2S-65
    const auto store = make_store();
    Scene scene(Settings{{"sec.subscriptions_per_watcher", "20"}}, 1, store.get());
    const auto ask = [&](int i) {
        const std::string n = std::to_string(i);
        Wish wish{.call_id = "w" + n, .contact = "c" + n};
        const std::string answer = scene.subscribe(wish);
        if (!answer.starts_with("SIP/2.0 200 ")) return answer;
        wish.expires = "0";
        scene.subscribe(wish, Scene::tag_of(answer));
        scene.world.pass(std::chrono::milliseconds(50));
        return answer;
    };
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(ask(i).starts_with("SIP/2.0 200 ")) << i;
    EXPECT_TRUE(ask(20).starts_with("SIP/2.0 403 "));
    EXPECT_EQ(count_of(scene, "type='subscribe'"), 20u);
    // Who declines at once makes room in the quota after an hour, and an error at once; what was
    // sent counts all the same.
    for (int i = 0; i < 20; ++i) {
        const auto all = scene.stanzas();
        const std::string to = "c" + std::to_string(i) + "@xmpp.example";
        for (const std::string& one : all) {
            if (!has(one, "type='subscribe'") || !has(one, "'" + to + "'")) continue;
            const std::size_t at = one.find(" id='") + 5;
            scene.stanza("error",
                         "<error type='cancel'><item-not-found "
                         "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
                         {}, one.substr(at, one.find('\'', at) - at), "c" + std::to_string(i));
        }
    }
    scene.world.pass(1s);
    EXPECT_TRUE(store->rows().empty());
    int taken = 0;
    std::string refused;
    for (int i = 100; i < 120; ++i) {
        const std::string answer = ask(i);
        answer.starts_with("SIP/2.0 200 ") ? void(++taken) : void(refused = answer);
    }
    EXPECT_LE(taken, 3);
    EXPECT_TRUE(refused.starts_with("SIP/2.0 500 ")) << refused;
    EXPECT_EQ(header_of(refused, "Retry-After"), "30");
    // A minute later a few more.
    scene.world.pass(60s);
    EXPECT_TRUE(ask(200).starts_with("SIP/2.0 200 "));
    // Nothing is left of it after a day.
    scene.world.pass(25h);
    EXPECT_TRUE(store->rows().empty());
    EXPECT_EQ(count_of(scene, "type='unsubscribe'"), 0u);
}

// A process that starts anew counts what it finds.
TEST(Watchers, WhatIsRestoredCounts) {  // SEC-4
    const auto store = make_store();
    const WallTime now = World::settings_of(false).wall_start;
    for (const char* contact : {"a@xmpp.example", "b@xmpp.example"}) {
        store->plant({store::Kind::kWatcher, contact, "romeo@sip.example", 1,
                      now - std::chrono::hours(1), "sent\n"});
    }
    store->plant({store::Kind::kWatcher, "old@xmpp.example", "romeo@sip.example", 1,
                  now - std::chrono::hours(25), "sent\n"});
    Scene scene(Settings{{"sec.subscriptions_per_watcher", "2"}}, 1, store.get());
    scene.world.pass(1s);
    EXPECT_EQ(store->rows().size(), 2u);  // who was asked a day ago, and nobody watches, is gone
    EXPECT_TRUE(scene.stanzas().empty());
    EXPECT_TRUE(scene.subscribe({.call_id = "c", .contact = "c"}).starts_with("SIP/2.0 403 "));
    EXPECT_TRUE(scene.subscribe({.call_id = "a", .contact = "a"}).starts_with("SIP/2.0 200 "));
}

// Who has approved is remembered for 90 days: not at the expense of those that are watched now.
TEST(Watchers, WhomNobodyWatchesIsNoneOfTheWatchers) {  // SEC-4, PRES-78
    const auto store = make_store();
    const Settings settings{{"sec.subscriptions_per_watcher", "1"},
                            {"sec.subscriptions_per_domain", "2"}};
    const auto wish = [](Scene& scene, const std::string& user, const std::string& contact) {
        const std::string answer =
            scene.subscribe({.call_id = user + contact, .contact = contact, .user = user});
        return answer.substr(8, 3);
    };
    {
        Scene scene(settings, 1, store.get());
        const std::string tag = scene.approved();
        EXPECT_EQ(wish(scene, "romeo", "nurse"), "403");
        scene.subscribe({.expires = "0"}, tag);
        scene.world.pass(60s);  // he may ask again
        EXPECT_EQ(wish(scene, "romeo", "nurse"), "200");
        EXPECT_EQ(wish(scene, "romeo", "juliet"), "403");
        EXPECT_EQ(wish(scene, "benvolio", "juliet"), "500");  // the domain has both
        scene.world.pass(1s);
        store->crash([] { return true; });
    }
    store->restart();
    Scene scene(settings, 1, store.get());
    scene.world.pass(1s);
    EXPECT_EQ(wish(scene, "romeo", "juliet"), "403");
    EXPECT_EQ(wish(scene, "benvolio", "juliet"), "500");
    // What she decides now is no place of his either; and when her record is gone, there is room.
    scene.stanza("unsubscribed");
    scene.world.pass(1s);
    EXPECT_EQ(wish(scene, "benvolio", "juliet"), "500");
    scene.world.pass(2h);
    EXPECT_EQ(wish(scene, "benvolio", "juliet"), "200");
}

// The store may be so full that even what ends can't be said; then it is said later.
TEST(Watchers, ARowThatCouldNotBeErasedIsErasedLater) {  // PRES-70
    const auto store = make_store();
    Scene scene({}, 1, store.get());
    scene.subscribe();
    const std::string asked = scene.sent(1);
    scene.world.pass(1s);
    ASSERT_NE(row_in(*store), nullptr);
    store->set_failing(true);
    for (std::size_t i = 0;
         store->door(0).erase(store::Kind::kWatch, "f" + std::to_string(i), "romeo@sip.example");
         ++i) {
    }
    const std::size_t at = asked.find(" id='") + 5;
    scene.stanza("error",
                 "<error type='cancel'><item-not-found "
                 "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
                 {}, asked.substr(at, asked.find('\'', at) - at));
    EXPECT_TRUE(has(scene.notify(2), "reason=noresource"));
    scene.world.pass(5s);
    EXPECT_NE(row_in(*store), nullptr);
    store->set_failing(false);
    EXPECT_TRUE(scene.world.until([&] { return row_in(*store) == nullptr; }, 10s));
    EXPECT_EQ(scene.world.gateway().status().watchers, 0u);
}

}  // namespace
}  // namespace fedgate::gateway
