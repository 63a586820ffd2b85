#include "bench/floor/floor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>

#include "bench/floor/middle.hpp"

namespace fedgate::floor {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kWarmPart = 0.2;
constexpr std::size_t kLatenciesMax = 1 << 20;

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
}

// The first and the second CPU that this process may use; the same where there is one only.
void pin(std::thread& thread, unsigned number) {
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        if (number-- != 0 && CPU_COUNT(&allowed) > 1) continue;
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(thread.native_handle(), sizeof one, &one);
        return;
    }
}

// Both neighbours of the middle: it writes the records, reads the requests, writes the answers.
class Peers {
public:
    Peers(const Load& load, int records, int requests, const TlsContexts* contexts,
          std::atomic<Phase>& phase)
        : load_(load),
          contexts_(contexts),
          phase_(phase),
          records_(records, capacity_of(load)),
          requests_(requests, capacity_of(load)) {
        if (has_datagrams(load.path)) {
            datagrams_ = std::make_unique<Datagrams>(
                requests, Datagrams::Segments{false, load.path == Path::kUdpSegment});
        }
    }

    void run(Figures& figures) {
        if (contexts_ != nullptr &&
            (!records_.secure(*contexts_, false) || !requests_.secure(*contexts_, true))) {
            figures.fault = "no TLS";
            phase_ = Phase::kOver;
            return;
        }
        prctl(PR_SET_TIMERSLACK, 1UL);
        figures_ = &figures;
        begun_ = now_ns();
        const auto length = static_cast<std::uint64_t>(load_.seconds * 1e9);
        const auto warm = static_cast<std::uint64_t>(load_.seconds * kWarmPart * 1e9);
        for (;;) {
            const std::uint64_t now = now_ns();
            if (phase_ == Phase::kWarm && now - begun_ >= warm) {
                phase_ = Phase::kMeasured;
                measured_from_ = now;
            }
            if (now - begun_ >= length + warm || !turn(now)) break;
        }
        figures.seconds = static_cast<double>(now_ns() - measured_from_) / 1e9;
        std::sort(figures.latency_ns.begin(), figures.latency_ns.end());
        phase_ = Phase::kOver;
        shutdown(records_.fd, SHUT_RDWR);  // wakes the middle
    }

private:
    bool fail(const char* why) {
        if (figures_->fault.empty()) figures_->fault = why;
        return false;
    }

    bool turn(std::uint64_t now) {
        moved_ = false;
        if (!feed(now)) return fail("records can't be written");
        if (!take()) return fail("requests are lost or out of order");
        if (!push(records_) || (!datagrams_ && !push(requests_))) return fail("a write failed");
        if (!moved_) rest();
        return true;
    }

    // The time at which the next record is due; with no rate, at once.
    [[nodiscard]] std::uint64_t due(std::uint64_t now) const {
        if (load_.rate == 0) return now;
        return begun_ + static_cast<std::uint64_t>(static_cast<double>(sent_) * 1e9 / load_.rate);
    }

    bool feed(std::uint64_t now) {
        std::array<char, kRecordBytes> record{};
        const unsigned window = load_.window;
        // Not one at a time: the neighbours write as much at once as a busy server has for us.
        if (load_.rate == 0 && sent_ - taken_ > window * 3 / 4) return true;
        std::size_t size = 0;
        std::array<char, 64 * kRecordBytes> batch;
        while (sent_ - taken_ < window && due(now) <= now) {
            const std::uint64_t at = due(now);
            std::memcpy(record.data(), &sent_, sizeof sent_);
            std::memcpy(record.data() + sizeof sent_, &at, sizeof at);
            std::memcpy(batch.data() + size, record.data(), kRecordBytes);
            size += kRecordBytes;
            ++sent_;
            if (size == batch.size()) {
                if (!records_.write(std::span(batch), record_bytes(load_.path, kRecordBytes)))
                    return false;
                size = 0;
            }
        }
        return records_.write(std::span(batch).first(size), record_bytes(load_.path, kRecordBytes));
    }

