// TLS 1.3 on bytes in memory, for both sides of a measurement. AES-128-GCM, as fedgated prefers it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct WOLFSSL;
struct WOLFSSL_CTX;

namespace fedgate::floor {

constexpr std::size_t kTlsRecordBytesMax = 16'384;

// Bytes in front of a buffer that stays where it is; never more than its capacity.
class Buffer {
public:
    explicit Buffer(std::size_t capacity) : bytes_(capacity) {}
    [[nodiscard]] std::span<char> room() { return std::span(bytes_).subspan(end_); }
    [[nodiscard]] std::span<const char> filled() const {
        return std::span(bytes_).subspan(begin_, end_ - begin_);
    }
    [[nodiscard]] std::size_t size() const { return end_ - begin_; }
    void added(std::size_t count) { end_ += count; }
    void taken(std::size_t count) {
        begin_ += count;
        if (begin_ == end_) begin_ = end_ = 0;
    }
    void to_front();

private:
    std::vector<char> bytes_;
    std::size_t begin_ = 0, end_ = 0;
};

// Both ends' contexts, with a certificate made for this run.
class TlsContexts {
public:
    TlsContexts();
    ~TlsContexts();
    [[nodiscard]] bool ready() const { return client_ != nullptr && server_ != nullptr; }
    [[nodiscard]] WOLFSSL_CTX* context(bool server) const { return server ? server_ : client_; }

private:
    WOLFSSL_CTX* client_ = nullptr;
    WOLFSSL_CTX* server_ = nullptr;
};

class Tls {
public:
    Tls(const TlsContexts&, bool server);
    ~Tls();
    Tls(const Tls&) = delete;
    Tls& operator=(const Tls&) = delete;

    // One step of the handshake: reads what came, writes what is to be sent. False: it failed.
    [[nodiscard]] bool shake(Buffer& received, Buffer& to_send);
    [[nodiscard]] bool ready() const { return ready_; }
    // Whole records of `received` as plain text, as long as `plain` has room for one.
    [[nodiscard]] bool open(Buffer& received, Buffer& plain);
    // `plain` in records of at most `record_bytes`.
    [[nodiscard]] bool seal(std::span<const char> plain, std::size_t record_bytes, Buffer& to_send);

private:
    static int take(WOLFSSL*, char* into, int size, void* self);
    static int give(WOLFSSL*, char* from, int size, void* self);

    WOLFSSL* ssl_ = nullptr;
    Buffer* received_ = nullptr;
    Buffer* to_send_ = nullptr;
    bool server_;
    bool ready_ = false;
};

}  // namespace fedgate::floor
