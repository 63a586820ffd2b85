#include "appliance/link/server.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

#include "appliance/link/peer.hpp"
#include "core/base/hash.hpp"
#include "core/base/rendezvous.hpp"
#include "net/address.hpp"
#include "xml/jid.hpp"
#include "xml/stanza.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::link {

namespace {

bool same_address(const SocketAddress& one, const SocketAddress& other) {
    return net::format_address(one) == net::format_address(other);
}

xml::Stanza stanza_of(const FromPartner& from, const xml::StreamScope& scope) {
    return from.view != nullptr ? *from.view : xml::parse_stanza(from.stanza, scope);
}

// Of the bare addresses as they are enforced, so that it is one conversation however they are
// written. What is no address is judged by the gateway, whichever.
std::uint64_t hash_of_address(const xml::Stanza& stanza, Bytes raw, std::uint64_t seed) {
    std::array<char, xml::kJidBytes> decoded;
    Sink text{MutableBytes(decoded)};
    xml::JidBuffer memory;
    Sink sink{MutableBytes(memory)};
    const auto jid = xml::parse_jid(stanza.decoded(raw, text), sink);
    if (!jid) return fnv1a(raw, seed);
    return fedgate::hash_of_address(jid->local, jid->domain, seed);
}

std::uint64_t conversation_of(const FromPartner& from) {
    const xml::StreamScope scope;
    const xml::Stanza stanza = stanza_of(from, scope);
    return hash_of_address(stanza, stanza.to, hash_of_address(stanza, stanza.from, 0));
}

// Something that whoever sent it gets an error for if it can't be delivered.
bool asks(const xml::Stanza& stanza) {
    if (stanza.kind == xml::StanzaKind::kMessage) return stanza.type != "error";
    return stanza.kind == xml::StanzaKind::kIq && (stanza.type == "get" || stanza.type == "set");
}
bool asks_for_answer(const FromPartner& from) {
    const xml::StreamScope scope;
    return asks(stanza_of(from, scope));
}

}  // namespace

// A connection that has not said who it is.
struct Server::Guest final : net::ConnectionOwner, TimerOwner {
    Guest(Server& s, Socket socket, const SocketAddress& its_peer)
        : server(s),
          peer(its_peer),
          connection(std::make_unique<net::Connection>(s.shard_.loop(), *this, kLinkConnection,
                                                       socket, peer)),
          timer(*this) {
        connection->start_tls_server(*s.tls_, kLinkAlpn);
        s.shard_.loop().timers().arm(timer, s.shard_.loop().now() + kGuestWithin);
    }

    void on_secured(net::Connection& secured) override {
        const Known known = identify(secured, server.settings_.gateways);
        name = known.name;
        if (name.empty()) server.refuse(*this, EndCode::kRefused, known.fault);
    }
    std::size_t on_data(net::Connection& from, MutableBytes input) override {
        if (&from != connection.get() || name.empty()) return input.size();
        const FrameRead read = read_frame(Bytes(input.data(), input.size()), 0);
        if (read.status == FrameRead::Status::kPartial) return 0;
        const auto* hello = std::get_if<Hello>(&read.frame);
        if (read.status == FrameRead::Status::kMalformed || hello == nullptr) {
            server.refuse(*this, EndCode::kMalformed, "does not begin with a HELLO");
            return input.size();
        }
        server.greet(*this, *hello);
        return read.size;
    }
    void on_closed(net::Connection& from, Error) override {
        if (&from == connection.get() && !from.secured()) {
            server.tell_refused(from, "the TLS handshake failed or was given up");
        }
        leave();
    }
    void on_timer(Timer&) override {
        connection.reset();
        leave();
    }
    void leave() {
        done = true;
        server.shard_.loop().at_turn_end(server);
    }

    Server& server;
    const SocketAddress peer;
    std::unique_ptr<net::Connection> connection;
    std::string name;  // proved; empty: not yet
    bool done = false;
    Timer timer;
};

// One of a gateway's processes' sessions.
struct Server::Link final : ChannelOwner, TimerOwner {
    Link(Server& s, std::string its_name, std::uint16_t its_part)
        : server(s),
          name(std::move(its_name)),
          part(its_part),
          joins(*this),
          channel(s.shard_.loop(), *this, {Role::kEdge, s.settings_.node, s.instance_, its_part}) {}

