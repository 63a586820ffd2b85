// One MSRP request or response (RFC 4975) as views into the buffer that it was received in: a whole
// message, or one chunk of it. sip/msrp_framer finds it on a stream, sip/msrp_writer writes it.
// What can't be decided exactly is refused. Pure. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/limits.hpp"
#include "sip/uri.hpp"

namespace fedgate::sip {

struct MsrpUri {
    Bytes text;
    HostPort at;          // port 0: not written
    Bytes session;        // case matters; empty: none
    Bytes transport;      // "tcp"
    bool secure = false;  // msrps
};
[[nodiscard]] Result<MsrpUri> parse_msrp_uri(Bytes text);
// RFC 4975 6.1: scheme, host and transport in any case; a port that is written never equals one
// that is not; what stands before '@' and other parameters do not count.
[[nodiscard]] bool same_msrp_uri(const MsrpUri&, const MsrpUri&);

// To-Path, From-Path, and the value of SDP's a=path: URIs with one SP between them.
struct MsrpPath {
    Bytes text;
    MsrpUri first;  // the next hop
    MsrpUri last;   // the far end
    std::size_t count = 0;
};
[[nodiscard]] Result<MsrpPath> parse_msrp_path(Bytes text);

constexpr std::size_t kMsrpIdentBytes = 32;
// ident of RFC 4975 9: 4 to 32 letters, digits and . - + % =, the first a letter or digit.
[[nodiscard]] bool is_msrp_ident(Bytes);

enum class MsrpMethod : std::uint8_t { kNone, kSend, kReport, kOther };  // kNone: a response
enum class MsrpFlag : char { kLast = '$', kMore = '+', kAborted = '#' };
enum class MsrpFailureReport : std::uint8_t {
    kYes,
    kPartial,
    kNo
};  // to answer: all, errors, none

struct MsrpRange {  // Byte-Range
    std::uint64_t first = 1;
    std::optional<std::uint64_t> last;   // what the sender means to send; what it sent counts
    std::optional<std::uint64_t> total;  // of the whole message
};

struct MsrpMessage {
    Bytes transaction;
    MsrpMethod method = MsrpMethod::kNone;
    std::uint16_t status = 0;  // of a response
    MsrpPath to;
    MsrpPath from;
    Bytes message_id;
    MsrpRange range;
    std::uint16_t report_status = 0;  // of a REPORT; 0: in a namespace that nobody knows
    MsrpFailureReport failure_report = MsrpFailureReport::kYes;
    bool success_report = false;
    bool has_body = false;
    MsrpFlag flag = MsrpFlag::kLast;
    Bytes content_type;
    Bytes body;

    // RFC 4975 7.2: never a response or a REPORT; else as far as it is wanted.
    [[nodiscard]] bool wants(std::uint16_t answer) const {
        if (method == MsrpMethod::kNone || method == MsrpMethod::kReport) return false;
        if (to.count == 0 || from.count == 0) return false;
        if (failure_report == MsrpFailureReport::kPartial) return answer != 200;
        return failure_report == MsrpFailureReport::kYes;
    }
};

struct MsrpFault {
    std::uint16_t status = 0;  // 0: none
    const char* reason = "";   // a literal
    bool close = false;        // nothing behind it can be trusted
};
// The start line and the header fields, each with its CRLF, without what ends them. The message is
// filled as far as it could be read; has_body, body and flag are the framer's.
[[nodiscard]] MsrpFault read_msrp_head(Bytes head, MsrpMessage&);
// The first line alone, without CRLF.
[[nodiscard]] bool read_msrp_start(Bytes line, MsrpMessage&);

}  // namespace fedgate::sip
