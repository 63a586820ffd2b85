// The tree becomes a Snapshot: everything is checked as a whole, with the key and its origin in
// each complaint; nothing is published when one check fails.
#include <algorithm>
#include <map>

#include "core/base/limits.hpp"
#include "core/config/domain.hpp"
#include "core/config/timestamp.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::rules {

using config::Entry;
using config::Origin;
using config::Path;
using config::Problem;
using config::Problems;
using config::Tree;

namespace {

constexpr std::string_view kNotYet = "is not yet available in this version";
constexpr std::string_view kSqlite = "sqlite:";
constexpr std::uint16_t kLinkPort = 23'456;

std::vector<std::string> words(std::string_view text) {
    constexpr std::string_view kBetween = " ,\t";
    std::vector<std::string> all;
    for (std::size_t at = text.find_first_not_of(kBetween); at < text.size();) {
        const std::size_t end = std::min(text.find_first_of(kBetween, at), text.size());
        all.emplace_back(text.substr(at, end - at));
        at = text.find_first_not_of(kBetween, end);
    }
    return all;
}

std::vector<config::Address> addresses(const Tree& tree, std::string_view name) {
    std::vector<config::Address> out;
    for (const std::string& text : tree.list(name)) out.push_back(*config::parse_address(text));
    return out;
}

std::uint32_t count(const Tree& tree, std::string_view name, std::string_view instance = {}) {
    return static_cast<std::uint32_t>(tree.number(name, instance));
}

}  // namespace

class Compiler {
public:
    Compiler(const Tree& tree, Problems& problems, WallTime now)
        : tree_(tree), problems_(problems), now_(now), out_(std::make_unique<Snapshot>()) {}

    std::unique_ptr<const Snapshot> run(std::uint64_t generation) {
        const std::size_t before = problems_.size();
        out_->generation = generation;
        read_settings();
        read_xmpp();
        read_sip();
        read_topology();
        check_settings();
        check_roles();
        read_sip_domains();
        read_policies();
        read_partners();
        read_denied();
        read_users();
        const bool failed =
            std::any_of(problems_.begin() + static_cast<std::ptrdiff_t>(before), problems_.end(),
                        [](const Problem& p) { return !p.warning; });
        return failed ? nullptr : std::move(out_);
    }

private:
    void complain(std::string_view key, std::string text, bool warning = false) {
        Path path;
        std::string why;
        Origin origin;
        if (resolve(key, path, why)) origin = tree_.effective(path).origin;
        problems_.push_back({warning, origin, std::string(key), std::move(text)});
    }
    bool is_set(const std::string& name) const { return tree_.find(name) != nullptr; }

    void read_settings() {
        Settings& s = out_->settings;
        s.federation_allow = tree_.flag("federation.allow");
        s.federation_discovery = tree_.flag("federation.discovery");
        if (tree_.flag("federation.archiving_notice")) {
            s.archiving_notice = tree_.text("federation.archiving_text");
        }
        const auto roles = tree_.list("core.roles");
        s.edge = std::ranges::find(roles, "edge") != roles.end();
        s.gateway = std::ranges::find(roles, "gateway") != roles.end();
        s.threads = count(tree_, "core.threads");
        read_cores();
        s.state_directory = tree_.text("dirs.state");
        s.store_path = s.state_directory + "/fedgate.db";
        const std::string store = tree_.text("store.url");
        if (store.starts_with(kSqlite)) s.store_path = store.substr(kSqlite.size());
        if (store.starts_with("postgresql://") || store.starts_with("postgres://")) {
            s.store_url = store;
        }
        s.node = tree_.text("core.node");
        s.admin_socket = tree_.text("admin.socket");
        const auto http = addresses(tree_, "admin.http.listen");
        if (!http.empty()) s.admin_http = http.front();
        s.admin_groups = {words(tree_.text("admin.groups.administrator")),
                          words(tree_.text("admin.groups.operator")),
                          words(tree_.text("admin.groups.viewer"))};
        s.dns_servers = addresses(tree_, "net.dns.servers");
        s.dns_trust_anchor = tree_.text("net.dns.trust_anchor");
        s.tls_external = tls_files("tls.external");
        s.revocation_lists = tree_.list("tls.external.crl");
        s.internal_revocation_lists = tree_.list("tls.internal.crl");
        s.revocation = static_cast<Revocation>(tree_.number("tls.external.revocation"));
        s.tls_internal = tls_files("tls.internal");
        s.tls_sip = tls_files("tls.sip");
        s.im.max_bytes = static_cast<std::size_t>(tree_.number("im.max_bytes"));
        s.im.error_wait = tree_.duration("im.error_wait");
        s.presence.ask_again = tree_.duration("presence.ask_again");
        s.presence.lost_after = tree_.duration("presence.lost_after");
        s.presence.expires = count(tree_, "presence.expires");
        s.presence.subscriptions = count(tree_, "presence.subscriptions");
        s.presence.subscriptions_per_domain = count(tree_, "sec.subscriptions_per_domain");
        s.presence.subscriptions_per_watcher = count(tree_, "sec.subscriptions_per_watcher");
        s.loop_repeats = count(tree_, "sec.loop_repeats");
        s.log_level = static_cast<std::uint8_t>(tree_.number("log.level"));
        s.log_language = static_cast<Language>(tree_.number("log.language"));
        s.log_bodies = tree_.flag("log.bodies");
        s.test.from = tree_.text("test.im.from");
        s.test.to = tree_.text("test.im.to");
        s.test.interval = tree_.duration("test.im.interval");
        s.test.within = tree_.duration("test.im.within");
        if (s.test.interval > Duration::zero() && (s.test.from.empty() || s.test.to.empty())) {
            complain("test.im.interval", "needs test.im.from and test.im.to");
        }
        if (s.test.interval > Duration::zero() && s.test.interval < std::chrono::seconds(1)) {
            complain("test.im.interval", "a test each second is the most; 0s: none");
        }
    }

