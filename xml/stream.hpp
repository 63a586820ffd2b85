// One XMPP server-to-server stream, from the first byte to the close: header, STARTTLS, SASL
// EXTERNAL, dialback (all three roles), stanzas, acknowledgements, errors. RFC 6120, XEP-0220,
// XEP-0198. Pure: bytes in through next(), work out as actions, output through StreamHost::write().
// No clock, no socket.
//
// The owner's loop, after received bytes and after any other call of this class:
//     do { action = stream.next(input, now); drop action.consumed bytes from input; act on it; }
//     while (action.kind != Action::Kind::kNone);
//     arm a timer for stream.deadline();
//
// Owner: the shard's stream slab. Thread: that shard only. Views in an Action point into the input
// or the stream and are valid until the next call of this class.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"
#include "core/base/peer_identity.hpp"
#include "core/base/time.hpp"
#include "xml/dialback.hpp"
#include "xml/framer.hpp"
#include "xml/stanza_error.hpp"
#include "xml/stream_error.hpp"
#include "xml/stream_table.hpp"

namespace fedgate::xml {

// How a domain was proved on a stream. Same order as link::Proof.
enum class Proof : std::uint8_t { kCertificate, kDialbackTls, kDialbackClear };

// What one row of features.md A5 leaves open between a domain of ours and one of theirs. TLS is
// offered when a method uses it, and insisted on unless dialback_clear. Not allowed, or no method:
// refused with policy-violation.
struct StreamPolicy {
    bool allowed = false;
    bool external = false;  // SASL EXTERNAL over TLS
    bool dialback_tls = false;
    bool dialback_clear = false;
    bool bidi = false;  // XEP-0288

