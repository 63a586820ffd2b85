// The edge against a partner that is scripted: rules that a well-behaved server never shows. In
// clear text with dialback, so that a test can read and write what crosses.
#include <gtest/gtest.h>

#include "tests/simulation/world.hpp"
#include "tests/text.hpp"

namespace fedgate::simulation {
namespace {

std::size_t count_of(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

// The XMPP server of b.example. It answers headers, keys and questions as told, on every
// connection.
class Partner final : public net::ConnectionOwner, SocketOwner {
public:
    struct Stream {
        std::unique_ptr<net::Connection> connection;
        bool ours = false;  // that we opened
        bool gone = false;
        std::string text;  // all that came
        std::size_t done = 0;
        void write(const std::string& bytes) const { FEDGATE_CHECK(connection->write(bytes)); }
    };

    Partner(SimulatedLoop& loop, const SocketAddress& edge) : loop_(loop), edge_(edge) {
        listener_ = *loop_.listen(*net::parse_address("0.0.0.0:5269"), *this);
    }
    ~Partner() { loop_.close(listener_); }

    Stream& open() {
        Stream& stream = add(*net::Connection::connect(loop_, *this, {65'536, 1 << 20}, edge_));
        stream.ours = true;
        stream.write(header("from='b.example' to='a.example' version='1.0'"));
        return stream;
    }
    static std::string header(const std::string& attributes) {
        return "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
               "xmlns:stream='http://etherx.jabber.org/streams' "
               "xmlns:db='jabber:server:dialback' " +
               attributes + ">";
    }
    static std::string result(const std::string& rest) {
        return "<db:result from='b.example' to='a.example'" + rest;
    }
    static std::string valid(const std::string& to = "a.example") {
        return "<db:result from='b.example' to='" + to + "' type='valid'/>";
    }
    static std::string error(const std::string& condition) {
        return "<stream:error><" + condition +
               " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
               "</stream:stream>";
    }
    // Those that the edge opened to us for its stanzas, and for questions only.
    [[nodiscard]] std::vector<Stream*> accepted(bool for_questions = false) {
        std::vector<Stream*> found;
        for (auto& stream : streams) {
            const bool asks = has(stream->text, "<db:verify") && !has(stream->text, "<db:result");
            if (!stream->ours && has(stream->text, "<stream:stream") && asks == for_questions) {
                found.push_back(stream.get());
            }
        }
        return found;
    }
    [[nodiscard]] std::vector<Stream*> questions() { return accepted(true); }

    std::vector<std::unique_ptr<Stream>> streams;
    // Written when a key comes; empty: silence.
    std::string answer_to_key = valid();
    std::string features = "<stream:features/>";
    bool sends_keys = true;
    bool answers_questions = true;
    std::string disowns;  // a domain whose keys it calls invalid

private:
    Stream& add(std::unique_ptr<net::Connection> connection) {
        streams.push_back(std::make_unique<Stream>());
        streams.back()->connection = std::move(connection);
        return *streams.back();
    }
    void on_accept(Socket, Socket socket, const SocketAddress& peer) override {
        add(std::make_unique<net::Connection>(loop_, *this, net::ConnectionLimits{65'536, 1 << 20},
                                              socket, peer));
    }
    std::size_t on_data(net::Connection& connection, MutableBytes input) override {
        Stream& stream = *std::ranges::find_if(streams, [&](auto& s) {
                              return s->connection.get() == &connection;
                          })->get();
        stream.text.append(input.data(), input.size());
        const auto take = [&](const char* part) {  // each once, in the order in which they come
            const std::size_t at = stream.text.find(part, stream.done);
            if (at == std::string::npos) return false;
            stream.done = at + 1;
            return true;
        };
        if (stream.ours) {
            if (sends_keys && take("</stream:features>")) stream.write(result(">key</db:result>"));
            return input.size();
        }
        if (take("<stream:stream")) {
            stream.write(header("from='b.example' to='a.example' id='i1' version='1.0'") +
                         features);
        }
        if (take("</db:result>") && !answer_to_key.empty()) stream.write(answer_to_key);
        while (answers_questions && take("</db:verify>")) {
            const std::size_t at = stream.text.rfind("<db:verify", stream.done);
            const auto attribute = [&](const std::string& name) {
                const std::size_t begin = stream.text.find(name, at) + name.size();
                return stream.text.substr(begin, stream.text.find('\'', begin) - begin);
            };
            const std::string asked = attribute(" to='");
            stream.write("<db:verify from='" + asked + "' to='a.example' id='" +
                         attribute(" id='") + "' type='" +
                         (asked == disowns ? "invalid" : "valid") + "'/>");
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

struct RulesDoor final : link::GatewayDoor {
    bool take_stanza(const link::FromPartner& from) override {
        got.emplace_back(from.stanza);
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override { outcomes.push_back(outcome); }
    void on_partner(const link::PartnerNews& news) override {
        if (news.kind == link::PartnerNews::Kind::kBroke) ++broke;
    }
    [[nodiscard]] std::size_t count(link::Fate fate, link::Fault fault = link::Fault::kNone) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(outcomes, [&](const link::Outcome& outcome) {
                return outcome.fate == fate &&
                       (fault == link::Fault::kNone || outcome.fault == fault);
            }));
    }
    std::vector<std::string> got;
    std::vector<link::Outcome> outcomes;
    int broke = 0;
};

class EdgeRules : public testing::Test {
protected:
    static Settings rules(const Settings& more) {
        Settings settings = server_rules("a.example", "b.example");
        settings.insert(settings.end(),
                        {{"partner/b.example/tls", "none"}, {"partner/b.example/sasl", "none"}});
        settings.insert(settings.end(), more.begin(), more.end());
        return settings;
    }
    void start(const Settings& more = {}) {
        const Settings settings = rules(more);
        server_ = std::make_unique<Server>(simulation_, simulation_.make_node(), 1, settings);
        partner_node_ = simulation_.make_node();
        server_->knows("b.example", simulation_, partner_node_);
        server_->start_edge(server_->seats()[0], door_);
        partner_ = std::make_unique<Partner>(simulation_.make_loop(partner_node_),
                                             simulation_.address(server_->node(), 5269));
    }
    void send(link::Ticket ticket, const std::string& text = "x") {
        ASSERT_TRUE(server_->seats()[0].edge->take_stanza(
            {ticket, "a.example", "b.example",
             "<message from='u@a.example' to='v@b.example'><body>" + text + "</body></message>"}));
    }
    // A stream of the partner's, proved.
    Partner::Stream& authenticated() {
        Partner::Stream& stream = partner_->open();
        EXPECT_TRUE(until([&] { return has(stream.text, "type='valid'"); }, 5s))
            << stream.text << server_->log();
        return stream;
    }
    bool until(const std::function<bool()>& predicate, Duration time = 40s) {
        return simulation_.run_for(predicate, time);
    }
    void pass(Duration time) {
        until([] { return false; }, time);
    }

    Simulation simulation_{{.seed = 11}};
    RulesDoor door_;
    std::unique_ptr<Server> server_;
    Simulation::Node partner_node_{};
    std::unique_ptr<Partner> partner_;
};

TEST_F(EdgeRules, StanzasWaitForTheProof) {  // DB-10, DB-9
    start();
    partner_->answer_to_key.clear();
    for (link::Ticket ticket = 1; ticket <= 3; ++ticket)
        send(ticket, "text" + std::to_string(ticket));
    ASSERT_TRUE(until([&] { return partner_->accepted().size() == 1; }));
    pass(2s);
    Partner::Stream& stream = *partner_->accepted()[0];
    EXPECT_TRUE(has(stream.text, "<db:result "));
    EXPECT_FALSE(has(stream.text, "<message"));
    EXPECT_TRUE(door_.outcomes.empty());
    // Another pair goes on meanwhile: theirs.
    authenticated().write("<message from='v@b.example' to='u@a.example'/>");
    ASSERT_TRUE(until([&] { return door_.got.size() == 1; }, 5s));
    stream.write(Partner::valid("elsewhere.example"));  // DB-7: not what was asked
    pass(1s);
    EXPECT_FALSE(has(stream.text, "<message"));
    stream.write(Partner::valid());
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 3; }));
    pass(1s);
    EXPECT_LT(stream.text.find("text1"), stream.text.find("text2"));
    EXPECT_LT(stream.text.find("text2"), stream.text.find("text3"));
}

TEST_F(EdgeRules, TheQueueOfAPairIsBounded) {  // DNS-9, ERR-45
    start();
    partner_->answer_to_key.clear();
    for (link::Ticket ticket = 1; ticket <= 1'001; ++ticket) send(ticket);
    ASSERT_TRUE(until([&] { return !door_.outcomes.empty(); }, 1s));
    EXPECT_EQ(door_.outcomes[0].ticket, 1'001u);
    EXPECT_EQ(door_.outcomes[0].fault, link::Fault::kQueueFull);
    pass(5s);
    EXPECT_EQ(door_.outcomes.size(), 1u);
    ASSERT_TRUE(
        until([&] { return door_.outcomes.size() == 1'001; }, 30s));  // and nobody waits for ever
}

TEST_F(EdgeRules, AStreamIsReopenedWhenThereIsSomethingToSend) {  // DNS-9, S2S-21
    start();
    send(1);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 1; }));
    partner_->accepted()[0]->write(Partner::error("reset"));  // recoverable
    pass(60s);
    EXPECT_EQ(partner_->accepted().size(), 1u);
    send(2);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 2; }, 5s));
    EXPECT_EQ(partner_->accepted().size(), 2u);
}

TEST_F(EdgeRules, APartnerThatTurnsUsAwayIsAskedLessAndLess) {  // DNS-9: back-off
    start();
    partner_->features = "</stream:stream>";
    std::vector<Instant> attempts;
    for (link::Ticket ticket = 1; ticket < 600; ++ticket) {  // ten a second
        send(ticket);
        pass(100ms);
        if (partner_->accepted().size() > attempts.size()) attempts.push_back(simulation_.now());
    }
    ASSERT_GE(attempts.size(), 6u);
    for (std::size_t i = 0; i < 5; ++i)
        EXPECT_GE(attempts[i + 1] - attempts[i], 500ms * (1 << i)) << i;  // half is chance
    EXPECT_LT(attempts[5] - attempts[0], 45s);  // 31 s, and what the targets' own hold adds
}

TEST_F(EdgeRules, ARefusalForGoodIsRemembered) {  // S2S-21, ERR-43, DNS-7
    start();
    partner_->features = Partner::error("host-unknown");
    link::Ticket ticket = 0;
    const auto refused = [&] {
        const std::size_t before = door_.count(link::Fate::kFailed, link::Fault::kNoSuchDomain);
        send(++ticket);
        return until(
            [&] { return door_.count(link::Fate::kFailed, link::Fault::kNoSuchDomain) > before; },
            3s);
    };
    ASSERT_TRUE(refused());
    EXPECT_EQ(partner_->accepted().size(), 1u);
    pass(50s);
    ASSERT_TRUE(refused());
    EXPECT_EQ(partner_->accepted().size(), 1u);  // not asked again
    pass(15s);
    ASSERT_TRUE(refused());
    EXPECT_EQ(partner_->accepted().size(), 2u);
    pass(100s);  // 60 s, doubled
    ASSERT_TRUE(refused());
    EXPECT_EQ(partner_->accepted().size(), 2u);
    pass(30s);
    ASSERT_TRUE(refused());
    EXPECT_EQ(partner_->accepted().size(), 3u);
}

TEST_F(EdgeRules, WhoDoesNotReadIsPutOut) {  // S2S-66
    start();
    send(1);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 1; }));
    partner_->accepted()[0]->connection->pause_input();
    for (link::Ticket ticket = 2; ticket <= 200; ++ticket) send(ticket, std::string(10'000, 'x'));
    pass(25s);
    EXPECT_EQ(server_->count(Counter::kXmppOutEstablished), 1u);
    EXPECT_EQ(door_.count(link::Fate::kInDoubt), 0u);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kInDoubt) > 100; }, 15s))
        << server_->log();
}

