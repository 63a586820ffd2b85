// Our side of resumption (XEP-0198, S2S-16): a connection breaks, a new one is opened, the partner
// says how far it had come, and the rest is sent again, in order, once.
#include <algorithm>
#include <utility>

#include "appliance/edge/out_stream.hpp"

namespace fedgate::edge {

namespace {

// However long the partner would keep the session.
constexpr Duration kResumeWithin = 60s;
// Connections that break before anything was acknowledged: so many are followed by the next at
// once, for the rest there is a pause.
constexpr unsigned kBarrenMax = 3;
constexpr Duration kPauseFirst = 1s;
constexpr unsigned kPauseDoublings = 3;

}  // namespace

std::size_t OutStream::kept_bytes_max() const {
    return std::min<std::size_t>(context_.rules->settings.xmpp.queue_bytes, limits::kKeptBytes);
}

bool OutStream::has_room_to_keep(std::size_t bytes) {
    if (kept_bytes_ == 0 || kept_bytes_ + bytes <= kept_bytes_max()) return true;
    if (std::exchange(unasked_bytes_, 0) > 0) stream_->request_acknowledgement();
    return false;
}

// Before the bound stops us; many small stanzas are asked for by their number.
void OutStream::ask_in_time(std::size_t bytes) {
    unasked_bytes_ += bytes;
    if (unasked_bytes_ < kept_bytes_max() / 4) return;
    unasked_bytes_ = 0;
    stream_->request_acknowledgement();
}

// The connection broke.
void OutStream::keep_session(const xml::Session& session) {
    const bool wanted =
        std::ranges::any_of(unacknowledged_, [](const Written& one) { return !one.again.empty(); });
    if (!wanted || session.unacknowledged != unacknowledged_.size()) return;
    const Instant now = context_.loop.now();
    pings_.clear();
    resumption_ = {session, now + std::min(session.keep, kResumeWithin)};
}

// Not in a rush: perhaps it is one of ours that the partner breaks under.
void OutStream::resume_soon() {
    if (++barren_ <= kBarrenMax) return start();
    const unsigned doublings = std::min(barren_ - kBarrenMax - 1, kPauseDoublings);
    retry_at_ = context_.loop.now() + kPauseFirst * (1U << doublings);  // on_timer() goes on
}

// A new stream stands.
void OutStream::on_resumed() {
    if (!resumption_) return;
    // XEP-0198 was not even offered.
    if (!resumption_->granted) return give_up_session(link::Fault::kUnreachable);
    resumption_.reset();
    context_.stats.add(Counter::kXmppOutResumed);
    send_again();
}

// Those that the partner does not have. Their senders know that they were written.
void OutStream::send_again() {
    const Instant now = context_.loop.now();
    Fifo<Written> missing = std::exchange(unacknowledged_, {});
    written_count_ = acknowledged_count_ = written_bytes_ = kept_bytes_ = unasked_bytes_ = 0;
    for (Written& one : missing) {
        if (one.again.empty()) continue;
        // A new connection has room for all, unless it is over already.
        if (!stream_->limits().fits(one.again.size()) || !stream_->send(one.again)) {
            if (one.ticket != 0) {
                doubt(one, link::Fault::kUnreachable);
            } else {
                enqueue(0, std::move(one.again));
            }
            continue;
        }
        written_bytes_ += one.again.size();
        kept_bytes_ += one.again.size();
        ++written_count_;
        one.at = now;
        one.end = written_bytes_;
        unacknowledged_.push_back(std::move(one));
    }
    if (unacknowledged_.empty()) return;
    stream_->request_acknowledgement();
    acknowledgement_at_ = now + 5s;
}

void OutStream::give_up_session(link::Fault fault) {
    if (!resumption_) return;
    resumption_.reset();
    tell_doubts(fault);
}

// Whoever asked can be told now, and later can't. What was told is not sent again.
void OutStream::expire_doubts() {
    const Instant now = context_.loop.now();
    if (resumption_ && now >= resumption_->until) give_up_session(last_fault_);
    for (Written& one : unacknowledged_) {
        if (one.doubt_at > now && one.doubt_at != kNever) break;
        if (one.ticket == 0) continue;
        kept_bytes_ -= one.again.size();
        doubt(one, link::Fault::kUnreachable);
    }
}

void OutStream::doubt(Written& one, link::Fault fault) {
    if (link::is_asked(one.ticket)) {
        owner_.on_fate({one.ticket, link::Fate::kInDoubt, fault});
        context_.log.event(EventId::kStanzaInDoubt, {{"partner", their_}, {"count", 1}});
    }
    one.ticket = 0;
    one.again.clear();
}

}  // namespace fedgate::edge
