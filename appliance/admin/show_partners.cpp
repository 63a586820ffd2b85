// Partners and commits as people read them.
#include <algorithm>

#include "appliance/admin/show.hpp"
#include "core/config/key.hpp"
#include "core/config/value.hpp"

namespace fedgate::admin {
namespace {

void append_list(std::string& out, const Json& json, const char* name, const char* before) {
    for (const Json& item : array_of(json, name)) {
        if (item.is_string()) out += before + item.get<std::string>() + "\n";
    }
}

void append_expected(std::string& out, const Json& answer) {
    const auto found = answer.find("expected");
    if (found == answer.end()) return;
    out += "expected  " + string_of(*found, "methods") + ":\n          " +
           string_of(*found, "outlook") + "\n";
    const std::string warning = string_of(*found, "warning");
    if (!warning.empty()) out += "warning   " + warning + "\n";
}

// Indented; the rows of show_table() otherwise.
std::string indented(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
        out += "  " + text.substr(at, end - at);
        at = end;
    }
    return out;
}

std::string failure_text(const Json& row) {
    const bool out = string_of(row, "direction") == "out";
    std::string text = std::string(out ? "to them, " : "from them, ") +
                       show_age(number_of(row, "age_s")) + " ago (" + string_of(row, "time");
    const std::string address = string_of(row, "address");
    if (!address.empty()) text += ", " + address;
    text += ")";
    const std::uint64_t count = number_of(row, "count");
    if (count > 1) text += ", one of " + std::to_string(count) + " since the start";
    return text + ":\n          " + string_of(row, "text") + ";\n          " +
           string_of(row, "advice") + "\n";
}

bool is_up(const Json& row) { return !string_of(row, "proof").empty(); }

// Which streams stand, in words: the first thing that one wants to know.
std::string streams_text(const Json& streams, const std::string& obstacle) {
    std::size_t in = 0;
    std::size_t out = 0;
    std::size_t both = 0;  // XEP-0288; they are counted once
    for (const Json& row : streams) {
        if (!is_up(row)) continue;
        ++(string_of(row, "direction") == "in" ? in : out);
        if (bool_of(row, "both_ways")) ++both;
    }
    if (streams.empty() && !obstacle.empty()) return obstacle;
    if (streams.empty()) {
        return "none; one is opened when there is something to send, by us or by them";
    }
    const std::string text =
        std::to_string(in) + " of theirs and " + std::to_string(out) + " of ours are up";
    return both == 0 ? text : text + ", " + std::to_string(both) + " of them both ways";
}

}  // namespace

std::string show_partners(const Json& answer) {
    std::vector<std::vector<std::string>> rows{{"PARTNER", "STATE", "TYPE", "TLS", "SASL",
                                                "DIALBACK", "IN", "OUT", "LAST FAILURE",
                                                "DESCRIPTION", "CONTACT"}};
    for (const Json& row : array_of(answer, "partners")) {
        std::string failure = "-";
        if (row.contains("last_failure")) {
            const Json& last = row["last_failure"];
            failure = string_of(last, "kind") + ", " + show_age(number_of(last, "age_s")) + " ago";
        }
        rows.push_back({string_of(row, "domain"), string_of(row, "state"), string_of(row, "type"),
                        string_of(row, "tls"), string_of(row, "sasl"), string_of(row, "dialback"),
                        std::to_string(number_of(row, "streams_in")),
                        std::to_string(number_of(row, "streams_out")), failure,
                        or_dash(string_of(row, "description")),
                        or_dash(string_of(row, "contact"))});
    }
    std::string out =
        rows.size() == 1 ? "no partners; fedctl partner add DOMAIN makes one\n" : show_table(rows);
    append_list(out, answer, "blocked", "blocked: ");
    append_list(out, answer, "notes", "! ");
    return out;
}

std::string show_partner(const Json& answer) {
    const std::string domain = string_of(answer, "domain");
    const std::string asked = string_of(answer, "asked");
    std::string out = asked == "default" ? "default, the template of all partners\n"
                                         : (domain == "default" ? asked : domain) + ", " +
                                               string_of(answer, "state") + "\n";
    append_list(out, answer, "notes", "! ");
    out += "\n";
    append_expected(out, answer);
    const Json& streams = array_of(answer, "streams");
    out += "streams   " + streams_text(streams, string_of(answer, "obstacle")) + "\n";
    if (!streams.empty()) out += indented(show_streams(answer));
    for (const Json& row : array_of(answer, "certificates")) {
        out += "shown     a certificate of " + string_of(row, "their_domain") + " that ends on " +
               string_of(row, "not_after").substr(0, 10) + "\n";
    }
    for (const Json& row : array_of(answer, "failures")) {
        out += "failed    " + failure_text(row);
    }
    out += "\n";
    std::vector<std::vector<std::string>> rows{{"ATTRIBUTE", "VALUE", "FROM"}};
    for (const Json& row : array_of(answer, "attributes")) {
        std::string value = or_dash(string_of(row, "value"));
        if (string_of(row, "attribute") == "connection_limit" && value == "0") {
            value = "0 (the common limit, " +
                    std::to_string(number_of(answer, "connection_limit")) + ")";
        }
        rows.push_back({string_of(row, "attribute"), value, string_of(row, "origin")});
    }
    return out + show_table(rows);
}

