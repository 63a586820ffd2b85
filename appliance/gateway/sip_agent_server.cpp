// Server half: requests of peers. The client half is sip_agent.cpp.
#include <algorithm>
#include <cstring>
#include <utility>

#include "appliance/gateway/message.hpp"
#include "appliance/gateway/sip_agent.hpp"
#include "net/address.hpp"

namespace fedgate::gateway {
namespace {

// IQ-13, IQ-14, PRES-77.
constexpr sip::MethodSet kAllowed{sip::Method::kMessage, sip::Method::kOptions,
                                  sip::Method::kSubscribe, sip::Method::kNotify};
// And where a domain has sessions.
constexpr sip::MethodSet kAllowedWithSessions{
    sip::Method::kMessage, sip::Method::kOptions, sip::Method::kSubscribe, sip::Method::kNotify,
    sip::Method::kInvite,  sip::Method::kAck,     sip::Method::kCancel,    sip::Method::kBye,
    sip::Method::kInfo,    sip::Method::kUpdate};
constexpr sip::MethodSet kOnlyInDialogs{sip::Method::kBye, sip::Method::kInfo,
                                        sip::Method::kUpdate};
constexpr Bytes kAllowedEvents = "presence";
constexpr Bytes kNoBody = "Content-Length: 0\r\n\r\n";

}  // namespace

void ServerTransaction::on_timer(Timer&) { agent.on_transaction_timer(*this); }

// IM-35: who has made a stanza of the request finds its id by the branch.
void SipAgent::trace(const SipPeer& peer, Bytes answer, Bytes note) {
    tracer_.sip_out(answer, text_of(peer), net::format_address(peer.address), {}, note);
}

sip::TransactionKey SipAgent::on_sip_read(const sip::Message& message) {
    if (!message.is_request) return {};
    if (!message.to.tag.empty()) user_.on_request_read(message);
    const sip::TransactionKey key = sip::server_key(settings_.secret, message);
    transaction_index_.prefetch(key);
    return key;
}

void SipAgent::on_sip_next(const sip::Message& message) {
    if (message.is_request && !message.to.tag.empty()) user_.on_request_next(message);
}

bool SipAgent::on_sip_message(const sip::Message& message, const SipPeer& peer,
                              const sip::TransactionKey& key) {
    if (tracer_.on()) [[unlikely]] {
        tracer_.sip_in(message, text_of(peer), net::format_address(peer.address));
    }
    return message.is_request ? on_request(message, peer, key) : on_response(message, peer);
}

void SipAgent::on_sip_malformed(const sip::Frame& frame, const sip::Message& message,
                                const SipPeer& peer) {
    shard_.stats().add(Counter::kSipBad);
    shard_.log().event(EventId::kSipMalformed,
                       {{"peer", net::format_address(peer.address)}, {"reason", frame.reason}});
    if (message.answerable()) answer_at_once(message, peer, {frame.status, {}});
}

// SIP-11: what came before gets what it got before.
bool SipAgent::answer_known(const sip::TransactionKey& key, const SipPeer& peer) {
    const auto* known = transaction_index_.find(key);
    if (known == nullptr) return false;
    ServerTransaction& transaction = *transactions_.find(*known);
    shard_.stats().add(Counter::kSipRetransmissionsIn);
    const auto actions =
        transaction.machine.step(sip::TransactionEvent::kRequestAgain, shard_.loop().now());
    // RFC 6026 leaves an INVITE that was accepted to the one who sends its 2xx again, which is not
    // us where another gateway has the dialog.
    const bool again = has(actions, sip::Actions::kSend) ||
                       transaction.machine.state() == sip::TransactionState::kAccepted;
    if (again) send_again(transaction, peer);
    return true;
}

sip::MethodSet SipAgent::allowed() const { return has_sessions_ ? kAllowedWithSessions : kAllowed; }

// SESS-12: a REFER is refused for what it asks for.
sip::MethodSet SipAgent::understood() const {
    sip::MethodSet methods = allowed();
    if (has_sessions_) methods.bits |= sip::MethodSet{sip::Method::kRefer}.bits;
    return methods;
}

void SipAgent::refuse_over_budget(const sip::Message& request, const SipPeer& peer) {
    shard_.stats().add(Counter::kRateLimited);
    shard_.log().event(EventId::kRateLimited, {{"limit", "SIP of one address"},
                                               {"peer", net::format_address(peer.address)}});
    answer_at_once(request, peer, {503, {}, kSipBusySeconds});
}

void SipAgent::on_sip_over_budget(const sip::Message& message, const SipPeer& peer) {
    if (!message.is_request) return;
    shard_.stats().add(Counter::kSipRequestsIn);
    if (message.method == sip::Method::kAck) return;  // what it ends asks for it again
    if (answer_known(sip::server_key(settings_.secret, message), peer)) return;
    refuse_over_budget(message, peer);
}

bool SipAgent::on_request(const sip::Message& request, const SipPeer& peer,
                          const sip::TransactionKey& key) {
    shard_.stats().add(Counter::kSipRequestsIn);
    if (request.method == sip::Method::kAck) return on_ack(request, peer, key);
    if (answer_known(key, peer)) return true;
    if (transport_.trust(peer) == SipTrust::kNone) {  // SIP-30
        shard_.log().event(EventId::kSipPeerRefused, {{"peer", net::format_address(peer.address)}});
        answer_at_once(request, peer, {403, {}});
        return true;
    }
    if (request.method == sip::Method::kCancel) {
        on_cancel(request, peer);
        return true;
    }
    const std::uint16_t refused = sip::check_request(request, understood());
    if (refused != 0) {  // SIP-17, SIP-18, IM-51, IQ-14
        char header_memory[1'024];
        Sink headers{MutableBytes(header_memory)};
        if (refused == 420) sip::write_unsupported(headers, request);
        answer_at_once(request, peer, {refused, {}},
                       headers.overflowed() ? Bytes() : headers.written());
        return true;
    }
    if (request.method == sip::Method::kOptions) {
        on_options(request, peer);
        return true;
    }
    const bool in_dialog = !request.to.tag.empty();
    if (!in_dialog && kOnlyInDialogs.has(request.method)) {  // RFC 3261 15.1.2
        answer_at_once(request, peer, {481, {}});
        return true;
    }
    if (draining_ && !in_dialog && request.method != sip::Method::kNotify) {
        answer_at_once(request, peer, {503, {}, kDownSeconds});
        return true;
    }
    if (!has_room(*peer.source)) {
        refuse_over_budget(request, peer);
        return true;
    }
    return user_.on_request(request, peer, key);
}

// RFC 3261 17.2.1, 13.3.1.4: that of a failure ends its transaction, that of a 2xx is its dialog's.
bool SipAgent::on_ack(const sip::Message& ack, const SipPeer& peer,
                      const sip::TransactionKey& key) {
    if (transport_.trust(peer) == SipTrust::kNone) return true;  // SIP-30
    if (const auto* known = transaction_index_.find(key)) {
        ServerTransaction& transaction = *transactions_.find(*known);
        const auto actions =
            transaction.machine.step(sip::TransactionEvent::kAck, shard_.loop().now());
        if (has(actions, sip::Actions::kTerminated)) {
            end(transaction);
        } else {
            arm(transaction);
        }
        if (!has(actions, sip::Actions::kPassUp)) return true;
    }
    return ack.to.tag.empty() || user_.on_request(ack, peer, key);
}

// SIP-19, RFC 3261 9.2.
void SipAgent::on_cancel(const sip::Message& cancel, const SipPeer& peer) {
    const auto* const known = sip::find_cancelled(
        settings_.secret, cancel,
        [this](const sip::TransactionKey& key) { return transaction_index_.find(key); });
    const Handle<ServerTransaction> handle =
        known != nullptr ? *known : Handle<ServerTransaction>{};
    const ServerTransaction* const transaction = transactions_.find(handle);
    const auto verdict = sip::judge_cancel(transaction ? &transaction->machine : nullptr);
    const sip::Tag tag = transaction ? tag_of(*transaction) : make_tag(settings_.core);
    answer_at_once(cancel, peer, {verdict.status, {}}, {}, tag.view());
    if (!verdict.end_invite) return;
    answer(handle, {487, {}});
    user_.on_cancelled(cancel, tag.view());
}

// RFC 3261 9.2: the tag that it was opened with, as long as it is not answered.
sip::Tag SipAgent::tag_of(const ServerTransaction& transaction) {
    const Bytes head = transaction.head.bytes();
    const std::size_t to = head.find("\r\nTo: ");  // as write_head() writes it, the tag last
    const Bytes line =
        to == Bytes::npos ? Bytes() : head.substr(to, head.find("\r\n", to + 2) - to);
    sip::Tag tag = make_tag(settings_.core);
    if (line.size() < sip::kTagBytes) return tag;
    const Bytes text = line.substr(line.size() - sip::kTagBytes);
    if (sip::core_of_tag(text)) std::ranges::copy(text, tag.text.begin());
    return tag;
}

// May this source have one transaction more? Of those that were answered its own oldest ones go.
bool SipAgent::has_room(SipSource& source) {
    while (source.oldest_answered != nullptr && (source.answered >= kSipAnsweredPerSource ||
                                                 source.bytes >= kSipTransactionBytesPerSource)) {
        end(*source.oldest_answered);
    }
    return source.unanswered < kSipUnansweredPerSource &&
           source.bytes < kSipTransactionBytesPerSource;
}

// SIP-25, IQ-13.
void SipAgent::on_options(const sip::Message& request, const SipPeer& peer) {
    if (draining_) return answer_at_once(request, peer, {503, {}, kDownSeconds});
    char header_memory[512];
    Sink headers{MutableBytes(header_memory)};
    sip::write_allow(headers, allowed());
    sip::write_header(headers, sip::HeaderName::kAllowEvents, kAllowedEvents);
    sip::write_header(headers, sip::HeaderName::kAccept, kAcceptedTypes);
    sip::write_header(headers, sip::HeaderName::kSupported, {});
    answer_at_once(request, peer, {200, {}}, headers.written());
}

void SipAgent::write_head(const sip::Message& request, const SipPeer& peer, const SipAnswer& answer,
                          Bytes to_tag, Sink& sink) {
    char host_memory[64];
    Sink host{MutableBytes(host_memory)};
    sip::ResponseHead head;
    head.status = answer.status;
    head.reason = answer.reason;
    head.to_tag = to_tag;
    head.source_host = transport_.host_of(peer, host);  // SIP-13
    head.source_port = net::port_of(peer.address);
    sip::write_response_head(sink, request, head);
}

void SipAgent::write_rest(const SipAnswer& answer, Bytes headers, Bytes body, Sink& sink) const {
    if (answer.status == 405) sip::write_allow(sink, allowed());  // ERR-21
    if (answer.status == 489) {                                   // PRES-72
        sip::write_header(sink, sip::HeaderName::kAllowEvents, kAllowedEvents);
    }
    if (answer.retry_after != 0) {
        sip::write_header_number(sink, sip::HeaderName::kRetryAfter, answer.retry_after);
    }
    sink.append(headers);
    sip::write_body(sink, {}, body);
}

void SipAgent::answer_at_once(const sip::Message& request, const SipPeer& peer,
                              const SipAnswer& answer, Bytes headers) {
    if (request.method == sip::Method::kAck) return;
    answer_at_once(request, peer, answer, headers, make_tag(settings_.core).view());
}

void SipAgent::answer_at_once(const sip::Message& request, const SipPeer& peer,
                              const SipAnswer& answer, Bytes headers, Bytes to_tag) {
    Sink sink{MutableBytes(scratch_)};
    write_head(request, peer, answer, to_tag, sink);
    write_rest(answer, headers, {}, sink);
    if (sink.overflowed()) return;
    if (tracer_.on()) [[unlikely]]
        trace(peer, sink.written());
    transport_.answer(peer, sink.written());
}

// Over UDP each stays for 32 s (timer J). At the bound the one that was answered longest ago goes:
// a request of its that comes again so late is rarer than a new one.
ServerTransaction* SipAgent::make_transaction(Handle<ServerTransaction>& handle,
                                              sip::TransactionKind kind, bool reliable) {
    ServerTransaction* transaction =
        transactions_.make(handle, *this, kind, settings_.timing, reliable);
    if (transaction != nullptr || oldest_answered_ == nullptr) return transaction;
    end(*oldest_answered_);
    return transactions_.make(handle, *this, kind, settings_.timing, reliable);
}

Handle<ServerTransaction> SipAgent::open(const sip::Message& request, const SipPeer& peer,
                                         const sip::TransactionKey& key, Bytes to_tag) {
    Handle<ServerTransaction> handle;
    const bool reliable = static_cast<bool>(peer.connection);
    const bool invite = request.method == sip::Method::kInvite;
    Sink sink{MutableBytes(scratch_)};
    write_head(request, peer, {200, {}}, to_tag, sink);
    const std::size_t record_routes = sink.size();
    if ((invite || request.method == sip::Method::kSubscribe) && request.to.tag.empty()) {
        sip::write_record_routes(sink, request);  // SIP-16
    }
    if (sink.overflowed()) return {};
    const auto record_route_bytes = static_cast<std::uint32_t>(sink.size() - record_routes);
    Block block = blocks_.take(sink.size() + kNoBody.size());
    if (!block) return {};
    std::memcpy(block.memory().data(), sink.written().data(), sink.size());
    block.set_size(sink.size());
    const auto kind =
        invite ? sip::TransactionKind::kServerInvite : sip::TransactionKind::kServerOther;
    ServerTransaction* transaction = make_transaction(handle, kind, reliable);
    if (transaction == nullptr) return {};
    transaction->self = handle;
    transaction->peer = peer;
    transaction->head = std::move(block);
    transaction->record_route_bytes = record_route_bytes;
    transaction->key = key;
    if (!transaction_index_.insert(transaction->key, handle)) {
        transactions_.free(handle);
        return {};
    }
    ++unanswered_;
    ++peer.source->unanswered;
    count_bytes(*transaction);
    const Instant now = shard_.loop().now();
    if (invite) transaction->answer_by = now + settings_.timing.timeout();
    static_cast<void>(transaction->machine.start(now));
    arm(*transaction);
    return handle;
}

void SipAgent::arm(ServerTransaction& transaction) {
    const Instant deadline = std::min(transaction.machine.deadline(), transaction.answer_by);
    if (deadline == kNever) return transaction.timer.cancel();
    shard_.loop().timers().arm(transaction.timer, deadline);
}

// What it keeps, in the account of its source.
void SipAgent::count_bytes(ServerTransaction& transaction) {
    const std::size_t bytes =
        transaction.head.memory().size() + transaction.response.memory().size();
    transaction.peer.source->bytes += bytes - transaction.bytes;
    transaction.bytes = static_cast<std::uint32_t>(bytes);
}

void SipAgent::list_answered(ServerTransaction& transaction) {
    SipSource& source = *transaction.peer.source;
    --unanswered_;
    --source.unanswered;
    ++source.answered;
    transaction.answered = true;
    transaction.older = newest_answered_;
    (newest_answered_ != nullptr ? newest_answered_->newer : oldest_answered_) = &transaction;
    newest_answered_ = &transaction;
    transaction.older_of_source = source.newest_answered;
    (source.newest_answered != nullptr ? source.newest_answered->newer_of_source
                                       : source.oldest_answered) = &transaction;
    source.newest_answered = &transaction;
}

void SipAgent::unlist_answered(ServerTransaction& transaction) {
    SipSource& source = *transaction.peer.source;
    --source.answered;
    (transaction.older != nullptr ? transaction.older->newer : oldest_answered_) =
        transaction.newer;
    (transaction.newer != nullptr ? transaction.newer->older : newest_answered_) =
        transaction.older;
    (transaction.older_of_source != nullptr ? transaction.older_of_source->newer_of_source
                                            : source.oldest_answered) = transaction.newer_of_source;
    (transaction.newer_of_source != nullptr ? transaction.newer_of_source->older_of_source
                                            : source.newest_answered) = transaction.older_of_source;
}

void SipAgent::end(ServerTransaction& transaction) {
    SipSource& source = *transaction.peer.source;
    source.bytes -= transaction.bytes;
    if (transaction.answered) {
        unlist_answered(transaction);
    } else {
        --unanswered_;
        --source.unanswered;
    }
    transaction_index_.erase(transaction.key);
    transactions_.free(transaction.self);
}

void SipAgent::discard(Handle<ServerTransaction> handle) {
    if (ServerTransaction* transaction = transactions_.find(handle)) end(*transaction);
}

void SipAgent::set_to_tag(Handle<ServerTransaction> handle, Bytes to_tag) {
    ServerTransaction* transaction = transactions_.find(handle);
    if (transaction == nullptr || to_tag.size() != sip::kTagBytes) return;
    const Bytes head = transaction->head.bytes();
    const std::size_t to = head.find("\r\nTo: ");  // as write_head() writes it, the tag last
    const std::size_t end = head.find("\r\n", to + 2);
    if (to == Bytes::npos || end == Bytes::npos) return;
    std::ranges::copy(to_tag, transaction->head.memory().data() + end - to_tag.size());
}

// 200 and nothing more, nearly always: its head is written already.
Bytes SipAgent::complete_head(ServerTransaction& transaction) {
    Block& head = transaction.head;
    const std::size_t size = head.bytes().size();
    std::memcpy(head.memory().data() + size, kNoBody.data(), kNoBody.size());  // open() left room
    head.set_size(size + kNoBody.size());
    return head.bytes();
}

Bytes SipAgent::write_response(const ServerTransaction& transaction, const SipAnswer& answer,
                               Bytes headers, Bytes body) {
    Bytes head = transaction.head.bytes();
    head.remove_prefix(head.find('\n') + 1);
    if (answer.status / 100 != 2) head.remove_suffix(transaction.record_route_bytes);
    const Bytes reason = answer.reason.empty() ? sip::reason_phrase(answer.status) : answer.reason;
    Sink sink{MutableBytes(scratch_)};
    sink.append("SIP/2.0 ");
    sink.append_number(answer.status);
    sink.append(" ", reason, "\r\n", head);
    write_rest(answer, headers, body, sink);
    // The head has been in there, with more room behind it; what another gateway adds may not fit.
    if (sink.overflowed()) return write_response(transaction, {500, {}}, {}, {});
    return sink.written();
}

void SipAgent::answer(Handle<ServerTransaction> handle, const SipAnswer& answer, Bytes headers,
                      Bytes body) {
    ServerTransaction* transaction = transactions_.find(handle);
    if (transaction == nullptr || transaction->answered) return;
    const bool plain = answer.status == 200 && answer.reason.empty() && answer.retry_after == 0 &&
                       headers.empty() && body.empty();
    const Bytes response =
        plain ? complete_head(*transaction) : write_response(*transaction, answer, headers, body);
    if (tracer_.on()) [[unlikely]]
        trace(transaction->peer, response);
    transport_.answer(transaction->peer, response);
    list_answered(*transaction);
    // On a stream nothing comes twice, and the machine ends here, but for an INVITE. Without memory
    // to keep the answer a request that comes again gets none; it is not delivered twice.
    const bool accepts = transaction->machine.kind() == sip::TransactionKind::kServerInvite &&
                         answer.status / 100 == 2;
    transaction->answer_by = kNever;
    if (accepts || !transaction->machine.reliable()) {
        transaction->response = plain ? std::move(transaction->head) : blocks_.copy({response});
    }
    transaction->head.reset();
    count_bytes(*transaction);
    const auto actions =
        transaction->machine.step(sip::sending_event(answer.status), shard_.loop().now());
    if (has(actions, sip::Actions::kTerminated)) return end(*transaction);
    arm(*transaction);
}

void SipAgent::acknowledge(Handle<ServerTransaction> handle) {
    ServerTransaction* const transaction = transactions_.find(handle);
    if (transaction == nullptr ||
        transaction->machine.state() != sip::TransactionState::kAccepted) {
        return;
    }
    if (transaction->machine.reliable()) return end(*transaction);  // the INVITE comes no more
    static_cast<void>(transaction->machine.step(sip::TransactionEvent::kAck, shard_.loop().now()));
    arm(*transaction);
}

// SIP-19.
void SipAgent::send_trying(ServerTransaction& transaction) {
    const Bytes response = write_response(transaction, {100, {}}, {}, {});
    if (tracer_.on()) [[unlikely]]
        trace(transaction.peer, response);
    transport_.answer(transaction.peer, response);
    if (transaction.machine.reliable()) return;
    transaction.response = blocks_.copy({response});
    count_bytes(transaction);
}

void SipAgent::send_again(const ServerTransaction& transaction, const SipPeer& peer) {
    if (!transaction.response) return;
    if (tracer_.on()) [[unlikely]]
        trace(peer, transaction.response.bytes(), "sent again");
    transport_.answer(peer, transaction.response.bytes());
}

void SipAgent::on_transaction_timer(ServerTransaction& transaction) {
    const Instant now = shard_.loop().now();
    const Handle<ServerTransaction> self = transaction.self;
    if (transaction.answer_by <= now) return answer(self, sip_answer(link::Fault::kExpired, true));
    while (transaction.machine.deadline() <= now) {
        const auto actions = transaction.machine.on_time(now);
        if (has(actions, sip::Actions::kTerminated)) return end(transaction);
        if (has(actions, sip::Actions::kSend)) send_again(transaction, transaction.peer);
        if (has(actions, sip::Actions::kSendTrying)) send_trying(transaction);
        if (has(actions, sip::Actions::kAnswerNow)) {
            answer(self, sip_answer(link::Fault::kExpired, true));  // IM-49, ERR-34, SIP-12
            if (transactions_.find(self) == nullptr) return;
        }
    }
    arm(transaction);
}

}  // namespace fedgate::gateway
