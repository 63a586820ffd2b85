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
constexpr Bytes kAllowedEvents = "presence";
constexpr Bytes kNoBody = "Content-Length: 0\r\n\r\n";

}  // namespace

void ServerTransaction::on_timer(Timer&) { agent.on_transaction_timer(*this); }

// IM-35: who has made a stanza of the request finds its id by the branch.
void SipAgent::trace(const SipPeer& peer, Bytes answer, Bytes note) {
    tracer_.sip_out(answer, text_of(peer), net::format_address(peer.address), {}, note);
}

bool SipAgent::on_sip_message(const sip::Message& message, const SipPeer& peer) {
    if (tracer_.on()) [[unlikely]] {
        tracer_.sip_in(message, text_of(peer), net::format_address(peer.address));
    }
    return message.is_request ? on_request(message, peer) : on_response(message, peer);
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
    if (has(actions, sip::Actions::kSend) && transaction.response) {
        if (tracer_.on()) [[unlikely]]
            trace(peer, transaction.response.bytes(), "sent again");
        transport_.answer(peer, transaction.response.bytes());
    }
    return true;
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
    if (message.method == sip::Method::kAck) return;
    if (answer_known(sip::server_key(settings_.secret, message), peer)) return;
    refuse_over_budget(message, peer);
}

