#include "appliance/main/node.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <future>
#include <map>
#include <sched.h>
#include <set>
#include <sys/random.h>
#include <tuple>
#include <unistd.h>

#include "appliance/admin/roles.hpp"
#include "appliance/gateway/tracer.hpp"
#include "appliance/main/commit_signature.hpp"
#include "appliance/main/fence.hpp"
#include "appliance/main/placement.hpp"
#include "appliance/store/file.hpp"
#include "appliance/store/postgresql.hpp"
#include "core/base/hash.hpp"
#include "core/run/uring_loop.hpp"
#include "net/address.hpp"

namespace fedgate {

namespace {

constexpr Duration kShardAnswer = 2s;  // a shard that is slower than this is not waited for
constexpr Duration kBeat = 1s;         // how often each is asked whether it answers
constexpr Duration kDrainStep = 5s;    // S2S-19; first what is pending on SIP, then the streams
constexpr Duration kShortStep = 1s;    // the other steps
constexpr Duration kLogPause = std::chrono::milliseconds(200);
constexpr Duration kPartnersPause =
    std::chrono::minutes(10);  // between looks at their certificates
// An edge that has had no gateway for so long sends partners away, who then go to another edge by
// its record. What it has taken, senders are told of (the link).
constexpr Duration kCutOffAfter = link::kGatewayAwaited;
constexpr Duration kDrainPause = std::chrono::milliseconds(20);
constexpr const char* kJoinsLater =
    "this process is edge and gateway, and whether there are gateways on other machines has "
    "changed: "
    "it acts on that at the next start of fedgated";
constexpr Duration kProbe = 1s;  // a machine that has not answered by then can't be reached now

bool fill_random(char* memory, std::size_t size) {
    return getrandom(memory, size, 0) == static_cast<ssize_t>(size);
}

// log.level: 0 error .. 3 debug.
Severity level_of(const rules::Snapshot& rules) {
    return static_cast<Severity>(3 - std::min<unsigned>(rules.settings.log_level, 3));
}

std::string host_name() {
    std::array<char, 256> name{};
    if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == 0) return "localhost";
    return name.data();
}

std::set<std::string> partner_roots_of(const rules::Snapshot& rules) {
    std::set<std::string> files;
    for (const rules::Partner& partner : rules.partners()) files.insert(partner.ca);
    return files;
}

// An edge that a gateway dials is named with its port.
bool is_dialled(const admin::Link& link) { return link.peer.find(':') != std::string::npos; }

std::vector<edge::StreamRow> edge_rows(Worker& worker) {
    return worker.edge() ? worker.edge()->rows() : std::vector<edge::StreamRow>();
}

std::unique_ptr<store::Database> database_of(const rules::Settings& settings,
                                             const std::string& node) {
    if (settings.store_url.empty()) return std::make_unique<store::File>(settings.store_path);
    return std::make_unique<store::PostgreSql>(settings.store_url, node);
}

std::string store_fault_of(const rules::Snapshot& rules) {
    const std::string& url = rules.settings.store_url;
    const std::string fault = url.empty() ? std::string() : store::fault_of_url(url);
    return fault.empty() ? fault : "store.url: " + fault;
}

std::uint32_t cores_of(const rules::Settings& settings) {
    if (settings.threads != 0) return settings.threads;
    return std::max<std::uint32_t>(static_cast<std::uint32_t>(usable_cpus().size()), 1);
}

// A sandbox may deny what binds a thread to CPUs. An errno; 0: it may be done.
int why_not_bound() {
    cpu_set_t own;
    if (sched_getaffinity(0, sizeof own, &own) != 0) return errno;
    return sched_setaffinity(0, sizeof own, &own) == 0 ? 0 : errno;
}

}  // namespace

Node::Node(const rules::Snapshot& rules) : rules_(&rules), oldest_generation_(rules.generation) {}

Node::~Node() {
    if (group_) group_->stop();
    workers_.clear();
    if (store_) store_->finish();
    write_log();
}

bool Node::find_dialback_secret(std::string& fault) {
    const rules::Settings& settings = rules_->settings;
    dialback_secret_ = settings.xmpp.dialback_secret;
    if (!dialback_secret_.empty()) return true;
    std::error_code ignored;
    std::filesystem::create_directories(settings.state_directory, ignored);
    secret_path_ = settings.state_directory + "/dialback.secret";
    const DialbackSecretFile file = read_or_make_secret(secret_path_, fault);
    dialback_secret_ = file.secret;
    secret_made_ = file.made;
    if (dialback_secret_.empty()) fault += " (see dirs.state, or set xmpp.dialback.secret)";
    return !dialback_secret_.empty();
}

