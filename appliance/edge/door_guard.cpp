#include "appliance/edge/door_guard.hpp"

#include <algorithm>
#include <cstring>

#include "core/base/hash.hpp"

namespace fedgate::edge {

namespace {

// S2S-63: a bucket of half of what one period gives.
TokenBucket bucket_of(const rules::Rate& rate, Instant now) {
    if (rate.none()) return {};
    return {rate.per_second(), std::max(1.0, static_cast<double>(rate.count) / 2), now};
}

constexpr Duration kQuiet = std::chrono::minutes(5);
// The table is full: how often to look through it.
constexpr Duration kForget = std::chrono::seconds(1);

void release(std::unordered_map<std::string, std::uint32_t>& counts, const std::string& key) {
    const auto it = counts.find(key);
    if (it != counts.end() && --it->second == 0) counts.erase(it);
}

}  // namespace

std::size_t DoorGuard::KeyHash::operator()(const net::IpKey& key) const {
    return fnv1a({reinterpret_cast<const char*>(key.bytes), sizeof key.bytes});
}

DoorGuard::Refusal DoorGuard::enter(const rules::Settings::Xmpp& settings,
                                    const SocketAddress& peer, Instant now) {
    const net::IpKey key = net::ip_key(peer);
    auto it = addresses_.find(key);
    if (it == addresses_.end()) {
        if (addresses_.size() >= limits::kCountedAddresses) forget_quiet(now);
        if (addresses_.size() >= limits::kCountedAddresses) return Refusal::kTable;
        it = addresses_.emplace(key, Address{}).first;
        it->second.rate = it->second.questions = bucket_of(settings.connections_per_address, now);
    }
    Address& address = it->second;
    address.last = now;
    if (!address.rate.take(1, now)) return Refusal::kRate;
    if (connections_ >= share(settings.connections)) return Refusal::kTotal;
    // S2S-62: 10 for each address, 10 % of the connection limit in all.
    if (address.unauthenticated >= share(settings.unauthenticated_per_address))
        return Refusal::kUnauthenticated;
    if (unauthenticated_ >= share(std::max(1U, settings.connections / 10))) {
        address.rate.charge(-1, now);  // it may come again at once
        return Refusal::kAllUnauthenticated;
    }
    ++address.connections;
    ++address.unauthenticated;
    ++connections_;
    ++unauthenticated_;
    return Refusal::kNone;
}

bool DoorGuard::authenticate(const rules::Settings::Xmpp& settings, std::uint32_t partner_limit,
                             const SocketAddress& peer, const std::string& our,
                             const std::string& their) {
    std::uint32_t& pair = pairs_[our + ' ' + their];
    std::uint32_t& partner = partners_[their];
    if (pair >= share(settings.streams_per_domain_pair) || partner >= share(partner_limit)) {
        if (pair == 0) pairs_.erase(our + ' ' + their);
        if (partner == 0) partners_.erase(their);
        return false;
    }
    ++pair;
    ++partner;
    --unauthenticated_;
    const auto it = addresses_.find(net::ip_key(peer));
    if (it != addresses_.end()) --it->second.unauthenticated;
    return true;
}

bool DoorGuard::may_ask(const SocketAddress& peer, Instant now) {
    const auto it = addresses_.find(net::ip_key(peer));
    return it != addresses_.end() && it->second.questions.take(1, now);
}

void DoorGuard::set_rates(const rules::Settings::Xmpp& settings, Instant now) {
    for (auto& [key, address] : addresses_) {
        address.rate = address.questions = bucket_of(settings.connections_per_address, now);
    }
}

void DoorGuard::leave(const SocketAddress& peer, const std::string& our, const std::string& their) {
    --connections_;
    const auto it = addresses_.find(net::ip_key(peer));
    if (it != addresses_.end()) --it->second.connections;
    if (their.empty()) {
        --unauthenticated_;
        if (it != addresses_.end()) --it->second.unauthenticated;
        return;
    }
    release(pairs_, our + ' ' + their);
    release(partners_, their);
}

void DoorGuard::forget_quiet(Instant now) {
    if (now < forget_at_) return;
    forget_at_ = now + kForget;
    std::erase_if(addresses_, [now](const auto& entry) {
        return entry.second.connections == 0 && now - entry.second.last > kQuiet;
    });
}

const char* DoorGuard::name_of(Refusal refusal) {
    switch (refusal) {
        case Refusal::kNone: return "";
        case Refusal::kRate: return "xmpp.rate.connections_per_address";
        case Refusal::kUnauthenticated: return "xmpp.limits.unauthenticated_per_address";
        case Refusal::kAllUnauthenticated: return "a tenth of xmpp.limits.connections";
        case Refusal::kTotal: return "xmpp.limits.connections";
        case Refusal::kTable: return "counted addresses";
    }
    return "";
}

}  // namespace fedgate::edge
