#include "bench/load/presence.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <unistd.h>

namespace fedgate::load {

namespace {

constexpr unsigned kExpires = 3'600;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::size_t kSecondsMax = 7'200;
constexpr std::size_t kIdBytesMax = 256;  // of a Call-ID that is kept
constexpr const char* kPidf = "application/pidf+xml";

// The first word of `text`, which is taken off it.
Bytes take_word(Bytes& text) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const Bytes word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

// "s12" -> 12.
std::size_t number_behind(char letter, Bytes text) {
    if (!text.starts_with(letter)) return SIZE_MAX;
    text.remove_prefix(1);
    return take_number(text);
}

}  // namespace

std::size_t note_of(Bytes document) {
    const std::size_t at = document.find("<note");
    const std::size_t end = at == Bytes::npos ? at : document.find('>', at);
    if (end == Bytes::npos) return SIZE_MAX;
    document.remove_prefix(end + 1);
    return take_number(document);
}

void write_document(Sink& sink, Bytes sip_user, Bytes domain, unsigned number) {
    sink.append(
        "<?xml version='1.0' encoding='UTF-8'?><presence xmlns='urn:ietf:params:xml:ns:pidf' "
        "xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' "
        "xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' entity='pres:");
    sink.append(sip_user);
    sink.append('@');
    sink.append(domain);
    sink.append("'><tuple id='ID-load'><status><basic>open</basic></status><note>");
    sink.append_number(number);
    sink.append("</note></tuple><dm:person id='p'><rpid:activities><rpid:");
    sink.append(number % 2 == 0 ? "busy" : "away");
    sink.append("/></rpid:activities></dm:person></presence>");
}

const std::array<const char*, Presence::kKinds> Presence::kNames = {
    "watch",       "refresh",    "unwatch",        "subscribe",      "probe",
    "change-xmpp", "change-sip", "message-to-sip", "message-to-xmpp"};

Presence::Presence(const Options& options)
    : options_(options),
      numbers_(options.watchers, options.contacts, options.domains),
      transport_(options.sip_transport),
      ends_(options),
      pairs_(numbers_.count()),
      born_ns_(now_ns()) {}

Presence::~Presence() {
    if (input_) ends_.loop().close(input_, nullptr);
}

int Presence::run() {
    const bool begun = ends_.set_up(
        *this, {.on_request =
                    [this](const sip::Message& request, SipEnd::Answer& answer) {
                        on_request(request, answer.head, answer.lines);
                    },
                .on_answered = [this](const sip::Message& request) { on_answered(request); },
                .on_response = [this](const sip::Message& response) { on_response(response); },
                .on_broken =
                    [this](const char* what) {
                        connecting_ = false;
                        broken_ = what;
                    }});
    if (!begun) return 1;
    connecting_ = true;
    if (options_.mode != Mode::kPresence) return run_workload();
    auto input = ends_.loop().watch(STDIN_FILENO, *this);
    if (!input) return 1;
    input_ = *input;
    while (!over_) {
        turn();
        if (command_.empty()) continue;
        if (finished()) {
            answer(false);
        } else if (now_ns() >= until_ns_) {
            answer(true);
        }
    }
    return 0;
}

void Presence::turn() {
    if (!ends_.sip().connected() && !connecting_) connecting_ = ends_.connect_sip();
    if (ends_.sip().connected()) {
        connecting_ = true;
        send_due();
        send_more();
    }
    ends_.turn(2ms);
}

// Commands.

void Presence::on_readable(Socket) {
    std::array<char, 4'096> memory;
    const ssize_t size = ::read(STDIN_FILENO, memory.data(), memory.size());
    if (size <= 0) {
        over_ = true;
        return;
    }
    typed_.append(memory.data(), static_cast<std::size_t>(size));
    for (std::size_t end; (end = typed_.find('\n')) != std::string::npos;) {
        const std::string line = typed_.substr(0, end);
        typed_.erase(0, end + 1);
        begin(line);
    }
}

void Presence::begin(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    counters_ = {};
    accounts_ = {};
    tasks_.clear();
    right_wanted_ = 0;
    begun_ns_ = now_ns();
    until_ns_ = begun_ns_ + options_.limit_s * kSecond;
    command_ = words.empty() ? "" : words[0];
    if (command_ == "idle" && words.size() == 2) {
        until_ns_ = begun_ns_ + std::strtoul(words[1].c_str(), nullptr, 10) * kSecond;
    } else if (command_ == "right" && words.size() == 3) {
        right_wanted_ = static_cast<unsigned>(std::strtoul(words[1].c_str(), nullptr, 10));
        until_ns_ = begun_ns_ + std::strtoul(words[2].c_str(), nullptr, 10) * kSecond;
    } else if (command_ == "changed" && words.size() == 1) {
        everybody_changed();
    } else if (command_ != "run" || !begin_tasks(words)) {
        std::printf("{\"error\": \"not understood\"}\n");
        std::fflush(stdout);
        command_.clear();
    }
}

// KIND[@DELAY] FIRST LAST RATE, several times.
bool Presence::begin_tasks(const std::vector<std::string>& words) {
    if (words.size() < 5 || words.size() % 4 != 1) return false;
    for (std::size_t i = 1; i < words.size(); i += 4) {
        const std::size_t at = std::min(words[i].find('@'), words[i].size());
        const auto kind = std::find(kNames.begin(), kNames.end(), words[i].substr(0, at));
        if (kind == kNames.end()) return false;
        const double delay = at < words[i].size() ? std::atof(words[i].c_str() + at + 1) : 0;
        const auto first = static_cast<unsigned>(std::strtoul(words[i + 1].c_str(), nullptr, 10));
        const auto last = static_cast<unsigned>(std::strtoul(words[i + 2].c_str(), nullptr, 10));
        if (first > last || last > pairs_.size()) return false;
        tasks_.push_back({static_cast<Kind>(kind - kNames.begin()), first, first, last,
                          std::atof(words[i + 3].c_str()),
                          begun_ns_ + static_cast<std::uint64_t>(delay * kSecond)});
    }
    return true;
}

// While Fedgate is not there, so that nothing of it is sent.
void Presence::everybody_changed() {
    due_.clear();
    right_ = 0;
    for (Pair& pair : pairs_) {
        pair.pending = 0;
        ++pair.xmpp_serial;
        ++pair.sip_serial;
        pair.xmpp_right = pair.sip_right = false;
    }
}

bool Presence::finished() const {
    if (command_ == "idle") return false;
    if (command_ == "right") return right_ >= right_wanted_;
    return std::all_of(tasks_.begin(), tasks_.end(), [this](const Task& task) {
        return task.next == task.last && accounts_[task.kind].open == 0;
    });
}

void Presence::answer(bool late) {
    const Counters& c = counters_;
    std::printf(
        "{\"seconds\": %.3f, \"late\": %s, \"right\": %u, \"pending\": %u, \"active\": %u, "
        "\"terminated\": %u, \"documents\": %u, \"subscribes\": %u, \"refreshes\": %u, "
        "\"ended\": %u, \"asked\": %u, \"probes\": %u, \"presences\": %u, \"errors\": %u, "
        "\"again\": %u, \"each_second\": [",
        static_cast<double>(now_ns() - begun_ns_) / 1e9,
        late && command_ != "idle" ? "true" : "false", right_, c.pending, c.active, c.terminated,
        c.documents, c.subscribes, c.refreshes, c.ended, c.asked, c.probes, c.presences, c.errors,
        c.again);
    for (std::size_t i = 0; i < c.each_second.size(); ++i) {
        std::printf(i == 0 ? "%u" : ", %u", c.each_second[i]);
    }
    std::printf("]");
    for (std::size_t i = 0; i < kKinds; ++i) {
        const Account& r = accounts_[i];
        if (r.sent == 0) continue;
        std::printf(
            ", \"%s\": {\"sent\": %u, \"done\": %u, \"failed\": %u, \"open\": %u, "
            "\"coalesced\": %u, \"p50_us\": %.0f, \"p99_us\": %.0f, \"max_us\": %.0f}",
            kNames[i], r.sent, r.done, r.failed, r.open, r.coalesced, r.latency.at(0.5),
            r.latency.at(0.99), r.latency.max());
    }
    std::printf("}\n");
    std::fflush(stdout);
    for (Pair& pair : pairs_) pair.pending = 0;  // what is late is counted as open, once
    command_.clear();
    tasks_.clear();
}

// Work.

void Presence::send_more() {
    const std::uint64_t now = now_ns();
    for (Task& task : tasks_) {
        unsigned until = task.last;
        if (task.rate > 0) {
            const double since = now < task.from_ns ? 0 : static_cast<double>(now - task.from_ns);
            const double due = since * task.rate / kSecond;
            until = task.first +
                    std::min(task.last - task.first, static_cast<unsigned>(std::min(due, 1e9)));
        }
        while (task.next < until && accounts_[task.kind].open < options_.window) {
            if (!send(task.kind, task.next)) break;
            // With a rate it counts from when it was due, also when there was no room for it then.
            const double late = task.rate > 0 ? (task.next - task.first) * kSecond / task.rate : 0;
            started(task.kind, task.next++,
                    task.rate > 0 ? task.from_ns + static_cast<std::uint64_t>(late) : now);
        }
    }
}

bool Presence::send(Kind kind, unsigned number) {
    Pair& pair = pairs_[number];
    switch (kind) {
        case kWatch:
            pair.watcher.clear();
            ++pair.generation;
            pair.watcher_cseq = 0;
            return send_subscribe(number, kExpires);
        case kRefresh: return send_subscribe(number, kExpires);
        case kUnwatch: return send_subscribe(number, 0);
        case kSubscribe: return send_out({Out::kSubscribe, number});
        case kProbe: return send_out({Out::kProbe, number});
        case kChangeXmpp:
            ++pair.xmpp_serial;
            right_ -= std::exchange(pair.xmpp_right, false);
            return send_out({Out::kPresence, number});
        case kChangeSip:
            ++pair.sip_serial;
            right_ -= std::exchange(pair.sip_right, false);
            return send_notify(number, false);
        case kMessageToSip: return send_out({Out::kMessage, number});
        case kMessageToXmpp: return send_message(number);
        case kKinds: break;
    }
    return false;
}

bool Presence::send_subscribe(unsigned number, unsigned expires) {
    Pair& pair = pairs_[number];
    Bytes rest = pair.watcher;
    const std::string tag(take_word(rest));
    const std::string from = sip_uri(number);
    const std::string to = "sip:" + jid(number);
    const std::string target = rest.empty() ? to : std::string(rest);
    const std::string call_id =
        'w' + std::to_string(number) + '-' + std::to_string(pair.generation);
    const std::string lines =
        "Event: presence\r\nAccept: application/pidf+xml\r\nExpires: " + std::to_string(expires) +
        "\r\nContact: <sip:" + std::string(from.substr(4, from.find('@') - 4)) + '@' +
        options_.sip_listen + ";transport=" + transport_ + ">\r\n";
    sip::RequestHead head;
    head.method = "SUBSCRIBE";
    head.uri = target;
    head.from = {.display = {}, .uri = from, .tag = "load"};
    head.to = {.display = {}, .uri = to, .tag = tag};
    head.call_id = call_id;
    head.cseq = pair.watcher_cseq + 1;
    if (!ends_.sip().send(head, lines, {}, {})) return false;
    ++pair.watcher_cseq;
    return true;
}

bool Presence::send_notify(unsigned number, bool end) {
    Pair& pair = pairs_[number];
    Bytes rest = pair.server;
    const Bytes call_id = take_word(rest);
    const Bytes tag = take_word(rest);
    if (call_id.empty()) return true;  // nobody watches: nobody is told
    const std::string from = sip_uri(number);
    const std::string to = "sip:" + jid(number);
    const std::string own_tag = 'p' + std::to_string(number);
    const std::string user = from.substr(4, from.find('@') - 4);
    const std::string lines =
        std::string("Event: presence\r\nSubscription-State: ") +
        (end ? "terminated;reason=timeout" : "active;expires=" + std::to_string(options_.expires)) +
        "\r\nContact: <sip:" + user + '@' + options_.sip_listen + ";transport=" + transport_ +
        ">\r\n";
    std::array<char, 1'024> memory;
    Sink document(memory);
    write_document(document, user, options_.domain, pair.sip_serial);
    sip::RequestHead head;
    head.method = "NOTIFY";
    head.uri = rest;
    head.from = {.display = {}, .uri = from, .tag = own_tag};
    head.to = {.display = {}, .uri = to, .tag = tag};
    head.call_id = call_id;
    head.cseq = pair.server_cseq + 1;
    if (!ends_.sip().send(head, lines, kPidf, document.written())) return false;
    ++pair.server_cseq;
    return true;
}

bool Presence::send_message(unsigned number) {
    const std::string from = sip_uri(number);
    const std::string to = "sip:" + jid(number);
    const std::string text = std::to_string(number);
    sip::RequestHead head;
    head.method = "MESSAGE";
    head.uri = to;
    head.from = {.display = {}, .uri = from, .tag = "load"};
    head.to = {.display = {}, .uri = to, .tag = {}};
    const std::string call_id = 'm' + text;
    head.call_id = call_id;
    head.cseq = ++messages_;  // or a second one of the pair is the first one again (SIP-11)
    return ends_.sip().send(head, {}, "text/plain;charset=UTF-8", text);
}

std::string Presence::stanza(Due due) const {
    const Pair& pair = pairs_[due.pair];
    const std::string jid = this->jid(due.pair);
    const std::string to = "' to='" + sip_uri(due.pair).substr(4) + '\'';
    const std::string number = std::to_string(due.pair);
    switch (due.what) {
        case Out::kSubscribed: return "<presence type='subscribed' from='" + jid + to + "/>";
        case Out::kSubscribe: return "<presence type='subscribe' from='" + jid + to + "/>";
        case Out::kProbe: return "<presence type='probe' from='" + jid + to + "/>";
        case Out::kMessage:
            return "<message type='chat' id='" + number + "' from='" + jid + "/load" + to +
                   "><body>" + number + "</body></message>";
        default:
            return "<presence from='" + jid + "/load" + to +
                   (pair.xmpp_serial % 2 == 0 ? "><status>" : "><show>away</show><status>") +
                   std::to_string(pair.xmpp_serial) + "</status></presence>";
    }
}

bool Presence::send_out(Due due) {
    if (due.what == Out::kNotify || due.what == Out::kNotifyEnd) {
        return send_notify(due.pair, due.what == Out::kNotifyEnd);
    }
    const std::uint64_t own = static_cast<std::uint64_t>(due.what) << 32 | due.pair;
    return ends_.send_stanza(link::make_ticket(0, own), domain_of(due.pair), stanza(due));
}

// What could not be sent at once; what fails now waits for the next turn.
void Presence::send_due() {
    for (std::size_t left = due_.size(); left != 0; --left) {
        const Due due = due_.front();
        due_.pop_front();
        if (!send_out(due)) due_.push_back(due);
    }
}

void Presence::started(Kind kind, unsigned number, std::uint64_t at_ns) {
    Pair& pair = pairs_[number];
    Account& account = accounts_[kind];
    const auto bit = static_cast<std::uint16_t>(1U << kind);
    ++account.sent;
    pair.at[kind] = clock(at_ns);
    if ((pair.pending & bit) != 0) {
        ++account.coalesced;
        return;
    }
    pair.pending |= bit;
    ++account.open;
}

void Presence::done(Kind kind, unsigned number) {
    Pair& pair = pairs_[number];
    const auto bit = static_cast<std::uint16_t>(1U << kind);
    if ((pair.pending & bit) == 0) return;
    pair.pending &= static_cast<std::uint16_t>(~bit);
    Account& account = accounts_[kind];
    ++account.done;
    --account.open;
    moved_ns_ = now_ns();
    const std::uint64_t latency = (clock(moved_ns_) - pair.at[kind]) * std::uint64_t{10'000};
    account.latency.add(latency);
    if (options_.mode != Mode::kPresence) report_.series.add(moved_ns_ - begun_ns_, latency);
}

void Presence::failed(Kind kind, unsigned number) {
    Pair& pair = pairs_[number];
    const auto bit = static_cast<std::uint16_t>(1U << kind);
    if ((pair.pending & bit) == 0) return;
    pair.pending &= static_cast<std::uint16_t>(~bit);
    ++accounts_[kind].failed;
    --accounts_[kind].open;
    moved_ns_ = now_ns();
}

// The SIP end.

std::optional<unsigned> Presence::pair_of(Bytes sip_user, Bytes xmpp_user,
                                          Bytes xmpp_domain) const {
    const auto narrow = [](std::size_t number) {
        return static_cast<unsigned>(std::min<std::size_t>(number, UINT32_MAX));
    };
    return numbers_.find({narrow(number_behind('s', sip_user)),
                          narrow(number_behind('u', xmpp_user)),
                          narrow(number_behind('p', xmpp_domain))});
}

std::optional<unsigned> Presence::pair_of_ours(Bytes call_id) const {
    if (call_id.empty()) return {};
    call_id.remove_prefix(1);
    const std::size_t number = take_number(call_id);
    if (number >= pairs_.size()) return {};
    if (!call_id.empty()) {
        call_id.remove_prefix(1);
        if (take_number(call_id) != pairs_[number].generation) return {};
    }
    return static_cast<unsigned>(number);
}

void Presence::on_request(const sip::Message& request, sip::ResponseHead& head, Sink& lines) {
    switch (request.method) {
        case sip::Method::kNotify: return on_notify(request, head);
        case sip::Method::kSubscribe: return on_subscribe(request, head, lines);
        case sip::Method::kMessage: {
            Bytes body = request.body;
            const std::size_t number = take_number(body);
            if (number < pairs_.size()) done(kMessageToSip, static_cast<unsigned>(number));
            return;
        }
        default: head.status = 405;
    }
}

void Presence::on_notify(const sip::Message& request, sip::ResponseHead& head) {
    const auto number = pair_of_ours(request.call_id);
    const auto state =
        sip::parse_subscription_state(request.value(sip::HeaderName::kSubscriptionState));
    if (!number || !state) {
        head.status = number ? 400 : 481;
        return;
    }
    Pair& pair = pairs_[*number];
    if (!request.body.empty()) ++counters_.documents;
    if (state->is("active")) {
        ++counters_.active;
        pair.watched = true;
        if (!request.body.empty()) see_xmpp(*number, note_of(request.body));
    } else if (state->is("pending")) {
        ++counters_.pending;
    } else {
        ++counters_.terminated;
        pair.watched = false;
        right_ -= std::exchange(pair.xmpp_right, false);
        pair.watcher.clear();
        done(kUnwatch, *number);
        failed(kWatch, *number);
        failed(kRefresh, *number);
    }
}

void Presence::see_xmpp(unsigned number, std::size_t serial) {
    Pair& pair = pairs_[number];
    if (serial != pair.xmpp_serial) return;
    if (!std::exchange(pair.xmpp_right, true)) ++right_;
    done(kWatch, number);
    done(kChangeXmpp, number);
}

void Presence::see_sip(unsigned number, std::size_t serial) {
    Pair& pair = pairs_[number];
    if (serial != pair.sip_serial) return;
    if (!std::exchange(pair.sip_right, true)) ++right_;
    done(kSubscribe, number);
    done(kChangeSip, number);
}

void Presence::on_subscribe(const sip::Message& request, sip::ResponseHead& head, Sink& lines) {
    const auto number =
        pair_of(request.request_uri.user, request.from.uri.user, request.from.uri.at.host);
    if (!number) {
        head.status = 404;
        return;
    }
    Pair& pair = pairs_[*number];
    const bool first = request.to.tag.empty();
    Bytes known = pair.server;
    if (!first && take_word(known) != request.call_id) {
        head.status = 481;
        return;
    }
    if (!has_room() || request.call_id.size() > kIdBytesMax) {
        head.status = 503;
        return;
    }
    const auto contact = sip::parse_target(request);
    if (first && contact) {
        pair.server = std::string(request.call_id) + ' ' + std::string(request.from.tag) + ' ' +
                      std::string(contact->uri.text);
        pair.server_cseq = 0;
    }
    const Bytes expires = request.value(sip::HeaderName::kExpires);
    ++(expires == "0" ? counters_.ended : first ? counters_.subscribes : counters_.refreshes);
    const std::size_t second = (now_ns() - begun_ns_) / kSecond;
    if (second < kSecondsMax) {
        if (counters_.each_second.size() <= second) counters_.each_second.resize(second + 1);
        ++counters_.each_second[second];
    }
    to_tag_ = 'p' + std::to_string(*number);
    head.to_tag = to_tag_;
    lines.append("Expires: ");
    lines.append_number(std::min(sip::parse_seconds(expires).value_or(kExpires), options_.expires));
    lines.append("\r\nContact: <sip:");
    lines.append(request.request_uri.user);
    lines.append('@');
    lines.append(options_.sip_listen);
    lines.append(";transport=");
    lines.append(transport_);
    lines.append(">\r\n");
}

// Behind the 200 to a SUBSCRIBE comes a NOTIFY.
void Presence::on_answered(const sip::Message& request) {
    if (request.method != sip::Method::kSubscribe || !has_room()) return;
    const auto number =
        pair_of(request.request_uri.user, request.from.uri.user, request.from.uri.at.host);
    if (!number) return;
    const bool end = request.value(sip::HeaderName::kExpires) == "0";
    due_.push_back({end ? Out::kNotifyEnd : Out::kNotify, *number});
}

void Presence::on_response(const sip::Message& response) {
    const bool good = response.status < 300;
    if (!good && first_refusal_.empty()) {
        first_refusal_ =
            "SIP " + std::to_string(response.status) + ' ' + std::string(response.reason);
    }
    if (response.cseq.method == sip::Method::kNotify) {
        const auto from = sip::parse_name_addr(response.value(sip::HeaderName::kFrom));
        const auto to = sip::parse_name_addr(response.value(sip::HeaderName::kTo));
        if (good || !from || !to) return;
        if (const auto number = pair_of(from->uri.user, to->uri.user, to->uri.at.host)) {
            failed(kChangeSip, *number);
            failed(kSubscribe, *number);
        }
        return;
    }
    const auto number = pair_of_ours(response.call_id);
    if (!number) return;
    if (response.cseq.method == sip::Method::kMessage) {
        if (!good) failed(kMessageToXmpp, *number);
        return;
    }
    if (!good) {
        for (const Kind kind : {kWatch, kRefresh, kUnwatch}) failed(kind, *number);
        return;
    }
    done(kRefresh, *number);
    Pair& pair = pairs_[*number];
    const auto to = sip::parse_name_addr(response.value(sip::HeaderName::kTo));
    const auto contact = sip::parse_target(response);
    if (pair.watcher.empty() && to && contact) {
        pair.watcher = std::string(to->tag) + ' ' + std::string(contact->uri.text);
    }
}

// The XMPP end.

bool Presence::take_stanza(const link::FromPartner& from) {
    const xml::StreamScope scope;
    const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
    bool taken = true;
    if (ends_.answered(stanza, taken)) return taken;
    const std::size_t at = stanza.to.find('@');
    if (at == Bytes::npos) return true;
    const auto number = pair_of(stanza.from, stanza.to, stanza.to.substr(at + 1));
    if (!number) return true;
    if (!has_room()) return false;
    if (stanza.type == "error") {
        ++counters_.errors;
        if (first_refusal_.empty()) first_refusal_ = "an XMPP error";
    }
    if (stanza.kind == xml::StanzaKind::kPresence) {
        on_presence(stanza, *number);
    } else if (stanza.kind == xml::StanzaKind::kMessage) {
        if (stanza.type == "error") {
            failed(kMessageToSip, *number);
        } else {
            done(kMessageToXmpp, *number);
        }
    }
    return true;
}

void Presence::on_presence(const xml::Stanza& stanza, unsigned number) {
    Pair& pair = pairs_[number];
    if (stanza.type == "subscribe") {
        ++counters_.asked;
        due_.push_back({Out::kSubscribed, number});
        due_.push_back({Out::kPresence, number});
    } else if (stanza.type == "probe") {
        ++counters_.probes;
        due_.push_back({Out::kPresence, number});
    } else if (stanza.type == "subscribed") {
        pair.subscribed = true;
    } else if (stanza.type == "unsubscribed" || stanza.type == "error") {
        pair.subscribed = false;
        for (const Kind kind : {kSubscribe, kProbe, kChangeXmpp}) failed(kind, number);
    } else if (stanza.type.empty() || stanza.type == "unavailable") {
        ++counters_.presences;
        std::array<char, 256> memory;
        Sink status(memory);
        static_cast<void>(stanza.root.child("status", xml::kServerNamespace).text(status));
        Bytes text = status.written();
        see_sip(number, take_number(text));
        done(kProbe, number);
    }
}

// What a stream did not take, or may have lost, is said again as it is then.
void Presence::on_outcome(const link::Outcome& outcome) {
    if (outcome.fate != link::Fate::kFailed && outcome.fate != link::Fate::kInDoubt) return;
    const std::uint64_t own = link::own_part(outcome.ticket);
    if (own == 0) return;
    ++counters_.again;
    due_.push_back({static_cast<Out>(own >> 32), static_cast<unsigned>(own & 0xffff'ffffU)});
}

std::uint32_t Presence::clock(std::uint64_t now_ns) const {
    return static_cast<std::uint32_t>((now_ns - born_ns_) / 10'000);
}

std::string Presence::sip_uri(unsigned number) const {
    return "sip:s" + std::to_string(numbers_.ends(number).sip) + '@' + options_.domain;
}

std::string Presence::jid(unsigned number) const {
    return 'u' + std::to_string(numbers_.ends(number).user) + '@' + domain_of(number);
}

std::string Presence::domain_of(unsigned number) const {
    return partner_domain(options_, numbers_.ends(number).domain);
}

}  // namespace fedgate::load
