#include "appliance/admin/commands.hpp"

#include <algorithm>
#include <csignal>
#include <optional>
#include <unistd.h>
#include <utility>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/appliance_verbs.hpp"
#include "appliance/admin/backup.hpp"
#include "appliance/admin/certificates.hpp"
#include "appliance/admin/doctor.hpp"
#include "appliance/admin/events.hpp"
#include "appliance/admin/history.hpp"
#include "appliance/admin/machine.hpp"
#include "appliance/admin/names.hpp"
#include "appliance/admin/partners.hpp"
#include "appliance/admin/policies.hpp"
#include "appliance/admin/standing.hpp"
#include "appliance/admin/topology.hpp"
#include "appliance/admin/trace.hpp"
#include "appliance/admin/trials.hpp"
#include "appliance/admin/users.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/domain.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

using config::Entry;
using config::Key;
using config::Problems;

Json describe(const Entry& entry) {
    const Key& key = *entry.path.key;
    Json out{{"key", entry.path.name},
             {"value", entry.value.text},
             {"type", config::name_of(key.type)},
             {"unit", key.unit},
             {"bounds", config::format_bounds(key)},
             {"default", key.fallback},
             {"apply", config::name_of(key.apply)},
             {"scope", config::name_of(config::scope_of(key))},
             {"origin", entry.origin.text()},
             {"description", key.description}};
    if (key.secret) {
        out["secret"] = true;
        if (!entry.value.text.empty()) out["value"] = "(set, not shown)";
    }
    return out;
}

// --- state

Json next_hops_of(const Status& status) {
    Json rows = Json::array();
    for (const NextHop& hop : status.next_hops) {
        rows.push_back({{"domain", hop.domain},
                        {"next_hop", hop.name},
                        {"address", hop.address},
                        {"state", hop.state},
                        {"since_s", hop.since_s},
                        {"why", hop.why},
                        {"retry_s", hop.retry_s},
                        {"pending", hop.pending},
                        {"answered", hop.answered},
                        {"unanswered", hop.unanswered}});
    }
    return rows;
}

Json store_of(const Store& store, WallTime now) {
    Json out{{"path", store.path},
             {"restoring", store.restoring},
             {"rows", store.rows},
             {"waiting", store.waiting},
             {"failing", store.failing}};
    if (!store.shares.empty()) out["shares"] = store.shares;
    if (store.last_commit)
        out["committed_s"] = std::max<std::int64_t>(0, (now - *store.last_commit).count());
    return out;
}

Json links_of(const Status& status) {
    Json rows = Json::array();
    for (const Link& link : status.links) {
        rows.push_back({{"peer", link.peer},
                        {"node", link.node},
                        {"address", link.address},
                        {"standing", link.standing},
                        {"count", link.count},
                        {"active", link.active},
                        {"since_s", link.since_s},
                        {"why", link.why}});
    }
    return rows;
}

Json routes_of(const Status& status) {
    Json rows = Json::array();
    for (const Route& route : status.routes) rows.push_back(route_json(route));
    return rows;
}

Json certificates_of(const Status& status, WallTime now) {
    Json rows = Json::array();
    for (const CertificateInUse& one : status.certificates) {
        rows.push_back(
            {{"purposes", one.purposes},
             {"file", one.file},
             {"not_after", config::format_time(one.not_after)},
             {"days", std::chrono::floor<std::chrono::days>(one.not_after - now).count()}});
    }
    return rows;
}

