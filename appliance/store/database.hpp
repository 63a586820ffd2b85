// The file with the rows: SQLite, WAL, fsync at every commit. What SQLite itself does not notice is
// found by a CRC in each row, and by the count and the sum of all of them, kept in the same
// transaction: a flipped bit is seen where it changes a row, and where it hides one. So reading all
// rows, which a start does anyway, is the whole check.
// Waits for the disk. Thread: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "appliance/store/change.hpp"
#include "core/base/time.hpp"

namespace fedgate::store {

enum class Fault : std::uint8_t {
    kNone,
    kUnusable,  // for a reason that may pass: full disk, permissions; try again
    kInUse,     // by another process of ours
    kForeign,   // of another program or a later version: not to be touched
    kDamaged,   // rebuild() saves what can be read
};

inline constexpr std::uint64_t kUnknown = UINT64_MAX;

// What a reading of all rows has found wrong.
struct Damage {
    std::uint64_t rows = 0;      // that are right
    std::uint64_t expected = 0;  // that there should be
    std::uint64_t bad_rows = 0;  // their CRC, or their place, is wrong
    std::uint64_t bad_pages = 0;
    bool bad_sum = false;

    [[nodiscard]] bool any() const {
        return bad_rows != 0 || bad_pages != 0 || bad_sum || rows != expected;
    }
    [[nodiscard]] std::uint64_t lost() const { return expected > rows ? expected - rows : 0; }
};

class Connection;  // sqlite.hpp

class Database {
public:
    // False ends the reading.
    using Visitor = std::function<bool(Change&&)>;

    explicit Database(std::string path);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    // Makes the file if there is none. Other calls need it to have been opened, but for rebuild().
    [[nodiscard]] Fault open();
    // For a start on a disk that is full or read-only: the rows can be read, and nothing else.
    [[nodiscard]] Fault open_to_read();
    void close();
    [[nodiscard]] bool is_open() const { return connection_ != nullptr; }

    // Each right row once. Goes round what can't be read.
    [[nodiscard]] Fault scan(const Visitor&, Damage&);
    // All of them, in their order, or nothing.
    [[nodiscard]] Fault write(std::span<const Batch* const>);
    // Could something be written now?
    [[nodiscard]] Fault probe();
    // Makes a new file of what can be read; the old one is set aside as `aside`. Opened afterwards,
    // if there was no fault.
    [[nodiscard]] Fault rebuild(WallTime now, Damage&, std::string& aside);

    // Of the last fault, to go on from the file's name: "can't be opened: Permission denied".
    [[nodiscard]] const std::string& why() const { return why_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::uint64_t rows() const { return rows_; }
    // Files that were set aside and are still there, oldest first.
    [[nodiscard]] std::vector<std::string> set_aside() const;

private:
    [[nodiscard]] Fault fail(Fault, std::string why);
    [[nodiscard]] Fault fail(const Connection&, const char* what);
    [[nodiscard]] bool take_lock();
    // kAlone: nobody else may use the file, and nothing is shared. kSalvage: what a file that was
    // cut still has can be read.
    enum class Access : std::uint8_t { kShared, kAlone, kSalvage };
    [[nodiscard]] Fault connect(const std::string& uri, int flags,
                                std::unique_ptr<Connection>& into, Access = Access::kShared);
    [[nodiscard]] Fault identify(const Connection&);
    [[nodiscard]] Fault start(std::unique_ptr<Connection>);
    [[nodiscard]] Fault make(const std::string& path);
    [[nodiscard]] Fault copy_rows(const std::string& fresh, Damage&);
    [[nodiscard]] Fault scan(Connection&, const Visitor&, Damage&);
    [[nodiscard]] Fault swap_files(const std::string& fresh, WallTime now, std::string& aside);
    [[nodiscard]] bool replace_first_page(const std::string& fresh, const std::string& copy) const;
    [[nodiscard]] bool is_moved() const;

    const std::string path_;
    std::unique_ptr<Connection> connection_;
    int lock_ = -1;
    std::uint64_t device_ = 0;
    std::uint64_t inode_ = 0;
    std::uint64_t rows_ = 0;
    std::string why_;
};

}  // namespace fedgate::store
