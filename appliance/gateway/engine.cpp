#include "appliance/gateway/engine.hpp"

#include <algorithm>
#include <cstring>

#include "net/address.hpp"

namespace fedgate::gateway {
namespace {

// Fixed fronts of records between shards; the same program writes and reads them.
template <typename T>
Bytes as_bytes(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <typename T>
T take_value(Bytes& record) {
    T value;
    FEDGATE_CHECK(record.size() >= sizeof value);
    std::memcpy(&value, record.data(), sizeof value);
    record.remove_prefix(sizeof value);
    return value;
}

Bytes take_bytes(Bytes& record, std::size_t size) {
    FEDGATE_CHECK(record.size() >= size);
    const Bytes taken = record.substr(0, size);
    record.remove_prefix(size);
    return taken;
}

struct OutboxFront {
    link::Ticket ticket;
    std::uint32_t our_bytes;
    std::uint32_t their_bytes;
};

struct AnswerFront {
    std::uint64_t transaction;
    bool other_gateway;
    std::uint16_t status;
    std::uint16_t retry_after;
    std::uint32_t reason_bytes;
    std::uint32_t headers_bytes;
};

const char* verdict_of(const SipConnection& connection) {
    if (!connection.ready()) return "being set up";
    switch (connection.trust()) {
        case SipTrust::kCertificate: return "trusted by certificate";
        case SipTrust::kAddress: return "trusted by address";
        case SipTrust::kNone: break;
    }
    return connection.leg() != nullptr ? "next hop" : "refused";
}

SipAgentSettings agent_settings(const Shard& shard, const GatewayOptions& options) {
    return {shard.index(), options.secret, options.timing, options.host};
}

}  // namespace

void Incoming::on_timer(Timer&) { engine.on_incoming_timer(*this); }
void Session::on_timer(Timer&) { engine.on_session_timer(*this); }
void SessionMsrp::on_timer(Timer&) { session.engine.on_msrp_timer(*this); }
void SessionMsrp::on_resolved(net::QueryId, const net::DnsAnswer& answer) {
    is_asking = false;
    session.engine.on_msrp_resolved(*this, answer);
}
void ShownTyping::on_timer(Timer&) { engine.on_typing_missed(*this); }

Gateway::Engine::Engine(Shard& shard, const rules::Snapshot& rules, net::Resolver& resolver,
                        net::TlsContext* tls, const GatewayOptions& options)
    : shard_(shard),
      rules_(&rules),
      quota_(options.subscriptions != nullptr ? options.subscriptions : &own_quota_),
      blocks_(kBlockBytesMax, kHeldBytes),
      random_(shard.loop()),
      tracer_(shard.loop()),
      keys_(options.secret),
      correspondents_(keys_),
      agent_(shard, static_cast<SipAgentUser&>(*this), rules, resolver, tls, blocks_, random_,
             tracer_, agent_settings(shard, options)),
      resolver_(resolver),
      receipts_(options.secret),
      shown_typing_(kShownTyping),
      incoming_(kIncoming),
      askers_(kServerTransactions),
      sdp_(std::make_unique<sip::Sdp>()),
      msrp_(shard.loop(), shard.stats(), static_cast<MsrpTransportUser&>(*this), tls,
            rules.settings.im.max_bytes),
      bounce_index_(kIncoming),
      merge_index_(kIncoming),
      telling_(*this),
      notices_again_(*this),
      housekeeping_(*this),
      started_at_(shard.loop().now()),
      name_memory_(8 * xml::kJidBytes) {
    correspondents_.reload(rules);
    size_memory();
    size_msrp();
    // What begins something needs room for what follows from it; what ends something needs none.
    for (const auto kind : {GatewayRecord::kStanza, GatewayRecord::kRequest}) {
        shard_.set_handler(static_cast<std::uint32_t>(kind), *this, RecordUse::kMayWait);
    }
    for (const auto kind :
         {GatewayRecord::kAnswer, GatewayRecord::kResponse, GatewayRecord::kAcknowledged}) {
        shard_.set_handler(static_cast<std::uint32_t>(kind), *this, RecordUse::kAlwaysTaken);
    }
    shard_.loop().timers().arm(housekeeping_, now() + kHousekeeping);
}

Gateway::Engine::~Engine() = default;

// A text grows on its way: line ends and quoting double it, a charset can triple it, escapes in XML
// make up to six bytes of one.
void Gateway::Engine::size_memory() {
    const std::size_t body = rules_->settings.im.max_bytes;
    text_memory_.resize(4 * body + 65'536);
    scratch_memory_.resize(4 * body + 65'536);
    request_memory_.resize(2 * body + 65'536 + kPidfBytesMax);
    stanza_memory_.resize(6 * body + 262'144);
}

Result<void> Gateway::Engine::start() {
    const Result<void> sip = agent_.listen();
    const Result<void> msrp = listen_for_msrp();
    return sip ? msrp : sip;
}

void Gateway::Engine::reload(const rules::Snapshot& rules) {
    rules_ = &rules;
    correspondents_.reload(rules);
    parties_.clear();
    latest_domain_ = nullptr;
    agent_.reload(rules);
    size_memory();
    size_msrp();
    static_cast<void>(listen_for_msrp());  // it is logged
    watches_.reload();
    watchers_.reload();
}

// Whoever still waits for a SIP server, or for a SIP user's agent, is told so.
void Gateway::Engine::give_up() {
    give_up_msrp();
    agent_.give_up();
}

void Gateway::Engine::drain() {
    draining_ = true;
    agent_.set_draining();
    end_all_sessions();
    while (ClientRequest* notice = take_first(late_notices_)) end_notice(*notice);
}

bool Gateway::Engine::drained() const {
    // Subscriptions outlive the process: the next one goes on with them.
    return agent_.request_count() == agent_.probe_count() + agent_.presence_count() &&
           agent_.unanswered_count() == 0 && unanswered_ == 0 && untold_.count == 0 &&
           late_answers_.empty() && outbox_.empty();
}

Key Gateway::Engine::pair_key(const AddressView& xmpp, const AddressView& sip) const {
    return gateway::pair_key(keys_, xmpp, sip);
}

void Gateway::Engine::to_partner(Bytes our_domain, Bytes their_domain, Bytes stanza,
                                 PresenceToken token) {
    give(token != 0 ? link::make_ticket(shard_.index(), kPresenceTicket | token) : 0, our_domain,
         their_domain, stanza);
}

void Gateway::Engine::give(link::Ticket ticket, Bytes our_domain, Bytes their_domain,
                           Bytes stanza) {
    if (tracer_.on()) [[unlikely]]
        tracer_.stanza_out({ticket, our_domain, their_domain, stanza});
    if (outbox_.empty() && edge_->take_stanza({ticket, our_domain, their_domain, stanza})) return;
    count(Counter::kLinkBackPressure);
    const OutboxFront front{ticket, static_cast<std::uint32_t>(our_domain.size()),
                            static_cast<std::uint32_t>(their_domain.size())};
    std::string record(as_bytes(front));
    record.append(our_domain).append(their_domain).append(stanza);
    outbox_bytes_ += record.size();
    outbox_.push_back(std::move(record));
    shard_.loop().timers().arm(telling_, now() + kRetryTelling);
}

void Gateway::Engine::empty_outbox() {
    while (!outbox_.empty()) {
        Bytes record = outbox_.front();
        const auto front = take_value<OutboxFront>(record);
        const Bytes our_domain = take_bytes(record, front.our_bytes);
        const Bytes their_domain = take_bytes(record, front.their_bytes);
        if (!edge_->take_stanza({front.ticket, our_domain, their_domain, record})) return;
        outbox_bytes_ -= outbox_.front().size();
        outbox_.pop_front();
    }
}

void Gateway::Engine::drop(const char* what) {
    count(Counter::kMapDropped);
    shard_.log().event(EventId::kMapDropped, {{"what", what}});
    if (tracer_.on()) [[unlikely]]
        tracer_.remark("goes no further", what);
}

bool Gateway::Engine::take_stanza(const link::FromPartner& from_partner) {
    Sink names{MutableBytes(name_memory_)};
    if (from_partner.view == nullptr) {
        const xml::Stanza view = xml::parse_stanza(from_partner.stanza, scope_);
        return take_stanza(
            {from_partner.from_domain, from_partner.proof, from_partner.stanza, &view});
    }
    if (tracer_.on()) [[unlikely]]
        tracer_.stanza_in(from_partner, false);
    StanzaCall call{from_partner, *from_partner.view};
    if (call.stanza.kind == xml::StanzaKind::kOther) {
        drop("element");  // IQ-15 is the edge's
        return true;
    }
    if (!read_call(call, names)) return refuse_unknown(call);
    switch (call.stanza.kind) {
        case xml::StanzaKind::kMessage: return take_message(call);
        case xml::StanzaKind::kIq: return take_iq(call);
        case xml::StanzaKind::kPresence: return take_presence(call);
        case xml::StanzaKind::kOther: break;
    }
    return true;
}

// False: its mailbox is full, or the record can never be sent, which the caller's limits exclude.
bool Gateway::Engine::send_to(std::uint32_t shard, GatewayRecord kind,
                              std::initializer_list<Bytes> parts) {
    const bool sent = shard_.send(shard, static_cast<std::uint32_t>(kind), parts);
    if (!sent) count(Counter::kLinkBackPressure);
    return sent;
}

bool Gateway::Engine::to_edge(const link::ToPartner& stanza) {
    if (tracer_.on()) [[unlikely]]
        tracer_.stanza_out(stanza);
    if (edge_->take_stanza(stanza)) return true;
    if (tracer_.on()) [[unlikely]]
        tracer_.remark("held back", "the edge has no room now");
    return false;
}

bool Gateway::Engine::forward(std::uint32_t owner, const link::FromPartner& from_partner) {
    const auto domain_bytes = static_cast<std::uint32_t>(from_partner.from_domain.size());
    return send_to(owner, GatewayRecord::kStanza,
                   {as_bytes(domain_bytes), as_bytes(from_partner.proof), from_partner.from_domain,
                    from_partner.stanza});
}

bool Gateway::Engine::forward(std::uint32_t owner, const sip::Message& request, Bytes to_tag,
                              const Origin& origin) {
    return send_to(owner, GatewayRecord::kRequest,
                   {as_bytes(origin.shard), as_bytes(origin.transaction.pack()),
                    as_bytes(origin.other_gateway), to_tag, request.bytes});
}

void Gateway::Engine::answer(const Origin& origin, const SipAnswer& answer, Bytes headers,
                             Bytes body) {
    if (origin.message != 0) return static_cast<void>(answer_msrp(origin, answer));
    if (origin.session) return answer_invite(origin, answer, headers);
    if (origin.trial != 0) return on_trial_answer(origin.trial, answer.status, answer.reason);
    if (!origin.transaction) return;
    if (origin.shard == shard_.index()) {
        if (origin.other_gateway) return answer_asker(origin, answer, headers, body);
        return agent_.answer(origin.transaction, answer, headers, body);
    }
    const AnswerFront front{origin.transaction.pack(),
                            origin.other_gateway,
                            answer.status,
                            answer.retry_after,
                            static_cast<std::uint32_t>(answer.reason.size()),
                            static_cast<std::uint32_t>(headers.size())};
    if (late_answers_.empty() && send_to(origin.shard, GatewayRecord::kAnswer,
                                         {as_bytes(front), answer.reason, headers, body})) {
        return;
    }
    // Never lost: as many at most as messages are held (kServerTransactions of each shard).
    std::string record(as_bytes(origin.shard));
    record.append(as_bytes(front)).append(answer.reason).append(headers).append(body);
    late_answers_.push_back(std::move(record));
    shard_.loop().timers().arm(telling_, now() + kRetryTelling);
}

void Gateway::Engine::acknowledge(const Origin& origin) {
    if (!origin.transaction || origin.other_gateway) return;
    if (origin.shard == shard_.index()) return agent_.acknowledge(origin.transaction);
    static_cast<void>(
        send_to(origin.shard, GatewayRecord::kAcknowledged, {as_bytes(origin.transaction.pack())}));
}

bool Gateway::Engine::on_stray_response(std::uint32_t core, const sip::Message& message,
                                        const SipPeer& peer) {
    if (core >= shard_.count()) return false;
    return send_to(core, GatewayRecord::kResponse,
                   {as_bytes(peer.socket), as_bytes(peer.address), message.bytes});
}

bool Gateway::Engine::on_record(std::uint32_t kind, std::uint32_t, Bytes record) {
    switch (static_cast<GatewayRecord>(kind)) {
        case GatewayRecord::kStanza: {
            const auto domain_bytes = take_value<std::uint32_t>(record);
            const auto proof = take_value<link::Proof>(record);
            const Bytes domain = take_bytes(record, domain_bytes);
            const link::FromPartner from_partner{domain, proof, record};
            if (tracer_.on()) [[unlikely]]
                tracer_.stanza_in(from_partner, true);
            Sink names{MutableBytes(name_memory_)};
            const xml::Stanza view = xml::parse_stanza(record, scope_);
            StanzaCall call{from_partner, view};
            if (!read_call(call, names)) return refuse_unknown(call);
            if (call.malformed) return true;  // it was not where it came in
            const Key& pair = call.who->pair;
            switch (call.stanza.kind) {
                case xml::StanzaKind::kPresence: return own_presence(call, pair);
                case xml::StanzaKind::kIq: return answer_iq_of(call, &pair);
                default: return own_message(call, pair);
            }
        }
        case GatewayRecord::kRequest: {
            Origin origin;
            origin.shard = take_value<std::uint32_t>(record);
            origin.transaction =
                Handle<ServerTransaction>::unpack(take_value<std::uint64_t>(record));
            origin.other_gateway = take_value<bool>(record);
            const Bytes to_tag = take_bytes(record, sip::kTagBytes);
            return take_record(origin, to_tag,
                               MutableBytes(const_cast<char*>(record.data()), record.size()));
        }
        case GatewayRecord::kAnswer: {
            const auto front = take_value<AnswerFront>(record);
            const Bytes reason = take_bytes(record, front.reason_bytes);
            const Bytes headers = take_bytes(record, front.headers_bytes);
            answer({shard_.index(), Handle<ServerTransaction>::unpack(front.transaction),
                    front.other_gateway},
                   {front.status, reason, front.retry_after}, headers, record);
            return true;
        }
        case GatewayRecord::kAcknowledged: {
            agent_.acknowledge(
                Handle<ServerTransaction>::unpack(take_value<std::uint64_t>(record)));
            return true;
        }
        case GatewayRecord::kResponse: {
            const auto socket = take_value<std::uint8_t>(record);
            const auto address = take_value<SocketAddress>(record);
            MutableBytes bytes(const_cast<char*>(record.data()), record.size());
            static_cast<void>(agent_.transport().take_datagram(socket, address, bytes));
            return true;
        }
    }
    return true;
}

void Gateway::Engine::on_timer(Timer& timer) {
    if (&timer == &housekeeping_) {
        conversations_.evict_idle(now(), kEvictionsAtOnce);
        shard_.loop().timers().arm(housekeeping_, now() + kHousekeeping);
        return;
    }
    if (&timer == &notices_again_) return send_late_notices();
    std::size_t sent = 0;
    for (; sent < late_answers_.size(); ++sent) {
        Bytes record = late_answers_[sent];
        const auto shard = take_value<std::uint32_t>(record);
        if (!send_to(shard, GatewayRecord::kAnswer, {record})) break;
    }
    late_answers_.erase(late_answers_.begin(),
                        late_answers_.begin() + static_cast<std::ptrdiff_t>(sent));
    tell_untold();
    empty_outbox();
    if (!late_answers_.empty() || untold_.count != 0 || !outbox_.empty()) {
        shard_.loop().timers().arm(telling_, now() + kRetryTelling);
    }
}

void Gateway::Engine::on_stored(store::Sequence last, bool ok) {
    watches_.on_stored(last, ok);
    watchers_.on_stored(last, ok);
}

void Gateway::Engine::on_restored(std::span<const store::Row> rows) {
    for (const store::Row& row : rows) {
        row.kind == store::Kind::kWatch ? watches_.restore(row) : watchers_.restore(row);
    }
}

void Gateway::Engine::on_restore_done() {
    restoring_ = false;
    watches_.on_restore_done();
    watchers_.on_restore_done();
}

void Gateway::Engine::on_lost(const Slots& slots) {
    watches_.drop(slots);
    watchers_.drop(slots);
}

bool Gateway::Engine::has(const AddressView& xmpp, const AddressView& sip) const {
    if (store_ == nullptr) return true;
    const std::uint64_t user = hash_of_address(xmpp.jid.local, xmpp.jid.domain, 0);
    return store_->has(slot_of(hash_of_address(sip.jid.local, sip.jid.domain, user)));
}

std::vector<PortRow> Gateway::Engine::ports() {
    std::vector<PortRow> rows;
    for (const SipListenerInfo& info : agent_.transport().listeners()) {
        rows.push_back(
            {true, text_of(info.transport), net::format_address(info.local), {}, "listener", {}});
    }
    agent_.transport().for_each_connection([&](SipConnection& connection) {
        if (connection.stream() == nullptr) return;
        rows.push_back({false, connection.tls() ? "tls" : "tcp",
                        net::format_address(connection.stream()->local_address()),
                        net::format_address(connection.stream()->peer_address()),
                        connection.leg() != nullptr ? "next hop of " + connection.leg()->domain
                                                    : "from SIP peer",
                        verdict_of(connection)});
    });
    const auto name = [](bool tls) { return tls ? "msrps" : "msrp"; };
    if (msrp_local_) {
        rows.push_back({true,
                        name(msrp_settings_.tls),
                        net::format_address(*msrp_local_),
                        {},
                        "MSRP listener",
                        {}});
    }
    msrp_.for_each_connection([&](const MsrpConnection& connection) {
        rows.push_back({false, name(connection.tls()),
                        net::format_address(connection.local_address()),
                        net::format_address(connection.peer_address()),
                        connection.is_in() ? "from MSRP peer" : "to MSRP peer",
                        !connection.is_ready()           ? "being set up"
                        : connection.sessions == nullptr ? "without a session"
                                                         : "in a session"});
    });
    return rows;
}

std::vector<TargetRow> Gateway::Engine::targets() {
    std::vector<TargetRow> rows;
    for (const auto& route : agent_.routes()) {
        for (const auto& leg : route->legs()) {
            const bool up = route->is_up(*leg);
            rows.push_back({route->domain(), leg->host + ":" + std::to_string(leg->target.port),
                            text_of(leg->transport), net::format_address(leg->target.address), up,
                            leg->suspect, !leg->answers_options && leg->unanswered_options,
                            now() - leg->since, up && !leg->suspect ? "" : leg->why,
                            std::max(leg->held_until - now(), Duration::zero()),
                            leg->requests.count, leg->answered, leg->unanswered});
        }
    }
    return rows;
}

GatewayStatus Gateway::Engine::status() {
    return {conversations_.count(),     agent_.request_count(),
            agent_.transaction_count(), blocks_.used_bytes(),
            blocks_.reserved_bytes(),   watches_.count(),
            watchers_.count(),          draining_};
}

// ---- Gateway

Gateway::Gateway(Shard& shard, const rules::Snapshot& rules, net::Resolver& resolver,
                 net::TlsContext* tls, const GatewayOptions& options)
    : engine_(std::make_unique<Engine>(shard, rules, resolver, tls, options)) {}

std::uint32_t owner_shard(const sip::KeySecret& secret, Bytes xmpp_jid, Bytes sip_jid,
                          std::uint32_t shards) {
    const xml::Jid xmpp = xml::split_jid(xmpp_jid).value_or(xml::Jid{});
    const xml::Jid sip = xml::split_jid(sip_jid).value_or(xml::Jid{});
    const Key pair = KeyMaker(secret).make({xmpp.local, xmpp.domain, sip.local, sip.domain});
    return Conversations::owner_of(pair, shards);
}

Gateway::~Gateway() = default;

void Gateway::attach(link::EdgeDoor& edge) { engine_->attach(edge); }
void Gateway::attach_store(store::Door& door) { engine_->attach_store(door); }
store::User& Gateway::store_user() { return *engine_; }
Result<void> Gateway::start() { return engine_->start(); }
void Gateway::reload(const rules::Snapshot& rules) { engine_->reload(rules); }
void Gateway::set_tls(net::TlsContext* tls) { engine_->set_tls(tls); }
void Gateway::drain() { engine_->drain(); }
bool Gateway::drained() const { return engine_->drained(); }
void Gateway::give_up() { engine_->give_up(); }
bool Gateway::take_stanza(const link::FromPartner& stanza) { return engine_->take_stanza(stanza); }
void Gateway::on_outcome(const link::Outcome& outcome) { engine_->on_outcome(outcome); }
void Gateway::on_partner(const link::PartnerNews& news) { engine_->on_partner(news); }
void Gateway::on_edge_back() { engine_->on_edge_back(); }
void Gateway::on_others_hold(bool hold) { engine_->on_others_hold(hold); }
bool Gateway::take_request(const link::Request& request) { return engine_->take_request(request); }
void Gateway::on_answer(const link::Answer& answer) { engine_->on_answer(answer); }
std::vector<PortRow> Gateway::ports() const { return engine_->ports(); }
std::vector<TargetRow> Gateway::targets() const { return engine_->targets(); }
GatewayStatus Gateway::status() const { return engine_->status(); }
std::vector<SeenUser> Gateway::seen_users() const { return engine_->seen_users(); }
Tracer& Gateway::tracer() { return engine_->tracer(); }
TrialStart Gateway::begin_trial(const TrialOrder& order) { return engine_->begin_trial(order); }
TrialRow Gateway::trial(std::uint64_t id) const { return engine_->trial(id); }

}  // namespace fedgate::gateway
