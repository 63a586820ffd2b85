// Sessions of the profile msrp: texts go by MSRP (RFC 4975), whose state machine is in sip/ and
// whose sockets are msrp_transport's; here the two meet, and both the dialog and its conversation.
// Each shard listens at a port of its own, which our paths name: what comes to a session comes to
// the shard that has it. Relays (RFC 4976) of ours there are none.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "appliance/gateway/engine.hpp"
#include "core/base/hash.hpp"
#include "net/address.hpp"
#include "sip/msrp_writer.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::gateway {
namespace {

using sip::MsrpActions;
using sip::MsrpState;

constexpr std::size_t kIdBytes = 16;           // RFC 4975 14.1: nobody guesses it
constexpr std::size_t kChunkFrontBytes = 512;  // of a chunk, without its paths
// The name of a receipt that is to become a REPORT (RCPT-4): this, the session's id, the text's
// size and its Message-ID. A token, which a Message-ID is but for '='.
constexpr Bytes kReportName = "msrp!";
constexpr std::size_t kReportNameBytes = 128;

// What stands in a request of ours that waits: the fields of SIP, an empty line, the body.
struct Content {
    Bytes type;
    Bytes body;
};

Bytes value_of(Bytes head, Bytes name) {
    while (!head.empty()) {
        const Bytes line = head.substr(0, head.find("\r\n"));
        head.remove_prefix(std::min(head.size(), line.size() + 2));
        if (line.starts_with(name)) return line.substr(name.size());
    }
    return {};
}

// IM-10: one without a body is its subject; else MSRP has no place for that.
Content read_content(Bytes written) {
    const std::size_t end = written.find("\r\n\r\n");
    const Bytes head = written.substr(0, end);
    Content content{value_of(head, "Content-Type: "), written.substr(end + 4)};
    if (!content.body.empty()) return content;
    return {"text/plain;charset=UTF-8", value_of(head, "Subject: ")};
}

// RFC 4975 10: why a text of theirs did not arrive.
std::uint16_t msrp_status(std::uint16_t sip) {
    switch (sip) {
        case 403:
        case 413:
        case 415: return sip;
        case 603: return 403;
        default: return 408;
    }
}

// A path is the word of one user, who is not to reach what only this machine does. In a laboratory
// all is on loopback, our own port, too.
bool is_withheld(const SocketAddress& address, const std::optional<SocketAddress>& local) {
    const net::IpKey key = net::ip_key(address);  // IPv4 as v4-mapped
    const unsigned char* const bytes = key.bytes;
    const bool is_mapped = bytes[0] == 0 && bytes[10] == 0xff && bytes[11] == 0xff;
    const bool is_link_local = (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) ||
                               (is_mapped && bytes[12] == 169 && bytes[13] == 254);
    return is_link_local ||
           (net::is_loopback(address) && !(local.has_value() && net::is_loopback(*local)));
}

// An answer, or a REPORT: of what it keeps free there is room for it.
void write(MsrpConnection& connection, const Sink& out) {
    if (out.size() != 0) static_cast<void>(connection.write(out.written()));
}

}  // namespace

// ---- Where it listens

void Gateway::Engine::size_msrp() {
    msrp_terms_.size_max = rules_->settings.im.max_bytes;
    // SESS-24 would have it `no`, but then nobody heard of a text that is lost (GEN-1).
    msrp_terms_.failure_report = sip::MsrpFailureReport::kYes;
    msrp_terms_.memory = &msrp_memory_;
    msrp_.set_size_max(msrp_terms_.size_max);
}

