// What the verbs of partners, policies, users, sites, pools and routes have in common: each reads
// one request, and what it changes is one commit. Control thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "appliance/admin/answers.hpp"

namespace fedgate::admin {

class Verbs {
protected:
    Verbs(const Json& request, const std::string& author, AdminHost& host,
          Configuration& configuration);

    // What is committed, to be changed.
    [[nodiscard]] config::Tree committed() const { return configuration_.committed().settings; }
    // For the next commit. Empty, or what is wrong.
    [[nodiscard]] std::string put(config::Tree& next, std::string_view key,
                                  std::string_view value) const;

    // Is this what the verb is about? Warnings of other keys are left out.
    using Concerns = std::function<bool(std::string_view key)>;
    [[nodiscard]] static bool concerns_users(std::string_view key) {
        return key.starts_with("policy/") || key.starts_with("user/");
    }
    // Commits it, or with dry_run says what that would do. `words`: the comment, where the
    // administrator gives none. Answered with what was `done` to the `subjects`, and the changes,
    // or the first `changes_most` of them and their count.
    [[nodiscard]] Json commit(config::Tree next, std::string words, const std::string& done,
                              const std::vector<std::string>& subjects, const Concerns&);

    // `key` is not committed, and not of a file.
    [[nodiscard]] static Json set_live(const std::string& key);
    [[nodiscard]] Json no_action() const;

    const Json& request_;
    const std::string& author_;
    AdminHost& host_;
    Configuration& configuration_;
    const config::Tree& tree_;  // all that is in force
    const std::string verb_;
    const std::string action_;

private:
    const config::Origin origin_;  // of what it sets
};

}  // namespace fedgate::admin
