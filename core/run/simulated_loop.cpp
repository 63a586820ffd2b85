#include <cerrno>
#include <utility>

#include "core/run/simulation_network.hpp"

namespace fedgate {
namespace {

constexpr Duration kTurn = 1us;     // a loop's turns are at least this far apart: time always moves
constexpr Duration kSynRetry = 1s;  // while a link is cut
constexpr unsigned kReorderFactor = 20;

bool later(const SimulatedEvent& a, const SimulatedEvent& b) {
    return a.at != b.at ? a.at > b.at : a.number > b.number;
}

}  // namespace

// ---- a loop's turn

Instant SimulatedLoopImplementation::next_turn() const {
    if (killed_) return kNever;
    Instant next = timers_.next_deadline();
    if (!events_.empty()) next = std::min(next, events_.front().at);
    if (woken_ || !tasks_.empty()) next = last_turn_;
    return next == kNever ? kNever : std::max(next, last_turn_ + kTurn);
}

void SimulatedLoopImplementation::turn() {
    last_turn_ = network_.now;
    woken_ = false;
    while (!events_.empty() && events_.front().at <= network_.now) {
        std::pop_heap(events_.begin(), events_.end(), later);
        SimulatedEvent event = std::move(events_.back());
        events_.pop_back();
        handle(event);
    }
    if (!killed_) timers_.run(network_.now);
    if (!killed_ && hook_ != nullptr) hook_->on_turn();
    if (!killed_) tasks_.run();
}

void SimulatedLoopImplementation::schedule(SimulatedEvent event) {
    event.number = ++network_.event_number;
    schedule_again(std::move(event));
}

void SimulatedLoopImplementation::schedule_again(SimulatedEvent event) {
    if (killed_) return;
    events_.push_back(std::move(event));
    std::push_heap(events_.begin(), events_.end(), later);
}

void SimulatedLoopImplementation::note(Socket socket, SimulatedHappening what, Bytes bytes,
                                       int error) {
    std::uint64_t& hash = network_.hash;
    hash = trace_mix(hash, static_cast<std::uint64_t>(network_.now.time_since_epoch().count()));
    hash = trace_mix(hash, number_ << 32 | static_cast<std::uint64_t>(what) << 16 |
                               static_cast<std::uint64_t>(error));
    hash = trace_mix(hash, socket.pack());
    hash = trace_mix(hash, bytes);
}

void SimulatedLoopImplementation::handle(SimulatedEvent& event) {
    const bool crosses = event.from_node != kSimulatedNoNode;
    if (crosses && network_.is_cut(event.from_node, node_)) {
        if (event.what != SimulatedHappening::kDatagram)
            network_.stalled.emplace_back(this, std::move(event));
        return;
    }
    switch (event.what) {
        case SimulatedHappening::kSyn: return on_syn(event);
        case SimulatedHappening::kAccept: return on_accept(event);
        case SimulatedHappening::kReset: return on_reset(event.socket, event.error);
        case SimulatedHappening::kSent: return on_sent(event);
        case SimulatedHappening::kClosed: return on_closed(event.socket);
        default: break;
    }
    SimulatedSocket* socket = find(event.socket);
    if (socket == nullptr) {
        // RFC 9293 3.10.7.1: what arrives for a connection that is not there is answered with a
        // reset.
        if (event.what != SimulatedHappening::kPiece || event.sender.loop == nullptr) return;
        SimulatedEvent reset{.at = network_.now + network_.latency(),
                             .what = SimulatedHappening::kReset,
                             .socket = event.sender.socket,
                             .from_node = node_,
                             .sender = {},
                             .error = ECONNRESET};
        return event.sender.loop->schedule(std::move(reset));
    }
    switch (event.what) {
        case SimulatedHappening::kConnectFailed:
            note(socket->self, event.what, {}, event.error);
            return socket->owner->on_connect(socket->self, event.error);
        case SimulatedHappening::kDatagram:
            if (socket->arrived.size() >= network_.settings.datagrams_max) return;
            socket->arrived.push_back(std::move(event.piece));
            break;
        case SimulatedHappening::kPiece:
            if (socket->ended) return;
            socket->arrived.push_back(std::move(event.piece));
            break;
        case SimulatedHappening::kFin: socket->ended = true; break;
        default: break;
    }
    deliver(event.socket);
}

// Hands over what has arrived, as far as the owner wants it. A callback may close or kill: look
// again.
void SimulatedLoopImplementation::deliver(Socket handle) {
    for (SimulatedSocket* socket = find(handle); socket != nullptr; socket = find(handle)) {
        if (socket->paused || socket->owner == nullptr || !socket->connected) return;
        if (socket->arrived.empty()) break;
        SimulatedPiece piece = std::move(socket->arrived.front());
        socket->arrived.pop_front();
        SocketOwner& owner = *socket->owner;
        if (socket->kind == SimulatedKind::kDatagram) {
            note(handle, SimulatedHappening::kDatagram, piece.bytes);
            owner.on_datagram(handle, piece.from, piece.bytes);
            continue;
        }
        SimulatedSocket* sender = socket->peer.loop->find(socket->peer.socket);
        if (sender != nullptr) {
            sender->in_flight -= piece.bytes.size();
            socket->peer.loop->pump(*sender);
        }
        note(handle, SimulatedHappening::kPiece, piece.bytes);
        owner.on_receive(handle, piece.bytes);
    }
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr || !socket->ended || socket->end_told) return;
    socket->end_told = true;
    note(handle, SimulatedHappening::kFin, {}, socket->end_error);
    socket->owner->on_end(handle, socket->end_error);
}