    void read_cores() {
        for (const std::string& name : tree_.instances("core")) {
            auto cpus =
                config::parse_cpu_set(tree_.text("core.*.cpu", name)).value_or(config::CpuSet{});
            Settings::Cores& cores = out_->settings.cores;
            if (name == config::template_of("core")) {
                cores.every = std::move(cpus);
            } else {
                cores.own[static_cast<std::uint32_t>(std::stoul(name))] = std::move(cpus);
            }
        }
    }

    void read_topology() {
        Settings::Link& link = out_->settings.link;
        link.listen = addresses(tree_, "link.listen");
        read_edges("link.edges", tree_.list("link.edges"), {}, 0);
        const bool by_pools = link.edges.empty();
        for (const std::string& name : tree_.instances("pool")) {
            const std::string key = "pool/" + name + "/members";
            const auto members = tree_.list("pool/*/members", name);
            if (tree_.text("pool/*/kind", name) == "edge") {
                if (by_pools) read_edges(key, members, name, kLinkPort);
                continue;
            }
            for (const std::string& text : members) {
                const auto member = config::parse_host_port(text);
                if (is_name(key, *member)) link.gateways.push_back(member->host);
            }
        }
        const Settings& s = out_->settings;
        const auto is_other = [&s](const std::string& name) {
            return !s.node.empty() && name != s.node;
        };
        link.joined = s.edge && s.gateway &&
                      (s.node.empty() ? link.gateways.size() > 1
                                      : std::ranges::any_of(link.gateways, is_other));
        check_members();
        for (const std::string& name : tree_.instances("site")) read_route(name);
    }

    // A machine is in one pool of a kind: else it would be of two priorities.
    void check_members() {
        std::map<std::pair<std::string, std::string>, std::string> pools;  // by kind and host
        for (const std::string& name : tree_.instances("pool")) {
            for (const std::string& text : tree_.list("pool/*/members", name)) {
                const std::string host = config::parse_host_port(text)->host;
                const auto [at, fresh] =
                    pools.emplace(std::pair{tree_.text("pool/*/kind", name), host}, name);
                if (fresh || at->second == name) continue;
                complain("pool/" + name + "/members", host + " is a member of pool '" + at->second +
                                                          "' already; take it out of one of them");
            }
        }
    }

    // `pool`: whose members they are; empty: whose they are is found by their names.
    void read_edges(const std::string& key, const std::vector<std::string>& hosts,
                    const std::string& pool, std::uint16_t port) {
        for (const std::string& text : hosts) {
            const auto edge = config::parse_host_port(text);
            if (!is_name(key, *edge)) continue;
            const std::string its = pool.empty() ? edge_pool_of(edge->host) : pool;
            const auto priority = static_cast<std::uint16_t>(
                pool.empty() ? 0 : count(tree_, "pool/*/priority", pool));
            auto& edges = out_->settings.link.edges;
            const auto at =
                std::ranges::upper_bound(edges, priority, {}, &Settings::Link::Edge::priority);
            edges.insert(at, {edge->host, edge->port != 0 ? edge->port : port, priority, its});
        }
    }

