#include "appliance/link/channel.hpp"

#include <algorithm>
#include <utility>

namespace fedgate::link {

namespace {

// What was refused is offered again this soon; for each of so many bytes once more as late, since
// whoever refuses a stanza has read it.
constexpr Duration kOfferFrameAgain = 2ms;
constexpr std::size_t kOfferedBytes = 64 << 10;

std::size_t size_of(const Frame& frame) {
    if (const auto* from = std::get_if<FromPartner>(&frame)) return from->stanza.size();
    if (const auto* to = std::get_if<ToPartner>(&frame)) return to->stanza.size();
    if (const auto* request = std::get_if<Request>(&frame)) return request->bytes.size();
    return 0;
}

Bytes why_of(const Error& reason) {
    switch (reason.code) {
        case Errc::kTimeout: return "nothing came in time";
        case Errc::kLimit: return "the peer does not read";
        case Errc::kClosed: return "closed";
        default: return "the connection broke";
    }
}

}  // namespace

void Channel::dialled(std::unique_ptr<net::Connection> connection) {
    if (session_.state() != Session::State::kDown) return;  // one is enough
    take(std::move(connection));
    session_.open(loop_.now());
    arm();
}

void Channel::answer(std::unique_ptr<net::Connection> connection, const Hello& theirs,
                     const Id& fresh) {
    take(std::move(connection));
    session_.accept(theirs, fresh, loop_.now());
    arm();
}

void Channel::take(std::unique_ptr<net::Connection> connection) {
    connection->set_owner(*this);
    connection_ = std::move(connection);
}

// A new connection has room for all that one session may send at once.
void Channel::on_output(Session&, Bytes bytes) {
    if (connection_ != nullptr && !connection_->write(bytes)) {
        connection_->abort({Errc::kLimit, 0, "link"});
    }
    arm();
}

bool Channel::on_frame(Session&, const Frame& frame) {
    if (owner_.on_frame(*this, frame)) return true;
    offer_at_ = loop_.now() + kOfferFrameAgain * (1 + size_of(frame) / kOfferedBytes);
    return false;
}

void Channel::on_up(Session&, bool resumed) { owner_.on_up(*this, resumed); }

void Channel::on_down(Session&, Bytes why) {
    // With an END on its way it closes in order; a connection that only died has nothing to say.
    if (connection_ != nullptr && !session_.resumable()) {
        parting_ = std::move(connection_);
        parting_->close();
    }
    connection_.reset();
    owner_.on_down(*this, why);
}

void Channel::on_returned(Session&, const Frame& frame, bool maybe_taken) {
    owner_.on_returned(*this, frame, maybe_taken);
}

void Channel::on_over(Session&) { owner_.on_over(*this); }

void Channel::on_room(Session&) { owner_.on_room(*this); }

void Channel::on_drain(Session&) { owner_.on_drain(*this); }

std::size_t Channel::on_data(net::Connection& connection, MutableBytes input) {
    if (&connection != connection_.get()) return input.size();
    const std::size_t done = session_.receive(Bytes(input.data(), input.size()), loop_.now());
    arm();
    return done;
}

void Channel::on_closed(net::Connection& connection, Error reason) {
    if (&connection == parting_.get()) return parting_.reset();
    if (&connection != connection_.get()) return;
    connection_.reset();
    session_.broken(loop_.now());
    arm();
    owner_.on_down(*this, why_of(reason));
}

void Channel::on_timer(Timer&) {
    const Instant now = loop_.now();
    if (now >= offer_at_) {
        offer_at_ = kNever;
        session_.offer(now);
    }
    if (now >= session_.deadline()) session_.on_time(now);
    arm();
}

// Armed for too early is looked at again then: most deadlines move away with each byte that comes.
void Channel::arm() {
    const Instant at = std::min(session_.deadline(), offer_at_);
    if (at == kNever || (timer_.armed() && timer_.deadline() <= at)) return;
    loop_.timers().arm(timer_, at);
}

}  // namespace fedgate::link
