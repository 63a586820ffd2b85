// What SIP watchers are told: NOTIFYs, a few at a time (R13), and answers to SUBSCRIBE.
#include <span>

#include "appliance/gateway/watchers.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kAorBytes = 4 * xml::kJidBytes;

// "sip:user@host"
Bytes user_of(Bytes aor) {
    const std::size_t begin = aor.find(':') + 1;
    return aor.substr(begin, aor.find('@') - begin);
}

// SIP-7: a document that is too long for a datagram, where the pool speaks nothing else, will be so
// the next time. The subscription ends; the watcher may come again after this.
constexpr std::uint32_t kTooLargeSeconds = 3'600;
constexpr Duration kNotifyPatience = sip::TransactionTiming{}.timeout();  // timer F

// PRES-75. No answer ends the subscription. Where nothing could be sent, or there is no room, it
// stands, and is tried again (RFC 6665 4.2.2, 503): so too where nobody of the pool answers, which
// says nothing of the watcher, who would go on seeing what was true before.
sip::Answer answer_of(LocalFault fault, bool pool_answers) {
    std::uint16_t status = 503;
    if (fault == LocalFault::kTooLarge) status = 200;  // it is over already: not again
    if (pool_answers && (fault == LocalFault::kTimeout || fault == LocalFault::kInDoubt)) {
        status = 408;
    }
    return {status, {}, {}, {}};
}

}  // namespace

void Watchers::write_answer_headers(const AddressView& contact, const SipRoute& route,
                                    std::uint32_t seconds, Sink& headers) {
    char aor_memory[kAorBytes];
    Sink aor{MutableBytes(aor_memory)};
    write_aor(contact, aor);
    sip::write_header_number(headers, sip::HeaderName::kExpires, seconds);
    host_.agent().write_contact(headers, user_of(aor.written()), route);
}

// The dialog may be gone then, never its watcher.
void Watchers::run(WatcherDialog& dialog, sip::NotifierActions actions) {
    using A = sip::NotifierActions;
    if (has(actions, A::kReportGone)) on_gone(dialog);
    if (has(actions, A::kSendNotify) && dialog.over) {  // it was told already
        actions = dialog.notifier.on_answer({200, {}, {}, {}}, now());
    }
    if (has(actions, A::kSendNotify)) {
        NotifyLane& lane = dialog.watcher.domain.lane;
        dialog.waiting = true;
        dialog.next_waiting = nullptr;
        dialog.previous_waiting = lane.last;
        (lane.last != nullptr ? lane.last->next_waiting : lane.first) = &dialog;
        lane.last = &dialog;
    }
    if (has(actions, A::kDone)) free(dialog);
}

// PRES-67, PRES-68, PRES-75: of the last one.
void Watchers::on_gone(const WatcherDialog& dialog) {
    Watcher& watcher = dialog.watcher;
    for (const WatcherDialog* one = watcher.dialogs; one != nullptr; one = one->next) {
        if (one->notifier.state() != sip::NotifierState::kTerminated) return;
    }
    if (watcher.auth == WatcherAuth::kNone || watcher.auth == WatcherAuth::kDenied) return;
    send(watcher, "unavailable");
}

// PRES-79.
void Watchers::tell_all(Watcher& watcher, bool urgent) {
    WatcherDialog* next = nullptr;
    for (WatcherDialog* one = watcher.dialogs; one != nullptr; one = next) {
        next = one->next;
        // PRES-19: the first document is not held back.
        run(*one, one->notifier.change(urgent || !one->told, now()));
    }
}

void Watchers::leave_lane(WatcherDialog& dialog) {
    NotifyLane& lane = dialog.watcher.domain.lane;
    WatcherDialog* const next = dialog.next_waiting;
    WatcherDialog* const previous = dialog.previous_waiting;
    (previous != nullptr ? previous->next_waiting : lane.first) = next;
    (next != nullptr ? next->previous_waiting : lane.last) = previous;
    dialog.waiting = false;
}

void Watchers::send_waiting(NotifyLane& lane) {
    if (lane.sending) return;
    lane.sending = true;
    while (lane.first != nullptr && lane.in_flight < kNotifiesInFlight) {
        if (!send_notify(*lane.first)) {
            host_.shard().loop().timers().arm(again_, now() + kNotifyAgain);
            break;
        }
    }
    lane.sending = false;
}

void Watchers::on_timer(Timer& timer) {
    if (&timer == &going_on_) return go_on();
    if (&timer == &judging_) return judge_some();
    if (&timer == &asking_) return ask_some();
    if (&timer == &freeing_) return free_gone();
    for (auto& [name, lane] : lanes_) send_waiting(lane);
}