    std::string edge_pool_of(const std::string& host) const {
        for (const std::string& name : tree_.instances("pool")) {
            if (tree_.text("pool/*/kind", name) != "edge") continue;
            for (const std::string& text : tree_.list("pool/*/members", name)) {
                if (config::parse_host_port(text)->host == host) return name;
            }
        }
        return {};
    }

    void read_route(const std::string& site) {
        const std::string route = tree_.text("site/*/route", site);
        const std::string key = "site/" + site + "/route";
        if (route.empty()) return;
        const auto pools = tree_.instances("pool");
        if (std::ranges::find(pools, route) == pools.end()) {
            return complain(key, "there is no edge pool '" + route + "'" + edge_pools());
        }
        if (tree_.text("pool/*/kind", route) != "edge") {
            return complain(key, "pool '" + route + "' is one of gateways, and there is no edge " +
                                     "pool '" + route + "'" + edge_pools());
        }
        if (tree_.list("pool/*/members", route).empty()) {
            return complain(key, "the edge pool '" + route +
                                     "' has no members: no way leads through it (pool/" + route +
                                     "/members)");
        }
        const auto& edges = out_->settings.link.edges;
        if (out_->settings.gateway && !out_->settings.edge &&
            std::ranges::find(edges, route, &Settings::Link::Edge::pool) == edges.end()) {
            complain(key, "link.edges names no edge of pool '" + route + "': the route has no use",
                     true);
        }
        site_of(site);
    }

    std::string edge_pools() const {
        std::string text;
        for (const std::string& name : tree_.instances("pool")) {
            if (tree_.text("pool/*/kind", name) != "edge") continue;
            text += (text.empty() ? "; there is " : ", ") + name;
        }
        return text;
    }

    // Its index.
    std::uint32_t site_of(const std::string& name) {
        if (name.empty()) return NameIndex::kNone;
        auto& sites = out_->sites_;
        const auto at = std::ranges::find(sites, name, &Site::name);
        if (at != sites.end()) return static_cast<std::uint32_t>(at - sites.begin());
        sites.push_back({name, tree_.text("site/*/route", name)});
        out_->has_routes_ = out_->has_routes_ || !sites.back().route.empty();
        return static_cast<std::uint32_t>(sites.size() - 1);
    }

    // Who is at the other end of a link is known by the name in its certificate.
    bool is_name(const std::string& key, const config::HostPort& member) {
        if (member.literal) {
            complain(key, member.host +
                              " is an address; write the name in the certificate of "
                              "that machine (tls.internal.certificate)");
        }
        return !member.literal;
    }

    // What edges and gateways on machines of their own need of each other.
    void check_roles() {
        const Settings& s = out_->settings;
        if (s.edge && s.gateway && !s.link.joined) {
            if (!tree_.list("link.edges").empty()) {
                complain("link.edges",
                         "is for a gateway alone (core.roles = gateway); this process is its own "
                         "edge");
            }
            return;
        }
        const std::string who = s.link.joined ? "with gateways on other machines an edge "
                                : s.edge      ? "an edge alone "
                                              : "a gateway alone ";
        for (const auto& [file, name] :
             {std::pair{&s.tls_internal.certificate, "certificate"},
              std::pair{&s.tls_internal.key, "key"}, std::pair{&s.tls_internal.ca, "ca"}}) {
            if (!file->empty()) continue;
            complain(std::string("tls.internal.") + name,
                     "is empty; " + who + "needs it for the link (core.roles)");
        }
        if (s.gateway && s.link.edges.empty()) {
            complain("link.edges",
                     s.edge ? "is empty, and no edge pool has members; with gateways on other "
                              "machines an edge pool must name this one, too (pool/NAME/members)"
                            : "is empty, and no edge pool has members; a gateway alone needs "
                              "to know where its edges are (core.roles)");
        }
        if (s.link.joined && !s.node.empty() && !s.link.edges.empty() &&
            std::ranges::find(s.link.edges, s.node, &Settings::Link::Edge::host) ==
                s.link.edges.end()) {
            complain("core.node", "is " + s.node +
                                      ", which no edge pool has; this process is an edge, too: add "
                                      "it to one (pool/NAME/members)");
        }
        if (s.edge && s.xmpp.stanza_bytes > limits::kPassedStanzaBytes) {
            complain("xmpp.limits.stanza_bytes",
                     "is above 1MiB, the most that an edge alone takes (core.roles)");
        }
        if (s.edge && !s.gateway && !tree_.list("link.edges").empty()) {
            complain("link.edges", "is for a gateway alone (core.roles = gateway)");
        }
        if (s.edge && s.link.listen.empty()) {
            complain("link.listen",
                     "is empty; an edge alone needs it for its gateways (core.roles)");
        }
        if (s.edge && s.link.gateways.empty()) {
            complain("core.roles",
                     "an edge alone needs to know its gateways by name: pool/NAME/kind = gateway, "
                     "pool/NAME/members = gw1.example ...");
        }
    }

