#include "appliance/edge/door_guard.hpp"

#include <map>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "core/config/tree.hpp"

namespace fedgate::edge {
namespace {

using Refusal = DoorGuard::Refusal;

const Instant kStart{std::chrono::hours(1)};

SocketAddress address(int i) {
    return *net::parse_address("192.0.2." + std::to_string(i) + ":1000");
}

rules::Settings::Xmpp defaults() {
    config::Problems problems;
    return rules::compile(config::Tree(), 1, problems)->settings.xmpp;
}

rules::Settings::Xmpp without_rate() {
    rules::Settings::Xmpp settings = defaults();
    settings.connections_per_address = rules::Rate{};
    return settings;
}

rules::Partner partner(const char* domain, std::uint32_t limit) {
    rules::Partner partner;
    partner.domain = domain;
    partner.connection_limit = limit;
    return partner;
}

// The streams of one address that come to one guard.
class Comers {
public:
    explicit Comers(DoorGuard& guard) : guard_(guard) {}

    Refusal prove(const rules::Settings::Xmpp& settings, const rules::Partner& terms,
                  const std::string& our, const std::string& their, Instant now = kStart,
                  std::uint32_t shard = 0) {
        const Refusal at_door = guard_.enter(settings, shard, address(1), now);
        if (at_door != Refusal::kNone) return at_door;
        const auto admission =
            guard_.authenticate(settings, terms, {shard, ++last_}, address(1), our, their, now);
        gives_way = admission.gives_way ? admission.gives_way->number : 0;
        if (admission.place == nullptr) {
            guard_.leave(shard, address(1), nullptr);
        } else {
            places_[last_] = admission.place;
        }
        return admission.refusal;
    }
    void hear(std::uint64_t number, Instant now) { places_.at(number)->heard_at = now; }
    void leave(std::uint64_t number) {
        const DoorGuard::Place* place = places_.at(number);
        guard_.leave(place->stream.shard, address(1), place);
        places_.erase(number);
    }
    [[nodiscard]] std::uint64_t last() const { return last_; }

