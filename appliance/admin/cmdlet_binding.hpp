// A command as typed against its row of the table: which value belongs to which parameter, with a
// note where that had to be guessed (features.md A16). Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "appliance/admin/cmdlet_table.hpp"
#include "appliance/admin/shell.hpp"

namespace fedgate::admin {

struct BoundCommand {
    const CmdletRow* row = nullptr;
    const ShellCommand* command = nullptr;
    std::map<std::string_view, ShellValue> values;  // by the parameter's name as in the table

    [[nodiscard]] bool has(std::string_view name) const { return values.contains(name); }
    // Is the switch on? `-Confirm:$false` is off.
    [[nodiscard]] bool is_on(std::string_view name) const;
    [[nodiscard]] std::string text(std::string_view name) const;
};

// `piped`: something comes through a '|', which is the first parameter. False: `why` is a sentence.
[[nodiscard]] bool bind_command(const ShellCommand&, bool piped, BoundCommand&,
                                std::vector<std::string>& notes, std::string& why);

// `federation_access=yes` for each parameter that is a property. False: `why`.
[[nodiscard]] bool settings_of(const BoundCommand&, std::vector<std::string>& settings,
                               std::string& why);

}  // namespace fedgate::admin
