#include "bench/load/set_ups.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "bench/load/cpu.hpp"
#include "bench/load/input_end.hpp"
#include "net/address.hpp"

namespace fedgate::load {

namespace {

constexpr net::ConnectionLimits kLimits{64 << 10, 64 << 10};
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kRefusalsMax = 100;  // and not one that stood

std::string words(const xml::StreamEnd& end) {
    using Cause = xml::StreamEnd::Cause;
    switch (end.cause) {
        case Cause::kClosedByPeer:
        case Cause::kClosedByUs: return "it closed the stream";
        case Cause::kErrorReceived:
            return "stream error " + std::string(xml::name_of(end.condition));
        case Cause::kErrorSent:
            return "what it said was wrong: " + std::string(xml::name_of(end.condition));
        case Cause::kNoTls: return "it offers no TLS";
        case Cause::kCertificate: return "its certificate is not good for the domain";
        case Cause::kNoMethod: return "it offers no method that we may use";
        case Cause::kRefused: return "it did not accept our proof";
        case Cause::kTimeout: return "it took too long";
        case Cause::kOutputFull: return "it does not read";
    }
    return "it closed the stream";
}

}  // namespace

class SetUps::Client final : public xml::StreamHost, net::ConnectionOwner {
public:
    Client(SetUps& owner, std::string partner)
        : owner_(owner), partner_(std::move(partner)), begun_ns_(now_ns()) {}

    [[nodiscard]] bool start() {
        auto connection =
            net::Connection::connect(owner_.ends_.loop(), *this, kLimits, owner_.target_);
        if (connection) connection_ = std::move(*connection);
        return connection_ != nullptr;
    }

private:
    void on_open(net::Connection&) override {
        const Instant now = owner_.ends_.loop().now();
        stream_ =
            std::make_unique<xml::Stream>(*this, owner_.settings_, xml::Stream::Role::kOutbound,
                                          partner_, owner_.options_.domain, now);
        stream_->open(now);
        pump({});
    }
    void on_secured(net::Connection& connection) override {
        stream_->secured(connection.peer(), false, owner_.ends_.loop().now());
        pump({});
    }
    std::size_t on_data(net::Connection&, MutableBytes input) override {
        return pump({input.data(), input.size()});
    }
    void on_closed(net::Connection&, Error why) override {
        if (why_.empty()) why_ = why.where;
        owner_.on_over(*this, why_, stood_);
    }
    [[nodiscard]] bool write(Bytes bytes) override { return connection_->write(bytes); }
    xml::Served serves(Bytes our) override {
        return our == partner_ ? xml::Served::kYes : xml::Served::kNo;
    }
    xml::StreamPolicy policy(Bytes, Bytes) override {
        const bool tls = !owner_.options_.tls.empty();
        const bool external = owner_.options_.external();
        return {.allowed = true,
                .external = external,
                .dialback_tls = tls && !external,
                .dialback_clear = !tls};
    }
    void fill_random(MutableBytes memory) override { owner_.ends_.loop().fill_random(memory); }

    std::size_t pump(Bytes input) {
        std::size_t consumed = 0;
        while (!closed_) {
            const xml::Action action =
                stream_->next(input.substr(consumed), owner_.ends_.loop().now());
            consumed += action.consumed;
            if (action.kind == xml::Action::Kind::kNone) return consumed;
            act(action);
        }
        return input.size();
    }
    void act(const xml::Action& action) {
        if (action.kind == xml::Action::Kind::kStartTls) {
            connection_->start_tls_client(owner_.ends_.certificates(), owner_.options_.domain, {});
        } else if (action.kind == xml::Action::Kind::kPair) {
            stood_ = true;
            owner_.on_stands(now_ns() - begun_ns_);
            if (!owner_.idle()) stream_->close(owner_.ends_.loop().now());
        } else if (action.kind == xml::Action::Kind::kPairRefused) {
            why_ = "it did not accept our dialback key";
            stream_->close(owner_.ends_.loop().now());
        } else if (action.kind == xml::Action::Kind::kClosed) {
            closed_ = true;
            if (why_.empty()) why_ = words(action.end);
            connection_->close();
        }
    }

