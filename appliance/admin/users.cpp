#include "appliance/admin/users.hpp"

#include <algorithm>
#include <fnmatch.h>
#include <map>
#include <optional>
#include <set>

#include "appliance/admin/standing.hpp"
#include "appliance/admin/verbs.hpp"
#include "core/config/text.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

using config::Entry;
using config::Path;
using config::Tree;

// What stands for no policy: a grant is taken back.
bool is_null(const std::string& typed) {
    const std::string lower = config::lower_ascii(typed);
    return lower == "null" || lower == "$null";
}

class UserVerbs : Verbs {
public:
    UserVerbs(const Json& request, const std::string& author, AdminHost& host,
              Configuration& configuration)
        : Verbs(request, author, host, configuration),
          listed_(tree_.instances("user")),
          typed_(strings_of(request, "users")) {}

    Json run() {
        if (action_ == "list") return list();
        if (action_ == "import") return import();
        if (typed_.empty()) return refusal("user " + action_ + " needs an address");
        if (action_ == "show") return show();
        if (action_ == "grant") return grant();
        if (action_ == "remove") return remove();
        return no_action();
    }

private:
    // --- reading

    static std::string key_of(const std::string& user, const char* leaf) {
        return "user/" + user + "/" + leaf;
    }

    [[nodiscard]] static std::optional<std::string> normal(const std::string& typed) {
        Path path;
        std::string why;
        if (!config::resolve(key_of(typed, "policy"), path, why)) return std::nullopt;
        return path.instance;
    }

    [[nodiscard]] bool is_listed(const std::string& user) const {
        return std::ranges::binary_search(listed_, user);
    }
    // Those of them who are not listed. Null: good; some of them won't do, where all are meant.
    [[nodiscard]] Json read_seen(std::map<std::string, WallTime>& users) {
        const auto all = host_.seen_users();
        if (!all) {
            return refusal(
                "a core was too late to say which users it has seen: try again, or "
                "name each of them by his address");
        }
        for (const SeenUser& one : *all) {
            const auto user = normal(one.address);
            if (user && is_ours(*user) && !is_listed(*user)) users.emplace(*user, one.at);
        }
        return {};
    }
    [[nodiscard]] bool is_ours(const std::string& user) const {
        const auto domain = user.substr(user.rfind('@') + 1);
        return configuration_.snapshot().sip_domain(domain) != nullptr;
    }
    [[nodiscard]] static std::string not_ours(const std::string& user) {
        const auto domain = user.substr(user.rfind('@') + 1);
        return domain + " is not a domain of ours (no domain/" + domain + "/... key)";
    }

    [[nodiscard]] bool matches(const std::string& glob, const std::string& user) const {
        const auto fits = [&glob](const std::string& text) {
            return fnmatch(glob.c_str(), text.c_str(), FNM_CASEFOLD) == 0;
        };
        return fits(user) || fits(tree_.text("user/*/name", user));
    }

    [[nodiscard]] Json user_json(const std::string& user) const {
        const Standing standing = standing_of(tree_, user);
        const bool federation = tree_.flag("policy/*/federation_access", standing.policy);
        const bool xmpp = tree_.flag("policy/*/xmpp_access", standing.policy);
        return {{"address", user},
                {"name", tree_.text("user/*/name", user)},
                {"site", standing.site},
                {"granted", tree_.text("user/*/policy", user)},
                {"policy", standing.policy},
                {"why", standing.why},
                {"converses", federation && xmpp}};
    }

    Json list() {
        const std::string filter = string_of(request_, "filter");
        const std::string typed = string_of(request_, "policy");
        const std::string policy = typed.empty() ? "" : policy_name(tree_, typed);
        if (!policy.empty() && !is_policy(tree_, policy)) return no_policy(policy);
        std::map<std::string, WallTime> others;
        if (Json refused = read_seen(others); !refused.is_null()) return refused;
        Json rows = Json::array();
        const auto add = [&](const std::string& user, const WallTime* seen_at) {
            if (!filter.empty() && !matches(filter, user)) return;
            Json row = user_json(user);
            if (!policy.empty() && string_of(row, "policy") != policy) return;
            if (seen_at != nullptr) row["seen"] = config::format_time(*seen_at);
            rows.push_back(std::move(row));
        };
        if (!bool_of(request_, "seen")) {
            for (const std::string& user : listed_) add(user, nullptr);
        }
        for (const auto& [user, at] : others) add(user, &at);
        return {{"ok", true},
                {"users", std::move(rows)},
                {"listed", listed_.size()},
                {"seen", others.size()}};
    }

