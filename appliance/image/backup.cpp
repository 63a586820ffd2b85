#include "appliance/image/backup.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <sstream>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/image/exchange.hpp"
#include "appliance/image/files.hpp"
#include "appliance/image/in_force.hpp"

namespace appliance {

namespace {

constexpr const char* kBackups = "/efi/backup";
constexpr const char* kNewState = "/var/lib/appliance/state.new";
constexpr const char* kMark = "/var/lib/appliance/restoring";
constexpr const char* kTool = "/usr/bin/fedctl";
constexpr const char* kBeforeRestore = "before-restore";  // fedctl keeps there what it replaced

// FAT knows no case. The partition is mounted.
std::set<fs::path> wishes(const std::set<std::string>& kinds) {
    std::set<fs::path> found;
    std::error_code error;
    std::error_code ignored;
    for (fs::directory_iterator entry(kBackups, error), end; !error && entry != end;
         entry.increment(error)) {
        std::string kind = entry->path().extension();
        std::ranges::transform(kind, kind.begin(), [](unsigned char c) { return std::tolower(c); });
        if (entry->is_regular_file(ignored) && kinds.contains(kind)) found.insert(entry->path());
    }
    return found;
}

// In one line.
std::string words_of(const Answer& answer) {
    std::istringstream lines(answer.text);
    std::string all;
    for (std::string line; std::getline(lines, line);) {
        constexpr std::string_view kSpeaker = "fedctl: ";
        if (line.starts_with(kSpeaker)) line.erase(0, kSpeaker.size());
        // The last is the sum of it.
        all = line + (all.empty() ? "" : "; ") + all;
    }
    return all.empty() ? "fedctl ended with status " + std::to_string(answer.status) : all;
}

// Subscriptions are in no backup. Those that are here stay, under a second name.
std::string link_store() {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(kDaemonState, error)) {
        const fs::path to = fs::path(kNewState) / entry.path().filename();
        if (!entry.path().filename().string().starts_with("fedgate.db")) continue;
        fs::create_hard_link(entry.path(), to, error);
        if (error) return to.string() + ": " + error.message();
    }
    sync_folder(kNewState);
    return {};
}

Exchanges of_all() { return {{kDaemonState, kNewState}, {kInForce, kNew}, kMark}; }

// The partition is mounted. Empty, or why nothing has changed; said: what the backup is.
std::string restore(const fs::path& backup, const fs::path& secret, std::string& said) {
    std::error_code error;
    const std::string why = first_line(read_text(fs::path(kRun) / "var"));
    if (!why.empty()) return "/var can't be used: " + why;
    if (!fs::exists(backup, error)) return "there is no such file";
    std::string fault = fs::exists(kDaemonState, error) ? "" : make_state(kDaemonState);
    if (fault.empty()) fault = make_new();
    if (fault.empty()) fault = make_state(kNewState);
    if (!fault.empty()) return fault;
    const bool is_key = secret.extension().string().size() == std::strlen(".key");
    const Answer answer = answer_in_new({kTool, "restore", is_key ? "--key" : "--passphrase-file",
                                         secret.filename(), backup.filename()},
                                        kNewState, [] { return chdir(kBackups) == 0; });
    said = words_of(answer);
    if (answer.status != 0) return said;
    said.erase(std::min(said.find(": restored"), said.size()));
    for (const char* folder : {kNew, kNewState})
        fs::remove_all(fs::path(folder) / kBeforeRestore, error);
    fault = fault_of_new(kNewState);
    if (fault.empty()) fault = link_store();
    mkdir(kInForce, 0755);
    return fault.empty() ? of_all().run() : fault;
}

// The partition is mounted. Empty, or why not; said: what is in it.
std::string write_backup(const fs::path& certificate, std::string& said) {
    const fs::path target = fs::path(certificate).replace_extension(".backup");
    const fs::path made = fs::path(certificate).replace_extension(".new");
    std::error_code error;
    if (fs::exists(target, error)) return "it is there already, and stays: take it away first";
    const File file(made, O_WRONLY | O_CREAT | O_TRUNC);
    if (file.get() < 0) return strerror(errno);
    const Answer answer = answer_of({kTool, "backup", "--to", certificate.filename()}, [&file] {
        return chdir(kBackups) == 0 && dup2(file.get(), STDOUT_FILENO) >= 0;
    });
    said = words_of(answer);
    std::string fault;
    if (answer.status != 0) {
        fault = said;
    } else if (fsync(file.get()) != 0) {
        fault = strerror(errno);
    } else {
        fs::rename(made, target, error);
        if (error) fault = error.message();
    }
    if (!fault.empty()) {
        const fs::space_info room = fs::space(kBackups, error);
        fs::remove(made, error);
        return fault + " (" + std::to_string(room.available >> 10) + " KiB were free there)";
    }
    sync_folder(kBackups);
    fs::remove(certificate, error);
    return {};
}

}  // namespace

void restore_if_asked(const std::function<void()>& restored) {
    std::error_code ignored;
    if (of_all().finish()) {
        for (const char* before : {kNew, kNewState}) fs::remove_all(before, ignored);
        tell_more("backup", "a restore that was cut short is at its end now");
        restored();
    }
    if (!mount_esp(0)) return;
    const std::set<fs::path> secrets = wishes({".key", ".passphrase"});
    bool is_restored = false;
    for (const fs::path& secret : secrets) {
        if (is_restored) break;
        const fs::path backup = fs::path(secret).replace_extension(".backup");
        const std::string name = backup.filename();
        std::string said;
        const std::string fault = restore(backup, secret, said);
        is_restored = fault.empty();
        tell_more("backup", is_restored
                                ? name + " was restored: " + said
                                : name + " was NOT restored, nothing was changed: " + fault);
    }
    for (const char* folder : {kNew, kNewState}) fs::remove_all(folder, ignored);
    if (is_restored) restored();
    // The one that was restored last: as long as it is there, the next start does the same again.
    for (auto secret = secrets.rbegin(); secret != secrets.rend(); ++secret) {
        const std::string fault = wipe(*secret);
        if (!fault.empty())
            tell_more("backup", secret->filename().string() + " is STILL THERE: " + fault);
    }
    if (!secrets.empty()) sync();
    umount(kEsp);
}

void write_backups() {
    if (!mount_esp(0)) return;
    std::error_code ignored;
    fs::create_directory(kBackups, ignored);  // an older version's partition has none
    for (const fs::path& certificate : wishes({".pem"})) {
        const std::string name = fs::path(certificate).replace_extension(".backup").filename();
        std::string said;
        const std::string fault = write_backup(certificate, said);
        tell_more("backup", fault.empty() ? name + " was written: " + said
                                          : name + " was NOT written: " + fault);
    }
    sync();
    umount(kEsp);
}

}  // namespace appliance
