#include "appliance/gateway/sip_route.hpp"

#include <algorithm>
#include <bit>

#include "net/address.hpp"

namespace fedgate::gateway {
namespace {

sip::Transport to_sip(net::Transport transport) {
    switch (transport) {
        case net::Transport::kUdp: return sip::Transport::kUdp;
        case net::Transport::kTls: return sip::Transport::kTls;
        case net::Transport::kTcp: break;
    }
    return sip::Transport::kTcp;
}

// SIP-7: without a transport in the configuration TLS is tried first, if we have it; UDP only where
// it is asked for.
net::Lookup look_up(const config::SipTarget& hop, bool has_tls) {
    static constexpr net::Transport kAny[] = {net::Transport::kTls, net::Transport::kTcp};
    static constexpr net::Transport kUdp[] = {net::Transport::kUdp};
    static constexpr net::Transport kTcp[] = {net::Transport::kTcp};
    static constexpr net::Transport kTls[] = {net::Transport::kTls};
    std::span<const net::Transport> transports =
        has_tls ? std::span<const net::Transport>(kAny) : kTcp;
    switch (hop.transport) {
        case config::Transport::kUdp: transports = kUdp; break;
        case config::Transport::kTcp: transports = kTcp; break;
        case config::Transport::kTls: transports = kTls; break;
        case config::Transport::kAny: break;
    }
    const bool is_open = hop.transport == config::Transport::kAny;
    return net::Lookup::sip(hop.host, hop.port, transports, is_open);
}

bool same_hop(const config::SipTarget& a, const config::SipTarget& b) {
    return a.host == b.host && a.port == b.port && a.transport == b.transport;
}

// Without next hops the domain itself is one (SIP-6).
std::vector<config::SipTarget> hops_of(const rules::SipDomain& domain) {
    if (!domain.next_hops.empty()) return domain.next_hops;
    return {config::SipTarget{domain.name, false, 0, config::Transport::kAny}};
}

}  // namespace

SipRoute::SipRoute(Shard& shard, net::Resolver& resolver, net::Random& random,
                   SipTransport& transport, SipRouteOwner& owner, const rules::SipDomain& domain,
                   Duration options_interval)
    : shard_(shard),
      random_(random),
      transport_(transport),
      owner_(owner),
      domain_(domain.name),
      hops_(hops_of(domain)),
      options_interval_(options_interval),
      finder_(shard.loop(), resolver, *this),
      look_up_timer_(*this),
      probe_timer_(*this) {
    look_up_next();
    shard_.loop().timers().arm(probe_timer_, shard_.loop().now() + options_interval_);
}

// Its connections end in the background and tell nobody.
SipRoute::~SipRoute() {
    for (auto* legs : {&legs_, &retired_}) {
        for (auto& leg : *legs) {
            if (SipConnection* connection = transport_.find(leg->connection)) {
                connection->leave_leg();
            }
        }
    }
}

bool SipRoute::same_hops(const rules::SipDomain& domain) const {
    return std::ranges::equal(hops_, hops_of(domain), same_hop);
}

RouteLeg* SipRoute::pick(std::uint64_t tried, bool streams_only) {
    net::TargetPool::Tried not_open;
    const bool any_held =
        std::ranges::any_of(legs_, [&](const auto& leg) { return is_held(*leg); });
    if (tried != 0 || streams_only || any_held) {
        not_open.resize(legs_.size());
        for (std::size_t i = 0; i < legs_.size(); ++i) {
            const RouteLeg& leg = *legs_[i];
            not_open[i] = ((tried >> leg.slot) & 1) != 0 || is_held(leg) ||
                          (streams_only && leg.transport == sip::Transport::kUdp);
        }
    }
    const Instant now = shard_.loop().now();
    auto index = pool_.pick(now, random_, not_open);
    // Under way already: one that is down may be back, and nothing is lost by asking.
    if (!index && tried != 0) index = pool_.pick_down(now, random_, not_open);
    return index ? legs_[*index].get() : nullptr;
}

bool SipRoute::has_other(std::uint64_t tried) const {
    return std::ranges::any_of(
        legs_, [&](const auto& leg) { return ((tried >> leg->slot) & 1) == 0 && is_up(*leg); });
}

bool SipRoute::has_answered_for(Duration time) const {
    const Instant since = shard_.loop().now() - time;
    return std::ranges::any_of(legs_, [&](const auto& leg) {
        return is_up(*leg) && !leg->suspect && leg->trouble_at < since;
    });
}

bool SipRoute::has_stream() const {
    return std::ranges::any_of(
        legs_, [](const auto& leg) { return leg->transport != sip::Transport::kUdp; });
}

bool SipRoute::has(const sip::HostPort& at, Bytes uri_params, RouteLeg*& leg) const {
    const auto same = [&](Bytes name) { return sip::equal_ignoring_case(at.host, name); };
    leg = nullptr;
    if (at.port == 0 && same(domain_)) return true;
    const sip::Parameter transport = sip::find_parameter(uri_params, "transport");
    const auto address = net::parse_ip(at.host, 0);
    bool found = false;
    for (const auto& one : legs_) {
        const bool here = address ? net::same_ip(*address, one->target.address)
                                  : same(one->target.host) || same(one->host);
        if (!here || (at.port != 0 && at.port != one->target.port) ||
            (transport &&
             !sip::equal_ignoring_case(transport.value, sip::transport_text(one->transport)))) {
            continue;
        }
        if (!found) {
            leg = one.get();
        } else if (leg != nullptr && (leg->target.port != one->target.port ||
                                      !net::same_ip(leg->target.address, one->target.address))) {
            leg = nullptr;  // else one node by several transports: the first that is configured
        }
        found = true;
    }
    return found;
}

std::size_t SipRoute::index_of(const RouteLeg& leg) const {
    const auto at = std::ranges::find_if(legs_, [&](const auto& l) { return l.get() == &leg; });
    return static_cast<std::size_t>(at - legs_.begin());
}

bool SipRoute::is_up(const RouteLeg& leg) const {
    const std::size_t index = index_of(leg);
    return index < legs_.size() && !is_held(leg) && pool_.is_up(index, shard_.loop().now());
}

void SipRoute::on_alive(RouteLeg& leg, Instant sent_at) {
    leg.failures = 0;
    leg.heard_at = shard_.loop().now();
    if (leg.suspect || leg.down_told) leg.trouble_at = leg.heard_at;
    leg.suspect = false;
    if (leg.retired || is_held(leg)) return;
    if (leg.down_told && sent_at >= leg.since) {
        leg.down_told = false;
        leg.since = leg.heard_at;
        pool_.on_success(index_of(leg));
        shard_.log().event(
            EventId::kSipNextHopUp,
            {{"domain", domain_}, {"next_hop", net::format_address(leg.target.address)}});
    }
}

void SipRoute::on_failure(RouteLeg& leg, const char* why) {
    const Instant now = shard_.loop().now();
    if (leg.failures == 0 || now - leg.failures_since > kLegFailuresWithin) {
        leg.failures = 0;
        leg.failures_since = now;
    }
    if (++leg.failures >= kLegFailuresMax) mark_down(leg, net::TargetPool::kHold, why);
}

void SipRoute::mark_suspect(RouteLeg& leg, const char* why) {
    if (!leg.down_told) leg.why = why;
    if (leg.suspect) return;
    leg.suspect = true;
    owner_.on_suspect(leg);
}

bool SipRoute::mark_down_if_other(RouteLeg& leg, const char* why) {
    const bool other = has_other(std::uint64_t{1} << leg.slot);
    if (other) mark_down(leg, net::TargetPool::kHold, why);
    return other;
}

void SipRoute::hold(RouteLeg& leg, Duration time, const char* why) {
    leg.held_until = std::max(leg.held_until, shard_.loop().now() + time);
    mark_down(leg, time, why);
}

void SipRoute::mark_down(RouteLeg& leg, Duration hold, const char* why) {
    if (leg.retired) return;
    const Instant now = shard_.loop().now();
    pool_.on_failure(index_of(leg), now, random_, hold);
    leg.why = why;
    if (leg.down_told) return;
    leg.down_told = true;
    leg.since = now;
    shard_.log().event(EventId::kSipNextHopDown,
                       {{"domain", domain_},
                        {"next_hop", net::format_address(leg.target.address)},
                        {"reason", why}});
}

void SipRoute::look_up_next() {
    if (hop_ < hops_.size()) return finder_.start(look_up(hops_[hop_], transport_.has_tls()));
    finish_look_up();
}

void SipRoute::on_found(net::Finder&, net::LookupStatus status, std::vector<net::Target> targets,
                        Duration ttl) {
    const bool known = status == net::LookupStatus::kFound ||
                       status == net::LookupStatus::kNoDomain ||
                       status == net::LookupStatus::kNotOffered;
    if (!known) {
        failed_ = true;
        shard_.log().event(EventId::kDnsFailed, {{"name", hops_[hop_].host}});
    }
    found_ttl_ = found_hosts_.empty() && hop_ == 0 ? ttl : std::min(found_ttl_, ttl);
    for (net::Target& target : targets) {
        // The configured order comes before that of the records.
        target.priority =
            static_cast<std::uint16_t>(hop_ * 1'024 + std::min<unsigned>(target.priority, 1'023));
        found_.push_back(target);
        found_hosts_.push_back(hops_[hop_].host);
    }
    ++hop_;
    look_up_next();
}

