// Endpoints as text and as the kernel wants them, and address ranges. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/run/loop.hpp"

namespace fedgate::net {

// A numeric address without a port: `127.0.0.1`, `::1`, `[::1]`.
Result<SocketAddress> parse_ip(Bytes text, std::uint16_t port);
// A numeric address with a port: `127.0.0.1:5060`, `[::1]:5060`.
Result<SocketAddress> parse_address(Bytes text);

// A name or a numeric address, with the port or `default_port`: `host`, `host:port`, `[v6]:port`.
// An address keeps no brackets.
struct HostPort {
    std::string host;
    std::uint16_t port = 0;
    bool port_given = false;
};
Result<HostPort> parse_host_port(Bytes text, std::uint16_t default_port);

// `127.0.0.1:5060`, `[::1]:5060`. A v4-mapped address is written as IPv4.
void write_address(Sink&, const SocketAddress&);
void write_ip(Sink&, const SocketAddress&);  // no port, no brackets
std::string format_address(const SocketAddress&);
std::string format_ip(const SocketAddress&);

[[nodiscard]] std::uint16_t port_of(const SocketAddress&);
[[nodiscard]] SocketAddress with_port(SocketAddress, std::uint16_t port);
[[nodiscard]] bool is_ipv6(const SocketAddress&);
[[nodiscard]] bool is_loopback(const SocketAddress&);
// One machine's: not 0.0.0.0/8 or ::, multicast, or 240.0.0.0/4 with the broadcast address.
[[nodiscard]] bool is_unicast(const SocketAddress&);
[[nodiscard]] bool same_ip(const SocketAddress&, const SocketAddress&);
[[nodiscard]] bool same_address(const SocketAddress&, const SocketAddress&);  // and port
// The address without its port, as bytes of equal meaning for v4 and v4-mapped: a key for tables.
struct IpKey {
    unsigned char bytes[16] = {};
    friend bool operator==(const IpKey&, const IpKey&) = default;
};
[[nodiscard]] IpKey ip_key(const SocketAddress&);

// `127.0.0.0/8`, `::1`, `2001:db8::/32`.
class AddressRange {
public:
    static Result<AddressRange> parse(Bytes text);
    [[nodiscard]] bool contains(const SocketAddress&) const;

private:
    IpKey prefix_;
    unsigned bits_ = 128;  // counted in the mapped 16 bytes
};

[[nodiscard]] bool contains(const std::vector<AddressRange>&, const SocketAddress&);

}  // namespace fedgate::net
