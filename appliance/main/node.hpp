// The daemon process as its control thread sees it: shards, certificates, and what an administrator
// asks and changes. Slow work (files, certificates, waiting) happens here only.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "appliance/admin/host.hpp"
#include "appliance/admin/trace.hpp"
#include "appliance/main/certificate_loader.hpp"
#include "appliance/main/dialback_secret.hpp"
#include "appliance/main/journal.hpp"
#include "appliance/main/topology_desk.hpp"
#include "appliance/main/worker.hpp"
#include "appliance/store/service.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate {

class Node final : public admin::AdminHost, private admin::TraceSource {
public:
    // `rules` must outlive the node, or be superseded by publish() (see AdminHost).
    explicit Node(const rules::Snapshot& rules);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    // What would make start() fail, as far as files and texts say.
    [[nodiscard]] static std::string fault_at_start(const rules::Snapshot&);
    // Starts the shards and waits for their listeners. False: `fault` says why; destroy the node.
    bool start(std::string& fault);
    // Keeps what was logged since the last call, and writes it to the journal or to stderr.
    void write_log();
    [[nodiscard]] Log& log() { return log_; }

    void publish(const rules::Snapshot&) override;
    [[nodiscard]] std::string fault_of(const rules::Snapshot&) override;
    [[nodiscard]] std::vector<std::string> warnings_of(const rules::Snapshot&) override;
    [[nodiscard]] std::uint64_t oldest_generation() override { return oldest_generation_; }
    [[nodiscard]] admin::Status status() override;
    [[nodiscard]] std::vector<admin::Port> ports() override;
    [[nodiscard]] std::vector<admin::StreamRow> streams() override;
    [[nodiscard]] std::string why_no_streams() override;
    [[nodiscard]] std::vector<admin::Counter> counters() override;
    [[nodiscard]] bool cores_answer() override;
    [[nodiscard]] std::uint32_t cores() override;
    [[nodiscard]] bool cores_have_turned() override;
    void open_stream(const std::string& our, const std::string& their) override;
    [[nodiscard]] std::vector<admin::FailureRow> failures() override;
    [[nodiscard]] std::optional<std::vector<admin::SeenUser>> seen_users() override;
    [[nodiscard]] std::vector<admin::PartnerCertificate> partner_certificates() override;
    [[nodiscard]] admin::TraceBook* trace_book() override { return gateway_ ? &trace_ : nullptr; }
    [[nodiscard]] std::uint64_t begin_trial(const admin::TrialOrder&, std::string& why) override;
    [[nodiscard]] std::optional<admin::Trial> trial(std::uint64_t id) override;
    void drain() override;
    [[nodiscard]] bool drained() override;
    Duration on_turn() override;
    void on_reload() override;
    [[nodiscard]] std::vector<admin::Received> take_received() override;
    [[nodiscard]] int received_descriptor() override;
    void tell_nodes(const admin::Held&) override;
    [[nodiscard]] std::uint64_t files_loaded() override;
    [[nodiscard]] std::string why_not_for_all() override;
    [[nodiscard]] std::string sign(Bytes published, std::string& why) override;
    [[nodiscard]] admin::Signer signer_of(Bytes published, Bytes proof, WallTime time) override;
    [[nodiscard]] const admin::EventBook* event_book() override { return &event_book_; }
    void note(EventId, std::initializer_list<LogField>) override;

private:
    enum class Drain : std::uint8_t {
        kNo,
        kLinks,     // the other ends send nothing new
        kGateways,  // what is pending on SIP
        kGivingUp,  // the errors of what could not be ended by then
        kEdges,     // the streams with partners
        kSettling,  // the other ends know what has become of theirs
        kClosing,
        kDone
    };

    // Asked of one core, to learn whether it answers.
    struct Beat {
        using Time = std::chrono::steady_clock::time_point;
        std::shared_ptr<std::atomic<bool>> heard;
        Time asked{};
        bool posted = false;

        [[nodiscard]] bool waits() const { return heard != nullptr && !heard->load(); }
        void ask(ShardGroup&, std::uint32_t shard, Time now);  // unless it waits already
        void post(ShardGroup&, std::uint32_t shard);
    };

