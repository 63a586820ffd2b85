#include "appliance/link/client.hpp"

#include <algorithm>
#include <utility>

#include "appliance/link/peer.hpp"
#include "net/address.hpp"
#include "net/dialer.hpp"

namespace fedgate::link {

namespace {

// An edge that is away is tried again after the first of these, then twice that, up to the last.
constexpr Duration kRedialFirst = 50ms;
constexpr Duration kRedialMax = 2s;
// What waits to be sent again is looked at this often.
constexpr Duration kAgain = 20ms;
// From the connection to the end of the handshake.
constexpr Duration kHandshakeWithin = 3s;

}  // namespace

// The link to one edge, and the way to it.
struct Client::Link final : net::DialerOwner, net::ConnectionOwner, TimerOwner {
    Link(Client& c, const ClientSettings::Edge& e)
        : client(c),
          edge(e),
          dialer(c.shard_.loop(), c.resolver_, *this),
          timer(*this),
          channel(c.shard_.loop(), c,
                  {Role::kGateway, c.settings_.node, c.settings_.instance,
                   static_cast<std::uint16_t>(c.shard_.index())}) {}

    void dial() {
        dialer.start(
            net::Lookup::fixed(edge.host, edge.port, net::Transport::kTcp, {.allow_literal = true}),
            *this, kLinkConnection);
    }
    void dial_later() {
        client.shard_.loop().timers().arm(timer, client.shard_.loop().now() + pause);
        pause = std::min(2 * pause, kRedialMax);
    }
    void on_dialed(net::Dialer&, std::unique_ptr<net::Connection> dialed,
                   const net::Target&) override {
        dialer.succeeded();
        connection = std::move(dialed);
        connection->start_tls_client(client.tls_, edge.host, kLinkAlpn);
        client.shard_.loop().timers().arm(timer, client.shard_.loop().now() + kHandshakeWithin);
    }
    void on_dial_failed(net::Dialer&, net::DialFault, Error, Instant) override {
        tell_down("can't be reached");
        dial_later();
    }
    void on_secured(net::Connection& secured) override {
        const Known known = identify(secured, {&edge.host, 1});
        if (known.name.empty()) {
            tell_down(known.fault);
            connection.reset();
            return dial_later();
        }
        timer.cancel();
        channel.dialled(std::move(connection));
    }
    std::size_t on_data(net::Connection&, MutableBytes) override { return 0; }
    void on_closed(net::Connection&, Error) override {
        tell_down("the connection broke");
        connection.reset();
        dial_later();
    }
    void on_timer(Timer&) override {
        if (connection == nullptr) return dial();
        tell_down("the handshake took too long");
        connection.reset();
        dial_later();
    }
    // Once for each time that it is away: it is tried often.
    void tell_down(Bytes why) {
        if (std::exchange(told_down, true)) return;
        client.shard_.log().event(EventId::kLinkDown, {{"peer", edge.host}, {"reason", why}});
    }

    Client& client;
    const ClientSettings::Edge& edge;
    net::Dialer dialer;
    std::unique_ptr<net::Connection> connection;  // until its peer has proved itself
    Timer timer;                                  // to dial, or for the handshake
    Duration pause = kRedialFirst;
    bool told_down = false;
    std::uint32_t serial = 0;  // of its session, in tickets_
    Channel channel;
};

Client::Client(Shard& shard, net::Resolver& resolver, net::TlsContext& tls, ClientSettings settings)
    : shard_(shard),
      resolver_(resolver),
      tls_(tls),
      settings_(std::move(settings)),
      none_since_(shard.loop().now()),
      again_timer_(*this) {
    for (const ClientSettings::Edge& edge : settings_.edges) {
        links_.push_back(std::make_unique<Link>(*this, edge));
    }
}

Client::~Client() = default;

void Client::start() {
    for (auto& link : links_) link->dial();
}

void Client::drain() {
    for (auto& link : links_) link->channel.drain();
}

Client::Link& Client::link_of(Channel& channel) {
    const auto at =
        std::ranges::find_if(links_, [&](const auto& link) { return &link->channel == &channel; });
    FEDGATE_CHECK(at != links_.end());
    return **at;
}

Client::Link* Client::link_to_use() {
    const auto at = std::ranges::find_if(
        links_, [](const auto& link) { return link->channel.open() || link->channel.holds(); });
    return at != links_.end() ? at->get() : nullptr;
}

std::size_t Client::up_count() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(links_, [](const auto& link) { return link->channel.up(); }));
}

void Client::on_up(Channel& channel, bool resumed) {
    Link& link = link_of(channel);
    if (!resumed) link.serial = ++last_serial_;
    link.pause = kRedialFirst;
    link.told_down = false;
    note_who_is_there();
    shard_.log().event(EventId::kLinkUp, {{"peer", link.edge.host}});
}

