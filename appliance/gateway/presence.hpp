// Presence stanzas: RFC 8048, the XMPP half; interworking rules PRES-1..PRES-11, PRES-16. Pure. One
// Presence between it and the SIP half (pidf.hpp), so that neither knows the other's form.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"
#include "core/base/time.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {

enum class Show : std::uint8_t { kNone, kAway, kChat, kDnd, kXa };
[[nodiscard]] Bytes show_name(Show);  // "away"; kNone: null
[[nodiscard]] Show find_show(Bytes);  // kNone: none of the four

// A status text. The language is a valid tag, or empty.
struct Note {
    Bytes language;
    Bytes text;  // UTF-8 of XML characters
};

// What one resource of an entity says. Views: whoever made it says into what.
struct Presence {
    Bytes resource;  // enforced; empty: the bare JID
    bool available = false;
    Show show = Show::kNone;
    std::optional<std::int8_t> priority;
    std::optional<WallTime> since;  // <delay/>, <timestamp/>

    [[nodiscard]] std::size_t note_count() const { return note_count_; }
    [[nodiscard]] const Note& note(std::size_t index) const { return notes_[index]; }
    // Keeps limits::kNotes and limits::kNoteBytes: cuts the text, or drops the note.
    void add_note(Note);
    void clear_notes() { note_count_ = 0; }

private:
    std::size_t note_count_ = 0;
    std::array<Note, limits::kNotes> notes_;
};

// The same to whoever sees it: all but `since`.
[[nodiscard]] bool same_state(const Presence&, const Presence&);

// Of a stanza without type or of type `unavailable`; `resource` is that of its sender. Views into
// the stanza or `memory`, which needs the size of the stanza at most.
[[nodiscard]] Presence read_presence(const xml::Stanza&, Bytes resource, Sink& memory);

struct PresenceHead {
    Bytes from;      // bare JID; the resource comes from the Presence
    Bytes to;        // PRES-16
    Bytes id;        // PRES-9: a fresh one
    Bytes language;  // PRES-8: of Content-Language; empty: none
    WallTime now{};  // PRES-11: <delay/> for what is older than a minute
};
// R7: without `notes_allowed` no status text.
void write_presence(const PresenceHead&, const Presence&, bool notes_allowed, Sink&);
// `subscribe`, `subscribed`, `unsubscribe`, `unsubscribed`, `probe`, or a plain `unavailable`.
void write_presence_kind(Bytes type, Bytes from, Bytes to, Bytes id, Sink&);

// PRES-8: the first language of a Content-Language value; empty: none that is valid.
[[nodiscard]] Bytes read_content_language(Bytes value);

}  // namespace fedgate::gateway
