#include "net/tls.hpp"

// clang-format off: wolfSSL's other headers mean something else without this one before them.
#include <wolfssl/options.h>
// clang-format on

#include <array>
#include <cstdlib>
#include <malloc.h>
#include <map>
#include <mutex>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/memory.h>
#include <wolfssl/wolfcrypt/random.h>

#include "core/base/file.hpp"
#include "net/address.hpp"
#include "net/certificate.hpp"
#include "net/revocation.hpp"

namespace fedgate::net {
namespace {

// RFC 7590 3, S2S-13: AEAD with forward secrecy only.
constexpr char kCiphers[] =
    "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
// N15, TlsFloor::kLegacy. As a server we keep forward secrecy: an oracle about RSA's key exchange
// would tell of the key that all partners are served with.
constexpr char kLegacyServerCiphers[] =
    ":ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:"
    "ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:"
    "ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:"
    "DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:DHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA";
constexpr char kLegacyClientCiphers[] =
    ":AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA";
constexpr std::size_t kRecordBytesMax = 16'384;  // RFC 8446 5.1
constexpr std::size_t kRecordHeaderBytes = 5;
// The record with a ClientHello, whose lists may be kept as long as the connection. 2 KB are long.
// At the bound: the handshake fails.
constexpr std::size_t kClientHelloBytesMax = 8'192;
// What wolfSSL holds of what came or was announced while a handshake waits for more: a client's
// chain of 16 KB fits. At the bound: the handshake fails.
constexpr std::int64_t kHandshakeBytesMax = 45'056;
constexpr std::size_t kPemBytesMax = 4 << 20;

Result<std::string> read_pem(const PemSource& source, const char* what, std::string* fault) {
    if (!source.text.empty()) return source.text;
    std::string text, why;
    if (!read_regular_file(source.path, text, why)) {
        if (fault != nullptr) *fault = std::string(what) + " " + source.path + " " + why;
        return failure(Errc::kNotFound, what);
    }
    if (text.size() > kPemBytesMax) return failure(Errc::kLimit, what);
    return text;
}

const char* where_of(int error) {
    switch (error) {
        case VERSION_ERROR: return "TLS version not supported";
        case MATCH_SUITE_ERROR: return "no cipher suite in common";
        case UNSUPPORTED_SUITE: return "cipher suite not supported";
        case ECC_CURVE_ERROR: return "no group in common";
        case FATAL_ERROR: return "the peer sent a fatal alert";
        case HANDSHAKE_SIZE_ERROR: return "handshake message too long";
        case SIG_VERIFY_E:
        case VERIFY_SIGN_ERROR: return "handshake signature wrong";
        case DECRYPT_ERROR:
        case VERIFY_MAC_ERROR: return "record can't be decrypted";
        case UNKNOWN_RECORD_TYPE:
        case PARSE_ERROR: return "not TLS";
        case ASN_PARSE_E: return "certificate malformed";
        case UNKNOWN_ALPN_PROTOCOL_NAME_E: return "no application protocol in common";
        default: return "TLS";
    }
}

}  // namespace

struct TlsShared {
    struct Server {
        WOLFSSL_CTX* context = nullptr;
        WOLFSSL_CTX* legacy = nullptr;   // may be null
        std::vector<std::string> names;  // dNSNames of its certificate, lower-case
    };

    ~TlsShared() {
        for (WOLFSSL_CTX* context : {client, legacy_client}) wolfSSL_CTX_free(context);
        for (Server& server : servers) {
            for (WOLFSSL_CTX* context : {server.context, server.legacy}) wolfSSL_CTX_free(context);
        }
    }
    void release() {
        if (--count == 0) delete this;
    }
    // The certificate for a name: S2S-13. Without one, or without a name, the first.
    [[nodiscard]] WOLFSSL_CTX* server_for(Bytes name, TlsFloor) const;
    [[nodiscard]] WOLFSSL_CTX* client_for(TlsFloor floor) const {
        return floor == TlsFloor::kLegacy && legacy_client != nullptr ? legacy_client : client;
    }

