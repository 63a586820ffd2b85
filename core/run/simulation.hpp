// The other implementation of the loop: one thread, one seed, a virtual clock and an in-memory
// network. It delays, cuts short, reorders and breaks what it may, and does the same again for the
// same seed. For tests and scenarios; it allocates as it likes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/run/loop.hpp"

namespace fedgate {

class SimulatedLoop;
class SimulatedNetwork;

struct SimulationSettings {
    std::uint64_t seed = 1;
    Duration latency_min = 10us;  // of every completion and every piece of a stream
    Duration latency_max = 500us;
    std::size_t piece_bytes_max = 8'192;  // streams are cut into pieces of 1 to this many bytes
    std::size_t window_bytes =
        65'536;  // of one direction of a stream that the receiver has not taken
    std::size_t datagrams_max = 256;  // waiting for one socket; more are lost
    std::uint32_t datagram_loss_permille = 0;
    std::uint32_t datagram_copy_permille = 0;
    std::uint32_t datagram_reorder_permille = 0;  // delayed by up to 20 times latency_max
    Duration connect_timeout = 127s;    // on a link that is cut: ETIMEDOUT (as Linux does)
    std::size_t sockets_max = 100'000;  // of one loop
    WallTime wall_start = std::chrono::sys_days{std::chrono::year{2026} / 1 / 1};  // certificates
};

// What happens to one connection when so many bytes of one of its directions have passed.
struct StreamFault {
    enum class Kind : std::uint8_t {
        kReset,    // both ends see a reset
        kEnd,      // both ends see that the other has ended; who writes on is reset
        kHole,     // nothing passes any more, in either direction; kTcpUserTimeout tells who sends
        kGarbage,  // the next byte is another one
    };
    Kind kind = Kind::kReset;
    std::size_t connection = 0;  // in the order in which they came up, the first is 0
    bool from_client = true;     // the direction away from the end that connected
    std::size_t after = 0;
};

// What has passed on one connection.
struct StreamRecord {
    std::string from_client;
    std::string from_server;
};

// A node is a machine: it has one address, 10.0.x.y, and any number of loops (shards). 127.0.0.0/8
// and
// [::1] are the node itself; a listener on 0.0.0.0 or [::] is found at all of them. Any other
// address that a node listens on is its too, so that tests may use what they like. When several
// loops of a node listen on one address, the seed picks (as SO_REUSEPORT does).
class Simulation {
public:
    using Node = std::uint32_t;

    explicit Simulation(const SimulationSettings& = {});
    ~Simulation();
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;

    Node make_node();
    // The simulation owns it.
    SimulatedLoop& make_loop(Node);
    [[nodiscard]] SocketAddress address(Node, std::uint16_t port) const;

    [[nodiscard]] Instant now() const;
    // One turn of the loop that has something to do first. False: nothing happens until `deadline`,
    // which is now the time.
    bool step(Instant deadline);
    // Runs until predicate() or the deadline; returns predicate().
    bool run_until(const std::function<bool()>& predicate, Instant deadline);
    bool run_for(const std::function<bool()>& predicate, Duration duration) {
        return run_until(predicate, now() + duration);
    }
    // Over everything that was delivered: when, to whom, what. Two runs with one seed have one
    // hash.
    [[nodiscard]] std::uint64_t trace_hash() const;
    // 0 .. bound - 1, from the seed: for the scenario's own choices.
    std::uint64_t random(std::uint64_t bound);

    // Faults.
    // The loop stops for ever: no callback comes, its sockets are reset, calls do nothing. What
    // runs on it may be destroyed afterwards.
    void kill(SimulatedLoop&);
    void kill(Node);
    // A black hole, both ways: nothing arrives until heal(). Streams keep their bytes, datagrams
    // are lost.
    void cut(Node, Node);
    void heal(Node, Node);
    // Nobody answers there (ECONNREFUSED) although somebody may listen.
    void refuse_connects(const SocketAddress&, bool refuse);
    // Breaks one of the connections that stand, picked by the seed, after 0 .. bytes_max - 1
    // further bytes in one of its directions: both ends see a reset. False: there is none.
    bool break_connection(std::size_t bytes_max);
    // Those that were picked and are whole still stay so.
    void break_no_more();
    // One for each connection and direction; before it comes up.
    void inject(const StreamFault&);
    // From now on; connections that stand already have no record.
    void record_streams();
    [[nodiscard]] const std::vector<StreamRecord>& stream_records() const;

private:
    std::unique_ptr<SimulatedNetwork> network_;
};

// run_turn() is one step of the whole simulation, not later than now() + wait_max.
// watch() is kUnsupported: there are no descriptors here.
class SimulatedLoop : public Loop {
public:
    [[nodiscard]] virtual Simulation::Node node() const = 0;
    [[nodiscard]] virtual bool killed() const = 0;
    [[nodiscard]] virtual std::size_t socket_count() const = 0;

private:
    SimulatedLoop() = default;
    friend class SimulatedLoopImplementation;
};

}  // namespace fedgate
