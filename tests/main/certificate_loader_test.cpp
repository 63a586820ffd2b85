#include "appliance/main/certificate_loader.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "core/config/file.hpp"
#include "net/certificate.hpp"

namespace fedgate {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr WallTime kStart = std::chrono::sys_days(std::chrono::year(2027) / 1 / 1);

// Its certificates are valid for so many days from kStart on; the time is what the test says.
class CertificateLoaderTest : public testing::Test {
protected:
    CertificateLoaderTest() {
        std::string name = fs::temp_directory_path() / "fedgate-loader-XXXXXX";
        directory_ = mkdtemp(name.data());
    }
    ~CertificateLoaderTest() override { fs::remove_all(directory_); }

    [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }
    void make(const std::string& name, unsigned days) const {
        const auto made = net::make_self_signed({"sip.example"}, days, kStart);
        std::ofstream(path(name + ".pem")) << made->certificate;
        std::ofstream(path(name + ".key")) << made->key;
    }
    void configure(const std::string& more = {}) {
        const std::string text =
            "domain/sip.example/next_hop = sip:127.0.0.1\n"
            "tls.external.certificate = " +
            path("one.pem") +
            "\n"
            "tls.external.key = " +
            path("one.key") +
            "\n"
            "tls.external.ca = " +
            path("one.pem") + "\n" + more;
        config::Problems problems;
        std::vector<config::Setting> settings;
        config::parse_settings(text, "test", settings, problems);
        config::Tree tree;
        config::apply(settings, tree, problems);
        rules_ = rules::compile(tree, 1, problems);
        ASSERT_NE(rules_, nullptr) << problems.front().line();
    }
    // How many lines the log has of this event since the last call.
    std::size_t lines(const std::string& id) {
        std::string text;
        log_.drain(text);
        std::size_t count = 0;
        for (std::size_t at = text.find(id); at != std::string::npos; at = text.find(id, at + 1))
            ++count;
        last_ = text;
        return count;
    }
    std::string in_use(WallTime now) {
        static_cast<void>(loader_.load(*rules_, 1, now));
        EXPECT_EQ(loader_.fault(), "");
        return fs::path(loader_.expiries().front().file).filename();
    }

    fs::path directory_;
    Log log_{-1};
    CertificateLoader loader_{log_};
    std::unique_ptr<const rules::Snapshot> rules_;
    std::string last_;
};

TEST_F(CertificateLoaderTest, TellsTheEndThirtyFourteenSevenAndOneDaysAhead) {
    make("one", 100);
    configure();
    EXPECT_EQ(in_use(kStart), "one.pem");
    std::vector<long> told;
    const WallTime end = loader_.expiries().front().at;
    for (WallTime now = kStart; now < end + std::chrono::days(3); now += 6h) {
        loader_.tell(now);
        loader_.tell(now);
        const std::size_t count = lines("FG-1303");
        ASSERT_LE(count, 1U);
        if (count == 1) told.push_back((end - now) / std::chrono::days(1));
    }
    // Each once; then every day.
    EXPECT_EQ(told, (std::vector<long>{30, 14, 7, 1, 0, -1, -2}));
}

TEST_F(CertificateLoaderTest, ARestartTellsOnceAndARenewalBeginsAnew) {
    make("one", 10);
    configure();
    static_cast<void>(in_use(kStart));
    loader_.tell(kStart);
    EXPECT_EQ(lines("FG-1303"), 1U);  // of 30 and 14 together
    EXPECT_NE(last_.find("days=10"), std::string::npos) << last_;
    make("one", 200);
    static_cast<void>(in_use(kStart));
    loader_.tell(kStart);
    EXPECT_EQ(lines("FG-1303"), 0U);
    loader_.tell(kStart + std::chrono::days(171));
    EXPECT_EQ(lines("FG-1303"), 1U);
}

TEST_F(CertificateLoaderTest, ThePairThatIsScheduledTakesOverAtItsTime) {
    make("one", 100);
    make("two", 300);
    configure("tls.external.next = 2027-02-01T06:00:00Z " + path("two.pem") + " " +
              path("two.key") + "\n");
    const WallTime from = rules_->settings.tls_external.next->from;
    EXPECT_EQ(in_use(kStart), "one.pem");
    EXPECT_FALSE(loader_.is_due(*rules_, from - 1s));
    EXPECT_TRUE(loader_.is_due(*rules_, from));
    EXPECT_EQ(in_use(from), "two.pem");
    EXPECT_FALSE(loader_.is_due(*rules_, from + 1h));
}

TEST_F(CertificateLoaderTest, APairThatCanNotBeUsedThenIsRefusedNow) {
    make("one", 100);
    make("two", 300);
    configure("tls.external.next = 2027-02-01T06:00:00Z " + path("two.pem") + " " +
              path("one.key") + "\n");
    EXPECT_NE(CertificateLoader::fault_of(*rules_, kStart), "");
    configure("tls.external.next = 2027-02-01T06:00:00Z " + path("two.pem") + " " +
              path("two.key") + "\n");
    EXPECT_EQ(CertificateLoader::fault_of(*rules_, kStart), "");
}

}  // namespace
}  // namespace fedgate
