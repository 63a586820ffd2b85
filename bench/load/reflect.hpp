// The product's edge alone: each message goes back to its sender, on the stream to his server. What
// it costs is what any message costs on its way through the edge. Owner: main. Thread: its own.
#pragma once

#include "bench/load/ends.hpp"

namespace fedgate::load {

class Reflect final : public link::GatewayDoor {
public:
    explicit Reflect(const Options& options) : ends_(options) {}

    [[nodiscard]] int run();  // until standard input ends; the program's exit status

private:
    bool take_stanza(const link::FromPartner&) override;
    void on_outcome(const link::Outcome&) override {}

    Ends ends_;
    std::array<char, 16'384> memory_{};
};

}  // namespace fedgate::load
