// Stanzas of partners to SIP.
#include <algorithm>
#include <utility>

#include "appliance/gateway/engine.hpp"
#include "appliance/gateway/iq.hpp"
#include "appliance/gateway/lync.hpp"
#include "appliance/gateway/redirect.hpp"
#include "core/base/hash.hpp"
#include "xml/stanza_error.hpp"
#include "xml/text.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kReasonCharactersMax = 256;  // ERR-2
constexpr std::size_t kRecordFrontBytes = 2'048;   // domain and proof, before the stanza
constexpr Bytes kMucNamespace = "http://jabber.org/protocol/muc";
constexpr double kBurstSeconds = 3;  // S2S-65
constexpr double kSubscribeBurst = 10;
constexpr std::size_t kIdBytesMax = 1'024;  // a longer id is taken as none

double per_second(const config::Rate& rate) {
    if (rate.none() || rate.per <= Duration::zero()) return 0;
    return static_cast<double>(rate.count) / std::chrono::duration<double>(rate.per).count();
}

// What stands in the first quotes; empty: nothing, or they have no end.
Bytes quoted_part(Bytes value) {
    const std::size_t begin = value.find('"') + 1;
    for (std::size_t at = begin; begin != 0 && at < value.size(); ++at) {
        if (value[at] == '"') return value.substr(begin, at - begin);
        if (value[at] == '\\') ++at;
    }
    return {};
}

// SESS-45: ms-diagnostics; else a Warning. As it is written between its quotes.
Bytes reason_for_administrators(const sip::Message& response) {
    const auto diagnostics = find_diagnostics(response);
    if (diagnostics && !diagnostics->reason.empty()) return diagnostics->reason;
    for (const sip::Header& header : response.headers()) {
        if (sip::equal_ignoring_case(header.name, "Warning")) return quoted_part(header.value);
    }
    return {};
}

// ERR-2: the reason phrase where it says more than the code, or what is meant for administrators
// (`verbose`); without controls, cut at its bound.
Bytes reason_of(const sip::Message& response, bool verbose, Sink& memory) {
    Bytes said = verbose ? reason_for_administrators(response) : Bytes();
    const bool quoted = !said.empty();
    if (!quoted && response.reason != sip::reason_phrase(response.status)) said = response.reason;
    const std::size_t begin = memory.size();
    std::size_t characters = 0;
    for (std::size_t at = 0; at < said.size(); ++at) {
        if (quoted && said[at] == '\\' && ++at == said.size()) break;
        const char c = said[at];
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7F) continue;
        if ((byte & 0xC0) != 0x80 && ++characters > kReasonCharactersMax) break;
        memory.append(c);
    }
    const Bytes reason = memory.written().substr(begin);
    return !memory.overflowed() && xml::is_xml_text(reason) ? reason : Bytes();
}

}  // namespace

// False: no addresses to speak of, or SEC-1 is broken; the edge lets no such stanza through.
bool Gateway::Engine::read_call(StanzaCall& call, Sink& memory) {
    call.from_text = call.stanza.decoded(call.stanza.from, memory);
    call.to_text = call.stanza.decoded(call.stanza.to, memory);
    if (call.stanza.id.data() != nullptr && call.stanza.id.size() <= kIdBytesMax) {
        call.id = call.stanza.decoded(call.stanza.id, memory);
    }
    if (memory.overflowed()) return false;
    const Correspondence& who = correspondents_.find(call.from_text, call.to_text,
                                                     call.stanza.kind == xml::StanzaKind::kMessage);
    call.who = &who;
    call.malformed = who.malformed;
    if (call.malformed) {  // ERR-L7. Our domain is needed for the answer at least.
        const auto split = xml::split_jid(call.to_text);
        if (!split) return false;
        const std::size_t begin = memory.size();
        if (!xml::domain_to_ascii(split->domain, memory)) return false;
        call.to.domain_ascii = memory.written().substr(begin);
        call.domain = rules_->sip_domain(call.to.domain_ascii);
        call.partner = rules_->partner(call.from_partner.from_domain);
        return call.domain != nullptr &&
               rules_->sip_domain(call.from_partner.from_domain) == nullptr;
    }
    call.from = who.from;
    call.to = who.to;
    call.domain = who.domain;
    call.partner = who.partner;
    if (call.stanza.kind == xml::StanzaKind::kMessage) {
        conversations_.prefetch(who.pair);
        conversations_.prefetch(who.conversation);
        sessions_.prefetch<kSessionFrontBytes>(who.session);
    }
    return who.good && call.from.domain_ascii == call.from_partner.from_domain;
}