Json status_of(AdminHost& host, const Configuration& configuration, const TestSchedule* schedule) {
    Status status = host.status();
    if (schedule != nullptr && !schedule->remark().empty())
        status.remarks.push_back(schedule->remark());
    for (const std::string& remark : configuration.remarks()) status.remarks.push_back(remark);
    const rules::Settings& settings = configuration.snapshot().settings;
    const auto now = wall_now();
    Json out{{"ok", true},
             {"version", FEDGATE_VERSION},
             {"state", status.state},
             {"pid", getpid()},
             {"uptime_s", (now - configuration.started()).count()},
             {"threads", status.threads},
             {"generation", configuration.snapshot().generation},
             {"commit", configuration.committed().number},
             {"configuration_files", configuration.files()},
             {"federation_allow", settings.federation_allow},
             {"federation_discovery", settings.federation_discovery},
             {"sip_domains", configuration.snapshot().sip_domains().size()},
             {"partners", configuration.snapshot().partners().size() - 1},
             {"streams_in", status.streams_in},
             {"streams_out", status.streams_out},
             {"sip_connections", status.sip_connections},
             {"msrp_connections", status.msrp_connections},
             {"next_hops", next_hops_of(status)},
             {"links", links_of(status)},
             {"routes", routes_of(status)},
             {"certificates", certificates_of(status, now)},
             {"nodes", nodes_of(status)},
             {"remarks", status.remarks}};
    if (status.store) out["store"] = store_of(*status.store, now);
    return out;
}

std::string verdict_of(const Port& port) {
    if (port.dialled && port.outbound > 0) return "ok, connected";
    if (port.dialled) {
        return "NOT CONNECTED" + (port.fault.empty() ? std::string() : ": " + port.fault);
    }
    if (!port.listening) {
        return "NOT LISTENING" + (port.fault.empty() ? std::string() : ": " + port.fault);
    }
    if (port.protocol == "udp") return "ok";
    return port.inbound + port.outbound > 0 ? "ok, in use" : "ok, nobody is connected";
}

Json ports_of(AdminHost& host) {
    Json rows = Json::array();
    for (const Port& port : host.ports()) {
        rows.push_back({{"service", port.service},
                        {"side", port.side},
                        {"protocol", port.protocol},
                        {"address", port.address},
                        {"owner", port.owner},
                        {"listening", port.listening},
                        {"dialled", port.dialled},
                        {"inbound", port.inbound},
                        {"outbound", port.outbound},
                        {"established", port.inbound + port.outbound},
                        {"verdict", verdict_of(port)}});
    }
    return {{"ok", true}, {"pid", getpid()}, {"ports", std::move(rows)}};
}

Json streams_of(AdminHost& host) {
    Json rows = Json::array();
    for (const StreamRow& row : host.streams()) {
        if (row.state != "idle") rows.push_back(stream_json(row));
    }
    return {{"ok", true}, {"streams", std::move(rows)}, {"why_none", host.why_no_streams()}};
}

Json counters_of(AdminHost& host) {
    Json values = Json::object();
    for (const Counter& counter : host.counters()) values[counter.name] = counter.value;
    return {{"ok", true}, {"counters", std::move(values)}};
}

// --- explain

struct Party {
    std::string user;
    std::string domain;
};

std::optional<Party> parse_party(std::string text) {
    for (const std::string_view scheme : {"sip:", "xmpp:", "im:"}) {
        if (text.starts_with(scheme)) text.erase(0, scheme.size());
    }
    const std::size_t at = text.find('@');
    std::string domain = at == std::string::npos ? text : text.substr(at + 1);
    domain.erase(std::min(domain.find_first_of("/;?"), domain.size()));
    const auto normal = config::normalise_domain(domain);
    if (!normal) return std::nullopt;
    return Party{at == std::string::npos ? "" : text.substr(0, at), *normal};
}

