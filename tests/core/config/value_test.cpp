#include "core/config/value.hpp"

#include <gtest/gtest.h>

#include "core/config/address.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"

namespace fedgate::config {
namespace {

const Key& key_of(std::string_view name) {
    for (const Key& key : keys()) {
        if (key.name == name) return key;
    }
    ADD_FAILURE() << name;
    return keys().front();
}

struct Case {
    const char* key;
    std::string_view typed;
    const char* text;  // canonical; null: refused
    std::int64_t number = 0;
    const char* in_reason = "";
};

const Case kCases[] = {
    {"federation.allow", "yes", "yes", 1},
    {"federation.allow", "On", "yes", 1},
    {"federation.allow", "true", "yes", 1},
    {"federation.allow", "1", "yes", 1},
    {"federation.allow", " off ", "no", 0},
    {"federation.allow", "false", "no", 0},
    {"federation.allow", "0", "no", 0},
    {"federation.allow", "", nullptr, 0, "yes or no"},
    {"federation.allow", "2", nullptr, 0, "yes or no"},
    {"federation.allow", "yes # please", nullptr, 0, "a line of its own"},
    {"core.*.cpu", "", "", 0},
    {"core.*.cpu", "3", "3", 0},
    {"core.*.cpu", "8 1,0 2-3,2", "0-3,8", 0},
    {"core.*.cpu", "0-1023", "0-1023", 0},
    {"core.*.cpu", "1024", nullptr, 0, "a set of CPUs like 2 or 0-3,8; allowed: 0 to 1023"},
    {"core.*.cpu", "3-1", nullptr, 0, "a set of CPUs"},
    {"core.*.cpu", "-1", nullptr, 0, "a set of CPUs"},
    {"core.*.cpu", "1-", nullptr, 0, "a set of CPUs"},
    {"core.*.cpu", "all", nullptr, 0, "a set of CPUs"},
    {"core.threads", "0", "0", 0},
    {"core.threads", "256", "256", 256},
    {"core.threads", "257", nullptr, 0, "above the maximum 256; allowed: 0 to 256 threads"},
    {"core.threads", "-1", nullptr, 0, "below the minimum 0; allowed: 0 to 256 threads"},
    {"core.threads", "4x", nullptr, 0, "whole number"},
    {"core.threads", "4.5", nullptr, 0, "whole number"},
    {"core.threads", "0x10", nullptr, 0, "whole number"},
    {"core.threads", "99999999999999999999", nullptr, 0, "whole number"},
    {"xmpp.timeouts.establish", "60s", "60s", 60'000'000'000},
    {"xmpp.timeouts.establish", "60", "60s", 60'000'000'000},
    {"xmpp.timeouts.establish", "1min", "60s", 60'000'000'000},
    {"xmpp.timeouts.establish", "1h", "1h", 3'600'000'000'000},
    {"xmpp.timeouts.establish", "1500 ms", "1500ms", 1'500'000'000},
    {"xmpp.timeouts.establish", "999ms", nullptr, 0, "below the minimum 1s; allowed: 1s to 1h"},
    {"xmpp.timeouts.establish", "2h", nullptr, 0, "above the maximum 1h"},
    {"xmpp.timeouts.establish", "60m", nullptr, 0, "a duration like"},
    {"xmpp.timeouts.establish", "9999999999999999h", nullptr, 0, "a duration like"},
    {"im.error_wait", "0", "0s", 0},
    {"xmpp.limits.stanza_bytes", "262144", "256KiB", 262144},
    {"xmpp.limits.stanza_bytes", "1 MiB", "1MiB", 1 << 20},
    {"xmpp.limits.stanza_bytes", "10001", "10001", 10001},
    {"xmpp.limits.stanza_bytes", "9999", nullptr, 0,
     "below the minimum 10000; allowed: 10000 to 16MiB"},
    {"xmpp.limits.stanza_bytes", "1MB", nullptr, 0, "a size like"},
    {"xmpp.limits.stanza_bytes", "9223372036854775807GiB", nullptr, 0, "a size like"},
    {"xmpp.rate.connections_per_address", "60/min", "60/min", 60},
    {"xmpp.rate.connections_per_address", "none", "none", 0},
    {"xmpp.rate.connections_per_address", "0/s", nullptr, 0, "below the minimum 1"},
    {"xmpp.rate.connections_per_address", "60", nullptr, 0, "a rate like"},
    {"xmpp.rate.connections_per_address", "60/fortnight", nullptr, 0, "a rate like"},
    {"xmpp.rate.connections_per_address", "1KiB/s", nullptr, 0, "a rate like"},
    {"partner/*/rate_bytes", "512KiB/s", "512KiB/s", 512 << 10},
    {"partner/*/rate_bytes", "524288 / s", "512KiB/s", 512 << 10},
    {"partner/*/tls", "Optional", "optional", 1},
    {"partner/*/tls", "maybe", nullptr, 0, "required optional none"},
    {"core.roles", "gateway, edge", "gateway,edge"},
    {"core.roles", "edge", "edge"},
    {"core.roles", "", nullptr, 0, "must not be empty"},
    {"core.roles", "edge edge", nullptr, 0, "twice"},
    {"core.roles", "edge proxy", nullptr, 0, "edge gateway"},
    {"dirs.state", "/var/lib/fedgate", "/var/lib/fedgate"},
    {"dirs.state", "var", nullptr, 0, "absolute path"},
    {"dirs.state", "", nullptr, 0, "must not be empty"},
    {"partner/*/description",
     "Br\xc3\xbc"
     "cke = x",
     "Br\xc3\xbc"
     "cke = x"},
    {"partner/*/description", "a\tb", nullptr, 0, "control character"},
    {"partner/*/description", "a\xc0\x80", nullptr, 0, "not UTF-8"},
    {"partner/*/description", std::string_view("a\0b", 3), nullptr, 0, "control character"},
    {"partner/*/additional_domains", "A.example  b\xc3\xbc.example", "a.example xn--b-eha.example"},
    {"partner/*/additional_domains", "a.example b_c.example", nullptr, 0, "not a domain name"},
    {"partner/*/proxy", "Server.Example", "server.example"},
    {"partner/*/proxy", "[::1]:5269", "[::1]:5269"},
    {"partner/*/proxy", "127.0.0.1:15269", "127.0.0.1:15269"},
    {"partner/*/proxy", "a.example:0", nullptr, 0, "a host like"},
    {"partner/*/proxy", "a.example b.example", nullptr, 0, "too many"},
    {"xmpp.listen", "[::]:5269 127.0.0.1:0", "[::]:5269 127.0.0.1:0"},
    {"xmpp.listen", "[0:0::0]:5269", "[::]:5269"},
    {"xmpp.listen", "", ""},
    {"xmpp.listen", "::1:5269", nullptr, 0, "an address with a port"},
    {"xmpp.listen", "127.0.0.1", nullptr, 0, "an address with a port"},
    {"xmpp.listen", "127.0.0.1:65536", nullptr, 0, "an address with a port"},
    {"xmpp.listen", "localhost:5269", nullptr, 0, "an address with a port"},
    {"xmpp.listen", "[127.0.0.1]:5269", nullptr, 0, "an address with a port"},
    {"sip.listen", "udp:127.0.0.1:5060 TLS:[::]:5061", "udp:127.0.0.1:5060 tls:[::]:5061"},
    {"sip.listen", "sctp:127.0.0.1:5060", nullptr, 0, "a SIP listener"},
    {"sip.listen", "udp:", nullptr, 0, "a SIP listener"},
    {"sip.trusted", "10.0.0.0/8 ::1", "10.0.0.0/8 ::1"},
    {"sip.trusted", "10.0.0.0/33", nullptr, 0, "an address or network"},
    {"domain/*/next_hop", "sip:pool.example;transport=tls", "sip:pool.example;transport=tls"},
    {"domain/*/next_hop", "sip:[::1]:5060;transport=tcp;lr sip:b.example:5061",
     "sip:[::1]:5060;transport=tcp;lr sip:b.example:5061"},
    {"domain/*/next_hop", "sips:pool.example", nullptr, 0, "a next hop"},
    {"domain/*/next_hop", "sip:user@pool.example", nullptr, 0, "a next hop"},
    {"domain/*/next_hop", "sip:pool.example;transport=sctp", nullptr, 0, "a next hop"},
    {"domain/*/next_hop", "sip:", nullptr, 0, "a next hop"},
};

TEST(Value, ReadsWhatItsTypeAllowsAndNothingElse) {
    for (const Case& c : kCases) {
        SCOPED_TRACE(std::string(c.key) + " = " + std::string(c.typed));
        Value value;
        std::string why;
        const bool good = parse_value(key_of(c.key), c.typed, value, why);
        ASSERT_EQ(good, c.text != nullptr) << why << value.text;
        if (!good) {
            EXPECT_NE(why.find(c.in_reason), std::string::npos) << why;
            continue;
        }
        EXPECT_EQ(value.text, c.text);
        if (key_of(c.key).type != Type::kEnumList && c.number != 0) {
            EXPECT_EQ(value.number, c.number);
        }
        Value again;
        ASSERT_TRUE(parse_value(key_of(c.key), value.text, again, why)) << why;
        EXPECT_EQ(again.text, value.text);
        EXPECT_EQ(again.items, value.items);
        EXPECT_EQ(again.per, value.per);
    }
}

TEST(Value, RatesCountPerSecond) {
    EXPECT_DOUBLE_EQ((Rate{60, std::chrono::minutes(1)}).per_second(), 1.0);
    EXPECT_DOUBLE_EQ((Rate{}).per_second(), 0.0);
    EXPECT_TRUE(Rate{}.none());
}

TEST(Address, NetworksContainTheirAddresses) {
    const struct {
        const char* network;
        const char* address;
        bool contained;
    } cases[] = {
        {"127.0.0.0/8", "127.255.0.1:0", true},
        {"127.0.0.0/8", "128.0.0.1:0", false},
        {"10.1.2.3", "10.1.2.3:0", true},
        {"10.1.2.3", "10.1.2.4:0", false},
        {"0.0.0.0/0", "1.2.3.4:0", true},
        {"0.0.0.0/0", "[::1]:0", false},
        {"172.16.0.0/12", "172.31.1.1:0", true},
        {"172.16.0.0/12", "172.32.1.1:0", false},
        {"::1", "[::1]:0", true},
        {"fe80::/10", "[febf::1]:0", true},
        {"fe80::/10", "[fec0::1]:0", false},
        {"127.0.0.0/8", "[::ffff:127.0.0.1]:0", true},
        {"::ffff:10.0.0.0/104", "10.9.9.9:0", true},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(std::string(c.network) + " " + c.address);
        const auto network = parse_network(c.network);
        const auto address = parse_address(c.address);
        ASSERT_TRUE(network && address);
        const std::string_view bytes(reinterpret_cast<const char*>(address->bytes.data()),
                                     address->v6 ? 16 : 4);
        EXPECT_EQ(network->contains(bytes), c.contained);
    }
    EXPECT_FALSE(parse_network("::ffff:10.0.0.0/95"));
}

TEST(Address, TakesSipTargetsApart) {
    const auto target = parse_sip_target("SIP:[2001:db8::1]:5062;transport=TCP;lr");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->host, "2001:db8::1");
    EXPECT_TRUE(target->literal);
    EXPECT_EQ(target->port, 5062);
    EXPECT_EQ(target->transport, Transport::kTcp);
    EXPECT_FALSE(parse_sip_target("sip:a.example;transport=tcp;transport=udp"));
}

TEST(Domain, BecomesAnALabelInLowerCase) {
    EXPECT_EQ(normalise_domain("Example.ORG."), "example.org");
    EXPECT_EQ(normalise_domain("localhost"), "localhost");
    EXPECT_EQ(normalise_domain("fa\xc3\x9f.example"), "xn--fa-hia.example");  // IDNA2008, not 2003
    for (const std::string_view bad : {"", ".", "a..b", "a b", "-a.b", "a-.b", "1.2.3.4", "a/b",
                                       "a@b", "a_b.c", "xn--\xc3\xbc.example", "\xff.example"}) {
        EXPECT_FALSE(normalise_domain(bad)) << bad;
    }
    EXPECT_FALSE(normalise_domain(std::string(64, 'a') + ".example"));
    EXPECT_FALSE(normalise_domain(std::string(300, 'a')));
    EXPECT_FALSE(normalise_domain(std::string_view("a\0.b", 4)));
}

// What a text of the configuration says may be sent in XML.
TEST(Text, IsWhatXmlMayHold) {
    EXPECT_TRUE(
        is_text("\xEF\xBF\xBD\xF0\x9F\x98\x80"));  // U+FFFD, and one outside the first plane
    for (const char* wrong :
         {"\xEF\xBF\xBE", "\xEF\xBF\xBF", "\xED\xA0\x80", "\xC2\x85", "a\x01"}) {
        EXPECT_FALSE(is_text(wrong)) << in_quotes(wrong);
    }
}

TEST(Text, QuotesAreSafeToPrint) {
    EXPECT_EQ(in_quotes("a\x1b[2J\xff"), "'a?[2J?'");
    EXPECT_LT(in_quotes(std::string(1000, 'x')).size(), 80U);
}

}  // namespace
}  // namespace fedgate::config