    void read_xmpp() {
        Settings::Xmpp& x = out_->settings.xmpp;
        x.listen = addresses(tree_, "xmpp.listen");
        x.listen_tls = addresses(tree_, "xmpp.listen_tls");
        x.connections = count(tree_, "xmpp.limits.connections");
        x.connections_per_partner = count(tree_, "xmpp.limits.connections_per_partner");
        x.unauthenticated_per_address = count(tree_, "xmpp.limits.unauthenticated_per_address");
        x.streams_per_domain_pair = count(tree_, "xmpp.limits.streams_per_domain_pair");
        x.stanza_bytes = static_cast<std::size_t>(tree_.number("xmpp.limits.stanza_bytes"));
        x.depth = count(tree_, "xmpp.limits.depth");
        x.connections_per_address = tree_.rate("xmpp.rate.connections_per_address");
        x.dialback_per_domain = tree_.rate("xmpp.rate.dialback_per_domain");
        x.establish = tree_.duration("xmpp.timeouts.establish");
        x.inactivity = tree_.duration("xmpp.timeouts.inactivity");
        x.keepalive_interval = tree_.duration("xmpp.keepalive.interval");
        x.dialback_secret = tree_.text("xmpp.dialback.secret");
        x.retry_first = tree_.duration("xmpp.retry.first");
        x.retry_max = tree_.duration("xmpp.retry.max");
        x.queue_bytes = static_cast<std::size_t>(tree_.number("xmpp.queue.bytes"));
        x.queue_time = tree_.duration("xmpp.queue.time");
    }

    void read_sip() {
        Settings::Sip& sip = out_->settings.sip;
        for (const std::string& text : tree_.list("sip.listen")) {
            sip.listen.push_back(*config::parse_sip_listen(text));
        }
        for (const std::string& text : tree_.list("sip.trusted")) {
            sip.trusted.push_back(*config::parse_network(text));
        }
        sip.datagrams_per_address = tree_.rate("sip.rate.datagrams_per_address");
        sip.options_interval = tree_.duration("sip.options_interval");
        for (const std::string& text : tree_.list("sip.msrp.host")) {
            const config::HostPort host = *config::parse_host_port(text);
            sip.msrp.host = host.host;
            if (host.port != 0) {
                complain("sip.msrp.host",
                         "is a name or an address alone; the port is that of "
                         "sip.msrp.listen");
            }
        }
        if (out_->settings.gateway) read_msrp(sip.msrp);
    }

    // Towards SIP that of the edge serves, too.
    bool has_sip_certificate() const {
        const Settings& s = out_->settings;
        return !s.tls_sip.certificate.empty() || (s.edge && !s.tls_external.certificate.empty());
    }

    void read_msrp(Settings::Sip::Msrp& msrp) {
        for (const std::string& name : tree_.instances("domain")) {
            if (tree_.text("domain/*/profile", name) != "msrp") continue;
            const auto listen = addresses(tree_, "sip.msrp.listen");
            if (listen.empty()) {
                complain("sip.msrp.listen",
                         "is empty; domain/" + name + "/profile = msrp needs it");
                return;
            }
            msrp.listen = listen.front();
            msrp.tls = tree_.flag("sip.msrp.tls");
            if (msrp.tls && !has_sip_certificate()) {
                complain("domain/" + name + "/profile",
                         "msrp goes by TLS, which needs tls.sip.certificate and tls.sip.key; "
                         "sip.msrp.tls = no would have it in the clear");
            }
        }
        const config::Address& listen = msrp.listen;
        if (msrp.host.empty() && !listen.text.empty() && !is_any(listen)) {
            msrp.host = listen.text.substr(0, listen.text.rfind(':'));
            std::erase_if(msrp.host, [](char c) { return c == '[' || c == ']'; });
        }
    }

