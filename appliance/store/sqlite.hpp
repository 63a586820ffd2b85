// SQLite's C interface with owners. Only for the .cpp files of this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <sqlite3.h>

#include "core/base/bytes.hpp"

namespace fedgate::store {

// A prepared statement; none where it could not be prepared: step() then gives that error.
class Statement {
public:
    Statement(sqlite3* database, const char* sql) {
        fault_ =
            sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
    }
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    // The bytes must stay until reset().
    void bind(int at, Bytes text) {
        sqlite3_bind_text64(statement_, at, text.data() != nullptr ? text.data() : "", text.size(),
                            SQLITE_STATIC, SQLITE_UTF8);
    }
    void bind_blob(int at, Bytes bytes) {
        sqlite3_bind_blob64(statement_, at, bytes.data() != nullptr ? bytes.data() : "",
                            bytes.size(), SQLITE_STATIC);
    }
    void bind(int at, std::int64_t number) { sqlite3_bind_int64(statement_, at, number); }
    // SQLITE_ROW, SQLITE_DONE, or an error.
    int step() { return statement_ == nullptr ? fault_ : sqlite3_step(statement_); }
    // Steps a statement that gives no row. SQLITE_OK, or an error.
    int run() {
        const int result = step();
        reset();
        return result == SQLITE_DONE || result == SQLITE_ROW ? SQLITE_OK : result;
    }
    void reset() { sqlite3_reset(statement_); }

    [[nodiscard]] std::int64_t number(int column) const {
        return sqlite3_column_int64(statement_, column);
    }
    // Valid until the next step() or reset().
    [[nodiscard]] Bytes bytes(int column) const {
        const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
        return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
    }

private:
    sqlite3_stmt* statement_ = nullptr;
    int fault_ = SQLITE_OK;
};

class Connection {
public:
    Connection() = default;
    ~Connection() { sqlite3_close(handle_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // `uri`: `file:...`. An error is told by the handle, too.
    int open(const std::string& uri, int flags) {
        const int result = sqlite3_open_v2(uri.c_str(), &handle_,
                                           flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
        if (handle_ != nullptr) sqlite3_extended_result_codes(handle_, 1);
        return result;
    }
    int run(const char* sql) const { return sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); }
    // The first column of the first row. `result`: SQLITE_OK, or an error (no row: SQLITE_DONE).
    std::int64_t ask(const char* sql, int& result) const {
        Statement statement(handle_, sql);
        result = statement.step();
        if (result != SQLITE_ROW) return 0;
        result = SQLITE_OK;
        return statement.number(0);
    }
    void roll_back() const {
        if (sqlite3_get_autocommit(handle_) == 0) run("ROLLBACK");
    }
    [[nodiscard]] sqlite3* handle() const { return handle_; }

private:
    sqlite3* handle_ = nullptr;
};

// Something on the way from the disk is wrong: what SQLite can't read.
[[nodiscard]] inline bool is_damage(int result) {
    return (result & 0xff) == SQLITE_CORRUPT || (result & 0xff) == SQLITE_NOTADB ||
           result == SQLITE_IOERR_READ || result == SQLITE_IOERR_SHORT_READ;
}

}  // namespace fedgate::store
