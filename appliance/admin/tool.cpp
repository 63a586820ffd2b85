#include "appliance/admin/tool.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string_view>

#include "appliance/admin/client.hpp"
#include "appliance/admin/show.hpp"

namespace fedgate::admin {
namespace {

constexpr std::string_view kHelp =
    R"(fedctl: look at and change a running fedgated

  fedctl [-s SOCKET] [--json] VERB ...

  status              how it is: version, federation switch, streams, remarks
  ports               what listens, what is established on it, who owns it, and the verdict
  streams             every XMPP stream: domains, how the partner proved itself, TLS, traffic
  counters            everything that is counted
  explain FROM TO     may these two converse, and which rule decides
  reload              read the configuration files again (as SIGHUP does)
  sysctl ...          settings; see below
  help, version

  -s SOCKET           admin.socket of the daemon (default /run/fedgate/admin.sock)
  --json              the daemon's answer as it came, for programs

Settings, as with sysctl(8):

  fedctl sysctl KEY...              read; a key's beginning (partner/example.org) reads all below it
  fedctl sysctl -w KEY=VALUE...     set, live, until the next start; all of them or none
  fedctl sysctl -a                  all, with their values
  fedctl sysctl -d KEY...           describe: meaning, type, allowed values, default, where set
  fedctl sysctl --diff              what differs from the defaults, and where it was set
  fedctl sysctl -p FILE             apply a file (- is standard input); all of it or nothing
  fedctl sysctl --check FILE        say exactly what that would change, and change nothing
  fedctl sysctl --reset KEY...      take back what was set live
  fedctl sysctl --system            read the configuration files again
  -n values only, -N names only

  Dots or slashes separate; the first one decides: a name with dots in it needs slashes, like
  partner/example.org/tls. To keep a setting, write it into a file in /etc/fedgate/conf.d/.

Exit status: 0 done, 1 refused or failed, 2 wrong usage.
)";

constexpr std::string_view kVerbs[] = {"status", "ports",  "streams", "counters", "explain",
                                       "reload", "sysctl", "help",    "version"};

// How many letters differ, roughly: enough for a slip of the finger.
std::size_t slips(std::string_view a, std::string_view b) {
    std::size_t front = 0;
    while (front < a.size() && front < b.size() && a[front] == b[front]) ++front;
    std::size_t back = 0;
    while (back < a.size() - front && back < b.size() - front &&
           a[a.size() - 1 - back] == b[b.size() - 1 - back]) {
        ++back;
    }
    return std::max(a.size(), b.size()) - front - back;
}

std::string unknown_verb(const std::string& verb) {
    const auto best = std::ranges::min_element(
        kVerbs, {}, [&verb](std::string_view known) { return slips(verb, known); });
    std::string text = "there is no verb '" + verb + "'";
    if (slips(verb, *best) <= 2) text += "; did you mean " + std::string(*best) + "?";
    return text + " (fedctl help)";
}

class Tool {
public:
    Tool(std::istream& in, std::ostream& out, std::ostream& err) : in_(in), out_(out), err_(err) {}

    int run(std::vector<std::string> words) {
        std::vector<std::string> rest;
        for (std::size_t i = 0; i < words.size(); ++i) {
            if (words[i] == "--json") {
                json_ = true;
            } else if (words[i] == "-s" && rest.empty()) {
                if (i + 1 == words.size()) return usage("-s needs the socket's path");
                socket_ = words[++i];
            } else if (words[i] == "-h" || words[i] == "--help") {
                rest = {"help"};
                break;
            } else if (rest.empty() && words[i] == "--version") {
                rest = {"version"};
            } else if (rest.empty() && words[i].starts_with("-")) {
                return usage("there is no option " + words[i]);
            } else {
                rest.push_back(words[i]);
            }
        }
        if (rest.empty()) {
            err_ << kHelp;
            return kExitUsage;
        }
        const std::string verb = rest.front();
        rest.erase(rest.begin());
        return dispatch(verb, rest);
    }

private:
    int dispatch(const std::string& verb, const std::vector<std::string>& rest) {
        if (verb == "help") {
            out_ << kHelp;
            return kExitOk;
        }
        if (verb == "version") {
            out_ << "fedctl " << FEDGATE_VERSION << "\n";
            return kExitOk;
        }
        if (verb == "sysctl") return sysctl(rest);
        if (verb == "explain") {
            if (rest.size() != 2)
                return usage("explain takes two addresses: fedctl explain FROM TO");
            return tell({{"verb", "explain"}, {"arguments", rest}}, show_explain);
        }
        if (std::ranges::find(kVerbs, verb) == std::end(kVerbs)) return usage(unknown_verb(verb));
        if (!rest.empty()) return usage(verb + " takes nothing more, not '" + rest.front() + "'");
        if (verb == "status") return tell({{"verb", "status"}}, show_status);
        if (verb == "ports") return tell({{"verb", "ports"}}, show_ports);
        if (verb == "streams") return tell({{"verb", "streams"}}, show_streams);
        if (verb == "reload") {
            return tell({{"verb", "sysctl"}, {"action", "reload"}},
                        [](const Json& answer) { return show_changes(answer, false); });
        }
        return tell({{"verb", "counters"}}, show_counters);
    }

