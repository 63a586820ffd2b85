#include "appliance/admin/commits.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "appliance/admin/configuration.hpp"
#include "core/config/timestamp.hpp"
#include "tests/admin/fake_host.hpp"

namespace fedgate::admin {
namespace {

class CommitsTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "fedgate-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        file_ = directory_ + "/f.conf";
        write(file_, "dirs.state = " + directory_ +
                         "/state\npartner/filed.example/type = public_unverified\n");
        restart();
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    static void write(const std::string& path, const std::string& text) {
        std::ofstream(path) << text;
    }
    static std::string read(const std::string& path) {
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    }
    // A new process. False: it does not start.
    bool restart() {
        problems_.clear();
        configuration_ = std::make_unique<Configuration>(config::Sources{file_, {}, ""});
        return configuration_->load(problems_) != nullptr;
    }
    bool commit(const std::string& key, const std::string& value, bool dry = false) {
        problems_.clear();
        config::Tree next = configuration_->committed().settings;
        if (!next.set(key, value, configuration_->next_commit(), problems_)) return false;
        return configuration_->commit(host_, std::move(next), {"alice", "because"}, dry, problems_,
                                      changes_);
    }
    bool set_live(const std::string& text) {
        config::Setting setting;
        std::string why;
        EXPECT_TRUE(
            config::parse_assignment(text, {config::Origin::Kind::kRuntime, "", 0}, setting, why));
        return configuration_->set(host_, {setting}, false, problems_, changes_);
    }
    // "VALUE (ORIGIN)"
    std::string at(const std::string& key) const {
        config::Path path;
        std::string why;
        EXPECT_TRUE(config::resolve(key, path, why)) << why;
        const config::Entry entry = configuration_->tree().effective(path);
        return entry.value.text + " (" + entry.origin.text() + ")";
    }
    std::string path(int number) const {
        return directory_ + "/state/commits/" + std::to_string(number) + ".conf";
    }

