#include "appliance/admin/machine_tool.hpp"

#include <algorithm>
#include <netdb.h>
#include <optional>
#include <ostream>
#include <set>
#include <sys/socket.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/certificates.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/machine.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/words.hpp"
#include "core/config/address.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

constexpr std::size_t kAlsoMax = 64;
// What the kernel has by itself.
constexpr std::uint64_t kOpenFiles = 1'048'576;  // fs.nr_open; the unit's LimitNOFILE
constexpr std::uint64_t kTracked = 262'144;      // nf_conntrack_max
constexpr int kEphemeralFirst = 32'768;          // net.ipv4.ip_local_port_range
constexpr int kEphemeralLast = 60'999;
constexpr std::uint64_t kFilesBeside = 4'096;  // database, logs, listeners, SIP

bool is_any(const config::Address& address) {
    return std::ranges::all_of(address.bytes, [](auto byte) { return byte == 0; });
}

// `5269`, and of several `2855-2858`.
std::string ports_of(const Json& port, const config::Address& address) {
    const std::uint64_t last = number_of(port, "last");
    return std::to_string(address.port) + (last > address.port ? "-" + std::to_string(last) : "");
}

// `ip daddr 10.0.0.1 tcp dport 5269 accept`; for [::] no address, for 0.0.0.0 only the family.
std::string rule_of(const config::Address& address, const std::string& protocol,
                    const std::string& ports) {
    const std::string rule = protocol + " dport " + ports + " accept";
    if (is_any(address)) return (address.v6 ? "" : "meta nfproto ipv4 ") + rule;
    std::string ip = address.text.substr(0, address.text.rfind(':'));
    std::erase_if(ip, [](char c) { return c == '[' || c == ']'; });
    return (address.v6 ? "ip6 daddr " : "ip daddr ") + ip + " " + rule;
}

// The addresses of one rule, by family.
class AddressSet {
public:
    // An address or a network; loopback is let in by its interface.
    void add(const std::string& text) {
        if (text.starts_with("127.") || text == "::1" || text == "::1/128") return;
        (text.contains(':') ? v6_ : v4_).insert(text);
    }
    // All addresses that the name has now. False: none.
    bool add_host(const std::string& host) {
        if (const auto literal = config::parse_network(host)) return add(host), true;
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
        for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
            char text[NI_MAXHOST] = {};
            if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0,
                            NI_NUMERICHOST) == 0) {
                add(text);
            }
        }
        freeaddrinfo(found);
        return true;
    }

    [[nodiscard]] std::string declared(const std::string& name) const {
        return declared(name + "4", "ipv4_addr", v4_) + declared(name + "6", "ipv6_addr", v6_);
    }
    // The rule of that address, for whoever is in it and of its family.
    [[nodiscard]] std::string rules(const std::string& name, const config::Address& address,
                                    const std::string& protocol) const {
        const std::string rule = rule_of(address, protocol, std::to_string(address.port)) + "\n";
        const bool both = address.v6 && is_any(address);
        std::string text;
        if (!v4_.empty() && (both || !address.v6)) {
            text += "        ip saddr @" + name + "4 " + rule;
        }
        if (!v6_.empty() && address.v6) text += "        ip6 saddr @" + name + "6 " + rule;
        return text;
    }

private:
    static std::string declared(const std::string& name, const std::string& type,
                                const std::set<std::string>& all) {
        if (all.empty()) return "";
        std::string text = "    set " + name + " {\n        type " + type +
                           "\n        flags interval\n        auto-merge\n        elements = { ";
        for (const std::string& one : all) text += (one == *all.begin() ? "" : ", ") + one;
        return text + " }\n    }\n";
    }

    std::set<std::string> v4_;
    std::set<std::string> v6_;
};

