// SIP URIs: RFC 3261 19.1 and 25.1; also sips, im, pres (RFC 3859, 3860) and tel (RFC 3966).
// Pure views into the given text; nothing is copied or decoded. Hosts are checked strictly
// (SIP-53).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"

namespace fedgate::sip {

enum class Scheme : std::uint8_t { kSip, kSips, kIm, kPres, kTel, kOther };
enum class HostKind : std::uint8_t { kNone, kName, kIpv4, kIpv6 };

// Parameters, and headers, in one URI; above: malformed. Keeps the comparison of two URIs short.
constexpr std::size_t kUriParameters = 64;

struct HostPort {
    Bytes host;  // IPv6 without its brackets
    HostKind kind = HostKind::kNone;
    std::uint16_t port = 0;  // 0: not written
};

struct Uri {
    Bytes text;  // the whole URI as it is written
    Bytes user;  // as written, still escaped; up to ':' or '@'. tel: the number
    Bytes password;
    Bytes params;   // after the first ';' of the URI, without it
    Bytes headers;  // after '?', without it
    HostPort at;    // tel: none
    Scheme scheme = Scheme::kOther;
    bool has_user = false;
};

// Errc::kUnsupported: a scheme that is not one of ours (416); Errc::kMalformed: anything else
// (400).
[[nodiscard]] Result<Uri> parse_uri(Bytes text);

// Takes host [":" port] from the front of `rest`; false when there is none or it is not
// well-formed.
[[nodiscard]] bool take_host_port(Bytes& rest, HostPort& out);

[[nodiscard]] bool is_ipv4(Bytes);
[[nodiscard]] bool is_ipv6(Bytes);  // no brackets, no zone

// One parameter of a `;name=value` list (a URI's params, or a header field's).
struct Parameter {
    bool found = false;
    bool has_value = false;
    Bytes value;  // without white space around it; quotes kept
    explicit operator bool() const { return found; }
};
// Name in any case. Escapes in names are not decoded.
[[nodiscard]] Parameter find_parameter(Bytes params, Bytes name);
// Takes the next parameter off the front of `rest`. False: no more, or malformed (then rest is not
// empty).
[[nodiscard]] bool take_parameter(Bytes& rest, Bytes& name, Parameter& out);

// %HH -> byte (ADDR-23). False: a broken escape or no room.
[[nodiscard]] bool percent_decode(Bytes text, Sink& out);
// The user part by the set of ADDR-4; a `gr` value by the set of ADDR-7.
void percent_encode_user(Bytes text, Sink& out);
void percent_encode_gr(Bytes text, Sink& out);

// RFC 3261 19.1.4.
[[nodiscard]] bool same_uri(const Uri& a, const Uri& b);
// The same address of record (ADDR-32): user case-sensitive after decoding, host in any case, sip
// only.
[[nodiscard]] bool same_aor(const Uri& a, const Uri& b);

[[nodiscard]] bool same_letters(const char* a, const char* b, std::size_t size);
[[nodiscard, gnu::always_inline]] inline bool equal_ignoring_case(Bytes a, Bytes b) {  // ASCII
    return a.size() == b.size() && (b.empty() || std::memcmp(a.data(), b.data(), b.size()) == 0 ||
                                    same_letters(a.data(), b.data(), b.size()));
}

}  // namespace fedgate::sip
