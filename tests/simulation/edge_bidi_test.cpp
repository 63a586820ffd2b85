// One stream for both directions (XEP-0288), between two edges.
#include <gtest/gtest.h>

#include "tests/simulation/edge_pair.hpp"

namespace fedgate::simulation {
namespace {

// S2S-15, XEP-0288: one connection for both directions, whatever shard it and the pair are on.
class Bidi : public EdgePair, public testing::WithParamInterface<std::uint32_t> {
protected:
    void start_both_ways() {
        start({{"partner/b.example/bidi", "yes"}}, {{"partner/a.example/bidi", "yes"}}, GetParam());
        door_a_.pings_go_to = &a();
        door_b_.pings_go_to = &b();
    }
    bool send_from_b(link::Ticket ticket, const std::string& text = "hello") {
        return b().take_stanza({ticket, "b.example", "a.example",
                                "<message from='v@b.example' to='u@a.example' id='m'><body>" +
                                    text + "</body></message>"});
    }
    static std::ptrdiff_t messages(const Door& door) {
        return std::ranges::count_if(
            door.got, [](const Door::Got& got) { return got.stanza.starts_with("<message"); });
    }
};
INSTANTIATE_TEST_SUITE_P(Shards, Bidi, testing::Values(1u, 3u));

TEST_P(Bidi, OneConnectionServesBoth) {
    start_both_ways();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 1; })) << a_->log() << b_->log();
    for (link::Ticket ticket = 10; ticket < 210; ++ticket) ASSERT_TRUE(send_from_b(ticket));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 200; }));
    EXPECT_TRUE(until([&] { return door_b_.has(209, link::Fate::kAcknowledged); }));
    EXPECT_TRUE(until([&] { return door_a_.has(1, link::Fate::kAcknowledged); }));
    EXPECT_EQ(a_->count(Counter::kXmppInEstablished), 0u);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 1u);
    EXPECT_EQ(b_->count(Counter::kXmppOutEstablished), 0u);
}

// P9: an answer that their stream carried, unconfirmed, opens no stream to who is denied.
TEST_P(Bidi, NobodyConnectsToWhoIsTakenAway) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; })) << a_->log() << b_->log();
    door_b_.pings_go_to = nullptr;
    ASSERT_TRUE(send_from_a(0));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 1; }));
    const auto connections = b_->count(Counter::kXmppInAccepted);  // about a dialback key
    Settings without = server_rules("a.example", "b.example");
    without.push_back({"federation.deny", "b.example"});
    a_->reload(without);
    until([] { return false; }, 20s);
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), connections) << a_->log();
}

// The same where the one with many shards accepts: stream and pair meet by mailbox.
TEST_P(Bidi, TheyOpenItAndWeUseIt) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; })) << a_->log() << b_->log();
    for (link::Ticket ticket = 10; ticket < 210; ++ticket) {
        ASSERT_TRUE(send_from_a(ticket, std::to_string(ticket) + std::string(20'000, 'x')));
        until([] { return false; }, 1ms);
    }
    ASSERT_TRUE(until([&] { return messages(door_b_) == 200; }));
    link::Ticket next = 10;
    for (const Door::Got& got : door_b_.got) {
        if (!got.stanza.starts_with("<message")) continue;
        EXPECT_NE(got.stanza.find("<body>" + std::to_string(next++) + "x"), std::string::npos);
    }
    EXPECT_TRUE(until([&] { return door_a_.has(209, link::Fate::kAcknowledged); }));
    EXPECT_EQ(a_->count(Counter::kXmppOutEstablished), 0u);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 0u);
    // And it ends as any stream does, with nothing in doubt.
    ASSERT_TRUE(until([&] { return a_->count(Counter::kXmppInEstablished) == 0; }, 700s));
    EXPECT_EQ(std::ranges::count(door_a_.outcomes, link::Fate::kInDoubt, &link::Outcome::fate), 0);
    ASSERT_TRUE(send_from_a(300));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 201; }));
    EXPECT_EQ(a_->count(Counter::kXmppOutEstablished), 1u);
}

