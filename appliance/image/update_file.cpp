#include "appliance/image/update_file.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <sstream>
#include <unistd.h>
#include <vector>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/sha256.h>

namespace appliance {

namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::uint64_t kPartMax = 1ull << 30;

// Empty: it is not hex of that many bytes.
std::vector<unsigned char> bytes_of(const std::string& hex, std::size_t size) {
    std::vector<unsigned char> bytes(size);
    if (hex.size() != 2 * size) return {};
    for (std::size_t i = 0; i < size; ++i) {
        const char* const at = hex.data() + 2 * i;
        if (std::from_chars(at, at + 2, bytes[i], 16).ptr != at + 2) return {};
    }
    return bytes;
}

bool is_signed(const std::string& text, const std::string& signature, const std::string& key) {
    const std::vector<unsigned char> sign = bytes_of(signature, ED25519_SIG_SIZE);
    const std::vector<unsigned char> public_key = bytes_of(key, ED25519_PUB_KEY_SIZE);
    if (sign.empty() || public_key.empty()) return false;
    ed25519_key with;
    if (wc_ed25519_init(&with) != 0) return false;
    int is_good = 0;
    const bool is_judged =
        wc_ed25519_import_public(public_key.data(), ED25519_PUB_KEY_SIZE, &with) == 0 &&
        wc_ed25519_verify_msg(sign.data(), ED25519_SIG_SIZE,
                              reinterpret_cast<const unsigned char*>(text.data()),
                              static_cast<word32>(text.size()), &is_good, &with) == 0;
    wc_ed25519_free(&with);
    return is_judged && is_good == 1;
}

// Of a version: it becomes a file's name.
bool is_version(const std::string& text) {
    return !text.empty() && text.size() <= 40 && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '~' || c == '-';
    });
}

std::string fault_in_lines(const std::string& text, Update& update) {
    std::istringstream lines(text.substr(std::strlen(kUpdateMagic)));
    std::string word;
    if (!(lines >> word >> update.version) || word != "version" || !is_version(update.version))
        return "its head has no version";
    if (!(lines >> word >> update.serial) || word != "serial")
        return "its head has no serial number";
    std::uint64_t offset = kHeadBytes;
    for (std::size_t i = 0; i < update.parts.size(); ++i) {
        UpdatePart& part = update.parts[i];
        part.name = std::array{"root", "verity", "kernel"}[i];
        if (!(lines >> word >> part.bytes >> part.sha256) || word != part.name ||
            part.bytes > kPartMax || bytes_of(part.sha256, WC_SHA256_DIGEST_SIZE).empty())
            return "its head has no " + part.name;
        part.offset = offset;
        offset += part.bytes;
    }
    return {};
}

}  // namespace

std::string read_head(int file, const std::string& key, Update& update) {
    std::string head(kHeadBytes, 0);
    const ssize_t size = pread(file, head.data(), head.size(), 0);
    if (size < 0) return std::string("it can't be read: ") + strerror(errno);
    head.resize(static_cast<std::size_t>(size));
    if (!head.starts_with(kUpdateMagic)) return "it is no update of Fedgate";
    if (head.size() < kHeadBytes) return "it ends within its head";
    const std::size_t at = head.find("\nsignature ");
    if (at == std::string::npos) return "it is not signed";
    const std::string signature = head.substr(at + 11, std::size_t{2} * ED25519_SIG_SIZE);
    const std::string text = head.substr(0, at + 1);
    if (!is_signed(text, signature, key))
        return "its signature is not of the key that this appliance trusts";
    return fault_in_lines(text, update);
}

std::string fault_of_version(const Update& update, const std::string& running,
                             std::uint64_t serial) {
    if (update.serial < serial)
        return "version " + update.version + " is older than " + running + ", which runs";
    if (update.version != running && update.serial == serial)
        return "version " + update.version + " is not newer than " + running + ", which runs";
    return {};
}

std::string read_part(int file, const UpdatePart& part,
                      const std::function<std::string(const char*, std::size_t)>& take) {
    wc_Sha256 hash;
    if (wc_InitSha256(&hash) != 0) return "SHA-256 can't be computed";
    std::vector<char> block(kBlock);
    for (std::uint64_t done = 0; done < part.bytes;) {
        const std::size_t wanted = std::min<std::uint64_t>(block.size(), part.bytes - done);
        const ssize_t size =
            pread(file, block.data(), wanted, static_cast<off_t>(part.offset + done));
        if (size < 0) return part.name + " can't be read: " + strerror(errno);
        if (size == 0)
            return "it ends after " + std::to_string(part.offset + done) + " bytes, within " +
                   part.name;
        const auto count = static_cast<std::size_t>(size);
        wc_Sha256Update(&hash, reinterpret_cast<const unsigned char*>(block.data()),
                        static_cast<word32>(count));
        if (std::string fault = take(block.data(), count); !fault.empty()) return fault;
        done += count;
    }
    std::vector<unsigned char> digest(WC_SHA256_DIGEST_SIZE);
    wc_Sha256Final(&hash, digest.data());
    if (digest != bytes_of(part.sha256, WC_SHA256_DIGEST_SIZE))
        return part.name + " is not what was signed";
    return {};
}

}  // namespace appliance