    bool take() {
        Buffer& received = requests_.received;
        received.to_front();
        if (datagrams_) {
            if (!datagrams_->receive(received)) return false;
        } else {
            const ssize_t came =
                recv(requests_.fd, received.room().data(), received.room().size(), MSG_DONTWAIT);
            if (came == 0 || (came < 0 && errno != EAGAIN)) return false;
            if (came > 0) received.added(static_cast<std::size_t>(came));
        }
        Buffer* plain = requests_.read();
        if (plain == nullptr) return false;
        const std::size_t count = plain->size() / kRequestBytes;
        for (std::size_t i = 0; i < count; ++i) {
            if (!see(plain->filled().data() + i * kRequestBytes)) return false;
        }
        plain->taken(count * kRequestBytes);
        if (count == 0) return true;
        moved_ = true;
        answers_.resize(std::max(answers_.size(), count * kAnswerBytes), 'a');
        const std::span answers = std::span<const char>(answers_).first(count * kAnswerBytes);
        if (datagrams_) return datagrams_->send(answers, kAnswerBytes);
        return requests_.write(answers, record_bytes(load_.path, kAnswerBytes));
    }

    bool see(const char* request) {
        std::uint64_t number = 0, at = 0;
        std::memcpy(&number, request + kRequestBytes - kRecordBytes, sizeof number);
        std::memcpy(&at, request + kRequestBytes - kRecordBytes + sizeof number, sizeof at);
        if (number != taken_) return false;
        ++taken_;
        if (load_.rate != 0 && phase_ == Phase::kMeasured &&
            figures_->latency_ns.size() < kLatenciesMax) {
            figures_->latency_ns.push_back(now_ns() - at);
        }
        return true;
    }

    bool push(End& end) {
        if (end.filling.size() == 0) return true;
        const ssize_t sent =
            send(end.fd, end.filling.filled().data(), end.filling.size(), MSG_DONTWAIT);
        if (sent < 0) return errno == EAGAIN;
        end.filling.taken(static_cast<std::size_t>(sent));
        end.filling.to_front();
        moved_ = true;
        return true;
    }

    void rest() {
        const auto events = [](const End& end) {
            return static_cast<short>(POLLIN | (end.filling.size() > 0 ? POLLOUT : 0));
        };
        std::array<pollfd, 2> ends = {pollfd{requests_.fd, events(requests_), 0},
                                      pollfd{records_.fd, events(records_), 0}};
        const std::uint64_t now = now_ns();
        const std::uint64_t until = load_.rate == 0 ? now + 100'000'000 : due(now);
        const std::uint64_t left = until > now ? until - now : 0;
        const timespec wait{static_cast<time_t>(left / 1'000'000'000),
                            static_cast<long>(left % 1'000'000'000)};
        ppoll(ends.data(), ends.size(), &wait, nullptr);
    }

    const Load& load_;
    const TlsContexts* contexts_;
    std::atomic<Phase>& phase_;
    End records_, requests_;
    std::unique_ptr<Datagrams> datagrams_;
    Figures* figures_ = nullptr;
    std::vector<char> answers_;
    std::uint64_t begun_ = 0, measured_from_ = 0;
    std::uint64_t sent_ = 0, taken_ = 0;
    bool moved_ = false;
};

}  // namespace

Figures measure(Load load) {
    Figures figures, theirs;
    auto [in, records] = connected_pair(false);
    auto [out, requests] = connected_pair(has_datagrams(load.path));
    if (in.get() < 0 || out.get() < 0) {
        figures.fault = "no loopback sockets";
        return figures;
    }
    if (has_datagrams(load.path)) {
        load.window = std::min(load.window, datagrams_held(out.get()));
    }
    std::unique_ptr<TlsContexts> contexts;
    if (has_tls(load.path)) {
        contexts = std::make_unique<TlsContexts>();
        if (!contexts->ready()) {
            figures.fault = "no TLS context";
            return figures;
        }
    }
    std::atomic<Phase> phase{Phase::kWarm};
    Middle middle(load, in.get(), out.get(), contexts.get(), phase);
    Peers peers(load, records.get(), requests.get(), contexts.get(), phase);
    std::thread measured([&] {
        middle.run(figures);
        if (figures.fault.empty()) return;
        shutdown(in.get(), SHUT_RDWR);
        shutdown(out.get(), SHUT_RDWR);
    });
    std::thread around([&] { peers.run(theirs); });
    pin(measured, 0);
    pin(around, 1);
    around.join();
    measured.join();
    figures.seconds = theirs.seconds;
    figures.latency_ns = std::move(theirs.latency_ns);
    if (figures.fault.empty()) figures.fault = theirs.fault;
    return figures;
}

}  // namespace fedgate::floor
