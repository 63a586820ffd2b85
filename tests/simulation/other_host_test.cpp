// S2S-21: a server of the partner's says that another host is the one (see-other-host).
#include <gtest/gtest.h>

#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

struct PlainDoor final : link::GatewayDoor {
    bool take_stanza(const link::FromPartner& from) override {
        got.emplace_back(from.stanza);
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override { outcomes.push_back(outcome); }
    std::vector<std::string> got;
    std::vector<link::Outcome> outcomes;
};

// A server that lets nobody in: it sends on whoever comes, at once or after TLS.
class Porter final : public net::ConnectionOwner, SocketOwner {
public:
    Porter(Simulation& simulation, const net::SelfSigned& certificate, bool tls = true)
        : node(simulation.make_node()), loop_(simulation.make_loop(node)), tls_(tls) {
        net::TlsConfig config;
        config.credentials.push_back({{{}, certificate.certificate}, {{}, certificate.key}});
        context_ = std::move(*net::TlsContext::load(config));
        listener_ = *loop_.listen(*net::parse_address("0.0.0.0:5269"), *this);
    }
    ~Porter() { loop_.close(listener_); }

    const Simulation::Node node;
    std::string place;  // where it sends them; empty: it says nothing
    unsigned visitors = 0;
    std::string text;  // that came, of all

private:
    void on_accept(Socket, Socket socket, const SocketAddress& peer) override {
        ++visitors;
        connections_.push_back(std::make_unique<net::Connection>(
            loop_, *this, net::ConnectionLimits{65'536, 1 << 20}, socket, peer));
    }
    std::size_t on_data(net::Connection& connection, MutableBytes input) override {
        const std::string came(input.data(), input.size());
        text += came;
        if (came.find("<starttls") != std::string::npos) {
            say(connection, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            connection.start_tls_server(*context_);
        } else if (came.find("<stream:stream") != std::string::npos) {
            say(connection,
                "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
                "xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='a.example' "
                "id='i' version='1.0'>");
            if (tls_ && !connection.secured()) {
                say(connection,
                    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
                    "</stream:features>");
            } else {
                say(connection, "<stream:features/>");
                if (place.empty()) return input.size();
                say(connection,
                    "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>" +
                        place + "</see-other-host></stream:error></stream:stream>");
            }
        }
        return input.size();
    }
    void on_closed(net::Connection&, Error) override {}
    static void say(net::Connection& connection, const std::string& bytes) {
        FEDGATE_CHECK(connection.write(bytes));
    }

    SimulatedLoop& loop_;
    const bool tls_;
    std::unique_ptr<net::TlsContext> context_;
    Socket listener_{};
    std::vector<std::unique_ptr<net::Connection>> connections_;
};

// Domain b.example has two targets: the porter, then its real server. And there is a third host.
class OtherHost : public testing::Test {
protected:
    // `must`: whether TLS is required.
    void start(bool tls = true, bool must = true) {
        Settings ours = server_rules("a.example", "b.example");
        Settings theirs = server_rules("b.example", "a.example");
        if (!must) {
            ours.emplace_back("partner/b.example/tls", "optional");
            theirs.emplace_back("partner/a.example/tls", "optional");
        }
        a_ = std::make_unique<Server>(simulation_, simulation_.make_node(), 1, ours, true);
        b_ = std::make_unique<Server>(simulation_, simulation_.make_node(), 1, theirs, true);
        porter_ = std::make_unique<Porter>(simulation_, Server::certificate(0), tls);
        third_ = std::make_unique<Porter>(simulation_, Server::certificate(0), tls);
        net::SimulatedResolver& dns = *a_->seats()[0].resolver;
        dns.add_srv("_xmpp-server._tcp.b.example", {0, 0, 5269, "porter.b.example"});
        dns.add_address("porter.b.example", simulation_.address(porter_->node, 0));
        dns.add_srv("_xmpp-server._tcp.b.example", {1, 0, 5269, "host.b.example"});
        dns.add_address("host.b.example", simulation_.address(b_->node(), 0));
        dns.add_address("third.b.example", simulation_.address(third_->node, 0));
        b_->knows("a.example", simulation_, a_->node());
        a_->start_edge(a_->seats()[0], door_a_);
        b_->start_edge(b_->seats()[0], door_b_);
    }
    bool reaches() {
        EXPECT_TRUE(a_->seats()[0].edge->take_stanza(
            {1, "a.example", "b.example",
             "<message from='u@a.example' to='v@b.example'><body>secret</body></message>"}));
        return simulation_.run_for([&] { return !door_b_.got.empty(); }, 20s);
    }
    void replace(std::unique_ptr<Porter>& porter, const std::string& host,
                 const net::SelfSigned& certificate, bool tls) {
        others_.push_back(std::move(porter));
        porter = std::make_unique<Porter>(simulation_, certificate, tls);
        net::SimulatedResolver& dns = *a_->seats()[0].resolver;
        dns.clear(host);
        dns.add_address(host, simulation_.address(porter->node, 0));
    }
    // The second target serves, and the third host was not asked.
    void is_not_followed() {
        EXPECT_TRUE(reaches()) << a_->log();
        EXPECT_EQ(porter_->visitors, 1U);
        EXPECT_EQ(third_->visitors, 0U);
    }

    Simulation simulation_{{.seed = 31, .wall_start = today()}};
    PlainDoor door_a_;
    PlainDoor door_b_;
    std::unique_ptr<Server> a_;
    std::unique_ptr<Server> b_;
    std::unique_ptr<Porter> porter_;
    std::unique_ptr<Porter> third_;
    std::vector<std::unique_ptr<Porter>> others_;  // that nobody is led to
};

TEST_F(OtherHost, IsFoundByName) {
    start();
    net::SimulatedResolver& dns = *a_->seats()[0].resolver;
    dns.clear("host.b.example");  // nobody finds it but by the porter
    dns.add_address("real.b.example", simulation_.address(b_->node(), 0));
    porter_->place = "Real.b.example";
    ASSERT_TRUE(reaches()) << a_->log();
    EXPECT_EQ(porter_->visitors, 1U);
    EXPECT_EQ(b_->count(Counter::kXmppInAccepted), 1U);
    EXPECT_EQ(a_->count(Counter::kXmppOutEstablished), 1U);
    EXPECT_EQ(a_->log().find("see-other-host"), std::string::npos);  // nothing went wrong
}

TEST_F(OtherHost, IsFoundByAddress) {
    start();
    a_->seats()[0].resolver->clear("host.b.example");
    porter_->place = net::format_address(simulation_.address(b_->node(), 5269));
    ASSERT_TRUE(reaches()) << a_->log();
    EXPECT_EQ(porter_->visitors, 1U);
}

class NoHost : public OtherHost, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Words, NoHost,
                         testing::Values("third.b.example:", "third.b.example:0",
                                         "third.b.example:99999", "third b.example",
                                         "[third.b.example]", "::1", "[::1", "third.b.example/x"));

TEST_P(NoHost, IsMeantByWordsThatMakeNoSense) {
    start();
    porter_->place = GetParam();
    is_not_followed();
}

TEST_F(OtherHost, IsNotBelievedInClear) {
    start(false, false);
    porter_->place = "third.b.example";
    is_not_followed();
}

TEST_F(OtherHost, IsNotBelievedFromWhoDoesNotProveTheDomain) {
    start();
    const auto another = net::make_self_signed({"b.example"}, 3'650, today());
    ASSERT_TRUE(another.has_value());
    replace(porter_, "porter.b.example", *another, true);
    porter_->place = "third.b.example";
    is_not_followed();
}

TEST_F(OtherHost, SendsNobodyOnAgain) {
    start();
    porter_->place = "third.b.example";
    third_->place = "porter.b.example";
    EXPECT_TRUE(reaches()) << a_->log();
    EXPECT_EQ(porter_->visitors, 1U);
    EXPECT_EQ(third_->visitors, 1U);
}

// CERT-1: it has to prove the partner's domain, and dialback is no substitute.
TEST_F(OtherHost, ThatIsNotThePartnerGetsNothing) {
    const auto another = net::make_self_signed({"b.example"}, 3'650, today());
    ASSERT_TRUE(another.has_value());
    start();
    replace(third_, "third.b.example", *another, true);
    porter_->place = "third.b.example";
    EXPECT_TRUE(reaches()) << a_->log();
    EXPECT_EQ(third_->visitors, 1U);
    // Not even a header under TLS.
    EXPECT_EQ(third_->text.find("<stream:stream"), third_->text.rfind("<stream:stream"));
}

TEST_F(OtherHost, InClearGetsNothing) {
    start(true, false);
    replace(third_, "third.b.example", Server::certificate(0), false);
    porter_->place = "third.b.example";
    EXPECT_TRUE(reaches()) << a_->log();
    EXPECT_EQ(third_->visitors, 1U);
    EXPECT_EQ(third_->text.find("db:result"), std::string::npos) << third_->text;
}

TEST_F(OtherHost, ThatIsDeadIsAFailureOfTheTarget) {  // DNS-7
    start();
    simulation_.refuse_connects(simulation_.address(third_->node, 5269), true);
    porter_->place = "third.b.example";
    is_not_followed();
}

}  // namespace
}  // namespace fedgate::simulation
