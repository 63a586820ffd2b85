// Makes what is installed beside the programs from what they say themselves, so that it can't be
// stale: the manual pages and bash's completion. Runs while the product is built; not installed.
//
//   manual TEMPLATE [HELP]     a page: TEMPLATE, with a program's help and the keys where it has
//                              the lines .\" HELP, .\" STATUS, .\" KEYS
//   manual --completion HELP   of fedctl
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.hpp"
#include "core/config/key.hpp"
#include "core/config/value.hpp"

namespace {

namespace config = fedgate::config;

// A program's help, cut into what it consists of.
enum class Kind {
    kUsage,  // a line of `usage: `
    kTitle,  // what ends with a colon at the margin
    kText,
    kEntry,  // indented; between its term and its text are two blanks or more
};

struct Part {
    Kind kind = Kind::kText;
    std::size_t indent = 0;
    std::string term;  // of an entry
    std::string text;
};

// More: the line goes on with the text of the entry before it.
constexpr std::size_t kEntryIndent = 4;
constexpr std::size_t kTitleBytes = 80;
constexpr std::string_view kUsage = "usage: ";
constexpr std::string_view kStatus = "Exit status: ";

void append(std::string& text, std::string_view more) {
    if (!text.empty() && !more.empty()) text += ' ';
    text += more;
}

// `Partners:`, or `Users. What they may do:`, whose second sentence is a text.
void add_titles(std::vector<Part>& parts) {
    std::vector<Part> out;
    for (Part& part : parts) {
        const bool title = part.kind == Kind::kText && part.indent == 0 && part.text.ends_with(':');
        const std::size_t end = std::min(part.text.find(". "), part.text.size() - 1);
        if (!title) {
            out.push_back(std::move(part));
            continue;
        }
        out.push_back({Kind::kTitle, 0, "", part.text.substr(0, end)});
        if (end + 1 == part.text.size()) continue;
        part.text.back() = '.';
        out.push_back({Kind::kText, 0, "", part.text.substr(end + 2)});
    }
    parts = std::move(out);
}

std::vector<Part> parse_help(std::string_view help) {
    std::vector<Part> parts;
    bool open = false;  // a line may go on with the last part
    while (!help.empty()) {
        const std::size_t end = std::min(help.find('\n'), help.size());
        const std::string_view line = help.substr(0, end);
        help.remove_prefix(std::min(end + 1, help.size()));
        const std::size_t indent = line.find_first_not_of(' ');
        if (indent == std::string_view::npos) {
            open = false;
            continue;
        }
        const std::string_view text = line.substr(indent);
        const std::size_t gap = text.find("  ");
        Part* const last = open ? &parts.back() : nullptr;
        if (text.starts_with(kUsage) ||
            (last != nullptr && last->kind == Kind::kUsage && indent >= kUsage.size())) {
            parts.push_back({Kind::kUsage, 0, "", std::string(line.substr(kUsage.size()))});
        } else if (last != nullptr && last->kind == Kind::kEntry && indent > kEntryIndent) {
            append(last->text, text);
        } else if (indent > 0 && (gap != std::string_view::npos || text.starts_with("-") ||
                                  text.starts_with("fedctl "))) {
            Part entry{Kind::kEntry, indent, std::string(text.substr(0, gap)), ""};
            if (gap != std::string_view::npos) {
                entry.text = text.substr(text.find_first_not_of(' ', gap));
            }
            parts.push_back(std::move(entry));
        } else if (last != nullptr && last->kind == Kind::kText && last->indent == indent &&
                   !text.starts_with(kStatus)) {
            append(last->text, text);
        } else {
            parts.push_back({Kind::kText, indent, "", std::string(text)});
        }
        open = true;
    }
    add_titles(parts);
    return parts;
}

std::vector<std::string> words_of(std::string_view text, std::string_view between) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(between), text.size());
        if (end > 0) words.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

