// The systemd journal by its own protocol: each event as fields, FG_EVENT=FG-1101 and the like,
// that journalctl can ask for. Control thread.
#pragma once

#include <string>

#include "core/run/log.hpp"

namespace fedgate {

class Journal {
public:
    // Where standard error leads to it; else one that takes nothing.
    [[nodiscard]] static Journal of_stderr();
    explicit Journal(const std::string& socket);  // empty: takes nothing
    ~Journal();
    Journal(Journal&&) = delete;
    Journal& operator=(Journal&&) = delete;

    // False: not taken; write it elsewhere.
    [[nodiscard]] bool send(const LogRecord&, Language) const;

private:
    int descriptor_ = -1;
};

}  // namespace fedgate
