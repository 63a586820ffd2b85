#include "appliance/admin/lab.hpp"

#include <arpa/inet.h>
#include <chrono>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "net/address.hpp"
#include "net/connection.hpp"
#include "xml/stream.hpp"

namespace fedgate::admin {
namespace {

constexpr net::ConnectionLimits kLabLimits{65'536, 65'536};

constexpr LabFault kFaults[] = {
    {"none", "nothing is wrong with it", "", ""},
    {"no-srv", "neither a record _xmpp-server._tcp nor an address", "DNS", "there is no record"},
    {"closed", "the record leads to a port where nobody listens", "TCP", "Connection refused"},
    {"mute", "it takes connections, and says nothing", "stream", "does not go on"},
    {"not-xmpp", "a web server is at that port", "stream", "something else than XMPP"},
    {"wrong-target", "the record leads to a server of other domains", "stream", "host-unknown"},
    {"stream-error", "it ends each stream with an error", "stream", "resource-constraint"},
    {"no-tls", "it offers no STARTTLS", "TLS", "offers no TLS"},
    {"expired", "its certificate has expired", "certificate", "expired on"},
    {"wrong-name", "its certificate is another domain's", "certificate", "elsewhere.invalid"},
    {"untrusted", "nobody we trust has signed its certificate", "certificate", "partner.invalid"},
    {"no-proof", "it does not trust our certificate, and has no dialback", "SASL or dialback",
     "SASL EXTERNAL"},
};

net::TlsCredential credential_of(const net::SelfSigned& made) {
    return {{{}, made.certificate}, {{}, made.key}};
}

// One connection with it.
class LabStream final : net::ConnectionOwner, xml::StreamHost {
public:
    LabStream(Loop& loop, const LabFault& fault, net::TlsContext& tls,
              const xml::StreamSettings& settings, Socket accepted, const SocketAddress& peer)
        : loop_(loop),
          fault_(fault.name),
          tls_(tls),
          stream_(*this, settings, loop.now()),
          connection_(loop, *this, kLabLimits, accepted, peer) {}

private:
    // net::ConnectionOwner
    std::size_t on_data(net::Connection&, MutableBytes input) override {
        if (fault_ == "mute") return input.size();
        if (fault_ == "not-xmpp") {
            static_cast<void>(connection_.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
            connection_.close();
            return input.size();
        }
        if (fault_ == "stream-error") stream_.fail(xml::StreamError::kResourceConstraint);
        return pump(Bytes(input.data(), input.size()));
    }
    void on_secured(net::Connection&) override {
        stream_.secured(connection_.peer(), false, loop_.now());
        static_cast<void>(pump({}));
    }
    void on_closed(net::Connection&, Error) override {}

    std::size_t pump(Bytes input) {
        std::size_t consumed = 0;
        while (true) {
            const xml::Action action = stream_.next(input.substr(consumed), loop_.now());
            consumed += action.consumed;
            if (action.kind == xml::Action::Kind::kNone) return consumed;
            if (action.kind == xml::Action::Kind::kStartTls) {
                connection_.start_tls_server(tls_);
                return consumed;
            }
            if (action.kind == xml::Action::Kind::kClosed) {
                connection_.close();
                return input.size();
            }
        }
    }

    // xml::StreamHost
    bool write(Bytes bytes) override { return connection_.write(bytes); }
    xml::Served serves(Bytes domain) override {
        return domain == Lab::kTheir && fault_ != "wrong-target" ? xml::Served::kYes
                                                                 : xml::Served::kNo;
    }
    xml::StreamPolicy policy(Bytes, Bytes) override {
        xml::StreamPolicy policy;
        policy.allowed = true;
        policy.external = fault_ != "no-tls";
        policy.dialback_clear = fault_ == "no-tls";
        policy.dialback_tls = fault_ != "no-tls" && fault_ != "no-proof";
        return policy;
    }
    void fill_random(MutableBytes bytes) override { loop_.fill_random(bytes); }

    Loop& loop_;
    const std::string_view fault_;
    net::TlsContext& tls_;
    xml::Stream stream_;
    net::Connection connection_;
};

}  // namespace

std::span<const LabFault> lab_faults() { return kFaults; }

struct Lab::State final : SocketOwner {
    const LabFault* fault = nullptr;
    net::SelfSigned our, their;
    std::unique_ptr<net::TlsContext> tls;
    xml::StreamSettings settings;
    int closed_port = -1;  // taken, and not listened at
    Loop* loop = nullptr;
    Socket listener{};
    std::vector<std::unique_ptr<LabStream>> streams;

    ~State() {
        streams.clear();
        if (loop != nullptr && closed_port < 0) loop->close(listener, nullptr);
        if (closed_port >= 0) close(closed_port);
    }

    std::unique_ptr<net::Resolver> open(Loop& on) {
        auto names = std::make_unique<net::SimulatedResolver>(on);
        if (fault->name == "no-srv") return names;
        SocketAddress local = *net::parse_ip("127.0.0.1", 0);
        if (fault->name == "closed") {
            closed_port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            auto* generic = reinterpret_cast<sockaddr*>(&local.storage);
            if (bind(closed_port, generic, local.length) != 0 ||
                getsockname(closed_port, generic, &local.length) != 0) {
                return nullptr;
            }
        } else {
            const auto socket = on.listen(local, *this);
            if (!socket) return nullptr;
            loop = &on;
            listener = *socket;
            local = on.local_address(listener);
        }
        names->add_address(std::string("xmpp.") + kTheir, *net::parse_ip("127.0.0.1", 0));
        names->add_srv(std::string("_xmpp-server._tcp.") + kTheir,
                       {0, 0, net::port_of(local), std::string("xmpp.") + kTheir});
        return names;
    }

    void on_accept(Socket, Socket connection, const SocketAddress& peer) override {
        if (streams.size() == kStreams) return loop->close(connection, nullptr);
        streams.push_back(
            std::make_unique<LabStream>(*loop, *fault, *tls, settings, connection, peer));
    }
};

Lab::Lab(std::unique_ptr<State> state) : state_(std::move(state)) {}
Lab::~Lab() = default;

std::unique_ptr<Lab> Lab::make(const LabFault& fault, std::string& why) {
    auto state = std::make_unique<State>();
    state->fault = &fault;
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const WallTime from = fault.name == "expired" ? now - std::chrono::days(30) : WallTime{};
    auto our = net::make_self_signed({kOur}, 1);
    auto their =
        net::make_self_signed({fault.name == "wrong-name" ? "elsewhere.invalid" : kTheir}, 1, from);
    if (!our || !their) {
        why = "no certificate can be made for the lab";
        return nullptr;
    }
    state->our = *our;
    state->their = *their;
    net::TlsConfig config;
    config.credentials = {credential_of(state->their)};
    if (fault.name != "no-proof") config.ca.text = state->our.certificate;
    auto tls = net::TlsContext::load(config, &why);
    if (!tls) return nullptr;
    state->tls = std::move(*tls);
    state->settings.default_domain = kTheir;
    state->settings.dialback = xml::make_dialback_secrets("the lab's");
    return std::unique_ptr<Lab>(new Lab(std::move(state)));
}

OutsideOptions Lab::options() {
    OutsideOptions options;
    options.own = credential_of(state_->our);
    if (state_->fault->name != "untrusted") options.ca.text = state_->their.certificate;
    options.make_resolver = [state = state_.get()](Loop& loop) { return state->open(loop); };
    return options;
}

}  // namespace fedgate::admin
