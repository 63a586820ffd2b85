// The verdict must not depend on where the bytes were cut; what was framed is walked to its last
// leaf, and looks the same with the framer's outline and without.
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
using fedgate::xml::Stanza;
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

void expect_same(const Element& one, const Element& other) {
    static std::array<char, 2 * kElementBytesMax> memory;
    fedgate::Sink sink(memory);
    FEDGATE_CHECK(one.name() == other.name() && one.prefix() == other.prefix());
    FEDGATE_CHECK(one.namespace_uri() == other.namespace_uri());
    FEDGATE_CHECK(one.bytes() == other.bytes() && one.content() == other.content());
    FEDGATE_CHECK(other.text(sink));
    const std::size_t text_bytes = sink.size();
    FEDGATE_CHECK(one.text_view(sink) == sink.written().substr(0, text_bytes));
    Element mine = one.first_child();
    Element theirs = other.first_child();
    for (; mine && theirs; mine = mine.next_sibling(), theirs = theirs.next_sibling())
        expect_same(mine, theirs);
    FEDGATE_CHECK(!mine && !theirs);
}

void expect_same(const Stanza& one, const Stanza& other) {
    FEDGATE_CHECK(one.kind == other.kind && one.from == other.from && one.to == other.to &&
                  one.id == other.id && one.type == other.type && one.lang == other.lang);
    for (const Bytes value : {other.from, other.to, other.id}) {
        std::array<char, kElementBytesMax> memory;
        fedgate::Sink sink(memory);
        FEDGATE_CHECK(!one.plain || fedgate::xml::attribute_value(value, sink) == value);
    }
    expect_same(one.root, other.root);
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
                const Stanza alone = parse_stanza(frame.bytes, framer.scope());
                walk(alone.root);
                expect_same(parse_stanza(frame.bytes, framer.scope(), frame.outline), alone);
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
