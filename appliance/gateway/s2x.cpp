// MESSAGE requests of SIP peers to partners.
#include <algorithm>
#include <cstring>
#include <utility>

#include "appliance/gateway/engine.hpp"
#include "core/base/hash.hpp"
#include "net/address.hpp"
#include "xml/stanza_error.hpp"
#include "xml/text.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kJidTextBytes = xml::kJidBytes;
constexpr std::size_t kReasonBytesMax = 128;  // ERR-11
static_assert(kBounceWindow > link::kDoubtWithin + std::chrono::seconds(5));
constexpr Bytes kAcceptLine =  // IM-45
    "Accept: text/plain, text/html, multipart/alternative, multipart/mixed, message/cpim, "
    "application/im-iscomposing+xml, message/imdn+xml\r\n";
static_assert(kAcceptLine.substr(8, kAcceptedTypes.size()) == kAcceptedTypes);
// features.md P8: without typing, so that it is not sent again (CS-9).
constexpr Bytes kAcceptTextsLine =
    "Accept: text/plain, text/html, multipart/alternative, multipart/mixed, message/cpim, "
    "message/imdn+xml\r\n";

// SESS-43: Lync's, to a file or a call.
bool invites(const sip::Message& request) {
    const auto type = sip::parse_content_type(request.value(sip::HeaderName::kContentType));
    return type && type->is("text", "x-msmsgsinvite");
}

std::uint64_t ticket_of(Handle<Incoming> incoming) {
    static_assert(kIncoming <= 1 << 16);
    const std::uint64_t generation = incoming.generation;
    return ((generation << 16) | incoming.index) & (kPresenceTicket - 1);
}

// ERR-11: the first line, printable ASCII, not longer than it may be.
Bytes first_line(Bytes text, Sink& sink) {
    const std::size_t begin = sink.size();
    for (const char c : text.substr(0, text.find_first_of("\r\n")).substr(0, kReasonBytesMax)) {
        if (c >= 0x20 && c < 0x7F) sink.append(c);
    }
    return sink.written().substr(begin);
}

}  // namespace

Key Gateway::Engine::bounce_key(const Key& pair, Bytes id) const {
    return keys_.make({Bytes(reinterpret_cast<const char*>(&pair), sizeof pair), id});
}

bool Gateway::Engine::take_message(const sip::Message& request, RequestCall& call,
                                   const Origin& origin) {
    const auto refuse_with = [&](const SipAnswer& sip_answer, Bytes headers = {}) {
        count(Counter::kMessagesS2xRefused);
        answer(origin, sip_answer, headers);
        return true;
    };
    const rules::Decision decision = call.decision_on(rules::Kind::kMessage);
    if (!decision.allowed()) {  // ERR-46
        if (origin.trial == 0) note_seen(call.from);
        count(Counter::kPolicyRefused);
        shard_.log().event(EventId::kPolicyRefused, {{"direction", "to XMPP"},
                                                     {"partner", call.to.domain_ascii},
                                                     {"rule", rules::explain(decision.reason)}});
        return refuse_with(sip_answer(link::Fault::kBlocked, false));
    }
    std::optional<sip::TransactionKey> merge;
    if (call.session == nullptr || call.session->msrp) {
        merge = agent_.merge_key(request);
        merge_index_.prefetch(*merge);
    }
    Sink memory{MutableBytes(text_memory_)};
    RequestText read =
        read_request(request, shard_.loop().wall_now(), rules_->settings.im.max_bytes,
                     MutableBytes(scratch_memory_), memory);
    if (read.parts_dropped > 0) shard_.stats().add(Counter::kMapDropped, read.parts_dropped);
    if (read.use != RequestUse::kStanza && call.session != nullptr && invites(request)) {
        return refuse_with({488, {}});
    }
    switch (read.use) {
        case RequestUse::kStanza: break;
        case RequestUse::kTyping:
        case RequestUse::kReceipt: {
            if (read.use == RequestUse::kTyping && !call.partner->passes(rules::Kind::kTyping)) {
                return refuse_with({415, {}}, kAcceptTextsLine);
            }
            const bool good = read.use == RequestUse::kTyping
                                  ? take_typing(request, call, call.pair, read.document)
                                  : take_imdn(call, call.pair, read.document);
            if (!good) return refuse_with({400, {}});
            answer(origin, {200, {}});
            return true;
        }
        case RequestUse::kDrop: answer(origin, {200, {}}); return true;
        case RequestUse::kUnsupportedType: return refuse_with({415, {}}, kAcceptLine);
        case RequestUse::kUnsupportedEncoding:
            return refuse_with({415, {}}, "Accept-Encoding: identity\r\n");
        case RequestUse::kMalformed: return refuse_with({400, {}});
        case RequestUse::kTooLarge: return refuse_with({413, {}});
    }
    if (!call.partner->passes(rules::Kind::kHtml)) read.text.html = {};
    if (!call.asks_as.empty()) {  // RCPT-4
        read.wanted.positive = true;
        read.message_id = call.asks_as;
    }
    return take_text(request, call, read, origin, merge);
}

