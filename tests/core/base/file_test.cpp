#include "core/base/file.hpp"

#include <cstdio>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

class File : public testing::Test {
protected:
    File() { std::filesystem::create_directories(folder_); }
    ~File() override { std::filesystem::remove_all(folder_); }

    const std::string folder_ =
        std::filesystem::temp_directory_path() / ("fedgate-file-" + std::to_string(getpid()));
    std::string text_, why_;
};

TEST_F(File, IsReadWhole) {
    const std::string path = folder_ + "/some";
    std::FILE* file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    const std::string content(100'000, 'x');
    std::fwrite(content.data(), 1, content.size(), file);
    std::fclose(file);
    EXPECT_TRUE(read_file(path, text_, why_)) << why_;
    EXPECT_EQ(text_, content);
    text_.clear();
    EXPECT_TRUE(read_regular_file(path, text_, why_)) << why_;
    EXPECT_EQ(text_, content);
}

TEST_F(File, SaysWhyItCannotBeRead) {
    EXPECT_FALSE(read_file(folder_ + "/none", text_, why_));
    EXPECT_EQ(why_, "can't be read: No such file or directory");
    EXPECT_FALSE(read_regular_file(folder_ + "/none", text_, why_));
    EXPECT_EQ(why_, "can't be read: No such file or directory");
    EXPECT_FALSE(read_file(folder_, text_, why_));
    EXPECT_EQ(why_, "can't be read: Is a directory");
    EXPECT_FALSE(read_file("/dev/zero", text_, why_));
    EXPECT_EQ(why_, "is larger than 64MiB");
}

TEST_F(File, APipeIsNotWaitedFor) {
    const std::string path = folder_ + "/pipe";
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    EXPECT_FALSE(read_regular_file(path, text_, why_));
    EXPECT_EQ(why_, "is not a regular file");
    EXPECT_FALSE(read_regular_file(folder_, text_, why_));
    EXPECT_EQ(why_, "is not a regular file");
    EXPECT_FALSE(read_regular_file("/dev/zero", text_, why_));
    EXPECT_EQ(why_, "is not a regular file");
}

}  // namespace
}  // namespace fedgate