    unsigned count = 1;
    WOLFSSL_CTX* client = nullptr;
    WOLFSSL_CTX* legacy_client = nullptr;  // may be null
    std::vector<Server> servers;
    [[nodiscard]] PeerTerms terms() const {
        return {.roots = trust.get(), .revoked = revoked.get(), .sip = sip};
    }

    std::shared_ptr<const TrustStore> trust;
    std::shared_ptr<const RevocationLists> revoked;
    bool sip = false;
    GoodSignatures signatures;
    // What peers have shown, and how many sessions keep it: a partner has many, with one chain.
    std::map<std::string, unsigned> shown;
};

struct TlsSession::State {
    TlsShared* shared = nullptr;
    WOLFSSL* ssl = nullptr;
    bool is_server = false;
    TlsFloor floor = TlsFloor::kModern;
    bool secured = false;
    bool failed = false;  // the handshake
    bool judged = false;
    bool has_stapled = false;
    WallTime wall_now{};
    std::string alpn_wanted;
    std::string server_name;
    std::string hello;  // server: the first record, looked at for the name, until it was read
    std::size_t hello_read = 0;
    std::int64_t held = 0;   // bytes that wolfSSL has taken for this handshake
    Bytes* input = nullptr;  // of the call that is running
    Buffer* output = nullptr;
    PeerIdentity peer;
    std::unique_ptr<const DaneQuestion> dane;  // client; null: DANE does not decide
    std::vector<std::map<std::string, unsigned>::iterator> shown;  // the peer's chain
    std::string staple;  // client: the OCSP response for the end entity, or empty
    Error error{Errc::kTls, 0, "TLS"};

    ~State() {
        wolfSSL_free(ssl);
        forget_shown();
        shared->release();
    }
    void keep_shown(std::string certificate);
    void forget_shown();
    bool begin();
    Outcome choose_certificate(Bytes& input);
    Outcome shake_hands(Bytes& input, Buffer& output);
    void judge(const PeerTerms&, WallTime now);
    void end_handshake();
    Outcome fail();
    Outcome fail(Errc code, const char* where);
};

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool matches(Bytes pattern, Bytes name) {
    if (pattern.starts_with("*.")) {  // CERT-4: one label
        const std::size_t dot = name.find('.');
        if (dot == Bytes::npos || dot == 0) return false;
        pattern.remove_prefix(1);
        name.remove_prefix(dot);
    }
    return pattern == name;
}

int receive(WOLFSSL*, char* into, int count, void* context) {
    auto& state = *static_cast<TlsSession::State*>(context);
    if (state.hello_read < state.hello.size()) {
        const std::size_t taken =
            state.hello.copy(into, static_cast<std::size_t>(count), state.hello_read);
        state.hello_read += taken;
        if (state.hello_read == state.hello.size()) {
            std::string().swap(state.hello);
            state.hello_read = 0;
        }
        return static_cast<int>(taken);
    }
    if (state.input == nullptr || state.input->empty()) return WOLFSSL_CBIO_ERR_WANT_READ;
    const std::size_t taken = std::min(state.input->size(), static_cast<std::size_t>(count));
    std::memcpy(into, state.input->data(), taken);
    state.input->remove_prefix(taken);
    return static_cast<int>(taken);
}

int send(WOLFSSL*, char* bytes, int count, void* context) {
    auto& state = *static_cast<TlsSession::State*>(context);
    if (state.output == nullptr) return WOLFSSL_CBIO_ERR_GENERAL;
    state.output->append({bytes, static_cast<std::size_t>(count)});
    return count;
}

// Called once for the end entity. Every certificate passes here: the handshake proves only that the
// peer holds the key; whether its chain is believed is judged by certificate_chain.cpp.
int on_certificates(int, WOLFSSL_X509_STORE_CTX* store) {
    if (store->error_depth != 0 || store->userCtx == nullptr) return 1;
    auto& state = *static_cast<TlsSession::State*>(store->userCtx);
    const auto count = std::min(static_cast<std::size_t>(store->totalCerts), kChainCertificatesMax);
    state.forget_shown();
    state.shown.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        state.keep_shown(
            {reinterpret_cast<const char*>(store->certs[i].buffer), store->certs[i].length});
    }
    return 1;
}