    bool on_frame(Channel&, const Frame& frame) override { return server.on_frame(*this, frame); }
    void on_up(Channel&, bool resumed) override { server.on_up(*this, resumed); }
    void on_down(Channel&, Bytes reason) override { server.on_down(*this, reason); }
    void on_returned(Channel&, const Frame& frame, bool maybe_taken) override {
        server.on_returned(frame, maybe_taken);
    }
    void on_over(Channel&) override { server.on_over(*this); }
    void on_room(Channel&) override {
        owed.tell_again();
        server.tell_who_is_at_the_store();
        topology.on_room();
    }
    void on_drain(Channel&) override { server.on_drain(*this); }
    void on_timer(Timer&) override {
        server.join(*this);
        server.note_who_is_there();
    }
    // As far as is known.
    [[nodiscard]] bool has_rows() const { return tenure != Tenure::kLost; }
    // Nobody else has the rows of one that holds its share of a store, however often it comes and
    // goes: that is on no trial.
    [[nodiscard]] bool steady() const {
        const Instant now = server.shard_.loop().now();
        return tenure && has_rows() ? now >= steady_from : trial.passed(now);
    }
    // Takes what is new, now or as soon as it is back.
    [[nodiscard]] bool there() const { return !leaving && (channel.open() || channel.returning()); }

    Server& server;
    const std::string name;
    const std::uint16_t part;
    Instant since;  // up or down
    std::string why;
    bool leaving = false;  // it is to end
    Instant leaves_until{};
    std::uint32_t serial = 0;  // of its session, in tickets_
    // What others had been sent when conversations moved from them to this one: it waits until they
    // have taken it, so that nothing overtakes.
    struct Before {
        const Link* link;
        std::uint32_t serial;
        std::uint64_t sent;
        Instant until;
    };
    std::vector<Before> before;
    Trial trial;
    std::optional<Tenure> tenure;  // nothing: it has not said, and shares no store
    Instant held_since{};
    Instant steady_from{};         // if it holds
    std::optional<Tenure> others;  // the best of theirs, as it was told
    Timer joins;                   // when that is over
    Channel channel;
    Owed<Channel> owed{channel};  // of this session, with its own tickets
    TopologyPeer topology{part == 0 ? server.settings_.topology : nullptr, channel, name};
};

Server::Server(Shard& shard, net::TlsContext& tls, ServerSettings settings)
    : shard_(shard),
      tls_(&tls),
      settings_(std::move(settings)),
      instance_(random_id()),
      gateways_(shard.loop().now()),
      again_(shard.loop(), [this](const FromPartner& from) { return take(from); }),
      missed_(*this) {}

Server::~Server() {
    stop_accepting();
    shard_.loop().cancel_turn_task(*this);
}

Result<void> Server::start() {
    for (const SocketAddress& address : settings_.listen) {
        if (auto opened = open(address); !opened) return opened;
    }
    return {};
}

Result<void> Server::open(const SocketAddress& address) {
    FEDGATE_TRY(socket, shard_.loop().listen(address, *this));
    listeners_.emplace_back(address, socket);
    shard_.log().event(EventId::kListening,
                       {{"protocol", "link"}, {"address", net::format_address(address)}});
    return {};
}

void Server::set_listen(std::vector<SocketAddress> listen) {
    if (finished_) return;
    settings_.listen = std::move(listen);
    std::erase_if(listeners_, [this](const auto& one) {
        const auto same = [&one](const SocketAddress& other) {
            return same_address(one.first, other);
        };
        if (std::ranges::any_of(settings_.listen, same)) return false;
        shard_.loop().close(one.second);
        return true;
    });
    for (const SocketAddress& address : settings_.listen) {
        const auto same = [&address](const auto& one) { return same_address(one.first, address); };
        if (std::ranges::any_of(listeners_, same)) continue;
        const Result<void> opened = open(address);
        if (opened) continue;
        shard_.log().event(EventId::kListenFailed,
                           {{"protocol", "link"},
                            {"address", net::format_address(address)},
                            {"error", std::strerror(opened.error().system)}});
    }
}

