#include "appliance/gateway/pidf.hpp"

#include <algorithm>
#include <iterator>
#include <optional>

#include "appliance/gateway/date.hpp"
#include "appliance/gateway/text.hpp"
#include "sip/uri.hpp"
#include "xml/document.hpp"
#include "xml/jid.hpp"
#include "xml/writer.hpp"

namespace fedgate::gateway {
namespace {

constexpr Bytes kPidf = "urn:ietf:params:xml:ns:pidf";
constexpr Bytes kDataModel = "urn:ietf:params:xml:ns:pidf:data-model";
constexpr Bytes kRpid = "urn:ietf:params:xml:ns:pidf:rpid";
// RPID before it was RFC 4480: <activities><activity>busy</activity></activities> in the status of
// the tuple. Lync, OCS and old Linphone write it.
constexpr Bytes kRpidDraft = "urn:ietf:params:xml:ns:pidf:status:rpid-status";
constexpr Bytes kClient = "jabber:client";

constexpr Bytes kIdPrefix = "ID-";

// PRES-10, with RFC 4480 3.2: the first row that a document has gives the show. R15: the first of
// its rows with a text gives that as the status where there is no note at all.
struct Activity {
    Bytes name;
    Show show;
    Bytes text;
};
constexpr Activity kActivities[] = {
    {"busy", Show::kDnd, ""},
    {"on-the-phone", Show::kDnd, "On the phone"},
    {"meeting", Show::kDnd, "In a meeting"},
    {"appointment", Show::kDnd, "In an appointment"},
    {"presentation", Show::kDnd, "In a presentation"},
    {"performance", Show::kDnd, "At a performance"},
    {"vacation", Show::kXa, "On vacation"},
    {"holiday", Show::kXa, "On holiday"},
    {"permanent-absence", Show::kXa, "No longer here"},
    {"sleeping", Show::kXa, "Sleeping"},
    {"away", Show::kAway, ""},
    {"breakfast", Show::kAway, "At breakfast"},
    {"lunch", Show::kAway, "At lunch"},
    {"dinner", Show::kAway, "At dinner"},
    {"meal", Show::kAway, "At a meal"},
    {"in-transit", Show::kAway, "In transit"},
    {"playing", Show::kAway, "Playing"},
    {"shopping", Show::kAway, "Shopping"},
    {"steering", Show::kAway, "Driving"},
    {"travel", Show::kAway, "Travelling"},
    {"looking-for-work", Show::kAway, "Looking for work"},
    {"worship", Show::kAway, "At worship"},
    {"other", Show::kNone, ""},  // its own text is free
    {"working", Show::kNone, "Working"},
    {"tv", Show::kNone, "Watching television"},
    {"spectator", Show::kNone, "At an event"},
    {"unknown", Show::kNone, ""},
};
constexpr std::size_t kOther = 22;
static_assert(kActivities[kOther].name == "other");

// The activities of a person, or of a tuple.
struct Activities {
    std::uint32_t bits = 0;  // of kActivities
    Bytes other;             // RFC 4480 3.2: what "other" is

