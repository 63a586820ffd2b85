#include "appliance/image/exchange.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>

#include <gtest/gtest.h>

namespace appliance {
namespace {

// Two pairs of folders, each with a file that says whether it is the old one or the new.
class Folders {
public:
    Folders() {
        char name[] = "/tmp/fedgate-exchange-XXXXXX";
        root_ = mkdtemp(name);
        for (const char* one : {"a", "b"}) {
            make(one, "old");
            make(one + std::string(".new"), "new");
        }
    }
    ~Folders() { fs::remove_all(root_); }
    Folders(const Folders&) = delete;
    Folders& operator=(const Folders&) = delete;

    [[nodiscard]] fs::path path(const std::string& name) const { return root_ / name; }
    [[nodiscard]] Exchanges exchanges() const {
        return {{path("a"), path("a.new")}, {path("b"), path("b.new")}, path("mark")};
    }
    // "new old": the first is new, the second old.
    [[nodiscard]] std::string in_force() const { return word("a") + " " + word("b"); }
    [[nodiscard]] bool is_marked() const { return fs::exists(path("mark")); }
    // What a cut leaves: begun, and so many of the two are done.
    void cut_after(int done) const {
        struct stat first{};
        struct stat second{};
        ASSERT_EQ(stat(path("a.new").c_str(), &first), 0);
        ASSERT_EQ(stat(path("b.new").c_str(), &second), 0);
        ASSERT_EQ(
            write_text(path("mark"),
                       std::to_string(first.st_ino) + " " + std::to_string(second.st_ino), 0600),
            "");
        if (done > 0) swap("a");
        if (done > 1) swap("b");
    }
    void swap(const std::string& name) const {
        ASSERT_EQ(renameat2(AT_FDCWD, path(name + ".new").c_str(), AT_FDCWD, path(name).c_str(),
                            RENAME_EXCHANGE),
                  0);
    }

private:
    void make(const std::string& name, const std::string& text) const {
        fs::create_directory(path(name));
        write_text(path(name) / "word", text, 0600);
    }
    [[nodiscard]] std::string word(const std::string& name) const {
        return read_text(path(name) / "word");
    }

    fs::path root_;
};

TEST(Exchanges, BothOrNeither) {
    const Folders folders;
    EXPECT_EQ(folders.exchanges().run(), "");
    EXPECT_EQ(folders.in_force(), "new new");
    EXPECT_FALSE(folders.is_marked());
    EXPECT_FALSE(folders.exchanges().finish());
    EXPECT_EQ(folders.in_force(), "new new");
}

TEST(Exchanges, OneThatFailsTakesTheOtherBack) {
    const Folders folders;
    fs::remove_all(folders.path("b.new"));
    EXPECT_NE(folders.exchanges().run(), "");
    EXPECT_EQ(folders.in_force(), "old old");
    EXPECT_FALSE(folders.is_marked());
}

TEST(Exchanges, AStartEndsWhatACutHasLeft) {
    for (const int done : {0, 1, 2}) {
        const Folders folders;
        folders.cut_after(done);
        EXPECT_EQ(folders.exchanges().finish(), done > 0);
        EXPECT_EQ(folders.in_force(), done > 0 ? "new new" : "old old") << done;
        EXPECT_FALSE(folders.is_marked());
    }
}

TEST(Exchanges, ACutWhoseOtherHalfIsGoneIsTakenBack) {
    const Folders folders;
    folders.cut_after(1);
    fs::remove_all(folders.path("b.new"));
    EXPECT_FALSE(folders.exchanges().finish());
    EXPECT_EQ(folders.in_force(), "old old");
}

TEST(Exchanges, AMarkThatWasCutShortSaysThatNothingWasBegun) {
    for (const char* text : {"", "12", "0 0", "garbage"}) {
        const Folders folders;
        write_text(folders.path("mark"), text, 0600);
        EXPECT_FALSE(folders.exchanges().finish());
        EXPECT_EQ(folders.in_force(), "old old") << text;
        EXPECT_FALSE(folders.is_marked());
    }
}

}  // namespace
}  // namespace appliance
