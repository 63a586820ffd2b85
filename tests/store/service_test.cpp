// The store of the daemon with its thread, on loops of the kernel.
#include "appliance/store/service.hpp"

#include <csignal>
#include <sys/resource.h>

#include <gtest/gtest.h>

#include "appliance/store/file.hpp"
#include "tests/store/process.hpp"

namespace fedgate::store {
namespace {

using namespace test;

std::unique_ptr<Database> file_in(const Directory& directory) {
    return std::make_unique<File>(directory.file());
}

TEST(Service, KeepsRowsFromOneProcessToTheNext) {
    const Directory directory;
    {
        Process process(file_in(directory));
        ASSERT_TRUE(process.restored(0));
        EXPECT_EQ(process.put("juliet@xmpp.example", 0), 1U);
        EXPECT_EQ(process.put("nurse@xmpp.example", 1), 1U);
        ASSERT_TRUE(Process::until(
            [&] { return process.listeners[0].kept == 1 && process.listeners[1].kept == 1; }));
        const Status status = process.store().status();
        EXPECT_EQ(status.rows, 2U);
        EXPECT_EQ(status.waiting, 0U);
        EXPECT_TRUE(status.last_commit.has_value());
        EXPECT_TRUE(status.remarks.empty());
    }
    Process process(file_in(directory));
    EXPECT_TRUE(process.restored(2));
}

TEST(Service, AnEndKeepsWhatWaits) {
    const Directory directory;
    {
        Process process(file_in(directory));
        ASSERT_TRUE(process.restored(0));
        process.on_shard(0, [](Door& door) {
            for (unsigned i = 0; i < 5'000; ++i) FEDGATE_CHECK(door.put(row(name(i))).has_value());
            return 0;
        });
    }
    Process process(file_in(directory));
    EXPECT_TRUE(process.restored(5'000));
}

TEST(Service, HandsRowsToTheirOwnersInSmallBatches) {
    const Directory directory;
    {
        Process process(file_in(directory));
        process.on_shard(0, [](Door& door) {
            for (unsigned i = 0; i < 10'000; ++i) FEDGATE_CHECK(door.put(row(name(i))).has_value());
            return 0;
        });
    }
    Process process(file_in(directory));
    const auto began = std::chrono::steady_clock::now();
    ASSERT_TRUE(process.restored(10'000));
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
    EXPECT_EQ(process.listeners[0].rows, 5'000U);
    EXPECT_LE(process.listeners[0].most_at_once, 256U);
    EXPECT_EQ(process.store().status().rows, 10'000U);
}

TEST(Service, AFullDiskIsToldAndHeals) {
    std::signal(SIGXFSZ, SIG_IGN);
    const Directory directory;
    Process process(file_in(directory));
    ASSERT_TRUE(process.restored(0));
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit full{0, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
    EXPECT_EQ(process.put("juliet@xmpp.example"), 1U);
    const bool told = Process::until([&] { return process.listeners[0].refused == 1; });
    const auto refused = process.put("nurse@xmpp.example");
    // The other shard is told, too.
    const bool both = Process::until(
        [&] { return process.on_shard(1, [](Door& door) { return door.failing(); }); });
    const std::string remark = process.remark();
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_TRUE(told);
    EXPECT_TRUE(both);
    EXPECT_FALSE(refused.has_value());
    EXPECT_NE(remark.find("can't be written: File too large (since "), std::string::npos) << remark;
    EXPECT_NE(remark.find("new subscriptions are refused"), std::string::npos);
    ASSERT_TRUE(Process::until([&] { return process.listeners[0].kept == 1; }));
    EXPECT_TRUE(Process::until([&] { return process.remark().empty(); }));
    EXPECT_TRUE(Process::until([&] { return process.put("nurse@xmpp.example").has_value(); }));
    const std::string log = process.log();
    EXPECT_NE(log.find("The store failed"), std::string::npos) << log;
    EXPECT_NE(log.find("The store works again"), std::string::npos) << log;
}

TEST(Service, ADamagedFileIsMendedWhileTheRowsAreHandedOver) {
    const Directory directory;
    {
        Process process(file_in(directory));
        process.on_shard(0, [](Door& door) {
            for (unsigned i = 0; i < 5'000; ++i) FEDGATE_CHECK(door.put(row(name(i))).has_value());
            return 0;
        });
    }
    std::string bytes = read(directory.file());
    const std::size_t at = bytes.find("user002500");
    ASSERT_NE(at, std::string::npos);
    bytes[at] = 'U';
    write(directory.file(), bytes);
    {
        Process process(file_in(directory));
        ASSERT_TRUE(process.restored(4'999));
        ASSERT_TRUE(Process::until([&] { return !process.remark().empty(); }));
        const std::string remark = process.remark();
        EXPECT_NE(remark.find("4999 subscriptions could be saved, 1 subscription is lost"),
                  std::string::npos)
            << remark;
        EXPECT_NE(remark.find(".damaged-"), std::string::npos);
        EXPECT_TRUE(process.put("juliet@xmpp.example"));
        ASSERT_TRUE(Process::until([&] { return process.listeners[0].kept == 1; }));
        EXPECT_NE(process.log().find("The store was damaged"), std::string::npos);
    }
    Process process(file_in(directory));
    ASSERT_TRUE(process.restored(5'000));
    EXPECT_NE(process.remark().find("was damaged once"), std::string::npos) << process.remark();
    std::filesystem::remove(File(directory.file()).set_aside().front());
    EXPECT_EQ(process.remark(), "");
}

TEST(Service, DamageThatComesWhileItRunsIsMended) {
    const Directory directory;
    Process process(file_in(directory));
    ASSERT_TRUE(process.restored(0));
    EXPECT_TRUE(process.put("juliet@xmpp.example"));
    ASSERT_TRUE(Process::until([&] { return process.listeners[0].kept == 1; }));
    // As sqlite3 would do it that was told to.
    ASSERT_EQ(std::system(("sqlite3 " + directory.file() + " 'DROP TABLE contents'").c_str()), 0);
    EXPECT_TRUE(process.put("nurse@xmpp.example"));
    ASSERT_TRUE(Process::until([&] { return process.listeners[0].kept == 2; }));
    EXPECT_EQ(process.store().status().rows, 2U);
    EXPECT_NE(process.remark().find("1 subscription could be saved"), std::string::npos)
        << process.remark();
}

TEST(Service, AFileThatCantBeReadYetIsReadLater) {
    const Directory directory;
    {
        Process process(file_in(directory));
        EXPECT_TRUE(process.put("juliet@xmpp.example"));
    }
    const std::string away = directory.file("away");
    std::filesystem::rename(directory.file(), away);
    std::filesystem::create_directory(directory.file());
    Process process(file_in(directory));
    ASSERT_TRUE(process.restored(0));
    EXPECT_NE(process.remark(), "");
    EXPECT_FALSE(process.put("nurse@xmpp.example"));
    std::filesystem::remove_all(directory.file());
    std::filesystem::rename(away, directory.file());
    ASSERT_TRUE(process.restored(1, 2));
    EXPECT_TRUE(Process::until([&] { return process.put("nurse@xmpp.example").has_value(); }));
    EXPECT_EQ(process.remark(), "");
}

TEST(Service, TheSecondOfTwoProcessesWaitsForTheFirst) {
    const Directory directory;
    auto first = std::make_unique<Process>(file_in(directory));
    EXPECT_TRUE(first->put("juliet@xmpp.example"));
    ASSERT_TRUE(first->restored(0));
    Process second(file_in(directory));
    ASSERT_TRUE(second.restored(0));
    EXPECT_NE(second.remark().find("is in use by another fedgated"), std::string::npos)
        << second.remark();
    first.reset();
    EXPECT_TRUE(second.restored(1, 2));
}

}  // namespace
}  // namespace fedgate::store
