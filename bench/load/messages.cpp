#include "bench/load/messages.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <unistd.h>
#include <utility>

#include "bench/load/cpu.hpp"
#include "bench/load/input_end.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::load {

namespace {

// So many refusals in a row: there is nothing to measure, or not any more.
constexpr std::uint64_t kRefusalsMax = 1'000;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr unsigned kAfterHold = 1'000;           // messages
constexpr std::uint64_t kLateNs = kSecond / 10;  // what comes a second time may come behind the end

const char* words(link::Fault fault) {
    switch (fault) {
        case link::Fault::kNoSuchDomain: return "it does not serve the domain";
        case link::Fault::kUnreachable: return "no stream to it could be set up";
        case link::Fault::kNotTrusted: return "it or we could not prove who we are";
        case link::Fault::kRemoteDenied: return "it denied the stream";
        case link::Fault::kRemoteFailing: return "its stream failed";
        case link::Fault::kQueueFull: return "it does not read its stream";
        case link::Fault::kExpired: return "no stream to it stood in time";
        default: return "the stream to it broke";
    }
}

}  // namespace

bool Messages::set_up() {
    return ends_.set_up(
        *this, {.on_request = [this](const sip::Message& request,
                                     SipEnd::Answer& answer) { on_request(request, answer); },
                .on_answered = {},
                .on_response = [this](const sip::Message& response) { on_response(response); },
                .on_broken =
                    [this](const char* what) {
                        broken_ = std::string("the SIP connection to the target broke: ") + what;
                    }});
}

void Messages::on_request(const sip::Message& request, SipEnd::Answer& answer) {
    if (sessions_) sessions_->on_request(request, answer);
    if (request.method != sip::Method::kMessage || answer.head.status >= 300) return;
    if (options_.sip_transport != "udp") return on_arrived(request.body, 0);
    on_arrived(request.body, static_cast<std::uint32_t>(std::hash<Bytes>{}(request.via.branch)));
}

void Messages::on_response(const sip::Message& response) {
    const std::size_t in_session = sessions_ ? sessions_->on_response(response) : SIZE_MAX;
    if (response.status < 300) return;
    std::string why = "SIP " + std::to_string(response.status) + ' ' + std::string(response.reason);
    sessions_ ? refuse(in_session, std::move(why)) : on_refused(response.call_id, std::move(why));
}

bool Messages::take_stanza(const link::FromPartner& from) {
    const xml::StreamScope scope;
    const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
    bool taken = true;
    if (ends_.answered(stanza, taken)) return taken;
    if (stanza.kind != xml::StanzaKind::kMessage) return true;
    if (stanza.type == "error" && options_.mode == Mode::kReturn) {
        on_arrived(stanza.id, 0);
        return true;
    }
    if (stanza.type == "error") {
        const auto error = xml::parse_stanza_error(stanza.root);
        on_refused(stanza.id, error ? std::string(xml::name_of(error->condition)) : "an error");
        return true;
    }
    char memory[256];
    Sink body(memory);
    static_cast<void>(stanza.root.child("body", xml::kServerNamespace).text(body));
    on_arrived(body.written(), 0);
    return true;
}

void Messages::on_outcome(const link::Outcome& outcome) {
    if (outcome.fate != link::Fate::kFailed && outcome.fate != link::Fate::kInDoubt) return;
    refuse(link::own_part(outcome.ticket) - 1, words(outcome.fault));
}

void Messages::on_arrived(Bytes text, std::uint32_t branch) {
    const std::size_t number = take_number(text);
    if (number >= next_) return;
    Sent& sent = sent_[number];
    if (sent.done) {
        const bool again = branch != 0 && branch == sent.branch && !sent.refused;
        ++(again ? results_.retransmitted : results_.doubled);
        return;
    }
    sent.branch = branch;
    unsigned& newest = newest_[number % options_.pairs];
    if (number < newest) ++results_.disordered;
    newest = static_cast<unsigned>(number) + 1;
    const std::uint64_t now = now_ns();
    if (number >= options_.warm_up) {
        const std::uint64_t latency = now > sent.at ? now - sent.at : 0;
        results_.latency.add(latency);
        results_.series.add(now - begun_ns_, latency);
    }
    ++results_.delivered;
    refused_in_a_row_ = 0;
    end(number);
}

void Messages::on_refused(Bytes text, std::string why) {
    refuse(take_number(text), std::move(why));
}

void Messages::refuse(std::size_t number, std::string why) {
    if (number >= next_ || sent_[number].done) return;
    if (first_refusal_.empty()) first_refusal_ = std::move(why);
    sent_[number].refused = true;
    ++results_.refused;
    ++refused_in_a_row_;
    end(number);
}