TEST_F(EdgeRules, WhatHasNotLeftIsNotForgottenForWhatComes) {  // S2S-16, where there is no XEP-0198
    start();
    send(1);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 1; }));
    partner_->accepted()[0]->connection->pause_input();
    for (link::Ticket ticket = 2; ticket <= 2'500; ++ticket) send(ticket, std::string(1'000, 'x'));
    pass(60s);
    // Not more than two windows and a buffer can have left.
    EXPECT_LT(door_.count(link::Fate::kAcknowledged), 250u);
    EXPECT_EQ(door_.count(link::Fate::kAcknowledged) + door_.count(link::Fate::kInDoubt) +
                  door_.count(link::Fate::kFailed),
              2'500u);
}

TEST_F(EdgeRules, AQuietStreamIsKeptAwake) {  // S2S-17: a space at a fifth of the interval
    start({{"xmpp.keepalive.interval", "50s"}});
    send(0);
    ASSERT_TRUE(until([&] {
        return partner_->accepted().size() == 1 && has(partner_->accepted()[0]->text, "<message");
    }));
    pass(85s);  // the pings behind the message and the first for silence were given up by now
    Partner::Stream& stream = *partner_->accepted()[0];
    stream.text.clear();
    pass(50s);
    EXPECT_EQ(count_of(stream.text, "<ping"), 1u) << stream.text;
    const std::size_t ping = stream.text.find("<iq");
    ASSERT_NE(ping, std::string::npos);
    stream.text.erase(ping, stream.text.find("</iq>") + 5 - ping);
    EXPECT_GE(count_of(stream.text, " "), 4u);
    EXPECT_LE(count_of(stream.text, " "), 6u);
    EXPECT_EQ(stream.text.find_first_not_of(' '), std::string::npos) << stream.text;
}

