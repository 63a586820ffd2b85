#include "appliance/admin/outside.hpp"

#include <algorithm>
#include <cstring>

#include "core/run/uring_loop.hpp"
#include "net/address.hpp"
#include "net/connection.hpp"

namespace fedgate::admin {
namespace {

constexpr net::ConnectionLimits kVisitLimits{65'536, 65'536};

// The condition of a stream error: `host-unknown`.
std::string condition_of(const std::string& text) {
    const std::size_t error = text.find("<stream:error");
    const std::size_t inner = error == std::string::npos ? error : text.find('<', error + 1);
    if (inner == std::string::npos) return "a stream error";
    return text.substr(
        inner + 1,
        std::min<std::size_t>(text.find_first_of(" />", inner + 1), inner + 41) - inner - 1);
}

class Visit final : public net::ConnectionOwner {
public:
    // `silent`: it only looks who is there.
    Visit(std::string our, std::string their, bool direct_tls, bool silent, net::TlsContext& tls,
          Greeting& greeting)
        : our_(std::move(our)),
          their_(std::move(their)),
          direct_tls_(direct_tls),
          silent_(silent),
          tls_(tls),
          greeting_(greeting) {}

    [[nodiscard]] bool done() const { return done_; }

private:
    void on_open(net::Connection& connection) override {
        greeting_.connected = true;
        if (direct_tls_) {
            connection.start_tls_client(tls_, their_, silent_ ? "" : "xmpp-server");
        } else {
            open_stream(connection);
        }
    }
    void on_secured(net::Connection& connection) override {
        greeting_.secured = true;
        greeting_.tls = std::string(connection.tls_version()) + " " + connection.tls_cipher();
        greeting_.peer = connection.peer();
        open_stream(connection);
    }
    void open_stream(net::Connection& connection) {
        if (silent_) {
            done_ = true;
            return connection.close();
        }
        text_.clear();
        say(connection,
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
            "xmlns:stream='http://etherx.jabber.org/streams' "
            "xmlns:db='jabber:server:dialback' version='1.0'" +
                (our_.empty() ? "" : " from='" + our_ + "'") + " to='" + their_ + "'>");
    }
    void say(net::Connection& connection, const std::string& text) {
        if (!connection.write(text)) end("takes nothing");
    }
    void end(std::string why) {
        if (done_) return;
        done_ = true;
        greeting_.why = std::move(why);
    }
    std::size_t on_data(net::Connection& connection, MutableBytes input) override {
        text_.append(input.data(), input.size());
        if (text_.size() > kVisitLimits.input_bytes_max) {
            end("says too much");
        } else if (text_.find_first_not_of(" \t\r\n") != text_.find('<')) {
            end("answers with something else than XMPP");
        } else if (text_.find("<stream:error") != std::string::npos) {
            if (text_.find("</stream:error") != std::string::npos)
                end("refuses the stream: " + condition_of(text_));
        } else if (starting_tls_) {
            if (text_.find("<proceed") != std::string::npos) {
                starting_tls_ = false;
                connection.start_tls_client(tls_, their_, {});
            } else if (text_.find("<failure") != std::string::npos) {
                end("offers TLS, and refuses it then");
            }
        } else if (text_.find("</stream:features>") != std::string::npos ||
                   text_.find("<stream:features/>") != std::string::npos) {
            on_features(connection);
        }
        return input.size();
    }
    void on_features(net::Connection& connection) {
        greeting_.answered = true;
        const auto has = [this](const char* what) { return text_.find(what) != std::string::npos; };
        const bool dialback =
            has("urn:xmpp:features:dialback") || has("jabber:server:dialback");  // XEP-0220 2.1.1
        if (!greeting_.secured) greeting_.clear_dialback = dialback;
        if (!greeting_.secured && has("urn:ietf:params:xml:ns:xmpp-tls")) {
            greeting_.starttls = starting_tls_ = true;
            greeting_.insists = has("<required");
            text_.clear();
            return say(connection, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        }
        greeting_.external = has("EXTERNAL");
        greeting_.dialback = dialback || greeting_.clear_dialback;
        done_ = true;
        connection.close();
    }
    void on_closed(net::Connection&, Error reason) override {
        const char* const when = greeting_.secured || !(direct_tls_ || greeting_.starttls)
                                     ? "closes the connection"
                                     : "breaks off the TLS handshake";
        end(greeting_.connected
                ? std::string(when) + (reason.system != 0
                                           ? std::string(": ") + std::strerror(reason.system)
                                           : std::string())
            : reason.system != 0 ? std::string("can't be reached: ") + std::strerror(reason.system)
                                 : "can't be reached");
    }

    const std::string our_, their_;
    const bool direct_tls_;
    const bool silent_;
    net::TlsContext& tls_;
    Greeting& greeting_;
    std::string text_;  // of this stream
    bool starting_tls_ = false;
    bool done_ = false;
};

}  // namespace

struct Outside::State final : net::ResolverOwner {
    std::unique_ptr<Loop> loop;
    std::unique_ptr<net::Resolver> resolver;
    std::unique_ptr<net::TlsContext> tls;
    net::DnsAnswer answer;
    bool resolved = false;
    std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max();

