// SIP on sockets: the listeners of sip.listen, connections in and out, datagrams. It frames and
// sends, and knows whom to trust (SIP-30); what a message means is its user's business. Owner: the
// engine. Thread: the shard's. Views are valid for the call only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "appliance/gateway/sip_sources.hpp"
#include "core/base/peer_identity.hpp"
#include "core/base/slab.hpp"
#include "core/rules/snapshot.hpp"
#include "core/run/shard.hpp"
#include "net/connection.hpp"
#include "net/srv.hpp"
#include "net/tls.hpp"
#include "sip/framer.hpp"
#include "sip/message.hpp"
#include "sip/transaction_key.hpp"
#include "sip/writer.hpp"

namespace fedgate::gateway {

class SipTransport;
class SipConnection;

// One target of a next hop, as the transport sees it. Owner: sip_route.
struct Leg {
    net::Target target;
    std::string domain;  // whose next hop it is, and
    std::string host;    // as configured: its certificate has to prove one of the two (SIP-31)
    Handle<SipConnection> connection;
};

constexpr std::size_t kSipViaBytesMax = 384;  // a host name of 253, a branch, the rest
constexpr std::uint16_t kSipPort = 5060;
constexpr std::uint16_t kSipsPort = 5061;
constexpr std::size_t kSipConnections = 1'024;   // of one shard, both ways; more are refused
constexpr std::size_t kSipOwnConnections = 128;  // of those, kept for ours to next hops
static_assert(kSipConnectionsPerSource * 2 <= kSipConnections - kSipOwnConnections);
constexpr std::size_t kSipUntrustedConnections = 128;  // of those, at most from peers without trust
constexpr std::size_t kSipReturnConnections = 16;  // of those, opened for answers; more get none
constexpr std::size_t kSipUnsentBytes = 1 << 20;   // then requests wait for room
// No further request is read while more answers are unsent.
constexpr std::size_t kSipReadAnswerBytes = 128 << 10;
// Above that come the answers to what waited for a stream, all in one turn: room for what one
// source may have unanswered. A peer that does not read is left.
constexpr std::size_t kSipUnsentAnswerBytes = kSipUnansweredPerSource * 1'024;
constexpr std::size_t kSipAnswerBytes = 96 << 10;                 // of both, not for requests
constexpr Duration kSipConnectTimeout = std::chrono::seconds(3);  // SIP-8
constexpr Duration kSipTlsTimeout = std::chrono::seconds(5);
constexpr Duration kSipKeepalive = std::chrono::seconds(60);      // SIP-15
constexpr Duration kSipPongTimeout = std::chrono::seconds(10);    // SIP-15
constexpr Duration kSipUntrustedTime = std::chrono::seconds(10);  // SIP-30: time enough for its 403
constexpr Duration kSipTrustTime = std::chrono::seconds(32);      // then it is asked for again
constexpr Duration kSipMessageTime = std::chrono::seconds(32);    // from its first byte to its last
constexpr Duration kSipUnreadTime = std::chrono::seconds(10);     // answers that nobody reads
constexpr Duration kSipRetryTaking = std::chrono::milliseconds(2);  // back-pressure: offered again

// Where a message came from, and where its answer goes (SIP-13).
struct SipPeer {
    Handle<SipConnection> connection;  // a stream; else a datagram:
    std::uint8_t socket = 0;           // which of our UDP sockets
    SocketAddress address;
    SipSource* source = nullptr;  // of one that is trusted, for the call and while it has something
    std::uint16_t port = 0;       // of its Via: where it is reached when the stream is gone; or 0
    bool tls = false;
};

[[nodiscard]] const char* text_of(sip::Transport);
[[nodiscard]] const char* text_of(const SipPeer&);

struct SipRead {
    sip::Message message;
    sip::TransactionKey key;  // of a whole request
};

enum class SipTrust : std::uint8_t { kNone, kAddress, kCertificate };

class SipTransportUser {
public:
    // One was read, and comes by on_sip_message() behind the one in front of it; then that is done
    // with. What it needs may be fetched from memory meanwhile, in two steps where one leads to the
    // other. Gives its transaction's key, of a request.
    virtual sip::TransactionKey on_sip_read(const sip::Message&) = 0;
    virtual void on_sip_next(const sip::Message&) = 0;
    // False: no room now. A stream is paused and the message comes again; a datagram is dropped,
    // which its sender repairs by sending again.
    [[nodiscard]] virtual bool on_sip_message(const sip::Message&, const SipPeer&,
                                              const sip::TransactionKey&) = 0;
    // A datagram from a source that has used up its rate.
    virtual void on_sip_over_budget(const sip::Message&, const SipPeer&) = 0;
    // What `frame` refuses; the message is as far as it could be read.
    virtual void on_sip_malformed(const sip::Frame&, const sip::Message&, const SipPeer&) = 0;
    // Outgoing connections: it can be written to; or it has room again; or it is over (also: never
    // stood).
    virtual void on_sip_connected(Leg&) = 0;
    virtual void on_sip_writable(Leg&) = 0;
    // A ping found no pong (SIP-15): the next step is to ask it.
    virtual void on_sip_quiet(Leg&) = 0;
    virtual void on_sip_disconnected(Leg&, const Error&) = 0;

protected:
    ~SipTransportUser() = default;
};

class SipConnection final : public net::ConnectionOwner, private TimerOwner {
public:
    SipConnection(SipTransport&, Handle<SipConnection> self, Leg*, bool tls,
                  std::size_t body_bytes_max);