// From tests/wolfssl.patch: called for each certificate with a staple, the end entity's first. It
// is the only one that is judged, and only by judge_staple(): what is wrong about it is no fault
// here.
int on_staple(void* context, const char*, int, unsigned char* bytes, int count, unsigned char**) {
    auto& state = *static_cast<TlsSession::State*>(context);
    const auto size = static_cast<std::size_t>(count);
    if (!state.has_stapled && size <= kStapleBytesMax)
        state.staple.assign(reinterpret_cast<const char*>(bytes), size);
    state.has_stapled = true;
    return 0;
}

// Old clients that know no elliptic curves.
bool use_group(WOLFSSL_CTX* context) {
    std::array<byte, 256> prime{};
    std::array<byte, 8> generator{};
    word32 prime_size = prime.size();
    word32 generator_size = generator.size();
    return wc_DhCopyNamedKey(WC_FFDHE_2048, prime.data(), &prime_size, generator.data(),
                             &generator_size, nullptr, nullptr) == 0 &&
           wolfSSL_CTX_SetTmpDH(context, prime.data(), static_cast<int>(prime_size),
                                generator.data(),
                                static_cast<int>(generator_size)) == WOLFSSL_SUCCESS;
}

WOLFSSL_CTX* make_context(WOLFSSL_METHOD* method, bool server, TlsFloor floor) {
    WOLFSSL_CTX* context = wolfSSL_CTX_new(method);
    if (context == nullptr) return nullptr;
    wolfSSL_CTX_SetIORecv(context, receive);
    wolfSSL_CTX_SetIOSend(context, send);
    // S2S-13: a certificate is always asked for, and not demanded.
    wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_PEER, on_certificates);
    const bool legacy = floor == TlsFloor::kLegacy;
    std::string ciphers = kCiphers;
    if (legacy) ciphers += kLegacyServerCiphers;
    if (legacy && !server) ciphers += kLegacyClientCiphers;
    const bool good = wolfSSL_CTX_SetMinVersion(
                          context, legacy ? WOLFSSL_TLSV1 : WOLFSSL_TLSV1_2) == WOLFSSL_SUCCESS &&
                      wolfSSL_CTX_set_cipher_list(context, ciphers.c_str()) == WOLFSSL_SUCCESS &&
                      (!legacy || !server || use_group(context));
    if (good) return context;
    wolfSSL_CTX_free(context);
    return nullptr;
}