// XEP-0478: what a partner refuses is not written, and its sender is told.
TEST_F(EdgeRules, AStanzaThatThePartnerRefusesIsNotSent) {
    start();
    partner_->features =
        "<stream:features><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>500</max-bytes>"
        "<idle-seconds>20</idle-seconds></limits></stream:features>";
    send(1);
    send(2, std::string(500, 'x'));
    ASSERT_TRUE(until([&] { return door_.outcomes.size() == 2; }));
    send(3, std::string(500, 'x'));
    ASSERT_TRUE(
        until([&] { return door_.count(link::Fate::kFailed, link::Fault::kTooLong) == 2; }));
    EXPECT_EQ(door_.count(link::Fate::kWritten), 1u);
    pass(45s);
    Partner::Stream& stream = *partner_->accepted()[0];
    EXPECT_FALSE(has(stream.text, "xxxxx"));
    stream.text.clear();
    pass(40s);  // and it never thinks the stream idle
    EXPECT_GE(count_of(stream.text, " "), 3u) << stream.text;
}

// S2S-17, X10: a stream of theirs that has gone silent is pinged for, on ours; nothing comes, and
// it is closed with connection-timeout.
TEST_F(EdgeRules, ASilentStreamOfTheirsIsGivenUp) {
    start({{"xmpp.keepalive.interval", "50s"}});
    Partner::Stream& stream = authenticated();
    pass(48s);
    EXPECT_TRUE(partner_->accepted().empty());
    pass(4s);
    ASSERT_EQ(partner_->accepted().size(), 1u);
    EXPECT_TRUE(has(partner_->accepted()[0]->text, "<ping"));
    pass(24s);
    EXPECT_FALSE(has(stream.text, "connection-timeout"));
    pass(8s);
    EXPECT_TRUE(has(stream.text, "connection-timeout")) << stream.text;
    EXPECT_TRUE(stream.gone);
    EXPECT_EQ(door_.broke, 1);  // and what was on its way may be lost
    // It has never answered a ping, so our own stream is left alone.
    pass(200s);
    EXPECT_FALSE(has(partner_->accepted()[0]->text, "connection-timeout"));
}

