#include "appliance/image/update_file.hpp"

#include <cstring>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <wolfssl/options.h>
#include <gtest/gtest.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/sha256.h>

namespace appliance {
namespace {

using Bytes = std::vector<unsigned char>;

std::string hex_of(const Bytes& bytes) {
    std::string text;
    for (const unsigned char byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

Bytes to_bytes(const std::string& text) { return {text.begin(), text.end()}; }

std::string digest_of(const std::string& text) {
    Bytes digest(WC_SHA256_DIGEST_SIZE);
    wc_Sha256 hash;
    wc_InitSha256(&hash);
    wc_Sha256Update(&hash, to_bytes(text).data(), static_cast<word32>(text.size()));
    wc_Sha256Final(&hash, digest.data());
    return hex_of(digest);
}

// A builder's, made of a number.
class Signer {
public:
    explicit Signer(unsigned char seed) {
        Bytes half(ED25519_KEY_SIZE, seed);
        wc_ed25519_init(&key_);
        wc_ed25519_import_private_only(half.data(), ED25519_KEY_SIZE, &key_);
        EXPECT_EQ(wc_ed25519_make_public(&key_, public_.data(), ED25519_PUB_KEY_SIZE), 0);
        EXPECT_EQ(wc_ed25519_import_private_key(half.data(), ED25519_KEY_SIZE, public_.data(),
                                                ED25519_PUB_KEY_SIZE, &key_),
                  0);
    }
    ~Signer() { wc_ed25519_free(&key_); }
    Signer(const Signer&) = delete;
    Signer& operator=(const Signer&) = delete;

    [[nodiscard]] std::string key() const { return hex_of(public_); }
    // Text with its signature, as long as a head.
    std::string head(const std::string& text) {
        Bytes signature(ED25519_SIG_SIZE);
        word32 size = ED25519_SIG_SIZE;
        EXPECT_EQ(wc_ed25519_sign_msg(to_bytes(text).data(), static_cast<word32>(text.size()),
                                      signature.data(), &size, &key_),
                  0);
        std::string all = text + "signature " + hex_of(signature) + "\n";
        all.resize(kHeadBytes);
        return all;
    }

private:
    ed25519_key key_{};
    Bytes public_ = Bytes(ED25519_PUB_KEY_SIZE);
};

class MemoryFile {
public:
    explicit MemoryFile(const std::string& content) : file_(memfd_create("update", MFD_CLOEXEC)) {
        EXPECT_EQ(write(file_, content.data(), content.size()),
                  static_cast<ssize_t>(content.size()));
    }
    ~MemoryFile() { close(file_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    [[nodiscard]] int get() const { return file_; }

private:
    int file_;
};

class UpdateFile : public testing::Test {
protected:
    const std::string root_ = std::string(3'000'000, 'r');  // more than is read at once
    const std::string verity_ = "hashes";
    const std::string kernel_ = "vmlinuz";
    Signer ours_{1};

    [[nodiscard]] std::string lines(const std::string& version = "0.1.0-2",
                                    const std::string& serial = "7") const {
        std::string text = kUpdateMagic;
        text += "version " + version + "\nserial " + serial + "\n";
        text += "root " + std::to_string(root_.size()) + " " + digest_of(root_) + "\n";
        text += "verity " + std::to_string(verity_.size()) + " " + digest_of(verity_) + "\n";
        text += "kernel " + std::to_string(kernel_.size()) + " " + digest_of(kernel_) + "\n";
        return text;
    }
    [[nodiscard]] std::string good() { return ours_.head(lines()) + root_ + verity_ + kernel_; }

    // What is said of all of it; taken: what was given to the writer.
    std::string read_all(const std::string& content, std::string* taken = nullptr) {
        const MemoryFile file(content);
        Update update;
        std::string fault = read_head(file.get(), ours_.key(), update);
        for (const UpdatePart& part : update.parts) {
            if (!fault.empty()) break;
            fault = read_part(file.get(), part, [&](const char* data, std::size_t size) {
                if (taken != nullptr) taken->append(data, size);
                return std::string();
            });
        }
        return fault;
    }
    std::string fault_of_signed(const std::string& text) { return read_all(ours_.head(text)); }
};

TEST_F(UpdateFile, AGoodOneIsReadWhole) {
    std::string taken;
    EXPECT_EQ(read_all(good(), &taken), "");
    EXPECT_EQ(taken, root_ + verity_ + kernel_);
    Update update;
    EXPECT_EQ(read_head(MemoryFile(good()).get(), ours_.key(), update), "");
    EXPECT_EQ(update.version, "0.1.0-2");
    EXPECT_EQ(update.serial, 7U);
}

TEST_F(UpdateFile, NothingOfTheHeadIsBelievedUnsigned) {
    const std::string head = ours_.head(lines());
    const std::size_t last = head.find("\nsignature ") + 11 + std::size_t{2} * ED25519_SIG_SIZE;
    for (std::size_t i = 0; i < last; ++i) {
        std::string changed = head;
        changed[i] ^= 1;  // 8 for 9, 'c' for 'b': still hex, mostly
        EXPECT_NE(read_all(changed + root_ + verity_ + kernel_), "") << i;
    }
    const std::string foreign = "its signature is not of the key that this appliance trusts";
    EXPECT_EQ(read_all(Signer(2).head(lines())), foreign);
    std::string bare = lines();
    bare.resize(kHeadBytes);
    EXPECT_EQ(read_all(bare), "it is not signed");
    std::string zeros = lines() + "signature " + std::string(128, '0') + "\n";
    zeros.resize(kHeadBytes);
    EXPECT_EQ(read_all(zeros), foreign);
    Update update;
    for (const std::string key : {"", "00", "no key at all"}) {
        EXPECT_EQ(read_head(MemoryFile(good()).get(), key, update), foreign) << key;
    }
}

TEST_F(UpdateFile, EachPartIsWhatWasSigned) {
    const std::string all = good();
    const std::size_t ends[] = {kHeadBytes + root_.size(), kHeadBytes + root_.size() + 6,
                                all.size()};
    const char* const names[] = {"root", "verity", "kernel"};
    for (std::size_t i = 0; i < 3; ++i) {
        std::string changed = all;
        changed[ends[i] - 1] ^= 1;
        EXPECT_EQ(read_all(changed), std::string(names[i]) + " is not what was signed");
        EXPECT_EQ(read_all(all.substr(0, ends[i] - 1)),
                  "it ends after " + std::to_string(ends[i] - 1) + " bytes, within " + names[i]);
    }
    EXPECT_EQ(read_all(all.substr(0, 100)), "it ends within its head");
    EXPECT_EQ(read_all(""), "it is no update of Fedgate");
}

TEST_F(UpdateFile, AWriterThatFailsEndsIt) {
    const MemoryFile file(good());
    Update update;
    ASSERT_EQ(read_head(file.get(), ours_.key(), update), "");
    int calls = 0;
    EXPECT_EQ(read_part(file.get(), update.parts[0],
                        [&calls](const char*, std::size_t) {
                            ++calls;
                            return std::string("the disk is full");
                        }),
              "the disk is full");
    EXPECT_EQ(calls, 1);
}

// Of the builder's key, and still not to be used: a version becomes a file's name.
TEST_F(UpdateFile, ASignedHeadIsWholeAndInItsBounds) {
    const std::vector<std::string> versions{"../2",    "a/b", "2+3", "a_b", std::string(41, '1'),
                                            "\xc3\xa4"};
    for (const std::string& version : versions)
        EXPECT_EQ(fault_of_signed(lines(version)), "its head has no version") << version;
    EXPECT_EQ(fault_of_signed(lines("2", "x")), "its head has no serial number");
    for (const std::string name : {"root", "verity", "kernel"}) {
        std::string text = lines();
        text.replace(text.find("\n" + name + " ") + 1, 1, "x");
        EXPECT_EQ(fault_of_signed(text), "its head has no " + name);
        text = lines();
        const std::size_t at = text.find("\n" + name + " ") + name.size() + 2;
        text.replace(at, text.find(' ', at) - at, "99999999999");
        EXPECT_EQ(fault_of_signed(text), "its head has no " + name) << "too big";
        text = lines();
        text.erase(text.find('\n', text.find("\n" + name + " ") + 1) - 1, 1);
        EXPECT_EQ(fault_of_signed(text), "its head has no " + name) << "half a hash";
    }
}

TEST(UpdateVersion, OnlyANewerOneFollows) {
    const auto fault = [](const char* version, std::uint64_t serial) {
        Update update;
        update.version = version;
        update.serial = serial;
        return fault_of_version(update, "0.2", 7);
    };
    EXPECT_EQ(fault("0.3", 8), "");
    EXPECT_EQ(fault("0.2", 7), "");  // the one that runs: nothing to do, and nothing wrong
    EXPECT_EQ(fault("0.1", 6), "version 0.1 is older than 0.2, which runs");
    EXPECT_EQ(fault("0.2", 6), "version 0.2 is older than 0.2, which runs");
    EXPECT_EQ(fault("0.3", 7), "version 0.3 is not newer than 0.2, which runs");
}

}  // namespace
}  // namespace appliance
