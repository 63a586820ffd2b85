#include "appliance/admin/partner_lists.hpp"

#include <random>

#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

using testing::IsSubstring;

// "domain setting setting @line 2" of each.
std::string read_partners(std::string_view text) {
    PartnerList list;
    std::string why;
    if (!parse_partner_list(text, list, why)) return "! " + why;
    std::string out;
    for (const ListedPartner& partner : list.partners) {
        out += partner.domain;
        for (const std::string& setting : partner.settings) out += " " + setting;
        out += " @" + partner.where + "\n";
    }
    for (const std::string& note : list.notes) out += "note " + note;
    return out;
}

constexpr const char* kListing =
    "\r\nIdentity                   : gmail.com\r\nDomain                     : gmail.com\r\n"
    "AdditionalDomains          : {googlemail.com,\r\n                             g.example}\r\n"
    "Description                :\r\nPartnerType                : PublicUnverified\r\n"
    "TlsNegotiation             : NotSupported\r\nSupportDialbackNegotiation : True\r\n"
    "KeepAliveInterval          : 300\r\n"
    "ConnectionLimit            : 5\r\n\r\nIdentity : b.example\r\nSaslNegotiation : Optional\r\n";
constexpr const char* kCsv =
    "#TYPE Microsoft.Rtc.Management.WritableConfig.Settings.XmppFederation.XmppAllowedPartner\r\n"
    "\"Identity\",\"Domain\",\"AdditionalDomains\",\"Description\",\"TlsNegotiation\"\r\n"
    "\"a.example\",\"a.example\",\"System.Collections.Generic.List`1[System.String]\",\"x, y\","
    "\"Required\"\r\n\"b.example\",\"b.example\",,,\"Optional\"\r\n";
constexpr const char* kJson =
    R"([{"Identity":"a.example","AdditionalDomains":["b.example","c.example"],
         "SupportDialbackNegotiation":false,"ProxyFqdn":null,"ConnectionLimit":3},
        {"Domain":"d.example","PartnerType":"Federated"}])";
constexpr const char* kProsody =
    "-- s2s_whitelist = { \"no.example\" }\n--[[ s2s_whitelist = {\n'no.example' } ]]\n"
    "modules_enabled = { \"s2s_whitelist\" }\n"
    "s2s_whitelist = { \"a.example\"; -- ours\n 'b.example' }\ns2s_secure_domains={\"c.example\"}\n"
    "s2s_insecure_domains = {'d.example'}\n";
constexpr const char* kEjabberd =
    "hosts:\n  - ours.example\nacl:\n  friends:\n    server:\n      - \"a.example\" # one\n"
    "      - b.example\n  other:\n    server: c.example\n    user: x\n  wide:\n"
    "    server_glob: '*.d.example'\n  more:\n    server: [e.example, \"f.example\"]\n"
    "access:\n  server: no.example\n";

TEST(PartnerLists, ReadsWhatOthersWrite) {  // P12
    EXPECT_EQ(read_partners(kListing),
              "gmail.com additional_domains=googlemail.com g.example type=public_unverified "
              "tls=none dialback=yes connection_limit=5 @line 2\n"
              "b.example sasl=optional @line 13\n");
    EXPECT_EQ(read_partners(kCsv),
              "a.example description=x, y tls=required @line 3\nb.example tls=optional @line 4\n"
              "note AdditionalDomains is not in a file of Export-Csv: Get-CsXmppAllowedPartner | "
              "Format-List > FILE has it");
    EXPECT_EQ(read_partners(kJson),
              "a.example additional_domains=b.example c.example dialback=no connection_limit=3 "
              "@entry 1\nd.example type=federated @entry 2\n");
    EXPECT_EQ(read_partners(kProsody),
              "a.example @line 5\nb.example @line 6\n"
              "c.example sasl=required dialback=no @line 7\n"
              "d.example sasl=optional dialback=yes @line 8\n");
    EXPECT_EQ(read_partners(kEjabberd),
              "a.example @line 6\nb.example @line 7\nc.example @line 9\n*.d.example @line 12\n"
              "e.example @line 14\nf.example @line 14\n");
    // Whom no other rule allows is denied: that names none.
    EXPECT_EQ(read_partners("acl:\n  x:\n    server: a.example\naccess_rules:\n  s2s_access:\n"
                            "    - allow: x\n    - deny: all\n"),
              "a.example @line 3\n");
    EXPECT_EQ(read_partners("\xef\xbb\xbf# ours\r\na.example\r\n\r\n*.b.example # all\r\n"),
              "a.example @line 2\n*.b.example @line 4\n");
}