// The key that decided; empty: none is set that could be changed.
std::string deciding_key(const rules::Decision& decision, const Party& ours, const Party& theirs,
                         const rules::Partner* partner) {
    const std::string policy =
        decision.policy == nullptr ? std::string() : "policy/" + decision.policy->name + "/";
    const std::string of_partner =
        "partner/" +
        (partner == nullptr || partner->discovered() ? std::string("default") : partner->domain) +
        "/";
    switch (decision.reason) {
        case rules::Reason::kAllowed:
        case rules::Reason::kXmppAccess: return policy + "xmpp_access";
        case rules::Reason::kNotItsPartner: return policy + "partners";
        case rules::Reason::kFederationAccess: return policy + "federation_access";
        case rules::Reason::kFederationOff: return "federation.allow";
        case rules::Reason::kPartnerDenied: return "federation.deny";
        case rules::Reason::kPartnerUnknown: return "federation.discovery";
        case rules::Reason::kPartnerDisabled: return of_partner + "enabled";
        case rules::Reason::kKindRefused: return of_partner + "stanzas";
        case rules::Reason::kApprovalNeeded: return of_partner + "type";
        case rules::Reason::kNotOurDomain: return "domain/" + ours.domain + "/next_hop";
        case rules::Reason::kOurDomain: return "domain/" + theirs.domain + "/next_hop";
    }
    return {};
}

Json explain(const std::vector<std::string>& parties, const Configuration& configuration) {
    if (parties.size() != 2) return refusal("explain takes two addresses: FROM TO");
    const rules::Snapshot& snapshot = configuration.snapshot();
    const auto from = parse_party(parties[0]);
    const auto to = parse_party(parties[1]);
    if (!from || !to) return refusal((from ? parties[1] : parties[0]) + " is not an address");
    const bool outward = snapshot.sip_domain(from->domain) != nullptr;
    const Party& ours = outward ? *from : *to;
    const Party& theirs = outward ? *to : *from;
    const rules::Partner* partner = snapshot.partner(theirs.domain);
    const rules::Decision decision = rules::of_kind(
        snapshot.may_converse(ours.user, ours.domain, theirs.domain,
                              outward ? rules::Direction::kToXmpp : rules::Direction::kFromXmpp),
        partner, rules::Kind::kMessage);
    Json out{{"ok", true},
             {"allowed", decision.allowed()},
             {"from", parties[0]},
             {"to", parties[1]},
             {"direction", outward ? "SIP to XMPP" : "XMPP to SIP"},
             {"reason", rules::explain(decision.reason)}};
    const std::string key = deciding_key(decision, ours, theirs, partner);
    config::Path path;
    std::string why;
    if (config::resolve(key, path, why)) {
        const Entry entry = configuration.tree().effective(path);
        out["rule"] = entry.path.name + " = " + entry.value.text;
        out["origin"] = entry.origin.text();
    }
    if (decision.policy != nullptr) {
        out["policy"] = decision.policy->name;
        if (config::resolve("user/" + ours.user + "@" + ours.domain + "/policy", path, why)) {
            out["policy_why"] = standing_of(configuration.tree(), path.instance).why;
        }
    }
    if (partner != nullptr) {
        const std::string listed = partner->discovered() ? "default" : partner->domain;
        out["partner"] = listed;
        if (partner->kinds != rules::Kinds())  // features.md P8
            out["passes"] = configuration.tree().text("partner/*/stanzas", listed);
    }
    return out;
}

// --- sysctl

// Is `name` below `root`, as `partner/example.org/tls` is below `partner/example.org` and
// `partner/`?
bool is_below(std::string_view name, std::string_view root) {
    if (root.empty() || !name.starts_with(root) || name.size() == root.size()) return false;
    const auto separates = [](char c) { return c == '.' || c == '/'; };
    return separates(root.back()) || separates(name[root.size()]);
}

// What each core has by `core.*.cpu`, and which have a value of their own instead.
void add_cores(const config::Path& every, const config::Tree& tree, std::uint32_t cores,
               Json& rows) {
    for (std::uint32_t core = 0; core < cores; ++core) {
        std::string name(every.key->name);
        name.replace(name.find('*'), 1, std::to_string(core));
        config::Path path;
        std::string why;
        if (!config::resolve(name, path, why)) continue;
        Json row = describe(tree.effective(path));
        row[tree.find(name) != nullptr ? "overrides" : "inherits"] = every.name;
        rows.push_back(std::move(row));
    }
}

