#include "appliance/admin/directory.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "appliance/admin/csv.hpp"
#include "appliance/admin/import_bound.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::lower_ascii;
using config::trim;

// Names of columns and attributes, in lower case without blanks, dashes and underscores; the first
// that is there counts.
constexpr std::string_view kAddresses[] = {
    "sipaddress", "sip",   "msrtcsipprimaryuseraddress", "address", "sipuri", "uri",
    "mail",       "email", "userprincipalname",          "user"};
constexpr std::string_view kNames[] = {"displayname", "name", "cn", "fullname"};
constexpr std::string_view kSites[] = {"site"};
constexpr std::string_view kPolicies[] = {"externalaccesspolicy", "policy", "policyname"};
constexpr std::span<const std::string_view> kFields[] = {kAddresses, kNames, kSites, kPolicies};

std::string plain_name(std::string_view typed) {
    std::string name = lower_ascii(trim(typed.substr(0, typed.find(';'))));  // `cn;lang-fr`
    std::erase_if(name, [](char c) { return c == ' ' || c == '-' || c == '_'; });
    return name;
}

// How far in front the name is among those of a field; nothing: it is none of them.
std::optional<std::size_t> rank_of(std::span<const std::string_view> names, std::string_view name) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return std::nullopt;
    return static_cast<std::size_t>(found - names.begin());
}

std::string address_of(std::string_view text) {
    text = trim(text);
    if (lower_ascii(text.substr(0, 4)) == "sip:") text.remove_prefix(4);
    return std::string(text);
}

bool add(Directory& out, DirectoryUser user, std::string& why) {
    user.address = address_of(user.address);
    if (user.address.empty()) {
        ++out.without_address;
        return true;
    }
    for (const std::string* field : {&user.address, &user.name, &user.site, &user.policy}) {
        if (config::is_text(*field)) continue;
        why = "line " + std::to_string(user.line) + ": " + config::in_quotes(*field) +
              " is not one line of text in UTF-8; save the file as UTF-8";
        return false;
    }
    if (out.users.size() == kDirectoryUsers) {
        why = too_many(kDirectoryUsers, "users");
        return false;
    }
    out.users.push_back(std::move(user));
    return true;
}

std::string at_line(std::uint64_t line, std::string_view text) {
    return "line " + std::to_string(line) + ": " + std::string(text);
}

// --- CSV

class Csv {
public:
    explicit Csv(std::string_view text) : rows_(text) {}

    bool run(Directory& out, std::string& why) {
        std::vector<std::string> row;
        std::uint64_t line = 0;
        bool first = true;
        while (rows_.next(row, line, why)) {
            if (row.size() == 1 && trim(row[0]).empty()) continue;  // an empty line
            const bool heading = first && read_heading(row);
            if (first && !heading) {
                // Without a heading: addresses, and names behind them.
                if (!row[0].contains('@')) {
                    why = at_line(line,
                                  "the first line names the columns, and one of them is "
                                  "sip_address, sip, address or mail");
                    return false;
                }
                columns_[0] = 0;
                columns_[1] = 1;
            }
            first = false;
            if (heading) continue;
            if (!add(out, user_of(row, line), why)) return false;
        }
        return why.empty();
    }

private:
    bool read_heading(const std::vector<std::string>& row) {
        std::size_t best[std::size(kFields)] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
        for (std::size_t column = 0; column < row.size(); ++column) {
            const std::string name = plain_name(row[column]);
            for (std::size_t field = 0; field < std::size(kFields); ++field) {
                const auto rank = rank_of(kFields[field], name);
                if (!rank || *rank >= best[field]) continue;
                best[field] = *rank;
                columns_[field] = column;
            }
        }
        return columns_[0].has_value();
    }

    [[nodiscard]] DirectoryUser user_of(const std::vector<std::string>& row,
                                        std::uint64_t line) const {
        const auto cell = [&](std::size_t field) {
            const auto column = columns_[field];
            if (!column || *column >= row.size()) return std::string();
            return std::string(trim(row[*column]));
        };
        return {cell(0), cell(1), cell(2), cell(3), line};
    }

    CsvRows rows_;
    std::optional<std::size_t> columns_[std::size(kFields)];
};

// --- LDIF

