#include "appliance/admin/tool.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <iostream>
#include <iterator>
#include <regex.h>
#include <span>
#include <string_view>
#include <unistd.h>

#include "appliance/admin/backup_tool.hpp"
#include "appliance/admin/certificate_tool.hpp"
#include "appliance/admin/client.hpp"
#include "appliance/admin/cmdlets.hpp"
#include "appliance/admin/doctor_tool.hpp"
#include "appliance/admin/events.hpp"
#include "appliance/admin/lab.hpp"
#include "appliance/admin/machine_tool.hpp"
#include "appliance/admin/outside_tool.hpp"
#include "appliance/admin/partner_lists.hpp"
#include "appliance/admin/remote_client.hpp"
#include "appliance/admin/report_tool.hpp"
#include "appliance/admin/setup.hpp"
#include "appliance/admin/sheet.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tlsa.hpp"
#include "appliance/admin/top.hpp"
#include "appliance/admin/trace_tool.hpp"
#include "appliance/admin/trial_tool.hpp"
#include "appliance/admin/user_words.hpp"
#include "appliance/admin/words.hpp"
#include "core/base/file.hpp"

namespace fedgate::admin {
namespace {

constexpr std::string_view kHelp =
    R"(usage: fedctl [-s SOCKET] [--json] VERB ...

Looks at and changes a running fedgated.

  status              how it is: version, federation switch, streams, remarks
  ports               what listens, what is established on it, who owns it, and the verdict
  streams             every XMPP stream: domains, how the partner proved itself, TLS, traffic
  counters            everything that is counted
  top                 live: streams, rates, queues; --once shows it once, as to a file or a pipe;
                      --interval SECONDS
  events              what was logged lately (at most 4,096 events), the last 50; --count N,
                      --since 10min|2h|3d|TIME, --severity warning, --id FG-1106, --language en|fr;
                      --follow goes on with what comes
  events ID...        what an event means, its cause and its remedy; --catalogue: all of them
  explain FROM TO     may these two converse, and which rule decides
  dns plan            the records to publish, as zone lines: for each of our domains and each edge;
                      --tlsa, of an edge: the certificate in use, too, for zones that DNSSEC signs
  dns check           are those there, are they right, do they lead here; --server ADDRESS asks
                      that name server instead of ours
  doctor DOMAIN       why we don't come together with this domain: DNS, TCP, stream, TLS, certificate,
                      SASL or dialback, partner rule, user policy, route, SIP leg; names the first
                      that is broken, whose side it is, and what to do. It sets up a stream.
                      --from ADDRESS for that user of ours; --server ADDRESS as above; --within
                      60s: then it says what it has not looked at
  doctor DOMAIN --forecast [ATTRIBUTE=VALUE]...    the same as if that partner had these (tls=, sasl=,
                      dialback=, ca=, proxy=), listed or not: how a stream of ours would be proved, and
                      what if their certificate fails, from what their server offers now; the same of
                      all settings, and the safest that works. The daemon opens no stream
  doctor --lab [FAULT]    the faults that can be planted; one of them: what doctor says of a partner
                      that has it. That one lives in fedctl, on 127.0.0.1, as long as this runs
  trace --partner D --user U    what they exchange, live, on both legs: each stanza and SIP message
                      of that partner, that user, or of both together, and what became of it; without
                      bodies, for 60 s (--for 10m), or until trace --stop
  trace ID            one message of the last trace, by the id of its stanza, its Call-ID or its
                      #number
  test im FROM TO     a message from a user of ours to one of a partner's, or the other way, through
                      all that a real one goes through: result, latency, and what is in its way;
                      --both ways, --within 30s, --text TEXT. At a gateway. It is written in the
                      name of FROM: any user of ours whose policy allows it, or any of a partner's,
                      who hears nothing of it; it is an event, and test.im.rate bounds it. One to
                      SIP starts behind the partner's stream: that this comes up, doctor shows, or
                      the other way
  test                how the last of the scheduled ones went (test.im.from, test.im.interval)
  setup ...           asks what a first set-up needs, or is told it; changes all of it or nothing;
                      see below
  report [--since 24h]    services, ports, routes, certificates, and the warnings and errors since
                      then, one under the other; exit status 1 when one of them says what is wrong
  services            which roles run here
  services stop --graceful    finishes what is under way, for at most 10 s, hands its links over to
                      others, and stops (as SIGTERM does)
  cert ...            certificates: request, import, assign, check; see below
  partner ...         the domains that we federate with; see below
  policy, user        who of ours may converse with partners; see below
  cs LINE, -f FILE    run the reference's commands as typed: New-CsExternalAccessPolicy, Get-CsUser |
                      Grant-..., Set-CsXmppAllowedPartner, netstat -ano | findstr 5269; notes say
                      where a misspelling was understood, -WhatIf changes nothing
  firewall            rules for nft(8) that let in what this configuration listens on, from whom it
                      may come, and nothing else; --also tcp:22 for more (may be repeated)
  kernel              the kernel's settings that it needs, as a file for sysctl.d(5). Both: --file FILE
                      writes it there; --config FILE is that of a daemon that does not run
  backup > FILE       this machine as one file, encrypted to a passphrase: configuration, commits,
                      certificates with their keys, the dialback secret; not the store of what is
                      under way. It asks, or takes --passphrase-file FILE; --to CERTIFICATE instead:
                      only its private key opens it
  restore < FILE      looks at all of it, puts back all of it or nothing, and a running fedgated takes
                      it at once; what was there is kept in before-restore. --passphrase-file FILE,
                      --key FILE; --dry-run says only whether it is good. Both: --config FILE is that
                      of a daemon that does not run
  appliance           what the console of an appliance (image) shows: version and slot, what became of
                      updates and backups, addresses, configuration, /var
  factory-reset --yes    of an appliance: configuration, keys, state and journal go, it starts again
                      and has a new identity; backups on its EFI system partition stay
  site, pool, route   who reaches partners by which machines; see below
  config ...          what was committed, and the way back; see below
  sysctl ...          settings; see below
  reload              read the configuration files again (as SIGHUP does)
  help, version       this text; the program's version

