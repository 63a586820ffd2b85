#include "sip/message.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <initializer_list>

#include "sip/chars.hpp"
#include "sip/header_values.hpp"

namespace fedgate::sip {
namespace {

using namespace chars;

constexpr std::array<Bytes, 15> kMethods = {
    "",        "ACK",   "BYE",     "CANCEL", "INFO",     "INVITE",    "MESSAGE", "NOTIFY",
    "OPTIONS", "PRACK", "PUBLISH", "REFER",  "REGISTER", "SUBSCRIBE", "UPDATE"};

// Size and first letter tell them apart, which is checked when this is compiled.
constexpr std::size_t method_slot(Bytes name) {
    return (name.size() * 12 + static_cast<std::size_t>(name.front())) % 32;
}
constexpr std::array<std::uint8_t, 32> kMethodSlots = [] {
    std::array<std::uint8_t, 32> slots{};
    for (std::size_t i = 1; i < kMethods.size(); ++i) {
        auto& slot = slots[method_slot(kMethods[i])];
        if (slot != 0) throw "two methods share a slot";
        slot = static_cast<std::uint8_t>(i);
    }
    return slots;
}();

// Sets of header fields.
static_assert(kHeaderNameCount <= 64);
constexpr std::uint64_t bit(HeaderName id) { return std::uint64_t{1} << static_cast<unsigned>(id); }
constexpr std::uint64_t bits(std::initializer_list<HeaderName> ids) {
    std::uint64_t set = 0;
    for (const HeaderName id : ids) set |= bit(id);
    return set;
}

// SIP-2, RFC 4475 3.3.8: those that stand once. Repeated, the message means two things.
constexpr std::uint64_t kStandOnce =
    bits({HeaderName::kCallId, HeaderName::kContentDisposition, HeaderName::kContentLength,
          HeaderName::kContentType, HeaderName::kCseq, HeaderName::kDate, HeaderName::kEvent,
          HeaderName::kExpires, HeaderName::kFrom, HeaderName::kMaxForwards,
          HeaderName::kMinExpires, HeaderName::kReferTo, HeaderName::kReplaces,
          HeaderName::kSubject, HeaderName::kSubscriptionState, HeaderName::kTo});
constexpr std::uint64_t kRequired =  // SIP-2
    bits({HeaderName::kVia, HeaderName::kFrom, HeaderName::kTo, HeaderName::kCallId,
          HeaderName::kCseq});
// What the parser reads. From and To of a response are what we wrote ourselves.
constexpr std::uint64_t kReadOfResponse =
    bits({HeaderName::kVia, HeaderName::kContact, HeaderName::kCallId, HeaderName::kCseq,
          HeaderName::kMaxForwards});
constexpr std::uint64_t kReadOfRequest =
    kReadOfResponse | bits({HeaderName::kFrom, HeaderName::kTo});

// The bytes of a header section that mean something to lines: controls and all beyond ASCII, each
// once and in order. 64 bytes are looked at together.
class Marks {
public:
    explicit Marks(Bytes text) : text_(text) { look_at(0); }
    // The index of the next one, or the text's size.
    std::size_t next() {
        while (mask_ == 0) {
            if (text_.size() - begin_ <= kStep) return text_.size();
            look_at(begin_ + kStep);
        }
        const std::size_t at = begin_ + static_cast<std::size_t>(std::countr_zero(mask_));
        mask_ &= mask_ - 1;
        return at;
    }

private:
    static constexpr std::size_t kStep = 64;

    void look_at(std::size_t begin) {
        begin_ = begin;
        if (text_.size() - begin >= kStep) {
            mask_ = marks_of(text_.data() + begin);
            return;
        }
        char last[kStep];
        std::memset(last, ' ', sizeof last);
        std::memcpy(last, text_.data() + begin, text_.size() - begin);
        mask_ = marks_of(last);
    }
    static std::uint64_t marks_of(const char* text) {
#ifdef __SSE2__
        // Signed: below 0x20 are the controls and all bytes beyond ASCII.
        const auto marks_at = [text](std::size_t i) {
            const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + i));
            const int found = _mm_movemask_epi8(_mm_cmplt_epi8(block, _mm_set1_epi8(0x20)));
            return static_cast<std::uint64_t>(static_cast<unsigned>(found)) << i;
        };
        return marks_at(0) | marks_at(16) | marks_at(32) | marks_at(48);
#else
        std::uint64_t mask = 0;
        for (std::size_t i = 0; i < kStep; ++i) {
            const auto c = static_cast<std::uint8_t>(text[i]);
            mask |= static_cast<std::uint64_t>(c < 0x20 || c >= 0x80) << i;
        }
        return mask;
#endif
    }