void SipRoute::finish_look_up() {
    // What is known stays when DNS does not answer.
    if (!failed_ || legs_.empty()) replace_legs();
    const bool complete = !failed_ && !found_.empty();
    const Duration again = complete ? std::max<Duration>(found_ttl_, 30s) : kRouteRetry;
    shard_.loop().timers().arm(look_up_timer_, shard_.loop().now() + again);
    hop_ = 0;
    failed_ = false;
    found_.clear();
    found_hosts_.clear();
    if (ready_) return;
    ready_ = true;
    owner_.on_route_ready(*this);
}

void SipRoute::replace_legs() {
    if (found_.size() > net::TargetPool::kTargetsMax) found_.resize(net::TargetPool::kTargetsMax);
    pool_.set(found_);
    std::vector<std::unique_ptr<RouteLeg>> legs;
    for (std::size_t i = 0; i < pool_.count(); ++i) {
        const net::Target& target = pool_.at(i);
        const auto old = std::ranges::find_if(legs_, [&](const auto& leg) {
            return leg != nullptr && leg->target.same_place(target);
        });
        if (old != legs_.end()) {
            legs.push_back(std::move(*old));
            legs.back()->target = target;
            continue;
        }
        auto leg = std::make_unique<RouteLeg>();
        leg->target = target;
        leg->domain = domain_;
        const auto source =
            std::ranges::find_if(found_, [&](const auto& t) { return t.same_place(target); });
        leg->host = found_hosts_[static_cast<std::size_t>(source - found_.begin())];
        leg->route = this;
        leg->since = shard_.loop().now();
        leg->transport = to_sip(target.transport);
        leg->slot = static_cast<std::uint8_t>(std::countr_one(slots_used_) & 63);
        slots_used_ |= std::uint64_t{1} << leg->slot;
        legs.push_back(std::move(leg));
    }
    for (auto& leg : legs_) {
        if (leg == nullptr) continue;
        leg->retired = true;
        slots_used_ &= ~(std::uint64_t{1} << leg->slot);
        retired_.push_back(std::move(leg));
    }
    legs_ = std::move(legs);
    legs_number_ = ++owner_.leg_changes;
    drop_retired();
}

void SipRoute::drop_retired() {
    std::erase_if(retired_, [&](const auto& leg) {
        if (leg->requests.count != 0) return false;
        if (SipConnection* connection = transport_.find(leg->connection)) {
            connection->leave_leg();
        }
        return true;
    });
}

void SipRoute::on_timer(Timer& timer) {
    if (&timer == &look_up_timer_) return look_up_next();
    drop_retired();
    shard_.loop().timers().arm(probe_timer_, shard_.loop().now() + options_interval_);
    // By index: what a probe leads to may not touch the list, but must not rely on that either.
    for (std::size_t i = 0; i < legs_.size(); ++i) {
        RouteLeg& leg = *legs_[i];
        if (!leg.probing && !is_held(leg)) owner_.on_probe_due(*this, leg);
    }
}

}  // namespace fedgate::gateway
