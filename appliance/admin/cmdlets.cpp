#include "appliance/admin/cmdlets.hpp"

#include <algorithm>
#include <charconv>
#include <fnmatch.h>
#include <map>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/cmdlet_binding.hpp"
#include "appliance/admin/cmdlet_certificates.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/trial_tool.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::in_quotes;
using config::lower_ascii;
using Kind = ShellValue::Kind;
using T = CmdletParameter::Takes;
using Objects = std::vector<ShellObject>;

bool like(const std::string& glob, const std::string& text) {
    return fnmatch(glob.c_str(), text.c_str(), FNM_CASEFOLD) == 0;
}
bool same(std::string_view a, std::string_view b) { return lower_ascii(a) == lower_ascii(b); }

// `5min` -> `300`.
std::string seconds_of(const std::string& ours) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(ours.data(), ours.data() + ours.size(), number);
    const std::string_view unit(end, static_cast<std::size_t>(ours.data() + ours.size() - end));
    const std::uint64_t factor = unit == "s" ? 1 : unit == "min" ? 60 : unit == "h" ? 3600 : 0;
    return error == std::errc{} && factor > 0 ? std::to_string(number * factor) : ours;
}

// A value of ours as the reference prints it.
std::string there(const CmdletParameter& parameter, const std::string& ours) {
    switch (parameter.takes) {
        case T::kBool: return ours == "yes" ? "True" : "False";
        case T::kChoice: return choice_there(parameter, ours);
        case T::kSeconds: return seconds_of(ours);
        case T::kList: {
            std::string text = ours;
            for (std::size_t at = 0; (at = text.find(' ', at)) != std::string::npos; at += 2) {
                text.replace(at, 1, ", ");
            }
            return "{" + text + "}";
        }
        default: return ours;
    }
}

// `Global`, `Site:paris`, `Tag:FedPic`.
std::string policy_there(const std::string& ours) {
    if (ours == "global") return "Global";
    return ours.starts_with("site:") ? "Site:" + ours.substr(5) : "Tag:" + ours;
}

std::string format(const Objects& objects) {
    std::string out;
    for (const ShellObject& object : objects) {
        if (object.fields.empty()) {
            out += object.line + "\n";
            continue;
        }
        std::size_t width = 0;
        for (const auto& [name, value] : object.fields) width = std::max(width, name.size());
        if (!out.empty()) out += "\n";
        for (const auto& [name, value] : object.fields) {
            out += name + std::string(width - name.size(), ' ') + " :" +
                   (value.empty() ? "" : " " + value) + "\n";
        }
    }
    return out;
}

class Session {
public:
    Session(const Ask& ask, CmdletsOutcome& outcome) : ask_(ask), outcome_(outcome) {}

    bool run(const ShellPipeline& pipeline, const std::vector<BoundCommand>& commands) {
        text_ = pipeline.text;
        objects_.clear();
        for (const BoundCommand& command : commands) {
            piped_ = &command != commands.data();
            Objects input = std::exchange(objects_, {});
            if (!run(command, std::move(input))) return false;
        }
        if (!outcome_.out.empty() && !objects_.empty()) outcome_.out += "\n";
        outcome_.out += format(objects_);
        for (const ShellObject& object : objects_) {
            Json row = Json::object();
            for (const auto& [name, value] : object.fields) row[name] = value;
            outcome_.results.push_back(object.fields.empty() ? Json(object.line) : std::move(row));
        }
        return true;
    }

private:
    bool fail(std::string why) {
        outcome_.why = std::move(why);
        return false;
    }

    // Its answer, if that is good.
    bool tell(const Json& request, Json& answer) {
        std::string why;
        if (!ask_(request, answer, why)) return fail(why);
        if (bool_of(answer, "ok")) return true;
        why = string_of(answer, "error");
        for (const Json& error : array_of(answer, "errors")) {
            if (error.is_string()) why += (why.empty() ? "" : "; ") + error.get<std::string>();
        }
        const std::size_t option = why.find("--force");
        if (option != std::string::npos) why.replace(option, 7, "-Force");
        return fail(why.empty() ? "fedgated refuses it" : why);
    }

