// The edge's end of the link: gateways connect to it. It is the gateway as the edge of this shard
// sees it: each conversation goes to one of the gateways that are there, the same one as long as it
// is, and what a gateway was sent and has not taken goes to another one, or its sender is told.
// Where none is, what asks for an answer gets one; answers and presence wait for longer.
//
// Order of life: make, attach(), start(), turns, stop_accepting(), drain(), destroy before the
// edge. Thread: one shard's, the first one.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "appliance/link/again.hpp"
#include "appliance/link/channel.hpp"
#include "appliance/link/choice.hpp"
#include "appliance/link/link.hpp"
#include "appliance/link/row.hpp"
#include "appliance/link/tickets.hpp"
#include "appliance/link/topology.hpp"
#include "core/run/shard.hpp"
#include "net/tls.hpp"

namespace fedgate::link {

// Without any gateway for longer than this, senders are told so; till then they wait.
constexpr Duration kGatewayAwaited = std::chrono::seconds(5);
// The first gateway that comes, where none was, waits so long for the others: it would be given
// what is theirs, and could not use it.
constexpr Duration kGatewaysGather = std::chrono::milliseconds(500);
// What others had been sent when conversations move from them is waited for, so that nothing
// overtakes it; but who takes nothing for longer than this is overtaken.
constexpr Duration kOvertakenAfter = std::chrono::seconds(5);
// From the connection to the HELLO.
constexpr Duration kGuestWithin = std::chrono::seconds(5);

struct ServerSettings {
    std::vector<SocketAddress> listen;
    std::vector<std::string> gateways;  // names in their certificates: A-labels in lower case
    std::string node;                   // our name, for people
    Topology* topology = nullptr;       // must outlive the server
};

class Server final : public GatewayDoor, SocketOwner, TurnTask, TimerOwner {
public:
    // The TLS context (tls.internal.*) must outlive it.
    Server(Shard&, net::TlsContext&, ServerSettings);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    void attach(EdgeDoor& edge) { edge_ = &edge; }
    Result<void> start();
    void stop_accepting();
    // For connections from now on.
    // For connections from now on. One whose other end is not to be trusted any more is ended.
    void set_tls(net::TlsContext&);
    // Who may be a gateway from now on. The link of one who may not any more gets nothing new, and
    // ends when all that is on its way has come to an end, at latest after kLetGoWithin.
    void set_gateways(std::vector<std::string>);
    // Other listeners; links stay. Those that can't be opened are logged.
    void set_listen(std::vector<SocketAddress>);
    // Asks the gateways to send nothing new.
    void drain();
    // They know, and what they had sent has been taken.
    [[nodiscard]] bool quiet() const;
    // Nothing waits, and the fate of all that was given has been told.
    [[nodiscard]] bool settled() const;
    // Ends the links in order, for good; closed() when the gateways have been told.
    void finish();
    [[nodiscard]] bool closed() const;

    [[nodiscard]] bool take_stanza(const FromPartner&) override;
    void on_outcome(const Outcome&) override;
    void on_partner(const PartnerNews&) override;

    // Links that are up.
    [[nodiscard]] std::size_t up_count() const;
    // One for each gateway's link that there was.
    [[nodiscard]] std::vector<LinkRow> rows() const;
    [[nodiscard]] std::vector<SocketAddress> listening() const;

private:
    struct Guest;
    struct Link;

    void on_accept(Socket listener, Socket connection, const SocketAddress& peer) override;
    void on_turn_end() override;
    void on_timer(Timer&) override;
    [[nodiscard]] bool on_frame(Link&, const Frame&);
    void on_up(Link&, bool resumed);
    void on_down(Link&, Bytes why);
    void on_returned(const Frame&, bool maybe_taken);
    void on_over(Link&);
    void on_drain(Link&);

    [[nodiscard]] Result<void> open(const SocketAddress&);
    void end_leaving();
    [[nodiscard]] bool is_done(const Link&) const;
    [[nodiscard]] bool is_known(const std::string& name) const;
    void put_out_a_guest();
    void greet(Guest&, const Hello&);
    void refuse(Guest&, EndCode, Bytes sentence);
    [[nodiscard]] Link* link_for(const FromPartner&);  // null: none is there
    [[nodiscard]] Link* link_for(std::uint64_t conversation);
    [[nodiscard]] Link* link_of(std::uint32_t serial);  // null: its session is over
    [[nodiscard]] bool pass_on(Link& asker, const Request&);
    void take_answer(const Link& owner, const Answer&);
    void join(Link&);
    void wait_for(Link&, const Link& other);
    [[nodiscard]] bool may_send(Link&);
    [[nodiscard]] bool take(const FromPartner&);  // false: not now
    void owe(const FromPartner&);
    [[nodiscard]] bool take_to_partner(Link&, const ToPartner&);
    [[nodiscard]] bool give_edge(Link&, const ToPartner&);
    void tell_refused(const net::Connection&, Bytes reason);
    void tell_who_is_there();
    void take_store(Link&, Tenure);
    void tell_who_is_at_the_store();
    void bounce(const FromPartner&);
    void note_who_is_there();
    [[nodiscard]] bool missed(Duration time) const {
        return gateways_.missed_for(time, shard_.loop().now());
    }
    void gather(bool were_none);
    [[nodiscard]] bool gathering() const { return shard_.loop().now() < gathered_at_; }
    [[nodiscard]] Id random_id();

    Shard& shard_;
    net::TlsContext* tls_;
    ServerSettings settings_;
    const Id instance_;
    EdgeDoor* edge_ = nullptr;
    std::vector<std::pair<SocketAddress, Socket>> listeners_;
    std::list<Guest> guests_;
    // By name and part. One that is gone stays as long as it may come: a name's process has few.
    std::map<std::pair<std::string, std::uint16_t>, std::unique_ptr<Link>> links_;
    Tickets tickets_;
    Tickets requests_;             // `about` the session of whom each was taken to
    std::set<std::string> there_;  // gateways, as all have been told
    std::uint32_t last_serial_ = 0;
    Attendance gateways_;
    Again<FromPartner> again_;
    Timer missed_;  // when none is there; else when they have gathered
    Instant gathered_at_ = Instant::min();
    struct Leaving final : TimerOwner {
        explicit Leaving(Server& s) : server(s), timer(*this) {}
        void on_timer(Timer&) override { server.end_leaving(); }
        Server& server;
        Timer timer;
    } leaving_{*this};
    std::size_t standing_ = 0;  // as counted
    bool draining_ = false;
    bool finished_ = false;
};

}  // namespace fedgate::link
