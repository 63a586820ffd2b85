// Single messages: RFC 7572; interworking rules IM-1..IM-51. Pure: a view of the one form in, the
// other form into a Sink. One Text between the two halves, so that neither half knows the other
// protocol.
#pragma once

#include <cstdint>
#include <optional>

#include "appliance/gateway/chat_state.hpp"
#include "appliance/gateway/receipt.hpp"
#include "core/base/bytes.hpp"
#include "core/base/time.hpp"
#include "sip/message.hpp"
#include "sip/writer.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {

// What a message says, decoded: UTF-8 of XML characters. Line ends are those of the side it goes
// to.
struct Text {
    Bytes body;
    Bytes subject;
    Bytes language;  // a valid tag, or empty
    Bytes thread;
    Bytes nick;
    // XHTML-IM: to XMPP, content of its body, written (IM-39); to SIP, that element's content as it
    // came (IM-11).
    Bytes html;
    std::optional<WallTime> written_at;  // <delay/>, Date
};

// ---- XMPP -> SIP

enum class StanzaUse : std::uint8_t {
    kSend,
    kError,      // IM-7: type='error'; ERR-5
    kGroupchat,  // IM-7: service-unavailable
    kDrop,       // IM-10, IM-14: nothing in it for SIP
    kChatState,  // CS-1..CS-5: no text, and the next two neither
    kReceipt,    // RCPT-2, RCPT-8
    kEncrypted,  // SEC-7: not-acceptable
    kOffer,      // S5: a call or a room, to which the answer is no: service-unavailable
    kTooLarge,   // IM-19
};

struct StanzaText {
    StanzaUse use = StanzaUse::kDrop;
    Text text;
    ChatState state = ChatState::kNone;             // with a text too
    bool receipt_wanted = false;                    // RCPT-1
    Bytes receipt_for;                              // of kReceipt
    Disposition disposition = Disposition::kOther;  // of kReceipt
};

// Decoded text goes into `memory`, and the views point there or into the stanza.
[[nodiscard]] StanzaText read_stanza(const xml::Stanza&, std::size_t body_bytes_max, Sink& memory);

// SEC-2: nothing that a person reads, and nothing that waits for an answer. Such a stanza is never
// refused, and holds nothing up.
[[nodiscard]] bool says_nothing(const xml::Stanza&);

// IM-5: the thread itself where it may be a Call-ID, `t-` and a digest otherwise; without a thread
// `fresh`.
void write_call_id(Bytes thread, Bytes fresh, Sink&);
[[nodiscard]] bool may_be_call_id(Bytes thread);

struct Envelope {
    Bytes request_uri;
    Bytes from_uri;  // ADDR-7
    Bytes from_tag;
    Bytes from_epid;  // ADDR-10
    Bytes to_uri;     // AOR
    Bytes call_id;
    std::uint32_t cseq = 1;
    Bytes asserted;     // SIP-33: P-Asserted-Identity, or empty
    Bytes in_reply_to;  // IM-50: of a notice, or empty
    Bytes message_id;   // RCPT-1: an IMDN is asked for with it; or empty
    WallTime now;       // what is asked for was written then, unless the text says more
    sip::OwnVia via;
};
// The whole MESSAGE request. IM-1..IM-4, IM-8, IM-12, IM-13, IM-15, RCPT-1. `scratch` is used for a
// text with html (IM-11); where that has no room it is left out.
void write_request(const Envelope&, const Text&, MutableBytes scratch, Sink&);
// All before the body's own headers; a text's are not among them.
void write_request_front(const Envelope&, Bytes nick, Sink&);
// The rest of a MESSAGE in a session: the text's headers and itself, as plain text (SESS-42).
void write_session_text(const Text&, Sink&);
[[nodiscard]] std::size_t session_text_bytes_max(const Text&);  // no more than that

// ---- SIP -> XMPP

enum class RequestUse : std::uint8_t {
    kStanza,
    kTyping,               // IM-43: `document` is an isComposing
    kReceipt,              // IM-44: `document` is an IMDN
    kDrop,                 // IM-47, IM-48: 200 and nothing more
    kUnsupportedType,      // IM-45: 415 with Accept
    kUnsupportedEncoding,  // IM-45: 415 with Accept-Encoding
    kMalformed,            // 400
    kTooLarge,             // IM-19: 413
};

struct RequestText {
    RequestUse use = RequestUse::kMalformed;
    Text text;
    Bytes document;
    // RCPT-4: empty, or what a receipt is asked for with, when and how.
    Bytes message_id;
    Wanted wanted;
    WallTime sent_at;
    std::uint32_t parts_dropped = 0;  // IM-41
};

// `scratch` needs the size of the body and more: see write_body_text().
[[nodiscard]] RequestText read_request(const sip::Message&, WallTime now,
                                       std::size_t body_bytes_max, MutableBytes scratch,
                                       Sink& memory);

// IM-45: what we take.
constexpr Bytes kAcceptedTypes =
    "text/plain, text/html, multipart/alternative, multipart/mixed, message/cpim, "
    "application/im-iscomposing+xml, message/imdn+xml";

// IM-35: the id from the top Via branch; empty: it does not make one.
[[nodiscard]] Bytes stanza_id(Bytes branch);

struct StanzaHead {
    Bytes from;
    Bytes to;
    Bytes id;
    Bytes thread;           // IM-34
    Bytes our_domain;       // IM-46
    bool chat = false;      // IM-38
    bool active = false;    // CS-6: <active/>
    bool request = false;   // RCPT-4
    bool markable = false;  // RCPT-8: a marker is asked for
};
void write_stanza(const StanzaHead&, const Text&, Sink&);

}  // namespace fedgate::gateway
