// Whatever presence stanza the gateway takes: its document is one that we would take ourselves, and
// says the same but for what has no place in it (PRES-7).
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "appliance/gateway/pidf.hpp"
#include "appliance/gateway/presences.hpp"
#include "core/base/check.hpp"
#include "xml/framer.hpp"
#include "xml/jid.hpp"
#include "xml/stanza.hpp"

namespace {

using namespace fedgate;
using gateway::Presence;

std::array<char, 16'384> memory;
std::array<char, 65'536> document_memory;
std::array<char, 131'072> again_memory;
std::array<char, xml::kJidBytes> resource_memory;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 8'192) return 0;
    std::string bytes = "<stream xmlns='jabber:server'>";
    bytes.append(reinterpret_cast<const char*>(data), size);
    xml::Framer framer;
    xml::Frame frame;
    FEDGATE_CHECK(framer.next(bytes, frame) == xml::FrameStatus::kDone);
    const Bytes rest = Bytes(bytes).substr(frame.consumed);
    if (framer.next(rest, frame) != xml::FrameStatus::kDone) return 0;
    const xml::Stanza stanza = xml::parse_stanza(frame.bytes, framer.scope());
    if (stanza.kind != xml::StanzaKind::kPresence) return 0;
    // The id for a resource: any that a JID may have.
    Sink resource(resource_memory);
    if (!xml::enforce_resource(stanza.id, resource)) return 0;

    Sink sink(std::span(memory).first(size));
    const Presence read = gateway::read_presence(stanza, resource.written(), sink);
    FEDGATE_CHECK(!sink.overflowed());
    gateway::Presences known;
    FEDGATE_CHECK(known.set(read));
    FEDGATE_CHECK(!known.set(read));
    FEDGATE_CHECK(known.bytes() == read.kept_bytes());
    FEDGATE_CHECK(same_state(*known.begin(), read) && known.begin()->since == read.since);

    Sink written(document_memory);
    gateway::write_pidf("sip:juliet@xmpp.example", known, true, written);
    FEDGATE_CHECK(!written.overflowed());
    static xml::Document tree;
    static gateway::Document document;
    Sink again(again_memory);
    FEDGATE_CHECK(gateway::read_pidf(written.written(), tree, document, again) ==
                  gateway::PidfVerdict::kRead);
    FEDGATE_CHECK(document.count == 1);
    Presence expected = read;
    if (expected.priority && *expected.priority < 0) expected.priority.reset();
    FEDGATE_CHECK(same_state(document.tuples()[0], expected));
    FEDGATE_CHECK(document.tuples()[0].since == read.since);
    return 0;
}
