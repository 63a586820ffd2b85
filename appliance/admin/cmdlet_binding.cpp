#include "appliance/admin/cmdlet_binding.hpp"

#include <algorithm>
#include <charconv>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/words.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::in_quotes;
using config::lower_ascii;
using Kind = ShellValue::Kind;
using T = CmdletParameter::Takes;

bool takes_nothing(const CmdletParameter& parameter) { return parameter.takes == T::kSwitch; }

class Binder {
public:
    Binder(const ShellCommand& command, bool piped, BoundCommand& out,
           std::vector<std::string>& notes, std::string& why)
        : command_(command), row_(*out.row), piped_(piped), out_(out), notes_(notes), why_(why) {
        for (const CmdletParameter& one : row_.parameters) known_.push_back(&one);
        for (const CmdletParameter& one : common_parameters()) known_.push_back(&one);
    }

    bool run() {
        for (; at_ < command_.words.size(); ++at_) {
            const ShellWord& word = command_.words[at_];
            if (!(word.is_parameter ? take_parameter(word.name) : take_value(word.value))) {
                return false;
            }
        }
        return true;
    }

private:
    bool fail(std::string why) {
        why_ = std::string(row_.name) + ": " + std::move(why);
        return false;
    }

    [[nodiscard]] const CmdletParameter* exact(const std::string& typed) const {
        for (const CmdletParameter* one : known_) {
            if (lower_ascii(one->name) == lower_ascii(typed)) return one;
        }
        return nullptr;
    }

    // As typed, or a beginning that only one has, or (with a note) with a slip or two.
    const CmdletParameter* find(const std::string& typed) {
        if (const CmdletParameter* one = exact(typed)) return one;
        const std::string lower = lower_ascii(typed);
        std::vector<const CmdletParameter*> begin;
        std::vector<std::string> names;
        for (const CmdletParameter* one : known_) {
            names.push_back(lower_ascii(one->name));
            if (names.back().starts_with(lower)) begin.push_back(one);
        }
        // "-EnableFederationAcces" begins one, and is a slip all the same.
        if (begin.size() == 1) {
            if (begin[0]->name.size() - typed.size() <= 2) note_taken(typed, *begin[0]);
            return begin[0];
        }
        if (begin.size() > 1) {
            std::string text;
            for (const CmdletParameter* one : begin)
                text += (text.empty() ? "-" : ", -") + std::string(one->name);
            fail("-" + typed + " may be one of " + text);
            return nullptr;
        }
        constexpr std::size_t kLong = 6;  // a short one with two slips may be anything
        const std::string meant = did_you_mean(lower, names);
        for (const CmdletParameter* one : known_) {
            if (meant != "; did you mean " + lower_ascii(one->name) + "?") continue;
            if (typed.size() >= kLong) {
                note_taken(typed, *one);
                return one;
            }
            fail("it has no parameter -" + typed + "; did you mean -" + std::string(one->name) +
                 "?");
            return nullptr;
        }
        std::string text;
        for (const CmdletParameter& one : row_.parameters) {
            if (one.takes != T::kNothing && one.takes != T::kIgnored) {
                text += (text.empty() ? "-" : ", -") + std::string(one.name);
            }
        }
        fail("it has no parameter -" + typed + (text.empty() ? "" : "; it has " + text));
        return nullptr;
    }

    void note_taken(const std::string& typed, const CmdletParameter& parameter) {
        notes_.push_back("-" + typed + " is taken as -" + std::string(parameter.name));
    }

    bool take_parameter(const std::string& typed) {
        const CmdletParameter* parameter = find(typed);
        if (parameter == nullptr) return false;
        const ShellWord& word = command_.words[at_];
        if (parameter->takes == T::kNothing) {
            return fail("-" + std::string(parameter->name) + ": " + std::string(parameter->key));
        }
        ShellValue value;
        if (word.is_parameter && word.has_value) {
            value = word.value;
        } else if (takes_nothing(*parameter)) {
            value.kind = Kind::kTrue;
        } else if (at_ + 1 < command_.words.size() && !command_.words[at_ + 1].is_parameter) {
            value = command_.words[++at_].value;
        } else {
            return fail("-" + std::string(parameter->name) + " needs " +
                        (parameter->takes == T::kBool ? "$true or $false" : "a value"));
        }
        if (parameter->name == "Confirm" && value.kind != Kind::kFalse) {
            return fail("-Confirm: nobody is asked here; -WhatIf shows what would change");
        }
        if (parameter->takes == T::kIgnored && !parameter->key.empty()) {
            notes_.push_back("-" + std::string(parameter->name) + ": " +
                             std::string(parameter->key));
        }
        return keep(*parameter, std::move(value));
    }

