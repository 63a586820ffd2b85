#include "core/run/simulation.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <set>
#include <string>
#include <utility>

#include "core/base/check.hpp"
#include "core/run/socket_address.hpp"

namespace fedgate {
namespace {

constexpr Instant kStart{1s};
constexpr WallTime kWallStart{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
constexpr Duration kTurn = 1us;     // a loop's turns are at least this far apart: time always moves
constexpr Duration kSynRetry = 1s;  // while a link is cut
constexpr std::uint16_t kFirstPort = 40'000;
constexpr unsigned kReorderFactor = 20;
constexpr std::uint32_t kNoNode = UINT32_MAX;
constexpr std::uint64_t kHashStart = 0xcbf29ce484222325;  // FNV-1a

std::uint64_t mix(std::uint64_t hash, Bytes bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    return mix(hash, Bytes(bytes, sizeof bytes));
}

// splitmix64: small, and the same everywhere.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }

private:
    std::uint64_t state_;
};

// Host and port of an address, for comparing.
struct Endpoint {
    std::string host;  // 4 or 16 bytes
    std::uint16_t port = 0;

    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
    [[nodiscard]] bool wildcard() const {
        return host.find_first_not_of('\0') == std::string::npos;
    }
    [[nodiscard]] bool loopback() const {
        return host.size() == 4 ? host[0] == 127 : host == std::string(15, '\0') + '\1';
    }
};

Endpoint endpoint_of(const SocketAddress& mapped_or_not) {
    const SocketAddress address = from_mapped(mapped_or_not);
    if (address.storage.ss_family == AF_INET) {
        const sockaddr_in ipv4 = as_ipv4(address);
        return {std::string(reinterpret_cast<const char*>(&ipv4.sin_addr), 4),
                ntohs(ipv4.sin_port)};
    }
    const sockaddr_in6 ipv6 = as_ipv6(address);
    return {std::string(reinterpret_cast<const char*>(&ipv6.sin6_addr), 16), ntohs(ipv6.sin6_port)};
}

SocketAddress with_port(const SocketAddress& from, std::uint16_t port) {
    // The port is at the same place in both families.
    sockaddr_in head = as_ipv4(from);
    head.sin_port = htons(port);
    SocketAddress address = from;
    std::memcpy(&address.storage, &head, offsetof(sockaddr_in, sin_addr));
    return address;
}

enum class Kind : std::uint8_t { kListener, kStream, kDatagram };

struct Piece {
    std::string bytes;
    SocketAddress from;  // of a datagram
};

}  // namespace

class SimulatedLoopImplementation;

// The other end of a stream, wherever it is.
struct SimulatedRemote {
    SimulatedLoopImplementation* loop = nullptr;
    Socket socket;
};

struct SimulatedSocket {
    explicit SimulatedSocket(Kind kind_of) : kind(kind_of) {}

    Kind kind;
    Socket self;
    SocketOwner* owner = nullptr;
    std::unique_ptr<SocketRemains> remains;
    SocketAddress local;
    SocketAddress peer_address;
    SimulatedRemote peer;
    Instant opened{};
    bool connected = false;
    bool closing = false;
    // Receiving.
    std::deque<Piece> arrived;
    bool paused = false;
    bool ended = false;
    bool end_told = false;
    int end_error = 0;
    // Sending.
    Bytes unsent;
    bool sending = false;
    std::uint32_t send_number = 0;  // tells the completions of two sends apart
    bool fin_wanted = false;
    bool fin_sent = false;
    bool broken = false;
    std::size_t in_flight = 0;  // sent, and not yet taken by the other end's owner
    bool breaks = false;
    std::size_t breaks_after = 0;
    Instant last_arrival{};  // nothing sent later arrives earlier
};

enum class Happening : std::uint8_t {
    kSyn,
    kConnectFailed,
    kAccept,
    kPiece,
    kFin,
    kReset,
    kSent,
    kDatagram,
    kDeliver,
    kClosed,
};

struct SimulatedEvent {
    Instant at;
    std::uint64_t number = 0;  // order of those at one time
    Happening what;
    Socket socket;
    std::uint32_t from_node = kNoNode;  // crosses the network from there
    SimulatedRemote sender;             // whom to tell that nobody is here
    Piece piece{};
    Socket accepted{};
    int error = 0;
    std::uint32_t send_number = 0;
};

// What all loops share: time, chance, and who listens where.
class SimulatedNetwork {
public:
    explicit SimulatedNetwork(const SimulationSettings& with) : settings(with), random(with.seed) {}

