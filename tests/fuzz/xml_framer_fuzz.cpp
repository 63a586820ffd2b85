// Any bytes: the framer gives the same frames and the same end whether they come whole or in two parts,
// and the views over each frame stay inside it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "xml/framer.hpp"
#include "xml/stanza.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::xml;

void look_at(const Frame& frame, const StreamScope& scope, std::string& log) {
    log.append(frame.bytes).push_back('\0');
    if (frame.kind != FrameKind::kElement) return;
    const Stanza stanza = parse_stanza(frame.bytes, scope);
    if (stanza.root.bytes() != frame.bytes) std::abort();
    char memory[1'024];
    Sink sink{MutableBytes(memory)};
    stanza.root.text(sink);
    for (const Element& child : stanza.root.children()) {
        if (child.namespace_uri().data() == nullptr) std::abort();    // the framer checks prefixes
        child.text(sink);
    }
}

// Feeds [0, cut), then the rest; the log says all that came out.
std::string play(Bytes input, std::size_t cut) {
    Framer framer;
    framer.set_element_bytes_max(4'096);
    std::string log;
    std::size_t begin = 0;
    for (const std::size_t end : {cut, input.size()}) {
        for (;;) {
            const std::string moved(input.substr(begin, end - begin));    // exact size: reads beyond are seen
            Frame frame;
            const FrameStatus status = framer.next(moved, frame);
            if (status == FrameStatus::kMalformed) return log + std::to_string(static_cast<int>(framer.fault()));
            if (status == FrameStatus::kDone) look_at(frame, framer.scope(), log);
            begin += frame.consumed;
            if (status == FrameStatus::kNeedMore) break;
        }
    }
    return log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const Bytes input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t cut = data[0] * input.size() / 256;
    if (play(input, input.size()) != play(input, cut)) std::abort();
    return 0;
}
