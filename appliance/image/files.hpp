// Files, devices and programs, for a keeper that has no shell. Texts of faults are for people.
#pragma once

#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <string>
#include <sys/types.h>
#include <unistd.h>
#include <vector>

namespace appliance {

namespace fs = std::filesystem;

constexpr const char* kRun = "/run/appliance";
constexpr const char* kEsp = "/efi";
constexpr const char* kResetWish = "/efi/fedgate/FACTORY-RESET";  // of the next start

class File {
public:
    File(const std::string& path, int flags) : file_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
    ~File() {
        if (file_ >= 0) close(file_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    [[nodiscard]] int get() const { return file_; }

private:
    int file_;
};

std::string read_text(const fs::path& path);
void sync_folder(const fs::path& folder);
// On disk, or an error's text.
std::string write_text(const fs::path& path, const std::string& text, mode_t mode);
// With zeros where it is, then removed, or an error's text. One that is made shorter first gets
// other blocks.
std::string wipe(const fs::path& path);
// For the console's page.
void tell(const std::string& name, const std::string& text);
// A further line, as long as there is room on a screen.
void tell_more(const std::string& name, const std::string& text);
std::string first_line(const std::string& text);

// What a program prints, both ways, and its exit status (-1: it did not end by itself).
struct Answer {
    int status = -1;
    std::string text;
};
// before: in the child, false ends it.
Answer answer_of(const std::vector<std::string>& command,
                 const std::function<bool()>& before = nullptr);

// Of the partition with this label: /dev/vda1. Empty: there is none.
std::string device_of(const std::string& label);
// At kEsp.
bool mount_esp(unsigned long flags);
// VALUE of the word NAME=VALUE of the kernel's command line.
std::string argument(const std::string& name);

}  // namespace appliance
