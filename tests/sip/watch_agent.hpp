// A small user agent over the engines of sip/, for tests: it watches one peer (Subscriber) and is
// watched by any number (Notifier), over a transport that loses datagrams. Pure like the engines:
// receive(), on_time(), and a function that takes what goes out. `document` is what it tells.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "sip/dialog.hpp"
#include "sip/subscription.hpp"
#include "sip/transaction.hpp"
#include "tests/sip/sip_support.hpp"

namespace fedgate::sip::test {

struct WatchSettings {
    std::string uri;       // whose agent it is
    std::string peer_uri;  // whom it watches
    std::string host;      // "127.0.0.1"
    std::uint16_t port = 0;
    std::uint32_t maker = 1;
    std::string package = "presence";
    std::string contact_user = "agent";
    std::string document_type = "text/plain";
    SubscriberTiming subscriber;
    NotifierTiming notifier;
};

class WatchAgent {
public:
    // `next_hop`: a URI, or empty: the peer itself.
    using Send = std::function<void(Bytes bytes, Bytes next_hop)>;
    WatchAgent(WatchSettings settings, std::uint32_t seed, Send send)
        : settings_(std::move(settings)),
          random_(seed),
          send_(std::move(send)),
          subscriber(settings_.subscriber, static_cast<std::uint16_t>(random_())) {}

    // The user's. What is done shows in `reports`, the last document seen in `seen`.
    void subscribe(Instant now) { run(subscriber.subscribe(now), now); }
    void fetch(Instant now) { run(subscriber.fetch(now), now); }
    void unsubscribe(Instant now) { run(subscriber.unsubscribe(now), now); }
    void change(const std::string& to, bool urgent, Instant now) {
        document = to;
        for_each_watch([&](Watch& w) { return w.notifier.change(urgent, now); }, now);
    }
    void approve(Instant now) {
        for_each_watch([&](Watch& w) { return w.notifier.approve(now); }, now);
    }
    void end(const char* reason, std::uint32_t retry_after, Instant now) {
        for_each_watch([&](Watch& w) { return w.notifier.end(reason, retry_after, now); }, now);
    }
    // As if it had been restarted: the dialogs of its watchers are gone.
    void lose_watches() { watches_.clear(); }

    void receive(Bytes bytes, Instant now) {
        std::string memory(bytes);
        const Frame frame = read_datagram(memory, kBodyMax, message_);
        if (frame.kind != FrameKind::kMessage) return;
        message_.is_request ? on_request(now) : on_response(now);
    }
    [[nodiscard]] Instant deadline() const {
        Instant first = subscriber.deadline();
        for (const Watch& w : watches_) first = std::min(first, w.notifier.deadline());
        for (const auto& [branch, c] : clients_) first = std::min(first, c.machine.deadline());
        for (const auto& [key, s] : servers_) first = std::min(first, s.machine.deadline());
        return first;
    }
    void on_time(Instant now) {
        while (subscriber.deadline() <= now) run(subscriber.on_time(now), now);
        for_each_watch(
            [&](Watch& w) {
                return w.notifier.deadline() <= now ? w.notifier.on_time(now)
                                                    : NotifierActions::kNone;
            },
            now);
        for (auto at = clients_.begin(); at != clients_.end();) {
            auto& [branch, client] = *at++;
            if (client.machine.deadline() <= now) on_client_time(branch, client, now);
        }
        for (auto at = servers_.begin(); at != servers_.end();) {
            const bool over = at->second.machine.deadline() <= now &&
                              has(at->second.machine.on_time(now), Actions::kTerminated);
            at = over ? servers_.erase(at) : std::next(at);
        }
    }
    // Nothing is kept, nothing is waited for.
    [[nodiscard]] bool is_idle() const {
        return clients_.empty() && servers_.empty() && watches_.empty() && !dialog_ &&
               deadline() == kNever;
    }
    [[nodiscard]] std::size_t watch_count() const { return watches_.size(); }
    // Is the peer's subscriber in a dialog with us that we hold for active?
    [[nodiscard]] bool agrees_with(const WatchAgent& peer) const {
        for (const Watch& w : watches_) {
            if (peer.dialog_ && w.dialog.local_tag() == peer.dialog_->remote_tag()) {
                return w.notifier.state() == NotifierState::kActive && peer.seen == document;
            }
        }
        return false;
    }

    bool approves = true;  // who comes new
    std::string document;
    std::string seen;
    std::string reports;  // P A L E F, in their order

private:
    struct Watch {
        Dialog dialog;
        Notifier notifier;
        std::string notify_branch;
        bool done = false;
    };
    struct Client {
        Transaction machine;
        std::string bytes;
        std::string next_hop;
        Method method;
        std::uint8_t attempt;
    };
    struct Server {
        Transaction machine;
        std::string response;
    };
    static constexpr KeySecret kSecret = {3, 4};
    static constexpr TransactionTiming kTiming{};

