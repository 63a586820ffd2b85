// Users out of files: CSV, as spreadsheets and Export-Csv write it, and LDIF (RFC 2849), as
// directories do. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fedgate::admin {

struct DirectoryUser {
    std::string address;  // as it stands there, without `sip:`
    std::string name;
    std::string site;
    std::string policy;
    std::uint64_t line = 0;
};

struct Directory {
    std::vector<DirectoryUser> users;
    std::size_t without_address = 0;  // rows or entries that were left out
};

constexpr std::size_t kDirectoryUsers = 200'000;  // more are refused

// Which of the two it is, is seen. False: `why` is a sentence with the line.
[[nodiscard]] bool parse_directory(std::string_view text, Directory&, std::string& why);

}  // namespace fedgate::admin
