// Answers of the daemon as people read them. Pure: JSON in, text out.
#pragma once

#include <string>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// What is about to be printed, without what would steer a terminal: controls and changes of the
// writing direction. Peers choose some of the texts.
[[nodiscard]] std::string for_terminal(std::string_view text);
// Columns as wide as their widest cell, two blanks between; the first row is the heading.
[[nodiscard]] std::string show_table(const std::vector<std::vector<std::string>>& rows);

// What each node of the pool has in force; empty: there is one.
[[nodiscard]] std::string show_nodes(const Json& answer);
[[nodiscard]] std::string show_status(const Json& answer);
[[nodiscard]] std::string show_ports(const Json& answer);
[[nodiscard]] std::string show_streams(const Json& answer);
[[nodiscard]] std::string show_services(const Json& answer);
[[nodiscard]] std::string show_counters(const Json& answer);
[[nodiscard]] std::string show_explain(const Json& answer);
// Zone lines, what is left to do as comments in them.
[[nodiscard]] std::string show_dns(const Json& answer);

[[nodiscard]] std::string show_partners(const Json& answer);
[[nodiscard]] std::string show_partner(const Json& answer);
// What a commit changed, or would change.
[[nodiscard]] std::string show_commit(const Json& answer);
[[nodiscard]] std::string show_policies(const Json& answer);
[[nodiscard]] std::string show_policy(const Json& answer);
[[nodiscard]] std::string show_users(const Json& answer);
[[nodiscard]] std::string show_user(const Json& answer);
// For a pipe: one a line.
[[nodiscard]] std::string show_addresses(const Json& answer);
// A commit that may concern very many.
[[nodiscard]] std::string show_user_commit(const Json& answer);
[[nodiscard]] std::string show_sites(const Json& answer);
[[nodiscard]] std::string show_pools(const Json& answer);
[[nodiscard]] std::string show_routes(const Json& answer);
// `paris: pool-b, since 3 min 4 s: pool-a has no edge that can be used: edge1.example: ...`
[[nodiscard]] std::string show_route(const Json& route, const std::string& name);
[[nodiscard]] std::string show_log(const Json& answer);
// What can be set of a partner; needs no daemon.
[[nodiscard]] std::string show_attributes();

enum class KeyStyle {
    kAssignments,
    kNames,
    kValues,
    kDescriptions,
    kDifferences,
    kTypes,
    kPending
};
[[nodiscard]] std::string show_keys(const Json& answer, KeyStyle);
// `dry`: what would change.
[[nodiscard]] std::string show_changes(const Json& answer, bool dry);

// A member that is an array, or an empty one.
[[nodiscard]] const Json& array_of(const Json&, const char* name);

[[nodiscard]] std::string or_dash(std::string text);

// "3 d 4 h", "12 min", "5 s".
[[nodiscard]] std::string show_age(std::uint64_t seconds);

}  // namespace fedgate::admin
