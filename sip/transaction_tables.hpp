// The rows of the four transaction machines, to be held against the figures of the RFCs. A pair of
// state and event that is not listed is ignored. Timers: kTimers, armed when a state is entered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sip/transaction.hpp"

namespace fedgate::sip::tables {

using S = TransactionState;
using E = TransactionEvent;
using A = Actions;

struct Row {
    S from;
    E on;
    S to;
    A run;
};

// clang-format off: one row, one line.
// RFC 3261 figure 5, with RFC 6026 7.2.
constexpr Row kClientInvite[] = {
    {S::kCalling, E::kRetransmit, S::kCalling, A::kSend},  // timer A
    {S::kCalling, E::kTimeout, S::kTerminated, A::kReportTimeout | A::kTerminated},  // timer B
    {S::kCalling, E::kTransportError, S::kTerminated, A::kReportTransport | A::kTerminated},
    {S::kCalling, E::kCancel, S::kCalling, A::kNone},  // 9.1: the CANCEL waits for a 1xx
    {S::kCalling, E::kProvisional, S::kProceeding, A::kPassUp},
    {S::kCalling, E::kSuccess, S::kAccepted, A::kPassUp},
    {S::kCalling, E::kFailure, S::kCompleted, A::kSendAck | A::kPassUp},
    {S::kProceeding, E::kProvisional, S::kProceeding, A::kPassUp},
    {S::kProceeding, E::kSuccess, S::kAccepted, A::kPassUp},
    {S::kProceeding, E::kFailure, S::kCompleted, A::kSendAck | A::kPassUp},
    {S::kProceeding, E::kCancel, S::kProceeding, A::kSendCancel},
    {S::kProceeding, E::kTimeout, S::kTerminated, A::kReportTimeout | A::kTerminated},  // 9.1: after its CANCEL
    {S::kCompleted, E::kFailure, S::kCompleted, A::kSendAck},
    {S::kCompleted, E::kTransportError, S::kTerminated, A::kReportTransport | A::kTerminated},
    {S::kCompleted, E::kLinger, S::kTerminated, A::kTerminated},  // timer D
    {S::kAccepted, E::kSuccess, S::kAccepted, A::kPassUp},
    {S::kAccepted, E::kLinger, S::kTerminated, A::kTerminated},  // timer M
};

// RFC 3261 figure 6.
constexpr Row kClientOther[] = {
    {S::kTrying, E::kRetransmit, S::kTrying, A::kSend},  // timer E
    {S::kTrying, E::kTimeout, S::kTerminated, A::kReportTimeout | A::kTerminated},  // timer F
    {S::kTrying, E::kTransportError, S::kTerminated, A::kReportTransport | A::kTerminated},
    {S::kTrying, E::kProvisional, S::kProceeding, A::kPassUp},
    {S::kTrying, E::kSuccess, S::kCompleted, A::kPassUp},
    {S::kTrying, E::kFailure, S::kCompleted, A::kPassUp},
    {S::kProceeding, E::kRetransmit, S::kProceeding, A::kSend},
    {S::kProceeding, E::kTimeout, S::kTerminated, A::kReportTimeout | A::kTerminated},
    {S::kProceeding, E::kTransportError, S::kTerminated, A::kReportTransport | A::kTerminated},
    {S::kProceeding, E::kProvisional, S::kProceeding, A::kPassUp},
    {S::kProceeding, E::kSuccess, S::kCompleted, A::kPassUp},
    {S::kProceeding, E::kFailure, S::kCompleted, A::kPassUp},
    {S::kCompleted, E::kLinger, S::kTerminated, A::kTerminated},  // timer K
};

// RFC 3261 figure 7, with RFC 6026 7.1: no transport error ends it, so that the INVITE is absorbed when it
// comes again. The 2xx goes out until its ACK comes (RFC 3261 13.3.1.4), which is left to the user there.
constexpr Row kServerInvite[] = {
    {S::kProceeding, E::kRequestAgain, S::kProceeding, A::kSend},
    {S::kProceeding, E::kAnswerDue, S::kProceeding, A::kSendTrying},  // SIP-19
    {S::kProceeding, E::kSendProvisional, S::kProceeding, A::kSend},
    {S::kProceeding, E::kSendSuccess, S::kAccepted, A::kSend},
    {S::kProceeding, E::kSendFailure, S::kCompleted, A::kSend},
    {S::kProceeding, E::kTransportError, S::kProceeding, A::kReportTransport},
    {S::kCompleted, E::kRequestAgain, S::kCompleted, A::kSend},
    {S::kCompleted, E::kRetransmit, S::kCompleted, A::kSend},  // timer G
    {S::kCompleted, E::kTimeout, S::kTerminated, A::kReportTimeout | A::kTerminated},  // timer H
    {S::kCompleted, E::kTransportError, S::kCompleted, A::kReportTransport},
    {S::kCompleted, E::kAck, S::kConfirmed, A::kNone},
    {S::kConfirmed, E::kLinger, S::kTerminated, A::kTerminated},  // timer I
    {S::kAccepted, E::kSendSuccess, S::kAccepted, A::kSend},
    {S::kAccepted, E::kRetransmit, S::kAccepted, A::kSend},
    {S::kAccepted, E::kTimeout, S::kAccepted, A::kReportTimeout},
    {S::kAccepted, E::kAck, S::kAccepted, A::kPassUp},
    {S::kAccepted, E::kTransportError, S::kAccepted, A::kReportTransport},
    {S::kAccepted, E::kLinger, S::kTerminated, A::kTerminated},  // timer L
};

// RFC 3261 figure 8, with RFC 4320 4 (SIP-12): no provisional response, none after 64*T1, never 408.
constexpr Row kServerOther[] = {
    {S::kTrying, E::kAnswerDue, S::kTrying, A::kAnswerNow},
    {S::kTrying, E::kSendSuccess, S::kCompleted, A::kSend},
    {S::kTrying, E::kSendFailure, S::kCompleted, A::kSend},
    {S::kTrying, E::kTimeout, S::kTerminated, A::kTerminated},
    {S::kCompleted, E::kRequestAgain, S::kCompleted, A::kSend},  // SIP-11
    {S::kCompleted, E::kTransportError, S::kTerminated, A::kReportTransport | A::kTerminated},
    {S::kCompleted, E::kLinger, S::kTerminated, A::kTerminated},  // timer J
};

// clang-format on

template <std::size_t kRows>
constexpr bool each_pair_once(const Row (&rows)[kRows]) {
    for (std::size_t i = 0; i < kRows; ++i) {
        for (std::size_t j = i + 1; j < kRows; ++j) {
            if (rows[i].from == rows[j].from && rows[i].on == rows[j].on) return false;
        }
    }
    return true;
}
static_assert(each_pair_once(kClientInvite));
static_assert(each_pair_once(kClientOther));
static_assert(each_pair_once(kServerInvite));
static_assert(each_pair_once(kServerOther));

constexpr std::span<const Row> rows_of(TransactionKind kind) {
    switch (kind) {
        case TransactionKind::kClientInvite: return kClientInvite;
        case TransactionKind::kClientOther: return kClientOther;
        case TransactionKind::kServerInvite: return kServerInvite;
        case TransactionKind::kServerOther: break;
    }
    return kServerOther;
}

// What a state waits for. SIP-10; RFC 3261 table 4, RFC 6026 8.
enum class Span : std::uint8_t { kNone, kT1, kT2, k64T1, kT4, kTryingAfter, kAnswerWithin };

struct TimerRow {
    TransactionKind kind;
    S state;
    Span retransmit;  // the first interval
    bool capped;      // doubles up to T2 (E, G); else without end (A)
    Span timeout;
    Span linger;
    bool if_reliable;  // else, on TCP and TLS, no retransmit, and linger 0: left at once (D, I, J,
                       // K)
    Span answer;
};

using K = TransactionKind;
// clang-format off
constexpr TimerRow kTimers[] = {
    {K::kClientInvite, S::kCalling, Span::kT1, false, Span::k64T1, Span::kNone, false, Span::kNone},
    {K::kClientInvite, S::kCompleted, Span::kNone, false, Span::kNone, Span::k64T1, false, Span::kNone},
    {K::kClientInvite, S::kAccepted, Span::kNone, false, Span::kNone, Span::k64T1, true, Span::kNone},
    {K::kClientOther, S::kTrying, Span::kT1, true, Span::k64T1, Span::kNone, false, Span::kNone},
    {K::kClientOther, S::kProceeding, Span::kT2, true, Span::k64T1, Span::kNone, false, Span::kNone},
    {K::kClientOther, S::kCompleted, Span::kNone, false, Span::kNone, Span::kT4, false, Span::kNone},
    {K::kServerInvite, S::kProceeding, Span::kNone, false, Span::kNone, Span::kNone, false, Span::kTryingAfter},
    {K::kServerInvite, S::kCompleted, Span::kT1, true, Span::k64T1, Span::kNone, false, Span::kNone},
    {K::kServerInvite, S::kConfirmed, Span::kNone, false, Span::kNone, Span::kT4, false, Span::kNone},
    {K::kServerInvite, S::kAccepted, Span::kT1, true, Span::k64T1, Span::k64T1, true, Span::kNone},
    {K::kServerOther, S::kTrying, Span::kNone, false, Span::k64T1, Span::kNone, false, Span::kAnswerWithin},
    {K::kServerOther, S::kCompleted, Span::kNone, false, Span::kNone, Span::k64T1, false, Span::kNone},
};
// clang-format on

}  // namespace fedgate::sip::tables
