// The link: the door between edge and gateway. In one process it is a function call (across shards:
// a mailbox record) with this interface; between machines it is an acknowledged stream on 23456
// with the same one at both ends. Views are valid for the call only. Thread: the shard's.
#pragma once

#include <cstdint>

#include "core/base/bytes.hpp"
#include "core/base/rendezvous.hpp"
#include "core/base/time.hpp"

namespace fedgate::xml {
struct Stanza;
}

namespace fedgate::link {

// How the domain of a stanza's sender was proved on the stream that brought it.
enum class Proof : std::uint8_t { kCertificate, kDialbackTls, kDialbackClear };

struct FromPartner {
    Bytes from_domain;  // verified; A-label, lower case
    Proof proof;
    Bytes stanza;                       // one whole, well-formed first-level element, as received
    const xml::Stanza* view = nullptr;  // of `stanza`, where it has been read already
};

// Names one stanza given to the edge, so that its fate can be told. The upper 16 bits are the
// number of the shard that asked, the lower 48 are the gateway's own.
using Ticket = std::uint64_t;
constexpr Ticket make_ticket(std::uint32_t shard, std::uint64_t own) {
    return (static_cast<Ticket>(shard) << 48) | (own & ((Ticket{1} << 48) - 1));
}
constexpr std::uint32_t shard_of(Ticket ticket) { return static_cast<std::uint32_t>(ticket >> 48); }
constexpr std::uint64_t own_part(Ticket ticket) { return ticket & ((Ticket{1} << 48) - 1); }

// Tickets of stanzas whose fate nobody asks for. 0: an answer. It waits for a stream, and what a
// broken one may not have delivered is said again. kOnce: it waits as well, but is lost rather than
// said twice. kForNow: it does not even wait longer than what has a ticket.
constexpr Ticket kForNow = ~Ticket{0};
constexpr Ticket kOnce = kForNow - 1;
constexpr bool is_asked(Ticket ticket) { return ticket != 0 && ticket < kOnce; }
constexpr bool may_wait_long(Ticket ticket) { return ticket == 0 || ticket == kOnce; }

// Kinds of the records between shards (core/run/shard): the edge's below 16, the gateway's from 16
// on.
enum class RecordKind : std::uint32_t {
    kToPartner = 1,
    kOutcome = 2,
    kPong = 3,
    kPing = 4,
    kSession = 5,
    kCarrier = 6,
    kAnswersWait = 7,
    kQuestion = 8,
    kQuestionAnswer = 9,
    kSessionMark = 10,
    kPartnerNews = 11,
    kGivesWay = 12,
    kFromPartner = 13,
    kFirstOfGateway = 16
};

struct ToPartner {
    Ticket ticket;
    Bytes our_domain;    // A-label, lower case: domain of the stanza's `from`
    Bytes their_domain;  // of its `to`
    Bytes stanza;
};

// Why a stanza did not reach the partner; rows ERR-40..ERR-46 and S2S-66 of the interworking rules.
enum class Fault : std::uint8_t {
    kNone,
    kNoSuchDomain,   // ERR-40, also ERR-43: remote host-unknown
    kUnreachable,    // ERR-41
    kNotTrusted,     // ERR-42
    kRemoteDenied,   // ERR-44
    kRemoteFailing,  // ERR-45
    kBlocked,        // ERR-46: our policy
    kQueueFull,      // ERR-45, local bound
    kExpired,        // waited too long for a stream
    kTooLong,        // the partner has said that it refuses stanzas of this size (XEP-0478)
};

enum class Fate : std::uint8_t {
    kWritten,       // given to an authenticated stream; kAcknowledged or kInDoubt follows if
                    // `acknowledges`
    kAcknowledged,  // XEP-0198: the partner has it
    kInDoubt,       // written, and the stream broke before an acknowledgement
    kFailed,        // not written: see fault
};

struct Outcome {
    Ticket ticket;
    Fate fate;
    Fault fault = Fault::kNone;
    bool acknowledges =
        false;  // with kWritten: the stream has XEP-0198, one more outcome will come
};

// The way to a partner: what has become of it, for those who want to know whether they have a
// stanza for him or not. A stream that was closed in order, for idleness as a rule, is no news.
struct PartnerNews {
    enum class Kind : std::uint8_t {
        kUp,     // a stream stands
        kBroke,  // it has broken; whether he can be reached is not known
        kDown,   // none could be set up
        kSeen,   // he has set up one to us: worth a trial now
    };
    Kind kind;
    Fault fault = Fault::kNone;
    Bytes our_domain;
    Bytes their_domain;
    Bytes why{};  // kDown: a sentence for people, without a full stop; may be empty
};

// Where there are several gateways: a SIP request outside a dialog that came to one of them, for
// the one that has its conversation (core/base/rendezvous.hpp). The edge, who knows which one that
// is, takes it there and does not look into it.
struct Request {
    Ticket ticket;
    std::uint64_t conversation;
    Bytes bytes;  // the whole request
};

// What that one says to it, for whoever asked.
struct Answer {
    enum class Kind : std::uint8_t {
        kAnswered,
        kLost,  // it has gone: it may have acted on the request
    };
    Ticket ticket;
    Kind kind;
    std::uint16_t status = 0;       // of the final response, as all that follows
    std::uint16_t retry_after = 0;  // seconds; 0: none
    Bytes to_tag{};
    Bytes reason{};
    Bytes headers{};  // whole lines; of a body the last one is its type
    Bytes body{};

