#include "appliance/admin/shell.hpp"

#include <algorithm>
#include <span>

#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::in_quotes;
using config::lower_ascii;
using config::trim;

// As the reference's shell takes them, and as its documents print them.
constexpr std::string_view kDashes[] = {"-", "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x80\x95"};
constexpr std::string_view kSingle[] = {"'", "\xe2\x80\x98", "\xe2\x80\x99", "\xe2\x80\x9a",
                                        "\xe2\x80\x9b"};
constexpr std::string_view kDouble[] = {"\"", "\xe2\x80\x9c", "\xe2\x80\x9d", "\xe2\x80\x9e"};
constexpr std::string_view kNoBreak = "\xc2\xa0";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word(char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; }

class ShellReader {
public:
    explicit ShellReader(std::string_view text) : text_(text) {}

    bool run(std::vector<ShellPipeline>& out, std::string& why) {
        while (read_between()) {
            ShellPipeline pipeline;
            pipeline.line = line_;
            const std::size_t start = at_;
            if (!read_pipeline(pipeline)) break;
            pipeline.text = trim(text_.substr(start, at_ - start));
            out.push_back(std::move(pipeline));
        }
        if (why_.empty()) return true;
        const bool several = text_.find('\n') < trim(text_).size();
        why = several ? "line " + std::to_string(line_) + ": " + why_ : why_;
        return false;
    }

private:
    bool fail(std::string why) {
        if (why_.empty()) why_ = std::move(why);
        return false;
    }

    // --- characters

