// Where messages on a stream end must not depend on where the bytes were cut, and a slow and
// obvious framer must see the same ends. The cuts come from the end of the input.
#include <cstddef>
#include <cstdint>
#include <fuzzer/FuzzedDataProvider.h>
#include <string>
#include <vector>

#include "tests/sip/framed.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

constexpr std::size_t kBodyBytesMax = 4'096;

void check_inside(Bytes view, Bytes whole) {
    if (view.empty()) return;
    FEDGATE_CHECK(view.data() >= whole.data());
    FEDGATE_CHECK(view.data() + view.size() <= whole.data() + whole.size());
}

void check_views(const Message& message, Bytes whole) {
    check_inside(message.body, whole);
    check_inside(message.call_id, whole);
    check_inside(message.from.uri.user, whole);
    check_inside(message.via.branch, whole);
    for (const Header& header : message.headers()) check_inside(header.value, whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    FuzzedDataProvider input(bytes, size);
    std::vector<std::size_t> cuts(input.ConsumeIntegralInRange<std::size_t>(0, 8));
    for (std::size_t& cut : cuts) cut = input.ConsumeIntegralInRange<std::size_t>(0, 8'192);
    const std::string stream = input.ConsumeRemainingBytesAsString();
    const std::vector<test::SlowFrame> slow = test::SlowFramer(kBodyBytesMax).read(stream);
    FEDGATE_CHECK(test::framed(stream, {}, kBodyBytesMax, check_views) == slow);
    FEDGATE_CHECK(test::framed(stream, cuts, kBodyBytesMax, check_views) == slow);

    std::string datagram = stream;
    Message message;
    const Frame frame = read_datagram(datagram, kBodyBytesMax, message);
    FEDGATE_CHECK(frame.kind != FrameKind::kNeedMore);
    if (frame.kind == FrameKind::kMessage) check_views(message, datagram);
    return 0;
}
