#include "appliance/store/file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "appliance/store/reader.hpp"
#include "appliance/store/schema.hpp"
#include "appliance/store/sqlite.hpp"

namespace fedgate::store {
namespace {

constexpr int kBusyMs = 500;          // somebody looks at it with sqlite3
constexpr std::size_t kSetAside = 4;  // of damaged files; the oldest goes
constexpr const char* kSettings =
    "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;"
    "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA journal_size_limit = 16777216";

// What SQLite reserves in the name of a `file:` URI.
std::string uri_of(const std::string& path, const char* options = "") {
    std::string uri = "file:";
    for (const char c : path) {
        if (c == '?' || c == '#' || c == '%') {
            std::array<char, 4> escaped{};
            std::snprintf(escaped.data(), escaped.size(), "%%%02x", static_cast<unsigned>(c));
            uri += escaped.data();
        } else {
            uri += c;
        }
    }
    return uri + options;
}

// On disk, too: a name is in its directory's file.
void sync_directory_of(const std::string& path) {
    const std::string directory = std::filesystem::path(path).parent_path();
    const int file = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    static_cast<void>(fsync(file));
    ::close(file);
}

bool exists(const std::string& path) {
    struct stat status{};
    return lstat(path.c_str(), &status) == 0;
}

void remove_with_journals(const std::string& path) {
    for (const char* suffix : {"", "-journal", "-wal", "-shm"}) {
        static_cast<void>(unlink((path + suffix).c_str()));
    }
}

// SQLite gives its other files the permissions of this one.
bool make_private(const std::string& path) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return false;
    ::close(file);  // before SQLite has it open: closing takes its locks away
    return true;
}

// These look into the file themselves: not while SQLite has it open, whose locks would go with the
// first descriptor that is closed.

// The root of the rows: a leaf or an inner page of an index.
bool has_rows_in_second_page(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    char type = 0;
    const bool read = pread(file, &type, 1, kPageBytes) == 1;
    ::close(file);
    return read && (type == 0x0a || type == 0x02);
}

// The versions of the file format that reading and writing need: 1, or 2 with a write-ahead log.
// SQLite takes a file with others for one that it may not write.
bool has_format(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    std::array<unsigned char, 2> format{};
    const bool read = pread(file, format.data(), format.size(), 18) == 2;
    ::close(file);
    return read && std::ranges::all_of(format, [](unsigned char v) { return v == 1 || v == 2; });
}

// Whoever gives a wrong path must not lose his file: what nothing says of that it is a damaged
// store is left alone.
bool is_no_store(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    std::array<char, 16> text{};
    const ssize_t size = pread(file, text.data(), text.size(), 0);
    ::close(file);
    const bool sqlite = size == 16 && std::memcmp(text.data(), "SQLite format 3", 16) == 0;
    return size > 0 && !sqlite && !path.ends_with(".db") && !has_rows_in_second_page(path);
}

int bind_and_run(Statement& statement, const Row& row) {
    statement.bind(1, name_of(row.kind));
    statement.bind(2, row.xmpp);
    statement.bind(3, row.sip);
    statement.bind(4, static_cast<std::int64_t>(row.auth));
    statement.bind(5, row.changed.time_since_epoch().count());
    statement.bind_blob(6, row.detail);
    statement.bind(7, crc_of(row));
    return statement.run();
}

constexpr const char* kPut =
    "INSERT INTO subscriptions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE "
    "SET auth = ?4, changed = ?5, detail = ?6, crc = ?7";
constexpr const char* kErase = "DELETE FROM subscriptions WHERE (kind, xmpp, sip) = (?1, ?2, ?3)";

}  // namespace

File::File(std::string path) : path_(std::move(path)) {}

File::~File() {
    close();
    if (lock_ >= 0) ::close(lock_);
}

void File::close() { connection_.reset(); }

Fault File::fail(Fault fault, std::string why) {
    why_ = std::move(why);
    return fault;
}