Result<void> Gateway::Engine::listen_for_msrp() {
    const rules::Settings::Sip::Msrp& wanted = rules_->settings.sip.msrp;
    const bool is_open = wanted.listen.text.empty() || msrp_local_.has_value();
    const bool is_same = wanted.listen == msrp_settings_.listen && wanted.tls == msrp_settings_.tls;
    msrp_settings_ = wanted;
    if (is_same && is_open) return {};
    msrp_.stop_listening();
    msrp_local_.reset();
    if (wanted.listen.text.empty()) return {};
    const config::Address at = wanted.at(shard_.index());
    // Port 0, too: the kernel picks.
    const auto address = net::parse_ip(Bytes(at.text).substr(0, at.text.rfind(':')), at.port);
    FEDGATE_CHECK(address.has_value());  // configuration has normalised it
    const auto opened = msrp_.listen(*address, wanted.tls);
    const Bytes transport = wanted.tls ? "msrps" : "msrp";
    if (!opened) {
        shard_.log().event(EventId::kListenFailed, {{"listen", at.text},
                                                    {"transport", transport},
                                                    {"where", opened.error().where},
                                                    {"errno", opened.error().system}});
        return Failure{opened.error()};
    }
    msrp_local_ = *opened;
    shard_.log().event(EventId::kListening,
                       {{"listen", net::format_address(*opened)}, {"transport", transport}});
    return {};
}

// An address without brackets, or a name.
Bytes Gateway::Engine::msrp_host(Bytes via_host) const {
    if (!rules_->settings.sip.msrp.host.empty()) return rules_->settings.sip.msrp.host;
    if (!via_host.starts_with('[')) return via_host;
    return via_host.substr(1, via_host.size() - 2);
}

// ---- How they begin and end

void Gateway::Engine::make_msrp(Session& session, Bytes via_host) {
    session.msrp = std::make_unique<SessionMsrp>(session, resolver_);
    SessionMsrp& msrp = *session.msrp;
    const rules::Settings::Sip::Msrp& settings = rules_->settings.sip.msrp;
    msrp.port = msrp_local_ ? net::port_of(*msrp_local_) : settings.at(shard_.index()).port;
    const auto hex = to_hex(random_.bytes<kIdBytes>());
    const Bytes id(hex.data(), hex.size());
    const Bytes host = msrp_host(via_host);
    const bool is_ipv6 = host.find(':') != Bytes::npos;
    msrp.path.append(settings.tls ? "msrps://" : "msrp://").append(is_ipv6 ? "[" : "");
    msrp.path.append(host).append(is_ipv6 ? "]:" : ":").append(std::to_string(msrp.port));
    msrp.path.append("/").append(id).append(";tcp");
    msrp.by_id = keys_.make({id});
    by_msrp_id_.insert(msrp);
}

// Both paths are known. `offered`: theirs answers ours. False: it can't be talked to.
bool Gateway::Engine::begin_msrp(Session& session, const sip::SdpMedia& theirs, bool offered) {
    SessionMsrp& msrp = *session.msrp;
    if (msrp.machine) return msrp.goes_by(theirs.path);
    if (theirs.setup == sip::Setup::kHoldconn || !sip::parse_msrp_path(theirs.path)) return false;
    // SESS-21: who offers connects, if nothing else was agreed.
    msrp.is_active = offered ? theirs.setup != sip::Setup::kActive
                             : sip::answer_to(theirs.setup) == sip::Setup::kActive;
    if (!msrp.is_active && !msrp_local_) return false;
    msrp.shows_typing = sip::accepts_type(theirs.accept_types, kTypingType);
    sip::MsrpPeer peer;
    peer.role = msrp.is_active ? sip::MsrpRole::kActive : sip::MsrpRole::kPassive;
    peer.our_path = msrp.path;
    peer.their_path = theirs.path;
    peer.size_max = theirs.max_size;
    const auto seed = random_.bytes<sizeof peer.seed>();
    std::memcpy(&peer.seed, seed.data(), sizeof peer.seed);
    msrp.machine.emplace(msrp_terms_, peer, now());
    arm(msrp);
    return true;
}

// The dialog stands.
void Gateway::Engine::start_msrp(Session& session) {
    SessionMsrp& msrp = *session.msrp;
    if (!msrp.machine || msrp.machine->state() != MsrpState::kConnecting) return;
    const auto path = sip::parse_msrp_path(msrp.machine->their_path());
    FEDGATE_CHECK(path.has_value());  // it was when the machine was made
    const sip::HostPort& at = path->first.at;
    if (at.kind == sip::HostKind::kName) return msrp.ask(std::string(at.host), net::DnsType::kA);
    const auto address = net::parse_ip(at.host, at.port != 0 ? at.port : kMsrpPort);
    if (!address) return lose_msrp(session);
    connect_msrp(msrp, *address);
}

