// What a machine of Fedgate is, as files: its configuration, what was committed, certificates with
// their keys, the dialback secret. Taken together for a backup, and put back, all of them or none.
// Not in it: the store (subscriptions and conversations of the moment, which come back by
// themselves), and files elsewhere that the configuration names. For fedctl; reads and writes
// files.
#pragma once

#include <string>
#include <vector>

#include "appliance/admin/archive.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/json.hpp"

namespace fedgate::admin {

struct BackupPlaces {
    std::string file;                // -c of the daemon; empty: the directories
    std::string folder;              // of the configuration
    std::string state;               // dirs.state
    std::vector<std::string> named;  // files that settings name
};

[[nodiscard]] Json backup_places(const Configuration&);
[[nodiscard]] BackupPlaces read_backup_places(const Json&);

// `left_out`: what belongs to it and is not in it, each with why. False: `why` is a sentence.
[[nodiscard]] bool collect_backup(const BackupPlaces&, std::vector<ArchivedFile>&,
                                  std::vector<std::string>& left_out, std::string& why);

// Puts back what collect_backup() has taken: first beside what is there, then by exchanging names.
class Restoration {
public:
    explicit Restoration(BackupPlaces places) : places_(std::move(places)) {}
    ~Restoration();  // what was staged and is not in its place goes
    Restoration(const Restoration&) = delete;
    Restoration& operator=(const Restoration&) = delete;

    // Looks at all of it, and writes it aside: nothing has changed. False: `why`.
    [[nodiscard]] bool stage(const std::vector<ArchivedFile>&, std::string& why);
    // Now it is there. False: all is as before; `why`.
    [[nodiscard]] bool exchange(std::string& why);
    // After the exchange: can certificates and keys be used together? False: `why`.
    [[nodiscard]] bool check_certificates(std::string& why) const;
    // As before exchange().
    void undo();
    // It stays. What was there before is kept in the folders before-restore.
    void finish();
    // What the archive says of itself: `version`, `made`, `node`.
    [[nodiscard]] const Json& about() const { return about_; }

private:
    struct Step {
        std::string staged;  // and what was there before, after the exchange
        std::string target;
        bool comes = false;  // else it only goes
        bool was_there = false;
        bool done = false;
    };

    [[nodiscard]] bool read_about(const ArchivedFile&, std::string& why);
    [[nodiscard]] bool write_staged(const ArchivedFile&, std::string& why);
    [[nodiscard]] bool check_configuration(const std::vector<ArchivedFile>&,
                                           std::string& why) const;
    void add_step(const std::string& staged, const std::string& target, bool comes);
    void plan_steps(const std::vector<ArchivedFile>&);
    [[nodiscard]] std::string staged_folder() const { return places_.folder + "/restore.new"; }
    [[nodiscard]] std::string staged_state() const { return places_.state + "/restore.new"; }

    BackupPlaces places_;
    Json about_;
    std::vector<Step> steps_;
    bool is_staged_ = false;
    bool is_kept_ = false;
};

}  // namespace fedgate::admin
