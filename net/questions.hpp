// What the dialer and the finder share: queries in progress, and the order of addresses.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "net/address.hpp"
#include "net/resolver.hpp"

namespace fedgate::net {

// RFC 8305 4: families take turns, IPv6 first.
inline std::vector<SocketAddress> interleave(const std::vector<SocketAddress>& v6,
                                             const std::vector<SocketAddress>& v4,
                                             std::uint16_t port) {
    std::vector<SocketAddress> mixed;
    for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
        if (i < v6.size()) mixed.push_back(with_port(v6[i], port));
        if (i < v4.size()) mixed.push_back(with_port(v4[i], port));
    }
    return mixed;
}

// Queries on their way, each with what its asker wants to remember.
class Questions {
public:
    explicit Questions(Resolver& resolver) : resolver_(resolver) {}
    ~Questions() { cancel_all(); }
    Questions(const Questions&) = delete;
    Questions& operator=(const Questions&) = delete;

    void ask(const std::string& name, DnsType type, std::size_t what, ResolverOwner& owner) {
        asked_.push_back({resolver_.query(name, type, owner), type, what});
    }
    struct Asked {
        QueryId id;
        DnsType type;
        std::size_t what;
    };
    Asked take(QueryId id) {
        const auto found = std::find_if(asked_.begin(), asked_.end(),
                                        [id](const Asked& asked) { return asked.id == id; });
        FEDGATE_CHECK(found != asked_.end());
        const Asked asked = *found;
        asked_.erase(found);
        return asked;
    }
    [[nodiscard]] bool empty() const { return asked_.empty(); }
    void cancel_all() {
        for (const Asked& asked : asked_) resolver_.cancel(asked.id);
        asked_.clear();
    }

private:
    Resolver& resolver_;
    std::vector<Asked> asked_;
};

}  // namespace fedgate::net