void Gateway::Engine::on_msrp_resolved(SessionMsrp& msrp, const net::DnsAnswer& answer) {
    if (!msrp.machine || msrp.machine->state() != MsrpState::kConnecting) return;
    const auto path = sip::parse_msrp_path(msrp.machine->their_path());
    const sip::HostPort& at = path->first.at;
    if (!answer.addresses.empty()) {
        const std::uint16_t port = at.port != 0 ? at.port : kMsrpPort;
        return connect_msrp(msrp, net::with_port(answer.addresses.front(), port));
    }
    if (msrp.asked_type != net::DnsType::kA) return lose_msrp(msrp.session);
    msrp.ask(std::string(at.host), net::DnsType::kAaaa);
}

// RFC 4975 5.4: by a connection that leads there already, or a new one.
void Gateway::Engine::connect_msrp(SessionMsrp& msrp, const SocketAddress& address) {
    if (!net::is_unicast(address) || is_withheld(address, msrp_local_)) {
        return lose_msrp(msrp.session);
    }
    const auto path = sip::parse_msrp_path(msrp.machine->their_path());
    const sip::HostPort& at = path->first.at;
    const rules::SipDomain* const domain = domain_of(msrp.session);
    const std::string server_name = at.kind == sip::HostKind::kName
                                        ? std::string(at.host)
                                        : (domain != nullptr ? domain->name : std::string());
    std::string name(at.host);
    name.append(msrp.is_secure() ? "/tls/" : "/tcp/").append(net::format_address(address));
    if (msrp.is_secure()) name.append("/").append(server_name);  // what it shows may depend on that
    const auto known = msrp_peers_.find(name);
    MsrpConnection* connection = known != msrp_peers_.end() ? msrp_.find(known->second) : nullptr;
    if (connection != nullptr && connection->is_going()) {
        connection->opened_to.clear();
        msrp_peers_.erase(known);
        connection = nullptr;
    }
    if (connection == nullptr) {
        connection = msrp_.connect(address, msrp.is_secure(), server_name);
        if (connection == nullptr) return lose_msrp(msrp.session);
        connection->opened_to = name;
        msrp_peers_[name] = connection->self();
    }
    attach(msrp, *connection);
    if (connection->is_ready()) say_hello(msrp, *connection);
}

void Gateway::Engine::attach(SessionMsrp& msrp, MsrpConnection& connection) {
    connection.claim();
    msrp.connection = connection.self();
    msrp.next = connection.sessions;
    msrp.previous = nullptr;
    if (msrp.next != nullptr) msrp.next->previous = &msrp;
    connection.sessions = &msrp;
}

// The last one closes it.
void Gateway::Engine::detach(SessionMsrp& msrp) {
    MsrpConnection* const connection = msrp_.find(std::exchange(msrp.connection, {}));
    if (connection == nullptr) return;
    (msrp.previous != nullptr ? msrp.previous->next : connection->sessions) = msrp.next;
    if (msrp.next != nullptr) msrp.next->previous = msrp.previous;
    msrp.next = msrp.previous = nullptr;
    if (connection->sessions == nullptr) close(*connection);
}

void Gateway::Engine::close(MsrpConnection& connection) {
    if (!connection.opened_to.empty()) msrp_peers_.erase(connection.opened_to);
    connection.opened_to.clear();
    connection.close();
}

// SIP-31: the certificate proves the host of its path, or its SIP domain.
bool Gateway::Engine::proves(const SessionMsrp& msrp, const MsrpConnection& connection) {
    if (!connection.tls()) return true;
    const rules::SipDomain* const domain = domain_of(msrp.session);
    const auto path = sip::parse_msrp_path(msrp.machine->their_path());
    if (domain == nullptr || !path) return false;
    const sip::HostPort& at = path->first.at;
    return proves_sip_name(connection.peer(), domain->name, domain->wildcard) ||
           (at.kind == sip::HostKind::kName &&
            proves_sip_name(connection.peer(), at.host, domain->wildcard));
}

// SESS-21.
void Gateway::Engine::say_hello(SessionMsrp& msrp, MsrpConnection& connection) {
    if (!proves(msrp, connection)) return lose_msrp(msrp.session);
    char memory[limits::kMsrpAnswerBytes];
    Sink out{MutableBytes(memory)};
    const MsrpActions actions = msrp.machine->on_connected(now(), out);
    write(connection, out);
    act(msrp, actions);
}

