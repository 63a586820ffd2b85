#include "appliance/edge/initiator.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "appliance/edge/ended.hpp"
#include "net/address.hpp"
#include "xml/certificate.hpp"

namespace fedgate::edge {

namespace {

using Cause = xml::StreamEnd::Cause;

constexpr std::uint16_t kServerPort = 5269;
constexpr std::uint16_t kDirectTlsPort = 5270;

link::Fault fault_of(const xml::StreamEnd& end) {
    switch (end.cause) {
        case Cause::kErrorReceived:
            switch (end.condition) {
                case xml::StreamError::kHostUnknown:
                case xml::StreamError::kHostGone: return link::Fault::kNoSuchDomain;  // ERR-43
                case xml::StreamError::kNotAuthorized:
                case xml::StreamError::kPolicyViolation:
                    return link::Fault::kRemoteDenied;        // ERR-44
                default: return link::Fault::kRemoteFailing;  // ERR-45
            }
        case Cause::kNoTls:
        case Cause::kCertificate:
        case Cause::kNoMethod:
        case Cause::kRefused: return link::Fault::kNotTrusted;  // ERR-42
        case Cause::kTimeout:
        case Cause::kOutputFull: return link::Fault::kUnreachable;  // ERR-41
        case Cause::kErrorSent:
            if (end.condition != xml::StreamError::kConnectionTimeout) break;
            return link::Fault::kUnreachable;
        case Cause::kClosedByPeer:
        case Cause::kClosedByUs: break;
    }
    return link::Fault::kRemoteFailing;
}

link::Fault fault_of(net::DialFault fault) {
    return fault == net::DialFault::kNoDomain ? link::Fault::kNoSuchDomain
                                              : link::Fault::kUnreachable;
}

bool is_of_dns(net::DialFault fault) {
    return fault != net::DialFault::kUnreachable && fault != net::DialFault::kTimeout;
}

// "a.example:5269, b.example:5269 and 3 more"
std::string names_of(const net::TargetPool& pool) {
    constexpr std::size_t kTargetsTold = 3;
    constexpr std::size_t kNameBytesTold = 60;
    std::string names;
    for (std::size_t i = 0; i < std::min(pool.count(), kTargetsTold); ++i) {
        names += (i == 0 ? "" : ", ") + pool.at(i).host.substr(0, kNameBytesTold) + ":" +
                 std::to_string(pool.at(i).port);
    }
    if (pool.count() > kTargetsTold)
        names += " and " + std::to_string(pool.count() - kTargetsTold) + " more";
    return names;
}

// For the administrator.
std::string text_of(net::DialFault fault, const Error& last, const net::TargetPool& pool) {
    switch (fault) {
        case net::DialFault::kNoDomain: return "DNS has no XMPP server for the domain";
        case net::DialFault::kDnsFailed: return "DNS did not answer";
        case net::DialFault::kBogus: return "DNSSEC: an answer of DNS is forged, or its keys are";
        case net::DialFault::kUnreachable:
        case net::DialFault::kTimeout: break;
    }
    const std::string why = last.system != 0 ? std::strerror(last.system) : last.where;
    return "no server of the domain can be reached (" + names_of(pool) + "): " + why;
}

}  // namespace

Initiator::Initiator(Context& context, InitiatorOwner& owner, xml::Stream::Role role,
                     std::string our, std::string their)
    : context_(context),
      owner_(owner),
      role_(role),
      our_(std::move(our)),
      their_(std::move(their)),
      deadline_(*this, kDeadline),
      hold_(*this, kHold),
      intake_(context) {}

Initiator::~Initiator() = default;

void Initiator::start() {
    FEDGATE_CHECK(!connection_);
    fault_ = link::Fault::kUnreachable;
    permanent_ = false;
    proved_ = false;
    done_ = false;
    closing_ = aborted_ = told_ = sent_on_ = in_order_ = close_answered_ = false;
    lost_.reset();
    const rules::Partner* partner = context_.rules->partner(their_);
    net::Lookup::Options options;
    options.dane = true;
    if (partner != nullptr) {
        options.prefer_direct = partner->prefer_direct;
        options.dane = partner->dane;
    }
    net::Lookup lookup = net::Lookup::xmpp(their_, options);
    if (partner != nullptr && !partner->proxy.host.empty()) {  // DNS-1
        const bool direct = partner->prefer_direct;
        const std::uint16_t usual = direct ? kDirectTlsPort : kServerPort;
        const std::uint16_t port = partner->proxy.port != 0 ? partner->proxy.port : usual;
        lookup = net::Lookup::fixed(partner->proxy.host, port,
                                    direct ? net::Transport::kTls : net::Transport::kTcp, options);
    }
    dialer_.emplace(context_.loop, context_.resolver, static_cast<net::DialerOwner&>(*this),
                    &pool_);
    dialer_->start(std::move(lookup), *this, connection_limits());
}

net::ConnectionLimits Initiator::connection_limits() const {
    return {.input_bytes_max = context_.settings.stanza_bytes_max + kInputSlackBytes,
            .unsent_bytes_max = limits::kUnsentBytes};
}

void Initiator::on_dialed(net::Dialer&, std::unique_ptr<net::Connection> connection,
                          const net::Target& target) {
    connection_ = std::move(connection);
    dane_ = {their_, {}};
    if (auto records = net::usable_tlsa(target.tlsa); !records.empty())
        dane_.servers.push_back({target.host, std::move(records)});
    demands_tls_ = dane_.decides();
    if (role_ == xml::Stream::Role::kOutbound) {
        context_.stats.add(Counter::kXmppOutConnections);
    }
    stream_ = std::make_unique<xml::Stream>(*this, context_.settings, role_, our_, their_,
                                            context_.loop.now());
    if (resume_) stream_->resume(*resume_);
    intake_.set_rates(their_);
    direct_tls_ = target.transport == net::Transport::kTls;
    if (direct_tls_) {
        connection_->start_tls_client(context_.tls(), their_, "xmpp-server", std::move(dane_),
                                      context_.tls_floor(their_));  // XEP-0368
        stream_->expect_tls(context_.loop.now());
        context_.loop.timers().arm(deadline_, stream_->deadline());
        return;
    }
    stream_->open(context_.loop.now());
    owner_.on_stream_started();
    pump({});
}

void Initiator::on_dial_failed(net::Dialer& dialer, net::DialFault fault, Error last,
                               Instant retry_at) {
    if (other_host_ && &dialer == &other_host_->dialer) {  // so the target that named it has failed
        other_host_.reset();
        dialer_->next(last);
        return;
    }
    // A target that answered and was refused says more than one that could not be reached.
    if (fault == net::DialFault::kNoDomain || fault_ == link::Fault::kUnreachable) {
        fault_ = fault_of(fault);
        const bool dns = is_of_dns(fault);
        if (!told_) {
            tell(dns ? EventId::kDnsFailed : EventId::kPartnerUnreachable,
                 dns ? FailureKind::kDns : FailureKind::kUnreachable, text_of(fault, last, pool_));
        }
    }
    end(retry_at);
}

void Initiator::on_secured(net::Connection& connection) {
    const net::PeerTerms terms = context_.terms(their_);
    connection.judge_with(terms);
    judged_by_ = terms.digest();
    if (connection.peer().dane == PeerIdentity::Dane::kRefused) {
        // CERT-8: no other proof makes up for that, dialback neither.
        tell(EventId::kCertificateRefused, FailureKind::kCertificate,
             xml::why_not_covered(connection.peer(), their_));
        connection_->abort(Error{Errc::kCertificate, 0, "TLSA"});
        return;
    }
    if (other_host_ && !xml::covers(connection.peer(), their_, direct_tls_)) {
        tell(EventId::kCertificateRefused, FailureKind::kCertificate,
             xml::why_not_covered(connection.peer(), their_));
        connection_->abort(Error{Errc::kCertificate, 0, "see-other-host"});
        return;
    }
    if (suffices() && owner_.on_secured(connection.peer())) return close();
    stream_->secured(connection.peer(), direct_tls_, context_.loop.now());
    if (direct_tls_) {
        stream_->open(context_.loop.now());
        owner_.on_stream_started();
    }
    pump({});
}

std::size_t Initiator::on_data(net::Connection&, MutableBytes input) {
    if (!stream_ || !stream_->bidi()) return pump(Bytes(input.data(), input.size()));
    intake_.charge(input.size());
    const std::size_t consumed = held_ ? 0 : pump(Bytes(input.data(), input.size()));
    intake_.consumed(consumed);
    // S2S-64: stop reading, never drop
    if (!held_ && !closing_ && intake_.in_debt()) hold_until(intake_.again());
    return consumed;
}

void Initiator::on_writable(net::Connection&) { owner_.on_room(); }

bool Initiator::write(Bytes bytes) { return connection_ && connection_->write(bytes); }

xml::StreamPolicy Initiator::policy(Bytes our, Bytes their) {
    if (!suffices()) return {};
    xml::StreamPolicy policy = context_.stream_policy(our, their);
    // RFC 7673 4.2: it is told to be there. S2S-21: it was there where we come from.
    if (demands_tls_ || other_host_) policy.dialback_clear = false;
    return policy;
}

void Initiator::on_timer(Timer& timer) {
    if (!stream_) return;
    if (timer.kind == kHold) {
        held_ = false;
        connection_->resume_input();  // shows again what was left over
        return;
    }
    stream_->on_deadline(context_.loop.now());
    pump({});
}

std::size_t Initiator::pump(Bytes input) {
    std::size_t consumed = 0;
    // Held: no stanza may go on, but what the engine has to say besides still comes out.
    while (stream_ && !closing_ && !(held_ && !input.empty())) {
        const xml::Action action = stream_->next(input.substr(consumed), context_.loop.now());
        if (action.kind == xml::Action::Kind::kStanza && !on_stanza(action)) {
            consumed += action.consumed - stream_->put_back();
            break;
        }
        consumed += action.consumed;
        if (action.kind == xml::Action::Kind::kNone) break;
        act(action);
    }
    if (closing_) return input.size();
    if (stream_) context_.loop.timers().arm(deadline_, stream_->deadline());
    return consumed;
}

void Initiator::act(const xml::Action& action) {
    switch (action.kind) {
        case xml::Action::Kind::kStartTls:
            connection_->start_tls_client(context_.tls(), their_, {}, std::move(dane_),
                                          context_.tls_floor(their_));  // S2S-13: SNI, no ALPN
            return;
        case xml::Action::Kind::kPair:
            if (!proved_) {
                proved_ = true;
                dialer_->succeeded();
                dialer_.reset();  // it costs as much as the stream
                other_host_.reset();
                if (role_ == xml::Stream::Role::kOutbound) on_proved();
            }
            owner_.on_action(action);
            return;
        case xml::Action::Kind::kClosed: on_stream_end(action.end); return;
        case xml::Action::Kind::kStanza: return;  // pump() has passed it on
        default: owner_.on_action(action); return;
    }
}

void Initiator::on_proved() {
    context_.stats.add(Counter::kXmppOutOpened);
    context_.stats.add(Counter::kXmppOutEstablished);
    context_.note_certificate(their_, *connection_, direct_tls_);
    const SocketAddress& peer = connection_->peer_address();
    const bool moved = last_reached_.length != 0 && !net::same_address(last_reached_, peer);
    if (moved) context_.stats.add(Counter::kXmppOutMoved);
    last_reached_ = peer;
    context_.log.event(EventId::kStreamEstablished, {{"direction", "out"},
                                                     {"partner", their_},
                                                     {"domain", our_},
                                                     {"peer", net::format_address(peer)},
                                                     {"tls", connection_->tls_version()}});
}

void Initiator::on_connection_over() {
    context_.stats.subtract(Counter::kXmppOutConnections);
    if (!proved_) return;
    context_.stats.subtract(Counter::kXmppOutEstablished);
    context_.log.event(EventId::kStreamClosed,
                       {{"direction", "out"}, {"partner", their_}, {"domain", our_}});
}

// What a target that was reached said or showed is worth more than that the others were not.
void Initiator::tell(EventId event, FailureKind kind, std::string text) {
    told_ = true;
    context_.tell(event, kind, false, their_, connection_.get(), std::move(text));
}

bool Initiator::on_stanza(const xml::Action& action) {
    if (owner_.answers_wait()) {
        context_.stats.add(Counter::kLinkBackPressure);
        hold_until(context_.loop.now() + kUnreadRetry);
        return false;
    }
    switch (intake_.take(action, stream_->scope())) {
        case Intake::Outcome::kLater: hold_until(intake_.again()); return false;
        case Intake::Outcome::kPong: owner_.on_pong(intake_.pong()); return true;
        case Intake::Outcome::kTaken: break;
    }
    owner_.on_received(action);
    return true;
}

void Initiator::hold_until(Instant when) {
    held_ = true;
    connection_->pause_input();
    context_.loop.timers().arm(hold_, when);
}

void Initiator::on_stream_end(const xml::StreamEnd& stream_end) {
    fault_ = fault_of(stream_end);
    permanent_ = stream_end.permanent;
    in_order_ = stream_end.cause == Cause::kClosedByPeer;
    close_answered_ =
        stream_end.answered && connection_->unsent_bytes() == 0;  // not before it was sent
    closing_ = true;
    const bool said = told_ && stream_end.cause == Cause::kRefused;  // by the owner
    if (!is_sent_on(stream_end) && role_ == xml::Stream::Role::kOutbound && !said) {
        told_ = true;
        tell_why_ended(context_, *stream_, stream_end, *connection_);
    }
    deadline_.cancel();
    const bool say_why = proved_ || done_ || stream_end.cause == Cause::kErrorSent;
    if (say_why) {
        connection_->close();
    } else {
        connection_->abort(Error{Errc::kRefused, 0, "stream negotiation"});
    }
}

// S2S-21, RFC 6120 4.9.3.19: whoever has proved to be the partner may say where it is. Once in an
// attempt, so that nobody is sent around; whom we find there has to prove the same domain by
// certificate. A host that an administrator has named is the host (DNS-1).
bool Initiator::is_sent_on(const xml::StreamEnd& stream_end) {
    if (stream_end.condition != xml::StreamError::kSeeOtherHost) return false;
    if (proved_ || sent_on_ || done_ || !connection_->secured()) return false;
    const rules::Partner* partner = context_.rules->partner(their_);
    if (partner == nullptr || !partner->proxy.host.empty()) return false;
    if (!xml::covers(connection_->peer(), their_, direct_tls_)) return false;
    auto place = config::parse_host_port(stream_end.other_host);
    if (!place) return false;
    sent_on_ = true;
    other_host_ = std::unique_ptr<OtherHost>(
        new OtherHost{std::move(*place),
                      {context_.loop, context_.resolver, static_cast<net::DialerOwner&>(*this)}});
    return true;
}

void Initiator::dial_other_host() {
    other_host_->dialed = true;
    const config::HostPort& place = other_host_->place;
    const std::uint16_t port = place.port != 0 ? place.port : kServerPort;
    other_host_->dialer.start(net::Lookup::fixed(place.host, port, net::Transport::kTcp), *this,
                              connection_limits());
}

void Initiator::on_closed(net::Connection& connection, Error reason) {
    deadline_.cancel();
    if (!closing_) {  // the connection broke under the stream
        fault_ = reason.code == Errc::kTls || reason.code == Errc::kCertificate
                     ? link::Fault::kNotTrusted
                     : link::Fault::kUnreachable;
        if (reason.code == Errc::kTls) {
            told_ = true;
            context_.stats.add(Counter::kXmppTlsFailed);
            tell_tls_failed(context_, false, their_, connection, reason);
        }
    }
    if (proved_ && (!closing_ || aborted_) && stream_->resumable()) lost_ = stream_->session();
    try_next_or_end(reason);
}

void Initiator::try_next_or_end(Error why) {
    if (role_ == xml::Stream::Role::kOutbound) on_connection_over();
    stream_.reset();
    connection_.reset();
    closing_ = false;
    held_ = false;
    hold_.cancel();
    intake_.reset();
    if (other_host_ && !other_host_->dialed) return dial_other_host();
    other_host_.reset();
    if (!proved_ && !permanent_ && !done_ && dialer_->busy()) {
        dialer_->next(why);  // DNS-7
        return;
    }
    end(context_.loop.now());
}

void Initiator::end(Instant retry_at) {
    if (role_ == xml::Stream::Role::kOutbound && !proved_) {
        context_.stats.add(Counter::kXmppOutFailed);
    }
    owner_.on_over(fault_, permanent_, retry_at);
}

bool Initiator::suffices() const {
    return !connection_ || connection_->tls_modern() ||
           context_.tls_floor(their_) == net::TlsFloor::kLegacy;
}

bool Initiator::proves_still() {
    if (!connection_ || !connection_->secured()) return true;
    const net::PeerTerms terms = context_.terms(their_);
    if (judged_by_ != terms.digest()) {
        connection_->judge_with(terms);
        judged_by_ = terms.digest();
    }
    return xml::covers(connection_->peer(), their_, direct_tls_);
}

void Initiator::close() {
    if (closing_ || !stream_) return;
    done_ = true;
    stream_->close(context_.loop.now());
    pump({});
}

void Initiator::fail(xml::StreamError condition) {
    if (closing_ || !stream_) return;
    stream_->fail(condition);
    pump({});
}

void Initiator::abort() {
    if (!connection_ || closing_) return;
    closing_ = aborted_ = true;
    in_order_ = false;
    fault_ = link::Fault::kUnreachable;
    connection_->abort(Error{Errc::kTimeout, 0, "peer does not read"});
}

void Initiator::send_space() {
    if (stream_ && !closing_) static_cast<void>(connection_->write(" "));
}

}  // namespace fedgate::edge
