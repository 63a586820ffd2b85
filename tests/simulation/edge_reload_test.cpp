// Rules and certificates that change under streams that stand.
#include <gtest/gtest.h>

#include "tests/simulation/edge_pair.hpp"

namespace fedgate::simulation {
namespace {

TEST_F(EdgePair, ATakenAwayPartnerIsCutOff) {  // P9: live
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    Settings without = server_rules("b.example", "a.example");
    without.emplace_back("partner/a.example/enabled", "no");
    const auto rules = compile(without);
    b().reload(*rules, b_->seats()[0].certificates);
    ASSERT_TRUE(until([&] { return b_->count(Counter::kXmppInEstablished) == 0; }, 10s))
        << b_->log();
    b_->seats()[0].edge.reset();
}

// A5: neither side goes on with what its rules do not accept any more.
// Neither for an answer of ours that its stream had not seen confirmed.
TEST_F(EdgePair, NobodyConnectsToWhoIsTakenAway) {
    start();
    ASSERT_TRUE(send_from_a(0));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    const auto connections = b_->count(Counter::kXmppInAccepted);
    Settings without = server_rules("a.example", "b.example");
    without.push_back({"federation.deny", "b.example"});
    a_->reload(without);
    until([] { return false; }, 20s);
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), connections) << a_->log();
}

TEST_F(EdgePair, AStreamWithAWeakerProofThanTheNewRulesIsEnded) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    Settings settings = server_rules("b.example", "a.example");
    settings.emplace_back("partner/a.example/sasl", "required");
    settings.emplace_back("partner/a.example/dialback", "no");
    const auto rules = compile(settings);
    b().reload(*rules, b_->seats()[0].certificates);
    ASSERT_TRUE(until([&] { return b_->count(Counter::kXmppInEstablished) == 0; }, 10s))
        << b_->log();
    b_->seats()[0].edge.reset();
}

TEST_F(EdgePair, OurStreamWithAWeakerProofThanTheNewRulesIsEnded) {
    start();
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return !door_b_.got.empty(); }));
    Settings settings = server_rules("a.example", "b.example");
    settings.emplace_back("partner/b.example/sasl", "required");
    settings.emplace_back("partner/b.example/dialback", "no");
    const auto rules = compile(settings);
    a().reload(*rules, a_->seats()[0].certificates);
    ASSERT_TRUE(until([&] { return b_->count(Counter::kXmppInEstablished) == 0; }, 10s))
        << b_->log();
    ASSERT_TRUE(send_from_a(2));
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kFailed); }));
    EXPECT_EQ(door_a_.fault(2), link::Fault::kNotTrusted);
    EXPECT_EQ(std::ranges::count_if(
                  door_b_.got, [](const auto& got) { return got.stanza.starts_with("<message"); }),
              1);
    a_->seats()[0].edge.reset();
}

TEST_F(EdgePair, ARefusalOfTheOldRulesDoesNotOutlastThem) {  // P9: live
    start({{"partner/b.example/sasl", "required"}, {"partner/b.example/dialback", "no"}});
    ASSERT_TRUE(send_from_a(1));
    ASSERT_TRUE(until([&] { return door_a_.has(1, link::Fate::kFailed); }));
    EXPECT_EQ(door_a_.fault(1), link::Fault::kNotTrusted);
    const auto rules = compile(server_rules("a.example", "b.example"));
    a().reload(*rules, a_->seats()[0].certificates);
    ASSERT_TRUE(send_from_a(2));  // neither a back-off nor a target that is held down (DNS-8)
    ASSERT_TRUE(until([&] { return door_a_.has(2, link::Fate::kWritten); }, 1s)) << a_->log();
    a_->seats()[0].edge.reset();
}

// RFC 6120 13.7.2.3. A chain costs as much as many messages: after a reload they are judged in
// slices, and nobody is forgotten.
TEST(Reload, JudgesCertificatesInSlices) {
    constexpr std::uint64_t kStreams = 3 * limits::kRejudgedPerTurn + 1;
    const auto domain = [](std::uint64_t i) { return "d" + std::to_string(i) + ".many.example"; };
    Settings ours = server_rules("a.example", "*.many.example");
    ours.insert(ours.end(), {{"partner/*.many.example/connection_limit", "200"},
                             {"partner/*.many.example/rate_connections", "none"},
                             {"xmpp.limits.unauthenticated_per_address", "200"}});
    Settings theirs = server_rules(domain(0).c_str(), "a.example");
    for (std::uint64_t i = 1; i < kStreams; ++i)
        theirs.emplace_back("domain/" + domain(i) + "/phone", "no");
    Simulation simulation{{.seed = 37}};
    Server a(simulation, simulation.make_node(), 1, ours, true);
    Server b(simulation, simulation.make_node(), 1, theirs, true);
    b.knows("a.example", simulation, a.node());
    Door door_a;
    Door door_b;
    a.start_edge(a.seats()[0], door_a);
    b.start_edge(b.seats()[0], door_b);
    for (std::uint64_t i = 0; i < kStreams; ++i) {
        ASSERT_TRUE(b.seats()[0].edge->take_stanza(
            {i + 1, domain(i), "a.example",
             "<message from='u@" + domain(i) + "' to='v@a.example'/>"}));
    }
    ASSERT_TRUE(
        simulation.run_for([&] { return a.count(Counter::kXmppInEstablished) == kStreams; }, 20s))
        << a.count(Counter::kXmppInEstablished) << a.log();

    // Their authority is trusted no more.
    net::TlsConfig tls;
    tls.credentials.push_back(
        {{{}, Server::certificate(0).certificate}, {{}, Server::certificate(0).key}});
    edge::Certificates& certificates = a.seats()[0].certificates;
    certificates.external = *net::TlsContext::load(tls);
    ++certificates.generation;
    a.reload(ours);
    std::uint64_t before = a.count(Counter::kXmppStreamErrorsSent);
    EXPECT_EQ(before, 0U);
    std::uint64_t most = 0;
    EXPECT_TRUE(simulation.run_for(
        [&] {
            const std::uint64_t sent = a.count(Counter::kXmppStreamErrorsSent);
            most = std::max(most, sent - before);
            before = sent;
            return a.count(Counter::kXmppInEstablished) == 0;
        },
        5s));
    EXPECT_EQ(before, kStreams);
    EXPECT_EQ(most, limits::kRejudgedPerTurn);
}

}  // namespace
}  // namespace fedgate::simulation
