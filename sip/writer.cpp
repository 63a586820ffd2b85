#include "sip/writer.hpp"

#include <algorithm>
#include <iterator>

#include "sip/chars.hpp"
#include "sip/reason_phrases.hpp"

namespace fedgate::sip {
namespace {

constexpr Bytes kEnd = "\r\n";

// No value may end its line, whatever it is made of.
void append_cleaned(Sink& out, Bytes value) {
    while (true) {
        const std::size_t plain = chars::span<chars::kLine>(value);
        out.append(value.substr(0, plain));
        if (plain == value.size()) return;
        out.append(' ');
        value.remove_prefix(plain + 1);
    }
}

void append_value(Sink& out, Bytes value) {
    chars::may_end_line(value) ? append_cleaned(out, value) : out.append(value);
}

// The same between two texts of ours.
[[gnu::always_inline]] inline void append_between(Sink& out, Bytes before, Bytes value,
                                                  Bytes after) {
    if (!chars::may_end_line(value)) return out.append(before, value, after);
    out.append(before);
    append_cleaned(out, value);
    out.append(after);
}

void append_line(Sink& out, Bytes name, Bytes value) {
    if (!chars::may_end_line(value)) return out.append(name, ": ", value, kEnd);
    out.append(name, ": ");
    append_cleaned(out, value);
    out.append(kEnd);
}

void append_via(Sink& out, const OwnVia& via) {
    if (!via.text.empty()) return out.append("Via: ", via.text, kEnd);
    out.append("Via: ");
    write_via(out, via);
    out.append(kEnd);
}

// RFC 3261 25.1: in a quoted string '"' and '\' are escaped; no control may stand there unescaped.
void append_quoted(Sink& out, Bytes text) {
    out.append('"');
    for (const char c : text) {
        if (c == '"' || c == '\\') out.append('\\');
        out.append(static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f ? ' ' : c);
    }
    out.append('"');
}

// The parameters of the top Via but those that this side sets.
void append_params_without(Sink& out, Bytes params, bool received, bool rport) {
    Bytes name;
    Parameter value;
    while (take_parameter(params, name, value)) {
        if (received && equal_ignoring_case(name, "received")) continue;
        if (rport && equal_ignoring_case(name, "rport")) continue;
        out.append(';');
        out.append(name);
        if (!value.has_value) continue;
        out.append('=');
        append_value(out, value.value);
    }
}

// SIP-13. RFC 3261 18.2.1: `received` when the sent-by host is not the source address. RFC 3581 4:
// with rport always, and rport gets the source port.
void append_top_via(Sink& out, const Via& via, const ResponseHead& head) {
    const bool rport = via.has_rport;
    const bool received = rport || !equal_ignoring_case(via.sent_by.host, head.source_host);
    if (head.source_host.empty() || via.text.empty() || !received)
        return append_value(out, via.text);
    if (!rport && via.received.empty()) {  // nothing of it has to go
        append_value(out, via.text);
        out.append(";received=");
        return out.append(head.source_host);
    }
    const Bytes before =
        via.params.empty()
            ? via.text
            : via.text.substr(0, static_cast<std::size_t>(via.params.data() - via.text.data()));
    append_value(out, before.substr(0, before.find_last_not_of(" \t;") + 1));
    append_params_without(out, via.params, true, rport);
    out.append(";received=");
    out.append(head.source_host);
    if (rport) {
        out.append(";rport=");
        out.append_number(head.source_port);
    }
}

void append_vias(Sink& out, const Message& request, const ResponseHead& head) {
    const Header* const top = request.find(HeaderName::kVia);
    for (const Header* header = top; header != nullptr; header = request.next(header)) {
        out.append("Via: ");
        if (header == top && !request.via.text.empty()) {
            append_top_via(out, request.via, head);
            const Bytes text = request.via.text;
            const auto end =
                static_cast<std::size_t>(text.data() + text.size() - header->value.data());
            append_value(out, header->value.substr(end));
        } else {
            append_value(out, header->value);
        }
        out.append(kEnd);
    }
}

void copy(Sink& out, const Message& from, HeaderName id) {
    if (const Header* header = from.find(id)) append_line(out, header_text(id), header->value);
}

void copy_all(Sink& out, const Message& from, HeaderName id) {
    for (const Header* header = from.find(id); header != nullptr; header = from.next(header)) {
        append_line(out, header_text(id), header->value);
    }
}

// What an ACK and a CANCEL have of the request that they go with.
void write_companion(Sink& out, Method method, const Message& request, const Message& to) {
    out.append(method_text(method));
    out.append(' ');
    append_value(out, request.request_uri_text);
    out.append(" SIP/2.0\r\n");
    append_line(out, "Via", request.via.text);
    append_line(out, "Max-Forwards", "70");
    copy_all(out, request, HeaderName::kRoute);
    copy(out, request, HeaderName::kFrom);
    copy(out, to, HeaderName::kTo);
    copy(out, request, HeaderName::kCallId);
    out.append("CSeq: ");
    out.append_number(request.cseq.number);
    out.append(' ');
    out.append(method_text(method));
    out.append(kEnd);
}

void append_to(Sink& out, const Message& request, const ResponseHead& head) {
    const Header* header = request.find(HeaderName::kTo);
    if (header == nullptr) return;
    out.append("To: ");
    append_value(out, header->value);
    // RFC 3261 8.2.6.2: a tag in every response but 100. A To that could not be read gets none.
    if (!head.to_tag.empty() && head.status != 100 && request.to.tag.empty() &&
        !request.to.uri.text.empty()) {
        out.append(";tag=");
        out.append(head.to_tag);
    }
    out.append(kEnd);
}

// A whole line.
[[gnu::always_inline]] inline void append_party(Sink& out, Bytes name, const Party& party) {
    if (!party.display.empty() || chars::may_end_line(party.uri) ||
        chars::may_end_line(party.tag)) {
        out.append(name);
        write_party(out, party);
        return out.append(kEnd);
    }
    if (party.tag.empty()) return out.append(name, "<", party.uri, ">\r\n");
    out.append(name, "<", party.uri, ">;tag=", party.tag, party.more, kEnd);
}

}  // namespace

void write_via(Sink& out, const OwnVia& via) {
    out.append("SIP/2.0/", transport_text(via.transport), " ", via.host);
    if (via.port != 0) {
        out.append(':');
        out.append_number(via.port);
    }
    out.append(";branch=", via.branch);
    if (via.rport) out.append(";rport");
    if (via.alias) out.append(";alias");
}

void write_request_head(Sink& out, const RequestHead& head) {
    out.append(head.method);
    append_between(out, " ", head.uri, " SIP/2.0\r\n");
    append_via(out, head.via);
    if (head.max_forwards == 70) {
        out.append("Max-Forwards: 70\r\n");
    } else {
        write_header_number(out, HeaderName::kMaxForwards, head.max_forwards);
    }
    if (!head.route.empty()) append_line(out, "Route", head.route);
    if (!head.dialog_lines.empty()) {
        out.append(head.dialog_lines);
    } else {
        append_party(out, "From: ", head.from);
        append_party(out, "To: ", head.to);
        append_between(out, "Call-ID: ", head.call_id, "\r\nCSeq: ");
    }
    out.append_number(head.cseq);
    out.append(" ", head.method, kEnd);
}

void write_response_head(Sink& out, const Message& request, const ResponseHead& head) {
    out.append("SIP/2.0 ");
    out.append_number(head.status);
    out.append(' ');
    append_value(out, head.reason.empty() ? reason_phrase(head.status) : head.reason);
    out.append(kEnd);
    append_vias(out, request, head);
    copy(out, request, HeaderName::kFrom);
    append_to(out, request, head);
    copy(out, request, HeaderName::kCallId);
    copy(out, request, HeaderName::kCseq);
}

void write_ack(Sink& out, const Message& invite, const Message& response) {
    write_companion(out, Method::kAck, invite, response);
    copy_all(out, invite, HeaderName::kAuthorization);
    copy_all(out, invite, HeaderName::kProxyAuthorization);
    write_no_body(out);
}

void write_cancel(Sink& out, const Message& request) {
    write_companion(out, Method::kCancel, request, request);
    write_no_body(out);
}

void write_header(Sink& out, HeaderName name, Bytes value) {
    append_line(out, header_text(name), value);
}
void write_header(Sink& out, Bytes name, Bytes value) { append_line(out, name, value); }

void write_header_number(Sink& out, HeaderName name, std::uint64_t value) {
    out.append(header_text(name));
    out.append(": ");
    out.append_number(value);
    out.append(kEnd);
}

void write_party(Sink& out, const Party& party) {
    if (!party.display.empty()) {
        append_quoted(out, party.display);
        out.append(' ');
    }
    out.append('<');  // ADDR-9
    append_value(out, party.uri);
    out.append('>');
    if (party.tag.empty()) return;
    out.append(";tag=");
    append_value(out, party.tag);
    append_value(out, party.more);
}

void write_contact(Sink& out, const OwnContact& contact) {
    out.append(contact.secure ? "Contact: <sips:" : "Contact: <sip:");
    append_value(out, contact.user);
    if (!contact.user.empty()) out.append('@');
    out.append(contact.host);
    if (contact.port != 0) {
        out.append(':');
        out.append_number(contact.port);
    }
    if (!contact.secure) {  // RFC 3261 26.2.2: sips says it all
        out.append(";transport=");
        for (const char c : transport_text(contact.transport)) out.append(chars::lower(c));
    }
    out.append(">\r\n");
}

void write_record_routes(Sink& out, const Message& request) {
    copy_all(out, request, HeaderName::kRecordRoute);
}

void write_body(Sink& out, Bytes content_type, Bytes body) {
    if (!content_type.empty()) append_between(out, "Content-Type: ", content_type, kEnd);
    out.append("Content-Length: ");
    out.append_number(body.size());
    out.append("\r\n\r\n", body);
}

void write_no_body(Sink& out) { out.append("Content-Length: 0\r\n\r\n"); }

Bytes reason_phrase(std::uint16_t status) {
    if (status == 200) return "OK";  // nearly always
    const auto* row = std::lower_bound(
        std::begin(kReasons), std::end(kReasons), status,
        [](const ReasonRow& one, std::uint16_t wanted) { return one.status < wanted; });
    if (row != std::end(kReasons) && row->status == status) return row->phrase;
    const std::size_t of_class = status / 100u;
    return of_class >= 1 && of_class <= 6 ? kReasonOfClass[of_class] : Bytes("Unknown");
}

Bytes transport_text(Transport transport) {
    switch (transport) {
        case Transport::kUdp: return "UDP";
        case Transport::kTcp: return "TCP";
        case Transport::kTls: return "TLS";
        case Transport::kSctp: return "SCTP";
        case Transport::kOther: break;
    }
    return "TCP";
}

}  // namespace fedgate::sip