    [[nodiscard]] bool possible() const {
        return allowed && (external || dialback_tls || dialback_clear);
    }
    [[nodiscard]] bool tls_offered() const { return external || dialback_tls; }
    [[nodiscard]] bool tls_required() const { return !dialback_clear; }
    [[nodiscard]] bool dialback(bool secured) const {
        return secured ? dialback_tls : dialback_clear;
    }
    // Is a pair that was proved like this still good? S2S-43: a certificate always is.
    [[nodiscard]] bool accepts(Proof proof) const {
        switch (proof) {
            case Proof::kCertificate: return possible();
            case Proof::kDialbackTls: return allowed && dialback_tls;
            case Proof::kDialbackClear: return allowed && dialback_clear;
        }
        return false;
    }
};

enum class Served : std::uint8_t { kNo, kGone, kYes };  // kGone: served earlier (S2S-4)
// kLater: what needs it is not consumed; show it again when the answer is another.
enum class Judged : std::uint8_t { kNo, kLater, kYes };

// What a stream needs from its owner. Called from within the stream's calls; must not call back
// into it.
class StreamHost {
public:
    // Queues bytes to the peer. False: the send queue is full; the stream ends (kOutputFull).
    [[nodiscard]] virtual bool write(Bytes) = 0;
    // Domains come as A-labels, lower case (ADDR-2). `their` is empty while the peer has not said
    // who it is.
    virtual Served serves(Bytes our_domain) = 0;
    virtual StreamPolicy policy(Bytes our_domain, Bytes their_domain) = 0;
    // Inbound: sees to it that the certificate is judged on the terms for this domain.
    virtual Judged judges(Bytes /*their_domain*/) { return Judged::kYes; }
    virtual void fill_random(MutableBytes) = 0;

protected:
    ~StreamHost() = default;
};

// Shared by all streams of a shard; outlives them. May change between calls.
struct StreamSettings {
    std::string default_domain;  // `from` of a reply header when theirs named no domain of ours
    DialbackSecrets dialback;
    std::size_t stanza_bytes_max = 262'144;     // S2S-8
    std::size_t depth_max = limits::kXmlDepth;  // S2S-7
    Duration establish_max = 60s;               // S2S-61
    // Inbound: a peer's own time to prove itself. Asking back takes dialback_wait more; with it
    // establish_max is the bound.
    Duration login_wait = 30s;
    Duration header_wait = 10s;  // S2S-60, and the three below
    Duration tls_wait = 10s;
    Duration sasl_wait = 10s;
    Duration dialback_wait = 30s;
    Duration close_wait = 5s;  // S2S-18
    bool sm = true;            // XEP-0198: offer it, and ask for it
    Duration idle_max{};       // XEP-0478: told to peers, as stanza_bytes_max is. 0: not told
    // Inbound: for how long the owner keeps what resumption needs. 0: not offered, nor asked for.
    Duration resume_max{};
};

// Why a stream is over.
struct StreamEnd {
    enum class Cause : std::uint8_t {
        kClosedByPeer,   // </stream:stream> without an error
        kClosedByUs,     // close() was called and the peer has answered, or did not in time
        kErrorReceived,  // see `condition`
        kErrorSent,      // see `condition`: what the peer did wrong
        kNoTls,          // S2S-50: TLS is required and not offered (or refused)
        kCertificate,    // S2S-53: certificate only, and it does not prove their domain
        kNoMethod,       // S2S-52: no method that both sides allow
        kRefused,        // S2S-55, DB-9: the peer did not accept our proof
        kTimeout,        // S2S-60, S2S-61
        kOutputFull,
    };
    Cause cause = Cause::kClosedByPeer;
    StreamError condition = StreamError::kNone;  // of an error
    // Of kErrorReceived with see-other-host: what they wrote. Valid until the next call.
    Bytes other_host{};
    // S2S-21, DNS-7: neither another target nor another try will help for a while. Otherwise what
    // is queued may be tried once more.
    bool permanent = false;
    // kClosedByUs: their closing tag came after ours. They have read all that was before it (RFC
    // 6120 4.4); where both tags were on their way at once, too, if they read on until ours, as it
    // says. Who does not can't be told apart.
    bool answered = false;
};

// XEP-0478: what the peer takes. 0: it did not say.
struct StreamLimits {
    std::uint64_t stanza_bytes = 0;
    Duration idle{};  // silence for so long may end the stream
    [[nodiscard]] bool fits(std::size_t bytes) const {
        return stanza_bytes == 0 || bytes <= stanza_bytes;
    }
};

// XEP-0198: what an outbound stream leaves behind when its connection breaks.
struct Session {
    std::string id;
    Duration keep{};                 // how long the peer keeps it
    std::uint32_t acknowledged = 0;  // their last h
    std::uint32_t unacknowledged = 0;
};

struct Action {
    enum class Kind : std::uint8_t {
        kNone,          // everything is done; more input is needed
        kStartTls,      // start TLS now (server side if inbound), then call secured()
        kPair,          // a pair was proved: their stanzas come, or ours may go (send())
        kPairRefused,   // outbound: our dialback was answered with `verdict`
        kStanza,        // `stanza` from a proved domain; take it, or put_back(). Outbound: with
                        // bidi() only
        kVerify,        // ask the server of `their` for `id` and `key`, then call verified()
        kVerifyAnswer,  // outbound: the answer to request_verify(our, their, id)
        kAcknowledged,  // outbound: the peer has `count` more of our stanzas, oldest first
        kResumable,     // inbound: session `id` begins; keep it when the connection breaks
        kResume,        // inbound: the peer wants session `id` back: call answer_resume()
        kResumed,       // outbound: resume() was granted; the peer has `count` more of the old
                        // stream's stanzas. send() the others again, first, after kPair
        kResumeFailed,  // outbound: it was not; the peer has `count` more, the rest is in doubt
        kClosed,        // over; flush and close the connection. Comes once, nothing follows
    };
    Kind kind = Kind::kNone;
    Proof proof = Proof::kDialbackClear;  // kPair, kStanza
    Verdict verdict = Verdict::kError;    // kPairRefused, kVerifyAnswer
    std::size_t consumed = 0;             // bytes at the front of the input that are done with
    // A-labels, lower case. kStanza: domains of its `to` and `from`; an empty `our` says that `to`
    // is no JID: answer jid-malformed.
    Bytes our;
    Bytes their;
    Bytes stanza;                     // kStanza: the element as received
    Stanza view;                      // kStanza: kind and raw attributes
    bool uses_stream_prefix = false;  // kStanza: Frame::uses_stream_prefix
    Bytes id;
    Bytes key;
    std::uint32_t count = 0;
    StreamEnd end;
};

class Stream {
public:
    enum class Role : std::uint8_t {
        kInbound,   // they send stanzas to us
        kOutbound,  // we send stanzas to them
        kVerify,    // outbound without a proof of ours: only request_verify() (DB-5)
    };

