#include "appliance/gateway/sip_transport.hpp"

#include <algorithm>
#include <utility>

#include "net/address.hpp"
#include "xml/certificate.hpp"

namespace fedgate::gateway {
namespace {

// SIP-3: multipart and CPIM around a text of im.max_bytes: by default a body of 64 KiB.
constexpr std::size_t kFramingBytes = 32'768;

SocketAddress to_socket_address(const config::Address& address) {
    auto parsed = net::parse_address(address.text);
    FEDGATE_CHECK(parsed.has_value());  // configuration has normalised it
    return *parsed;
}

bool is_wildcard(const SocketAddress& address) {
    const std::string text = net::format_ip(address);
    return text == "0.0.0.0" || text == "::";
}

std::string via_text(const SocketAddress& address) {
    return net::is_ipv6(address) ? "[" + net::format_ip(address) + "]" : net::format_ip(address);
}

Bytes host_of_sip_uri(Bytes text) {
    const auto uri = sip::parse_uri(text);
    if (!uri || uri->scheme != sip::Scheme::kSip || uri->has_user) return {};
    return uri->at.host;
}

bool proves_domain(const PeerIdentity& identity, const rules::SipDomain& domain) {
    return proves_sip_name(identity, domain.name, domain.wildcard) ||
           std::ranges::any_of(domain.next_hops, [&](const config::SipTarget& hop) {
               return !hop.literal && proves_sip_name(identity, hop.host, domain.wildcard);
           });
}

}  // namespace

const char* text_of(sip::Transport transport) {
    switch (transport) {
        case sip::Transport::kUdp: return "udp";
        case sip::Transport::kTls: return "tls";
        default: return "tcp";
    }
}

const char* text_of(const SipPeer& peer) {
    return text_of(!peer.connection ? sip::Transport::kUdp
                   : peer.tls       ? sip::Transport::kTls
                                    : sip::Transport::kTcp);
}

bool proves_sip_name(const PeerIdentity& identity, Bytes name, bool wildcard) {
    if (!identity.presented || !identity.chain_valid || name.empty()) return false;
    bool has_sip_uri = false;
    for (const std::string& text : identity.uris) {
        const Bytes host = host_of_sip_uri(text);
        if (host.empty()) continue;
        has_sip_uri = true;
        if (sip::equal_ignoring_case(host, name)) return true;
    }
    if (has_sip_uri) return false;
    return std::ranges::any_of(identity.dns_names, [&](const std::string& dns) {
        return sip::equal_ignoring_case(dns, name) ||
               (wildcard && xml::dns_name_matches(dns, name));
    });
}

// ---- SipConnection

SipConnection::SipConnection(SipTransport& transport, Handle<SipConnection> self, Leg* leg,
                             bool tls, std::size_t body_bytes_max)
    : transport_(transport),
      self_(self),
      leg_(leg),
      framer_(body_bytes_max),
      watch_(*this),
      again_(*this),
      unfinished_(*this),
      tls_(tls) {}

bool SipConnection::write(Bytes bytes, std::size_t keep_free) {
    if (!stream_->write(bytes, keep_free)) return false;
    last_written_ = transport_.shard_.loop().now();
    return true;
}

void SipConnection::close() { stream_->close(); }

void SipConnection::leave_leg() {
    leg_ = nullptr;
    if (!in_) close();
}

void SipConnection::on_open(net::Connection& stream) {
    Loop& loop = transport_.shard_.loop();
    if (!tls_) return become_ready();
    if (leg_ == nullptr && !returns_) return;  // it is closing
    if (transport_.tls_ == nullptr) return stream.abort({Errc::kTls, 0, "no tls.sip certificate"});
    loop.timers().arm(watch_, loop.now() + kSipTlsTimeout);
    stream.start_tls_client(*transport_.tls_, returns_ ? std::string() : leg_->host, {});
}

void SipConnection::on_secured(net::Connection& stream) {
    judge();
    // Who was a stranger until now.
    if (in_ && source_ != nullptr && source_->connections > kSipConnectionsPerSource)
        return stream.abort({Errc::kLimit, 0, "SIP connections of one source"});
    // SIP-31: a next hop has to prove the domain or the name that it is configured with.
    const bool proves = returns_
                            ? trust_ == SipTrust::kCertificate
                            : leg_ == nullptr || transport_.proves_next_hop(stream.peer(), *leg_);
    if (!in_ && !proves) {
        transport_.shard_.log().event(
            EventId::kCertificateRefused,
            {{"peer", net::format_address(stream.peer_address())}, {"fault", stream.peer().fault}});
        return stream.abort({Errc::kCertificate, 0, "SIP next hop certificate"});
    }
    become_ready();
}

void SipConnection::become_ready() {
    Loop& loop = transport_.shard_.loop();
    ready_ = true;
    last_written_ = loop.now();
    judge();
    if (in_) return watch_peer();
    loop.timers().arm(watch_, loop.now() + kSipKeepalive);
    if (leg_ != nullptr) transport_.user_.on_sip_connected(*leg_);
    if (!returns_) return;
    const std::string answers = std::move(answers_);
    if (!write(answers)) stream_->close();
}

// To a connection of ours that is not ready yet, too.
bool SipConnection::write_answer(Bytes bytes) {
    if (ready_) return write(bytes);
    if (!returns_ || answers_.size() + bytes.size() > kSipUnsentAnswerBytes) return false;
    answers_ += bytes;
    return true;
}

// By this a server that listens at that address is reached.
bool SipConnection::reaches(const SocketAddress& address, bool tls) const {
    if (tls_ != tls || (!ready_ && !returns_)) return false;
    if (!in_) return net::same_address(stream_->peer_address(), address);
    return alias_port_ != 0 &&
           net::same_address(net::with_port(stream_->peer_address(), alias_port_), address);
}

// Who connected to us: without trust it gets its 403 and no more.
void SipConnection::watch_peer() {
    Loop& loop = transport_.shard_.loop();
    loop.timers().arm(watch_,
                      loop.now() + (trust_ == SipTrust::kNone ? kSipUntrustedTime : kSipTrustTime));
}

// No message takes for ever, however it drips: its clock starts once.
void SipConnection::time_message(bool begins) {
    Loop& loop = transport_.shard_.loop();
    if (begins || !unfinished_.armed()) {
        loop.timers().arm(unfinished_, loop.now() + kSipMessageTime);
    }
}

// SIP-30: by certificate first, else by address. Judged once for each generation of the rules.
void SipConnection::judge() {
    judged_at_ = transport_.rules_->generation;
    speaks_for_ = nullptr;
    if (tls_ && stream_->secured() && transport_.proves_a_peer(stream_->peer())) {
        trust_ = SipTrust::kCertificate;
    } else {
        trust_ = transport_.trusted_address(stream_->peer_address()) ? SipTrust::kAddress
                                                                     : SipTrust::kNone;
    }
    if (in_) transport_.count_untrusted(*this, trust_ == SipTrust::kNone);
    if (trust_ != SipTrust::kNone) count_at_source();
}

void SipConnection::count_at_source() {
    if (source_ != nullptr) return;
    source_ = &transport_.sources_.find(stream_->peer_address(), transport_.shard_.loop().now());
    ++source_->connections;
}

// SIP-14, RFC 5923: only who has proved the name in its Via by its certificate can be reached by
// a connection that it has opened; it has the address that it came from.
void SipConnection::take_alias(const sip::Via& via) {
    if (!in_ || trust_ != SipTrust::kCertificate || alias_port_ != 0) return;
    if (!proves_sip_name(stream_->peer(), via.sent_by.host)) return;
    alias_port_ = via.sent_by.port != 0 ? via.sent_by.port : kSipsPort;
}

std::size_t SipConnection::on_data(net::Connection& stream, MutableBytes input) {
    if (judged_at_ != transport_.rules_->generation) judge();
    waits_ = Waits::kNothing;
    std::size_t consumed = 0;
    bool begins = false;  // what is not whole has come in this call only
    SipPeer peer{self_, 0, stream.peer_address(), source_};
    peer.tls = tls_;
    SipRead* one = &transport_.read_[0];
    SipRead* other = &transport_.read_[1];
    sip::Frame frame = read(input, *one);
    while (frame.kind != sip::FrameKind::kNeedMore) {
        if (frame.kind == sip::FrameKind::kMessage) transport_.user_.on_sip_next(one->message);
        const sip::Framer before_other = framer_;  // to read that again if this one has to wait
        const std::size_t end = consumed + frame.consumed;
        const sip::Frame behind = frame.close ? sip::Frame{} : read(input.subspan(end), *other);
        switch (frame.kind) {
            case sip::FrameKind::kNeedMore:
            case sip::FrameKind::kSkipped:
            case sip::FrameKind::kPong: break;
            case sip::FrameKind::kPing:  // SIP-3, SIP-15; a peer that does not read gets none
                static_cast<void>(write("\r\n"));
                break;
            case sip::FrameKind::kMessage:
                if (take(*one, peer)) break;
                framer_ = before_other;
                wait_to_take();
                return consumed;
            case sip::FrameKind::kMalformed:
                transport_.user_.on_sip_malformed(frame, one->message, peer);
                if (frame.close) {
                    stream.close();
                    return input.size();
                }
                break;
        }
        consumed = end;
        // SIP-30: it had its answer, and there will be no other one.
        if (in_ && trust_ == SipTrust::kNone && frame.kind != sip::FrameKind::kPong &&
            frame.kind != sip::FrameKind::kPing) {
            stream.close();
            return input.size();
        }
        begins = begins || !before_other.is_skipping();
        frame = behind;
        std::swap(one, other);
    }
    if (consumed == input.size() && !framer_.is_skipping()) {
        unfinished_.cancel();
    } else {
        time_message(begins);
    }
    return consumed;
}

// One is read before the one in front of it is handled, so that what it needs is fetched from
// memory meanwhile.
sip::Frame SipConnection::read(MutableBytes input, SipRead& read) {
    const sip::Frame frame = framer_.next(input, read.message);
    if (frame.kind == sip::FrameKind::kMessage)
        read.key = transport_.user_.on_sip_read(read.message);
    return frame;
}

// False: no room now.
bool SipConnection::take(const SipRead& read, SipPeer& peer) {
    const sip::Via& via = read.message.via;
    if (via.alias && read.message.is_request) take_alias(via);
    if (trust_ != SipTrust::kNone) {
        peer.port = via.sent_by.port != 0 ? via.sent_by.port : tls_ ? kSipsPort : kSipPort;
    }
    return !asks_too_fast(read.message) &&
           transport_.user_.on_sip_message(read.message, peer, read.key);
}

void SipConnection::wait_to_take() {
    Loop& loop = transport_.shard_.loop();
    stream_->pause_input();
    unfinished_.cancel();
    loop.timers().arm(again_, loop.now() + kSipRetryTaking);
    transport_.shard_.stats().add(Counter::kLinkBackPressure);
}

// Many requests at once have many answers at once: the next one is read when those have left.
bool SipConnection::asks_too_fast(const sip::Message& message) const {
    return in_ && message.is_request && stream_->unsent_bytes() > kSipReadAnswerBytes;
}

void SipConnection::on_writable(net::Connection&) {
    if (leg_ != nullptr) transport_.user_.on_sip_writable(*leg_);
}

void SipConnection::on_timer(Timer& timer) {
    Loop& loop = transport_.shard_.loop();
    if (&timer == &again_) {
        if (in_ && stream_->unsent_bytes() > kSipReadAnswerBytes &&
            loop.now() - stream_->last_progress() > kSipUnreadTime) {
            return stream_->abort({Errc::kLimit, 0, "SIP answers unread"});
        }
        return stream_->resume_input();
    }
    if (&timer == &unfinished_)
        return stream_->abort({Errc::kTimeout, 0, "SIP message without end"});
    if (!ready_) return stream_->abort({Errc::kTimeout, 0, "SIP connection set-up"});
    if (in_) {
        if (judged_at_ != transport_.rules_->generation) judge();
        if (trust_ == SipTrust::kNone)
            return stream_->abort({Errc::kLimit, 0, "SIP peer without trust"});
        return watch_peer();
    }
    if (returns_) return stream_->close();
    // SIP-15: a ping after a minute without a request of ours; the pong within 10 s, else an
    // OPTIONS, which some answer who know no pings; anything that comes in will do.
    if (waits_ == Waits::kPong && leg_ != nullptr) {
        waits_ = Waits::kAnswer;
        loop.timers().arm(watch_, loop.now() + kSipPongTimeout);
        return transport_.user_.on_sip_quiet(*leg_);
    }
    if (waits_ != Waits::kNothing) return stream_->abort({Errc::kTimeout, 0, "SIP keepalive"});
    const Instant due = last_written_ + kSipKeepalive;
    if (loop.now() < due) {
        loop.timers().arm(watch_, std::max(due, loop.now() + 1s));
        return;
    }
    if (write("\r\n\r\n")) waits_ = Waits::kPong;
    loop.timers().arm(watch_, loop.now() + kSipPongTimeout);
}

void SipConnection::on_closed(net::Connection&, Error reason) {
    SipTransport& transport = transport_;
    Leg* leg = leg_;
    transport.count_untrusted(*this, false);
    if (source_ != nullptr) --source_->connections;
    if (in_) --transport.in_connections_;
    if (returns_) --transport.return_connections_;
    transport.shard_.stats().subtract(in_ ? Counter::kSipInConnections
                                          : Counter::kSipOutConnections);
    transport.connections_.free(self_);  // this object is gone from here on
    if (leg == nullptr) return;
    leg->connection = {};
    transport.user_.on_sip_disconnected(*leg, reason);
}

// ---- Listeners

class SipTransport::StreamListener final : public SocketOwner {
public:
    StreamListener(SipTransport& transport, bool tls) : transport_(transport), tls_(tls) {}
    void on_accept(Socket, Socket connection, const SocketAddress& peer) override {
        transport_.accept(connection, peer, tls_);
    }
    Socket socket;

private:
    SipTransport& transport_;
    bool tls_;
};

class SipTransport::DatagramSocket final : public SocketOwner {
public:
    DatagramSocket(SipTransport& transport, std::uint8_t index)
        : transport_(transport), index_(index) {}
    void on_datagram(Socket, const SocketAddress& from, MutableBytes bytes) override {
        if (!transport_.take_datagram(index_, from, bytes)) {
            transport_.shard_.stats().add(Counter::kSipDatagramsDropped);
        }
    }
    Socket socket;
    sa_family_t family = AF_UNSPEC;

private:
    SipTransport& transport_;
    std::uint8_t index_;
};

// ---- SipTransport

SipTransport::SipTransport(Shard& shard, SipTransportUser& user, const rules::Snapshot& rules,
                           net::TlsContext* tls, std::string via_host, KeyMaker keys)
    : shard_(shard),
      user_(user),
      rules_(&rules),
      tls_(tls),
      via_host_(via_host.empty() ? "fedgate.invalid" : std::move(via_host)),
      sources_(keys, rules.settings.sip.datagrams_per_address, shard.loop().now()),
      connections_(kSipConnections) {
    write_vias();
}

// Sockets end in the background; their owners are told nothing after close(), so they may go.
SipTransport::~SipTransport() {
    for (auto& listener : stream_listeners_) shard_.loop().close(listener->socket);
    for (auto& socket : datagram_sockets_) shard_.loop().close(socket->socket);
}

void SipTransport::reload(const rules::Snapshot& rules) {
    rules_ = &rules;
    sources_.set_rate(rules.settings.sip.datagrams_per_address, shard_.loop().now());
}

std::size_t SipTransport::body_bytes_max() const {
    return rules_->settings.im.max_bytes + kFramingBytes;
}

net::ConnectionLimits SipTransport::limits(std::size_t unsent_bytes_max) const {
    return {limits::kSipHeaderBytes + body_bytes_max(), unsent_bytes_max};
}

void SipTransport::count_untrusted(SipConnection& connection, bool untrusted) {
    if (connection.counted_untrusted_ == untrusted) return;
    connection.counted_untrusted_ = untrusted;
    untrusted ? ++untrusted_connections_ : --untrusted_connections_;
    sources_.count_connection(connection.stream_->peer_address(), untrusted);
}

Result<void> SipTransport::listen() {
    Result<void> result;
    for (const config::SipListen& listen : rules_->settings.sip.listen) {
        const SocketAddress address = to_socket_address(listen.address);
        const bool tls = listen.transport == config::Transport::kTls;
        const bool udp = listen.transport == config::Transport::kUdp;
        Result<Socket> opened = failure(Errc::kTls, "tls listener without tls.sip.certificate");
        if (udp) {
            const auto index = static_cast<std::uint8_t>(datagram_sockets_.size());
            auto owner = std::make_unique<DatagramSocket>(*this, index);
            opened = shard_.loop().open_datagram(address, *owner);
            if (opened) {
                owner->socket = *opened;
                owner->family = address.storage.sin6_family;
                datagram_sockets_.push_back(std::move(owner));
            }
        } else if (!tls || tls_ != nullptr) {
            auto owner = std::make_unique<StreamListener>(*this, tls);
            opened = shard_.loop().listen(address, *owner);
            if (opened) {
                owner->socket = *opened;
                stream_listeners_.push_back(std::move(owner));
            }
        }
        const auto transport = udp   ? sip::Transport::kUdp
                               : tls ? sip::Transport::kTls
                                     : sip::Transport::kTcp;
        if (!opened) {
            shard_.log().event(EventId::kListenFailed,
                               {{"listen", listen.address.text},
                                {"transport", sip::transport_text(transport)},
                                {"where", opened.error().where},
                                {"errno", opened.error().system}});
            if (result) result = Failure{opened.error()};
            continue;
        }
        const SocketAddress local = shard_.loop().local_address(*opened);
        shard_.log().event(EventId::kListening, {{"listen", net::format_address(local)},
                                                 {"transport", sip::transport_text(transport)}});
        infos_.push_back({transport, local});
        const auto index = static_cast<std::size_t>(transport);
        SentBy& own = sent_by_[index][net::is_ipv6(local) ? 1 : 0];
        if (own.port != 0) continue;  // the first one of a kind is where answers may come
        own.port = net::port_of(local);
        if (!is_wildcard(local)) own.host = via_text(local);
    }
    write_vias();
    return result;
}

void SipTransport::write_vias() {
    static constexpr std::array<char, sip::kBranchBytes> kLater = [] {
        std::array<char, sip::kBranchBytes> text{};
        text.fill('0');
        return text;
    }();
    for (std::size_t index = 0; index < std::size(vias_); ++index) {
        for (std::size_t v6 = 0; v6 < std::size(vias_[index]); ++v6) {
            const SentBy& same = sent_by_[index][v6];
            const SentBy& sent_by = same.port != 0 ? same : sent_by_[index][1 - v6];
            sip::OwnVia own;
            own.transport = static_cast<sip::Transport>(index);
            own.host = sent_by.host.empty() ? via_host_ : sent_by.host;
            own.port = sent_by.port;
            own.rport = own.transport == sip::Transport::kUdp;
            own.alias = own.transport == sip::Transport::kTls;  // where both sides are proved
            own.branch = Bytes(kLater.data(), kLater.size());
            char memory[kSipViaBytesMax];
            Sink sink{MutableBytes(memory)};
            sip::write_via(sink, own);
            FEDGATE_CHECK(!sink.overflowed());
            UsualVia& via = vias_[index][v6];
            via.text = sink.written();
            via.branch_begin = via.text.rfind(own.branch);  // a host may have zeros, too
            via.own = own;
            via.own.text = via.text;
            via_line_bytes_max_ =
                std::max(via_line_bytes_max_, Bytes("Via: \r\n").size() + via.text.size());
        }
    }
}

// Whoever can't be known yet must not take the places of those who are, nor of our own connections;
// and no one who is known those of all others.
bool SipTransport::may_connect(const SocketAddress& peer, bool tls, bool trusted) {
    if (in_connections_ >= kSipConnections - kSipOwnConnections) return false;
    if (trusted) {
        return sources_.find(peer, shard_.loop().now()).connections < kSipConnectionsPerSource;
    }
    return untrusted_connections_ < kSipUntrustedConnections && sources_.may_connect(peer) &&
           (!tls || sources_.may_shake_hands(peer, shard_.loop().now()));
}

void SipTransport::accept(Socket socket, const SocketAddress& peer, bool tls) {
    Handle<SipConnection> handle;
    SipConnection* connection = nullptr;
    const bool untrusted = !trusted_address(peer);
    if ((!tls || tls_ != nullptr) && may_connect(peer, tls, !untrusted)) {
        connection = connections_.make(handle, *this, Handle<SipConnection>{}, nullptr, tls,
                                       body_bytes_max());
    }
    if (connection == nullptr) {
        shard_.loop().close(socket);
        shard_.log().event(EventId::kConnectionLimit,
                           {{"what", "SIP"}, {"limit", kSipConnections}});
        return;
    }
    connection->self_ = handle;
    connection->in_ = true;
    ++in_connections_;
    shard_.stats().add(Counter::kSipInConnections);
    connection->stream_ = std::make_unique<net::Connection>(
        shard_.loop(), *connection, limits(kSipUnsentAnswerBytes), socket, peer);
    count_untrusted(*connection, untrusted);
    if (!untrusted) connection->count_at_source();  // also while it shakes hands
    if (tls) {
        shard_.loop().timers().arm(connection->watch_, shard_.loop().now() + kSipTlsTimeout);
        connection->stream_->start_tls_server(*tls_);
    } else {
        connection->become_ready();
    }
}

SipConnection* SipTransport::connect(Leg& leg, const net::Target& target) {
    const bool tls = target.transport == net::Transport::kTls;
    if (tls && tls_ == nullptr) return nullptr;
    if (SipConnection* alias = tls ? find_alias(leg, target) : nullptr) {
        leg.connection = alias->self_;
        alias->leg_ = &leg;
        return alias;
    }
    SipConnection* const connection = open(&leg, target.address, tls);
    if (connection != nullptr) leg.connection = connection->self_;
    return connection;
}

SipConnection* SipTransport::open(Leg* leg, const SocketAddress& address, bool tls) {
    Handle<SipConnection> handle;
    SipConnection* connection =
        connections_.make(handle, *this, Handle<SipConnection>{}, leg, tls, body_bytes_max());
    if (connection == nullptr) return nullptr;
    connection->self_ = handle;
    auto stream =
        net::Connection::connect(shard_.loop(), *connection, limits(kSipUnsentBytes), address);
    if (!stream) {
        connections_.free(handle);
        return nullptr;
    }
    connection->stream_ = std::move(*stream);
    shard_.stats().add(Counter::kSipOutConnections);
    shard_.loop().timers().arm(connection->watch_, shard_.loop().now() + kSipConnectTimeout);
    return connection;
}

bool SipTransport::send_datagram(const SocketAddress& to, Bytes bytes) {
    for (auto& socket : datagram_sockets_) {
        if (socket->family == to.storage.sin6_family) {
            return shard_.loop().send_datagram(socket->socket, to, bytes);
        }
    }
    return false;
}

void SipTransport::answer(const SipPeer& peer, Bytes bytes) {
    bool sent = false;
    if (peer.connection) {
        SipConnection* connection = connections_.find(peer.connection);
        if (connection == nullptr) connection = way_back(peer);
        sent = connection != nullptr && connection->write_answer(bytes);
        // It asks and asks, and does not read the answers.
        if (!sent && connection != nullptr && connection->in_) {
            connection->stream_->abort({Errc::kLimit, 0, "SIP answers unread"});
        }
    } else if (peer.socket < datagram_sockets_.size()) {
        sent = shard_.loop().send_datagram(datagram_sockets_[peer.socket]->socket, peer.address,
                                           bytes);
    }
    shard_.stats().add(sent ? Counter::kSipResponsesOut : Counter::kSipDatagramsDropped);
}

// RFC 3261 18.2.2: the connection of a request is gone, so its answer goes to where it came from
// and the port of its Via, by a connection that is there or a new one. Only for who was trusted:
// nobody else has us open connections. `maddr` is not followed, over no transport: it is a
// request's word for who else gets what we send.
SipConnection* SipTransport::way_back(const SipPeer& peer) {
    if (peer.port == 0 || (peer.tls && tls_ == nullptr)) return nullptr;
    const SocketAddress address = net::with_port(peer.address, peer.port);
    SipConnection* found = nullptr;
    connections_.for_each([&](Handle<SipConnection>, SipConnection& one) {
        if (one.reaches(address, peer.tls)) found = &one;
    });
    if (found != nullptr || return_connections_ == kSipReturnConnections) return found;
    found = open(nullptr, address, peer.tls);
    if (found == nullptr) return nullptr;
    found->returns_ = true;
    ++return_connections_;
    return found;
}

Bytes SipTransport::host_of(const SipPeer& peer, Sink& memory) {
    SipConnection* const connection = connections_.find(peer.connection);
    if (connection == nullptr) {
        net::write_ip(memory, peer.address);
        return memory.written();
    }
    if (connection->host_.empty()) connection->host_ = net::format_ip(peer.address);
    return connection->host_;
}

SipTrust SipTransport::trust(const SipPeer& peer) {
    if (!peer.connection) return peer.source != nullptr ? SipTrust::kAddress : SipTrust::kNone;
    const SipConnection* connection = connections_.find(peer.connection);
    return connection != nullptr ? connection->trust_ : SipTrust::kNone;
}

bool SipTransport::speaks_for(const SipPeer& peer, const rules::SipDomain& domain) {
    SipConnection* connection = connections_.find(peer.connection);
    if (connection == nullptr || connection->trust_ != SipTrust::kCertificate) {
        return trust(peer) == SipTrust::kAddress;
    }
    if (connection->speaks_for_ == &domain) return true;
    if (!proves_domain(connection->stream_->peer(), domain)) return trusted_address(peer.address);
    connection->speaks_for_ = &domain;
    return true;
}

bool SipTransport::trusted_address(const SocketAddress& address) const {
    const net::IpKey key = net::ip_key(address);
    const Bytes bytes(reinterpret_cast<const char*>(key.bytes), sizeof key.bytes);
    return rules_->sip_trusted(bytes);
}

// SIP-30, SIP-31: a client certificate counts when it proves a domain of ours or the name of a next
// hop.
bool SipTransport::proves_a_peer(const PeerIdentity& identity) const {
    return std::ranges::any_of(rules_->sip_domains(), [&](const rules::SipDomain& domain) {
        return proves_domain(identity, domain);
    });
}

// Before it is read: a flood costs a look at its address. A response is not counted; if it answers
// nothing of ours it goes nowhere.
SipTransport::Admission SipTransport::admit_datagram(SipPeer& peer, Bytes bytes) {
    if (bytes.starts_with("SIP/")) return Admission::kTaken;
    const Instant now = shard_.loop().now();
    if (!trusted_address(peer.address)) {
        return sources_.may_refuse(peer.address, now) ? Admission::kTaken : Admission::kDropped;
    }
    peer.source = &sources_.find(peer.address, now);
    if (peer.source->datagrams.take(1, now)) return Admission::kTaken;
    return peer.source->refusals.take(1, now) ? Admission::kOverBudget : Admission::kDropped;
}

bool SipTransport::proves_next_hop(const PeerIdentity& identity, const Leg& leg) const {
    const rules::SipDomain* const domain = rules_->sip_domain(leg.domain);
    const bool wildcard = domain != nullptr && domain->wildcard;
    return proves_sip_name(identity, leg.domain, wildcard) ||
           (!net::parse_ip(leg.host, 0) && proves_sip_name(identity, leg.host, wildcard));
}

// SIP-14. It has to prove what one that we open would have to.
SipConnection* SipTransport::find_alias(const Leg& leg, const net::Target& target) {
    SipConnection* found = nullptr;
    connections_.for_each([&](Handle<SipConnection>, SipConnection& one) {
        if (one.alias_port_ == 0 || one.leg_ != nullptr || one.trust_ != SipTrust::kCertificate)
            return;
        const SocketAddress peer = net::with_port(one.stream_->peer_address(), one.alias_port_);
        if (net::same_address(peer, target.address) && proves_next_hop(one.stream_->peer(), leg))
            found = &one;
    });
    return found;
}

bool SipTransport::take_datagram(std::uint8_t socket, const SocketAddress& from,
                                 MutableBytes bytes) {
    SipPeer peer{{}, socket, from, nullptr};
    const Admission admission = admit_datagram(peer, {bytes.data(), bytes.size()});
    if (admission == Admission::kDropped) return false;
    sip::Message& message = read_[0].message;
    const sip::Frame frame = sip::read_datagram(bytes, body_bytes_max(), message);
    // SIP-13, RFC 3261 18.2.2: without rport the answer goes to the port that the Via names; that
    // of who is not trusted to where it came from, always.
    if (peer.source != nullptr && message.is_request && !message.via.has_rport &&
        !message.via.text.empty()) {
        const std::uint16_t port = message.via.sent_by.port;
        peer.address = net::with_port(peer.address, port != 0 ? port : kSipPort);
    }
    if (admission == Admission::kOverBudget && frame.kind == sip::FrameKind::kMessage) {
        user_.on_sip_over_budget(message, peer);
        return true;
    }
    switch (frame.kind) {
        case sip::FrameKind::kMessage: {
            const sip::TransactionKey key = user_.on_sip_read(message);
            user_.on_sip_next(message);
            return user_.on_sip_message(message, peer, key);
        }
        case sip::FrameKind::kMalformed: user_.on_sip_malformed(frame, message, peer); return true;
        case sip::FrameKind::kPing: answer(peer, "\r\n"); return true;
        case sip::FrameKind::kPong:
        case sip::FrameKind::kSkipped:
        case sip::FrameKind::kNeedMore: break;
    }
    return true;
}

}  // namespace fedgate::gateway