    [[nodiscard]] Show show() const {
        for (std::size_t i = 0; i < std::size(kActivities); ++i) {
            if ((bits >> i & 1) != 0) return kActivities[i].show;
        }
        return Show::kNone;
    }
    [[nodiscard]] Bytes text() const {
        for (std::size_t i = 0; i < std::size(kActivities); ++i) {
            if ((bits >> i & 1) == 0) continue;
            const Bytes text = i == kOther ? other : kActivities[i].text;
            if (!text.empty()) return text;
        }
        return {};
    }
};
static_assert(std::size(kActivities) <= 32);

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// PRES-3.
void write_tuple_id(Bytes resource, Sink& sink) {
    constexpr char kDigits[] = "0123456789abcdef";
    sink.append(kIdPrefix);
    for (const char c : resource) {
        const auto byte = static_cast<unsigned char>(c);
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '.' || c == '-') {
            sink.append(c);
        } else {
            sink.append('_');
            sink.append(kDigits[byte >> 4]);
            sink.append(kDigits[byte & 15]);
        }
    }
}

// PRES-3. An escape that none of ours could be stays as it is.
void decode_tuple_id(Bytes id, Sink& sink) {
    if (!id.starts_with(kIdPrefix)) {
        sink.append(id);
        return;
    }
    for (id.remove_prefix(kIdPrefix.size()); !id.empty();) {
        const int high = id[0] == '_' && id.size() > 2 ? hex_digit(id[1]) : -1;
        const int low = high >= 0 ? hex_digit(id[2]) : -1;
        sink.append(low >= 0 ? static_cast<char>(high << 4 | low) : id[0]);
        id.remove_prefix(low >= 0 ? 3 : 1);
    }
}

// PRES-6: q = floor(1000 p / 127) / 1000, without zeros at its end.
void write_q(int priority, Sink& sink) {
    const int q = 1000 * priority / 127;
    if (q == 1000 || q == 0) {
        sink.append(q == 0 ? '0' : '1');
        return;
    }
    char digits[] = {static_cast<char>('0' + q / 100), static_cast<char>('0' + q / 10 % 10),
                     static_cast<char>('0' + q % 10)};
    std::size_t size = 3;
    while (digits[size - 1] == '0') --size;
    sink.append("0.");
    sink.append(Bytes(digits, size));
}

// PRES-6: p = ceil(127 q). RFC 3863 4.1.4: from 0 to 1, up to three decimals; of more than that the
// rest is not looked at.
std::optional<std::int8_t> read_q(Bytes text) {
    text = trim_space(text);
    if (text.empty() || (text[0] != '0' && text[0] != '1')) return std::nullopt;
    int q = text[0] == '1' ? 1000 : 0;
    text.remove_prefix(1);
    if (!text.empty() && text[0] != '.') return std::nullopt;
    int weight = 100;
    for (std::size_t i = 1; i < text.size(); ++i, weight /= 10) {
        if (text[i] < '0' || text[i] > '9') return std::nullopt;
        q += weight * (text[i] - '0');
    }
    if (q > 1000) return std::nullopt;
    return static_cast<std::int8_t>((127 * q + 999) / 1000);
}

Bytes basic_of(const Presence& presence) {  // PRES-1, PRES-2
    return presence.available ? "open" : "closed";
}

// PRES-10: what RPID and its draft call it; empty: nothing to say.
Bytes activity_of(const Presence& presence) {
    switch (presence.show) {
        case Show::kDnd: return "busy";
        case Show::kXa:
        case Show::kAway: return "away";
        case Show::kNone:
        case Show::kChat: break;
    }
    return {};
}

class Reader {
public:
    Reader(const xml::Document& text, Document& document, Sink& memory)
        : walk_(text.walk()), document_(document), memory_(memory) {}

    // False: it is none.
    bool read() {
        if (!walk_.enter() || !walk_.is("presence", kPidf)) return false;
        read_children();
        // What is said of the person, and of all, mostly stands behind the tuples.
        const bool said =
            person_.bits != 0 || !person_notes_.notes().empty() || !document_notes_.notes().empty();
        if (!said || !wanted_) return true;
        bytes_ = document_.count = 0;
        walk_.restart();
        for (static_cast<void>(walk_.enter()); walk_.enter(); walk_.leave()) {
            if (walk_.is("tuple", kPidf)) read_tuple();
        }
        return true;
    }

private:
    Bytes text() {
        const std::size_t begin = memory_.size();
        return walk_.text(memory_) ? trim_space(memory_.written().substr(begin)) : Bytes();
    }
    // What was decoded since then is not needed. An overflow is not forgotten.
    void forget(std::size_t begin) {
        if (!memory_.overflowed()) memory_.truncate(begin);
    }

    void add_note_of(Bytes uri, Presence& notes) {
        if (!walk_.is("note", uri)) return;
        const std::size_t begin = memory_.size();
        memory_.append(walk_.language());
        const Bytes language = memory_.written().substr(begin);
        if (!notes.add_note({language, text()})) forget(begin);
    }

