// admin.http.listen: GET and nothing else, by libmicrohttpd, on the control thread. It has at most
// 16 connections, each for one request of at most 16 KiB, and closes one that is silent for 5
// seconds; more of them wait, at most 32, then the kernel refuses them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/time.hpp"

struct MHD_Daemon;

namespace fedgate::admin {

struct HttpAnswer {
    unsigned status = 200;
    std::string type = "text/plain";
    std::string body;
};

class HttpServer {
public:
    using Handler = std::function<HttpAnswer(std::string_view path)>;

    explicit HttpServer(Handler handler) : handler_(std::move(handler)) {}
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // Takes a listening socket. False: the library can't.
    [[nodiscard]] bool open(int listener);
    // Readable when there is something to do; -1: not open.
    [[nodiscard]] int descriptor() const { return descriptor_; }
    // How long run() may wait though nothing is readable.
    [[nodiscard]] Duration wait_max() const;
    void run();
    [[nodiscard]] HttpAnswer answer(std::string_view path) const { return handler_(path); }

private:
    Handler handler_;
    MHD_Daemon* daemon_ = nullptr;
    int descriptor_ = -1;
};

}  // namespace fedgate::admin
