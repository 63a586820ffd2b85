// Builds MSRP requests and responses (RFC 4975) into a given Sink. Pure. Write everything, then ask
// sink.overflowed() once. Texts must be what msrp_message.hpp can read; they are not checked.
#pragma once

#include <cstdint>

#include "core/base/bytes.hpp"
#include "sip/msrp_message.hpp"

namespace fedgate::sip {

// RFC 4975 7.1: no body may have the end-line of its transaction in it.
[[nodiscard]] bool has_msrp_end_line(Bytes body, Bytes transaction);

struct MsrpSend {
    Bytes transaction;  // has_msrp_end_line() must be false
    Bytes to_path;
    Bytes from_path;
    Bytes message_id;
    std::uint64_t first = 1;  // of the body's bytes in the whole message
    std::uint64_t total = 0;
    MsrpFailureReport failure_report = MsrpFailureReport::kYes;
    bool success_report = false;
    Bytes content_type{};  // empty: there is no body
    Bytes body{};
    MsrpFlag flag = MsrpFlag::kLast;
};
void write_msrp_send(Sink&, const MsrpSend&);

struct MsrpReport {
    Bytes transaction;
    Bytes to_path;
    Bytes from_path;
    Bytes message_id;
    std::uint64_t size = 0;  // of the message, which is reported whole
    std::uint16_t status = 200;
};
void write_msrp_report(Sink&, const MsrpReport&);

// RFC 4975 7.2: to the previous hop of a SEND, else all the way back.
void write_msrp_response(Sink&, const MsrpMessage& request, std::uint16_t status);

[[nodiscard]] Bytes msrp_reason(std::uint16_t status);  // may be empty

}  // namespace fedgate::sip
