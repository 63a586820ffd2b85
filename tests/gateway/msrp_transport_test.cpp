#include "appliance/gateway/msrp_transport.hpp"

#include <gtest/gtest.h>

#include "sip/msrp_writer.hpp"
#include "tests/net/certificates.hpp"
#include "tests/net/loops.hpp"
#include "tests/sip/msrp_support.hpp"

namespace fedgate::gateway {
namespace {

using sip::test::msrp_end;
using sip::test::msrp_request;
using sip::test::msrp_send;

constexpr std::size_t kMsrpTestSizeMax = 1'000;

// One side, which answers each request with 200 and remembers what it is told.
struct MsrpSide final : MsrpTransportUser {
    explicit MsrpSide(Loop& loop, net::TlsContext* tls = nullptr)
        : transport(loop, stats, *this, tls, kMsrpTestSizeMax) {}
    bool on_msrp(MsrpConnection& connection, const sip::MsrpMessage& message) override {
        if (refusals > 0) {
            --refusals;
            return false;
        }
        if (claims) connection.claim();
        came += message.status != 0 ? std::to_string(message.status) : std::string(message.body);
        came += ' ';
        answer(connection, message, 200);
        return true;
    }
    void on_msrp_refused(MsrpConnection& connection, const sip::MsrpMessage& message,
                         sip::MsrpFault fault) override {
        answer(connection, message, fault.status);
    }
    void answer(MsrpConnection& connection, const sip::MsrpMessage& message, std::uint16_t status) {
        if (!message.wants(status)) return;
        std::vector<char> memory(limits::kMsrpAnswerBytes);
        Sink out{MutableBytes(memory)};
        sip::write_msrp_response(out, message, status);
        EXPECT_TRUE(connection.write(out.written()));
    }
    void on_msrp_connected(MsrpConnection& connection) override {
        connected.push_back(connection.self());
        shown = connection.peer().presented;
    }
    void on_msrp_writable(MsrpConnection&) override {}
    void on_msrp_closed(MsrpConnection&, const Error& error) override {
        ++closed;
        why = error.where;
    }
    [[nodiscard]] MsrpConnection* mine(std::size_t index = 0) {
        return index < connected.size() ? transport.find(connected[index]) : nullptr;
    }

    std::string came;
    std::string why;
    std::vector<Handle<MsrpConnection>> connected;
    int refusals = 0;
    int closed = 0;
    bool claims = true;
    bool shown = false;  // a certificate
    Stats stats;
    MsrpTransport transport;
};

class MsrpOnBothLoops : public net::test::OnBothLoops {
protected:
    // Connected, and ready to write.
    void connect(MsrpSide& from, MsrpSide& to, bool tls = false) {
        const auto address = to.transport.listen(world.any_port(), tls);
        ASSERT_TRUE(address);
        ASSERT_NE(from.transport.connect(*address, tls, "a.example"), nullptr);
        ASSERT_TRUE(world.run([&] { return from.mine() != nullptr; }));
    }
};

TEST_P(MsrpOnBothLoops, ARequestGoesOverAndItsAnswerBack) {  // SESS-21
    MsrpSide ours(world.loop()), theirs(world.loop());
    connect(ours, theirs);
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one") +
                                   msrp_send("tid2", "abcd", "1-3/3", "two")));
    EXPECT_TRUE(world.run([&] { return ours.came == "200 200 "; })) << ours.came;
    EXPECT_EQ(theirs.came, "one two ");
    EXPECT_EQ(ours.stats.value(Counter::kMsrpOutConnections), 1U);
    EXPECT_EQ(theirs.stats.value(Counter::kMsrpInConnections), 1U);
    ours.mine()->close();
    EXPECT_TRUE(world.run([&] { return theirs.closed == 1 && ours.closed == 1; }));
    EXPECT_EQ(ours.mine(), nullptr);
    EXPECT_EQ(ours.stats.value(Counter::kMsrpOutConnections), 0U);
    EXPECT_EQ(theirs.stats.value(Counter::kMsrpInConnections), 0U);
}

