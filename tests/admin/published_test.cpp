// Commits from node to node, without a link between them.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "appliance/admin/configuration.hpp"
#include "core/base/limits.hpp"
#include "tests/admin/fake_host.hpp"

namespace fedgate::admin {
namespace {

WallTime now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

struct OneNode {
    explicit OneNode(std::string its_directory) : directory(std::move(its_directory)) {
        std::filesystem::create_directories(directory);
        std::ofstream(directory + "/f.conf") << "dirs.state = " + directory + "/state\n";
        start();
    }
    // With more in its file.
    void start_with(const std::string& lines) {
        std::ofstream(directory + "/f.conf", std::ios::app) << lines;
        start();
    }
    void start() {
        problems.clear();
        configuration =
            std::make_unique<Configuration>(config::Sources{directory + "/f.conf", {}, ""});
        ASSERT_NE(configuration->load(problems), nullptr);
    }
    bool commit(const std::string& key, const std::string& value,
                Note note = {"alice", "because"}) {
        problems.clear();
        config::Tree next = configuration->committed().settings;
        if (!next.set(key, value, configuration->next_commit(), problems)) return false;
        return configuration->commit(host, std::move(next), note, false, problems, changes);
    }
    bool confirm() {
        config::Tree same = configuration->committed().settings;
        return configuration->commit(host, std::move(same), {"alice", "", Note::Kind::kConfirms},
                                     false, problems, changes);
    }
    bool take(const std::string& published, std::chrono::seconds left = {}, WallTime at = now()) {
        return configuration->take(host, {"peer.example", published, left}, at, why);
    }
    bool take(const OneNode& from, WallTime at = now()) {
        const auto left = from.configuration->unconfirmed_for(at);
        return take(*from.configuration->held().published, left.value_or(std::chrono::seconds(0)),
                    at);
    }
    // Has it got more than it had? Else: `why` says why not.
    bool takes_by(const std::string& signer, const OneNode& from) {
        std::string text(Commits::without_proof(*from.configuration->held().published));
        if (!signer.empty()) text += "# signed by: " + signer + "\n# signature: 00\n";
        const config::CommitId before = id();
        why.clear();
        return take(text) && id() > before;
    }
    std::string at(const std::string& key) const {
        config::Path path;
        std::string none;
        EXPECT_TRUE(config::resolve(key, path, none)) << none;
        const config::Entry entry = configuration->tree().effective(path);
        return entry.value.text + " (" + entry.origin.text() + ")";
    }
    std::uint64_t number() const { return configuration->committed().number; }
    config::CommitId id() const { return configuration->held().id; }
    std::ptrdiff_t count(EventId event) const { return std::ranges::count(host.events, event); }
    std::string file(int commit) const {
        std::ostringstream text;
        text << std::ifstream(directory + "/state/commits/" + std::to_string(commit) + ".conf")
                    .rdbuf();
        return text.str();
    }

    std::string directory;
    FakeHost host;
    config::Problems problems;
    std::vector<Change> changes;
    std::string why;
    std::unique_ptr<Configuration> configuration;
};

class Published : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "fedgate-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        for (const char* node : {"/a", "/b", "/c"}) {
            nodes_.push_back(std::make_unique<OneNode>(directory_ + node));
        }
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }
    OneNode& a() { return *nodes_[0]; }
    OneNode& b() { return *nodes_[1]; }
    OneNode& c() { return *nodes_[2]; }
    // Everybody hears of everybody's, in any order.
    void heal() {
        for (int turn = 0; turn < 2; ++turn) {
            for (auto& to : nodes_) {
                for (auto& from : nodes_) {
                    if (from != to && from->configuration->held().published != nullptr) {
                        EXPECT_TRUE(to->take(*from));
                    }
                }
            }
        }
    }

    std::string directory_;
    std::vector<std::unique_ptr<OneNode>> nodes_;
};

TEST_F(Published, AnotherNodeHasItAtOnceAndAfterARestart) {
    ASSERT_TRUE(a().commit("partner/p.example/type", "federated"));
    ASSERT_TRUE(b().take(a()));
    EXPECT_EQ(b().at("partner/p.example/type"), "federated (commit 1)");
    EXPECT_EQ(b().configuration->committed().author, "alice");
    EXPECT_EQ(b().id(), a().id());
    EXPECT_EQ(b().host.published.size(), 1U);
    b().start();
    EXPECT_EQ(b().at("partner/p.example/type"), "federated (commit 1)");
    EXPECT_EQ(b().id(), a().id());
    EXPECT_EQ(*b().configuration->held().published, *a().configuration->held().published);
    // Once more: nothing.
    ASSERT_TRUE(b().take(a()));
    EXPECT_EQ(b().host.published.size(), 1U);
    // And numbers go on from there.
    ASSERT_TRUE(b().commit("partner/p.example/type", "public_verified"));
    EXPECT_EQ(b().number(), 2U);
}

