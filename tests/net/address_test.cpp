#include "net/address.hpp"

#include <gtest/gtest.h>

namespace fedgate::net {
namespace {

SocketAddress ip(Bytes text, std::uint16_t port = 0) {
    auto address = parse_ip(text, port);
    EXPECT_TRUE(address) << text;
    return *address;
}

TEST(Address, RoundTrip) {
    for (const Bytes text :
         {"127.0.0.1:5060", "[::1]:5061", "[2001:db8::2]:65535", "255.255.255.255:1"}) {
        const auto address = parse_address(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(format_address(*address), text);
    }
    EXPECT_EQ(format_address(*parse_address("[::ffff:10.0.0.1]:80")), "10.0.0.1:80");
    EXPECT_EQ(format_ip(ip("::1")), "::1");
    EXPECT_EQ(port_of(with_port(ip("10.1.2.3", 5), 77)), 77);
}

TEST(Address, HostAndPort) {
    const struct {
        Bytes text;
        const char* host;
        std::uint16_t port;
        bool given;
    } good[] = {
        {"example.org", "example.org", 99, false},
        {"example.org:1", "example.org", 1, true},
        {"[::1]", "::1", 99, false},
        {"[::1]:65535", "::1", 65'535, true},
        {"::1", "::1", 99, false},
        {"10.0.0.1:5060", "10.0.0.1", 5'060, true},
    };
    for (const auto& [text, host, port, given] : good) {
        const auto parts = parse_host_port(text, 99);
        ASSERT_TRUE(parts) << text;
        EXPECT_EQ(parts->host, host);
        EXPECT_EQ(parts->port, port);
        EXPECT_EQ(parts->port_given, given);
    }
    for (const Bytes text : {"", ":1", "a:", "a:0", "a:65536", "a:1x", "a:-1", "[::1", "[::1]x",
                             "[a]:1", "1:2:3", "a b", "[10.0.0.1]:1", "a:1:2"}) {
        EXPECT_FALSE(parse_host_port(text, 99)) << text;
    }
    EXPECT_FALSE(parse_host_port(std::string(300, 'a'), 1));
    EXPECT_FALSE(parse_address("127.0.0.1"));
    EXPECT_FALSE(parse_address("example.org:1"));
    EXPECT_FALSE(parse_ip(std::string(100, '1'), 1));
    EXPECT_FALSE(parse_ip(Bytes("127.0.0.1\0x", 11), 1));
}

TEST(Address, Ranges) {
    const struct {
        Bytes range, inside, outside;
    } cases[] = {
        {"127.0.0.0/8", "127.255.0.1", "128.0.0.1"},
        {"::1", "::1", "::2"},
        {"10.0.0.0/9", "10.127.0.1", "10.128.0.0"},
        {"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"},
        {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
        {"0.0.0.0/0", "1.2.3.4", "2001:db8::1"},
        {"10.0.0.7/32", "10.0.0.7", "10.0.0.6"},
    };
    for (const auto& [range, inside, outside] : cases) {
        const auto parsed = AddressRange::parse(range);
        ASSERT_TRUE(parsed) << range;
        EXPECT_TRUE(parsed->contains(ip(inside))) << range;
        EXPECT_FALSE(parsed->contains(ip(outside))) << range;
    }
    for (const Bytes text :
         {"", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x", "a/8", "10.0.0.0/-1"}) {
        EXPECT_FALSE(AddressRange::parse(text)) << text;
    }
    EXPECT_TRUE(is_loopback(ip("127.1.2.3")));
    EXPECT_TRUE(is_loopback(ip("::1")));
    EXPECT_FALSE(is_loopback(ip("10.0.0.1")));
    for (const char* one : {"10.0.0.1", "223.255.255.255", "127.0.0.1", "2001:db8::1", "::1"})
        EXPECT_TRUE(is_unicast(ip(one))) << one;
    for (const char* none : {"0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1",
                             "::ffff:0.0.0.0", "::ffff:239.1.2.3"}) {
        EXPECT_FALSE(is_unicast(ip(none))) << none;
    }
    EXPECT_TRUE(same_ip(ip("::ffff:10.0.0.1", 1), ip("10.0.0.1", 2)));
    EXPECT_FALSE(same_address(ip("10.0.0.1", 1), ip("10.0.0.1", 2)));
}

}  // namespace
}  // namespace fedgate::net