bool Server::is_known(const std::string& name) const {
    return std::ranges::find(settings_.gateways, name) != settings_.gateways.end();
}

void Server::set_gateways(std::vector<std::string> gateways) {
    if (draining_ || gateways == settings_.gateways) return;
    settings_.gateways = std::move(gateways);
    for (auto& [key, link] : links_) {
        if (is_known(link->name) || std::exchange(link->leaving, true)) continue;
        link->leaves_until = shard_.loop().now() + kLetGoWithin;
        link->channel.drain();
        on_drain(*link);
    }
    end_leaving();
}

// Nothing is on its way by it, either way.
bool Server::is_done(const Link& link) const {
    const Session& session = link.channel.session();
    if (!session.resumable() || shard_.loop().now() >= link.leaves_until) return true;
    return link.channel.up() && session.quiet() && session.settled() && link.owed.empty() &&
           !tickets_.any_of(link.serial) && !requests_.any_of(link.serial);
}

void Server::end_leaving() {
    for (auto& [key, link] : links_) {
        if (!link->leaving || !is_done(*link)) continue;
        link->channel.end(EndCode::kRefused, "it does not know this gateway any more");
    }
    const auto is_gone = [](const Link& link) {
        return link.leaving && !link.channel.session().resumable() && link.channel.closed();
    };
    for (auto& [key, link] : links_) {
        std::erase_if(link->before, [&](const Link::Before& one) { return is_gone(*one.link); });
    }
    std::erase_if(links_, [&](const auto& entry) { return is_gone(*entry.second); });
    note_who_is_there();
    const auto leaves = [](const auto& entry) { return entry.second->leaving; };
    if (std::ranges::none_of(links_, leaves)) return;
    shard_.loop().timers().arm(leaving_.timer, shard_.loop().now() + kLookAtLeaving);
}

void Server::set_tls(net::TlsContext& tls) {
    tls_ = &tls;
    for (auto& [key, link] : links_) {
        if (!link->channel.up()) continue;
        const Known known = link->channel.identify_again(tls.terms(), settings_.gateways);
        if (!known.name.empty() || link->leaving) continue;
        tell_refused(*link->channel.connection(), "it " + known.fault);
        link->channel.end(EndCode::kRefused, "it " + known.fault);
    }
}

void Server::stop_accepting() {
    for (const auto& [address, listener] : std::exchange(listeners_, {})) {
        shard_.loop().close(listener);
    }
    guests_.clear();
}

void Server::drain() {
    draining_ = true;
    for (auto& [key, link] : links_) link->channel.drain();
}

Id Server::random_id() {
    Id id;
    shard_.loop().fill_random({reinterpret_cast<char*>(id.data()), id.size()});
    id[0] |= 1;  // never all zero
    return id;
}

void Server::on_accept(Socket, Socket connection, const SocketAddress& peer) {
    if (guests_.size() >= limits::kLinkGuests) put_out_a_guest();
    guests_.emplace_back(*this, connection, peer);
}

// The oldest one of the address that has most: who comes in many times drives out himself.
void Server::put_out_a_guest() {
    const auto address = [](const Guest& guest) { return net::ip_key(guest.peer); };
    const auto many = std::ranges::max_element(guests_, {}, [&](const Guest& guest) {
        return std::ranges::count(guests_, address(guest), address);
    });
    shard_.stats().add(Counter::kLinkRefused);
    guests_.erase(many);
}

void Server::on_turn_end() {
    guests_.remove_if([](const Guest& guest) { return guest.done; });
}

void Server::refuse(Guest& guest, EndCode code, Bytes sentence) {
    tell_refused(*guest.connection, "it " + std::string(sentence));
    std::string bytes;
    write_frame(bytes, End{code, sentence});
    static_cast<void>(guest.connection->write(bytes));
    guest.name.clear();
    guest.connection->close();
}

void Server::tell_refused(const net::Connection& guest, Bytes reason) {
    shard_.stats().add(Counter::kLinkRefused);
    shard_.log().event(EventId::kLinkRefused,
                       {{"peer", net::format_address(guest.peer_address())}, {"reason", reason}});
}

