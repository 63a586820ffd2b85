// What certificates the configuration asks for.
#include <algorithm>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/certificates.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/machine.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/address.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

class Plan {
public:
    explicit Plan(const Configuration& configuration)
        : snapshot_(configuration.snapshot()), tree_(configuration.tree()) {}

    Json run() {
        const rules::Settings& s = snapshot_.settings;
        const bool use_link = !s.edge || !s.gateway || s.link.joined;
        Json domains = Json::array();
        for (const rules::SipDomain& domain : snapshot_.sip_domains())
            domains.push_back(domain.name);
        return {{"ok", true},
                {"directory", s.state_directory + "/certificates"},
                {"domains", std::move(domains)},
                {"purposes",
                 {{"external", of("tls.external", s.tls_external, s.edge, external())},
                  {"internal", of("tls.internal", s.tls_internal, use_link, internal())},
                  {"sip", of("tls.sip", s.tls_sip, s.gateway, sip())}}}};
    }

private:
    static Json of(const std::string& prefix, const rules::TlsFiles& set, bool used, Json names) {
        const auto now = wall_now();
        const rules::TlsFiles files = set.at(now);  // without what is scheduled, once it is in use
        Json out{{"certificate", files.certificate},
                 {"key", files.key},
                 {"ca", files.ca},
                 {"prefix", prefix},
                 {"used", used},
                 {"names", std::move(names)}};
        if (files.next) {
            out["next"] = {{"from", config::format_time(files.next->from)},
                           {"certificate", files.next->certificate},
                           {"key", files.next->key}};
        }
        return out;
    }

    static void add(Json& names, const std::string& name, const std::string& why, bool needed) {
        const bool there = std::ranges::any_of(
            names, [&name](const Json& one) { return string_of(one, "name") == name; });
        if (!name.empty() && !there) {
            names.push_back({{"name", name}, {"why", why}, {"needed", needed}});
        }
    }

    [[nodiscard]] std::vector<std::string> members(const char* kind) const {
        std::vector<std::string> all;
        for (const std::string& pool : tree_.instances("pool")) {
            if (tree_.text("pool/*/kind", pool) != kind) continue;
            for (const std::string& member : tree_.list("pool/*/members", pool)) {
                if (const auto host = config::parse_host_port(member)) all.push_back(host->host);
            }
        }
        return all;
    }

    // First what is the subject of the reference's own: the access name.
    [[nodiscard]] Json external() const {
        Json names = Json::array();
        const std::vector<std::string> edges = members("edge");
        for (const std::string& edge : edges) add(names, edge, "an edge that DNS leads to", false);
        for (const rules::SipDomain& domain : snapshot_.sip_domains()) {
            if (edges.empty()) {
                add(names, "xmpp." + domain.name, "the machine that DNS leads to (fedctl dns plan)",
                    false);
            }
            add(names, domain.name, "the XMPP domain itself: partners know us by it", true);
            add(names, "sip." + domain.name, "SIP access of the domain", false);
        }
        return names;
    }

    [[nodiscard]] std::string own_name() const {
        const rules::Settings& s = snapshot_.settings;
        if (!s.node.empty()) return s.node;
        std::vector<std::string> known = members(s.edge ? "edge" : "gateway");
        const std::string host = host_name();
        if (known.size() == 1) return known[0];
        // Of several it may be any: then the administrator has to say which.
        return std::ranges::find(known, host) != known.end() ? host : std::string();
    }

    [[nodiscard]] Json internal() const {
        Json names = Json::array();
        add(names, own_name(), "this machine, as the other pools know it", true);
        return names;
    }

    [[nodiscard]] Json sip() const {
        Json names = Json::array();
        const std::string own = own_name();
        if (own.find('.') != std::string::npos) add(names, own, "this machine", false);
        for (const rules::SipDomain& domain : snapshot_.sip_domains()) {
            add(names, domain.name, "the SIP domain itself (RFC 5922)", true);
            add(names, "sip." + domain.name, "SIP access of the domain", false);
        }
        const rules::Settings::Sip::Msrp& msrp = snapshot_.settings.sip.msrp;
        const std::string host = msrp.host.empty() ? host_name() : msrp.host;
        if (msrp.tls && !config::parse_network(host)) {
            add(names, host, "what MSRP sessions lead to (sip.msrp.host)", true);
        }
        return names;
    }

    const rules::Snapshot& snapshot_;
    const config::Tree& tree_;
};

}  // namespace

Json answer_cert(const Json& request, const Configuration& configuration) {
    std::string action = string_of(request, "action");
    const std::vector<std::string> words = strings_of(request, "arguments");
    if (action.empty() && words.size() == 1) action = words[0];
    if (action == "plan") return Plan(configuration).run();
    return refusal("cert has no action '" + action.substr(0, 64) + "' here; there is plan");
}

}  // namespace fedgate::admin
