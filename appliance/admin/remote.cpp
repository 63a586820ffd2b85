#include "appliance/admin/remote.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/client.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "appliance/admin/words.hpp"
#include "core/config/address.hpp"
#include "core/config/text.hpp"
#include "net/buffer.hpp"
#include "net/tls.hpp"

namespace fedgate::admin {
namespace {

constexpr double kAcceptsPerSecond = 20;
constexpr auto kToProve = std::chrono::seconds(10);        // from the connection to the proof
constexpr auto kToAsk = std::chrono::seconds(60);          // one request, from its first byte on
constexpr auto kRemoteSilence = std::chrono::seconds(30);  // then it is closed
constexpr std::size_t kCipherBytes = 64 << 10;             // read at once
constexpr std::size_t kUnprovedBytes = 128 << 10;          // a handshake has less

Instant instant_of(std::chrono::steady_clock::time_point time) {
    return Instant(std::chrono::duration_cast<Instant::duration>(time.time_since_epoch()));
}

std::string text_of_peer(const sockaddr_storage& address) {
    char text[INET6_ADDRSTRLEN] = {};
    const void* bytes =
        address.ss_family == AF_INET6
            ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr)
            : &reinterpret_cast<const sockaddr_in*>(&address)->sin_addr;
    inet_ntop(address.ss_family, bytes, text, sizeof text);
    return text;
}

bool is_listed_in(const config::Tree& tree, const char* key, const std::string& name) {
    const std::vector<std::string> names = split(tree.text(key));
    return std::ranges::find(names, name, [](const std::string& one) {
               return config::lower_ascii(one);
           }) != names.end();
}

}  // namespace

struct RemoteDoor::Client {
    int descriptor = -1;
    std::string address;
    std::unique_ptr<net::TlsSession> tls;
    net::Buffer output;  // ciphertext
    std::string cipher;  // that was not taken yet
    std::string plain;
    std::size_t searched = 0;
    std::vector<std::string> names;  // of its certificate, once it has proved itself
    bool proved = false;
    bool ends = false;  // when all was written
    Clock::time_point since = Clock::now();
    Clock::time_point active = since;
    Clock::time_point asks_since{};  // not answered yet

    Client() = default;
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() {
        if (descriptor >= 0) close(descriptor);
    }
};

Caller caller_of_names(const std::vector<std::string>& names, const config::Tree& tree) {
    constexpr std::pair<const char*, Role> kLists[] = {
        {"admin.remote.administrator", Role::kAdministrator},
        {"admin.remote.operator", Role::kOperator},
        {"admin.remote.viewer", Role::kViewer}};
    for (const auto& [key, role] : kLists) {
        for (const std::string& name : names) {
            if (is_listed_in(tree, key, config::lower_ascii(name))) return {name, role};
        }
    }
    return {names.empty() ? "nobody" : names.front(), Role::kNone};
}

RemoteDoor::RemoteDoor(AdminHost& host, Answer answer)
    : host_(host),
      answer_(std::move(answer)),
      accepts_(kAcceptsPerSecond, kAcceptsPerSecond, instant_of(Clock::now())) {}

RemoteDoor::~RemoteDoor() {
    if (listener_ >= 0) close(listener_);
}

// Files are read again when they change.
std::string RemoteDoor::mark_of(const config::Tree& tree) const {
    std::string mark;
    for (const char* key : {"admin.remote.certificate", "admin.remote.key", "admin.remote.ca"}) {
        const std::string path = tree.text(key);
        struct stat info{};
        if (stat(path.c_str(), &info) != 0) info = {};
        mark += path + " " + std::to_string(info.st_ino) + " " +
                std::to_string(info.st_mtim.tv_sec) + " " + std::to_string(info.st_mtim.tv_nsec) +
                "\n";
    }
    return mark;
}

bool RemoteDoor::load(const config::Tree& tree, std::string& why) {
    const std::string mark = mark_of(tree);
    if (mark == loaded_) return true;
    loaded_ = mark;
    net::TlsConfig files;
    files.credentials.push_back(
        {{tree.text("admin.remote.certificate"), {}}, {tree.text("admin.remote.key"), {}}});
    files.ca = {tree.text("admin.remote.ca"), {}};
    auto context = net::TlsContext::load(files, &why);
    if (!context) return false;
    context_ = std::move(*context);
    return true;
}

