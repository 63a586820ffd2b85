// What a client knows of an edge: how it is named, how it is reached, and the link to it. For the
// client's own files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "appliance/link/client.hpp"
#include "appliance/link/peer.hpp"
#include "net/address.hpp"
#include "net/dialer.hpp"

namespace fedgate::link {

// An edge that is away is tried again after the first of these, then twice that, up to the last.
constexpr Duration kRedialFirst = 50ms;
constexpr Duration kRedialMax = 2s;
// From the connection to the end of the handshake.
constexpr Duration kHandshakeWithin = 3s;
// Edges that SRV records name are asked for anew at latest after this.
constexpr Duration kAskService = 60s;
// Whom a domain names that is new in the configuration may be known this much later; till then an
// edge that the configuration does not name any more keeps its link.
constexpr Duration kServiceAwaited = 30s;

// An edge that there should be a link to. By host and port it is one, in whatever ways it is named.
struct Client::Wanted {
    std::string host;
    std::uint16_t port;
    std::uint32_t rank;  // lower is first
    std::uint16_t weight;
    std::string pool;
    std::string domain;              // whose records name it; empty: it is configured
    std::vector<std::string> names;  // one of which its certificate has
};

// The link to one edge, and the way to it.
struct Client::Link final : ChannelOwner, net::DialerOwner, net::ConnectionOwner, TimerOwner {
    Link(Client& c, Wanted w)
        : client(c),
          host(std::move(w.host)),
          port(w.port),
          rank(w.rank),
          weight(w.weight),
          pool(std::move(w.pool)),
          domain(std::move(w.domain)),
          names(std::move(w.names)),
          dialer(c.shard_.loop(), c.resolver_, *this, &addresses),
          timer(*this),
          since(c.shard_.loop().now()),
          channel(c.shard_.loop(), *this,
                  {Role::kGateway, c.settings_.node, c.settings_.instance,
                   static_cast<std::uint16_t>(c.shard_.index())}) {}

    bool on_frame(Channel&, const Frame& frame) override { return client.on_frame(*this, frame); }
    void on_up(Channel&, bool resumed) override { client.on_up(*this, resumed); }
    void on_down(Channel&, Bytes reason) override { client.on_down(*this, reason); }
    void on_returned(Channel&, const Frame& frame, bool maybe_taken) override {
        client.on_returned(frame, maybe_taken);
    }
    void on_over(Channel&) override { client.on_over(*this); }
    void on_room(Channel&) override {
        owed.tell_again();
        client.tell_tenure(*this);
        topology.on_room();
        client.again_.give();
    }
    void on_drain(Channel&) override { client.note_who_is_there(); }

    void dial() {
        if (instance != Id{} &&
            is_twin([this](const Link& other) { return other.instance == instance; })) {
            return;
        }
        addresses.set({});  // when it is tried again is said here alone
        dialer.start(net::Lookup::fixed(host, port, net::Transport::kTcp, {.allow_literal = true}),
                     *this, kLinkConnection);
    }
    void dial_later() {
        if (client.finished_ || (!listed && !channel.session().resumable())) return;
        client.shard_.loop().timers().arm(timer, client.shard_.loop().now() + pause);
        pause = std::min(2 * pause, kRedialMax);
    }
    void on_dialed(net::Dialer&, std::unique_ptr<net::Connection> dialed,
                   const net::Target&) override {
        dialer.succeeded();
        connection = std::move(dialed);
        if (reaches_twin()) return;
        connection->start_tls_client(*client.tls_, host, kLinkAlpn);
        client.shard_.loop().timers().arm(timer, client.shard_.loop().now() + kHandshakeWithin);
    }
    void on_dial_failed(net::Dialer&, net::DialFault fault, Error last, Instant) override {
        tell_down(why_not_reached(fault, last));
        // Its process has died: nobody goes on with its sessions.
        if (last.code == Errc::kRefused) channel.give_up();
        dial_later();
    }
    void on_secured(net::Connection& secured) override {
        const Known known = identify(secured, names);
        if (known.name.empty()) {
            tell_refused("it " + known.fault);
            connection.reset();
            return dial_later();
        }
        if (reaches_twin()) return;
        timer.cancel();
        reached = secured.peer_address();
        channel.dialled(std::move(connection));
    }
    // Another link goes to the same process by another name, or still goes there: two would end
    // each other's sessions, by turns. This one is tried again later.
    template <typename Same>
    [[nodiscard]] bool is_twin(Same same) {
        for (const auto& other : client.links_) {
            const Channel& its = other->channel;
            if (other.get() == this || (its.connection() == nullptr && !its.session().resumable()))
                continue;
            if (!same(*other)) continue;
            tell_refused("it is " + other->host + ", which is linked already");
            dial_later();
            return true;
        }
        return false;
    }
    [[nodiscard]] bool reaches_twin() {
        const SocketAddress& address = connection->peer_address();
        if (!is_twin([&](const Link& other) {
                return net::format_address(other.reached) == net::format_address(address);
            })) {
            return false;
        }
        connection.reset();
        return true;
    }
    std::size_t on_data(net::Connection&, MutableBytes) override { return 0; }
    void on_closed(net::Connection&, Error) override {
        tell_down("the connection broke");
        connection.reset();
        dial_later();
    }
    void on_timer(Timer&) override {
        if (connection == nullptr) return dial();
        tell_down("the handshake took too long");
        connection.reset();
        dial_later();
    }
    // Once as long as it is for the same reason: it is tried often.
    void tell_refused(const std::string& reason) {
        client.shard_.stats().add(Counter::kLinkRefused);
        told_down = true;
        if (std::exchange(why, reason) == reason) return;
        client.shard_.log().event(EventId::kLinkRefused, {{"peer", host}, {"reason", reason}});
    }
    // Once for each time that it is away: it is tried often.
    void tell_down(Bytes reason) {
        why = reason;
        if (std::exchange(told_down, true)) return;
        client.shard_.log().event(EventId::kLinkDown, {{"peer", host}, {"reason", reason}});
    }
    // Takes what is new, now or as soon as it is back.
    [[nodiscard]] bool there() const { return !leaving && (channel.open() || channel.returning()); }
    [[nodiscard]] const std::string& place() const { return pool.empty() ? host : pool; }
    [[nodiscard]] bool idle() const {
        return channel.session().state() == Session::State::kDown && !channel.returning() &&
               connection == nullptr && !dialer.busy();
    }

