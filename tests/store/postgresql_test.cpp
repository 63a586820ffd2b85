// The store on real servers of PostgreSQL: rows, what becomes of them when a server goes, and nodes
// that share one.
#include "appliance/store/postgresql.hpp"

#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "tests/store/postgresql_server.hpp"
#include "tests/store/process.hpp"

namespace fedgate::store {
namespace {

using namespace test;

std::unique_ptr<Database> of(const std::string& url, const std::string& node = "gw1.example") {
    return std::make_unique<PostgreSql>(url, node);
}

Slots all_slots() { return ~Slots(); }

// Opened, and all slots its own.
std::unique_ptr<PostgreSql> alone_at(const PostgreSqlServer& server) {
    auto database = std::make_unique<PostgreSql>(server.url(), "gw1.example");
    EXPECT_EQ(database->open(), Fault::kNone) << database->why();
    Shares shares;
    EXPECT_EQ(database->meet(shares), Fault::kNone) << database->why();
    EXPECT_EQ(shares.gained, all_slots());
    return database;
}

std::vector<Change> rows_of(Database& database, const Slots& slots = all_slots()) {
    std::vector<Change> rows;
    Damage damage;
    EXPECT_EQ(database.scan(
                  slots,
                  [&](Change&& change) {
                      rows.push_back(std::move(change));
                      return true;
                  },
                  damage),
              Fault::kNone)
        << database.why();
    return rows;
}

Fault commit(Database& database, const Batch& batch) {
    const Batch* const all[] = {&batch};
    return database.write(all);
}

TEST(PostgreSql, UrlsAreJudged) {
    EXPECT_EQ(fault_of_url("postgresql://fedgate@db1,db2:5433/fedgate?sslmode=verify-full"), "");
    EXPECT_EQ(fault_of_url("postgres://db/fedgate?passfile=/etc/fedgate/pgpass"), "");
    for (const char* url :
         {"postgresql://fedgate:geheim@db/fedgate", "postgresql://db/fedgate?password=geheim",
          "postgresql://db/fedgate?sslpassword=geheim"}) {
        const std::string fault = fault_of_url(url);
        EXPECT_NE(fault.find("holds a password"), std::string::npos) << fault;
        EXPECT_EQ(fault.find("geheim"), std::string::npos);
    }
    for (const char* url : {"postgresql://db/fedgate?sslmod=verify-full", "postgresql://[::1/x",
                            "postgresql://db/%zz"}) {
        EXPECT_NE(fault_of_url(url).find("is no URL like postgresql://"), std::string::npos) << url;
    }
    // Nor is a password told that is in the wrong place, or written in a way that makes it none.
    for (const char* url :
         {"postgresql://fedgate:geh/eim@db/fedgate", "postgresql://fedgate:12/geheim@db/fedgate",
          "postgresql://fedgate:geheim%zz@db/fedgate", "postgresql://fedgate:geheim?x@db/fedgate",
          "postgresql://db/fedgate?geheim", "postgresql://db/fedgate?geheim=x",
          "postgresql://db/fedgate?x=y=geheim", "postgresql://[::1]geheim/x", "geheim",
          "host=db geheim", "password='geheim"}) {
        const std::string fault = fault_of_url(url);
        EXPECT_NE(fault, "") << url;
        EXPECT_EQ(fault.find("geh"), std::string::npos) << fault;
        EXPECT_EQ(fault.find("eim"), std::string::npos) << fault;
    }
}

TEST(PostgreSql, KeepsEveryByte) {
    const PostgreSqlServer server;
    auto database = alone_at(server);
    std::string detail;
    for (int i = 0; i < 32'768; ++i) detail += static_cast<char>(i * 7);
    Batch batch;
    Row good = row("j\xC3\xBCliet'\\@xmpp.example", 3, detail);
    add(batch, good);
    good.kind = Kind::kWatcher;
    good.changed = WallTime(std::chrono::seconds(-5));
    good.auth = 255;
    good.detail = {};
    add(batch, good);
    ASSERT_EQ(commit(*database, batch), Fault::kNone) << database->why();
    EXPECT_EQ(database->rows(), 2U);
    database->close();
    ASSERT_EQ(database->open(), Fault::kNone);
    const auto rows = rows_of(*database);
    ASSERT_EQ(rows.size(), 2U);
    for (const Change& change : rows) {
        const Row found = change.row();
        EXPECT_EQ(found.xmpp, good.xmpp);
        EXPECT_EQ(found.sip, good.sip);
        EXPECT_EQ(found.auth, found.kind == Kind::kWatch ? 3 : 255);
        EXPECT_EQ(found.detail, found.kind == Kind::kWatch ? Bytes(detail) : Bytes());
        EXPECT_EQ(found.changed.time_since_epoch().count(),
                  found.kind == Kind::kWatch ? 1'800'000'000 : -5);
    }
}

TEST(PostgreSql, ChangesAndErasesRows) {
    const PostgreSqlServer server;
    auto database = alone_at(server);
    Batch first;
    for (unsigned i = 0; i < 3'000; ++i) add(first, row(name(i)));
    ASSERT_EQ(commit(*database, first), Fault::kNone) << database->why();
    EXPECT_EQ(database->rows(), 3'000U);
    Batch second;
    for (unsigned i = 0; i < 3'000; ++i) {
        if (i % 3 != 0) add(second, row(name(i), 2), i % 3 == 1);
    }
    add(second, row("nobody@xmpp.example"), true);
    add(second, row("nurse@xmpp.example", 2));
    ASSERT_EQ(commit(*database, second), Fault::kNone) << database->why();
    EXPECT_EQ(database->rows(), 2'001U);
    std::size_t changed = 0;
    const auto rows = rows_of(*database);
    for (const Change& change : rows) changed += change.auth == 2 ? 1 : 0;
    EXPECT_EQ(rows.size(), 2'001U);
    EXPECT_EQ(changed, 1'001U);
    EXPECT_EQ(server.ask("SELECT count(*) FROM fedgate_subscriptions"), "2001");
}

TEST(PostgreSql, AnothersTablesAreLeftAlone) {
    const PostgreSqlServer server;
    EXPECT_EQ(server.ask("CREATE TABLE fedgate_contents (version integer, slots integer); INSERT "
                         "INTO fedgate_contents VALUES (2, 256)"),
              "");
    PostgreSql later(server.url(), "gw1.example");
    EXPECT_EQ(later.open(), Fault::kForeign);
    EXPECT_EQ(later.why(), "was made by another version of Fedgate");
    EXPECT_EQ(server.ask("CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"),
              "");
    PostgreSql old("postgresql://fedgate@/old?host=" + server.directory(), "gw1.example");
    EXPECT_EQ(old.open(), Fault::kForeign);
    EXPECT_EQ(old.why(), "has the encoding LATIN1, not UTF8");
}

TEST(PostgreSql, ManyMakeTheTablesAtOnce) {
    const PostgreSqlServer server;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&, i] {
            PostgreSql database(server.url(), "gw" + std::to_string(i));
            EXPECT_EQ(database.open(), Fault::kNone) << database.why();
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(server.ask("SELECT count(*) FROM fedgate_slots"), "256");
    EXPECT_EQ(server.ask("SELECT count(*) FROM fedgate_contents"), "1");
}

TEST(PostgreSql, RowsComeBackToTheNextProcess) {
    const PostgreSqlServer server;
    {
        Process process(of(server.url()));
        ASSERT_TRUE(process.restored(0));
        ASSERT_TRUE(Process::until([&] { return process.put("juliet@xmpp.example").has_value(); }));
        process.on_shard(1, [](Door& door) {
            for (unsigned i = 0; i < 5'000; ++i) FEDGATE_CHECK(door.put(row(name(i))).has_value());
            return 0;
        });
        ASSERT_TRUE(Process::until([&] { return process.listeners[0].kept == 1; }));
    }
    EXPECT_EQ(server.ask("SELECT count(*) FROM fedgate_slots WHERE owner <> ''"), "0");
    EXPECT_EQ(server.ask("SELECT count(*) FROM fedgate_nodes"), "0");
    Process process(of(server.url()));
    EXPECT_TRUE(process.restored(5'001));
    EXPECT_EQ(process.store().status().rows, 5'001U);
    EXPECT_LE(process.listeners[1].most_at_once, 256U);
}

// ---- The server goes

TEST(PostgreSqlAway, WhatStandsGoesOnAndIsCaughtUp) {
    PostgreSqlServer server;
    Process process(of(server.url()));
    ASSERT_TRUE(process.restored(0));
    ASSERT_TRUE(process.keep("juliet@xmpp.example"));
    server.end(SIGQUIT);
    const auto lost = process.put("nurse@xmpp.example");
    ASSERT_TRUE(lost.has_value());
    ASSERT_TRUE(Process::until([&] { return process.listeners[0].refused == *lost; }));
    EXPECT_FALSE(process.put("tybalt@xmpp.example").has_value());
    // The other shard is told, too; what stands there may change.
    ASSERT_TRUE(Process::until(
        [&] { return process.on_shard(1, [](Door& door) { return door.failing(); }); }));
    EXPECT_TRUE(process.on_shard(0, [](Door& door) {
        return door.update(row("juliet@xmpp.example", 2)).has_value() &&
               door.erase(Kind::kWatch, "nurse@xmpp.example", "romeo@sip.example").has_value();
    }));
    const std::string remark = process.remark();
    EXPECT_NE(remark.find("the store postgresql://fedgate@/postgres "), std::string::npos)
        << remark;
    EXPECT_NE(remark.find("new subscriptions are refused"), std::string::npos) << remark;
    server.start();
    ASSERT_TRUE(Process::until([&] { return process.remark().empty(); })) << process.remark();
    ASSERT_TRUE(process.keep("tybalt@xmpp.example"));
    EXPECT_EQ(server.ask("SELECT string_agg(xmpp || ' ' || auth, ',' ORDER BY xmpp) "
                         "FROM fedgate_subscriptions"),
              "juliet@xmpp.example 2,tybalt@xmpp.example 1");
    EXPECT_EQ(process.listeners[0].lost, 0U);
    const std::string log = process.log();
    EXPECT_NE(log.find("The store failed"), std::string::npos) << log;
    EXPECT_NE(log.find("The store works again"), std::string::npos) << log;
}

TEST(PostgreSqlAway, AServerThatComesLateIsReadThen) {
    PostgreSqlServer server;
    {
        Process process(of(server.url()));
        ASSERT_TRUE(process.keep("juliet@xmpp.example"));
    }
    server.end(SIGQUIT);
    Process process(of(server.url()));
    ASSERT_TRUE(process.restored(0));
    EXPECT_FALSE(process.put("nurse@xmpp.example").has_value());
    server.start();
    EXPECT_TRUE(process.restored(1, 2));
    EXPECT_TRUE(process.keep("nurse@xmpp.example"));
}

TEST(PostgreSqlAway, AReplicaTakesThePlaceOfADeadPrimary) {
    PostgreSqlServer primary;
    PostgreSqlServer replica(primary);
    const std::string url = replica.url() + ',' + primary.directory();  // whichever takes writes
    Process process(of(url));
    ASSERT_TRUE(process.restored(0));
    ASSERT_TRUE(process.keep("juliet@xmpp.example"));
    const std::string count = "SELECT count(*) FROM fedgate_subscriptions";
    PostgreSqlServer::wait([&] { return replica.ask(count) == "1"; });
    primary.end(SIGKILL);
    ASSERT_TRUE(Process::until([&] { return !process.remark().empty(); }));
    EXPECT_FALSE(process.put("nurse@xmpp.example").has_value());
    EXPECT_TRUE(process.on_shard(
        0, [](Door& door) { return door.update(row("juliet@xmpp.example", 3)).has_value(); }));
    replica.promote();
    ASSERT_TRUE(process.keep("nurse@xmpp.example"));
    EXPECT_EQ(process.remark(), "");
    EXPECT_EQ(replica.ask("SELECT string_agg(xmpp || ' ' || auth, ',' ORDER BY xmpp) "
                          "FROM fedgate_subscriptions"),
              "juliet@xmpp.example 3,nurse@xmpp.example 1");
    EXPECT_EQ(process.listeners[0].lost, 0U);
}

TEST(PostgreSqlAway, AServerThatHangsIsNotWaitedFor) {
    PostgreSqlServer server;
    Process process(of(server.url()));
    ASSERT_TRUE(process.keep("juliet@xmpp.example"));
    const std::string pid =
        server.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'fedgated'");
    kill(std::stoi(pid), SIGSTOP);
    const auto sequence = process.put("nurse@xmpp.example");
    ASSERT_TRUE(sequence.has_value());
    EXPECT_TRUE(Process::until([&] { return process.listeners[0].refused == *sequence; }));
    EXPECT_TRUE(Process::until([&] { return process.listeners[0].kept == *sequence; }));
    kill(std::stoi(pid), SIGCONT);
    EXPECT_NE(process.log().find("no answer within 5 s"), std::string::npos);
}

// ---- TLS

TEST(PostgreSqlTls, TheServerIsWhoseNameItHas) {
    PostgreSqlServer server;
    const Directory files;
    const auto make = [&](const std::string& name) {
        run_program({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                     "/CN=db.example", "-addext", "subjectAltName=DNS:db.example", "-keyout",
                     files.file(name + ".key"), "-out", files.file(name + ".crt")},
                    files.file("log"));
    };
    std::filesystem::permissions(files.path(), std::filesystem::perms::all);
    make("good");
    make("other");
    EXPECT_EQ(server.ask("ALTER ROLE fedgate PASSWORD 'geheim'"), "");
    server.end(SIGQUIT);
    server.use_tls(read(files.file("good.crt")), read(files.file("good.key")));
    server.start();
    write(files.file("pgpass"), "*:*:*:fedgate:geheim\n");
    std::filesystem::permissions(files.file("pgpass"), std::filesystem::perms::owner_read);
    const auto fault_with = [&](const std::string& host, const std::string& more) {
        PostgreSql database("postgresql://fedgate@" + host + ":" + std::to_string(server.port()) +
                                "/postgres?hostaddr=127.0.0.1&passfile=" + files.file("pgpass") +
                                more,
                            "gw1.example");
        return database.open() == Fault::kNone ? std::string() : database.why();
    };
    const std::string root = "&sslrootcert=";
    EXPECT_EQ(fault_with("db.example", root + files.file("good.crt")), "");
    EXPECT_NE(fault_with("db.example", root + files.file("other.crt")).find("verify failed"),
              std::string::npos);
    EXPECT_NE(fault_with("other.example", root + files.file("good.crt")).find("does not match"),
              std::string::npos);
    EXPECT_NE(fault_with("db.example", "").find("root certificate file"), std::string::npos);
    EXPECT_NE(fault_with("db.example", "&sslmode=disable").find("can't be reached"),
              std::string::npos);
}

// ---- A pool

constexpr Pace kFast{.turn = std::chrono::milliseconds(50),
                     .lease = std::chrono::milliseconds(1'000)};

// Nobody dies: a busy machine is not to make it seem so.
constexpr Pace kPatient{.turn = std::chrono::milliseconds(50),
                        .lease = std::chrono::milliseconds(60'000)};

// In a pool of gw1.example and gw2.example.
bool second_has(const std::string& xmpp) {
    const std::size_t slot = slot_of(xmpp, "romeo@sip.example");
    return score_of("gw2.example", slot) > score_of("gw1.example", slot);
}

// A node without a process: it does what the test says.
class Node {
public:
    Node(const PostgreSqlServer& server, const std::string& name)
        : database_(server.url(), name, kFast) {
        FEDGATE_CHECK(database_.open() == Fault::kNone);
    }
    // Its turn; gives up at once what others wait for.
    Shares meet() {
        Shares shares;
        EXPECT_EQ(database_.meet(shares), Fault::kNone) << database_.why();
        EXPECT_EQ(database_.give_up(shares.due), Fault::kNone);
        mine_ = (mine_ | shares.gained) & ~shares.lost & ~shares.due;
        return shares;
    }
    bool meets_until(const std::function<bool()>& predicate) {
        return Process::until([&] {
            meet();
            return predicate();
        });
    }
    [[nodiscard]] const Slots& mine() const { return mine_; }
    PostgreSql& database() { return database_; }

private:
    PostgreSql database_;
    Slots mine_;
};

TEST(PostgreSqlPool, TwoNodesShareAsEdgesChoose) {
    const PostgreSqlServer server;
    Node one(server, "gw1.example");
    EXPECT_EQ(one.meet().gained, all_slots());
    Node two(server, "gw2.example");
    EXPECT_TRUE(two.meet().gained.none());  // all have an owner who is alive
    ASSERT_TRUE(one.meets_until([&] { return two.meet(), (one.mine() | two.mine()).all(); }));
    EXPECT_TRUE((one.mine() & two.mine()).none());
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        EXPECT_EQ(one.mine()[slot], score_of("gw1.example", slot) > score_of("gw2.example", slot));
    }
    EXPECT_EQ(one.database().describe_shares(), "gw1.example has " +
                                                    std::to_string(one.mine().count()) +
                                                    " of 256 slots, gw2.example is there");
    two.database().retire();
    EXPECT_EQ(one.meet().gained, two.mine());
    EXPECT_TRUE(one.mine().all());
}

TEST(PostgreSqlPool, ADeadNodesSlotsAreTakenAndItMayWriteNoMore) {
    const PostgreSqlServer server;
    Node one(server, "gw1.example");
    Node two(server, "gw2.example");
    ASSERT_TRUE(one.meets_until([&] { return two.meet(), two.mine().any() && one.mine().any(); }));
    Batch batch;
    for (unsigned i = 0; i < 100; ++i) {
        if (two.mine()[slot_of(name(i), "romeo@sip.example")]) add(batch, row(name(i)));
    }
    ASSERT_EQ(commit(two.database(), batch), Fault::kNone);
    EXPECT_FALSE(two.database().is_behind());
    // It says nothing any more, but does not know.
    ASSERT_TRUE(one.meets_until([&] { return one.mine().all(); }));
    EXPECT_EQ(rows_of(one.database()).size(), batch.changes.size());
    Batch late;
    add(late, row("late@xmpp.example"));
    for (auto& [key, change] : batch.changes) add(late, change.row(), true);
    EXPECT_EQ(commit(two.database(), late), Fault::kNone);
    EXPECT_TRUE(two.database().is_behind());
    EXPECT_EQ(rows_of(one.database()).size(), batch.changes.size());
    const Slots had = two.mine();
    EXPECT_EQ(two.meet().lost, had);
    EXPECT_TRUE(two.mine().none());
    // It is back: its slots go back.
    ASSERT_TRUE(one.meets_until([&] { return two.meet(), two.mine() == had; }));
    EXPECT_EQ(rows_of(two.database(), had).size(), batch.changes.size());
}

TEST(PostgreSqlPool, AfterAnOutageOfTheServerNobodyIsTakenForDead) {
    PostgreSqlServer server;
    Node one(server, "gw1.example");
    Node two(server, "gw2.example");
    ASSERT_TRUE(one.meets_until([&] { return two.meet(), two.mine().any() && one.mine().any(); }));
    one.meet();  // and has seen all that the other one has done
    const Slots before = one.mine();
    std::this_thread::sleep_for(kFast.lease * 2);  // nobody can meet anybody
    EXPECT_TRUE(one.meet().gained.none());
    EXPECT_TRUE(two.meet().lost.none());
    EXPECT_TRUE(one.meet().gained.none());
    EXPECT_EQ(one.mine(), before);
}

// A transaction of one that does not end holds up nobody: its slots are left out until it does.
TEST(PostgreSqlPool, ASlowTransactionKeepsItsSlotsAndNoOthers) {
    const PostgreSqlServer server;
    Node(server, "gw1.example").database().retire();  // the tables are there
    std::jthread slow([&] {
        EXPECT_EQ(server.ask("BEGIN; SELECT * FROM fedgate_slots WHERE slot < 10 FOR SHARE; "
                             "SELECT pg_sleep(20)"),
                  "ERROR:  canceling statement due to user request\n");
    });
    PostgreSqlServer::wait([&] {
        return server.ask(
                   "SELECT count(*) FROM pg_stat_activity "
                   "WHERE wait_event = 'PgSleep'") == "1";
    });
    PostgreSql next(server.url(), "gw2.example");
    ASSERT_EQ(next.open(), Fault::kNone);
    Shares shares;
    EXPECT_EQ(next.meet(shares), Fault::kNone) << next.why();
    EXPECT_EQ(shares.gained, all_slots() << 10);
    shares = {};
    EXPECT_EQ(next.meet(shares), Fault::kNone) << next.why();
    EXPECT_TRUE(shares.gained.none());
    server.ask("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    slow.join();
    shares = {};
    EXPECT_EQ(next.meet(shares), Fault::kNone) << next.why();
    EXPECT_EQ(shares.gained, all_slots() >> (kSlots - 10));
}

TEST(PostgreSqlPool, ANameHasOneProcess) {
    const PostgreSqlServer server;
    Node old(server, "gw1.example");
    EXPECT_EQ(old.meet().gained, all_slots());
    Node next(server, "gw1.example");
    EXPECT_EQ(next.meet().gained, all_slots());
    Shares shares;
    EXPECT_EQ(old.database().meet(shares), Fault::kInUse);
    EXPECT_EQ(old.database().why(), "is in use by another fedgated with the name gw1.example");
    EXPECT_EQ(shares.lost, all_slots());
    Batch batch;
    add(batch, row("juliet@xmpp.example"));
    EXPECT_EQ(commit(old.database(), batch), Fault::kNone);
    EXPECT_TRUE(old.database().is_behind());
    EXPECT_EQ(commit(next.database(), batch), Fault::kNone);
    EXPECT_EQ(next.database().rows(), 1U);
    // The next one is killed.
    EXPECT_TRUE(Process::until([&] {
        Shares now;
        return old.database().meet(now) == Fault::kNone && now.gained.all();
    }));
}

// ... and processes.
TEST(PostgreSqlPool, RowsGoWithTheirSlots) {
    const PostgreSqlServer server;
    constexpr unsigned kRows = 10'000;
    Process one(std::make_unique<PostgreSql>(server.url(), "gw1.example", kPatient));
    ASSERT_TRUE(one.restored(0));
    ASSERT_TRUE(Process::until([&] {
        return one.store().status().shares.find("256 of") != std::string::npos &&
               one.put(name(0)).has_value();
    }));
    const auto last = one.on_shard(0, [](Door& door) {
        std::optional<Sequence> sequence;
        for (unsigned i = 0; i < kRows; ++i) FEDGATE_CHECK(sequence = door.put(row(name(i))));
        return *sequence;
    });
    ASSERT_TRUE(Process::until([&] { return one.listeners[0].kept == last; }));
    Slots twos;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        twos.set(slot, score_of("gw2.example", slot) > score_of("gw1.example", slot));
    }
    std::size_t moving = 0;
    for (unsigned i = 0; i < kRows; ++i) moving += twos[slot_of(name(i), "romeo@sip.example")];
    const auto in_twos = [&](std::size_t slot) { return twos[slot]; };
    std::string at_two = "at two";
    std::string at_one = "at one";
    while (!in_twos(slot_of(at_two, "romeo@sip.example"))) at_two += '2';
    while (in_twos(slot_of(at_one, "romeo@sip.example"))) at_one += '1';
    auto two = std::make_unique<Process>(
        std::make_unique<PostgreSql>(server.url(), "gw2.example", kPatient));
    ASSERT_TRUE(two->keep(at_two));
    EXPECT_TRUE(Process::until([&] { return one.listeners[0].lost == twos.count(); }));
    ASSERT_TRUE(
        Process::until([&] { return two->listeners[0].rows + two->listeners[1].rows == moving; }));
    EXPECT_FALSE(one.put(at_two).has_value());
    EXPECT_FALSE(two->put(at_one).has_value());
    EXPECT_TRUE(one.keep(at_one));
    EXPECT_EQ(two->store().status().rows, moving + 1);
    EXPECT_EQ(one.store().status().rows, kRows - moving + 1);
    // In peace: at once.
    const std::size_t before = one.listeners[0].rows + one.listeners[1].rows;
    two.reset();
    ASSERT_TRUE(Process::until(
        [&] { return one.listeners[0].rows + one.listeners[1].rows == before + moving + 1; }));
    EXPECT_TRUE(one.keep(at_two));
}

// Its server is there, and it can't reach it: another one is to have what it had, and not both.
TEST(PostgreSqlPool, WhoIsCutOffLetsGoBeforeAnotherTakes) {
    const PostgreSqlServer server;
    Process one(
        std::make_unique<PostgreSql>(server.url() + "&application_name=one", "gw1.example"));
    Process two(std::make_unique<PostgreSql>(server.url(), "gw2.example"));
    std::string at_one = "at one";
    while (second_has(at_one)) at_one += '1';
    ASSERT_TRUE(one.keep(at_one));
    std::string at_two = "at two";
    while (!second_has(at_two)) at_two += '2';
    ASSERT_TRUE(two.keep(at_two));
    for (std::uint32_t i = 0; i < 2; ++i) {
        one.on_shard(i, [](Door& door) { return door.set_others_hold(true), 0; });
    }
    const std::size_t rows = two.listeners[0].rows + two.listeners[1].rows;
    const std::string pid =
        server.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'one'");
    kill(std::stoi(pid), SIGSTOP);
    const auto let_go = [&] {
        return one.listeners[0].tenure == Tenure::kLost && one.listeners[1].tenure == Tenure::kLost;
    };
    while (!let_go()) {
        ASSERT_EQ(two.listeners[0].rows + two.listeners[1].rows, rows);
        std::this_thread::sleep_for(1ms);
    }
    EXPECT_FALSE(one.put(at_one).has_value());
    EXPECT_TRUE(two.keep(at_one));
    EXPECT_EQ(two.listeners[0].rows + two.listeners[1].rows, rows + 1);
    // Back, it has what it is to have.
    EXPECT_TRUE(one.keep(at_one));
    kill(std::stoi(pid), SIGCONT);
    EXPECT_EQ(one.listeners[0].tenure, Tenure::kLate);
    EXPECT_EQ(one.remark(), "");
    EXPECT_TRUE(Process::until([&] { return one.listeners[0].tenure == Tenure::kHeld; }));
}

// Nobody has taken what it has let go of: it is read again.
TEST(PostgreSqlPool, WhatWasLetGoAndNotTakenIsReadAgain) {
    const PostgreSqlServer server;
    Process one(std::make_unique<PostgreSql>(server.url(), "gw1.example"));
    ASSERT_TRUE(one.keep("juliet@xmpp.example"));
    one.on_shard(0, [](Door& door) { return door.set_others_hold(true), 0; });  // not the second
    const std::string pid =
        server.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'fedgated'");
    kill(std::stoi(pid), SIGSTOP);
    ASSERT_TRUE(Process::until([&] { return one.listeners[0].tenure == Tenure::kLost; }));
    EXPECT_FALSE(one.put("nurse@xmpp.example").has_value());
    EXPECT_TRUE(Process::until([&] { return one.remark().find("other nodes") != Bytes::npos; }));
    EXPECT_TRUE(one.keep("nurse@xmpp.example"));
    kill(std::stoi(pid), SIGCONT);
    EXPECT_TRUE(Process::until([&] { return one.listeners[0].rows + one.listeners[1].rows == 1; }));
    EXPECT_EQ(one.listeners[1].lost, kSlots);  // of both, so that they have the same
    EXPECT_EQ(server.ask("SELECT count(*) FROM fedgate_subscriptions"), "2");
}

// It serves on until it has ended, but nothing that is the others'.
TEST(PostgreSqlPool, WhoResignsGivesAllBackAtOnce) {
    const PostgreSqlServer server;
    Process one(std::make_unique<PostgreSql>(server.url(), "gw1.example"));
    Process two(std::make_unique<PostgreSql>(server.url(), "gw2.example"));
    std::string at_two = "at two";
    while (!second_has(at_two)) at_two += '2';
    ASSERT_TRUE(two.keep(at_two));
    const auto began = std::chrono::steady_clock::now();
    two.store().resign();
    ASSERT_TRUE(one.keep(at_two));
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
    EXPECT_EQ(one.listeners[0].rows + one.listeners[1].rows, 1U);
    EXPECT_FALSE(two.put(at_two).has_value());
    EXPECT_EQ(server.ask("SELECT string_agg(node, ' ') FROM fedgate_nodes"), "gw1.example");
    EXPECT_EQ(two.remark(), "");
}

// What could not be given away is taken again, or given later: it is somebody's in any case.
TEST(PostgreSqlPool, SlotsThatCouldNotBeGivenAreNotForgotten) {
    const PostgreSqlServer server;
    // Longer than two tries after a fault are apart, or nobody would ever seem dead.
    Process one(std::make_unique<PostgreSql>(
        server.url(), "gw1.example",
        Pace{.turn = kFast.turn, .lease = std::chrono::milliseconds(3'000)}));
    std::string at_two = "at two";
    while (!second_has(at_two)) at_two += '2';
    ASSERT_TRUE(one.keep(at_two));
    ASSERT_EQ(server.ask("CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN RAISE 'not now'; END $$ "
                         "LANGUAGE plpgsql"),
              "");
    ASSERT_EQ(server.ask("CREATE TRIGGER no BEFORE UPDATE ON fedgate_slots FOR EACH ROW "
                         "WHEN (NEW.owner = '') EXECUTE FUNCTION no()"),
              "");
    {
        Node two(server, "gw2.example");
        ASSERT_TRUE(
            two.meets_until([&] { return one.remark().find("not now") != std::string::npos; }));
    }
    // The other one is dead now, and they are to stay here after all.
    ASSERT_TRUE(Process::until(
        [&] { return one.store().status().shares.find("gw2.example") == std::string::npos; }));
    ASSERT_EQ(server.ask("DROP TRIGGER no ON fedgate_slots"), "");
    EXPECT_TRUE(one.keep(at_two));
    EXPECT_EQ(one.remark(), "");
}

TEST(PostgreSqlPool, ADeadNodesRowsAreRestoredByTheNext) {
    const PostgreSqlServer server;
    constexpr unsigned kRows = 10'000;
    Node dead(server, "gw2.example");
    EXPECT_TRUE(dead.meet().gained.all());
    Batch batch;
    for (unsigned i = 0; i < kRows; ++i) add(batch, row(name(i)));
    ASSERT_EQ(commit(dead.database(), batch), Fault::kNone);
    const auto began = std::chrono::steady_clock::now();
    Process next(std::make_unique<PostgreSql>(server.url(), "gw1.example"));
    ASSERT_TRUE(
        Process::until([&] { return next.listeners[0].rows + next.listeners[1].rows == kRows; }));
    const auto took = std::chrono::steady_clock::now() - began;
    std::printf("10,000 rows were restored %.1f s after their node's death\n",
                std::chrono::duration<double>(took).count());
    EXPECT_TRUE(next.keep(name(1)));
}

}  // namespace
}  // namespace fedgate::store
