// The rows of subscriber and notifier. A pair of state and event that is not listed is ignored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sip/subscription.hpp"

namespace fedgate::sip::tables {

// What the end of a subscription asks of the subscriber.
struct ReasonRow {  // RFC 6665 4.1.3; PRES-50..55
    Bytes reason;
    SubscriberEvent next;
    Duration wait;           // without a retry-after
    bool heeds_retry_after;  // else it has no meaning
};
// clang-format off: one row, one line.
constexpr ReasonRow kReasons[] = {
    {"deactivated", SubscriberEvent::kAgainNow, 0s, false},
    {"timeout", SubscriberEvent::kAgainNow, 0s, false},
    {"probation", SubscriberEvent::kAgainLater, 300s, true},
    {"giveup", SubscriberEvent::kAgainLater, 300s, true},
    {"rejected", SubscriberEvent::kOver, 0s, false},
    {"noresource", SubscriberEvent::kOver, 0s, false},
    {"invariant", SubscriberEvent::kInvariant, 0s, false},
    {"", SubscriberEvent::kAgainLater, 60s, true},  // none, or one that nobody knows
};

// What a failed SUBSCRIBE asks of it: PRES-35..39. The first row that matches.
struct StatusRow {
    std::uint16_t from;
    std::uint16_t to;
    SubscriberEvent next;
};
constexpr StatusRow kStatuses[] = {
    {401, 401, SubscriberEvent::kTroubled}, {407, 407, SubscriberEvent::kTroubled},
    {408, 408, SubscriberEvent::kAgainLater}, {480, 480, SubscriberEvent::kAgainLater},
    {481, 481, SubscriberEvent::kAgainNow}, {486, 486, SubscriberEvent::kTroubled},
    {300, 499, SubscriberEvent::kOver},
    {501, 501, SubscriberEvent::kAgainLater},  // RFC 6665 4.1.2.2: no subscription is left
    {500, 600, SubscriberEvent::kTroubled},
    {601, 699, SubscriberEvent::kOver},
};

namespace subscriber {

using S = SubscriberState;
using E = SubscriberEvent;
using A = SubscriberActions;
struct Row {
    S from;
    E on;
    S to;
    A run;
};
constexpr A kLost = A::kForget | A::kReportLost;
constexpr A kEnded = A::kForget | A::kReportEnded;
constexpr A kFinal = A::kForget | A::kReportFinal;
constexpr A kAnew = A::kForget | A::kSendInitial;
constexpr Row kRows[] = {
    {S::kInit, E::kSubscribe, S::kNotifyWait, A::kSendInitial},
    {S::kInit, E::kRetryDue, S::kNotifyWait, A::kSendInitial},
    {S::kInit, E::kUnsubscribe, S::kTerminated, A::kReportEnded},
    {S::kTerminated, E::kSubscribe, S::kNotifyWait, A::kSendInitial},
    // Without the old dialog, whose last NOTIFY finds nobody.
    {S::kFetching, E::kSubscribe, S::kNotifyWait, kAnew},
    {S::kLeaving, E::kSubscribe, S::kNotifyWait, kAnew},
    {S::kLeft, E::kSubscribe, S::kNotifyWait, kAnew},

    {S::kNotifyWait, E::kUnsubscribe, S::kLeaving, A::kNone},
    {S::kNotifyWait, E::kTooBrief, S::kNotifyWait, kAnew},
    {S::kNotifyWait, E::kTroubled, S::kInit, kLost},
    {S::kNotifyWait, E::kAgainLater, S::kInit, kLost},
    {S::kNotifyWait, E::kOver, S::kTerminated, kEnded},
    {S::kNotifyWait, E::kInvariant, S::kTerminated, kFinal},
    {S::kNotifyWait, E::kPending, S::kPending, A::kReportPending},
    {S::kNotifyWait, E::kActive, S::kActive, A::kReportActive},
    {S::kNotifyWait, E::kExpired, S::kInit, kLost},
    {S::kNotifyWait, E::kNotifyMissing, S::kInit, kLost},  // PRES-41

    {S::kPending, E::kUnsubscribe, S::kLeaving, A::kNone},
    {S::kPending, E::kTooBrief, S::kPending, A::kSendRefresh},
    {S::kPending, E::kAgainNow, S::kNotifyWait, kAnew},  // PRES-38, PRES-50
    {S::kPending, E::kAgainLater, S::kInit, kLost},      // PRES-39, PRES-51
    {S::kPending, E::kOver, S::kTerminated, kEnded},     // PRES-35, PRES-36, PRES-52
    {S::kPending, E::kInvariant, S::kTerminated, kFinal},  // PRES-54
    {S::kPending, E::kPending, S::kPending, A::kReportPending},
    {S::kPending, E::kActive, S::kActive, A::kReportActive},
    {S::kPending, E::kRefreshDue, S::kPending, A::kSendRefresh},  // PRES-40
    {S::kPending, E::kExpired, S::kInit, kLost},
    {S::kPending, E::kNotifyMissing, S::kInit, kLost},

    {S::kActive, E::kUnsubscribe, S::kLeaving, A::kNone},
    {S::kActive, E::kTooBrief, S::kActive, A::kSendRefresh},
    {S::kActive, E::kAgainNow, S::kNotifyWait, kAnew},
    {S::kActive, E::kAgainLater, S::kInit, kLost},
    {S::kActive, E::kOver, S::kTerminated, kEnded},
    {S::kActive, E::kInvariant, S::kTerminated, kFinal},
    {S::kActive, E::kPending, S::kPending, A::kReportPending},
    {S::kActive, E::kActive, S::kActive, A::kReportActive},
    {S::kActive, E::kRefreshDue, S::kActive, A::kSendRefresh},
    {S::kActive, E::kExpired, S::kInit, kLost},
    {S::kActive, E::kNotifyMissing, S::kInit, kLost},

    {S::kFetching, E::kUnsubscribe, S::kTerminated, kEnded},
    {S::kFetching, E::kTroubled, S::kTerminated, kEnded},
    {S::kFetching, E::kAgainLater, S::kTerminated, kEnded},
    {S::kFetching, E::kOver, S::kTerminated, kEnded},
    {S::kFetching, E::kInvariant, S::kTerminated, kFinal},
    {S::kFetching, E::kPending, S::kFetching, A::kReportPending},
    {S::kFetching, E::kActive, S::kFetching, A::kReportActive},
    {S::kFetching, E::kNotifyMissing, S::kTerminated, kEnded},

    {S::kLeaving, E::kMayLeave, S::kLeft, A::kSendRefresh},  // PRES-43
    {S::kLeaving, E::kAgainLater, S::kTerminated, kEnded},
    {S::kLeaving, E::kOver, S::kTerminated, kEnded},
    {S::kLeaving, E::kInvariant, S::kTerminated, kEnded},
    {S::kLeaving, E::kExpired, S::kTerminated, kEnded},
    {S::kLeaving, E::kNotifyMissing, S::kTerminated, kEnded},

    {S::kLeft, E::kAccepted, S::kLeft, A::kReportEnded},  // PRES-44: for the last NOTIFY
    {S::kLeft, E::kTroubled, S::kTerminated, kEnded},
    {S::kLeft, E::kAgainLater, S::kTerminated, kEnded},
    {S::kLeft, E::kOver, S::kTerminated, kEnded},
    {S::kLeft, E::kInvariant, S::kTerminated, kEnded},
    {S::kLeft, E::kNotifyMissing, S::kTerminated, kEnded},
};

}  // namespace subscriber

namespace notifier {

using S = NotifierState;
using E = NotifierEvent;
using A = NotifierActions;
struct Row {
    S from;
    E on;
    S to;
    A run;
};
constexpr A kGone = A::kSendNotify | A::kReportGone;
constexpr Row kRows[] = {
    {S::kPending, E::kRefresh, S::kPending, A::kSendNotify},  // RFC 6665 4.2.1.2: at once
    {S::kPending, E::kLeave, S::kTerminated, kGone},          // PRES-67
    {S::kPending, E::kApprove, S::kActive, A::kSendNotify},   // PRES-63
    {S::kPending, E::kEnd, S::kTerminated, A::kSendNotify},   // PRES-64, PRES-70
    {S::kPending, E::kExpired, S::kTerminated, kGone},        // PRES-68
    {S::kPending, E::kFailed, S::kTerminated, A::kReportGone},
    {S::kActive, E::kRefresh, S::kActive, A::kSendNotify},  // PRES-66
    {S::kActive, E::kLeave, S::kTerminated, kGone},
    {S::kActive, E::kChange, S::kActive, A::kSendNotify},  // PRES-65; pending: nothing
    {S::kActive, E::kEnd, S::kTerminated, A::kSendNotify},
    {S::kActive, E::kExpired, S::kTerminated, kGone},
    {S::kActive, E::kFailed, S::kTerminated, A::kReportGone},  // PRES-75
};

}  // namespace notifier
// clang-format on

template <typename Row, std::size_t kCount>
constexpr bool rows_are_distinct(const Row (&rows)[kCount]) {
    for (std::size_t i = 0; i < kCount; ++i) {
        for (std::size_t j = i + 1; j < kCount; ++j) {
            if (rows[i].from == rows[j].from && rows[i].on == rows[j].on) return false;
        }
    }
    return true;
}
static_assert(rows_are_distinct(subscriber::kRows));
static_assert(rows_are_distinct(notifier::kRows));

}  // namespace fedgate::sip::tables
