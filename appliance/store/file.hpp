// The file with the rows: SQLite, WAL, fsync at every commit. What SQLite itself does not notice is
// found by a CRC in each row, and by the count and the sum of all of them, kept in the same
// transaction: a flipped bit is seen where it changes a row, and where it hides one. So reading all
// rows, which a start does anyway, is the whole check.
// Waits for the disk. Thread: one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "appliance/store/database.hpp"
#include "core/base/time.hpp"

namespace fedgate::store {

class Connection;  // sqlite.hpp

class File final : public Database {
public:
    explicit File(std::string path);
    ~File();
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    // Makes the file if there is none.
    [[nodiscard]] Fault open() override;
    [[nodiscard]] Fault open_to_read() override;
    void close() override;
    [[nodiscard]] bool is_open() const override { return connection_ != nullptr; }
    [[nodiscard]] Fault scan(const Slots&, const Visitor& visit, Damage& damage) override {
        return scan(*connection_, visit, damage);
    }
    [[nodiscard]] Fault write(std::span<const Batch* const>) override;
    [[nodiscard]] Fault probe() override;
    [[nodiscard]] Fault rebuild(WallTime now, Damage&, std::string& aside) override;
    [[nodiscard]] const std::string& why() const override { return why_; }
    [[nodiscard]] const std::string& name() const override { return path_; }
    [[nodiscard]] const char* remedy(Fault) const override;
    [[nodiscard]] std::uint64_t rows() const override { return rows_; }
    [[nodiscard]] std::vector<std::string> set_aside() const override;

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
