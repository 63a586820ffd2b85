#include "appliance/image/files.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sstream>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace appliance {

namespace {
constexpr std::size_t kAnswerMax = 64 << 10;
constexpr std::size_t kLinesMax = 2048;
}  // namespace

std::string read_text(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void sync_folder(const fs::path& folder) {
    const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return;
    fsync(file);
    close(file);
}

std::string write_text(const fs::path& path, const std::string& text, mode_t mode) {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (file < 0) return path.string() + ": " + strerror(errno);
    std::size_t done = 0;
    ssize_t size = 0;
    while (done < text.size() && (size = write(file, text.data() + done, text.size() - done)) > 0) {
        done += static_cast<std::size_t>(size);
    }
    const bool is_kept = done == text.size() && fchmod(file, mode) == 0 && fsync(file) == 0;
    const std::string fault = is_kept ? "" : path.string() + ": " + strerror(errno);
    close(file);
    return fault;
}

std::string wipe(const fs::path& path) {
    std::string fault;
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path, error);
    {
        const File file(path, O_WRONLY);
        const std::string zeros(error ? 0 : size, '\0');
        if (file.get() < 0 ||
            pwrite(file.get(), zeros.data(), zeros.size(), 0) !=
                static_cast<ssize_t>(zeros.size()) ||
            fsync(file.get()) != 0)
            fault = strerror(errno);
    }
    if (!fs::remove(path, error) && error) fault = error.message();
    if (!fault.empty()) std::fprintf(stderr, "keeper: %s: %s\n", path.c_str(), fault.c_str());
    return fault;
}

void tell(const std::string& name, const std::string& text) {
    write_text(fs::path(kRun) / name, text + "\n", 0644);
}

void tell_more(const std::string& name, const std::string& text) {
    const std::string before = read_text(fs::path(kRun) / name);
    tell(name, (before.size() < kLinesMax ? before : "") + text);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Answer answer_of(const std::vector<std::string>& command, const std::function<bool()>& before) {
    Answer answer;
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return answer;
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        std::vector<char*> words;
        for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
        words.push_back(nullptr);
        if (!before || before()) execv(words[0], words.data());
        std::fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    std::array<char, 4096> block{};
    ssize_t size = 0;
    while ((size = read(ends[0], block.data(), block.size())) > 0) {
        if (answer.text.size() < kAnswerMax)
            answer.text.append(block.data(), static_cast<std::size_t>(size));
    }
    close(ends[0]);
    int status = 0;
    if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status))
        answer.status = WEXITSTATUS(status);
    return answer;
}

std::string device_of(const std::string& label) {
    std::error_code ignored;
    const std::string disk = first_line(read_text(fs::path(kRun) / "disk"));
    for (const auto& entry : fs::directory_iterator("/sys/class/block", ignored)) {
        // Another disk may have the same labels.
        if (fs::canonical(entry.path(), ignored).parent_path().filename() != disk) continue;
        if ((read_text(entry.path() / "uevent") + "\n").find("\nPARTNAME=" + label + "\n") !=
            std::string::npos) {
            return "/dev/" + entry.path().filename().string();
        }
    }
    return {};
}

bool mount_esp(unsigned long flags) {
    umount(kEsp);  // of one of us that ended in between
    const std::string device = device_of("ESP");
    return !device.empty() && mount(device.c_str(), kEsp, "vfat",
                                    flags | MS_NODEV | MS_NOSUID | MS_NOEXEC, "umask=077") == 0;
}

std::string argument(const std::string& name) {
    std::istringstream words(read_text("/proc/cmdline"));
    for (std::string word; words >> word;) {
        if (word.starts_with(name + "=")) return word.substr(name.size() + 1);
    }
    return {};
}

}  // namespace appliance
