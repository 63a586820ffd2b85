// DNS-9, RFC 6120 3.3: many streams lost within a second have one cause, as a rule a server that
// comes back. So those over a bound come back one after the other. Owner: the edge's Context.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/limits.hpp"
#include "core/base/time.hpp"
#include "net/srv.hpp"

namespace fedgate::edge {

class MassLoss {
public:
    static constexpr Duration kSpread = std::chrono::seconds(60);

    explicit MassLoss(std::uint32_t shards)
        : count_max_(
              std::max(limits::kMassLossStreams / shards, limits::kMassLossStreamsOfShardMin)) {}

    // One more stream was lost: how long to wait before its next attempt.
    [[nodiscard]] Duration delay(Instant now, net::Random& random) {
        if (now - since_ >= std::chrono::seconds(1)) {
            since_ = now;
            count_ = 0;
        }
        if (++count_ <= count_max_) return {};
        return std::chrono::milliseconds(random.below(static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(kSpread).count())));
    }

private:
    const std::size_t count_max_;
    std::size_t count_ = 0;  // in the second that began then
    Instant since_{};
};

}  // namespace fedgate::edge
