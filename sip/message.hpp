// One SIP message as views into the buffer that it was received in. ONE parser decides both where a
// message ends and what it means; what it can't decide exactly is refused (SIP-1, SIP-2, SIP-3).
// Pure. Views are valid as long as the buffer's bytes stay where they are. No allocation.
// A Message is about 6 KiB: keep one or two for each shard and use them again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/limits.hpp"
#include "sip/header_names.hpp"
#include "sip/uri.hpp"

namespace fedgate::sip {

enum class Method : std::uint8_t {
    kUnknown,  // a valid token that we have no id for: Message::method_name (405)
    kAck,
    kBye,
    kCancel,
    kInfo,
    kInvite,
    kMessage,
    kNotify,
    kOptions,
    kPrack,
    kPublish,
    kRefer,
    kRegister,
    kSubscribe,
    kUpdate,
};
[[nodiscard]] Method find_method(Bytes name);  // case matters: RFC 3261 7.1
[[nodiscard]] Bytes method_text(Method);       // empty for kUnknown

enum class Transport : std::uint8_t { kUdp, kTcp, kTls, kSctp, kOther };

struct Via {
    Bytes text;  // this one value of the (comma-joined) list
    Bytes transport_name;
    HostPort sent_by;
    Bytes branch;             // empty: none written
    Bytes received;           // without brackets; both forms are accepted (SIP-53)
    Bytes params;             // everything after the first ';', without it
    std::uint16_t rport = 0;  // its value; 0: none
    bool has_rport = false;   // with or without a value
    bool alias = false;       // RFC 5923
    Transport transport = Transport::kOther;
};

struct NameAddr {
    Bytes display;  // as written; with its quotes if it is a quoted string
    Uri uri;
    Bytes tag;
    Bytes params;  // of the header field, without the first ';'
};

struct Cseq {
    Bytes method_name;
    std::uint32_t number = 0;
    Method method = Method::kUnknown;
};

struct ContentType {
    Bytes type;      // "text"
    Bytes subtype;   // "plain"
    Bytes charset;   // without quotes; empty: none
    Bytes boundary;  // without quotes; empty: none
    Bytes params;
    [[nodiscard]] bool is(Bytes type_name, Bytes subtype_name) const {
        return equal_ignoring_case(type, type_name) && equal_ignoring_case(subtype, subtype_name);
    }
};

// RFC 6665 8.2.1: compared byte by byte; one with an id never matches one without (SIP-23).
struct EventType {
    Bytes package;  // "presence"
    Bytes id;       // empty: none
    friend bool operator==(const EventType&, const EventType&) = default;
};

struct SubscriptionState {  // RFC 6665 4.1.3, 8.4
    Bytes state;            // "active", "pending", "terminated", or one that nobody knows
    Bytes reason;           // empty: none
    std::optional<std::uint32_t> expires;
    std::optional<std::uint32_t> retry_after;
    [[nodiscard]] bool is(Bytes name) const { return equal_ignoring_case(state, name); }
};

struct Header {
    Bytes name;   // as written
    Bytes value;  // unfolded, without white space around it
    HeaderName id = HeaderName::kOther;
    bool folded = false;
};

struct Message {
    Bytes bytes;  // the whole message
    Bytes body;   // Content-Length bytes of it
    Bytes start_line;

    bool is_request = false;
    Method method = Method::kUnknown;  // of a request
    Bytes method_name;
    Uri request_uri;
    Bytes request_uri_text;
    std::uint16_t status = 0;  // of a response: 100..699
    Bytes reason;

    Via via;  // the top one
    std::size_t via_count = 0;
    // Of a request. In a response they are what we wrote ourselves, and branch and method tell
    // which request it answers: parse_name_addr(value(kTo)) where its tag matters.
    NameAddr from;
    NameAddr to;
    Bytes call_id;
    Cseq cseq;
    std::uint32_t max_forwards = 70;  // missing: 70 (SIP-2)

    std::size_t header_count = 0;
    std::array<Header, limits::kSipHeaders> headers_;
    std::array<std::uint8_t, kHeaderNameCount>
        first_;  // index of the first header of a name, or kNoHeader