    void read_children() {
        for (; walk_.enter(); walk_.leave()) {
            if (walk_.is("tuple", kPidf)) {
                read_tuple();
            } else if (walk_.is("person", kDataModel)) {
                read_person();
            } else {
                add_note_of(kPidf, document_notes_);
            }
        }
    }

    void read_person() {
        for (; walk_.enter(); walk_.leave()) {
            add_activities_of(person_);
            add_note_of(kDataModel, person_notes_);
            add_note_of(kPidf, person_notes_);
        }
    }

    void add_activities_of(Activities& found) {
        if (walk_.name() != "activities") return;
        const Bytes uri = walk_.namespace_uri();
        if (uri != kRpid && uri != kRpidDraft) return;
        for (; walk_.enter(); walk_.leave()) {
            if (walk_.namespace_uri() != uri) continue;
            Bytes name = walk_.name();
            const std::size_t begin = memory_.size();
            if (uri == kRpidDraft && name == "activity") name = text();
            const auto* row = std::ranges::find(kActivities, name, &Activity::name);
            forget(begin);
            if (row == std::end(kActivities)) continue;
            const auto index = static_cast<std::size_t>(row - kActivities);
            found.bits |= 1U << index;
            if (index == kOther && uri == kRpid && found.other.empty()) found.other = text();
        }
    }

    void read_tuple() {
        const std::size_t tuple_begin = memory_.size();
        Presence read;
        read.resource = resource();
        std::optional<bool> open;
        Activities own;
        Bytes contact_q;
        for (; walk_.enter(); walk_.leave()) {
            add_activities_of(own);
            add_note_of(kPidf, read);  // PRES-5
            if (walk_.is("status", kPidf)) {
                for (; walk_.enter(); walk_.leave()) read_status(open, read, own);
            } else if (walk_.is("contact", kPidf)) {
                contact_q = walk_.attribute("priority");
            } else if (walk_.is("timestamp", kPidf)) {
                const std::size_t begin = memory_.size();
                read.since = parse_iso_date(text());  // PRES-11
                forget(begin);
            }
        }
        const Activities& activities = own.bits != 0 ? own : person_;
        wanted_ = wanted_ || own.bits == 0 || read.notes().empty();
        // PRES-17.
        if (!open && read.show == Show::kNone && activities.bits == 0) return forget(tuple_begin);
        read.available = open.value_or(true);  // PRES-1, PRES-2
        if (read.available) {
            if (read.show == Show::kNone) read.show = activities.show();  // PRES-4, PRES-10
            if (contact_q.data() != nullptr) read.priority = read_q(contact_q);
        } else {
            read.show = Show::kNone;
        }
        // PRES-5: else the person's notes, else the document's; R15.
        if (read.notes().empty()) copy_notes(person_notes_, read);
        if (read.notes().empty()) copy_notes(document_notes_, read);
        if (read.notes().empty() && read.available) read.add_note({"en", activities.text()});
        if (!add(read)) forget(tuple_begin);
    }

    void read_status(std::optional<bool>& open, Presence& read, Activities& own) {
        add_activities_of(own);
        const std::size_t begin = memory_.size();
        if (!open && walk_.is("basic", kPidf)) {
            const Bytes basic = text();
            if (basic == "open" || basic == "closed") open = basic == "open";
            forget(begin);
        } else if (read.show == Show::kNone && walk_.is("show", kClient)) {
            read.show = find_show(text());  // PRES-4
            forget(begin);
        }
    }

    static void copy_notes(const Presence& from, Presence& to) {
        for (const Note& note : from.notes()) to.add_note(note);
    }

