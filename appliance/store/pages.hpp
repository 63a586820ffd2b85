// The rows of a file whose tree of pages is broken: SQLite gives up at the first page that is
// wrong; this reads every other one. See https://www.sqlite.org/fileformat2.html, sections 1.5
// (free pages), 1.6 (B-tree pages) and 2.1 (records).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "appliance/store/sqlite.hpp"

namespace fedgate::store {

inline constexpr std::size_t kPageBytes = 4'096;
inline constexpr std::uint32_t kRowsRoot = 2;  // the first page of the first table

class Pages {
public:
    // The columns of a row as they are stored, nothing checked.
    struct Columns {
        Bytes kind;
        Bytes xmpp;
        Bytes sip;
        std::int64_t auth = 0;
        std::int64_t changed = 0;
        Bytes detail;
        std::int64_t crc = 0;
    };
    // False ends the walk.
    using Visitor = std::function<bool(const Columns&)>;

    // What is in the connection's journal is not seen: checkpoint it before.
    explicit Pages(const Connection&);

    // Every row once, those of pages that nothing leads to any more last. False: the visitor has
    // ended it. bad() counts pages that say nothing.
    [[nodiscard]] bool walk(const Visitor&);
    [[nodiscard]] std::uint64_t bad() const { return bad_; }

private:
    using Page = std::array<unsigned char, kPageBytes>;

    [[nodiscard]] bool read(std::uint32_t number, Page&) const;
    [[nodiscard]] bool walk_from(std::uint32_t root, const Visitor&);
    [[nodiscard]] bool walk_page(const Page&, std::vector<std::uint32_t>& below, const Visitor&);
    [[nodiscard]] std::optional<Bytes> payload(const Page&, std::size_t at);
    [[nodiscard]] bool mark_free_pages();

    sqlite3_file* file_ = nullptr;
    std::uint32_t count_ = 0;
    std::vector<bool> seen_;  // by number
    std::uint64_t bad_ = 0;
    std::string long_;  // a payload of several pages
};

}  // namespace fedgate::store