    static constexpr std::uint8_t kNoHeader = 0xff;
    static_assert(limits::kSipHeaders < kNoHeader);

    Message() { reset(); }
    void reset();

    [[nodiscard]] std::span<const Header> headers() const {
        return {headers_.data(), header_count};
    }
    // The first header field of that name, or null.
    [[nodiscard]] const Header* find(HeaderName id) const {
        const std::uint8_t index = first_[static_cast<std::size_t>(id)];
        return index == kNoHeader ? nullptr : &headers_[index];
    }
    // The next one of the same name after `header`, or null. For kOther: compare names yourself.
    [[nodiscard]] const Header* next(const Header* header) const;
    // Its value, or empty.
    [[nodiscard]] Bytes value(HeaderName id) const {
        const Header* header = find(id);
        return header ? header->value : Bytes{};
    }
    // A malformed request can be answered when its start line is a request's (not ACK) and it has a
    // Via.
    [[nodiscard]] bool answerable() const {
        return is_request && method != Method::kAck && find(HeaderName::kVia) != nullptr;
    }
};

enum class Carrier : std::uint8_t { kStream, kDatagram };

enum class Verdict : std::uint8_t { kDone, kNeedMore, kMalformed };

struct Parsed {
    Verdict verdict = Verdict::kNeedMore;
    // kDone: bytes of the message. kNeedMore: bytes that it will have, or 0 when its header section
    // is not whole. kMalformed: bytes of it, to go on behind it; not to be used when `close` is
    // set.
    std::size_t size = 0;
    // kMalformed: the status to answer a request with if message.answerable(); else (a response, an
    // ACK) nothing is answered and it is dropped (SIP-2).
    std::uint16_t status = 0;
    const char* reason =
        "";              // a literal: why. For the answer's reason phrase use reason_phrase(status)
    bool close = false;  // kMalformed: the boundary is not certain; a stream ends after the answer
    // Stream: bytes of a body that is too long to be read. They follow behind `size`.
    std::size_t skip = 0;
};

// Looks at the front of `input`, which begins with a start line (see sip/framer for what may come
// before). Folded lines are unfolded in place (hence mutable), only once the message is whole:
// reading the same bytes again gives the same. The message is filled as far as it could be read,
// also when it is malformed.
[[nodiscard]] Parsed parse_message(MutableBytes input, Carrier, std::size_t body_bytes_max,
                                   Message&);

// Values of single header fields, for those that the parser does not read beforehand.
[[nodiscard]] Result<Via> parse_via(Bytes value);             // one value, no list
[[nodiscard]] Result<NameAddr> parse_name_addr(Bytes value);  // one value, no list
[[nodiscard]] Result<Cseq> parse_cseq(Bytes value);
[[nodiscard]] Result<ContentType> parse_content_type(Bytes value);
[[nodiscard]] Result<EventType> parse_event(Bytes value);
[[nodiscard]] Result<SubscriptionState> parse_subscription_state(Bytes value);
// One value of Route or Record-Route: a sip or sips URI in <>, without headers (RFC 3261 20.30).
[[nodiscard]] Result<NameAddr> parse_route(Bytes value);
// The Contact of a message that makes or refreshes a dialog: exactly one sip or sips URI, without
// headers (RFC 3261 8.1.1.8, 19.1.1). kNotFound: there is none.
[[nodiscard]] Result<NameAddr> parse_target(const Message&);
// Delta-seconds at the front (Expires, Retry-After, Min-Expires); above 2^32-1: 2^32-1 (SIP-2).
[[nodiscard]] Result<std::uint32_t> parse_seconds(Bytes value);

// Takes the next value off a comma-joined list; quotes and angle brackets are respected.
// False: no more. An empty value between two commas is given as empty.
[[nodiscard]] bool take_item(Bytes& list, Bytes& item);

// A quoted display name or string without its quotes and backslashes.
void unquote(Bytes quoted, Sink& out);

}  // namespace fedgate::sip
