#include "appliance/edge/door_guard.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "core/base/hash.hpp"

namespace fedgate::edge {

namespace {

// S2S-63: a bucket of half of what one period gives.
TokenBucket bucket_of(const rules::Rate& rate, Instant now) {
    if (rate.none()) return {};
    return {rate.per_second(), std::max(1.0, static_cast<double>(rate.count) / 2), now};
}

// After a loss a partner may come back with all its connections at once.
TokenBucket bucket_of(const rules::Partner& partner, Instant now) {
    const rules::Rate& rate = partner.rate_connections;
    if (rate.none()) return {};
    return {rate.per_second(),
            std::max(static_cast<double>(partner.connection_limit),
                     static_cast<double>(rate.count) / 2),
            now};
}

constexpr Duration kQuiet = std::chrono::minutes(5);
// The table is full: how often to look through it.
constexpr Duration kForget = std::chrono::seconds(1);

}  // namespace

std::size_t DoorGuard::KeyHash::operator()(const net::IpKey& key) const {
    return fnv1a({reinterpret_cast<const char*>(key.bytes), sizeof key.bytes});
}

DoorGuard::Refusal DoorGuard::enter(const rules::Settings::Xmpp& settings, std::uint32_t shard,
                                    const SocketAddress& peer, Instant now) {
    const std::scoped_lock lock(mutex_);
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
    if (connections_ >= settings.connections) return Refusal::kTotal;
    // S2S-62: 10 for each address, 10 % of the connection limit in all (and one more for a shard
    // that has none, which could not make room).
    if (address.unauthenticated >= settings.unauthenticated_per_address)
        return Refusal::kUnauthenticated;
    if (unauthenticated_ >= std::max(1U, settings.connections / 10) &&
        unauthenticated_of_[shard] > 0) {
        address.rate.charge(-1, now);  // it may come again at once
        return Refusal::kAllUnauthenticated;
    }
    ++address.connections;
    ++address.unauthenticated;
    ++connections_;
    ++unauthenticated_;
    ++unauthenticated_of_[shard];
    return Refusal::kNone;
}

DoorGuard::Admission DoorGuard::authenticate(const rules::Settings::Xmpp& settings,
                                             const rules::Partner& terms, const StreamName& stream,
                                             const SocketAddress& peer, const std::string& our,
                                             const std::string& their, Instant now) {
    const std::scoped_lock lock(mutex_);
    const std::string pair_key = our + ' ' + their;
    const auto known = pairs_.find(pair_key);
    const std::string& name = terms.discovered() ? their : terms.domain;
    if (partners_.size() >=
        limits::kCountedDomains) {  // those without a connection lose their rate
        std::erase_if(partners_, [](const auto& one) { return one.second.places.empty(); });
    }
    auto [partner, fresh] = partners_.try_emplace(name);
    if (fresh) partner->second.rate = bucket_of(terms, now);
    partner->second.last = now;
    Place* silent = nullptr;
    if (known != pairs_.end() && known->second.places.size() >= settings.streams_per_domain_pair) {
        silent = longest_silent(known->second.places, now);
        if (silent == nullptr) return {Refusal::kPair, nullptr, {}};
    } else if (partner->second.places.size() >= terms.connection_limit) {
        silent = longest_silent(partner->second.places, now);
        if (silent == nullptr) return {Refusal::kPartner, nullptr, {}};
    }
    if (!partner->second.rate.take(1, now)) return {Refusal::kPartnerRate, nullptr, {}};
    Admission admission;
    if (silent != nullptr) {
        admission.gives_way = silent->stream;
        silent->given_way = true;
        uncount(*silent);
    }
    auto& entry = *pairs_.try_emplace(pair_key).first;
    Pair& pair = entry.second;
    if (pair.places.empty()) pair.partner = name;
    admission.place = &places_.emplace_back(stream, entry, now);
    admission.place->self = std::prev(places_.end());
    pair.places.push_back(admission.place);
    partners_[pair.partner].places.push_back(admission.place);
    const auto it = addresses_.find(net::ip_key(peer));
    no_longer_unauthenticated(stream.shard, it != addresses_.end() ? &it->second : nullptr);
    return admission;
}

// Null: all of them live.
DoorGuard::Place* DoorGuard::longest_silent(const Places& places, Instant now) {
    const auto silent =
        std::ranges::min_element(places, {}, [](const Place* one) { return one->heard_at.load(); });
    const bool is_dead =
        silent != places.end() && (*silent)->heard_at.load() + kGivesWayAfter <= now;
    return is_dead ? *silent : nullptr;
}

void DoorGuard::uncount(const Place& place) {
    auto& [key, pair] = place.pair;
    std::erase(partners_[pair.partner].places, &place);
    std::erase(pair.places, &place);
    if (pair.places.empty()) pairs_.erase(pairs_.find(key));
}

void DoorGuard::no_longer_unauthenticated(std::uint32_t shard, Address* address) {
    --unauthenticated_;
    --unauthenticated_of_[shard];
    if (address != nullptr) --address->unauthenticated;
}

bool DoorGuard::may_ask(const SocketAddress& peer, Instant now) {
    const std::scoped_lock lock(mutex_);
    const auto it = addresses_.find(net::ip_key(peer));
    return it != addresses_.end() && it->second.questions.take(1, now);
}

DoorGuard::Refusal DoorGuard::ask(const rules::Settings::Xmpp& settings, const SocketAddress& peer,
                                  const std::string& their, Instant now) {
    const std::scoped_lock lock(mutex_);
    const auto it = addresses_.find(net::ip_key(peer));
    if (it == addresses_.end()) return Refusal::kQuestions;
    Address& address = it->second;
    if (address.asked >= limits::kVerificationsPerAddress) return Refusal::kQuestionsOfAddress;
    if (!address.questions.take(1, now)) return Refusal::kQuestions;
    if (claimed_.size() >= limits::kCountedDomains) forget_quiet(now);
    auto claimed = claimed_.find(their);
    if (claimed == claimed_.end() && claimed_.size() < limits::kCountedDomains) {
        claimed = claimed_.emplace(their, Claimed{}).first;
        claimed->second.questions = bucket_of(settings.dialback_per_domain, now);
    }
    if (claimed != claimed_.end()) {
        claimed->second.last = now;
        if (!claimed->second.questions.take(1, now)) return Refusal::kQuestions;
    }
    ++address.asked;
    return Refusal::kNone;
}

void DoorGuard::answered(const net::IpKey& peer) {
    const std::scoped_lock lock(mutex_);
    const auto it = addresses_.find(peer);
    if (it != addresses_.end()) --it->second.asked;
}

void DoorGuard::set_rates(const rules::Snapshot& rules, Instant now) {
    const std::scoped_lock lock(mutex_);
    const rules::Settings::Xmpp& settings = rules.settings.xmpp;
    for (auto& [key, address] : addresses_) {
        address.rate = address.questions = bucket_of(settings.connections_per_address, now);
    }
    for (auto& [domain, claimed] : claimed_) {
        claimed.questions = bucket_of(settings.dialback_per_domain, now);
    }
    for (auto& [domain, partner] : partners_) {
        const rules::Partner* terms = rules.partner(domain);
        partner.rate = terms != nullptr ? bucket_of(*terms, now) : TokenBucket{};
    }
}

void DoorGuard::leave(std::uint32_t shard, const SocketAddress& peer, const Place* place) {
    const std::scoped_lock lock(mutex_);
    --connections_;
    const auto it = addresses_.find(net::ip_key(peer));
    Address* address = it != addresses_.end() ? &it->second : nullptr;
    if (address != nullptr) --address->connections;
    if (place == nullptr) return no_longer_unauthenticated(shard, address);
    if (!place->given_way) uncount(*place);
    places_.erase(place->self);
}

std::uint32_t DoorGuard::connections() const {
    const std::scoped_lock lock(mutex_);
    return connections_;
}

void DoorGuard::forget_quiet(Instant now) {
    if (now < forget_at_) return;
    forget_at_ = now + kForget;
    std::erase_if(addresses_, [now](const auto& entry) {
        return entry.second.connections == 0 && entry.second.asked == 0 &&
               now - entry.second.last > kQuiet;
    });
    std::erase_if(partners_, [now](const auto& entry) {
        return entry.second.places.empty() && now - entry.second.last > kQuiet;
    });
    std::erase_if(claimed_, [now](const auto& entry) { return now - entry.second.last > kQuiet; });
}

const char* DoorGuard::name_of(Refusal refusal) {
    switch (refusal) {
        case Refusal::kNone: return "";
        case Refusal::kRate: return "xmpp.rate.connections_per_address";
        case Refusal::kUnauthenticated: return "xmpp.limits.unauthenticated_per_address";
        case Refusal::kAllUnauthenticated: return "a tenth of xmpp.limits.connections";
        case Refusal::kTotal: return "xmpp.limits.connections";
        case Refusal::kTable: return "counted addresses";
        case Refusal::kPair: return "xmpp.limits.streams_per_domain_pair";
        case Refusal::kPartner: return "partner/*/connection_limit";
        case Refusal::kPartnerRate: return "partner/*/rate_connections";
        case Refusal::kQuestionsOfAddress: return "dialback questions of one address";
        case Refusal::kQuestions: return "dialback questions";
    }
    return "";
}

const char* DoorGuard::text_of(Refusal refusal) {
    switch (refusal) {
        case Refusal::kPair: return "too many streams of this pair of domains";
        case Refusal::kPartner: return "too many connections of this domain's operator";
        case Refusal::kPartnerRate: return "too many new connections; try again in a minute";
        default: return "too many connections";
    }
}

}  // namespace fedgate::edge
