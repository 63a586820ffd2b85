// One stream that a partner opened to us: from the accepted connection to its end. It lets nothing
// through that the stream engine has not proved, holds the partner to its rates (S2S-64), and stops
// reading when the gateway has no room (back-pressure).
// Owner: the Edge. Thread: the shard's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "appliance/edge/context.hpp"
#include "appliance/edge/door_guard.hpp"
#include "appliance/edge/intake.hpp"
#include "appliance/link/link.hpp"
#include "core/base/slab.hpp"
#include "net/connection.hpp"

namespace fedgate::edge {

class InStream;

class InStreamOwner {
public:
    // The first pair was proved. No place: over a limit; the stream ends with resource-constraint
    // and this text.
    struct Admission {
        DoorGuard::Place* place = nullptr;
        const char* refusal = "";
    };
    [[nodiscard]] virtual Admission on_authenticated(InStream&, Bytes our, Bytes their) = 0;
    // This pair was proved, as the first one or later.
    virtual void on_seen(Bytes our, Bytes their) = 0;
    virtual void on_verify(InStream&, Bytes our, Bytes their, Bytes id, Bytes key) = 0;
    // CERT-8: dane_found() is wanted for this domain, later. False: it can't be asked now.
    [[nodiscard]] virtual bool on_dane_wanted(InStream&, Bytes their) = 0;
    // An answer to ping `number` of our stream for this pair (OutStream::on_pong).
    virtual void on_pong(Bytes our, Bytes their, std::uint64_t number) = 0;
    // Our answers for this pair wait: no more of its stanzas is to be read for now.
    [[nodiscard]] virtual bool answers_wait(Bytes our, Bytes their) = 0;
    // Nothing has come in for long: a ping on our stream for this pair is wanted, whose answer
    // comes in on this one.
    virtual void on_silence(InStream&) = 0;
    // XEP-0198: its session can be resumed from here on; the peer asks for that of another stream
    // (answer_session() follows); the stream is over, `broken` if nobody has closed it.
    virtual void on_session_begun(InStream&, Bytes id) = 0;
    virtual void on_session_wanted(InStream&, Bytes id) = 0;
    virtual void on_session_ended(InStream&, Bytes id, bool broken) = 0;
    // S2S-15: it can carry ours for this pair; so much of what carry() gave it has left; it can't
    // any more. on_left(): false, if it can't be said now.
    virtual void on_carrying(InStream&, const xml::Stream::Pair&) = 0;
    [[nodiscard]] virtual bool on_left(InStream&, Bytes our, Bytes their,
                                       std::uint64_t position) = 0;
    virtual void on_carried(InStream&, Bytes our, Bytes their) = 0;
    // The connection is gone; destroy it later, not from within this call.
    virtual void on_gone(InStream&) = 0;

protected:
    ~InStreamOwner() = default;
};

class InStream final : net::ConnectionOwner, xml::StreamHost, TimerOwner {
public:
    InStream(Context&, InStreamOwner&, Socket accepted, const SocketAddress& peer, bool direct_tls);

    void set_handle(Handle<InStream> handle) { handle_ = handle; }
    [[nodiscard]] Handle<InStream> handle() const { return handle_; }
    void verified(Bytes our, Bytes their, Bytes id, xml::Verdict);
    void dane_found(const net::DaneQuestion&);
    // False: it is too late.
    [[nodiscard]] bool answer_session(bool granted, std::optional<std::uint32_t> handled);
    // Another stream goes on with its session: it ends. False: it has none (any more).
    [[nodiscard]] bool give_up_session();
    // What it has proved, as Sessions wants it.
    [[nodiscard]] std::string pairs_text() const;
    // Writes a stanza of ours, which ends at `position` of all that its pair has given to this
    // stream. False: it does not carry that pair (any more).
    [[nodiscard]] bool carry(Bytes our, Bytes their, Bytes stanza, std::uint64_t position);
    void close();  // clean
    void fail(xml::StreamError);
    void give_way();  // to a new one of its pair, since this one is dead, as it seems
    void abandon();   // at once, without a word
    // The rules have changed: ends a stream that they no longer allow, and takes their rates.
    void recheck();
    // And so may have what its certificate is believed by; costs more.
    void recheck_proof();

