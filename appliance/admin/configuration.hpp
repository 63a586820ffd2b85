// The configuration of the running daemon, in layers: files and command line, over them what was
// committed, on top what was set at run time. Every change is validated as a whole and published as
// one snapshot, or nothing changes. Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "appliance/admin/commits.hpp"
#include "appliance/admin/host.hpp"
#include "core/config/file.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::admin {

struct Change {
    config::Path path;
    std::string before;
    std::string after;
    config::Origin origin;  // of the value before
};

// Who makes a commit, and why.
struct Note {
    // While one waits for its confirmation, only the other two are taken.
    // The last one changes nothing and is made by the node itself.
    enum class Kind : std::uint8_t { kChanges, kConfirms, kGoesBack, kSignsAnew };
    std::string author;
    std::string comment;
    Kind kind = Kind::kChanges;
    // Every node takes it back by itself unless it is confirmed within this time; 0: it stays.
    std::chrono::seconds confirm_within{};
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

    // All layers in one.
    [[nodiscard]] const config::Tree& tree() const { return tree_; }
    [[nodiscard]] const Commit& committed() const { return committed_; }
    [[nodiscard]] const Commits& commits() const { return commits_; }
    // Origin of what the next commit sets.
    [[nodiscard]] config::Origin next_commit() const;
    // Commits that could not be read at the start, or can't be used, or have to be confirmed.
    [[nodiscard]] std::vector<std::string> remarks() const;
    [[nodiscard]] const rules::Snapshot& snapshot() const { return *snapshots_.back(); }

    // Reads the files again; what was set at run time stays. Publishes if anything differs.
    bool reload(AdminHost&, config::Problems&, std::vector<Change>&);
    // Files and commits are others now (fedctl restore): reads both, as at a start. What was set at
    // run time goes. False: all is as before.
    bool take_restored(AdminHost&, config::Problems&, std::vector<Change>&);
    // Sets, all or nothing. `dry`: only says what would change. `confirm_within`: taken back by
    // itself after that time, unless confirm_set() is called; 0: it stays. Until then nothing else
    // is set or reset.
    bool set(AdminHost&, const std::vector<config::Setting>&, bool dry, config::Problems&,
             std::vector<Change>&, std::chrono::seconds confirm_within = {});
    // False: nothing waits for it.
    bool confirm_set();
    // Values that act at a restart, where they are not what this process was started with.
    struct Pending {
        config::Path path;
        std::string running;
    };
    [[nodiscard]] std::vector<Pending> pending() const;
    // What is set in files and on the command line.
    [[nodiscard]] const config::Tree& filed() const { return layers_.files; }
    // All layers in one, if that were committed.
    [[nodiscard]] config::Tree with(const config::Tree& committed) const;
    // From now on `next` is what is committed, for good: kept first, then in force. What was set at
    // run time gives way where a commit changes something.
    bool commit(AdminHost&, config::Tree next, const Note&, bool dry, config::Problems&,
                std::vector<Change>&);
    // What ends by itself has ended: acts once the snapshot is not valid any more, or a commit was
    // not confirmed in time; and tries again to use one that could not be used.
    void expire(AdminHost&, WallTime now);

    // What peers sent that was not taken, by the name of who did.
    struct NotTaken {
        std::uint64_t number = 0;  // 0: it is no commit at all
        std::string why;
        WallTime at{};
    };
    [[nodiscard]] const std::map<std::string, NotTaken>& not_taken() const { return not_taken_; }
    // Of another node: in force here, too, if it is newer than what there is and can be used. One
    // that can't be used is held all the same, for others. False: it is not a commit, or not taken
    // from who made it; `why` says so, and it is asked for again when that may have changed.
    bool take(AdminHost&, const Received&, WallTime now, std::string& why);
    // What others are to know of.
    [[nodiscard]] const Held& held() const { return held_; }
    // Seconds until the one in force is taken back; none: it stays.
    [[nodiscard]] std::optional<std::chrono::seconds> unconfirmed_for(WallTime now) const;
    // Takes back what was set at run time; the value of the files, or the default, holds again.
    bool reset(AdminHost&, const std::vector<std::string>& keys, config::Problems&,
               std::vector<Change>&);

private:
    // Set live, and not confirmed.
    struct Trial {
        config::Tree before;  // what was set live until then
        WallTime take_back_at{};
        std::chrono::seconds within{};
        std::string why = {};  // it could not be taken back yet
    };
    struct Layers {
        config::Tree files;  // and the command line
        config::Tree committed;
        config::Tree runtime;
        [[nodiscard]] config::Tree merged() const;
    };

    // If that were committed by the commit of this number.
    [[nodiscard]] Layers layers_with(const config::Tree& committed, std::uint64_t number) const;
    void accept(AdminHost&, Commit, const std::string& published, WallTime now);
    void refuse(AdminHost&, const Commit&, const std::string& published, const std::string& why,
                WallTime now);
    [[nodiscard]] std::string use(AdminHost&, Commit&, const std::string& published);
    bool hold(const Commit&, const std::string& published, std::string why);
    [[nodiscard]] std::string signed_text_of(const Commit&, const std::string& published) const;
    [[nodiscard]] std::string keep(AdminHost&, const Commit&, const std::string& published);
    [[nodiscard]] std::string fault_of_signer(AdminHost&, const Received&, const Commit&) const;
    void take_back(AdminHost&, const Commit&, WallTime now);
    [[nodiscard]] bool take_from(AdminHost&, const Received&, WallTime now, Commit&,
                                 std::string& why);
    void note_not_taken(const Received&, const Commit&, const std::string& why, WallTime now);
    void forget_not_taken(WallTime now);
    void ask_again(WallTime now);
    [[nodiscard]] static std::string text_of(const std::string& peer, const NotTaken&);
    void try_again(AdminHost&);
    void sign_anew(AdminHost&, WallTime now);
    void add_own(AdminHost&, Commit&) const;
    std::vector<std::uint64_t> set_aside_before(AdminHost&, const Commit&);
    // Validates. Null: `problems` says why.
    std::unique_ptr<const rules::Snapshot> check(const config::Tree&, config::Problems&,
                                                 std::vector<Change>&) const;
    [[nodiscard]] std::string why_not_set(WallTime now) const;
    void end_trial(AdminHost&, WallTime now);
    // Checks all of it, and unless `dry` puts it in force.
    // with_files: refused, too, where the host can't use a file that is named.
    bool change(AdminHost*, Layers next, bool dry, config::Problems&, std::vector<Change>&,
                bool with_files = false);
    void put_in_force(AdminHost*, Layers, config::Tree, std::unique_ptr<const rules::Snapshot>);

    config::Sources sources_;
    WallTime started_ = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    Layers layers_;
    config::Tree tree_;
    std::map<std::string, std::string> at_start_;  // of those that act at a restart
    std::optional<Trial> trial_;
    Commits commits_{""};
    Commit committed_;
    Held held_;
    WallTime tried_at_{};  // to use what is held
    std::map<std::string, NotTaken> not_taken_;
    WallTime asked_at_{};  // for those
    std::uint64_t files_loaded_ = 0;
    std::optional<WallTime> signed_until_;  // what is held; none: not looked at
    std::vector<std::string> remarks_;
    std::size_t files_ = 0;
    std::uint64_t generation_ = 0;
    std::vector<std::unique_ptr<const rules::Snapshot>> snapshots_;  // the last one is in force
};

}  // namespace fedgate::admin
