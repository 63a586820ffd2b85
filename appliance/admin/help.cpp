#include "appliance/admin/help.hpp"

#include <algorithm>
#include <span>
#include <string>

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

}  // namespace

std::string_view help_text() { return kHelp; }

}  // namespace fedgate::admin
