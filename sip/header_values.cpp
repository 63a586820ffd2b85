// The values of single header fields, each by its grammar in RFC 3261 25.1.
#include "sip/header_values.hpp"

#include <cstring>

#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

using namespace chars;

Transport find_transport(Bytes name) {
    if (equal_ignoring_case(name, "TCP")) return Transport::kTcp;
    if (equal_ignoring_case(name, "UDP")) return Transport::kUdp;
    if (equal_ignoring_case(name, "TLS")) return Transport::kTls;
    if (equal_ignoring_case(name, "SCTP")) return Transport::kSctp;
    return Transport::kOther;
}

// "SIP" LWS "/" LWS "2.0" LWS "/" LWS transport, with white space behind it.
bool take_sent_protocol(Bytes& rest, Via& via) {
    constexpr Bytes kUsual = "SIP/2.0/";
    if (rest.size() > kUsual.size() &&
        std::memcmp(rest.data(), kUsual.data(), kUsual.size()) == 0) {
        rest.remove_prefix(kUsual.size());
    } else {
        const Bytes parts[] = {"SIP", "/", "2.0", "/"};
        for (const Bytes part : parts) {
            if (!equal_ignoring_case(rest.substr(0, part.size()), part)) return false;
            rest = skip_space(rest.substr(part.size()));
        }
    }
    const std::size_t size = short_span<kToken>(rest);
    if (size == 0 || size == rest.size() || !is(rest[size], kSpace)) return false;
    via.transport_name = {rest.data(), size};
    via.transport = find_transport(via.transport_name);
    rest.remove_prefix(size);
    rest = skip_space(rest);
    return true;
}

