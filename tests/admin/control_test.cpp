#include <poll.h>

#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

TEST_F(ControlTest, TheSocketIsForItsOwnerAndGroupOnly) {
    start();
    struct stat info{};
    ASSERT_EQ(stat(socket_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0660U);
}

TEST_F(ControlTest, StatusReadsLikeASentence) {
    host_.state.streams_in = 2;
    host_.state.remarks = {"the certificate is self-signed"};
    start();
    const Outcome got = fedctl({"status"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_NE(got.out.find("running, pid " + std::to_string(getpid())), std::string::npos)
        << got.out;
    EXPECT_NE(got.out.find("on, with listed partners"), std::string::npos) << got.out;
    EXPECT_NE(got.out.find("2 in, 0 out"), std::string::npos) << got.out;
    EXPECT_NE(got.out.find("! the certificate is self-signed"), std::string::npos) << got.out;
}

TEST_F(ControlTest, StatusShowsNextHops) {
    host_.state.next_hops = {{"sip.example", "tls a.pool.example:5061", "192.0.2.1:5061", "up",
                              false, 7'260, "", 0, 3, 80, 1},
                             {"sip.example", "tls b.pool.example:5061", "192.0.2.2:5061", "down",
                              false, 75, "503", 45, 0, 9, 4}};
    start();
    const Outcome got = fedctl({"status"});
    EXPECT_EQ(got.status, 0) << got.err;
    for (const char* expected :
         {"SIP DOMAIN   NEXT HOP                 ADDRESS         STATE  FOR",
          "sip.example  tls a.pool.example:5061  192.0.2.1:5061  up     2 h 1 min",
          "503, not asked for 45 s"}) {
        EXPECT_NE(got.out.find(expected), std::string::npos) << got.out;
    }
    EXPECT_NE(fedctl({"--json", "status"}).out.find("\"unanswered\":4"), std::string::npos);
}

TEST_F(ControlTest, PortsShowListenersWithOwnerAndVerdict) {
    host_.port_rows = {
        {"xmpp", "external", "tcp", "[::]:5269", "edge", true, "", 1, 2},
        {"link", "internal", "tcp", "[::]:23456", "edge", false, "Address already in use", 0, 0},
        {"sip", "sip", "udp", "127.0.0.1:5060", "gateway", true, "", 0, 0}};
    start();
    const Outcome got = fedctl({"ports"});
    EXPECT_EQ(got.status, 0) << got.err;
    std::istringstream lines(got.out);
    std::string line;
    std::getline(lines, line);
    std::getline(lines, line);
    for (const char* part :
         {"external", "[::]:5269", "LISTENING", " 3 ", "1/2", "edge (pid ", "ok, in use"}) {
        EXPECT_NE(line.find(part), std::string::npos) << line;
    }
    std::getline(lines, line);
    EXPECT_NE(line.find("NOT LISTENING: Address already in use"), std::string::npos) << line;
    const Json json = parse_json(fedctl({"--json", "ports"}).out);
    EXPECT_EQ(json["ports"][0]["established"], 3);
}

TEST_F(ControlTest, StreamsAndCounters) {
    start();
    EXPECT_EQ(fedctl({"streams"}).out, "no streams\n");
    EXPECT_EQ(fedctl({"counters"}).out, "xmpp.stanzas_in  12\nsip.messages_in  3\n");
}

TEST_F(ControlTest, NamesFromPeersCannotBreakTheAnswer) {
    StreamRow row;
    row.their_domain = "\xff\"\n{\x01";
    host_.stream_rows = {row};
    start();
    const Outcome got = fedctl({"--json", "streams"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_TRUE(parse_json(got.out).is_object());
}

TEST_F(ControlTest, SysctlReadsAndWrites) {
    start();
    EXPECT_EQ(fedctl({"sysctl", "im.max_bytes", "partner/xmpp.example/type"}).out,
              "im.max_bytes = 32KiB\npartner/xmpp.example/type = federated\n");
    EXPECT_EQ(fedctl({"sysctl", "-n", "im.max_bytes"}).out, "32KiB\n");
    EXPECT_NE(fedctl({"sysctl", "-d", "sip.listen"}).out.find("at the next start of fedgated"),
              std::string::npos);
    EXPECT_NE(fedctl({"sysctl", "-d", "link.listen"}).out.find("opened anew"), std::string::npos);
    EXPECT_NE(fedctl({"sysctl", "partner/xmpp.example"})
                  .out.find("partner/xmpp.example/tls = required\n"),
              std::string::npos);
    Outcome got = fedctl({"sysctl", "-w", "im.max_bytes=1024", "sip.listen=udp:127.0.0.1:5060"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_EQ(
        got.out,
        "im.max_bytes: 32KiB -> 1KiB\n"
        "sip.listen: udp:127.0.0.1:5060 tcp:127.0.0.1:5060 tls:[::]:5061 -> udp:127.0.0.1:5060"
        "   (acts at the next start of fedgated)\n");
    got = fedctl({"sysctl", "--diff"});
    EXPECT_NE(got.out.find("im.max_bytes"), std::string::npos) << got.out;
    EXPECT_NE(got.out.find(file_ + ":3"), std::string::npos) << got.out;
    EXPECT_EQ(fedctl({"sysctl", "--reset", "im.max_bytes"}).out, "im.max_bytes: 1KiB -> 32KiB\n");
}

TEST_F(ControlTest, SysctlRefusesWithTheReasonAndStatusOne) {
    start();
    Outcome got = fedctl({"sysctl", "im.max_byte"});
    EXPECT_EQ(got.status, 1);
    EXPECT_EQ(got.err, "fedctl: im.max_byte: no such key; did you mean im.max_bytes?\n");
    got = fedctl({"sysctl", "-w", "im.max_bytes=0", "core.threads=900"});
    EXPECT_EQ(got.status, 1);
    EXPECT_NE(got.err.find("'0' is below the minimum 1; allowed: 1 to 1MiB"), std::string::npos)
        << got.err;
    EXPECT_NE(got.err.find("0 to 256 threads"), std::string::npos) << got.err;
    got = fedctl({"sysctl", "-w", "domain/sip.example/profile=msrp"});
    EXPECT_EQ(got.status, 1);
    EXPECT_NE(got.err.find("needs tls.sip.certificate"), std::string::npos) << got.err;
    EXPECT_TRUE(host_.published.empty());
}

TEST_F(ControlTest, SysctlDescribes) {
    start();
    const Outcome got = fedctl({"sysctl", "-d", "im.error_wait", "partner/*/tls"});
    EXPECT_EQ(got.status, 0) << got.err;
    for (const char* part : {"im.error_wait\n", "allowed   0s to 3s", "(default)",
                             "acts      at once", "partner/*/tls\n", "required optional none"}) {
        EXPECT_NE(got.out.find(part), std::string::npos) << got.out;
    }
}

// appliance.md 6.2, checks 1 and 7.
TEST_F(ControlTest, WhatAllPrintsCanBeAppliedAgainWithoutAChange) {
    start();
    const Outcome all = fedctl({"sysctl", "-a"});
    EXPECT_EQ(all.status, 0);
    EXPECT_EQ(all.out.find("hush"), std::string::npos);
    EXPECT_NE(all.out.find("# xmpp.dialback.secret = (set, not shown)\n"), std::string::npos);
    Outcome got = fedctl({"sysctl", "-p", "-"}, all.out);
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_TRUE(got.out.ends_with("\nnothing changed\n")) << got.out;
    got = fedctl({"sysctl", "-p", "-"}, "im.max_bytes = 1KiB\nnonsense\nim.error_wait = 9h\n");
    EXPECT_EQ(got.status, 1);
    EXPECT_NE(got.err.find("standard input:2: error:"), std::string::npos) << got.err;
    EXPECT_NE(got.err.find("standard input:3: error: im.error_wait"), std::string::npos) << got.err;
    EXPECT_EQ(fedctl({"sysctl", "-n", "im.max_bytes"}).out, "32KiB\n");
}

TEST_F(ControlTest, CheckSaysWhatWouldChange) {
    start();
    const Outcome got = fedctl({"sysctl", "--check", "-"}, "im.max_bytes = 1KiB\n");
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_EQ(got.out, "im.max_bytes: 32KiB -> 1KiB\n");
    EXPECT_EQ(fedctl({"sysctl", "-n", "im.max_bytes"}).out, "32KiB\n");
}

TEST_F(ControlTest, ExplainNamesTheRuleThatDecides) {
    start();
    Outcome got = fedctl({"explain", "sip:a@sip.example", "b@xmpp.example/phone"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_NE(got.out.find("no: the user's policy has xmpp_access = no"), std::string::npos)
        << got.out;
    EXPECT_NE(got.out.find("policy/global"), std::string::npos) << got.out;
    ASSERT_EQ(fedctl({"sysctl", "-w", "policy/global/xmpp_access=yes"}).status, 0);
    got = fedctl({"explain", "b@xmpp.example", "a@sip.example"});
    EXPECT_NE(got.out.find("yes: allowed\n  direction XMPP to SIP"), std::string::npos) << got.out;
    EXPECT_EQ(fedctl({"explain", "a b", "@"}).status, 1);
}

// D5: partners pick any edge, those of the pool that the site routes to first.
TEST_F(ControlTest, DnsPlanHasEveryEdgeInTheOrderOfThePools) {
    start();
    Outcome got = fedctl({"dns", "plan"});  // one machine
    EXPECT_EQ(got.out,
              "_xmpp-server._tcp.sip.example. 3600 IN SRV 10 50 5269 xmpp.sip.example.\n"
              "_xmpps-server._tcp.sip.example. 3600 IN SRV 10 50 5270 xmpp.sip.example.\n"
              "; xmpp.sip.example. needs an A or AAAA record: the address by which partners reach "
              "that machine\n");
    ASSERT_EQ(fedctl({"sysctl", "-p", "-"},
                     "pool/a/members = a1.example a2.example:23456\npool/a/priority = 10\n"
                     "pool/b/members = b1.example\npool/b/priority = 20\n"
                     "pool/c/members = c1.example\npool/c/priority = 20\n"
                     "pool/g/kind = gateway\npool/g/members = g1.example\n"
                     "site/paris/route = b\ndomain/fr.example/site = paris\n"
                     "xmpp.listen_tls =\n")
                  .status,
              0);
    got = fedctl({"dns", "plan"});
    EXPECT_TRUE(
        got.out.starts_with("_xmpp-server._tcp.fr.example. 3600 IN SRV 10 50 5269 b1.example.\n"
                            "_xmpp-server._tcp.fr.example. 3600 IN SRV 20 50 5269 a1.example.\n"
                            "_xmpp-server._tcp.fr.example. 3600 IN SRV 20 50 5269 a2.example.\n"
                            "_xmpp-server._tcp.fr.example. 3600 IN SRV 30 50 5269 c1.example.\n"
                            "_xmpp-server._tcp.sip.example. 3600 IN SRV 10 50 5269 a1.example.\n"
                            "_xmpp-server._tcp.sip.example. 3600 IN SRV 10 50 5269 a2.example.\n"
                            "_xmpp-server._tcp.sip.example. 3600 IN SRV 20 50 5269 b1.example.\n"
                            "_xmpp-server._tcp.sip.example. 3600 IN SRV 20 50 5269 c1.example.\n"
                            "; a1.example. needs an A"))
        << got.out;
    EXPECT_EQ(fedctl({"dns"}).status, 2);
    EXPECT_EQ(fedctl({"dns", "plans"}).status, 2);
}

// Each change is a commit, and each mistake one sentence.
TEST_F(ControlTest, SitesPoolsAndRoutes) {
    start();
    EXPECT_EQ(fedctl({"pool", "list"}).out,
              "no pool yet: fedctl pool set NAME members=edge1.example,edge2.example\n");
    host_.warnings = {"edge e1.example:23456 of pool east can't be reached: connection refused"};
    Outcome got = fedctl({"pool", "set", "east", "members=e1.example,e2.example"});
    EXPECT_NE(got.out.find("commit 1: pool east added\n  pool/east/members: - -> e1.example "
                           "e2.example\n"),
              std::string::npos)
        << got.out << got.err;
    EXPECT_NE(got.out.find("warning: edge e1.example:23456 of pool east can't be reached"),
              std::string::npos)
        << got.out;
    host_.warnings.clear();
    got = fedctl({"pool", "set", "east", "members-=e2.example", "priority=5"});
    EXPECT_NE(got.out.find("members: e1.example e2.example -> e1.example"), std::string::npos)
        << got.out << got.err;
    got = fedctl({"route", "set", "rome", "eats"});
    EXPECT_EQ(got.status, 1);
    EXPECT_EQ(got.err, "fedctl: there is no pool 'eats'; did you mean east?\n");
    got = fedctl({"route", "set", "rome", "east", "--dry-run"});
    EXPECT_NE(got.out.find("dry run, nothing was changed; it would be commit 3: site rome goes by "
                           "east"),
              std::string::npos)
        << got.out << got.err;
    ASSERT_EQ(fedctl({"route", "set", "rome", "east", "--comment", "moved"}).status, 0);
    for (std::vector<std::string> words :
         {std::vector<std::string>{"pool", "set", "east", "priority=7"},
          {"site", "set", "paris", "route=east"},
          {"route", "unset", "paris"}}) {
        words.insert(words.end(), {"--confirm", "1h"});
        got = fedctl(words);
        EXPECT_NE(got.out.find("taken back by every node in 3"), std::string::npos)
            << words[0] << got.out << got.err;
        EXPECT_EQ(fedctl({"config", "confirm"}).status, 0) << words[0];
    }
    got = fedctl({"pool", "remove", "east"});
    EXPECT_EQ(got.err,
              "fedctl: site rome is routed to pool east: first 'fedctl route unset rome', or set "
              "it to another pool\n");
    host_.state.routes = {{"rome", "east", "west", 75, {"e1.example: connection refused"}},
                          {"", "east", "east", 3, {}}};
    EXPECT_EQ(fedctl({"route", "list"}).out,
              "rome: west, since 1 min 15 s: east has no edge that can be used: e1.example: "
              "connection refused\nall others: east (first by priority), since 3 s\n");
    EXPECT_NE(fedctl({"status"}).out.find("route          rome: west, since 1 min 15 s: east has"),
              std::string::npos)
        << fedctl({"status"}).out;
    EXPECT_NE(fedctl({"site", "show", "rome"}).out.find("rome  east   west"), std::string::npos)
        << fedctl({"site", "show", "rome"}).out;
    ASSERT_EQ(fedctl({"route", "unset", "rome"}).status, 0);
    EXPECT_EQ(fedctl({"pool", "remove", "east"}).status, 0);
    EXPECT_EQ(fedctl({"route", "unset", "rome"}).err,
              "fedctl: there is no site 'rome'; there is none yet\n");
    EXPECT_EQ(fedctl({"site", "set", "rome", "rout=x"}).err,
              "fedctl: site rome: a site has no attribute 'rout'; did you mean route?\n");
    EXPECT_NE(fedctl({"config", "log"}).out.find("moved"), std::string::npos);
}

TEST_F(ControlTest, WrongUsageIsStatusTwo) {
    const std::vector<std::vector<std::string>> wrong = {
        {},
        {"stauts"},
        {"route", "set", "rome"},
        {"route", "show"},
        {"pool", "set", "east"},
        {"pool", "list", "x"},
        {"site"},
        {"status", "now"},
        {"explain", "a"},
        {"sysctl"},
        {"sysctl", "-w"},
        {"sysctl", "-w", "im.max_bytes"},
        {"sysctl", "-a", "x"},
        {"sysctl", "-a", "-w", "a=b"},
        {"sysctl", "-d", "a=b"},
        {"sysctl", "a", "b=c"},
        {"sysctl", "-p"},
        {"sysctl", "--save"},
        {"-x"},
    };
    for (const auto& arguments : wrong) {
        const Outcome got = fedctl(arguments);
        EXPECT_EQ(got.status, 2) << testing::PrintToString(arguments);
        EXPECT_FALSE(got.err.empty());
    }
    EXPECT_NE(fedctl({"stauts"}).err.find("did you mean status?"), std::string::npos);
    EXPECT_EQ(fedctl({"--help"}).status, 0);
    EXPECT_EQ(fedctl({"sysctl", "--help"}).status, 0);
}

TEST_F(ControlTest, AFileThatIsNoneIsSaid) {
    start();
    for (const char* action : {"check", "commit"}) {
        const Outcome got = fedctl({"config", action, directory_});
        EXPECT_EQ(got.status, 1);
        EXPECT_EQ(got.err, "fedctl: " + directory_ + " can't be read: Is a directory\n");
    }
}

TEST_F(ControlTest, WithoutAFolderForTheSocketItSaysWhichOne) {
    std::ofstream(directory_ + "/run") << "a file";
    std::string why;
    EXPECT_FALSE(control_->open(why));
    EXPECT_EQ(why, "admin.socket: the folder " + directory_ +
                       "/run/fedgate can't be made: Not a directory");
}

TEST_F(ControlTest, WithoutADaemonFedctlSaysHowToStartIt) {
    const Outcome got = fedctl({"status"});
    EXPECT_EQ(got.status, 1);
    EXPECT_NE(got.err.find("fedgated is not running"), std::string::npos);
    EXPECT_NE(got.err.find("start it with"), std::string::npos);
}

TEST_F(ControlTest, ASecondDaemonIsRefusedAndALeftOverSocketIsNot) {
    start();
    std::string why;
    {
        Control second(host_, *configuration_);
        EXPECT_FALSE(second.open(why));
        EXPECT_NE(why.find("another fedgated is running"), std::string::npos) << why;
    }
    EXPECT_EQ(fedctl({"status"}).status, 0);  // the first one's socket is still there
    stop();
    control_.reset();
    EXPECT_FALSE(std::filesystem::exists(socket_));
    const int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.data(), socket_.size());
    ASSERT_EQ(bind(left, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    close(left);
    control_ = std::make_unique<Control>(host_, *configuration_);
    start();
    EXPECT_EQ(fedctl({"status"}).status, 0);
    stop();
    control_.reset();
    std::ofstream(socket_) << "precious";
    control_ = std::make_unique<Control>(host_, *configuration_);
    EXPECT_FALSE(control_->open(why));
    EXPECT_NE(why.find("is not a socket"), std::string::npos) << why;
    control_.reset();
    EXPECT_TRUE(std::filesystem::exists(socket_));
}

TEST_F(ControlTest, SigtermDrainsAndSighupReads) {
    host_.may_end = false;
    start();
    std::ofstream(file_, std::ios::app) << "im.max_bytes = 2KiB\n";
    kill(getpid(), SIGHUP);
    while (fedctl({"sysctl", "-n", "im.max_bytes"}).out != "2KiB\n") std::this_thread::yield();
    kill(getpid(), SIGTERM);
    while (fedctl({"status"}).out.find("draining") == std::string::npos) std::this_thread::yield();
    kill(getpid(), SIGTERM);  // asked twice: at once
    thread_.join();
    EXPECT_EQ(host_.drains, 1);
    EXPECT_EQ(host_.reloads, 1);
}

TEST_F(ControlTest, HostileRequestsGetAnAnswerOrAreClosed) {
    start();
    for (const char* line :
         {"\n", "{\n", "[]\n", "{\"verb\":7}\n", "{\"verb\":\"sysctl\",\"action\":[]}\n",
          "{\"verb\":\"sysctl\",\"action\":\"write\",\"settings\":[1,null,\"x\"]}\n", "sysctl\n",
          "sysctl \xff\n", "nothing here\n", "{\"verb\":\"explain\"}\n"}) {
        const int descriptor = connect_to_socket();
        ASSERT_EQ(send(descriptor, line, std::strlen(line), 0),
                  static_cast<ssize_t>(std::strlen(line)));
        shutdown(descriptor, SHUT_WR);
        const std::string answer = read_all(descriptor);
        EXPECT_TRUE(parse_json(answer).is_object()) << line << answer;
    }
    // Deep nesting, and a line without end.
    for (const std::string& text :
         {std::string(100'000, '[') + "\n", "{\"a\":" + std::string(100'000, '[') + "\n",
          std::string(kRequestBytes + 100'000, 'x')}) {
        const int descriptor = connect_to_socket();
        for (std::size_t sent = 0; sent < text.size();) {
            const ssize_t size =
                send(descriptor, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
            if (size <= 0) break;
            sent += static_cast<std::size_t>(size);
        }
        shutdown(descriptor, SHUT_WR);
        read_all(descriptor);
    }
    EXPECT_EQ(fedctl({"status"}).status, 0);
}

TEST_F(ControlTest, ManyRequestsInOneWriteAreAnsweredInOrder) {
    start();
    const int descriptor = connect_to_socket();
    std::string text;
    for (int i = 0; i < 500; ++i) text += "sysctl im.max_bytes\ncounters\n";
    ASSERT_EQ(send(descriptor, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    std::string answers;
    char buffer[4096];
    while (std::ranges::count(answers, '\n') < 1000) {
        const ssize_t size = recv(descriptor, buffer, sizeof buffer, 0);
        ASSERT_GT(size, 0);
        answers.append(buffer, static_cast<std::size_t>(size));
    }
    close(descriptor);
    std::istringstream lines(answers);
    std::string line;
    for (int i = 0; std::getline(lines, line); ++i) {
        EXPECT_EQ(parse_json(line).contains("counters"), i % 2 == 1);
    }
}

TEST_F(ControlTest, TooManyClientsAreTurnedAwayNotServedLate) {
    start();
    std::vector<int> held;
    for (int i = 0; i < 40; ++i) held.push_back(connect_to_socket());
    std::size_t closed = 0;
    while (closed < 8) {
        closed = 0;
        for (const int descriptor : held) {
            char c;
            closed += recv(descriptor, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
        }
        std::this_thread::yield();
    }
    for (const int descriptor : held) close(descriptor);
    while (fedctl({"status"}).status != 0) std::this_thread::yield();
}

TEST_F(ControlTest, MetricsAndHealthOverHttp) {
    start();
    const auto get = [this](const std::string& request) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(control_->http_port());
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(connect(descriptor, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
        send(descriptor, request.data(), request.size(), MSG_NOSIGNAL);
        return read_all(descriptor);
    };
    const std::string rest = " HTTP/1.1\r\nHost: x\r\n\r\n";
    EXPECT_NE(get("GET /metrics" + rest).find("\nfedgate_xmpp_stanzas_in_total 12\n"),
              std::string::npos);
    EXPECT_TRUE(get("GET /health" + rest).starts_with("HTTP/1.1 200 OK"));
    EXPECT_TRUE(get("GET /ready" + rest).starts_with("HTTP/1.1 200 OK"));
    EXPECT_TRUE(get("GET /nothing" + rest).starts_with("HTTP/1.1 404"));
    EXPECT_TRUE(get("POST /metrics" + rest).starts_with("HTTP/1.1 405"));
    EXPECT_TRUE(get("HEAD /health" + rest).ends_with("\r\n\r\n"));
    EXPECT_FALSE(get("\xff\xff\r\n\r\n").contains(" 200 "));
    EXPECT_FALSE(get("GET /" + std::string(20'000, 'a') + "\r\n").contains(" 200 "));
    NextHop hop;
    hop.domain = "sip.example";
    hop.name = "tls a.example:5061";
    hop.state = "down";
    hop.why = "no answer";
    host_.state.next_hops = {hop};
    const std::string not_ready = get("GET /ready" + rest);
    EXPECT_TRUE(not_ready.starts_with("HTTP/1.1 503")) << not_ready;
    EXPECT_NE(not_ready.find("no SIP next hop is up: tls a.example:5061 is down: no answer"),
              std::string::npos);
    host_.state.next_hops.front().state = "suspect";  // it has answered OPTIONS, and does not now
    EXPECT_TRUE(get("GET /ready" + rest).starts_with("HTTP/1.1 503"));
    host_.state.next_hops.front().mute = true;  // it never has
    EXPECT_TRUE(get("GET /ready" + rest).starts_with("HTTP/1.1 200"));
    host_.stuck = true;
    EXPECT_TRUE(get("GET /health" + rest).starts_with("HTTP/1.1 503"));
    EXPECT_TRUE(get("GET /ready" + rest).contains("a core does not answer"));
    EXPECT_NE(get("GET /metrics" + rest).find("\nfedgate_ready 0\n"), std::string::npos);
}

// Who is told by notify_supervisor().
class Supervisor {
public:
    Supervisor() : path_(testing::TempDir() + "fedgate-notify-" + std::to_string(getpid())) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path_.data(), path_.size());
        EXPECT_EQ(bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
        setenv("NOTIFY_SOCKET", path_.c_str(), 1);
    }
    ~Supervisor() {
        unsetenv("NOTIFY_SOCKET");
        close(descriptor_);
        unlink(path_.c_str());
    }
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    // Empty: nothing comes within this time.
    std::string next(int milliseconds) {
        pollfd wait{descriptor_, POLLIN, 0};
        char buffer[64];
        if (poll(&wait, 1, milliseconds) <= 0) return {};
        const ssize_t size = recv(descriptor_, buffer, sizeof buffer, 0);
        return {buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    }

private:
    std::string path_;
    int descriptor_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

TEST(Notify, TellsTheSupervisor) {
    Supervisor supervisor;
    notify_supervisor("READY=1");
    unsetenv("NOTIFY_SOCKET");
    notify_supervisor("STOPPING=1");  // nobody asked: nothing happens
    EXPECT_EQ(supervisor.next(0), "READY=1");
    EXPECT_EQ(supervisor.next(0), "");
}

TEST(Notify, KnowsHowOftenTheWatchdogWantsToBeTold) {
    EXPECT_EQ(watchdog_interval().count(), 0);
    setenv("WATCHDOG_USEC", "15000000", 1);
    EXPECT_EQ(watchdog_interval(), std::chrono::seconds(15));
    setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
    EXPECT_EQ(watchdog_interval(), std::chrono::seconds(15));
    setenv("WATCHDOG_PID", "1", 1);
    EXPECT_EQ(watchdog_interval().count(), 0);
    unsetenv("WATCHDOG_PID");
    for (const char* nonsense : {"-5", "", "x", "99999999999999999999"}) {
        setenv("WATCHDOG_USEC", nonsense, 1);
        EXPECT_EQ(watchdog_interval().count(), 0) << nonsense;
    }
    unsetenv("WATCHDOG_USEC");
}

TEST_F(ControlTest, TheWatchdogIsToldWhileTheCoresTurn) {
    Supervisor supervisor;
    setenv("WATCHDOG_USEC", "100000", 1);
    control_ = std::make_unique<Control>(host_, *configuration_);
    unsetenv("WATCHDOG_USEC");
    start();
    EXPECT_EQ(supervisor.next(5'000), "READY=1");
    EXPECT_EQ(supervisor.next(5'000), "WATCHDOG=1");
    host_.stuck = true;
    int under_way = 0;
    while (under_way < 3 && !supervisor.next(500).empty()) ++under_way;
    EXPECT_LT(under_way, 3);
    host_.stuck = false;
    EXPECT_EQ(supervisor.next(5'000), "WATCHDOG=1");
    stop();
}

}  // namespace
}  // namespace fedgate::admin
