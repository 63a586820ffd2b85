// A load of messages in one direction; every message carries a number and is counted at the far
// end. Owner: main. Thread: its own.
#pragma once

#include <string>
#include <vector>

#include "bench/load/ends.hpp"
#include "bench/load/histogram.hpp"

namespace fedgate::load {

class Messages final : public link::GatewayDoor {
public:
    explicit Messages(const Options& options) : options_(options), ends_(options) {}

    // The program's exit status.
    [[nodiscard]] int run();

private:
    struct Sent {
        std::uint64_t at = 0;
        bool done = false;
    };

    bool set_up();
    bool take_stanza(const link::FromPartner&) override;
    void on_outcome(const link::Outcome&) override;
    void on_arrived(Bytes text);
    void on_refused(Bytes text);
    void end(std::size_t number);
    void send_more();
    bool send(unsigned number);
    void report(double seconds, std::uint64_t cpu) const;

    const Options& options_;
    Ends ends_;
    std::string padding_;
    std::vector<Sent> sent_;
    unsigned next_ = 0;
    unsigned open_ = 0;
    unsigned delivered_ = 0, refused_ = 0, doubled_ = 0;
    Histogram latency_;
    std::string broken_;
};

}  // namespace fedgate::load
