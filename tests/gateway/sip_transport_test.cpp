#include "appliance/gateway/sip_transport.hpp"

#include <gtest/gtest.h>

namespace fedgate::gateway {
namespace {

PeerIdentity identity(std::vector<std::string> uris, std::vector<std::string> dns_names) {
    PeerIdentity identity;
    identity.presented = true;
    identity.chain_valid = true;
    identity.uris = std::move(uris);
    identity.dns_names = std::move(dns_names);
    return identity;
}

TEST(SipName, IsProvedByACertificate) {  // SIP-31
    EXPECT_TRUE(proves_sip_name(identity({"sip:sip.example"}, {}), "sip.example"));
    EXPECT_TRUE(proves_sip_name(identity({"sip:SIP.example"}, {}), "sip.example"));
    EXPECT_TRUE(proves_sip_name(identity({}, {"Sip.Example"}), "sip.example"));
    EXPECT_TRUE(proves_sip_name(identity({"http://x"}, {"sip.example"}), "sip.example"));
    EXPECT_FALSE(proves_sip_name(identity({"sip:other.example"}, {"sip.example"}),
                                 "sip.example"));  // URIs decide
    EXPECT_FALSE(proves_sip_name(identity({"sip:user@sip.example"}, {}), "sip.example"));
    EXPECT_FALSE(proves_sip_name(identity({}, {"*.example"}), "sip.example"));  // no wildcard
    EXPECT_FALSE(proves_sip_name(identity({}, {"sip.example"}), ""));
    PeerIdentity invalid = identity({}, {"sip.example"});
    invalid.chain_valid = false;
    EXPECT_FALSE(proves_sip_name(invalid, "sip.example"));
    EXPECT_FALSE(proves_sip_name({}, "sip.example"));
}

TEST(SipName, AWildcardOnlyWhereItIsAllowed) {  // SIP-31, CERT-4
    const PeerIdentity any = identity({}, {"*.pool.example"});
    EXPECT_FALSE(proves_sip_name(any, "a.pool.example"));
    EXPECT_TRUE(proves_sip_name(any, "a.pool.example", true));
    EXPECT_FALSE(proves_sip_name(any, "pool.example", true));
    EXPECT_FALSE(proves_sip_name(any, "a.b.pool.example", true));
    EXPECT_FALSE(proves_sip_name(identity({}, {"*.example"}), "pool.example", true));
    EXPECT_FALSE(proves_sip_name(identity({}, {"a*.pool.example"}), "ab.pool.example", true));
    EXPECT_FALSE(proves_sip_name(identity({"sip:*.pool.example"}, {}), "a.pool.example", true));
    EXPECT_FALSE(proves_sip_name(identity({"sip:other.example"}, {"*.pool.example"}),
                                 "a.pool.example", true));  // URIs decide
}

}  // namespace
}  // namespace fedgate::gateway
