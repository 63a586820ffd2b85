// One SIP agent on the simulation, whose user keeps what it is told.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "appliance/gateway/sip_agent.hpp"
#include "tests/gateway/world.hpp"

namespace fedgate::gateway::test {

constexpr Bytes kOurTag = "00000000aaaaaaaaaaaaaaaaaaaaaaaa";

class Agents final : private SipAgentUser {
public:
    struct End {
        std::uint16_t status;
        LocalFault fault;
        std::uint32_t cseq;
        std::uint64_t owner;
        std::uint8_t attempt;
    };
    struct Taken {
        std::string bytes;
        Handle<ServerTransaction> transaction;
    };

    explicit Agents(const Settings& settings = {},
                    const std::map<std::string, std::string>& names = {})
        : node_(simulation.make_node()),
          loop_(simulation.make_loop(node_)),
          rules_(compile(World::with(settings))),
          group_(1),
          shard_(group_, 0, loop_),
          resolver_(loop_),
          blocks_(4 << 20, 64 << 20),
          random_(loop_) {
        for (const auto& [name, address] : names) {
            resolver_.add_address(name, *net::parse_ip(address, 0));
        }
        agent_ = std::make_unique<SipAgent>(
            shard_, static_cast<SipAgentUser&>(*this), *rules_, resolver_, nullptr, blocks_,
            random_, tracer_, SipAgentSettings{0, {7, 11}, sip::TransactionTiming{}, "gw.example"});
        FEDGATE_CHECK(agent_->listen().has_value());
    }

    std::unique_ptr<SipPhone> peer(const char* address) {
        return std::make_unique<SipPhone>(simulation.make_loop(simulation.make_node()), address);
    }
    [[nodiscard]] SipAgent& agent() { return *agent_; }
    [[nodiscard]] SipRoute& route() { return *agent_->find_route("sip.example"); }
    [[nodiscard]] SocketAddress address() const { return simulation.address(node_, 5060); }
    [[nodiscard]] std::uint64_t count(Counter counter) const { return group_.sum(counter); }

    void subscribe() {
        sip::RequestHead head;
        head.method = "SUBSCRIBE";
        head.uri = "sip:romeo@sip.example";
        head.from = {{}, "sip:juliet@xmpp.example", kOurTag};
        head.to = {{}, head.uri, {}};
        head.call_id = "call-s";
        ClientRequest& request = make(RequestKind::kSubscribe, head, {});
        agent_->send(request);
    }
    // It is the request until its end.
    ClientRequest& invite() {
        invite_head = {};
        invite_head.method = "INVITE";
        invite_head.uri = "sip:romeo@sip.example";
        invite_head.from = {{}, "sip:juliet@xmpp.example", kOurTag};
        invite_head.to = {{}, invite_head.uri, {}};
        invite_head.call_id = "call-i";
        ClientRequest& request = make(RequestKind::kInvite, invite_head, {});
        agent_->send(request);
        return request;
    }
    // Of the dialog that the last success has made.
    void ack(std::uint32_t cseq = 1) {
        sip::RequestHead head;
        made->fill_ack(head, cseq);
        char memory[2'048];
        Sink sink{MutableBytes(memory)};
        head.via = agent_->likely_via(route());
        sip::write_request_head(sink, head);
        sip::write_no_body(sink);
        agent_->send_ack(*made, route(), sink.written());
    }
    void in_dialog(sip::Dialog& dialog, RequestKind kind = RequestKind::kNotify,
                   const std::string& body = {}) {
        sip::RequestHead head;
        FEDGATE_CHECK(dialog.next_request(method_of(kind), head));
        ClientRequest& request = make(kind, head, body);
        agent_->send_in_dialog(request, dialog);
    }
    bool ended(std::size_t count = 1, Duration at_most = 60s) {
        return simulation.run_for([&] { return ends.size() == count; }, at_most);
    }
    void pass(Duration duration) {
        simulation.run_for([] { return false; }, duration);
    }

    Simulation simulation;
    std::vector<End> ends;
    std::vector<Taken> taken;
    SipAnswer answer{200, {}};  // status 0: not now
    sip::RequestHead invite_head;
    std::optional<sip::Dialog> made;
    std::vector<std::string> successes;  // again

private:
    ClientRequest& make(RequestKind kind, sip::RequestHead& head, const std::string& body) {
        ClientRequest* request = agent_->make_request(route(), kind);
        FEDGATE_CHECK(request != nullptr);
        char memory[8'192];
        Sink sink{MutableBytes(memory)};
        head.via = agent_->likely_via(route());
        sip::write_request_head(sink, head);
        agent_->write_contact(sink, "juliet", route());
        sip::write_header(sink, sip::HeaderName::kEvent, "presence");
        sip::write_body(sink, body.empty() ? "" : "application/pidf+xml", body);
        FEDGATE_CHECK(!sink.overflowed());
        request->owner = 4'711;
        request->attempt = 3;
        FEDGATE_CHECK(agent_->fill(*request, {}, sink.written()));
        return *request;
    }
    void on_request_done(ClientRequest& request, const sip::Message* response,
                         LocalFault fault) override {
        const auto status = response != nullptr ? response->status : std::uint16_t{0};
        if (request.kind == RequestKind::kInvite && status / 100 == 2) make_dialog(*response);
        ends.push_back({status, fault, request.cseq, request.owner, request.attempt});
        agent_->release(request);
    }
    bool may_redirect(const ClientRequest&, const sip::Uri&) override { return false; }
    bool on_request(const sip::Message& request, const gateway::SipPeer& peer,
                    const sip::TransactionKey& key) override {
        taken.push_back({std::string(request.bytes), {}});
        if (request.method == sip::Method::kAck) return true;
        taken.back().transaction = agent_->open(request, peer, key, kOurTag);
        FEDGATE_CHECK(taken.back().transaction);
        if (answer.status != 0) {
            agent_->answer(taken.back().transaction, answer, "Expires: 600\r\n");
        }
        return true;
    }
    void on_cancelled(const sip::Message&, Bytes) override {}
    void on_success_again(const sip::Message& response) override {
        successes.emplace_back(response.bytes);
        make_dialog(response);
    }
    void make_dialog(const sip::Message& response) {
        auto from = sip::Dialog::from_response(invite_head, response);
        FEDGATE_CHECK(from.has_value());
        made = std::move(*from);
    }
    bool on_stray_response(std::uint32_t, const sip::Message&, const gateway::SipPeer&) override {
        return false;
    }

    Simulation::Node node_;
    SimulatedLoop& loop_;
    std::unique_ptr<const rules::Snapshot> rules_;
    ShardGroup group_;
    Shard shard_;
    net::SimulatedResolver resolver_;
    BlockPool blocks_;
    Random random_;
    Tracer tracer_{loop_};
    std::unique_ptr<SipAgent> agent_;
};

inline auto only_options(int status) {
    return [status](const sip::Message& m) {
        return m.method == sip::Method::kOptions ? 200 : status;
    };
}

}  // namespace fedgate::gateway::test