bool Gateway::Engine::take_text(const sip::Message& request, const RequestCall& call,
                                const RequestText& read, const Origin& origin,
                                const std::optional<sip::TransactionKey>& merge) {
    Handle<Conversation> handle;
    Conversation* conversation = call.session != nullptr
                                     ? conversations_.use(call.session->conversation, now())
                                     : conversations_.open(call.pair, now(), handle);
    if (conversation == nullptr) {
        count(Counter::kMessagesS2xRefused);
        answer(origin, sip_answer(link::Fault::kQueueFull, false));
        return true;
    }
    if (!conversation->sip_seen && origin.trial == 0) {
        conversation->sip_seen = true;
        note_seen(call.from);
    }
    return give_to_edge(request, call, read, *conversation, origin, merge);
}

bool Gateway::Engine::give_to_edge(const sip::Message& request, const RequestCall& call,
                                   const RequestText& read, Conversation& conversation,
                                   const Origin& origin,
                                   const std::optional<sip::TransactionKey>& merge) {
    // SIP-11: the same message by another way, perhaps to another shard. Here, where its pair is at
    // home, and for as long as it may bounce: also a proxy that lost our answer and goes elsewhere
    // makes no second stanza.
    if (merge ? merge_index_.find(*merge) != nullptr
              : call.session->text_cseq == request.cseq.number) {
        answer(origin, {482, {}});
        return true;
    }
    Incoming* incoming = make_incoming();
    if (incoming == nullptr) {  // as many as may be are waiting for their partners
        count(Counter::kMessagesS2xRefused);
        answer(origin, {503, {}, kDownSeconds});
        return true;
    }
    const Text& text = read.text;
    // SEC-3
    const std::uint64_t digest = keys_.make({text.body, text.subject}).low;
    const auto minute = std::chrono::floor<std::chrono::minutes>(now().time_since_epoch()).count();
    if (!conversation.guard_s2x.pass(digest, minute, rules_->settings.loop_repeats)) {
        free(*incoming);
        count(Counter::kRateLimited);
        count(Counter::kMessagesS2xRefused);
        shard_.log().event(EventId::kRateLimited,
                           {{"limit", "sec.loop_repeats"}, {"domain", call.from.domain_ascii}});
        answer(origin, {482, {}});
        return true;
    }
    char names_memory[3 * kJidTextBytes];
    Sink names{MutableBytes(names_memory)};
    StanzaHead head;
    write_jids(call, conversation, names, head.from, head.to);
    const Bytes from_text = head.from;
    const Bytes to_text = head.to;
    const std::size_t id_begin = names.size();
    const Wanted& wanted = read.wanted;
    std::array<char, 32> fresh;
    if ((wanted.positive || wanted.negative || wanted.display) &&
        receipts_.write(conversation.pair,
                        {ReceiptFor::kRequest, false, wanted, read.sent_at, read.message_id, {}},
                        names)) {  // RCPT-4
        head.id = names.written().substr(id_begin);
        head.request = wanted.positive;
        head.markable = wanted.display;
    } else {
        head.id = stanza_id(request.via.branch);  // IM-35
    }
    if (head.id.empty()) {
        fresh = to_hex(random_.bytes<16>());
        head.id = Bytes(fresh.data(), fresh.size());
    }
    const Key bounce = bounce_key(conversation.pair, head.id);
    bounce_index_.prefetch(bounce);
    head.thread = thread_of(call, request, conversation);
    // A text of MSRP is taken: where the edge has no room now it waits in the outbox.
    const bool is_taken = origin.message != 0;
    const bool owes_archiving = origin.trial == 0 && owes_archiving_notice(conversation);
    const bool tells_archiving = owes_archiving && tell_archiving(conversation, call, head);
    if (owes_archiving && !tells_archiving && !is_taken) {
        free(*incoming);
        conversation.guard_s2x.forget(digest);
        return false;
    }
    incoming->tells_archiving = tells_archiving;
    const bool in_session = call.session != nullptr;
    head.active = conversation.typing.on_sip_text(now(), in_session) &&
                  call.partner->passes(rules::Kind::kTyping);  // CS-6
    hide_typing(conversation);
    head.our_domain = call.from.domain_ascii;
    head.chat = in_session || call.domain->sip2xmpp_chat;  // SESS-3, IM-38
    Sink stanza{MutableBytes(stanza_memory_)};
    write_stanza(head, text, stanza);
    FEDGATE_CHECK(!names.overflowed());
    if (stanza.overflowed()) {
        free(*incoming);
        count(Counter::kMessagesS2xRefused);
        answer(origin, {413, {}});  // IM-19
        return true;
    }
    incoming->origin = origin;
    incoming->pair = conversation.pair;
    incoming->bounce = bounce;
    incoming->indexed = bounce_index_.insert(bounce, incoming->self);
    if (merge) {
        incoming->merge = *merge;
        incoming->merge_indexed = merge_index_.insert(*merge, incoming->self);
    }
    incoming->note(blocks_, request.call_id, from_text, to_text);
    incoming->given = true;
    ++unanswered_;
    const Handle<Incoming> self = incoming->self;
    const link::Ticket ticket = link::make_ticket(shard_.index(), ticket_of(self));
    shard_.loop().timers().arm(incoming->timer, now() + kBounceWindow);
    const Handle<Session> session = merge ? Handle<Session>{} : call.session->self;
    const std::uint32_t before =
        merge ? sip::kNoCseq : std::exchange(call.session->text_cseq, request.cseq.number);
    incoming->in_dialog = session;
    incoming->cseq = request.cseq.number;
    if (is_taken) {
        give(ticket, call.from.domain_ascii, call.to.domain_ascii, stanza.written());
    } else if (!to_edge({ticket, call.from.domain_ascii, call.to.domain_ascii, stanza.written()})) {
        count(Counter::kLinkBackPressure);
        if (Incoming* still = incoming_.find(self)) free(*still);
        if (Session* still = sessions_.find(session)) still->text_cseq = before;
        conversation.guard_s2x.forget(digest);
        return false;
    }
    conversation.sip_wrote = true;
    if (!call.from.jid.resource.empty()) {
        conversation.sip_resource.learn(resource_key(call.from.jid.resource), now());
    }
    count(Counter::kMessagesS2xAccepted);
    return true;
}

