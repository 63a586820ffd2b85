#include "appliance/main/node.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <future>

#include "core/base/hash.hpp"
#include "core/run/uring_loop.hpp"

namespace fedgate {

namespace {

constexpr Duration kShardAnswer = 2s;        // a shard that is slower than this is not waited for
constexpr Duration kDrainGateway = 5s;       // what is pending on SIP
constexpr Duration kDrainEdge = 5s;          // S2S-19
constexpr unsigned kSelfSignedDays = 365;
constexpr std::size_t kSecretBytes = 32;     // DB-3

bool fill_random(char* memory, std::size_t size) {
    return getrandom(memory, size, 0) == static_cast<ssize_t>(size);
}

std::string hex(Bytes bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        text += kDigits[static_cast<unsigned char>(c) >> 4];
        text += kDigits[static_cast<unsigned char>(c) & 15];
    }
    return text;
}

std::string host_name() {
    std::array<char, 256> name{};
    if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == 0) return "localhost";
    return name.data();
}

// Reads a small secret file, or makes it (0600). Empty: `fault` says why.
std::string read_or_make_secret(const std::string& path, std::string& fault) {
    const auto give_up = [&](const char* what) {
        fault = path + ": " + what + ": " + std::strerror(errno);
        return std::string();
    };
    int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        std::array<char, 256> text{};
        const ssize_t size = read(file, text.data(), text.size());
        close(file);
        std::string secret(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
        while (!secret.empty() && (secret.back() == '\n' || secret.back() == ' ')) secret.pop_back();
        if (secret.size() >= kSecretBytes) return secret;
        fault = path + ": holds no dialback secret of at least 32 characters; remove it and start again";
        return {};
    }
    std::array<char, kSecretBytes> random{};
    if (!fill_random(random.data(), random.size())) return give_up("no random numbers");
    const std::string secret = hex({random.data(), random.size()});
    file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return give_up("can't be made");
    const std::string line = secret + '\n';
    const bool written = write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
                         fsync(file) == 0;
    close(file);
    return written ? secret : give_up("can't be written");
}

}  // namespace

Node::Node(config::Sources sources, config::Tree tree, std::unique_ptr<const rules::Snapshot> rules)
    : sources_(std::move(sources)), tree_(std::move(tree)), started_at_(std::chrono::steady_clock::now()) {
    rules_.push_back(std::move(rules));
}

Node::~Node() {
    if (group_) group_->stop();
    workers_.clear();
}

bool Node::find_dialback_secret(std::string& fault) {
    const rules::Settings& settings = rules().settings;
    dialback_secret_ = settings.xmpp.dialback_secret;
    if (!dialback_secret_.empty()) return true;
    std::error_code ignored;
    std::filesystem::create_directories(settings.state_directory, ignored);
    dialback_secret_ = read_or_make_secret(settings.state_directory + "/dialback.secret", fault);
    if (dialback_secret_.empty()) fault += " (see dirs.state, or set xmpp.dialback.secret)";
    return !dialback_secret_.empty();
}

bool Node::load_tls(const rules::Snapshot& rules, std::string& fault, ShardTls& tls) {
    const rules::Settings& settings = rules.settings;
    net::TlsConfig external;
    external.ca.path = settings.tls_external.ca;
    if (!settings.tls_external.certificate.empty()) {
        external.credentials.push_back({{settings.tls_external.certificate, {}}, {settings.tls_external.key, {}}});
    } else {
        if (self_signed_certificate_.empty()) {
            std::vector<std::string> names;
            for (const rules::SipDomain& domain : rules.sip_domains()) names.push_back(domain.name);
            if (names.empty()) names.emplace_back("localhost");
            auto made = net::make_self_signed(names, kSelfSignedDays);
            if (!made) {
                fault = "no self-signed certificate can be made";
                return false;
            }
            self_signed_certificate_.text = made->certificate;
            self_signed_key_.text = made->key;
            log_.event(EventId::kSelfSigned, {{"name", names.front()}});
        }
        external.credentials.push_back({self_signed_certificate_, self_signed_key_});
    }
    auto loaded = net::TlsContext::load(external, &fault);
    if (!loaded) return false;
    tls.external = std::move(*loaded);
    if (settings.tls_sip.certificate.empty()) return true;
    net::TlsConfig sip;
    sip.ca.path = settings.tls_sip.ca;
    sip.credentials.push_back({{settings.tls_sip.certificate, {}}, {settings.tls_sip.key, {}}});
    loaded = net::TlsContext::load(sip, &fault);
    if (!loaded) return false;
    tls.sip = std::move(*loaded);
    return true;
}