bool Node::start(std::string& fault) {
    const rules::Settings& settings = rules_->settings;
    edge_ = settings.edge;
    gateway_ = settings.gateway;
    joined_ = settings.link.joined;
    if (gateway_) fault = store_fault_of(*rules_);
    if (!fault.empty()) return false;
    if (edge_ && !find_dialback_secret(fault)) return false;
    const std::uint32_t count = cores_of(settings);
    WorkerSettings shared;
    shared.gateway.host = host_name();
    shared.gateway.subscriptions = &subscriptions_;
    if (!fill_random(reinterpret_cast<char*>(&shared.gateway.secret),
                     sizeof shared.gateway.secret) ||
        !fill_random(reinterpret_cast<char*>(&shared.instance), sizeof shared.instance)) {
        fault = "no random numbers";
        return false;
    }
    std::vector<ShardTls> tls = certificates_.load(*rules_, count, wall_now());
    if (!certificates_.fault().empty()) {
        fault = certificates_.fault();
        return false;
    }
    group_ = std::make_unique<ShardGroup>(count);
    door_ = std::make_unique<edge::DoorGuard>(count);
    shared.node = settings.node;
    if (shared.node.empty()) shared.node = certificates_.internal_name();
    if (shared.node.empty()) shared.node = host_name();
    if (gateway_) {
        store_ = std::make_unique<store::Service>(
            *group_, database_of(settings, shared.node),
            [secret = shared.gateway.secret, count](const store::Row& row) {
                return gateway::owner_shard(secret, row.xmpp, row.sip, count);
            });
    }
    node_name_ = shared.node;
    unknown_groups_ = admin::unknown_groups(settings.admin_groups);
    if (by_link()) desk_ = std::make_unique<TopologyDesk>();
    shared.topology = desk_.get();
    shared.door = door_.get();
    shared.dialback_secret = dialback_secret_;
    set_log_level(*rules_);
    if (!settings.federation_allow) log_.event(EventId::kFederationOff);
    beats_.resize(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        workers_.push_back(std::make_unique<Worker>(*group_, i, *rules_, std::move(tls[i]), shared,
                                                    store_ ? &store_->door(i) : nullptr));
    }
    const auto note = [&fault](const Result<void>& outcome) {
        if (outcome || !fault.empty()) return;
        fault = outcome.error().where;
        if (outcome.error().system != 0)
            fault += std::string(": ") + std::strerror(outcome.error().system);
    };
    for (auto& worker : workers_) note(worker->ring());
    // All rings are there, and nothing is open yet: nobody from outside has reached us.
    if (fault.empty()) note(fence_process());
    if (!fault.empty()) {
        log_.event(EventId::kFenceFailed, {{"error", fault}});
        return false;
    }
    for (auto& worker : workers_) worker->begin();
    for (auto& worker : workers_) note(worker->ready());
    if (fault.empty() && desk_ && !secret_path_.empty()) tell_secret();
    if (fault.empty() && store_) store_->start();
    return fault.empty();
}

void Node::set_log_level(const rules::Snapshot& rules) {
    for (std::uint32_t i = 0; i < group_->count(); ++i) group_->log(i).set_level(level_of(rules));
    if (store_) store_->log().set_level(level_of(rules));
}

template <typename Function>
bool Node::on_every_shard(Function function) {
    const auto began = std::chrono::steady_clock::now();
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
    for (std::uint32_t i = 0; i < done.size(); ++i) {
        const auto until = is_stuck(i) ? began : began + kShardAnswer;
        if (done[i].wait_until(until) == std::future_status::ready) continue;
        all = false;
        beats_[i].ask(*group_, i, began);  // the next call does not wait for it
    }
    return all;
}

void Node::Beat::ask(ShardGroup& group, std::uint32_t shard, Time now) {
    if (waits()) return;
    heard = std::make_shared<std::atomic<bool>>(false);
    asked = now;
    posted = false;
    post(group, shard);
}

// Where there is no room it is tried again; meanwhile nothing is heard, either.
void Node::Beat::post(ShardGroup& group, std::uint32_t shard) {
    if (posted) return;
    posted = group.post(shard, [heard = heard](Shard&) { heard->store(true); });
}

bool Node::is_stuck(std::uint32_t shard) const {
    const Beat& beat = beats_[shard];
    return beat.waits() && std::chrono::steady_clock::now() - beat.asked >= kShardAnswer;
}

void Node::listen_to_cores() {
    if (!group_) return;
    const auto now = std::chrono::steady_clock::now();
    for (std::uint32_t i = 0; i < workers_.size(); ++i) {
        if (beats_[i].waits()) {
            beats_[i].post(*group_, i);
        } else if (now - beats_[i].asked >= kBeat) {
            beats_[i].ask(*group_, i, now);
        }
    }
}

