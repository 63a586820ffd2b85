#include "appliance/admin/partner_lists.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "appliance/admin/cmdlet_binding.hpp"
#include "appliance/admin/csv.hpp"
#include "appliance/admin/import_bound.hpp"
#include "appliance/admin/json.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::in_quotes;
using config::lower_ascii;
using config::trim;

std::string line_of(std::uint64_t number) { return "line " + std::to_string(number); }

template <typename Visit>
void each_line(std::string_view text, Visit&& visit) {
    std::uint64_t number = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        if (!visit(text.substr(at, end - at), ++number)) return;
        at = end + 1;
    }
}

// One of the reference's objects: its properties as they are printed.
using Object = std::vector<std::pair<std::string, std::string>>;

class Reader {
public:
    Reader(std::string_view text, PartnerList& out, std::string& why)
        : text_(text), out_(out), why_(why) {}

    bool run() {
        const std::string_view begin = trim(text_);
        const std::string first = lower_ascii(heading());
        const bool good = begin.starts_with('[') || begin.starts_with('{')       ? json()
                          : is_heading(first)                                    ? csv()
                          : has_line("identity", ":") || has_line("domain", ":") ? listing()
                          : has_line("s2s_", "=")                                ? prosody()
                          : has_line("acl:", "")                                 ? ejabberd()
                                                                                 : plain();
        if (good && out_.partners.empty()) why_ = "there is no partner in it";
        return why_.empty();
    }

private:
    bool fail(const std::string& where, const std::string& why) {
        why_ = where + ": " + why;
        return false;
    }
    bool add(ListedPartner partner) {
        if (!config::is_text(partner.domain))
            return fail(partner.where, in_quotes(partner.domain) + " is not text in UTF-8");
        if (out_.partners.size() == kListedPartners) {
            why_ = too_many(kListedPartners, "partners");
            return false;
        }
        out_.partners.push_back(std::move(partner));
        return true;
    }

    [[nodiscard]] std::string_view heading() const {
        std::string_view found;
        each_line(text_, [&found](std::string_view line, std::uint64_t) {
            if (!trim(line).empty() && !line.starts_with('#')) found = trim(line);
            return found.empty();
        });
        return found;
    }
    static bool is_heading(const std::string& line) {
        return line.contains("identity") && line.find_first_of(",;\t") != std::string::npos &&
               !line.contains(':');
    }
    [[nodiscard]] bool has_line(std::string_view beginning, std::string_view with) const {
        bool found = false;
        each_line(text_, [&](std::string_view line, std::uint64_t) {
            const std::string lower = lower_ascii(trim(line));
            found = lower.starts_with(beginning) && lower.contains(with);
            return !found;
        });
        return found;
    }

    // --- the reference's own

    bool add_object(const Object& object, const std::string& where) {
        ListedPartner partner;
        partner.where = where;
        BoundCommand bound;
        bound.row = find_cmdlet("Set-CsXmppAllowedPartner");
        for (const auto& [name, value] : object) {
            const std::string lower = lower_ascii(name);
            if (value.empty()) continue;
            if (lower == "identity" || (lower == "domain" && partner.domain.empty()))
                partner.domain = value;
            for (const CmdletParameter& one : bound.row->parameters) {
                if (lower_ascii(one.name) != lower) continue;
                if (one.takes == CmdletParameter::Takes::kList && is_type(value)) {
                    note_types(one.name);
                } else {
                    bound.values[one.name] = value_of(one, value);
                }
            }
        }
        std::string why;
        if (partner.domain.empty()) return fail(where, "there is no Identity and no Domain");
        if (settings_of(bound, partner.settings, why)) return add(std::move(partner));
        const std::size_t parameter = why.find(": -");
        return fail(where, parameter == std::string::npos ? why : why.substr(parameter + 3));
    }
    // Export-Csv writes this for a list.
    static bool is_type(std::string_view value) {
        return value.starts_with("System.") || value.starts_with("Microsoft.");
    }
    void note_types(std::string_view property) {
        const std::string note = std::string(property) +
                                 " is not in a file of Export-Csv: Get-CsXmppAllowedPartner | "
                                 "Format-List > FILE has it";
        if (out_.notes.empty()) out_.notes.push_back(note);
    }
    // {a.example, b.example}
    static ShellValue value_of(const CmdletParameter& parameter, std::string value) {
        ShellValue out;
        if (parameter.takes == CmdletParameter::Takes::kList) {
            std::erase_if(value, [](char c) { return c == '{' || c == '}'; });
            std::ranges::replace(value, ',', ' ');
            out.kind = ShellValue::Kind::kList;
            for (std::size_t at = 0; at < value.size();) {
                const std::size_t end = std::min(value.find(' ', at), value.size());
                if (end > at) out.items.push_back(value.substr(at, end - at));
                at = end + 1;
            }
        }
        out.text = std::move(value);
        return out;
    }

