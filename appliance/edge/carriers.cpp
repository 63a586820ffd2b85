#include "appliance/edge/carriers.hpp"

#include <cstring>
#include <type_traits>

#include "appliance/edge/context.hpp"

namespace fedgate::edge {

namespace {

constexpr std::uint32_t kCarrierKind = static_cast<std::uint32_t>(link::RecordKind::kCarrier);

}  // namespace

Carriers::Carriers(Shard& shard, CarriersOwner& owner)
    : shard_(shard), owner_(owner), again_(*this) {
    static_assert(std::is_trivially_copyable_v<Record>);
    shard.set_handler(kCarrierKind, *this);
}

void Carriers::up(std::uint32_t pair_shard, Bytes our, Bytes their, std::uint64_t stream,
                  xml::Proof proof, const xml::StreamLimits& limits) {
    say(pair_shard, {.stream = stream, .limits = limits, .say = Say::kUp, .proof = proof}, our,
        their);
}

bool Carriers::left(std::uint32_t pair_shard, Bytes our, Bytes their, std::uint64_t stream,
                    std::uint64_t position) {
    return try_say(pair_shard, {.stream = stream, .position = position, .say = Say::kLeft}, our,
                   their);
}

void Carriers::gone(std::uint32_t pair_shard, Bytes our, Bytes their, std::uint64_t stream) {
    say(pair_shard, {.stream = stream, .say = Say::kGone}, our, their);
}

bool Carriers::carry(const Carrier& carrier, Bytes our, Bytes their, Bytes stanza,
                     std::uint64_t position) {
    return try_say(carrier.shard,
                   {.stream = carrier.stream, .position = position, .say = Say::kCarry}, our, their,
                   stanza);
}

void Carriers::fail(const Carrier& carrier) {
    say(carrier.shard, {.stream = carrier.stream, .say = Say::kFail}, {}, {});
}

bool Carriers::try_say(std::uint32_t to, Record record, Bytes our, Bytes their, Bytes stanza) {
    record.our_size = static_cast<std::uint32_t>(our.size());
    record.their_size = static_cast<std::uint32_t>(their.size());
    return shard_.send(to, kCarrierKind, {bytes_of(record), our, their, stanza});
}

void Carriers::say(std::uint32_t to, const Record& record, Bytes our, Bytes their) {
    if (unsent_.empty() && try_say(to, record, our, their)) return;
    unsent_.push_back({to, record, std::string(our), std::string(their)});
    shard_.loop().timers().arm(again_, shard_.loop().now() + kMailboxRetry);
}

void Carriers::on_timer(Timer&) {
    while (!unsent_.empty()) {
        const Unsent& first = unsent_.front();
        if (!try_say(first.to, first.record, first.our, first.their)) {
            shard_.loop().timers().arm(again_, shard_.loop().now() + kMailboxRetry);
            return;
        }
        unsent_.pop_front();
    }
}

bool Carriers::on_record(std::uint32_t, std::uint32_t from_shard, Bytes bytes) {
    Record record;
    std::memcpy(&record, bytes.data(), sizeof record);
    bytes.remove_prefix(sizeof record);
    const Bytes our = bytes.substr(0, record.our_size);
    const Bytes their = bytes.substr(record.our_size, record.their_size);
    const Bytes stanza = bytes.substr(our.size() + their.size());
    const Carrier carrier{from_shard, record.stream};
    switch (record.say) {
        case Say::kUp:
            owner_.on_carrier_up(our, their, carrier, record.proof, record.limits);
            break;
        case Say::kLeft: owner_.on_carrier_left(our, their, carrier, record.position); break;
        case Say::kGone: owner_.on_carrier_gone(our, their, carrier); break;
        case Say::kCarry:
            if (!owner_.on_carry(record.stream, our, their, stanza, record.position)) {
                gone(from_shard, our, their, record.stream);
            }
            break;
        case Say::kFail: owner_.on_carrier_fail(record.stream); break;
    }
    return true;
}

}  // namespace fedgate::edge
