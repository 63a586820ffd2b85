#include "appliance/admin/show.hpp"

#include <algorithm>
#include <utility>

namespace fedgate::admin {
namespace {

std::string count_of(const Json& json, const char* name) {
    return std::to_string(number_of(json, name));
}

// Characters, not bytes: names may be U-labels or people's text.
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string when(const std::string& apply) {
    if (apply == "live") return "at once";
    if (apply == "new") return "for new connections and conversations";
    if (apply == "listener") return "at once; the listener is opened anew, connections stay";
    return "at the next start of fedgated";
}

std::string shown(const Json& row, const char* name) {
    const std::string text = string_of(row, name);
    return text.empty() ? "(empty)" : text;
}

void append_row(std::string& out, const char* label, const std::string& text) {
    out +=
        "  " + std::string(label) + std::string(10 - std::string(label).size(), ' ') + text + "\n";
}

std::string description(const Json& row) {
    std::string out = string_of(row, "key") + "\n";
    out += "  " + string_of(row, "description") + "\n";
    append_row(out, "value", shown(row, "value") + "   (" + string_of(row, "origin") + ")");
    append_row(out, "default", shown(row, "default"));
    append_row(out, "type", string_of(row, "type") + ", " + string_of(row, "unit"));
    append_row(out, "allowed", string_of(row, "bounds"));
    append_row(out, "acts", when(string_of(row, "apply")));
    append_row(out, "scope",
               string_of(row, "scope") == "node"
                   ? "this node alone: a commit of it is not published"
                   : "the pool: a commit of it is published to every node");
    return out;
}

std::string store_of(const Json& store) {
    const auto subscriptions = number_of(store, "rows");
    std::string text = std::to_string(subscriptions) +
                       (subscriptions == 1 ? " subscription in " : " subscriptions in ") +
                       string_of(store, "path");
    if (bool_of(store, "failing")) {
        text += ", FAILING";
    } else if (bool_of(store, "restoring")) {
        text += ", being read";
    }
    if (store.contains("committed_s")) {
        text += ", last commit " + show_age(number_of(store, "committed_s")) + " ago";
    }
    text += ", " + count_of(store, "waiting") + " waiting";
    return store.contains("shares") ? text + "; " + string_of(store, "shares") : text;
}

}  // namespace

const Json& array_of(const Json& json, const char* name) {
    static const Json kEmpty = Json::array();
    const auto found = json.find(name);
    return found != json.end() && found->is_array() ? *found : kEmpty;
}

std::string or_dash(std::string text) { return text.empty() ? "-" : std::move(text); }

std::string show_age(std::uint64_t seconds) {
    const auto text = [](std::uint64_t number, const char* unit) {
        return std::to_string(number) + " " + unit;
    };
    if (seconds < 60) return text(seconds, "s");
    if (seconds < 3600) return text(seconds / 60, "min") + " " + text(seconds % 60, "s");
    if (seconds < 86400) return text(seconds / 3600, "h") + " " + text(seconds % 3600 / 60, "min");
    return text(seconds / 86400, "d") + " " + text(seconds % 86400 / 3600, "h");
}

std::string for_terminal(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    const auto byte = [&text](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    for (std::size_t i = 0; i < text.size();) {
        const unsigned first = byte(i);
        const unsigned second = byte(i + 1);
        const unsigned third = byte(i + 2);
        std::size_t steers = 0;  // bytes
        if ((first < 0x20 && first != '\n') || first == 0x7f) {
            steers = 1;
        } else if (first == 0xc2 && second >= 0x80 && second < 0xa0) {  // C1
            steers = 2;
        } else if (first == 0xe2 && ((second == 0x80 && third >= 0xaa && third <= 0xae) ||
                                     (second == 0x81 && third >= 0xa6 && third <= 0xa9))) {
            steers = 3;
        }
        if (steers == 0) {
            out += text[i++];
        } else {
            out += '?';
            i += steers;
        }
    }
    return out;
}

std::string show_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
    }
    std::string out;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            out += row[i];
            if (i + 1 < row.size()) out.append(widths[i] - width(row[i]) + 2, ' ');
        }
        out += '\n';
    }
    return out;
}

