// Bodies of SIP messages that are read for more than their text: an isComposing or an IMDN is read
// or not, in CPIM or alone; what is read is within its bounds; HTML becomes well-formed XHTML-IM.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "appliance/gateway/chat_state.hpp"
#include "appliance/gateway/html.hpp"
#include "appliance/gateway/lync.hpp"
#include "appliance/gateway/mime.hpp"
#include "appliance/gateway/receipt.hpp"
#include "appliance/gateway/text.hpp"
#include "core/base/check.hpp"
#include "xml/framer.hpp"
#include "xml/text.hpp"

namespace {

using namespace fedgate;

std::array<char, 65'536> text_memory;
std::array<char, 65'536> scratch_memory;
std::array<char, 262'144> xhtml_memory;
xml::Framer framer;

void documents(Bytes bytes) {
    if (const auto news = gateway::parse_is_composing(bytes, framer)) {
        FEDGATE_CHECK(news->refresh >= gateway::kTypingRefreshMin);
        FEDGATE_CHECK(news->refresh <= gateway::kTypingRefreshMax);
    }
    static_cast<void>(gateway::parse_keyboard_activity(bytes, framer));
    if (const auto read = gateway::parse_diagnostics(bytes)) {
        FEDGATE_CHECK(read->reason.size() + read->source.size() <= bytes.size());
    }
    Sink memory(scratch_memory);
    const auto imdn = gateway::parse_imdn(bytes, framer, memory);
    if (!imdn) return;
    FEDGATE_CHECK(!imdn->message_id.empty() && xml::is_xml_text(imdn->message_id));
    Sink again(text_memory);
    gateway::write_imdn(imdn->message_id, WallTime{}, gateway::Disposition::kDelivered, again);
    FEDGATE_CHECK(!again.overflowed());
    const std::string id(imdn->message_id);
    memory.truncate(0);
    const auto same = gateway::parse_imdn(again.written(), framer, memory);
    FEDGATE_CHECK(same && same->message_id == id);
}

void ids(Bytes bytes) {
    const gateway::ReceiptIds receipts({1, 2});
    const gateway::Key pair{3, 4};
    Sink memory(scratch_memory);
    FEDGATE_CHECK(!receipts.read(pair, gateway::ReceiptFor::kStanza, bytes, memory));
    const gateway::ReceiptNote note{
        gateway::ReceiptFor::kRequest, false, {true, false, true}, WallTime{}, bytes, {}};
    Sink id(text_memory);
    if (!receipts.write(pair, note, id)) return;
    FEDGATE_CHECK(id.size() <= gateway::kReceiptIdBytes);
    const auto read = receipts.read(pair, gateway::ReceiptFor::kRequest, id.written(), memory);
    FEDGATE_CHECK(read && read->name == bytes && read->wanted.positive && read->wanted.display);
}

void html(Bytes bytes) {
    Sink clean(text_memory);
    gateway::write_clean(gateway::Charset::kUtf8, bytes, clean);
    FEDGATE_CHECK(!clean.overflowed());
    Sink xhtml(xhtml_memory);
    xhtml.append("<a xmlns='x'><b>");
    static_cast<void>(gateway::write_xhtml_of_html(clean.written(), xhtml));
    xhtml.append("</b></a>");
    FEDGATE_CHECK(!xhtml.overflowed());
    framer.reset();
    framer.set_element_bytes_max(xhtml_memory.size());
    framer.set_depth_max(limits::kXmlDepth);
    Bytes rest = xhtml.written();
    for (int i = 0; i < 3; ++i) {
        xml::Frame frame;
        FEDGATE_CHECK(framer.next(rest, frame) == xml::FrameStatus::kDone);
        rest.remove_prefix(frame.consumed);
    }
    FEDGATE_CHECK(rest.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 8'192) return 0;
    const Bytes bytes(reinterpret_cast<const char*>(data), size);
    documents(bytes);
    ids(bytes);
    html(bytes);
    const gateway::BodyText found = gateway::find_text({"message/cpim", {}, {}}, bytes);
    static_cast<void>(gateway::parse_wanted(found.wanted));
    if (found.verdict != gateway::BodyVerdict::kFound) return 0;
    Sink text(text_memory);
    if (!gateway::write_body_text(found, scratch_memory, text)) return 0;
    FEDGATE_CHECK(xml::is_xml_text(text.written()));
    const std::string document(text.written());
    documents(document);
    return 0;
}
