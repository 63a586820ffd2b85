#include "sip/uri.hpp"

#include <cctype>
#include <string>

#include <gtest/gtest.h>

namespace fedgate::sip {
namespace {

TEST(Uri, GivesItsParts) {
    const auto uri = parse_uri("sip:al%20ice:pw@h.example:5070;transport=tcp;lr?a=b&c=d");
    ASSERT_TRUE(uri);
    EXPECT_EQ(uri->scheme, Scheme::kSip);
    EXPECT_EQ(uri->user, "al%20ice");
    EXPECT_EQ(uri->password, "pw");
    EXPECT_EQ(uri->at.host, "h.example");
    EXPECT_EQ(uri->at.kind, HostKind::kName);
    EXPECT_EQ(uri->at.port, 5070);
    EXPECT_EQ(uri->params, "transport=tcp;lr");
    EXPECT_EQ(uri->headers, "a=b&c=d");
    EXPECT_EQ(find_parameter(uri->params, "TRANSPORT").value, "tcp");
    EXPECT_TRUE(find_parameter(uri->params, "lr"));
    EXPECT_FALSE(find_parameter(uri->params, "lr").has_value);
    EXPECT_FALSE(find_parameter(uri->params, "l"));
}

TEST(Uri, ReadsEachScheme) {  // ADDR-21
    EXPECT_EQ(parse_uri("SIPS:a@b")->scheme, Scheme::kSips);
    EXPECT_EQ(parse_uri("im:a@b")->scheme, Scheme::kIm);
    EXPECT_EQ(parse_uri("pres:a@b")->scheme, Scheme::kPres);
    const auto tel = parse_uri("tel:+1-555-(123);phone-context=x");
    ASSERT_TRUE(tel);
    EXPECT_EQ(tel->user, "+1-555-(123)");
    EXPECT_EQ(find_parameter(tel->params, "phone-context").value, "x");
    for (const char* const bad : {"tel:", "tel:+", "tel:-.()", "tel:1x", "tel:1;", "tel:1;=x"}) {
        EXPECT_FALSE(parse_uri(bad)) << bad;
    }
    EXPECT_EQ(parse_uri("http://x").error().code, Errc::kUnsupported);
    EXPECT_EQ(parse_uri("http:// x").error().code, Errc::kMalformed);
}

TEST(Uri, UserEndsAtTheFirstAt) {  // ADDR-22
    EXPECT_EQ(parse_uri("sip:u;par=u%40x@h")->user, "u;par=u%40x");
    EXPECT_EQ(parse_uri("sip:h;p=1")->has_user, false);
    EXPECT_FALSE(parse_uri("sip:a@b@c"));
    EXPECT_EQ(parse_uri("sip:+1555;phone-context=+1@h;user=phone")->user, "+1555;phone-context=+1");
}

TEST(Uri, IsStrictAboutHosts) {  // SIP-53
    for (const char* const good :
         {"sip:h", "sip:a.b.", "sip:1.2.3.4", "sip:a1-b.c2", "sip:[::1]", "sip:[::]:5060",
          "sip:a@[2001:db8::192.0.2.1]", "sip:[1:2:3:4:5:6:7:8]", "sip:[1::8]",
          "sip:[1:2:3:4:5:6:7::]", "sip:[2001:db8:::192.0.2.1]", "sip:[:::192.0.2.1]"}) {
        EXPECT_TRUE(parse_uri(good)) << good;
    }
    for (const char* const bad : {"sip:",
                                  "sip:@h",
                                  "sip:a@",
                                  "sip:-h",
                                  "sip:h-.x",
                                  "sip:a..b",
                                  "sip:.a",
                                  "sip:1.2.3.256",
                                  "sip:1.2.3",
                                  "sip:h:0",
                                  "sip:h:",
                                  "sip:h:65536",
                                  "sip:h:1x",
                                  "sip:[::1",
                                  "sip:[:::1]",
                                  "sip:[2001:db8:::1]",
                                  "sip:[2001:db8::::192.0.2.1]",
                                  "sip:[1::2:::192.0.2.1]",
                                  "sip:[1:2:3:4:5:6:::192.0.2.1]",
                                  "sip:[1:2:3:4:5:6:7]",
                                  "sip:[1:2:3:4:5:6:7:8:9]",
                                  "sip:[1::2::3]",
                                  "sip:[12345::]",
                                  "sip:[::1%25eth0]",
                                  "sip:[]",
                                  "sip:2001:db8::10",
                                  "sip:h;",
                                  "sip:h;;a",
                                  "sip:h;=a",
                                  "sip:h?",
                                  "sip:a b@h",
                                  "sip:a%2@h",
                                  "sip:a%zz@h",
                                  "sip:h_x.y",
                                  "<sip:a@h>",
                                  "sip:a@h ",
                                  "sip",
                                  ":a@h",
                                  "",
                                  "1sip:a@h"}) {
        EXPECT_FALSE(parse_uri(bad)) << bad;
    }
    EXPECT_FALSE(parse_uri("sip:" + std::string(256, 'a')));
    EXPECT_TRUE(parse_uri("sip:" + std::string(255, 'a')));
}

std::string encode_user(Bytes text) {
    char memory[256];
    Sink sink(memory);
    percent_encode_user(text, sink);
    return std::string(sink.written());
}
std::string encode_gr(Bytes text) {
    char memory[256];
    Sink sink(memory);
    percent_encode_gr(text, sink);
    return std::string(sink.written());
}

TEST(Uri, EscapesTheUserBySet) {  // ADDR-4
    EXPECT_EQ(encode_user("azAZ09-_.!~*'()&=+$,;?/"), "azAZ09-_.!~*'()&=+$,;?/");
    EXPECT_EQ(encode_user("#%[\\]^{}| \":<>@`"),
              "%23%25%5B%5C%5D%5E%7B%7D%7C%20%22%3A%3C%3E%40%60");
    EXPECT_EQ(encode_user("tsch\xc3\xbcss"), "tsch%C3%BCss");  // ADDR-44
}

TEST(Uri, EscapesTheResourceBySet) {  // ADDR-7
    EXPECT_EQ(encode_gr("az09-_.!~*'()[]/:&+$"), "az09-_.!~*'()[]/:&+$");
    EXPECT_EQ(encode_gr("a;b=c?,@ %"), "a%3Bb%3Dc%3F%2C%40%20%25");
}

TEST(Uri, DecodesBackEachByte) {  // ADDR-23
    std::string all;
    for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
    for (const bool user : {true, false}) {
        char encoded[800];
        char decoded[300];
        Sink out(encoded);
        Sink back(decoded);
        user ? percent_encode_user(all, out) : percent_encode_gr(all, out);
        ASSERT_TRUE(percent_decode(out.written(), back));
        EXPECT_EQ(back.written(), all);
    }
    char memory[4];
    for (const char* const bad : {"%", "a%4", "%g0", "%0g", "%%30", "abcde"}) {
        Sink sink(memory);
        EXPECT_FALSE(percent_decode(bad, sink)) << bad;
    }
}

// Several bytes are looked at together: what stands anywhere in a text of any size counts.
TEST(Uri, EachByteCountsWhereverItStands) {
    constexpr Bytes kUnreserved = "-_.!~*'()&=+$,;?/";
    for (const std::size_t size : {1U, 7U, 8U, 9U, 15U, 16U, 17U, 33U}) {
        for (std::size_t at = 0; at < size; ++at) {
            for (int c = 1; c < 256; ++c) {
                std::string text(size, 'a');
                text[at] = static_cast<char>(c);
                const bool plain =
                    std::isalnum(c) != 0 || kUnreserved.find(text[at]) != Bytes::npos;
                EXPECT_EQ(encode_user(text) == text, plain) << size << ' ' << at << ' ' << c;
            }
            for (const char* bad : {"..", ".-", "-."}) {
                std::string host(size, 'a');
                host.insert(at, bad);
                EXPECT_FALSE(parse_uri("sip:" + host + ".a")) << host;
            }
            std::string host(size, 'a');
            host[at] = '-';
            EXPECT_EQ(parse_uri("sip:" + host + ".a").has_value(), at != 0 && at + 1 != size)
                << host;
        }
    }
    EXPECT_FALSE(parse_uri("sip:a.1"));
    EXPECT_TRUE(parse_uri("sip:1.a"));
}

TEST(Uri, ComparesByTheRules) {  // RFC 3261 19.1.4, its own examples
    const auto same = [](const char* a, const char* b) {
        return same_uri(*parse_uri(a), *parse_uri(b));
    };
    EXPECT_TRUE(
        same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"));
    EXPECT_TRUE(same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
    EXPECT_TRUE(same("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"));
    EXPECT_TRUE(same("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                     "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"));
    EXPECT_TRUE(same("sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                     "sip:alice@atlanta.com?priority=urgent&subject=project%20x"));
    EXPECT_FALSE(
        same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"));
    EXPECT_FALSE(same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
    EXPECT_FALSE(same("sip:bob@biloxi.com", "sip:bo@biloxi.com"));  // one begins like the other
    EXPECT_FALSE(same("sip:bo@biloxi.com", "sip:bob@biloxi.com"));
    EXPECT_FALSE(same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
    EXPECT_FALSE(same("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"));
    EXPECT_FALSE(same("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"));
    EXPECT_FALSE(same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"));
    EXPECT_TRUE(
        same_aor(*parse_uri("sip:a%62@H.example:5;x"), *parse_uri("sip:ab@h.example")));  // ADDR-32
    EXPECT_FALSE(same_aor(*parse_uri("sip:Ab@h"), *parse_uri("sip:ab@h")));
}

TEST(Uri, HasABoundOfParameters) {
    const auto with = [](const char* start, const char* one, std::size_t count) {
        std::string text = std::string("sip:h") + start;
        for (std::size_t i = 1; i < count; ++i) text += one;
        return parse_uri(text).has_value();
    };
    EXPECT_TRUE(with(";p", ";p", kUriParameters));
    EXPECT_FALSE(with(";p", ";p", kUriParameters + 1));
    EXPECT_TRUE(with("?a=b", "&a=b", kUriParameters));
    EXPECT_FALSE(with("?a=b", "&a=b", kUriParameters + 1));
    EXPECT_TRUE(
        same_uri(*parse_uri("sip:h;p=1;p=2"), *parse_uri("sip:h;p=1;p=2")));  // found by the fuzzer
}

TEST(Uri, EverySplitAndEveryByteIsSafe) {
    const std::string text = "sip:a%20b:p@[2001:db8::1]:5060;gr=%41;lr?h=%42";
    for (std::size_t size = 0; size <= text.size(); ++size) {
        (void)parse_uri(std::string(text, 0, size));
        for (int c = 0; c < 256; ++c) {
            std::string other(text, 0, size);
            other += static_cast<char>(c);
            (void)parse_uri(other);
        }
    }
}

}  // namespace
}  // namespace fedgate::sip
