// Both ends of a load around one target: the partner's XMPP server, which is the product's own
// edge, and the SIP side. One of them may be missing. Owner: the load. Thread: its own.
#pragma once

#include <memory>
#include <string>

#include "appliance/edge/edge.hpp"
#include "bench/load/options.hpp"
#include "bench/load/sip_end.hpp"
#include "core/run/uring_loop.hpp"
#include "xml/stanza.hpp"

namespace fedgate::load {

// Nanoseconds of a clock that never goes back.
[[nodiscard]] std::uint64_t now_ns();
// The number at the front of `text`, which is taken off it; SIZE_MAX: none.
[[nodiscard]] std::size_t take_number(Bytes& text);
[[nodiscard]] std::string partner_domain(const Options&, unsigned number);  // p7.partner.example
constexpr Bytes kDialbackSecret = "fedload's own dialback secret, good for one run";

class Ends {
public:
    explicit Ends(const Options&);
    ~Ends();

    // False, with a line on standard error: there is no way to begin.
    [[nodiscard]] bool set_up(link::GatewayDoor&, SipEnd::Events);
    [[nodiscard]] bool connect_sip();
    void turn(Duration wait_max) {
        loop_->run_turn(wait_max);
        if (sip_) sip_->resend();
    }

    [[nodiscard]] bool send_stanza(link::Ticket, Bytes from_domain, Bytes stanza);
    // True: it was an <iq/> of theirs (a ping); it is answered.
    [[nodiscard]] bool answered(const xml::Stanza&, bool& taken);
    [[nodiscard]] SipEnd& sip() { return *sip_; }
    // --tls's certificates, or one made for this run.
    [[nodiscard]] net::TlsContext& certificates() { return *certificates_.external; }
    [[nodiscard]] Loop& loop() { return *loop_; }

private:
    const Options& options_;
    std::unique_ptr<UringLoop> loop_;
    std::unique_ptr<const rules::Snapshot> rules_;
    std::unique_ptr<ShardGroup> group_;
    edge::DoorGuard door_{1};
    std::unique_ptr<Shard> shard_;
    std::unique_ptr<net::SimulatedResolver> resolver_;  // every address is numeric here
    edge::Certificates certificates_;
    std::unique_ptr<edge::Edge> edge_;
    std::unique_ptr<SipEnd> sip_;
};

}  // namespace fedgate::load