  -s SOCKET           admin.socket of the daemon (default /run/fedgate/admin.sock)
  --host NAME[:PORT] --certificate FILE --key FILE --authority FILE
                      that daemon on another machine, where admin.remote.listen is set (port 9270):
                      it must be NAME by a certificate of the authority, and the certificate here one
                      that it lists. --address ADDRESS: where that is. All verbs but cert, setup,
                      backup and restore, which work on files; what doctor and dns check look at,
                      they look at from here
  --json              the daemon's answer as it came, for programs

The first set-up. On a terminal with questions, each with an answer that Enter takes; said twice, it
changes nothing. It is a commit where fedgated runs, and /etc/fedgate/fedgate.conf where it does not;
then it looks at service, ports and route, and says what is left to do: certificates, DNS, users:

  fedctl setup                      the questions; or any of them by its option:
    --role both|edge|gateway        what this machine is; --edges HOST... --gateways HOST... in quotes,
                                    where they are on machines of their own; --link-certificate FILE
                                    --link-key FILE --link-ca FILE: by which they know each other
    --domain corp.example           ours, several in quotes; --next-hop URI is their SIP pool
    --sip-listen ADDRESS...         where SIP comes; --trust NETWORK...: who sends it
    --partner partner.example       to begin with; --everybody yes: all users may converse
    --allow yes                     the organisation's switch
    --set KEY=VALUE                 anything else; may be repeated
  --yes, --ask        no questions; questions, terminal or not
  --dry-run           say what would change, change nothing
  --force             without questions: change what somebody has set already, too
  --config FILE       write that file, whether fedgated runs or not

Partners:

  fedctl partner list [--filter GLOB]           all, with their streams and last failures
  fedctl partner show DOMAIN                    one: what is expected of it, its streams now, why the
                                                last one failed and what to do, where each value is from
  fedctl partner add DOMAIN [ATTRIBUTE=VALUE]...    *.DOMAIN is for all its sub-domains
  fedctl partner set DOMAIN ATTRIBUTE=VALUE...      += and -= change a list
  fedctl partner reset DOMAIN [ATTRIBUTE]...        take back what was committed of it
  fedctl partner remove DOMAIN...
  fedctl partner block DOMAIN... [--for 1h]     nothing passes, listed or not
  fedctl partner unblock DOMAIN...
  fedctl partner import FILE [ATTRIBUTE=VALUE]...   those of a file: Get-CsXmppAllowedPartner as it
                                                prints them, or by Export-Csv or ConvertTo-Json; lists
                                                of Prosody and ejabberd; one domain a line. The
                                                attributes are for who is new; all or nothing
  fedctl partner attributes                     what can be set, with defaults
  fedctl partner sheet DOMAIN                   a page for its administrator: what we offer and ask for
  --dry-run           say what would change and how the partner would prove itself, change nothing
  --comment TEXT      kept with the commit
  --confirm 60s       every node takes it back by itself after that time, unless fedctl config confirm
                      is said at any of them

  To add one and see it work:
    fedctl partner add partner.example type=federated    then write to somebody there, or let them
    fedctl partner show partner.example                  the streams that are up, or why none is

Users and their policies. The user's own counts, else that of his site, else global; it counts as
a whole, and lets him converse with partners if it has both federation_access and xmpp_access; with
partners="partner.example ..." with these alone:

  fedctl policy list | show POLICY              what each allows, and for whom it is in force
  fedctl policy new POLICY [ATTRIBUTE=VALUE]...    to be granted; site:SITE holds by itself for a site
  fedctl policy set POLICY ATTRIBUTE=VALUE...   global is always there
  fedctl policy remove POLICY... [--force]      global: as by default; --force: users have it, it is
                                                taken from them
  fedctl user list [--filter GLOB] [--policy POLICY] [--seen] [--addresses]
                                                those that are listed: imported, or granted a policy;
                                                and those that SIP traffic has shown, --seen: alone
  fedctl user show ADDRESS                      which policy is in force, and why that one
  fedctl user grant POLICY ADDRESS...           GLOB is for all of these whose address or name matches,
                                                - for addresses on standard input; null: take back
  fedctl user import FILE [--policy POLICY] [--ours-only]
                                                CSV (columns sip_address, name, site, policy) or LDIF
  fedctl user remove ADDRESS...                 list them no longer
  --dry-run, --comment, --confirm               as with partner

Certificates of this machine. All but assign works without a running daemon, too:

