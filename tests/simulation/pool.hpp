// The SIP side of a simulated federation: a pool of servers with the users' agents behind it.
// Scripted: answers as told, and sends.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "appliance/gateway/chat_state.hpp"
#include "appliance/gateway/receipt.hpp"
#include "core/base/hash.hpp"
#include "core/run/simulation.hpp"
#include "net/address.hpp"
#include "net/connection.hpp"
#include "sip/dialog.hpp"
#include "sip/framer.hpp"
#include "sip/writer.hpp"
#include "tests/simulation/ledger.hpp"

namespace fedgate::simulation {

inline constexpr std::uint16_t kSipPort = 5060;

// The SIP users' agents, behind all nodes of the pool: a request that came before, by whichever
// node, they know by its Call-ID, From tag and CSeq (RFC 3261 8.2.2.2).
struct UserAgents {
    [[nodiscard]] bool knows(const sip::Message& request) {
        const bool is_new =
            seen.insert(std::string(request.call_id) + '|' + std::string(request.from.tag) + '|' +
                        std::to_string(request.cseq.number))
                .second;
        if (!is_new) ++again;
        return !is_new;
    }
    // Of profile lync: they write in sessions, one text after the other, and open one where there
    // is none.
    struct Writer {
        std::string to;
        std::deque<std::pair<std::string, std::string>> texts;  // name, content
        bool busy = false;  // the first of them, or an INVITE for it, is under way
        unsigned calls_tried = 0;
        std::string call;  // Call-ID of his latest
    };
    // The call that a request is in, which has not been forgotten.
    [[nodiscard]] sip::Dialog* find(const sip::Message& request) {
        const auto call = calls.find(std::string(request.call_id));
        const bool same = call != calls.end() && call->second.local_tag() == request.to.tag &&
                          call->second.remote_tag() == request.from.tag;
        return same ? &call->second : nullptr;
    }
    bool in_sessions = false;
    std::map<std::string, sip::Dialog> calls;  // by Call-ID
    std::map<std::string, Writer> writers;     // by URI
    unsigned serial = 0;
    std::set<std::string> seen;
    unsigned again = 0;
};

// A node of the SIP pool: answers MESSAGE as told, and sends: each user by one of the gateways, as
// long as that is there, whoever the owner of his conversations is.
class Pool final : public net::ConnectionOwner, SocketOwner {
public:
    Pool(SimulatedLoop& loop, Ledger& ledger, const std::vector<SocketAddress>& gateways,
         UserAgents& agents, unsigned number)
        : loop_(loop), ledger_(ledger), agents_(agents) {
        for (const SocketAddress& gateway : gateways) ways_.push_back({gateway, {}, {}});
        auto listener = loop_.listen(listen_address(kSipPort, number), *this);
        FEDGATE_CHECK(listener.has_value());
        listener_ = *listener;
        for (auto& [user, writer] : agents_.writers) go_on(user);
    }
    ~Pool() {
        if (!ended_) loop_.close(listener_);
    }
    // Before it is destroyed while the loop runs on, which has a last word on its sockets. A user
    // agent that ends has failed its transactions itself; one whose node does goes to `other`, with
    // a new branch and all else the same.
    void end(Pool* other = nullptr) {
        ended_ = true;
        loop_.close(listener_);
        std::vector<std::string> doubted;
        for (const auto& [name, sent] : std::exchange(pending_, {})) {
            const bool again = sent.again && other != nullptr && other->try_send(name, sent);
            if (!again) note_own_doubt(name, sent, doubted);
        }
        for (const std::string& user : doubted) {
            if (other != nullptr) other->go_on(user);
        }
        for (Way& way : ways_) way.out.reset();
        in_.clear();
        framers_.clear();
    }

    static SocketAddress listen_address(std::uint16_t port, unsigned number = 1);