bool Gateway::Engine::is_lost(const Session& session) {
    return session.msrp && session.msrp->machine &&
           session.msrp->machine->state() == MsrpState::kOver;
}

// Its dialog is ending. What has no answer yet goes by another session.
void Gateway::Engine::stop_msrp(Session& session) {
    if (lingers(session)) return;
    SessionMsrp& msrp = *session.msrp;
    msrp.timer.cancel();
    msrp.stop_asking();
    if (msrp.machine) static_cast<void>(msrp.machine->end());
    end_msrp_text(msrp, 0);
}

// Its text was sent, and its answer may be on its way: then the session stays until that has come,
// the connection has ended, or kMsrpAnswerWait is over. Else the text would come twice.
bool Gateway::Engine::lingers(Session& session) {
    SessionMsrp& msrp = *session.msrp;
    if (msrp.text == nullptr || !msrp.is_written || !msrp.is_bound() || !msrp.connection) {
        return false;
    }
    if (msrp.answer_by == kNever) msrp.answer_by = now() + kMsrpAnswerWait;
    arm(msrp);
    return true;
}

// It goes. The text that has no answer, or null.
ClientRequest* Gateway::Engine::let_go(SessionMsrp& msrp) {
    by_msrp_id_.erase(msrp);
    detach(msrp);
    return std::exchange(msrp.text, nullptr);
}

// SESS-25: there is no way to them. Texts that have waited for this one get an error each: another
// would be no better.
void Gateway::Engine::lose_msrp(Session& session) {
    SessionMsrp& msrp = *session.msrp;
    if (session.state == Session::State::kEnding) return end_msrp_text(msrp, 0);
    msrp.timer.cancel();
    if (msrp.machine) static_cast<void>(msrp.machine->end());
    const Handle<Conversation> handle = session.conversation;
    const bool is_waited_for = session.sends && !msrp.was_bound;
    if (session.state == Session::State::kOpen) {
        end_session(session);
    } else {
        leave(session);  // RFC 3261 15: no BYE before the ACK
    }
    Conversation* const conversation = conversations_.find(handle);
    if (conversation == nullptr) return;
    if (is_waited_for) fail_waiting(*conversation, 0, nullptr, LocalFault::kUnreachable);
    start_next(*conversation);
}

// ---- What comes

SessionMsrp* Gateway::Engine::find_msrp(const sip::MsrpMessage& message) {
    if (message.to.count != 1) return nullptr;
    return by_msrp_id_.find(keys_.make({message.to.first.session}));
}

std::vector<Handle<Session>> Gateway::Engine::sessions_on(const MsrpConnection& connection) {
    std::vector<Handle<Session>> all;
    for (const SessionMsrp* one = connection.sessions; one != nullptr; one = one->next) {
        all.push_back(one->session.self);
    }
    return all;
}

bool Gateway::Engine::on_msrp(MsrpConnection& connection, const sip::MsrpMessage& message) {
    char memory[limits::kMsrpAnswerBytes];
    Sink out{MutableBytes(memory)};
    SessionMsrp* const msrp = find_msrp(message);
    const bool is_elsewhere =
        msrp != nullptr && msrp->connection && msrp->connection != connection.self();
    if (msrp == nullptr || !msrp->machine || is_elsewhere) {
        const std::uint16_t status = is_elsewhere ? std::uint16_t{506} : sip::judge_stray(message);
        if (message.wants(status)) {
            sip::write_msrp_response(out, message, status);
            write(connection, out);
        }
        return true;
    }
    // What is whole is given on at once, so there must be room for it before it is answered; and
    // for what a REPORT says.
    const bool is_request = message.method != sip::MsrpMethod::kNone;
    if (is_request && !has_room()) {
        count(Counter::kLinkBackPressure);
        return false;
    }
    // One session holds up no other of its connection.
    if (message.has_body && msrp->given.size() >= kMsrpGiven) {
        if (message.wants(413)) sip::write_msrp_response(out, message, 413);
        write(connection, out);
        return true;
    }
    const MsrpActions actions = msrp->machine->on_message(message, now(), out);
    if (!msrp->connection && msrp->is_bound()) attach(*msrp, connection);
    write(connection, out);
    act(*msrp, actions, message.failure_report != sip::MsrpFailureReport::kNo);
    return true;
}