// The rules have changed under it: the edge, or the shard that it came in on, still knew the
// domain.
bool Gateway::Engine::refuse_unknown(const StanzaCall& call) {
    const bool gone = !call.malformed && call.from.domain_ascii == call.from_partner.from_domain &&
                      rules_->sip_domain(call.to.domain_ascii) == nullptr &&
                      rules_->sip_domain(call.from.domain_ascii) == nullptr;
    if (gone) return refuse(call, LocalFault::kNoNextHop);
    drop("address");
    return true;
}

bool Gateway::Engine::take_message(StanzaCall& call) {
    if (call.malformed) return refuse(call, LocalFault::kAddress);
    if (call.to.jid.local.empty() || call.from.jid.local.empty()) {  // IM-20
        const bool to_domain = call.to.jid.local.empty();
        if (call.stanza.type != "headline") {
            return refuse(call, to_domain ? LocalFault::kPayload : LocalFault::kAddress);
        }
        drop("message to or from a domain");
        return true;
    }
    if (call.from_partner.stanza.size() + kRecordFrontBytes > shard_.record_bytes_max()) {
        return refuse(call, LocalFault::kTooLarge);  // it could never go to another shard
    }
    const Key& pair = call.who->pair;
    const std::uint32_t owner = Conversations::owner_of(pair, shard_.count());
    const double rate = call.partner != nullptr && call.stanza.type != "error"
                            ? per_second(call.partner->rate_sender_messages)
                            : 0;
    const Key& sender = call.who->sender;
    if (!senders_.take(sender, rate, kBurstSeconds * rate, now())) {  // S2S-65
        count(Counter::kRateLimited);
        shard_.log().event(EventId::kRateLimited, {{"limit", "rate_sender_messages"},
                                                   {"partner", call.from_partner.from_domain}});
        return refuse(call, LocalFault::kRate);
    }
    const bool taken =
        owner == shard_.index() ? own_message(call, pair) : forward(owner, call.from_partner);
    if (taken) return true;
    if (says_nothing(call.stanza)) {  // SEC-2
        drop("typing or a receipt without room");
        return true;
    }
    if (rate > 0) senders_.give_back(sender, now());
    return false;
}

// features.md A6: a partner that is not verified may answer our user, and no more.
bool Gateway::Engine::may_write(const StanzaCall& call, const Key& pair) {
    const rules::Decision decision = call.who->decision_on(rules::Kind::kMessage);
    if (decision.allowed()) return true;
    if (decision.reason == rules::Reason::kApprovalNeeded) {
        const Conversation* conversation = conversations_.peek(pair);
        if (conversation != nullptr && conversation->sip_wrote) return true;
    }
    note_refused(call, decision.reason);
    return false;
}

void Gateway::Engine::note_refused(const StanzaCall& call, rules::Reason reason) {
    count(Counter::kPolicyRefused);
    shard_.log().event(EventId::kPolicyRefused, {{"direction", "from XMPP"},
                                                 {"partner", call.from_partner.from_domain},
                                                 {"rule", rules::explain(reason)}});
}

