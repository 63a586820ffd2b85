#include "appliance/main/dialback_secret.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/hash.hpp"

namespace fedgate {

namespace {

constexpr std::size_t kSecretBytes = 32;  // DB-3

bool fail(const std::string& path, const char* what, std::string& fault) {
    fault = path + ": " + what + ": " + std::strerror(errno);
    return false;
}

}  // namespace

bool write_secret(const std::string& path, const DialbackSecretFile& file, std::string& fault) {
    const std::string draft = path + ".new";
    unlink(draft.c_str());
    const int out = open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0) return fail(path, "can't be made", fault);
    const std::string line = file.secret + '\n';
    timespec times[2]{};
    for (timespec& time : times) time.tv_sec = file.made.time_since_epoch().count();
    const bool written =
        write(out, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
        futimens(out, times) == 0 && fsync(out) == 0;
    close(out);
    if (written && rename(draft.c_str(), path.c_str()) == 0) return true;
    fail(path, "can't be written", fault);
    unlink(draft.c_str());
    return false;
}

DialbackSecretFile read_or_make_secret(const std::string& path, std::string& fault) {
    const int in = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (in >= 0) {
        std::array<char, 256> text{};
        const ssize_t size = read(in, text.data(), text.size());
        struct stat info{};
        fstat(in, &info);
        close(in);
        std::string secret(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
        while (!secret.empty() && (secret.back() == '\n' || secret.back() == ' ')) {
            secret.pop_back();
        }
        const bool good = secret.size() >= kSecretBytes &&
                          secret.find_first_of("\r\n\0", 0, 3) == std::string::npos;
        if (good) return {secret, WallTime(std::chrono::seconds(info.st_mtim.tv_sec))};
        fault = path +
                ": holds no dialback secret of at least 32 characters; remove it and start again";
        return {};
    }
    std::array<std::uint8_t, kSecretBytes> random{};
    if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
        fail(path, "no random numbers", fault);
        return {};
    }
    const auto hex = to_hex(random);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    DialbackSecretFile made{{hex.data(), hex.size()}, now};
    if (!write_secret(path, made, fault)) return {};
    return made;
}

}  // namespace fedgate