bool use_credential(WOLFSSL_CTX* context, const std::string& certificate, const std::string& key) {
    const auto* chain = reinterpret_cast<const unsigned char*>(certificate.data());
    const auto* secret = reinterpret_cast<const unsigned char*>(key.data());
    return wolfSSL_CTX_use_certificate_chain_buffer(
               context, chain, static_cast<long>(certificate.size())) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_use_PrivateKey_buffer(context, secret, static_cast<long>(key.size()),
                                             WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS;
}

WOLFSSL_CTX* make_client(bool tls13, TlsFloor floor) {
    WOLFSSL_CTX* client =
        make_context(tls13 ? wolfTLS_client_method() : wolfTLSv1_2_client_method(), false, floor);
    if (client == nullptr) return nullptr;
    bool good = wolfSSL_CTX_UseOCSPStapling(client, WOLFSSL_CSR_OCSP, 0) == WOLFSSL_SUCCESS;
    for (const word16 group : {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1})
        good = good && wolfSSL_CTX_UseSupportedCurve(client, group) == WOLFSSL_SUCCESS;
    if (good) return client;
    wolfSSL_CTX_free(client);
    return nullptr;
}

bool prepare_clients(TlsShared& shared, const TlsConfig& config) {
    shared.client = make_client(config.tls13, TlsFloor::kModern);
    if (config.legacy) shared.legacy_client = make_client(config.tls13, TlsFloor::kLegacy);
    return shared.client != nullptr && (shared.legacy_client != nullptr || !config.legacy);
}

std::string mismatch(const TlsCredential& credential) {
    return "the certificate " + credential.certificate.path + " and the key " +
           credential.key.path + " do not belong together or can't be used";
}

// A context with itself, in memory.
bool shakes_hands(TlsContext& context) {
    auto client = TlsSession::client(context, {}, {}, {});
    auto server = TlsSession::server(context, {}, {});
    Buffer to_client, to_server;
    const auto step = [](TlsSession& session, Buffer& from, Buffer& to) {
        Bytes input = from.bytes();
        const auto outcome = session.handshake(input, to);
        from.consume(from.size() - input.size());
        return outcome;
    };
    constexpr int kFlightsMax = 5;
    for (int flight = 0; flight < kFlightsMax; ++flight) {
        const auto here = step(*client, to_client, to_server);
        const auto there = step(*server, to_server, to_client);
        using Outcome = TlsSession::Outcome;
        if (here == Outcome::kFailed || there == Outcome::kFailed) return false;
        if (here == Outcome::kDone && there == Outcome::kDone) return true;
    }
    return false;
}

Result<TlsShared::Server> load_credential(TlsShared& shared, const TlsCredential& credential,
                                          const TlsConfig& config, std::string* fault) {
    FEDGATE_TRY(certificate, read_pem(credential.certificate, "certificate", fault));
    FEDGATE_TRY(key, read_pem(credential.key, "private key", fault));
    FEDGATE_TRY(ders, parse_pem_certificates(certificate));
    FEDGATE_TRY(parsed, parse_certificate(ders[0]));
    TlsShared::Server server;
    const auto make = [&config](TlsFloor floor) {
        return make_context(config.tls13 ? wolfTLS_server_method() : wolfTLSv1_2_server_method(),
                            true, floor);
    };
    server.context = make(TlsFloor::kModern);
    if (server.context == nullptr) return failure(Errc::kTls, "TLS context");
    if (config.legacy) server.legacy = make(TlsFloor::kLegacy);
    const auto good = [&](WOLFSSL_CTX* context) {
        return context == nullptr || use_credential(context, certificate, key);
    };
    if (!good(server.context) || !good(server.legacy) || !good(shared.client) ||
        !good(shared.legacy_client)) {
        for (WOLFSSL_CTX* context : {server.context, server.legacy}) wolfSSL_CTX_free(context);
        if (fault != nullptr) *fault = mismatch(credential);
        return failure(Errc::kCertificate, "certificate and key");
    }
    for (const Bytes name : parsed.dns_names) {
        std::string& text = server.names.emplace_back(name);
        for (char& c : text) c = lower(c);
    }
    return server;
}

// What wolfSSL has allocated on this thread, less what it has freed. It keeps what a handshake has
// brought until its end, in several forms, and takes room for what is only announced: so what is
// bounded is what it holds.
thread_local std::int64_t allocated = 0;

std::int64_t size_of(void* memory) { return static_cast<std::int64_t>(malloc_usable_size(memory)); }

void* allocate(std::size_t size) {
    void* memory = std::malloc(size);
    allocated += size_of(memory);
    return memory;
}

void release(void* memory) {
    allocated -= size_of(memory);
    std::free(memory);
}

void* reallocate(void* memory, std::size_t size) {
    const std::int64_t before = size_of(memory);
    void* moved = std::realloc(memory, size);
    if (moved != nullptr) allocated += size_of(moved) - before;
    return moved;
}

// Of TLS's randomness in a simulation. A process-wide hook, because wolfSSL's is one.
Loop* seed_source = nullptr;

int seed_from_loop(OS_Seed*, byte* seed, word32 size) {
    seed_source->fill_random({reinterpret_cast<char*>(seed), size});
    return 0;
}

}  // namespace

void prepare_tls_library() {
    static std::once_flag once;
    std::call_once(once, [] { wolfSSL_SetAllocators(allocate, release, reallocate); });
    // Counted and locked by wolfSSL; it also sets its own source of seeds, the kernel.
    wolfSSL_Init();
}