  fedctl cert request               a key and a request for an authority; asks what it is not told
    --for external|internal|sip     towards partners (default), between our machines, towards SIP
    --key rsa:2048                  or rsa:3072 rsa:4096 ecdsa:p256 ecdsa:p384
    --organisation O --unit U --city C --state S --country FR --friendly-name TEXT
    --extra NAME --without NAME     names besides those that the configuration asks for: our domains,
                                    sip.DOMAIN, the edges
    --exportable no                 fedctl cert export will not give out the key
    --name NAME --file FILE         what it is called here, and where the request goes
    --yes, --ask                    no questions; questions, terminal or not
  fedctl cert import FILE... [--assign]    what the authority has sent (PEM, DER), or a PFX or PEM
                                    file with its key; --password-file FILE (- is standard input);
                                    --exportable no
  fedctl cert assign NAME --for external,sip    use it: for new connections, none is dropped
    --effective 2026-12-01          from that day or time (UTC) on; --cancel --for external
  fedctl cert list | show NAME      those of dirs.state/certificates and those in use; NAME or a file
  fedctl cert check [NAME] [--for]  names, key, chain, purpose, dates, weakness: what is wrong with
                                    those in use, or with this one, and what to do
  fedctl cert export NAME --file FILE    with its key, for the other edges of the pool
  fedctl cert remove NAME...        a request that nobody answers, or a certificate out of use, with
                                    its key
  --dry-run                         with request, import, assign and remove: change nothing
  --config FILE       the configuration of a daemon that does not run
  Keys are made in dirs.state/certificates, mode 0600, and stay there.

Sites, pools and routes. They are for edges and gateways on machines of their own:

  fedctl pool list | show POOL      edges and gateways: priority, members, the links with them
  fedctl pool set POOL [kind=edge] [priority=10] [members=HOST,HOST...]    += and -= change members
  fedctl pool remove POOL
  fedctl site list | show SITE      users of one place: domain/DOMAIN/site, user/USER/site
  fedctl site set SITE route=POOL
  fedctl site remove SITE
  fedctl route list                 by which pool each site reaches partners now, and why
  fedctl route set SITE POOL        first by that pool; when none of its edges is there, by the others
                                    in the order of their priorities, until it is back
  fedctl route unset SITE           by priority alone
  --dry-run, --comment, --confirm   as with partner

Commits. Every change of these is a commit: checked as a whole, numbered, kept in dirs.state, in
force within a second and after a restart. Streams that it does not concern stay. It is published over the
link: in force at every node, and given to one that was away when it comes back. It is made at a
gateway, who signs it: an edge alone passes commits on, and makes none. What concerns a machine alone
(fedctl sysctl -d says so: scope) stays with the machine, and is set there:

  fedctl config log                 all commits: who, when, why, signed by which gateway; those that
                                    gave way to others, made while nodes were cut off; and which node
                                    has which in force
  fedctl config confirm             what was committed with --confirm stays
  fedctl config diff N [M]          what is different in commit M (the one in force) from N
  fedctl config rollback N          commit again what was in force with commit N (0: nothing)
  fedctl config check FILE          say exactly what committing this file would change
  fedctl config commit FILE         commit the settings of a file (- is standard input)
  --dry-run, --comment, --confirm   as with partner

Settings, as with sysctl(8):

  fedctl sysctl KEY...              read; a key's beginning (partner/example.org) reads all below it
  fedctl sysctl -w KEY=VALUE...     set, live, until the next start; all of them or none
  fedctl sysctl -w --save KEY=...   set for good: a commit
  fedctl sysctl -w --confirm 60s KEY=...    taken back after that time, unless fedctl sysctl confirm
                                    is said
  fedctl sysctl -a                  all, with their values
  fedctl sysctl -d KEY...           describe: meaning, type, allowed values, default, where set
  fedctl sysctl --diff              what differs from the defaults, and where it was set
  fedctl sysctl -p FILE             apply a file (- is standard input); all of it or nothing
  fedctl sysctl --check FILE        say exactly what that would change, and change nothing
  fedctl sysctl --reset KEY...      take back what was set live
  fedctl sysctl --pending           what acts only after a restart, and what this process runs with
  fedctl sysctl --system            read the configuration files again
  -r REGEX                          only keys whose name it matches: with keys, -a, -d, --diff, or
                                    alone
  -e                                with -w and -p: keys that are not known are ignored
  --dry-run                         with -w and -p: as --check
  --strict-live                     exit status 3 if it is kept, but something of it acts only after
                                    a restart
  -n, -N, -t                        values only, names only, types
  --comment                         as with partner; it goes with --save