// Keys as asked for, each described. A root gives all below it, and `core.*.cpu` what each of the
// cores has.
Json get(const std::vector<std::string>& keys, const config::Tree& tree, std::uint32_t cores) {
    Json rows = Json::array();
    Json errors = Json::array();
    for (const std::string& typed : keys) {
        config::Path path;
        std::string why;
        if (config::resolve(typed, path, why)) {
            rows.push_back(describe(tree.effective(path)));
            if (path.instance == "*") add_cores(path, tree, cores, rows);
            continue;
        }
        const std::size_t before = rows.size();
        for (const Entry& entry : tree.all()) {
            if (is_below(entry.path.name, typed)) rows.push_back(describe(entry));
        }
        if (rows.size() == before) errors.push_back(typed + ": " + why);
    }
    Json out{{"ok", errors.empty()}, {"keys", std::move(rows)}};
    if (!errors.empty()) out["errors"] = std::move(errors);
    return out;
}

Json all(const config::Tree& tree, bool differing_only) {
    Json rows = Json::array();
    for (const Entry& entry : tree.all()) {
        config::Value fallback;
        std::string why;
        const bool known =
            config::parse_value(*entry.path.key, entry.path.key->fallback, fallback, why);
        if (differing_only && known && fallback.text == entry.value.text) continue;
        rows.push_back(describe(entry));
    }
    return {{"ok", true}, {"keys", std::move(rows)}};
}

// A key or a pattern of the catalogue (`partner/*/tls`), described; needs no value.
Json describe_keys(const std::vector<std::string>& keys, const config::Tree& tree) {
    Json rows = Json::array();
    std::vector<std::string> rest;
    for (const std::string& typed : keys) {
        const auto table = config::keys();
        const auto found = std::ranges::find(table, typed, &Key::name);
        const bool has_value = found != table.end() && config::template_of(found->root()) == "*";
        if (found != table.end() && found->is_pattern() && !has_value) {
            Entry entry;
            entry.path = {&*found, "", std::string(found->name)};
            entry.value.text = found->fallback;
            rows.push_back(describe(entry));
        } else {
            rest.push_back(typed);
        }
    }
    Json out = get(rest, tree, 0);
    for (Json& row : out["keys"]) rows.push_back(std::move(row));
    out["keys"] = std::move(rows);
    return out;
}

// Keeps what was read, as a commit.
Json save(const Json& request, const std::string& author, std::vector<config::Setting> settings,
          Problems problems, AdminHost& host, Configuration& configuration, bool dry) {
    const config::Origin origin = configuration.next_commit();
    for (config::Setting& setting : settings) setting.origin = origin;
    config::Tree next = configuration.committed().settings;
    std::vector<Change> changes;
    Note note{author, string_of(request, "comment")};
    std::string why;
    if (!read_confirm(request, note.confirm_within, why)) return refusal(why);
    config::apply(settings, next, problems);
    const bool good = !config::any_error(problems) &&
                      configuration.commit(host, std::move(next), note, dry, problems, changes);
    return commit_answer(good, dry, problems, changes, configuration);
}

