#include "sip/subscription.hpp"

#include <algorithm>
#include <utility>

#include "core/base/limits.hpp"
#include "sip/subscription_tables.hpp"

namespace fedgate::sip {
namespace {

constexpr Duration kRefreshMargin = 32s;  // PRES-40: 64*T1, for one try
// X(n+1) = a * X(n) + c mod 2^16, of full period: a = 1 mod 4, c odd.
constexpr std::uint32_t kSpreadFactor = 25'173;
constexpr std::uint32_t kSpreadStep = 13'849;
constexpr std::uint8_t kFailuresMax = 10;  // doubles no more

std::optional<std::uint32_t> seconds_of(const Message& message, HeaderName name) {
    const auto seconds = parse_seconds(message.value(name));
    return seconds ? std::optional(*seconds) : std::nullopt;
}

Duration next_try(std::optional<std::uint32_t> retry_after) {
    return std::chrono::seconds(std::min(retry_after.value_or(0), limits::kRetrySecondsMax));
}

template <typename Row, std::size_t kCount, typename State, typename Event>
const Row* find_row(const Row (&rows)[kCount], State state, Event event) {
    for (const Row& row : rows) {
        if (row.from == state && row.on == event) return &row;
    }
    return nullptr;
}

const tables::ReasonRow& row_of_reason(Bytes reason) {
    const tables::ReasonRow* row = tables::kReasons;
    while (!row->reason.empty() && !equal_ignoring_case(row->reason, reason)) ++row;
    return *row;
}

SubscriberEvent event_of_status(std::uint16_t status) {
    for (const tables::StatusRow& row : tables::kStatuses) {
        if (status >= row.from && status <= row.to) return row.next;
    }
    return SubscriberEvent::kAccepted;
}

}  // namespace

Answer read_answer(const Message& response) {
    return {response.status, seconds_of(response, HeaderName::kExpires),
            seconds_of(response, HeaderName::kMinExpires),
            seconds_of(response, HeaderName::kRetryAfter)};
}

std::uint16_t judge_notify(const Message& notify, const EventType& subscribed,
                           SubscriptionState& out) {
    const auto event = parse_event(notify.value(HeaderName::kEvent));
    if (!event || event->package != subscribed.package) return 489;
    if (*event != subscribed) return 481;
    const auto state = parse_subscription_state(notify.value(HeaderName::kSubscriptionState));
    if (!state) return 400;
    out = *state;
    return 0;
}

SubscriberActions Subscriber::subscribe(Instant now) {
    if (!holds() && state_ != SubscriberState::kNotifyWait) {
        wanted_ = true;
        told_ = raised_ = false;
        if (state_ == SubscriberState::kTerminated) was_active_ = false;
        asked_ = timing_->expires;
    }
    return step(SubscriberEvent::kSubscribe, now);
}

SubscriberActions Subscriber::fetch(Instant now) {
    if (state_ != SubscriberState::kInit && state_ != SubscriberState::kTerminated) {
        return SubscriberActions::kNone;
    }
    state_ = SubscriberState::kFetching;
    told_ = false;
    sent(true, now);
    return SubscriberActions::kSendInitial;
}

SubscriberActions Subscriber::unsubscribe(Instant now) {
    return step(SubscriberEvent::kUnsubscribe, now);
}

SubscriberActions Subscriber::refresh(Instant now) {
    if (under_way_) return SubscriberActions::kNone;
    refresh_at_ = kNever;
    scattered_ = false;  // whoever asks for this asks for more than one
    return step(SubscriberEvent::kRefreshDue, now);
}

void Subscriber::set_wanted(bool wanted, Instant now) {
    wanted_ = wanted;
    if (!wanted) refresh_at_ = retry_at_ = kNever;
    set_expiry(now);
}

SubscriberActions Subscriber::on_answer(std::uint8_t attempt, const Answer& answer, Instant now) {
    if (attempt != attempt_ || !under_way_) return SubscriberActions::kNone;
    under_way_ = false;
    SubscriberEvent event = event_of_status(answer.status);
    if (event == SubscriberEvent::kAccepted) {
        const std::uint32_t granted = std::min(answer.expires.value_or(asked_), asked_);
        granted_until_ =
            now + std::chrono::seconds(std::max(granted, limits::kSubscriptionSecondsMin));
        if (notify_by_ != kNever) {  // RFC 6665 4.1.2.4: it follows
            notify_by_ = now + timing_->timer_n;
            notified_until_ = kNever;
        }
        raised_ = false;
        const SubscriberActions run = step(event, now);
        set_expiry(now);
        return run;
    }
    status_ = answer.status;
    notify_by_ = kNever;
    retry_after_ = next_try(answer.retry_after);
    const std::uint32_t least = answer.min_expires.value_or(0);
    if (answer.status == 423) {  // PRES-37: once
        const bool can =
            !raised_ && expires() != 0 && least > expires() && least <= limits::kRetrySecondsMax;
        event = can ? SubscriberEvent::kTooBrief : SubscriberEvent::kTroubled;
        if (can) asked_ = least;
        raised_ = raised_ || can;
    }
    // PRES-36: what was active a moment ago and is "not found" now may be a server that starts.
    // Once.
    const bool is_refusal = answer.status == 403 || answer.status == 489 || answer.status == 603;
    if (event == SubscriberEvent::kOver && state_ == SubscriberState::kNotifyWait && !is_refusal &&
        std::exchange(was_active_, false)) {
        event = SubscriberEvent::kAgainLater;
    }
    if (state_ == SubscriberState::kLeaving && !has_dialog_) event = SubscriberEvent::kOver;
    if (event == SubscriberEvent::kTroubled && holds()) {
        // RFC 6665 4.1.2.2: it is good until it expires; the refresh is tried again before that.
        refresh_at_ = now + backoff();
        if (failures_ < kFailuresMax) ++failures_;
    }
    return step(event, now);
}

SubscriberActions Subscriber::on_no_answer(std::uint8_t attempt, Instant now) {
    return on_answer(attempt, {408, {}, {}, {}}, now);
}

SubscriberActions Subscriber::on_notify(const SubscriptionState& says, Instant now) {
    using S = SubscriberState;
    if (state_ == S::kInit || state_ == S::kTerminated) return SubscriberActions::kNone;
    if (says.is("terminated")) {
        const tables::ReasonRow& row = row_of_reason(says.reason);
        status_ = 0;
        retry_after_ =
            row.heeds_retry_after && says.retry_after ? next_try(says.retry_after) : row.wait;
        return step(row.next, now);
    }
    has_dialog_ = true;
    failures_ = 0;
    // What has to end waits for the last one.
    if (state_ != S::kFetching && state_ != S::kLeft) notify_by_ = kNever;
    if (says.expires) {
        notified_until_ =
            now + std::chrono::seconds(std::max(*says.expires, limits::kSubscriptionSecondsMin));
    }
    const bool active = says.is("active");  // a state that nobody knows is not more than pending
    was_active_ = was_active_ || active;
    const SubscriberActions run =
        step(active ? SubscriberEvent::kActive : SubscriberEvent::kPending, now);
    set_expiry(now);
    return run;
}

SubscriberActions Subscriber::on_time(Instant now) {
    if (notify_by_ <= now) {
        notify_by_ = kNever;
        status_ = 408;
        return step(SubscriberEvent::kNotifyMissing, now);
    }
    if (std::min(granted_until_, notified_until_) <= now) {
        granted_until_ = notified_until_ = kNever;
        status_ = 408;
        return step(SubscriberEvent::kExpired, now);
    }
    if (refresh_at_ <= now) {
        refresh_at_ = kNever;
        scattered_ = failures_ == 0;  // a server that was in trouble refused them all at once
        return step(SubscriberEvent::kRefreshDue, now);
    }
    if (retry_at_ <= now) {
        retry_at_ = kNever;
        return step(SubscriberEvent::kRetryDue, now);
    }
    return SubscriberActions::kNone;
}

Instant Subscriber::deadline() const {
    return std::min({granted_until_, notified_until_, refresh_at_, notify_by_, retry_at_});
}

std::uint32_t Subscriber::expires() const {
    const bool no_more = state_ == SubscriberState::kFetching || state_ == SubscriberState::kLeft;
    return no_more ? 0 : asked_;
}

bool Subscriber::holds() const {
    return state_ == SubscriberState::kPending || state_ == SubscriberState::kActive;
}

SubscriberActions Subscriber::step(SubscriberEvent event, Instant now) {
    using A = SubscriberActions;
    // PRES-38, PRES-50: at once, but never round in a circle. A server that has forgotten a young
    // one (481) is there again; a user agent that lets go of it is about to go.
    const bool young = now - initial_at_ < timing_->retry_min;
    const bool may = holds() && wanted_ && (!young || (status_ == 481 && !at_once_));
    if (event == SubscriberEvent::kAgainNow && !may) event = SubscriberEvent::kAgainLater;
    A run = A::kNone;
    if (const auto* row = find_row(tables::subscriber::kRows, state_, event)) {
        run = row->run;
        state_ = row->to;
    }
    if (has(run, A::kForget)) forget();
    if (has(run, A::kReportLost) && wanted_) {
        retry_at_ = now + backoff();
        if (failures_ < kFailuresMax) ++failures_;
    }
    if (has(run, A::kSendInitial)) {
        at_once_ = event == SubscriberEvent::kAgainNow;
        sent(true, now);
    }
    if (has(run, A::kSendRefresh)) sent(false, now);
    if (has(run, A::kReportEnded) || has(run, A::kReportFinal)) {
        if (told_) run = A::kForget;  // the row of kLeft: told at the 2xx
        told_ = true;
        retry_at_ = kNever;
    }
    retry_after_ = {};
    if (state_ == SubscriberState::kLeaving && has_dialog_ && !under_way_) {
        run = run | step(SubscriberEvent::kMayLeave, now);
    }
    return run;
}

void Subscriber::sent(bool initial, Instant now) {
    under_way_ = true;
    notify_by_ = now + timing_->timer_n;
    refresh_at_ = retry_at_ = kNever;
    if (!initial) {
        spread_ = static_cast<std::uint16_t>(spread_ * kSpreadFactor + kSpreadStep);
        return;
    }
    ++attempt_;
    scattered_ = false;
    initial_at_ = now;
    granted_until_ =
        now + std::chrono::seconds(std::max(expires(), limits::kSubscriptionSecondsMin));
}

void Subscriber::forget() {
    granted_until_ = notified_until_ = refresh_at_ = notify_by_ = retry_at_ = kNever;
    has_dialog_ = under_way_ = false;
}

// PRES-40: in the last tenth before the latest point that leaves time for one try. Those that began
// at once, by a log-on, a restart or an outage, do not come back at once: their next one falls
// anywhere from a tenth of the interval on. Many NOTIFYs move the point nearer only.
void Subscriber::set_expiry(Instant now) {
    if (!holds() || under_way_ || !wanted_) return;
    const Duration left = std::min(granted_until_, notified_until_) - now;
    const Duration tenth = left / 10;
    const Duration latest = tenth >= kRefreshMargin ? left - tenth : left / 2;
    const Duration range = scattered_ ? tenth : latest - tenth;
    refresh_at_ = std::min(refresh_at_, now + latest - range + range / 65'536 * spread_);
}

// PRES-39: x2, +-20 %; never before what the other side asks for.
Duration Subscriber::backoff() const {
    const Duration plain = std::min(timing_->retry_min * (1 << failures_), timing_->retry_max);
    const Duration asked = retry_after_ + retry_after_ / 10 * spread_ / 65'536;
    return std::max(plain / 10 * 8 + plain / 10 * 4 * spread_ / 65'536, asked);
}

ExpiresVerdict judge_expires(const Message& subscribe, const NotifierTiming& timing) {
    if (subscribe.find(HeaderName::kExpires) == nullptr) return {200, timing.expires};
    const auto seconds = seconds_of(subscribe, HeaderName::kExpires);
    if (!seconds) return {400, 0};
    // RFC 6665 4.2.1.1: an hour is never too brief.
    if (*seconds > 0 && *seconds < timing.expires_min && *seconds < 3'600) return {423, 0};
    return {200, std::min(*seconds, timing.expires)};
}

NotifierActions Notifier::start(std::uint32_t seconds, Instant now) {
    fetch_ = seconds == 0;
    if (fetch_) state_ = NotifierState::kTerminated;
    if (!fetch_) expires_at_ = now + std::chrono::seconds(seconds);
    send_at_ = fetch_ ? now + timing_->fetch_wait : now;
    return send_if_due(now);
}

NotifierActions Notifier::on_subscribe(std::uint32_t seconds, Instant now) {
    if (seconds == 0) return step(NotifierEvent::kLeave, now);
    if (state_ != NotifierState::kTerminated) expires_at_ = now + std::chrono::seconds(seconds);
    return step(NotifierEvent::kRefresh, now);
}

NotifierActions Notifier::approve(Instant now) { return step(NotifierEvent::kApprove, now); }

NotifierActions Notifier::change(bool urgent, Instant now) {
    const Instant before = send_at_;
    if (fetch_ && send_at_ != kNever) {
        send_at_ = now;
        return send_if_due(now);
    }
    if (!urgent && state_ == NotifierState::kActive && held_until_ > now) {
        send_at_ = std::min(before, held_until_);  // the last state wins
        return NotifierActions::kNone;
    }
    return step(NotifierEvent::kChange, now);
}

NotifierActions Notifier::end(const char* reason, std::uint32_t retry_after, Instant now) {
    if (state_ == NotifierState::kTerminated) return NotifierActions::kNone;
    reason_ = reason;
    retry_after_ = retry_after;
    return step(NotifierEvent::kEnd, now);
}

NotifierActions Notifier::on_answer(const Answer& answer, Instant now) {
    if (!under_way_) return NotifierActions::kNone;
    under_way_ = false;
    const std::uint16_t status = answer.status;
    if (status / 100 == 2) {
        failures_ = 0;
        return send_if_due(now);
    }
    // PRES-75, RFC 6665 4.2.2: which of them end it.
    const bool ends =
        (status / 100 == 4 && status != 401 && status != 407) || status == 501 || status / 100 == 6;
    if (ends) return step(NotifierEvent::kFailed, now);
    if (state_ != NotifierState::kTerminated) {
        const Duration pause = std::min(timing_->retry_min * (1 << failures_), timing_->retry_max);
        if (failures_ < kFailuresMax) ++failures_;
        send_at_ = now + std::max(pause, next_try(answer.retry_after));
    }
    return send_if_due(now);
}

NotifierActions Notifier::on_no_answer(Instant now) { return on_answer({408, {}, {}, {}}, now); }

NotifierActions Notifier::on_time(Instant now) {
    if (expires_at_ <= now) return step(NotifierEvent::kExpired, now);
    return send_if_due(now);
}

Instant Notifier::deadline() const {
    return under_way_ ? expires_at_ : std::min(expires_at_, send_at_);
}

void Notifier::write_state(Sink& out, Instant now) const {
    if (state_ == NotifierState::kTerminated) {
        out.append("terminated;reason=");
        out.append(reason_);
        if (retry_after_ == 0) return;
        out.append(";retry-after=");
        return out.append_number(retry_after_);
    }
    out.append(state_ == NotifierState::kActive ? "active;expires=" : "pending;expires=");
    out.append_number(std::max<std::int64_t>(
        std::chrono::ceil<std::chrono::seconds>(expires_at_ - now).count(), 0));
}

NotifierActions Notifier::step(NotifierEvent event, Instant now) {
    using A = NotifierActions;
    A run = A::kNone;
    if (const auto* row = find_row(tables::notifier::kRows, state_, event)) {
        state_ = row->to;
        if (has(row->run, A::kSendNotify)) send_at_ = now;
        if (has(row->run, A::kReportGone)) run = A::kReportGone;
    }
    if (state_ == NotifierState::kTerminated) expires_at_ = kNever;
    if (event == NotifierEvent::kFailed) send_at_ = kNever;
    return run | send_if_due(now);
}

// RFC 6665 4.2.2: one at a time.
NotifierActions Notifier::send_if_due(Instant now) {
    if (under_way_) return NotifierActions::kNone;
    if (send_at_ <= now) {
        under_way_ = true;
        send_at_ = kNever;
        held_until_ = now + timing_->document_every;
        return NotifierActions::kSendNotify;
    }
    const bool over = state_ == NotifierState::kTerminated && send_at_ == kNever;
    return over ? NotifierActions::kDone : NotifierActions::kNone;
}

}  // namespace fedgate::sip