    struct Pair {
        enum class State : std::uint8_t { kFree, kPending, kValid };
        State state = State::kFree;
        Proof proof = Proof::kDialbackClear;
        bool external = false;  // S2S-33: any domain of ours goes with it
        bool announce = false;  // its kPair is still to be handed out
        std::string our;
        std::string their;
        Instant deadline = kNever;  // of a pending one
        std::uint64_t stanzas = 0;
    };

    struct Counts {
        std::uint64_t stanzas_in = 0;
        std::uint64_t stanzas_out = 0;
        std::uint64_t answers_dropped = 0;  // DB-7: never asked for
    };

    // Inbound. Waits for their header; under direct TLS call expect_tls(), then secured() first.
    Stream(StreamHost&, const StreamSettings&, Instant now);
    // Outbound or verify. Under direct TLS call expect_tls(), then secured() first; then open().
    Stream(StreamHost&, const StreamSettings&, Role, Bytes our_domain, Bytes their_domain,
           Instant now);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Direct TLS, before anything else: a handshake runs, and has a time limit (S2S-60).
    void expect_tls(Instant now) { enter(StreamState::kTls, now + settings_.tls_wait); }
    void open(Instant now);  // outbound: sends the header
    // Outbound, before open(): asks for this session instead of a new one. kResumed or
    // kResumeFailed comes before kPair; neither where the peer does not offer XEP-0198 any more.
    void resume(Session session) { lost_ = std::move(session); }
    // The TLS handshake is done. `peer` must stay until the stream is destroyed.
    void secured(const PeerIdentity& peer, bool direct_tls, Instant now);

    [[nodiscard]] Action next(Bytes input, Instant now);
    // The stanza just handed out can't be taken now. Returns how many of that action's `consumed`
    // bytes the owner must show again; then the stanza is handed out again.
    [[nodiscard]] std::size_t put_back();

    // Inbound: the outcome of the kVerify with these domains and this id.
    void verified(Bytes our, Bytes their, Bytes id, Verdict, Instant now);
    // Outbound: asks the server of `their` whether it made `key` for stream `id` (of `our`). One
    // kVerifyAnswer follows unless the stream closes first. False: too many at once, or, on a
    // stream for our stanzas, a peer that has not shown that it speaks dialback.
    [[nodiscard]] bool request_verify(Bytes our, Bytes their, Bytes id, Bytes key, Instant now);

    // Outbound, after kPair; inbound with bidi(), for a pair that was handed out, once open. Writes
    // one stanza. False: no room, nothing was written.
    [[nodiscard]] bool send(Bytes stanza);
    [[nodiscard]] const StreamLimits& limits() const { return limits_; }
    // Asks for an acknowledgement if anything is unacknowledged (S2S-16: 5 s after the oldest).
    void request_acknowledgement();
    [[nodiscard]] bool acknowledges() const { return !inbound() && sm_on_; }
    [[nodiscard]] std::uint32_t unacknowledged() const { return unacknowledged_; }
    // The session can be resumed.
    [[nodiscard]] bool resumable() const { return sm_on_ && !session_.id.empty(); }
    [[nodiscard]] Session session() const;
    // Inbound: how many stanzas were handed out and not put back, since the session began.
    [[nodiscard]] std::uint32_t handled() const { return sm_handled_; }
    // Inbound, after kResume, until which no input is taken. `handled`: of that session, where it
    // is known. False: too late.
    bool answer_resume(bool granted, std::optional<std::uint32_t> handled);
    [[nodiscard]] bool resuming() const { return resuming_; }

