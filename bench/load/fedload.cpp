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

#include "bench/load/cpu.hpp"
#include "bench/load/messages.hpp"
#include "bench/load/presence.hpp"
#include "bench/load/reflect.hpp"
#include "bench/load/results.hpp"
#include "bench/load/set_ups.hpp"
#include "bench/load/target.hpp"

namespace fedgate::load {
namespace {

constexpr const char* kUsage =
    R"(usage: fedload [--to-sip | --to-xmpp] --xmpp A --xmpp-listen A --sip A --sip-listen A [OPTION...]
       fedload --sip-to-sip --sip A --sip-listen A [OPTION...]
       fedload --there-and-back --xmpp A --xmpp-listen A [OPTION...]
       fedload --reflect --xmpp A --xmpp-listen A [OPTION...]
       fedload --set-ups | --idle --xmpp A [--xmpp-listen A] [OPTION...]
       fedload --storm | --fan-out | --refreshes | --presence
               --xmpp A --xmpp-listen A --sip A --sip-listen A [OPTION...]

Loads a server and counts at the far end what has become of each message: delivered, refused, lost,
doubled, out of order. A is HOST:PORT.

Messages:
  --to-sip (default)   from XMPP to SIP; --to-xmpp: from SIP to XMPP, both through a gateway
  --sip-to-sip         through a SIP server that sends what is for --domain to --sip-listen
  --there-and-back     to an XMPP server, from which each message comes back, or an error for it
  --reflect            is such a server: the product's edge alone sends back what comes, until
                       standard input ends. Here --partner is its domain, --domain and --xmpp the load's
  --sessions lync      with --to-sip or --to-xmpp: each pair's messages go in a session of its own, of
                       an INVITE: with --to-sip the gateway's, for the first one, with --to-xmpp ours,
                       before all of them. Needs domain/DOMAIN/profile = lync, and tcp or tls. At the
                       end each session is ended by BYE
  --hold               with --sessions: they stay until standard input ends, or --limit; then comes one
                       message more for each of the first 1000 pairs, in the session that stands

Streams to an XMPP server:
  --set-ups            TCP, TLS, SASL EXTERNAL or dialback, close
  --idle               as many, which stay until standard input ends, or --limit

Presence. There are 5000 --watchers (SIP users and their presence server, which grants --expires 3600
seconds), each with 200 --contacts spread over 20 --domains, p0.DOMAIN, p1.DOMAIN, ... of --partner
(fedgated needs partner/*.DOMAIN). A pair is a watcher and a contact:
  --storm              each pair subscribes, both ways; done when the presence is seen
  --fan-out            each pair's status changes, both ways, behind a storm that does not count
  --refreshes          each SIP user refreshes each of his subscriptions, behind the same
  --presence           does what standard input says; see below

Where and how:
  --xmpp, --sip        where the target listens
  --xmpp-listen, --sip-listen   where fedload listens: as partner (partner/DOMAIN/proxy of fedgated)
                       and as next hop (domain/DOMAIN/next_hop)
  --partner partner.example     our XMPP domain; --domains N: p0.DOMAIN, p1.DOMAIN, ..., each a stream
  --domain sip.example          of the SIP side; of streams, the target's
  --tls DIRECTORY      TLS on both sides, with DIRECTORY/{ca,cert,key}.pem; without: clear on both
  --auth A             external: our certificate proves us (streams with TLS, if nothing is said);
                       dialback: the target asks back at --xmpp-listen (all others)
  --sip-transport T    udp, tcp or tls
  --pid PID            the target's process, again for each if it is several: CPU time, that of
                       their children included, and their own peak memory are read
  --i-own-this-target  the target may be another host than this one

How much:
  --count 100000 (streams: 10000), --warm-up 20000 (0), --pairs 1000 of users, --body 100
  --window 1000 (64)   so many under way, and the next one as soon as one has ended (closed loop);
                       over UDP 50; of streams by dialback 8
  --rate N             N a second, whatever the target does (open loop): latency counts from when a
                       message was due. --window still bounds what is under way
  --limit 120          seconds for all of it; --silence 10: seconds without any answer

Output: a table, or --json; --plot FILE.svg or FILE.png: throughput and latency over time, and its
distribution. On a terminal a progress bar. Memory: 20 bytes for each message, 300 for each pair.
Exit status: 0 all delivered, in order, once; 1 not so, and a sentence says what; 2 usage.

Commands. With --presence it reads them from standard input, pairs are numbered from 0, and it answers
each with one line of JSON, after --limit seconds (120) at most:
  run KIND[@DELAY] FIRST LAST RATE [KIND ...]   side by side, for the pairs FIRST to LAST - 1, so
                       many a second, or, with 0, as fast as --window lets. KIND:
                       watch, refresh, unwatch: the SIP user's SUBSCRIBE; watch is done when a
                         NOTIFY shows the contact's present status;
                       subscribe, probe: the XMPP user's; done when the presence comes;
                       change-xmpp, change-sip: somebody's status; done when the other side sees it;
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

// Empty, or what was not understood.
std::string parse_words(int count, char** arguments, Options& options) {
    const std::map<std::string, Mode> modes = {
        {"--to-sip", Mode::kToSip},        {"--to-xmpp", Mode::kToXmpp},
        {"--sip-to-sip", Mode::kSipToSip}, {"--there-and-back", Mode::kReturn},
        {"--reflect", Mode::kReflect},     {"--set-ups", Mode::kSetUps},
        {"--idle", Mode::kIdle},           {"--presence", Mode::kPresence},
        {"--storm", Mode::kStorm},         {"--fan-out", Mode::kFanOut},
        {"--refreshes", Mode::kRefresh}};
    const std::map<std::string, bool*> switches = {{"--json", &options.json},
                                                   {"--hold", &options.hold},
                                                   {"--i-own-this-target", &options.own_target}};
    const Texts texts = {{"--xmpp", &options.xmpp},
                         {"--xmpp-listen", &options.xmpp_listen},
                         {"--sip", &options.sip},
                         {"--sip-listen", &options.sip_listen},
                         {"--sip-transport", &options.sip_transport},
                         {"--auth", &options.auth},
                         {"--tls", &options.tls},
                         {"--plot", &options.plot},
                         {"--sessions", &options.sessions},
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
        if (i + 1 >= count) return name;
        const char* value = arguments[++i];
        if (const auto text = texts.find(name); text != texts.end()) {
            *text->second = value;
        } else if (const auto n = numbers.find(name); n != numbers.end()) {
            if (!parse_number(value, *n->second)) return name + ' ' + value;
        } else if (name == "--rate") {
            if (!parse_number(value, options.rate)) return name + ' ' + value;
        } else if (int pid = 0; name == "--pid" && parse_number(value, pid) && pid > 0) {
            options.pids.push_back(pid);
        } else {
            return name + ' ' + value;
        }
    }
    return {};
}

void set_defaults(Options& options) {
    const auto unless_set = [](unsigned& value, unsigned fallback) {
        if (value == 0) value = fallback;
    };
    unless_set(options.domains, options.presence() ? 20 : 1);
    unless_set(options.count, options.streams() ? 10'000 : 100'000);
    if (options.sip_transport.empty()) options.sip_transport = options.tls.empty() ? "tcp" : "tls";
    if (options.warm_up == Options::kWarmUpUnset) options.warm_up = options.streams() ? 0 : 20'000;
    if (options.auth.empty()) {
        options.auth = options.streams() && !options.tls.empty() ? "external" : "dialback";
    }
    unless_set(options.window, options.streams()                ? (options.external() ? 64 : 8)
                               : options.sip_transport == "udp" ? 50
                                                                : 1'000);
}

// A sentence; null: nothing is missing.
const char* what_is_wrong(const Options& options) {
    constexpr unsigned kCountMax = 100'000'000, kDomainsMax = 1'000, kBodyMax = 4'000;
    constexpr std::uint64_t kPresencePairsMax = 10'000'000;
    constexpr double kRateMin = 0.01, kRateMax = 1e7;
    const std::string& way = options.sip_transport;
    const bool tls = !options.tls.empty();
    const struct {
        bool holds;
        const char* sentence;
    } rules[] = {
        {!options.has_xmpp() || !options.xmpp.empty(), "--xmpp is missing: where to?"},
        {!options.has_sip() || !options.sip.empty(), "--sip is missing: where to?"},
        {!options.has_xmpp_listener() || !options.xmpp_listen.empty(),
         "--xmpp-listen is missing: where does the target reach us?"},
        {!options.has_sip() || !options.sip_listen.empty(),
         "--sip-listen is missing: where does the target reach us?"},
        {way == "udp" || way == "tcp" || way == "tls", "--sip-transport is udp, tcp or tls"},
        {way != "tls" || tls, "--sip-transport tls needs --tls"},
        {options.external() || options.auth == "dialback", "--auth is external or dialback"},
        {!options.external() || tls, "--auth external needs --tls"},
        {options.plot.empty() || options.plot.ends_with(".svg") || options.plot.ends_with(".png"),
         "--plot draws a FILE.svg or a FILE.png"},
        {options.mode != Mode::kPresence || options.plot.empty(), "--presence has no --plot"},
        {options.sessions.empty() || options.sessions == "lync", "--sessions is lync"},
        {options.sessions.empty() || options.through_gateway(),
         "--sessions is for --to-sip and --to-xmpp"},
        {options.sessions.empty() || way != "udp", "--sessions needs tcp or tls"},
        {!options.hold || !options.sessions.empty(), "--hold is for --sessions"},
        {options.rate == 0 || (options.rate >= kRateMin && options.rate <= kRateMax),
         "--rate is from 0.01 to 10,000,000 a second"},
        {options.count <= kCountMax && options.warm_up <= kCountMax && options.pairs > 0 &&
             options.pairs <= kCountMax && options.window <= kCountMax,
         "--count, --warm-up, --pairs, --window: 100,000,000 at most"},
        {options.domains <= kDomainsMax, "--domains: 1,000 at most"},
        {options.body <= kBodyMax, "--body: 4,000 bytes at most"},
        {options.watchers > 0 && options.contacts > 0 &&
             std::uint64_t{options.watchers} * options.contacts <= kPresencePairsMax,
         "--watchers times --contacts: 10,000,000 at most"},
        {!options.presence() || options.contacts % options.domains == 0,
         "--contacts is a multiple of --domains"},
    };
    for (const auto& rule : rules) {
        if (!rule.holds) return rule.sentence;
    }
    return nullptr;
}

int run(Options& options) {
    if (options.has_target() && !check_targets(options)) return 1;
    if (!options.plot.empty() && !may_plot(options.plot)) return 1;
    for (const int pid : options.pids) {
        if (is_there(pid)) continue;
        std::fprintf(stderr, "fedload: no process has the number %d of --pid\n", pid);
        return 1;
    }
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (options.rate > 0) prctl(PR_SET_TIMERSLACK, 1UL);  // on time
    switch (options.mode) {
        case Mode::kReflect: return Reflect(options).run();
        case Mode::kPresence:
        case Mode::kStorm:
        case Mode::kFanOut:
        case Mode::kRefresh: return Presence(options).run();
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
    if (const std::string word = parse_words(count, arguments, options); !word.empty()) {
        std::fprintf(stderr, "fedload: %s is not understood, or not complete; see fedload --help\n",
                     word.c_str());
        return 2;
    }
    set_defaults(options);
    if (const char* sentence = what_is_wrong(options)) {
        std::fprintf(stderr, "fedload: %s; see fedload --help\n", sentence);
        return 2;
    }
    return run(options);
}
