// The configuration of the running daemon: files and command line below, what was set at run time
// on top. Every change is validated as a whole and published as one snapshot, or nothing changes.
// Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/config/file.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::admin {

class AdminHost;

struct Change {
    config::Path path;
    std::string before;
    std::string after;
};

class Configuration {
public:
    explicit Configuration(config::Sources sources) : sources_(std::move(sources)) {}

    // At start, before any core runs. Null: `problems` says why. Warnings do not refuse.
    const rules::Snapshot* load(config::Problems& problems);
    // How many files were read; 0 with no --set either: nothing was configured at all.
    [[nodiscard]] std::size_t files() const { return files_; }
    [[nodiscard]] const config::Sources& sources() const { return sources_; }
    [[nodiscard]] WallTime started() const { return started_; }

    [[nodiscard]] const config::Tree& tree() const { return tree_; }
    [[nodiscard]] const rules::Snapshot& snapshot() const { return *snapshots_.back(); }

    // Reads the files again; what was set at run time stays. Publishes if anything differs.
    bool reload(AdminHost&, config::Problems&, std::vector<Change>&);
    // Sets, all or nothing. `dry`: only says what would change.
    bool set(AdminHost&, const std::vector<config::Setting>&, bool dry, config::Problems&,
             std::vector<Change>&);
    // Takes back what was set at run time; the value of the files, or the default, holds again.
    bool reset(AdminHost&, const std::vector<std::string>& keys, config::Problems&,
               std::vector<Change>&);

private:
    bool commit(AdminHost*, config::Tree next, bool dry, config::Problems&, std::vector<Change>&);
    void forget_old(AdminHost&);

    config::Sources sources_;
    WallTime started_ = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    config::Tree tree_;
    std::size_t files_ = 0;
    std::uint64_t generation_ = 0;
    std::vector<std::unique_ptr<const rules::Snapshot>> snapshots_;  // the last one is in force
};

}  // namespace fedgate::admin
