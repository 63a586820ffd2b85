#include "appliance/gateway/tracer.hpp"

#include <algorithm>
#include <utility>

#include "appliance/gateway/message.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::gateway {
namespace {

std::string cut(Bytes text) { return std::string(text.substr(0, kTraceTextBytes)); }

std::string size_of(Bytes name, std::size_t bytes) {
    return cut(name) + " (" + std::to_string(bytes) + " bytes)";
}

std::string address_of(const AddressView& view) {
    std::string text(view.jid.local);
    if (!text.empty()) text += '@';
    text += view.jid.domain;
    if (!view.jid.resource.empty()) text.append("/").append(view.jid.resource);
    return text.substr(0, kTraceTextBytes);
}

Bytes name_of(link::Proof proof) {
    switch (proof) {
        case link::Proof::kCertificate: return "certificate";
        case link::Proof::kDialbackTls: return "dialback over TLS";
        case link::Proof::kDialbackClear: return "dialback, no TLS";
    }
    return "";
}

Bytes name_of(const link::Outcome& outcome) {
    switch (outcome.fate) {
        case link::Fate::kWritten: return "written";
        case link::Fate::kAcknowledged: return "acknowledged";
        case link::Fate::kInDoubt: return "in doubt: the stream broke";
        case link::Fate::kFailed: break;
    }
    switch (outcome.fault) {
        case link::Fault::kNoSuchDomain: return "not sent: there is no such domain";
        case link::Fault::kUnreachable: return "not sent: the partner can't be reached";
        case link::Fault::kNotTrusted: return "not sent: the partner did not prove to be it";
        case link::Fault::kRemoteDenied: return "not sent: the partner denies it";
        case link::Fault::kRemoteFailing: return "not sent: the partner fails";
        case link::Fault::kBlocked: return "not sent: our policy";
        case link::Fault::kQueueFull: return "not sent: the queue is full";
        case link::Fault::kExpired: return "not sent: it has waited too long for a stream";
        case link::Fault::kTooLong: return "not sent: too long for the partner";
        case link::Fault::kNone: break;
    }
    return "not sent";
}

// RFC 6121 4.7.2: of what may be written there, not whatever is.
bool says_no_more(Bytes name, Bytes content) {
    constexpr Bytes kShows[] = {"away", "chat", "dnd", "xa"};
    if (name == "show") return std::ranges::find(kShows, content) != std::end(kShows);
    return name == "priority" && content.size() <= 4 &&
           content.find_first_not_of("-0123456789") == Bytes::npos;
}

// What is in it, by name and size. What people have written stays untold.
std::string contents_of(const xml::Stanza& stanza, Bytes type) {
    std::string text;
    const auto say = [&](const std::string& more) {
        if (text.size() < kTraceTextBytes) text += (text.empty() ? "" : ", ") + more;
    };
    if (type == "error") {
        const auto error = xml::parse_stanza_error(stanza.root);
        if (error) {
            say("error " + std::string(xml::name_of(error->condition)));
            if (!error->text.empty()) say(size_of("text", error->text.size()));  // may quote a body
        }
        return text.substr(0, kTraceTextBytes);
    }
    for (const xml::Element& child : stanza.root.children()) {
        const Bytes name = child.name();
        if (stanza.kind == xml::StanzaKind::kPresence && says_no_more(name, child.content())) {
            say(std::string(name) + " " + cut(child.content()));
        } else if (child.content().empty()) {
            say(cut(name));
        } else {
            say(size_of(name, child.content().size()));
        }
    }
    return text.substr(0, kTraceTextBytes);
}

std::string contents_of(const sip::Message& message) {
    std::string text;
    const auto say = [&](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
    for (const auto id : {sip::HeaderName::kEvent, sip::HeaderName::kExpires,
                          sip::HeaderName::kSubscriptionState, sip::HeaderName::kRetryAfter}) {
        const sip::Header* const header = message.find(id);
        if (header != nullptr) say(cut(header->name) + " " + cut(header->value));
    }
    const Bytes warning = message.value(sip::HeaderName::kWarning);  // its code
    if (!warning.empty()) say("Warning " + cut(warning.substr(0, warning.find(' '))));
    if (!message.body.empty()) {
        say(size_of(message.value(sip::HeaderName::kContentType), message.body.size()));
    }
    return text.substr(0, kTraceTextBytes);
}

bool is_of(Bytes user, const AddressView& view) {
    return user.size() == view.jid.local.size() + 1 + view.jid.domain.size() &&
           user.starts_with(view.jid.local) && user[view.jid.local.size()] == '@' &&
           user.ends_with(view.jid.domain);
}

}  // namespace

void Tracer::start(const TraceFilter& filter, Duration time) {
    state_ = std::make_unique<State>();
    state_->filter = filter;
    state_->until = loop_.now() + time;
}

TraceTaken Tracer::take() {
    if (!state_) return {};
    TraceTaken taken{std::move(state_->rows), std::exchange(state_->missed, 0), loop_.now()};
    state_->rows.clear();
    if (loop_.now() >= state_->until) stop();
    return taken;
}

// At its end the rows stay for take().
bool Tracer::is_due() {
    state_->last.from.clear();
    return loop_.now() < state_->until;
}

bool Tracer::wanted(const AddressView& one, const AddressView& other) const {
    const TraceFilter& filter = state_->filter;
    const auto& partner = filter.partner;
    if (!partner.empty() && one.domain_ascii != partner && other.domain_ascii != partner)
        return false;
    return filter.user.empty() || is_of(filter.user, one) || is_of(filter.user, other);
}

void Tracer::add(TraceRow row) {
    state_->last.from = row.from;
    state_->last.to = row.to;
    state_->last.xmpp = row.xmpp;
    state_->last.stanza_id = row.stanza_id;
    state_->last.call_id = row.call_id;
    state_->last.cseq = row.cseq;
    if (state_->rows.size() >= kTraceRows) {
        ++state_->missed;
        return;
    }
    row.at = loop_.now();
    state_->rows.push_back(std::move(row));
}

// False: nothing that was asked for.
bool Tracer::read(Bytes bytes, TraceRow& row) {
    const xml::Stanza stanza = xml::parse_stanza(bytes, state_->scope);
    if (stanza.kind == xml::StanzaKind::kOther) return false;
    char memory[8 * xml::kJidBytes];
    Sink names{MutableBytes(memory)};
    const Bytes from_text = stanza.decoded(stanza.from, names);
    const Bytes to_text = stanza.decoded(stanza.to, names);
    Address from;
    Address to;
    if (names.overflowed() || !read_jid(from_text, from) || !read_jid(to_text, to)) return false;
    if (!wanted(from, to)) return false;
    row.xmpp = true;
    row.from = address_of(from);
    row.to = address_of(to);
    row.what = xml::stanza_kind_name(stanza.kind);
    const Bytes type = stanza.type;
    if (!type.empty()) row.what.append(" ").append(type.substr(0, 32));
    row.stanza_id = cut(stanza.decoded(stanza.id, names));
    row.note = contents_of(stanza, type);
    return true;
}

bool Tracer::read(const sip::Message& message, TraceRow& row) {
    const auto from = sip::parse_name_addr(message.value(sip::HeaderName::kFrom));
    const auto to = sip::parse_name_addr(message.value(sip::HeaderName::kTo));
    if (!from || !to) return false;
    Address from_address;
    Address to_address;
    const AddressFault faults[] = {read_uri(from->uri, from_address),
                                   read_uri(to->uri, to_address)};
    if (faults[0] != AddressFault::kNone || faults[1] != AddressFault::kNone) return false;
    if (!wanted(from_address, to_address)) return false;
    row.from = address_of(from_address);
    row.to = address_of(to_address);
    row.what = message.is_request
                   ? cut(message.method_name)
                   : std::to_string(message.status) + " " + cut(sip::reason_phrase(message.status));
    row.call_id = cut(message.value(sip::HeaderName::kCallId));
    if (const auto cseq = sip::parse_cseq(message.value(sip::HeaderName::kCseq))) {
        row.cseq = cseq->number;
    }
    row.note = contents_of(message);
    return true;
}

void Tracer::stanza_in(const link::FromPartner& from_partner, bool again) {
    if (!is_due()) return;
    TraceRow row;
    if (!read(from_partner.stanza, row)) return;
    row.in = true;
    row.peer.append(from_partner.from_domain).append(", ").append(name_of(from_partner.proof));
    if (!again) return add(std::move(row));
    state_->last = std::move(row);
}

void Tracer::stanza_out(const link::ToPartner& to_partner) {
    if (!is_due()) return;
    TraceRow row;
    if (!read(to_partner.stanza, row)) return;
    row.peer = to_partner.their_domain;
    if (link::is_asked(to_partner.ticket)) {
        Ticket ticket{to_partner.ticket, row.from, row.to, row.stanza_id, row.peer};
        if (state_->tickets.size() < kTraceTickets) {
            state_->tickets.push_back(std::move(ticket));
        } else {
            state_->tickets[state_->next_ticket] = std::move(ticket);
            state_->next_ticket = (state_->next_ticket + 1) % kTraceTickets;
        }
    }
    add(std::move(row));
}

void Tracer::outcome(const link::Outcome& outcome) {
    if (!is_due()) return;
    const auto found = std::ranges::find(state_->tickets, outcome.ticket, &Ticket::ticket);
    if (found == state_->tickets.end()) return;
    TraceRow row;
    row.xmpp = true;
    row.in = true;
    row.from = found->from;
    row.to = found->to;
    row.stanza_id = found->stanza_id;
    row.peer = found->peer;
    row.what = name_of(outcome);
    add(std::move(row));
}

void Tracer::remark(Bytes what, Bytes note) {
    if (state_->last.from.empty() || loop_.now() >= state_->until) return;
    TraceRow row = state_->last;
    row.in = true;
    row.what = what;
    row.note = note;
    add(std::move(row));
}

void Tracer::sip_in(const sip::Message& message, Bytes transport, Bytes address) {
    if (!is_due()) return;
    TraceRow row;
    if (!read(message, row)) return;
    row.in = true;
    row.peer.append(transport).append(" ").append(address);
    if (message.is_request) row.stanza_id = cut(gateway::stanza_id(message.via.branch));  // IM-35
    add(std::move(row));
}

void Tracer::sip_out(Bytes bytes, Bytes transport, Bytes address, Bytes stanza_id, Bytes note) {
    if (!is_due()) return;
    // Our own: nothing is folded, but the parser wants bytes that it could change.
    state_->memory.assign(bytes.begin(), bytes.end());
    const auto parsed = sip::parse_message(MutableBytes(state_->memory), sip::Carrier::kDatagram,
                                           bytes.size(), state_->message);
    TraceRow row;
    if (parsed.verdict != sip::Verdict::kDone || !read(state_->message, row)) return;
    row.stanza_id = cut(stanza_id);
    row.peer.append(transport).append(" ").append(address);
    if (!note.empty()) row.note.insert(0, std::string(note) + (row.note.empty() ? "" : ", "));
    add(std::move(row));
}

void Tracer::sip_ended(Bytes request, Bytes stanza_id, Bytes why) {
    if (!is_due()) return;
    state_->memory.assign(request.begin(), request.end());
    const auto parsed = sip::parse_message(MutableBytes(state_->memory), sip::Carrier::kDatagram,
                                           request.size(), state_->message);
    TraceRow row;
    if (parsed.verdict != sip::Verdict::kDone || !read(state_->message, row)) return;
    row.in = true;
    row.stanza_id = cut(stanza_id);
    row.what = "no answer";
    row.note = why;
    add(std::move(row));
}

}  // namespace fedgate::gateway
