#include "appliance/image/exchange.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace appliance {

namespace {

// What stays when a folder is renamed; 0: there is none.
ino_t inode_of(const fs::path& folder) {
    struct stat status{};
    return stat(folder.c_str(), &status) == 0 ? status.st_ino : 0;
}

bool exchange(const Exchange& one) {
    const bool is_done = renameat2(AT_FDCWD, one.waiting.c_str(), AT_FDCWD, one.in_force.c_str(),
                                   RENAME_EXCHANGE) == 0;
    const int error = errno;
    sync_folder(one.in_force.parent_path());
    sync_folder(one.waiting.parent_path());
    errno = error;
    return is_done;
}

}  // namespace

Exchanges::Exchanges(Exchange first, Exchange second, fs::path mark)
    : first_(std::move(first)), second_(std::move(second)), mark_(std::move(mark)) {}

std::string Exchanges::run() const {
    sync();  // what is in them, before their names
    const std::string text = std::to_string(inode_of(first_.waiting)) + " " +
                             std::to_string(inode_of(second_.waiting)) + "\n";
    std::string fault = write_text(mark_, text, 0600);
    sync_folder(mark_.parent_path());
    if (!fault.empty()) {
        forget();
        return fault;
    }
    if (!exchange(first_)) {
        fault = first_.in_force.string() + ": " + strerror(errno);
    } else if (!exchange(second_)) {
        fault = second_.in_force.string() + ": " + strerror(errno);
        exchange(first_);
    }
    forget();
    return fault;
}

bool Exchanges::finish() const {
    std::istringstream mark(read_text(mark_));
    ino_t first = 0;
    ino_t second = 0;
    // Without both numbers it was never begun.
    const bool is_begun =
        mark >> first >> second && first != 0 && second != 0 && inode_of(first_.in_force) == first;
    const bool is_done = is_begun && (inode_of(second_.in_force) == second ||
                                      (inode_of(second_.waiting) == second && exchange(second_)));
    if (is_begun && !is_done) exchange(first_);  // neither
    forget();
    return is_done;
}

void Exchanges::forget() const {
    std::error_code ignored;
    if (fs::remove(mark_, ignored)) sync_folder(mark_.parent_path());
}

}  // namespace appliance
