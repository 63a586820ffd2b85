#include "appliance/gateway/receipt.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "appliance/gateway/date.hpp"
#include "appliance/gateway/document.hpp"
#include "core/base/hash.hpp"
#include "sip/uri.hpp"
#include "xml/writer.hpp"

namespace fedgate::gateway {
namespace {

constexpr Bytes kImdn = "urn:ietf:params:xml:ns:imdn";
constexpr std::size_t kProofBytes = 12;

// What an id is made of, in this order, before the proof.
struct Front {
    std::uint8_t kind;
    std::uint8_t flags;
    std::uint16_t name_bytes;
    std::int64_t sent_at;
};
constexpr std::size_t kFrontBytes = 12;
constexpr std::size_t kPlainBytes = kFrontBytes + 2 * kReceiptNameBytes + kProofBytes;
static_assert(base64_size(kPlainBytes) <= kReceiptIdBytes);

constexpr std::uint8_t kChat = 1, kPositive = 2, kNegative = 4, kDisplay = 8;

template <typename T>
void append_raw(const T& value, Sink& sink) {
    sink.append(Bytes(reinterpret_cast<const char*>(&value), sizeof value));
}

std::array<char, kProofBytes> proof(sip::KeySecret secret, const Key& pair, Bytes plain) {
    const auto digest =
        hmac_sha256(Bytes(reinterpret_cast<const char*>(&secret), sizeof secret),
                    {"receipt", Bytes(reinterpret_cast<const char*>(&pair), sizeof pair), plain});
    std::array<char, kProofBytes> cut;
    std::memcpy(cut.data(), digest.data(), cut.size());
    return cut;
}

Disposition disposition_of(const xml::Element& notification) {
    const xml::Element status = notification.child("status", kImdn);
    for (const xml::Element& one : status ? status.children() : xml::ChildRange(status)) {
        if (one.namespace_uri() != kImdn) continue;
        if (one.name() == "failed" || one.name() == "error") {
            return notification.name() == "delivery-notification" ? Disposition::kFailed
                                                                  : Disposition::kOther;
        }
        if (one.name() == "delivered") return Disposition::kDelivered;
        if (one.name() == "displayed") return Disposition::kDisplayed;
    }
    return Disposition::kOther;
}

// RFC 3862 2.1, TOKENCHAR and what else is in use; no character of it means anything in XML but &,
// < and >, which are escaped.
bool is_token(Bytes text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

std::optional<Imdn> parse_imdn(Bytes document, xml::Framer& framer, Sink& memory) {
    Imdn read;
    const bool whole =
        read_document(document, "imdn", kImdn, framer, [&](const xml::Element& child) {
            if (child.namespace_uri() != kImdn) return;
            if (child.name() == "message-id") {
                read.message_id = word_of(child, memory);
            } else if (child.name() == "delivery-notification" ||
                       child.name() == "display-notification") {
                read.disposition = disposition_of(child);
            }
        });
    if (!whole || read.message_id.empty()) return std::nullopt;
    return read;
}

Wanted parse_wanted(Bytes list) {
    Wanted wanted;
    while (!list.empty()) {
        Bytes one = list.substr(0, list.find(','));
        list.remove_prefix(std::min(list.size(), one.size() + 1));
        one = one.substr(0, one.find(';'));  // parameters
        while (one.starts_with(' ')) one.remove_prefix(1);
        while (one.ends_with(' ')) one.remove_suffix(1);
        if (sip::equal_ignoring_case(one, "positive-delivery")) wanted.positive = true;
        if (sip::equal_ignoring_case(one, "negative-delivery")) wanted.negative = true;
        if (sip::equal_ignoring_case(one, "display")) wanted.display = true;
    }
    return wanted;
}

bool ReceiptIds::write(const Key& pair, const ReceiptNote& note, Sink& sink) const {
    if (note.name.empty() || note.name.size() > kReceiptNameBytes) return false;
    if (note.kind == ReceiptFor::kRequest && !is_token(note.name)) return false;
    char plain_memory[kPlainBytes];
    Sink plain{MutableBytes(plain_memory)};
    const auto flags = static_cast<std::uint8_t>(
        (note.chat ? kChat : 0) | (note.wanted.positive ? kPositive : 0) |
        (note.wanted.negative ? kNegative : 0) | (note.wanted.display ? kDisplay : 0));
    append_raw(static_cast<std::uint8_t>(note.kind), plain);
    append_raw(flags, plain);
    append_raw(static_cast<std::uint16_t>(note.name.size()), plain);
    append_raw(std::int64_t{note.sent_at.time_since_epoch().count()}, plain);
    plain.append(note.name);
    if (note.resource.size() <= kReceiptNameBytes) plain.append(note.resource);
    const auto tail = proof(secret_, pair, plain.written());
    plain.append(Bytes(tail.data(), tail.size()));
    const std::size_t begin = sink.size();
    write_base64(sink, plain.written());
    if (sink.overflowed()) return false;
    // RFC 4648 section 5: its alphabet is a token's.
    std::size_t size = sink.size();
    MutableBytes text = sink.written_mutable();
    while (text[size - 1] == '=') --size;
    sink.truncate(size);
    for (char& c : text.subspan(begin, size - begin)) c = c == '+' ? '-' : c == '/' ? '_' : c;
    return true;
}

std::optional<ReceiptNote> ReceiptIds::read(const Key& pair, ReceiptFor kind, Bytes id,
                                            Sink& memory) const {
    if (id.size() > kReceiptIdBytes) return std::nullopt;
    char text_memory[kReceiptIdBytes + 4];
    Sink text{MutableBytes(text_memory)};
    for (const char c : id) text.append(c == '-' ? '+' : c == '_' ? '/' : c);
    while (text.size() % 4 != 0) text.append('=');
    char plain_memory[kPlainBytes];
    const auto size = fedgate::decode_base64(text.written(), MutableBytes(plain_memory));
    if (!size || *size < kFrontBytes + kProofBytes) return std::nullopt;
    const Bytes plain(plain_memory, *size - kProofBytes);
    const auto tail = proof(secret_, pair, plain);
    if (!equal_constant_time(Bytes(tail.data(), tail.size()),
                             Bytes(plain_memory, *size).substr(plain.size())))
        return std::nullopt;
    Front front{};
    std::memcpy(&front.kind, plain.data(), 1);
    std::memcpy(&front.flags, plain.data() + 1, 1);
    std::memcpy(&front.name_bytes, plain.data() + 2, 2);
    std::memcpy(&front.sent_at, plain.data() + 4, 8);
    if (front.kind != static_cast<std::uint8_t>(kind)) return std::nullopt;
    FEDGATE_CHECK(front.name_bytes <= plain.size() - kFrontBytes);  // it is ours
    const std::size_t begin = memory.size();
    memory.append(plain.substr(kFrontBytes));
    if (memory.overflowed()) return std::nullopt;
    const Bytes names = memory.written().substr(begin);
    ReceiptNote note;
    note.kind = kind;
    note.chat = (front.flags & kChat) != 0;
    note.wanted = {(front.flags & kPositive) != 0, (front.flags & kNegative) != 0,
                   (front.flags & kDisplay) != 0};
    note.sent_at = WallTime(std::chrono::seconds(front.sent_at));
    note.name = names.substr(0, front.name_bytes);
    note.resource = names.substr(front.name_bytes);
    return note;
}

void write_cpim(const Cpim& cpim, Bytes content, Sink& sink) {
    const auto line = [&sink](Bytes name, Bytes value, Bytes end = "\r\n") {
        sink.append(name);
        sink.append(value);
        sink.append(end);
    };
    line("Content-Type: ", "message/cpim");
    const std::size_t begin = sink.size();
    line("From: <", cpim.from_uri, ">\r\n");
    line("To: <", cpim.to_uri, ">\r\n");
    sink.append("DateTime: ");
    write_iso_date(cpim.written_at, sink);
    line("\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: ", cpim.message_id);
    if (cpim.asks) {
        // RFC 5438: a failure is told only to who asked for it.
        line("imdn.Disposition-Notification: ", "positive-delivery, negative-delivery");
    }
    line("\r\nContent-Type: ", cpim.content_type);
    if (cpim.notification) line("Content-Disposition: ", "notification");
    sink.append("Content-Length: ");
    sink.append_number(content.size());
    line("\r\n\r\n", content, {});
    // Its length is known now, and belongs in front of it.
    const std::size_t size = sink.size() - begin;
    sink.append("Content-Length: ");
    sink.append_number(size);
    sink.append("\r\n\r\n");
    if (sink.overflowed()) return;
    char* const memory = sink.written_mutable().data();
    std::rotate(memory + begin, memory + begin + size, memory + sink.size());
}

void write_imdn(Bytes message_id, WallTime written_at, Disposition disposition, Sink& sink) {
    char date_memory[32];
    Sink date{MutableBytes(date_memory)};
    write_iso_date(written_at, date);
    const bool display = disposition == Disposition::kDisplayed;
    const Bytes notification = display ? "display-notification" : "delivery-notification";
    xml::write_start(sink, "imdn", {{"xmlns", kImdn}});
    xml::write_element(sink, "message-id", {}, message_id);
    xml::write_element(sink, "datetime", {}, date.written());
    xml::write_start(sink, notification);
    xml::write_start(sink, "status");
    xml::write_empty(sink, display                                  ? "displayed"
                           : disposition == Disposition::kDelivered ? "delivered"
                                                                    : "failed");
    xml::write_end(sink, "status");
    xml::write_end(sink, notification);
    xml::write_end(sink, "imdn");
}

void write_received(const ReceivedHead& head, Bytes stanza_id, Sink& sink) {
    xml::write_start(sink, "message",
                     {{"from", head.from},
                      {"to", head.to},
                      {"id", head.id},
                      {"type", head.chat ? Bytes("chat") : Bytes()}});
    xml::write_empty(sink, "received", {{"xmlns", kReceipts}, {"id", stanza_id}});
    xml::write_end(sink, "message");
}

}  // namespace fedgate::gateway
