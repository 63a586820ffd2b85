// CPU time and memory of another process, from /proc.
#pragma once

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fedgate::load {

inline bool is_there(int pid) {
    std::error_code error;
    return std::filesystem::exists("/proc/" + std::to_string(pid), error);
}

// Nanoseconds on a CPU of all its threads, and of the processes below it; 0: no such process.
inline std::uint64_t cpu_ns(int pid) {
    std::uint64_t total = 0;
    std::error_code error;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
        std::ifstream file(task.path() / "schedstat");
        std::uint64_t ns = 0;
        if (file >> ns) total += ns;
        std::ifstream children(task.path() / "children");
        for (int child = 0; children >> child;) total += cpu_ns(child);
    }
    return total;
}

inline std::uint64_t cpu_ns(const std::vector<int>& pids) {
    std::uint64_t total = 0;
    for (const int pid : pids) total += cpu_ns(pid);
    return total;
}

// Since `from`; 0: it is gone, or not known.
inline std::uint64_t cpu_ns_since(const std::vector<int>& pids, std::uint64_t from) {
    const std::uint64_t now = cpu_ns(pids);
    return now > from ? now - from : 0;
}

// Of this process.
inline std::uint64_t own_cpu_ns() {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

// At their peak, without the processes below them.
inline std::uint64_t resident_kib(const std::vector<int>& pids) {
    std::uint64_t total = 0;
    for (const int pid : pids) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/status");
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with("VmHWM:")) total += std::stoull(line.substr(6));
        }
    }
    return total;
}

}  // namespace fedgate::load
