// Where MSRP messages on a stream end must not depend on where the bytes were cut, and what was
// read stays what it is when it is written and read again. The cuts come from the end of the input.
#include <cstddef>
#include <cstdint>
#include <fuzzer/FuzzedDataProvider.h>
#include <string>
#include <vector>

#include "sip/msrp_writer.hpp"
#include "tests/sip/msrp_support.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

constexpr std::size_t kBodyBytesMax = 512;

std::string written(const MsrpMessage& message) {
    std::string memory(limits::kMsrpHeaderBytes * 4 + message.body.size(), '\0');
    Sink out{MutableBytes(memory)};
    MsrpSend send{message.transaction, message.to.text, message.from.text, message.message_id};
    send.first = message.range.first;
    send.total = message.body.size();
    send.failure_report = message.failure_report;
    send.success_report = message.success_report;
    if (message.has_body) send.content_type = message.content_type;
    send.body = message.body;
    send.flag = message.flag;
    write_msrp_send(out, send);
    FEDGATE_CHECK(!out.overflowed());
    return std::string(out.written());
}

void answer(const MsrpMessage& message, std::uint16_t status) {
    if (!message.wants(status)) return;
    std::string memory(limits::kMsrpAnswerBytes, '\0');
    Sink out{MutableBytes(memory)};
    write_msrp_response(out, message, status);
    FEDGATE_CHECK(!out.overflowed());
    const auto read = test::feed_msrp(out.written(), {}, kBodyBytesMax);
    FEDGATE_CHECK(read.size() == 1 && read[0].ends_with("|" + std::to_string(status) + "|1$"));
}

void write_again(const MsrpMessage& message) {
    if (message.method != MsrpMethod::kSend) return;
    // Only a body that came without its CRLF may end with what looks like an end-line.
    if (has_msrp_end_line(message.body, message.transaction)) return;
    const auto read = test::feed_msrp(written(message), {}, kBodyBytesMax);
    FEDGATE_CHECK(read.size() == 1);
    MsrpMessage same = message;
    if (!message.has_body) same.content_type = {};
    FEDGATE_CHECK(read[0] == test::describe({MsrpFrameKind::kMessage, 1, {}}, same) ||
                  read[0] == "413 total");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    FuzzedDataProvider input(bytes, size);
    std::vector<std::size_t> cuts(input.ConsumeIntegralInRange<std::size_t>(0, 8));
    for (std::size_t& cut : cuts) cut = input.ConsumeIntegralInRange<std::size_t>(0, 4'096);
    const std::string stream = input.ConsumeRemainingBytesAsString();
    std::vector<std::string> whole;
    test::frame_msrp(
        stream, {}, kBodyBytesMax, [&](const MsrpFrame& frame, const MsrpMessage& message) {
            whole.push_back(test::describe(frame, message));
            answer(message, frame.fault.status == 0 ? std::uint16_t{200} : frame.fault.status);
            if (frame.kind == MsrpFrameKind::kMessage) write_again(message);
        });
    FEDGATE_CHECK(test::feed_msrp(stream, cuts, kBodyBytesMax) == whole);
    return 0;
}