    // The line as it was typed, where no secret is in it.
    [[nodiscard]] std::string comment_of(const BoundCommand& command) const {
        std::string comment = "cs: " + text_;
        constexpr std::size_t kCommentBytes = 1000;
        const bool secret = command.has("DialbackPassphrase") || command.has("Password");
        if (secret || comment.size() > kCommentBytes || !config::is_text(comment)) {
            comment = "cs: " + std::string(command.row->name);
        }
        return comment;
    }

    // A change, as the verbs of fedctl make it.
    bool commit(Json request, const BoundCommand& command) {
        request["comment"] = comment_of(command);
        const bool dry = command.is_on("WhatIf");
        if (dry) request["dry_run"] = true;
        Json answer;
        if (!tell(request, answer)) return false;
        // What is remarked on partners is said when one of them changes.
        if (string_of(request, "verb") == "sysctl") answer.erase("warnings");
        outcome_.out += (dry ? "What if: " : "") + show_user_commit(answer);
        outcome_.commits.push_back(std::move(answer));
        return true;
    }

    bool run(const BoundCommand& command, Objects input) {
        switch (command.row->cmdlet) {
            case Cmdlet::kPolicyNew: return change_policy("new", command, input);
            case Cmdlet::kPolicySet: return change_policy("set", command, input);
            case Cmdlet::kPolicyRemove: return remove("policy", command, input);
            case Cmdlet::kPolicyGet: return get_policies(command);
            case Cmdlet::kPolicyGrant: return grant(command, input);
            case Cmdlet::kUserGet: return get_users(command);
            case Cmdlet::kPartnerNew: return change_partner("add", command, input);
            case Cmdlet::kPartnerSet: return change_partner("set", command, input);
            case Cmdlet::kPartnerRemove: return remove("partner", command, input);
            case Cmdlet::kPartnerGet: return get_partners(command);
            case Cmdlet::kSettingsGet: return get_settings(command);
            case Cmdlet::kSettingsSet: return set_settings(command);
            case Cmdlet::kSiteGet: return get_sites(command);
            case Cmdlet::kSiteSet: return set_site(command, input);
            case Cmdlet::kCertificateRequest:
            case Cmdlet::kCertificateImport:
            case Cmdlet::kCertificateSet:
            case Cmdlet::kCertificateGet:
            case Cmdlet::kCertificateTest:
                return run_certificate_cmdlet({command, piped_, input, comment_of(command)}, ask_,
                                              outcome_, objects_);
            case Cmdlet::kServicesStop: return stop(command);
            case Cmdlet::kServicesStart: return is_here(command) && start();
            case Cmdlet::kServicesGet: return is_here(command) && services(command.text("Name"));
            case Cmdlet::kNetstat: return netstat();
            case Cmdlet::kFindstr: return findstr(command, std::move(input));
            case Cmdlet::kWhere: return where(command, std::move(input));
            case Cmdlet::kSelect: return select(command, std::move(input));
            case Cmdlet::kTestIm: return test_im(command);
            case Cmdlet::kWatcherSet: return set_watcher(command);
            case Cmdlet::kPublish:
            case Cmdlet::kNotHere: break;
        }
        return true;
    }

    // What comes through the '|', else -Identity. `kind`: of which things.
    bool names_of(const BoundCommand& command, const Objects& input, const char* kind,
                  std::vector<std::string>& names) {
        if (piped_) {
            for (const ShellObject& object : input) {
                if (object.kind != kind || object.name.empty()) {
                    return fail(std::string(command.row->name) +
                                ": what comes through the '|' is no " + kind);
                }
                names.push_back(object.name);
            }
            if (names.empty()) return fail("nothing comes through the '|', so nothing is done");
            return true;
        }
        for (const char* name : {"Identity", "Domain"}) {
            const auto found = command.values.find(name);
            if (found == command.values.end()) continue;
            if (!names.empty()) return fail("-Identity and -Domain say the same: one of them");
            names = found->second.texts();
        }
        if (names.empty()) return fail(std::string(command.row->name) + " needs -Identity");
        return true;
    }

    // -Identity of a Get-: those that are asked for; none: all.
    static std::vector<std::string> asked_of(const BoundCommand& command) {
        const auto found = command.values.find("Identity");
        return found == command.values.end() ? std::vector<std::string>() : found->second.texts();
    }

    // --- policies and users