// host [ COLON port ], where white space may stand around the colon.
bool take_sent_by(Bytes& rest, HostPort& out) {
    if (!take_host_port(rest, out)) return false;
    rest = skip_space(rest);
    if (out.port != 0 || rest.empty() || rest.front() != ':') return true;
    rest = skip_space(rest.substr(1));
    std::uint64_t port = 0;
    if (take_number(rest, 65'535, port) == 0 || port == 0) return false;
    out.port = static_cast<std::uint16_t>(port);
    rest = skip_space(rest);
    return true;
}

bool read_via_parameter(Bytes name, const Parameter& value, Via& via) {
    if (equal_ignoring_case(name, "branch")) {
        if (!via.branch.empty() || value.value.empty() || !all<kToken>(value.value)) return false;
        via.branch = value.value;
    } else if (equal_ignoring_case(name, "received")) {
        // SIP-53, RFC 5118 4.5: with and without brackets.
        via.received = value.value;
        if (via.received.starts_with('[') && via.received.ends_with(']')) {
            via.received = via.received.substr(1, via.received.size() - 2);
        }
        return is_ipv4(via.received) || is_ipv6(via.received);
    } else if (equal_ignoring_case(name, "rport")) {
        via.has_rport = true;
        std::uint64_t port = 0;
        if (!value.value.empty() && !number(value.value, 65'535, port)) return false;
        via.rport = static_cast<std::uint16_t>(port);
    } else if (equal_ignoring_case(name, "alias")) {
        via.alias = true;
    }
    return true;
}

// `;name=value` behind a value; nothing else may follow.
template <typename Read>
bool read_parameters(Bytes rest, Bytes& params, Read read) {
    rest = skip_space(rest);
    if (rest.empty()) return true;
    if (!take(rest, ';')) return false;
    params = rest = trim(rest);
    if (rest.empty()) return false;
    Bytes name;
    Parameter value;
    while (take_parameter(rest, name, value)) {
        if (!read(name, value)) return false;
    }
    return rest.empty();
}

// Quoted string, or tokens, before '<'. Bytes beyond ASCII are let through without quotes, since
// many write them so; a comma or anything else that separates is not (RFC 4475 3.1.2.15).
bool valid_display(Bytes display) {
    if (display.starts_with('"')) return quoted_size(display) == display.size();
    for (const char c : display) {
        if (!is(c, kToken | kSpace) && static_cast<std::uint8_t>(c) < 0x80) return false;
    }
    return true;
}

// Where '<' is outside a quoted display name, or npos.
std::size_t find_angle(Bytes value) {
    std::size_t start = 0;
    if (value.starts_with('<')) return 0;
    if (value.starts_with('"')) {
        start = quoted_size(value);
        if (start == 0) return Bytes::npos;
    }
    return value.find('<', start);
}

Bytes without_quotes(Bytes value) {
    return value.size() >= 2 && value.front() == '"' ? value.substr(1, value.size() - 2) : value;
}

}  // namespace

Fault read_via(Bytes value, Via& via) {
    via.text = value;
    if (!take_sent_protocol(value, via)) return {"Via protocol"};
    if (!take_sent_by(value, via.sent_by)) return {"Via sent-by"};
    const auto read = [&via](Bytes name, const Parameter& parameter) {
        return read_via_parameter(name, parameter, via);
    };
    if (!read_parameters(value, via.params, read)) return {"Via parameters"};
    return {};
}

Fault read_name_addr(Bytes value, NameAddr& out) {
    value = trim(value);
    const std::size_t open = find_angle(value);
    Bytes uri;
    Bytes rest;
    if (open != Bytes::npos) {
        if (open != 0) {
            out.display = trim(value.substr(0, open));
            if (!valid_display(out.display)) return {"display name"};
        }
        const std::size_t close = value.find('>', open);
        if (close == Bytes::npos) return {"angle brackets"};
        uri = {value.data() + open + 1, close - open - 1};
        rest = {value.data() + close + 1, value.size() - close - 1};
    } else {
        // RFC 3261 20.10: without <> the parameters are the header field's, and a URI with a comma
        // or a question mark can't stand here.
        const std::size_t end = value.find(';');
        uri = trim(value.substr(0, end));
        rest = value.substr(uri.size());
        if (uri.find_first_of("?,") != Bytes::npos) return {"URI needs <>"};
    }
    constexpr Bytes kTag = ";tag=";
    if (rest.starts_with(kTag) && rest.size() > kTag.size() &&
        all<kToken>(rest.substr(kTag.size()))) {  // and nothing else, nearly always
        out.params = rest.substr(1);
        out.tag = rest.substr(kTag.size());
        return read_uri(uri, out.uri);
    }
    const auto read = [&out](Bytes name, const Parameter& parameter) {
        if (!equal_ignoring_case(name, "tag")) return true;
        if (!out.tag.empty() || parameter.value.empty()) return false;
        out.tag = parameter.value;
        return all<kToken>(out.tag);
    };
    if (!read_parameters(rest, out.params, read)) return {"parameters"};
    return read_uri(uri, out.uri);
}

Fault read_cseq(Bytes value, Cseq& out) {
    std::uint64_t number_value = 0;
    // RFC 3261 8.1.1.5: less than 2^31.
    if (take_number(value, 0x7fff'ffff, number_value) == 0) return {"CSeq number"};
    out.number = static_cast<std::uint32_t>(number_value);
    out.method_name = skip_space(value);
    if (out.method_name.size() == value.size() || out.method_name.empty()) return {"CSeq method"};
    out.method = find_method(out.method_name);
    if (out.method == Method::kUnknown && !all<kToken>(out.method_name)) return {"CSeq method"};
    return {};
}

Result<Via> parse_via(Bytes value) {
    Via via;
    if (const Fault fault = read_via(trim(value), via)) return Failure{fault.error()};
    return via;
}

Result<NameAddr> parse_name_addr(Bytes value) {
    NameAddr out;
    if (const Fault fault = read_name_addr(value, out)) return Failure{fault.error()};
    return out;
}

Result<Cseq> parse_cseq(Bytes value) {
    Cseq out;
    if (const Fault fault = read_cseq(value, out)) return Failure{fault.error()};
    return out;
}

Result<ContentType> parse_content_type(Bytes value) {
    ContentType out;
    value = trim(value);
    out.type = value.substr(0, span<kToken>(value));
    Bytes rest = skip_space(value.substr(out.type.size()));
    if (out.type.empty() || !take(rest, '/')) return failure(Errc::kMalformed, "Content-Type");
    rest = skip_space(rest);
    out.subtype = rest.substr(0, span<kToken>(rest));
    if (out.subtype.empty()) return failure(Errc::kMalformed, "Content-Type");
    const auto read = [&out](Bytes name, const Parameter& parameter) {
        if (equal_ignoring_case(name, "charset")) out.charset = without_quotes(parameter.value);
        if (equal_ignoring_case(name, "boundary")) out.boundary = without_quotes(parameter.value);
        return true;
    };
    if (!read_parameters(rest.substr(out.subtype.size()), out.params, read)) {
        return failure(Errc::kMalformed, "Content-Type parameters");
    }
    return out;
}

Result<EventType> parse_event(Bytes value) {
    EventType out;
    value = trim(value);
    out.package = value.substr(0, span<kToken>(value));
    const auto read = [&out](Bytes name, const Parameter& parameter) {
        if (!equal_ignoring_case(name, "id")) return true;
        if (!out.id.empty() || parameter.value.empty()) return false;
        out.id = parameter.value;
        return all<kToken>(out.id);
    };
    Bytes params;
    if (out.package.empty() || !read_parameters(value.substr(out.package.size()), params, read)) {
        return failure(Errc::kMalformed, "Event");
    }
    return out;
}

Result<SubscriptionState> parse_subscription_state(Bytes value) {
    SubscriptionState out;
    value = trim(value);
    out.state = value.substr(0, span<kToken>(value));
    const auto read_seconds = [](const Parameter& parameter, std::optional<std::uint32_t>& into) {
        const auto seconds = parse_seconds(parameter.value);
        if (into || !seconds || !all<kDigit>(parameter.value)) return false;
        into = *seconds;
        return true;
    };
    const auto read = [&](Bytes name, const Parameter& parameter) {
        if (equal_ignoring_case(name, "expires")) return read_seconds(parameter, out.expires);
        if (equal_ignoring_case(name, "retry-after"))
            return read_seconds(parameter, out.retry_after);
        if (!equal_ignoring_case(name, "reason")) return true;
        if (!out.reason.empty() || parameter.value.empty()) return false;
        out.reason = parameter.value;
        return all<kToken>(out.reason);
    };
    Bytes params;
    if (out.state.empty() || !read_parameters(value.substr(out.state.size()), params, read)) {
        return failure(Errc::kMalformed, "Subscription-State");
    }
    return out;
}

Result<NameAddr> parse_route(Bytes value) {
    NameAddr out;
    if (const Fault fault = read_name_addr(value, out)) return Failure{fault.error()};
    const bool sip = out.uri.scheme == Scheme::kSip || out.uri.scheme == Scheme::kSips;
    const bool bare = out.uri.text.data() == trim(value).data();
    if (!sip || bare || !out.uri.headers.empty()) return failure(Errc::kMalformed, "route");
    return out;
}

Result<NameAddr> parse_target(const Message& message) {
    const Header* const header = message.find(HeaderName::kContact);
    if (header == nullptr) return failure(Errc::kNotFound, "Contact");
    Bytes list = header->value;
    Bytes item;
    if (message.next(header) != nullptr || !take_item(list, item) || !list.empty()) {
        return failure(Errc::kMalformed, "one Contact");
    }
    NameAddr out;
    if (const Fault fault = read_name_addr(item, out)) return Failure{fault.error()};
    const bool sip = out.uri.scheme == Scheme::kSip || out.uri.scheme == Scheme::kSips;
    if (!sip || !out.uri.headers.empty()) return failure(Errc::kMalformed, "Contact");
    return out;
}

Result<std::uint32_t> parse_seconds(Bytes value) {
    value = trim(value);
    const std::size_t digits = span<kDigit>(value);
    if (digits == 0) return failure(Errc::kMalformed, "delta-seconds");
    // Behind it: a comment or parameters (Retry-After), white space, or nothing.
    if (digits < value.size() && !is(value[digits], kSpace) && value[digits] != ';' &&
        value[digits] != '(') {
        return failure(Errc::kMalformed, "delta-seconds");
    }
    std::uint64_t seconds = 0;
    if (!number(value.substr(0, digits), UINT32_MAX, seconds)) return UINT32_MAX;  // SIP-2
    return static_cast<std::uint32_t>(seconds);
}

bool take_item(Bytes& list, Bytes& item) {
    if (list.empty()) return false;
    if (list.find(',') == Bytes::npos) {
        item = trim(list);
        list = {};
        return true;
    }
    std::size_t i = 0;
    bool angle = false;
    while (i < list.size()) {
        const char c = list[i];
        if (c == '"' && !angle) {
            const std::size_t size = quoted_size(list.substr(i));
            i = size == 0 ? list.size() : i + size;
            continue;
        }
        if (c == '<') angle = true;
        if (c == '>') angle = false;
        if (c == ',' && !angle) break;
        ++i;
    }
    item = trim(list.substr(0, i));
    if (i + 1 == list.size()) {
        list = " ";  // a comma at the end has an empty value behind it: the next call gives it
    } else {
        list.remove_prefix(i < list.size() ? i + 1 : i);
    }
    return true;
}

void unquote(Bytes quoted, Sink& out) {
    if (quoted.size() < 2 || quoted.front() != '"') return out.append(quoted);
    quoted = quoted.substr(1, quoted.size() - 2);
    for (std::size_t i = 0; i < quoted.size(); ++i) {
        if (quoted[i] == '\\' && i + 1 < quoted.size()) ++i;
        out.append(quoted[i]);
    }
}

}  // namespace fedgate::sip