TEST_F(EdgeRules, ASpaceIsASignOfLife) {  // S2S-17
    start({{"xmpp.keepalive.interval", "50s"}});
    Partner::Stream& stream = authenticated();
    for (int i = 0; i < 10; ++i) {
        pass(40s);
        stream.write(" ");
    }
    EXPECT_TRUE(partner_->accepted().empty());
    EXPECT_FALSE(stream.gone);
}

TEST_F(EdgeRules, ASilentStreamWithoutKeepAliveIsLeftAlone) {  // X10
    start({{"xmpp.keepalive.interval", "50s"}, {"partner/b.example/keepalive", "no"}});
    const Partner::Stream& stream = authenticated();
    pass(500s);
    EXPECT_TRUE(partner_->accepted().empty());
    EXPECT_FALSE(stream.gone);
}

TEST_F(EdgeRules, APartnerWithoutKeepAliveHearsNoSpaces) {  // S2S-17, partner/*/keepalive
    start({{"xmpp.keepalive.interval", "50s"}, {"partner/b.example/keepalive", "no"}});
    send(0);
    ASSERT_TRUE(until([&] {
        return partner_->accepted().size() == 1 && has(partner_->accepted()[0]->text, "<message");
    }));
    pass(60s);
    Partner::Stream& stream = *partner_->accepted()[0];
    stream.text.clear();
    pass(50s);
    EXPECT_EQ(stream.text, "");
}