    [[nodiscard]] bool ready() const { return ready_; }
    [[nodiscard]] bool tls() const { return tls_; }
    [[nodiscard]] Leg* leg() const { return leg_; }
    [[nodiscard]] const net::Connection* stream() const { return stream_.get(); }
    [[nodiscard]] SipTrust trust() const { return trust_; }
    // A request. False: no room, or it is going down.
    [[nodiscard]] bool write_request(Bytes bytes) { return write(bytes, kSipAnswerBytes); }
    void close();
    void abort(const char* why) { stream_->abort({Errc::kTimeout, 0, why}); }
    // Nothing of the leg's is told any more, and a connection of ours ends.
    void leave_leg();

private:
    friend class SipTransport;
    void on_open(net::Connection&) override;
    void on_secured(net::Connection&) override;
    std::size_t on_data(net::Connection&, MutableBytes input) override;
    void on_writable(net::Connection&) override;
    void on_closed(net::Connection&, Error reason) override;
    void on_timer(Timer&) override;
    void become_ready();
    void judge();
    void count_at_source();
    void take_alias(const sip::Via&);
    [[nodiscard]] bool write(Bytes, std::size_t keep_free = 0);
    [[nodiscard]] bool write_answer(Bytes);
    [[nodiscard]] bool reaches(const SocketAddress&, bool tls) const;
    void watch_peer();
    [[nodiscard]] sip::Frame read(MutableBytes input, SipRead&);
    [[nodiscard]] bool take(const SipRead&, SipPeer&);
    void wait_to_take();
    [[nodiscard]] bool asks_too_fast(const sip::Message&) const;
    void time_message(bool begins);

    SipTransport& transport_;
    Handle<SipConnection> self_;
    Leg* leg_;             // null: the peer connected to us, and no next hop is reached by that
    std::string answers_;  // for when it is ready, if it returns
    std::string host_;     // the peer's, as text
    std::uint16_t alias_port_ = 0;  // SIP-14: where the peer can be reached by this, too
    std::unique_ptr<net::Connection> stream_;
    sip::Framer framer_;
    Timer watch_;       // set-up, then keepalive
    Timer again_;       // a message was not taken
    Timer unfinished_;  // the beginning of a message is here, its end is not
    Instant last_written_{};
    std::uint64_t judged_at_ = 0;  // generation of the rules behind trust_ and speaks_for_
    const rules::SipDomain* speaks_for_ = nullptr;  // the last one that was proved
    SipSource* source_ = nullptr;                   // once it was trusted
    SipTrust trust_ = SipTrust::kNone;
    bool counted_untrusted_ = false;
    bool in_ = false;       // the peer connected to us
    bool returns_ = false;  // opened for answers alone (SIP-13)
    bool tls_;
    bool ready_ = false;
    enum class Waits : std::uint8_t { kNothing, kPong, kAnswer } waits_ = Waits::kNothing;
};

// Our Via, written once, with zeros for a branch: each request's own is written over them.
struct UsualVia {
    sip::OwnVia own;  // views into `text` and into the transport
    std::string text;
    std::size_t branch_begin = 0;  // in it
};

struct SipListenerInfo {
    sip::Transport transport;
    SocketAddress local;
};

class SipTransport final {
public:
    SipTransport(Shard&, SipTransportUser&, const rules::Snapshot&, net::TlsContext*,
                 std::string via_host, KeyMaker);
    ~SipTransport();
    SipTransport(const SipTransport&) = delete;
    SipTransport& operator=(const SipTransport&) = delete;