Json change(const Json& request, const std::string& author, AdminHost& host,
            Configuration& configuration, bool dry) {
    Problems problems;
    std::vector<config::Setting> settings;
    const std::string file = string_of(request, "file");
    if (!file.empty()) {
        config::parse_settings(string_of(request, "text"), file, settings, problems);
        if (config::any_error(problems)) {
            // Say what is wrong with the lines that could be read, too.
            config::Tree scratch = configuration.tree();
            config::apply(settings, scratch, problems);
            return refusal(problems);
        }
        // Whatever file it was read from, it is set at run time: a restart forgets it.
        for (config::Setting& setting : settings)
            setting.origin.kind = config::Origin::Kind::kRuntime;
    }
    const config::Origin origin{config::Origin::Kind::kRuntime, "", 0};
    for (const std::string& text : strings_of(request, "settings")) {
        config::Setting setting;
        std::string why;
        if (!config::parse_assignment(text, origin, setting, why)) return refusal(why);
        settings.push_back(std::move(setting));
    }
    if (bool_of(request, "ignore_unknown")) {
        std::erase_if(settings, [&problems](const config::Setting& one) {
            config::Path path;
            std::string why;
            if (config::resolve(one.key, path, why)) return false;
            problems.push_back({true, one.origin, one.key, why + "; ignored"});
            return true;
        });
        if (settings.empty() && !problems.empty()) return refusal("no key of it is known");
    }
    if (bool_of(request, "save")) {
        return save(request, author, std::move(settings), std::move(problems), host, configuration,
                    dry);
    }
    std::chrono::seconds confirm_within{};
    std::string why;
    if (!read_confirm(request, confirm_within, why)) return refusal(why);
    Problems found;
    std::vector<Change> changes;
    const bool good = configuration.set(host, settings, dry, found, changes, confirm_within);
    problems.insert(problems.end(), found.begin(), found.end());
    return changed(good, problems, changes, configuration);
}

Json pending(const Configuration& configuration) {
    Json rows = Json::array();
    for (const Configuration::Pending& one : configuration.pending()) {
        Json row = describe(configuration.tree().effective(one.path));
        row["running"] = one.path.key->secret ? "(not shown)" : one.running;
        rows.push_back(std::move(row));
    }
    return {{"ok", true}, {"keys", std::move(rows)}};
}

Json sysctl(const Json& request, const std::string& author, AdminHost& host,
            Configuration& configuration) {
    std::string action = string_of(request, "action");
    std::vector<std::string> keys = strings_of(request, "keys");
    if (action.empty()) {
        action = "get";
        keys = strings_of(request, "arguments");
    }
    if (action == "get") return get(keys, configuration.tree(), host.cores());
    if (action == "all") return all(configuration.tree(), false);
    if (action == "diff") return all(configuration.tree(), true);
    if (action == "describe") return describe_keys(keys, configuration.tree());
    if (action == "pending") return pending(configuration);
    if (action == "confirm") {
        if (!configuration.confirm_set())
            return refusal("nothing that was set live waits for that");
        return {{"ok", true}, {"changes", Json::array()}};
    }
    if (action == "write") return change(request, author, host, configuration, false);
    if (action == "check") return change(request, author, host, configuration, true);
    Problems problems;
    std::vector<Change> changes;
    if (action == "reset") {
        const bool good = configuration.reset(host, keys, problems, changes);
        return changed(good, problems, changes, configuration);
    }
    if (action == "reload") {
        const bool good = configuration.reload(host, problems, changes);
        if (good) host.on_reload();
        return changed(good, problems, changes, configuration);
    }
    return refusal("sysctl has no action '" + action + "'");
}

// fedctl reads and writes the files.
Json backup(const Json& request, AdminHost& host, Configuration& configuration) {
    const std::string action = string_of(request, "action");
    if (action == "places") return backup_places(configuration);
    if (action != "restored") return refusal("backup has no action '" + action.substr(0, 64) + "'");
    Problems problems;
    std::vector<Change> changes;
    const bool good = configuration.take_restored(host, problems, changes);
    if (good) host.on_reload();
    return changed(good, problems, changes, configuration);
}

Json parse_request(std::string_view line) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.starts_with('{')) return parse_json(line);
    Json request{{"verb", ""}, {"arguments", Json::array()}};
    std::size_t count = 0;
    for (std::size_t at = 0; at < line.size();) {
        const std::size_t end = std::min(line.find(' ', at), line.size());
        if (end > at) {
            const std::string word(line.substr(at, end - at));
            if (count++ == 0) {
                request["verb"] = word;
            } else {
                request["arguments"].push_back(word);
            }
        }
        at = end + 1;
    }
    return request;
}

