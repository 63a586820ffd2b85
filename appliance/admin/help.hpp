// fedctl help: the text, and the verbs and actions that it names.
#pragma once

#include <string_view>

namespace fedgate::admin {

constexpr std::string_view kVerbs[] = {
    "status", "ports",   "streams", "counters",  "top",          "events",   "explain",
    "reload", "partner", "policy",  "user",      "site",         "cs",       "pool",
    "route",  "config",  "sysctl",  "dns",       "cert",         "doctor",   "services",
    "setup",  "trace",   "test",    "help",      "version",      "firewall", "kernel",
    "report", "backup",  "restore", "appliance", "factory-reset"};
constexpr std::string_view kPartnerActions[] = {"list",       "show",   "add",   "set",
                                                "reset",      "remove", "block", "unblock",
                                                "attributes", "sheet",  "import"};
constexpr std::string_view kTopologyActions[] = {"list", "show", "set", "remove"};
constexpr std::string_view kRouteActions[] = {"list", "set", "unset"};
constexpr std::string_view kConfigActions[] = {"log",   "diff",   "rollback",
                                               "check", "commit", "confirm"};

[[nodiscard]] std::string_view help_text();

}  // namespace fedgate::admin
