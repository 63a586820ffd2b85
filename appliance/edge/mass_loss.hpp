// DNS-9, RFC 6120 3.3: many streams lost to one server within a second have one cause, as a rule:
// it goes, and comes back. So those over a bound come back to it one after the other; nobody else
// waits for that. Owner: the edge's Context.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/base/limits.hpp"
#include "core/base/time.hpp"
#include "net/address.hpp"
#include "net/srv.hpp"

namespace fedgate::edge {

class MassLoss {
public:
    static constexpr Duration kSpread = std::chrono::seconds(60);

    explicit MassLoss(std::uint32_t shards)
        : count_max_(
              std::max(limits::kMassLossStreams / shards, limits::kMassLossStreamsOfShardMin)) {}

    // One more stream with `server` was lost: how long to wait before its next attempt.
    [[nodiscard]] Duration delay(const SocketAddress& server, Instant now, net::Random& random) {
        if (++row_of(net::ip_key(server), now).count <= count_max_) return {};
        return std::chrono::milliseconds(random.below(static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(kSpread).count())));
    }

private:
    struct Row {
        net::IpKey server;
        Instant since{};
        std::size_t count = 0;  // in the second that began then
    };

    Row& row_of(const net::IpKey& server, Instant now) {
        Row* oldest = &rows_.front();
        for (Row& row : rows_) {
            const bool over = row.count == 0 || now - row.since >= std::chrono::seconds(1);
            if (!over && row.server == server) return row;
            if (row.since < oldest->since) oldest = &row;
        }
        return *oldest = {server, now, 0};
    }

    const std::size_t count_max_;
    std::array<Row, limits::kMassLossServers> rows_{};
};

}  // namespace fedgate::edge
