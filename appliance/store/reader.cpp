#include "appliance/store/reader.hpp"

#include <algorithm>
#include <iterator>

#include "appliance/store/schema.hpp"
#include "core/base/hash.hpp"

namespace fedgate::store {

int Reader::run() {
    int result = read_in_order();
    if (is_damage(result)) {
        ++damage_.bad_pages;
        result = read_by_pages();
    }
    if (result == SQLITE_OK && damage_.expected == kUnknown) damage_.expected = damage_.rows;
    return result;
}

int Reader::read_in_order() {
    // Rows and what is said of them, as of one moment.
    connection_.run("BEGIN");
    int result = SQLITE_OK;
    const std::int64_t rows = connection_.ask("SELECT rows FROM contents", result);
    damage_.expected = result == SQLITE_OK ? static_cast<std::uint64_t>(rows) : kUnknown;
    const std::int64_t crcs = connection_.ask("SELECT crcs FROM contents", result);
    damage_.bad_sum = result != SQLITE_OK;
    {
        Statement next(connection_.handle(),
                       "SELECT kind, xmpp, sip, auth, changed, detail, crc FROM subscriptions "
                       "ORDER BY kind, xmpp, sip");
        while ((result = next.step()) == SQLITE_ROW) {
            const Pages::Columns columns{.kind = next.bytes(0),
                                         .xmpp = next.bytes(1),
                                         .sip = next.bytes(2),
                                         .auth = next.number(3),
                                         .changed = next.number(4),
                                         .detail = next.bytes(5),
                                         .crc = next.number(6)};
            if (take(columns) != Taken::kEnd) continue;
            result = SQLITE_ABORT;
            break;
        }
    }
    if (result == SQLITE_DONE) {
        result = SQLITE_OK;
        damage_.bad_sum = damage_.bad_sum || crcs != crcs_;
    }
    connection_.roll_back();
    return result;
}

int Reader::read_by_pages() {
    sqlite3_wal_checkpoint_v2(connection_.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                              nullptr);
    by_pages_ = true;
    damage_.bad_rows = 0;  // they come again
    Pages pages(connection_);
    const bool to_end =
        pages.walk([this](const Pages::Columns& columns) { return take(columns) != Taken::kEnd; });
    damage_.bad_pages = std::max(damage_.bad_pages, pages.bad());
    return to_end ? SQLITE_OK : SQLITE_ABORT;
}

Reader::Taken Reader::take(const Pages::Columns& columns) {
    const auto* kind = std::ranges::find(kKindNames, columns.kind);
    const auto number =
        std::min<std::ptrdiff_t>(kind - std::begin(kKindNames), std::ssize(kKindNames) - 1);
    const Row row{.kind = static_cast<Kind>(number),
                  .xmpp = columns.xmpp,
                  .sip = columns.sip,
                  .auth = static_cast<std::uint8_t>(columns.auth),
                  .changed = WallTime(std::chrono::seconds(columns.changed)),
                  .detail = columns.detail};
    if (kind == std::end(kKindNames) || columns.auth != row.auth || crc_of(row) != columns.crc) {
        ++damage_.bad_rows;
        return Taken::kBad;
    }
    // Once each: also where a broken tree leads to a page twice.
    std::string key = key_of(row.kind, row.xmpp, row.sip);
    if (key <= last_) {
        if (!by_pages_) ++damage_.bad_rows;
        return Taken::kBad;
    }
    if (by_pages_ && !taken_.insert(fnv1a(key)).second) return Taken::kBad;
    if (!by_pages_) last_ = std::move(key);
    ++damage_.rows;
    crcs_ += columns.crc;
    return visit_(Change(row, false)) ? Taken::kYes : Taken::kEnd;
}

}  // namespace fedgate::store
