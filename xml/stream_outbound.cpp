// Streams that we opened: we prove ourselves, then our stanzas go out; or we only ask the
// authoritative server about a dialback key.
#include <algorithm>

#include "core/base/hash.hpp"
#include "xml/sasl.hpp"
#include "xml/stanza_error.hpp"
#include "xml/stream.hpp"
#include "xml/stream_parts.hpp"
#include "xml/writer.hpp"

namespace fedgate::xml {

namespace {

bool offers_external(const Element& features) {
    const Element mechanisms = features.child("mechanisms", kSaslNamespace);
    if (!mechanisms) return false;
    for (const Element& mechanism : mechanisms.children()) {
        char memory[32];
        Sink text(memory);
        if (!mechanism.is("mechanism", kSaslNamespace) || !mechanism.text(text)) continue;
        if (text.written() == "EXTERNAL") return true;
    }
    return false;
}

Verdict verdict_of(const Element& answer) {
    const Bytes type = answer.attribute("type");
    if (type == "valid") return Verdict::kValid;
    if (type == "invalid") return Verdict::kInvalid;
    const Element error = answer.child("error", kServerNamespace);
    if (!error) return Verdict::kError;
    for (const Element& part : error.children()) {
        if (part.namespace_uri() != kStanzasNamespace) continue;
        switch (
            parse_stanza_condition(part.name()).value_or(StanzaCondition::kUndefinedCondition)) {
            case StanzaCondition::kForbidden:
            case StanzaCondition::kNotAllowed:
            case StanzaCondition::kNotAuthorized:
            case StanzaCondition::kPolicyViolation: return Verdict::kDenied;  // ERR-44
            default: break;
        }
    }
    return Verdict::kError;
}

}  // namespace

void Stream::open(Instant now) {
    FEDGATE_CHECK(!inbound());
    if (state_ == StreamState::kClosed) return;
    if (!policy_.possible()) return end(StreamEnd::Cause::kNoMethod);
    write_header(our_, their_, false);
    if (state_ != StreamState::kClosed) enter(StreamState::kHeader, now + settings_.header_wait);
}

void Stream::on_header_out(const StreamHeader& header, Instant now) {
    if (header.name != "stream") return fail(StreamError::kBadFormat);
    if (header.stream_namespace != kStreamNamespace ||
        header.default_namespace != kServerNamespace) {
        return fail(StreamError::kInvalidNamespace);
    }
    std::array<char, limits::kStreamIdBytes> memory;
    Sink sink(memory);
    const Bytes id = header.id.empty() ? Bytes() : attribute_value(header.id, sink);
    if (id.size() > limits::kStreamIdBytes || sink.overflowed()) {
        return fail(StreamError::kPolicyViolation);
    }
    peer_id_ = id;
    if (header.dialback) dialback_known_ = true;
    if (is_version_1(header.version)) return enter(StreamState::kFeatures, phase_deadline_);
    // S2S-5: an old server sends no features.
    if (!encrypted() && policy_.tls_required()) return refuse(StreamEnd::Cause::kNoTls);
    choose_method(false, now);
}

void Stream::on_features_out(const Element& features, Instant now) {
    if (!encrypted()) {
        const Element start_tls = features.child("starttls", kTlsNamespace);
        if (start_tls && policy_.tls_offered()) {
            write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            if (state_ == StreamState::kClosed) return;
            return enter(StreamState::kStartTls, now + settings_.tls_wait);
        }
        // S2S-50, N11: whoever strips STARTTLS gets nothing.
        if (policy_.tls_required()) return refuse(StreamEnd::Cause::kNoTls);
        if (start_tls && start_tls.child("required", kTlsNamespace)) {
            return refuse(StreamEnd::Cause::kNoMethod);
        }
    }
    if (features.child("dialback", kDialbackFeature)) dialback_known_ = true;
    sm_offered_ = static_cast<bool>(features.child("sm", kSmNamespace));
    bidi_offered_ = static_cast<bool>(features.child("bidi", kBidiFeature));
    read_limits(features);
    choose_method(offers_external(features), now);
}

// S2S-51..S2S-55.
void Stream::choose_method(bool external_offered, Instant now) {
    if (role_ == Role::kVerify) {
        enter(StreamState::kOpen);
        establish_deadline_ = kNever;
        return ask_queued();
    }
    if (sasl_done_) {
        Pair* pair = make_pair(our_, their_);
        FEDGATE_CHECK(pair != nullptr);
        return on_proved_out(*pair, now);
    }
    ask_for_bidi();
    if (!encrypted() || !proved_ || !policy_.external || !external_offered)
        return start_dialback(now);
    char memory[2 * limits::kJidPartBytes];
    Sink out(memory);
    write_sasl_auth(out, our_);
    write(out.written());
    if (state_ != StreamState::kClosed) enter(StreamState::kSasl, now + settings_.sasl_wait);
}

// S2S-15. A session that is to be resumed was one-way, and stays so.
void Stream::ask_for_bidi() {
    if (!policy_.bidi || !bidi_offered_ || lost_) return;
    char memory[256];
    Sink out(memory);
    write_start(out, "bidi", {{"xmlns", kBidiNamespace}});
    write_limits(out);  // XEP-0478: we send no features
    write_end(out, "bidi");
    bidi_ = true;
    write(out.written());
}

// S2S-15: only the pair that we have proved is theirs to use as well. For others they open a stream
// of their own.
void Stream::on_key_out(const Element& element) {
    if (!bidi_) return on_unsupported(element);
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    const Bytes their = attribute_to_domain(element.attribute("from"), from_memory);
    const Bytes our = attribute_to_domain(element.attribute("to"), to_memory);
    if (their.empty() || our.empty()) return fail(StreamError::kImproperAddressing);
    const Pair* pair = find_pair(our, their);
    if (pair != nullptr && pair->state == Pair::State::kValid) {
        return answer("db:result", our, their, {}, "valid");
    }
    answer_error("db:result", our, their, {}, StanzaCondition::kPolicyViolation);
}

void Stream::on_stanza_out(const Frame& frame, const Stanza& stanza, Action& action) {
    if (state_ == StreamState::kClosing && !(bidi_ && authenticated())) return;
    if (!bidi_) return fail(StreamError::kNotAuthorized);
    on_stanza_in(frame, stanza, action);
}

void Stream::start_dialback(Instant now) {
    if (!policy_.dialback(encrypted()) || !dialback_known_ || peer_id_.empty()) {
        return refuse(state_ == StreamState::kSasl ? StreamEnd::Cause::kRefused
                                                   : StreamEnd::Cause::kNoMethod);
    }
    const Pair* pair = make_pair(our_, their_);
    FEDGATE_CHECK(pair != nullptr);
    write_result(our_);
    if (state_ == StreamState::kClosed) return;
    enter(StreamState::kDialback, now + settings_.dialback_wait);
    ask_queued();
}

// DB-1: the stream id is the one of their header on this stream.
void Stream::write_result(Bytes our) {
    const DialbackKey key = make_dialback_key(settings_.dialback, their_, our, peer_id_);
    char memory[4096];
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    Sink out(memory);
    write_element(out, "db:result",
                  {{"xmlns:db", kDialbackNamespace},
                   {"from", wire_domain(our, from_memory)},
                   {"to", wire_domain(their_, to_memory)}},
                  Bytes(key.data(), key.size()));
    FEDGATE_CHECK(!out.overflowed());
    write(out.written());
}

void Stream::on_proceed_out(Action& action, Instant now) {
    // S2S-12: the server speaks first inside TLS only.
    if (input_left_ != 0) return fail(StreamError::kPolicyViolation);
    enter(StreamState::kTls, now + settings_.tls_wait);
    action.kind = Action::Kind::kStartTls;
}

void Stream::on_success_out(Instant now) {
    sasl_done_ = true;
    restart();
    open(now);
}

// DB-7, DB-9.
void Stream::on_result_out(const Element& element, Action& action, Instant now) {
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    const Bytes their = attribute_to_domain(element.attribute("from"), from_memory);
    const Bytes our = attribute_to_domain(element.attribute("to"), to_memory);
    Pair* pair = find_pair(our, their);
    if (pair == nullptr || pair->state != Pair::State::kPending) {
        ++counts_.answers_dropped;
        return;
    }
    const Verdict verdict = verdict_of(element);
    if (verdict == Verdict::kValid) return on_proved_out(*pair, now);
    pair->state = Pair::State::kFree;
    action.kind = Action::Kind::kPairRefused;
    action.verdict = verdict;
    action.our = pair->our;
    action.their = pair->their;
    if (verdict == Verdict::kInvalid) {
        closing_cause_ = StreamEnd::Cause::kRefused;
        return close(now);
    }
    enter(StreamState::kOpen);
    establish_deadline_ = kNever;
}

void Stream::on_proved_out(Pair& pair, Instant now) {
    // S2S-54: what is told of them, not of us.
    prove(pair, proved_       ? Proof::kCertificate
                : encrypted() ? Proof::kDialbackTls
                              : Proof::kDialbackClear);
    if (bidi_) framer_.set_element_bytes_max(settings_.stanza_bytes_max);
    if (sm_offered_ && settings_.sm) {
        pair.announce = false;  // told when acknowledgements are on, so that every stanza counts
        start_sm_out(now);
    } else {
        enter(StreamState::kOpen);
        establish_deadline_ = kNever;
    }
    ask_queued();
}

bool Stream::request_verify(Bytes our, Bytes their, Bytes id, Bytes key, Instant now) {
    if (inbound() || state_ >= StreamState::kClosing) return false;
    if (role_ == Role::kOutbound && !dialback_known_) return false;  // it might end the stream
    auto free = std::find_if(questions_.begin(), questions_.end(), [](const Question& question) {
        return question.state == Question::State::kFree;
    });
    if (free == questions_.end()) {
        if (questions_.size() == limits::kStreamQuestions) return false;
        free = questions_.emplace(questions_.end());
    }
    *free = {Question::State::kQueued, std::string(our), std::string(their),
             std::string(id),          std::string(key), now + settings_.dialback_wait};
    ask_queued();
    return true;
}

// Not before TLS and EXTERNAL are settled: a restart would forget the question.
void Stream::ask_queued() {
    if (state_ != StreamState::kDialback && state_ != StreamState::kEnable &&
        state_ != StreamState::kOpen) {
        return;
    }
    for (Question& question : questions_) {
        if (question.state != Question::State::kQueued) continue;
        char memory[8192];
        DomainBuffer from_memory;
        DomainBuffer to_memory;
        Sink out(memory);
        write_element(out, "db:verify",
                      {{"xmlns:db", kDialbackNamespace},
                       {"from", wire_domain(question.our, from_memory)},
                       {"to", wire_domain(question.their, to_memory)},
                       {"id", question.id}},
                      question.key);
        if (out.overflowed()) {
            question.deadline = Instant::min();  // told at the next on_deadline()
            continue;
        }
        question.state = Question::State::kAsked;
        write(out.written());
    }
}

// DB-7.
void Stream::on_verify_out(const Element& element, Action& action) {
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    std::array<char, limits::kStreamIdBytes> id_memory;
    Sink id(id_memory);
    const Bytes their = attribute_to_domain(element.attribute("from"), from_memory);
    const Bytes our = attribute_to_domain(element.attribute("to"), to_memory);
    const bool has_id = element.attribute("id", id);
    for (Question& question : questions_) {
        if (question.state != Question::State::kAsked || !has_id) continue;
        if (question.our != our || question.their != their || question.id != id.written()) continue;
        question.state = Question::State::kFree;
        action.kind = Action::Kind::kVerifyAnswer;
        action.verdict = verdict_of(element);
        action.our = question.our;
        action.their = question.their;
        action.id = question.id;
        return;
    }
    ++counts_.answers_dropped;
}

}  // namespace fedgate::xml