    void on_resolved(net::QueryId, const net::DnsAnswer& from) override {
        answer = from;
        resolved = true;
    }
    template <typename Done>
    bool run_until(Duration most, Done done) {
        const auto until = std::min(std::chrono::steady_clock::now() + most, end);
        while (!done() && std::chrono::steady_clock::now() < until)
            loop->run_turn(std::chrono::milliseconds(50));
        return done();
    }
};

Outside::Outside(std::unique_ptr<State> state) : state_(std::move(state)) {}
Outside::~Outside() = default;

std::unique_ptr<Outside> Outside::make(const OutsideOptions& options, std::string& why) {
    auto state = std::make_unique<State>();
    auto loop = UringLoop::make();
    if (!loop) {
        why = "no io_uring: " + std::string(std::strerror(loop.error().system));
        return nullptr;
    }
    state->loop = std::move(*loop);
    // First: a resolver of others may hold on to the loop.
    net::TlsConfig config;
    config.ca = options.ca;
    if (!options.own.key.empty()) {
        config.credentials = {options.own};
    } else if (const auto made = net::make_self_signed({"fedctl.invalid"}, 1)) {
        config.credentials = {{{{}, made->certificate}, {{}, made->key}}};
    }
    auto tls = net::TlsContext::load(config, &why);
    if (!tls) return nullptr;
    state->tls = std::move(*tls);
    if (options.make_resolver) {
        state->resolver = options.make_resolver(*state->loop);
        if (!state->resolver) why = "no port of 127.0.0.1 can be had";
    } else if (auto resolver = net::make_unbound_resolver(*state->loop, options.resolver)) {
        state->resolver = std::move(*resolver);
    } else {
        why = std::string("no resolver: ") + resolver.error().where;
    }
    if (!state->resolver) return nullptr;
    return std::unique_ptr<Outside>(new Outside(std::move(state)));
}

void Outside::set_end(std::chrono::steady_clock::time_point end) { state_->end = end; }

bool Outside::over() const { return std::chrono::steady_clock::now() >= state_->end; }

net::DnsAnswer Outside::look_up(const std::string& name, net::DnsType type) {
    state_->answer = {};
    state_->resolved = false;
    const net::QueryId id = state_->resolver->query(name, type, *state_);
    if (!state_->run_until(kLookUp, [this] { return state_->resolved; }))
        state_->resolver->cancel(id);
    return state_->answer;
}

std::vector<SocketAddress> Outside::addresses_of(const std::string& host) {
    if (const auto literal = net::parse_ip(host, 0)) return {*literal};
    std::vector<SocketAddress> all = look_up(host, net::DnsType::kA).addresses;
    for (const SocketAddress& one : look_up(host, net::DnsType::kAaaa).addresses)
        all.push_back(one);
    return all;
}

Greeting Outside::visit(const SocketAddress& address, const std::string& our,
                        const std::string& their, bool direct_tls) {
    return go(address, our, their, direct_tls, false);
}

Greeting Outside::knock(const SocketAddress& address, const std::string& name, bool tls) {
    return go(address, {}, name, tls, true);
}

Greeting Outside::go(const SocketAddress& address, const std::string& our, const std::string& their,
                     bool direct_tls, bool silent) {
    Greeting greeting;
    Visit visit(our, their, direct_tls, silent, *state_->tls, greeting);
    auto connection = net::Connection::connect(*state_->loop, visit, kVisitLimits, address);
    if (!connection) {
        greeting.why = std::string("can't be reached: ") + std::strerror(connection.error().system);
        return greeting;
    }
    if (!state_->run_until(kVisit, [&visit] { return visit.done(); })) {
        greeting.cut = over();
        greeting.why = greeting.connected ? "does not go on within 8 s"
                                          : "can't be reached: it does not answer";
    }
    return greeting;
}

}  // namespace fedgate::admin
