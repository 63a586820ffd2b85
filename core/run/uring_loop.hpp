// The loop on io_uring (kernel 6.1 and later). One ring for each thread: made, used and destroyed
// on the thread that runs it; only wake() may come from elsewhere. A socket's slot is freed only
// when the kernel holds no operation of it: close() shuts down, cancels, and waits for the last
// completion. Nothing is allocated for a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/run/loop.hpp"

namespace fedgate {

struct UringSettings {
    unsigned submissions =
        4'096;  // entries of the submission queue; a full one costs one more system call
    unsigned completions = 16'384;
    std::size_t sockets_max =
        100'000;  // at the bound: accepted connections are closed, others fail with kLimit
    std::size_t buffer_bytes = 16'384;  // of one stream receive buffer
    unsigned buffers = 256;             // offered to the kernel (a power of two)
    unsigned buffers_max =
        4'096;  // with those that hold bytes of paused sockets; at the bound: receive waits
    unsigned datagram_buffers = 64;  // receive, 64 KiB each (a power of two)
    unsigned datagram_sends =
        1'024;  // in the kernel at one time; at the bound send_datagram() says no
};

// What a ring of ours may not do, as it was tried.
struct RingTrial {
    std::string_view what;
    int error = 0;  // EACCES or EPERM: denied
};

class UringLoop : public Loop {
public:
    // A ring that can't be fenced (uring_fence.hpp) is a failure.
    static Result<std::unique_ptr<UringLoop>> make(const UringSettings& = {});
    // Closes what is open and waits until the kernel holds nothing; no owner is called.
    ~UringLoop() override = default;

    [[nodiscard]] virtual std::size_t socket_count() const = 0;
    // Before its first turn.
    [[nodiscard]] virtual std::vector<RingTrial> try_fence() = 0;

private:
    UringLoop() = default;
    friend class UringLoopImplementation;  // in the .cpp: nobody else sees liburing
};

}  // namespace fedgate
