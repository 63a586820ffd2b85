#include "appliance/admin/metrics.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {
namespace {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// Prometheus' text format, 0.0.4.
class Writer {
public:
    void family(const std::string& name, const char* type, std::string_view help) {
        name_ = "fedgate_" + name;
        out_ += "# HELP " + name_ + " ";
        append(help, false);
        out_ += "\n# TYPE " + name_ + " " + type + "\n";
    }
    void sample(Labels labels, std::int64_t value) {
        out_ += name_;
        char before = '{';
        for (const auto& [name, text] : labels) {
            out_ += std::exchange(before, ',');
            out_.append(name).append("=\"");
            append(text, true);
            out_ += '"';
        }
        if (labels.size() > 0) out_ += '}';
        out_ += " " + std::to_string(value) + "\n";
    }
    [[nodiscard]] std::string take() { return std::move(out_); }

private:
    void append(std::string_view text, bool quoted) {
        for (const char c : text) {
            if (c == '\\' || c == '\n' || (quoted && c == '"')) out_ += '\\';
            out_ += c == '\n' ? 'n' : c;
        }
    }

    std::string out_;
    std::string name_;
};

std::string underscored(std::string name) {
    std::ranges::replace_if(
        name,
        [](char c) {
            return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'));
        },
        '_');
    return name;
}

// What the reference counts, under the names that its administrators' alarms have.
void add_reference(Writer& out, const std::vector<Counter>& counters) {
    struct Row {
        std::string_view object;
        std::string_view counter;
        std::string_view of[2];
    };
    constexpr Row kRows[] = {
        {"LS:XmppFederationProxy - Streams",
         "Failed outbound stream establishes/sec",
         {"xmpp.out.failed", ""}},
        {"LS:XmppFederationProxy - Streams",
         "Failed inbound stream establishes/sec",
         {"xmpp.in.failed", ""}},
        {"LS:XmppFederation - SIP Instant Messaging",
         "Failure IMDNs sent/sec",
         {"messages.s2x.refused", "messages.s2x.in_doubt"}},
    };
    out.family("reference_counter_total", "counter",
               "what the reference's counter of this name counts; rate() of it is that counter");
    for (const Row& row : kRows) {
        std::uint64_t sum = 0;
        for (const std::string_view name : row.of) {
            const auto found = std::ranges::find(counters, name, &Counter::name);
            if (found != counters.end()) sum += found->value;
        }
        out.sample({{"object", row.object}, {"counter", row.counter}},
                   static_cast<std::int64_t>(sum));
    }
}

constexpr const char* kStuck = "a core does not answer";

// Why its roles can't do their work now; empty: they can.
std::vector<std::string> why_not_ready(AdminHost& host, const Status& status,
                                       const rules::Settings& settings) {
    std::vector<std::string> why;
    if (!host.cores_answer()) return {kStuck};  // then not much is known of all else
    if (status.state != "running") why.push_back(status.state);
    for (const Port& port : host.ports()) {
        if (port.dialled || port.listening) continue;
        why.push_back(port.service + " " + port.address + " of the " + port.owner + " is " +
                      (port.fault.empty() ? "not open" : port.fault));
    }
    const bool by_link = !settings.edge || !settings.gateway || settings.link.joined;
    if (by_link && std::ranges::none_of(status.links, &Link::active)) {
        why.emplace_back(settings.edge ? "no gateway is connected" : "no edge is connected");
    }
    // Who has never answered OPTIONS is judged by what else is sent to it: too many failures, and
    // it is down.
    const auto serves = [](const NextHop& hop) { return hop.state == "up" || hop.mute; };
    if (!status.next_hops.empty() && std::ranges::none_of(status.next_hops, serves)) {
        const NextHop& hop = status.next_hops.front();
        why.push_back("no SIP next hop is up: " + hop.name + " is " + hop.state + ": " + hop.why);
    }
    return why;
}

std::string roles_of(const rules::Settings& settings) {
    return std::string(settings.edge ? "edge" : "") +
           (settings.edge && settings.gateway ? "," : "") + (settings.gateway ? "gateway" : "");
}

std::string metrics_of(AdminHost& host, const Configuration& configuration) {
    Writer out;
    const Status status = host.status();
    const rules::Settings& settings = configuration.snapshot().settings;
    const std::vector<Counter> counters = host.counters();
    out.family("info", "gauge", "which version this is, and what it does");
    out.sample({{"version", FEDGATE_VERSION}, {"roles", roles_of(settings)}}, 1);
    out.family("start_time_seconds", "gauge", "when the process was started, in seconds of 1970");
    out.sample({}, configuration.started().time_since_epoch().count());
    out.family("ready", "gauge", "1 while /ready is 200");
    out.sample({}, why_not_ready(host, status, settings).empty() ? 1 : 0);
    out.family("federation_allowed", "gauge", "federation.allow");
    out.sample({}, settings.federation_allow ? 1 : 0);
    for (const Counter& counter : counters) {
        out.family(underscored(counter.name) + (counter.current ? "" : "_total"),
                   counter.current ? "gauge" : "counter", counter.description);
        out.sample({}, static_cast<std::int64_t>(counter.value));
    }
    add_reference(out, counters);
    out.family("sip_next_hop_up", "gauge", "1 while it answers; 0: down, or suspect");
    for (const NextHop& hop : status.next_hops) {
        out.sample({{"domain", hop.domain}, {"next_hop", hop.name}, {"address", hop.address}},
                   hop.state == "up" ? 1 : 0);
    }
    out.family("link_up", "gauge", "1 while stanzas go by the link with this machine");
    for (const Link& link : status.links) out.sample({{"peer", link.peer}}, link.active ? 1 : 0);
    out.family("certificate_end_seconds", "gauge",
               "when a certificate in use expires, in seconds of 1970");
    for (const CertificateInUse& one : status.certificates) {
        out.sample({{"purposes", one.purposes}, {"file", one.file}},
                   one.not_after.time_since_epoch().count());
    }
    out.family(
        "partner_certificate_end_seconds", "gauge",
        "when a partner's certificate expires that was seen in a stream, in seconds of 1970; "
        "of those that do within 30 days");
    const auto now = std::chrono::system_clock::now();
    for (const PartnerCertificate& one : host.partner_certificates()) {
        if (one.not_after - now > kPartnerExpiryNotice) continue;
        out.sample({{"partner", one.their_domain}}, one.not_after.time_since_epoch().count());
    }
    if (status.store) {
        out.family("store_waiting", "gauge", "changes that are not on disk");
        out.sample({}, static_cast<std::int64_t>(status.store->waiting));
    }
    return out.take();
}

HttpAnswer verdict(const char* state, const std::vector<std::string>& why) {
    const Json body{
        {"ok", why.empty()}, {"state", state}, {"version", FEDGATE_VERSION}, {"reasons", why}};
    return {why.empty() ? 200U : 503U, "application/json", write_json(body) + "\n"};
}

}  // namespace

HttpAnswer answer_http(std::string_view path, AdminHost& host, const Configuration& configuration) {
    if (path == "/metrics") {
        return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_of(host, configuration)};
    }
    if (path == "/health") {
        std::vector<std::string> why;
        if (!host.cores_answer()) why.emplace_back(kStuck);
        return verdict(why.empty() ? "alive" : "stuck", why);
    }
    if (path == "/ready") {
        const std::vector<std::string> why =
            why_not_ready(host, host.status(), configuration.snapshot().settings);
        return verdict(why.empty() ? "ready" : "not ready", why);
    }
    return {404, "text/plain", "/metrics, /health and /ready are here\n"};
}

}  // namespace fedgate::admin
