// The four transaction machines of RFC 3261 section 17 with RFC 6026 (Accepted state) and RFC 4320
// (non-INVITE), and the CANCEL of section 9. Pure and small: events and the present time in,
// actions and the next deadline out. The bytes of the stored request or response are the owner's.
// Tables: transaction_tables.hpp.
//
// Owner's loop: do what the returned Actions say, in the order of the bits, then put deadline() on
// a timer and call on_time(now) when it has come. After kTerminated the object is done with.
#pragma once

#include <cstdint>

#include "core/base/time.hpp"

namespace fedgate::sip {

enum class TransactionKind : std::uint8_t {
    kClientInvite,
    kClientOther,
    kServerInvite,
    kServerOther
};

enum class TransactionState : std::uint8_t {
    kCalling,  // client INVITE
    kTrying,   // non-INVITE, both sides
    kProceeding,
    kCompleted,
    kConfirmed,  // server INVITE
    kAccepted,   // INVITE, RFC 6026
    kTerminated,
    kCount
};

enum class TransactionEvent : std::uint8_t {
    // Client: a response of that class came in.
    kProvisional,  // 1xx
    kSuccess,      // 2xx
    kFailure,      // 3xx-6xx
    // Server: the request came again, or its ACK; or the owner has a response (stored before the
    // call).
    kRequestAgain,
    kAck,  // of a failure by its branch; of a 2xx by its dialog and CSeq
    kSendProvisional,
    kSendSuccess,
    kSendFailure,
    kCancel,  // client INVITE: the user wants it no more (ringing has no end of its own)
    // Both.
    kTransportError,
    // Timers; from on_time() only.
    kRetransmit,  // A, E, G; server INVITE: the 2xx until its ACK
    kTimeout,     // B, F, H; 64*T1 without an answer, an ACK, or the end of what was cancelled
    kLinger,      // D, I, J, K, L, M
    kAnswerDue,   // server INVITE: 200 ms without a response (SIP-19); non-INVITE: 8 s (SIP-12)
    kCount
};

// Bits; the owner does them from the lowest up.
enum class Actions : std::uint16_t {
    kNone = 0,
    kSend = 1,            // client: the request; server: the last response that was given
    kSendAck = 2,         // client INVITE: the ACK of a failure response (write_ack)
    kPassUp = 4,          // the message is for the user
    kSendTrying = 8,      // server INVITE: make and store a 100
    kAnswerNow = 16,      // server non-INVITE: it is time for a final response (SIP-12)
    kSendCancel = 32,     // client INVITE: a CANCEL (write_cancel), a transaction of its own
    kReportTimeout = 64,  // client: nothing came; server INVITE: no ACK came (to a 2xx: send BYE)
    kReportTransport = 128,
    kTerminated = 256,
};
constexpr Actions operator|(Actions a, Actions b) {
    return static_cast<Actions>(static_cast<std::uint16_t>(a) | static_cast<std::uint16_t>(b));
}
constexpr bool has(Actions set, Actions one) {
    return (static_cast<std::uint16_t>(set) & static_cast<std::uint16_t>(one)) != 0;
}

struct TransactionTiming {  // SIP-10; settings
    Duration t1 = 500ms;
    Duration t2 = 4s;
    Duration t4 = 5s;
    Duration trying_after = 200ms;  // SIP-19
    Duration answer_within = 8s;    // SIP-12
    [[nodiscard]] constexpr Duration timeout() const { return t1 * 64; }
};

class Transaction {
public:
    // `reliable`: TCP or TLS. The timing must outlive the object.
    Transaction(TransactionKind kind, const TransactionTiming& timing, bool reliable);

    // Call once. Client: kSend. Server: kPassUp.
    [[nodiscard]] Actions start(Instant now);
    // A pair of state and event that is not in the tables does nothing.
    [[nodiscard]] Actions step(TransactionEvent, Instant now);
    // Handles one timer that is due (the weightiest first); kNone when none is. Call while
    // deadline() <= now.
    [[nodiscard]] Actions on_time(Instant now);

    [[nodiscard]] Instant deadline() const;  // kNever: none
    [[nodiscard]] TransactionState state() const { return state_; }
    [[nodiscard]] TransactionKind kind() const { return kind_; }
    [[nodiscard]] bool reliable() const { return reliable_; }

private:
    void enter(TransactionState, Instant now);

    const TransactionTiming* timing_;
    Instant retransmit_at_ = kNever;
    Instant timeout_at_ = kNever;
    Instant linger_at_ = kNever;
    Instant answer_at_ = kNever;
    Duration interval_{};
    TransactionKind kind_;
    TransactionState state_;
    bool reliable_;
    bool responded_ = false;  // server INVITE: there is a response to send again
    bool cancelled_ = false;  // client INVITE
};

// SIP-19, RFC 3261 9.2: what a CANCEL does to the server transaction of the same branch and sent-by
// (find_cancelled() of transaction_key.hpp), or null.
struct CancelVerdict {
    std::uint16_t status = 481;  // the answer to the CANCEL, with the To tag of the other's answer
    bool end_invite = false;     // answer that one with 487
};
[[nodiscard]] CancelVerdict judge_cancel(const Transaction*);

// The event of a response by its status: 1xx, 2xx, 3xx-6xx, for clients and for servers.
[[nodiscard]] TransactionEvent received_event(std::uint16_t status);
[[nodiscard]] TransactionEvent sending_event(std::uint16_t status);

}  // namespace fedgate::sip
