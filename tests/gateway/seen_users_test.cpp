// Which users of ours a gateway knows to be there, and that no stranger makes one up.
#include "appliance/gateway/seen_users.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

std::vector<std::string> names(const std::vector<SeenUser>& users) {
    std::vector<std::string> out;
    for (const SeenUser& one : users) out.push_back(one.address);
    std::ranges::sort(out);
    return out;
}
using Names = std::vector<std::string>;

TEST(SeenUsers, WhoWasNotSeenForLongestLeaves) {
    SeenUsers users(1);
    const WallTime start{std::chrono::seconds(1'000)};
    for (std::size_t i = 0; i < kSeenUsersOfShard; ++i) {
        users.note("u" + std::to_string(i), "sip.example", start);
    }
    users.note("U0", "sip.example", start + std::chrono::seconds(1));  // again
    users.note("one-more", "sip.example", start);
    users.note(std::string(2'000, 'x'), "sip.example", start);  // too long
    users.note("", "sip.example", start);
    const auto all = users.list();
    ASSERT_EQ(all.size(), kSeenUsersOfShard);
    EXPECT_EQ(all.front().address, "u2@sip.example");
    EXPECT_EQ(all[kSeenUsersOfShard - 2].address, "u0@sip.example");
    EXPECT_EQ(all[kSeenUsersOfShard - 2].at, start + std::chrono::seconds(1));
    EXPECT_EQ(all.back().address, "one-more@sip.example");
}

// However many cores there are.
TEST(SeenUsers, AreBoundedOverAllShards) {
    constexpr std::uint32_t kShards = 64;
    std::size_t sum = 0;
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
        SeenUsers users(kShards);
        for (std::size_t i = 0; i < 2 * kSeenUsers / kShards; ++i) {
            users.note("u" + std::to_string(shard) + "." + std::to_string(i), "sip.example", {});
        }
        sum += users.list().size();
    }
    EXPECT_EQ(sum, kSeenUsers);
}

TEST(SeenUsers, AreThoseThatOurSipServersHaveShown) {
    World world(Settings{{"policy/global/xmpp_access", "yes"},
                         {"policy/none/description", "nothing"},
                         {"user/quiet@sip.example/policy", "none"}});
    auto peer = world.peer();
    const auto sends = [&](const std::string& branch, const std::string& from,
                           const std::string& method = "MESSAGE") {
        const std::size_t count = peer->responses.size() + 1;
        peer->send_tcp(
            world.sip_address(),
            World::request(branch, method == "MESSAGE" ? "x" : "",
                           method == "MESSAGE" ? ""
                                               : "Event: presence\r\nContact: "
                                                 "<sip:w@10.99.0.1:5070;transport=tcp>\r\n",
                           "TCP", "sip:juliet@xmpp.example", from, method));
        EXPECT_TRUE(world.until([&] { return peer->responses.size() == count; })) << from;
    };
    const auto seen = [&] { return names(world.gateway().seen_users()); };
    sends("b1", "sip:Romeo@sip.example");
    sends("b2", "sip:quiet@sip.example");  // refused, and there all the same: he may be granted one
    sends("b3", "sip:stranger@elsewhere.example");
    sends("b4", "sip:watcher@sip.example", "SUBSCRIBE");
    EXPECT_EQ(seen(), (Names{"quiet@sip.example", "romeo@sip.example", "watcher@sip.example"}));
    // Whom a partner's user writes to is there if our server has taken it for him.
    const auto writes = [&](const std::string& to, int status) {
        peer->answer = [status](const sip::Message&) { return status; };
        ASSERT_TRUE(world.give("<message from='juliet@xmpp.example/x' to='" + to +
                               "@sip.example' id='" + to + "'><body>x</body></message>"));
        world.pass(1s);
    };
    writes("made-up", 404);
    writes("kept", 202);
    writes("Benvolio", 200);
    ASSERT_TRUE(world.give(
        "<presence type='subscribe' from='juliet@xmpp.example' to='wished@sip.example' id='s'/>"));
    world.pass(1s);
    EXPECT_EQ(seen(), (Names{"benvolio@sip.example", "quiet@sip.example", "romeo@sip.example",
                             "watcher@sip.example"}));
    // An administrator's test says nothing of whom it names.
    peer->answer = [](const sip::Message&) { return 200; };
    for (const bool to_sip : {true, false}) {
        ASSERT_EQ(world.gateway().begin_trial({to_sip ? 1U : 2U, to_sip, "typo@sip.example",
                                               "juliet@xmpp.example", "a test"}),
                  TrialStart::kBegun);
        world.pass(1s);
    }
    EXPECT_EQ(seen().size(), 4u);
}

// Who has no untrusted peer's word for it.
TEST(SeenUsers, AreNotThoseOfWhomAnUntrustedPeerSpeaks) {
    World world(Settings{{"sip.trusted", "192.0.2.0/24"}});
    auto peer = world.peer();
    peer->send_tcp(world.sip_address(), World::request("b1", "x"));
    world.pass(2s);
    EXPECT_EQ(names(world.gateway().seen_users()), Names{});
}

}  // namespace
}  // namespace fedgate::gateway