TEST_P(MsrpOnBothLoops, TheSameOverTls) {
    const auto context = net::test::Certificates::get().context({"good"});
    MsrpSide ours(world.loop(), context.get()), theirs(world.loop(), context.get());
    connect(ours, theirs, true);
    EXPECT_TRUE(ours.shown);
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one")));
    EXPECT_TRUE(world.run([&] { return ours.came == "200 "; }));
    MsrpSide bare(world.loop());  // without a certificate of its own
    EXPECT_EQ(bare.transport.connect(world.any_port(), true, "x"), nullptr);
}

TEST_P(MsrpOnBothLoops, WhatIsNotTakenComesAgain) {
    MsrpSide ours(world.loop()), theirs(world.loop());
    connect(ours, theirs);
    theirs.refusals = 5;
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one") +
                                   msrp_send("tid2", "abcd", "1-3/3", "two")));
    EXPECT_TRUE(world.run([&] { return theirs.came == "one two "; })) << theirs.came;
    EXPECT_EQ(theirs.refusals, 0);
}

TEST_P(MsrpOnBothLoops, WhatIsNotTakenComesAgainMoreAndMoreSeldom) {
    MsrpSide ours(world.loop()), theirs(world.loop());
    connect(ours, theirs);
    theirs.refusals = 8;
    const Instant begin = world.loop().now();
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one")));
    ASSERT_TRUE(world.run([&] { return theirs.came == "one "; }));
    // 2, 4, 8, 16, 32, and then all the same.
    EXPECT_GE(world.loop().now() - begin, 62ms + 3 * kMsrpRetryTakingMax);
    if (!GetParam()) return;  // the kernel's time is others', too
    EXPECT_LE(world.loop().now() - begin, 62ms + 4 * kMsrpRetryTakingMax);
    theirs.refusals = 1;
    const Instant again = world.loop().now();
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid2", "abcd", "1-3/3", "two")));
    ASSERT_TRUE(world.run([&] { return theirs.came == "one two "; }));
    EXPECT_LT(world.loop().now() - again, kMsrpRetryTakingMax / 2);
}

