// Builds requests and responses into a given Sink in the order of SIP-4: start line, Via,
// Max-Forwards, Route, From, To, Call-ID, CSeq, others, Content-Type, Content-Length. Long names,
// CRLF, no folding. Pure. Write everything, then ask sink.overflowed() once.
//
//     write_request_head(sink, head);                       write_response_head(sink, request,
//     answer); write_header(sink, HeaderName::kSubject, subject);    write_header(sink,
//     HeaderName::kAllow, ...); write_body(sink, "text/plain;charset=UTF-8", body);
//     write_no_body(sink);
#pragma once

#include <cstdint>

#include "core/base/bytes.hpp"
#include "sip/message.hpp"

namespace fedgate::sip {

struct OwnVia {
    Transport transport = Transport::kTcp;
    Bytes host;              // as it is to be written: a name, an IPv4 address, or "[...]"
    std::uint16_t port = 0;  // 0: none
    Bytes branch;
    bool rport = false;  // SIP-13: on UDP
    bool alias = false;  // SIP-14
    Bytes text{};        // the whole value, where it is written already: this is copied then
};

struct Party {
    Bytes display;  // plain text; quoted and escaped when written (ADDR-9). Empty: none
    Bytes uri;      // whole, already escaped; written between <>
    Bytes tag;      // empty: none
    Bytes more{};   // parameters behind the tag, as they are written: ";epid=0a1b2c3d4e"
};

struct RequestHead {
    Bytes method;  // method_text(Method::kMessage)
    Bytes uri;     // Request-URI, whole and already escaped
    OwnVia via;
    std::uint32_t max_forwards = 70;  // SIP-17
    Bytes route;                      // a whole Route value; empty: none
    Party from;
    Party to;
    Bytes call_id;
    Bytes dialog_lines{};  // of a Dialog, up to "CSeq: ": instead of `from`, `to` and `call_id`
    std::uint32_t cseq = 1;
};
void write_request_head(Sink&, const RequestHead&);
void write_via(Sink&, const OwnVia&);  // a value, of its parts

// What a response needs beside the request that it answers.
struct ResponseHead {
    std::uint16_t status = 200;
    Bytes reason;  // empty: reason_phrase(status)
    Bytes to_tag;  // added to To when the request had none; not for 100
    // SIP-13, RFC 3261 18.2.1, RFC 3581 4: where the request came from. When `source_host` is not
    // what the top Via says, or rport was asked for, `received` (and `rport`) are added to the top
    // Via.
    Bytes source_host;  // numeric, IPv6 without brackets; empty: add nothing
    std::uint16_t source_port = 0;
};
// Start line, every Via, From, To, Call-ID and CSeq of the request exactly as they came. The
// request may be malformed: what it does not have is left out.
void write_response_head(Sink&, const Message& request, const ResponseHead&);

// ACK for a 3xx-6xx response to our INVITE (RFC 3261 17.1.1.3): same Request-URI, top Via, Route,
// From, Call-ID, CSeq number and credentials (22.1); To of the response. Writes the whole message.
void write_ack(Sink&, const Message& invite, const Message& response);
// CANCEL of our request (RFC 3261 9.1): the same, To too, but no credentials. Writes the whole
// message.
void write_cancel(Sink&, const Message& request);

// One more header field. CR, LF and NUL in a value are written as SP: no header field can be
// smuggled in.
void write_header(Sink&, HeaderName, Bytes value);
void write_header(Sink&, Bytes name, Bytes value);
void write_header_number(Sink&, HeaderName, std::uint64_t value);
void write_party(Sink&, const Party&);  // [display] <uri>[;tag=...], without name and CRLF

// SIP-20: a Contact that leads to this node, where our tag tells the core (core_of_tag()). In
// SUBSCRIBE, NOTIFY, INVITE, UPDATE and their 2xx; never in MESSAGE.
struct OwnContact {
    Bytes user;  // already escaped (ADDR-4)
    Bytes host;  // as it is to be written
    std::uint16_t port = 0;
    Transport transport = Transport::kTls;
    bool secure = false;  // of a dialog with a sips URI: RFC 3261 12.1.1
};
void write_contact(Sink&, const OwnContact&);  // the whole line
// What a 2xx that makes a dialog repeats of its request (RFC 3261 12.1.1): whole Record-Route
// lines.
void write_record_routes(Sink&, const Message& request);

// Content-Type (unless empty), Content-Length, the empty line, the body. Ends the message.
void write_body(Sink&, Bytes content_type, Bytes body);
void write_no_body(Sink&);

// RFC 3261 21, RFC 3428, 3903, 4028, 6665 and others; never empty: falls back to the class.
[[nodiscard]] Bytes reason_phrase(std::uint16_t status);
[[nodiscard]] Bytes transport_text(Transport);  // "UDP"

}  // namespace fedgate::sip
