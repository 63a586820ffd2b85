#include "bench/load/messages.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "bench/load/cpu.hpp"

namespace fedgate::load {

bool Messages::set_up() {
    return ends_.set_up(*this, {.on_request =
                                    [this](const sip::Message& request, sip::ResponseHead&, Sink&) {
                                        if (request.method == sip::Method::kMessage) {
                                            on_arrived(request.body);
                                        }
                                    },
                                .on_answered = {},
                                .on_response =
                                    [this](const sip::Message& response) {
                                        if (response.status >= 300) on_refused(response.call_id);
                                    },
                                .on_broken =
                                    [this](const char* what) {
                                        broken_ = std::string("SIP connection: ") + what;
                                    }});
}

bool Messages::take_stanza(const link::FromPartner& from) {
    const xml::StreamScope scope;
    const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
    bool taken = true;
    if (ends_.answered(stanza, taken)) return taken;
    if (stanza.kind != xml::StanzaKind::kMessage) return true;
    if (stanza.type == "error") {
        on_refused(stanza.id);
        return true;
    }
    char memory[256];
    Sink body(memory);
    static_cast<void>(stanza.root.child("body", xml::kServerNamespace).text(body));
    on_arrived(body.written());
    return true;
}

void Messages::on_outcome(const link::Outcome& outcome) {
    if (outcome.fate != link::Fate::kFailed && outcome.fate != link::Fate::kInDoubt) return;
    ++refused_;
    end(link::own_part(outcome.ticket) - 1);
}

void Messages::on_arrived(Bytes text) {
    const std::size_t number = take_number(text);
    if (number >= sent_.size()) return;
    if (sent_[number].done) {
        ++doubled_;
        return;
    }
    if (number >= options_.warm_up) latency_.add(now_ns() - sent_[number].at);
    ++delivered_;
    end(number);
}

void Messages::on_refused(Bytes text) {
    const std::size_t number = take_number(text);
    if (number >= sent_.size() || sent_[number].done) return;
    ++refused_;
    end(number);
}

void Messages::end(std::size_t number) {
    if (number >= sent_.size() || sent_[number].done) return;
    sent_[number].done = true;
    --open_;
}

bool Messages::send(unsigned number) {
    const std::string pair = std::to_string(number % options_.pairs);
    const std::string text = std::to_string(number);
    if (options_.to_sip) {
        const std::string stanza = "<message from='u" + pair + "@" + options_.partner +
                                   "/load' to='s" + pair + "@" + options_.domain +
                                   "' type='chat' id='" + text + "'><body>" + text + padding_ +
                                   "</body></message>";
        return ends_.send_stanza(link::make_ticket(0, number + 1), options_.partner, stanza);
    }
    const std::string from = "sip:s" + pair + "@" + options_.domain;
    const std::string to = "sip:u" + pair + "@" + options_.partner;
    sip::RequestHead head;
    head.method = "MESSAGE";
    head.uri = to;
    head.from = {.display = {}, .uri = from, .tag = "load"};
    head.to = {.display = {}, .uri = to, .tag = {}};
    head.call_id = text;
    return ends_.sip().send(head, {}, "text/plain;charset=UTF-8", text + padding_);
}

void Messages::send_more() {
    while (open_ < options_.window && next_ < sent_.size()) {
        sent_[next_].at = now_ns();
        if (!send(next_)) return;
        ++next_;
        ++open_;
    }
}

int Messages::run() {
    if (!set_up()) return 1;
    const std::size_t total = static_cast<std::size_t>(options_.warm_up) + options_.count;
    sent_.resize(total);
    padding_ = ' ' + std::string(options_.body, 'x');
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(options_.limit_s);
    std::uint64_t start = 0, cpu = 0;
    bool warm = false;
    while (delivered_ + refused_ < total && broken_.empty()) {
        if (std::chrono::steady_clock::now() > deadline) {
            broken_ = "time limit";
            break;
        }
        if (!warm && delivered_ + refused_ >= options_.warm_up) {
            warm = true;
            start = now_ns();
            cpu = cpu_ns(options_.pid);
        }
        if (ends_.sip().connected() || options_.to_sip) send_more();
        ends_.turn(10ms);
    }
    report(static_cast<double>(now_ns() - start) / 1e9, cpu_ns(options_.pid) - cpu);
    if (!broken_.empty()) std::fprintf(stderr, "fedload: ended early: %s\n", broken_.c_str());
    const bool clean = broken_.empty() && refused_ == 0 && doubled_ == 0;
    return clean ? 0 : 1;
}

void Messages::report(double seconds, std::uint64_t cpu) const {
    const double count =
        std::max(1.0, static_cast<double>(delivered_ + refused_) - options_.warm_up);
    std::printf("%s, %s: sent %u, delivered %u, refused %u, open %u, doubled %u\n",
                options_.to_sip ? "XMPP to SIP" : "SIP to XMPP",
                options_.tls.empty() ? "clear" : "TLS", next_, delivered_, refused_, open_,
                doubled_);
    std::printf(
        "%.0f messages/s, %.0f ns of fedgated's CPU for each, latency us p50 %.0f p99 %.0f p99.9 "
        "%.0f, "
        "peak memory %llu KiB\n",
        count / seconds, static_cast<double>(cpu) / count, latency_.at(0.5), latency_.at(0.99),
        latency_.at(0.999), static_cast<unsigned long long>(resident_kib(options_.pid)));
}

}  // namespace fedgate::load