// S2S-20: both connect at once, and both streams stand until one is idle; the other then serves.
TEST_P(Bidi, OfTwoTheIdleOneGoes) {
    start_both_ways();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1 && messages(door_b_) == 1; }));
    EXPECT_EQ(a_->count(Counter::kXmppOutEstablished), 1u);
    EXPECT_EQ(b_->count(Counter::kXmppOutEstablished), 1u);
    for (link::Ticket ticket = 2; ticket < 9; ++ticket) {
        until([] { return false; }, 100s);
        ASSERT_TRUE(send_from_a(ticket));
    }
    ASSERT_TRUE(until([&] { return messages(door_b_) == 8; }));
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 1u);
    EXPECT_EQ(a_->count(Counter::kXmppInEstablished), 0u) << a_->log();
    ASSERT_TRUE(send_from_b(2));
    ASSERT_TRUE(until([&] { return door_b_.has(2, link::Fate::kAcknowledged); }));
    EXPECT_EQ(messages(door_a_), 2);
    EXPECT_EQ(b_->count(Counter::kXmppOutEstablished), 0u);
    for (const Door* door : {&door_a_, &door_b_}) {
        EXPECT_EQ(std::ranges::count(door->outcomes, link::Fate::kInDoubt, &link::Outcome::fate),
                  0);
    }
}

TEST_P(Bidi, WhatALostStreamCarriedIsInDoubt) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    until([] { return false; }, 1s);
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kWritten); }));
    simulation_.kill(b_->node());
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kInDoubt); }, 5s));
}

TEST_P(Bidi, APartnerThatHangsIsGivenUp) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    until([] { return false; }, 1s);
    simulation_.cut(a_->node(), b_->node());
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kInDoubt); }, 45s));
    EXPECT_TRUE(until([&] { return a_->count(Counter::kXmppInEstablished) == 0; }, 15s));
}

// Nobody reads over there: what is under way stays bounded, the rest waits and is refused in time.
TEST_P(Bidi, AStreamThatStandsStillHoldsBack) {
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    until([] { return false; }, 1s);
    simulation_.cut(a_->node(), b_->node());
    constexpr link::Ticket kCount = 100;
    for (link::Ticket ticket = 2; ticket < 2 + kCount; ++ticket) {
        ASSERT_TRUE(send_from_a(ticket, std::string(30'000, 'x')));
        until([] { return false; }, 1ms);
    }
    const auto fates = [&](link::Fate fate) {
        return std::ranges::count(door_a_.outcomes, fate, &link::Outcome::fate);
    };
    EXPECT_LE(fates(link::Fate::kWritten), 40);  // kCarrierWindowBytes and what the network took
    EXPECT_GE(fates(link::Fate::kWritten), 30);
    ASSERT_TRUE(until(
        [&] {
            return fates(link::Fate::kInDoubt) + fates(link::Fate::kFailed) ==
                   static_cast<std::ptrdiff_t>(kCount);
        },
        60s))
        << fates(link::Fate::kInDoubt) << ' ' << fates(link::Fate::kFailed);
}

TEST_P(Bidi, DrainEndsIt) {  // X18
    start_both_ways();
    ASSERT_TRUE(send_from_b(1));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 1; }));
    for (auto& seat : a_->seats()) seat.edge->drain();
    EXPECT_TRUE(until(
        [&] {
            return std::ranges::all_of(a_->seats(),
                                       [](const auto& seat) { return seat.edge->drained(); });
        },
        12s));
    EXPECT_EQ(std::ranges::count(door_a_.outcomes, link::Fate::kInDoubt, &link::Outcome::fate), 0);
}

TEST_P(Bidi, OnlyWithPartnersThatHaveIt) {
    start({{"partner/b.example/bidi", "yes"}}, {}, GetParam());
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return messages(door_b_) == 1; }));
    ASSERT_TRUE(send_from_b(2));
    ASSERT_TRUE(until([&] { return messages(door_a_) == 1; }));
    EXPECT_EQ(a_->count(Counter::kXmppInEstablished), 1u);
    EXPECT_EQ(b_->count(Counter::kXmppInEstablished), 1u);
}

}  // namespace
}  // namespace fedgate::simulation
