// The verdict on a stream must not depend on where the bytes were cut, and no input may break a
// view.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "sip/framer.hpp"

namespace {

using fedgate::MutableBytes;
using fedgate::sip::Frame;
using fedgate::sip::FrameKind;
using fedgate::sip::Framer;
using fedgate::sip::Message;

constexpr std::size_t kBodyBytesMax = 4096;

struct Outcome {
    FrameKind kind;
    std::size_t end;
    std::uint16_t status;
    bool operator==(const Outcome&) const = default;
};

void check_inside(fedgate::Bytes view, fedgate::Bytes whole) {
    if (view.empty()) return;
    FEDGATE_CHECK(view.data() >= whole.data());
    FEDGATE_CHECK(view.data() + view.size() <= whole.data() + whole.size());
}

void check_views(const Message& message, fedgate::Bytes whole) {
    check_inside(message.body, whole);
    check_inside(message.call_id, whole);
    check_inside(message.from.uri.user, whole);
    check_inside(message.via.branch, whole);
    for (const auto& header : message.headers()) check_inside(header.value, whole);
}

// What the framer gives when the bytes come in pieces of `step`.
std::vector<Outcome> frames_of(fedgate::Bytes data, std::size_t step) {
    std::string buffer(data);
    std::vector<Outcome> outcomes;
    Message message;
    Framer framer(kBodyBytesMax);
    std::size_t start = 0;
    for (std::size_t size = 0; size < buffer.size();) {
        size = std::min(size + step, buffer.size());
        for (;;) {
            const MutableBytes input(buffer.data() + start, size - start);
            const Frame frame = framer.next(input, message);
            FEDGATE_CHECK(frame.consumed <= input.size());
            if (frame.kind == FrameKind::kNeedMore) break;
            if (frame.kind == FrameKind::kMessage) {
                check_views(message, {input.data(), input.size()});
            }
            start += frame.consumed;
            // How the CRLFs between messages are told apart may depend on the cuts.
            const bool is_content =
                frame.kind == FrameKind::kMessage || frame.kind == FrameKind::kMalformed;
            if (is_content) outcomes.push_back({frame.kind, start, frame.status});
            if (frame.close || (frame.kind == FrameKind::kMalformed && frame.consumed == 0)) {
                return outcomes;
            }
        }
    }
    return outcomes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const fedgate::Bytes data(reinterpret_cast<const char*>(bytes), size);
    if (size == 0) return 0;
    const auto whole = frames_of(data, size);
    FEDGATE_CHECK(frames_of(data, 1) == whole);
    FEDGATE_CHECK(frames_of(data, 7) == whole);

    std::string datagram(data);
    Message message;
    const Frame frame = read_datagram(datagram, kBodyBytesMax, message);
    FEDGATE_CHECK(frame.kind != FrameKind::kNeedMore);
    if (frame.kind == FrameKind::kMessage) check_views(message, datagram);
    return 0;
}
