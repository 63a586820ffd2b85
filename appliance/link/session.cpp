#include "appliance/link/session.hpp"

#include <algorithm>
#include <utility>

namespace fedgate::link {

namespace {

// What is kept of memory when nothing is in it.
constexpr std::size_t kIdleBytes = 64 << 10;
// Numbers of pings: whether the peer is there, and whether it knows that it is to send nothing new.
constexpr std::uint64_t kAlivePing = 0;
constexpr std::uint64_t kDrainPing = 1;

void empty(std::string& bytes) {
    bytes.clear();
    if (bytes.capacity() > kIdleBytes) std::string().swap(bytes);
}

// Each byte is moved once at most: at least as many have gone as are moved.
void close_gap(std::string& bytes, std::size_t& front) {
    if (front == bytes.size()) {
        empty(bytes);
        front = 0;
    } else if (front > kIdleBytes && front >= bytes.size() - front) {
        bytes.erase(0, front);
        front = 0;
    }
}

}  // namespace

void Session::Out::drop_until(std::uint64_t count) {
    for (; acknowledged < count; ++acknowledged) front += frame_size(Bytes(bytes).substr(front));
    close_gap(bytes, front);
}

std::optional<End> Session::fault_of(const Hello& hello, Role own) {
    if (hello.major != kLinkMajor) {
        return End{EndCode::kVersion, "another major version of the link is spoken here"};
    }
    if (hello.role == own) {
        return End{EndCode::kRefused, "a link is between an edge and a gateway"};
    }
    return {};
}

void Session::open(Instant now) {
    FEDGATE_CHECK(state_ == State::kDown);
    state_ = State::kGreeting;
    hello_until_ = now + kHelloWithin;
    tell(Hello{kLinkMajor, kLinkMinor, self_.role, self_.part, self_.instance, session_, taken_,
               self_.window, self_.node});
}

void Session::accept(const Hello& theirs, const Id& fresh, Instant now) {
    leave_connection();
    const bool resumed = resumable() && theirs.session == session_;
    if (!resumed) {
        give_back(true);
        session_ = fresh;
    }
    peer_ = {theirs.minor, theirs.part, theirs.instance, std::string(theirs.node)};
    window_ = std::min(self_.window, theirs.window);
    state_ = State::kGreeting;
    if (resumed && !can_have(theirs.taken)) {
        return end(EndCode::kCount, "acknowledges what was never sent");
    }
    tell(Hello{kLinkMajor, kLinkMinor, self_.role, self_.part, self_.instance, session_, taken_,
               self_.window, self_.node});
    if (resumed) acknowledge(theirs.taken);
    go_up(resumed, now);
}

void Session::on_hello(const Hello& theirs, Instant now) {
    if (const auto fault = fault_of(theirs, self_.role)) return end(fault->code, fault->sentence);
    peer_ = {theirs.minor, theirs.part, theirs.instance, std::string(theirs.node)};
    window_ = std::min(self_.window, theirs.window);
    const bool resumed = resumable() && theirs.session == session_;
    if (theirs.session == Id{}) return end(EndCode::kMalformed, "the session has no name");
    if (!resumed) {
        give_back(true);
        session_ = theirs.session;
    }
    if (!can_have(theirs.taken)) return end(EndCode::kCount, "acknowledges what was never sent");
    acknowledge(theirs.taken);
    go_up(resumed, now);
}

void Session::go_up(bool resumed, Instant now) {
    state_ = State::kUp;
    hello_until_ = kNever;
    resume_until_ = kNever;
    heard_at_ = now;
    if (draining_) tell_drain();
    for (const Out& out : out_) {
        if (out.unacknowledged() > 0) owner_.on_output(*this, Bytes(out.bytes).substr(out.front));
    }
    owner_.on_up(*this, resumed);
    if (std::exchange(refused_, false)) owner_.on_room(*this);
}

std::size_t Session::receive(Bytes input, Instant now) {
    heard_at_ = now;
    pinged_ = false;
    std::size_t done = 0;
    while (state_ != State::kDown) {
        const FrameRead read = read_frame(input.substr(done), peer_.minor);
        if (read.status == FrameRead::Status::kPartial) return done;
        if (read.status == FrameRead::Status::kMalformed) {
            end(EndCode::kMalformed, "a frame " + std::string(read.fault));
            break;
        }
        take(read, input.substr(done, read.size), now);
        done += read.size;
    }
    return input.size();
}

void Session::take(const FrameRead& read, Bytes raw, Instant now) {
    if (const auto* last = std::get_if<End>(&read.frame)) {
        // Before both are up nothing tells what it has of an earlier connection.
        return go_down(state_ == State::kGreeting,
                       last->sentence.empty() ? "the peer has ended it" : last->sentence);
    }
    if (!belongs_here(read.frame)) {
        return end(EndCode::kMalformed, "a frame does not belong here");
    }
    if (read.numbered) return take_numbered(read, raw, now);
    if (const auto* hello = std::get_if<Hello>(&read.frame)) {
        on_hello(*hello, now);
    } else if (const auto* ack = std::get_if<Ack>(&read.frame)) {
        if (!can_have(ack->taken)) return end(EndCode::kCount, "acknowledges what was never sent");
        acknowledge(ack->taken);
    } else if (const auto* ping = std::get_if<Ping>(&read.frame)) {
        tell(Pong{ping->number});
    } else if (const auto* pong = std::get_if<Pong>(&read.frame)) {
        if (pong->number == kDrainPing) drain_heard_ = draining_;
    } else if (std::holds_alternative<Drain>(read.frame)) {
        peer_.draining = true;
        owner_.on_drain(*this);
    }
}

bool Session::belongs_here(const Frame& frame) const {
    if (state_ == State::kGreeting) return std::holds_alternative<Hello>(frame);
    if (std::holds_alternative<Hello>(frame)) return false;
    if (std::holds_alternative<ToPartner>(frame)) return self_.role == Role::kEdge;
    const bool edges =
        std::holds_alternative<Outcome>(frame) || std::holds_alternative<PartnerNews>(frame) ||
        std::holds_alternative<GatewayNews>(frame) || std::holds_alternative<FromPartner>(frame);
    return !edges || self_.role == Role::kGateway;
}

void Session::take_numbered(const FrameRead& read, Bytes raw, Instant now) {
    const bool known = !std::holds_alternative<Unknown>(read.frame);
    if (read.lane == Lane::kNews) {
        if (known) static_cast<void>(owner_.on_frame(*this, read.frame));
        return count_taken(read.lane, raw.size(), now);
    }
    const std::size_t waiting = waiting_.size() - waiting_front_;
    if (waiting == 0 && (!known || owner_.on_frame(*this, read.frame))) {
        return count_taken(read.lane, raw.size(), now);
    }
    // Whoever keeps to our window has no more than that on the way to us.
    if (waiting > 0 && waiting + raw.size() > self_.window) {
        return end(EndCode::kWindow, "more is sent than may be unacknowledged");
    }
    waiting_.append(raw);
}

void Session::offer(Instant now) {
    while (state_ == State::kUp && waiting_front_ < waiting_.size()) {
        const FrameRead read = read_frame(Bytes(waiting_).substr(waiting_front_), peer_.minor);
        const bool known = !std::holds_alternative<Unknown>(read.frame);
        if (known && !owner_.on_frame(*this, read.frame)) return;
        waiting_front_ += read.size;
        count_taken(Lane::kStanzas, read.size, now);
        close_gap(waiting_, waiting_front_);
    }
}

void Session::count_taken(Lane lane, std::size_t bytes, Instant now) {
    ++taken_[index_of(lane)];
    ++untold_frames_;
    untold_bytes_ += bytes;
    const std::size_t bytes_max = std::min<std::size_t>(limits::kLinkAckBytes, self_.window / 8);
    if (untold_frames_ >= limits::kLinkAckFrames || untold_bytes_ >= bytes_max) {
        send_ack();
    } else if (ack_at_ == kNever) {
        ack_at_ = now + kAckWithin;
    }
}

void Session::send_ack() {
    untold_frames_ = 0;
    untold_bytes_ = 0;
    ack_at_ = kNever;
    tell(Ack{taken_});
}

bool Session::can_have(const Counts& taken) const {
    for (std::size_t i = 0; i < kLanes; ++i) {
        if (taken[i] < out_[i].acknowledged || taken[i] > out_[i].sent) return false;
    }
    return true;
}

void Session::acknowledge(const Counts& taken) {
    bool room = true;
    for (std::size_t i = 0; i < kLanes; ++i) {
        out_[i].drop_until(taken[i]);
        room = room && out_[i].unacknowledged() <= window_ / 2;
    }
    if (room && state_ == State::kUp && std::exchange(refused_, false)) owner_.on_room(*this);
}

template <typename T>
bool Session::put(Lane lane, const T& frame) {
    Out& out = out_[index_of(lane)];
    const std::size_t before = out.bytes.size();
    const bool alone = out.unacknowledged() == 0;
    if (state_ != State::kUp || (!alone && out.unacknowledged() >= window_)) {
        refused_ = true;
        return false;
    }
    write_frame(out.bytes, frame);
    if (!alone && out.unacknowledged() > window_) {
        out.bytes.resize(before);
        refused_ = true;
        return false;
    }
    ++out.sent;
    owner_.on_output(*this, Bytes(out.bytes).substr(before));
    return true;
}

bool Session::send(const Outcome& outcome) { return put(Lane::kNews, outcome); }
bool Session::send(const PartnerNews& news) { return put(Lane::kNews, news); }
bool Session::send(const FromPartner& from) { return put(Lane::kStanzas, from); }
bool Session::send(const ToPartner& to) { return put(Lane::kStanzas, to); }
// Half of it would be worse than none.
bool Session::send(const Answer& answer) {
    const bool whole = answer.body.empty() || peer_.minor >= kBodyMinor;
    return put(Lane::kNews, whole ? answer : busy(answer.ticket));
}
bool Session::send(const GatewayNews& news) { return put(Lane::kNews, news); }
bool Session::send(const NodeNews& news) { return put(Lane::kNews, news); }
bool Session::send(const CommitPiece& piece) { return put(Lane::kNews, piece); }
bool Session::send(const DialbackSecret& secret) { return put(Lane::kNews, secret); }
bool Session::send(const StoreNews& news) { return put(Lane::kNews, news); }
bool Session::send(const Request& request) { return put(Lane::kStanzas, request); }

template <typename T>
void Session::tell(const T& frame) {
    std::string bytes;
    write_frame(bytes, frame);
    owner_.on_output(*this, bytes);
}

void Session::drain() {
    draining_ = true;
    if (state_ == State::kUp) tell_drain();
}

// The answer to the ping comes behind all that was sent before.
void Session::tell_drain() {
    tell(Drain{});
    tell(Ping{kDrainPing});
}

bool Session::quiet() const {
    return state_ != State::kUp || (drain_heard_ && waiting_front_ == waiting_.size());
}

// What was refused, and so not taken, comes again with the next connection.
void Session::leave_connection() {
    state_ = State::kDown;
    empty(waiting_);
    waiting_front_ = 0;
    untold_frames_ = 0;
    untold_bytes_ = 0;
    pinged_ = false;
    ack_at_ = kNever;
    hello_until_ = kNever;
    peer_.draining = false;
    drain_heard_ = false;
}

void Session::broken(Instant now) {
    if (state_ == State::kDown) return;
    if (state_ == State::kUp) resume_until_ = now + kResumeWithin;
    leave_connection();
}

void Session::give_up() {
    if (state_ == State::kDown) give_back(true);
}

void Session::end(EndCode code, Bytes sentence) {
    if (state_ == State::kUp) send_ack();
    if (state_ != State::kDown) tell(End{code, sentence});
    go_down(true, sentence);
}

void Session::go_down(bool maybe_taken, Bytes why) {
    const bool connected = state_ != State::kDown;
    leave_connection();
    give_back(maybe_taken);
    if (connected) owner_.on_down(*this, why);
}

void Session::give_back(bool maybe_taken) {
    if (!resumable()) return;
    session_ = {};
    resume_until_ = kNever;
    taken_ = {};
    for (Out& out : out_) {
        const Out gone = std::exchange(out, Out());
        for (Bytes rest = Bytes(gone.bytes).substr(gone.front); !rest.empty();) {
            const FrameRead read = read_frame(rest, kLinkMinor);
            owner_.on_returned(*this, read.frame, maybe_taken);
            rest.remove_prefix(read.size);
        }
    }
    owner_.on_over(*this);
}

void Session::on_time(Instant now) {
    switch (state_) {
        case State::kDown:
            if (now >= resume_until_) give_back(true);
            return;
        case State::kGreeting:
            if (now < hello_until_) return;
            broken(now);
            return owner_.on_down(*this, "no HELLO has come");
        case State::kUp:
            if (now >= heard_at_ + kDeadAfter) {
                broken(now);
                return owner_.on_down(*this, "nothing was heard");
            }
            if (now >= ack_at_) send_ack();
            if (!pinged_ && now >= ping_at()) {
                pinged_ = true;
                tell(Ping{kAlivePing});
            }
            return;
    }
}

Instant Session::ping_at() const {
    const bool owed =
        std::ranges::any_of(out_, [](const Out& out) { return out.unacknowledged() > 0; });
    return heard_at_ + (owed ? kPingSoonAfter : kPingAfter);
}

Instant Session::deadline() const {
    switch (state_) {
        case State::kDown: return resume_until_;
        case State::kGreeting: return hello_until_;
        case State::kUp: return std::min(ack_at_, pinged_ ? heard_at_ + kDeadAfter : ping_at());
    }
    return kNever;
}

bool Session::settled() const {
    return waiting_front_ == waiting_.size() &&
           std::ranges::all_of(out_, [](const Out& out) { return out.unacknowledged() == 0; });
}

std::size_t Session::memory() const {
    std::size_t bytes = waiting_.capacity();
    for (const Out& out : out_) bytes += out.bytes.capacity();
    return bytes;
}

}  // namespace fedgate::link
