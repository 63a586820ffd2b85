#include "core/config/file.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace fedgate::config {
namespace {

class Files : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "fedgate-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        root_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(root_); }

    std::string write(const std::string& name, std::string_view text) {
        const std::filesystem::path path = root_ + name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << text;
        return path;
    }

    std::string root_;
    Tree tree_;
    Problems problems_;
};

TEST_F(Files, ReadsSysctlSyntax) {
    const std::string file = write("/f",
                                   "\xef\xbb\xbf# a comment\n"
                                   "   ; another\r\n"
                                   "\n"
                                   "federation.allow = yes\r\n"
                                   "  partner/example.org/tls=optional  \n"
                                   "partner.example/net.tls = none\n"
                                   "\tpartner/example.org/description = a = b ; c # d\n"
                                   "xmpp.listen =\n"
                                   "-no.such.key = 1\n"
                                   "- core.threads = many\n"
                                   "core/threads = 3");
    EXPECT_EQ(load({file, {}, ""}, tree_, problems_), 1U);
    EXPECT_FALSE(any_error(problems_));
    ASSERT_EQ(problems_.size(), 2U);
    EXPECT_EQ(problems_[0].line(), file + ":9: warning: no.such.key: no such key");
    EXPECT_TRUE(tree_.flag("federation.allow"));
    EXPECT_EQ(tree_.text("partner/*/tls", "example.org"), "optional");
    EXPECT_EQ(tree_.text("partner/*/tls", "example.net"), "none");
    EXPECT_EQ(tree_.text("partner/*/description", "example.org"), "a = b ; c # d");
    EXPECT_TRUE(tree_.list("xmpp.listen").empty());
    EXPECT_EQ(tree_.number("core.threads"), 3);
    EXPECT_EQ(tree_.find("core.threads")->origin.text(), file + ":11");
}

TEST_F(Files, ReportsEveryErrorWithFileAndLine) {
    const std::string file = write("/f",
                                   "federation.alow = yes\n"
                                   "just words\n"
                                   "= 3\n"
                                   "core.threads = 999\n"
                                   "federation.allow = yes   # inline\n");
    load({file, {"core.threads", "core.threads=x", "=1"}, ""}, tree_, problems_);
    ASSERT_EQ(problems_.size(), 8U);
    std::string all;
    for (const Problem& problem : problems_) all += problem.line() + "\n";
    for (const char* expected : {
             ":1: error: federation.alow: no such key; did you mean federation.allow?",
             ":2: error: 'just words' is not 'key = value'",
             ":3: error: '= 3' is not 'key = value'",
             ":4: error: core.threads: '999' is above the maximum 256; allowed: 0 to 256 threads",
             ":5: error: federation.allow: 'yes   # inline' is not yes or no",
             "command line: error: 'core.threads' is not KEY=VALUE",
             "command line: error: core.threads: 'x' is not a whole number",
         }) {
        EXPECT_NE(all.find(expected), std::string::npos) << expected << "\nin\n" << all;
    }
}

TEST_F(Files, TheCommandLineWins) {
    const std::string file = write("/f", "core.threads = 3\n");
    load({file, {"core.threads = 4", "core/threads=5"}, ""}, tree_, problems_);
    EXPECT_EQ(tree_.number("core.threads"), 5);
    EXPECT_EQ(tree_.find("core.threads")->origin.text(), "command line");
}

