#include "appliance/image/in_force.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace appliance {

namespace {

std::string make_folder(const fs::path& folder, mode_t mode, bool is_of_user) {
    std::error_code error;
    fs::remove_all(folder, error);
    const passwd* const user = getpwnam(kUser);
    if (user == nullptr) return "no user fedgate";
    if (mkdir(folder.c_str(), mode) != 0 ||
        chown(folder.c_str(), is_of_user ? user->pw_uid : 0, user->pw_gid) != 0)
        return folder.string() + ": " + strerror(errno);
    return {};
}

}  // namespace

std::string make_new() { return make_folder(kNew, 0750, false); }

std::string make_state(const fs::path& folder) { return make_folder(folder, 0700, true); }

Answer answer_in_new(const std::vector<std::string>& command, const char* state,
                     const std::function<bool()>& before) {
    return answer_of(command, [&] {
        return unshare(CLONE_NEWNS) == 0 &&
               mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               mount(kNew, kEtc, nullptr, MS_BIND, nullptr) == 0 &&
               (state == nullptr || mount(state, kDaemonState, nullptr, MS_BIND, nullptr) == 0) &&
               (!before || before());
    });
}

std::string fault_of_new(const char* state) {
    const Answer answer = answer_in_new({"/usr/sbin/fedgated", "--check"}, state, [] {
        const passwd* const user = getpwnam(kUser);
        return user != nullptr && setgroups(0, nullptr) == 0 && setgid(user->pw_gid) == 0 &&
               setuid(user->pw_uid) == 0;
    });
    if (answer.status == 0) return {};
    // Warnings come with it; what is wrong is in the line that says so.
    std::istringstream lines(answer.text);
    for (std::string line; std::getline(lines, line);) {
        if (line.find("error") != std::string::npos) return line;
    }
    return answer.text.empty() ? "fedgated --check failed" : first_line(answer.text);
}

std::string put_in_force() {
    mkdir(kInForce, 0755);
    if (renameat2(AT_FDCWD, kNew, AT_FDCWD, kInForce, RENAME_EXCHANGE) != 0) return strerror(errno);
    sync_folder(kState);
    std::error_code ignored;
    fs::remove_all(kNew, ignored);
    return {};
}

}  // namespace appliance