void Server::greet(Guest& guest, const Hello& hello) {
    if (!is_known(guest.name)) {
        return refuse(guest, EndCode::kRefused, "is not a gateway of this edge any more");
    }
    if (const auto fault = Session::fault_of(hello, Role::kEdge)) {
        return refuse(guest, fault->code, fault->sentence);
    }
    if (hello.part >= limits::kLinkParts) {
        return refuse(guest, EndCode::kRefused, "has too many links");
    }
    if (const auto at = links_.find({guest.name, hello.part});
        at != links_.end() && at->second->leaving) {  // it has become a gateway again meanwhile
        return refuse(guest, EndCode::kRefused, "comes too early: its former link is ending");
    }
    std::unique_ptr<Link>& link = links_[{guest.name, hello.part}];
    if (link == nullptr) link = std::make_unique<Link>(*this, guest.name, hello.part);
    link->channel.answer(std::move(guest.connection), hello, random_id());
    guest.leave();
}

bool Server::quiet() const {
    return std::ranges::all_of(
        links_, [](const auto& entry) { return entry.second->channel.session().quiet(); });
}

bool Server::settled() const {
    return tickets_.count() == 0 && again_.empty() &&
           std::ranges::all_of(links_, [](const auto& entry) {
               const Link& link = *entry.second;
               return !link.channel.up() || (link.owed.empty() && link.channel.session().settled());
           });
}

void Server::finish() {
    finished_ = true;
    stop_accepting();
    for (auto& [key, link] : links_) link->channel.end(EndCode::kDone, "it was stopped");
}

bool Server::closed() const {
    return std::ranges::all_of(links_,
                               [](const auto& entry) { return entry.second->channel.closed(); });
}

std::vector<LinkRow> Server::rows() const {
    std::vector<LinkRow> rows;
    for (const auto& [key, link] : links_) {
        const net::Connection* const connection = link->channel.connection();
        rows.push_back({link->name, link->channel.session().peer().node,
                        connection != nullptr ? net::format_address(connection->peer_address())
                                              : std::string(),
                        link->part, link->channel.up(), link->there() && link->channel.open(),
                        shard_.loop().now() - link->since,
                        link->channel.up() ? std::string() : link->why});
    }
    return rows;
}

std::vector<SocketAddress> Server::listening() const {
    std::vector<SocketAddress> all;
    for (const auto& [address, listener] : listeners_) {
        all.push_back(shard_.loop().local_address(listener));
    }
    return all;
}

std::size_t Server::up_count() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        links_, [](const auto& entry) { return entry.second->channel.up(); }));
}

void Server::on_up(Link& link, bool resumed) {
    link.since = shard_.loop().now();
    shard_.stats().add(Counter::kLinkOpened);
    if (!resumed) {
        link.serial = ++last_serial_;
        link.tenure.reset();
        link.steady_from = {};
        link.others.reset();
        link.trial.on_up(shard_.loop().now());
        if (!link.trial.passed(shard_.loop().now())) {
            shard_.loop().timers().arm(link.joins, link.trial.until());
        }
    }
    join(link);
    if (draining_) link.channel.drain();
    if (!resumed) {
        link.owed.tell(GatewayNews{GatewayNews::Kind::kYou, link.name});
        for (const std::string& name : there_) {
            link.owed.tell(GatewayNews{GatewayNews::Kind::kThere, name});
        }
    }
    note_who_is_there();
    link.topology.on_up(resumed);
    shard_.log().event(EventId::kLinkUp, {{"peer", link.name}});
    link.owed.tell_again();
    again_.give();
}

void Server::on_down(Link& link, Bytes why) {
    link.since = shard_.loop().now();
    link.why = why;
    shard_.log().event(EventId::kLinkDown, {{"peer", link.name}, {"reason", why}});
    note_who_is_there();
}

void Server::on_drain(Link& going) {
    for (auto& [key, other] : links_) wait_for(*other, going);
    note_who_is_there();
}

// Conversations move to it from now on.
void Server::join(Link& link) {
    link.before.clear();
    for (const auto& [key, other] : links_) wait_for(link, *other);
}

