// fedload: load against a running fedgated, from both worlds at once. It is the partner's XMPP
// server (the product's own edge) and the SIP pool; every message carries a number and is counted
// at the far end.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "appliance/edge/edge.hpp"
#include "bench/load/cpu.hpp"
#include "bench/load/sip_end.hpp"
#include "core/config/tree.hpp"
#include "core/run/uring_loop.hpp"
#include "net/address.hpp"
#include "xml/stanza.hpp"

namespace fedgate::load {
namespace {

constexpr const char* kUsage =
    R"(usage: fedload --pid PID --xmpp ADDRESS:PORT --xmpp-listen ADDRESS:PORT
               --sip ADDRESS:PORT --sip-listen ADDRESS:PORT
               [--to-sip | --to-xmpp] [--count N] [--warm-up N] [--pairs N] [--window N] [--body BYTES]
               [--tls DIRECTORY] [--partner DOMAIN] [--domain DOMAIN] [--limit SECONDS]

Sends N messages through the fedgated with process id PID and counts them at the far end.
  --xmpp, --sip        where fedgated listens; loopback only
  --xmpp-listen, --sip-listen   where fedload listens: as partner (partner/DOMAIN/proxy of fedgated)
                       and as next hop (domain/DOMAIN/next_hop)
  --to-sip (default)   XMPP to SIP; --to-xmpp: SIP to XMPP
  --count 100000, --warm-up 20000, --pairs 1000, --window 1000, --body 100
  --tls DIRECTORY      TLS on both sides with DIRECTORY/{ca,cert,key}.pem; without: clear on both
Prints messages/s, CPU nanoseconds of fedgated for each message, latency, peak memory.
Exit status: 0 all delivered, 1 something was refused, lost, doubled or late, 2 usage.
)";

struct Options {
    int pid = 0;
    std::string xmpp, xmpp_listen, sip, sip_listen, tls;
    std::string partner = "partner.example";
    std::string domain = "sip.example";
    bool to_sip = true;
    unsigned count = 100'000;
    unsigned warm_up = 20'000;
    unsigned pairs = 1'000;
    unsigned window = 1'000;
    unsigned body = 100;
    unsigned limit_s = 120;
};

bool parse(int count, char** arguments, Options& options) {
    const std::map<std::string, std::string*> texts = {
        {"--xmpp", &options.xmpp},    {"--xmpp-listen", &options.xmpp_listen},
        {"--sip", &options.sip},      {"--sip-listen", &options.sip_listen},
        {"--tls", &options.tls},      {"--partner", &options.partner},
        {"--domain", &options.domain}};
    const std::map<std::string, unsigned*> numbers = {
        {"--count", &options.count}, {"--warm-up", &options.warm_up},
        {"--pairs", &options.pairs}, {"--window", &options.window},
        {"--body", &options.body},   {"--limit", &options.limit_s}};
    unsigned pid = 0;
    const auto number = [](const char* text, unsigned& into) {
        const char* end = text + std::strlen(text);
        const auto result = std::from_chars(text, end, into);
        return result.ec == std::errc() && result.ptr == end;
    };
    for (int i = 1; i < count; ++i) {
        const std::string name = arguments[i];
        if (name == "--to-sip" || name == "--to-xmpp") {
            options.to_sip = name == "--to-sip";
            continue;
        }
        if (i + 1 >= count) return false;
        const char* value = arguments[++i];
        if (const auto text = texts.find(name); text != texts.end()) {
            *text->second = value;
        } else if (const auto n = numbers.find(name); n != numbers.end()) {
            if (!number(value, *n->second)) return false;
        } else if (name != "--pid" || !number(value, pid)) {
            return false;
        }
    }
    options.pid = static_cast<int>(pid);
    return pid != 0 && !options.xmpp.empty() && !options.xmpp_listen.empty() &&
           !options.sip.empty() && !options.sip_listen.empty() && options.pairs > 0 &&
           options.window > 0 && options.count > 0;
}

// Log-linear buckets: 64 for each doubling, so within 1.6 %.
class Histogram {
public:
    void add(std::uint64_t ns) { ++buckets_[std::min(index(ns), kBuckets - 1)], ++count_; }
    [[nodiscard]] double at(double part) const {  // in microseconds
        std::uint64_t left = static_cast<std::uint64_t>(part * static_cast<double>(count_));
        for (std::size_t i = 0; i < kBuckets; ++i) {
            if (buckets_[i] > left) return static_cast<double>(value(i)) / 1'000;
            left -= buckets_[i];
        }
        return 0;
    }

private:
    static constexpr std::size_t kBuckets = 64 * 40;
    static std::size_t index(std::uint64_t ns) {
        if (ns < 64) return ns;
        const auto shift = static_cast<unsigned>(63 - __builtin_clzll(ns)) - 6;
        return (shift + 1) * 64 + (ns >> shift) - 64;
    }
    static std::uint64_t value(std::size_t i) {
        if (i < 64) return i;
        return (64 + i % 64) << (i / 64 - 1);
    }
    std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(kBuckets);
    std::uint64_t count_ = 0;
};

std::unique_ptr<const rules::Snapshot> partner_rules(const Options& options) {
    const std::string partner = "partner/" + options.domain;
    const bool tls = !options.tls.empty();
    config::Tree tree;
    config::Problems problems;
    const std::vector<std::pair<std::string, std::string>> settings = {
        {"federation.allow", "yes"},
        {"xmpp.listen", options.xmpp_listen},
        {"xmpp.listen_tls", ""},
        {"xmpp.rate.connections_per_address", "none"},
        {"domain/" + options.partner + "/next_hop", "sip:127.0.0.1:9;transport=tcp"},
        {partner + "/type", "federated"},
        {partner + "/tls", tls ? "required" : "none"},
        {partner + "/sasl", "none"},
        {partner + "/dialback", "yes"},
        {partner + "/proxy", options.xmpp},
        {partner + "/rate_bytes", "none"},
        {partner + "/rate_stanzas", "none"},
        {partner + "/rate_sender_messages", "none"}};
    for (const auto& [key, value] : settings) tree.set(key, value, {}, problems);
    auto rules = rules::compile(tree, 1, problems);
    for (const config::Problem& problem : problems) {
        if (!problem.warning) std::fprintf(stderr, "fedload: %s\n", problem.line().c_str());
    }
    return rules;
}

class Load final : public link::GatewayDoor {
public:
    explicit Load(const Options& options) : options_(options) {}