// ---- sockets

SimulatedSocket* SimulatedLoopImplementation::find(Socket handle) const {
    SimulatedSocket* socket = sockets_.find(slot_of(handle));
    return socket != nullptr && !socket->closing ? socket : nullptr;
}

Result<SimulatedSocket*> SimulatedLoopImplementation::make_socket(SimulatedKind kind,
                                                                  SocketOwner* owner) {
    if (killed_) return failure(Errc::kClosed, "killed loop");
    Handle<SimulatedSocket> handle;
    SimulatedSocket* socket = sockets_.make(handle, kind);
    if (socket == nullptr) return failure(Errc::kLimit, "sockets");
    socket->self = {handle.index, handle.generation};
    socket->owner = owner;
    socket->opened = network_.now;
    return socket;
}

std::uint16_t SimulatedLoopImplementation::take_port() {
    std::uint16_t& next = network_.next_port[node_];
    if (next < kSimulatedFirstPort) next = kSimulatedFirstPort;
    return next++;
}

Result<Socket> SimulatedLoopImplementation::bind(const SocketAddress& address, SimulatedKind kind,
                                                 SocketOwner& owner) {
    FEDGATE_TRY(socket, make_socket(kind, &owner));
    socket->local = endpoint_of(address).port != 0 ? address : with_port(address, take_port());
    socket->connected = true;
    return socket->self;
}

Result<Socket> SimulatedLoopImplementation::listen(const SocketAddress& address,
                                                   SocketOwner& owner) {
    return bind(address, SimulatedKind::kListener, owner);
}

Result<Socket> SimulatedLoopImplementation::open_datagram(const SocketAddress& local,
                                                          SocketOwner& owner) {
    return bind(local, SimulatedKind::kDatagram, owner);
}

Result<Socket> SimulatedLoopImplementation::connect(const SocketAddress& to, SocketOwner& owner) {
    FEDGATE_TRY(socket, make_socket(SimulatedKind::kStream, &owner));
    socket->peer_address = to;
    socket->local = endpoint_of(to).loopback() ? with_port(to, take_port())
                                               : network_.node_address(node_, take_port());
    after_latency(
        {.at = {}, .what = SimulatedHappening::kSyn, .socket = socket->self, .sender = {}});
    return socket->self;
}

