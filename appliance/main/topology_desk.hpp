// Where the first shard leaves for the control thread what other nodes have sent: of each of them
// the last commit, and the dialback secret that stands over ours. Any thread; takes a mutex, and is
// never asked for a message.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "appliance/admin/host.hpp"
#include "appliance/link/topology.hpp"

namespace fedgate {

class TopologyDesk final : public link::TopologyOwner {
public:
    struct Secret {
        WallTime made{};
        std::string text;
    };

    TopologyDesk();
    ~TopologyDesk();
    TopologyDesk(const TopologyDesk&) = delete;
    TopologyDesk& operator=(const TopologyDesk&) = delete;

    // Shard's thread.
    void on_commit(Bytes peer, std::string published, std::chrono::seconds left) override;
    void on_bad_commit(Bytes peer) override;
    void on_secret(WallTime made, Bytes secret) override;

    // Control thread. Can be read when there is something.
    [[nodiscard]] int descriptor() const { return event_; }
    struct All {
        std::vector<admin::Received> commits;
        std::set<std::string> bad;  // peers whose pieces make no whole
        std::optional<Secret> secret;
    };
    [[nodiscard]] All take();

private:
    void wake();

    const int event_;
    std::mutex mutex_;
    std::map<std::string, admin::Received> commits_;  // the last one of each peer
    std::set<std::string> bad_;
    std::optional<Secret> secret_;
};

}  // namespace fedgate
