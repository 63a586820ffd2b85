// The verdict must not depend on where the bytes were cut; what was framed is walked to its last
// leaf.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"

namespace {

using fedgate::Bytes;
using fedgate::xml::Element;
using fedgate::xml::Frame;
using fedgate::xml::FrameKind;
using fedgate::xml::Framer;
using fedgate::xml::FrameStatus;
using fedgate::xml::XmlFault;

constexpr std::size_t kElementBytesMax = 10'000;

struct Outcome {
    std::vector<std::string> frames;
    XmlFault fault = XmlFault::kNone;
    bool operator==(const Outcome&) const = default;
};

void walk(const Element& element) {
    static std::array<char, kElementBytesMax> memory;
    fedgate::Sink sink(memory);
    FEDGATE_CHECK(element.text(sink));  // decoded text is never longer than what is written
    auto attributes = element.attributes();
    for (fedgate::xml::Attribute attribute; attributes.next(attribute);) {
        sink.truncate(0);
        FEDGATE_CHECK(fedgate::xml::decode_attribute(attribute.value, sink));
    }
    for (const Element& child : element.children()) walk(child);
}

Outcome frames_of(Bytes data, std::size_t step) {
    Outcome outcome;
    Framer framer;
    framer.set_element_bytes_max(kElementBytesMax);
    std::size_t start = 0;
    for (std::size_t size = 0; size < data.size();) {
        size = std::min(size + step, data.size());
        for (;;) {
            Frame frame;
            const Bytes input = data.substr(start, size - start);
            const FrameStatus status = framer.next(input, frame);
            if (status == FrameStatus::kMalformed) {
                outcome.fault = framer.fault();
                return outcome;
            }
            FEDGATE_CHECK(frame.consumed <= input.size());
            start += frame.consumed;
            if (status == FrameStatus::kNeedMore) break;
            outcome.frames.emplace_back(frame.bytes);
            if (frame.kind == FrameKind::kElement) {
                walk(parse_stanza(frame.bytes, framer.scope()).root);
            }
            if (frame.kind == FrameKind::kStreamClose) return outcome;
        }
    }
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const Bytes data(reinterpret_cast<const char*>(bytes), size);
    if (size == 0) return 0;
    const Outcome whole = frames_of(data, size);
    FEDGATE_CHECK(frames_of(data, 1) == whole);
    FEDGATE_CHECK(frames_of(data, 7) == whole);
    return 0;
}
