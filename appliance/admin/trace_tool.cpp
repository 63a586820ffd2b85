#include "appliance/admin/trace_tool.hpp"

#include <csignal>
#include <ctime>
#include <ostream>

#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/trace.hpp"
#include "appliance/admin/words.hpp"

namespace fedgate::admin {
namespace {

constexpr timespec kPause{0, 200'000'000};  // between two questions
constexpr const char* kUsage =
    "trace takes --partner DOMAIN, --user ADDRESS or both, and --for 60s; or the id of a message "
    "of "
    "the last trace; or --stop";

volatile std::sig_atomic_t interrupted = 0;

// For the time of a trace: Ctrl-C ends it in order.
class Interruption {
public:
    Interruption() {
        struct sigaction action{};
        action.sa_handler = [](int) { interrupted = 1; };
        interrupted = 0;
        for (std::size_t i = 0; i < std::size(kSignals); ++i) {
            sigaction(kSignals[i], &action, &before_[i]);
        }
    }
    ~Interruption() {
        for (std::size_t i = 0; i < std::size(kSignals); ++i) {
            sigaction(kSignals[i], &before_[i], nullptr);
        }
    }
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

private:
    static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction before_[4]{};
};

class Tracing {
public:
    explicit Tracing(const TraceTerminal& terminal) : terminal_(terminal) {}

    // A refusal, or the daemon is not there: told.
    bool ask(Json request, Json& answer) {
        request["verb"] = "trace";
        std::string why;
        if (!terminal_.ask(request, answer, why)) {
            terminal_.err << "fedctl: " << why << "\n";
            return false;
        }
        if (bool_of(answer, "ok")) return true;
        terminal_.err << "fedctl: " << for_terminal(string_of(answer, "error")) << "\n";
        return false;
    }

    int live(const Words& words) {
        Json request{{"action", "start"}};
        add_options(request, words);
        Json answer;
        const Interruption interruption;
        if (!ask(request, answer)) return kExitRefused;
        if (!terminal_.json) {
            terminal_.err << "for " << number_of(answer, "seconds")
                          << " s; Ctrl-C ends it. Bodies are not shown.\n";
            terminal_.out << show_trace_heading(string_of(answer, "partner")) << std::flush;
        }
        std::uint64_t next = number_of(answer, "next");
        std::uint64_t missed = 0;
        while (true) {
            const bool stopped = interrupted != 0;
            if (!ask({{"action", "read"}, {"after", next}}, answer)) return kExitRefused;
            const Json& rows = array_of(answer, "rows");
            for (const Json& row : rows) {
                terminal_.out << (terminal_.json ? write_json(row) + "\n" : show_trace_row(row));
            }
            terminal_.out << std::flush;
            next = number_of(answer, "next");
            const std::uint64_t missing = number_of(answer, "missed");
            if (missing > missed) {
                terminal_.err
                    << "rows are missing: there was no room, or a core was late; trace less\n";
                missed = missing;
            }
            if (rows.size() == kTraceAnswerRows) continue;
            if (!bool_of(answer, "running")) return kExitOk;
            if (stopped || !terminal_.out) {
                Json ignored;
                return ask({{"action", "stop"}}, ignored) ? kExitOk : kExitRefused;
            }
            nanosleep(&kPause, nullptr);  // a signal ends it
        }
    }

private:
    const TraceTerminal& terminal_;
};

}  // namespace

int run_trace_tool(const TraceTerminal& terminal, const std::vector<std::string>& rest) {
    static constexpr std::string_view kOptions[] = {"--partner=", "--user=", "--for=", "--stop"};
    Words words;
    std::string why;
    std::vector<std::string> all{"trace"};
    all.insert(all.end(), rest.begin(), rest.end());
    if (!cut_words(all, kOptions, words, why)) {
        terminal.err << "fedctl: " << why << "\n";
        return kExitUsage;
    }
    Tracing tracing(terminal);
    const bool stop = words.flags.contains("--stop");
    const bool find = words.words.size() == 1 && words.options.empty();
    const bool live = words.words.empty() && !stop &&
                      (words.options.contains("--partner") || words.options.contains("--user"));
    Json answer;
    if (stop && words.words.empty() && words.options.size() == 1) {
        return tracing.ask({{"action", "stop"}}, answer) ? kExitOk : kExitRefused;
    }
    if (find) {
        if (!tracing.ask({{"action", "find"}, {"id", words.words[0]}}, answer)) return kExitRefused;
        terminal.out << (terminal.json ? write_json(answer) + "\n" : show_trace(answer));
        return kExitOk;
    }
    if (live) return tracing.live(words);
    terminal.err << "fedctl: " << kUsage << "\n";
    return kExitUsage;
}

}  // namespace fedgate::admin
