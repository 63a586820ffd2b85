// Both ends of a subscription: RFC 6665, as tables (subscription_tables.hpp). Pure: what
// SUBSCRIBEs, NOTIFYs and their answers say, and the present time in; actions and the next deadline
// out. The texts are in a Dialog, the retransmissions in a Transaction; both are the owner's.
//
//     Subscriber: we watch. It subscribes, refreshes, tries again later, ends.
//     Notifier:   we are watched. It sends one NOTIFY at a time, and a last one in the end.
//
// Owner's loop, for both: do what the returned actions say, in the order of the bits, then put
// deadline() on a timer and call on_time(now) while it has come. While anything goes on there is a
// deadline, or a request of ours is under way, of which each must be answered by on_answer() or
// on_no_answer().
#pragma once

#include <cstdint>

#include "core/base/time.hpp"
#include "sip/message.hpp"

namespace fedgate::sip {

// What a final response to a SUBSCRIBE or NOTIFY says.
struct Answer {
    std::uint16_t status = 0;
    std::optional<std::uint32_t> expires;
    std::optional<std::uint32_t> min_expires;
    std::optional<std::uint32_t> retry_after;
};
[[nodiscard]] Answer read_answer(const Message& response);

// A NOTIFY in a dialog of ours, about `subscribed` (SIP-23, SIP-24). 0: `out` says what it says,
// answer 200. 400: it has no good Subscription-State. 481: not what was subscribed to; 489: not
// even the package. One that no dialog and no SUBSCRIBE of ours matches gets 481 without this.
[[nodiscard]] std::uint16_t judge_notify(const Message& notify, const EventType& subscribed,
                                         SubscriptionState& out);

enum class SubscriberState : std::uint8_t {  // RFC 6665 figure 1
    kInit,                                   // nothing goes on, or it waits to try again
    kNotifyWait,                             // subscribed; the first NOTIFY makes the dialog
    kPending,
    kActive,
    kFetching,    // Expires: 0, for one NOTIFY
    kLeaving,     // is to be ended, but a SUBSCRIBE is under way or there is no dialog yet
    kLeft,        // Expires: 0 was sent in the dialog
    kTerminated,  // over
    kCount
};

enum class SubscriberEvent : std::uint8_t {
    kSubscribe,  // the user's
    kUnsubscribe,
    // The answer to a SUBSCRIBE.
    kAccepted,  // 2xx
    kTooBrief,  // 423 with a Min-Expires that we can ask for
    kTroubled,  // it failed, but if there is a subscription that holds until it expires
    // There is no subscription, by an answer or by a NOTIFY "terminated": what to do next.
    kAgainNow,  // with what held until now; else it is kAgainLater
    kAgainLater,
    kOver,
    kInvariant,  // over, but what was said last stays true
    // The first, and any other NOTIFY.
    kPending,
    kActive,
    // Time.
    kRefreshDue,
    kRetryDue,
    kExpired,
    kNotifyMissing,  // timer N
    kMayLeave,       // kLeaving: now there is a dialog, and no SUBSCRIBE under way
    kCount
};

enum class SubscriberActions : std::uint16_t {  // bits; do them from the lowest up
    kNone = 0,
    kForget = 1,         // the dialog, and any SUBSCRIBE under way
    kSendInitial = 2,    // SUBSCRIBE outside a dialog: new Call-ID and tag, Expires: expires()
    kSendRefresh = 4,    // SUBSCRIBE in the dialog, Expires: expires()
    kReportPending = 8,  // to the user; a NOTIFY's body comes before each report
    kReportActive = 16,
    kReportLost = 32,    // what was known holds no more; it tries again by itself, if it is wanted
    kReportEnded = 64,   // over; status() says why
    kReportFinal = 128,  // over, but what was said last stays true
};
constexpr SubscriberActions operator|(SubscriberActions a, SubscriberActions b) {
    return static_cast<SubscriberActions>(static_cast<std::uint16_t>(a) |
                                          static_cast<std::uint16_t>(b));
}
constexpr bool has(SubscriberActions set, SubscriberActions one) {
    return (static_cast<std::uint16_t>(set) & static_cast<std::uint16_t>(one)) != 0;
}

struct SubscriberTiming {  // settings; PRES-30, PRES-39, PRES-41
    std::uint32_t expires = 3'600;
    Duration timer_n = 32s;  // 64*T1
    Duration retry_min = 60s;
    Duration retry_max = 3'600s;
};

class Subscriber {
public:
    // `spread`: random, so that many that began together do not refresh or try again together. It
    // begins a series of its own. The timing must outlive the object.
    Subscriber(const SubscriberTiming& timing, std::uint16_t spread)
        : timing_(&timing), asked_(timing.expires), spread_(spread) {}

