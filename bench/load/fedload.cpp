// fedload: load against a running fedgated, from both worlds at once. It is the partner's XMPP
// server (the product's own edge) and the SIP pool.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "bench/load/messages.hpp"
#include "bench/load/presence.hpp"

namespace fedgate::load {
namespace {

constexpr const char* kUsage =
    R"(usage: fedload --pid PID --xmpp ADDRESS:PORT --xmpp-listen ADDRESS:PORT
               --sip ADDRESS:PORT --sip-listen ADDRESS:PORT
               [--to-sip | --to-xmpp] [--count N] [--warm-up N] [--pairs N] [--body BYTES]
       fedload --presence --xmpp ... --xmpp-listen ... --sip ... --sip-listen ...
               [--watchers N] [--contacts N] [--domains N] [--expires N]
       both:   [--window N] [--tls DIRECTORY] [--partner DOMAIN] [--domain DOMAIN] [--limit SECONDS]

Sends N messages through the fedgated with process id PID and counts them at the far end.
  --xmpp, --sip        where fedgated listens; loopback only
  --xmpp-listen, --sip-listen   where fedload listens: as partner (partner/DOMAIN/proxy of fedgated)
                       and as next hop (domain/DOMAIN/next_hop)
  --to-sip (default)   XMPP to SIP; --to-xmpp: SIP to XMPP
  --count 100000, --warm-up 20000, --pairs 1000, --window 1000, --body 100
  --tls DIRECTORY      TLS on both sides with DIRECTORY/{ca,cert,key}.pem; without: clear on both
Prints messages/s, CPU nanoseconds of fedgated for each message, latency, peak memory.
Exit status: 0 all delivered, 1 something was refused, lost, doubled or late, 2 usage.

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

bool parse(int count, char** arguments, Options& options) {
    const std::map<std::string, std::string*> texts = {
        {"--xmpp", &options.xmpp},    {"--xmpp-listen", &options.xmpp_listen},
        {"--sip", &options.sip},      {"--sip-listen", &options.sip_listen},
        {"--tls", &options.tls},      {"--partner", &options.partner},
        {"--domain", &options.domain}};
    const std::map<std::string, unsigned*> numbers = {
        {"--count", &options.count},       {"--warm-up", &options.warm_up},
        {"--pairs", &options.pairs},       {"--window", &options.window},
        {"--body", &options.body},         {"--limit", &options.limit_s},
        {"--watchers", &options.watchers}, {"--contacts", &options.contacts},
        {"--domains", &options.domains},   {"--expires", &options.expires}};
    unsigned pid = 0;
    const auto number = [](const char* text, unsigned& into) {
        const char* end = text + std::strlen(text);
        const auto result = std::from_chars(text, end, into);
        return result.ec == std::errc() && result.ptr == end;
    };
    for (int i = 1; i < count; ++i) {
        const std::string name = arguments[i];
        if (name == "--to-sip" || name == "--to-xmpp") {
            options.to_sip = name == "--to-sip";
            continue;
        }
        if (name == "--presence") {
            options.presence = true;
            continue;
        }
        if (i + 1 >= count) return false;
        const char* value = arguments[++i];
        if (const auto text = texts.find(name); text != texts.end()) {
            *text->second = value;
        } else if (const auto n = numbers.find(name); n != numbers.end()) {
            if (!number(value, *n->second)) return false;
        } else if (name != "--pid" || !number(value, pid)) {
            return false;
        }
    }
    options.pid = static_cast<int>(pid);
    const bool people = options.domains > 0 && options.watchers > 0 && options.contacts > 0 &&
                        options.contacts % options.domains == 0;
    return (options.presence ? people : pid != 0) && !options.xmpp.empty() &&
           !options.xmpp_listen.empty() && !options.sip.empty() && !options.sip_listen.empty() &&
           options.pairs > 0 && options.window > 0 && options.count > 0;
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
    if (!parse(count, arguments, options)) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    return options.presence ? Presence(options).run() : Messages(options).run();
}