TEST(PartnerLists, SaysWhatIsWrong) {
    for (const auto& [text, why] :
         {std::pair<const char*, const char*>{"", "! there is no partner in it"},
          {"Identity : a.example\nTlsNegotiation : Perhaps\n",
           "! line 1: TlsNegotiation is Required, Optional or NotSupported, not 'Perhaps'"},
          {"Identity : a.example\nnothing\n", "! line 2: 'nothing' is not PROPERTY : VALUE"},
          {"Domain :\n", "! line 1: there is no Identity"},
          {"Identity,Domain\na.example,\"b", "! line 2: a quotation mark is not closed"},
          {"[{\"Identity\":\"a.example\",\"TlsNegotiation\":1}]", "! entry 1: TlsNegotiation is"},
          {"[{\"Identity\":", "! it begins as JSON, and is none"},
          {"[1]", "! entry 1: it is no object"},
          {"s2s_whitelist = { \"a.example\"", "! line 1: a list is not closed"},
          {"\ns2s_whitelist = {\n \"a.example }\n", "! line 3: a quotation mark is not closed"},
          {"acl:\n  x:\n    user: y\n", "! there is no partner in it"},
          {"acl:\n  x:\n    server: [a.example,\n", "! line 3: a list is not closed"},
          {"acl:\n  x:\n    server: a.example\naccess_rules:\n  s2s_access:\n    - deny: x\n",
           "! line 6: here something is denied: leave out this rule"},
          {"\xff\xfeI", "! it is UTF-16"},
          {"\xc3\x28.example", "is not text in UTF-8"}}) {
        EXPECT_PRED_FORMAT2(IsSubstring, why, read_partners(text)) << text;
    }
    std::string many;
    for (std::size_t i = 0; i <= kListedPartners; ++i) many += "x\n";
    EXPECT_PRED_FORMAT2(IsSubstring, "there are more than 20000 partners", read_partners(many));
}

// Any file is one thing or the other: partners, or a sentence.
TEST(PartnerLists, ReadsGarbage) {
    std::mt19937 random(12);
    const auto below = [&random](std::size_t count) { return random() % count; };
    const char* const pieces[] = {
        "Identity : ", "\n", "\"", "{",    "}",   "s2s_whitelist = ", "acl:", "  server:", "- ",
        ",",           "[",  "]",  "--[[", "\r\n"};
    for (const std::string whole : {kListing, kCsv, kJson, kProsody, kEjabberd}) {
        for (std::size_t size = 0; size < whole.size() + 300; ++size) {
            std::string text = whole.substr(0, std::min(size, whole.size()));
            for (std::size_t i = size < whole.size() ? 0 : 1 + below(8); i > 0; --i) {
                const std::size_t at = below(text.size());
                if (below(2) == 0) {
                    text[at] = static_cast<char>(below(256));
                } else {
                    text.insert(at, pieces[below(std::size(pieces))]);
                }
            }
            PartnerList list;
            std::string why;
            const bool good = parse_partner_list(text, list, why);
            ASSERT_EQ(good, why.empty()) << text;
            ASSERT_EQ(why.find('\n'), std::string::npos) << why;
        }
    }
}

class PartnerImportTest : public ControlTest {
protected:
    void SetUp() override {
        ControlTest::SetUp();
        start();
    }
    std::string value(const std::string& key) { return fedctl({"sysctl", "-n", key}).out; }
};

TEST_F(PartnerImportTest, IsOneCommitOrNone) {  // P12
    const Outcome dry = fedctl({"partner", "import", "-", "--dry-run"}, kListing);
    EXPECT_EQ(dry.status, 0) << dry.err;
    EXPECT_PRED_FORMAT2(IsSubstring, "dry run, nothing was changed", dry.out);
    EXPECT_PRED_FORMAT2(IsSubstring, "2 new, 0 known already", dry.out);
    EXPECT_EQ(configuration_->committed().number, 0U);
    const Outcome got = fedctl({"partner", "import", "-"}, kListing);
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_PRED_FORMAT2(IsSubstring, "commit 1: 2 partners are listed", got.out);
    EXPECT_EQ(value("partner/gmail.com/tls"), "none\n");
    EXPECT_EQ(value("partner/gmail.com/additional_domains"), "googlemail.com g.example\n");
    // Known ones stay as they are where nothing is said of them; attributes are for who is new.
    const Outcome more = fedctl({"partner", "import", "-", "type=federated", "--comment", "plain"},
                                "xmpp.example\ngmail.com\n*.Bücher.example\n*.bücher.example\n");
    EXPECT_EQ(more.status, 0) << more.err;
    EXPECT_PRED_FORMAT2(IsSubstring, "1 new, 2 known already", more.out);
    EXPECT_EQ(value("partner/gmail.com/type"), "public_unverified\n");
    EXPECT_EQ(value("partner/*.xn--bcher-kva.example/type"), "federated\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "plain", fedctl({"config", "log"}).out);
    // All or nothing.
    for (const auto& [text, why] :
         {std::pair<const char*, const char*>{"c.example\na b.example\n", "line 2: 'a b.example'"},
          {"c.example\ndefault\n", "line 2: default is the template"},
          {"c.example\nsip.example\n", "line 2: sip.example is a domain of ours"},
          {"Identity : c.example\n\nIdentity : d.example\nConnectionLimit : many\n",
           "line 3: d.example: connection_limit: "},
          {"Identity : c.example\nTlsNegotiation : NotSupported\nSaslNegotiation : Required\n"
           "SupportDialbackNegotiation : False\n",
           "c.example"}}) {
        const Outcome bad = fedctl({"partner", "import", "-"}, text);
        EXPECT_EQ(bad.status, 1) << text << bad.out;
        EXPECT_PRED_FORMAT2(IsSubstring, why, bad.err);
        EXPECT_EQ(configuration_->committed().number, 2U);
    }
    EXPECT_EQ(fedctl({"partner", "import"}).status, 2);
    EXPECT_EQ(fedctl({"partner", "import", directory_ + "/none"}).status, 1);
}

}  // namespace
}  // namespace fedgate::admin
