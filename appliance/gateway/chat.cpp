// Typing and receipts between the two sides. They ask for no answer, so they are never refused,
// never hold anything up, and nobody is told when they fail (SEC-2, CS-9).
#include <utility>

#include "appliance/gateway/engine.hpp"
#include "appliance/gateway/session.hpp"
#include "core/base/hash.hpp"
#include "xml/stanza_error.hpp"
#include "xml/text.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kImdnBytes = 2'048;
// Of one IMDN that is taken: its Message-ID, what that carries, and two JIDs.
constexpr std::size_t kDocumentNamesBytes = 2 * kReceiptIdBytes + 3 * xml::kJidBytes;

}  // namespace

// ---- XMPP -> SIP

void Gateway::Engine::take_chat_state(const StanzaCall& call, const Key& pair,
                                      const StanzaText& read) {
    if (has_sessions(*call.domain)) return take_session_state(call, pair, read.state);
    Handle<Conversation> handle;
    Conversation* conversation = conversations_.open(pair, now(), handle);
    if (conversation == nullptr) return drop("typing");
    const Typing::News news = conversation->typing.on_chat_state(read.state, now());
    if (news == Typing::News::kNone) return drop("typing");
    if (draining_ || agent_.request_count() >= kRequestsWithTyping) return drop("typing");
    ClientRequest* request =
        make_extra(call, *conversation, RequestKind::kTyping, read.text.thread, nullptr,
                   Disposition::kOther, news == Typing::News::kActive);
    if (request == nullptr) return drop("typing");
    request->conversation = handle;
    drop_typing_request(*conversation);  // the newer one says it all
    conversation->typing_request = request;
    start_next(*conversation);
}

void Gateway::Engine::take_receipt(const StanzaCall& call, const Key& pair,
                                   const StanzaText& read) {
    char note_memory[kReceiptIdBytes];
    Sink names{MutableBytes(note_memory)};
    const auto note = receipts_.read(pair, ReceiptFor::kRequest, read.receipt_for, names);
    if (note && on_trial_receipt(note->name)) return;
    const bool is_received = read.disposition == Disposition::kDelivered;
    if (note && is_received && note->wanted.positive && report_receipt(note->name)) return;
    const bool asked =
        note && (read.disposition == Disposition::kDisplayed ? note->wanted.display
                                                             : note->wanted.positive);
    Handle<Conversation> handle;
    Conversation* conversation = asked && !draining_ && !has_sessions(*call.domain)
                                     ? conversations_.open(pair, now(), handle)
                                     : nullptr;
    if (conversation == nullptr || conversation->waiting.count >= limits::kPairQueueStanzas) {
        return drop("receipt");
    }
    ClientRequest* request =
        make_extra(call, *conversation, RequestKind::kReceipt, {}, &*note, read.disposition, false);
    if (request == nullptr) return drop("receipt");
    request->conversation = handle;
    append(conversation->waiting, *request);
    start_next(*conversation);
}

// The MESSAGE of an isComposing or an IMDN. Null: there is no room for it.
ClientRequest* Gateway::Engine::make_extra(const StanzaCall& call, Conversation& conversation,
                                           RequestKind kind, Bytes thread, const ReceiptNote* note,
                                           Disposition disposition, bool active) {
    SipRoute& route = agent_.route_of(*call.domain);
    char names_memory[4 * kUriBytes];
    Sink names{MutableBytes(names_memory)};
    Envelope envelope;
    name(envelope, *call.who, conversation, names);
    const auto fresh = to_hex(random_.bytes<16>());
    const auto tag = to_hex(random_.bytes<8>());
    const std::size_t call_id_begin = names.size();
    write_call_id(thread, Bytes(fresh.data(), fresh.size()), names);
    envelope.call_id = names.written().substr(call_id_begin);
    FEDGATE_CHECK(!names.overflowed());
    envelope.from_tag = Bytes(tag.data(), tag.size());
    envelope.cseq = thread.empty() ? 1 : conversation.next_cseq(keys_.make({envelope.call_id}).low);
    envelope.via = agent_.likely_via(route);
    char body_memory[kImdnBytes];
    Sink body{MutableBytes(body_memory)};
    Sink bytes{MutableBytes(request_memory_)};
    write_request_front(envelope, {}, bytes);
    if (kind == RequestKind::kTyping) {
        write_is_composing(active, body);
        sip::write_body(bytes, kTypingType, body.written());  // CS-10
    } else {
        write_imdn(note->name, note->sent_at, disposition, body);
        write_cpim({envelope.from_uri, envelope.to_uri, shard_.loop().wall_now(),
                    Bytes(fresh.data(), fresh.size()), false, kReceiptType, true},
                   body.written(), bytes);  // RCPT-2
    }
    FEDGATE_CHECK(!body.overflowed());
    FEDGATE_CHECK(!bytes.overflowed());
    ClientRequest* request = agent_.make_request(route, kind);
    if (request == nullptr) return nullptr;
    request->queued_at = now();
    if (!agent_.fill(*request, {}, bytes.written())) {
        agent_.release(*request);
        return nullptr;
    }
    return request;
}

