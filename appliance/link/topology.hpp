// What the nodes of a pool tell each other of their configuration: which commit each has, the
// newest one itself, and the dialback secret. Gateways dial every edge; so whatever one node has
// goes to all, by the first link between each two processes (part 0). README.md tells the protocol.
//
// What comes is not looked into here: the control thread validates it, and then says what there is.
// Thread: the first shard's.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "appliance/link/channel.hpp"
#include "core/base/token_bucket.hpp"
#include "core/run/loop.hpp"
#include "core/run/timers.hpp"

namespace fedgate::link {

class TopologyPeer;

// Of the control thread; called on the shard's.
class TopologyOwner {
public:
    // A whole one, with the digest that it was announced with or not.
    virtual void on_commit(Bytes peer, std::string published, std::chrono::seconds left) = 0;
    // Pieces that make no whole.
    virtual void on_bad_commit(Bytes peer) = 0;
    // Another node's stands over the one that there was.
    virtual void on_secret(WallTime made, Bytes secret) = 0;

protected:
    ~TopologyOwner() = default;
};

// A node's commits, as it says.
struct NodeRow {
    std::string node;
    config::CommitId newest{};
    std::uint64_t in_force = 0;
    std::string why;
};

class Topology final : TimerOwner {
public:
    // How often another node's secret takes the place of the one here: after so many at once, as
    // when nodes meet, one in ten minutes. Partners are asked for keys that were made within
    // seconds, and the secret before is still good for those.
    static constexpr std::pair<double, double> kSecretChanges{1.0 / 600, 8};

    Topology(Loop& loop, TopologyOwner& owner) : loop_(loop), owner_(owner), timer_(*this) {}
    ~Topology();
    Topology(const Topology&) = delete;
    Topology& operator=(const Topology&) = delete;

    // What there is here from now on, and the time left to confirm it, if it has to be.
    void set_newest(NodeRow own, std::shared_ptr<const std::string> published,
                    std::chrono::seconds left);
    // DB-3. A node that takes part in it, and has one of its own; else it passes others' on.
    void set_secret(WallTime made, Bytes secret);
    // All other nodes that can be heard of.
    [[nodiscard]] std::vector<NodeRow> rows() const;

private:
    friend class TopologyPeer;
    struct Secret {
        WallTime made{};
        std::string text;
        auto operator<=>(const Secret&) const = default;
    };

    void on_timer(Timer&) override {
        use_earlier();
        give();
    }
    void give();
    void tell_others_of(const TopologyPeer&);
    void take_secret(TopologyPeer&, const DialbackSecret&);
    void use_earlier();

    Loop& loop_;
    TopologyOwner& owner_;
    NodeRow own_;
    std::shared_ptr<const std::string> published_;  // null: nothing was ever committed
    Instant take_back_at_{};
    std::optional<Secret> secret_;
    std::optional<Secret> earlier_;  // takes its place when that may change again
    TokenBucket secret_changes_{kSecretChanges.first, kSecretChanges.second, loop_.now()};
    std::set<TopologyPeer*> peers_;
    Timer timer_;  // there is more to send
};

// Of one link.
class TopologyPeer {
public:
    // `topology`: null, and nothing is told on this link.
    TopologyPeer(Topology* topology, Channel& channel, std::string name)
        : topology_(topology), channel_(channel), name_(std::move(name)) {}
    ~TopologyPeer();
    TopologyPeer(const TopologyPeer&) = delete;
    TopologyPeer& operator=(const TopologyPeer&) = delete;

    void on_up(bool resumed);
    void on_over();
    void on_room();
    void on_frame(const Frame&);

private:
    friend class Topology;

    void take(const NodeNews&);
    void take(const CommitPiece&);
    void send_newer();
    bool offer_newer();
    [[nodiscard]] Instant give();                  // when there will be more to give
    [[nodiscard]] bool give_news(Instant& again);  // false: not all of it, for now
    [[nodiscard]] bool give_pieces();

    Topology* const topology_;
    Channel& channel_;
    const std::string name_;
    bool speaks_ = false;                   // its session, of this
    std::optional<NodeRow> says_;           // of itself
    std::map<std::string, NodeRow> tells_;  // of those that are linked with it
    std::set<std::string> untold_;          // of whom it does not know yet; "": of us
    std::map<std::string, Instant> told_at_;
    bool secret_untold_ = false;

    std::shared_ptr<const std::string> sending_;
    Sha256Digest sending_digest_{};
    Instant offered_at_{};
    bool asks_ = false;  // for that one once more
    std::size_t sent_ = 0;
    CommitPiece coming_;
    std::string come_;
};

}  // namespace fedgate::link