void Gateway::Engine::on_msrp_refused(MsrpConnection& connection, const sip::MsrpMessage& message,
                                      sip::MsrpFault fault) {
    char memory[limits::kMsrpAnswerBytes];
    Sink out{MutableBytes(memory)};
    SessionMsrp* const msrp = find_msrp(message);
    const bool is_its = msrp != nullptr && msrp->machine &&
                        (!msrp->connection || msrp->connection == connection.self());
    MsrpActions actions = MsrpActions::kNone;
    if (is_its) {
        actions = msrp->machine->on_refused(message, fault, out);
        if (!msrp->connection && msrp->is_bound()) attach(*msrp, connection);
    } else if (message.wants(fault.status)) {
        sip::write_msrp_response(out, message, fault.status);
    }
    write(connection, out);
    if (is_its) act(*msrp, actions);
}

void Gateway::Engine::on_msrp_connected(MsrpConnection& connection) {
    const Handle<MsrpConnection> self = connection.self();
    for (const Handle<Session> handle : sessions_on(connection)) {
        Session* const session = sessions_.find(handle);
        MsrpConnection* const still = msrp_.find(self);
        if (session == nullptr || still == nullptr || session->msrp->connection != self) continue;
        say_hello(*session->msrp, *still);
    }
}

void Gateway::Engine::on_msrp_writable(MsrpConnection& connection) {
    for (const Handle<Session> handle : sessions_on(connection)) {
        Session* const session = sessions_.find(handle);
        if (session == nullptr || !session->msrp) continue;
        SessionMsrp& msrp = *session->msrp;
        if (msrp.text != nullptr && !msrp.is_written && msrp.is_bound()) write_text(msrp);
    }
}

void Gateway::Engine::on_msrp_closed(MsrpConnection& connection, const Error&) {
    if (!connection.opened_to.empty()) msrp_peers_.erase(connection.opened_to);
    const auto all = sessions_on(connection);
    while (SessionMsrp* one = connection.sessions) {
        connection.sessions = one->next;
        one->connection = {};
        one->next = one->previous = nullptr;
    }
    for (const Handle<Session> handle : all) {
        Session* const session = sessions_.find(handle);
        if (session == nullptr) continue;
        act(*session->msrp, session->msrp->machine->on_lost());
    }
}

void Gateway::Engine::on_msrp_timer(SessionMsrp& msrp) {
    if (now() >= msrp.answer_by) return end_msrp_text(msrp, 0);
    if (now() >= msrp.write_by) return lose_msrp(msrp.session);
    // Each call says one thing.
    const MsrpActions actions = msrp.machine->on_time(now());
    forget_arrived(msrp);
    act(msrp, actions);
}

void Gateway::Engine::arm(SessionMsrp& msrp) {
    const Instant due = std::min({msrp.machine->deadline(), msrp.write_by, msrp.answer_by});
    if (due == kNever) return msrp.timer.cancel();
    shard_.loop().timers().arm(msrp.timer, std::max(due, now()));
}

// What the machine wants done. The session may be gone behind it.
void Gateway::Engine::act(SessionMsrp& msrp, MsrpActions actions, bool failure_wanted) {
    const Handle<Session> self = msrp.session.self;
    const auto is_gone = [&] { return sessions_.find(self) == nullptr; };
    const sip::MsrpOutcome outcome = msrp.machine->outcome();
    const bool is_bound = sip::has(actions, MsrpActions::kBound);
    msrp.was_bound = msrp.was_bound || is_bound;
    if (sip::has(actions, MsrpActions::kMessage)) {
        count(Counter::kMsrpMessagesIn);
        take_msrp_text(msrp, msrp.machine->content(), failure_wanted);
        if (is_gone()) return;
    }
    if (sip::has(actions, MsrpActions::kDropped)) drop("message of MSRP that did not come whole");
    const bool is_of_text = msrp.text != nullptr && msrp.is_written && outcome.tag == msrp.last_tag;
    if (sip::has(actions, MsrpActions::kAccepted) && is_of_text) {
        // RCPT-3: that is no receipt; one may follow, or bad news.
        note_arrived(msrp, *msrp.text);
        msrp.text->receipt = ClientRequest::Receipt::kNone;
        end_msrp_text(msrp, 200);
    } else if (sip::has(actions, MsrpActions::kDelivered)) {
        is_of_text ? end_msrp_text(msrp, 200) : tell_arrived(msrp, outcome);
    } else if (sip::has(actions, MsrpActions::kFailed)) {
        is_of_text ? end_msrp_text(msrp, outcome.status) : tell_arrived(msrp, outcome);
    }
    if (is_gone()) return;
    Session& session = msrp.session;
    if (sip::has(actions, MsrpActions::kEnd)) return lose_msrp(session);
    arm(msrp);
    Conversation* const conversation =
        is_bound ? conversations_.find(session.conversation) : nullptr;
    if (conversation == nullptr) return;
    give_time(*conversation);
    start_next(*conversation);
}

