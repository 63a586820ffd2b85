#include "appliance/admin/outside_tool.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <unistd.h>

#include "appliance/admin/certificates.hpp"
#include "appliance/admin/outside.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tlsa.hpp"
#include "appliance/admin/words.hpp"
#include "core/base/file.hpp"
#include "core/base/hash.hpp"
#include "net/address.hpp"
#include "net/certificate.hpp"

namespace fedgate::admin {
namespace {

constexpr std::uint16_t kDnsPort = 53;

std::string own_fingerprint(const std::string& file) {
    std::string pem, why;
    if (file.empty() || !read_regular_file(file, pem, why)) return {};
    const auto ders = net::parse_pem_certificates(pem);
    if (!ders) return {};
    const auto hex = to_hex(sha256({ders->front()}));
    return {hex.data(), hex.size()};
}

// --- dns check

class DnsCheck {
public:
    DnsCheck(const Json& plan, Outside& outside)
        : plan_(plan),
          outside_(outside),
          fingerprint_(own_fingerprint(string_of(plan, "certificate"))) {}

    Json run() {
        std::set<std::string> names;
        for (const Json& record : array_of(plan_, "records")) {
            const std::string name = string_of(record, "name");
            if (names.insert(name).second) others(name);
            service(record);
        }
        std::set<std::string> hosts;
        for (const Json& record : array_of(plan_, "records")) {
            const std::string host = string_of(record, "target");
            if (hosts.insert(host).second) addresses(host, record);
        }
        names.clear();
        for (const Json& record : array_of(plan_, "records")) {
            const std::string name = tlsa_name(record);
            if (!fingerprint_.empty() && names.insert(name).second) tlsa(name);
        }
        const bool good = std::ranges::all_of(rows_, [](const Json& row) {
            return string_of(row, "state") == "right" || string_of(row, "state") == "unknown";
        });
        return {{"ok", true}, {"good", good}, {"records", std::move(rows_)}};
    }

private:
    void add(const std::string& record, const char* state, std::string text,
             std::string advice = {}) {
        rows_.push_back({{"record", record}, {"state", state}, {"text", std::move(text)}});
        if (!advice.empty()) rows_.back()["advice"] = std::move(advice);
    }

    // Who else is named beside us.
    void others(const std::string& name) {
        answer_ = outside_.look_up(name, net::DnsType::kSrv);
        for (const net::SrvRecord& found : answer_.srv) {
            const bool planned =
                std::ranges::any_of(array_of(plan_, "records"), [&](const Json& record) {
                    return string_of(record, "name") == name &&
                           string_of(record, "target") == found.target &&
                           number_of(record, "port") == found.port;
                });
            if (planned) continue;
            const std::string where = (found.target.empty() ? std::string(".") : found.target) +
                                      ":" + std::to_string(found.port);
            add(name + " SRV", "wrong",
                "it also leads to " + where + ", which is none of our edges",
                "take that record out of the zone, or add the machine to an edge pool "
                "(fedctl pool set POOL members+=" +
                    found.target + ")");
        }
    }

    void service(const Json& record) {
        const std::string label = string_of(record, "name") + " SRV";
        const std::string target = string_of(record, "target");
        const auto port = number_of(record, "port");
        const std::string line = string_of(record, "name") + ". IN SRV " +
                                 std::to_string(number_of(record, "priority")) + " 50 " +
                                 std::to_string(port) + " " + target + ".";
        const std::string publish = "publish: " + line;
        if (answer_.status == net::DnsStatus::kFailed) {
            return add(label, "missing", "the name server did not answer for it",
                       "is the name server up, and does it have the zone?");
        }
        if (answer_.status == net::DnsStatus::kBogus) {
            return add(label, "wrong", "DNSSEC says that the answer is forged",
                       "sign the zone again");
        }
        const auto found = std::ranges::find_if(answer_.srv, [&](const net::SrvRecord& one) {
            return one.target == target && one.port == port;
        });
        if (found != answer_.srv.end()) {
            return add(label, "right",
                       "leads to " + target + ":" + std::to_string(port) + ", priority " +
                           std::to_string(found->priority));
        }
        const auto moved = std::ranges::find(answer_.srv, target, &net::SrvRecord::target);
        if (moved != answer_.srv.end()) {
            return add(label, "wrong",
                       "leads to " + target + " at port " + std::to_string(moved->port) +
                           ", and we listen at " + std::to_string(port),
                       publish);
        }
        add(label, "missing", "there is no such record to " + target, publish);
    }

    void addresses(const std::string& host, const Json& record) {
        const std::string label = host + " A/AAAA";
        const std::vector<SocketAddress> all = outside_.addresses_of(host);
        if (all.empty()) {
            return add(label, "missing", "the name has no address",
                       "publish: " + host + ". IN A ADDRESS, the public one of this edge");
        }
        for (const SocketAddress& one : all) {
            leads_here(label,
                       net::with_port(one, static_cast<std::uint16_t>(number_of(record, "port"))),
                       record);
        }
    }