WOLFSSL_CTX* TlsShared::server_for(Bytes name, TlsFloor floor) const {
    if (servers.empty()) return nullptr;
    const auto of = [floor](const Server& server) {
        return floor == TlsFloor::kLegacy && server.legacy != nullptr ? server.legacy
                                                                      : server.context;
    };
    std::string text(name);
    for (char& c : text) c = lower(c);
    for (const Server& server : servers) {
        for (const std::string& pattern : server.names) {
            if (matches(pattern, text)) return of(server);
        }
    }
    return of(servers.front());
}

void seed_tls_from(Loop* loop) {
    prepare_tls_library();
    seed_source = loop;
    wc_SetSeed_Cb(loop == nullptr ? wc_GenerateSeed : seed_from_loop);
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(const TlsConfig& config, std::string* fault) {
    prepare_tls_library();
    std::unique_ptr<TlsContext> context(new TlsContext(*new TlsShared));
    TlsShared& shared = *context->shared_;
    if (!prepare_clients(shared, config)) return failure(Errc::kTls, "TLS context");
    shared.sip = config.sip;
    shared.trust = config.roots;
    shared.revoked = config.revoked;
    if (!shared.trust && !config.ca.empty()) {
        FEDGATE_TRY(pem, read_pem(config.ca, "authorities", fault));
        auto trust = TrustStore::parse(pem);
        if (!trust) {
            if (fault != nullptr) *fault = "no usable authority in " + config.ca.path;
            return Failure{trust.error()};
        }
        shared.trust = std::make_shared<const TrustStore>(std::move(*trust));
    }
    // The last one first, so that the first one ends at the front and in the client's hands.
    for (auto credential = config.credentials.rbegin(); credential != config.credentials.rend();
         ++credential) {
        auto server = load_credential(shared, *credential, config, fault);
        if (!server) {
            if (fault != nullptr && fault->empty()) {
                *fault = "no usable certificate in " + credential->certificate.path;
            }
            return Failure{server.error()};
        }
        shared.servers.insert(shared.servers.begin(), std::move(*server));
        // Only a handshake proves that the key belongs to the certificate: wolfSSL's own check
        // (5.5.4) refuses every certificate with a SAN otherName, as CERT-2 wants them.
        if (!shakes_hands(*context)) {
            if (fault != nullptr) *fault = mismatch(*credential);
            return failure(Errc::kCertificate, "certificate and key");
        }
    }
    return context;
}

TlsContext::~TlsContext() { shared_->release(); }

const TrustStore* TlsContext::roots() const { return shared_->trust.get(); }
PeerTerms TlsContext::terms() const { return shared_->terms(); }

TlsSession::TlsSession(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsSession::~TlsSession() = default;

std::unique_ptr<TlsSession> TlsSession::client(TlsContext& context, const std::string& server_name,
                                               Bytes alpn, WallTime wall_now, DaneQuestion dane,
                                               TlsFloor floor) {
    auto state = std::make_unique<State>();
    state->shared = context.shared_;
    ++state->shared->count;
    state->wall_now = wall_now;
    state->alpn_wanted = alpn;
    state->server_name = server_name;
    if (dane.decides()) state->dane = std::make_unique<const DaneQuestion>(std::move(dane));
    state->floor = floor;
    return std::unique_ptr<TlsSession>(new TlsSession(std::move(state)));
}

std::unique_ptr<TlsSession> TlsSession::server(TlsContext& context, Bytes alpn, WallTime wall_now,
                                               TlsFloor floor) {
    auto session = client(context, {}, alpn, wall_now, {}, floor);
    session->state_->is_server = true;
    return session;
}

void TlsSession::State::keep_shown(std::string certificate) {
    const auto kept = shared->shown.try_emplace(std::move(certificate)).first;
    ++kept->second;
    shown.push_back(kept);
}

void TlsSession::State::forget_shown() {
    for (const auto kept : shown) {
        if (--kept->second == 0) shared->shown.erase(kept);
    }
    shown.clear();
}

// Makes the wolfSSL object once its context is known.
bool TlsSession::State::begin() {
    WOLFSSL_CTX* context =
        is_server ? shared->server_for(server_name, floor) : shared->client_for(floor);
    if (context == nullptr) return false;
    ssl = wolfSSL_new(context);
    if (ssl == nullptr) return false;
    wolfSSL_SetIOReadCtx(ssl, this);
    wolfSSL_SetIOWriteCtx(ssl, this);
    wolfSSL_SetCertCbCtx(ssl, this);
    if (!is_server && wolfSSL_SetOCSP_Cb(ssl, on_staple, nullptr, this) != WOLFSSL_SUCCESS)
        return false;
    if (!alpn_wanted.empty() &&
        wolfSSL_UseALPN(ssl, alpn_wanted.data(), static_cast<unsigned>(alpn_wanted.size()),
                        WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) != WOLFSSL_SUCCESS) {
        return false;
    }
    // RFC 6066 3: names only, no addresses.
    if (is_server || server_name.empty() || parse_ip(server_name, 0)) return true;
    return wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, server_name.data(),
                          static_cast<unsigned short>(server_name.size())) == WOLFSSL_SUCCESS;
}

// Collects the first record, which holds the ClientHello, to read the name in it. kDone: begin()
// now.
TlsSession::Outcome TlsSession::State::choose_certificate(Bytes& bytes) {
    const auto take = [this, &bytes](std::size_t total) {
        const std::size_t count = std::min(bytes.size(), total - std::min(total, hello.size()));
        hello.append(bytes.substr(0, count));
        bytes.remove_prefix(count);
        return hello.size() >= total;
    };
    if (!take(kRecordHeaderBytes)) return Outcome::kNeedInput;
    const auto* record = reinterpret_cast<const unsigned char*>(hello.data());
    const std::size_t length = static_cast<std::size_t>(record[3] << 8 | record[4]);
    if (record[0] != 22) return Outcome::kDone;  // not a handshake: it will fail
    if (length > kClientHelloBytesMax) return fail(Errc::kTls, "ClientHello too long");
    if (!take(kRecordHeaderBytes + length)) return Outcome::kNeedInput;
    record = reinterpret_cast<const unsigned char*>(hello.data());
    std::array<unsigned char, 256> name{};
    word32 size = name.size();
    if (wolfSSL_SNI_GetFromBuffer(record, static_cast<word32>(hello.size()), WOLFSSL_SNI_HOST_NAME,
                                  name.data(), &size) == WOLFSSL_SUCCESS) {
        server_name.assign(reinterpret_cast<const char*>(name.data()), size);
    }
    return Outcome::kDone;
}

TlsSession::Outcome TlsSession::State::fail(Errc code, const char* where) {
    error = {code, 0, where};
    return Outcome::kFailed;
}

TlsSession::Outcome TlsSession::State::fail() {
    const int code = wolfSSL_get_error(ssl, 0);
    if (code == WOLFSSL_ERROR_WANT_READ || code == WOLFSSL_ERROR_WANT_WRITE)
        return Outcome::kNeedInput;
    if (code == WOLFSSL_ERROR_ZERO_RETURN) {
        error = {Errc::kClosed, 0, "close_notify"};
        return Outcome::kClosed;
    }
    return fail(Errc::kTls, where_of(code));
}

TlsSession::Outcome TlsSession::handshake(Bytes& input, Buffer& output) {
    State& state = *state_;
    if (state.secured) return Outcome::kDone;
    if (state.failed) return Outcome::kFailed;
    const std::int64_t before = allocated;
    Outcome outcome = state.shake_hands(input, output);
    state.held += allocated - before;
    if (outcome == Outcome::kNeedInput && state.held > kHandshakeBytesMax)
        outcome = state.fail(Errc::kTls, "handshake too long");
    if (outcome == Outcome::kFailed) state.end_handshake();
    return outcome;
}

// The connection may take its time to close.
void TlsSession::State::end_handshake() {
    failed = true;
    wolfSSL_free(ssl);
    ssl = nullptr;
    std::string().swap(hello);
}

TlsSession::Outcome TlsSession::State::shake_hands(Bytes& bytes, Buffer& into) {
    if (ssl == nullptr) {
        const Outcome chosen = is_server ? choose_certificate(bytes) : Outcome::kDone;
        if (chosen != Outcome::kDone) return chosen;
        if (!begin()) return fail(Errc::kCertificate, "no certificate to show");
    }
    input = &bytes;
    output = &into;
    const int result = is_server ? wolfSSL_accept(ssl) : wolfSSL_connect(ssl);
    // Intermediate certificates that the peer has shown are never trusted later.
    wolfSSL_CTX_UnloadCAs(wolfSSL_get_SSL_CTX(ssl));
    input = nullptr;
    output = nullptr;
    if (result != WOLFSSL_SUCCESS) return fail();
    secured = true;
    if (is_server && server_name.empty()) {
        void* name = nullptr;
        const auto size = wolfSSL_SNI_GetRequest(ssl, WOLFSSL_SNI_HOST_NAME, &name);
        if (name != nullptr) server_name.assign(static_cast<const char*>(name), size);
    }
    return Outcome::kDone;
}

TlsSession::Outcome TlsSession::read(Bytes& input, MutableBytes into, std::size_t& got,
                                     Buffer& output) {
    State& state = *state_;
    FEDGATE_CHECK(state.secured);
    state.input = &input;
    state.output = &output;
    const int size = static_cast<int>(std::min<std::size_t>(into.size(), 1 << 20));
    const int result = wolfSSL_read(state.ssl, into.data(), size);
    state.input = nullptr;
    state.output = nullptr;
    got = result > 0 ? static_cast<std::size_t>(result) : 0;
    return result > 0 ? Outcome::kDone : state.fail();
}

bool TlsSession::write(Bytes plain, Buffer& output) {
    State& state = *state_;
    FEDGATE_CHECK(state.secured);
    state.output = &output;
    bool good = true;
    while (good && !plain.empty()) {
        const std::size_t count = std::min(plain.size(), kRecordBytesMax);
        good = wolfSSL_write(state.ssl, plain.data(), static_cast<int>(count)) ==
               static_cast<int>(count);
        plain.remove_prefix(count);
    }
    state.output = nullptr;
    if (!good) state.fail();
    return good;
}

void TlsSession::close(Buffer& output) {
    if (!state_->secured) return;
    state_->output = &output;
    wolfSSL_shutdown(state_->ssl);
    state_->output = nullptr;
}

void TlsSession::State::judge(const PeerTerms& given, WallTime now) {
    PeerTerms terms = given;
    terms.signatures = &shared->signatures;
    std::vector<Bytes> chain;
    for (const auto kept : shown) chain.emplace_back(kept->first);
    const Shown all{.chain = chain, .staple = staple, .by_client = is_server};
    peer = identify_peer(all, terms, now);
    const DaneQuestion* question = terms.dane != nullptr ? terms.dane : dane.get();
    if (question != nullptr) judge_dane(*question, all, terms, now, peer);
    judged = true;
}

const PeerIdentity& TlsSession::peer() const {
    if (!state_->judged && state_->secured)
        state_->judge(state_->shared->terms(), state_->wall_now);
    return state_->peer;
}
void TlsSession::judge_with(const PeerTerms& terms, WallTime now) {
    if (state_->secured) state_->judge(terms, now);
}
bool TlsSession::modern() const {
    if (state_->floor == TlsFloor::kModern) return true;
    const Bytes agreed(version());
    const Bytes suite(cipher());
    if (agreed == "TLSv1.3") return true;
    const bool aead = suite.find("GCM") != Bytes::npos || suite.find("CHACHA") != Bytes::npos;
    return agreed == "TLSv1.2" && aead && suite.starts_with("TLS_ECDHE");
}
const char* TlsSession::version() const {
    return state_->secured ? wolfSSL_get_version(state_->ssl) : "";
}
const char* TlsSession::cipher() const {
    return state_->secured ? wolfSSL_get_cipher_name(state_->ssl) : "";
}
Bytes TlsSession::alpn() const {
    char* name = nullptr;
    word16 size = 0;
    if (!state_->secured ||
        wolfSSL_ALPN_GetProtocol(state_->ssl, &name, &size) != WOLFSSL_SUCCESS) {
        return {};
    }
    return {name, size};
}
const std::string& TlsSession::server_name() const { return state_->server_name; }
Error TlsSession::error() const { return state_->error; }

}  // namespace fedgate::net