TEST_F(EdgeRules, AStreamWithoutStanzasIsClosed) {  // S2S-18
    start({{"xmpp.timeouts.inactivity", "60s"}});
    send(0);
    ASSERT_TRUE(until([&] { return partner_->accepted().size() == 1; }));
    Partner::Stream& theirs = authenticated();
    pass(120s);
    EXPECT_TRUE(partner_->accepted()[0]->text.ends_with("</stream:stream>"));
    EXPECT_TRUE(theirs.text.ends_with("</stream:stream>")) << theirs.text;
    EXPECT_TRUE(theirs.gone);
}

TEST_F(EdgeRules, SpacesAreNoStanzas) {  // S2S-18
    start({{"xmpp.timeouts.inactivity", "60s"}});
    Partner::Stream& stream = authenticated();
    for (int i = 0; i < 5; ++i) {
        pass(20s);
        stream.write("<message from='v@b.example' to='u@a.example'/>");
    }
    for (int i = 0; i < 4; ++i) {
        pass(10s);
        EXPECT_FALSE(has(stream.text, "</stream:stream>"));
        stream.write(" ");
    }
    pass(25s);
    EXPECT_TRUE(stream.text.ends_with("</stream:stream>")) << stream.text;
}

TEST_F(EdgeRules, BytesHaveARate) {  // S2S-64: a burst of 8 s, then the rate; nothing is dropped
    start({{"partner/b.example/rate_bytes", "100KiB/s"}});
    Partner::Stream& stream = authenticated();
    const std::string stanza = "<message from='v@b.example' to='u@a.example'><body>" +
                               std::string(8'000, 'x') + "</body></message>";
    std::size_t written = 0;
    until([&] {
        if (written < 200 && stream.connection->write(stanza)) ++written;
        return written == 200;
    });
    const Instant begin = simulation_.now();
    ASSERT_TRUE(until([&] { return door_.got.size() == 200; }, 60s)) << door_.got.size();
    EXPECT_GT(simulation_.now() - begin, 6s);  // 1.6 MB, of which 800 KiB at once
    EXPECT_LT(simulation_.now() - begin, 12s);
}

TEST_F(EdgeRules,
       StreamsOfOnePairAreCounted) {  // S2S-32, S2S-62, S2S-20: four, and they may be at once
    start();
    for (int i = 0; i < 4; ++i) authenticated();
    Partner::Stream& fifth = authenticated();
    ASSERT_TRUE(until([&] { return fifth.gone; }, 15s)) << fifth.text;
    EXPECT_TRUE(
        has(fifth.text, "<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"))
        << fifth.text;
    for (std::size_t i = 0; i < 4; ++i)
        EXPECT_FALSE(partner_->streams[i]->ours && partner_->streams[i]->gone);
}

struct LiveChange {
    const char* what;
    Settings rules;
    bool ends;
    bool blocks = true;  // or else our next stream may come up by the new rules
};

class EdgeRulesChange : public EdgeRules, public testing::WithParamInterface<LiveChange> {};

// features.md P9, S2S-31: streams that the new rules forbid end within a second, with
// policy-violation; the others do not notice.
// S2S-62: four that are dead keep the partner out no longer than it takes to be sure of it.
TEST_F(EdgeRules, AStreamThatIsDeadGivesWayToANewOne) {
    start();
    Partner::Stream& first = authenticated();
    const Partner::Stream& second = authenticated();
    for (int i = 0; i < 2; ++i) authenticated();
    pass(edge::kGivesWayAfter / 2);
    first.write(" ");
    Partner::Stream& refused = authenticated();
    ASSERT_TRUE(until([&] { return refused.gone; }, 5s));
    EXPECT_TRUE(has(refused.text, "<resource-constraint "));
    pass(edge::kGivesWayAfter / 2);
    Partner::Stream& fifth = authenticated();
    ASSERT_TRUE(until([&] { return second.gone; }, 5s));
    EXPECT_TRUE(has(second.text, "<conflict ")) << second.text;
    EXPECT_EQ(door_.broke, 1);
    fifth.write("<message from='v@b.example' to='u@a.example'/>");
    ASSERT_TRUE(until([&] { return door_.got.size() == 1; }, 5s));
    EXPECT_FALSE(fifth.gone);
    EXPECT_FALSE(first.gone);
    // Two more places are dead ones'; those that live keep theirs.
    for (int i = 0; i < 2; ++i) authenticated();
    Partner::Stream& eighth = authenticated();
    ASSERT_TRUE(until([&] { return eighth.gone; }, 5s));
    EXPECT_FALSE(first.gone);
    EXPECT_FALSE(fifth.gone);
}

TEST_P(EdgeRulesChange, EndsTheStreamsThatItForbidsAtOnceAndNoOther) {
    start();
    send(1);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 1; }));
    Partner::Stream& theirs = authenticated();
    Partner::Stream& ours = *partner_->accepted()[0];
    pass(100ms);
    server_->reload(rules(GetParam().rules));
    pass(1s);
    for (const Partner::Stream* stream : {&theirs, &ours}) {
        EXPECT_EQ(has(stream->text, "</stream:stream>"), GetParam().ends) << stream->text;
    }
    EXPECT_EQ(has(theirs.text, "<policy-violation "), GetParam().ends) << theirs.text;
    EXPECT_EQ(has(ours.text, "<policy-violation "), GetParam().ends && GetParam().blocks)
        << ours.text;
    if (!theirs.gone) theirs.write("<message from='v@b.example' to='u@a.example'/>");
    pass(1s);
    EXPECT_EQ(door_.got.size(), GetParam().ends ? 0U : 1U);
}

