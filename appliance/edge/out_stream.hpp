// Our stanzas to one partner: the stream of one domain pair (S2S-20: one at most), what waits for
// it (DNS-9), and what was written and is not acknowledged yet. Every stanza that comes in with a
// ticket has its fate told: written, failed, or, when the stream breaks, in doubt. Acknowledged: by
// XEP-0198 where the partner has it (S2S-16); else a ping (XEP-0199) follows the stanzas, and since
// servers handle a stream in order, its answer says that what went before it has arrived. Where the
// partner lets a session be resumed, what a broken connection left unacknowledged is kept, and
// goes on on the next one (out_stream_resume.cpp); only when that fails it is in doubt. Owner:
// the Edge of shard hash(pair) % shards. Thread: that shard's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "appliance/edge/carriers.hpp"
#include "appliance/edge/context.hpp"
#include "appliance/edge/initiator.hpp"
#include "appliance/edge/verification.hpp"
#include "appliance/link/link.hpp"
#include "core/base/fifo.hpp"

namespace fedgate::edge {

class OutStream;

constexpr Duration kAnswersToldEvery = std::chrono::seconds(1);

struct Asker {  // who wants to know about a dialback key
    std::uint32_t shard = 0;
    std::uint64_t number = 0;
};

class OutStreamOwner {
public:
    // DB-5. Nothing: the stream has ended.
    virtual void on_answer(const Asker&, std::optional<xml::Verdict>) = 0;
    virtual void on_fate(const link::Outcome&) = 0;
    // S2S-15: as Carriers has them.
    [[nodiscard]] virtual bool carry(const Carrier&, Bytes our, Bytes their, Bytes stanza,
                                     std::uint64_t position) = 0;
    virtual void fail_carrier(const Carrier&) = 0;
    // Our answers to the partner wait, so many that what it asks is to be read no more; told again
    // each kAnswersToldEvery. False: read on.
    virtual void on_answers(const OutStream&, bool wait) = 0;
    virtual void on_news(const OutStream&, link::PartnerNews::Kind, link::Fault) = 0;

protected:
    ~OutStreamOwner() = default;
};

class OutStream final : InitiatorOwner, TimerOwner {
public:
    OutStream(Context&, OutStreamOwner&, std::string our, std::string their);

    // Takes the stanza or tells its failure.
    void send(link::Ticket, Bytes stanza);
    // Their answer to our ping `number` has come in, on a stream of theirs.
    void on_pong(std::uint64_t number) override;
    // S2S-15: a stream of theirs can carry ours. It does so where no stream of our own stands; and
    // if it goes, one is opened when there is something to send.
    void on_carrier_up(const Carrier&, xml::Proof, const xml::StreamLimits&);
    void on_carrier_left(const Carrier&, std::uint64_t position);
    void on_carrier_gone(const Carrier&);
    // DB-5: on the stream that stands. on_answer() follows, at once or later. False: it can't be
    // asked here.
    [[nodiscard]] bool ask(const Question&, const Asker&);
    // He has come to us: what kept us from trying may be over.
    void on_partner_seen();
    // Something of the partner's is silent: is it there? Its answer comes in where it was missed.
    void ping();
    // Flushes what waits, then closes; nothing new is taken.
    void drain();
    // The rules have changed: ends a stream that they no longer allow.
    void recheck();
    void recheck_proof();  // as InStream's

    // Nothing waits, no stream stands, and no refusal has to be remembered.
    [[nodiscard]] bool idle() const;
    [[nodiscard]] Instant retry_at() const { return retry_at_; }  // not before then
    // Nor which of its servers has failed (DNS-8): it may be destroyed.
    [[nodiscard]] bool forgettable() const;
    [[nodiscard]] bool drained() const {
        return !initiator_started_ && waiting_.empty() && !carried();
    }
    [[nodiscard]] bool carried() const { return carrier_.has_value(); }
    [[nodiscard]] const std::string& our() const { return our_; }
    [[nodiscard]] const std::string& their() const { return their_; }
    [[nodiscard]] const net::Connection* connection() const { return initiator_.connection(); }
    [[nodiscard]] const xml::Stream* stream() const { return stream_; }
    [[nodiscard]] const char* state_name() const;
    [[nodiscard]] xml::Proof proof() const { return proof_; }
    [[nodiscard]] Instant since() const { return since_; }
    [[nodiscard]] std::size_t waiting_count() const { return waiting_.size(); }

private:
    struct Waiting {
        link::Ticket ticket;
        Instant until;
        std::string stanza;
    };

    struct Written {
        link::Ticket ticket;
        Instant at;         // on this stream
        Instant doubt_at;   // what has a ticket is in doubt then
        std::uint64_t end;  // of it, in all the bytes of stanzas on this stream
        // The stanza, where it has to be written again if the stream breaks: it has no ticket, or
        // the session can be resumed. Empty: nobody wants that (any more).
        std::string again;
    };
    struct Resumption {
        xml::Session session;
        Instant until;
        bool granted = false;
    };
    struct Ping {
        std::uint64_t number;
        std::uint64_t covers;  // stanzas written before it, since the stream began
    };

