// Sites, pools and routes as people read them.
#include "appliance/admin/show.hpp"

namespace fedgate::admin {
namespace {

std::string names_in(const Json& json, const char* name) {
    std::string text;
    for (const Json& item : array_of(json, name)) {
        if (item.is_string()) text += (text.empty() ? "" : " ") + item.get<std::string>();
    }
    return or_dash(text);
}

// Many are counted.
std::string some(const Json& json, const char* name) {
    constexpr std::size_t kShown = 4;
    const std::size_t count = array_of(json, name).size();
    return count <= kShown ? names_in(json, name) : std::to_string(count);
}

}  // namespace

std::string show_route(const Json& route, const std::string& name) {
    const std::string now = string_of(route, "now");
    std::string text = name + ": " + (now.empty() ? "NONE" : now);
    const bool first = !now.empty() && now == string_of(route, "first");
    if (first) text += " (" + string_of(route, "why") + ")";
    text += ", since " + show_age(number_of(route, "since_s"));
    return first ? text : text + ": " + string_of(route, "why");
}

std::string show_sites(const Json& answer) {
    std::vector<std::vector<std::string>> rows{{"SITE", "ROUTE", "NOW", "DOMAINS", "USERS"}};
    for (const Json& row : array_of(answer, "sites")) {
        rows.push_back({string_of(row, "site"), or_dash(string_of(row, "route")),
                        or_dash(string_of(row, "now")), some(row, "domains"), some(row, "users")});
    }
    if (rows.size() > 1) return show_table(rows);
    return "no site yet: domain/DOMAIN/site and user/USER/site say who belongs to one\n";
}

std::string show_pools(const Json& answer) {
    std::vector<std::vector<std::string>> rows{
        {"POOL", "KIND", "PRIORITY", "MEMBER", "LINK", "ACTIVE", "SITES", "WHY"}};
    for (const Json& pool : array_of(answer, "pools")) {
        std::string name = string_of(pool, "pool");
        std::string kind = string_of(pool, "kind");
        std::string priority =
            kind == "edge" ? std::to_string(number_of(pool, "priority")) : std::string("-");
        std::string sites = names_in(pool, "sites");
        const auto add = [&](const std::string& member, const Json& row) {
            const bool known = row.contains("state");
            rows.push_back({name, kind, priority, member, or_dash(string_of(row, "state")),
                            !known                   ? "-"
                            : bool_of(row, "active") ? "yes"
                                                     : "no",
                            sites, string_of(row, "why")});
            name = kind = priority = sites = "";  // said once
        };
        for (const Json& row : array_of(pool, "members")) add(string_of(row, "member"), row);
        if (!name.empty()) add("-", Json::object());
    }
    if (rows.size() > 1) return show_table(rows);
    return "no pool yet: fedctl pool set NAME members=edge1.example,edge2.example\n";
}

std::string show_routes(const Json& answer) {
    std::string out;
    for (const Json& row : array_of(answer, "sites")) {
        const std::string site = string_of(row, "site");
        const std::string route = string_of(row, "route");
        if (row.contains("now")) {
            out += show_route(row, site) + "\n";
        } else {
            out += site + ": " + (route.empty() ? "by priority" : route) + "\n";
        }
    }
    const auto others = answer.find("others");
    if (others != answer.end()) {
        out += show_route(*others, out.empty() ? "all" : "all others") + "\n";
    }
    return out.empty() ? "no site has a route: fedctl route set SITE POOL\n" : out;
}

}  // namespace fedgate::admin