    Json show() {
        const auto user = normal(typed_.front());
        if (!user) return not_an_address(typed_.front());
        if (!is_ours(*user)) return refusal(not_ours(*user));
        Json answer{{"ok", true}, {"listed", is_listed(*user)}};
        answer.update(user_json(*user));
        std::map<std::string, WallTime> others;
        if (!is_listed(*user)) {
            if (Json refused = read_seen(others); !refused.is_null()) return refused;
        }
        if (const auto at = others.find(*user); at != others.end()) {
            answer["seen"] = config::format_time(at->second);
        }
        Json origins = Json::object();
        for (const std::string& leaf : attributes_of("user")) {
            if (const Entry* entry = tree_.find(key_of(*user, leaf.c_str()))) {
                origins[leaf] = entry->origin.text();
            }
        }
        answer["origins"] = std::move(origins);
        return answer;
    }

    // --- who is meant

    [[nodiscard]] static bool is_glob(const std::string& typed) {
        return typed.find_first_of("*?[") != std::string::npos;
    }
    [[nodiscard]] static Json not_an_address(const std::string& typed) {
        return refusal(config::in_quotes(typed) + " is not a SIP address like alice@example.org");
    }
    [[nodiscard]] Json no_policy(const std::string& name) const {
        const std::string meant = did_you_mean(name, policies_of(tree_));
        return refusal("there is no policy " + config::in_quotes(name) +
                       (meant.empty() ? "; fedctl policy new " + name + " makes it" : meant));
    }

    // Addresses, patterns of listed ones' addresses or names (and of seen ones' addresses, where
    // `more`), and names. Null: good.
    Json select(std::vector<std::string>& users, bool more = false) {
        std::set<std::string> chosen;
        std::vector<std::string> all = listed_;
        const bool by_address = std::ranges::all_of(
            typed_, [](const std::string& typed) { return normal(typed) && !is_glob(typed); });
        if (more && !by_address) {
            std::map<std::string, WallTime> others;
            if (Json refused = read_seen(others); !refused.is_null()) return refused;
            for (const auto& [user, at] : others) all.push_back(user);
        }
        for (const std::string& typed : typed_) {
            // An address may have such characters in it: who is listed by them is meant, alone.
            const auto literal = normal(typed);
            const bool glob = is_glob(typed) && !(literal && is_listed(*literal));
            if (const auto user = glob ? std::nullopt : literal) {
                if (!is_ours(*user)) return refusal(*user + ": " + not_ours(*user));
                chosen.insert(*user);
                continue;
            }
            const std::size_t before = chosen.size();
            bool any = false;
            for (const std::string& user : all) {
                if (!matches(typed, user)) continue;
                any = true;
                chosen.insert(user);
            }
            if (!any && !glob) return not_an_address(typed);
            if (!any) {
                return refusal("no listed user matches " + config::in_quotes(typed) +
                               "; fedctl user import lists them, and a policy of a site or "
                               "policy/global needs no list");
            }
            if (!glob && chosen.size() > before + 1) {
                return refusal("several users are called " + config::in_quotes(typed) +
                               "; name them by their addresses");
            }
        }
        users.assign(chosen.begin(), chosen.end());
        return {};
    }

    // The name of a policy that can be granted; empty takes grants back. Null: good.
    Json read_policy(const std::string& typed, std::string& policy) const {
        policy.clear();
        if (is_null(typed)) return {};
        policy = policy_name(tree_, typed);
        if (scope_of_policy(policy) != "user") {
            return refusal("policy " + policy +
                           " is not granted: it holds by itself for whoever has none of his own; "
                           "'null' takes a grant back");
        }
        return is_policy(tree_, policy) ? Json() : no_policy(policy);
    }

    // --- changing

    Json grant() {
        std::string policy;
        const std::string typed = string_of(request_, "policy");
        if (typed.empty()) return refusal("user grant needs a policy, or null");
        if (Json refused = read_policy(typed, policy); !refused.is_null()) return refused;
        std::vector<std::string> users;
        if (Json refused = select(users, true); !refused.is_null()) return refused;
        Tree next = committed();
        for (const std::string& user : users) {
            if (tree_.text("user/*/policy", user) == policy && is_listed(user)) continue;
            const std::string why = put(next, key_of(user, "policy"), policy);
            if (!why.empty()) return refusal(why);
        }
        const std::string have = users.size() == 1 ? "has " : "have ";
        Json answer = commit(std::move(next), users,
                             have + (policy.empty() ? "no grant" : "policy " + policy),
                             "user grant " + (policy.empty() ? "null" : policy));
        if (bool_of(answer, "ok")) answer["users"] = users;
        return answer;
    }

