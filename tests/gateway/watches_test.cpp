// XMPP users watch SIP contacts: interworking section 6.2, through the whole gateway.
#include "tests/gateway/watch_scene.hpp"

namespace fedgate::gateway {
namespace {

using test::has;
using test::header_of;
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
TEST(Watches, FromTheWishToPresence) {  // PRES-30, PRES-31, PRES-14, PRES-16, R2, SIP-20
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

}  // namespace
}  // namespace fedgate::gateway