void Incoming::note(BlockPool& blocks, Bytes id, Bytes sip, Bytes xmpp) {
    Sink sink{MutableBytes(text)};
    sink.append(id);
    sink.append(sip);
    sink.append(xmpp);
    if (sink.overflowed()) {
        long_text = blocks.copy({id, sip, xmpp});
        if (!long_text) return;
    }
    call_id_bytes = static_cast<std::uint16_t>(id.size());
    sip_jid_bytes = static_cast<std::uint16_t>(sip.size());
    xmpp_jid_bytes = static_cast<std::uint16_t>(xmpp.size());
}

// At the bound the message that was answered longest ago can't bounce any more, if its partner has
// it: one that may still be in doubt is never let go.
Incoming* Gateway::Engine::make_incoming() {
    constexpr std::size_t kLookAtMax = 64;
    Handle<Incoming> handle;
    Incoming* incoming = incoming_.make(handle, *this);
    if (incoming == nullptr) {
        Incoming* oldest = oldest_answered_;
        for (std::size_t i = 0; oldest != nullptr && i < kLookAtMax; ++i) {
            if (oldest->acknowledged) {
                free(*oldest);
                incoming = incoming_.make(handle, *this);
                break;
            }
            oldest = oldest->newer;
        }
        prefetch_oldest();
    }
    if (incoming != nullptr) incoming->self = handle;
    return incoming;
}