    std::uint64_t gives_way = 0;  // to the last one; 0: none

private:
    DoorGuard& guard_;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, DoorGuard::Place*> places_;  // by number, from 1
};

TEST(DoorGuard, BoundsWhatIsNotAuthenticated) {  // S2S-62: 10 for each address, 10 % in all
    rules::Settings::Xmpp settings = without_rate();
    settings.connections = 250;
    DoorGuard guard(1);
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(guard.enter(settings, 0, address(1), kStart), Refusal::kNone);
    EXPECT_EQ(guard.enter(settings, 0, address(1), kStart), Refusal::kUnauthenticated);
    for (int i = 0; i < 15; ++i)
        EXPECT_EQ(guard.enter(settings, 0, address(2 + i), kStart), Refusal::kNone);
    EXPECT_NE(guard.enter(settings, 0, address(100), kStart), Refusal::kNone);
    // Whoever proves itself or leaves makes room.
    EXPECT_EQ(guard
                  .authenticate(settings, partner("b.example", 100), {}, address(1), "a.example",
                                "b.example", kStart)
                  .refusal,
              Refusal::kNone);
    EXPECT_EQ(guard.enter(settings, 0, address(1), kStart), Refusal::kNone);
    EXPECT_NE(guard.enter(settings, 0, address(100), kStart), Refusal::kNone);
    guard.leave(0, address(1), nullptr);
    EXPECT_EQ(guard.enter(settings, 0, address(100), kStart), Refusal::kNone);
    EXPECT_EQ(guard.connections(), 26u);
}

TEST(DoorGuard, BoundsAll) {  // features.md X7
    rules::Settings::Xmpp settings = without_rate();
    settings.connections = 20;
    settings.streams_per_domain_pair = 1'000;
    DoorGuard guard(1);
    Comers comers(guard);
    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(comers.prove(settings, partner("b.example", 1'000), "a.example", "b.example"),
                  Refusal::kNone);
    }
    EXPECT_EQ(guard.enter(settings, 0, address(2), kStart), Refusal::kTotal);
    comers.leave(1);
    EXPECT_EQ(guard.enter(settings, 0, address(2), kStart), Refusal::kNone);
}

TEST(DoorGuard, BoundsThePairAndThePartner) {  // S2S-62: four of a pair
    const rules::Settings::Xmpp settings = without_rate();
    DoorGuard guard(1);
    Comers comers(guard);
    const auto prove = [&](const char* our, const char* their) {
        return comers.prove(settings, partner(their, 6), our, their);
    };
    EXPECT_EQ(settings.streams_per_domain_pair, 4u);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(prove("a.example", "b.example"), Refusal::kNone);
    EXPECT_EQ(prove("a.example", "b.example"), Refusal::kPair);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(prove("other.example", "b.example"), Refusal::kNone);
    EXPECT_EQ(prove("other.example", "b.example"), Refusal::kPartner);
    EXPECT_EQ(prove("a.example", "c.example"), Refusal::kNone);
    comers.leave(1);
    EXPECT_EQ(prove("a.example", "b.example"), Refusal::kNone);
}

// S2S-62: a full pair whose streams live is closed to more; the one that was silent longest, if for
// long enough, is driven out by a new one, which takes its place everywhere.
TEST(DoorGuard, ASilentStreamOfAFullPairGivesWay) {
    const rules::Settings::Xmpp settings = without_rate();
    DoorGuard guard(2);
    Comers comers(guard);
    const auto prove = [&](Instant now, std::uint32_t shard = 0) {
        return comers.prove(settings, partner("b.example", 4), "a.example", "b.example", now,
                            shard);
    };
    for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(prove(kStart + i * 1s, i % 2), Refusal::kNone);
    const Instant almost = kStart + kGivesWayAfter - 1ms;
    EXPECT_EQ(prove(almost), Refusal::kPair);
    comers.hear(1, almost);  // and the second is the one that was silent longest
    EXPECT_EQ(prove(kStart + kGivesWayAfter + 1s), Refusal::kNone);
    EXPECT_EQ(comers.gives_way, 2u);
    // One place, one stream.
    EXPECT_EQ(prove(kStart + kGivesWayAfter + 1s), Refusal::kPair);
    EXPECT_EQ(guard.connections(), 5u);
    comers.leave(2);  // its place is another's
    EXPECT_EQ(guard.connections(), 4u);
    EXPECT_EQ(prove(kStart + kGivesWayAfter + 1s), Refusal::kPair);
    // The partner's bound was kept, too.
    EXPECT_EQ(comers.prove(settings, partner("b.example", 4), "other.example", "b.example",
                           kStart + kGivesWayAfter + 1s),
              Refusal::kPartner);
    comers.leave(1);
    EXPECT_EQ(prove(kStart + kGivesWayAfter + 1s), Refusal::kNone);
    EXPECT_EQ(comers.gives_way, 0u);
}

// What is silent of a partner who has all that he may have gives way, whichever pair it is of.
TEST(DoorGuard, ASilentStreamOfAFullPartnerGivesWay) {
    const rules::Settings::Xmpp settings = without_rate();
    DoorGuard guard(1);
    Comers comers(guard);
    const auto prove = [&](const char* our, Instant now) {
        return comers.prove(settings, partner("b.example", 4), our, "b.example", now);
    };
    EXPECT_EQ(comers.prove(settings, partner("c.example", 4), "a.example", "c.example"),
              Refusal::kNone);
    for (const char* our : {"a.example", "a.example", "one.example", "two.example"}) {
        EXPECT_EQ(prove(our, kStart), Refusal::kNone);
    }
    EXPECT_EQ(prove("two.example", kStart + kGivesWayAfter - 1ms), Refusal::kPartner);
    for (const std::uint64_t number : {2, 3, 5}) comers.hear(number, kStart + 1s);
    EXPECT_EQ(prove("two.example", kStart + kGivesWayAfter), Refusal::kNone);
    EXPECT_EQ(comers.gives_way, 4u);  // the only one of its pair
    EXPECT_EQ(prove("one.example", kStart + kGivesWayAfter), Refusal::kPartner);
    comers.leave(4);
    EXPECT_EQ(prove("one.example", kStart + kGivesWayAfter), Refusal::kPartner);
    EXPECT_EQ(prove("one.example", kStart + kGivesWayAfter + 1s), Refusal::kNone);
    for (const std::uint64_t number : {1, 2, 3, 5}) comers.leave(number);
    EXPECT_EQ(guard.connections(), 2u);
}

// Silence is no way around the rate.
TEST(DoorGuard, NobodyIsDrivenOutByOneTooMany) {
    const rules::Settings::Xmpp settings = without_rate();
    rules::Partner terms = partner("b.example", 4);
    const Instant later = kStart + 2 * kGivesWayAfter;
    terms.rate_connections = {1, std::chrono::hours(1)};
    rules::Settings::Xmpp limited = settings;
    DoorGuard slow(1);
    Comers late(slow);
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(late.prove(limited, terms, "a.example", "b.example"), Refusal::kNone);
    }
    EXPECT_EQ(late.prove(limited, terms, "a.example", "b.example", later), Refusal::kPartnerRate);
    EXPECT_EQ(late.gives_way, 0u);
    for (std::uint64_t i = 1; i <= 4; ++i) late.leave(i);
    EXPECT_EQ(slow.connections(), 0u);
}

// features.md X7: twenty of a partner, whichever of its domains they are for; a domain that is not
// listed counts for itself.
TEST(DoorGuard, CountsAPartnerOverAllItsDomains) {
    const rules::Settings::Xmpp settings = without_rate();
    DoorGuard guard(1);
    Comers comers(guard);
    const auto prove = [&](const char* name, const std::string& their) {
        return comers.prove(settings, partner(name, 20), "a.example", their);
    };
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(prove("*.b.example", std::to_string(i) + ".b.example"), Refusal::kNone);
    }
    EXPECT_EQ(prove("*.b.example", "20.b.example"), Refusal::kPartner);
    EXPECT_EQ(prove("", "20.c.example"), Refusal::kNone);
    // The rules have made it another partner's since; it is still the first one's that gets room.
    comers.leave(8);  // that of 7.b.example
    EXPECT_EQ(prove("*.b.example", "20.b.example"), Refusal::kNone);
    EXPECT_EQ(prove("*.b.example", "21.b.example"), Refusal::kPartner);
}

TEST(DoorGuard, BoundsNewConnectionsOfAPartner) {  // features.md X14
    const rules::Settings::Xmpp settings = without_rate();
    DoorGuard guard(1);
    rules::Partner terms = partner("b.example", 2);  // the burst: as many as there may be
    terms.rate_connections = {4, 1min};
    Comers comers(guard);
    const auto come = [&](Instant now) {
        const Refusal refusal = comers.prove(settings, terms, "a.example", "b.example", now);
        if (refusal == Refusal::kNone) comers.leave(comers.last());
        return refusal;
    };
    EXPECT_EQ(come(kStart), Refusal::kNone);
    EXPECT_EQ(come(kStart), Refusal::kNone);
    EXPECT_EQ(come(kStart), Refusal::kPartnerRate);
    EXPECT_EQ(come(kStart + 14s), Refusal::kPartnerRate);
    EXPECT_EQ(come(kStart + 15s), Refusal::kNone);
    EXPECT_EQ(come(kStart + 15s), Refusal::kPartnerRate);
}

// However many addresses claim to be it, one domain is asked so often only.
TEST(DoorGuard, BoundsTheQuestionsToOneDomain) {
    rules::Settings::Xmpp settings = without_rate();
    settings.dialback_per_domain = {60, 1min};
    DoorGuard guard(1);
    int asked = 0;
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(guard.enter(settings, 0, address(i), kStart), Refusal::kNone);
        asked +=
            guard.ask(settings, address(i), "victim.example", kStart) == Refusal::kNone ? 1 : 0;
        EXPECT_EQ(guard.ask(settings, address(i), std::to_string(i) + ".example", kStart),
                  Refusal::kNone);
    }
    EXPECT_EQ(asked, 30);
    EXPECT_EQ(guard.ask(settings, address(1), "victim.example", kStart + 1s), Refusal::kNone);
    EXPECT_EQ(guard.ask(settings, address(1), "victim.example", kStart + 1s), Refusal::kQuestions);
}