    [[nodiscard]] char peek(std::size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }
    [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
    // How many bytes one of those has here; 0: none of them is here.
    [[nodiscard]] std::size_t sees(std::span<const std::string_view> these,
                                   std::size_t ahead = 0) const {
        const std::string_view rest = text_.substr(std::min(at_ + ahead, text_.size()));
        for (const std::string_view one : these) {
            if (rest.starts_with(one)) return one.size();
        }
        return 0;
    }

    // Blanks and remarks within a line, and a line's end behind a backtick.
    bool skip_blanks() {
        while (!at_end()) {
            if (peek() == ' ' || peek() == '\t' || peek() == '\r') {
                ++at_;
            } else if (text_.substr(at_).starts_with(kNoBreak)) {
                at_ += kNoBreak.size();
            } else if (peek() == '`' && (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n'))) {
                at_ = text_.find('\n', at_) + 1;
                ++line_;
            } else if (peek() == '#') {
                at_ = std::min(text_.find('\n', at_), text_.size());
            } else if (text_.substr(at_).starts_with("<#")) {
                const std::size_t end = text_.find("#>", at_);
                if (end == std::string_view::npos) return fail("a remark <# is not closed by #>");
                skip_to(end + 2);
            } else {
                break;
            }
        }
        return true;
    }
    void skip_to(std::size_t end) {
        line_ += static_cast<std::uint64_t>(std::count(
            text_.begin() + static_cast<long>(at_), text_.begin() + static_cast<long>(end), '\n'));
        at_ = end;
    }
    bool skip_lines() {
        while (skip_blanks() && !at_end() && peek() == '\n') {
            ++at_;
            ++line_;
        }
        return why_.empty();
    }
    // To the next pipeline. False: there is none.
    bool read_between() {
        while (skip_lines() && peek() == ';') ++at_;
        return why_.empty() && !at_end();
    }

    // --- structure

    bool read_pipeline(ShellPipeline& out) {
        while (true) {
            if (!read_command(out.commands.emplace_back())) return false;
            if (peek() != '|') return true;
            ++at_;
            if (!skip_lines()) return false;
            if (at_end() || peek() == ';') return fail("there is nothing behind the last '|'");
        }
    }

    bool read_command(ShellCommand& out) {
        if (peek() == '$') {
            return fail("values are not kept in variables here: say it in one line, with '|'");
        }
        if (peek() == '|') return fail("there is nothing in front of a '|'");
        ShellValue name;
        if (!read_element(name, 0)) return false;
        out.name = name.text;
        while (skip_blanks() && !at_end() && peek() != '\n' && peek() != ';' && peek() != '|') {
            if (!read_word(out.words.emplace_back())) return false;
        }
        return why_.empty();
    }

    bool read_word(ShellWord& out) {
        const std::size_t dash = sees(kDashes);
        std::size_t blanks = 0;  // `- Filter`, as a page of the reference has it
        while (dash > 0 && peek(dash + blanks) == ' ') ++blanks;
        if (dash == 0 || !is_letter(peek(dash + blanks))) return read_value(out.value, 0);
        at_ += dash + blanks;
        out.is_parameter = true;
        while (is_word(peek())) out.name += text_[at_++];
        if (peek() != ':') return true;
        ++at_;
        out.has_value = true;
        return skip_blanks() && read_value(out.value, 0);
    }

    // An element, or several with commas between.
    bool read_value(ShellValue& out, std::size_t depth) {
        if (!read_element(out, depth)) return false;
        while (true) {
            const std::size_t before = at_;
            if (!skip_blanks()) return false;
            if (peek() != ',') {
                at_ = before;
                return true;
            }
            ++at_;
            ShellValue next;
            if (!skip_lines() || !read_element(next, depth)) return false;
            if (out.kind != ShellValue::Kind::kList) {
                out.items = out.texts();
                out.kind = ShellValue::Kind::kList;
            }
            for (std::string& one : next.texts()) out.items.push_back(std::move(one));
        }
    }

    bool read_element(ShellValue& out, std::size_t depth) {
        if (depth > kShellDepth) return fail("there is too much in each other");
        if (at_end() || peek() == '\n' || peek() == ';') return fail("a value is missing");
        if (sees(kSingle) > 0) return read_single(out);
        if (sees(kDouble) > 0) return read_double(out);
        switch (peek()) {
            case '$': return read_variable(out);
            case '{': return read_block(out);
            case '@': return read_table(out, depth);
            case '(': return fail("what is in ( ) is not run first here: say it in front of a '|'");
            case '<': return fail_placeholder();
            case '>': return fail("nothing is written to a file here");
            case ',': return fail("a value is missing in front of a comma");
            case ')':
            case '}': return fail(std::string("a '") + peek() + "' closes nothing");
            default: return read_bare(out);
        }
    }

    // `<name of policy to create>`, copied from a document.
    bool fail_placeholder() {
        const std::size_t end = text_.find('>', at_);
        if (end == std::string_view::npos) return fail("nothing is read from a file here");
        return fail(in_quotes(text_.substr(at_, end + 1 - at_)) +
                    " stands for a name of yours: put that there");
    }

    bool read_single(ShellValue& out) {
        out.quoted = true;
        at_ += sees(kSingle);
        while (!at_end()) {
            const std::size_t quote = sees(kSingle);
            if (quote == 0) {
                if (peek() == '\n') ++line_;
                out.text += text_[at_++];
                continue;
            }
            at_ += quote;
            const std::size_t second = sees(kSingle);
            if (second == 0) return true;
            out.text += '\'';
            at_ += second;
        }
        return fail("a quotation mark ' is not closed");
    }

    bool read_double(ShellValue& out) {
        out.quoted = true;
        at_ += sees(kDouble);
        while (!at_end()) {
            const std::size_t quote = sees(kDouble);
            if (quote > 0) {
                at_ += quote;
                const std::size_t second = sees(kDouble);
                if (second == 0) return true;
                out.text += '"';
                at_ += second;
            } else if (peek() == '`' && at_ + 1 < text_.size()) {
                out.text += text_[at_ + 1];
                at_ += 2;
            } else if (peek() == '$' && (is_letter(peek(1)) || peek(1) == '(' || peek(1) == '{')) {
                return fail("there are no variables here but $true, $false and $null");
            } else {
                if (peek() == '\n') ++line_;
                out.text += text_[at_++];
            }
        }
        return fail("a quotation mark \" is not closed");
    }

    bool read_variable(ShellValue& out) {
        std::string name;
        for (++at_; is_word(peek()); ++at_) name += text_[at_];
        const std::string lower = lower_ascii(name);
        out.text = "$" + name;
        if (lower == "true") {
            out.kind = ShellValue::Kind::kTrue;
        } else if (lower == "false") {
            out.kind = ShellValue::Kind::kFalse;
        } else if (lower == "null") {
            out.kind = ShellValue::Kind::kNull;
        } else {
            return fail("there are no variables here but $true, $false and $null: " +
                        in_quotes(out.text));
        }
        return true;
    }

    // Up to the brace that closes it.
    bool read_block(ShellValue& out) {
        out.kind = ShellValue::Kind::kBlock;
        const std::size_t start = ++at_;
        std::size_t depth = 1;
        while (!at_end()) {
            ShellValue quoted;
            if (sees(kSingle) > 0) {
                if (!read_single(quoted)) return false;
                continue;
            }
            if (sees(kDouble) > 0) {
                if (!read_double(quoted)) return false;
                continue;
            }
            if (peek() == '\n') ++line_;
            if (peek() == '{' && ++depth > kShellDepth) {
                return fail("there is too much in each other");
            }
            if (peek() == '}' && --depth == 0) {
                out.text = trim(text_.substr(start, at_ - start));
                ++at_;
                return true;
            }
            ++at_;
        }
        return fail("a '{' is not closed");
    }

    // @{Add="a"; Remove="b"}, @("a","b")
    bool read_table(ShellValue& out, std::size_t depth) {
        if (peek(1) == '(') {
            at_ += 2;
            out.kind = ShellValue::Kind::kList;
            if (!skip_lines()) return false;
            if (peek() != ')') {
                ShellValue inner;
                if (!read_value(inner, depth + 1) || !skip_lines()) return false;
                out.items = inner.texts();
            }
            if (peek() != ')') return fail("an '@(' is not closed");
            ++at_;
            return true;
        }
        if (peek(1) != '{') return read_bare(out);
        at_ += 2;
        out.kind = ShellValue::Kind::kTable;
        while (true) {
            while (skip_lines() && peek() == ';') ++at_;
            if (!why_.empty()) return false;
            if (peek() == '}') break;
            std::string name;
            while (is_word(peek())) name += text_[at_++];
            if (!skip_blanks()) return false;
            if (name.empty() || peek() != '=') return fail("in @{ } stands NAME=VALUE");
            ++at_;
            ShellValue value;
            if (!skip_blanks() || !read_value(value, depth + 1)) return false;
            out.table.emplace_back(std::move(name), value.texts());
            if (!skip_blanks()) return false;
            if (peek() != ';' && peek() != '}' && peek() != '\n') {
                return fail(at_end() ? "an '@{' is not closed" : "in @{ } stands NAME=VALUE");
            }
        }
        ++at_;
        return true;
    }

    bool read_bare(ShellValue& out) {
        while (!at_end()) {
            const char c = peek();
            if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ';' ||
                c == '|' || c == ')' || c == '}' || c == '>' ||
                text_.substr(at_).starts_with(kNoBreak)) {
                break;
            }
            if (c == '`' && at_ + 1 < text_.size()) ++at_;
            out.text += text_[at_++];
        }
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::uint64_t line_ = 1;
    std::string why_;
};

}  // namespace

std::vector<std::string> ShellValue::texts() const {
    if (kind == Kind::kList) return items;
    if (kind == Kind::kNull) return {};
    return {text};
}

bool parse_shell(std::string_view text, std::vector<ShellPipeline>& out, std::string& why) {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
    if (text.size() > kShellBytes) {
        why = "there is more than " + std::to_string(kShellBytes >> 20) + " MiB of it";
        return false;
    }
    if (text.find('\0') != std::string_view::npos) {
        why = "it is not text in UTF-8";
        return false;
    }
    return ShellReader(text).run(out, why);
}

}  // namespace fedgate::admin
