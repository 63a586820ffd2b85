// The typed tree: what was set, by whom, over the defaults. A value object of the control thread:
// copy it, change the copy, validate (rules::compile), publish. Cores only see rules::Snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/value.hpp"

namespace fedgate::config {

struct Origin {
    // In this order: what was said later holds.
    enum class Kind : std::uint8_t { kDefault, kFile, kCommandLine, kCommit, kRuntime };
    Kind kind = Kind::kDefault;
    std::string file;  // kFile, kCommit; kRuntime: the file that was applied, or empty
    int line = 0;
    std::uint64_t commit = 0;  // kCommit: its number

    [[nodiscard]] std::string text() const;  // "/etc/fedgate/fedgate.conf:12", "commit 7", ...
};

struct Problem {
    bool warning = false;  // said, not refused
    Origin origin;
    std::string key;   // as typed; may be empty
    std::string text;  // what, what is allowed, nearest key

    [[nodiscard]] std::string line() const;  // "file:12: error: key: text"
};
using Problems = std::vector<Problem>;
[[nodiscard]] bool any_error(const Problems&);

struct Entry {
    Path path;
    Value value;
    Origin origin;
};

class Tree {
public:
    // False: nothing was changed and `problems` has one more.
    bool set(std::string_view typed, std::string_view text, const Origin&, Problems& problems);
    // Everything that is set in `above` holds over what is set here.
    void overlay(const Tree& above);
    // Back to the default. False: it was not set.
    bool reset(const Path&);

    // What is set, by canonical name; without the defaults.
    [[nodiscard]] const std::map<std::string, Entry, std::less<>>& entries() const {
        return entries_;
    }
    [[nodiscard]] const Entry* find(std::string_view name) const;
    // The value in force and where it comes from: set, else of the template (template_of()), else
    // the default.
    [[nodiscard]] Entry effective(const Path&) const;
    // Instances of a root that have at least one key set, sorted: `partner` -> example.org, ...
    [[nodiscard]] std::vector<std::string> instances(std::string_view root) const;
    // Everything: each plain key and each key of each instance, sorted by name; of cores, all that
    // have values of their own, and `*`.
    [[nodiscard]] std::vector<Entry> all() const;

    // Typed reads by catalogue name (and instance). A name or type that is not in the catalogue is
    // our bug.
    [[nodiscard]] bool flag(std::string_view name, std::string_view instance = {}) const;
    [[nodiscard]] std::int64_t number(std::string_view name, std::string_view instance = {}) const;
    [[nodiscard]] Duration duration(std::string_view name, std::string_view instance = {}) const;
    [[nodiscard]] Rate rate(std::string_view name, std::string_view instance = {}) const;
    [[nodiscard]] std::string text(std::string_view name, std::string_view instance = {}) const;
    [[nodiscard]] std::vector<std::string> list(std::string_view name,
                                                std::string_view instance = {}) const;

private:
    std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace fedgate::config
