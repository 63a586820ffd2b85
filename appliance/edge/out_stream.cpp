#include "appliance/edge/out_stream.hpp"

#include <algorithm>
#include <utility>

#include "appliance/edge/between_servers.hpp"
#include "xml/certificate.hpp"
#include "xml/jid.hpp"

namespace fedgate::edge {

namespace {

// S2S-16: ask for an acknowledgement when the oldest is that old.
constexpr Duration kAcknowledgementDelay = 5s;
// And a ping, where it has to serve, when so many were written after the last one.
constexpr std::uint64_t kStanzasPerPing = 50;
constexpr std::size_t kPingsMax = 32;
// S2S-17: no acknowledgement for so long, and the stream is taken for dead. Only a partner that has
// never answered a ping (it may not be able to reach us) is let off: what is so old that its host
// has confirmed the bytes, or the connection would be over, is not held in doubt then.
constexpr Duration kPatience = 30s;
constexpr Duration kHostConfirmed = kTcpUserTimeout + 5s;
constexpr Duration kTick = 1s;
// Room among the unacknowledged comes when what was written leaves, which nobody tells.
constexpr Duration kRoomTick = 2ms;
// Draining: how long to wait for what was written to be acknowledged.
constexpr Duration kDrainMax = 3s;
// S2S-21: a refusal is remembered.
constexpr Duration kPermanentFirst = 60s;
constexpr Duration kPermanentMax = 3'600s;
// From this part of the queue on its asker is not read: the rest is for the answers to what was
// read already. Who proves us by dialback may ask about our key behind its stanzas: it is read so
// long.
constexpr std::size_t kAnswersPart = 4;
constexpr Duration kProofTime = 2s;

// Without a ticket a message is an error for one of theirs, which nobody else would tell.
bool is_error(link::Ticket ticket, Bytes stanza) {
    return ticket == 0 && stanza.starts_with("<message");
}

}  // namespace

OutStream::OutStream(Context& context, OutStreamOwner& owner, std::string our, std::string their)
    : context_(context),
      owner_(owner),
      our_(std::move(our)),
      their_(std::move(their)),
      initiator_(context, *this, xml::Stream::Role::kOutbound, our_, their_),
      timer_(*this) {}

void OutStream::send(link::Ticket ticket, Bytes stanza) {
    const Instant now = context_.loop.now();
    if (draining_) return refuse(ticket, link::Fault::kRemoteFailing);
    if (!context_.stream_policy(our_, their_).allowed) return refuse(ticket, link::Fault::kBlocked);
    if (may_take_carrier()) take_carrier();
    if (up() && !waiting_.empty()) flush();
    if (up() && waiting_.empty() && write(ticket, stanza)) return;
    const Duration bound = wait_max(ticket, stanza);
    if (!up() && !initiator_started_) {
        // It has asked just now, so it is back, and waits for this.
        const bool its_turn = lost_with_many_ && ticket == 0 && stanza.starts_with("<iq");
        if (now >= retry_at_ || its_turn) {
            start();
        } else if (permanent_ || (!link::may_wait_long(ticket) &&
                                  !(lost_with_many_ && retry_at_ <= now + bound))) {
            return refuse(ticket, last_fault_);
        }
    }
    if (!may_wait(ticket, stanza, 0)) return refuse(ticket, link::Fault::kQueueFull);
    enqueue(ticket, std::string(stanza));
    look_at_answers();
    arm();
}

// Somebody holds a transaction open for a ticket: its fate must be known before that ends.
Duration OutStream::wait_max(link::Ticket ticket, Bytes stanza) const {
    const Duration wait = context_.rules->settings.xmpp.queue_time;
    if (!link::may_wait_long(ticket)) return std::min(wait, link::kFateWithin);
    return stanza.starts_with("<message") ? std::max(wait, link::kLateNewsKept) : wait;
}

bool OutStream::write(link::Ticket ticket, Bytes stanza) {
    if (!limits().fits(stanza.size())) {  // XEP-0478
        refuse(ticket, link::Fault::kTooLong);
        return true;
    }
    const Instant now = context_.loop.now();
    const bool counted = this->counted();
    if (unacknowledged_.size() >= limits::kUnacknowledgedStanzas &&
        (counted || !has_left(unacknowledged_.front()))) {
        return false;
    }
    const bool resumable = stream_ != nullptr && stream_->resumable();
    if (resumable && !has_room_to_keep(stanza.size())) return false;
    if (!put(stanza, written_bytes_ + stanza.size())) return false;
    last_space_ = now;
    const bool aside = is_between_servers(stanza);
    if (!aside) last_stanza_ = now;
    context_.stats.add(Counter::kXmppStanzasOut);
    written_bytes_ += stanza.size();
    // Nobody asks what became of the answer to a ping: or two servers would ask each other for
    // ever.
    const bool forget = aside && ticket == 0 && is_empty_answer(stanza);
    if (forget && !counted) return true;
    const bool keep = !forget && (ticket == 0 || resumable);
    unacknowledged_.push_back({ticket, now, now + link::kDoubtWithin, written_bytes_,
                               keep ? std::string(stanza) : std::string()});
    kept_bytes_ += unacknowledged_.back().again.size();
    ++written_count_;
    if (resumable) ask_in_time(stanza.size());
    if (acknowledgement_at_ == kNever) {
        acknowledgement_at_ = now + kAcknowledgementDelay;
        if (!timer_.armed() || timer_.deadline() > acknowledgement_at_) arm();
    }
    if (!counted) {
        const std::uint64_t covered = pings_.empty() ? acknowledged_count_ : pings_.back().covers;
        if (written_count_ - covered >= kStanzasPerPing) send_ping();
        // Nothing stops for a partner that answers no ping.
        if (unacknowledged_.size() > limits::kUnacknowledgedStanzas) acknowledge(1);
    }
    if (ticket != 0) owner_.on_fate({ticket, link::Fate::kWritten, link::Fault::kNone, true});
    return true;
}

void OutStream::acknowledge(std::size_t count) {
    count = std::min(count, unacknowledged_.size());
    for (std::size_t i = 0; i < count; ++i) {
        const link::Ticket ticket = unacknowledged_.front().ticket;
        kept_bytes_ -= unacknowledged_.front().again.size();
        unacknowledged_.pop_front();
        if (ticket != 0) owner_.on_fate({ticket, link::Fate::kAcknowledged});
    }
    acknowledged_count_ += count;
    if (count > 0) barren_ = 0;
    acknowledgement_at_ =
        unacknowledged_.empty() ? kNever : context_.loop.now() + kAcknowledgementDelay;
    close_if_drained();  // not flush(): its write() calls us
}

void OutStream::ask_for_acknowledgement() {
    const Instant now = context_.loop.now();
    const auto is_old = [now](const Written& one) { return now - one.at > kPatience; };
    if (!unacknowledged_.empty() && is_old(unacknowledged_.front())) {
        if (counted() || must_answer_pings()) return give_up();
        acknowledge(static_cast<std::size_t>(std::ranges::count_if(
            unacknowledged_,
            [&](const Written& one) { return now - one.at > kHostConfirmed && has_left(one); })));
    }
    if (counted()) {
        stream_->request_acknowledgement();
    } else if (!unacknowledged_.empty()) {
        send_ping();
    }
    acknowledgement_at_ = unacknowledged_.empty() ? kNever : now + kAcknowledgementDelay;
}

// What stands in the send queue may count for more bytes than the stanzas in it, never for less.
bool OutStream::has_left(const Written& one) const {
    if (carrier_) return one.end <= carrier_left_;
    return one.end + initiator_.connection()->unsent_bytes() <= written_bytes_;
}

void OutStream::send_ping() {
    if (pings_.size() >= kPingsMax) pings_.pop_front();  // a later one covers it
    char memory[limits::kJidPartBytes * 2 + 256];
    xml::DomainBuffer domain;
    Sink out(memory);
    out.append("<iq type='get' from='");  // in domains there is nothing to escape
    out.append(xml::wire_domain(our_, domain));
    out.append("' to='");
    out.append(xml::wire_domain(their_, domain));
    out.append("' id='");
    out.append(kPingId);
    out.append_number(next_ping_);
    out.append("'><ping xmlns='urn:xmpp:ping'/></iq>");  // XEP-0199
    if (out.overflowed() || !put(out.written(), written_bytes_)) return;
    if (counted()) {  // it counts as any stanza does
        unacknowledged_.push_back({0, context_.loop.now(), kNever, written_bytes_, {}});
        ++written_count_;
        stream_->request_acknowledgement();
    }
    pings_.push_back({next_ping_++, written_count_});
}

void OutStream::ping() {
    if (draining_) return;
    if (up()) return send_ping();
    ping_wanted_ = true;
    if (!initiator_started_ && context_.loop.now() >= retry_at_) {
        start();
    }
}

bool OutStream::ask(const Question& question, const Asker& asker) {
    if (stream_ == nullptr || draining_) return false;
    const net::Connection& connection = *initiator_.connection();
    if (connection.secured() && question.is_answered_by(connection.peer())) {  // S2S-44
        owner_.on_answer(asker, xml::Verdict::kValid);
        return true;
    }
    if (!stream_->request_verify(our_, their_, question.id, question.key, context_.loop.now())) {
        return false;
    }
    asked_.push_back({asker, std::string(question.id)});
    initiator_.pump();
    return true;
}

void OutStream::tell_answer(const xml::Action& action) {
    const auto asked = std::ranges::find(asked_, action.id, &Asked::id);
    if (asked == asked_.end()) return;
    owner_.on_answer(asked->asker, action.verdict);
    asked_.erase(asked);
}

void OutStream::on_pong(std::uint64_t number) {
    const auto ping = std::ranges::find(pings_, number, &Ping::number);
    if (!up() || ping == pings_.end()) return;
    heard_at_ = context_.loop.now();
    const auto count = static_cast<std::size_t>(ping - pings_.begin()) + 1;
    if (counted()) {
        pings_.pop_front(count);
        return;
    }
    answers_pings_ = true;
    const std::uint64_t covers = ping->covers;
    pings_.pop_front(count);
    if (covers > acknowledged_count_) {
        acknowledge(static_cast<std::size_t>(covers - acknowledged_count_));
        flush();
    }
}

void OutStream::flush() {
    while (up() && !waiting_.empty()) {
        Waiting& first = waiting_.front();
        if (!write(first.ticket, first.stanza)) break;
        has_left_queue(first);
        waiting_.pop_front();
    }
    look_at_answers();
    close_if_drained();
}

void OutStream::close_if_drained() {
    if (!draining_ || !waiting_.empty()) return;
    // Where nothing counts, the answer to our closing tag acknowledges: that to a ping may come to
    // another edge.
    if (!unacknowledged_.empty() && (carrier_ || counted())) return;
    if (carrier_) return lose_carrier(link::Fault::kRemoteFailing);
    initiator_.close();
}

void OutStream::begin(xml::Proof proof) {
    proof_ = proof;
    failures_ = 0;
    last_fault_ = link::Fault::kNone;
    since_ = last_stanza_ = last_space_ = heard_at_ = context_.loop.now();
    pinged_at_ = kNever;
    owner_.on_news(*this, link::PartnerNews::Kind::kUp, link::Fault::kNone);
    flush();
    // At once, to learn whether it answers at all before it matters (S2S-17).
    if (up() && (ping_wanted_ || !counted())) send_ping();
    ping_wanted_ = false;
    arm();
}

void OutStream::on_received(const xml::Action& action) {
    heard_at_ = context_.loop.now();
    if (!is_between_servers(action.view)) last_stanza_ = heard_at_;
}

void OutStream::on_action(const xml::Action& action) {
    switch (action.kind) {
        case xml::Action::Kind::kPair:
            if (!context_.stream_policy(our_, their_).accepts(action.proof)) {
                give_up_session(link::Fault::kBlocked);
                initiator_.close();  // the rules have changed meanwhile
                return;
            }
            stream_ = initiator_.stream();
            on_resumed();
            begin(action.proof);
            return;
        case xml::Action::Kind::kPairRefused:
            // DB-9. The stream stays with the engine until it closes; nothing of ours may use it.
            context_.tell(
                EventId::kDialbackRefused, FailureKind::kDialback, false, their_,
                initiator_.connection(),
                action.verdict == xml::Verdict::kInvalid
                    ? "its server calls our dialback key invalid: it may have asked "
                      "another server than this one"
                    : "its server could not verify our dialback key: it may not reach us");
            initiator_.told();
            fail_waiting(action.verdict == xml::Verdict::kInvalid ? link::Fault::kRemoteFailing
                                                                  : link::Fault::kUnreachable,
                         false);
            give_up_session(link::Fault::kNotTrusted);
            initiator_.close();
            return;
        case xml::Action::Kind::kVerifyAnswer: tell_answer(action); return;
        case xml::Action::Kind::kAcknowledged:
            acknowledge(action.count);
            flush();
            return;
        case xml::Action::Kind::kResumed:
            acknowledge(action.count);
            if (resumption_) resumption_->granted = true;
            return;
        case xml::Action::Kind::kResumeFailed:
            acknowledge(action.count);
            give_up_session(last_fault_);
            return;
        default: return;
    }
}

void OutStream::on_over(link::Fault fault, bool permanent, Instant retry_at) {
    const Instant now = context_.loop.now();
    const bool was_proved = stream_ != nullptr;
    stream_ = nullptr;
    initiator_started_ = false;
    over_at_ = now;
    acknowledgement_at_ = kNever;
    ping_wanted_ = false;
    for (const Asked& one : std::exchange(asked_, {})) owner_.on_answer(one.asker, std::nullopt);
    last_fault_ = fault;
    permanent_ = permanent;
    using News = link::PartnerNews::Kind;
    const bool expected = initiator_.closed_by_us() || (was_proved && initiator_.closed_in_order());
    if (!draining_ && !expected) {
        owner_.on_news(*this, was_proved && !permanent ? News::kBroke : News::kDown, fault);
    }
    if (const auto lost = initiator_.take_lost()) keep_session(*lost);
    if (initiator_.close_answered()) acknowledge(unacknowledged_.size());
    if (!resumption_ || permanent || draining_) {
        resumption_.reset();
        tell_doubts(fault);
    }
    if (may_take_carrier()) return take_carrier();
    net::LoopRandom random(context_.loop);
    lost_with_many_ = false;
    if (!was_proved || permanent) {
        ++failures_;
        const unsigned doublings = std::min(failures_ - 1, 6U);
        // S2S-21; otherwise DNS-8: traffic finds the first return within 5 s.
        retry_at_ = permanent ? now + std::min(kPermanentFirst * (1U << doublings), kPermanentMax)
                              : retry_at_after(fault, retry_at);
        fail_waiting(fault, permanent);
    } else if (const Duration delay =
                   initiator_.closed_by_us()
                       ? Duration{}
                       : context_.mass_loss.delay(initiator_.last_reached(), now, random);
               delay > Duration{}) {
        lost_with_many_ = true;
        retry_at_ = now + delay;
    } else if (resumption_ || (!waiting_.empty() && !draining_)) {  // S2S-21: on a new stream
        resume_soon();
    }
    arm();
}

// What was written and not acknowledged: nobody knows whether it came (S2S-16). Somebody waits for
// what has a ticket, and is told. What has none is an answer of ours, an error as a rule: to say it
// twice does no harm, not to say it would be silence.
void OutStream::tell_doubts(link::Fault fault) {
    Fifo<Written> in_doubt = std::exchange(unacknowledged_, {});
    Fifo<Waiting> behind = std::exchange(waiting_, {});
    pings_.clear();
    acknowledgement_at_ = kNever;
    written_count_ = acknowledged_count_ = written_bytes_ = kept_bytes_ = unasked_bytes_ = 0;
    std::size_t count = 0;
    for (Written& one : in_doubt) {
        if (one.ticket != 0 || one.again.empty()) continue;  // a ping is not sent again
        if (!may_wait(0, one.again, behind.size())) {
            refuse(0, link::Fault::kQueueFull);
            continue;
        }
        enqueue(0, std::move(one.again));
    }
    for (Waiting& one : behind) waiting_.push_back(std::move(one));
    for (const Written& one : in_doubt) {
        if (!link::is_asked(one.ticket)) continue;
        owner_.on_fate({one.ticket, link::Fate::kInDoubt, fault});
        ++count;
    }
    if (count > 0) {
        context_.log.event(EventId::kStanzaInDoubt, {{"partner", their_}, {"count", count}});
    }
}

// DNS-8 paces what can't be reached; a peer that is there and does not want us is asked less and
// less.
Instant OutStream::retry_at_after(link::Fault fault, Instant not_before) const {
    const auto& xmpp = context_.rules->settings.xmpp;
    const Instant now = context_.loop.now();
    if (fault == link::Fault::kUnreachable)
        return std::max(not_before, begun_at_ + xmpp.retry_first);
    const unsigned doublings = std::min(failures_ - 1, 16U);
    const Duration most = std::min(xmpp.retry_first * (1U << doublings), xmpp.retry_max);
    // DNS-9: full jitter.
    net::LoopRandom random(context_.loop);
    const auto most_ms = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(most).count());
    const auto pause = std::max<Duration>(std::chrono::milliseconds(random.below(most_ms + 1)),
                                          xmpp.retry_first / 2);
    return std::max(not_before, now + pause);
}