    struct Sent {
        std::string from;
        std::string to;
        std::string content;  // from Content-Type on
        bool again = true;    // by another node, where this one ends
        std::size_t way = 0;
        // In a call, or for one.
        std::string method = "MESSAGE";
        std::string uri = {};  // empty: `to`
        std::string from_tag = {}, to_tag = {}, call_id = {};
        unsigned cseq = 1;
    };
    [[nodiscard]] bool try_send(const std::string& name, const Sent& sent) {
        const std::size_t number = way_of(sent.from);
        std::unique_ptr<net::Connection>& out = ways_[number].out;
        if (!out) {
            auto connection =
                net::Connection::connect(loop_, *this, {65'536, 1 << 20}, ways_[number].gateway);
            FEDGATE_CHECK(connection.has_value());
            out = std::move(*connection);
        }
        char memory[8'192];
        Sink sink(memory);
        const std::string branch = "z9hG4bK" + name + "x" + std::to_string(++serial_);
        sip::RequestHead head;
        head.method = sent.method;
        head.uri = sent.uri.empty() ? sent.to : sent.uri;
        head.via.transport = sip::Transport::kTcp;
        head.via.host = "pool.sip.example";
        head.via.port = kSipPort;
        head.via.branch = branch;
        const std::string tag = sent.from_tag.empty() ? "t" + name : sent.from_tag;
        head.from = {.display = {}, .uri = sent.from, .tag = tag};
        head.to = {.display = {}, .uri = sent.to, .tag = sent.to_tag};
        head.call_id = sent.call_id.empty() ? name : sent.call_id;
        head.cseq = sent.cseq;
        sip::write_request_head(sink, head);
        sink.append(sent.content);
        FEDGATE_CHECK(!sink.overflowed());
        if (!out->write(sink.written())) return false;
        if (sent.method == "ACK") return true;
        pending_[name] = sent;
        pending_[name].way = number;
        return true;
    }

    // Of profile lync: behind what its user has written before.
    void write(const std::string& name, const std::string& from, const std::string& to,
               const std::string& content) {
        UserAgents::Writer& writer = agents_.writers[from];
        writer.to = to;
        writer.texts.emplace_back(name, content);
        go_on(from);
    }
    // All that their users have: they say so, or forget them.
    void end_calls() {
        for (auto& [id, dialog] : std::exchange(agents_.calls, {})) {
            sip::RequestHead head;
            FEDGATE_CHECK(dialog.next_request(sip::Method::kBye, head));
            static_cast<void>(try_send("b" + std::to_string(++agents_.serial),
                                       in_call(head, dialog, plain_end())));
        }
    }
    void forget_calls() { agents_.calls.clear(); }

    // What stands in one of its MESSAGEs, from Content-Type on.
    static std::string plain(const std::string& text) {
        return content([&](Sink& sink) { sip::write_body(sink, "text/plain", text); });
    }
    std::string asking(const std::string& name, const std::string& from, const std::string& to,
                       const std::string& text) const {
        return content([&](Sink& sink) {
            gateway::write_cpim({from, to, loop_.wall_now(), name, true, "text/plain", false}, text,
                                sink);
        });
    }
    static std::string typing(bool active) {
        return content([&](Sink& sink) {
            char memory[512];
            Sink document(memory);
            gateway::write_is_composing(active, document);
            sip::write_body(sink, gateway::kTypingType, document.written());
        });
    }

    std::uint16_t answer = 200;
    std::uint16_t answer_again = 200;  // to what its user agent knows
    bool knows_sessions = true;        // else INVITE is answered 488
    bool silent = false;               // no answer to MESSAGE
    bool deaf = false;                 // nor to anything else

private:
    void on_accept(Socket, Socket connection, const SocketAddress& peer) override {
        in_.push_back(std::make_unique<net::Connection>(
            loop_, *this, net::ConnectionLimits{65'536, 1 << 20}, connection, peer));
        framers_.emplace(in_.back().get(), sip::Framer(65'536));
    }
    std::size_t on_data(net::Connection& connection, MutableBytes input) override {
        auto& framer = framers_.try_emplace(&connection, 65'536).first->second;
        std::size_t consumed = 0;
        for (;;) {
            const sip::Frame frame = framer.next(input.subspan(consumed), message_);
            if (frame.kind == sip::FrameKind::kNeedMore) return consumed;
            FEDGATE_CHECK(frame.kind != sip::FrameKind::kMalformed);
            if (frame.kind == sip::FrameKind::kPing) static_cast<void>(connection.write("\r\n"));
            if (frame.kind == sip::FrameKind::kMessage) on_message(connection);
            consumed += frame.consumed;
        }
    }
    void on_message(net::Connection& connection) {
        if (!message_.is_request) {
            const std::string name = name_of(message_.via.branch);
            if (message_.status >= 200) {
                const auto found = pending_.find(name);
                const bool was_pending = found != pending_.end();
                const Sent sent = was_pending ? found->second : Sent{};
                if (was_pending) pending_.erase(found);
                if (!sent.call_id.empty()) return on_call_answered(sent);
                if (message_.status >= 300 && ledger_.entries.contains(name)) {
                    ledger_.on_refused(name, std::to_string(message_.status));
                }
            }
            return;
        }
        if (deaf || message_.method == sip::Method::kAck) return;
        std::uint16_t status = 200;
        std::string more;
        sip::ResponseHead head;
        head.to_tag = "pool";
        const bool in_call = !message_.to.tag.empty();
        if (in_call && agents_.find(message_) == nullptr) {
            status = 481;
        } else if (message_.method == sip::Method::kBye) {
            agents_.calls.erase(std::string(message_.call_id));
        } else if (message_.method == sip::Method::kInvite && !in_call) {
            if (silent) return;
            status = on_invite(more);
        } else if (message_.method == sip::Method::kMessage) {
            if (silent) return;
            const bool known = answer < 300 && agents_.knows(message_);  // else it gets no further
            status = known ? answer_again : answer;
            if (const sip::Header* about = message_.find(sip::HeaderName::kInReplyTo)) {
                status = 200;
                on_notice(std::string(about->value));
            } else if (status < 300 && !known) {
                on_new();
            }
        }
        char memory[2048];
        Sink sink(memory);
        head.status = status;
        sip::write_response_head(sink, message_, head);
        more.empty() ? sip::write_no_body(sink) : sink.append(more);
        static_cast<void>(connection.write(sink.written()));
    }
    // What its user sees now.
    void on_new() {
        const Bytes body = message_.body;
        const Bytes type = message_.value(sip::HeaderName::kContentType);
        if (type.starts_with(gateway::kTypingType)) {
            return ledger_.on_typing(std::string(message_.call_id),
                                     body.find("<state>active<") != Bytes::npos);
        }
        if (body.starts_with("Your message could not")) return on_notice({});
        if (!type.starts_with("message/cpim")) {
            return ledger_.on_delivered(std::string(body.substr(0, body.find(' '))));
        }
        const std::size_t part = body.find("\r\n\r\n") + 4;
        const Bytes content = body.substr(body.find("\r\n\r\n", part) + 4);
        if (body.substr(part).starts_with("Content-Type: message/imdn")) {
            return ledger_.on_receipt(between(content, "<message-id>", "<"));
        }
        ledger_.on_delivered(std::string(content.substr(0, content.find(' '))));
        char memory[2'048];
        Sink document(memory);
        gateway::write_imdn(between(body, "imdn.Message-ID: ", "\r\n"), loop_.wall_now(),
                            gateway::Disposition::kDelivered, document);
        const std::string from = "sip:" + between(message_.to.uri.text, ":", ";");
        const std::string to = "sip:" + between(message_.from.uri.text, ":", ";");
        const std::string name = "r" + std::string(message_.call_id);
        static_cast<void>(
            try_send(name, {from, to, content_of_receipt(from, to, name, document), false}));
    }
    std::string content_of_receipt(const std::string& from, const std::string& to,
                                   const std::string& name, const Sink& document) const {
        return content([&](Sink& sink) {
            gateway::write_cpim(
                {from, to, loop_.wall_now(), name, false, gateway::kReceiptType, true},
                document.written(), sink);
        });
    }
    static std::string between(Bytes text, Bytes begin, Bytes end) {
        text = text.substr(text.find(begin) + begin.size());
        return std::string(text.substr(0, text.find(end)));
    }
    template <typename Write>
    static std::string content(Write&& write) {
        char memory[8'192];
        Sink sink(memory);
        write(sink);
        FEDGATE_CHECK(!sink.overflowed());
        return std::string(sink.written());
    }
    void on_closed(net::Connection& connection, Error) override {
        framers_.erase(&connection);
        for (std::size_t i = 0; i < ways_.size(); ++i) {
            if (ways_[i].out.get() != &connection) continue;
            ways_[i].out.reset();
            ways_[i].down_until = loop_.now() + std::chrono::seconds(1);
            return fail_pending(i);
        }
        std::erase_if(in_, [&](const auto& one) { return one.get() == &connection; });
    }
    // So does one whose connection breaks.
    void fail_pending(std::size_t way) {
        std::vector<std::string> doubted;
        std::erase_if(pending_, [&](const auto& entry) {
            if (entry.second.way != way) return false;
            note_own_doubt(entry.first, entry.second, doubted);
            return true;
        });
        for (const std::string& user : doubted) go_on(user);
    }
    // `users`: whose next text may go.
    void note_own_doubt(const std::string& name, const Sent& sent,
                        std::vector<std::string>& users) {
        if (sent.call_id.empty()) return ledger_.on_own_doubt(name);
        if (sent.method == "BYE") return;
        UserAgents::Writer& writer = agents_.writers[sent.from];
        ledger_.on_own_doubt(writer.texts.front().first);
        writer.texts.pop_front();
        writer.busy = false;
        users.push_back(sent.from);
    }

    // ---- Calls

    static std::string name_of(Bytes branch) {
        branch.remove_prefix(std::min<std::size_t>(branch.size(), Bytes("z9hG4bK").size()));
        return std::string(branch.substr(0, branch.rfind('x')));
    }
    static std::string description() {
        return content([](Sink& sink) {
            sip::write_body(sink, "application/sdp",
                            "v=0\r\no=- 0 0 IN IP4 10.99.0.1\r\ns=session\r\n"
                            "c=IN IP4 10.99.0.1\r\nt=0 0\r\nm=message 5060 sip null\r\n"
                            "a=accept-types:text/plain\r\n");
        });
    }
    static std::string plain_end() {
        return content([](Sink& sink) { sip::write_no_body(sink); });
    }
    static std::string contact(Bytes user_uri) {
        return "Contact: <" + std::string(user_uri.substr(0, user_uri.find('@'))) +
               "@pool.sip.example:5060;transport=tcp>\r\n";
    }
    static Sent in_call(const sip::RequestHead& head, const sip::Dialog& dialog,
                        const std::string& content) {
        return {.from = std::string(dialog.local_uri()),
                .to = std::string(dialog.remote_uri()),
                .content = content,
                .method = std::string(head.method),
                .uri = std::string(head.uri),
                .from_tag = std::string(dialog.local_tag()),
                .to_tag = std::string(dialog.remote_tag()),
                .call_id = std::string(dialog.call_id()),
                .cseq = head.cseq};
    }
    // His next text, if none is under way.
    void go_on(const std::string& user) {
        UserAgents::Writer& writer = agents_.writers[user];
        while (!writer.busy && !writer.texts.empty()) {
            const auto& [name, content] = writer.texts.front();
            const auto call = agents_.calls.find(writer.call);
            sip::RequestHead head;
            if (call == agents_.calls.end()) {
                writer.call = "c" + std::to_string(++agents_.serial);
                writer.busy = try_send(writer.call, {.from = user,
                                                     .to = writer.to,
                                                     .content = contact(user) + description(),
                                                     .method = "INVITE",
                                                     .call_id = writer.call});
            } else {
                FEDGATE_CHECK(call->second.next_request(sip::Method::kMessage, head));
                writer.busy = try_send(name, in_call(head, call->second, content));
            }
            if (writer.busy) return;
            ledger_.entries.at(name).never_left = true;
            writer.texts.pop_front();
        }
    }
    void on_call_answered(const Sent& sent) {
        if (sent.method == "BYE") return;
        UserAgents::Writer& writer = agents_.writers[sent.from];
        writer.busy = false;
        const bool success = message_.status < 300;
        const bool invite = sent.method == "INVITE";
        constexpr unsigned kCallsMax = 4;
        if (invite && success) {
            on_accepted(sent);
        } else if (!invite && message_.status == 481 && ++writer.calls_tried < kCallsMax) {
            agents_.calls.erase(sent.call_id);
        } else {
            const std::string name = writer.texts.front().first;
            writer.texts.pop_front();
            writer.calls_tried = 0;
            if (!success) ledger_.on_refused(name, std::to_string(message_.status));
        }
        go_on(sent.from);
    }
    void on_accepted(const Sent& sent) {
        sip::RequestHead head;
        const std::string tag = "t" + sent.call_id;
        head.uri = head.to.uri = sent.to;
        head.from = {.display = {}, .uri = sent.from, .tag = tag};
        head.call_id = sent.call_id;
        auto dialog = sip::Dialog::from_response(head, message_);
        FEDGATE_CHECK(dialog.has_value());
        dialog->fill_ack(head, 1);
        static_cast<void>(try_send("a", in_call(head, *dialog, plain_end())));
        agents_.calls.insert_or_assign(sent.call_id, std::move(*dialog));
    }
    // The answer to an INVITE of theirs; `more`: from Contact on.
    std::uint16_t on_invite(std::string& more) {
        if (!knows_sessions) return 488;
        if (answer >= 300) return answer;
        const bool known = agents_.knows(message_);
        if (known && answer_again >= 300) return answer_again;
        if (!known) {
            auto dialog = sip::Dialog::from_request(message_, "pool");
            FEDGATE_CHECK(dialog.has_value());
            const std::string id(message_.call_id);
            agents_.calls.insert_or_assign(id, std::move(*dialog));
            agents_.writers[std::string(message_.to.uri.text)].call = id;
        }
        more = contact(message_.to.uri.text) + description();
        return 200;
    }
    // IM-50. In a call, or of a text that came in one, it does not say of which.
    void on_notice(const std::string& about) {
        if (ledger_.entries.contains(about)) return ledger_.on_refused(about, "notice");
        ledger_.on_notice(between(message_.to.uri.text, "sip:s", "@"));
    }
    [[nodiscard]] std::size_t way_of(const std::string& user) const {
        const std::size_t first = fnv1a(user) % ways_.size();
        for (std::size_t i = 0; i < ways_.size(); ++i) {
            const std::size_t way = (first + i) % ways_.size();
            if (ways_[way].down_until <= loop_.now()) return way;
        }
        return first;
    }

    struct Way {
        SocketAddress gateway;
        std::unique_ptr<net::Connection> out;
        Instant down_until;
    };

    SimulatedLoop& loop_;
    Ledger& ledger_;
    Socket listener_;
    std::vector<std::unique_ptr<net::Connection>> in_;
    std::vector<Way> ways_;
    std::map<net::Connection*, sip::Framer> framers_;
    UserAgents& agents_;
    struct InOrder {  // of their numbers: who sends them again does so in the order they had
        bool operator()(const std::string& a, const std::string& b) const {
            return a.size() != b.size() ? a.size() < b.size() : a < b;
        }
    };
    std::map<std::string, Sent, InOrder> pending_;
    sip::Message message_;
    unsigned serial_ = 0;
    bool ended_ = false;
};

inline SocketAddress Pool::listen_address(std::uint16_t port, unsigned number) {
    auto address =
        net::parse_address("10.99.0." + std::to_string(number) + ":" + std::to_string(port));
    FEDGATE_CHECK(address.has_value());
    return *address;
}

}  // namespace fedgate::simulation