// tcp:22, udp:161
bool is_port(const std::string& typed) {
    const auto port = config::parse_address(
        "0.0.0.0" + typed.substr(std::min<std::size_t>(typed.find(':'), typed.size())));
    return port && port->port != 0 && (typed.starts_with("tcp:") || typed.starts_with("udp:"));
}

}  // namespace

std::string firewall_text(const Json& machine, const std::vector<std::string>& also,
                          std::vector<std::string>& unknown) {
    AddressSet sip;
    AddressSet gateways;
    for (const std::string& one : strings_of(machine, "sip")) sip.add(one);
    std::string remarks;
    for (const std::string& one : strings_of(machine, "gateways")) {
        if (gateways.add_host(one)) continue;
        unknown.push_back(one);
        remarks += "        # " + for_terminal(one) + " has no address now, and is not let in\n";
    }
    std::string rules;
    for (const Json& port : machine.value("ports", Json::array())) {
        const auto address = config::parse_address(string_of(port, "address"));
        if (!address) continue;
        rules += "        # " + string_of(port, "key") + " " + address->text + "\n";
        if (address->port == 0) {
            rules += "        # any port: none is let in\n";
            continue;
        }
        const std::string protocol = string_of(port, "protocol");
        const std::string whom = string_of(port, "for");
        if (whom == "everybody") {
            rules += "        " + rule_of(*address, protocol, ports_of(port, *address)) + "\n";
        } else if (whom == "gateways") {
            rules += remarks + gateways.rules("gateways", *address, protocol);
        } else {
            rules += sip.rules("sip", *address, protocol);
        }
    }
    for (const std::string& one : also) {
        const std::size_t colon = one.find(':');
        rules +=
            "        " + one.substr(0, colon) + " dport " + one.substr(colon + 1) + " accept\n";
    }
    return "# Made by fedctl firewall of what fedgated listens on. To load it: nft -f FILE; to "
           "take "
           "it back:\n# nft delete table inet fedgate\n"
           "table inet fedgate\n"
           "delete table inet fedgate\n"
           "table inet fedgate {\n" +
           sip.declared("sip") + gateways.declared("gateways") +
           "    chain input {\n"
           "        type filter hook input priority filter; policy drop;\n"
           "        ct state established,related accept\n"
           "        ct state invalid drop\n"
           "        iifname \"lo\" accept\n"
           "        icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } "
           "ip6 hoplimit 255 accept\n"
           // ICMP of both kinds, by number: a small machine has no /etc/protocols.
           "        meta l4proto { 1, 58 } limit rate 100/second accept\n"
           "        udp sport 67 udp dport 68 accept\n"
           "        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n" +
           rules +
           "    }\n"
           "    chain forward {\n"
           "        type filter hook forward priority filter; policy drop;\n"
           "    }\n"
           "}\n";
}

std::string kernel_text(const Json& machine) {
    const std::uint64_t connections = number_of(machine, "connections");
    std::string reserved;
    for (const Json& port : machine.value("ports", Json::array())) {
        const auto address = config::parse_address(string_of(port, "address"));
        if (!address) continue;
        const std::uint64_t last = std::max<std::uint64_t>(number_of(port, "last"), address->port);
        if (last < kEphemeralFirst || address->port > kEphemeralLast) continue;
        reserved += (reserved.empty() ? "" : ",") + ports_of(port, *address);
    }
    std::string text =
        "# Made by fedctl kernel of the configuration of fedgated, for "
        "/etc/sysctl.d/fedgate.conf.\n"
        "# Its rings.\n"
        "-kernel.io_uring_disabled = 0\n"
        "# New connections that wait until they are accepted, and what holds while there are "
        "more.\n"
        "net.core.somaxconn = " +
        std::to_string(number_of(machine, "backlog")) +
        "\nnet.ipv4.tcp_max_syn_backlog = " + std::to_string(number_of(machine, "backlog")) +
        "\nnet.ipv4.tcp_syncookies = 1\n";
    if (const std::uint64_t bytes = number_of(machine, "datagram_bytes"); bytes != 0) {
        text += "# SIP over UDP that waits while a core is busy.\nnet.core.rmem_max = " +
                std::to_string(bytes) + "\n";
    }
    text +=
        "# What a firewall remembers, twice of xmpp.limits.connections and what the kernel has.\n"
        "-net.netfilter.nf_conntrack_max = " +
        std::to_string(kTracked + 2 * connections) + "\n";
    if (connections + kFilesBeside > kOpenFiles) {
        text +=
            "# xmpp.limits.connections. LimitNOFILE= of the unit has to be as much.\nfs.nr_open "
            "= " +
            std::to_string(connections + kFilesBeside) + "\n";
    }
    if (!reserved.empty()) {
        text +=
            "# Ports of ours among those of which the kernel takes one for others.\n"
            "net.ipv4.ip_local_reserved_ports = " +
            reserved + "\n";
    }
    return text;
}

