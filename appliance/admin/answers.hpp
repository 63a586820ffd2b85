// Pieces that the answers of several verbs are made of. Control thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

[[nodiscard]] Json refusal(std::string text);
[[nodiscard]] Json refusal(const config::Problems&);
[[nodiscard]] Json warnings_of(const config::Problems&);
[[nodiscard]] Json stream_json(const StreamRow&);
// With `why` it is that one.
[[nodiscard]] Json route_json(const Route&);
// "; did you mean paris?", or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view typed,
                                       const std::vector<std::string>& known);

// What a change was answered with: `changes`, `warnings`, or the errors.
[[nodiscard]] Json changed(bool good, const config::Problems&, const std::vector<Change>&,
                           const Configuration&);
// The same of a commit: with its number, or the one that it would have.
[[nodiscard]] Json commit_answer(bool good, bool dry, const config::Problems&,
                                 const std::vector<Change>&, const Configuration&);

// "alice@a.example, bob@a.example", or "17 users" where there are many.
[[nodiscard]] std::string some_of(const std::vector<std::string>& users);

// What each node of the pool has in force.
[[nodiscard]] Json nodes_of(const Status&);
// The time that `--confirm 60s` gives, if it was said. False: `why`.
[[nodiscard]] bool read_confirm(const Json& request, std::chrono::seconds&, std::string& why);

// Strings of an array member; empty when there is none.
[[nodiscard]] std::vector<std::string> strings_of(const Json& request, const char* name);

}  // namespace fedgate::admin
