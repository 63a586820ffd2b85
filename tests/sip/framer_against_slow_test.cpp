// Two opinions on where messages end, over thousands of damaged streams: a slow and obvious framer
// and the real one must agree, however the stream is cut. sip_framer_fuzz asks the same of more.
#include <filesystem>
#include <random>

#include <gtest/gtest.h>

#include "tests/sip/framed.hpp"
#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

constexpr std::size_t kStreams = 4'000;

std::vector<std::string> corpus() {
    std::vector<std::string> messages;
    for (const char* folder : {"/rfc4475", "/rfc5118"}) {
        for (const auto& entry :
             std::filesystem::directory_iterator(FEDGATE_CORPUS + std::string(folder))) {
            if (entry.path().extension() != ".md")
                messages.push_back(test::read_file(entry.path()));
        }
    }
    std::ranges::sort(messages);
    return messages;
}

// What tears framers apart: line ends, lengths, folds, colons.
const std::vector<std::string> kPieces = {"\r\n",
                                          "\r",
                                          "\n",
                                          "\r\n\r\n",
                                          "\n\n",
                                          "\r\n ",
                                          "\r\n\t",
                                          ":",
                                          " ",
                                          "l:0",
                                          "L : 3",
                                          "Content-Length: 5",
                                          "\r\nContent-Length: 0\r\n",
                                          "\r\nl: 4\r\n",
                                          "0 412",
                                          "-1",
                                          "99999999999",
                                          "00000000000000000004",
                                          "SIP/2.0 200 OK\r\n",
                                          "MESSAGE sip:a@b SIP/2.0\r\n",
                                          std::string(1, '\0'),
                                          "\xff"};

std::string damage(std::mt19937_64& random, const std::vector<std::string>& messages) {
    const auto below = [&random](std::size_t bound) {
        return static_cast<std::size_t>(random() % std::max<std::size_t>(bound, 1));
    };
    std::string stream;
    for (std::size_t i = 0; i <= below(3); ++i) stream += messages[below(messages.size())];
    for (std::size_t i = below(5); i > 0; --i) {
        const std::size_t at = below(stream.size() + 1);
        switch (below(3)) {
            case 0: stream.insert(at, kPieces[below(kPieces.size())]); break;
            case 1: stream.erase(at, 1 + below(4)); break;
            default:
                stream.replace(at, std::min(stream.size() - at, below(6)),
                               kPieces[below(kPieces.size())]);
        }
    }
    return stream;
}

TEST(FramerAgainstSlow, TheyAgreeOnDamagedStreams) {  // SIP-3
    const std::vector<std::string> messages = corpus();
    ASSERT_FALSE(messages.empty());
    std::mt19937_64 random(20260101);
    std::size_t framed = 0;
    std::size_t closed = 0;
    for (std::size_t i = 0; i < kStreams; ++i) {
        const std::string stream = damage(random, messages);
        // Many a body is too long for the half of them.
        const std::size_t body_max = i % 2 == 0 ? test::kBodyMax : 100;
        const std::vector<test::SlowFrame> slow = test::SlowFramer(body_max).read(stream);
        std::vector<std::size_t> cuts;
        for (std::size_t n = random() % 4; n > 0; --n)
            cuts.push_back(random() % (stream.size() + 1));
        ASSERT_EQ(test::framed(stream, cuts, body_max), slow) << testing::PrintToString(stream);
        for (const test::SlowFrame& frame : slow) ++(frame.closed ? closed : framed);
    }
    // Both ends were met often enough to mean something.
    EXPECT_GT(framed, kStreams / 2);
    EXPECT_GT(closed, kStreams / 4);
}

}  // namespace
}  // namespace fedgate::sip
