#include "core/config/address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>

#include "core/config/domain.hpp"

namespace fedgate::config {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <typename T>
bool parse_number(std::string_view text, T maximum, T& number) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && stop == end && !text.empty() && number <= maximum;
}

bool parse_ip(std::string_view text, bool& v6, std::array<std::uint8_t, 16>& bytes) {
    char copy[INET6_ADDRSTRLEN] = {};
    if (text.empty() || text.size() >= sizeof copy || text.contains('\0')) return false;
    std::memcpy(copy, text.data(), text.size());
    bytes = {};
    v6 = text.contains(':');
    return inet_pton(v6 ? AF_INET6 : AF_INET, copy, bytes.data()) == 1;
}

// Cuts `host:port` or `[literal]:port`; the port may be missing.
bool cut_port(std::string_view text, std::string_view& host, std::string_view& port,
              bool& bracket) {
    bracket = text.starts_with('[');
    port = {};
    if (bracket) {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos) return false;
        host = text.substr(1, close - 1);
        text.remove_prefix(close + 1);
        if (text.empty()) return true;
        if (text.front() != ':' || text.size() == 1) return false;
        port = text.substr(1);
        return true;
    }
    const std::size_t colon = text.find(':');
    host = text.substr(0, colon);
    if (colon == std::string_view::npos) return true;
    port = text.substr(colon + 1);
    return !port.empty();
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

}  // namespace

std::string_view name_of(Transport transport) {
    switch (transport) {
        case Transport::kAny: return "any";
        case Transport::kUdp: return "udp";
        case Transport::kTcp: return "tcp";
        case Transport::kTls: return "tls";
    }
    return "";
}

bool Network::contains(std::string_view address) const {
    if (!v6 && address.size() == 16 && std::memcmp(address.data(), kMapped.data(), 12) == 0) {
        address.remove_prefix(12);
    }
    if (address.size() != (v6 ? 16U : 4U)) return false;
    const std::size_t whole = prefix / 8U;
    if (std::memcmp(address.data(), bytes.data(), whole) != 0) return false;
    const unsigned rest = prefix % 8U;
    if (rest == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
    return ((static_cast<std::uint8_t>(address[whole]) ^ bytes[whole]) & mask) == 0;
}

std::optional<Address> parse_address(std::string_view text) {
    Address out;
    std::string_view host;
    std::string_view port;
    bool bracket = false;
    if (!cut_port(text, host, port, bracket) || !parse_ip(host, out.v6, out.bytes) ||
        out.v6 != bracket || !parse_number<std::uint16_t>(port, UINT16_MAX, out.port)) {
        return std::nullopt;
    }
    char written[INET6_ADDRSTRLEN] = {};
    inet_ntop(out.v6 ? AF_INET6 : AF_INET, out.bytes.data(), written, sizeof written);
    out.text = out.v6 ? "[" + std::string(written) + "]" : std::string(written);
    out.text += ":" + std::to_string(out.port);
    return out;
}

Address with_port(Address address, std::uint16_t port) {
    address.port = port;
    address.text.resize(address.text.rfind(':') + 1);
    address.text += std::to_string(port);
    return address;
}

std::optional<Network> parse_network(std::string_view text) {
    Network out;
    const std::size_t slash = text.find('/');
    if (!parse_ip(text.substr(0, slash), out.v6, out.bytes)) return std::nullopt;
    unsigned prefix = out.v6 ? 128 : 32;
    if (slash != std::string_view::npos && !parse_number(text.substr(slash + 1), prefix, prefix)) {
        return std::nullopt;
    }
    if (out.v6 && std::memcmp(out.bytes.data(), kMapped.data(), 12) == 0) {
        if (prefix < 96) return std::nullopt;
        prefix -= 96;
        std::copy(out.bytes.begin() + 12, out.bytes.end(), out.bytes.begin());
        std::fill(out.bytes.begin() + 4, out.bytes.end(), std::uint8_t{0});
        out.v6 = false;
    }
    out.prefix = static_cast<std::uint8_t>(prefix);
    return out;
}

std::optional<SipListen> parse_sip_listen(std::string_view text) {
    SipListen out;
    const std::string scheme = lower(text.substr(0, text.find(':')));
    if (scheme == "udp") {
        out.transport = Transport::kUdp;
    } else if (scheme == "tcp") {
        out.transport = Transport::kTcp;
    } else if (scheme == "tls") {
        out.transport = Transport::kTls;
    } else {
        return std::nullopt;
    }
    if (text.size() < 5) return std::nullopt;
    auto address = parse_address(text.substr(4));
    if (!address) return std::nullopt;
    out.address = std::move(*address);
    return out;
}

std::optional<HostPort> parse_host_port(std::string_view text) {
    HostPort out;
    std::string_view host;
    std::string_view port;
    bool bracket = false;
    if (!cut_port(text, host, port, bracket)) return std::nullopt;
    if (!port.empty() &&
        (!parse_number<std::uint16_t>(port, UINT16_MAX, out.port) || out.port == 0)) {
        return std::nullopt;
    }
    bool v6 = false;
    std::array<std::uint8_t, 16> bytes;
    if (parse_ip(host, v6, bytes)) {
        if (v6 != bracket) return std::nullopt;
        out.literal = true;
        out.host = lower(host);
        return out;
    }
    auto name = bracket ? std::nullopt : normalise_domain(host);
    if (!name) return std::nullopt;
    out.host = std::move(*name);
    return out;
}

std::optional<SipTarget> parse_sip_target(std::string_view text) {
    if (text.size() < 4 || lower(text.substr(0, 4)) != "sip:") return std::nullopt;
    text.remove_prefix(4);
    const std::size_t semicolon = text.find(';');
    auto host = parse_host_port(text.substr(0, semicolon));
    if (!host) return std::nullopt;
    SipTarget out{std::move(host->host), host->literal, host->port, Transport::kAny};
    while (!text.empty()) {
        const std::size_t start = text.find(';');
        if (start == std::string_view::npos) break;
        text.remove_prefix(start + 1);
        const std::string parameter = lower(text.substr(0, text.find(';')));
        if (parameter == "lr") continue;
        if (out.transport != Transport::kAny) return std::nullopt;
        if (parameter == "transport=udp") {
            out.transport = Transport::kUdp;
        } else if (parameter == "transport=tcp") {
            out.transport = Transport::kTcp;
        } else if (parameter == "transport=tls") {
            out.transport = Transport::kTls;
        } else {
            return std::nullopt;
        }
    }
    return out;
}

}  // namespace fedgate::config