bool Gateway::Engine::own_message(StanzaCall& call, const Key& pair) {
    if (call.stanza.type == "error") {  // ERR-5, IM-50
        take_bounce(call, pair);
        return true;
    }
    if (draining_) return refuse(call, LocalFault::kDraining);
    if (!may_write(call, pair)) return refuse(call, LocalFault::kPolicy);  // ERR-L5
    watches_.on_evidence(call, pair);
    Sink memory{MutableBytes(text_memory_)};
    StanzaText read = read_stanza(call.stanza, rules_->settings.im.max_bytes, memory);
    switch (read.use) {
        case StanzaUse::kSend: break;
        case StanzaUse::kGroupchat: return refuse(call, LocalFault::kPayload);
        case StanzaUse::kTooLarge: return refuse(call, LocalFault::kTooLarge);
        case StanzaUse::kError:
        case StanzaUse::kDrop: drop("message without text"); return true;
        case StanzaUse::kChatState:
            if (!call.partner->passes(rules::Kind::kTyping)) {  // features.md P8, SEC-2
                drop("typing that may not pass");
                return true;
            }
            take_chat_state(call, pair, read);
            return true;
        case StanzaUse::kReceipt: take_receipt(call, pair, read); return true;
        case StanzaUse::kEncrypted: return refuse(call, LocalFault::kEncrypted);
        case StanzaUse::kOffer: return refuse(call, LocalFault::kPayload);
    }
    conversations_.prefetch_neighbours(call.who->conversation);
    const Session* const session = sessions_.find(call.who->session);
    if (session != nullptr && session->dialog) session->dialog->prefetch();
    Handle<Conversation>& handle = call.who->conversation;
    Conversation* conversation = conversations_.open(pair, now(), handle);
    if (conversation == nullptr) return refuse(call, LocalFault::kOverload);  // ERR-L4
    call.who->session = conversation->session;
    if (conversation->waiting.count >= limits::kPairQueueStanzas) {  // GEN-5
        shard_.log().event(EventId::kQueueFull,
                           {{"queue", "pair"}, {"domain", call.to.domain_ascii}});
        return refuse(call, LocalFault::kOverload);
    }
    return queue_message(call, *conversation, handle, read);
}

// Whom a request of the XMPP user is from and to. `names` has room for what is not in `who`.
void Gateway::Engine::name(Envelope& envelope, const Correspondence& who,
                           const Conversation& conversation, Sink& names) {
    const auto note = [&](auto&& write) {
        const std::size_t begin = names.size();
        write();
        return names.written().substr(begin);
    };
    envelope.from_uri = who.from_uri;
    envelope.from_epid = who.epid;
    envelope.to_uri = who.to_uri;
    envelope.request_uri = envelope.to_uri;
    const Bytes resource = who.to.jid.resource;
    if (!resource.empty() &&
        conversation.sip_resource.is(resource_key(resource), now())) {  // ADDR-8
        envelope.request_uri = note([&] { write_sender_uri(who.to, names); });
    }
    if (who.domain->send_pai) {  // SIP-33
        envelope.asserted = note([&] {
            names.append('<');
            write_aor(who.from, names);
            names.append('>');
        });
    }
}

bool Gateway::Engine::fill_envelope(const StanzaCall& call, Conversation& conversation,
                                    const StanzaText& read, Envelope& envelope, Sink& names) {
    name(envelope, *call.who, conversation, names);
    const auto note = [&](auto&& write) {
        const std::size_t begin = names.size();
        write();
        return names.written().substr(begin);
    };
    bool asked = false;
    if (read.receipt_wanted && call.domain->imdn) {  // RCPT-1
        envelope.now = shard_.loop().wall_now();
        const ReceiptNote receipt{
            ReceiptFor::kStanza,   call.stanza.type == "chat", {}, envelope.now, call.id,
            call.from.jid.resource};
        const Bytes id = note([&] { asked = receipts_.write(conversation.pair, receipt, names); });
        if (asked) envelope.message_id = id;
    }
    const auto fresh = to_hex(random_.bytes<16>());
    envelope.call_id =
        note([&] { write_call_id(read.text.thread, Bytes(fresh.data(), fresh.size()), names); });
    const auto tag = to_hex(random_.bytes<8>());  // IM-2: new for each request
    envelope.from_tag = note([&] { names.append(Bytes(tag.data(), tag.size())); });
    FEDGATE_CHECK(!names.overflowed());
    envelope.cseq =
        read.text.thread.empty() ? 1 : conversation.next_cseq(keys_.make({envelope.call_id}).low);
    envelope.via = agent_.likely_via(agent_.route_of(*call.domain));
    return asked;
}

