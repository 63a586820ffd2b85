#include "appliance/gateway/address.hpp"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "sip/uri.hpp"

namespace fedgate::gateway {
namespace {

std::string sip_of(const std::string& jid) {
    Address address;
    if (!read_jid(jid, address)) return "jid-malformed";
    char memory[2 * xml::kJidBytes];
    Sink sink{MutableBytes(memory)};
    write_sender_uri(address, sink);
    return std::string(sink.written());
}

std::string to_jid(const std::string& text) {
    const auto uri = sip::parse_uri(text);
    if (!uri) return "unreadable";
    Address address;
    switch (read_uri(*uri, address)) {
        case AddressFault::kNone: break;
        case AddressFault::kScheme: return "416";
        case AddressFault::kSips: return "480";
        case AddressFault::kNotRepresentable: return "400";
        case AddressFault::kNoUser: return "404 no user";
        case AddressFault::kHostIsAddress: return "404 address";
    }
    char memory[xml::kJidBytes];
    Sink sink{MutableBytes(memory)};
    xml::write_jid(sink, address.jid);
    return std::string(sink.written());
}

struct Pair {
    const char* rule;
    const char* jid;
    const char* uri;
};

// Both columns are exact.
constexpr Pair kExamples[] = {
    {"ADDR-40", "fü@sip.example", "sip:f%C3%BC@sip.example"},
    {"ADDR-41", "o\\27malley@sip.example", "sip:o'malley@sip.example"},
    {"ADDR-42", "foo@sip.example/bar", "sip:foo@sip.example;gr=bar"},
    {"ADDR-43", "m\\26m@xmpp.example", "sip:m&m@xmpp.example"},
    {"ADDR-44", "tschüss@xmpp.example", "sip:tsch%C3%BCss@xmpp.example"},
    {"ADDR-45", "baz@xmpp.example/qux", "sip:baz@xmpp.example;gr=qux"},
    {"ADDR-46", "here\\27s_a_wild_\\26_\\2fcr%zy\\2f_address@example.com",
     "sip:here's_a_wild_&_/cr%25zy/_address@example.com"},
    {"ADDR-47", "\\5c3and\\2is\\5c5cool@example.com", "sip:%5C3and%5C2is%5C5cool@example.com"},
    {"ADDR-48", "space\\20cadet@example.com", "sip:space%20cadet@example.com"},
    {"ADDR-49", "c\\3a\\net@example.com", "sip:c%3A%5Cnet@example.com"},
    {"ADDR-50", "user\\40host@example.com", "sip:user%40host@example.com"},
    {"ADDR-5", "a@münchen.example", "sip:a@xn--mnchen-3ya.example"},
    {"ADDR-7", "a@x.example/Home & \"away\"", "sip:a@x.example;gr=Home%20&%20%22away%22"},
    {"ADDR-4", "a#b^c{d}|e`f@x.example", "sip:a%23b%5Ec%7Bd%7D%7Ce%60f@x.example"},
};

TEST(Address, ExamplesHoldBothWays) {
    for (const Pair& row : kExamples) {
        EXPECT_EQ(sip_of(row.jid), row.uri) << row.rule;
        EXPECT_EQ(to_jid(row.uri), row.jid) << row.rule;
    }
}

TEST(Address, TheSchemeIsAlwaysSip) {  // ADDR-6: whatever the address came with
    for (const char* uri : {"sip:a@x.example", "im:a@x.example", "pres:a@x.example"}) {
        EXPECT_EQ(sip_of(to_jid(uri)), "sip:a@x.example");
    }
    EXPECT_EQ(sip_of("x.example"), "sip:x.example");
    EXPECT_EQ(sip_of("sips@x.example"), "sip:sips@x.example");
}

TEST(Address, ReadsWhatSipWrites) {
    const Pair rows[] = {
        {"ADDR-46", "here\\27s_a_wild_\\26_\\2fcr%zy\\2f_address@example.com",
         "sip:here%27s_a_wild_%26_%2Fcr%25zy%2F_address@example.com"},
        {"ADDR-21", "a@x.example", "im:a@x.example"},
        {"ADDR-21", "a@x.example", "pres:a@x.example"},
        {"ADDR-21", "480", "sips:a@x.example"},
        {"ADDR-21", "416", "tel:+15551234567"},
        {"ADDR-22", "a@x.example", "sip:a:secret@x.example:5070;transport=tcp?subject=x"},
        {"ADDR-23", "400", "sip:a%00b@x.example"},
        {"ADDR-23", "400", "sip:a%FFb@x.example"},
        {"ADDR-23", "400", "sip:%EF%BF%BD@x.example"},
        {"ADDR-24", "a\\5c20b@x.example", "sip:a%5C20b@x.example"},
        {"ADDR-25", "400", "sip:%20a@x.example"},
        {"ADDR-25", "400", "sip:a%20@x.example"},
        {"ADDR-26", "alice@x.example", "sip:Alice@X.Example"},
        {"ADDR-26", "404 address", "sip:a@192.0.2.1"},
        {"ADDR-26", "404 address", "sip:a@[2001:db8::1]"},
        {"ADDR-27", "a@x.example", "sip:a@x.example;gr"},
        {"ADDR-27", "a@x.example/x:y", "sip:a@x.example;gr=x%3Ay"},
        {"ADDR-27", "a@x.example/QW12", "sip:a@x.example;opaque=user:epid:QW12;gruu"},
        {"ADDR-28", "+15551234567@x.example",
         "sip:+1-(555).123-4567;phone-context=x@x.example;user=phone"},
        {"ADDR-29", "404 no user", "sip:x.example"},
    };
    for (const Pair& row : rows) EXPECT_EQ(to_jid(row.uri), row.jid) << row.rule << ' ' << row.uri;
}

TEST(Address, RefusesJidsThatAreNotOne) {
    // ADDR-1, ADDR-2, ADDR-31: empty parts, spaces, and local parts that would share a SIP URI.
    for (const char* jid : {"@x.example", "a@", "a@x.example/", "a b@x.example",
                            "\\5cfoo@x.example", "\\20a@x.example", "a\\20@x.example", ""}) {
        EXPECT_EQ(sip_of(jid), "jid-malformed") << jid;
    }
    EXPECT_EQ(sip_of(std::string(1'024, 'a') + "@x.example"), "jid-malformed");  // ADDR-1
    EXPECT_EQ(sip_of(std::string(1'023, 'a') + "@x.example"),
              "sip:" + std::string(1'023, 'a') + "@x.example");
}

TEST(Address, NamesTheUserUnescaped) {  // ADDR-3: one pass, lower-case hex only
    Address address;
    ASSERT_TRUE(read_jid("d\\27artagnan\\41@x.example", address));
    EXPECT_EQ(address.user, "d'artagnan\\41");
    EXPECT_EQ(address.domain_ascii, "x.example");
}

// ADDR-31: for every accepted JID j, S2X(X2S(j)) = j; and for every accepted URI u of ours the
// reverse.
TEST(Address, RoundTripKeepsEveryAcceptedJid) {
    std::mt19937 random(20260101);
    const std::string pieces[] = {"a",    "B",    "7",    "\\20", "\\22", "\\26", "\\27", "\\2f",
                                  "\\3a", "\\3c", "\\3e", "\\40", "\\5c", "\\",   "\\41", "%",
                                  "%20",  "#",    "+",    ";",    "?",    "=",    "ü",    "ß",
                                  "é",    "日本", "😀",   "~",    "^",    "`",    "{",    "|",
                                  "!",    "*",    "(",    ")"};
    std::size_t accepted = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string jid;
        for (std::size_t n = 1 + random() % 6; n > 0; --n)
            jid += pieces[random() % std::size(pieces)];
        jid += "@x.example";
        if (random() % 3 == 0) {
            jid += "/";
            for (std::size_t n = 1 + random() % 4; n > 0; --n)
                jid += pieces[random() % std::size(pieces)];
        }
        Address address;
        if (!read_jid(jid, address)) continue;
        ++accepted;
        char memory[xml::kJidBytes];
        Sink enforced{MutableBytes(memory)};
        xml::write_jid(enforced, address.jid);
        const std::string uri = sip_of(jid);
        ASSERT_EQ(to_jid(uri), enforced.written()) << jid << " as " << uri;
        ASSERT_EQ(sip_of(to_jid(uri)), uri);
    }
    EXPECT_GT(accepted, 5'000u);
}

}  // namespace
}  // namespace fedgate::gateway