// Our answers, which have no ticket, wait on for a stream unless the partner is gone for good.
void OutStream::fail_waiting(link::Fault fault, bool answers_too) {
    waiting_.erase_if([&](const Waiting& one) {
        if (link::may_wait_long(one.ticket) && !answers_too) return false;
        has_left_queue(one);
        refuse(one.ticket, fault);
        return true;
    });
    look_at_answers();
}

void OutStream::refuse(link::Ticket ticket, link::Fault fault) {
    context_.stats.add(Counter::kXmppStanzasRefused);
    if (!link::may_wait_long(ticket)) {
        return owner_.on_fate({ticket, link::Fate::kFailed, fault});
    }
    context_.tell_answer_lost(our_, their_);
}

// `more`: stanzas that are set aside, and wait too. The errors for messages that were under way
// when their partner was read no more may be more than its queue holds: a SIP pool that fails fails
// them all at once. They wait beyond it, or their senders would never learn.
bool OutStream::may_wait(link::Ticket ticket, Bytes stanza, std::size_t more) const {
    if (waiting_.size() + more < limits::kDomainPairQueueStanzas &&
        waiting_bytes_ + stanza.size() <= context_.rules->settings.xmpp.queue_bytes) {
        return true;
    }
    return is_error(ticket, stanza) &&
           context_.errors_waiting_bytes + stanza.size() <= limits::kErrorsWaitingBytes;
}