    bool get_policies(const BoundCommand& command) {
        Json answer;
        if (!tell({{"verb", "policy"}, {"action", "list"}}, answer)) return false;
        const std::vector<std::string> asked = asked_of(command);
        const std::string filter = command.text("Filter");
        std::vector<std::string> missing = asked;
        for (const Json& row : array_of(answer, "policies")) {
            ShellObject object{string_of(row, "policy"), {}, "", "policy"};
            const std::string identity = policy_there(object.name);
            const auto is_it = [&](const std::string& one) {
                return same(one, identity) || same(one, object.name);
            };
            const bool wanted = asked.empty() || std::ranges::any_of(asked, is_it);
            std::erase_if(missing, is_it);
            if (!wanted || (!filter.empty() && !like(filter, identity))) continue;
            object.fields.emplace_back("Identity", identity);
            for (const CmdletParameter& one :
                 find_cmdlet("Set-CsExternalAccessPolicy")->parameters) {
                if (one.key.empty()) continue;
                const std::string key(one.key);
                object.fields.emplace_back(
                    one.name, one.takes == T::kBool ? (bool_of(row, key.c_str()) ? "True" : "False")
                                                    : string_of(row, key.c_str()));
            }
            objects_.push_back(std::move(object));
        }
        if (!missing.empty()) {
            return fail("there is no policy " + in_quotes(missing.front()) +
                        "; Get-CsExternalAccessPolicy without a name has all");
        }
        return true;
    }

    bool show_policy(const std::string& name) {
        BoundCommand get;
        get.row = find_cmdlet("Get-CsExternalAccessPolicy");
        get.values["Identity"].text = name;
        return get_policies(get);
    }

    bool change_policy(const char* action, const BoundCommand& command, const Objects& input) {
        std::vector<std::string> names;
        std::vector<std::string> settings;
        if (!names_of(command, input, "policy", names)) return false;
        const bool makes = action == std::string("new");
        if (makes && names.size() > 1) return fail("one policy is made at a time");
        if (!settings_of(command, settings, outcome_.why)) return false;
        const Json request{
            {"verb", "policy"}, {"action", action}, {"names", names}, {"settings", settings}};
        if (!commit(request, command)) return false;
        return !makes || command.is_on("WhatIf") || show_policy(names.front());
    }

    bool remove(const char* what, const BoundCommand& command, const Objects& input) {
        std::vector<std::string> names;
        if (!names_of(command, input, what, names)) return false;
        Json request{{"verb", what}, {"action", "remove"}};
        request[what == std::string("policy") ? "names" : "domains"] = names;
        if (command.is_on("Force")) request["force"] = true;
        return commit(std::move(request), command);
    }

    bool grant(const BoundCommand& command, const Objects& input) {
        const auto policy = command.values.find("PolicyName");
        if (policy == command.values.end()) {
            return fail("Grant-CsExternalAccessPolicy needs -PolicyName, a policy or $null");
        }
        std::vector<std::string> users;
        if (piped_ && input.empty()) {
            return fail(
                "no user is listed, so none gets the policy: fedctl user import FILE lists "
                "them, or Set-CsExternalAccessPolicy -Identity Global is for all");
        }
        if (!names_of(command, input, "user", users)) return false;
        const bool none = policy->second.kind == Kind::kNull;
        const Json request{{"verb", "user"},
                           {"action", "grant"},
                           {"policy", none ? "null" : command.text("PolicyName")},
                           {"users", users}};
        if (!commit(request, command)) return false;
        if (!command.is_on("PassThru") || command.is_on("WhatIf")) return true;
        for (const Json& user : array_of(outcome_.commits.back(), "users")) {
            if (!user.is_string() || !add_user(user.get<std::string>())) return false;
        }
        return true;
    }

    static ShellObject user_object(const Json& row) {
        const std::string address = string_of(row, "address");
        const std::string name = string_of(row, "name");
        return {address,
                {{"Identity", name.empty() ? address : name},
                 {"ExternalAccessPolicy", string_of(row, "granted")},
                 {"Enabled", "True"},
                 {"SipAddress", "sip:" + address},
                 {"DisplayName", name}},
                "",
                "user"};
    }
    bool add_user(const std::string& address) {
        Json answer;
        const Json request{{"verb", "user"}, {"action", "show"}, {"users", Json::array({address})}};
        if (!tell(request, answer)) return false;
        objects_.push_back(user_object(answer));
        return true;
    }