const Settings kTlsRequired{{"partner/b.example/tls", "required"},
                            {"partner/b.example/sasl", "optional"}};
const Settings kCertificateRequired{{"partner/b.example/tls", "required"},
                                    {"partner/b.example/sasl", "required"}};
const LiveChange kChanges[] = {
    {"Blocked", {{"partner/b.example/enabled", "no"}}, true},
    {"Denied", {{"federation.deny", "b.example"}}, true},
    {"DeniedByAWildcard", {{"federation.deny", "*.example"}}, true},
    {"FederationOff", {{"federation.allow", "no"}}, true},
    {"TlsRequired", kTlsRequired, true, false},
    {"ACertificateRequired", kCertificateRequired, true, false},
    {"AnotherPartner", {{"partner/c.example/type", "federated"}}, false},
    {"AnotherOneDenied", {{"federation.deny", "c.example *.b.example"}}, false},
    {"AnotherDomainOfOurs", {{"domain/c.example/phone", "yes"}}, false},
    {"Trust", {{"partner/b.example/type", "public_unverified"}}, false},
    {"FewerConnections", {{"partner/b.example/connection_limit", "1"}}, false},
    {"ASlowerRate", {{"partner/b.example/rate_stanzas", "1/s"}}, false},
    {"AnotherWayThere", {{"partner/b.example/proxy", "elsewhere.example"}}, false},
};
INSTANTIATE_TEST_SUITE_P(Live, EdgeRulesChange, testing::ValuesIn(kChanges),
                         [](const auto& change) { return std::string(change.param.what); });

TEST_F(EdgeRules, StreamsOfADomainThatIsNotOursAnyMoreEnd) {
    start({{"domain/other.example/phone", "no"}});
    Partner::Stream& theirs = authenticated();
    Settings without = rules({});
    std::erase_if(without, [](const auto& one) { return one.first.starts_with("domain/"); });
    without.emplace_back("domain/other.example/phone", "no");
    server_->reload(without);
    pass(1s);
    EXPECT_TRUE(has(theirs.text, "<stream:error><host-gone ")) << theirs.text;  // S2S-4
    EXPECT_TRUE(has(theirs.text, "</stream:stream>")) << theirs.text;
    // Who comes later hears the same, until it is ours again.
    Partner::Stream& late = partner_->open();
    ASSERT_TRUE(until([&] { return late.gone; }, 15s)) << late.text;
    EXPECT_TRUE(has(late.text, "<stream:error><host-gone ")) << late.text;
    server_->reload(rules({}));
    authenticated();
}

// features.md X7: the peer is told why.
TEST_F(EdgeRules, OneConnectionTooManyOfAPartnerIsRefusedWithAReason) {
    start({{"xmpp.limits.streams_per_domain_pair", "100"}});
    for (int i = 0; i < 20; ++i) authenticated();
    Partner::Stream& last = authenticated();
    ASSERT_TRUE(until([&] { return last.gone; }, 15s)) << last.text;
    EXPECT_TRUE(has(last.text,
                    "<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text "
                    "xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>too many "
                    "connections"))
        << last.text;
    // A lower limit is for new ones.
    server_->reload(rules({{"partner/b.example/connection_limit", "1"}}));
    pass(1s);
    std::size_t open = 0;
    for (const auto& stream : partner_->streams) open += stream->ours && !stream->gone ? 1 : 0;
    EXPECT_EQ(open, 20U);
}