// The first of its lane. False: there is no memory for it now.
bool Watchers::send_notify(WatcherDialog& dialog) {
    Watcher& watcher = dialog.watcher;
    NotifyLane& lane = watcher.domain.lane;
    if (is_gone(watcher)) {
        leave_lane(dialog);
        return true;
    }
    SipRoute* route = host_.agent().find_route(watcher.domain.our);
    sip::RequestHead head;
    Address contact;
    if (route == nullptr || !read_jid(watcher.contact_jid(), contact)) {
        leave_lane(dialog);  // the domain is ours no more
        run(dialog, dialog.notifier.on_answer({481, {}, {}, {}}, now()));
        settle(watcher);
        return true;
    }
    ClientRequest* request = host_.agent().make_request(*route, RequestKind::kNotify);
    if (request == nullptr) return false;
    if (!dialog.dialog.next_request(sip::Method::kNotify, head)) {
        host_.agent().release(*request);
        leave_lane(dialog);
        run(dialog, dialog.notifier.on_answer({481, {}, {}, {}}, now()));
        settle(watcher);
        return true;
    }
    head.via = host_.agent().likely_via(*route);
    char aor_memory[kAorBytes];
    Sink aor{MutableBytes(aor_memory)};
    write_aor(contact, aor);
    Sink bytes{host_.request_memory()};
    sip::write_request_head(bytes, head);
    write_notify(dialog, aor.written(), *route, bytes);
    FEDGATE_CHECK(!bytes.overflowed());
    if (!host_.agent().fill(*request, {}, bytes.written())) {
        host_.agent().release(*request);
        return false;
    }
    leave_lane(dialog);
    request->owner = dialog.self.pack();
    request->cseq = head.cseq;
    dialog.over = dialog.notifier.state() == sip::NotifierState::kTerminated;
    ++lane.in_flight;
    host_.agent().send_in_dialog(*request, dialog.dialog);  // its end may come within
    return true;
}

void Watchers::write_notify(WatcherDialog& dialog, Bytes aor, const SipRoute& route, Sink& out) {
    out.append("Event: presence");
    if (dialog.event_id) {  // SIP-23
        out.append(";id=");
        out.append(*dialog.event_id);
    }
    out.append("\r\nSubscription-State: ");
    dialog.notifier.write_state(out, now());
    out.append("\r\n");
    host_.agent().write_contact(out, user_of(aor), route);
    const Watcher& watcher = dialog.watcher;
    const bool ends = dialog.notifier.state() == sip::NotifierState::kTerminated && !dialog.poll;
    const bool lost = is_lost(watcher);
    const bool may_know = dialog.notifier.state() != sip::NotifierState::kPending;
    const bool has_document = !dialog.without_body &&
                              (ends ? dialog.approved_once : may_know && (lost || knows(watcher)));
    if (!has_document) return sip::write_no_body(out);
    dialog.told = true;
    Sink document{host_.stanza_memory()};
    Bytes language;
    if (ends) {  // PRES-67
        Presence closed;
        if (!watcher.presences.empty()) closed.resource = watcher.presences.begin()->resource;
        language = write_pidf(aor, std::span(&closed, 1), true, document, form_for(watcher));
    } else if (lost) {
        write_lost(watcher, aor, document);
    } else {
        const rules::Partner* partner = host_.rules().partner(watcher.domain.their);
        const bool notes = partner == nullptr || partner->passes(rules::Kind::kNotes);  // P8
        language = write_pidf(aor, watcher.presences, notes, document, form_for(watcher));
    }
    if (!language.empty()) {  // PRES-8
        sip::write_header(out, sip::HeaderName::kContentLanguage, language);
    }
    FEDGATE_CHECK(!document.overflowed());
    sip::write_body(out, kPidfType, document.written());
}

// Its last NOTIFY follows, which has no document.
void Watchers::end_for_size(WatcherDialog& dialog) {
    const ContactDomain& domain = dialog.watcher.domain;
    host_.shard().log().event(EventId::kNotifyTooLarge,
                              {{"domain", domain.our}, {"contact", domain.their}});
    dialog.without_body = true;
    static_cast<void>(dialog.notifier.end("giveup", kTooLargeSeconds, now()));
}

void Watchers::on_request_done(ClientRequest& request, const sip::Message* response,
                               LocalFault fault) {
    const auto lane = lanes_.find(Bytes(request.sip_domain()));
    FEDGATE_CHECK(lane != lanes_.end());
    --lane->second.in_flight;
    WatcherDialog* const dialog = dialogs_.find(Handle<WatcherDialog>::unpack(request.owner));
    if (dialog != nullptr && !is_gone(dialog->watcher)) {
        Watcher& watcher = dialog->watcher;
        dialog->dialog.note_cseq(request.cseq);
        if (response != nullptr) {
            static_cast<void>(dialog->dialog.on_response(sip::Method::kNotify, *response));
        }
        const SipRoute* route = host_.agent().find_route(request.sip_domain());
        const bool pool_answers = route != nullptr && route->has_answered_for(kNotifyPatience);
        if (fault == LocalFault::kTooLarge) end_for_size(*dialog);
        run(*dialog,
            dialog->notifier.on_answer(
                response != nullptr ? sip::read_answer(*response) : answer_of(fault, pool_answers),
                now()));
        settle(watcher);
    }
    host_.agent().release(request);
    send_waiting(lane->second);
}

}  // namespace fedgate::gateway
