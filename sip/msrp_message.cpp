#include "sip/msrp_message.hpp"

#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

using namespace chars;

constexpr std::uint64_t kNumberMax = UINT32_MAX;  // far above any max-size

bool is_alphanumeric(Bytes text) { return !text.empty() && all < kAlpha | kDigit > (text); }

// Up to the next `separator`, which is taken too.
Bytes take_until(Bytes& rest, char separator) {
    const std::size_t size = rest.find(separator);
    const Bytes part = rest.substr(0, size);
    rest.remove_prefix(size == Bytes::npos ? rest.size() : size + 1);
    return part;
}

bool read_status(Bytes text, std::uint16_t& out) {
    std::uint64_t value = 0;
    if (text.size() != 3 || !number(text, 999, value)) return false;
    out = static_cast<std::uint16_t>(value);
    return true;
}

// A number or '*'.
bool read_bound(Bytes text, std::optional<std::uint64_t>& out) {
    if (text == "*") return true;
    std::uint64_t value = 0;
    if (!number(text, kNumberMax, value)) return false;
    out = value;
    return true;
}

bool read_range(Bytes text, MsrpRange& out) {
    const Bytes first = take_until(text, '-');
    const std::size_t slash = text.find('/');
    if (slash == Bytes::npos || !number(first, kNumberMax, out.first) || out.first == 0)
        return false;
    return read_bound(text.substr(0, slash), out.last) &&
           read_bound(text.substr(slash + 1), out.total);
}

bool read_failure_report(Bytes value, MsrpFailureReport& out) {
    if (equal_ignoring_case(value, "yes")) {
        out = MsrpFailureReport::kYes;
    } else if (equal_ignoring_case(value, "no")) {
        out = MsrpFailureReport::kNo;
    } else if (equal_ignoring_case(value, "partial")) {
        out = MsrpFailureReport::kPartial;
    } else {
        return false;
    }
    return true;
}

bool read_success_report(Bytes value, bool& out) {
    out = equal_ignoring_case(value, "yes");
    return out || equal_ignoring_case(value, "no");
}

// Status: namespace, code, and a comment perhaps. RFC 4975 7.1.2: only 000 is known.
bool read_report_status(Bytes value, std::uint16_t& out) {
    std::uint16_t space = 0;
    std::uint16_t code = 0;
    if (!read_status(take_until(value, ' '), space) || !read_status(take_until(value, ' '), code)) {
        return false;
    }
    out = space == 0 ? code : std::uint16_t{0};
    return true;
}

bool read_path(Bytes value, MsrpPath& out) {
    const auto path = parse_msrp_path(value);
    if (path) out = *path;
    return path.has_value();
}

enum Field : std::uint8_t {
    kToPath,
    kFromPath,
    kMessageId,
    kByteRange,
    kSuccessReport,
    kFailureReport,
    kStatus,
    kContentType,
    kOtherField
};
constexpr Bytes kFields[] = {"To-Path",        "From-Path",      "Message-ID", "Byte-Range",
                             "Success-Report", "Failure-Report", "Status",     "Content-Type"};

Field find_field(Bytes name) {
    for (std::uint8_t i = 0; i < kOtherField; ++i) {
        if (equal_ignoring_case(name, kFields[i])) return static_cast<Field>(i);
    }
    return kOtherField;
}

bool read_field(Field field, Bytes value, MsrpMessage& out) {
    switch (field) {
        case kToPath: return read_path(value, out.to);
        case kFromPath: return read_path(value, out.from);
        case kMessageId:
            if (!is_msrp_ident(value)) return false;
            out.message_id = value;
            return true;
        case kByteRange: return read_range(value, out.range);
        case kSuccessReport: return read_success_report(value, out.success_report);
        case kFailureReport: return read_failure_report(value, out.failure_report);
        case kStatus: return read_report_status(value, out.report_status);
        case kContentType: out.content_type = value; return !value.empty();
        case kOtherField: break;
    }
    return true;
}

// What a request lacks.
MsrpFault check_request(const MsrpMessage& message, bool has_status) {
    if (message.method == MsrpMethod::kSend && message.message_id.empty()) {
        return {400, "no Message-ID"};
    }
    if (message.method != MsrpMethod::kReport) return {};
    if (message.message_id.empty()) return {400, "no Message-ID"};
    if (!has_status) return {400, "no Status"};
    return {};
}

}  // namespace

