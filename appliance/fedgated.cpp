// fedgated: the daemon. Reads the configuration, starts one shard for each core, serves until
// SIGTERM.
#include <cstdio>
#include <string>
#include <string_view>
#include <unistd.h>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/control.hpp"
#include "appliance/main/node.hpp"
#include "appliance/main/sandbox_selftest.hpp"

namespace {

constexpr const char* kUsage =
    R"(usage: fedgated [-c FILE] [--set KEY=VALUE]... [--check]
       fedgated --sandbox-selftest

Joins a SIP world to the XMPP world: instant messages between SIP users of the domains domain/NAME/...
and XMPP users of the partners partner/NAME/... Runs in the foreground and logs to standard error.

  -c, --config FILE   read this file only; otherwise /usr/lib, /run and /etc/fedgate/conf.d/*.conf and
                      /etc/fedgate/fedgate.conf. With no configuration at all it starts on loopback
                      with a self-signed certificate, and lets nothing through
  --set KEY=VALUE     set one key over the files; may be repeated
  --check             say what is wrong with the configuration, and start nothing
  --sandbox-selftest  give up what the daemon gives up before it opens a port, try each thing, and say
                      what became of it; needs no configuration, and disturbs no daemon
  --version           print the version
  -h, --help          print this text

Signals: SIGTERM and SIGINT drain (no new work, what is under way is finished, at most 10 s) and stop;
SIGHUP reads configuration and certificates again, without dropping a stream that it does not concern.
Keys: `fedctl sysctl -a` lists them, `fedctl sysctl -d KEY` describes one. State: `fedctl status`.
Exit status: 0 stopped as asked, 1 can't start, bad configuration, or something is not denied, 2 usage.
)";

struct Options {
    fedgate::config::Sources sources;
    bool check = false;
};

enum class Parsed { kRun, kTestSandbox, kDone, kWrong };

Parsed parse(int count, char** arguments, Options& options) {
    const auto value = [&](int& i, std::string_view name, std::string& into) {
        const std::string_view argument = arguments[i];
        if (argument.size() > name.size() && argument.starts_with(name) &&
            argument[name.size()] == '=') {
            into = argument.substr(name.size() + 1);
            return true;
        }
        if (argument != name) return false;
        if (i + 1 >= count) return false;
        into = arguments[++i];
        return true;
    };
    for (int i = 1; i < count; ++i) {
        const std::string_view argument = arguments[i];
        std::string text;
        if (argument == "-h" || argument == "--help") {
            std::fputs(kUsage, stdout);
            return Parsed::kDone;
        }
        if (argument == "--version") {
            std::puts("fedgated " FEDGATE_VERSION);
            return Parsed::kDone;
        }
        if (argument == "--sandbox-selftest") {
            if (count == 2) return Parsed::kTestSandbox;
            std::fputs("fedgated: --sandbox-selftest goes with nothing else; see fedgated --help\n",
                       stderr);
            return Parsed::kWrong;
        }
        if (argument == "--check") {
            options.check = true;
        } else if (value(i, "-c", text) || value(i, "--config", text)) {
            options.sources.file = text;
        } else if (value(i, "--set", text)) {
            options.sources.assignments.push_back(text);
        } else {
            const bool known = argument == "-c" || argument == "--config" || argument == "--set";
            std::fprintf(stderr,
                         known ? "fedgated: %s needs a value; see fedgated --help\n"
                               : "fedgated: unknown argument %s; see fedgated --help\n",
                         arguments[i]);
            return Parsed::kWrong;
        }
    }
    return Parsed::kRun;
}

void print(const fedgate::config::Problems& problems) {
    for (const fedgate::config::Problem& problem : problems) {
        std::fprintf(stderr, "%s\n", problem.line().c_str());
    }
}

// Nothing is configured: a daemon that nobody outside can reach, to look at.
fedgate::config::Sources on_loopback(fedgate::config::Sources sources) {
    sources.assignments = {"xmpp.listen=127.0.0.1:5269", "xmpp.listen_tls=127.0.0.1:5270",
                           "sip.listen=udp:127.0.0.1:5060 tcp:127.0.0.1:5060"};
    return sources;
}

}  // namespace

int main(int argument_count, char** arguments) {
    using namespace fedgate;
    Options options;
    switch (parse(argument_count, arguments, options)) {
        case Parsed::kDone: return 0;
        case Parsed::kWrong: return 2;
        case Parsed::kTestSandbox: return test_sandbox();
        case Parsed::kRun: break;
    }
    config::Problems problems;
    admin::Configuration configuration(options.sources);
    const rules::Snapshot* rules = configuration.load(problems);
    const bool configured = configuration.files() > 0 || !options.sources.assignments.empty() ||
                            configuration.committed().number > 0;
    if (rules != nullptr && !configured) {
        configuration = admin::Configuration(on_loopback(options.sources));
        rules = configuration.load(problems);
        std::fputs(
            "fedgated: no configuration found: listening on loopback only, with a self-signed "
            "certificate; nothing is let through. Configure /etc/fedgate/fedgate.conf\n",
            stderr);
    }
    print(problems);
    if (rules == nullptr) return 1;
    if (options.check) {
        const std::string fault = Node::fault_at_start(*rules);
        if (!fault.empty()) {
            std::fprintf(stderr, "error: %s\n", fault.c_str());
            return 1;
        }
        std::puts("the configuration is good");
        return 0;
    }

    admin::Control::block_signals();
    Node node(*rules);
    node.log().event(EventId::kStarted, {{"version", FEDGATE_VERSION}});
    std::string fault;
    admin::Control control(node, configuration);
    if (!node.start(fault) || !control.open(fault)) {
        node.log().event(EventId::kStartFailed, {{"error", fault}});
        node.write_log();
        std::fprintf(stderr, "fedgated: can't start: %s\n", fault.c_str());
        return 1;
    }
    node.log().event(EventId::kReady, {{"pid", static_cast<int>(getpid())}});
    control.run(std::chrono::seconds(12));
    return 0;
}
