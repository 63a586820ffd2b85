#include "bench/floor/middle.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <unistd.h>

namespace fedgate::floor {

namespace {

constexpr std::uint64_t kIn = 1, kOut = 2, kSent = 3;
constexpr unsigned kRingEntries = 64;

constexpr auto kHead = [] {
    std::array<char, kRequestBytes - kRecordBytes> head{};
    head.fill('h');
    return head;
}();

}  // namespace

// All that may be under way, with TLS's overhead and room for a whole record or batch behind it.
std::size_t capacity_of(const Load& load) {
    return load.window * (kRequestBytes + 64) + 16 * 65'536;
}

std::uint64_t thread_cpu_ns() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

bool End::secure(const TlsContexts& contexts, bool server) {
    tls = std::make_unique<Tls>(contexts, server);
    for (;;) {
        if (!tls->shake(received, filling)) return false;
        while (filling.size() > 0) {
            const ssize_t sent = ::write(fd, filling.filled().data(), filling.size());
            if (sent <= 0) return false;
            filling.taken(static_cast<std::size_t>(sent));
        }
        if (tls->ready()) return true;
        const ssize_t came = ::read(fd, received.room().data(), received.room().size());
        if (came <= 0) return false;
        received.added(static_cast<std::size_t>(came));
    }
}

Buffer* End::read() {
    if (!tls) return &received;
    plain.to_front();
    return tls->open(received, plain) ? &plain : nullptr;
}

bool End::write(std::span<const char> bytes, std::size_t record) {
    if (tls) return tls->seal(bytes, record, filling);
    if (filling.room().size() < bytes.size()) return false;
    std::memcpy(filling.room().data(), bytes.data(), bytes.size());
    filling.added(bytes.size());
    return true;
}

Middle::Middle(const Load& load, int in, int out, const TlsContexts* contexts,
               const std::atomic<Phase>& phase)
    : load_(load),
      contexts_(contexts),
      phase_(phase),
      in_(in, capacity_of(load)),
      out_(out, capacity_of(load)),
      pause_{0, load.look_us * 1'000},
      requests_(capacity_of(load)) {
    if (has_datagrams(load.path)) {
        datagrams_ = std::make_unique<Datagrams>(
            out, Datagrams::Segments{load.path == Path::kUdpSegment, false});
    }
}

Middle::~Middle() {
    if (ready_) io_uring_queue_exit(&ring_);
}

bool Middle::prepare(const TlsContexts* contexts) {
    if (contexts != nullptr && (!in_.secure(*contexts, true) || !out_.secure(*contexts, false))) {
        return false;
    }
    ready_ = io_uring_queue_init(kRingEntries, &ring_,
                                 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) == 0;
    if (ready_) io_uring_register_ring_fd(&ring_);
    return ready_;
}

void Middle::receive(End& end, std::uint64_t tag) {
    end.received.to_front();
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    const std::span<char> room = end.received.room();
    const std::size_t most = tag == kIn ? load_.read_bytes_max : room.size();
    io_uring_prep_recv(sqe, end.fd, room.data(), std::min(room.size(), most), 0);
    io_uring_sqe_set_data64(sqe, tag);
}

// Each answer wakes who waits for it, and with nothing else to do we would take few at a time; a
// thread that is busy finds many when it looks. A slow floor would flatter.
void Middle::look_later() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    io_uring_prep_timeout(sqe, &pause_, 0, 0);
    io_uring_sqe_set_data64(sqe, kOut);
}

bool Middle::on_records() {
    Buffer* records = in_.read();
    if (records == nullptr) return false;
    // Without TLS the request is written where it is sent from.
    Buffer& into = out_.tls || datagrams_ ? requests_ : out_.filling;
    while (records->size() >= kRecordBytes) {
        if (into.room().size() < kRequestBytes) return false;
        char* at = into.room().data();
        std::memcpy(at, kHead.data(), kHead.size());
        std::memcpy(at + kHead.size(), records->filled().data(), kRecordBytes);
        into.added(kRequestBytes);
        records->taken(kRecordBytes);
    }
    return true;
}

bool Middle::on_answers() {
    if (datagrams_) {
        out_.received.to_front();
        if (!datagrams_->receive(out_.received)) return false;
    }
    Buffer* answers = out_.read();
    if (answers == nullptr) return false;
    const std::size_t count = answers->size() / kAnswerBytes;
    answered_ += count;
    answers->taken(count * kAnswerBytes);
    return true;
}

bool Middle::flush() {
    if (requests_.size() > 0) {
        const bool good =
            datagrams_ ? datagrams_->send(requests_.filled(), kRequestBytes)
                       : out_.write(requests_.filled(), record_bytes(load_.path, kRequestBytes));
        if (!good) return false;
        requests_.taken(requests_.size());
    }
    if (out_.under_way || out_.filling.size() == 0) return true;
    std::swap(out_.filling, out_.sending);
    out_.under_way = true;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    io_uring_prep_send(sqe, out_.fd, out_.sending.filled().data(), out_.sending.size(),
                       MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, kSent);
    return true;
}

const char* Middle::handle(std::uint64_t tag, int result) {
    if (result < 0 && result != -ETIME) return std::strerror(-result);
    const std::size_t count = result < 0 ? 0 : static_cast<std::size_t>(result);
    if (tag == kIn) {
        if (count == 0) return "the stream of records ended early";
        in_.received.added(count);
        if (!on_records()) return "records";
        receive(in_, kIn);
    } else if (tag == kOut) {
        if (!datagrams_) {
            if (count == 0) return "the stream of answers ended early";
            out_.received.added(count);
        }
        if (!on_answers()) return "answers";
        if (datagrams_) {
            look_later();
        } else {
            receive(out_, kOut);
        }
    } else {
        out_.sending.taken(count);
        if (out_.sending.size() > 0) return "short send";
        out_.under_way = false;
    }
    return nullptr;
}

void Middle::mark(Figures& figures) {
    const Phase phase = phase_.load(std::memory_order_relaxed);
    if (!marked_ && phase == Phase::kMeasured) {
        marked_ = true;
        from_cpu_ = thread_cpu_ns();
        from_answered_ = answered_;
        from_turns_ = turns_;
    } else if (marked_ && phase == Phase::kOver) {
        figures.cpu_ns = thread_cpu_ns() - from_cpu_;
        figures.messages = answered_ - from_answered_;
        figures.turns = turns_ - from_turns_;
    }
}

void Middle::run(Figures& figures) {
    if (!prepare(contexts_)) {
        figures.fault = "no io_uring, or no TLS";
        return;
    }
    receive(in_, kIn);
    if (datagrams_) {
        look_later();
    } else {
        receive(out_, kOut);
    }
    while (phase_.load(std::memory_order_relaxed) != Phase::kOver) {
        io_uring_submit_and_wait(&ring_, 1);
        ++turns_;
        unsigned head = 0, seen = 0;
        io_uring_cqe* cqe = nullptr;
        const char* fault = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++seen;
            if (fault == nullptr) fault = handle(cqe->user_data, cqe->res);
        }
        io_uring_cq_advance(&ring_, seen);
        mark(figures);
        if (phase_.load(std::memory_order_relaxed) == Phase::kOver) return;
        if (fault == nullptr && !flush()) fault = "requests";
        if (fault != nullptr) {
            figures.fault = fault;
            return;
        }
    }
    mark(figures);
}

}  // namespace fedgate::floor
