#include "sip/digest.hpp"

#include <gtest/gtest.h>

#include "tests/sip/sip_support.hpp"
#include "tests/text.hpp"

namespace fedgate::sip {
namespace {

// A response with these header fields; plain challenges are those of a 401 or of a 407.
struct Response {
    explicit Response(std::initializer_list<std::string> challenges, bool proxy = false) {
        std::string text = proxy ? "SIP/2.0 407 Proxy Authentication Required\r\n"
                                 : "SIP/2.0 401 Unauthorized\r\n";
        text +=
            "Via: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n"
            "Call-ID: 1\r\nCSeq: 1 MESSAGE\r\n";
        for (const std::string& one : challenges) {
            const bool whole = one.find("-Authenticat") != std::string::npos ||
                               one.starts_with("Authentication-Info");
            text += (whole   ? ""
                     : proxy ? "Proxy-Authenticate: "
                             : "WWW-Authenticate: ") +
                    one + "\r\n";
        }
        read.emplace(text + "Content-Length: 0\r\n\r\n");
        EXPECT_EQ(read->parse(Carrier::kStream).parsed.verdict, Verdict::kDone);
    }
    std::optional<test::Read> read;
};

struct Kept {
    Challenges::Realms take(const Response& response, Challenges::Realms answered = 0) {
        return challenges.take(response.read->message, answered);
    }
    std::string write(const Credentials& credentials, const AuthorizedRequest& request) {
        char memory[8192];
        Sink sink{MutableBytes(memory)};
        challenges.write(sink, credentials, request);
        EXPECT_FALSE(sink.overflowed());
        EXPECT_LE(sink.size(), challenges.bytes_max(credentials.user, request.uri));
        return std::string(sink.written());
    }
    std::string again(Bytes cnonce = "c") {
        return write({"u", "p"}, {"MESSAGE", "sip:b@h", cnonce});
    }
    Challenges challenges;
};

struct Challenged : Kept {
    explicit Challenged(std::initializer_list<std::string> list, bool proxy = false)
        : found(take(Response(list, proxy)) != 0) {}
    std::string answer(const Credentials& credentials, const AuthorizedRequest& request) {
        return write(credentials, request);
    }
    bool found;
};

constexpr Bytes kNonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
constexpr Bytes kCnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

std::string example(const std::string& algorithm) {  // RFC 7616 3.9.1
    return "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=" +
           algorithm + ", nonce=\"" + std::string(kNonce) +
           "\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
}

TEST(Digest, ExamplesOfTheStandard) {  // SIP-30, RFC 7616 3.9.1
    const Credentials mufasa{"Mufasa", "Circle of Life"};
    const AuthorizedRequest request{"GET", "/dir/index.html", kCnonce};
    Challenged md5({example("MD5")});
    ASSERT_TRUE(md5.found);
    EXPECT_EQ(md5.answer(mufasa, request),
              "Authorization: Digest username=\"Mufasa\",realm=\"http-auth@example.org\",nonce=\"" +
                  std::string(kNonce) +
                  "\",uri=\"/dir/index.html\",response=\"8ca523f5e9506fed4657c9700eebdbec\","
                  "algorithm=MD5,cnonce=\"" +
                  std::string(kCnonce) +
                  "\",qop=auth,nc=00000001,"
                  "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"\r\n");
    Challenged sha({example("SHA-256")});
    ASSERT_TRUE(sha.found);
    EXPECT_NE(sha.answer(mufasa, request)
                  .find("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
              std::string::npos);
}

TEST(Digest, TheStrongestThatIsKnown) {  // SIP-30, RFC 8760 2.4
    for (const auto& list : {std::vector{"SHA-512-256", "SHA-256", "MD5"},
                             std::vector{"MD5", "SHA-256", "SHA-256-sess"}}) {
        Challenged several(
            {example(list[0]), "Basic realm=\"x\"", example(list[1]), example(list[2])});
        ASSERT_TRUE(several.found);
        const std::string lines = several.again();
        EXPECT_TRUE(has(lines, ",algorithm=SHA-256,")) << lines;
        EXPECT_EQ(lines.find("Authorization"), lines.rfind("Authorization"));
    }
    Challenged proxy({example("MD5-sess")}, true);
    ASSERT_TRUE(proxy.found);
    EXPECT_TRUE(has(proxy.again(), ",algorithm=MD5-sess,"));
    EXPECT_TRUE(proxy.again().starts_with("Proxy-Authorization: Digest "));
}

TEST(Digest, SeveralServersInOneResponse) {  // SIP-30, RFC 3261 16.7: a fork's, put together
    Kept kept;
    EXPECT_EQ(
        kept.take(Response({"WWW-Authenticate: " + std::string(R"(Digest realm="a",nonce="1")"),
                            "Proxy-Authenticate: " + std::string(R"(Digest realm="a",nonce="2")"),
                            "WWW-Authenticate: " + std::string(R"(Digest realm="b",nonce="3")")})),
        0b111);
    std::string lines = kept.again();
    EXPECT_TRUE(has(lines, "Proxy-Authorization: Digest username=\"u\",realm=\"a\",nonce=\"2\""));
    EXPECT_TRUE(has(lines, "\r\nAuthorization: Digest username=\"u\",realm=\"a\",nonce=\"1\""));
    EXPECT_TRUE(has(lines, "realm=\"b\",nonce=\"3\""));
    // More realms than are kept: the oldest goes.
    for (int i = 0; i < 9; ++i) {
        const std::string realm = "r" + std::to_string(i);
        EXPECT_NE(kept.take(Response({"Digest realm=\"" + realm + "\",nonce=\"n\""})), 0);
    }
    lines = kept.again();
    EXPECT_FALSE(has(lines, "realm=\"a\""));
    EXPECT_FALSE(has(lines, "realm=\"r4\""));
    for (const char* realm : {"r5", "r6", "r7", "r8"}) EXPECT_TRUE(has(lines, realm));
}

TEST(Digest, ANonceIsUsedAgain) {  // SIP-30, RFC 7616 3.4
    Kept kept;
    EXPECT_TRUE(kept.challenges.empty());
    const auto one = kept.take(Response({R"(Digest realm="r",nonce="n1",qop="auth")"}));
    ASSERT_NE(one, 0);
    EXPECT_TRUE(has(kept.again("c1"), "cnonce=\"c1\",qop=auth,nc=00000001"));
    std::string last;
    for (int i = 2; i <= 26; ++i) last = kept.again("c2");
    EXPECT_TRUE(has(last, "nonce=\"n1\"")) << last;
    EXPECT_TRUE(has(last, "cnonce=\"c2\",qop=auth,nc=0000001a")) << last;
    // Who has answered this already is not asked once more, unless only the nonce was too old.
    EXPECT_EQ(kept.take(Response({R"(Digest realm="r",nonce="n2",qop="auth")"}), one), 0);
    EXPECT_EQ(kept.take(Response({R"(Digest realm="r",nonce="n2",qop="auth",stale=true)"}), one),
              one);
    EXPECT_TRUE(has(kept.again(), "nonce=\"n2\""));
    EXPECT_EQ(kept.take(Response({R"(Digest realm="r",nonce="n3",qop="auth")"}), 0), one);
    EXPECT_TRUE(has(kept.again(), "nc=00000001"));
    kept.challenges.forget();
    EXPECT_TRUE(kept.challenges.empty());
    EXPECT_EQ(kept.again(), "");
}

TEST(Digest, TheNextNonceMayCome) {  // SIP-30, RFC 7616 3.5
    Kept kept;
    ASSERT_NE(kept.take(Response({R"(Digest realm="r",nonce="n1",qop="auth")"})), 0);
    kept.again();
    const auto info = [&](const std::string& line) {
        kept.challenges.take_next_nonce(Response({line}).read->message);
    };
    info("Authentication-Info: qop=auth, rspauth=\"00\" , NextNonce=\"n2\"");
    EXPECT_TRUE(has(kept.again(), "nonce=\"n2\""));
    EXPECT_TRUE(has(kept.again(), "nc=00000002"));
    for (const std::string& nothing :
         {std::string("Authentication-Info: nextnonce=n3"), std::string("Authentication-Info: x"),
          std::string("Proxy-Authentication-Info: nextnonce=\"n3\""),
          "Authentication-Info: nextnonce=\"" + std::string(kDigestTextBytes, 'n') + "\""}) {
        info(nothing);
        EXPECT_TRUE(has(kept.again(), "nonce=\"n2\"")) << nothing;
    }
    ASSERT_NE(kept.take(Response({R"(Digest realm="other",nonce="m1")"})), 0);
    info("Authentication-Info: nextnonce=\"n4\"");  // whose?
    EXPECT_FALSE(has(kept.again(), "n4"));
}

TEST(Digest, OldServersOfferNoQop) {  // SIP-30, RFC 3261 22.4
    Challenged old({R"(Digest realm="pool \"a\"",nonce="n1")"});
    ASSERT_TRUE(old.found);
    EXPECT_EQ(
        old.answer({"fed\"gate", "p\\w"}, {"MESSAGE", "sip:b@h", "c"}),
        "Authorization: Digest username=\"fed\\\"gate\",realm=\"pool \\\"a\\\"\",nonce=\"n1\","
        "uri=\"sip:b@h\",response=\"80cf1b1ccbcb256a4e6570ebdd1b2fef\"\r\n");
}

TEST(Digest, Session) {  // SIP-30, RFC 7616 3.4.2
    Challenged session(
        {R"(digest  realm = "r" , nonce="n1",algorithm="SHA-256-sess",qop=auth,stale=TRUE)"});
    ASSERT_TRUE(session.found);
    const std::string line = session.answer({"u", "p"}, {"MESSAGE", "sip:b@h", "c1"});
    EXPECT_NE(
        line.find("response=\"609cf3ac3df724f8fa6cd15e04c8c2b0faf704f71b3596f9be2e31d3d96852b0\","
                  "algorithm=SHA-256-sess,cnonce=\"c1\",qop=auth"),
        std::string::npos)
        << line;
    // The first cnonce is in the key, and stays.
    EXPECT_TRUE(has(session.again("c2"), "cnonce=\"c1\",qop=auth,nc=00000002"));
}

TEST(Digest, WhatCannotBeAnsweredIsNoChallenge) {  // SIP-30
    const std::string nonce(kDigestTextBytes + 1, 'n');
    for (const std::string& bad :
         {std::string("Digest"), std::string("Digest realm=\"r\""),
          std::string("Digest nonce=\"n\""),
          std::string(R"(Digest realm="r",nonce="n",qop="auth-int")"),
          std::string(R"(Digest realm="r",nonce="n",algorithm=token)"),
          std::string(R"(Digest realm=r,nonce="n")"), std::string(R"(Digest realm="r,nonce="n")"),
          std::string(R"(Digest realm="r",realm="s",nonce="n")"),
          std::string(R"(Digest realm="r",nonce="n",stray)"),
          std::string(R"(DigestX realm="r",nonce="n")"),
          "Digest realm=\"r\",nonce=\"" + nonce + "\""}) {
        EXPECT_FALSE(Challenged({bad}).found) << bad;
    }
}

}  // namespace
}  // namespace fedgate::sip
