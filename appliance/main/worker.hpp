// One shard of the daemon: its loop, resolver, and gateway or edge or both, on a thread of its own.
// Where one of the two is on other machines, too, the link stands for it: a client of the shard's
// own for a gateway, for an edge one server on the first shard. Made by the control thread;
// everything but its start and the thread's end is touched by functions posted to the shard only.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "appliance/edge/edge.hpp"
#include "appliance/gateway/gateway.hpp"
#include "appliance/link/client.hpp"
#include "appliance/link/passage.hpp"
#include "appliance/link/server.hpp"
#include "appliance/main/certificate_loader.hpp"
#include "appliance/main/probe.hpp"
#include "appliance/store/desk.hpp"
#include "core/run/shard.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"

namespace fedgate {

// The same for all shards of the process.
struct WorkerSettings {
    edge::DoorGuard* door = nullptr;
    std::string dialback_secret;  // of an edge
    gateway::GatewayOptions gateway;
    std::string node;  // what the other end of a link calls us
    link::Id instance{};
    link::TopologyOwner* topology = nullptr;  // where one role is on other machines
};

class Worker {
public:
    // `desk`: null without a gateway.
    Worker(ShardGroup&, std::uint32_t index, const rules::Snapshot&, ShardTls, WorkerSettings,
           store::Desk* desk);
    ~Worker();  // joins: stop the group first
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Control thread, one after the other. ring() waits until the shard has its ring, or says why
    // not; then it waits, with nothing open, for begin(); ready() waits until the listeners are
    // open, or says why not.
    Result<void> ring();
    void begin();
    Result<void> ready();

    // On the shard's thread, from a posted function. Null: not here.
    [[nodiscard]] edge::Edge* edge() { return edge_.get(); }
    [[nodiscard]] gateway::Gateway* gateway() { return gateway_.get(); }
    [[nodiscard]] link::Server* server() { return server_.get(); }
    [[nodiscard]] link::Client* client() { return client_.get(); }
    [[nodiscard]] link::Topology* topology() { return topology_.get(); }
    // In this order, with what has passed between shards in between: the gateway tells those whose
    // messages can't go on, and the edge must still carry that.
    void reload_gateway(const rules::Snapshot&, ShardTls);
    void reload_edge();
    // Tries whether that machine can be reached, until end_probes().
    void probe(const std::string& host, std::uint16_t port, std::function<void(std::string)> done);
    void end_probes() { probes_.clear(); }
    // Any thread. Why the kernel refuses to let the core run on the CPUs that are set for it: an
    // errno; 0: it does not, or none are set.
    [[nodiscard]] int cpus_refused() const { return cpus_refused_; }

private:
    // The two parts speak by the link, even where both are here.
    [[nodiscard]] bool by_link() const {
        const rules::Settings& settings = rules_->settings;
        return !settings.edge || !settings.gateway || settings.link.joined;
    }
    Result<void> make_ring();
    Result<void> set_up();
    void make_edge();
    void join_gateway();
    Result<void> start();
    void run();
    void take_cpus();

    ShardGroup& group_;
    const std::uint32_t index_;
    const rules::Snapshot* rules_;
    ShardTls tls_;
    edge::Certificates edge_next_;  // between reload_gateway() and reload_edge()
    config::CpuSet cpus_;           // as configured
    std::atomic<int> cpus_refused_{0};
    const WorkerSettings settings_;
    store::Desk* const desk_;

    std::unique_ptr<Loop> loop_;
    std::unique_ptr<Shard> shard_;
    std::unique_ptr<net::Resolver> resolver_;
    std::vector<std::unique_ptr<Probe>> probes_;
    std::unique_ptr<gateway::Gateway> gateway_;
    std::unique_ptr<link::Passage> passage_;
    std::unique_ptr<edge::Edge> edge_;
    std::unique_ptr<link::Topology> topology_;
    std::unique_ptr<link::Server> server_;
    std::unique_ptr<link::Client> client_;

    std::promise<Result<void>> ring_made_;
    std::promise<bool> may_begin_;
    bool told_ = false;  // whether it may
    std::promise<Result<void>> started_;
    std::thread thread_;
};

}  // namespace fedgate
