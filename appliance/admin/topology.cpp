#include "appliance/admin/topology.hpp"

#include <algorithm>
#include <set>

#include "appliance/admin/verbs.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::Key;
using config::Path;
using config::Tree;

class TopologyVerbs : Verbs {
public:
    TopologyVerbs(const Json& request, const std::string& author, AdminHost& host,
                  Configuration& configuration)
        : Verbs(request, author, host, configuration),
          name_(string_of(request, "name")),
          settings_(strings_of(request, "settings")) {}

    Json run() {
        const bool route = verb_ == "route";
        if (action_ == "list") return verb_ == "pool" ? pools() : sites();
        if (name_.empty()) {
            return refusal(verb_ + " " + action_ + " needs a " + (route ? "site" : verb_));
        }
        if (action_ == "set") return route ? set_route() : set();
        if (route && action_ == "unset") return unset_route();
        if (!route && action_ == "show") return show();
        if (!route && action_ == "remove") return remove();
        return no_action();
    }

private:
    // --- reading

    // A site is there as soon as somebody belongs to it, a pool when one of its keys is set.
    [[nodiscard]] std::vector<std::string> known(const std::string& kind) const {
        const auto listed = tree_.instances(kind);
        std::set<std::string> names(listed.begin(), listed.end());
        if (kind == "site") {
            for (const char* root : {"domain", "user"}) {
                for (const std::string& one : tree_.instances(root)) {
                    const std::string site = tree_.text(site_key(root), one);
                    if (!site.empty()) names.insert(site);
                }
            }
        }
        return {names.begin(), names.end()};
    }
    static const char* site_key(const std::string& root) {
        return root == "user" ? "user/*/site" : "domain/*/site";
    }
    [[nodiscard]] bool is_known(const std::string& kind, const std::string& name) const {
        return std::ranges::binary_search(known(kind), name);
    }
    [[nodiscard]] Json unknown(const std::string& kind, const std::string& name) const {
        const auto names = known(kind);
        std::string there = did_you_mean(name, names);
        if (there.empty()) {
            for (const std::string& one : names) there += (there.empty() ? "" : ", ") + one;
            there = there.empty() ? "; there is none yet" : "; there is " + there;
        }
        return refusal("there is no " + kind + " " + config::in_quotes(name) + there);
    }
    [[nodiscard]] std::vector<std::string> of_site(const char* root,
                                                   const std::string& site) const {
        std::vector<std::string> names = tree_.instances(root);
        std::erase_if(
            names, [&](const std::string& one) { return tree_.text(site_key(root), one) != site; });
        return names;
    }
    [[nodiscard]] std::vector<std::string> routed_to(const std::string& pool) const {
        std::vector<std::string> names = tree_.instances("site");
        std::erase_if(
            names, [&](const std::string& one) { return tree_.text("site/*/route", one) != pool; });
        return names;
    }

    // With what is in use now, where this process knows that.
    [[nodiscard]] Json site_json(const std::string& site, const Status& status) const {
        Json row{{"site", site},
                 {"route", tree_.text("site/*/route", site)},
                 {"domains", of_site("domain", site)},
                 {"users", of_site("user", site)}};
        for (const Route& route : status.routes) {
            const bool its = route.site == site || (route.site.empty() && !row.contains("now"));
            if (its) row.update(route_json(route));
        }
        row["site"] = site;
        return row;
    }

    Json sites() {
        const Status status = host_.status();
        Json rows = Json::array();
        for (const std::string& site : known("site")) rows.push_back(site_json(site, status));
        Json answer{{"ok", true}, {"sites", std::move(rows)}};
        for (const Route& route : status.routes) {
            if (route.site.empty()) answer["others"] = route_json(route);
        }
        return answer;
    }

    [[nodiscard]] Json pool_json(const std::string& pool, const Status& status) const {
        Json members = Json::array();
        for (const std::string& member : tree_.list("pool/*/members", pool)) {
            Json row{{"member", member}};
            for (const Link& link : status.links) {
                if (link.peer != member && !link.peer.starts_with(member + ":")) continue;
                row["state"] = link.standing > 0 ? "up" : "down";
                row["active"] = link.active;
                row["why"] = link.why;
            }
            members.push_back(std::move(row));
        }
        return {{"pool", pool},
                {"kind", tree_.text("pool/*/kind", pool)},
                {"priority", tree_.number("pool/*/priority", pool)},
                {"members", std::move(members)},
                {"sites", routed_to(pool)}};
    }

    Json pools() {
        const Status status = host_.status();
        std::vector<std::string> names = known("pool");
        std::ranges::stable_sort(names, {}, [this](const std::string& pool) {
            return std::pair{tree_.text("pool/*/kind", pool),
                             tree_.number("pool/*/priority", pool)};
        });
        Json rows = Json::array();
        for (const std::string& pool : names) rows.push_back(pool_json(pool, status));
        return {{"ok", true}, {"pools", std::move(rows)}};
    }

    Json show() {
        if (!is_known(verb_, name_)) return unknown(verb_, name_);
        const Status status = host_.status();
        Json row = verb_ == "site" ? site_json(name_, status) : pool_json(name_, status);
        return {{"ok", true}, {verb_ + "s", Json::array({std::move(row)})}};
    }

    // --- changing

    [[nodiscard]] std::vector<std::string> attributes() const {
        std::vector<std::string> names;
        for (const Key& key : config::keys()) {
            if (key.root() == verb_) names.emplace_back(key.name.substr(key.name.rfind('/') + 1));
        }
        return names;
    }

    [[nodiscard]] std::string key_of(const std::string& attribute) const {
        return verb_ + "/" + name_ + "/" + attribute;
    }

