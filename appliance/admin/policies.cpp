#include "appliance/admin/policies.hpp"

#include <algorithm>
#include <map>
#include <span>

#include "appliance/admin/standing.hpp"
#include "appliance/admin/verbs.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::Entry;
using config::Path;
using config::Tree;

class PolicyVerbs : Verbs {
public:
    PolicyVerbs(const Json& request, const std::string& author, AdminHost& host,
                Configuration& configuration)
        : Verbs(request, author, host, configuration), settings_(strings_of(request, "settings")) {}

    Json run() {
        if (action_ == "list") return list();
        for (const std::string& typed : strings_of(request_, "names")) {
            names_.push_back(policy_name(tree_, typed));
        }
        if (names_.empty()) return refusal("policy " + action_ + " needs a policy");
        if (action_ == "new") return make(names_.front());
        for (const std::string& name : names_) {
            if (!is_policy(tree_, name)) return unknown(name);
        }
        if (action_ == "show") return show(names_.front());
        if (action_ == "set") return set();
        if (action_ == "remove") return remove();
        return no_action();
    }

private:
    // --- reading

    [[nodiscard]] Json unknown(const std::string& name) const {
        const std::string meant = did_you_mean(name, policies_of(tree_));
        return refusal("there is no policy " + config::in_quotes(name) +
                       (meant.empty() ? "; fedctl policy list has those that are there" : meant));
    }

    // Whom each is in force for, as far as they are listed.
    struct Reach {
        std::vector<std::string> users;
        std::vector<std::string> domains;
    };
    [[nodiscard]] std::map<std::string, Reach> reaches() const {
        std::map<std::string, Reach> out;
        for (const std::string& user : tree_.instances("user")) {
            out[standing_of(tree_, user).policy].users.push_back(user);
        }
        for (const std::string& domain : tree_.instances("domain")) {
            const std::string of_site =
                std::string(kSitePolicy) + tree_.text("domain/*/site", domain);
            out[is_policy(tree_, of_site) ? of_site : "global"].domains.push_back(domain);
        }
        return out;
    }

    [[nodiscard]] Json policy_json(const std::string& name, const Reach& reach) const {
        Json row{{"policy", name},
                 {"scope", scope_of_policy(name)},
                 {"description", tree_.text("policy/*/description", name)}};
        for (const std::string& attribute : attributes_of("policy")) {
            if (attribute == "description") continue;
            if (attribute == "partners") {
                row[attribute] = tree_.list("policy/*/partners", name);
            } else {
                row[attribute] = tree_.flag("policy/*/" + attribute, name);
            }
        }
        row["users"] = reach.users.size();
        row["domains"] = reach.domains;
        return row;
    }

    Json list() {
        auto reach = reaches();
        Json rows = Json::array();
        for (const std::string& name : policies_of(tree_)) {
            rows.push_back(policy_json(name, reach[name]));
        }
        return {{"ok", true}, {"policies", std::move(rows)}, {"notes", notes({})}};
    }

    // What stands in the way.
    [[nodiscard]] std::vector<std::string> notes(const std::string& name) const {
        std::vector<std::string> out;
        if (!tree_.flag("federation.allow")) {
            out.emplace_back("nothing passes while federation.allow = no");
        }
        if (name.empty()) return out;
        const bool federation = tree_.flag("policy/*/federation_access", name);
        const bool xmpp = tree_.flag("policy/*/xmpp_access", name);
        if (federation != xmpp) {
            out.push_back(std::string("its users converse with no partner: that needs ") +
                          (xmpp ? "federation_access" : "xmpp_access") + " = yes, too");
        }
        const auto listed = tree_.instances("partner");
        for (const std::string& partner : tree_.list("policy/*/partners", name)) {
            if (std::ranges::find(listed, partner) != listed.end()) continue;
            out.push_back("its partners have " + partner +
                          ", by which name none is listed (fedctl partner list)");
        }
        if (!name.starts_with(kSitePolicy)) return out;
        const std::string site = name.substr(kSitePolicy.size());
        const auto belongs = [&](const char* root, const std::string& key) {
            return std::ranges::any_of(tree_.instances(root), [&](const std::string& one) {
                return tree_.text(key, one) == site;
            });
        };
        if (!belongs("domain", "domain/*/site") && !belongs("user", "user/*/site")) {
            out.push_back("nobody belongs to site " + site +
                          " (domain/DOMAIN/site, user/USER/site)");
        }
        return out;
    }

    Json show(const std::string& name) {
        auto reach = reaches();
        Json answer = policy_json(name, reach[name]);
        Json rows = Json::array();
        for (const std::string& attribute : attributes_of("policy")) {
            Path path;
            std::string why;
            if (!config::resolve(key_of(name, attribute), path, why)) return refusal(why);
            const Entry entry = tree_.effective(path);
            rows.push_back({{"attribute", attribute},
                            {"value", entry.value.text},
                            {"origin", entry.origin.text()},
                            {"description", path.key->description}});
        }
        answer["ok"] = true;
        answer["attributes"] = std::move(rows);
        answer["in_force_for"] = reach[name].users;
        answer["notes"] = notes(name);
        return answer;
    }

    // --- changing

    static std::string key_of(const std::string& name, const std::string& attribute) {
        return "policy/" + name + "/" + attribute;
    }