    struct Asked {
        Asker asker;
        std::string id;
    };

    struct Spare {
        Carrier carrier;
        xml::Proof proof;
        xml::StreamLimits limits;
    };

    void on_action(const xml::Action&) override;
    [[nodiscard]] bool answers_wait() override;
    void on_received(const xml::Action&) override;
    void on_room() override { flush(); }
    void on_over(link::Fault, bool permanent, Instant retry_at) override;
    void on_timer(Timer&) override;

    // Ours can be written: a stream of our own stands, or one of theirs carries.
    [[nodiscard]] bool up() const { return stream_ != nullptr || carrier_; }
    [[nodiscard]] bool counted() const { return stream_ != nullptr && stream_->acknowledges(); }
    [[nodiscard]] const xml::StreamLimits& limits() const {
        return stream_ != nullptr ? stream_->limits() : carrier_limits_;
    }
    [[nodiscard]] Duration wait_max(link::Ticket, Bytes stanza) const;
    void tell_answer(const xml::Action&);
    void begin(xml::Proof);
    [[nodiscard]] bool write(link::Ticket, Bytes stanza);
    void flush();
    void close_if_drained();
    void acknowledge(std::size_t count);
    void ask_for_acknowledgement();
    // It went out to the network, whatever became of it there.
    [[nodiscard]] bool has_left(const Written&) const;
    void send_ping();
    void keep_alive();
    void expire();
    void try_again();
    [[nodiscard]] Instant retry_at_after(link::Fault, Instant not_before) const;
    void tell_doubts(link::Fault);
    void fail_waiting(link::Fault, bool answers_too);
    void refuse(link::Ticket, link::Fault);
    [[nodiscard]] bool may_wait(link::Ticket, Bytes stanza, std::size_t more) const;
    void enqueue(link::Ticket, std::string stanza);
    void has_left_queue(const Waiting&);
    void look_at_answers();
    [[nodiscard]] bool is_being_proved() const;
    [[nodiscard]] bool must_answer_pings() const;
    void start();
    void arm();

    // out_stream_carried.cpp
    [[nodiscard]] bool put(Bytes stanza, std::uint64_t position);
    [[nodiscard]] bool may_take_carrier() const;
    void take_carrier();
    void lose_carrier(link::Fault);
    void watch_carrier();
    void give_up();

    // out_stream_resume.cpp
    [[nodiscard]] bool has_room_to_keep(std::size_t bytes);
    [[nodiscard]] std::size_t kept_bytes_max() const;
    void ask_in_time(std::size_t bytes);
    void keep_session(const xml::Session&);
    void resume_soon();
    void on_resumed();
    void send_again();
    void give_up_session(link::Fault);
    void expire_doubts();
    void doubt(Written&, link::Fault);

    Context& context_;
    OutStreamOwner& owner_;
    const std::string our_;
    const std::string their_;
    Initiator initiator_;
    xml::Stream* stream_ = nullptr;   // once the pair was proved
    std::optional<Carrier> carrier_;  // in use, and then no stream of our own stands
    std::optional<Spare> spare_;      // the newest one that is not in use
    xml::StreamLimits carrier_limits_;
    std::uint64_t carrier_left_ = 0;  // as written_bytes_: what has gone to the network
    Fifo<Waiting> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::size_t answers_ = 0;  // among them
    std::size_t answers_bytes_ = 0;
    Instant answers_told_at_ = kNever;  // that they wait
    Fifo<Written> unacknowledged_;
    std::size_t kept_bytes_ = 0;            // of them
    std::size_t unasked_bytes_ = 0;         // kept since they were last asked for
    std::optional<Resumption> resumption_;  // what is unacknowledged waits for it
    unsigned barren_ = 0;                   // connections that broke since the last progress
    std::vector<Asked> asked_;              // at most limits::kStreamQuestions
    Fifo<Ping> pings_;
    std::uint64_t written_count_ = 0;  // on this stream
    std::uint64_t acknowledged_count_ = 0;
    std::uint64_t written_bytes_ = 0;  // the same stanzas
    std::uint64_t next_ping_ = 1;
    Timer timer_;
    Instant since_{};  // when the pair was proved
    Instant last_stanza_{};
    Instant last_space_{};
    Instant heard_at_{};          // S2S-17: when the partner last gave a sign
    Instant pinged_at_ = kNever;  // since then
    Instant acknowledgement_at_ = kNever;
    Instant retry_at_{};
    Instant begun_at_{};  // the last attempt
    Instant over_at_{};   // the last stream, or the last attempt
    Instant drain_until_ = kNever;
    link::Fault last_fault_ = link::Fault::kNone;
    std::uint32_t failures_ = 0;  // in a row
    xml::Proof proof_ = xml::Proof::kDialbackClear;
    bool permanent_ = false;       // what last_fault_ says will hold for a while
    bool lost_with_many_ = false;  // retry_at_ is its turn among them
    bool answers_pings_ = false;   // it has done so once
    bool ping_wanted_ = false;     // as soon as a stream stands
    bool initiator_started_ = false;
    bool draining_ = false;
};

}  // namespace fedgate::edge
