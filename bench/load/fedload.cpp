// fedload: load against a running server, from both worlds at once. It is the partner's XMPP server
// (the product's own edge) and the SIP pool.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "bench/load/messages.hpp"
#include "bench/load/presence.hpp"
#include "bench/load/reflect.hpp"
#include "bench/load/set_ups.hpp"
#include "bench/load/target.hpp"

namespace fedgate::load {
namespace {

constexpr const char* kUsage =
    R"(usage: fedload [--to-sip | --to-xmpp] --xmpp A --xmpp-listen A --sip A --sip-listen A [OPTION...]
       fedload --sip-to-sip --sip A --sip-listen A [OPTION...]
       fedload --there-and-back --xmpp A --xmpp-listen A [OPTION...]
       fedload --reflect --xmpp A --xmpp-listen A [OPTION...]
       fedload --set-ups | --idle --xmpp A --tls DIRECTORY [OPTION...]
       fedload --presence --xmpp A --xmpp-listen A --sip A --sip-listen A [OPTION...]

Loads a server and counts at the far end what has become of each message: delivered, refused, lost,
doubled, out of order. A is ADDRESS:PORT, numeric.
  --to-sip (default)   from XMPP to SIP; --to-xmpp: from SIP to XMPP, both through Fedgate
  --sip-to-sip         through a SIP server that sends what is for --domain to --sip-listen
  --there-and-back     to an XMPP server, from which each message comes back, or an error for it
  --reflect            is such a server: the product's edge alone sends back what comes, until standard
                       input ends. Here --partner is its domain, --domain and --xmpp the load's
  --set-ups            streams to an XMPP server: TCP, TLS, SASL EXTERNAL, close
  --idle               as many streams, which stay until standard input ends, or --limit
  --xmpp, --sip        where the target listens
  --xmpp-listen, --sip-listen   where fedload listens: as partner (partner/DOMAIN/proxy of fedgated)
                       and as next hop (domain/DOMAIN/next_hop)
  --partner partner.example     our XMPP domain; --domains N: p0.DOMAIN, p1.DOMAIN, ..., a stream each
  --domain sip.example          of the SIP side; of set-ups, the target's
  --tls DIRECTORY      TLS on both sides, with DIRECTORY/{ca,cert,key}.pem; without: clear on both
  --sip-transport T    udp, tcp or tls; --auth external: certificates instead of dialback
  --pid PID            the target's process, again for each if it is several: CPU time, that of
                       their children included, and their own memory are read
How much:
  --count 100000 (set-ups, streams: 10000), --warm-up 20000 (0), --pairs 1000 of users, --body 100
  --window 1000 (64)   so many under way, and the next one as soon as one has ended (closed loop)
  --rate N             N a second, whatever the target does (open loop): latency counts from when a
                       message was due. --window still bounds what is under way
  --limit 120          seconds for all of it; --silence 10: seconds without any answer
Output: a table, or --json; --plot FILE.svg: throughput and latency over time, and its distribution.
On a terminal a progress bar.
  --i-own-this-target  the target may be another host than this one
Exit status: 0 all delivered, in order, once; 1 not so, and a sentence says what; 2 usage.

With --presence it is 5000 --watchers (SIP users and their presence server, which grants --expires
3600 seconds), each with 200 --contacts spread over 20 --domains, p0.DOMAIN, p1.DOMAIN, ... of
--partner (fedgated needs partner/*.DOMAIN). A pair is a watcher and a contact; they are numbered
from 0. It reads commands from standard input and answers each with one line of JSON, after --limit
seconds (120) at most:
  run KIND[@DELAY] FIRST LAST RATE [KIND ...]   side by side, for the pairs FIRST to LAST - 1, so
                       many a second, or, with 0, as fast as --window lets. KIND:
                       watch, refresh, unwatch: the SIP user's SUBSCRIBE; watch is done when a
                         NOTIFY shows the contact's present status
                       subscribe, probe: the XMPP user's; done when the presence comes
                       change-xmpp, change-sip: somebody's status; done when the other side sees it
                       message-to-sip, message-to-xmpp
  changed              everybody's status changes, and nothing of it is sent: fedgated is down
  right COUNT SECONDS  waits until so many statuses are seen at the other side as they are, no longer
  idle SECONDS         only answers
JSON: of each kind how many were sent, done, failed, and are open, their latency; which NOTIFYs,
SUBSCRIBEs (each_second, too) and stanzas came in meanwhile. It ends at the end of its input.
)";

using Texts = std::map<std::string, std::string*>;
using Numbers = std::map<std::string, unsigned*>;

template <typename Number>
bool parse_number(const char* text, Number& into) {
    const char* end = text + std::strlen(text);
    const auto result = std::from_chars(text, end, into);
    return result.ec == std::errc() && result.ptr == end;
}

bool parse_words(int count, char** arguments, Options& options) {
    const std::map<std::string, Mode> modes = {
        {"--to-sip", Mode::kToSip},        {"--to-xmpp", Mode::kToXmpp},
        {"--sip-to-sip", Mode::kSipToSip}, {"--there-and-back", Mode::kReturn},
        {"--reflect", Mode::kReflect},     {"--set-ups", Mode::kSetUps},
        {"--idle", Mode::kIdle},           {"--presence", Mode::kPresence}};
    const std::map<std::string, bool*> switches = {{"--json", &options.json},
                                                   {"--i-own-this-target", &options.own_target}};
    const Texts texts = {{"--xmpp", &options.xmpp},
                         {"--xmpp-listen", &options.xmpp_listen},
                         {"--sip", &options.sip},
                         {"--sip-listen", &options.sip_listen},
                         {"--sip-transport", &options.sip_transport},
                         {"--auth", &options.auth},
                         {"--tls", &options.tls},
                         {"--plot", &options.plot},
                         {"--partner", &options.partner},
                         {"--domain", &options.domain}};
    const Numbers numbers = {{"--count", &options.count},       {"--warm-up", &options.warm_up},
                             {"--pairs", &options.pairs},       {"--window", &options.window},
                             {"--body", &options.body},         {"--limit", &options.limit_s},
                             {"--silence", &options.silence_s}, {"--watchers", &options.watchers},
                             {"--contacts", &options.contacts}, {"--domains", &options.domains},
                             {"--expires", &options.expires}};
    for (int i = 1; i < count; ++i) {
        const std::string name = arguments[i];
        if (const auto mode = modes.find(name); mode != modes.end()) {
            options.mode = mode->second;
            continue;
        }
        if (const auto found = switches.find(name); found != switches.end()) {
            *found->second = true;
            continue;
        }
        if (i + 1 >= count) return false;
        const char* value = arguments[++i];
        if (const auto text = texts.find(name); text != texts.end()) {
            *text->second = value;
        } else if (const auto n = numbers.find(name); n != numbers.end()) {
            if (!parse_number(value, *n->second)) return false;
        } else if (name == "--rate") {
            if (!parse_number(value, options.rate) || !(options.rate >= 0)) return false;
        } else if (int pid = 0; name == "--pid" && parse_number(value, pid) && pid > 0) {
            options.pids.push_back(pid);
        } else {
            return false;
        }
    }
    return true;
}

void set_defaults(Options& options) {
    const bool streams = options.mode == Mode::kSetUps || options.mode == Mode::kIdle;
    const auto unless_set = [](unsigned& value, unsigned fallback) {
        if (value == 0) value = fallback;
    };
    unless_set(options.domains, options.presence() ? 20 : 1);
    unless_set(options.window, streams ? 64 : 1'000);
    unless_set(options.count, streams ? 10'000 : 100'000);
    if (options.sip_transport.empty()) options.sip_transport = options.tls.empty() ? "tcp" : "tls";
    if (options.warm_up == Options::kWarmUpUnset) options.warm_up = streams ? 0 : 20'000;
}

bool makes_sense(const Options& options) {
    constexpr unsigned kCountMax = 100'000'000;
    const bool people =
        options.watchers > 0 && options.contacts > 0 && options.contacts % options.domains == 0;
    const bool streams = options.mode == Mode::kSetUps || options.mode == Mode::kIdle;
    const bool xmpp =
        !options.has_xmpp() || (!options.xmpp.empty() && (streams || !options.xmpp_listen.empty()));
    const bool sip = !options.has_sip() || (!options.sip.empty() && !options.sip_listen.empty());
    const bool transport = options.sip_transport == "udp" || options.sip_transport == "tcp" ||
                           (options.sip_transport == "tls" && !options.tls.empty());
    const bool auth =
        options.auth == "dialback" || (options.auth == "external" && !options.tls.empty());
    return (!options.presence() || people) && (!streams || !options.tls.empty()) && xmpp && sip &&
           transport && auth && options.pairs > 0 && options.count <= kCountMax &&
           options.warm_up <= kCountMax && options.domains <= 1'000;
}

int run(const Options& options) {
    if (options.has_target() && !check_targets(options)) return 1;
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (options.rate > 0) prctl(PR_SET_TIMERSLACK, 1UL);  // on time
    switch (options.mode) {
        case Mode::kReflect: return Reflect(options).run();
        case Mode::kPresence: return Presence(options).run();
        case Mode::kSetUps:
        case Mode::kIdle: return SetUps(options).run();
        default: return Messages(options).run();
    }
}

}  // namespace
}  // namespace fedgate::load

int main(int count, char** arguments) {
    using namespace fedgate::load;
    Options options;
    if (count == 2 &&
        (std::strcmp(arguments[1], "--help") == 0 || std::strcmp(arguments[1], "-h") == 0)) {
        std::fputs(kUsage, stdout);
        return 0;
    }
    const bool understood = parse_words(count, arguments, options);
    set_defaults(options);
    if (!understood || !makes_sense(options)) {
        std::fputs("fedload: that is not complete, or not understood; see fedload --help\n",
                   stderr);
        return 2;
    }
    return run(options);
}