    void leads_here(const std::string& label, const SocketAddress& address, const Json& record) {
        const std::string domain = string_of(record, "domain");
        const Greeting met = outside_.visit(address, "", domain, bool_of(record, "direct_tls"));
        const std::string where = net::format_address(address);
        if (!met.connected) {
            return add(label, "wrong", where + " " + met.why,
                       "is this the public address of an edge, and is its port open in the "
                       "firewall (fedctl ports)? It may also be that one can't reach it from here");
        }
        if (!met.answered && met.peer.fingerprint_sha256.empty()) {
            return add(label, "wrong",
                       where + " is no XMPP server of " + domain + ": it " + met.why,
                       "correct the address of " + string_of(record, "target"));
        }
        if (!fingerprint_.empty() && met.peer.fingerprint_sha256 == fingerprint_) {
            return add(label, "right", where + " is here: it shows our certificate");
        }
        add(label, fingerprint_.empty() || !met.secured ? "unknown" : "wrong",
            where + " answers for " + domain +
                (fingerprint_.empty() ? ""
                 : met.secured        ? ", with another certificate than ours"
                                      : ", without TLS"),
            "is that another edge of ours, or the server that served " + domain + " before?");
    }

    // Only of what is published: who does without is known as before.
    void tlsa(const std::string& name) {
        const net::DnsAnswer answer = outside_.look_up(name, net::DnsType::kTlsa);
        const std::string label = name + " TLSA";
        if (answer.status == net::DnsStatus::kBogus)
            return add(label, "wrong", "DNSSEC says that the answer is forged",
                       "sign the zone again");
        if (answer.tlsa.empty()) return;
        switch (judge_tlsa(plan_, answer.tlsa)) {
            case TlsaVerdict::kOurs:
                return add(label, "right",
                           std::string("names our certificate") +
                               (answer.secure ? ""
                                              : ", which counts for nothing while DNSSEC does not "
                                                "vouch for it here"));
            case TlsaVerdict::kAnothers:
                return add(label, "wrong",
                           "names another certificate than ours: partners who look at it refuse us",
                           "publish what fedctl dns plan --tlsa says, or take the record away");
            case TlsaVerdict::kNothing:
                return add(label, "wrong", "says nothing that partners understand",
                           "publish what fedctl dns plan --tlsa says, or take the record away");
        }
    }

    const Json& plan_;
    Outside& outside_;
    const std::string fingerprint_;
    net::DnsAnswer answer_;  // of the name that is looked at
    Json rows_ = Json::array();
};

}  // namespace

std::unique_ptr<Outside> outside_of(const Json& from, const std::string& server,
                                    const std::string& ca, std::string& why) {
    OutsideOptions options;
    if (!server.empty()) {
        const auto named = net::parse_host_port(server, kDnsPort);
        const auto address = named ? net::parse_ip(named->host, named->port)
                                   : Result<SocketAddress>(failure(Errc::kMalformed, ""));
        if (!address) {
            why = "--server is an address, as 9.9.9.9 or [2620:fe::fe]:53, not '" + server + "'";
            return nullptr;
        }
        options.resolver.servers = {*address};
    } else {
        for (const Json& one : array_of(from, "servers")) {
            if (const auto address = net::parse_address(one.get<std::string>()))
                options.resolver.servers.push_back(*address);
        }
    }
    const std::string anchor = string_of(from, "trust_anchor");
    if (access(anchor.c_str(), R_OK) == 0) options.resolver.trust_anchor_file = anchor;
    const std::string certificate = string_of(from, "certificate"), key = string_of(from, "key");
    if (access(certificate.c_str(), R_OK) == 0 && access(key.c_str(), R_OK) == 0)
        options.own = {{certificate, {}}, {key, {}}};
    options.ca.path = ca.empty() ? kSystemRoots : ca;
    if (access(options.ca.path.c_str(), R_OK) != 0) options.ca = {};
    return Outside::make(options, why);
}

Json check_dns(const Json& plan, const std::string& server, std::string& why) {
    const auto outside = outside_of(plan, server, "", why);
    return outside ? DnsCheck(plan, *outside).run() : Json();
}

std::string show_dns_check(const Json& answer) {
    std::string out;
    for (const Json& row : array_of(answer, "records")) {
        const std::string state = string_of(row, "state");
        out += (state == "right"     ? "  "
                : state == "unknown" ? "? "
                                     : "! ") +
               string_of(row, "record") + ": " + state + ": " + string_of(row, "text") + "\n";
        if (row.contains("advice")) out += "      " + string_of(row, "advice") + "\n";
    }
    return out + (bool_of(answer, "good") ? "all records are there\n" : "");
}

}  // namespace fedgate::admin
