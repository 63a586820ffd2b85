// The boundary of MSRP requests and responses on a stream (RFC 4975 7.1, 9): header fields up to an
// empty line or the end-line, a body up to the end-line. read_msrp_head() reads what is between.
// Pure. Owner: the connection's. The view given to next() must begin at the first byte not
// consumed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/bytes.hpp"
#include "sip/msrp_message.hpp"

namespace fedgate::sip {

enum class MsrpFrameKind : std::uint8_t {
    kNeedMore,  // nothing whole yet; `consumed` is 0
    kMessage,
    // Answer with `fault.status` if message.wants() it. With `fault.close` the connection ends
    // then; else its body, if any, is skipped.
    kRefused,
    kSkipped,  // of the body of one that was refused
};

struct MsrpFrame {
    MsrpFrameKind kind = MsrpFrameKind::kNeedMore;
    std::size_t consumed = 0;  // bytes at the front that are done with, once it was handled
    MsrpFault fault;
};

class MsrpFramer {
public:
    explicit MsrpFramer(std::size_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

    // The next thing at the front of `input`: all bytes received and not yet consumed. Call again
    // with the rest until kNeedMore. No byte is looked at more than a fixed number of times.
    [[nodiscard]] MsrpFrame next(Bytes input, MsrpMessage&);
    // One that was refused has not come to its end.
    [[nodiscard]] bool is_skipping() const { return is_skipping_; }

private:
    enum class Found : std::uint8_t { kNo, kYes, kBroken };
    struct End {
        std::size_t at = 0;    // of the CRLF before the end-line
        std::size_t size = 0;  // up to where the end-line ends
        MsrpFlag flag = MsrpFlag::kLast;
    };

    [[nodiscard]] MsrpFrame read_head(Bytes input, MsrpMessage&);
    [[nodiscard]] MsrpFrame finish_head(Bytes input, Bytes end_line, std::size_t next,
                                        MsrpMessage&);
    [[nodiscard]] MsrpFrame read_body(Bytes input, bool head_is_read, MsrpMessage&);
    [[nodiscard]] MsrpFrame skip(Bytes input);
    [[nodiscard]] MsrpFrame refuse(std::size_t consumed, MsrpFault);
    [[nodiscard]] Found find_end(Bytes input, End&);
    [[nodiscard]] Bytes pattern() const { return {pattern_.data(), pattern_size_}; }
    void reset();

    std::size_t body_bytes_max_;
    std::size_t scanned_ = 0;    // no end of what is being looked for begins before here
    std::size_t line_ = 0;       // where the line begins
    std::size_t head_size_ = 0;  // without the empty line behind it
    std::size_t body_at_ = 0;    // 0: the head is not whole
    std::size_t skipped_ = 0;
    bool is_skipping_ = false;
    std::uint8_t pattern_size_ = 0;
    std::array<char, 9 + kMsrpIdentBytes> pattern_;  // CRLF, seven hyphens, transaction id
};

}  // namespace fedgate::sip
