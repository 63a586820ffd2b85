#include "core/base/file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

namespace fedgate {
namespace {

constexpr std::size_t kFileBytes = 64 << 20;

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

bool read_file(const std::string& path, std::string& text, std::string& why) {
    const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
    if (!file) {
        why = std::string("can't be read: ") + std::strerror(errno);
        return false;
    }
    char buffer[16384];
    std::size_t total = 0;
    while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, file.get())) {
        text.append(buffer, size);
        total += size;
        if (total > kFileBytes) {
            why = "is larger than 64MiB";
            return false;
        }
    }
    if (std::ferror(file.get()) != 0) {
        why = std::string("can't be read: ") + std::strerror(errno);
        return false;
    }
    return true;
}

bool read_regular_file(const std::string& path, std::string& text, std::string& why) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
        why = "is not a regular file";
        return false;
    }
    return read_file(path, text, why);
}

}  // namespace fedgate
