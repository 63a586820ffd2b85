#include "appliance/edge/intake.hpp"

#include <algorithm>
#include <charconv>

#include "appliance/edge/between_servers.hpp"

namespace fedgate::edge {

namespace {

// How soon to offer a stanza again that the gateway had no room for.
constexpr Duration kBackPressureRetry = 1ms;
// S2S-64: bursts, in seconds of the rate.
constexpr double kBytesBurstSeconds = 8;
constexpr double kStanzasBurstSeconds = 2;

TokenBucket bucket_of(const rules::Rate& rate, double burst_seconds, Instant now) {
    if (rate.none()) return {};
    // One stanza must fit, or none ever passes.
    return {rate.per_second(), std::max(1.0, rate.per_second() * burst_seconds), now};
}

link::Proof proof_of(xml::Proof proof) { return static_cast<link::Proof>(proof); }
static_assert(static_cast<int>(xml::Proof::kDialbackClear) ==
              static_cast<int>(link::Proof::kDialbackClear));

}  // namespace

void Intake::set_rates(Bytes their) {
    const Instant now = context_.loop.now();
    if (const rules::Partner* partner = context_.rules->partner(their)) {
        bytes_ = bucket_of(partner->rate_bytes, kBytesBurstSeconds, now);
        stanzas_ = bucket_of(partner->rate_stanzas, kStanzasBurstSeconds, now);
    }
}

void Intake::charge(std::size_t shown) {
    if (shown <= charged_) return;
    bytes_.charge(static_cast<double>(shown - charged_), context_.loop.now());
    charged_ = shown;
}

bool Intake::in_debt() {
    if (!bytes_.in_debt()) return false;
    context_.stats.add(Counter::kRateLimited);
    again_ = bytes_.available_at(1, context_.loop.now());
    return true;
}

Intake::Outcome Intake::take(const xml::Action& action, const xml::StreamScope& scope) {
    const Instant now = context_.loop.now();
    if (!stanzas_.take(1, now)) {  // S2S-64
        context_.stats.add(Counter::kRateLimited);
        again_ = stanzas_.available_at(1, now);
        return Outcome::kLater;
    }
    std::string converted;
    Bytes bytes = action.stanza;
    if (action.uses_stream_prefix) bytes = converted = xml::self_contained(bytes, scope);
    if (is_pong(bytes)) return Outcome::kPong;
    // Only what it means on any stream it means behind the link.
    const bool plain =
        !action.uses_stream_prefix && scope.default_namespace() == xml::kServerNamespace;
    if (!context_.gateway.take_stanza(
            {action.their, proof_of(action.proof), bytes, plain ? &action.view : nullptr})) {
        context_.stats.add(Counter::kLinkBackPressure);
        again_ = now + kBackPressureRetry;
        return Outcome::kLater;
    }
    context_.stats.add(Counter::kXmppStanzasIn);
    return Outcome::kTaken;
}

bool Intake::is_pong(Bytes bytes) {
    if (!bytes.starts_with("<iq")) return false;
    const xml::StreamScope scope;
    const xml::Stanza stanza = xml::parse_stanza(bytes, scope);
    if (stanza.type != "result" && stanza.type != "error") return false;  // S2S-17: an error counts
    if (!stanza.id.starts_with(kPingId)) return false;
    const Bytes digits = stanza.id.substr(kPingId.size());
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), pong_);
    if (end.ptr != digits.data() + digits.size()) return false;
    return is_between_servers(stanza);  // a user does not speak for the server
}

}  // namespace fedgate::edge