  Dots or slashes separate; the first one decides: a name with dots in it needs slashes, like
  partner/example.org/tls. What was said later holds: the default, the template partner/default,
  files, the command line of fedgated, commits, and what was set live. core.3.cpu is of one core, and
  holds over core.*.cpu, of all; reading core.*.cpu shows each core, as a comment where it has none
  of its own.

Roles:

With admin.groups.administrator, admin.groups.operator and admin.groups.viewer empty, whoever can
open the socket may do everything. With UNIX groups in one of them, their members may, and root:
viewers read, operators also run doctor and trace, block partners, reload and stop the daemon,
administrators do everything. What changes something, and what was refused, is an event (FG-5101,
FG-5102).

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 (--strict-live) after a restart only.
)";

constexpr std::string_view kVerbs[] = {
    "status", "ports",   "streams", "counters",  "top",          "events",   "explain",
    "reload", "partner", "policy",  "user",      "site",         "cs",       "pool",
    "route",  "config",  "sysctl",  "dns",       "cert",         "doctor",   "services",
    "setup",  "trace",   "test",    "help",      "version",      "firewall", "kernel",
    "report", "backup",  "restore", "appliance", "factory-reset"};
constexpr std::string_view kPartnerActions[] = {"list",       "show",   "add",   "set",
                                                "reset",      "remove", "block", "unblock",
                                                "attributes", "sheet",  "import"};
constexpr std::string_view kTopologyActions[] = {"list", "show", "set", "remove"};
constexpr std::string_view kRouteActions[] = {"list", "set", "unset"};
constexpr std::string_view kConfigActions[] = {"log",   "diff",   "rollback",
                                               "check", "commit", "confirm"};

// The manual page and the completion are made of the help: what is not in it is in neither.
constexpr bool has_verbs() {
    return std::ranges::all_of(kVerbs, [](std::string_view verb) {
        return kHelp.contains("\n  " + std::string(verb) + " ") ||
               kHelp.contains(", " + std::string(verb) + " ") ||
               kHelp.contains("  " + std::string(verb) + ", ") ||
               kHelp.contains(", " + std::string(verb) + ", ");
    });
}
constexpr bool has_actions(std::string_view verb, std::span<const std::string_view> actions) {
    return std::ranges::all_of(actions, [verb](std::string_view action) {
        const std::string command = "fedctl " + std::string(verb) + " ";
        return kHelp.contains(command + std::string(action) + " ") ||
               kHelp.contains(command + std::string(action) + "\n") ||
               kHelp.contains(command + "list | " + std::string(action) + " ");
    });
}
static_assert(has_verbs());
static_assert(has_actions("partner", kPartnerActions));
static_assert(has_actions("pool", kTopologyActions) && has_actions("site", kTopologyActions));
static_assert(has_actions("route", kRouteActions) && has_actions("config", kConfigActions));

constexpr std::size_t kChangesShown = 20;

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

class Tool {
public:
    Tool(std::istream& in, std::ostream& out, std::ostream& err) : in_(in), out_(out), err_(err) {}

