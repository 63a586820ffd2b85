// What a shell would do elsewhere, in an appliance that has none.
//
//   keeper configure   before fedgated: takes a new configuration, if somebody has brought one, and
//                      puts the one in force at /etc/fedgate. One that is not good changes nothing.
//                      Before that a backup is restored (backup.hpp), if that is asked for
//   keeper trial       judges this version, if it is on trial (versions.hpp)
//   keeper update      then writes backups that are asked for, and looks for the next version
//   keeper console     says on the console how things are, and again when that has changed
//
// A configuration is the file fedgate.conf and what it names (certificates, keys), in the folder
// fedgate of the EFI system partition, or as credentials of systemd: fedgate.conf, and fedgate.NAME
// for NAME.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <ifaddrs.h>
#include <iterator>
#include <map>
#include <net/if.h>
#include <pwd.h>
#include <set>
#include <sstream>
#include <string>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "appliance/image/backup.hpp"
#include "appliance/image/files.hpp"
#include "appliance/image/in_force.hpp"
#include "appliance/image/versions.hpp"

namespace {

using namespace appliance;
namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;  // name -> content

constexpr const char* kTaken = "/var/lib/appliance/taken";  // mark of the credentials
constexpr const char* kCredentials = "/run/credentials/@system";
constexpr const char* kMain = "fedgate.conf";
constexpr const char* kReadMe = "README.TXT";  // of the image: stays on the partition
constexpr const char* kFolder = "fedgate";     // of the partition
constexpr std::size_t kFilesMax = 64;
constexpr std::size_t kBytesMax = 1 << 20;
constexpr unsigned kFreeMin = 2;  // percent of /var
constexpr auto kPause = std::chrono::seconds(2);

// --- where a configuration comes from

// Regular files of a folder whose names begin so; without that beginning, but for the main one.
std::string read_folder(const fs::path& folder, const std::string& beginning, Files& files) {
    std::size_t bytes = 0;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
        std::string name = entry.path().filename();
        if (!entry.is_regular_file(ignored) || name == kReadMe ||
            name == fs::path(kResetWish).filename() || !name.starts_with(beginning))
            continue;
        if (name != kMain) name = name.substr(beginning.size());
        bytes += entry.file_size(ignored);
        if (bytes > kBytesMax || files.size() == kFilesMax) return "more than 64 files or 1 MiB";
        files[name] = read_text(entry.path());
    }
    return {};
}

struct Offer {
    std::string from;
    std::string fault;
    Files files;
    bool on_esp = false;
};

Offer find_offer() {
    Offer offer;
    if (mount_esp(MS_RDONLY)) {
        offer.from = "the EFI system partition";
        offer.on_esp = true;
        offer.fault = read_folder(fs::path(kEsp) / kFolder, "", offer.files);
        umount(kEsp);
        if (offer.files.contains(kMain) || !offer.fault.empty()) return offer;
        if (!offer.files.empty()) {
            offer.fault = "no file fedgate.conf, but others: " + offer.files.begin()->first;
            return offer;
        }
    }
    offer = {"a credential", "", {}, false};
    offer.fault = read_folder(kCredentials, "fedgate.", offer.files);
    if (!offer.files.contains(kMain)) offer.files.clear();
    return offer;
}

// It is taken once: what is changed later, by whatever way, holds over it.
void consume_esp(const Files& files) {
    if (!mount_esp(0)) return;
    // Keys are among them.
    for (const auto& [name, content] : files) wipe(fs::path(kEsp) / kFolder / name);
    sync();
    umount(kEsp);
}

// Of all names and contents (FNV-1a): whether a credential is the one that was taken before.
std::string mark_of(const Files& files) {
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&hash](const std::string& text) {
        for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
        hash = (hash ^ text.size()) * 0x100000001b3;
    };
    for (const auto& [name, content] : files) {
        add(name);
        add(content);
    }
    return std::to_string(hash);
}

// --- what makes one hold

std::string write_new(const Files& files) {
    std::string fault = make_new();
    const passwd* const user = getpwnam(kUser);
    if (!fault.empty() || user == nullptr) return fault;
    for (const auto& [name, content] : files) {
        const fs::path path = fs::path(kNew) / name;
        fault = write_text(path, content, 0640);
        if (!fault.empty()) return fault;
        if (chown(path.c_str(), 0, user->pw_gid) != 0) return name + ": " + strerror(errno);
    }
    sync_folder(kNew);
    return {};
}

// A credential that is there already is older than what comes another way.
void remember_credentials() {
    Files older;
    read_folder(kCredentials, "fedgate.", older);
    if (older.contains(kMain)) write_text(kTaken, mark_of(older), 0600);
    sync_folder(kState);
}

