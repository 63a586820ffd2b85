// The SIP side of a simulated federation: a pool of servers with the users' agents behind it.
// Scripted: answers as told, and sends.
#pragma once

#include <map>
#include <memory>
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
        for (const auto& [name, sent] : std::exchange(pending_, {})) {
            const bool again = sent.again && other != nullptr && other->try_send(name, sent);
            if (!again) ledger_.on_own_doubt(name);
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
        head.method = "MESSAGE";
        head.uri = sent.to;
        head.via.transport = sip::Transport::kTcp;
        head.via.host = "pool.sip.example";
        head.via.port = kSipPort;
        head.via.branch = branch;
        const std::string tag = "t" + name;
        head.from = {.display = {}, .uri = sent.from, .tag = tag};
        head.to = {.display = {}, .uri = sent.to, .tag = {}};
        head.call_id = name;
        sip::write_request_head(sink, head);
        sink.append(sent.content);
        FEDGATE_CHECK(!sink.overflowed());
        if (!out->write(sink.written())) return false;
        pending_[name] = sent;
        pending_[name].way = number;
        return true;
    }

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
            const std::string name(message_.call_id);
            if (message_.status >= 200) {
                pending_.erase(name);
                if (message_.status >= 300 && ledger_.entries.contains(name)) {
                    ledger_.on_refused(name, std::to_string(message_.status));
                }
            }
            return;
        }
        if (deaf) return;
        std::uint16_t status = 200;
        if (message_.method == sip::Method::kMessage) {
            if (silent) return;
            const bool known = answer < 300 && agents_.knows(message_);  // else it gets no further
            status = known ? answer_again : answer;
            if (const sip::Header* about = message_.find(sip::HeaderName::kInReplyTo)) {
                status = 200;
                ledger_.on_refused(std::string(about->value), "notice");  // IM-50
            } else if (status < 300 && !known) {
                on_new();
            }
        }
        char memory[2048];
        Sink sink(memory);
        sip::ResponseHead head;
        head.status = status;
        head.to_tag = "pool";
        sip::write_response_head(sink, message_, head);
        sip::write_no_body(sink);
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
        std::erase_if(pending_, [&](const auto& entry) {
            if (entry.second.way != way) return false;
            ledger_.on_own_doubt(entry.first);
            return true;
        });
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
