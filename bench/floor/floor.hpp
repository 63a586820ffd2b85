// The physical limit on this machine: what the kernel (and TLS's arithmetic) asks of one thread
// that reads a record of 250 bytes from one stream, writes 600 bytes for it to another and reads an
// answer of 350 bytes: an XMPP chat message, its SIP MESSAGE, the 200. It reuses nothing of the
// product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fedgate::floor {

constexpr std::size_t kRecordBytes = 250;
constexpr std::size_t kRequestBytes = 600;
constexpr std::size_t kAnswerBytes = 350;

enum class Path : std::uint8_t {
    kTcp,         // no TLS
    kTls,         // TLS 1.3 on both streams, records of up to 16 KB
    kTlsSmall,    // one TLS record for each message
    kUdp,         // the requests and answers in datagrams: sendmmsg, recvmmsg
    kUdpSegment,  // the same, requests by UDP_SEGMENT
};

struct Load {
    Path path = Path::kTcp;
    double seconds = 1;
    unsigned window = 1'000;  // messages under way; fewer if a datagram could be lost else
    double rate = 0;          // messages a second, paced; 0: as many as go
    std::size_t read_bytes_max = SIZE_MAX;  // of records, in one turn
    long look_us = 200;                     // datagrams: how often the middle looks for answers
};

struct Figures {
    std::uint64_t messages = 0;
    double seconds = 0;
    std::uint64_t cpu_ns = 0;               // of the one thread, nothing else's
    std::uint64_t turns = 0;                // of its loop; each is at least one system call
    std::vector<std::uint64_t> latency_ns;  // with a rate: record written to request read, sorted
    std::string fault;                      // empty: it went well
    [[nodiscard]] double ns() const {
        return static_cast<double>(cpu_ns) / static_cast<double>(messages == 0 ? 1 : messages);
    }
};

[[nodiscard]] Figures measure(Load);

}  // namespace fedgate::floor