TEST_F(Published, ANodesOwnSettingsStayThere) {
    ASSERT_TRUE(b().commit("core.threads", "3"));
    ASSERT_TRUE(a().commit("sip.trusted", "192.0.2.0/24"));
    config::Tree next = a().configuration->committed().settings;
    const config::Origin origin = a().configuration->next_commit();
    ASSERT_TRUE(next.set("domain/sip.example/digest_user", "fedgate", origin, a().problems));
    ASSERT_TRUE(next.set("domain/sip.example/digest_password", "hush", origin, a().problems));
    ASSERT_TRUE(a().configuration->commit(a().host, std::move(next), {"alice", ""}, false,
                                          a().problems, a().changes));
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    EXPECT_EQ(a().configuration->held().published->find("hush"), std::string::npos);
    EXPECT_NE(a().file(3).find("hush"), std::string::npos);
    ASSERT_TRUE(b().take(a()));
    EXPECT_EQ(b().number(), 3U);
    EXPECT_EQ(b().at("core.threads"), "3 (commit 1)");
    EXPECT_EQ(b().at("sip.trusted"), c().at("sip.trusted"));
    EXPECT_EQ(b().at("im.max_bytes"), "1KiB (commit 3)");
    b().start();
    EXPECT_EQ(b().at("core.threads"), "3 (commit 1)");
    EXPECT_EQ(b().at("im.max_bytes"), "1KiB (commit 3)");
    EXPECT_EQ(b().id(), a().id());
}

TEST_F(Published, GarbageChangesNothing) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    const std::string good = *a().configuration->held().published;
    for (std::size_t i = 0; i < Commits::without_proof(good).size(); ++i) {
        std::string bad = good;
        bad[i] ^= 4;
        EXPECT_FALSE(b().take(bad)) << i;
        EXPECT_FALSE(b().take(good.substr(0, i))) << i;
    }
    const auto with_digest = [](const std::string& text) {
        const auto hex = to_hex(sha256({text}));
        return "# fedgate commit, sha256 of what follows: " + std::string(hex.data(), hex.size()) +
               "\n" + text + "# signed by: gw.example\n";
    };
    const std::string time = "# time: 2026-01-01T00:00:00Z\n";
    for (const std::string& text :
         {std::string("# number: 0\n") + time, std::string("# number: 7\n"),
          "# number: 18446744073709551615\n" + time, "# number: x\n" + time,
          std::string("# number: 7\n# time: never\n"), "# number: 7\n# rank: 3\n" + time,
          "# number: 7\n# author: " + std::string(257, 'a') + "\n" + time,
          "# number: 7\n# author: \x1b[2J\n" + time, "# number: 7\n# after: 6 short\n" + time,
          "# number: 7\n# seconds to confirm it: 99999999999\n" + time,
          "# number: 7\n# before, set by commit x: im.max_bytes = 1\n" + time}) {
        EXPECT_FALSE(b().take(with_digest(text))) << text;
    }
    EXPECT_EQ(b().number(), 0U);
    EXPECT_EQ(b().configuration->held().id, config::CommitId{});
    EXPECT_TRUE(b().host.published.empty());
    EXPECT_TRUE(b().take(good));
    EXPECT_EQ(b().number(), 1U);
}