    // `priority=10`, `members+=edge3.example`. Empty, or what is wrong.
    std::string apply(Tree& committed, const std::string& text) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            return config::in_quotes(text) + " is not ATTRIBUTE=VALUE";
        }
        const bool edits = text[equals - 1] == '+' || text[equals - 1] == '-';
        const std::string name(
            config::trim(std::string_view(text).substr(0, equals - (edits ? 1 : 0))));
        std::string value(config::trim(std::string_view(text).substr(equals + 1)));
        const auto names = attributes();
        if (std::ranges::find(names, name) == names.end()) {
            std::string there = did_you_mean(name, names);
            for (const std::string& one : names) {
                if (!there.starts_with("; did"))
                    there += (there.empty() ? "; it has " : ", ") + one;
            }
            return "a " + verb_ + " has no attribute " + config::in_quotes(name) + there;
        }
        Path path;
        std::string why;
        if (!config::resolve(key_of(name), path, why)) return why;
        // Easier to type than blanks.
        if (path.key->type == config::Type::kHostPortList) std::ranges::replace(value, ',', ' ');
        if (edits) {
            why = edit_list(committed, path, text[equals - 1], value);
            if (!why.empty()) return name + ": " + why;
        }
        why = put(committed, path.name, value);
        return why.empty() ? why : name + ": " + why;
    }

    std::string edit_list(const Tree& committed, const Path& path, char operation,
                          std::string& value) const {
        config::Value change;
        std::string why;
        if (path.key->type != config::Type::kHostPortList) return "is not a list; write it with =";
        if (!config::parse_value(*path.key, value, change, why)) return why;
        auto items = configuration_.with(committed).list(path.key->name, path.instance);
        for (const std::string& item : change.items) {
            const auto at = std::ranges::find(items, item);
            if (operation == '-' && at == items.end()) return item + " is no member";
            if (operation == '-') items.erase(at);
            if (operation == '+' && at == items.end()) items.push_back(item);
        }
        value.clear();
        for (const std::string& item : items) value += (value.empty() ? "" : " ") + item;
        return {};
    }

    Json set() {
        if (settings_.empty()) return refusal(verb_ + " set needs ATTRIBUTE=VALUE");
        Tree next = committed();
        for (const std::string& text : settings_) {
            const std::string why = apply(next, text);
            if (!why.empty()) return refusal(verb_ + " " + name_ + ": " + why);
        }
        return commit(std::move(next), is_known(verb_, name_) ? "changed" : "added");
    }

    Json set_route() {
        if (settings_.size() != 1) return refusal("route set takes a site and a pool");
        if (!is_known("site", name_)) {
            const std::string meant = did_you_mean(name_, known("site"));
            if (!meant.empty()) return unknown("site", name_);
        }
        if (!is_known("pool", settings_[0])) return unknown("pool", settings_[0]);
        Tree next = committed();
        const std::string why = put(next, "site/" + name_ + "/route", settings_[0]);
        if (!why.empty()) return refusal(why);
        return commit(std::move(next), "goes by " + settings_[0]);
    }

    Json unset_route() {
        if (!is_known("site", name_)) return unknown("site", name_);
        if (tree_.text("site/*/route", name_).empty()) {
            return refusal("site " + name_ + " has no route");
        }
        const std::string key = "site/" + name_ + "/route";
        Tree next = committed();
        if (configuration_.filed().find(key) == nullptr) {
            if (next.find(key) == nullptr) return set_live(key);
            next.reset(Path(next.find(key)->path));
        } else {  // a file says it: an empty one stands over that
            const std::string why = put(next, key, "");
            if (!why.empty()) return refusal(why);
        }
        return commit(std::move(next), "goes by priority");
    }

    Json remove() {
        if (!is_known(verb_, name_)) return unknown(verb_, name_);
        if (verb_ == "pool") {
            const auto sites = routed_to(name_);
            if (!sites.empty()) {
                return refusal("site " + sites.front() + " is routed to pool " + name_ +
                               ": first 'fedctl route unset " + sites.front() +
                               "', or set it to another pool");
            }
        } else {
            for (const char* root : {"domain", "user"}) {
                const auto who = of_site(root, name_);
                if (who.empty()) continue;
                return refusal(std::string(root) + " " + who.front() + " belongs to site " + name_ +
                               ": first give " + root + "/" + who.front() + "/site another value");
            }
        }
        Tree next = committed();
        bool any = false;
        for (const std::string& attribute : attributes()) {
            const std::string key = key_of(attribute);
            if (const config::Entry* entry = configuration_.filed().find(key)) {
                return refusal(verb_ + " " + name_ + " is in " + entry->origin.text() +
                               ": take it out there and run 'fedctl reload'");
            }
            if (const config::Entry* entry = next.find(key)) {
                next.reset(Path(entry->path));
                any = true;
            } else if (tree_.find(key) != nullptr) {
                return set_live(key);
            }
        }
        if (!any) return refusal("nothing of " + verb_ + " " + name_ + " was committed");
        return commit(std::move(next), "removed");
    }

    Json commit(Tree next, const std::string& done) {
        std::string words = verb_ + " " + action_ + " " + name_;
        for (const std::string& word : settings_) words += " " + word;
        return Verbs::commit(std::move(next), std::move(words), done,
                             {(verb_ == "route" ? "site " : verb_ + " ") + name_},
                             [](std::string_view key) { return !key.starts_with("partner/"); });
    }

    const std::string name_;
    const std::vector<std::string> settings_;
};

}  // namespace

Json answer_topology(const Json& request, const std::string& author, AdminHost& host,
                     Configuration& configuration) {
    return TopologyVerbs(request, author, host, configuration).run();
}

}  // namespace fedgate::admin
