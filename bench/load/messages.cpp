#include "bench/load/messages.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <unistd.h>
#include <utility>

#include "bench/load/cpu.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::load {

namespace {

// So many refusals in a row: there is nothing to measure, or not any more.
constexpr std::uint64_t kRefusalsMax = 1'000;
constexpr std::uint64_t kSecond = 1'000'000'000;
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
        *this, {.on_request =
                    [this](const sip::Message& request, sip::ResponseHead&, Sink&) {
                        if (request.method != sip::Method::kMessage) return;
                        if (options_.sip_transport != "udp") return on_arrived(request.body, 0);
                        on_arrived(request.body, static_cast<std::uint32_t>(
                                                     std::hash<Bytes>{}(request.via.branch)));
                    },
                .on_answered = {},
                .on_response =
                    [this](const sip::Message& response) {
                        if (response.status < 300) return;
                        on_refused(response.call_id, "SIP " + std::to_string(response.status) +
                                                         ' ' + std::string(response.reason));
                    },
                .on_broken =
                    [this](const char* what) {
                        broken_ = std::string("the SIP connection to the target broke: ") + what;
                    }});
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
    const std::string from = "sip:s" + pair + "@" + options_.domain;
    const std::string to = "sip:u" + pair + "@" + partner;
    sip::RequestHead head;
    head.method = "MESSAGE";
    head.uri = to;
    head.from = {.display = {}, .uri = from, .tag = "load"};
    head.to = {.display = {}, .uri = to, .tag = {}};
    const std::string call_id = text + '@' + run_;
    head.call_id = call_id;
    return ends_.sip().send(head, {}, "text/plain;charset=UTF-8", text + padding_);
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
    if (from_xmpp() || ends_.sip().connected()) send_more(now);
    Duration wait = 10ms;
    if (options_.rate > 0 && next_ < sent_.size() && open_ < options_.window) {
        const std::uint64_t at = due(next_);
        wait = std::min<Duration>(wait, std::chrono::nanoseconds(at > now ? at - now : 0));
    }
    ends_.turn(wait);
}

int Messages::run() {
    if (!set_up()) return 1;
    const std::size_t total = static_cast<std::size_t>(options_.warm_up) + options_.count;
    sent_.resize(total);
    newest_.resize(options_.pairs);
    run_ = std::to_string(getpid()) + '.' + std::to_string(now_ns());
    padding_ = ' ' + std::string(options_.body, 'x');
    constexpr std::array kNames = {"XMPP to SIP", "SIP to XMPP", "SIP to SIP", "XMPP to XMPP"};
    results_.name = kNames[static_cast<std::size_t>(options_.mode)];
    results_.security = options_.tls.empty() ? "clear" : "TLS";
    if (options_.sip_transport == "udp") results_.security += ", SIP over UDP";
    results_.rate = options_.rate;
    begun_ns_ = moved_ns_ = measured_from_ns_ = now_ns();
    Progress progress;
    while (ended() < total) {
        go_on();
        const std::uint64_t now = now_ns();
        results_.fault = why_over(now);
        if (!results_.fault.empty()) break;
        progress.show(now, ended(), total, results_.latency);
    }
    const std::uint64_t over_ns = now_ns();
    results_.measured = ended() > options_.warm_up ? ended() - options_.warm_up : 0;
    if (warm_) {
        results_.seconds = static_cast<double>(over_ns - measured_from_ns_) / 1e9;
        results_.own_cpu_ns = own_cpu_ns() - own_cpu_from_;
        results_.cpu_ns = cpu_ns_since(options_.pids, cpu_from_);
    }
    for (std::uint64_t now = over_ns; now - over_ns < kLateNs; now = now_ns()) ends_.turn(10ms);
    results_.sent = next_;
    results_.lost = open_;
    results_.memory_kib = resident_kib(options_.pids);
    if (results_.fault.empty() && results_.refused > 0) {
        results_.fault =
            std::to_string(results_.refused) + " were refused, the first one: " + first_refusal_;
    }
    return report(options_, results_);
}

}  // namespace fedgate::load
