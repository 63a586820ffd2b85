#include "appliance/gateway/message.hpp"

#include <algorithm>
#include <array>

#include "appliance/gateway/date.hpp"
#include "appliance/gateway/html.hpp"
#include "appliance/gateway/mime.hpp"
#include "appliance/gateway/namespaces.hpp"
#include "appliance/gateway/readable.hpp"
#include "appliance/gateway/text.hpp"
#include "core/base/hash.hpp"
#include "sip/transaction_key.hpp"
#include "sip/uri.hpp"
#include "xml/scope.hpp"
#include "xml/text.hpp"
#include "xml/writer.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kSubjectCharactersMax = 256;  // IM-4
constexpr std::size_t kCallIdBytesMax = 128;        // IM-5
constexpr std::size_t kStanzaIdBytesMax = 64;       // IM-35
constexpr std::chrono::seconds kWrittenLongAgo =
    60s;  // IM-46; a Duration can't hold all that a Date can tell

constexpr std::size_t kXhtmlBytesMax = 16'384;  // IM-39: a longer one is left out, the text stays

constexpr Bytes kNick = "http://jabber.org/protocol/nick";
constexpr Bytes kXhtml = "http://www.w3.org/1999/xhtml";

constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

// How good a body or subject is (IM-9): lower is better.
int language_rank(Bytes own, Bytes of_stanza) {
    if (own.data() == nullptr) return 0;
    return of_stanza.data() != nullptr && own == of_stanza ? 1 : 2;
}

struct Best {
    xml::Element element;
    int rank = 3;
    void offer(const xml::Element& candidate, int candidate_rank) {
        if (candidate_rank >= rank) return;
        element = candidate;
        rank = candidate_rank;
    }
};

struct Children {
    Best body;
    Best subject;
    xml::Element thread;
    xml::Element delay;
    xml::Element nick;
    xml::Element html;
    xml::Element reactions;
    xml::Element receipt;  // <received/>, or a marker
    ChatState state = ChatState::kNone;
    bool receipt_wanted = false;
    bool correction = false;
    bool links = false;
    bool encrypted = false;
    bool offer = false;
};

// What children mean something to us. All others are dropped (GEN-4, IM-14).
enum class Meaning : std::uint8_t {
    kState,
    kReceipt,
    kMarker,
    kDelayed,
    kNickname,
    kHtml,
    kCorrection,
    kReactions,
    kLink,
    kEncrypted,
    kOffer,
};
struct MeaningRow {
    Bytes uri;
    Meaning meaning;
};
constexpr MeaningRow kMeanings[] = {
    {kChatStates, Meaning::kState},
    {kReceipts, Meaning::kReceipt},
    {kMarkers, Meaning::kMarker},
    {kDelay, Meaning::kDelayed},
    {kNick, Meaning::kNickname},
    {kXhtmlIm, Meaning::kHtml},
    {kCorrections, Meaning::kCorrection},
    {kReactions, Meaning::kReactions},
    {kOutOfBand, Meaning::kLink},
    {"eu.siacs.conversations.axolotl", Meaning::kEncrypted},
    {"urn:xmpp:omemo:1", Meaning::kEncrypted},
    {"urn:xmpp:omemo:2", Meaning::kEncrypted},
    {"urn:xmpp:openpgp:0", Meaning::kEncrypted},
    {"jabber:x:encrypted", Meaning::kEncrypted},
    {"urn:xmpp:jingle-message:0", Meaning::kOffer},
    {"jabber:x:conference", Meaning::kOffer},
};

void keep_first(xml::Element& place, const xml::Element& child) {
    if (!place) place = child;
}

void note_meaning(Children& found, Bytes uri, const xml::Element& child) {
    const auto* row =
        std::ranges::find_if(kMeanings, [uri](const MeaningRow& r) { return r.uri == uri; });
    if (row == std::end(kMeanings)) return;
    const Bytes name = child.name();
    switch (row->meaning) {
        case Meaning::kState: found.state = find_chat_state(name); break;
        case Meaning::kReceipt:
            if (name == "received") keep_first(found.receipt, child);
            found.receipt_wanted = found.receipt_wanted || name == "request";
            break;
        case Meaning::kMarker:
            if (name == "received" || name == "displayed") keep_first(found.receipt, child);
            break;
        case Meaning::kDelayed:
            if (name == "delay") keep_first(found.delay, child);
            break;
        case Meaning::kNickname:
            if (name == "nick") keep_first(found.nick, child);
            break;
        case Meaning::kHtml:
            if (name == "html") keep_first(found.html, child);
            break;
        case Meaning::kCorrection: found.correction = found.correction || name == "replace"; break;
        case Meaning::kReactions:
            if (name == "reactions") keep_first(found.reactions, child);
            break;
        case Meaning::kLink: found.links = found.links || name == "x"; break;
        case Meaning::kEncrypted:
            found.encrypted = found.encrypted || is_encrypted_text(child);
            break;
        case Meaning::kOffer:  // what ends a call asks for nothing
            found.offer = found.offer || name == "propose" || name == "x";
            break;
    }
}

