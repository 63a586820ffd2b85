// Fails when the wolfSSL that is linked is not the fast one: Debian's own build has no AES-NI.
#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <limits>
#include <vector>

#include <wolfssl/options.h>
#include <gtest/gtest.h>
#include <wolfssl/wolfcrypt/aes.h>

namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr int kRounds = 20;
// Measured: 6 and more with AES-NI, 0.2 without.
constexpr double kRatioMin = 1.5;

std::int64_t cpu_now_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The best round: other programs on the machine can only make one slower.
template <typename Work>
std::int64_t best_ns(Work work) {
    auto best = std::numeric_limits<std::int64_t>::max();
    for (int round = 0; round < kRounds; ++round) {
        const auto start = cpu_now_ns();
        work();
        best = std::min(best, cpu_now_ns() - start);
    }
    return best;
}

TEST(WolfSsl, IsBuiltWithTheOptionsThatMakeItFast) {
#if defined(WOLFSSL_AESNI) && defined(USE_INTEL_SPEEDUP) && defined(WOLFSSL_SP_X86_64_ASM)
    SUCCEED();
#else
    FAIL() << "built without AES-NI or SP assembly: run tests/setup";
#endif
}

// A ratio to a plain byte loop on the same core, so that a slow machine changes nothing.
TEST(WolfSsl, EncryptsFasterThanAByteLoopCanHash) {
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul")) {
        GTEST_SKIP() << "this CPU has no AES-NI";
    }
    std::vector<byte> plain(kBufferBytes, 0x5a);
    std::vector<byte> cipher(kBufferBytes);
    const std::array<byte, 32> key{1, 2, 3};
    const std::array<byte, 12> nonce{4, 5, 6};
    std::array<byte, 16> tag{};
    Aes aes;
    ASSERT_EQ(wc_AesInit(&aes, nullptr, INVALID_DEVID), 0);
    ASSERT_EQ(wc_AesGcmSetKey(&aes, key.data(), key.size()), 0);
    int status = 0;
    const auto encrypt_ns = best_ns([&] {
        status |= wc_AesGcmEncrypt(&aes, cipher.data(), plain.data(), kBufferBytes, nonce.data(),
                                   nonce.size(), tag.data(), tag.size(), nullptr, 0);
    });
    ASSERT_EQ(status, 0);
    wc_AesFree(&aes);

    volatile std::uint64_t kept = 0;
    const auto hash_ns = best_ns([&] {
        std::uint64_t hash = 0xcbf29ce484222325;
        for (const byte octet : plain) hash = (hash ^ octet) * 0x100000001b3;
        kept = hash;
    });
    EXPECT_GT(static_cast<double>(hash_ns) / static_cast<double>(encrypt_ns), kRatioMin)
        << "AES-256-GCM " << encrypt_ns << " ns, byte loop " << hash_ns << " ns";
}

}  // namespace