void take(const Offer& offer) {
    const std::string mark = mark_of(offer.files);
    if (!offer.on_esp && read_text(kTaken) == mark) return;
    std::string fault = offer.fault;
    if (fault.empty()) fault = write_new(offer.files);
    if (fault.empty()) fault = fault_of_new();
    if (fault.empty()) fault = put_in_force();
    if (!fault.empty()) {
        tell("refused", "the configuration from " + offer.from + " was refused: " + fault);
        return;
    }
    remember_credentials();
    if (offer.on_esp) consume_esp(offer.files);
    tell("taken", "the configuration from " + offer.from + " was taken");
}

// What the network says of name servers. fedgated reads it when it starts.
void write_resolvers() {
    std::istringstream lines(read_text("/run/systemd/netif/state"));
    std::string text;
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("DNS=")) continue;
        std::istringstream servers(line.substr(4));
        for (std::string server; servers >> server;) text += "nameserver " + server + "\n";
    }
    write_text(fs::path(kRun) / "resolv.conf", text, 0644);
}

// Empty, or why something is left of what is kept.
std::string empty_var() {
    const std::string why = first_line(read_text(fs::path(kRun) / "var"));
    if (!why.empty()) return "/var can't be used: " + why;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/var", ignored))
        fs::remove_all(entry.path(), ignored);
    sync();
    for (const char* kept : {kState, kDaemonState}) {
        if (fs::exists(kept, ignored)) return std::string(kept) + " can't be removed";
    }
    return {};
}

// Asked for by a file of this name beside a configuration: all that is kept goes, and the next
// start is a first one. The wish goes last, so that a stop in between loses nothing of it.
void reset_if_asked() {
    if (!mount_esp(0)) return;
    const fs::path wish = kResetWish;
    std::error_code ignored;
    const bool is_asked = fs::exists(wish, ignored);
    std::string fault;
    if (is_asked) {
        fault = empty_var();
        if (fault.empty() && !fs::remove(wish, ignored)) fault = "the wish for it can't be removed";
        sync();
    }
    umount(kEsp);
    if (is_asked && fault.empty()) reboot(RB_AUTOBOOT);
    if (!fault.empty()) tell("reset", "NOT DONE, its wish stays: " + fault);
}

int configure() {
    reset_if_asked();
    mkdir(kRun, 0755);
    mkdir("/var/lib", 0755);
    mkdir(kState, 0755);
    write_resolvers();
    restore_if_asked(remember_credentials);
    const Offer offer = find_offer();
    if (!offer.files.empty() || !offer.fault.empty()) take(offer);
    mkdir(kInForce, 0755);
    if (mount(kInForce, kEtc, nullptr, MS_BIND, nullptr) != 0) {
        std::fprintf(stderr, "keeper: %s: %s\n", kEtc, strerror(errno));
        return 1;
    }
    return 0;
}

// --- how things are

std::string value_of(const std::string& text, const std::string& name) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(name + "=")) continue;
        line.erase(0, name.size() + 1);
        std::erase(line, '"');
        return line;
    }
    return {};
}

std::string addresses() {
    std::set<std::string> found;
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return "none";
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
        std::array<char, INET6_ADDRSTRLEN> text{};
        const int family = entry->ifa_addr->sa_family;
        if (family == AF_INET) {
            inet_ntop(family, &reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr,
                      text.data(), text.size());
        } else if (family == AF_INET6) {
            const in6_addr& address = reinterpret_cast<sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
            if (!IN6_IS_ADDR_LINKLOCAL(&address))
                inet_ntop(family, &address, text.data(), text.size());
        }
        if (text[0] != 0) found.insert(text.data());
    }
    freeifaddrs(list);
    std::string all;
    for (const std::string& one : found) all += one + " ";
    return all.empty() ? "none" : all.substr(0, all.size() - 1);
}

// The kernel's tables: each row with its address, port and state. Not of loopback alone.
void add_listening(const std::string& table, bool is_tcp,
                   std::map<int, std::set<std::string>>& found) {
    std::istringstream lines(read_text("/proc/net/" + table));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        std::string number, local, remote, state;
        words >> number >> local >> remote >> state;
        const std::size_t colon = local.find(':');
        if (colon == std::string::npos || state != (is_tcp ? "0A" : "07")) continue;
        const std::string address = local.substr(0, colon);
        const bool is_loopback =
            address == "0100007F" || address == "00000000000000000000000001000000";
        if (!is_loopback)
            found[std::stoi(local.substr(colon + 1), nullptr, 16)].insert(is_tcp ? "tcp" : "udp");
    }
}