    bool get_users(const BoundCommand& command) {
        const std::vector<std::string> asked = asked_of(command);
        if (asked.empty() && !add_users("")) return false;
        for (const std::string& one : asked) {
            const bool address = one.contains('@') && one.find_first_of("*?[") == std::string::npos;
            const std::size_t before = objects_.size();
            if (!(address ? add_user(one) : add_users(one))) return false;
            if (objects_.size() == before)
                return fail("no listed user is called " + in_quotes(one));
        }
        const auto filter = command.values.find("Filter");
        if (filter == command.values.end()) return true;
        return keep_where(filter->second.text, std::exchange(objects_, {}));
    }
    // Those that a pattern is for; empty: all.
    bool add_users(const std::string& pattern) {
        Json request{{"verb", "user"}, {"action", "list"}};
        if (!pattern.empty()) request["filter"] = pattern;
        Json answer;
        if (!tell(request, answer)) return false;
        for (const Json& row : array_of(answer, "users")) objects_.push_back(user_object(row));
        return true;
    }

    // --- partners

    bool get_partners(const BoundCommand& command) {
        const std::vector<std::string> asked = asked_of(command);
        for (const std::string& one : asked) {
            if (!add_partner(one)) return false;
        }
        if (!asked.empty()) return true;
        Json answer;
        Json request{{"verb", "partner"}, {"action", "list"}};
        if (command.has("Filter")) request["filter"] = command.text("Filter");
        if (!tell(request, answer)) return false;
        for (const Json& row : array_of(answer, "partners")) {
            if (!add_partner(string_of(row, "domain"))) return false;
        }
        return true;
    }

    bool add_partner(const std::string& domain) {
        Json answer;
        const Json request{
            {"verb", "partner"}, {"action", "show"}, {"domains", Json::array({domain})}};
        if (!tell(request, answer)) return false;
        std::map<std::string, std::string> values;
        for (const Json& row : array_of(answer, "attributes")) {
            values[string_of(row, "attribute")] = string_of(row, "value");
        }
        const std::string name = string_of(answer, "domain");
        ShellObject object{name, {{"Identity", name}, {"Domain", name}}, "", "partner"};
        for (const CmdletParameter& one : find_cmdlet("Set-CsXmppAllowedPartner")->parameters) {
            if (one.key.empty() || one.takes == T::kNothing) continue;
            std::string value = there(one, values[std::string(one.key)]);
            if (one.key == "connection_limit" && value == "0") value.clear();  // none of its own
            object.fields.emplace_back(one.name, std::move(value));
        }
        objects_.push_back(std::move(object));
        return true;
    }

    bool change_partner(const char* action, const BoundCommand& command, const Objects& input) {
        std::vector<std::string> names;
        std::vector<std::string> settings;
        if (!names_of(command, input, "partner", names)) return false;
        const bool makes = action == std::string("add");
        if (makes && names.size() > 1) return fail("one partner is made at a time");
        if (!settings_of(command, settings, outcome_.why)) return false;
        const Json request{
            {"verb", "partner"}, {"action", action}, {"domains", names}, {"settings", settings}};
        if (!commit(request, command)) return false;
        return !makes || command.is_on("WhatIf") || add_partner(names.front());
    }

    // --- objects of which there is one

    bool get_settings(const BoundCommand& command) {
        Json answer;
        Json request{{"verb", "sysctl"}, {"action", "get"}, {"keys", Json::array()}};
        const auto is_key = [](const CmdletParameter& one) {
            return !one.key.empty() && one.takes != T::kNothing;
        };
        for (const CmdletParameter& one : command.row->parameters) {
            if (is_key(one)) request["keys"].push_back(one.key);
        }
        if (!tell(request, answer)) return false;
        ShellObject object{"Global", {{"Identity", "Global"}}, ""};
        std::size_t at = 0;
        const Json& keys = array_of(answer, "keys");
        for (const CmdletParameter& one : command.row->parameters) {
            if (!is_key(one) || at == keys.size()) continue;
            object.fields.emplace_back(one.name, there(one, string_of(keys[at++], "value")));
        }
        objects_.push_back(std::move(object));
        return true;
    }