// The connection request has been there, and its answer is back.
void SimulatedLoopImplementation::on_syn(const SimulatedEvent& event) {
    SimulatedSocket* client = find(event.socket);
    if (client == nullptr) return;
    const auto fail = [&](int error) {
        note(client->self, SimulatedHappening::kConnectFailed, {}, error);
        client->owner->on_connect(client->self, error);
    };
    const auto [loop, listener] =
        network_.find_bound(client->peer_address, client->local, node_, SimulatedKind::kListener);
    if (loop != nullptr && network_.is_cut(loop->node(), node_)) {
        if (network_.now + kSynRetry > client->opened + network_.settings.connect_timeout)
            return fail(ETIMEDOUT);
        SimulatedEvent again = event;
        again.at = network_.now + kSynRetry;
        return schedule(std::move(again));
    }
    if (loop == nullptr || network_.refusing.contains(endpoint_of(client->peer_address)))
        return fail(ECONNREFUSED);
    const Result<SimulatedSocket*> server = loop->make_socket(SimulatedKind::kStream, nullptr);
    if (!server) return fail(ECONNRESET);
    (*server)->connected = true;
    (*server)->local = client->peer_address;
    (*server)->peer_address = client->local;
    (*server)->peer = {this, client->self};
    client->peer = {loop, (*server)->self};
    client->connected = true;
    client->last_arrival = network_.now + network_.latency();  // nothing arrives before the accept
    loop->schedule({.at = client->last_arrival,
                    .what = SimulatedHappening::kAccept,
                    .socket = listener,
                    .sender = {},
                    .accepted = (*server)->self});
    network_.came_up(*client, **server);
    if (client->fault && client->fault_after == 0) strike(*client);
    if ((*server)->fault && (*server)->fault_after == 0) loop->strike(**server);
    note(client->self, SimulatedHappening::kSyn);
    client->owner->on_connect(client->self, 0);
}

void SimulatedLoopImplementation::on_accept(const SimulatedEvent& event) {
    SimulatedSocket* listener = find(event.socket);
    SimulatedSocket* connection = find(event.accepted);
    if (connection == nullptr) return;
    if (listener == nullptr) return close(event.accepted);  // closed meanwhile
    note(connection->self, SimulatedHappening::kAccept);
    listener->owner->on_accept(listener->self, connection->self, connection->peer_address);
}

void SimulatedLoopImplementation::adopt(Socket handle, SocketOwner& owner) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr) return;
    FEDGATE_CHECK(socket->kind == SimulatedKind::kStream && socket->owner == nullptr);
    socket->owner = &owner;
    after_latency({.at = {}, .what = SimulatedHappening::kDeliver, .socket = handle, .sender = {}});
}

void SimulatedLoopImplementation::send(Socket handle, Bytes bytes) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr) return;
    FEDGATE_CHECK(socket->kind == SimulatedKind::kStream && socket->connected);
    FEDGATE_CHECK(!socket->sending && !bytes.empty());
    socket->sending = true;
    ++socket->send_number;
    if (socket->end_error != 0 || socket->fin_sent) {
        return after_latency({.at = {},
                              .what = SimulatedHappening::kSent,
                              .socket = handle,
                              .sender = {},
                              .error = EPIPE,
                              .send_number = socket->send_number});
    }
    socket->unsent = bytes;
    pump(*socket);
}

// Everything that crosses the network from a stream arrives in its order.
void SimulatedLoopImplementation::transmit(SimulatedSocket& from, SimulatedEvent event) {
    if (from.hole) {
        if (event.what != SimulatedHappening::kPiece || std::exchange(from.hole_ends, true)) return;
        return schedule({.at = network_.now + kTcpUserTimeout,
                         .what = SimulatedHappening::kReset,
                         .socket = from.self,
                         .sender = {},
                         .error = ETIMEDOUT});
    }
    from.last_arrival = std::max(from.last_arrival, network_.now + network_.latency());
    event.at = from.last_arrival;
    event.socket = from.peer.socket;
    event.from_node = node_;
    event.sender = {this, from.self};
    from.peer.loop->schedule(std::move(event));
}

