// All rules and settings of one generation, typed and indexed, immutable. Made on the control
// thread, read by every core without a lock; a core swaps its pointer between two events. Look-ups
// allocate nothing and take domains as A-labels in lower case. Views and pointers live as long as
// the snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/event.hpp"
#include "core/config/address.hpp"
#include "core/config/cpu_set.hpp"
#include "core/config/tree.hpp"
#include "core/rules/index.hpp"
#include "core/rules/partner.hpp"
#include "core/rules/policy.hpp"

namespace fedgate::rules {

// A domain of ours: served by SIP pools; on the XMPP network we are its server.
// How messages travel on the SIP side.
enum class Profile : std::uint8_t { kPage, kLync, kMsrp };

struct SipDomain {
    std::string name;
    std::vector<config::SipTarget> next_hops;  // failover order; empty: RFC 3263 on the name
    std::string site;
    std::string digest_user;  // SIP-30; empty: none
    std::string digest_password;
    Profile profile = Profile::kPage;
    bool strict_1300 = false;     // IM-18
    bool phone = false;           // ADDR-28
    bool send_pai = false;        // SIP-33
    bool wildcard = false;        // SIP-31: a certificate for *.name will do
    bool sip2xmpp_chat = false;   // IM-38: type='chat' instead of none
    bool imdn = false;            // RCPT-1
    bool receipt_on_200 = false;  // RCPT-5
    bool html_out = false;        // IM-11
    bool verbose_errors = false;  // ERR-2, SESS-45
};

// Users of ours who reach partners by the same edges.
struct Site {
    std::string name;
    std::string route;  // the edge pool that is used first; empty: as the pools' priorities say
};

struct TlsFiles {
    std::string certificate;  // PEM paths; empty: none
    std::string key;
    std::string ca;
    struct Next {
        WallTime from{};
        std::string certificate;
        std::string key;
        bool operator==(const Next&) const = default;
    };
    std::optional<Next> next{};  // takes their place then

    [[nodiscard]] TlsFiles at(WallTime now) const {
        if (!next || now < next->from) return *this;
        return {next->certificate, next->key, ca};
    }
    bool operator==(const TlsFiles&) const = default;
};

// tls.external.revocation: N13.
enum class Revocation : std::uint8_t { kOff, kSoft, kHard };

struct Settings {
    bool federation_allow = false;
    bool federation_discovery = false;
    std::string archiving_notice;  // features.md U10; empty: none is given
    bool edge = true;
    bool gateway = true;
    std::uint32_t threads = 0;
    // Where the threads of cores run; empty: each on a CPU of its own.
    struct Cores {
        config::CpuSet every;
        std::map<std::uint32_t, config::CpuSet> own;  // by core

        [[nodiscard]] const config::CpuSet& cpus_of(std::uint32_t core) const {
            const auto found = own.find(core);
            return found != own.end() ? found->second : every;
        }
        bool operator==(const Cores&) const = default;
    } cores;
    std::string state_directory;
    std::string node;        // empty: the host's name
    std::string store_path;  // of the file
    std::string store_url;   // of the pool's database; empty: the file
    std::string admin_socket;
    config::Address admin_http;
    struct AdminGroups {  // of UNIX, by name
        std::vector<std::string> administrators;
        std::vector<std::string> operators;
        std::vector<std::string> viewers;

        // Then whoever can open admin.socket is an administrator.
        [[nodiscard]] bool empty() const {
            return administrators.empty() && operators.empty() && viewers.empty();
        }
    } admin_groups;
    std::vector<config::Address> dns_servers;
    std::string dns_trust_anchor;  // path; empty: no DNSSEC
    TlsFiles tls_external;
    std::vector<std::string> revocation_lists;           // paths
    std::vector<std::string> internal_revocation_lists;  // the same, of the link
    Revocation revocation = Revocation::kSoft;
    TlsFiles tls_internal;
    TlsFiles tls_sip;

    // The scheduled test message.
    struct Test {
        std::string from;
        std::string to;
        Duration interval{};  // 0: never
        Duration within{};
    } test;

    struct Xmpp {
        std::vector<config::Address> listen;
        std::vector<config::Address> listen_tls;
        std::uint32_t connections = 0;
        std::uint32_t connections_per_partner = 0;
        std::uint32_t unauthenticated_per_address = 0;
        std::uint32_t streams_per_domain_pair = 0;
        std::size_t stanza_bytes = 0;
        std::uint32_t depth = 0;
        Rate connections_per_address;
        Rate dialback_per_domain;
        Duration establish{};
        Duration inactivity{};
        Duration keepalive_interval{};
        std::string dialback_secret;  // empty: the file in state_directory
        Duration retry_first{};       // DNS-9
        Duration retry_max{};
        std::size_t queue_bytes = 0;
        Duration queue_time{};
    } xmpp;

    struct Link {
        struct Edge {
            std::string host;            // an A-label; the name in its certificate, too
            std::uint16_t port = 0;      // none: SRV records of the host name edges
            std::uint16_t priority = 0;  // of its pool; the lower is used first
            std::string pool;            // empty: none

