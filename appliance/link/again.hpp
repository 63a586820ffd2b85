// Stanzas that came back from a link that is over and go on by another one, oldest first: what is
// new waits behind them. Thread: one shard.
#pragma once

#include <string>

#include "appliance/link/frame.hpp"
#include "core/base/fifo.hpp"
#include "core/base/limits.hpp"

namespace fedgate::link {

template <typename Stanza>
class Again {
public:
    // False: at the bound.
    [[nodiscard]] bool push(const Stanza& stanza) {
        if (bytes_ > limits::kLinkAgainBytes) return false;
        std::string bytes;
        write_frame(bytes, stanza);
        bytes_ += bytes.size();
        frames_.push_back(std::move(bytes));
        return true;
    }
    [[nodiscard]] bool empty() const { return frames_.empty(); }
    // Gives each to `take` until that says no. It may push others.
    template <typename Take>
    void give(Take take) {
        while (!frames_.empty()) {
            std::string bytes = std::move(frames_.front());
            frames_.front().clear();
            const FrameRead read = read_frame(bytes, kLinkMinor);
            if (!take(std::get<Stanza>(read.frame))) {
                frames_.front() = std::move(bytes);
                return;
            }
            bytes_ -= bytes.size();
            frames_.pop_front();
        }
        frames_.trim();
    }

private:
    Fifo<std::string> frames_;
    std::size_t bytes_ = 0;
};

}  // namespace fedgate::link