    [[nodiscard]] std::string start_trace(const admin::TraceWish&) override;
    void stop_trace() override;
    [[nodiscard]] std::vector<admin::TracedRow> take_trace(std::uint64_t& missed) override;
    [[nodiscard]] static WallTime wall_now();
    [[nodiscard]] std::vector<admin::NextHop> next_hops();
    void look_at_certificates();
    void look_at_gateways();
    void look_at_partners();
    void listen_to_cores();
    // Of cores whose CPUs are set, and that the kernel keeps where they are; empty: none.
    [[nodiscard]] std::string remark_of_unbound();
    // It has owed an answer for longer than is waited for one.
    [[nodiscard]] bool is_stuck(std::uint32_t shard) const;
    bool find_dialback_secret(std::string& fault);
    void set_log_level(const rules::Snapshot&);
    bool everywhere(const rules::Snapshot&, bool certificates);
    [[nodiscard]] bool by_link() const { return !edge_ || !gateway_ || joined_; }
    // Nothing: a core was too late.
    template <typename Row, typename Collect>
    std::optional<std::vector<Row>> gather_all(Collect collect);
    template <typename Row, typename Collect>
    std::vector<Row> gather(Collect collect) {
        return gather_all<Row>(collect).value_or(std::vector<Row>());
    }
    // False: one was too late.
    bool on_every_shard(const std::function<void(std::uint32_t, Worker&)>&);
    // On every shard: is it over on all?
    template <typename Predicate>
    [[nodiscard]] bool all_are(Predicate);
    void begin(Drain step);
    [[nodiscard]] bool is_over(Drain step);
    [[nodiscard]] std::vector<std::string> out_of_reach(const rules::Snapshot&);
    [[nodiscard]] std::vector<link::LinkRow> link_rows();
    [[nodiscard]] std::vector<admin::Link> links();
    [[nodiscard]] std::vector<admin::Route> routes();
    void add_link_ports(std::vector<admin::Port>&);
    template <typename Function>
    void on_topology(Function function);  // soon, on its shard
    void add_nodes(admin::Status&);
    void tell_secret();
    void take_secret(const DialbackSecretFile&);
    void use_secret(const DialbackSecretFile&);
    void read_secret_again();

    // The control thread's, who has no shard to count in.
    struct CommitCount {
        EventId event;
        const char* name;
        std::uint64_t count = 0;
    };

    static constexpr const char* kJoinsLater =
        "this process is edge and gateway, and whether there are gateways on other machines has "
        "changed: it acts on that at the next start of fedgated";

    const rules::Snapshot* rules_;
    std::uint64_t oldest_generation_;
    bool edge_ = true;  // its roles: those of the start
    bool gateway_ = true;
    bool joined_ = false;
    std::string dialback_secret_;
    std::string secret_path_;  // empty: it is configured, or this is no edge
    WallTime secret_made_{};
    bool secret_differs_ = false;  // the configured one from the others'
    std::string node_name_;
    std::array<CommitCount, 5> commit_counts_{{
        {EventId::kCommitTaken, "config.commits.taken"},
        {EventId::kCommitRefused, "config.commits.refused"},
        {EventId::kCommitNotUsable, "config.commits.not_usable"},
        {EventId::kCommitGaveWay, "config.commits.gave_way"},
        {EventId::kCommitTakenBack, "config.commits.taken_back"},
    }};
    std::uint64_t files_loaded_ = 0;
    // Of admin.groups: looked up when rules change or are read again, for a directory may be slow.
    std::vector<std::string> unknown_groups_;
    ExpiryNotices partner_notices_;  // by domain
    std::chrono::steady_clock::time_point looked_at_partners_{};
    admin::TraceBook trace_{*this};
    std::uint64_t trials_ = 0;
    admin::Held held_;  // as the others were told; without what is published
    Log log_{-1};
    admin::EventBook event_book_;
    Journal journal_ = Journal::of_stderr();
    CertificateLoader certificates_{log_};
    std::chrono::steady_clock::time_point looked_at_{};
    std::unique_ptr<ShardGroup> group_;
    std::unique_ptr<TopologyDesk> desk_;  // null: all roles are here
    std::unique_ptr<edge::DoorGuard> door_;
    gateway::SubscriptionQuota subscriptions_;
    std::unique_ptr<store::Service> store_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::shared_ptr<std::atomic<std::uint32_t>> silent_;  // cores that have not turned since
    std::vector<Beat> beats_;                             // one for each
    std::chrono::steady_clock::time_point gateway_seen_{};
    bool cut_off_ = false;  // an edge whose gateways are gone takes no partners
    Drain drain_ = Drain::kNo;
    std::chrono::steady_clock::time_point drain_step_until_;
};

}  // namespace fedgate
