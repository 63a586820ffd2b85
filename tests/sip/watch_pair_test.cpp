// Two agents face to face over a network that loses, doubles, delays and reorders, in virtual time:
// transactions, dialogs and both ends of subscriptions together, with real messages. One seed, one
// run.
#include <map>

#include <gtest/gtest.h>

#include "tests/sip/watch_agent.hpp"

namespace fedgate::sip {
namespace {

using test::WatchAgent;
using test::WatchSettings;

class World {
public:
    explicit World(std::uint32_t seed)
        : random_(seed),
          watcher(settings(1), seed + 1, [this](Bytes bytes, Bytes) { put(bytes, watched_); }),
          watched(settings(2), seed + 2, [this](Bytes bytes, Bytes) { put(bytes, watcher_); }) {
        watcher_ = &watcher;
        watched_ = &watched;
    }

    bool chance(unsigned percent) { return random_() % 100 < percent; }
    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_()) % n; }

    // Until `end`, or until nothing is on its way and nobody waits for anything.
    void run_until(Instant end) {
        while (true) {
            const Instant arrives = network_.empty() ? kNever : network_.begin()->first;
            const Instant due = std::min({arrives, watcher.deadline(), watched.deadline()});
            if (due > end || due == kNever) break;
            ASSERT_GE(due, now) << "a deadline in the past";
            now = due;
            ASSERT_LT(++steps, 20'000) << "runs in circles";
            while (!network_.empty() && network_.begin()->first <= now) {
                const auto [bytes, to] = std::move(network_.begin()->second);
                network_.erase(network_.begin());
                to->receive(bytes, now);
            }
            watcher.on_time(now);
            watched.on_time(now);
            // Nothing stays for ever: who is not idle has a deadline.
            const auto state = watcher.subscriber.state();
            const bool rests =
                state == SubscriberState::kInit || state == SubscriberState::kTerminated;
            ASSERT_TRUE(rests || watcher.deadline() != kNever);
            ASSERT_TRUE(watched.watch_count() == 0 || watched.deadline() != kNever);
        }
        if (end != kNever) now = std::max(now, end);
    }

private:
    std::mt19937 random_;

public:
    Instant now = Instant{} + 1h;
    bool broken = false;  // nothing comes through
    unsigned loss = 0;    // percent
    int steps = 0;
    WatchAgent watcher;
    WatchAgent watched;

private:
    static WatchSettings settings(std::uint32_t maker) {
        WatchSettings s;
        s.uri = "sip:a@a.example";
        s.peer_uri = "sip:b@b.example";
        s.host = maker == 1 ? "192.0.2.1" : "192.0.2.2";
        s.port = 5060;
        s.maker = maker;
        return s;
    }
    void put(Bytes bytes, WatchAgent* to) {
        if (broken || chance(loss)) return;
        const int copies = loss != 0 && chance(10) ? 2 : 1;
        for (int i = 0; i < copies; ++i) {
            const auto delay = std::chrono::milliseconds(1 + below(loss == 0 ? 20 : 3'000));
            network_.emplace(now + delay, std::pair(std::string(bytes), to));
        }
    }

    std::multimap<Instant, std::pair<std::string, WatchAgent*>> network_;
    WatchAgent* watcher_ = nullptr;
    WatchAgent* watched_ = nullptr;
};

// What users, peers and the network do.
void disturb(World& world, int version) {
    const Instant now = world.now;
    static constexpr const char* kReasons[] = {"deactivated", "probation",  "rejected",  "timeout",
                                               "giveup",      "noresource", "invariant", "odd"};
    switch (world.below(14)) {
        case 0:
        case 1:
        case 2: return world.watched.change(std::to_string(version), world.chance(30), now);
        case 3:
        case 4: return world.watcher.subscribe(now);
        case 5: return world.watcher.unsubscribe(now);
        case 6: return world.watcher.fetch(now);
        case 7: return world.watched.end(kReasons[world.below(8)], world.below(200), now);
        case 8: return world.watched.lose_watches();
        case 9: world.broken = true; return;
        case 10:
        case 11: world.broken = false; return;
        case 12: return world.watcher.subscriber.set_wanted(world.chance(50), now);
        case 13: return world.watched.approve(now);
        default: return;
    }
}

TEST(WatchPair, BothSidesAgreeInTheEnd) {  // SIP-10, SIP-22, SIP-24
    constexpr std::uint32_t kSeeds = 1'000;
    std::size_t active = 0;
    std::size_t ended = 0;
    for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        World world(seed);
        world.loss = world.below(50);
        world.watched.document = "0";
        world.watched.approves = world.chance(70);
        world.watcher.subscribe(world.now);
        for (int i = 1; i <= 12; ++i) {
            const bool soon = world.chance(70);
            world.run_until(world.now + (soon ? std::chrono::milliseconds(world.below(40'000))
                                              : std::chrono::seconds(world.below(4'000))));
            disturb(world, i);
            if (::testing::Test::HasFatalFailure()) return;
        }
        // Now all is well. Within the longest wait for a next try, and a refresh, they must agree.
        world.broken = false;
        world.loss = 0;
        world.watched.approves = true;
        world.watched.approve(world.now);
        world.watcher.subscriber.set_wanted(true, world.now);
        world.run_until(world.now + 3h);
        if (::testing::Test::HasFatalFailure()) return;
        const SubscriberState state = world.watcher.subscriber.state();
        const bool rests = state == SubscriberState::kInit || state == SubscriberState::kTerminated;
        ASSERT_TRUE(rests || state == SubscriberState::kActive) << static_cast<int>(state);
        if (rests) {
            ++ended;
            ASSERT_EQ(world.watched.watch_count(), 0u);
        } else {
            ++active;
            ASSERT_TRUE(world.watched.agrees_with(world.watcher)) << world.watcher.reports;
            ASSERT_EQ(world.watched.watch_count(), 1u);
        }
        // It ends when it is asked to, and nothing is left anywhere.
        world.watcher.unsubscribe(world.now);
        world.run_until(kNever);
        if (::testing::Test::HasFatalFailure()) return;
        ASSERT_EQ(world.watcher.subscriber.state(), SubscriberState::kTerminated);
        ASSERT_TRUE(world.watcher.is_idle());
        ASSERT_TRUE(world.watched.is_idle());
    }
    // The runs are not all of one kind.
    EXPECT_GT(active, kSeeds / 4);
    EXPECT_GT(ended, kSeeds / 10);
}

TEST(WatchPair, AFetchTellsWhatIsKnown) {  // PRES-45, PRES-69
    World world(1);
    world.watched.document = "x";
    world.watcher.fetch(world.now);
    world.run_until(kNever);
    EXPECT_EQ(world.watcher.reports, "E");
    EXPECT_EQ(world.watcher.seen, "x");
    EXPECT_TRUE(world.watcher.is_idle());
    EXPECT_TRUE(world.watched.is_idle());
}

// A watcher alone, to which the test says what a notifier would.
TEST(WatchPair, ANotifyIsTakenFromTheFirstThatSendsOne) {  // SIP-21..24, PRES-47
    std::vector<std::string> out;
    WatchSettings settings;
    settings.uri = "sip:a@a.example";
    settings.peer_uri = "sip:b@b.example";
    settings.host = "192.0.2.1";
    WatchAgent agent(settings, 1, [&](Bytes bytes, Bytes) { out.emplace_back(bytes); });
    const Instant now = Instant{} + 1h;
    agent.subscribe(now);
    test::Read subscribe(out.at(0));
    ASSERT_EQ(subscribe.parse(Carrier::kDatagram).parsed.verdict, Verdict::kDone);
    int branch = 0;
    const auto notify = [&](const std::string& from_tag, int cseq, const std::string& fields,
                            const std::string& to_tag = {}, const std::string& call_id = {}) {
        const auto own = [](Bytes own_text, const std::string& other) {
            return other.empty() ? std::string(own_text) : other;
        };
        agent.receive(
            test::crlf("NOTIFY sip:agent@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP n;branch=z9hG4bK" +
                       std::to_string(++branch) + "\nFrom: <sip:b@b.example>;tag=" + from_tag +
                       "\nTo: <sip:a@a.example>;tag=" + own(subscribe.message.from.tag, to_tag) +
                       "\nCall-ID: " + own(subscribe.message.call_id, call_id) +
                       "\nCSeq: " + std::to_string(cseq) + " NOTIFY\nContact: <sip:b@" + from_tag +
                       ">\n" + fields + "Content-Length: 0\n\n"),
            now);
        return std::stoi(out.back().substr(8, 3));
    };
    const std::string active = "Event: presence\nSubscription-State: active;expires=600\n";
    EXPECT_EQ(notify("f1", 5, active, "other"), 481);
    EXPECT_EQ(notify("f1", 5, active, {}, "other"), 481);
    EXPECT_EQ(notify("f1", 5, "Event: presence\n"), 400);
    EXPECT_EQ(notify("f1", 5, "Event: dialog\nSubscription-State: active\n"), 489);
    EXPECT_EQ(notify("f1", 5, "Event: presence;id=1\nSubscription-State: active\n"), 481);
    EXPECT_EQ(agent.reports, "");
    EXPECT_EQ(notify("f1", 6, active), 200);  // before the 2xx
    EXPECT_EQ(notify("f2", 1, active), 481);  // another fork
    EXPECT_EQ(notify("f1", 5, active), 500);
    EXPECT_EQ(notify("f1", 6, active), 500);
    EXPECT_EQ(notify("f1", 9, active), 200);  // a gap
    EXPECT_EQ(agent.reports, "AA");
    agent.unsubscribe(now);  // waits for the answer to the first SUBSCRIBE
    EXPECT_EQ(notify("f1", 10, "Event: presence\nSubscription-State: terminated\n"), 200);
    EXPECT_EQ(agent.reports, "AAE");
    EXPECT_EQ(notify("f1", 11, active), 481);
}

}  // namespace
}  // namespace fedgate::sip