    // `xmpp_access=yes`. Empty, or what is wrong.
    std::string apply(Tree& next, const std::string& name, const std::string& text) const {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            return config::in_quotes(text) + " is not ATTRIBUTE=VALUE";
        }
        const std::string attribute(config::trim(std::string_view(text).substr(0, equals)));
        const auto known = attributes_of("policy");
        if (std::ranges::find(known, attribute) == known.end()) {
            std::string there = did_you_mean(attribute, known);
            if (there.empty()) {
                for (const std::string& one : known) there += (there.empty() ? "" : ", ") + one;
                there = "; it has " + there;
            }
            return "a policy has no attribute " + config::in_quotes(attribute) + there;
        }
        const std::string why = put(next, key_of(name, attribute),
                                    config::trim(std::string_view(text).substr(equals + 1)));
        return why.empty() ? why : attribute + ": " + why;
    }

    Json set_all(const std::vector<std::string>& names, const char* done) {
        Tree next = committed();
        for (const std::string& name : names) {
            for (const std::string& text : settings_) {
                const std::string why = apply(next, name, text);
                if (!why.empty()) return refusal("policy " + name + ": " + why);
            }
        }
        return commit(std::move(next), names, done);
    }

    Json make(const std::string& name) {
        if (name == "global") {
            return refusal(
                "policy global is always there; fedctl policy set global "
                "ATTRIBUTE=VALUE changes it");
        }
        if (is_policy(tree_, name)) {
            return refusal("there is a policy " + name + " already; fedctl policy set " + name +
                           " ATTRIBUTE=VALUE changes it");
        }
        if (config::lower_ascii(name) == kNobody) {
            return refusal("a policy can't be called null: that takes a grant back");
        }
        // So that it is there, whatever else is said.
        settings_.insert(settings_.begin(), "federation_access=no");
        return set_all({name}, "added");
    }

    Json set() {
        if (settings_.empty()) return refusal("policy set needs ATTRIBUTE=VALUE");
        return set_all(names_, "changed");
    }

    Json remove() {
        Tree next = committed();
        for (const std::string& name : names_) {
            const Json refused = name == "global" ? reset_global(next) : take_out(next, name);
            if (!refused.is_null()) return refused;
        }
        const bool global = std::ranges::find(names_, "global") != names_.end();
        return commit(std::move(next), names_,
                      global && names_.size() == 1 ? "is as it is by default" : "removed");
    }

    // It can't be taken away: back to the defaults, whatever files say.
    Json reset_global(Tree& next) const {
        for (const std::string& attribute : attributes_of("policy")) {
            Path path;
            std::string why;
            if (!config::resolve(key_of("global", attribute), path, why)) return refusal(why);
            const bool filed = configuration_.filed().find(path.name) != nullptr;
            if (filed) {
                why = put(next, path.name, path.key->fallback);
            } else {
                next.reset(path);
            }
            if (!why.empty()) return refusal(why);
        }
        return {};
    }

    Json take_out(Tree& next, const std::string& name) const {
        bool any = false;
        for (const std::string& attribute : attributes_of("policy")) {
            const std::string key = key_of(name, attribute);
            if (const Entry* entry = configuration_.filed().find(key)) {
                return refusal("policy " + name + " is in " + entry->origin.text() +
                               ": take it out there and run 'fedctl reload'");
            }
            if (const Entry* entry = next.find(key)) {
                next.reset(Path(entry->path));
                any = true;
            } else if (tree_.find(key) != nullptr) {
                return set_live(key);
            }
        }
        if (!any) return refusal("nothing of policy " + name + " was committed");
        return take_grants_back(next, name);
    }

    Json take_grants_back(Tree& next, const std::string& name) const {
        std::vector<std::string> users = tree_.instances("user");
        std::erase_if(users, [&](const std::string& user) {
            return tree_.text("user/*/policy", user) != name;
        });
        if (users.empty()) return {};
        if (!bool_of(request_, "force")) {
            return refusal("policy " + name + " is granted to " + some_of(users) +
                           ": first grant them another (fedctl user grant POLICY ADDRESS...), or "
                           "say --force: then that of their site or policy/global holds for them");
        }
        for (const std::string& user : users) {
            const std::string why = put(next, "user/" + user + "/policy", "");
            if (!why.empty()) return refusal(why);
        }
        return {};
    }

    Json commit(Tree next, const std::vector<std::string>& names, const std::string& done) {
        std::vector<std::string> subjects;
        for (const std::string& name : names) subjects.push_back("policy " + name);
        std::string words = "policy " + action_;
        for (const std::string& name : names) words += " " + name;
        for (const std::string& text : settings_) words += " " + text;
        Json answer =
            Verbs::commit(std::move(next), std::move(words), done, subjects, concerns_users);
        if (!bool_of(answer, "ok")) return answer;
        if (!bool_of(request_, "dry_run")) answer["notes"] = notes(names.front());
        return answer;
    }

    static constexpr std::string_view kNobody = "null";
    std::vector<std::string> settings_;
    std::vector<std::string> names_;
};

}  // namespace

Json answer_policy(const Json& request, const std::string& author, AdminHost& host,
                   Configuration& configuration) {
    return PolicyVerbs(request, author, host, configuration).run();
}

}  // namespace fedgate::admin