    void close(Instant now);  // clean: waits for their close
    // With a stream error, at once. `text`: for people, of plain characters.
    void fail(StreamError condition, Bytes text = {});
    // As fail(), of what a peer has just proved. Behind our <success/> it is told when their new
    // header has come (RFC 6120 6.4.6): until then they read nothing. `text`: lives as long as
    // this.
    void refuse(StreamError condition, Bytes text = {});

    [[nodiscard]] Instant deadline() const;
    void on_deadline(Instant now);

    [[nodiscard]] Role role() const { return role_; }
    [[nodiscard]] StreamState state() const { return state_; }
    [[nodiscard]] const char* state_name() const;  // for people
    [[nodiscard]] bool encrypted() const { return peer_ != nullptr; }
    // XEP-0288: stanzas of a proved pair go both ways.
    [[nodiscard]] bool bidi() const { return bidi_; }
    [[nodiscard]] bool authenticated() const;  // at least one pair was proved
    [[nodiscard]] Bytes our_domain() const {
        return our_;
    }  // of the header; may be empty (inbound)
    [[nodiscard]] Bytes their_domain() const { return their_; }
    [[nodiscard]] Bytes id() const { return {id_.data(), id_.size()}; }  // inbound: of our header
    // What their header declares for all stanzas.
    [[nodiscard]] const StreamScope& scope() const { return framer_.scope(); }
    [[nodiscard]] const std::vector<Pair>& pairs() const { return pairs_; }
    [[nodiscard]] const Counts& counts() const { return counts_; }

private:
    // A db:verify of ours that waits to be sent, or for its answer.
    struct Question {
        enum class State : std::uint8_t { kFree, kQueued, kAsked, kExpired };
        State state = State::kFree;
        std::string our;
        std::string their;
        std::string id;
        std::string key;
        Instant deadline = kNever;
    };
    // stream.cpp: what both directions share
    [[nodiscard]] bool inbound() const { return role_ == Role::kInbound; }
    void write(Bytes);
    void write_header(Bytes from, Bytes to, bool reply);
    void end(StreamEnd::Cause, StreamError condition = StreamError::kNone);
    void fail_as(StreamEnd::Cause cause, StreamError condition, Bytes text = {});
    void refuse(StreamEnd::Cause);  // closes without a stream error
    void restart();
    void enter(StreamState, Instant phase_deadline = kNever);
    bool take_pending(Action&);
    bool within_unauthenticated_bytes(std::size_t pending) const;
    void dispatch(const Frame&, Action&, Instant now);
    [[nodiscard]] std::size_t show_again(const Frame&);
    void run(StreamRun, const Element&, Action&, Instant now);
    void on_peer_error(const Element&);
    void on_peer_closed();
    void on_unsupported(const Element&);
    void write_limits(Sink&) const;
    void read_limits(const Element& parent);
    [[nodiscard]] Pair* find_pair(Bytes our, Bytes their);
    Pair* make_pair(Bytes our, Bytes their);
    void prove(Pair&, Proof);

    // stream_inbound.cpp
    void on_header_in(const StreamHeader&);
    StreamError check_header_in(const StreamHeader&);
    [[nodiscard]] bool is_covered(Bytes their);
    void write_features_in();
    void on_start_tls_in(Action&, Instant now);
    void on_auth_in(const Element&, Instant now);
    void on_bidi_in(const Element&);
    void on_result_in(const Element&, Action&, Instant now);
    void on_verify_in(const Element&);
    void on_stanza_in(const Frame&, const Stanza&, Action&);
    StreamError find_sender(Bytes from_domain, Bytes to_domain, Pair*& pair);
    Pair* derive_pair(Bytes our, Bytes their);
    void answer(Bytes element, Bytes from, Bytes to, Bytes id, Bytes type);
    void answer_error(Bytes element, Bytes from, Bytes to, Bytes id, StanzaCondition);
    void become_open();