TEST(DoorGuard, BoundsNewConnectionsOfAnAddress) {  // S2S-63: 60 a minute, a bucket of 30
    const rules::Settings::Xmpp settings = defaults();
    DoorGuard guard(1);
    const auto come = [&](int who, Instant now) {
        const Refusal refusal = guard.enter(settings, 0, address(who), now);
        if (refusal == Refusal::kNone) guard.leave(0, address(who), nullptr);
        return refusal;
    };
    for (int i = 0; i < 30; ++i) EXPECT_EQ(come(1, kStart), Refusal::kNone) << i;
    EXPECT_EQ(come(1, kStart), Refusal::kRate);
    EXPECT_EQ(come(2, kStart), Refusal::kNone);
    EXPECT_EQ(come(1, kStart + 900ms), Refusal::kRate);
    EXPECT_EQ(come(1, kStart + 1s), Refusal::kNone);
    EXPECT_EQ(come(1, kStart + 1s), Refusal::kRate);
}

TEST(DoorGuard, BoundsTheQuestionsOfAnAddress) {  // issue 3: 32
    const rules::Settings::Xmpp settings = without_rate();
    DoorGuard guard(4);
    EXPECT_EQ(guard.enter(settings, 0, address(1), kStart), Refusal::kNone);
    const auto ask = [&](int i) {
        return guard.ask(settings, address(1), std::to_string(i) + ".example", kStart);
    };
    for (int i = 0; i < 32; ++i) EXPECT_EQ(ask(i), Refusal::kNone);
    EXPECT_EQ(ask(32), Refusal::kQuestionsOfAddress);
    guard.answered(net::ip_key(address(1)));
    EXPECT_EQ(ask(32), Refusal::kNone);
    EXPECT_EQ(ask(33), Refusal::kQuestionsOfAddress);
}