    bool set_settings(const BoundCommand& command) {
        const std::string asked = command.text("Identity");
        if (!asked.empty() && !same(asked, "global")) {
            return fail("there is one of them, Global, not " + in_quotes(asked));
        }
        std::vector<std::string> settings;
        if (!settings_of(command, settings, outcome_.why)) return false;
        if (settings.empty())
            return fail(std::string(command.row->name) + ": nothing is to be set");
        const bool dry = command.is_on("WhatIf");
        return commit({{"verb", "sysctl"},
                       {"action", dry ? "check" : "write"},
                       {"save", true},
                       {"settings", settings}},
                      command);
    }

    // --- sites

    bool get_sites(const BoundCommand& command) {
        Json answer;
        if (!tell({{"verb", "site"}, {"action", "list"}}, answer)) return false;
        std::string asked = command.text("Identity");
        if (asked_of(command).size() > 1) return fail("Get-CsSite takes one site");
        if (asked.size() > 5 && same(asked.substr(0, 5), "site:")) asked.erase(0, 5);
        for (const Json& row : array_of(answer, "sites")) {
            const std::string site = string_of(row, "site");
            if (!asked.empty() && !same(asked, site)) continue;
            const std::string route = string_of(row, "route");
            objects_.push_back(
                {site,
                 {{"Identity", "Site:" + site},
                  {"XmppFederationRoute", route.empty() ? "" : "EdgeServer:" + route}},
                 "",
                 "site"});
        }
        if (objects_.empty() && !asked.empty()) return fail("there is no site " + in_quotes(asked));
        return true;
    }

    // EdgeServer:edge1.example, or a pool of ours.
    bool pool_of(std::string edge, std::string& pool) {
        constexpr std::string_view kEdge = "EdgeServer:";
        if (same(std::string_view(edge).substr(0, kEdge.size()), kEdge))
            edge.erase(0, kEdge.size());
        Json answer;
        if (!tell({{"verb", "pool"}, {"action", "list"}}, answer)) return false;
        for (const Json& row : array_of(answer, "pools")) {
            const std::string name = string_of(row, "pool");
            if (same(name, edge)) pool = name;
            for (const Json& member : array_of(row, "members")) {
                const std::string host = string_of(member, "member");
                if (same(host.substr(0, host.find(':')), edge)) pool = name;
            }
        }
        return !pool.empty() || fail("no pool is called " + in_quotes(edge) +
                                     " or has it as a member (fedctl pool list)");
    }

    bool set_site(const BoundCommand& command, const Objects& input) {
        std::vector<std::string> names;
        if (!names_of(command, input, "site", names)) return false;
        if (names.size() > 1) return fail("Set-CsSite takes one site at a time");
        const bool other = command.has("XmppExternalFederationRoute");
        if (other) {
            outcome_.notes.emplace_back(
                "-XmppExternalFederationRoute is taken as -XmppFederationRoute");
        }
        const char* const parameter = other ? "XmppExternalFederationRoute" : "XmppFederationRoute";
        const auto route = command.values.find(parameter);
        if (route == command.values.end()) return fail("Set-CsSite needs -XmppFederationRoute");
        for (std::string name : names) {
            if (name.size() > 5 && same(name.substr(0, 5), "site:")) name.erase(0, 5);
            Json request{{"verb", "route"}, {"action", "unset"}, {"name", name}};
            if (route->second.kind != Kind::kNull) {
                std::string pool;
                if (!pool_of(command.text(parameter), pool)) return false;
                request["action"] = "set";
                request["settings"] = Json::array({pool});
            }
            if (!commit(std::move(request), command)) return false;
        }
        return true;
    }

    // --- the test message

    bool test_im(const BoundCommand& command) {
        TrialWish wish{command.text("UserSipAddress"), command.text("Receiver"), ""};
        if (wish.to.empty()) return fail("Test-CsXmppIM needs -Receiver, a user of a partner's");
        if (wish.from.empty()) {  // the reference has test users for that
            Json answer;
            if (!tell({{"verb", "sysctl"}, {"action", "get"}, {"keys", {"test.im.from"}}}, answer))
                return false;
            const Json& keys = array_of(answer, "keys");
            if (!keys.empty()) wish.from = string_of(keys[0], "value");
        }
        if (wish.from.empty()) {
            return fail(
                "who writes? -UserSipAddress sip:USER@DOMAIN, a user of ours, or once for all: "
                "fedctl sysctl -w --save test.im.from=USER@DOMAIN");
        }
        std::string why;
        const Json found = run_trial(wish, ask_, why);
        if (found.is_null() || found.empty()) return fail(why);
        const std::string target = command.text("TargetFqdn");
        const auto latency = found["latency_s"].get<double>();
        objects_.push_back({"",
                            {{"Target Fqdn", target.empty() ? string_of(found, "target") : target},
                             {"Result", string_of(found, "result")},
                             {"Latency", show_latency(latency)},
                             {"Error Message", string_of(found, "error")},
                             {"Diagnosis", string_of(found, "diagnosis")}},
                            ""});
        if (const std::string how = string_of(found, "how"); !how.empty())
            outcome_.notes.push_back(how);
        return true;
    }

