#include "bench/load/sip_end.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace fedgate::load {

namespace {

constexpr net::ConnectionLimits kLimits{1 << 20, 16 << 20};
constexpr std::size_t kBodyBytesMax = 65'536;
constexpr std::size_t kPeersMax = 1'000;  // connections
constexpr Duration kT1 = 500ms, kT2 = 4s, kLookEach = 50ms;
constexpr unsigned kResends = 10;  // RFC 3261 17.1.2.2: within 64 T1
constexpr Bytes kBranch = "z9hG4bKload";

}  // namespace

SipEnd::SipEnd(Loop& loop, sip::Transport transport, net::TlsContext* tls, Events events)
    : loop_(loop),
      transport_(transport),
      tls_(transport == sip::Transport::kTls ? tls : nullptr),
      events_(std::move(events)) {
    loop.fill_random({reinterpret_cast<char*>(&run_), sizeof run_});
}

SipEnd::~SipEnd() {
    if (listener_) loop_.close(listener_);
}

Result<void> SipEnd::listen(const SocketAddress& address) {
    if (transport_ == sip::Transport::kUdp) {
        FEDGATE_TRY(socket, loop_.open_datagram(address, *this));
        listener_ = socket;
        return {};
    }
    FEDGATE_TRY(socket, loop_.listen(address, *this));
    listener_ = socket;
    return {};
}

Result<void> SipEnd::connect(const SocketAddress& target, const std::string& server_name) {
    target_ = target;
    if (transport_ == sip::Transport::kUdp) {
        out_ready_ = true;
        return {};
    }
    server_name_ = server_name;
    FEDGATE_TRY(connection, net::Connection::connect(loop_, *this, kLimits, target));
    out_ = connection.get();
    peers_.emplace(out_, Peer{std::move(connection), sip::Framer(kBodyBytesMax)});
    return {};
}

void SipEnd::on_accept(Socket, Socket accepted, const SocketAddress& peer) {
    if (peers_.size() >= kPeersMax) return loop_.close(accepted, nullptr);
    auto connection = std::make_unique<net::Connection>(loop_, *this, kLimits, accepted, peer);
    net::Connection* raw = connection.get();
    peers_.emplace(raw, Peer{std::move(connection), sip::Framer(kBodyBytesMax)});
    if (tls_ != nullptr) raw->start_tls_server(*tls_);
}

void SipEnd::on_open(net::Connection& connection) {
    if (tls_ != nullptr) return connection.start_tls_client(*tls_, server_name_, {});
    out_ready_ = true;
}

void SipEnd::on_secured(net::Connection& connection) {
    if (&connection == out_) out_ready_ = true;
}

std::size_t SipEnd::on_data(net::Connection& connection, MutableBytes input) {
    const auto peer = peers_.find(&connection);
    std::size_t consumed = 0;
    for (;;) {
        const sip::Frame frame = peer->second.framer.next(input.subspan(consumed), message_);
        switch (frame.kind) {
            case sip::FrameKind::kNeedMore: return consumed;
            case sip::FrameKind::kMessage:
                if (!connection.write(answer())) {
                    connection.abort({Errc::kLimit, 0, "target does not read its answers"});
                    return input.size();
                }
                answered();
                break;
            case sip::FrameKind::kPing: static_cast<void>(connection.write("\r\n")); break;
            case sip::FrameKind::kPong:
            case sip::FrameKind::kSkipped: break;
            case sip::FrameKind::kMalformed:
                connection.abort({Errc::kMalformed, 0, frame.reason});
                return input.size();
        }
        consumed += frame.consumed;
    }
}

void SipEnd::on_datagram(Socket, const SocketAddress& from, MutableBytes input) {
    if (sip::read_datagram(input, kBodyBytesMax, message_).kind != sip::FrameKind::kMessage) return;
    const Bytes reply = answer();
    // No room: it is lost, as datagrams are; the target sends its request again.
    if (!reply.empty() && !loop_.send_datagram(listener_, from, reply)) return;
    answered();
}

Bytes SipEnd::answer() {
    if (!message_.is_request) {
        if (message_.status >= 200) on_final();
        return {};
    }
    if (message_.method == sip::Method::kAck) return {};
    std::array<char, 1'024> lines_memory;
    Sink lines(lines_memory);
    Answer answer{.head = {}, .lines = lines, .content_type = {}, .body = {}};
    answer.head.to_tag = kOwnTag;
    if (message_.method != sip::Method::kOptions) events_.on_request(message_, answer);
    Sink sink(answer_);
    sip::write_response_head(sink, message_, answer.head);
    sink.append(lines.written());
    if (answer.content_type.empty()) {
        sip::write_no_body(sink);
    } else {
        sip::write_body(sink, answer.content_type, answer.body);
    }
    return sink.written();
}

void SipEnd::on_final() {
    const Bytes branch = message_.via.branch;
    const std::size_t dot = branch.rfind('.');
    std::uint64_t serial = 0;
    if (dot != Bytes::npos)
        std::from_chars(branch.data() + dot + 1, branch.data() + branch.size(), serial);
    unanswered_.erase(serial);
    events_.on_response(message_);
}

void SipEnd::resend() {
    const Instant now = loop_.now();
    if (unanswered_.empty() || now < looked_ + kLookEach) return;
    looked_ = now;
    for (auto it = unanswered_.begin(); it != unanswered_.end();) {
        Unanswered& open = it->second;
        if (open.next <= now && open.left == 0) {
            it = unanswered_.erase(it);
            continue;
        }
        if (open.next <= now && loop_.send_datagram(listener_, target_, open.request)) {
            --open.left;
            open.wait = std::min(2 * open.wait, kT2);
            open.next = now + open.wait;
        }
        ++it;
    }
}

void SipEnd::answered() {
    const bool asked = message_.is_request && message_.method != sip::Method::kOptions;
    if (asked && events_.on_answered) events_.on_answered(message_);
}

bool SipEnd::send(sip::RequestHead head, Bytes lines, Bytes content_type, Bytes body) {
    if (!out_ready_) return false;
    std::array<char, 8'192> memory;
    Sink sink(memory);
    char branch[64];
    Sink branch_sink(branch);
    branch_sink.append(kBranch);
    branch_sink.append_number(run_);
    branch_sink.append('.');
    branch_sink.append_number(++serial_);
    head.via.transport = transport_;
    head.via.rport = transport_ == sip::Transport::kUdp;
    head.via.host = "load.invalid";
    head.via.port = 5060;
    head.via.branch = branch_sink.written();
    sip::write_request_head(sink, head);
    sink.append(lines);
    if (body.empty()) {
        sip::write_no_body(sink);
    } else {
        sip::write_body(sink, content_type, body);
    }
    if (sink.overflowed()) return false;
    if (transport_ == sip::Transport::kUdp) {
        if (!loop_.send_datagram(listener_, target_, sink.written())) return false;
        unanswered_.insert_or_assign(
            serial_, Unanswered{std::string(sink.written()), loop_.now() + kT1, kT1, kResends});
        return true;
    }
    return out_->write(sink.written());
}

void SipEnd::on_closed(net::Connection& connection, Error why) {
    const bool ours = &connection == out_;
    if (ours) {
        out_ = nullptr;
        out_ready_ = false;
    }
    peers_.erase(&connection);
    if (ours) events_.on_broken(why.where);
}

}  // namespace fedgate::load
