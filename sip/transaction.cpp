#include "sip/transaction.hpp"

#include <algorithm>
#include <array>

#include "sip/transaction_tables.hpp"

namespace fedgate::sip {
namespace {

using tables::Span;
using S = TransactionState;
using E = TransactionEvent;

S first_state(TransactionKind kind) {
    switch (kind) {
        case TransactionKind::kClientInvite: return S::kCalling;
        case TransactionKind::kServerInvite: return S::kProceeding;
        case TransactionKind::kClientOther:
        case TransactionKind::kServerOther: break;
    }
    return S::kTrying;
}

bool is_client(TransactionKind kind) {
    return kind == TransactionKind::kClientInvite || kind == TransactionKind::kClientOther;
}

Duration length(Span span, const TransactionTiming& timing) {
    switch (span) {
        case Span::kNone: break;
        case Span::kT1: return timing.t1;
        case Span::kT2: return timing.t2;
        case Span::k64T1: return timing.timeout();
        case Span::kT4: return timing.t4;
        case Span::kTryingAfter: return timing.trying_after;
        case Span::kAnswerWithin: return timing.answer_within;
    }
    return {};
}

constexpr std::size_t kKinds = 4;
constexpr auto kStates = static_cast<std::size_t>(S::kCount);
constexpr auto kEvents = static_cast<std::size_t>(E::kCount);

// The place of each row, counted from 1; 0: there is none.
constexpr auto kRowOf = [] {
    std::array<std::array<std::array<std::uint8_t, kEvents>, kStates>, kKinds> places{};
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
        std::uint8_t place = 0;
        for (const tables::Row& row : tables::rows_of(static_cast<TransactionKind>(kind))) {
            places[kind][static_cast<std::size_t>(row.from)][static_cast<std::size_t>(row.on)] =
                ++place;
        }
    }
    return places;
}();
constexpr auto kTimersOf = [] {
    std::array<std::array<std::uint8_t, kStates>, kKinds> places{};
    std::uint8_t place = 0;
    for (const tables::TimerRow& row : tables::kTimers) {
        places[static_cast<std::size_t>(row.kind)][static_cast<std::size_t>(row.state)] = ++place;
    }
    return places;
}();

const tables::Row* find_row(TransactionKind kind, S state, E event) {
    const std::size_t place =
        kRowOf[static_cast<std::size_t>(kind)][static_cast<std::size_t>(state)]
              [static_cast<std::size_t>(event)];
    return place == 0 ? nullptr : &tables::rows_of(kind)[place - 1];
}

const tables::TimerRow* find_timers(TransactionKind kind, S state) {
    const std::size_t place =
        kTimersOf[static_cast<std::size_t>(kind)][static_cast<std::size_t>(state)];
    return place == 0 ? nullptr : &tables::kTimers[place - 1];
}

}  // namespace

Transaction::Transaction(TransactionKind kind, const TransactionTiming& timing, bool reliable)
    : timing_(&timing), kind_(kind), state_(first_state(kind)), reliable_(reliable) {}

Actions Transaction::start(Instant now) {
    enter(state_, now);
    return is_client(kind_) ? Actions::kSend : Actions::kPassUp;
}

Actions Transaction::step(TransactionEvent event, Instant now) {
    const tables::Row* row = find_row(kind_, state_, event);
    if (row == nullptr) return Actions::kNone;
    Actions run = row->run;
    if (event == E::kRequestAgain && state_ == S::kProceeding && !responded_) run = Actions::kNone;
    if (event == E::kSendProvisional) {
        responded_ = true;
        answer_at_ = kNever;
    }
    if (event == E::kAck) retransmit_at_ = timeout_at_ = kNever;
    if (row->to != state_) enter(row->to, now);
    if (event == E::kCancel && cancelled_) run = Actions::kNone;  // once is enough
    cancelled_ = cancelled_ || event == E::kCancel;
    // RFC 3261 9.1: it goes behind the first provisional response, and then the end must come.
    if (cancelled_ && kind_ == TransactionKind::kClientInvite && state_ == S::kProceeding &&
        timeout_at_ == kNever) {
        timeout_at_ = now + timing_->timeout();
        run = run | Actions::kSendCancel;
    }
    // A wait of no length: Completed and Confirmed end at once where nothing can come twice.
    if (linger_at_ <= now && event != E::kLinger && state_ != S::kTerminated) {
        enter(S::kTerminated, now);
        run = run | Actions::kTerminated;
    }
    return run;
}

Actions Transaction::on_time(Instant now) {
    if (timeout_at_ <= now) {
        timeout_at_ = kNever;
        return step(E::kTimeout, now);
    }
    if (linger_at_ <= now) return step(E::kLinger, now);
    if (answer_at_ <= now) {
        answer_at_ = kNever;
        responded_ = true;  // the owner makes and stores the 100 (INVITE)
        return step(E::kAnswerDue, now);
    }
    if (retransmit_at_ <= now) {
        const tables::TimerRow* timers = find_timers(kind_, state_);
        interval_ = timers->capped ? std::min(interval_ * 2, timing_->t2) : interval_ * 2;
        retransmit_at_ = now + interval_;
        return step(E::kRetransmit, now);
    }
    return Actions::kNone;
}

Instant Transaction::deadline() const {
    return std::min({retransmit_at_, timeout_at_, linger_at_, answer_at_});
}

void Transaction::enter(TransactionState state, Instant now) {
    const auto after = [&](Span span) {
        return span == Span::kNone ? kNever : now + length(span, *timing_);
    };
    const Instant timeout_before = timeout_at_;
    const Instant retransmit_before = retransmit_at_;
    state_ = state;
    retransmit_at_ = timeout_at_ = linger_at_ = answer_at_ = kNever;
    const tables::TimerRow* timers = find_timers(kind_, state);
    if (timers == nullptr) return;
    // Timers E and F run on from Trying to Proceeding: RFC 3261 17.1.2.2.
    const bool runs_on = kind_ == TransactionKind::kClientOther && state == S::kProceeding;
    if (timers->retransmit != Span::kNone && (!reliable_ || timers->if_reliable)) {
        interval_ = length(timers->retransmit, *timing_);
        retransmit_at_ = runs_on ? retransmit_before : now + interval_;
    }
    timeout_at_ = runs_on ? timeout_before : after(timers->timeout);
    answer_at_ = after(timers->answer);
    if (timers->linger != Span::kNone) {
        linger_at_ = reliable_ && !timers->if_reliable ? now : after(timers->linger);
    }
}

CancelVerdict judge_cancel(const Transaction* cancelled) {
    if (cancelled == nullptr) return {};
    // Without a final response only a server INVITE transaction is Proceeding.
    return {200, cancelled->kind() == TransactionKind::kServerInvite &&
                     cancelled->state() == S::kProceeding};
}

TransactionEvent received_event(std::uint16_t status) {
    if (status < 200) return E::kProvisional;
    return status < 300 ? E::kSuccess : E::kFailure;
}

TransactionEvent sending_event(std::uint16_t status) {
    if (status < 200) return E::kSendProvisional;
    return status < 300 ? E::kSendSuccess : E::kSendFailure;
}

}  // namespace fedgate::sip