    int usage(const std::string& text) {
        err_ << "fedctl: " << text << "\n";
        return kExitUsage;
    }

    int fail(const std::string& text) {
        err_ << "fedctl: " << text << "\n";
        return kExitRefused;
    }

    // Asks, prints the answer or the errors.
    template <typename Show>
    int tell(const Json& request, Show&& show) {
        Json answer;
        std::string why;
        if (!ask(socket_, request, answer, why)) return fail(why);
        const bool good = bool_of(answer, "ok");
        if (json_) {
            out_ << write_json(answer) << "\n";
            return good ? kExitOk : kExitRefused;
        }
        if (good || answer.contains("keys")) out_ << show(answer);
        if (good) return kExitOk;
        const auto errors = answer.find("errors");
        if (errors != answer.end() && errors->is_array()) {
            for (const Json& error : *errors) {
                if (error.is_string()) err_ << "fedctl: " << error.get<std::string>() << "\n";
            }
        }
        const std::string error = string_of(answer, "error");
        if (!error.empty()) err_ << "fedctl: " << error << "\n";
        return kExitRefused;
    }

    struct Options {
        std::string action;  // as the daemon knows it
        std::string file;
        KeyStyle style = KeyStyle::kAssignments;
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
        if (options.action.empty()) options.action = any ? "write" : "get";
        const bool takes_words = options.action == "get" || options.action == "describe" ||
                                 options.action == "reset" ||
                                 (options.action == "write" && options.file.empty());
        if (takes_words && options.words.empty()) {
            why = options.action == "write" ? "-w needs KEY=VALUE"
                                            : "sysctl needs a key, or -a (fedctl help)";
        } else if (!takes_words && !options.words.empty()) {
            why = "'" + options.words.front() + "' is one word too many";
        } else if (options.action == "write" ? !every : any) {
            why = options.action == "write" ? "what is set is written KEY=VALUE, all of it"
                                            : "KEY=VALUE sets, and the option before it only reads";
        }
        return why.empty();
    }

    bool read_input(const std::string& file, std::string& text) {
        if (file == "-") {
            text.assign(std::istreambuf_iterator<char>(in_), {});
            return true;
        }
        std::ifstream stream(file, std::ios::binary);
        if (!stream) return false;
        text.assign(std::istreambuf_iterator<char>(stream), {});
        return !stream.bad();
    }

    int sysctl(const std::vector<std::string>& rest) {
        Options options;
        std::string why;
        if (!parse_sysctl(rest, options, why)) return usage(why);
        Json request{{"verb", "sysctl"}, {"action", options.action}};
        const bool writes = options.action == "write" || options.action == "check";
        if (!options.file.empty()) {
            std::string text;
            if (!read_input(options.file, text)) return fail(options.file + " can't be read");
            request["file"] = options.file == "-" ? "standard input" : options.file;
            request["text"] = text;
        }
        request[writes ? "settings" : "keys"] = options.words;
        if (writes || options.action == "reset" || options.action == "reload") {
            const bool dry = options.action == "check";
            return tell(request, [dry](const Json& answer) { return show_changes(answer, dry); });
        }
        return tell(request,
                    [&options](const Json& answer) { return show_keys(answer, options.style); });
    }

    std::istream& in_;
    std::ostream& out_;
    std::ostream& err_;
    std::string socket_ = "/run/fedgate/admin.sock";
    bool json_ = false;
};

}  // namespace

int run_tool(const std::vector<std::string>& arguments, std::istream& in, std::ostream& out,
             std::ostream& err) {
    return Tool(in, out, err).run(arguments);
}

}  // namespace fedgate::admin
