#include "net/resolver.hpp"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "net/dns_cache.hpp"
#include "tests/net/loops.hpp"

namespace fedgate::net {
namespace {

// A name server on loopback, on the same loop. RFC 1035 as far as the tests need it.
class NameServer final : public SocketOwner {
public:
    explicit NameServer(Loop& loop) : loop_(loop) {
        auto socket = loop.open_datagram(*parse_ip("127.0.0.1", 0), *this);
        EXPECT_TRUE(socket);
        socket_ = *socket;
    }
    [[nodiscard]] SocketAddress address() const { return loop_.local_address(socket_); }
    void close() { loop_.close(socket_); }
    void on_closed(Socket) override { closed = true; }

    void add(const std::string& name, DnsType type, const std::string& data, unsigned ttl = 100) {
        records_[{name, static_cast<unsigned>(type)}].push_back({data, ttl});
        names_.insert(name);
    }
    static std::string wire_name(Bytes name) {
        std::string wire;
        while (!name.empty()) {
            const std::size_t dot = std::min(name.find('.'), name.size());
            wire += static_cast<char>(dot);
            wire += name.substr(0, dot);
            name.remove_prefix(std::min(dot + 1, name.size()));
        }
        return wire + '\0';
    }
    static std::string srv(unsigned priority, unsigned weight, unsigned port, Bytes target) {
        return number(priority) + number(weight) + number(port) + wire_name(target);
    }

    static std::string text(Bytes bytes) {
        return static_cast<char>(bytes.size()) + std::string(bytes);
    }
    static std::string naptr(unsigned order, unsigned preference, Bytes flags, Bytes service,
                             Bytes expression, Bytes replacement) {
        return number(order) + number(preference) + text(flags) + text(service) + text(expression) +
               wire_name(replacement);
    }

    void on_datagram(Socket, const SocketAddress& from, MutableBytes bytes) override {
        ++questions;
        if (silent) return;
        const Bytes query(bytes.data(), bytes.size());
        std::string name;
        std::size_t at = 12;
        while (query[at] != 0) {
            const auto length = static_cast<std::size_t>(query[at]);
            if (!name.empty()) name += '.';
            for (const char c : query.substr(at + 1, length))
                name += static_cast<char>(std::tolower(c));
            at += length + 1;
        }
        const std::string question(query.substr(12, at + 5 - 12));
        const auto type = static_cast<unsigned>(static_cast<unsigned char>(query[at + 2]));
        const auto found = records_.find({name, type});
        std::string answers;
        unsigned count = 0;
        if (found != records_.end()) {
            for (const auto& [data, ttl] : found->second) {
                answers += wire_name(name) + number(type) + number(1) + number(0) + number(ttl) +
                           number(static_cast<unsigned>(data.size())) + data;
                ++count;
            }
        }
        const bool known = names_.contains(name);
        const unsigned code = failing ? 2 : known ? 0 : 3;
        std::string authority;
        if (count == 0 && !failing) {  // RFC 2308: negative answers carry the SOA
            const std::string soa = wire_name("ns.test") + wire_name("admin.test") +
                                    std::string(16, '\0') + std::string("\0\0\0\x3c", 4);
            authority = wire_name("") + number(6) + number(1) + number(0) + number(60) +
                        number(static_cast<unsigned>(soa.size())) + soa;
        }
        const std::string reply = std::string(query.substr(0, 2)) +
                                  number((truncating ? 0x8780U : 0x8580U) | code) + number(1) +
                                  number(failing ? 0 : count) + number(authority.empty() ? 0 : 1) +
                                  number(0) + question + (failing ? "" : answers) + authority;
        EXPECT_TRUE(loop_.send_datagram(socket_, from, reply));
    }

