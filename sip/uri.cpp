#include "sip/uri.hpp"

#include <algorithm>
#include <bit>

#include "core/base/byte_mask.hpp"
#include "sip/chars.hpp"
#include "sip/header_values.hpp"

namespace fedgate::sip {
namespace {

using namespace chars;

constexpr std::size_t kHostBytes = 255;  // RFC 1035 2.3.4

// RFC 3261 25.1: hostname = *( domainlabel "." ) toplabel [ "." ]; the top label begins with a
// letter.
bool is_host_name(Bytes host) {
    if (host.ends_with('.')) host.remove_suffix(1);
    if (host.empty() || host.size() > kHostBytes) return false;
    if (host.size() <= kByteMaskBytes) {
        const std::uint64_t dots = byte_mask(host, '.');
        const std::uint64_t dashes = byte_mask(host, '-');
        const std::uint64_t begins = dots << 1 | 1;  // of labels
        const std::uint64_t ends = dots >> 1 | std::uint64_t{1} << (host.size() - 1);
        if ((begins & (dots | dashes)) != 0 || (ends & (dots | dashes)) != 0) return false;
        return is(host[static_cast<std::size_t>(std::bit_width(dots))], kAlpha);
    }
    char before = '.';
    std::size_t top = 0;
    for (std::size_t i = 0; i < host.size(); ++i) {
        const char c = host[i];
        if (c == '.') {
            if (before == '.' || before == '-') return false;
            top = i + 1;
        } else if (c == '-' && before == '.') {
            return false;
        }
        before = c;
    }
    return before != '.' && before != '-' && is(host[top], kAlpha);
}

Scheme find_scheme(Bytes name) {
    if (equal_ignoring_case(name, "sip")) return Scheme::kSip;
    if (equal_ignoring_case(name, "sips")) return Scheme::kSips;
    if (equal_ignoring_case(name, "im")) return Scheme::kIm;
    if (equal_ignoring_case(name, "pres")) return Scheme::kPres;
    if (equal_ignoring_case(name, "tel")) return Scheme::kTel;
    return Scheme::kOther;
}

// *( ";" pname [ "=" pvalue ] ), without the first ';'.
bool valid_params(Bytes params) {
    if (params == "transport=tcp" || params == "transport=tls") return true;  // nearly always
    for (std::size_t count = 0; count < kUriParameters; ++count) {
        const std::size_t name = span_escaped<kParam>(params);
        if (name == 0) return false;
        params.remove_prefix(name);
        if (take(params, '=')) params.remove_prefix(span_escaped<kParam>(params));
        if (params.empty()) return true;
        if (!take(params, ';')) return false;
    }
    return false;
}

// RFC 3966: a number with visual separators, or a local one; then parameters.
bool parse_tel(Bytes rest, Uri& out) {
    const std::size_t size = rest.find(';');
    out.user = rest.substr(0, size);
    out.has_user = true;
    bool digit = false;
    for (std::size_t i = 0; i < out.user.size(); ++i) {
        const char c = out.user[i];
        if (c == '+' && i == 0) continue;
        if (is(c, kHex) || c == '*' || c == '#') {
            digit = true;
        } else if (c != '-' && c != '.' && c != '(' && c != ')') {
            return false;
        }
    }
    if (size != Bytes::npos) out.params = rest.substr(size + 1);
    return digit && (size == Bytes::npos || valid_params(out.params));
}

bool parse_sip(Bytes rest, Uri& out) {
    // '@' is not allowed unescaped behind the host, so the first one, if any, ends the user part
    // (ADDR-22).
    const std::size_t user = span_escaped<kUser>(rest);
    if (user < rest.size() && (rest[user] == '@' || rest[user] == ':')) {
        const Bytes behind = rest.substr(user + 1);
        const std::size_t password = rest[user] == ':' ? span_escaped<kPassword>(behind) : 0;
        if (rest[user] == '@') {
            out.has_user = true;
            out.user = rest.substr(0, user);
            rest = behind;
        } else if (password < behind.size() && behind[password] == '@') {
            out.has_user = true;
            out.user = rest.substr(0, user);
            out.password = behind.substr(0, password);
            rest = behind.substr(password + 1);
        }
        if (out.has_user && out.user.empty()) return false;
    }
    if (!take_host_port(rest, out.at)) return false;
    if (take(rest, ';')) {
        const std::size_t size = rest.find('?');
        out.params = rest.substr(0, size);
        if (!valid_params(out.params)) return false;
        rest.remove_prefix(out.params.size());
    }
    if (take(rest, '?')) {
        out.headers = rest;
        return !rest.empty() && span_escaped<kUriHeader>(rest) == rest.size() &&
               std::count(rest.begin(), rest.end(), '&') <
                   static_cast<std::ptrdiff_t>(kUriParameters);
    }
    return rest.empty();
}

constexpr char kHexDigits[] = "0123456789ABCDEF";

template <int kKeep>
void percent_encode(Bytes text, Sink& out) {
    while (!text.empty()) {
        const std::size_t plain = span<kKeep>(text);
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty()) return;
        const auto c = static_cast<std::uint8_t>(text.front());
        const char escaped[] = {'%', kHexDigits[c >> 4], kHexDigits[c & 15]};
        out.append({escaped, sizeof escaped});
        text.remove_prefix(1);
    }
}

// The next byte of an escaped text, decoded. The text has been checked: each '%' has two digits
// behind it.
int take_decoded(Bytes& text) {
    int c = static_cast<std::uint8_t>(text.front());
    if (c == '%' && text.size() >= 3) {
        c = hex_value(text[1]) * 16 + hex_value(text[2]);
        text.remove_prefix(2);
    }
    text.remove_prefix(1);
    return c;
}

bool same_escaped(Bytes a, Bytes b, bool ignoring_case) {
    while (!a.empty() && !b.empty()) {
        int left = take_decoded(a);
        int right = take_decoded(b);
        if (ignoring_case && left < 128 && right < 128) {
            left = lower(static_cast<char>(left));
            right = lower(static_cast<char>(right));
        }
        if (left != right) return false;
    }
    return a.empty() && b.empty();
}

// Each parameter of `a` is the same in `b`, or may be left out there (RFC 3261 19.1.4).
bool params_agree(Bytes a, Bytes b) {
    Bytes name;
    Parameter mine;
    while (take_parameter(a, name, mine)) {
        const Parameter theirs = find_parameter(b, name);
        if (theirs) {
            if (!same_escaped(mine.value, theirs.value, true)) return false;
        } else if (equal_ignoring_case(name, "user") || equal_ignoring_case(name, "ttl") ||
                   equal_ignoring_case(name, "method") || equal_ignoring_case(name, "maddr") ||
                   equal_ignoring_case(name, "transport")) {
            return false;
        }
    }
    return true;
}

// Each `name=value` of `a` is in `b`; the order does not matter.
bool headers_within(Bytes a, Bytes b) {
    while (!a.empty()) {
        const Bytes one = a.substr(0, a.find('&'));
        a.remove_prefix(one.size() + (one.size() < a.size() ? 1 : 0));
        bool found = false;
        for (Bytes rest = b; !found && !rest.empty();) {
            const Bytes other = rest.substr(0, rest.find('&'));
            rest.remove_prefix(other.size() + (other.size() < rest.size() ? 1 : 0));
            found = same_escaped(one, other, true);
        }
        if (!found) return false;
    }
    return true;
}

}  // namespace