    std::optional<TlsFiles::Next> next_files(const std::string& key, const std::string& text) {
        const std::size_t first = text.find(' ');
        const std::size_t second = text.find(' ', std::min(first, text.size() - 1) + 1);
        const auto from = config::parse_time(text.substr(0, first));
        if (second != std::string::npos && from) {
            TlsFiles::Next next{*from, text.substr(first + 1, second - first - 1),
                                text.substr(second + 1)};
            if (next.certificate.starts_with('/') && next.key.starts_with('/') &&
                next.key.find(' ') == std::string::npos)
                return next;
        }
        complain(key,
                 "is not DATE CERTIFICATE KEY, as 2026-12-01T06:00:00Z /etc/fedgate/new.pem "
                 "/etc/fedgate/new.key");
        return std::nullopt;
    }

    TlsFiles tls_files(const std::string& prefix) {
        TlsFiles files{tree_.text(prefix + ".certificate"), tree_.text(prefix + ".key"),
                       tree_.text(prefix + ".ca")};
        if (files.certificate.empty() != files.key.empty()) {
            const bool no_key = files.key.empty();
            complain(prefix + (no_key ? ".certificate" : ".key"),
                     "needs " + prefix + (no_key ? ".key" : ".certificate") + " beside it");
        }
        if (const std::string text = tree_.text(prefix + ".next"); !text.empty()) {
            files.next = next_files(prefix + ".next", text);
            if (files.certificate.empty()) {
                complain(prefix + ".next",
                         "needs " + prefix + ".certificate, whose place it takes");
            }
        }
        return files;
    }

    void check_settings() {
        const Settings& s = out_->settings;
        const std::string store = tree_.text("store.url");
        const bool is_file = store.starts_with(kSqlite) && s.store_path[0] == '/';
        if (!store.empty() && !is_file && s.store_url.empty()) {
            complain("store.url",
                     "is not a URL like sqlite:/var/lib/fedgate/fedgate.db or "
                     "postgresql://user@host/database");
        }
        if (s.gateway && !s.store_url.empty()) check_node();
        if (s.xmpp.retry_first > s.xmpp.retry_max) {
            complain("xmpp.retry.first", "is above xmpp.retry.max");
        }
        if (s.xmpp.connections_per_partner > s.xmpp.connections) {
            complain("xmpp.limits.connections_per_partner", "is above xmpp.limits.connections");
        }
        if (s.log_bodies)
            complain("log.bodies", std::string("logging texts ") + std::string(kNotYet));
        check_listeners();
    }

    // Edges and the pool's store choose a node by its name: by the same one.
    void check_node() {
        const auto& members = out_->settings.link.gateways;
        const std::string& node = out_->settings.node;
        if (node.empty() || members.empty()) return;
        if (std::ranges::find(members, node) != members.end()) return;
        complain("core.node", "is " + node +
                                  "; with store.url = postgresql:// it must be one of the members "
                                  "of a gateway pool (pool/NAME/members)");
    }

    // Two listeners on one port that would meet. `[::]` takes IPv4 too.
    void check_listeners() {
        const Settings& s = out_->settings;
        struct Taken {
            std::string key;
            std::string protocol;
            config::Address address;
        };
        std::vector<Taken> taken;
        const auto take = [&](const std::string& key, const std::string& protocol,
                              const config::Address& address) {
            if (address.port == 0) return;  // none, or the kernel picks
            for (const Taken& other : taken) {
                if (other.protocol != protocol || !meet(other.address, address)) continue;
                const bool same = other.address.text == address.text;
                complain(key, address.text + " is taken by " + other.key +
                                  (same ? "" : " = " + other.address.text) +
                                  "; give one of them another port or address");
                return;
            }
            taken.push_back({key, protocol, address});
        };
        if (s.edge) {
            for (const auto& a : s.xmpp.listen) take("xmpp.listen", "tcp", a);
            for (const auto& a : s.xmpp.listen_tls) take("xmpp.listen_tls", "tcp", a);
            for (const auto& a : s.link.listen) take("link.listen", "tcp", a);
        }
        take("admin.http.listen", "tcp", s.admin_http);
        for (const auto& a : addresses(tree_, "admin.remote.listen")) {
            take("admin.remote.listen", "tcp", a);
            check_remote();
        }
        if (!s.gateway) return;
        for (const auto& listen : s.sip.listen) {
            const bool udp = listen.transport == config::Transport::kUdp;
            take("sip.listen", udp ? "udp" : "tcp", listen.address);
        }
        const config::Address& msrp = s.sip.msrp.listen;
        if (msrp.port == 0) return;
        // How many cores 0 will be is for the machine to say.
        const std::uint32_t cores = s.threads != 0 ? s.threads : config::kCoresMax;
        const std::uint32_t last = msrp.port + cores - 1;
        const std::string ports = "takes a port for each core, " + std::to_string(msrp.port) +
                                  " to " + std::to_string(last) + " (core.threads), ";
        if (last > UINT16_MAX) {
            return complain("sip.msrp.listen",
                            ports + "and 65535 is the last; give it a lower port");
        }
        for (const Taken& other : taken) {
            if (other.protocol != "tcp" || other.address.port < msrp.port ||
                other.address.port > last ||
                !meet(other.address, config::with_port(msrp, other.address.port)))
                continue;
            return complain("sip.msrp.listen", ports + "which meets " + other.key + " = " +
                                                   other.address.text +
                                                   "; give one of them another port or address");
        }
    }

