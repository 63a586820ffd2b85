#include "bench/floor/tls.hpp"

// clang-format off: wolfSSL's other headers mean something else without this one before them.
#include <wolfssl/options.h>
// clang-format on

#include <algorithm>
#include <array>
#include <cstring>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>

namespace fedgate::floor {

namespace {

constexpr word32 kDerBytes = 1'024;

struct Identity {
    std::array<byte, kDerBytes> certificate{}, key{};
    int certificate_size = 0, key_size = 0;
};

Identity make_identity() {
    Identity made;
    WC_RNG random{};
    ecc_key key{};
    auto wanted = std::make_unique<Cert>();
    if (wc_InitRng(&random) != 0 || wc_ecc_init(&key) != 0) return made;
    if (wc_ecc_make_key_ex(&random, 32, &key, ECC_SECP256R1) == 0 &&
        wc_InitCert(wanted.get()) == 0) {
        std::strcpy(wanted->subject.commonName, "floor");
        wanted->sigType = CTC_SHA256wECDSA;
        wanted->daysValid = 2;
        auto& der = made.certificate;
        if (wc_MakeCert(wanted.get(), der.data(), kDerBytes, nullptr, &key, &random) > 0) {
            made.certificate_size = wc_SignCert(wanted->bodySz, wanted->sigType, der.data(),
                                                kDerBytes, nullptr, &key, &random);
        }
        made.key_size = wc_EccKeyToDer(&key, made.key.data(), kDerBytes);
    }
    wc_ecc_free(&key);
    wc_FreeRng(&random);
    return made;
}

int random_seed(OS_Seed* os, byte* into, word32 size) { return wc_GenerateSeed(os, into, size); }

}  // namespace

void Buffer::to_front() {
    if (begin_ == 0) return;
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
}

TlsContexts::TlsContexts() {
    wolfSSL_Init();
    wc_SetSeed_Cb(random_seed);
    const Identity identity = make_identity();
    if (identity.certificate_size <= 0 || identity.key_size <= 0) return;
    client_ = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    server_ = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
    const auto with = [](WOLFSSL_CTX* context) {
        wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_NONE, nullptr);
        wolfSSL_CTX_set_cipher_list(context, "TLS13-AES128-GCM-SHA256");
    };
    with(client_);
    with(server_);
    const bool good =
        wolfSSL_CTX_use_certificate_buffer(server_, identity.certificate.data(),
                                           identity.certificate_size,
                                           WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_use_PrivateKey_buffer(server_, identity.key.data(), identity.key_size,
                                          WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
    if (!good) {
        wolfSSL_CTX_free(server_);
        server_ = nullptr;
    }
}

TlsContexts::~TlsContexts() {
    wolfSSL_CTX_free(client_);
    wolfSSL_CTX_free(server_);
}

Tls::Tls(const TlsContexts& contexts, bool server)
    : ssl_(wolfSSL_new(contexts.context(server))), server_(server) {
    if (ssl_ == nullptr) return;
    wolfSSL_SSLSetIORecv(ssl_, take);
    wolfSSL_SSLSetIOSend(ssl_, give);
    wolfSSL_SetIOReadCtx(ssl_, this);
    wolfSSL_SetIOWriteCtx(ssl_, this);
}

Tls::~Tls() { wolfSSL_free(ssl_); }

int Tls::take(WOLFSSL*, char* into, int size, void* self) {
    Buffer& from = *static_cast<Tls*>(self)->received_;
    const std::size_t count = std::min(from.size(), static_cast<std::size_t>(size));
    if (count == 0) return WOLFSSL_CBIO_ERR_WANT_READ;
    std::memcpy(into, from.filled().data(), count);
    from.taken(count);
    return static_cast<int>(count);
}

int Tls::give(WOLFSSL*, char* from, int size, void* self) {
    Buffer& to = *static_cast<Tls*>(self)->to_send_;
    const auto count = static_cast<std::size_t>(size);
    if (to.room().size() < count) return WOLFSSL_CBIO_ERR_WANT_WRITE;
    std::memcpy(to.room().data(), from, count);
    to.added(count);
    return size;
}

bool Tls::shake(Buffer& received, Buffer& to_send) {
    if (ssl_ == nullptr) return false;
    received_ = &received;
    to_send_ = &to_send;
    const int result = server_ ? wolfSSL_accept(ssl_) : wolfSSL_connect(ssl_);
    ready_ = result == WOLFSSL_SUCCESS;
    return ready_ || wolfSSL_get_error(ssl_, result) == WOLFSSL_ERROR_WANT_READ;
}

bool Tls::open(Buffer& received, Buffer& plain) {
    received_ = &received;
    while (plain.room().size() >= kTlsRecordBytesMax) {
        const int result = wolfSSL_read(ssl_, plain.room().data(), kTlsRecordBytesMax);
        if (result <= 0) return wolfSSL_get_error(ssl_, result) == WOLFSSL_ERROR_WANT_READ;
        plain.added(static_cast<std::size_t>(result));
    }
    return true;
}

bool Tls::seal(std::span<const char> plain, std::size_t record_bytes, Buffer& to_send) {
    to_send_ = &to_send;
    while (!plain.empty()) {
        const auto size = static_cast<int>(std::min(plain.size(), record_bytes));
        if (wolfSSL_write(ssl_, plain.data(), size) != size) return false;
        plain = plain.subspan(static_cast<std::size_t>(size));
    }
    return true;
}

}  // namespace fedgate::floor