    Bytes text_;
    std::size_t begin_ = 0;
    std::uint64_t mask_ = 0;
};

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool valid_utf8(Bytes text) {
    std::size_t i = 0;
    const auto byte = [&text](std::size_t at) -> unsigned {
        return at < text.size() ? static_cast<std::uint8_t>(text[at]) : 0u;
    };
    while (i < text.size()) {
        const unsigned c = byte(i);
        if (c < 0x80) {
            ++i;
            continue;
        }
        const unsigned second = byte(i + 1);
        std::size_t size = 0;
        unsigned low = 0x80;
        unsigned high = 0xbf;
        if (c >= 0xc2 && c <= 0xdf) {
            size = 2;
        } else if (c >= 0xe0 && c <= 0xef) {
            size = 3;
            if (c == 0xe0) low = 0xa0;
            if (c == 0xed) high = 0x9f;
        } else if (c >= 0xf0 && c <= 0xf4) {
            size = 4;
            if (c == 0xf0) low = 0x90;
            if (c == 0xf4) high = 0x8f;
        } else {
            return false;
        }
        if (second < low || second > high) return false;
        for (std::size_t k = 2; k < size; ++k) {
            if ((byte(i + k) & 0xc0) != 0x80) return false;
        }
        i += size;
    }
    return true;
}

// RFC 4475 3.1.1.2: a control character may stand in a quoted pair, nowhere else.
bool controls_are_quoted(Bytes text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<std::uint8_t>(text[i]);
        if (c < 0x20 && c != '\t' && c != '\r' && c != '\n' && (i == 0 || text[i - 1] != '\\'))
            return false;
    }
    return true;
}

// One message being read. The first fault is the one that is reported; reading goes on, so that the
// message can be answered.
class Reader {
public:
    Reader(MutableBytes input, Carrier carrier, std::size_t body_bytes_max, Message& message)
        : input_(input),
          text_(input.data(), input.size()),
          body_bytes_max_(body_bytes_max),
          message_(message),
          stream_(carrier == Carrier::kStream) {}

    Parsed read() {
        message_.reset();
        if (!split()) return {};
        if (!fault_close_) find_body();
        if (!fault_close_ && text_.size() < total_)
            return {Verdict::kNeedMore, total_, 0, "", false, 0};
        message_.bytes = text_.substr(0, total_);
        read_meaning();
        if (fault_status_ == 0) return {Verdict::kDone, total_, 0, "", false, skip_};
        return {Verdict::kMalformed, total_, fault_status_, fault_reason_, fault_close_, skip_};
    }

private:
    void fault(std::uint16_t status, const char* reason) {
        if (fault_status_ != 0) return;
        fault_status_ = status;
        fault_reason_ = reason;
    }
    // The boundary is not certain: this one goes before all others.
    void fault_boundary(std::uint16_t status, const char* reason) {
        if (fault_close_) return;
        fault_status_ = status;
        fault_reason_ = reason;
        fault_close_ = true;
    }

    // Cuts the header section into lines and fields. False: more bytes are needed.
    bool split() {
        area_ = text_.substr(0, limits::kSipHeaderBytes);
        Marks marks(area_);
        bool is_start_line = true;
        bool folded = false;
        std::size_t begin = 0;  // of the line, or of the field
        while (true) {
            const std::size_t end = marks.next();
            if (end == area_.size()) return header_unfinished();
            const auto c = static_cast<std::uint8_t>(area_[end]);
            std::size_t next = end + 1;
            if (c == '\r') {
                if (next == area_.size()) return header_unfinished();
                if (area_[next] != '\n') {
                    fault_boundary(400, "bare CR");
                    continue;
                }
                marks.next();
                ++next;
            } else if (c == '\n') {
                // SIP-1: an LF alone ends a line in a datagram. On a stream others may see it
                // otherwise.
                if (stream_) fault_boundary(400, "bare LF");
            } else {
                if (c >= 0x80) beyond_ascii_ = true;
                if (c < 0x20 && c != '\t') control_ = true;
                continue;
            }
            const Bytes line(area_.data() + begin, end - begin);
            if (is_start_line) {
                message_.start_line = line;
                // Not SIP at all: nobody waits for the end of its header section.
                if (stream_ && !looks_like_sip(line)) {
                    fault_boundary(400, "start line");
                    header_size_ = total_ = next;
                    return true;
                }
                is_start_line = false;
                begin = next;
                continue;
            }
            if (line.empty()) {
                header_size_ = total_ = next;
                return true;
            }
            if (next == area_.size()) return header_unfinished();
            // RFC 3261 7.3.1: a line that begins with white space goes on from the one before.
            if (is(area_[next], kSpace)) {
                folded = any_folded_ = true;
                continue;
            }
            add_field(line, folded);
            folded = false;
            begin = next;
        }
    }

