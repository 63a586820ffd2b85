#include "appliance/admin/control.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <tuple>
#include <unistd.h>

#include "appliance/admin/client.hpp"
#include "appliance/admin/commands.hpp"
#include "appliance/admin/metrics.hpp"
#include "appliance/admin/notify.hpp"
#include "appliance/admin/roles.hpp"
#include "appliance/admin/trials.hpp"
#include "appliance/admin/wall_clock.hpp"

namespace fedgate::admin {
namespace {

constexpr std::size_t kClients = 32;                       // more are closed at once
constexpr auto kClientSilence = std::chrono::seconds(30);  // then it is closed

using Clock = std::chrono::steady_clock;

sigset_t our_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
    return set;
}

void close_descriptor(int& descriptor) {
    if (descriptor >= 0) close(descriptor);
    descriptor = -1;
}

int make_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

std::string with_errno(std::string text) { return std::move(text) + ": " + std::strerror(errno); }

}  // namespace

struct Control::Client {
    int descriptor = -1;
    std::string input;
    std::size_t searched = 0;  // this much of `input` has no line end in it
    std::string output;
    std::size_t written = 0;
    Clock::time_point active = Clock::now();

    Client() = default;
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { close_descriptor(descriptor); }
};

Control::Control(AdminHost& host, Configuration& configuration)
    : host_(host),
      configuration_(configuration),
      http_([this](std::string_view path) { return answer_http(path, host_, configuration_); }),
      remote_(host,
              [this](std::string_view line, const Caller& caller) {
                  return write_json(
                             answer_request(line, caller, host_, configuration_, schedule_.get())) +
                         "\n";
              }),
      watchdog_(watchdog_interval()),
      schedule_(std::make_unique<TestSchedule>(host, configuration)) {}

Control::~Control() {
    clients_.clear();
    close_descriptor(signals_);
    if (listener_ >= 0) unlink(path_.c_str());
    close_descriptor(listener_);
}

void Control::block_signals() {
    const sigset_t set = our_signals();
    sigprocmask(SIG_BLOCK, &set, nullptr);
    // Writing to a client that has gone must be an error, not the end.
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // and so must a file that may not grow
}

bool Control::open(std::string& why) {
    const sigset_t set = our_signals();
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_ < 0) {
        why = with_errno("signals can't be read");
        return false;
    }
    return open_socket(configuration_.snapshot().settings.admin_socket, why) && open_http(why) &&
           remote_.open(configuration_.tree(), why);
}

bool Control::open_socket(const std::string& path, std::string& why) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        why = "admin.socket: " + path + " is too long for a socket";
        return false;
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    std::error_code error;  // /run is empty after each start of the machine
    if (!folder.empty()) std::filesystem::create_directories(folder, error);
    if (error) {
        why = "admin.socket: the folder " + folder.string() + " can't be made: " + error.message();
        return false;
    }
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    listener_ = make_socket(AF_UNIX);
    const mode_t before = umask(0117);  // 0660: its owner and its group are the administrators
    int bound = bind(listener_, generic, sizeof address);
    if (bound != 0 && errno == EADDRINUSE) {
        // Left over from a killed process, or a running one?
        int probe = make_socket(AF_UNIX);
        const bool alive = connect(probe, generic, sizeof address) == 0 || errno == EAGAIN;
        struct stat info{};
        const bool is_socket = lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
        close_descriptor(probe);
        if (!alive && is_socket && unlink(path.c_str()) == 0) {
            bound = bind(listener_, generic, sizeof address);
        } else {
            umask(before);
            close_descriptor(listener_);
            why = "admin.socket: " + path +
                  (alive ? " is in use: another fedgated is running"
                         : " is there and is not a socket");
            return false;
        }
    }
    umask(before);
    if (bound != 0 || listen(listener_, kClients) != 0) {
        why = with_errno("admin.socket: " + path + " can't be opened");
        close_descriptor(listener_);
        return false;
    }
    path_ = path;
    return true;
}

