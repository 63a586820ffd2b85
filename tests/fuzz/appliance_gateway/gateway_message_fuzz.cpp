// Whatever MESSAGE the gateway takes: its stanza is well-formed XML that the other side would take,
// and that stanza becomes a MESSAGE that a SIP server would take, with the same addresses and text.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/message.hpp"
#include "core/base/check.hpp"
#include "sip/message.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"

namespace {

using namespace fedgate;

constexpr std::size_t kBodyBytesMax = 4'096;
constexpr Bytes kStream =
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";

std::array<char, 65'536> text_memory;
std::array<char, 65'536> scratch_memory;
std::array<char, 262'144> stanza_memory;
std::array<char, 262'144> request_memory;
std::array<char, 16'384> names_memory;
sip::Message message;

void there_and_back(const gateway::Address& from, const gateway::Address& to,
                    const xml::Stanza& stanza, const gateway::Text& sent) {
    Sink memory(text_memory);
    const gateway::StanzaText read = gateway::read_stanza(stanza, kBodyBytesMax * 6, memory);
    FEDGATE_CHECK(read.use == gateway::StanzaUse::kSend);
    Sink names(names_memory);
    gateway::write_sender_uri(from, names);
    const Bytes from_uri = names.written();
    gateway::write_aor(to, names);
    const Bytes to_uri = names.written().substr(from_uri.size());
    const std::size_t call_id_begin = names.size();
    gateway::write_call_id(read.text.thread, "fresh", names);
    FEDGATE_CHECK(!names.overflowed());
    gateway::Envelope envelope;
    envelope.request_uri = envelope.to_uri = to_uri;
    envelope.from_uri = from_uri;
    envelope.from_tag = "tag";
    envelope.call_id = names.written().substr(call_id_begin);
    envelope.via.host = "gw.example";
    envelope.via.branch = "z9hG4bK1";
    Sink request(request_memory);
    gateway::write_request(envelope, read.text, scratch_memory, request);
    FEDGATE_CHECK(!request.overflowed());
    const MutableBytes bytes(request_memory.data(), request.size());
    const sip::Parsed parsed =
        sip::parse_message(bytes, sip::Carrier::kStream, request_memory.size(), message);
    FEDGATE_CHECK(parsed.verdict == sip::Verdict::kDone && parsed.size == bytes.size());
    FEDGATE_CHECK(message.method == sip::Method::kMessage);
    static gateway::Address again;
    FEDGATE_CHECK(gateway::read_uri(message.from.uri, again) ==
                  gateway::AddressFault::kNone);  // ADDR-31
    FEDGATE_CHECK(again.jid.local == from.jid.local && again.jid.domain == from.jid.domain &&
                  again.jid.resource == from.jid.resource);
    FEDGATE_CHECK(gateway::read_uri(message.request_uri, again) == gateway::AddressFault::kNone);
    FEDGATE_CHECK(again.jid.local == to.jid.local && again.jid.domain == to.jid.domain);
    FEDGATE_CHECK(message.body.empty() == sent.body.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 8'192) return 0;
    std::string bytes(reinterpret_cast<const char*>(data), size);
    const sip::Parsed parsed = sip::parse_message({bytes.data(), bytes.size()},
                                                  sip::Carrier::kDatagram, kBodyBytesMax, message);
    if (parsed.verdict != sip::Verdict::kDone || !message.is_request) return 0;
    static gateway::Address from;
    static gateway::Address to;
    if (gateway::read_uri(message.from.uri, from) != gateway::AddressFault::kNone) return 0;
    if (gateway::read_uri(message.request_uri, to) != gateway::AddressFault::kNone) return 0;
    static std::array<char, 65'536> memory;
    Sink text(memory);
    const WallTime now{std::chrono::seconds(1'700'000'000)};
    const gateway::RequestText read =
        gateway::read_request(message, now, kBodyBytesMax, scratch_memory, text);
    if (read.use != gateway::RequestUse::kStanza) return 0;

    static std::array<char, 4 * xml::kJidBytes> jid_memory;
    Sink jids(jid_memory);
    gateway::StanzaHead head;
    xml::write_jid(jids, from.jid);
    head.from = jids.written();
    xml::write_jid(jids, to.jid);
    head.to = jids.written().substr(head.from.size());
    head.id = gateway::stanza_id(message.via.branch);
    if (head.id.empty()) head.id = "fresh";
    head.thread = message.call_id;
    head.our_domain = from.domain_ascii;
    Sink stanza(stanza_memory);
    stanza.append(kStream);
    gateway::write_stanza(head, read.text, stanza);
    FEDGATE_CHECK(!stanza.overflowed());

    xml::Framer framer;
    framer.set_element_bytes_max(stanza_memory.size());
    xml::Frame frame;
    Bytes rest = stanza.written();
    FEDGATE_CHECK(framer.next(rest, frame) == xml::FrameStatus::kDone);
    rest.remove_prefix(frame.consumed);
    FEDGATE_CHECK(framer.next(rest, frame) == xml::FrameStatus::kDone);
    FEDGATE_CHECK(frame.kind == xml::FrameKind::kElement && frame.consumed == rest.size());
    const xml::Stanza whole = xml::parse_stanza(frame.bytes, framer.scope());
    FEDGATE_CHECK(whole.kind == xml::StanzaKind::kMessage);
    there_and_back(from, to, whole, read.text);
    return 0;
}