    void check_remote() {
        for (const char* key :
             {"admin.remote.ca", "admin.remote.certificate", "admin.remote.key"}) {
            if (tree_.text(key).empty()) complain(key, "is needed with admin.remote.listen");
        }
        if (tree_.text("admin.remote.administrator").empty() &&
            tree_.text("admin.remote.operator").empty() &&
            tree_.text("admin.remote.viewer").empty()) {
            complain(
                "admin.remote.administrator",
                "lists nobody, and admin.remote.operator and .viewer neither: nobody could use "
                "admin.remote.listen");
        }
    }

    static bool is_any(const config::Address& address) {
        return std::ranges::all_of(address.bytes, [](std::uint8_t byte) { return byte == 0; });
    }

    static bool meet(const config::Address& one, const config::Address& other) {
        if (one.port != other.port) return false;
        if (one.text == other.text || (one.v6 && is_any(one)) || (other.v6 && is_any(other))) {
            return true;
        }
        return one.v6 == other.v6 && (is_any(one) || is_any(other));
    }

    void read_sip_domains() {
        for (const std::string& name : tree_.instances("domain")) {
            SipDomain domain;
            domain.name = name;
            for (const std::string& text : tree_.list("domain/*/next_hop", name)) {
                domain.next_hops.push_back(*config::parse_sip_target(text));
            }
            domain.site = tree_.text("domain/*/site", name);
            domain.digest_user = tree_.text("domain/*/digest_user", name);
            domain.digest_password = tree_.text("domain/*/digest_password", name);
            if (domain.digest_user.empty() != domain.digest_password.empty()) {
                complain("domain/" + name + "/digest_user",
                         "digest_user and digest_password go together: set both or none");
            }
            domain.strict_1300 = tree_.flag("domain/*/strict_1300", name);
            domain.phone = tree_.flag("domain/*/phone", name);
            domain.send_pai = tree_.flag("domain/*/send_pai", name);
            domain.wildcard = tree_.flag("domain/*/wildcard", name);
            domain.sip2xmpp_chat = tree_.text("domain/*/sip2xmpp_type", name) == "chat";
            domain.imdn = tree_.flag("domain/*/imdn", name);
            domain.receipt_on_200 = tree_.flag("domain/*/receipt_on_200", name);
            domain.verbose_errors = tree_.flag("domain/*/verbose_errors", name);
            domain.html_out = tree_.text("domain/*/html_out", name) == "alternative";
            const std::string profile = tree_.text("domain/*/profile", name);
            if (profile == "lync") domain.profile = Profile::kLync;
            if (profile == "msrp") domain.profile = Profile::kMsrp;
            out_->domain_sites_.push_back(site_of(domain.site));
            const auto index = static_cast<std::uint32_t>(out_->sip_domains_.size());
            out_->sip_domain_index_.add(name, index);
            out_->sip_domains_.push_back(std::move(domain));
        }
    }

    void read_policies() {
        read_policy("global");
        for (const std::string& name : tree_.instances("policy")) {
            if (name != "global") read_policy(name);
        }
        for (const SipDomain& domain : out_->sip_domains_) {
            out_->domain_policies_.push_back(policy_of_site(domain.site));
        }
    }

    void read_policy(const std::string& name) {
        Policy policy;
        policy.name = name;
        policy.description = tree_.text("policy/*/description", name);
        policy.federation_access = tree_.flag("policy/*/federation_access", name);
        policy.xmpp_access = tree_.flag("policy/*/xmpp_access", name);
        policy.outside_access = tree_.flag("policy/*/outside_access", name);
        policy.public_cloud_access = tree_.flag("policy/*/public_cloud_access", name);
        policy.public_cloud_av_access = tree_.flag("policy/*/public_cloud_av_access", name);
        policy.partners = tree_.list("policy/*/partners", name);
        std::ranges::sort(policy.partners);
        policies_[name] = static_cast<std::uint32_t>(out_->policies_.size());
        out_->policies_.push_back(std::move(policy));
    }

