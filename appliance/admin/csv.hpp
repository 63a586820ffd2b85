// Rows of comma separated values (RFC 4180), as spreadsheets and Export-Csv write them: the
// separator is seen, quotation marks and line ends in them are understood. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fedgate::admin {

class CsvRows {
public:
    // Without the type of the objects, which Export-Csv writes first.
    explicit CsvRows(std::string_view text);

    // The next row and where it begins. False: there is none, or `why`.
    [[nodiscard]] bool next(std::vector<std::string>& row, std::uint64_t& line, std::string& why);

private:
    [[nodiscard]] bool read_quoted(std::string& cell);

    std::string_view text_;
    std::size_t at_ = 0;
    std::uint64_t line_ = 1;
    char separator_ = ',';
};

}  // namespace fedgate::admin
