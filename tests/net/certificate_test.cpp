#include "net/certificate.hpp"

#include <gtest/gtest.h>

#include "tests/net/certificates.hpp"

namespace fedgate::net {
namespace {

using test::Certificates;

WallTime wall_now() {
    return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

TrustStore trust(const char* file = "ca.pem") {
    auto store = TrustStore::parse(Certificates::get().text(file));
    EXPECT_TRUE(store);
    return std::move(*store);
}

// The chain in a PEM file, judged.
PeerIdentity identify(const std::string& file, WallTime now = {}, const char* ca = "ca.pem") {
    auto ders = parse_pem_certificates(Certificates::get().text(file));
    if (now == WallTime{}) now = wall_now();  // after they were made
    EXPECT_TRUE(ders) << file;
    std::vector<Bytes> chain(ders->begin(), ders->end());
    return identify_peer(chain, trust(ca), now);
}

// CERT-2: what is presented.
TEST(Certificate, ShowsEveryKindOfName) {
    const PeerIdentity peer = identify("good.pem");
    EXPECT_TRUE(peer.chain_valid) << peer.fault;
    EXPECT_TRUE(peer.presented);
    EXPECT_EQ(peer.dns_names, (std::vector<std::string>{"xmpp.example", "*.wild.example"}));
    EXPECT_EQ(peer.srv_names, (std::vector<std::string>{"_xmpp-server.srv.example"}));
    EXPECT_EQ(peer.xmpp_addrs, (std::vector<std::string>{"addr.example"}));
    EXPECT_EQ(peer.uris, (std::vector<std::string>{"sip:xmpp.example"}));
    EXPECT_EQ(peer.subject, "good");
    EXPECT_EQ(peer.fingerprint_sha256.size(), 64u);
}

// CERT-5, CERT-6.
TEST(Certificate, ChainsThatHold) {
    for (const char* file :
         {"good.pem", "second.pem", "chained.pem", "rsa2048.pem", "ed25519.pem", "anyusage.pem"}) {
        const PeerIdentity peer = identify(file);
        EXPECT_TRUE(peer.chain_valid) << file << ": " << peer.fault;
    }
}

TEST(Certificate, ChainsThatDoNotHold) {
    const struct {
        const char* file;
        const char* fault;
    } cases[] = {
        {"weak_ca.pem", "issuer is not known"},  // another authority
        {"lonely.pem", "issuer is not known"},   // its intermediate is missing
        {"byleaf.pem", "issuer is not known"},   // signed by an end entity
        {"toolong.pem", "issuer is not known"},  // path length
        {"client.pem", "extended key usage"},    // CERT-6
        {"authority.pem", "authority"},          // CERT-6: cA=TRUE
        {"critical.pem", "critical"},
        {"rsa1024.pem", "2048"},  // CERT-5
        {"sha1.pem", "SHA-256"},  // CERT-5
    };
    for (const auto& [file, fault] : cases) {
        const PeerIdentity peer = identify(file);
        EXPECT_TRUE(peer.presented) << file;
        EXPECT_FALSE(peer.chain_valid) << file;
        EXPECT_NE(peer.fault.find(fault), std::string::npos) << file << ": " << peer.fault;
    }
}

// CERT-5: dates.
TEST(Certificate, IsValidOnlyInItsTime) {
    EXPECT_NE(identify("good.pem", wall_now() + std::chrono::days(400)).fault.find("expired"),
              std::string::npos);
    EXPECT_NE(identify("good.pem", wall_now() - std::chrono::days(2)).fault.find("not valid yet"),
              std::string::npos);
    EXPECT_FALSE(identify("good.pem", wall_now() + std::chrono::days(400)).chain_valid);
}

TEST(Certificate, TrustsWhatIsConfiguredItself) {
    EXPECT_TRUE(identify("good.pem", wall_now(), "good.pem").chain_valid);
    EXPECT_FALSE(identify("good.pem", wall_now(), "other.pem").chain_valid);
    // A pinned end entity makes nobody else valid.
    EXPECT_FALSE(identify("byleaf.pem", wall_now(), "good.pem").chain_valid);
}

TEST(Certificate, ShownNoneMeansInvalid) {
    const PeerIdentity peer = identify_peer({}, trust(), wall_now());
    EXPECT_FALSE(peer.presented);
    EXPECT_FALSE(peer.chain_valid);
    EXPECT_FALSE(peer.fault.empty());
}

TEST(Certificate, ASignatureThatWasTouchedIsNotValid) {
    auto ders = parse_pem_certificates(Certificates::get().text("good.pem"));
    ASSERT_TRUE(ders);
    std::string der = (*ders)[0];
    const TrustStore store = trust();
    std::size_t valid = 0;
    for (std::size_t i = 0; i < der.size(); ++i) {  // hostile input: every byte, one bit
        der[i] = static_cast<char>(der[i] ^ 0x01);
        const Bytes chain[] = {der};
        if (store.judge(chain, wall_now()) == nullptr) ++valid;
        der[i] = static_cast<char>(der[i] ^ 0x01);
    }
    EXPECT_EQ(valid, 0u);
}

TEST(Certificate, EveryCutIsMalformed) {
    auto ders = parse_pem_certificates(Certificates::get().text("good.pem"));
    ASSERT_TRUE(ders);
    const std::string& der = (*ders)[0];
    ASSERT_TRUE(parse_certificate(der));
    for (std::size_t i = 0; i < der.size(); ++i) {
        EXPECT_FALSE(parse_certificate(Bytes(der).substr(0, i))) << i;
    }
    EXPECT_FALSE(parse_certificate(der + std::string(1, '\0')));
}

TEST(Certificate, EveryByteMayBeHostile) {
    auto ders = parse_pem_certificates(Certificates::get().text("good.pem"));
    ASSERT_TRUE(ders);
    std::string der = (*ders)[0];
    for (std::size_t i = 0; i < der.size(); ++i) {
        const char was = der[i];
        for (const int value : {0x00, 0x7f, 0x80, 0x81, 0x84, 0xff}) {
            der[i] = static_cast<char>(value);
            (void)parse_certificate(der);
        }
        der[i] = was;
    }
}

// A name with a NUL inside must not look like a shorter one.
TEST(Certificate, LeavesOutNamesWithControlCharacters) {
    auto ders = parse_pem_certificates(Certificates::get().text("good.pem"));
    ASSERT_TRUE(ders);
    std::string der = (*ders)[0];
    const std::size_t at = der.find("xmpp.example");
    ASSERT_NE(at, std::string::npos);
    der[at + 4] = '\0';
    const auto parsed = parse_certificate(der);
    ASSERT_TRUE(parsed);
    ASSERT_EQ(parsed->dns_names.size(), 1u);
    EXPECT_EQ(parsed->dns_names[0], "*.wild.example");
}

TEST(Certificate, PemFaults) {
    EXPECT_FALSE(parse_pem_certificates(""));
    EXPECT_FALSE(parse_pem_certificates("-----BEGIN CERTIFICATE-----\nAAAA\n"));
    EXPECT_FALSE(
        parse_pem_certificates("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"));
    EXPECT_FALSE(
        TrustStore::parse("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
}

}  // namespace
}  // namespace fedgate::net
