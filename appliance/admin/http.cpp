#include "appliance/admin/http.hpp"

#include <microhttpd.h>

namespace fedgate::admin {
namespace {

constexpr unsigned kConnections = 16;
constexpr unsigned kSeconds = 5;  // without a byte, then it is closed
constexpr std::size_t kHttpRequestBytes = 16 << 10;

MHD_Result respond(MHD_Connection* connection, const HttpAnswer& answer) {
    MHD_Response* response = MHD_create_response_from_buffer(
        answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type.c_str());
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (answer.status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    const MHD_Result result = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    return result;
}

MHD_Result on_request(void* server, MHD_Connection* connection, const char* path,
                      const char* method, const char*, const char*, std::size_t*, void**) {
    const std::string_view name = method;
    if (name != "GET" && name != "HEAD") {
        return respond(connection, {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET only\n"});
    }
    return respond(connection, static_cast<const HttpServer*>(server)->answer(path));
}

}  // namespace

HttpServer::~HttpServer() {
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

bool HttpServer::open(int listener) {
    daemon_ = MHD_start_daemon(
        MHD_USE_EPOLL, 0, nullptr, nullptr, &on_request, this, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CONNECTION_LIMIT, kConnections, MHD_OPTION_CONNECTION_TIMEOUT, kSeconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, kHttpRequestBytes, MHD_OPTION_END);
    if (daemon_ == nullptr) return false;
    const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    descriptor_ = info != nullptr ? info->epoll_fd : -1;
    return descriptor_ >= 0;
}

Duration HttpServer::wait_max() const {
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    if (daemon_ == nullptr || MHD_get_timeout(daemon_, &milliseconds) != MHD_YES)
        return Duration::max();
    return std::chrono::milliseconds(milliseconds);
}

void HttpServer::run() {
    if (daemon_ != nullptr) MHD_run(daemon_);
}

}  // namespace fedgate::admin
