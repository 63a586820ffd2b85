// What is behind Simulation and SimulatedLoop, for their two sources only: simulation.cpp is the
// network and its faults, simulated_loop.cpp one loop with its sockets.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/check.hpp"
#include "core/run/simulation.hpp"
#include "core/run/socket_address.hpp"

namespace fedgate {

inline constexpr Instant kSimulatedStart{1s};
inline constexpr std::uint16_t kSimulatedFirstPort = 40'000;
inline constexpr std::uint32_t kSimulatedNoNode = UINT32_MAX;
inline constexpr std::uint64_t kSimulatedHashStart = 0xcbf29ce484222325;  // FNV-1a

inline std::uint64_t trace_mix(std::uint64_t hash, Bytes bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

inline std::uint64_t trace_mix(std::uint64_t hash, std::uint64_t value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    return trace_mix(hash, Bytes(bytes, sizeof bytes));
}

// splitmix64: small, and the same everywhere.
class SimulatedRandom {
public:
    explicit SimulatedRandom(std::uint64_t seed) : state_(seed) {}
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
struct SimulatedEndpoint {
    std::string host;  // 4 or 16 bytes
    std::uint16_t port = 0;

    friend auto operator<=>(const SimulatedEndpoint&, const SimulatedEndpoint&) = default;
    [[nodiscard]] bool wildcard() const {
        return host.find_first_not_of('\0') == std::string::npos;
    }
    [[nodiscard]] bool loopback() const {
        if (host.size() == 4) return host[0] == 127;
        return host.find_first_not_of('\0') == 15 && host.back() == '\1';
    }
};

inline SimulatedEndpoint endpoint_of(const SocketAddress& mapped_or_not) {
    const SocketAddress address = from_mapped(mapped_or_not);
    if (address.storage.sin6_family == AF_INET) {
        const sockaddr_in ipv4 = as_ipv4(address);
        return {std::string(reinterpret_cast<const char*>(&ipv4.sin_addr), 4),
                ntohs(ipv4.sin_port)};
    }
    const sockaddr_in6 ipv6 = as_ipv6(address);
    return {std::string(reinterpret_cast<const char*>(&ipv6.sin6_addr), 16), ntohs(ipv6.sin6_port)};
}

inline SocketAddress with_port(const SocketAddress& from, std::uint16_t port) {
    // The port is at the same place in both families.
    sockaddr_in head = as_ipv4(from);
    head.sin_port = htons(port);
    SocketAddress address = from;
    std::memcpy(&address.storage, &head, offsetof(sockaddr_in, sin_addr));
    return address;
}

enum class SimulatedKind : std::uint8_t { kListener, kStream, kDatagram };

struct SimulatedPiece {
    std::string bytes;
    SocketAddress from;  // of a datagram
};

class SimulatedLoopImplementation;

// The other end of a stream, wherever it is.
struct SimulatedRemote {
    SimulatedLoopImplementation* loop = nullptr;
    Socket socket;
};

struct SimulatedSocket {
    explicit SimulatedSocket(SimulatedKind kind_of) : kind(kind_of) {}

    SimulatedKind kind;
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
    std::deque<SimulatedPiece> arrived;
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
    std::optional<StreamFault::Kind> fault;
    std::size_t fault_after = 0;
    bool garbles = false;  // the next byte
    bool hole = false;
    bool hole_ends = false;  // what it has swallowed will break the connection
    std::size_t connection = SIZE_MAX;
    bool client = false;
    Instant last_arrival{};  // nothing sent later arrives earlier
};

enum class SimulatedHappening : std::uint8_t {
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
    SimulatedHappening what;
    Socket socket;
    std::uint32_t from_node = kSimulatedNoNode;  // crosses the network from there
    SimulatedRemote sender;                      // whom to tell that nobody is here
    SimulatedPiece piece{};
    Socket accepted{};
    int error = 0;
    std::uint32_t send_number = 0;
};

// What all loops share: time, chance, and who listens where.
class SimulatedNetwork {
public:
    explicit SimulatedNetwork(const SimulationSettings& with);
    ~SimulatedNetwork();  // where what it owns is known

    using Bound = std::pair<SimulatedLoopImplementation*, Socket>;
    Bound find_bound(const SocketAddress& to, const SocketAddress& from, std::uint32_t from_node,
                     SimulatedKind);
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
    // A connection: its number, and the faults that wait for it.
    void came_up(SimulatedSocket& client, SimulatedSocket& server);
    void record(const SimulatedSocket& from, Bytes bytes) {
        if (from.connection >= records.size()) return;
        StreamRecord& record = records[from.connection];
        (from.client ? record.from_client : record.from_server).append(bytes);
    }

    SimulationSettings settings;
    SimulatedRandom random;
    Instant now = kSimulatedStart;
    std::uint64_t event_number = 0;
    std::uint64_t hash = kSimulatedHashStart;
    std::uint32_t node_count = 0;
    std::vector<std::uint16_t> next_port;  // by node
    std::vector<std::unique_ptr<SimulatedLoopImplementation>> loops;
    std::set<std::pair<std::uint32_t, std::uint32_t>> cuts;
    std::set<SimulatedEndpoint> refusing;
    std::map<std::pair<std::size_t, bool>, StreamFault> faults;
    std::size_t connections = 0;  // that came up
    bool recording = false;
    std::vector<StreamRecord> records;
    std::vector<std::pair<SimulatedLoopImplementation*, SimulatedEvent>>
        stalled;  // on links that are cut
};

class SimulatedLoopImplementation final : public SimulatedLoop {
public:
    SimulatedLoopImplementation(SimulatedNetwork& network, std::uint32_t node, std::uint64_t number)
        : network_(network),
          node_(node),
          number_(number),
          random_(trace_mix(trace_mix(kSimulatedHashStart, network.settings.seed), number)),
          sockets_(network.settings.sockets_max),
          timers_(network.now),
          last_turn_(network.now) {}

    [[nodiscard]] Instant now() const override { return network_.now; }
    [[nodiscard]] WallTime wall_now() const override {
        return network_.settings.wall_start +
               std::chrono::floor<std::chrono::seconds>(network_.now - kSimulatedStart);
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
    void strike(SimulatedSocket&);  // its fault happens
    template <typename Visit>
    void for_each_socket(Visit&& visit) {
        sockets_.for_each([&](Handle<SimulatedSocket>, SimulatedSocket& socket) { visit(socket); });
    }

private:
    static Handle<SimulatedSocket> slot_of(Socket socket) {
        return {socket.index, socket.generation};
    }
    Result<SimulatedSocket*> make_socket(SimulatedKind, SocketOwner*);
    Result<Socket> bind(const SocketAddress&, SimulatedKind, SocketOwner&);
    std::uint16_t take_port();
    void handle(SimulatedEvent&);
    void on_syn(const SimulatedEvent&);
    void on_accept(const SimulatedEvent&);
    void on_reset(Socket, int error);
    void on_sent(const SimulatedEvent&);
    void on_closed(Socket);
    void deliver(Socket);
    void send_fin(SimulatedSocket&);
    void break_stream(SimulatedSocket&);
    void end_stream(SimulatedSocket&);
    void transmit(SimulatedSocket& from, SimulatedEvent);
    void after_latency(SimulatedEvent event) {
        event.at = network_.now + network_.latency();
        schedule(std::move(event));
    }
    void note(Socket, SimulatedHappening, Bytes = {}, int error = 0);

    SimulatedNetwork& network_;
    std::uint32_t node_;
    std::uint64_t number_;
    SimulatedRandom random_;
    mutable Slab<SimulatedSocket> sockets_;
    std::vector<SimulatedEvent> events_;  // a heap
    Timers timers_;
    TurnTasks tasks_;
    TurnHook* hook_ = nullptr;
    Instant last_turn_;
    bool woken_ = false;
    bool killed_ = false;
};

}  // namespace fedgate