Fault File::fail(const Connection& connection, const char* what) {
    const int result = sqlite3_extended_errcode(connection.handle());
    int system = sqlite3_system_errno(connection.handle());
    if (system == 0) system = errno;  // it is not told of the write-ahead log
    const std::string prefix = std::string(what) + ": ";
    // What we ask is always the same: only the file can make an error of it.
    if (is_damage(result) || (result & 0xff) == SQLITE_ERROR) {
        return fail(Fault::kDamaged, "is damaged");
    }
    switch (result & 0xff) {
        case SQLITE_FULL: return fail(Fault::kUnusable, prefix + std::strerror(ENOSPC));
        case SQLITE_BUSY: return fail(Fault::kUnusable, prefix + "another program has locked it");
        case SQLITE_CANTOPEN:
        case SQLITE_IOERR:
        case SQLITE_PERM:
        case SQLITE_READONLY:
            if (system != 0) return fail(Fault::kUnusable, prefix + std::strerror(system));
            break;
        default: break;
    }
    return fail(Fault::kUnusable, prefix + sqlite3_errstr(result));
}

// Two processes with one store would tell everybody everything twice.
bool File::take_lock() {
    if (lock_ >= 0) return true;
    lock_ = ::open((path_ + ".lock").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (lock_ < 0 || flock(lock_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return true;
    ::close(std::exchange(lock_, -1));
    return false;
}

Fault File::connect(const std::string& uri, int flags, std::unique_ptr<Connection>& into,
                    Access access) {
    errno = 0;
    into = std::make_unique<Connection>();
    if (into->open(uri, flags) != SQLITE_OK) return fail(*into, "can't be opened");
    sqlite3_busy_timeout(into->handle(), kBusyMs);
    // Both act only before the file is looked at.
    const char* const first = access == Access::kAlone     ? "PRAGMA locking_mode = EXCLUSIVE"
                              : access == Access::kSalvage ? "PRAGMA writable_schema = ON"
                                                           : "";
    if (into->run(first) != SQLITE_OK) return fail(*into, "can't be read");
    if (into->run(kSettings) != SQLITE_OK) return fail(*into, "can't be read");
    return Fault::kNone;
}

Fault File::open() {
    close();
    if (!take_lock()) return fail(Fault::kInUse, "is in use by another fedgated");
    if (!exists(path_)) {
        const std::string fresh = path_ + ".new";
        // Left by a process that ended between two steps of rebuild(): it is complete.
        std::unique_ptr<Connection> left;
        const bool complete = exists(fresh) &&
                              connect(uri_of(fresh), SQLITE_OPEN_READWRITE, left) == Fault::kNone &&
                              identify(*left) == Fault::kNone;
        left.reset();
        if (!complete) {
            if (const Fault fault = make(fresh); fault != Fault::kNone) return fault;
        }
        if (rename(fresh.c_str(), path_.c_str()) != 0) {
            return fail(Fault::kUnusable, std::string("can't be made: ") + std::strerror(errno));
        }
        sync_directory_of(path_);
    }
    const bool writable = has_format(path_);
    if (is_no_store(path_)) return fail(Fault::kForeign, "is no database");
    std::unique_ptr<Connection> connection;
    if (const Fault fault = connect(uri_of(path_), SQLITE_OPEN_READWRITE, connection);
        fault != Fault::kNone) {
        return fault;
    }
    if (const Fault fault = identify(*connection); fault != Fault::kNone) return fault;
    if (!writable) return fail(Fault::kDamaged, "is damaged");
    if (connection->run("PRAGMA journal_mode = WAL") != SQLITE_OK) {
        return fail(*connection, "can't be written");
    }
    if (sqlite3_db_readonly(connection->handle(), "main") != 0) {
        return fail(Fault::kUnusable, std::string("can't be written: ") + std::strerror(EACCES));
    }
    static_cast<void>(chmod(path_.c_str(), 0600));
    return start(std::move(connection));
}

// Without the file that the processes of a database share (it may find no room), and, if there is
// no journal either, without anything but the file itself.
Fault File::open_to_read() {
    close();
    const bool no_journal = !exists(path_ + "-wal");
    for (const char* options : {"", "?immutable=1"}) {
        if (*options != 0 && !no_journal) break;
        std::unique_ptr<Connection> connection;
        const int flags = *options != 0 ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
        if (connect(uri_of(path_, options), flags, connection, Access::kAlone) != Fault::kNone)
            continue;
        if (identify(*connection) == Fault::kNone) return start(std::move(connection));
    }
    return Fault::kUnusable;
}

Fault File::start(std::unique_ptr<Connection> connection) {
    struct stat status{};
    if (stat(path_.c_str(), &status) != 0) {
        return fail(Fault::kUnusable, std::string("is gone: ") + std::strerror(errno));
    }
    device_ = status.st_dev;
    inode_ = status.st_ino;
    int result = SQLITE_OK;
    rows_ = static_cast<std::uint64_t>(connection->ask("SELECT rows FROM contents", result));
    connection_ = std::move(connection);
    why_.clear();
    return Fault::kNone;
}

// Ours, of our version and whole? A bit may flip in what says so: each thing is said twice.
Fault File::identify(const Connection& connection) {
    int result = SQLITE_OK;
    const auto ask = [&](const char* sql) -> std::int64_t {
        return result == SQLITE_OK ? connection.ask(sql, result) : 0;
    };
    const std::int64_t application = ask("PRAGMA application_id");
    const std::int64_t version = ask("PRAGMA user_version");
    const std::int64_t tables =
        ask("SELECT count(*) FROM sqlite_schema WHERE name IN ('subscriptions', 'contents')");
    if (result != SQLITE_OK) return fail(connection, "can't be read");
    if (tables == 0 && application != kApplication && ask("PRAGMA page_count") > 0) {
        return fail(Fault::kForeign, "is a database of another program");
    }
    const std::int64_t written_by = ask("SELECT version FROM contents");
    if (result == SQLITE_OK && version > kVersion && written_by == version) {
        return fail(Fault::kForeign, "was written by a later version of Fedgate");
    }
    bool whole = result == SQLITE_OK && application == kApplication && version == kVersion &&
                 written_by == kVersion;
    Statement find(connection.handle(), "SELECT sql FROM sqlite_schema WHERE name = ?1");
    for (const SchemaItem& item : kSchema) {
        find.bind(1, Bytes(item.name));
        whole = whole && find.step() == SQLITE_ROW && find.bytes(0) == item.sql;
        find.reset();
    }
    return whole ? Fault::kNone : fail(Fault::kDamaged, "is damaged");
}

// An empty one, complete or not at all.
Fault File::make(const std::string& path) {
    remove_with_journals(path);
    if (!make_private(path)) {
        return fail(Fault::kUnusable, std::string("can't be made: ") + std::strerror(errno));
    }
    std::unique_ptr<Connection> connection;
    Fault fault = connect(uri_of(path), SQLITE_OPEN_READWRITE, connection);
    if (fault == Fault::kNone) {
        std::string sql = "PRAGMA page_size = " + std::to_string(kPageBytes) +
                          "; BEGIN; PRAGMA application_id = " + std::to_string(kApplication) +
                          "; PRAGMA user_version = " + std::to_string(kVersion) + ";";
        for (const SchemaItem& item : kSchema) sql += std::string(item.sql) + ";";
        sql += "INSERT INTO contents VALUES (" + std::to_string(kVersion) + ", 0, 0); COMMIT";
        if (connection->run(sql.c_str()) != SQLITE_OK) fault = fail(*connection, "can't be made");
    }
    connection.reset();
    if (fault != Fault::kNone) remove_with_journals(path);
    return fault;
}

Fault File::scan(Connection& connection, const Visitor& visit, Damage& damage) {
    errno = 0;
    Reader reader(connection, visit, damage);
    const int result = reader.run();
    return result == SQLITE_OK || result == SQLITE_ABORT ? Fault::kNone
                                                         : fail(connection, "can't be read");
}

Fault File::write(std::span<const Batch* const> batches) {
    if (is_moved()) return fail(Fault::kUnusable, "was moved or removed while in use");
    errno = 0;
    const Connection& connection = *connection_;
    if (connection.run("BEGIN IMMEDIATE") != SQLITE_OK) return fail(connection, "can't be written");
    int result = SQLITE_OK;
    {
        Statement put(connection.handle(), kPut);
        Statement erase(connection.handle(), kErase);
        for (const Batch* batch : batches) {
            for (const auto& [key, change] : batch->changes) {
                if (result != SQLITE_OK) break;
                const Row row = change.row();
                if (!change.erased) {
                    result = bind_and_run(put, row);
                    continue;
                }
                erase.bind(1, name_of(row.kind));
                erase.bind(2, row.xmpp);
                erase.bind(3, row.sip);
                result = erase.run();
            }
        }
    }
    std::int64_t rows = 0;
    if (result == SQLITE_OK) rows = connection.ask("SELECT rows FROM contents", result);
    if (result == SQLITE_OK) result = connection.run("COMMIT");
    if (result == SQLITE_OK) {
        rows_ = static_cast<std::uint64_t>(rows);
        return Fault::kNone;
    }
    const Fault fault = fail(connection, "can't be written");
    connection.roll_back();
    return fault;
}

Fault File::probe() {
    if (is_moved()) return fail(Fault::kUnusable, "was moved or removed while in use");
    errno = 0;
    if (connection_->run("BEGIN IMMEDIATE; UPDATE contents SET rows = rows; COMMIT") == SQLITE_OK) {
        return Fault::kNone;
    }
    const Fault fault = fail(*connection_, "can't be written");
    connection_->roll_back();
    return fault;
}

bool File::is_moved() const {
    struct stat status{};
    return stat(path_.c_str(), &status) != 0 || status.st_dev != device_ || status.st_ino != inode_;
}

Fault File::rebuild(WallTime now, Damage& damage, std::string& aside) {
    if (connection_) {  // so that the file has all there is
        sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                  nullptr, nullptr);
        close();
    }
    const std::string fresh = path_ + ".new";
    if (const Fault fault = make(fresh); fault != Fault::kNone) return fault;
    Fault fault = copy_rows(fresh, damage);
    if (fault == Fault::kNone) fault = swap_files(fresh, now, aside);
    if (fault != Fault::kNone) {
        remove_with_journals(fresh);
        return fault;
    }
    return open();
}

Fault File::copy_rows(const std::string& fresh, Damage& damage) {
    const std::string copy = path_ + ".salvage";
    std::unique_ptr<Connection> source;
    std::unique_ptr<Connection> into;
    const auto open_source = [&](const std::string& path) {
        return connect(uri_of(path), SQLITE_OPEN_READWRITE, source, Access::kSalvage) ==
               Fault::kNone;
    };
    // Its first page says what it is and where the rest begins, and is as we make it anew: one that
    // can't be used is replaced, in a copy.
    bool readable = open_source(path_) && identify(*source) == Fault::kNone;
    if (!readable) {
        source.reset();
        readable = replace_first_page(fresh, copy) && open_source(copy);
    }
    Fault fault = connect(uri_of(fresh), SQLITE_OPEN_READWRITE, into);
    if (fault == Fault::kNone && readable) {
        int result = into->run("BEGIN");
        Statement put(into->handle(), kPut);
        const Visitor add = [&](Change&& change) {
            if (result == SQLITE_OK) result = bind_and_run(put, change.row());
            return result == SQLITE_OK;
        };
        fault = scan(*source, add, damage);
        if (fault == Fault::kNone && result == SQLITE_OK) result = into->run("COMMIT");
        if (result != SQLITE_OK) fault = fail(*into, "can't be written anew");
    }
    if (!readable) damage.bad_pages = std::max<std::uint64_t>(damage.bad_pages, 1);
    source.reset();
    into.reset();
    remove_with_journals(copy);
    return fault;
}

bool File::replace_first_page(const std::string& fresh, const std::string& copy) const {
    std::array<unsigned char, kPageBytes> page{};
    if (!has_rows_in_second_page(path_)) return false;
    int file = ::open(fresh.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const ssize_t read = pread(file, page.data(), page.size(), 0);
    ::close(file);
    if (read != static_cast<ssize_t>(page.size())) return false;
    std::error_code error;
    remove_with_journals(copy);
    if (!make_private(copy)) return false;
    for (const char* suffix : {"", "-wal"}) {
        if (!exists(path_ + suffix)) continue;
        std::filesystem::copy_file(path_ + suffix, copy + suffix,
                                   std::filesystem::copy_options::overwrite_existing, error);
        if (error) return false;
    }
    // File format 1.3: it has a write-ahead log or not, so many pages. Which of them are free stays
    // as it was said; whoever uses it checks that.
    const std::uintmax_t size = std::filesystem::file_size(copy, error);
    if (error) return false;
    page[18] = page[19] = exists(copy + "-wal") ? 2 : 1;
    for (unsigned i = 0; i < 4; ++i) {
        page[28 + i] = static_cast<unsigned char>((size / kPageBytes) >> (24 - 8 * i));
    }
    file = ::open(copy.c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) return false;
    const bool written =
        pread(file, &page[32], 8, 32) == 8 &&
        pwrite(file, page.data(), page.size(), 0) == static_cast<ssize_t>(page.size());
    ::close(file);
    return written;
}

Fault File::swap_files(const std::string& fresh, WallTime now, std::string& aside) {
    const std::vector<std::string> before = set_aside();
    for (std::size_t i = 0; i + kSetAside <= before.size(); ++i) remove_with_journals(before[i]);
    const auto days = std::chrono::floor<std::chrono::days>(now);
    const std::chrono::year_month_day day(days);
    const std::chrono::hh_mm_ss time(now - days);
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), ".damaged-%04d%02u%02uT%02d%02d%02dZ",
                  static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                  static_cast<unsigned>(day.day()), static_cast<int>(time.hours().count()),
                  static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()));
    aside = path_ + text.data();
    while (exists(aside)) aside += '+';
    static_cast<void>(unlink((path_ + "-shm").c_str()));
    static_cast<void>(rename((path_ + "-wal").c_str(), (aside + "-wal").c_str()));
    if (rename(path_.c_str(), aside.c_str()) != 0 || rename(fresh.c_str(), path_.c_str()) != 0) {
        return fail(Fault::kUnusable, std::string("can't be replaced: ") + std::strerror(errno));
    }
    sync_directory_of(path_);
    return Fault::kNone;
}

const char* File::remedy(Fault fault) const {
    switch (fault) {
        case Fault::kInUse: return "stop the other one, or give each a dirs.state of its own";
        case Fault::kForeign: return "move it away, or set store.url to another path";
        case Fault::kDamaged: return "make room in its directory";
        default: return "correct that";
    }
}

std::vector<std::string> File::set_aside() const {
    std::vector<std::string> found;
    const std::filesystem::path path(path_);
    const std::string prefix = path.filename().string() + ".damaged-";
    std::error_code error;
    for (std::filesystem::directory_iterator at(path.parent_path(), error), end;
         !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename();
        const bool journal = name.ends_with("-wal") || name.ends_with("-shm");
        if (name.starts_with(prefix) && !journal) found.push_back(at->path());
    }
    std::ranges::sort(found);
    return found;
}

}  // namespace fedgate::store