    // PRES-3. One that no JID may have is that of the bare JID.
    Bytes resource() {
        char id_memory[3 * limits::kJidPartBytes + kIdPrefix.size()];
        char decoded_memory[limits::kJidPartBytes];
        Sink id{MutableBytes(id_memory)};
        Sink decoded{MutableBytes(decoded_memory)};
        if (!walk_.attribute("id", id)) return {};
        decode_tuple_id(trim_space(id.written()), decoded);
        const std::size_t begin = memory_.size();
        if (decoded.overflowed() || !xml::enforce_resource(decoded.written(), memory_)) {
            forget(begin);
            return {};
        }
        return memory_.written().substr(begin);
    }

    // One for each resource; an open one before a closed one. False: it is not taken.
    bool add(Presence& read) {
        const std::span tuples(document_.tuple_memory.data(), document_.count);
        const bool full = document_.count == document_.tuple_memory.size();
        auto place = std::ranges::find(tuples, read.resource, &Presence::resource);
        if (place == tuples.end() && full)
            place = std::ranges::find(tuples, false, &Presence::available);
        const bool replace = place != tuples.end();
        if (replace ? place->available || !read.available : full) return false;
        const std::size_t others = bytes_ - (replace ? place->kept_bytes() : 0);
        if (others + read.kept_bytes() > limits::kPresenceBytes) read.clear_notes();
        if (others + read.kept_bytes() > limits::kPresenceBytes) return false;
        bytes_ = others + read.kept_bytes();
        (replace ? *place : document_.tuple_memory[document_.count++]) = read;
        return true;
    }

    xml::Walker walk_;
    Document& document_;
    Sink& memory_;
    Activities person_;
    Presence person_notes_;
    Presence document_notes_;
    bool wanted_ = false;  // by a tuple
    std::size_t bytes_ = 0;
};

}  // namespace

bool is_pidf_type(Bytes content_type) {
    return sip::equal_ignoring_case(trim_space(content_type.substr(0, content_type.find(';'))),
                                    kPidfType);
}

bool accepts_pidf(const sip::Message& request) {
    const sip::Header* header = request.find(sip::HeaderName::kAccept);
    if (header == nullptr) return true;
    for (; header != nullptr; header = request.next(header)) {
        Bytes list = header->value;
        Bytes item;
        while (sip::take_item(list, item)) {
            const Bytes range = trim_space(item.substr(0, item.find(';')));
            if (is_pidf_type(range) || range == "*/*" ||
                sip::equal_ignoring_case(range, "application/*")) {
                return true;
            }
        }
    }
    return false;
}

Bytes pidf_verdict_text(PidfVerdict verdict) {
    switch (verdict) {
        case PidfVerdict::kRead: return "read";
        case PidfVerdict::kNotWellFormed: return "not well-formed";
        case PidfVerdict::kNotPidf: return "not a presence document";
        case PidfVerdict::kTooLarge: break;
    }
    return "too large";
}

PidfVerdict read_pidf(Bytes body, xml::Document& tree, Document& document, Sink& memory) {
    document.count = 0;
    switch (tree.read(body, limits::kPidfBytes)) {
        case xml::DocumentStatus::kRead: break;
        case xml::DocumentStatus::kNotWellFormed: return PidfVerdict::kNotWellFormed;
        case xml::DocumentStatus::kTooLarge: return PidfVerdict::kTooLarge;
    }
    if (!Reader(tree, document, memory).read()) return PidfVerdict::kNotPidf;
    return memory.overflowed() ? PidfVerdict::kTooLarge : PidfVerdict::kRead;
}

PidfWriter::PidfWriter(Bytes aor, bool notes_allowed, Sink& sink, PidfForm form)
    : aor_(aor), notes_allowed_(notes_allowed), form_(form), sink_(sink) {
    const bool lync = form_ == PidfForm::kLync;
    sink_.append("<?xml version='1.0' encoding='UTF-8'?><presence");
    xml::write_attribute(sink_, "xmlns", kPidf);
    if (lync) xml::write_attribute(sink_, "xmlns:ep", kRpidDraft);
    sink_.append(" entity='", lync ? Bytes("sip:") : Bytes("pres:"));  // PRES-12
    xml::write_attribute_value(sink_, aor_.substr(aor_.find(':') + 1));
    sink_.append("'>");
}

