#include "appliance/gateway/presences.hpp"

#include <algorithm>
#include <cstring>

namespace fedgate::gateway {
namespace {

// One resource in the text: a Head, the resource, the priority (1 byte) and `since` (8 bytes) where
// there are such, then each note: size of the language (1), size of the text (2), both.
struct Head {
    bool available = false;
    bool restored = false;  // announced once; what it said is not known
    bool doubted = false;   // as doubt() has it
    bool has_priority = false;
    bool has_since = false;
    Show show = Show::kNone;
    std::size_t notes = 0;
};
constexpr std::size_t kHeadBytes = 4;  // flags, show and notes, size of the resource (2)
constexpr int kDoubted = 16;

// While a document is taken over, the old and the new are there: diff() keeps no more than that.
constexpr std::size_t kResourcesAtOnce = 2 * limits::kResources;
constexpr std::size_t kBytesAtOnce = 2 * limits::kPresenceBytes;
static_assert(limits::kNotes < 16);
static_assert(limits::kNoteBytes < 65'536 && limits::kJidPartBytes < 65'536);
// One resource always fits (set() forgets others for it): its notes are of 35 bytes of language.
static_assert(kHeadBytes + limits::kJidPartBytes + 9 + limits::kNotes * (3 + 35) +
                  limits::kNoteBytes <=
              limits::kPresenceBytes);

// The text's memory is a whole number of these.
constexpr std::size_t kRoomBytes = 32;
constexpr std::size_t rooms(std::size_t size) { return (size + kRoomBytes - 1) / kRoomBytes; }

template <typename Word>
void append_word(Sink& sink, Word word) {
    char bytes[sizeof word];
    std::memcpy(bytes, &word, sizeof word);
    sink.append(Bytes(bytes, sizeof word));
}
void append_size(Sink& sink, std::size_t size) {
    append_word(sink, static_cast<std::uint16_t>(size));
}

template <typename Word>
Word take_word(const char*& at) {
    Word word;
    std::memcpy(&word, at, sizeof word);
    at += sizeof word;
    return word;
}
Bytes take_bytes(const char*& at, std::size_t size) {
    at += size;
    return {at - size, size};
}

void append_entry(Sink& sink, const Presence& presence, bool restored = false) {
    const int flags = (presence.available ? 1 : 0) | (restored ? 2 : 0) |
                      (presence.priority ? 4 : 0) | (presence.since ? 8 : 0);
    sink.append(static_cast<char>(flags));
    sink.append(
        static_cast<char>(static_cast<std::size_t>(presence.show) << 4 | presence.notes().size()));
    append_size(sink, presence.resource.size());
    sink.append(presence.resource);
    if (presence.priority) append_word(sink, *presence.priority);
    if (presence.since) append_word(sink, presence.since->time_since_epoch().count());
    for (const Note& note : presence.notes()) {
        sink.append(static_cast<char>(note.language.size()));
        append_size(sink, note.text.size());
        sink.append(note.language);
        sink.append(note.text);
    }
}

struct Entry {
    Presence presence;
    Bytes bytes;
    bool restored = false;
    bool doubted = false;
};

// One entry off the front of `rest`. The notes are only looked for when they are wanted.
bool take_entry(Bytes& rest, Entry& entry) {
    if (rest.empty()) return false;
    const char* at = rest.data();
    const int flags = take_word<std::uint8_t>(at);
    const int second = take_word<std::uint8_t>(at);
    Presence& p = entry.presence;
    p.available = (flags & 1) != 0;
    entry.restored = (flags & 2) != 0;
    entry.doubted = (flags & kDoubted) != 0;
    p.show = static_cast<Show>(second >> 4);
    const auto resource_size = take_word<std::uint16_t>(at);
    p.resource = take_bytes(at, resource_size);
    p.priority.reset();
    p.since.reset();
    p.clear_notes();
    if ((flags & 4) != 0) p.priority = take_word<std::int8_t>(at);
    if ((flags & 8) != 0) p.since = WallTime(std::chrono::seconds(take_word<std::int64_t>(at)));
    for (int i = 0; i < (second & 15); ++i) {
        const auto language_size = take_word<std::uint8_t>(at);
        const auto text_size = take_word<std::uint16_t>(at);
        const Bytes language = take_bytes(at, language_size);
        p.put_note({language, take_bytes(at, text_size)});
    }
    entry.bytes = rest.substr(0, static_cast<std::size_t>(at - rest.data()));
    rest.remove_prefix(entry.bytes.size());
    return true;
}

const Presence* find_tuple(const Document& document, Bytes resource) {
    for (const Presence& tuple : document.tuples()) {
        if (tuple.resource == resource) return &tuple;
    }
    return nullptr;
}

}  // namespace

void Presences::Iterator::read() {
    Bytes rest(at_, static_cast<std::size_t>(end_ - at_));
    Entry entry;
    do {
        at_ = rest.data();
        if (!take_entry(rest, entry)) return;
    } while (entry.restored);
    presence_ = entry.presence;
    next_ = rest.data();
}

Presences::Iterator Presences::begin() const { return {text_.get(), text_.get() + size_}; }

std::size_t Presences::available_count() const {
    std::size_t count = 0;
    for (const Presence& presence : *this) count += presence.available ? 1 : 0;
    return count;
}

void Presences::clear() {
    text_.reset();
    size_ = 0;
}

// The text anew: `front` if there is one, then what is to be kept. `front` may be a view of the
// old.
template <typename Keep>
void Presences::rebuild(const Presence* front, Keep&& keep) {
    std::size_t size = front != nullptr ? front->kept_bytes() : 0;
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry);) {
        if (keep(entry)) size += entry.bytes.size();
    }
    if (size == 0) return clear();
    char memory[kBytesAtOnce + limits::kPresenceBytes];
    FEDGATE_CHECK(size <= sizeof memory);
    Sink sink{MutableBytes(memory)};
    if (front != nullptr) append_entry(sink, *front);
    for (Bytes rest = text(); take_entry(rest, entry);) {
        if (keep(entry)) sink.append(entry.bytes);
    }
    FEDGATE_CHECK(sink.size() == size);
    // Who changes his note, or comes and goes, needs the same room again.
    if (rooms(size) != rooms(size_)) {
        text_ = std::make_unique_for_overwrite<char[]>(rooms(size) * kRoomBytes);
    }
    std::memcpy(text_.get(), memory, size);
    size_ = static_cast<std::uint32_t>(size);
}

