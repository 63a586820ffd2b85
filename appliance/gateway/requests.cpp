// SIP requests of peers: whose are they? One outside a dialog belongs to its pair, one inside a
// dialog to the shard that our tag names; both are taken to their owner's shard. Where there are
// several gateways, one outside a dialog is first taken to the one that has its conversation, where
// the stanzas of the pair go, too. Any may be asked: the SIP servers need not know which one it is.
#include <algorithm>

#include "appliance/gateway/engine.hpp"
#include "core/base/rendezvous.hpp"

namespace fedgate::gateway {
namespace {

// RFC 3323 4.2: Privacy is a list of values, ';' between them.
bool wants_privacy(const sip::Message& request) {
    for (const sip::Header* header = request.find(sip::HeaderName::kPrivacy); header != nullptr;
         header = request.next(header)) {
        Bytes list = header->value;
        while (!list.empty()) {
            Bytes one = list.substr(0, list.find_first_of(";,"));
            list.remove_prefix(std::min(list.size(), one.size() + 1));
            while (one.starts_with(' ')) one.remove_prefix(1);
            while (one.ends_with(' ')) one.remove_suffix(1);
            if (sip::equal_ignoring_case(one, "id")) return true;
        }
    }
    return false;
}

// ADDR-20, SIP-33: the asserted identity of a trusted peer, unless privacy is asked for.
const sip::NameAddr* asserted_identity(const sip::Message& request, sip::NameAddr& memory) {
    if (wants_privacy(request)) return nullptr;
    for (const sip::Header* header = request.find(sip::HeaderName::kPAssertedIdentity);
         header != nullptr; header = request.next(header)) {
        Bytes list = header->value;
        Bytes item;
        while (sip::take_item(list, item)) {
            const auto identity = sip::parse_name_addr(item);
            if (!identity || identity->uri.scheme != sip::Scheme::kSip) continue;
            memory = *identity;
            return &memory;
        }
    }
    return nullptr;
}

const sip::Uri& sender_of(const sip::Message& request, sip::NameAddr& memory) {
    const sip::NameAddr* asserted = asserted_identity(request, memory);
    return asserted != nullptr ? asserted->uri : request.from.uri;
}

SipAnswer answer_of(AddressFault fault) {
    switch (fault) {
        case AddressFault::kScheme: return {416, {}};                                     // ADDR-21
        case AddressFault::kSips: return {480, {}};                                       // ADDR-21
        case AddressFault::kNotRepresentable: return {400, "Address Not Representable"};  // ADDR-30
        case AddressFault::kNoUser:                                                       // ADDR-29
        case AddressFault::kHostIsAddress: return {404, {}};                              // ADDR-26
        case AddressFault::kNone: break;
    }
    return {0, {}};
}

bool may_be_in_session(const sip::Message& request) {
    return request.method != sip::Method::kNotify && request.method != sip::Method::kSubscribe;
}

// PRES-69.
bool is_poll(const sip::Message& request) {
    const auto expires = sip::parse_seconds(request.value(sip::HeaderName::kExpires));
    return request.method == sip::Method::kSubscribe && expires && *expires == 0;
}

}  // namespace

// Fills the parties, or the refusal.
void Gateway::Engine::read_call(const sip::Message& request, RequestCall& call) {
    const bool sips = request.to.uri.scheme == sip::Scheme::kSips;
    sip::NameAddr identity;
    const sip::Uri& sender = sender_of(request, identity);
    if (!sips && request.find(sip::HeaderName::kContact) == nullptr) {
        const Parties* known = parties_.find(sender.text, request.request_uri_text);
        if (known == nullptr) {
            known = parties_.make(sender.text, request.request_uri_text,
                                  [this](Bytes from, Bytes to, Parties& parties, Sink& memory) {
                                      return read_parties(from, to, parties, memory);
                                  });
        }
        if (known != nullptr) {
            static_cast<Parties&>(call) = *known;
            return;
        }
    }
    Sink memory{MutableBytes(call.memory)};
    AddressFault fault =
        sips ? AddressFault::kSips : read_uri(request.request_uri, call.to, memory);
    if (fault == AddressFault::kNoUser && is_poll(request)) fault = AddressFault::kNone;  // ADDR-29
    if (fault == AddressFault::kSips) {
        Sink headers{MutableBytes(call.header_memory)};
        headers.append("Warning: 380 ");
        headers.append(agent_.transport().via(sip::Transport::kTcp, false).own.host);
        headers.append(" \"SIPS Not Allowed\"\r\n");
        if (!headers.overflowed()) call.header_bytes = headers.size();
    }
    if (fault != AddressFault::kNone) {
        call.refusal = answer_of(fault);
        return;
    }
    const std::size_t to_bytes = memory.size();
    fault = read_uri(sender, call.from, memory);
    if (fault == AddressFault::kNotRepresentable) {
        call.refusal = answer_of(fault);
        return;
    }
    // ADDR-27: an instance that only the Contact shows.
    const auto contact = sip::parse_name_addr(request.value(sip::HeaderName::kContact));
    if (fault == AddressFault::kNone && call.from.jid.resource.empty() && contact &&
        sip::same_aor(contact->uri, sender)) {
        memory.truncate(to_bytes);
        if (read_uri(contact->uri, call.from, memory) != AddressFault::kNone) {
            memory.truncate(to_bytes);
            fault = read_uri(sender, call.from, memory);
        }
    }
    // SIP-32, SEC-1; an anonymous sender (SIP-33) has none of our domains either.
    if (fault == AddressFault::kNone) call.domain = rules_->sip_domain(call.from.domain_ascii);
    if (call.domain == nullptr || rules_->sip_domain(call.to.domain_ascii) != nullptr) {
        call.refusal = {403, {}};
        return;
    }
    complete(call, memory);
}

// False: something is at fault, or it is a poll.
bool Gateway::Engine::read_parties(Bytes sender, Bytes target, Parties& parties,
                                   Sink& memory) const {
    const auto from = sip::parse_uri(sender);
    const auto to = sip::parse_uri(target);
    parties = {};
    if (!from || read_uri(*from, parties.from, memory) != AddressFault::kNone || !to ||
        read_uri(*to, parties.to, memory) != AddressFault::kNone) {
        return false;
    }
    parties.domain = rules_->sip_domain(parties.from.domain_ascii);
    if (parties.domain == nullptr || rules_->sip_domain(parties.to.domain_ascii) != nullptr)
        return false;
    complete(parties, memory);
    return true;
}

// What follows from the addresses.
void Gateway::Engine::complete(Parties& parties, Sink& memory) const {
    parties.pair = pair_key(parties.to, parties.from);
    const Bytes partner_domain = parties.to.domain_ascii;
    parties.partner = rules_->partner(partner_domain);
    parties.decision = parties.partner == nullptr
                           ? rules::Decision{rules_->why_no_partner(partner_domain)}
                           : rules_->may_converse(parties.from.user, *parties.domain,
                                                  *parties.partner, rules::Direction::kToXmpp);
    const std::size_t begin = memory.size();
    xml::write_jid(memory, parties.from.jid);
    const std::size_t middle = memory.size();
    xml::write_jid(memory, parties.to.jid);
    parties.from_text = memory.written().substr(begin, middle - begin);
    parties.to_text = memory.written().substr(middle);
}

// SIP-32 in dialogs: for which domain of ours it says to speak; null: none.
const rules::SipDomain* Gateway::Engine::domain_of(const sip::Message& request) {
    sip::NameAddr identity;
    const sip::Uri& sender = sender_of(request, identity);
    if (sender.scheme == sip::Scheme::kSip) {  // as it is written, nearly always
        const Bytes host = sender.at.host;
        if (latest_domain_ != nullptr && latest_domain_->name == host) return latest_domain_;
        if (const auto* domain = rules_->sip_domain(host)) return latest_domain_ = domain;
    }
    Address from;
    if (read_uri(sender, from) != AddressFault::kNone) return nullptr;
    return rules_->sip_domain(from.domain_ascii);
}

Session* Gateway::Engine::session_of(const sip::Message& request) const {
    return may_be_in_session(request) ? find_session(request.to.tag) : nullptr;
}

void Gateway::Engine::on_request_read(const sip::Message& request) {
    if (may_be_in_session(request))
        by_tag_.prefetch_object<kSessionTextBytes>(key_of_tag(request.to.tag));
}

void Gateway::Engine::on_request_next(const sip::Message& request) {
    const Session* const session = session_of(request);
    if (session == nullptr) return;
    if (session->dialog) session->dialog->prefetch_ids();
    conversations_.prefetch(session->conversation);
    parties_.prefetch(session->parties);
    fedgate::prefetch(session->text.bytes().data(), session->text.bytes().size());
}

bool Gateway::Engine::on_request(const sip::Message& request, const SipPeer& peer,
                                 const sip::TransactionKey& key) {
    if (!request.to.tag.empty() || request.method == sip::Method::kNotify) {
        Session* const session = session_of(request);
        const auto core =
            session != nullptr ? std::optional(shard_.index()) : agent_.core_of(request.to.tag);
        const rules::SipDomain* domain = core ? domain_of(request) : nullptr;
        if (domain != nullptr && agent_.transport().speaks_for(peer, *domain)) {  // SEC-1, SIP-32
            return give_to_owner(*core, request, nullptr, domain, peer, key, session);
        }
        const std::uint16_t status = core ? 403 : 481;  // SIP-22, SIP-24
        agent_.answer_at_once(request, peer, {status, {}});
        return true;
    }
    RequestCall call;
    read_call(request, call);
    if (call.refusal.status == 0 &&
        !agent_.transport().speaks_for(peer, *call.domain)) {  // SEC-1, SIP-32
        call.refusal = {403, {}};
    }
    if (call.refusal.status != 0) {
        if (request.method == sip::Method::kMessage) count(Counter::kMessagesS2xRefused);
        agent_.answer_at_once(request, peer, call.refusal, call.headers());
        return true;
    }
    if (edge_->has_others()) {
        const std::uint64_t conversation =
            hash_of_address(call.from.jid.local, call.from.jid.domain,
                            hash_of_address(call.to.jid.local, call.to.jid.domain, 0));
        if (edge_->is_anothers(conversation)) return ask_owner(conversation, request, peer, key);
    }
    conversations_.prefetch(call.pair);
    return give_to_owner(Conversations::owner_of(call.pair, shard_.count()), request, &call,
                         call.domain, peer, key);
}

bool Gateway::Engine::give_to_owner(std::uint32_t owner, const sip::Message& request,
                                    RequestCall* call, const rules::SipDomain* domain,
                                    const SipPeer& peer, const sip::TransactionKey& key,
                                    Session* of_tag) {
    sip::Tag fresh;
    Bytes tag = request.to.tag;  // ours, in a dialog
    if (tag.empty()) {
        fresh = agent_.make_tag(owner);
        tag = fresh.view();
    }
    Origin origin{shard_.index(), {}};
    if (request.method != sip::Method::kAck) {
        origin.transaction = agent_.open(request, peer, key, tag);
        if (!origin.transaction) return false;  // back-pressure
    }
    const bool taken = owner == shard_.index()
                           ? own_request(request, call, domain, tag, origin, of_tag)
                           : forward(owner, request, tag, origin);
    if (!taken) agent_.discard(origin.transaction);
    return taken;
}

bool Gateway::Engine::ask_owner(std::uint64_t conversation, const sip::Message& request,
                                const SipPeer& peer, const sip::TransactionKey& key) {
    const sip::Tag tag = agent_.make_tag(shard_.index());
    const auto transaction = agent_.open(request, peer, key, tag.view());
    if (!transaction) return false;  // back-pressure
    const bool asked = edge_->ask({transaction.pack(), conversation, request.bytes});
    if (!asked) agent_.discard(transaction);
    return asked;
}

// The dialog that it may make is the other gateway's, and so is its tag.
void Gateway::Engine::on_answer(const link::Answer& answer) {
    const auto transaction = Handle<ServerTransaction>::unpack(answer.ticket);
    if (answer.kind == link::Answer::Kind::kLost || answer.status == 0) {
        return agent_.answer(transaction, sip_answer(link::Fault::kUnreachable, true));
    }
    agent_.set_to_tag(transaction, answer.to_tag);
    agent_.answer(transaction, {answer.status, answer.reason, answer.retry_after}, answer.headers,
                  answer.body);
    agent_.acknowledge(transaction);  // the ACK of a 2xx comes to the other one, if to anyone
}

// Its sender has been judged where it came in (SEC-1, SIP-32): the links' certificates say that it
// was one of us. What it says is judged here again.
bool Gateway::Engine::take_request(const link::Request& taken) {
    Handle<Asker> handle;
    Asker* const asker = askers_.make(handle, taken.ticket);
    if (asker == nullptr) return false;
    const Origin origin{shard_.index(), Handle<ServerTransaction>{handle.index, handle.generation},
                        true};
    asker->to_tag = agent_.make_tag(shard_.index());
    const MutableBytes bytes(const_cast<char*>(taken.bytes.data()), taken.bytes.size());
    const auto parsed =
        sip::parse_message(bytes, sip::Carrier::kDatagram, kBlockBytesMax, message_);
    const bool good =
        parsed.verdict == sip::Verdict::kDone && message_.is_request && message_.to.tag.empty() &&
        (message_.method == sip::Method::kMessage || message_.method == sip::Method::kSubscribe ||
         message_.method == sip::Method::kInvite);
    if (!good || draining_) {
        answer_asker(origin, good ? SipAnswer{503, {}, kDownSeconds} : SipAnswer{400, {}}, {}, {});
        return true;
    }
    RequestCall call;
    read_call(message_, call);
    if (call.refusal.status != 0) {
        answer_asker(origin, call.refusal, call.headers(), {});
        return true;
    }
    const std::uint32_t owner = Conversations::owner_of(call.pair, shard_.count());
    asker->to_tag = agent_.make_tag(owner);
    const sip::Tag tag = asker->to_tag;
    const bool given = owner == shard_.index()
                           ? own_request(message_, &call, call.domain, tag.view(), origin)
                           : forward(owner, message_, tag.view(), origin);
    if (!given && askers_.find(handle) != nullptr) askers_.free(handle);
    return given;
}

void Gateway::Engine::answer_asker(const Origin& origin, const SipAnswer& answer, Bytes headers,
                                   Bytes body) {
    const Handle<Asker> handle{origin.transaction.index, origin.transaction.generation};
    const Asker* const asker = askers_.find(handle);
    if (asker == nullptr) return;
    const link::Ticket ticket = asker->ticket;
    const sip::Tag tag = asker->to_tag;
    askers_.free(handle);
    edge_->answer({ticket, link::Answer::Kind::kAnswered, answer.status, answer.retry_after,
                   tag.view(), answer.reason, headers, body});
}

bool Gateway::Engine::take_record(const Origin& origin, Bytes to_tag, MutableBytes bytes) {
    // It was parsed once, so nothing is left to unfold: the bytes stay as they are.
    const auto parsed =
        sip::parse_message(bytes, sip::Carrier::kDatagram, kBlockBytesMax, message_);
    if (parsed.verdict != sip::Verdict::kDone) {
        answer(origin, {400, {}});
        return true;
    }
    if (message_.method == sip::Method::kCancel) {
        cancel_call(message_, to_tag);
        return true;
    }
    if (!message_.to.tag.empty()) {
        return own_request(message_, nullptr, domain_of(message_), to_tag, origin);
    }
    RequestCall call;
    read_call(message_, call);
    if (call.refusal.status != 0) {  // the rules have changed on the way
        answer(origin, call.refusal, call.headers());
        return true;
    }
    return own_request(message_, &call, call.domain, to_tag, origin);
}

// Our tag tells the shard that made the dialog. Where another process did, and it came here by the
// store, that is not the one that has it: its pair's is.
std::uint32_t Gateway::Engine::owner_of_dialog(const sip::Message& request) const {
    if (watchers_.has_dialog(request)) return shard_.index();
    sip::NameAddr identity;
    Address user;
    Address contact;
    if (read_uri(sender_of(request, identity), user) != AddressFault::kNone ||
        read_uri(request.to.uri, contact) != AddressFault::kNone) {
        return shard_.index();
    }
    return Conversations::owner_of(pair_key(contact, user), shard_.count());
}

bool Gateway::Engine::own_request(const sip::Message& request, RequestCall* call,
                                  const rules::SipDomain* domain, Bytes to_tag,
                                  const Origin& origin, Session* of_tag) {
    if (call == nullptr) {
        if (domain == nullptr) {  // the rules have changed on the way
            answer(origin, {403, {}});
            return true;
        }
        if (request.method == sip::Method::kNotify) {
            return watches_.take_notify(request, *domain, origin);
        }
        if (request.method != sip::Method::kSubscribe) {
            return take_in_session(request, *domain, origin, of_tag);
        }
        const std::uint32_t owner = owner_of_dialog(request);
        return owner == shard_.index() ? watchers_.take_refresh(request, *domain, origin)
                                       : forward(owner, request, to_tag, origin);
    }
    switch (request.method) {
        case sip::Method::kSubscribe:
            note_seen(call->from);
            return watchers_.take_subscribe(request, *call, call->pair, to_tag, origin);
        case sip::Method::kInvite: return take_invite(request, *call, to_tag, origin);
        case sip::Method::kRefer:  // SESS-12
            answer(origin, call->domain->profile == rules::Profile::kLync ? SipAnswer{603, {}}
                                                                          : SipAnswer{403, {}});
            return true;
        default: return take_message(request, *call, origin);
    }
}

}  // namespace fedgate::gateway
