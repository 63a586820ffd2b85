// Stanzas that wait for a link, oldest first: those that came back from one that is over, and those
// that are owed. What is new waits behind them. Thread: one shard.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "appliance/link/frame.hpp"
#include "core/base/fifo.hpp"
#include "core/base/limits.hpp"
#include "core/run/loop.hpp"
#include "core/run/timers.hpp"

namespace fedgate::link {

// News for one peer that its link has no room for, in their order. Bounded by whatever they are
// owed for.
template <typename Channel>
class Owed {
public:
    explicit Owed(Channel& channel) : channel_(channel) {}

    template <typename News>
    void tell(const News& news) {
        if (frames_.empty() && channel_.send(news)) return;
        std::string bytes;
        write_frame(bytes, news);
        frames_.push_back(std::move(bytes));
    }
    void tell_again() {
        const auto send = [this](const auto& news) {
            if constexpr (requires { News(news); }) return channel_.send(news);
            return true;
        };
        while (!frames_.empty() &&
               std::visit(send, read_frame(frames_.front(), kLinkMinor).frame)) {
            frames_.pop_front();
        }
        frames_.trim();
    }
    void clear() { frames_ = {}; }
    [[nodiscard]] std::size_t size() const { return frames_.size(); }
    [[nodiscard]] bool empty() const { return frames_.empty(); }

private:
    using News = std::variant<Outcome, Answer, GatewayNews, StoreNews>;
    Channel& channel_;
    Fifo<std::string> frames_;
};

template <typename Stanza>
class Again final : TimerOwner {
public:
    // Each is given to `take` until that says no; it may push others.
    using Take = std::function<bool(const Stanza&)>;

    Again(Loop& loop, Take take) : loop_(loop), take_(std::move(take)), timer_(*this) {}

    // False: at the bound.
    [[nodiscard]] bool push(const Stanza& stanza) {
        if (bytes_ > limits::kLinkAgainBytes) return false;
        std::string bytes;
        write_frame(bytes, stanza);
        bytes_ += bytes.size();
        frames_.push_back(std::move(bytes));
        if (!timer_.armed()) loop_.timers().arm(timer_, loop_.now());
        return true;
    }
    [[nodiscard]] bool empty() const { return frames_.empty(); }
    void give() {
        if (std::exchange(giving_, true)) return;
        while (!frames_.empty() && give_first()) continue;
        frames_.trim();
        giving_ = false;
        if (!empty()) loop_.timers().arm(timer_, loop_.now() + kLookAgain);
    }
    // Takes those out that `pick` says, and gives them to `then`, which may push others.
    template <typename Pick, typename Then>
    void take_out(Pick pick, Then then) {
        std::vector<std::string> out;
        for (std::size_t left = frames_.size(); left > 0; --left) {
            std::string bytes = std::move(frames_.front());
            frames_.pop_front();
            const bool picked = pick(std::get<Stanza>(read_frame(bytes, kLinkMinor).frame));
            if (picked) bytes_ -= bytes.size();
            if (picked) {
                out.push_back(std::move(bytes));
            } else {
                frames_.push_back(std::move(bytes));
            }
        }
        for (const std::string& bytes : out) {
            then(std::get<Stanza>(read_frame(bytes, kLinkMinor).frame));
        }
    }

private:
    static constexpr Duration kLookAgain = 20ms;

    void on_timer(Timer&) override { give(); }
    [[nodiscard]] bool give_first() {
        std::string bytes = std::move(frames_.front());
        frames_.front().clear();
        const FrameRead read = read_frame(bytes, kLinkMinor);
        if (!take_(std::get<Stanza>(read.frame))) {
            frames_.front() = std::move(bytes);
            return false;
        }
        bytes_ -= bytes.size();
        frames_.pop_front();
        return true;
    }

    Loop& loop_;
    const Take take_;
    Fifo<std::string> frames_;
    std::size_t bytes_ = 0;
    bool giving_ = false;
    Timer timer_;
};

}  // namespace fedgate::link