bool Gateway::Engine::queue_message(StanzaCall& call, Conversation& conversation,
                                    Handle<Conversation> handle, StanzaText& read) {
    Text& text = read.text;
    const rules::SipDomain& domain = *call.domain;
    SipRoute* route = &agent_.route_of(domain);
    if (!domain.html_out || !call.partner->passes(rules::Kind::kHtml)) text.html = {};  // IM-11
    const bool chat = call.stanza.type == "chat";
    // SESS-1: what is no chat goes by itself where sessions are MSRP's.
    const bool in_session =
        has_sessions(domain) && (chat || domain.profile == rules::Profile::kLync);
    char names_memory[4 * kUriBytes];
    Sink names{MutableBytes(names_memory)};
    Envelope envelope;
    bool asked = false;
    Sink request_bytes{MutableBytes(request_memory_)};
    Session* const ready =
        domain.profile == rules::Profile::kLync ? ready_session(conversation) : nullptr;
    if (!in_session) {
        asked = fill_envelope(call, conversation, read, envelope, names);
        write_request(envelope, text, MutableBytes(scratch_memory_), request_bytes);
    } else if (ready == nullptr) {  // else straight into the memory of its request
        write_session_text(text, request_bytes);
    }
    const std::size_t names_bytes =
        call.from_text.size() + call.to_text.size() + call.id.size() + text.thread.size();
    const std::size_t bytes_max =
        ready != nullptr ? ready->dialog->request_bytes_max() + session_text_bytes_max(text)
                         : request_bytes.size();
    if (request_bytes.overflowed() ||
        names_bytes + bytes_max + kSipViaBytesMax > kBlockBytesMax) {  // it never could be kept
        return refuse(call, LocalFault::kTooLarge);
    }
    if (in_session && ready == nullptr && !may_wait(conversation, request_bytes.size())) {
        return refuse(call, LocalFault::kOverload);
    }
    if (!in_session && domain.strict_1300 &&
        request_bytes.size() > limits::kSipDatagramRequestBytes) {  // IM-18
        return refuse(call, LocalFault::kTooLarge);
    }
    ClientRequest* request = agent_.make_request(*route);
    if (request == nullptr) return false;  // back-pressure
    const Bytes written = request_bytes.written();
    const auto ids = {call.from_text, call.to_text, call.id};
    const auto ids_and_thread = {call.from_text, call.to_text, call.id, text.thread};
    const bool filled = ready != nullptr ? fill_in_session(*ready, *request, ids_and_thread, text)
                        : in_session     ? fill_content(*request, ids_and_thread, written)
                                         : agent_.fill(*request, ids, written);
    if (!filled) {
        agent_.release(*request);
        return false;
    }
    // SEC-3; last, since only what is taken counts.
    const std::uint64_t digest = keys_.make({text.body, text.subject}).low;
    const auto minute = std::chrono::floor<std::chrono::minutes>(now().time_since_epoch()).count();
    if (!conversation.guard_x2s.pass(digest, minute, rules_->settings.loop_repeats)) {
        agent_.release(*request);
        count(Counter::kRateLimited);
        shard_.log().event(EventId::kRateLimited, {{"limit", "sec.loop_repeats"},
                                                   {"partner", call.from_partner.from_domain}});
        return refuse(call, LocalFault::kLoop);
    }
    if (!in_session) conversation.remember_thread(blocks_, envelope.call_id, text.thread);
    if (!call.from.jid.resource.empty()) {
        conversation.xmpp_resource.learn(call.who->resource, now());
    }
    request->conversation = handle;
    if (ready != nullptr) request->owner = conversation.session.pack();
    request->trial = call.trial;
    request->from_bytes = static_cast<std::uint16_t>(call.from_text.size());
    request->to_bytes = static_cast<std::uint16_t>(call.to_text.size());
    request->id_bytes = static_cast<std::uint16_t>(call.id.size());
    const bool on_200 = in_session || domain.receipt_on_200;  // RCPT-3, RCPT-5
    if (read.receipt_wanted && on_200 && !asked) {
        request->receipt = chat ? ClientRequest::Receipt::kChat : ClientRequest::Receipt::kNormal;
    }
    conversation.typing.on_xmpp_text(read.state, now(), in_session);  // CS-8
    if (in_session) lock_resource(conversation, call.from.jid.resource, call.who->resource);
    drop_typing_request(conversation);
    count(Counter::kMessagesX2sAccepted);
    request->queued_at = now();
    if (ready != nullptr) {  // nothing is before it
        conversation.busy = true;
        agent_.send_in_dialog(*request, *ready->dialog, ready->way);
        return true;
    }
    append(conversation.waiting, *request);
    start_next(conversation);
    return true;
}

