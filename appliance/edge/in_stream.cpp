#include "appliance/edge/in_stream.hpp"

#include <algorithm>

#include "appliance/edge/between_servers.hpp"
#include "appliance/edge/ended.hpp"
#include "net/address.hpp"
#include "xml/certificate.hpp"
#include "xml/stanza.hpp"

namespace fedgate::edge {

namespace {

// S2S-17: how long the answer to a ping may take.
constexpr Duration kPongWait = 30s;
// Of answers that the peer has not read.
constexpr std::size_t kUnreadBytes = limits::kUnsentBytes / 2;
// How often to look what has left of what is carried: nobody tells.
constexpr Duration kCarryTick = 2ms;

}  // namespace

InStream::InStream(Context& context, InStreamOwner& owner, Socket accepted,
                   const SocketAddress& peer, bool direct_tls)
    : context_(context),
      owner_(owner),
      connection_(context.loop, *this,
                  {.input_bytes_max = context.settings.stanza_bytes_max + kInputSlackBytes,
                   .unsent_bytes_max = limits::kUnsentBytes},
                  accepted, peer),
      stream_(*this, context.settings, context.loop.now()),
      deadline_(*this, kDeadline),
      resume_(*this, kResume),
      idle_(*this, kIdle),
      carry_(*this, kCarry),
      intake_(context),
      since_(context.loop.now()),
      direct_tls_(direct_tls) {
    if (direct_tls) {  // XEP-0368
        connection_.start_tls_server(context.tls(), "xmpp-server");
        stream_.expect_tls(context.loop.now());
    }
    context.loop.timers().arm(deadline_, stream_.deadline());
}

void InStream::on_secured(net::Connection& connection) {
    static_cast<void>(judge(stream_.their_domain()));  // asks DNS at once, if it must
    stream_.secured(connection.peer(), direct_tls_, context_.loop.now());
    pump({});
}

std::size_t InStream::on_data(net::Connection&, MutableBytes input) {
    if (place_ != nullptr) place_->heard_at.store(context_.loop.now(), std::memory_order_relaxed);
    intake_.charge(input.size());
    if (!held_ && !closing_ && connection_.unsent_bytes() > kUnreadBytes) {
        // S2S-66: who does not read our answers is not read either, and put out in the end.
        if (context_.loop.now() - connection_.last_progress() > kWriteTimeout) {
            connection_.abort({Errc::kTimeout, 0, "the peer does not read"});
            return input.size();
        }
        hold_until(context_.loop.now() + kUnreadRetry);
    }
    const std::size_t consumed = held_ ? 0 : pump(Bytes(input.data(), input.size()));
    intake_.consumed(consumed);
    // S2S-64: stop reading, never drop
    if (!held_ && !closing_ && intake_.in_debt()) hold_until(intake_.again());
    return consumed;
}

std::size_t InStream::pump(Bytes input) {
    std::size_t consumed = 0;
    // Held: no stanza may go on, but what the engine has to say besides still comes out.
    while (!closing_ && !(held_ && !input.empty())) {
        const xml::Action action = stream_.next(input.substr(consumed), context_.loop.now());
        if (action.kind == xml::Action::Kind::kStanza) {
            if (!on_stanza(action)) {
                consumed += action.consumed - stream_.put_back();
                break;
            }
            consumed += action.consumed;
            continue;
        }
        consumed += action.consumed;
        if (action.kind == xml::Action::Kind::kNone) break;
        act(action);
    }
    if (closing_) return input.size();
    if (dane_awaited_) connection_.pause_input();
    if (stream_.bidi()) offer_carriage();
    if (session_awaited_ && !stream_.resuming()) {
        session_awaited_ = false;
        read_on();
    }
    if (deadline_.deadline() != stream_.deadline() || !deadline_.armed()) {
        context_.loop.timers().arm(deadline_, stream_.deadline());
    }
    return consumed;
}

void InStream::act(const xml::Action& action) {
    switch (action.kind) {
        case xml::Action::Kind::kStartTls:
            // N15: who it says it is. policy() holds it to that.
            connection_.start_tls_server(context_.tls(), {},
                                         context_.tls_floor(stream_.their_domain()));
            return;
        case xml::Action::Kind::kPair: on_pair(action); return;
        case xml::Action::Kind::kVerify:
            owner_.on_verify(*this, action.our, action.their, action.id, action.key);
            return;
        case xml::Action::Kind::kResumable:
            session_ = true;
            owner_.on_session_begun(*this, action.id);
            return;
        case xml::Action::Kind::kResume:
            session_awaited_ = true;
            connection_.pause_input();
            owner_.on_session_wanted(*this, action.id);
            return;
        case xml::Action::Kind::kClosed: on_stream_end(action.end); return;
        default: return;
    }
}

// N15: what one partner was let off with serves no other.
xml::StreamPolicy InStream::policy(Bytes our, Bytes their) {
    if (!connection_.tls_modern() && context_.tls_floor(their) == net::TlsFloor::kModern) return {};
    return context_.stream_policy(our, their);
}

void InStream::on_pair(const xml::Action& action) {
    const Instant now = context_.loop.now();
    if (!is_good(action.our, action.their, action.proof)) {  // the rules have changed meanwhile
        stream_.refuse(xml::StreamError::kPolicyViolation);
        return;
    }
    offer_due_ = true;
    if (!their_.empty()) {  // one more pair on a stream that is counted already
        context_.note_certificate(action.their, connection_, direct_tls_);
        owner_.on_seen(action.our, action.their);
        return;
    }
    const auto admission = owner_.on_authenticated(*this, action.our, action.their);
    if (admission.place == nullptr) {  // S2S-32, X7
        stream_.refuse(xml::StreamError::kResourceConstraint, admission.refusal);
        return;
    }
    place_ = admission.place;
    our_ = action.our;
    their_ = action.their;
    proof_ = action.proof;
    intake_.set_rates(their_);
    last_stanza_ = last_space_ = now;
    watch();
    context_.note_certificate(their_, connection_, direct_tls_);
    context_.stats.add(Counter::kXmppInEstablished);
    context_.log.event(EventId::kStreamEstablished,
                       {{"direction", "in"},
                        {"partner", their_},
                        {"domain", our_},
                        {"peer", net::format_address(connection_.peer_address())},
                        {"tls", connection_.tls_version()}});
    owner_.on_seen(our_, their_);
}

bool InStream::on_stanza(const xml::Action& action) {
    if (owner_.answers_wait(action.our, action.their)) {
        context_.stats.add(Counter::kLinkBackPressure);
        hold_until(context_.loop.now() + kUnreadRetry);
        return false;
    }
    switch (intake_.take(action, stream_.scope())) {
        case Intake::Outcome::kLater: hold_until(intake_.again()); return false;
        case Intake::Outcome::kPong:
            owner_.on_pong(action.our, action.their, intake_.pong());
            return true;
        case Intake::Outcome::kTaken: break;
    }
    if (!is_between_servers(action.view)) last_stanza_ = context_.loop.now();
    return true;
}

void InStream::hold_until(Instant when) {
    held_ = true;
    // While we do not read, its silence says nothing.
    if (place_ != nullptr) place_->heard_at.store(when, std::memory_order_relaxed);
    connection_.pause_input();
    context_.loop.timers().arm(resume_, when);
}

void InStream::read_on() {
    if (held_ || session_awaited_ || dane_awaited_) return;
    connection_.resume_input();  // shows again what was left over
}

bool InStream::answer_session(bool granted, std::optional<std::uint32_t> handled) {
    if (closing_ || !stream_.answer_resume(granted, handled)) return false;
    if (granted) {
        session_ = true;
        context_.stats.add(Counter::kXmppInResumed);
    }
    pump({});
    return true;
}

bool InStream::give_up_session() {
    if (!session_) return false;
    session_ = false;
    fail(xml::StreamError::kConflict);
    return true;
}

void InStream::end_session(bool broken) {
    if (!session_) return;
    session_ = false;
    owner_.on_session_ended(*this, stream_.session().id, broken);
}

std::string InStream::pairs_text() const {
    std::string text;
    for (const xml::Stream::Pair& pair : stream_.pairs()) {
        if (pair.state != xml::Stream::Pair::State::kValid) continue;
        const std::string line = (pair.external ? "*" : pair.our) + ' ' + pair.their + '\n';
        if (!pair.external || text.find(line) == std::string::npos) text += line;
    }
    return text;
}

void InStream::on_timer(Timer& timer) {
    const Instant now = context_.loop.now();
    switch (timer.kind) {
        case kDeadline:
            stream_.on_deadline(now);
            pump({});
            return;
        case kResume:
            held_ = false;
            read_on();
            return;
        case kIdle: watch(); return;
        case kCarry: watch_carried(); return;
        default: return;
    }
}

// S2S-17, S2S-18, X10.
void InStream::watch() {
    const Instant now = context_.loop.now();
    const rules::Settings::Xmpp& xmpp = context_.rules->settings.xmpp;
    if (now >= last_stanza_ + xmpp.inactivity) return close();
    Instant due = last_stanza_ + xmpp.inactivity;
    const rules::Partner* partner = context_.rules->partner(their_);
    if (partner != nullptr && partner->keepalive) {
        // While we do not read, its silence says nothing.
        if (held_) silent_since_ = now;
        silent_since_ = std::max(silent_since_, connection_.last_received());
        if (pinged_at_ != kNever && silent_since_ <= pinged_at_) {
            if (now >= pinged_at_ + kPongWait) {
                broken_ = true;
                return fail(xml::StreamError::kConnectionTimeout);
            }
        } else if (now >= silent_since_ + xmpp.keepalive_interval) {
            pinged_at_ = now;
            owner_.on_silence(*this);
        } else {
            pinged_at_ = kNever;
        }
        due = std::min(due, pinged_at_ != kNever ? pinged_at_ + kPongWait
                                                 : silent_since_ + xmpp.keepalive_interval);
        if (!carried_.empty()) {
            const Duration pause = context_.space_pause(stream_.limits());
            if (now >= last_space_ + pause) {
                last_space_ = now;
                static_cast<void>(connection_.write(" "));
            }
            due = std::min(due, last_space_ + pause);
        }
    }
    context_.loop.timers().arm(idle_, due);
}

// S2S-15. Not before the stream is open: after SASL it begins anew.
void InStream::offer_carriage() {
    if (stream_.state() != xml::StreamState::kOpen) return stop_carrying();
    if (!std::exchange(offer_due_, false)) return;
    for (const xml::Stream::Pair& pair : stream_.pairs()) {
        // Of those that a certificate brings with it only the header's: no other was asked for.
        if (pair.state != xml::Stream::Pair::State::kValid) continue;
        if (pair.external && (pair.our != our_ || pair.their != their_)) continue;
        if (!context_.stream_policy(pair.our, pair.their).bidi) continue;
        const bool known = std::ranges::any_of(carried_, [&](const Carried& one) {
            return one.our == pair.our && one.their == pair.their;
        });
        if (known || !may_carry(pair.their)) continue;
        carried_.push_back({pair.our, pair.their});
        owner_.on_carrying(*this, pair);
    }
}

bool InStream::carry(Bytes our, Bytes their, Bytes stanza, std::uint64_t position) {
    const auto one = std::ranges::find_if(carried_, [&](const Carried& carried) {
        return carried.our == our && carried.their == their;
    });
    if (one == carried_.end()) return false;
    if (!stream_.send(stanza)) {  // S2S-66
        stop_carrying();
        connection_.abort({Errc::kLimit, 0, "peer does not read"});
        return true;
    }
    last_space_ = context_.loop.now();
    if (!is_between_servers(stanza)) last_stanza_ = last_space_;
    one->taken = position;
    if (!carry_.armed()) context_.loop.timers().arm(carry_, last_space_ + kCarryTick);
    return true;
}

// What stands in the send queue counts for each pair: more than is there, never less.
void InStream::watch_carried() {
    const std::uint64_t unsent = connection_.unsent_bytes();
    bool more = unsent > 0;
    for (Carried& one : carried_) {
        const std::uint64_t left = one.taken - std::min(one.taken, unsent);
        if (left <= one.left) continue;
        if (owner_.on_left(*this, one.our, one.their, left)) {
            one.left = left;
        } else {
            more = true;
        }
    }
    const Instant now = context_.loop.now();
    if (unsent > 0 && now - connection_.last_progress() > kWriteTimeout) {  // S2S-66
        stop_carrying();
        connection_.abort({Errc::kTimeout, 0, "peer does not read"});
    } else if (more) {
        context_.loop.timers().arm(carry_, now + kCarryTick);
    }
}

// What is carried already goes on until it is known.
void InStream::recheck_carried() {
    for (std::size_t i = carried_.size(); i-- > 0;) {
        const std::string their = carried_[i].their;
        if (may_carry(their) || find_dane(their) == nullptr) continue;
        stop_carrying(their);
        i = carried_.size();
    }
}

void InStream::stop_carrying(Bytes their) {
    std::erase_if(carried_, [&](const Carried& one) {
        if (!their.empty() && one.their != their) return false;
        owner_.on_carried(*this, one.our, one.their);
        return true;
    });
    if (carried_.empty()) carry_.cancel();
}

void InStream::on_stream_end(const xml::StreamEnd& end) {
    using Cause = xml::StreamEnd::Cause;
    closing_ = true;
    stop_carrying();
    if (end.cause == Cause::kErrorSent || end.cause == Cause::kErrorReceived) {
        const bool sent = end.cause == Cause::kErrorSent;
        context_.stats.add(sent ? Counter::kXmppStreamErrorsSent
                                : Counter::kXmppStreamErrorsReceived);
    }
    tell_why_ended(context_, stream_, end, connection_);
    deadline_.cancel();
    resume_.cancel();
    idle_.cancel();
    connection_.close();
}

void InStream::on_closed(net::Connection&, Error reason) {
    if (reason.code == Errc::kTls) {  // S2S-47
        context_.stats.add(Counter::kXmppTlsFailed);
        tell_tls_failed(context_, true, stream_.their_domain(), connection_, reason);
    }
    broken_ = broken_ || !closing_;
    end_session(!closing_);
    closing_ = true;
    stop_carrying();
    deadline_.cancel();
    resume_.cancel();
    idle_.cancel();
    if (!their_.empty()) {
        context_.stats.subtract(Counter::kXmppInEstablished);
        context_.log.event(EventId::kStreamClosed,
                           {{"direction", "in"}, {"partner", their_}, {"domain", our_}});
    }
    gone_ = true;
    owner_.on_gone(*this);
}

// CERT-1. Who it says it is may differ from what was said before TLS, or come after it.
xml::Judged InStream::judges(Bytes their) {
    const xml::Judged judged = judge(their);
    dane_awaited_ = judged == xml::Judged::kLater;
    return judged;
}

xml::Judged InStream::judge(Bytes their) {
    net::PeerTerms terms = context_.terms(their);
    if (context_.asks_dane(their) && connection_.peer().presented) {
        terms.dane = find_dane(their);
        if (terms.dane == nullptr) return want_dane(their) ? xml::Judged::kLater : xml::Judged::kNo;
    }
    if (judged_by_ != terms.digest()) {
        connection_.judge_with(terms);
        judged_by_ = terms.digest();
    }
    return xml::Judged::kYes;
}

const net::DaneQuestion* InStream::find_dane(Bytes their) const {
    const auto found = std::ranges::find(dane_, their, &net::DaneQuestion::domain);
    return found == dane_.end() ? nullptr : &*found;
}

// One after the other.
bool InStream::want_dane(Bytes their) {
    if (!dane_wanted_.empty()) return true;
    if (dane_.size() >= limits::kStreamPairs || !owner_.on_dane_wanted(*this, their)) return false;
    dane_wanted_ = their;
    return true;
}

void InStream::dane_found(const net::DaneQuestion& answer) {
    dane_wanted_.clear();
    if (closing_) return;
    dane_.push_back(answer);
    offer_due_ = true;
    recheck();
    recheck_proof();
    if (closing_) return;
    pump({});
    if (std::exchange(dane_awaited_, false)) read_on();
}

// CERT-8: ours go only to a server that the domain's TLSA records name, whoever opened the stream.
// Until that is known, and if it is none, they take a stream of our own.
bool InStream::may_carry(Bytes their) {
    if (!context_.asks_dane(their)) return true;
    const net::DaneQuestion* dane = find_dane(their);
    if (dane == nullptr) {
        static_cast<void>(want_dane(their));
        return false;
    }
    if (!dane->decides()) return true;
    const PeerIdentity& peer = connection_.peer();
    return connection_.secured() && judge(their) == xml::Judged::kYes &&
           peer.dane_domain == their && peer.dane != PeerIdentity::Dane::kRefused;
}

void InStream::verified(Bytes our, Bytes their, Bytes id, xml::Verdict verdict) {
    if (closing_) return;
    stream_.verified(our, their, id, verdict, context_.loop.now());
    pump({});
}

void InStream::close() {
    if (closing_) return;
    stream_.close(context_.loop.now());
    pump({});
}

void InStream::fail(xml::StreamError error) {
    if (closing_) return;
    stream_.fail(error);
    pump({});
}

// RFC 6120 4.9.3.3. An error would end the session, with which its server may go on on the new one.
void InStream::give_way() {
    if (closing_) return;
    broken_ = true;
    session_ ? connection_.abort({Errc::kTimeout, 0, "silent, and another one came"})
             : fail(xml::StreamError::kConflict);
}

void InStream::abandon() {
    abandoned_ = closing_ = true;
    stop_carrying();
    deadline_.cancel();
    resume_.cancel();
    idle_.cancel();
    connection_.abort({Errc::kLimit, 0, "makes room"});
}

// RFC 6120 13.7.2.3: a certificate may have been revoked, or its authority be trusted no more.
bool InStream::proves_still() {
    return std::ranges::all_of(stream_.pairs(), [this](const xml::Stream::Pair& pair) {
        if (pair.state != xml::Stream::Pair::State::kValid ||
            pair.proof != xml::Proof::kCertificate) {
            return true;
        }
        // What has to be asked first is judged when the answer comes.
        const xml::Judged judged = judge(pair.their);
        if (judged != xml::Judged::kYes) return judged == xml::Judged::kLater;
        return xml::covers(connection_.peer(), pair.their, direct_tls_);
    });
}

void InStream::recheck_proof() {
    if (closing_ || proves_still()) return;
    fail(xml::StreamError::kReset);  // S2S-32
    context_.tell(EventId::kCertificateRefused, FailureKind::kCertificate, true, their_,
                  &connection_, xml::why_not_covered(connection_.peer(), their_));
}

void InStream::recheck() {
    if (closing_) return;
    offer_due_ = true;
    const bool good = std::ranges::all_of(stream_.pairs(), [this](const xml::Stream::Pair& pair) {
        return pair.state != xml::Stream::Pair::State::kValid ||
               is_good(pair.our, pair.their, pair.proof);
    });
    if (!good) {
        const bool gone = context_.serves(our_) == xml::Served::kGone;  // S2S-4
        return fail(gone ? xml::StreamError::kHostGone : xml::StreamError::kPolicyViolation);
    }
    if (!their_.empty()) {
        intake_.set_rates(their_);
        watch();
    }
    recheck_carried();
    if (held_) hold_until(context_.loop.now());  // looks again
}

}  // namespace fedgate::edge