void Server::wait_for(Link& link, const Link& other) {
    const Session& session = other.channel.session();
    if (&link == &other || session.unacknowledged_bytes(Lane::kStanzas) == 0) return;
    std::erase_if(link.before, [&](const Link::Before& one) { return one.link == &other; });
    link.before.push_back({&other, other.serial, session.sent(Lane::kStanzas),
                           shard_.loop().now() + kOvertakenAfter});
}

bool Server::may_send(Link& link) {
    std::erase_if(link.before, [now = shard_.loop().now()](const Link::Before& one) {
        return now >= one.until || one.link->serial != one.serial ||
               !one.link->channel.session().resumable() ||
               one.link->channel.session().acknowledged(Lane::kStanzas) >= one.sent;
    });
    return link.channel.open() && link.before.empty();
}

void Server::note_who_is_there() {
    const std::size_t up = up_count();
    shard_.stats().add(Counter::kLinkStanding, up - std::exchange(standing_, up));
    const bool were_none = gateways_.none();
    gateways_.note(
        std::ranges::any_of(links_, [](const auto& entry) { return entry.second->there(); }),
        shard_.loop().now());
    if (gateways_.none()) {
        shard_.loop().timers().arm(missed_, gateways_.none_since() + kGatewayAwaited);
    } else {
        gather(were_none);
    }
    tell_who_is_there();
    tell_who_is_at_the_store();
}

void Server::gather(bool were_none) {
    std::set<Bytes> there;
    for (const auto& [key, link] : links_) {
        if (link->there()) there.insert(link->name);
    }
    if (there.size() >= settings_.gateways.size()) {
        gathered_at_ = Instant::min();
    } else if (were_none) {
        gathered_at_ = shard_.loop().now() + kGatewaysGather;
        shard_.loop().timers().arm(missed_, gathered_at_);
    }
}

// So that each knows whose a conversation is; here it is decided (link_for()).
void Server::tell_who_is_there() {
    std::set<std::string> there;
    std::set<std::string> with_rows;
    for (const auto& [key, link] : links_) {
        if (!link->there() || !link->steady()) continue;
        there.insert(link->name);
        if (link->has_rows()) with_rows.insert(link->name);
    }
    if (!with_rows.empty()) there = std::move(with_rows);
    const auto tell = [this](GatewayNews::Kind kind, const std::string& name) {
        for (const auto& [key, link] : links_) {
            if (link->channel.session().resumable()) link->owed.tell(GatewayNews{kind, name});
        }
    };
    for (const std::string& name : there_) {
        if (!there.contains(name)) tell(GatewayNews::Kind::kGone, name);
    }
    for (const std::string& name : there) {
        if (!there_.contains(name)) tell(GatewayNews::Kind::kThere, name);
    }
    there_ = std::move(there);
}

// Its conversations go to others that have their rows, or come back; nothing overtakes. Who had it
// for a moment only waits for one when it is back.
void Server::take_store(Link& link, Tenure tenure) {
    const Instant now = shard_.loop().now();
    if (link.tenure == tenure) return;
    const bool is_first = !link.tenure;
    const bool had_rows = link.has_rows();
    const bool was_steady = link.steady();
    link.tenure = tenure;
    if (had_rows && !link.has_rows()) {
        const bool was_short = !is_first && now < link.held_since + kSteadyAfter;
        link.steady_from = was_short ? now + kTrialFirst : now;
        for (auto& [key, other] : links_) wait_for(*other, link);
    } else if (link.has_rows() && (!had_rows || !was_steady)) {
        link.held_since = now;
        link.joins.cancel();
        if (!link.steady()) shard_.loop().timers().arm(link.joins, link.steady_from);
        join(link);
    }
    note_who_is_there();
    again_.give();
}

// So that each that can't reach the store knows whether another one can, who would take what is its
// own.
void Server::tell_who_is_at_the_store() {
    for (auto& [key, link] : links_) {
        if (!link->tenure || !link->channel.session().resumable() || !link->owed.empty()) continue;
        Tenure best = Tenure::kLost;
        for (const auto& [other_key, other] : links_) {
            const bool counts = other->name != link->name && other->there() && other->tenure;
            if (counts) best = std::max(best, *other->tenure);
        }
        if (std::exchange(link->others, best) != best) link->owed.tell(StoreNews{best});
    }
}

