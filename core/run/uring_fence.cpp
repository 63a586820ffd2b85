#include "core/run/uring_fence.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <sys/socket.h>

namespace fedgate {
namespace {

// Multishot is a flag of the operation, not of the entry; the time limit of a wait is an argument
// of io_uring_enter since Linux 5.11, and no operation.
constexpr std::array<std::uint8_t, 9> kOperations = {
    IORING_OP_ACCEPT,  IORING_OP_CONNECT,  IORING_OP_RECV, IORING_OP_RECVMSG,     IORING_OP_SEND,
    IORING_OP_SENDMSG, IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_ASYNC_CANCEL};
constexpr std::uint8_t kEntryFlags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
// A listener for datagrams may be configured at any time, and brings its buffers.
constexpr std::array<std::uint8_t, 2> kRegistrations = {IORING_REGISTER_PBUF_RING,
                                                        IORING_UNREGISTER_RING_FDS};

constexpr std::uint64_t kTrialTag = 0xfe4ce;
constexpr int kTrialAnswers = 1'000;  // completions of others that may come first

io_uring_restriction restriction(std::uint16_t kind, std::uint8_t value) {
    io_uring_restriction one{};
    one.opcode = kind;
    one.sqe_op = value;  // of a union with register_op and sqe_flags
    return one;
}

// 0: let through, or it has not answered at once, which a refusal does.
int error_of(io_uring& ring, const io_uring_sqe& wanted) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    if (sqe == nullptr) return 0;
    *sqe = wanted;
    sqe->user_data = kTrialTag;
    for (int i = 0; i < kTrialAnswers; ++i) {
        __kernel_timespec limit{.tv_sec = 0, .tv_nsec = 100'000'000};
        io_uring_cqe* cqe = nullptr;
        if (io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &limit, nullptr) < 0 || cqe == nullptr)
            return 0;
        const bool ours = cqe->user_data == kTrialTag;
        const int error = std::max(-cqe->res, 0);
        io_uring_cqe_seen(&ring, cqe);
        if (ours) return error;
    }
    return 0;
}

io_uring_sqe entry(std::uint8_t operation, int descriptor = -1) {
    io_uring_sqe sqe{};
    sqe.opcode = operation;
    sqe.fd = descriptor;
    return sqe;
}

bool is_refusal(int error) { return error == EACCES || error == EPERM; }

// Of all others, the first one that is let through.
RingTrial try_the_others(io_uring& ring) {
    RingTrial trial{"any other operation of a ring", EACCES};
    for (std::uint8_t operation = 0; operation < IORING_OP_LAST; ++operation) {
        if (std::ranges::find(kOperations, operation) != kOperations.end()) continue;
        const int error = error_of(ring, entry(operation));
        if (!is_refusal(error)) return {trial.what, error};
    }
    return trial;
}

}  // namespace

Result<void> fence_and_enable(io_uring& ring) {
    std::vector<io_uring_restriction> all;
    for (const std::uint8_t one : kOperations)
        all.push_back(restriction(IORING_RESTRICTION_SQE_OP, one));
    for (const std::uint8_t one : kRegistrations)
        all.push_back(restriction(IORING_RESTRICTION_REGISTER_OP, one));
    all.push_back(restriction(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, kEntryFlags));
    const int fenced =
        io_uring_register_restrictions(&ring, all.data(), static_cast<unsigned>(all.size()));
    if (fenced < 0) return failure(Errc::kSystem, "io_uring can't be restricted", -fenced);
    const int enabled = io_uring_enable_rings(&ring);
    if (enabled < 0) return failure(Errc::kSystem, "io_uring can't be enabled", -enabled);
    return {};
}

std::vector<RingTrial> try_fence_of(io_uring& ring) {
    static constexpr char kRoot[] = "/";
    io_uring_sqe open = entry(IORING_OP_OPENAT, AT_FDCWD);
    open.addr = reinterpret_cast<std::uintptr_t>(kRoot);
    open.open_flags = O_PATH | O_CLOEXEC;
    io_uring_sqe socket = entry(IORING_OP_SOCKET, AF_INET);
    socket.off = SOCK_RAW;
    io_uring_sqe linked = entry(IORING_OP_READ);
    linked.flags = IOSQE_IO_LINK;
    std::vector<RingTrial> all;
    all.push_back({"opening a file by a ring (OPENAT)", error_of(ring, open)});
    all.push_back({"opening a socket by a ring (SOCKET)", error_of(ring, socket)});
    all.push_back(
        {"removing a file by a ring (UNLINKAT)", error_of(ring, entry(IORING_OP_UNLINKAT))});
    all.push_back({"writing to a file by a ring (WRITE)", error_of(ring, entry(IORING_OP_WRITE))});
    all.push_back(try_the_others(ring));
    all.push_back({"a flag that is not used (IO_LINK)", error_of(ring, linked)});
    const int personality = io_uring_register_personality(&ring);
    all.push_back(
        {"registering rights with a ring (REGISTER_PERSONALITY)", std::max(-personality, 0)});
    return all;
}

}  // namespace fedgate
