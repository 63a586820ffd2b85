#include "appliance/admin/backup.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <grp.h>
#include <pwd.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/certificates.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "appliance/admin/words.hpp"
#include "core/base/file.hpp"
#include "core/config/text.hpp"
#include "core/config/timestamp.hpp"
#include "net/tls.hpp"

namespace fedgate::admin {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBackupAbout = "fedgate-backup";  // the first file
constexpr const char* kBackupFormat = "1";
constexpr const char* kBackupMain = "etc/fedgate.conf";  // whatever it is called here
constexpr const char* kConfD = "conf.d";
constexpr std::string_view kEtcPart = "etc/";
constexpr std::string_view kCommitsPart = "state/commits/";
constexpr std::string_view kCertificatesPart = "state/certificates/";
constexpr std::string_view kSecretFile = "state/dialback.secret";
constexpr const char* kBeforeRestore = "/before-restore";
constexpr std::size_t kBackupBytes = 128 << 20;
constexpr std::size_t kCommitsBytes = 96 << 20;  // of them; the latest is always in it

std::string fault_with_errno(const std::string& path, const char* what) {
    return path + " can't be " + what + ": " + std::strerror(errno);
}

// Of a path: what is path_below the folder; empty: it is not path_below it.
std::string path_below(const std::string& path, const std::string& folder) {
    const fs::path relative =
        fs::path(path).lexically_normal().lexically_relative(fs::path(folder).lexically_normal());
    const std::string text = relative.string();
    return text == "." || text.starts_with("..") ? std::string() : text;
}

std::string name_of_owner(uid_t user) {
    const passwd* const entry = getpwuid(user);
    return entry != nullptr ? entry->pw_name : "";
}

std::string name_of_group(gid_t group_number) {
    const group* const entry = getgrgid(group_number);
    return entry != nullptr ? entry->gr_name : "";
}

bool archive_file(const std::string& path, const std::string& name,
                  std::vector<ArchivedFile>& files, std::string& why) {
    struct stat info{};
    ArchivedFile file;
    file.name = name;
    if (!is_archive_name(name)) {
        why = path + " has a name that a backup can't hold";
        return false;
    }
    if (!read_regular_file(path, file.content, why) || stat(path.c_str(), &info) != 0) {
        why = path + " " + (why.empty() ? std::strerror(errno) : why);
        return false;
    }
    file.mode = info.st_mode & 0777;
    file.changed = info.st_mtim.tv_sec;
    file.owner = name_of_owner(info.st_uid);
    file.group = name_of_group(info.st_gid);
    files.push_back(std::move(file));
    return true;
}

// Regular files of a folder, by name.
std::vector<std::string> regular_files(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        if (entry.is_regular_file(error)) names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
}

// What the daemon reads besides its main file.
std::vector<std::string> conf_d(const BackupPlaces& places) {
    std::vector<std::string> names;
    if (!places.file.empty()) return names;
    for (const std::string& name : regular_files(places.folder + "/" + kConfD)) {
        if (name.ends_with(".conf")) names.push_back(std::string(kConfD) + "/" + name);
    }
    return names;
}

std::string main_file_of(const BackupPlaces& places) {
    return places.file.empty() ? places.folder + "/fedgate.conf" : places.file;
}

std::string about_backup(const BackupPlaces& places) {
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    return std::string("format ") + kBackupFormat + "\nversion " + FEDGATE_VERSION + "\nmade " +
           config::format_time(wall_now()) + "\nnode " + host + "\nfolder " + places.folder +
           "\nstate " + places.state + "\n";
}

// All commits, or the latest of them that fit.
bool take_commits(const BackupPlaces& places, std::vector<ArchivedFile>& files,
                  std::vector<std::string>& left_out, std::string& why) {
    const std::string folder = places.state + "/commits";
    struct Row {
        std::uint64_t number = 0;
        std::string name;
    };
    std::vector<Row> rows;
    for (const std::string& name : regular_files(folder)) {
        if (name.ends_with(".conf"))
            rows.push_back({std::strtoull(name.c_str(), nullptr, 10), name});
    }
    std::ranges::stable_sort(rows, std::ranges::greater(), &Row::number);
    std::size_t bytes = 0;
    std::size_t taken = 0;
    for (const Row& row : rows) {
        std::error_code error;
        bytes += fs::file_size(folder + "/" + row.name, error);
        if (taken > 0 && bytes > kCommitsBytes) break;
        if (!archive_file(folder + "/" + row.name, std::string(kCommitsPart) + row.name, files,
                          why))
            return false;
        ++taken;
    }
    if (taken < rows.size())
        left_out.push_back(std::to_string(rows.size() - taken) +
                           " commits, the oldest: there is no room for more");
    return true;
}

bool is_in_archive(const std::vector<ArchivedFile>& files, std::string_view name) {
    return std::ranges::find(files, name, &ArchivedFile::name) != files.end();
}

bool is_known_place(const std::string& name) {
    const auto is_flat = [&name](std::string_view part) {
        return name.starts_with(part) && name.find('/', part.size()) == std::string::npos;
    };
    const bool is_ours =
        name.starts_with("etc/restore.new/") || name.starts_with("etc/before-restore/");
    return (name.starts_with(kEtcPart) && !is_ours) || is_flat(kCommitsPart) ||
           is_flat(kCertificatesPart) || name == kSecretFile;
}

// Folders on the way, readable by whom the file is.
bool make_archive_folders(const fs::path& path, mode_t mode) {
    std::error_code error;
    if (path.empty() || fs::is_directory(path, error)) return true;
    return make_archive_folders(path.parent_path(), mode) && mkdir(path.c_str(), mode) == 0;
}

bool write_archived(int out, Bytes text) {
    while (!text.empty()) {
        const ssize_t size = write(out, text.data(), text.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

void sync_folder_of(const std::string& folder) {
    const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return;
    fsync(file);
    close(file);
}

}  // namespace

Json backup_places(const Configuration& configuration) {
    const config::Sources& sources = configuration.sources();
    const fs::path file =
        sources.file.empty() ? fs::path() : fs::absolute(sources.file).lexically_normal();
    Json named = Json::array();
    for (const auto& [name, entry] : configuration.tree().entries()) {
        const config::Type type = entry.path.key->type;
        const bool is_one = type == config::Type::kPath || type == config::Type::kPathList;
        if (!is_one && !name.ends_with(".next")) continue;
        for (const std::string& path : split(entry.value.text)) {
            if (path.starts_with('/') && name != "dirs.state" && name != "admin.socket")
                named.push_back(path);
        }
    }
    return {{"ok", true},
            {"file", file.string()},
            {"folder", file.empty() ? sources.root + "/etc/fedgate" : file.parent_path().string()},
            {"state", configuration.tree().text("dirs.state")},
            {"named", std::move(named)}};
}

BackupPlaces read_backup_places(const Json& json) {
    return {string_of(json, "file"), string_of(json, "folder"), string_of(json, "state"),
            strings_of(json, "named")};
}

bool collect_backup(const BackupPlaces& places, std::vector<ArchivedFile>& files,
                    std::vector<std::string>& left_out, std::string& why) {
    files.push_back(
        {kBackupAbout, about_backup(places), 0600, wall_now().time_since_epoch().count(), "", ""});
    std::error_code error;
    if (fs::exists(main_file_of(places), error) &&
        !archive_file(main_file_of(places), kBackupMain, files, why))
        return false;
    for (const std::string& name : conf_d(places)) {
        if (!archive_file(places.folder + "/" + name, std::string(kEtcPart) + name, files, why))
            return false;
    }
    const std::string certificates = places.state + "/certificates";
    for (const std::string& path : places.named) {
        const std::string here = path_below(path, places.folder);
        const std::string name = std::string(kEtcPart) + here;
        if (!path_below(path, certificates).empty() || is_in_archive(files, name)) continue;
        if (here.empty() || !path_below(path, places.state).empty()) {
            left_out.push_back(path + ": it is not in " + places.folder + ", nor in " +
                               certificates);
        } else if (std::string fault; !archive_file(path, name, files, fault)) {
            left_out.push_back(fault);
        }
    }
    for (const std::string& name : regular_files(certificates)) {
        if (!archive_file(certificates + "/" + name, std::string(kCertificatesPart) + name, files,
                          why))
            return false;
    }
    if (!take_commits(places, files, left_out, why)) return false;
    const std::string secret = places.state + "/dialback.secret";
    if (fs::exists(secret, error) && !archive_file(secret, std::string(kSecretFile), files, why))
        return false;
    std::size_t bytes = 0;
    for (const ArchivedFile& file : files) bytes += file.content.size();
    if (bytes > kBackupBytes || files.size() > kArchiveFiles) {
        why = "that is more than " + std::to_string(kBackupBytes >> 20) + " MiB or " +
              std::to_string(kArchiveFiles) + " files, which is too much for a backup";
        return false;
    }
    return true;
}

Restoration::~Restoration() {
    undo();
    if (!is_staged_) return;
    std::error_code ignored;
    fs::remove_all(staged_folder(), ignored);
    fs::remove_all(staged_state(), ignored);
}

bool Restoration::read_about(const ArchivedFile& file, std::string& why) {
    about_ = Json::object();
    std::istringstream lines(file.content);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t blank = line.find(' ');
        if (blank != std::string::npos) about_[line.substr(0, blank)] = line.substr(blank + 1);
    }
    if (file.name != kBackupAbout || string_of(about_, "format") != kBackupFormat) {
        why = "is no backup of fedctl, or of another version of it";
        return false;
    }
    // Settings name files by their whole paths.
    for (const auto& [name, here] :
         {std::pair{"folder", &places_.folder}, std::pair{"state", &places_.state}}) {
        const std::string there = string_of(about_, name);
        if (there == *here) continue;
        why = std::string("is of a machine whose ") +
              (name[0] == 'f' ? "configuration is in " : "dirs.state is ") + there +
              ", and here it is " + *here + ": make them the same first";
        return false;
    }
    return true;
}

bool Restoration::write_staged(const ArchivedFile& file, std::string& why) {
    const bool etc = file.name.starts_with(kEtcPart);
    const fs::path path = etc ? fs::path(staged_folder()) / file.name
                              : fs::path(staged_state()) / file.name.substr(std::strlen("state/"));
    if (!make_archive_folders(path.parent_path(), etc ? 0750 : 0700)) {
        why = fault_with_errno(path.parent_path(), "made");
        return false;
    }
    const int out = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0) {
        why = fault_with_errno(path, "made");
        return false;
    }
    struct stat owner{};
    bool good = write_archived(out, file.content);
    if (good && geteuid() == 0 && etc) {
        const passwd* const user = getpwnam(file.owner.c_str());
        const group* const its_group = getgrnam(file.group.c_str());
        good = fchown(out, user != nullptr ? user->pw_uid : 0,
                      its_group != nullptr ? its_group->gr_gid : 0) == 0;
    } else if (good && geteuid() == 0 && stat(places_.state.c_str(), &owner) == 0) {
        good = fchown(out, owner.st_uid, owner.st_gid) == 0 &&
               chown(path.parent_path().c_str(), owner.st_uid, owner.st_gid) == 0;
    }
    const timespec times[2] = {{file.changed, 0}, {file.changed, 0}};
    good =
        good && fchmod(out, file.mode & 0755) == 0 && futimens(out, times) == 0 && fsync(out) == 0;
    if (!good) why = fault_with_errno(path, "written");
    close(out);
    sync_folder_of(path.parent_path());
    return good;
}

// As the daemon would read it at its start, but for what the vendor has set.
bool Restoration::check_configuration(const std::vector<ArchivedFile>& files,
                                      std::string& why) const {
    std::vector<const ArchivedFile*> parts;
    const std::string part = std::string(kEtcPart) + kConfD + "/";
    for (const ArchivedFile& file : files) {
        if (file.name.starts_with(part) && file.name.ends_with(".conf")) parts.push_back(&file);
    }
    std::ranges::sort(parts, {}, &ArchivedFile::name);
    const auto main = std::ranges::find(files, kBackupMain, &ArchivedFile::name);
    if (main != files.end()) parts.push_back(&*main);
    std::string text;
    for (const ArchivedFile* one : parts) text += one->content + "\n";
    const std::string path = staged_state() + "/fedgate.conf";
    if (!write_owned_file(path, text, true, why)) return false;
    config::Sources sources;
    sources.file = path;
    sources.assignments = {"dirs.state=" + staged_state()};
    Configuration configuration(sources);
    config::Problems problems;
    const bool good = configuration.load(problems) != nullptr;
    unlink(path.c_str());
    if (good) return true;
    const auto error = std::ranges::find(problems, false, &config::Problem::warning);
    why = "holds a configuration that is not valid here: " +
          (error != problems.end() ? error->line() : std::string("it can't be read"));
    return false;
}

void Restoration::add_step(const std::string& staged, const std::string& target, bool comes) {
    std::error_code error;
    const bool is_there = fs::exists(fs::symlink_status(target, error));
    if (comes || is_there) steps_.push_back({staged, target, comes, is_there, false});
}

void Restoration::plan_steps(const std::vector<ArchivedFile>& files) {
    const auto staged_of = [this](const std::string& name) { return staged_folder() + "/" + name; };
    const auto target_of = [this](const std::string& name) {
        return name == kBackupMain ? main_file_of(places_)
                                   : places_.folder + "/" + name.substr(kEtcPart.size());
    };
    for (const ArchivedFile& file : files) {
        if (file.name.starts_with(kEtcPart))
            add_step(staged_of(file.name), target_of(file.name), true);
    }
    // What the configuration has here and not there.
    std::vector<std::string> others{kBackupMain};
    for (const std::string& name : conf_d(places_)) others.push_back(std::string(kEtcPart) + name);
    for (const std::string& name : others) {
        if (!is_in_archive(files, name)) add_step(staged_of(name), target_of(name), false);
    }
    std::error_code error;
    for (const char* name : {"commits", "certificates", "dialback.secret"}) {
        const std::string staged = staged_state() + "/" + name;
        add_step(staged, places_.state + "/" + name, fs::exists(staged, error));
    }
}

bool Restoration::stage(const std::vector<ArchivedFile>& files, std::string& why) {
    if (files.empty()) {
        why = "is empty";
        return false;
    }
    if (!read_about(files.front(), why)) return false;
    const std::vector<ArchivedFile> rest(files.begin() + 1, files.end());
    for (const ArchivedFile& file : rest) {
        if (is_known_place(file.name)) continue;
        why = "has a file " + file.name + ", which is in no backup";
        return false;
    }
    std::error_code error;
    is_staged_ = true;
    for (const std::string& folder : {staged_folder(), staged_state()}) {
        fs::remove_all(folder, error);
        if (!make_archive_folders(fs::path(folder).parent_path(), 0755) ||
            mkdir(folder.c_str(), 0700) != 0) {
            why = fault_with_errno(folder, "made");
            return false;
        }
    }
    for (const ArchivedFile& file : rest) {
        if (!write_staged(file, why)) return false;
    }
    if (!check_configuration(rest, why)) return false;
    plan_steps(rest);
    return true;
}

bool Restoration::exchange(std::string& why) {
    for (Step& step : steps_) {
        int moved = 0;
        if (!step.comes) {
            moved = make_archive_folders(fs::path(step.staged).parent_path(), 0700)
                        ? rename(step.target.c_str(), step.staged.c_str())
                        : -1;
        } else if (step.was_there) {
            moved = renameat2(AT_FDCWD, step.staged.c_str(), AT_FDCWD, step.target.c_str(),
                              RENAME_EXCHANGE);
        } else {
            moved = make_archive_folders(fs::path(step.target).parent_path(), 0755)
                        ? rename(step.staged.c_str(), step.target.c_str())
                        : -1;
        }
        if (moved != 0) {
            why = fault_with_errno(step.target, "replaced");
            undo();
            return false;
        }
        step.done = true;
        sync_folder_of(fs::path(step.target).parent_path());
    }
    return true;
}

bool Restoration::check_certificates(std::string& why) const {
    config::Sources sources;
    sources.file = places_.file;
    Configuration configuration(sources);
    config::Problems problems;
    if (configuration.load(problems) == nullptr) {
        why = problems.empty() ? "the configuration can't be read" : problems.front().line();
        return false;
    }
    const config::Tree& tree = configuration.tree();
    for (const std::string prefix : {"tls.external", "tls.internal", "tls.sip"}) {
        net::TlsConfig pair;
        pair.credentials.push_back(
            {{tree.text(prefix + ".certificate"), {}}, {tree.text(prefix + ".key"), {}}});
        const net::TlsCredential& one = pair.credentials.front();
        if (one.certificate.empty() || one.key.empty()) continue;
        if (!net::TlsContext::load(pair, &why)) return false;
    }
    return true;
}

void Restoration::undo() {
    if (is_kept_) return;
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
        if (!step->done) continue;
        if (!step->comes) {
            rename(step->staged.c_str(), step->target.c_str());
        } else if (step->was_there) {
            renameat2(AT_FDCWD, step->staged.c_str(), AT_FDCWD, step->target.c_str(),
                      RENAME_EXCHANGE);
        } else {
            rename(step->target.c_str(), step->staged.c_str());
        }
        step->done = false;
    }
}

void Restoration::finish() {
    is_kept_ = true;
    std::error_code ignored;
    for (const auto& [staged, folder] :
         {std::pair{staged_folder(), places_.folder}, std::pair{staged_state(), places_.state}}) {
        fs::remove_all(folder + kBeforeRestore, ignored);
        fs::rename(staged, folder + kBeforeRestore, ignored);
    }
}

}  // namespace fedgate::admin