TEST_F(Published, WhatCannotBeUsedIsPassedOnAndTriedAgain) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(b().take(a()));
    ASSERT_TRUE(a().commit("partner/p.example/ca", "/etc/roots.pem"));
    b().host.fault = "/etc/roots.pem can't be read";
    ASSERT_TRUE(b().take(a()));
    EXPECT_EQ(b().number(), 1U);
    EXPECT_EQ(b().id(), a().id());
    EXPECT_EQ(b().configuration->held().in_force, 1U);
    EXPECT_EQ(b().configuration->held().why, b().host.fault);
    EXPECT_EQ(b().count(EventId::kCommitNotUsable), 1);
    ASSERT_EQ(b().configuration->remarks().size(), 1U);
    EXPECT_TRUE(b().configuration->remarks()[0].starts_with(
        "commit 2 of the pool can't be used here: /etc/roots.pem can't be read"))
        << b().configuration->remarks()[0];
    ASSERT_TRUE(c().take(b()));
    EXPECT_EQ(c().number(), 2U);
    // Nothing is put over what is not understood.
    EXPECT_FALSE(b().commit("im.max_bytes", "2KiB"));
    EXPECT_TRUE(b().problems.back().text.starts_with("commit 2 of the pool can't be used here"));
    b().configuration->expire(b().host, now() + 29s);
    b().configuration->expire(b().host, now() + 31s);
    EXPECT_EQ(b().count(EventId::kCommitNotUsable), 1);
    EXPECT_EQ(b().number(), 1U);
    b().host.fault.clear();
    b().problems.clear();
    ASSERT_TRUE(b().configuration->reload(b().host, b().problems, b().changes));
    EXPECT_EQ(b().number(), 2U);
    EXPECT_TRUE(b().configuration->remarks().empty());
    EXPECT_EQ(b().at("partner/p.example/ca"), "/etc/roots.pem (commit 2)");
}

// It is not kept: who has sent it is asked for it again.
TEST_F(Published, WhatIsNotTakenIsToldAndAskedForAgain) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    b().host.signature_fault = "its certificate has expired";
    ASSERT_FALSE(b().take(a()));
    EXPECT_FALSE(b().take("garbage"));  // of the same peer; the later one is told
    ASSERT_EQ(b().configuration->remarks().size(), 1U);
    EXPECT_TRUE(b().configuration->remarks()[0].starts_with("what peer.example sent is no commit"));
    EXPECT_EQ(b().configuration->held().not_taken, "");
    ASSERT_FALSE(b().take(a()));
    const std::string told =
        "commit 1, which peer.example sent, is not taken here: its certificate has expired";
    ASSERT_EQ(b().configuration->remarks().size(), 1U);
    EXPECT_TRUE(b().configuration->remarks()[0].starts_with(told));
    EXPECT_EQ(b().configuration->held().not_taken, told);
    EXPECT_EQ(b().configuration->held().why, "");
    const auto asked = [&] { return b().configuration->held().asked; };
    const auto expire = [&](std::chrono::seconds in) {
        b().configuration->expire(b().host, now() + in);
    };
    expire(50s);
    EXPECT_EQ(asked(), 0U);
    expire(62s);
    EXPECT_EQ(asked(), 1U);
    ++b().host.files;
    expire(70s);
    EXPECT_EQ(asked(), 2U);
    expire(71s);
    EXPECT_EQ(asked(), 2U);
    ASSERT_TRUE(b().configuration->set(
        b().host, {{"sip.trusted", "192.0.2.0/24", false, {config::Origin::Kind::kRuntime, "", 0}}},
        false, b().problems, b().changes));
    EXPECT_EQ(asked(), 3U);
    b().host.signature_fault.clear();
    ASSERT_TRUE(b().take(a()));
    EXPECT_EQ(b().configuration->held().not_taken, "");
    EXPECT_TRUE(b().configuration->remarks().empty());
    const std::uint64_t all = asked();
    expire(200s);
    EXPECT_EQ(asked(), all);
    // Of one that does not come any more nothing is told.
    b().host.signature_fault = "its certificate has expired";
    ASSERT_TRUE(a().commit("im.max_bytes", "2KiB"));
    ASSERT_FALSE(b().take(a()));
    EXPECT_EQ(b().configuration->remarks().size(), 1U);
    expire(181s);
    EXPECT_TRUE(b().configuration->remarks().empty());
}

// Nobody who was away takes what an expired certificate has signed: some gateway signs it anew.
TEST_F(Published, WhatAnExpiredCertificateHasSignedIsSignedAnew) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(b().take(a()));
    ASSERT_TRUE(c().take(a()));
    c().host.not_for_all = "this machine is an edge";
    c().host.name = "";
    for (auto& node : nodes_) {
        node->host.good_until = {{"gw.example", now() + 10s}, {"gw2.example", now() + 11s}};
    }
    b().host.name = "gw2.example";
    const auto expire = [&](std::chrono::seconds in) {
        for (auto& node : nodes_) node->configuration->expire(node->host, now() + in);
    };
    expire(9s);
    EXPECT_EQ(b().number(), 1U);
    expire(20s);
    EXPECT_EQ(b().number(), 1U);  // nobody has one that is good
    b().host.good_until["gw2.example"] = now() + 10'000s;
    expire(300s);
    EXPECT_EQ(b().number(), 1U);
    expire(700s);
    EXPECT_EQ(a().number(), 1U);  // its own is not
    EXPECT_EQ(c().number(), 1U);  // nor may an edge
    ASSERT_EQ(b().number(), 2U);
    EXPECT_EQ(b().configuration->committed().signer(), "gw2.example");
    EXPECT_EQ(b().configuration->committed().comment,
              "signed anew: the certificate of gw.example has expired");
    EXPECT_EQ(b().at("im.max_bytes"), "1KiB (commit 1)");
    ASSERT_TRUE(a().take(b()));
    EXPECT_EQ(a().number(), 2U);
    expire(800s);
    EXPECT_EQ(b().number(), 2U);
    // What is of one node alone gives way to nothing, and nothing to it.
    a().start();
    EXPECT_EQ(a().number(), 2U);
    ASSERT_TRUE(c().commit("core.threads", "2"));
    ASSERT_TRUE(c().take(b()));
    EXPECT_EQ(c().number(), 2U);
    EXPECT_EQ(c().count(EventId::kCommitGaveWay), 0);
}

