// One shard of the daemon: its loop, resolver, gateway and edge, on a thread of its own.
// Made by the control thread; everything but ready() and the thread's end is touched by functions
// posted to the shard only.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "appliance/edge/edge.hpp"
#include "appliance/gateway/gateway.hpp"
#include "appliance/main/certificate_loader.hpp"
#include "appliance/store/desk.hpp"
#include "core/run/shard.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"

namespace fedgate {

class Worker {
public:
    Worker(ShardGroup&, std::uint32_t index, const rules::Snapshot&, ShardTls, edge::DoorGuard&,
           std::string dialback_secret, gateway::GatewayOptions, store::Desk&);
    ~Worker();  // joins: stop the group first
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Control thread. Waits until the listeners are open, or says why not.
    Result<void> ready();

    // On the shard's thread, from a posted function.
    [[nodiscard]] edge::Edge& edge() { return *edge_; }
    [[nodiscard]] gateway::Gateway& gateway() { return *gateway_; }
    // In this order, with what has passed between shards in between: the gateway tells those whose
    // messages can't go on, and the edge must still carry that.
    void reload_gateway(const rules::Snapshot&, ShardTls);
    void reload_edge();

private:
    Result<void> set_up();
    void run();

    ShardGroup& group_;
    const std::uint32_t index_;
    const rules::Snapshot* rules_;
    ShardTls tls_;
    edge::DoorGuard& door_;
    edge::Certificates edge_next_;  // between reload_gateway() and reload_edge()
    const std::string dialback_secret_;
    const gateway::GatewayOptions gateway_options_;
    store::Desk& desk_;

    std::unique_ptr<Loop> loop_;
    std::unique_ptr<Shard> shard_;
    std::unique_ptr<net::Resolver> resolver_;
    std::unique_ptr<gateway::Gateway> gateway_;
    std::unique_ptr<edge::Edge> edge_;

    std::promise<Result<void>> started_;
    std::thread thread_;
};

}  // namespace fedgate