TEST_F(Files, DirectoriesHaveThePrecedenceOfSysctlD) {
    write("/usr/lib/fedgate/conf.d/10-vendor.conf", "core.threads = 1\nlog.level = error\n");
    write("/usr/lib/fedgate/conf.d/90-late.conf", "xmpp.limits.connections = 90\n");
    write("/usr/lib/fedgate/conf.d/50-off.conf", "im.max_bytes = 1KiB\n");
    write("/run/fedgate/conf.d/20-run.conf", "core.threads = 2\nxmpp.limits.connections = 20\n");
    write("/etc/fedgate/conf.d/10-vendor.conf", "sec.loop_repeats = 5\n");  // replaces the vendor's
    write("/etc/fedgate/conf.d/ignored.txt", "core.threads = 99\n");
    write("/etc/fedgate/conf.d/.hidden.conf", "core.threads = 98\n");
    std::filesystem::create_symlink("/dev/null", root_ + "/etc/fedgate/conf.d/50-off.conf");
    write("/etc/fedgate/fedgate.conf", "sip.options_interval = 9s\n");
    EXPECT_EQ(load({"", {}, root_}, tree_, problems_), 4U);
    for (const Problem& problem : problems_) ADD_FAILURE() << problem.line();
    EXPECT_EQ(tree_.number("core.threads"), 2);
    EXPECT_EQ(tree_.text("log.level"), "info");
    EXPECT_EQ(tree_.number("sec.loop_repeats"), 5);
    EXPECT_EQ(tree_.number("xmpp.limits.connections"), 90);
    EXPECT_EQ(tree_.number("im.max_bytes"), 32768);
    EXPECT_EQ(tree_.duration("sip.options_interval"), std::chrono::seconds(9));
}

TEST_F(Files, CommentsAloneConfigureNothing) {
    const std::string file = write("/etc/fedgate/fedgate.conf", "# key = value\n\n; more\n");
    EXPECT_EQ(load({"", {}, root_}, tree_, problems_), 0U);
    EXPECT_EQ(load({file, {}, ""}, tree_, problems_), 1U);  // that one was asked for
    write("/etc/fedgate/fedgate.conf", "nonsense\n");
    EXPECT_EQ(load({"", {}, root_}, tree_, problems_), 1U);
}

TEST_F(Files, ACredentialOfTheServiceIsReadLast) {
    write("/etc/fedgate/fedgate.conf", "core.threads = 2\nxmpp.dialback.secret = seen\n");
    write("/run/credentials/fedgated.service/fedgate.conf", "xmpp.dialback.secret = hidden\n");
    setenv("CREDENTIALS_DIRECTORY", "/run/credentials/fedgated.service", 1);
    EXPECT_EQ(load({"", {}, root_}, tree_, problems_), 2U);
    setenv("CREDENTIALS_DIRECTORY", "/run/credentials/other.service", 1);  // none is no error
    Tree other;
    EXPECT_EQ(load({"", {}, root_}, other, problems_), 1U);
    unsetenv("CREDENTIALS_DIRECTORY");
    EXPECT_TRUE(problems_.empty());
    EXPECT_EQ(tree_.text("xmpp.dialback.secret"), "hidden");
    EXPECT_EQ(other.text("xmpp.dialback.secret"), "seen");
}

TEST_F(Files, NoFilesAtAllIsNoError) {
    EXPECT_EQ(load({"", {}, root_}, tree_, problems_), 0U);
    EXPECT_TRUE(problems_.empty());
}

TEST_F(Files, AMissingFileOrADirectoryIsAnError) {
    load({root_ + "/none.conf", {}, ""}, tree_, problems_);
    load({root_, {}, ""}, tree_, problems_);
    ASSERT_EQ(problems_.size(), 2U);
    EXPECT_EQ(problems_[0].line(),
              "error: " + root_ + "/none.conf: can't be read: No such file or directory");
    EXPECT_TRUE(any_error(problems_));
}

TEST_F(Files, HostileFilesEndInBoundedComplaints) {
    const std::string noise = [] {
        std::string text;
        unsigned state = 1;
        for (int i = 0; i < 200'000; ++i) {
            state = state * 1664525U + 1013904223U;
            text += static_cast<char>(state >> 24);
        }
        return text;
    }();
    for (const std::string& text :
         {noise, std::string(100'000, '\0'), std::string(100'000, '='), std::string(3'000'000, '-'),
          "core.threads = " + std::string(100'000, '9'), std::string(50'000, '.') + "= 1",
          "partner/" + std::string(60'000, 'a') + "/tls = none"}) {
        Tree tree;
        Problems problems;
        load({write("/hostile", text), {}, ""}, tree, problems);
        EXPECT_TRUE(any_error(problems));
        EXPECT_LE(problems.size(), 101U);
        for (const Problem& problem : problems) EXPECT_LE(problem.text.size(), 1000U);
    }
}

}  // namespace
}  // namespace fedgate::config
