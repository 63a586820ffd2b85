// What the real framer makes of a stream that comes in pieces, in the words of the slow one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "sip/framer.hpp"
#include "tests/sip/slow_framer.hpp"

namespace fedgate::sip::test {

// `cuts`: where pieces end, in any order. Each piece is shown in memory of exactly its size. `look`
// is called with each whole message.
template <typename Look>
std::vector<SlowFrame> framed(const std::string& stream, std::vector<std::size_t> cuts,
                              std::size_t body_bytes_max, Look look) {
    std::vector<SlowFrame> out;
    Framer framer(body_bytes_max);
    Message message;
    std::ranges::sort(cuts);
    cuts.push_back(stream.size());
    std::vector<char> pending;
    std::size_t shown = 0;
    std::size_t done = 0;
    for (const std::size_t cut : cuts) {
        if (cut < shown || cut > stream.size()) continue;
        pending.insert(pending.end(), stream.begin() + static_cast<std::ptrdiff_t>(shown),
                       stream.begin() + static_cast<std::ptrdiff_t>(cut));
        shown = cut;
        while (true) {
            std::vector<char> exact(pending);
            const Frame frame = framer.next(exact, message);
            if (frame.kind == FrameKind::kNeedMore) {
                FEDGATE_CHECK(frame.consumed == 0);
                pending = exact;  // folded lines may have been unfolded
                break;
            }
            if (frame.close) {
                out.push_back({done, "", true, 0});
                return out;
            }
            FEDGATE_CHECK(frame.consumed > 0 && frame.consumed <= exact.size());
            done += frame.consumed;
            if (frame.kind == FrameKind::kMessage || frame.kind == FrameKind::kMalformed) {
                out.push_back({done, std::string(message.body), false, 0});
                if (frame.kind == FrameKind::kMessage)
                    look(message, Bytes(exact.data(), exact.size()));
            }
            pending.assign(exact.begin() + static_cast<std::ptrdiff_t>(frame.consumed),
                           exact.end());
        }
    }
    return out;
}

inline std::vector<SlowFrame> framed(const std::string& stream, std::vector<std::size_t> cuts,
                                     std::size_t body_bytes_max) {
    return framed(stream, std::move(cuts), body_bytes_max, [](const Message&, Bytes) {});
}

inline void PrintTo(const SlowFrame& frame, std::ostream* out) {
    *out << (frame.closed ? "close at " : "message to ") << frame.end << " body "
         << frame.body.size();
}

}  // namespace fedgate::sip::test