            bool operator==(const Edge&) const = default;
        };
        std::vector<config::Address> listen;
        // Whom a gateway alone connects to: link.edges, else the members of edge pools.
        std::vector<Edge> edges;
        std::vector<std::string> gateways;  // the members of gateway pools: they may connect
        // This process has both roles, and there are other gateways: its own two parts use the
        // link, too, so that each conversation has one owner among all.
        bool joined = false;
    } link;

    struct Sip {
        std::vector<config::SipListen> listen;
        std::vector<config::Network> trusted;
        Rate datagrams_per_address;
        Duration options_interval{};

        struct Msrp {
            config::Address listen;  // of core 0; without text: no domain of this gateway needs it
            std::string host;        // in our paths; IP without brackets; empty: as in Via
            bool tls = false;

            // A port for each core: whom a session belongs to is told by where it comes to.
            [[nodiscard]] config::Address at(std::uint32_t core) const {
                if (listen.port == 0) return listen;  // the kernel picks, or there is none
                return config::with_port(listen, static_cast<std::uint16_t>(listen.port + core));
            }
            bool operator==(const Msrp&) const = default;
        } msrp;
    } sip;

    struct Im {
        std::size_t max_bytes = 0;  // IM-19
        Duration error_wait{};      // IM-50
    } im;

    struct Presence {
        Duration ask_again{};             // R12
        Duration lost_after{};            // PRES-71
        std::uint32_t expires = 0;        // PRES-30: seconds
        std::uint32_t subscriptions = 0;  // SEC-4
        std::uint32_t subscriptions_per_domain = 0;
        std::uint32_t subscriptions_per_watcher = 0;
    } presence;

    std::uint32_t loop_repeats = 0;  // SEC-3
    std::uint8_t log_level = 0;      // 0 error, 1 warning, 2 info, 3 debug
    Language log_language = Language::kEnglish;
    bool log_bodies = false;
};

// features.md P8: the decision about two users for one kind of what passes between them. `partner`:
// the one that it was about.
[[nodiscard]] Decision of_kind(const Decision&, const Partner* partner, Kind);

class Snapshot {
public:
    std::uint64_t generation = 0;
    // From then on the same tree makes other rules: an item of federation.deny ends.
    WallTime valid_until = WallTime::max();
    Settings settings;

    // The partner that `domain` belongs to: its own or an additional domain, else the longest
    // *.domain above it, else with federation.discovery the template, else null. May be disabled.
    // Null for a domain of ours and for one that is denied.
    [[nodiscard]] const Partner* partner(Bytes domain) const;
    // Is it, or a *.domain above it, in federation.deny?
    [[nodiscard]] bool denied(Bytes domain) const;
    // Where partner() gives null.
    [[nodiscard]] Reason why_no_partner(Bytes domain) const;
    // Null: not a domain of ours.
    [[nodiscard]] const SipDomain* sip_domain(Bytes domain) const;
    // May this SIP user and a user of this XMPP domain converse, in this direction? `user` is the
    // unescaped user part (ASCII case does not count), domains are A-labels in lower case.
    [[nodiscard]] Decision may_converse(Bytes user, Bytes sip_domain, Bytes xmpp_domain,
                                        Direction) const;
    // The same when both are known.
    [[nodiscard]] Decision may_converse(Bytes user, const SipDomain&, const Partner&,
                                        Direction) const;
    // The policy in force for a SIP user: user > site > global.
    [[nodiscard]] const Policy& policy_of(Bytes user, const SipDomain&) const;
    // The site of a SIP user: user > domain. Null: none.
    [[nodiscard]] const Site* site_of(Bytes user, const SipDomain&) const;
    // There are users whose site is not that of their domain.
    [[nodiscard]] bool users_have_sites() const { return user_site_index_.count() != 0; }
    // Does it matter to any site by which edges partners are reached?
    [[nodiscard]] bool has_routes() const { return has_routes_; }
    // May this address (4 or 16 bytes, network order) send us SIP without a certificate?
    [[nodiscard]] bool sip_trusted(Bytes address) const;

    [[nodiscard]] const std::vector<Partner>& partners() const { return partners_; }
    [[nodiscard]] const std::vector<SipDomain>& sip_domains() const { return sip_domains_; }
    // Those that have a route, or users.
    [[nodiscard]] const std::vector<Site>& sites() const { return sites_; }

private:
    friend class Compiler;
    std::vector<Partner> partners_;  // [0] is the template
    std::vector<SipDomain> sip_domains_;
    std::vector<Policy> policies_;  // [0] is global
    NameIndex partner_index_;       // the names may be patterns
    NameIndex deny_index_;          // the same
    NameIndex sip_domain_index_;
    NameIndex user_index_;                        // user@domain -> index into policies_
    std::vector<std::uint32_t> domain_policies_;  // of sip_domains_: by site, else global
    std::vector<Site> sites_;
    NameIndex user_site_index_;                // user@domain -> index into sites_
    std::vector<std::uint32_t> domain_sites_;  // of sip_domains_; NameIndex::kNone: none
    bool has_routes_ = false;
};

// Validates the tree as a whole. Null when there is an error in `problems`; warnings do not refuse.
// What has ended by `now` is left out.
[[nodiscard]] std::unique_ptr<const Snapshot> compile(const config::Tree&, std::uint64_t generation,
                                                      config::Problems& problems,
                                                      WallTime now = {});

}  // namespace fedgate::rules
