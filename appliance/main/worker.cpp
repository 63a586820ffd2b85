#include "appliance/main/worker.hpp"

#include <utility>

#include "core/run/uring_loop.hpp"
#include "net/address.hpp"

namespace fedgate {

Worker::Worker(ShardGroup& group, std::uint32_t index, const rules::Snapshot& rules, ShardTls tls,
               edge::DoorGuard& door, std::string dialback_secret, gateway::GatewayOptions options,
               store::Desk& desk)
    : group_(group),
      index_(index),
      rules_(&rules),
      tls_(std::move(tls)),
      door_(door),
      dialback_secret_(std::move(dialback_secret)),
      gateway_options_(std::move(options)),
      desk_(desk),
      thread_([this] { run(); }) {}

Worker::~Worker() {
    if (thread_.joinable()) thread_.join();
}

Result<void> Worker::ready() { return started_.get_future().get(); }

Result<void> Worker::set_up() {
    FEDGATE_TRY(loop, UringLoop::make());
    loop_ = std::move(loop);
    shard_ = std::make_unique<Shard>(group_, index_, *loop_);
    net::ResolverOptions names;
    for (const config::Address& server : rules_->settings.dns_servers) {
        FEDGATE_TRY(address, net::parse_address(server.text));
        names.servers.push_back(address);
    }
    names.trust_anchor_file = rules_->settings.dns_trust_anchor;
    FEDGATE_TRY(resolver, net::make_unbound_resolver(*loop_, names));
    resolver_ = std::move(resolver);
    gateway_ = std::make_unique<gateway::Gateway>(*shard_, *rules_, *resolver_, tls_.sip.get(),
                                                  gateway_options_);
    edge_ = std::make_unique<edge::Edge>(*shard_, *rules_, *resolver_, tls_.edge, door_, *gateway_,
                                         dialback_secret_);
    gateway_->attach(*edge_);
    gateway_->attach_store(desk_);
    desk_.attach(*shard_, gateway_->store_user());
    Result<void> gateway_started = gateway_->start();
    Result<void> edge_started = edge_->start();
    return gateway_started ? edge_started : gateway_started;
}

void Worker::run() {
    static_cast<void>(pin_to_cpu(index_));  // refused where the CPU set is not ours: then unpinned
    const Result<void> outcome = set_up();
    const bool usable = shard_ != nullptr;
    started_.set_value(outcome);
    if (usable) shard_->run();
    desk_.detach();
    edge_.reset();
    gateway_.reset();
    resolver_.reset();
    tls_ = {};
    shard_.reset();
    loop_.reset();
}

void Worker::reload_gateway(const rules::Snapshot& rules, ShardTls tls) {
    rules_ = &rules;
    gateway_->reload(rules);
    edge_next_ = std::move(tls.edge);
    if (tls.sip == nullptr) return;
    gateway_->set_tls(tls.sip.get());
    std::swap(tls_.sip, tls.sip);
}

void Worker::reload_edge() {
    if (edge_next_.generation != 0) tls_.edge.take(std::move(edge_next_));
    edge_next_ = {};
    edge_->reload(*rules_, tls_.edge);
}

}  // namespace fedgate
