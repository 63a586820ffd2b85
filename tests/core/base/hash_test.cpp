#include "core/base/hash.hpp"

#include <array>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

template <std::size_t N>
std::string hex(const std::array<std::uint8_t, N>& digest) {
    const auto digits = to_hex(digest);
    return {digits.begin(), digits.end()};
}

// FIPS 180-4 examples.
TEST(Hash, Sha1) {
    EXPECT_EQ(hex(sha1({})), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    EXPECT_EQ(hex(sha1({"abc"})), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(hex(sha1({"a", "", "bc"})), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

TEST(Hash, Sha256) {
    EXPECT_EQ(hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(hex(sha256({"ab", "c"})),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex(sha256({"abcdbcdecdefdefgefghfghighij", "hijkijkljklmklmnlmnomnopnopq"})),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// RFC 4231, cases 2 and 6 (a key longer than a block).
TEST(Hash, HmacSha256) {
    EXPECT_EQ(hex(hmac_sha256("Jefe", {"what do ya want ", "for nothing?"})),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(hex(hmac_sha256(std::string(131, '\xaa'),
                              {"Test Using Larger Than Block-Size Key - Hash Key First"})),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

std::string encoded(Bytes bytes) {
    char memory[512];
    Sink sink(memory);
    write_base64(sink, bytes);
    EXPECT_EQ(sink.size(), base64_size(bytes.size()));
    return std::string(sink.written());
}

// RFC 4648 section 10.
TEST(Base64, Vectors) {
    EXPECT_EQ(encoded(""), "");
    EXPECT_EQ(encoded("f"), "Zg==");
    EXPECT_EQ(encoded("fo"), "Zm8=");
    EXPECT_EQ(encoded("foo"), "Zm9v");
    EXPECT_EQ(encoded("foob"), "Zm9vYg==");
    EXPECT_EQ(encoded("fooba"), "Zm9vYmE=");
    EXPECT_EQ(encoded("foobar"), "Zm9vYmFy");
}

TEST(Base64, RoundTripOfEveryByteAndLength) {
    std::string bytes;
    for (int i = 0; i < 256; ++i) {
        char memory[300];
        const auto size = decode_base64(encoded(bytes), memory);
        ASSERT_TRUE(size);
        EXPECT_EQ(Bytes(memory, *size), bytes);
        bytes.push_back(static_cast<char>(i));
    }
}

TEST(Base64, RefusesWhatIsNotTheOneEncoding) {
    char memory[16];
    for (const Bytes text : {"Zg=", "Zg", "Z===", "====", "=", "Zh==", "Zm9=", "Zm 8=", "Zm8=\n",
                             "Zg==Zg==", "Z=g=", "Zm9v====", "Zm-_", "\xff\xff\xff\xff"}) {
        EXPECT_FALSE(decode_base64(text, memory)) << text;
    }
    EXPECT_FALSE(decode_base64("Zm9vYmFy", MutableBytes(memory, 5)));
    EXPECT_TRUE(decode_base64("Zm9vYmFy", MutableBytes(memory, 6)));
}

// RFC 8439 appendix A.1, test vectors 1 and 2: two blocks of key, nonce and counter zero.
TEST(Hash, RandomStreamIsChaCha20) {
    std::array<char, 128> stream;
    stream.fill('x');  // what was there before has no part in it
    expand_random({}, {stream.data(), stream.size()});
    std::array<std::uint8_t, 8> first, second;
    std::memcpy(first.data(), stream.data(), first.size());
    std::memcpy(second.data(), stream.data() + 64, second.size());
    const auto text = [](const auto& hex) { return std::string(hex.data(), hex.size()); };
    EXPECT_EQ(text(to_hex(first)), "76b8e0ada0f13d90");
    EXPECT_EQ(text(to_hex(second)), "9f07e7be5551387a");
}

TEST(Hash, ConstantTimeCompare) {
    EXPECT_TRUE(equal_constant_time("", ""));
    EXPECT_TRUE(equal_constant_time("abc", "abc"));
    EXPECT_FALSE(equal_constant_time("abc", "abd"));
    EXPECT_FALSE(
        equal_constant_time("\x80"
                            "bc",
                            "\x01"
                            "bc"));
    EXPECT_FALSE(equal_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace fedgate
