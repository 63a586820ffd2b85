// TLS as a byte transformer: ciphertext <-> plaintext, no descriptor. net/tls*.cpp are the only
// files that know wolfSSL's TLS. TLS 1.2 and 1.3, AEAD suites, no renegotiation, no compression;
// one partner may be let off (TlsFloor).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/peer_identity.hpp"
#include "core/base/time.hpp"
#include "core/run/loop.hpp"
#include "net/buffer.hpp"
#include "net/dane.hpp"

namespace fedgate::net {

// PEM from a file, or from memory when `text` is not empty.
struct PemSource {
    std::string path;
    std::string text;

    [[nodiscard]] bool empty() const { return path.empty() && text.empty(); }
};

struct TlsCredential {
    PemSource certificate;  // end-entity first, then its chain
    PemSource key;
};

struct PeerTerms;       // net/certificate.hpp
class RevocationLists;  // net/revocation.hpp
class TrustStore;       // net/certificate.hpp

// The least that is agreed on.
enum class TlsFloor : std::uint8_t {
    kModern,  // TLS 1.2 with forward secrecy and AEAD
    kLegacy,  // N15: TLS 1.0, and suites with CBC; as a client also without forward secrecy
};

struct TlsConfig {
    // The first one is the default; a server picks by the client's SNI among the dNSNames of each.
    std::vector<TlsCredential> credentials;
    // Roots that peers are judged by, if nothing else is said (judge_with). None: no chain is
    // valid.
    PemSource ca;
    std::shared_ptr<const TrustStore> roots{};  // instead of `ca`, where they were loaded before
    std::shared_ptr<const RevocationLists> revoked{};  // looked at where nothing else is said
    bool sip = false;                                  // peers are SIP's (SIP-31)
    bool tls13 = true;    // no: TLS 1.2 only, for peers that stumble over 1.3
    bool legacy = false;  // TlsFloor::kLegacy is wanted; else it is kModern
};

struct TlsShared;  // counted: sessions keep it alive after their context was swapped

// Certificates, keys and roots, for both roles. Loading is slow (control thread, before the shard
// gets it); from then on one shard only. Destroying it leaves running sessions as they are.
class TlsContext {
public:
    // On failure `fault` (if given) is a sentence with the file's name for the administrator.
    static Result<std::unique_ptr<TlsContext>> load(const TlsConfig&, std::string* fault = nullptr);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    // Null: none.
    [[nodiscard]] const TrustStore* roots() const;
    // On which peers are judged where nothing else is said.
    [[nodiscard]] PeerTerms terms() const;

private:
    friend class TlsSession;
    explicit TlsContext(TlsShared& shared) : shared_(&shared) {}
    TlsShared* shared_;
};

// One TLS connection's state. Owner: net/connection. Thread: the shard's.
class TlsSession {
public:
    enum class Outcome : std::uint8_t {
        kDone,       // handshake over, or bytes were read
        kNeedInput,  // give more ciphertext
        kClosed,     // the peer's close_notify
        kFailed,     // see error(); output may hold the alert
    };

    // `server_name` is the SNI; empty: none. `alpn` empty: none. `wall_now` judges validity dates.
    static std::unique_ptr<TlsSession> client(TlsContext&, const std::string& server_name,
                                              Bytes alpn, WallTime wall_now, DaneQuestion dane = {},
                                              TlsFloor = TlsFloor::kModern);
    static std::unique_ptr<TlsSession> server(TlsContext&, Bytes alpn, WallTime wall_now,
                                              TlsFloor = TlsFloor::kModern);
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    // Goes on with the handshake. Takes from the front of `input`, appends to `output`.
    Outcome handshake(Bytes& input, Buffer& output);
    // Plaintext into `into`; `got` bytes of it. kDone with got > 0, or kNeedInput.
    Outcome read(Bytes& input, MutableBytes into, std::size_t& got, Buffer& output);
    // Encrypts all of `plain` behind `output`. False: failed.
    [[nodiscard]] bool write(Bytes plain, Buffer& output);
    // Appends close_notify.
    void close(Buffer& output);

    // Judged by the context's roots unless judge_with() was called.
    [[nodiscard]] const PeerIdentity& peer() const;
    // Judges what the peer has shown on these terms; peer() changes.
    void judge_with(const PeerTerms&, WallTime now);
    // What was agreed on is good enough for TlsFloor::kModern.
    [[nodiscard]] bool modern() const;
    [[nodiscard]] const char* version() const;
    [[nodiscard]] const char* cipher() const;
    [[nodiscard]] Bytes alpn() const;
    [[nodiscard]] const std::string& server_name() const;  // SNI asked for, either role
    [[nodiscard]] Error error() const;

    struct State;  // tls.cpp

private:
    explicit TlsSession(std::unique_ptr<State>);
    std::unique_ptr<State> state_;
};

// A throw-away ECDSA P-256 certificate, for a daemon without configuration and for tests. PEM.
struct SelfSigned {
    std::string certificate;
    std::string key;
};
// Valid from `from` on, or from now on by the machine's clock; a simulation gives its own.
Result<SelfSigned> make_self_signed(const std::vector<std::string>& dns_names, unsigned days,
                                    WallTime from = {});

// Once, before any thread starts. For a simulation: all of TLS's randomness then comes from `loop`
// (null: the kernel's again), which makes a run repeatable; single thread only.
void seed_tls_from(Loop* loop);

}  // namespace fedgate::net