    // What its watcher node does, the gateway does itself.
    bool set_watcher(const BoundCommand& command) {
        constexpr std::string_view kTest = "XmppIM";
        std::vector<std::string> settings;
        if (!settings_of(command, settings, outcome_.why)) return false;
        // @{Add="XmppIM"}, @{Replace=...}, or a list; the last one that is added is taken.
        const auto wanted = [&command](const char* name, std::string& added) {
            const auto found = command.values.find(name);
            if (found == command.values.end()) return false;
            for (const std::string& one : found->second.texts()) added = one;
            for (const auto& [how, items] : found->second.table) {
                if (!same(how, "remove") && !items.empty()) added = items.back();
            }
            return true;
        };
        std::string test;
        std::string user;
        if (wanted("Tests", test)) {
            if (!test.empty() && !same(test, kTest))
                return fail("the one test that there is here is XmppIM, not " + in_quotes(test));
            settings.emplace_back(test.empty() ? "test.im.interval=0s" : "test.im.interval=24h");
        }
        if (wanted("TestUsers", user)) settings.push_back("test.im.from=" + user);
        const std::string enabled = command.has("Enabled") && !command.is_on("Enabled") ? "0s" : "";
        if (!enabled.empty()) settings.push_back("test.im.interval=" + enabled);
        if (settings.empty())
            return fail(
                "Set-CsWatcherNodeConfiguration: -Tests @{Add=\"XmppIM\"}, -TestUsers "
                "@{Add=\"sip:USER@DOMAIN\"} and -XmppTestReceiverMailAddress are understood");
        outcome_.notes.emplace_back("the gateway is its own watcher node: fedctl test");
        const bool dry = command.is_on("WhatIf");
        return commit({{"verb", "sysctl"},
                       {"action", dry ? "check" : "write"},
                       {"save", true},
                       {"settings", settings}},
                      command);
    }

    // --- services and ports

    bool services(const std::string& wanted = "") {
        Json answer;
        if (!tell({{"verb", "services"}, {"arguments", Json::array()}}, answer)) return false;
        for (const Json& row : array_of(answer, "services")) {
            const bool edge = string_of(row, "service") == "edge";
            const std::string state = string_of(row, "state");
            if (state == "on another machine") continue;
            if (!wanted.empty() && !same(wanted, edge ? "XmppProxy" : "RTCXMPPTGW")) continue;
            objects_.push_back({string_of(row, "service"),
                                {{"Status", state == "running" ? "Running" : state},
                                 {"Name", edge ? "XmppProxy" : "RTCXMPPTGW"},
                                 {"DisplayName", edge ? "Lync Server XMPP Translating Gateway Proxy"
                                                      : "Lync Server XMPP Translating Gateway"}},
                                ""});
        }
        return true;
    }

    // What runs here is one process, whichever of its services is named.
    bool is_here(const BoundCommand& command) {
        const std::string name = command.text("Name");
        if (name.empty() || same(name, "XmppProxy") || same(name, "RTCXMPPTGW")) return true;
        return fail("there is no service " + in_quotes(name) +
                    " here; there are XmppProxy and RTCXMPPTGW");
    }

    bool stop(const BoundCommand& command) {
        if (!is_here(command)) return false;
        if (command.is_on("WhatIf")) {
            outcome_.out += "What if: fedgated would finish what is under way, and stop\n";
            return true;
        }
        Json answer;
        if (!tell({{"verb", "services"}, {"arguments", Json::array({"stop", "--graceful"})}},
                  answer)) {
            return false;
        }
        outcome_.out += show_services(answer);
        outcome_.notes.emplace_back(
            "certificates, partners, policies and routes are in force without a restart; "
            "Start-CsWindowsService says how it starts again");
        return true;
    }

