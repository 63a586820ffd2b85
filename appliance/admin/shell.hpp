// Lines of the reference's shell (PowerShell), as far as administrators of it type them: pipelines
// of commands with parameters; quotes, $true, $false and $null, lists, @{Add="x"}, { } blocks,
// remarks, and what word processors make of dashes and quotation marks. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fedgate::admin {

constexpr std::size_t kShellBytes = 1 << 20;  // of one text; a longer one is refused
constexpr std::size_t kShellDepth = 16;       // of lists and blocks in each other

struct ShellValue {
    enum class Kind : std::uint8_t { kText, kTrue, kFalse, kNull, kList, kTable, kBlock };
    Kind kind = Kind::kText;
    std::string text;                // of a block: what is between its braces
    std::vector<std::string> items;  // of a list
    // @{Add="a","b"; Remove="c"}
    std::vector<std::pair<std::string, std::vector<std::string>>> table;
    bool quoted = false;

    // One text, or those of a list.
    [[nodiscard]] std::vector<std::string> texts() const;
};

// A parameter, or a value that stands alone.
struct ShellWord {
    bool is_parameter = false;
    std::string name;        // of a parameter
    bool has_value = false;  // `-Confirm:$false`
    ShellValue value;
};

struct ShellCommand {
    std::string name;
    std::vector<ShellWord> words;
};

struct ShellPipeline {
    std::uint64_t line = 0;
    std::string text;  // as typed
    std::vector<ShellCommand> commands;
};

// False: `why` is a sentence, with the line where there are several.
[[nodiscard]] bool parse_shell(std::string_view text, std::vector<ShellPipeline>&,
                               std::string& why);

}  // namespace fedgate::admin