Children look_at_children(const xml::Stanza& stanza) {
    Children found;
    for (const xml::Element& child : stanza.root.children()) {
        const Bytes uri = child.namespace_uri();
        if (uri != xml::kServerNamespace) {
            note_meaning(found, uri, child);
            continue;
        }
        const Bytes name = child.name();
        if (name == "body") {
            found.body.offer(child, language_rank(child.attribute("xml:lang"), stanza.lang));
        } else if (name == "subject") {
            found.subject.offer(child, language_rank(child.attribute("xml:lang"), stanza.lang));
        } else if (name == "thread") {
            keep_first(found.thread, child);
        }
    }
    // IM-9: a body chosen by its language takes the subject of that language.
    if (found.body.rank > 0 && found.body.rank < 3 && found.subject.element) {
        const Bytes wanted = found.body.element.attribute("xml:lang");
        for (const xml::Element& child : stanza.root.children()) {
            if (child.is("subject", xml::kServerNamespace) &&
                child.attribute("xml:lang") == wanted) {
                found.subject.element = child;
                break;
            }
        }
    }
    return found;
}

Bytes text_of(const xml::Element& element, Sink& memory) {
    return element ? element.text_view(memory) : Bytes();
}

// IM-4: controls become one SP each run; cut at 256 characters. In place: it only gets shorter.
Bytes clean_line(Bytes text, Sink& memory) {
    const std::size_t begin = memory.size();
    std::size_t characters = 0;
    bool last_was_control = false;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool control = byte < 0x20 || byte == 0x7F;
        if (control && last_was_control) continue;
        last_was_control = control;
        if ((byte & 0xC0) != 0x80 && ++characters > kSubjectCharactersMax) break;
        memory.append(control ? ' ' : c);
    }
    return memory.written().substr(begin);
}

// IM-3. Most texts have no line end, and stay where they are.
Bytes crlf_lines(Bytes text, Sink& memory) {
    if (text.find('\n') == Bytes::npos && text.find('\r') == Bytes::npos)
        return text;  // two fast scans
    const std::size_t begin = memory.size();
    xml::write_crlf_lines(memory, text);
    return memory.written().substr(begin);
}

bool is_word_character(char c) {  // RFC 3261 25.1, word
    return is_letter(c) || is_digit(c) || Bytes("-.!%*_+`'~()<>:\\\"/[]?{}").find(c) != Bytes::npos;
}

// IM-10, IM-14.
void read_without_text(const Children& found, StanzaText& read, Sink& memory) {
    if (found.encrypted) {
        read.use = StanzaUse::kEncrypted;
    } else if (found.receipt) {
        const std::size_t begin = memory.size();
        read.use = StanzaUse::kReceipt;
        read.disposition =
            found.receipt.name() == "displayed" ? Disposition::kDisplayed : Disposition::kDelivered;
        if (found.receipt.attribute("id", memory)) {
            read.receipt_for = memory.written().substr(begin);
        }
    } else if (found.state != ChatState::kNone) {
        read.use = StanzaUse::kChatState;
        read.text.thread = text_of(found.thread, memory);
    } else {
        read.use = found.offer ? StanzaUse::kOffer : StanzaUse::kDrop;
    }
}

// IM-3, and what else of the stanza a person should read. Of a text that is too long nothing else
// is looked at.
Bytes readable_text(const Children& found, const xml::Stanza& stanza, std::size_t bytes_max,
                    Sink& memory) {
    if (!found.correction && !found.links && !found.reactions)
        return text_of(found.body.element, memory);
    const std::size_t begin = memory.size();
    if (found.correction) memory.append(kCorrectionMark);
    const std::size_t text_begin = memory.size();
    if (found.body.element) found.body.element.text(memory);
    const bool too_large = memory.overflowed() || memory.size() - begin > bytes_max;
    if (found.links && !too_large) write_links(stanza, text_begin, memory);
    if (found.reactions && memory.size() == text_begin) write_reactions(found.reactions, memory);
    return memory.size() == text_begin ? Bytes() : memory.written().substr(begin);
}

