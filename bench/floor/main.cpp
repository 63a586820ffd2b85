// floor: what a message costs at least on this machine.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

#include "bench/floor/floor.hpp"

namespace fedgate::floor {
namespace {

// In so long a time every thread gets its turn.
constexpr double kSecondsEnough = 5;

constexpr const char* kUsage =
    R"(usage: floor [--seconds S] [--repeat N] [--window N] [--rate N] [--read BYTES] [--look US] [--json]
             [PATH...]

The physical limit on this machine: CPU time of one io_uring thread that reads a record of 250 bytes
from a TCP stream, writes a request of 600 bytes for it to another stream and reads an answer of 350
bytes: as much as an XMPP message, its SIP MESSAGE and the 200 are. Nothing is parsed. A second
thread plays both neighbours; its CPU time does not count.

PATH (all, if none is given):
  tcp          without TLS: the floor of which other figures are multiples
  tls          TLS 1.3 (AES-128-GCM) on both streams, records of up to 16 KB
  tls-small    the same, one TLS record for each message
  udp          requests and answers in datagrams, sendmmsg and recvmmsg
  udp-segment  the same, requests by UDP_SEGMENT; answers come one by one, as from most SIP servers
--seconds 1    how long each run is measured, after a fifth of it to warm up
--repeat 5     runs of each path, in turns; the best one counts
--window 1000  messages under way; over UDP no more than a receive buffer surely holds
--rate 1000    for the latency of tcp and tls: messages a second; 0: leave it out
What makes the floor slower, to see by how much:
--read BYTES   so much of the records is read at once; all that is there
--look 200     over UDP: microseconds between two looks for answers; fewer answers are there then
Exit status: 0, 1: a path could not be measured, 2: usage.
)";

struct Named {
    const char* name;
    Path path;
    double expected_ns;  // seen before on a machine of this kind
};
constexpr std::array<Named, 5> kPaths = {{{"tcp", Path::kTcp, 275},
                                          {"tls", Path::kTls, 540},
                                          {"tls-small", Path::kTlsSmall, 0},
                                          {"udp", Path::kUdp, 3'500},
                                          {"udp-segment", Path::kUdpSegment, 1'400}}};

struct Options {
    double seconds = 1, rate = 1'000;
    unsigned repeat = 5, window = 1'000;
    double read_bytes = 9e6, look_us = 200;
    bool json = false;
    std::array<bool, kPaths.size()> wanted{};
};

struct Row {
    const Named* named = nullptr;
    Figures best;
    Figures paced;
    double worst_ns = 0;
};

bool parse_number(const char* text, double& into) {
    const char* end = text + std::strlen(text);
    const auto result = std::from_chars(text, end, into);
    return result.ec == std::errc() && result.ptr == end && into >= 0 && into < 1e7;
}

bool parse(int count, char** arguments, Options& options) {
    bool any = false;
    for (int i = 1; i < count; ++i) {
        const std::string word = arguments[i];
        const auto* path = std::find_if(kPaths.begin(), kPaths.end(),
                                        [&word](const Named& named) { return word == named.name; });
        if (path != kPaths.end()) {
            options.wanted[static_cast<std::size_t>(path - kPaths.begin())] = any = true;
            continue;
        }
        if (word == "--json") {
            options.json = true;
            continue;
        }
        double value = 0;
        if (i + 1 >= count || !parse_number(arguments[++i], value)) return false;
        if (word == "--seconds") {
            options.seconds = value;
        } else if (word == "--repeat") {
            options.repeat = static_cast<unsigned>(value);
        } else if (word == "--window") {
            options.window = static_cast<unsigned>(value);
        } else if (word == "--rate") {
            options.rate = value;
        } else if (word == "--read") {
            options.read_bytes = value;
        } else if (word == "--look") {
            options.look_us = value;
        } else {
            return false;
        }
    }
    if (!any) options.wanted.fill(true);
    return options.seconds >= 0.05 && options.seconds <= 60 && options.repeat > 0 &&
           options.repeat <= 100 && options.window > 0 && options.window <= 100'000 &&
           options.rate <= 100'000 && options.read_bytes >= kRecordBytes && options.look_us >= 1 &&
           options.look_us <= 100'000;
}

double latency_us(const Figures& figures, double part) {
    const auto& all = figures.latency_ns;
    if (all.empty()) return 0;
    const auto at = static_cast<std::size_t>(part * static_cast<double>(all.size()));
    return static_cast<double>(all[std::min(at, all.size() - 1)]) / 1e3;
}

void print_table(const std::vector<Row>& rows, double plain_ns) {
    std::printf("%-12s %10s %9s %9s %12s %14s   %s\n", "path", "ns/message", "x plain", "worst ns",
                "messages/s", "messages/turn", "latency at the rate: p50 p99 p99.9 max, us");
    for (const Row& row : rows) {
        const Figures& best = row.best;
        std::printf("%-12s %10.0f %9.2f %9.0f %12.0f %14.1f", row.named->name, best.ns(),
                    plain_ns > 0 ? best.ns() / plain_ns : 0, row.worst_ns,
                    static_cast<double>(best.messages) / best.seconds,
                    static_cast<double>(best.messages) /
                        static_cast<double>(std::max<std::uint64_t>(best.turns, 1)));
        if (!row.paced.latency_ns.empty()) {
            std::printf("   %.0f %.0f %.0f %.0f", latency_us(row.paced, 0.5),
                        latency_us(row.paced, 0.99), latency_us(row.paced, 0.999),
                        latency_us(row.paced, 1));
        }
        std::printf("\n");
        const double expected = row.named->expected_ns;
        if (expected > 0 && (best.ns() > 1.2 * expected || best.ns() < 0.8 * expected)) {
            std::printf("  note: %+.0f %% off the %.0f ns of the reference machine\n",
                        100 * (best.ns() / expected - 1), expected);
        }
    }
}

void print_json(const std::vector<Row>& rows, double plain_ns) {
    std::printf("[");
    const char* comma = "";
    for (const Row& row : rows) {
        const Figures& best = row.best;
        std::printf(
            "%s\n {\"path\": \"%s\", \"ns\": %.1f, \"multiple\": %.3f, \"worst_ns\": %.1f, "
            "\"messages\": %llu, \"per_second\": %.0f, \"turns\": %llu, \"reference_ns\": %.0f",
            comma, row.named->name, best.ns(), plain_ns > 0 ? best.ns() / plain_ns : 0,
            row.worst_ns, static_cast<unsigned long long>(best.messages),
            static_cast<double>(best.messages) / best.seconds,
            static_cast<unsigned long long>(best.turns), row.named->expected_ns);
        if (!row.paced.latency_ns.empty()) {
            std::printf(
                ", \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}",
                latency_us(row.paced, 0.5), latency_us(row.paced, 0.99),
                latency_us(row.paced, 0.999), latency_us(row.paced, 1));
        }
        std::printf("}");
        comma = ",";
    }
    std::printf("\n]\n");
}

// On a busy machine a short time may be over before the thread that is measured has run in it.
Figures measure_something(Load load) {
    while (true) {
        Figures figures = measure(load);
        const bool some = figures.messages > 0 && (load.rate == 0 || !figures.latency_ns.empty());
        if (some || !figures.fault.empty() || load.seconds >= kSecondsEnough) return figures;
        load.seconds *= 2;
    }
}

bool one_run(const Options& options, Row& row) {
    Load load{row.named->path, options.seconds, options.window};
    load.read_bytes_max = static_cast<std::size_t>(options.read_bytes);
    load.look_us = static_cast<long>(options.look_us);
    const Figures now = measure_something(load);
    if (!now.fault.empty() || now.messages == 0) {
        std::fprintf(stderr, "floor: %s: %s\n", row.named->name,
                     now.fault.empty() ? "no message came through" : now.fault.c_str());
        return false;
    }
    row.worst_ns = std::max(row.worst_ns, now.ns());
    if (row.best.messages == 0 || now.ns() < row.best.ns()) row.best = now;
    const bool streams = row.named->path == Path::kTcp || row.named->path == Path::kTls;
    if (options.rate == 0 || !streams) return true;
    load.rate = options.rate;
    Figures paced = measure_something(load);
    if (row.paced.latency_ns.empty() || latency_us(paced, 0.99) < latency_us(row.paced, 0.99)) {
        row.paced = std::move(paced);
    }
    return true;
}

int run(const Options& options) {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < kPaths.size(); ++i) {
        if (options.wanted[i]) rows.push_back({&kPaths[i], {}, {}, 0});
    }
    bool good = true;
    for (unsigned i = 0; i < options.repeat && good; ++i) {
        for (Row& row : rows) good = good && one_run(options, row);
    }
    if (!good) return 1;
    const double plain = rows.front().named->path == Path::kTcp ? rows.front().best.ns() : 0;
    options.json ? print_json(rows, plain) : print_table(rows, plain);
    return 0;
}

}  // namespace
}  // namespace fedgate::floor

int main(int count, char** arguments) {
    using namespace fedgate::floor;
    Options options;
    if (count == 2 &&
        (std::strcmp(arguments[1], "--help") == 0 || std::strcmp(arguments[1], "-h") == 0)) {
        std::fputs(kUsage, stdout);
        return 0;
    }
    if (!parse(count, arguments, options)) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    return run(options);
}
