#include "appliance/admin/machine.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <netinet/in.h>
#include <string>
#include <unistd.h>

#include "appliance/admin/configuration.hpp"
#include "core/config/address.hpp"
#include "core/run/shard.hpp"
#include "core/run/socket_bounds.hpp"

namespace fedgate::admin {
namespace {

bool is_loopback(const config::Address& address) {
    if (!address.v6) return address.bytes[0] == 127;
    return address.text.starts_with("[::1]");
}

std::string text_of(const config::Network& network) {
    char written[INET6_ADDRSTRLEN] = {};
    inet_ntop(network.v6 ? AF_INET6 : AF_INET, network.bytes.data(), written, sizeof written);
    return std::string(written) + "/" + std::to_string(network.prefix);
}

// Names, and no names at all (RFC 3263), lead anywhere.
bool has_hops_by_name(const rules::Snapshot& rules) {
    return std::ranges::any_of(rules.sip_domains(), [](const rules::SipDomain& domain) {
        return domain.next_hops.empty() ||
               !std::ranges::all_of(domain.next_hops, &config::SipTarget::literal);
    });
}

Json sip_networks(const rules::Snapshot& rules) {
    Json networks = Json::array();
    for (const config::Network& network : rules.settings.sip.trusted) {
        networks.push_back(text_of(network));
    }
    for (const rules::SipDomain& domain : rules.sip_domains()) {
        for (const config::SipTarget& hop : domain.next_hops) {
            if (hop.literal) networks.push_back(hop.host);
        }
    }
    return networks;
}

}  // namespace

std::string host_name() {
    std::array<char, 256> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : std::string();
}

Json machine_of(const Configuration& configuration) {
    const rules::Snapshot& rules = configuration.snapshot();
    const rules::Settings& settings = rules.settings;
    Json ports = Json::array();
    const auto add = [&ports](const char* key, const char* protocol, const config::Address& address,
                              const char* whom) {
        if (address.text.empty() || is_loopback(address)) return;
        ports.push_back(
            {{"key", key}, {"protocol", protocol}, {"address", address.text}, {"for", whom}});
    };
    if (settings.edge) {
        for (const auto& one : settings.xmpp.listen) add("xmpp.listen", "tcp", one, "everybody");
        for (const auto& one : settings.xmpp.listen_tls) {
            add("xmpp.listen_tls", "tcp", one, "everybody");
        }
        if (!settings.gateway || settings.link.joined) {
            for (const auto& one : settings.link.listen) add("link.listen", "tcp", one, "gateways");
        }
    }
    bool datagrams = false;
    if (settings.gateway) {
        // By TLS comes, too, whoever proves his name.
        const char* const by_tls = has_hops_by_name(rules) ? "everybody" : "sip";
        for (const config::SipListen& one : settings.sip.listen) {
            const bool udp = one.transport == config::Transport::kUdp;
            datagrams = datagrams || udp;
            add("sip.listen", udp ? "udp" : "tcp", one.address,
                one.transport == config::Transport::kTls ? by_tls : "sip");
        }
        // Users' own agents, wherever they are: a session has a name that nobody guesses.
        const rules::Settings::Sip::Msrp& msrp = settings.sip.msrp;
        const std::size_t before = ports.size();
        add("sip.msrp.listen", "tcp", msrp.listen, "everybody");
        if (ports.size() > before && msrp.listen.port != 0) {
            ports.back()["last"] = msrp.at(core_count(settings.threads) - 1).port;
        }
    }
    add("admin.http.listen", "tcp", settings.admin_http, "everybody");
    // Whoever comes has to prove who he is.
    if (const auto remote = config::parse_address(configuration.tree().text("admin.remote.listen")))
        add("admin.remote.listen", "tcp", *remote, "everybody");
    return {{"ok", true},
            {"ports", ports},
            {"gateways", settings.link.gateways},
            {"sip", sip_networks(rules)},
            {"connections", settings.xmpp.connections},
            {"backlog", kListenBacklog},
            {"datagram_bytes", datagrams ? kDatagramQueueBytes : 0}};
}

}  // namespace fedgate::admin
