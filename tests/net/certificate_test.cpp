#include "net/certificate.hpp"

#include <gtest/gtest.h>

#include "tests/net/certificates.hpp"

namespace fedgate::net {
namespace {

using test::Certificates;

WallTime once_made() {
    static_cast<void>(Certificates::get());
    return test::wall_now();
}

TrustStore trust(const char* file = "ca.pem") {
    auto store = TrustStore::parse(Certificates::get().text(file));
    EXPECT_TRUE(store);
    return std::move(*store);
}

// The chain in a PEM file, judged on these terms; their roots are those of `ca`.
PeerIdentity identify_with(const std::string& file, PeerTerms terms, bool by_client = false,
                           const char* ca = "ca.pem", WallTime now = once_made()) {
    auto ders = parse_pem_certificates(Certificates::get().text(file));
    EXPECT_TRUE(ders) << file;
    const std::vector<Bytes> chain(ders->begin(), ders->end());
    const TrustStore roots = trust(ca);
    terms.roots = &roots;
    return identify_peer({.chain = chain, .by_client = by_client}, terms, now);
}

PeerIdentity identify(const std::string& file, WallTime now = {}, const char* ca = "ca.pem") {
    return identify_with(file, {}, false, ca, now == WallTime{} ? once_made() : now);
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
        // Another authority.
        {"weak_ca.pem", "is signed by an authority that is not trusted (other)"},
        // Its intermediate is missing; an end entity has signed it; the path is too long.
        {"lonely.pem", "is signed by an authority that is not trusted (inter)"},
        {"byleaf.pem", "is signed by an authority that is not trusted (good)"},
        {"toolong.pem", "is signed by an authority that is not trusted (inter)"},
        {"self.pem", "is self-signed"},
        {"client.pem", "is not for servers (extended key usage)"},  // CERT-6
        {"authority.pem", "is an authority's, not a server's"},     // CERT-6: cA=TRUE
        {"critical.pem", "has a critical extension that is not understood"},
        {"rsa1024.pem", "has an RSA key of 1024 bits, which is too short"},  // CERT-5
        {"sha1.pem", "has a signature weaker than SHA-256, or an unknown one"},
        // RFC 5280 4.2.1.10: constraints of a kind that is not understood.
        {"belowodd.pem",
         "is signed by odd, whose certificate has a critical extension that is not "
         "understood"},
    };
    for (const auto& [file, fault] : cases) {
        const PeerIdentity peer = identify(file);
        EXPECT_TRUE(peer.presented) << file;
        EXPECT_FALSE(peer.chain_valid) << file;
        EXPECT_EQ(peer.fault, fault) << file;
    }
}

// RFC 4055: the digest's salt, a longer one; SHA-1 stays refused.
TEST(Certificate, SignaturesOfRsaPss) {
    for (const char* file : {"pss.pem", "pss512.pem"}) {
        const PeerIdentity peer = identify(file, {}, "rsaca.pem");
        EXPECT_TRUE(peer.chain_valid) << file << ": " << peer.fault;
    }
    EXPECT_EQ(identify("psssha1.pem", {}, "rsaca.pem").fault,
              "has a signature weaker than SHA-256, or an unknown one");
    auto ders = parse_pem_certificates(Certificates::get().text("pss.pem"));
    ASSERT_TRUE(ders);
    std::string der = (*ders)[0];
    der.back() = static_cast<char>(der.back() ^ 0x01);
    const Bytes chain[] = {der};
    const TrustStore roots = trust("rsaca.pem");
    EXPECT_NE(fault_of_chain({.chain = chain}, {.roots = &roots}, once_made()), "");
}

// What was found good is not checked again; nothing else gets by for that.
TEST(GoodSignatures, RemembersTheGoodOnly) {
    const TrustStore roots = trust("ca.pem");
    const Certificate& root = roots.roots()[0];
    const auto ders = parse_pem_certificates(Certificates::get().text("good.pem"));
    ASSERT_TRUE(ders);
    const auto leaf = parse_certificate((*ders)[0]);
    ASSERT_TRUE(leaf);
    GoodSignatures signatures;
    const auto check = [&](Bytes message, Bytes signature, const PublicKey& by) {
        return signatures.check(message, signature, leaf->algorithm, by);
    };
    std::string altered(leaf->signature);
    altered.back() = static_cast<char>(altered.back() ^ 0x01);
    for (std::size_t round = 0; round < 3; ++round) {
        EXPECT_TRUE(check(leaf->signed_part, leaf->signature, root.key));
        EXPECT_EQ(signatures.looked_up(), round);
        EXPECT_FALSE(check(leaf->signed_part, altered, root.key));
        EXPECT_FALSE(check(leaf->signed_part.substr(1), leaf->signature, root.key));
        EXPECT_FALSE(check(leaf->signed_part, leaf->signature, leaf->key));
        EXPECT_EQ(signatures.looked_up(), round);
    }
}

// RFC 5280 4.2.1.10. The constraint on dNSNames binds every kind of name that speaks for a domain.
TEST(Certificate, NameConstraintsHold) {
    EXPECT_EQ(identify("inside.pem").fault, "");
    for (const char* file : {"outside.pem", "outside_srv.pem", "outside_xmpp.pem",
                             "outside_uri.pem", "outside_parameter.pem", "outside_query.pem",
                             "excluded.pem", "excluded_by_star.pem", "excluded_by_dot.pem"}) {
        EXPECT_NE(identify(file).fault.find("its authority narrow may not speak"),
                  std::string::npos)
            << file << ": " << identify(file).fault;
    }
    EXPECT_EQ(identify("outside_xmpp.pem").fault,
              "names other.example, for which its authority narrow may not speak (name "
              "constraints)");
}

// CERT-6: the role counts only where the administrator has said so.
TEST(Certificate, ExtendedKeyUsage) {
    const PeerTerms strict{.strict_usage = true};
    const bool kAsClient = true;
    for (const bool by_client : {false, true}) {
        EXPECT_TRUE(identify_with("good.pem", {}, by_client).chain_valid);  // serverAuth
        EXPECT_FALSE(identify_with("client.pem", {}, by_client).chain_valid);
        EXPECT_TRUE(identify_with("second.pem", strict, by_client).chain_valid);  // none at all
        EXPECT_TRUE(identify_with("anyusage.pem", strict, by_client).chain_valid);
        EXPECT_TRUE(identify_with("clientserver.pem", strict, by_client).chain_valid);
    }
    EXPECT_TRUE(identify_with("good.pem", strict).chain_valid);
    EXPECT_TRUE(identify_with("client.pem", strict, kAsClient).chain_valid);
    EXPECT_FALSE(identify_with("client.pem", strict).chain_valid);
    EXPECT_EQ(identify_with("good.pem", strict, kAsClient).fault,
              "is not for clients (extended key usage), and eku = strict asks for that");
}

// CERT-7: instead of the chain, and nothing but the chain.
TEST(Certificate, PinsReplaceTheChain) {
    const std::vector<std::string> pins{
        std::string(64, '0'), identify("self.pem").fingerprint_sha256,
        identify("weak_ca.pem").fingerprint_sha256, identify("rsa1024.pem").fingerprint_sha256};
    const PeerTerms pinned{.pins = pins};
    EXPECT_EQ(identify_with("self.pem", pinned).fault, "");
    EXPECT_EQ(identify_with("weak_ca.pem", pinned).fault, "");
    EXPECT_EQ(identify_with("good.pem", pinned).fault,  // although its chain is trusted
              "is none of those pinned for this partner (its SHA-256 is " +
                  identify("good.pem").fingerprint_sha256 + ")");
    EXPECT_EQ(identify_with("rsa1024.pem", pinned).fault,
              "has an RSA key of 1024 bits, which is too short");
    const WallTime late = once_made() + std::chrono::days(400);
    EXPECT_EQ(identify_with("self.pem", pinned, false, "ca.pem", late).fault,
              "expired on " + readable_minute(identify("self.pem").not_after));
}

// CERT-5: dates.
TEST(Certificate, IsValidOnlyInItsTime) {
    const WallTime end = identify("good.pem").not_after;
    EXPECT_EQ(identify("good.pem", end).fault, "");
    EXPECT_EQ(identify("good.pem", end + 1s).fault, "expired on " + readable_minute(end));
    EXPECT_TRUE(identify("good.pem", once_made() - std::chrono::days(2))
                    .fault.starts_with("is not valid before "));
    EXPECT_FALSE(identify("good.pem", once_made() + std::chrono::days(400)).chain_valid);
}

TEST(Certificate, TrustsWhatIsConfiguredItself) {
    EXPECT_TRUE(identify("good.pem", once_made(), "good.pem").chain_valid);
    EXPECT_FALSE(identify("good.pem", once_made(), "other.pem").chain_valid);
    // A pinned end entity makes nobody else valid.
    EXPECT_FALSE(identify("byleaf.pem", once_made(), "good.pem").chain_valid);
}

TEST(Certificate, ShownNoneMeansInvalid) {
    const TrustStore roots = trust();
    const PeerIdentity peer = identify_peer({}, {.roots = &roots}, once_made());
    EXPECT_FALSE(peer.presented);
    EXPECT_FALSE(peer.chain_valid);
    // No roots, no trust: never the other way round.
    auto ders = parse_pem_certificates(Certificates::get().text("good.pem"));
    const Bytes chain[] = {(*ders)[0]};
    EXPECT_FALSE(identify_peer({.chain = chain}, {}, once_made()).chain_valid);
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
        if (fault_of_chain({.chain = chain}, {.roots = &store}, once_made()).empty()) ++valid;
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

std::string element(unsigned char tag, const std::string& content) {
    std::string out(1, static_cast<char>(tag));
    if (content.size() >= 0x80) out += '\x82', out += static_cast<char>(content.size() >> 8);
    return out + static_cast<char>(content.size() & 0xff) + content;
}

// A key is the peer's to make: checking a signature with it must not cost what making one does.
TEST(Certificate, AnRsaKeyWithALongExponentIsNotAccepted) {
    const std::string algorithm =
        element(0x30, std::string("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
                                  "\x05\x00",
                                  13));
    const auto kind_of = [&](const std::string& exponent) {
        const std::string numbers =
            element(0x02, '\0' + std::string(256, '\xf1')) + element(0x02, exponent);
        const std::string whole =
            element(0x30, algorithm + element(0x03, '\0' + element(0x30, numbers)));
        PublicKey key;
        EXPECT_TRUE(parse_public_key(whole, key));
        return key.kind;
    };
    EXPECT_EQ(kind_of("\x01"), KeyKind::kOther);
    EXPECT_EQ(kind_of(std::string("\x01\x00\x01", 3)), KeyKind::kRsa);
    EXPECT_EQ(kind_of("\x03"), KeyKind::kRsa);
    EXPECT_EQ(kind_of('\0' + std::string(8, '\xff')), KeyKind::kRsa);
    EXPECT_EQ(kind_of('\x7f' + std::string(8, '\xff')), KeyKind::kOther);
    EXPECT_EQ(kind_of('\x7f' + std::string(255, '\xff')), KeyKind::kOther);
}

}  // namespace
}  // namespace fedgate::net