std::string show_nodes(const Json& answer) {
    std::vector<std::vector<std::string>> rows{{"NODE", "COMMIT", "WHY"}};
    for (const Json& row : array_of(answer, "nodes")) {
        const std::string why = string_of(row, "why");
        rows.push_back({string_of(row, "node") + (bool_of(row, "here") ? " (here)" : ""),
                        count_of(row, "commit"), why.empty() ? "-" : why});
    }
    return rows.size() == 1 ? std::string() : "\n" + show_table(rows);
}

std::string show_status(const Json& answer) {
    std::string federation = "off: nothing passes (federation.allow = no)";
    if (bool_of(answer, "federation_allow")) {
        federation = bool_of(answer, "federation_discovery")
                         ? "on, with any domain that is not denied (federation.discovery = yes)"
                         : "on, with listed partners";
    }
    const std::string commit = number_of(answer, "commit") == 0
                                   ? ", nothing committed"
                                   : " and commit " + count_of(answer, "commit");
    std::vector<std::vector<std::string>> rows{
        {"fedgated", string_of(answer, "version") + ", " + string_of(answer, "state") + ", pid " +
                         count_of(answer, "pid") + ", up " +
                         show_age(number_of(answer, "uptime_s"))},
        {"threads", count_of(answer, "threads")},
        {"configuration", "generation " + count_of(answer, "generation") + ", from " +
                              count_of(answer, "configuration_files") + " files" + commit},
        {"federation", federation},
        {"partners", count_of(answer, "partners") + " listed"},
        {"our domains", count_of(answer, "sip_domains")},
        {"XMPP streams",
         count_of(answer, "streams_in") + " in, " + count_of(answer, "streams_out") + " out"},
        {"SIP", count_of(answer, "sip_connections") + " connections"}};
    if (number_of(answer, "msrp_connections") > 0)
        rows.push_back({"MSRP", count_of(answer, "msrp_connections") + " connections"});
    for (const Json& one : array_of(answer, "certificates")) {
        const auto days = one.value("days", std::int64_t{0});
        rows.push_back({"certificate",
                        string_of(one, "purposes") + ": " + string_of(one, "file") + ", " +
                            (days < 0 ? "EXPIRED on " + string_of(one, "not_after").substr(0, 10)
                                      : std::to_string(days) + " days left, until " +
                                            string_of(one, "not_after").substr(0, 10))});
    }
    if (answer.contains("store")) rows.push_back({"store", store_of(answer["store"])});
    const Json& routes = array_of(answer, "routes");
    for (const Json& route : routes) {
        const std::string site = string_of(route, "site");
        const char* const others = routes.size() == 1 ? "all" : "all others";
        rows.push_back({"route", show_route(route, site.empty() ? others : site)});
    }
    std::string out = show_table(rows);
    std::vector<std::vector<std::string>> hops{{"SIP DOMAIN", "NEXT HOP", "ADDRESS", "STATE", "FOR",
                                                "PENDING", "ANSWERED", "UNANSWERED", "WHY"}};
    for (const Json& row : array_of(answer, "next_hops")) {
        std::string why = string_of(row, "why");
        if (number_of(row, "retry_s") > 0) {
            why += ", not asked for " + show_age(number_of(row, "retry_s"));
        }
        hops.push_back({string_of(row, "domain"), string_of(row, "next_hop"),
                        string_of(row, "address"), string_of(row, "state"),
                        show_age(number_of(row, "since_s")), count_of(row, "pending"),
                        count_of(row, "answered"), count_of(row, "unanswered"), why});
    }
    if (hops.size() > 1) out += "\n" + show_table(hops);
    std::vector<std::vector<std::string>> links{
        {"LINK WITH", "ADDRESS", "STATE", "FOR", "CONNECTIONS", "ACTIVE", "WHY"}};
    for (const Json& row : array_of(answer, "links")) {
        const std::string address = string_of(row, "address");
        links.push_back({string_of(row, "peer"), address.empty() ? "-" : address,
                         number_of(row, "standing") > 0 ? "up" : "down",
                         show_age(number_of(row, "since_s")),
                         count_of(row, "standing") + " of " + count_of(row, "count"),
                         bool_of(row, "active") ? "yes" : "no", string_of(row, "why")});
    }
    if (links.size() > 1) out += "\n" + show_table(links);
    out += show_nodes(answer);
    for (const Json& remark : array_of(answer, "remarks")) {
        if (remark.is_string()) out += "! " + remark.get<std::string>() + "\n";
    }
    return out;
}