// A text, or typing, as SIP would bring it: there is one reader for both.
void Gateway::Engine::take_msrp_text(SessionMsrp& msrp, const sip::MsrpContent& content,
                                     bool failure_wanted) {
    Session& session = msrp.session;
    if (!content.content_type.starts_with(kTypingType)) session.used_at = now();  // SESS-8
    if (++msrp.last_given == 0) ++msrp.last_given;
    SessionMsrp::Given given;
    given.number = msrp.last_given;
    given.size = static_cast<std::uint32_t>(content.body.size());
    given.id_bytes =
        static_cast<std::uint8_t>(content.message_id.copy(given.id.data(), given.id.size()));
    given.failure_wanted = failure_wanted;
    msrp.given.push_back(given);
    Origin origin;
    origin.shard = shard_.index();
    origin.session = session.self;
    origin.message = given.number;
    RequestCall call;
    if (!read_parties(session, call) || call.partner == nullptr) return answer(origin, {403, {}});
    char name_memory[kReportNameBytes];
    Sink name{MutableBytes(name_memory)};
    if (content.success_report) {
        const auto ours = sip::parse_msrp_path(msrp.path);
        name.append(kReportName, ours->first.session, "!");
        name.append_number(content.body.size());
        name.append('!');
        for (const char c : content.message_id) name.append(c == '=' ? '~' : c);
        FEDGATE_CHECK(!name.overflowed());
        call.asks_as = name.written();
    }
    sip::Message& text = message_;
    text.reset();
    text.is_request = true;
    text.method = text.cseq.method = sip::Method::kMessage;
    text.cseq.number = given.number;
    text.from = {};
    text.from.tag = msrp.path;  // with the number: it is another text than any of SIP (SIP-11)
    text.call_id = session.dialog->call_id();
    text.headers_[0] = {"Content-Type", content.content_type, sip::HeaderName::kContentType, false};
    text.first_[static_cast<std::size_t>(sip::HeaderName::kContentType)] = 0;
    text.header_count = 1;
    text.body = content.body;
    if (!take_message(text, call, origin)) answer(origin, {503, {}});
}

// 2xx: a partner has it, which MSRP asks nobody to say before its reader has it (RCPT-2).
// False: they want to know of a failure, and can't be told here.
bool Gateway::Engine::answer_msrp(const Origin& origin, const SipAnswer& verdict) {
    const bool is_success = verdict.status / 100 == 2;
    Session* const session = sessions_.find(origin.session);
    if (session == nullptr) return is_success;
    SessionMsrp& msrp = *session->msrp;
    const auto found = std::ranges::find(msrp.given, origin.message, &SessionMsrp::Given::number);
    if (found == msrp.given.end()) return is_success;
    const SessionMsrp::Given given = *found;
    msrp.given.erase(found);
    if (msrp.given.empty()) msrp.given.shrink_to_fit();
    MsrpConnection* const connection = msrp_.find(msrp.connection);
    if (is_success || !given.failure_wanted) return true;
    if (connection == nullptr || !msrp.is_bound()) return false;
    char memory[limits::kMsrpAnswerBytes];
    Sink out{MutableBytes(memory)};
    return msrp.machine->report(given.message_id(), given.size, out, msrp_status(verdict.status)) &&
           connection->write(out.written());
}

