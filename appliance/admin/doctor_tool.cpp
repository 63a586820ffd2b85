#include "appliance/admin/doctor_tool.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <unistd.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/doctor.hpp"
#include "appliance/admin/forecast.hpp"
#include "appliance/admin/lab.hpp"
#include "appliance/admin/outside.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/words.hpp"
#include "net/address.hpp"
#include "xml/certificate.hpp"

namespace fedgate::admin {
namespace {

constexpr auto kStreamWithin = std::chrono::seconds(15);
constexpr auto kLabWithin = std::chrono::seconds(20);
constexpr std::uint16_t kServerPort = 5269;
constexpr std::size_t kTargetsMax = 4;    // that are visited
constexpr std::size_t kAddressesMax = 4;  // of each

rules::Need need_of(const Json& facts, const char* key) {
    const std::string text = string_of(facts, key);
    return text == "required"   ? rules::Need::kRequired
           : text == "optional" ? rules::Need::kOptional
                                : rules::Need::kNone;
}

std::string need_text(rules::Need need) {
    constexpr const char* kWords[] = {"required", "optional", "none"};
    return kWords[static_cast<std::size_t>(need)];
}

Json settings_json(const rules::Negotiation& row) {
    return {{"tls", need_text(row.tls)},
            {"sasl", need_text(row.sasl)},
            {"dialback", row.dialback ? "yes" : "no"}};
}

std::string settings_text(const Json& settings) {
    return "tls=" + string_of(settings, "tls") + " sasl=" + string_of(settings, "sasl") +
           " dialback=" + string_of(settings, "dialback");
}

std::string method_text(const Forecast& said) {
    return said.method == 0 ? "refused"
                            : rules::methods_text({.tls = {},
                                                   .sasl = {},
                                                   .dialback = false,
                                                   .methods = said.method,
                                                   .remark = {}});
}

class Walk {
public:
    Walk(const DoctorWish& wish, const Json& facts, Outside& outside, const AskDaemon& ask)
        : wish_(wish),
          facts_(facts),
          outside_(outside),
          ask_(ask),
          their_(string_of(facts, "domain")),
          our_(string_of(facts, "our_domain")),
          terms_(rules::negotiation(need_of(facts, "tls"), need_of(facts, "sasl"),
                                    bool_of(facts, "dialback"))) {}

