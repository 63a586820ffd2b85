// Watches and SIP: SUBSCRIBE out, its answers and NOTIFY in. What comes of a subscription is
// decided by sip/subscription; here its actions are done.
#include "appliance/gateway/pidf.hpp"
#include "appliance/gateway/text.hpp"
#include "appliance/gateway/watches.hpp"
#include "core/base/hash.hpp"

namespace fedgate::gateway {
namespace {

using A = sip::SubscriberActions;

constexpr Bytes kPresencePackage = "presence";

// A tag of ours has the watch's place in the slab, and behind that what only we know.
sip::TokenRandom random_part(std::uint32_t place, std::uint64_t secret) {
    sip::TokenRandom random;
    static_assert(sizeof random == sizeof place + sizeof secret);
    std::memcpy(random.data(), &place, sizeof place);
    std::memcpy(random.data() + sizeof place, &secret, sizeof secret);
    return random;
}

// PRES-35: he who is watched does not want it, or his server knows no presence.
bool is_refusal(std::uint16_t status) { return status == 403 || status == 489 || status == 603; }

}  // namespace

// ---- SUBSCRIBE

void Watches::run(Watch& watch, A actions) {
    const bool was_in_dialog = watch.dialog.has_value();
    if (has(actions, A::kForget)) {
        watch.dialog.reset();
        watch.tag = 0;
    }
    if (has(actions, A::kSendInitial)) watch.unsent = !send_subscribe(watch, true);
    if (has(actions, A::kSendRefresh)) watch.unsent = !send_subscribe(watch, false);
    if (has(actions, A::kReportPending) && watch.has_prober()) watch.owe(Debt::kAnswer);
    if (has(actions, A::kReportActive)) on_active(watch);
    if (has(actions, A::kReportLost)) on_lost(watch);
    if (has(actions, A::kReportEnded)) on_ended(watch, was_in_dialog);
    if (has(actions, A::kReportFinal)) on_final(watch);
}

// False: on_no_answer() is to follow; `fault` says why.
bool Watches::send_subscribe(Watch& watch, bool initial) {
    const Pair pair(watch);
    SipAgent& agent = host_.agent();
    const rules::SipDomain* domain = host_.rules().sip_domain(pair.sip.domain_ascii);
    watch.fault = LocalFault::kNoNextHop;
    if (domain == nullptr) return false;
    char from_memory[kUriBytes];
    char to_memory[kUriBytes];
    Sink from{MutableBytes(from_memory)};
    Sink to{MutableBytes(to_memory)};
    sip::RequestHead head;
    sip::Tag tag;
    std::array<char, 2 * sizeof(Key)> call_id;
    if (initial) {
        const auto secret = host_.random().bytes<sizeof watch.tag>();
        std::memcpy(&watch.tag, secret.data(), secret.size());
        watch.tag |= 1;  // 0: none
        watch.cseq = 1;
        tag = agent.make_tag(random_part(watch.self.index, watch.tag));
        write_aor(pair.xmpp, from);  // without a `gr`: whichever of his devices it is
        domain->phone ? write_phone_aor(pair.sip, to) : write_aor(pair.sip, to);
        call_id = call_id_of(tag.view());
        head.method = sip::method_text(sip::Method::kSubscribe);
        head.uri = to.written();
        head.from = {{}, from.written(), tag.view()};
        head.to = {{}, to.written(), {}};
        head.call_id = Bytes(call_id.data(), call_id.size());
    } else if (!watch.dialog || !watch.dialog->next_request(sip::Method::kSubscribe, head)) {
        return false;
    }
    SipRoute& route = agent.route_of(*domain);
    head.via = agent.likely_via(route);
    Sink out{host_.request_memory()};
    write_subscribe(pair, watch, *domain, head, out);
    watch.fault = LocalFault::kOverload;
    ClientRequest* request = agent.make_request(route, RequestKind::kSubscribe);
    if (request == nullptr) return false;
    if (out.overflowed() || !agent.fill(*request, {}, out.written())) {
        agent.release(*request);
        return false;
    }
    request->owner = watch.self.pack();
    request->attempt = watch.subscriber.attempt();
    sending_ = &watch;
    initial ? agent.send(*request) : agent.send_in_dialog(*request, *watch.dialog);
    return std::exchange(sending_, nullptr) != nullptr;
}

// PRES-30.
void Watches::write_subscribe(const Pair& pair, const Watch& watch, const rules::SipDomain& domain,
                              sip::RequestHead& head, Sink& out) {
    sip::write_request_head(out, head);
    const SipRoute& route = host_.agent().route_of(domain);
    char memory[kUriBytes];
    Sink aor{MutableBytes(memory)};
    write_aor(pair.xmpp, aor);
    const Bytes user = aor.written().substr(4, aor.written().find('@') - 4);  // behind "sip:"
    host_.agent().write_contact(out, user, route);
    sip::write_header(out, sip::HeaderName::kEvent, kPresencePackage);
    sip::write_header(out, sip::HeaderName::kAccept, kPidfType);
    sip::write_header_number(out, sip::HeaderName::kExpires, watch.subscriber.expires());
    if (domain.send_pai) {  // SIP-33
        out.append("P-Asserted-Identity: <");
        out.append(aor.written());
        out.append(">\r\n");
    }
    sip::write_header(out, sip::HeaderName::kUserAgent, "Fedgate");
    sip::write_no_body(out);
}

// One for each tag: nothing to keep.
std::array<char, 2 * sizeof(Key)> Watches::call_id_of(Bytes tag) const {
    const Key key = host_.keys().make({tag});
    std::array<std::uint8_t, sizeof key> bytes;
    std::memcpy(bytes.data(), &key, sizeof key);
    return to_hex(bytes);
}

void Watches::on_request_done(ClientRequest& request, const sip::Message* response,
                              LocalFault fault) {
    Watch* const watch = slab_.find(Handle<Watch>::unpack(request.owner));
    const std::uint8_t attempt = request.attempt;
    const std::uint32_t cseq = request.cseq;
    host_.agent().release(request);
    if (watch == nullptr || is_gone(*watch)) return;
    watch->fault = response != nullptr ? LocalFault::kPayload : fault;
    if (watch == sending_ && attempt == watch->subscriber.attempt()) {  // within its own send()
        sending_ = nullptr;
        return;
    }
    const bool is_present = attempt == watch->subscriber.attempt();
    const bool is_of_dialog = is_present && watch->dialog;
    if (is_present) watch->cseq = cseq;
    if (is_of_dialog) watch->dialog->note_cseq(cseq);
    if (response == nullptr) {
        // One node of a pool went with the dialogs that go through it: anew, by the others.
        const Way* way = find_way(*watch);
        const bool other_way = is_of_dialog && way != nullptr && way->is_up &&
                               watch->subscriber.state() == sip::SubscriberState::kActive;
        run(*watch, other_way ? watch->subscriber.on_answer(attempt, {481, {}, {}, {}}, now())
                              : watch->subscriber.on_no_answer(attempt, now()));
    } else {
        if (is_of_dialog) {
            static_cast<void>(watch->dialog->on_response(sip::Method::kSubscribe, *response));
        }
        run(*watch, watch->subscriber.on_answer(attempt, sip::read_answer(*response), now()));
    }
    settle(*watch);
}

// ---- NOTIFY

// SIP-22, PRES-47: by our tag, the Call-ID, and, once there is a dialog, by its other tag. It may
// come before the 2xx.
Watch* Watches::find_by_tag(const sip::Message& notify) {
    const auto random = sip::random_of_tag(notify.to.tag);
    if (!random) return nullptr;
    std::uint32_t place;
    std::memcpy(&place, random->data(), sizeof place);
    Watch* const watch = slab_.find_at(place);
    if (watch == nullptr || is_gone(*watch) || watch->tag == 0 ||
        random_part(place, watch->tag) != *random) {
        return nullptr;
    }
    const auto call_id = call_id_of(notify.to.tag);
    if (notify.call_id != Bytes(call_id.data(), call_id.size())) return nullptr;
    if (watch->dialog && watch->dialog->remote_tag() != notify.from.tag) return nullptr;
    const sip::SubscriberState state = watch->subscriber.state();
    const bool over =
        state == sip::SubscriberState::kInit || state == sip::SubscriberState::kTerminated;
    return over ? nullptr : watch;
}

std::uint16_t Watches::enter_dialog(Watch& watch, const sip::Message& notify) {
    if (watch.dialog) return watch.dialog->on_request(notify);
    auto dialog = sip::Dialog::from_request(notify, notify.to.tag, watch.cseq);
    if (!dialog) return sip::Dialog::refusal(dialog.error());
    watch.dialog = std::move(*dialog);
    watch.unheard_of = true;
    return 0;
}

bool Watches::take_notify(const sip::Message& notify, const rules::SipDomain& of_peer,
                          const Origin& origin) {
    if (!host_.has_room()) return false;
    Watch* const watch = find_by_tag(notify);
    sip::SubscriptionState says;
    std::uint16_t status = watch == nullptr ? std::uint16_t{481} : std::uint16_t{0};
    if (status != 0) {
        host_.answer(origin, {status, {}});
        return true;
    }
    const Pair pair(*watch);
    if (host_.rules().sip_domain(pair.sip.domain_ascii) != &of_peer) status = 403;  // SIP-32
    if (status == 0) status = sip::judge_notify(notify, {kPresencePackage, {}}, says);
    if (status == 0) status = enter_dialog(*watch, notify);
    if (status != 0) {
        host_.answer(origin, {status, {}});
        return true;
    }
    const bool has_document =
        !notify.body.empty() && is_pidf_type(notify.value(sip::HeaderName::kContentType));
    if (!notify.body.empty() && !has_document) {  // PRES-17: the dialog lives
        host_.answer(origin, {415, {}}, "Accept: application/pidf+xml\r\n");
    } else {
        host_.answer(origin, {200, {}});
    }
    take_state(*watch, pair, notify, says, has_document);
    settle(*watch);
    return true;
}

// A body comes before what its NOTIFY does, but for the first one, which comes behind `subscribed`.
void Watches::take_state(Watch& watch, const Pair& pair, const sip::Message& notify,
                         const sip::SubscriptionState& says, bool has_document) {
    if (watch.is_granted() && watch.subscriber.state() == sip::SubscriberState::kLeft) {
        // PRES-44: the last one of what has ended, and was taken back.
        return run(watch, watch.subscriber.on_notify(says, now()));
    }
    watch.eager = false;
    const Bytes document = has_document ? notify.body : Bytes();
    const Bytes language =
        first_language_tag(notify.value(sip::HeaderName::kContentLanguage));  // PRES-8
    if (says.is("terminated") && watch.approval != Approval::kAsked) {
        show(watch, pair, document, language);
        return run(watch, watch.subscriber.on_notify(says, now()));
    }
    run(watch, watch.subscriber.on_notify(says, now()));
    const bool is_first = watch.unheard_of && says.is("active");
    if (is_first) watch.unheard_of = false;
    if (watch.owes(Debt::kApproval)) {
        watch.waiting().document = document;
        watch.waiting().language = language;
    } else if (says.is("active")) {  // PRES-32
        if (is_first && notify.body.empty()) forget_state(watch);
        watch.restored = false;
        show(watch, pair, document, language);
    }
}

// PRES-31, PRES-33.
void Watches::on_active(Watch& watch) {
    if (watch.approval == Approval::kAsked) {
        watch.approval = Approval::kGranted;
        keep(watch);
    }
    if (watch.approval == Approval::kGranted && !watch.leaving) watch.owe(Debt::kApproval);
}

// PRES-39, PRES-41, PRES-51, PRES-55; and when nobody wants it any more (PRES-42).
void Watches::on_lost(Watch& watch) {
    const LocalFault fault = watch.fault;
    if (fault == LocalFault::kDraining) return;  // the next process goes on
    const bool unreached = watch.subscriber.status() == 408 && watch.wanted &&
                           (fault == LocalFault::kUnreachable || fault == LocalFault::kNoNextHop ||
                            fault == LocalFault::kTimeout || fault == LocalFault::kInDoubt);
    watch.eager = unreached;
    if (watch.has_prober()) watch.owe(Debt::kAnswer);
    if (watch.is_granted()) {
        watch.owe(Debt::kTakeBack);
        if (unreached && !watch.outage_told) watch.owe(Debt::kOutage);
    } else if (watch.approval == Approval::kAsked && forgotten_at(watch) <= now()) {
        give_up(watch);
    }
}

// PRES-39. The user is told why.
void Watches::give_up(Watch& watch) {
    static_cast<void>(watch.subscriber.unsubscribe(now()));
    watch.status =
        watch.fault == LocalFault::kPayload ? watch.subscriber.status() : std::uint16_t{0};
    watch.approval = Approval::kNone;
    watch.owe(Debt::kError);
    keep(watch);
}

void Watches::on_ended(Watch& watch, bool was_in_dialog) {
    const std::uint16_t status = watch.subscriber.status();
    if (watch.resting && !watch.leaving) {  // PRES-46
        watch.resting = false;
        return watch.owe(Debt::kTakeBack);
    }
    watch.resting = false;
    if (watch.approval == Approval::kNone) {  // PRES-45: a poll
        if (!watch.has_prober()) return;
        return watch.owe(is_refusal(status) ? Debt::kEnd : Debt::kAnswer);
    }
    // PRES-36: whoever has never been answered is told why. Else PRES-35, PRES-43, PRES-52,
    // PRES-53.
    const bool tells_why = watch.approval == Approval::kAsked && !was_in_dialog && status != 0 &&
                           !is_refusal(status) && !watch.leaving;
    watch.status = status;
    watch.owe(Debt::kTakeBack);
    watch.owe(tells_why ? Debt::kError : Debt::kEnd);
    watch.forgive(Debt::kApproval);
    watch.approval = Approval::kNone;
    watch.leaving = false;
    keep(watch);
}

// PRES-54: it will not change, so there is nothing more to ask for.
void Watches::on_final(Watch& watch) {
    if (watch.approval == Approval::kNone) {
        if (watch.has_prober()) watch.owe(Debt::kAnswer);
        return;
    }
    watch.stands = true;
    on_active(watch);
}

}  // namespace fedgate::gateway
