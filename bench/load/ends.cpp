#include "bench/load/ends.hpp"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "core/config/tree.hpp"
#include "net/address.hpp"

namespace fedgate::load {

namespace {

std::unique_ptr<const rules::Snapshot> partner_rules(const Options& options) {
    const std::string partner = "partner/" + options.domain;
    const bool tls = !options.tls.empty();
    const bool external = options.external();
    config::Tree tree;
    config::Problems problems;
    std::vector<std::pair<std::string, std::string>> settings = {
        {"federation.allow", "yes"},
        {"xmpp.listen", options.xmpp_listen},
        {"xmpp.listen_tls", ""},
        {"xmpp.rate.connections_per_address", "none"},
        {"xmpp.limits.connections_per_partner", "1000"},
        {"xmpp.limits.unauthenticated_per_address", "1000"},
        {"xmpp.retry.first", "100ms"},
        {"xmpp.retry.max", "1s"},
        {partner + "/type", "federated"},
        {partner + "/tls", tls ? "required" : "none"},
        {partner + "/sasl", external ? "required" : "none"},
        {partner + "/dialback", external ? "no" : "yes"},
        {partner + "/proxy", options.xmpp},
        {partner + "/rate_bytes", "none"},
        {partner + "/rate_stanzas", "none"},
        {partner + "/rate_connections", "none"},
        {partner + "/rate_sender_messages", "none"}};
    const auto serve = [&settings](const std::string& domain) {
        settings.emplace_back("domain/" + domain + "/next_hop", "sip:127.0.0.1:9;transport=tcp");
    };
    for (unsigned n = 0; n < options.domains; ++n) serve(partner_domain(options, n));
    for (const auto& [key, value] : settings) tree.set(key, value, {}, problems);
    auto rules = rules::compile(tree, 1, problems);
    for (const config::Problem& problem : problems) {
        if (!problem.warning) std::fprintf(stderr, "fedload: %s\n", problem.line().c_str());
    }
    return rules;
}

// --tls's, or one made for this run. Null, with a line on standard error: it can't be read.
std::unique_ptr<net::TlsContext> load_certificates(const Options& options) {
    net::TlsConfig config;
    if (options.tls.empty()) {
        auto self_signed = net::make_self_signed({options.partner}, 1);
        if (!self_signed) return nullptr;
        config.credentials.push_back({{{}, self_signed->certificate}, {{}, self_signed->key}});
    } else {
        config.credentials.push_back(
            {{options.tls + "/cert.pem", {}}, {options.tls + "/key.pem", {}}});
        config.ca.path = options.tls + "/ca.pem";
    }
    std::string fault;
    auto tls = net::TlsContext::load(config, &fault);
    if (tls) return std::move(*tls);
    std::fprintf(stderr, "fedload: %s\n", fault.c_str());
    return nullptr;
}

}  // namespace

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

std::size_t take_number(Bytes& text) {
    std::size_t number = SIZE_MAX;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
    text.remove_prefix(static_cast<std::size_t>(end.ptr - text.data()));
    return number;
}

std::string partner_domain(const Options& options, unsigned number) {
    if (options.domains == 1 && !options.presence()) return options.partner;
    return 'p' + std::to_string(number) + '.' + options.partner;
}

Ends::Ends(const Options& options) : options_(options) {}

Ends::~Ends() {
    sip_.reset();
    edge_.reset();
}

bool Ends::set_up(link::GatewayDoor& gateway, SipEnd::Events events) {
    auto loop = UringLoop::make();
    if (!loop) {
        std::fprintf(stderr, "fedload: no io_uring: %s\n", std::strerror(loop.error().system));
        return false;
    }
    loop_ = std::move(*loop);
    certificates_.external = load_certificates(options_);
    if (!certificates_.external) return false;
    if (options_.has_xmpp_listener()) {
        rules_ = partner_rules(options_);
        if (!rules_) return false;
        group_ = std::make_unique<ShardGroup>(1);
        shard_ = std::make_unique<Shard>(*group_, 0, *loop_);
        resolver_ = std::make_unique<net::SimulatedResolver>(*loop_);
        edge_ = std::make_unique<edge::Edge>(*shard_, *rules_, *resolver_, certificates_, door_,
                                             gateway, kDialbackSecret);
        if (!net::parse_address(options_.xmpp_listen) || !edge_->start()) {
            std::fprintf(stderr, "fedload: can't listen on --xmpp-listen %s\n",
                         options_.xmpp_listen.c_str());
            return false;
        }
    }
    if (!options_.has_sip()) return true;
    const std::string& named = options_.sip_transport;
    const auto transport = named == "udp"   ? sip::Transport::kUdp
                           : named == "tls" ? sip::Transport::kTls
                                            : sip::Transport::kTcp;
    sip_ = std::make_unique<SipEnd>(*loop_, transport, certificates_.external.get(),
                                    std::move(events));
    const auto listen = net::parse_address(options_.sip_listen);
    if (!listen || !sip_->listen(*listen) || !connect_sip()) {
        std::fprintf(stderr, "fedload: can't listen on --sip-listen %s\n",
                     options_.sip_listen.c_str());
        return false;
    }
    return true;
}

bool Ends::connect_sip() {
    return sip_->connect(*net::parse_address(options_.sip), options_.domain).has_value();
}

bool Ends::send_stanza(link::Ticket ticket, Bytes from_domain, Bytes stanza) {
    return edge_ && edge_->take_stanza({ticket, from_domain, options_.domain, stanza});
}

bool Ends::answered(const xml::Stanza& stanza, bool& taken) {
    if (stanza.kind != xml::StanzaKind::kIq) return false;
    if (stanza.type != "get") return true;
    const std::string answer = "<iq type='result' from='" + std::string(stanza.to) + "' to='" +
                               std::string(stanza.from) + "' id='" + std::string(stanza.id) + "'/>";
    const Bytes at = stanza.to.substr(stanza.to.find('@') + 1);
    taken = send_stanza(0, at.substr(0, at.find('/')), answer);
    return true;
}

}  // namespace fedgate::load