// The next ones that give way are fetched from memory until then: it is long that they were used.
void Gateway::Engine::prefetch_oldest() const {
    const Incoming* const next = oldest_answered_;
    if (next == nullptr) return;
    bounce_index_.prefetch(next->bounce);
    if (next->merge_indexed) merge_index_.prefetch(next->merge);
    fedgate::prefetch<sizeof(Incoming)>(next->newer);
}

void Gateway::Engine::free(Incoming& incoming) {
    if (incoming.state == Incoming::State::kAnswered) {
        (incoming.older != nullptr ? incoming.older->newer : oldest_answered_) = incoming.newer;
        (incoming.newer != nullptr ? incoming.newer->older : newest_answered_) = incoming.older;
    } else if (incoming.given) {
        --unanswered_;
    }
    if (incoming.indexed) bounce_index_.erase(incoming.bounce);
    if (incoming.merge_indexed) merge_index_.erase(incoming.merge);
    incoming_.free(incoming.self);
}

// IM-49.
void Gateway::Engine::answer_written(Incoming& incoming) {
    answer(incoming.origin, {200, {}});
    count(Counter::kMessagesS2xDelivered);
    keep_answered(incoming);
}

void Gateway::Engine::keep_answered(Incoming& incoming) {
    --unanswered_;
    incoming.state = Incoming::State::kAnswered;
    incoming.older = newest_answered_;
    (newest_answered_ != nullptr ? newest_answered_->newer : oldest_answered_) = &incoming;
    newest_answered_ = &incoming;
    shard_.loop().timers().arm(incoming.timer, now() + kBounceWindow);
}

void Gateway::Engine::refuse(Incoming& incoming, const SipAnswer& sip_answer, Bytes headers) {
    // Where MSRP can't say it any more a text does.
    if (incoming.origin.message == 0) {
        answer(incoming.origin, sip_answer, headers);
    } else if (!answer_msrp(incoming.origin, sip_answer)) {
        send_notice(incoming, sip_answer.reason.empty() ? sip::reason_phrase(sip_answer.status)
                                                        : sip_answer.reason);
    }
    count(Counter::kMessagesS2xRefused);
    // Not taken: it may come again (SIP-11).
    Session* const session = sessions_.find(incoming.in_dialog);
    if (session != nullptr && session->text_cseq == incoming.cseq)
        session->text_cseq = sip::kNoCseq;
    free(incoming);
}

void Gateway::Engine::on_outcome(const link::Outcome& outcome) {
    if (link::shard_of(outcome.ticket) != shard_.index()) return;
    if (tracer_.on()) [[unlikely]]
        tracer_.outcome(outcome);
    const std::uint64_t own = link::own_part(outcome.ticket);
    if ((own & kPresenceTicket) != 0) {
        if (outcome.fate == link::Fate::kFailed || outcome.fate == link::Fate::kInDoubt) {
            const PresenceToken token = own & ~kPresenceTicket;
            if ((token & kDomainToken) == 0 && (token & kWatchToken) != 0) {
                watches_.on_unsent(token, outcome.fate == link::Fate::kInDoubt);
            } else {
                watchers_.on_unsent(token, outcome.fault);
            }
        } else if (outcome.fate == link::Fate::kWritten) {
            watchers_.on_sent(own & ~kPresenceTicket);
        }
        return;
    }
    Incoming* incoming = incoming_.find_at(own & 0xFFFF);
    if (incoming == nullptr || ticket_of(incoming->self) != own) return;  // it has ended
    if (incoming->origin.trial != 0) on_trial_outcome(incoming->origin.trial, outcome);
    switch (outcome.fate) {
        case link::Fate::kWritten:
            if (incoming->state != Incoming::State::kHeld) break;
            if (rules_->settings.im.error_wait <= Duration::zero())
                return answer_written(*incoming);
            incoming->state = Incoming::State::kWritten;  // IM-50
            shard_.loop().timers().arm(incoming->timer, now() + rules_->settings.im.error_wait);
            break;
        case link::Fate::kAcknowledged: incoming->acknowledged = true; break;
        case link::Fate::kFailed:
            // What is too long for a partner was so alone: the notice before it has arrived.
            if (outcome.fault != link::Fault::kTooLong) untell_archiving(*incoming);
            if (incoming->state == Incoming::State::kAnswered) break;
            refuse(*incoming, sip_answer(outcome.fault, false));  // after 8 s 504 was given already
            break;
        case link::Fate::kInDoubt:
            untell_archiving(*incoming);
            count(Counter::kMessagesS2xInDoubt);
            shard_.log().event(EventId::kStanzaInDoubt, {{"count", 1}});
            if (incoming->state != Incoming::State::kAnswered) {
                // It may have arrived: who sends it again, by another way, must not double it
                // (SIP-11).
                const SipAnswer answered = sip_answer(link::Fault::kUnreachable, true);
                if (incoming->origin.message == 0) {
                    answer(incoming->origin, answered);
                } else if (!answer_msrp(incoming->origin, answered)) {
                    send_notice(*incoming, "it may or may not have arrived");
                }
                count(Counter::kMessagesS2xRefused);
                if (incoming->indexed) bounce_index_.erase(incoming->bounce);
                incoming->indexed = false;
                keep_answered(*incoming);
                break;
            }
            send_notice(*incoming,
                        "the connection to the other side broke; it may or may not have arrived");
            free(*incoming);
            break;
    }
}

