#include "appliance/main/node.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <future>
#include <sched.h>
#include <set>
#include <sys/random.h>
#include <unistd.h>

#include "appliance/admin/roles.hpp"
#include "appliance/main/commit_signature.hpp"
#include "appliance/main/fence.hpp"
#include "appliance/main/placement.hpp"
#include "appliance/store/file.hpp"
#include "appliance/store/postgresql.hpp"
#include "core/base/hash.hpp"
#include "core/run/uring_loop.hpp"

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
    const std::uint32_t count = core_count(settings.threads);
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

bool Node::on_every_shard(const std::function<void(std::uint32_t, Worker&)>& function) {
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
        const std::uint32_t most = std::max(cores(), core_count(rules.settings.threads));
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
