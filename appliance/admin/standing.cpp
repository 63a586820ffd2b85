#include "appliance/admin/standing.hpp"

#include <algorithm>

#include "core/config/text.hpp"

namespace fedgate::admin {

using config::lower_ascii;
using config::Tree;

bool is_policy(const Tree& tree, std::string_view name) {
    if (name == "global") return true;
    const std::string root = "policy/" + std::string(name) + "/";
    const auto found = tree.entries().lower_bound(root);
    return found != tree.entries().end() && found->first.starts_with(root);
}

std::vector<std::string> policies_of(const Tree& tree) {
    std::vector<std::string> names = tree.instances("policy");
    std::erase(names, "global");
    names.insert(names.begin(), "global");
    return names;
}

std::string policy_name(const Tree& tree, std::string_view typed) {
    constexpr std::string_view kTag = "tag:";
    if (lower_ascii(typed.substr(0, kTag.size())) == kTag) typed.remove_prefix(kTag.size());
    std::string name(typed);
    if (lower_ascii(typed.substr(0, kSitePolicy.size())) == kSitePolicy) {
        name.replace(0, kSitePolicy.size(), kSitePolicy);
    }
    if (is_policy(tree, name)) return name;
    for (const std::string& one : policies_of(tree)) {
        if (lower_ascii(one) == lower_ascii(name)) return one;
    }
    return name;
}

std::string_view scope_of_policy(std::string_view name) {
    if (name == "global") return "global";
    return name.starts_with(kSitePolicy) ? "site" : "user";
}

Standing standing_of(const Tree& tree, const std::string& user) {
    Standing out;
    const std::string granted = tree.text("user/*/policy", user);
    const std::string domain = user.substr(user.rfind('@') + 1);
    const bool own = !tree.text("user/*/site", user).empty();
    out.site = own ? tree.text("user/*/site", user) : tree.text("domain/*/site", domain);
    const std::string of_site = std::string(kSitePolicy) + out.site;
    if (!granted.empty()) {
        out.policy = granted;
        out.why = "granted to the user";
    } else if (!out.site.empty() && is_policy(tree, of_site)) {
        out.policy = of_site;
        out.why = (own ? std::string("the user") : "the domain " + domain) + " belongs to site " +
                  out.site + ", and no policy is granted to the user";
    } else {
        out.policy = "global";
        out.why = "no policy is granted to the user, and ";
        out.why += out.site.empty() ? "the user belongs to no site"
                                    : "site " + out.site + " has none of its own";
    }
    return out;
}

std::vector<std::string> attributes_of(std::string_view root) {
    std::vector<std::string> names;
    for (const config::Key& key : config::keys()) {
        if (key.is_pattern() && key.root() == root) {
            names.emplace_back(key.name.substr(key.name.rfind('/') + 1));
        }
    }
    return names;
}

}  // namespace fedgate::admin