void Messages::end(std::size_t number) {
    sent_[number].done = true;
    --open_;
    moved_ns_ = now_ns();
}

bool Messages::send(unsigned number) {
    const std::string pair = std::to_string(number % options_.pairs);
    const std::string text = std::to_string(number);
    const std::string partner =
        options_.has_xmpp() ? partner_domain(options_, number % options_.pairs % options_.domains)
                            : options_.domain;
    if (from_xmpp()) {
        const std::string stanza = "<message from='u" + pair + "@" + partner + "/load' to='s" +
                                   pair + "@" + options_.domain + "' type='chat' id='" + text +
                                   "'><body>" + text + padding_ + "</body></message>";
        return ends_.send_stanza(link::make_ticket(0, number + 1), partner, stanza);
    }
    const Bytes type = "text/plain;charset=UTF-8";
    if (sessions_) {
        return sessions_->stands(number % options_.pairs) &&
               sessions_->send(number, type, text + padding_);
    }
    const std::string from = "sip:s" + pair + "@" + options_.domain;
    const std::string to = "sip:u" + pair + "@" + partner;
    sip::RequestHead head;
    head.method = "MESSAGE";
    head.uri = to;
    head.from = {.display = {}, .uri = from, .tag = "load"};
    head.to = {.display = {}, .uri = to, .tag = {}};
    const std::string call_id = text + '@' + run_;
    head.call_id = call_id;
    return ends_.sip().send(head, {}, type, text + padding_);
}

std::uint64_t Messages::due(unsigned number) const {
    return begun_ns_ + static_cast<std::uint64_t>(number * 1e9 / options_.rate);
}

// With a rate a message counts from when it was due, also when there was no room for it then: a
// target that stalls is not asked less about it (coordinated omission).
void Messages::send_more(std::uint64_t now) {
    while (open_ < options_.window && next_ < sent_.size()) {
        const std::uint64_t at = options_.rate > 0 ? due(next_) : now_ns();
        if (at > now && options_.rate > 0) return;
        sent_[next_].at = at;
        ++next_;  // its outcome may come before send() returns
        ++open_;
        if (!send(next_ - 1)) {
            --next_;
            --open_;
            return;
        }
    }
}

// Why it ends before its end; empty: it does not.
std::string Messages::why_over(std::uint64_t now) const {
    if (!broken_.empty()) return broken_;
    if (refused_in_a_row_ >= std::min<std::uint64_t>(kRefusalsMax, sent_.size())) {
        return (results_.delivered > 0 ? "the target does not deliver any more: "
                                       : "the target refuses: ") +
               first_refusal_;
    }
    if (now - begun_ns_ > options_.limit_s * kSecond) {
        return "too slow: " + std::to_string(ended()) + " of " + std::to_string(sent_.size()) +
               " had come to an end within the limit of " + std::to_string(options_.limit_s) + " s";
    }
    const bool waits = open_ > 0 || next_ == 0 || options_.rate == 0;
    if (waits && now - moved_ns_ > options_.silence_s * kSecond) {
        if (next_ == 0) {
            return "could not begin: no connection to the target stood within " +
                   std::to_string(options_.silence_s) + " s";
        }
        return "the target has gone silent: " + std::to_string(open_) +
               " messages were under way, and nothing came back for " +
               std::to_string(options_.silence_s) + " s";
    }
    return {};
}

void Messages::go_on() {
    const std::uint64_t now = now_ns();
    if (!warm_ && ended() >= options_.warm_up) {
        warm_ = true;
        measured_from_ns_ = now;
        cpu_from_ = cpu_ns(options_.pids);
        own_cpu_from_ = own_cpu_ns();
    }
    if (sessions_) sessions_->turn();
    if (from_xmpp() || ends_.sip().connected()) send_more(now);
    Duration wait = 10ms;
    if (options_.rate > 0 && next_ < sent_.size() && open_ < options_.window) {
        const std::uint64_t at = due(next_);
        wait = std::min<Duration>(wait, std::chrono::nanoseconds(at > now ? at - now : 0));
    }
    ends_.turn(wait);
}

void Messages::load(Progress& progress) {
    while (ended() < sent_.size() && results_.fault.empty()) {
        go_on();
        const std::uint64_t now = now_ns();
        results_.fault = why_over(now);
        progress.show(now, ended(), sent_.size(), results_.latency);
    }
}

void Messages::measure() {
    const std::uint64_t now = now_ns();
    results_.measured = ended() > options_.warm_up ? ended() - options_.warm_up : 0;
    if (!warm_) return;
    results_.seconds = static_cast<double>(now - measured_from_ns_) / 1e9;
    results_.own_cpu_ns = own_cpu_ns() - own_cpu_from_;
    results_.cpu_ns = cpu_ns_since(options_.pids, cpu_from_);
}

