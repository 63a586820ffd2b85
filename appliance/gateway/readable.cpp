#include "appliance/gateway/readable.hpp"

#include <cstring>

namespace fedgate::gateway {
namespace {

constexpr std::size_t kReactionsMax = 8;
constexpr std::size_t kReactionBytesMax = 128;  // a family of emoji, with all their joiners
constexpr std::size_t kLinksMax = 8;            // that are looked at

// Its text, without blanks around it; put behind what is in `memory`.
Bytes line_of(const xml::Element& element, Sink& memory) {
    const std::size_t begin = memory.size();
    if (!element || !element.text(memory)) return {};
    for (char& c : memory.written_mutable().subspan(begin)) {
        if (c == '\n' || c == '\r' || c == '\t') c = ' ';
    }
    Bytes line = memory.written().substr(begin);
    while (line.starts_with(' ')) line.remove_prefix(1);
    while (line.ends_with(' ')) line.remove_suffix(1);
    return line;
}

// In linear time, whatever peers wrote: Bytes::find() compares anew at each byte.
bool contains(Bytes text, Bytes part) {
    return memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
}

}  // namespace

void write_reactions(const xml::Element& reactions, Sink& sink) {
    std::size_t count = 0;
    for (const xml::Element& child : reactions.children()) {
        if (!child.is("reaction", kReactions) || count == kReactionsMax) continue;
        char memory[kReactionBytesMax];
        Sink one{MutableBytes(memory)};
        const Bytes reaction = line_of(child, one);
        if (reaction.empty()) continue;
        sink.append(count++ == 0 ? Bytes("Reacted with ") : Bytes(" "));
        sink.append(reaction);
    }
}

void write_links(const xml::Stanza& stanza, std::size_t text_begin, Sink& sink) {
    std::size_t count = 0;
    for (const xml::Element& child : stanza.root.children()) {
        if (!child.is("x", kOutOfBand)) continue;
        if (count++ == kLinksMax) return;
        char memory[4'096];
        Sink parts{MutableBytes(memory)};
        const Bytes link = line_of(child.child("url", kOutOfBand), parts);
        if (link.empty() || contains(sink.written().substr(text_begin), link)) continue;
        const Bytes description = line_of(child.child("desc", kOutOfBand), parts);
        if (sink.size() != text_begin) sink.append('\n');
        if (!description.empty()) {
            sink.append(description);
            sink.append(' ');
        }
        sink.append(link);
    }
}

bool is_encrypted_text(const xml::Element& child) {
    const Bytes uri = child.namespace_uri();
    if (uri == "eu.siacs.conversations.axolotl" || uri == "urn:xmpp:omemo:2" ||
        uri == "urn:xmpp:omemo:1") {
        return child.name() == "encrypted" && child.child("payload", uri);
    }
    return (uri == "urn:xmpp:openpgp:0" && child.name() == "openpgp") ||
           (uri == "jabber:x:encrypted" && child.name() == "x");
}

}  // namespace fedgate::gateway