bool has_expired(const sip::Message& request, std::optional<WallTime> written_at, WallTime now) {
    const sip::Header* expires = request.find(sip::HeaderName::kExpires);
    if (expires == nullptr || !written_at) return false;
    const auto seconds = sip::parse_seconds(expires->value);
    return seconds && *written_at + std::chrono::seconds(*seconds) < now;
}

}  // namespace

StanzaText read_stanza(const xml::Stanza& stanza, std::size_t body_bytes_max, Sink& memory) {
    StanzaText read;
    if (stanza.type == "error") {  // ERR-5
        read.use = StanzaUse::kError;
        return read;
    }
    if (stanza.type == "groupchat") {  // IM-7
        read.use = StanzaUse::kGroupchat;
        return read;
    }
    const Children found = look_at_children(stanza);
    const Bytes body = readable_text(found, stanza, body_bytes_max, memory);
    const Bytes subject = text_of(found.subject.element, memory);
    if (memory.overflowed() || body.size() > body_bytes_max) {  // IM-19
        read.use = StanzaUse::kTooLarge;
        return read;
    }
    read.state = found.state;
    if (body.empty() && subject.empty()) {
        read_without_text(found, read, memory);
        return read;
    }
    // SEC-2, RCPT-6: what nobody answers, or could be answered by no id.
    read.receipt_wanted = found.receipt_wanted && stanza.type != "headline" && !stanza.id.empty();
    read.text.thread = text_of(found.thread, memory);
    read.text.body = crlf_lines(body, memory);
    if (!subject.empty()) read.text.subject = clean_line(subject, memory);
    if (found.nick) read.text.nick = clean_line(text_of(found.nick, memory), memory);
    const Bytes own = found.body.element ? found.body.element.attribute("xml:lang") : Bytes();
    const Bytes language = own.data() != nullptr ? own : stanza.lang;
    if (is_language_tag(language)) read.text.language = language;
    if (found.delay) read.text.written_at = parse_iso_date(found.delay.attribute("stamp"));
    if (found.html) {
        const xml::Element html = found.html.child("body", kXhtml);
        if (html) read.text.html = html.content();
    }
    read.use = memory.overflowed() ? StanzaUse::kTooLarge : StanzaUse::kSend;
    return read;
}

bool says_nothing(const xml::Stanza& stanza) {
    if (stanza.kind != xml::StanzaKind::kMessage) return false;
    const Children found = look_at_children(stanza);
    const auto has_text = [](const xml::Element& element) {
        return element && !element.content().empty();
    };
    return !has_text(found.body.element) && !has_text(found.subject.element) && !found.encrypted &&
           !found.offer && !found.links && !found.reactions;
}

bool may_be_call_id(Bytes thread) {
    if (thread.empty() || thread.size() > kCallIdBytesMax) return false;
    const std::size_t at = thread.find('@');
    const auto is_word = [](Bytes text) {
        return !text.empty() && std::ranges::all_of(text, is_word_character);
    };
    if (at == Bytes::npos) return is_word(thread);
    return is_word(thread.substr(0, at)) && is_word(thread.substr(at + 1));
}

void write_call_id(Bytes thread, Bytes fresh, Sink& sink) {
    if (thread.empty()) {
        sink.append(fresh);
    } else if (may_be_call_id(thread)) {
        sink.append(thread);
    } else {
        const auto hex = to_hex(sha256({thread}));
        sink.append("t-");
        sink.append(Bytes(hex.data(), 32));
    }
}

void write_request_front(const Envelope& envelope, Bytes nick, Sink& sink) {
    sip::RequestHead head;
    head.method = sip::method_text(sip::Method::kMessage);
    head.uri = envelope.request_uri;  // IM-1
    head.via = envelope.via;
    // IM-2, IM-13, ADDR-10
    head.from = {nick, envelope.from_uri, envelope.from_tag, envelope.from_epid};
    head.to = {{}, envelope.to_uri, {}};
    head.call_id = envelope.call_id;
    head.cseq = envelope.cseq;
    sip::write_request_head(sink, head);
    if (!envelope.in_reply_to.empty())
        sip::write_header(sink, sip::HeaderName::kInReplyTo, envelope.in_reply_to);
    if (!envelope.asserted.empty())
        sip::write_header(sink, sip::HeaderName::kPAssertedIdentity, envelope.asserted);
    sink.append("User-Agent: Fedgate\r\n");  // IM-15
}