    template <typename Do>
    void for_each_watch(Do&& act, Instant now) {
        for (Watch& w : watches_) {
            if (!w.done) run(act(w), w, now);
        }
        watches_.remove_if([](const Watch& w) { return w.done; });
    }

    TokenRandom token() {
        TokenRandom out;
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random_());
        return out;
    }
    std::string tag() { return std::string(make_tag(settings_.maker, token()).view()); }

    // Subscriber's actions.
    void run(SubscriberActions actions, Instant now) {
        using A = SubscriberActions;
        if (has(actions, A::kForget)) {
            dialog_.reset();
            call_id_.clear();
        }
        if (has(actions, A::kSendInitial)) {
            call_id_ = tag();
            tag_ = tag();
            RequestHead head;
            head.method = method_text(Method::kSubscribe);
            head.uri = settings_.peer_uri;
            head.from = {{}, settings_.uri, tag_};
            head.to = {{}, settings_.peer_uri, {}};
            head.call_id = call_id_;
            send_subscribe(head, {}, now);
        }
        if (has(actions, A::kSendRefresh)) {
            RequestHead head;
            if (dialog_ && dialog_->next_request(Method::kSubscribe, head)) {
                send_subscribe(head, dialog_->next_hop(), now);
            }
        }
        if (has(actions, A::kReportPending)) reports += 'P';
        if (has(actions, A::kReportActive)) reports += 'A';
        if (has(actions, A::kReportLost)) reports += 'L';
        if (has(actions, A::kReportEnded)) reports += 'E';
        if (has(actions, A::kReportFinal)) reports += 'F';
    }

    void run(NotifierActions actions, Watch& watch, Instant now) {
        using N = NotifierActions;
        RequestHead head;
        if (has(actions, N::kSendNotify) && watch.dialog.next_request(Method::kNotify, head)) {
            char state_memory[100];
            Sink state{MutableBytes(state_memory)};
            watch.notifier.write_state(state, now);
            const std::string line = "Subscription-State: " + std::string(state.written()) + "\r\n";
            const bool tells = approves && watch.notifier.state() != NotifierState::kPending;
            watch.notify_branch = request(Method::kNotify, head, watch.dialog.next_hop(), line,
                                          tells ? Bytes(document) : Bytes{}, now);
        }
        if (has(actions, N::kDone)) watch.done = true;
    }

    void send_subscribe(RequestHead& head, Bytes next_hop, Instant now) {
        request(Method::kSubscribe, head, next_hop,
                "Accept: application/pidf+xml\r\nExpires: " + std::to_string(subscriber.expires()) +
                    "\r\n",
                {}, now);
    }

    std::string request(Method method, RequestHead& head, Bytes next_hop, const std::string& fields,
                        Bytes body, Instant now) {
        const std::string branch(make_branch({settings_.maker, 0, token()}).view());
        head.via = {Transport::kUdp, settings_.host, settings_.port, branch, true};
        Sink out{MutableBytes(out_)};
        write_request_head(out, head);
        write_contact(out, contact());
        write_header(out, HeaderName::kEvent, settings_.package);
        out.append(fields);
        write_body(out, body.empty() ? Bytes{} : Bytes(settings_.document_type), body);
        FEDGATE_CHECK(!out.overflowed());
        const auto [at, fresh] = clients_.emplace(
            branch, Client{Transaction(TransactionKind::kClientOther, kTiming, false),
                           std::string(out.written()), std::string(next_hop), method,
                           subscriber.attempt()});
        FEDGATE_CHECK(fresh);
        static_cast<void>(at->second.machine.start(now));
        send_(at->second.bytes, at->second.next_hop);
        return branch;
    }
    OwnContact contact() const {
        return {settings_.contact_user, settings_.host, settings_.port, Transport::kUdp, false};
    }

    void on_client_time(const std::string& branch, Client& client, Instant now) {
        const Actions did = client.machine.on_time(now);
        if (has(did, Actions::kSend)) send_(client.bytes, client.next_hop);
        if (!has(did, Actions::kTerminated)) return;
        const std::string name = branch;
        const Method method = client.method;
        const std::uint8_t attempt = client.attempt;
        clients_.erase(name);
        if (!has(did, Actions::kReportTimeout)) return;
        if (method == Method::kSubscribe) return run(subscriber.on_no_answer(attempt, now), now);
        for_each_watch(
            [&](Watch& w) {
                return w.notify_branch == name ? w.notifier.on_no_answer(now)
                                               : NotifierActions::kNone;
            },
            now);
    }

    void on_response(Instant now) {
        const std::string branch(message_.via.branch);
        const auto at = clients_.find(branch);
        if (at == clients_.end() || message_.cseq.method != at->second.method) return;
        const Method method = at->second.method;
        const std::uint8_t attempt = at->second.attempt;
        const Actions did = at->second.machine.step(received_event(message_.status), now);
        if (!has(did, Actions::kPassUp) || message_.status < 200) return;
        const Answer answer = read_answer(message_);
        if (method == Method::kSubscribe) {
            if (dialog_ && attempt == subscriber.attempt()) {
                static_cast<void>(dialog_->on_response(method, message_));
            }
            return run(subscriber.on_answer(attempt, answer, now), now);
        }
        for_each_watch(
            [&](Watch& w) {
                return w.notify_branch == branch ? w.notifier.on_answer(answer, now)
                                                 : NotifierActions::kNone;
            },
            now);
    }