    bool header_unfinished() {
        header_size_ = total_ = area_.size();
        if (text_.size() >= limits::kSipHeaderBytes) {
            fault_boundary(513, "header section too long");  // SIP-3
        } else if (!stream_) {
            fault_boundary(400, "header section does not end");
        } else {
            return false;
        }
        return true;
    }

    // Where the name ends, and its colon is; 0: there is no name.
    static std::size_t name_size(Bytes line, std::size_t& colon) {
        const std::size_t size = span<kToken>(line);
        colon = size;
        while (colon < line.size() && is(line[colon], kSpace)) ++colon;
        return colon == line.size() || line[colon] != ':' ? 0 : size;
    }

    // The name of a line that begins with one of ours and its colon, nearly always: its size; else
    // 0.
    std::size_t usual_name([[maybe_unused]] Bytes line, [[maybe_unused]] HeaderName& id) const {
#ifdef __SSE2__
        if (area_.data() + area_.size() - line.data() < 16) return 0;
        const auto* front = reinterpret_cast<const __m128i*>(line.data());
        const auto colons = static_cast<unsigned>(
            _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(front), _mm_set1_epi8(':'))));
        if (colons == 0) return 0;
        const auto size = static_cast<std::size_t>(std::countr_zero(colons));
        if (size >= line.size()) return 0;
        id = find_short_name(line.data(), size);
        return id == HeaderName::kOther ? 0 : size;
#else
        return 0;