    using Bound = std::pair<SimulatedLoopImplementation*, Socket>;
    Bound find_bound(const SocketAddress& to, const SocketAddress& from, std::uint32_t from_node,
                     Kind);
    Duration latency() {
        const auto spread =
            static_cast<std::uint64_t>((settings.latency_max - settings.latency_min).count());
        return settings.latency_min + Duration(static_cast<std::int64_t>(random.below(spread + 1)));
    }
    [[nodiscard]] bool is_cut(std::uint32_t a, std::uint32_t b) const {
        return cuts.contains({std::min(a, b), std::max(a, b)});
    }
    [[nodiscard]] SocketAddress node_address(std::uint32_t node, std::uint16_t port) const {
        sockaddr_in ipv4{};
        ipv4.sin_family = AF_INET;
        ipv4.sin_port = htons(port);
        ipv4.sin_addr.s_addr = htonl(0x0a000001 + node);
        return make_address(ipv4);
    }
    bool step(Instant deadline);

    SimulationSettings settings;
    Random random;
    Instant now = kStart;
    std::uint64_t event_number = 0;
    std::uint64_t hash = kHashStart;
    std::uint32_t node_count = 0;
    std::vector<std::uint16_t> next_port;  // by node
    std::vector<std::unique_ptr<SimulatedLoopImplementation>> loops;
    std::set<std::pair<std::uint32_t, std::uint32_t>> cuts;
    std::set<Endpoint> refusing;
    std::vector<std::pair<SimulatedLoopImplementation*, SimulatedEvent>>
        stalled;  // on links that are cut
};

class SimulatedLoopImplementation final : public SimulatedLoop {
public:
    SimulatedLoopImplementation(SimulatedNetwork& network, std::uint32_t node, std::uint64_t number)
        : network_(network),
          node_(node),
          number_(number),
          random_(mix(mix(kHashStart, network.settings.seed), number)),
          sockets_(network.settings.sockets_max),
          timers_(network.now),
          last_turn_(network.now) {}

    [[nodiscard]] Instant now() const override { return network_.now; }
    [[nodiscard]] WallTime wall_now() const override {
        return kWallStart + std::chrono::floor<std::chrono::seconds>(network_.now - kStart);
    }
    void fill_random(MutableBytes bytes) override {
        for (char& byte : bytes) byte = static_cast<char>(random_.next());
    }
    Result<Socket> listen(const SocketAddress&, SocketOwner&) override;
    Result<Socket> connect(const SocketAddress&, SocketOwner&) override;
    Result<Socket> open_datagram(const SocketAddress&, SocketOwner&) override;
    Result<Socket> watch(int, SocketOwner&) override {
        return failure(Errc::kUnsupported, "simulated watch");
    }
    void adopt(Socket, SocketOwner&) override;
    void send(Socket, Bytes) override;
    bool send_datagram(Socket, const SocketAddress& to, Bytes) override;
    void pause_receive(Socket) override;
    void resume_receive(Socket) override;
    void shutdown_send(Socket) override;
    void close(Socket) override;
    void close(Socket, std::unique_ptr<SocketRemains>) override;
    [[nodiscard]] SocketAddress local_address(Socket) const override;
    [[nodiscard]] Timers& timers() override { return timers_; }
    void at_turn_end(TurnTask& task) override { tasks_.add(task); }
    void cancel_turn_task(TurnTask& task) override { tasks_.remove(task); }
    void set_turn_hook(TurnHook* hook) override { hook_ = hook; }
    void wake() override { woken_ = true; }
    void run_turn(Duration wait_max) override { network_.step(network_.now + wait_max); }
    [[nodiscard]] Simulation::Node node() const override { return node_; }
    [[nodiscard]] bool killed() const override { return killed_; }
    [[nodiscard]] std::size_t socket_count() const override { return sockets_.count(); }

