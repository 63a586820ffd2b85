#include "xml/stream.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/base/hash.hpp"
#include "xml/certificate.hpp"
#include "xml/stanza_error.hpp"
#include "xml/stream_parts.hpp"
#include "xml/writer.hpp"

namespace fedgate::xml {

namespace {

struct EventRow {
    Bytes uri;
    Bytes name;
    StreamEvent event;
};

// What a first-level element is, if it is no stanza. Dialback's `type` is looked at apart.
constexpr EventRow kEvents[] = {
    {kStreamNamespace, "features", StreamEvent::kFeatures},
    {kStreamNamespace, "error", StreamEvent::kError},
    {kTlsNamespace, "starttls", StreamEvent::kStartTls},
    {kTlsNamespace, "proceed", StreamEvent::kProceed},
    {kTlsNamespace, "failure", StreamEvent::kTlsFailure},
    {kSaslNamespace, "auth", StreamEvent::kAuth},
    {kSaslNamespace, "success", StreamEvent::kSuccess},
    {kSaslNamespace, "failure", StreamEvent::kSaslFailure},
    {kDialbackNamespace, "result", StreamEvent::kResult},
    {kDialbackNamespace, "verify", StreamEvent::kVerify},
    {kSmNamespace, "enable", StreamEvent::kSmEnable},
    {kSmNamespace, "enabled", StreamEvent::kSmEnabled},
    {kSmNamespace, "failed", StreamEvent::kSmFailed},
    {kSmNamespace, "r", StreamEvent::kSmRequest},
    {kSmNamespace, "a", StreamEvent::kSmAck},
    {kSmNamespace, "resume", StreamEvent::kSmResume},
    {kSmNamespace, "resumed", StreamEvent::kSmResumed},
    {kBidiNamespace, "bidi", StreamEvent::kBidi},
};

// The whole number that a child element holds; 0: none that can be meant.
std::uint64_t number_in(const Element& parent, Bytes name, std::uint64_t max) {
    char memory[32];
    Sink sink(memory);
    const Element child = parent.child(name, kLimitsNamespace);
    if (!child || !child.text(sink)) return 0;
    const Bytes text = sink.written();
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
    return whole ? std::min(value, max) : 0;
}

StreamEvent classify(const Element& element) {
    const Bytes uri = element.namespace_uri();
    for (const EventRow& row : kEvents) {
        if (row.name != element.name() || row.uri != uri) continue;
        const bool answer = element.attribute("type").data() != nullptr;
        if (answer && row.event == StreamEvent::kResult) return StreamEvent::kResultAnswer;
        if (answer && row.event == StreamEvent::kVerify) return StreamEvent::kVerifyAnswer;
        return row.event;
    }
    return StreamEvent::kUnknown;
}

}  // namespace

Stream::Stream(StreamHost& host, const StreamSettings& settings, Instant now)
    : host_(host),
      settings_(settings),
      role_(Role::kInbound),
      phase_deadline_(now + settings.header_wait),  // S2S-60
      begun_(now),
      establish_deadline_(now + std::min(settings.login_wait, settings.establish_max)) {  // S2S-61
    framer_.set_element_bytes_max(limits::kUnauthenticatedElementBytes);                  // S2S-8
    framer_.set_depth_max(settings.depth_max);
}

Stream::Stream(StreamHost& host, const StreamSettings& settings, Role role, Bytes our_domain,
               Bytes their_domain, Instant now)
    : host_(host),
      settings_(settings),
      role_(role),
      policy_(host.policy(our_domain, their_domain)),
      our_(our_domain),
      their_(their_domain),
      begun_(now),
      establish_deadline_(now + settings.establish_max) {
    FEDGATE_CHECK(role != Role::kInbound);
    framer_.set_element_bytes_max(limits::kUnauthenticatedElementBytes);
    framer_.set_depth_max(settings.depth_max);
}

Action Stream::next(Bytes input, Instant now) {
    Action action;
    stanza_bytes_ = 0;
    if (attention_ && take_pending(action)) return action;
    std::size_t consumed = 0;
    while (consumed < input.size()) {
        if (state_ == StreamState::kClosed) {
            consumed = input.size();
            break;
        }
        if (resuming_ && inbound()) break;  // where the stanzas that follow count from is not known
        if (state_ == StreamState::kTls) {
            // S2S-12: clear text behind <starttls/> or <proceed/>.
            fail(StreamError::kPolicyViolation);
        } else {
            Frame frame;
            const FrameStatus status = framer_.next(input.substr(consumed), frame);
            consumed += frame.consumed;
            input_left_ = input.size() - consumed;
            if (state_ < StreamState::kOpen) {
                unauthenticated_bytes_ += frame.consumed;
                const std::size_t pending = status == FrameStatus::kNeedMore ? input_left_ : 0;
                if (!within_unauthenticated_bytes(pending)) fail(StreamError::kPolicyViolation);
            }
            if (state_ == StreamState::kClosed) {
                // Over already; the rest of the input goes with it.
            } else if (status == FrameStatus::kNeedMore) {
                break;
            } else if (status == FrameStatus::kMalformed) {
                fail(stream_error(framer_.fault()));
            } else {
                dispatch(frame, action, now);
                if (std::exchange(judged_later_, false)) {
                    consumed -= show_again(frame);
                    break;
                }
            }
        }
        if (action.kind != Action::Kind::kNone) break;
        if (attention_ && take_pending(action)) break;
    }
    if (state_ == StreamState::kClosed) consumed = input.size();
    action.consumed = consumed;
    return action;
}

// What waits for the host's judgement was not handled: nothing has changed by it.
std::size_t Stream::show_again(const Frame& frame) {
    if (frame.kind == FrameKind::kStreamOpen) framer_.reset();
    if (state_ < StreamState::kOpen) unauthenticated_bytes_ -= frame.bytes.size();
    return frame.bytes.size();
}

// S2S-8.
bool Stream::within_unauthenticated_bytes(std::size_t pending) const {
    return unauthenticated_bytes_ + pending <= limits::kUnauthenticatedStreamBytes;
}

void Stream::dispatch(const Frame& frame, Action& action, Instant now) {
    const StreamTable& table = inbound() ? kInboundTable : kOutboundTable;
    if (frame.kind == FrameKind::kElement) {
        const Stanza stanza = parse_stanza(frame.bytes, framer_.scope(), frame.outline);
        const bool is_stanza = stanza.kind != StanzaKind::kOther;
        const StreamEvent event = is_stanza ? StreamEvent::kStanza : classify(stanza.root);
        const StreamRun row = find_run(table, state_, event);
        if (row == StreamRun::kStanzaIn) {
            on_stanza_in(frame, stanza, action);
        } else if (row == StreamRun::kStanzaOut) {
            on_stanza_out(frame, stanza, action);
        } else {
            run(row, stanza.root, action, now);
        }
        return;
    }
    if (frame.kind == FrameKind::kStreamClose) {
        run(find_run(table, state_, StreamEvent::kEnd), Element(), action, now);
        return;
    }
    const StreamHeader header = parse_stream_header(frame.bytes, framer_.scope());
    switch (find_run(table, state_, StreamEvent::kHeader)) {
        case StreamRun::kHeaderIn: return on_header_in(header);
        case StreamRun::kHeaderOut: return on_header_out(header, now);
        default: return;
    }
}

void Stream::run(StreamRun row, const Element& element, Action& action, Instant now) {
    switch (row) {
        case StreamRun::kUnsupported: return on_unsupported(element);
        case StreamRun::kIgnore: return;
        case StreamRun::kPeerClosed: return on_peer_closed();
        case StreamRun::kPeerError: return on_peer_error(element);
        case StreamRun::kNotAuthorized:
            // S2S-10; S2S-40 where TLS must come first.
            return fail(inbound() && !encrypted() && policy_.tls_required()
                            ? StreamError::kPolicyViolation
                            : StreamError::kNotAuthorized);
        case StreamRun::kDropAnswer: ++counts_.answers_dropped; return;
        case StreamRun::kStartTlsIn: return on_start_tls_in(action, now);
        case StreamRun::kAuthIn: return on_auth_in(element, now);
        case StreamRun::kBidiIn: return on_bidi_in(element);
        case StreamRun::kKeyOut: return on_key_out(element);
        case StreamRun::kQuestionOut:
            return bidi_ ? on_verify_in(element) : on_unsupported(element);
        case StreamRun::kResultIn: return on_result_in(element, action, now);
        case StreamRun::kVerifyIn: return on_verify_in(element);
        case StreamRun::kEnableIn: return on_enable_in(element, action);
        case StreamRun::kResumeIn: return on_resume_in(element, action, now);
        case StreamRun::kSmUnexpected: return refuse_sm();
        case StreamRun::kAcknowledge: return acknowledge();
        case StreamRun::kFeaturesOut: return on_features_out(element, now);
        case StreamRun::kProceedOut: return on_proceed_out(action, now);
        case StreamRun::kTlsRefused: return refuse(StreamEnd::Cause::kNoTls);
        case StreamRun::kSuccessOut: return on_success_out(now);
        case StreamRun::kSaslFailureOut: return start_dialback(now);  // S2S-55
        case StreamRun::kResultOut: return on_result_out(element, action, now);
        case StreamRun::kVerifyOut: return on_verify_out(element, action);
        case StreamRun::kEnabledOut: return on_enabled_out(element);
        case StreamRun::kEnableFailedOut: return on_enable_failed_out(element, action, now);
        case StreamRun::kResumedOut: return on_resumed_out(element, action);
        case StreamRun::kAcknowledgedOut: return on_acknowledged_out(element, action);
        case StreamRun::kHeaderIn:
        case StreamRun::kHeaderOut:
        case StreamRun::kStanzaIn:
        case StreamRun::kStanzaOut: return;  // dispatch() has done these
    }
}

// What became due outside of next(), one a call; the end comes last.
bool Stream::take_pending(Action& action) {
    for (Pair& pair : pairs_) {
        if (!pair.announce) continue;
        action.kind = Action::Kind::kPair;
        action.verdict = Verdict::kValid;
        action.proof = pair.proof;
        action.our = pair.our;
        action.their = pair.their;
        pair.announce = false;
        return true;
    }
    for (Question& question : questions_) {
        if (question.state != Question::State::kExpired) continue;
        action.kind = Action::Kind::kVerifyAnswer;
        action.verdict = Verdict::kTimeout;
        action.our = question.our;
        action.their = question.their;
        action.id = question.id;
        question.state = Question::State::kFree;
        return true;
    }
    attention_ = false;
    if (!ended_) return false;
    ended_ = false;
    action.kind = Action::Kind::kClosed;
    action.end = end_;
    return true;
}

std::size_t Stream::put_back() {
    FEDGATE_CHECK(stanza_bytes_ != 0);
    FEDGATE_CHECK(last_pair_ < pairs_.size());
    --counts_.stanzas_in;
    --pairs_[last_pair_].stanzas;
    if (sm_on_) --sm_handled_;
    return std::exchange(stanza_bytes_, 0);
}

void Stream::secured(const PeerIdentity& peer, bool direct_tls, Instant now) {
    if (state_ == StreamState::kClosed) return;
    FEDGATE_CHECK(!encrypted());
    peer_ = &peer;
    direct_tls_ = direct_tls;
    restart();
    if (inbound()) return enter(StreamState::kHeader, now + settings_.header_wait);
    proved_ = covers(peer, their_, direct_tls);  // CERT-1
    // S2S-53: only a certificate would do.
    if (!proved_ && !policy_.dialback_tls) return end(StreamEnd::Cause::kCertificate);
    enter(StreamState::kHeader);
    if (!direct_tls) open(now);
}

void Stream::close(Instant now) {
    if (state_ >= StreamState::kClosing) return;
    if (state_ == StreamState::kTls || !header_sent_) return end(closing_cause_);
    acknowledge_last();
    write(kClosingTag);
    if (state_ != StreamState::kClosed) enter(StreamState::kClosing, now + settings_.close_wait);
}

void Stream::fail(StreamError condition, Bytes text) {
    fail_as(StreamEnd::Cause::kErrorSent, condition, text);
}

void Stream::refuse(StreamError condition, Bytes text) {
    if (state_ != StreamState::kHeader || !sasl_done_) return fail(condition, text);
    refusal_ = condition;
    refusal_text_ = text;
}

void Stream::fail_as(StreamEnd::Cause cause, StreamError condition, Bytes text) {
    if (state_ == StreamState::kClosed) return;
    // Nothing can be said during a TLS handshake, nor after our closing tag.
    if (state_ != StreamState::kTls && state_ != StreamState::kClosing) {
        if (!header_sent_) {  // S2S-3
            write_header(our_.empty() ? Bytes(settings_.default_domain) : Bytes(our_), their_,
                         inbound());
        }
        acknowledge_last();
        char memory[512];
        Sink out(memory);
        out.append("<stream:error><");
        out.append(name_of(condition));
        out.append(" xmlns='");
        out.append(kStreamsNamespace);
        out.append("'/>");
        if (!text.empty()) {
            out.append("<text xmlns='");
            out.append(kStreamsNamespace);
            out.append("' xml:lang='en'>");
            out.append(text);
            out.append("</text>");
        }
        if (condition == StreamError::kStanzaTooBig) {
            out.append("<stanza-too-big xmlns='urn:xmpp:errors'/>");  // S2S-8
        } else if (condition == StreamError::kHandledTooHigh) {
            out.append("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='");
            out.append_number(sm_claimed_);
            out.append("' send-count='");
            out.append_number(sm_acknowledged_ + unacknowledged_);
            out.append("'/>");
        }
        out.append("</stream:error>");
        out.append(kClosingTag);
        write(out.written());
    }
    end(cause, condition);
}

void Stream::refuse(StreamEnd::Cause cause) {
    acknowledge_last();
    write(kClosingTag);
    end(cause);
}

void Stream::end(StreamEnd::Cause cause, StreamError condition) {
    if (state_ == StreamState::kClosed) return;
    enter(StreamState::kClosed);
    establish_deadline_ = kNever;
    end_.cause = cause;
    end_.condition = condition;
    end_.permanent = cause == StreamEnd::Cause::kRefused || cause == StreamEnd::Cause::kNoMethod ||
                     is_permanent(condition);
    ended_ = true;
    attention_ = true;
}

void Stream::on_peer_closed() {
    // RFC 6120 4.4: a close is answered once.
    if (state_ != StreamState::kClosing) return refuse(StreamEnd::Cause::kClosedByPeer);
    end(closing_cause_);
    end_.answered = true;
}

void Stream::on_peer_error(const Element& element) {
    StreamError condition = StreamError::kUndefinedCondition;
    for (const Element& child : element.children()) {
        if (child.namespace_uri() != kStreamsNamespace || child.name() == "text") continue;
        condition = parse_stream_error(child.name());
        if (condition == StreamError::kSeeOtherHost) {
            key_ = std::make_unique<std::array<char, limits::kDialbackKeyBytes>>();
            Sink text(*key_);
            if (child.text(text)) end_.other_host = text.written();
        }
        break;
    }
    if (state_ != StreamState::kClosing) {
        acknowledge_last();
        write(kClosingTag);
    }
    end(StreamEnd::Cause::kErrorReceived, condition);
}

void Stream::on_unsupported(const Element& element) {
    // S2S-6: a client's stanza on a stream between servers.
    fail(element.namespace_uri() == "jabber:client" ? StreamError::kInvalidNamespace
                                                    : StreamError::kUnsupportedStanzaType);
}

void Stream::write(Bytes bytes) {
    if (state_ == StreamState::kClosed) return;
    if (!host_.write(bytes)) end(StreamEnd::Cause::kOutputFull);
}

// XEP-0478.
void Stream::write_limits(Sink& out) const {
    out.append("<limits xmlns='");
    out.append(kLimitsNamespace);
    out.append("'><max-bytes>");
    out.append_number(settings_.stanza_bytes_max);
    out.append("</max-bytes>");
    const auto idle = std::chrono::duration_cast<std::chrono::seconds>(settings_.idle_max).count();
    if (idle > 0) {
        out.append("<idle-seconds>");
        out.append_number(static_cast<std::uint64_t>(idle));
        out.append("</idle-seconds>");
    }
    out.append("</limits>");
}

void Stream::read_limits(const Element& parent) {
    limits_ = {};
    const Element limits = parent.child("limits", kLimitsNamespace);
    if (!limits) return;
    limits_.stanza_bytes = number_in(limits, "max-bytes", UINT32_MAX);
    limits_.idle = std::chrono::seconds(number_in(limits, "idle-seconds", UINT32_MAX));
}

// S2S-2, S2S-3.
void Stream::write_header(Bytes from, Bytes to, bool reply) {
    char memory[2 * limits::kJidPartBytes + 512];
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    Sink out(memory);
    out.append("<?xml version='1.0'?><stream:stream");
    write_attribute(out, "xmlns", kServerNamespace);
    write_attribute(out, "xmlns:stream", kStreamNamespace);
    if (policy_.dialback_tls || policy_.dialback_clear || (inbound() && proved_)) {
        write_attribute(out, "xmlns:db", kDialbackNamespace);
    }
    if (reply) {
        std::array<std::uint8_t, 16> random;
        host_.fill_random(MutableBytes(reinterpret_cast<char*>(random.data()), random.size()));
        id_ = to_hex(random);
        write_attribute(out, "id", Bytes(id_.data(), id_.size()));
    }
    if (!from.empty()) write_attribute(out, "from", wire_domain(from, from_memory));
    if (!to.empty()) write_attribute(out, "to", wire_domain(to, to_memory));
    if (peer_is_1_0_) write_attribute(out, "version", "1.0");
    write_attribute(out, "xml:lang", "en");
    out.append('>');
    header_sent_ = true;
    if (out.overflowed()) return end(StreamEnd::Cause::kOutputFull);
    write(out.written());
}

void Stream::restart() {
    framer_.reset();
    header_sent_ = false;
}

void Stream::enter(StreamState state, Instant phase_deadline) {
    state_ = state;
    phase_deadline_ = phase_deadline;
}

Instant Stream::deadline() const {
    Instant earliest = std::min(phase_deadline_, establish_deadline_);
    for (const Pair& pair : pairs_) {
        if (pair.state == Pair::State::kPending) earliest = std::min(earliest, pair.deadline);
    }
    for (const Question& question : questions_) {
        if (question.state == Question::State::kQueued ||
            question.state == Question::State::kAsked) {
            earliest = std::min(earliest, question.deadline);
        }
    }
    return earliest;
}

void Stream::on_deadline(Instant now) {
    if (state_ == StreamState::kClosing && now >= phase_deadline_) return end(closing_cause_);
    if (resuming_ && inbound() && now >= phase_deadline_) {
        answer_resume(false, {});
        return;
    }
    if (now >= std::min(phase_deadline_, establish_deadline_)) {
        // S2S-60, S2S-61
        return fail_as(StreamEnd::Cause::kTimeout, StreamError::kConnectionTimeout);
    }
    for (Pair& pair : pairs_) {  // outbound ones are within the phase's
        if (pair.state != Pair::State::kPending || now < pair.deadline) continue;
        verified(pair.our, pair.their, id(), Verdict::kTimeout, now);
    }
    for (Question& question : questions_) {
        const bool waits =
            question.state == Question::State::kQueued || question.state == Question::State::kAsked;
        if (!waits || now < question.deadline) continue;
        question.state = Question::State::kExpired;
        attention_ = true;
    }
}

Stream::Pair* Stream::find_pair(Bytes our, Bytes their) {
    for (Pair& pair : pairs_) {
        if (pair.state != Pair::State::kFree && pair.their == their && pair.our == our)
            return &pair;
    }
    return nullptr;
}

Stream::Pair* Stream::make_pair(Bytes our, Bytes their) {
    auto free = std::find_if(pairs_.begin(), pairs_.end(),
                             [](const Pair& pair) { return pair.state == Pair::State::kFree; });
    if (free == pairs_.end()) {
        if (pairs_.size() == limits::kStreamPairs) return nullptr;
        free = pairs_.emplace(pairs_.end());
    }
    *free = Pair{};
    free->state = Pair::State::kPending;
    free->our = our;
    free->their = their;
    return &*free;
}

void Stream::prove(Pair& pair, Proof proof) {
    pair.state = Pair::State::kValid;
    pair.deadline = kNever;
    pair.proof = proof;
    pair.announce = true;
    attention_ = true;
}

bool Stream::authenticated() const {
    return std::any_of(pairs_.begin(), pairs_.end(),
                       [](const Pair& pair) { return pair.state == Pair::State::kValid; });
}

const char* Stream::state_name() const {
    switch (state_) {
        case StreamState::kHeader: return "header";
        case StreamState::kFeatures: return "features";
        case StreamState::kStartTls: return "starttls";
        case StreamState::kTls: return "tls handshake";
        case StreamState::kNegotiating: return "negotiating";
        case StreamState::kSasl: return "sasl external";
        case StreamState::kDialback: return "dialback";
        case StreamState::kEnable: return "enabling acknowledgements";
        case StreamState::kOpen: return "open";
        case StreamState::kClosing: return "closing";
        case StreamState::kClosed: return "closed";
    }
    return "";
}

}  // namespace fedgate::xml