    [[nodiscard]] SubscriberActions subscribe(Instant now);
    [[nodiscard]] SubscriberActions fetch(Instant now);  // PRES-45: poll; instead of subscribe()
    [[nodiscard]] SubscriberActions unsubscribe(Instant now);
    // Before it is due: what is known may be old.
    [[nodiscard]] SubscriberActions refresh(Instant now);
    // False: let it run out, without a refresh and without another try (PRES-42).
    void set_wanted(bool, Instant now);

    // The final response to a SUBSCRIBE that was sent when attempt() was that; of an earlier one
    // nothing is done.
    [[nodiscard]] SubscriberActions on_answer(std::uint8_t attempt, const Answer&, Instant now);
    // There is none: timeout, transport, no route.
    [[nodiscard]] SubscriberActions on_no_answer(std::uint8_t attempt, Instant now);
    // A NOTIFY that judge_notify() let in, in the dialog of attempt(), or making it. In kInit and
    // kTerminated, when there is no dialog, the owner answers 481 instead.
    [[nodiscard]] SubscriberActions on_notify(const SubscriptionState&, Instant now);
    [[nodiscard]] SubscriberActions on_time(Instant now);

    [[nodiscard]] Instant deadline() const;
    [[nodiscard]] SubscriberState state() const { return state_; }
    [[nodiscard]] std::uint8_t attempt() const { return attempt_; }
    [[nodiscard]] std::uint32_t expires() const;
    // Of the answer by which it failed or ended last; 408: no answer, no NOTIFY, not refreshed; 0:
    // a NOTIFY ended it.
    [[nodiscard]] std::uint16_t status() const { return status_; }

private:
    [[nodiscard]] SubscriberActions step(SubscriberEvent, Instant now);
    void sent(bool initial, Instant now);
    void forget();
    void set_expiry(Instant now);
    [[nodiscard]] Duration backoff() const;
    [[nodiscard]] bool holds() const;

