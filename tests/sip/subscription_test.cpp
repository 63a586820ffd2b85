#include "sip/subscription.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/limits.hpp"
#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

using A = SubscriberActions;
using N = NotifierActions;
using S = SubscriberState;
constexpr SubscriberTiming kTiming;
constexpr NotifierTiming kNotifierTiming;
constexpr Instant kStart{};

std::int64_t seconds(Instant at) {
    return std::chrono::duration_cast<std::chrono::seconds>(at - kStart).count();
}
SubscriptionState says(const std::string& text) {  // only literals: the views must live
    static std::set<std::string> kept;
    const auto state = parse_subscription_state(*kept.insert(text).first);
    EXPECT_TRUE(state) << text;
    return *state;
}
Answer status(int code) { return {static_cast<std::uint16_t>(code), {}, {}, {}}; }
Answer accepted(std::uint32_t expires) { return {200, expires, {}, {}}; }

// A subscriber that was told `state` at the start.
Subscriber subscribed(const char* state, std::uint32_t expires = 3'600, std::uint16_t spread = 0) {
    Subscriber s(kTiming, spread);
    EXPECT_EQ(s.subscribe(kStart), A::kSendInitial);
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(expires), kStart), A::kNone);
    EXPECT_NE(s.on_notify(says(state), kStart), A::kNone);
    return s;
}

