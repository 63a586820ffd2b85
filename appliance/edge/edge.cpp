#include "appliance/edge/edge.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/hash.hpp"
#include "net/address.hpp"

namespace fedgate::edge {

namespace {

// The door guard bounds them, by xmpp.limits.connections as it is at the time; no key is larger.
constexpr std::size_t kInStreamsMax = 10'000'000;
// Idle out-streams and finished objects are put away this often.
constexpr Duration kSweep = 1s;
constexpr Duration kDrainSweep = 10ms;
// That answers wait, unless it is told again: a mailbox may have had no room for the end of it.
constexpr Duration kAnswersWaitMax = 3 * kAnswersToldEvery;

// A ToPartner (or a pong: its number; or the wish for a ping) on its way to the shard that owns the
// pair: this, then the two domains, then the stanza.
struct PairRecord {
    std::uint64_t number;  // link::Ticket, or the ping's
    std::uint32_t our_size;
    std::uint32_t their_size;
};

const char* name_of(xml::Proof proof) {
    switch (proof) {
        case xml::Proof::kCertificate: return "certificate";
        case xml::Proof::kDialbackTls: return "dialback over TLS";
        case xml::Proof::kDialbackClear: return "dialback in clear";
    }
    return "";
}

std::string tls_of(const net::Connection& connection) {
    if (!connection.secured()) return {};
    return std::string(connection.tls_version()) + ' ' + connection.tls_cipher();
}

}  // namespace

Edge::Edge(Shard& shard, const rules::Snapshot& rules, net::Resolver& resolver,
           const Certificates& certificates, DoorGuard& guard, link::GatewayDoor& gateway,
           Bytes dialback_secret)
    : context_(shard, resolver, gateway),
      gateway_(gateway),
      guard_(guard),
      carriers_(shard, *this),
      sessions_(shard, *this),
      inquiries_(context_, guard, *this),
      in_streams_(kInStreamsMax),
      fates_(shard.count()),
      rejudge_(*this),
      sweep_(*this),
      fates_again_(*this) {
    context_.rules = &rules;
    context_.certificates = &certificates;
    context_.settings.dialback = xml::make_dialback_secrets(dialback_secret);
    context_.apply_rules();
    shard.set_handler(static_cast<std::uint32_t>(link::RecordKind::kToPartner), *this);
    shard.set_handler(static_cast<std::uint32_t>(link::RecordKind::kOutcome), *this);
    shard.set_handler(static_cast<std::uint32_t>(link::RecordKind::kPong), *this);
    shard.set_handler(static_cast<std::uint32_t>(link::RecordKind::kPing), *this);
    shard.set_handler(static_cast<std::uint32_t>(link::RecordKind::kAnswersWait), *this);
    shard.set_handler(static_cast<std::uint32_t>(link::RecordKind::kPartnerNews), *this);
    shard.set_handler(static_cast<std::uint32_t>(link::RecordKind::kGivesWay), *this);
}

void Edge::set_dialback_secret(Bytes secret, Bytes before) {
    context_.settings.dialback = xml::make_dialback_secrets(secret, before);
}

Edge::~Edge() {
    context_.loop.cancel_turn_task(*this);
    for (const Listener& listener : listeners_) context_.loop.close(listener.socket);
}

Result<void> Edge::start() {
    accepting_ = true;
    const Result<void> outcome = open_listeners();
    context_.loop.timers().arm(sweep_, context_.loop.now() + kSweep);
    return outcome;
}

// As configured: those that are open already stay so.
Result<void> Edge::open_listeners() {
    const rules::Settings::Xmpp& settings = context_.rules->settings.xmpp;
    const auto wanted = [](const std::vector<config::Address>& all, const std::string& text) {
        return std::ranges::find(all, text, &config::Address::text) != all.end();
    };
    std::erase_if(listeners_, [&](const Listener& listener) {
        const auto& all = listener.direct_tls ? settings.listen_tls : settings.listen;
        if (wanted(all, listener.address)) return false;
        context_.loop.close(listener.socket);
        return true;
    });
    Result<void> outcome;
    const auto open = [&](const config::Address& address, bool direct_tls) {
        if (std::ranges::any_of(listeners_, [&](const Listener& listener) {
                return listener.direct_tls == direct_tls && listener.address == address.text;
            })) {
            return;
        }
        const auto socket_address = net::parse_address(address.text);
        const auto socket = socket_address ? context_.loop.listen(*socket_address, *this)
                                           : Result<Socket>(Failure{socket_address.error()});
        if (socket) {
            listeners_.push_back({address.text, direct_tls, *socket});
            if (context_.shard.index() == 0)
                context_.log.event(EventId::kListening,
                                   {{"protocol", "xmpp"}, {"address", address.text}});
            return;
        }
        context_.log.event(EventId::kListenFailed,
                           {{"protocol", "xmpp"},
                            {"address", address.text},
                            {"error", std::strerror(socket.error().system)}});
        if (outcome) outcome = Failure{socket.error()};
    };
    for (const auto& address : settings.listen) open(address, false);
    for (const auto& address : settings.listen_tls) open(address, true);
    return outcome;
}

void Edge::accept() {
    if (draining_ || accepting_) return;
    accepting_ = true;
    static_cast<void>(open_listeners());  // it is logged
}

void Edge::reload(const rules::Snapshot& rules, const Certificates& certificates) {
    context_.rules = &rules;
    context_.certificates = &certificates;
    context_.apply_rules();
    if (accepting_) static_cast<void>(open_listeners());
    guard_.set_rates(rules, context_.loop.now());
    rejudged_in_.clear();
    rejudged_out_.clear();
    in_streams_.for_each([this](Handle<InStream> handle, InStream& stream) {
        stream.recheck();
        rejudged_in_.push_back(handle);
    });
    for (auto& [key, stream] : out_streams_) {
        stream->recheck();
        rejudged_out_.push_back(key);
    }
    context_.loop.timers().arm(rejudge_, context_.loop.now());
}

// A chain costs as much as hundreds of messages: what comes in meanwhile must not wait for all.
void Edge::rejudge_some() {
    for (std::size_t i = 0; i < limits::kRejudgedPerTurn && !rejudged_in_.empty(); ++i) {
        if (InStream* stream = in_streams_.find(rejudged_in_.back())) stream->recheck_proof();
        rejudged_in_.pop_back();
    }
    for (std::size_t i = 0; i < limits::kRejudgedPerTurn && !rejudged_out_.empty(); ++i) {
        const auto found = out_streams_.find(rejudged_out_.back());
        if (found != out_streams_.end()) found->second->recheck_proof();
        rejudged_out_.pop_back();
    }
    if (rejudged_in_.empty() && rejudged_out_.empty()) return;
    context_.loop.timers().arm(rejudge_, context_.loop.now());
}

void Edge::on_accept(Socket listener, Socket connection, const SocketAddress& peer) {
    const Instant now = context_.loop.now();
    const rules::Settings::Xmpp& settings = context_.rules->settings.xmpp;
    const std::uint32_t here = context_.shard.index();
    auto refusal = guard_.enter(settings, here, peer, now);
    if (refusal == DoorGuard::Refusal::kAllUnauthenticated && make_room()) {
        refusal = guard_.enter(settings, here, peer, now);
    }
    if (refusal == DoorGuard::Refusal::kNone) {
        const auto at = std::ranges::find(listeners_, listener, &Listener::socket);
        const bool direct_tls = at != listeners_.end() && at->direct_tls;
        Handle<InStream> handle;
        InStream* stream = in_streams_.make(handle, context_, *this, connection, peer, direct_tls);
        if (stream != nullptr) {
            stream->set_handle(handle);
            context_.stats.add(Counter::kXmppInAccepted);
            context_.stats.add(Counter::kXmppInConnections);
            return;
        }
        guard_.leave(here, peer, nullptr);
        refusal = DoorGuard::Refusal::kTotal;
    }
    // XEP-0205 4.1: closed without a word of XMPP.
    context_.stats.add(Counter::kXmppInRefused);
    context_.log.event(EventId::kConnectionLimit, {{"peer", net::format_address(peer)},
                                                   {"limit", DoorGuard::name_of(refusal)}});
    context_.loop.close(connection);
}

// Nobody may keep others out with connections that prove nothing: the one that has had most time
// goes.
bool Edge::make_room() {
    InStream* oldest = nullptr;
    in_streams_.for_each([&](Handle<InStream>, InStream& stream) {
        if (!stream.their().empty() || stream.gone() || stream.abandoned()) return;
        if (oldest == nullptr || stream.since() < oldest->since()) oldest = &stream;
    });
    if (oldest == nullptr) return false;
    guard_.leave(context_.shard.index(), oldest->connection().peer_address(), nullptr);
    oldest->abandon();
    return true;
}

InStreamOwner::Admission Edge::on_authenticated(InStream& stream, Bytes our, Bytes their) {
    const rules::Partner* partner = context_.rules->partner(their);
    if (partner == nullptr) return {nullptr, "not a partner any more"};
    const DoorGuard::Admission admission = guard_.authenticate(
        context_.rules->settings.xmpp, *partner, {context_.shard.index(), stream.handle().pack()},
        stream.connection().peer_address(), std::string(our), std::string(their),
        context_.loop.now());
    if (admission.place == nullptr) {
        context_.log.event(EventId::kConnectionLimit,
                           {{"partner", their}, {"limit", DoorGuard::name_of(admission.refusal)}});
        return {nullptr, DoorGuard::text_of(admission.refusal)};
    }
    // Without room in its mailbox that one ends when its own silence is found out.
    if (const auto& other = admission.gives_way) {
        static_cast<void>(context_.shard.send(
            other->shard, static_cast<std::uint32_t>(link::RecordKind::kGivesWay),
            {bytes_of(other->number)}));
    }
    return {admission.place, ""};
}

void Edge::on_seen(Bytes our, Bytes their) {
    tell_news(our, their, link::PartnerNews::Kind::kSeen, link::Fault::kNone, {});
}

void Edge::on_gone(InStream& stream) {
    if (!stream.abandoned()) {
        guard_.leave(context_.shard.index(), stream.connection().peer_address(), stream.place());
    }
    // What was on its way to us may be lost.
    if (stream.broken() && !stream.their().empty()) {
        tell_news(stream.our(), stream.their(), link::PartnerNews::Kind::kBroke,
                  link::Fault::kUnreachable, {});
    }
    inquiries_.forget(stream.handle());
    context_.stats.subtract(Counter::kXmppInConnections);
    gone_.push_back(stream.handle());
    context_.loop.at_turn_end(*this);
}

void Edge::on_session_begun(InStream& stream, Bytes id) {
    sessions_.begin(id, stream.pairs_text(), stream.handle().pack());
}

void Edge::on_session_wanted(InStream& stream, Bytes id) {
    sessions_.resume(id, stream.pairs_text(), stream.handle().pack());
}

void Edge::on_session_ended(InStream& stream, Bytes id, bool broken) {
    sessions_.end(id, stream.pairs_text(), stream.handle().pack(), stream.stream().handled(),
                  broken);
}

bool Edge::on_session(std::uint64_t handle, bool granted, std::optional<std::uint32_t> handled) {
    InStream* stream = in_streams_.find(Handle<InStream>::unpack(handle));
    return stream != nullptr && stream->answer_session(granted, handled);
}

std::optional<SessionsOwner::Left> Edge::take_session(std::uint64_t handle) {
    InStream* stream = in_streams_.find(Handle<InStream>::unpack(handle));
    if (stream == nullptr) return {};
    Left left{stream->pairs_text(), stream->stream().handled()};
    if (!stream->give_up_session()) return {};
    return left;
}

std::string Edge::pattern_of(Bytes their) {
    const rules::Partner* partner = context_.rules->partner(their);
    if (partner == nullptr || partner->lists(their)) return {};
    return partner->discovered() ? "discovered" : partner->domain;  // "discovered" is no pattern
}

void Edge::on_verify(InStream& stream, Bytes our, Bytes their, Bytes id, Bytes key) {
    inquiries_.verify(stream, our, their, id, key);
}

bool Edge::on_dane_wanted(InStream& stream, Bytes their) {
    return inquiries_.find_dane(stream, their);
}

void Edge::on_answer(const Asker& asker, std::optional<xml::Verdict> verdict) {
    inquiries_.answer(asker, verdict);
}

InStream* Edge::find_in_stream(Handle<InStream> handle) { return in_streams_.find(handle); }

std::uint32_t Edge::owner_of(Bytes our, Bytes their) const {
    return static_cast<std::uint32_t>(fnv1a(their, fnv1a(our)) % context_.shard.count());
}

bool Edge::take_stanza(const link::ToPartner& stanza) {
    const std::uint32_t owner = owner_of(stanza.our_domain, stanza.their_domain);
    if (owner == context_.shard.index()) {
        send_here(stanza);
        return true;
    }
    const std::size_t size = sizeof(PairRecord) + stanza.our_domain.size() +
                             stanza.their_domain.size() + stanza.stanza.size();
    if (size > context_.shard.record_bytes_max()) {  // it would never go to another shard
        if (link::is_asked(stanza.ticket)) {
            gateway_.on_outcome({stanza.ticket, link::Fate::kFailed, link::Fault::kTooLong});
        }
        return true;
    }
    const PairRecord record{stanza.ticket, static_cast<std::uint32_t>(stanza.our_domain.size()),
                            static_cast<std::uint32_t>(stanza.their_domain.size())};
    return context_.shard.send(
        owner, static_cast<std::uint32_t>(link::RecordKind::kToPartner),
        {bytes_of(record), stanza.our_domain, stanza.their_domain, stanza.stanza});
}

bool Edge::on_record(std::uint32_t kind, std::uint32_t /*from_shard*/, Bytes record) {
    if (kind == static_cast<std::uint32_t>(link::RecordKind::kOutcome)) {
        link::Outcome outcome;
        std::memcpy(&outcome, record.data(), sizeof outcome);
        gateway_.on_outcome(outcome);
        return true;
    }
    if (kind == static_cast<std::uint32_t>(link::RecordKind::kGivesWay)) {
        std::uint64_t number;
        std::memcpy(&number, record.data(), sizeof number);
        InStream* stream = in_streams_.find(Handle<InStream>::unpack(number));
        if (stream != nullptr) stream->give_way();
        return true;
    }
    PairRecord header;
    std::memcpy(&header, record.data(), sizeof header);
    record.remove_prefix(sizeof header);
    const Bytes our = record.substr(0, header.our_size);
    const Bytes their = record.substr(header.our_size, header.their_size);
    if (kind == static_cast<std::uint32_t>(link::RecordKind::kPong)) {
        pong_here(our, their, header.number);
    } else if (kind == static_cast<std::uint32_t>(link::RecordKind::kPing)) {
        ping_here(our, their);
    } else if (kind == static_cast<std::uint32_t>(link::RecordKind::kAnswersWait)) {
        answers_here(our, their, header.number != 0);
    } else if (kind == static_cast<std::uint32_t>(link::RecordKind::kPartnerNews)) {
        const auto news = static_cast<link::PartnerNews::Kind>(header.number & 0xFF);
        if (news == link::PartnerNews::Kind::kSeen) {
            if (OutStream* stream = find_out_stream(our, their)) stream->on_partner_seen();
        }
        gateway_.on_partner({news, static_cast<link::Fault>(header.number >> 8), our, their,
                             record.substr(our.size() + their.size())});
    } else {
        send_here({header.number, our, their, record.substr(our.size() + their.size())});
    }
    return true;
}

// Without room a pong is dropped: a later one covers it.
void Edge::on_pong(Bytes our, Bytes their, std::uint64_t number) {
    if (owner_of(our, their) == context_.shard.index()) return pong_here(our, their, number);
    tell_owner(link::RecordKind::kPong, our, their, number);
}

void Edge::on_silence(InStream& stream) {
    tell_owner(link::RecordKind::kPing, stream.our(), stream.their(), 0);
}

void Edge::tell_owner(link::RecordKind kind, Bytes our, Bytes their, std::uint64_t number) {
    const PairRecord record{number, static_cast<std::uint32_t>(our.size()),
                            static_cast<std::uint32_t>(their.size())};
    static_cast<void>(context_.shard.send(owner_of(our, their), static_cast<std::uint32_t>(kind),
                                          {bytes_of(record), our, their}));
}

void Edge::pong_here(Bytes our, Bytes their, std::uint64_t number) {
    if (OutStream* stream = find_out_stream(our, their)) stream->on_pong(number);
}

void Edge::ping_here(Bytes our, Bytes their) {
    OutStream* stream = find_out_stream(our, their);
    if (stream == nullptr) stream = make_out_stream(our, their);
    if (stream != nullptr) stream->ping();
}

void Edge::on_carrying(InStream& stream, const xml::Stream::Pair& pair) {
    carriers_.up(owner_of(pair.our, pair.their), pair.our, pair.their, stream.handle().pack(),
                 pair.proof, stream.stream().limits());
}

bool Edge::on_left(InStream& stream, Bytes our, Bytes their, std::uint64_t position) {
    return carriers_.left(owner_of(our, their), our, their, stream.handle().pack(), position);
}

void Edge::on_carried(InStream& stream, Bytes our, Bytes their) {
    carriers_.gone(owner_of(our, their), our, their, stream.handle().pack());
}

void Edge::on_carrier_up(Bytes our, Bytes their, const Carrier& carrier, xml::Proof proof,
                         const xml::StreamLimits& limits) {
    OutStream* stream = find_out_stream(our, their);
    if (stream == nullptr) stream = make_out_stream(our, their);
    if (stream != nullptr) stream->on_carrier_up(carrier, proof, limits);
}

void Edge::on_carrier_left(Bytes our, Bytes their, const Carrier& carrier, std::uint64_t position) {
    if (OutStream* stream = find_out_stream(our, their)) stream->on_carrier_left(carrier, position);
}

void Edge::on_carrier_gone(Bytes our, Bytes their, const Carrier& carrier) {
    if (OutStream* stream = find_out_stream(our, their)) stream->on_carrier_gone(carrier);
}

bool Edge::on_carry(std::uint64_t handle, Bytes our, Bytes their, Bytes stanza,
                    std::uint64_t position) {
    InStream* stream = in_streams_.find(Handle<InStream>::unpack(handle));
    return stream != nullptr && stream->carry(our, their, stanza, position);
}

void Edge::on_carrier_fail(std::uint64_t handle) {
    if (InStream* stream = in_streams_.find(Handle<InStream>::unpack(handle))) {
        stream->fail(xml::StreamError::kConnectionTimeout);
    }
}

void Edge::send_here(const link::ToPartner& stanza) {
    OutStream* stream = find_out_stream(stanza.our_domain, stanza.their_domain);
    if (stream == nullptr) stream = make_out_stream(stanza.our_domain, stanza.their_domain);
    if (stream != nullptr) {
        stream->send(stanza.ticket, stanza.stanza);
    } else if (link::may_wait_long(stanza.ticket)) {
        context_.tell_answer_lost(stanza.our_domain, stanza.their_domain);
    } else {
        on_fate({stanza.ticket, link::Fate::kFailed, link::Fault::kQueueFull});
    }
}

OutStream* Edge::find_out_stream(Bytes our, Bytes their) {
    key_.assign(our).append(1, ' ').append(their);
    const auto it = out_streams_.find(key_);
    return it != out_streams_.end() ? it->second.get() : nullptr;
}

OutStream* Edge::make_out_stream(Bytes our, Bytes their) {
    if (!has_room_for(their)) return nullptr;
    key_.assign(our).append(1, ' ').append(their);
    auto stream =
        std::make_unique<OutStream>(context_, *this, std::string(our), std::string(their));
    return out_streams_.emplace(key_, std::move(stream)).first->second.get();
}

// Who owns a pattern's names, or many domains that are only discovered, does not fill the table.
bool Edge::has_room_for(Bytes their) {
    if (out_streams_.size() >= limits::kOutStreams) return false;
    const rules::Partner* partner = context_.rules->partner(their);
    if (partner == nullptr || partner->lists(their)) return true;
    std::size_t& count = unlisted_[partner->domain];
    if (count >= limits::kOutStreamsOfPattern) return false;
    ++count;
    return true;
}

void Edge::on_fate(const link::Outcome& outcome) {
    if (!link::is_asked(outcome.ticket)) return;
    fates_[link::shard_of(outcome.ticket) % fates_.size()].push_back(outcome);
    context_.loop.at_turn_end(*this);
}

// To all shards: each may have streams of the partner.
void Edge::on_answers(const OutStream& stream, bool wait) {
    const PairRecord record{wait ? 1U : 0U, static_cast<std::uint32_t>(stream.our().size()),
                            static_cast<std::uint32_t>(stream.their().size())};
    for (std::uint32_t shard = 0; shard < context_.shard.count(); ++shard) {
        if (shard == context_.shard.index()) {
            answers_here(stream.our(), stream.their(), wait);
            continue;
        }
        static_cast<void>(
            context_.shard.send(shard, static_cast<std::uint32_t>(link::RecordKind::kAnswersWait),
                                {bytes_of(record), stream.our(), stream.their()}));
    }
}

void Edge::on_news(const OutStream& stream, link::PartnerNews::Kind kind, link::Fault fault) {
    const Bytes why =
        kind == link::PartnerNews::Kind::kDown ? context_.failures.why(stream.their()) : Bytes();
    tell_news(stream.our(), stream.their(), kind, fault, why);
}

void Edge::tell_news(Bytes our, Bytes their, link::PartnerNews::Kind kind, link::Fault fault,
                     Bytes why) {
    const PairRecord record{
        static_cast<std::uint64_t>(fault) << 8 | static_cast<std::uint64_t>(kind),
        static_cast<std::uint32_t>(our.size()), static_cast<std::uint32_t>(their.size())};
    for (std::uint32_t shard = 0; shard < context_.shard.count(); ++shard) {
        // To itself too: the gateway may send more stanzas, and this is in the middle of something.
        static_cast<void>(
            context_.shard.send(shard, static_cast<std::uint32_t>(link::RecordKind::kPartnerNews),
                                {bytes_of(record), our, their, why}));
    }
}

void Edge::answers_here(Bytes our, Bytes their, bool wait) {
    key_.assign(our).append(1, ' ').append(their);
    if (wait) {
        answers_wait_[key_] = context_.loop.now() + kAnswersWaitMax;
    } else {
        answers_wait_.erase(key_);
    }
}

bool Edge::answers_wait(Bytes our, Bytes their) {
    if (answers_wait_.empty()) return false;
    key_.assign(our).append(1, ' ').append(their);
    const auto it = answers_wait_.find(key_);
    return it != answers_wait_.end() && context_.loop.now() < it->second;
}

void Edge::on_turn_end() {
    for (const Handle<InStream> handle : std::exchange(gone_, {})) in_streams_.free(handle);
    deliver_fates();
}

void Edge::deliver_fates() {
    bool left = false;
    for (std::uint32_t shard = 0; shard < fates_.size(); ++shard) {
        auto& fates = fates_[shard];
        if (shard == context_.shard.index()) {
            // The gateway may send more from within, and so add to the list.
            for (std::size_t i = 0; i < fates.size(); ++i) {
                const link::Outcome outcome = fates[i];
                gateway_.on_outcome(outcome);
            }
            fates.clear();
            continue;
        }
        std::size_t sent = 0;
        while (sent < fates.size() &&
               context_.shard.send(shard, static_cast<std::uint32_t>(link::RecordKind::kOutcome),
                                   {bytes_of(fates[sent])})) {
            ++sent;
        }
        fates.erase(fates.begin(), fates.begin() + static_cast<std::ptrdiff_t>(sent));
        left = left || !fates.empty();
    }
    if (left) context_.loop.timers().arm(fates_again_, context_.loop.now() + kMailboxRetry);
}

void Edge::on_timer(Timer& timer) {
    if (&timer == &fates_again_) {
        deliver_fates();
        return;
    }
    if (&timer == &rejudge_) return rejudge_some();
    sweep();
    context_.loop.timers().arm(sweep_, context_.loop.now() + (draining_ ? kDrainSweep : kSweep));
}

void Edge::sweep() {
    inquiries_.sweep();
    sessions_.sweep();
    std::erase_if(answers_wait_,
                  [this](const auto& entry) { return context_.loop.now() >= entry.second; });
    const bool some = !std::exchange(unlisted_, {}).empty();
    std::erase_if(out_streams_, [this, some](const auto& entry) {
        if (entry.second->forgettable()) return true;
        if (!some) return false;
        const rules::Partner* partner = context_.rules->partner(entry.second->their());
        if (partner != nullptr && !partner->lists(entry.second->their())) {
            ++unlisted_[partner->domain];
        }
        return false;
    });
    // Their streams last longest: answers to our pings come on them.
    if (draining_ && out_streams_drained()) {
        in_streams_.for_each([](Handle<InStream>, InStream& stream) { stream.close(); });
    }
}

void Edge::stop_accepting() {
    accepting_ = false;
    for (const Listener& listener : std::exchange(listeners_, {})) {
        context_.loop.close(listener.socket);
    }
}

void Edge::send_away() {
    stop_accepting();
    in_streams_.for_each([](Handle<InStream>, InStream& stream) { stream.close(); });
}

void Edge::drain() {
    draining_ = true;
    stop_accepting();
    for (auto& [key, stream] : out_streams_) stream->drain();
    context_.loop.timers().arm(sweep_, context_.loop.now());
}

bool Edge::out_streams_drained() const {
    return std::ranges::all_of(out_streams_,
                               [](const auto& entry) { return entry.second->drained(); });
}

bool Edge::drained() const { return in_streams_.count() == 0 && out_streams_drained(); }

std::vector<StreamRow> Edge::rows() const {
    std::vector<StreamRow> rows;
    const auto seconds_since = [this](Instant then) {
        const auto passed =
            std::chrono::duration_cast<std::chrono::seconds>(context_.loop.now() - then);
        return static_cast<std::uint64_t>(std::max<std::int64_t>(passed.count(), 0));
    };
    for (const Listener& listener : listeners_) {
        StreamRow row;
        row.listening = true;
        row.inbound = true;
        row.local = net::format_address(context_.loop.local_address(listener.socket));
        row.state = "listening";
        if (listener.direct_tls) row.tls = "direct";
        rows.push_back(std::move(row));
    }
    const auto add = [&](const net::Connection& connection, const xml::Stream* stream,
                         Instant since, StreamRow row) {
        row.local = net::format_address(connection.local_address());
        row.peer = net::format_address(connection.peer_address());
        row.tls = tls_of(connection);
        row.age_s = seconds_since(since);
        row.idle_s = seconds_since(connection.last_received());
        if (stream != nullptr) {
            row.stanzas = stream->counts().stanzas_in;
            row.stanzas_back = stream->counts().stanzas_out;
            if (!row.inbound) std::swap(row.stanzas, row.stanzas_back);
        }
        rows.push_back(std::move(row));
    };
    in_streams_.for_each([&](Handle<InStream>, const InStream& stream) {
        if (stream.gone()) return;
        StreamRow row;
        row.inbound = true;
        row.our = stream.their().empty() ? std::string(stream.stream().our_domain()) : stream.our();
        row.their =
            stream.their().empty() ? std::string(stream.stream().their_domain()) : stream.their();
        row.state = stream.their().empty() ? stream.stream().state_name() : "established";
        row.both_ways = stream.stream().bidi();
        if (!stream.their().empty()) row.proof = name_of(stream.proof());
        add(stream.connection(), &stream.stream(), stream.since(), std::move(row));
    });
    for (const auto& [key, stream] : out_streams_) {
        StreamRow row;
        row.our = stream->our();
        row.their = stream->their();
        row.state = stream->state_name();
        row.waiting = stream->waiting_count();
        const auto pause = stream->retry_at() - context_.loop.now();
        row.retry_s = static_cast<std::uint64_t>(
            std::max(std::chrono::ceil<std::chrono::seconds>(pause).count(), std::int64_t{0}));
        if (stream->stream() != nullptr) {
            row.proof = name_of(stream->proof());
            row.both_ways = stream->stream()->bidi();
        }
        if (stream->connection() != nullptr) {
            add(*stream->connection(), stream->stream(), stream->since(), std::move(row));
        } else if (!stream->idle() && (!stream->carried() || stream->waiting_count() > 0)) {
            rows.push_back(std::move(row));
        }
    }
    return rows;
}

}  // namespace fedgate::edge