    const SubscriberTiming* timing_;
    Instant granted_until_ = kNever;   // by the 2xx
    Instant notified_until_ = kNever;  // by the last NOTIFY; the smaller holds (PRES-40)
    Instant refresh_at_ = kNever;
    Instant notify_by_ = kNever;  // timer N
    Instant retry_at_ = kNever;
    Instant initial_at_{};
    Duration retry_after_{};  // for the next step
    std::uint32_t asked_;
    std::uint16_t spread_;
    std::uint16_t status_ = 0;
    SubscriberState state_ = SubscriberState::kInit;
    std::uint8_t attempt_ = 0;
    std::uint8_t failures_ = 0;
    bool wanted_ = true;
    bool has_dialog_ = false;
    bool under_way_ = false;   // a SUBSCRIBE
    bool scattered_ = false;   // the last SUBSCRIBE went when its own time had come
    bool raised_ = false;      // asked_, by a 423
    bool at_once_ = false;     // the last initial SUBSCRIBE followed the end of another
    bool told_ = false;        // the user, of the end
    bool was_active_ = false;  // and has not been refused since
};

enum class NotifierState : std::uint8_t { kPending, kActive, kTerminated, kCount };

enum class NotifierEvent : std::uint8_t {
    kRefresh,  // SUBSCRIBE in the dialog
    kLeave,    // with Expires: 0
    kApprove,  // the user's
    kChange,   // there is something new to tell
    kEnd,
    kExpired,
    kFailed,  // a NOTIFY, so that the dialog is gone
    kCount
};

enum class NotifierActions : std::uint8_t {  // bits
    kNone = 0,
    kSendNotify = 1,  // with write_state(), and the present document if it is active (PRES-61..70)
    kReportGone = 2,  // the watcher went: PRES-67
    kDone = 4,        // nothing follows: free it
};
constexpr NotifierActions operator|(NotifierActions a, NotifierActions b) {
    return static_cast<NotifierActions>(static_cast<std::uint8_t>(a) |
                                        static_cast<std::uint8_t>(b));
}
constexpr bool has(NotifierActions set, NotifierActions one) {
    return (static_cast<std::uint8_t>(set) & static_cast<std::uint8_t>(one)) != 0;
}

struct NotifierTiming {             // settings; PRES-60, PRES-74, PRES-19, PRES-69
    std::uint32_t expires = 3'600;  // without a word of the subscriber, and at most
    std::uint32_t expires_min = 60;
    Duration document_every = 5s;
    Duration fetch_wait = 2s;
    // Of a NOTIFY that failed, without a Retry-After: at first, then twice as long each time, at
    // most.
    Duration retry_min = 2s;
    Duration retry_max = 60s;
};

// The answer to a SUBSCRIBE as far as its Expires goes. 200: for `seconds`. 423: with Min-Expires.
struct ExpiresVerdict {
    std::uint16_t status = 200;
    std::uint32_t seconds = 0;
};
[[nodiscard]] ExpiresVerdict judge_expires(const Message& subscribe, const NotifierTiming&);

class Notifier {
public:
    // Behind the 2xx to an initial SUBSCRIBE. With 0 seconds it is a poll: one NOTIFY, when
    // change() is called or after a short wait.
    Notifier(const NotifierTiming& timing, bool approved)
        : timing_(&timing), state_(approved ? NotifierState::kActive : NotifierState::kPending) {}
    [[nodiscard]] NotifierActions start(std::uint32_t seconds, Instant now);
    // Instead of start(): it goes on after a restart, and tells nothing until there is news.
    void resume(Instant expires_at) { expires_at_ = expires_at; }

    // Behind the 2xx to a SUBSCRIBE in the dialog. When it is kTerminated answer 481 instead.
    [[nodiscard]] NotifierActions on_subscribe(std::uint32_t seconds, Instant now);
    [[nodiscard]] NotifierActions approve(Instant now);
    // `urgent`: not held back (PRES-19).
    [[nodiscard]] NotifierActions change(bool urgent, Instant now);
    // `reason`: a literal of RFC 6665 4.1.3; 0: no retry-after.
    [[nodiscard]] NotifierActions end(const char* reason, std::uint32_t retry_after, Instant now);

    // The end of the NOTIFY under way.
    [[nodiscard]] NotifierActions on_answer(const Answer&, Instant now);
    [[nodiscard]] NotifierActions on_no_answer(Instant now);
    [[nodiscard]] NotifierActions on_time(Instant now);

    [[nodiscard]] Instant deadline() const;
    [[nodiscard]] NotifierState state() const { return state_; }
    // Value of Subscription-State: "active;expires=600", "terminated;reason=timeout".
    void write_state(Sink&, Instant now) const;

private:
    [[nodiscard]] NotifierActions step(NotifierEvent, Instant now);
    [[nodiscard]] NotifierActions send_if_due(Instant now);

    const NotifierTiming* timing_;
    Instant expires_at_ = kNever;
    Instant send_at_ = kNever;  // there is something to send, not before then
    Instant held_until_ = Instant::min();
    const char* reason_ = "timeout";
    std::uint32_t retry_after_ = 0;
    NotifierState state_;
    std::uint8_t failures_ = 0;  // of NOTIFYs, since one was taken
    bool under_way_ = false;     // a NOTIFY
    bool fetch_ = false;
};

}  // namespace fedgate::sip