    // Whom or what it is about: never all, because something came out empty.
    static bool is_selection(std::string_view name) {
        return name == "Identity" || name == "Domain" || name == "Filter" || name == "Name";
    }
    // Empty, or what is wrong.
    [[nodiscard]] std::string fault_of(const CmdletParameter& parameter,
                                       const ShellValue& value) const {
        if (parameter.takes != T::kText || !parameter.key.empty()) return {};
        const bool selects = is_selection(parameter.name);
        if (selects && piped_) return "and the '|' say both who is meant: one of them";
        const bool block = value.kind == Kind::kBlock && parameter.name == "Filter";
        const bool none = value.kind == Kind::kNull && !selects;  // -PolicyName $null
        if (block || none) return {};
        const bool several = value.kind == Kind::kList && parameter.name == "Identity";
        const std::vector<std::string> texts = value.texts();
        const bool empty = texts.empty() || std::ranges::any_of(texts, [](const std::string& one) {
                               return config::trim(one).empty();
                           });
        if (empty &&
            (value.kind == Kind::kText || value.kind == Kind::kList || value.kind == Kind::kNull)) {
            return "names nobody";
        }
        return value.kind == Kind::kText || several ? "" : "takes one name";
    }

    bool keep(const CmdletParameter& parameter, ShellValue value) {
        const std::string fault = fault_of(parameter, value);
        if (!fault.empty()) return fail("-" + std::string(parameter.name) + " " + fault);
        if (out_.has(parameter.name)) {
            return fail("-" + std::string(parameter.name) + " is there twice");
        }
        out_.values.emplace(parameter.name, std::move(value));
        return true;
    }

    bool take_value(const ShellValue& value) {
        // `EnableXmppAccess $true`, as the reference has it, without its dash.
        const bool more = at_ + 1 < command_.words.size() && !command_.words[at_ + 1].is_parameter;
        const CmdletParameter* meant =
            value.kind == Kind::kText && !value.quoted && more ? exact(value.text) : nullptr;
        const bool named = piped_ || out_.has(row_.positions[0]);
        if (meant != nullptr && named && meant->name != row_.positions[1]) {
            notes_.push_back(value.text + " without a dash is taken as -" +
                             std::string(meant->name));
            return take_parameter(value.text);
        }
        for (std::size_t i = piped_ && !row_.positions[1].empty() ? 1 : 0; i < 2; ++i) {
            const std::string_view name = row_.positions[i];
            if (name.empty() || out_.has(name)) continue;
            if (const CmdletParameter* parameter = exact(std::string(name))) {
                return keep(*parameter, value);
            }
        }
        return fail(in_quotes(value.text) + " is one word too many");
    }

    const ShellCommand& command_;
    const CmdletRow& row_;
    const bool piped_;
    BoundCommand& out_;
    std::vector<std::string>& notes_;
    std::string& why_;
    std::vector<const CmdletParameter*> known_;
    std::size_t at_ = 0;
};

bool takes_input(Cmdlet cmdlet) {
    switch (cmdlet) {
        case Cmdlet::kPolicySet:
        case Cmdlet::kPolicyRemove:
        case Cmdlet::kPolicyGrant:
        case Cmdlet::kPartnerSet:
        case Cmdlet::kPartnerRemove:
        case Cmdlet::kSiteSet:
        case Cmdlet::kCertificateSet:
        case Cmdlet::kFindstr:
        case Cmdlet::kWhere:
        case Cmdlet::kSelect: return true;
        default: return false;
    }
}

// Of findstr, which may be told to find the contrary. Empty, or what is wrong.
std::string fault_of_find(const ShellCommand& command) {
    for (const ShellWord& word : command.words) {
        const bool option = !word.value.quoted && word.value.text.starts_with('/');
        if (word.is_parameter || (option && lower_ascii(word.value.text) != "/i")) {
            return "it takes a text, and /i (case never counts)";
        }
    }
    return {};
}

// Of Select-Object and its like: an option that is not known might leave some out, and all would
// be meant. Empty, or what is wrong.
std::string fault_of_select(const ShellCommand& command) {
    for (std::size_t i = 0; i < command.words.size(); ++i) {
        const ShellWord& word = command.words[i];
        if (!word.is_parameter) continue;
        const std::string name = lower_ascii(word.name);
        if (name == "first" || name == "property") {
            const bool next = i + 1 < command.words.size() && !command.words[i + 1].is_parameter;
            if (!word.has_value && !next) return "-" + word.name + " needs a value";
        } else if (name != "autosize" && name != "wrap") {
            return "it has no -" + word.name + " here; it has properties, and -First COUNT";
        }
    }
    return {};
}