bool Control::open_http(std::string& why) {
    const config::Address& address = configuration_.snapshot().settings.admin_http;
    if (address.text.empty()) return true;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&v4.sin_addr, address.bytes.data(), 4);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    std::memcpy(&v6.sin6_addr, address.bytes.data(), 16);
    int listener = make_socket(address.v6 ? AF_INET6 : AF_INET);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const int bound = address.v6 ? bind(listener, reinterpret_cast<sockaddr*>(&v6), sizeof v6)
                                 : bind(listener, reinterpret_cast<sockaddr*>(&v4), sizeof v4);
    if (bound != 0 || listen(listener, kClients) != 0 || !http_.open(listener)) {
        why = with_errno("admin.http.listen: " + address.text + " can't be opened");
        close_descriptor(listener);
        return false;
    }
    sockaddr_in6 local{};
    socklen_t length = sizeof local;
    getsockname(listener, reinterpret_cast<sockaddr*>(&local), &length);
    http_port_ = ntohs(local.sin6_port);  // at the same place in both families
    return true;
}

void Control::run(Duration drain_max) {
    notify_supervisor("READY=1");
    while (state_ == State::kRunning) run_turn(host_.on_turn());
    notify_supervisor("STOPPING=1");
    const auto deadline = Clock::now() + drain_max;
    while (state_ == State::kDraining && !host_.drained() && Clock::now() < deadline) {
        host_.on_turn();
        run_turn(std::chrono::milliseconds(20));
    }
}

bool Control::run_turn(Duration wait_max) {
    std::vector<pollfd> polls;
    polls.push_back({signals_, POLLIN, 0});
    polls.push_back({listener_, POLLIN, 0});
    polls.push_back({http_.descriptor(), POLLIN, 0});
    polls.push_back({host_.received_descriptor(), POLLIN, 0});
    const std::size_t first_client = polls.size();
    for (const auto& client : clients_) {
        const bool writing = client->written < client->output.size();
        polls.push_back({client->descriptor, static_cast<short>(writing ? POLLOUT : POLLIN), 0});
    }
    const std::size_t first_remote = polls.size();
    remote_.add_polls(polls);
    constexpr auto kTick = std::chrono::milliseconds(1000);  // silent clients are looked at
    const auto wait = std::min<std::chrono::milliseconds>(
        kTick, std::chrono::ceil<std::chrono::milliseconds>(std::min(wait_max, http_.wait_max())));
    poll(polls.data(), polls.size(), static_cast<int>(std::max<long>(wait.count(), 0)));
    const auto now = Clock::now();
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        const short events = polls[first_client + i].revents;
        Client& client = *clients_[i];
        const bool keep =
            events != 0 ? serve(client, events) : now - client.active < kClientSilence;
        if (!keep) clients_[i].reset();
    }
    std::erase(clients_, nullptr);
    remote_.serve(std::span(polls).subspan(first_remote), configuration_.tree());
    take_received();
    configuration_.expire(host_, wall_now());
    tell_nodes();
    set_mode();
    tell_watchdog(now);
    if (state_ == State::kRunning) schedule_->on_turn(now);
    if (polls[1].revents != 0) accept_clients();
    http_.run();
    if (polls[0].revents != 0) on_signal();
    return state_ == State::kRunning;
}

void Control::on_signal() {
    signalfd_siginfo info;
    while (read(signals_, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            reload();
        } else if (state_ == State::kRunning) {
            state_ = State::kDraining;
            host_.drain();
        } else {
            state_ = State::kStopped;  // asked twice: do not wait for the drain
        }
    }
}

void Control::take_received() {
    for (const Received& one : host_.take_received()) {
        std::string why;
        if (configuration_.take(host_, one, wall_now(), why)) continue;
        host_.note(EventId::kCommitRefused, {{"peer", one.peer}, {"error", why}});
    }
}

void Control::tell_nodes() {
    const Held& held = configuration_.held();
    const auto what = [](const Held& one) {
        return std::tie(one.id, one.in_force, one.why, one.not_taken, one.asked);
    };
    if (what(held) == what(told_)) return;
    told_ = held;
    host_.tell_nodes(held);
}