    Result<void> listen();
    void reload(const rules::Snapshot& rules);
    void set_tls(net::TlsContext* tls) { tls_ = tls; }

    // SIP-13: for requests over that transport and family.
    [[nodiscard]] const UsualVia& via(sip::Transport transport, bool v6) const {
        const auto index = static_cast<std::size_t>(transport);
        FEDGATE_CHECK(index < std::size(vias_));
        return vias_[index][v6 ? 1 : 0];
    }
    // Of all of them, which are as they stay once listen() was called.
    [[nodiscard]] std::size_t via_line_bytes_max() const { return via_line_bytes_max_; }
    [[nodiscard]] bool has_tls() const { return tls_ != nullptr; }

    // A connection for the leg, or null: no TLS, at the bound, or the kernel refused. One that the
    // peer has opened and offers for that (SIP-14) is ready; else on_sip_connected() or
    // on_sip_disconnected() follows.
    SipConnection* connect(Leg&, const net::Target&);
    [[nodiscard]] SipConnection* find(Handle<SipConnection> handle) {
        return connections_.find(handle);
    }
    [[nodiscard]] bool send_datagram(const SocketAddress& to, Bytes);
    // An answer. What can't be sent any more is dropped and counted.
    void answer(const SipPeer&, Bytes);
    [[nodiscard]] SipTrust trust(const SipPeer&);
    // Its IP address as text: kept for a stream, else written into `memory`.
    [[nodiscard]] Bytes host_of(const SipPeer&, Sink& memory);
    // SEC-1, SIP-32: may this peer, which is trusted, send as a user of that domain?
    [[nodiscard]] bool speaks_for(const SipPeer&, const rules::SipDomain&);
    // A datagram that another shard has received.
    [[nodiscard]] bool take_datagram(std::uint8_t socket, const SocketAddress& from, MutableBytes);

    [[nodiscard]] const std::vector<SipListenerInfo>& listeners() const { return infos_; }
    template <typename F>
    void for_each_connection(F&& visit) {
        connections_.for_each([&](Handle<SipConnection>, SipConnection& c) { visit(c); });
    }

private:
    friend class SipConnection;
    class StreamListener;
    class DatagramSocket;
    [[nodiscard]] std::size_t body_bytes_max() const;
    void accept(Socket, const SocketAddress& peer, bool tls);
    [[nodiscard]] bool may_connect(const SocketAddress& peer, bool tls, bool trusted);
    enum class Admission : std::uint8_t { kTaken, kOverBudget, kDropped };
    [[nodiscard]] Admission admit_datagram(SipPeer&, Bytes);
    [[nodiscard]] bool proves_a_peer(const PeerIdentity&) const;
    [[nodiscard]] bool proves_next_hop(const PeerIdentity&, const Leg&) const;
    [[nodiscard]] SipConnection* find_alias(const Leg&, const net::Target&);
    [[nodiscard]] SipConnection* open(Leg*, const SocketAddress&, bool tls);
    [[nodiscard]] SipConnection* way_back(const SipPeer&);
    [[nodiscard]] bool trusted_address(const SocketAddress&) const;
    [[nodiscard]] net::ConnectionLimits limits(std::size_t unsent_bytes_max) const;
    void count_untrusted(SipConnection&, bool untrusted);
    void write_vias();

    Shard& shard_;
    SipTransportUser& user_;
    const rules::Snapshot* rules_;
    net::TlsContext* tls_;
    std::string via_host_;
    struct SentBy {
        std::string host;        // empty: via_host_
        std::uint16_t port = 0;  // 0: nothing listens
    };
    SentBy sent_by_[3][2];  // of udp, tcp, tls; each for IPv4 and IPv6
    UsualVia vias_[3][2];
    std::size_t via_line_bytes_max_ = 0;
    std::vector<std::unique_ptr<StreamListener>> stream_listeners_;
    std::vector<std::unique_ptr<DatagramSocket>> datagram_sockets_;
    std::vector<SipListenerInfo> infos_;
    SipSources sources_;
    Slab<SipConnection> connections_;
    std::size_t in_connections_ = 0;
    std::size_t return_connections_ = 0;
    std::size_t untrusted_connections_ = 0;
    SipRead read_[2];  // what is being handled, and what stands behind it
};

// SIP-31: does the certificate prove this domain or host? A SIP URI in it decides alone; without
// one the dNSNames do. `wildcard`: they may be *.name.
[[nodiscard]] bool proves_sip_name(const PeerIdentity&, Bytes name, bool wildcard = false);

}  // namespace fedgate::gateway