TEST(Subscriber, IsGrantedWhatTheFirstNotifySays) {  // PRES-30..33
    Subscriber s(kTiming, 0);
    EXPECT_EQ(s.deadline(), kNever);
    EXPECT_EQ(s.subscribe(kStart), A::kSendInitial);
    EXPECT_EQ(s.expires(), 3'600u);
    EXPECT_EQ(s.state(), S::kNotifyWait);
    EXPECT_EQ(s.subscribe(kStart), A::kNone);  // PRES-34
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(3'600), kStart + 1s), A::kNone);
    EXPECT_EQ(seconds(s.deadline()), 33);
    EXPECT_EQ(s.on_notify(says("pending;expires=3600"), kStart + 2s), A::kReportPending);
    EXPECT_EQ(s.state(), S::kPending);
    EXPECT_EQ(s.on_notify(says("active;expires=3600"), kStart + 3s), A::kReportActive);
    EXPECT_EQ(s.on_notify(says("active;expires=3600"), kStart + 4s), A::kReportActive);
    EXPECT_EQ(s.state(), S::kActive);
}

TEST(Subscriber, ANotifyMayComeBeforeThe2xx) {  // SIP-22
    Subscriber s(kTiming, 0);
    (void)s.subscribe(kStart);
    EXPECT_EQ(s.on_notify(says("active;expires=600"), kStart), A::kReportActive);
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(3'600), kStart), A::kNone);
    EXPECT_EQ(seconds(s.deadline()), 60);  // the smaller holds: PRES-40
}

TEST(Subscriber, RefreshesBeforeItExpires) {  // PRES-40
    struct Range {
        std::uint32_t granted;
        std::int64_t first_from, first_to, later_from, later_to;
    };
    for (const Range& range : {Range{3'600, 360, 3'240, 2'880, 3'240},
                               {320, 32, 288, 256, 288},
                               {310, 31, 155, 124, 155},  // less than 32 s would be left
                               {60, 6, 30, 24, 30},
                               {10, 1, 5, 4, 5}}) {
        std::int64_t first_from = INT64_MAX, first_to = 0, later_from = INT64_MAX, later_to = 0;
        for (std::uint32_t spread = 0; spread < 65'536; spread += 255) {
            Subscriber s = subscribed("active", range.granted, static_cast<std::uint16_t>(spread));
            const Instant first = s.deadline();
            first_from = std::min(first_from, seconds(first));
            first_to = std::max(first_to, seconds(first));
            EXPECT_EQ(s.on_time(first), A::kSendRefresh);
            EXPECT_EQ(s.on_answer(s.attempt(), accepted(range.granted), first), A::kNone);
            EXPECT_EQ(s.on_notify(says("active"), first), A::kReportActive);
            const std::int64_t later = seconds(kStart + (s.deadline() - first));
            later_from = std::min(later_from, later);
            later_to = std::max(later_to, later);
        }
        EXPECT_EQ(first_from, range.first_from) << range.granted;
        EXPECT_EQ(first_to, range.first_to - 1) << range.granted;  // the range is half open
        EXPECT_LE(std::abs(later_from - range.later_from), 1) << range.granted;
        EXPECT_LE(std::abs(later_to - range.later_to), 3) << range.granted;
    }
    EXPECT_EQ(seconds(subscribed("active;expires=100").deadline()), 10);
    EXPECT_EQ(seconds(subscribed("active", 7'200).deadline()), 360);   // no more than we asked for
    EXPECT_EQ(seconds(subscribed("active;expires=0").deadline()), 1);  // no run in circles
    EXPECT_EQ(seconds(subscribed("active", 0).deadline()), 1);
}

// What begins at once or is asked for at once does not come back at once: no minute
// has much more than the mean, in this interval and in all that follow. Reachable is 1 / 0.8 of a
// refresh an interval, since the first one falls in that part of it, where the mean is 1 / 0.85.
TEST(Subscriber, ManyThatBeganAtOnceAreRefreshedWithoutABurst) {  // PRES-40
    constexpr std::uint32_t kMany = 20'000;
    constexpr int kIntervals = 8;
    constexpr auto kInterval = 3'600s;
    constexpr Instant kAsked = kStart + 4 * kInterval;
    std::vector<int> minutes(kIntervals * 60 + 1);
    for (std::uint32_t i = 0; i < kMany; ++i) {
        Subscriber s = subscribed("active", 3'600, static_cast<std::uint16_t>(i * 65'536 / kMany));
        bool asked = false;
        while (s.deadline() < kStart + kIntervals * kInterval) {
            Instant now = s.deadline();
            if (!asked && now >= kAsked) {  // all, as after an outage
                asked = true;
                now = kAsked;
                ASSERT_EQ(s.refresh(now), A::kSendRefresh);
            } else {
                ASSERT_EQ(s.on_time(now), A::kSendRefresh);
                ++minutes[static_cast<std::size_t>(seconds(now)) / 60];
            }
            ASSERT_EQ(s.on_answer(s.attempt(), accepted(3'600), now), A::kNone);
            ASSERT_EQ(s.on_notify(says("active"), now), A::kReportActive);
        }
    }
    const double mean = kMany / 60.0 / 0.85;
    const int most = *std::ranges::max_element(minutes);
    EXPECT_LT(most, 1.35 * mean);
    EXPECT_GT(most, mean);
}

TEST(Subscriber, ManyNotifiesDoNotPutTheRefreshOff) {
    Subscriber s = subscribed("active;expires=1000", 3'600, 0x8000);  // at the half
    for (int at = 10; at < 500; at += 10) {
        (void)s.on_notify(says("active;expires=" + std::to_string(1'000 - at)),
                          kStart + std::chrono::seconds(at));
        ASSERT_EQ(seconds(s.deadline() + 1s), 500) << at;
    }
    // A shorter time moves it nearer.
    (void)s.on_notify(says("active;expires=100"), kStart + 440s);
    EXPECT_EQ(seconds(s.deadline() + 1s), 470);
}

TEST(Subscriber, TimerNEndsWhatNobodyNotifies) {  // SIP-10, PRES-41
    Subscriber s(kTiming, 0);
    (void)s.subscribe(kStart);
    (void)s.on_answer(s.attempt(), accepted(3'600), kStart + 10s);
    EXPECT_EQ(seconds(s.deadline()), 42);
    EXPECT_EQ(s.on_time(s.deadline()), A::kForget | A::kReportLost);
    EXPECT_EQ(s.status(), 408);
    EXPECT_EQ(s.state(), S::kInit);
    EXPECT_EQ(seconds(s.deadline()), 90);  // 60 s less 20 %
    EXPECT_EQ(s.on_time(s.deadline()), A::kSendInitial);
    // Behind a refresh too.
    Subscriber active = subscribed("active");
    (void)active.on_time(active.deadline());
    (void)active.on_answer(active.attempt(), accepted(3'600), kStart + 2'880s);
    EXPECT_EQ(seconds(active.deadline()), 2'880 + 32);
    EXPECT_EQ(active.on_time(active.deadline()), A::kForget | A::kReportLost);
}

TEST(Subscriber, AsksOnceForTheLeastThatItMay) {  // PRES-37
    Subscriber s(kTiming, 0);
    (void)s.subscribe(kStart);
    const std::uint8_t first = s.attempt();
    EXPECT_EQ(s.on_answer(first, {423, {}, 7'200, {}}, kStart), A::kForget | A::kSendInitial);
    EXPECT_EQ(s.expires(), 7'200u);
    EXPECT_EQ(s.on_answer(first, status(403), kStart), A::kNone);  // an earlier one's
    EXPECT_EQ(s.on_answer(s.attempt(), {423, {}, 9'000, {}}, kStart), A::kForget | A::kReportLost);
    EXPECT_EQ(s.status(), 423);
    for (const std::uint32_t useless : {0u, 60u, 3'600u, limits::kRetrySecondsMax + 1}) {
        Subscriber other(kTiming, 0);
        (void)other.subscribe(kStart);
        EXPECT_EQ(other.on_answer(other.attempt(), {423, {}, useless, {}}, kStart),
                  A::kForget | A::kReportLost)
            << useless;
    }
    Subscriber active = subscribed("active");
    (void)active.on_time(active.deadline());
    EXPECT_EQ(active.on_answer(active.attempt(), {423, {}, 4'000, {}}, kStart + 2'880s),
              A::kSendRefresh);
    EXPECT_EQ(active.expires(), 4'000u);
}

// What a SUBSCRIBE that fails leads to, the first one and a refresh.
struct Failure {
    std::uint16_t status;
    A first;
    A refresh;
};
constexpr A kLost = A::kForget | A::kReportLost;
constexpr A kEnded = A::kForget | A::kReportEnded;
constexpr A kAnew = A::kForget | A::kSendInitial;

TEST(Subscriber, DoesWithAFailureWhatItsStatusAsks) {  // PRES-35, PRES-36, PRES-38, PRES-39
    const Failure failures[] = {
        {403, kEnded, kEnded},  {489, kEnded, kEnded},  {603, kEnded, kEnded},
        {404, kEnded, kEnded},  {410, kEnded, kEnded},  {416, kEnded, kEnded},
        {484, kEnded, kEnded},  {485, kEnded, kEnded},  {604, kEnded, kEnded},
        {606, kEnded, kEnded},  {302, kEnded, kEnded},  {405, kEnded, kEnded},
        {481, kLost, kAnew},    {408, kLost, kLost},    {480, kLost, kLost},
        {501, kLost, kLost},    {486, kLost, A::kNone}, {500, kLost, A::kNone},
        {503, kLost, A::kNone}, {504, kLost, A::kNone}, {407, kLost, A::kNone},
        {600, kLost, A::kNone}, {580, kLost, A::kNone},
    };
    for (const Failure& one : failures) {
        Subscriber s(kTiming, 0);
        (void)s.subscribe(kStart);
        EXPECT_EQ(s.on_answer(s.attempt(), status(one.status), kStart), one.first) << one.status;
        EXPECT_EQ(s.status(), one.status);
        EXPECT_EQ(s.deadline() == kNever, one.first == kEnded) << one.status;
        Subscriber active = subscribed("active");
        const Instant now = active.deadline();
        (void)active.on_time(now);
        EXPECT_EQ(active.on_answer(active.attempt(), status(one.status), now), one.refresh)
            << one.status;
    }
    Subscriber s(kTiming, 0);
    (void)s.subscribe(kStart);
    EXPECT_EQ(s.on_no_answer(s.attempt(), kStart), kLost);
    EXPECT_EQ(s.status(), 408);
}

// PRES-36: a server that has just started lets go of what it had, and may not know its users yet.
TEST(Subscriber, WhatWasActiveIsNotOverByOneFailure) {
    const auto deactivated = [] {
        Subscriber s = subscribed("active");
        EXPECT_EQ(s.on_notify(says("terminated;reason=deactivated"), kStart + 900s), kAnew);
        return s;
    };
    for (const int refusal : {403, 489, 603}) {
        Subscriber refused = deactivated();
        EXPECT_EQ(refused.on_answer(refused.attempt(), status(refusal), kStart + 900s), kEnded);
    }
    Subscriber s = deactivated();
    EXPECT_EQ(s.on_answer(s.attempt(), status(404), kStart + 900s), kLost);
    EXPECT_EQ(s.state(), S::kInit);
    EXPECT_EQ(s.on_time(s.deadline()), A::kSendInitial);
    Subscriber gone = s;
    EXPECT_EQ(gone.on_answer(gone.attempt(), status(404), kStart + 960s), kEnded);
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(3'600), kStart + 960s), A::kNone);
    EXPECT_EQ(s.on_notify(says("active"), kStart + 960s), A::kReportActive);
    // Who unsubscribes and comes again is told at once.
    (void)s.unsubscribe(kStart + 970s);
    (void)s.on_answer(s.attempt(), status(404), kStart + 971s);
    ASSERT_EQ(s.state(), S::kTerminated);
    (void)s.subscribe(kStart + 980s);
    EXPECT_EQ(s.on_answer(s.attempt(), status(404), kStart + 980s), kEnded);
}

TEST(Subscriber, WhoIsPendingIsRefreshedToo) {
    const auto due = [] {
        Subscriber s = subscribed("pending");
        EXPECT_EQ(s.on_time(s.deadline()), A::kSendRefresh);
        EXPECT_EQ(s.state(), S::kPending);
        return s;
    };
    const Instant now = kStart + 2'880s;
    Subscriber again = due();
    EXPECT_EQ(again.on_answer(again.attempt(), accepted(3'600), now), A::kNone);
    EXPECT_EQ(again.on_notify(says("pending"), now), A::kReportPending);
    EXPECT_EQ(again.on_notify(says("waiting"), now), A::kReportPending);  // whatever that is
    EXPECT_EQ(again.on_notify(says("active"), now), A::kReportActive);
    EXPECT_EQ(again.on_notify(says("pending"), now), A::kReportPending);
    EXPECT_EQ(again.state(), S::kPending);
    Subscriber brief = due();
    EXPECT_EQ(brief.on_answer(brief.attempt(), {423, {}, 4'000, {}}, now), A::kSendRefresh);
    Subscriber mute = due();
    (void)mute.on_answer(mute.attempt(), accepted(3'600), now);
    EXPECT_EQ(mute.on_time(mute.deadline()), kLost);
    for (const Failure& one : {Failure{481, kLost, kAnew},
                               {408, kLost, kLost},
                               {403, kLost, kEnded},
                               {503, kLost, A::kNone}}) {
        Subscriber failed = due();
        EXPECT_EQ(failed.on_answer(failed.attempt(), status(one.status), now), one.refresh);
    }
    Subscriber unwanted = subscribed("pending");
    unwanted.set_wanted(false, kStart);
    EXPECT_EQ(unwanted.on_time(unwanted.deadline()), kLost);
    EXPECT_EQ(unwanted.state(), S::kInit);
    EXPECT_EQ(subscribed("pending").unsubscribe(kStart), A::kSendRefresh);
}

TEST(Subscriber, AGrantMayBeShorterThanTimerN) {
    Subscriber s(kTiming, 0);
    (void)s.subscribe(kStart);
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(1), kStart), A::kNone);
    EXPECT_EQ(seconds(s.deadline()), limits::kSubscriptionSecondsMin);
    EXPECT_EQ(s.on_time(s.deadline()), kLost);
    Subscriber leaving(kTiming, 0);
    (void)leaving.subscribe(kStart);
    (void)leaving.unsubscribe(kStart);
    (void)leaving.on_answer(leaving.attempt(), accepted(1), kStart);
    EXPECT_EQ(leaving.on_time(leaving.deadline()), kEnded);
    EXPECT_EQ(leaving.deadline(), kNever);
}

TEST(Subscriber, ARefreshThatFailsIsTriedAgainWhileItHolds) {  // RFC 6665 4.1.2.2
    Subscriber s = subscribed("active");
    (void)s.on_time(s.deadline());
    EXPECT_EQ(s.on_answer(s.attempt(), {503, {}, {}, 100}, kStart + 2'880s), A::kNone);
    EXPECT_EQ(seconds(s.deadline()) / 10, 298);
    EXPECT_EQ(s.on_time(s.deadline()), A::kSendRefresh);
    EXPECT_EQ(s.on_answer(s.attempt(), {503, {}, {}, 1'000}, kStart + 2'981s), A::kNone);
    EXPECT_EQ(seconds(s.deadline()), 3'600);
    EXPECT_EQ(s.on_time(s.deadline()), kLost);
    EXPECT_EQ(s.status(), 408);
}

// A server in trouble refuses all that come meanwhile, one that ends lets go of all: they come
// again at once, but not the time after.
TEST(Subscriber, AfterAFailureItIsSpreadAnew) {  // PRES-39, PRES-40, PRES-50
    int early = 0;
    int early_anew = 0;
    for (std::uint32_t spread = 0; spread < 65'536; spread += 256) {
        Subscriber s = subscribed("active", 3'600, static_cast<std::uint16_t>(spread));
        (void)s.on_time(s.deadline());
        EXPECT_EQ(s.on_answer(s.attempt(), status(503), kStart + 360s), A::kNone);
        const Instant now = s.deadline();
        EXPECT_EQ(s.on_time(now), A::kSendRefresh);
        EXPECT_EQ(s.on_answer(s.attempt(), accepted(3'600), now), A::kNone);
        EXPECT_EQ(s.on_notify(says("active"), now), A::kReportActive);
        if (s.deadline() < now + 1'800s) ++early;
        const Instant then = s.deadline();
        EXPECT_EQ(s.on_time(then), A::kSendRefresh);
        EXPECT_EQ(s.on_notify(says("terminated;reason=deactivated"), then), kAnew);
        EXPECT_EQ(s.on_answer(s.attempt(), accepted(3'600), then), A::kNone);
        EXPECT_EQ(s.on_notify(says("active"), then), A::kReportActive);
        if (s.deadline() < then + 1'800s) ++early_anew;
    }
    EXPECT_NEAR(early, 128, 30);
    EXPECT_NEAR(early_anew, 128, 30);
}

TEST(Subscriber, TriesAgainLaterAndLater) {  // PRES-39
    Subscriber s(kTiming, 0x8000);           // in the middle of +-20 %
    Instant now = kStart;
    (void)s.subscribe(now);
    for (const int wait : {60, 120, 240, 480, 960, 1'920, 3'600, 3'600}) {
        EXPECT_EQ(s.on_answer(s.attempt(), status(503), now), kLost);
        EXPECT_EQ(s.deadline(), now + std::chrono::seconds(wait));
        now = s.deadline();
        EXPECT_EQ(s.on_time(now), A::kSendInitial);
    }
    EXPECT_EQ(s.on_answer(s.attempt(), {503, {}, {}, 10'000}, now), kLost);
    EXPECT_EQ(s.deadline(), now + 10'500s);  // Retry-After is the least
    now = s.deadline();
    (void)s.on_time(now);
    (void)s.on_notify(says("active"), now);  // success: from the beginning
    EXPECT_EQ(s.on_no_answer(s.attempt(), now), kLost);
    EXPECT_EQ(s.deadline(), now + 60s);
    for (const std::uint16_t spread : {std::uint16_t{0}, std::uint16_t{0xffff}}) {
        Subscriber other(kTiming, spread);
        (void)other.subscribe(kStart);
        (void)other.on_answer(other.attempt(), {503, {}, {}, 0xffff'ffff}, kStart);
        EXPECT_GE(seconds(other.deadline()), limits::kRetrySecondsMax);
        EXPECT_LE(seconds(other.deadline()), limits::kRetrySecondsMax / 10 * 11);
    }
}

// What a NOTIFY "terminated" leads to, an hour after the subscription began.
struct Reason {
    const char* text;
    A wanted;
    std::int64_t wait;  // until the next try; 0: at once, or never
};
TEST(Subscriber, DoesWhatTheReasonOfTheEndAsks) {  // PRES-50..55, RFC 6665 4.1.3
    const Reason reasons[] = {
        {"terminated;reason=deactivated;retry-after=99", kAnew, 0},
        {"terminated;reason=timeout", kAnew, 0},
        {"terminated;reason=probation", kLost, 300},
        {"terminated;reason=probation;retry-after=500", kLost, 500},
        {"terminated;reason=probation;retry-after=0", kLost, 48},
        {"terminated;reason=giveup", kLost, 300},
        {"terminated;reason=GiveUp;retry-after=77", kLost, 77},
        {"terminated;reason=rejected", kEnded, 0},
        {"terminated;reason=noresource", kEnded, 0},
        {"terminated;reason=invariant", A::kForget | A::kReportFinal, 0},
        {"terminated", kLost, 60},
        {"terminated;reason=whatever", kLost, 60},
        {"terminated;reason=whatever;retry-after=200", kLost, 200},
    };
    for (const Reason& one : reasons) {
        for (const char* const state : {"active", "pending"}) {
            Subscriber s = subscribed(state, 3'600);
            const Instant now = kStart + 1'000s;
            EXPECT_EQ(s.on_notify(says(one.text), now), one.wanted) << one.text;
            if (one.wait != 0) {
                EXPECT_EQ(seconds(s.deadline()), 1'000 + one.wait) << one.text;
            }
            if (one.wait == 0 && one.wanted != kAnew) {
                EXPECT_EQ(s.deadline(), kNever) << one.text;
            }
        }
        // As the very first NOTIFY.
        Subscriber fresh(kTiming, 0);
        (void)fresh.subscribe(kStart);
        const A did = fresh.on_notify(says(one.text), kStart);
        EXPECT_EQ(did, one.wanted == kAnew ? kLost : one.wanted) << one.text;
    }
}

TEST(Subscriber, ANewOneAtOnceIsNoCircle) {  // PRES-50
    Subscriber s = subscribed("active");
    EXPECT_EQ(s.on_notify(says("terminated;reason=deactivated"), kStart + 59s), kLost);
    Subscriber later = subscribed("active");
    EXPECT_EQ(later.on_notify(says("terminated;reason=deactivated"), kStart + 60s), kAnew);
    (void)later.on_notify(says("active"), kStart + 61s);
    EXPECT_EQ(later.on_notify(says("terminated;reason=deactivated"), kStart + 62s), kLost);
    EXPECT_EQ(seconds(later.deadline()), 62 + 48);
}

TEST(Subscriber, AServerThatForgetsIsAskedAnewAtOnceAndOnce) {  // PRES-38
    Subscriber s = subscribed("active");
    EXPECT_EQ(s.refresh(kStart + 1s), A::kSendRefresh);
    EXPECT_EQ(s.on_answer(s.attempt(), status(481), kStart + 1s), kAnew);
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(3'600), kStart + 1s), A::kNone);
    EXPECT_EQ(s.on_notify(says("active"), kStart + 1s), A::kReportActive);
    EXPECT_EQ(s.refresh(kStart + 2s), A::kSendRefresh);
    EXPECT_EQ(s.on_answer(s.attempt(), status(481), kStart + 2s), kLost);
}

TEST(Subscriber, RunsOutWhenNobodyWantsIt) {  // PRES-42
    Subscriber s = subscribed("active");
    s.set_wanted(false, kStart + 10s);
    EXPECT_EQ(seconds(s.deadline()), 3'600);
    EXPECT_EQ(s.on_time(s.deadline()), kLost);
    EXPECT_EQ(s.state(), S::kInit);
    EXPECT_EQ(s.deadline(), kNever);
    EXPECT_EQ(s.subscribe(kStart + 5'000s), A::kSendInitial);
    Subscriber back = subscribed("active");
    back.set_wanted(false, kStart);
    back.set_wanted(true, kStart + 10s);
    EXPECT_LT(seconds(back.deadline()), 3'000);
    back.set_wanted(false, kStart + 20s);
    EXPECT_EQ(back.on_notify(says("terminated;reason=timeout"), kStart + 900s), kLost);  // PRES-50
    EXPECT_EQ(back.deadline(), kNever);
}

TEST(Subscriber, LeavesByOneMoreSubscribe) {  // PRES-43, PRES-44
    Subscriber s = subscribed("active");
    EXPECT_EQ(s.unsubscribe(kStart + 1s), A::kSendRefresh);
    EXPECT_EQ(s.expires(), 0u);
    EXPECT_EQ(s.unsubscribe(kStart + 1s), A::kNone);
    EXPECT_EQ(s.on_notify(says("active"), kStart + 1s), A::kNone);  // it was on its way
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(0), kStart + 2s), A::kReportEnded);
    EXPECT_NE(s.deadline(), kNever);
    EXPECT_EQ(s.on_notify(says("terminated;reason=timeout"), kStart + 3s), A::kForget);
    EXPECT_EQ(s.state(), S::kTerminated);
    EXPECT_EQ(s.deadline(), kNever);
    // The last NOTIFY first.
    Subscriber other = subscribed("active");
    (void)other.unsubscribe(kStart);
    EXPECT_EQ(other.on_notify(says("terminated;reason=timeout"), kStart), kEnded);
    EXPECT_EQ(other.on_answer(other.attempt(), accepted(0), kStart), A::kNone);
    // It never comes, or the SUBSCRIBE fails.
    Subscriber lost = subscribed("active");
    (void)lost.unsubscribe(kStart);
    (void)lost.on_answer(lost.attempt(), accepted(0), kStart);
    EXPECT_EQ(lost.on_notify(says("active"), kStart), A::kNone);
    while (lost.deadline() != kNever) (void)lost.on_time(lost.deadline());
    EXPECT_EQ(lost.state(), S::kTerminated);
    for (const int code : {481, 408, 423, 503, 403}) {
        Subscriber failed = subscribed("active");
        (void)failed.unsubscribe(kStart);
        EXPECT_EQ(failed.on_answer(failed.attempt(), {static_cast<std::uint16_t>(code), {}, 90, {}},
                                   kStart),
                  kEnded)
            << code;
    }
    for (const char* const end : {"rejected", "probation", "deactivated", "invariant", "odd"}) {
        Subscriber ended = subscribed("active");
        (void)ended.unsubscribe(kStart);
        EXPECT_EQ(ended.on_notify(says(std::string("terminated;reason=") + end), kStart), kEnded);
        Subscriber early(kTiming, 0);
        (void)early.subscribe(kStart);
        (void)early.unsubscribe(kStart);
        EXPECT_EQ(early.on_notify(says(std::string("terminated;reason=") + end), kStart), kEnded);
    }
}

TEST(Subscriber, LeavesWhenItCan) {  // PRES-43: one SUBSCRIBE at a time
    Subscriber waiting(kTiming, 0);
    (void)waiting.subscribe(kStart);
    EXPECT_EQ(waiting.unsubscribe(kStart), A::kNone);  // no dialog yet
    EXPECT_EQ(waiting.on_notify(says("active"), kStart), A::kNone);
    EXPECT_EQ(waiting.on_answer(waiting.attempt(), accepted(3'600), kStart), A::kSendRefresh);
    Subscriber other(kTiming, 0);
    (void)other.subscribe(kStart);
    (void)other.unsubscribe(kStart);
    EXPECT_EQ(other.on_answer(other.attempt(), accepted(3'600), kStart), A::kNone);
    EXPECT_EQ(other.on_notify(says("active"), kStart), A::kSendRefresh);
    for (const int code : {403, 423, 503, 481}) {
        Subscriber failed(kTiming, 0);
        (void)failed.subscribe(kStart);
        (void)failed.unsubscribe(kStart);
        EXPECT_EQ(failed.on_answer(failed.attempt(),
                                   {static_cast<std::uint16_t>(code), {}, 9'000, {}}, kStart),
                  kEnded)
            << code;
    }
    Subscriber mute(kTiming, 0);
    (void)mute.subscribe(kStart);
    (void)mute.unsubscribe(kStart);
    EXPECT_EQ(mute.on_time(mute.deadline()), kEnded);
    Subscriber refreshing = subscribed("active");
    (void)refreshing.on_time(refreshing.deadline());
    EXPECT_EQ(refreshing.unsubscribe(kStart + 2'880s), A::kNone);
    EXPECT_EQ(refreshing.on_answer(refreshing.attempt(), status(503), kStart + 2'881s),
              A::kSendRefresh);
    EXPECT_EQ(refreshing.expires(), 0u);
    Subscriber idle(kTiming, 0);
    EXPECT_EQ(idle.unsubscribe(kStart), A::kReportEnded);
}

TEST(Subscriber, FetchesOnce) {  // PRES-45
    Subscriber s(kTiming, 0);
    EXPECT_EQ(s.fetch(kStart), A::kSendInitial);
    EXPECT_EQ(s.expires(), 0u);
    EXPECT_EQ(s.fetch(kStart), A::kNone);
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(0), kStart), A::kNone);
    EXPECT_EQ(s.on_notify(says("terminated;reason=timeout"), kStart), kEnded);
    EXPECT_EQ(s.status(), 0);
    EXPECT_EQ(s.fetch(kStart), A::kSendInitial);
    EXPECT_EQ(s.on_answer(s.attempt(), status(403), kStart), kEnded);
    EXPECT_EQ(s.status(), 403);
    for (const int code : {481, 423, 503, 408}) {
        (void)s.fetch(kStart);
        EXPECT_EQ(s.on_answer(s.attempt(), {static_cast<std::uint16_t>(code), {}, 90, {}}, kStart),
                  kEnded);
    }
    for (const char* const end : {"terminated;reason=probation", "terminated;reason=noresource",
                                  "terminated", "terminated;reason=deactivated"}) {
        (void)s.fetch(kStart);
        EXPECT_EQ(s.on_notify(says(end), kStart), kEnded) << end;
    }
    (void)s.fetch(kStart);
    EXPECT_EQ(s.on_notify(says("terminated;reason=invariant"), kStart),
              A::kForget | A::kReportFinal);
    (void)s.fetch(kStart);
    EXPECT_EQ(s.unsubscribe(kStart), kEnded);
    (void)s.fetch(kStart);
    EXPECT_EQ(s.on_notify(says("pending"), kStart), A::kReportPending);
    EXPECT_EQ(s.on_notify(says("active;expires=0"), kStart), A::kReportActive);
    A did = A::kNone;
    while (s.deadline() != kNever) did = did | s.on_time(s.deadline());
    EXPECT_EQ(did, kEnded);
    EXPECT_EQ(s.subscribe(kStart), A::kSendInitial);
    EXPECT_EQ(s.expires(), 3'600u);
}

TEST(Subscriber, EachBeginningIsABeginning) {
    // What a 423 raised, and that nobody wanted it, belongs to the last time.
    Subscriber s(kTiming, 0);
    (void)s.subscribe(kStart);
    (void)s.on_answer(s.attempt(), {423, {}, 7'200, {}}, kStart);
    EXPECT_EQ(s.on_answer(s.attempt(), status(403), kStart), kEnded);
    s.set_wanted(false, kStart);
    EXPECT_EQ(s.subscribe(kStart), A::kSendInitial);
    EXPECT_EQ(s.expires(), 3'600u);
    EXPECT_EQ(s.on_answer(s.attempt(), {423, {}, 7'200, {}}, kStart), kAnew);
    EXPECT_EQ(s.on_no_answer(s.attempt(), kStart), kLost);
    EXPECT_EQ(seconds(s.deadline()), 48);             // it is wanted
    EXPECT_EQ(s.subscribe(kStart), A::kSendInitial);  // the user does not wait for that
    EXPECT_EQ(s.on_notify(says("active"), kStart), A::kReportActive);
    EXPECT_EQ(s.on_answer(s.attempt(), accepted(3'600), kStart), A::kNone);
    EXPECT_EQ(seconds(s.deadline()), 360);
    EXPECT_EQ(s.on_notify(says("terminated;reason=rejected"), kStart), kEnded);  // told again
    EXPECT_EQ(s.status(), 0);
    EXPECT_EQ(s.on_notify(says("active"), kStart), A::kNone);
    EXPECT_EQ(s.deadline(), kNever);
}

TEST(Subscriber, NothingOfTheLastDialogIsLeft) {
    Subscriber s = subscribed("active");
    const Instant now = s.deadline();
    (void)s.on_time(now);
    EXPECT_EQ(s.on_notify(says("terminated;reason=probation;retry-after=500"), now), kLost);
    EXPECT_EQ(s.on_answer(s.attempt(), status(403), now), A::kNone);  // to the refresh, late
    EXPECT_EQ(s.status(), 0);
    EXPECT_GE(s.deadline(), now + 500s);
    EXPECT_LT(s.deadline(), now + 550s);
    (void)s.on_time(s.deadline());
    EXPECT_EQ(s.on_no_answer(s.attempt(), now), kLost);
    EXPECT_LE(s.deadline(), now + 144s);  // twice 60 s +-20 %, and no more of the 500
    EXPECT_EQ(s.subscribe(now), A::kSendInitial);
    (void)s.on_answer(s.attempt(), accepted(3'600), now);
    EXPECT_EQ(s.unsubscribe(now), A::kNone);  // there is no dialog to do it in
    Subscriber waiting(kTiming, 0);
    (void)waiting.subscribe(kStart);
    (void)waiting.on_no_answer(waiting.attempt(), kStart);
    EXPECT_EQ(waiting.unsubscribe(kStart), A::kReportEnded);
    EXPECT_EQ(waiting.deadline(), kNever);
    Subscriber again = subscribed("active");
    for (int i = 0; i < 2; ++i) {  // each refresh may be raised once
        const Instant at = again.deadline();
        (void)again.on_time(at);
        EXPECT_EQ(again.on_answer(again.attempt(), {423, {}, again.expires() + 1, {}}, at),
                  A::kSendRefresh);
        (void)again.on_answer(again.attempt(), accepted(3'600), at);
        (void)again.on_notify(says("active"), at);
    }
}

TEST(Subscriber, IsSmall) {
    EXPECT_LE(sizeof(Subscriber), 96u);
    EXPECT_LE(sizeof(Notifier), 64u);
}

test::Read notify(const std::string& fields) {
    test::Read read(test::crlf(
        "NOTIFY sip:a@gw SIP/2.0\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\nFrom: <sip:b@h>;tag=t\n"
        "To: <sip:a@h>;tag=o\nCall-ID: c\nCSeq: 1 NOTIFY\n" +
        fields + "Content-Length: 0\n\n"));
    EXPECT_EQ(read.parse(Carrier::kStream).parsed.verdict, Verdict::kDone);
    return read;
}

TEST(Notify, IsJudgedByWhatWasSubscribedTo) {  // SIP-23, SIP-24
    const auto judge = [](const std::string& fields, const EventType& subscribed) {
        const test::Read read = notify(fields);
        SubscriptionState state;
        return judge_notify(read.message, subscribed, state);
    };
    const EventType plain{"presence", {}};
    const EventType with_id{"presence", "7"};
    const std::string active = "Subscription-State: active\n";
    EXPECT_EQ(judge("Event: presence\n" + active, plain), 0);
    EXPECT_EQ(judge("o: presence;x=y\n" + active, plain), 0);
    EXPECT_EQ(judge("Event: presence;id=7\n" + active, with_id), 0);
    EXPECT_EQ(judge("Event: presence\n", plain), 400);
    EXPECT_EQ(judge("Event: presence\nSubscription-State: active;expires=x\n", plain), 400);
    EXPECT_EQ(judge("Event: dialog\n" + active, plain), 489);
    EXPECT_EQ(judge("Event: presence.winfo\n" + active, plain), 489);
    EXPECT_EQ(judge(active, plain), 489);
    EXPECT_EQ(judge("Event: presence;id=8\n" + active, with_id), 481);
    EXPECT_EQ(judge("Event: presence;id=7\n" + active, plain), 481);
    EXPECT_EQ(judge("Event: presence\n" + active, with_id), 481);
}

TEST(Notify, SaysWhatItSays) {
    const test::Read read =
        notify("Event: presence\nSubscription-State: terminated;reason=giveup;retry-after=7\n");
    SubscriptionState state;
    ASSERT_EQ(judge_notify(read.message, {"presence", {}}, state), 0);
    EXPECT_TRUE(state.is("terminated"));
    EXPECT_EQ(state.reason, "giveup");
    EXPECT_EQ(state.retry_after, 7u);
}

TEST(Notify, AnAnswerIsRead) {
    test::Read read(test::crlf(
        "SIP/2.0 423 x\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\nFrom: <sip:b@h>;tag=t\n"
        "To: <sip:a@h>;tag=o\nCall-ID: c\nCSeq: 1 SUBSCRIBE\nMin-Expires: 90\nExpires: x\n"
        "Retry-After: 5 (soon)\nContent-Length: 0\n\n"));
    ASSERT_EQ(read.parse(Carrier::kStream).parsed.verdict, Verdict::kDone);
    const Answer answer = read_answer(read.message);
    EXPECT_EQ(answer.status, 423);
    EXPECT_EQ(answer.min_expires, 90u);
    EXPECT_EQ(answer.retry_after, 5u);
    EXPECT_FALSE(answer.expires);
}

std::string state_of(const Notifier& n, Instant now) {
    char memory[100];
    Sink sink{MutableBytes(memory)};
    n.write_state(sink, now);
    return std::string(sink.written());
}
Notifier notifying(bool approved, std::uint32_t expires = 600) {
    Notifier n(kNotifierTiming, approved);
    EXPECT_EQ(n.start(expires, kStart), N::kSendNotify);
    EXPECT_EQ(n.on_answer(status(200), kStart), N::kNone);
    return n;
}

TEST(Notifier, GrantsWhatIsAskedWithinBounds) {  // PRES-60, PRES-74
    const auto judge = [](const std::string& fields) {
        return judge_expires(notify(fields).message, kNotifierTiming);
    };
    EXPECT_EQ(judge("").seconds, 3'600u);
    EXPECT_EQ(judge("Expires: 600\n").seconds, 600u);
    EXPECT_EQ(judge("Expires: 4294967296\n").seconds, 3'600u);
    EXPECT_EQ(judge("Expires: 0\n").status, 200);
    EXPECT_EQ(judge("Expires: 0\n").seconds, 0u);
    EXPECT_EQ(judge("Expires: 60\n").status, 200);
    EXPECT_EQ(judge("Expires: 59\n").status, 423);
    EXPECT_EQ(judge("Expires: 1\n").status, 423);
    EXPECT_EQ(judge("Expires: x\n").status, 400);
}

TEST(Notifier, TellsAtOnceAndAtEachApprovalRefreshAndChange) {  // PRES-60..66
    Notifier n(kNotifierTiming, false);
    EXPECT_EQ(n.start(600, kStart), N::kSendNotify);
    EXPECT_EQ(state_of(n, kStart + 100s), "pending;expires=500");
    EXPECT_EQ(n.on_answer(status(200), kStart), N::kNone);
    EXPECT_EQ(seconds(n.deadline()), 600);
    EXPECT_EQ(n.change(true, kStart + 1s), N::kNone);  // not for who only asked
    EXPECT_EQ(n.approve(kStart + 2s), N::kSendNotify);
    EXPECT_EQ(state_of(n, kStart + 2s), "active;expires=598");
    (void)n.on_answer(status(200), kStart + 2s);
    EXPECT_EQ(n.on_subscribe(600, kStart + 300s), N::kSendNotify);
    EXPECT_EQ(state_of(n, kStart + 300s), "active;expires=600");
    (void)n.on_answer(status(200), kStart + 300s);
    EXPECT_EQ(n.change(false, kStart + 400s), N::kSendNotify);
    (void)n.on_answer(status(200), kStart + 400s);
    EXPECT_EQ(seconds(n.deadline()), 900);
    EXPECT_EQ(n.approve(kStart + 400s), N::kNone);
}

TEST(Notifier, SendsOneAtATimeAndTheLastStateWins) {  // RFC 6665 4.2.2
    Notifier n(kNotifierTiming, true);
    (void)n.start(600, kStart);
    EXPECT_EQ(n.change(true, kStart + 1s), N::kNone);
    EXPECT_EQ(n.change(true, kStart + 1s), N::kNone);
    EXPECT_EQ(n.end("rejected", 0, kStart + 1s), N::kNone);
    EXPECT_EQ(n.on_answer(status(200), kStart + 2s), N::kSendNotify);
    EXPECT_EQ(state_of(n, kStart + 2s), "terminated;reason=rejected");
    EXPECT_EQ(n.deadline(), kNever);
    EXPECT_EQ(n.on_answer(status(200), kStart + 3s), N::kDone);
}

TEST(Notifier, DocumentsAreHeldBack) {  // PRES-19
    Notifier n = notifying(true);
    EXPECT_EQ(n.change(false, kStart + 1s), N::kNone);
    EXPECT_EQ(n.change(false, kStart + 2s), N::kNone);
    EXPECT_EQ(seconds(n.deadline()), 5);
    EXPECT_EQ(n.on_time(kStart + 5s), N::kSendNotify);
    EXPECT_EQ(n.change(false, kStart + 6s), N::kNone);
    EXPECT_EQ(n.on_answer(status(200), kStart + 7s), N::kNone);
    EXPECT_EQ(n.change(true, kStart + 7s), N::kSendNotify);
    EXPECT_EQ(n.on_answer(status(200), kStart + 7s), N::kNone);
    EXPECT_EQ(seconds(n.deadline()), 600);
}

TEST(Notifier, EndsByWhomeverWantsIt) {  // PRES-64, PRES-67, PRES-68, PRES-70
    Notifier left = notifying(true);
    EXPECT_EQ(left.on_subscribe(0, kStart + 1s), N::kSendNotify | N::kReportGone);
    EXPECT_EQ(state_of(left, kStart), "terminated;reason=timeout");
    EXPECT_EQ(left.on_answer(status(481), kStart + 1s), N::kDone);
    Notifier expired = notifying(false);
    EXPECT_EQ(expired.on_time(expired.deadline()), N::kSendNotify | N::kReportGone);
    EXPECT_EQ(state_of(expired, kStart), "terminated;reason=timeout");
    EXPECT_EQ(expired.on_no_answer(kStart + 700s), N::kDone);
    Notifier refused = notifying(false);
    EXPECT_EQ(refused.end("probation", 300, kStart), N::kSendNotify);
    EXPECT_EQ(state_of(refused, kStart), "terminated;reason=probation;retry-after=300");
    EXPECT_EQ(refused.end("rejected", 0, kStart), N::kNone);
    EXPECT_EQ(state_of(refused, kStart), "terminated;reason=probation;retry-after=300");
    EXPECT_EQ(refused.on_answer(status(503), kStart), N::kDone);
}

TEST(Notifier, WhoWaitsAndWhoWatchesEndAlike) {  // PRES-66..68
    for (const bool approved : {false, true}) {
        Notifier n = notifying(approved);
        EXPECT_EQ(n.on_subscribe(100, kStart), N::kSendNotify);
        EXPECT_EQ(n.on_answer(status(200), kStart), N::kNone);
        Notifier left = n;
        EXPECT_EQ(left.on_subscribe(0, kStart), N::kSendNotify | N::kReportGone);
        EXPECT_EQ(left.on_answer(status(200), kStart), N::kDone);
        EXPECT_EQ(seconds(n.deadline()), 100);
        EXPECT_EQ(n.on_time(n.deadline()), N::kSendNotify | N::kReportGone);
        EXPECT_EQ(n.deadline(), kNever);
        Notifier failed(kNotifierTiming, approved);
        (void)failed.start(600, kStart);
        EXPECT_EQ(failed.on_answer(status(481), kStart), N::kReportGone | N::kDone);
    }
}

TEST(Notifier, AFailedNotifyEndsItOrIsRepeated) {  // PRES-75
    for (const int code : {481, 404, 408, 423, 489, 501, 603}) {
        Notifier n(kNotifierTiming, true);
        (void)n.start(600, kStart);
        EXPECT_EQ(n.on_answer(status(code), kStart), N::kReportGone | N::kDone) << code;
        EXPECT_EQ(n.deadline(), kNever);
    }
    for (const int code : {401, 407, 500, 503}) {
        Notifier n(kNotifierTiming, true);
        (void)n.start(600, kStart);
        Instant now = kStart;
        for (const int wait : {2, 4, 8, 16, 32, 60, 60}) {
            EXPECT_EQ(n.on_answer(status(code), now), N::kNone) << code;
            EXPECT_EQ(n.deadline(), now + std::chrono::seconds(wait)) << code;
            now = n.deadline();
            EXPECT_EQ(n.on_time(now), N::kSendNotify);
        }
        EXPECT_EQ(n.on_answer(status(200), now), N::kNone);
        EXPECT_EQ(n.change(true, now), N::kSendNotify);
        EXPECT_EQ(n.on_answer(status(code), now), N::kNone);
        EXPECT_EQ(n.deadline(), now + 2s);  // one was taken
        EXPECT_EQ(n.on_time(n.deadline()), N::kSendNotify);
        EXPECT_EQ(n.on_answer({static_cast<std::uint16_t>(code), {}, {}, 1'000}, now), N::kNone);
        EXPECT_EQ(seconds(n.deadline()), 600);  // it expires before
    }
    Notifier idle = notifying(true);  // an answer to nothing
    EXPECT_EQ(idle.on_answer(status(481), kStart), N::kNone);
    EXPECT_EQ(idle.state(), NotifierState::kActive);
    // What was to be sent behind it is not: the dialog is gone.
    Notifier n(kNotifierTiming, true);
    (void)n.start(600, kStart);
    (void)n.end("rejected", 0, kStart);
    EXPECT_EQ(n.on_no_answer(kStart + 32s), N::kDone);
}

TEST(Notifier, APollGetsOneNotify) {  // PRES-69
    Notifier n(kNotifierTiming, true);
    EXPECT_EQ(n.start(0, kStart), N::kNone);
    EXPECT_EQ(seconds(n.deadline()), 2);
    Notifier waited = n;
    EXPECT_EQ(n.change(true, kStart + 1s), N::kSendNotify);
    EXPECT_EQ(state_of(n, kStart), "terminated;reason=timeout");
    EXPECT_EQ(n.change(true, kStart + 1s), N::kNone);
    EXPECT_EQ(n.on_answer(status(200), kStart + 1s), N::kDone);
    EXPECT_EQ(waited.on_time(kStart + 2s), N::kSendNotify);
    EXPECT_EQ(waited.on_no_answer(kStart + 34s), N::kDone);
}

}  // namespace
}  // namespace fedgate::sip
