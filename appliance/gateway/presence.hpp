// Presence stanzas: RFC 8048, the XMPP half; interworking rules PRES-1..PRES-11, PRES-16. Pure. One
// Presence between it and the SIP half (pidf.hpp), so that neither knows the other's form.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/bytes.hpp"
#include "core/base/check.hpp"
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

    [[nodiscard]] std::span<const Note> notes() const { return {notes_.data(), note_count_}; }
    // Without the white space around it. One for each language (RFC 6121 4.7.2.2); at
    // limits::kNotes it is dropped, at limits::kNoteBytes cut between two characters. False:
    // dropped.
    bool add_note(Note);
    // One that add_note() has made of another.
    void put_note(const Note& note) {
        FEDGATE_CHECK(note_count_ < notes_.size());
        notes_[note_count_++] = note;
    }
    void clear_notes() { note_count_ = 0; }
    // What Presences needs for it.
    [[nodiscard]] std::size_t kept_bytes() const;

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
    Bytes language;  // PRES-8: first_language_tag() of Content-Language; empty: none
    WallTime now{};  // PRES-11: <delay/> for what is older than a minute
};
// R7: without `notes_allowed` no status text.
void write_presence(const PresenceHead&, const Presence&, bool notes_allowed, Sink&);
// `subscribe`, `subscribed`, `unsubscribe`, `unsubscribed`, `probe`, or a plain `unavailable`.
void write_presence_kind(Bytes type, Bytes from, Bytes to, Bytes id, Sink&);

}  // namespace fedgate::gateway
