#include "appliance/main/topology_desk.hpp"

#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/limits.hpp"

namespace fedgate {

TopologyDesk::TopologyDesk() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    FEDGATE_CHECK(event_ >= 0);
}

TopologyDesk::~TopologyDesk() { close(event_); }

void TopologyDesk::wake() {
    const std::uint64_t one = 1;
    static_cast<void>(write(event_, &one, sizeof one) == sizeof one);
}

void TopologyDesk::on_commit(Bytes peer, std::string published, std::chrono::seconds left) {
    const std::lock_guard lock(mutex_);
    std::string name(peer);
    if (!commits_.contains(name) && commits_.size() >= limits::kTopologyNodes) return;
    commits_[name] = {name, std::move(published), left};
    wake();
}

void TopologyDesk::on_bad_commit(Bytes peer) {
    const std::lock_guard lock(mutex_);
    if (bad_.size() < limits::kTopologyNodes) bad_.emplace(peer);
    wake();
}

void TopologyDesk::on_secret(WallTime made, Bytes secret) {
    const std::lock_guard lock(mutex_);
    secret_ = {made, std::string(secret)};
    wake();
}

TopologyDesk::All TopologyDesk::take() {
    const std::lock_guard lock(mutex_);
    std::uint64_t count = 0;
    static_cast<void>(read(event_, &count, sizeof count) == sizeof count);
    All all;
    for (auto& [name, received] : commits_) all.commits.push_back(std::move(received));
    commits_.clear();
    all.bad = std::exchange(bad_, {});
    all.secret = std::exchange(secret_, std::nullopt);
    return all;
}

}  // namespace fedgate