// What can't be used is tried again at once when something else has changed here.
TEST_F(Published, WhatCannotBeUsedIsTriedAgainWhenSomethingHasChanged) {
    ASSERT_TRUE(a().commit("partner/p.example/ca", "/etc/roots.pem"));
    b().host.fault = "/etc/roots.pem can't be read";
    ASSERT_TRUE(b().take(a()));
    b().host.fault.clear();
    b().configuration->expire(b().host, now() + 1s);
    EXPECT_EQ(b().number(), 0U);
    ++b().host.files;
    b().configuration->expire(b().host, now() + 2s);
    EXPECT_EQ(b().number(), 1U);
}

TEST_F(Published, WhatANewerVersionSaysIsNotUnderstoodAndPassedOn) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    std::string text(Commits::without_proof(*a().configuration->held().published));
    text.erase(0, text.find('\n') + 1);
    text += "im.telepathy = yes\n";
    const auto hex = to_hex(sha256({text}));
    text = "# fedgate commit, sha256 of what follows: " + std::string(hex.data(), hex.size()) +
           "\n" + text + "# signed by: gw.example\n";
    ASSERT_TRUE(b().take(text));
    EXPECT_EQ(b().number(), 0U);
    EXPECT_NE(b().configuration->held().why.find("im.telepathy"), std::string::npos);
    EXPECT_EQ(*b().configuration->held().published, text);
}

TEST_F(Published, OfTwoWithOneNumberAllHaveTheSame) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    heal();
    ASSERT_TRUE(a().commit("partner/a.example/type", "federated", {"alice", "of a"}));
    ASSERT_TRUE(b().commit("partner/b.example/type", "federated", {"bob", "of b"}));
    OneNode& winner = a().id() > b().id() ? a() : b();
    OneNode& loser = a().id() > b().id() ? b() : a();
    heal();
    for (auto& node : nodes_) EXPECT_EQ(node->id(), winner.id());
    EXPECT_EQ(loser.count(EventId::kCommitGaveWay), 1);
    EXPECT_EQ(winner.count(EventId::kCommitGaveWay), 0);
    EXPECT_EQ(c().count(EventId::kCommitGaveWay),
              &loser == &c() ? 1 : c().count(EventId::kCommitGaveWay));
    const std::string lost_key =
        &loser == &a() ? "partner/a.example/type" : "partner/b.example/type";
    EXPECT_EQ(loser.at(lost_key), "public_unverified (default)");
    // What it changed can be repeated from where it is kept.
    const auto lost = loser.configuration->commits().lost();
    ASSERT_EQ(lost.size(), 1U);
    EXPECT_EQ(lost[0].number, 2U);
    EXPECT_EQ(lost[0].author, &loser == &a() ? "alice" : "bob");
    config::Problems problems;
    config::Tree again;
    config::load({lost[0].path, {}, ""}, again, problems);
    EXPECT_TRUE(problems.empty());
    ASSERT_EQ(again.entries().size(), 1U);
    EXPECT_EQ(again.entries().begin()->first, lost_key);
}

