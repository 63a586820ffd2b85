// Addresses as configuration writes them. Plain data: no socket type in it, so that rules stay
// pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fedgate::config {

// `127.0.0.1:5060`, `[::]:5269`.
struct Address {
    bool v6 = false;
    std::array<std::uint8_t, 16> bytes{};  // IPv4: the first four
    std::uint16_t port = 0;
    std::string text;  // as normalised, with the port

    friend bool operator==(const Address&, const Address&) = default;
};

// `127.0.0.0/8`, `::1`. An IPv4-mapped IPv6 address is taken as IPv4.
struct Network {
    bool v6 = false;
    std::array<std::uint8_t, 16> bytes{};
    std::uint8_t prefix = 0;

    // `address` is 4 or 16 bytes in network order.
    [[nodiscard]] bool contains(std::string_view address) const;
};

enum class Transport : std::uint8_t { kAny, kUdp, kTcp, kTls };

// `udp:127.0.0.1:5060`
struct SipListen {
    Transport transport = Transport::kUdp;
    Address address;
};

// `sip:pool.example:5061;transport=tls`. Port 0 and kAny: RFC 3263 decides.
struct SipTarget {
    std::string host;  // A-label, or IP literal without brackets
    bool literal = false;
    std::uint16_t port = 0;
    Transport transport = Transport::kAny;
};

// `edge1.example:23456`, `[::1]:23456`. Port 0: none was given.
struct HostPort {
    std::string host;
    bool literal = false;
    std::uint16_t port = 0;
};

[[nodiscard]] std::optional<Address> parse_address(std::string_view text);
// The same with another port.
[[nodiscard]] Address with_port(Address, std::uint16_t port);
[[nodiscard]] std::optional<Network> parse_network(std::string_view text);
[[nodiscard]] std::optional<SipListen> parse_sip_listen(std::string_view text);
[[nodiscard]] std::optional<SipTarget> parse_sip_target(std::string_view text);
[[nodiscard]] std::optional<HostPort> parse_host_port(std::string_view text);
[[nodiscard]] std::string_view name_of(Transport);

}  // namespace fedgate::config