bool RemoteDoor::open(const config::Tree& tree, std::string& why) {
    const std::string text = tree.text("admin.remote.listen");
    const auto address = config::parse_address(text);
    if (text.empty() || !address) return true;
    if (!load(tree, why)) {
        why = "admin.remote: " + why;
        return false;
    }
    sockaddr_in6 v6{};
    sockaddr_in v4{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address->port);
    std::memcpy(&v6.sin6_addr, address->bytes.data(), 16);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address->port);
    std::memcpy(&v4.sin_addr, address->bytes.data(), 4);
    listener_ =
        socket(address->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const int bound = address->v6 ? bind(listener_, reinterpret_cast<sockaddr*>(&v6), sizeof v6)
                                  : bind(listener_, reinterpret_cast<sockaddr*>(&v4), sizeof v4);
    if (bound == 0 && listen(listener_, kRemoteClients) == 0) return true;
    why = "admin.remote.listen: " + text + " can't be opened: " + std::strerror(errno);
    return false;
}

void RemoteDoor::add_polls(std::vector<pollfd>& polls) {
    if (listener_ < 0) return;
    // Too many lately: they wait in the kernel.
    TokenBucket left = accepts_;
    listening_polled_ = left.take(1, instant_of(Clock::now()));
    polls.push_back({listening_polled_ ? listener_ : -1, POLLIN, 0});
    for (const auto& client : clients_) {
        polls.push_back(
            {client->descriptor, static_cast<short>(client->output.empty() ? POLLIN : POLLOUT), 0});
    }
}

void RemoteDoor::serve(std::span<const pollfd> polls, const config::Tree& tree) {
    if (listener_ < 0 || polls.size() != clients_.size() + 1) return;
    const auto now = Clock::now();
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        Client& client = *clients_[i];
        const short events = polls[i + 1].revents;
        const bool in_time =
            now - client.active < kRemoteSilence &&
            (client.proved || now - client.since < kToProve) &&
            (client.asks_since == Clock::time_point{} || now - client.asks_since < kToAsk);
        if (!in_time || (events != 0 && !turn(client, events, tree))) clients_[i].reset();
    }
    std::erase(clients_, nullptr);
    if (polls[0].revents != 0) accept_some(tree);
}

// Of those that nobody knows, the one that was here longest.
void RemoteDoor::make_room() {
    const auto unknown =
        std::ranges::find(clients_, false, [](const auto& one) { return one->proved; });
    if (unknown != clients_.end()) clients_.erase(unknown);
}

void RemoteDoor::accept_some(const config::Tree& tree) {
    std::string why;
    if (!load(tree, why)) {  // those from before stay in use
        host_.note(EventId::kCertificateLoadFailed, {{"file", "admin.remote"}, {"error", why}});
    }
    while (accepts_.take(1, instant_of(Clock::now()))) {
        sockaddr_storage address{};
        socklen_t length = sizeof address;
        const int descriptor = accept4(listener_, reinterpret_cast<sockaddr*>(&address), &length,
                                       SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor < 0) return;
        if (clients_.size() == kRemoteClients) make_room();
        auto client = std::make_unique<Client>();
        client->descriptor = descriptor;
        client->address = text_of_peer(address);
        client->tls = net::TlsSession::server(*context_, {}, wall_now());
        if (clients_.size() < kRemoteClients && client->tls) clients_.push_back(std::move(client));
    }
}

// False: done with it.
bool RemoteDoor::turn(Client& client, short events, const config::Tree& tree) {
    if (!client.output.empty()) return flush(client);
    if ((events & (POLLIN | POLLHUP | POLLERR)) == 0) return true;
    char bytes[kCipherBytes];
    const ssize_t size = recv(client.descriptor, bytes, sizeof bytes, 0);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;
    client.cipher.append(bytes, static_cast<std::size_t>(size));
    if (client.proved) client.active = Clock::now();
    return take_input(client, tree) && flush(client);
}

