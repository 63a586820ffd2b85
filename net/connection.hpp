// One stream connection: TCP, with TLS from the start or from any later byte on, or without.
// The owner sees plain text only. Output written during a turn leaves in as few sends as possible
// at its end. Owner: whoever made it. Thread: the shard's.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/peer_identity.hpp"
#include "core/run/loop.hpp"
#include "net/tls.hpp"

namespace fedgate::net {

class Connection;
struct PeerTerms;  // net/certificate.hpp

class ConnectionOwner {
public:
    // An outgoing connection stands (TCP).
    virtual void on_open(Connection&) {}
    // The TLS handshake is done; Connection::peer() tells who is there. A certificate that can't be
    // verified does not fail the handshake: the owner decides by peer().
    virtual void on_secured(Connection&) {}
    // Everything received and not yet consumed, contiguous. Returns how many bytes at the front are
    // done with; the rest is shown again, with more behind it. The view is valid for the call only.
    virtual std::size_t on_data(Connection&, MutableBytes input) = 0;
    // The send queue has fallen below half after a write() was refused.
    virtual void on_writable(Connection&) {}
    // It is over (closed by either side, broken, or TLS failed). Last call; the object may be
    // destroyed from here on, also from within this call.
    virtual void on_closed(Connection&, Error reason) = 0;

protected:
    ~ConnectionOwner() = default;
};

struct ConnectionLimits {
    std::size_t input_bytes_max;  // unconsumed input; a full buffer that the owner does not consume
                                  // closes with kLimit
    std::size_t unsent_bytes_max;  // write() refuses above
};

class Connection final {
public:
    // Takes over an accepted socket.
    Connection(Loop&, ConnectionOwner&, ConnectionLimits, Socket accepted,
               const SocketAddress& peer);
    // Connects. on_open() or on_closed() follows.
    static Result<std::unique_ptr<Connection>> connect(Loop&, ConnectionOwner&, ConnectionLimits,
                                                       const SocketAddress& to);
    // If the socket is still open it is closed in the background, unsent bytes are dropped; no
    // callback follows. Allowed from within any callback.
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Hands all further callbacks to another owner.
    void set_owner(ConnectionOwner&);

    // Appends to the send queue. False: nothing was taken, because the queue is full (on_writable()
    // will come) or the connection is closing (on_closed() will come). `keep_free`: bytes that it
    // leaves for others, less than half of the queue.
    [[nodiscard]] bool write(Bytes, std::size_t keep_free = 0);
    [[nodiscard]] std::size_t unsent_bytes() const;
    // It takes nothing more and shows nothing more, whoever ends it: on_closed() will come.
    [[nodiscard]] bool is_going() const;

    // From the next byte on, both ways. `server_name` is the SNI to send (client) and, on the
    // server side, ignored (the client's SNI picks the certificate). Anything received before and
    // not yet consumed is the owner's to judge (S2S-12): it is not fed to TLS. `dane`: CERT-8.
    void start_tls_client(TlsContext&, const std::string& server_name, Bytes alpn,
                          DaneQuestion dane = {}, TlsFloor = TlsFloor::kModern);
    void start_tls_server(TlsContext&, Bytes alpn = {}, TlsFloor = TlsFloor::kModern);
    [[nodiscard]] bool secured() const;
    [[nodiscard]] const PeerIdentity& peer() const;
    void judge_with(const PeerTerms&);              // TlsSession::judge_with()
    [[nodiscard]] const char* tls_version() const;  // "TLSv1.3", or "" without TLS
    [[nodiscard]] const char* tls_cipher() const;
    [[nodiscard]] bool tls_modern() const;  // TlsSession::modern(); no TLS: true
    [[nodiscard]] Bytes tls_alpn() const;   // what was agreed, or empty

    void pause_input();  // back-pressure; already received bytes may still be shown once
    void resume_input();
    // Input that comes after this is dropped.
    // Flushes what was written (at most 5 s), then TLS close_notify, FIN; waits for the peer's FIN
    // (at most 5 s); on_closed() follows.
    void close();
    // Now; unsent bytes are dropped; on_closed() follows from the loop, not from within this call.
    void abort(Error reason);

    [[nodiscard]] const SocketAddress& peer_address() const;
    [[nodiscard]] SocketAddress local_address() const;
    // When bytes last came in, and when unsent bytes last made progress (S2S-66).
    [[nodiscard]] Instant last_received() const;
    [[nodiscard]] Instant last_progress() const;

private:
    // Lives until the loop has let go of the socket, which may be after the Connection.
    class Core;
    explicit Connection(Core& core) : core_(&core) {}
    Core* core_;
};

}  // namespace fedgate::net
