#include "net/connection.hpp"

#include <cerrno>

#include "net/buffer.hpp"
#include "net/tls.hpp"

namespace fedgate::net {
namespace {

constexpr Duration kFlushTime = 5s;        // close(): for what was written
constexpr Duration kFinTime = 5s;          // close(): for the peer's FIN
constexpr Duration kIdleTime = 10s;        // then buffers are given back
constexpr std::size_t kReadBytes = 4'096;  // room for one call of the TLS reader, at least
constexpr std::size_t kShowBytes =
    32'768;  // decrypted bytes that are collected before they are shown
constexpr std::size_t kSendBytes = 262'144;  // one send; a long queue so shows progress (S2S-66)

Error error_of(int system, const char* where) {
    switch (system) {
        case ECONNREFUSED: return {Errc::kRefused, system, where};
        case ETIMEDOUT: return {Errc::kTimeout, system, where};
        case ECONNRESET:
        case EPIPE:
        case ECONNABORTED: return {Errc::kReset, system, where};
        default: return {Errc::kSystem, system, where};
    }
}

}  // namespace

// Output: write() fills `plain_` (TLS) or `wire_`; at the end of the turn plain_ is encrypted
// behind wire_, and wire_ and `sending_` change places. So one buffer fills while the other is in
// the kernel.
class Connection::Core final : public SocketOwner,
                               public TimerOwner,
                               public TurnTask,
                               public SocketRemains {
public:
    Core(Loop& loop, Connection& handle, ConnectionOwner& owner, ConnectionLimits limits)
        : loop_(loop),
          handle_(&handle),
          owner_(&owner),
          limits_(limits),
          timer_(*this),
          last_received_(loop.now()),
          last_progress_(loop.now()) {}
    Core(Loop& loop, ConnectionOwner& owner, ConnectionLimits limits)
        : loop_(loop),
          owner_(&owner),
          limits_(limits),
          timer_(*this),
          last_received_(loop.now()),
          last_progress_(loop.now()) {}

    enum class State : std::uint8_t {
        kConnecting,
        kOpen,
        kFlushing,  // closing: what was written is on its way
        kShut,      // our FIN is sent, the peer's is awaited
        kDead,      // the loop is closing the socket
    };

    void adopt(Socket socket, const SocketAddress& peer);
    void detach();

    bool write(Bytes bytes, std::size_t keep_free);
    [[nodiscard]] std::size_t unsent() const {
        return plain_.size() + wire_.size() + sending_.size();
    }
    void start_tls(std::unique_ptr<TlsSession> session);
    void pause();
    void resume();
    void close(Error reason, bool say_goodbye);
    void abort(Error reason);

    // SocketOwner
    void on_connect(Socket, int error) override;
    void on_receive(Socket, MutableBytes bytes) override;
    void on_sent(Socket, int error) override;
    void on_end(Socket, int error) override;
    void on_closed(Socket) override;
    // TimerOwner, TurnTask
    void on_timer(Timer&) override;
    void on_turn_end() override;

    Loop& loop_;
    Connection* handle_ = nullptr;  // null: the Connection is gone, only the socket is left
    ConnectionOwner* owner_;
    ConnectionLimits limits_;
    Socket socket_{};
    SocketAddress peer_address_{};
    std::unique_ptr<TlsSession> tls_;
    bool secured_ = false;
    State state_ = State::kConnecting;
    Timer timer_;
    Instant last_received_;
    Instant last_progress_;

private:
    [[nodiscard]] bool is_gone() const { return handle_ == nullptr || state_ != State::kOpen; }
    void schedule();
    void touch();
    bool show(MutableBytes bytes, std::size_t& consumed);
    void show_kept();
    void receive_plain(MutableBytes bytes);
    void receive_cipher(Bytes& cipher);
    bool shake_hands(Bytes& cipher);
    void show_again();
    void flush();
    void go_on_closing();
    void stop();
    void die();

    Buffer input_;    // plain, not yet consumed
    Buffer cipher_;   // received while paused
    Buffer plain_;    // to be encrypted
    Buffer wire_;     // to be sent
    Buffer sending_;  // with the kernel while in_flight_
    std::size_t in_flight_bytes_ = 0;
    Error reason_{Errc::kClosed, 0, "closed"};
    bool in_flight_ = false;
    bool scheduled_ = false;
    bool active_ = false;   // since the idle timer looked
    bool refused_ = false;  // a write(): on_writable() is owed
    bool paused_ = false;
    bool show_again_ = false;  // after resume()
    bool ended_ = false;       // the peer's FIN has come
    bool goodbye_ = false;     // close_notify is to be sent
    bool finished_ = false;    // the loop has let go
    bool finishing_ = false;   // on_closed() is on the stack
};

void Connection::Core::adopt(Socket socket, const SocketAddress& peer) {
    socket_ = socket;
    peer_address_ = peer;
    state_ = State::kOpen;
    loop_.adopt(socket, *this);
}

void Connection::Core::detach() {
    handle_ = nullptr;
    owner_ = nullptr;
    if (finished_) {
        if (!finishing_) delete this;
        return;
    }
    stop();
    loop_.close(socket_, std::unique_ptr<SocketRemains>(this));
}

void Connection::Core::schedule() {
    if (scheduled_ || state_ == State::kDead) return;
    scheduled_ = true;
    loop_.at_turn_end(*this);
}

void Connection::Core::touch() {
    active_ = true;
    if (!timer_.armed() && state_ == State::kOpen)
        loop_.timers().arm(timer_, loop_.now() + kIdleTime);
}

bool Connection::Core::write(Bytes bytes, std::size_t keep_free) {
    if (state_ != State::kOpen && state_ != State::kConnecting) return false;
    const std::size_t queued = unsent();
    const std::size_t taken = queued + keep_free;
    if (bytes.size() > limits_.unsent_bytes_max - std::min(taken, limits_.unsent_bytes_max)) {
        refused_ = true;
        return false;
    }
    if (queued == 0) last_progress_ = loop_.now();
    (tls_ ? plain_ : wire_).append(bytes);
    touch();
    schedule();
    return true;
}

void Connection::Core::start_tls(std::unique_ptr<TlsSession> session) {
    if (state_ != State::kOpen) return;
    FEDGATE_CHECK(!tls_);
    tls_ = std::move(session);
    input_.clear();  // S2S-12: what came before is never fed to TLS
    Bytes nothing;
    shake_hands(nothing);
}

void Connection::Core::pause() {
    if (paused_) return;
    paused_ = true;
    if (state_ == State::kOpen) loop_.pause_receive(socket_);
}

void Connection::Core::resume() {
    if (!paused_) return;
    paused_ = false;
    show_again_ = true;  // and only then receive again, in order
    schedule();
}

// Ends in order: queue, close_notify if wanted, FIN, the peer's FIN.
void Connection::Core::close(Error reason, bool say_goodbye) {
    if (state_ == State::kConnecting) return abort(reason);
    if (state_ != State::kOpen) return;
    reason_ = reason;
    goodbye_ = say_goodbye && secured_;
    state_ = State::kFlushing;
    if (paused_)
        loop_.resume_receive(socket_);  // the peer's FIN is to be seen; its bytes are dropped
    paused_ = false;
    loop_.timers().arm(timer_, loop_.now() + kFlushTime);
    schedule();
}

void Connection::Core::abort(Error reason) {
    if (state_ == State::kDead) return;
    reason_ = reason;
    die();
}

void Connection::Core::stop() {
    state_ = State::kDead;
    timer_.cancel();
    if (scheduled_) loop_.cancel_turn_task(*this);
    scheduled_ = false;
}

void Connection::Core::die() {
    stop();
    loop_.close(socket_);
}

void Connection::Core::on_connect(Socket, int error) {
    if (state_ != State::kConnecting) return;
    if (error != 0) return abort(error_of(error, "connect"));
    state_ = State::kOpen;
    last_received_ = last_progress_ = loop_.now();
    if (paused_) loop_.pause_receive(socket_);
    if (unsent() > 0) schedule();
    owner_->on_open(*handle_);
}

// Returns false when nothing may be shown any more, or TLS has begun meanwhile.
bool Connection::Core::show(MutableBytes bytes, std::size_t& consumed) {
    const TlsSession* before = tls_.get();
    consumed = owner_->on_data(*handle_, bytes);
    FEDGATE_CHECK(consumed <= bytes.size());
    return !is_gone() && tls_.get() == before;
}

void Connection::Core::show_kept() {
    if (input_.empty()) return;
    std::size_t consumed = 0;
    if (!show(input_.bytes_mutable(), consumed)) return;
    input_.consume(consumed);
    if (!paused_ && input_.size() > limits_.input_bytes_max) {
        close({Errc::kLimit, 0, "input buffer"}, true);
    }
}

void Connection::Core::on_receive(Socket, MutableBytes bytes) {
    last_received_ = loop_.now();
    if (is_gone()) return;
    touch();
    if (!tls_) return receive_plain(bytes);
    Bytes cipher(bytes.data(), bytes.size());
    if (!cipher_.empty() || paused_) {  // in order behind what waits
        cipher_.append(cipher);
        return;
    }
    receive_cipher(cipher);
    if (!is_gone() && !cipher.empty()) cipher_.append(cipher);
}

void Connection::Core::receive_plain(MutableBytes bytes) {
    if (paused_ || !input_.empty()) {
        input_.append({bytes.data(), bytes.size()});
        if (!paused_) show_kept();
        return;
    }
    std::size_t consumed = 0;
    if (!show(bytes, consumed)) return;
    const MutableBytes rest = bytes.subspan(consumed);
    if (!paused_ && rest.size() > limits_.input_bytes_max) {
        return close({Errc::kLimit, 0, "input buffer"}, true);
    }
    input_.append({rest.data(), rest.size()});
}

// False: no application bytes yet, or never.
bool Connection::Core::shake_hands(Bytes& cipher) {
    const auto outcome = tls_->handshake(cipher, wire_);
    if (!wire_.empty()) schedule();
    if (outcome == TlsSession::Outcome::kNeedInput) return false;
    if (outcome != TlsSession::Outcome::kDone) {
        close(tls_->error(), false);  // the alert goes out first
        return false;
    }
    secured_ = true;
    if (!plain_.empty()) schedule();
    owner_->on_secured(*handle_);
    return !is_gone();
}

// Decrypts into the input buffer and shows. Leaves what it may not handle yet in `cipher`.
void Connection::Core::receive_cipher(Bytes& cipher) {
    if (!secured_ && !shake_hands(cipher)) return;
    bool new_bytes = false;
    while (!paused_) {
        std::size_t got = 0;
        const auto outcome = tls_->read(cipher, input_.room(kReadBytes), got, wire_);
        input_.added(got);
        new_bytes = new_bytes || got > 0;
        const bool more = outcome == TlsSession::Outcome::kDone;
        if (new_bytes && (!more || input_.size() >= kShowBytes)) {
            new_bytes = false;
            show_kept();
            if (is_gone()) return;
        }
        if (more) continue;
        if (!wire_.empty()) schedule();
        if (outcome == TlsSession::Outcome::kClosed)
            close({Errc::kClosed, 0, "the peer closed"}, true);
        if (outcome == TlsSession::Outcome::kFailed) close(tls_->error(), false);
        return;
    }
}

// After resume(): what was kept back, then the socket again.
void Connection::Core::show_again() {
    show_again_ = false;
    if (paused_ || is_gone()) return;
    show_kept();
    if (tls_ && !paused_ && !is_gone()) {
        Bytes cipher = cipher_.bytes();
        const std::size_t before = cipher.size();
        receive_cipher(cipher);
        cipher_.consume(before - cipher.size());
    }
    if (paused_ || is_gone()) return;
    if (ended_) return close({Errc::kClosed, 0, "the peer closed"}, true);
    loop_.resume_receive(socket_);
}

void Connection::Core::flush() {
    if (in_flight_ || state_ == State::kConnecting || state_ == State::kDead) return;
    if (secured_ && !plain_.empty()) {
        const bool good = tls_->write(plain_.bytes(), wire_);
        plain_.clear();
        if (!good) return abort(tls_->error());
    }
    if (sending_.empty()) sending_.swap(wire_);
    if (sending_.empty()) return go_on_closing();
    const Bytes next = sending_.bytes().substr(0, kSendBytes);
    in_flight_bytes_ = next.size();
    in_flight_ = true;
    loop_.send(socket_, next);
}

// All is sent: the next step of close(), if it was asked for.
void Connection::Core::go_on_closing() {
    if (state_ != State::kFlushing) return;
    if (goodbye_) {
        goodbye_ = false;
        tls_->close(wire_);
        if (!wire_.empty()) return flush();
    }
    if (ended_) return die();
    state_ = State::kShut;
    loop_.shutdown_send(socket_);
    loop_.timers().arm(timer_, loop_.now() + kFinTime);
}

void Connection::Core::on_sent(Socket, int error) {
    in_flight_ = false;
    if (state_ == State::kDead) return;
    if (error != 0) return abort(error_of(error, "send"));
    last_progress_ = loop_.now();
    sending_.consume(in_flight_bytes_);
    if (!sending_.empty() || !wire_.empty() || !plain_.empty() || state_ == State::kFlushing)
        schedule();
    if (!refused_ || is_gone() || unsent() > limits_.unsent_bytes_max / 2) return;
    refused_ = false;
    owner_->on_writable(*handle_);
}

void Connection::Core::on_end(Socket, int error) {
    if (state_ == State::kDead) return;
    if (error != 0) return abort(error_of(error, "receive"));
    ended_ = true;
    if (state_ == State::kShut) return die();
    if (paused_ || show_again_) return;  // show_again() goes on
    close({Errc::kClosed, 0, "the peer closed"}, true);
}

void Connection::Core::on_closed(Socket) {
    finished_ = true;
    finishing_ = true;
    owner_->on_closed(*handle_, reason_);
    finishing_ = false;
    if (handle_ == nullptr) delete this;
}

void Connection::Core::on_timer(Timer&) {
    if (state_ != State::kOpen) return die();
    if (active_ || in_flight_ || unsent() > 0) {
        active_ = false;
        return loop_.timers().arm(timer_, loop_.now() + kIdleTime);
    }
    for (Buffer* buffer : {&input_, &cipher_, &plain_, &wire_, &sending_}) {
        if (buffer->empty()) buffer->release();
    }
}

void Connection::Core::on_turn_end() {
    scheduled_ = false;
    if (show_again_) show_again();
    flush();
}

Connection::Connection(Loop& loop, ConnectionOwner& owner, ConnectionLimits limits, Socket accepted,
                       const SocketAddress& peer)
    : core_(new Core(loop, *this, owner, limits)) {
    core_->adopt(accepted, peer);
}

Result<std::unique_ptr<Connection>> Connection::connect(Loop& loop, ConnectionOwner& owner,
                                                        ConnectionLimits limits,
                                                        const SocketAddress& to) {
    auto core = std::make_unique<Core>(loop, owner, limits);
    FEDGATE_TRY(socket, loop.connect(to, *core));
    core->socket_ = socket;
    core->peer_address_ = to;
    std::unique_ptr<Connection> connection(new Connection(*core.release()));
    connection->core_->handle_ = connection.get();
    return connection;
}

Connection::~Connection() { core_->detach(); }

void Connection::set_owner(ConnectionOwner& owner) { core_->owner_ = &owner; }
bool Connection::write(Bytes bytes, std::size_t keep_free) {
    return core_->write(bytes, keep_free);
}
std::size_t Connection::unsent_bytes() const { return core_->unsent(); }
bool Connection::is_going() const {
    return core_->state_ != Core::State::kConnecting && core_->state_ != Core::State::kOpen;
}

void Connection::start_tls_client(TlsContext& context, const std::string& server_name, Bytes alpn,
                                  DaneQuestion dane, TlsFloor floor) {
    core_->start_tls(TlsSession::client(context, server_name, alpn, core_->loop_.wall_now(),
                                        std::move(dane), floor));
}
void Connection::start_tls_server(TlsContext& context, Bytes alpn, TlsFloor floor) {
    core_->start_tls(TlsSession::server(context, alpn, core_->loop_.wall_now(), floor));
}
bool Connection::secured() const { return core_->secured_; }
const PeerIdentity& Connection::peer() const {
    static const PeerIdentity kNobody;
    return core_->tls_ ? core_->tls_->peer() : kNobody;
}
void Connection::judge_with(const PeerTerms& terms) {
    if (core_->tls_) core_->tls_->judge_with(terms, core_->loop_.wall_now());
}
bool Connection::tls_modern() const { return !core_->tls_ || core_->tls_->modern(); }
const char* Connection::tls_version() const { return core_->tls_ ? core_->tls_->version() : ""; }
const char* Connection::tls_cipher() const { return core_->tls_ ? core_->tls_->cipher() : ""; }
Bytes Connection::tls_alpn() const { return core_->tls_ ? core_->tls_->alpn() : Bytes(); }

void Connection::pause_input() { core_->pause(); }
void Connection::resume_input() { core_->resume(); }
void Connection::close() { core_->close({Errc::kClosed, 0, "closed"}, true); }
void Connection::abort(Error reason) { core_->abort(reason); }

const SocketAddress& Connection::peer_address() const { return core_->peer_address_; }
SocketAddress Connection::local_address() const {
    return core_->state_ == Core::State::kDead ? SocketAddress{}
                                               : core_->loop_.local_address(core_->socket_);
}
Instant Connection::last_received() const { return core_->last_received_; }
Instant Connection::last_progress() const { return core_->last_progress_; }

}  // namespace fedgate::net
