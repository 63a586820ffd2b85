#include "xml/jid.hpp"

#include <cctype>
#include <string>

#include <gtest/gtest.h>

namespace fedgate::xml {
namespace {

template <typename Write>
std::string written(Write&& write) {
    char memory[4'096];
    Sink sink{MutableBytes(memory)};
    if (!write(sink)) return "refused";
    return std::string(sink.written());
}

std::string enforced(Bytes text) {
    return written([&](Sink& sink) {
        char memory[kJidBytes];
        Sink parts{MutableBytes(memory)};
        const auto jid = parse_jid(text, parts);
        if (jid) write_jid(sink, *jid);
        return jid.has_value();
    });
}
std::string local(Bytes text) {
    return written([&](Sink& sink) { return enforce_local(text, sink); });
}
std::string resource(Bytes text) {
    return written([&](Sink& sink) { return enforce_resource(text, sink); });
}
std::string domain(Bytes text) {
    return written([&](Sink& sink) { return enforce_domain(text, sink); });
}
std::string ascii(Bytes text) {
    return written([&](Sink& sink) { return domain_to_ascii(text, sink); });
}
std::string escaped(Bytes text) {
    return written([&](Sink& sink) { return escape_local(text, sink); });
}
std::string unescaped(Bytes text) {
    return written([&](Sink& sink) {
        unescape_local(text, sink);
        return true;
    });
}

TEST(Jid, Splits) {  // ADDR-1
    struct Case {
        Bytes text;
        Jid jid;
    };
    const Case cases[] = {
        {"a@b/c", {"a", "b", "c"}},
        {"b", {"", "b", ""}},
        {"a@b", {"a", "b", ""}},
        {"b/c", {"", "b", "c"}},
        {"a@b/c@d/e", {"a", "b", "c@d/e"}},
        {"b/c@d", {"", "b", "c@d"}},
        {"a@b@c", {"a", "b@c", ""}},
    };
    for (const Case& c : cases) {
        const auto jid = split_jid(c.text);
        ASSERT_TRUE(jid) << c.text;
        EXPECT_EQ(*jid, c.jid) << c.text;
    }
    for (const Bytes text : {"", "@b", "a@", "a@b/", "/c", "@", "/"})
        EXPECT_FALSE(split_jid(text)) << text;
}

TEST(Jid, HoldsTheBoundOfEachPart) {  // ADDR-1
    const std::string longest(limits::kJidPartBytes, 'a');
    EXPECT_EQ(enforced(longest + "@b/" + longest), longest + "@b/" + longest);
    EXPECT_EQ(enforced(longest + "a@b"), "refused");
    EXPECT_EQ(enforced("a@b/" + longest + "a"), "refused");
    EXPECT_EQ(enforced("a@" + longest + "a"), "refused");
    // After enforcement: 512 letters of 2 bytes are one byte too many, 511 fit.
    std::string wide;
    for (int i = 0; i < 511; ++i) wide += "ä";
    EXPECT_EQ(local(wide), wide);
    EXPECT_EQ(local(wide + "ä"), "refused");
}

TEST(Jid, IsGivenBackUncopiedWhenNothingChanges) {
    char memory[kJidBytes];
    Sink sink{MutableBytes(memory)};
    const Bytes text = "romeo@sip.example.net/Balcony 1";
    const auto jid = parse_jid(text, sink);
    ASSERT_TRUE(jid);
    EXPECT_EQ(sink.size(), 0U);
    EXPECT_EQ(jid->local.data(), text.data());
}

TEST(Jid, EnforcesAscii) {  // ADDR-2
    EXPECT_EQ(enforced("Romeo@SIP.Example.NET./Balcony"), "romeo@sip.example.net/Balcony");
    for (const char c : Bytes("\"&'/:<>@ ")) {
        EXPECT_EQ(local(std::string("a") + c + "b"), "refused") << c;
    }
    EXPECT_EQ(local("a\x01"), "refused");
    EXPECT_EQ(local("a\x7f"), "refused");
    EXPECT_EQ(local("!#$%()*+,-.0;=?[\\]^_`{|}~"), "!#$%()*+,-.0;=?[\\]^_`{|}~");
    EXPECT_EQ(resource("a\tb"), "refused");
    EXPECT_EQ(resource(" A<&>\"b "), " A<&>\"b ");
}

TEST(Jid, EnforcesUsernameCaseMapped) {  // ADDR-2; examples of RFC 8265 3.5 and RFC 7622 3.5
    EXPECT_EQ(local("fußball"), "fußball");
    EXPECT_EQ(local("π"), "π");
    EXPECT_EQ(local("Σ"), "σ");
    EXPECT_EQ(local("ς"), "ς");
    EXPECT_EQ(local("FÜ"), "fü");
    EXPECT_EQ(local("fu\xcc\x88"), "fü");   // NFC
    EXPECT_EQ(local("ａＢｃ"), "abc");      // width
    EXPECT_EQ(local("ａ＠ｂ"), "refused");  // forbidden only once it is mapped
    EXPECT_EQ(local("henryⅣ"), "refused");  // compatibility form
    EXPECT_EQ(local("♚"), "refused");       // symbol
    EXPECT_EQ(local("foo bär"), "refused");
    EXPECT_EQ(local("a\xc2\xad"), "refused");  // soft hyphen: ignorable
    EXPECT_EQ(local("\xff"), "refused");
    EXPECT_EQ(local("\xf0\x9f\x98\x80"), "refused");  // emoji
    EXPECT_EQ(local("日本"), "日本");
    EXPECT_EQ(local("שלום"), "שלום");
    EXPECT_EQ(local("שלוםa"), "refused");  // Bidi rule
    EXPECT_EQ(local("a·b"), "refused");    // RFC 5892 A.3
    EXPECT_EQ(local("l·l"), "l·l");
    EXPECT_EQ(local("क्‍ष"), "क्‍ष");  // joiner behind a virama
    EXPECT_EQ(local("a\xe2\x80\x8d"
                    "b"),
              "refused");
}

TEST(Jid, EnforcesOpaqueString) {  // ADDR-2
    EXPECT_EQ(resource("Fü bar ♚"), "Fü bar ♚");
    EXPECT_EQ(resource("a\xc2\xa0ü"), "a ü");  // no-break space
    EXPECT_EQ(resource("u\xcc\x88"), "ü");
    EXPECT_EQ(resource("ü\x01"), "refused");
    EXPECT_EQ(resource("\xc3"), "refused");
    EXPECT_EQ(resource(""), "refused");
}

TEST(Jid, EnforcesDomains) {  // ADDR-2, ADDR-5
    EXPECT_EQ(domain("EXAMPLE.com."), "example.com");
    EXPECT_EQ(domain("xn--bcher-kva.Example"), "bücher.example");
    EXPECT_EQ(domain("BÜCHER.example"), "bücher.example");
    EXPECT_EQ(ascii("bücher.example"), "xn--bcher-kva.example");
    EXPECT_EQ(ascii("Example.COM"), "example.com");
    EXPECT_EQ(ascii("XN--BCHER-KVA.example"), "xn--bcher-kva.example");
    EXPECT_EQ(domain(ascii("straße.example")), "straße.example");
    EXPECT_EQ(domain("[2001:DB8::1]"), "[2001:db8::1]");
    EXPECT_EQ(domain("192.0.2.1"), "192.0.2.1");
    for (const Bytes text :
         {"", ".", "a..b", ".a", "a b", "-a.example", "a-.example", "a_b.example", "a..",
          "xn--\x80", "a@b", "xn--a-ecp.example.\xff", "a／b.example", "a＠b.example",
          "a：b.example", "a․b.example", "[::1", "[x]"}) {
        EXPECT_EQ(domain(text), "refused") << text;
    }
    EXPECT_EQ(domain(std::string(63, 'a') + ".example"), std::string(63, 'a') + ".example");
    EXPECT_EQ(domain(std::string(64, 'a') + ".example"), "refused");
    EXPECT_EQ(domain(Bytes("ü\0.example", 11)), "refused");
}

TEST(Jid, ComparesAfterEnforcement) {  // ADDR-32
    char memory[2][kJidBytes];
    Sink first{MutableBytes(memory[0])};
    Sink second{MutableBytes(memory[1])};
    EXPECT_EQ(*parse_jid("ROMEO@Example.net/a", first), *parse_jid("romeo@example.NET./a", second));
    EXPECT_NE(*parse_jid("romeo@example.net/a", first), *parse_jid("romeo@example.net/A", second));
}

TEST(Jid, UnescapesOnceFromLeftToRight) {  // ADDR-3
    EXPECT_EQ(unescaped("o\\27malley"), "o'malley");
    EXPECT_EQ(unescaped("\\20\\22\\26\\27\\2f\\3a\\3c\\3e\\40\\5c"), " \"&'/:<>@\\");
    EXPECT_EQ(unescaped("\\5c40"), "\\40");
    EXPECT_EQ(unescaped("\\41\\2F\\"), "\\41\\2F\\");
}

TEST(Jid, Escapes) {  // ADDR-24, ADDR-25
    EXPECT_EQ(escaped("o'malley"), "o\\27malley");
    EXPECT_EQ(escaped("a \"&'/:<>@b"), "a\\20\\22\\26\\27\\2f\\3a\\3c\\3e\\40b");
    EXPECT_EQ(escaped("\\3and\\2is\\5cool"), "\\5c3and\\2is\\5c5cool");  // ADDR-47
    EXPECT_EQ(escaped("c:\\net"), "c\\3a\\net");                         // ADDR-49
    EXPECT_EQ(escaped(" a"), "refused");
    EXPECT_EQ(escaped("a "), "refused");
    EXPECT_EQ(escaped("fü"), "fü");
}

TEST(Jid, KnowsCanonicalLocalParts) {  // ADDR-31
    for (const Bytes text :
         {"romeo", "o\\27malley", "\\5c3and\\2is\\5c5cool", "space\\20cadet", "c\\3a\\net",
          "user\\40host", "here\\27s_a_wild_\\26_\\2fcr%zy\\2f_address", "a\\"}) {
        EXPECT_TRUE(is_canonical_local(text)) << text;
        EXPECT_EQ(escaped(unescaped(text)), text);
    }
    for (const Bytes text : {"\\5cfoo", "\\20a", "a\\20"})
        EXPECT_FALSE(is_canonical_local(text)) << text;
}

// Sixteen bytes are looked at together: what stands anywhere in a part of any size counts.
TEST(Jid, EachByteCountsWhereverItStands) {  // ADDR-2
    constexpr Bytes kDomainBytes = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    constexpr Bytes kRefusedInLocal = " \"&'/:<>@";
    for (const std::size_t size : {1U, 7U, 8U, 15U, 16U, 17U, 31U, 32U, 40U}) {
        for (std::size_t at = 0; at < size; ++at) {
            for (int c = 1; c < 128; ++c) {
                const char one = static_cast<char>(c);
                const char lower = static_cast<char>(std::tolower(c));
                std::string text(size, 'a');
                text[at] = one;
                const bool printable = c >= 0x20 && c < 0x7F;
                const bool local_good = printable && kRefusedInLocal.find(one) == Bytes::npos;
                std::string wanted = text;
                EXPECT_EQ(resource(text), printable ? wanted : "refused") << size << ' ' << c;
                wanted[at] = lower;
                EXPECT_EQ(local(text), local_good ? wanted : "refused") << size << ' ' << c;
                const bool at_end = at == 0 || at + 1 == size;
                if (c == '.' && at + 1 == size) continue;  // the root's
                const bool domain_good =
                    kDomainBytes.find(lower) != Bytes::npos && !((c == '-' || c == '.') && at_end);
                EXPECT_EQ(domain(text), domain_good ? wanted : "refused") << size << ' ' << c;
            }
        }
    }
}

TEST(Jid, LabelsEndAndBeginWithLetters) {  // RFC 5890 2.3.1
    for (const std::size_t before : {1U, 6U, 14U, 30U, 50U}) {
        const std::string label(before, 'a');
        for (const char* bad : {"..b", ".-b", "-.b", "."}) {
            EXPECT_EQ(domain(label + bad + (bad[1] == 0 ? "." : "")), "refused") << label << bad;
        }
        EXPECT_EQ(domain(label + ".b--c.d"), label + ".b--c.d");
        EXPECT_EQ(domain(label + ".XN--MNCHEN-3YA.d"), label + ".m\xC3\xBCnchen.d");
    }
}

TEST(Jid, EnforcingTwiceIsEnforcingOnce) {
    for (const Bytes text :
         {"Fü@BÜCHER.example/Ａ", "ΑΣ@xn--bcher-kva.example/x", "İ@example.com"}) {
        const std::string once = enforced(text);
        EXPECT_EQ(enforced(once), once) << text;
    }
}

TEST(Jid, EveryPrefixAndMutationIsRefusedOrStable) {
    const std::string text = "Fü\xcc\x88.o\\27x@bücher.example/Ａ ♚";
    for (std::size_t size = 0; size <= text.size(); ++size) {
        for (int flip = 0; flip < 256; flip += 5) {
            std::string changed = text.substr(0, size);
            if (!changed.empty()) changed.back() = static_cast<char>(flip);
            const std::string once = enforced(changed);
            if (once != "refused") {
                EXPECT_EQ(enforced(once), once);
            }
        }
    }
}

}  // namespace
}  // namespace fedgate::xml
