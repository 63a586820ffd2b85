// Reads all rows of a file, whatever became of it.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>

#include "appliance/store/database.hpp"
#include "appliance/store/pages.hpp"
#include "appliance/store/sqlite.hpp"

namespace fedgate::store {

class Reader {
public:
    // Both outlive it. `damage` is told what is wrong with rows and pages.
    Reader(Connection& connection, const Database::Visitor& visit, Damage& damage)
        : connection_(connection), visit_(visit), damage_(damage) {}

    // SQLITE_OK, SQLITE_ABORT (the visitor has ended it), or an error that is no damage. Not within
    // a transaction.
    [[nodiscard]] int run();

private:
    [[nodiscard]] int read_in_order();
    [[nodiscard]] int read_by_pages();
    enum class Taken : std::uint8_t { kYes, kBad, kEnd };
    [[nodiscard]] Taken take(const Pages::Columns&);

    Connection& connection_;
    const Database::Visitor& visit_;
    Damage& damage_;
    std::int64_t crcs_ = 0;
    bool by_pages_ = false;
    std::string last_;                         // key of the last row that came in order
    std::unordered_set<std::uint64_t> taken_;  // hashes of the keys of those that did not
};

}  // namespace fedgate::store
