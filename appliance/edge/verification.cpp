#include "appliance/edge/verification.hpp"

#include <algorithm>

namespace fedgate::edge {

namespace {

// For the answer on a stream that stands: it may be dead, and nobody has noticed yet.
constexpr Duration kStreamWait = 10s;

}  // namespace

Verification::Verification(Context& context, VerificationOwner& owner, const Question& question)
    : owner_(owner),
      context_(context),
      our_(question.our),
      their_(question.their),
      id_(question.id),
      key_(question.key),
      fingerprint_(question.fingerprint),
      initiator_(context, *this, xml::Stream::Role::kVerify, our_, their_),
      until_(context.loop.now() + context.settings.dialback_wait),  // DB-5, S2S-60
      deadline_(*this) {}

void Verification::begin(bool asked) {
    if (!asked) return connect();
    context_.loop.timers().arm(deadline_, std::min(context_.loop.now() + kStreamWait, until_));
}

void Verification::connect() {
    connects_ = true;
    context_.loop.timers().arm(deadline_, until_);
    initiator_.start();
}

// What is no answer to the question is asked for once more, where nothing else is under way.
void Verification::answered(std::optional<xml::Verdict> verdict) {
    if (connects_ || told_) return;
    if (verdict != xml::Verdict::kValid && verdict != xml::Verdict::kInvalid) return connect();
    tell(*verdict);
    over_ = true;
    deadline_.cancel();
}

bool Verification::on_secured(const PeerIdentity& peer) {
    if (!question().is_answered_by(peer)) return false;
    tell(xml::Verdict::kValid);
    return true;
}

void Verification::on_stream_started() {
    if (!initiator_.stream()->request_verify(our_, their_, id_, key_, context_.loop.now())) {
        tell(xml::Verdict::kError);
    }
}

void Verification::on_action(const xml::Action& action) {
    if (action.kind != xml::Action::Kind::kVerifyAnswer) return;
    tell(action.verdict);
    initiator_.close();
}

void Verification::on_over(link::Fault fault, bool, Instant) {
    tell(fault == link::Fault::kNoSuchDomain ? xml::Verdict::kNoSuchDomain  // DB-6
                                             : xml::Verdict::kUnreachable);
    over_ = true;
}

void Verification::on_timer(Timer&) {
    if (!connects_ && context_.loop.now() < until_) return connect();
    tell(xml::Verdict::kTimeout);
    over_ = true;
}

void Verification::tell(xml::Verdict verdict) {
    if (told_) return;
    told_ = true;
    owner_.on_verdict(*this, verdict);
}

}  // namespace fedgate::edge
