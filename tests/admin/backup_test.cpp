#include "appliance/admin/backup.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/appliance_verbs.hpp"
#include "appliance/admin/sealed.hpp"

namespace fedgate::admin {
namespace {

ArchivedFile file_of(const std::string& name, const std::string& content) {
    return {name, content, 0640, 1'700'000'000, "nobody", "nogroup"};
}

TEST(Archive, ComesBackAsItWas) {
    std::string bytes;
    for (int i = 0; i < 1500; ++i) bytes += static_cast<char>(i);
    const std::vector<ArchivedFile> files{file_of("fedgate-backup", ""),
                                          file_of("etc/tls/key.pem", bytes),
                                          file_of("state/commits/7.conf", std::string(512, 'x'))};
    const std::string text = write_archive(files);
    EXPECT_EQ(text.size() % 512, 0U);
    std::vector<ArchivedFile> read;
    std::string why;
    ASSERT_TRUE(read_archive(text, read, why)) << why;
    ASSERT_EQ(read.size(), files.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
        EXPECT_EQ(read[i].name, files[i].name);
        EXPECT_EQ(read[i].content, files[i].content);
        EXPECT_EQ(read[i].mode, 0640U);
        EXPECT_EQ(read[i].changed, 1'700'000'000);
        EXPECT_EQ(read[i].owner, "nobody");
        EXPECT_EQ(read[i].group, "nogroup");
    }
}

TEST(Archive, NothingGoesElsewhere) {
    for (const char* name : {"", "/etc/passwd", "etc/../../x", "..", "./x", "etc//x", "etc/x/",
                             "etc/a\nb", "etc/\x7f", " x", "x "}) {
        EXPECT_FALSE(is_archive_name(name)) << name;
        std::vector<ArchivedFile> read;
        std::string why;
        EXPECT_FALSE(read_archive(write_archive({file_of(name, "x")}), read, why)) << name;
        EXPECT_TRUE(read.empty());
    }
    EXPECT_FALSE(is_archive_name(std::string(100, 'x')));
    EXPECT_TRUE(is_archive_name("etc/tls/..key"));
}

TEST(Archive, RefusesWhatIsNotWhole) {
    const std::string text = write_archive({file_of("etc/a", std::string(600, 'a'))});
    std::vector<ArchivedFile> read;
    std::string why;
    for (std::size_t size = 0; size < 512 + 1024; size += 100) {
        EXPECT_FALSE(read_archive(Bytes(text).substr(0, size), read, why)) << size;
    }
    for (const std::size_t at : {0U, 100U, 124U, 130U, 148U, 156U, 265U}) {  // of the head
        std::string flipped = text;
        flipped[at] = static_cast<char>(flipped[at] ^ 1);
        EXPECT_FALSE(read_archive(flipped, read, why)) << at;
    }
    EXPECT_FALSE(
        read_archive(write_archive({file_of("etc/a", "1"), file_of("etc/a", "2")}), read, why));
}

TEST(Sealed, OpensByItsPassphraseOnly) {
    const std::string plain = "what nobody else reads";
    std::string sealed;
    std::string opened;
    std::string why;
    ASSERT_TRUE(seal(plain, {"a long passphrase", ""}, sealed, why)) << why;
    EXPECT_EQ(sealed.find("nobody"), std::string::npos);
    ASSERT_TRUE(open_sealed(sealed, {"a long passphrase", ""}, opened, why)) << why;
    EXPECT_EQ(opened, plain);
    opened.clear();
    EXPECT_FALSE(open_sealed(sealed, {"another passphrase", ""}, opened, why));
    EXPECT_NE(why.find("passphrase"), std::string::npos);
    // Nothing is tried with what is not whole: that costs nothing.
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        std::string bad = sealed;
        bad[i] = static_cast<char>(bad[i] ^ 0x10);
        EXPECT_FALSE(fault_of_sealed(bad).empty()) << i;
        EXPECT_FALSE(fault_of_sealed(Bytes(sealed).substr(0, i)).empty()) << i;
    }
    EXPECT_TRUE(opened.empty());
    EXPECT_EQ(fault_of_sealed("\x1f\x8b\x08 a foreign file"), "is no backup of fedctl");
    EXPECT_NE(fault_of_sealed("fedgate backup 0 sha256 x\n").find("another format"),
              std::string::npos);
}

class BackupFiles : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "fedgate-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        places_ = {
            directory_ + "/etc/fedgate.conf", directory_ + "/etc", directory_ + "/state", {}};
        put("etc/fedgate.conf", "dirs.state = " + places_.state + "\n");
        put("state/certificates/one.pem", "a key");
        put("state/dialback.secret", "secret");
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    void put(const std::string& name, const std::string& text) const {
        const std::filesystem::path path = directory_ + "/" + name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    std::string text_of(const std::string& name) const {
        std::ostringstream text;
        text << std::ifstream(directory_ + "/" + name).rdbuf();
        return text.str();
    }
    std::vector<ArchivedFile> collect() {
        std::vector<ArchivedFile> files;
        std::vector<std::string> left_out;
        EXPECT_TRUE(collect_backup(places_, files, left_out, why_)) << why_;
        return files;
    }

    std::string directory_;
    BackupPlaces places_;
    std::string why_;
};

TEST_F(BackupFiles, AreAllPutBackOrNone) {
    const std::vector<ArchivedFile> files = collect();
    put("state/certificates/one.pem", "another key");
    put("state/certificates/later.pem", "a later key");
    put("state/dialback.secret", "another secret");
    {
        Restoration restoration(places_);
        ASSERT_TRUE(restoration.stage(files, why_)) << why_;
        EXPECT_EQ(text_of("state/certificates/one.pem"), "another key");
        ASSERT_TRUE(restoration.exchange(why_)) << why_;
        EXPECT_EQ(text_of("state/certificates/one.pem"), "a key");
        EXPECT_EQ(text_of("state/certificates/later.pem"), "");
    }  // nobody has said that it stays
    EXPECT_EQ(text_of("state/certificates/one.pem"), "another key");
    EXPECT_EQ(text_of("state/certificates/later.pem"), "a later key");
    EXPECT_EQ(text_of("state/dialback.secret"), "another secret");
    EXPECT_FALSE(std::filesystem::exists(places_.state + "/restore.new"));
    Restoration restoration(places_);
    ASSERT_TRUE(restoration.stage(files, why_) && restoration.exchange(why_)) << why_;
    restoration.finish();
    EXPECT_EQ(text_of("state/dialback.secret"), "secret");
    EXPECT_EQ(text_of("state/before-restore/certificates/later.pem"), "a later key");
}

TEST_F(BackupFiles, RefusesWhatIsInNoBackup) {
    const std::vector<ArchivedFile> good = collect();
    for (const char* name : {"state/fedgate.db", "state/certificates/a/b", "root/.profile",
                             "etc/restore.new/etc/x", "state/commits/../x"}) {
        std::vector<ArchivedFile> files = good;
        files.push_back(file_of(name, "x"));
        Restoration restoration(places_);
        EXPECT_FALSE(restoration.stage(files, why_)) << name;
    }
    std::vector<ArchivedFile> bad = good;
    for (ArchivedFile& file : bad) {
        if (file.name == "etc/fedgate.conf") file.content = "no.such.key = 1\n";
    }
    EXPECT_FALSE(Restoration(places_).stage(bad, why_));
    EXPECT_NE(why_.find("no.such.key"), std::string::npos) << why_;
    places_.state += "2";
    EXPECT_FALSE(Restoration(places_).stage(good, why_));
    EXPECT_NE(why_.find("dirs.state"), std::string::npos) << why_;
}

TEST(Appliance, AWishIsLeftOnAnApplianceOnly) {
    const std::string folder = testing::TempDir() + "appliance";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    const AppliancePlaces places{folder + "/page", folder + "/wish"};
    const Json reset{{"verb", "appliance"}, {"action", "reset"}};
    Json answer = answer_appliance(reset, places);
    EXPECT_FALSE(bool_of(answer, "ok"));
    EXPECT_TRUE(string_of(answer, "error").starts_with("this machine is no appliance"));
    EXPECT_FALSE(std::filesystem::exists(places.wish));
    std::ofstream(places.page) << "fedgate: ready\n";
    answer = answer_appliance({{"verb", "appliance"}, {"action", "show"}}, places);
    EXPECT_EQ(string_of(answer, "page"), "fedgate: ready\n");
    EXPECT_FALSE(bool_of(answer_appliance({{"verb", "appliance"}}, places), "ok"));
    EXPECT_FALSE(std::filesystem::exists(places.wish));
    EXPECT_TRUE(bool_of(answer_appliance(reset, places), "ok"));
    EXPECT_TRUE(std::filesystem::exists(places.wish));
}

}  // namespace
}  // namespace fedgate::admin
