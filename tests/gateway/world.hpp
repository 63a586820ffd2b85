// One gateway of some shards on the simulation, with an edge that does what a test says and SIP
// servers that answer as scripted.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "appliance/gateway/gateway.hpp"
#include "appliance/store/memory.hpp"
#include "core/config/tree.hpp"
#include "core/run/shard.hpp"
#include "core/run/simulation.hpp"
#include "net/address.hpp"
#include "net/connection.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"
#include "sip/framer.hpp"
#include "sip/writer.hpp"

namespace fedgate::gateway::test {

using Settings = std::vector<std::pair<std::string, std::string>>;
using Services = std::vector<std::pair<std::string, net::SrvRecord>>;

inline std::unique_ptr<const rules::Snapshot> compile(const Settings& settings) {
    config::Tree tree;
    config::Problems problems;
    for (const auto& [key, value] : settings) tree.set(key, value, {}, problems);
    auto rules = rules::compile(tree, 1, problems);
    for (const config::Problem& problem : problems) {
        if (!problem.warning) std::fprintf(stderr, "%s\n", problem.line().c_str());
    }
    FEDGATE_CHECK(rules != nullptr);
    return rules;
}

inline Settings base_settings() {
    return {{"federation.allow", "yes"},
            {"sip.listen", "tcp:0.0.0.0:5060 udp:0.0.0.0:5060"},
            {"sip.trusted", "10.0.0.0/8"},
            {"domain/sip.example/next_hop", "sip:10.99.0.1:5070;transport=tcp"},
            {"partner/xmpp.example/type", "federated"},
            {"policy/global/federation_access", "yes"},
            {"policy/global/xmpp_access", "yes"}};
}

// What the gateway gives to partners. Outcomes are told when `fate` says so.
class FakeEdge final : public link::EdgeDoor {
public:
    bool take_stanza(const link::ToPartner& to) override {
        if (refuse > 0) {
            --refuse;
            return false;
        }
        stanzas.emplace_back(to.stanza);
        their_domains.emplace_back(to.their_domain);
        if (to.ticket != 0) {
            tickets.push_back(to.ticket);
            if (fault != link::Fault::kNone) {
                door->on_outcome({to.ticket, link::Fate::kFailed, fault, false});
            } else if (at_once) {
                door->on_outcome({to.ticket, link::Fate::kWritten, link::Fault::kNone, false});
            }
        }
        return true;
    }
    void answer(const link::Answer& one) override { answers[one.ticket] = one.status; }
    [[nodiscard]] bool has_others() const override { return is_others; }
    [[nodiscard]] bool is_anothers(std::uint64_t) const override { return is_others; }
    bool ask(const link::Request& request) override {
        asked.emplace_back(request.ticket, request.bytes);
        return true;
    }
    link::GatewayDoor* door = nullptr;
    int refuse = 0;
    bool at_once = true;
    bool is_others = false;  // all conversations are another gateway's
    std::vector<std::pair<link::Ticket, std::string>> asked;
    link::Fault fault = link::Fault::kNone;  // of all that has a ticket
    std::vector<std::string> stanzas;
    std::vector<std::string> their_domains;
    std::vector<link::Ticket> tickets;
    std::map<link::Ticket, unsigned> answers;  // to other gateways: the status
};

// A SIP server and user agent. Each request is shown to `answer`, which gives the whole answer's
// status: 0 is silence, -1 closes the connection.
class SipPhone final : public net::ConnectionOwner, SocketOwner {
public:
    SipPhone(SimulatedLoop& loop, const char* address, net::TlsContext* tls = nullptr)
        : loop_(loop), address_(*net::parse_address(address)), tls_(tls) {
        listener_ = *loop_.listen(address_, *this);
        datagrams_ = *loop_.open_datagram(address_, *this);
    }
    ~SipPhone() { stop(); }
    void stop() {
        if (stopped_) return;
        stopped_ = true;
        loop_.close(listener_);
        loop_.close(datagrams_);
        for (auto& connection : in_) connection->abort({Errc::kReset, 0, "test"});
    }