// What runs here, and how to stop it. Whoever started the daemon starts it again.
Json services(const std::vector<std::string>& words, AdminHost& host,
              const rules::Settings& settings) {
    if (words.empty()) {
        const std::string state = host.status().state;
        const auto row = [&state](const char* name, bool here) {
            return Json{{"service", name}, {"state", here ? state : "on another machine"}};
        };
        return {{"ok", true},
                {"services", {row("edge", settings.edge), row("gateway", settings.gateway)}}};
    }
    if (words[0] == "start" || words[0] == "restart") {
        return refusal("that is for the supervisor: systemctl " + words[0] + " fedgated");
    }
    if (words[0] != "stop" || words.size() > 2 || (words.size() == 2 && words[1] != "--graceful")) {
        return refusal("services [stop [--graceful]]");
    }
    // As anybody else asks for it; the answer goes before.
    if (kill(getpid(), SIGTERM) != 0) return refusal("it can't be stopped");
    return {{"ok", true}, {"draining", true}};
}

// Empty, or why this caller may not. Both are told: who only reads is not.
std::string why_not_allowed(const Json& request, const Caller& caller, AdminHost& host) {
    const std::string verb = string_of(request, "verb").substr(0, 64);
    const std::string action = string_of(request, "action").substr(0, 64);
    const Role needed = role_for(verb, action, !strings_of(request, "arguments").empty());
    const std::string what = verb + (action.empty() ? "" : " " + action);
    const std::string role(name_of(caller.role));
    if (caller.role < needed) {
        const std::string needs(name_of(needed));
        host.note(EventId::kAdminRefused,
                  {{"user", caller.user}, {"role", role}, {"verb", what}, {"needs", needs}});
        return "'" + what + "' is for the role " + needs + ", and " + caller.user + " is " + role +
               ": be in a group of admin.groups." + needs;
    }
    if (needed > Role::kViewer && verb != "trace") {  // which is an event of its own, and polls
        host.note(EventId::kAdminCommand, {{"user", caller.user}, {"role", role}, {"verb", what}});
    }
    return {};
}

}  // namespace

Json answer_request(std::string_view line, const Caller& caller, AdminHost& host,
                    Configuration& configuration, TestSchedule* schedule) {
    const Json request = parse_request(line);
    if (!request.is_object()) return refusal("the request is not JSON");
    const std::string& author = caller.user;
    const std::string verb = string_of(request, "verb");
    if (const std::string why = why_not_allowed(request, caller, host); !why.empty()) {
        return refusal(why);
    }
    if (verb == "events") return answer_events(request, host, configuration);
    if (verb == "status") return status_of(host, configuration, schedule);
    if (verb == "test") return answer_test(request, host, configuration, schedule);
    if (verb == "ports") return ports_of(host);
    if (verb == "streams") return streams_of(host);
    if (verb == "counters") return counters_of(host);
    if (verb == "sysctl") return sysctl(request, author, host, configuration);
    if (verb == "partner") return answer_partner(request, author, host, configuration);
    if (verb == "policy") return answer_policy(request, author, host, configuration);
    if (verb == "user") return answer_user(request, author, host, configuration);
    if (verb == "site" || verb == "pool" || verb == "route") {
        return answer_topology(request, author, host, configuration);
    }
    if (verb == "services") {
        return services(strings_of(request, "arguments"), host, configuration.snapshot().settings);
    }
    if (verb == "cert") return answer_cert(request, configuration);
    if (verb == "appliance") return answer_appliance(request);
    if (verb == "backup") return backup(request, host, configuration);
    if (verb == "machine") return machine_of(configuration);
    if (verb == "doctor") return answer_doctor(request, host, configuration);
    if (verb == "dns") return answer_dns(request, configuration);
    if (verb == "config") return answer_history(request, author, host, configuration);
    if (verb == "trace") return answer_trace(request, author, host);
    if (verb == "explain") return explain(strings_of(request, "arguments"), configuration);
    return refusal("there is no verb '" + verb.substr(0, 64) + "'");
}

}  // namespace fedgate::admin
