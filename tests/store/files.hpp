// Stores in directories of their own, and what may happen to their files.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "appliance/store/change.hpp"
#include "core/base/check.hpp"

namespace fedgate::store::test {

class Directory {
public:
    explicit Directory(bool small = true) {
        // In memory where there is such a place: many files are made and synced.
        const char* const memory = "/dev/shm";
        const std::filesystem::path base =
            small && access(memory, W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
        std::string name = base / "fedgate-store-XXXXXX";
        FEDGATE_CHECK(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Directory() {
        std::error_code ignored;
        std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
        std::filesystem::remove_all(path_, ignored);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    [[nodiscard]] std::string file(const std::string& name = "fedgate.db") const {
        return path_ / name;
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

inline std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline std::string name(unsigned number) {
    char text[48];
    std::snprintf(text, sizeof text, "user%06u@xmpp.example", number);
    return text;
}

inline Row row(Bytes xmpp, std::uint8_t auth = 1, Bytes detail = "some detail of a subscription") {
    return {.kind = Kind::kWatch,
            .xmpp = xmpp,
            .sip = "romeo@sip.example",
            .auth = auth,
            .changed = WallTime(std::chrono::seconds(1'800'000'000)),
            .detail = detail};
}

inline void add(Batch& batch, const Row& row, bool erased = false) {
    batch.changes[key_of(row.kind, row.xmpp, row.sip)] = Change(row, erased);
    ++batch.last;
}

}  // namespace fedgate::store::test