void OutStream::enqueue(link::Ticket ticket, std::string stanza) {
    const Instant until = context_.loop.now() + wait_max(ticket, stanza);
    waiting_bytes_ += stanza.size();
    if (ticket == 0) {
        ++answers_;
        answers_bytes_ += stanza.size();
    }
    if (is_error(ticket, stanza)) context_.errors_waiting_bytes += stanza.size();
    waiting_.push_back({ticket, until, std::move(stanza)});
}

void OutStream::has_left_queue(const Waiting& one) {
    waiting_bytes_ -= one.stanza.size();
    if (one.ticket != 0) return;
    --answers_;
    answers_bytes_ -= one.stanza.size();
    if (is_error(0, one.stanza)) context_.errors_waiting_bytes -= one.stanza.size();
}

// Who does not take our answers is not read, until half of them have gone.
void OutStream::look_at_answers() {
    const Instant now = context_.loop.now();
    const bool told = answers_told_at_ != kNever;
    const std::size_t part = kAnswersPart * (told ? 2 : 1);
    const bool many = answers_ >= limits::kDomainPairQueueStanzas / part ||
                      answers_bytes_ >= context_.rules->settings.xmpp.queue_bytes / part;
    const bool wait = many && !is_being_proved();
    if (wait ? told && now < answers_told_at_ + kAnswersToldEvery : !told) return;
    answers_told_at_ = wait ? now : kNever;
    owner_.on_answers(*this, wait);
}

