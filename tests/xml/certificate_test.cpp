#include "xml/certificate.hpp"

#include <gtest/gtest.h>

namespace fedgate::xml {
namespace {

PeerIdentity valid() {
    PeerIdentity identity;
    identity.presented = true;
    identity.chain_valid = true;
    return identity;
}

// CERT-2
TEST(Certificate, EachKindOfName) {
    PeerIdentity dns = valid();
    dns.dns_names = {"other.example", "a.example"};
    EXPECT_TRUE(covers(dns, "a.example", false));

    PeerIdentity srv = valid();
    srv.srv_names = {"_xmpp-server.a.example"};
    EXPECT_TRUE(covers(srv, "a.example", false));
    EXPECT_FALSE(covers(srv, "b.example", false));
    srv.srv_names = {"_xmpps-server.a.example"};
    EXPECT_FALSE(covers(srv, "a.example", false));
    EXPECT_TRUE(covers(srv, "a.example", true));
    srv.srv_names = {"_xmpp-client.a.example", "_xmpp-server", "_xmpp-server."};
    EXPECT_FALSE(covers(srv, "a.example", true));

    PeerIdentity xmpp = valid();
    xmpp.xmpp_addrs = {"a.example"};
    EXPECT_TRUE(covers(xmpp, "a.example", false));
    xmpp.xmpp_addrs = {"user@a.example", "a.example/resource"};
    EXPECT_FALSE(covers(xmpp, "a.example", false));
}

// CERT-2: never the CN, never a URI.
TEST(Certificate, OtherNamesDoNotCount) {
    PeerIdentity identity = valid();
    identity.subject = "CN=a.example";
    identity.uris = {"xmpp:a.example", "a.example"};
    EXPECT_FALSE(covers(identity, "a.example", true));
}

// CERT-8, S2S-56: what DANE says counts as a certificate, for the domain that it was asked for.
TEST(Certificate, Dane) {
    using Dane = PeerIdentity::Dane;
    PeerIdentity identity = valid();
    identity.dane_domain = "a.example";
    identity.dane_hosts = {"host.example"};
    // Usage 3: neither names nor chain.
    identity.dane = Dane::kServer;
    identity.chain_valid = false;
    identity.dns_names = {"b.example"};
    EXPECT_TRUE(covers(identity, "a.example", false));
    EXPECT_FALSE(covers(identity, "b.example", false));
    // Usage 2: its own chain, the name of the domain or of the server.
    identity.dane = Dane::kAnchor;
    EXPECT_FALSE(covers(identity, "a.example", false));
    identity.dns_names = {"host.example"};
    EXPECT_TRUE(covers(identity, "a.example", false));
    EXPECT_FALSE(covers(identity, "host.example", false));
    identity.dns_names = {"a.example"};
    EXPECT_TRUE(covers(identity, "a.example", false));
    // Usages 0 and 1: the chain, too.
    identity.dane = Dane::kBesidesChain;
    EXPECT_FALSE(covers(identity, "a.example", false));
    identity.chain_valid = true;
    EXPECT_TRUE(covers(identity, "a.example", false));
    // The server's name counts only where DNSSEC vouches for it.
    identity.dns_names = {"host.example"};
    EXPECT_TRUE(covers(identity, "a.example", false));
    identity.dane = Dane::kNone;
    EXPECT_FALSE(covers(identity, "a.example", false));
    // Refused: whatever the chain says.
    identity.dns_names = {"a.example", "b.example"};
    identity.dane = Dane::kRefused;
    EXPECT_FALSE(covers(identity, "a.example", false));
    EXPECT_TRUE(covers(identity, "b.example", false));
}

// CERT-1, CERT-5: the name is worth nothing without the chain.
TEST(Certificate, ChainAndPresence) {
    PeerIdentity identity = valid();
    identity.dns_names = {"a.example"};
    EXPECT_FALSE(covers(identity, "", false));
    identity.chain_valid = false;
    EXPECT_FALSE(covers(identity, "a.example", false));
    identity.chain_valid = true;
    identity.presented = false;
    EXPECT_FALSE(covers(identity, "a.example", false));
}

// CERT-3
TEST(Certificate, CaseAndRootDot) {
    EXPECT_TRUE(dns_name_matches("A.Example", "a.example"));
    EXPECT_TRUE(dns_name_matches("a.example.", "a.example"));
    EXPECT_TRUE(dns_name_matches("XN--Bcher-KVA.example", "xn--bcher-kva.example"));
    EXPECT_FALSE(dns_name_matches("a.example..", "a.example"));
    EXPECT_FALSE(dns_name_matches("", "a.example"));
    EXPECT_FALSE(dns_name_matches(std::string_view("a.example\0.evil.test", 20), "a.example"));
}

// CERT-4
TEST(Certificate, Wildcards) {
    EXPECT_TRUE(dns_name_matches("*.example.com", "a.example.com"));
    EXPECT_FALSE(dns_name_matches("*.example.com", "example.com"));
    EXPECT_FALSE(dns_name_matches("*.example.com", "a.b.example.com"));
    EXPECT_FALSE(dns_name_matches("*.com", "example.com"));
    EXPECT_FALSE(dns_name_matches("*.com.", "example.com"));
    EXPECT_FALSE(dns_name_matches("*", "com"));
    EXPECT_FALSE(dns_name_matches("*", "*"));
    EXPECT_FALSE(dns_name_matches("a*.example.com", "a*.example.com"));
    EXPECT_FALSE(dns_name_matches("a*.example.com", "ab.example.com"));
    EXPECT_FALSE(dns_name_matches("*.*.example.com", "a.b.example.com"));
    EXPECT_FALSE(dns_name_matches("a.*.example.com", "a.b.example.com"));
    EXPECT_FALSE(dns_name_matches("*.example.com", ".example.com"));
    PeerIdentity identity = valid();
    identity.srv_names = {"_xmpp-server.*.example.com"};
    identity.xmpp_addrs = {"*.example.com"};
    EXPECT_FALSE(covers(identity, "a.example.com", true));
}

// CERT-3: A-labels, but an xmppAddr is UTF-8.
TEST(Certificate, InternationalNames) {
    PeerIdentity identity = valid();
    identity.xmpp_addrs = {
        "b\xc3\xbc"
        "cher.example"};
    EXPECT_TRUE(covers(identity, "xn--bcher-kva.example", false));
    EXPECT_FALSE(covers(identity, "bcher.example", false));
    identity.xmpp_addrs = {"XN--BCHER-KVA.example."};
    EXPECT_TRUE(covers(identity, "xn--bcher-kva.example", false));
    identity.xmpp_addrs = {
        "b\xff"
        "cher.example",
        "", ".", "*.example"};
    EXPECT_FALSE(covers(identity, "xn--bcher-kva.example", false));
    identity.xmpp_addrs.clear();
    identity.dns_names = {
        "b\xc3\xbc"
        "cher.example"};  // never so in a dNSName
    EXPECT_FALSE(covers(identity, "xn--bcher-kva.example", false));
}

// CERT-3, CERT-4: corners of single names.
TEST(Certificate, NamesThatLookAlike) {
    const struct {
        const char* presented;
        bool matches;
    } cases[] = {
        {"a.example", true},    {"A.EXAMPLE", true},    {"a.example.", true},
        {"a.example..", false}, {".a.example", false},  {"a.example ", false},
        {"xa.example", false},  {"a.examplex", false},  {"", false},
        {".", false},           {"*", false},           {"*.", false},
        {"*.example", false},   {"*.*.example", false}, {"a.*", false},
        {"*a.example", false},  {"a*.example", false},  {"**.example", false},
    };
    for (const auto& [presented, matches] : cases) {
        EXPECT_EQ(dns_name_matches(presented, "a.example"), matches) << presented;
    }
    EXPECT_TRUE(dns_name_matches("*.A.example.", "b.a.example"));
    EXPECT_FALSE(dns_name_matches("*.a.example", "a.example"));
    EXPECT_FALSE(dns_name_matches("*.a.example", "c.b.a.example"));
    EXPECT_FALSE(dns_name_matches("*.a.example", ".a.example"));
    EXPECT_FALSE(dns_name_matches(Bytes("a.example\0.b", 12), "a.example"));
}

TEST(Certificate, WhyItDoesNotCover) {
    PeerIdentity peer;
    EXPECT_EQ(why_not_covered(peer, "a.example"), "no certificate was shown");
    peer.presented = true;
    peer.fault = "is self-signed";
    EXPECT_EQ(why_not_covered(peer, "a.example"), "the certificate is self-signed");
    peer.chain_valid = true;
    peer.dane = PeerIdentity::Dane::kRefused;  // whatever the chain says
    EXPECT_EQ(why_not_covered(peer, "a.example"), "the certificate is self-signed");
    peer.dane = PeerIdentity::Dane::kNone;
    peer.subject = "Juliet's server";
    peer.not_after = WallTime(std::chrono::seconds(1'800'000'000));
    peer.chain_valid = false;
    EXPECT_EQ(why_not_covered(peer, "a.example"),
              "the certificate is self-signed (subject Juliet's server, valid until 2027-01-15)");
    peer.chain_valid = true;
    peer.subject.assign(10'000, 'x');
    peer.dns_names.assign(9, std::string(10'000, 'x'));  // all of it must fit in a line
    EXPECT_LT(why_not_covered(peer, "a.example").size(), 500u);
    EXPECT_TRUE(why_not_covered(peer, "a.example").starts_with("the certificate names xxx"));
    peer.dns_names.clear();
    peer.subject.clear();
    EXPECT_EQ(why_not_covered(peer, "a.example"), "the certificate names no domain: not a.example");
    peer.dns_names = {"b.example", "*.c.example"};
    peer.srv_names = {"_xmpp-client.a.example"};
    EXPECT_EQ(
        why_not_covered(peer, "a.example"),
        "the certificate names b.example, *.c.example, _xmpp-client.a.example: not a.example");
    peer.xmpp_addrs = {"d.example", "e.example", "f.example"};
    EXPECT_TRUE(
        why_not_covered(peer, "a.example").ends_with("d.example and 2 more: not a.example"));
}

}  // namespace
}  // namespace fedgate::xml
