// From a name to an open connection: look-up, targets, addresses, happy eyeballs, failover.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "net/connection.hpp"
#include "net/resolver.hpp"
#include "net/srv.hpp"
#include "net/target_pool.hpp"

namespace fedgate::net {

class Dialer;
class Finder;

enum class DialFault : std::uint8_t {
    kNoDomain,     // ERR-40: no such domain, or the service is not offered there
    kDnsFailed,    // DNS did not answer
    kBogus,        // D8: DNSSEC says that its answers are forged
    kUnreachable,  // ERR-42: addresses are known, none took the connection
    kTimeout,      // the time of the whole attempt is over
};

class DialerOwner {
public:
    // The connection is open (TCP); its owner is the one given to start(). Keep the dialer while
    // the stream is being set up: Dialer::next() goes on with the next target (DNS-7).
    virtual void on_dialed(Dialer&, std::unique_ptr<Connection>, const Target&) = 0;
    // `last` is why the last address failed. Not before `retry_at` is it worth to dial again.
    virtual void on_dial_failed(Dialer&, DialFault, Error last, Instant retry_at) = 0;

protected:
    ~DialerOwner() = default;
};

// DNS-6. One attempt at a time. Owner: the stream or transport that wants to be connected.
// It may be destroyed at any time, also from within its callbacks; then it ends silently.
class Dialer {
public:
    static constexpr Duration kStagger = std::chrono::milliseconds(250);
    static constexpr Duration kAddressTimeout = std::chrono::seconds(3);
    static constexpr Duration kTotalTimeout = std::chrono::seconds(30);
    static constexpr std::size_t kAddressesMax = 8;
    // Nor more targets: each costs up to three queries. The next attempt goes on behind those.
    static constexpr std::ptrdiff_t kTargetsMax = 8;
    // Of one target while others wait: it leaves some of the eight to them.
    static constexpr std::size_t kAddressesOfTargetMax = 4;
    // For a target's addresses; then they are unknown, and the next target is tried.
    static constexpr Duration kResolveTimeout = std::chrono::seconds(3);

    // `pool` keeps the targets' health from one attempt to the next, and must outlive the dialer;
    // null: nothing is remembered.
    Dialer(Loop&, Resolver&, DialerOwner&, TargetPool* pool = nullptr);
    ~Dialer();
    Dialer(const Dialer&) = delete;
    Dialer& operator=(const Dialer&) = delete;

    // Targets over UDP are left out. on_dialed() or on_dial_failed() follows, never from within.
    void start(Lookup, ConnectionOwner&, ConnectionLimits);
    // The connection that on_dialed() gave did not work out (TLS failed, stream error): marks its
    // target and goes on within the same attempt, as far as its 30 s reach.
    void next(Error why);
    // It did: its target is healthy. The dialer is free for the next start().
    void succeeded();
    [[nodiscard]] bool busy() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

class FinderOwner {
public:
    // Every address of every target, in order; `targets` is empty unless `status` is kFound.
    virtual void on_found(Finder&, LookupStatus status, std::vector<Target> targets,
                          Duration ttl) = 0;

protected:
    ~FinderOwner() = default;
};

// From a name to addresses, without connecting: for UDP next hops and for filling a TargetPool.
class Finder {
public:
    static constexpr std::size_t kTargetsMax = 16;

    Finder(Loop&, Resolver&, FinderOwner&);
    ~Finder();
    Finder(const Finder&) = delete;
    Finder& operator=(const Finder&) = delete;

    void start(Lookup);  // on_found() follows, never from within
    [[nodiscard]] bool busy() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace fedgate::net
