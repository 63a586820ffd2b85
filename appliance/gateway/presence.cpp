#include "appliance/gateway/presence.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "appliance/gateway/date.hpp"
#include "appliance/gateway/namespaces.hpp"
#include "appliance/gateway/text.hpp"
#include "xml/scope.hpp"
#include "xml/writer.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kLanguageBytes = 35;       // RFC 5646 4.4.1
constexpr std::chrono::seconds kFreshFor = 60s;  // PRES-11

constexpr Bytes kShowNames[] = {"", "away", "chat", "dnd", "xa"};

// At most `bytes_max` bytes of whole characters.
Bytes cut(Bytes text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return text;
    std::size_t end = bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end);
}

Bytes copy_text(const xml::Element& element, Sink& memory) {
    const std::size_t begin = memory.size();
    return element.text(memory) ? memory.written().substr(begin) : Bytes();
}

// RFC 6121 4.7.2.3: an integer from -128 to 127.
std::optional<std::int8_t> read_priority(Bytes text) {
    text = trim_space(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    std::int8_t value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

Bytes show_name(Show show) {
    return show == Show::kNone ? Bytes() : kShowNames[static_cast<std::size_t>(show)];
}

Show find_show(Bytes name) {
    for (std::size_t i = 1; i < std::size(kShowNames); ++i) {
        if (name == kShowNames[i]) return static_cast<Show>(i);
    }
    return Show::kNone;
}

bool Presence::add_note(Note note) {
    if (!is_language_tag(note.language) || note.language.size() > kLanguageBytes)
        note.language = {};
    std::size_t room = limits::kNoteBytes;
    for (const Note& other : notes()) {
        if (other.language == note.language) return false;
        room -= other.text.size();
    }
    note.text = trim_space(cut(trim_space(note.text), room));
    if (note.text.empty() || note_count_ == notes_.size()) return false;
    notes_[note_count_++] = note;
    return true;
}

std::size_t Presence::kept_bytes() const {
    std::size_t bytes = 4 + resource.size() + (priority ? 1 : 0) + (since ? sizeof(WallTime) : 0);
    for (const Note& note : notes()) bytes += 3 + note.language.size() + note.text.size();
    return bytes;
}

bool same_state(const Presence& a, const Presence& b) {
    const auto same_note = [](const Note& x, const Note& y) {
        return x.language == y.language && x.text == y.text;
    };
    return a.resource == b.resource && a.available == b.available && a.show == b.show &&
           a.priority == b.priority && std::ranges::equal(a.notes(), b.notes(), same_note);
}

Presence read_presence(const xml::Stanza& stanza, Bytes resource, Sink& memory) {
    Presence read;
    read.resource = resource;
    read.available = stanza.type.empty();  // PRES-1, PRES-2
    for (const xml::Element& child : stanza.root.children()) {
        const Bytes name = child.name();
        const Bytes uri = child.namespace_uri();
        if (uri == xml::kServerNamespace) {
            if (name == "status") {  // PRES-5, PRES-8
                const Bytes own = child.attribute("xml:lang");
                read.add_note(
                    {own.data() != nullptr ? own : stanza.lang, copy_text(child, memory)});
            } else if (name == "show" && read.available && read.show == Show::kNone) {
                read.show = find_show(trim_space(copy_text(child, memory)));  // PRES-4
            } else if (name == "priority" && read.available && !read.priority) {
                read.priority = read_priority(copy_text(child, memory));  // PRES-6
            }
        } else if (uri == kDelay && name == "delay" && !read.since) {
            read.since = parse_iso_date(child.attribute("stamp"));  // PRES-11
        }
    }
    return read;
}

void write_presence(const PresenceHead& head, const Presence& presence, bool notes_allowed,
                    Sink& sink) {
    sink.append("<presence from='");
    xml::write_attribute_value(sink, head.from);
    if (!presence.resource.empty()) {
        sink.append('/');
        xml::write_attribute_value(sink, presence.resource);
    }
    sink.append('\'');
    xml::write_attribute(sink, "to", head.to);
    xml::write_attribute(sink, "id", head.id);
    if (!presence.available) xml::write_attribute(sink, "type", "unavailable");
    if (!head.language.empty()) xml::write_attribute(sink, "xml:lang", head.language);
    sink.append('>');
    if (presence.show != Show::kNone)
        xml::write_element(sink, "show", {}, show_name(presence.show));
    if (notes_allowed) {
        for (const Note& note : presence.notes()) {
            const bool said = note.language.empty() || note.language == head.language;
            xml::write_element(sink, "status", {{"xml:lang", said ? Bytes() : note.language}},
                               note.text);
        }
    }
    if (presence.priority) {
        sink.append("<priority>");
        sink.append_number(*presence.priority);
        xml::write_end(sink, "priority");
    }
    if (presence.since && head.now - *presence.since > kFreshFor) {
        char stamp_memory[32];
        Sink stamp{MutableBytes(stamp_memory)};
        write_iso_date(*presence.since, stamp);
        xml::write_empty(sink, "delay", {{"xmlns", kDelay}, {"stamp", stamp.written()}});
    }
    xml::write_end(sink, "presence");
}

void write_presence_kind(Bytes type, Bytes from, Bytes to, Bytes id, Sink& sink) {
    xml::write_empty(sink, "presence", {{"from", from}, {"to", to}, {"id", id}, {"type", type}});
}

}  // namespace fedgate::gateway