    bool start() {
        Json answer;
        std::string why;
        if (!ask_({{"verb", "services"}, {"arguments", Json::array()}}, answer, why)) {
            return fail(why + " ('systemctl start fedgated', where systemd runs it)");
        }
        outcome_.notes.emplace_back("it is running");
        return services();
    }

    // As netstat -ano shows it.
    bool netstat() {
        Json answer;
        if (!tell({{"verb", "ports"}}, answer)) return false;
        std::vector<std::vector<std::string>> rows;
        const std::string pid = std::to_string(number_of(answer, "pid"));
        for (const Json& row : array_of(answer, "ports")) {
            const bool datagrams = string_of(row, "protocol") == "udp";
            const std::string protocol = datagrams ? "UDP" : "TCP";
            const std::string address = string_of(row, "address");
            if (bool_of(row, "listening")) {
                rows.push_back({protocol, address, "*:*", datagrams ? "" : "LISTENING", pid});
            } else if (!bool_of(row, "dialled")) {
                rows.push_back({protocol, address, "-", string_of(row, "verdict"), pid});
            }
            const std::uint64_t count = number_of(row, "established");
            if (count > 0) {
                rows.push_back({protocol, address,
                                std::to_string(number_of(row, "inbound")) + " in, " +
                                    std::to_string(number_of(row, "outbound")) + " out",
                                "ESTABLISHED", pid});
            }
        }
        rows.insert(rows.begin(), {"Proto", "Local Address", "Foreign Address", "State", "PID"});
        std::string text = show_table(rows);
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at);
            objects_.push_back({"", {}, "  " + text.substr(at, end - at)});
            at = end + 1;
        }
        return true;
    }

    bool findstr(const BoundCommand& command, Objects input) {
        std::string wanted;
        for (const ShellWord& word : command.command->words) {
            if (!word.is_parameter && !word.value.text.starts_with('/')) wanted = word.value.text;
        }
        if (wanted.empty()) return fail("findstr needs what is to be found");
        for (ShellObject& object : input) {
            const std::string text = object.fields.empty() ? object.line : format({object});
            if (lower_ascii(text).contains(lower_ascii(wanted))) {
                objects_.push_back(std::move(object));
            }
        }
        if (objects_.empty()) {
            return fail("no line has " + in_quotes(wanted) +
                        ": nothing listens there, and nothing is connected (fedctl ports)");
        }
        return true;
    }

    // --- objects in general

    // The field, or why not.
    static const std::string* field(const ShellObject& object, const std::string& name) {
        for (const auto& [known, value] : object.fields) {
            if (same(known, name)) return &value;
        }
        return nullptr;
    }
    bool no_field(const ShellObject& object, const std::string& name) {
        std::vector<std::string> names;
        for (const auto& [known, value] : object.fields) names.push_back(known);
        return fail("the objects have no property " + in_quotes(name) + did_you_mean(name, names));
    }

    bool where(const BoundCommand& command, Objects input) {
        const auto& words = command.command->words;
        if (words.size() == 1 && words[0].value.kind == Kind::kBlock) {
            return keep_where(words[0].value.text, std::move(input));
        }
        return keep_where(words, std::move(input));
    }

    // {$_.PartnerType -eq "Federated" -and $_.Identity -like "*.org"}
    bool keep_where(std::string text, Objects input) {
        for (const std::string_view self : {"$_.", "$PSItem."}) {
            for (std::size_t at = 0; (at = text.find(self, at)) != std::string::npos;) {
                text.erase(at, self.size());
            }
        }
        std::vector<ShellPipeline> pipelines;
        std::string why;
        if (!parse_shell("where " + text, pipelines, why)) return fail(why);
        if (pipelines.size() != 1 || pipelines[0].commands.size() != 1) return not_understood();
        return keep_where(pipelines[0].commands[0].words, std::move(input));
    }
    bool not_understood() {
        return fail(
            "a condition is PROPERTY -eq VALUE, with -ne, -like and -notlike, too, and "
            "-and or -or between several");
    }

    bool keep_where(const std::vector<ShellWord>& words, Objects input) {
        if (words.size() % 4 != 3) return not_understood();
        for (ShellObject& object : input) {
            bool all = true;
            for (std::size_t i = 0; i < words.size(); i += 4) {
                bool one = false;
                if (!holds(object, words.data() + i, one)) return false;
                const bool first = i == 0;
                const std::string join = first ? "and" : lower_ascii(words[i - 1].name);
                if (join != "and" && join != "or") return not_understood();
                all = join == "and" ? all && one : all || one;
            }
            if (all) objects_.push_back(std::move(object));
        }
        return true;
    }

    bool holds(const ShellObject& object, const ShellWord* words, bool& out) {
        const ShellWord& name = words[0];
        const ShellWord& test = words[1];
        const ShellWord& than = words[2];
        if (name.is_parameter || !test.is_parameter || than.is_parameter) return not_understood();
        if (test.has_value || than.value.kind == Kind::kList || than.value.kind == Kind::kTable) {
            return not_understood();
        }
        const std::string* value = field(object, name.value.text);
        if (value == nullptr) return no_field(object, name.value.text);
        const std::string wanted = than.value.kind == Kind::kTrue    ? "True"
                                   : than.value.kind == Kind::kFalse ? "False"
                                   : than.value.kind == Kind::kNull  ? ""
                                                                     : than.value.text;
        const std::string op = lower_ascii(test.name);
        if (op == "eq" || op == "ne") {
            out = same(*value, wanted) == (op == "eq");
        } else if (op == "like" || op == "notlike") {
            out = like(wanted, *value) == (op == "like");
        } else {
            return not_understood();
        }
        return true;
    }

    // Which fields, and how many objects.
    bool select(const BoundCommand& command, Objects input) {
        std::vector<std::string> names;
        std::size_t most = input.size();
        const auto& words = command.command->words;
        for (std::size_t i = 0; i < words.size(); ++i) {
            if (words[i].is_parameter && same(words[i].name, "first")) {
                const std::string count =
                    words[i].has_value ? words[i].value.text : words[++i].value.text;
                const bool number = !count.empty() && count.size() < 9 &&
                                    count.find_first_not_of("0123456789") == std::string::npos;
                if (!number) return fail("-First needs a number");
                most = std::min(most, static_cast<std::size_t>(std::stoul(count)));
            } else if (!words[i].is_parameter || words[i].has_value) {
                for (const std::string& one : words[i].value.texts()) names.push_back(one);
            }
        }
        std::erase(names, "*");
        input.resize(most);
        for (ShellObject& object : input) {
            if (names.empty() || object.fields.empty()) {
                objects_.push_back(std::move(object));
                continue;
            }
            ShellObject some{object.name, {}, "", object.kind};
            for (const std::string& name : names) {
                const std::string* value = field(object, name);
                if (value == nullptr) return no_field(object, name);
                some.fields.emplace_back(name, *value);
            }
            objects_.push_back(std::move(some));
        }
        return true;
    }

    const Ask& ask_;
    CmdletsOutcome& outcome_;
    Objects objects_;
    std::string text_;
    bool piped_ = false;
};

}  // namespace

