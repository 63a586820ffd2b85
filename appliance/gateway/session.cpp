// Sessions: which there are, how ours begin, and how all end. Theirs begin in session_server.cpp,
// what goes in them is in session_text.cpp, what only those of MSRP have in session_msrp.cpp.
#include "appliance/gateway/session.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "appliance/gateway/engine.hpp"
#include "appliance/gateway/lync.hpp"
#include "core/base/hash.hpp"

namespace fedgate::gateway {
namespace {

// SESS-5: the other side has no sessions.
bool knows_no_sessions(std::uint16_t status) {
    return status == 405 || status == 415 || status == 488 || status == 501 || status == 606;
}

}  // namespace

bool Gateway::Engine::has_sessions(const rules::SipDomain& domain) {
    return domain.profile != rules::Profile::kPage;
}

// ---- Finding

// Ours is random, and of no other call: nobody can make two meet. Who knows one can write others
// that lead to it, and gains nothing.
Key Gateway::Engine::key_of_tag(Bytes own) {
    std::array<std::uint64_t, 4> digits;
    static_assert(sizeof digits == sip::kTagBytes);
    if (own.size() != sizeof digits) return {};
    std::memcpy(digits.data(), own.data(), sizeof digits);
    const std::uint64_t low = (digits[2] ^ digits[3] << 4) * 0x9E37'79B9'7F4A'7C15;
    return {.high = digits[0] ^ digits[1] << 4, .low = low ^ low >> 32};
}

Key Gateway::Engine::key_of_peer(Bytes call_id, Bytes tag) const {
    return keys_.make({call_id, tag});
}

// Our tag says whose it is, the rest of the dialog whether it is in it: is_in().
Session* Gateway::Engine::find_session(Bytes own_tag) const {
    return by_tag_.find(key_of_tag(own_tag));
}

bool Gateway::Engine::is_in(const sip::Message& request, const Session& session) {  // SIP-22
    return session.dialog && session.dialog->call_id() == request.call_id &&
           session.dialog->remote_tag() == request.from.tag;
}

// The one that the conversation's texts go out by, or wait for.
Session* Gateway::Engine::session_of(const Conversation& conversation) {
    return sessions_.find(conversation.session);
}

// Its two users. False: the rules know them no longer.
bool Gateway::Engine::read_parties(Session& session, RequestCall& call) {
    call.session = &session;
    if (const Parties* known = parties_.find(session.parties)) {
        static_cast<Parties&>(call) = *known;
        return true;
    }
    const Bytes from = session.sip_uri();
    const Bytes to = session.xmpp_uri();
    const auto work_out = [this](Bytes first, Bytes second, Parties& parties, Sink& memory) {
        return read_parties(first, second, parties, memory);
    };
    const Parties* known = parties_.find(from, to);
    if (known == nullptr) known = parties_.make(from, to, work_out);
    if (known != nullptr) {
        session.parties = parties_.latest();
        static_cast<Parties&>(call) = *known;
        return true;
    }
    Sink memory{MutableBytes(call.memory)};
    return read_parties(from, to, call, memory);
}

Session* Gateway::Engine::make_session(Conversation& conversation, Handle<Conversation> handle,
                                       const AddressView& sip, const AddressView& xmpp,
                                       const rules::SipDomain& domain) {
    if (conversation.sessions >= kSessionsOfPair) return nullptr;
    char memory[2 * kUriBytes];
    Sink names{MutableBytes(memory)};
    write_aor(sip, names);
    const std::size_t sip_uri_bytes = names.size();
    write_sender_uri(xmpp, names);
    FEDGATE_CHECK(!names.overflowed());
    Block block = blocks_.copy({names.written()});
    if (!block) return nullptr;
    Handle<Session> self;
    Session* const session = sessions_.make(self, *this);
    if (session == nullptr) return nullptr;
    count(Counter::kSessionsOpen);
    session->self = self;
    session->names = std::move(block);
    session->sip_uri_bytes = static_cast<std::uint16_t>(sip_uri_bytes);
    session->conversation = handle;
    session->counted = true;
    session->used_at = now();
    ++conversation.sessions;
    if (domain.profile == rules::Profile::kMsrp) {
        make_msrp(*session, agent_.likely_via(agent_.route_of(domain)).host);
    }
    return session;
}

void Gateway::Engine::take_place(Session& session, Conversation& conversation) {
    if (Session* other = session_of(conversation)) {
        other->sends = false;
        arm(*other);
    }
    session.sends = true;
    conversation.session = session.self;
    conversation.xmpp_gone = false;
}

// The conversation has it no longer; what waited for it opens another.
void Gateway::Engine::leave(Session& session) {
    Conversation* const conversation = conversations_.find(session.conversation);
    if (conversation == nullptr || !session.counted) return;
    session.counted = false;
    --conversation->sessions;
    if (conversation->session == session.self) conversation->session = {};
    session.sends = false;
}

void Gateway::Engine::free(Session& session) {
    leave(session);
    if (session.msrp && lingers(session)) {
        session.msrp->is_over = true;
        session.state = Session::State::kEnding;
        session.timer.cancel();
        return;
    }
    shard_.stats().subtract(Counter::kSessionsOpen);
    by_tag_.erase(session);
    if (session.by_peer != Key{}) by_peer_.erase(session);
    ClientRequest* const text = session.msrp ? let_go(*session.msrp) : nullptr;
    sessions_.free(session.self);
    if (text == nullptr) return;
    text->status = 0;
    text->fault = text->goes_again ? LocalFault::kInDoubt : LocalFault::kUnreachable;
    end_request(*text, nullptr);  // by another session, once
}

void Gateway::Engine::arm(Session& session) {
    const Duration idle = session.sends ? kSessionIdle : kReceivingIdle;
    const Instant due = std::min({session.ack_due, session.expires_at, session.last_used() + idle});
    shard_.loop().timers().arm(session.timer, std::max(due, now()));
}

void Gateway::Engine::on_session_timer(Session& session) {
    if (session.state == Session::State::kInviting || session.state == Session::State::kHeld ||
        session.state == Session::State::kEnding) {
        return;  // its transaction has an end of its own
    }
    const Duration idle = session.sends ? kSessionIdle : kReceivingIdle;
    const bool used = now() < session.last_used() + idle;
    if (used && now() < session.ack_due && now() < session.expires_at) return arm(session);
    const Handle<Conversation> conversation = session.conversation;
    if (session.sends) tell_gone(session);  // SESS-8
    end_session(session);
    go_on(conversation);
}

void Gateway::Engine::go_on(Handle<Conversation> handle) {
    if (Conversation* conversation = conversations_.find(handle)) start_next(*conversation);
}

// ---- Ours

// SESS-1: for the first text of a conversation, which waits for it. False: it can't begin now, and
// `fault` says why.
bool Gateway::Engine::invite(Conversation& conversation, const ClientRequest& first,
                             LocalFault& fault) {
    const Correspondence& who = correspondents_.find(first.from(), first.to(), true);
    fault = LocalFault::kNoNextHop;
    if (!who.good) return false;  // the rules have changed
    fault = LocalFault::kOverload;
    Session* const session =
        make_session(conversation, first.conversation, who.to, who.from, *who.domain);
    if (session == nullptr) return false;
    SipRoute& route = agent_.route_of(*who.domain);
    char names_memory[4 * kUriBytes];
    Sink names{MutableBytes(names_memory)};
    Envelope envelope;
    name(envelope, who, conversation, names);
    const auto fresh = to_hex(random_.bytes<16>());
    const std::size_t call_id_begin = names.size();
    write_call_id(first.thread(), Bytes(fresh.data(), fresh.size()), names);
    Bytes call_id = names.written().substr(call_id_begin);
    if (!first.thread().empty() && conversation.next_cseq(keys_.make({call_id}).low) > 1) {
        call_id = Bytes(fresh.data(), fresh.size());  // SESS-3: never again
    }
    FEDGATE_CHECK(!names.overflowed());
    const sip::Tag tag = agent_.make_tag(shard_.index());
    const bool has_thread = !first.thread().empty() && first.thread().size() <= kThreadBytesMax;
    const Bytes thread = has_thread ? first.thread() : call_id;
    sip::RequestHead head;
    head.method = sip::method_text(sip::Method::kInvite);
    head.uri = envelope.request_uri;
    head.via = agent_.likely_via(route);
    head.from = {{}, envelope.from_uri, tag.view(), envelope.from_epid};
    head.to = {{}, envelope.to_uri, {}};
    head.call_id = call_id;
    Sink out{MutableBytes(request_memory_)};
    sip::write_request_head(out, head);
    const Bytes user = envelope.from_uri.substr(4, envelope.from_uri.find('@') - 4);  // "sip:"
    agent_.write_contact(out, user, route);
    sip::write_allow(out, kInSession);
    if (!envelope.asserted.empty())
        sip::write_header(out, sip::HeaderName::kPAssertedIdentity, envelope.asserted);
    sip::write_header(out, sip::HeaderName::kUserAgent, "Fedgate");
    if (!session->msrp) write_ms_conversation_id(keys_.make({thread}), out);  // SESS-41
    session->by_tag = key_of_tag(tag.view());
    write_own_offer(*session, head.via.host, out);
    session->text = blocks_.copy({thread, who.from.jid.resource});
    session->thread_bytes = session->text ? static_cast<std::uint16_t>(thread.size()) : 0;
    session->resource_key = session->text ? who.resource.low : 0;
    session->xmpp_wrote_at = now();
    ClientRequest* request = agent_.make_request(route, RequestKind::kInvite);
    by_tag_.insert(*session);
    if (request == nullptr || out.overflowed() || !agent_.fill(*request, {}, out.written())) {
        if (request != nullptr) agent_.release(*request);
        free(*session);
        return false;
    }
    request->owner = session->self.pack();
    session->invite = request;
    take_place(*session, conversation);
    count(Counter::kSessionsX2s);
    agent_.send(*request);
    return true;
}

void Gateway::Engine::write_own_offer(Session& session, Bytes host, Sink& out) {
    char memory[2'048];
    Sink sdp{MutableBytes(memory)};
    sip::write_offer(sdp, own_sdp(session, host), session.sdp);
    FEDGATE_CHECK(!sdp.overflowed());
    sip::write_body(out, kSdpType, sdp.written());
}

sip::OwnSdp Gateway::Engine::own_sdp(const Session& session, Bytes host) const {
    sip::OwnSdp own;
    own.id = session.by_tag.low >> 1;
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    own.host = host;
    own.port = 5060;  // SESS-40: nothing listens there
    if (!session.msrp) return own;
    own.kind = sip::SessionKind::kMsrp;  // SESS-20
    own.host = msrp_host(host);
    own.path = session.msrp->path;
    own.port = session.msrp->port;
    own.tls = session.msrp->is_secure();
    own.max_size = msrp_terms_.size_max;
    return own;
}

void Gateway::Engine::on_invite_done(ClientRequest& request, const sip::Message* response,
                                     LocalFault fault) {
    Session* const session = sessions_.find(Handle<Session>::unpack(request.owner));
    FEDGATE_CHECK(session != nullptr);  // one with an INVITE is never let go
    session->invite = nullptr;
    const Handle<Conversation> handle = session->conversation;
    const bool wanted = session->state == Session::State::kInviting;
    const bool waited_for = session->sends;
    std::uint16_t status = response != nullptr ? response->status : std::uint16_t{0};
    if (status / 100 == 2) {
        const bool usable = confirm(*session, request, *response);
        agent_.release(request);
        if (usable && wanted) {
            open(*session);
            return go_on(handle);
        }
        if (session->dialog) {
            end_session(*session);
        } else {
            free(*session);
        }
        status = 488;  // SESS-5
        response = nullptr;
    } else {
        agent_.release(request);
        free(*session);
    }
    if (!wanted || !waited_for) return go_on(handle);
    Conversation* const conversation = conversations_.find(handle);
    if (conversation == nullptr) return;
    if (fault == LocalFault::kInDoubt) fault = LocalFault::kTimeout;  // no text was sent
    if (knows_no_sessions(status)) {
        conversation->pages_until = now() + kPagesInstead;
    } else {
        fail_waiting(*conversation, status, response, fault);
    }
    start_next(*conversation);
}

// RFC 3261 13.2.2.4: the dialog of the 2xx, and its ACK. False: no texts can go there.
bool Gateway::Engine::confirm(Session& session, const ClientRequest& request,
                              const sip::Message& response) {
    Block copy = blocks_.copy({request.request()});
    if (!copy) return false;
    auto dialog = sip::Dialog::from_response(read_sent(copy, request.cseq), response);
    if (!dialog) return false;
    session.dialog.emplace(std::move(*dialog));
    send_ack(session, request.cseq);
    return take_answer(session, response);
}

// The line of messages, of the description that was read last.
Result<std::size_t> Gateway::Engine::pick_line(const Session& session) const {
    if (!session.msrp) return sip::pick_message(*sdp_, sip::SessionKind::kLync);
    return sip::pick_message(*sdp_, sip::SessionKind::kMsrp, session.msrp->is_secure());
}

// Their answer to our offer. False: no texts can go there.
bool Gateway::Engine::take_answer(Session& session, const sip::Message& message) {
    if (!has_sdp(message) || !sip::parse_sdp(message.body, *sdp_)) return false;
    const auto picked = pick_line(session);
    if (!picked) return false;
    return !session.msrp || begin_msrp(session, sdp_->media()[*picked], true);
}

// From, To and Call-ID are what we wrote: of the INVITE, not of what an answer says they were.
sip::RequestHead Gateway::Engine::read_sent(const Block& invite, std::uint32_t cseq) {
    const MutableBytes bytes(invite.memory().data(), invite.bytes().size());
    const auto parsed =
        sip::parse_message(bytes, sip::Carrier::kDatagram, kBlockBytesMax, message_);
    FEDGATE_CHECK(parsed.verdict == sip::Verdict::kDone);
    sip::RequestHead head;
    head.method = message_.method_name;
    head.uri = message_.request_uri_text;
    head.from = {{}, message_.from.uri.text, message_.from.tag};
    head.to = {{}, message_.to.uri.text, {}};
    head.call_id = message_.call_id;
    head.cseq = cseq;
    return head;
}

void Gateway::Engine::send_ack(const Session& session, std::uint32_t cseq) {
    const rules::SipDomain* const domain = domain_of(session);
    if (domain == nullptr) return;  // its BYE can't go either
    SipRoute& route = agent_.route_of(*domain);
    sip::RequestHead head;
    session.dialog->fill_ack(head, cseq);
    head.via = agent_.likely_via(route);
    Sink out{MutableBytes(request_memory_)};
    sip::write_request_head(out, head);
    sip::write_header(out, sip::HeaderName::kUserAgent, "Fedgate");
    sip::write_no_body(out);
    if (!out.overflowed()) agent_.send_ack(*session.dialog, route, out.written());
}

const rules::SipDomain* Gateway::Engine::domain_of(const Session& session) {
    const auto uri = sip::parse_uri(session.sip_uri());
    Address user;
    if (!uri || read_uri(*uri, user) != AddressFault::kNone) return nullptr;
    return rules_->sip_domain(user.domain_ascii);
}

// As its URI is written, nearly always.
bool Gateway::Engine::is_of(const Session& session, const rules::SipDomain& domain) {
    const Bytes uri = session.sip_uri();
    return uri.substr(uri.find('@') + 1) == domain.name || domain_of(session) == &domain;
}

// It came again, or from another branch of a fork (SESS-13).
void Gateway::Engine::on_success_again(const sip::Message& response) {
    const auto from = sip::parse_name_addr(response.value(sip::HeaderName::kFrom));
    const auto to = sip::parse_name_addr(response.value(sip::HeaderName::kTo));
    if (!from || !to) return;
    Session* const session = find_session(from->tag);
    if (session == nullptr) return;
    sip::RequestHead head;
    Block copy;
    if (session->dialog) {
        if (session->dialog->call_id() != response.call_id) return;
        if (to->tag == session->dialog->remote_tag()) {
            return send_ack(*session, response.cseq.number);
        }
        head.method = sip::method_text(sip::Method::kInvite);
        head.from = {{}, session->dialog->local_uri(), session->dialog->local_tag()};
        head.to = {{}, session->dialog->remote_uri(), {}};
        head.call_id = session->dialog->call_id();
        head.cseq = response.cseq.number;
    } else {  // of a leg that the INVITE has left
        if (session->invite == nullptr) return;
        copy = blocks_.copy({session->invite->request()});
        if (!copy) return;
        head = read_sent(copy, response.cseq.number);
        if (head.call_id != response.call_id) return;
    }
    // It is ended at once: a dialog of its own, which nobody knows but its BYE.
    auto dialog = sip::Dialog::from_response(head, response);
    Handle<Session> self;
    Session* const other = dialog ? sessions_.make(self, *this) : nullptr;
    if (other == nullptr) return;
    count(Counter::kSessionsOpen);
    other->self = self;
    other->names = blocks_.copy({session->names.bytes()});
    other->sip_uri_bytes = other->names ? session->sip_uri_bytes : std::uint16_t{0};
    other->dialog.emplace(std::move(*dialog));
    // Not the one that is found by our tag.
    other->by_tag = key_of_peer(response.call_id, to->tag);
    if (by_tag_.find(other->by_tag) != nullptr) {  // its BYE is on its way
        shard_.stats().subtract(Counter::kSessionsOpen);
        return sessions_.free(self);
    }
    by_tag_.insert(*other);
    send_ack(*other, response.cseq.number);
    end_session(*other);
}

void Gateway::Engine::open(Session& session) {
    session.state = Session::State::kOpen;
    session.used_at = now();
    arm(session);
    if (Conversation* conversation = conversations_.find(session.conversation)) {
        give_time(*conversation);
    }
    if (session.msrp) start_msrp(session);
}

// What had to wait for its session has its time all the same.
void Gateway::Engine::give_time(Conversation& conversation) {
    for (ClientRequest* text = conversation.waiting.first; text != nullptr; text = text->next) {
        text->queued_at = now();
    }
}

// SESS-4: each text that waited has an end of its own.
void Gateway::Engine::fail_waiting(Conversation& conversation, std::uint16_t status,
                                   const sip::Message* response, LocalFault fault) {
    RequestList failed = conversation.waiting;
    conversation.waiting = {};
    while (ClientRequest* request = take_first(failed)) {
        if (request->content_bytes == 0) {
            append(conversation.waiting, *request);
            continue;
        }
        request->status = status;
        request->fault = fault;
        if (request->kind == RequestKind::kNotice) {
            on_notice_done(*request, fault);
        } else {
            end_text(*request, conversation, response);
        }
    }
    drop_typing_request(conversation);
}

// By BYE, or CANCEL. What waited for it is its conversation's to send: go_on().
void Gateway::Engine::end_session(Session& session) {
    leave(session);
    const Session::State state = session.state;
    session.state = Session::State::kEnding;
    session.timer.cancel();
    if (session.msrp) stop_msrp(session);
    if (state == Session::State::kInviting && session.invite != nullptr) {
        return agent_.cancel(*session.invite);
    }
    const rules::SipDomain* const domain = session.dialog ? domain_of(session) : nullptr;
    sip::RequestHead head;
    if (domain == nullptr || state == Session::State::kHeld ||
        !session.dialog->next_request(sip::Method::kBye, head)) {
        return free(session);
    }
    SipRoute& route = agent_.route_of(*domain);
    head.via = agent_.likely_via(route);
    Sink out{MutableBytes(request_memory_)};
    sip::write_request_head(out, head);
    sip::write_header(out, sip::HeaderName::kUserAgent, "Fedgate");
    sip::write_no_body(out);
    ClientRequest* request = agent_.make_request(route, RequestKind::kBye);
    if (request == nullptr || out.overflowed() || !agent_.fill(*request, {}, out.written())) {
        if (request != nullptr) agent_.release(*request);
        return free(session);  // its next request hears of it
    }
    request->owner = session.self.pack();
    agent_.send_in_dialog(*request, *session.dialog);
}

void Gateway::Engine::on_bye_done(ClientRequest& request) {
    Session* const session = sessions_.find(Handle<Session>::unpack(request.owner));
    agent_.release(request);
    if (session != nullptr) free(*session);
}

// The XMPP user learns that the other one has left (SESS-7, SESS-8), if he knows chat states
// (CS-7).
void Gateway::Engine::tell_gone(Session& session) {
    Conversation* const conversation = conversations_.find(session.conversation);
    RequestCall call;
    if (conversation == nullptr || !conversation->typing.xmpp_uses(now()) ||
        !read_parties(session, call) || call.partner == nullptr ||
        !call.partner->passes(rules::Kind::kTyping)) {
        return;
    }
    hide_typing(*conversation);
    char names_memory[3 * xml::kJidBytes];
    Sink names{MutableBytes(names_memory)};
    const auto fresh = to_hex(random_.bytes<16>());
    StateHead head;
    write_jids(call, *conversation, names, head.from, head.to);
    FEDGATE_CHECK(!names.overflowed());
    head.id = Bytes(fresh.data(), fresh.size());
    head.thread = session.thread();
    Sink stanza{MutableBytes(stanza_memory_)};
    write_chat_state(head, ChatState::kGone, stanza);
    FEDGATE_CHECK(!stanza.overflowed());
    give(link::kOnce, call.from.domain_ascii, call.to.domain_ascii, stanza.written());
}

void Gateway::Engine::end_all_sessions() {
    sessions_.for_each([this](Handle<Session>, Session& session) {
        // What is on its way by MSRP, or waits for that, has its time: leave_if_gone().
        const Conversation* const conversation = conversations_.find(session.conversation);
        const bool waits =
            session.sends && conversation != nullptr && conversation->waiting.count != 0;
        const bool is_busy = session.msrp && (session.msrp->text != nullptr || waits);
        if (session.state == Session::State::kOpen && !is_busy) end_session(session);
    });
}

}  // namespace fedgate::gateway
