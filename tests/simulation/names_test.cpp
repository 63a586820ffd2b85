// Finding the partner, as the whole edge does it: what dialback costs an attacker and us, names
// that lead back to ourselves, DANE, and names that are not ASCII.
#include <gtest/gtest.h>

#include "core/base/hash.hpp"
#include "net/certificate.hpp"
#include "tests/simulation/world.hpp"
#include "tests/text.hpp"

namespace fedgate::simulation {
namespace {

struct NamesDoor final : link::GatewayDoor {
    bool take_stanza(const link::FromPartner& from) override {
        got.emplace_back(from.stanza);
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override { outcomes.push_back(outcome); }
    // Without pings and their answers.
    [[nodiscard]] std::ptrdiff_t messages() const {
        return std::ranges::count_if(
            got, [](const std::string& one) { return one.starts_with("<message"); });
    }
    std::vector<std::string> got;
    std::vector<link::Outcome> outcomes;
};

// Opens streams in clear and sends keys for whatever domain; also a server that takes connections
// and says nothing.
class Attacker final : public net::ConnectionOwner, SocketOwner {
public:
    Attacker(SimulatedLoop& loop, const SocketAddress& edge) : loop_(loop), edge_(edge) {
        listener_ = *loop_.listen(*net::parse_address("0.0.0.0:5269"), *this);
    }
    ~Attacker() {
        loop_.close(listener_);
        for (const Socket socket : taken) loop_.close(socket);
    }

    struct Stream {
        std::unique_ptr<net::Connection> connection;
        std::string text;
        bool gone = false;
        void claim(const std::string& domain) const {
            FEDGATE_CHECK(connection->write("<db:result from='" + domain +
                                            "' to='a.example'>key</db:result>"));
        }
        // The condition of the error that answered this claim; empty: none yet.
        [[nodiscard]] std::string answer(const std::string& domain) const {
            const std::size_t at = text.find("to='" + domain + "'");
            if (at == std::string::npos || text.find("type='error'", at) == std::string::npos)
                return {};
            const std::size_t error = text.find("<error ", at);
            const std::size_t name = text.find('<', error + 1) + 1;
            return text.substr(name, text.find(' ', name) - name);
        }
    };

