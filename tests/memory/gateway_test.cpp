// What each costs that is there for long, by the count of the allocator: so not with sanitizers,
// whose allocators have none.
#include <malloc.h>
#include <string>

#include <gtest/gtest.h>

#include "appliance/gateway/session.hpp"
#include "appliance/gateway/watch.hpp"
#include "appliance/gateway/watcher.hpp"
#include "tests/gateway/session_scene.hpp"
#include "tests/gateway/watch_scene.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

constexpr int kCount = 2'048;

// Of each of the second kCount: the first ones have made all the room that is reused.
template <typename Add>
std::size_t bytes_of_each(Add&& add) {
    const auto used = [] {
        const struct mallinfo2 info = mallinfo2();
        return info.uordblks + info.hblkhd;
    };
    add(0, kCount);
    const std::size_t before = used();
    EXPECT_GT(before, 0U);
    add(kCount, 2 * kCount);
    const std::size_t after = used();
    const std::size_t each = after > before ? (after - before) / kCount : 0;
    testing::Test::RecordProperty("bytes", static_cast<int>(each));
    return each;
}

// A subscription of a partner's user to one of ours: 1 KiB, its dialog included.
TEST(Memory, AWatch) {
    test::WatchScene scene;
    scene.says = "active;expires=3600";
    scene.document = test::pidf({{"desk", test::kOpen + "<note>in the garden</note>"}});
    const std::size_t each = bytes_of_each([&](int from, int to) {
        for (int i = from; i < to; ++i) {
            scene.stanza("subscribe", {}, "juliet.capulet" + std::to_string(i));
            if (i % 64 != 63) continue;
            ASSERT_TRUE(scene.world.until([&] { return scene.stanzas().size() == 2 * 64; }));
            scene.world.edge().stanzas.clear();
            scene.world.edge().their_domains.clear();
            scene.peer->responses.clear();
            scene.peer->requests.clear();
            scene.subscribes.clear();
            scene.world.pass(40s);  // transactions are over: their memory serves the next ones
        }
    });
    EXPECT_EQ(scene.world.gateway().status().watches, 2u * kCount);
    std::printf("%zu bytes for each watch (record %zu)\n", each, sizeof(Watch));
    EXPECT_LE(each, 1'024u);
    EXPECT_GE(each, sizeof(Watch));
}

// One the other way, with one dialog and a resource with a note: 1 KiB in all.
TEST(Memory, AWatcher) {
    World world(Settings{{"sec.subscriptions_per_domain", "100000"}});
    const auto peer = world.peer();
    const auto forget = [&] {
        peer->responses = {};
        peer->requests = {};
        for (auto& edge : world.edges) edge->stanzas = edge->their_domains = {};
        world.edge().tickets = {};
    };
    // Whom it has seen costs the same with and without subscriptions, and has its own bound.
    for (int i = 0; i < 2 * kCount; ++i) {
        const std::string name = std::to_string(i);
        peer->send_tcp(world.sip_address(),
                       World::request(name, "", "", "TCP", "sip:a@stranger.example",
                                      "sip:user" + name + "@sip.example"));
    }
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 2 * kCount; }));
    EXPECT_EQ(world.gateway().seen_users().size(), 2u * kCount);
    const std::size_t each = bytes_of_each([&](int from, int to) {
        forget();
        for (int i = from; i < to; ++i) {
            const std::string user = "user" + std::to_string(i);
            peer->send_tcp(
                world.sip_address(),
                World::request("of-some-length-" + std::to_string(i), "",
                               "Contact: <sip:" + user +
                                   "@10.99.0.1:5070;transport=tcp>\r\n"
                                   "Record-Route: <sip:10.99.0.1:5070;transport=tcp;lr>\r\n"
                                   "Event: presence\r\nExpires: 3600\r\n",
                               "TCP", "sip:juliet@xmpp.example", "sip:" + user + "@sip.example",
                               "SUBSCRIBE"));
            ASSERT_TRUE(world.until([&] { return !peer->responses.empty(); })) << i;
            ASSERT_TRUE(peer->responses[0].starts_with("SIP/2.0 200 ")) << peer->responses[0];
            const std::string front =
                "<presence from='juliet@xmpp.example/balcony' to='" + user + "@sip.example'";
            EXPECT_TRUE(world.give(front + " type='subscribed'/>"));
            EXPECT_TRUE(world.give(front + "><show>away</show><status>be right back</status>"
                                           "<priority>5</priority></presence>"));
            peer->responses = {};
        }
        world.pass(60s);
        forget();
    });
    EXPECT_EQ(world.gateway().status().watchers, 2u * kCount);
    std::printf("%zu bytes for each watcher (record %zu, dialog %zu)\n", each, sizeof(Watcher),
                sizeof(WatcherDialog));
    EXPECT_LE(each, 1'024u);
    EXPECT_GE(each, sizeof(Watcher) + sizeof(WatcherDialog));
}

// An idle session with its conversation: 2 KiB beyond its dialog.
TEST(Memory, ASession) {
    const std::string sdp =
        "v=0\r\no=- 0 0 IN IP4 10.99.0.1\r\ns=session\r\nc=IN IP4 10.99.0.1\r\nt=0 0\r\n"
        "m=message 5060 sip null\r\na=accept-types:text/plain\r\n";
    test::SessionScene scene({{"domain/sip.example/profile", "lync"}}, sdp);
    const std::size_t each = bytes_of_each([&](int from, int to) {
        for (int i = from; i < to; ++i) {
            const std::string name = "n" + std::to_string(i);
            scene.peer->send_tcp(
                scene.world.sip_address(),
                World::request(name, sdp,
                               "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
                               "Content-Type: application/sdp\r\n",
                               "TCP", "sip:juliet@xmpp.example", "sip:user" + name + "@sip.example",
                               "INVITE"));
            const std::string answer = scene.final_answer("INVITE");
            ASSERT_TRUE(answer.starts_with("SIP/2.0 200 ")) << i << answer;
            std::string ack = scene.in_call(answer, "ACK", 1, {}, {}, name);
            ack.replace(ack.find("<sip:romeo@"), 11, "<sip:user" + name + "@");
            scene.peer->send_tcp(scene.world.sip_address(), ack);
            scene.peer->responses = {};
            scene.answers_seen = 0;
        }
        scene.world.pass(40s);
        scene.peer->responses = {};
        scene.peer->requests = {};
    });
    EXPECT_EQ(scene.open(), 2u * kCount);
    std::printf("%zu bytes for each session (record %zu, dialog %zu, conversation %zu)\n", each,
                sizeof(Session), sizeof(sip::Dialog), sizeof(Conversation));
    constexpr std::size_t kDialogText = 350;  // of these users: lines and way
    EXPECT_LE(each, 2'048u + sizeof(sip::Dialog) + kDialogText);
    EXPECT_GE(each, sizeof(Session) + sizeof(Conversation));
}

}  // namespace
}  // namespace fedgate::gateway
