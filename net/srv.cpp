#include "net/srv.hpp"

#include <algorithm>
#include <optional>

#include "net/address.hpp"

namespace fedgate::net {
namespace {

constexpr std::uint16_t kXmppPort = 5269;
constexpr std::uint16_t kSipPort = 5060;
constexpr std::uint16_t kSipsPort = 5061;
constexpr std::size_t kTargetsMax = 64;  // of one look-up; more are not looked at
constexpr std::size_t kServicesMax = 8;  // that NAPTR records name; the same

const char* sip_service(Transport transport) {
    switch (transport) {
        case Transport::kTls: return "_sips._tcp.";
        case Transport::kTcp: return "_sip._tcp.";
        case Transport::kUdp: return "_sip._udp.";
    }
    return "";
}

Target make_target(const std::string& host, std::uint16_t port, Transport transport) {
    Target target;
    target.host = host;
    target.port = port;
    target.transport = transport;
    if (const auto literal = parse_ip(host, port)) target.address = *literal;
    return target;
}

std::uint16_t sip_port(Transport transport) {
    return transport == Transport::kTls ? kSipsPort : kSipPort;
}

bool equal_ignoring_case(Bytes a, Bytes b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

// RFC 3263 4.1: a record that leads to SRV. Those that lead to other NAPTR records are none of
// SIP's, so there can be no loop.
std::optional<Transport> sip_transport(const NaptrRecord& record) {
    if (!equal_ignoring_case(record.flags, "s") || record.replacement.empty()) return {};
    if (equal_ignoring_case(record.service, "SIPS+D2T")) return Transport::kTls;
    if (equal_ignoring_case(record.service, "SIP+D2T")) return Transport::kTcp;
    if (equal_ignoring_case(record.service, "SIP+D2U")) return Transport::kUdp;
    return {};
}

}  // namespace

std::uint32_t LoopRandom::below(std::uint32_t bound) {
    std::uint32_t value = 0;
    loop_.fill_random({reinterpret_cast<char*>(&value), sizeof value});
    return static_cast<std::uint32_t>((std::uint64_t{value} * bound) >> 32);
}

bool Target::same_place(const Target& other) const {
    if (host != other.host || port != other.port || transport != other.transport) return false;
    if ((address.length == 0) != (other.address.length == 0)) return false;
    return address.length == 0 || same_address(address, other.address);
}

// RFC 2782: weight 0 first in the running sum, draw 0..sum inclusive, the first whose running sum
// is not less than it.
std::size_t pick_weighted(std::span<const Target* const> targets, Random& random) {
    FEDGATE_CHECK(!targets.empty());
    if (targets.size() == 1) return 0;
    std::uint32_t sum = 0;
    std::uint32_t zeros = 0;
    for (const Target* target : targets) {
        sum += target->weight;
        zeros += target->weight == 0 ? 1 : 0;
    }
    const std::uint32_t drawn = random.below(sum + 1);
    if (drawn == 0 && zeros > 0) {  // those of weight 0 among themselves: any order will do
        std::uint32_t skip = random.below(zeros);
        for (std::size_t i = 0; i < targets.size(); ++i) {
            if (targets[i]->weight == 0 && skip-- == 0) return i;
        }
    }
    std::uint32_t running = 0;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        running += targets[i]->weight;
        if (targets[i]->weight > 0 && running >= drawn) return i;
    }
    return targets.size() - 1;
}

void order_targets(std::vector<Target>& targets, Random& random) {
    std::sort(targets.begin(), targets.end(),
              [](const Target& a, const Target& b) { return a.priority < b.priority; });
    for (std::size_t at = 0; at < targets.size(); ++at) {  // DNS-2: repeat for the rest
        std::vector<const Target*> equals;
        for (std::size_t i = at; i < targets.size() && targets[i].priority == targets[at].priority;
             ++i) {
            equals.push_back(&targets[i]);
        }
        std::swap(targets[at], targets[at + pick_weighted(equals, random)]);
    }
}

Lookup Lookup::xmpp(const std::string& domain, Options options) {
    Lookup lookup;
    lookup.kind_ = Kind::kXmpp;
    lookup.options_ = options;
    lookup.host_ = domain;
    const bool is_literal = parse_ip(domain, 0).has_value();
    if (is_literal || domain.empty()) {  // DNS-5
        lookup.refused_ = !is_literal || !options.allow_literal;
    } else {  // DNS-1
        lookup.questions_ = {{"_xmpps-server._tcp." + domain, DnsType::kSrv},
                             {"_xmpp-server._tcp." + domain, DnsType::kSrv}};
        lookup.parts_.push_back({Transport::kTls, DnsStatus::kFailed, false, false, {}});
        lookup.parts_.push_back({Transport::kTcp, DnsStatus::kFailed, false, false, {}});
    }
    lookup.fallback_.push_back(make_target(domain, kXmppPort, Transport::kTcp));
    return lookup;
}

Lookup Lookup::fixed(const std::string& host, std::uint16_t port, Transport transport,
                     Options options) {
    Lookup lookup;
    lookup.options_ = options;
    lookup.host_ = host;
    lookup.fallback_.push_back(make_target(host, port, transport));
    lookup.refused_ = host.empty();
    return lookup;
}

// RFC 3263 4.1, 4.2: numeric -> direct; port given -> A/AAAA; else NAPTR where the transport is
// open; else SRV; else A/AAAA.
Lookup Lookup::sip(const std::string& host, std::uint16_t port,
                   std::span<const Transport> transports, bool ask_naptr) {
    Lookup lookup;
    lookup.kind_ = Kind::kSip;
    lookup.host_ = host;
    lookup.refused_ = transports.empty() || host.empty();
    if (lookup.refused_) return lookup;
    const Transport best = transports.front();
    lookup.fallback_.push_back(make_target(host, port != 0 ? port : sip_port(best), best));
    if (port != 0 || lookup.fallback_.front().address.length != 0) return lookup;
    lookup.transports_.assign(transports.begin(), transports.end());
    if (ask_naptr) {
        lookup.questions_.push_back({host, DnsType::kNaptr});
        lookup.parts_.push_back({best, DnsStatus::kFailed, false, false, {}});
        return lookup;
    }
    for (const Transport transport : transports)
        lookup.ask_srv(sip_service(transport) + host, transport);
    return lookup;
}

void Lookup::ask_srv(const std::string& name, Transport transport) {
    questions_.push_back({name, DnsType::kSrv});
    parts_.push_back({transport, DnsStatus::kFailed, false, false, {}});
}

// RFC 3263 4.1, RFC 3403 4.1: what is not ours to use does not count; of the rest only the lowest
// order, by preference. Without any it is SRV for what may be used.
void Lookup::take_naptr(const DnsAnswer& answer) {
    struct Service {
        const NaptrRecord* record;
        Transport transport;
    };
    std::vector<Service> services;
    for (const NaptrRecord& record : answer.naptr) {
        const auto transport = sip_transport(record);
        if (!transport || std::ranges::count(transports_, *transport) == 0) continue;
        services.push_back({&record, *transport});
    }
    std::ranges::stable_sort(services, {}, [](const Service& service) {
        return std::pair(service.record->order, service.record->preference);
    });
    if (services.size() > kServicesMax) services.resize(kServicesMax);
    for (const Service& service : services) {
        if (service.record->order != services.front().record->order) break;
        ask_srv(service.record->replacement, service.transport);
    }
    if (!services.empty()) {  // without SRV it is the domain itself, by the transport it prefers
        const Transport best = services.front().transport;
        fallback_ = {make_target(host_, sip_port(best), best)};
        return;
    }
    for (const Transport transport : transports_)
        ask_srv(sip_service(transport) + host_, transport);
}

void Lookup::answer(std::size_t question, const DnsAnswer& answer) {
    FEDGATE_CHECK(question < parts_.size());
    Part& part = parts_[question];
    part.status = answer.status;
    part.secure = answer.secure;
    part.records = answer.srv;
    if (part.records.size() > kTargetsMax) part.records.resize(kTargetsMax);
    // DNS-3, RFC 2782: the only record, with target ".".
    part.not_offered = part.records.size() == 1 && part.records[0].target.empty();
    std::erase_if(part.records, [](const SrvRecord& record) { return record.target.empty(); });
    ttl_ = std::min(ttl_, answer.ttl);
    ++answered_;
    if (questions_[question].type == DnsType::kNaptr && answer.status != DnsStatus::kBogus)
        take_naptr(answer);
}

LookupStatus Lookup::status() const {
    if (refused_) return LookupStatus::kNoDomain;
    if (parts_.empty()) return LookupStatus::kFound;
    bool bogus = false;
    bool not_offered = false;
    bool failed = false;
    for (const Part& part : parts_) {
        if (!part.records.empty()) return LookupStatus::kFound;
        bogus = bogus || part.status == DnsStatus::kBogus;
        failed = failed || part.status == DnsStatus::kFailed;
        not_offered = not_offered || part.not_offered;
    }
    // D8. A forged answer is not "no answer": falling back would do what the forger wants.
    if (bogus) return LookupStatus::kBogus;
    // Half an answer: what could not be asked may be what is offered.
    if (not_offered && failed) return LookupStatus::kFailed;
    // DNS-3: a "." and nothing else. DNS-4: no SRV or no answer: the domain's addresses.
    return not_offered ? LookupStatus::kNotOffered : LookupStatus::kFound;
}

std::vector<Target> Lookup::targets(Random& random) const {
    if (status() != LookupStatus::kFound) return {};
    std::vector<Target> targets;
    for (const Part& part : parts_) {
        // XEP-0368: one list over both sets. SIP: the transports stay in their order of preference.
        if (kind_ == Kind::kSip && !targets.empty()) break;
        for (const SrvRecord& record : part.records) {
            Target target = make_target(record.target, record.port, part.transport);
            target.priority = record.priority;
            if (options_.prefer_direct) {
                target.priority = 2 * target.priority + (part.transport == Transport::kTls ? 0 : 1);
            }
            target.weight = record.weight;
            target.secure = options_.dane && part.secure;
            targets.push_back(std::move(target));
        }
    }
    if (targets.empty()) {  // DNS-4: only when there is no SRV
        targets = fallback_;
        // A secure "there is no SRV" makes the domain its own target; so does an administrator who
        // has named one.
        const bool secure = kind_ == Kind::kFixed ||
                            (!parts_.empty() && std::ranges::all_of(parts_, &Part::secure));
        for (Target& target : targets) target.secure = options_.dane && secure;
        return targets;
    }
    order_targets(targets, random);
    return targets;
}

bool Lookup::has_srv() const {
    for (const Part& part : parts_) {
        if (!part.records.empty()) return true;
    }
    return false;
}

Duration Lookup::ttl() const { return ttl_; }

}  // namespace fedgate::net