    // PROPERTY : VALUE, where a long value goes on below its beginning; an empty line between two.
    bool listing() {
        Object object;
        std::uint64_t first = 0;
        std::size_t column = 0;  // of the last value
        const auto end_object = [&] {
            const Object whole = std::exchange(object, {});
            return whole.empty() || add_object(whole, line_of(first));
        };
        each_line(text_, [&](std::string_view line, std::uint64_t number) {
            const std::string_view text = trim(line);
            if (text.empty()) return end_object();
            const std::size_t indent = line.find_first_not_of(' ');
            if (!object.empty() && indent >= column && indent != std::string_view::npos) {
                object.back().second += text;
                return true;
            }
            const std::size_t colon = line.find(':');
            if (colon == std::string_view::npos)
                return fail(line_of(number), in_quotes(text) + " is not PROPERTY : VALUE");
            if (object.empty()) first = number;
            column = colon + 2;
            object.emplace_back(trim(line.substr(0, colon)), trim(line.substr(colon + 1)));
            return true;
        });
        return why_.empty() && end_object();
    }

    bool csv() {
        CsvRows rows(text_);
        std::vector<std::string> names;
        std::vector<std::string> row;
        std::uint64_t line = 0;
        while (rows.next(row, line, why_)) {
            if (row.size() == 1 && trim(row[0]).empty()) continue;
            if (names.empty()) {
                names = row;
                continue;
            }
            Object object;
            for (std::size_t i = 0; i < std::min(names.size(), row.size()); ++i)
                object.emplace_back(trim(names[i]), trim(row[i]));
            if (!add_object(object, line_of(line))) return false;
        }
        return why_.empty();
    }

