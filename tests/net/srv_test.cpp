#include "net/srv.hpp"

#include <map>

#include <gtest/gtest.h>

namespace fedgate::net {
namespace {

// A small generator with a seed: the same order in every run.
struct Seeded final : Random {
    std::uint32_t below(std::uint32_t bound) override {
        state = state * 6'364'136'223'846'793'005ull + 1'442'695'040'888'963'407ull;
        return static_cast<std::uint32_t>((state >> 33) % bound);
    }
    std::uint64_t state = 42;
};

DnsAnswer records(std::vector<SrvRecord> srv) {
    DnsAnswer answer;
    answer.status = DnsStatus::kOk;
    answer.ttl = 60s;
    answer.srv = std::move(srv);
    return answer;
}
DnsAnswer empty(DnsStatus status) {
    DnsAnswer answer;
    answer.status = status;
    answer.ttl = 30s;
    return answer;
}
std::vector<std::string> hosts(const std::vector<Target>& targets) {
    std::vector<std::string> out;
    for (const Target& target : targets) out.push_back(target.host);
    return out;
}
Lookup xmpp(const DnsAnswer& direct, const DnsAnswer& starttls) {
    Lookup lookup = Lookup::xmpp("example.org");
    lookup.answer(1, starttls);
    EXPECT_FALSE(lookup.complete());
    lookup.answer(0, direct);
    EXPECT_TRUE(lookup.complete());
    return lookup;
}

// DNS-1: both services in parallel, one list by priority over both.
TEST(Srv, MergesDirectTlsAndStartTls) {
    Lookup lookup = Lookup::xmpp("example.org");
    ASSERT_EQ(lookup.questions().size(), 2u);
    EXPECT_EQ(lookup.questions()[0].name, "_xmpps-server._tcp.example.org");
    EXPECT_EQ(lookup.questions()[1].name, "_xmpp-server._tcp.example.org");
    lookup =
        xmpp(records({{20, 0, 5270, "d20"}, {5, 0, 5270, "d5"}}), records({{10, 0, 5269, "s10"}}));
    Seeded random;
    const auto targets = lookup.targets(random);
    EXPECT_EQ(hosts(targets), (std::vector<std::string>{"d5", "s10", "d20"}));
    EXPECT_EQ(targets[0].transport, Transport::kTls);
    EXPECT_EQ(targets[1].transport, Transport::kTcp);
    EXPECT_EQ(targets[1].port, 5269);
    EXPECT_TRUE(lookup.has_srv());
    EXPECT_EQ(lookup.ttl(), 60s);
}

// DNS-2: weighted within a priority; weight 0 seldom, but not never.
TEST(Srv, DrawsByWeight) {
    Seeded random;
    std::map<std::string, int> first;
    for (int i = 0; i < 10'000; ++i) {
        std::vector<Target> targets(3);
        targets[0] = {"one", 1, Transport::kTcp, 0, 10, {}};
        targets[1] = {"three", 1, Transport::kTcp, 0, 30, {}};
        targets[2] = {"zero", 1, Transport::kTcp, 0, 0, {}};
        order_targets(targets, random);
        ++first[targets[0].host];
        EXPECT_EQ(targets.size(), 3u);
    }
    EXPECT_NEAR(first["one"], 2'440, 200);
    EXPECT_NEAR(first["three"], 7'317, 300);
    EXPECT_NEAR(first["zero"], 244, 100);
}

TEST(Srv, EqualsOfWeightZeroAreAllFirstSometimes) {
    Seeded random;
    std::map<std::string, int> first;
    for (int i = 0; i < 3'000; ++i) {
        std::vector<Target> targets(3);
        for (int k = 0; k < 3; ++k) targets[static_cast<std::size_t>(k)].host = std::to_string(k);
        order_targets(targets, random);
        ++first[targets[0].host];
    }
    for (const auto& [host, count] : first) EXPECT_NEAR(count, 1'000, 150) << host;
    EXPECT_EQ(first.size(), 3u);
}

// DNS-3.
TEST(Srv, ADotIsNotOffered) {
    Seeded random;
    const DnsAnswer dot = records({{0, 0, 0, ""}});
    const DnsAnswer none = empty(DnsStatus::kNoData);
    EXPECT_EQ(hosts(xmpp(dot, records({{0, 0, 5269, "s"}})).targets(random)),
              (std::vector<std::string>{"s"}));
    EXPECT_EQ(xmpp(none, dot).status(), LookupStatus::kNotOffered);
    EXPECT_EQ(xmpp(dot, dot).status(), LookupStatus::kNotOffered);
    // `_xmpps` only "." and no `_xmpp`: no fall-back to A and AAAA either.
    EXPECT_EQ(xmpp(dot, none).status(), LookupStatus::kNotOffered);
    EXPECT_TRUE(xmpp(dot, none).targets(random).empty());
    EXPECT_EQ(xmpp(dot, empty(DnsStatus::kNoDomain)).status(), LookupStatus::kNotOffered);
    EXPECT_EQ(hosts(xmpp(records({{0, 0, 5270, "d"}}), dot).targets(random)),
              (std::vector<std::string>{"d"}));
    // The other half could not be asked: that is no answer, and no reason for A and AAAA.
    for (const auto& half :
         {xmpp(dot, empty(DnsStatus::kFailed)), xmpp(empty(DnsStatus::kFailed), dot)}) {
        EXPECT_EQ(half.status(), LookupStatus::kFailed);
        EXPECT_TRUE(half.targets(random).empty());
    }
    // A "." beside targets says nothing (RFC 2782 has it alone).
    EXPECT_EQ(hosts(xmpp(none, records({{0, 0, 0, ""}, {0, 0, 1, "s"}})).targets(random)),
              (std::vector<std::string>{"s"}));
}

// DNS-2: prefer_direct ranks the two kinds within one priority, and never against it.
TEST(Srv, PrefersDirectTlsWhenTold) {
    Seeded random;
    for (const bool prefer : {false, true}) {
        int direct_first = 0;
        for (int i = 0; i < 100; ++i) {
            Lookup lookup = Lookup::xmpp("example.org", {.prefer_direct = prefer});
            lookup.answer(0, records({{10, 1, 5270, "d"}, {5, 1, 5270, "d5"}, {65535, 1, 1, "z"}}));
            lookup.answer(1, records({{10, 9, 5269, "s"}, {9, 0, 5269, "s9"}}));
            const auto targets = lookup.targets(random);
            ASSERT_EQ(targets.size(), 5u);
            EXPECT_EQ(targets[0].host, "d5");
            EXPECT_EQ(targets[1].host, "s9");
            EXPECT_EQ(targets[4].host, "z");
            direct_first += targets[2].host == "d" ? 1 : 0;
        }
        if (prefer) {
            EXPECT_EQ(direct_first, 100);
        } else {
            EXPECT_NEAR(direct_first, 15, 12);
        }
    }
}

// DNS-4: without SRV, or without an answer to SRV, the domain's own addresses.
TEST(Srv, FallsBackToTheDomain) {
    Seeded random;
    for (const DnsStatus status : {DnsStatus::kNoData, DnsStatus::kNoDomain, DnsStatus::kFailed}) {
        const Lookup lookup = xmpp(empty(status), empty(status));
        EXPECT_EQ(lookup.status(), LookupStatus::kFound);
        EXPECT_FALSE(lookup.has_srv());
        const auto targets = lookup.targets(random);
        ASSERT_EQ(targets.size(), 1u);
        EXPECT_EQ(targets[0].host, "example.org");
        EXPECT_EQ(targets[0].port, 5269);
        EXPECT_EQ(targets[0].transport, Transport::kTcp);
    }
    // With SRV: never.
    EXPECT_EQ(hosts(xmpp(empty(DnsStatus::kFailed), records({{0, 0, 1, "s"}})).targets(random)),
              (std::vector<std::string>{"s"}));
    EXPECT_EQ(xmpp(empty(DnsStatus::kBogus), empty(DnsStatus::kNoData)).status(),
              LookupStatus::kBogus);
}

// DNS-5.
TEST(Srv, AnIpLiteralOnlyWhenAllowed) {
    Seeded random;
    EXPECT_EQ(Lookup::xmpp("192.0.2.1").status(), LookupStatus::kNoDomain);
    EXPECT_EQ(Lookup::xmpp("").status(), LookupStatus::kNoDomain);
    const Lookup allowed = Lookup::xmpp("192.0.2.1", {.allow_literal = true});
    EXPECT_TRUE(allowed.complete());
    ASSERT_EQ(allowed.targets(random).size(), 1u);
    EXPECT_NE(allowed.targets(random)[0].address.length, 0u);
}

// SIP-6.
TEST(Srv, SipNextHops) {
    Seeded random;
    const Transport all[] = {Transport::kTls, Transport::kTcp, Transport::kUdp};
    const Transport udp[] = {Transport::kUdp};
    const Lookup numeric = Lookup::sip("127.0.0.1", 0, all);
    ASSERT_TRUE(numeric.complete());
    EXPECT_EQ(numeric.targets(random)[0].port, 5061);
    EXPECT_NE(numeric.targets(random)[0].address.length, 0u);
    const Lookup with_port = Lookup::sip("pool.example", 5070, udp);
    ASSERT_TRUE(with_port.complete());
    EXPECT_EQ(with_port.targets(random)[0].port, 5070);
    EXPECT_EQ(with_port.targets(random)[0].address.length, 0u);

    Lookup lookup = Lookup::sip("pool.example", 0, all);
    ASSERT_EQ(lookup.questions().size(), 3u);
    EXPECT_EQ(lookup.questions()[0].name, "_sips._tcp.pool.example");
    EXPECT_EQ(lookup.questions()[1].name, "_sip._tcp.pool.example");
    EXPECT_EQ(lookup.questions()[2].name, "_sip._udp.pool.example");
    lookup.answer(0, empty(DnsStatus::kNoData));
    lookup.answer(1, records({{2, 0, 5060, "b"}, {1, 0, 5060, "a"}}));
    lookup.answer(2, records({{0, 0, 5060, "u"}}));
    EXPECT_EQ(hosts(lookup.targets(random)), (std::vector<std::string>{"a", "b"}));

    Lookup none = Lookup::sip("pool.example", 0, udp);
    none.answer(0, empty(DnsStatus::kNoDomain));
    EXPECT_EQ(none.targets(random)[0].port, 5060);
    EXPECT_EQ(none.targets(random)[0].transport, Transport::kUdp);
    EXPECT_EQ(Lookup::sip("pool.example", 0, {}).status(), LookupStatus::kNoDomain);
}

DnsAnswer naptr(std::vector<NaptrRecord> list) {
    DnsAnswer answer;
    answer.status = DnsStatus::kOk;
    answer.ttl = 60s;
    answer.naptr = std::move(list);
    return answer;
}

constexpr Transport kStreams[] = {Transport::kTls, Transport::kTcp};

std::vector<std::string> asked_after(const std::vector<NaptrRecord>& list) {
    Lookup lookup = Lookup::sip("a.example", 0, kStreams, true);
    EXPECT_EQ(lookup.questions().size(), 1u);
    EXPECT_EQ(lookup.questions()[0].name, "a.example");
    EXPECT_EQ(lookup.questions()[0].type, DnsType::kNaptr);
    lookup.answer(0, naptr(list));
    EXPECT_FALSE(lookup.complete());
    std::vector<std::string> names;
    for (const auto& question : lookup.questions().subspan(1)) {
        EXPECT_EQ(question.type, DnsType::kSrv);
        names.push_back(question.name);
    }
    return names;
}

// SIP-6, RFC 3263 4.1.
TEST(Srv, TheDomainChoosesTheTransport) {
    using Names = std::vector<std::string>;
    const Names any{"_sips._tcp.a.example", "_sip._tcp.a.example"};
    const NaptrRecord tls{50, 50, "s", "SIPS+D2T", "tls.b.example"};
    const NaptrRecord tcp{90, 50, "S", "sip+d2t", "tcp.b.example"};
    const NaptrRecord udp{10, 50, "s", "SIP+D2U", "udp.b.example"};
    EXPECT_EQ(asked_after({}), any);
    // The example of the RFC: the lowest order that can be used decides alone.
    EXPECT_EQ(asked_after({tcp, tls, udp}), Names{"tls.b.example"});
    EXPECT_EQ(asked_after({tcp, udp}), Names{"tcp.b.example"});
    EXPECT_EQ(asked_after({udp}), any);  // UDP was not asked for (SIP-7)
    NaptrRecord first = tcp, second = tls;
    first.order = second.order = 1;
    first.preference = 10;
    EXPECT_EQ(asked_after({second, first}), (Names{"tcp.b.example", "tls.b.example"}));
    // Others' business, and what leads to more NAPTR records: it could lead back here.
    EXPECT_EQ(asked_after({{1, 1, "u", "E2U+sip", "x.example"},
                           {1, 1, "", "SIP+D2T", "a.example"},
                           {1, 1, "a", "SIP+D2T", "x.example"},
                           {1, 1, "s", "SIP+D2S", "x.example"},
                           {1, 1, "s", "SIP+D2T", ""}}),
              any);
    std::vector<NaptrRecord> flood(1'000, tcp);
    EXPECT_EQ(asked_after(flood).size(), 8u);
}

TEST(Srv, WithNaptrThePreferredThatIsThereIsTaken) {  // SIP-6, RFC 3263 4.2
    Seeded random;
    const std::vector<NaptrRecord> both{{1, 1, "s", "SIP+D2T", "tcp.b.example"},
                                        {1, 2, "s", "SIPS+D2T", "tls.b.example"}};
    Lookup lookup = Lookup::sip("a.example", 0, kStreams, true);
    lookup.answer(0, naptr(both));
    lookup.answer(1, records({{0, 0, 5070, "one.c.example"}}));
    lookup.answer(2, records({{0, 0, 5071, "two.c.example"}}));
    ASSERT_TRUE(lookup.complete());
    ASSERT_EQ(lookup.targets(random).size(), 1u);
    EXPECT_EQ(lookup.targets(random)[0].host, "one.c.example");
    EXPECT_EQ(lookup.targets(random)[0].transport, Transport::kTcp);
    EXPECT_EQ(lookup.ttl(), 60s);

    Lookup second = Lookup::sip("a.example", 0, kStreams, true);
    second.answer(0, naptr(both));
    second.answer(2, records({{0, 0, 5071, "two.c.example"}}));
    second.answer(1, empty(DnsStatus::kNoDomain));
    EXPECT_EQ(second.targets(random)[0].transport, Transport::kTls);

    Lookup nowhere = Lookup::sip("a.example", 0, kStreams, true);  // not even SRV: the domain
    nowhere.answer(0, naptr(both));
    nowhere.answer(1, empty(DnsStatus::kNoDomain));
    nowhere.answer(2, empty(DnsStatus::kNoData));
    ASSERT_EQ(nowhere.targets(random).size(), 1u);
    EXPECT_EQ(nowhere.targets(random)[0].host, "a.example");
    EXPECT_EQ(nowhere.targets(random)[0].port, 5060);
    EXPECT_EQ(nowhere.targets(random)[0].transport, Transport::kTcp);
}

TEST(Srv, NaptrThatIsNotAnswered) {  // SIP-6, D8
    Seeded random;
    Lookup failed = Lookup::sip("a.example", 0, kStreams, true);
    failed.answer(0, empty(DnsStatus::kFailed));
    ASSERT_EQ(failed.questions().size(), 3u);
    failed.answer(1, records({{0, 0, 5061, "one.a.example"}}));
    failed.answer(2, empty(DnsStatus::kNoDomain));
    EXPECT_EQ(failed.targets(random)[0].host, "one.a.example");

    Lookup forged = Lookup::sip("a.example", 0, kStreams, true);
    forged.answer(0, empty(DnsStatus::kBogus));
    ASSERT_TRUE(forged.complete());
    EXPECT_EQ(forged.status(), LookupStatus::kBogus);
    EXPECT_TRUE(forged.targets(random).empty());

    // A port or an address leaves nothing to choose.
    EXPECT_TRUE(Lookup::sip("a.example", 5070, kStreams, true).complete());
    EXPECT_TRUE(Lookup::sip("192.0.2.1", 0, kStreams, true).complete());
}

TEST(Srv, AFloodOfRecordsIsBounded) {
    Seeded random;
    std::vector<SrvRecord> many(1'000, SrvRecord{0, 1, 5269, "host"});
    const DnsAnswer answer = records(many);
    EXPECT_LE(xmpp(answer, answer).targets(random).size(), 128u);
}

}  // namespace
}  // namespace fedgate::net
