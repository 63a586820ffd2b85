// Server half of sessions: INVITEs of theirs, and what comes in a session of either. The client
// half is session.cpp.
#include <algorithm>

#include "appliance/gateway/engine.hpp"
#include "appliance/gateway/lync.hpp"
#include "appliance/gateway/session.hpp"
#include "sip/request_checks.hpp"

namespace fedgate::gateway {
namespace {

// SESS-12: of a conference, or with more than two, as Lync says it: its server's own header fields.
bool is_conference(const sip::Message& invite) {
    const Bytes contact = invite.value(sip::HeaderName::kContact);
    const auto type = sip::parse_content_type(invite.value(sip::HeaderName::kContentType));
    if (contact.find(";isfocus") != Bytes::npos || (type && type->is("application", "cccp+xml")))
        return true;
    for (const sip::Header& header : invite.headers()) {
        if (sip::equal_ignoring_case(header.name, "TriggeredInvite") &&
            sip::equal_ignoring_case(header.value, "TRUE")) {
            return true;
        }
        if (!sip::equal_ignoring_case(header.name, "EndPoints")) continue;
        Bytes list = header.value;
        Bytes one;
        std::size_t people = 0;
        while (sip::take_item(list, one)) ++people;
        if (people > 2) return true;
    }
    return false;
}

// [MS-OCER]: what a Lync administrator finds in his log of a call, a file or a conference.
constexpr std::uint32_t kKindNotRouted = 1027;

// As we wrote it.
Bytes call_id_of(const ClientRequest& invite) {
    constexpr Bytes kName = "\r\nCall-ID: ";
    const Bytes text = invite.request();
    const std::size_t begin = text.find(kName) + kName.size();
    return text.substr(begin, text.find('\r', begin) - begin);
}

}  // namespace

// SESS-10. False: no room now.
bool Gateway::Engine::take_invite(const sip::Message& request, RequestCall& call, Bytes to_tag,
                                  const Origin& origin) {
    const bool is_msrp = call.domain->profile == rules::Profile::kMsrp;
    const auto refuse_with = [&](const SipAnswer& refusal, Bytes headers = {}) {
        char memory[1'024];
        Sink lines{MutableBytes(memory)};
        lines.append(headers);
        if (refusal.status == 488 && !is_msrp) {
            write_diagnostics_public(kKindNotRouted,
                                     "Only sessions of messages between two are passed on", lines);
        }
        FEDGATE_CHECK(!lines.overflowed());
        count(Counter::kSessionsRefused);
        answer(origin, refusal, lines.written());
        return true;
    };
    if (!has_sessions(*call.domain)) return refuse_with({488, {}});  // only others' domains have
    const rules::Decision decision = call.decision_on(rules::Kind::kMessage);
    if (!decision.allowed()) {  // ERR-46
        note_seen(call.from);
        count(Counter::kPolicyRefused);
        shard_.log().event(EventId::kPolicyRefused, {{"direction", "to XMPP"},
                                                     {"partner", call.to.domain_ascii},
                                                     {"rule", rules::explain(decision.reason)}});
        return refuse_with(sip_answer(link::Fault::kBlocked, false));
    }
    if (request.find(sip::HeaderName::kReplaces) != nullptr) return refuse_with({403, {}});
    if (is_conference(request)) return refuse_with({488, {}});
    Handle<Conversation> handle;
    Conversation* const conversation = conversations_.open(call.pair, now(), handle);
    if (conversation == nullptr) return refuse_with(sip_answer(link::Fault::kQueueFull, false));
    const Key by_peer = key_of_peer(request.call_id, request.from.tag);
    if (by_peer_.find(by_peer) != nullptr) return refuse_with({482, {}});  // SIP-11
    auto dialog = sip::Dialog::from_request(request, to_tag);
    if (!dialog) return refuse_with({sip::Dialog::refusal(dialog.error()), {}});
    char header_memory[512];
    Sink headers{MutableBytes(header_memory)};
    std::uint32_t expires = 0;
    if (const std::uint16_t status = judge_session_expires(request, headers, expires); status != 0)
        return refuse_with({status, {}}, headers.written());
    std::size_t taken = 0;
    const auto kind = is_msrp ? sip::SessionKind::kMsrp : sip::SessionKind::kLync;
    const bool tls = rules_->settings.sip.msrp.tls;
    if (const std::uint16_t status = judge_offer(request, kind, tls, headers, taken); status != 0)
        return refuse_with({status, {}}, headers.written());
    Session* const session = make_session(*conversation, handle, call.from, call.to, *call.domain);
    if (session == nullptr) {
        const bool busy = conversation->sessions >= kSessionsOfPair;
        return refuse_with(busy ? SipAnswer{486, {}} : SipAnswer{503, {}, kDownSeconds});
    }
    session->dialog.emplace(std::move(*dialog));
    session->by_tag = key_of_tag(to_tag);
    session->by_peer = by_peer;
    by_tag_.insert(*session);
    by_peer_.insert(*session);
    session->origin = origin;
    session->invite_cseq = request.cseq.number;
    session->expires = expires;
    session->state = Session::State::kHeld;
    session->text = blocks_.copy({thread_of(request, *conversation)});
    session->thread_bytes = static_cast<std::uint16_t>(session->text.bytes().size());
    note_seen(call.from);
    count(Counter::kSessionsS2x);
    char sdp_memory[4'096];
    Sink sdp{MutableBytes(sdp_memory)};
    write_description(*session, request, taken, sdp);
    if (sdp.overflowed()) {
        free(*session);
        return refuse_with({488, {}});
    }
    if (!session->msrp) return take_first_text(*session, request, call, sdp.written());
    if (!session->offered && !begin_msrp(*session, sdp_->media()[taken], false)) {
        free(*session);
        return refuse_with({488, {}});
    }
    accept_session(*session, sdp.written(), false);
    return true;
}

// SESS-11. Status 0: the offer is good, and its line `taken`; or there is none.
std::uint16_t Gateway::Engine::judge_offer(const sip::Message& request, sip::SessionKind kind,
                                           bool tls, Sink& headers, std::size_t& taken) {
    if (request.body.empty()) return 0;
    if (!has_sdp(request)) {
        sip::write_header(headers, sip::HeaderName::kAccept, kSdpType);
        return 415;
    }
    if (!sip::parse_sdp(request.body, *sdp_)) return 400;
    const auto picked = sip::pick_message(*sdp_, kind, tls);
    if (!picked) return 488;
    taken = *picked;
    return 0;
}

// Our answer to the offer that judge_offer() has read, or our offer where there was none.
void Gateway::Engine::write_description(Session& session, const sip::Message& request,
                                        std::size_t taken, Sink& sdp) {
    const rules::SipDomain* const domain = domain_of(session);
    if (domain == nullptr) return;
    const Bytes host = agent_.likely_via(agent_.route_of(*domain)).host;
    session.offered = request.body.empty();
    if (session.offered) {
        sip::write_offer(sdp, own_sdp(session, host), session.sdp);
    } else {
        sip::OwnSdp own = own_sdp(session, host);
        if (session.msrp) own.setup = session.msrp->setup_for(sdp_->media()[taken].setup);
        sip::write_answer(sdp, own, *sdp_, taken, session.sdp);
    }
}

// The 2xx to an INVITE or UPDATE.
void Gateway::Engine::accept(Session& session, const Origin& origin, Bytes sdp, bool has_text) {
    char header_memory[1'024 + kUriBytes];
    Sink headers{MutableBytes(header_memory)};
    const rules::SipDomain* const domain = domain_of(session);
    if (domain != nullptr) {
        const Bytes uri = session.xmpp_uri();
        const Bytes user = uri.substr(4, uri.find('@') - 4);  // behind "sip:"
        agent_.write_contact(headers, user, agent_.route_of(*domain));
    }
    sip::write_allow(headers, kInSession);
    if (has_text) sip::write_header(headers, sip::HeaderName::kSupported, "ms-text-format");
    if (session.expires != 0) {  // RFC 4028 9: they refresh it
        headers.append("Require: timer\r\nSession-Expires: ");
        headers.append_number(session.expires);
        headers.append(";refresher=uac\r\n");
        session.expires_at = now() + std::chrono::seconds(session.expires);
    }
    if (!sdp.empty()) sip::write_header(headers, sip::HeaderName::kContentType, kSdpType);
    FEDGATE_CHECK(!headers.overflowed());
    answer(origin, {200, {}}, headers.written(), sdp);
}

// RFC 4028 9. Status 0: `expires` seconds, or 0: none is asked for.
std::uint16_t Gateway::Engine::judge_session_expires(const sip::Message& request, Sink& headers,
                                                     std::uint32_t& expires) {
    expires = 0;
    const Bytes value = request.value(sip::HeaderName::kSessionExpires);
    if (value.empty()) return 0;
    const auto seconds = sip::parse_seconds(value);
    if (!seconds) return 400;
    if (*seconds < kSessionExpiresMin) {
        headers.append("Min-SE: ");
        headers.append_number(kSessionExpiresMin);
        headers.append("\r\n");
        return 422;
    }
    // Who would have us refresh it has our BYE at its end, for idle sessions end sooner.
    expires = std::min(*seconds, kSessionExpiresMax);
    return 0;
}

// The answer to an INVITE whose first text has met its fate.
void Gateway::Engine::answer_invite(const Origin& origin, const SipAnswer& verdict, Bytes headers) {
    Origin plain = origin;
    plain.session = {};
    Session* const session = sessions_.find(origin.session);
    if (session == nullptr || session->state != Session::State::kHeld) {
        return answer(plain, {487, {}});
    }
    if (verdict.status / 100 != 2) {
        const Handle<Conversation> handle = session->conversation;
        free(*session);
        count(Counter::kSessionsRefused);
        answer(plain, verdict, headers);
        return go_on(handle);
    }
    // Who has given up meanwhile has been told 487, or 504. His text arrived.
    if (!is_waited_for(*session, plain)) {
        const Handle<Conversation> handle = session->conversation;
        free(*session);
        return go_on(handle);
    }
    const Block sdp = std::move(session->held);
    accept_session(*session, sdp.bytes(), true);
}

// Nobody says so of another gateway's: there its end is that no ACK comes.
bool Gateway::Engine::is_waited_for(const Session& session, const Origin& origin) {
    const bool elsewhere = origin.shard != shard_.index() || origin.other_gateway;
    return !session.cancelled && (elsewhere || agent_.is_waiting(origin.transaction));
}

// SIP-19. Our tag says whose it is.
void Gateway::Engine::on_cancelled(const sip::Message& cancel, Bytes to_tag) {
    const auto owner = agent_.core_of(to_tag);
    if (!owner || *owner == shard_.index()) return cancel_call(cancel, to_tag);
    // Without room for it there: no ACK comes.
    static_cast<void>(forward(*owner, cancel, to_tag, {shard_.index(), {}}));
}

void Gateway::Engine::cancel_call(const sip::Message& cancel, Bytes to_tag) {
    Session* const session = find_session(to_tag);
    if (session == nullptr || !session->dialog || session->dialog->call_id() != cancel.call_id ||
        session->invite_cseq != cancel.cseq.number) {
        return;
    }
    if (session->state == Session::State::kHeld) session->cancelled = true;
    if (session->ack_due == kNever) return;
    // The 200 has met the 487.
    if (session->state == Session::State::kOpen) {  // RFC 3261 14.1: it stands as it did
        session->ack_due = kNever;
        session->offered = false;
        return arm(*session);
    }
    if (session->state != Session::State::kAnswered) return;
    const Handle<Conversation> handle = session->conversation;
    free(*session);
    go_on(handle);
}

void Gateway::Engine::accept_session(Session& session, Bytes sdp, bool has_text) {
    Conversation* const conversation = conversations_.find(session.conversation);
    FEDGATE_CHECK(conversation != nullptr);
    session.state = Session::State::kAnswered;
    session.ack_due = now() + kAckWait;
    session.used_at = now();
    const Session* const ours = session_of(*conversation);
    // SESS-6: of two INVITEs that cross, the smaller Call-ID sends.
    const bool crossed = ours != nullptr && ours->state == Session::State::kInviting;
    if (!crossed || session.dialog->call_id() < call_id_of(*ours->invite)) {
        take_place(session, *conversation);
    }
    arm(session);
    accept(session, session.origin, sdp, has_text);
}

// ---- In a session of either

bool Gateway::Engine::take_in_session(const sip::Message& request, const rules::SipDomain& domain,
                                      const Origin& origin, Session* of_tag) {
    Session* const session = of_tag != nullptr ? of_tag : find_session(request.to.tag);
    if (session == nullptr || !is_in(request, *session) ||
        session->state == Session::State::kHeld) {
        answer(origin, {481, {}});  // SIP-22; of an ACK nobody hears it
        return true;
    }
    const bool is_text =
        request.method == sip::Method::kMessage || request.method == sip::Method::kInfo;
    if (is_text && session->state != Session::State::kEnding) {
        return take_text_in_session(*session, request, domain, origin);
    }
    // SEC-1: who may speak for one of our domains does not so for another.
    if (!is_of(*session, domain)) {
        answer(origin, {403, {}});
        return true;
    }
    if (request.method == sip::Method::kAck) {
        on_ack(*session, request);
        return true;
    }
    if (session->state == Session::State::kEnding) {
        const bool bye = request.method == sip::Method::kBye;  // both have hung up
        answer(origin, {static_cast<std::uint16_t>(bye ? 200 : 481), {}});
        return true;
    }
    session->way = {};
    if (const std::uint16_t status = session->dialog->on_request(request); status != 0) {
        answer(origin, {status, {}});
        return true;
    }
    switch (request.method) {
        case sip::Method::kBye: {
            answer(origin, {200, {}});
            const Handle<Conversation> conversation = session->conversation;
            if (session->sends) tell_gone(*session);  // SESS-7
            free(*session);
            go_on(conversation);
            return true;
        }
        case sip::Method::kInvite:
        case sip::Method::kUpdate: take_offer(*session, request, origin); return true;
        default: answer(origin, {405, {}}); return true;
    }
}

// SESS-12: a re-INVITE, or an UPDATE.
void Gateway::Engine::take_offer(Session& session, const sip::Message& request,
                                 const Origin& origin) {
    char header_memory[512];
    Sink headers{MutableBytes(header_memory)};
    std::uint32_t expires = 0;
    std::uint16_t status = judge_session_expires(request, headers, expires);
    std::size_t taken = 0;
    const auto kind = session.msrp ? sip::SessionKind::kMsrp : sip::SessionKind::kLync;
    const bool tls = session.msrp && session.msrp->is_secure();
    if (status == 0) status = judge_offer(request, kind, tls, headers, taken);
    // A session of MSRP is at its path, and has no other.
    if (status == 0 && session.msrp && !request.body.empty() &&
        !session.msrp->goes_by(sdp_->media()[taken].path)) {
        status = 488;
    }
    if (status != 0) return answer(origin, {status, {}}, headers.written());
    const bool invite = request.method == sip::Method::kInvite;
    if (invite && session.ack_due != kNever) {  // RFC 3261 14.2: the one before is not over
        return answer(origin, {500, {}, 5});
    }
    session.expires = expires;
    session.expires_at = kNever;
    char sdp_memory[4'096];
    Sink sdp{MutableBytes(sdp_memory)};
    if (invite || !request.body.empty()) write_description(session, request, taken, sdp);
    if (sdp.overflowed()) return answer(origin, {488, {}});
    if (invite) {
        session.origin = origin;
        session.invite_cseq = request.cseq.number;
        session.ack_due = now() + kAckWait;
    }
    accept(session, origin, sdp.written(), false);
    arm(session);
}

void Gateway::Engine::on_ack(Session& session, const sip::Message& ack) {
    if (session.ack_due == kNever) return;  // it came again
    session.ack_due = kNever;
    acknowledge(session.origin);
    const Handle<Conversation> conversation = session.conversation;
    const bool usable = (!session.offered || take_answer(session, ack)) && !is_lost(session);
    session.offered = false;
    if (session.state == Session::State::kEnding) return;
    if (!usable) {
        end_session(session);
    } else if (session.state == Session::State::kAnswered) {
        open(session);
    } else {
        arm(session);
    }
    go_on(conversation);
}

}  // namespace fedgate::gateway
