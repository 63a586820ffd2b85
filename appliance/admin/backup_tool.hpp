// fedctl backup, fedctl restore. They work on the files of this machine, with or without a running
// daemon; one that runs takes what was restored at once.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "appliance/admin/outside_tool.hpp"

namespace fedgate::admin {

struct BackupToolOptions {
    std::istream& in;
    std::ostream& out;
    std::ostream& err;
    bool json = false;
    bool out_is_terminal = false;
    bool in_is_terminal = false;
    AskDaemon ask;
};

// `verb`: backup or restore. Returns the exit status.
[[nodiscard]] int run_backup_tool(const BackupToolOptions&, const std::string& verb,
                                  const std::vector<std::string>& rest);

}  // namespace fedgate::admin