TEST_F(Published, TheLongerSideHoldsAndAllOfTheOtherIsKept) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    heal();
    ASSERT_TRUE(a().commit("partner/a1.example/type", "federated"));
    ASSERT_TRUE(a().commit("partner/a2.example/type", "federated"));
    ASSERT_TRUE(b().commit("core.threads", "2"));
    for (const char* key : {"partner/b1.example/type", "partner/b2.example/type"}) {
        ASSERT_TRUE(b().commit(key, "federated"));
    }
    heal();
    for (auto& node : nodes_) EXPECT_EQ(node->id(), b().id());
    EXPECT_EQ(a().configuration->commits().lost().size(), 2U);
    EXPECT_EQ(a().count(EventId::kCommitGaveWay), 2);
    EXPECT_EQ(b().count(EventId::kCommitGaveWay), 0);
    EXPECT_EQ(a().at("partner/a1.example/type"), "public_unverified (default)");
    EXPECT_EQ(a().at("core.threads"), c().at("core.threads"));
    EXPECT_EQ(b().at("core.threads"), "2 (commit 2)");
    // Only those that are of this history are left.
    EXPECT_EQ(a().configuration->commits().numbers(), (std::vector<std::uint64_t>{1, 4}));
    // One that was only away has lost nothing.
    EXPECT_EQ(c().count(EventId::kCommitGaveWay), 0);
}

TEST_F(Published, WhatConcernsOneNodeGivesWayToWhatConcernsAll) {
    ASSERT_TRUE(a().commit("partner/a.example/type", "federated"));
    ASSERT_TRUE(b().commit("core.threads", "2"));
    ASSERT_TRUE(c().commit("core.threads", "4"));
    heal();
    for (auto& node : nodes_) {
        EXPECT_EQ(node->id(), a().id());
        EXPECT_EQ(node->count(EventId::kCommitGaveWay), 0);
    }
    EXPECT_EQ(b().at("core.threads"), "2 (commit 1)");
    EXPECT_EQ(c().at("core.threads"), "4 (commit 1)");
}

TEST_F(Published, UnconfirmedEveryNodeTakesItBackAlone) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(a().commit("partner/old.example/type", "federated"));
    heal();
    config::Tree next = a().configuration->committed().settings;
    config::Path old;
    std::string why;
    ASSERT_TRUE(config::resolve("partner/old.example/type", old, why));
    next.reset(old);
    const config::Origin origin = a().configuration->next_commit();
    ASSERT_TRUE(next.set("partner/new.example/type", "federated", origin, a().problems));
    ASSERT_TRUE(next.set("im.max_bytes", "2KiB", origin, a().problems));
    ASSERT_TRUE(next.set("core.threads", "7", origin, a().problems));
    ASSERT_TRUE(a().configuration->commit(a().host, std::move(next),
                                          {"alice", "a try", Note::Kind::kChanges, 60s}, false,
                                          a().problems, a().changes));
    ASSERT_TRUE(b().take(a()));
    EXPECT_EQ(b().at("im.max_bytes"), "2KiB (commit 3)");
    EXPECT_FALSE(b().commit("im.max_bytes", "3KiB"));
    EXPECT_NE(b().problems.back().text.find("waits for fedctl config confirm"), std::string::npos);
    b().start();  // it knows that after a restart, too
    EXPECT_TRUE(b().configuration->unconfirmed_for(now()).has_value());
    for (OneNode* node : {&a(), &b()}) {
        node->configuration->expire(node->host, now() + 58s);
        EXPECT_EQ(node->number(), 3U);
        node->configuration->expire(node->host, now() + 61s);
        EXPECT_EQ(node->number(), 4U);
        EXPECT_EQ(node->at("im.max_bytes"), "1KiB (commit 1)");
        EXPECT_EQ(node->at("partner/new.example/type"), "public_unverified (default)");
        EXPECT_EQ(node->at("partner/old.example/type"), "federated (commit 2)");
        EXPECT_EQ(node->at("core.threads"), "0 (default)");
        EXPECT_EQ(node->count(EventId::kCommitTakenBack), 1);
        node->configuration->expire(node->host, now() + 62s);
        EXPECT_EQ(node->number(), 4U);
    }
    EXPECT_EQ(a().id(), b().id());
    // What travels is the one that was signed: c makes the other one as they did.
    EXPECT_NE(b().configuration->held().published->find("# signed by: "), std::string::npos);
    EXPECT_NE(b().configuration->held().published->find("# comment: a try"), std::string::npos);
    c().configuration->expire(c().host, now());
    ASSERT_TRUE(c().take(b(), now() + 61s));
    EXPECT_EQ(c().at("im.max_bytes"), "1KiB (commit 1)");
    EXPECT_EQ(c().number(), 4U);
    EXPECT_EQ(c().id(), b().id());
    EXPECT_EQ(c().host.published.size(), 2U);  // the unconfirmed one was never in force
    c().start();
    EXPECT_EQ(c().id(), b().id());
    EXPECT_EQ(*c().configuration->held().published, *b().configuration->held().published);
    a().start();
    EXPECT_EQ(a().at("im.max_bytes"), "1KiB (commit 1)");
}