// GEN-5: one at a time. A loop, not a recursion: some requests end before send() returns.
void Gateway::Engine::start_next(Conversation& conversation) {
    if (conversation.starting) return;
    conversation.starting = true;
    while (!conversation.busy) {
        ClientRequest* request = conversation.waiting.first;
        const bool typing = request == nullptr;
        if (typing) request = conversation.typing_request;
        if (request == nullptr) break;
        const bool in_session = request->content_bytes != 0;
        LocalFault fault = LocalFault::kOverload;
        const Way way = in_session ? find_way(conversation, *request, fault) : Way::kReady;
        if (way == Way::kLater) break;
        if (way == Way::kAgain) continue;
        if (typing) {
            conversation.typing_request = nullptr;
        } else {
            remove(conversation.waiting, *request);
        }
        conversation.busy = true;
        if (way == Way::kNone) {
            on_request_done(*request, nullptr, fault);
            continue;
        }
        // SIP-8: 32 s in all, the time behind others included. A silent server must not hold up a
        // whole queue one Timer F after the other.
        if (now() - request->queued_at >= kPairWaitMax && request->kind != RequestKind::kNotice) {
            on_request_done(*request, nullptr, LocalFault::kTimeout);
        } else if (request->kind == RequestKind::kTyping && !agent_.may_reach(*request)) {
            on_request_done(*request, nullptr, LocalFault::kUnreachable);
        } else if (in_session) {
            send_in_session(conversation, *request);
        } else {
            agent_.send(*request);
        }
    }
    conversation.starting = false;
    if (!conversation.busy && conversation.waiting.count == 0) leave_if_gone(conversation);
}

void Gateway::Engine::on_request_done(ClientRequest& request, const sip::Message* response,
                                      LocalFault fault) {
    if (tracer_.on() && response == nullptr) [[unlikely]] {
        tracer_.sip_ended(request.request(), request.id(), explain(fault));
    }
    if (request.kind == RequestKind::kSubscribe)
        return watches_.on_request_done(request, response, fault);
    if (request.kind == RequestKind::kNotify)
        return watchers_.on_request_done(request, response, fault);
    if (request.kind == RequestKind::kInvite) return on_invite_done(request, response, fault);
    if (request.kind == RequestKind::kBye) return on_bye_done(request);
    request.status = response != nullptr ? response->status : std::uint16_t{0};
    request.fault = fault;
    end_request(request, response);
}

// The end of what its pair waited for, by its status or its fault. `response`: null where SIP has
// given none.
void Gateway::Engine::end_request(ClientRequest& request, const sip::Message* response) {
    Conversation* conversation = conversations_.find(request.conversation);
    FEDGATE_CHECK(conversation != nullptr);  // one that is busy is never let go
    const bool in_session = request.content_bytes != 0;
    if (in_session && goes_again(request, *conversation, request.fault)) {
        // by the next session
    } else if (request.kind == RequestKind::kNotice) {
        on_notice_done(request, request.fault);
    } else if (request.kind != RequestKind::kMessage) {
        on_extra_done(request, *conversation);
    } else {
        end_text(request, *conversation, response);
    }
    conversation->busy = false;
    start_next(*conversation);
}