CmdletsOutcome run_cmdlets(std::string_view text, const Ask& ask) {
    CmdletsOutcome outcome;
    std::vector<ShellPipeline> pipelines;
    if (!parse_shell(text, pipelines, outcome.why)) return outcome;
    if (pipelines.empty()) {
        outcome.why = "there is no command in it";
        return outcome;
    }
    const auto where = [&pipelines](const ShellPipeline& pipeline) {
        return pipelines.size() == 1 ? std::string()
                                     : "line " + std::to_string(pipeline.line) + ": ";
    };
    std::vector<std::vector<BoundCommand>> bound(pipelines.size());
    for (std::size_t i = 0; i < pipelines.size(); ++i) {
        for (const ShellCommand& command : pipelines[i].commands) {
            const bool piped = &command != pipelines[i].commands.data();
            std::vector<std::string> settings;
            BoundCommand& one = bound[i].emplace_back();
            if (bind_command(command, piped, one, outcome.notes, outcome.why) &&
                settings_of(one, settings, outcome.why)) {
                continue;
            }
            outcome.why = where(pipelines[i]) + outcome.why;
            return outcome;
        }
    }
    Session session(ask, outcome);
    for (std::size_t i = 0; i < pipelines.size(); ++i) {
        if (session.run(pipelines[i], bound[i])) continue;
        outcome.why = where(pipelines[i]) + outcome.why;
        if (i > 0) outcome.why += " (what is above this line was done)";
        break;
    }
    return outcome;
}

}  // namespace fedgate::admin
