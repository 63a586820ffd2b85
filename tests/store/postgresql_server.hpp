// Debian's PostgreSQL in directories of its own, as an unprivileged user, with nothing but a socket
// in its directory; or on a free port of the loopback.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <libpq-fe.h>
#include <pwd.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "core/base/check.hpp"
#include "tests/store/files.hpp"

namespace fedgate::store::test {

inline std::string postgresql_program(const std::string& name) {
    std::vector<std::string> versions;
    for (const auto& at : std::filesystem::directory_iterator("/usr/lib/postgresql")) {
        versions.push_back(at.path());
    }
    FEDGATE_CHECK(!versions.empty());
    return *std::ranges::max_element(versions) + "/bin/" + name;
}

// Its output goes into `log`. The server refuses to be root. It ends when the test does, however
// that does.
inline pid_t start_program(std::vector<std::string> words, const std::string& log) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const passwd* const nobody = getuid() == 0 ? getpwnam("postgres") : nullptr;
    const pid_t pid = fork();
    FEDGATE_CHECK(pid >= 0);
    if (pid != 0) return pid;
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    dup2(file, 1);
    dup2(file, 2);
    if (nobody != nullptr && (setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0)) _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    execv(arguments[0], arguments.data());
    _exit(127);
}

inline void run_program(std::vector<std::string> words, const std::string& log) {
    int status = 0;
    const pid_t pid = start_program(std::move(words), log);
    FEDGATE_CHECK(waitpid(pid, &status, 0) == pid);
    if (status != 0) std::fprintf(stderr, "%s\n", read(log).c_str());
    FEDGATE_CHECK(status == 0);
}

class PostgreSqlServer {
public:
    PostgreSqlServer() {
        hand_over();
        run_program({postgresql_program("initdb"), "--no-sync", "--wal-segsize=1", "-A", "trust",
                     "-U", "fedgate", "-E", "UTF8", "--locale=C.UTF-8", "-D", data()},
                    log());
        start();
    }
    // A replica that streams from that one.
    explicit PostgreSqlServer(const PostgreSqlServer& primary) {
        hand_over();
        run_program({postgresql_program("pg_basebackup"), "-h", primary.directory(), "-U",
                     "fedgate", "-D", data(), "-R", "-X", "stream", "-c", "fast", "--no-sync"},
                    log());
        start();
    }
    ~PostgreSqlServer() { end(SIGQUIT); }
    PostgreSqlServer& operator=(const PostgreSqlServer&) = delete;

    void start() {
        pid_ = start_program(arguments(), log());
        const std::string url = own_url();
        wait([&] { return PQping(url.c_str()) == PQPING_OK; });
    }
    void end(int signal) {
        if (pid_ < 0) return;
        kill(pid_, signal);
        int status = 0;
        waitpid(std::exchange(pid_, -1), &status, 0);
    }
    void stop_answering() const { kill(pid_, SIGSTOP); }
    void promote() {
        run_program({postgresql_program("pg_ctl"), "promote", "-s", "-w", "-D", data()}, log());
    }
    // Before start(): on the loopback, with TLS and nothing else.
    void use_tls(const std::string& certificate, const std::string& key) {
        const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        FEDGATE_CHECK(bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0);
        FEDGATE_CHECK(getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        close(probe);
        port_ = ntohs(address.sin_port);
        write(data() + "/server.crt", certificate);
        write(data() + "/server.key", key);
        write(data() + "/pg_hba.conf",
              "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
        for (const char* name : {"/server.crt", "/server.key", "/pg_hba.conf"}) {
            give(data() + name);
            std::filesystem::permissions(data() + name, std::filesystem::perms::owner_read);
        }
    }

    // One value, as text.
    std::string ask(const std::string& sql) const {
        PGconn* const connection = PQconnectdb(own_url().c_str());
        PGresult* const result = PQexec(connection, sql.c_str());
        const bool good =
            PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;
        std::string value = good && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
        if (!good) value = PQerrorMessage(connection);
        PQclear(result);
        PQfinish(connection);
        return value;
    }
    [[nodiscard]] std::string url() const {
        return "postgresql://fedgate@/postgres?host=" + directory();
    }
    [[nodiscard]] std::string directory() const { return directory_.path(); }
    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] std::string log() const { return directory_.file("log"); }

    template <typename Predicate>
    static void wait(Predicate predicate) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!predicate()) {
            FEDGATE_CHECK(std::chrono::steady_clock::now() < end);
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }

private:
    [[nodiscard]] std::string own_url() const {
        return "host=" + directory() +
               " dbname=postgres user=fedgate port=" + std::to_string(port_);
    }
    [[nodiscard]] std::string data() const { return directory_.file("data"); }
    static void give(const std::string& path) {
        if (getuid() != 0) return;
        const passwd* const user = getpwnam("postgres");
        FEDGATE_CHECK(chown(path.c_str(), user->pw_uid, user->pw_gid) == 0);
    }
    void hand_over() const {
        give(directory());
        write(log(), "");
        give(log());
    }
    [[nodiscard]] std::vector<std::string> arguments() const {
        std::vector<std::string> words{postgresql_program("postgres"), "-D", data(), "-k",
                                       directory()};
        const auto set = [&](const std::string& text) {
            words.emplace_back("-c");
            words.push_back(text);
        };
        set("fsync=off");
        set("shared_buffers=4MB");
        set("max_connections=20");
        set("listen_addresses=" + std::string(tls() ? "127.0.0.1" : ""));
        set("port=" + std::to_string(port_));
        set(std::string("ssl=") + (tls() ? "on" : "off"));
        return words;
    }
    [[nodiscard]] bool tls() const { return std::filesystem::exists(data() + "/server.crt"); }

    const Directory directory_{false};
    pid_t pid_ = -1;
    int port_ = 5432;  // in the name of its socket, too
};

}  // namespace fedgate::store::test
