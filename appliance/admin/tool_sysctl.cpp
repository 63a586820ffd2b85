// Settings: read, set, described, taken back.
#include <algorithm>
#include <ostream>
#include <regex.h>
#include <utility>

#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/tool_verbs.hpp"

namespace fedgate::admin {
namespace {

// For sysctl -r, as sysctl(8) has it: extended, anywhere in the name. None: all match.
class Pattern {
public:
    explicit Pattern(const std::string& text)
        : any_(text.empty()),
          good_(any_ || regcomp(&regex_, text.c_str(), REG_EXTENDED | REG_NOSUB) == 0) {}
    ~Pattern() {
        if (!any_ && good_) regfree(&regex_);
    }
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;

    [[nodiscard]] bool good() const { return good_; }
    [[nodiscard]] bool matches(const std::string& name) const {
        return any_ || regexec(&regex_, name.c_str(), 0, nullptr, 0) == 0;
    }

private:
    regex_t regex_{};
    bool any_;
    bool good_;
};

class SysctlVerb : public ToolVerbs {
public:
    using ToolVerbs::ToolVerbs;

    int run(const std::vector<std::string>& rest) {
        Options options;
        std::string why;
        if (!parse_sysctl(rest, options, why)) return usage(why);
        Json request{{"verb", "sysctl"}, {"action", options.action}};
        const bool writes = options.action == "write" || options.action == "check";
        if (!options.file.empty()) {
            std::string text;
            if (!read_input(options.file, text, why)) return fail(options.file + " " + why);
            request["file"] = options.file == "-" ? "standard input" : options.file;
            request["text"] = text;
        }
        request[writes ? "settings" : "keys"] = options.words;
        if (options.save) {
            request["save"] = true;
            request["comment"] = options.comment;
        }
        if (!options.confirm.empty()) request["confirm"] = options.confirm;
        if (options.ignore_unknown) request["ignore_unknown"] = true;
        if (options.action == "confirm") {
            return tell(request, [](const Json&) { return "what was set live stays\n"; });
        }
        if (writes || options.action == "reset" || options.action == "reload") {
            return tell_changes(request, options);
        }
        const Pattern pattern(options.pattern);
        if (!pattern.good()) return usage("-r: '" + options.pattern + "' is no regular expression");
        return tell(
            request, [&options](const Json& answer) { return show_keys(answer, options.style); },
            [&pattern](Json& answer) {
                const auto keys = answer.find("keys");
                if (keys == answer.end() || !keys->is_array()) return;
                Json some = Json::array();
                for (Json& row : *keys) {
                    if (pattern.matches(string_of(row, "key"))) some.push_back(std::move(row));
                }
                *keys = std::move(some);
            });
    }

private:
    struct Options {
        std::string action;  // as the daemon knows it
        std::string file;
        KeyStyle style = KeyStyle::kAssignments;
        bool save = false;
        bool dry = false;
        bool ignore_unknown = false;
        bool strict_live = false;
        std::string comment;
        std::string confirm;
        std::string pattern;
        std::vector<std::string> words;
    };

    // One option that decides what is done; two of them contradict each other.
    bool choose(Options& options, const char* action) {
        if (!options.action.empty() && options.action != action) return false;
        options.action = action;
        return true;
    }

