// What a run of messages or set-ups came to: a progress bar while it goes on, then a table, JSON, a
// picture. Owner: the run. Memory: bounded, whatever its length.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/load/histogram.hpp"
#include "bench/load/options.hpp"

namespace fedgate::load {

// Throughput and latency over time: slices of 100 ms, of twice as much when there are too many.
class Series {
public:
    void add(std::uint64_t since_begin_ns, std::uint64_t latency_ns);

    struct Slice {
        std::uint64_t count = 0;
        Histogram latency{Histogram::Resolution::kCoarse};
    };
    [[nodiscard]] const std::vector<Slice>& slices() const { return slices_; }
    [[nodiscard]] double slice_seconds() const { return static_cast<double>(slice_ns_) / 1e9; }

private:
    static constexpr std::size_t kSlicesMax = 600;
    std::uint64_t slice_ns_ = 100'000'000;
    std::vector<Slice> slices_;
};

struct Results {
    std::string name;      // "XMPP to SIP"
    std::string security;  // "TLS", "clear", ...
    const char* unit = "messages";
    std::uint64_t sent = 0, delivered = 0, refused = 0, lost = 0, doubled = 0, disordered = 0;
    std::uint64_t retransmitted = 0;  // UDP: by the target, of what had arrived
    std::uint64_t sessions = 0, sessions_ended = 0;
    std::uint64_t measured = 0;  // of them, behind the warm-up
    double seconds = 0;          // that these took
    double rate = 0;             // that was asked for; 0: none
    std::uint64_t cpu_ns = 0;    // of the target, for them; 0: not known
    std::uint64_t own_cpu_ns = 0;
    std::uint64_t memory_kib = 0;  // the target's peak; 0: not known
    Histogram latency;
    Series series;
    std::string fault;  // a sentence: why it ended early, or what is wrong. Empty: all well

    [[nodiscard]] bool good() const {
        return fault.empty() && refused == 0 && lost == 0 && doubled == 0 && disordered == 0;
    }
};

// On a terminal only (standard error).
class Progress {
public:
    Progress();
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    void show(std::uint64_t now_ns, std::uint64_t done, std::uint64_t total,
              const Histogram& latency);

private:
    bool terminal_;
    std::uint64_t shown_ns_ = 0, shown_done_ = 0;
};

// As the options want it. The program's exit status.
[[nodiscard]] int report(const Options&, const Results&);
// False, with a sentence: the file can't be written. Asked before a load, too.
[[nodiscard]] bool may_plot(const std::string& path);
[[nodiscard]] bool plot(const std::string& path, const Results&);

}  // namespace fedgate::load
