#include "appliance/image/versions.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <set>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <thread>
#include <unistd.h>

#include "appliance/image/backup.hpp"
#include "appliance/image/files.hpp"
#include "appliance/image/update_file.hpp"

namespace appliance {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPause = std::chrono::seconds(2);
constexpr int kHealthyPolls = 3;                   // in turn: a version is kept
constexpr auto kTrial = std::chrono::seconds(60);  // and has so long for it
constexpr int kRestartsMax = 3;                    // of fedgated within a trial
constexpr const char* kTries = "+3";
constexpr const char* kKernels = "/efi/EFI/Linux";
constexpr const char* kUpdates = "/efi/update";
constexpr const char* kResetAsked = "/run/fedgate/factory-reset";
constexpr const char* kKey = "/usr/share/fedgate/update.key";

std::string running() { return argument("fedgate.version"); }

// Of this version, whatever its tries. The partition is mounted.
fs::path kernel_of(const std::string& version) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(kKernels, ignored)) {
        const std::string name = entry.path().filename();
        if (name == "fedgate_" + version + ".efi" || name.starts_with("fedgate_" + version + "+"))
            return entry.path();
    }
    return {};
}

// --- the version that runs

// Nobody knows of a partition that can't be read: then it is.
bool is_on_trial() {
    if (!mount_esp(MS_RDONLY)) return true;
    const bool found = kernel_of(running()).string().find('+') != std::string::npos;
    umount(kEsp);
    return found;
}

bool keep_version() {
    if (!mount_esp(0)) return false;
    std::error_code error;
    const fs::path own = kernel_of(running());
    if (!own.empty())
        fs::rename(own, fs::path(kKernels) / ("fedgate_" + running() + ".efi"), error);
    sync();
    umount(kEsp);
    return !own.empty() && !error;
}

enum class Health { kGood, kNotYet, kBroken };

Health health() {
    const std::string unit = answer_of({"/usr/bin/systemctl", "show", "-p",
                                        "LoadState,ActiveState,NRestarts", "fedgated.service"})
                                 .text;
    const auto has = [&unit](const std::string& line) {
        return ("\n" + unit).find("\n" + line) != std::string::npos;
    };
    if (!has("LoadState=loaded\n") || has("ActiveState=failed\n")) return Health::kBroken;
    const std::size_t at = unit.find("NRestarts=");
    if (at != std::string::npos && std::atoi(unit.c_str() + at + 10) > kRestartsMax)
        return Health::kBroken;
    // It serves, and its control thread answers.
    const bool is_good =
        has("ActiveState=active\n") && answer_of({"/usr/bin/fedctl", "status"}).status == 0;
    return is_good ? Health::kGood : Health::kNotYet;
}

// --- the next version

void tell_of_update(const std::string& text) { tell_more("update", text); }

std::uint64_t size_of(int device) {
    std::uint64_t bytes = 0;
    return ioctl(device, BLKGETSIZE64, &bytes) == 0 ? bytes : 0;
}

std::string write_part(int from, const UpdatePart& part, const std::string& path, int flags) {
    const File to(path, O_WRONLY | flags);
    if (to.get() < 0) return path + ": " + strerror(errno);
    std::string fault =
        read_part(from, part, [&](const char* data, std::size_t size) -> std::string {
            while (size > 0) {
                const ssize_t done = write(to.get(), data, size);
                if (done <= 0) return path + ": " + strerror(errno);
                data += done;
                size -= static_cast<std::size_t>(done);
            }
            return {};
        });
    if (fault.empty() && fsync(to.get()) != 0) fault = path + ": " + strerror(errno);
    return fault;
}

// Other versions' kernels go first: what they name is about to be overwritten.
void remove_others() {
    const fs::path own = kernel_of(running());
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(kKernels, ignored)) {
        if (entry.path() != own) fs::remove(entry.path(), ignored);
    }
    sync();
}

// The partition is mounted for writing; a fault leaves the version that runs as the only one.
std::string write_update(int from, const Update& update, char slot) {
    remove_others();
    for (std::size_t i = 0; i < 2; ++i) {
        const UpdatePart& part = update.parts[i];
        const std::string fault = write_part(from, part, device_of(part.name + "-" + slot), 0);
        if (!fault.empty()) return fault;
    }
    const fs::path made = fs::path(kKernels) / "new";
    std::string fault = write_part(from, update.parts[2], made, O_CREAT | O_TRUNC);
    std::error_code error;
    if (fault.empty())
        fs::rename(made, fs::path(kKernels) / ("fedgate_" + update.version + kTries + ".efi"),
                   error);
    if (error) fault = error.message();
    sync();
    return fault;
}

// Nothing has been written then.
std::string fault_of(int file, char slot, Update& update) {
    std::string key = read_text(kKey);
    std::string fault = read_head(file, first_line(key), update);
    if (!fault.empty()) return fault;
    fault = fault_of_version(update, running(),
                             std::strtoull(argument("fedgate.serial").c_str(), nullptr, 10));
    if (!fault.empty()) return fault;
    for (std::size_t i = 0; i < update.parts.size(); ++i) {
        const UpdatePart& part = update.parts[i];
        if (i < 2) {
            const std::string device = device_of(part.name + "-" + slot);
            const File to(device, O_RDONLY);
            if (to.get() < 0) return "this machine has no slot " + std::string(1, slot);
            if (size_of(to.get()) < part.bytes)
                return "its " + part.name + " has " + std::to_string(part.bytes) +
                       " bytes, and the slot " + std::to_string(size_of(to.get()));
        }
        fault = read_part(file, part, [](const char*, std::size_t) { return std::string(); });
        if (!fault.empty()) return fault;
    }
    return {};
}

