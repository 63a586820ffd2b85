#include "core/config/key.hpp"

#include <algorithm>
#include <limits>

#include "core/base/limits.hpp"
#include "core/config/cpu_set.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"

namespace fedgate::config {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecond = 1000 * kMs;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr std::int64_t kTextBytes = 1024;
constexpr std::int64_t kPathBytes = 4096;
constexpr std::int64_t kItems = 64;
constexpr std::int64_t kCount = 10'000'000;
constexpr std::int64_t kRateCount = std::int64_t{1} << 40;

using enum Type;
using enum Apply;

// name, type, apply, unit, minimum, maximum, default, choices, description
// Sorted by name: people read it, and `-a` prints it in this order.
constexpr Key kKeys[] = {
    {"admin.groups.administrator", kString, kLive, "UNIX groups", 0, kTextBytes, "", "",
     "Who may do everything with fedctl, besides root and the daemon's own user. All three "
     "admin.groups empty: whoever can open admin.socket."},
    {"admin.groups.operator", kString, kLive, "UNIX groups", 0, kTextBytes, "", "",
     "Who may read everything, test, block a partner, reload, and stop the daemon."},
    {"admin.groups.viewer", kString, kLive, "UNIX groups", 0, kTextBytes, "", "",
     "Who may read everything but secrets, and change nothing."},
    {"admin.http.listen", kAddress, kRestart, "address:port", 0, 1, "127.0.0.1:9269", "",
     "Where metrics and health are served over HTTP. Empty: nowhere."},
    {"admin.remote.administrator", kString, kLive, "names", 0, kTextBytes, "", "",
     "Who may do everything with fedctl --host, by a dNSName of the certificate that it shows; "
     "names apart by blanks."},
    {"admin.remote.ca", kPath, kLive, "path", 0, kPathBytes, "", "",
     "PEM file with the authority of administrators' certificates: one of its own, which issues "
     "nothing else."},
    {"admin.remote.certificate", kPath, kLive, "path", 0, kPathBytes, "", "",
     "PEM certificate chain shown to fedctl --host NAME, for that name."},
    {"admin.remote.key", kPath, kLive, "path", 0, kPathBytes, "", "",
     "PEM private key of admin.remote.certificate."},
    {"admin.remote.listen", kAddress, kRestart, "address:port", 0, 1, "", "",
     "Where fedctl --host is answered, by TLS 1.3 and for those whose certificate says who they "
     "are. Empty: nowhere."},
    {"admin.remote.operator", kString, kLive, "names", 0, kTextBytes, "", "",
     "The same of operators (admin.groups.operator)."},
    {"admin.remote.viewer", kString, kLive, "names", 0, kTextBytes, "", "",
     "The same of viewers (admin.groups.viewer)."},
    {"admin.socket", kPath, kRestart, "path", 1, 107, "/run/fedgate/admin.sock", "",
     "UNIX socket that fedctl talks to."},
    {"core.*.cpu", kCpuSet, kLive, "CPUs", 0, kCpuMax, "", "",
     "CPUs that the thread of this core runs on. core.*.cpu is for each core that has none of its "
     "own. Empty: one CPU of those that the process may use, another one for each core."},
    {"core.node", kString, kRestart, "name", 0, 255, "", "",
     "This machine's name among the members of its pool. Empty: the one in its certificate "
     "(tls.internal.certificate), else the host's."},
    {"core.roles", kEnumList, kRestart, "words", 1, 2, "edge,gateway", "edge gateway",
     "What this process does: edge (XMPP with the outside world), gateway (translation to SIP), or "
     "both."},
    {"core.threads", kInteger, kRestart, "threads", 0, kCoresMax, "0", "",
     "Threads that carry traffic, the cores; core.*.cpu says where they run. 0: one for each "
     "CPU."},
    {"dirs.state", kPath, kRestart, "path", 1, kPathBytes, "/var/lib/fedgate", "",
     "Directory for what must outlive the process: database, dialback secret, certificate "
     "requests."},
    {"domain/*/digest_password", kString, kLive, "text", 0, 256, "", "", "Password of digest_user.",
     true},
    {"domain/*/digest_user", kString, kLive, "text", 0, 256, "", "",
     "Name with which a SIP pool's challenge (401, 407) is answered. Empty: it is an error."},
    {"domain/*/html_out", kEnum, kLive, "word", 0, 1, "none", "none alternative",
     "Markup of messages from XMPP to SIP: none, or alternative, as text/html beside the plain "
     "text."},
    {"domain/*/imdn", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Ask SIP users for the receipts that XMPP users want, with IMDN in message/cpim (RFC 5438), "
     "which their agents must take."},
    {"domain/*/next_hop", kSipUriList, kLive, "SIP URIs", 0, kItems, "", "",
     "SIP pools that serve this domain of ours, in failover order. Empty: RFC 3263 on the domain's "
     "name."},
    {"domain/*/phone", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Add user=phone to SIP URIs whose user part is a telephone number like +15551234567."},
    {"domain/*/profile", kEnum, kNew, "word", 0, 2, "page", "page lync msrp",
     "How messages travel on the SIP side: page, one by one (RFC 7572); lync, in the sessions of "
     "Lync "
     "and Skype for Business; msrp, in sessions over MSRP (RFC 7573)."},
    {"domain/*/receipt_on_200", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Take a 200 to a message as a receipt: only for pools that answer end to end and store "
     "nothing."},
    {"domain/*/send_pai", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Send P-Asserted-Identity with the sender's address to this domain's pool, which must be "
     "trusted."},
    {"domain/*/sip2xmpp_type", kEnum, kLive, "word", 0, 1, "normal", "normal chat",
     "Type of the XMPP message made from a SIP MESSAGE: normal, as RFC 7572 demands, or chat."},
    {"domain/*/site", kString, kLive, "site name", 0, 64, "", "",
     "Site to which the users of this domain belong, for site policies and routes."},
    {"domain/*/strict_1300", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Refuse SIP MESSAGE requests above 1300 bytes on TCP and TLS too, not only on UDP."},
    {"domain/*/verbose_errors", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Give partners' users in the text of an error what this domain's servers write for "
     "administrators (ms-diagnostics, Warning)."},
    {"domain/*/wildcard", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Let a certificate for *.name prove the names of this domain's pool, as Lync edges show it; "
     "RFC "
     "5922 forbids it."},
    {"federation.allow", kBool, kLive, "yes or no", 0, 1, "no", "",
     "The organisation's switch: while it is off nothing passes in either direction."},
    {"federation.archiving_notice", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Tell a partner's user with the first message of a conversation that ours may be archived: "
     "our "
     "user's address sends federation.archiving_text."},
    {"federation.archiving_text", kString, kLive, "text", 1, kTextBytes,
     "The messages of this conversation may be recorded and archived by the organisation of the "
     "person you are writing with.",
     "", "What federation.archiving_notice says."},
    {"federation.deny", kDenyList, kLive, "domains", 0, 4096, "", "",
     "Domains that nothing passes with, whatever else is set; *.domain means its sub-domains. With "
     "@2026-12-31T12:00:00Z behind it, until then."},
    {"federation.discovery", kBool, kLive, "yes or no", 0, 1, "no", "",
     "no: only listed partners. yes: any domain that is not denied, with the settings of "
     "partner/default."},
    {"im.error_wait", kDuration, kLive, "duration", 0, 3 * kSecond, "0ms", "",
     "How long a SIP MESSAGE waits for an error from the XMPP side before it is answered with "
     "200."},
    {"im.max_bytes", kSize, kLive, "bytes", 1, 1 * kMiB, "32KiB", "",
     "Longest message text in either direction; a longer one is refused to its sender."},
    {"link.edges", kHostPortList, kLive, "host:port", 0, kItems, "", "",
     "Edges that a gateway alone connects to, by the names in their certificates. Without a port: "
     "a "
     "domain whose SRV _fedgate-link._tcp name edges. Empty: the members of the edge pools."},
    {"link.listen", kAddressList, kListener, "address:port", 0, kItems, "[::]:23456", "",
     "Where an edge alone waits for its gateways (mutual TLS)."},
    {"log.bodies", kBool, kLive, "yes or no", 0, 1, "no", "",
     "Log the text of messages. Its use is itself an event; leave it off."},
    {"log.language", kEnum, kLive, "word", 0, 1, "en", "en fr",
     "Language of the sentences of events: English or French. Ids and fields are the same."},
    {"log.level", kEnum, kLive, "word", 0, 3, "info", "error warning info debug",
     "The least important events that are logged."},
    {"net.dns.servers", kAddressList, kRestart, "address:port", 0, kItems, "", "",
     "DNS servers to ask. Empty: those of the system."},
    {"net.dns.trust_anchor", kPath, kRestart, "path", 0, kPathBytes, "", "",
     "File with the DNSSEC root key, as /usr/share/dns/root.key: forged answers are refused, TLSA "
     "records count. Empty: no DNSSEC; the servers must pass it on."},
    {"partner/*/additional_domains", kPatternList, kLive, "domains", 0, 1024, "", "",
     "Further domains of the same partner; sub-domains are not implied, *.domain means them."},
    {"partner/*/bidi", kBool, kNew, "yes or no", 0, 1, "no", "",
     "One stream with this partner for both directions (XEP-0288), where it can do that."},
    {"partner/*/ca", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM file with the roots that may have signed this partner's certificates. Empty: "
     "tls.external.ca."},
    {"partner/*/connection_limit", kInteger, kNew, "connections", 0, kCount, "0", "",
     "Most simultaneous connections with this partner. 0: xmpp.limits.connections_per_partner. "
     "Beyond, the one that was silent longest gives way, if for 90 s at least."},
    {"partner/*/contact", kString, kLive, "text", 0, kTextBytes, "", "",
     "Who runs the partner's server, and how he is reached: for people."},
    {"partner/*/dane", kBool, kNew, "yes or no", 0, 1, "yes", "",
     "Let this partner's TLSA records (RFC 7673) say which certificate is its, in both directions, "
     "where DNSSEC vouches for them (net.dns.trust_anchor)."},
    {"partner/*/description", kString, kLive, "text", 0, kTextBytes, "", "",
     "Free text for people."},
    {"partner/*/dialback", kBool, kNew, "yes or no", 0, 1, "yes", "",
     "Accept and attempt server dialback (XEP-0220) with this partner, where tls and sasl leave "
     "room for it."},
    {"partner/*/eku", kEnum, kNew, "word", 0, 1, "any", "any strict",
     "strict: a certificate with an extended key usage must have that of its TLS role (clientAuth "
     "on "
     "streams to us), not serverAuth in both."},
    {"partner/*/enabled", kBool, kLive, "yes or no", 0, 1, "yes", "",
     "no: the partner stays listed and is blocked in both directions."},
    {"partner/*/keepalive", kBool, kLive, "yes or no", 0, 1, "yes", "",
     "Ping this partner's silent streams every xmpp.keepalive.interval."},
    {"partner/*/legacy_tls", kBool, kNew, "yes or no", 0, 1, "no", "",
     "Let this partner alone use TLS 1.0, TLS 1.1 and suites without AEAD, on streams that begin "
     "with "
     "STARTTLS and on ours to it. For servers that have nothing better."},
    {"partner/*/notes", kString, kLive, "text", 0, kTextBytes, "", "",
     "More about this partner: for people."},
    {"partner/*/pins", kFingerprintList, kNew, "SHA-256 fingerprints", 0, kItems, "", "",
     "Certificates that this partner may show, whoever has signed them. Name and dates still hold. "
     "Empty: partner/*/ca decides."},
    {"partner/*/prefer_direct", kBool, kNew, "yes or no", 0, 1, "no", "",
     "Of this partner's servers of one priority, try those with TLS from the first byte on first. "
     "With proxy: that one has it, and is at port 5270 unless proxy says another."},
    {"partner/*/proxy", kHostPort, kNew, "host:port", 0, 1, "", "",
     "Connect here instead of asking DNS for the partner's server. Without a port: 5269."},
    {"partner/*/rate_bytes", kRate, kLive, "bytes", 1, kRateCount, "512KiB/s", "",
     "Bytes that one incoming stream may bring; above it is read more slowly, nothing is lost."},
    {"partner/*/rate_connections", kRate, kLive, "connections", 1, kRateCount, "120/min", "",
     "New incoming streams of this partner, above its connection_limit at once; more are refused "
     "with resource-constraint."},
    {"partner/*/rate_sender_messages", kRate, kLive, "messages", 1, kRateCount, "20/s", "",
     "Messages of one sender; above it they are refused to him with policy-violation."},
    {"partner/*/rate_stanzas", kRate, kLive, "stanzas", 1, kRateCount, "2000/s", "",
     "Stanzas that one incoming stream may bring; above it is read more slowly, nothing is lost."},
    {"partner/*/sasl", kEnum, kNew, "word", 0, 2, "required", "required optional none",
     "SASL EXTERNAL, by certificate, with this partner."},
    {"partner/*/stanzas", kEnumList, kLive, "words", 1, 6, "message,presence,iq,typing,notes,html",
     "message presence iq typing notes html",
     "What passes with this partner, in both directions; the rest is refused to its sender. typing "
     "and "
     "html need message, notes (of people's status) need presence; without html the plain text "
     "passes."},
    {"partner/*/tls", kEnum, kNew, "word", 0, 2, "required", "required optional none",
     "TLS on the streams with this partner."},
    {"partner/*/type", kEnum, kLive, "word", 0, 2, "public_unverified",
     "federated public_verified public_unverified",
     "Trust: may the partner's users write to and see ours without having been added or written to "
     "first?"},
    {"policy/*/description", kString, kLive, "text", 0, kTextBytes, "", "",
     "Free text for people."},
    {"policy/*/federation_access", kBool, kLive, "yes or no", 0, 1, "no", "",
     "May its users converse with other organisations at all? XMPP needs xmpp_access as well."},
    {"policy/*/outside_access", kBool, kLive, "yes or no", 0, 1, "no", "",
     "May its users sign in from outside? Kept for the SIP pool; Fedgate itself signs nobody in."},
    {"policy/*/partners", kPatternList, kLive, "domains", 0, kItems, "", "",
     "Partners that its users may converse with, each by the name that it is listed by; its "
     "additional domains come with it. Empty: all."},
    {"policy/*/public_cloud_access", kBool, kLive, "yes or no", 0, 1, "no", "",
     "May its users converse with public providers? Kept for the SIP pool."},
    {"policy/*/public_cloud_av_access", kBool, kLive, "yes or no", 0, 1, "no", "",
     "May its users talk and show video to public providers? Kept for the SIP pool."},
    {"policy/*/xmpp_access", kBool, kLive, "yes or no", 0, 1, "no", "",
     "May its users converse with XMPP partners? Needs federation_access as well."},
    {"pool/*/kind", kEnum, kLive, "word", 0, 1, "edge", "edge gateway",
     "What the pool's members are. Edges take gateways whose certificate has a member's name."},
    {"pool/*/members", kHostPortList, kLive, "host:port", 0, kItems, "", "",
     "Machines of the pool, by the names in their certificates (tls.internal.certificate)."},
    {"pool/*/priority", kInteger, kLive, "rank", 0, 65535, "0", "",
     "Pools with a lower number are used first."},
    {"presence.ask_again", kDuration, kLive, "duration", 1 * kSecond, kHour, "30s", "",
     "How often a partner that can't be reached is asked again, while SIP users watch its "
     "contacts."},
    {"presence.expires", kInteger, kLive, "seconds", 60, 86'400, "3600", "",
     "How long a subscription to the presence of a SIP user is asked for; it is refreshed before."},
    {"presence.lost_after", kDuration, kLive, "duration", 0, kHour, "120s", "",
     "After how long who watches contacts of the other side is told that it can't be reached."},
    {"presence.subscriptions", kInteger, kLive, "subscriptions", 0, kCount, "1000000", "",
     "Presence subscriptions at a time, of all users in both directions; one needs up to 1 KiB."},
    {"sec.loop_repeats", kInteger, kLive, "messages", 1, 1000, "8", "",
     "A message with the same sender, recipient and text is a loop after this many in a minute."},
    {"sec.subscriptions_per_domain", kInteger, kLive, "subscriptions", 0, kCount, "50000", "",
     "Presence subscriptions of and to the users of one XMPP domain at a time."},
    {"sec.subscriptions_per_watcher", kInteger, kLive, "subscriptions", 0, kCount, "200", "",
     "Presence subscriptions of one user at a time."},
    {"sip.listen", kSipListenList, kRestart, "transport:address:port", 0, kItems,
     "udp:127.0.0.1:5060 tcp:127.0.0.1:5060 tls:[::]:5061", "", "Where SIP is accepted."},
    {"sip.msrp.host", kHostPort, kNew, "host", 0, 1, "", "",
     "How SIP users' agents reach our MSRP ports: a name, which tls.sip.certificate must have "
     "where "
     "sip.msrp.tls is on, or an address. Empty: the address of sip.msrp.listen, else this "
     "machine's name."},
    {"sip.msrp.listen", kAddress, kListener, "address:port", 0, 1, "[::]:2855", "",
     "Where core 0 accepts MSRP, as soon as a domain has profile = msrp; each further core has the "
     "port behind it."},
    {"sip.msrp.tls", kBool, kListener, "yes or no", 0, 1, "yes", "",
     "MSRP over TLS with tls.sip.certificate, and nothing else; no: in the clear, and nothing "
     "else."},
    {"sip.options_interval", kDuration, kLive, "duration", 100 * kMs, kHour, "5s", "",
     "How often each SIP next hop is asked whether it is alive."},
    {"sip.rate.datagrams_per_address", kRate, kLive, "datagrams", 1, kRateCount, "5000/s", "",
     "What one trusted address may send each core over UDP; requests beyond get 503, then "
     "silence."},
    {"sip.trusted", kNetworkList, kLive, "networks", 0, 1024, "127.0.0.0/8 ::1", "",
     "Who may send us SIP without a client certificate."},
    {"site/*/route", kString, kLive, "pool name", 0, 64, "", "",
     "Edge pool through which the site's users reach XMPP partners, as long as one of its edges is "
     "there; then the others, by pool/*/priority. Empty: those from the start."},
    {"store.url", kString, kRestart, "URL", 0, kPathBytes, "", "",
     "Where subscriptions are kept: sqlite:PATH, or, for a pool of gateways, "
     "postgresql://USER@HOST,HOST/DATABASE?OPTION=VALUE... Empty: fedgate.db in dirs.state."},
    {"test.im.from", kString, kLive, "address", 0, kTextBytes, "", "",
     "Who writes the scheduled test message: a SIP user of ours, or one of a partner's."},
    {"test.im.interval", kDuration, kLive, "duration", 0, 30 * 24 * kHour, "0s", "",
     "How often a gateway sends a test message (fedctl test im) from test.im.from to test.im.to; "
     "an event tells when it fails, and when it comes through again. 0s: never."},
    {"test.im.rate", kRate, kLive, "messages", 1, kRateCount, "30/min", "",
     "How many test messages administrators may send here (fedctl test im), as users of ours or of "
     "partners; more are refused. The scheduled one does not count."},
    {"test.im.to", kString, kLive, "address", 0, kTextBytes, "", "",
     "Whom the scheduled test message goes to: a user who expects it, of the other side."},
    {"test.im.within", kDuration, kLive, "duration", 1 * kSecond, 60 * kSecond, "30s", "",
     "After how long a scheduled test message that has not come through has failed."},
    {"tls.external.ca", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM file with the roots trusted for XMPP partners. Empty: the system's."},
    {"tls.external.certificate", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM certificate chain shown to XMPP partners."},
    {"tls.external.crl", kPathList, kNew, "paths", 0, kItems, "", "",
     "Files with certificate revocation lists (PEM or DER), read again when they change."},
    {"tls.external.key", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM private key of tls.external.certificate."},
    {"tls.external.next", kString, kNew, "date and paths", 0, 2 * kPathBytes + 32, "", "",
     "The pair that takes the place of tls.external.certificate and .key from a date on, written "
     "DATE "
     "CERTIFICATE KEY: 2026-12-01T06:00:00Z and two PEM paths (fedctl cert assign --effective)."},
    {"tls.external.revocation", kEnum, kNew, "word", 0, 2, "soft", "off soft hard",
     "soft: what a list of tls.external.crl or a stapled OCSP response says is revoked is refused. "
     "hard: also what none of them speaks of, up to the root. off: neither is looked at."},
    {"tls.internal.ca", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM file with the roots trusted between edges and gateways."},
    {"tls.internal.certificate", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM certificate chain shown between edges and gateways."},
    {"tls.internal.crl", kPathList, kNew, "paths", 0, kItems, "", "",
     "Files with certificate revocation lists of that authority (PEM or DER), read again when they "
     "change: what they list is refused as the other end of a link."},
    {"tls.internal.key", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM private key of tls.internal.certificate."},
    {"tls.internal.next", kString, kNew, "date and paths", 0, 2 * kPathBytes + 32, "", "",
     "The pair that takes the place of tls.internal.certificate and .key from a date on, written "
     "DATE "
     "CERTIFICATE KEY: 2026-12-01T06:00:00Z and two PEM paths (fedctl cert assign --effective)."},
    {"tls.sip.ca", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM file with the roots trusted on the SIP side. Empty: those of tls.external.ca."},
    {"tls.sip.certificate", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM certificate chain shown on the SIP side. Empty: tls.external.certificate."},
    {"tls.sip.key", kPath, kNew, "path", 0, kPathBytes, "", "",
     "PEM private key of tls.sip.certificate."},
    {"tls.sip.next", kString, kNew, "date and paths", 0, 2 * kPathBytes + 32, "", "",
     "The pair that takes the place of tls.sip.certificate and .key from a date on, written DATE "
     "CERTIFICATE KEY: 2026-12-01T06:00:00Z and two PEM paths (fedctl cert assign --effective)."},
    {"user/*/name", kString, kLive, "text", 0, kTextBytes, "", "",
     "The user's name for people, as it was imported."},
    {"user/*/policy", kString, kLive, "policy name", 0, 64, "", "",
     "Policy granted to this user. Empty: that of the site, else policy/global."},
    {"user/*/site", kString, kLive, "site name", 0, 64, "", "",
     "Site to which this user belongs. Empty: that of the domain."},
    {"xmpp.dialback.secret", kString, kRestart, "text", 0, 256, "", "",
     "Secret from which dialback keys are made. Empty: made at first start and kept in dirs.state.",
     true},
    {"xmpp.keepalive.interval", kDuration, kLive, "duration", 1 * kSecond, 24 * kHour, "300s", "",
     "A stream on which nothing came for this long is pinged."},
    {"xmpp.limits.connections", kInteger, kNew, "connections", 1, kCount, "1000", "",
     "Most XMPP connections with all partners together."},
    {"xmpp.limits.connections_per_partner", kInteger, kNew, "connections", 1, kCount, "20", "",
     "Most XMPP connections with one partner."},
    {"xmpp.limits.depth", kInteger, kNew, "levels", 8, static_cast<std::int64_t>(limits::kXmlDepth),
     "64", "", "Deepest nesting of XML elements that is accepted."},
    {"xmpp.limits.stanza_bytes", kSize, kNew, "bytes",
     static_cast<std::int64_t>(limits::kUnauthenticatedElementBytes), 16 * kMiB, "256KiB", "",
     "Longest stanza that is accepted."},
    {"xmpp.limits.streams_per_domain_pair", kInteger, kNew, "streams", 1, 1000, "4", "",
     "Most authenticated incoming streams for one pair of domains. Beyond, the one that was silent "
     "longest gives way to a new one, if for 90 s at least; else the new one is refused."},
    {"xmpp.limits.unauthenticated_per_address", kInteger, kNew, "connections", 1, 100'000, "10", "",
     "Most connections of one address that have not proved a domain yet."},
    {"xmpp.listen", kAddressList, kListener, "address:port", 0, kItems, "[::]:5269", "",
     "Where XMPP servers connect to (STARTTLS)."},
    {"xmpp.listen_tls", kAddressList, kListener, "address:port", 0, kItems, "[::]:5270", "",
     "Where XMPP servers connect to with TLS from the first byte on."},
    {"xmpp.queue.bytes", kSize, kNew, "bytes", 64 * kKiB,
     static_cast<std::int64_t>(limits::kDomainPairQueueBytes), "1MiB", "",
     "Most bytes that wait for a stream of one pair of domains; more is refused to the sender."},
    {"xmpp.queue.time", kDuration, kLive, "duration", 1 * kSecond, kHour, "30s", "",
     "How long a stanza waits for a stream; then its sender gets an error."},
    {"xmpp.rate.connections_per_address", kRate, kLive, "connections", 1, kRateCount, "60/min", "",
     "New connections of one address; more are closed at once."},
    {"xmpp.rate.dialback_per_domain", kRate, kLive, "questions", 1, kRateCount, "600/min", "",
     "Dialback questions that we ask one domain because somebody claims to be it; more are refused "
     "with resource-constraint."},
    {"xmpp.retry.first", kDuration, kLive, "duration", 100 * kMs, kHour, "1s", "",
     "Pause after the first failed attempt to connect; doubled each time."},
    {"xmpp.retry.max", kDuration, kLive, "duration", 100 * kMs, 24 * kHour, "300s", "",
     "Longest pause between attempts to connect."},
    {"xmpp.timeouts.establish", kDuration, kNew, "duration", 1 * kSecond, kHour, "60s", "",
     "An incoming stream has to prove a domain within this time."},
    {"xmpp.timeouts.inactivity", kDuration, kLive, "duration", 1 * kSecond, 24 * kHour, "600s", "",
     "A stream without a stanza in either direction for this long is closed."},
};

static_assert(std::ranges::is_sorted(kKeys, {}, &Key::name));
static_assert(std::ranges::is_sorted(kKeys, {}, [](const Key& key) {
    return key.name.substr(0, key.name.find_first_of("./"));
}));

// Keys of a node alone, or how they begin; those that are secret are, too. Who may speak SIP to us
// is for each gateway to say: no edge, which the world can reach, can widen it.
constexpr std::string_view kOfNode[] = {
    "admin.",
    "core.",
    "dirs.",
    "domain/*/digest_user",
    "link.",
    "log.",
    "net.dns.",
    "sip.listen",
    "sip.msrp.",
    "sip.trusted",
    "store.",
    "tls.external.ca",
    "tls.external.certificate",
    "tls.external.crl",
    "tls.external.key",
    "tls.external.next",
    "tls.internal.",
    "tls.sip.",
    "xmpp.limits.connections",
    "xmpp.listen",
    "xmpp.listen_tls",
};

// `partner/*/tls` -> `tls`; `xmpp.listen` -> `xmpp.listen`.
std::string_view leaf_of(const Key& key) {
    return key.is_pattern() ? key.name.substr(key.name.find('*') + 2) : key.name;
}

const Key* find_plain(std::string_view name) {
    const auto found = std::ranges::lower_bound(kKeys, name, {}, &Key::name);
    return found != std::end(kKeys) && found->name == name && !found->is_pattern() ? &*found
                                                                                   : nullptr;
}

// The first one of those that have instances; they lie together.
const Key* first_pattern(std::string_view root) {
    const auto found = std::ranges::lower_bound(kKeys, root, {}, &Key::root);
    const bool is = found != std::end(kKeys) && found->root() == root && found->is_pattern();
    return is ? &*found : nullptr;
}

const Key* find_key(std::string_view root, std::string_view leaf) {
    const Key* key = first_pattern(root);
    for (; key != nullptr && key != std::end(kKeys) && key->root() == root; ++key) {
        if (key->is_pattern() && leaf_of(*key) == leaf) return key;
    }
    return nullptr;
}

bool is_core(std::string_view text) {
    const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    return digits && !text.empty() && text.size() <= 3 && (text == "0" || text.front() != '0') &&
           std::stoi(std::string(text)) < kCoresMax;
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    });
}

bool normalise_user(std::string_view typed, std::string& out) {
    if (lower_ascii(typed.substr(0, 4)) == "sip:") typed.remove_prefix(4);
    const std::size_t at = typed.rfind('@');
    if (at == std::string_view::npos || at == 0 || at > limits::kJidPartBytes) return false;
    const auto domain = normalise_domain(typed.substr(at + 1));
    const std::string_view user = typed.substr(0, at);
    if (!domain || !is_text(user) || user.contains(' ')) return false;
    out = lower_ascii(user) + "@" + *domain;
    return true;
}

bool normalise_instance(std::string_view root, std::string_view typed, std::string& out,
                        std::string& why) {
    if (root == "partner" || root == "domain") {
        if (root == "partner" && typed == "default") {
            out = typed;
            return true;
        }
        const auto domain = root == "partner" ? normalise_pattern(typed) : normalise_domain(typed);
        if (domain) {
            out = *domain;
        } else {
            why = in_quotes(typed) + " is not a domain name";
        }
        return domain.has_value();
    }
    if (root == "user") {
        if (normalise_user(typed, out)) return true;
        why = in_quotes(typed) + " is not a SIP address like alice@example.org";
        return false;
    }
    if (root == "core") {
        out = typed;
        if (typed == template_of(root) || is_core(typed)) return true;
        why = in_quotes(typed) + " is not a core: 0 to " + std::to_string(kCoresMax - 1) +
              ", or * for all that have no value of their own";
        return false;
    }
    const std::string_view bare =
        root == "policy" && typed.starts_with("site:") ? typed.substr(5) : typed;
    out = typed;
    if (is_name(bare)) return true;
    why = in_quotes(typed) + " is not a name (letters, digits, - _ . and at most 64 of them)";
    return false;
}

std::string hint(std::string_view typed) {
    std::string text;
    for (const std::string& name : nearest(typed)) {
        text += text.empty() ? "; did you mean " : " or ";
        text += name;
    }
    return text + (text.empty() ? "" : "?");
}

// Edits to turn one into the other, swaps of neighbours included, counted up to `bound`.
std::size_t distance(std::string_view a, std::string_view b, std::size_t bound) {
    if (a.size() > b.size() + bound || b.size() > a.size() + bound) return bound + 1;
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
        std::swap(before, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::span<const Key> keys() { return kKeys; }

std::string_view name_of(Type type) {
    switch (type) {
        case kBool: return "bool";
        case kInteger: return "integer";
        case kDuration: return "duration";
        case kSize: return "size";
        case kRate: return "rate";
        case kEnum: return "enum";
        case kEnumList: return "enum list";
        case kString: return "string";
        case kPath: return "path";
        case kPathList: return "path list";
        case kFingerprintList: return "fingerprint list";
        case kDomain: return "domain";
        case kDomainList: return "domain list";
        case kPatternList: return "domain pattern list";
        case kDenyList: return "deny list";
        case kHostPort: return "host:port";
        case kHostPortList: return "host:port list";
        case kAddress: return "address";
        case kAddressList: return "address list";
        case kNetworkList: return "network list";
        case kSipListenList: return "SIP listener list";
        case kSipUriList: return "SIP URI list";
        case kCpuSet: return "CPU set";
    }
    return "";
}

std::string_view name_of(Apply apply) {
    switch (apply) {
        case kLive: return "live";
        case kNew: return "new";
        case kListener: return "listener";
        case kRestart: return "restart";
    }
    return "";
}

// Asked for each setting of a commit: decided once.
Scope scope_of(const Key& key) {
    static const std::vector<Scope> all = [] {
        std::vector<Scope> scopes;
        for (const Key& one : kKeys) {
            const bool of_node =
                one.secret || std::ranges::any_of(kOfNode, [&one](std::string_view name) {
                    return name.ends_with('.') ? one.name.starts_with(name) : one.name == name;
                });
            scopes.push_back(of_node ? Scope::kNode : Scope::kPool);
        }
        return scopes;
    }();
    return all[static_cast<std::size_t>(&key - kKeys)];
}

std::string_view template_of(std::string_view root) {
    return root == "partner" ? "default" : root == "core" ? "*" : "";
}

std::string_view name_of(Scope scope) { return scope == Scope::kNode ? "node" : "pool"; }

bool resolve(std::string_view typed, Path& path, std::string& why) {
    typed = trim(typed);
    if (typed.empty() || typed.size() > 2 * limits::kJidPartBytes || !is_text(typed)) {
        why = "this is not a key";
        return false;
    }
    // sysctl: the first separator decides; the other one then is an ordinary character, and in a
    // dotted name a slash stands for a dot inside a part.
    const std::size_t first = typed.find_first_of("./");
    const bool slashes = first != std::string_view::npos && typed[first] == '/';
    const std::string_view root = typed.substr(0, first);
    const std::size_t last = typed.rfind(slashes ? '/' : '.');
    if (first == last || first_pattern(root) == nullptr) {
        std::string plain(typed);
        if (slashes) std::ranges::replace(plain, '/', '.');
        path.key = find_plain(plain);
        path.instance.clear();
        path.name = plain;
        if (path.key == nullptr) why = "no such key" + hint(typed);
        return path.key != nullptr;
    }
    const std::string_view leaf = typed.substr(last + 1);
    path.key = find_key(root, leaf);
    if (path.key == nullptr) {
        why = "no such key" + hint(typed);
        return false;
    }
    std::string instance(typed.substr(first + 1, last - first - 1));
    if (!slashes && instance.contains('.')) {
        why = "a name with dots in it is written " + std::string(root) + "/" + instance + "/" +
              std::string(leaf);
        return false;
    }
    if (!slashes) std::ranges::replace(instance, '/', '.');
    if (!normalise_instance(root, instance, path.instance, why)) return false;
    path.name = path.key->name;
    path.name.replace(path.name.find('*'), 1, path.instance);
    why.clear();
    return true;
}

std::vector<std::string> nearest(std::string_view typed) {
    constexpr std::size_t kShown = 3;
    constexpr std::size_t kTypedBytes = 256;
    if (typed.size() > kTypedBytes) return {};
    std::string wanted = lower_ascii(typed);
    // The part between the first and the last separator is the instance: it stays as it was typed.
    const std::size_t first = wanted.find_first_of("./");
    const std::size_t last = first == std::string::npos ? first : wanted.rfind(wanted[first]);
    const bool three = first != last;
    const std::string middle = three ? wanted.substr(first + 1, last - first - 1) : "";
    std::vector<std::pair<std::size_t, std::string>> found;
    for (const Key& key : kKeys) {
        std::string name(key.name);
        if (key.is_pattern()) {
            if (three) name.replace(name.find('*'), 1, middle);
            std::string other = wanted;
            const char separator = key.name[key.root().size()];
            if (three) other[first] = other[last] = separator;
            const std::size_t bound = std::max<std::size_t>(2, leaf_of(key).size() / 3);
            const std::size_t edits = distance(other, name, bound);
            if (edits <= bound) found.emplace_back(edits, name);
            continue;
        }
        std::string plain = wanted;
        std::ranges::replace(plain, '/', '.');
        const std::size_t bound = std::max<std::size_t>(2, name.size() / 4);
        const std::size_t edits = distance(plain, name, bound);
        if (edits <= bound) {
            found.emplace_back(edits, name);
        } else if (plain.size() >= 4 && name.ends_with("." + plain)) {
            found.emplace_back(bound, name);
        }
    }
    std::ranges::sort(found);
    std::vector<std::string> names;
    for (const auto& [edits, name] : found) {
        if (names.size() == kShown || edits > found.front().first + 1) break;
        names.push_back(name);
    }
    return names;
}

}  // namespace fedgate::config