bool same_letters(const char* a, const char* b, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

bool is_ipv4(Bytes text) {
    for (int part = 0; part < 4; ++part) {
        std::uint64_t value = 0;
        const std::size_t size = take_number(text, 255, value);
        if (size == 0 || size > 3) return false;
        if (part < 3 && !take(text, '.')) return false;
    }
    return text.empty();
}

// RFC 5954 (RFC 3986's grammar): eight groups, one "::" at most, an IPv4 address as the last two.
// SIP-53. RFC 5118 4.10: the grammar of RFC 3261 lets one more colon stand between "::" and an IPv4
// address, so that is to be read as well.
bool is_ipv6(Bytes text) {
    const auto odd_ipv4 = [&text] { return text.starts_with(':') && is_ipv4(text.substr(1)); };
    int groups = 0;
    bool gap = false;
    if (text.starts_with("::")) {
        gap = true;
        text.remove_prefix(2);
        if (text.empty() || odd_ipv4()) return true;
    }
    while (true) {
        const std::size_t size = span<kHex>(text);
        if (size < text.size() && text[size] == '.') {
            groups += 2;
            return is_ipv4(text) && (gap ? groups < 8 : groups == 8);
        }
        if (size == 0 || size > 4) return false;
        ++groups;
        text.remove_prefix(size);
        if (text.empty()) return gap ? groups < 8 : groups == 8;
        if (!take(text, ':')) return false;
        if (take(text, ':')) {
            if (gap) return false;
            gap = true;
            if (text.empty()) return groups < 8;
            if (odd_ipv4()) return groups + 2 < 8;
        }
        if (groups >= 8) return false;
    }
}

bool take_host_port(Bytes& rest, HostPort& out) {
    out = {};
    if (take(rest, '[')) {
        const std::size_t size = rest.find(']');
        if (size == Bytes::npos || !is_ipv6(rest.substr(0, size))) return false;
        out.host = rest.substr(0, size);
        out.kind = HostKind::kIpv6;
        rest.remove_prefix(size + 1);
    } else {
        const std::size_t size = span<kHost>(rest);
        if (size == 0) return false;
        out.host = {rest.data(), size};
        if (is(out.host.front(), kDigit) && is_ipv4(out.host)) {
            out.kind = HostKind::kIpv4;
        } else if (is_host_name(out.host)) {
            out.kind = HostKind::kName;
        } else {
            return false;
        }
        rest.remove_prefix(size);
    }
    if (take(rest, ':')) {
        std::uint64_t port = 0;
        if (take_number(rest, 65'535, port) == 0 || port == 0) return false;
        out.port = static_cast<std::uint16_t>(port);
    }
    return true;
}

Fault read_uri(Bytes text, Uri& uri) {
    uri.text = text;
    if (text.starts_with("sip:")) {  // nearly always
        uri.scheme = Scheme::kSip;
        return parse_sip(text.substr(4), uri) ? Fault{} : Fault{"URI"};
    }
    const std::size_t colon = text.find(':');
    if (colon == Bytes::npos || colon == 0 || !is(text[0], kAlpha)) return {"URI scheme"};
    for (const char c : text.substr(0, colon)) {
        if (!is(c, kAlpha | kDigit) && c != '+' && c != '-' && c != '.') return {"URI scheme"};
    }
    uri.scheme = find_scheme(text.substr(0, colon));
    const Bytes rest = text.substr(colon + 1);
    if (uri.scheme == Scheme::kOther) {
        return {"URI scheme", all<kUri>(rest)};
    }
    const bool good = uri.scheme == Scheme::kTel ? parse_tel(rest, uri) : parse_sip(rest, uri);
    return good ? Fault{} : Fault{"URI"};
}

Result<Uri> parse_uri(Bytes text) {
    Uri uri;
    if (const Fault fault = read_uri(text, uri)) return Failure{fault.error()};
    return uri;
}

bool take_parameter(Bytes& rest, Bytes& name, Parameter& out) {
    out = {};
    rest = skip_space(rest);
    if (rest.empty()) return false;
    // URI parameter names may hold escapes and "[]/:&+$" (RFC 3261 25.1), those of header fields
    // are tokens.
    const std::size_t size = short_span < kToken | kParam > (rest);
    if (size == 0) return false;
    name = {rest.data(), size};
    out.found = true;
    Bytes left = rest;
    left.remove_prefix(size);
    left = skip_space(left);
    if (take(left, '=')) {
        left = skip_space(left);
        const bool quoted = !left.empty() && left.front() == '"';
        const std::size_t length = quoted ? quoted_size(left) : span<kBare>(left);
        if (quoted && length == 0) return false;
        out.has_value = true;
        out.value = {left.data(), length};
        left.remove_prefix(length);
        left = skip_space(left);
    }
    if (!left.empty()) {
        // Behind a ';' another one must come: ";;" and a last ";" are malformed (RFC 4475 3.1.2.1).
        if (!take(left, ';')) return false;
        left = skip_space(left);
        if (left.empty()) return false;
    }
    rest = left;
    return true;
}

Parameter find_parameter(Bytes params, Bytes name) {
    Bytes found;
    Parameter out;
    while (take_parameter(params, found, out)) {
        if (equal_ignoring_case(found, name)) return out;
    }
    return {};
}

bool percent_decode(Bytes text, Sink& out) {
    while (!text.empty()) {
        const std::size_t plain = text.find('%');
        out.append(text.substr(0, plain));
        if (plain == Bytes::npos) break;
        text.remove_prefix(plain);
        if (text.size() < 3 || hex_value(text[1]) < 0 || hex_value(text[2]) < 0) return false;
        out.append(static_cast<char>(hex_value(text[1]) * 16 + hex_value(text[2])));
        text.remove_prefix(3);
    }
    return !out.overflowed();
}

void percent_encode_user(Bytes text, Sink& out) { percent_encode<kUser>(text, out); }
void percent_encode_gr(Bytes text, Sink& out) { percent_encode<kParam>(text, out); }

bool same_uri(const Uri& a, const Uri& b) {
    if (a.text == b.text) return true;
    if (a.scheme != b.scheme || a.has_user != b.has_user) return false;
    if (!same_escaped(a.user, b.user, false) || !same_escaped(a.password, b.password, false))
        return false;
    if (!equal_ignoring_case(a.at.host, b.at.host) || a.at.port != b.at.port) return false;
    if (!params_agree(a.params, b.params) || !params_agree(b.params, a.params)) return false;
    return headers_within(a.headers, b.headers) && headers_within(b.headers, a.headers);
}

bool same_aor(const Uri& a, const Uri& b) {
    return same_escaped(a.user, b.user, false) && equal_ignoring_case(a.at.host, b.at.host);
}

}  // namespace fedgate::sip