    Json run(const Json& before) {
        if (find_targets()) visit_targets();
        if (wish_.suppose) {
            predict();
        } else {
            proof(before);
        }
        for (const Json& one : array_of(facts_, "steps")) steps_.push_back(one);
        if (facts_.contains("msrp")) msrp(facts_["msrp"]);
        way_back();
        say_what_is_left_out();
        const auto broken = std::ranges::find_if(
            steps_, [](const Json& one) { return string_of(one, "state") == "fault"; });
        Json out{{"ok", true},
                 {"domain", their_},
                 {"our_domain", our_},
                 {"expected", facts_["expected"]},
                 {"outlook", facts_["outlook"]}};
        if (broken != steps_.end()) out["first"] = *broken;
        if (!forecast_.empty()) out["forecast"] = std::move(forecast_);
        out["good"] = broken == steps_.end() && left_out_.empty();
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
        const std::size_t left_before = left_out_.size();
        const auto reach = [](const Greeting& one) {
            return one.connected + one.answered + one.secured;
        };
        if (targets_.size() > kTargetsMax) targets_.resize(kTargetsMax);
        for (const Target& target : targets_) {
            std::vector<SocketAddress> addresses;
            if (!outside_.over()) addresses = outside_.addresses_of(target.host);
            if (addresses.size() > kAddressesMax) addresses.resize(kAddressesMax);
            if (addresses.empty()) {
                if (outside_.over()) {
                    left_out_.push_back(target.host);
                } else {
                    faults.push_back(target.host + " has no address");
                }
            }
            for (const SocketAddress& address : addresses) {
                const SocketAddress there = net::with_port(address, target.port);
                const std::string where = target.host + " (" + net::format_address(there) + ")";
                Greeting met;
                met.cut = true;
                if (!outside_.over()) met = outside_.visit(there, our_, their_, target.direct_tls);
                if (met.cut) {
                    left_out_.push_back(where);
                    continue;
                }
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
        if (left_out_.size() > left_before && !best.connected) return;  // it may be one of those
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
        offer_.tls = met_.starttls || at.direct_tls;
        offer_.tls_required = met_.insists || at.direct_tls;
        offer_.secured = met_.secured;
        offer_.certificate = xml::covers(met_.peer, their_, at.direct_tls);
        offer_.external = met_.external;
        offer_.dialback = met_.dialback;
        offer_.clear_dialback = met_.clear_dialback;
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
            return add(
                kStep, "skipped",
                (why.empty() ? "no stream is set up with them as things are" : why) +
                    (met_.answered ? "; it would come to: " + method_text(forecast(terms_, offer_))
                                   : ""));
        }
        if (outside_.over()) return left_out_.emplace_back(kStep), void();
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
            if (outside_.over()) return left_out_.emplace_back(kStep), void();
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
        if (std::string(step) == "SASL or dialback" && met_.answered && !met_.dialback)
            advice = proof_advice();
        if (seen && std::string(step) != "SASL or dialback") {
            return add("SASL or dialback", "skipped", "it did not come to that: " + text);
        }
        add(step, "fault", text, "theirs", advice);
    }

    [[nodiscard]] std::string proof_advice() const {
        return met_.external
                   ? "their server offers SASL EXTERNAL to our certificate, and no dialback: their "
                     "administrator has to switch dialback on, or fedctl partner set " +
                         their_ + " sasl=optional"
                   : "their server offers neither SASL EXTERNAL to our certificate nor dialback: "
                     "their administrator has to switch dialback on, or to trust the authority of "
                     "our certificate (fedctl cert check)";
    }

    [[nodiscard]] std::string set_command(const rules::Negotiation& row) const {
        return std::string("fedctl partner ") + (bool_of(facts_, "listed") ? "set " : "add ") +
               their_ + " " + settings_text(settings_json(row));
    }

    // What a stream of ours would come to, in place of one.
    void predict() {
        constexpr const char* kStep = "SASL or dialback";
        if (!met_.answered) return add(kStep, "skipped", "it did not come to that");
        const auto without_certificate = [this](const rules::Negotiation& row) {
            Offer offer = offer_;
            offer.certificate = false;
            return method_text(forecast(row, offer));
        };
        const rules::Negotiation* const best = safest(offer_);
        forecast_["settings"] = settings_json(terms_);
        if (best != nullptr) forecast_["safest"] = settings_json(*best);
        if (best != nullptr) forecast_["command"] = set_command(*best);
        for (const rules::Negotiation& row : rules::negotiations()) {
            const Forecast said = forecast(row, offer_);
            Json one = settings_json(row);
            one["method"] = method_text(said);
            one["proof"] = said.proof;
            one["why"] = said.why;
            one["without_certificate"] = without_certificate(row);
            one["methods"] = said.method;
            forecast_["rows"].push_back(std::move(one));
        }
        const Forecast said = forecast(terms_, offer_);
        if (said.method != 0) {
            return add(kStep, "ok",
                       method_text(said) + " will prove us, and they are proved by " +
                           std::string(said.proof) + "; if their certificate fails: " +
                           without_certificate(terms_) + own_key_unread());
        }
        const std::string instead =
            best != nullptr ? set_command(*best) + " would work" : "no other setting would work";
        if (!terms_.valid()) return add(kStep, "fault", std::string(said.why), "ours", instead);
        const bool neither = !offer_.external && !offer_.dialback && offer_.secured;
        add(kStep, "fault", std::string(said.why) + own_key_unread(), "theirs",
            (neither || !offer_.secured ? proof_advice() + "; " : "") + instead);
    }

    [[nodiscard]] std::string own_key_unread() const {
        const std::string key = string_of(facts_, "key");
        if (key.empty() || offer_.external || access(key.c_str(), R_OK) == 0) return {};
        return " (you may not read " + key +
               ", so our certificate was not shown to them: run this as root)";
    }

    // Can the agents of our users reach us? As it looks from here.
    void msrp(const Json& ours) {
        constexpr const char* kStep = "MSRP";
        const std::vector<std::string> closed = strings_of(ours, "closed");
        if (!closed.empty()) {
            return add(kStep, "fault", closed.front() + " is not open", "ours",
                       "is that address this machine's, and the port free (fedctl ports, fedctl "
                       "events)? sip.msrp.listen says where they are");
        }
        const std::string host = string_of(ours, "host");
        const bool tls = bool_of(ours, "tls");
        const bool literal = net::parse_ip(host, 0).has_value();
        if (outside_.over()) return left_out_.emplace_back(kStep), void();
        const std::vector<SocketAddress> all = outside_.addresses_of(host);
        if (all.empty()) {
            return add(kStep, "fault", host + " has no address, and sessions are to lead there",
                       "ours",
                       "publish it, or set sip.msrp.host to a name that leads to this machine");
        }
        for (const std::string& text : strings_of(ours, "open")) {
            const auto listen = net::parse_address(text);
            if (!listen) continue;
            if (outside_.over()) return left_out_.emplace_back(kStep), void();
            const SocketAddress at = net::with_port(all.front(), net::port_of(*listen));
            const Greeting met = outside_.knock(at, host, tls);
            const std::string where = host + " (" + net::format_address(at) + ")";
            if (!met.connected) {
                return add(kStep, "warning", where + " " + met.why, "ours",
                           "does sip.msrp.host lead to this machine, and do firewalls let it in "
                           "(fedctl firewall)? Only from here it may be otherwise");
            }
            if (!tls) continue;
            if (!met.secured)
                return add(kStep, "fault", where + " " + met.why, "ours",
                           "is that this machine, and tls.sip.certificate good "
                           "(fedctl cert check)?");
            const bool named = std::ranges::any_of(
                met.peer.dns_names,
                [&host](const std::string& one) { return xml::dns_name_matches(one, host); });
            if (!named && !literal) {
                return add(kStep, "fault",
                           "the certificate there is for " + joined(met.peer.dns_names) +
                               ", not for " + host,
                           "ours",
                           "get a certificate for tls.sip that has it (fedctl cert request), or "
                           "set sip.msrp.host to a name that it has");
            }
        }
        add(kStep, "ok", host + " is reached" + (tls ? ", by TLS" : ", in the clear"));
    }

    // Can they find us? As our own name servers see it.
    void way_back() {
        if (!ask_) return;
        Json plan;
        std::string why;
        if (!ask_({{"verb", "dns"}, {"action", "plan"}}, plan, why) || !bool_of(plan, "ok")) return;
        std::vector<std::string> missing;
        for (const Json& record : array_of(plan, "records")) {
            if (string_of(record, "domain") != our_ || bool_of(record, "direct_tls")) continue;
            const std::string name = string_of(record, "name");
            const net::DnsAnswer answer = outside_.look_up(name, net::DnsType::kSrv);
            if (outside_.over()) {
                left_out_.push_back("way back");
                break;
            }
            const bool there = std::ranges::any_of(answer.srv, [&](const net::SrvRecord& one) {
                return one.port == number_of(record, "port") ||
                       one.target == string_of(record, "target");
            });
            if (!there) missing.push_back(name);
        }
        if (missing.empty()) {
            if (!outside_.over()) add("way back", "ok", "our own records are there");
            return;
        }
        add("way back", dialback_failed_ ? "fault" : "warning",
            "our own record " + missing.front() +
                " is not there, or leads elsewhere: their server "
                "can't find ours",
            "ours", "fedctl dns plan says what to publish, fedctl dns check what is wrong");
    }

    void say_what_is_left_out() {
        if (left_out_.empty()) return;
        add("time", "warning",
            std::to_string(wish_.within.count()) +
                " s are over; not looked at to its end: " + joined(left_out_),
            "ours",
            "fedctl doctor " + their_ + " --within " +
                std::to_string(std::min(kDoctorWithinMax, 4 * wish_.within).count()) + "s");
    }

    const DoctorWish& wish_;
    const Json& facts_;
    Outside& outside_;
    const AskDaemon& ask_;
    const std::string their_, our_;
    const rules::Negotiation terms_;
    std::vector<Target> targets_;
    Greeting met_;
    Offer offer_;
    Json forecast_;
    bool dialback_failed_ = false;
    std::vector<std::string> left_out_;  // for want of time
    Json steps_ = Json::array();
};

}  // namespace

namespace {

std::string show_forecast(const Json& answer) {
    const auto found = answer.find("forecast");
    if (found == answer.end()) return {};
    const Json& forecast = *found;
    const std::string chosen = settings_text(forecast["settings"]);
    const std::string best =
        forecast.contains("safest") ? settings_text(forecast["safest"]) : std::string();
    std::vector<std::vector<std::string>> rows{
        {"  tls", "sasl", "dialback", "a stream to them", "if their certificate fails"}};
    for (const Json& row : array_of(forecast, "rows")) {
        const std::string why = string_of(row, "why");
        const std::string text = settings_text(row);
        rows.push_back({(text == best     ? "* "
                         : text == chosen ? "> "
                                          : "  ") +
                            string_of(row, "tls"),
                        string_of(row, "sasl"), string_of(row, "dialback"),
                        string_of(row, "method") + (why.empty() ? "" : ": " + why),
                        string_of(row, "without_certificate")});
    }
    return show_table(rows) + "  > as asked: " + chosen + "\n" +
           (best.empty() ? "  no setting works with them as they are\n"
                         : "  * the safest that works: " + string_of(forecast, "command") + "\n");
}

}  // namespace

Json run_doctor(const DoctorWish& wish, const AskDaemon& ask, std::string& why) {
    const auto end = std::chrono::steady_clock::now() + wish.within;
    const auto question = [&](bool open) {
        Json request{
            {"verb", "doctor"}, {"domain", wish.domain}, {"from", wish.from}, {"open", open}};
        if (wish.suppose) request["suppose"] = *wish.suppose;
        return request;
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
    const auto outside = outside_of(facts, wish.server, string_of(facts, "ca"), why);
    if (!outside) return {};
    outside->set_end(end);
    return Walk(wish, facts, *outside, ask).run(before);
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
    out += show_forecast(answer);
    for (const Json& one : array_of(answer, "steps")) {
        if (string_of(one, "state") == "warning" && one.contains("advice"))
            out += "? " + string_of(one, "step") + " (" + string_of(one, "side") +
                   "): " + string_of(one, "advice") + "\n";
    }
    if (!answer.contains("first")) {
        return out + (bool_of(answer, "good") ? "nothing stands in the way\n"
                                              : "nothing stands in the way as far as it looked\n");
    }
    const Json& first = answer["first"];
    return out + "! " + string_of(first, "step") + ": " + string_of(first, "text") +
           "\n  side: " + string_of(first, "side") + "\n  do:   " + string_of(first, "advice") +
           "\n";
}

Json run_lab(const LabFault& fault, std::string& why) {
    DoctorWish wish{Lab::kTheir};
    wish.within = kLabWithin;
    wish.suppose.emplace();
    const Json facts{
        {"domain", Lab::kTheir}, {"our_domain", Lab::kOur}, {"listed", true},
        {"tls", "required"},     {"sasl", "required"},      {"dialback", false},
        {"tls_required", true},  {"strict", true},          {"expected", "SASL EXTERNAL over TLS"},
        {"outlook", ""}};
    auto lab = Lab::make(fault, why);
    if (!lab) return {};
    const auto outside = Outside::make(lab->options(), why);
    if (!outside) return {};
    outside->set_end(std::chrono::steady_clock::now() + wish.within);
    Json answer = Walk(wish, facts, *outside, {}).run({});
    lab.reset();  // before the loop that it is on
    const Json first = answer.contains("first") ? answer["first"] : Json::object();
    const bool named = fault.step.empty() ? bool_of(answer, "good")
                                          : string_of(first, "step") == fault.step &&
                                                string_of(first, "text").contains(fault.word);
    return {{"ok", true},
            {"good", named},
            {"fault", fault.name},
            {"planted", fault.planted},
            {"named", string_of(first, "step")},
            {"doctor", std::move(answer)}};
}

std::string show_lab(const Json& answer) {
    Json doctor = answer["doctor"];
    doctor.erase("forecast");
    const std::string named = string_of(answer, "named");
    return show_doctor(doctor) + "planted: " + string_of(answer, "planted") + "\n" +
           (bool_of(answer, "good") ? "named:   yes" : "named:   NO") +
           (named.empty() ? ", as nothing" : ", as " + named) + "\n";
}

std::string show_lab_faults() {
    std::vector<std::vector<std::string>> rows;
    for (const LabFault& one : lab_faults())
        rows.push_back({"  " + std::string(one.name), std::string(one.planted)});
    return show_table(rows);
}

}  // namespace fedgate::admin