template <typename Row, typename Collect>
std::optional<std::vector<Row>> Node::gather_all(Collect collect) {
    // Counted: a shard that answers too late still has somewhere to write.
    auto rows = std::make_shared<std::vector<std::vector<Row>>>(workers_.size());
    if (!on_every_shard(
            [rows, collect](std::uint32_t i, Worker& worker) { (*rows)[i] = collect(worker); })) {
        return std::nullopt;
    }
    std::vector<Row> all;
    for (auto& some : *rows) {
        std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    return all;
}

WallTime Node::wall_now() {
    return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

void Node::look_at_certificates() {
    const auto now = std::chrono::steady_clock::now();
    if (now - looked_at_ < kLogPause || drain_ != Drain::kNo || !group_) return;
    looked_at_ = now;
    if (certificates_.is_due(*rules_, wall_now())) everywhere(*rules_, true);
    certificates_.tell(wall_now());
}

void Node::look_at_partners() {
    const auto now = std::chrono::steady_clock::now();
    if (now - looked_at_partners_ < kPartnersPause || drain_ != Drain::kNo || !group_ || !edge_)
        return;
    looked_at_partners_ = now;
    static_cast<void>(partner_certificates());
}

// Partners find another edge only where nobody answers at this one.
void Node::look_at_gateways() {
    if (drain_ != Drain::kNo || !group_ || !edge_ || !by_link()) return;
    const auto now = std::chrono::steady_clock::now();
    const bool some = group_->sum(Counter::kLinkStanding) > 0;
    if (some || gateway_seen_ == std::chrono::steady_clock::time_point{}) gateway_seen_ = now;
    const bool cut_off = !some && now - gateway_seen_ >= kCutOffAfter;
    if (cut_off == cut_off_) return;
    cut_off_ = cut_off;
    log_.event(cut_off ? EventId::kCutOff : EventId::kNotCutOff);
    on_every_shard([cut_off](std::uint32_t, Worker& worker) {
        if (worker.edge() == nullptr) return;
        if (cut_off) {
            worker.edge()->send_away();
        } else {
            worker.edge()->accept();
        }
    });
}

bool Node::everywhere(const rules::Snapshot& rules, bool certificates) {
    const auto tls = std::make_shared<std::vector<ShardTls>>(workers_.size());
    files_loaded_ += certificates ? 1 : 0;
    if (certificates)
        *tls = certificates_.load(rules, static_cast<std::uint32_t>(tls->size()), wall_now());
    set_log_level(rules);
    const bool gateways = on_every_shard([&rules, tls](std::uint32_t i, Worker& worker) {
        worker.reload_gateway(rules, std::move((*tls)[i]));
    });
    on_every_shard([](std::uint32_t, Worker&) {});  // a turn each, for what the gateways had to say
    return on_every_shard([](std::uint32_t, Worker& worker) { worker.reload_edge(); }) && gateways;
}

void Node::publish(const rules::Snapshot& rules) {
    if (rules_->settings.federation_allow && !rules.settings.federation_allow)
        log_.event(EventId::kFederationOff);
    rules_ = &rules;
    unknown_groups_ = admin::unknown_groups(rules.settings.admin_groups);
    log_.event(EventId::kConfigChanged, {{"generation", rules.generation}});
    if (everywhere(rules, certificates_.is_due(rules, wall_now())))
        oldest_generation_ = rules.generation;
}

std::string Node::fault_at_start(const rules::Snapshot& rules) {
    const std::string fault = rules.settings.gateway ? store_fault_of(rules) : std::string();
    return fault.empty() ? CertificateLoader::fault_of(rules, wall_now()) : fault;
}

std::string Node::fault_of(const rules::Snapshot& rules) {
    if (const std::string fault = store_fault_of(rules); !fault.empty()) return fault;
    // What is in use already is not this change's fault.
    if (!(rules.settings.cores == rules_->settings.cores)) {
        const std::uint32_t most = std::max(cores(), cores_of(rules.settings));
        std::string fault = fault_of_placement(rules.settings, most, usable_cpus());
        if (!fault.empty()) return fault;
    }
    const bool same =
        rules.settings.tls_external == rules_->settings.tls_external &&
        rules.settings.tls_sip == rules_->settings.tls_sip &&
        rules.settings.tls_internal == rules_->settings.tls_internal &&
        rules.settings.revocation_lists == rules_->settings.revocation_lists &&
        rules.settings.internal_revocation_lists == rules_->settings.internal_revocation_lists &&
        std::ranges::includes(partner_roots_of(*rules_), partner_roots_of(rules));
    return same ? std::string() : CertificateLoader::fault_of(rules, wall_now());
}

std::vector<std::string> Node::warnings_of(const rules::Snapshot& rules) {
    std::vector<std::string> warnings = CertificateLoader::missing_names(rules, wall_now());
    const auto known = CertificateLoader::missing_names(*rules_, wall_now());
    std::erase_if(warnings, [&known](const std::string& one) {
        return std::ranges::find(known, one) != known.end();
    });
    if (rules.settings.link.joined != joined_ && edge_ && gateway_) {
        warnings.emplace_back(kJoinsLater);
    }
    std::ranges::move(admin::unknown_groups(rules.settings.admin_groups),
                      std::back_inserter(warnings));
    const bool moves = rules.settings.cores != rules_->settings.cores;
    if (const int why = moves ? why_not_bound() : 0; why != 0) {
        std::vector<std::uint32_t> wanted;
        for (std::uint32_t i = 0; i < cores(); ++i) {
            if (!rules.settings.cores.cpus_of(i).empty()) wanted.push_back(i);
        }
        if (!wanted.empty()) warnings.push_back(remark_of_refusal(wanted, why));
    }
    std::ranges::move(out_of_reach(rules), std::back_inserter(warnings));
    return warnings;
}

// Edges that would be new: whether those that are known can be reached, fedctl status tells.
std::vector<std::string> Node::out_of_reach(const rules::Snapshot& rules) {
    std::vector<rules::Settings::Link::Edge> fresh;
    for (const auto& edge : rules.settings.link.edges) {
        const auto same = [&edge](const auto& one) {
            return one.host == edge.host && one.port == edge.port;
        };
        if (edge.port == 0 || std::ranges::any_of(rules_->settings.link.edges, same)) continue;
        fresh.push_back(edge);
    }
    if (fresh.empty() || !gateway_ || !by_link() || workers_.empty()) return {};
    std::vector<std::future<std::string>> answers;
    Worker* const worker = workers_.front().get();
    for (const auto& edge : fresh) {
        const auto answer = std::make_shared<std::promise<std::string>>();
        answers.push_back(answer->get_future());
        const bool asked = group_->post(0, [worker, edge, answer](Shard&) {
            worker->probe(edge.host, edge.port,
                          [answer](const std::string& why) { answer->set_value(why); });
        });
        if (!asked) answer->set_value("");  // not known
    }
    const auto until = std::chrono::steady_clock::now() + kProbe;
    std::vector<std::string> all;
    for (std::size_t i = 0; i < fresh.size(); ++i) {
        const bool told = answers[i].wait_until(until) == std::future_status::ready;
        const std::string why = told ? answers[i].get() : "can't be reached: it does not answer";
        if (why.empty()) continue;
        all.push_back("edge " + fresh[i].host + ":" + std::to_string(fresh[i].port) +
                      (fresh[i].pool.empty() ? "" : " of pool " + fresh[i].pool) + " " + why +
                      "; it is tried again until it is there");
    }
    static_cast<void>(group_->post(0, [worker](Shard&) { worker->end_probes(); }));
    return all;
}

void Node::on_reload() {
    unknown_groups_ = admin::unknown_groups(rules_->settings.admin_groups);
    if (everywhere(*rules_, true)) oldest_generation_ = rules_->generation;
    if (!secret_path_.empty()) read_secret_again();
}

std::uint32_t Node::cores() { return static_cast<std::uint32_t>(workers_.size()); }

std::string Node::remark_of_unbound() {
    std::vector<std::uint32_t> unbound;
    int why = 0;
    for (std::uint32_t i = 0; i < cores(); ++i) {
        const int refused = workers_[i]->cpus_refused();
        if (refused == 0) continue;
        unbound.push_back(i);
        why = refused;
    }
    return remark_of_refusal(unbound, why);
}

admin::Status Node::status() {
    admin::Status status;
    status.threads = cores();
    status.streams_in = group_->sum(Counter::kXmppInEstablished);
    status.streams_out = group_->sum(Counter::kXmppOutEstablished);
    status.sip_connections =
        group_->sum(Counter::kSipInConnections) + group_->sum(Counter::kSipOutConnections);
    if (!rules_->settings.federation_allow) {
        status.remarks.emplace_back("federation.allow is off: nothing passes");
    }
    std::ranges::move(certificates_.remarks(wall_now()), std::back_inserter(status.remarks));
    std::ranges::move(remarks_of_placement(rules_->settings, cores(), usable_cpus()),
                      std::back_inserter(status.remarks));
    if (std::string unbound = remark_of_unbound(); !unbound.empty())
        status.remarks.push_back(std::move(unbound));
    std::ranges::copy(unknown_groups_, std::back_inserter(status.remarks));
    for (const CertificateLoader::Expiry& one : certificates_.expiries()) {
        status.certificates.push_back({one.purposes, one.file, one.at});
    }
    if (drain_ != Drain::kNo) status.remarks.emplace_back("draining: no new work is taken");
    if (store_) {
        const store::Status store = store_->status();
        status.store = {store.name,        store.restoring, store.rows,  store.waiting,
                        store.last_commit, store.failing,   store.shares};
        std::ranges::copy(store.remarks, std::back_inserter(status.remarks));
    }
    status.links = links();
    status.routes = routes();
    if (rules_->settings.link.joined != joined_ && edge_ && gateway_) {
        status.remarks.emplace_back(kJoinsLater);
    }
    if (by_link() && std::ranges::none_of(status.links, &admin::Link::active)) {
        status.remarks.emplace_back(cut_off_ ? "no gateway is connected: nothing gets through, and "
                                               "partners are not let in"
                                    : edge_  ? "no gateway is connected: nothing gets through"
                                             : "no edge is connected: nothing gets through");
    }
    add_nodes(status);
    status.next_hops = next_hops();
    for (const admin::NextHop& hop : status.next_hops) {
        if (hop.state != "down") continue;
        status.remarks.push_back("SIP next hop " + hop.name + " (" + hop.address + ") of " +
                                 hop.domain + " is down: " + hop.why);
    }
    return status;
}

// Every core has its own view; a hop is as the one that finds it best does.
std::vector<admin::NextHop> Node::next_hops() {
    const auto seconds = [](Duration time) {
        return static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::seconds>(time).count());
    };
    const auto badness = [](const admin::NextHop& hop) {
        return hop.state == "up" ? 0 : hop.state == "down" ? 3 : hop.mute ? 1 : 2;
    };
    std::map<std::array<std::string, 3>, admin::NextHop> hops;
    for (const gateway::TargetRow& row : gather<gateway::TargetRow>([](Worker& worker) {
             return worker.gateway() ? worker.gateway()->targets()
                                     : std::vector<gateway::TargetRow>();
         })) {
        admin::NextHop one;
        one.domain = row.domain;
        one.name = row.transport + ' ' + row.target;
        one.address = row.address;
        one.state = !row.up ? "down" : row.suspect ? "suspect" : "up";
        one.mute = row.up && row.suspect && row.mute;
        one.since_s = seconds(row.since);
        one.why = row.why;
        one.retry_s = seconds(row.held);
        one.pending = row.pending;
        one.answered = row.answered;
        one.unanswered = row.unanswered;
        admin::NextHop& hop = hops[{one.domain, one.name, one.address}];
        one.pending += hop.pending;
        one.answered += hop.answered;
        one.unanswered += hop.unanswered;
        if (hop.state.empty() || badness(one) < badness(hop)) {
            hop = one;
        } else {
            std::tie(hop.pending, hop.answered, hop.unanswered) =
                std::tie(one.pending, one.answered, one.unanswered);
        }
    }
    std::vector<admin::NextHop> all;
    for (auto& [key, hop] : hops) all.push_back(std::move(hop));
    return all;
}

std::vector<admin::Port> Node::ports() {
    std::map<std::pair<std::string, std::string>, admin::Port> ports;  // by service and address
    const auto port = [&](const std::string& service, const std::string& side,
                          const std::string& protocol, const std::string& address,
                          const std::string& owner) -> admin::Port& {
        admin::Port& one = ports[{service, address}];
        one.service = service;
        one.side = side;
        one.protocol = protocol;
        one.address = address;
        one.owner = owner;
        return one;
    };
    const rules::Settings& settings = rules_->settings;
    const std::string closed =
        cut_off_ ? "closed, since no gateway is connected: partners go to another edge"
                 : "not open";
    if (edge_) {
        for (const config::Address& address : settings.xmpp.listen) {
            port("xmpp", "external", "tcp", address.text, "edge").fault = closed;
        }
        for (const config::Address& address : settings.xmpp.listen_tls) {
            port("xmpp-tls", "external", "tls", address.text, "edge").fault = closed;
        }
    }
    if (gateway_) {
        for (const config::SipListen& listen : settings.sip.listen) {
            const std::string protocol(config::name_of(listen.transport));
            port("sip/" + protocol, "internal", protocol, listen.address.text, "gateway").fault =
                "not open";
        }
    }
    const auto count = [](admin::Port& one, bool inbound) {
        ++(inbound ? one.inbound : one.outbound);
    };
    const auto find = [&](const std::string& service, const std::string& local,
                          bool inbound) -> admin::Port* {
        admin::Port* any = nullptr;
        const std::string number = local.substr(local.rfind(':') + 1);
        for (auto& [key, one] : ports) {
            if (one.service != service) continue;
            if (one.address == local || !inbound) return &one;
            if (one.address.substr(one.address.rfind(':') + 1) == number) any = &one;
        }
        return any;
    };
    for (const edge::StreamRow& row : gather<edge::StreamRow>(edge_rows)) {
        const bool direct = row.listening && row.tls == "direct";
        admin::Port* one = find(direct ? "xmpp-tls" : "xmpp", row.local, row.inbound);
        if (one == nullptr && row.inbound) one = find("xmpp-tls", row.local, true);
        if (one == nullptr) continue;
        if (row.listening) {
            one->listening = true;
            one->fault.clear();
        } else if (row.state == "established") {
            count(*one, row.inbound);
        }
    }
    for (const gateway::PortRow& row : gather<gateway::PortRow>([](Worker& worker) {
             return worker.gateway() ? worker.gateway()->ports() : std::vector<gateway::PortRow>();
         })) {
        const bool inbound = row.purpose.starts_with("from");
        admin::Port* one = find("sip/" + row.transport, row.local, row.listening || inbound);
        if (one == nullptr) continue;
        if (row.listening) {
            one->listening = true;
            one->fault.clear();
        } else {
            count(*one, inbound);
        }
    }
    std::vector<admin::Port> all;
    for (auto& [key, one] : ports) all.push_back(std::move(one));
    add_link_ports(all);
    return all;
}

// Of a shard; a peer has one for each of a gateway's shards.
std::vector<link::LinkRow> Node::link_rows() {
    return gather<link::LinkRow>([](Worker& worker) {
        std::vector<link::LinkRow> rows;
        if (worker.server()) rows = worker.server()->rows();
        if (worker.client()) std::ranges::move(worker.client()->rows(), std::back_inserter(rows));
        return rows;
    });
}

void Node::add_link_ports(std::vector<admin::Port>& ports) {
    const rules::Settings& settings = rules_->settings;
    if (!by_link()) return;
    const std::vector<admin::Link> links = this->links();
    if (edge_) {
        const auto listening = gather<std::string>([](Worker& worker) {
            std::vector<std::string> all;
            if (!worker.server()) return all;
            for (const SocketAddress& one : worker.server()->listening()) {
                all.push_back(net::format_address(one));
            }
            return all;
        });
        for (const config::Address& address : settings.link.listen) {
            admin::Port& one = ports.emplace_back();
            one.address = address.text;
            one.owner = "edge";
            one.listening = std::ranges::find(listening, address.text) != listening.end() ||
                            (address.port == 0 && !listening.empty());
            if (!one.listening) one.fault = "not open";
        }
        if (!settings.link.listen.empty()) {  // which of several, a connection does not say
            for (const admin::Link& link : links) {
                if (!is_dialled(link)) ports.back().inbound += link.standing;
            }
        }
    }
    if (gateway_) {
        for (const admin::Link& link : links) {
            if (!is_dialled(link)) continue;
            admin::Port& one = ports.emplace_back();
            one.address = link.peer;
            one.owner = "gateway";
            one.dialled = true;
            one.outbound = link.standing;
            one.fault = link.why;
        }
    }
    for (admin::Port& one : ports) {
        if (!one.service.empty()) continue;
        one.service = "link";
        one.side = "internal";
        one.protocol = "tls";
    }
}

// All cores' links with one peer together: it is as most of them see it at best.
std::vector<admin::Link> Node::links() {
    std::vector<admin::Link> links;
    for (const link::LinkRow& row : link_rows()) {
        auto at = std::ranges::find(links, row.peer, &admin::Link::peer);
        if (at == links.end()) {
            links.emplace_back();
            at = links.end() - 1;
            at->peer = row.peer;
        }
        ++at->count;
        at->standing += row.up ? 1 : 0;
        at->active = at->active || row.active;
        if (!row.address.empty()) at->address = row.address;
        if (!row.node.empty()) at->node = row.node;
        if (!row.why.empty()) at->why = row.why;
        at->since_s = std::max(
            at->since_s, static_cast<std::uint64_t>(
                             std::chrono::duration_cast<std::chrono::seconds>(row.since).count()));
    }
    return links;
}

// Each core has links of its own: a route is as the one that sees it worst does.
std::vector<admin::Route> Node::routes() {
    std::vector<admin::Route> routes;
    for (const link::RouteRow& row : gather<link::RouteRow>([](Worker& worker) {
             return worker.client() ? worker.client()->routes() : std::vector<link::RouteRow>();
         })) {
        const admin::Route one{
            row.site, row.first, row.now,
            static_cast<std::uint64_t>(
                std::chrono::duration_cast<std::chrono::seconds>(row.since).count()),
            row.missing};
        const auto at = std::ranges::find(routes, row.site, &admin::Route::site);
        if (at == routes.end()) {
            routes.push_back(one);
        } else if (at->now == at->first &&
                   (one.now != one.first || one.missing.size() > at->missing.size())) {
            *at = one;
        }
    }
    return routes;
}

std::string Node::why_no_streams() {
    if (edge_) return {};
    std::string text = "this process is a gateway alone; the streams are at its edges";
    const char* before = ": ";
    for (const auto& edge : rules_->settings.link.edges) {
        text += std::exchange(before, ", ") + edge.host;
    }
    return text;
}

std::vector<admin::StreamRow> Node::streams() {
    std::vector<admin::StreamRow> rows;
    for (edge::StreamRow& row : gather<edge::StreamRow>(edge_rows)) {
        if (row.listening) continue;
        admin::StreamRow one;
        one.outbound = !row.inbound;
        one.our_domain = std::move(row.our);
        one.their_domain = std::move(row.their);
        one.state = std::move(row.state);
        one.proof = std::move(row.proof);
        one.tls = std::move(row.tls);
        one.address = std::move(row.peer);
        one.age_s = row.age_s;
        one.idle_s = row.idle_s;
        one.both_ways = row.both_ways;
        one.retry_s = row.retry_s;
        (row.inbound ? one.stanzas_in : one.stanzas_out) = row.stanzas;
        (row.inbound ? one.stanzas_out : one.stanzas_in) = row.stanzas_back;
        rows.push_back(std::move(one));
    }
    return rows;
}

// A ping of the domain: an answer, if there is one, is nobody's.
void Node::open_stream(const std::string& our, const std::string& their) {
    if (!edge_ || workers_.empty()) return;
    Worker* const worker = workers_.front().get();
    static_cast<void>(group_->post(0, [worker, our, their](Shard&) {
        const std::string ping = "<iq type='get' id='fedgate-doctor' from='" + our + "' to='" +
                                 their + "'><ping xmlns='urn:xmpp:ping'/></iq>";
        if (worker->edge() == nullptr) return;
        static_cast<void>(worker->edge()->take_stanza({link::kForNow, our, their, ping}));
    }));
}

// Every shard is asked: which one has the pair, they know.
std::uint64_t Node::begin_trial(const admin::TrialOrder& order, std::string& why) {
    using gateway::TrialStart;
    if (!gateway_) return AdminHost::begin_trial(order, why);
    const gateway::TrialOrder own{++trials_, order.to_sip, order.ours, order.theirs, order.text};
    const auto starts = gather<TrialStart>(
        [own](Worker& worker) { return std::vector{worker.gateway()->begin_trial(own)}; });
    const auto is = [&starts](TrialStart one) {
        return std::ranges::find(starts, one) != starts.end();
    };
    // A core is late: whether it was sent, trial() tells. Refused, it would be sent twice.
    if (is(TrialStart::kBegun) || starts.empty()) return own.id;
    why = is(TrialStart::kAnothers)
              ? "another gateway has the conversation of these two: try it there"
          : is(TrialStart::kNoAddress) ? "one of the two addresses can't be one of XMPP"
                                       : "no core has the conversation of these two";
    return 0;
}

std::optional<admin::Trial> Node::trial(std::uint64_t id) {
    for (gateway::TrialRow& row : gather<gateway::TrialRow>([id](Worker& worker) {
             return worker.gateway() ? std::vector{worker.gateway()->trial(id)}
                                     : std::vector<gateway::TrialRow>();
         })) {
        if (row.id != id || id == 0) continue;
        return admin::Trial{row.age,
                            row.taken,
                            row.acknowledged,
                            row.received,
                            row.status,
                            row.taken_after,
                            row.acknowledged_after,
                            row.received_after,
                            std::move(row.fault)};
    }
    return std::nullopt;
}

std::vector<admin::FailureRow> Node::failures() {
    std::map<std::pair<std::string, bool>, admin::FailureRow> rows;  // the latest of all cores
    for (edge::LastFailure& one : gather<edge::LastFailure>([](Worker& worker) {
             return worker.edge() ? worker.edge()->failures() : std::vector<edge::LastFailure>();
         })) {
        admin::FailureRow& row = rows[{one.their, !one.inbound}];
        row.count += one.count;
        if (one.at < row.at) continue;
        row.their_domain = std::move(one.their);
        row.outbound = !one.inbound;
        row.kind = edge::name_of(one.kind);
        row.at = one.at;
        row.address = std::move(one.peer);
        row.text = std::move(one.text);
    }
    std::vector<admin::FailureRow> all;
    for (auto& [key, row] : rows) all.push_back(std::move(row));
    return all;
}

std::optional<std::vector<admin::SeenUser>> Node::seen_users() {
    auto found = gather_all<gateway::SeenUser>([](Worker& worker) {
        return worker.gateway() ? worker.gateway()->seen_users() : std::vector<gateway::SeenUser>();
    });
    if (!found) return std::nullopt;
    std::map<std::string, WallTime> latest;  // of all cores
    for (gateway::SeenUser& one : *found) {
        WallTime& at = latest[std::move(one.address)];
        at = std::max(at, one.at);
    }
    std::vector<admin::SeenUser> all;
    for (const auto& [address, at] : latest) all.push_back({address, at});
    return all;
}

// Whoever asks is not the only one who should know.
std::vector<admin::PartnerCertificate> Node::partner_certificates() {
    std::map<std::string, admin::PartnerCertificate> rows;  // the latest of all cores
    for (edge::SeenCertificate& one : gather<edge::SeenCertificate>([](Worker& worker) {
             return worker.edge() ? worker.edge()->seen_certificates()
                                  : std::vector<edge::SeenCertificate>();
         })) {
        admin::PartnerCertificate& row = rows[one.their];
        if (one.seen_at < row.seen_at) continue;
        row = {std::move(one.their), one.not_after, one.seen_at};
    }
    std::vector<admin::PartnerCertificate> all;
    const WallTime now = wall_now();
    for (auto& [their, row] : rows) {
        if (partner_notices_.is_due(their, row.not_after, now)) {
            note(EventId::kPartnerCertificateExpires, {{"partner", their},
                                                       {"expires", readable_day(row.not_after)},
                                                       {"days", days_between(now, row.not_after)}});
        }
        all.push_back(std::move(row));
    }
    if (!all.empty())
        partner_notices_.keep([&rows](const std::string& their) { return rows.contains(their); });
    return all;
}

std::string Node::start_trace(const admin::TraceWish& wish) {
    const gateway::TraceFilter filter{wish.partner, wish.user};
    const bool started = on_every_shard([filter, time = wish.time](std::uint32_t, Worker& worker) {
        if (worker.gateway() != nullptr) worker.gateway()->tracer().start(filter, time);
    });
    return started ? "" : "the cores do not answer now; try again";
}

void Node::stop_trace() {
    static_cast<void>(on_every_shard([](std::uint32_t, Worker& worker) {
        if (worker.gateway() != nullptr) worker.gateway()->tracer().stop();
    }));
}

std::vector<admin::TracedRow> Node::take_trace(std::uint64_t& missed) {
    std::vector<admin::TracedRow> rows;
    const auto all = gather<gateway::TraceTaken>([](Worker& worker) {
        std::vector<gateway::TraceTaken> one;
        if (worker.gateway() != nullptr) one.push_back(worker.gateway()->tracer().take());
        return one;
    });
    if (all.empty()) ++missed;  // a core was too late, and what the others had is gone
    const auto now = std::chrono::system_clock::now();
    for (const gateway::TraceTaken& taken : all) {
        missed += taken.missed;
        for (const gateway::TraceRow& row : taken.rows) {
            rows.push_back(
                {std::chrono::floor<std::chrono::milliseconds>(now - (taken.now - row.at)),
                 row.xmpp, row.in, row.from, row.to, row.what, row.stanza_id, row.call_id, row.cseq,
                 row.peer, row.note});
        }
    }
    std::ranges::stable_sort(rows, {}, &admin::TracedRow::at);
    return rows;
}

std::vector<admin::Counter> Node::counters() {
    std::vector<admin::Counter> counters;
    for (const CounterInfo& info : counter_table()) {
        counters.push_back({std::string(info.name), group_->sum(info.counter), info.current,
                            std::string(info.description)});
    }
    for (const CommitCount& one : commit_counts_) {
        counters.push_back(
            {one.name, one.count, false, std::string(event_info(one.event).english.sentence)});
    }
    return counters;
}

bool Node::cores_answer() {
    for (std::uint32_t i = 0; i < workers_.size(); ++i) {
        if (is_stuck(i)) return false;
    }
    return true;
}

bool Node::cores_have_turned() {
    if (silent_ != nullptr && silent_->load() > 0) return false;
    silent_ = std::make_shared<std::atomic<std::uint32_t>>(group_->count());
    for (std::uint32_t i = 0; i < group_->count(); ++i) {
        if (group_->post(i, [silent = silent_](Shard&) { --*silent; })) continue;
        silent_.reset();  // so much has been posted to it: it does not turn
        return false;
    }
    return true;
}

template <typename Predicate>
bool Node::all_are(Predicate predicate) {
    auto all = std::make_shared<std::atomic<bool>>(true);
    const bool answered = on_every_shard([all, predicate](std::uint32_t, Worker& worker) {
        if (!predicate(worker)) all->store(false);
    });
    return answered && all->load();
}

void Node::begin(Drain step) {
    const bool is_long = step == Drain::kGateways || step == Drain::kEdges;
    drain_ = step;
    drain_step_until_ = std::chrono::steady_clock::now() + (is_long ? kDrainStep : kShortStep);
    // By now edges send to others, who are to have what they need for it.
    if (step == Drain::kGateways && store_) store_->resign();
    on_every_shard([step](std::uint32_t, Worker& worker) {
        gateway::Gateway* const gateway = worker.gateway();
        edge::Edge* const edge = worker.edge();
        if (step == Drain::kLinks) {
            if (edge) edge->stop_accepting();
            // Its own gateway's last words go by this edge.
            if (worker.server() && !gateway) worker.server()->drain();
            if (worker.client()) worker.client()->drain();
        }
        if (step == Drain::kGateways && gateway) gateway->drain();
        if (step == Drain::kGivingUp && gateway) gateway->give_up();
        if (step == Drain::kEdges && worker.server() && gateway) worker.server()->drain();
        if (step == Drain::kEdges && edge) edge->drain();
        if (step == Drain::kClosing) {
            if (worker.server()) worker.server()->finish();
            if (worker.client()) worker.client()->finish();
        }
    });
}

bool Node::is_over(Drain step) {
    return all_are([step](Worker& worker) {
        const auto both = [&worker](auto is) {
            return (!worker.server() || is(*worker.server())) &&
                   (!worker.client() || is(*worker.client()));
        };
        switch (step) {
            case Drain::kLinks:
                return worker.gateway() ? !worker.client() || worker.client()->quiet()
                                        : !worker.server() || worker.server()->quiet();
            case Drain::kGateways:
            case Drain::kGivingUp: return !worker.gateway() || worker.gateway()->drained();
            case Drain::kEdges: return !worker.edge() || worker.edge()->drained();
            case Drain::kSettling: return both([](const auto& link) { return link.settled(); });
            case Drain::kClosing: return both([](const auto& link) { return link.closed(); });
            case Drain::kNo:
            case Drain::kDone: break;
        }
        return true;
    });
}

void Node::drain() {
    if (drain_ != Drain::kNo) return;
    log_.event(EventId::kStopping);
    begin(Drain::kLinks);
}

bool Node::drained() {
    if (drain_ == Drain::kNo || drain_ == Drain::kDone) return drain_ == Drain::kDone;
    const bool late = std::chrono::steady_clock::now() >= drain_step_until_;
    if (!late && !is_over(drain_)) return false;
    auto next = static_cast<Drain>(static_cast<std::uint8_t>(drain_) + 1);
    if (next == Drain::kGivingUp && !late) next = Drain::kEdges;
    if (next != Drain::kDone) {
        begin(next);
        return false;
    }
    drain_ = Drain::kDone;
    log_.event(EventId::kStopped);
    return true;
}

// --- What other nodes know of us, and we of them

template <typename Function>
void Node::on_topology(Function function) {
    Worker* const first = workers_.empty() ? nullptr : workers_.front().get();
    if (first == nullptr || !desk_) return;
    static_cast<void>(group_->post(0, [first, function = std::move(function)](Shard&) mutable {
        if (first->topology() != nullptr) function(*first->topology());
    }));
}

int Node::received_descriptor() { return desk_ ? desk_->descriptor() : -1; }

std::vector<admin::Received> Node::take_received() {
    if (!desk_) return {};
    TopologyDesk::All all = desk_->take();
    for (const std::string& peer : all.bad) {
        note(EventId::kCommitRefused, {{"peer", peer}, {"error", "its pieces make no whole"}});
    }
    if (all.secret && edge_) take_secret({all.secret->text, all.secret->made});
    return std::move(all.commits);
}

void Node::tell_nodes(const admin::Held& held) {
    held_ = held;
    held_.published.reset();
    const auto left = std::max(held.take_back_at - wall_now(), std::chrono::seconds(0));
    const std::string& why = held.why.empty() ? held.not_taken : held.why;
    link::NodeRow own{node_name_, held.id, held.in_force, why};
    on_topology([own = std::move(own), published = held.published, left](link::Topology& topology) {
        topology.set_newest(own, published, left);
    });
}

std::string Node::why_not_for_all() {
    if (gateway_) return {};
    return "this machine is an edge, and what is of the whole pool is committed at a gateway: say "
           "it there (here it can be set with fedctl sysctl -w, until the next start)";
}

std::string Node::sign(Bytes published, std::string& why) {
    if (!gateway_ || !by_link()) return {};
    return sign_commit(published, rules_->settings.tls_internal.at(wall_now()),
                       certificates_.internal_name(), why);
}

admin::Signer Node::signer_of(Bytes published, Bytes proof, WallTime time) {
    return judge_commit(
        published, proof, time,
        {certificates_.internal_roots(), certificates_.internal_revoked(), wall_now()});
}

std::uint64_t Node::files_loaded() { return files_loaded_; }

void Node::note(EventId event, std::initializer_list<LogField> fields) {
    log_.event(event, fields);
    for (CommitCount& one : commit_counts_) one.count += one.event == event ? 1 : 0;
}

void Node::add_nodes(admin::Status& status) {
    if (!desk_) return;
    status.nodes.push_back({node_name_, true, held_.in_force, held_.why});
    for (link::NodeRow& row : gather<link::NodeRow>([](Worker& worker) {
             return worker.topology() ? worker.topology()->rows() : std::vector<link::NodeRow>();
         })) {
        if (row.node == node_name_) continue;  // its own edge, where both roles are here
        status.nodes.push_back({std::move(row.node), false, row.in_force, std::move(row.why)});
    }
    for (const admin::NodeCommit& one : status.nodes) {
        if (one.here || one.why.empty()) continue;
        status.remarks.push_back("node " + one.node + " has commit " +
                                 std::to_string(one.in_force) +
                                 " in force, not the newest: " + one.why);
    }
    if (secret_differs_) {
        status.remarks.emplace_back(
            "xmpp.dialback.secret is not what other edges use: they can't verify our keys");
    }
}

void Node::tell_secret() {
    on_topology([made = secret_made_, secret = dialback_secret_](link::Topology& topology) {
        topology.set_secret(made, secret);
    });
}

// DB-3: keys that were made with the one before are still good.
void Node::take_secret(const DialbackSecretFile& theirs) {
    if (secret_path_.empty()) {  // xmpp.dialback.secret stands over it
        secret_differs_ = theirs.secret != dialback_secret_;
        return;
    }
    std::string fault;
    if (!write_secret(secret_path_, theirs, fault)) {
        note(EventId::kStoreFailed, {{"error", fault}});
    }
    use_secret(theirs);
}

void Node::use_secret(const DialbackSecretFile& theirs) {
    secret_made_ = theirs.made;
    const std::string before = std::exchange(dialback_secret_, theirs.secret);
    if (before == dialback_secret_) return;
    note(EventId::kDialbackSecretTaken, {});
    on_every_shard([secret = dialback_secret_, before](std::uint32_t, Worker& worker) {
        if (worker.edge()) worker.edge()->set_dialback_secret(secret, before);
    });
}

// Restored, perhaps.
void Node::read_secret_again() {
    std::string fault;
    const DialbackSecretFile file = read_or_make_secret(secret_path_, fault);
    if (file.secret.empty() || file.secret == dialback_secret_) return;
    use_secret(file);
    if (desk_) tell_secret();
}

Duration Node::on_turn() {
    const auto now =
        std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    if (trace_.overdue(now)) trace_.collect(now);  // whoever wanted it is gone
    look_at_certificates();
    look_at_gateways();
    look_at_partners();
    listen_to_cores();
    write_log();
    return drain_ == Drain::kNo ? kLogPause : kDrainPause;
}

void Node::write_log() {
    std::vector<LogRecord> records;
    log_.drain(records);
    if (group_) {
        for (std::uint32_t i = 0; i < group_->count(); ++i) group_->log(i).drain(records);
    }
    if (store_) store_->log().drain(records);
    // Each shard's are in order; those of one second stand together.
    std::ranges::stable_sort(records, {}, &LogRecord::time);
    const Language language = rules_->settings.log_language;
    for (LogRecord& record : records) {
        if (!journal_.send(record, language)) {
            std::fputs(line_of(record, language).c_str(), stderr);
        }
        event_book_.add(std::move(record));
    }
}

}  // namespace fedgate