TEST_F(Published, AConfirmationStandsOverWhatNodesDoByThemselves) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(a().commit("im.max_bytes", "2KiB", {"alice", "", Note::Kind::kChanges, 60s}));
    heal();
    EXPECT_EQ(c().configuration->unconfirmed_for(now()).has_value(), true);
    ASSERT_TRUE(a().confirm());
    EXPECT_EQ(a().number(), 3U);
    b().configuration->expire(b().host, now() + 61s);  // it has not heard of it
    EXPECT_EQ(b().number(), 3U);
    EXPECT_EQ(b().at("im.max_bytes"), "1KiB (commit 1)");
    heal();
    for (auto& node : nodes_) {
        EXPECT_EQ(node->at("im.max_bytes"), "2KiB (commit 2)");
        EXPECT_EQ(node->id(), a().id());
        node->configuration->expire(node->host, now() + 1h);
        EXPECT_EQ(node->number(), 3U);
        EXPECT_EQ(node->count(EventId::kCommitGaveWay), 0);
    }
}

// Somebody has gone on where it was taken back.
TEST_F(Published, AConfirmationThatGivesWayIsKept) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(a().commit("im.max_bytes", "2KiB", {"alice", "", Note::Kind::kChanges, 60s}));
    heal();
    ASSERT_TRUE(a().confirm());
    b().configuration->expire(b().host, now() + 61s);
    ASSERT_TRUE(b().commit("partner/b.example/type", "federated"));
    heal();
    EXPECT_EQ(a().at("im.max_bytes"), "1KiB (commit 1)");
    EXPECT_EQ(a().count(EventId::kCommitGaveWay), 1);
    const auto lost = a().configuration->commits().lost();
    ASSERT_EQ(lost.size(), 1U);
    config::Problems problems;
    config::Tree again;
    config::load({lost[0].path, {}, ""}, again, problems);
    EXPECT_EQ(again.text("im.max_bytes"), "2KiB");
}

TEST_F(Published, AnotherClockTakesBackWhenItsOwnTimeIsOver) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB", {"alice", "", Note::Kind::kChanges, 60s}));
    const WallTime tomorrow = now() + 24h;
    ASSERT_TRUE(b().configuration->take(
        b().host, {"peer", *a().configuration->held().published, 50s}, tomorrow, b().why));
    b().configuration->expire(b().host, tomorrow + 49s);
    EXPECT_EQ(b().number(), 1U);
    b().configuration->expire(b().host, tomorrow + 50s);
    EXPECT_EQ(b().number(), 2U);
    a().configuration->expire(a().host, now() + 61s);
    EXPECT_EQ(a().id(), b().id());
}

// --- Who may make one

TEST_F(Published, WhatNobodyHasSignedIsNotTaken) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    EXPECT_FALSE(b().takes_by("", a()));
    EXPECT_EQ(b().why, "nobody has signed it");
    b().host.signature_fault = "its signature is not that of gw.example";
    EXPECT_FALSE(b().take(a()));
    EXPECT_EQ(b().why, b().host.signature_fault);
    b().host.signature_fault.clear();
    EXPECT_FALSE(b().takes_by(std::string(limits::kCommitProofBytes, 'a'), a()));
    EXPECT_EQ(b().why, "its signature is too long");
    EXPECT_EQ(b().configuration->held().published, nullptr);
    EXPECT_TRUE(b().host.published.empty());
    EXPECT_TRUE(b().take(a()));
    EXPECT_EQ(b().configuration->committed().signer(), "gw.example");
    b().start();
    EXPECT_EQ(b().configuration->committed().signer(), "gw.example");
}

constexpr const char* kByLink =
    "tls.internal.certificate = /c\ntls.internal.key = /k\ntls.internal.ca = /a\n";

