#include "sip/msrp_framer.hpp"

#include <algorithm>

#include "core/base/limits.hpp"

namespace fedgate::sip {
namespace {

constexpr Bytes kStart = "MSRP ";
constexpr Bytes kHyphens = "-------";

bool is_flag(char c) { return c == '$' || c == '+' || c == '#'; }

}  // namespace

MsrpFrame MsrpFramer::next(Bytes input, MsrpMessage& message) {
    if (input.empty()) return {};
    if (is_skipping_) {
        message = {};
        return skip(input);
    }
    return body_at_ == 0 ? read_head(input, message) : read_body(input, false, message);
}

MsrpFrame MsrpFramer::read_head(Bytes input, MsrpMessage& message) {
    message = {};
    // Not MSRP at all: nobody waits for the end of its line.
    const Bytes front = input.substr(0, kStart.size());
    if (!kStart.starts_with(front)) return refuse(0, {400, "start line", true});
    while (true) {
        const std::size_t end = input.find('\n', scanned_);
        const std::size_t seen = end == Bytes::npos ? input.size() : end;
        if (seen >= limits::kMsrpHeaderBytes)
            return refuse(0, {400, "header section too long", true});
        if (end == Bytes::npos) {
            scanned_ = input.size();
            return {};
        }
        if (end == line_ || input[end - 1] != '\r') return refuse(0, {400, "bare LF", true});
        const Bytes line = input.substr(line_, end - 1 - line_);
        if (line_ == 0 && !read_msrp_start(line, message))
            return refuse(0, {400, "start line", true});
        if (line.empty() || line.starts_with(kHyphens)) {
            head_size_ = line_;
            return finish_head(input, line, end + 1, message);
        }
        line_ = scanned_ = end + 1;
    }
}

// `end_line`: empty where a body follows.
MsrpFrame MsrpFramer::finish_head(Bytes input, Bytes end_line, std::size_t next,
                                  MsrpMessage& message) {
    const MsrpFault fault = read_msrp_head(input.substr(0, head_size_), message);
    if (fault.close) return refuse(0, fault);
    Sink sink{MutableBytes(pattern_)};
    sink.append("\r\n", kHyphens, message.transaction);
    pattern_size_ = static_cast<std::uint8_t>(sink.size());
    if (!end_line.empty()) {
        const Bytes expected = pattern().substr(2);
        if (end_line.size() != expected.size() + 1 || !end_line.starts_with(expected) ||
            !is_flag(end_line.back())) {
            return refuse(0, {400, "end-line", true});
        }
        message.flag = static_cast<MsrpFlag>(end_line.back());
        reset();
        if (fault.status != 0) return {MsrpFrameKind::kRefused, next, fault};
        return {MsrpFrameKind::kMessage, next, {}};
    }
    message.has_body = true;
    if (message.method == MsrpMethod::kNone) return refuse(0, {400, "response with body", true});
    if (fault.status != 0) return refuse(head_size_, fault);
    // SESS-23: at once.
    if (message.range.total.value_or(0) > body_bytes_max_)
        return refuse(head_size_, {413, "total"});
    if (message.content_type.empty()) return refuse(head_size_, {400, "no Content-Type"});
    body_at_ = next;
    scanned_ = head_size_;  // a body may be missing, and its CRLF with it
    return read_body(input, true, message);
}

MsrpFrame MsrpFramer::read_body(Bytes input, bool head_is_read, MsrpMessage& message) {
    End end;
    const Found found = find_end(input, end);
    const bool ends = found != Found::kNo;
    const std::size_t size = ends ? std::max(end.at, body_at_) - body_at_ : input.size() - body_at_;
    // What is no whole end-line yet may become one up to its last byte.
    const bool is_too_long = size > body_bytes_max_ + (ends ? 0 : pattern_size_ + 2u);
    if (!ends && !is_too_long) return {};
    // Again, since the bytes may have moved.
    if (!head_is_read) static_cast<void>(read_msrp_head(input.substr(0, head_size_), message));
    message.has_body = true;
    // Before what ends it is looked at: had it come in pieces, it would have been refused by now.
    if (is_too_long) return refuse(head_size_, {413, "body too long"});
    if (found == Found::kBroken) return refuse(0, {400, "end-line", true});
    message.flag = end.flag;
    message.body = input.substr(body_at_, size);
    reset();
    return {MsrpFrameKind::kMessage, end.size, {}};
}

MsrpFrame MsrpFramer::skip(Bytes input) {
    End end;
    const Found found = find_end(input, end);
    const std::size_t passed = found == Found::kNo ? scanned_ : end.at;
    skipped_ += passed;
    if (skipped_ > limits::kMsrpSkippedBytes) return refuse(0, {413, "body much too long", true});
    if (found == Found::kBroken) return refuse(0, {400, "end-line", true});
    if (found == Found::kYes) {
        reset();
        return {MsrpFrameKind::kSkipped, end.size, {}};
    }
    scanned_ = 0;
    return {passed == 0 ? MsrpFrameKind::kNeedMore : MsrpFrameKind::kSkipped, passed, {}};
}

// kNo: up to scanned_ there is none.
MsrpFramer::Found MsrpFramer::find_end(Bytes input, End& out) {
    const Bytes wanted = pattern();
    for (std::size_t at = scanned_; (at = input.find(wanted, at)) != Bytes::npos; at += 2) {
        const Bytes behind = input.substr(at + wanted.size());
        if (!behind.empty() && !is_flag(behind[0])) continue;  // a longer id, as it may be
        out = {at, at + wanted.size() + 3};
        if (behind.size() < 3) {
            // RFC 4975 7.1: no sender may have that in a body.
            if (behind.size() == 2 && behind[1] != '\r') return Found::kBroken;
            scanned_ = at;
            return Found::kNo;
        }
        if (behind.substr(1, 2) != "\r\n") return Found::kBroken;
        out.flag = static_cast<MsrpFlag>(behind[0]);
        return Found::kYes;
    }
    if (input.size() >= wanted.size()) {
        scanned_ = std::max(scanned_, input.size() - wanted.size() + 1);
    }
    return Found::kNo;
}

// Without `close` the empty line and the body follow, and are skipped.
MsrpFrame MsrpFramer::refuse(std::size_t consumed, MsrpFault fault) {
    reset();
    is_skipping_ = !fault.close;
    return {MsrpFrameKind::kRefused, consumed, fault};
}

void MsrpFramer::reset() {
    scanned_ = line_ = head_size_ = body_at_ = skipped_ = 0;
    is_skipping_ = false;
}

}  // namespace fedgate::sip
