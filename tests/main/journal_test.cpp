#include "appliance/main/journal.hpp"

#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

TEST(Journal, GetsFieldsByItsOwnProtocol) {
    const std::string path = testing::TempDir() + "journal-" + std::to_string(getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const int reader = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ASSERT_EQ(bind(reader, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const Journal journal(path);
    const LogRecord record{WallTime{}, EventId::kTlsFailed, 3, 2, R"( peer=[::1]:5 why="a b")"};
    EXPECT_TRUE(journal.send(record, Language::kFrench));
    char buffer[4096];
    const ssize_t size = recv(reader, buffer, sizeof buffer, 0);
    ASSERT_GT(size, 0);
    const std::string text(buffer, static_cast<std::size_t>(size));
    for (const char* line : {"PRIORITY=4\n", "SYSLOG_IDENTIFIER=fedgated\n", "FG_EVENT=FG-1301\n",
                             "FG_SHARD=3\n", "FG_HELD_BACK=2\n", "FG_PEER=[::1]:5\n",
                             "FG_WHY=a b\n", "MESSAGE=Une négociation TLS a échoué peer="}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
    }
    close(reader);  // the journal is gone: the line is for standard error
    EXPECT_FALSE(journal.send(record, Language::kEnglish));
    unlink(path.c_str());
}

TEST(Journal, WhereStandardErrorDoesNotLeadToItItTakesNothing) {
    setenv("JOURNAL_STREAM", "1:1", 1);
    EXPECT_FALSE(Journal::of_stderr().send({}, Language::kEnglish));
    unsetenv("JOURNAL_STREAM");
    EXPECT_FALSE(Journal("/nowhere/socket").send({}, Language::kEnglish));
}

}  // namespace
}  // namespace fedgate