TEST_F(EdgeRules, ADomainThatIsNotOursEndsTheStream) {  // ERR-L1, S2S-33
    start();
    Partner::Stream& stream = authenticated();
    stream.write(
        "<message from='v@b.example' to='u@nowhere.example' id='m'><body>x</body></message>");
    ASSERT_TRUE(until([&] { return stream.gone; }, 15s)) << stream.text;
    EXPECT_TRUE(has(stream.text, "<stream:error><host-unknown ")) << stream.text;
    EXPECT_FALSE(has(stream.text, "type='error'"));  // no error of the stanza
    EXPECT_TRUE(door_.got.empty());
}

// DB-11, DB-12, S2S-46: other domains on the same stream, each with its own proof; one that fails
// takes nothing from the others.
TEST_F(EdgeRules, ManyDomainsOnAStreamOfTheirs) {
    Settings more;
    std::vector<std::string> domains{"c.example", "d.example"};
    for (int i = 0; i < 9; ++i) domains.push_back("n" + std::to_string(i) + ".example");
    for (const std::string& domain : domains) {
        for (const auto& [key, value] :
             {std::pair{"type", "federated"}, {"tls", "none"}, {"sasl", "none"}}) {
            more.emplace_back("partner/" + domain + "/" + key, value);
        }
    }
    start(more);
    for (const std::string& domain : domains) {
        server_->knows(domain, simulation_, partner_node_);
    }
    partner_->disowns = "d.example";
    Partner::Stream& stream = authenticated();
    const auto answer = [&](const std::string& domain, Duration time = 5s) {
        stream.text.clear();
        stream.write("<db:result from='" + domain + "' to='a.example'>key</db:result>");
        until([&] { return has(stream.text, "to='" + domain + "'"); }, time);
        return stream.text;
    };
    const auto reaches = [&](const std::string& domain) {
        const std::size_t before = door_.got.size();
        stream.write("<message from='v@" + domain + "' to='u@a.example'/>");
        return until([&] { return door_.got.size() == before + 1; }, 1s);
    };
    EXPECT_TRUE(has(answer("c.example"), "type='valid'")) << stream.text;
    EXPECT_TRUE(has(answer("d.example"), "<forbidden ")) << stream.text;  // DB-6
    EXPECT_TRUE(has(answer("stranger.example"), "<policy-violation ")) << stream.text;
    EXPECT_TRUE(reaches("b.example"));
    EXPECT_TRUE(reaches("c.example"));
    // Eight questions at once, and the others go on meanwhile.
    pass(6s);  // the connections of those that were answered are closed
    partner_->answers_questions = false;
    for (int i = 0; i < 8; ++i) {
        EXPECT_EQ(answer("n" + std::to_string(i) + ".example", 100ms), "");
    }
    EXPECT_TRUE(has(answer("n8.example"), "<resource-constraint ")) << stream.text;
    EXPECT_TRUE(reaches("c.example"));
    EXPECT_EQ(server_->count(Counter::kXmppInEstablished), 1U);
    // Who speaks for a domain that it has not proved is out (S2S-9).
    stream.write("<message from='v@d.example' to='u@a.example'/>");
    EXPECT_TRUE(until([&] { return has(stream.text, "<invalid-from "); }, 1s)) << stream.text;
    EXPECT_EQ(door_.got.size(), 3U);
}

// DB-5: a question goes out on the stream of ours that stands.
TEST_F(EdgeRules, AQuestionTakesTheStreamThatStands) {
    start();
    send(1);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 1; }));
    for (unsigned i = 1; i <= 3; ++i) {
        authenticated();
        EXPECT_EQ(count_of(partner_->accepted()[0]->text, "<db:verify "), i);
    }
    EXPECT_EQ(partner_->questions().size(), 0U);
    EXPECT_EQ(partner_->accepted().size(), 1U);
    partner_->disowns = "b.example";  // an answer is an answer
    EXPECT_TRUE(until([&, &stream = partner_->open()] { return has(stream.text, "invalid"); }, 5s));
    EXPECT_EQ(partner_->questions().size(), 0U);
}

