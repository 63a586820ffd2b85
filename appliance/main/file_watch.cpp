#include "appliance/main/file_watch.hpp"

#include <sys/stat.h>
#include <utility>

namespace fedgate {

void FileWatch::watch(std::vector<std::string> paths) {
    paths_ = std::move(paths);
    known_ = last_ = stamps();
}

bool FileWatch::look() {
    std::vector<Stamp> now = stamps();
    const bool rests = now == last_;
    last_ = std::move(now);
    if (!rests || last_ == known_) return false;
    known_ = last_;
    return true;
}

std::vector<FileWatch::Stamp> FileWatch::stamps() const {
    constexpr std::int64_t kNanoseconds = 1'000'000'000;
    std::vector<Stamp> stamps;
    stamps.reserve(paths_.size());
    for (const std::string& path : paths_) {
        Stamp& stamp = stamps.emplace_back();
        struct stat info{};
        if (stat(path.c_str(), &info) != 0) continue;
        stamp = {static_cast<std::uint64_t>(info.st_dev), static_cast<std::uint64_t>(info.st_ino),
                 info.st_size, info.st_mtim.tv_sec * kNanoseconds + info.st_mtim.tv_nsec,
                 info.st_ctim.tv_sec * kNanoseconds + info.st_ctim.tv_nsec};
    }
    return stamps;
}

}  // namespace fedgate