std::string listening() {
    std::map<int, std::set<std::string>> found;
    for (const char* table : {"tcp", "tcp6"}) add_listening(table, true, found);
    for (const char* table : {"udp", "udp6"}) add_listening(table, false, found);
    std::string all;
    for (const auto& [port, transports] : found) {
        for (const std::string& transport : transports)
            all += transport + ":" + std::to_string(port) + " ";
    }
    return all.empty() ? "none" : all.substr(0, all.size() - 1);
}

std::string failed_units() {
    std::istringstream lines(answer_of({"/usr/bin/systemctl", "list-units", "--failed",
                                        "--no-legend", "--plain", "--no-pager"})
                                 .text);
    std::string all;
    for (std::string line; std::getline(lines, line);) all += line.substr(0, line.find(' ')) + " ";
    return all.empty() ? "none" : all.substr(0, all.size() - 1);
}

std::string configuration(bool& is_refused) {
    const std::string refused = first_line(read_text(fs::path(kRun) / "refused"));
    is_refused = !refused.empty();
    const bool has_one = fs::exists(fs::path(kEtc) / kMain);
    if (is_refused)
        return refused + (has_one ? "; the one before is in force" : "; nothing is let through");
    if (!has_one) return "none: nothing is let through";
    return "in force";
}

// Of /var: what can't be kept there is no reason to stop serving.
std::string state_of_var() {
    const std::string why = first_line(read_text(fs::path(kRun) / "var"));
    if (!why.empty()) return "NOT KEPT, /var can't be used: " + why;
    struct statvfs room{};
    if (statvfs("/var", &room) != 0) return std::string("NOT KEPT, /var: ") + strerror(errno);
    if ((room.f_flag & ST_RDONLY) != 0) return "NOT KEPT, /var has a fault and is read-only";
    if (room.f_bavail * 100 < room.f_blocks * kFreeMin || room.f_favail == 0)
        return "NOT KEPT, /var is full";
    const std::string lost = first_line(read_text(fs::path(kRun) / "var.new"));
    if (!lost.empty()) return "kept in /var, which was damaged and is new: what it had is LOST";
    return "kept in /var";
}

std::string page() {
    const std::string unit =
        answer_of({"/usr/bin/systemctl", "show", "-p", "ActiveState,Result", "fedgated.service"})
            .text;
    const std::string state = value_of(unit, "ActiveState");
    const std::string slot = read_text(fs::path(kRun) / "slot");
    const bool is_ready = state == "active";
    bool is_refused = false;
    const std::string configured = configuration(is_refused);
    std::ostringstream page;
    page << "fedgate: " << (is_ready ? "ready" : "not ready") << "\n";
    const auto row = [&page](const char* name, const std::string& value) {
        page << "  " << name << std::string(16 - std::strlen(name), ' ') << value << "\n";
    };
    const std::string trial = first_line(read_text(fs::path(kRun) / "trial"));
    row("version",
        argument("fedgate.version") + ", slot " + slot + (trial.empty() ? "" : ", " + trial));
    for (const char* name : {"update", "backup"}) {
        std::istringstream told(read_text(fs::path(kRun) / name));
        for (std::string line; std::getline(told, line);) row(name, line);
    }
    const std::string reset = first_line(read_text(fs::path(kRun) / "reset"));
    if (!reset.empty()) row("reset", reset);
    row("service", is_ready ? state : state + ", " + value_of(unit, "Result"));
    row("addresses", addresses());
    row("listening", listening());
    row("configuration", configured);
    row("state", state_of_var());
    row("failed units", failed_units());
    row("next", is_refused                       ? "correct the file and start again"
                : configured.starts_with("none") ? "put fedgate.conf into the folder fedgate of "
                                                   "the EFI system partition, and start again"
                : is_ready                       ? "nothing: it serves"
                                                 : "journalctl of this machine has the reason");
    return page.str();
}

void show(const char* terminal, const std::string& text) {
    const int file = open(terminal, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return;
    const std::string out = "\n" + text;
    if (write(file, out.data(), out.size()) < 0)
        std::fprintf(stderr, "keeper: %s: %s\n", terminal, strerror(errno));
    close(file);
}

[[noreturn]] void console() {
    std::string shown;
    while (true) {
        const std::string now = page();
        if (now != shown) {
            show("/dev/ttyS0", now);
            show("/dev/tty1", now);
            tell("page.new", now);  // for fedctl appliance
            rename("/run/appliance/page.new", "/run/appliance/page");
            shown = now;
        }
        std::this_thread::sleep_for(kPause);
    }
}

}  // namespace

int main(int count, char** words) {
    const std::string verb = count == 2 ? words[1] : "";
    if (verb == "configure") return configure();
    if (verb == "trial") return judge_trial();
    if (verb == "update") look_for_updates();
    if (verb == "console") console();
    std::fputs("usage: keeper configure | trial | update | console\n", stderr);
    return 2;
}