    // As whoever has another ticket for it is told.
    [[nodiscard]] Answer as(Ticket theirs) const {
        Answer told = *this;
        told.ticket = theirs;
        return told;
    }
};
// There is no room for the request now; its sender may try again, or elsewhere.
constexpr Answer busy(Ticket ticket) {
    return {ticket, Answer::Kind::kAnswered, 503, 1, {}, {}, {}};
}
// Nobody may ask here.
constexpr Answer refused(Ticket ticket) {
    return {ticket, Answer::Kind::kAnswered, 403, 0, {}, {}, {}};
}

// The gateway as the edge sees it.
class GatewayDoor {
public:
    // False: no room now. The edge stops reading that stream and tries again (back-pressure).
    [[nodiscard]] virtual bool take_stanza(const FromPartner&) = 0;
    virtual void on_outcome(const Outcome&) = 0;
    // On every shard; where a mailbox has no room it is left out: ask him, if it matters.
    virtual void on_partner(const PartnerNews&) {}
    // An edge gives us what is ours again: what partners sent meanwhile went to other gateways.
    virtual void on_edge_back() {}
    // Whether another gateway is known to be at the pool's store.
    virtual void on_others_hold(bool) {}
    // Of another gateway: one answer follows, unless it returns false: no room now.
    [[nodiscard]] virtual bool take_request(const Request&) { return false; }
    virtual void on_answer(const Answer&) {}

protected:
    ~GatewayDoor() = default;
};

// A stanza with a ticket has its first fate within this time.
constexpr Duration kFateWithin = std::chrono::milliseconds(7'500);
// And what was written is acknowledged or in doubt within this time, while its sender can be told.
constexpr Duration kDoubtWithin = std::chrono::seconds(50);
// Who was let believe that a message of his arrives, and learns that it has not: so long is that
// kept while his side can't be reached. Then it is logged and counted.
constexpr Duration kLateNewsKept = std::chrono::minutes(10);

// The edge as the gateway sees it. Unless it returns false, one outcome at least follows for a
// ticket that is asked with; it may come before the call returns.
class EdgeDoor {
public:
    [[nodiscard]] virtual bool take_stanza(const ToPartner&) = 0;
    // There are other gateways; and one of them has this conversation.
    [[nodiscard]] virtual bool has_others() const { return false; }
    [[nodiscard]] virtual bool is_anothers(std::uint64_t conversation) const {
        static_cast<void>(conversation);
        return false;
    }
    // How this gateway stands to the pool's store, so that what others have is not given to it. Not
    // called: the gateways share none.
    virtual void set_tenure(Tenure) {}
    // Asks it. Unless it returns false, one answer follows.
    [[nodiscard]] virtual bool ask(const Request&) { return false; }
    virtual void answer(const Answer&) {}

protected:
    ~EdgeDoor() = default;
};

}  // namespace fedgate::link