void Presences::put(const Presence& presence) {
    rebuild(&presence, [&](const Entry& other) {
        return other.presence.available && other.presence.resource != presence.resource;
    });
}

void Presences::drop(Bytes resource) {
    rebuild(nullptr, [&](const Entry& other) { return other.presence.resource != resource; });
}

bool Presences::is_current(const Presence& presence) const {
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry);) {
        if (!entry.restored && same_state(entry.presence, presence)) return true;
    }
    return false;
}

bool Presences::has_room(const Presence& presence) const {
    std::size_t count = 0;
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry);) {
        if (entry.presence.resource == presence.resource) return true;
        ++count;
    }
    return count < kResourcesAtOnce && size_ + presence.kept_bytes() <= kBytesAtOnce;
}

// Of each entry in turn; they lie in its first byte.
template <typename Change>
void Presences::change_flags(Change&& change) {
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry);) {
        char& flags = text_[static_cast<std::size_t>(entry.bytes.data() - text_.get())];
        flags = static_cast<char>(change(entry.presence, static_cast<int>(flags)));
    }
}

void Presences::doubt() {
    change_flags([](const Presence&, int flags) { return flags | kDoubted; });
}

bool Presences::drop_doubted() {
    Presence last;
    bool any = false;
    bool somebody_stays = false;
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry);) {
        if (!entry.presence.available) continue;
        somebody_stays = somebody_stays || !entry.doubted;
        if (!entry.doubted || std::exchange(any, true)) continue;
        last.resource = entry.presence.resource;
    }
    if (!any) return false;
    rebuild(somebody_stays ? nullptr : &last,
            [](const Entry& one) { return one.presence.available && !one.doubted; });
    return true;
}

