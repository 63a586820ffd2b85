// Notices that one of some files has become another: written in place, replaced by a rename, or
// reached over a symbolic link that now leads elsewhere. Looks at the files themselves, so no way
// of changing them is missed. Thread: the control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fedgate {

class FileWatch {
public:
    // These files, as they are now; call it before they are read.
    void watch(std::vector<std::string> paths);
    // True once for each change, as soon as two looks in a row find the same: what is being written
    // just now is left to finish.
    [[nodiscard]] bool look();

    [[nodiscard]] const std::vector<std::string>& paths() const { return paths_; }

private:
    struct Stamp {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        std::int64_t size = -1;  // -1: can't be looked at
        std::int64_t modified_ns = 0;
        std::int64_t changed_ns = 0;
        bool operator==(const Stamp&) const = default;
    };
    [[nodiscard]] std::vector<Stamp> stamps() const;

    std::vector<std::string> paths_;
    std::vector<Stamp> known_;
    std::vector<Stamp> last_;  // of the look before
};

}  // namespace fedgate