// It has been written, it has no fate (a SIP server was answered 504 long ago, another gateway
// still waits), or it can't bounce any more.
void Gateway::Engine::on_incoming_timer(Incoming& incoming) {
    switch (incoming.state) {
        case Incoming::State::kWritten: return answer_written(incoming);
        case Incoming::State::kHeld:
            return refuse(incoming, sip_answer(link::Fault::kUnreachable, true));
        case Incoming::State::kAnswered: return free(incoming);
    }
}

// IM-50, ERR-10. A stanza of type error that came back from the partner.
void Gateway::Engine::take_bounce(const StanzaCall& call, const Key& pair) {
    count(Counter::kXmppErrorsReceived);
    const auto* handle = bounce_index_.find(bounce_key(pair, call.id));
    Incoming* incoming = handle != nullptr ? incoming_.find(*handle) : nullptr;
    if (incoming == nullptr) return drop("error that belongs to no message");
    char text_memory[2'048];
    Sink memory{MutableBytes(text_memory)};
    xml::StanzaError error;
    if (const auto parsed = xml::parse_stanza_error(call.stanza.root)) error = *parsed;
    const std::size_t begin = memory.size();
    Bytes reason;
    if (!error.text.empty() && xml::decode_text(error.text, memory)) {
        reason = first_line(memory.written().substr(begin), memory);
    }
    if (memory.overflowed()) reason = {};
    if (incoming->state == Incoming::State::kAnswered) {
        char note_memory[kReceiptIdBytes];
        Sink names{MutableBytes(note_memory)};
        const auto note = receipts_.read(pair, ReceiptFor::kRequest, call.id, names);
        send_notice(*incoming, reason.empty() ? xml::name_of(error.condition) : reason,
                    note && note->wanted.negative ? &*note : nullptr);
        return free(*incoming);
    }
    char header_memory[2 * kJidTextBytes + 64];
    Sink headers{MutableBytes(header_memory)};
    Address address;
    bool mapped = false;
    if (error.address.starts_with("xmpp:") &&
        read_jid(error.address.substr(5), address)) {  // ERR-23, ERR-31
        headers.append("Contact: <");
        write_aor(address, headers);
        headers.append(">\r\n");
        mapped = !headers.overflowed();
    }
    const rules::SipDomain* const domain = rules_->sip_domain(call.to.domain_ascii);
    const bool lync = domain != nullptr && domain->profile == rules::Profile::kLync;
    SipAnswer sip_status =
        sip_answer(error.condition, !call.from.jid.resource.empty(), false, mapped, lync);
    sip_status.reason = reason;
    refuse(*incoming, sip_status, mapped ? headers.written() : Bytes());
}

}  // namespace fedgate::gateway
