// MSRP on sockets (RFC 4975 5.4): the listeners, connections in and out. It frames and sends; which
// session a request is for, and whether it lives on this shard, is its user's business: a
// connection may carry several sessions, and is its user's to claim and to close. Owner: the
// engine. Thread: the shard's. Views are valid for the call only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/peer_identity.hpp"
#include "core/base/slab.hpp"
#include "core/run/loop.hpp"
#include "core/run/stats.hpp"
#include "core/run/timers.hpp"
#include "net/connection.hpp"
#include "net/tls.hpp"
#include "sip/msrp_framer.hpp"

namespace fedgate::gateway {

class MsrpTransport;
struct SessionMsrp;

constexpr std::size_t kMsrpConnections = 32'768;  // of one shard, both ways; more are refused
// Of those, opened by peers and without a session yet; and from one address. More are closed.
constexpr std::size_t kMsrpUnclaimed = 256;
constexpr std::size_t kMsrpUnclaimedPerAddress = 32;
// Then what is to be sent waits for room. The longest text has it, in chunks with all their heads.
constexpr std::size_t kMsrpUnsentBytes = 4 << 20;
// No further message is read while more is unsent; with sessions, whose texts are among that, while
// only so much is left of kMsrpUnsentBytes.
constexpr std::size_t kMsrpReadAnswerBytes = 64 << 10;
constexpr Duration kMsrpConnectTimeout = std::chrono::seconds(5);  // TCP, and TLS behind it
constexpr Duration kMsrpUnclaimedTime = std::chrono::seconds(10);  // for the first request
constexpr Duration kMsrpMessageTime = std::chrono::seconds(60);  // from its first byte to its last
constexpr Duration kMsrpUnreadTime = std::chrono::seconds(10);   // answers that nobody reads
// Back-pressure: offered again, each time after twice as long. All connections of a shard may wait.
constexpr Duration kMsrpRetryTaking = std::chrono::milliseconds(2);
constexpr Duration kMsrpRetryTakingMax = std::chrono::milliseconds(64);

class MsrpConnection final : public net::ConnectionOwner, private TimerOwner {
public:
    MsrpConnection(MsrpTransport&, bool is_in, bool tls);

    [[nodiscard]] Handle<MsrpConnection> self() const { return self_; }
    [[nodiscard]] bool is_ready() const { return is_ready_; }
    [[nodiscard]] bool is_in() const { return is_in_; }
    [[nodiscard]] bool tls() const { return tls_; }
    [[nodiscard]] const PeerIdentity& peer() const { return stream_->peer(); }
    // False: no room (on_msrp_writable() will come), or it is going down.
    [[nodiscard]] bool write(Bytes bytes) { return stream_->write(bytes); }
    // For so many bytes more. False: on_msrp_writable() will come. At least one.
    [[nodiscard]] bool has_room(std::size_t bytes) {
        if (stream_->unsent_bytes() + bytes <= kMsrpUnsentBytes) return true;
        static_cast<void>(stream_->write(" ", bytes - 1));  // is refused, and is told of room then
        return false;
    }
    // A session has it: it stays until it is closed.
    void claim();
    void close() { stream_->close(); }
    // On its way down, by either side: what goes to it is lost, on_msrp_closed() will come.
    [[nodiscard]] bool is_going() const { return stream_->is_going(); }
    [[nodiscard]] SocketAddress local_address() const { return stream_->local_address(); }
    [[nodiscard]] const SocketAddress& peer_address() const { return stream_->peer_address(); }

    // Its user's: the sessions that go by it, and to whom it was opened.
    SessionMsrp* sessions = nullptr;
    std::string opened_to;

private:
    friend class MsrpTransport;
    void on_open(net::Connection&) override;
    void on_secured(net::Connection&) override;
    std::size_t on_data(net::Connection&, MutableBytes input) override;
    void on_writable(net::Connection&) override;
    void on_closed(net::Connection&, Error reason) override;
    void on_timer(Timer&) override;
    void become_ready();
    void wait_and_offer_again();
    [[nodiscard]] Counter counter() const {
        return is_in_ ? Counter::kMsrpInConnections : Counter::kMsrpOutConnections;
    }

    MsrpTransport& transport_;
    Handle<MsrpConnection> self_;
    std::unique_ptr<net::Connection> stream_;
    std::string server_name_;
    sip::MsrpFramer framer_;
    Timer watch_;  // set-up, then a first request
    Timer again_;  // a message was not taken
    Duration again_after_ = kMsrpRetryTaking;
    Timer unfinished_;  // the beginning of a message is here, its end is not
    bool is_in_;
    bool tls_;
    bool is_ready_ = false;
    bool is_claimed_ = false;
};

class MsrpTransportUser {
public:
    // A request or a response. False: no room now; nothing more is read, and it comes again.
    [[nodiscard]] virtual bool on_msrp(MsrpConnection&, const sip::MsrpMessage&) = 0;
    // The framer has refused it. With `fault.close` the connection ends behind the answer.
    virtual void on_msrp_refused(MsrpConnection&, const sip::MsrpMessage&, sip::MsrpFault) = 0;
    // Of ours: it stands; with TLS peer() says who is there, and the user judges.
    virtual void on_msrp_connected(MsrpConnection&) = 0;
    virtual void on_msrp_writable(MsrpConnection&) = 0;
    // Also: never stood. The object is gone behind this call.
    virtual void on_msrp_closed(MsrpConnection&, const Error&) = 0;

protected:
    ~MsrpTransportUser() = default;
};

class MsrpTransport final {
public:
    // size_max: our a=max-size.
    MsrpTransport(Loop&, Stats&, MsrpTransportUser&, net::TlsContext*, std::size_t size_max);
    ~MsrpTransport();
    MsrpTransport(const MsrpTransport&) = delete;
    MsrpTransport& operator=(const MsrpTransport&) = delete;

    // Where it listens then.
    Result<SocketAddress> listen(const SocketAddress&, bool tls);
    void stop_listening();  // connections stay
    void set_tls(net::TlsContext* tls) { tls_ = tls; }
    void set_size_max(std::size_t size_max) { size_max_ = size_max; }  // of connections to come

    // Null: no TLS, at the bound, or the kernel refused. Else on_msrp_connected() or
    // on_msrp_closed() follows. It is claimed.
    MsrpConnection* connect(const SocketAddress&, bool tls, std::string server_name);
    [[nodiscard]] MsrpConnection* find(Handle<MsrpConnection> handle) {
        return connections_.find(handle);
    }
    template <typename F>
    void for_each_connection(F&& visit) {
        connections_.for_each([&](Handle<MsrpConnection>, MsrpConnection& one) { visit(one); });
    }

private:
    friend class MsrpConnection;
    class Listener;
    void accept(Socket, const SocketAddress& peer, bool tls);
    [[nodiscard]] bool may_connect(const SocketAddress& peer);
    [[nodiscard]] MsrpConnection* make(bool is_in, bool tls);
    void forget_unclaimed(const MsrpConnection&);
    [[nodiscard]] net::ConnectionLimits limits() const;

    Loop& loop_;
    Stats& stats_;
    MsrpTransportUser& user_;
    net::TlsContext* tls_;
    std::size_t size_max_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    Slab<MsrpConnection> connections_;
    std::vector<Handle<MsrpConnection>> unclaimed_;
    sip::MsrpMessage message_;  // of what is being handled
};

}  // namespace fedgate::gateway