// The end of a MESSAGE, by its status or its fault.
void Gateway::Engine::end_text(ClientRequest& request, Conversation& conversation,
                               const sip::Message* response) {
    const bool delivered = request.status >= 200 && request.status < 300;  // IM-16
    const bool in_doubt = request.status == 0 && request.fault == LocalFault::kInDoubt;
    count(delivered  ? Counter::kMessagesX2sDelivered
          : in_doubt ? Counter::kMessagesX2sInDoubt
                     : Counter::kMessagesX2sRefused);
    if (request.trial != 0) {
        on_trial_answer(request.trial, request.status,
                        response != nullptr   ? response->reason
                        : request.status != 0 ? sip::reason_phrase(request.status)
                                              : explain(request.fault));
        agent_.release(request);
    } else if (delivered) {
        if (request.status == 200) {
            using Receipt = ClientRequest::Receipt;
            if (request.receipt != Receipt::kNone) {  // RCPT-5
                tell_received(request.from(), request.to(), request.id(),
                              request.receipt == Receipt::kChat);
            }
            if (!conversation.sip_seen) note_reached(conversation, request);
        }
        if (owes_archiving_notice(conversation)) {
            tell_archiving(
                conversation, request,
                response != nullptr ? thread_of(*response, conversation) : request.thread());
        }
        agent_.release(request);
    } else if (untold_.count == 0 && report(request, response)) {
        agent_.release(request);
    } else {
        append(untold_, request);
        shard_.loop().timers().arm(telling_, now() + kRetryTelling);
    }
}

// Not one for whom a message was kept (202): that may be anybody.
void Gateway::Engine::note_reached(Conversation& conversation, const ClientRequest& request) {
    Address to;
    FEDGATE_CHECK(read_jid(request.to(), to));  // it was read when the message came
    conversation.sip_seen = true;
    note_seen(to);
}

// IM-17. False: the edge has no room now.
bool Gateway::Engine::report(ClientRequest& request, const sip::Message* response) {
    Address from;
    Address to;
    FEDGATE_CHECK(read_jid(request.from(), from));  // they were read when the message came
    FEDGATE_CHECK(read_jid(request.to(), to));
    const ErrorKind kind =
        request.status != 0 ? stanza_error_of_status(request.status) : stanza_error(request.fault);
    char contact_memory[kUriBytes];
    Sink contact{MutableBytes(contact_memory)};
    char reason_memory[4 * kReasonCharactersMax];
    Sink reason{MutableBytes(reason_memory)};
    xml::StanzaError error;
    error.condition = kind.condition;
    error.type = kind.type;
    error.by = to.domain_ascii;
    if (response != nullptr) {
        const rules::SipDomain* const domain = rules_->sip_domain(to.domain_ascii);
        const bool verbose = domain != nullptr && domain->verbose_errors;
        error.text = reason_of(*response, verbose, reason);
        if (response->status / 100 == 3 && response->status != 380)
            write_contact(*response, contact);
        if (!contact.overflowed() && contact.size() > 0) error.address = contact.written();
    } else if (request.status == 0) {
        error.text = explain(request.fault);
    }
    const Bytes id = request.id_bytes == 0 ? Bytes() : request.id();
    Sink stanza{MutableBytes(stanza_memory_)};
    xml::write_stanza_error(stanza, xml::StanzaKind::kMessage, request.to(), request.from(), id,
                            error);
    FEDGATE_CHECK(!stanza.overflowed());
    return reply(to.domain_ascii, from.domain_ascii, stanza.written());
}

void Gateway::Engine::tell_untold() {
    while (ClientRequest* request = untold_.first) {
        if (!report(*request, nullptr)) return;
        remove(untold_, *request);
        agent_.release(*request);
    }
}