    // As a user agent client. Responses go to `responses`.
    void send_tcp(const SocketAddress& to, const std::string& bytes) {
        if (!out_) out_ = *net::Connection::connect(loop_, *this, {65'536, 1 << 20}, to);
        FEDGATE_CHECK(out_->write(bytes));
    }
    void send_tls(const SocketAddress& to, const std::string& bytes) {
        when_secured_ = bytes;
        out_ = *net::Connection::connect(loop_, *this, {65'536, 1 << 20}, to);
    }
    // Ends the connection that it opened.
    void hang_up() { out_->close(); }
    // A request on a connection that the gateway opened.
    void send_back(const std::string& bytes) { FEDGATE_CHECK(in_.at(0)->write(bytes)); }
    // Reads no more what comes by that.
    void stop_reading() { in_.at(0)->pause_input(); }
    void read_again() { in_.at(0)->resume_input(); }
    [[nodiscard]] std::size_t accepted() const { return accepted_; }
    void send_udp(const SocketAddress& to, const std::string& bytes) {
        FEDGATE_CHECK(loop_.send_datagram(datagrams_, to, bytes));
    }

    std::function<int(const sip::Message&)> answer = [](const sip::Message&) { return 200; };
    std::string extra_headers;
    std::string reason;  // of answers; empty: the usual one
    std::string sdp;     // of a 200 to an INVITE
    std::string pidf;    // of a 200 to a SUBSCRIBE
    bool pongs = true;
    int pings = 0;
    std::vector<std::string> requests;  // but OPTIONS
    std::vector<std::string> responses;
    int options = 0;

private:
    void on_accept(Socket, Socket connection, const SocketAddress& peer) override {
        ++accepted_;
        in_.push_back(std::make_unique<net::Connection>(
            loop_, *this, net::ConnectionLimits{65'536, 1 << 20}, connection, peer));
        if (tls_ != nullptr) in_.back()->start_tls_server(*tls_);
    }
    void on_open(net::Connection& connection) override {
        if (!when_secured_.empty()) connection.start_tls_client(*tls_, "gw.example", {});
    }
    void on_secured(net::Connection& connection) override {
        if (&connection == out_.get()) FEDGATE_CHECK(connection.write(when_secured_));
    }
    std::size_t on_data(net::Connection& connection, MutableBytes input) override {
        sip::Framer& framer = framers_.try_emplace(&connection, 1 << 20).first->second;
        std::size_t consumed = 0;
        for (;;) {
            const sip::Frame frame = framer.next(input.subspan(consumed), message_);
            if (frame.kind == sip::FrameKind::kNeedMore) return consumed;
            FEDGATE_CHECK(frame.kind != sip::FrameKind::kMalformed);
            consumed += frame.consumed;
            if (frame.kind == sip::FrameKind::kPing) {
                ++pings;
                if (pongs) static_cast<void>(connection.write("\r\n"));
            }
            if (frame.kind != sip::FrameKind::kMessage) continue;
            if (!handle([&](Bytes bytes) { static_cast<void>(connection.write(bytes)); })) {
                connection.abort({Errc::kReset, 0, "as told"});
                return input.size();
            }
        }
    }
    void on_datagram(Socket, const SocketAddress& from, MutableBytes bytes) override {
        const sip::Frame frame = sip::read_datagram(bytes, 1 << 20, message_);
        FEDGATE_CHECK(frame.kind == sip::FrameKind::kMessage);
        handle([&](Bytes answer_bytes) {
            static_cast<void>(loop_.send_datagram(datagrams_, from, answer_bytes));
        });
    }
    bool handle(const std::function<void(Bytes)>& write) {
        if (!message_.is_request) {
            responses.emplace_back(message_.bytes);
            return true;
        }
        if (message_.method == sip::Method::kOptions) {
            ++options;
        } else {
            requests.emplace_back(message_.bytes);
        }
        const int status = message_.method == sip::Method::kAck ? 0 : answer(message_);
        if (status <= 0) return status == 0;
        const bool accepts = message_.method == sip::Method::kInvite && status == 200;
        char memory[8'192];
        Sink sink{MutableBytes(memory)};
        sip::ResponseHead head;
        head.status = static_cast<std::uint16_t>(status);
        head.reason = reason;
        head.to_tag = "peer";
        sip::write_response_head(sink, message_, head);
        sink.append(extra_headers);
        if (accepts) sink.append("Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n");
        if (accepts && !sdp.empty()) {
            sip::write_body(sink, "application/sdp", sdp);
        } else if (message_.method == sip::Method::kSubscribe && !pidf.empty()) {
            sip::write_body(sink, "application/pidf+xml", pidf);
        } else {
            sip::write_no_body(sink);
        }
        write(sink.written());
        return true;
    }
    void on_closed(net::Connection& connection, Error) override {
        framers_.erase(&connection);
        if (out_.get() == &connection) {
            out_.reset();
        } else {
            std::erase_if(in_, [&](const auto& one) { return one.get() == &connection; });
        }
    }

    SimulatedLoop& loop_;
    SocketAddress address_;
    net::TlsContext* tls_;
    std::string when_secured_;
    Socket listener_;
    Socket datagrams_;
    std::vector<std::unique_ptr<net::Connection>> in_;
    std::unique_ptr<net::Connection> out_;
    std::map<net::Connection*, sip::Framer> framers_;
    sip::Message message_;
    std::size_t accepted_ = 0;
    bool stopped_ = false;
};

// A connection that sends what it is told and reads what comes, or does not.
class RawPeer final : public net::ConnectionOwner {
public:
    RawPeer(SimulatedLoop& loop, const SocketAddress& to)
        : stream_(*net::Connection::connect(loop, *this, {1 << 20, 1 << 20}, to)) {}
    void send(const std::string& bytes) { FEDGATE_CHECK(stream_->write(bytes)); }
    void stop_reading() { stream_->pause_input(); }

    std::string received;
    bool is_open = false;
    bool is_closed = false;

private:
    void on_open(net::Connection&) override { is_open = true; }
    std::size_t on_data(net::Connection&, MutableBytes input) override {
        received.append(input.data(), input.size());
        return input.size();
    }
    void on_closed(net::Connection&, Error) override { is_closed = true; }

    std::unique_ptr<net::Connection> stream_;
};

class World {
public:
    explicit World(const Settings& more = {}, std::uint32_t shards = 1,
                   net::TlsContext* tls = nullptr,
                   const std::map<std::string, std::string>& names = {},
                   const Services& services = {}, store::Memory* store = nullptr,
                   const sip::KeySecret& secret = {7, 11})
        : simulation(settings_of(tls != nullptr)),
          node_(simulation.make_node()),
          rules_(compile(with(more))),
          group_(shards),
          store_(store) {
        for (std::uint32_t i = 0; i < shards; ++i) {
            SimulatedLoop& loop = simulation.make_loop(node_);
            shards_.push_back(std::make_unique<Shard>(group_, i, loop));
            resolvers_.push_back(std::make_unique<net::SimulatedResolver>(loop));
            for (const auto& [name, address] : names) {
                resolvers_.back()->add_address(name, *net::parse_ip(address, 0));
            }
            for (const auto& [name, record] : services) resolvers_.back()->add_srv(name, record);
        }
        for (std::uint32_t i = 0; i < shards; ++i) {
            GatewayOptions options;
            options.host = "gw.example";
            options.secret = secret;
            gateways.push_back(
                std::make_unique<Gateway>(*shards_[i], *rules_, *resolvers_[i], tls, options));
            edges.push_back(std::make_unique<FakeEdge>());
            edges.back()->door = gateways.back().get();
            gateways.back()->attach(*edges.back());
            if (store != nullptr) gateways.back()->attach_store(store->door(i));
            FEDGATE_CHECK(gateways.back()->start().has_value());
            if (store != nullptr) store->attach(i, *shards_[i], gateways.back()->store_user());
        }
    }
    ~World() {
        if (store_ != nullptr) store_->restart();  // its doors go before the shards do
    }
    // Certificates of tests are valid now, whatever the simulation thinks.
    static SimulationSettings settings_of(bool real_time) {
        SimulationSettings settings;
        if (real_time)
            settings.wall_start =
                std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        return settings;
    }
    static Settings with(const Settings& more) {
        Settings settings = base_settings();
        settings.insert(settings.end(), more.begin(), more.end());
        return settings;
    }

    std::unique_ptr<SipPhone> peer(const char* address = "10.99.0.1:5070",
                                   net::TlsContext* tls = nullptr) {
        return std::make_unique<SipPhone>(simulation.make_loop(simulation.make_node()), address,
                                          tls);
    }
    [[nodiscard]] Simulation::Node node() const { return node_; }
    [[nodiscard]] SocketAddress sip_address(std::uint16_t port = 5060) const {
        return simulation.address(node_, port);
    }

    bool give(const std::string& stanza, std::uint32_t shard = 0) {
        return gateways[shard]->take_stanza({"xmpp.example", link::Proof::kCertificate, stanza});
    }
    static std::string message(const std::string& id, const std::string& body,
                               const std::string& from = "juliet", const std::string& type = "chat",
                               const std::string& content = {}) {
        return "<message from='" + from + "@xmpp.example/balcony' to='romeo@sip.example' id='" +
               id + "' type='" + type + "'><body>" + body + "</body>" + content + "</message>";
    }
    static std::string request(const std::string& branch, const std::string& body,
                               const std::string& headers = {},
                               const std::string& transport = "TCP",
                               const std::string& uri = "sip:juliet@xmpp.example",
                               const std::string& from = "sip:romeo@sip.example",
                               const std::string& method = "MESSAGE") {
        return method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/" + transport +
               " ua.sip.example:5070;branch=z9hG4bK" + branch + "\r\nMax-Forwards: 70\r\nFrom: <" +
               from + ">;tag=f" + branch + "\r\nTo: <" + uri + ">\r\nCall-ID: call-" + branch +
               "\r\nCSeq: 1 " + method + "\r\n" + headers +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    }

    bool until(const std::function<bool()>& predicate, Duration at_most = 60s) {
        return simulation.run_for(predicate, at_most);
    }
    void pass(Duration duration) {
        simulation.run_for([] { return false; }, duration);
    }
    [[nodiscard]] std::uint64_t count(Counter counter) const { return group_.sum(counter); }
    std::string log() {
        std::string lines;
        for (std::uint32_t i = 0; i < group_.count(); ++i) group_.log(i).drain(lines);
        return lines;
    }

    Simulation simulation;

private:
    Simulation::Node node_;
    std::unique_ptr<const rules::Snapshot> rules_;
    ShardGroup group_;
    store::Memory* store_;
    std::vector<std::unique_ptr<Shard>> shards_;
    std::vector<std::unique_ptr<net::SimulatedResolver>> resolvers_;

public:
    std::vector<std::unique_ptr<FakeEdge>> edges;
    std::vector<std::unique_ptr<Gateway>> gateways;
    FakeEdge& edge() { return *edges[0]; }
    Gateway& gateway() { return *gateways[0]; }
};

}  // namespace fedgate::gateway::test