// S2S-66, on a stream of our own that goes both ways. There its acknowledgements come in behind its
// stanzas, and have to be read on for while it takes what we write.
bool OutStream::answers_wait() {
    if (answers_told_at_ == kNever) return false;
    if (initiator_.connection()->unsent_bytes() > 0) return true;
    return !unacknowledged_.empty() &&
           context_.loop.now() - unacknowledged_.front().at > kAcknowledgementDelay;
}

bool OutStream::is_being_proved() const {
    if (!initiator_started_ || stream_ != nullptr) return false;
    const xml::StreamPolicy policy = context_.stream_policy(our_, their_);
    return (policy.dialback_tls || policy.dialback_clear) &&
           context_.loop.now() < begun_at_ + kProofTime;
}

// While we do not read it, its silence says nothing.
bool OutStream::must_answer_pings() const { return answers_pings_ && answers_told_at_ == kNever; }

void OutStream::expire() {
    const Instant now = context_.loop.now();
    // Tickets wait shorter than others, so the front need not be the first to go.
    waiting_.erase_if([&](const Waiting& one) {
        if (one.until > now) return false;
        has_left_queue(one);
        refuse(one.ticket, link::Fault::kExpired);
        return true;
    });
    look_at_answers();
}

void OutStream::on_timer(Timer&) {
    const Instant now = context_.loop.now();
    expire();
    expire_doubts();
    if (carrier_) watch_carrier();
    const net::Connection* connection = initiator_.connection();
    if (stream_ != nullptr && connection != nullptr) {
        if (now >= acknowledgement_at_) ask_for_acknowledgement();
        flush();  // what waits for room among the unacknowledged
        if (connection->unsent_bytes() > 0 && now - connection->last_progress() > kWriteTimeout) {
            initiator_.abort();
        } else if (draining_ && now >= drain_until_) {
            initiator_.close();
        } else if (waiting_.empty() && unacknowledged_.empty() &&
                   now - last_stanza_ > context_.rules->settings.xmpp.inactivity) {
            initiator_.close();  // S2S-18
        } else {
            keep_alive();
        }
    }
    // Answers that wait want a stream too.
    if (may_take_carrier()) take_carrier();
    if (!up() && (!waiting_.empty() || resumption_) && !initiator_started_ && !draining_ &&
        now >= retry_at_) {
        start();
    }
    arm();
}