Result<MsrpUri> parse_msrp_uri(Bytes text) {
    MsrpUri out;
    out.text = text;
    if (!all<kUri>(text)) return failure(Errc::kMalformed, "MSRP URI");
    const std::size_t colon = text.find("://");
    const Bytes scheme = text.substr(0, colon);
    out.secure = equal_ignoring_case(scheme, "msrps");
    if (colon == Bytes::npos || (!out.secure && !equal_ignoring_case(scheme, "msrp"))) {
        return failure(Errc::kUnsupported, "MSRP URI scheme");
    }
    Bytes rest = text.substr(colon + 3);
    Bytes authority = rest.substr(0, rest.find_first_of("/;"));
    rest.remove_prefix(authority.size());
    if (const std::size_t at = authority.rfind('@'); at != Bytes::npos) {
        authority.remove_prefix(at + 1);
    }
    if (!take_host_port(authority, out.at) || !authority.empty()) {
        return failure(Errc::kMalformed, "MSRP URI host");
    }
    if (take(rest, '/')) {
        out.session = rest.substr(0, rest.find(';'));
        if (out.session.empty()) return failure(Errc::kMalformed, "MSRP URI session");
        rest.remove_prefix(out.session.size());
    }
    if (!take(rest, ';')) return failure(Errc::kMalformed, "MSRP URI transport");
    out.transport = rest.substr(0, rest.find(';'));
    if (!is_alphanumeric(out.transport)) return failure(Errc::kMalformed, "MSRP URI transport");
    return out;
}

bool same_msrp_uri(const MsrpUri& a, const MsrpUri& b) {
    return a.secure == b.secure && a.at.kind == b.at.kind && a.at.port == b.at.port &&
           equal_ignoring_case(a.at.host, b.at.host) && a.session == b.session &&
           equal_ignoring_case(a.transport, b.transport);
}

Result<MsrpPath> parse_msrp_path(Bytes text) {
    MsrpPath out;
    out.text = text;
    for (Bytes rest = text; out.count == 0 || !rest.empty();) {
        if (out.count == limits::kMsrpPathUris) return failure(Errc::kLimit, "MSRP path");
        FEDGATE_TRY(uri, parse_msrp_uri(take_until(rest, ' ')));
        if (out.count++ == 0) out.first = uri;
        out.last = uri;
    }
    if (text.ends_with(' ')) return failure(Errc::kMalformed, "MSRP path");
    return out;
}

bool is_msrp_ident(Bytes text) {
    if (text.size() < 4 || text.size() > kMsrpIdentBytes || !is(text[0], kAlpha | kDigit)) {
        return false;
    }
    for (const char c : text) {
        if (!is(c, kAlpha | kDigit) && Bytes(".-+%=").find(c) == Bytes::npos) return false;
    }
    return true;
}

bool read_msrp_start(Bytes line, MsrpMessage& out) {
    if (!line.starts_with("MSRP ") || !all<kLine>(line)) return false;
    line.remove_prefix(5);
    out.transaction = take_until(line, ' ');
    if (!is_msrp_ident(out.transaction)) return false;
    const Bytes word = take_until(line, ' ');
    if (read_status(word, out.status)) {  // what may follow is a comment
        out.method = MsrpMethod::kNone;
        return out.status >= 100;
    }
    if (word.empty() || !line.empty()) return false;
    for (const char c : word) {
        if (c < 'A' || c > 'Z') return false;
    }
    out.method = word == "SEND"     ? MsrpMethod::kSend
                 : word == "REPORT" ? MsrpMethod::kReport
                                    : MsrpMethod::kOther;
    return true;
}

MsrpFault read_msrp_head(Bytes head, MsrpMessage& out) {
    out = {};
    MsrpFault fault;
    unsigned seen = 0;
    std::size_t count = 0;
    for (bool is_start = true; !head.empty(); is_start = false) {
        const std::size_t size = head.find("\r\n");
        const Bytes line = head.substr(0, size);
        if (size == Bytes::npos || !all<kLine>(line)) return {400, "header line", true};
        head.remove_prefix(size + 2);
        if (is_start) {
            if (!read_msrp_start(line, out)) return {400, "start line", true};
            continue;
        }
        if (++count > limits::kMsrpHeaders) return {400, "too many header fields", true};
        const Bytes name = line.substr(0, span<kToken>(line));
        if (name.empty() || !is(name[0], kAlpha) || line.substr(name.size(), 1) != ":") {
            return {400, "header field without name", true};
        }
        const Field field = find_field(name);
        if (field == kOtherField) continue;
        // Which of two paths or ranges holds is anybody's guess.
        const bool is_repeated = (seen >> field & 1) != 0;
        seen |= 1u << field;
        const bool is_good =
            !is_repeated && read_field(field, trim(line.substr(name.size() + 1)), out);
        if (is_good || fault.status != 0) continue;
        fault = {400, is_repeated ? "header field repeated" : "header field value"};
    }
    if (fault.status != 0) return fault;
    if ((seen & 3) != 3) return {400, "no path"};
    return check_request(out, (seen >> kStatus & 1) != 0);
}

}  // namespace fedgate::sip