    std::uint32_t policy_of_site(const std::string& site) const {
        const auto found = policies_.find("site:" + site);
        return site.empty() || found == policies_.end() ? 0 : found->second;
    }

    void read_partners() {
        const Partner common = partner("default", nullptr);
        out_->partners_.push_back(common);
        out_->partners_.front().domain.clear();
        for (const char* leaf : {"additional_domains", "pins", "proxy"}) {
            const std::string key = std::string("partner/default/") + leaf;
            if (is_set(key)) complain(key, "belongs to one partner, not to the template of all");
        }
        for (const std::string& name : tree_.instances("partner")) {
            if (name == "default") continue;
            const auto index = static_cast<std::uint32_t>(out_->partners_.size());
            Partner made = partner(name, &common);
            add_partner_domain(name, "enabled", name, index);
            for (const std::string& domain : made.additional_domains) {
                add_partner_domain(name, "additional_domains", domain, index);
            }
            out_->partners_.push_back(std::move(made));
        }
    }

    void read_denied() {
        for (const std::string& item : tree_.list("federation.deny")) {
            const config::Denied denied = *config::parse_denied(item);
            if (denied.until <= now_) continue;
            out_->deny_index_.add(denied.pattern, 0);
            out_->valid_until = std::min(out_->valid_until, denied.until);
        }
    }

    void add_partner_domain(const std::string& name, const char* leaf, const std::string& domain,
                            std::uint32_t index) {
        const std::string key = "partner/" + name + "/" + leaf;
        if (out_->sip_domain(domain) != nullptr) {
            complain(key, domain + " is a domain of ours (domain/" + domain +
                              "/...); it can't be a partner's");
        }
        if (!out_->partner_index_.add(domain, index)) {
            const Partner& other = out_->partners_[out_->partner_index_.find(domain)];
            complain(key, domain + " belongs to partner " + other.domain + " already");
        }
    }

    // Keys of one partner that are set, without the front that is the same.
    std::vector<std::string_view> leaves_of(const std::string& name) const {
        const std::string front = "partner/" + name + "/";
        std::vector<std::string_view> leaves;
        const auto& entries = tree_.entries();
        for (auto at = entries.lower_bound(front); at != entries.end(); ++at) {
            if (!at->first.starts_with(front)) break;
            leaves.push_back(std::string_view(at->first).substr(front.size()));
        }
        return leaves;
    }

    // There are many, and most say little of themselves: the rest is the template's.
    Partner partner(const std::string& name, const Partner* common) {
        Partner p = common != nullptr ? *common : Partner();
        const std::vector<std::string_view> leaves = leaves_of(name);
        const auto says = [&](std::string_view leaf) {
            return common == nullptr || std::ranges::find(leaves, leaf) != leaves.end();
        };
        const auto flag = [&](std::string_view leaf, bool& value) {
            if (says(leaf)) value = tree_.flag("partner/*/" + std::string(leaf), name);
        };
        const auto rate = [&](std::string_view leaf, config::Rate& value) {
            if (says(leaf)) value = tree_.rate("partner/*/" + std::string(leaf), name);
        };
        p.domain = name;
        if (says("additional_domains")) {
            p.additional_domains = tree_.list("partner/*/additional_domains", name);
        }
        if (says("description")) p.description = tree_.text("partner/*/description", name);
        flag("enabled", p.enabled);
        if (says("type")) p.type = static_cast<PartnerType>(tree_.number("partner/*/type", name));
        if (says("tls") || says("sasl") || says("dialback")) {
            p.negotiation = negotiation(static_cast<Need>(tree_.number("partner/*/tls", name)),
                                        static_cast<Need>(tree_.number("partner/*/sasl", name)),
                                        tree_.flag("partner/*/dialback", name));
            check_negotiation(name, p.negotiation);
        }
        flag("keepalive", p.keepalive);
        flag("bidi", p.bidi);
        if (says("connection_limit")) {
            p.connection_limit = count(tree_, "partner/*/connection_limit", name);
            if (p.connection_limit == 0) {
                p.connection_limit = out_->settings.xmpp.connections_per_partner;
            }
        }
        if (says("proxy")) {
            const auto proxy = tree_.list("partner/*/proxy", name);
            p.proxy = {};
            if (!proxy.empty()) p.proxy = *config::parse_host_port(proxy.front());
        }
        flag("prefer_direct", p.prefer_direct);
        flag("dane", p.dane);
        flag("legacy_tls", p.legacy_tls);
        if (p.legacy_tls) check_legacy_tls(name);
        if (says("ca")) p.ca = tree_.text("partner/*/ca", name);
        if (says("pins")) p.pins = tree_.list("partner/*/pins", name);
        if (says("eku")) p.strict_usage = tree_.text("partner/*/eku", name) == "strict";
        if (says("stanzas")) p.kinds = kinds(name);
        rate("rate_bytes", p.rate_bytes);
        rate("rate_stanzas", p.rate_stanzas);
        rate("rate_connections", p.rate_connections);
        rate("rate_sender_messages", p.rate_sender_messages);
        return p;
    }

