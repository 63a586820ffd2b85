// The certificate commands of `fedctl cs` (features.md A8): each is a line of `fedctl cert`.
#pragma once

#include <string>
#include <vector>

#include "appliance/admin/cmdlet_binding.hpp"
#include "appliance/admin/cmdlets.hpp"

namespace fedgate::admin {

struct CertificateCmdlet {
    const BoundCommand& command;
    bool piped = false;  // `input` is what comes through a '|'
    const std::vector<ShellObject>& input;
    std::string comment;  // of a commit
};

// What it prints and notes goes to the outcome. False: `why` there.
[[nodiscard]] bool run_certificate_cmdlet(const CertificateCmdlet&, const Ask&, CmdletsOutcome&,
                                          std::vector<ShellObject>& objects);

}  // namespace fedgate::admin