TEST_F(Published, AnEdgeMakesNoneForOthers) {
    a().start_with(kByLink);
    b().start_with(kByLink);
    ASSERT_TRUE(a().commit("pool/out/kind", "edge"));
    ASSERT_TRUE(a().commit("pool/out/members", "edge1.example both.example"));
    ASSERT_TRUE(a().commit("pool/in/kind", "gateway"));
    ASSERT_TRUE(a().commit("pool/in/members", "gw1.example both.example"));
    ASSERT_TRUE(b().take(a()));
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    EXPECT_FALSE(b().takes_by("edge1.example", a()));
    EXPECT_EQ(b().why, "it was made at edge1.example, an edge, and edges make none for others");
    EXPECT_EQ(b().number(), 4U);
    for (const auto& [signer, next] :
         {std::pair{"both.example", "2KiB"}, {"gw1.example", "3KiB"}, {"new.example", "4KiB"}}) {
        EXPECT_TRUE(b().takes_by(signer, a())) << signer << b().why;
        ASSERT_TRUE(a().commit("im.max_bytes", next));
    }
    // By its present configuration, not by what it gets.
    ASSERT_TRUE(a().commit("pool/out/members", "edge2.example"));
    EXPECT_FALSE(b().takes_by("edge1.example", a()));
    EXPECT_TRUE(b().takes_by("gw1.example", a()));
}

TEST_F(Published, AnEdgeIsKnownByHowItIsDialledToo) {
    b().start_with(std::string(kByLink) +
                   "core.roles = gateway\nlink.edges = edge1.example:23456 edges.example\n");
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    EXPECT_FALSE(b().takes_by("edge1.example", a()));
    EXPECT_FALSE(b().takes_by("edges.example", a()));
    EXPECT_FALSE(b().takes_by("e7.edges.example", a()));
    EXPECT_FALSE(b().takes_by("peer.example", a()));  // who sends it, whom a gateway dials
    EXPECT_TRUE(b().takes_by("not-edges.example", a()));
}

TEST_F(Published, NumbersCannotBeUsedUp) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    const auto with_number = [&](std::uint64_t number) {
        std::string text(Commits::without_proof(*a().configuration->held().published));
        text.erase(0, text.find('\n') + 1);
        text.replace(text.find("number: 1"), 9, "number: " + std::to_string(number));
        const auto hex = to_hex(sha256({text}));
        return "# fedgate commit, sha256 of what follows: " + std::string(hex.data(), hex.size()) +
               "\n" + text + "# signed by: gw.example\n";
    };
    EXPECT_FALSE(b().take(with_number(limits::kCommitsAhead + 1)));
    EXPECT_EQ(b().why, "its number, 1000001, is more than 1000000 above the newest one here");
    EXPECT_FALSE(b().take(with_number(1'000'000'000'000'000)));
    EXPECT_EQ(b().number(), 0U);
    EXPECT_TRUE(b().take(with_number(limits::kCommitsAhead)));
    EXPECT_EQ(b().number(), limits::kCommitsAhead);
}

TEST_F(Published, AnOlderOneChangesNothing) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    const std::string older = *a().configuration->held().published;
    ASSERT_TRUE(a().commit("im.max_bytes", "2KiB"));
    ASSERT_TRUE(b().take(a()));
    EXPECT_TRUE(b().take(older));
    EXPECT_EQ(b().number(), 2U);
    EXPECT_EQ(b().at("im.max_bytes"), "2KiB (commit 2)");
}

TEST_F(Published, WhatTakesOneBackIsNeverTakenFromOthers) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(a().commit("im.max_bytes", "2KiB", {"alice", "", Note::Kind::kChanges, 60s}));
    ASSERT_TRUE(b().take(a()));
    Commit back = a().configuration->committed().taking_it_back();
    EXPECT_FALSE(b().take(Commits::write_published(back)));  // the true one, too early
    config::Problems problems;
    ASSERT_TRUE(back.settings.set("partner/evil.example/type", "federated", {}, problems));
    EXPECT_FALSE(b().take(Commits::write_published(back)));
    EXPECT_EQ(b().why, "nobody has signed it");
    EXPECT_EQ(b().number(), 2U);
    // Nor is it early because somebody says that no time is left.
    ASSERT_TRUE(c().take(*a().configuration->held().published, 0s));
    EXPECT_EQ(c().number(), 2U);
    EXPECT_GE(c().configuration->unconfirmed_for(now()), 58s);
}

