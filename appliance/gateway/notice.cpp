// IM-50: what a SIP user is told of a message of his that was accepted and failed later.
#include <utility>

#include "appliance/gateway/engine.hpp"
#include "core/base/hash.hpp"
#include "xml/text.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kNoticeBytes = 2'048;

}  // namespace

// One MESSAGE to the sender, from the contact: an IMDN where one was asked for, else a text. It is
// in the pair's queue, and never answered by another.
void Gateway::Engine::send_notice(const Incoming& incoming, Bytes reason,
                                  const ReceiptNote* asked) {
    if (incoming.origin.trial != 0) return fail_trial(incoming.origin.trial, 0, reason);
    Address sip;
    Address xmpp;
    Handle<Conversation> handle;
    Conversation* conversation = conversations_.open(incoming.pair, now(), handle);
    const bool known = read_jid(incoming.sip_jid(), sip) && read_jid(incoming.xmpp_jid(), xmpp);
    SipRoute* route = known ? agent_.find_route(sip.domain_ascii) : nullptr;
    ClientRequest* notice = nullptr;
    if (route != nullptr && conversation != nullptr &&
        conversation->waiting.count < kPairQueueWithNotices) {
        notice = agent_.make_request(*route, RequestKind::kNotice);
    }
    if (notice == nullptr) return give_notice_up(sip.domain_ascii);
    const Session* const session = session_of(*conversation);
    if (session != nullptr && session->msrp) asked = nullptr;  // it takes plain text only
    char names_memory[6 * xml::kJidBytes];
    Sink names{MutableBytes(names_memory)};
    write_aor(xmpp, names);
    const Bytes from_uri = names.written();
    write_aor(sip, names);
    const Bytes to_uri = names.written().substr(from_uri.size());
    char body_memory[kNoticeBytes];
    Sink body{MutableBytes(body_memory)};
    if (asked != nullptr) {
        write_imdn(asked->name, asked->sent_at, Disposition::kFailed, body);
    } else {
        body.append("Your message could not be delivered: ");
        body.append(reason);
        body.append('.');
    }
    const auto call_id = to_hex(random_.bytes<16>());
    const auto tag = to_hex(random_.bytes<8>());
    Envelope envelope;
    envelope.request_uri = envelope.to_uri = to_uri;
    envelope.from_uri = from_uri;
    envelope.from_tag = Bytes(tag.data(), tag.size());
    envelope.call_id = Bytes(call_id.data(), call_id.size());
    envelope.in_reply_to = incoming.call_id();
    envelope.via = agent_.likely_via(*route);
    Sink request{MutableBytes(request_memory_)};
    // In a session where there is one: outside it nobody might hear it. Lync never does.
    const rules::SipDomain* const domain = rules_->sip_domain(sip.domain_ascii);
    const bool opens_one = domain != nullptr && domain->profile == rules::Profile::kLync &&
                           now() >= conversation->pages_until;
    const bool in_session = opens_one || session != nullptr;
    if (!in_session) write_request_front(envelope, {}, request);
    if (asked != nullptr) {
        write_cpim({from_uri, to_uri, shard_.loop().wall_now(), envelope.call_id, false,
                    kReceiptType, true},
                   body.written(), request);
    } else {
        sip::write_body(request, "text/plain;charset=UTF-8", body.written());
    }
    FEDGATE_CHECK(!body.overflowed());
    FEDGATE_CHECK(!names.overflowed());
    FEDGATE_CHECK(!request.overflowed());
    const Bytes from = incoming.xmpp_jid();
    const Bytes to = incoming.sip_jid();
    if (!(in_session ? fill_content(*notice, {from, to}, request.written())
                     : agent_.fill(*notice, {from, to}, request.written()))) {
        agent_.release(*notice);
        return give_notice_up(sip.domain_ascii);
    }
    notice->from_bytes = static_cast<std::uint16_t>(from.size());
    notice->to_bytes = static_cast<std::uint16_t>(to.size());
    notice->queued_at = now();
    notice->conversation = handle;
    append(conversation->waiting, *notice);
    start_next(*conversation);
}

void Gateway::Engine::give_notice_up(Bytes sip_domain) {
    count(Counter::kMessagesS2xUntold);
    shard_.log().event(EventId::kQueueFull, {{"queue", "notices"}, {"domain", sip_domain}});
}

// Never silence: what nobody has answered, or a server that is not ready (503), is said again for
// link::kLateNewsKept. Its pair goes on meanwhile.
void Gateway::Engine::on_notice_done(ClientRequest& notice, LocalFault fault) {
    const bool answered = notice.status != 0 && notice.status != 503;
    if (answered || fault == LocalFault::kNoNextHop || draining_ ||
        now() + kNoticeRetry > notice.queued_at + link::kLateNewsKept) {
        return end_notice(notice);
    }
    if (late_notices_.count >= kLateNotices) end_notice(*take_first(late_notices_));
    append(late_notices_, notice);
    if (!notices_again_.armed()) {
        shard_.loop().timers().arm(notices_again_, now() + kNoticeRetry);
    }
}

// Of those whose next hops are all down only the ones whose time is over are taken out.
void Gateway::Engine::send_late_notices() {
    RequestList all = std::exchange(late_notices_, {});
    while (ClientRequest* notice = take_first(all)) {
        const Correspondence& who = correspondents_.find(notice->from(), notice->to(), false);
        if (now() >= notice->queued_at + link::kLateNewsKept || !who.good) {
            end_notice(*notice);
            continue;
        }
        Conversation* conversation = nullptr;
        if (agent_.may_reach(*notice)) {
            conversation = conversations_.open(who.pair, now(), notice->conversation);
        }
        if (conversation == nullptr || conversation->waiting.count >= kPairQueueWithNotices) {
            append(late_notices_, *notice);
            continue;
        }
        append(conversation->waiting, *notice);
        start_next(*conversation);
    }
    if (late_notices_.count != 0) {
        shard_.loop().timers().arm(notices_again_, now() + kNoticeRetry);
    }
}

void Gateway::Engine::end_notice(ClientRequest& notice) {
    if (notice.status < 200 || notice.status >= 300) {  // its sender could not be told
        count(Counter::kMessagesS2xUntold);
        shard_.log().event(
            EventId::kSipTimeout,
            {{"request", "notice"}, {"domain", notice.sip_domain()}, {"status", notice.status}});
    }
    agent_.release(notice);
}

}  // namespace fedgate::gateway
