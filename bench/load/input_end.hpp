// Standard input, of which only the end matters: until then a load stays. Owner: the load.
#pragma once

#include <array>
#include <unistd.h>
#include <utility>

#include "core/run/loop.hpp"

namespace fedgate::load {

class InputEnd final : SocketOwner {
public:
    explicit InputEnd(Loop& loop) : loop_(loop) {
        const auto input = loop.watch(STDIN_FILENO, *this);
        if (input) input_ = *input;
    }
    ~InputEnd() {
        if (input_) loop_.close(input_, nullptr);
    }
    InputEnd(const InputEnd&) = delete;
    InputEnd& operator=(const InputEnd&) = delete;

    // Also where nothing can be read.
    [[nodiscard]] bool over() const { return !input_; }

private:
    void on_readable(Socket) override {
        std::array<char, 256> memory;
        if (::read(STDIN_FILENO, memory.data(), memory.size()) > 0) return;
        loop_.close(std::exchange(input_, {}), nullptr);
    }

    Loop& loop_;
    Socket input_{};
};

}  // namespace fedgate::load