    std::string directory_;
    std::string file_;
    FakeHost host_;
    config::Problems problems_;
    std::vector<Change> changes_;
    std::unique_ptr<Configuration> configuration_;
};

TEST_F(CommitsTest, IsInForceAtOnceAndAfterARestart) {
    ASSERT_TRUE(commit("partner/a.example/type", "federated"));
    EXPECT_EQ(at("partner/a.example/type"), "federated (commit 1)");
    EXPECT_EQ(host_.published.size(), 1U);
    ASSERT_TRUE(commit("partner/b.example/description", "# their = \"new\" server; really"));
    ASSERT_TRUE(restart());
    EXPECT_TRUE(problems_.empty());
    EXPECT_EQ(at("partner/a.example/type"), "federated (commit 1)");
    EXPECT_EQ(at("partner/b.example/description"), "# their = \"new\" server; really (commit 2)");
    EXPECT_EQ(configuration_->committed().number, 2U);
    EXPECT_EQ(configuration_->committed().author, "alice");
    EXPECT_EQ(configuration_->committed().comment, "because");
    EXPECT_NE(configuration_->snapshot().partner("a.example"), nullptr);
}

TEST_F(CommitsTest, WhatWasSaidLaterHolds) {
    EXPECT_EQ(at("partner/filed.example/type"), "public_unverified (" + file_ + ":2)");
    ASSERT_TRUE(commit("partner/filed.example/type", "federated"));
    EXPECT_EQ(at("partner/filed.example/type"), "federated (commit 1)");
    ASSERT_TRUE(set_live("partner/filed.example/type=public_unverified"));
    EXPECT_EQ(at("partner/filed.example/type"), "public_unverified (runtime)");
    // Also where the commit says what is committed already.
    ASSERT_TRUE(commit("partner/filed.example/type", "federated"));
    EXPECT_EQ(at("partner/filed.example/type"), "federated (commit 2)");
    // And where it says what the default is.
    ASSERT_TRUE(set_live("partner/filed.example/enabled=no"));
    ASSERT_TRUE(commit("partner/filed.example/enabled", "yes"));
    EXPECT_EQ(at("partner/filed.example/enabled"), "yes (commit 3)");
    // A file that is read again stays below, and that is said.
    ASSERT_TRUE(configuration_->reload(host_, problems_, changes_));
    EXPECT_EQ(at("partner/filed.example/type"), "federated (commit 2)");
    ASSERT_EQ(problems_.size(), 1U);
    EXPECT_TRUE(problems_[0].warning);
    EXPECT_NE(problems_[0].text.find("partner/filed.example/type of " + file_ + ":2"),
              std::string::npos)
        << problems_[0].text;
}

TEST_F(CommitsTest, WhatCannotWorkIsNotKept) {
    ASSERT_TRUE(commit("partner/a.example/tls", "none"));
    EXPECT_FALSE(commit("partner/a.example/dialback", "no"));  // no method is left
    EXPECT_TRUE(config::any_error(problems_));
    EXPECT_EQ(at("partner/a.example/dialback"), "yes (default)");
    EXPECT_TRUE(commit("partner/b.example/tls", "none", true));  // dry
    EXPECT_FALSE(commit("dirs.state", "/elsewhere"));
    host_.fault = "/etc/roots.pem can't be read";
    EXPECT_FALSE(commit("partner/a.example/ca", "/etc/roots.pem"));
    EXPECT_EQ(problems_.back().text, host_.fault);
    EXPECT_FALSE(std::filesystem::exists(path(2)));
    EXPECT_EQ(host_.published.size(), 1U);
}

TEST_F(CommitsTest, WhatCannotBeKeptIsNotInForce) {
    write(directory_ + "/state", "a file, not a directory");
    EXPECT_FALSE(commit("partner/a.example/type", "federated"));
    EXPECT_NE(problems_.back().text.find("dirs.state"), std::string::npos) << problems_.back().text;
    EXPECT_EQ(at("partner/a.example/type"), "public_unverified (default)");
    EXPECT_TRUE(host_.published.empty());
}

TEST_F(CommitsTest, ADamagedOneIsReportedAndTheOneBeforeHolds) {
    ASSERT_TRUE(commit("partner/a.example/type", "federated"));
    ASSERT_TRUE(commit("partner/a.example/type", "public_verified"));
    const std::string good = read(path(2));
    ASSERT_FALSE(good.empty());
    std::string flipped = good;
    flipped[good.size() / 2] ^= 1;
    for (const std::string& bad : {flipped, good.substr(0, good.size() / 2), std::string()}) {
        write(path(2), bad);
        ASSERT_TRUE(restart());
        EXPECT_EQ(at("partner/a.example/type"), "federated (commit 1)");
        ASSERT_EQ(configuration_->remarks().size(), 1U);
        EXPECT_NE(configuration_->remarks()[0].find(path(2)), std::string::npos);
    }
    // Its number is not used again.
    ASSERT_TRUE(commit("partner/a.example/type", "public_unverified"));
    EXPECT_EQ(configuration_->committed().number, 3U);
    write(path(2), good);
    ASSERT_TRUE(restart());
    EXPECT_EQ(at("partner/a.example/type"), "public_unverified (commit 3)");
}

TEST_F(CommitsTest, EveryByteCounts) {
    ASSERT_TRUE(commit("partner/a.example/type", "federated"));
    const std::string good = read(path(1));
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] ^= 4;
        write(path(1), bad);
        Commit got;
        std::string why;
        EXPECT_FALSE(configuration_->commits().read(1, got, why)) << i;
    }
}

TEST_F(CommitsTest, AnInterruptedOneLeavesNoTrace) {
    ASSERT_TRUE(commit("partner/a.example/type", "federated"));
    write(path(2) + ".new", read(path(1)).substr(0, 40));
    ASSERT_TRUE(restart());
    EXPECT_TRUE(problems_.empty());
    ASSERT_TRUE(commit("partner/a.example/type", "public_verified"));
    EXPECT_EQ(configuration_->committed().number, 2U);
}

TEST_F(CommitsTest, OnlyTheLastHundredAreKept) {
    for (std::size_t i = 0; i < Commits::kKept + 3; ++i) {
        ASSERT_TRUE(commit("partner/a.example/description", std::to_string(i)));
    }
    const auto numbers = configuration_->commits().numbers();
    EXPECT_EQ(numbers.size(), Commits::kKept);
    EXPECT_EQ(numbers.front(), 4U);
}

TEST_F(CommitsTest, ADenialEndsByItself) {
    ASSERT_TRUE(commit("partner/a.example/enabled", "yes"));
    const WallTime now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    ASSERT_TRUE(commit("federation.deny", "a.example@" + config::format_time(now + 60s)));
    EXPECT_EQ(configuration_->snapshot().partner("a.example"), nullptr);
    configuration_->expire(host_, now + 59s);
    EXPECT_EQ(host_.published.size(), 2U);
    configuration_->expire(host_, now + 60s);
    EXPECT_EQ(host_.published.size(), 3U);
    EXPECT_NE(configuration_->snapshot().partner("a.example"), nullptr);
    configuration_->expire(host_, now + 61s);
    EXPECT_EQ(host_.published.size(), 3U);
}

}  // namespace
}  // namespace fedgate::admin