TEST_P(MsrpOnBothLoops, WhatIsRefusedIsAnsweredAndWhatIsNoMsrpEndsIt) {  // SESS-23
    MsrpSide ours(world.loop()), theirs(world.loop());
    connect(ours, theirs);
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-*/*", std::string(5'000, 'x')) +
                                   msrp_send("tid2", "abcd", "1-3/3", "two") + "no MSRP\r\n"));
    EXPECT_TRUE(world.run([&] { return ours.closed == 1; }));
    EXPECT_EQ(ours.came, "413 200 ");
    EXPECT_EQ(theirs.came, "two ");
    EXPECT_EQ(theirs.stats.value(Counter::kMsrpBad), 2U);
}

TEST_P(MsrpOnBothLoops, OneAddressHasSoManyWithoutASession) {
    MsrpSide ours(world.loop()), theirs(world.loop());
    const auto address = theirs.transport.listen(world.any_port(), false);
    ASSERT_TRUE(address);
    for (std::size_t i = 0; i < kMsrpUnclaimedPerAddress + 3; ++i) {
        ASSERT_NE(ours.transport.connect(*address, false, ""), nullptr);
    }
    ASSERT_TRUE(world.run([&] { return ours.closed == 3; }));
    EXPECT_EQ(theirs.stats.value(Counter::kMsrpRefused), 3U);
    // A session makes room for one.
    const std::size_t before = ours.connected.size();
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one")));
    ASSERT_TRUE(world.run([&] { return theirs.came == "one "; }));
    ASSERT_NE(ours.transport.connect(*address, false, ""), nullptr);
    ASSERT_TRUE(world.run([&] { return ours.mine(before) != nullptr; }));
    ASSERT_TRUE(ours.mine(before)->write(msrp_send("tid2", "abcd", "1-3/3", "two")));
    EXPECT_TRUE(world.run([&] { return theirs.came == "one two " || ours.closed > 3; }));
    EXPECT_EQ(ours.closed, 3);
}

TEST_P(MsrpOnBothLoops, WhereItListensNoMoreConnectionsStay) {
    MsrpSide ours(world.loop()), theirs(world.loop());
    connect(ours, theirs);
    const SocketAddress at = ours.mine()->peer_address();
    ASSERT_TRUE(  // the connection is not in the listener's queue any more
        world.run([&] { return theirs.stats.value(Counter::kMsrpInConnections) == 1; }));
    theirs.transport.stop_listening();
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one")));
    EXPECT_TRUE(world.run([&] { return ours.came == "200 "; }));
    ASSERT_NE(ours.transport.connect(at, false, ""), nullptr);
    EXPECT_TRUE(world.run([&] { return ours.closed == 1; }));
    ASSERT_TRUE(theirs.transport.listen(at, false));  // again, at the same place
    ASSERT_NE(ours.transport.connect(at, false, ""), nullptr);
    EXPECT_TRUE(world.run([&] { return ours.mine(1) != nullptr; }));
}

INSTANTIATE_TEST_SUITE_P(Loops, MsrpOnBothLoops, testing::Bool(), net::test::loop_name);

class MsrpInTime : public testing::Test {
protected:
    void connect() {
        const auto address = theirs.transport.listen(world.any_port(), false);
        ASSERT_TRUE(address);
        ASSERT_NE(ours.transport.connect(*address, false, ""), nullptr);
        ASSERT_TRUE(world.run([&] { return ours.mine() != nullptr; }));
    }
    net::test::World world{true};
    MsrpSide ours{world.loop()}, theirs{world.loop()};
};

TEST_F(MsrpInTime, WithoutASessionItEnds) {
    connect();
    theirs.claims = false;
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one")));
    world.run_for(kMsrpUnclaimedTime - 1s);
    EXPECT_EQ(theirs.came, "one ");
    EXPECT_EQ(theirs.closed, 0);
    world.run_for(2s);
    EXPECT_EQ(theirs.why, "MSRP without a session");
    EXPECT_EQ(theirs.stats.value(Counter::kMsrpRefused), 1U);
    EXPECT_EQ(ours.closed, 1);
}

TEST_F(MsrpInTime, WithOneItStays) {
    connect();
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one")));
    world.run_for(600s);
    EXPECT_EQ(theirs.closed + ours.closed, 0);
}

TEST_F(MsrpInTime, AMessageThatDripsEndsIt) {
    connect();
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one") +
                                   msrp_request("tid2", "SEND", "")));
    world.run_for(kMsrpMessageTime - 5s);
    ASSERT_TRUE(ours.mine()->write("X: y\r\n"));
    world.run_for(4s);
    EXPECT_EQ(theirs.closed, 0);
    world.run_for(2s);
    EXPECT_EQ(theirs.why, "MSRP message without end");
}

TEST_F(MsrpInTime, SoDoesOneThatWasRefusedAndDripsOn) {
    connect();
    const std::string endless = msrp_send("tid2", "abcd", "1-*/9999", "x");
    ASSERT_TRUE(ours.mine()->write(msrp_send("tid1", "abcd", "1-3/3", "one") +
                                   endless.substr(0, endless.size() - 9)));
    for (int i = 0; i < 100 && theirs.closed == 0; ++i) {
        ASSERT_TRUE(ours.mine()->write("x"));
        world.run_for(1s);
        EXPECT_TRUE(theirs.closed == 0 || i >= 58) << i;
    }
    EXPECT_EQ(theirs.why, "MSRP message without end");
}

TEST_F(MsrpInTime, NobodyThereIsToldSo) {
    ASSERT_NE(ours.transport.connect(*net::parse_ip("127.0.0.1", 9), false, ""), nullptr);
    EXPECT_TRUE(world.run([&] { return ours.closed == 1; }));
}

}  // namespace
}  // namespace fedgate::gateway
