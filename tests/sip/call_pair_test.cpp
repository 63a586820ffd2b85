// A caller and a callee over a network that loses, doubles and reorders, in virtual time: INVITE
// with its four machines, ACKs, CANCEL, dialogs and BYE together, with real messages. One seed, one
// run.
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "sip/dialog.hpp"
#include "sip/transaction.hpp"
#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

constexpr KeySecret kSecret = {5, 6};
constexpr TransactionTiming kTiming{};

class CallAgent {
public:
    CallAgent(std::string name, std::string peer, std::uint32_t seed,
              std::function<void(Bytes)> send)
        : name_(std::move(name)), peer_(std::move(peer)), random_(seed), send_(std::move(send)) {}

    // The user's.
    void call(Instant now) {
        const std::string target = "sip:" + peer_;
        const std::string call_id = tag();
        local_tag_ = tag();
        RequestHead head;
        head.method = method_text(Method::kInvite);
        head.uri = target;
        head.from = {{}, uri_, local_tag_};
        head.to = {{}, target, {}};
        head.call_id = call_id;
        invite_branch_ = request(Method::kInvite, head, now);
        invite_ = clients_.at(invite_branch_).bytes;
        given_up_at_ = now + 180s;  // nobody rings for longer
    }
    void cancel(Instant now) {
        given_up_at_ = kNever;
        cancelled_ = true;
        const auto at = clients_.find(invite_branch_);
        if (at == clients_.end()) return;
        did(*at, at->second.machine.step(TransactionEvent::kCancel, now), now);
    }
    // True when this is the call's success.
    bool answer(std::uint16_t status, Instant now) {
        const auto at = servers_.find(incoming_);
        if (at == servers_.end()) return false;
        std::string request = at->second.request;
        static_cast<void>(parse_message(request, Carrier::kDatagram, test::kBodyMax, message_));
        const bool success =
            status / 100 == 2 && at->second.machine.state() == TransactionState::kProceeding;
        if (success) {
            auto made = Dialog::from_request(message_, local_tag_);
            FEDGATE_CHECK(made.has_value());
            dialog.emplace(std::move(*made));
        }
        respond(at->second, status, now);
        return success;
    }
    void hang_up(Instant now) {
        RequestHead head;
        if (dialog && dialog->next_request(Method::kBye, head)) request(Method::kBye, head, now);
        dialog.reset();
    }

    void receive(Bytes bytes, Instant now) {
        std::string memory(bytes);
        if (read_datagram(memory, test::kBodyMax, message_).kind != FrameKind::kMessage) return;
        message_.is_request ? on_request(bytes, now) : on_response(now);
    }
    [[nodiscard]] Instant deadline() const {
        Instant first = given_up_at_;
        for (const auto& [branch, c] : clients_) first = std::min(first, c.machine.deadline());
        for (const auto& [key, s] : servers_) first = std::min(first, s.machine.deadline());
        return first;
    }
    void on_time(Instant now) {
        if (given_up_at_ <= now) cancel(now);
        for (auto at = clients_.begin(); at != clients_.end();) {
            auto& one = *at++;
            if (one.second.machine.deadline() <= now)
                did(one, one.second.machine.on_time(now), now);
        }
        for (auto at = servers_.begin(); at != servers_.end();) {
            Server& server = at->second;
            Actions run = Actions::kNone;
            if (server.machine.deadline() <= now) run = server.machine.on_time(now);
            if (has(run, Actions::kSendTrying)) {
                std::string request = server.request;
                static_cast<void>(
                    parse_message(request, Carrier::kDatagram, test::kBodyMax, message_));
                server.response = response(100);
                send_(server.response);
            }
            if (has(run, Actions::kSend)) send_(server.response);
            if (has(run, Actions::kReportTimeout)) hang_up(now);  // RFC 3261 13.3.1.4
            at = has(run, Actions::kTerminated) ? servers_.erase(at) : std::next(at);
        }
    }
    [[nodiscard]] bool is_idle() const {
        return clients_.empty() && servers_.empty() && !dialog && deadline() == kNever;
    }
    [[nodiscard]] bool is_asked() const { return servers_.contains(incoming_); }