bool RemoteDoor::take_input(Client& client, const config::Tree& tree) {
    if (!client.proved && !client.ends && !shake_hands(client, tree)) return false;
    return !client.proved || read_requests(client, tree);
}

bool RemoteDoor::shake_hands(Client& client, const config::Tree& tree) {
    Bytes input = client.cipher;
    const auto outcome = client.tls->handshake(input, client.output);
    client.cipher.erase(0, client.cipher.size() - input.size());
    if (outcome == net::TlsSession::Outcome::kNeedInput)
        return client.cipher.size() < kUnprovedBytes;
    if (outcome != net::TlsSession::Outcome::kDone) {
        host_.note(EventId::kAdminRefused,
                   {{"user", "nobody"},
                    {"address", client.address},
                    {"reason", std::string("TLS failed: ") + client.tls->error().where}});
        client.ends = true;  // behind the alert
        return true;
    }
    const PeerIdentity& peer = client.tls->peer();
    if (std::string_view(client.tls->version()) != "TLSv1.3") {
        refuse(client, "TLS 1.3 is needed");
    } else if (!peer.presented) {
        refuse(client, "a certificate of admin.remote.ca is needed, and none was shown");
    } else if (!peer.chain_valid) {
        refuse(client, "the certificate " + peer.fault);
    } else if (caller_of_names(peer.dns_names, tree).role == Role::kNone) {
        refuse(client,
               "the certificate is of no name that admin.remote.administrator, .operator or "
               ".viewer is_listed_in");
    } else {
        client.names = peer.dns_names;
        client.proved = true;
        client.active = Clock::now();
    }
    return true;
}

// He who may not is told so: it is an administrator who mistook a file, more often than not.
void RemoteDoor::refuse(Client& client, const std::string& why) {
    const PeerIdentity& peer = client.tls->peer();
    const std::string who = !peer.dns_names.empty() ? peer.dns_names.front()
                            : peer.presented        ? peer.subject
                                                    : "nobody";
    host_.note(EventId::kAdminRefused,
               {{"user", who}, {"address", client.address}, {"reason", why}});
    static_cast<void>(client.tls->write(write_json(refusal(why)) + "\n", client.output));
    client.tls->close(client.output);
    client.ends = true;
}

bool RemoteDoor::read_requests(Client& client, const config::Tree& tree) {
    Bytes input = client.cipher;
    auto outcome = net::TlsSession::Outcome::kDone;
    while (outcome == net::TlsSession::Outcome::kDone && client.plain.size() <= kRequestBytes) {
        char bytes[16'384];
        std::size_t got = 0;
        outcome = client.tls->read(input, {bytes, sizeof bytes}, got, client.output);
        client.plain.append(bytes, got);
        if (outcome == net::TlsSession::Outcome::kDone && got == 0) break;
    }
    client.cipher.erase(0, client.cipher.size() - input.size());
    if (outcome == net::TlsSession::Outcome::kClosed ||
        outcome == net::TlsSession::Outcome::kFailed || client.plain.size() > kRequestBytes)
        return false;
    if (client.plain.empty()) return true;
    if (client.asks_since == Clock::time_point{}) client.asks_since = Clock::now();
    const std::size_t end = client.plain.find('\n', client.searched);
    client.searched = end == std::string::npos ? client.plain.size() : 0;
    if (end == std::string::npos) return true;
    // At each request: whoever is struck off the list is out at once.
    const Caller caller = caller_of_names(client.names, tree);
    if (caller.role == Role::kNone) {
        refuse(client, "the certificate's name is not listed any more");
        return true;
    }
    const std::string text = answer_(std::string_view(client.plain).substr(0, end), caller);
    client.asks_since = {};
    client.plain.clear();  // one request at a time: nobody of ours sends the next before the answer
    client.searched = 0;
    return client.tls->write(text, client.output);
}

bool RemoteDoor::flush(Client& client) {
    while (!client.output.empty()) {
        const Bytes bytes = client.output.bytes();
        const ssize_t size = send(client.descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        client.output.consume(static_cast<std::size_t>(size));
        if (client.proved) client.active = Clock::now();
    }
    client.output.release();
    return !client.ends;
}

}  // namespace fedgate::admin