std::string show_ports(const Json& answer) {
    std::vector<std::vector<std::string>> rows{{"SERVICE", "SIDE", "PROTO", "ADDRESS", "STATE",
                                                "ESTABLISHED", "IN/OUT", "OWNER", "VERDICT"}};
    for (const Json& row : array_of(answer, "ports")) {
        rows.push_back({string_of(row, "service"), string_of(row, "side"),
                        string_of(row, "protocol"), string_of(row, "address"),
                        bool_of(row, "listening") ? "LISTENING"
                        : bool_of(row, "dialled") ? "DIALLED"
                                                  : "-",
                        count_of(row, "established"),
                        count_of(row, "inbound") + "/" + count_of(row, "outbound"),
                        string_of(row, "owner") + " (pid " + count_of(answer, "pid") + ")",
                        string_of(row, "verdict")});
    }
    return show_table(rows);
}

std::string show_streams(const Json& answer) {
    std::vector<std::vector<std::string>> rows{
        {"DIR", "OURS", "THEIRS", "STATE", "PROOF", "TLS", "ADDRESS", "AGE", "IDLE", "IN", "OUT"}};
    for (const Json& row : array_of(answer, "streams")) {
        const auto cell = [&row](const char* name) {
            const std::string text = string_of(row, name);
            return text.empty() ? std::string("-") : text;
        };
        const std::string both = bool_of(row, "both_ways") ? "+" : "";  // XEP-0288
        std::string state = cell("state");
        if (state == "waiting") {  // after a failure
            state = "retry in " + std::to_string(number_of(row, "retry_s")) + " s";
        }
        rows.push_back({cell("direction") + both, cell("our_domain"), cell("their_domain"), state,
                        cell("proof"), cell("tls"), cell("address"),
                        show_age(number_of(row, "age_s")), show_age(number_of(row, "idle_s")),
                        count_of(row, "stanzas_in"), count_of(row, "stanzas_out")});
    }
    if (rows.size() > 1) return show_table(rows);
    const std::string why = string_of(answer, "why_none");
    return "no streams" + (why.empty() ? "" : ": " + why) + "\n";
}

std::string show_services(const Json& answer) {
    if (bool_of(answer, "draining")) {
        return "stopping: what is under way is finished, for at most 10 s\n";
    }
    std::vector<std::vector<std::string>> rows{{"SERVICE", "STATE"}};
    for (const Json& row : array_of(answer, "services")) {
        rows.push_back({string_of(row, "service"), string_of(row, "state")});
    }
    return show_table(rows);
}

std::string show_counters(const Json& answer) {
    std::vector<std::vector<std::string>> rows;
    const auto found = answer.find("counters");
    if (found != answer.end() && found->is_object()) {
        for (const auto& [name, value] : found->items()) rows.push_back({name, value.dump()});
    }
    return show_table(rows);
}

