// What looks at several bytes at a time finds what a look at each finds, wherever it stands.
#include <cctype>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/byte_mask.hpp"
#include "core/base/hex.hpp"

namespace fedgate {
namespace {

TEST(ByteMask, HasEachPlace) {
    for (std::size_t size = 0; size <= kByteMaskBytes; ++size) {
        EXPECT_EQ(byte_mask(std::string(size, 'a'), '.'), 0U);
        for (std::size_t at = 0; at < size; ++at) {
            std::string text(size, 'a');
            text[at] = text[at / 2] = '.';
            EXPECT_EQ(byte_mask(text, '.'), std::uint64_t{1} << at | std::uint64_t{1} << at / 2);
            text[at] = '\xC3';
            EXPECT_FALSE(is_ascii(text)) << size << ' ' << at;
        }
        EXPECT_TRUE(is_ascii(std::string(size, '\x7F')));
    }
}

TEST(Hex, IsReadAsItWasWritten) {
    for (std::size_t size = 0; size <= 40; ++size) {
        std::vector<std::uint8_t> bytes(size);
        for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + size);
        std::string text(2 * size, '?');
        EXPECT_EQ(write_hex(text.data(), bytes), text.data() + text.size());
        for (std::size_t i = 0; i < size; ++i) {
            constexpr char kDigits[] = "0123456789abcdef";
            EXPECT_EQ(text[2 * i], kDigits[bytes[i] >> 4]);
            EXPECT_EQ(text[2 * i + 1], kDigits[bytes[i] & 15]);
        }
        std::vector<std::uint8_t> read(size);
        EXPECT_TRUE(read_hex(text.data(), read));
        EXPECT_EQ(read, bytes);
        for (char& c : text) c = static_cast<char>(std::toupper(c));
        EXPECT_TRUE(read_hex(text.data(), read));
        EXPECT_EQ(read, bytes);
    }
}

TEST(Hex, NothingElseIsADigit) {
    std::uint8_t bytes[9];
    for (int c = 0; c < 256; ++c) {
        for (const std::size_t at : {std::size_t{3}, std::size_t{17}}) {  // of a block, and behind
            std::string text(18, '0');
            text[at] = static_cast<char>(c);
            EXPECT_EQ(read_hex(text.data(), bytes), std::isxdigit(c) != 0) << c << ' ' << at;
        }
    }
}

}  // namespace
}  // namespace fedgate
