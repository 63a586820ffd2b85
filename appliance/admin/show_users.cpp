// Policies and users as people read them.
#include <algorithm>

#include "appliance/admin/show.hpp"

namespace fedgate::admin {
namespace {

std::string yes_no(const Json& row, const char* name) { return bool_of(row, name) ? "yes" : "no"; }

std::string listed(const Json& list) {
    std::string text;
    for (const Json& item : list) {
        if (item.is_string()) text += (text.empty() ? "" : ", ") + item.get<std::string>();
    }
    return or_dash(text);
}

std::string notes_of(const Json& answer) {
    std::string out;
    for (const Json& note : array_of(answer, "notes")) {
        if (note.is_string()) out += "! " + note.get<std::string>() + "\n";
    }
    return out;
}

}  // namespace

std::string show_policies(const Json& answer) {
    std::vector<std::vector<std::string>> rows{{"POLICY", "SCOPE", "FEDERATION", "XMPP", "OUTSIDE",
                                                "PUBLIC", "PUBLIC A/V", "USERS", "DOMAINS",
                                                "DESCRIPTION"}};
    for (const Json& row : array_of(answer, "policies")) {
        rows.push_back({string_of(row, "policy"), string_of(row, "scope"),
                        yes_no(row, "federation_access"), yes_no(row, "xmpp_access"),
                        yes_no(row, "outside_access"), yes_no(row, "public_cloud_access"),
                        yes_no(row, "public_cloud_av_access"),
                        std::to_string(number_of(row, "users")), listed(array_of(row, "domains")),
                        or_dash(string_of(row, "description"))});
    }
    return show_table(rows) +
           "partners may be talked to with FEDERATION and XMPP; USERS: listed ones, for whom it is "
           "in force\n" +
           notes_of(answer);
}

std::string show_policy(const Json& answer) {
    constexpr std::size_t kShown = 20;
    std::string out =
        "policy " + string_of(answer, "policy") + ", of scope " + string_of(answer, "scope") + "\n";
    out += notes_of(answer) + "\n";
    std::vector<std::vector<std::string>> rows{{"ATTRIBUTE", "VALUE", "FROM"}};
    for (const Json& row : array_of(answer, "attributes")) {
        rows.push_back({string_of(row, "attribute"), or_dash(string_of(row, "value")),
                        string_of(row, "origin")});
    }
    out += show_table(rows);
    if (string_of(answer, "scope") != "user") {
        out += "\ndomains it is in force for: " + listed(array_of(answer, "domains")) + "\n";
    }
    const Json& users = array_of(answer, "in_force_for");
    out += "\nlisted users it is in force for: " + std::to_string(users.size()) + "\n";
    for (std::size_t i = 0; i < users.size() && i < kShown; ++i) {
        if (users[i].is_string()) out += "  " + users[i].get<std::string>() + "\n";
    }
    if (users.size() > kShown) {
        out += "  and " + std::to_string(users.size() - kShown) +
               " more: fedctl user list --policy " + string_of(answer, "policy") + "\n";
    }
    return out;
}

std::string show_users(const Json& answer) {
    std::vector<std::vector<std::string>> rows{
        {"USER", "NAME", "SITE", "GRANTED", "IN FORCE", "PARTNERS"}};
    const bool seen = number_of(answer, "seen") > 0;
    if (seen) rows.front().emplace_back("NOT LISTED, SEEN");
    for (const Json& row : array_of(answer, "users")) {
        rows.push_back({string_of(row, "address"), or_dash(string_of(row, "name")),
                        or_dash(string_of(row, "site")), or_dash(string_of(row, "granted")),
                        string_of(row, "policy"), yes_no(row, "converses")});
        if (seen) rows.back().push_back(or_dash(string_of(row, "seen")));
    }
    if (rows.size() > 1) return show_table(rows);
    return number_of(answer, "listed") == 0
               ? "no user is listed: fedctl user import FILE; who is not has the policy of the "
                 "site, else policy/global\n"
               : "none of the " + std::to_string(number_of(answer, "listed")) +
                     " listed users is meant\n";
}

std::string show_addresses(const Json& answer) {
    std::string out;
    for (const Json& row : array_of(answer, "users")) out += string_of(row, "address") + "\n";
    return out;
}

std::string show_user(const Json& answer) {
    const auto origin = [&answer](const char* leaf) {
        const auto origins = answer.find("origins");
        const std::string text = origins == answer.end() ? "" : string_of(*origins, leaf);
        return text.empty() ? text : "   (" + text + ")";
    };
    std::vector<std::vector<std::string>> rows{
        {"user", string_of(answer, "address") + (bool_of(answer, "listed") ? "" : ", not listed") +
                     (answer.contains("seen") ? ", seen " + string_of(answer, "seen") : "")},
        {"name", or_dash(string_of(answer, "name")) + origin("name")},
        {"site", or_dash(string_of(answer, "site")) + origin("site")},
        {"granted", or_dash(string_of(answer, "granted")) + origin("policy")},
        {"in force", "policy " + string_of(answer, "policy") + ": " + string_of(answer, "why")},
        {"partners", bool_of(answer, "converses")
                         ? "yes, as far as the partner's rules let"
                         : "no: the policy lacks federation_access or xmpp_access"}};
    return show_table(rows);
}

std::string show_user_commit(const Json& answer) {
    const std::size_t shown = array_of(answer, "changes").size();
    const std::uint64_t count = std::max<std::uint64_t>(number_of(answer, "changes_count"), shown);
    std::string out;
    if (answer.contains("new")) {
        out = std::to_string(number_of(answer, "new")) + " new, " +
              std::to_string(number_of(answer, "known")) + " known already";
        if (number_of(answer, "not_ours") > 0) {
            out += ", " + std::to_string(number_of(answer, "not_ours")) + " of others left out";
        }
        if (number_of(answer, "without_address") > 0) {
            out += ", " + std::to_string(number_of(answer, "without_address")) +
                   " without an address left out";
        }
        out += "\n";
    }
    out = show_commit(answer) + out;
    if (count > shown) {
        out += std::to_string(count) + " values change, the first " + std::to_string(shown) +
               " are above; --json has all\n";
    }
    return out;
}

}  // namespace fedgate::admin
