#include "appliance/admin/history.hpp"

#include <map>

#include "appliance/admin/answers.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

constexpr std::string_view kNotSet = "(not set)";

// What differs between two sets of settings, each with its value in both.
Json differences(const config::Tree& before, const config::Tree& after) {
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

Json log(const Configuration& configuration) {
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
            // The oldest that is kept may stand on what is not there any more.
            if (number == before.number + 1) {
                row["changes"] = differences(before.settings, commit.settings).size();
            }
            before = std::move(commit);
        } else {
            row["damaged"] = why;
        }
        row["current"] = number == configuration.committed().number;
        rows.push_back(std::move(row));
    }
    return {{"ok", true}, {"commits", std::move(rows)}};
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
            {"changes", differences(before.settings, after.settings)}};
}

Json rollback(const Json& request, const std::string& author, AdminHost& host,
              Configuration& configuration) {
    const std::uint64_t number = number_of(request, "number");
    Commit target;
    std::string why;
    if (!configuration.commits().read(number, target, why)) return refusal(why);
    std::string comment = string_of(request, "comment");
    if (comment.empty()) comment = "rollback to commit " + std::to_string(number);
    config::Problems problems;
    std::vector<Change> changes;
    const bool dry = bool_of(request, "dry_run");
    const bool good = configuration.commit(host, std::move(target.settings), {author, comment}, dry,
                                           problems, changes);
    return commit_answer(good, dry, problems, changes, configuration);
}

}  // namespace

Json answer_history(const Json& request, const std::string& author, AdminHost& host,
                    Configuration& configuration) {
    const std::string action = string_of(request, "action");
    if (action == "log") return log(configuration);
    if (action == "diff") return diff(request, configuration);
    if (action == "rollback") return rollback(request, author, host, configuration);
    return refusal("config has no action '" + action.substr(0, 64) + "'");
}

}  // namespace fedgate::admin
