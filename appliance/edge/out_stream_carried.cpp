// S2S-15: our stanzas on a stream that the partner opened. It does so where no stream of our own
// stands; if it goes, one is opened when there is something to send.
#include "appliance/edge/out_stream.hpp"

namespace fedgate::edge {

bool OutStream::put(Bytes stanza, std::uint64_t position) {
    if (!carrier_) return stream_->send(stanza);
    const std::uint64_t under_way = written_bytes_ - carrier_left_;
    if (under_way != 0 && under_way + stanza.size() > kCarrierWindowBytes) return false;
    return owner_.carry(*carrier_, our_, their_, stanza, position);
}

// Not while we connect: both sides may do so at once, and if each gave its own connection up for
// the other's, none would be left. Nor while a session of ours may be resumed.
bool OutStream::may_take_carrier() const {
    return spare_ && !up() && !initiator_started_ && !resumption_ && !draining_;
}

void OutStream::take_carrier() {
    carrier_ = spare_->carrier;
    carrier_limits_ = spare_->limits;
    carrier_left_ = 0;
    const xml::Proof proof = spare_->proof;
    spare_.reset();
    begin(proof);
}

void OutStream::on_carrier_up(const Carrier& carrier, xml::Proof proof,
                              const xml::StreamLimits& limits) {
    spare_ = Spare{carrier, proof, limits};
    if (may_take_carrier()) take_carrier();
}

void OutStream::on_carrier_left(const Carrier& carrier, std::uint64_t position) {
    if (carrier_ != carrier || position <= carrier_left_ || position > written_bytes_) return;
    carrier_left_ = position;
    if (!waiting_.empty()) flush();
}

void OutStream::on_carrier_gone(const Carrier& carrier) {
    if (spare_ && spare_->carrier == carrier) spare_.reset();
    if (carrier_ == carrier) lose_carrier(link::Fault::kUnreachable);
}

void OutStream::lose_carrier(link::Fault fault) {
    carrier_.reset();
    last_fault_ = fault;
    // Their stream; whether they have closed it in order is not known here.
    if (!draining_) owner_.on_news(*this, link::PartnerNews::Kind::kBroke, fault);
    tell_doubts(fault);
    if (!context_.stream_policy(our_, their_).allowed) {
        fail_waiting(link::Fault::kBlocked, true);
    } else if (draining_) {
        fail_waiting(fault, true);
    } else if (may_take_carrier()) {
        take_carrier();
    } else if (!waiting_.empty()) {  // as S2S-21: on a new stream
        start();
    }
    arm();
}

void OutStream::watch_carrier() {
    const Instant now = context_.loop.now();
    if (now >= acknowledgement_at_) ask_for_acknowledgement();
    flush();  // what waits for room among the unacknowledged
    if (carrier_ && draining_ && now >= drain_until_) lose_carrier(link::Fault::kRemoteFailing);
}

// The stream of the pair reads, or acknowledges, no more.
void OutStream::give_up() {
    if (!carrier_) return initiator_.abort();
    owner_.fail_carrier(*carrier_);
    lose_carrier(link::Fault::kUnreachable);
}

}  // namespace fedgate::edge
