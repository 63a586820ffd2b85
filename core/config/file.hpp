// Configuration files: sysctl's syntax, sysctl.d's precedence. Control thread only; reads the disk.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/tree.hpp"

namespace fedgate::config {

// A line of a file, not yet looked up.
struct Setting {
    std::string key;
    std::string value;
    bool forgiving = false;  // leading `-`: an error is only a warning
    Origin origin;
};

// `key = value` lines, `#` and `;` comments. Adds what it reads, and every line that it can't read.
void parse_settings(std::string_view text, const std::string& file, std::vector<Setting>&,
                    Problems&);
// `KEY=VALUE`, as --set and `sysctl -w` take it.
[[nodiscard]] bool parse_assignment(std::string_view text, Origin, Setting&, std::string& why);

// The files in force under `root` (empty: the real one), in reading order: the directories
// /usr/lib/fedgate/conf.d, /run/..., /etc/... (a name in a later one replaces the same name in an
// earlier one, then all by base name), /etc/fedgate/fedgate.conf, and that credential of systemd.
[[nodiscard]] std::vector<std::string> configuration_files(const std::string& root);

struct Sources {
    std::string file;                      // -c: instead of all others; empty: the directories
    std::vector<std::string> assignments;  // --set
    std::string root;                      // before every path of the directories; for tests
};

// Reads everything and applies all of it to `tree`. With any error in `problems` the tree must not
// be used. Returns how many files set something (all that are comments is not configured yet).
std::size_t load(const Sources&, Tree& tree, Problems& problems);
// Applies settings in order, each error reported.
void apply(const std::vector<Setting>&, Tree&, Problems&);

}  // namespace fedgate::config