    Client& client;
    const std::string host;
    std::uint16_t port;
    std::uint32_t rank;  // lower is first
    std::uint16_t weight;
    std::string pool;
    bool leaving = false;  // it is to end
    Instant leaves_until{};
    std::string leaves_why;
    bool listed = true;              // else it serves out the connection that it has
    std::string domain;              // whose records name it; empty: it is configured
    std::vector<std::string> names;  // one of which its certificate has
    Trial trial;
    net::TargetPool addresses;
    net::Dialer dialer;
    std::unique_ptr<net::Connection> connection;  // until its peer has proved itself
    Timer timer;                                  // to dial, or for the handshake
    Duration pause = kRedialFirst;
    bool told_down = false;
    Instant since;  // up or down
    std::string why;
    SocketAddress reached{};
    Id instance{};                   // of the process that was there last
    bool lived = false;              // it was the same one before this session
    Instant began{};                 // that
    std::uint32_t serial = 0;        // of its session, in tickets_
    std::string own_name;            // by which the edge knows us
    std::set<std::string> gateways;  // that are there, as it says
    Tenure others = Tenure::kLost;   // the best of them at the store
    std::optional<Tenure> tenure_told;
    Channel channel;
    Owed<Channel> owed{channel};
    TopologyPeer topology{client.settings_.topology, channel, host};
};

// Edges that SRV records of a domain name. While nobody answers, those that are known stay.
struct Client::Service final : net::ResolverOwner, TimerOwner {
    Service(Client& c, const ClientSettings::Edge& e)
        : client(c),
          settings(e),
          awaited_until(c.shard_.loop().now() + kServiceAwaited),
          timer(*this) {}
    ~Service() { client.resolver_.cancel(query); }

    void ask() {
        query = client.resolver_.query("_fedgate-link._tcp." + settings.host, net::DnsType::kSrv,
                                       *this);
    }
    void on_resolved(net::QueryId, const net::DnsAnswer& answer) override {
        query = {};
        answered = answered || (answer.status != net::DnsStatus::kFailed &&
                                answer.status != net::DnsStatus::kBogus);
        client.take_service(*this, answer);
        client.shard_.loop().timers().arm(
            timer, client.shard_.loop().now() + std::min(answer.ttl, kAskService));
    }
    void on_timer(Timer&) override { ask(); }
    [[nodiscard]] bool awaited() const {
        return !answered && client.shard_.loop().now() < awaited_until;
    }

    Client& client;
    const ClientSettings::Edge settings;
    const Instant awaited_until;
    net::QueryId query;
    std::vector<Wanted> edges;
    bool answered = false;
    bool told = false;  // that it names none
    Timer timer;
};

}  // namespace fedgate::link
