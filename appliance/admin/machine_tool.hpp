// fedctl firewall, fedctl kernel: what the machine needs, as texts for nft(8) and sysctl.d(5).
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "appliance/admin/outside_tool.hpp"

namespace fedgate::admin {

struct MachineToolOptions {
    std::ostream& out;
    std::ostream& err;
    bool json = false;
    AskDaemon ask;
};

// `verb`: firewall or kernel. Returns the exit status.
[[nodiscard]] int run_machine_tool(const MachineToolOptions&, const std::string& verb,
                                   const std::vector<std::string>& rest);

// `machine`: as machine_of() has it. `also`: `tcp:22`. Names of gateways that have no address now
// are added to `unknown`.
[[nodiscard]] std::string firewall_text(const Json& machine, const std::vector<std::string>& also,
                                        std::vector<std::string>& unknown);
[[nodiscard]] std::string kernel_text(const Json& machine);

}  // namespace fedgate::admin
