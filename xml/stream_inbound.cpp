// Streams that a peer opened: it proves itself, then its stanzas come in.
#include "xml/certificate.hpp"
#include "xml/sasl.hpp"
#include "xml/stanza_error.hpp"
#include "xml/stream.hpp"
#include "xml/stream_parts.hpp"
#include "xml/writer.hpp"

namespace fedgate::xml {

namespace {

// DB-6: what the asker is told when the authoritative server could not confirm.
StanzaCondition condition_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::kValid:
        case Verdict::kInvalid: return StanzaCondition::kForbidden;
        case Verdict::kError:
        case Verdict::kNoSuchDomain: return StanzaCondition::kRemoteServerNotFound;
        case Verdict::kUnreachable:
        case Verdict::kTimeout: return StanzaCondition::kRemoteServerTimeout;
        case Verdict::kDenied: return StanzaCondition::kPolicyViolation;
        case Verdict::kOverLimit: return StanzaCondition::kResourceConstraint;
    }
    return StanzaCondition::kRemoteServerNotFound;
}

}  // namespace

void Stream::on_header_in(const StreamHeader& header) {
    const StreamError error = check_header_in(header);
    if (error != StreamError::kNone) return fail(error);
    if (judged_later_) return;
    if (refusal_ != StreamError::kNone) return fail(refusal_, refusal_text_);
    write_header(our_, their_, true);
    if (peer_is_1_0_) write_features_in();
    if (state_ == StreamState::kClosed) return;
    enter(StreamState::kNegotiating);
    if (sasl_done_) become_open();
}

StreamError Stream::check_header_in(const StreamHeader& header) {
    // What was said before TLS counts for nothing now; what EXTERNAL has proved does.
    const std::string proved_domain = sasl_done_ ? their_ : std::string();
    our_.clear();
    their_.clear();
    proved_ = false;
    policy_ = StreamPolicy();
    peer_is_1_0_ = is_version_1(header.version);

    if (header.name != "stream") return StreamError::kBadFormat;  // S2S-6
    if (header.stream_namespace != kStreamNamespace) return StreamError::kInvalidNamespace;
    if (header.default_namespace != kServerNamespace) return StreamError::kInvalidNamespace;

    DomainBuffer memory;
    const Bytes from = attribute_to_domain(header.from, memory);
    their_ = from;
    DomainBuffer to_memory;
    const Bytes to = attribute_to_domain(header.to, to_memory);
    if (to.empty()) return StreamError::kImproperAddressing;  // S2S-4, and what is no domain
    switch (host_.serves(to)) {
        case Served::kNo: return StreamError::kHostUnknown;
        case Served::kGone: return StreamError::kHostGone;
        case Served::kYes: our_ = to; break;
    }
    if (from.empty()) {
        if (header.from.data() != nullptr) return StreamError::kInvalidFrom;
        if (encrypted()) return StreamError::kImproperAddressing;  // S2S-4: before TLS only
    }
    if (sasl_done_ && their_ != proved_domain) return StreamError::kInvalidFrom;

    policy_ = host_.policy(our_, their_);
    if (!policy_.possible()) return StreamError::kPolicyViolation;
    proved_ = is_covered(their_);
    // S2S-5: without features there is neither TLS nor EXTERNAL.
    if (!peer_is_1_0_ && !policy_.dialback(encrypted())) return StreamError::kUnsupportedVersion;
    return StreamError::kNone;
}

// CERT-1: with the roots that are good for that domain.
bool Stream::is_covered(Bytes their) {
    if (!encrypted() || their.empty()) return false;
    const Judged judged = host_.judges(their);
    judged_later_ = judged == Judged::kLater;
    return judged == Judged::kYes && covers(*peer_, their, direct_tls_);
}

