#include "appliance/admin/csv.hpp"

#include <algorithm>

#include "core/config/text.hpp"

namespace fedgate::admin {

CsvRows::CsvRows(std::string_view text) : text_(text) {
    while (text_.substr(at_).starts_with('#')) {
        at_ = std::min(text_.find('\n', at_), text_.size() - 1) + 1;
        ++line_;
    }
    const std::string_view heading = text_.substr(at_, text_.find('\n', at_) - at_);
    for (const char one : {';', '\t'}) {
        if (std::ranges::count(heading, one) > std::ranges::count(heading, separator_))
            separator_ = one;
    }
}

bool CsvRows::next(std::vector<std::string>& row, std::uint64_t& line, std::string& why) {
    row.clear();
    if (at_ >= text_.size()) return false;
    line = line_;
    row.emplace_back();
    while (at_ < text_.size()) {
        const char c = text_[at_];
        if (c == '"' && config::trim(row.back()).empty()) {
            row.back().clear();
            if (!read_quoted(row.back())) {
                why = "line " + std::to_string(line) + ": a quotation mark is not closed";
                return false;
            }
            continue;
        }
        ++at_;
        if (c == '\n') {
            ++line_;
            break;
        }
        if (c == separator_) {
            row.emplace_back();
        } else if (c != '\r') {
            row.back() += c;
        }
    }
    return true;
}

bool CsvRows::read_quoted(std::string& cell) {
    for (++at_; at_ < text_.size(); ++at_) {
        if (text_[at_] == '\n') ++line_;
        if (text_[at_] != '"') {
            cell += text_[at_];
        } else if (text_.substr(at_ + 1).starts_with('"')) {
            cell += text_[at_++];
        } else {
            ++at_;
            return true;
        }
    }
    return false;
}

}  // namespace fedgate::admin
