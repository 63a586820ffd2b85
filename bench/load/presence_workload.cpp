// Presence as a workload with one account at its end: a storm, a fan-out, refreshes.
#include <algorithm>

#include "bench/load/cpu.hpp"
#include "bench/load/presence.hpp"

namespace fedgate::load {

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kSettleNs = 6 * kSecond;  // a watcher gets a NOTIFY each 5 s at most
constexpr std::uint64_t kRefusalsMax = 1'000;

}  // namespace

std::string Presence::why_over(std::uint64_t now, std::uint64_t total) const {
    std::uint64_t done = 0, failed = 0;
    for (const Account& account : accounts_) {
        done += account.done + account.coalesced;
        failed += account.failed;
    }
    if (done == 0 && failed >= std::min(kRefusalsMax, total)) {
        return "the target refuses: " + first_refusal_;
    }
    if (now - born_ns_ > options_.limit_s * kSecond) {
        return "too slow: " + std::to_string(done) + " of " + std::to_string(total) +
               " had come to an end within the limit of " + std::to_string(options_.limit_s) + " s";
    }
    if (now - moved_ns_ > options_.silence_s * kSecond) {
        if (!broken_.empty()) return "the SIP connection to the target broke: " + broken_;
        return "the target has gone silent: " + std::to_string(total - done - failed) + " of " +
               std::to_string(total) + " were not done, and nothing came back for " +
               std::to_string(options_.silence_s) + " s";
    }
    return {};
}

bool Presence::pass(std::initializer_list<Kind> kinds) {
    const std::uint64_t total = std::uint64_t{pairs_.size()} * kinds.size();
    const double rate = options_.rate / static_cast<double>(kinds.size());
    const auto last = static_cast<unsigned>(pairs_.size());
    accounts_ = {};
    report_ = {};
    tasks_.clear();
    begun_ns_ = moved_ns_ = now_ns();
    for (const Kind kind : kinds) tasks_.push_back({kind, 0, 0, last, rate, begun_ns_});
    command_ = "run";
    const std::uint64_t cpu_from = cpu_ns(options_.pids), own_cpu_from = own_cpu_ns();
    Progress progress;
    while (report_.fault.empty() && !finished()) {
        turn();
        report_.delivered = report_.refused = 0;
        for (const Account& account : accounts_) {
            report_.delivered += account.done + account.coalesced;
            report_.refused += account.failed;
        }
        const std::uint64_t now = now_ns();
        report_.fault = why_over(now, total);
        progress.show(now, report_.delivered + report_.refused, total,
                      accounts_[tasks_.front().kind].latency);
    }
    report_.seconds = static_cast<double>(now_ns() - begun_ns_) / 1e9;
    report_.cpu_ns = cpu_ns_since(options_.pids, cpu_from);
    report_.own_cpu_ns = own_cpu_ns() - own_cpu_from;
    for (const Account& account : accounts_) {
        report_.sent += account.sent;
        report_.lost += account.open;
        report_.latency.add(account.latency);
    }
    report_.measured = report_.delivered + report_.refused;
    if (report_.fault.empty() && report_.refused > 0) {
        report_.fault =
            std::to_string(report_.refused) + " were refused, the first one: " + first_refusal_;
    }
    return report_.fault.empty();
}

int Presence::run_workload() {
    if (options_.mode == Mode::kRefresh) {
        static_cast<void>(pass({kWatch}) && pass({kRefresh}));
    } else if (pass({kWatch, kSubscribe}) && options_.mode == Mode::kFanOut) {
        tasks_.clear();
        for (const std::uint64_t from = now_ns(); now_ns() - from < kSettleNs;) turn();
        static_cast<void>(pass({kChangeXmpp, kChangeSip}));
    }
    report_.name = options_.mode == Mode::kStorm    ? "presence storm"
                   : options_.mode == Mode::kFanOut ? "presence fan-out"
                                                    : "presence refreshes";
    report_.security = options_.tls.empty() ? "clear" : "TLS";
    if (transport_ == "udp") report_.security += ", SIP over UDP";
    report_.unit = options_.mode == Mode::kFanOut ? "changes" : "subscriptions";
    report_.rate = options_.rate;
    report_.memory_kib = resident_kib(options_.pids);
    return report(options_, report_);
}

}  // namespace fedgate::load