// ERR-300, ERR-301: as an `xmpp:` URI if it maps.
void Gateway::Engine::write_contact(const sip::Message& response, Sink& sink) {
    sip::Uri best;
    if (!best_contact(response, best)) return;
    Address address;
    if (read_uri(best, address) == AddressFault::kNone) {
        sink.append("xmpp:");
        xml::write_jid(sink, address.jid);
    } else {
        sink.append(best.text);
    }
}

// SIP-9: another user of the domain is written to only by who may do so.
bool Gateway::Engine::may_redirect(const ClientRequest& request, const sip::Uri& contact) {
    if (request.kind != RequestKind::kMessage) return false;
    Address from;
    Address to;
    if (!read_jid(request.from(), from) || read_uri(contact, to) != AddressFault::kNone) {
        return false;
    }
    const rules::Partner* partner = rules_->partner(from.domain_ascii);
    const rules::SipDomain* domain = rules_->sip_domain(to.domain_ascii);
    return partner != nullptr && domain != nullptr && partner->passes(rules::Kind::kMessage) &&
           rules_->may_converse(to.user, *domain, *partner, rules::Direction::kFromXmpp).allowed();
}

bool Gateway::Engine::reply(Bytes our_domain, Bytes their_domain, Bytes stanza) {
    if (!to_edge({0, our_domain, their_domain, stanza})) {
        count(Counter::kLinkBackPressure);
        return false;
    }
    return true;
}

// An error for a stanza that goes no further. ERR-5: none for an error. False: the edge has no room
// now.
bool Gateway::Engine::refuse(const StanzaCall& call, LocalFault fault) {
    return refuse(call, stanza_error(fault), explain(fault));
}

bool Gateway::Engine::refuse(const StanzaCall& call, ErrorKind kind, Bytes text) {
    if (call.trial != 0) {
        fail_trial(call.trial, 0, text);
        count(Counter::kMessagesX2sRefused);
        return true;
    }
    if (call.stanza.type == "error" || call.stanza.type == "result") return true;
    if (says_nothing(call.stanza)) {  // SEC-2
        drop("typing or a receipt that may not go on");
        return true;
    }
    xml::StanzaError error;
    error.condition = kind.condition;
    error.type = kind.type;
    error.by = call.to.domain_ascii;
    error.text = text;
    Sink stanza{MutableBytes(stanza_memory_)};
    xml::write_stanza_error(stanza, call.stanza.kind, call.to_text, call.from_text, call.id, error);
    FEDGATE_CHECK(!stanza.overflowed());
    if (!reply(call.to.domain_ascii, call.from_partner.from_domain, stanza.written())) return false;
    if (call.stanza.kind == xml::StanzaKind::kMessage) count(Counter::kMessagesX2sRefused);
    return true;
}

// What one user asks of another is answered where it is known whether he may see him.
bool Gateway::Engine::take_iq(const StanzaCall& call) {
    if (call.malformed) return refuse(call, LocalFault::kAddress);
    const bool between_users = !call.from.jid.local.empty() && !call.to.jid.local.empty();
    if (!between_users ||
        call.from_partner.stanza.size() + kRecordFrontBytes > shard_.record_bytes_max()) {
        return answer_iq_of(call, nullptr);
    }
    const Key& pair = call.who->pair;
    const std::uint32_t owner = Conversations::owner_of(pair, shard_.count());
    return owner == shard_.index() ? answer_iq_of(call, &pair) : forward(owner, call.from_partner);
}