    Stream& open() {
        streams.push_back(std::make_unique<Stream>());
        Stream& stream = *streams.back();
        stream.connection = *net::Connection::connect(loop_, *this, {65'536, 1 << 20}, edge_);
        FEDGATE_CHECK(stream.connection->write(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:"
            "dialback' xmlns:stream='http://etherx.jabber.org/streams' to='a.example' "
            "version='1.0'>"));
        return stream;
    }
    std::vector<std::unique_ptr<Stream>> streams;
    std::vector<Socket> taken;  // that the edge opened to us

private:
    void on_accept(Socket, Socket socket, const SocketAddress&) override {
        taken.push_back(socket);
        loop_.adopt(socket, *this);
    }
    void on_end(Socket socket, int) override {
        std::erase(taken, socket);
        loop_.close(socket);
    }
    std::size_t on_data(net::Connection& connection, MutableBytes input) override {
        for (auto& stream : streams) {
            if (stream->connection.get() == &connection)
                stream->text.append(input.data(), input.size());
        }
        return input.size();
    }
    void on_closed(net::Connection& connection, Error) override {
        for (auto& stream : streams) {
            if (stream->connection.get() == &connection) stream->gone = true;
        }
    }

    SimulatedLoop& loop_;
    SocketAddress edge_;
    Socket listener_;
};

class Names : public testing::Test {
protected:
    void start(const Settings& more = {}) {
        Settings settings = server_rules("a.example", "b.example");
        settings.insert(settings.end(), {{"federation.discovery", "yes"},
                                         {"partner/default/tls", "optional"},
                                         {"partner/default/sasl", "optional"}});
        settings.insert(settings.end(), more.begin(), more.end());
        server_ = std::make_unique<Server>(simulation_, simulation_.make_node(), 1, settings);
        Server::Seat& seat = server_->seats()[0];
        server_->start_edge(seat, door_);
        attacker_node_ = simulation_.make_node();
        attacker_ = std::make_unique<Attacker>(simulation_.make_loop(attacker_node_),
                                               simulation_.address(server_->node(), 5269));
    }
    net::SimulatedResolver& dns() { return *server_->seats()[0].resolver; }
    void lead(const std::string& domain, Simulation::Node node, std::uint16_t port = 5269) {
        dns().add_srv("_xmpp-server._tcp." + domain, {0, 0, port, "host." + domain});
        dns().add_address("host." + domain, simulation_.address(node, 0));
    }
    bool until(const std::function<bool()>& predicate, Duration time = 40s) {
        return simulation_.run_for(predicate, time);
    }
    std::string claim(const std::string& domain, Duration within) {
        Attacker::Stream& stream = attacker_->open();
        EXPECT_TRUE(until([&] { return has(stream.text, "</stream:features>"); }, 5s));
        stream.claim(domain);
        until([&] { return !stream.answer(domain).empty(); }, within);
        const std::string answer = stream.answer(domain);
        stream.connection->abort({Errc::kClosed, 0, "test"});
        until([&] { return stream.gone; }, 5s);
        return answer;
    }

    Simulation simulation_{{.seed = 23}};
    NamesDoor door_;
    std::unique_ptr<Server> server_;
    Simulation::Node attacker_node_{};
    std::unique_ptr<Attacker> attacker_;
};

// DB-6: each with the right error, and in time.
TEST_F(Names, DialbackToNowhereIsAnswered) {
    start();
    EXPECT_EQ(claim("nowhere.example", 2s), "remote-server-not-found");
    for (const char* name : {"_xmpp-server._tcp.broken.example",
                             "_xmpps-server._tcp.broken.example", "broken.example"}) {
        dns().set_failing(name, net::DnsStatus::kFailed);
    }
    EXPECT_EQ(claim("broken.example", 2s), "remote-server-timeout");
    dns().set_failing("_xmpp-server._tcp.forged.example", net::DnsStatus::kBogus);
    EXPECT_EQ(claim("forged.example", 2s), "remote-server-timeout");
    dns().add_srv("_xmpp-server._tcp.none.example", {0, 0, 0, ""});
    EXPECT_EQ(claim("none.example", 2s), "remote-server-not-found");
    lead("closed.example", attacker_node_, 1);
    EXPECT_EQ(claim("closed.example", 2s), "remote-server-timeout");
    const auto hole = simulation_.make_node();
    simulation_.make_loop(hole);
    simulation_.cut(server_->node(), hole);
    lead("hole.example", hole);
    EXPECT_EQ(claim("hole.example", 31s), "remote-server-timeout");
    lead("mute.example", attacker_node_);
    EXPECT_EQ(claim("mute.example", 31s), "remote-server-timeout");
    // An IP literal is nobody's domain (DNS-5).
    EXPECT_EQ(claim("192.0.2.1", 2s), "remote-server-not-found");
}

// The authoritative server is ourselves: one more connection, which turns us away.
TEST_F(Names, LoopedDialbackEnds) {
    start();
    lead("loop.example", server_->node());
    const auto before = server_->count(Counter::kXmppInAccepted);
    EXPECT_EQ(claim("loop.example", 2s), "remote-server-not-found");
    EXPECT_EQ(server_->count(Counter::kXmppInAccepted) - before, 2U);
    // So for our stanzas: a partner whose records lead to us (SEC-1, S2S-9).
    ASSERT_TRUE(server_->seats()[0].edge->take_stanza(
        {1, "a.example", "loop.example", "<message from='u@a.example' to='v@loop.example'/>"}));
    ASSERT_TRUE(until([&] { return !door_.outcomes.empty(); }, 10s));
    EXPECT_EQ(door_.outcomes[0].fate, link::Fate::kFailed);
    EXPECT_EQ(door_.outcomes[0].fault, link::Fault::kNoSuchDomain);
    EXPECT_TRUE(door_.got.empty());
    EXPECT_EQ(server_->count(Counter::kXmppInAccepted) - before, 3U);
}

// At most 8 questions for a stream, 32 for an address; the rest is refused at once.
TEST_F(Names, PendingQuestionsAreBounded) {
    start({{"xmpp.limits.unauthenticated_per_address", "100"}});
    std::vector<Attacker::Stream*> streams;
    for (int i = 0; i < 6; ++i) streams.push_back(&attacker_->open());
    for (Attacker::Stream* stream : streams)
        ASSERT_TRUE(until([&] { return has(stream->text, "</stream:features>"); }, 5s));
    const auto domain = [](std::size_t s, int i) {
        return "f" + std::to_string(s) + "x" + std::to_string(i) + ".example";
    };
    const auto refused = [&](std::size_t s) {
        int count = 0;
        for (int i = 0; i < 20; ++i)
            count += streams[s]->answer(domain(s, i)) == "resource-constraint" ? 1 : 0;
        return count;
    };
    for (std::size_t s = 0; s < streams.size(); ++s) {
        for (int i = 0; i < 20; ++i) {
            lead(domain(s, i), attacker_node_);
            streams[s]->claim(domain(s, i));
        }
        until([] { return false; }, 1s);
        EXPECT_EQ(refused(s), s < 4 ? 12 : 20) << s;
        EXPECT_EQ(attacker_->taken.size(), s < 4 ? (s + 1) * 8 : 32) << s;
    }
    // Those who wait get their answer, and then there is room again.
    ASSERT_TRUE(until([&] { return !streams[3]->answer(domain(3, 0)).empty(); }, 31s));
    EXPECT_EQ(streams[3]->answer(domain(3, 0)), "remote-server-timeout");
    until([] { return false; }, 2s);
    EXPECT_EQ(claim("nowhere.example", 2s), "remote-server-not-found");
    // Who leaves takes his questions with him: opening streams anew does not raise the bound.
    Attacker::Stream& last = attacker_->open();
    ASSERT_TRUE(until([&] { return has(last.text, "</stream:features>"); }, 5s));
    for (int i = 0; i < 8; ++i) last.claim(domain(0, i));
    ASSERT_TRUE(until([&] { return attacker_->taken.size() == 8; }, 5s)) << server_->log();
    last.connection->abort({Errc::kClosed, 0, "test"});
    EXPECT_TRUE(until([&] { return attacker_->taken.empty(); }, 1s));
}

// One edge, and a partner's that shows a certificate nobody has signed.
class DaneOfAPartner : public testing::Test {
protected:
    // Whether a stanza reaches the partner; `proof_` and `failure_` then say how, or why not.
    bool reaches(std::uint8_t usage, bool right, const Settings& more = {}, bool secure = true) {
        simulation_ = std::make_unique<Simulation>(SimulationSettings{.seed = 29});
        Settings settings = server_rules("a.example", "b.example");
        settings.insert(settings.end(), more.begin(), more.end());
        Server a(*simulation_, simulation_->make_node(), 1, settings);
        Settings theirs_settings = server_rules("b.example", "a.example");
        theirs_settings.emplace_back("partner/a.example/tls", "optional");
        Server b(*simulation_, simulation_->make_node(), 1, theirs_settings);
        a.knows("b.example", *simulation_, b.node());
        b.knows("a.example", *simulation_, a.node());
        const auto der = net::parse_pem_certificates(Server::certificate(b.node()).certificate);
        const auto digest = sha256({right ? Bytes(der->front()) : Bytes("another")});
        net::SimulatedResolver& dns = *a.seats()[0].resolver;
        dns.add_tlsa("_5269._tcp.host.b.example",
                     {usage, 0, 1, std::string(digest.begin(), digest.end())});
        for (const char* name :
             {"_xmpp-server._tcp.b.example", "host.b.example", "_5269._tcp.host.b.example"}) {
            if (secure) dns.set_secure(name);
        }
        NamesDoor ours;
        NamesDoor theirs;
        a.start_edge(a.seats()[0], ours);
        b.start_edge(b.seats()[0], theirs);
        edge::Edge& edge = *a.seats()[0].edge;
        EXPECT_TRUE(edge.take_stanza(
            {1, "a.example", "b.example", "<message from='u@a.example' to='v@b.example'/>"}));
        const auto failed = [&ours] {
            return std::ranges::find(ours.outcomes, link::Fate::kFailed, &link::Outcome::fate);
        };
        simulation_->run_for([&] { return !theirs.got.empty() || failed() != ours.outcomes.end(); },
                             40s);
        proof_.clear();
        for (const edge::StreamRow& row : edge.rows()) {
            if (!row.inbound && !row.listening) proof_ = row.proof;
        }
        fault_ = failed() == ours.outcomes.end() ? link::Fault::kNone : failed()->fault;
        log_ = a.log();
        const bool arrived = !theirs.got.empty();
        return arrived;
    }

    // The other way: the partner comes to us. How it proved itself; empty: it did not.
    std::string comes(std::uint8_t usage, bool right, const Settings& more = {},
                      const std::function<void(net::SimulatedResolver&)>& change = {}) {
        simulation_ = std::make_unique<Simulation>(SimulationSettings{.seed = 31});
        Settings settings = server_rules("a.example", "b.example");
        settings.emplace_back("net.dns.trust_anchor", "/anchor");
        settings.insert(settings.end(), more.begin(), more.end());
        Server a(*simulation_, simulation_->make_node(), 1, settings, trusted_);
        Settings theirs_settings = server_rules("b.example", "a.example");
        theirs_settings.insert(theirs_settings.end(), theirs_.begin(), theirs_.end());
        Server b(*simulation_, simulation_->make_node(), 1, theirs_settings, true);
        a.knows("b.example", *simulation_, b.node());
        b.knows("a.example", *simulation_, a.node());
        const auto der = net::parse_pem_certificates(Server::certificate(b.node()).certificate);
        const auto digest = sha256({right ? Bytes(der->front()) : Bytes("another")});
        net::SimulatedResolver& dns = *a.seats()[0].resolver;
        dns.add_tlsa("_5269._tcp.host.b.example",
                     {usage, 0, 1, std::string(digest.begin(), digest.end())});
        for (const char* name : {"_xmpps-server._tcp.b.example", "_xmpp-server._tcp.b.example",
                                 "host.b.example", "_5269._tcp.host.b.example"}) {
            dns.set_secure(name);
        }
        if (change) change(dns);
        NamesDoor ours;
        NamesDoor theirs;
        a.start_edge(a.seats()[0], ours);
        b.start_edge(b.seats()[0], theirs);
        for (link::Ticket ticket = 1; ticket <= 3; ++ticket) {
            EXPECT_TRUE(
                b.seats()[0].edge->take_stanza({ticket, "b.example", "a.example",
                                                "<message from='u@b.example' to='v@a.example'/>"}));
        }
        simulation_->run_for(
            [&] {
                return ours.messages() == 3 ||
                       std::ranges::find(theirs.outcomes, link::Fate::kFailed,
                                         &link::Outcome::fate) != theirs.outcomes.end();
            },
            40s);
        EXPECT_TRUE(ours.messages() == 0 || ours.messages() == 3);
        if (!ours.got.empty()) answer(a, theirs);
        if (after_) after_(a, ours, theirs);
        proof_.clear();
        for (const edge::StreamRow& row : a.seats()[0].edge->rows()) {
            if (row.inbound && !row.listening) proof_ = row.proof;
        }
        log_ = a.log();
        return ours.got.empty() ? "" : proof_;
    }
    // Ours go back: on a stream of our own?
    void answer(Server& a, NamesDoor& theirs) {
        const auto opened = a.count(Counter::kXmppOutOpened);
        EXPECT_TRUE(a.seats()[0].edge->take_stanza(
            {9, "a.example", "b.example", "<message from='v@a.example' to='u@b.example'/>"}));
        simulation_->run_for([&] { return theirs.messages() > 0; }, 20s);
        answered_ = theirs.messages() > 0;
        theirs.got.clear();
        own_stream_ = a.count(Counter::kXmppOutOpened) > opened;
    }

    std::unique_ptr<Simulation> simulation_;
    Settings theirs_;
    std::function<void(Server& a, NamesDoor& ours, NamesDoor& theirs)> after_;
    bool trusted_ = false;  // the partner's certificate is, without DANE
    bool answered_ = false;
    bool own_stream_ = false;
    std::string proof_;
    std::string log_;
    link::Fault fault_{};
};

// S2S-56: outbound, DANE is as good as a certificate, and its refusal is final (CERT-8).
TEST_F(DaneOfAPartner, DecidesWhereDnssecVouchesForIt) {
    EXPECT_TRUE(reaches(3, true)) << log_;
    EXPECT_EQ(proof_, "certificate");
    EXPECT_FALSE(reaches(3, false)) << proof_;
    EXPECT_EQ(fault_, link::Fault::kNotTrusted);
    EXPECT_TRUE(has(log_, "TLSA")) << log_;
    EXPECT_FALSE(reaches(1, true)) << proof_;  // it wants a valid chain, too
    // Without DNSSEC, switched off, not understood: as if there was none.
    EXPECT_TRUE(reaches(3, false, {}, false));
    EXPECT_EQ(proof_, "dialback over TLS");
    EXPECT_TRUE(reaches(3, false, {{"partner/b.example/dane", "no"}}));
    EXPECT_EQ(proof_, "dialback over TLS");
    EXPECT_TRUE(reaches(9, false));
    EXPECT_EQ(proof_, "dialback over TLS");
    // A server with TLSA is not talked to in clear, whatever else is allowed (RFC 7673 4).
    const Settings clear = {{"partner/b.example/tls", "none"}, {"partner/b.example/sasl", "none"}};
    EXPECT_FALSE(reaches(3, true, clear)) << proof_;
    EXPECT_TRUE(reaches(3, true, clear, false)) << log_;
    EXPECT_EQ(proof_, "dialback in clear");
}

// S2S-56, S2S-43 inbound: the same records say who may come as the partner.
TEST_F(DaneOfAPartner, ProvesWhoComes) {
    const Settings strict = {{"partner/b.example/sasl", "required"}};
    EXPECT_EQ(comes(3, true, strict), "certificate") << log_;
    EXPECT_EQ(comes(3, true), "certificate") << log_;
    // Not matched: no PKIX instead; dialback where the policy has it, asked of a server that the
    // records name (here it is none).
    trusted_ = true;
    EXPECT_EQ(comes(3, false, strict), "");
    EXPECT_EQ(comes(3, false), "");
    EXPECT_TRUE(has(log_, "TLSA")) << log_;
    EXPECT_EQ(comes(1, true, strict), "certificate") << log_;
    // Kept back: the same. As if there was nothing: not signed, nothing that is understood.
    const auto failing = [](const char* name, net::DnsStatus status) {
        return [=](net::SimulatedResolver& dns) { dns.set_failing(name, status); };
    };
    using enum net::DnsStatus;
    EXPECT_EQ(comes(3, true, strict, failing("_5269._tcp.host.b.example", kFailed)), "");
    EXPECT_EQ(comes(3, true, strict, failing("_xmpp-server._tcp.b.example", kBogus)), "");
    const auto silent = [](const char* name) {
        return [=](net::SimulatedResolver& dns) { dns.set_silent(name, true); };
    };
    EXPECT_EQ(comes(3, true, strict, silent("_5269._tcp.host.b.example")), "");
    EXPECT_EQ(comes(3, true, strict, silent("_xmpps-server._tcp.b.example")), "");
    const auto unsigned_zone = [](net::SimulatedResolver& dns) {
        dns.clear("_xmpp-server._tcp.b.example");
        dns.add_srv("_xmpp-server._tcp.b.example", {10, 0, 5269, "host.b.example"});
    };
    EXPECT_EQ(comes(3, false, strict, unsigned_zone), "certificate") << log_;
    EXPECT_EQ(comes(9, false, strict), "certificate") << log_;
    EXPECT_EQ(comes(3, false, {{"partner/b.example/dane", "no"}}), "certificate") << log_;
    // RFC 7673 3: without SRV the domain is its own server.
    const auto no_srv = [](net::SimulatedResolver& dns) {
        const auto digest = sha256({Bytes("another")});
        dns.clear("_xmpp-server._tcp.b.example");
        dns.set_secure("_xmpp-server._tcp.b.example");
        dns.add_tlsa("_5269._tcp.b.example", {3, 0, 1, {digest.begin(), digest.end()}});
        dns.set_secure("_5269._tcp.b.example");
    };
    EXPECT_EQ(comes(3, true, strict, no_srv), "") << log_;
}

// S2S-15, CERT-8: ours do not go to a server that the records do not name, on whoever's stream.
TEST_F(DaneOfAPartner, HoldsForTheWayBackToo) {
    theirs_ = {{"partner/a.example/bidi", "yes"}};
    const Settings bidi = {{"partner/b.example/bidi", "yes"}};
    EXPECT_EQ(comes(3, true, bidi), "certificate") << log_;
    EXPECT_TRUE(answered_);
    EXPECT_FALSE(own_stream_);
    // DANE is switched on while such a stream stands: who is not named carries nothing any more,
    // and is not connected to either.
    const auto then = [&](const Settings& settings) {
        return [this, settings](Server& a, NamesDoor&, NamesDoor& theirs) {
            EXPECT_TRUE(answered_);
            EXPECT_FALSE(own_stream_);
            Settings all = server_rules("a.example", "b.example");
            all.emplace_back("net.dns.trust_anchor", "/anchor");
            all.insert(all.end(), settings.begin(), settings.end());
            a.reload(all);
            simulation_->run_for([] { return false; }, 1s);
            answer(a, theirs);
        };
    };
    const Settings off = {{"partner/b.example/bidi", "yes"}, {"partner/b.example/dane", "no"}};
    after_ = then(bidi);
    EXPECT_EQ(comes(3, false, off), "dialback over TLS") << log_;
    EXPECT_FALSE(answered_);
    EXPECT_EQ(comes(3, true, off), "dialback over TLS") << log_;
    EXPECT_TRUE(answered_);
    EXPECT_FALSE(own_stream_);
    // Proved by its certificate alone, which is another's by now (S2S-32).
    trusted_ = true;
    EXPECT_EQ(comes(3, false, off), "") << log_;
    EXPECT_TRUE(has(log_, "TLSA")) << log_;
    EXPECT_FALSE(answered_);
}

}  // namespace
}  // namespace fedgate::simulation