    // For the network.
    [[nodiscard]] Instant next_turn() const;
    void turn();
    void kill();
    void schedule(SimulatedEvent);
    void schedule_again(SimulatedEvent);
    SimulatedSocket* find(Socket) const;  // open ones only
    void pump(SimulatedSocket&);
    void break_stream(SimulatedSocket&);
    template <typename Visit>
    void for_each_socket(Visit&& visit) {
        sockets_.for_each([&](Handle<SimulatedSocket>, SimulatedSocket& socket) { visit(socket); });
    }

private:
    static Handle<SimulatedSocket> slot_of(Socket socket) {
        return {socket.index, socket.generation};
    }
    Result<SimulatedSocket*> make_socket(Kind, SocketOwner*);
    Result<Socket> bind(const SocketAddress&, Kind, SocketOwner&);
    std::uint16_t take_port();
    void handle(SimulatedEvent&);
    void on_syn(const SimulatedEvent&);
    void on_accept(const SimulatedEvent&);
    void on_reset(Socket, int error);
    void on_sent(const SimulatedEvent&);
    void on_closed(Socket);
    void deliver(Socket);
    void send_fin(SimulatedSocket&);
    void transmit(SimulatedSocket& from, SimulatedEvent);
    void after_latency(SimulatedEvent event) {
        event.at = network_.now + network_.latency();
        schedule(std::move(event));
    }
    void note(Socket, Happening, Bytes = {}, int error = 0);