    int questions = 0;
    bool silent = false, failing = false, truncating = false, closed = false;

private:
    static std::string number(unsigned value) {
        return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
    }
    Loop& loop_;
    Socket socket_;
    std::map<std::pair<std::string, unsigned>, std::vector<std::pair<std::string, unsigned>>>
        records_;
    std::set<std::string> names_;
};

struct Asker final : ResolverOwner {
    void on_resolved(QueryId id, const DnsAnswer& answer) override {
        ++count;
        answers[id.pack()] = answer;
        last = answer;
    }
    int count = 0;
    DnsAnswer last;
    std::map<std::uint64_t, DnsAnswer> answers;
};

class UnboundTest : public testing::Test {
protected:
    void SetUp() override {
        ResolverOptions options;
        options.servers = {server.address()};
        auto made = make_unbound_resolver(world.loop(), options);
        ASSERT_TRUE(made) << made.error().where;
        resolver = std::move(*made);
    }
    void TearDown() override {
        resolver.reset();
        server.close();
        EXPECT_TRUE(world.run([this] { return server.closed; }));
        world.run_for(20ms);
    }
    const DnsAnswer& ask(const std::string& name, DnsType type) {
        asker.count = 0;
        resolver->query(name, type, asker);
        EXPECT_EQ(asker.count, 0);
        EXPECT_TRUE(world.run([this] { return asker.count == 1; }));
        return asker.last;
    }
    test::World world{false};
    NameServer server{world.loop()};
    Asker asker;
    std::unique_ptr<Resolver> resolver;
};

TEST_F(UnboundTest, AsksTheConfiguredServerForEverything) {
    server.add("_xmpp-server._tcp.example.test", DnsType::kSrv,
               NameServer::srv(5, 7, 5269, "xmpp.example.test"));
    server.add("_xmpp-server._tcp.example.test", DnsType::kSrv, NameServer::srv(0, 0, 0, ""));
    server.add("xmpp.example.test", DnsType::kA, std::string("\x7f\0\0\x01", 4), 5);
    server.add("xmpp.example.test", DnsType::kAaaa, std::string(15, '\0') + '\x01');
    server.add("thing.localhost", DnsType::kA, std::string("\x0a\0\0\x02", 4));
    server.add("hidden.onion", DnsType::kA, std::string("\x0a\0\0\x03", 4));
    server.add("10.in-addr.home.arpa", DnsType::kA, std::string("\x0a\0\0\x04", 4));

    DnsAnswer answer = ask("_xmpp-server._tcp.example.test", DnsType::kSrv);
    EXPECT_EQ(answer.status, DnsStatus::kOk);
    ASSERT_EQ(answer.srv.size(), 2u);
    const SrvRecord& record = answer.srv[0].target.empty() ? answer.srv[1] : answer.srv[0];
    EXPECT_EQ(record.priority, 5);
    EXPECT_EQ(record.weight, 7);
    EXPECT_EQ(record.port, 5269);
    EXPECT_EQ(record.target, "xmpp.example.test");
    EXPECT_EQ(answer.ttl, 100s);

    answer = ask("xmpp.example.test", DnsType::kA);
    ASSERT_EQ(answer.addresses.size(), 1u);
    EXPECT_EQ(format_ip(answer.addresses[0]), "127.0.0.1");
    EXPECT_EQ(answer.ttl, 30s);  // DNS-8
    answer = ask("xmpp.example.test", DnsType::kAaaa);
    ASSERT_EQ(answer.addresses.size(), 1u);
    EXPECT_EQ(format_ip(answer.addresses[0]), "::1");
    EXPECT_FALSE(answer.secure);
    for (const char* name : {"thing.localhost", "hidden.onion", "10.in-addr.home.arpa"}) {
        EXPECT_EQ(ask(name, DnsType::kA).status, DnsStatus::kOk) << name;
    }
}

TEST_F(UnboundTest, TellsNoDataFromNoDomainFromFailure) {
    server.add("there.test", DnsType::kA, std::string("\x0a\0\0\x02", 4));
    EXPECT_EQ(ask("there.test", DnsType::kSrv).status, DnsStatus::kNoData);
    EXPECT_EQ(ask("nowhere.test", DnsType::kA).status, DnsStatus::kNoDomain);
    server.failing = true;
    EXPECT_EQ(ask("broken.test", DnsType::kA).status, DnsStatus::kFailed);
    EXPECT_EQ(ask("", DnsType::kA).status, DnsStatus::kFailed);
    EXPECT_EQ(ask(std::string(300, 'a'), DnsType::kA).status, DnsStatus::kFailed);
    EXPECT_EQ(ask("a..b", DnsType::kA).status, DnsStatus::kFailed);
}

TEST_F(UnboundTest, ReadsNaptr) {  // SIP-6, RFC 3403 4.1
    const auto naptr = NameServer::naptr(50, 7, "s", "SIPS+D2T", "", "_sips._tcp.other.test");
    server.add("corp.test", DnsType::kNaptr, naptr);
    server.add("corp.test", DnsType::kNaptr,
               NameServer::naptr(1, 1, "u", "E2U+sip", "!^.*$!sip:x@y!", ""));
    const DnsAnswer answer = ask("corp.test", DnsType::kNaptr);
    EXPECT_EQ(answer.status, DnsStatus::kOk);
    ASSERT_EQ(answer.naptr.size(), 1u);
    EXPECT_EQ(answer.naptr[0].order, 50);
    EXPECT_EQ(answer.naptr[0].preference, 7);
    EXPECT_EQ(answer.naptr[0].flags, "s");
    EXPECT_EQ(answer.naptr[0].service, "SIPS+D2T");
    EXPECT_EQ(answer.naptr[0].replacement, "_sips._tcp.other.test");

    server.add("enum.test", DnsType::kNaptr, NameServer::naptr(1, 1, "u", "E2U+sip", "!x!y!", ""));
    EXPECT_EQ(ask("enum.test", DnsType::kNaptr).status, DnsStatus::kNoData);

    // Cut short, a text longer than the record, bytes behind the name: libunbound refuses the
    // whole answer for some, for others we do.
    std::vector<std::string> broken{std::string("\0\1\0\1\xffs", 6), naptr + "x"};
    for (std::size_t size = 0; size < naptr.size(); size += 7)
        broken.push_back(naptr.substr(0, size));
    for (std::size_t i = 0; i < broken.size(); ++i) {
        const std::string name = "broken" + std::to_string(i) + ".test";
        server.add(name, DnsType::kNaptr, broken[i]);
        EXPECT_TRUE(ask(name, DnsType::kNaptr).naptr.empty()) << i;
    }
}

// DNS of an enemy: what is not a name is left out, what does not end is a failure, and nothing
// holds longer than DNS-8 says.
TEST_F(UnboundTest, HostileAnswersAreBounded) {
    const std::string name = "_xmpp-server._tcp.evil.test";
    const std::string prefix("\0\1\0\1\x14\x95", 6);
    server.add(name, DnsType::kSrv,
               prefix + std::string("\x4"
                                    "a\0bc\0",
                                    6));  // NUL
    server.add(name, DnsType::kSrv,
               prefix + std::string("\x4"
                                    "a.bc\x4test\0",
                                    11));  // a dot
    server.add(name, DnsType::kSrv,
               prefix + std::string("\x4"
                                    "a bc\0",
                                    6));                                   // a space
    server.add(name, DnsType::kSrv, std::string("\0\1\0\1\0\0\1g\0", 9));  // port 0
    server.add(name, DnsType::kSrv, NameServer::srv(1, 2, 5269, "good.test"), 0xffff);
    const DnsAnswer answer = ask(name, DnsType::kSrv);
    EXPECT_EQ(answer.status, DnsStatus::kOk);
    ASSERT_EQ(answer.srv.size(), 1u);
    EXPECT_EQ(answer.srv[0].target, "good.test");
    EXPECT_LE(answer.ttl, 3600s);

    // A thousand records do not fit in a datagram; those that do are cut.
    for (int i = 0; i < 100; ++i)
        server.add("many.test", DnsType::kA, std::string("\x0a\0\0", 3) + static_cast<char>(i));
    EXPECT_EQ(ask("many.test", DnsType::kA).addresses.size(), 64u);
    // Truncated, and nobody answers over TCP.
    server.add("cut.test", DnsType::kA, std::string("\x0a\0\0\1", 4));
    server.truncating = true;
    EXPECT_EQ(ask("cut.test", DnsType::kA).status, DnsStatus::kFailed);
    server.truncating = false;
    // Nonsense.
    server.add("short.test", DnsType::kA, "xy");
    server.add("short.test", DnsType::kTlsa, "xyz");
    EXPECT_NE(ask("short.test", DnsType::kA).status, DnsStatus::kOk);
    EXPECT_NE(ask("short.test", DnsType::kTlsa).status, DnsStatus::kOk);
    server.add("tlsa.test", DnsType::kTlsa, std::string("\3\1\1abc", 6));
    const DnsAnswer tlsa = ask("tlsa.test", DnsType::kTlsa);
    ASSERT_EQ(tlsa.tlsa.size(), 1u);
    EXPECT_EQ(tlsa.tlsa[0].usage, 3);
    EXPECT_EQ(tlsa.tlsa[0].data, "abc");
    EXPECT_FALSE(tlsa.secure);
}

// D8: a root key that can't be read is told at once, not with every name.
TEST_F(UnboundTest, AMissingTrustAnchorIsTold) {
    const auto made = make_unbound_resolver(world.loop(), {{}, "/nonexistent/root.key"});
    ASSERT_FALSE(made);
    EXPECT_STREQ(made.error().where, "net.dns.trust_anchor can't be read");
}

TEST_F(UnboundTest, RemembersAnswers) {
    server.add("there.test", DnsType::kA, std::string("\x0a\0\0\x02", 4));
    ask("there.test", DnsType::kA);
    const int before = server.questions;
    EXPECT_EQ(ask("THERE.test", DnsType::kA).status, DnsStatus::kOk);
    EXPECT_EQ(server.questions, before);
}

TEST_F(UnboundTest, CancelledAndAbandonedQueriesAreSilent) {
    server.silent = true;
    const QueryId first = resolver->query("one.test", DnsType::kA, asker);
    resolver->query("two.test", DnsType::kA, asker);
    world.run_for(20ms);
    resolver->cancel(first);
    resolver->cancel(first);
    world.run_for(20ms);
    resolver.reset();
    world.run_for(20ms);
    EXPECT_EQ(asker.count, 0);
}

TEST_F(UnboundTest, QueriesAreBounded) {
    server.silent = true;
    for (int i = 0; i < 1'100; ++i)
        resolver->query("n" + std::to_string(i) + ".test", DnsType::kA, asker);
    world.run_for(50ms);
    EXPECT_EQ(asker.count, 1'100 - 1'024);
    EXPECT_EQ(asker.last.status, DnsStatus::kFailed);
}

// DNS-8.
TEST(Resolver, ClampsTimes) {
    EXPECT_EQ(clamp_ttl(DnsStatus::kOk, 0s), 30s);
    EXPECT_EQ(clamp_ttl(DnsStatus::kOk, 100s), 100s);
    EXPECT_EQ(clamp_ttl(DnsStatus::kOk, 24h), 3600s);
    EXPECT_EQ(clamp_ttl(DnsStatus::kNoData, 24h), 300s);
    EXPECT_EQ(clamp_ttl(DnsStatus::kNoDomain, 1s), 30s);
    EXPECT_EQ(clamp_ttl(DnsStatus::kFailed, 24h), 10s);
    EXPECT_EQ(clamp_ttl(DnsStatus::kBogus, 24h), 10s);
}

TEST(Resolver, TheCacheForgets) {
    DnsCache cache;
    const Instant now{100s};
    DnsAnswer answer;
    answer.status = DnsStatus::kOk;
    answer.ttl = 30s;
    cache.put("Example.org", DnsType::kA, answer, now);
    ASSERT_NE(cache.find("example.ORG", DnsType::kA, now + 10s), nullptr);
    EXPECT_EQ(cache.find("example.org", DnsType::kA, now + 10s)->ttl, 20s);
    EXPECT_EQ(cache.find("example.org", DnsType::kAaaa, now), nullptr);
    EXPECT_EQ(cache.find("example.org", DnsType::kA, now + 30s), nullptr);
    for (std::size_t i = 0; i < DnsCache::kEntriesMax + 10; ++i) {
        cache.put("n" + std::to_string(i), DnsType::kA, answer, now);
    }
    EXPECT_EQ(cache.find("n" + std::to_string(DnsCache::kEntriesMax + 9), DnsType::kA, now),
              nullptr);
    cache.put("later", DnsType::kA, answer, now + 31s);
    EXPECT_NE(cache.find("later", DnsType::kA, now + 31s), nullptr);
}

TEST(Resolver, SimulatedOneAnswersFromItsTable) {
    test::World world(true);
    SimulatedResolver resolver(world.loop());
    Asker asker;
    resolver.add_address("a.example", *parse_ip("10.0.0.1", 0));
    resolver.set_failing("bad.example", DnsStatus::kBogus);
    resolver.set_delay(3s);
    const Instant start = world.loop().now();
    const QueryId v4 = resolver.query("a.example", DnsType::kA, asker);
    const QueryId v6 = resolver.query("a.example", DnsType::kAaaa, asker);
    const QueryId none = resolver.query("b.example", DnsType::kSrv, asker);
    const QueryId bad = resolver.query("bad.example", DnsType::kSrv, asker);
    const QueryId cancelled = resolver.query("a.example", DnsType::kA, asker);
    resolver.cancel(cancelled);
    EXPECT_EQ(asker.count, 0);
    ASSERT_TRUE(world.run([&] { return asker.count == 4; }));
    EXPECT_GE(world.loop().now() - start, 3s);
    EXPECT_EQ(asker.answers[v4.pack()].addresses.size(), 1u);
    EXPECT_EQ(asker.answers[v6.pack()].status, DnsStatus::kNoData);
    EXPECT_EQ(asker.answers[none.pack()].status, DnsStatus::kNoDomain);
    EXPECT_EQ(asker.answers[bad.pack()].status, DnsStatus::kBogus);
}

}  // namespace
}  // namespace fedgate::net