namespace {

// As the daemon would read it at its start.
bool machine_of_files(const std::string& file, Json& machine, std::string& why) {
    config::Sources sources;
    sources.file = file;
    Configuration configuration(sources);
    config::Problems problems;
    if (configuration.load(problems) == nullptr) {
        why = problems.empty() ? "the configuration can't be read" : problems.front().line();
        return false;
    }
    machine = machine_of(configuration);
    return true;
}

bool find_machine(const MachineToolOptions& options, const Words& words, Json& machine,
                  std::string& why) {
    if (const auto file = words.options.find("--config"); file != words.options.end()) {
        return machine_of_files(file->second, machine, why);
    }
    if (options.ask({{"verb", "machine"}}, machine, why)) {
        if (bool_of(machine, "ok")) return true;
        why = string_of(machine, "error");
        return false;
    }
    return why.contains("is not running") && machine_of_files("", machine, why);
}

}  // namespace

int run_machine_tool(const MachineToolOptions& options, const std::string& verb,
                     const std::vector<std::string>& rest) {
    constexpr std::string_view kKnown[] = {"--file=", "--config=", "--also+="};
    const auto fail = [&options](const std::string& text, int status) {
        options.err << "fedctl: " << for_terminal(text) << "\n";
        return status;
    };
    Words words;
    std::string why;
    std::vector<std::string> typed{verb};
    typed.insert(typed.end(), rest.begin(), rest.end());
    if (!cut_words(typed, kKnown, words, why)) return fail(why, kExitUsage);
    if (!words.words.empty()) {
        return fail(verb + " takes nothing more, not '" + words.words.front() + "'", kExitUsage);
    }
    std::vector<std::string> also;
    if (const auto found = words.options.find("--also"); found != words.options.end()) {
        also = split(found->second);
        if (verb != "firewall") return fail("--also is for fedctl firewall", kExitUsage);
    }
    if (also.size() > kAlsoMax) {
        return fail("--also takes at most " + std::to_string(kAlsoMax) + " ports", kExitUsage);
    }
    for (const std::string& one : also) {
        if (is_port(one)) continue;
        return fail("--also " + one + " is no port: tcp:22 or udp:161", kExitUsage);
    }
    Json machine;
    if (!find_machine(options, words, machine, why)) return fail(why, kExitRefused);
    std::vector<std::string> unknown;
    const std::string text = options.json         ? write_json(machine) + "\n"
                             : verb == "firewall" ? firewall_text(machine, also, unknown)
                                                  : kernel_text(machine);
    for (const std::string& one : unknown) {
        options.err << "fedctl: " << for_terminal(one)
                    << " has no address now, and is not let in: its record, or /etc/hosts\n";
    }
    const auto file = words.options.find("--file");
    if (file == words.options.end()) {
        options.out << text;
        return kExitOk;
    }
    return write_owned_file(file->second, text, false, why) ? kExitOk : fail(why, kExitRefused);
}

}  // namespace fedgate::admin