// S2S-11; the rows of section 10.3.
void Stream::write_features_in() {
    char memory[768];
    Sink out(memory);
    out.append("<stream:features>");
    bool dialback = false;
    if (sasl_done_) {
        if (settings_.sm) write_empty(out, "sm", {{"xmlns", kSmNamespace}});
    } else if (encrypted()) {
        if (policy_.external && proved_) {  // N10, S2S-43
            write_start(out, "mechanisms", {{"xmlns", kSaslNamespace}});
            out.append("<mechanism>EXTERNAL</mechanism></mechanisms>");
        }
        dialback = policy_.dialback_tls || proved_;
    } else {
        if (policy_.tls_offered()) {
            write_start(out, "starttls", {{"xmlns", kTlsNamespace}});
            if (policy_.tls_required()) out.append("<required/>");  // S2S-40, S2S-41
            out.append("</starttls>");
        }
        dialback = policy_.dialback_clear;  // S2S-42
    }
    if (dialback) {
        write_start(out, "dialback", {{"xmlns", kDialbackFeature}});
        out.append("<errors/></dialback>");
    }
    if (!sasl_done_ && policy_.bidi && (dialback || (encrypted() && policy_.external && proved_))) {
        write_empty(out, "bidi", {{"xmlns", kBidiFeature}});  // S2S-15
    }
    if (sasl_done_ || encrypted() || dialback) write_limits(out);
    out.append("</stream:features>");
    write(out.written());
}

