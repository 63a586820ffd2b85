#include "appliance/admin/outside_tool.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <thread>
#include <unistd.h>

#include "appliance/admin/certificates.hpp"
#include "appliance/admin/doctor.hpp"
#include "appliance/admin/outside.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tlsa.hpp"
#include "appliance/admin/words.hpp"
#include "core/base/file.hpp"
#include "core/base/hash.hpp"
#include "net/address.hpp"
#include "net/certificate.hpp"
#include "xml/certificate.hpp"

namespace fedgate::admin {
namespace {

constexpr auto kStreamWithin = std::chrono::seconds(15);
constexpr std::uint16_t kServerPort = 5269;
constexpr std::size_t kTargetsMax = 4;    // that are visited
constexpr std::size_t kAddressesMax = 4;  // of each
constexpr std::uint16_t kDnsPort = 53;

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
    options.certificate = string_of(from, "certificate");
    options.key = string_of(from, "key");
    if (access(options.certificate.c_str(), R_OK) != 0) options.key.clear();
    options.ca = ca.empty() ? kSystemRoots : ca;
    if (access(options.ca.c_str(), R_OK) != 0) options.ca.clear();
    return Outside::make(options, why);
}

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

// --- doctor

class Walk {
public:
    Walk(const Json& facts, Outside& outside, const AskDaemon& ask)
        : facts_(facts),
          outside_(outside),
          ask_(ask),
          their_(string_of(facts, "domain")),
          our_(string_of(facts, "our_domain")) {}

    Json run(const Json& before) {
        if (find_targets()) visit_targets();
        proof(before);
        for (const Json& one : array_of(facts_, "steps")) steps_.push_back(one);
        way_back();
        const auto broken = std::ranges::find_if(
            steps_, [](const Json& one) { return string_of(one, "state") == "fault"; });
        Json out{{"ok", true},
                 {"domain", their_},
                 {"our_domain", our_},
                 {"expected", facts_["expected"]},
                 {"outlook", facts_["outlook"]}};
        if (broken != steps_.end()) out["first"] = *broken;
        out["good"] = broken == steps_.end();
        out["steps"] = std::move(steps_);
        return out;
    }

private:
    struct Target {
        std::string host;
        std::uint16_t port = 0;
        bool direct_tls = false;
    };

    void add(const char* step, const char* state, std::string text, const char* side = "",
             std::string advice = {}) {
        steps_.push_back(doctor_step(step, state, std::move(text), side, std::move(advice)));
    }
    [[nodiscard]] std::string proxy_advice() const {
        return "; or, if you know their server: fedctl partner set " + their_ + " proxy=HOST:PORT";
    }

    // DNS. False: there is nobody to go to.
    bool find_targets() {
        constexpr const char* kStep = "DNS";
        if (const std::string proxy = string_of(facts_, "proxy"); !proxy.empty()) {
            const auto port = static_cast<std::uint16_t>(number_of(facts_, "proxy_port"));
            targets_.push_back({proxy, port == 0 ? kServerPort : port, false});
            add(kStep, "ok", "not asked: proxy = " + proxy);
            return true;
        }
        const std::string name = "_xmpp-server._tcp." + their_;
        const net::DnsAnswer plain = outside_.look_up(name, net::DnsType::kSrv);
        const net::DnsAnswer direct =
            outside_.look_up("_xmpps-server._tcp." + their_, net::DnsType::kSrv);
        if (plain.status == net::DnsStatus::kFailed) {
            add(kStep, "fault", "no name server answered for " + name, "ours",
                "are our name servers up (fedctl sysctl net.dns.servers; empty: those of the "
                "system)? If others can resolve it, they are; else it is their zone" +
                    proxy_advice());
            return false;
        }
        if (plain.status == net::DnsStatus::kBogus) {
            add(kStep, "fault", "DNSSEC says that the answer for " + name + " is forged", "theirs",
                "their administrator has to sign their zone again; is our clock right?");
            return false;
        }
        bool refused = false;
        for (const auto& [answer, is_direct] :
             {std::pair{&plain, false}, std::pair{&direct, true}}) {
            std::vector<net::SrvRecord> records = answer->srv;
            std::ranges::stable_sort(records, {}, &net::SrvRecord::priority);
            for (const net::SrvRecord& one : records) {
                if (one.target.empty()) {
                    refused = refused || !is_direct;
                } else {
                    targets_.push_back({one.target, one.port, is_direct});
                }
            }
        }
        if (targets_.empty() && refused) {
            add(kStep, "fault", name + " says that there is no XMPP server (\".\")", "theirs",
                "their administrator has to publish the name of their server");
            return false;
        }
        if (!targets_.empty()) {
            std::vector<std::string> all;
            for (const Target& one : targets_)
                all.push_back(one.host + ":" + std::to_string(one.port) +
                              (one.direct_tls ? " (direct TLS)" : ""));
            add(kStep, "ok", name + " leads to " + joined(all));
            return true;
        }
        if (outside_.addresses_of(their_).empty()) {
            add(kStep, "fault",
                "there is no record " + name + ", and " + their_ + " has no address", "theirs",
                "is the name right? Their administrator has to publish " + name +
                    ". IN SRV 0 0 5269 THEIR-SERVER." + proxy_advice());
            return false;
        }
        targets_.push_back({their_, kServerPort, false});
        add(kStep, "warning",
            "there is no record " + name + ": " + their_ +
                " itself is tried, at "
                "port 5269",
            "theirs", "their administrator should publish " + name);
        return true;
    }

