#include "sip/msrp_writer.hpp"

namespace fedgate::sip {
namespace {

constexpr Bytes kCrlf = "\r\n";

void write_head(Sink& out, Bytes transaction, Bytes what, Bytes to_path, Bytes from_path) {
    out.append("MSRP ", transaction, " ", what, "\r\nTo-Path: ", to_path,
               "\r\nFrom-Path: ", from_path, kCrlf);
}

void write_range(Sink& out, std::uint64_t first, std::uint64_t size, std::uint64_t total) {
    out.append("Byte-Range: ");
    out.append_number(first);
    out.append('-');
    out.append_number(first + size - 1);
    out.append('/');
    out.append_number(total);
    out.append(kCrlf);
}

void write_end(Sink& out, Bytes transaction, MsrpFlag flag) {
    out.append("-------", transaction);
    out.append(static_cast<char>(flag));
    out.append(kCrlf);
}

}  // namespace

bool has_msrp_end_line(Bytes body, Bytes transaction) {
    constexpr Bytes kHyphens = "-------";
    for (std::size_t at = 0; (at = body.find(kHyphens, at)) != Bytes::npos; ++at) {
        if (body.substr(at + kHyphens.size()).starts_with(transaction)) return true;
    }
    return false;
}

void write_msrp_send(Sink& out, const MsrpSend& send) {
    write_head(out, send.transaction, "SEND", send.to_path, send.from_path);
    out.append("Message-ID: ", send.message_id, kCrlf);
    write_range(out, send.first, send.body.size(), send.total);
    if (send.success_report) out.append("Success-Report: yes\r\n");
    if (send.failure_report == MsrpFailureReport::kNo) out.append("Failure-Report: no\r\n");
    if (send.failure_report == MsrpFailureReport::kPartial)
        out.append("Failure-Report: partial\r\n");
    if (!send.content_type.empty()) {
        out.append("Content-Type: ", send.content_type, "\r\n\r\n", send.body, kCrlf);
    }
    write_end(out, send.transaction, send.flag);
}

void write_msrp_report(Sink& out, const MsrpReport& report) {
    write_head(out, report.transaction, "REPORT", report.to_path, report.from_path);
    out.append("Message-ID: ", report.message_id, kCrlf);
    write_range(out, 1, report.size, report.size);
    out.append("Status: 000 ");
    out.append_number(report.status);
    if (const Bytes reason = msrp_reason(report.status); !reason.empty()) out.append(" ", reason);
    out.append(kCrlf);
    write_end(out, report.transaction, MsrpFlag::kLast);
}

void write_msrp_response(Sink& out, const MsrpMessage& request, std::uint16_t status) {
    const bool is_send = request.method == MsrpMethod::kSend;
    out.append("MSRP ", request.transaction, " ");
    out.append_number(status);
    if (const Bytes reason = msrp_reason(status); !reason.empty()) out.append(" ", reason);
    out.append("\r\nTo-Path: ", is_send ? request.from.first.text : request.from.text,
               "\r\nFrom-Path: ", request.to.first.text, kCrlf);
    write_end(out, request.transaction, MsrpFlag::kLast);
}

Bytes msrp_reason(std::uint16_t status) {
    switch (status) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 403: return "Forbidden";
        case 408: return "Timeout";
        case 413: return "Stop Sending";
        case 415: return "Unsupported Media Type";
        case 481: return "No Such Session";
        case 501: return "Unknown Method";
        case 506: return "Session In Use";
        default: return {};
    }
}

}  // namespace fedgate::sip