// Nothing: it is not base64.
std::optional<std::string> decode_base64(std::string_view text) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    unsigned bits = 0;
    unsigned value = 0;
    while (text.ends_with('=')) text.remove_suffix(1);
    for (const char c : text) {
        const std::size_t digit = kDigits.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        value = (value << 6 | static_cast<unsigned>(digit)) & 0xffff;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        out += static_cast<char>(value >> bits & 0xff);
    }
    return out;
}

class Ldif {
public:
    explicit Ldif(std::string_view text) : text_(text) {}

    bool run(Directory& out, std::string& why) {
        std::string line;
        std::uint64_t number = 0;
        while (next(line, number)) {
            if (line.starts_with('#')) continue;
            if (trim(line).empty()) {
                if (!end_entry(out, why)) return false;
                continue;
            }
            if (!read_attribute(line, number, why)) return false;
        }
        return end_entry(out, why);
    }

private:
    // A line with those that go on from it, and the number of the first.
    bool next(std::string& line, std::uint64_t& number) {
        line.clear();
        if (at_ >= text_.size()) return false;
        number = line_ + 1;
        do {
            const std::size_t end = std::min(text_.find('\n', at_), text_.size());
            std::string_view piece = text_.substr(at_, end - at_);
            if (piece.ends_with('\r')) piece.remove_suffix(1);
            if (line_ + 1 != number) piece.remove_prefix(1);
            line += piece;
            at_ = end + 1;
            ++line_;
        } while (at_ < text_.size() && text_[at_] == ' ' && !line.empty());
        return true;
    }

    bool read_attribute(std::string_view line, std::uint64_t number, std::string& why) {
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || colon == 0) {
            why = at_line(number, config::in_quotes(line) + " is not ATTRIBUTE: VALUE");
            return false;
        }
        const std::string name = plain_name(line.substr(0, colon));
        std::string_view rest = line.substr(colon + 1);
        std::string value(trim(rest));
        if (rest.starts_with(':')) {
            auto decoded = decode_base64(trim(rest.substr(1)));
            if (!decoded) {
                why = at_line(number, "what is behind '::' is not base64");
                return false;
            }
            value = std::move(*decoded);
        }
        if (name == "dn") {
            entry_.line = number;
        } else if (name == "changetype" && lower_ascii(value) != "add") {
            why = at_line(number, "this file changes a directory; export its entries instead");
            return false;
        } else if (name == "proxyaddresses" && lower_ascii(value).starts_with("sip:")) {
            take(0, 1, value);
        }
        for (std::size_t field = 0; field < std::size(kFields); ++field) {
            if (const auto rank = rank_of(kFields[field], name)) take(field, *rank, value);
        }
        return true;
    }

    // Kept if there is none yet by a better name.
    void take(std::size_t field, std::size_t rank, const std::string& value) {
        if (rank >= best_[field]) return;
        best_[field] = rank;
        std::string* const fields[] = {&entry_.address, &entry_.name, &entry_.site, &entry_.policy};
        *fields[field] = value;
    }

    bool end_entry(Directory& out, std::string& why) {
        const bool there = entry_.line != 0;  // `version: 1` is no entry
        DirectoryUser entry = std::exchange(entry_, {});
        std::ranges::fill(best_, SIZE_MAX);
        return !there || add(out, std::move(entry), why);
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::uint64_t line_ = 0;
    DirectoryUser entry_;
    std::size_t best_[std::size(kFields)] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
};

bool is_ldif(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = lower_ascii(trim(text.substr(at, end - at)));
        if (!line.empty() && !line.starts_with('#')) {
            return line.starts_with("dn:") || line.starts_with("version:");
        }
        at = end + 1;
    }
    return false;
}

}  // namespace

bool parse_directory(std::string_view text, Directory& out, std::string& why) {
    constexpr std::string_view kMark = "\xef\xbb\xbf";  // of UTF-8, as Excel writes it
    if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
        why = "it is UTF-16; save it as UTF-8 (Export-Csv -Encoding UTF8)";
        return false;
    }
    const bool good = is_ldif(text) ? Ldif(text).run(out, why) : Csv(text).run(out, why);
    if (!good) return false;
    if (out.users.empty()) {
        why = out.without_address == 0
                  ? "there is nobody in it"
                  : "nobody in it has an address (sip_address, sip, address, mail, "
                    "msRTCSIP-PrimaryUserAddress)";
        return false;
    }
    return true;
}

}  // namespace fedgate::admin
