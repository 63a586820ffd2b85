#include "appliance/admin/history.hpp"

#include <map>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

constexpr std::string_view kNotSet = "(not set)";

// What differs between two sets of settings, each with its value in both.
Json changed_rows(const config::Tree& before, const config::Tree& after) {
    std::map<std::string, std::pair<std::string, std::string>> rows;
    std::map<std::string, bool> secret;
    for (const auto& [name, entry] : before.entries()) {
        rows[name] = {entry.value.text, std::string(kNotSet)};
        secret[name] = entry.path.key->secret;
    }
    for (const auto& [name, entry] : after.entries()) {
        auto& row = rows.try_emplace(name, std::string(kNotSet), "").first->second;
        row.second = entry.value.text;
        secret[name] = entry.path.key->secret;
    }
    Json out = Json::array();
    for (const auto& [name, values] : rows) {
        if (values.first == values.second) continue;
        const bool hidden = secret[name];
        out.push_back({{"key", name},
                       {"before", hidden ? "(not shown)" : values.first},
                       {"after", hidden ? "(not shown)" : values.second}});
    }
    return out;
}

Json log(AdminHost& host, const Configuration& configuration) {
    const auto now = wall_now();
    Json rows = Json::array();
    Commit before;
    for (const std::uint64_t number : configuration.commits().numbers()) {
        Commit commit;
        std::string why;
        Json row{{"commit", number}};
        if (configuration.commits().read(number, commit, why)) {
            row["time"] = config::format_time(commit.time);
            row["author"] = commit.author;
            row["comment"] = commit.comment;
            if (!commit.signer().empty()) row["signed_by"] = commit.signer();
            // The oldest that is kept may stand on what is not there any more.
            if (number == before.number + 1) {
                row["changes"] = changed_rows(before.settings, commit.settings).size();
            }
            before = std::move(commit);
        } else {
            row["damaged"] = why;
        }
        row["current"] = number == configuration.committed().number;
        if (const auto left = configuration.unconfirmed_for(now); left && row["current"]) {
            row["taken_back_s"] = left->count();
        }
        rows.push_back(std::move(row));
    }
    Json lost = Json::array();
    for (const LostCommit& one : configuration.commits().lost()) {
        lost.push_back({{"commit", one.number},
                        {"time", one.time},
                        {"author", one.author},
                        {"comment", one.comment},
                        {"file", one.path}});
    }
    Json out{{"ok", true}, {"commits", std::move(rows)}, {"gave_way", std::move(lost)}};
    const Held& held = configuration.held();
    if (!held.why.empty()) out["not_usable"] = {{"commit", held.id.number}, {"why", held.why}};
    Json not_taken = Json::array();
    for (const auto& [peer, one] : configuration.not_taken()) {
        not_taken.push_back({{"commit", one.number}, {"peer", peer}, {"why", one.why}});
    }
    out["not_taken"] = std::move(not_taken);
    out["nodes"] = nodes_of(host.status());
    return out;
}

Json diff(const Json& request, const Configuration& configuration) {
    const std::uint64_t from = number_of(request, "from");
    const bool both = request.contains("to");
    const std::uint64_t to = both ? number_of(request, "to") : configuration.committed().number;
    Commit before;
    Commit after;
    std::string why;
    if (!configuration.commits().read(from, before, why)) return refusal(why);
    if (!configuration.commits().read(to, after, why)) return refusal(why);
    return {{"ok", true},
            {"from", from},
            {"to", to},
            {"changes", changed_rows(before.settings, after.settings)}};
}

Json rollback(const Json& request, const std::string& author, AdminHost& host,
              Configuration& configuration) {
    const std::uint64_t number = number_of(request, "number");
    Commit target;
    std::string why;
    if (!configuration.commits().read(number, target, why)) return refusal(why);
    std::string comment = string_of(request, "comment");
    if (comment.empty()) comment = "rollback to commit " + std::to_string(number);
    Note note{author, comment, Note::Kind::kGoesBack};
    if (!read_confirm(request, note.confirm_within, why)) return refusal(why);
    config::Problems problems;
    std::vector<Change> changes;
    const bool dry = bool_of(request, "dry_run");
    const bool good =
        configuration.commit(host, std::move(target.settings), note, dry, problems, changes);
    return commit_answer(good, dry, problems, changes, configuration);
}

// A commit of the same, which stands over what nodes do by themselves when nobody says so.
Json confirm(const std::string& author, AdminHost& host, Configuration& configuration) {
    const std::string number = std::to_string(configuration.committed().number);
    if (!configuration.committed().unconfirmed()) {
        return refusal("there is nothing to confirm: commit " + number + " stays");
    }
    config::Problems problems;
    std::vector<Change> changes;
    config::Tree same = configuration.committed().settings;
    const Note note{author, "confirms commit " + number, Note::Kind::kConfirms};
    const bool good = configuration.commit(host, std::move(same), note, false, problems, changes);
    return commit_answer(good, false, problems, changes, configuration);
}

}  // namespace

Json answer_history(const Json& request, const std::string& author, AdminHost& host,
                    Configuration& configuration) {
    const std::string action = string_of(request, "action");
    if (action == "log") return log(host, configuration);
    if (action == "diff") return diff(request, configuration);
    if (action == "rollback") return rollback(request, author, host, configuration);
    if (action == "confirm") return confirm(author, host, configuration);
    return refusal("config has no action '" + action.substr(0, 64) + "'");
}

}  // namespace fedgate::admin