#endif
    }

    // One SP before it and nothing behind it, nearly always.
    static Bytes without_space(Bytes value) {
        if (value.size() < 2 || value[0] != ' ' || is(value[1], kSpace) || is(value.back(), kSpace))
            return trim(value);
        return {value.data() + 1, value.size() - 1};
    }

    void add_field(Bytes line, bool folded) {
        HeaderName id = HeaderName::kOther;
        std::size_t size = usual_name(line, id);
        std::size_t colon = size;
        if (size == 0) {
            size = name_size(line, colon);
            if (size == 0) return fault_boundary(400, "header field without name");
            id = find_header_name({line.data(), size});
        }
        if (message_.header_count == limits::kSipHeaders)
            return fault_boundary(513, "too many header fields");
        const std::size_t index = message_.header_count++;
        Header& header = message_.headers_[index];
        header.name = {line.data(), size};
        const Bytes value(line.data() + colon + 1, line.size() - colon - 1);
        header.value = folded ? value : without_space(value);
        header.id = id;
        header.folded = folded;
        if ((seen_ & bit(id)) == 0) {
            seen_ |= bit(id);
            message_.first_[static_cast<std::size_t>(id)] = static_cast<std::uint8_t>(index);
        } else if ((kStandOnce & bit(id)) != 0) {
            // SIP-50: which length holds is anybody's guess.
            if (id == HeaderName::kContentLength)
                return fault_boundary(400, "Content-Length repeated");
            fault(400, "header field repeated");
        }
    }

    // SIP-3: Content-Length alone decides. Exactly digits, once, on one line; all else is refused.
    void find_body() {
        const Header* field = message_.find(HeaderName::kContentLength);
        std::size_t size = text_.size() - header_size_;
        if (field == nullptr) {
            // RFC 3261 18.3: in a datagram the body goes to its end.
            if (stream_) return fault_boundary(400, "no Content-Length");
        } else {
            std::uint64_t length = 0;
            if (field->folded || !number(field->value, UINT32_MAX, length)) {
                return fault_boundary(400, "bad Content-Length");
            }
            if (!stream_ && length > size)
                return fault_boundary(400, "body shorter than Content-Length");
            size = length;
        }
        if (size > body_bytes_max_) return refuse_body(size);
        total_ = header_size_ + size;
        message_.body = text_.substr(header_size_, size);
    }

    // SIP-3: it is answered 413, and one that is not much too long costs the requests behind it
    // nothing. To read a gigabyte in order to drop it would cost us more than the peer a new
    // connection. A response says enough without its body.
    void refuse_body(std::size_t size) {
        if (!stream_ || size > limits::kSipSkippedBodyBytes)
            return fault_boundary(413, "body too long");
        if (!equal_ignoring_case(message_.start_line.substr(0, 4), "SIP/"))
            fault(413, "body too long");
        skip_ = size;
    }

    // SIP-1: CRLF and the white space behind it become one SP. The text moves up; what becomes free
    // at the end of the field is filled with SP, so that reading the same bytes again gives the
    // same.
    void unfold(Header& header) {
        char* const begin = input_.data() + (header.value.data() - text_.data());
        char* const end = begin + header.value.size();
        char* to = begin;
        for (const char* from = begin; from < end;) {
            if (*from != '\r' && *from != '\n') {
                *to++ = *from++;
                continue;
            }
            while (from < end && (*from == '\r' || *from == '\n' || is(*from, kSpace))) ++from;
            *to++ = ' ';
        }
        header.value = trim({begin, static_cast<std::size_t>(to - begin)});
        while (to < end) *to++ = ' ';
    }

    void read_meaning() {
        // A fault in the start line tells more than any other (SIP-45, SIP-46), but for a lost
        // boundary.
        const std::uint16_t status = fault_status_;
        const char* const reason = fault_reason_;
        if (!fault_close_) fault_status_ = 0;
        read_start_line();
        if (fault_status_ == 0) {
            fault_status_ = status;
            fault_reason_ = reason;
        }
        const Bytes head = text_.substr(0, header_size_);
        if (beyond_ascii_ && !valid_utf8(head)) fault(400, "not UTF-8");  // GEN-6
        if (control_ && !controls_are_quoted(head)) fault(400, "control character");
        // Where it ends is not certain: read again it must be so again, and stays as it is.
        if (any_folded_ && !fault_close_) {
            for (std::size_t i = 0; i < message_.header_count; ++i) {
                Header& header = message_.headers_[i];
                if (header.folded) unfold(header);
            }
        }
        const std::uint64_t read = message_.is_request ? kReadOfRequest : kReadOfResponse;
        for (std::size_t i = 0; i < message_.header_count; ++i) {
            const Header& header = message_.headers_[i];
            if ((read & bit(header.id)) != 0) read_field(header, i);
        }
        if ((seen_ & kRequired) != kRequired) fault(400, "a required header field is missing");
    }

    void read_start_line() {
        const Bytes line = message_.start_line;
        if (equal_ignoring_case(line.substr(0, 4), "SIP/")) return read_status_line(line);
        const std::size_t space = line.find(' ');
        const std::size_t last = line.rfind(' ');
        message_.is_request = space != Bytes::npos && names_sip(line.substr(space));
        if (!message_.is_request) return fault(400, "request line");
        message_.method_name = line.substr(0, space);
        message_.method = find_method(message_.method_name);
        if (message_.method_name.empty() || !all<kToken>(message_.method_name))
            return fault(501, "method");
        if (last == space) return fault(400, "request line");
        const Bytes version = line.substr(last + 1);
        if (!equal_ignoring_case(version, "SIP/2.0")) {
            return fault(is_version(version) ? 505 : 400, "SIP version");  // SIP-45
        }
        message_.request_uri_text = line.substr(space + 1, last - space - 1);
        const Fault wrong = read_uri(message_.request_uri_text, message_.request_uri);
        if (wrong) return fault(wrong.unsupported ? 416 : 400, "Request-URI");  // SIP-46
        if (!message_.request_uri.headers.empty())
            fault(400, "Request-URI with headers");  // RFC 3261 19.1.1
    }

    static bool looks_like_sip(Bytes line) {
        return equal_ignoring_case(line.substr(0, 4), "SIP/") || names_sip(line);
    }

    // Something that only wants to be SIP is answered; anything else is not.
    static bool names_sip(Bytes line) {
        if (line.ends_with(" SIP/2.0")) return true;
        for (std::size_t i = 0; i < line.size(); ++i) {
            if (equal_ignoring_case(line.substr(i, 5), " SIP/")) return true;
        }
        return false;
    }

    // "SIP/" digits "." digits
    static bool is_version(Bytes version) {
        if (!equal_ignoring_case(version.substr(0, 4), "SIP/")) return false;
        const Bytes digits = version.substr(4);
        const std::size_t dot = span<kDigit>(digits);
        return dot != 0 && dot + 1 < digits.size() && digits[dot] == '.' &&
               all<kDigit>(digits.substr(dot + 1));
    }

    void read_status_line(Bytes line) {
        std::uint64_t status = 0;
        const bool good = line.size() >= 11 && equal_ignoring_case(line.substr(0, 8), "SIP/2.0 ") &&
                          number(line.substr(8, 3), 699, status) && status >= 100 &&
                          (line.size() == 11 || line[11] == ' ');
        if (!good) return fault(400, "status line");  // SIP-44
        message_.status = static_cast<std::uint16_t>(status);
        message_.reason = line.size() > 12 ? line.substr(12) : Bytes{};
    }

    void read_field(const Header& header, std::size_t index) {
        switch (header.id) {
            case HeaderName::kVia: return add_via(header, index);
            case HeaderName::kFrom: return add_party(header, message_.from, "From");
            case HeaderName::kTo: return add_party(header, message_.to, "To");
            case HeaderName::kContact: return check_contact(header.value);
            case HeaderName::kCallId: return add_call_id(header.value);
            case HeaderName::kCseq: return add_cseq(header.value);
            case HeaderName::kMaxForwards: return add_max_forwards(header.value);
            default: return;
        }
    }

    void add_via(const Header& header, std::size_t index) {
        Bytes list = header.value;
        bool first = index == message_.first_[static_cast<std::size_t>(HeaderName::kVia)];
        if (list.empty()) fault(400, "Via");
        if (first) {  // one value, nearly always: with a comma outside quotes it can't be read
            if (!read_via(list, message_.via)) {
                message_.via_count = 1;
                return;
            }
            message_.via = {};
        }
        Bytes item;
        while (take_item(list, item)) {
            if (++message_.via_count > limits::kSipVias)
                return fault(513, "too many Via");  // SIP-3
            if (item.empty()) fault(400, "Via");
            if (!first) continue;  // those below are others' to read; they are only copied
            first = false;
            if (const Fault wrong = read_via(item, message_.via)) {
                message_.via = {};
                fault(400, wrong.where);
            }
        }
    }

    void add_party(const Header& header, NameAddr& out, const char* reason) {
        if (const Fault wrong = read_name_addr(header.value, out)) {
            out = {};
            fault(wrong.unsupported ? 416 : 400, reason);  // SIP-46: unksm2
        }
    }

    void check_contact(Bytes list) {
        if (list == "*") return;
        Bytes item;
        while (take_item(list, item)) {
            NameAddr contact;
            const Fault wrong = read_name_addr(item, contact);
            if (wrong && !wrong.unsupported) return fault(400, "Contact");
        }
    }

    void add_call_id(Bytes value) {
        if (value.empty() || !all<kGraph>(value)) return fault(400, "Call-ID");
        message_.call_id = value;
    }

    void add_cseq(Bytes value) {
        Cseq& cseq = message_.cseq;
        if (const Fault wrong = read_cseq(value, cseq)) {
            cseq = {};
            return fault(400, wrong.where);
        }
        if (message_.is_request && cseq.method_name != message_.method_name)
            fault(400, "CSeq method mismatch");
    }

    void add_max_forwards(Bytes value) {
        std::uint64_t hops = 0;
        if (!number(value, 255, hops)) return fault(400, "Max-Forwards");  // RFC 3261 20.22
        message_.max_forwards = static_cast<std::uint32_t>(hops);
    }

    MutableBytes input_;
    Bytes text_;
    Bytes area_;  // where the header section may be: SIP-3
    std::size_t body_bytes_max_;
    std::size_t header_size_ = 0;
    std::size_t total_ = 0;
    std::size_t skip_ = 0;
    std::uint64_t seen_ = 0;  // names of header fields
    Message& message_;
    const char* fault_reason_ = "";
    std::uint16_t fault_status_ = 0;
    bool fault_close_ = false;
    bool stream_;
    bool any_folded_ = false;
    bool beyond_ascii_ = false;
    bool control_ = false;
};

}  // namespace

Method find_method(Bytes name) {
    if (name.empty()) return Method::kUnknown;
    const std::size_t id = kMethodSlots[method_slot(name)];
    return kMethods[id] == name ? static_cast<Method>(id) : Method::kUnknown;
}

Bytes method_text(Method method) { return kMethods[static_cast<std::size_t>(method)]; }

void Message::reset() {
    bytes = body = start_line = method_name = request_uri_text = reason = call_id = {};
    if (is_request) {  // a response fills none of these
        request_uri = {};
        from = {};
        to = {};
    }
    is_request = false;
    method = Method::kUnknown;
    status = 0;
    via = {};
    via_count = 0;
    cseq = {};
    max_forwards = 70;
    header_count = 0;
    first_.fill(kNoHeader);
}

const Header* Message::next(const Header* header) const {
    const Header* const end = headers_.data() + header_count;
    for (const Header* other = header + 1; other < end; ++other) {
        if (other->id == header->id) return other;
    }
    return nullptr;
}

Parsed parse_message(MutableBytes input, Carrier carrier, std::size_t body_bytes_max,
                     Message& message) {
    return Reader(input, carrier, body_bytes_max, message).read();
}

}  // namespace fedgate::sip