// RCPT-2. False: it is no name of take_msrp_text().
bool Gateway::Engine::report_receipt(Bytes name) {
    if (!name.starts_with(kReportName)) return false;
    name.remove_prefix(kReportName.size());
    const std::size_t first = name.find('!');
    const std::size_t second = name.find('!', first == Bytes::npos ? first : first + 1);
    if (second == Bytes::npos) return false;
    SessionMsrp* const msrp = by_msrp_id_.find(keys_.make({name.substr(0, first)}));
    MsrpConnection* const connection = msrp != nullptr ? msrp_.find(msrp->connection) : nullptr;
    if (connection == nullptr) return true;  // the session has ended
    std::uint64_t size = 0;
    std::from_chars(name.data() + first + 1, name.data() + second, size);
    std::string id(name.substr(second + 1));
    std::ranges::replace(id, '~', '=');
    char memory[limits::kMsrpAnswerBytes];
    Sink out{MutableBytes(memory)};
    if (msrp->machine->report(id, size, out)) {
        write(*connection, out);
    }
    return true;
}

// ---- What goes

// SESS-22. Its answer follows; there is none to typing.
void Gateway::Engine::send_by_msrp(Session& session, ClientRequest& request) {
    SessionMsrp& msrp = *session.msrp;
    FEDGATE_CHECK(msrp.text == nullptr);  // GEN-5
    request.owner = session.self.pack();
    msrp.text = &request;
    msrp.is_written = false;
    if (given_up_) return end_msrp_text(msrp, 0, LocalFault::kDraining);
    write_text(msrp);
}

void Gateway::Engine::write_text(SessionMsrp& msrp) {
    MsrpConnection* const connection = msrp_.find(msrp.connection);
    if (connection == nullptr || !msrp.is_bound()) return end_msrp_text(msrp, 0);
    const ClientRequest& request = *msrp.text;
    const bool is_typing = request.kind == RequestKind::kInfo;
    const Content content = read_content(request.content());
    const std::size_t front =
        msrp.path.size() + msrp.machine->their_path().size() + kChunkFrontBytes;
    const std::size_t bytes =
        content.body.size() + (content.body.size() / limits::kMsrpChunkBytes + 1) * front;
    if (bytes + kMsrpKeptForAnswers > kMsrpUnsentBytes) {
        return end_msrp_text(msrp, 0, LocalFault::kTooLarge);
    }
    if (!connection->has_room(bytes + kMsrpKeptForAnswers)) {
        if (is_typing) return end_msrp_text(msrp, 200);  // CS-9: it does not wait
        if (msrp.write_by == kNever) msrp.write_by = now() + kMsrpRoomWait;
        return arm(msrp);
    }
    sip::MsrpOutgoing text;
    text.tag = is_typing ? 0 : ++msrp.last_tag;
    if (request.kind == RequestKind::kMessage) text.transaction = request.id();
    text.content_type = content.type;
    text.body = content.body;
    text.success_report = request.receipt != ClientRequest::Receipt::kNone;  // RCPT-1
    std::vector<char> memory(bytes);
    Sink out{MutableBytes(memory)};
    switch (msrp.machine->send(text, now(), out)) {
        case sip::MsrpSent::kSent: break;
        case sip::MsrpSent::kTooLong: return end_msrp_text(msrp, 413);
        case sip::MsrpSent::kNotBound: return end_msrp_text(msrp, 0);
        case sip::MsrpSent::kFull: return end_msrp_text(msrp, 0, LocalFault::kOverload);
    }
    count(Counter::kMsrpMessagesOut);
    if (tracer_.on()) [[unlikely]]
        tracer_.remark("goes by MSRP", msrp.machine->their_path());
    static_cast<void>(connection->write(out.written()));  // there is room, or it is closed soon
    msrp.write_by = kNever;
    msrp.is_written = true;
    arm(msrp);
    if (is_typing) return end_msrp_text(msrp, 200);
    msrp.session.used_at = now();
}

