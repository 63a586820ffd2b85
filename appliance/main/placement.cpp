#include "appliance/main/placement.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace fedgate {
namespace {

config::CpuSet missing(const config::CpuSet& wanted, const config::CpuSet& usable) {
    config::CpuSet not_there;
    std::ranges::set_difference(wanted, usable, std::back_inserter(not_there));
    return not_there;
}

std::string key_of(std::uint32_t core) { return "core." + std::to_string(core) + ".cpu"; }

}  // namespace

std::string fault_of_placement(const rules::Settings& settings, std::uint32_t cores,
                               const config::CpuSet& usable) {
    const auto fault = [&usable](const std::string& key, const config::CpuSet& wanted) {
        const config::CpuSet not_there = missing(wanted, usable);
        if (not_there.empty()) return std::string();
        return key + ": there is no CPU " + config::format_cpu_set(not_there) +
               " that this process may use; there is " + config::format_cpu_set(usable);
    };
    if (std::string why = fault("core.*.cpu", settings.cores.every); !why.empty()) return why;
    for (const auto& [core, cpus] : settings.cores.own) {
        if (core >= cores) {
            return key_of(core) + ": there is no core " + std::to_string(core) +
                   "; there are cores 0 to " + std::to_string(cores - 1) + " (core.threads)";
        }
        if (std::string why = fault(key_of(core), cpus); !why.empty()) return why;
    }
    return {};
}

std::vector<std::string> remarks_of_placement(const rules::Settings& settings, std::uint32_t cores,
                                              const config::CpuSet& usable) {
    std::vector<std::string> remarks;
    for (std::uint32_t core = 0; core < cores; ++core) {
        const config::CpuSet& wanted = settings.cores.cpus_of(core);
        const config::CpuSet not_there = missing(wanted, usable);
        if (not_there.empty()) continue;
        remarks.push_back(key_of(core) + " = " + config::format_cpu_set(wanted) +
                          ": this process may not use CPU " + config::format_cpu_set(not_there) +
                          (not_there == wanted ? "; the core runs as if nothing were set"
                                               : "; the core runs on the others"));
    }
    return remarks;
}

std::string remark_of_refusal(const std::vector<std::uint32_t>& cores, int why) {
    if (cores.empty()) return {};
    std::string keys;
    for (const std::uint32_t core : cores) keys += (keys.empty() ? "" : ", ") + key_of(core);
    return keys + (cores.size() == 1 ? " does" : " do") +
           " not act: the system refuses sched_setaffinity (" + std::strerror(why) +
           "); under systemd, SystemCallFilter=sched_setaffinity in the unit lets it (systemctl "
           "edit fedgated)";
}

}  // namespace fedgate
