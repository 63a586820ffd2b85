// What the loops need to know about a SocketAddress. Text forms are net's.
#pragma once

#include <cstring>
#include <netinet/in.h>

#include "core/run/loop.hpp"

namespace fedgate {

inline SocketAddress make_address(const sockaddr_in& from) {
    SocketAddress address;
    std::memcpy(&address.storage, &from, sizeof from);
    address.length = sizeof from;
    return address;
}

inline SocketAddress make_address(const sockaddr_in6& from) {
    SocketAddress address;
    std::memcpy(&address.storage, &from, sizeof from);
    address.length = sizeof from;
    return address;
}

inline sockaddr_in as_ipv4(const SocketAddress& address) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &address.storage, sizeof ipv4);
    return ipv4;
}

inline sockaddr_in6 as_ipv6(const SocketAddress& address) {
    sockaddr_in6 ipv6;
    std::memcpy(&ipv6, &address.storage, sizeof ipv6);
    return ipv6;
}

// A socket on [::] speaks IPv4 too, as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). Outside the loops an IPv4
// address always has its own form.
inline SocketAddress to_mapped(const SocketAddress& address) {
    if (address.storage.sin6_family != AF_INET) return address;
    const sockaddr_in ipv4 = as_ipv4(address);
    sockaddr_in6 ipv6{};
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = ipv4.sin_port;
    ipv6.sin6_addr.s6_addr[10] = ipv6.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&ipv6.sin6_addr.s6_addr[12], &ipv4.sin_addr, 4);
    return make_address(ipv6);
}

inline SocketAddress from_mapped(const SocketAddress& address) {
    if (address.storage.sin6_family != AF_INET6) return address;
    const sockaddr_in6 ipv6 = as_ipv6(address);
    if (!IN6_IS_ADDR_V4MAPPED(&ipv6.sin6_addr)) return address;
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = ipv6.sin6_port;
    std::memcpy(&ipv4.sin_addr, &ipv6.sin6_addr.s6_addr[12], 4);
    return make_address(ipv4);
}

}  // namespace fedgate
