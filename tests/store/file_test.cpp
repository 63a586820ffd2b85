#include "appliance/store/file.hpp"

#include <csignal>
#include <map>
#include <optional>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "tests/store/files.hpp"

namespace fedgate::store {
namespace {

using namespace test;

constexpr unsigned kRows = 300;
constexpr WallTime kNow{std::chrono::seconds(1'795'000'000)};

// A whole life of a store: what a start makes of the file, whatever became of it.
struct Start {
    std::map<std::string, int> rows;  // by name: auth
    bool reported = false;            // a fault, or a damage
    Fault fault = Fault::kNone;       // that remains
    std::string aside;
};

Start start(const std::string& path, WallTime now = kNow) {
    Start outcome;
    File database(path);
    outcome.fault = database.open();
    Damage damage;
    if (outcome.fault == Fault::kDamaged) {
        outcome.reported = true;
        outcome.fault = database.rebuild(now, damage, outcome.aside);
    }
    if (outcome.fault != Fault::kNone) return outcome;
    const auto take = [&](Change&& change) {
        const Row row = change.row();
        EXPECT_TRUE(outcome.rows.emplace(row.xmpp, row.auth).second) << "twice";
        EXPECT_EQ(row.detail, "some detail of a subscription");
        return true;
    };
    damage = {};
    EXPECT_EQ(database.scan({}, take, damage), Fault::kNone);
    EXPECT_EQ(damage.rows, outcome.rows.size());
    if (damage.any()) {
        outcome.reported = true;
        const std::uint64_t rows = damage.rows;
        damage = {};
        outcome.fault = database.rebuild(now, damage, outcome.aside);
        EXPECT_EQ(damage.rows, rows);
    }
    if (outcome.fault == Fault::kNone) {  // it is whole now, and can be written
        Damage none;
        EXPECT_EQ(database.scan({}, [](Change&&) { return true; }, none), Fault::kNone);
        EXPECT_FALSE(none.any());
        EXPECT_EQ(none.rows, outcome.rows.size());
        EXPECT_EQ(database.probe(), Fault::kNone) << database.why();
    }
    return outcome;
}

std::string filled(const std::string& path, unsigned rows = kRows) {
    File database(path);
    FEDGATE_CHECK(database.open() == Fault::kNone);
    Batch batch;
    for (unsigned i = 0; i < rows; ++i) add(batch, row(name(i), static_cast<std::uint8_t>(i)));
    const Batch* all[] = {&batch};
    FEDGATE_CHECK(database.write(all) == Fault::kNone);
    database.close();
    return read(path);
}

int run_sql(const std::string& path, const char* sql) {
    sqlite3* database = nullptr;
    int result = sqlite3_open(path.c_str(), &database);
    if (result == SQLITE_OK) result = sqlite3_exec(database, sql, nullptr, nullptr, nullptr);
    sqlite3_close(database);
    return result;
}

TEST(File, KeepsChangesOverAClose) {
    const Directory directory;
    std::optional<File> database(directory.file());
    ASSERT_EQ(database->open(), Fault::kNone) << database->why();
    Batch first;
    add(first, row("juliet@xmpp.example", 1));
    add(first, row("nurse@xmpp.example", 2));
    Batch second;
    add(second, row("juliet@xmpp.example", 3));
    add(second, row("nurse@xmpp.example"), true);
    add(second, row("nobody@xmpp.example"), true);
    const Batch* all[] = {&first, &second};
    ASSERT_EQ(database->write(all), Fault::kNone) << database->why();
    EXPECT_EQ(database->rows(), 1U);
    database.reset();
    const Start outcome = start(directory.file());
    EXPECT_FALSE(outcome.reported);
    EXPECT_EQ(outcome.rows, (std::map<std::string, int>{{"juliet@xmpp.example", 3}}));
}

TEST(File, KeepsEveryByte) {
    const Directory directory;
    File database(directory.file());
    ASSERT_EQ(database.open(), Fault::kNone);
    std::string detail(20'000, '\0');
    for (std::size_t i = 0; i < detail.size(); ++i) detail[i] = static_cast<char>(i * 7);
    Batch batch;
    Row one = row("jülïet@xmpp.example", 255, detail);
    one.kind = Kind::kWatcher;
    one.changed = WallTime(std::chrono::seconds(-5));
    add(batch, one);
    add(batch, row("juliet@xmpp.example", 0, {}));
    const Batch* all[] = {&batch};
    ASSERT_EQ(database.write(all), Fault::kNone);
    std::vector<Change> found;
    Damage damage;
    ASSERT_EQ(database.scan(
                  {},
                  [&](Change&& change) {
                      found.push_back(std::move(change));
                      return true;
                  },
                  damage),
              Fault::kNone);
    EXPECT_FALSE(damage.any());
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].row().detail, "");
    const Row back = found[1].row();
    EXPECT_EQ(back.kind, Kind::kWatcher);
    EXPECT_EQ(back.xmpp, one.xmpp);
    EXPECT_EQ(back.sip, one.sip);
    EXPECT_EQ(back.auth, 255);
    EXPECT_EQ(back.changed, one.changed);
    EXPECT_EQ(back.detail, detail);
}

TEST(File, IsForItsOwnerOnly) {
    const Directory directory;
    File database(directory.file());
    ASSERT_EQ(database.open(), Fault::kNone);
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
        struct stat status{};
        ASSERT_EQ(stat((directory.file() + suffix).c_str(), &status), 0) << suffix;
        EXPECT_EQ(status.st_mode & 0777U, 0600U) << suffix;
    }
}

// What was acknowledged is there after kill -9, and each commit is there or not.
TEST(File, KeepsWhatWasAcknowledgedOverAKill) {
    const Directory directory;
    int acknowledged[2];
    ASSERT_EQ(pipe(acknowledged), 0);
    const pid_t child = fork();
    if (child == 0) {
        File database(directory.file());
        if (database.open() != Fault::kNone) _exit(1);
        for (unsigned i = 0;; i += 2) {
            Batch batch;
            add(batch, row(name(i)));
            add(batch, row(name(i + 1)));
            const Batch* all[] = {&batch};
            if (database.write(all) != Fault::kNone) _exit(2);
            if (::write(acknowledged[1], &i, sizeof i) != sizeof i) _exit(3);
        }
    }
    unsigned last = 0;
    while (last < 200 && ::read(acknowledged[0], &last, sizeof last) == sizeof last) continue;
    ASSERT_EQ(kill(child, SIGKILL), 0);
    waitpid(child, nullptr, 0);
    ::close(acknowledged[1]);
    while (::read(acknowledged[0], &last, sizeof last) == sizeof last) continue;
    ::close(acknowledged[0]);
    const Start outcome = start(directory.file());
    EXPECT_FALSE(outcome.reported);
    EXPECT_GE(outcome.rows.size(), last + 2);
    EXPECT_EQ(outcome.rows.size() % 2, 0U);
}

// A flipped bit, anywhere: nothing wrong is ever told, what is lost is reported, and what is not
// touched by it is saved.
TEST(File, AFlippedBitIsFoundAndTheRestSaved) {
    const Directory directory;
    const std::string whole = filled(directory.file());
    ASSERT_GT(whole.size(), 8 * 4'096U);
    unsigned found = 0;
    unsigned lost_most = 0;
    unsigned tries = 0;
    std::size_t lost = 0;
    // The first page, the root and the inner pages are small targets: they are tried bit by bit.
    for (std::size_t bit = 0; bit < whole.size() * 8; bit += bit < 120 * 8 ? 11 : 2'503) {
        SCOPED_TRACE(bit);
        ++tries;
        const Directory other;
        std::string bytes = whole;
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
        write(other.file(), bytes);
        const Start outcome = start(other.file());
        ASSERT_TRUE(outcome.fault == Fault::kNone || outcome.fault == Fault::kForeign);
        for (const auto& [key, auth] : outcome.rows) {
            const unsigned number = static_cast<unsigned>(std::stoul(key.substr(4, 6)));
            ASSERT_LT(number, kRows);
            ASSERT_EQ(auth, number & 0xff);
        }
        const std::size_t missing = kRows - outcome.rows.size();
        EXPECT_TRUE(missing == 0 || outcome.reported || outcome.fault != Fault::kNone);
        if (outcome.reported) {
            ++found;
            EXPECT_EQ(read(outcome.aside).size(), whole.size());
        }
        lost += missing;
        if (missing > 60) ++lost_most;  // more than a page of rows
    }
    EXPECT_GT(found, tries / 2);
    EXPECT_LE(lost_most, tries / 100);
    std::printf("flipped %u times: found %u, rows lost %zu of %u each, a page and more %u times\n",
                tries, found, lost, kRows, lost_most);
}

TEST(File, ACutFileIsFoundAndTheRestSaved) {
    const Directory directory;
    const std::string whole = filled(directory.file());
    for (std::size_t size = 0; size < whole.size(); size += 1'999) {
        SCOPED_TRACE(size);
        const Directory other;
        write(other.file(), whole.substr(0, size));
        const Start outcome = start(other.file());
        EXPECT_EQ(outcome.fault, Fault::kNone);
        EXPECT_TRUE(outcome.reported);
        EXPECT_EQ(read(outcome.aside).size(), size);
        const std::size_t pages = size / 4'096;  // two of them hold no rows, one is the inner one
        EXPECT_GE(outcome.rows.size(), pages > 4 ? (pages - 4) * 20 : 0);
    }
}

TEST(File, MostOfALargeFileThatWasCutIsSaved) {
    const Directory directory;
    constexpr unsigned kMany = 20'000;
    const std::string whole = filled(directory.file(), kMany);
    write(directory.file(), whole.substr(0, whole.size() / 4 * 3));
    const Start outcome = start(directory.file());
    EXPECT_EQ(outcome.fault, Fault::kNone);
    EXPECT_TRUE(outcome.reported);
    EXPECT_GT(outcome.rows.size(), kMany * 6 / 10);
}

// One after the other they fill their pages in order: the root leads to the last ones.
TEST(File, HalfOfAFileThatWasCutInTwoIsSaved) {
    const Directory directory;
    {
        File database(directory.file());
        ASSERT_EQ(database.open(), Fault::kNone);
        for (unsigned i = 0; i < 5'000; i += 50) {
            Batch batch;
            for (unsigned j = i; j < i + 50; ++j) add(batch, row(name(j)));
            const Batch* all[] = {&batch};
            ASSERT_EQ(database.write(all), Fault::kNone);
        }
    }
    const std::string whole = read(directory.file());
    write(directory.file(), whole.substr(0, whole.size() / 2));
    File database(directory.file());
    ASSERT_EQ(database.open(), Fault::kDamaged);
    Damage damage;
    std::string aside;
    ASSERT_EQ(database.rebuild(kNow, damage, aside), Fault::kNone);
    EXPECT_EQ(damage.expected, 5'000U);
    EXPECT_GT(damage.rows, 2'000U);
}

TEST(File, AHiddenRowIsMissed) {
    const Directory directory;
    filled(directory.file());
    ASSERT_EQ(run_sql(directory.file(),
                      "DROP TRIGGER row_goes; DELETE FROM subscriptions WHERE auth = 7;"
                      "CREATE TRIGGER row_goes AFTER DELETE ON subscriptions BEGIN\n"
                      "  UPDATE contents SET rows = rows - 1, crcs = crcs - OLD.crc;\n"
                      "END"),
              SQLITE_OK);
    const Start outcome = start(directory.file());
    EXPECT_TRUE(outcome.reported);
    EXPECT_EQ(outcome.rows.size(), kRows - 2);  // 7 and 263
}

TEST(File, ARowThatIsNotWhatItWasIsLeftOut) {
    const Directory directory;
    filled(directory.file());
    ASSERT_EQ(run_sql(directory.file(),
                      "UPDATE subscriptions SET auth = 8 WHERE xmpp LIKE 'user000007%'"),
              SQLITE_OK);
    const Start outcome = start(directory.file());
    EXPECT_TRUE(outcome.reported);
    EXPECT_EQ(outcome.rows.size(), kRows - 1);
}

TEST(File, WhatIsNoDatabaseIsSetAsideUnderItsNameOnly) {
    const Directory directory;
    write(directory.file(), "this is no database\n");
    const Start outcome = start(directory.file());
    EXPECT_EQ(outcome.fault, Fault::kNone);
    EXPECT_EQ(read(outcome.aside), "this is no database\n");
    write(directory.file("passwd"), "root:x:0:0\n");
    EXPECT_EQ(start(directory.file("passwd")).fault, Fault::kForeign);
    EXPECT_EQ(read(directory.file("passwd")), "root:x:0:0\n");
}

TEST(File, AnothersDatabaseIsLeftAlone) {
    const Directory directory;
    ASSERT_EQ(run_sql(directory.file(), "CREATE TABLE people (name)"), SQLITE_OK);
    const std::string before = read(directory.file());
    File database(directory.file());
    EXPECT_EQ(database.open(), Fault::kForeign);
    EXPECT_EQ(database.why(), "is a database of another program");
    EXPECT_EQ(read(directory.file()), before);
}

TEST(File, ALaterVersionIsLeftAlone) {
    const Directory directory;
    filled(directory.file());
    ASSERT_EQ(run_sql(directory.file(), "PRAGMA user_version = 2; UPDATE contents SET version = 2"),
              SQLITE_OK);
    const std::string before = read(directory.file());
    File database(directory.file());
    EXPECT_EQ(database.open(), Fault::kForeign);
    EXPECT_EQ(database.why(), "was written by a later version of Fedgate");
    EXPECT_EQ(read(directory.file()), before);
}

TEST(File, TwoProcessesDoNotShareOne) {
    const Directory directory;
    File first(directory.file());
    ASSERT_EQ(first.open(), Fault::kNone);
    File second(directory.file());
    EXPECT_EQ(second.open(), Fault::kInUse);
    EXPECT_EQ(first.probe(), Fault::kNone);
}

TEST(File, AnAdministratorMayReadAndBackUpMeanwhile) {
    const Directory directory;
    File database(directory.file());
    ASSERT_EQ(database.open(), Fault::kNone);
    Batch batch;
    add(batch, row("juliet@xmpp.example"));
    const Batch* all[] = {&batch};
    ASSERT_EQ(database.write(all), Fault::kNone);
    const std::string copy = "VACUUM INTO '" + directory.file("copy.db") + "'";
    EXPECT_EQ(run_sql(directory.file(), copy.c_str()), SQLITE_OK);
    EXPECT_EQ(start(directory.file("copy.db")).rows.size(), 1U);
    EXPECT_EQ(database.write(all), Fault::kNone) << database.why();
}

// Files may not grow beyond a size: what a full disk says, but for the errno.
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) {
        std::signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit now{bytes, before_.rlim_max};
        setrlimit(RLIMIT_FSIZE, &now);
    }
    ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;

private:
    rlimit before_{};
};

TEST(File, AFullDiskIsSaidAndHeals) {
    const Directory directory;
    File database(directory.file());
    ASSERT_EQ(database.open(), Fault::kNone);
    Batch kept;
    add(kept, row("juliet@xmpp.example"));
    const Batch* first[] = {&kept};
    ASSERT_EQ(database.write(first), Fault::kNone);
    Batch big;
    for (unsigned i = 0; i < 2'000; ++i) add(big, row(name(i)));
    const Batch* second[] = {&big};
    {
        const FileSizeLimit limit(65'536);
        ASSERT_EQ(database.write(second), Fault::kUnusable);
        EXPECT_EQ(database.why(), "can't be written: File too large");
    }
    EXPECT_EQ(database.rows(), 1U);
    ASSERT_EQ(database.probe(), Fault::kNone);
    ASSERT_EQ(database.write(second), Fault::kNone) << database.why();
    EXPECT_EQ(database.rows(), 2'001U);
}

TEST(File, AFullDiskAtStartLetsTheRowsBeRead) {
    const Directory directory;
    filled(directory.file());
    const FileSizeLimit limit(0);
    File database(directory.file());
    ASSERT_EQ(database.open(), Fault::kUnusable);
    EXPECT_NE(database.why().find("File too large"), std::string::npos) << database.why();
    ASSERT_EQ(database.open_to_read(), Fault::kNone);
    Damage damage;
    EXPECT_EQ(database.scan({}, [](Change&&) { return true; }, damage), Fault::kNone);
    EXPECT_EQ(damage.rows, kRows);
    EXPECT_FALSE(damage.any());
}

// Root may write everywhere: its files are looked for as somebody else's.
class AsNobody {
public:
    AsNobody() {
        if (geteuid() == 0) setfsuid(65'534);
    }
    ~AsNobody() { setfsuid(geteuid()); }
    AsNobody(const AsNobody&) = delete;
    AsNobody& operator=(const AsNobody&) = delete;
};

TEST(File, ADirectoryThatCanOnlyBeReadIsSaidAndRead) {
    const Directory directory;
    filled(directory.file());
    std::filesystem::permissions(directory.file(), std::filesystem::perms(0444));
    std::filesystem::remove(directory.file(".lock"));
    std::filesystem::permissions(directory.path(), std::filesystem::perms(0555));
    const AsNobody nobody;
    File database(directory.file());
    ASSERT_EQ(database.open(), Fault::kUnusable);
    EXPECT_NE(database.why().find("can't be"), std::string::npos) << database.why();
    ASSERT_EQ(database.open_to_read(), Fault::kNone) << database.why();
    Damage damage;
    EXPECT_EQ(database.scan({}, [](Change&&) { return true; }, damage), Fault::kNone);
    EXPECT_EQ(damage.rows, kRows);
}

TEST(File, SaysWhyItCantBeMade) {
    const Directory directory;
    File nowhere(directory.file("nowhere/fedgate.db"));
    EXPECT_EQ(nowhere.open(), Fault::kUnusable);
    EXPECT_EQ(nowhere.why(), "can't be made: No such file or directory");
    std::filesystem::permissions(directory.path(), std::filesystem::perms(0555));
    const AsNobody nobody;
    File denied(directory.file());
    EXPECT_EQ(denied.open(), Fault::kUnusable);
    EXPECT_EQ(denied.why(), "can't be made: Permission denied");
}

TEST(File, AFileThatIsTakenAwayIsMissed) {
    const Directory directory;
    File database(directory.file());
    ASSERT_EQ(database.open(), Fault::kNone);
    std::filesystem::rename(directory.file(), directory.file("elsewhere"));
    Batch batch;
    add(batch, row("juliet@xmpp.example"));
    const Batch* all[] = {&batch};
    EXPECT_EQ(database.write(all), Fault::kUnusable);
    EXPECT_EQ(database.why(), "was moved or removed while in use");
    std::filesystem::rename(directory.file("elsewhere"), directory.file());
    EXPECT_EQ(database.write(all), Fault::kNone);
}

TEST(File, FewDamagedFilesAreKept) {
    const Directory directory;
    std::string newest;
    for (int i = 0; i < 7; ++i) {
        write(directory.file(), "damage " + std::to_string(i));
        newest = start(directory.file(), kNow + std::chrono::seconds(i)).aside;
    }
    const std::vector<std::string> kept = File(directory.file()).set_aside();
    EXPECT_EQ(kept.size(), 4U);
    EXPECT_EQ(kept.back(), newest);
    EXPECT_EQ(read(newest), "damage 6");
}

}  // namespace
}  // namespace fedgate::store