TEST_F(Published, WhatAnEdgeSetsForItselfIsNotToldAndStays) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    OneNode& edge = b();
    edge.host.name.clear();
    edge.host.not_for_all = "commit at a gateway";
    ASSERT_TRUE(edge.take(a()));
    ASSERT_FALSE(edge.commit("im.max_bytes", "2KiB"));
    EXPECT_EQ(edge.problems.back().text, "commit at a gateway");
    EXPECT_EQ(edge.number(), 1U);
    ASSERT_TRUE(edge.commit("core.threads", "2"));
    ASSERT_TRUE(edge.commit("core.threads", "3"));
    EXPECT_EQ(edge.number(), 3U);
    EXPECT_EQ(edge.id(), a().id());
    edge.start();
    EXPECT_EQ(edge.number(), 3U);
    EXPECT_EQ(edge.id(), a().id());
    EXPECT_EQ(*edge.configuration->held().published, *a().configuration->held().published);
    ASSERT_TRUE(a().commit("im.max_bytes", "3KiB"));
    ASSERT_TRUE(edge.take(a()));
    EXPECT_EQ(edge.number(), 2U);
    EXPECT_EQ(edge.at("im.max_bytes"), "3KiB (commit 2)");
    EXPECT_TRUE(edge.at("core.threads").starts_with("3 (")) << edge.at("core.threads");
    EXPECT_EQ(edge.count(EventId::kCommitGaveWay), 0);
    // To confirm is of all, too.
    ASSERT_TRUE(a().commit("im.max_bytes", "4KiB", {"alice", "", Note::Kind::kChanges, 60s}));
    ASSERT_TRUE(edge.take(a()));
    EXPECT_FALSE(edge.confirm());
    EXPECT_EQ(edge.number(), 3U);
}

TEST_F(Published, WhatWaitsAtOneNodeIsNotConfirmedByAnothersCommit) {
    const Note wait{"alice", "", Note::Kind::kChanges, 60s};
    for (OneNode* edge : {&b(), &c()}) {
        edge->host.name.clear();
        edge->host.not_for_all = "commit at a gateway";
        ASSERT_TRUE(edge->commit("core.threads", "2", wait));
    }
    ASSERT_TRUE(c().confirm()) << c().problems.back().text;  // its own, an edge may
    c().configuration->expire(c().host, now() + 61s);
    EXPECT_TRUE(c().at("core.threads").starts_with("2 (")) << c().at("core.threads");
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(a().commit("im.max_bytes", "2KiB"));
    ASSERT_TRUE(a().commit("im.max_bytes", "3KiB"));
    ASSERT_TRUE(b().take(a()));
    EXPECT_EQ(b().at("im.max_bytes"), "3KiB (commit 3)");
    EXPECT_EQ(b().at("core.threads"), "0 (default)");
    EXPECT_EQ(b().count(EventId::kCommitTakenBack), 1);
    ASSERT_TRUE(c().take(a()));
    EXPECT_TRUE(c().at("core.threads").starts_with("2 (")) << c().at("core.threads");
}

TEST_F(Published, WhatIsOverdueAtTheStartIsNotInForceAgain) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(a().commit("im.max_bytes", "2KiB", {"alice", "", Note::Kind::kChanges, 1s}));
    while (a().configuration->unconfirmed_for(now()) > 0s) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    a().start();
    EXPECT_EQ(a().at("im.max_bytes"), "1KiB (commit 1)");
    a().configuration->expire(a().host, now());
    EXPECT_EQ(a().number(), 3U);
    EXPECT_EQ(a().at("im.max_bytes"), "1KiB (commit 1)");
}

TEST_F(Published, AClockThatIsSetBackGivesNoMoreTime) {
    ASSERT_TRUE(a().commit("im.max_bytes", "1KiB"));
    ASSERT_TRUE(a().commit("im.max_bytes", "2KiB", {"alice", "", Note::Kind::kChanges, 60s}));
    const WallTime yesterday = now() - 24h;
    a().configuration->expire(a().host, yesterday);
    EXPECT_EQ(a().number(), 2U);
    a().configuration->expire(a().host, yesterday + 61s);
    EXPECT_EQ(a().number(), 3U);
    EXPECT_EQ(a().at("im.max_bytes"), "1KiB (commit 1)");
}

TEST_F(Published, TenThousandPartnersFit) {
    config::Tree next;
    config::Problems problems;
    const config::Origin origin = a().configuration->next_commit();
    for (int i = 0; i < 10'000; ++i) {
        const std::string partner = "partner/p" + std::to_string(i) + ".partner.example/";
        ASSERT_TRUE(next.set(partner + "type", "federated", origin, problems));
        ASSERT_TRUE(
            next.set(partner + "description", "number " + std::to_string(i), origin, problems));
    }
    ASSERT_TRUE(a().configuration->commit(a().host, std::move(next), {"alice", "all"}, false,
                                          problems, a().changes));
    EXPECT_LT(a().configuration->held().published->size(), limits::kCommitBytes / 8);
    ASSERT_TRUE(b().take(a()));
    EXPECT_EQ(b().configuration->snapshot().partners().size(), 10'001U);
}

}  // namespace
}  // namespace fedgate::admin