    bool json() {
        const Json all = parse_json(text_);
        if (all.is_discarded()) {
            why_ = "it begins as JSON, and is none";
            return false;
        }
        const Json rows = all.is_array() ? all : Json::array({all});
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const std::string where = "entry " + std::to_string(i + 1);
            if (!rows[i].is_object()) return fail(where, "it is no object");
            Object object;
            for (const auto& [name, value] : rows[i].items())
                object.emplace_back(name, text_of(value));
            if (!add_object(object, where)) return false;
        }
        return true;
    }
    static std::string text_of(const Json& value) {
        if (value.is_string()) return value.get<std::string>();
        if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
        if (value.is_number_integer()) return std::to_string(value.get<std::int64_t>());
        std::string text;
        if (!value.is_array()) return text;
        for (const Json& one : value) {
            if (one.is_string()) text += (text.empty() ? "" : " ") + one.get<std::string>();
        }
        return text;
    }

    // --- Prosody: s2s_whitelist = { "a.example", 'b.example' }

    // Without remarks; lines stay lines.
    [[nodiscard]] std::string lua_code() const {
        std::string code;
        char quote = 0;
        for (std::size_t at = 0; at < text_.size(); ++at) {
            const char c = text_[at];
            if (quote == 0 && text_.substr(at).starts_with("--")) {
                const bool block = text_.substr(at).starts_with("--[[");
                const std::string_view end = block ? "]]" : "\n";
                const std::size_t behind = std::min(text_.find(end, at), text_.size());
                const auto lines = std::ranges::count(text_.substr(at, behind - at), '\n');
                code.append(static_cast<std::size_t>(lines), '\n');
                at = behind + (block ? 1 : 0);
                if (!block) code += '\n';
                continue;
            }
            if (quote != 0 ? c == quote || c == '\n' : c == '"' || c == '\'')
                quote = quote != 0 ? '\0' : c;
            code += c;
        }
        return code;
    }
    bool prosody() {
        const std::pair<std::string_view, std::vector<std::string>> lists[] = {
            {"s2s_whitelist", {}},
            {"s2s_secure_domains", {"sasl=required", "dialback=no"}},
            {"s2s_insecure_domains", {"sasl=optional", "dialback=yes"}},
        };
        const std::string code = lua_code();
        for (const auto& [name, settings] : lists) {
            std::uint64_t line = 1;
            std::size_t counted = 0;
            for (std::size_t at = 0; (at = code.find(name, at)) != std::string::npos;) {
                line += static_cast<std::uint64_t>(
                    std::ranges::count(code.substr(counted, at - counted), '\n'));
                counted = at;
                at += name.size();
                const std::size_t equals = code.find_first_not_of(" \t\r\n", at);
                if (equals == std::string::npos || code[equals] != '=') continue;
                const std::size_t open = code.find_first_not_of(" \t\r\n", equals + 1);
                if (open == std::string::npos || code[open] != '{') continue;
                if (!lua_list(code, open, line, settings, at)) return false;
            }
        }
        return true;
    }
    bool lua_list(const std::string& code, std::size_t open, std::uint64_t line,
                  const std::vector<std::string>& settings, std::size_t& behind) {
        for (std::size_t i = open + 1; i < code.size(); ++i) {
            if (code[i] == '\n') ++line;
            if (code[i] == '}') {
                behind = i + 1;
                return true;
            }
            if (code[i] != '"' && code[i] != '\'') continue;
            const std::size_t end = code.find_first_of(std::string{code[i], '\n'}, i + 1);
            if (end == std::string::npos || code[end] == '\n')
                return fail(line_of(line), "a quotation mark is not closed");
            if (!add({code.substr(i + 1, end - i - 1), settings, line_of(line)})) return false;
            i = end;
        }
        return fail(line_of(line), "a list is not closed by '}'");
    }

    // --- ejabberd: acl: NAME: server: [a.example], or one a line

    static std::string unquoted(std::string_view text) {
        text = trim(text);
        if (text.ends_with(':')) text.remove_suffix(1);  // "a.example": allow, of old ones
        if (text.size() >= 2 && (text[0] == '"' || text[0] == '\'') && text.back() == text[0])
            text = text.substr(1, text.size() - 2);
        return std::string(text);
    }
    // `a.example`, or `[a.example, b.example]`.
    bool add_yaml(std::string_view value, const std::string& where) {
        if (!value.starts_with('[')) return add({unquoted(value), {}, where});
        if (!value.ends_with(']')) return fail(where, "a list is not closed by ']' in its line");
        value = value.substr(1, value.size() - 2);
        while (!value.empty()) {
            const std::size_t comma = std::min(value.find(','), value.size());
            const std::string one = unquoted(value.substr(0, comma));
            if (!one.empty() && !add({one, {}, where})) return false;
            value.remove_prefix(std::min(comma + 1, value.size()));
        }
        return true;
    }
    bool ejabberd() {
        bool in_acl = false;
        bool in_list = false;
        std::size_t depth = 0;
        each_line(text_, [&](std::string_view line, std::uint64_t number) {
            line = line.substr(0, line.find('#'));
            const std::string_view rest = trim(line);
            if (rest.empty()) return true;
            // Which of the lists a rule denies is not for us to guess.
            const std::size_t deny = rest.find("deny:");
            if (deny < 3 && trim(rest.substr(deny + 5)) != "all")
                return fail(line_of(number),
                            "here something is denied: leave out this rule and the acl that it "
                            "names, and give the rest");
            const std::size_t indent = line.find_first_not_of(' ');
            if (indent == 0) in_acl = rest == "acl:";
            if (in_list && rest.starts_with('-') && indent >= depth)
                return add_yaml(trim(rest.substr(1)), line_of(number));
            in_list = false;
            const std::size_t colon = rest.find(':');
            const std::string_view name = rest.substr(0, colon);
            const bool servers = name == "server" || name == "server_glob";
            if (!in_acl || colon == std::string_view::npos || !servers) return true;
            const std::string_view value = trim(rest.substr(colon + 1));
            in_list = value.empty();
            depth = indent;
            return in_list || add_yaml(value, line_of(number));
        });
        return why_.empty();
    }

    // --- one a line

    bool plain() {
        each_line(text_, [&](std::string_view line, std::uint64_t number) {
            const std::string_view domain = trim(line.substr(0, line.find('#')));
            return domain.empty() || add({std::string(domain), {}, line_of(number)});
        });
        return why_.empty();
    }

    const std::string_view text_;
    PartnerList& out_;
    std::string& why_;
};

}  // namespace

bool parse_partner_list(std::string_view text, PartnerList& out, std::string& why) {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
    why.clear();
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
        why = "it is UTF-16: save it as UTF-8 (Out-File -Encoding utf8)";
        return false;
    }
    return Reader(text, out, why).run();
}

}  // namespace fedgate::admin
