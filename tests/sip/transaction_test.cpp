#include "sip/transaction.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "sip/transaction_tables.hpp"

namespace fedgate::sip {
namespace {

using A = Actions;
using E = TransactionEvent;
using K = TransactionKind;
using S = TransactionState;
constexpr TransactionTiming kTiming;
constexpr Instant kStart{};

std::int64_t ms(Instant at) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(at - kStart).count();
}

// Lets time pass until the transaction has ended; says when it sent.
struct Story {
    std::vector<std::int64_t> sent;
    std::int64_t ended = -1;
    A last = A::kNone;
};
Story run_out(Transaction& t) {
    Story run;
    while (t.deadline() != kNever) {
        const Instant now = t.deadline();
        const A did = t.on_time(now);
        if (has(did, A::kSend)) run.sent.push_back(ms(now));
        if (has(did, A::kTerminated)) {
            run.ended = ms(now);
            run.last = did;
            break;
        }
    }
    return run;
}

TEST(Transaction, TimerADoublesWithoutEndUntilTimerB) {  // SIP-10
    Transaction t(K::kClientInvite, kTiming, false);
    EXPECT_EQ(t.start(kStart), A::kSend);
    const Story run = run_out(t);
    EXPECT_EQ(run.sent, (std::vector<std::int64_t>{500, 1500, 3500, 7500, 15500, 31500}));
    EXPECT_EQ(run.ended, 32'000);
    EXPECT_TRUE(has(run.last, A::kReportTimeout));
}

TEST(Transaction, TimerEDoublesUpToT2UntilTimerF) {  // SIP-10
    Transaction t(K::kClientOther, kTiming, false);
    EXPECT_EQ(t.start(kStart), A::kSend);
    const Story run = run_out(t);
    EXPECT_EQ(run.sent, (std::vector<std::int64_t>{500, 1500, 3500, 7500, 11500, 15500, 19500,
                                                   23500, 27500, 31500}));
    EXPECT_EQ(run.ended, 32'000);
    EXPECT_TRUE(has(run.last, A::kReportTimeout));
}

TEST(Transaction, AfterAProvisionalTimerERunsAtT2AndTimerFGoesOn) {  // RFC 3261 17.1.2.2
    Transaction t(K::kClientOther, kTiming, false);
    (void)t.start(kStart);
    EXPECT_EQ(t.on_time(kStart + 500ms), A::kSend);
    EXPECT_EQ(t.step(E::kProvisional, kStart + 600ms), A::kPassUp);
    const Story run = run_out(t);  // what was armed fires, and only then T2 holds
    EXPECT_EQ(run.sent,
              (std::vector<std::int64_t>{1500, 5500, 9500, 13500, 17500, 21500, 25500, 29500}));
    EXPECT_EQ(run.ended, 32'000);
}

TEST(Transaction, TheAnswerToAnInviteGoesOutUntilItsAckComes) {  // RFC 3261 13.3.1.4
    for (const bool reliable : {false, true}) {
        Transaction t(K::kServerInvite, kTiming, reliable);
        (void)t.start(kStart);
        EXPECT_EQ(t.step(E::kSendSuccess, kStart), A::kSend);
        EXPECT_EQ(t.on_time(kStart + 500ms), A::kSend);
        EXPECT_EQ(ms(t.deadline()), 1500);
        EXPECT_EQ(t.step(E::kRequestAgain, kStart + 600ms), A::kNone);  // RFC 6026 7.1
        EXPECT_EQ(t.step(E::kAck, kStart + 700ms), A::kPassUp);
        Story run = run_out(t);
        EXPECT_TRUE(run.sent.empty());
        EXPECT_EQ(run.ended, 32'000);  // timer L
        EXPECT_FALSE(has(run.last, A::kReportTimeout));
    }
    Transaction t(K::kServerInvite, kTiming, true);
    (void)t.start(kStart);
    (void)t.step(E::kSendSuccess, kStart);
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(t.on_time(t.deadline()), A::kSend);
    EXPECT_EQ(ms(t.deadline()), 32'000);
    // The user sends BYE.
    EXPECT_EQ(t.on_time(t.deadline()), A::kReportTimeout | A::kTerminated);
}

TEST(Transaction, NoTransportErrorLetsAnInviteInTwice) {  // RFC 6026 7.1
    for (const std::vector<E>& before : {std::vector<E>{}, {E::kSendFailure}, {E::kSendSuccess}}) {
        Transaction t(K::kServerInvite, kTiming, false);
        (void)t.start(kStart);
        for (const E event : before) (void)t.step(event, kStart);
        const S state = t.state();
        EXPECT_EQ(t.step(E::kTransportError, kStart), A::kReportTransport);
        EXPECT_EQ(t.state(), state);
    }
}

TEST(Transaction, ACancelWaitsForAProvisionalAndThenTheEndMustCome) {  // SIP-19, RFC 3261 9.1
    Transaction t(K::kClientInvite, kTiming, false);
    (void)t.start(kStart);
    EXPECT_EQ(t.step(E::kCancel, kStart + 100ms), A::kNone);
    EXPECT_EQ(t.step(E::kProvisional, kStart + 200ms), A::kPassUp | A::kSendCancel);
    EXPECT_EQ(t.step(E::kProvisional, kStart + 300ms), A::kPassUp);
    EXPECT_EQ(t.step(E::kCancel, kStart + 400ms), A::kNone);  // once
    EXPECT_EQ(ms(t.deadline()), 32'200);
    Transaction late = t;
    EXPECT_EQ(t.step(E::kFailure, kStart + 1s), A::kSendAck | A::kPassUp);  // 487
    EXPECT_EQ(late.on_time(kStart + 32'200ms), A::kReportTimeout | A::kTerminated);

    Transaction proceeding(K::kClientInvite, kTiming, true);
    (void)proceeding.start(kStart);
    (void)proceeding.step(E::kProvisional, kStart);
    EXPECT_EQ(proceeding.deadline(), kNever);  // it may ring for long
    EXPECT_EQ(proceeding.step(E::kCancel, kStart + 60s), A::kSendCancel);
    // It may have been too late: the 2xx counts, and its user sends ACK and BYE.
    EXPECT_EQ(proceeding.step(E::kSuccess, kStart + 61s), A::kPassUp);
    EXPECT_EQ(proceeding.step(E::kCancel, kStart + 61s), A::kNone);
    EXPECT_EQ(ms(proceeding.deadline()), 93'000);
}

TEST(Transaction, ACancelIsAnsweredByWhatItFinds) {  // SIP-19, RFC 3261 9.2
    const auto judge = [](K kind, std::vector<E> events) {
        Transaction t(kind, kTiming, false);
        (void)t.start(kStart);
        for (const E event : events) (void)t.step(event, kStart);
        const CancelVerdict verdict = judge_cancel(&t);
        EXPECT_EQ(verdict.status, 200);
        return verdict.end_invite;
    };
    EXPECT_TRUE(judge(K::kServerInvite, {}));
    EXPECT_TRUE(judge(K::kServerInvite, {E::kSendProvisional}));
    EXPECT_FALSE(judge(K::kServerInvite, {E::kSendFailure}));
    EXPECT_FALSE(judge(K::kServerInvite, {E::kSendSuccess}));
    EXPECT_FALSE(judge(K::kServerOther, {}));  // no effect on any other method
    EXPECT_FALSE(judge(K::kServerOther, {E::kSendSuccess}));
    EXPECT_EQ(judge_cancel(nullptr).status, 481);
    EXPECT_FALSE(judge_cancel(nullptr).end_invite);
}

TEST(Transaction, TimerGDoublesUpToT2UntilTimerH) {  // SIP-10
    Transaction t(K::kServerInvite, kTiming, false);
    EXPECT_EQ(t.start(kStart), A::kPassUp);
    EXPECT_EQ(t.step(E::kSendFailure, kStart), A::kSend);
    const Story run = run_out(t);
    EXPECT_EQ(run.sent, (std::vector<std::int64_t>{500, 1500, 3500, 7500, 11500, 15500, 19500,
                                                   23500, 27500, 31500}));
    EXPECT_EQ(run.ended, 32'000);
    EXPECT_TRUE(has(run.last, A::kReportTimeout));
}

TEST(Transaction, NothingIsSentAgainOnAReliableTransport) {  // SIP-10
    for (const K kind : {K::kClientInvite, K::kClientOther}) {
        Transaction t(kind, kTiming, true);
        (void)t.start(kStart);
        const Story run = run_out(t);
        EXPECT_TRUE(run.sent.empty());
        EXPECT_EQ(run.ended, 32'000);
    }
    Transaction t(K::kServerInvite, kTiming, true);
    (void)t.start(kStart);
    (void)t.step(E::kSendFailure, kStart);
    const Story run = run_out(t);
    EXPECT_TRUE(run.sent.empty());
    EXPECT_EQ(run.ended, 32'000);
}

TEST(Transaction, LingersForWhatMayComeAgain) {  // SIP-10: D, I, J, K; L and M (RFC 6026)
    const auto lingers = [](K kind, std::vector<E> events, bool reliable) {
        Transaction t(kind, kTiming, reliable);
        (void)t.start(kStart);
        A did = A::kNone;
        for (const E event : events) did = t.step(event, kStart);
        if (has(did, A::kTerminated)) return std::int64_t{0};
        return run_out(t).ended;
    };
    EXPECT_EQ(lingers(K::kClientInvite, {E::kFailure}, false), 32'000);  // D
    EXPECT_EQ(lingers(K::kClientInvite, {E::kFailure}, true), 0);
    EXPECT_EQ(lingers(K::kClientInvite, {E::kSuccess}, false), 32'000);  // M
    EXPECT_EQ(lingers(K::kClientInvite, {E::kSuccess}, true), 32'000);
    EXPECT_EQ(lingers(K::kClientOther, {E::kSuccess}, false), 5'000);  // K
    EXPECT_EQ(lingers(K::kClientOther, {E::kFailure}, true), 0);
    EXPECT_EQ(lingers(K::kServerInvite, {E::kSendSuccess}, true), 32'000);           // L
    EXPECT_EQ(lingers(K::kServerInvite, {E::kSendFailure, E::kAck}, false), 5'000);  // I
    EXPECT_EQ(lingers(K::kServerInvite, {E::kSendFailure, E::kAck}, true), 0);
    EXPECT_EQ(lingers(K::kServerOther, {E::kSendSuccess}, false), 32'000);  // J
    EXPECT_EQ(lingers(K::kServerOther, {E::kSendFailure}, true), 0);
}

TEST(Transaction, TheActionsOfAFinalResponseComeWithTheEnd) {
    Transaction t(K::kClientOther, kTiming, true);
    (void)t.start(kStart);
    EXPECT_EQ(t.step(E::kSuccess, kStart), A::kPassUp | A::kTerminated);
    EXPECT_EQ(t.deadline(), kNever);
    EXPECT_EQ(t.step(E::kSuccess, kStart), A::kNone);
}

TEST(Transaction, ARequestThatComesAgainGetsTheStoredResponse) {  // SIP-11
    Transaction t(K::kServerOther, kTiming, false);
    EXPECT_EQ(t.start(kStart), A::kPassUp);
    EXPECT_EQ(t.step(E::kRequestAgain, kStart), A::kNone);
    EXPECT_EQ(t.step(E::kSendSuccess, kStart), A::kSend);
    EXPECT_EQ(t.step(E::kRequestAgain, kStart + 1s), A::kSend);
    EXPECT_EQ(t.step(E::kSendFailure, kStart + 1s), A::kNone);  // only one final response
}

TEST(Transaction, NonInviteIsAnsweredInTimeOrNotAtAll) {  // SIP-12, RFC 4320
    Transaction t(K::kServerOther, kTiming, false);
    (void)t.start(kStart);
    EXPECT_EQ(t.step(E::kSendProvisional, kStart), A::kNone);
    EXPECT_EQ(ms(t.deadline()), 8'000);
    EXPECT_EQ(t.on_time(t.deadline()), A::kAnswerNow);
    EXPECT_EQ(ms(t.deadline()), 32'000);
    EXPECT_EQ(t.on_time(t.deadline()), A::kTerminated);  // no 408
    EXPECT_EQ(t.step(E::kSendFailure, kStart + 33s), A::kNone);
}

TEST(Transaction, TryingComesAfter200msOnly) {  // SIP-19
    Transaction t(K::kServerInvite, kTiming, false);
    (void)t.start(kStart);
    EXPECT_EQ(t.step(E::kRequestAgain, kStart + 100ms), A::kNone);
    EXPECT_EQ(ms(t.deadline()), 200);
    EXPECT_EQ(t.on_time(t.deadline()), A::kSendTrying);
    EXPECT_EQ(t.deadline(), kNever);
    EXPECT_EQ(t.step(E::kRequestAgain, kStart + 1s), A::kSend);
    Transaction rings(K::kServerInvite, kTiming, false);
    (void)rings.start(kStart);
    EXPECT_EQ(rings.step(E::kSendProvisional, kStart + 100ms), A::kSend);
    EXPECT_EQ(rings.deadline(), kNever);
    EXPECT_EQ(rings.step(E::kRequestAgain, kStart + 1s), A::kSend);
    Transaction answered(K::kServerInvite, kTiming, false);
    (void)answered.start(kStart);
    EXPECT_EQ(answered.step(E::kSendProvisional, kStart), A::kSend);
    EXPECT_EQ(answered.deadline(), kNever);
}

TEST(Transaction, AFailedInviteIsAcknowledgedEachTime) {
    Transaction t(K::kClientInvite, kTiming, false);
    (void)t.start(kStart);
    EXPECT_EQ(t.step(E::kFailure, kStart), A::kSendAck | A::kPassUp);
    EXPECT_EQ(t.step(E::kFailure, kStart + 1s), A::kSendAck);
    EXPECT_EQ(t.step(E::kSuccess, kStart + 1s), A::kNone);
}

TEST(Transaction, SettingsMoveTheTimers) {
    TransactionTiming fast;
    fast.t1 = 10ms;
    Transaction t(K::kClientOther, fast, false);
    (void)t.start(kStart);
    const Story run = run_out(t);
    EXPECT_EQ(run.sent.front(), 10);
    EXPECT_EQ(run.ended, 640);
}

// Brings a transaction into a state; false when the kind does not have it.
bool bring(Transaction& t, S state) {
    const auto to = [&t](E event) { (void)t.step(event, kStart); };
    (void)t.start(kStart);
    switch (state) {
        case S::kCalling:
        case S::kTrying: break;
        case S::kProceeding: to(E::kProvisional); break;
        case S::kCompleted: to(E::kFailure), to(E::kSendFailure); break;
        case S::kConfirmed: to(E::kSendFailure), to(E::kAck); break;
        case S::kAccepted: to(E::kSuccess), to(E::kSendSuccess); break;
        case S::kTerminated: to(E::kTransportError), to(E::kSendFailure), to(E::kTimeout); break;
        case S::kCount: break;
    }
    return t.state() == state;
}

TEST(Transaction, EachPairOfStateAndEventDoesWhatTheTableSays) {
    std::size_t rows_met = 0;
    for (const K kind : {K::kClientInvite, K::kClientOther, K::kServerInvite, K::kServerOther}) {
        for (std::size_t s = 0; s < static_cast<std::size_t>(S::kCount); ++s) {
            for (std::size_t e = 0; e < static_cast<std::size_t>(E::kCount); ++e) {
                const auto state = static_cast<S>(s);
                const auto event = static_cast<E>(e);
                Transaction t(kind, kTiming, false);
                if (!bring(t, state)) continue;
                const A did = t.step(event, kStart);
                const tables::Row* wanted = nullptr;
                for (const tables::Row& row : tables::rows_of(kind)) {
                    if (row.from == state && row.on == event) wanted = &row;
                }
                if (wanted == nullptr) {
                    EXPECT_EQ(did, A::kNone);
                    EXPECT_EQ(t.state(), state);
                    continue;
                }
                ++rows_met;
                EXPECT_EQ(t.state(), wanted->to);
                // Nothing to send again before there is a response.
                const bool silent = kind == K::kServerInvite && state == S::kProceeding &&
                                    event == E::kRequestAgain;
                EXPECT_EQ(did, silent ? A::kNone : wanted->run)
                    << static_cast<int>(kind) << " state " << s << " event " << e;
                EXPECT_EQ(has(did, A::kTerminated), t.state() == S::kTerminated);
                if (t.state() == S::kTerminated) {
                    EXPECT_EQ(t.deadline(), kNever);
                }
            }
        }
    }
    std::size_t rows = 0;
    for (const K kind : {K::kClientInvite, K::kClientOther, K::kServerInvite, K::kServerOther}) {
        rows += tables::rows_of(kind).size();
    }
    EXPECT_EQ(rows_met, rows);
}

TEST(Transaction, AResponseIsAnEvent) {
    EXPECT_EQ(received_event(100), E::kProvisional);
    EXPECT_EQ(received_event(202), E::kSuccess);
    EXPECT_EQ(received_event(300), E::kFailure);
    EXPECT_EQ(sending_event(180), E::kSendProvisional);
    EXPECT_EQ(sending_event(200), E::kSendSuccess);
    EXPECT_EQ(sending_event(699), E::kSendFailure);
}

}  // namespace
}  // namespace fedgate::sip
