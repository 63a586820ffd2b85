#include "sip/framer.hpp"

#include <algorithm>

#include "core/base/limits.hpp"

namespace fedgate::sip {
namespace {

// Behind the first empty line from `from` on, or 0. Only tells when to look closer: parse_message
// decides.
std::size_t find_header_end(Bytes text, std::size_t from) {
    for (std::size_t i = from; (i = text.find('\n', i)) != Bytes::npos; ++i) {
        if (i + 1 < text.size() && text[i + 1] == '\n') return i + 2;
        if (i + 2 < text.size() && text[i + 1] == '\r' && text[i + 2] == '\n') return i + 3;
    }
    return 0;
}

Frame to_frame(const Parsed& parsed) {
    switch (parsed.verdict) {
        case Verdict::kDone: return {FrameKind::kMessage, parsed.size, 0, "", false};
        case Verdict::kNeedMore: return {};
        case Verdict::kMalformed: break;
    }
    return {FrameKind::kMalformed, parsed.size, parsed.status, parsed.reason, parsed.close};
}

}  // namespace

Frame Framer::next(MutableBytes input, Message& message) {
    const Bytes text(input.data(), input.size());
    if (text.empty()) return {};
    if (skip_ > 0) {
        const std::size_t size = std::min(skip_, text.size());
        skip_ -= size;
        return {FrameKind::kSkipped, size, 0, "", false};
    }
    if (text.front() == '\r') {
        if (text.size() == 1) return {};
        if (text[1] == '\n') {
            // RFC 5626 3.5.1, RFC 3261 7.5. A ping may come in two halves; the first looks like a
            // pong.
            if (after_crlf_) {
                after_crlf_ = false;
                return {FrameKind::kPing, 2, 0, "", false};
            }
            if (text.starts_with("\r\n\r\n")) return {FrameKind::kPing, 4, 0, "", false};
            after_crlf_ = true;
            return {FrameKind::kPong, 2, 0, "", false};
        }
    }
    after_crlf_ = false;
    if (text.size() < wanted_) return {};
    if (wanted_ == 0 && scanned_ != 0 && text.size() < limits::kSipHeaderBytes) {
        // The first line tells whether it is SIP at all, the empty one ends the header section.
        const bool more = start_line_seen_ ? find_header_end(text, scanned_) != 0
                                           : text.find('\n', scanned_) != Bytes::npos;
        if (!more) return wait(text);
    }
    const Parsed parsed = parse_message(input, Carrier::kStream, body_bytes_max_, message);
    if (parsed.verdict == Verdict::kNeedMore) {
        wanted_ = parsed.size;
        start_line_seen_ = text.find('\n', scanned_) != Bytes::npos || start_line_seen_;
        return wait(text);
    }
    scanned_ = 0;
    wanted_ = 0;
    start_line_seen_ = false;
    skip_ = parsed.close ? 0 : parsed.skip;
    return to_frame(parsed);
}

Frame Framer::wait(Bytes text) {
    scanned_ = text.size() - std::min<std::size_t>(text.size(), 2);
    return {};
}

Frame read_datagram(MutableBytes input, std::size_t body_bytes_max, Message& message) {
    const Bytes text(input.data(), input.size());
    std::size_t skipped = 0;
    while (text.substr(skipped).starts_with("\r\n")) skipped += 2;  // RFC 3261 7.5
    if (skipped == text.size()) {
        return {skipped >= 4 ? FrameKind::kPing : FrameKind::kPong, text.size(), 0, "", false};
    }
    Frame frame = to_frame(
        parse_message(input.subspan(skipped), Carrier::kDatagram, body_bytes_max, message));
    frame.consumed = text.size();
    frame.close = false;  // there is nothing to close
    return frame;
}

}  // namespace fedgate::sip