// S2S-17, X10.
void OutStream::keep_alive() {
    const Instant now = context_.loop.now();
    const Duration interval = context_.rules->settings.xmpp.keepalive_interval;
    const rules::Partner* partner = context_.rules->partner(their_);
    if (partner == nullptr || !partner->keepalive) return;
    if (now - last_space_ > context_.space_pause(stream_->limits())) {
        last_space_ = now;
        initiator_.send_space();
    }
    heard_at_ = std::max(heard_at_, initiator_.connection()->last_received());
    if (pinged_at_ != kNever && heard_at_ > pinged_at_) pinged_at_ = kNever;
    if (pinged_at_ == kNever) {
        if (now - heard_at_ <= interval) return;
        pinged_at_ = now;
        send_ping();
    } else if (now - pinged_at_ > kPatience) {
        if (stream_->resumable()) return initiator_.abort();  // an error would end the session
        if (stream_->acknowledges() || must_answer_pings()) {
            return initiator_.fail(xml::StreamError::kConnectionTimeout);
        }
        heard_at_ = now;  // it never answers: asked again after the next interval
        pinged_at_ = kNever;
    }
}

void OutStream::start() {
    initiator_started_ = true;
    begun_at_ = context_.loop.now();
    look_at_answers();
    initiator_.resume(resumption_ ? std::optional(resumption_->session) : std::nullopt);
    initiator_.start();
}

