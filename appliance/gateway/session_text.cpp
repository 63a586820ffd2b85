// What goes in sessions: texts and typing, both ways. The rules of a text are those of single
// messages (x2s.cpp, s2x.cpp); here it is put into its dialog, or was found in one.
#include <utility>

#include "appliance/gateway/engine.hpp"
#include "appliance/gateway/lync.hpp"
#include "appliance/gateway/session.hpp"
#include "appliance/gateway/text.hpp"
#include "sip/ms_text_format.hpp"

namespace fedgate::gateway {

// ---- XMPP -> SIP

// Can a text go in it now?
bool Gateway::Engine::is_ready(const Session& session) {
    if (session.state != Session::State::kOpen) return false;
    return !session.msrp || session.msrp->is_bound();
}

// SESS-4: may one text more wait for the answer to an INVITE?
bool Gateway::Engine::may_wait(const Conversation& conversation, std::size_t bytes) {
    const Session* const session = session_of(conversation);
    if (session == nullptr || is_ready(*session)) return true;
    for (const ClientRequest* text = conversation.waiting.first; text != nullptr;
         text = text->next) {
        bytes += text->content_bytes;
    }
    return conversation.waiting.count < kInvitingTexts && bytes <= kInvitingBytes;
}

// SESS-2.
void Gateway::Engine::lock_resource(Conversation& conversation, Bytes resource, const Key& key) {
    conversation.xmpp_gone = false;
    Session* const session = session_of(conversation);
    if (session == nullptr) return;
    session->xmpp_wrote_at = now();
    if (session->resource_key == key.low) return;
    if (session->resource() != resource) {
        Block text = blocks_.copy({session->thread(), resource});
        if (!text) return;
        session->text = std::move(text);
    }
    session->resource_key = key.low;
}

void Gateway::Engine::unlock_resource(const Key& pair, Bytes resource) {
    const Conversation* const conversation = conversations_.peek(pair);
    Session* const session = conversation != nullptr ? session_of(*conversation) : nullptr;
    if (session != nullptr && session->resource() == resource) session->resource_key = 0;
}

// Is there a way for the first that waits?
Gateway::Engine::Way Gateway::Engine::find_way(Conversation& conversation,
                                               const ClientRequest& first, LocalFault& fault) {
    if (const Session* session = session_of(conversation)) {
        return is_ready(*session) ? Way::kReady : Way::kLater;
    }
    if (now() < conversation.pages_until || first.kind == RequestKind::kInfo) return Way::kReady;
    fault = LocalFault::kDraining;
    if (given_up_ || !invite(conversation, first, fault)) return Way::kNone;
    return session_of(conversation) != nullptr ? Way::kLater : Way::kAgain;
}

// One that a text goes in at once, for nothing is before it.
Session* Gateway::Engine::ready_session(const Conversation& conversation) {
    if (conversation.busy || conversation.starting || conversation.waiting.count > 0)
        return nullptr;
    Session* const session = session_of(conversation);
    const bool ready = session != nullptr && is_ready(*session) && !session->msrp &&
                       session->dialog->has_next_cseq();
    return ready ? session : nullptr;
}

// Makes the request, behind `prefix`, the next one of the dialog, whose body and what belongs to it
// write(sink) writes. User-Agent (IM-15) is left to the INVITE. Whose it is (owner) the caller
// says. False: no memory now.
template <typename Write>
bool Gateway::Engine::fill_in_session(Session& session, ClientRequest& request,
                                      std::initializer_list<Bytes> prefix, std::size_t content_max,
                                      Write&& write) {
    sip::Dialog& dialog = *session.dialog;
    const std::size_t bytes_max = dialog.request_bytes_max() + content_max;
    return agent_.fill(request, prefix, bytes_max, [&](Sink& out) {
        const Bytes via = agent_.likely_via(request.sip_route()).text;
        const std::size_t before_via = dialog.write_request(method_of(request.kind), via, out);
        const std::size_t content_begin = out.size();
        write(out);
        request.content_bytes = static_cast<std::uint32_t>(out.size() - content_begin);
        return ViaLine(before_via, before_via + Bytes("Via: \r\n").size() + via.size());
    });
}

bool Gateway::Engine::fill_in_session(Session& session, ClientRequest& request,
                                      std::initializer_list<Bytes> prefix, const Text& text) {
    return fill_in_session(session, request, prefix, session_text_bytes_max(text),
                           [&](Sink& out) { write_session_text(text, out); });
}

// SESS-42: in the dialog; or outside one, where the other side has no sessions (SESS-5).
void Gateway::Engine::send_in_session(Conversation& conversation, ClientRequest& request) {
    Session* const session = session_of(conversation);
    if (session != nullptr && session->msrp) return send_by_msrp(*session, request);
    const auto prefix = {request.from(), request.to(), request.id(), request.thread()};
    const Bytes content = request.content();
    request.owner = 0;
    if (session != nullptr) {
        if (!session->dialog->has_next_cseq()) {
            return on_request_done(request, nullptr, LocalFault::kUnreachable);
        }
        if (!fill_in_session(*session, request, prefix, content.size(),
                             [&](Sink& out) { out.append(content); })) {
            return on_request_done(request, nullptr, LocalFault::kOverload);
        }
        request.owner = conversation.session.pack();
        if (request.kind == RequestKind::kMessage) session->used_at = now();
        return agent_.send_in_dialog(request, *session->dialog, session->way);
    }
    Sink out{MutableBytes(request_memory_)};
    if (request.kind == RequestKind::kInfo || !write_page_front(conversation, request, out)) {
        return on_request_done(request, nullptr, LocalFault::kNoNextHop);
    }
    out.append(content);
    if (out.overflowed() || !agent_.fill(request, prefix, out.written())) {
        return on_request_done(request, nullptr, LocalFault::kOverload);
    }
    agent_.send(request);
}

// False: the rules have changed.
bool Gateway::Engine::write_page_front(Conversation& conversation, ClientRequest& request,
                                       Sink& out) {
    const Correspondence& who = correspondents_.find(request.from(), request.to(), true);
    if (!who.good) return false;
    if (!who.domain->receipt_on_200) request.receipt = ClientRequest::Receipt::kNone;  // RCPT-5
    char names_memory[4 * kUriBytes];
    Sink names{MutableBytes(names_memory)};
    Envelope envelope;
    name(envelope, who, conversation, names);
    const auto fresh = to_hex(random_.bytes<16>());
    const std::size_t call_id_begin = names.size();
    write_call_id(request.thread(), Bytes(fresh.data(), fresh.size()), names);
    envelope.call_id = names.written().substr(call_id_begin);
    FEDGATE_CHECK(!names.overflowed());
    const auto tag = to_hex(random_.bytes<8>());
    envelope.from_tag = Bytes(tag.data(), tag.size());
    envelope.cseq =
        request.thread().empty() ? 1 : conversation.next_cseq(keys_.make({envelope.call_id}).low);
    envelope.via = agent_.likely_via(request.sip_route());
    write_request_front(envelope, {}, out);
    return true;
}

// Its session may be dead (SESS-45). True: it goes once more, by another.
bool Gateway::Engine::goes_again(ClientRequest& request, Conversation& conversation,
                                 LocalFault fault) {
    const std::uint64_t owner = std::exchange(request.owner, 0);
    const std::uint16_t status = request.status;
    if (owner != 0 && status / 100 == 2 && !request.renumbered) return false;  // nearly always
    Session* const session = sessions_.find(Handle<Session>::unpack(owner));
    if (session != nullptr && status / 100 == 2) {
        if (!session->msrp) session->dialog->note_cseq(request.cseq);
        return false;
    }
    if (owner == 0) {                                          // outside a session
        if (status / 100 != 2) conversation.pages_until = {};  // it was no better
        return false;
    }
    const bool unknown = status == 481;
    const bool unsent = status == 0 && fault == LocalFault::kUnreachable;
    const bool unanswered = status == 408 || (status == 0 && fault == LocalFault::kInDoubt);
    if (session != nullptr) {
        if (!session->msrp) session->dialog->note_cseq(request.cseq);
        if (session->state != Session::State::kEnding) {
            // 481 of MSRP says nothing of the dialog.
            if (unknown && !session->msrp) {
                free(*session);
            } else if (unknown || unsent || unanswered) {
                end_session(*session);
            }
        }
    }
    if (!(unknown || unsent) || request.goes_again || request.kind == RequestKind::kInfo) {
        return false;
    }
    request.goes_again = true;
    request.queued_at = now();
    prepend(conversation.waiting, request);
    return true;
}

// CS-1..CS-5, SESS-44.
void Gateway::Engine::take_session_state(const StanzaCall& call, const Key& pair, ChatState state) {
    Conversation* const conversation = conversations_.peek(pair);
    Session* const session = conversation != nullptr ? session_of(*conversation) : nullptr;
    if (session == nullptr || !is_ready(*session)) return drop("typing");
    const bool is_msrp = session->msrp != nullptr;
    if (is_msrp && !session->msrp->shows_typing && state != ChatState::kGone) {
        return drop("typing");
    }
    const Typing::News news = conversation->typing.on_chat_state(state, now(), true);
    if (state == ChatState::kGone) {  // SESS-7: once what he has written is on its way
        conversation->xmpp_gone = true;
        drop_typing_request(*conversation);
        return start_next(*conversation);
    }
    if (news == Typing::News::kNone || draining_ || agent_.request_count() >= kRequestsWithTyping) {
        return drop("typing");
    }
    Sink content{MutableBytes(request_memory_)};
    char body_memory[512];
    Sink body{MutableBytes(body_memory)};
    const bool active = news == Typing::News::kActive;
    is_msrp ? write_is_composing(active, body) : write_keyboard_activity(active, body);
    sip::write_body(content, is_msrp ? kTypingType : kKeyboardActivityType, body.written());
    FEDGATE_CHECK(!body.overflowed() && !content.overflowed());
    ClientRequest* request = agent_.make_request(agent_.route_of(*call.domain), RequestKind::kInfo);
    if (request == nullptr) return drop("typing");
    if (!fill_content(*request, {}, content.written())) {
        agent_.release(*request);
        return drop("typing");
    }
    request->conversation = session->conversation;
    request->queued_at = now();
    drop_typing_request(*conversation);
    conversation->typing_request = request;
    start_next(*conversation);
}

void Gateway::Engine::leave_if_gone(Conversation& conversation) {
    if (!conversation.xmpp_gone && !draining_) return;
    Session* const session = session_of(conversation);
    if (session != nullptr && session->state == Session::State::kOpen) end_session(*session);
}

// Not a request yet: its turn comes. False: no memory now.
bool Gateway::Engine::fill_content(ClientRequest& request, std::initializer_list<Bytes> prefix,
                                   Bytes content) {
    std::size_t prefix_bytes = 0;
    for (const Bytes part : prefix) prefix_bytes += part.size();
    Block block = blocks_.take(prefix_bytes + content.size());
    if (!block) return false;
    Sink sink(block.memory());
    for (const Bytes part : prefix) sink.append(part);
    sink.append(content);
    block.set_size(sink.size());
    request.memory = std::move(block);
    request.request_begin = static_cast<std::uint32_t>(prefix_bytes);
    request.content_bytes = static_cast<std::uint32_t>(content.size());
    return true;
}

// ---- SIP -> XMPP

// SESS-41: a text in the INVITE. What becomes of it is the answer. False: no room now.
bool Gateway::Engine::take_first_text(Session& session, const sip::Message& request,
                                      RequestCall& call, Bytes sdp) {
    Sink memory{MutableBytes(text_memory_)};
    RequestText read;
    read.use = RequestUse::kStanza;
    if (!read_first_text(request, read, memory)) {
        accept_session(session, sdp, false);
        return true;
    }
    session.held = blocks_.copy({sdp});
    if (!session.held) {
        accept_session(session, sdp, false);  // it is sent again in the session
        return true;
    }
    call.session = &session;
    Origin origin = session.origin;
    origin.session = session.self;
    const Handle<Session> self = session.self;
    if (take_text(request, call, read, origin, agent_.merge_key(request))) return true;
    if (Session* still = sessions_.find(self)) free(*still);
    return false;
}

// False: there is none that we read.
bool Gateway::Engine::read_first_text(const sip::Message& request, RequestText& read,
                                      Sink& memory) const {
    for (const sip::Header& header : request.headers()) {
        if (!sip::equal_ignoring_case(header.name, "ms-text-format")) continue;
        const auto format = sip::parse_ms_text_format(header.value, memory);
        const auto charset = format ? find_charset(format->charset) : std::nullopt;
        if (!charset || !sip::equal_ignoring_case(format->type, "text/plain") ||
            format->body.empty() || format->body.size() > rules_->settings.im.max_bytes) {
            return false;
        }
        const std::size_t begin = memory.size();
        write_clean(*charset, format->body, memory);
        read.text.body = memory.written().substr(begin);
        return !memory.overflowed();
    }
    return false;
}

// SESS-43, SESS-44. False: no room now; it comes again.
bool Gateway::Engine::take_text_in_session(Session& session, const sip::Message& request,
                                           const rules::SipDomain& domain, const Origin& origin) {
    conversations_.prefetch_neighbours(session.conversation);
    RequestCall call;
    const Handle<Session> self = session.self;
    if (!read_parties(session, call) || call.domain != &domain) {  // SEC-1
        answer(origin, {403, {}});
        return true;
    }
    if (!session.dialog->in_order(request)) {
        answer(origin, {500, {}});
        return true;
    }
    if (call.partner == nullptr) {
        answer(origin, {403, {}});
    } else if (request.method == sip::Method::kInfo) {
        take_info(session, request, call);
        answer(origin, {200, {}});
    } else if (!take_message(request, call, origin)) {
        return false;
    }
    Session* const still = sessions_.find(self);
    if (still == nullptr) return true;
    still->dialog->on_text(request);
    if (request.method == sip::Method::kMessage) still->used_at = now();
    return true;
}

void Gateway::Engine::take_info(Session& session, const sip::Message& request,
                                const RequestCall& call) {
    Conversation* const conversation = conversations_.find(session.conversation);
    const auto typing = parse_keyboard_activity(request.body, framer_);
    if (conversation == nullptr || !typing || !call.partner->passes(rules::Kind::kTyping)) {
        return drop("INFO");
    }
    show_news(request, call, *conversation, session.conversation, {*typing, kTypingRefresh});
}

}  // namespace fedgate::gateway