void Messages::pass(bool (Sessions::*step)(unsigned)) {
    unsigned next = 0, under_way = 0;
    moved_ns_ = now_ns();
    while (results_.fault.empty() && (next < options_.pairs || under_way > 0)) {
        sessions_->turn();
        while (ends_.sip().connected() && next < options_.pairs &&
               sessions_->under_way() < options_.window && ((*sessions_).*step)(next)) {
            ++next;
        }
        ends_.turn(10ms);
        if (std::exchange(under_way, sessions_->under_way()) != under_way) moved_ns_ = now_ns();
        results_.fault = broken_;
        if (now_ns() - moved_ns_ > options_.silence_s * kSecond) {
            results_.fault = "the target has gone silent: " + std::to_string(under_way) +
                             " sessions were beginning or ending, and nothing came for " +
                             std::to_string(options_.silence_s) + " s";
        }
    }
}

// Until standard input ends, or the limit is over; and then they are still there.
void Messages::hold(Progress& progress) {
    if (options_.json) {
        static_cast<void>(report(options_, results_));
    } else {
        std::puts("all sessions stand; end of input ends them");
        std::fflush(stdout);
    }
    const InputEnd input(ends_.loop());
    while (!input.over() && now_ns() - begun_ns_ < options_.limit_s * kSecond) ends_.turn(100ms);
    sent_.resize(sent_.size() + std::min(kAfterHold, options_.pairs));
    moved_ns_ = now_ns();
    load(progress);
}

void Messages::end_sessions() {
    pass(&Sessions::end);
    results_.sessions = sessions_->counts().opened;
    results_.sessions_ended = sessions_->counts().ended;
    if (results_.fault.empty() && results_.refused == 0) results_.fault = session_fault();
}

std::string Messages::session_fault() const {
    const Sessions::Counts& counts = sessions_->counts();
    const auto number = [](std::uint64_t count) { return std::to_string(count); };
    if (counts.refused > 0) {
        return number(counts.refused) +
               " sessions were refused, the first one: " + sessions_->first_refusal();
    }
    if (counts.outside > 0) return number(counts.outside) + " messages came outside a session";
    if (counts.gone > 0) return number(counts.gone) + " sessions were ended by the target";
    const unsigned pairs = from_xmpp() ? std::min(options_.pairs, next_) : options_.pairs;
    if (counts.opened != pairs) {
        return number(counts.opened) + " sessions were opened for " + number(pairs) + " pairs";
    }
    return {};
}

int Messages::run() {
    if (!set_up()) return 1;
    sent_.resize(static_cast<std::size_t>(options_.warm_up) + options_.count);
    newest_.resize(options_.pairs);
    run_ = std::to_string(getpid()) + '.' + std::to_string(now_ns());
    padding_ = ' ' + std::string(options_.body, 'x');
    constexpr std::array kNames = {"XMPP to SIP", "SIP to XMPP", "SIP to SIP", "XMPP to XMPP"};
    results_.name = kNames[static_cast<std::size_t>(options_.mode)];
    if (!options_.sessions.empty()) {
        sessions_.emplace(options_, ends_.sip(), run_);
        results_.name += ", in sessions";
    }
    results_.security = options_.tls.empty() ? "clear" : "TLS";
    if (options_.sip_transport == "udp") results_.security += ", SIP over UDP";
    results_.rate = options_.rate;
    begun_ns_ = moved_ns_ = measured_from_ns_ = now_ns();
    Progress progress;
    if (sessions_ && !from_xmpp()) {
        pass(&Sessions::open);
        if (results_.fault.empty()) results_.fault = session_fault();
    }
    begun_ns_ = moved_ns_ = measured_from_ns_ = now_ns();
    load(progress);
    const std::uint64_t over_ns = now_ns();
    measure();
    for (std::uint64_t now = over_ns; now - over_ns < kLateNs; now = now_ns()) ends_.turn(10ms);
    results_.memory_kib = resident_kib(options_.pids);
    if (sessions_) results_.sessions = sessions_->counts().opened;
    if (options_.hold && results_.fault.empty()) hold(progress);
    if (sessions_) end_sessions();
    results_.sent = next_;
    results_.lost = open_;
    if (results_.fault.empty() && results_.refused > 0) {
        results_.fault =
            std::to_string(results_.refused) + " were refused, the first one: " + first_refusal_;
    }
    return report(options_, results_);
}

}  // namespace fedgate::load