void OutStream::arm() {
    waiting_.trim();
    unacknowledged_.trim();
    pings_.trim();
    if (stream_ == nullptr && waiting_.empty() && unacknowledged_.empty() && !resumption_) {
        timer_.cancel();
        return;
    }
    const bool awaits_room = up() && !waiting_.empty() && !counted();
    const Duration tick = awaits_room ? kRoomTick : kTick;
    context_.loop.timers().arm(timer_, std::min(context_.loop.now() + tick, acknowledgement_at_));
}

void OutStream::drain() {
    draining_ = true;
    drain_until_ = context_.loop.now() + kDrainMax;
    if (up()) {
        flush();
        if (up() && !unacknowledged_.empty() && !initiator_.closed_by_us())
            ask_for_acknowledgement();
        arm();
    } else if (!initiator_started_) {
        give_up_session(link::Fault::kRemoteFailing);
        fail_waiting(link::Fault::kRemoteFailing, true);
    }
}

void OutStream::try_again() {
    retry_at_ = {};
    if (!initiator_started_) initiator_.forget_failures();
}

void OutStream::on_partner_seen() {
    if (!draining_ && !up()) try_again();
}

void OutStream::recheck() {
    try_again();  // an administrator has changed something
    const xml::StreamPolicy policy = context_.stream_policy(our_, their_);
    initiator_.recheck();
    if (policy.allowed && (!up() || (policy.accepts(proof_) && initiator_.suffices()))) return;
    spare_.reset();
    if (!policy.allowed) {
        give_up_session(link::Fault::kBlocked);
        fail_waiting(link::Fault::kBlocked, true);
    }
    if (carrier_) {
        give_up();
    } else if (policy.allowed) {
        initiator_.close();  // the next one is judged by the new rules
    } else {
        initiator_.fail(xml::StreamError::kPolicyViolation);
    }
}

void OutStream::recheck_proof() {
    if (stream_ == nullptr || proof_ != xml::Proof::kCertificate || initiator_.proves_still())
        return;
    const std::string why = xml::why_not_covered(initiator_.connection()->peer(), their_);
    initiator_.fail(xml::StreamError::kReset);  // S2S-32
    context_.tell(EventId::kCertificateRefused, FailureKind::kCertificate, false, their_,
                  initiator_.connection(), why);
}

bool OutStream::idle() const {
    // A refusal is remembered for a while longer than it holds, so that the next one counts on.
    const Duration memory = failures_ > 0 ? kPermanentFirst : Duration{};
    return !initiator_started_ && waiting_.empty() && !resumption_ && !carrier_ && !spare_ &&
           context_.loop.now() >= retry_at_ + memory;
}

bool OutStream::forgettable() const {
    return idle() && context_.loop.now() >= over_at_ + net::TargetPool::kHold;
}

const char* OutStream::state_name() const {
    if (up()) return "established";
    if (initiator_started_) return "connecting";
    return context_.loop.now() < retry_at_ ? "waiting" : "idle";
}

}  // namespace fedgate::edge
