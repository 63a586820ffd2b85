#include "appliance/gateway/message.hpp"

#include <algorithm>

#include "appliance/gateway/date.hpp"
#include "appliance/gateway/mime.hpp"
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
constexpr std::chrono::seconds kFreshFor =
    60s;  // IM-46; a Duration can't hold all that a Date can tell

constexpr Bytes kChatStates = "http://jabber.org/protocol/chatstates";
constexpr Bytes kReceipts = "urn:xmpp:receipts";
constexpr Bytes kDelay = "urn:xmpp:delay";
constexpr Bytes kNick = "http://jabber.org/protocol/nick";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

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
    bool chat_state = false;
    bool receipt = false;
};

Children look_at_children(const xml::Stanza& stanza) {
    Children found;
    for (const xml::Element& child : stanza.root.children()) {
        const Bytes name = child.name();
        const Bytes uri = child.namespace_uri();
        if (uri == xml::kServerNamespace) {
            if (name == "body") {
                found.body.offer(child, language_rank(child.attribute("xml:lang"), stanza.lang));
            } else if (name == "subject") {
                found.subject.offer(child, language_rank(child.attribute("xml:lang"), stanza.lang));
            } else if (name == "thread" && !found.thread) {
                found.thread = child;
            }
        } else if (uri == kChatStates) {
            found.chat_state = true;
        } else if (uri == kReceipts) {
            found.receipt = found.receipt || name == "received";
        } else if (uri == kDelay && name == "delay" && !found.delay) {
            found.delay = child;
        } else if (uri == kNick && name == "nick" && !found.nick) {
            found.nick = child;
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
    if (!element) return {};
    const std::size_t begin = memory.size();
    element.text(memory);
    return memory.written().substr(begin);
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

StanzaUse use_without_text(const Children& found) {
    if (found.receipt) return StanzaUse::kReceipt;
    return found.chat_state ? StanzaUse::kChatState : StanzaUse::kDrop;
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
    const Bytes body = text_of(found.body.element, memory);
    const Bytes subject = text_of(found.subject.element, memory);
    if (memory.overflowed() || body.size() > body_bytes_max) {  // IM-19
        read.use = StanzaUse::kTooLarge;
        return read;
    }
    if (body.empty() && subject.empty()) {  // IM-10
        read.use = use_without_text(found);
        return read;
    }
    read.text.thread = text_of(found.thread, memory);
    read.text.body = crlf_lines(body, memory);
    if (!subject.empty()) read.text.subject = clean_line(subject, memory);
    if (found.nick) read.text.nick = clean_line(text_of(found.nick, memory), memory);
    const Bytes own = found.body.element ? found.body.element.attribute("xml:lang") : Bytes();
    const Bytes language = own.data() != nullptr ? own : stanza.lang;
    if (is_language_tag(language)) read.text.language = language;
    if (found.delay) read.text.written_at = parse_iso_date(found.delay.attribute("stamp"));
    read.use = memory.overflowed() ? StanzaUse::kTooLarge : StanzaUse::kSend;
    return read;
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

void write_request(const Envelope& envelope, const Text& text, Sink& sink) {
    sip::RequestHead head;
    head.method = sip::method_text(sip::Method::kMessage);
    head.uri = envelope.request_uri;  // IM-1
    head.via = envelope.via;
    head.from = {text.nick, envelope.from_uri, envelope.from_tag};  // IM-2, IM-13
    head.to = {{}, envelope.to_uri, {}};
    head.call_id = envelope.call_id;
    head.cseq = envelope.cseq;
    sip::write_request_head(sink, head);
    using sip::HeaderName;
    if (text.written_at) {  // IM-12
        sink.append("Date: ");
        write_sip_date(*text.written_at, sink);
        sink.append("\r\n");
    }
    if (!text.subject.empty()) sip::write_header(sink, HeaderName::kSubject, text.subject);  // IM-4
    if (!text.language.empty())
        sip::write_header(sink, HeaderName::kContentLanguage, text.language);
    if (!envelope.in_reply_to.empty())
        sip::write_header(sink, HeaderName::kInReplyTo, envelope.in_reply_to);
    if (!envelope.asserted.empty())
        sip::write_header(sink, HeaderName::kPAssertedIdentity, envelope.asserted);
    sink.append("User-Agent: Fedgate\r\n");  // IM-15
    if (text.body.empty()) {
        sip::write_no_body(sink);  // IM-10
    } else {
        sip::write_body(sink, "text/plain;charset=UTF-8", text.body);  // IM-3
    }
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
    if (found.data.size() > body_bytes_max) {  // IM-19; what stands around it is bounded by SIP-3
        read.use = RequestUse::kTooLarge;
        return read;
    }
    const std::size_t begin = memory.size();
    if (!request.body.empty() && !write_body_text(found, scratch, memory)) {
        read.use = memory.overflowed() ? RequestUse::kTooLarge : RequestUse::kMalformed;
        return read;
    }
    read.text.body = memory.written().substr(begin);
    const std::size_t subject_begin = memory.size();
    Bytes subject = request.value(HeaderName::kSubject);
    if (subject.empty()) subject = found.cpim_subject;  // IM-42
    write_clean(Charset::kUtf8, subject, memory);
    read.text.subject = memory.written().substr(subject_begin);
    read.text.language = first_language_tag(request.value(HeaderName::kContentLanguage));
    auto written_at = parse_sip_date(request.value(HeaderName::kDate));
    if (!written_at) written_at = parse_iso_date(found.cpim_date);
    if (written_at && now - *written_at > kFreshFor) read.text.written_at = written_at;  // IM-46
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
    const auto fits = [](char c) {
        return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '~' || c == '-';
    };
    return id.size() <= kStanzaIdBytesMax && std::ranges::all_of(id, fits) ? id : Bytes();
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
    if (!head.thread.empty()) xml::write_element(sink, "thread", {}, head.thread);     // IM-34
    if (text.written_at) {                                                             // IM-46
        char stamp_memory[32];
        Sink stamp{MutableBytes(stamp_memory)};
        write_iso_date(*text.written_at, stamp);
        xml::write_empty(
            sink, "delay",
            {{"xmlns", kDelay}, {"stamp", stamp.written()}, {"from", head.our_domain}});
    }
    xml::write_end(sink, "message");
}

}  // namespace fedgate::gateway
