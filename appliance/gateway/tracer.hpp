// What passes through the gateway of one shard on both legs, told to an administrator who has asked
// for it (features.md Q5): stanzas from and to partners, SIP messages, and what became of them.
// Never a body. Off nearly always: then each message pays one branch.
// Owner: the engine. Thread: the shard's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "appliance/gateway/address.hpp"
#include "appliance/link/link.hpp"
#include "core/base/bytes.hpp"
#include "core/base/time.hpp"
#include "core/run/loop.hpp"
#include "sip/message.hpp"
#include "xml/scope.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {

// Rows that nobody has fetched; more are counted, and not kept.
constexpr std::size_t kTraceRows = 4'096;
// Of those given to the edge, whose fate is told.
constexpr std::size_t kTraceTickets = 256;
constexpr std::size_t kTraceTextBytes = 512;  // of each text in a row

// Whose messages. One of the two is set.
struct TraceFilter {
    std::string partner;  // domain, A-label; empty: all
    std::string user;     // bare JID or SIP address, without scheme; empty: all
};

struct TraceRow {
    Instant at{};
    bool xmpp = false;  // else SIP
    bool in = false;    // to us
    std::string from;   // JIDs, or addresses of SIP without their scheme
    std::string to;
    std::string what;       // `message chat`, `MESSAGE`, `404 Not Found`, `acknowledged`
    std::string stanza_id;  // where it is known, on both legs
    std::string call_id;
    std::uint32_t cseq = 0;
    std::string peer;  // `tcp 192.0.2.1:5060`, or the partner's domain and how it was proved
    std::string note;  // `body (12 bytes)`, `text/plain (12 bytes)`
};

struct TraceTaken {
    std::vector<TraceRow> rows;
    std::uint64_t missed = 0;  // since the last one: there was no room
    Instant now{};
};

class Tracer {
public:
    explicit Tracer(Loop& loop) : loop_(loop) {}

    [[nodiscard]] bool on() const { return state_ != nullptr; }
    // For that time at most.
    void start(const TraceFilter&, Duration);
    void stop() { state_.reset(); }
    [[nodiscard]] TraceTaken take();

    // Each of these: only if on(). `again`: told already, by the shard that it came in on.
    void stanza_in(const link::FromPartner&, bool again);
    void stanza_out(const link::ToPartner&);
    void outcome(const link::Outcome&);
    // Of the stanza or request that was told of last.
    void remark(Bytes what, Bytes note);
    void sip_in(const sip::Message&, Bytes transport, Bytes address);
    // `stanza_id`: of the stanza that it was made of, or empty.
    void sip_out(Bytes message, Bytes transport, Bytes address, Bytes stanza_id, Bytes note = {});
    // A request of ours has ended without an answer.
    void sip_ended(Bytes request, Bytes stanza_id, Bytes why);

private:
    struct Ticket {
        link::Ticket ticket;
        std::string from, to, stanza_id, peer;
    };
    struct State {
        TraceFilter filter;
        Instant until{};
        std::vector<TraceRow> rows;
        std::uint64_t missed = 0;
        std::vector<Ticket> tickets;  // a ring
        std::size_t next_ticket = 0;
        TraceRow last;  // addresses and ids of what is under way; empty `from`: of nobody's
        xml::StreamScope scope;
        sip::Message message;
        std::vector<char> memory;
    };

    // Still on?
    [[nodiscard]] bool is_due();
    [[nodiscard]] bool wanted(const AddressView& one, const AddressView& other) const;
    [[nodiscard]] bool read(Bytes stanza, TraceRow&);
    [[nodiscard]] bool read(const sip::Message&, TraceRow&);
    void add(TraceRow);

    Loop& loop_;
    std::unique_ptr<State> state_;
};

}  // namespace fedgate::gateway