    SimulatedNetwork& network_;
    std::uint32_t node_;
    std::uint64_t number_;
    Random random_;
    mutable Slab<SimulatedSocket> sockets_;
    std::vector<SimulatedEvent> events_;  // a heap
    Timers timers_;
    TurnTasks tasks_;
    TurnHook* hook_ = nullptr;
    Instant last_turn_;
    bool woken_ = false;
    bool killed_ = false;
};

namespace {

bool later(const SimulatedEvent& a, const SimulatedEvent& b) {
    return a.at != b.at ? a.at > b.at : a.number > b.number;
}

}  // namespace

// ---- network

SimulatedNetwork::Bound SimulatedNetwork::find_bound(const SocketAddress& to,
                                                     const SocketAddress& from,
                                                     std::uint32_t from_node, Kind kind) {
    const Endpoint wanted = endpoint_of(to);
    std::vector<Bound> found;
    for (const auto& loop : loops) {
        if (wanted.loopback() && loop->node() != from_node) continue;
        const bool is_own =
            wanted.loopback() || wanted.host == endpoint_of(node_address(loop->node(), 0)).host;
        loop->for_each_socket([&](SimulatedSocket& socket) {
            if (socket.kind != kind || socket.closing) return;
            const Endpoint bound = endpoint_of(socket.local);
            if (bound == wanted || (is_own && bound.wildcard() && bound.port == wanted.port)) {
                found.emplace_back(loop.get(), socket.self);
            }
        });
    }
    if (found.empty()) return {};
    // As SO_REUSEPORT: one flow always meets the same socket.
    const Endpoint source = endpoint_of(from);
    const std::uint64_t flow = mix(mix(mix(kHashStart, settings.seed), source.host), source.port);
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

void SimulatedLoopImplementation::note(Socket socket, Happening what, Bytes bytes, int error) {
    std::uint64_t& hash = network_.hash;
    hash = mix(hash, static_cast<std::uint64_t>(network_.now.time_since_epoch().count()));
    hash = mix(hash, number_ << 32 | static_cast<std::uint64_t>(what) << 16 |
                         static_cast<std::uint64_t>(error));
    hash = mix(hash, socket.pack());
    hash = mix(hash, bytes);
}

void SimulatedLoopImplementation::handle(SimulatedEvent& event) {
    const bool crosses = event.from_node != kNoNode;
    if (crosses && network_.is_cut(event.from_node, node_)) {
        if (event.what != Happening::kDatagram)
            network_.stalled.emplace_back(this, std::move(event));
        return;
    }
    switch (event.what) {
        case Happening::kSyn: return on_syn(event);
        case Happening::kAccept: return on_accept(event);
        case Happening::kReset: return on_reset(event.socket, event.error);
        case Happening::kSent: return on_sent(event);
        case Happening::kClosed: return on_closed(event.socket);
        default: break;
    }
    SimulatedSocket* socket = find(event.socket);
    if (socket == nullptr) {
        // RFC 9293 3.10.7.1: what arrives for a connection that is not there is answered with a
        // reset.
        if (event.what != Happening::kPiece || event.sender.loop == nullptr) return;
        SimulatedEvent reset{.at = network_.now + network_.latency(),
                             .what = Happening::kReset,
                             .socket = event.sender.socket,
                             .from_node = node_,
                             .sender = {},
                             .error = ECONNRESET};
        return event.sender.loop->schedule(std::move(reset));
    }
    switch (event.what) {
        case Happening::kConnectFailed:
            note(socket->self, event.what, {}, event.error);
            return socket->owner->on_connect(socket->self, event.error);
        case Happening::kDatagram:
            if (socket->arrived.size() >= network_.settings.datagrams_max) return;
            socket->arrived.push_back(std::move(event.piece));
            break;
        case Happening::kPiece:
            if (socket->ended) return;
            socket->arrived.push_back(std::move(event.piece));
            break;
        case Happening::kFin: socket->ended = true; break;
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
        Piece piece = std::move(socket->arrived.front());
        socket->arrived.pop_front();
        SocketOwner& owner = *socket->owner;
        if (socket->kind == Kind::kDatagram) {
            note(handle, Happening::kDatagram, piece.bytes);
            owner.on_datagram(handle, piece.from, piece.bytes);
            continue;
        }
        SimulatedSocket* sender = socket->peer.loop->find(socket->peer.socket);
        if (sender != nullptr) {
            sender->in_flight -= piece.bytes.size();
            socket->peer.loop->pump(*sender);
        }
        note(handle, Happening::kPiece, piece.bytes);
        owner.on_receive(handle, piece.bytes);
    }
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr || !socket->ended || socket->end_told) return;
    socket->end_told = true;
    note(handle, Happening::kFin, {}, socket->end_error);
    socket->owner->on_end(handle, socket->end_error);
}

// ---- sockets

SimulatedSocket* SimulatedLoopImplementation::find(Socket handle) const {
    SimulatedSocket* socket = sockets_.find(slot_of(handle));
    return socket != nullptr && !socket->closing ? socket : nullptr;
}

Result<SimulatedSocket*> SimulatedLoopImplementation::make_socket(Kind kind, SocketOwner* owner) {
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
    if (next < kFirstPort) next = kFirstPort;
    return next++;
}

Result<Socket> SimulatedLoopImplementation::bind(const SocketAddress& address, Kind kind,
                                                 SocketOwner& owner) {
    FEDGATE_TRY(socket, make_socket(kind, &owner));
    socket->local = endpoint_of(address).port != 0 ? address : with_port(address, take_port());
    socket->connected = true;
    return socket->self;
}

Result<Socket> SimulatedLoopImplementation::listen(const SocketAddress& address,
                                                   SocketOwner& owner) {
    return bind(address, Kind::kListener, owner);
}

Result<Socket> SimulatedLoopImplementation::open_datagram(const SocketAddress& local,
                                                          SocketOwner& owner) {
    return bind(local, Kind::kDatagram, owner);
}

Result<Socket> SimulatedLoopImplementation::connect(const SocketAddress& to, SocketOwner& owner) {
    FEDGATE_TRY(socket, make_socket(Kind::kStream, &owner));
    socket->peer_address = to;
    socket->local = endpoint_of(to).loopback() ? with_port(to, take_port())
                                               : network_.node_address(node_, take_port());
    after_latency({.at = {}, .what = Happening::kSyn, .socket = socket->self, .sender = {}});
    return socket->self;
}

// The connection request has been there, and its answer is back.
void SimulatedLoopImplementation::on_syn(const SimulatedEvent& event) {
    SimulatedSocket* client = find(event.socket);
    if (client == nullptr) return;
    const auto fail = [&](int error) {
        note(client->self, Happening::kConnectFailed, {}, error);
        client->owner->on_connect(client->self, error);
    };
    const auto [loop, listener] =
        network_.find_bound(client->peer_address, client->local, node_, Kind::kListener);
    if (loop != nullptr && network_.is_cut(loop->node(), node_)) {
        if (network_.now + kSynRetry > client->opened + network_.settings.connect_timeout)
            return fail(ETIMEDOUT);
        SimulatedEvent again = event;
        again.at = network_.now + kSynRetry;
        return schedule(std::move(again));
    }
    if (loop == nullptr || network_.refusing.contains(endpoint_of(client->peer_address)))
        return fail(ECONNREFUSED);
    const Result<SimulatedSocket*> server = loop->make_socket(Kind::kStream, nullptr);
    if (!server) return fail(ECONNRESET);
    (*server)->connected = true;
    (*server)->local = client->peer_address;
    (*server)->peer_address = client->local;
    (*server)->peer = {this, client->self};
    client->peer = {loop, (*server)->self};
    client->connected = true;
    client->last_arrival = network_.now + network_.latency();  // nothing arrives before the accept
    loop->schedule({.at = client->last_arrival,
                    .what = Happening::kAccept,
                    .socket = listener,
                    .sender = {},
                    .accepted = (*server)->self});
    note(client->self, Happening::kSyn);
    client->owner->on_connect(client->self, 0);
}

void SimulatedLoopImplementation::on_accept(const SimulatedEvent& event) {
    SimulatedSocket* listener = find(event.socket);
    SimulatedSocket* connection = find(event.accepted);
    if (connection == nullptr) return;
    if (listener == nullptr) return close(event.accepted);  // closed meanwhile
    note(connection->self, Happening::kAccept);
    listener->owner->on_accept(listener->self, connection->self, connection->peer_address);
}

void SimulatedLoopImplementation::adopt(Socket handle, SocketOwner& owner) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr) return;
    FEDGATE_CHECK(socket->kind == Kind::kStream && socket->owner == nullptr);
    socket->owner = &owner;
    after_latency({.at = {}, .what = Happening::kDeliver, .socket = handle, .sender = {}});
}

