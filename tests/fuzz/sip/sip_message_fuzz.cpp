// Whatever comes in: no crash, nothing read outside, and what was read can be answered and the
// answer read. Streams: sip_framer_fuzz.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
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