// X7. However the kernel deals connections out to the shards: no bound is reached before it is, and
// none is passed.
class DoorGuardOfFourShards : public testing::TestWithParam<bool> {
protected:
    static constexpr std::uint32_t kShards = 4;

    [[nodiscard]] static std::uint32_t shard(int i) {
        return GetParam() ? static_cast<std::uint32_t>(i) % kShards : 3;
    }

    DoorGuard guard_{kShards};
};

TEST_P(DoorGuardOfFourShards, BoundsWhatIsNotAuthenticated) {
    rules::Settings::Xmpp settings = without_rate();
    settings.connections = 250;
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(guard_.enter(settings, shard(i), address(1), kStart), Refusal::kNone) << i;
    }
    EXPECT_EQ(guard_.enter(settings, shard(0), address(1), kStart), Refusal::kUnauthenticated);
    for (int i = 0; i < 15; ++i) {
        EXPECT_EQ(guard_.enter(settings, shard(i), address(2 + i), kStart), Refusal::kNone) << i;
    }
    EXPECT_EQ(guard_.enter(settings, shard(0), address(99), kStart), Refusal::kAllUnauthenticated);
    guard_.leave(shard(0), address(1), nullptr);
    EXPECT_EQ(guard_.enter(settings, shard(0), address(99), kStart), Refusal::kNone);
    // A shard that has none can make no room: it may have one.
    const Refusal at_another = guard_.enter(settings, 2, address(100), kStart);
    EXPECT_EQ(at_another, GetParam() ? Refusal::kAllUnauthenticated : Refusal::kNone);
    EXPECT_EQ(guard_.enter(settings, 2, address(101), kStart), Refusal::kAllUnauthenticated);
}

TEST_P(DoorGuardOfFourShards, BoundsWhatIsAuthenticated) {
    rules::Settings::Xmpp settings = without_rate();
    settings.connections = 30;
    Comers comers(guard_);
    const auto prove = [&](int i, const std::string& our, const std::string& their) {
        return comers.prove(settings, partner(their.c_str(), 20), our, their, kStart, shard(i));
    };
    for (int i = 0; i < 4; ++i) EXPECT_EQ(prove(i, "a.example", "b.example"), Refusal::kNone);
    EXPECT_EQ(prove(0, "a.example", "b.example"), Refusal::kPair);
    for (int i = 0; i < 16; ++i) {
        EXPECT_EQ(prove(i, std::to_string(i) + ".a.example", "b.example"), Refusal::kNone) << i;
    }
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(prove(i, "other.example", "b.example"), Refusal::kPartner) << i;
    }
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(prove(i, std::to_string(i) + ".a.example", "c.example"), Refusal::kNone) << i;
    }
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(prove(i, "other.example", "d.example"), Refusal::kTotal) << i;
    }
    EXPECT_EQ(guard_.connections(), 30U);
    comers.leave(1);
    EXPECT_EQ(prove(3, "a.example", "b.example"), Refusal::kNone);
}

INSTANTIATE_TEST_SUITE_P(Dealt, DoorGuardOfFourShards, testing::Bool(),
                         [](const auto& one) { return one.param ? "InTurn" : "AllToOne"; });

TEST(DoorGuard, IsForAllThreads) {
    const rules::Settings::Xmpp settings = without_rate();
    constexpr std::uint32_t kShards = 4;
    DoorGuard guard(kShards);
    const auto come_and_go = [&](std::uint32_t shard) {
        const SocketAddress peer = address(static_cast<int>(shard));
        for (int i = 0; i < 2'000; ++i) {
            if (guard.enter(settings, shard, peer, kStart) != Refusal::kNone) continue;
            const Instant now = kStart + i * kGivesWayAfter / 10;
            const auto admission = guard.authenticate(settings, partner("b.example", 2), {shard, 0},
                                                      peer, "a.example", "b.example", now);
            if (admission.place != nullptr) {
                admission.place->heard_at.store(now - kGivesWayAfter, std::memory_order_relaxed);
            }
            guard.leave(shard, peer, admission.place);
        }
    };
    {
        std::vector<std::jthread> threads;
        for (std::uint32_t shard = 0; shard < kShards; ++shard) {
            threads.emplace_back(come_and_go, shard);
        }
    }
    EXPECT_EQ(guard.connections(), 0U);
}

}  // namespace
}  // namespace fedgate::edge