    // The target that comes furthest.
    void visit_targets() {
        Greeting best;
        Target at;
        std::string best_where;
        std::vector<std::string> faults;
        bool any_address = false;
        const auto reach = [](const Greeting& one) {
            return one.connected + one.answered + one.secured;
        };
        if (targets_.size() > kTargetsMax) targets_.resize(kTargetsMax);
        for (const Target& target : targets_) {
            std::vector<SocketAddress> addresses = outside_.addresses_of(target.host);
            if (addresses.size() > kAddressesMax) addresses.resize(kAddressesMax);
            if (addresses.empty()) faults.push_back(target.host + " has no address");
            for (const SocketAddress& address : addresses) {
                const SocketAddress there = net::with_port(address, target.port);
                const std::string where = target.host + " (" + net::format_address(there) + ")";
                const Greeting met = outside_.visit(there, our_, their_, target.direct_tls);
                if (!met.why.empty()) faults.push_back(where + " " + met.why);
                if (!any_address || reach(met) > reach(best)) {
                    best = met;
                    at = target;
                    best_where = where;
                }
                any_address = true;
            }
            if (best.why.empty() && best.answered) break;
        }
        if (!any_address) {
            steps_.clear();
            return add(
                "DNS", "fault",
                "the servers that _xmpp-server._tcp." + their_ +
                    " names have no address: " + joined(faults),
                "theirs",
                "their administrator has to correct the target of the record" + proxy_advice());
        }
        if (!best.connected) {
            return add("TCP", "fault", joined(faults), "theirs",
                       "their server is down, its port is closed in a firewall (theirs, or ours "
                       "towards outside), or _xmpp-server._tcp." +
                           their_ +
                           " names the wrong "
                           "machine or port");
        }
        add("TCP", "ok", best_where + " takes connections");
        met_ = best;
        judge(at, best_where);
    }

    void judge(const Target& at, const std::string& where) {
        const Greeting& met = met_;
        if (!met.answered && !met.secured && !met.starttls && !at.direct_tls) {
            const bool stranger = met.why.find("host-unknown") != std::string::npos;
            return add("stream", "fault", where + " " + met.why, "theirs",
                       stranger ? "that machine does not serve " + their_ + ": _xmpp-server._tcp." +
                                      their_ +
                                      " names the wrong one, or the domain is missing in "
                                      "its configuration"
                                : "their administrator finds our attempt in their log at this "
                                  "time");
        }
        if (!at.direct_tls) add("stream", "ok", "it answers for " + their_);
        if (!met.secured) {
            const bool required = bool_of(facts_, "tls_required");
            return add(
                "TLS", required ? "fault" : "warning",
                met.starttls || at.direct_tls ? where + " " + met.why
                                              : "their server offers no TLS",
                "theirs",
                "their administrator has to enable TLS 1.2 or 1.3 on server-to-server "
                "streams" +
                    std::string(required ? "; or fedctl partner set " + their_ + " tls=optional"
                                         : ""));
        }
        add("TLS", "ok", met.tls);
        if (at.direct_tls && !met.answered) {
            add("stream", "fault", where + " " + met.why, "theirs",
                "their administrator finds our attempt in their log at this time");
        }
        certificate(at);
    }