// Sends on as far as the receiver has room.
void SimulatedLoopImplementation::pump(SimulatedSocket& socket) {
    const SimulationSettings& settings = network_.settings;
    if (!socket.sending || socket.broken || socket.unsent.empty()) return;
    while (!socket.unsent.empty()) {
        // RFC 9293 3.8.6.2: wait until there is some room, else ever smaller pieces go round.
        const std::size_t room = settings.window_bytes - socket.in_flight;
        if (room < std::min(socket.unsent.size(), settings.window_bytes / 4 + 1)) return;
        std::size_t size = 1 + network_.random.below(settings.piece_bytes_max);
        if (network_.random.below(8) == 0) size = 1 + network_.random.below(16);
        size = std::min({size, socket.unsent.size(), room});
        if (socket.fault) size = std::min(size, socket.fault_after);
        if (size > 0) {
            SimulatedEvent event{
                .at = {}, .what = SimulatedHappening::kPiece, .socket = {}, .sender = {}};
            event.piece.bytes = socket.unsent.substr(0, size);
            network_.record(socket, event.piece.bytes);
            if (std::exchange(socket.garbles, false)) event.piece.bytes[0] ^= 0x55;
            socket.unsent.remove_prefix(size);
            socket.in_flight += size;
            transmit(socket, std::move(event));
        }
        if (!socket.fault) continue;
        socket.fault_after -= size;
        if (socket.fault_after == 0) strike(socket);
        if (socket.broken || socket.fin_sent) return;
    }
    after_latency({.at = {},
                   .what = SimulatedHappening::kSent,
                   .socket = socket.self,
                   .sender = {},
                   .send_number = socket.send_number});
    if (socket.fin_wanted) send_fin(socket);
}

void SimulatedLoopImplementation::send_fin(SimulatedSocket& socket) {
    if (socket.fin_sent || socket.broken || socket.peer.loop == nullptr) return;
    socket.fin_sent = true;
    transmit(socket, {.at = {}, .what = SimulatedHappening::kFin, .socket = {}, .sender = {}});
}

void SimulatedLoopImplementation::strike(SimulatedSocket& socket) {
    const StreamFault::Kind kind = *socket.fault;
    socket.fault.reset();
    switch (kind) {
        case StreamFault::Kind::kReset: return break_stream(socket);
        case StreamFault::Kind::kEnd: return end_stream(socket);
        case StreamFault::Kind::kGarbage: socket.garbles = true; return;
        case StreamFault::Kind::kHole:
            socket.hole = true;
            if (SimulatedSocket* peer = socket.peer.loop->find(socket.peer.socket)) {
                peer->hole = true;
            }
            return;
    }
}

// What is sent from now on, from either end, fails.
void SimulatedLoopImplementation::end_stream(SimulatedSocket& socket) {
    send_fin(socket);
    after_latency(
        {.at = {}, .what = SimulatedHappening::kFin, .socket = socket.self, .sender = {}});
    if (SimulatedSocket* peer = socket.peer.loop->find(socket.peer.socket)) peer->fin_sent = true;
    if (!socket.sending) return;
    socket.unsent = {};
    after_latency({.at = {},
                   .what = SimulatedHappening::kSent,
                   .socket = socket.self,
                   .sender = {},
                   .error = EPIPE,
                   .send_number = socket.send_number});
}

void SimulatedLoopImplementation::break_stream(SimulatedSocket& socket) {
    socket.broken = true;
    transmit(socket, {.at = {},
                      .what = SimulatedHappening::kReset,
                      .socket = {},
                      .sender = {},
                      .error = ECONNRESET});
    after_latency({.at = {},
                   .what = SimulatedHappening::kReset,
                   .socket = socket.self,
                   .sender = {},
                   .error = ECONNRESET});
}

void SimulatedLoopImplementation::on_sent(const SimulatedEvent& event) {
    SimulatedSocket* socket = find(event.socket);
    if (socket == nullptr || !socket->sending || socket->send_number != event.send_number) return;
    socket->sending = false;
    note(event.socket, SimulatedHappening::kSent, {}, event.error);
    socket->owner->on_sent(event.socket, event.error);
}

void SimulatedLoopImplementation::on_reset(Socket handle, int error) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr || socket->end_error != 0) return;
    socket->broken = true;
    socket->ended = true;
    socket->end_error = error;
    // What was received and not read may be lost with the connection: chance decides.
    if (network_.random.below(2) == 0) socket->arrived.clear();
    if (socket->sending) {
        socket->sending = false;
        socket->unsent = {};
        note(handle, SimulatedHappening::kSent, {}, error);
        socket->owner->on_sent(handle, error);
    }
    deliver(handle);
}