void Gateway::Engine::drop_typing_request(Conversation& conversation) {
    ClientRequest* request = std::exchange(conversation.typing_request, nullptr);
    if (request != nullptr) agent_.release(*request);
}

void Gateway::Engine::on_extra_done(ClientRequest& request, Conversation& conversation) {
    if (request.kind == RequestKind::kTyping || request.kind == RequestKind::kInfo) {
        if (request.status == 415) conversation.typing.on_refused();  // CS-9
        if (request.status == 0) {
            // Nobody answered. The texts that had to wait for that have their time all the same.
            conversation.typing.on_unanswered();
            for (ClientRequest* text = conversation.waiting.first; text != nullptr;
                 text = text->next) {
                text->queued_at = now();
            }
        }
    }
    agent_.release(request);
}

// RCPT-5: a pool that answers end to end has delivered it. Or, of MSRP, its reader says so.
void Gateway::Engine::tell_received(Bytes from_text, Bytes to_text, Bytes id, bool chat) {
    Address from;
    Address to;
    FEDGATE_CHECK(read_jid(from_text, from));  // they were read when the message came
    FEDGATE_CHECK(read_jid(to_text, to));
    if (!has_room()) return drop("receipt");
    const auto fresh = to_hex(random_.bytes<16>());
    Sink stanza{MutableBytes(stanza_memory_)};
    write_received({to_text, from_text, Bytes(fresh.data(), fresh.size()), chat}, id, stanza);
    FEDGATE_CHECK(!stanza.overflowed());
    give(link::kOnce, to.domain_ascii, from.domain_ascii, stanza.written());
}

// ---- SIP -> XMPP

Bytes Gateway::Engine::thread_of(const RequestCall& call, const sip::Message& request,
                                 const Conversation& conversation) const {
    const bool own = call.session != nullptr && !call.session->thread().empty();  // SESS-3
    return own ? call.session->thread() : thread_of(request, conversation);
}

Bytes Gateway::Engine::thread_of(const sip::Message& request,
                                 const Conversation& conversation) const {  // IM-34
    const Bytes thread = conversation.find_thread(request.call_id);
    if (!thread.empty()) return thread;
    return xml::is_xml_text(request.call_id) ? request.call_id : Bytes();
}

void Gateway::Engine::write_jids(const RequestCall& call, const Conversation& conversation,
                                 Sink& names, Bytes& sip, Bytes& xmpp) const {
    sip = call.from_text;  // IM-31
    xmpp = call.to_text;
    const Session* const session = call.session;
    if (session != nullptr && session->resource_key != 0 && !session->resource().empty() &&
        shard_.loop().now() - session->xmpp_wrote_at < kResourceLocked) {  // SESS-2
        const std::size_t begin = names.size();
        xml::Jid full = call.to.jid;
        full.resource = session->resource();
        xml::write_jid(names, full);
        xmpp = names.written().substr(begin);
        return;
    }
    const Bytes resource = call.to.jid.resource;
    if (resource.empty() ||
        conversation.xmpp_resource.is(resource_key(resource), shard_.loop().now())) {
        return;
    }
    const std::size_t begin = names.size();
    xml::write_jid(names, call.to.jid.bare());  // IM-30
    xmpp = names.written().substr(begin);
}

// IM-43. False: it is no isComposing.
bool Gateway::Engine::take_typing(const sip::Message& request, const RequestCall& call,
                                  const Key& pair, Bytes document) {
    const auto news = parse_is_composing(document, framer_);
    if (!news) return false;
    Handle<Conversation> handle;
    Conversation* conversation = conversations_.open(pair, now(), handle);
    if (conversation == nullptr) {
        drop("typing");
    } else {
        show_news(request, call, *conversation, handle, *news);
    }
    return true;
}

void Gateway::Engine::show_news(const sip::Message& request, const RequestCall& call,
                                Conversation& conversation, Handle<Conversation> handle,
                                const IsComposing& news) {
    const ChatState state = conversation.typing.on_is_composing(news.active, now());
    if (state != ChatState::kNone) {
        show_typing(request, call, conversation, handle, state, news.refresh);
    } else if (ShownTyping* shown = shown_typing_.find(conversation.shown)) {
        shard_.loop().timers().arm(shown->timer, now() + news.refresh);  // it goes on
    } else {
        drop("typing");
    }
}

