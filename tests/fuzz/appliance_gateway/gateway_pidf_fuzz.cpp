// Whatever presence document the gateway takes: the stanzas that it makes are well-formed XML, and
// what they say is written as a document that is read back the same.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "appliance/gateway/pidf.hpp"
#include "appliance/gateway/presences.hpp"
#include "core/base/check.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"
#include "xml/text.hpp"

namespace {

using namespace fedgate;
using gateway::Document;
using gateway::Presence;

std::array<char, 16'384> memory;
std::array<char, 262'144> document_memory;
std::array<char, 524'288> again_memory;
std::array<char, 262'144> stanza_memory;

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

void check_stanza(const Presence& presence) {
    Sink out(stanza_memory);
    out.append("<stream xmlns='jabber:server'>");
    gateway::PresenceHead head;
    head.from = "romeo@sip.example";
    head.to = "juliet@xmpp.example";
    head.id = "1";
    head.now = kNow;
    gateway::write_presence(head, presence, true, out);
    FEDGATE_CHECK(!out.overflowed());
    xml::Framer framer;
    xml::Frame frame;
    Bytes rest = out.written();
    FEDGATE_CHECK(framer.next(rest, frame) == xml::FrameStatus::kDone);
    rest.remove_prefix(frame.consumed);
    FEDGATE_CHECK(framer.next(rest, frame) == xml::FrameStatus::kDone);
    FEDGATE_CHECK(frame.consumed == rest.size());
    static std::array<char, 65'536> read_memory;
    Sink read(read_memory);
    const xml::Stanza stanza = xml::parse_stanza(frame.bytes, framer.scope());
    FEDGATE_CHECK(stanza.kind == xml::StanzaKind::kPresence);
    FEDGATE_CHECK(same_state(gateway::read_presence(stanza, presence.resource, read), presence));
}

// The person's state is one for all (PRES-10): who said nothing may have it.
bool same_tuple(const Presence& read, Presence sent) {
    if (sent.available && sent.show == gateway::Show::kNone) sent.show = read.show;
    return same_state(read, sent) && read.since == sent.since;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 8'192) return 0;
    const Bytes body(reinterpret_cast<const char*>(data), size);
    static xml::Document tree;
    static Document document;
    Sink sink(std::span(memory).first(2 * size));
    if (gateway::read_pidf(body, tree, document, sink) != gateway::PidfVerdict::kRead) return 0;
    std::size_t bytes = 0;
    for (const Presence& tuple : document.tuples()) {
        bytes += tuple.kept_bytes();
        check_stanza(tuple);
    }
    FEDGATE_CHECK(bytes <= limits::kPresenceBytes);

    Sink written(document_memory);
    gateway::write_pidf("sip:romeo@sip.example", document.tuples(), true, written);
    FEDGATE_CHECK(!written.overflowed());
    static Document again;
    Sink again_sink(again_memory);
    const auto verdict = gateway::read_pidf(written.written(), tree, again, again_sink);
    if (written.size() > limits::kPidfBytes) {  // ids of sixfold size
        FEDGATE_CHECK(verdict == gateway::PidfVerdict::kTooLarge);
    } else {
        FEDGATE_CHECK(verdict == gateway::PidfVerdict::kRead);
        FEDGATE_CHECK(again.count == document.count);
        for (std::size_t i = 0; i < again.count; ++i)
            FEDGATE_CHECK(same_tuple(again.tuples()[i], document.tuples()[i]));
    }

    // Lync is told of one, who is there if anybody is.
    written.truncate(0);
    gateway::write_pidf("sip:romeo@sip.example", document.tuples(), true, written,
                        gateway::PidfForm::kLync);
    again_sink.truncate(0);
    FEDGATE_CHECK(gateway::read_pidf(written.written(), tree, again, again_sink) ==
                  gateway::PidfVerdict::kRead);
    FEDGATE_CHECK(again.count == 1);
    FEDGATE_CHECK(again.tuples()[0].available ==
                  std::ranges::any_of(document.tuples(), &Presence::available));

    // Whoever is told of it all is told nothing when it comes again, and can be told the contrary.
    gateway::Presences known;
    std::size_t told = 0;
    const auto tell = [&told](const Presence&) { return ++told != 0; };
    FEDGATE_CHECK(known.diff(document, tell));
    const std::size_t open = known.available_count();
    told = 0;
    FEDGATE_CHECK(known.diff(document, tell) && told == 0);
    FEDGATE_CHECK(known.take_back(tell) && told == open && known.empty());
    return 0;
}
