#include "net/address.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>

namespace fedgate::net {
namespace {

constexpr std::size_t kAddressTextMax = INET6_ADDRSTRLEN;
constexpr unsigned char kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(const IpKey& key) { return std::memcmp(key.bytes, kMappedPrefix, 12) == 0; }

Result<std::uint16_t> parse_port(Bytes text) {
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    if (error != std::errc() || stop != end || port == 0) return failure(Errc::kMalformed, "port");
    return port;
}

}  // namespace

Result<SocketAddress> parse_ip(Bytes text, std::uint16_t port) {
    if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
        text = text.substr(1, text.size() - 2);
        if (text.find(':') == Bytes::npos) return failure(Errc::kMalformed, "address");
    }
    char copy[kAddressTextMax + 1] = {};
    if (text.empty() || text.size() > kAddressTextMax || text.find('\0') != Bytes::npos) {
        return failure(Errc::kMalformed, "address");
    }
    std::memcpy(copy, text.data(), text.size());
    SocketAddress address;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (inet_pton(AF_INET, copy, &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        std::memcpy(&address.storage, &v4, sizeof v4);
        address.length = sizeof v4;
    } else if (inet_pton(AF_INET6, copy, &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::memcpy(&address.storage, &v6, sizeof v6);
        address.length = sizeof v6;
    } else {
        return failure(Errc::kMalformed, "address");
    }
    return address;
}

Result<HostPort> parse_host_port(Bytes text, std::uint16_t default_port) {
    HostPort out;
    out.port = default_port;
    Bytes host = text;
    Bytes port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == Bytes::npos) return failure(Errc::kMalformed, "address: no ]");
        host = text.substr(1, end - 1);
        port = text.substr(end + 1);
        if (!parse_ip(host, 0) || host.find(':') == Bytes::npos)
            return failure(Errc::kMalformed, "address");
    } else if (const std::size_t colon = text.find(':'); colon != Bytes::npos) {
        if (text.find(':', colon + 1) != Bytes::npos) {  // a bare IPv6 address
            if (!parse_ip(text, 0)) return failure(Errc::kMalformed, "address");
        } else {
            host = text.substr(0, colon);
            port = text.substr(colon);
        }
    }
    if (host.empty() || host.size() > 255) return failure(Errc::kMalformed, "host");
    for (const char c : host) {
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f)
            return failure(Errc::kMalformed, "host");
    }
    if (!port.empty()) {
        if (port.front() != ':') return failure(Errc::kMalformed, "port");
        FEDGATE_TRY(number, parse_port(port.substr(1)));
        out.port = number;
        out.port_given = true;
    }
    out.host = host;
    return out;
}

Result<SocketAddress> parse_address(Bytes text) {
    FEDGATE_TRY(parts, parse_host_port(text, 0));
    if (!parts.port_given) return failure(Errc::kMalformed, "address: no port");
    return parse_ip(parts.host, parts.port);
}

IpKey ip_key(const SocketAddress& address) {
    IpKey key;
    if (address.storage.sin6_family == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, &address.storage, sizeof v4);
        std::memcpy(key.bytes, kMappedPrefix, 12);
        std::memcpy(key.bytes + 12, &v4.sin_addr, 4);
    } else if (address.storage.sin6_family == AF_INET6) {
        sockaddr_in6 v6;
        std::memcpy(&v6, &address.storage, sizeof v6);
        std::memcpy(key.bytes, &v6.sin6_addr, 16);
    }
    return key;
}

void write_ip(Sink& out, const SocketAddress& address) {
    const IpKey key = ip_key(address);
    if (is_mapped(key)) {  // by hand: a response to each message names its source
        for (std::size_t i = 12; i < 16; ++i) {
            if (i > 12) out.append('.');
            out.append_number(unsigned{key.bytes[i]});
        }
        return;
    }
    char text[kAddressTextMax + 1];
    if (inet_ntop(AF_INET6, key.bytes, text, sizeof text) != nullptr) out.append(Bytes(text));
}

void write_address(Sink& out, const SocketAddress& address) {
    const bool v6 = !is_mapped(ip_key(address));
    if (v6) out.append('[');
    write_ip(out, address);
    if (v6) out.append(']');
    out.append(':');
    out.append_number(port_of(address));
}

std::string format_address(const SocketAddress& address) {
    char memory[kAddressTextMax + 16];
    Sink out{MutableBytes(memory)};
    write_address(out, address);
    return std::string(out.written());
}

std::string format_ip(const SocketAddress& address) {
    char memory[kAddressTextMax + 1];
    Sink out{MutableBytes(memory)};
    write_ip(out, address);
    return std::string(out.written());
}

// The port stands at the same place in sockaddr_in and sockaddr_in6.
static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));

std::uint16_t port_of(const SocketAddress& address) {
    std::uint16_t port = 0;
    std::memcpy(&port,
                reinterpret_cast<const char*>(&address.storage) + offsetof(sockaddr_in, sin_port),
                2);
    return ntohs(port);
}

SocketAddress with_port(SocketAddress address, std::uint16_t port) {
    const std::uint16_t wire = htons(port);
    std::memcpy(reinterpret_cast<char*>(&address.storage) + offsetof(sockaddr_in, sin_port), &wire,
                2);
    return address;
}

bool is_ipv6(const SocketAddress& address) { return address.storage.sin6_family == AF_INET6; }

bool is_unicast(const SocketAddress& address) {
    const IpKey key = ip_key(address);
    if (is_mapped(key)) return key.bytes[12] != 0 && key.bytes[12] < 224;
    return key != IpKey{} && key.bytes[0] != 0xff;
}

bool is_loopback(const SocketAddress& address) {
    const IpKey key = ip_key(address);
    if (is_mapped(key)) return key.bytes[12] == 127;
    IpKey one;
    one.bytes[15] = 1;
    return key == one;
}

bool same_ip(const SocketAddress& a, const SocketAddress& b) { return ip_key(a) == ip_key(b); }
bool same_address(const SocketAddress& a, const SocketAddress& b) {
    return same_ip(a, b) && port_of(a) == port_of(b);
}

Result<AddressRange> AddressRange::parse(Bytes text) {
    const std::size_t slash = text.find('/');
    FEDGATE_TRY(address, parse_ip(text.substr(0, slash), 0));
    const unsigned offset = is_ipv6(address) ? 0 : 96;
    AddressRange range;
    range.prefix_ = ip_key(address);
    if (slash == Bytes::npos) return range;
    const Bytes digits = text.substr(slash + 1);
    unsigned bits = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, bits);
    if (error != std::errc() || stop != end || bits > 128 - offset) {
        return failure(Errc::kMalformed, "address range");
    }
    range.bits_ = bits + offset;
    return range;
}

bool AddressRange::contains(const SocketAddress& address) const {
    const IpKey key = ip_key(address);
    const std::size_t whole = bits_ / 8;
    if (std::memcmp(key.bytes, prefix_.bytes, whole) != 0) return false;
    if (bits_ % 8 == 0) return true;
    const auto mask = static_cast<unsigned char>(0xff << (8 - bits_ % 8));
    return ((key.bytes[whole] ^ prefix_.bytes[whole]) & mask) == 0;
}

bool contains(const std::vector<AddressRange>& ranges, const SocketAddress& address) {
    for (const AddressRange& range : ranges) {
        if (range.contains(address)) return true;
    }
    return false;
}

}  // namespace fedgate::net