// What may wait for long is none of those that wait for an answer.
void Server::on_timer(Timer&) {
    if (!missed(kGatewayAwaited)) return again_.give();
    again_.take_out(asks_for_answer, [this](const FromPartner& from) { bounce(from); });
}

// Who is not there any more is owed nothing; what has no end yet finds no ticket.
void Server::on_over(Link& link) {
    link.trial.on_over(shard_.loop().now());
    link.owed.clear();
    link.topology.on_over();
    tickets_.remove_all_of(link.serial, [](Ticket) {});
    requests_.remove_all_of(link.serial, [](Ticket) {});
    requests_.remove_if([&](const Tickets::Entry& entry) { return entry.about == link.serial; },
                        [this](const Tickets::Entry& entry) {
                            if (Link* const asker = link_of(entry.link)) {
                                asker->owed.tell(Answer{entry.theirs, Answer::Kind::kLost});
                            }
                        });
    note_who_is_there();
}

bool Server::on_frame(Link& link, const Frame& frame) {
    if (const auto* to = std::get_if<ToPartner>(&frame)) return take_to_partner(link, *to);
    if (const auto* request = std::get_if<Request>(&frame)) return pass_on(link, *request);
    if (const auto* answer = std::get_if<Answer>(&frame)) take_answer(link, *answer);
    if (const auto* news = std::get_if<StoreNews>(&frame)) take_store(link, news->tenure);
    link.topology.on_frame(frame);
    return true;
}

// Who asks may have it himself, as far as is known here. It waits for who comes or goes, and never
// for room: two who wait for each other's would do so for ever.
bool Server::pass_on(Link& asker, const Request& request) {
    if (asker.owed.size() >= limits::kLinkOutcomes) return false;  // who asks does not listen
    if (settings_.gateways.size() < 2) {                           // there is nobody to be asked
        asker.owed.tell(refused(request.ticket));
        return true;
    }
    Link* const owner = link_for(request.conversation);
    if (owner == nullptr || !may_send(*owner)) return false;
    const std::uint64_t own = requests_.add(request.ticket, asker.serial, owner->serial);
    if (own != 0 && owner->channel.send(Request{own, request.conversation, request.bytes})) {
        return true;
    }
    if (own != 0) requests_.remove(own);
    asker.owed.tell(busy(request.ticket));
    return true;
}

void Server::take_answer(const Link& owner, const Answer& answer) {
    const auto request = requests_.take(
        answer.ticket, [&](const Tickets::Entry& one) { return one.about == owner.serial; });
    if (!request) return;
    if (Link* const asker = link_of(request->link)) asker->owed.tell(answer.as(request->theirs));
}

Server::Link* Server::link_of(std::uint32_t serial) {
    const auto at =
        std::ranges::find_if(links_, [&](const auto& one) { return one.second->serial == serial; });
    const bool stands = at != links_.end() && at->second->channel.session().resumable();
    return stands ? at->second.get() : nullptr;
}

bool Server::take_to_partner(Link& link, const ToPartner& to) {
    if (link.owed.size() >= limits::kLinkOutcomes || !give_edge(link, to)) return false;
    shard_.stats().add(Counter::kLinkStanzasToPartners);
    return true;
}

bool Server::give_edge(Link& link, const ToPartner& to) {
    if (!is_asked(to.ticket)) return edge_->take_stanza(to);
    const std::uint64_t own = tickets_.add(to.ticket, link.serial);
    if (own == 0) return false;
    if (edge_->take_stanza(
            {make_ticket(shard_.index(), own), to.our_domain, to.their_domain, to.stanza})) {
        return true;
    }
    if (tickets_.find(own) != nullptr) tickets_.remove(own);
    return false;
}

