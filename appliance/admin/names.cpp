#include "appliance/admin/names.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/address.hpp"

namespace fedgate::admin {
namespace {

constexpr unsigned kPriorityStep = 10;  // room for a record in between
constexpr unsigned kWeight = 50;
constexpr const char* kTtl = "3600";

struct Pool {
    std::string name;
    std::int64_t rank = 0;
    std::vector<std::string> hosts;
};

// Every edge takes streams and passes them on, those of a pool that stands by, too: so each pool is
// published, in the order in which we use them ourselves. `route`: the first one for this site.
std::vector<Pool> pools_of(const config::Tree& tree, const std::string& route) {
    std::vector<Pool> pools;
    for (const std::string& name : tree.instances("pool")) {
        if (tree.text("pool/*/kind", name) != "edge") continue;
        Pool pool{name, tree.number("pool/*/priority", name), {}};
        for (const std::string& member : tree.list("pool/*/members", name)) {
            if (const auto host = config::parse_host_port(member)) pool.hosts.push_back(host->host);
        }
        if (name == route) pool.rank = -1;
        if (!pool.hosts.empty()) pools.push_back(std::move(pool));
    }
    std::ranges::stable_sort(pools, {}, &Pool::rank);
    return pools;
}

// RFC 6120 section 3.2.1, XEP-0368.
void add_services(Json& zone, Json& records, const std::string& domain, const std::string& host,
                  unsigned priority, const rules::Settings& settings) {
    const std::pair<const char*, const std::vector<config::Address>*> services[] = {
        {"_xmpp-server", &settings.xmpp.listen}, {"_xmpps-server", &settings.xmpp.listen_tls}};
    for (const auto& [service, listen] : services) {
        if (listen->empty()) continue;
        zone.push_back(std::string(service) + "._tcp." + domain + ". " + kTtl + " IN SRV " +
                       std::to_string(priority) + " " + std::to_string(kWeight) + " " +
                       std::to_string(listen->front().port) + " " + host + ".");
        records.push_back({{"name", std::string(service) + "._tcp." + domain},
                           {"domain", domain},
                           {"direct_tls", listen == &settings.xmpp.listen_tls},
                           {"priority", priority},
                           {"port", listen->front().port},
                           {"target", host}});
    }
}

Json plan(const Configuration& configuration) {
    const rules::Snapshot& snapshot = configuration.snapshot();
    const config::Tree& tree = configuration.tree();
    if (snapshot.sip_domains().empty()) {
        return refusal(
            "there is no domain of ours yet: domain/DOMAIN/next_hop says where its users are");
    }
    Json zone = Json::array();
    Json records = Json::array();
    std::set<std::string> hosts;
    for (const rules::SipDomain& domain : snapshot.sip_domains()) {
        const std::string route = domain.site.empty() ? "" : tree.text("site/*/route", domain.site);
        const std::vector<Pool> pools = pools_of(tree, route);
        unsigned priority = 0;
        const Pool* before = nullptr;
        for (const Pool& pool : pools) {
            if (before == nullptr || before->rank != pool.rank) priority += kPriorityStep;
            before = &pool;
            for (const std::string& host : pool.hosts) {
                add_services(zone, records, domain.name, host, priority, snapshot.settings);
                hosts.insert(host);
            }
        }
        if (pools.empty()) {  // one machine is all there is
            const std::string host = "xmpp." + domain.name;
            add_services(zone, records, domain.name, host, kPriorityStep, snapshot.settings);
            hosts.insert(host);
        }
    }
    const auto now = wall_now();
    Json servers = Json::array();
    for (const config::Address& one : snapshot.settings.dns_servers) servers.push_back(one.text);
    const rules::TlsFiles files = snapshot.settings.tls_external.at(now);
    return {{"ok", true},
            {"zone", std::move(zone)},
            {"addresses", hosts},
            {"records", std::move(records)},
            {"servers", std::move(servers)},
            {"certificate", files.certificate},
            {"next_certificate", files.next ? files.next->certificate : std::string()}};
}

}  // namespace

Json answer_dns(const Json& request, const Configuration& configuration) {
    std::string action = string_of(request, "action");
    const std::vector<std::string> words = strings_of(request, "arguments");
    if (action.empty() && words.size() == 1) action = words[0];
    if (action == "plan") return plan(configuration);
    return refusal("dns has no action '" + action.substr(0, 64) +
                   "'; there is plan, and fedctl has check");
}

}  // namespace fedgate::admin
