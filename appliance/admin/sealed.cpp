#include "appliance/admin/sealed.hpp"

#include <memory>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "core/base/hash.hpp"

namespace fedgate::admin {
namespace {

constexpr Bytes kSealedMagic = "fedgate backup ";
constexpr Bytes kSealedFormat = "1 sha256 ";
constexpr std::size_t kSealedDigits = 64;
constexpr std::size_t kSealedHeadBytes =
    kSealedMagic.size() + kSealedFormat.size() + kSealedDigits + 1;
// Of PBKDF2 with HMAC-SHA-1, which is what CMS has for it in OpenSSL: about half a second.
constexpr int kSealedIterations = 1'300'000;

template <auto Free>
struct CmsFree {
    template <typename T>
    void operator()(T* what) const {
        Free(what);
    }
};
using CmsMessage = std::unique_ptr<CMS_ContentInfo, CmsFree<CMS_ContentInfo_free>>;
using CmsBio = std::unique_ptr<BIO, CmsFree<BIO_free_all>>;
using CmsKey = std::unique_ptr<EVP_PKEY, CmsFree<EVP_PKEY_free>>;
using CmsCertificate = std::unique_ptr<X509, CmsFree<X509_free>>;

CmsBio bio_of(Bytes bytes) {
    return CmsBio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string bytes_of_bio(BIO* memory) {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(memory, &bytes);
    return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

bool not_sealed(const char* text, std::string& why) {
    ERR_clear_error();
    why = text;
    return false;
}

// The message takes the passphrase's copy, and frees it.
bool add_passphrase(CMS_ContentInfo* message, const std::string& passphrase) {
    auto* copy = static_cast<unsigned char*>(OPENSSL_memdup(passphrase.data(), passphrase.size()));
    return CMS_add0_recipient_password(message, kSealedIterations, -1, -1, copy,
                                       static_cast<ossl_ssize_t>(passphrase.size()),
                                       EVP_aes_256_cbc()) != nullptr;
}

std::string sealed_head(Bytes body) {
    const auto hex = to_hex(sha256({body}));
    return std::string(kSealedMagic) + std::string(kSealedFormat) +
           std::string(hex.data(), hex.size()) + "\n";
}

}  // namespace

bool seal(Bytes plain, const SealedFor& whom, std::string& sealed, std::string& why) {
    const CmsMessage message(CMS_AuthEnvelopedData_create(EVP_aes_256_gcm()));
    bool good = message && CMS_set_detached(message.get(), 0) == 1;
    if (good && !whom.certificate.empty()) {
        const CmsBio in = bio_of(whom.certificate);
        const CmsCertificate one(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
        if (!one) return not_sealed("holds no certificate (PEM)", why);
        if (CMS_add1_recipient_cert(message.get(), one.get(), 0) == nullptr)
            return not_sealed("has a key that nothing can be encrypted to", why);
    } else if (good) {
        good = add_passphrase(message.get(), whom.passphrase);
    }
    const CmsBio in = bio_of(plain);
    const CmsBio out(BIO_new(BIO_s_mem()));
    good = good && CMS_final(message.get(), in.get(), nullptr, CMS_BINARY) == 1 &&
           i2d_CMS_bio(out.get(), message.get()) == 1;
    if (!good) return not_sealed("can't be encrypted", why);
    const std::string body = bytes_of_bio(out.get());
    sealed = sealed_head(body) + body;
    return true;
}

std::string fault_of_sealed(Bytes sealed) {
    if (sealed.empty()) return "is empty";
    if (!sealed.starts_with(kSealedMagic)) return "is no backup of fedctl";
    if (!sealed.substr(kSealedMagic.size()).starts_with(kSealedFormat))
        return "is a backup of another format, which this fedctl does not read; take that of the "
               "version that made it";
    if (sealed.size() < kSealedHeadBytes ||
        !sealed.starts_with(sealed_head(sealed.substr(kSealedHeadBytes))))
        return "is damaged: it is not what was written (cut short, or changed)";
    return {};
}

bool open_sealed(Bytes sealed, const OpenedBy& by, std::string& plain, std::string& why) {
    why = fault_of_sealed(sealed);
    if (!why.empty()) return false;
    const CmsBio in = bio_of(sealed.substr(kSealedHeadBytes));
    const CmsMessage message(d2i_CMS_bio(in.get(), nullptr));
    if (!message || OBJ_obj2nid(CMS_get0_type(message.get())) != NID_id_smime_ct_authEnvelopedData)
        return not_sealed("holds nothing that was encrypted by fedctl", why);
    if (!by.key.empty()) {
        const CmsBio pem = bio_of(by.key);
        const CmsKey key(PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr));
        if (!key || CMS_decrypt_set1_pkey(message.get(), key.get(), nullptr) != 1)
            return not_sealed("can't be opened by this key", why);
    } else if (CMS_decrypt_set1_password(
                   message.get(),
                   reinterpret_cast<unsigned char*>(const_cast<char*>(by.passphrase.data())),
                   static_cast<ossl_ssize_t>(by.passphrase.size())) != 1) {
        return not_sealed("can't be opened by this passphrase", why);
    }
    const CmsBio out(BIO_new(BIO_s_mem()));
    if (CMS_decrypt(message.get(), nullptr, nullptr, nullptr, out.get(), CMS_BINARY) != 1)
        return not_sealed(
            "can't be opened: it is not what was encrypted, or not by this passphrase", why);
    plain = bytes_of_bio(out.get());
    return true;
}

}  // namespace fedgate::admin