void SimulatedLoopImplementation::send(Socket handle, Bytes bytes) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr) return;
    FEDGATE_CHECK(socket->kind == Kind::kStream && socket->connected);
    FEDGATE_CHECK(!socket->sending && !bytes.empty());
    socket->sending = true;
    ++socket->send_number;
    if (socket->end_error != 0 || socket->fin_sent) {
        return after_latency({.at = {},
                              .what = Happening::kSent,
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
        if (socket.breaks) size = std::min(size, socket.breaks_after);
        if (size > 0) {
            SimulatedEvent event{.at = {}, .what = Happening::kPiece, .socket = {}, .sender = {}};
            event.piece.bytes = socket.unsent.substr(0, size);
            socket.unsent.remove_prefix(size);
            socket.in_flight += size;
            transmit(socket, std::move(event));
        }
        if (!socket.breaks) continue;
        socket.breaks_after -= size;
        if (socket.breaks_after == 0) return break_stream(socket);
    }
    after_latency({.at = {},
                   .what = Happening::kSent,
                   .socket = socket.self,
                   .sender = {},
                   .send_number = socket.send_number});
    if (socket.fin_wanted) send_fin(socket);
}

void SimulatedLoopImplementation::send_fin(SimulatedSocket& socket) {
    if (socket.fin_sent || socket.broken || socket.peer.loop == nullptr) return;
    socket.fin_sent = true;
    transmit(socket, {.at = {}, .what = Happening::kFin, .socket = {}, .sender = {}});
}

void SimulatedLoopImplementation::break_stream(SimulatedSocket& socket) {
    socket.broken = true;
    transmit(
        socket,
        {.at = {}, .what = Happening::kReset, .socket = {}, .sender = {}, .error = ECONNRESET});
    after_latency({.at = {},
                   .what = Happening::kReset,
                   .socket = socket.self,
                   .sender = {},
                   .error = ECONNRESET});
}

void SimulatedLoopImplementation::on_sent(const SimulatedEvent& event) {
    SimulatedSocket* socket = find(event.socket);
    if (socket == nullptr || !socket->sending || socket->send_number != event.send_number) return;
    socket->sending = false;
    note(event.socket, Happening::kSent, {}, event.error);
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
        note(handle, Happening::kSent, {}, error);
        socket->owner->on_sent(handle, error);
    }
    deliver(handle);
}