namespace {

constexpr Bytes kPlainType = "text/plain;charset=UTF-8";  // IM-3

// IM-11: multipart/alternative. Empty: there was no room, or nothing to say beyond the plain text.
Bytes write_alternative(const Text& text, Bytes boundary, MutableBytes memory) {
    Sink sink(memory);
    const auto part = [&](Bytes type) {
        sink.append("--");
        sink.append(boundary);
        sink.append("\r\nContent-Type: ");
        sink.append(type);
        sink.append("\r\n\r\n");
    };
    part(kPlainType);
    sink.append(text.body);
    sink.append("\r\n");
    part("text/html;charset=UTF-8");
    sink.append("<html><body>");
    if (!write_xhtml_of_html(text.html, sink)) return {};
    sink.append("</body></html>\r\n--");
    sink.append(boundary);
    sink.append("--\r\n");
    return sink.overflowed() ? Bytes() : sink.written();
}

void write_text_headers(const Text& text, Sink& sink) {
    using sip::HeaderName;
    if (text.written_at) {  // IM-12
        sink.append("Date: ");
        write_sip_date(*text.written_at, sink);
        sink.append("\r\n");
    }
    if (!text.subject.empty()) sip::write_header(sink, HeaderName::kSubject, text.subject);  // IM-4
    if (!text.language.empty())
        sip::write_header(sink, HeaderName::kContentLanguage, text.language);
}

}  // namespace

std::size_t session_text_bytes_max(const Text& text) {
    constexpr std::size_t kEndBytes = 88;     // type and size of the body
    constexpr std::size_t kHeaderBytes = 48;  // a name, and a date
    const auto header = [](bool is_there, std::size_t value) {
        return is_there ? kHeaderBytes + value : 0;
    };
    return header(text.written_at.has_value(), 0) +
           header(!text.subject.empty(), text.subject.size()) +
           header(!text.language.empty(), text.language.size()) + text.body.size() + kEndBytes;
}

void write_session_text(const Text& text, Sink& sink) {
    write_text_headers(text, sink);
    if (text.body.empty()) return sip::write_no_body(sink);  // IM-10
    sip::write_body(sink, kPlainType, text.body);
}

void write_request(const Envelope& envelope, const Text& text, MutableBytes scratch, Sink& sink) {
    write_request_front(envelope, text.nick, sink);
    write_text_headers(text, sink);
    if (text.body.empty()) return sip::write_no_body(sink);  // IM-10
    Bytes type = kPlainType;
    Bytes body = text.body;
    char type_memory[128];
    if (!text.html.empty()) {
        const Bytes both = write_alternative(text, envelope.from_tag, scratch);
        if (!both.empty()) {
            Sink alternative{MutableBytes(type_memory)};
            alternative.append("multipart/alternative;boundary=");
            alternative.append(envelope.from_tag);
            FEDGATE_CHECK(!alternative.overflowed());
            type = alternative.written();
            body = both;
        }
    }
    if (envelope.message_id.empty()) return sip::write_body(sink, type, body);
    const Cpim cpim{envelope.from_uri,
                    envelope.to_uri,
                    text.written_at.value_or(envelope.now),
                    envelope.message_id,
                    true,
                    type,
                    false};
    write_cpim(cpim, body, sink);
}

