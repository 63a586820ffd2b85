// Files in one text, as tar(1) writes and reads them (POSIX.1-1988, "ustar"). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"

namespace fedgate::admin {

struct ArchivedFile {
    std::string name;  // `etc/tls/key.pem`
    std::string content;
    unsigned mode = 0600;
    std::int64_t changed = 0;  // seconds since 1970
    std::string owner;
    std::string group;
};

constexpr std::size_t kArchiveFiles = 4096;

// Can a file be called so in one: relative, no `..`, no blanks at its ends, printable, and short?
[[nodiscard]] bool is_archive_name(std::string_view name);

// Names are good ones (is_archive_name), contents below 8 GiB.
[[nodiscard]] std::string write_archive(const std::vector<ArchivedFile>&);
// Regular files with good names, no name twice, and nothing else. False: `why` is the rest of a
// sentence about it.
[[nodiscard]] bool read_archive(Bytes, std::vector<ArchivedFile>&, std::string& why);

}  // namespace fedgate::admin
