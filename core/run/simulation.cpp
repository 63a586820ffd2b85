#include "core/run/simulation.hpp"

#include "core/run/simulation_network.hpp"

namespace fedgate {

SimulatedNetwork::Bound SimulatedNetwork::find_bound(const SocketAddress& to,
                                                     const SocketAddress& from,
                                                     std::uint32_t from_node, SimulatedKind kind) {
    const SimulatedEndpoint wanted = endpoint_of(to);
    std::vector<Bound> found;
    for (const auto& loop : loops) {
        if (wanted.loopback() && loop->node() != from_node) continue;
        const bool is_own =
            wanted.loopback() || wanted.host == endpoint_of(node_address(loop->node(), 0)).host;
        loop->for_each_socket([&](SimulatedSocket& socket) {
            if (socket.kind != kind || socket.closing) return;
            const SimulatedEndpoint bound = endpoint_of(socket.local);
            if (bound == wanted || (is_own && bound.wildcard() && bound.port == wanted.port)) {
                found.emplace_back(loop.get(), socket.self);
            }
        });
    }
    if (found.empty()) return {};
    // As SO_REUSEPORT: one flow always meets the same socket.
    const SimulatedEndpoint source = endpoint_of(from);
    const std::uint64_t flow = trace_mix(
        trace_mix(trace_mix(kSimulatedHashStart, settings.seed), source.host), source.port);
    return found[flow % found.size()];
}

bool SimulatedNetwork::step(Instant deadline) {
    SimulatedLoopImplementation* first = nullptr;
    Instant at = kNever;
    for (const auto& loop : loops) {
        const Instant next = loop->next_turn();
        if (next >= at) continue;
        at = next;
        first = loop.get();
    }
    if (first == nullptr || at > deadline) {
        now = std::max(now, deadline);
        return false;
    }
    now = std::max(now, at);
    first->turn();
    return true;
}

void SimulatedNetwork::came_up(SimulatedSocket& client, SimulatedSocket& server) {
    client.client = true;
    for (SimulatedSocket* end : {&client, &server}) {
        end->connection = connections;
        const auto fault = faults.find({connections, end->client});
        if (fault == faults.end()) continue;
        end->fault = fault->second.kind;
        end->fault_after = fault->second.after;
    }
    ++connections;
    if (recording) records.resize(connections);
}

SimulatedNetwork::SimulatedNetwork(const SimulationSettings& with)
    : settings(with), random(with.seed) {}
SimulatedNetwork::~SimulatedNetwork() = default;

// ---- what the tests hold

Simulation::Simulation(const SimulationSettings& settings)
    : network_(std::make_unique<SimulatedNetwork>(settings)) {}
Simulation::~Simulation() = default;

Simulation::Node Simulation::make_node() {
    network_->next_port.push_back(kSimulatedFirstPort);
    return network_->node_count++;
}

SimulatedLoop& Simulation::make_loop(Node node) {
    FEDGATE_CHECK(node < network_->node_count);
    const std::size_t number = network_->loops.size();
    network_->loops.push_back(
        std::make_unique<SimulatedLoopImplementation>(*network_, node, number));
    return *network_->loops.back();
}

SocketAddress Simulation::address(Node node, std::uint16_t port) const {
    return network_->node_address(node, port);
}
Instant Simulation::now() const { return network_->now; }
bool Simulation::step(Instant deadline) { return network_->step(deadline); }

bool Simulation::run_until(const std::function<bool()>& predicate, Instant deadline) {
    while (!predicate()) {
        if (!network_->step(deadline)) return predicate();
    }
    return true;
}

std::uint64_t Simulation::trace_hash() const { return network_->hash; }
std::uint64_t Simulation::random(std::uint64_t bound) { return network_->random.below(bound); }

void Simulation::kill(SimulatedLoop& loop) {
    static_cast<SimulatedLoopImplementation&>(loop).kill();
}

void Simulation::kill(Node node) {
    for (const auto& loop : network_->loops) {
        if (loop->node() == node) loop->kill();
    }
}

void Simulation::cut(Node a, Node b) { network_->cuts.insert({std::min(a, b), std::max(a, b)}); }

void Simulation::heal(Node a, Node b) {
    network_->cuts.erase({std::min(a, b), std::max(a, b)});
    // With their old numbers: before whatever was sent later on the same stream.
    auto stalled = std::move(network_->stalled);
    network_->stalled.clear();
    for (auto& [loop, event] : stalled) {
        if (network_->is_cut(event.from_node, loop->node())) {
            network_->stalled.emplace_back(loop, std::move(event));
        } else {
            event.at = network_->now;
            loop->schedule_again(std::move(event));
        }
    }
}

void Simulation::refuse_connects(const SocketAddress& address, bool refuse) {
    if (refuse) {
        network_->refusing.insert(endpoint_of(address));
    } else {
        network_->refusing.erase(endpoint_of(address));
    }
}

bool Simulation::break_connection(std::size_t bytes_max) {
    std::vector<std::pair<SimulatedLoopImplementation*, SimulatedSocket*>> standing;
    for (const auto& loop : network_->loops) {
        loop->for_each_socket([&](SimulatedSocket& socket) {
            const bool stands = socket.kind == SimulatedKind::kStream &&
                                socket.peer.loop != nullptr && !socket.closing && !socket.broken &&
                                !socket.fault && !socket.fin_sent;
            if (stands) standing.emplace_back(loop.get(), &socket);
        });
    }
    if (standing.empty()) return false;
    auto& [loop, socket] = standing[random(standing.size())];
    socket->fault = StreamFault::Kind::kReset;
    socket->fault_after = random(bytes_max);
    if (socket->fault_after == 0) loop->strike(*socket);
    return true;
}

void Simulation::break_no_more() {
    for (const auto& loop : network_->loops) {
        loop->for_each_socket([](SimulatedSocket& socket) {
            if (!socket.broken) socket.fault.reset();
        });
    }
}

void Simulation::inject(const StreamFault& fault) {
    network_->faults[{fault.connection, fault.from_client}] = fault;
}

void Simulation::record_streams() { network_->recording = true; }
const std::vector<StreamRecord>& Simulation::stream_records() const { return network_->records; }

}  // namespace fedgate