    std::optional<Dialog> dialog;
    int last_status = 0;  // of the INVITE; 0: none

private:
    struct Client {
        Transaction machine;
        std::string bytes;
        Method method;
    };
    struct Server {
        Transaction machine;
        std::string request;
        std::string response;
    };
    using Key = std::pair<std::uint64_t, std::uint64_t>;

    TokenRandom token() {
        TokenRandom out;
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random_());
        return out;
    }
    std::string tag() { return std::string(make_tag(1, token()).view()); }
    void write_contact_line(Sink& out) {
        write_contact(out, {"x", name_, 5060, Transport::kUdp, false});
    }
    std::string request(Method method, RequestHead& head, Instant now) {
        const std::string branch(make_branch({1, 0, token()}).view());
        head.via = {Transport::kUdp, name_, 5060, branch, true};
        Sink out{MutableBytes(out_)};
        write_request_head(out, head);
        if (method != Method::kAck && method != Method::kBye) write_contact_line(out);
        write_no_body(out);
        if (method == Method::kAck) {
            send_(out.written());
            return branch;
        }
        return start(branch, method, out.written(), now);
    }
    std::string start(const std::string& branch, Method method, Bytes bytes, Instant now) {
        const auto kind = method == Method::kInvite ? TransactionKind::kClientInvite
                                                    : TransactionKind::kClientOther;
        // A CANCEL has the branch of its INVITE: RFC 3261 9.1.
        const std::string key = method == Method::kCancel ? branch + "c" : branch;
        const auto [at, fresh] = clients_.emplace(
            key, Client{Transaction(kind, kTiming, false), std::string(bytes), method});
        FEDGATE_CHECK(fresh);
        static_cast<void>(at->second.machine.start(now));
        send_(at->second.bytes);
        return key;
    }

    // What a client transaction wants done. It may be gone behind this.
    void did(std::pair<const std::string, Client>& one, Actions run, Instant now) {
        const Method method = one.second.method;
        if (has(run, Actions::kSend)) send_(one.second.bytes);
        if (has(run, Actions::kTerminated)) clients_.erase(std::string(one.first));
        if (has(run, Actions::kSendCancel)) {
            Message own;
            std::string bytes = invite_;
            static_cast<void>(parse_message(bytes, Carrier::kDatagram, test::kBodyMax, own));
            Sink out{MutableBytes(out_)};
            write_cancel(out, own);
            start(invite_branch_, Method::kCancel, out.written(), now);
        }
        if (method == Method::kInvite && has(run, Actions::kReportTimeout)) given_up_at_ = kNever;
    }

    void on_response(Instant now) {
        const std::string branch(message_.via.branch);
        const bool cancel = message_.cseq.method == Method::kCancel;
        const auto at = clients_.find(cancel ? branch + "c" : branch);
        if (at == clients_.end() || message_.cseq.method != at->second.method) return;
        const Actions run = at->second.machine.step(received_event(message_.status), now);
        const bool invite = at->second.method == Method::kInvite;
        if (has(run, Actions::kSendAck)) {
            Message own;
            std::string bytes = invite_;
            static_cast<void>(parse_message(bytes, Carrier::kDatagram, test::kBodyMax, own));
            Sink out{MutableBytes(out_)};
            write_ack(out, own, message_);
            send_(out.written());
        }
        if (invite && has(run, Actions::kPassUp)) on_answer(now);
        did(*at, run, now);
    }
    void on_answer(Instant now) {
        if (message_.status < 200) return;
        given_up_at_ = kNever;
        const bool first = last_status == 0;
        last_status = message_.status;
        if (message_.status >= 300) return;
        if (first) {
            RequestHead sent;
            Message own;
            std::string bytes = invite_;
            static_cast<void>(parse_message(bytes, Carrier::kDatagram, test::kBodyMax, own));
            sent.uri = own.request_uri_text;
            sent.from = {{}, own.from.uri.text, own.from.tag};
            sent.to = {{}, own.to.uri.text, {}};
            sent.call_id = own.call_id;
            sent.cseq = own.cseq.number;
            for (std::optional<Dialog>* const one : {&confirmed_, &dialog}) {
                auto made = Dialog::from_response(sent, message_);
                FEDGATE_CHECK(made.has_value());
                one->emplace(std::move(*made));
            }
        }
        RequestHead ack;  // each time: RFC 3261 13.2.2.4, also when it is over by now
        confirmed_->fill_ack(ack, 1);
        request(Method::kAck, ack, now);
        if (cancelled_ && first) hang_up(now);  // the CANCEL came too late
    }

    std::string response(std::uint16_t status) {
        Sink out{MutableBytes(out_)};
        write_response_head(out, message_, {status, {}, local_tag_, {}, 0});
        if (status / 100 == 2 && message_.method == Method::kInvite) write_contact_line(out);
        write_no_body(out);
        FEDGATE_CHECK(!out.overflowed());
        return std::string(out.written());
    }
    void respond(Server& server, std::uint16_t status, Instant now) {
        const std::string bytes = response(status);
        const Actions run = server.machine.step(sending_event(status), now);
        if (!has(run, Actions::kSend)) return;
        server.response = bytes;
        send_(bytes);
    }
    void on_request(Bytes bytes, Instant now) {
        const TransactionKey hash = server_key(kSecret, message_);
        const Key key(hash.high, hash.low);
        const auto known = servers_.find(key);
        if (message_.method == Method::kAck) return on_ack(known, now);
        if (known != servers_.end()) {
            const Actions run = known->second.machine.step(TransactionEvent::kRequestAgain, now);
            if (has(run, Actions::kSend)) send_(known->second.response);
            return;
        }
        const bool invite = message_.method == Method::kInvite;
        const auto kind = invite ? TransactionKind::kServerInvite : TransactionKind::kServerOther;
        Server& server =
            servers_.emplace(key, Server{Transaction(kind, kTiming, false), std::string(bytes), {}})
                .first->second;
        static_cast<void>(server.machine.start(now));
        if (invite) {
            incoming_ = key;
            local_tag_ = tag();
        } else if (message_.method == Method::kCancel) {
            Server* const found =
                find_cancelled(kSecret, message_, [this](const TransactionKey& of) -> Server* {
                    const auto at = servers_.find(Key(of.high, of.low));
                    return at == servers_.end() ? nullptr : &at->second;
                });
            const CancelVerdict verdict = judge_cancel(found ? &found->machine : nullptr);
            respond(server, verdict.status, now);
            if (verdict.end_invite) answer(487, now);
        } else {  // BYE
            const bool ours = dialog && dialog->key(kSecret) == dialog_key(kSecret, message_);
            const std::uint16_t status = ours ? dialog->on_request(message_) : 481;
            if (status == 0) dialog.reset();
            respond(server, status == 0 ? 200 : status, now);
        }
    }
    void on_ack(std::map<Key, Server>::iterator known, Instant now) {
        auto at = known;
        // That of a 2xx is a transaction of its own: it is found by its dialog.
        if (at == servers_.end()) at = servers_.find(incoming_);
        if (at != servers_.end()) {
            static_cast<void>(at->second.machine.step(TransactionEvent::kAck, now));
        }
    }

    std::string name_;
    std::string uri_ = "sip:" + name_;
    std::string peer_;
    std::mt19937 random_;
    std::function<void(Bytes)> send_;
    Message message_;
    std::array<char, 8'192> out_;
    std::map<std::string, Client> clients_;
    std::map<Key, Server> servers_;
    Key incoming_;
    std::string invite_;
    std::string invite_branch_;
    std::string local_tag_;
    std::optional<Dialog> confirmed_;
    Instant given_up_at_ = kNever;
    bool cancelled_ = false;
};

