// Whatever comes in: no crash, nothing read outside, the same verdicts whole and cut, and what was
// read can be answered and the answer read.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "sip/framer.hpp"
#include "sip/request_checks.hpp"
#include "sip/transaction_key.hpp"
#include "sip/writer.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

constexpr std::size_t kBodyMax = 4'096;

void demand(bool condition) {
    if (!condition) std::abort();
}

void answer(const Message& message) {
    if (!message.is_request) return;
    static std::array<char, 1 << 20> memory;
    Sink sink(memory);
    write_response_head(sink, message, {200, "", "tag", "2001:db8::1", 5060});
    write_no_body(sink);
    demand(!sink.overflowed());
    std::vector<char> copy(sink.written().begin(), sink.written().end());
    static Message response;
    const Frame frame = read_datagram(copy, kBodyMax, response);
    // A received parameter makes a header section at the bound longer than it.
    demand(frame.kind == FrameKind::kMessage || frame.status == 513);
    if (frame.kind == FrameKind::kMessage) demand(response.call_id == message.call_id);
}

std::vector<std::string> feed(const std::string& bytes, std::size_t cut) {
    std::vector<std::string> out;
    static Message message;
    Framer framer(kBodyMax);
    std::vector<char> pending(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    for (int piece = 0; piece < 2; ++piece) {
        while (true) {
            std::vector<char> exact(pending);
            const Frame frame = framer.next(exact, message);
            pending = exact;
            if (frame.kind == FrameKind::kNeedMore) break;
            demand(frame.close || (frame.consumed > 0 && frame.consumed <= exact.size()));
            if (frame.kind == FrameKind::kMessage || frame.kind == FrameKind::kMalformed) {
                out.push_back(std::to_string(frame.status) + frame.reason +
                              std::string(message.call_id) + std::string(message.body));
            }
            if (frame.kind == FrameKind::kMessage) answer(message);
            if (frame.close) return out;
            pending.erase(pending.begin(),
                          pending.begin() + static_cast<std::ptrdiff_t>(frame.consumed));
        }
        if (piece == 0)
            pending.insert(pending.end(), bytes.begin() + static_cast<std::ptrdiff_t>(cut),
                           bytes.end());
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    const std::size_t cut = size == 0 ? 0 : (data[0] * 257u + data[size - 1]) % size;
    demand(feed(bytes, size) == feed(bytes, cut));
    std::vector<char> copy(bytes.begin(), bytes.end());
    static Message message;
    const Frame frame = read_datagram(copy, kBodyMax, message);
    demand(frame.kind != FrameKind::kNeedMore);
    if (frame.kind != FrameKind::kMessage) return 0;
    (void)server_key({1, 2}, message);
    (void)check_request(message, {Method::kMessage});
    for (const Header& header : message.headers()) {
        (void)parse_content_type(header.value);
        (void)parse_seconds(header.value);
    }
    answer(message);
    return 0;
}