    int run();

private:
    struct Sent {
        std::uint64_t at = 0;
        bool done = false;
    };

    bool set_up();
    bool take_stanza(const link::FromPartner&) override;
    void on_outcome(const link::Outcome&) override;
    void on_arrived(Bytes text);
    void on_refused(Bytes text);
    void end(std::size_t number);
    void send_more();
    bool send(unsigned number);
    void report(double seconds, std::uint64_t cpu) const;

    static std::uint64_t now() {
        return static_cast<std::uint64_t>(
            std::chrono::steady_clock::now().time_since_epoch().count());
    }
    static std::size_t number_of(Bytes text) {
        std::size_t number = SIZE_MAX;
        std::from_chars(text.data(), text.data() + text.size(), number);
        return number;
    }

    const Options& options_;
    std::unique_ptr<UringLoop> loop_;
    std::unique_ptr<const rules::Snapshot> rules_;
    std::unique_ptr<ShardGroup> group_;
    edge::DoorGuard door_{1};
    std::unique_ptr<Shard> shard_;
    std::unique_ptr<net::SimulatedResolver> resolver_;  // every address is numeric here
    edge::Certificates certificates_;
    std::unique_ptr<edge::Edge> edge_;
    std::unique_ptr<SipEnd> sip_;
    std::string padding_;
    std::vector<Sent> sent_;
    unsigned next_ = 0;
    unsigned open_ = 0;
    unsigned delivered_ = 0, refused_ = 0, doubled_ = 0;
    Histogram latency_;
    std::string broken_;
};

bool Load::set_up() {
    auto loop = UringLoop::make();
    if (!loop) {
        std::fprintf(stderr, "fedload: no io_uring: %s\n", std::strerror(loop.error().system));
        return false;
    }
    loop_ = std::move(*loop);
    rules_ = partner_rules(options_);
    if (!rules_) return false;
    group_ = std::make_unique<ShardGroup>(1);
    shard_ = std::make_unique<Shard>(*group_, 0, *loop_);
    resolver_ = std::make_unique<net::SimulatedResolver>(*loop_);
    net::TlsConfig config;
    if (options_.tls.empty()) {
        auto self_signed = net::make_self_signed({options_.partner}, 1);
        if (!self_signed) return false;
        config.credentials.push_back({{{}, self_signed->certificate}, {{}, self_signed->key}});
    } else {
        config.credentials.push_back(
            {{options_.tls + "/cert.pem", {}}, {options_.tls + "/key.pem", {}}});
        config.ca.path = options_.tls + "/ca.pem";
    }
    std::string fault;
    auto tls = net::TlsContext::load(config, &fault);
    if (!tls) {
        std::fprintf(stderr, "fedload: %s\n", fault.c_str());
        return false;
    }
    certificates_.external = std::move(*tls);
    edge_ = std::make_unique<edge::Edge>(*shard_, *rules_, *resolver_, certificates_, door_, *this,
                                         "fedload's own dialback secret, good for one run");
    sip_ = std::make_unique<SipEnd>(
        *loop_, options_.tls.empty() ? nullptr : certificates_.external.get(),
        SipEnd::Events{
            [this](Bytes body) {
                on_arrived(body);
                return 200U;
            },
            [this](Bytes call_id, unsigned status) {
                if (status >= 300) on_refused(call_id);
            },
            [this](const char* what) { broken_ = std::string("SIP connection: ") + what; }});
    const auto listen = net::parse_address(options_.sip_listen);
    const auto target = net::parse_address(options_.sip);
    const bool loopback = target && net::is_loopback(*target);
    const auto xmpp = net::parse_address(options_.xmpp);
    if (!listen || !loopback || !xmpp || !net::is_loopback(*xmpp)) {
        std::fputs("fedload: addresses must be numeric, and the target's on loopback\n", stderr);
        return false;
    }
    if (!edge_->start() || !sip_->listen(*listen) || !sip_->connect(*target, options_.domain)) {
        std::fputs("fedload: can't listen or connect\n", stderr);
        return false;
    }
    return true;
}

bool Load::take_stanza(const link::FromPartner& from) {
    const xml::StreamScope scope;
    const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
    if (stanza.kind == xml::StanzaKind::kIq && stanza.type == "get") {  // their pings
        std::string answer = "<iq type='result' from='" + std::string(stanza.to) + "' to='" +
                             std::string(stanza.from) + "' id='" + std::string(stanza.id) + "'/>";
        return edge_->take_stanza({0, options_.partner, options_.domain, answer});
    }
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

void Load::on_outcome(const link::Outcome& outcome) {
    if (outcome.fate != link::Fate::kFailed && outcome.fate != link::Fate::kInDoubt) return;
    ++refused_;
    end(link::own_part(outcome.ticket) - 1);
}

void Load::on_arrived(Bytes text) {
    const std::size_t number = number_of(text);
    if (number >= sent_.size()) return;
    if (sent_[number].done) {
        ++doubled_;
        return;
    }
    if (number >= options_.warm_up) latency_.add(now() - sent_[number].at);
    ++delivered_;
    end(number);
}

void Load::on_refused(Bytes text) {
    const std::size_t number = number_of(text);
    if (number >= sent_.size() || sent_[number].done) return;
    ++refused_;
    end(number);
}

void Load::end(std::size_t number) {
    if (number >= sent_.size() || sent_[number].done) return;
    sent_[number].done = true;
    --open_;
}

bool Load::send(unsigned number) {
    const std::string pair = std::to_string(number % options_.pairs);
    const std::string text = std::to_string(number);
    if (options_.to_sip) {
        const std::string stanza = "<message from='u" + pair + "@" + options_.partner +
                                   "/load' to='s" + pair + "@" + options_.domain +
                                   "' type='chat' id='" + text + "'><body>" + text + padding_ +
                                   "</body></message>";
        return edge_->take_stanza(
            {link::make_ticket(0, number + 1), options_.partner, options_.domain, stanza});
    }
    return sip_->send_message("sip:s" + pair + "@" + options_.domain,
                              "sip:u" + pair + "@" + options_.partner, text, text + padding_);
}

void Load::send_more() {
    while (open_ < options_.window && next_ < sent_.size()) {
        sent_[next_].at = now();
        if (!send(next_)) return;
        ++next_;
        ++open_;
    }
}

int Load::run() {
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
            start = now();
            cpu = cpu_ns(options_.pid);
        }
        if (sip_->connected() || options_.to_sip) send_more();
        loop_->run_turn(10ms);
    }
    report(static_cast<double>(now() - start) / 1e9, cpu_ns(options_.pid) - cpu);
    if (!broken_.empty()) std::fprintf(stderr, "fedload: ended early: %s\n", broken_.c_str());
    const bool clean = broken_.empty() && refused_ == 0 && doubled_ == 0;
    sip_.reset();
    edge_.reset();
    return clean ? 0 : 1;
}

void Load::report(double seconds, std::uint64_t cpu) const {
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

}  // namespace
}  // namespace fedgate::load

int main(int count, char** arguments) {
    fedgate::load::Options options;
    if (count == 2 &&
        (std::strcmp(arguments[1], "--help") == 0 || std::strcmp(arguments[1], "-h") == 0)) {
        std::fputs(fedgate::load::kUsage, stdout);
        return 0;
    }
    if (!fedgate::load::parse(count, arguments, options)) {
        std::fputs(fedgate::load::kUsage, stderr);
        return 2;
    }
    return fedgate::load::Load(options).run();
}
