// Client half: requests of ours. The server half is sip_agent_server.cpp.
#include "appliance/gateway/sip_agent.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "appliance/gateway/redirect.hpp"
#include "net/address.hpp"
#include "sip/digest.hpp"

namespace fedgate::gateway {
namespace {

constexpr std::size_t kScratchBytes = limits::kSipHeaderBytes + 16'384;  // and a Contact of ERR-23

// For people: why a next hop is down.
const char* reason_of(const Error& error) {
    switch (error.code) {
        case Errc::kRefused: return "connection refused";
        case Errc::kReset:
        case Errc::kClosed: return "connection broken";
        case Errc::kTimeout: return "no answer on its connection";
        case Errc::kCertificate: return "its certificate proves neither the domain nor its name";
        case Errc::kTls: return "TLS handshake failed";
        default: return error.where;
    }
}

bool is_presence(RequestKind kind) {
    return kind == RequestKind::kSubscribe || kind == RequestKind::kNotify;
}

}  // namespace

sip::Method method_of(RequestKind kind) {
    switch (kind) {
        case RequestKind::kMessage:
        case RequestKind::kNotice:
        case RequestKind::kTyping:
        case RequestKind::kReceipt: return sip::Method::kMessage;
        case RequestKind::kProbe: return sip::Method::kOptions;
        case RequestKind::kSubscribe: return sip::Method::kSubscribe;
        case RequestKind::kNotify: return sip::Method::kNotify;
        case RequestKind::kInvite: return sip::Method::kInvite;
        case RequestKind::kBye: return sip::Method::kBye;
        case RequestKind::kInfo: return sip::Method::kInfo;
    }
    return sip::Method::kUnknown;
}

void append(RequestList& list, ClientRequest& request) {
    request.next = nullptr;
    request.previous = list.last;
    (list.last != nullptr ? list.last->next : list.first) = &request;
    list.last = &request;
    ++list.count;
}

void prepend(RequestList& list, ClientRequest& request) {
    request.previous = nullptr;
    request.next = list.first;
    (list.first != nullptr ? list.first->previous : list.last) = &request;
    list.first = &request;
    ++list.count;
}

void remove(RequestList& list, ClientRequest& request) {
    (request.previous != nullptr ? request.previous->next : list.first) = request.next;
    (request.next != nullptr ? request.next->previous : list.last) = request.previous;
    request.next = request.previous = nullptr;
    --list.count;
}

ClientRequest* take_first(RequestList& list) {
    ClientRequest* first = list.first;
    if (first != nullptr) remove(list, *first);
    return first;
}

void ClientRequest::on_timer(Timer&) { agent.on_request_timer(*this); }

SipAgent::SipAgent(Shard& shard, SipAgentUser& user, const rules::Snapshot& rules,
                   net::Resolver& resolver, net::TlsContext* tls, BlockPool& blocks, Random& random,
                   Tracer& tracer, const SipAgentSettings& settings)
    : shard_(shard),
      user_(user),
      rules_(&rules),
      resolver_(resolver),
      blocks_(blocks),
      random_(random),
      tracer_(tracer),
      settings_(settings),
      requests_(kClientRequests),
      transactions_(kServerTransactions),
      transaction_index_(kServerTransactions),
      transport_(shard, *this, rules, tls, settings.via_host, KeyMaker(settings.secret)),
      scratch_(kScratchBytes) {
    build_routes();
}

SipAgent::~SipAgent() = default;

void SipAgent::reload(const rules::Snapshot& rules) {
    rules_ = &rules;
    transport_.reload(rules);
    build_routes();
}

// Routes whose next hops did not change stay, with their connections and their health.
void SipAgent::build_routes() {
    std::vector<std::unique_ptr<SipRoute>> routes;
    rules::NameIndex index;
    has_sessions_ = false;
    for (const rules::SipDomain& domain : rules_->sip_domains()) {
        has_sessions_ = has_sessions_ || domain.profile != rules::Profile::kPage;
        auto old = std::ranges::find_if(routes_, [&](const auto& route) {
            return route != nullptr && route->domain() == domain.name && route->same_hops(domain);
        });
        const Duration interval = rules_->settings.sip.options_interval;
        FEDGATE_CHECK(index.add(domain.name, static_cast<std::uint32_t>(routes.size())));
        if (old != routes_.end()) {
            (*old)->set_options_interval(interval);
            routes.push_back(std::move(*old));
        } else {
            routes.push_back(std::make_unique<SipRoute>(shard_, resolver_, random_, transport_,
                                                        static_cast<SipRouteOwner&>(*this), domain,
                                                        interval));
        }
    }
    for (auto& route : routes_) {
        if (route == nullptr) continue;
        route->retire(rules_->sip_domain(route->domain()) == nullptr);
        retired_routes_.push_back(std::move(route));
    }
    routes_ = std::move(routes);
    route_index_ = std::move(index);
    end_requests([](const SipRoute& route) { return route.is_gone(); });
    drop_retired_routes();
}

void SipAgent::drop_retired_routes() {
    std::erase_if(retired_routes_, [](const auto& route) { return route->users == 0; });
}

SipRoute* SipAgent::find_route(Bytes domain) {
    const std::uint32_t at = route_index_.find(domain);
    return at == rules::NameIndex::kNone ? nullptr : routes_[at].get();
}

ClientRequest* SipAgent::make_request(SipRoute& route, RequestKind kind) {
    if (is_presence(kind) && presence_requests_ == kPresenceRequests) return nullptr;
    if (kind == RequestKind::kInvite && invite_requests_ == kInviteRequests) return nullptr;
    Handle<ClientRequest> handle;
    ClientRequest* request = requests_.make(handle, *this, kind);
    if (request == nullptr) return nullptr;
    if (is_presence(kind)) ++presence_requests_;
    if (kind == RequestKind::kInvite) ++invite_requests_;
    request->self = handle;
    request->route = &route;
    ++route.users;
    return request;
}

void SipAgent::release(ClientRequest& request) {
    if (is_presence(request.kind)) --presence_requests_;
    if (request.kind == RequestKind::kInvite) --invite_requests_;
    --request.route->users;
    requests_.free(request.self);
}

bool SipAgent::may_reach(ClientRequest& request) {
    SipRoute* present = find_route(request.route->domain());
    if (present == nullptr) return true;  // send() says that it is gone
    --request.route->users;
    request.route = present;
    ++present->users;
    return !present->ready() || present->empty() || present->has_other(0);
}

void SipAgent::keep(ClientRequest& request, Block&& block, std::size_t prefix_bytes,
                    const ViaLine& via) {
    request.memory = std::move(block);
    // It may have been sent before, as another request.
    request.credentials_bytes = 0;
    request.challenges = 0;
    request.next_cseq = false;
    request.redirected = false;
    request.renumbered = false;
    request.way = {};
    request.request_begin = static_cast<std::uint32_t>(prefix_bytes);
    request.via_begin = static_cast<std::uint32_t>(via.begin);
    request.via_end = static_cast<std::uint32_t>(via.end);
}

const sip::OwnVia& SipAgent::likely_via(const SipRoute& route) const {
    const RouteLeg* const leg = route.legs().empty() ? nullptr : route.legs().front().get();
    return transport_
        .via(leg == nullptr ? sip::Transport::kTcp : leg->transport,
             leg != nullptr && net::is_ipv6(leg->target.address))
        .own;
}

void SipAgent::write_contact(Sink& sink, Bytes user, const SipRoute& route) const {
    sip::OwnVia at = likely_via(route);
    const bool v6 = !route.legs().empty() && net::is_ipv6(route.legs().front()->target.address);
    for (const auto other : {sip::Transport::kTls, sip::Transport::kTcp, sip::Transport::kUdp}) {
        if (at.port != 0) break;  // we listen there
        at = transport_.via(other, v6).own;
    }
    sip::write_contact(sink, {user, at.host, at.port, at.transport, false});
}

sip::Tag SipAgent::make_tag(std::uint32_t core) {
    return sip::make_tag(core, random_.bytes<sip::kTokenRandomBytes>());
}

std::optional<std::uint32_t> SipAgent::core_of(Bytes tag) const {
    const auto core = sip::core_of_tag(tag);
    if (!core) return std::nullopt;
    return *core % shard_.count();
}

// The Via of the leg that takes it, with a new branch (SIP-8, SIP-13). In place where the size
// allows.
void SipAgent::write_via(ClientRequest& request, const RouteLeg& leg) {
    request.branch_random = random_.bytes<sip::kTokenRandomBytes>();
    const UsualVia& via = transport_.via(leg.transport, net::is_ipv6(leg.target.address));
    constexpr Bytes kName = "Via: ";
    const std::size_t line_bytes = kName.size() + via.text.size() + 2;
    const std::size_t old_bytes = request.via_end - request.via_begin;
    const std::size_t size = request.memory.bytes().size() - old_bytes + line_bytes;
    FEDGATE_CHECK(size <= request.memory.memory().size());  // fill() has left room for any Via
    char* const line = request.memory.memory().data() + request.request_begin + request.via_begin;
    if (line_bytes != old_bytes) {
        const char* const end = request.memory.bytes().data() + request.memory.bytes().size();
        std::memmove(line + line_bytes, line + old_bytes,
                     static_cast<std::size_t>(end - line) - old_bytes);
        line[line_bytes - 2] = '\r';
        line[line_bytes - 1] = '\n';
        request.memory.set_size(size);
        request.via_end = request.via_begin + static_cast<std::uint32_t>(line_bytes);
    }
    std::memcpy(line + kName.size(), via.text.data(), via.text.size());
    const sip::Branch branch =
        sip::make_branch({settings_.core, request.self.index, request.branch_random});
    std::memcpy(line + kName.size() + via.branch_begin, branch.text.data(), branch.text.size());
}

void SipAgent::give_up() {
    given_up_ = true;
    end_requests([](const SipRoute&) { return true; });
}

// Those that wait in a pair's queue follow when the one before them has ended: send() ends them
// too.
template <typename Concerns>
void SipAgent::end_requests(Concerns concerns) {
    requests_.for_each([&](Handle<ClientRequest>, ClientRequest& request) {
        if ((request.leg == nullptr && !request.awaits_route) || !concerns(*request.route)) return;
        if (is_ringing(request)) send_cancel(request);
        finish(request, nullptr, unsent_fault(request));
    });
}

LocalFault SipAgent::unsent_fault(const ClientRequest& request) const {
    return request.route->is_gone() ? LocalFault::kNoNextHop : LocalFault::kDraining;
}

void SipAgent::send(ClientRequest& request) {
    if (given_up_ || request.route->is_gone())
        return finish(request, nullptr, unsent_fault(request));
    request.give_up_at = shard_.loop().now() + settings_.timing.timeout();  // SIP-8: 32 s in all
    request.tried = 0;
    request.doubted = false;
    dispatch(request);
}

// RFC 3261 12.2.1.1: by a strict router, or without a route, it is the Request-URI.
Hop SipAgent::hop_of(Bytes request, const sip::Dialog& dialog) {
    const std::size_t uri = request.find(' ') + 1;
    const bool is_uri = request.substr(uri, request.find(' ', uri) - uri) == dialog.next_hop();
    return is_uri ? Hop::kUri : Hop::kRoute;
}

void SipAgent::send_in_dialog(ClientRequest& request, const sip::Dialog& dialog) {
    request.way.hop = hop_of(request.request(), dialog);
    request.cseq = dialog.local_cseq();
    send(request);
}

void SipAgent::send_in_dialog(ClientRequest& request, const sip::Dialog& dialog, DialogWay& way) {
    const SipRoute& route = *request.route;
    if (!route.ready()) return send_in_dialog(request, dialog);
    if (way.legs_number != route.legs_number()) {
        way.legs_number = route.legs_number();
        way.hop = hop_of(request.request(), dialog);
        way.leg = dialog_leg(route, request.request(), way.hop);
        if (way.leg == nullptr) way.hop = Hop::kNoLeg;
    }
    request.way = way;
    request.cseq = dialog.local_cseq();
    send(request);
}

void SipAgent::send_ack(const sip::Dialog& dialog, SipRoute& route, Bytes request) {
    if (given_up_ || route.is_gone() || !route.ready()) return;
    RouteLeg* leg = dialog_leg(route, request, hop_of(request, dialog));
    if (leg == nullptr) leg = route.pick(0, false);
    if (leg == nullptr || !route.is_up(*leg)) return;
    const ViaLine old(request);
    const UsualVia& via = transport_.via(leg->transport, net::is_ipv6(leg->target.address));
    const sip::Branch branch = sip::make_branch(
        {settings_.core, UINT32_MAX, random_.bytes<sip::kTokenRandomBytes>()});  // of no request
    Sink sink{MutableBytes(scratch_)};
    sink.append(request.substr(0, old.begin), "Via: ", Bytes(via.text).substr(0, via.branch_begin));
    sink.append(branch.view(), Bytes(via.text).substr(via.branch_begin + branch.view().size()),
                "\r\n", request.substr(old.end));
    if (sink.overflowed()) return;
    if (leg->transport != sip::Transport::kUdp && transport_.find(leg->connection) == nullptr) {
        static_cast<void>(transport_.connect(*leg, leg->target));  // for the next time
    }
    send_along(*leg, sink.written());
}

// What goes with a request of ours and has no answer that counts. Without a way now it is lost:
// what asks for it comes again.
void SipAgent::send_along(const RouteLeg& leg, Bytes bytes) {
    if (leg.transport == sip::Transport::kUdp) {
        static_cast<void>(transport_.send_datagram(leg.target.address, bytes));
    } else {
        SipConnection* const connection = transport_.find(leg.connection);
        if (connection == nullptr || !connection->ready() || !connection->write_request(bytes))
            return;
    }
    shard_.stats().add(Counter::kSipRequestsOut);
    if (tracer_.on()) [[unlikely]] {
        tracer_.sip_out(bytes, text_of(leg.transport), net::format_address(leg.target.address), {});
    }
}

// The leg that is the next hop of the request's dialog. Null: none is, or several are.
RouteLeg* SipAgent::dialog_leg(const SipRoute& route, Bytes text, Hop hop_kind) {
    if (hop_kind == Hop::kPool || hop_kind == Hop::kNoLeg) return nullptr;
    const bool is_uri = hop_kind == Hop::kUri;
    constexpr Bytes kRoute = "\r\nRoute: <";  // SIP-4: before any text of others
    const std::size_t at = is_uri ? text.find(' ') : text.find(kRoute);
    if (at == Bytes::npos) return nullptr;
    text.remove_prefix(at + (is_uri ? 1 : kRoute.size()));
    const auto hop = sip::parse_uri(text.substr(0, text.find(is_uri ? ' ' : '>')));
    RouteLeg* leg = nullptr;
    return hop && route.has(hop->at, hop->params, leg) ? leg : nullptr;
}

void SipAgent::dispatch(ClientRequest& request) {
    SipRoute& route = *request.route;
    request.answered = 0;
    request.renewed = false;
    if (request.cancelled) return finish(request, nullptr, LocalFault::kTimeout);
    if (!route.ready()) {
        request.awaits_route = true;
        append(route.waiting, request);
        return arm(request);
    }
    if (route.empty()) return finish(request, nullptr, LocalFault::kNoNextHop);    // ERR-L2
    const bool big = request.request().size() > limits::kSipDatagramRequestBytes;  // SIP-7
    if (big && !route.has_stream())
        return finish(request, nullptr, LocalFault::kTooLarge);  // IM-18
    const bool known = request.way.legs_number == route.legs_number();
    RouteLeg* leg = known ? request.way.leg : dialog_leg(route, request.request(), request.way.hop);
    request.pinned = leg != nullptr;
    if (!request.pinned) {
        leg = route.pick(request.tried, big);
    } else if (request.tried != 0 || !route.is_up(*leg)) {
        leg = nullptr;  // SIP-9: its failure is the dialog's
    } else if (big && leg->transport == sip::Transport::kUdp) {
        return finish(request, nullptr, LocalFault::kTooLarge);
    }
    if (leg == nullptr) return finish(request, nullptr, LocalFault::kUnreachable);  // ERR-L3
    if (request.tried != 0) shard_.stats().add(Counter::kSipRequestsMoved);
    offer(request, *leg);
}

void SipAgent::offer(ClientRequest& request, RouteLeg& leg) {
    if (!write_credentials(request, leg)) return finish(request, nullptr, LocalFault::kOverload);
    if (leg.transport == sip::Transport::kUdp && request.kind != RequestKind::kProbe &&
        request.request().size() > limits::kSipDatagramRequestBytes) {
        return dispatch(request);  // SIP-7: with credentials it is too big; a stream takes any size
    }
    request.leg = &leg;
    append(leg.requests, request);
    if (leg.transport != sip::Transport::kUdp) {
        SipConnection* connection = transport_.find(leg.connection);
        if (connection == nullptr) connection = transport_.connect(leg, leg.target);
        if (connection == nullptr) {
            leg.route->on_failure(leg, "no connection");
            return fail_over(request);
        }
        if (!connection->ready()) return arm(request);  // on_sip_connected() goes on
    }
    if (!transmit(request, leg)) arm(request);  // on_sip_writable() goes on
}

// False: the connection has no room now.
bool SipAgent::transmit(ClientRequest& request, RouteLeg& leg) {
    write_via(request, leg);
    const bool reliable = leg.transport != sip::Transport::kUdp;
    if (reliable) {
        SipConnection* connection = transport_.find(leg.connection);
        if (connection == nullptr || !connection->write_request(request.request())) return false;
    } else {
        // No room in the socket is as good as lost on the way: timer E sends it again.
        static_cast<void>(transport_.send_datagram(leg.target.address, request.request()));
    }
    if (tracer_.on()) [[unlikely]]
        trace(request);
    const Instant now = shard_.loop().now();
    shard_.stats().add(Counter::kSipRequestsOut);
    request.machine.emplace(request.kind == RequestKind::kInvite
                                ? sip::TransactionKind::kClientInvite
                                : sip::TransactionKind::kClientOther,
                            settings_.timing, reliable);
    static_cast<void>(request.machine->start(now));
    request.sent_at = now;
    request.suspect_at = request.kind != RequestKind::kProbe ? now + kSuspectWait : kNever;
    arm(request);
    return true;
}

void SipAgent::trace(const ClientRequest& request, Bytes note) {
    tracer_.sip_out(request.request(), text_of(request.leg->transport),
                    net::format_address(request.leg->target.address), request.id(), note);
}

void SipAgent::arm(ClientRequest& request) {
    Instant deadline = std::min(request.give_up_at, request.cancel_at);
    if (request.leg != nullptr && request.leg->suspect) {
        deadline = std::min(deadline, request.suspect_at);
    }
    if (request.machine) deadline = std::min(deadline, request.machine->deadline());
    shard_.loop().timers().arm(request.timer, deadline);
}

void SipAgent::on_request_timer(ClientRequest& request) {
    const Instant now = shard_.loop().now();
    const auto time_is_up = [&] {
        shard_.stats().add(Counter::kSipTransactionTimeouts);
        shard_.log().event(EventId::kSipTimeout, {{"domain", request.route->domain()}});
        if (request.machine && request.kind != RequestKind::kProbe) ++request.leg->unanswered;
        finish(request, nullptr, LocalFault::kUnreachable);
    };
    if (now >= request.give_up_at) return is_ringing(request) ? cancel(request) : time_is_up();
    if (now >= request.cancel_at) send_cancel(request);
    if (now >= request.suspect_at && request.leg->suspect) {
        request.suspect_at = kNever;
        RouteLeg& leg = *request.leg;
        // SIP-8: only where another is left by now; else it waits for Timer F.
        if (may_move(request)) {
            leg.route->on_failure(leg, "no answer in 4 s");
            request.doubted = true;
            ++leg.unanswered;
            return fail_over(request);
        }
    }
    while (request.machine && request.machine->deadline() <= now) {
        const sip::Actions actions = request.machine->on_time(now);
        if (has(actions, sip::Actions::kSend)) {
            shard_.stats().add(Counter::kSipRetransmissionsOut);
            if (tracer_.on()) [[unlikely]]
                trace(request, "sent again");
            static_cast<void>(
                transport_.send_datagram(request.leg->target.address, request.request()));
        }
        if (has(actions, sip::Actions::kReportTimeout)) return time_is_up();
    }
    arm(request);
}

// A CANCEL of it would be understood.
bool SipAgent::is_ringing(const ClientRequest& request) {
    return request.kind == RequestKind::kInvite && !request.cancelled && request.machine &&
           request.machine->state() == sip::TransactionState::kProceeding;
}

void SipAgent::cancel(ClientRequest& request) {
    FEDGATE_CHECK(request.kind == RequestKind::kInvite);
    if (std::exchange(request.cancelled, true)) return;
    if (!request.machine) return finish(request, nullptr, LocalFault::kTimeout);  // nobody has it
    const Instant now = shard_.loop().now();
    request.give_up_at = now + settings_.timing.timeout();
    const auto actions = request.machine->step(sip::TransactionEvent::kCancel, now);
    if (has(actions, sip::Actions::kSendCancel)) send_cancel(request);
    arm(request);
}

// RFC 3261 9.1. Over UDP it is sent as any other request would be, until it is answered or the
// INVITE is.
void SipAgent::send_cancel(ClientRequest& request) {
    const sip::TransactionTiming& timing = settings_.timing;
    request.cancel_at = kNever;
    if (request.leg->transport == sip::Transport::kUdp) {
        const Duration wait =
            std::min(timing.t1 * (1 << std::min<int>(request.cancels, 8)), timing.t2);
        request.cancel_at = shard_.loop().now() + wait;
    }
    if (request.cancels++ > 0) shard_.stats().add(Counter::kSipRetransmissionsOut);
    if (!read_sent(request)) return;
    Sink sink{MutableBytes(scratch_)};
    sip::write_cancel(sink, sent_);
    if (!sink.overflowed()) send_along(*request.leg, sink.written());
}

// Reads the request as it was sent last. False: it is none that we would take ourselves.
bool SipAgent::read_sent(const ClientRequest& request) {
    const MutableBytes text =
        request.memory.memory().subspan(request.request_begin, request.request().size());
    return sip::parse_message(text, sip::Carrier::kDatagram, text.size(), sent_).verdict ==
           sip::Verdict::kDone;
}

// RFC 3261 17.1.1.3. Over UDP the failure may come again, also when the request is long gone.
void SipAgent::acknowledge(ClientRequest& request, const sip::Message& failure) {
    if (!read_sent(request)) return;
    Sink sink{MutableBytes(scratch_)};
    sip::write_ack(sink, sent_, failure);
    if (sink.overflowed()) return;
    send_along(*request.leg, sink.written());
    if (request.leg->transport != sip::Transport::kUdp) return;
    const Instant now = shard_.loop().now();
    while (!late_acks_.empty() &&
           (late_acks_.front().until <= now || late_acks_.size() >= kLateAcks)) {
        late_acks_.pop_front();
    }
    Block ack = blocks_.copy({sink.written()});
    if (!ack) return;
    late_acks_.push_back({{settings_.core, request.self.index, request.branch_random},
                          request.leg->target.address,
                          now + settings_.timing.timeout(),
                          std::move(ack)});
}

// Its end may take as long as people do.
void SipAgent::on_provisional(ClientRequest& request) {
    request.suspect_at = kNever;
    request.leg->route->on_alive(*request.leg, request.sent_at);
    if (std::exchange(request.rings, true) || request.cancelled) return;
    request.give_up_at = shard_.loop().now() + kRingingMax;
}

// Of no request that waits for it.
void SipAgent::on_late_response(const sip::BranchParts& branch, const sip::Message& response) {
    if (response.status < 200) return;
    if (response.cseq.method == sip::Method::kCancel) {
        // What became of it the INVITE's own response says.
        ClientRequest* const invite = find_request(branch, sip::Method::kInvite);
        if (invite == nullptr) return;
        invite->cancel_at = kNever;
        return arm(*invite);
    }
    if (response.cseq.method != sip::Method::kInvite) return;
    if (response.status < 300) return user_.on_success_again(response);
    const auto late = std::ranges::find(late_acks_, branch, &LateAck::branch);
    if (late == late_acks_.end() || late->until <= shard_.loop().now()) return;
    shard_.stats().add(Counter::kSipRetransmissionsOut);
    static_cast<void>(transport_.send_datagram(late->to, late->ack.bytes()));
}

void SipAgent::leave_leg(ClientRequest& request) {
    request.timer.cancel();
    request.cancel_at = kNever;
    if (request.awaits_route) {
        request.awaits_route = false;
        remove(request.route->waiting, request);
    }
    request.machine.reset();
    if (request.leg != nullptr) {
        remove(request.leg->requests, request);
        request.leg = nullptr;
    }
}

// Is another leg up, where it may go?
bool SipAgent::may_move(const ClientRequest& request) const {
    return request.kind != RequestKind::kProbe && !request.pinned && !request.cancelled &&
           request.route->has_other(request.tried | (std::uint64_t{1} << request.leg->slot));
}

// SIP-8: the next target, with a new branch and all else the same: a user agent that has it
// already, by the one that does not answer, knows it by Call-ID, From tag and CSeq (RFC
// 3261 8.2.2.2). To refuse what is in doubt instead would show the sender an error for nearly every
// message under way when a node dies, most of which never arrived anywhere, and people send those
// again by hand, with nothing to know them by.
void SipAgent::fail_over(ClientRequest& request) {
    if (!may_move(request)) return finish(request, nullptr, LocalFault::kUnreachable);  // ERR-L3
    request.tried |= std::uint64_t{1} << request.leg->slot;
    leave_leg(request);
    dispatch(request);
}

// SIP-30: the request with the credentials that this leg has asked for, instead of another's.
// False: no memory now.
bool SipAgent::write_credentials(ClientRequest& request, RouteLeg& leg) {
    const bool probe = request.kind == RequestKind::kProbe;
    if (probe || (leg.challenges.empty() && request.credentials_bytes == 0)) return true;
    const rules::SipDomain* const domain = rules_->sip_domain(request.route->domain());
    const bool known = domain != nullptr && !domain->digest_user.empty();
    const Bytes old = request.memory.bytes();
    const std::size_t cseq = old.find("\r\nCSeq: ", request.request_begin) + 2;
    const std::size_t rest = old.find("\r\n", cseq) + 2 + request.credentials_bytes;
    const std::size_t uri_begin = old.find(' ', request.request_begin) + 1;
    const Bytes uri = old.substr(uri_begin, old.find(' ', uri_begin) - uri_begin);
    const std::size_t more = known ? leg.challenges.bytes_max(domain->digest_user, uri) : 0;
    Block block = blocks_.take(old.size() + more + transport_.via_line_bytes_max());
    if (!block) return false;
    Sink sink(block.memory());
    sink.append(old.substr(0, cseq));
    const auto number = sip::parse_cseq(old.substr(cseq + 6, old.find("\r\n", cseq) - cseq - 6));
    FEDGATE_CHECK(number.has_value());
    sink.append("CSeq: ");
    request.renumbered = request.renumbered || request.next_cseq;
    request.cseq = number->number + (std::exchange(request.next_cseq, false) ? 1 : 0);
    const Bytes method = sip::method_text(method_of(request.kind));
    sink.append_number(request.cseq);
    sink.append(' ');
    sink.append(method);
    sink.append("\r\n");
    const std::size_t begin = sink.size();
    if (known) {
        const sip::Tag cnonce =
            sip::make_tag(settings_.core, random_.bytes<sip::kTokenRandomBytes>());
        leg.challenges.write(sink, {domain->digest_user, domain->digest_password},
                             {method, uri, cnonce.view()});
    }
    const std::size_t end = sink.size();
    sink.append(old.substr(rest));
    FEDGATE_CHECK(!sink.overflowed());
    block.set_size(sink.size());
    request.credentials_bytes = static_cast<std::uint32_t>(end - begin);
    request.memory = std::move(block);
    return true;
}

// SIP-30, RFC 3261 22.2: the same request again, with credentials and the next CSeq. False: there
// are none, or they were not good enough.
bool SipAgent::authorize(ClientRequest& request, const sip::Message& response) {
    const rules::SipDomain* const domain = rules_->sip_domain(request.route->domain());
    if (request.kind == RequestKind::kProbe || request.cancelled || domain == nullptr ||
        domain->digest_user.empty()) {
        return false;
    }
    RouteLeg& leg = *request.leg;
    const auto taken = leg.challenges.take(response, request.answered);
    const bool again = (taken & request.answered) != 0;  // `stale`
    if (taken == 0 || (again && request.renewed) || request.challenges == kChallengesMax) {
        leg.challenges.forget();
        return false;
    }
    leave_leg(request);
    request.renewed = request.renewed || again;
    request.answered |= taken;
    ++request.challenges;
    request.next_cseq = true;
    offer(request, leg);
    return true;
}

// SIP-9, ERR-3: a 302 within the pool is followed, once: to the same user at one of its nodes, or
// to an address of the domain. RFC 3261 8.1.3.4: the same request, with that URI and the next CSeq.
// False: it is an answer like another (ERR-300). What another leg may have is not: by its next CSeq
// nobody could know it again. A dialog has its own way.
bool SipAgent::redirect(ClientRequest& request, const sip::Message& response) {
    sip::Uri contact;
    RouteLeg* leg = nullptr;
    const bool follows =
        request.way.hop == Hop::kPool &&
        (request.kind == RequestKind::kMessage || request.kind == RequestKind::kSubscribe ||
         request.kind == RequestKind::kInvite);
    if (request.redirected || request.doubted || request.cancelled || !follows ||
        !best_contact(response, contact) || contact.scheme != sip::Scheme::kSip ||
        !contact.has_user || !request.route->has(contact.at, contact.params, leg)) {
        return false;
    }
    const Bytes old = request.memory.bytes();
    const std::size_t uri = old.find(' ', request.request_begin) + 1;
    const std::size_t uri_end = old.find(' ', uri);
    const std::size_t cseq = old.find("\r\nCSeq: ", uri_end) + 8;
    const std::size_t cseq_end = old.find("\r\n", cseq);
    const auto present = sip::parse_uri(old.substr(uri, uri_end - uri));
    const auto number = sip::parse_cseq(old.substr(cseq, cseq_end - cseq));
    if (!present || !number) return false;
    sip::Uri user = contact;
    user.at = present->at;
    if (!sip::same_aor(user, *present) && (leg != nullptr || !user_.may_redirect(request, contact)))
        return false;
    const Bytes text = contact.text.substr(0, contact.text.find('?'));  // headers are not for us
    Block block = blocks_.take(old.size() + text.size() + transport_.via_line_bytes_max());
    if (!block) return false;
    Sink sink(block.memory());
    sink.append(old.substr(0, uri));
    sink.append(text);
    sink.append(old.substr(uri_end, cseq - uri_end));
    sink.append_number(number->number + 1);
    sink.append(' ');
    sink.append(sip::method_text(method_of(request.kind)));
    sink.append(old.substr(cseq_end));
    if (sink.overflowed()) return false;
    block.set_size(sink.size());
    RouteLeg& from = *request.leg;
    leave_leg(request);
    const auto grown = static_cast<std::uint32_t>(text.size() - (uri_end - uri));  // may wrap
    request.via_begin += grown;
    request.via_end += grown;
    request.memory = std::move(block);
    request.redirected = true;
    request.cseq = number->number + 1;
    request.renumbered = true;
    request.tried = leg != nullptr ? std::uint64_t{1} << from.slot : 0;
    request.answered = 0;
    request.renewed = false;
    leg != nullptr ? offer(request, *leg) : dispatch(request);
    return true;
}

void SipAgent::finish(ClientRequest& request, const sip::Message* response, LocalFault fault) {
    RouteLeg* leg = request.leg;
    // SIP-11, IM-17: one leg can't refuse what another may have delivered. Also 482: it was there
    // already, by the way that did not answer; what has come of it is not known.
    if (request.doubted && response != nullptr && response->status >= 300) response = nullptr;
    if (response == nullptr && (request.doubted || request.machine)) fault = LocalFault::kInDoubt;
    leave_leg(request);
    if (request.kind == RequestKind::kProbe) {
        return finish_probe(request, *leg, response, nullptr);
    }
    user_.on_request_done(request, response, fault);
}

// RFC 3261 17.1.3. Null: it has ended, or has gone to another leg since.
ClientRequest* SipAgent::find_request(const sip::BranchParts& branch, sip::Method method) {
    ClientRequest* const request = requests_.find_at(branch.place);
    if (request == nullptr || !request->machine || request->branch_random != branch.random)
        return nullptr;
    return method == method_of(request->kind) ? request : nullptr;
}

bool SipAgent::on_response(const sip::Message& message, const SipPeer& peer) {
    shard_.stats().add(Counter::kSipResponsesIn);
    const auto branch = sip::read_branch(message.via.branch);
    if (!branch || message.via_count != 1) return true;  // not ours
    if (branch->core != settings_.core) {
        return peer.connection ? true : user_.on_stray_response(branch->core, message, peer);
    }
    requests_.prefetch_at(branch->place);
    ClientRequest* const found = find_request(*branch, message.cseq.method);
    if (found == nullptr) {
        on_late_response(*branch, message);
        return true;
    }
    ClientRequest& request = *found;
    const sip::Actions actions =
        request.machine->step(sip::received_event(message.status), shard_.loop().now());
    if (has(actions, sip::Actions::kSendAck)) acknowledge(request, message);
    if (message.status < 200 || !has(actions, sip::Actions::kPassUp)) {
        if (request.kind == RequestKind::kInvite && message.status < 200) on_provisional(request);
        if (has(actions, sip::Actions::kSendCancel)) send_cancel(request);
        arm(request);
        return true;
    }
    RouteLeg& leg = *request.leg;
    if ((message.status == 401 || message.status == 407) && authorize(request, message))
        return true;
    if (request.credentials_bytes != 0) leg.challenges.take_next_nonce(message);
    if (message.status == 302 && redirect(request, message)) return true;
    if (request.kind != RequestKind::kProbe) ++leg.answered;
    if (message.status != 503 || request.kind == RequestKind::kProbe) {
        if (message.status < 500) leg.route->on_alive(leg, request.sent_at);
        finish(request, &message, LocalFault::kUnreachable);
        return true;
    }
    take_503(leg, message, "503");  // SIP-8: and the request goes elsewhere
    if (may_move(request)) {
        fail_over(request);
    } else {
        finish(request, &message, LocalFault::kUnreachable);
    }
    return true;
}

// SIP-8. Without a Retry-After it is asked again, by OPTIONS; with one it is left alone until then.
void SipAgent::take_503(RouteLeg& leg, const sip::Message& response, const char* why) {
    leg.heard_at = shard_.loop().now();
    const auto wanted = sip::parse_seconds(response.value(sip::HeaderName::kRetryAfter));
    if (!wanted) return leg.route->mark_down(leg, std::chrono::seconds(kDownSeconds), why);
    leg.route->hold(leg, std::chrono::seconds(std::min<std::uint32_t>(*wanted, kRetryAfterMax)),
                    why);
}

void SipAgent::send_waiting(RouteLeg& leg) {
    ClientRequest* request = leg.requests.first;
    while (request != nullptr) {
        ClientRequest* next = request->next;
        if (!request->machine && !transmit(*request, leg)) return;
        request = next;
    }
}

void SipAgent::on_sip_connected(Leg& leg) { send_waiting(static_cast<RouteLeg&>(leg)); }

void SipAgent::on_sip_writable(Leg& leg) { send_waiting(static_cast<RouteLeg&>(leg)); }

void SipAgent::on_sip_quiet(Leg& base) {
    RouteLeg& leg = static_cast<RouteLeg&>(base);
    if (!leg.probing) on_probe_due(*leg.route, leg);
}

// ERR-L3: each request on it goes elsewhere or ends.
void SipAgent::on_sip_disconnected(Leg& base, const Error& error) {
    RouteLeg& leg = static_cast<RouteLeg&>(base);
    if (leg.requests.first == nullptr) return;  // an idle connection may end
    leg.route->on_failure(leg, reason_of(error));
    RequestList all;
    while (ClientRequest* request = leg.requests.first) {
        request->tried |= std::uint64_t{1} << leg.slot;
        request->doubted = request->doubted || request->machine;
        if (request->machine && request->kind != RequestKind::kProbe) ++leg.unanswered;
        leave_leg(*request);
        if (request->kind == RequestKind::kProbe) {
            finish_probe(*request, leg, nullptr, reason_of(error));
        } else {
            append(all, *request);
        }
    }
    while (ClientRequest* request = take_first(all)) dispatch(*request);
}

void SipAgent::on_route_ready(SipRoute& route) {
    RequestList all = route.waiting;
    route.waiting = {};
    while (ClientRequest* request = take_first(all)) {
        request->awaits_route = false;
        request->timer.cancel();
        dispatch(*request);
    }
}

// SIP-8: is it alive?
void SipAgent::on_probe_due(SipRoute& route, RouteLeg& leg) {
    ClientRequest* probe = make_request(route, RequestKind::kProbe);
    drop_retired_routes();         // not this one, whose user the probe is
    if (probe == nullptr) return;  // busy enough to know
    const sip::Tag tag = sip::make_tag(settings_.core, random_.bytes<sip::kTokenRandomBytes>());
    const sip::Tag call_id = sip::make_tag(settings_.core, random_.bytes<sip::kTokenRandomBytes>());
    char uri_memory[300];
    Sink uri{MutableBytes(uri_memory)};
    uri.append("sip:");
    uri.append(route.domain());
    sip::RequestHead head;
    head.method = "OPTIONS";
    head.uri = uri.written();
    head.via = likely_via(route);
    head.from = {{}, uri.written(), tag.view()};
    head.to = {{}, uri.written(), {}};
    head.call_id = call_id.view();
    Sink sink{MutableBytes(scratch_)};
    sip::write_request_head(sink, head);
    sink.append("User-Agent: Fedgate\r\n");
    sip::write_no_body(sink);
    if (uri.overflowed() || sink.overflowed() || !fill(*probe, {}, sink.written()))
        return release(*probe);
    ++probes_;
    leg.probing = true;
    probe->give_up_at = shard_.loop().now() + kProbeWait;
    offer(*probe, leg);
}

void SipAgent::finish_probe(ClientRequest& probe, RouteLeg& leg, const sip::Message* response,
                            const char* broken) {
    --probes_;
    leg.probing = false;
    leg.answers_options = leg.answers_options || response != nullptr;
    leg.unanswered_options = broken == nullptr && response == nullptr;
    if (broken != nullptr) {
        leg.route->mark_suspect(leg, broken);
        leg.route->mark_down_if_other(leg, broken);
    } else if (response == nullptr) {
        on_probe_unanswered(leg, probe.give_up_at - kProbeWait);
    } else if (response->status == 503) {
        take_503(leg, *response, "503 to OPTIONS");
    } else if (response->status >= 500) {
        leg.route->on_failure(leg, "error to OPTIONS");
    }
    release(probe);
}

// Some never answer OPTIONS: who has said anything else since it was asked is alive.
void SipAgent::on_probe_unanswered(RouteLeg& leg, Instant asked_at) {
    SipConnection* const connection = transport_.find(leg.connection);
    const bool connected = connection != nullptr && connection->ready();
    if (leg.heard_at >= asked_at ||
        (connected && connection->stream()->last_received() >= asked_at)) {
        if (leg.suspect) leg.trouble_at = shard_.loop().now();
        leg.suspect = false;
        return;
    }
    const bool twice = leg.suspect;
    leg.route->mark_suspect(leg, "OPTIONS unanswered");
    if (!twice) return;
    const bool other = leg.route->mark_down_if_other(leg, "OPTIONS unanswered");
    // A connection into a black hole heals late, by TCP's back-off, or never: the next OPTIONS
    // opens a new one. What waits on it without anywhere else to go has its time (SIP-8).
    if (connected && (other || leg.requests.count == 0)) connection->abort("OPTIONS unanswered");
}

// SIP-8: what waits there already need not wait longer than what comes now.
void SipAgent::on_suspect(RouteLeg& leg) {
    for (ClientRequest* one = leg.requests.first; one != nullptr; one = one->next) arm(*one);
}

}  // namespace fedgate::gateway