    bool parse_sysctl(const std::vector<std::string>& rest, Options& options, std::string& why) {
        for (std::size_t i = 0; i < rest.size(); ++i) {
            const std::string& word = rest[i];
            bool good = true;
            if (word == "-p" || word == "--check") {
                good = choose(options, word == "-p" ? "write" : "check");
                if (i + 1 == rest.size()) {
                    why = word + " needs a file (- is standard input)";
                    return false;
                }
                options.file = rest[++i];
            } else if (word == "-a") {
                good = choose(options, "all");
            } else if (word == "-w") {
                good = choose(options, "write");
            } else if (word == "-d") {
                good = choose(options, "describe");
                options.style = KeyStyle::kDescriptions;
            } else if (word == "-t") {
                options.style = KeyStyle::kTypes;
            } else if (word == "-r" && i + 1 < rest.size()) {
                options.pattern = rest[++i];
            } else if (word == "-e") {
                options.ignore_unknown = true;
            } else if (word == "--dry-run") {
                options.dry = true;
            } else if (word == "--strict-live") {
                options.strict_live = true;
            } else if (word == "--pending") {
                good = choose(options, "pending");
                options.style = KeyStyle::kPending;
            } else if (word == "confirm" && rest.size() == 1) {
                good = choose(options, "confirm");
            } else if (word == "--save") {
                options.save = true;
            } else if (word == "--comment" && i + 1 < rest.size()) {
                options.comment = rest[++i];
            } else if (word == "--confirm" && i + 1 < rest.size()) {
                options.confirm = rest[++i];
            } else if (word == "--diff") {
                good = choose(options, "diff");
                options.style = KeyStyle::kDifferences;
            } else if (word == "--reset") {
                good = choose(options, "reset");
            } else if (word == "--system") {
                good = choose(options, "reload");
            } else if (word == "-n") {
                options.style = KeyStyle::kValues;
            } else if (word == "-N") {
                options.style = KeyStyle::kNames;
            } else if (word.starts_with("-")) {
                why = "sysctl has no option " + word + " (fedctl help)";
                return false;
            } else {
                options.words.push_back(word);
            }
            if (!good) {
                why = word + " contradicts an option before it";
                return false;
            }
        }
        return check_sysctl(options, why);
    }

    static bool check_sysctl(Options& options, std::string& why) {
        const auto assigns = [](const std::string& word) {
            return word.find('=') != std::string::npos;
        };
        const bool any = std::ranges::any_of(options.words, assigns);
        const bool every = std::ranges::all_of(options.words, assigns);
        // As sysctl(8): a word with an equals sign in it sets, with or without -w.
        if (options.action.empty()) {
            options.action = any                                                 ? "write"
                             : options.words.empty() && !options.pattern.empty() ? "all"
                                                                                 : "get";
        }
        const bool writes = options.action == "write" || options.action == "check";
        const bool reads = options.action == "get" || options.action == "all" ||
                           options.action == "describe" || options.action == "diff";
        if (options.dry && options.action == "write") options.action = "check";
        const bool takes_words = options.action == "get" || options.action == "describe" ||
                                 options.action == "reset" || (writes && options.file.empty());
        if ((options.save || !options.comment.empty() || !options.confirm.empty() || options.dry ||
             options.ignore_unknown || options.strict_live) &&
            !writes) {
            why =
                "--save, --comment, --confirm, --dry-run, --strict-live and -e go with -w, -p or "
                "--check";
        } else if (!options.pattern.empty() && !reads) {
            why = "-r REGEX goes with what reads: keys, -a, -d, --diff";
        } else if (takes_words && options.words.empty()) {
            why = writes ? "-w needs KEY=VALUE" : "sysctl needs a key, or -a (fedctl help)";
        } else if (!takes_words && !options.words.empty()) {
            why = "'" + options.words.front() + "' is one word too many";
        } else if (writes ? !every : any) {
            why = writes ? "what is set is written KEY=VALUE, all of it"
                         : "KEY=VALUE sets, and the option before it only reads";
        }
        return why.empty();
    }

    int tell_changes(const Json& request, const Options& options) {
        const bool dry = options.action == "check";
        bool restart = false;
        const auto show = [&](const Json& answer) {
            return options.save ? show_commit(answer) : show_changes(answer, dry);
        };
        const int status = tell(request, show, [&restart](Json& answer) {
            for (const Json& row : array_of(answer, "changes")) {
                restart = restart || string_of(row, "apply") == "restart";
            }
        });
        if (status != kExitOk || !restart || !options.strict_live) return status;
        err_ << (dry ? "fedctl: not all of it would act before a restart\n"
                     : "fedctl: kept, but not all of it acts before a restart (fedctl sysctl "
                       "--pending)\n");
        return kExitNotLive;
    }
};

}  // namespace

int run_sysctl_verb(const ToolTerminal& terminal, const std::vector<std::string>& rest) {
    return SysctlVerb(terminal).run(rest);
}

}  // namespace fedgate::admin
