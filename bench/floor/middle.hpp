// The thread that is measured: records in, requests out, answers in, on one io_uring.
#pragma once

#include <atomic>
#include <memory>

#include <liburing.h>

#include "bench/floor/floor.hpp"
#include "bench/floor/sockets.hpp"

namespace fedgate::floor {

enum class Phase : std::uint8_t { kWarm, kMeasured, kOver };

// One end of a stream: what came, what goes.
struct End {
    End(int descriptor, std::size_t capacity)
        : fd(descriptor),
          received(capacity),
          plain(capacity),
          filling(capacity),
          sending(capacity) {}
    // Blocks until the handshake is done.
    [[nodiscard]] bool secure(const TlsContexts&, bool server);
    // The application's bytes that came; null: TLS failed.
    [[nodiscard]] Buffer* read();
    // Puts bytes behind what is to be sent.
    [[nodiscard]] bool write(std::span<const char>, std::size_t record_bytes);

    int fd;
    Buffer received, plain, filling, sending;
    std::unique_ptr<Tls> tls;
    bool under_way = false;  // the kernel sends `sending`
};

class Middle {
public:
    // Records come on `in`; `out` is a stream, or a datagram socket if the path says so.
    Middle(const Load&, int in, int out, const TlsContexts*, const std::atomic<Phase>&);
    ~Middle();
    void run(Figures&);

private:
    [[nodiscard]] bool prepare(const TlsContexts*);
    void receive(End&, std::uint64_t tag);
    void look_later();
    [[nodiscard]] const char* handle(std::uint64_t tag, int result);
    [[nodiscard]] bool on_records();
    [[nodiscard]] bool on_answers();
    [[nodiscard]] bool flush();
    void mark(Figures&);

    const Load& load_;
    const TlsContexts* contexts_;
    const std::atomic<Phase>& phase_;
    io_uring ring_{};
    bool ready_ = false;
    End in_, out_;
    std::unique_ptr<Datagrams> datagrams_;
    __kernel_timespec pause_;
    Buffer requests_;  // before TLS, or the datagrams
    std::uint64_t answered_ = 0, turns_ = 0;
    std::uint64_t from_cpu_ = 0, from_answered_ = 0, from_turns_ = 0;
    bool marked_ = false;
};

[[nodiscard]] std::size_t capacity_of(const Load&);
[[nodiscard]] std::uint64_t thread_cpu_ns();

constexpr bool has_tls(Path path) { return path == Path::kTls || path == Path::kTlsSmall; }
constexpr bool has_datagrams(Path path) { return path == Path::kUdp || path == Path::kUdpSegment; }
constexpr std::size_t record_bytes(Path path, std::size_t message) {
    return path == Path::kTlsSmall ? message : kTlsRecordBytesMax;
}

}  // namespace fedgate::floor