void Stream::on_start_tls_in(Action& action, Instant now) {
    if (encrypted() || !policy_.tls_offered()) {
        write("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        return refuse(StreamEnd::Cause::kNoTls);
    }
    // S2S-12: what was sent before the handshake may be anybody's.
    if (input_left_ != 0) return fail(StreamError::kPolicyViolation);
    write("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    if (state_ == StreamState::kClosed) return;
    pairs_.clear();  // what was asked for in clear text is forgotten
    bidi_ = false;
    limits_ = {};
    enter(StreamState::kTls, now + settings_.tls_wait);
    action.kind = Action::Kind::kStartTls;
}

void Stream::on_auth_in(const Element& element, Instant now) {
    const bool offered = encrypted() && policy_.external && proved_;  // N10, N11
    char memory[2 * limits::kJidPartBytes];
    Sink text(memory);
    const bool fits = element.text(text);
    const SaslOutcome outcome =
        fits ? judge_sasl_auth(element.attribute("mechanism"), text.written(), their_, offered)
             : SaslOutcome::kIncorrectEncoding;
    char reply[256];
    Sink out(reply);
    if (outcome != SaslOutcome::kSuccess) {
        write_sasl_failure(out, outcome);
        write(out.written());
        // S2S-45: nothing else would be accepted. Otherwise dialback may follow on the same stream.
        if (!offered && !policy_.dialback(encrypted())) fail(StreamError::kNotAuthorized);
        return;
    }
    Pair* pair = find_pair(our_, their_);
    if (pair == nullptr) pair = make_pair(our_, their_);
    if (pair == nullptr) return fail(StreamError::kResourceConstraint);
    write_sasl_success(out);
    write(out.written());
    if (state_ == StreamState::kClosed) return;
    pair->external = true;
    prove(*pair, Proof::kCertificate);
    for (Pair& other : pairs_) {  // asked for under a stream id that ends here
        if (other.state == Pair::State::kPending) other.state = Pair::State::kFree;
    }
    sasl_done_ = true;
    restart();
    enter(StreamState::kHeader, now + settings_.header_wait);
}

// S2S-15: what they prove from here on is proved for ours to them too.
void Stream::on_bidi_in(const Element& element) {
    if (!policy_.bidi || (!encrypted() && policy_.tls_required())) return;  // not offered
    bidi_ = true;
    read_limits(element);  // XEP-0478: they send no features
}

void Stream::on_result_in(const Element& element, Action& action, Instant now) {
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    const Bytes their = attribute_to_domain(element.attribute("from"), from_memory);
    const Bytes our = attribute_to_domain(element.attribute("to"), to_memory);
    if (their.empty() || our.empty()) return fail(StreamError::kImproperAddressing);
    const auto refuse_with = [&](StanzaCondition condition) {
        answer_error("db:result", our, their, {}, condition);
    };
    if (host_.serves(our) != Served::kYes) {  // DB-5
        return refuse_with(StanzaCondition::kItemNotFound);
    }
    const StreamPolicy policy = host_.policy(our, their);
    if (!policy.possible()) return refuse_with(StanzaCondition::kPolicyViolation);
    if (!encrypted() && policy.tls_required()) {  // S2S-40
        refuse_with(StanzaCondition::kPolicyViolation);
        return fail(StreamError::kPolicyViolation);
    }
    Pair* pair = find_pair(our, their);
    if (pair != nullptr && pair->state == Pair::State::kPending) return;  // its answer will come
    if (pair != nullptr) return answer("db:result", our, their, {}, "valid");

    const bool covered = is_covered(their);
    if (judged_later_) return;
    if (!covered && !policy.dialback(encrypted())) {  // S2S-45, S2S-46
        refuse_with(StanzaCondition::kNotAuthorized);
        if (!authenticated()) fail(StreamError::kNotAuthorized);
        return;
    }
    if (key_ == nullptr) key_ = std::make_unique<std::array<char, limits::kDialbackKeyBytes>>();
    Sink key(*key_);
    if (!element.text(key)) return fail(StreamError::kPolicyViolation);
    pair = make_pair(our, their);
    if (pair == nullptr) return refuse_with(StanzaCondition::kResourceConstraint);
    if (covered) {  // S2S-43: no need to dial back
        answer("db:result", our, their, {}, "valid");
        prove(*pair, Proof::kCertificate);
        return become_open();
    }
    pair->deadline = now + settings_.dialback_wait;  // DB-5
    if (!authenticated()) {  // what we ask does not count as the peer's time
        establish_deadline_ = begun_ + std::min(settings_.establish_max,
                                                settings_.login_wait + settings_.dialback_wait);
    }
    action.kind = Action::Kind::kVerify;
    action.our = pair->our;
    action.their = pair->their;
    action.id = Bytes(id_.data(), id_.size());
    action.key = key.written();
}

void Stream::verified(Bytes our, Bytes their, Bytes id, Verdict verdict, Instant now) {
    key_.reset();
    // A restart has ended what was asked for the stream before it.
    if (id != this->id()) return;
    Pair* pair = find_pair(our, their);
    if (state_ == StreamState::kClosed || pair == nullptr) return;
    if (pair->state != Pair::State::kPending) return;
    if (verdict == Verdict::kValid) {
        answer("db:result", pair->our, pair->their, {}, "valid");
        prove(*pair, encrypted() ? Proof::kDialbackTls : Proof::kDialbackClear);  // S2S-42, S2S-44
        return become_open();
    }
    pair->state = Pair::State::kFree;
    if (verdict != Verdict::kInvalid || authenticated()) {
        answer_error("db:result", pair->our, pair->their, {}, condition_of(verdict));
        return;
    }
    answer("db:result", pair->our, pair->their, {}, "invalid");  // DB-6
    closing_cause_ = StreamEnd::Cause::kRefused;
    close(now);
}

// DB-8: stateless, and whoever asks.
void Stream::on_verify_in(const Element& element) {
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    const Bytes asker = attribute_to_domain(element.attribute("from"), from_memory);
    const Bytes our = attribute_to_domain(element.attribute("to"), to_memory);
    std::array<char, limits::kStreamIdBytes> id_memory;
    Sink id(id_memory);
    if (asker.empty() || our.empty()) return fail(StreamError::kImproperAddressing);
    if (!element.attribute("id", id)) {
        return fail(id.overflowed() ? StreamError::kPolicyViolation : StreamError::kBadFormat);
    }
    if (host_.serves(our) != Served::kYes) {
        return answer_error("db:verify", our, asker, id.written(), StanzaCondition::kItemNotFound);
    }
    if (!encrypted() && host_.policy(our, asker).tls_required()) {  // S2S-40
        answer_error("db:verify", our, asker, id.written(), StanzaCondition::kPolicyViolation);
        return fail(StreamError::kPolicyViolation);
    }
    std::array<char, limits::kDialbackKeyBytes> key_memory;
    Sink key(key_memory);
    const bool valid = element.text(key) && check_dialback_key(settings_.dialback, asker, our,
                                                               id.written(), key.written());
    answer("db:verify", our, asker, id.written(), valid ? "valid" : "invalid");
}

void Stream::on_stanza_in(const Frame& frame, const Stanza& stanza, Action& action) {
    if (stanza.from.data() == nullptr || stanza.to.data() == nullptr) {  // S2S-9
        return fail(StreamError::kImproperAddressing);
    }
    JidBuffer from_memory;
    JidBuffer to_memory;
    Sink from_sink(from_memory);
    Sink to_sink(to_memory);
    const auto from = split_jid(stanza.decoded(stanza.from, from_sink));
    const auto to = split_jid(stanza.decoded(stanza.to, to_sink));
    if (!from) return fail(StreamError::kInvalidFrom);
    Pair* pair = last_pair_ < pairs_.size() ? &pairs_[last_pair_] : nullptr;
    const bool same = pair != nullptr && pair->state == Pair::State::kValid && to &&
                      pair->their == from->domain && pair->our == to->domain;
    if (!same) {
        const StreamError error = find_sender(from->domain, to ? to->domain : Bytes(), pair);
        if (error != StreamError::kNone) return fail(error);
        last_pair_ = static_cast<std::size_t>(pair - pairs_.data());
    }
    ++pair->stanzas;
    ++counts_.stanzas_in;
    if (sm_on_) ++sm_handled_;
    stanza_bytes_ = frame.bytes.size();
    action.kind = Action::Kind::kStanza;
    action.proof = pair->proof;
    action.our = to ? Bytes(pair->our) : Bytes();
    action.their = pair->their;
    action.stanza = frame.bytes;
    action.view = stanza;
    action.uses_stream_prefix = frame.uses_stream_prefix;
}

// Which proved pair a stanza belongs to. An empty `to_domain` is a malformed address: the sender
// must be proved all the same.
StreamError Stream::find_sender(Bytes from_domain, Bytes to_domain, Pair*& pair) {
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    const Bytes their = xml::to_domain(from_domain, from_memory);
    const Bytes our = xml::to_domain(to_domain, to_memory);
    bool pending = false;
    Pair* of_sender = nullptr;
    Pair* external = nullptr;
    for (Pair& candidate : pairs_) {
        if (candidate.state == Pair::State::kFree || candidate.their != their) continue;
        if (candidate.state == Pair::State::kPending) {
            pending = true;
            continue;
        }
        if (candidate.our == our) {
            pair = &candidate;
            return StreamError::kNone;
        }
        of_sender = &candidate;
        if (candidate.external) external = &candidate;
    }
    // S2S-9, S2S-10
    if (of_sender == nullptr)
        return pending ? StreamError::kNotAuthorized : StreamError::kInvalidFrom;
    if (our.empty()) {
        pair = of_sender;
        return StreamError::kNone;
    }
    // S2S-33
    if (host_.serves(our) != Served::kYes) return StreamError::kHostUnknown;
    if (external == nullptr) return StreamError::kNotAuthorized;
    pair = derive_pair(our, their);
    return StreamError::kNone;
}

// S2S-33: EXTERNAL holds for all our domains; a pair of its own makes the next stanza cheap. When
// there is no room one of those that the certificate gave makes it: it is found again. The header's
// pair, which was made first, goes last.
Stream::Pair* Stream::derive_pair(Bytes our, Bytes their) {
    Pair* pair = make_pair(our, their);
    for (std::size_t i = pairs_.size(); pair == nullptr && i-- > 0;) {
        if (pairs_[i].external) pair = &pairs_[i];
    }
    FEDGATE_CHECK(pair != nullptr);  // find_sender() has seen one
    pair->our = our;
    pair->external = true;
    pair->state = Pair::State::kValid;
    pair->proof = Proof::kCertificate;
    return pair;
}

void Stream::become_open() {
    if (state_ != StreamState::kNegotiating) return;
    establish_deadline_ = kNever;
    framer_.set_element_bytes_max(settings_.stanza_bytes_max);
    enter(StreamState::kOpen);
}

void Stream::answer(Bytes element, Bytes from, Bytes to, Bytes id, Bytes type) {
    char memory[4096];
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    Sink out(memory);
    write_empty(out, element,
                {{"xmlns:db", kDialbackNamespace},
                 {"from", wire_domain(from, from_memory)},
                 {"to", wire_domain(to, to_memory)},
                 {"id", id},
                 {"type", type}});
    if (out.overflowed()) return fail(StreamError::kPolicyViolation);
    write(out.written());
}

void Stream::answer_error(Bytes element, Bytes from, Bytes to, Bytes id,
                          StanzaCondition condition) {
    char memory[4096];
    DomainBuffer from_memory;
    DomainBuffer to_memory;
    Sink out(memory);
    write_start(out, element,
                {{"xmlns:db", kDialbackNamespace},
                 {"from", wire_domain(from, from_memory)},
                 {"to", wire_domain(to, to_memory)},
                 {"id", id},
                 {"type", "error"}});
    write_start(out, "error", {{"type", name_of(default_type(condition))}});
    write_empty(out, name_of(condition), {{"xmlns", kStanzasNamespace}});
    out.append("</error>");
    write_end(out, element);
    if (out.overflowed()) return fail(StreamError::kPolicyViolation);
    write(out.written());
}

}  // namespace fedgate::xml