void PidfWriter::add(const Presence& presence) {
    if (form_ == PidfForm::kStandard) write_tuple(presence);
    judge(presence);
}

// The order of the children is that of RFC 3863 4.4.
void PidfWriter::write_tuple(const Presence& presence) {
    sink_.append("<tuple id='");
    write_tuple_id(presence.resource, sink_);
    sink_.append("'><status><basic>");
    sink_.append(basic_of(presence));
    sink_.append("</basic>");
    if (presence.show != Show::kNone)
        xml::write_element(sink_, "show", {{"xmlns", kClient}}, show_name(presence.show));
    sink_.append("</status>");
    if (presence.priority && *presence.priority >= 0) {  // PRES-6, PRES-7
        sink_.append("<contact priority='");
        write_q(*presence.priority, sink_);
        sink_.append("'>");
        xml::write_text(sink_, aor_);
        if (!presence.resource.empty()) {
            char gr_memory[3 * limits::kJidPartBytes];
            Sink gr{MutableBytes(gr_memory)};
            sip::percent_encode_gr(presence.resource, gr);
            sink_.append(";gr=");
            xml::write_text(sink_, gr.written());
        }
        xml::write_end(sink_, "contact");
    }
    write_notes(presence);
    if (presence.since) {  // PRES-11
        sink_.append("<timestamp>");
        write_iso_date(*presence.since, sink_);
        xml::write_end(sink_, "timestamp");
    }
    xml::write_end(sink_, "tuple");
}

// [MS-PRES] 1.3.3: a single tuple, with the attributes that it knows and no more.
void PidfWriter::write_lync_tuple() {
    sink_.append("<tuple id='0'><status><basic>", basic_of(person_), "</basic>");
    if (const Bytes activity = activity_of(person_); !activity.empty()) {
        sink_.append("<ep:activities><ep:activity>", activity, "</ep:activity></ep:activities>");
    }
    sink_.append("</status>");
    write_notes(person_);
    xml::write_end(sink_, "tuple");
}

// PRES-10.
void PidfWriter::write_person() {
    const Bytes activity = activity_of(person_);
    if (activity.empty()) return;
    xml::write_start(sink_, "dm:person",
                     {{"xmlns:dm", kDataModel}, {"xmlns:rpid", kRpid}, {"id", "person"}});
    sink_.append("<rpid:activities><rpid:", activity, "/></rpid:activities>");
    xml::write_end(sink_, "dm:person");
}

void PidfWriter::write_notes(const Presence& presence) {  // PRES-5
    if (!notes_allowed_) return;
    for (const Note& note : presence.notes()) {
        const Bytes language = note.language.empty() ? Bytes() : note.language;
        xml::write_element(sink_, "note", {{"xml:lang", language}}, note.text);
        if (any_note_ && language != language_) language_ = {};  // PRES-8
        if (!any_note_) language_ = language;
        any_note_ = true;
    }
}

// R6: a person has one state. It is that of the resource that messages go to: the highest priority;
// of equal ones the most available, and of those the newest.
void PidfWriter::judge(const Presence& presence) {
    constexpr int kAvailability[] = {/*none*/ 3, /*away*/ 1, /*chat*/ 4, /*dnd*/ 2, /*xa*/ 0};
    const int rank = !presence.available
                         ? -1
                         : (presence.priority.value_or(0) + 128) * 8 +
                               kAvailability[static_cast<std::size_t>(presence.show)];
    if (rank <= rank_) return;
    rank_ = rank;
    person_ = presence;
}

Bytes PidfWriter::finish() {
    form_ == PidfForm::kLync ? write_lync_tuple() : write_person();
    xml::write_end(sink_, "presence");
    return language_;
}

Bytes write_pidf(Bytes aor, std::span<const Presence> presences, bool notes_allowed, Sink& sink,
                 PidfForm form) {
    PidfWriter writer(aor, notes_allowed, sink, form);
    for (const Presence& presence : presences) writer.add(presence);
    return writer.finish();
}

}  // namespace fedgate::gateway