void Gateway::Engine::show_typing(const sip::Message& request, const RequestCall& call,
                                  Conversation& conversation, Handle<Conversation> handle,
                                  ChatState state, Duration refresh) {
    char names_memory[3 * xml::kJidBytes];
    Sink names{MutableBytes(names_memory)};
    const auto fresh = to_hex(random_.bytes<16>());
    StateHead head;
    write_jids(call, conversation, names, head.from, head.to);
    FEDGATE_CHECK(!names.overflowed());
    head.id = Bytes(fresh.data(), fresh.size());
    head.thread = thread_of(call, request, conversation);
    Sink stanza{MutableBytes(stanza_memory_)};
    write_chat_state(head, state, stanza);
    FEDGATE_CHECK(!stanza.overflowed());
    // Who is shown a start is shown the end, too. What finds no room does not wait: a text that
    // follows must not come first.
    const bool starts = state == ChatState::kComposing;
    const bool told =
        (!starts || note_typing(head, conversation, handle)) &&
        to_edge({link::kForNow, call.from.domain_ascii, call.to.domain_ascii, stanza.written()});
    if (told != starts) {  // it has not begun, or has ended
        hide_typing(conversation);
        conversation.typing.on_refresh_missed();
        if (!told) drop("typing");
    } else if (ShownTyping* shown = shown_typing_.find(conversation.shown)) {
        shard_.loop().timers().arm(shown->timer, now() + (starts ? refresh : kRetryTelling));
    }
}

bool Gateway::Engine::note_typing(const StateHead& head, Conversation& conversation,
                                  Handle<Conversation> handle) {
    Handle<ShownTyping> self;
    ShownTyping* shown = shown_typing_.make(self, *this);
    if (shown == nullptr) return false;
    shown->self = self;
    shown->conversation = handle;
    shown->memory = blocks_.copy({head.from, head.to, head.thread});
    shown->sip_jid_bytes = static_cast<std::uint16_t>(head.from.size());
    shown->xmpp_jid_bytes = static_cast<std::uint16_t>(head.to.size());
    conversation.shown = self;
    return static_cast<bool>(shown->memory);
}

void Gateway::Engine::hide_typing(Conversation& conversation) {
    if (shown_typing_.find(conversation.shown) != nullptr) shown_typing_.free(conversation.shown);
    conversation.shown = {};
}

// CS-6: it was not said again in time.
void Gateway::Engine::on_typing_missed(ShownTyping& shown) {
    Address sip;
    Address xmpp;
    StateHead head;
    const auto fresh = to_hex(random_.bytes<16>());
    const Bytes noted = shown.memory.bytes();
    head.from = noted.substr(0, shown.sip_jid_bytes);
    head.to = noted.substr(shown.sip_jid_bytes, shown.xmpp_jid_bytes);
    head.thread = noted.substr(shown.sip_jid_bytes + shown.xmpp_jid_bytes);
    head.id = Bytes(fresh.data(), fresh.size());
    if (read_jid(head.from, sip) && read_jid(head.to, xmpp)) {
        Sink stanza{MutableBytes(stanza_memory_)};
        write_chat_state(head, ChatState::kActive, stanza);
        FEDGATE_CHECK(!stanza.overflowed());
        if (!to_edge({link::kForNow, sip.domain_ascii, xmpp.domain_ascii, stanza.written()})) {
            return shard_.loop().timers().arm(shown.timer, now() + kRetryTelling);
        }
    }
    Conversation* conversation = conversations_.find(shown.conversation);
    if (conversation != nullptr && conversation->shown == shown.self) {
        conversation->typing.on_refresh_missed();
        conversation->shown = {};
    }
    shown_typing_.free(shown.self);
}

// IM-44, RCPT-3, RCPT-8. False: it is no IMDN.
bool Gateway::Engine::take_imdn(const RequestCall& call, const Key& pair, Bytes document) {
    char names_memory[kDocumentNamesBytes];
    Sink names{MutableBytes(names_memory)};
    const auto imdn = parse_imdn(document, framer_, names);
    if (!imdn) return false;
    const auto note = receipts_.read(pair, ReceiptFor::kStanza, imdn->message_id, names);
    const bool failed = imdn->disposition == Disposition::kFailed && note &&
                        shard_.loop().wall_now() - note->sent_at <= kFailureKnown;
    if (!note || (imdn->disposition != Disposition::kDelivered && !failed) || !has_room()) {
        drop("receipt");
        return true;
    }
    xml::Jid to = call.to.jid;
    to.resource = note->resource;
    const std::size_t begin = names.size();
    xml::write_jid(names, call.from.jid);
    const std::size_t middle = names.size();
    xml::write_jid(names, to);
    const Bytes from_text = names.written().substr(begin, middle - begin);
    const Bytes to_text = names.written().substr(middle);
    FEDGATE_CHECK(!names.overflowed());
    Sink stanza{MutableBytes(stanza_memory_)};
    if (failed) {
        xml::StanzaError error;
        error.condition = xml::StanzaCondition::kRecipientUnavailable;
        error.type = xml::ErrorType::kWait;
        error.by = call.from.domain_ascii;
        xml::write_stanza_error(stanza, xml::StanzaKind::kMessage, from_text, to_text, note->name,
                                error);
    } else {
        const auto fresh = to_hex(random_.bytes<16>());
        write_received({from_text, to_text, Bytes(fresh.data(), fresh.size()), note->chat},
                       note->name, stanza);
    }
    FEDGATE_CHECK(!stanza.overflowed());
    give(failed ? 0 : link::kOnce, call.from.domain_ascii, call.to.domain_ascii, stanza.written());
    return true;
}

}  // namespace fedgate::gateway