// As mdoc(7) wants it: nothing is a macro or an escape; what is `quoted` so is bold.
std::string escaped(std::string_view text) {
    std::string out;
    bool bold = false;
    for (const char c : text) {
        switch (c) {
            case '\\': out += "\\e"; break;
            case '-': out += "\\-"; break;
            case '"': out += "\\(dq"; break;
            case '\'': out += "\\(aq"; break;
            case '~': out += "\\(ti"; break;
            case '^': out += "\\(ha"; break;
            case '`':
                bold = !bold;
                out += bold ? "\\fB" : "\\fP";
                break;
            default: out += c;
        }
    }
    return (text.starts_with('.') ? "\\&" : "") + out;
}

bool begins_sentence(char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// Each sentence is a line, as mdoc(7) wants it, too.
void put_text(std::string& out, std::string_view text) {
    while (!text.empty()) {
        std::size_t end = text.find(". ");
        while (end != std::string_view::npos && !begins_sentence(text[end + 2])) {
            end = text.find(". ", end + 1);
        }
        const std::size_t bytes = std::min(end, text.size() - 1) + 1;
        out += escaped(text.substr(0, bytes)) + "\n";
        text.remove_prefix(std::min(bytes + 1, text.size()));
    }
}

void put_term(std::string& out, std::string_view term) {
    out += ".It Cm \"\\&" + escaped(term) + "\"\n";
}

class Lists {
public:
    explicit Lists(std::string& out) : out_(out) {}
    // The list of what is indented so; further in, it is one within the last item.
    void enter(std::size_t indent) {
        close(indent);
        if (!indents_.empty() && indents_.back() == indent) return;
        out_ += ".Bl -tag -width Ds\n";
        indents_.push_back(indent);
    }
    // Those that are indented more.
    void close(std::size_t indent) {
        while (!indents_.empty() && indents_.back() > indent) {
            out_ += ".El\n";
            indents_.pop_back();
        }
    }
    void close_all() { close(0); }

private:
    std::string& out_;
    std::vector<std::size_t> indents_;
};

std::string page_of_help(const std::vector<Part>& parts) {
    std::string out = ".Sh SYNOPSIS\n.Bd -literal\n";
    for (const Part& part : parts) {
        if (part.kind == Kind::kUsage) out += "\\&" + escaped(part.text) + "\n";
    }
    out += ".Ed\n.Sh DESCRIPTION\n";
    Lists lists(out);
    bool first = true;  // of what is under a title: no .Pp
    for (const Part& part : parts) {
        if (part.kind == Kind::kUsage || part.text.starts_with(kStatus)) continue;
        if (part.kind == Kind::kEntry) {
            lists.enter(part.indent);
            put_term(out, part.term);
            put_text(out, part.text);
            first = false;
            continue;
        }
        lists.close_all();
        if (part.kind == Kind::kTitle) {
            out += ".Ss " + escaped(part.text) + "\n";
        } else {
            if (!first) out += ".Pp\n";
            put_text(out, part.text);
        }
        first = part.kind == Kind::kTitle;
    }
    lists.close_all();
    return out;
}

std::string status_of_help(const std::vector<Part>& parts) {
    std::string out = ".Sh EXIT STATUS\n";
    for (const Part& part : parts) {
        if (part.text.starts_with(kStatus)) {
            put_text(out, std::string_view(part.text).substr(kStatus.size()));
        }
    }
    return out;
}

struct Group {
    std::string_view root;
    std::string_view title;
};

// A key whose root is not here ends the build.
constexpr Group kGroups[] = {
    {"admin", "Administration"},
    {"core", "The process"},
    {"dirs", "Directories"},
    {"domain", "Our SIP domains"},
    {"federation", "The organisation"},
    {"im", "Messages"},
    {"link", "The link between edges and gateways"},
    {"log", "Log"},
    {"net", "Names"},
    {"partner", "XMPP partners"},
    {"policy", "User policies"},
    {"pool", "Pools of edges and gateways"},
    {"presence", "Presence"},
    {"sec", "Bounds against abuse"},
    {"sip", "SIP"},
    {"site", "Sites"},
    {"store", "Store"},
    {"test", "The scheduled test message"},
    {"tls", "Certificates"},
    {"user", "Users"},
    {"xmpp", "XMPP"},
};

std::string_view acts(config::Apply apply) {
    switch (apply) {
        case config::Apply::kLive: return "at once";
        case config::Apply::kNew: return "for new connections and conversations";
        case config::Apply::kListener: return "at once; established connections stay";
        case config::Apply::kRestart: return "at the next start";
    }
    return "";
}

std::string page_of_key(const config::Key& key) {
    std::string out;
    put_term(out, key.name);
    put_text(out, key.description);
    const std::string fallback(key.fallback.empty() ? "empty" : key.fallback);
    std::string bounds = config::format_bounds(key);
    if (!key.choices.empty()) {
        bounds = "of";
        for (const std::string& choice : words_of(key.choices, " ")) {
            bounds += (bounds == "of" ? " " : ", ") + choice;
        }
    }
    out += ".br\n";
    put_text(out, "Type: " + std::string(config::name_of(key.type)) + ", " + bounds + ".");
    put_text(out, "Default: " + fallback + ".");
    put_text(out, "Acts " + std::string(acts(key.apply)) + ".");
    put_text(out, "Scope: " + std::string(config::name_of(config::scope_of(key))) + ".");
    if (key.secret) put_text(out, "Never shown.");
    return out;
}

// Empty: `why` says which key has no group.
std::string page_of_keys(std::string& why) {
    std::string out;
    std::string_view root;
    for (const config::Key& key : config::keys()) {
        if (key.root() != root) {
            root = key.root();
            const auto* const group = std::ranges::find(kGroups, root, &Group::root);
            if (group == std::end(kGroups)) {
                why = "appliance/manual.cpp has no title for " + std::string(key.name);
                return "";
            }
            out += out.empty() ? "" : ".El\n";
            out += ".Ss " + escaped(group->title) + "\n.Bl -tag -width Ds\n";
        }
        out += page_of_key(key);
    }
    return out + ".El\n";
}

// A title that is a whole paragraph is none.
void check_titles(const std::vector<Part>& parts, std::string& why) {
    for (const Part& part : parts) {
        if (part.kind != Kind::kTitle || part.text.size() <= kTitleBytes) continue;
        why = "the help has a long title; let it begin with a short sentence: " + part.text;
    }
}

bool write_page(std::string_view pattern, std::string_view help, std::string& page,
                std::string& why) {
    const std::vector<Part> parts = parse_help(help);
    check_titles(parts, why);
    while (!pattern.empty()) {
        const std::size_t end = std::min(pattern.find('\n'), pattern.size());
        const std::string_view line = pattern.substr(0, end);
        pattern.remove_prefix(std::min(end + 1, pattern.size()));
        if (line == ".\\\" HELP") {
            page += page_of_help(parts);
        } else if (line == ".\\\" STATUS") {
            page += status_of_help(parts);
        } else if (line == ".\\\" KEYS") {
            page += page_of_keys(why);
        } else {
            page += std::string(line) + "\n";
        }
    }
    return why.empty();
}

bool is_lower(std::string_view word) {
    return !word.empty() && std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_option(std::string_view word) {
    if (word.size() == 2) return word[0] == '-' && std::isalpha(word[1]) != 0;
    return word.size() > 3 && word.starts_with("--") && std::islower(word[2]) != 0;
}

struct Grammar {
    std::set<std::string> verbs;
    std::map<std::string, std::set<std::string>> actions;
    std::map<std::string, std::set<std::string>> options;  // of a verb; of "" everybody's
};

// What an entry says of its verbs: `dns check`, `policy, user`, `fedctl cert list | show NAME`.
std::set<std::string> add_entry(std::string_view term, bool command, Grammar& grammar) {
    std::set<std::string> verbs;
    const std::vector<std::string> words = words_of(term, " ");
    std::string verb;
    const std::size_t first = command ? 1 : 0;
    for (std::size_t i = first; i < words.size(); ++i) {
        std::string word = words[i];
        const bool more = word.ends_with(',');
        if (more) word.pop_back();
        if (!is_lower(word)) break;
        if (verb.empty()) {
            verb = word;
            verbs.insert(word);
            if (more) verb.clear();
        } else {
            grammar.actions[verb].insert(word);
            if (i + 2 >= words.size() || words[i + 1] != "|") break;
            ++i;
        }
    }
    grammar.verbs.insert(verbs.begin(), verbs.end());
    return verbs;
}

void add_options(std::string_view text, const std::set<std::string>& verbs, Grammar& grammar) {
    for (const std::string& word : words_of(text, " ,;:.()[]|")) {
        if (!is_option(word)) continue;
        for (const std::string& verb : verbs) grammar.options[verb].insert(word);
    }
}

Grammar grammar_of(const std::vector<Part>& parts) {
    Grammar grammar;
    std::size_t titles = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        titles += parts[i].kind == Kind::kTitle ? 1 : 0;
        if (parts[i].kind != Kind::kEntry) continue;
        const std::string& term = parts[i].term;
        const bool command = term.starts_with("fedctl ");
        std::set<std::string> verbs;
        if (command || (titles == 0 && !term.starts_with("-"))) {
            verbs = add_entry(term, command, grammar);
        } else if (titles == 0) {
            verbs = {""};
        } else {
            // An option of all that is under this title.
            std::size_t first = i;
            while (parts[first].kind != Kind::kTitle) --first;
            for (++first; first < parts.size() && parts[first].kind != Kind::kTitle; ++first) {
                if (parts[first].term.starts_with("fedctl ")) {
                    verbs.merge(add_entry(parts[first].term, true, grammar));
                }
            }
        }
        add_options(term + " " + parts[i].text, verbs, grammar);
    }
    return grammar;
}

std::string joined(const std::set<std::string>& words) {
    std::string out;
    for (const std::string& word : words) append(out, word);
    return out;
}

std::string table(std::string_view name, const std::map<std::string, std::set<std::string>>& rows) {
    std::string out = "declare -gA " + std::string(name) + "=(\n";
    for (const auto& [key, words] : rows) {
        out += "    [" + (key.empty() ? "-" : key) + "]='" + joined(words) + "'\n";
    }
    return out + ")\n";
}

std::string values_of(const config::Key& key) {
    if (key.type == config::Type::kBool) return "yes no";
    return std::string(key.choices);
}

constexpr std::string_view kCompletion = R"(
# The values of the key or attribute $1.
_fedctl_values() {
    local name values
    while read -r name values; do
        # A name with * in it is a pattern.
        # shellcheck disable=SC2053
        [[ $1 == $name ]] && printf '%s' "$values"
    done <<<"$_fedctl_keys"
}

# What the daemon has of a kind: partners, policies, pools, sites.
_fedctl_instances() {
    "${COMP_WORDS[0]}" ${socket:+-s "$socket"} sysctl -N "$1" 2>/dev/null | cut -d/ -f2 | sort -u
}

# Names that begin as $1 does, as far as the next slash.
_fedctl_names() {
    local name values root=${1%%/*} instance
    while read -r name values; do
        if [[ $name != *'*'* ]]; then
            printf '%s\n' "$name"
        elif [[ $name != */* ]]; then    # of cores: all, or the one that was begun
            printf '%s\n' "$name"
            [[ $1 =~ ^"${name%%.*}"\.[0-9]+ ]] && printf '%s\n' "${BASH_REMATCH[0]}.${name##*.}"
        elif [[ $1 == */?*/* && $name == "$root"/* ]]; then
            instance=${1%/*}
            printf '%s\n' "$instance/${name##*/}"
        elif [[ $1 != */* ]]; then
            printf '%s\n' "${name%%/*}/"
        fi
    done <<<"$_fedctl_keys"
    if [[ $1 == */* && $1 != */*/* ]]; then
        _fedctl_instances "$root" | sed "s|.*|$root/&/|"
    fi
}

_fedctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} verb='' action='' key='' words=0 sets='' socket='' i word
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; ++i)); do
        word=${COMP_WORDS[i]}
        case $word in
            -s) socket=${COMP_WORDS[++i]} ;;
            -w) sets='=' ;;
            -*) ;;
            *)
                if [[ -z $verb ]]; then
                    verb=$word
                elif [[ -n ${_fedctl_actions[$verb]} && -z $action ]]; then
                    action=$word
                else
                    ((++words))
                fi
                ;;
        esac
    done
    if [[ $cur == '=' ]]; then
        key=${COMP_WORDS[COMP_CWORD - 1]} cur=
    elif ((COMP_CWORD > 2)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == '=' ]]; then
        key=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    local candidates
    if [[ -n $key ]]; then
        [[ $verb == sysctl ]] || key=$verb/x/${key%[+-]}
        candidates=$(_fedctl_values "$key")
    elif [[ $cur == -* ]]; then
        candidates="${_fedctl_options[${verb:--}]} --json"
    elif [[ -z $verb ]]; then
        candidates=$_fedctl_verbs
    elif [[ -n ${_fedctl_actions[$verb]} && -z $action ]]; then
        candidates=${_fedctl_actions[$verb]}
    elif [[ $verb == sysctl ]]; then
        candidates=$(_fedctl_names "$cur")
    elif [[ $words -gt 0 && $verb != route && $action =~ ^(add|new|set|reset)$ ]]; then
        candidates=$(_fedctl_names "$verb/x/" | sed -n "s|^$verb/x/||p")
        [[ $action == reset ]] || sets='='
    else
        case "$verb $action $words" in
            'doctor  0' | 'partner '[rsu]*) candidates=$(_fedctl_instances partner) ;;
            'policy '[rs]* | 'user grant 0') candidates=$(_fedctl_instances policy) ;;
            'pool '[rs]* | 'route set 1') candidates=$(_fedctl_instances pool) ;;
            'site '[rs]* | 'route '[su]*' 0') candidates=$(_fedctl_instances site) ;;
        esac
    fi
    # Not compgen -W, which would run what stands in $(...) of a word.
    while read -r word; do
        [[ -n $word && $word == "$cur"* ]] || continue
        [[ $cur != -* && -z $key && $word != */ ]] && word+=$sets
        COMPREPLY+=("$word")
    done < <(tr -s ' ' '\n' <<<"$candidates" | sort -u)
    # After `partner/` and `type=` a word goes on.
    [[ ${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -o default -F _fedctl fedctl
)";

// Bash's completion: the verbs, their actions and options, attributes, keys and their values.
std::string completion(std::string_view help) {
    const Grammar grammar = grammar_of(parse_help(help));
    std::string out = "# bash completion of fedctl, made of its help and of the table of keys.\n";
    out += "_fedctl_verbs='" + joined(grammar.verbs) + "'\n";
    out += table("_fedctl_actions", grammar.actions);
    out += table("_fedctl_options", grammar.options);
    out += "_fedctl_keys='\n";
    for (const config::Key& key : config::keys()) {
        out += std::string(key.name);
        const std::string values = values_of(key);
        out += (values.empty() ? "" : " ") + values + "\n";
    }
    return out + "'\n" + std::string(kCompletion);
}

int fail(const std::string& why) {
    std::fprintf(stderr, "manual: %s\n", why.c_str());
    return 1;
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    if (words.empty() || words.size() > 2) {
        std::fputs("usage: manual TEMPLATE [HELP] | manual --completion HELP\n", stderr);
        return 2;
    }
    std::string why;
    std::string help;
    if (words.size() == 2 && !fedgate::read_file(words[1], help, why)) {
        return fail(words[1] + " " + why);
    }
    std::string out;
    if (words[0] == "--completion") {
        out = completion(help);
    } else {
        std::string pattern;
        if (!fedgate::read_file(words[0], pattern, why)) return fail(words[0] + " " + why);
        if (!write_page(pattern, help, out, why)) return fail(why);
    }
    return std::fputs(out.c_str(), stdout) < 0 || std::fflush(stdout) != 0;
}
