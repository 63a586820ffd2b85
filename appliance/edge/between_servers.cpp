#include "appliance/edge/between_servers.hpp"

#include "core/base/limits.hpp"
#include "xml/jid.hpp"

namespace fedgate::edge {

bool is_domain(Bytes raw) {
    char memory[limits::kJidPartBytes];
    Sink sink(memory);
    const auto jid = xml::split_jid(xml::attribute_value(raw, sink));
    return jid && jid->local.empty() && jid->resource.empty();
}

bool is_between_servers(const xml::Stanza& stanza) {
    return stanza.kind == xml::StanzaKind::kIq && is_domain(stanza.from) && is_domain(stanza.to);
}

bool is_between_servers(Bytes stanza) {
    if (!stanza.starts_with("<iq")) return false;
    const xml::StreamScope scope;
    return is_between_servers(xml::parse_stanza(stanza, scope));
}

bool is_empty_answer(Bytes stanza) {
    const xml::StreamScope scope;
    const xml::Stanza parsed = xml::parse_stanza(stanza, scope);
    return is_between_servers(parsed) && parsed.type == "result" && !parsed.root.first_child();
}

}  // namespace fedgate::edge