    void on_request(Instant now) {
        const TransactionKey key = server_key(kSecret, message_);
        const std::pair name(key.high, key.low);
        if (const auto known = servers_.find(name); known != servers_.end()) {
            const Actions did = known->second.machine.step(TransactionEvent::kRequestAgain, now);
            if (has(did, Actions::kSend)) send_(known->second.response, {});
            return;
        }
        Server& server =
            servers_
                .emplace(name,
                         Server{Transaction(TransactionKind::kServerOther, kTiming, false), {}})
                .first->second;
        static_cast<void>(server.machine.start(now));
        if (message_.method == Method::kSubscribe) return on_subscribe(server, now);
        if (message_.method == Method::kNotify) return on_notify(server, now);
        answer(server, 405, {}, {}, now);
    }

    void answer(Server& server, std::uint16_t status, Bytes to_tag, const std::string& fields,
                Instant now) {
        Sink out{MutableBytes(out_)};
        write_response_head(out, message_, {status, {}, to_tag, {}, 0});
        if (status / 100 == 2) {
            write_record_routes(out, message_);
            write_contact(out, contact());
        }
        out.append(fields);
        write_no_body(out);
        FEDGATE_CHECK(!out.overflowed());
        server.response = out.written();
        static_cast<void>(server.machine.step(sending_event(status), now));
        send_(server.response, {});
    }

    void on_subscribe(Server& server, Instant now) {
        const ExpiresVerdict verdict = judge_expires(message_, settings_.notifier);
        Watch* watch = nullptr;
        if (!message_.to.tag.empty()) {
            for (Watch& w : watches_) {
                const bool same = w.dialog.key(kSecret) == dialog_key(kSecret, message_);
                if (same && w.notifier.state() != NotifierState::kTerminated) watch = &w;
            }
            if (watch == nullptr) return answer(server, 481, tag(), {}, now);
            const std::uint16_t status = watch->dialog.on_request(message_);
            if (status != 0) return answer(server, status, {}, {}, now);
        }
        if (verdict.status != 200) {
            return answer(server, verdict.status, tag(),
                          "Min-Expires: " + std::to_string(settings_.notifier.expires_min) + "\r\n",
                          now);
        }
        const std::string expires = "Expires: " + std::to_string(verdict.seconds) + "\r\n";
        if (watch != nullptr) {
            answer(server, 200, {}, expires, now);
            run(watch->notifier.on_subscribe(verdict.seconds, now), *watch, now);
        } else {
            const std::string own = tag();
            auto dialog = Dialog::from_request(message_, own);
            if (!dialog) return answer(server, Dialog::refusal(dialog.error()), own, {}, now);
            watches_.push_back(
                {std::move(*dialog), Notifier(settings_.notifier, approves), {}, false});
            watch = &watches_.back();
            answer(server, 200, own, expires, now);
            run(watch->notifier.start(verdict.seconds, now), *watch, now);
        }
        watches_.remove_if([](const Watch& w) { return w.done; });
    }

    void on_notify(Server& server, Instant now) {
        const bool known = dialog_ && dialog_->key(kSecret) == dialog_key(kSecret, message_);
        const bool first = !dialog_ && !call_id_.empty() &&
                           dialog_key(kSecret, call_id_, tag_, {}) ==
                               dialog_key(kSecret, message_.call_id, message_.to.tag, {});
        if (!known && !first) return answer(server, 481, tag(), {}, now);
        SubscriptionState says;
        const std::uint16_t judged = judge_notify(message_, {settings_.package, {}}, says);
        if (judged != 0) return answer(server, judged, {}, {}, now);
        if (known) {
            const std::uint16_t status = dialog_->on_request(message_);
            if (status != 0) return answer(server, status, {}, {}, now);
        } else {
            auto dialog = Dialog::from_request(message_, tag_, 1);
            if (!dialog) return answer(server, Dialog::refusal(dialog.error()), {}, {}, now);
            dialog_.emplace(std::move(*dialog));
        }
        answer(server, 200, {}, {}, now);
        if (!message_.body.empty()) seen = message_.body;
        run(subscriber.on_notify(says, now), now);
    }

    WatchSettings settings_;
    std::mt19937 random_;
    Send send_;
    Message message_;
    std::array<char, 8'192> out_;
    std::map<std::string, Client> clients_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, Server> servers_;
    std::list<Watch> watches_;
    std::optional<Dialog> dialog_;
    std::string call_id_;
    std::string tag_;

public:
    Subscriber subscriber;
};

}  // namespace fedgate::sip::test
