#include "appliance/main/worker.hpp"

#include <pthread.h>
#include <utility>

#include "core/run/uring_loop.hpp"
#include "net/address.hpp"

namespace fedgate {

namespace {

Result<std::vector<SocketAddress>> socket_addresses(const std::vector<config::Address>& from) {
    std::vector<SocketAddress> all;
    for (const config::Address& one : from) {
        FEDGATE_TRY(address, net::parse_address(one.text));
        all.push_back(address);
    }
    return all;
}

std::vector<link::ClientSettings::Edge> edges_of(const rules::Snapshot& rules) {
    std::vector<link::ClientSettings::Edge> all;
    for (const auto& edge : rules.settings.link.edges) {
        all.push_back({edge.host, edge.port, edge.priority, 1, edge.pool});
    }
    return all;
}

}  // namespace

Worker::Worker(ShardGroup& group, std::uint32_t index, const rules::Snapshot& rules, ShardTls tls,
               WorkerSettings settings, store::Desk* desk)
    : group_(group),
      index_(index),
      rules_(&rules),
      tls_(std::move(tls)),
      settings_(std::move(settings)),
      desk_(desk),
      thread_([this] { run(); }) {}

Worker::~Worker() {
    if (!told_) may_begin_.set_value(false);
    if (thread_.joinable()) thread_.join();
}

Result<void> Worker::ring() { return ring_made_.get_future().get(); }

void Worker::begin() {
    told_ = true;
    may_begin_.set_value(true);
}

Result<void> Worker::ready() { return started_.get_future().get(); }

Result<void> Worker::make_ring() {
    FEDGATE_TRY(loop, UringLoop::make());
    loop_ = std::move(loop);
    return {};
}

Result<void> Worker::set_up() {
    shard_ = std::make_unique<Shard>(group_, index_, *loop_);
    FEDGATE_TRY(name_servers, socket_addresses(rules_->settings.dns_servers));
    FEDGATE_TRY(link_listen, socket_addresses(rules_->settings.link.listen));
    net::ResolverOptions names;
    names.servers = name_servers;
    names.trust_anchor_file = rules_->settings.dns_trust_anchor;
    FEDGATE_TRY(resolver, net::make_unbound_resolver(*loop_, names));
    resolver_ = std::move(resolver);
    if (index_ == 0 && settings_.topology != nullptr) {
        topology_ = std::make_unique<link::Topology>(*loop_, *settings_.topology);
    }
    if (rules_->settings.gateway) {
        gateway_ = std::make_unique<gateway::Gateway>(*shard_, *rules_, *resolver_, tls_.sip.get(),
                                                      settings_.gateway);
    }
    if (rules_->settings.edge && by_link() && index_ == 0) {
        server_ = std::make_unique<link::Server>(
            *shard_, *tls_.internal,
            link::ServerSettings{link_listen, rules_->settings.link.gateways, settings_.node,
                                 topology_.get()});
    }
    if (rules_->settings.edge) make_edge();
    if (gateway_ != nullptr) join_gateway();
    return start();
}

void Worker::make_edge() {
    if (by_link()) passage_ = std::make_unique<link::Passage>(*shard_, server_.get());
    link::GatewayDoor& door = by_link() ? static_cast<link::GatewayDoor&>(*passage_) : *gateway_;
    edge_ = std::make_unique<edge::Edge>(*shard_, *rules_, *resolver_, tls_.edge, *settings_.door,
                                         door, settings_.dialback_secret);
    if (server_ != nullptr) server_->attach(*edge_);
}

void Worker::join_gateway() {
    if (by_link()) {
        link::ClientSettings links;
        links.edges = edges_of(*rules_);
        links.gateways = rules_->settings.link.gateways;
        links.node = settings_.node;
        links.instance = settings_.instance;
        links.topology = topology_.get();
        client_ = std::make_unique<link::Client>(*shard_, *resolver_, *tls_.internal, links);
        client_->set_rules(rules_);
        client_->attach(*gateway_);
        gateway_->attach(*client_);
    } else {
        gateway_->attach(*edge_);
    }
    gateway_->attach_store(*desk_);
    desk_->attach(*shard_, gateway_->store_user());
}

Result<void> Worker::start() {
    Result<void> outcome;
    const auto note = [&outcome](Result<void> one) {
        if (outcome) outcome = one;
    };
    if (gateway_ != nullptr) note(gateway_->start());
    if (edge_ != nullptr) note(edge_->start());
    if (server_ != nullptr) note(server_->start());
    if (client_ != nullptr) client_->start();
    return outcome;
}

void Worker::run() {
    pthread_setname_np(pthread_self(), ("core-" + std::to_string(index_)).c_str());
    static_cast<void>(run_on_cpus(index_));
    take_cpus();
    ring_made_.set_value(make_ring());
    if (may_begin_.get_future().get()) started_.set_value(set_up());
    if (shard_ != nullptr) shard_->run();
    if (desk_ != nullptr) desk_->detach();
    probes_.clear();
    server_.reset();
    client_.reset();
    topology_.reset();
    edge_.reset();
    passage_.reset();
    gateway_.reset();
    resolver_.reset();
    tls_ = {};
    shard_.reset();
    loop_.reset();
}

// Refused where a sandbox denies it: then it stays where it is.
void Worker::take_cpus() {
    const config::CpuSet& wanted = rules_->settings.cores.cpus_of(index_);
    if (wanted == cpus_) return;
    cpus_ = wanted;
    const Result<void> bound = run_on_cpus(index_, cpus_);
    cpus_refused_ = bound || cpus_.empty() ? 0 : bound.error().system;
}

void Worker::probe(const std::string& host, std::uint16_t port,
                   std::function<void(std::string)> done) {
    probes_.push_back(std::make_unique<Probe>(*loop_, *resolver_, host, port, std::move(done)));
}

void Worker::reload_gateway(const rules::Snapshot& rules, ShardTls tls) {
    rules_ = &rules;
    take_cpus();
    if (tls.internal != nullptr) {
        if (server_ != nullptr) server_->set_tls(*tls.internal);
        if (client_ != nullptr) client_->set_tls(*tls.internal);
        std::swap(tls_.internal, tls.internal);
    }
    if (client_ != nullptr) {
        client_->set_rules(&rules);
        client_->set_edges(edges_of(rules));
        client_->set_gateways(rules.settings.link.gateways);
    }
    if (server_ != nullptr) {
        server_->set_gateways(rules.settings.link.gateways);
        if (auto listen = socket_addresses(rules.settings.link.listen))
            server_->set_listen(*listen);
    }
    edge_next_ = std::move(tls.edge);
    if (gateway_ == nullptr) return;
    gateway_->reload(rules);
    if (tls.sip == nullptr) return;
    gateway_->set_tls(tls.sip.get());
    std::swap(tls_.sip, tls.sip);
}

void Worker::reload_edge() {
    if (edge_ == nullptr) return;
    if (edge_next_.generation != 0) tls_.edge.take(std::move(edge_next_));
    edge_next_ = {};
    edge_->reload(*rules_, tls_.edge);
}

}  // namespace fedgate
