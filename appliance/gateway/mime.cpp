#include "appliance/gateway/mime.hpp"

#include <algorithm>
#include <utility>

#include "appliance/gateway/chat_state.hpp"
#include "appliance/gateway/html.hpp"
#include "appliance/gateway/receipt.hpp"
#include "sip/uri.hpp"

namespace fedgate::gateway {
namespace {

using sip::equal_ignoring_case;

constexpr unsigned kDepthMax = 4;              // SIP-5
constexpr unsigned kPartsMax = 32;             // SIP-5
constexpr std::size_t kBoundaryBytesMax = 70;  // RFC 2046 5.1.1

Bytes trim(Bytes text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

// Takes one line and its line end (CRLF or LF) off the front.
Bytes take_line(Bytes& text) {
    const std::size_t end = text.find('\n');
    Bytes line = text.substr(0, end);
    text.remove_prefix(end == Bytes::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

struct PartHeaders {
    Bytes content_type;
    Bytes transfer_encoding;
    Bytes disposition;
    Bytes subject;
    Bytes date;
    Bytes message_id;
    Bytes wanted;
    Bytes imdn = "imdn";  // the prefix of its headers (RFC 3862 3.4)
};

void note_header(PartHeaders& headers, Bytes line) {
    const std::size_t colon = line.find(':');
    if (colon == Bytes::npos) return;
    struct Row {
        Bytes name;
        Bytes PartHeaders::* field;
    };
    static constexpr Row kRows[] = {
        {"Content-Type", &PartHeaders::content_type},
        {"Content-Transfer-Encoding", &PartHeaders::transfer_encoding},
        {"Content-Disposition", &PartHeaders::disposition},
        {"Subject", &PartHeaders::subject},
        {"DateTime", &PartHeaders::date},
    };
    Bytes name = trim(line.substr(0, colon));
    const Bytes value = trim(line.substr(colon + 1));
    for (const Row& row : kRows) {
        if (equal_ignoring_case(row.name, name)) headers.*row.field = value;
    }
    // RFC 5438 6.
    if (name == "NS" && value.ends_with("<urn:ietf:params:imdn>")) {
        headers.imdn = trim(value.substr(0, value.find('<')));
    } else if (name.size() > headers.imdn.size() && name[headers.imdn.size()] == '.' &&
               name.starts_with(headers.imdn)) {
        name.remove_prefix(headers.imdn.size() + 1);
        if (equal_ignoring_case(name, "Message-ID")) headers.message_id = value;
        if (equal_ignoring_case(name, "Disposition-Notification")) headers.wanted = value;
    }
}

// Headers up to the empty line; `text` is then the content. A folded line is one with the line
// before it (RFC 5322 2.2.3): the view spans both, and a value with a line end inside is legal
// here.
PartHeaders take_headers(Bytes& text) {
    PartHeaders headers;
    while (!text.empty()) {
        const char* begin = text.data();
        Bytes line = take_line(text);
        if (line.empty()) break;
        while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) {
            const Bytes more = take_line(text);
            line = Bytes(begin, static_cast<std::size_t>(more.data() + more.size() - begin));
        }
        note_header(headers, line);
    }
    return headers;
}

bool set_transfer(BodyPart& part, Bytes encoding) {
    struct Row {
        Bytes name;
        BodyPart::Transfer transfer;
    };
    static constexpr Row kRows[] = {
        {"", BodyPart::Transfer::kPlain},
        {"binary", BodyPart::Transfer::kPlain},
        {"8bit", BodyPart::Transfer::kPlain},
        {"7bit", BodyPart::Transfer::kPlain},
        {"base64", BodyPart::Transfer::kBase64},
        {"quoted-printable", BodyPart::Transfer::kQuotedPrintable},
    };
    for (const Row& row : kRows) {
        if (equal_ignoring_case(row.name, encoding)) {
            part.transfer = row.transfer;
            return true;
        }
    }
    return false;
}

struct Search {
    unsigned parts = 0;
    bool malformed = false;    // 400
    bool unsupported = false;  // 415
};

BodyText find_in(const PartHeaders&, Bytes content, unsigned depth, Search&);

// Splits at "--boundary" lines; calls visit(part) for each. False: no closing structure at all.
template <typename Visit>
bool for_each_part(Bytes content, Bytes boundary, Search& search, Visit&& visit) {
    Bytes rest = content;
    const char* part_begin = nullptr;
    while (!rest.empty()) {
        const char* line_begin = rest.data();
        const Bytes line = take_line(rest);
        if (!line.starts_with("--") || !line.substr(2).starts_with(boundary)) continue;
        const Bytes tail = trim(line.substr(2 + boundary.size()));
        if (!tail.empty() && tail != "--") continue;  // a longer boundary of an inner part
        if (part_begin != nullptr) {
            Bytes part(part_begin, static_cast<std::size_t>(line_begin - part_begin));
            if (part.ends_with('\n')) part.remove_suffix(1);  // belongs to the boundary
            if (part.ends_with('\r')) part.remove_suffix(1);
            if (++search.parts > kPartsMax) {
                search.unsupported = true;
                return true;
            }
            visit(part);
        }
        part_begin = rest.data();
        if (tail == "--") return true;
    }
    return false;
}

BodyText find_in_multipart(Bytes content_type, Bytes content, unsigned depth, Search& search) {
    BodyText best;
    const Bytes boundary = find_parameter(content_type, "boundary");
    if (boundary.empty() || boundary.size() > kBoundaryBytesMax) {
        search.malformed = true;
        return best;
    }
    if (depth == kDepthMax) {
        search.unsupported = true;
        return best;
    }
    const bool alternative = equal_ignoring_case(media_type(content_type), "multipart/alternative");
    const bool whole = for_each_part(content, boundary, search, [&](Bytes part) {
        const PartHeaders headers = take_headers(part);
        BodyText found = find_in(headers, part, depth + 1, search);
        const bool required =
            equal_ignoring_case(find_parameter(headers.disposition, "handling"), "required");
        const bool is_text = found.kind == BodyKind::kText || found.kind == BodyKind::kHtml;
        if (found.verdict != BodyVerdict::kFound || !is_text) {
            ++best.parts_dropped;
            if (required)
                search.unsupported = true;  // SIP-5: an unknown part that must be understood
            return;
        }
        // IM-40, IM-41: the first text/plain, else the first text/html.
        const bool has_best = best.verdict == BodyVerdict::kFound;
        const bool better =
            !has_best || (best.kind == BodyKind::kHtml && found.kind == BodyKind::kText);
        const std::uint32_t dropped = best.parts_dropped + (has_best ? 1 : 0);
        if (better) std::swap(best, found);
        if (alternative && best.html.data.data() == nullptr) best.html = found.html;
        best.parts_dropped = dropped;
    });
    if (!whole) search.malformed = true;
    return best;
}

BodyText find_in(const PartHeaders& headers, Bytes content, unsigned depth, Search& search) {
    BodyText found;
    const Bytes type = media_type(headers.content_type);
    if (type.size() > 10 && equal_ignoring_case(type.substr(0, 10), "multipart/")) {
        return find_in_multipart(headers.content_type, content, depth, search);
    }
    if (equal_ignoring_case(type, "message/cpim")) {  // IM-42
        if (depth == kDepthMax) return found;
        const PartHeaders message = take_headers(content);
        const PartHeaders inner = take_headers(content);
        found = find_in(inner, content, depth + 1, search);
        if (found.cpim_subject.empty()) found.cpim_subject = message.subject;
        if (found.cpim_date.empty()) found.cpim_date = message.date;
        found.message_id = message.message_id;
        found.wanted = message.wanted;
        return found;
    }
    struct Row {
        Bytes type;
        BodyKind kind;
    };
    static constexpr Row kRows[] = {
        {"", BodyKind::kText},
        {"text/plain", BodyKind::kText},
        {"text/html", BodyKind::kHtml},
        {kTypingType, BodyKind::kTyping},
        {kReceiptType, BodyKind::kReceipt},
    };
    const auto* row = std::ranges::find_if(
        kRows, [&](const Row& r) { return equal_ignoring_case(r.type, type); });
    if (row == std::end(kRows)) return found;
    found.kind = row->kind;
    // SIP-5: only what is to be rendered is text.
    const Bytes disposition = trim(headers.disposition.substr(0, headers.disposition.find(';')));
    const bool is_text = row->kind == BodyKind::kText || row->kind == BodyKind::kHtml;
    if (is_text && !disposition.empty() && !equal_ignoring_case(disposition, "render") &&
        !equal_ignoring_case(disposition, "inline")) {
        return found;
    }
    const auto charset = find_charset(find_parameter(headers.content_type, "charset"));
    if (!charset || !set_transfer(found.part, headers.transfer_encoding)) return found;
    found.part.charset = *charset;
    found.part.data = content;
    if (row->kind == BodyKind::kHtml) found.html = found.part;
    found.verdict = BodyVerdict::kFound;
    return found;
}

// The part without its transfer encoding; null: that is broken, or there is no room.
Bytes decode(const BodyPart& part, Sink& work) {
    if (part.transfer == BodyPart::Transfer::kPlain) return part.data;
    const bool good = part.transfer == BodyPart::Transfer::kBase64
                          ? decode_base64(part.data, work)
                          : decode_quoted_printable(part.data, work);
    return good && !work.overflowed() ? work.written() : Bytes();
}

}  // namespace

Bytes media_type(Bytes content_type) {
    return trim(content_type.substr(0, content_type.find(';')));
}

Bytes find_parameter(Bytes field, Bytes name) {
    std::size_t at = field.find(';');
    while (at < field.size()) {
        Bytes rest = field.substr(at + 1);
        const std::size_t equals = rest.find_first_of("=;");
        if (equals == Bytes::npos) return {};
        if (rest[equals] == ';') {  // a parameter without value
            at += 1 + equals;
            continue;
        }
        const Bytes found = trim(rest.substr(0, equals));
        rest.remove_prefix(equals + 1);
        while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
        Bytes value;
        if (rest.starts_with('"')) {
            const std::size_t end = rest.find('"', 1);
            value = rest.substr(1, end == Bytes::npos ? end : end - 1);
            rest.remove_prefix(end == Bytes::npos ? rest.size() : end);
        } else {
            value = trim(rest.substr(0, rest.find(';')));
        }
        if (equal_ignoring_case(found, name)) return value;
        const std::size_t next = rest.find(';');
        if (next == Bytes::npos) return {};
        at = static_cast<std::size_t>(rest.data() + next - field.data());
    }
    return {};
}

BodyText find_text(const BodyFields& fields, Bytes body) {
    Search search;
    PartHeaders headers;
    headers.content_type = fields.content_type;
    headers.transfer_encoding = fields.transfer_encoding;
    headers.disposition = fields.disposition;
    BodyText found = find_in(headers, body, 0, search);
    if (search.unsupported) found.verdict = BodyVerdict::kUnsupported;
    if (search.malformed) found.verdict = BodyVerdict::kMalformed;
    return found;
}

bool write_body_text(const BodyText& found, MutableBytes scratch, Sink& out) {
    Sink work(scratch);
    const Bytes text = decode(found.part, work);
    if (text.data() == nullptr && found.part.data.data() != nullptr) return false;
    if (found.kind != BodyKind::kHtml) {
        write_clean(found.part.charset, text, out);
        return !out.overflowed();
    }
    const std::size_t begin = work.size();
    write_clean(found.part.charset, text, work);
    if (work.overflowed()) return false;
    write_plain_of_html(work.written().substr(begin), out);
    return !out.overflowed();
}

bool write_body_xhtml(const BodyText& found, MutableBytes scratch, Sink& out) {
    Sink work(scratch);
    const Bytes text = decode(found.html, work);
    if (text.empty()) return false;
    const std::size_t begin = work.size();
    write_clean(found.html.charset, text, work);
    return !work.overflowed() && write_xhtml_of_html(work.written().substr(begin), out) &&
           !out.overflowed();
}

}  // namespace fedgate::gateway
