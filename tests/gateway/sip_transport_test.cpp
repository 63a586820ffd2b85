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

}  // namespace
}  // namespace fedgate::gateway