bool SimulatedLoopImplementation::send_datagram(Socket handle, const SocketAddress& to,
                                                Bytes bytes) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr) return true;
    FEDGATE_CHECK(socket->kind == SimulatedKind::kDatagram);
    const SimulationSettings& settings = network_.settings;
    SimulatedRandom& random = network_.random;
    SocketAddress from = socket->local;
    if (endpoint_of(from).wildcard()) {
        const std::uint16_t port = endpoint_of(from).port;
        from =
            endpoint_of(to).loopback() ? with_port(to, port) : network_.node_address(node_, port);
    }
    const auto [loop, target] = network_.find_bound(to, from, node_, SimulatedKind::kDatagram);
    const int copies = random.below(1'000) < settings.datagram_copy_permille ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
        const bool lost = random.below(1'000) < settings.datagram_loss_permille;
        const bool late = random.below(1'000) < settings.datagram_reorder_permille;
        if (lost || loop == nullptr) continue;
        SimulatedEvent event{.at = {},
                             .what = SimulatedHappening::kDatagram,
                             .socket = target,
                             .from_node = node_,
                             .sender = {}};
        event.piece = {std::string(bytes), from};
        if (late) {
            event.at = network_.now +
                       network_.latency() * static_cast<int>(1 + random.below(kReorderFactor));
        } else {
            event.at = socket->last_arrival =
                std::max(socket->last_arrival, network_.now + network_.latency());
        }
        loop->schedule(std::move(event));
    }
    return true;
}

void SimulatedLoopImplementation::pause_receive(Socket handle) {
    if (SimulatedSocket* socket = find(handle); socket != nullptr) socket->paused = true;
}

void SimulatedLoopImplementation::resume_receive(Socket handle) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr || !socket->paused) return;
    socket->paused = false;
    after_latency({.at = {}, .what = SimulatedHappening::kDeliver, .socket = handle, .sender = {}});
}

void SimulatedLoopImplementation::shutdown_send(Socket handle) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr) return;
    if (socket->unsent.empty()) {
        send_fin(*socket);
    } else {
        socket->fin_wanted = true;
    }
}

void SimulatedLoopImplementation::close(Socket handle) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr) return;
    if (socket->kind == SimulatedKind::kStream && socket->peer.loop != nullptr && !socket->broken) {
        // As the kernel does: a reset when there is something that nobody will read any more.
        if (socket->arrived.empty()) {
            send_fin(*socket);
        } else {
            transmit(*socket, {.at = {},
                               .what = SimulatedHappening::kReset,
                               .socket = {},
                               .sender = {},
                               .error = ECONNRESET});
        }
    }
    socket->closing = true;
    after_latency({.at = {}, .what = SimulatedHappening::kClosed, .socket = handle, .sender = {}});
}

void SimulatedLoopImplementation::close(Socket handle, std::unique_ptr<SocketRemains> remains) {
    SimulatedSocket* socket = sockets_.find(slot_of(handle));
    if (socket == nullptr) return;
    socket->owner = nullptr;
    socket->remains = std::move(remains);
    close(handle);
}

void SimulatedLoopImplementation::on_closed(Socket handle) {
    SocketOwner* owner = sockets_.find(slot_of(handle))->owner;
    sockets_.free(slot_of(handle));
    note(handle, SimulatedHappening::kClosed);
    if (owner != nullptr) owner->on_closed(handle);
}

SocketAddress SimulatedLoopImplementation::local_address(Socket handle) const {
    const SimulatedSocket* socket = find(handle);
    return socket != nullptr ? from_mapped(socket->local) : SocketAddress{};
}

void SimulatedLoopImplementation::kill() {
    if (killed_) return;
    for_each_socket([this](SimulatedSocket& socket) {
        if (socket.kind != SimulatedKind::kStream || socket.peer.loop == nullptr || socket.closing)
            return;
        transmit(socket, {.at = {},
                          .what = SimulatedHappening::kReset,
                          .socket = {},
                          .sender = {},
                          .error = ECONNRESET});
    });
    killed_ = true;
    events_.clear();
    sockets_.for_each(
        [this](Handle<SimulatedSocket> handle, SimulatedSocket&) { sockets_.free(handle); });
}

}  // namespace fedgate
