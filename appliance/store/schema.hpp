// What is in the file. Columns that an administrator can read; the two last are for us: see
// file.hpp.
#pragma once

#include <cstdint>

#include "appliance/store/crc32.hpp"
#include "appliance/store/store.hpp"

namespace fedgate::store {

inline constexpr std::int64_t kApplication = 0x4645'4447;  // "FEDG"
inline constexpr std::int64_t kVersion = 1;

// Each is kept by SQLite as it stands here, and compared when the file is opened.
struct SchemaItem {
    const char* name;
    const char* sql;
};
inline constexpr SchemaItem kSchema[] = {
    {"subscriptions",
     "CREATE TABLE subscriptions (\n"
     "  kind TEXT NOT NULL,        -- watch: xmpp watches sip; watcher: sip watches xmpp\n"
     "  xmpp TEXT NOT NULL,\n"
     "  sip TEXT NOT NULL,\n"
     "  auth INTEGER NOT NULL,     -- how far the approval is\n"
     "  changed INTEGER NOT NULL,  -- when auth did; seconds since 1970 UTC\n"
     "  detail BLOB NOT NULL,\n"
     "  crc INTEGER NOT NULL,      -- CRC-32 of the columns before, joined by newlines\n"
     "  PRIMARY KEY (kind, xmpp, sip)\n"
     ") WITHOUT ROWID"},
    {"contents",
     "CREATE TABLE contents (\n"
     "  version INTEGER NOT NULL,\n"
     "  rows INTEGER NOT NULL,     -- of subscriptions\n"
     "  crcs INTEGER NOT NULL      -- their sum\n"
     ")"},
    {"row_comes",
     "CREATE TRIGGER row_comes AFTER INSERT ON subscriptions BEGIN\n"
     "  UPDATE contents SET rows = rows + 1, crcs = crcs + NEW.crc;\n"
     "END"},
    {"row_changes",
     "CREATE TRIGGER row_changes AFTER UPDATE ON subscriptions BEGIN\n"
     "  UPDATE contents SET crcs = crcs - OLD.crc + NEW.crc;\n"
     "END"},
    {"row_goes",
     "CREATE TRIGGER row_goes AFTER DELETE ON subscriptions BEGIN\n"
     "  UPDATE contents SET rows = rows - 1, crcs = crcs - OLD.crc;\n"
     "END"},
};

inline constexpr Bytes kKindNames[] = {"watch", "watcher"};  // in the order of Kind
inline Bytes name_of(Kind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

inline std::int64_t crc_of(const Row& row) {
    Crc32 crc;
    char digits[48];
    Sink numbers{MutableBytes(digits)};
    numbers.append('\n');
    numbers.append_number(row.auth);
    numbers.append('\n');
    numbers.append_number(row.changed.time_since_epoch().count());
    numbers.append('\n');
    for (const Bytes part : {name_of(row.kind), Bytes("\n"), row.xmpp, Bytes("\n"), row.sip,
                             numbers.written(), row.detail}) {
        crc.add(part);
    }
    return crc.value();
}

}  // namespace fedgate::store
