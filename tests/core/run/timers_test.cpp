#include "core/run/timers.hpp"

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

constexpr Instant kStart{5s + 123456ns};

struct Fired : TimerOwner {
    std::vector<std::uint32_t> fired;
    void on_timer(Timer& timer) override { fired.push_back(timer.kind); }
};

TEST(Timers, FiresNeverEarlyAndAtMostOneTickLate) {
    Timers timers(kStart);
    Fired owner;
    Timer timer(owner, 7);
    timers.arm(timer, kStart + 10ms);
    EXPECT_TRUE(timer.armed());
    timers.run(kStart + 10ms - 1ns);
    EXPECT_TRUE(owner.fired.empty());
    timers.run(kStart + 11ms);
    EXPECT_EQ(owner.fired, std::vector<std::uint32_t>{7});
    EXPECT_FALSE(timer.armed());
    EXPECT_EQ(timers.count(), 0U);
    EXPECT_EQ(timers.next_deadline(), kNever);
}

TEST(Timers, ADeadlineInThePastFiresAtTheNextRun) {
    Timers timers(kStart);
    Fired owner;
    Timer timer(owner, 1);
    timers.arm(timer, kStart - 1s);
    EXPECT_EQ(timers.next_deadline(), kStart);
    timers.run(kStart);
    EXPECT_EQ(owner.fired.size(), 1U);
}

TEST(Timers, ArmingAgainMovesTheDeadline) {
    Timers timers(kStart);
    Fired owner;
    Timer timer(owner);
    timers.arm(timer, kStart + 1ms);
    timers.arm(timer, kStart + 1h);
    timers.run(kStart + 10s);
    EXPECT_TRUE(owner.fired.empty());
    EXPECT_EQ(timers.count(), 1U);
    timers.run(kStart + 2h);
    EXPECT_EQ(owner.fired.size(), 1U);
}

// Arms itself again with a deadline that is over: it must not keep run() from returning.
struct Insistent : TimerOwner {
    explicit Insistent(Timers& all) : timers(all) {}
    void on_timer(Timer& timer) override {
        ++count;
        timers.arm(timer, Instant{});
    }
    Timers& timers;
    int count = 0;
};

TEST(Timers, RearmingForThePastFromACallbackWaitsForTheNextRun) {
    Timers timers(kStart);
    Insistent owner(timers);
    Timer timer(owner);
    timers.arm(timer, kStart);
    timers.run(kStart + 5ms);
    EXPECT_EQ(owner.count, 1);
    timers.run(kStart + 5ms);
    EXPECT_EQ(owner.count, 2);
}

// Destroys another timer that is due in the same run, and itself.
struct Destroyer : TimerOwner {
    void on_timer(Timer&) override {
        ++count;
        mine.reset();
        other.reset();
    }
    std::unique_ptr<Timer> mine, other;
    int count = 0;
};

TEST(Timers, ATimerMayDestroyItselfAndOneThatIsDueToo) {
    Timers timers(kStart);
    Destroyer owner;
    owner.mine = std::make_unique<Timer>(owner);
    owner.other = std::make_unique<Timer>(owner);
    timers.arm(*owner.mine, kStart + 70ms);
    timers.arm(*owner.other, kStart + 70ms);
    timers.run(kStart + 1s);
    EXPECT_EQ(owner.count, 1);
    EXPECT_EQ(timers.count(), 0U);
}

TEST(Timers, ATimerMayOutliveTheWheel) {
    Fired owner;
    std::optional<Timers> timers(kStart);
    Timer timer(owner);
    timers->arm(timer, kStart + 1h);
    timers.reset();
    EXPECT_FALSE(timer.armed());
    timer.cancel();
}

TEST(Timers, TheEndOfTimeIsADeadlineToo) {
    Timers timers(kStart);
    Fired owner;
    Timer timer(owner);
    timers.arm(timer, kNever);
    timers.run(kStart + 24h * 365 * 100);
    EXPECT_TRUE(timer.armed());
    EXPECT_TRUE(owner.fired.empty());
}

// The wheel against a sorted map, with random deadlines on all scales. Time goes either to what
// next_deadline() says, or anywhere.
class Model : public TimerOwner {
public:
    explicit Model(unsigned seed) : random_(seed), timers_(kStart) {
        for (std::uint32_t i = 0; i < 200; ++i) all_.push_back(std::make_unique<Timer>(*this, i));
    }
    void run() {
        for (int step = 0; step < 20'000; ++step) {
            switch (random_() % 4) {
                case 0: arm(); break;
                case 1: arm(); break;
                case 2: cancel(); break;
                default: advance();
            }
            ASSERT_EQ(timers_.count(), armed_.size());
        }
    }

private:
    static Instant tick_after(Instant at) {
        return Instant(std::chrono::ceil<std::chrono::milliseconds>(at.time_since_epoch()));
    }
    std::uint32_t pick() { return static_cast<std::uint32_t>(random_() % all_.size()); }
    void arm() {
        const std::uint32_t i = pick();
        const int scale = static_cast<int>(random_() % 45);
        const Duration ahead(static_cast<std::int64_t>(random_() % (std::uint64_t{1} << scale)));
        const Instant deadline = random_() % 16 == 0 ? now_ - 1ms : now_ + ahead;
        timers_.arm(*all_[i], deadline);
        armed_[i] = deadline;
        was_over_[i] = deadline <= now_;
        ASSERT_EQ(all_[i]->deadline(), deadline);
    }
    void cancel() {
        const std::uint32_t i = pick();
        all_[i]->cancel();
        armed_.erase(i);
    }
    void advance() {
        Instant earliest = kNever;
        for (const auto& [i, deadline] : armed_) earliest = std::min(earliest, deadline);
        const Instant next = timers_.next_deadline();
        if (armed_.empty()) {
            ASSERT_EQ(next, kNever);
        } else {
            ASSERT_LE(next, std::max(tick_after(earliest), now_));
        }
        if (random_() % 8 == 0 || next == kNever) {
            now_ += Duration(static_cast<std::int64_t>(random_() % 3'000'000'000U));
        } else if (next > now_) {
            now_ = next;
        }
        last_ = Instant{};
        timers_.run(now_);
        for (const auto& [i, deadline] : armed_) {
            ASSERT_GT(
                tick_after(deadline),
                Instant(std::chrono::floor<std::chrono::milliseconds>(now_.time_since_epoch())));
        }
    }
    void on_timer(Timer& timer) override {
        const auto at = armed_.find(timer.kind);
        ASSERT_NE(at, armed_.end());
        ASSERT_LE(at->second, now_);
        if (!was_over_[timer.kind]) {  // those that were over when armed come first, as armed
            ASSERT_GE(tick_after(at->second), last_);
            last_ = tick_after(at->second);
        }
        armed_.erase(at);
        if (random_() % 4 == 0) cancel();
    }

    std::mt19937_64 random_;
    Timers timers_;
    Instant now_ = kStart;
    Instant last_{};
    std::vector<std::unique_ptr<Timer>> all_;
    std::map<std::uint32_t, Instant> armed_;
    std::map<std::uint32_t, bool> was_over_;
};

TEST(Timers, BehavesAsASortedMap) {
    for (unsigned seed = 1; seed <= 10; ++seed) {
        SCOPED_TRACE(seed);
        Model(seed).run();
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace fedgate
