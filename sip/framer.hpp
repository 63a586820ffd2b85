// The boundary of messages on a stream, and of the one message in a datagram. Keepalives (RFC
// 5626 3.5.1) are taken out here; all else is decided by parse_message, so that framing and meaning
// can't disagree. Pure. Owner: the connection's. The view given to next() must begin at the first
// byte not consumed. Of what was read ahead a copy made before it goes back to the beginning.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bytes.hpp"
#include "sip/message.hpp"

namespace fedgate::sip {

enum class FrameKind : std::uint8_t {
    kNeedMore,  // nothing whole yet; `consumed` is 0
    kMessage,
    kPing,       // CRLFCRLF: answer CRLF
    kPong,       // CRLF: answer to our ping, or the first half of a ping; nothing to do
    kMalformed,  // see the fields below
    kSkipped,    // of a body that is too long: its request was refused when it was announced
};

struct Frame {
    FrameKind kind = FrameKind::kNeedMore;
    std::size_t consumed =
        0;  // bytes at the front that are done with, once the message was handled
    // kMalformed only, as in Parsed: answer with `status` if message.answerable(), else drop in
    // silence.
    std::uint16_t status = 0;
    const char* reason = "";
    bool close = false;  // stream: answer, then close; nothing behind it may be read
};

class Framer {
public:
    explicit Framer(std::size_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

    // The next thing at the front of `input`: all bytes received and not yet consumed. Call again
    // with the rest until kNeedMore. No byte is looked at more than a fixed number of times.
    [[nodiscard]] Frame next(MutableBytes input, Message&);
    // A message that was handled has not come to its end.
    [[nodiscard]] bool is_skipping() const { return skip_ > 0; }

private:
    Frame wait(Bytes text);

    std::size_t body_bytes_max_;
    std::size_t scanned_ = 0;  // no end of the header section before here
    std::size_t wanted_ = 0;   // size of the message, once its header section was read
    std::size_t skip_ = 0;     // bytes of a body that is too long, still to come
    bool start_line_seen_ = false;
    bool after_crlf_ = false;
};

// A whole datagram. Bytes beyond Content-Length are ignored (SIP-41); kNeedMore never comes back.
[[nodiscard]] Frame read_datagram(MutableBytes input, std::size_t body_bytes_max, Message&);

}  // namespace fedgate::sip
