#include "core/rules/snapshot.hpp"

#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "core/config/file.hpp"
#include "core/config/timestamp.hpp"

namespace {
std::size_t allocations = 0;
}  // namespace

// Not inlined: g++ 12 would take the pairs for mismatched.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace fedgate::rules {
namespace {

struct Compiled {
    std::unique_ptr<const Snapshot> snapshot;
    config::Problems problems;

    std::string text() const {
        std::string out;
        for (const auto& problem : problems) out += problem.line() + "\n";
        return out;
    }
};

Compiled make(std::string_view text) {
    Compiled out;
    config::Tree tree;
    std::vector<config::Setting> settings;
    config::parse_settings(text, "t", settings, out.problems);
    config::apply(settings, tree, out.problems);
    EXPECT_TRUE(out.problems.empty()) << out.text();
    out.snapshot = compile(tree, 7, out.problems);
    return out;
}

constexpr std::string_view kOpen =
    "federation.allow = yes\n"
    "domain/sip.example/next_hop = sip:127.0.0.1:5060;transport=tcp\n"
    "partner/xmpp.example/type = federated\n"
    "policy/global/federation_access = yes\n"
    "policy/global/xmpp_access = yes\n";

std::string open_with(std::string_view more) { return std::string(kOpen) + std::string(more); }

TEST(Snapshot, WithoutConfigurationNothingPasses) {
    const Compiled c = make("");
    ASSERT_TRUE(c.snapshot) << c.text();
    EXPECT_EQ(c.snapshot->generation, 7U);
    EXPECT_EQ(c.snapshot->partner("xmpp.example"), nullptr);
    EXPECT_EQ(c.snapshot->sip_domain("sip.example"), nullptr);
    EXPECT_EQ(
        c.snapshot->may_converse("a", "sip.example", "xmpp.example", Direction::kToXmpp).reason,
        Reason::kFederationOff);
}

TEST(Snapshot, CredentialsForAPoolGoTogether) {  // SIP-30
    const Compiled half = make(open_with("domain/sip.example/digest_user = fedgate\n"));
    EXPECT_FALSE(half.snapshot);
    EXPECT_NE(half.text().find("set both or none"), std::string::npos) << half.text();
    const Compiled whole =
        make(open_with("domain/sip.example/digest_user = fedgate\n"
                       "domain/sip.example/digest_password = secret\n"));
    ASSERT_TRUE(whole.snapshot) << whole.text();
    EXPECT_EQ(whole.snapshot->sip_domain("sip.example")->digest_password, "secret");
}

TEST(Snapshot, HasTheDefaultsOfTheProduct) {
    const Compiled c = make("partner/xmpp.example/description = x\n");
    ASSERT_TRUE(c.snapshot) << c.text();
    const Settings& s = c.snapshot->settings;
    EXPECT_EQ(s.xmpp.listen.at(0).text, "[::]:5269");
    EXPECT_EQ(s.xmpp.listen_tls.at(0).text, "[::]:5270");
    EXPECT_EQ(s.link.listen.at(0).text, "[::]:23456");
    EXPECT_EQ(s.xmpp.connections, 1000U);
    EXPECT_EQ(s.xmpp.unauthenticated_per_address, 10U);                  // S2S-62
    EXPECT_EQ(s.xmpp.streams_per_domain_pair, 4U);                       // S2S-62
    EXPECT_DOUBLE_EQ(s.xmpp.connections_per_address.per_second(), 1.0);  // S2S-63
    EXPECT_EQ(s.xmpp.stanza_bytes, 262144U);
    EXPECT_EQ(s.sip.listen.size(), 3U);
    EXPECT_EQ(s.im.max_bytes, 32768U);  // IM-19
    EXPECT_TRUE(s.edge && s.gateway);
    // features.md A3.
    const Partner* partner = c.snapshot->partner("xmpp.example");
    ASSERT_NE(partner, nullptr);
    EXPECT_TRUE(partner->enabled && partner->keepalive && partner->negotiation.dialback);
    EXPECT_EQ(partner->type, PartnerType::kPublicUnverified);
    EXPECT_EQ(partner->negotiation.tls, Need::kRequired);
    EXPECT_EQ(partner->negotiation.sasl, Need::kRequired);
    EXPECT_EQ(partner->connection_limit, 20U);
    EXPECT_TRUE(partner->proxy.host.empty());
    EXPECT_EQ(partner->rate_bytes.count, 512U << 10);     // S2S-64
    EXPECT_EQ(partner->rate_stanzas.count, 2000U);        // S2S-64
    EXPECT_EQ(partner->rate_sender_messages.count, 20U);  // S2S-65
}

TEST(Snapshot, FindsPartnersByEveryNameOfTheirs) {
    const Compiled c = make(
        "partner/a.example/additional_domains = b.example b\xc3\xbc"
        "cher.example\n"
        "partner/c.example/enabled = no\n"
        "partner/c.example/proxy = [::1]:15269\n"
        "partner/c.example/connection_limit = 3\n"
        "domain/sip.example/site = paris\n");
    ASSERT_TRUE(c.snapshot) << c.text();
    const Partner* a = c.snapshot->partner("a.example");
    ASSERT_NE(a, nullptr);
    EXPECT_EQ(c.snapshot->partner("b.example"), a);
    EXPECT_EQ(c.snapshot->partner("xn--bcher-kva.example"), a);
    EXPECT_EQ(c.snapshot->partner("A.Example"), a);
    EXPECT_EQ(c.snapshot->partner("sub.a.example"), nullptr);
    EXPECT_EQ(c.snapshot->partner("d.example"), nullptr);
    EXPECT_EQ(c.snapshot->partner(""), nullptr);
    const Partner* blocked = c.snapshot->partner("c.example");
    ASSERT_NE(blocked, nullptr);
    EXPECT_FALSE(blocked->enabled);
    EXPECT_EQ(blocked->proxy.host, "::1");
    EXPECT_EQ(blocked->proxy.port, 15269);
    EXPECT_EQ(blocked->connection_limit, 3U);
    EXPECT_EQ(c.snapshot->sip_domain("sip.example")->site, "paris");
}

TEST(Snapshot, DiscoveryGivesTheTemplateToAnyDomainThatIsNotDenied) {
    const Compiled c =
        make(open_with("federation.discovery = yes\n"
                       "partner/default/type = public_verified\n"
                       "partner/bad.example/enabled = no\n"));
    ASSERT_TRUE(c.snapshot) << c.text();
    const Partner* found = c.snapshot->partner("new.example");
    ASSERT_NE(found, nullptr);
    EXPECT_TRUE(found->discovered());
    EXPECT_EQ(found->type, PartnerType::kPublicVerified);
    EXPECT_FALSE(c.snapshot->partner("bad.example")->enabled);
    EXPECT_EQ(c.snapshot->partner("sip.example"), nullptr);  // SEC-1
    EXPECT_FALSE(c.snapshot->partner("xmpp.example")->discovered());
}

// The rule: the domain itself before every wildcard, the longest wildcard before a shorter one, and
// none for the domain right under its asterisk.
TEST(Snapshot, AWildcardIsForAllSubDomainsAndTheLongestHolds) {
    const Compiled c = make(
        "federation.discovery = no\n"
        "partner/*.example.org/description = short\n"
        "partner/*.deep.example.org/description = long\n"
        "partner/one.example.org/description = exact\n"
        "partner/main.example/additional_domains = *.main.example *.B\xc3\xbc"
        "cher.example\n"
        "domain/ours.example.org/phone = no\n");
    ASSERT_TRUE(c.snapshot) << c.text();
    const auto found = [&c](std::string_view domain) {
        const Partner* partner = c.snapshot->partner(domain);
        return partner == nullptr ? std::string("none") : partner->domain;
    };
    EXPECT_EQ(found("example.org"), "none");
    EXPECT_EQ(found("a.example.org"), "*.example.org");
    EXPECT_EQ(found("A.B.Example.org"), "*.example.org");
    EXPECT_EQ(found("one.example.org"), "one.example.org");
    EXPECT_EQ(found("x.one.example.org"), "*.example.org");
    EXPECT_EQ(found("deep.example.org"), "*.example.org");
    EXPECT_EQ(found("x.deep.example.org"), "*.deep.example.org");
    EXPECT_EQ(found("x.y.deep.example.org"), "*.deep.example.org");
    EXPECT_EQ(found("badexample.org"), "none");
    EXPECT_EQ(found("ours.example.org"), "none");  // SEC-1
    EXPECT_EQ(found("x.main.example"), "main.example");
    EXPECT_EQ(found("x.xn--bcher-kva.example"), "main.example");
    EXPECT_EQ(found("*.example.org"), "*.example.org");  // nobody can be called that
    EXPECT_EQ(found("."), "none");
    EXPECT_EQ(found(".example.org"), "*.example.org");
}

TEST(Snapshot, TheDenyListStandsOverEverything) {
    const Compiled c =
        make(open_with("federation.deny = xmpp.example *.evil.example\n"
                       "partner/good.evil.example/type = federated\n"
                       "federation.discovery = yes\n"));
    ASSERT_TRUE(c.snapshot) << c.text();
    EXPECT_EQ(c.snapshot->partner("xmpp.example"), nullptr);
    EXPECT_EQ(c.snapshot->partner("good.evil.example"), nullptr);
    EXPECT_EQ(c.snapshot->partner("a.b.evil.example"), nullptr);
    EXPECT_NE(c.snapshot->partner("evil.example"), nullptr);
    EXPECT_NE(c.snapshot->partner("sub.xmpp.example"), nullptr);
    for (const Direction direction : {Direction::kToXmpp, Direction::kFromXmpp}) {
        EXPECT_EQ(c.snapshot->may_converse("a", "sip.example", "xmpp.example", direction).reason,
                  Reason::kPartnerDenied);
    }
}

TEST(Snapshot, ADenialMayEndByItself) {
    config::Tree tree;
    config::Problems problems;
    tree.set("federation.discovery", "yes", {}, problems);
    tree.set("federation.deny",
             "a.example@2026-11-25T12:00:00Z b.example@2026-11-25T13:00:00Z c.example", {},
             problems);
    const WallTime noon = *config::parse_time("2026-11-25T12:00:00Z");
    const auto at = [&](WallTime now) { return compile(tree, 1, problems, now); };
    const auto before = at(noon - 1s);
    EXPECT_TRUE(before->denied("a.example") && before->denied("b.example"));
    EXPECT_EQ(before->valid_until, noon);
    const auto then = at(noon);
    EXPECT_FALSE(then->denied("a.example"));
    EXPECT_TRUE(then->denied("b.example") && then->denied("c.example"));
    EXPECT_EQ(then->valid_until, noon + 1h);
    EXPECT_EQ(at(noon + 1h)->valid_until, WallTime::max());
    EXPECT_TRUE(at(noon + 1h)->denied("c.example"));
    EXPECT_TRUE(problems.empty());
}

struct Question {
    std::string settings;
    const char* user;
    const char* ours;
    const char* theirs;
    Direction direction;
    Reason reason;
    const char* policy = "";
};

TEST(Snapshot, SaysWhatPassesWithAPartner) {  // P8
    const std::string text =
        "federation.allow = yes\npolicy/global/federation_access = yes\n"
        "policy/global/xmpp_access = yes\ndomain/sip.example/next_hop = sip:pool.sip.example\n"
        "partner/default/stanzas = presence typing notes\n"
        "partner/a.example/type = federated\n"
        "partner/b.example/stanzas = html message\n"
        "partner/b.example/type = public_unverified\n"
        "partner/c.example/stanzas = html typing notes iq\n";
    const Compiled c = make(text);
    ASSERT_NE(c.snapshot, nullptr);
    const auto passes = [&](const char* domain) {
        std::string kinds;
        const char* letter = "mpitnh";
        for (int kind = 0; kind < 6; ++kind) {
            if (c.snapshot->partner(domain)->passes(static_cast<Kind>(kind))) kinds += letter[kind];
        }
        return kinds;
    };
    EXPECT_EQ(passes("a.example"), "pn");  // no typing without messages
    EXPECT_EQ(passes("b.example"), "mh");
    EXPECT_EQ(passes("c.example"), "i");
    const auto decides = [&](const char* domain, Direction direction, Kind kind) {
        return of_kind(c.snapshot->may_converse("u", "sip.example", domain, direction),
                       c.snapshot->partner(domain), kind)
            .reason;
    };
    EXPECT_EQ(decides("a.example", Direction::kToXmpp, Kind::kPresence), Reason::kAllowed);
    EXPECT_EQ(decides("a.example", Direction::kToXmpp, Kind::kMessage), Reason::kKindRefused);
    EXPECT_EQ(decides("a.example", Direction::kFromXmpp, Kind::kMessage), Reason::kKindRefused);
    // Before what an approval could change, and behind all else.
    EXPECT_EQ(decides("b.example", Direction::kFromXmpp, Kind::kMessage), Reason::kApprovalNeeded);
    EXPECT_EQ(decides("b.example", Direction::kFromXmpp, Kind::kPresence), Reason::kKindRefused);
    EXPECT_EQ(decides("d.example", Direction::kToXmpp, Kind::kMessage), Reason::kPartnerUnknown);
}

TEST(Snapshot, SaysWhoMayConverseAndWhichRuleDecides) {
    using enum Direction;
    const std::string two_sites = open_with(
        "policy/global/xmpp_access = no\n"
        "policy/site:paris/federation_access = yes\n"
        "policy/site:paris/xmpp_access = yes\n"
        "policy/site:rome/description = nothing allowed\n"
        "policy/press/federation_access = yes\n"
        "policy/press/xmpp_access = yes\n"
        "policy/mute/xmpp_access = yes\n"
        "domain/paris.example/site = paris\n"
        "user/press@sip.example/policy = press\n"
        "user/mute@paris.example/policy = mute\n"
        "user/rome@paris.example/site = rome\n"
        "user/paris@sip.example/site = paris\n");
    // U9: a group with one partner only.
    const std::string group = open_with(
        "partner/*.wide.example/type = federated\n"
        "partner/xmpp.example/additional_domains = xmpp2.example\n"
        "partner/other.example/type = federated\n"
        "federation.discovery = yes\n"
        "policy/group/federation_access = yes\n"
        "policy/group/xmpp_access = yes\n"
        "policy/group/partners = xmpp.example *.wide.example\n"
        "user/g@sip.example/policy = group\n");
    const Question questions[] = {
        {group, "g", "sip.example", "xmpp.example", kToXmpp, Reason::kAllowed, "group"},
        {group, "g", "sip.example", "xmpp2.example", kFromXmpp, Reason::kAllowed, "group"},
        {group, "g", "sip.example", "a.wide.example", kToXmpp, Reason::kAllowed, "group"},
        {group, "g", "sip.example", "other.example", kToXmpp, Reason::kNotItsPartner, "group"},
        {group, "g", "sip.example", "other.example", kFromXmpp, Reason::kNotItsPartner, "group"},
        {group, "g", "sip.example", "found.example", kToXmpp, Reason::kNotItsPartner, "group"},
        {group, "a", "sip.example", "other.example", kToXmpp, Reason::kAllowed, "global"},
        {open_with(""), "a", "sip.example", "xmpp.example", kToXmpp, Reason::kAllowed, "global"},
        {open_with(""), "a", "sip.example", "xmpp.example", kFromXmpp, Reason::kAllowed, "global"},
        {open_with("federation.allow = no\n"), "a", "sip.example", "xmpp.example", kToXmpp,
         Reason::kFederationOff},
        {open_with(""), "a", "other.example", "xmpp.example", kToXmpp, Reason::kNotOurDomain},
        {open_with(""), "a", "sip.example", "sip.example", kToXmpp, Reason::kOurDomain},
        {open_with(""), "a", "sip.example", "other.example", kToXmpp, Reason::kPartnerUnknown},
        {open_with("federation.deny = other.example"), "a", "sip.example", "other.example", kToXmpp,
         Reason::kPartnerDenied},
        {open_with("partner/xmpp.example/enabled = no\n"), "a", "sip.example", "xmpp.example",
         kFromXmpp, Reason::kPartnerDisabled},
        {open_with("policy/global/federation_access = no\n"), "a", "sip.example", "xmpp.example",
         kFromXmpp, Reason::kFederationAccess, "global"},
        {open_with("policy/global/xmpp_access = no\n"), "a", "sip.example", "xmpp.example", kToXmpp,
         Reason::kXmppAccess, "global"},
        // A6: a public provider's user may not write first; ours may.
        {open_with("partner/xmpp.example/type = public_unverified\n"), "a", "sip.example",
         "xmpp.example", kFromXmpp, Reason::kApprovalNeeded, "global"},
        {open_with("partner/xmpp.example/type = public_unverified\n"), "a", "sip.example",
         "xmpp.example", kToXmpp, Reason::kAllowed, "global"},
        {open_with("partner/xmpp.example/type = public_verified\n"), "a", "sip.example",
         "xmpp.example", kFromXmpp, Reason::kAllowed, "global"},
        // A7: user > site > global, the whole policy wins.
        {two_sites, "a", "sip.example", "xmpp.example", kToXmpp, Reason::kXmppAccess, "global"},
        {two_sites, "a", "paris.example", "xmpp.example", kToXmpp, Reason::kAllowed, "site:paris"},
        {two_sites, "press", "sip.example", "xmpp.example", kToXmpp, Reason::kAllowed, "press"},
        {two_sites, "PRESS", "sip.example", "xmpp.example", kToXmpp, Reason::kAllowed, "press"},
        {two_sites, "press", "paris.example", "xmpp.example", kToXmpp, Reason::kAllowed,
         "site:paris"},
        {two_sites, "mute", "paris.example", "xmpp.example", kToXmpp, Reason::kFederationAccess,
         "mute"},
        {two_sites, "rome", "paris.example", "xmpp.example", kToXmpp, Reason::kFederationAccess,
         "site:rome"},
        {two_sites, "paris", "sip.example", "xmpp.example", kToXmpp, Reason::kAllowed,
         "site:paris"},
    };
    for (const Question& q : questions) {
        SCOPED_TRACE(q.settings + q.user + "@" + q.ours + " " + q.theirs);
        const Compiled c = make(q.settings);
        ASSERT_TRUE(c.snapshot) << c.text();
        const Decision got = c.snapshot->may_converse(q.user, q.ours, q.theirs, q.direction);
        EXPECT_EQ(got.reason, q.reason) << explain(got.reason);
        EXPECT_EQ(got.allowed(), q.reason == Reason::kAllowed);
        EXPECT_EQ(got.policy == nullptr ? "" : got.policy->name, q.policy);
    }
}

TEST(Snapshot, EveryReasonHasASentence) {
    for (int i = 0; i <= static_cast<int>(Reason::kApprovalNeeded); ++i) {
        EXPECT_FALSE(explain(static_cast<Reason>(i)).empty());
    }
}

struct Refusal {
    std::string settings;
    const char* complaint;
    bool warning = false;
};

constexpr std::string_view kInternal =
    "tls.internal.certificate = /i.pem\ntls.internal.key = /i.key\ntls.internal.ca = /i.ca\n";

TEST(Snapshot, AnEdgeAloneNeedsNothingOfSip) {
    const Compiled c =
        make("core.roles = edge\nsip.listen = tcp:[::]:5269\n" + std::string(kInternal) +
             "pool/g/kind = gateway\npool/g/members = GW1.example gw2.example:1\n");
    ASSERT_TRUE(c.snapshot) << c.text();
    const Settings& s = c.snapshot->settings;
    EXPECT_TRUE(s.edge);
    EXPECT_FALSE(s.gateway);
    EXPECT_EQ(s.link.gateways, (std::vector<std::string>{"gw1.example", "gw2.example"}));
}

TEST(Snapshot, AGatewayAloneFindsItsEdges) {
    const std::string pools =
        "pool/west/priority = 20\npool/west/members = w.example:7 v.example\n"
        "pool/east/priority = 10\npool/east/members = e.example\n";
    const std::string roles =
        "core.roles = gateway\nxmpp.listen = 127.0.0.1:5060\n" + std::string(kInternal);
    const auto edges = [](const Compiled& c) {
        std::string text;
        for (const auto& edge : c.snapshot->settings.link.edges) {
            text += edge.host + ":" + std::to_string(edge.port) + "/" +
                    std::to_string(edge.priority) + " ";
        }
        return text;
    };
    const Compiled by_pools = make(roles + pools);
    ASSERT_TRUE(by_pools.snapshot) << by_pools.text();
    EXPECT_EQ(edges(by_pools), "e.example:23456/10 w.example:7/20 v.example:23456/20 ");
    const Compiled listed = make(roles + pools + "link.edges = b.example:2 a.example\n");
    ASSERT_TRUE(listed.snapshot) << listed.text();
    EXPECT_EQ(edges(listed), "b.example:2/0 a.example:0/0 ");
}

TEST(Snapshot, RefusesWhatCannotWorkAndSaysWhy) {
    const Refusal refusals[] = {
        {"partner/x.example/tls = none\npartner/x.example/dialback = no\n",
         "t:2: error: partner/x.example/dialback: tls = none, sasl = required, dialback = no: no "
         "method is left"},
        {"partner/default/sasl = none\npartner/default/dialback = no\n", "no method is left"},
        {"partner/x.example/legacy_tls = yes\n",  // features.md N15
         "warning: partner/x.example/legacy_tls: TLS 1.0, TLS 1.1 and CBC suites are broken", true},
        {"partner/default/legacy_tls = yes\n", "partner/default/legacy_tls: is for single partners",
         false},
        {"partner/x.example/tls = optional\n", "warning: partner/x.example/tls: tls = optional",
         true},
        {"partner/x.example/dialback = yes\n", "dialback will not be used", true},
        {"domain/x.example/profile = msrp\n",
         "t:1: error: domain/x.example/profile: msrp goes by TLS, which needs tls.sip.certificate "
         "and tls.sip.key; sip.msrp.tls = no would have it in the clear"},
        {"sip.msrp.host = im.example:2855\n", "sip.msrp.host: is a name or an address alone"},
        {"domain/x.example/profile = msrp\nsip.msrp.listen =\n",
         "sip.msrp.listen: is empty; domain/"},
        {"log.bodies = yes\n", "logging texts is not yet available"},
        {"link.edges = edge.example:23456\n", "is for a gateway alone"},
        {"core.roles = edge\n", "tls.internal.certificate: is empty; an edge alone needs it"},
        {"core.roles = edge\n", "tls.internal.ca: is empty; an edge alone needs it"},
        {"core.roles = edge\n", "needs to know its gateways by name"},
        {"core.roles = edge\nxmpp.limits.stanza_bytes = 2MiB\n",
         "xmpp.limits.stanza_bytes: is above 1MiB"},
        {"core.roles = edge\nlink.listen =\n", "link.listen: is empty; an edge alone needs it"},
        {"core.roles = edge\npool/g/kind = gateway\npool/g/members = 10.0.0.1:5\n",
         "pool/g/members: 10.0.0.1 is an address"},
        {"core.roles = edge\nlink.edges = edge.example:1\n", "link.edges: is for a gateway alone"},
        {"core.roles = gateway\n", "tls.internal.key: is empty; a gateway alone needs it"},
        {"core.roles = gateway\n", "link.edges: is empty, and no edge pool has members"},
        {"core.roles = gateway\nlink.edges = [::1]:23456\n", "link.edges: ::1 is an address"},
        {"site/paris/route = east\n", "site/paris/route: there is no edge pool 'east'"},
        {"pool/east/kind = gateway\nsite/paris/route = east\n",
         "pool 'east' is one of gateways, and there is no edge pool 'east'"},
        {"pool/east/kind = edge\npool/west/kind = edge\nsite/paris/route = norht\n",
         "there is no edge pool 'norht'; there is east, west"},
        {"pool/east/priority = 1\nsite/paris/route = east\n",
         "site/paris/route: the edge pool 'east' has no members"},
        {"pool/east/members = e1.example\npool/west/members = e2.example E1.example:5\n",
         "pool/west/members: e1.example is a member of pool 'east' already"},
        {"core.roles = gateway\nlink.edges = e2.example:1\npool/east/members = e1.example\n"
         "site/paris/route = east\ntls.internal.certificate = /a\ntls.internal.key = /a\n"
         "tls.internal.ca = /a\n",
         "warning: site/paris/route: link.edges names no edge of pool 'east'", true},
        {"link.listen = 127.0.0.1:5269\n", "127.0.0.1:5269 is taken by xmpp.listen = [::]:5269"},
        {"xmpp.listen = 127.0.0.1:5269\nadmin.http.listen = 0.0.0.0:5269\n",
         "admin.http.listen: 0.0.0.0:5269 is taken by xmpp.listen = 127.0.0.1:5269"},
        {"sip.listen = tcp:[::]:9269\n", "sip.listen: [::]:9269 is taken by admin.http.listen"},
        {"pool/g/kind = gateway\npool/g/members = gw1.example gw2.example\n",
         "tls.internal.key: is empty; with gateways on other machines an edge needs it"},
        {"pool/g/kind = gateway\npool/g/members = gw2.example\ncore.node = gw1.example\n",
         "with gateways on other machines an edge pool must name this one, too"},
        {"pool/g/kind = gateway\npool/g/members = gw2.example\ncore.node = gw1.example\n"
         "pool/e/members = gw2.example\n",
         "core.node: is gw1.example, which no edge pool has"},
        {"store.url = postgresql:db\n", "is not a URL like"},
        {"store.url = mysql://db\n", "is not a URL like"},
        {"store.url = postgres://db/x\npool/g/kind = gateway\npool/g/members = gw1.example\n"
         "core.node = gw2.example\n",
         "core.node: is gw2.example; with"},
        {"store.url = sqlite:fedgate.db\n", "is not a URL like"},
        {"store.url = sqlite:\n", "is not a URL like"},
        {"tls.external.certificate = /a.pem\n", "needs tls.external.key beside it"},
        {"tls.sip.key = /a.pem\n", "needs tls.sip.certificate beside it"},
        {"xmpp.retry.first = 10s\nxmpp.retry.max = 5s\n", "is above xmpp.retry.max"},
        {"xmpp.limits.connections = 10\n", "is above xmpp.limits.connections"},
        {"xmpp.listen = [::]:5270\n", "[::]:5270 is taken by xmpp.listen"},
        {"sip.listen = tcp:127.0.0.1:5060 tls:127.0.0.1:5060\n",
         "127.0.0.1:5060 is taken by sip.listen"},
        {"domain/b\xc3\xbc"
         "cher.example/phone = yes\npartner/xn--bcher-kva.example/enabled = yes\n",
         "is a domain of ours"},
        {"partner/a.example/additional_domains = b.example\npartner/b.example/enabled = yes\n",
         "b.example belongs to partner a.example already"},
        {"domain/a.example/phone = yes\npartner/a.example/enabled = yes\n", "is a domain of ours"},
        {"domain/a.example/phone = yes\npartner/b.example/additional_domains = a.example\n",
         "is a domain of ours"},
        {"partner/default/proxy = a.example\n", "not to the template"},
        {"domain/a.example/phone = yes\nuser/u@a.example/policy = none\n",
         "there is no policy 'none'"},
        {"user/u@a.example/policy = global\n", "is not a domain of ours", true},
    };
    for (const Refusal& r : refusals) {
        SCOPED_TRACE(r.settings);
        const Compiled c = make(r.settings);
        EXPECT_EQ(c.snapshot != nullptr, r.warning) << c.text();
        EXPECT_NE(c.text().find(r.complaint), std::string::npos) << c.text();
    }
}

TEST(Snapshot, MsrpHasAPortForEachCoreWhereADomainUsesIt) {
    const std::string used = "domain/x.example/profile = msrp\nsip.msrp.tls = no\n";
    const Compiled unused = make("sip.msrp.listen = 0.0.0.0:65535\n");
    ASSERT_TRUE(unused.snapshot) << unused.text();
    EXPECT_EQ(unused.snapshot->settings.sip.msrp.listen.text, "");
    const Compiled c = make(used +
                            "sip.msrp.host = B\xc3\xbc"
                            "cher.example\n");
    ASSERT_TRUE(c.snapshot) << c.text();
    EXPECT_EQ(c.snapshot->sip_domain("x.example")->profile, Profile::kMsrp);
    const Settings::Sip::Msrp& msrp = c.snapshot->settings.sip.msrp;
    EXPECT_FALSE(msrp.tls);
    EXPECT_EQ(msrp.host, "xn--bcher-kva.example");
    EXPECT_EQ(msrp.at(0).text, "[::]:2855");
    EXPECT_EQ(msrp.at(3).text, "[::]:2858");
    EXPECT_EQ(msrp.at(3).port, 2858);
    const Compiled own = make(used + "sip.msrp.listen = [2001:db8::1]:0\n");
    ASSERT_TRUE(own.snapshot) << own.text();
    EXPECT_EQ(own.snapshot->settings.sip.msrp.host, "2001:db8::1");
    EXPECT_EQ(own.snapshot->settings.sip.msrp.at(1).text, "[2001:db8::1]:0");
    const Compiled tls =
        make("domain/x.example/profile = msrp\ntls.sip.certificate = /a\ntls.sip.key = /a\n");
    ASSERT_TRUE(tls.snapshot) << tls.text();
    EXPECT_TRUE(tls.snapshot->settings.sip.msrp.tls);
    EXPECT_EQ(tls.snapshot->settings.sip.msrp.host, "");
    // An edge alone has the same domains, and no SIP.
    const Compiled edge = make(
        "core.roles = edge\ndomain/x.example/profile = msrp\npool/g/kind = gateway\n"
        "pool/g/members = g.example\ntls.internal.certificate = /a\ntls.internal.key = /a\n"
        "tls.internal.ca = /a\n");
    ASSERT_TRUE(edge.snapshot) << edge.text();
    EXPECT_EQ(edge.snapshot->settings.sip.msrp.listen.text, "");
    const std::pair<const char*, const char*> meets[] = {
        {"sip.msrp.listen = 0.0.0.0:5059\ncore.threads = 1\n", ""},
        {"sip.msrp.listen = 0.0.0.0:5059\ncore.threads = 2\n",
         "sip.msrp.listen: takes a port for each core, 5059 to 5060 (core.threads), which meets "
         "sip.listen = 127.0.0.1:5060; give one"},
        {"sip.msrp.listen = 127.0.0.2:5059\ncore.threads = 2\n", ""},
        {"sip.msrp.listen = [::]:5061\ncore.threads = 1\n", "which meets sip.listen = [::]:5061"},
        {"sip.msrp.listen = 127.0.0.1:9014\n", "9014 to 9269 (core.threads), which meets admin"},
        {"sip.msrp.listen = 127.0.0.1:9013\n", ""},
        {"sip.msrp.listen = 127.0.0.1:65533\ncore.threads = 3\n", ""},
        {"sip.msrp.listen = 127.0.0.1:65533\ncore.threads = 4\n", "65535 is the last"},
    };
    for (const auto& [settings, complaint] : meets) {
        SCOPED_TRACE(settings);
        const Compiled made = make(used + settings);
        EXPECT_EQ(made.snapshot != nullptr, complaint[0] == 0) << made.text();
        EXPECT_NE(made.text().find(complaint), std::string::npos) << made.text();
    }
}

TEST(Snapshot, UsersHaveTheSiteOfTheirDomainOrTheirOwn) {
    const Compiled none = make("domain/a.example/site = rome\n");
    ASSERT_TRUE(none.snapshot) << none.text();
    EXPECT_FALSE(none.snapshot->has_routes());
    const Compiled c = make(
        "pool/east/members = e1.example\nsite/rome/route = east\n"
        "domain/a.example/site = rome\ndomain/b.example/phone = yes\n"
        "user/u@a.example/site = paris\nuser/u@b.example/site = rome\n"
        "user/v@a.example/policy = global\n");
    ASSERT_TRUE(c.snapshot) << c.text();
    EXPECT_TRUE(c.snapshot->has_routes());
    EXPECT_TRUE(c.snapshot->users_have_sites());
    const SipDomain& a = *c.snapshot->sip_domain("a.example");
    const SipDomain& b = *c.snapshot->sip_domain("b.example");
    EXPECT_EQ(c.snapshot->site_of("x", a)->route, "east");
    EXPECT_EQ(c.snapshot->site_of("v", a)->name, "rome");
    EXPECT_EQ(c.snapshot->site_of("U", a)->name, "paris");
    EXPECT_EQ(c.snapshot->site_of("u", a)->route, "");
    EXPECT_EQ(c.snapshot->site_of("u", b)->name, "rome");
    EXPECT_EQ(c.snapshot->site_of("x", b), nullptr);
}

TEST(Snapshot, BothRolesUseTheLinkWhereThereAreOtherGateways) {
    const std::string files =
        "tls.internal.certificate = /a\ntls.internal.key = /a\ntls.internal.ca = /a\n"
        "pool/g/kind = gateway\npool/e/members = n1.example\n";
    const auto joined = [&files](const std::string& more) {
        const Compiled c = make(files + more);
        EXPECT_TRUE(c.snapshot) << c.text();
        return c.snapshot && c.snapshot->settings.link.joined;
    };
    EXPECT_FALSE(joined(""));
    EXPECT_FALSE(joined("pool/g/members = n1.example\n"));
    EXPECT_FALSE(joined("core.node = n1.example\npool/g/members = n1.example\n"));
    EXPECT_TRUE(joined("core.node = n1.example\npool/g/members = n2.example\n"));
    EXPECT_TRUE(joined("pool/g/members = n1.example n2.example\n"));
    EXPECT_FALSE(joined("core.roles = gateway\npool/g/members = n1.example n2.example\n"));
}

TEST(Snapshot, AStoreIsAFileOrAServer) {
    const Compiled file = make("dirs.state = /var/x\n");
    ASSERT_NE(file.snapshot, nullptr);
    EXPECT_EQ(file.snapshot->settings.store_path, "/var/x/fedgate.db");
    EXPECT_EQ(file.snapshot->settings.store_url, "");
    const Compiled server = make(
        "store.url = postgresql://db1,db2/fedgate?sslrootcert=/etc/ca.pem\n"
        "core.node = gw1.example\npool/g/kind = gateway\n"
        "pool/g/members = gw2.example gw1.example\npool/e/members = gw1.example\n"
        "tls.internal.certificate = /a\ntls.internal.key = /a\ntls.internal.ca = /a\n");
    ASSERT_NE(server.snapshot, nullptr) << server.text();
    EXPECT_EQ(server.snapshot->settings.store_url,
              "postgresql://db1,db2/fedgate?sslrootcert=/etc/ca.pem");
    EXPECT_EQ(server.snapshot->settings.node, "gw1.example");
}

TEST(Snapshot, APartnerWhoseTermsAreDefaultsIsNotRemarkedOn) {
    const Compiled c = make("partner/x.example/type = federated\n");
    EXPECT_TRUE(c.snapshot);
    EXPECT_TRUE(c.problems.empty()) << c.text();
}

TEST(Snapshot, ListensTwiceWhereAddressesOrProtocolsDiffer) {
    const Compiled c = make(
        "xmpp.listen = 127.0.0.1:0 127.0.0.2:5269 [::1]:0\n"
        "xmpp.listen_tls = 127.0.0.1:0\n"
        "sip.listen = udp:127.0.0.1:5060 tcp:127.0.0.1:5060\n");
    EXPECT_TRUE(c.snapshot) << c.text();
}

TEST(Snapshot, LookUpsDoNotAllocate) {
    std::string text =
        open_with("federation.discovery = yes\nuser/u@sip.example/policy = global\n");
    for (int i = 0; i < 1000; ++i) {
        text += "partner/p" + std::to_string(i) + ".example/type = federated\n";
    }
    const Compiled c = make(text);
    ASSERT_TRUE(c.snapshot) << c.text();
    const std::size_t before = allocations;
    int allowed = 0;
    for (const Bytes domain : {"p0.example", "p999.example", "unknown.example", "sip.example"}) {
        allowed +=
            c.snapshot->may_converse("u", "sip.example", domain, Direction::kToXmpp).allowed();
        allowed += c.snapshot->sip_trusted(Bytes("\x7f\0\0\1", 4));
    }
    EXPECT_EQ(allocations, before);
    EXPECT_EQ(allowed, 7);
}

TEST(NameIndex, FindsWhatWasAddedAndNothingElse) {
    NameIndex index;
    EXPECT_EQ(index.find("a"), NameIndex::kNone);
    for (std::uint32_t i = 0; i < 5000; ++i) EXPECT_TRUE(index.add("name" + std::to_string(i), i));
    EXPECT_TRUE(index.add("NAME7", 7));
    EXPECT_FALSE(index.add("name7", 8));
    EXPECT_EQ(index.count(), 5000U);
    for (std::uint32_t i = 0; i < 5000; ++i) {
        EXPECT_EQ(index.find("Name" + std::to_string(i)), i);
    }
    EXPECT_EQ(index.find("name"), NameIndex::kNone);
    EXPECT_EQ(index.find("name5000"), NameIndex::kNone);
    EXPECT_EQ(index.find("na", "me4", "2"), 42U);
    EXPECT_EQ(index.find("na", "me", ""), NameIndex::kNone);
}

}  // namespace
}  // namespace fedgate::rules
