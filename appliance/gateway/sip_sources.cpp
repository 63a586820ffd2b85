#include "appliance/gateway/sip_sources.hpp"

#include <algorithm>
#include <cstring>

#include "net/address.hpp"

namespace fedgate::gateway {

SipSources::SipSources(KeyMaker keys, rules::Rate datagrams, Instant now)
    : keys_(keys),
      rate_(datagrams),
      sources_(kSipSources),
      index_(kSipSources),
      strangers_(
          kSipStrangers,
          {TokenBucket(kSipRefusalsPerSecond, kSipRefusalsPerSecond, now),
           TokenBucket(kSipStrangerHandshakesPerSecond, kSipStrangerHandshakesPerSecond, now), 0}),
      all_strangers_(kSipStrangerRefusalsPerSecond, kSipStrangerRefusalsPerSecond, now) {
    fill(others_, now);
}

void SipSources::fill(SipSource& source, Instant now) const {
    source.datagrams = TokenBucket(
        rate_.per_second(), static_cast<double>(std::max<std::uint64_t>(rate_.count, 1)), now);
    source.refusals = TokenBucket(kSipRefusalsPerSecond, kSipRefusalsPerSecond, now);
}

void SipSources::set_rate(rules::Rate datagrams, Instant now) {
    if (datagrams.count == rate_.count && datagrams.per == rate_.per) return;
    rate_ = datagrams;
    fill(others_, now);
    sources_.for_each([&](Handle<SipSource>, SipSource& source) { fill(source, now); });
}

Key SipSources::key_of(const SocketAddress& address) const {
    const net::IpKey ip = net::ip_key(address);
    return keys_.make({Bytes(reinterpret_cast<const char*>(ip.bytes), sizeof ip.bytes)});
}

SipSource& SipSources::find(const SocketAddress& address, Instant now) {
    const Key key = key_of(address);
    if (const auto* known = index_.find(key)) return *sources_.find(*known);
    if (sources_.count() == sources_.count_max()) free_an_idle_one();
    Handle<SipSource> handle;
    SipSource* source = sources_.make(handle);
    if (source == nullptr) return others_;
    FEDGATE_CHECK(index_.insert(key, handle));
    source->key = key;
    fill(*source, now);
    return *source;
}

void SipSources::free_an_idle_one() {
    constexpr std::uint32_t kLookAtMax = 64;
    for (std::uint32_t i = 0; i < kLookAtMax; ++i) {
        hand_ = (hand_ + 1) % kSipSources;
        const SipSource* source = sources_.find_at(hand_);
        if (source == nullptr || !source->is_idle()) continue;
        const Key key = source->key;
        sources_.free(*index_.find(key));
        index_.erase(key);
        return;
    }
}

// Whoever has a /64 of IPv6 has all of its addresses.
std::size_t SipSources::place_of(const SocketAddress& address) const {
    const net::IpKey ip = net::ip_key(address);
    const std::size_t size = net::is_ipv6(address) ? 8 : sizeof ip.bytes;
    const Key key = keys_.make({Bytes(reinterpret_cast<const char*>(ip.bytes), size)});
    return key.low % strangers_.size();
}

bool SipSources::may_refuse(const SocketAddress& address, Instant now) {
    return stranger(address).refusals.take(1, now) && all_strangers_.take(1, now);
}

bool SipSources::may_connect(const SocketAddress& address) const {
    return strangers_[place_of(address)].connections < kSipConnectionsPerStranger;
}

void SipSources::count_connection(const SocketAddress& address, bool begins) {
    std::size_t& connections = stranger(address).connections;
    begins ? ++connections : --connections;
}

bool SipSources::may_shake_hands(const SocketAddress& address, Instant now) {
    return stranger(address).handshakes.take(1, now);
}

}  // namespace fedgate::gateway
