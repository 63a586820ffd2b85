// The gateway's end of the link: it connects to each edge and stays connected. It is the edge as
// the gateway of this shard sees it: the first edge of the list that is there carries what goes to
// partners, and whatever an edge had when it went, its sender is told.
//
// Order of life: make, attach(), start(), turns, drain(), destroy before the gateway.
// Thread: the shard's; each shard has links of its own, so that fates need no way between shards.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "appliance/link/again.hpp"
#include "appliance/link/channel.hpp"
#include "appliance/link/link.hpp"
#include "appliance/link/tickets.hpp"
#include "core/run/shard.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"

namespace fedgate::link {

// Without any edge for longer than this, senders are told so; till then they wait.
constexpr Duration kEdgeAwaited = std::chrono::seconds(5);
static_assert(kEdgeAwaited < kFateWithin);

struct ClientSettings {
    struct Edge {
        std::string host;  // what it is dialled by, and the name in its certificate: an A-label
        std::uint16_t port = 0;
    };
    std::vector<Edge> edges;  // the first one that is there is used
    std::string node;         // our name, for people
    Id instance{};            // of the process: the same on all shards
};

class Client final : public EdgeDoor, ChannelOwner, TimerOwner {
public:
    // The resolver and the TLS context (tls.internal.*) must outlive it.
    Client(Shard&, net::Resolver&, net::TlsContext&, ClientSettings);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void attach(GatewayDoor& gateway) { gateway_ = &gateway; }
    void start();
    // Asks the edges to send nothing new.
    void drain();

    [[nodiscard]] bool take_stanza(const ToPartner&) override;

    // Links that are up.
    [[nodiscard]] std::size_t up_count() const;

private:
    struct Link;

    [[nodiscard]] bool on_frame(Channel&, const Frame&) override;
    void on_up(Channel&, bool resumed) override;
    void on_down(Channel&, Bytes why) override;
    void on_returned(Channel&, const Frame&, bool maybe_taken) override;
    void on_over(Channel&) override;
    void on_room(Channel&) override;
    void on_drain(Channel&) override;
    void on_timer(Timer&) override;

    [[nodiscard]] Link& link_of(Channel&);
    [[nodiscard]] Link* link_to_use();  // null: none is there
    void note_who_is_there();
    // False: not now. Whom it can't reach any more is told.
    [[nodiscard]] bool take(const ToPartner&);
    [[nodiscard]] bool send_again(const ToPartner&);
    void go_on();
    void take_outcome(const Outcome&);
    void fail(const ToPartner&, Fault);
    void take_back(const ToPartner&, bool maybe_taken);

    Shard& shard_;
    net::Resolver& resolver_;
    net::TlsContext& tls_;
    const ClientSettings settings_;
    GatewayDoor* gateway_ = nullptr;
    std::vector<std::unique_ptr<Link>> links_;  // in the order of settings_.edges
    Tickets tickets_;
    std::uint32_t last_serial_ = 0;
    bool some_ = false;   // edge takes what is new
    Instant none_since_;  // when the last one went
    Again<ToPartner> again_;
    Timer again_timer_;
};

}  // namespace fedgate::link
