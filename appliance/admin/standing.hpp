// Which policy is in force for a user of ours, and why that one (features.md A7): user > site >
// global. Control thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/tree.hpp"

namespace fedgate::admin {

constexpr std::string_view kSitePolicy = "site:";

struct Standing {
    std::string policy;  // `global`, `site:paris`, `FedPic`
    std::string why;     // a sentence without a full stop
    std::string site;    // that the user belongs to; empty: none
};
// `user`: normalised, as the instance of user/*.
[[nodiscard]] Standing standing_of(const config::Tree&, const std::string& user);

// Policies that are there, `global` first.
[[nodiscard]] std::vector<std::string> policies_of(const config::Tree&);
[[nodiscard]] bool is_policy(const config::Tree&, std::string_view name);
// `Global`, `tag:FedPic`, `fedpic`: the name of the policy that is meant, if it is there; else as
// it was typed, without the reference's tag.
[[nodiscard]] std::string policy_name(const config::Tree&, std::string_view typed);
// "user", "site", "global".
[[nodiscard]] std::string_view scope_of_policy(std::string_view name);
// The names of the attributes of a root: `policy` -> description, federation_access, ...
[[nodiscard]] std::vector<std::string> attributes_of(std::string_view root);

}  // namespace fedgate::admin
