#include "appliance/admin/answers.hpp"

#include <algorithm>
#include <utility>

#include "appliance/admin/wall_clock.hpp"

namespace fedgate::admin {

namespace {

// Member by member: a list of them would be copied, and an import has many.
Json change_of(const Change& change) {
    const config::Key& key = *change.path.key;
    Json out = Json::object();
    out["key"] = change.path.name;
    out["before"] = key.secret ? "(not shown)" : change.before;
    out["after"] = key.secret ? "(not shown)" : change.after;
    out["origin"] = change.origin.text();
    out["apply"] = config::name_of(key.apply);
    return out;
}

std::size_t edits_between(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            diagonal = std::exchange(
                row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
        }
    }
    return row[b.size()];
}

// Why it is that one: a sentence without a full stop.
std::string why_of(const Route& route) {
    if (!route.first.empty() && route.now == route.first) {
        return route.site.empty() ? "first by priority" : "first choice";
    }
    if (route.first.empty()) return "no edge is known";
    std::string text;
    for (const std::string& one : route.missing) text += (text.empty() ? "" : ", ") + one;
    return route.first + " has no edge that can be used" + (text.empty() ? "" : ": ") + text;
}

}  // namespace

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& known) {
    constexpr std::size_t kSlips = 2;
    const auto best = std::ranges::min_element(
        known, {}, [typed](const std::string& name) { return edits_between(typed, name); });
    if (best == known.end() || edits_between(typed, *best) > kSlips) return {};
    return "; did you mean " + *best + "?";
}

Json refusal(std::string text) { return {{"ok", false}, {"error", std::move(text)}}; }

Json refusal(const config::Problems& problems) {
    Json errors = Json::array();
    for (const config::Problem& problem : problems) {
        if (!problem.warning) errors.push_back(problem.line());
    }
    return {{"ok", false}, {"errors", std::move(errors)}};
}

Json warnings_of(const config::Problems& problems) {
    Json warnings = Json::array();
    for (const config::Problem& problem : problems) {
        if (problem.warning) warnings.push_back(problem.line());
    }
    return warnings;
}

std::vector<std::string> strings_of(const Json& request, const char* name) {
    std::vector<std::string> out;
    const auto found = request.find(name);
    if (found == request.end() || !found->is_array()) return out;
    for (const Json& item : *found) {
        if (item.is_string()) out.push_back(item.get<std::string>());
    }
    return out;
}

Json stream_json(const StreamRow& row) {
    return {{"direction", row.outbound ? "out" : "in"},
            {"both_ways", row.both_ways},
            {"our_domain", row.our_domain},
            {"their_domain", row.their_domain},
            {"state", row.state},
            {"proof", row.proof},
            {"tls", row.tls},
            {"address", row.address},
            {"age_s", row.age_s},
            {"idle_s", row.idle_s},
            {"stanzas_in", row.stanzas_in},
            {"stanzas_out", row.stanzas_out},
            {"retry_s", row.retry_s}};
}

Json route_json(const Route& route) {
    return {{"site", route.site},       {"first", route.first},     {"now", route.now},
            {"since_s", route.since_s}, {"missing", route.missing}, {"why", why_of(route)}};
}

Json changed(bool good, const config::Problems& problems, const std::vector<Change>& changes,
             const Configuration& configuration) {
    if (!good) return refusal(problems);
    Json rows = Json::array();
    for (const Change& change : changes) rows.push_back(change_of(change));
    return {{"ok", true},
            {"generation", configuration.snapshot().generation},
            {"changes", std::move(rows)},
            {"warnings", warnings_of(problems)}};
}

// Seconds that `--confirm 60s` gives; false: `why`.
bool read_confirm(const Json& request, std::chrono::seconds& within, std::string& why) {
    const std::string typed = string_of(request, "confirm");
    if (typed.empty()) return true;
    static constexpr config::Key kKey{"confirm",
                                      config::Type::kDuration,
                                      config::Apply::kLive,
                                      "",
                                      10'000'000'000,
                                      24 * 3'600'000'000'000,
                                      "",
                                      "",
                                      ""};
    config::Value value;
    if (!config::parse_value(kKey, typed, value, why)) {
        why = "--confirm: " + why;
        return false;
    }
    within =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::nanoseconds(value.number));
    return true;
}

Json nodes_of(const Status& status) {
    Json rows = Json::array();
    for (const NodeCommit& one : status.nodes) {
        rows.push_back(
            {{"node", one.node}, {"here", one.here}, {"commit", one.in_force}, {"why", one.why}});
    }
    return rows;
}

Json commit_answer(bool good, bool dry, const config::Problems& problems,
                   const std::vector<Change>& changes, const Configuration& configuration) {
    Json answer = changed(good, problems, changes, configuration);
    answer["dry_run"] = dry;
    if (!good) {  // a commit that was not made has no place in a file to name
        answer["errors"] = Json::array();
        for (config::Problem problem : problems) {
            if (problem.warning) continue;
            if (problem.origin.kind == config::Origin::Kind::kCommit) problem.origin = {};
            answer["errors"].push_back(problem.line());
        }
    }
    if (good) {
        answer["commit"] =
            dry ? configuration.next_commit().commit : configuration.committed().number;
        const auto now = wall_now();
        if (dry) return answer;
        if (const auto left = configuration.unconfirmed_for(now)) {
            answer["taken_back_s"] = left->count();
        }
    }
    return answer;
}

std::string some_of(const std::vector<std::string>& users) {
    constexpr std::size_t kShown = 3;
    if (users.size() > kShown) return std::to_string(users.size()) + " users";
    std::string text;
    for (const std::string& user : users) text += (text.empty() ? "" : ", ") + user;
    return text;
}

}  // namespace fedgate::admin