    Json import() {
        const auto rows = request_.find("rows");
        if (rows == request_.end() || !rows->is_array()) return refusal("an import needs rows");
        std::string all;
        const std::string typed = string_of(request_, "policy");
        if (!typed.empty()) {
            if (Json refused = read_policy(typed, all); !refused.is_null()) return refused;
        }
        Tree next = committed();
        std::map<std::string, std::uint64_t> lines;
        std::size_t others = 0;
        for (const Json& row : *rows) {
            if (!row.is_object()) return refusal("a row of an import is an object");
            const std::string where = "line " + std::to_string(number_of(row, "line")) + ": ";
            const auto user = normal(string_of(row, "address"));
            if (!user) {
                return refusal(where +
                               string_of(not_an_address(string_of(row, "address")), "error"));
            }
            if (!is_ours(*user)) {
                ++others;
                if (bool_of(request_, "ours_only")) continue;
                return refusal(where + not_ours(*user) +
                               "; --ours-only leaves out whom we don't serve");
            }
            const auto [line, fresh] = lines.emplace(*user, number_of(row, "line"));
            if (!fresh) {
                return refusal(where + *user + " is in line " + std::to_string(line->second) +
                               " already");
            }
            std::string policy = all;
            const std::string own = string_of(row, "policy");
            if (!own.empty()) {
                if (Json refused = read_policy(own, policy); !refused.is_null()) {
                    return refusal(where + string_of(refused, "error"));
                }
            }
            const bool sets = !own.empty() || !typed.empty();
            const std::string why = list_user(next, *user, row, sets ? &policy : nullptr);
            if (!why.empty()) return refusal(where + why);
        }
        if (lines.empty()) return refusal("there is no user of ours in it");
        std::vector<std::string> users;
        for (const auto& [user, line] : lines) users.push_back(user);
        const auto known = static_cast<std::size_t>(std::ranges::count_if(
            users, [this](const std::string& user) { return is_listed(user); }));
        Json answer = commit(std::move(next), users, users.size() == 1 ? "is listed" : "are listed",
                             "user import");
        if (!bool_of(answer, "ok")) return answer;
        answer["new"] = users.size() - known;
        answer["known"] = known;
        answer["not_ours"] = others;
        answer["without_address"] = number_of(request_, "without_address");
        return answer;
    }

    // What the row says; the rest stays. Empty, or what is wrong.
    std::string list_user(Tree& next, const std::string& user, const Json& row,
                          const std::string* policy) const {
        bool any = is_listed(user);
        std::string why;
        const auto say = [&](const char* leaf, const std::string& value) {
            any = true;
            if (!why.empty()) return;
            const std::string key = key_of(user, leaf);
            why = put(next, key, value);
            if (!why.empty()) why = key + ": " + why;
        };
        for (const char* leaf : {"name", "site"}) {
            const std::string value = string_of(row, leaf);
            if (!value.empty()) say(leaf, value);
        }
        if (policy != nullptr) say("policy", *policy);
        if (!any) say("policy", "");
        return why;
    }

    Json remove() {
        std::vector<std::string> users;
        if (Json refused = select(users); !refused.is_null()) return refused;
        Tree next = committed();
        for (const std::string& user : users) {
            if (!is_listed(user))
                return refusal(user + " is not listed" + did_you_mean(user, listed_));
            for (const std::string& leaf : attributes_of("user")) {
                const std::string key = key_of(user, leaf.c_str());
                if (const Entry* entry = configuration_.filed().find(key)) {
                    return refusal(user + " is listed in " + entry->origin.text() +
                                   ": take it out there and run 'fedctl reload'");
                }
                if (const Entry* entry = next.find(key)) {
                    next.reset(Path(entry->path));
                } else if (tree_.find(key) != nullptr) {
                    return set_live(key);
                }
            }
        }
        return commit(std::move(next), users, "removed", "user remove");
    }

    Json commit(Tree next, const std::vector<std::string>& users, const std::string& done,
                const std::string& words) {
        Json answer = Verbs::commit(std::move(next), words + " " + some_of(users), done,
                                    {some_of(users)}, concerns_users);
        if (!bool_of(answer, "ok")) return answer;
        if (!tree_.flag("federation.allow")) {
            answer["notes"] = Json::array({"nothing passes while federation.allow = no"});
        }
        return answer;
    }

    const std::vector<std::string> listed_;
    const std::vector<std::string> typed_;
};

}  // namespace

Json answer_user(const Json& request, const std::string& author, AdminHost& host,
                 Configuration& configuration) {
    return UserVerbs(request, author, host, configuration).run();
}

}  // namespace fedgate::admin