std::string show_dns(const Json& answer) {
    std::string out;
    for (const Json& line : array_of(answer, "zone")) out += line.get<std::string>() + "\n";
    for (const Json& host : array_of(answer, "addresses")) {
        out += "; " + host.get<std::string>() +
               ". needs an A or AAAA record: the address by which partners reach that machine\n";
    }
    const Json& tlsa = array_of(answer, "tlsa");
    if (!tlsa.empty()) {
        out +=
            "; for a zone that DNSSEC signs, and of the certificate in use here: an edge that has "
            "another one says its own\n";
    }
    for (const Json& line : tlsa) out += line.get<std::string>() + "\n";
    return out;
}

std::string show_explain(const Json& answer) {
    std::string out = bool_of(answer, "allowed") ? "yes" : "no";
    out += ": " + string_of(answer, "reason") + "\n";
    append_row(out, "direction", string_of(answer, "direction"));
    if (answer.contains("rule")) {
        append_row(out, "rule",
                   string_of(answer, "rule") + "   (" + string_of(answer, "origin") + ")");
    }
    if (answer.contains("policy")) {
        append_row(
            out, "policy",
            "policy/" + string_of(answer, "policy") + ": " + string_of(answer, "policy_why"));
    }
    if (answer.contains("partner"))
        append_row(out, "partner", "partner/" + string_of(answer, "partner"));
    if (answer.contains("passes")) append_row(out, "passes", "only " + string_of(answer, "passes"));
    return out;
}

std::string show_keys(const Json& answer, KeyStyle style) {
    std::string out;
    const bool pending = style == KeyStyle::kPending;
    std::vector<std::vector<std::string>> rows{
        {"KEY", pending ? "AFTER A RESTART" : "VALUE", pending ? "NOW" : "DEFAULT", "FROM"}};
    for (const Json& row : array_of(answer, "keys")) {
        const std::string key = string_of(row, "key");
        const std::string value = string_of(row, "value");
        // A secret is a comment, and what is another key's value, so that what is printed can be
        // read again.
        const bool hidden = bool_of(row, "secret") && !value.empty();
        switch (style) {
            case KeyStyle::kAssignments:
                if (const std::string of = string_of(row, "inherits"); !of.empty()) {
                    out +=
                        "# " + key + (value.empty() ? " =" : " = " + value) + " (of " + of + ")\n";
                    break;
                }
                out += (hidden ? "# " : "") + key + (value.empty() ? " =" : " = " + value) + "\n";
                break;
            case KeyStyle::kNames: out += key + "\n"; break;
            case KeyStyle::kTypes: out += key + " = " + string_of(row, "type") + "\n"; break;
            case KeyStyle::kValues: out += value + "\n"; break;
            case KeyStyle::kDescriptions:
                out += (out.empty() ? "" : "\n") + description(row);
                break;
            case KeyStyle::kDifferences:
            case KeyStyle::kPending:
                rows.push_back({key, shown(row, "value"),
                                shown(row, pending ? "running" : "default"),
                                string_of(row, "origin")});
                break;
        }
    }
    if (style != KeyStyle::kDifferences && !pending) return out;
    if (rows.size() > 1) return show_table(rows);
    return pending ? "nothing waits for a restart\n" : "nothing differs from the defaults\n";
}

std::string show_changes(const Json& answer, bool dry) {
    std::string out;
    for (const Json& warning : array_of(answer, "warnings")) {
        if (warning.is_string()) out += warning.get<std::string>() + "\n";
    }
    const Json& changes = array_of(answer, "changes");
    for (const Json& row : changes) {
        out += string_of(row, "key") + ": " + shown(row, "before") + " -> " + shown(row, "after");
        const std::string apply = string_of(row, "apply");
        if (!apply.empty() && apply != "live") out += "   (acts " + when(apply) + ")";
        out += "\n";
    }
    if (changes.empty()) out += dry ? "nothing would change\n" : "nothing changed\n";
    return out;
}

}  // namespace fedgate::admin