    // stream_outbound.cpp
    void on_header_out(const StreamHeader&, Instant now);
    void on_features_out(const Element&, Instant now);
    void choose_method(bool external_offered, Instant now);
    void ask_for_bidi();
    void on_key_out(const Element&);
    void on_stanza_out(const Frame&, const Stanza&, Action&);
    void start_dialback(Instant now);
    void write_result(Bytes our);
    void on_proceed_out(Action&, Instant now);
    void on_success_out(Instant now);
    void on_result_out(const Element&, Action&, Instant now);
    void on_verify_out(const Element&, Action&);
    void on_proved_out(Pair&, Instant now);
    void ask_queued();

    // stream_management.cpp: XEP-0198
    void on_enable_in(const Element&, Action&);
    void on_resume_in(const Element&, Action&, Instant now);
    void refuse_sm();
    void acknowledge();
    void acknowledge_last();
    void start_sm_out(Instant now);
    void write_enable(Instant now);
    void on_enabled_out(const Element&);
    void on_enable_failed_out(const Element&, Action&, Instant now);
    void on_resumed_out(const Element&, Action&);
    void on_acknowledged_out(const Element&, Action&);
    [[nodiscard]] bool read_handled(const Element&, std::uint32_t& count);
    void finish_sm_out();

    StreamHost& host_;
    const StreamSettings& settings_;
    Framer framer_;
    const Role role_;
    StreamState state_ = StreamState::kHeader;
    StreamPolicy policy_;
    StreamLimits limits_;
    std::string our_;
    std::string their_;
    std::string peer_id_;        // outbound: id of their header
    std::array<char, 32> id_{};  // inbound: of ours, hex
    const PeerIdentity* peer_ = nullptr;
    bool direct_tls_ = false;
    bool proved_ = false;  // the certificate proves their_
    bool sasl_done_ = false;
    StreamError refusal_ = StreamError::kNone;  // refuse(), not told yet
    Bytes refusal_text_;
    bool header_sent_ = false;
    bool peer_is_1_0_ = true;      // S2S-5
    bool dialback_known_ = false;  // the peer has shown that it speaks dialback
    bool sm_offered_ = false;
    bool bidi_offered_ = false;  // outbound
    bool bidi_ = false;
    bool sm_on_ = false;
    bool resuming_ = false;              // <resume/> waits for its answer: ours (inbound) or theirs
    bool resume_asked_ = false;          // inbound: once for each stream
    bool judged_later_ = false;          // inbound: the element at hand is to be shown again
    bool attention_ = false;             // take_pending() has something to look for
    bool ended_ = false;                 // end_ was not handed out yet
    std::uint32_t sm_handled_ = 0;       // inbound: h
    std::uint32_t sm_told_ = 0;          // inbound: the h that the peer has heard last
    std::uint32_t sm_acknowledged_ = 0;  // outbound: last h
    std::uint32_t unacknowledged_ = 0;
    std::uint32_t since_request_ = 0;
    std::uint32_t sm_claimed_ = 0;  // of handled-count-too-high
    Session session_;               // of this stream; its counts stand above
    std::optional<Session> lost_;   // outbound: to resume
    std::size_t unauthenticated_bytes_ = 0;
    std::size_t stanza_bytes_ = 0;  // of the stanza just handed out, for put_back()
    std::size_t input_left_ = 0;    // behind the element that is being handled
    std::size_t last_pair_ = 0;
    std::vector<Pair> pairs_;          // at most limits::kStreamPairs
    std::vector<Question> questions_;  // at most limits::kStreamQuestions
    Instant phase_deadline_ = kNever;
    const Instant begun_;
    Instant establish_deadline_;
    StreamEnd::Cause closing_cause_ = StreamEnd::Cause::kClosedByUs;
    StreamEnd end_;
    Counts counts_;
    std::unique_ptr<std::array<char, limits::kDialbackKeyBytes>>
        key_;  // of kVerify; the other host
};

}  // namespace fedgate::xml