    SetUps& owner_;
    const std::string partner_;
    const std::uint64_t begun_ns_;
    std::unique_ptr<net::Connection> connection_;
    std::unique_ptr<xml::Stream> stream_;
    std::string why_;
    bool stood_ = false, closed_ = false;
};

SetUps::SetUps(const Options& options) : options_(options), ends_(options) {}

SetUps::~SetUps() = default;

bool SetUps::set_up() {
    if (!ends_.set_up(*this, {})) return false;
    target_ = *net::parse_address(options_.xmpp);  // check_targets() has read it
    settings_.sm = false;
    settings_.dialback = xml::make_dialback_secrets(kDialbackSecret);
    return true;
}

void SetUps::begin_more() {
    const std::uint64_t total = std::uint64_t{options_.warm_up} + options_.count;
    while (open_ < options_.window && begun_ < total) {
        if (options_.rate > 0 &&
            now_ns() < begun_ns_ + static_cast<std::uint64_t>(static_cast<double>(begun_) * 1e9 /
                                                              options_.rate)) {
            return;
        }
        const auto domain = static_cast<unsigned>(begun_ % options_.domains);
        auto client = std::make_unique<Client>(*this, partner_domain(options_, domain));
        ++begun_;
        ++open_;
        if (!client->start()) {
            on_over(*client, "no more sockets", false);
            return;
        }
        clients_.push_back(std::move(client));
    }
}

void SetUps::on_stands(std::uint64_t latency_ns) {
    moved_ns_ = now_ns();
    if (ended() >= options_.warm_up) {
        results_.latency.add(latency_ns);
        results_.series.add(moved_ns_ - begun_ns_, latency_ns);
    }
    ++results_.delivered;
    if (idle()) --open_;
}

void SetUps::on_over(Client& client, const std::string& why, bool stood) {
    moved_ns_ = now_ns();
    if (!stood) {
        ++results_.refused;
        if (first_refusal_.empty()) first_refusal_ = why;
    }
    if (!stood || !idle()) --open_;
    if (stood && idle()) {
        ++gone_;
        if (first_refusal_.empty()) first_refusal_ = why;
    }
    // It is in the middle of a call.
    const auto found = std::find_if(clients_.begin(), clients_.end(),
                                    [&client](const auto& one) { return one.get() == &client; });
    if (found != clients_.end()) over_.splice(over_.end(), clients_, found);
}

// Until standard input ends, or the limit is over.
void SetUps::hold() {
    std::fputs(options_.json ? "" : "all streams stand; end of input ends them\n", stdout);
    if (options_.json) static_cast<void>(report(options_, results_));
    std::fflush(stdout);
    const InputEnd input(ends_.loop());
    while (!input.over() && now_ns() - begun_ns_ < options_.limit_s * kSecond) {
        ends_.turn(100ms);
        over_.clear();
    }
    if (gone_ > 0) {
        results_.fault = std::to_string(gone_) +
                         " of the streams that stood were closed by the target: " + first_refusal_;
    }
}

void SetUps::measure_from_here() {
    warm_ = true;
    measured_from_ns_ = now_ns();
    cpu_from_ = cpu_ns(options_.pids);
    own_cpu_from_ = own_cpu_ns();
}

std::string SetUps::why_over(std::uint64_t now) const {
    if (results_.delivered == 0 && results_.refused >= kRefusalsMax) {
        return "the target refuses: " + first_refusal_;
    }
    if (now - begun_ns_ > options_.limit_s * kSecond) {
        return "too slow: " + std::to_string(ended()) +
               " streams had been set up within the limit of " + std::to_string(options_.limit_s) +
               " s";
    }
    if (now - moved_ns_ > options_.silence_s * kSecond) {
        return "the target has gone silent: " + std::to_string(open_) +
               " streams were being set up, and nothing came for " +
               std::to_string(options_.silence_s) + " s";
    }
    return {};
}

int SetUps::run() {
    if (!set_up()) return 1;
    const std::uint64_t total = std::uint64_t{options_.warm_up} + options_.count;
    results_.name = idle() ? "idle streams" : "stream set-ups";
    results_.security = options_.tls.empty() ? "clear" : "TLS";
    results_.security += options_.external() ? ", SASL EXTERNAL" : ", dialback";
    results_.unit = "streams";
    results_.rate = options_.rate;
    begun_ns_ = moved_ns_ = measured_from_ns_ = now_ns();
    {
        Progress progress;
        while (ended() < total || (!idle() && open_ > 0)) {
            if (!warm_ && ended() >= options_.warm_up) measure_from_here();
            begin_more();
            ends_.turn(options_.rate > 0 ? Duration(1ms) : Duration(10ms));
            over_.clear();
            const std::uint64_t now = now_ns();
            results_.fault = why_over(now);
            if (!results_.fault.empty()) break;
            progress.show(now, ended(), total, results_.latency);
        }
    }
    results_.sent = begun_;
    results_.lost = begun_ - ended();
    results_.measured = ended() > options_.warm_up ? ended() - options_.warm_up : 0;
    results_.seconds = static_cast<double>(now_ns() - measured_from_ns_) / 1e9;
    results_.own_cpu_ns = own_cpu_ns() - own_cpu_from_;
    results_.cpu_ns = cpu_ns_since(options_.pids, cpu_from_);
    results_.memory_kib = resident_kib(options_.pids);
    if (results_.fault.empty() && results_.refused > 0) {
        results_.fault = std::to_string(results_.refused) +
                         " streams could not be set up, the first one: " + first_refusal_;
    }
    if (idle() && results_.good()) {
        hold();
        if (options_.json && results_.good()) return 0;
    }
    return report(options_, results_);
}

}  // namespace fedgate::load
