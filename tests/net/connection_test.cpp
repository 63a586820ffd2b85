#include "net/connection.hpp"

#include <functional>

#include <gtest/gtest.h>

#include "net/tls.hpp"
#include "tests/net/certificates.hpp"
#include "tests/net/loops.hpp"

namespace fedgate::net {
namespace {

using test::Certificates;

constexpr ConnectionLimits kLimits{65'536, 1 << 20};

// One end; remembers all that it is told.
struct End final : ConnectionOwner {
    void on_open(Connection& c) override {
        ++opened;
        if (when_open) when_open(c);
    }
    void on_secured(Connection& c) override {
        ++secured;
        if (when_secured) when_secured(c);
    }
    std::size_t on_data(Connection& c, MutableBytes input) override {
        ++shown;
        if (when_data) return when_data(c, input);
        received.append(input.data(), input.size());
        return input.size();
    }
    void on_writable(Connection&) override { ++writable; }
    void on_closed(Connection&, Error why) override {
        ++closed;
        reason = why;
        if (destroy_when_closed) connection.reset();
    }

    std::unique_ptr<Connection> connection;
    std::string received;
    int opened = 0, secured = 0, shown = 0, writable = 0, closed = 0;
    Error reason{Errc::kSystem, 0, ""};
    bool destroy_when_closed = false;
    std::function<void(Connection&)> when_open, when_secured;
    std::function<std::size_t(Connection&, MutableBytes)> when_data;
};

struct Acceptor final : SocketOwner {
    Acceptor(Loop& l, End& e) : loop(l), end(e) {}
    void on_accept(Socket, Socket accepted, const SocketAddress& peer) override {
        end.connection = std::make_unique<Connection>(loop, end, limits, accepted, peer);
        if (end.when_open) end.when_open(*end.connection);
        ++accepted_count;
    }
    void on_closed(Socket) override { closed = true; }
    Loop& loop;
    End& end;
    ConnectionLimits limits = kLimits;
    int accepted_count = 0;
    bool closed = false;
};

class ConnectionTest : public test::OnBothLoops {
protected:
    void SetUp() override {
        auto socket = world.loop().listen(world.any_port(), acceptor);
        ASSERT_TRUE(socket) << socket.error().where;
        listener = *socket;
    }
    void TearDown() override {
        client.connection.reset();
        server.connection.reset();
        world.loop().close(listener);
        EXPECT_TRUE(world.run([this] { return acceptor.closed; }));
        world.run_for(50ms);  // sockets that close in the background
    }
    void connect(ConnectionLimits limits = kLimits) {
        auto made =
            Connection::connect(world.loop(), client, limits, world.loop().local_address(listener));
        ASSERT_TRUE(made) << made.error().where;
        client.connection = std::move(*made);
    }
    void connect_both() {
        connect();
        ASSERT_TRUE(
            world.run([this] { return client.opened == 1 && acceptor.accepted_count == 1; }));
    }
    // STARTTLS is agreed: both ends begin.
    void secure(TlsContext& client_context, TlsContext& server_context) {
        server.connection->start_tls_server(server_context, "xmpp-server");
        client.connection->start_tls_client(client_context, "xmpp.example", "xmpp-server");
        ASSERT_TRUE(world.run([this] { return client.secured == 1 && server.secured == 1; }));
    }
    static std::string pattern(std::size_t size) {
        std::string text(size, '\0');
        for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
        return text;
    }
    // Sends all of `text` as the queue takes it.
    void send_all(End& from, const End& to, const std::string& text) {
        std::size_t sent = 0;
        ASSERT_TRUE(world.run([&] {
            while (sent < text.size()) {
                const Bytes piece = Bytes(text).substr(sent, 7'919);
                if (!from.connection->write(piece)) break;
                sent += piece.size();
            }
            return to.received.size() == text.size();
        }));
        EXPECT_TRUE(to.received == text);
    }

    End client, server;
    Acceptor acceptor{world.loop(), server};
    Socket listener;
};

INSTANTIATE_TEST_SUITE_P(Loops, ConnectionTest, testing::Bool(), test::loop_name);

TEST_P(ConnectionTest, CarriesBytesBothWays) {
    connect();
    ASSERT_TRUE(client.connection->write("before it is open"));
    ASSERT_TRUE(world.run([this] { return server.received == "before it is open"; }));
    ASSERT_TRUE(server.connection->write("back"));
    ASSERT_TRUE(world.run([this] { return client.received == "back"; }));
    EXPECT_TRUE(
        same_address(client.connection->peer_address(), server.connection->local_address()));
    EXPECT_EQ(client.connection->unsent_bytes(), 0u);
}

TEST_P(ConnectionTest, ManyWritesOfATurnAreOneSend) {
    connect_both();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.connection->write("0123456789"));
    ASSERT_TRUE(world.run([this] { return server.received.size() == 1'000; }));
    if (!GetParam()) {  // the simulation cuts streams into pieces
        EXPECT_EQ(server.shown, 1);
    }
}

TEST_P(ConnectionTest, BigTransfers) {
    connect_both();
    send_all(client, server, pattern(5'000'000));
    send_all(server, client, pattern(3'000'000));
}

TEST_P(ConnectionTest, BigTransfersOverTls) {
    const auto context = Certificates::get().context({"good"});
    connect_both();
    secure(*context, *context);
    EXPECT_TRUE(client.connection->secured());
    EXPECT_STREQ(client.connection->tls_version(), "TLSv1.3");
    EXPECT_EQ(server.connection->tls_alpn(), "xmpp-server");
    // Dates are judged by the loop's clock, and the simulation's stands before the certificate's.
    EXPECT_EQ(server.connection->peer().chain_valid, !GetParam())
        << server.connection->peer().fault;
    EXPECT_EQ(client.connection->peer().chain_valid, !GetParam())
        << client.connection->peer().fault;
    send_all(client, server, pattern(5'000'000));
    send_all(server, client, pattern(3'000'000));
}

// The owner takes only whole records of ten bytes: the tail is shown again, with more behind it.
TEST_P(ConnectionTest, AnUnfinishedTailIsShownAgain) {
    const auto context = Certificates::get().context({"good"});
    for (const bool tls : {false, true}) {
        connect_both();
        if (tls) secure(*context, *context);
        server.when_data = [this](Connection&, MutableBytes input) {
            const std::size_t whole = input.size() / 10 * 10;
            server.received.append(input.data(), whole);
            return whole;
        };
        server.received.clear();
        const std::string text = pattern(30'000);
        for (std::size_t at = 0; at < text.size(); at += 7) {
            ASSERT_TRUE(client.connection->write(Bytes(text).substr(at, 7)));
            if (at % 49 == 0) world.loop().run_turn(0ms);
        }
        ASSERT_TRUE(world.run([&] { return server.received.size() == text.size(); }));
        EXPECT_TRUE(server.received == text);
        client = {};
        server = {};
        acceptor.accepted_count = 0;
    }
}

TEST_P(ConnectionTest, AFullInputBufferCloses) {
    const auto context = Certificates::get().context({"good"});
    for (const bool tls : {false, true}) {
        connect_both();
        if (tls) secure(*context, *context);
        server.when_data = [](Connection&, MutableBytes) { return std::size_t{0}; };
        ASSERT_TRUE(client.connection->write(pattern(200'000)));
        ASSERT_TRUE(world.run([this] { return server.closed == 1; }));
        EXPECT_EQ(server.reason.code, Errc::kLimit);
        client = {};
        server = {};
        acceptor.accepted_count = 0;
    }
}

TEST_P(ConnectionTest, AFullSendQueueRefusesAndTellsWhenItMayGoOn) {
    connect_both();
    server.connection->pause_input();
    const std::string piece = pattern(100'000);
    std::size_t taken = 0;
    while (client.connection->write(piece)) taken += piece.size();
    ASSERT_LE(client.connection->unsent_bytes(), kLimits.unsent_bytes_max);
    EXPECT_EQ(client.writable, 0);
    server.connection->resume_input();
    ASSERT_TRUE(world.run([this] { return client.writable == 1; }));
    ASSERT_TRUE(world.run([&] { return server.received.size() == taken; }));
}

TEST_P(ConnectionTest, PauseStopsInputAndResumeLosesNothing) {
    const auto context = Certificates::get().context({"good"});
    for (const bool tls : {false, true}) {
        connect_both();
        if (tls) secure(*context, *context);
        int pauses = 0;
        server.when_data = [&](Connection& c, MutableBytes input) {
            // Takes a little, then wants no more.
            const std::size_t taken = std::min<std::size_t>(input.size(), 1'000);
            server.received.append(input.data(), taken);
            c.pause_input();
            ++pauses;
            return taken;
        };
        const std::string text = pattern(100'000);
        ASSERT_TRUE(client.connection->write(text));
        ASSERT_TRUE(world.run([&] { return pauses == 1; }));
        world.run_for(20ms);
        EXPECT_EQ(pauses, 1);
        ASSERT_TRUE(world.run([&] {
            server.connection->resume_input();
            return server.received.size() == text.size();
        }));
        EXPECT_TRUE(server.received == text);
        client = {};
        server = {};
        acceptor.accepted_count = 0;
    }
}

TEST_P(ConnectionTest, CloseFlushesAndEndsBothSides) {
    const auto context = Certificates::get().context({"good"});
    for (const bool tls : {false, true}) {
        connect_both();
        if (tls) secure(*context, *context);
        const std::string text = pattern(900'000);
        ASSERT_TRUE(client.connection->write(text));
        client.connection->close();
        EXPECT_FALSE(client.connection->write("too late"));
        ASSERT_TRUE(world.run([this] { return client.closed == 1 && server.closed == 1; }));
        EXPECT_TRUE(server.received == text);
        EXPECT_EQ(client.reason.code, Errc::kClosed);
        EXPECT_EQ(server.reason.code, Errc::kClosed);
        client = {};
        server = {};
        acceptor.accepted_count = 0;
    }
}

// A peer that neither reads nor closes can't hold us: 5 s for the queue.
TEST_P(ConnectionTest, CloseIsBounded) {
    if (!GetParam()) GTEST_SKIP() << "seconds of waiting: on the virtual clock only";
    connect_both();
    server.connection->pause_input();
    ASSERT_TRUE(client.connection->write(pattern(1'000'000)));
    const Instant start = world.loop().now();
    client.connection->close();
    ASSERT_TRUE(world.run([this] { return client.closed == 1; }));
    EXPECT_GE(world.loop().now() - start, 5s);
    EXPECT_LE(world.loop().now() - start, 6s);
}

TEST_P(ConnectionTest, AbortReportsItsReasonLater) {
    connect_both();
    client.connection->abort({Errc::kTimeout, 0, "test"});
    EXPECT_EQ(client.closed, 0);
    ASSERT_TRUE(world.run([this] { return client.closed == 1; }));
    EXPECT_EQ(client.reason.code, Errc::kTimeout);
    ASSERT_TRUE(world.run([this] { return server.closed == 1; }));
}

TEST_P(ConnectionTest, RefusedIsTold) {
    const SocketAddress nowhere = world.loop().local_address(listener);
    world.loop().close(listener);
    ASSERT_TRUE(world.run([this] { return acceptor.closed; }));
    auto made = Connection::connect(world.loop(), client, kLimits, nowhere);
    ASSERT_TRUE(made);
    client.connection = std::move(*made);
    client.destroy_when_closed = true;
    ASSERT_TRUE(world.run([this] { return client.closed == 1; }));
    EXPECT_EQ(client.reason.code, Errc::kRefused);
    EXPECT_EQ(client.opened, 0);
    acceptor.closed = false;
    listener = *world.loop().listen(world.any_port(), acceptor);
}

TEST_P(ConnectionTest, MayBeDestroyedInAnyCallback) {
    const auto context = Certificates::get().context({"good"});
    // In on_open.
    client.when_open = [this](Connection&) { client.connection.reset(); };
    connect();
    ASSERT_TRUE(world.run([this] { return server.closed == 1; }));
    client = {};
    server = {};
    acceptor.accepted_count = 0;
    // In on_data, with a send in flight.
    connect_both();
    ASSERT_TRUE(server.connection->write(pattern(500'000)));
    server.when_data = [this](Connection&, MutableBytes input) {
        server.connection.reset();
        return input.size();
    };
    ASSERT_TRUE(client.connection->write("x"));
    ASSERT_TRUE(world.run([this] { return client.closed == 1; }));
    EXPECT_EQ(server.closed, 0);
    client = {};
    server = {};
    acceptor.accepted_count = 0;
    // In on_secured.
    connect_both();
    server.when_secured = [this](Connection&) { server.connection.reset(); };
    server.connection->start_tls_server(*context);
    client.connection->start_tls_client(*context, "xmpp.example", {});
    ASSERT_TRUE(world.run([this] { return client.closed == 1; }));
    client = {};
    server = {};
    acceptor.accepted_count = 0;
    // In on_closed.
    connect_both();
    server.destroy_when_closed = true;
    client.connection->close();
    ASSERT_TRUE(world.run([this] { return server.closed == 1 && client.closed == 1; }));
}

// STARTTLS: the answer leaves in clear, what follows is encrypted. S2S-12: bytes that came before
// the handshake and were not consumed never reach TLS.
TEST_P(ConnectionTest, StartTlsFromWithinOnData) {
    const auto context = Certificates::get().context({"good"});
    connect_both();
    server.when_data = [&](Connection& c, MutableBytes input) -> std::size_t {
        if (c.secured()) {
            server.received.append(input.data(), input.size());
            return input.size();
        }
        if (input.size() < 8) return 0;
        EXPECT_TRUE(c.write("proceed"));
        c.start_tls_server(*context);
        return 8;
    };
    client.when_data = [&](Connection& c, MutableBytes input) -> std::size_t {
        client.received.append(input.data(), input.size());
        if (client.received == "proceed") c.start_tls_client(*context, "xmpp.example", {});
        return input.size();
    };
    ASSERT_TRUE(client.connection->write("starttls"));
    ASSERT_TRUE(world.run([this] { return client.secured == 1 && server.secured == 1; }));
    EXPECT_EQ(client.received, "proceed");
    ASSERT_TRUE(client.connection->write("secret"));
    ASSERT_TRUE(world.run([this] { return server.received == "secret"; }));
}

TEST_P(ConnectionTest, FailedTlsIsTold) {
    const auto context = Certificates::get().context({"good"});
    connect_both();
    server.connection->start_tls_server(*context);
    ASSERT_TRUE(client.connection->write("GET / HTTP/1.0\r\n\r\n"));
    ASSERT_TRUE(world.run([this] { return server.closed == 1; }));
    EXPECT_EQ(server.reason.code, Errc::kTls);
    EXPECT_EQ(server.secured, 0);
}

TEST_P(ConnectionTest, AnotherOwnerTakesOver) {
    connect_both();
    End other;
    client.connection->set_owner(other);
    ASSERT_TRUE(server.connection->write("for the other"));
    ASSERT_TRUE(world.run([&] { return other.received == "for the other"; }));
    EXPECT_EQ(client.received, "");
    client.connection.reset();
}

}  // namespace
}  // namespace fedgate::net