    void certificate(const Target& at) {
        const PeerIdentity& peer = met_.peer;
        if (xml::covers(peer, their_, at.direct_tls)) {
            return add("certificate", "ok",
                       "it is for " + their_ + ", and valid until " + readable_day(peer.not_after));
        }
        // Dialback may do instead.
        const bool strict = bool_of(facts_, "strict");
        const std::string why = xml::why_not_covered(peer, their_);
        const bool old = why.find("expired") != std::string::npos;
        const bool wrong_name = peer.chain_valid;
        add("certificate", strict ? "fault" : "warning", why, "theirs",
            (old          ? "their administrator has to renew it"
             : wrong_name ? "their administrator has to get one that names " + their_
                          : "if you trust who signed it: fedctl partner set " + their_ +
                                " ca=/path/of/root.pem; else their administrator has to get one "
                                "of a known authority") +
                std::string(strict ? "; or, if you accept less proof: fedctl partner set " +
                                         their_ + " sasl=optional dialback=yes"
                                   : ""));
    }

    // What the daemon's own attempt has come to. SASL or dialback.
    void proof(const Json& before) {
        constexpr const char* kStep = "SASL or dialback";
        if (!bool_of(facts_, "usable")) {
            const std::string why = string_of(facts_, "why_no_streams");
            return add(kStep, "skipped",
                       why.empty() ? "no stream is set up with them as things are" : why);
        }
        const auto last_failure = [](const Json& shown) {
            for (const Json& one : array_of(shown, "failures")) {
                if (string_of(one, "direction") == "out") return one;
            }
            return Json::object();
        };
        const auto count_before = number_of(last_failure(before), "count");
        const auto until = std::chrono::steady_clock::now() + kStreamWithin;
        while (true) {
            Json shown;
            std::string why;
            if (!ask_({{"verb", "partner"}, {"action", "show"}, {"domains", {their_}}}, shown, why))
                return add(kStep, "skipped", why);
            for (const Json& one : array_of(shown, "streams")) {
                const bool up = string_of(one, "direction") == "out" || bool_of(one, "both_ways");
                if (up && !string_of(one, "proof").empty() &&
                    string_of(one, "their_domain") == their_)
                    return add(kStep, "ok",
                               "a stream to them is up, proved by " + string_of(one, "proof"));
            }
            const Json failure = last_failure(shown);
            const bool fresh = number_of(failure, "count") > count_before;
            const bool holding =
                string_of(shown, "obstacle").find("don't try again") != std::string::npos;
            if (!failure.empty() && (fresh || holding)) return failed(failure);
            if (std::chrono::steady_clock::now() >= until) break;
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
        add(kStep, "fault", "no stream came up within 15 s, and none failed", "theirs",
            "their server keeps us waiting: their administrator finds our attempt in their log");
    }

    void failed(const Json& failure) {
        const std::string kind = string_of(failure, "kind");
        const std::string text =
            string_of(failure, "text") + " (" + string_of(failure, "time") + ")";
        const bool seen = std::ranges::any_of(
            steps_, [](const Json& one) { return string_of(one, "state") == "fault"; });
        const char* const step = kind == "certificate"   ? "certificate"
                                 : kind == "tls"         ? "TLS"
                                 : kind == "dns"         ? "DNS"
                                 : kind == "unreachable" ? "TCP"
                                                         : "SASL or dialback";
        dialback_failed_ = kind == "dialback" || kind == "sasl";
        std::string advice = string_of(failure, "advice");
        if (std::string(step) == "SASL or dialback" && met_.answered && !met_.dialback) {
            advice = met_.external
                         ? "their server offers SASL EXTERNAL to our certificate, and no dialback: "
                           "their administrator has to switch dialback on, or fedctl partner set " +
                               their_ + " sasl=optional"
                         : "their server offers neither SASL EXTERNAL to our certificate nor "
                           "dialback: their administrator has to switch dialback on, or to trust "
                           "the authority of our certificate (fedctl cert check)";
        }
        if (seen && std::string(step) != "SASL or dialback") {
            return add("SASL or dialback", "skipped", "it did not come to that: " + text);
        }
        add(step, "fault", text, "theirs", advice);
    }

    // Can they find us? As our own name servers see it.
    void way_back() {
        Json plan;
        std::string why;
        if (!ask_({{"verb", "dns"}, {"action", "plan"}}, plan, why) || !bool_of(plan, "ok")) return;
        std::vector<std::string> missing;
        for (const Json& record : array_of(plan, "records")) {
            if (string_of(record, "domain") != our_ || bool_of(record, "direct_tls")) continue;
            const net::DnsAnswer answer =
                outside_.look_up(string_of(record, "name"), net::DnsType::kSrv);
            const bool there = std::ranges::any_of(answer.srv, [&](const net::SrvRecord& one) {
                return one.port == number_of(record, "port") ||
                       one.target == string_of(record, "target");
            });
            if (!there) missing.push_back(string_of(record, "name"));
        }
        if (missing.empty()) return add("way back", "ok", "our own records are there");
        add("way back", dialback_failed_ ? "fault" : "warning",
            "our own record " + missing.front() +
                " is not there, or leads elsewhere: their server "
                "can't find ours",
            "ours", "fedctl dns plan says what to publish, fedctl dns check what is wrong");
    }

    const Json& facts_;
    Outside& outside_;
    const AskDaemon& ask_;
    const std::string their_, our_;
    std::vector<Target> targets_;
    Greeting met_;
    bool dialback_failed_ = false;
    Json steps_ = Json::array();
};

}  // namespace

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

Json run_doctor(const std::string& domain, const std::string& from, const std::string& server,
                const AskDaemon& ask, std::string& why) {
    const auto question = [&](bool open) {
        return Json{{"verb", "doctor"}, {"domain", domain}, {"from", from}, {"open", open}};
    };
    Json facts, before;
    if (!ask(question(false), facts, why)) return {};
    if (!bool_of(facts, "ok")) {
        why = string_of(facts, "error");
        return {};
    }
    if (bool_of(facts, "usable")) {
        const Json show{
            {"verb", "partner"}, {"action", "show"}, {"domains", {string_of(facts, "domain")}}};
        if (!ask(show, before, why) || !ask(question(true), facts, why)) return {};
    }
    const auto outside = outside_of(facts, server, string_of(facts, "ca"), why);
    return outside ? Walk(facts, *outside, ask).run(before) : Json();
}

std::string show_doctor(const Json& answer) {
    std::string out = string_of(answer, "our_domain") + " with " + string_of(answer, "domain") +
                      "; expected: " + string_of(answer, "expected") + "\n";
    std::vector<std::vector<std::string>> rows;
    for (const Json& one : array_of(answer, "steps")) {
        rows.push_back({"  " + string_of(one, "step"),
                        string_of(one, "state") == "fault" ? "FAULT" : string_of(one, "state"),
                        string_of(one, "text")});
    }
    out += show_table(rows);
    for (const Json& one : array_of(answer, "steps")) {
        if (string_of(one, "state") == "warning" && one.contains("advice"))
            out += "? " + string_of(one, "step") + " (" + string_of(one, "side") +
                   "): " + string_of(one, "advice") + "\n";
    }
    if (!answer.contains("first")) return out + "nothing stands in the way\n";
    const Json& first = answer["first"];
    return out + "! " + string_of(first, "step") + ": " + string_of(first, "text") +
           "\n  side: " + string_of(first, "side") + "\n  do:   " + string_of(first, "advice") +
           "\n";
}

}  // namespace fedgate::admin