bool SimulatedLoopImplementation::send_datagram(Socket handle, const SocketAddress& to,
                                                Bytes bytes) {
    SimulatedSocket* socket = find(handle);
    if (socket == nullptr) return true;
    FEDGATE_CHECK(socket->kind == Kind::kDatagram);
    const SimulationSettings& settings = network_.settings;
    Random& random = network_.random;
    SocketAddress from = socket->local;
    if (endpoint_of(from).wildcard()) {
        const std::uint16_t port = endpoint_of(from).port;
        from =
            endpoint_of(to).loopback() ? with_port(to, port) : network_.node_address(node_, port);
    }
    const auto [loop, target] = network_.find_bound(to, from, node_, Kind::kDatagram);
    const int copies = random.below(1'000) < settings.datagram_copy_permille ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
        const bool lost = random.below(1'000) < settings.datagram_loss_permille;
        const bool late = random.below(1'000) < settings.datagram_reorder_permille;
        if (lost || loop == nullptr) continue;
        SimulatedEvent event{.at = {},
                             .what = Happening::kDatagram,
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
    after_latency({.at = {}, .what = Happening::kDeliver, .socket = handle, .sender = {}});
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
    if (socket->kind == Kind::kStream && socket->peer.loop != nullptr && !socket->broken) {
        // As the kernel does: a reset when there is something that nobody will read any more.
        if (socket->arrived.empty()) {
            send_fin(*socket);
        } else {
            transmit(*socket, {.at = {},
                               .what = Happening::kReset,
                               .socket = {},
                               .sender = {},
                               .error = ECONNRESET});
        }
    }
    socket->closing = true;
    after_latency({.at = {}, .what = Happening::kClosed, .socket = handle, .sender = {}});
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
    note(handle, Happening::kClosed);
    if (owner != nullptr) owner->on_closed(handle);
}

SocketAddress SimulatedLoopImplementation::local_address(Socket handle) const {
    const SimulatedSocket* socket = find(handle);
    return socket != nullptr ? from_mapped(socket->local) : SocketAddress{};
}

void SimulatedLoopImplementation::kill() {
    if (killed_) return;
    for_each_socket([this](SimulatedSocket& socket) {
        if (socket.kind != Kind::kStream || socket.peer.loop == nullptr || socket.closing) return;
        transmit(
            socket,
            {.at = {}, .what = Happening::kReset, .socket = {}, .sender = {}, .error = ECONNRESET});
    });
    killed_ = true;
    events_.clear();
    sockets_.for_each(
        [this](Handle<SimulatedSocket> handle, SimulatedSocket&) { sockets_.free(handle); });
}

// ---- what the tests hold

Simulation::Simulation(const SimulationSettings& settings)
    : network_(std::make_unique<SimulatedNetwork>(settings)) {}
Simulation::~Simulation() = default;

Simulation::Node Simulation::make_node() {
    network_->next_port.push_back(kFirstPort);
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
            const bool stands = socket.kind == Kind::kStream && socket.peer.loop != nullptr &&
                                !socket.closing && !socket.broken && !socket.breaks &&
                                !socket.fin_sent;
            if (stands) standing.emplace_back(loop.get(), &socket);
        });
    }
    if (standing.empty()) return false;
    auto& [loop, socket] = standing[random(standing.size())];
    socket->breaks = true;
    socket->breaks_after = random(bytes_max);
    if (socket->breaks_after == 0) loop->break_stream(*socket);
    return true;
}

}  // namespace fedgate