RequestText read_request(const sip::Message& request, WallTime now, std::size_t body_bytes_max,
                         MutableBytes scratch, Sink& memory) {
    using sip::HeaderName;
    RequestText read;
    const Bytes encoding = request.value(HeaderName::kContentEncoding);
    if (!encoding.empty() && !sip::equal_ignoring_case(encoding, "identity")) {
        read.use = RequestUse::kUnsupportedEncoding;
        return read;
    }
    const BodyText found = find_text({request.value(HeaderName::kContentType),
                                      request.value(HeaderName::kContentTransferEncoding),
                                      request.value(HeaderName::kContentDisposition)},
                                     request.body);
    read.parts_dropped = found.parts_dropped;
    if (!request.body.empty() && found.verdict != BodyVerdict::kFound) {
        read.use = found.verdict == BodyVerdict::kMalformed ? RequestUse::kMalformed
                                                            : RequestUse::kUnsupportedType;
        return read;
    }
    if (found.part.data.size() >
        body_bytes_max) {  // IM-19; what stands around it is bounded by SIP-3
        read.use = RequestUse::kTooLarge;
        return read;
    }
    const std::size_t begin = memory.size();
    if (!request.body.empty() && !write_body_text(found, scratch, memory)) {
        read.use = memory.overflowed() ? RequestUse::kTooLarge : RequestUse::kMalformed;
        return read;
    }
    const bool document = found.kind == BodyKind::kTyping || found.kind == BodyKind::kReceipt;
    if (document && !request.body.empty()) {
        read.document = memory.written().substr(begin);
        read.use = found.kind == BodyKind::kTyping ? RequestUse::kTyping : RequestUse::kReceipt;
        return read;
    }
    read.text.body = memory.written().substr(begin);
    if (found.html.data.data() != nullptr) {  // IM-39
        const std::size_t html_begin = memory.size();
        const bool written = write_body_xhtml(found, scratch, memory) &&
                             memory.size() - html_begin <= kXhtmlBytesMax;
        if (written) {
            read.text.html = memory.written().substr(html_begin);
        } else {
            memory.truncate(html_begin);
        }
    }
    const std::size_t subject_begin = memory.size();
    Bytes subject = request.value(HeaderName::kSubject);
    if (subject.empty()) subject = found.cpim_subject;  // IM-42
    write_clean(Charset::kUtf8, subject, memory);
    read.text.subject = memory.written().substr(subject_begin);
    read.text.language = first_language_tag(request.value(HeaderName::kContentLanguage));
    auto written_at = parse_sip_date(request.value(HeaderName::kDate));
    if (!written_at) written_at = parse_iso_date(found.cpim_date);
    if (written_at && now - *written_at > kWrittenLongAgo)
        read.text.written_at = written_at;  // IM-46
    read.message_id = found.message_id;     // RCPT-4
    read.wanted = parse_wanted(found.wanted);
    read.sent_at = written_at.value_or(now);
    if (memory.overflowed()) {
        read.use = RequestUse::kTooLarge;
    } else if (has_expired(request, written_at, now) ||                  // IM-47
               (read.text.body.empty() && read.text.subject.empty())) {  // IM-48
        read.use = RequestUse::kDrop;
    } else {
        read.use = RequestUse::kStanza;
    }
    return read;
}

Bytes stanza_id(Bytes branch) {
    if (!sip::has_branch_cookie(branch)) return {};
    const Bytes id = branch.substr(sip::kBranchCookie.size());
    static constexpr auto kFits = [] {
        std::array<bool, 256> fits{};
        for (std::size_t c = 0; c < 0x80; ++c) {
            const char one = static_cast<char>(c);
            fits[c] = is_letter(one) || is_digit(one) || Bytes("._~-").contains(one);
        }
        return fits;
    }();
    if (id.size() > kStanzaIdBytesMax) return {};
    for (const char c : id) {
        if (!kFits[static_cast<std::uint8_t>(c)]) return {};
    }
    return id;
}

void write_stanza(const StanzaHead& head, const Text& text, Sink& sink) {
    const auto optional = [](Bytes value) { return value.empty() ? Bytes() : value; };
    xml::write_start(sink, "message",
                     {{"from", head.from},
                      {"to", head.to},
                      {"id", head.id},
                      {"type", head.chat ? Bytes("chat") : Bytes()},  // IM-38
                      {"xml:lang", optional(text.language)}});
    if (!text.subject.empty()) xml::write_element(sink, "subject", {}, text.subject);  // IM-33
    if (!text.body.empty()) xml::write_element(sink, "body", {}, text.body);           // IM-32
    if (!text.html.empty()) {                                                          // IM-39
        xml::write_start(sink, "html", {{"xmlns", kXhtmlIm}});
        xml::write_start(sink, "body", {{"xmlns", kXhtml}});
        sink.append(text.html);
        xml::write_end(sink, "body");
        xml::write_end(sink, "html");
    }
    if (!head.thread.empty()) xml::write_element(sink, "thread", {}, head.thread);  // IM-34
    if (text.written_at) {                                                          // IM-46
        char stamp_memory[32];
        Sink stamp{MutableBytes(stamp_memory)};
        write_iso_date(*text.written_at, stamp);
        xml::write_empty(
            sink, "delay",
            {{"xmlns", kDelay}, {"stamp", stamp.written()}, {"from", head.our_domain}});
    }
    if (head.active) sink.append("<active xmlns='", kChatStates, "'/>");          // CS-6
    if (head.request) xml::write_empty(sink, "request", {{"xmlns", kReceipts}});  // RCPT-4
    if (head.markable) xml::write_empty(sink, "markable", {{"xmlns", kMarkers}});
    xml::write_end(sink, "message");
}

}  // namespace fedgate::gateway
