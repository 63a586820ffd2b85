#include "net/tls.hpp"

#include <arpa/inet.h>
#include <cstdio>
#include <sys/socket.h>
#include <tuple>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/run/simulation.hpp"
#include "net/certificate.hpp"
#include "tests/net/certificates.hpp"

namespace fedgate::net {
namespace {

using test::Certificates;
using test::wall_now;
using Outcome = TlsSession::Outcome;

// Two sessions joined by buffers; bytes cross in pieces of `piece`.
struct Pair {
    Pair(TlsContext& client_context, TlsContext& server_context, const std::string& name,
         Bytes alpn = "xmpp-server", WallTime now = wall_now())
        : client(TlsSession::client(client_context, name, alpn, now)),
          server(TlsSession::server(server_context, "xmpp-server", now)) {}

    static Outcome feed(TlsSession& session, Buffer& from, Buffer& to, std::size_t piece) {
        Outcome outcome = Outcome::kNeedInput;
        do {
            Bytes input = from.bytes().substr(0, piece);
            const std::size_t before = input.size();
            outcome = session.handshake(input, to);
            from.consume(before - input.size());
        } while (outcome == Outcome::kNeedInput && !from.empty());
        return outcome;
    }
    bool shake_hands(std::size_t piece = 100'000) {
        Outcome a = Outcome::kNeedInput;
        Outcome b = Outcome::kNeedInput;
        for (int i = 0; i < 10 && (a != Outcome::kDone || b != Outcome::kDone); ++i) {
            if (a != Outcome::kDone) a = feed(*client, to_client, to_server, piece);
            if (b != Outcome::kDone) b = feed(*server, to_server, to_client, piece);
            if (a == Outcome::kFailed || b == Outcome::kFailed) return false;
        }
        return a == Outcome::kDone && b == Outcome::kDone;
    }
    static std::string receive(TlsSession& session, Buffer& from, Buffer& to, std::size_t piece,
                               Outcome* last = nullptr) {
        std::string all;
        char memory[3'000];
        while (true) {
            Bytes input = from.bytes().substr(0, piece);
            const std::size_t before = input.size();
            std::size_t got = 0;
            const Outcome outcome = session.read(input, memory, got, to);
            from.consume(before - input.size());
            all.append(memory, got);
            if (last != nullptr) *last = outcome;
            if (outcome == Outcome::kDone || (outcome == Outcome::kNeedInput && !from.empty()))
                continue;
            return all;
        }
    }

    std::unique_ptr<TlsSession> client;
    std::unique_ptr<TlsSession> server;
    Buffer to_client, to_server;
};

TEST(Tls, ShakesHandsAndTellsWhoIsThere) {
    const auto& files = Certificates::get();
    const auto context = files.context({"good"});
    Pair pair(*context, *context, "xmpp.example");
    ASSERT_TRUE(pair.shake_hands());
    EXPECT_STREQ(pair.client->version(), "TLSv1.3");
    EXPECT_STREQ(pair.server->version(), "TLSv1.3");
    EXPECT_NE(std::string(pair.client->cipher()), "");
    for (const TlsSession* session : {pair.client.get(), pair.server.get()}) {
        EXPECT_TRUE(session->peer().presented);
        EXPECT_TRUE(session->peer().chain_valid) << session->peer().fault;
        EXPECT_EQ(session->peer().srv_names.size(), 1u);
        EXPECT_EQ(session->alpn(), "xmpp-server");
        EXPECT_EQ(session->server_name(), "xmpp.example");
    }
}

// S2S-13: 1.2 and 1.3, each with each.
TEST(Tls, VersionsMeet) {
    const auto& files = Certificates::get();
    const auto new_one = files.context({"good", "second"});
    const auto old_one = files.context({"good", "second"}, "ca.pem", false);
    for (TlsContext* client : {new_one.get(), old_one.get()}) {
        for (TlsContext* server : {new_one.get(), old_one.get()}) {
            Pair pair(*client, *server, "second.example");
            ASSERT_TRUE(pair.shake_hands(100)) << pair.client->error().where;
            const bool both = client == new_one.get() && server == new_one.get();
            EXPECT_STREQ(pair.client->version(), both ? "TLSv1.3" : "TLSv1.2");
            EXPECT_TRUE(pair.client->peer().chain_valid) << pair.client->peer().fault;
            EXPECT_EQ(pair.client->peer().dns_names[0], "second.example");
            EXPECT_TRUE(pair.server->peer().chain_valid) << pair.server->peer().fault;
            EXPECT_NE(std::string(pair.server->cipher()).find("GCM"), std::string::npos);
            EXPECT_EQ(pair.server->alpn(), "xmpp-server");
            const std::string sent(50'000, 'x');
            ASSERT_TRUE(pair.server->write(sent, pair.to_client));
            EXPECT_EQ(Pair::receive(*pair.client, pair.to_client, pair.to_server, 1'000), sent);
        }
    }
}

TEST(Tls, EverySizeOfPiece) {
    const auto context = Certificates::get().context({"good"});
    for (const std::size_t piece : {1u, 2u, 3u, 5u, 7u, 64u, 999u}) {
        Pair pair(*context, *context, "xmpp.example");
        ASSERT_TRUE(pair.shake_hands(piece)) << piece;
        std::string sent;
        for (int i = 0; i < 40'000; ++i) sent += static_cast<char>('a' + i % 26);
        ASSERT_TRUE(pair.client->write(sent, pair.to_server));
        EXPECT_EQ(Pair::receive(*pair.server, pair.to_server, pair.to_client, piece), sent)
            << piece;
    }
}

// S2S-13, S2S-44, S2S-54: a bad certificate does not end the handshake, in either role.
TEST(Tls, ABadCertificateIsToldAndNotFatal) {
    const auto& files = Certificates::get();
    const auto good = files.context({"good"});
    for (const char* name :
         {"weak_ca", "lonely", "chained", "byleaf", "client", "critical", "sha1", "authority",
          "rsa2048", "ed25519", "anyusage", "self", "pss", "pss512", "psssha1"}) {
        const auto other = files.context({name});
        const std::string text = name;
        const bool valid =
            text == "chained" || text == "rsa2048" || text == "ed25519" || text == "anyusage";
        Pair as_server(*good, *other, "wrong.example");
        ASSERT_TRUE(as_server.shake_hands()) << name << " " << as_server.client->error().where;
        EXPECT_EQ(as_server.client->peer().chain_valid, valid)
            << name << as_server.client->peer().fault;
        Pair as_client(*other, *good, "xmpp.example");
        ASSERT_TRUE(as_client.shake_hands()) << name << " " << as_client.server->error().where;
        EXPECT_EQ(as_client.server->peer().chain_valid, valid)
            << name << as_client.server->peer().fault;
    }
}

// An intermediate that one peer has shown must not make the chain of the next one valid.
TEST(Tls, NothingIsLearntFromAPeer) {
    const auto& files = Certificates::get();
    const auto good = files.context({"good"});
    const auto chained = files.context({"chained"});
    const auto lonely = files.context({"lonely"});
    Pair first(*good, *chained, "chained.example");
    ASSERT_TRUE(first.shake_hands());
    EXPECT_TRUE(first.client->peer().chain_valid);
    Pair second(*good, *lonely, "chained.example");
    ASSERT_TRUE(second.shake_hands());
    EXPECT_FALSE(second.client->peer().chain_valid);
}

// RFC 5280 4.2.1.10, in both roles: it is not TLS that judges names.
TEST(Tls, NameConstraintsDoNotEndAHandshake) {
    const auto& files = Certificates::get();
    const auto good = files.context({"good"});
    for (const bool tls13 : {true, false}) {
        for (const char* name : {"inside", "outside", "outside_xmpp", "excluded"}) {
            const auto other = files.context({name}, "ca.pem", tls13);
            const bool valid = std::string(name) == "inside";
            Pair as_server(*good, *other, "a.narrow.example");
            ASSERT_TRUE(as_server.shake_hands()) << name << as_server.client->error().where;
            Pair as_client(*other, *good, "xmpp.example");
            ASSERT_TRUE(as_client.shake_hands()) << name << as_client.server->error().where;
            for (const TlsSession* session : {as_server.client.get(), as_client.server.get()}) {
                const PeerIdentity& peer = session->peer();
                EXPECT_EQ(peer.chain_valid, valid) << name << peer.fault;
                EXPECT_EQ(peer.fault.find("may not speak (name") == std::string::npos, valid)
                    << name << peer.fault;
            }
        }
    }
}

// One connection of ours to an OpenSSL server that staples a file, or nothing.
class Stapling {
public:
    // `certificate`, `staple`: of Certificates; `version`: openssl's option.
    Stapling(const std::string& certificate, const std::string& staple,
             const std::string& version) {
        const auto& files = Certificates::get();
        std::string command = "exec openssl s_server -accept 127.0.0.1:0 -naccept 1 -www " +
                              version + " -cert " + files.path(certificate + ".pem") + " -key " +
                              files.path(certificate + ".key");
        if (!staple.empty()) command += " -status_file " + files.path(staple);
        server_ = popen((command + " 2>&1").c_str(), "r");
        char line[200];
        unsigned port = 0;
        while (server_ != nullptr && port == 0 && std::fgets(line, sizeof line, server_) != nullptr)
            std::sscanf(line, "ACCEPT 127.0.0.1:%u", &port);
        EXPECT_NE(port, 0u);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    ~Stapling() {
        close(socket_);
        if (server_ != nullptr) pclose(server_);
    }
    Stapling(const Stapling&) = delete;
    Stapling& operator=(const Stapling&) = delete;

    bool shake_hands(TlsContext& context) {
        session = TlsSession::client(context, "xmpp.example", "", wall_now());
        std::string received;
        while (true) {
            Buffer output;
            Bytes input = received;
            const Outcome outcome = session->handshake(input, output);
            received.erase(0, received.size() - input.size());
            const Bytes out = output.bytes();
            if (::send(socket_, out.data(), out.size(), MSG_NOSIGNAL) !=
                static_cast<ssize_t>(out.size())) {
                return false;
            }
            if (outcome != Outcome::kNeedInput) return outcome == Outcome::kDone;
            char bytes[4'096];
            const ssize_t count = recv(socket_, bytes, sizeof bytes, 0);
            if (count <= 0) return false;
            received.append(bytes, static_cast<std::size_t>(count));
        }
    }

    std::unique_ptr<TlsSession> session;

private:
    std::FILE* server_ = nullptr;
    int socket_ = -1;
};

// RFC 6066 8, RFC 8446 4.4.2.1, CERT-5: the handshake asks for a staple, and what comes is judged
// by us only; nothing about it ends the handshake.
TEST(Tls, AStapleIsAskedForAndJudged) {
    const auto context = Certificates::get().context({}, "ca.pem");
    const std::string revoked = "was revoked on 2026-01-31 (key compromise)";
    const struct {
        const char* certificate;
        const char* staple;
        bool is_revoked = false;
        bool is_good = false;
    } cases[] = {
        {"good", "good.ocsp", false, true},
        {"second", "second.ocsp", true},
        {"second", "delegated.ocsp", true},
        {"good", ""},
        {"good", "second.ocsp"},   // about another certificate
        {"second", "other.ocsp"},  // signed by nobody who may
        {"good", "endless.ocsp"},
        {"good", "short.ocsp"},
        {"good", "hollow.ocsp"},
        {"good", "huge.ocsp"},
    };
    const WallTime tomorrow = wall_now() + std::chrono::days(1);
    for (const std::string version : {"-tls1_3", "-tls1_2"}) {
        for (const auto& one : cases) {
            SCOPED_TRACE(version + " " + one.certificate + " " + one.staple);
            Stapling server(one.certificate, one.staple, version);
            ASSERT_TRUE(server.shake_hands(*context)) << server.session->error().where;
            EXPECT_STREQ(server.session->version(), version == "-tls1_3" ? "TLSv1.3" : "TLSv1.2");
            const auto fault = [&](Revocation how) {
                server.session->judge_with({.roots = context->roots(), .revocation = how},
                                           tomorrow);
                return server.session->peer().fault;
            };
            EXPECT_EQ(fault(Revocation::kSoft), one.is_revoked ? revoked : "");
            EXPECT_EQ(fault(Revocation::kOff), "");
            const std::string hard = fault(Revocation::kHard);
            if (one.is_revoked || one.is_good) {
                EXPECT_EQ(hard, one.is_good ? "" : revoked);
            } else {
                EXPECT_EQ(hard.find("can't be checked for revocation"), 0u) << hard;
            }
        }
    }
}

TEST(Tls, AClientMayShowNothing) {
    const auto& files = Certificates::get();
    const auto good = files.context({"good"});
    const auto nobody = files.context({});
    Pair pair(*nobody, *good, "xmpp.example");
    ASSERT_TRUE(pair.shake_hands());
    EXPECT_FALSE(pair.server->peer().presented);
    EXPECT_FALSE(pair.server->peer().chain_valid);
    EXPECT_TRUE(pair.client->peer().chain_valid);
}

TEST(Tls, AServerWithoutACertificateFails) {
    const auto& files = Certificates::get();
    const auto good = files.context({"good"});
    const auto nobody = files.context({});
    Pair pair(*good, *nobody, "xmpp.example");
    EXPECT_FALSE(pair.shake_hands());
    EXPECT_EQ(pair.server->error().code, Errc::kCertificate);
}

TEST(Tls, WithoutRootsNoChainIsValid) {
    const auto context = Certificates::get().context({"good"}, nullptr);
    Pair pair(*context, *context, "xmpp.example");
    ASSERT_TRUE(pair.shake_hands());
    EXPECT_TRUE(pair.client->peer().presented);
    EXPECT_FALSE(pair.client->peer().chain_valid);
}

// S2S-13: the certificate is chosen by SNI; dates by the loop's clock.
TEST(Tls, PicksTheCertificateByName) {
    const auto context = Certificates::get().context({"good", "second"});
    const std::pair<const char*, const char*> cases[] = {{"second.example", "second.example"},
                                                         {"SECOND.example", "second.example"},
                                                         {"a.second.example", "second.example"},
                                                         {"a.b.second.example", "xmpp.example"},
                                                         {"xmpp.example", "xmpp.example"},
                                                         {"unknown.example", "xmpp.example"},
                                                         {"", "xmpp.example"},
                                                         {"10.0.0.1", "xmpp.example"}};
    for (const auto& [name, wanted] : cases) {
        for (const std::size_t piece : {1u, 100'000u}) {
            Pair pair(*context, *context, name);
            ASSERT_TRUE(pair.shake_hands(piece)) << name;
            EXPECT_EQ(pair.client->peer().dns_names[0], wanted) << name;
        }
    }
    Pair late(*context, *context, "xmpp.example", "", wall_now() + std::chrono::days(400));
    ASSERT_TRUE(late.shake_hands());
    EXPECT_FALSE(late.client->peer().chain_valid);
}

TEST(Tls, AlpnIsOptional) {
    const auto context = Certificates::get().context({"good"});
    Pair without(*context, *context, "xmpp.example", "");
    ASSERT_TRUE(without.shake_hands());
    EXPECT_EQ(without.server->alpn(), "");
}

std::string protocols(int count) {
    std::string names;
    for (int i = 0; i < count; ++i) names += std::string(250, 'x') + ',';
    return names + "xmpp-server";
}

TEST(Tls, ALongClientHelloIsNotTaken) {
    const auto context = Certificates::get().context({"good"});
    Pair long_one(*context, *context, "xmpp.example", protocols(20));
    EXPECT_TRUE(long_one.shake_hands());
    Pair too_long(*context, *context, "xmpp.example", protocols(40));
    EXPECT_FALSE(too_long.shake_hands());
    EXPECT_STREQ(too_long.server->error().where, "ClientHello too long");
}

// Half-open TLS is at most 64 KiB: what has come, what it grew to, and what was only announced.
TEST(Tls, AHandshakeHoldsSoMuchAndNoMore) {
    const auto server = Certificates::get().context({"good"});
    const auto client = Certificates::get().context({"good"}, "ca.pem", false);
    Pair pair(*client, *server, "xmpp.example", protocols(20));
    ASSERT_EQ(Pair::feed(*pair.client, pair.to_client, pair.to_server, 100'000),
              Outcome::kNeedInput);
    ASSERT_EQ(Pair::feed(*pair.server, pair.to_server, pair.to_client, 100'000),
              Outcome::kNeedInput);
    // The first 96 bytes of a Certificate message of 18,000.
    const std::string begun =
        std::string("\x16\x03\x03\x00\x64\x0b\x00\x46\x50", 9) + std::string(96, '\0');
    pair.to_server.append(begun);
    EXPECT_EQ(Pair::feed(*pair.server, pair.to_server, pair.to_client, 100'000),
              Outcome::kNeedInput);
    // A record of 16,384 bytes begins.
    pair.to_server.append(std::string("\x16\x03\x03\x40\x00", 5) + std::string(100, '\0'));
    EXPECT_EQ(Pair::feed(*pair.server, pair.to_server, pair.to_client, 100'000), Outcome::kFailed);
    EXPECT_STREQ(pair.server->error().where, "handshake too long");
}

// partner/*/ca: who it says it is comes after the handshake.
TEST(Tls, OtherTermsMayJudge) {
    const auto& files = Certificates::get();
    const auto context = files.context({"good"});
    const auto none = files.context({"good"}, nullptr);
    Pair pair(*none, *none, "xmpp.example");
    ASSERT_TRUE(pair.shake_hands());
    for (TlsSession* session : {pair.server.get(), pair.client.get()}) {
        const PeerIdentity& peer = session->peer();
        EXPECT_FALSE(peer.chain_valid);
        session->judge_with({.roots = context->roots()}, wall_now());
        EXPECT_TRUE(peer.chain_valid) << peer.fault;
        EXPECT_EQ(peer.srv_names.size(), 1u);
        session->judge_with({}, wall_now());
        EXPECT_FALSE(peer.chain_valid);
    }
}

TEST(Tls, CloseNotify) {
    const auto context = Certificates::get().context({"good"});
    Pair pair(*context, *context, "xmpp.example");
    ASSERT_TRUE(pair.shake_hands());
    ASSERT_TRUE(pair.client->write("last", pair.to_server));
    pair.client->close(pair.to_server);
    Outcome last{};
    EXPECT_EQ(Pair::receive(*pair.server, pair.to_server, pair.to_client, 100'000, &last), "last");
    EXPECT_EQ(last, Outcome::kClosed);
}

TEST(Tls, GarbageAndTamperingFail) {
    const auto context = Certificates::get().context({"good", "second"});
    for (const std::string& garbage : {std::string("GET / HTTP/1.0\r\n\r\n"),
                                       std::string(600, '\0'), std::string(70'000, '\x16')}) {
        auto server = TlsSession::server(*context, "", wall_now());
        Buffer output;
        Bytes input = garbage;
        EXPECT_EQ(server->handshake(input, output), Outcome::kFailed);
        EXPECT_EQ(server->error().code, Errc::kTls);
    }
    Pair pair(*context, *context, "xmpp.example");
    ASSERT_TRUE(pair.shake_hands());
    Pair::receive(*pair.client, pair.to_client, pair.to_server, 100'000);
    ASSERT_TRUE(pair.client->write("message", pair.to_server));
    pair.to_server.bytes_mutable()[8] = static_cast<char>(pair.to_server.bytes()[8] ^ 1);
    Outcome last{};
    EXPECT_EQ(Pair::receive(*pair.server, pair.to_server, pair.to_client, 100'000, &last), "");
    EXPECT_EQ(last, Outcome::kFailed);
}

// A context may go while sessions run: certificates are swapped without dropping a stream.
TEST(Tls, SessionsOutliveTheirContext) {
    auto context = Certificates::get().context({"good", "second"});
    Pair pair(*context, *context, "second.example");
    Buffer ignored;
    context.reset();
    ASSERT_TRUE(pair.shake_hands());
    ASSERT_TRUE(pair.server->write("still here", pair.to_client));
    EXPECT_EQ(Pair::receive(*pair.client, pair.to_client, pair.to_server, 10), "still here");
}

TEST(Tls, FaultsOfConfigurationSayWhich) {
    const auto& files = Certificates::get();
    const auto load = [](const TlsConfig& config) {
        std::string fault;
        EXPECT_FALSE(TlsContext::load(config, &fault));
        return fault;
    };
    EXPECT_NE(load({{{{"/nowhere.pem", {}}, {"/nowhere.key", {}}}}, {}}).find("/nowhere.pem"),
              std::string::npos);
    TlsConfig mismatch{{{{files.path("good.pem"), {}}, {files.path("second.key"), {}}}}, {}};
    EXPECT_NE(load(mismatch).find("do not belong together"), std::string::npos);
    TlsConfig no_ca{{}, {files.path("good.key"), {}}};
    EXPECT_NE(load(no_ca).find("good.key"), std::string::npos);
}

// A simulation gives TLS its randomness: the same seed, the same bytes on the wire.
TEST(Tls, ASeedRepeatsAHandshake) {
    const auto context = Certificates::get().context({"good"});
    const auto wire = [&context](std::uint64_t seed) {
        SimulationSettings settings;
        settings.seed = seed;
        Simulation simulation(settings);
        seed_tls_from(&simulation.make_loop(simulation.make_node()));
        Pair pair(*context, *context, "xmpp.example");
        Buffer output;
        Bytes nothing;
        pair.client->handshake(nothing, output);
        std::string bytes(output.bytes());
        Bytes input = output.bytes();
        Buffer answer;
        pair.server->handshake(input, answer);
        bytes += answer.bytes();
        seed_tls_from(nullptr);
        return bytes;
    };
    const std::string first = wire(1);
    EXPECT_GT(first.size(), 500u);
    EXPECT_TRUE(wire(1) == first);
    EXPECT_FALSE(wire(2) == first);
}

TEST(Tls, SelfSigned) {
    const auto made = make_self_signed({"localhost", "fedgate.example"}, 30);
    ASSERT_TRUE(made) << made.error().where;
    TlsConfig config{{{{{}, made->certificate}, {{}, made->key}}}, {{}, made->certificate}};
    std::string fault;
    auto context = TlsContext::load(config, &fault);
    ASSERT_TRUE(context) << fault;
    Pair pair(**context, **context, "fedgate.example");
    ASSERT_TRUE(pair.shake_hands());
    EXPECT_EQ(pair.client->peer().dns_names,
              (std::vector<std::string>{"localhost", "fedgate.example"}));
    EXPECT_TRUE(pair.client->peer().chain_valid) << pair.client->peer().fault;
    for (const int year : {2001, 2049, 2050, 2060}) {
        const WallTime from = std::chrono::sys_days(std::chrono::year(year) / 12 / 31);
        const auto other = make_self_signed({"localhost"}, 10, from);
        ASSERT_TRUE(other);
        const auto ders = parse_pem_certificates(other->certificate);
        ASSERT_TRUE(ders);
        const auto parsed = parse_certificate((*ders)[0]);
        ASSERT_TRUE(parsed) << year;
        EXPECT_EQ(parsed->not_before, from);
        EXPECT_EQ(parsed->not_after, from + std::chrono::days(10));
    }
    EXPECT_FALSE(make_self_signed({}, 1));
    EXPECT_FALSE(make_self_signed({std::string(200, 'a')}, 1));
}

}  // namespace
}  // namespace fedgate::net