bool SipAgent::on_request(const sip::Message& request, const SipPeer& peer) {
    shard_.stats().add(Counter::kSipRequestsIn);
    if (request.method == sip::Method::kAck) return true;
    const sip::TransactionKey key = sip::server_key(settings_.secret, request);
    if (answer_known(key, peer)) return true;
    if (transport_.trust(peer) == SipTrust::kNone) {  // SIP-30
        shard_.log().event(EventId::kSipPeerRefused, {{"peer", net::format_address(peer.address)}});
        answer_at_once(request, peer, {403, {}});
        return true;
    }
    if (request.method == sip::Method::kCancel) {  // SIP-19
        const auto* const known = sip::find_cancelled(settings_.secret, request,
                                                      [this](const sip::TransactionKey& of_method) {
                                                          return transaction_index_.find(of_method);
                                                      });
        const auto* const transaction = known != nullptr ? transactions_.find(*known) : nullptr;
        const auto verdict = sip::judge_cancel(transaction ? &transaction->machine : nullptr);
        answer_at_once(request, peer, {verdict.status, {}});
        return true;
    }
    const std::uint16_t refused = sip::check_request(request, kAllowed);
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
    if (in_dialog && request.method == sip::Method::kMessage) {  // SIP-22: no dialog of ours
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
    sip::write_allow(headers, kAllowed);
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

void SipAgent::write_rest(const SipAnswer& answer, Bytes headers, Sink& sink) const {
    sink.append(headers);
    if (answer.status == 405) sip::write_allow(sink, kAllowed);  // ERR-21
    if (answer.status == 489) {                                  // PRES-72
        sip::write_header(sink, sip::HeaderName::kAllowEvents, kAllowedEvents);
    }
    if (answer.retry_after != 0) {
        sip::write_header_number(sink, sip::HeaderName::kRetryAfter, answer.retry_after);
    }
    sip::write_no_body(sink);
}

void SipAgent::answer_at_once(const sip::Message& request, const SipPeer& peer,
                              const SipAnswer& answer, Bytes headers) {
    const sip::Tag tag = make_tag(settings_.core);
    Sink sink{MutableBytes(scratch_)};
    write_head(request, peer, answer, tag.view(), sink);
    write_rest(answer, headers, sink);
    if (sink.overflowed()) return;
    if (tracer_.on()) [[unlikely]]
        trace(peer, sink.written());
    transport_.answer(peer, sink.written());
}

// Over UDP each stays for 32 s (timer J). At the bound the one that was answered longest ago goes:
// a request of its that comes again so late is rarer than a new one.
ServerTransaction* SipAgent::make_transaction(Handle<ServerTransaction>& handle, bool reliable) {
    ServerTransaction* transaction = transactions_.make(handle, *this, settings_.timing, reliable);
    if (transaction != nullptr || oldest_answered_ == nullptr) return transaction;
    end(*oldest_answered_);
    return transactions_.make(handle, *this, settings_.timing, reliable);
}

Handle<ServerTransaction> SipAgent::open(const sip::Message& request, const SipPeer& peer,
                                         const sip::TransactionKey& key, Bytes to_tag) {
    Handle<ServerTransaction> handle;
    const bool reliable = static_cast<bool>(peer.connection);
    Sink sink{MutableBytes(scratch_)};
    write_head(request, peer, {200, {}}, to_tag, sink);
    const std::size_t record_routes = sink.size();
    if (request.method == sip::Method::kSubscribe && request.to.tag.empty()) {
        sip::write_record_routes(sink, request);  // SIP-16
    }
    if (sink.overflowed()) return {};
    const auto record_route_bytes = static_cast<std::uint32_t>(sink.size() - record_routes);
    Block block = blocks_.take(sink.size() + kNoBody.size());
    if (!block) return {};
    std::memcpy(block.memory().data(), sink.written().data(), sink.size());
    block.set_size(sink.size());
    ServerTransaction* transaction = make_transaction(handle, reliable);
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
    static_cast<void>(transaction->machine.start(shard_.loop().now()));
    arm(*transaction);
    return handle;
}

void SipAgent::arm(ServerTransaction& transaction) {
    const Instant deadline = transaction.machine.deadline();
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
                               Bytes headers) {
    Bytes head = transaction.head.bytes();
    head.remove_prefix(head.find('\n') + 1);
    if (answer.status / 100 != 2) head.remove_suffix(transaction.record_route_bytes);
    const Bytes reason = answer.reason.empty() ? sip::reason_phrase(answer.status) : answer.reason;
    Sink sink{MutableBytes(scratch_)};
    sink.append("SIP/2.0 ");
    sink.append_number(answer.status);
    sink.append(" ", reason, "\r\n", head);
    write_rest(answer, headers, sink);
    // The head has been in there, with more room behind it; what another gateway adds may not fit.
    if (sink.overflowed()) return write_response(transaction, {500, {}}, {});
    return sink.written();
}

void SipAgent::answer(Handle<ServerTransaction> handle, const SipAnswer& answer, Bytes headers) {
    ServerTransaction* transaction = transactions_.find(handle);
    if (transaction == nullptr || transaction->answered) return;
    const bool plain =
        answer.status == 200 && answer.reason.empty() && answer.retry_after == 0 && headers.empty();
    const Bytes response =
        plain ? complete_head(*transaction) : write_response(*transaction, answer, headers);
    if (tracer_.on()) [[unlikely]]
        trace(transaction->peer, response);
    transport_.answer(transaction->peer, response);
    list_answered(*transaction);
    // On a stream nothing comes twice, and the machine ends here. Without memory to keep the answer
    // a request that comes again gets none; it is not delivered twice.
    if (!transaction->machine.reliable()) {
        transaction->response = plain ? std::move(transaction->head) : blocks_.copy({response});
    }
    transaction->head.reset();
    count_bytes(*transaction);
    const auto actions =
        transaction->machine.step(sip::sending_event(answer.status), shard_.loop().now());
    if (has(actions, sip::Actions::kTerminated)) return end(*transaction);
    arm(*transaction);
}

void SipAgent::on_transaction_timer(ServerTransaction& transaction) {
    const Instant now = shard_.loop().now();
    const Handle<ServerTransaction> self = transaction.self;
    while (transaction.machine.deadline() <= now) {
        const auto actions = transaction.machine.on_time(now);
        if (has(actions, sip::Actions::kTerminated)) return end(transaction);
        if (has(actions, sip::Actions::kAnswerNow)) {
            answer(self, sip_answer(link::Fault::kExpired, true));  // IM-49, ERR-34, SIP-12
            if (transactions_.find(self) == nullptr) return;
        }
    }
    arm(transaction);
}

}  // namespace fedgate::gateway
