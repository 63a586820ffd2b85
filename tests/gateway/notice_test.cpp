// What a SIP user is told of a message of his that was accepted and failed later (IM-50).
#include <gtest/gtest.h>

#include "appliance/gateway/engine.hpp"
#include "tests/gateway/world.hpp"

namespace fedgate::gateway {
namespace {

using test::FakeEdge;
using test::SipPhone;
using test::World;

class Notice : public testing::Test {
protected:
    // Message `name` of romeo, or of another, was accepted.
    link::Ticket accept(const std::string& name, const std::string& from = "romeo") {
        const std::size_t before = peer_->responses.size();
        std::string request = World::request(name, "hello " + name);
        if (from != "romeo") {
            for (std::size_t at; (at = request.find("romeo@")) != std::string::npos;) {
                request.replace(at, 5, from);
            }
        }
        peer_->send_tcp(world_.sip_address(), request);
        EXPECT_TRUE(world_.until([&] { return peer_->responses.size() > before; }));
        EXPECT_TRUE(peer_->responses.back().starts_with("SIP/2.0 200 "));
        return world_.edge().tickets.back();
    }
    void tell(link::Ticket ticket, link::Fate fate) {
        world_.gateway().on_outcome({ticket, fate, link::Fault::kUnreachable});
    }
    void next_hop_is_down(bool down) {
        world_.simulation.refuse_connects(*net::parse_address("10.99.0.1:5070"), down);
    }

    World world_;
    std::unique_ptr<SipPhone> peer_ = world_.peer();
};

TEST_F(Notice, WaitsUntilTheNextHopIsBack) {
    next_hop_is_down(true);
    tell(accept("m1"), link::Fate::kInDoubt);
    world_.pass(5min);
    EXPECT_TRUE(peer_->requests.empty());
    next_hop_is_down(false);
    ASSERT_TRUE(world_.until([&] { return !peer_->requests.empty(); }, 40s));
    EXPECT_NE(peer_->requests[0].find("In-Reply-To: call-m1\r\n"), std::string::npos);
    world_.pass(11min);
    EXPECT_EQ(peer_->requests.size(), 1u);
    EXPECT_EQ(world_.count(Counter::kMessagesS2xUntold), 0u);
}

TEST_F(Notice, DoesNotHoldUpItsPair) {  // SIP-8
    next_hop_is_down(true);
    tell(accept("m1"), link::Fate::kInDoubt);
    world_.pass(12s);
    ASSERT_TRUE(world_.give(World::message("x1", "hello")));
    EXPECT_TRUE(world_.until(
        [&] { return world_.edge().stanzas.back().find("type='error'") != std::string::npos; },
        3s));
}

TEST_F(Notice, IsSaidAgainToAServerThatIsNotReady) {
    peer_->answer = [](const sip::Message&) { return 503; };
    tell(accept("m1"), link::Fate::kInDoubt);
    ASSERT_TRUE(world_.until([&] { return !peer_->requests.empty(); }));
    peer_->answer = [](const sip::Message&) { return 200; };
    world_.pass(1min);
    EXPECT_EQ(peer_->requests.size(), 2u);
    EXPECT_EQ(world_.count(Counter::kMessagesS2xUntold), 0u);
}

TEST_F(Notice, IsGivenUpInTheLogAfterItsTime) {
    next_hop_is_down(true);
    tell(accept("m1"), link::Fate::kInDoubt);
    world_.pass(link::kLateNewsKept - 10s);
    EXPECT_EQ(world_.count(Counter::kMessagesS2xUntold), 0u);
    world_.pass(20s);
    EXPECT_EQ(world_.count(Counter::kMessagesS2xUntold), 1u);
    EXPECT_NE(world_.log().find("FG-3005"), std::string::npos);
    next_hop_is_down(false);
    world_.pass(1min);
    EXPECT_TRUE(peer_->requests.empty());
}

TEST_F(Notice, TheOldestOfTooManyIsGivenUp) {
    next_hop_is_down(true);
    for (std::size_t i = 0; i <= kLateNotices; ++i) {
        const std::string number = std::to_string(i);
        tell(accept("m" + number, "r" + number), link::Fate::kInDoubt);
    }
    world_.pass(1min);
    EXPECT_EQ(world_.count(Counter::kMessagesS2xUntold), 1u);
    next_hop_is_down(false);
    world_.pass(1min);
    EXPECT_EQ(peer_->requests.size(), kLateNotices);
}

// What may still be in doubt is never forgotten: the next one is told to come later.
TEST_F(Notice, IsThereForAllThatMayBeInDoubt) {
    constexpr std::size_t kAtOnce = 256;
    for (std::size_t i = 0; i < kIncoming; ++i) {
        const std::string name = "m" + std::to_string(i);
        peer_->send_tcp(world_.sip_address(), World::request(name, "hello " + name));
        if (i % kAtOnce == kAtOnce - 1) {
            ASSERT_TRUE(world_.until([&] { return peer_->responses.size() == i + 1; }));
        }
    }
    const link::Ticket first = world_.edge().tickets.front();
    peer_->send_tcp(world_.sip_address(), World::request("more", "hello"));
    ASSERT_TRUE(world_.until([&] { return peer_->responses.size() == kIncoming + 1; }));
    EXPECT_TRUE(peer_->responses.back().starts_with("SIP/2.0 503 "));
    tell(first, link::Fate::kAcknowledged);
    accept("again");
}

}  // namespace
}  // namespace fedgate::gateway
