#include "sip/digest.hpp"

#include <gtest/gtest.h>

#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

// A response with these challenges, one header field each.
struct Challenged {
    explicit Challenged(std::initializer_list<std::string> challenges, bool proxy = false) {
        std::string text = proxy ? "SIP/2.0 407 Proxy Authentication Required\r\n"
                                 : "SIP/2.0 401 Unauthorized\r\n";
        text +=
            "Via: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n"
            "Call-ID: 1\r\nCSeq: 1 MESSAGE\r\n";
        for (const std::string& one : challenges)
            text += (proxy ? "Proxy-Authenticate: " : "WWW-Authenticate: ") + one + "\r\n";
        read.emplace(text + "Content-Length: 0\r\n\r\n");
        EXPECT_EQ(read->parse(Carrier::kStream).parsed.verdict, Verdict::kDone);
        found = find_challenge(read->message, challenge);
    }

    [[nodiscard]] std::string answer(const Credentials& credentials,
                                     const AuthorizedRequest& request) const {
        char memory[2048];
        Sink sink{MutableBytes(memory)};
        write_authorization(sink, challenge, credentials, request);
        EXPECT_FALSE(sink.overflowed());
        return std::string(sink.written());
    }

    std::optional<test::Read> read;
    Challenge challenge;
    bool found = false;
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
    const Challenged md5({example("MD5")});
    ASSERT_TRUE(md5.found);
    EXPECT_EQ(md5.answer(mufasa, request),
              "Authorization: Digest username=\"Mufasa\",realm=\"http-auth@example.org\",nonce=\"" +
                  std::string(kNonce) +
                  "\",uri=\"/dir/index.html\",response=\"8ca523f5e9506fed4657c9700eebdbec\","
                  "algorithm=MD5,cnonce=\"" +
                  std::string(kCnonce) +
                  "\",qop=auth,nc=00000001,"
                  "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"\r\n");
    const Challenged sha({example("SHA-256")});
    ASSERT_TRUE(sha.found);
    EXPECT_NE(sha.answer(mufasa, request)
                  .find("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
              std::string::npos);
}

TEST(Digest, TheTopmostThatIsKnown) {  // SIP-30, RFC 8760 2.4
    const Challenged two(
        {example("SHA-512-256"), "Basic realm=\"x\"", example("SHA-256"), example("MD5")});
    ASSERT_TRUE(two.found);
    EXPECT_EQ(two.challenge.kind, DigestAlgorithm::kSha256);
    const Challenged proxy({example("MD5-sess")}, true);
    ASSERT_TRUE(proxy.found);
    EXPECT_TRUE(proxy.challenge.session);
    EXPECT_TRUE(proxy.answer({"u", "p"}, {"MESSAGE", "sip:b@h", "c"})
                    .starts_with("Proxy-Authorization: Digest "));
}

TEST(Digest, OldServersOfferNoQop) {  // SIP-30, RFC 3261 22.4
    const Challenged old({R"(Digest realm="pool \"a\"",nonce="n1")"});
    ASSERT_TRUE(old.found);
    EXPECT_EQ(
        old.answer({"fed\"gate", "p\\w"}, {"MESSAGE", "sip:b@h", "c"}),
        "Authorization: Digest username=\"fed\\\"gate\",realm=\"pool \\\"a\\\"\",nonce=\"n1\","
        "uri=\"sip:b@h\",response=\"80cf1b1ccbcb256a4e6570ebdd1b2fef\"\r\n");
}

TEST(Digest, Session) {  // SIP-30, RFC 7616 3.4.2
    const Challenged session(
        {R"(digest  realm = "r" , nonce="n1",algorithm="SHA-256-sess",qop=auth,stale=TRUE)"});
    ASSERT_TRUE(session.found);
    EXPECT_TRUE(session.challenge.stale);
    const std::string line = session.answer({"u", "p"}, {"MESSAGE", "sip:b@h", "c1"});
    EXPECT_NE(
        line.find("response=\"609cf3ac3df724f8fa6cd15e04c8c2b0faf704f71b3596f9be2e31d3d96852b0\","
                  "algorithm=SHA-256-sess,cnonce=\"c1\",qop=auth"),
        std::string::npos)
        << line;
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