    // features.md P8.
    Kinds kinds(const std::string& name) const {
        static constexpr std::pair<const char*, Kind> kWords[] = {
            {"message", Kind::kMessage}, {"presence", Kind::kPresence}, {"iq", Kind::kIq},
            {"typing", Kind::kTyping},   {"notes", Kind::kNotes},       {"html", Kind::kHtml}};
        const std::vector<std::string> items = tree_.list("partner/*/stanzas", name);
        Kinds kinds;
        for (const auto& [word, kind] : kWords) {
            kinds.set(kind, std::ranges::find(items, word) != items.end());
        }
        if (!kinds.has(Kind::kMessage)) {
            kinds.set(Kind::kTyping, false);
            kinds.set(Kind::kHtml, false);
        }
        if (!kinds.has(Kind::kPresence)) kinds.set(Kind::kNotes, false);
        return kinds;
    }

    // features.md N15.
    void check_legacy_tls(const std::string& name) {
        const std::string key = "partner/" + name + "/legacy_tls";
        if (name == "default") {
            complain(key, "is for single partners that have nothing better, never for all");
            return;
        }
        complain(
            key,
            "TLS 1.0, TLS 1.1 and CBC suites are broken: whoever is on the way may read along. "
            "Take it away as soon as the partner has TLS 1.2",
            true);
    }

    // features.md A5. A combination that nobody chose for this partner (all three are defaults or
    // the template's) is not remarked on once more for each partner.
    void check_negotiation(const std::string& name, const Negotiation& row) {
        if (row.remark.empty()) return;
        std::string key;
        for (const char* leaf : {"tls", "sasl", "dialback"}) {
            const std::string candidate = "partner/" + name + "/" + leaf;
            if (is_set(candidate)) key = candidate;
        }
        if (key.empty()) return;
        static constexpr const char* kWords[] = {"required", "optional", "none"};
        std::string text = std::string("tls = ") + kWords[static_cast<int>(row.tls)] +
                           ", sasl = " + kWords[static_cast<int>(row.sasl)] +
                           ", dialback = " + (row.dialback ? "yes" : "no") + ": ";
        complain(key, text.append(row.remark), row.valid());
    }

    void read_users() {
        for (const std::string& user : tree_.instances("user")) {
            const std::string domain_name = user.substr(user.rfind('@') + 1);
            const SipDomain* domain = out_->sip_domain(domain_name);
            const std::string wanted = tree_.text("user/*/policy", user);
            const std::string site = tree_.text("user/*/site", user);
            if (domain == nullptr) {
                complain("user/" + user + (wanted.empty() ? "/site" : "/policy"),
                         domain_name + " is not a domain of ours", true);
                continue;
            }
            std::uint32_t policy = policy_of_site(site.empty() ? domain->site : site);
            if (!wanted.empty()) {
                const auto found = policies_.find(wanted);
                if (found == policies_.end()) {
                    complain(
                        "user/" + user + "/policy",
                        "there is no policy '" + wanted + "' (no policy/" + wanted + "/... key)");
                    continue;
                }
                policy = found->second;
            }
            out_->user_index_.add(user, policy);
            if (!site.empty()) out_->user_site_index_.add(user, site_of(site));
        }
    }

    const Tree& tree_;
    Problems& problems_;
    const WallTime now_;
    std::unique_ptr<Snapshot> out_;
    std::map<std::string, std::uint32_t, std::less<>> policies_;
};

std::unique_ptr<const Snapshot> compile(const Tree& tree, std::uint64_t generation,
                                        Problems& problems, WallTime now) {
    return Compiler(tree, problems, now).run(generation);
}

}  // namespace fedgate::rules