std::string show_commit(const Json& answer) {
    const bool dry = bool_of(answer, "dry_run");
    std::string domains;
    for (const Json& domain : array_of(answer, "domains")) {
        if (domain.is_string())
            domains += (domains.empty() ? "" : ", ") + domain.get<std::string>();
    }
    const std::string number = std::to_string(number_of(answer, "commit"));
    const std::string done = string_of(answer, "done");
    std::string out =
        dry ? "dry run, nothing was changed; it would be commit " + number : "commit " + number;
    if (!done.empty()) out += ": " + domains + " " + done;
    out += "\n";
    for (const Json& row : array_of(answer, "changes")) {
        out += "  " + string_of(row, "key") + ": " + or_dash(string_of(row, "before")) + " -> " +
               or_dash(string_of(row, "after"));
        // A file's value stays there, and holds no longer.
        const std::string origin = string_of(row, "origin");
        const bool filed = origin != "default" && !origin.starts_with("commit ");
        out += filed ? "   (over " + origin + ")\n" : "\n";
    }
    if (answer.contains("taken_back_s")) {
        out += "in force, and taken back by every node in " +
               std::to_string(number_of(answer, "taken_back_s")) +
               " s, unless fedctl config confirm is said\n";
    }
    append_expected(out, answer);
    append_list(out, answer, "warnings", "");
    append_list(out, answer, "notes", "! ");
    return out;
}

std::string show_log(const Json& answer) {
    std::vector<std::vector<std::string>> rows{
        {"COMMIT", "TIME", "AUTHOR", "SIGNED BY", "CHANGES", "COMMENT"}};
    const Json& commits = array_of(answer, "commits");
    for (auto row = commits.rbegin(); row != commits.rend(); ++row) {  // the newest first
        const std::string number =
            std::to_string(number_of(*row, "commit")) + (bool_of(*row, "current") ? " *" : "");
        if (row->contains("damaged")) {
            rows.push_back({number, "-", "-", "-", "-", string_of(*row, "damaged")});
            continue;
        }
        std::string comment = or_dash(string_of(*row, "comment"));
        if (row->contains("taken_back_s")) {
            comment += " (not confirmed: taken back in " +
                       std::to_string(number_of(*row, "taken_back_s")) + " s)";
        }
        rows.push_back({number, string_of(*row, "time"), string_of(*row, "author"),
                        or_dash(string_of(*row, "signed_by")),
                        row->contains("changes") ? std::to_string(number_of(*row, "changes")) : "-",
                        comment});
    }
    std::string out =
        rows.size() == 1 ? "nothing was committed yet\n" : show_table(rows) + "* is in force\n";
    std::vector<std::vector<std::string>> lost{{"GAVE WAY", "TIME", "AUTHOR", "COMMENT", "FILE"}};
    for (const Json& row : array_of(answer, "gave_way")) {
        lost.push_back({std::to_string(number_of(row, "commit")), string_of(row, "time"),
                        string_of(row, "author"), or_dash(string_of(row, "comment")),
                        string_of(row, "file")});
    }
    if (lost.size() > 1) {
        out += "\n" + show_table(lost) +
               "to others, made while nodes were cut off from each other; fedctl config check FILE "
               "shows what it changed,\nfedctl config commit FILE repeats it\n";
    }
    std::vector<std::vector<std::string>> not_taken{{"NOT TAKEN", "FROM", "WHY"}};
    for (const Json& row : array_of(answer, "not_taken")) {
        const std::uint64_t number = number_of(row, "commit");
        not_taken.push_back({number == 0 ? "no commit" : std::to_string(number),
                             string_of(row, "peer"), string_of(row, "why")});
    }
    if (not_taken.size() > 1) out += "\n" + show_table(not_taken);
    return out + show_nodes(answer);
}

std::string show_attributes() {
    std::string out = "Attributes of a partner, each with its default and what is allowed:\n";
    for (const config::Key& key : config::keys()) {
        if (key.root() != "partner") continue;
        const std::string_view fallback = key.fallback;
        out += "\n  " + std::string(key.name.substr(key.name.rfind('/') + 1)) + " = " +
               std::string(fallback.empty() ? "(empty)" : fallback) + "   (" +
               config::format_bounds(key) + ")\n      " + std::string(key.description) + "\n";
    }
    return out;
}

}  // namespace fedgate::admin