// The supervisor ends a process that says nothing: this thread hangs, or a core does.
void Control::tell_watchdog(Clock::time_point now) {
    if (watchdog_.count() == 0 || now < watchdog_at_) return;
    watchdog_at_ = now + watchdog_ / 4;
    if (host_.cores_have_turned()) notify_supervisor("WATCHDOG=1");
}

void Control::reload() {
    config::Problems problems;
    std::vector<Change> changes;
    const bool good = configuration_.reload(host_, problems, changes);
    for (const config::Problem& problem : problems) {
        std::fprintf(stderr, "fedgated: reload: %s\n", problem.line().c_str());
    }
    if (!good) {
        std::fprintf(stderr, "fedgated: reload: nothing was changed\n");
        host_.note(EventId::kConfigRefused,
                   {{"error", problems.empty() ? std::string() : problems.front().line()}});
        return;
    }
    std::fprintf(stderr, "fedgated: configuration read again, %zu values changed\n",
                 changes.size());
    host_.note(EventId::kConfigLoaded, {{"changes", changes.size()}});
    host_.on_reload();
}

// Where groups decide who may do what, the file's own lets everybody come so far.
void Control::set_mode() {
    const bool for_all = !configuration_.snapshot().settings.admin_groups.empty();
    if (for_all == for_all_) return;
    if (chmod(path_.c_str(), for_all ? 0666 : 0660) == 0) for_all_ = for_all;
}

void Control::accept_clients() {
    while (true) {
        int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor < 0) return;
        const Caller caller =
            caller_of(descriptor, configuration_.snapshot().settings.admin_groups);
        if (caller.role == Role::kNone) {  // takes no place from others
            refuse(descriptor, caller);
            close_descriptor(descriptor);
            continue;
        }
        if (clients_.size() == kClients) {
            close_descriptor(descriptor);
            continue;
        }
        auto client = std::make_unique<Client>();
        client->descriptor = descriptor;
        clients_.push_back(std::move(client));
    }
}

void Control::refuse(int descriptor, const Caller& caller) {
    host_.note(EventId::kAdminRefused,
               {{"user", caller.user}, {"role", name_of(caller.role)}, {"needs", "viewer"}});
    const std::string answer =
        write_json({{"ok", false},
                    {"error", caller.user + " is in none of the groups of admin.groups.viewer, "
                                            "admin.groups.operator and "
                                            "admin.groups.administrator"}}) +
        "\n";
    // A new connection has room for a line.
    static_cast<void>(send(descriptor, answer.data(), answer.size(), MSG_NOSIGNAL));
}

bool Control::serve(Client& client, short events) {
    client.active = Clock::now();
    if (client.written == client.output.size() && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
        char buffer[65536];
        const ssize_t size = recv(client.descriptor, buffer, sizeof buffer, 0);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        if (size == 0) return false;
        client.input.append(buffer, static_cast<std::size_t>(size));
        answer(client);
        // Only what is not answered counts: one request is, at a time.
        if (client.input.size() > kRequestBytes) return false;
    }
    while (!client.output.empty()) {
        const ssize_t size = send(client.descriptor, client.output.data() + client.written,
                                  client.output.size() - client.written, MSG_NOSIGNAL);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        client.written += static_cast<std::size_t>(size);
        if (client.written < client.output.size()) continue;
        client.output.clear();
        client.written = 0;
        answer(client);
    }
    return true;
}

// Answers the first request of the input; the next one waits until the client has read this answer.
void Control::answer(Client& client) {
    const std::size_t end = client.input.find('\n', client.searched);
    client.searched = end == std::string::npos ? client.input.size() : 0;
    if (end == std::string::npos) return;
    const std::string_view line = std::string_view(client.input).substr(0, end);
    // At each request: whoever has lost a role has lost it on open connections, too.
    const Caller caller =
        caller_of(client.descriptor, configuration_.snapshot().settings.admin_groups);
    client.output =
        write_json(answer_request(line, caller, host_, configuration_, schedule_.get())) + "\n";
    client.input.erase(0, end + 1);
}

}  // namespace fedgate::admin