// Its text has met its fate: a status, or none and why. The session may be gone behind it.
void Gateway::Engine::end_msrp_text(SessionMsrp& msrp, std::uint16_t status, LocalFault fault) {
    ClientRequest* const request = std::exchange(msrp.text, nullptr);
    msrp.write_by = msrp.answer_by = kNever;
    if (request == nullptr) return;
    request->status = status;
    // A second time it may be there, too.
    const bool in_doubt =
        fault == LocalFault::kUnreachable && msrp.is_written && request->goes_again;
    request->fault = in_doubt ? LocalFault::kInDoubt : fault;
    const bool is_over = msrp.is_over;
    const Handle<Session> self = msrp.session.self;
    end_request(*request, nullptr);
    Session* const session = is_over ? sessions_.find(self) : nullptr;
    if (session != nullptr) free(*session);
}

void Gateway::Engine::note_arrived(SessionMsrp& msrp, const ClientRequest& text) {
    forget_arrived(msrp);
    if (text.kind != RequestKind::kMessage || text.trial != 0) return;  // nobody to tell
    SessionMsrp::Arrived one;
    one.tag = msrp.last_tag;
    one.names = msrp_arrived_.copy({text.from(), text.to(), text.id()});
    if (!one.names) return drop("report");
    one.from_bytes = text.from_bytes;
    one.to_bytes = text.to_bytes;
    one.chat = text.receipt == ClientRequest::Receipt::kChat;
    msrp.arrived.push_back(std::move(one));
}

// Those whose fate the machine has told, or waits for no longer.
void Gateway::Engine::forget_arrived(SessionMsrp& msrp) {
    std::erase_if(msrp.arrived, [&](const auto& one) { return !msrp.machine->awaits(one.tag); });
    if (msrp.arrived.empty()) msrp.arrived.shrink_to_fit();
}

// RCPT-3: success is a receipt. A 200 to the text was none, so nothing is unsaid when it has failed
// behind that (RFC 4975 7.1.2); what its reader has acknowledged does not fail any more.
void Gateway::Engine::tell_arrived(SessionMsrp& msrp, const sip::MsrpOutcome& outcome) {
    const auto found = std::ranges::find(msrp.arrived, outcome.tag, &SessionMsrp::Arrived::tag);
    if (found == msrp.arrived.end()) return drop("report");
    const SessionMsrp::Arrived one = std::move(*found);
    forget_arrived(msrp);
    const Bytes names = one.names.bytes();
    const std::size_t both = std::size_t{one.from_bytes} + one.to_bytes;
    const Bytes from = names.substr(0, one.from_bytes);
    const Bytes to = names.substr(one.from_bytes, one.to_bytes);
    if (outcome.status != 200) return tell_failed(from, to, names.substr(both), outcome.status);
    tell_received(from, to, names.substr(both), one.chat);
}

void Gateway::Engine::tell_failed(Bytes from_text, Bytes to_text, Bytes id, std::uint16_t status) {
    Address from;
    Address to;
    FEDGATE_CHECK(read_jid(from_text, from));  // they were read when the message came
    FEDGATE_CHECK(read_jid(to_text, to));
    const ErrorKind kind = stanza_error_of_status(status);
    xml::StanzaError error;
    error.condition = kind.condition;
    error.type = kind.type;
    error.by = to.domain_ascii;
    Sink stanza{MutableBytes(stanza_memory_)};
    xml::write_stanza_error(stanza, xml::StanzaKind::kMessage, to_text, from_text,
                            id.empty() ? Bytes() : id, error);
    FEDGATE_CHECK(!stanza.overflowed());
    give(0, to.domain_ascii, from.domain_ascii, stanza.written());
}

// The time to drain is over: what is on its way may or may not have arrived.
void Gateway::Engine::give_up_msrp() {
    given_up_ = true;
    sessions_.for_each([this](Handle<Session>, Session& session) {
        if (!session.msrp) return;
        if (session.msrp->text != nullptr) {
            const bool is_written = session.msrp->is_written;
            return end_msrp_text(*session.msrp, 0,
                                 is_written ? LocalFault::kInDoubt : LocalFault::kDraining);
        }
        // Those that wait for it to be bound.
        Conversation* const conversation = conversations_.find(session.conversation);
        if (conversation != nullptr && session.sends && session.state == Session::State::kOpen &&
            !is_ready(session)) {
            fail_waiting(*conversation, 0, nullptr, LocalFault::kDraining);
        }
    });
}

}  // namespace fedgate::gateway