// It goes away meanwhile: asked anew, once, and in time.
TEST_F(EdgeRules, AQuestionOutlivesTheStreamThatItTook) {
    start();
    send(1);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 1; }));
    Partner::Stream& taken = *partner_->accepted()[0];
    partner_->answers_questions = false;
    Partner::Stream& first = partner_->open();
    ASSERT_TRUE(until([&] { return has(taken.text, "</db:verify>"); }, 5s));
    partner_->answers_questions = true;
    taken.write(Partner::error("reset"));
    EXPECT_TRUE(until([&] { return has(first.text, "type='valid'"); }, 1s)) << first.text;
    EXPECT_EQ(partner_->questions().size(), 1U);
    // Nobody answers the new one either: DB-6, S2S-60.
    partner_->answers_questions = false;
    Partner::Stream& second = partner_->open();
    EXPECT_FALSE(until([&] { return has(second.text, "type='error'"); }, 29s));
    EXPECT_TRUE(until([&] { return has(second.text, "<remote-server-timeout "); }, 2s))
        << second.text;
    EXPECT_EQ(partner_->questions().size(), 2U);
}

// It stands and says nothing.
TEST_F(EdgeRules, AQuestionDoesNotWaitForADeadStream) {
    start();
    send(1);
    ASSERT_TRUE(until([&] { return door_.count(link::Fate::kWritten) == 1; }));
    partner_->accepted()[0]->connection->pause_input();
    Partner::Stream& stream = partner_->open();
    EXPECT_FALSE(until([&] { return !partner_->questions().empty(); }, 9s));
    EXPECT_TRUE(until([&] { return has(stream.text, "type='valid'"); }, 2s)) << stream.text;
    EXPECT_EQ(partner_->questions().size(), 1U);
}

// Whatever it leaves behind: streams that break at once are not opened in a rush.
TEST_F(EdgeRules, StreamsThatBreakAtOnceArePaced) {  // DNS-9
    start();
    partner_->answer_to_key = Partner::valid() + Partner::error("reset");
    send(0);  // an answer: it is said again
    pass(10s);
    EXPECT_GE(partner_->accepted().size(), 3U);
    EXPECT_LE(partner_->accepted().size(), 9U);
}

// S2S-64, S2S-15: on our stream too, also while it does not answer our wish for XEP-0198.
TEST_F(EdgeRules, StanzasOnOurStreamHaveARate) {
    start({{"partner/b.example/bidi", "yes"}, {"partner/b.example/rate_stanzas", "10/s"}});
    partner_->features =
        "<stream:features><bidi xmlns='urn:xmpp:features:bidi'/><sm xmlns='urn:xmpp:sm:3'/>"
        "</stream:features>";
    send(1);
    ASSERT_TRUE(until([&] { return partner_->accepted().size() == 1; }));
    Partner::Stream& stream = *partner_->accepted()[0];
    ASSERT_TRUE(until([&] { return has(stream.text, "<enable "); }, 5s)) << stream.text;
    for (int i = 0; i < 100; ++i) {
        stream.write("<message from='v@b.example' to='u@a.example'/>");
    }
    pass(500ms);
    EXPECT_GE(door_.got.size(), 20U);
    EXPECT_LE(door_.got.size(), 26U);  // a burst of 2 s, then the rate
}

TEST_F(EdgeRules, AnElementThatIsNoStanzaEndsTheStream) {  // IQ-15
    start();
    Partner::Stream& stream = authenticated();
    stream.write("<query xmlns='jabber:iq:version'/>");
    ASSERT_TRUE(until([&] { return stream.gone; }, 15s)) << stream.text;
    EXPECT_TRUE(has(stream.text, "<stream:error><unsupported-stanza-type ")) << stream.text;
    EXPECT_TRUE(door_.got.empty());
}

TEST_F(EdgeRules, AHandshakeThatFailsEndsWithoutAWord) {  // S2S-47
    start({{"partner/b.example/tls", "required"}, {"partner/b.example/sasl", "optional"}});
    partner_->sends_keys = false;
    Partner::Stream& stream = partner_->open();
    ASSERT_TRUE(until([&] { return has(stream.text, "<required/>"); }, 5s)) << stream.text;
    stream.write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    ASSERT_TRUE(until([&] { return has(stream.text, "<proceed"); }, 5s));
    stream.text.clear();
    stream.write("<stream:stream>this is no TLS");
    ASSERT_TRUE(until([&] { return stream.gone; }, 15s));
    EXPECT_FALSE(has(stream.text, "<")) << stream.text;
    EXPECT_TRUE(until([&] { return server_->count(Counter::kXmppTlsFailed) == 1; }, 15s))
        << server_->log();
}

}  // namespace
}  // namespace fedgate::simulation
