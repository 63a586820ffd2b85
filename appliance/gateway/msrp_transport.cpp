#include "appliance/gateway/msrp_transport.hpp"

#include <algorithm>
#include <utility>

#include "core/base/limits.hpp"
#include "net/address.hpp"

namespace fedgate::gateway {
namespace {

// With sessions there are texts of ours, too, among what is unsent; if they stopped the reading,
// two sides that both have many would wait for each other.
constexpr std::size_t unsent_bytes_to_read(bool is_claimed) {
    return is_claimed ? kMsrpUnsentBytes - kMsrpReadAnswerBytes : kMsrpReadAnswerBytes;
}

}  // namespace

// ---- MsrpConnection

MsrpConnection::MsrpConnection(MsrpTransport& transport, bool is_in, bool tls)
    : transport_(transport),
      framer_(transport.size_max_),
      watch_(*this),
      again_(*this),
      unfinished_(*this),
      is_in_(is_in),
      tls_(tls),
      is_claimed_(!is_in) {}

void MsrpConnection::claim() {
    if (is_claimed_) return;
    is_claimed_ = true;
    watch_.cancel();
    transport_.forget_unclaimed(*this);
}

void MsrpConnection::on_open(net::Connection& stream) {
    if (!tls_) return become_ready();
    if (transport_.tls_ == nullptr) return stream.abort({Errc::kTls, 0, "no tls.sip certificate"});
    stream.start_tls_client(*transport_.tls_, server_name_, {});
}

void MsrpConnection::on_secured(net::Connection&) { become_ready(); }

void MsrpConnection::become_ready() {
    is_ready_ = true;
    if (is_in_) return;  // its first request is waited for from the start on
    watch_.cancel();
    transport_.user_.on_msrp_connected(*this);
}

std::size_t MsrpConnection::on_data(net::Connection& stream, MutableBytes input) {
    const Bytes all(input.data(), input.size());
    std::size_t consumed = 0;
    bool begins = false;  // what is not whole has come in this call only
    while (true) {
        if (is_going()) return input.size();  // its last session has let it go
        // Who asks and does not read the answers waits for them.
        if (stream.unsent_bytes() > unsent_bytes_to_read(is_claimed_)) {
            wait_and_offer_again();
            return consumed;
        }
        const sip::MsrpFrame frame = framer_.next(all.substr(consumed), transport_.message_);
        switch (frame.kind) {
            case sip::MsrpFrameKind::kNeedMore:
                if (consumed == input.size()) {  // never while it skips
                    unfinished_.cancel();
                } else if (begins || !unfinished_.armed()) {
                    // However it drips: its clock starts once.
                    transport_.loop_.timers().arm(unfinished_,
                                                  transport_.loop_.now() + kMsrpMessageTime);
                }
                return consumed;
            case sip::MsrpFrameKind::kSkipped: break;
            case sip::MsrpFrameKind::kMessage:
                if (!transport_.user_.on_msrp(*this, transport_.message_)) {
                    wait_and_offer_again();
                    return consumed;
                }
                again_after_ = kMsrpRetryTaking;
                break;
            case sip::MsrpFrameKind::kRefused:
                transport_.stats_.add(Counter::kMsrpBad);
                transport_.user_.on_msrp_refused(*this, transport_.message_, frame.fault);
                if (!frame.fault.close) break;
                stream.close();
                return input.size();
        }
        consumed += frame.consumed;
        begins = begins || !framer_.is_skipping();
    }
}

void MsrpConnection::wait_and_offer_again() {
    stream_->pause_input();
    unfinished_.cancel();
    transport_.loop_.timers().arm(again_, transport_.loop_.now() + again_after_);
    again_after_ = std::min(2 * again_after_, kMsrpRetryTakingMax);
}

void MsrpConnection::on_writable(net::Connection&) { transport_.user_.on_msrp_writable(*this); }

void MsrpConnection::on_timer(Timer& timer) {
    if (&timer == &again_) {
        if (stream_->unsent_bytes() > unsent_bytes_to_read(is_claimed_) &&
            transport_.loop_.now() - stream_->last_progress() > kMsrpUnreadTime) {
            return stream_->abort({Errc::kLimit, 0, "MSRP answers unread"});
        }
        return stream_->resume_input();
    }
    if (&timer == &unfinished_) {
        transport_.stats_.add(Counter::kMsrpBad);
        return stream_->abort({Errc::kTimeout, 0, "MSRP message without end"});
    }
    if (!is_in_) return stream_->abort({Errc::kTimeout, 0, "MSRP connection set-up"});
    transport_.stats_.add(Counter::kMsrpRefused);
    stream_->abort({Errc::kTimeout, 0, "MSRP without a session"});
}

void MsrpConnection::on_closed(net::Connection&, Error reason) {
    MsrpTransport& transport = transport_;
    if (!is_claimed_) transport.forget_unclaimed(*this);
    transport.stats_.subtract(counter());
    transport.user_.on_msrp_closed(*this, reason);
    transport.connections_.free(self_);  // this object is gone from here on
}

// ---- MsrpTransport

class MsrpTransport::Listener final : public SocketOwner {
public:
    Listener(MsrpTransport& transport, bool tls) : transport_(transport), tls_(tls) {}
    void on_accept(Socket, Socket connection, const SocketAddress& peer) override {
        transport_.accept(connection, peer, tls_);
    }
    Socket socket;

private:
    MsrpTransport& transport_;
    bool tls_;
};

MsrpTransport::MsrpTransport(Loop& loop, Stats& stats, MsrpTransportUser& user,
                             net::TlsContext* tls, std::size_t size_max)
    : loop_(loop),
      stats_(stats),
      user_(user),
      tls_(tls),
      size_max_(size_max),
      connections_(kMsrpConnections) {}

MsrpTransport::~MsrpTransport() { stop_listening(); }

// Sockets end in the background, and their owners go at once.
void MsrpTransport::stop_listening() {
    for (auto& listener : listeners_) loop_.close(listener->socket, nullptr);
    listeners_.clear();
}

// A whole chunk is looked at together, with its end-line.
net::ConnectionLimits MsrpTransport::limits() const {
    return {
        fedgate::limits::kMsrpHeaderBytes + size_max_ + 2 * fedgate::limits::kMsrpContentTypeBytes,
        kMsrpUnsentBytes};
}

Result<SocketAddress> MsrpTransport::listen(const SocketAddress& address, bool tls) {
    auto listener = std::make_unique<Listener>(*this, tls);
    auto opened = loop_.listen(address, *listener);
    if (!opened) return Failure{opened.error()};
    listener->socket = *opened;
    listeners_.push_back(std::move(listener));
    return loop_.local_address(*opened);
}

// Who has no session must not take the places of those who have, nor of others without.
bool MsrpTransport::may_connect(const SocketAddress& peer) {
    if (unclaimed_.size() >= kMsrpUnclaimed) return false;
    const net::IpKey key = net::ip_key(peer);
    const auto same = std::ranges::count_if(unclaimed_, [&](Handle<MsrpConnection> handle) {
        const MsrpConnection* const one = connections_.find(handle);
        return one != nullptr && net::ip_key(one->peer_address()) == key;
    });
    return static_cast<std::size_t>(same) < kMsrpUnclaimedPerAddress;
}

MsrpConnection* MsrpTransport::make(bool is_in, bool tls) {
    if (tls && tls_ == nullptr) return nullptr;
    Handle<MsrpConnection> handle;
    MsrpConnection* const connection = connections_.make(handle, *this, is_in, tls);
    if (connection != nullptr) connection->self_ = handle;
    return connection;
}

void MsrpTransport::accept(Socket socket, const SocketAddress& peer, bool tls) {
    MsrpConnection* const connection = may_connect(peer) ? make(true, tls) : nullptr;
    if (connection == nullptr) {
        stats_.add(Counter::kMsrpRefused);
        return loop_.close(socket);
    }
    stats_.add(connection->counter());
    connection->stream_ =
        std::make_unique<net::Connection>(loop_, *connection, limits(), socket, peer);
    unclaimed_.push_back(connection->self_);
    loop_.timers().arm(connection->watch_, loop_.now() + kMsrpUnclaimedTime);
    tls ? connection->stream_->start_tls_server(*tls_) : connection->become_ready();
}

MsrpConnection* MsrpTransport::connect(const SocketAddress& address, bool tls,
                                       std::string server_name) {
    MsrpConnection* const connection = make(false, tls);
    if (connection == nullptr) return nullptr;
    auto stream = net::Connection::connect(loop_, *connection, limits(), address);
    if (!stream) {
        connections_.free(connection->self_);
        return nullptr;
    }
    stats_.add(connection->counter());
    connection->stream_ = std::move(*stream);
    connection->server_name_ = std::move(server_name);
    loop_.timers().arm(connection->watch_, loop_.now() + kMsrpConnectTimeout);
    return connection;
}

void MsrpTransport::forget_unclaimed(const MsrpConnection& connection) {
    std::erase(unclaimed_, connection.self_);
}

}  // namespace fedgate::gateway
