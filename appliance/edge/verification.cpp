#include "appliance/edge/verification.hpp"

namespace fedgate::edge {

Verification::Verification(Context& context, VerificationOwner& owner, Bytes our, Bytes their,
                           Bytes id, Bytes key)
    : owner_(owner),
      context_(context),
      our_(our),
      their_(their),
      id_(id),
      key_(key),
      initiator_(context, *this, xml::Stream::Role::kVerify, our_, their_),
      deadline_(*this) {
    // DB-5, S2S-60
    context.loop.timers().arm(deadline_, context.loop.now() + context.settings.dialback_wait);
    initiator_.start();
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
    tell(xml::Verdict::kTimeout);
    over_ = true;
}

void Verification::tell(xml::Verdict verdict) {
    if (told_) return;
    told_ = true;
    owner_.on_verdict(*this, verdict);
}

}  // namespace fedgate::edge
