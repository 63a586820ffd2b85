// Users of ours who have shown that they are there, for administrators who have no list of them: a
// SIP server that speaks for their domain has sent something of theirs, or has taken a message for
// them. Nothing that only a partner says makes one. Whoever was not seen for longest leaves first.
// Owner: the engine. Thread: the shard's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/time.hpp"

namespace fedgate::gateway {

constexpr std::size_t kSeenUsers = 65'536;         // of a node; each shard has its share
constexpr std::size_t kSeenUsersOfShard = 16'384;  // of one, that its list is copied soon
constexpr std::size_t kSeenAddressBytes = 1'024;   // a longer one is not kept

struct SeenUser {
    std::string address;  // ASCII letters in lower case, as policies know them
    WallTime at{};
};

class SeenUsers {
public:
    // `shards`: how many the node has.
    explicit SeenUsers(std::uint32_t shards)
        : most_(std::clamp<std::size_t>(kSeenUsers / shards, 1, kSeenUsersOfShard)) {}
    SeenUsers(const SeenUsers&) = delete;
    SeenUsers& operator=(const SeenUsers&) = delete;

    // `user`: unescaped.
    void note(Bytes user, Bytes domain, WallTime now);
    [[nodiscard]] std::vector<SeenUser> list() const { return {users_.begin(), users_.end()}; }

private:
    const std::size_t most_;
    std::list<SeenUser> users_;  // the last seen last
    std::unordered_map<std::string_view, std::list<SeenUser>::iterator> index_;
};

}  // namespace fedgate::gateway
