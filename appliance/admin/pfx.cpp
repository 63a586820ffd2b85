#include "appliance/admin/pfx.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>

namespace fedgate::admin {
namespace {

template <auto Free>
struct Deleter {
    template <typename T>
    void operator()(T* what) const {
        Free(what);
    }
};
template <typename T, auto Free>
using Owned = std::unique_ptr<T, Deleter<Free>>;

using Memory = Owned<BIO, BIO_free_all>;
using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;

constexpr const char* kWrongPassword = "can't be opened by this password";

std::string text_of(BIO* memory) {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(memory, &bytes);
    return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

Memory memory_of(Bytes bytes) {
    return Memory(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// The form that wolfSSL reads as well: RSA PRIVATE KEY, EC PRIVATE KEY.
bool write_key(EVP_PKEY* key, std::string& pem, std::string& why) {
    const Memory out(BIO_new(BIO_s_secmem()));
    if (!out || PEM_write_bio_PrivateKey_traditional(out.get(), key, nullptr, nullptr, 0, nullptr,
                                                     nullptr) != 1) {
        why = "has a key of a kind that is not used for TLS here (RSA and ECDSA are)";
        return false;
    }
    pem = text_of(out.get());
    return !pem.empty();
}

void append_certificate(X509* one, std::string& pem) {
    const Memory out(BIO_new(BIO_s_mem()));
    if (out && PEM_write_bio_X509(out.get(), one) == 1) pem += text_of(out.get());
}

int give_password(char* into, int room, int, void* password) {
    const auto& text = *static_cast<const std::string*>(password);
    const int size = std::min(room, static_cast<int>(text.size()));
    std::memcpy(into, text.data(), static_cast<std::size_t>(size));
    return size;
}

}  // namespace

bool is_pfx(Bytes bytes) {
    // SEQUENCE of INTEGER 3 and the rest; a certificate in DER goes on with a SEQUENCE.
    const std::size_t at = bytes.size() > 8 && bytes[0] == '\x30' && bytes[1] == '\x82' ? 4 : 2;
    return bytes.size() > 16 && bytes[0] == '\x30' && bytes.substr(at, 3) == Bytes("\x02\x01\x03");
}

bool open_pfx(Bytes bytes, const std::string& password, Opened& opened, std::string& why) {
    // RC2, of old files; without the default one beside it nothing else would be there.
    static const OSSL_PROVIDER* const kProviders[] = {OSSL_PROVIDER_load(nullptr, "default"),
                                                      OSSL_PROVIDER_load(nullptr, "legacy")};
    static_cast<void>(kProviders);
    const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
    const Owned<PKCS12, PKCS12_free> file(
        d2i_PKCS12(nullptr, &from, static_cast<long>(bytes.size())));
    if (!file) {
        why = "is no PFX (PKCS #12) file";
        return false;
    }
    EVP_PKEY* key = nullptr;
    X509* own = nullptr;
    STACK_OF(X509)* others = nullptr;
    const bool good = PKCS12_parse(file.get(), password.c_str(), &key, &own, &others) == 1;
    const OwnedKey key_owner(key);
    const Owned<X509, X509_free> own_owner(own);
    if (good && own != nullptr) {
        append_certificate(own, opened.certificates);
        int size = 0;
        const unsigned char* name = X509_alias_get0(own, &size);
        if (name != nullptr)
            opened.friendly_name.assign(reinterpret_cast<const char*>(name),
                                        static_cast<std::size_t>(size));
    }
    for (int i = 0; good && others != nullptr && i < sk_X509_num(others); ++i) {
        append_certificate(sk_X509_value(others, i), opened.certificates);
    }
    sk_X509_pop_free(others, X509_free);
    ERR_clear_error();
    if (!good) {
        why = kWrongPassword;
        return false;
    }
    if (key == nullptr || opened.certificates.empty()) {
        why = key == nullptr
                  ? "holds no private key: export it again, with the key (marked exportable there)"
                  : "holds no certificate";
        return false;
    }
    return write_key(key, opened.key, why);
}

bool open_key(Bytes pem, const std::string& password, std::string& key, std::string& why) {
    const Memory in = memory_of(pem);
    std::string copy = password;
    const OwnedKey parsed(PEM_read_bio_PrivateKey(in.get(), nullptr, give_password, &copy));
    explicit_bzero(copy.data(), copy.size());
    ERR_clear_error();
    if (parsed) return write_key(parsed.get(), key, why);
    why = pem.contains("ENCRYPTED") ? kWrongPassword : "holds no private key that can be read";
    return false;
}

}  // namespace fedgate::admin
