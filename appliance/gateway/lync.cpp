#include "appliance/gateway/lync.hpp"

#include <charconv>
#include <cstring>

#include "appliance/gateway/document.hpp"
#include "core/base/hash.hpp"
#include "sip/uri.hpp"
#include "xml/scope.hpp"

namespace fedgate::gateway {
namespace {

// Its typing has no namespace: what declares none has that one for the Framer.
constexpr Bytes kNoNamespace = xml::kServerNamespace;

constexpr Bytes kDiagnosticsFields[] = {"ms-diagnostics", "ms-diagnostics-public"};

Bytes inside_quotes(Bytes value) {
    return value.size() >= 2 && value.front() == '"' ? value.substr(1, value.size() - 2) : value;
}

}  // namespace

std::optional<bool> parse_keyboard_activity(Bytes document, xml::Framer& framer) {
    std::optional<bool> active;
    const bool whole = read_document(document, "KeyboardActivity", kNoNamespace, framer,
                                     [&](const xml::Element& child) {
                                         if (active || !child.is("status", kNoNamespace)) return;
                                         const Bytes status = child.attribute("status");
                                         if (status == "type" || status == "idle")
                                             active = status == "type";
                                     });
    if (!whole) return std::nullopt;
    return active;
}

void write_keyboard_activity(bool active, Sink& sink) {
    sink.append("<?xml version=\"1.0\"?><KeyboardActivity><status status=\"",
                active ? Bytes("type") : Bytes("idle"), "\" /></KeyboardActivity>");
}

void write_ms_conversation_id(const Key& of_thread, Sink& sink) {
    char bytes[sizeof of_thread.high + sizeof of_thread.low];
    std::memcpy(bytes, &of_thread.high, sizeof of_thread.high);
    std::memcpy(bytes + sizeof of_thread.high, &of_thread.low, sizeof of_thread.low);
    static_assert(sizeof bytes == 16);
    sink.append("Ms-Conversation-ID: ");
    write_base64(sink, {bytes, sizeof bytes});
    sink.append("\r\n");
}

void write_epid(Bytes resource, Sink& sink) {
    if (resource.empty()) return;
    const auto digits = to_hex(sha1({resource}));
    sink.append(";epid=", Bytes(digits.data(), 10));
}

Result<Diagnostics> parse_diagnostics(Bytes value) {
    Diagnostics out;
    const char* const end = value.data() + value.size();
    const auto parsed = std::from_chars(value.data(), end, out.code);
    if (parsed.ec != std::errc{}) return failure(Errc::kMalformed, "ms-diagnostics");
    value.remove_prefix(static_cast<std::size_t>(parsed.ptr - value.data()));
    // OCS writes a second number behind a dot.
    const std::size_t rest = value.find_first_not_of(".0123456789 \t");
    if (rest == Bytes::npos) return out;
    if (value[rest] != ';') return failure(Errc::kMalformed, "ms-diagnostics");
    value.remove_prefix(rest + 1);
    Bytes name;
    sip::Parameter parameter;
    while (sip::take_parameter(value, name, parameter)) {
        const Bytes text = inside_quotes(parameter.value);
        if (sip::equal_ignoring_case(name, "reason") && out.reason.empty()) out.reason = text;
        if (sip::equal_ignoring_case(name, "source") && out.source.empty()) out.source = text;
    }
    if (!value.empty()) return failure(Errc::kMalformed, "ms-diagnostics");
    return out;
}

std::optional<Diagnostics> find_diagnostics(const sip::Message& message) {
    for (const Bytes field : kDiagnosticsFields) {
        for (const sip::Header& header : message.headers()) {
            if (!sip::equal_ignoring_case(header.name, field)) continue;
            if (const auto read = parse_diagnostics(header.value)) return *read;
        }
    }
    return std::nullopt;
}

void write_diagnostics_public(std::uint32_t code, Bytes reason, Sink& sink) {
    sink.append(kDiagnosticsFields[1], ": ");
    sink.append_number(code);
    sink.append(";reason=\"");
    for (const char c : reason) {
        if (c == '"' || c == '\\') sink.append('\\');
        sink.append(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);  // no line of its own
    }
    sink.append("\"\r\n");
}

}  // namespace fedgate::gateway
