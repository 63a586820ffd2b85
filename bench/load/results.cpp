#include "bench/load/results.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <unistd.h>

namespace fedgate::load {

namespace {

struct Percentile {
    const char* name;
    double part;
};
constexpr std::array<Percentile, 4> kPercentiles = {
    {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}}};

unsigned long long number(std::uint64_t value) { return value; }

double each(std::uint64_t ns, const Results& results) {
    return static_cast<double>(ns) /
           static_cast<double>(std::max<std::uint64_t>(results.measured, 1));
}

double per_second(const Results& results) {
    return results.seconds > 0 ? static_cast<double>(results.measured) / results.seconds : 0;
}

void print_table(const Results& results) {
    std::printf("%s, %s: %llu %s\n", results.name.c_str(), results.security.c_str(),
                number(results.sent), results.unit);
    std::printf("  delivered %llu, refused %llu, lost %llu, doubled %llu, out of order %llu",
                number(results.delivered), number(results.refused), number(results.lost),
                number(results.doubled), number(results.disordered));
    if (results.retransmitted > 0) {
        std::printf(", retransmitted by the target %llu", number(results.retransmitted));
    }
    if (results.sessions > 0) {
        std::printf("\n  sessions %llu, of them ended %llu", number(results.sessions),
                    number(results.sessions_ended));
    }
    std::printf("\n  measured %llu in %.2f s: %.0f a second", number(results.measured),
                results.seconds, per_second(results));
    if (results.rate > 0) std::printf(" (asked for %.0f)", results.rate);
    std::printf("\n  latency in us:");
    for (const Percentile& one : kPercentiles) {
        std::printf(" %s %.0f", one.name, results.latency.at(one.part));
    }
    std::printf(" max %.0f\n", results.latency.max());
    if (results.cpu_ns > 0) {
        std::printf("  target: %.2f s of CPU time, %.0f ns each; peak memory %llu KiB\n",
                    static_cast<double>(results.cpu_ns) / 1e9, each(results.cpu_ns, results),
                    number(results.memory_kib));
    }
    std::printf("  fedload: %.0f ns of CPU time each\n", each(results.own_cpu_ns, results));
}

// What may be in a fault or a name, for a JSON string.
std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return out + '"';
}

// What the target said may be in it: one line, and nothing that a terminal obeys.
std::string printable(const std::string& text) {
    constexpr std::size_t kBytesMax = 300;
    std::string out = text.substr(0, kBytesMax);
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    }
    return out;
}

void print_json(const Results& results) {
    std::printf("{\"name\": %s, \"security\": %s, \"unit\": \"%s\", ", quoted(results.name).c_str(),
                quoted(results.security).c_str(), results.unit);
    std::printf(
        "\"sent\": %llu, \"delivered\": %llu, \"refused\": %llu, \"lost\": %llu, \"doubled\": "
        "%llu, "
        "\"out_of_order\": %llu, \"retransmitted\": %llu, \"sessions\": %llu, "
        "\"sessions_ended\": %llu, ",
        number(results.sent), number(results.delivered), number(results.refused),
        number(results.lost), number(results.doubled), number(results.disordered),
        number(results.retransmitted), number(results.sessions), number(results.sessions_ended));
    std::printf("\"measured\": %llu, \"seconds\": %.3f, \"per_second\": %.1f, \"rate\": %.1f, ",
                number(results.measured), results.seconds, per_second(results), results.rate);
    std::printf("\"cpu_ns\": %.1f, \"own_cpu_ns\": %.1f, \"memory_kib\": %llu, \"latency_us\": {",
                each(results.cpu_ns, results), each(results.own_cpu_ns, results),
                number(results.memory_kib));
    for (const Percentile& one : kPercentiles) {
        std::printf("\"%s\": %.1f, ", one.name, results.latency.at(one.part));
    }
    std::printf("\"max\": %.1f}, \"fault\": %s}\n", results.latency.max(),
                quoted(printable(results.fault)).c_str());
}

}  // namespace

void Series::add(std::uint64_t since_begin_ns, std::uint64_t latency_ns) {
    while (since_begin_ns / slice_ns_ >= kSlicesMax) {
        for (std::size_t i = 0; i < slices_.size(); ++i) {
            if (i % 2 == 0) {
                if (i != 0) slices_[i / 2] = std::move(slices_[i]);
            } else {
                slices_[i / 2].count += slices_[i].count;
                slices_[i / 2].latency.add(slices_[i].latency);
            }
        }
        slices_.resize((slices_.size() + 1) / 2);
        slice_ns_ *= 2;
    }
    const std::size_t at = since_begin_ns / slice_ns_;
    if (slices_.size() <= at) slices_.resize(at + 1);
    ++slices_[at].count;
    slices_[at].latency.add(latency_ns);
}

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
    if (shown_ns_ != 0) std::fputs("\r\033[K", stderr);
}

void Progress::show(std::uint64_t now_ns, std::uint64_t done, std::uint64_t total,
                    const Histogram& latency) {
    constexpr std::uint64_t kEveryNs = 200'000'000;
    constexpr unsigned kWidth = 30;
    if (!terminal_ || now_ns < shown_ns_ + kEveryNs) return;
    const double rate = shown_ns_ == 0 ? 0
                                       : static_cast<double>(done - shown_done_) * 1e9 /
                                             static_cast<double>(now_ns - shown_ns_);
    const auto filled = static_cast<unsigned>(done * kWidth / std::max<std::uint64_t>(total, 1));
    std::string bar(kWidth, ' ');
    std::fill_n(bar.begin(), std::min(filled, kWidth), '#');
    std::fprintf(stderr, "\r[%s] %3llu %%  %.0f/s  p99 %.1f ms\033[K", bar.c_str(),
                 number(done * 100 / std::max<std::uint64_t>(total, 1)), rate,
                 latency.at(0.99) / 1'000);
    std::fflush(stderr);
    shown_ns_ = now_ns;
    shown_done_ = done;
}

int report(const Options& options, const Results& results) {
    options.json ? print_json(results) : print_table(results);
    std::fflush(stdout);
    if (!results.fault.empty()) {
        std::fprintf(stderr, "fedload: %s\n", printable(results.fault).c_str());
    }
    const bool drawn = options.plot.empty() || plot(options.plot, results);
    return results.good() && drawn ? 0 : 1;
}

}  // namespace fedgate::load