    [[nodiscard]] const net::Connection& connection() const { return connection_; }
    [[nodiscard]] const xml::Stream& stream() const { return stream_; }
    // As given to on_authenticated(); empty before.
    [[nodiscard]] const std::string& our() const { return our_; }
    [[nodiscard]] const std::string& their() const { return their_; }
    [[nodiscard]] const DoorGuard::Place* place() const { return place_; }
    [[nodiscard]] xml::Proof proof() const { return proof_; }
    [[nodiscard]] bool gone() const { return gone_; }
    // What was on its way to us may be lost.
    [[nodiscard]] bool broken() const { return broken_; }
    [[nodiscard]] bool abandoned() const { return abandoned_; }
    [[nodiscard]] Instant since() const { return since_; }

private:
    enum TimerKind : std::uint32_t { kDeadline, kResume, kIdle, kCarry };

    struct Carried {  // a pair whose stanzas go out here
        std::string our;
        std::string their;
        std::uint64_t taken = 0;  // positions
        std::uint64_t left = 0;
    };

    void on_secured(net::Connection&) override;
    std::size_t on_data(net::Connection&, MutableBytes input) override;
    void on_closed(net::Connection&, Error reason) override;
    bool write(Bytes bytes) override { return connection_.write(bytes); }
    xml::Served serves(Bytes our) override { return context_.serves(our); }
    xml::StreamPolicy policy(Bytes our, Bytes their) override;
    xml::Judged judges(Bytes their) override;
    void fill_random(MutableBytes memory) override { context_.loop.fill_random(memory); }
    void on_timer(Timer&) override;

    std::size_t pump(Bytes input);
    void act(const xml::Action&);
    void on_pair(const xml::Action&);
    [[nodiscard]] bool is_good(Bytes our, Bytes their, xml::Proof proof) {
        return policy(our, their).accepts(proof);
    }
    [[nodiscard]] xml::Judged judge(Bytes their);
    [[nodiscard]] const net::DaneQuestion* find_dane(Bytes their) const;
    [[nodiscard]] bool want_dane(Bytes their);
    [[nodiscard]] bool may_carry(Bytes their);
    [[nodiscard]] bool proves_still();
    [[nodiscard]] bool on_stanza(const xml::Action&);
    void watch();
    void offer_carriage();
    void watch_carried();
    void recheck_carried();
    void stop_carrying(Bytes their = {});  // empty: none at all
    void on_stream_end(const xml::StreamEnd&);
    void hold_until(Instant);
    void read_on();
    void end_session(bool broken);

    Context& context_;
    InStreamOwner& owner_;
    net::Connection connection_;
    xml::Stream stream_;
    Timer deadline_;
    Timer resume_;
    Timer idle_;
    Timer carry_;
    Intake intake_;
    std::vector<Carried> carried_;         // at most limits::kStreamPairs
    std::vector<net::DaneQuestion> dane_;  // CERT-8: answered; at most limits::kStreamPairs
    std::string dane_wanted_;              // the domain that is being asked about, or empty
    Handle<InStream> handle_;
    std::uint64_t judged_by_ = 0;  // digest of the terms on which the certificate was judged
    std::string our_;
    std::string their_;
    DoorGuard::Place* place_ = nullptr;  // while it counts for them
    xml::Proof proof_ = xml::Proof::kDialbackClear;
    const Instant since_;
    Instant last_stanza_{};       // S2S-18: neither spaces nor pings
    Instant silent_since_{};      // S2S-17: at the last look
    Instant pinged_at_ = kNever;  // since that silence
    Instant last_space_{};
    const bool direct_tls_;
    bool held_ = false;
    bool session_ = false;  // it has one, and nobody else wants it
    bool session_awaited_ = false;
    bool offer_due_ = false;     // something that offer_carriage() looks at has changed
    bool dane_awaited_ = false;  // nothing is read before its answer
    bool closing_ = false;
    bool broken_ = false;  // gone without an end, or dead
    bool gone_ = false;
    bool abandoned_ = false;
};

}  // namespace fedgate::edge
