#include "appliance/main/file_watch.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

namespace fs = std::filesystem;

class FileWatchTest : public testing::Test {
protected:
    FileWatchTest() {
        std::string name = fs::temp_directory_path() / "fedgate-watch-XXXXXX";
        directory_ = mkdtemp(name.data());
        write("a", "one");
        write("b", "two");
        watch_.watch({path("a"), path("b"), path("link")});
    }
    ~FileWatchTest() override { fs::remove_all(directory_); }

    [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path(name)) << text;
    }
    // How many changes a few looks tell.
    int changes() {
        int count = 0;
        for (int look = 0; look < 4; ++look) count += watch_.look() ? 1 : 0;
        return count;
    }

    fs::path directory_;
    FileWatch watch_;
};

TEST_F(FileWatchTest, NothingHappensWithoutAChange) { EXPECT_EQ(changes(), 0); }

TEST_F(FileWatchTest, ToldOnceAndOnlyWhenItRests) {
    write("a", "longer than before");
    EXPECT_FALSE(watch_.look());  // may still be written to
    write("a", "longer still, at the next look");
    EXPECT_FALSE(watch_.look());
    EXPECT_TRUE(watch_.look());
    EXPECT_EQ(changes(), 0);
}

TEST_F(FileWatchTest, EveryWayToReplaceAFile) {
    write("new", "two");
    fs::rename(path("new"), path("b"));  // same size, by rename
    EXPECT_EQ(changes(), 1);
    fs::remove(path("a"));
    EXPECT_EQ(changes(), 1);
    write("a", "one");
    EXPECT_EQ(changes(), 1);
    fs::create_symlink(path("a"), path("link"));  // was missing
    EXPECT_EQ(changes(), 1);
    fs::create_symlink(path("b"), path("other"));
    fs::rename(path("other"), path("link"));  // now leads elsewhere
    EXPECT_EQ(changes(), 1);
}

TEST_F(FileWatchTest, WhatIsPutBackIsNoChange) {
    fs::rename(path("a"), path("aside"));
    EXPECT_FALSE(watch_.look());
    fs::rename(path("aside"), path("a"));
    // The rename itself changes the file's ctime: one harmless report at most, then silence.
    EXPECT_LE(changes(), 1);
    EXPECT_EQ(changes(), 0);
}

}  // namespace
}  // namespace fedgate