bool Presences::set(const Presence& presence) {
    if (is_current(presence)) {
        change_flags([&](const Presence& one, int flags) {
            return one.resource == presence.resource ? flags & ~kDoubted : flags;
        });
        return false;
    }
    if (presence.available) {
        put(presence);
        forget_oldest();
        return true;
    }
    Entry newest;
    Bytes rest = text();
    const bool known = take_entry(rest, newest);
    Presence last = presence;  // PRES-13: it has the id of the last one
    if (known && last.resource.empty()) last.resource = newest.presence.resource;
    if (known && newest.presence.available) {
        if (!is_announced(last.resource)) return false;
        if (presence.resource.empty()) {
            rebuild(&last, [](const Entry&) { return false; });
        } else if (rest.empty()) {
            put(last);
        } else {
            drop(last.resource);
        }
        return true;
    }
    // Nobody is there: only what the last one says may be new.
    if (known && (last.resource != newest.presence.resource || is_current(last))) return false;
    put(last);
    return true;
}

bool Presences::remove(Bytes resource) {
    Presence gone;
    gone.resource = resource;
    return set(gone);
}

// The oldest are at the end.
void Presences::forget_oldest() {
    std::size_t count = 0;
    std::size_t kept = 0;
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry); kept += entry.bytes.size()) {
        if (++count > limits::kResources || kept + entry.bytes.size() > limits::kPresenceBytes)
            break;
    }
    size_ = static_cast<std::uint32_t>(kept);
}

bool Presences::is_announced(Bytes resource) const {
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry);) {
        if (entry.presence.available && entry.presence.resource == resource) return true;
    }
    return false;
}

bool Presences::find_announced(Presence& gone) const {
    static const Document kNobody;
    return find_gone(kNobody, gone);
}

bool Presences::find_gone(const Document& document, Presence& gone) const {
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry);) {
        if (!entry.presence.available) continue;
        const Presence* tuple = find_tuple(document, entry.presence.resource);
        if (tuple != nullptr && tuple->available) continue;
        gone = tuple != nullptr ? *tuple : Presence();
        gone.resource = entry.presence.resource;
        return true;
    }
    return false;
}

bool Presences::find_offline(const Document& document, Presence& offline) const {
    if (find_announced(offline)) return false;
    offline = Presence();
    if (document.tuples().empty()) return true;
    offline = document.tuples().front();
    offline.resource = {};
    return !offline.available;
}

void Presences::save(Sink& sink) const {
    Entry entry;
    for (Bytes rest = text(); take_entry(rest, entry);) {
        if (!entry.presence.available) continue;
        sink.append(entry.presence.resource);
        sink.append('\n');  // no resource has one: ADDR-2
    }
}

void Presences::restore(Bytes saved) {
    clear();
    const auto fill = [&](Sink* sink) {
        Presence announced;
        announced.available = true;
        std::size_t size = 0;
        std::size_t count = 0;
        for (Bytes rest = saved; count < limits::kResources; ++count) {
            const std::size_t end = rest.find('\n');
            if (end == Bytes::npos || end > limits::kJidPartBytes) break;
            announced.resource = rest.substr(0, end);
            size += announced.kept_bytes();
            if (sink != nullptr) append_entry(*sink, announced, true);
            rest.remove_prefix(end + 1);
        }
        return size;
    };
    const std::size_t size = fill(nullptr);
    if (size == 0) return;
    text_ = std::make_unique_for_overwrite<char[]>(rooms(size) * kRoomBytes);
    size_ = static_cast<std::uint32_t>(size);
    Sink sink{MutableBytes(text_.get(), size)};
    fill(&sink);
}

Bytes write_pidf(Bytes aor, const Presences& presences, bool notes_allowed, Sink& sink,
                 PidfForm form) {
    PidfWriter writer(aor, notes_allowed, sink, form);
    for (const Presence& presence : presences) writer.add(presence);
    return writer.finish();
}

}  // namespace fedgate::gateway