enum class Taken { kWritten, kRefused, kRunsAlready };

// The partition is mounted. Written: the machine has to start again.
Taken take_update(const std::string& path, const std::string& from) {
    const File file(path, O_RDONLY);
    const char slot = read_text(fs::path(kRun) / "slot").starts_with("a") ? 'b' : 'a';
    Update update;
    std::string fault = fault_of(file.get(), slot, update);
    if (fault.empty() && update.version == running()) return Taken::kRunsAlready;
    if (fault.empty() && kernel_of(running()).empty())
        fault = "the kernel of " + running() + ", which runs, is not where it should be";
    if (fault.empty() && !kernel_of(update.version).empty()) {
        fault = "version " + update.version +
                " is here already, and did not serve or is yet to be started";
    }
    if (!fault.empty()) {
        tell_of_update("the update from " + from + " was refused: " + fault +
                       "; nothing was written");
        return Taken::kRefused;
    }
    tell_of_update("writing version " + update.version + " to slot " + slot);
    fault = write_update(file.get(), update, slot);
    tell_of_update(fault.empty() ? "version " + update.version + " is in slot " + slot +
                                       ": starting again with it"
                                 : "the update from " + from + " can't be written: " + fault);
    return fault.empty() ? Taken::kWritten : Taken::kRefused;
}

bool look_at_partition() {
    if (!mount_esp(0)) return false;
    bool is_taken = false;
    std::error_code ignored;
    std::set<fs::path> files;
    for (const auto& entry : fs::directory_iterator(kUpdates, ignored)) {
        if (entry.path().extension() == ".fgu") files.insert(entry.path());
    }
    for (const fs::path& file : files) {
        if (is_taken) break;
        const Taken taken =
            take_update(file, "the EFI system partition, " + file.filename().string() + ",");
        is_taken = taken == Taken::kWritten;
        if (taken != Taken::kRefused) fs::remove(file, ignored);
    }
    sync();
    umount(kEsp);
    return is_taken;
}

// seen: the disks that were looked at, and are still there.
bool look_at_disks(std::set<std::string>& seen) {
    std::set<std::string> present;
    bool is_taken = false;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/sys/block", ignored)) {
        const std::string name = entry.path().filename();
        present.insert(name);
        if (is_taken || seen.contains(name)) continue;
        const std::string path = "/dev/" + name;
        std::string beginning(std::strlen(kUpdateMagic), 0);
        const File disk(path, O_RDONLY);
        if (pread(disk.get(), beginning.data(), beginning.size(), 0) !=
                static_cast<ssize_t>(beginning.size()) ||
            beginning != kUpdateMagic || !mount_esp(0))
            continue;
        is_taken = take_update(path, "the disk " + name) == Taken::kWritten;
        umount(kEsp);
    }
    seen = present;
    return is_taken;
}

// By fedctl factory-reset. The next start does it.
void look_for_reset() {
    std::error_code ignored;
    if (!fs::exists(kResetAsked, ignored)) return;
    std::string fault = "there is no EFI system partition";
    if (mount_esp(0)) {
        fs::create_directory(fs::path(kResetWish).parent_path(), ignored);
        fault = write_text(kResetWish, "", 0600);
        sync();
        umount(kEsp);
    }
    fs::remove(kResetAsked, ignored);
    tell("reset", fault.empty() ? "starting again for it" : "NOT DONE: " + fault);
    if (fault.empty()) answer_of({"/usr/bin/systemctl", "reboot"});
}

}  // namespace

int judge_trial() {
    if (!is_on_trial()) return 0;
    tell("trial", "on trial");
    const auto end = Clock::now() + kTrial;
    for (int good = 0; Clock::now() < end;) {
        const Health now = health();
        if (now == Health::kBroken) break;
        good = now == Health::kGood ? good + 1 : 0;
        if (good >= kHealthyPolls) {
            tell("trial", keep_version() ? "kept" : "serves, and can't be kept yet");
            return 0;
        }
        std::this_thread::sleep_for(kPause);
    }
    tell("trial", "on trial, and does not serve: starting again");
    std::this_thread::sleep_for(2 * kPause);  // for the console
    sync();
    reboot(RB_AUTOBOOT);
    return 1;
}

void look_for_updates() {
    // Its kernel's name still has a count, though it serves.
    while (is_on_trial() && !keep_version()) std::this_thread::sleep_for(kPause);
    write_backups();
    std::set<std::string> seen;
    bool is_taken = look_at_partition();
    while (true) {
        if (is_taken || look_at_disks(seen)) {
            std::this_thread::sleep_for(2 * kPause);  // for the console
            answer_of({"/usr/bin/systemctl", "reboot"});
            is_taken = false;
        }
        look_for_reset();
        std::this_thread::sleep_for(kPause);
    }
}

}  // namespace appliance