class Calls {
public:
    explicit Calls(std::uint32_t seed)
        : random_(seed),
          caller("a.example", "b.example", seed + 1, [this](Bytes bytes) { put(bytes, false); }),
          callee("b.example", "a.example", seed + 2, [this](Bytes bytes) { put(bytes, true); }) {}

    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_()) % n; }

    void run_until(Instant end) {
        while (true) {
            const Instant arrives = network_.empty() ? kNever : network_.begin()->first;
            const Instant due = std::min({arrives, caller.deadline(), callee.deadline()});
            if (due > end || due == kNever) break;
            ASSERT_GE(due, now);
            now = due;
            ASSERT_LT(++steps, 5'000) << "runs in circles";
            while (!network_.empty() && network_.begin()->first <= now) {
                const auto [bytes, to_caller] = std::move(network_.begin()->second);
                network_.erase(network_.begin());
                (to_caller ? caller : callee).receive(bytes, now);
            }
            caller.on_time(now);
            callee.on_time(now);
        }
        if (end != kNever) now = std::max(now, end);
    }

private:
    std::mt19937 random_;

public:
    Instant now = Instant{} + 1h;
    unsigned loss = 0;
    bool broken = false;
    int steps = 0;
    CallAgent caller;
    CallAgent callee;

private:
    void put(Bytes bytes, bool to_caller) {
        if (broken || below(100) < loss) return;
        for (std::uint32_t copies = below(10) == 0 ? 2 : 1; copies > 0; --copies) {
            network_.emplace(now + std::chrono::milliseconds(1 + below(1'500)),
                             std::pair(std::string(bytes), to_caller));
        }
    }
    std::multimap<Instant, std::pair<std::string, bool>> network_;
};

TEST(CallPair, BothSidesAgreeInTheEnd) {  // SIP-10, SIP-19, SIP-22
    constexpr std::uint32_t kSeeds = 1'500;
    std::map<int, int> ends;
    int talks = 0;
    for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Calls world(seed);
        world.loss = world.below(30);
        const bool breaks = world.below(4) == 0;
        bool cancelled = false;
        bool answered = false;
        world.caller.call(world.now);
        for (int i = 0; i < 6; ++i) {
            world.run_until(world.now + std::chrono::milliseconds(world.below(4'000)));
            switch (world.below(breaks ? 8 : 6)) {
                case 0:
                    cancelled = true;
                    world.caller.cancel(world.now);
                    break;
                case 1: world.callee.answer(180, world.now); break;
                case 2: answered = world.callee.answer(200, world.now) || answered; break;
                case 3: world.callee.answer(486, world.now); break;
                case 6: world.broken = true; break;
                case 7: world.broken = false; break;
                default: break;
            }
            if (::testing::Test::HasFatalFailure()) return;
        }
        world.run_until(world.now + 40s);
        if (world.callee.is_asked()) world.callee.answer(480, world.now);  // nobody was there
        world.broken = false;
        world.run_until(world.now + 300s);
        if (::testing::Test::HasFatalFailure()) return;
        if (!breaks) {
            ASSERT_EQ(world.caller.dialog.has_value(), world.callee.dialog.has_value());
            ASSERT_TRUE(world.caller.dialog || !answered || cancelled);
            ++ends[world.caller.last_status];
        }
        if (world.caller.dialog && world.callee.dialog) {
            ++talks;
            ASSERT_EQ(world.caller.dialog->remote_tag(), world.callee.dialog->local_tag());
            ASSERT_EQ(world.caller.dialog->local_tag(), world.callee.dialog->remote_tag());
        }
        if (world.below(2) == 0) world.caller.hang_up(world.now);
        world.run_until(world.now + 100s);
        world.callee.hang_up(world.now);
        world.run_until(world.now + 100s);
        world.caller.hang_up(world.now);
        world.run_until(kNever);
        if (::testing::Test::HasFatalFailure()) return;
        ASSERT_TRUE(world.caller.is_idle());
        ASSERT_TRUE(world.callee.is_idle());
    }
    EXPECT_GT(talks, 150);
    for (const int status : {200, 480, 486, 487}) EXPECT_GT(ends[status], 10) << status;
}

}  // namespace
}  // namespace fedgate::sip
