#include "appliance/main/commit_signature.hpp"

#include <chrono>

#include <gtest/gtest.h>

#include "net/revocation.hpp"
#include "tests/net/certificates.hpp"

namespace fedgate {
namespace {

using net::test::Certificates;

constexpr Bytes kText = "# fedgate commit, sha256 of what follows: 00\n# number: 7\n";

WallTime now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

class CommitSignature : public testing::Test {
protected:
    CommitSignature() {
        auto roots = net::TrustStore::parse(files_.text("ca.pem"));
        EXPECT_TRUE(roots);
        roots_ = std::move(*roots);
    }
    std::string sign(const std::string& certificate, const std::string& key,
                     const std::string& name) {
        return sign_commit(
            kText, {files_.path(certificate + ".pem"), files_.path(key + ".key"), ""}, name, why_);
    }
    [[nodiscard]] std::string fault(Bytes proof, WallTime time = now(), Bytes text = kText) const {
        return judge_commit(text, proof, time, {&roots_, lists_, now()}).fault;
    }
    [[nodiscard]] std::string fault_later(Bytes proof, WallTime at) const {
        return judge_commit(kText, proof, now(), {&roots_, lists_, at}).fault;
    }

    const Certificates& files_ = Certificates::get();
    net::TrustStore roots_;
    const net::RevocationLists* lists_ = nullptr;
    std::string why_;
};

TEST_F(CommitSignature, IsGoodByEveryKindOfKey) {
    for (const auto& [certificate, key] : {std::pair{"good", "good"},
                                           {"good", "good_ec"},
                                           {"p384", "p384"},
                                           {"ed25519", "ed25519"},
                                           {"rsa2048", "rsa2048"},
                                           {"rsa2048", "rsa2048_rsa"},
                                           {"chained", "chained"}}) {
        const std::string name =
            (certificate == std::string("good") ? "xmpp" : std::string(certificate)) + ".example";
        const std::string proof = sign(certificate, key, name);
        EXPECT_EQ(why_, "") << key;
        EXPECT_TRUE(proof.starts_with("# signed by: " + name + "\n# signature: ")) << proof;
        const admin::Signer signer = judge_commit(kText, proof, now(), {&roots_, nullptr, now()});
        EXPECT_EQ(signer.fault, "") << key;
        ASSERT_FALSE(signer.names.empty()) << key;
        EXPECT_EQ(signer.names.front(), name);
    }
}

TEST_F(CommitSignature, IsOfTheseBytesAndNoOthers) {
    const std::string proof = sign("good", "good", "xmpp.example");
    for (std::size_t i = 0; i < kText.size(); ++i) {
        std::string changed(kText);
        changed[i] ^= 1;
        EXPECT_EQ(fault(proof, now(), changed), "its signature is not that of xmpp.example") << i;
    }
    for (std::size_t i = 0; i < proof.size(); ++i) {
        std::string changed = proof;
        changed[i] ^= 1;
        EXPECT_NE(fault(changed), "") << i;
        EXPECT_NE(fault(Bytes(proof).substr(0, i)), "") << i;
    }
    EXPECT_EQ(fault(proof), "");
}

TEST_F(CommitSignature, IsByOurAuthorityAtThatTimeAndNotRevoked) {
    using namespace std::chrono_literals;
    EXPECT_NE(
        fault(sign("weak_ca", "weak_ca", "wrong.example")).find("authority that is not trusted"),
        std::string::npos);
    EXPECT_NE(fault(sign("self", "self", "self.example")).find("is self-signed"),
              std::string::npos);
    const std::string proof = sign("good", "good", "xmpp.example");
    EXPECT_NE(fault(proof, now() + std::chrono::days(366)).find("expired on"), std::string::npos);
    EXPECT_NE(fault(proof, now() - std::chrono::days(10)).find("is not valid before"),
              std::string::npos);
    // An old commit by whoever has been revoked since.
    const std::string second = sign("second", "second", "second.example");
    EXPECT_EQ(fault(second), "");
    net::RevocationLists lists;
    std::string why;
    ASSERT_TRUE(lists.add(files_.text("both.crl"), why)) << why;
    lists_ = &lists;
    const auto certificate = net::parse_pem_certificates(files_.text("second.pem"));
    const auto begin = net::parse_certificate(certificate->front())->not_before;
    EXPECT_NE(fault(second, begin).find("was revoked on"), std::string::npos)
        << fault(second, begin);
    EXPECT_EQ(fault(proof), "");
    EXPECT_NE(judge_commit(kText, proof, now(), {}).fault, "");
}

// Whoever has the key of an expired certificate could write any time.
TEST_F(CommitSignature, IsGoodForNothingADayAfterItsCertificate) {
    using namespace std::chrono_literals;
    const std::string proof = sign("good", "good", "xmpp.example");
    const WallTime end = judge_commit(kText, proof, now(), {&roots_, nullptr, now()}).good_until;
    EXPECT_GT(end, now() + std::chrono::days(1));
    EXPECT_EQ(fault_later(proof, end + 24h), "");
    EXPECT_NE(fault_later(proof, end + 24h + 1s).find("expired on"), std::string::npos);
    EXPECT_EQ(fault_later(proof, now() - 48h), "");  // the clock here is wrong
}

TEST_F(CommitSignature, IsByTheOneItSays) {
    std::string proof = sign("good", "good", "gw1.example");
    constexpr Bytes kFront = "# signed by: xmpp.example\n";
    ASSERT_TRUE(proof.starts_with(kFront)) << proof;
    proof.replace(0, kFront.size(), "# signed by: gw1.example\n");
    EXPECT_EQ(fault(proof), "it is signed by another one than it says, gw1.example");
    EXPECT_EQ(sign("good", "second", "xmpp.example"), "");
    EXPECT_NE(why_.find("is not the key of tls.internal.certificate"), std::string::npos) << why_;
    EXPECT_EQ(sign("nowhere", "good", "xmpp.example"), "");
    EXPECT_TRUE(
        why_.starts_with("it can't be signed for the other nodes: tls.internal.certificate"))
        << why_;
}

// As the link knows its peers: an edge whose certificate has a capital letter is an edge.
TEST_F(CommitSignature, IsByItsNameInWhateverCase) {
    const std::string proof = sign("upper", "upper", "upper.example");
    const admin::Signer signer = judge_commit(kText, proof, now(), {&roots_, nullptr, now()});
    EXPECT_EQ(signer.fault, "");
    EXPECT_EQ(signer.names, std::vector<std::string>{"upper.example"});
}

TEST_F(CommitSignature, HasNoMoreCertificatesThanItMay) {
    std::string proof = sign("good", "good", "xmpp.example");
    const std::string certificate = proof.substr(proof.find("# certificate: "));
    for (int i = 1; i < 8; ++i) proof += certificate;
    EXPECT_EQ(fault(proof), "");
    EXPECT_EQ(fault(proof + certificate), "its signature is malformed");
}

}  // namespace
}  // namespace fedgate