// `yes`, or empty: it is none.
std::string bool_text(const ShellValue& value) {
    if (value.kind == Kind::kTrue) return "yes";
    if (value.kind == Kind::kFalse) return "no";
    const std::string lower = lower_ascii(value.text);
    if (value.kind != Kind::kText) return "";
    if (lower == "true" || lower == "1") return "yes";
    return lower == "false" || lower == "0" ? "no" : "";
}

bool is_number(const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

// Appends what one parameter sets. Empty, or what is wrong.
std::string add_setting(const CmdletParameter& parameter, const ShellValue& value,
                        std::vector<std::string>& settings) {
    const std::string key(parameter.key);
    switch (parameter.takes) {
        case T::kBool: {
            const std::string text = bool_text(value);
            if (text.empty()) return "is $true or $false, not " + in_quotes(value.text);
            settings.push_back(key + "=" + text);
            return {};
        }
        case T::kChoice: {
            const std::string text = choice_here(parameter, value.text);
            if (text.empty()) {
                return "is " + choices_of(parameter) + ", not " + in_quotes(value.text);
            }
            settings.push_back(key + "=" + text);
            return {};
        }
        case T::kList: {
            if (value.kind != Kind::kTable) {
                settings.push_back(key + "=" + joined(value.texts(), " "));
                return {};
            }
            for (const auto& [name, items] : value.table) {
                const std::string lower = lower_ascii(name);
                const char* const sign = lower == "add"       ? "+="
                                         : lower == "remove"  ? "-="
                                         : lower == "replace" ? "="
                                                              : nullptr;
                if (sign == nullptr) return "in @{ } stands Add, Remove or Replace, not " + name;
                settings.push_back(key + sign + joined(items, " "));
            }
            return {};
        }
        case T::kSeconds:
            if (!is_number(value.text))
                return "is a number of seconds, not " + in_quotes(value.text);
            settings.push_back(key + "=" + value.text + "s");
            return {};
        default:
            if (value.kind == Kind::kList || value.kind == Kind::kTable) return "is one value";
            settings.push_back(key + "=" + (value.kind == Kind::kNull ? "" : value.text));
            return {};
    }
}

}  // namespace

bool BoundCommand::is_on(std::string_view name) const {
    const auto found = values.find(name);
    return found != values.end() && found->second.kind != Kind::kFalse;
}

std::string BoundCommand::text(std::string_view name) const {
    const auto found = values.find(name);
    if (found == values.end()) return {};
    const std::vector<std::string> texts = found->second.texts();
    return texts.empty() ? std::string() : texts.front();
}

bool bind_command(const ShellCommand& command, bool piped, BoundCommand& out,
                  std::vector<std::string>& notes, std::string& why) {
    out.row = find_cmdlet(command.name);
    out.command = &command;
    if (out.row == nullptr) {
        const std::string meant = nearest_cmdlet(command.name);
        why = "there is no command " + in_quotes(command.name) + " here" +
              (meant.empty() ? " (fedctl help has what there is)" : meant);
        return false;
    }
    if (out.row->cmdlet == Cmdlet::kNotHere) {
        why = std::string(out.row->name) + ": " + std::string(out.row->hint);
        return false;
    }
    if (!out.row->hint.empty()) {
        notes.push_back(std::string(out.row->name) + ": " + std::string(out.row->hint));
    }
    if (piped && !takes_input(out.row->cmdlet)) {
        why = std::string(out.row->name) + ": it takes nothing from a '|'";
        return false;
    }
    const std::string fault = out.row->cmdlet == Cmdlet::kSelect    ? fault_of_select(command)
                              : out.row->cmdlet == Cmdlet::kFindstr ? fault_of_find(command)
                                                                    : std::string();
    if (!fault.empty()) {
        why = std::string(out.row->name) + ": " + fault;
        return false;
    }
    const bool reads_words =
        out.row->cmdlet == Cmdlet::kNetstat || out.row->cmdlet == Cmdlet::kFindstr ||
        out.row->cmdlet == Cmdlet::kWhere || out.row->cmdlet == Cmdlet::kSelect;
    return reads_words || Binder(command, piped, out, notes, why).run();
}

bool settings_of(const BoundCommand& bound, std::vector<std::string>& settings, std::string& why) {
    for (const CmdletParameter& parameter : bound.row->parameters) {
        const auto found = bound.values.find(parameter.name);
        const bool property = !parameter.key.empty() && parameter.takes != T::kNothing &&
                              parameter.takes != T::kIgnored;
        if (!property || found == bound.values.end()) continue;
        const std::string fault = add_setting(parameter, found->second, settings);
        if (!fault.empty()) {
            why = std::string(bound.row->name) + ": -" + std::string(parameter.name) + " " + fault;
            return false;
        }
    }
    return true;
}

}  // namespace fedgate::admin
