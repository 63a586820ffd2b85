#include "appliance/admin/roles.hpp"

#include <algorithm>
#include <cstdint>
#include <grp.h>
#include <optional>
#include <pwd.h>
#include <sstream>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/file.hpp"

namespace fedgate::admin {
namespace {

constexpr std::size_t kGroups = 65'536;  // NGROUPS_MAX of Linux

struct Row {
    std::string_view verb;
    std::string_view action;  // `*`: any
    Role role;
};

// Whoever reads is a viewer; whoever runs the machine from day to day, and changes nothing that
// stays, an operator. What is not here is an administrator's.
constexpr Row kRows[] = {
    {"status", "*", Role::kViewer},        {"ports", "*", Role::kViewer},
    {"streams", "*", Role::kViewer},       {"counters", "*", Role::kViewer},
    {"events", "*", Role::kViewer},        {"explain", "*", Role::kViewer},
    {"cert", "*", Role::kViewer},          {"dns", "*", Role::kViewer},
    {"services", "", Role::kViewer},       {"services", "*", Role::kOperator},
    {"doctor", "*", Role::kOperator},      {"trace", "*", Role::kOperator},
    {"test", "*", Role::kOperator},        {"sysctl", "", Role::kViewer},
    {"sysctl", "get", Role::kViewer},      {"sysctl", "all", Role::kViewer},
    {"sysctl", "diff", Role::kViewer},     {"sysctl", "describe", Role::kViewer},
    {"sysctl", "pending", Role::kViewer},  {"sysctl", "check", Role::kViewer},
    {"sysctl", "reload", Role::kOperator}, {"partner", "list", Role::kViewer},
    {"partner", "show", Role::kViewer},    {"partner", "sheet", Role::kViewer},
    {"partner", "block", Role::kOperator}, {"partner", "unblock", Role::kOperator},
    {"policy", "list", Role::kViewer},     {"policy", "show", Role::kViewer},
    {"user", "list", Role::kViewer},       {"user", "show", Role::kViewer},
    {"site", "list", Role::kViewer},       {"site", "show", Role::kViewer},
    {"pool", "list", Role::kViewer},       {"pool", "show", Role::kViewer},
    {"route", "list", Role::kViewer},      {"config", "log", Role::kViewer},
    {"config", "diff", Role::kViewer},     {"machine", "*", Role::kViewer},
    {"appliance", "show", Role::kViewer},
};

std::optional<gid_t> group_number(const std::string& name) {
    char memory[16'384];
    group entry{};
    group* found = nullptr;
    getgrnam_r(name.c_str(), &entry, memory, sizeof memory, &found);
    return found != nullptr ? std::optional(found->gr_gid) : std::nullopt;
}

bool is_in(const std::vector<std::string>& names, const std::vector<gid_t>& groups) {
    return std::ranges::any_of(names, [&groups](const std::string& name) {
        const std::optional<gid_t> number = group_number(name);
        return number && std::ranges::find(groups, *number) != groups.end();
    });
}

// What the process has, not what a directory says of its user.
std::vector<gid_t> groups_of(int descriptor, gid_t primary) {
    std::vector<gid_t> groups(kGroups);
    auto length = static_cast<socklen_t>(groups.size() * sizeof groups[0]);
    const bool good =
        getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length) == 0;
    groups.resize(good ? length / sizeof groups[0] : 0);
    groups.push_back(primary);
    return groups;
}

std::string name_of_user(uid_t user) {
    char memory[4096];
    passwd entry{};
    passwd* found = nullptr;
    getpwuid_r(user, &entry, memory, sizeof memory, &found);
    return found != nullptr ? found->pw_name : "uid " + std::to_string(user);
}

// In a user namespace of its own, the others are nobody, in no group.
bool sees_all_users() {
    std::string map;
    std::string why;
    if (!read_file("/proc/self/uid_map", map, why)) return true;
    std::istringstream words(map);
    std::uint64_t first = 0;
    std::uint64_t outside = 0;
    std::uint64_t count = 0;
    words >> first >> outside >> count;
    return first == 0 && outside == 0 && count >= UINT32_MAX;
}

}  // namespace

std::string_view name_of(Role role) {
    constexpr std::string_view kNames[] = {"nobody", "viewer", "operator", "administrator"};
    return kNames[static_cast<std::size_t>(role)];
}

Caller caller_of(int descriptor, const rules::Settings::AdminGroups& names) {
    ucred peer{};
    socklen_t length = sizeof peer;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
        return {"unknown", Role::kNone};
    }
    Caller caller{name_of_user(peer.uid), Role::kNone};
    if (names.empty() || peer.uid == 0 || peer.uid == geteuid()) {
        caller.role = Role::kAdministrator;
        return caller;
    }
    const std::vector<gid_t> groups = groups_of(descriptor, peer.gid);
    caller.role = is_in(names.administrators, groups) ? Role::kAdministrator
                  : is_in(names.operators, groups)    ? Role::kOperator
                  : is_in(names.viewers, groups)      ? Role::kViewer
                                                      : Role::kNone;
    return caller;
}

std::vector<std::string> unknown_groups(const rules::Settings::AdminGroups& names) {
    std::vector<std::string> all;
    if (!names.empty() && !sees_all_users()) {
        all.emplace_back(
            "admin.groups is set, and fedgated can't see in which groups a caller is: "
            "PrivateUsers=no is missing in its unit (systemctl edit fedgated)");
    }
    for (const auto* some : {&names.administrators, &names.operators, &names.viewers}) {
        for (const std::string& name : *some) {
            if (!group_number(name))
                all.push_back("admin.groups names " + name +
                              ", and this machine has no such group");
        }
    }
    return all;
}

Role role_for(std::string_view verb, std::string_view action, bool any_arguments) {
    if (verb == "services" && any_arguments) action = "stop";
    for (const Row& row : kRows) {
        if (row.verb == verb && (row.action == "*" || row.action == action)) return row.role;
    }
    return Role::kAdministrator;
}

}  // namespace fedgate::admin