    int run(std::vector<std::string> words) {
        std::vector<std::string> rest;
        for (std::size_t i = 0; i < words.size(); ++i) {
            if (words[i] == "--json") {
                json_ = true;
            } else if (std::string* value = rest.empty() ? value_of(words[i]) : nullptr) {
                if (i + 1 == words.size())
                    return usage(words[i] == "-s" ? "-s needs the socket's path"
                                                  : words[i] + " needs a value");
                *value = words[++i];
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
        if (!remote_.host.empty()) {
            if (const std::string why = why_not_remote(verb); !why.empty()) return usage(why);
        }
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
        if (verb == "report") {
            const auto run = [this](const std::vector<std::string>& words, std::ostream& out,
                                    std::ostream& err) {
                Tool part(in_, out, err);
                part.json_ = json_;
                part.socket_ = socket_;
                part.remote_ = remote_;
                return part.dispatch(words.front(), {std::next(words.begin()), words.end()});
            };
            return run_report_tool({out_, err_, json_, run}, rest);
        }
        if (verb == "explain") {
            if (rest.size() != 2)
                return usage("explain takes two addresses: fedctl explain FROM TO");
            return tell({{"verb", "explain"}, {"arguments", rest}}, show_explain);
        }
        if (verb == "dns") {
            return !rest.empty() && rest[0] == "plan" ? dns_plan(rest) : dns_check(rest);
        }
        if (verb == "doctor") return doctor(rest);
        if (verb == "test") return test(rest);
        if (verb == "services") {
            return tell({{"verb", "services"}, {"arguments", rest}}, show_services);
        }
        if (verb == "cert") {
            const bool terminal = &in_ == &std::cin && isatty(STDIN_FILENO) != 0;
            return run_certificate_tool(
                {in_, out_, err_, json_, terminal,
                 [this](const Json& request, Json& answer, std::string& why) {
                     return ask_daemon(request, answer, why);
                 }},
                rest);
        }
        const auto daemon = [this](const Json& request, Json& answer, std::string& why) {
            return ask_daemon(request, answer, why);
        };
        if (verb == "trace") return run_trace_tool({out_, err_, json_, daemon}, rest);
        if (verb == "events") return run_events_tool({out_, err_, json_, daemon}, rest);
        if (verb == "top") {
            const bool terminal = &out_ == &std::cout && isatty(STDOUT_FILENO) != 0;
            return run_top({out_, err_, json_, terminal, daemon}, rest);
        }
        if (verb == "setup") {
            const bool terminal = &in_ == &std::cin && isatty(STDIN_FILENO) != 0;
            return run_setup({in_, out_, err_, json_, terminal, daemon}, rest);
        }
        if (verb == "firewall" || verb == "kernel") {
            return run_machine_tool({out_, err_, json_, daemon}, verb, rest);
        }
        if (verb == "backup" || verb == "restore") {
            const bool from_terminal = &in_ == &std::cin && isatty(STDIN_FILENO) != 0;
            const bool to_terminal = &out_ == &std::cout && isatty(STDOUT_FILENO) != 0;
            return run_backup_tool({in_, out_, err_, json_, to_terminal, from_terminal, daemon},
                                   verb, rest);
        }
        if (verb == "factory-reset") return factory_reset(rest);
        if (verb == "partner") return partner(rest);
        if (verb == "policy" || verb == "user") return users(verb, rest);
        if (verb == "cs") return cs(rest);
        if (verb == "site" || verb == "pool" || verb == "route") return topology(verb, rest);
        if (verb == "config") return config(rest);
        if (!is_one_of(kVerbs, verb)) return usage(unknown("there is no verb", verb, kVerbs));
        if (!rest.empty()) return usage(verb + " takes nothing more, not '" + rest.front() + "'");
        if (verb == "status") return tell({{"verb", "status"}}, show_status);
        if (verb == "ports") return tell({{"verb", "ports"}}, show_ports);
        if (verb == "streams") return tell({{"verb", "streams"}}, show_streams);
        if (verb == "appliance") {
            return tell({{"verb", "appliance"}, {"action", "show"}},
                        [](const Json& answer) { return string_of(answer, "page"); });
        }
        if (verb == "reload") {
            return tell({{"verb", "sysctl"}, {"action", "reload"}},
                        [](const Json& answer) { return show_changes(answer, false); });
        }
        return tell({{"verb", "counters"}}, show_counters);
    }

    bool ask_daemon(const Json& request, Json& answer, std::string& why) {
        return remote_.host.empty() ? ask(socket_, request, answer, why)
                                    : ask_remote(remote_, request, answer, why);
    }

    // Of the options before the verb. Null: it is none.
    std::string* value_of(const std::string& option) {
        return option == "-s"              ? &socket_
               : option == "--host"        ? &remote_.host
               : option == "--address"     ? &remote_.address
               : option == "--certificate" ? &remote_.certificate
               : option == "--key"         ? &remote_.key
               : option == "--authority"   ? &remote_.authority
                                           : nullptr;
    }

    // What needs the other machine's own files or eyes. Empty: it can be done from here.
    std::string why_not_remote(const std::string& verb) const {
        if (remote_.certificate.empty() || remote_.key.empty() || remote_.authority.empty())
            return "--host needs --certificate FILE, --key FILE and --authority FILE";
        constexpr std::string_view kOfFiles[] = {"cert", "setup", "backup", "restore"};
        if (!is_one_of(kOfFiles, verb)) return {};
        return verb +
               " works on the files of its machine: say it there, without --host; an appliance "
               "takes such files by its EFI system partition";
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
    int tell(const Json& request, Show&& show, const std::function<void(Json&)>& prepare = {}) {
        Json answer;
        std::string why;
        if (!ask_daemon(request, answer, why)) return fail(why);
        if (prepare) prepare(answer);
        const bool good = bool_of(answer, "ok");
        if (json_) {
            out_ << write_json(answer) << "\n";
            return good ? kExitOk : kExitRefused;
        }
        if (good || answer.contains("keys")) out_ << for_terminal(show(answer));
        if (good) return kExitOk;
        const auto errors = answer.find("errors");
        if (errors != answer.end() && errors->is_array()) {
            for (const Json& error : *errors) {
                if (error.is_string())
                    err_ << "fedctl: " << for_terminal(error.get<std::string>()) << "\n";
            }
        }
        const std::string error = string_of(answer, "error");
        if (!error.empty()) err_ << "fedctl: " << for_terminal(error) << "\n";
        return kExitRefused;
    }

    // What fedctl found itself; `good` decides.
    template <typename Show>
    int tell_found(const Json& found, Show&& show, const std::string& why) {
        if (found.is_null() || found.empty()) return fail(why);
        out_ << (json_ ? write_json(found) + "\n" : for_terminal(show(found)));
        return bool_of(found, "good") ? kExitOk : kExitRefused;
    }

    int factory_reset(const std::vector<std::string>& rest) {
        if (rest != std::vector<std::string>{"--yes"}) {
            return usage(
                "configuration, keys, state and journal of the appliance are lost by it; if "
                "you are sure: fedctl factory-reset --yes");
        }
        return tell({{"verb", "appliance"}, {"action", "reset"}}, [](const Json&) {
            return std::string(
                "asked for: it starts again within some seconds, as if it were new; fedctl "
                "appliance says if it can't\n");
        });
    }

    int dns_plan(const std::vector<std::string>& rest) {
        static constexpr std::string_view kKnown[] = {"--tlsa"};
        Words words;
        std::string why;
        if (!cut_words(rest, kKnown, words, why)) return usage(why);
        if (!words.words.empty()) return usage("dns plan takes --tlsa only");
        const Json request{{"verb", "dns"}, {"action", "plan"}};
        if (!words.flags.contains("--tlsa")) return tell(request, show_dns);
        Json plan;
        std::vector<std::string> lines;
        if (!ask_daemon(request, plan, why)) return fail(why);
        if (!bool_of(plan, "ok")) return fail(string_of(plan, "error"));
        if (!plan_tlsa(plan, lines, why)) return fail(why);
        plan["tlsa"] = lines;
        out_ << (json_ ? write_json(plan) + "\n" : for_terminal(show_dns(plan)));
        return kExitOk;
    }

    int dns_check(const std::vector<std::string>& rest) {
        static constexpr std::string_view kKnown[] = {"--server="};
        Words words;
        std::string why;
        if (rest.empty() || rest[0] != "check") return usage("dns takes plan, or check");
        if (!cut_words(rest, kKnown, words, why)) return usage(why);
        if (!words.words.empty()) return usage("dns check takes --server ADDRESS only");
        Json plan;
        if (!ask_daemon({{"verb", "dns"}, {"action", "plan"}}, plan, why)) return fail(why);
        if (!bool_of(plan, "ok")) return fail(string_of(plan, "error"));
        const Json found = check_dns(plan, words.options["--server"], why);
        return tell_found(found, show_dns_check, why);
    }

    int doctor(std::vector<std::string> rest) {
        static constexpr std::string_view kKnown[] = {
            "--server=", "--from=", "--within=", "--forecast", "--lab"};
        Words words;
        std::string why;
        rest.insert(rest.begin(), "doctor");
        if (!cut_words(rest, kKnown, words, why)) return usage(why);
        if (words.flags.contains("--lab")) return lab(words);
        const bool forecast = words.flags.contains("--forecast");
        if (words.words.empty() || (words.words.size() > 1 && !forecast))
            return usage(
                "doctor takes a partner's domain: fedctl doctor DOMAIN [--from ADDRESS], or "
                "fedctl doctor DOMAIN --forecast [ATTRIBUTE=VALUE]...");
        DoctorWish wish{words.words[0], words.options["--from"], words.options["--server"]};
        if (!read_within(words, kDoctorWithinMin, kDoctorWithinMax, wish.within, why))
            return usage(why);
        if (forecast) wish.suppose.emplace(words.words.begin() + 1, words.words.end());
        const Json found = run_doctor(
            wish,
            [this](const Json& request, Json& answer, std::string& reason) {
                return ask_daemon(request, answer, reason);
            },
            why);
        return tell_found(found, show_doctor, why);
    }

    // Of faults that are planted for it. No daemon is asked.
    int lab(const Words& words) {
        if (words.options.size() > 1 || words.words.size() > 1)
            return usage("doctor --lab takes one of its faults, or nothing (lists them)");
        if (words.words.empty()) {
            out_ << show_lab_faults();
            return kExitOk;
        }
        std::vector<std::string_view> names;
        for (const LabFault& one : lab_faults()) {
            names.push_back(one.name);
            if (one.name != words.words[0]) continue;
            std::string why;
            const Json found = run_lab(one, why);
            return tell_found(found, show_lab, why);
        }
        return usage(unknown("the lab has no fault", words.words[0], names));
    }

    // One, or the same the other way as well.
    int test(const std::vector<std::string>& rest) {
        static constexpr std::string_view kKnown[] = {"--within=", "--text=", "--both"};
        if (rest.empty()) return tell({{"verb", "test"}}, show_schedule);
        Words words;
        std::string why;
        if (rest[0] != "im") return usage("test takes im FROM TO, or nothing (the scheduled one)");
        if (!cut_words(rest, kKnown, words, why)) return usage(why);
        if (words.words.size() != 2)
            return usage("test im takes two addresses: fedctl test im FROM TO [--both]");
        TrialWish wish{words.words[0], words.words[1], words.options["--text"]};
        if (!read_within(words, std::chrono::seconds(1), std::chrono::seconds(60), wish.within,
                         why))
            return usage(why);
        const auto one = [&] {
            const Json found = run_trial(
                wish,
                [this](const Json& request, Json& answer, std::string& reason) {
                    return ask_daemon(request, answer, reason);
                },
                why);
            return tell_found(found, show_trial, why);
        };
        const int status = one();
        if (!words.flags.contains("--both")) return status;
        std::swap(wish.from, wish.to);
        if (!json_) out_ << "\n";
        return std::max(status, one());
    }

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

    bool read_input(const std::string& file, std::string& text, std::string& why) {
        if (file != "-") return read_file(file, text, why);
        text.assign(std::istreambuf_iterator<char>(in_), {});
        return true;
    }

    int sysctl(const std::vector<std::string>& rest) {
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

    int partner(const std::vector<std::string>& rest) {
        if (rest.empty()) return usage("partner needs list, show, add, set, ... (fedctl help)");
        const std::string& action = rest.front();
        if (!is_one_of(kPartnerActions, action)) {
            return usage(unknown("partner has no action", action, kPartnerActions));
        }
        if (action == "attributes") {
            out_ << show_attributes();
            return kExitOk;
        }
        static constexpr std::string_view kList[] = {"--filter="};
        static constexpr std::string_view kChange[] = {"--dry-run", "--comment=", "--confirm="};
        static constexpr std::string_view kBlock[] = {"--dry-run",
                                                      "--comment=", "--confirm=", "--for="};
        const bool reads = action == "list" || action == "show" || action == "sheet";
        Words words;
        std::string why;
        const auto known = action == "list"    ? std::span<const std::string_view>(kList)
                           : reads             ? std::span<const std::string_view>()
                           : action == "block" ? std::span<const std::string_view>(kBlock)
                                               : std::span<const std::string_view>(kChange);
        if (!cut_words(rest, known, words, why)) return usage(why);
        const bool many = action == "remove" || action == "block" || action == "unblock";
        if (action == "list" ? !words.words.empty() : words.words.empty()) {
            return usage(action == "list"     ? "list takes --filter GLOB only"
                         : action == "import" ? "partner import takes a file (- is standard input)"
                                              : "partner " + action + " needs a domain");
        }
        if (reads && words.words.size() > 1) return usage(action + " takes one domain");
        if (action == "import") return import_partners(words);
        Json request{{"verb", "partner"}, {"action", action}};
        const auto first = words.words.begin();
        const auto split = many || words.words.empty() ? words.words.end() : first + 1;
        request["domains"] = std::vector<std::string>(first, split);
        request["settings"] = std::vector<std::string>(split, words.words.end());
        add_options(request, words);
        return tell(request, !reads              ? show_commit
                             : action == "sheet" ? show_sheet
                             : action == "list"  ? show_partners
                                                 : show_partner);
    }

    int import_partners(const Words& words) {
        const std::string& file = words.words[0];
        const std::string name = file == "-" ? "standard input" : file;
        std::string text;
        std::string why;
        PartnerList list;
        if (!read_input(file, text, why)) return fail(name + " " + why);
        if (!parse_partner_list(text, list, why)) return fail(name + ": " + for_terminal(why));
        for (const std::string& note : list.notes) err_ << "note: " << note << "\n";
        Json rows = Json::array();
        for (const ListedPartner& one : list.partners) {
            rows.push_back(
                {{"domain", one.domain}, {"settings", one.settings}, {"where", one.where}});
        }
        Json request{
            {"verb", "partner"},
            {"action", "import"},
            {"file", name},
            {"rows", std::move(rows)},
            {"settings", std::vector<std::string>(words.words.begin() + 1, words.words.end())}};
        add_options(request, words);
        return tell(request, show_user_commit);
    }

    int users(const std::string& verb, const std::vector<std::string>& rest) {
        Json request;
        std::string why;
        const ReadInput read = [this](const std::string& file, std::string& text,
                                      std::string& fault) { return read_input(file, text, fault); };
        const WordsOutcome outcome = user_request(verb, rest, read, request, why);
        if (outcome == WordsOutcome::kUsage) return usage(why);
        if (outcome == WordsOutcome::kFailed) return fail(why);
        const std::string action = string_of(request, "action");
        const bool policy = verb == "policy";
        if (action == "show") return tell(request, policy ? show_policy : show_user);
        if (action != "list") {
            if (!json_) request["changes_most"] = kChangesShown;  // there may be very many
            return tell(request, show_user_commit);
        }
        const bool bare = bool_of(request, "addresses");
        return tell(request, policy ? show_policies : bare ? show_addresses : show_users);
    }

    // The lines of an administrator of the reference.
    int cs(const std::vector<std::string>& rest) {
        const bool file = !rest.empty() && rest[0] == "-f";
        if (rest.size() != (file ? 2U : 1U)) {
            return usage("cs takes a line in quotes, or -f FILE: fedctl cs 'Get-CsUser'");
        }
        std::string text = rest.back();
        std::string why;
        if (file) {
            text.clear();
            if (!read_input(rest[1], text, why)) return fail(rest[1] + " " + why);
        }
        const Ask request = [this](const Json& asked, Json& answer, std::string& fault) {
            return ask_daemon(asked, answer, fault);
        };
        const CmdletsOutcome outcome = run_cmdlets(text, request);
        const bool good = outcome.why.empty();
        if (json_) {
            Json answer{{"ok", good},
                        {"objects", outcome.results},
                        {"commits", outcome.commits},
                        {"notes", outcome.notes}};
            if (!good) answer["error"] = outcome.why;
            out_ << write_json(answer) << "\n";
            return good ? kExitOk : kExitRefused;
        }
        for (const std::string& note : outcome.notes) {
            err_ << "note: " << for_terminal(note) << "\n";
        }
        out_ << for_terminal(outcome.out);
        return good ? kExitOk : fail(for_terminal(outcome.why));
    }

    int topology(const std::string& verb, const std::vector<std::string>& rest) {
        const auto known = verb == "route" ? std::span<const std::string_view>(kRouteActions)
                                           : std::span<const std::string_view>(kTopologyActions);
        if (rest.empty()) {
            std::string words;
            for (const std::string_view action : known) {
                words += (words.empty() ? "" : ", ") + std::string(action);
            }
            return usage(verb + " needs one of " + words + " (fedctl help)");
        }
        const std::string& action = rest.front();
        if (!is_one_of(known, action)) {
            return usage(unknown(verb + " has no action", action, known));
        }
        static constexpr std::string_view kChange[] = {"--dry-run", "--comment=", "--confirm="};
        const bool reads = action == "list" || action == "show";
        Words words;
        std::string why;
        if (!cut_words(rest,
                       reads ? std::span<const std::string_view>()
                             : std::span<const std::string_view>(kChange),
                       words, why)) {
            return usage(why);
        }
        const std::size_t count = words.words.size();
        const std::string what = verb + " " + action;
        if (action == "list" && count > 0) return usage(what + " takes nothing more");
        if (verb == "route" && action == "set" && count != 2) {
            return usage("route set takes a site and a pool: fedctl route set SITE POOL");
        }
        if (action != "list" && count == 0) {
            return usage(what + " needs a " + (verb == "route" ? "site" : verb));
        }
        if (action != "list" && action != "set" && count > 1)
            return usage(what + " takes one name");
        if (action == "set" && count < 2) return usage(what + " needs ATTRIBUTE=VALUE");
        Json request{{"verb", verb}, {"action", action}};
        if (count > 0) {
            request["name"] = words.words.front();
            request["settings"] =
                std::vector<std::string>(words.words.begin() + 1, words.words.end());
        }
        add_options(request, words);
        return tell(request, !reads            ? show_commit
                             : verb == "route" ? show_routes
                             : verb == "pool"  ? show_pools
                                               : show_sites);
    }

    // `--within 30s`. Not said: it stays as it is.
    static bool read_within(Words& words, std::chrono::seconds least, std::chrono::seconds most,
                            std::chrono::seconds& within, std::string& why) {
        std::string text = words.options["--within"];
        if (text.empty()) return true;
        if (text.ends_with('s')) text.pop_back();
        std::uint64_t number = 0;
        if (read_number(text, number) && number <= static_cast<std::uint64_t>(most.count()))
            within = std::chrono::seconds(number);
        else
            within = {};
        why = "--within is a time from " + std::to_string(least.count()) + "s to " +
              std::to_string(most.count()) + "s";
        return within >= least;
    }

    // A commit's number. False: it is none.
    static bool read_number(const std::string& text, std::uint64_t& number) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        return error == std::errc{} && end == text.data() + text.size();
    }

    int config(const std::vector<std::string>& rest) {
        if (rest.empty())
            return usage("config needs log, diff, rollback, check, commit or confirm");
        const std::string& action = rest.front();
        if (!is_one_of(kConfigActions, action)) {
            return usage(unknown("config has no action", action, kConfigActions));
        }
        static constexpr std::string_view kChange[] = {"--dry-run", "--comment=", "--confirm="};
        const bool changes = action == "rollback" || action == "commit";
        Words words;
        std::string why;
        if (!cut_words(rest,
                       changes ? std::span<const std::string_view>(kChange)
                               : std::span<const std::string_view>(),
                       words, why)) {
            return usage(why);
        }
        const std::size_t count = words.words.size();
        if (action == "check" || action == "commit") {
            if (count != 1) return usage("config " + action + " takes one file");
            const bool dry = action == "check" || words.options.contains("--dry-run");
            std::vector<std::string> all{
                dry ? "--check" : "-p", words.words[0], "--save", "--comment",
                words.options.contains("--comment") ? words.options["--comment"]
                                                    : "settings of " + words.words[0]};
            if (words.options.contains("--confirm")) {
                all.insert(all.end(), {"--confirm", words.options["--confirm"]});
            }
            return sysctl(all);
        }
        Json request{{"verb", "config"}, {"action", action}};
        add_options(request, words);
        if (action == "confirm") {
            if (count != 0) return usage("config confirm takes nothing more");
            return tell(request, show_commit);
        }
        if (action == "log") {
            if (count != 0) return usage("config log takes nothing more");
            return tell(request, show_log);
        }
        std::uint64_t numbers[2] = {};
        const std::size_t most = action == "diff" ? 2 : 1;
        bool good = count >= 1 && count <= most;
        for (std::size_t i = 0; good && i < count; ++i) {
            good = read_number(words.words[i], numbers[i]);
        }
        if (!good) {
            return usage("config " + action + " takes the number of a commit" +
                         (most == 2 ? ", or of two" : "") + " (fedctl config log)");
        }
        request[action == "diff" ? "from" : "number"] = numbers[0];
        if (count == 2) request["to"] = numbers[1];
        if (action == "rollback") return tell(request, show_commit);
        return tell(request, [](const Json& answer) { return show_changes(answer, false); });
    }

    std::istream& in_;
    std::ostream& out_;
    std::ostream& err_;
    std::string socket_ = "/run/fedgate/admin.sock";
    RemoteServer remote_;
    bool json_ = false;
};

}  // namespace

int run_tool(const std::vector<std::string>& arguments, std::istream& in, std::ostream& out,
             std::ostream& err) {
    return Tool(in, out, err).run(arguments);
}

}  // namespace fedgate::admin
