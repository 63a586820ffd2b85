// The control thread's loop: signals, the admin socket, the same over TLS, and HTTP for metrics and
// health. Plain poll(2); nothing of a core runs here. One request line in, one line of JSON out.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "appliance/admin/host.hpp"
#include "appliance/admin/http.hpp"
#include "appliance/admin/remote.hpp"
#include "core/base/error.hpp"
#include "core/base/time.hpp"

namespace fedgate::admin {

class Configuration;
class TestSchedule;
struct Caller;

class Control {
public:
    Control(AdminHost&, Configuration&);
    ~Control();  // removes the socket
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    // Blocks SIGTERM, SIGINT, SIGHUP and SIGPIPE for this thread and all that it will start: call
    // it before any core's thread exists.
    static void block_signals();

    // Opens signals, admin.socket, admin.remote.listen and admin.http.listen. On failure `why` is a
    // sentence.
    [[nodiscard]] bool open(std::string& why);
    // Tells the supervisor READY, serves until SIGTERM or SIGINT, drains, and returns. A second
    // signal does not wait for the drain; nor does it last longer than `drain_max`.
    void run(Duration drain_max);
    // One turn: waits at most `wait_max`. False: stop.
    bool run_turn(Duration wait_max);
    // Where HTTP listens (port 0 in the configuration: what the kernel picked); 0: nowhere.
    [[nodiscard]] std::uint16_t http_port() const { return http_port_; }

private:
    struct Client;
    enum class State { kRunning, kDraining, kStopped };

    bool open_socket(const std::string& path, std::string& why);
    bool open_http(std::string& why);
    void on_signal();
    void accept_clients();
    void set_mode();
    void refuse(int descriptor, const Caller&);
    bool serve(Client&, short events);  // false: done with it
    void answer(Client&);
    void reload();
    void take_received();
    void tell_nodes();
    void tell_watchdog(std::chrono::steady_clock::time_point now);

    AdminHost& host_;
    Configuration& configuration_;
    int signals_ = -1;
    int listener_ = -1;
    HttpServer http_;
    std::uint16_t http_port_ = 0;
    RemoteDoor remote_;
    std::string path_;
    bool for_all_ = false;  // anybody may connect: his groups decide
    State state_ = State::kRunning;
    std::vector<std::unique_ptr<Client>> clients_;
    Held told_;  // to other nodes
    std::chrono::microseconds watchdog_;
    std::chrono::steady_clock::time_point watchdog_at_{};  // its next turn
    std::unique_ptr<TestSchedule> schedule_;
};

}  // namespace fedgate::admin