bool Node::start(std::string& fault) {
    if (!find_dialback_secret(fault)) return false;
    const rules::Settings& settings = rules().settings;
    const std::uint32_t count = settings.threads != 0 ? settings.threads : usable_cpu_count();
    gateway::GatewayOptions options;
    options.host = host_name();
    if (!fill_random(reinterpret_cast<char*>(&options.secret), sizeof options.secret)) {
        fault = "no random numbers";
        return false;
    }
    std::vector<ShardTls> tls(count);
    for (ShardTls& one : tls) {
        if (!load_tls(rules(), fault, one)) return false;
    }
    group_ = std::make_unique<ShardGroup>(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        group_->log(i).set_level(static_cast<Severity>(3 - settings.log_level));
        workers_.push_back(std::make_unique<Worker>(*group_, i, rules(), std::move(tls[i]),
                                                    dialback_secret_, options));
    }
    for (auto& worker : workers_) {
        const Result<void> outcome = worker->ready();
        if (outcome || !fault.empty()) continue;
        fault = outcome.error().where;
        if (outcome.error().system != 0) fault += std::string(": ") + std::strerror(outcome.error().system);
    }
    return fault.empty();
}

template <typename Function>
bool Node::on_every_shard(Function function) {
    std::vector<std::future<void>> done;
    bool all = true;
    for (std::uint32_t i = 0; i < workers_.size(); ++i) {
        std::promise<void> promise;
        done.push_back(promise.get_future());
        Worker* worker = workers_[i].get();
        all = group_->post(i, [worker, i, function, promise = std::move(promise)](Shard&) mutable {
            function(i, *worker);
            promise.set_value();
        }) && all;
    }
    for (auto& one : done) {
        all = one.wait_for(kShardAnswer) == std::future_status::ready && all;
    }
    return all;
}

template <typename Row, typename Collect>
std::vector<Row> Node::gather(Collect collect) {
    // Counted: a shard that answers too late still has somewhere to write.
    auto rows = std::make_shared<std::vector<std::vector<Row>>>(workers_.size());
    if (!on_every_shard([rows, collect](std::uint32_t i, Worker& worker) { (*rows)[i] = collect(worker); })) {
        return {};
    }
    std::vector<Row> all;
    for (auto& some : *rows) {
        std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    return all;
}

std::vector<edge::StreamRow> Node::streams() {
    return gather<edge::StreamRow>([](Worker& worker) { return worker.edge().rows(); });
}
std::vector<gateway::PortRow> Node::sip_ports() {
    return gather<gateway::PortRow>([](Worker& worker) { return worker.gateway().ports(); });
}
std::vector<gateway::TargetRow> Node::sip_targets() {
    return gather<gateway::TargetRow>([](Worker& worker) { return worker.gateway().targets(); });
}
std::vector<gateway::GatewayStatus> Node::gateway_status() {
    return gather<gateway::GatewayStatus>(
        [](Worker& worker) { return std::vector<gateway::GatewayStatus>{worker.gateway().status()}; });
}

bool Node::publish(std::unique_ptr<const rules::Snapshot> fresh, std::string& fault) {
    auto tls = std::make_shared<std::vector<ShardTls>>(workers_.size());
    for (ShardTls& one : *tls) {
        if (!load_tls(*fresh, fault, one)) return false;
    }
    const rules::Snapshot* rules = fresh.get();
    rules_.push_back(std::move(fresh));
    for (std::uint32_t i = 0; i < workers_.size(); ++i) {
        group_->log(i).set_level(static_cast<Severity>(3 - rules->settings.log_level));
    }
    const bool all = on_every_shard([rules, tls](std::uint32_t i, Worker& worker) {
        worker.reload(*rules, std::move((*tls)[i]));
    });
    // Every shard has swapped: nothing points to the older ones any more.
    if (all) rules_.erase(rules_.begin(), rules_.end() - 1);
    return true;
}

bool Node::apply(config::Tree tree, config::Problems& problems) {
    auto fresh = rules::compile(tree, rules().generation + 1, problems);
    if (!fresh) return false;
    std::string fault;
    if (!publish(std::move(fresh), fault)) {
        problems.push_back({false, {}, {}, fault});
        return false;
    }
    tree_ = std::move(tree);
    return true;
}

bool Node::reload(config::Problems& problems) {
    config::Tree tree;
    config::load(sources_, tree, problems);
    if (config::any_error(problems)) return false;
    return apply(std::move(tree), problems);
}

bool Node::wait_until_drained(bool edge_too, Duration at_most) {
    const auto until = std::chrono::steady_clock::now() + at_most;
    while (std::chrono::steady_clock::now() < until) {
        auto all = std::make_shared<std::atomic<bool>>(true);
        const bool answered = on_every_shard([all, edge_too](std::uint32_t, Worker& worker) {
            const bool drained = edge_too ? worker.edge().drained() : worker.gateway().drained();
            if (!drained) all->store(false);
        });
        if (answered && all->load()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
}

void Node::drain() {
    log_.event(EventId::kStopping);
    on_every_shard([](std::uint32_t, Worker& worker) {
        worker.edge().stop_accepting();
        worker.gateway().drain();
    });
    wait_until_drained(false, kDrainGateway);
    on_every_shard([](std::uint32_t, Worker& worker) { worker.edge().drain(); });
    wait_until_drained(true, kDrainEdge);
    group_->stop();
    workers_.clear();
    log_.event(EventId::kStopped);
}

void Node::drain_log(std::string& lines) {
    log_.drain(lines);
    if (!group_) return;
    for (std::uint32_t i = 0; i < group_->count(); ++i) group_->log(i).drain(lines);
}

Duration Node::up_time() const { return std::chrono::steady_clock::now() - started_at_; }

}  // namespace fedgate
