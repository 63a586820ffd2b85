#include "appliance/admin/configuration.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/admin/fake_host.hpp"

namespace fedgate::admin {
namespace {

class ConfigurationTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "fedgate-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        file_ = directory_ + "/f.conf";
        write("core.threads = 2\npartner/a.example/type = federated\n");
        configuration_ =
            std::make_unique<Configuration>(config::Sources{file_, {"log.level=debug"}, ""});
        ASSERT_NE(configuration_->load(problems_), nullptr);
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    void write(std::string_view text) { std::ofstream(file_) << text; }

    static config::Setting setting(const char* text) {
        config::Setting out;
        std::string why;
        EXPECT_TRUE(
            config::parse_assignment(text, {config::Origin::Kind::kRuntime, "", 0}, out, why));
        return out;
    }

    std::string directory_;
    std::string file_;
    FakeHost host_;
    config::Problems problems_;
    std::vector<Change> changes_;
    std::unique_ptr<Configuration> configuration_;
};

TEST_F(ConfigurationTest, AChangeIsOneSnapshotWithANewNumber) {
    EXPECT_EQ(configuration_->snapshot().generation, 1U);
    ASSERT_TRUE(configuration_->set(host_,
                                    {setting("im.max_bytes=1KiB"), setting("log.level=info")},
                                    false, problems_, changes_));
    EXPECT_EQ(host_.published, (std::vector<std::uint64_t>{2}));
    EXPECT_EQ(configuration_->snapshot().settings.im.max_bytes, 1024U);
    ASSERT_EQ(changes_.size(), 2U);
    EXPECT_EQ(changes_[0].path.name, "im.max_bytes");
    EXPECT_EQ(changes_[0].before, "32KiB");
    EXPECT_EQ(changes_[0].after, "1KiB");
}

TEST_F(ConfigurationTest, WhatIsSetChangedAndGoneIsTold) {
    const auto rows = [this] {
        std::vector<std::string> all;
        for (const Change& one : changes_) {
            all.push_back(one.path.name + ": " + one.before + " -> " + one.after);
        }
        changes_.clear();
        return all;
    };
    write("core.threads = 3\nim.max_bytes = 1KiB\nxmpp.limits.depth = 64\n");
    ASSERT_TRUE(configuration_->reload(host_, problems_, changes_));
    EXPECT_EQ(rows(),
              (std::vector<std::string>{"core.threads: 2 -> 3", "im.max_bytes: 32KiB -> 1KiB",
                                        "partner/a.example/type: federated -> public_unverified"}));
    // A template shows at all that have nothing of their own.
    write(
        "core.threads = 3\npartner/a.example/tls = optional\npartner/b.example/sasl = none\n"
        "partner/default/tls = none\n");
    ASSERT_TRUE(configuration_->reload(host_, problems_, changes_));
    EXPECT_EQ(rows(), (std::vector<std::string>{"im.max_bytes: 1KiB -> 32KiB",
                                                "partner/a.example/tls: required -> optional",
                                                "partner/b.example/sasl: required -> none",
                                                "partner/b.example/tls: required -> none",
                                                "partner/default/tls: required -> none"}));
    write("core.*.cpu = 0\ncore.1.cpu = 1\n");
    ASSERT_TRUE(configuration_->reload(host_, problems_, changes_));
    EXPECT_EQ(rows()[0], "core.*.cpu:  -> 0");
}

TEST_F(ConfigurationTest, OneBadValueAmongGoodOnesChangesNothing) {
    EXPECT_FALSE(configuration_->set(host_,
                                     {setting("im.max_bytes=1KiB"), setting("log.level=loud")},
                                     false, problems_, changes_));
    EXPECT_FALSE(
        configuration_->set(host_,
                            {setting("im.max_bytes=1KiB"), setting("partner/a.example/tls=none"),
                             setting("partner/a.example/dialback=no")},
                            false, problems_, changes_));
    EXPECT_TRUE(host_.published.empty());
    EXPECT_EQ(configuration_->tree().number("im.max_bytes"), 32768);
    EXPECT_EQ(configuration_->snapshot().generation, 1U);
}

TEST_F(ConfigurationTest, ADryRunSaysWhatWouldChangeAndDoesNothing) {
    ASSERT_TRUE(
        configuration_->set(host_, {setting("im.max_bytes=1KiB")}, true, problems_, changes_));
    EXPECT_EQ(changes_.size(), 1U);
    EXPECT_TRUE(host_.published.empty());
    EXPECT_EQ(configuration_->tree().number("im.max_bytes"), 32768);
}

TEST_F(ConfigurationTest, NothingIsPublishedWhenNothingDiffers) {
    ASSERT_TRUE(
        configuration_->set(host_, {setting("core.threads=2")}, false, problems_, changes_));
    EXPECT_TRUE(changes_.empty());
    EXPECT_TRUE(host_.published.empty());
}

// As with a commit; what a file says was read already, and the host keeps what it has.
TEST_F(ConfigurationTest, WhatTheHostCannotUseIsNotSet) {
    host_.fault = "authorities /nowhere.pem can't be read";
    EXPECT_FALSE(
        configuration_->set(host_, {setting("im.max_bytes=1KiB")}, false, problems_, changes_));
    ASSERT_EQ(problems_.size(), 1U);
    EXPECT_EQ(problems_[0].line(), "error: authorities /nowhere.pem can't be read");
    EXPECT_FALSE(
        configuration_->set(host_, {setting("im.max_bytes=1KiB")}, true, problems_, changes_));
    EXPECT_TRUE(host_.published.empty());
    problems_.clear();
    write("core.threads = 3\n");
    EXPECT_TRUE(configuration_->reload(host_, problems_, changes_));
}

TEST_F(ConfigurationTest, ReloadKeepsWhatWasSetAtRunTime) {
    ASSERT_TRUE(
        configuration_->set(host_, {setting("im.max_bytes=1KiB")}, false, problems_, changes_));
    write("core.threads = 3\n");
    ASSERT_TRUE(configuration_->reload(host_, problems_, changes_));
    EXPECT_EQ(configuration_->tree().number("core.threads"), 3);
    EXPECT_EQ(configuration_->tree().number("im.max_bytes"), 1024);
    EXPECT_EQ(configuration_->tree().text("log.level"), "debug");
    EXPECT_EQ(configuration_->snapshot().partner("a.example"), nullptr);
}

TEST_F(ConfigurationTest, AFileWithAnErrorChangesNothingAtReload) {
    write("core.threads = 3\nnonsense\n");
    EXPECT_FALSE(configuration_->reload(host_, problems_, changes_));
    EXPECT_EQ(problems_.size(), 1U);
    EXPECT_EQ(configuration_->tree().number("core.threads"), 2);
    EXPECT_NE(configuration_->snapshot().partner("a.example"), nullptr);
}

TEST_F(ConfigurationTest, ResetGoesBackToTheFileThenToTheDefault) {
    ASSERT_TRUE(configuration_->set(host_,
                                    {setting("core.threads=8"), setting("im.max_bytes=1KiB")},
                                    false, problems_, changes_));
    ASSERT_TRUE(
        configuration_->reset(host_, {"core.threads", "im/max_bytes"}, problems_, changes_));
    EXPECT_EQ(configuration_->tree().number("core.threads"), 2);
    EXPECT_EQ(configuration_->tree().find("core.threads")->origin.text(), file_ + ":1");
    EXPECT_EQ(configuration_->tree().number("im.max_bytes"), 32768);
    EXPECT_FALSE(configuration_->reset(host_, {"core.thread"}, problems_, changes_));
}

TEST_F(ConfigurationTest, ASnapshotLivesAsLongAsACoreMayLookAtIt) {
    host_.follow = false;
    host_.oldest = 1;
    const rules::Snapshot& first = configuration_->snapshot();
    for (const char* text : {"im.max_bytes=1KiB", "im.max_bytes=2KiB", "im.max_bytes=3KiB"}) {
        ASSERT_TRUE(configuration_->set(host_, {setting(text)}, false, problems_, changes_));
    }
    EXPECT_EQ(first.settings.im.max_bytes, 32768U);  // asan watches this line
    host_.oldest = 4;
    ASSERT_TRUE(
        configuration_->set(host_, {setting("im.max_bytes=4KiB")}, false, problems_, changes_));
    EXPECT_EQ(configuration_->snapshot().settings.im.max_bytes, 4096U);
}

}  // namespace
}  // namespace fedgate::admin
