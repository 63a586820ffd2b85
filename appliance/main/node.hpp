// The daemon process as its control thread sees it: configuration, shards, certificates, and what an
// administrator asks and changes. Slow work (files, certificates, waiting) happens here only.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "appliance/main/worker.hpp"
#include "core/config/file.hpp"
#include "core/config/tree.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate {

class Node {
public:
    // `sources` is read again at reload(). `tree` and `rules` are what it gave at start.
    Node(config::Sources, config::Tree tree, std::unique_ptr<const rules::Snapshot> rules);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    // Starts the shards and waits for their listeners. False: `fault` says why; the node must be destroyed.
    bool start(std::string& fault);
    // SIGHUP. Nothing is changed when there is an error in `problems`.
    bool reload(config::Problems& problems);
    // A changed tree from an administrator: validated as a whole, then everywhere at once.
    bool apply(config::Tree tree, config::Problems& problems);
    // SIGTERM: refuses what is new, ends what is pending, closes streams cleanly; at most ~10 s.
    void drain();

    [[nodiscard]] const config::Tree& tree() const { return tree_; }
    [[nodiscard]] const rules::Snapshot& rules() const { return *rules_.back(); }
    [[nodiscard]] ShardGroup& group() { return *group_; }
    [[nodiscard]] Log& log() { return log_; }
    // Everything logged since the last call, as lines.
    void drain_log(std::string& lines);
    [[nodiscard]] Duration up_time() const;

    [[nodiscard]] std::vector<edge::StreamRow> streams();
    [[nodiscard]] std::vector<gateway::PortRow> sip_ports();
    [[nodiscard]] std::vector<gateway::TargetRow> sip_targets();
    [[nodiscard]] std::vector<gateway::GatewayStatus> gateway_status();

private:
    bool load_tls(const rules::Snapshot&, std::string& fault, ShardTls& tls);
    bool find_dialback_secret(std::string& fault);
    bool publish(std::unique_ptr<const rules::Snapshot>, std::string& fault);
    template <typename Row, typename Collect>
    std::vector<Row> gather(Collect collect);
    template <typename Function>
    bool on_every_shard(Function function);
    bool wait_until_drained(bool edge_too, Duration at_most);

    config::Sources sources_;
    config::Tree tree_;
    std::deque<std::unique_ptr<const rules::Snapshot>> rules_;    // newest last; older ones until all let go
    net::PemSource self_signed_certificate_;
    net::PemSource self_signed_key_;
    std::string dialback_secret_;
    Log log_{-1};
    std::unique_ptr<ShardGroup> group_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::chrono::steady_clock::time_point started_at_;
};

}  // namespace fedgate
