// fedctl: arguments in, text out, exit status. Apart from main() so that tests can call it.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace fedgate::admin {

constexpr int kExitOk = 0;
constexpr int kExitRefused = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNotLive = 3;  // kept, but acts only after a restart

// `arguments` without the program's name; `in` is read for `-p -`.
[[nodiscard]] int run_tool(const std::vector<std::string>& arguments, std::istream& in,
                           std::ostream& out, std::ostream& err);

}  // namespace fedgate::admin