bool Gateway::Engine::answer_iq_of(const StanzaCall& call, const Key* pair) {
    if (pair != nullptr && on_trial_pong(call, *pair)) return true;
    const auto passes = [&call](rules::Kind kind) {  // features.md P8
        return call.partner == nullptr || call.partner->passes(kind);
    };
    const bool asks = call.stanza.type != "result" && call.stanza.type != "error";
    if (asks && !passes(rules::Kind::kIq)) {
        note_refused(call, rules::Reason::kKindRefused);
        return refuse(call, LocalFault::kPolicy);
    }
    IqContext context;
    context.from = call.from_text;
    context.to = call.to_text;
    context.id = call.id;
    context.to_domain = call.to.jid.local.empty() && call.to.jid.resource.empty();
    context.to_bare = !call.to.jid.local.empty() && call.to.jid.resource.empty();
    context.watcher_granted = pair != nullptr && watches_.granted(*pair);
    context.announced = pair != nullptr && !call.to.jid.resource.empty() &&
                        watches_.announces(*pair, call.to.jid.resource);
    context.receipts =  // RCPT-6
        call.domain->imdn || call.domain->receipt_on_200 || has_sessions(*call.domain);
    context.typing = passes(rules::Kind::kTyping);
    context.markup = call.domain->html_out && passes(rules::Kind::kHtml);
    context.now = shard_.loop().wall_now();
    context.uptime = now() - started_at_;
    Sink stanza{MutableBytes(stanza_memory_)};
    if (!answer_iq(call.stanza, context, stanza)) return true;  // IQ-12
    FEDGATE_CHECK(!stanza.overflowed());
    return reply(call.to.domain_ascii, call.from_partner.from_domain, stanza.written());
}

bool Gateway::Engine::take_presence(StanzaCall& call) {
    if (call.malformed) return refuse(call, LocalFault::kAddress);
    if (call.to.jid.local.empty() || call.from.jid.local.empty()) {
        if (call.stanza.type == "subscribe") return refuse(call, LocalFault::kPayload);
        drop("presence to or from a domain");
        return true;
    }
    if (call.from_partner.stanza.size() + kRecordFrontBytes > shard_.record_bytes_max()) {
        drop("presence that is too large");
        return true;
    }
    const bool is_subscribe = call.stanza.type == "subscribe";
    const Key& sender = call.who->sender;
    if (is_subscribe &&
        !subscribers_.take(sender, kSubscribeRate, kSubscribeBurst, now())) {  // S2S-65
        count(Counter::kRateLimited);
        shard_.log().event(EventId::kRateLimited, {{"limit", "subscribe requests of one user"},
                                                   {"partner", call.from_partner.from_domain}});
        return refuse(call, LocalFault::kRate);
    }
    const Key& pair = call.who->pair;
    const std::uint32_t owner = Conversations::owner_of(pair, shard_.count());
    const bool taken =
        owner == shard_.index() ? own_presence(call, pair) : forward(owner, call.from_partner);
    if (!taken && is_subscribe) subscribers_.give_back(sender, now());
    return taken;
}

// PRES-80..86.
bool Gateway::Engine::own_presence(StanzaCall& call, const Key& pair) {
    if (!has_room()) return false;
    const Bytes type = call.stanza.type;
    const bool to_watcher = type.empty() || type == "unavailable" || type == "subscribed" ||
                            type == "unsubscribed" || type == "error";
    if (restoring_ && !(to_watcher && watchers_.has_record(pair))) return false;
    if (!has(call.from, call.to)) {  // once the rows are here, who watches asks anew
        if (!to_watcher) return refuse(call, LocalFault::kOverload);
        drop("presence for another node");
        return true;
    }
    if (type.empty() || type == "unavailable") {
        if (call.stanza.root.child("x", kMucNamespace)) {  // PRES-86
            return refuse(call, LocalFault::kPayload);
        }
        if (!type.empty()) unlock_resource(pair, call.from.jid.resource);  // SESS-9
        watches_.on_evidence(call, pair);
        return watchers_.take_stanza(call, pair);
    }
    if (to_watcher) return watchers_.take_stanza(call, pair);
    if (type == "subscribe" || type == "unsubscribe" || type == "probe") {
        return watches_.take_stanza(call, pair);
    }
    return refuse(call, {xml::StanzaCondition::kBadRequest, xml::ErrorType::kModify},
                  "unknown type of presence");  // PRES-84
}

}  // namespace fedgate::gateway