void Server::on_outcome(const Outcome& outcome) {
    const std::uint64_t own = own_part(outcome.ticket);
    const Tickets::Entry* entry = tickets_.find(own);
    if (entry == nullptr) return;
    Link* const link = link_of(entry->link);
    Outcome told = outcome;
    told.ticket = entry->theirs;
    if (outcome.fate != Fate::kWritten || !outcome.acknowledges) tickets_.remove(own);
    if (link != nullptr) link->owed.tell(told);
}

// Where there is no room it is left out, as between shards.
void Server::on_partner(const PartnerNews& news) {
    if (!fits(news)) return;
    for (auto& [key, link] : links_) static_cast<void>(link->channel.send(news));
}

Server::Link* Server::link_for(const FromPartner& from) {
    if (links_.size() == 1 && !gathering()) {
        Link* const only = links_.begin()->second.get();
        return only->there() ? only : nullptr;
    }
    return link_for(conversation_of(from));
}

// Of the names that are there the one with the highest score for this conversation's slot; then the
// same among its links. One on trial is behind the others, and so is one without its rows.
Server::Link* Server::link_for(std::uint64_t conversation) {
    const std::size_t slot = slot_of(conversation);
    Link* best = nullptr;
    if (gathering()) return best;
    std::tuple<bool, bool, std::uint64_t, std::uint64_t> best_score;
    for (auto& [key, link] : links_) {
        if (!link->there()) continue;
        const std::tuple its{link->steady(), link->has_rows(), score_of(link->name, slot),
                             mix(conversation + link->part + 1)};
        if (best != nullptr && its <= best_score) continue;
        best = link.get();
        best_score = its;
    }
    return best;
}

bool Server::take_stanza(const FromPartner& from) {
    if (!fits(from)) {
        bounce(from);
        return true;
    }
    if (!missed(kGatewayAwaited)) {
        return again_.empty() && take(from);
    }
    owe(from);
    return true;
}

bool Server::take(const FromPartner& from) {
    if (Link* const link = link_for(from)) {
        if (!may_send(*link) || !link->channel.send(from)) return false;
        shard_.stats().add(Counter::kLinkStanzasFromPartners);
        return true;
    }
    if (!missed(kLateNewsKept)) return false;
    bounce(from);
    return true;
}

void Server::owe(const FromPartner& from) {
    if (asks_for_answer(from) || !again_.push(from)) bounce(from);
}

// A message or a request is never said twice; presence and answers may be.
void Server::on_returned(const Frame& frame, bool maybe_taken) {
    const auto* from = std::get_if<FromPartner>(&frame);
    if (from == nullptr) return;  // fates and news were that gateway's
    if (maybe_taken || missed(kGatewayAwaited)) return owe(*from);
    if (!again_.push(*from)) bounce(*from);
}

// RFC 6120 8.3: whoever waits for an answer gets one.
void Server::bounce(const FromPartner& from) {
    const xml::StreamScope scope;
    const xml::Stanza stanza = stanza_of(from, scope);
    std::array<char, 4 * xml::kJidBytes> texts;
    Sink text{MutableBytes(texts)};
    const Bytes to = stanza.decoded(stanza.to, text);
    const Bytes sender = stanza.decoded(stanza.from, text);
    const Bytes id = stanza.decoded(stanza.id, text);
    const auto address = xml::split_jid(to);
    std::array<char, limits::kJidPartBytes> domain;
    Sink our{MutableBytes(domain)};
    if (!asks(stanza) || !address || !xml::domain_to_ascii(address->domain, our)) {
        shard_.stats().add(Counter::kMapDropped);
        return shard_.log().event(EventId::kMapDropped, {{"what", "no gateway"}});
    }
    std::array<char, 8 * xml::kJidBytes> memory;
    Sink error{MutableBytes(memory)};
    xml::write_stanza_error(
        error, stanza.kind, to, sender, id,
        {xml::StanzaCondition::kRemoteServerTimeout, xml::ErrorType::kWait, {}, {}, {}});
    if (error.overflowed() ||
        !edge_->take_stanza({0, our.written(), from.from_domain, error.written()})) {
        shard_.stats().add(Counter::kXmppAnswersLost);
        shard_.log().event(EventId::kAnswerLost,
                           {{"partner", from.from_domain}, {"domain", our.written()}});
    }
}

}  // namespace fedgate::link