void Client::on_down(Channel& channel, Bytes why) {
    Link& link = link_of(channel);
    link.tell_down(why);
    note_who_is_there();
    link.dial_later();
}

void Client::on_drain(Channel&) { note_who_is_there(); }

void Client::note_who_is_there() {
    const bool some = link_to_use() != nullptr;
    if (std::exchange(some_, some) && !some) none_since_ = shard_.loop().now();
}

bool Client::on_frame(Channel&, const Frame& frame) {
    if (const auto* from = std::get_if<FromPartner>(&frame)) return gateway_->take_stanza(*from);
    if (const auto* outcome = std::get_if<Outcome>(&frame)) take_outcome(*outcome);
    if (const auto* news = std::get_if<PartnerNews>(&frame)) gateway_->on_partner(*news);
    return true;
}

void Client::take_outcome(const Outcome& outcome) {
    const Tickets::Entry* entry = tickets_.find(outcome.ticket);
    if (entry == nullptr) return;
    Outcome told = outcome;
    told.ticket = entry->theirs;
    if (outcome.fate != Fate::kWritten || !outcome.acknowledges) tickets_.remove(outcome.ticket);
    gateway_->on_outcome(told);
}

bool Client::take_stanza(const ToPartner& to) {
    if (link_to_use() != nullptr) return again_.empty() && take(to);
    if (shard_.loop().now() < none_since_ + kEdgeAwaited) return false;
    // What is owed waits for longer, and nothing that may not wait stands behind it.
    if (!fits(to) || !may_wait_long(to.ticket) || !send_again(to)) fail(to, Fault::kUnreachable);
    return true;
}

bool Client::send_again(const ToPartner& to) {
    if (!again_.push(to)) return false;
    if (!again_timer_.armed()) shard_.loop().timers().arm(again_timer_, shard_.loop().now());
    return true;
}

void Client::on_room(Channel&) { go_on(); }

void Client::on_timer(Timer&) { go_on(); }

void Client::go_on() {
    again_.give([this](const ToPartner& to) { return take(to); });
    if (again_.empty() || again_timer_.armed()) return;
    shard_.loop().timers().arm(again_timer_, shard_.loop().now() + kAgain);
}

bool Client::take(const ToPartner& to) {
    if (!fits(to)) {
        fail(to, Fault::kTooLong);
        return true;
    }
    Link* const link = link_to_use();
    if (link == nullptr) {
        const Duration wait = may_wait_long(to.ticket) ? kLateNewsKept : kEdgeAwaited;
        if (shard_.loop().now() < none_since_ + wait) return false;
        fail(to, Fault::kUnreachable);
        return true;
    }
    if (!link->channel.open()) return false;
    if (!is_asked(to.ticket)) return link->channel.send(to);
    const std::uint64_t own = tickets_.add(to.ticket, link->serial);
    if (own == 0) return false;
    if (link->channel.send(ToPartner{own, to.our_domain, to.their_domain, to.stanza})) return true;
    tickets_.remove(own);
    return false;
}

void Client::fail(const ToPartner& to, Fault fault) {
    if (is_asked(to.ticket)) return gateway_->on_outcome({to.ticket, Fate::kFailed, fault});
    if (to.ticket == kForNow) return;
    shard_.stats().add(Counter::kXmppAnswersLost);
    shard_.log().event(EventId::kAnswerLost,
                       {{"partner", to.their_domain}, {"domain", to.our_domain}});
}

void Client::on_returned(Channel&, const Frame& frame, bool maybe_taken) {
    if (const auto* to = std::get_if<ToPartner>(&frame)) take_back(*to, maybe_taken);
}

// By the ticket: what its sender can be told of is in doubt; an answer is said again, and what must
// not be said twice is not (link.hpp).
void Client::take_back(const ToPartner& to, bool maybe_taken) {
    ToPartner again = to;
    if (is_asked(to.ticket)) {
        const Tickets::Entry* entry = tickets_.find(to.ticket);
        if (entry == nullptr) return;
        again.ticket = entry->theirs;
        tickets_.remove(to.ticket);
        if (maybe_taken) {
            return gateway_->on_outcome({again.ticket, Fate::kInDoubt, Fault::kUnreachable});
        }
    } else if (to.ticket != 0 && maybe_taken) {
        return;
    }
    const bool waits = may_wait_long(again.ticket) || link_to_use() != nullptr;
    if (!waits || !send_again(again)) fail(again, Fault::kUnreachable);
}

// What the edge has taken and not told the fate of.
void Client::on_over(Channel& channel) {
    note_who_is_there();  // it was there as long as it might have gone on
    tickets_.remove_all_of(link_of(channel).serial, [this](Ticket theirs) {
        gateway_->on_outcome({theirs, Fate::kInDoubt, Fault::kUnreachable});
    });
}

}  // namespace fedgate::link
