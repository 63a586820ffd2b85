// One MSRP session of ours with one peer: RFC 4975 5 and 7, as RFC 7573 uses it. Pure: what the
// framer found and the present time in; bytes into a Sink, actions and the next deadline out. The
// connection, and which session a request on it is for (its To-Path tells), are the owner's.
//
// Owner's loop: do what the returned actions say, in the order of the bits; when kEnd was among
// them, or the session ends otherwise, take_failed() until it says no. Put deadline() on a timer
// and call on_time(now) while it has come.
//
// Owner: the shard's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/limits.hpp"
#include "core/base/time.hpp"
#include "sip/msrp_framer.hpp"
#include "sip/msrp_writer.hpp"

namespace fedgate::sip {

// RFC 4975 5.4: the offerer connects (kActive) and says so with an empty SEND.
enum class MsrpRole : std::uint8_t { kActive, kPassive };

enum class MsrpState : std::uint8_t {
    kConnecting,  // kActive: no connection yet
    kWaiting,     // kPassive: nothing came for it yet
    kBinding,     // kActive: the empty SEND is on its way
    kBound,
    kOver,
    kCount
};

enum class MsrpEvent : std::uint8_t {
    kConnected,
    kRequest,   // one that is for it
    kAccepted,  // 200 to the empty SEND
    kRefused,   // an answer that ends it
    kTimeout,
    kLost,  // its connection
    kEnd,   // the owner's
    kCount
};

enum class MsrpActions : std::uint8_t {  // bits
    kNone = 0,
    kBound = 1,      // messages may be sent
    kMessage = 2,    // content() has come, whole
    kDropped = 4,    // one that came in part comes to nothing; its sender was told, or said so
    kDelivered = 8,  // outcome(): the peer reports success (RCPT-3)
    kFailed = 16,    // outcome(): the peer does not take it, or it was lost behind kAccepted
    kEnd = 32,       // the session is over: BYE
    // outcome(): 200 to all its chunks. Only where all answers are asked for.
    kAccepted = 64,
};
constexpr MsrpActions operator|(MsrpActions a, MsrpActions b) {
    return static_cast<MsrpActions>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
constexpr bool has(MsrpActions set, MsrpActions one) {
    return (static_cast<std::uint8_t>(set) & static_cast<std::uint8_t>(one)) != 0;
}

// What comes in pieces, of all sessions of a shard.
struct MsrpMemory {
    std::size_t bytes_max = 0;  // at the bound: 413
    std::size_t bytes = 0;
    // The last message that became whole.
    std::string message_id{};
    std::string content_type{};
    std::string body{};
};

struct MsrpTerms {  // settings; the texts and the memory must outlive the sessions
    Bytes accept_types = "text/plain application/im-iscomposing+xml";  // as in a=accept-types
    std::size_t size_max = 0;                                          // a=max-size: ours
    MsrpFailureReport failure_report = MsrpFailureReport::kNo;         // SESS-24
    Duration transaction_timeout = 30s;                                // RFC 4975 7.1
    Duration bind_timeout = 30s;
    Duration partial_timeout = 60s;  // from its first piece to its last
    Duration report_timeout = 300s;  // then it is not waited for any longer
    // From the 200 on, where all answers are asked for: a relay behind the peer that has none waits
    // for transaction_timeout before it reports that (RFC 4975 7.1.2), and so may one behind it.
    Duration failure_timeout = 60s;
    MsrpMemory* memory = nullptr;
};

struct MsrpPeer {
    MsrpRole role = MsrpRole::kPassive;
    Bytes our_path{};
    Bytes their_path{};          // of their a=path: its URIs can be read
    std::uint64_t size_max = 0;  // their a=max-size; 0: none
    std::uint64_t seed = 0;      // random: of the ids that we make
};

struct MsrpContent {  // valid until the next call of any session of the shard
    Bytes message_id;
    Bytes content_type;
    Bytes body;
    bool success_report = false;  // wanted: RCPT-4
};

struct MsrpOutgoing {
    std::uint64_t tag = 0;  // the owner's word for it in outcomes; 0: nobody asks
    Bytes transaction{};    // to be used if it can be (SESS-22); empty: any
    Bytes content_type;
    Bytes body;
    bool success_report = false;  // RCPT-1
};

struct MsrpOutcome {
    std::uint64_t tag = 0;
    std::uint16_t status = 0;  // 408: no answer, or the session ended first
};

enum class MsrpSent : std::uint8_t {
    kSent,
    kNotBound,
    kFull,     // the Sink, or too many without an answer: again later
    kTooLong,  // for the peer: policy-violation
};

class MsrpSession {
public:
    // Our path is one URI; both can be read (parse_msrp_path). The terms must outlive it.
    MsrpSession(const MsrpTerms&, const MsrpPeer&, Instant now);
    ~MsrpSession();
    MsrpSession(const MsrpSession&) = delete;
    MsrpSession& operator=(const MsrpSession&) = delete;

    // Answers go into the Sink, which has room for kMsrpAnswerBytes.
    [[nodiscard]] MsrpActions on_connected(Instant, Sink&);
    [[nodiscard]] MsrpActions on_message(const MsrpMessage&, Instant, Sink&);
    // The framer refused it, without `close`.
    [[nodiscard]] MsrpActions on_refused(const MsrpMessage&, MsrpFault, Sink&);
    [[nodiscard]] MsrpActions on_lost();
    [[nodiscard]] MsrpActions on_time(Instant);
    [[nodiscard]] MsrpActions end();

    // All of it, in chunks (SESS-22), or nothing.
    [[nodiscard]] MsrpSent send(const MsrpOutgoing&, Instant, Sink&);
    // RCPT-2: what came whole reached its reader; or, with another status, did not after all.
    // False: the Sink is full.
    [[nodiscard]] bool report(Bytes message_id, std::uint64_t size, Sink&,
                              std::uint16_t status = 200);

    // Messages of ours that are not known to have arrived, when it is over. False: no more.
    [[nodiscard]] bool take_failed(MsrpOutcome&);
    // Is there an outcome to come?
    [[nodiscard]] bool awaits(std::uint64_t tag) const;

    [[nodiscard]] Instant deadline() const;
    [[nodiscard]] MsrpState state() const { return state_; }
    [[nodiscard]] const MsrpContent& content() const { return content_; }
    [[nodiscard]] MsrpOutcome outcome() const { return outcome_; }
    [[nodiscard]] Bytes our_path() const { return our_path_; }
    [[nodiscard]] Bytes their_path() const { return their_path_; }

private:
    static constexpr std::size_t kSentIdBytes = 24;  // and for each chunk its number behind it

    struct Piece {  // of a message, by the numbers of its bytes
        std::uint32_t first = 0;
        std::uint32_t last = 0;
    };
    struct Partial {
        std::string message_id;
        std::string content_type;
        std::string body;
        std::array<Piece, limits::kMsrpPieces> pieces;
        std::size_t piece_count = 0;
        std::optional<std::uint64_t> size;  // told by the chunk that ends it
        Instant expires_at{};
        bool success_report = false;
    };
    struct Unsettled {
        std::uint64_t tag = 0;
        std::uint64_t number = 0;  // of its Message-ID
        std::uint64_t size = 0;
        std::uint64_t reported = 0;  // bytes from the first on
        Instant answer_by{};
        Instant report_by{};
        std::uint32_t unanswered = 0;  // chunks
        std::uint8_t id_size = 0;
        std::array<char, kSentIdBytes> id;
        bool wants_report = false;
        [[nodiscard]] Bytes transaction() const { return {id.data(), id_size}; }
        // It was answered 200, and nobody asks but for a failure behind that.
        [[nodiscard]] bool may_fail() const { return answer_by == kNever && !wants_report; }
    };

    [[nodiscard]] MsrpActions step(MsrpEvent);
    [[nodiscard]] bool is_for_us(const MsrpMessage&) const;
    [[nodiscard]] MsrpActions on_send(const MsrpMessage&, Instant, Sink&);
    [[nodiscard]] MsrpActions on_report(const MsrpMessage&);
    [[nodiscard]] MsrpActions on_response(const MsrpMessage&, Instant);
    void keep_for_failure(std::size_t index, Instant);
    [[nodiscard]] MsrpActions fail(std::size_t index, std::uint16_t status);
    void settle(std::size_t index);
    [[nodiscard]] MsrpActions take_chunk(const MsrpMessage&, Instant, Sink&);
    [[nodiscard]] std::uint16_t add(Partial&, const MsrpMessage&);
    [[nodiscard]] bool grow(Partial&, std::size_t size);
    [[nodiscard]] Partial* find_partial(Bytes message_id);
    [[nodiscard]] MsrpActions refuse(const MsrpMessage&, std::uint16_t status, Sink&);
    [[nodiscard]] bool drop(Bytes message_id);
    void drop(Partial&);
    [[nodiscard]] bool accepts(Bytes content_type) const;
    void write_empty_send(Sink&);
    [[nodiscard]] bool make_room();
    [[nodiscard]] bool is_in_use(Bytes transaction) const;
    void choose_id(const MsrpOutgoing&, Unsettled&);
    void write_chunks(const MsrpOutgoing&, const Unsettled&, Sink&) const;

    const MsrpTerms* terms_;
    std::string our_path_;
    std::string their_path_;
    std::uint64_t size_max_;
    std::uint64_t seed_;
    std::uint64_t next_number_ = 0;
    std::uint64_t bind_number_ = 0;
    Instant bind_by_;
    std::vector<Partial> partials_;
    std::vector<Unsettled> unsettled_;
    MsrpContent content_;
    MsrpOutcome outcome_;
    MsrpState state_;
};

// The answer to a request that no session is there for; 0: none.
[[nodiscard]] std::uint16_t judge_stray(const MsrpMessage&);

}  // namespace fedgate::sip
