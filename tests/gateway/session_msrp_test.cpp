// Sessions of the profile msrp: SESS-20..SESS-25, SESS-5, RCPT-*, CS-*.
#include "appliance/gateway/session_msrp.hpp"

#include <gtest/gtest.h>

#include "appliance/gateway/presence_host.hpp"
#include "sip/msrp_writer.hpp"
#include "tests/gateway/session_scene.hpp"
#include "tests/net/certificates.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::state_stanza;
using test::World;

const Settings kMsrpDomain = {{"domain/sip.example/profile", "msrp"},
                              {"sip.msrp.listen", "0.0.0.0:2855"},
                              {"sip.msrp.tls", "no"}};
const Settings kLongTexts = {{"im.max_bytes", "1048576"}};
const std::string kAsksReceipt = "<request xmlns='urn:xmpp:receipts'/>";

std::string msrp_sdp(const std::string& path, const std::string& more = {},
                     const std::string& types = "text/plain application/im-iscomposing+xml") {
    return "v=0\r\no=- 7 7 IN IP4 10.99.0.2\r\ns=-\r\nc=IN IP4 10.99.0.2\r\nt=0 0\r\n"
           "m=message 7777 " +
           std::string(path.starts_with("msrps") ? "TCP/TLS/MSRP" : "TCP/MSRP") +
           " *\r\na=accept-types:" + types + "\r\na=path:" + path + "\r\n" + more;
}

// The value of an a= line, or of another that is written like one.
std::string line_of(const std::string& message, const std::string& name) {
    const std::size_t at = message.find("\r\n" + name);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + 2 + name.size();
    return message.substr(begin, message.find("\r\n", begin) - begin);
}

// The MSRP half of a SIP user's agent. It listens, and connects where it is told.
class MsrpPhone final : public net::ConnectionOwner, SocketOwner {
public:
    struct Request {
        sip::MsrpMethod method;
        std::string transaction, to, from, message_id, type, body;
        bool success_wanted;
        sip::MsrpFailureReport failure;
        std::uint16_t report;  // of a REPORT
        char flag;
    };
    MsrpPhone(SimulatedLoop& loop, const char* address, net::TlsContext* tls = nullptr)
        : loop_(loop), address_(*net::parse_address(address)), tls_(tls) {
        listener_ = *loop_.listen(address_, *this);
    }
    ~MsrpPhone() { stop_listening(); }
    void stop_listening() {
        if (listens_) loop_.close(listener_);
        listens_ = false;
    }
    void connect(const SocketAddress& to) {
        is_open_ = false;
        streams_.push_back(*net::Connection::connect(loop_, *this, {1 << 20, 1 << 20}, to));
    }
    // On the connection that was made last.
    void send(const std::string& bytes) {
        unsent_ += bytes;
        flush();
    }
    void say(const std::string& to, const std::string& id, const std::string& text,
             const std::string& lines = {}, const std::string& range = {}, char flag = '$',
             const std::string& type = "text/plain") {
        const std::string size = std::to_string(text.size());
        send("MSRP t" + id + " SEND\r\nTo-Path: " + to + "\r\nFrom-Path: " + path +
             "\r\nMessage-ID: " + id.substr(0, 8) + "\r\nByte-Range: " +
             (range.empty() ? "1-" + size + "/" + size : range) + "\r\n" + lines +
             "Content-Type: " + type + "\r\n\r\n" + text + "\r\n-------t" + id + flag + "\r\n");
    }
    // RFC 4975 5.4.
    void bind(const std::string& to) {
        send("MSRP tbind SEND\r\nTo-Path: " + to + "\r\nFrom-Path: " + path +
             "\r\nMessage-ID: bind1\r\nByte-Range: 1-0/0\r\n-------tbind$\r\n");
    }
    void report(const Request& request, const std::string& status) {
        const std::string size = std::to_string(request.body.size());
        const std::string id = "trep" + std::to_string(++reports_);
        send("MSRP " + id + " REPORT\r\nTo-Path: " + request.from + "\r\nFrom-Path: " + path +
             "\r\nMessage-ID: " + request.message_id + "\r\nByte-Range: 1-" + size + "/" + size +
             "\r\nStatus: 000 " + status + "\r\n-------" + id + "$\r\n");
    }
    void respond(const Request& request, const std::string& status) {
        send("MSRP " + request.transaction + " " + status + "\r\nTo-Path: " + request.from +
             "\r\nFrom-Path: " + request.to + "\r\n-------" + request.transaction + "$\r\n");
    }
    void hang_up() { streams_.back()->close(); }
    void stop_reading() { streams_.back()->pause_input(); }
    void read_again() { streams_.back()->resume_input(); }

    std::string path = "msrp://10.99.0.2:7777/theirs;tcp";
    std::function<int(const sip::MsrpMessage&)> answer = [](const sip::MsrpMessage&) {
        return 200;
    };
    std::vector<Request> texts;  // SENDs with a body
    std::vector<Request> reports;
    std::size_t hellos = 0;  // SENDs without one
    std::vector<std::string> responses;
    std::size_t accepted = 0;
    std::size_t closed = 0;

private:
    void on_accept(Socket, Socket connection, const SocketAddress& peer) override {
        ++accepted;
        is_open_ = true;
        streams_.push_back(std::make_unique<net::Connection>(
            loop_, *this, net::ConnectionLimits{1 << 20, 1 << 20}, connection, peer));
        if (tls_ != nullptr) streams_.back()->start_tls_server(*tls_);
    }
    void on_open(net::Connection& stream) override {
        if (tls_ != nullptr) stream.start_tls_client(*tls_, "gw.example", {});
        is_open_ = tls_ == nullptr;
        flush();
    }
    void on_secured(net::Connection& stream) override {
        if (&stream != streams_.back().get()) return;
        is_open_ = true;
        flush();
    }
    void flush() {
        if (is_open_ && !unsent_.empty()) FEDGATE_CHECK(streams_.back()->write(unsent_));
        if (is_open_) unsent_.clear();
    }
    std::size_t on_data(net::Connection& stream, MutableBytes input) override {
        sip::MsrpFramer& framer = framers_.try_emplace(&stream, 1 << 20).first->second;
        std::size_t consumed = 0;
        while (true) {
            const Bytes rest(input.data() + consumed, input.size() - consumed);
            const sip::MsrpFrame frame = framer.next(rest, message_);
            if (frame.kind == sip::MsrpFrameKind::kNeedMore) return consumed;
            FEDGATE_CHECK(frame.kind == sip::MsrpFrameKind::kMessage);
            take(stream);
            consumed += frame.consumed;
        }
    }
    void take(net::Connection& stream) {
        const sip::MsrpMessage& m = message_;
        if (m.method == sip::MsrpMethod::kNone) {
            responses.push_back(std::string(m.transaction) + " " + std::to_string(m.status));
            return;
        }
        const Request request{m.method,
                              std::string(m.transaction),
                              std::string(m.to.text),
                              std::string(m.from.text),
                              std::string(m.message_id),
                              std::string(m.content_type),
                              std::string(m.body),
                              m.success_report,
                              m.failure_report,
                              m.report_status,
                              static_cast<char>(m.flag)};
        if (m.method == sip::MsrpMethod::kReport) return reports.push_back(request);
        if (m.has_body) {
            texts.push_back(request);
        } else {
            ++hellos;
        }
        const int status = answer(m);
        if (status < 0) return stream.abort({Errc::kReset, 0, "as told"});
        if (status == 0) return;
        std::vector<char> memory(limits::kMsrpAnswerBytes);
        Sink out{MutableBytes(memory)};
        sip::write_msrp_response(out, m, static_cast<std::uint16_t>(status));
        static_cast<void>(stream.write(out.written()));
    }
    void on_closed(net::Connection& stream, Error) override {
        ++closed;
        framers_.erase(&stream);
        std::erase_if(streams_, [&](const auto& one) { return one.get() == &stream; });
    }

    SimulatedLoop& loop_;
    SocketAddress address_;
    net::TlsContext* tls_;
    Socket listener_;
    bool listens_ = true;
    bool is_open_ = false;  // the connection that was made last
    std::string unsent_;
    int reports_ = 0;
    std::vector<std::unique_ptr<net::Connection>> streams_;
    std::map<net::Connection*, sip::MsrpFramer> framers_;
    sip::MsrpMessage message_;
};

class MsrpScene : public test::SessionScene {
public:
    explicit MsrpScene(const Settings& more = {}, std::uint32_t shards = 1,
                       net::TlsContext* ours = nullptr, net::TlsContext* theirs = nullptr,
                       const std::map<std::string, std::string>& names = {})
        : SessionScene(with(more), {}, shards, ours, names),
          agent(world.simulation.make_loop(world.simulation.make_node()), "10.99.0.2:7777",
                theirs) {
        usual_sdp = peer->sdp = msrp_sdp(agent.path);
    }
    static Settings with(const Settings& more) {
        Settings all = kMsrpDomain;
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    // The XMPP user writes: a session of ours.
    void write(const std::string& id, const std::string& body, const std::string& more = {}) {
        ASSERT_TRUE(world.give(World::message(id, body, "juliet", "chat", more)));
    }
    bool got(std::size_t texts) {
        return world.until([&] { return agent.texts.size() >= texts; });
    }
    // The SIP user calls and binds. Our path.
    std::string open_theirs(const std::string& branch = "i1") {
        const std::string accepted = call(usual_sdp, {}, branch);
        EXPECT_TRUE(accepted.starts_with("SIP/2.0 200 ")) << accepted;
        peer->send_tcp(world.sip_address(), in_call(accepted, "ACK", 1, {}, {}, branch));
        const std::string ours = line_of(accepted, "a=path:");
        agent.connect(world.simulation.address(world.node(), 2855));
        agent.bind(ours);
        EXPECT_TRUE(world.until([&] { return answered("tbind 200"); }));
        answer_of_call = accepted;
        return ours;
    }
    bool answered(const std::string& response) const {
        return std::ranges::find(agent.responses, response) != agent.responses.end();
    }
    // What the XMPP user was told of a stanza of his last.
    std::string told_of(const std::string& id) {
        std::string last;
        for (const std::string& one : world.edge().stanzas) {
            if (has(one, "id='" + id + "'")) last = one;
        }
        return last;
    }
    bool gets(const std::string& response) {
        return world.until([&] { return answered(response); });
    }

    MsrpPhone agent;
    std::string answer_of_call;
};

// SESS-1, SESS-3, SESS-20, SESS-21, SESS-22.
TEST(SessionMsrp, ATextOpensItAndGoesByMsrp) {
    MsrpScene scene;
    scene.write("m1", "hello", "<thread>t-1</thread>");
    ASSERT_TRUE(scene.got(1));
    const std::string invite = scene.requests("INVITE").at(0);
    EXPECT_TRUE(has(invite, "\r\nm=message 2855 TCP/MSRP *\r\n")) << invite;
    EXPECT_EQ(line_of(invite, "a=accept-types:"), "text/plain application/im-iscomposing+xml");
    EXPECT_EQ(line_of(invite, "a=max-size:"), "32768");
    EXPECT_EQ(line_of(invite, "a=setup:"), "");
    EXPECT_EQ(header_of(invite, "Ms-Conversation-ID"), "");
    EXPECT_EQ(header_of(invite, "Call-ID"), "t-1");
    const std::string path = line_of(invite, "a=path:");
    EXPECT_TRUE(path.starts_with("msrp://gw.example:2855/")) << path;
    EXPECT_EQ(scene.agent.hellos, 1u);
    const MsrpPhone::Request text = scene.agent.texts.at(0);
    EXPECT_EQ(text.body, "hello");
    EXPECT_EQ(text.type, "text/plain;charset=UTF-8");
    EXPECT_EQ(text.to, scene.agent.path);
    EXPECT_EQ(text.from, path);
    EXPECT_EQ(text.failure, sip::MsrpFailureReport::kYes);
    scene.write("m2-x", "again");
    ASSERT_TRUE(scene.got(2));
    EXPECT_EQ(scene.agent.texts.at(1).transaction, "m2-x");  // it may be one
    EXPECT_EQ(scene.requests("INVITE").size(), 1u);
    EXPECT_TRUE(scene.requests("MESSAGE").empty());
    scene.world.pass(1s);
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sDelivered), 2u);
    EXPECT_EQ(scene.open(), 1u);
}

// RFC 4975 7.1: in chunks, in order, none of it lost.
TEST(SessionMsrp, ALongTextGoesInChunks) {
    MsrpScene scene;
    std::string text;
    for (int i = 0; text.size() < 9'000; ++i) text += std::to_string(i) + " ";
    scene.write("m1", text);
    scene.write("m2", "behind");
    ASSERT_TRUE(scene.world.until(
        [&] { return !scene.agent.texts.empty() && scene.agent.texts.back().body == "behind"; }));
    std::string whole;
    for (const auto& one : scene.agent.texts) {
        if (one.body != "behind") whole += one.body;
    }
    EXPECT_EQ(whole, text);
    EXPECT_EQ(scene.agent.texts.size(), 6u);
    EXPECT_EQ(scene.agent.texts.at(3).flag, '+');
    EXPECT_EQ(scene.agent.texts.at(4).flag, '$');
}

// SESS-10, SESS-20, SESS-21, SESS-23.
TEST(SessionMsrp, TheSipUserCallsAndTheyTalk) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    EXPECT_TRUE(has(scene.answer_of_call, "\r\nm=message 2855 TCP/MSRP *\r\n"));
    scene.agent.say(ours, "one1", "hello");
    ASSERT_TRUE(scene.gets("tone1 200"));
    ASSERT_TRUE(scene.told("<body>hello</body>"));
    const std::string stanza = scene.world.edge().stanzas.back();
    EXPECT_TRUE(has(stanza, "type='chat'"));
    EXPECT_TRUE(has(stanza, "<thread>call-i1</thread>"));
    // In pieces, the second first.
    scene.agent.say(ours, "two2aaaa1", "llo", {}, "3-5/5");
    scene.agent.say(ours, "two2aaaa2", "he", {}, "1-2/5", '+');
    ASSERT_TRUE(scene.gets("ttwo2aaaa2 200"));
    EXPECT_TRUE(scene.world.until([&] { return scene.world.edge().stanzas.size() == 2; }));
    EXPECT_TRUE(has(scene.world.edge().stanzas.back(), "<body>hello</body>"));
    // The answer goes by the same session.
    scene.write("m1", "welcome");
    ASSERT_TRUE(scene.got(1));
    EXPECT_TRUE(scene.requests("INVITE").empty());
    EXPECT_EQ(scene.agent.texts.at(0).body, "welcome");
    EXPECT_EQ(scene.world.count(Counter::kMessagesS2xDelivered), 2u);
}

// SESS-21, RFC 6135: their a=setup is answered, and held to.
TEST(SessionMsrp, WhoConnectsIsAgreed) {
    MsrpScene scene;
    const std::string answer = scene.call(msrp_sdp(scene.agent.path, "a=setup:passive\r\n"));
    EXPECT_EQ(line_of(answer, "a=setup:"), "active");
    scene.acknowledge(answer);
    ASSERT_TRUE(scene.world.until([&] { return scene.agent.hellos == 1; }));
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    MsrpScene other;
    EXPECT_EQ(line_of(other.call(msrp_sdp(other.agent.path, "a=setup:actpass\r\n")), "a=setup:"),
              "passive");
    EXPECT_TRUE(other.call(msrp_sdp(other.agent.path, "a=setup:holdconn\r\n"), {}, "h1")
                    .starts_with("SIP/2.0 488 "));
    // Who says that he connects is waited for.
    MsrpScene third;
    const std::string passive = third.call(msrp_sdp(third.agent.path, "a=setup:active\r\n"));
    EXPECT_EQ(line_of(passive, "a=setup:"), "passive");
    third.acknowledge(passive);
    third.world.pass(1s);
    EXPECT_EQ(third.agent.accepted, 0u);
    third.agent.connect(third.world.simulation.address(third.world.node(), 2855));
    third.agent.bind(line_of(passive, "a=path:"));
    ASSERT_TRUE(third.gets("tbind 200"));
    third.write("m1", "hello");
    ASSERT_TRUE(third.got(1));
    // And in an answer to our offer.
    MsrpScene fourth;
    fourth.peer->sdp = msrp_sdp(fourth.agent.path, "a=setup:active\r\n");
    fourth.write("m1", "hello");
    ASSERT_TRUE(fourth.sent("ACK"));
    fourth.world.pass(1s);
    EXPECT_EQ(fourth.agent.accepted, 0u);
    fourth.agent.connect(fourth.world.simulation.address(fourth.world.node(), 2855));
    fourth.agent.bind(line_of(fourth.requests("INVITE").at(0), "a=path:"));
    ASSERT_TRUE(fourth.got(1));
}

// SESS-11: our offer is in the 2xx, and we connect.
TEST(SessionMsrp, AnInviteWithoutAnOfferGetsOurs) {
    MsrpScene scene;
    const std::string answer = scene.call("");
    EXPECT_FALSE(line_of(answer, "a=path:").empty());
    scene.acknowledge(answer, scene.usual_sdp);
    ASSERT_TRUE(scene.world.until([&] { return scene.agent.hellos == 1; }));
}

// SESS-20: in the clear or by TLS, as sip.msrp.tls says, never the other. No other offer is good.
TEST(SessionMsrp, WhatIsNoSessionOfOursIsRefused) {
    MsrpScene scene;
    const std::string lync =
        "v=0\r\no=- 0 0 IN IP4 10.99.0.1\r\ns=session\r\nc=IN IP4 10.99.0.1\r\nt=0 0\r\n"
        "m=message 5060 sip null\r\na=accept-types:text/plain\r\n";
    const std::string refusal = scene.call(lync, {}, "a1");
    EXPECT_TRUE(refusal.starts_with("SIP/2.0 488 "));
    EXPECT_EQ(header_of(refusal, "ms-diagnostics-public"), "");
    EXPECT_TRUE(
        scene.call(msrp_sdp("msrps://10.99.0.2:7777/x;tcp"), {}, "a2").starts_with("SIP/2.0 488 "));
    EXPECT_TRUE(
        scene.call(msrp_sdp("msrp://10.99.0.2:99999/x;tcp"), {}, "a3").starts_with("SIP/2.0 488 "));
    EXPECT_EQ(scene.open(), 0u);
    // Of two lines the one that can be.
    const std::string both = msrp_sdp("msrps://10.99.0.2:7777/x;tcp") +
                             scene.usual_sdp.substr(scene.usual_sdp.find("m=message"));
    EXPECT_TRUE(scene.call(both, {}, "a4").starts_with("SIP/2.0 200 "));
}

// RFC 4975 7.3, 14.1: who does not know the session, or another one's.
TEST(SessionMsrp, ForgedRequestsAreInNoSession) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    std::string wrong = ours;
    wrong.replace(wrong.rfind('/') + 1, 3, "zzz");
    scene.agent.say(wrong, "bad1", "x");
    ASSERT_TRUE(scene.gets("tbad1 481"));
    // By another connection than its own.
    scene.agent.connect(scene.world.simulation.address(scene.world.node(), 2855));
    scene.agent.say(ours, "bad2", "x");
    ASSERT_TRUE(scene.gets("tbad2 506"));
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
}

// SESS-23: too long, or of a type that was not offered.
TEST(SessionMsrp, WhatIsNotTakenIsSaid) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    scene.agent.say(ours, "big1", "x", {}, "1-1/40000", '+');
    ASSERT_TRUE(scene.gets("tbig1 413"));
    scene.agent.say(ours, "typ1", "x", {}, {}, '$', "image/png");
    ASSERT_TRUE(scene.gets("ttyp1 415"));
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
    EXPECT_EQ(scene.open(), 1u);
}

// RCPT-1, RCPT-3: the REPORT is the receipt, and the 200 is none.
TEST(SessionMsrp, AReportIsAReceipt) {
    MsrpScene scene;
    scene.write("m1", "hello", kAsksReceipt);
    ASSERT_TRUE(scene.got(1));
    EXPECT_TRUE(scene.agent.texts.at(0).success_wanted);
    scene.world.pass(1s);
    EXPECT_FALSE(scene.tells("<received"));
    scene.agent.report(scene.agent.texts.at(0), "200 OK");
    ASSERT_TRUE(scene.told("<received xmlns='urn:xmpp:receipts' id='m1'/>"));
    EXPECT_TRUE(has(scene.world.edge().stanzas.back(), "type='chat'"));
    scene.write("m2", "again");
    ASSERT_TRUE(scene.got(2));
    EXPECT_FALSE(scene.agent.texts.at(1).success_wanted);
    // One that comes before the 200 says both.
    scene.agent.answer = [](const sip::MsrpMessage&) { return 0; };
    scene.write("m3", "third", kAsksReceipt);
    ASSERT_TRUE(scene.got(3));
    scene.agent.report(scene.agent.texts.at(2), "200 OK");
    ASSERT_TRUE(scene.told("id='m3'/>"));
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sDelivered), 3u);
}

// RFC 4975 7.1.2, RCPT-8: a relay behind the peer has lost what the peer has taken. Its sender is
// told, once, if it is news to him: not where its reader has acknowledged it, nor a minute later.
TEST(SessionMsrp, AFailureBehindThe200IsTold) {
    MsrpScene scene;
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.world.pass(1s);
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sDelivered), 1u);
    scene.agent.report(scene.agent.texts.at(0), "408 Gone");
    scene.agent.report(scene.agent.texts.at(0), "408 Gone");
    ASSERT_TRUE(scene.told("id='m1'"));
    scene.world.pass(1s);
    ASSERT_EQ(scene.world.edge().stanzas.size(), 1u);
    const std::string error = scene.world.edge().stanzas.back();
    EXPECT_TRUE(has(error, "<message"));
    EXPECT_TRUE(has(error, "type='error'"));
    EXPECT_TRUE(has(error, "from='romeo@sip.example'"));
    EXPECT_TRUE(has(error, "to='juliet@xmpp.example/balcony'"));
    EXPECT_TRUE(has(error, "<remote-server-timeout"));
    EXPECT_EQ(scene.open(), 1u);  // SESS-25 is of answers
    // Who waits for a receipt has none yet.
    scene.write("m2", "again", kAsksReceipt);
    ASSERT_TRUE(scene.got(2));
    scene.world.pass(1s);
    scene.agent.report(scene.agent.texts.at(1), "403 No");
    ASSERT_TRUE(scene.told("id='m2'"));
    EXPECT_TRUE(has(scene.world.edge().stanzas.back(), "<forbidden"));
    // A receipt is not unsaid.
    scene.write("m3", "third", kAsksReceipt);
    ASSERT_TRUE(scene.got(3));
    scene.world.pass(1s);
    scene.agent.report(scene.agent.texts.at(2), "200 OK");
    ASSERT_TRUE(scene.told("<received xmlns='urn:xmpp:receipts' id='m3'/>"));
    scene.agent.report(scene.agent.texts.at(2), "408 Gone");
    scene.world.pass(1s);
    EXPECT_EQ(scene.world.edge().stanzas.size(), 3u);
    // What was not asked for makes no receipt.
    scene.write("m4", "fourth");
    ASSERT_TRUE(scene.got(4));
    scene.world.pass(1s);
    scene.agent.report(scene.agent.texts.at(3), "200 OK");
    scene.write("m5", "fifth");
    ASSERT_TRUE(scene.got(5));
    scene.world.pass(61s);
    scene.agent.report(scene.agent.texts.at(4), "408 Gone");
    scene.world.pass(1s);
    EXPECT_EQ(scene.world.edge().stanzas.size(), 3u);
    // Without room at the edge it waits, and is not lost.
    scene.write("m6", "sixth");
    ASSERT_TRUE(scene.got(6));
    scene.world.pass(1s);
    scene.world.edge().refuse = 5;
    scene.agent.report(scene.agent.texts.at(5), "408 Gone");
    ASSERT_TRUE(scene.told("id='m6'"));
}

// Of those that may yet fail a session knows the last, and their memory goes.
TEST(SessionMsrp, WhatMayFailIsBounded) {
    MsrpScene scene;
    for (std::size_t i = 0; i <= limits::kMsrpMayFail; ++i) {
        scene.write("m" + std::to_string(i), "hello " + std::to_string(i));
        ASSERT_TRUE(scene.got(i + 1));
    }
    scene.world.pass(1s);
    for (const auto& text : scene.agent.texts) scene.agent.report(text, "408 Gone");
    scene.world.pass(1s);
    EXPECT_EQ(scene.world.edge().stanzas.size(), limits::kMsrpMayFail);
    EXPECT_FALSE(scene.tells("id='m0'"));
}

// RCPT-2, RCPT-4: who asks is told once its reader says so.
TEST(SessionMsrp, AReceiptIsAReport) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    scene.agent.say(ours, "one=1", "hello", "Success-Report: yes\r\n");
    ASSERT_TRUE(scene.told("<body>hello</body>"));
    const std::string stanza = scene.world.edge().stanzas.back();
    EXPECT_TRUE(has(stanza, "<request xmlns='urn:xmpp:receipts'/>"));
    scene.world.pass(1s);
    EXPECT_TRUE(scene.agent.reports.empty());
    const auto gives = [&](const std::string& what) {
        const std::size_t id = stanza.find(" id='") + 5;
        ASSERT_TRUE(scene.world.give(
            "<message from='juliet@xmpp.example/balcony' to='romeo@sip.example' id='r1'>" + what +
            " id='" + stanza.substr(id, stanza.find('\'', id) - id) + "'/></message>"));
    };
    gives("<displayed xmlns='urn:xmpp:chat-markers:0'");  // was not asked for
    scene.world.pass(1s);
    EXPECT_TRUE(scene.agent.reports.empty());
    gives("<received xmlns='urn:xmpp:receipts'");
    ASSERT_TRUE(scene.world.until([&] { return !scene.agent.reports.empty(); }));
    EXPECT_EQ(scene.agent.reports.at(0).report, 200);
    EXPECT_EQ(scene.agent.reports.at(0).message_id, "one=1");
    scene.agent.say(ours, "two2", "again");
    ASSERT_TRUE(scene.told("<body>again</body>"));
    EXPECT_FALSE(has(scene.world.edge().stanzas.back(), "<request"));
}

// RFC 4975 7.1.2: its 200 was ours, so that the partner has refused it says a REPORT.
TEST(SessionMsrp, WhatNoPartnerTakesIsReported) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    scene.world.edge().fault = link::Fault::kUnreachable;
    scene.agent.say(ours, "one1", "hello");
    ASSERT_TRUE(scene.world.until([&] { return !scene.agent.reports.empty(); }));
    EXPECT_EQ(scene.agent.reports.at(0).report, 408);
    EXPECT_EQ(scene.agent.reports.at(0).message_id, "one1");
    scene.world.edge().fault = link::Fault::kBlocked;
    scene.agent.say(ours, "two2", "hello");
    ASSERT_TRUE(scene.world.until([&] { return scene.agent.reports.size() == 2; }));
    EXPECT_EQ(scene.agent.reports.at(1).report, 403);
    scene.agent.say(ours, "thr3", "hello", "Failure-Report: no\r\n");
    scene.world.pass(2s);
    EXPECT_EQ(scene.agent.reports.size(), 2u);
    EXPECT_EQ(scene.open(), 1u);
}

// IM-50: a bounce that comes later is a text.
TEST(SessionMsrp, ALateBounceIsTold) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    scene.agent.say(ours, "one1", "hello");
    ASSERT_TRUE(scene.told("<body>hello</body>"));
    scene.world.pass(10s);
    const std::string stanza = scene.world.edge().stanzas.back();
    const std::size_t id = stanza.find(" id='") + 5;
    ASSERT_TRUE(scene.world.give(
        "<message type='error' from='juliet@xmpp.example' to='romeo@sip.example' id='" +
        stanza.substr(id, stanza.find('\'', id) - id) +
        "'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        "</error></message>"));
    ASSERT_TRUE(scene.got(1));
    EXPECT_TRUE(has(scene.agent.texts.at(0).body, "could not be delivered"));
}

// CS-1..CS-6, CS-10.
TEST(SessionMsrp, TypingBothWays) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    ASSERT_TRUE(scene.world.give(state_stanza("composing")));
    ASSERT_TRUE(scene.got(1));
    EXPECT_EQ(scene.agent.texts.at(0).type, "application/im-iscomposing+xml");
    EXPECT_TRUE(has(scene.agent.texts.at(0).body, "<state>active</state>"));
    ASSERT_TRUE(scene.world.give(state_stanza("paused")));
    ASSERT_TRUE(scene.got(2));
    EXPECT_TRUE(has(scene.agent.texts.at(1).body, "<state>idle</state>"));
    const std::string types =
        "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state>"
        "</isComposing>";
    scene.agent.say(ours, "typ1", types, {}, {}, '$', "application/im-iscomposing+xml");
    ASSERT_TRUE(scene.told("<composing xmlns='http://jabber.org/protocol/chatstates'/>"));
    // CS-9: who can't show it is not told, and who refuses it is spared.
    MsrpScene other;
    other.usual_sdp = msrp_sdp(other.agent.path, {}, "text/plain");
    other.open_theirs();
    ASSERT_TRUE(other.world.give(state_stanza("composing")));
    other.world.pass(1s);
    EXPECT_TRUE(other.agent.texts.empty());
    MsrpScene third;
    third.open_theirs();
    third.agent.answer = [](const sip::MsrpMessage&) { return 415; };
    ASSERT_TRUE(third.world.give(state_stanza("composing")));
    ASSERT_TRUE(third.got(1));
    third.world.pass(1s);
    EXPECT_EQ(third.open(), 1u);
    EXPECT_TRUE(third.world.edge().stanzas.empty());
}

// SESS-7, SESS-8.
TEST(SessionMsrp, EitherMayLeaveAndSilenceEndsIt) {
    MsrpScene scene;
    scene.open_theirs();
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(scene.answer_of_call, "BYE", 2));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_TRUE(scene.world.until([&] { return scene.agent.closed == 1; }));
    scene.write("m1", "wait");
    ASSERT_TRUE(scene.got(1));
    ASSERT_TRUE(scene.world.give(state_stanza("gone")));
    ASSERT_TRUE(scene.sent("BYE"));
    scene.world.pass(1s);
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_EQ(scene.agent.closed, 2u);
    scene.write("m2", "once more");
    ASSERT_TRUE(scene.got(2));
    scene.world.pass(11min);
    EXPECT_EQ(scene.requests("BYE").size(), 2u);
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_EQ(scene.agent.closed, 3u);
}

// SESS-8: who only types says nothing.
TEST(SessionMsrp, TypingKeepsNoneOpen) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    scene.world.pass(9min);
    scene.agent.say(ours, "typ1",
                    "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'>"
                    "<state>active</state></isComposing>",
                    {}, {}, '$', "application/im-iscomposing+xml");
    ASSERT_TRUE(scene.gets("ttyp1 200"));
    scene.world.pass(2min);
    EXPECT_EQ(scene.requests("BYE").size(), 1u);
}

// RFC 4975 5.4: several sessions of one agent go by one connection.
TEST(SessionMsrp, AConnectionIsUsedAgain) {
    MsrpScene scene;
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    ASSERT_TRUE(scene.world.give(World::message("m2", "hi", "nurse")));
    ASSERT_TRUE(scene.got(2));
    EXPECT_EQ(scene.requests("INVITE").size(), 2u);
    EXPECT_EQ(scene.agent.hellos, 2u);
    EXPECT_EQ(scene.agent.accepted, 1u);
    ASSERT_TRUE(scene.world.give(state_stanza("gone")));
    ASSERT_TRUE(scene.sent("BYE"));
    scene.world.pass(1s);
    EXPECT_EQ(scene.agent.closed, 0u);
    EXPECT_EQ(scene.open(), 1u);
}

// RFC 4975 5.4: not by one that is just going down, though its end takes a while.
TEST(SessionMsrp, AConnectionThatIsGoingIsNotUsedAgain) {
    MsrpScene scene;
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.world.pass(1s);
    scene.agent.stop_reading();  // nor does it close its side
    scene.agent.send("no MSRP\r\n");
    scene.world.pass(1s);
    ASSERT_TRUE(scene.world.give(World::message("m2", "hi", "nurse")));
    ASSERT_TRUE(scene.world.until([&] { return scene.agent.texts.size() == 2; }, 2s));
    EXPECT_EQ(scene.agent.accepted, 2u);
    // What was known of the new one is not forgotten with the old one.
    scene.world.pass(10s);
    ASSERT_TRUE(scene.world.give(World::message("m3", "hi", "friar")));
    ASSERT_TRUE(scene.got(3));
    EXPECT_EQ(scene.agent.accepted, 2u);
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
}

// Nor is anybody bound to it by what came behind the last word of its last session.
TEST(SessionMsrp, ASessionIsNotBoundToAConnectionThatIsGoing) {
    MsrpScene scene;
    scene.open_theirs();
    scene.agent.answer = [](const sip::MsrpMessage&) { return 0; };
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(scene.answer_of_call, "BYE", 2));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    const std::string accepted = scene.call(scene.usual_sdp, {}, "i2");
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_call(accepted, "ACK", 1, {}, {}, "i2"));
    const std::string ours = line_of(accepted, "a=path:");
    scene.world.pass(100ms);
    scene.agent.responses.clear();
    scene.agent.respond(scene.agent.texts.at(0), "200 OK");
    scene.agent.bind(ours);
    ASSERT_TRUE(scene.world.until([&] { return scene.agent.closed == 1; }));
    EXPECT_TRUE(scene.agent.responses.empty());
    scene.agent.connect(scene.world.simulation.address(scene.world.node(), 2855));
    scene.agent.bind(ours);
    ASSERT_TRUE(scene.gets("tbind 200"));
    scene.agent.say(ours, "one1", "hello");
    ASSERT_TRUE(scene.told("<body>hello</body>"));
}

// SESS-25: 481 and a connection that breaks: by another session, once, and nothing is lost.
TEST(SessionMsrp, WhatHadNoAnswerGoesByTheNextSession) {
    MsrpScene scene;
    scene.write("m1", "one");
    ASSERT_TRUE(scene.got(1));
    scene.world.pass(1s);
    int dead = 1;
    scene.agent.answer = [&](const sip::MsrpMessage& m) {
        return m.has_body && dead-- > 0 ? 481 : 200;
    };
    scene.write("m2", "two");
    ASSERT_TRUE(scene.got(3));
    EXPECT_EQ(scene.agent.texts.at(2).body, "two");
    EXPECT_EQ(scene.requests("INVITE").size(), 2u);
    ASSERT_TRUE(scene.sent("BYE"));
    scene.world.pass(1s);
    dead = 1;
    scene.agent.answer = [&](const sip::MsrpMessage& m) {
        return m.has_body && dead-- > 0 ? -1 : 200;
    };
    scene.write("m3", "three");
    ASSERT_TRUE(scene.got(5));
    EXPECT_EQ(scene.agent.texts.at(4).body, "three");
    scene.world.pass(1s);
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
    EXPECT_EQ(scene.open(), 1u);
    // Twice is an error.
    scene.agent.answer = [](const sip::MsrpMessage& m) { return m.has_body ? 481 : 200; };
    scene.write("m4", "four");
    ASSERT_TRUE(scene.told("<item-not-found"));
    EXPECT_EQ(scene.agent.texts.size(), 7u);
    scene.world.pass(1s);
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_EQ(scene.world.edge().stanzas.size(), 1u);
}

// SESS-25: each with its own error, and BYE.
TEST(SessionMsrp, WhatIsRefusedIsAnErrorAndEndsIt) {
    const std::pair<int, std::string> kAll[] = {
        {413, "<policy-violation"}, {415, "<not-acceptable"}, {0, "<remote-server-timeout"}};
    for (const auto& [status, condition] : kAll) {
        MsrpScene scene;
        scene.agent.answer = [&](const sip::MsrpMessage& m) { return m.has_body ? status : 200; };
        scene.write("m1", "hello");
        ASSERT_TRUE(scene.told(condition)) << status;
        EXPECT_TRUE(scene.tells("id='m1'"));
        ASSERT_TRUE(scene.sent("BYE"));
        scene.world.pass(1s);
        EXPECT_EQ(scene.open(), 0u);
        EXPECT_EQ(scene.requests("INVITE").size(), 1u);
        EXPECT_EQ(scene.world.edge().stanzas.size(), 1u);
    }
}

// Without an answer twice it may have arrived the first time, or the second.
TEST(SessionMsrp, WhatIsLostTwiceIsInDoubt) {
    MsrpScene scene;
    scene.agent.answer = [](const sip::MsrpMessage& m) { return m.has_body ? -1 : 200; };
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.told("id='m1'"));
    EXPECT_EQ(scene.agent.texts.size(), 2u);
    EXPECT_TRUE(has(scene.told_of("m1"), "may or may not have arrived"));
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sInDoubt), 1u);
}

// So it is where the second time it only waits for room when the other side leaves.
TEST(SessionMsrp, WhatWasLostAndWaitsForRoomIsInDoubt) {
    MsrpScene scene(kLongTexts);
    const std::string kLong(950'000, 'x');
    const auto others_write = [&](const std::string& text) {
        for (const std::string user : {"nurse", "friar", "tybalt"}) {
            ASSERT_TRUE(scene.world.give(World::message("o1", text, user)));
        }
    };
    scene.write("m0", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.world.pass(1s);
    scene.agent.answer = [](const sip::MsrpMessage& m) { return m.has_body ? -1 : 0; };
    scene.write("m1", kLong);
    ASSERT_TRUE(scene.world.until([&] { return scene.agent.hellos == 2; }));
    const std::string invite = scene.requests("INVITE").back();
    // By its new connection so much is to go that there is no room for it.
    scene.agent.answer = [](const sip::MsrpMessage&) { return 200; };
    scene.agent.texts.clear();
    others_write("hello");
    ASSERT_TRUE(scene.got(3));
    scene.world.pass(1s);
    EXPECT_EQ(scene.agent.accepted, 2u);
    scene.agent.stop_reading();
    others_write(kLong);
    scene.world.pass(1s);
    scene.agent.bind(line_of(invite, "a=path:"));  // its hello has no answer yet
    scene.world.pass(1s);
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
    scene.peer->send_back(scene.in_ours(invite, "BYE", 1));
    ASSERT_TRUE(scene.world.until([&] { return scene.tells("id='m1'"); }, 1s));
    EXPECT_TRUE(has(scene.told_of("m1"), "may or may not have arrived"));
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sInDoubt), 1u);
}

// SESS-4, SESS-25: nobody is there.
TEST(SessionMsrp, WhereNobodyListensEachTextHasItsError) {
    MsrpScene scene;
    scene.agent.stop_listening();
    scene.write("m1", "hello");
    scene.write("m2", "again");
    ASSERT_TRUE(scene.told("id='m1'"));
    ASSERT_TRUE(scene.told("id='m2'"));
    ASSERT_TRUE(scene.sent("BYE"));
    scene.world.pass(1s);
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_EQ(scene.requests("INVITE").size(), 1u);
    // A name that leads nowhere.
    MsrpScene third;
    third.peer->sdp = msrp_sdp("msrp://nowhere.example:7777/theirs;tcp");
    third.write("m1", "hello");
    ASSERT_TRUE(third.told("id='m1'"));
    ASSERT_TRUE(third.sent("BYE"));
    // A caller who never connects.
    MsrpScene other;
    other.acknowledge(other.call());
    other.write("m1", "hello");
    ASSERT_TRUE(other.told("id='m1'"));
    ASSERT_TRUE(other.sent("BYE"));
    other.world.pass(1s);
    EXPECT_EQ(other.open(), 0u);
}

// SESS-5.
TEST(SessionMsrp, WithoutSessionsOverThereTextsGoOneByOne) {
    MsrpScene scene;
    scene.peer->answer = [](const sip::Message& request) {
        return request.method == sip::Method::kInvite ? 488 : 200;
    };
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_TRUE(scene.requests("MESSAGE").at(0).ends_with("\r\n\r\nhello"));
    scene.write("m2", "again");
    ASSERT_TRUE(scene.sent("MESSAGE", 2));
    EXPECT_EQ(scene.requests("INVITE").size(), 1u);
    // A 200 whose description is no MSRP is none.
    MsrpScene other;
    other.peer->sdp =
        "v=0\r\no=- 0 0 IN IP4 10.99.0.1\r\ns=-\r\nc=IN IP4 10.99.0.1\r\nt=0 0\r\n"
        "m=message 5060 sip null\r\n";
    other.write("m1", "hello");
    ASSERT_TRUE(other.sent("BYE"));
    ASSERT_TRUE(other.sent("MESSAGE"));
}

// SESS-1: what is no chat goes by itself.
TEST(SessionMsrp, OnlyChatsHaveSessions) {
    MsrpScene scene;
    ASSERT_TRUE(scene.world.give(World::message("m1", "news", "juliet", "normal")));
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_TRUE(scene.requests("INVITE").empty());
}

// SESS-12: it stays at its path.
TEST(SessionMsrp, ANewOfferInItIsAnswered) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    const std::string contact =
        "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\nContent-Type: application/sdp\r\n";
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(scene.answer_of_call, "INVITE", 2,
                                                                  scene.usual_sdp, contact));
    const std::string again = scene.final_answer("INVITE");
    EXPECT_TRUE(again.starts_with("SIP/2.0 200 "));
    EXPECT_EQ(again.substr(again.find("v=0")),
              scene.answer_of_call.substr(scene.answer_of_call.find("v=0")));
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(scene.answer_of_call, "ACK", 2));
    scene.world.pass(100ms);
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_call(scene.answer_of_call, "INVITE", 3,
                                       msrp_sdp("msrp://10.99.0.2:7777/other;tcp"), contact));
    EXPECT_TRUE(scene.final_answer("INVITE").starts_with("SIP/2.0 488 "));
    scene.agent.say(ours, "one1", "hello");
    ASSERT_TRUE(scene.told("<body>hello</body>"));
}

// GEN-5: an edge without room holds texts back, and loses none.
TEST(SessionMsrp, WithoutRoomAtTheEdgeTextsWait) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    scene.world.edge().refuse = 500;
    for (int i = 0; i < 100; ++i) {
        scene.agent.say(ours, "n" + std::to_string(1'000 + i), "text " + std::to_string(i));
    }
    ASSERT_TRUE(scene.world.until([&] { return scene.world.edge().stanzas.size() == 100; }));
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(has(scene.world.edge().stanzas.at(static_cast<std::size_t>(i)),
                        "<body>text " + std::to_string(i) + "</body>"));
    }
    // Beyond kMsrpGiven they are refused: others of the connection must go on.
    scene.world.edge().at_once = false;
    for (int i = 0; i < 300; ++i) {
        scene.agent.say(ours, "k" + std::to_string(1'000 + i), "more " + std::to_string(i));
    }
    ASSERT_TRUE(scene.gets("tk1128 413"));
    EXPECT_TRUE(scene.answered("tk1127 200"));
    scene.world.pass(2s);
    EXPECT_EQ(scene.world.edge().stanzas.size(), 100u + kMsrpGiven);
}

// A peer that does not read holds its texts up, and then loses the session, not them.
TEST(SessionMsrp, WhoDoesNotReadLosesItsSession) {
    MsrpScene scene;
    scene.write("m0", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.agent.stop_reading();
    scene.write("m1", "unread");
    scene.world.pass(20s);
    EXPECT_EQ(scene.open(), 1u);
    ASSERT_TRUE(scene.told("<remote-server-timeout"));
    EXPECT_TRUE(scene.tells("id='m1'"));
    ASSERT_TRUE(scene.sent("BYE"));
}

// Each shard has a port of its own, and its sessions say so.
TEST(SessionMsrp, ASessionIsReachedAtItsShardsPort) {
    MsrpScene scene({}, 2);
    for (const std::string user : {"romeo", "mercutio", "tybalt", "paris", "benvolio"}) {
        std::string invite = World::request("c" + user, scene.usual_sdp,
                                            "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
                                            "Content-Type: application/sdp\r\n",
                                            "TCP", "sip:juliet@xmpp.example",
                                            "sip:" + user + "@sip.example", "INVITE");
        scene.peer->send_tcp(scene.world.sip_address(), invite);
        const std::string answer = scene.final_answer("INVITE");
        ASSERT_TRUE(answer.starts_with("SIP/2.0 200 ")) << answer;
        const std::uint32_t owner =
            owner_shard({7, 11}, "juliet@xmpp.example", user + "@sip.example", 2);
        const std::string port = std::to_string(2855 + owner);
        const std::string ours = line_of(answer, "a=path:");
        EXPECT_TRUE(has(ours, ":" + port + "/")) << ours;
        EXPECT_TRUE(has(answer, "m=message " + port + " "));
        scene.agent.responses.clear();
        scene.agent.connect(scene.world.simulation.address(
            scene.world.node(), static_cast<std::uint16_t>(2855 + owner)));
        scene.agent.bind(ours);
        EXPECT_TRUE(scene.gets("tbind 200"));
    }
}

// SIP-31, SESS-20: whoever is to be reached by TLS proves his host or his domain.
TEST(SessionMsrp, ByTlsAndToNobodyElse) {
    const auto& certificates = net::test::Certificates::get();
    const auto ours = certificates.context({"chained"});
    const auto theirs = certificates.context({"second"});
    const Settings by_tls = {{"sip.msrp.tls", "yes"},
                             {"tls.sip.certificate", certificates.path("chained.pem")},
                             {"tls.sip.key", certificates.path("chained.key")}};
    for (const std::string host : {"second.example", "wrong.example"}) {
        MsrpScene scene(by_tls, 1, ours.get(), theirs.get(), {{host, "10.99.0.2"}});
        scene.agent.path = "msrps://" + host + ":7777/theirs;tcp";
        scene.usual_sdp = scene.peer->sdp = msrp_sdp(scene.agent.path);
        scene.write("m1", "hello");
        if (host == "wrong.example") {
            ASSERT_TRUE(scene.told("<remote-server-timeout"));
            EXPECT_EQ(scene.agent.hellos, 0u);
            continue;
        }
        ASSERT_TRUE(scene.got(1));
        EXPECT_TRUE(has(scene.requests("INVITE").at(0), " TCP/TLS/MSRP *"));
        EXPECT_EQ(scene.agent.texts.at(0).body, "hello");
        // And the other way: who connects is known by the session that he knows.
        scene.agent.texts.clear();
        ASSERT_TRUE(scene.world.give(state_stanza("gone")));
        ASSERT_TRUE(scene.sent("BYE"));
        scene.world.pass(1s);
        const std::string path = scene.open_theirs();
        EXPECT_TRUE(path.starts_with("msrps://")) << path;
        scene.agent.say(path, "one1", "hello");
        ASSERT_TRUE(scene.told("<body>hello</body>"));
    }
}

// The BYE goes another way than the 200, and may be faster: the text is not sent twice.
TEST(SessionMsrp, AnAnswerThatIsSlowerThanTheByeCounts) {
    MsrpScene scene;
    scene.open_theirs();
    scene.agent.answer = [](const sip::MsrpMessage&) { return 0; };
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(scene.answer_of_call, "BYE", 2));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    scene.agent.respond(scene.agent.texts.at(0), "200 OK");
    scene.world.pass(10s);
    EXPECT_TRUE(scene.requests("INVITE").empty());
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sDelivered), 1u);
    // Without one it goes by the next.
    scene.open_theirs("i2");
    scene.write("m2", "again");
    ASSERT_TRUE(scene.got(2));
    scene.peer->send_tcp(scene.world.sip_address(),
                         scene.in_call(scene.answer_of_call, "BYE", 2, {}, {}, "i2"));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    scene.agent.answer = [](const sip::MsrpMessage&) { return 200; };
    ASSERT_TRUE(scene.got(3));
    EXPECT_EQ(scene.agent.texts.at(2).body, "again");
    EXPECT_EQ(scene.requests("INVITE").size(), 1u);
}

// So it is where the BYE is ours.
TEST(SessionMsrp, AnAnswerThatIsSlowerThanOurByeCounts) {
    MsrpScene scene;
    const std::string accepted =
        scene.call(scene.usual_sdp, "Supported: timer\r\nSession-Expires: 90\r\n");
    scene.acknowledge(accepted);
    scene.agent.connect(scene.world.simulation.address(scene.world.node(), 2855));
    scene.agent.bind(line_of(accepted, "a=path:"));
    ASSERT_TRUE(scene.gets("tbind 200"));
    scene.world.pass(85s);
    scene.agent.answer = [](const sip::MsrpMessage&) { return 0; };
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    ASSERT_TRUE(scene.sent("BYE"));  // nobody has refreshed it
    scene.world.pass(1s);
    scene.agent.respond(scene.agent.texts.at(0), "200 OK");
    scene.world.pass(10s);
    EXPECT_TRUE(scene.requests("INVITE").empty());
    EXPECT_EQ(scene.agent.texts.size(), 1u);
    EXPECT_EQ(scene.open(), 0u);
    EXPECT_EQ(scene.world.count(Counter::kMessagesX2sDelivered), 1u);
}

// Nor later than need be: it breaks, and with it the hope of a 200.
TEST(SessionMsrp, WhatASessionThatEndsHasSentGoesByTheNextWhenItBreaks) {
    MsrpScene scene;
    scene.open_theirs();
    scene.agent.answer = [](const sip::MsrpMessage&) { return 0; };
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(scene.answer_of_call, "BYE", 2));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    scene.agent.answer = [](const sip::MsrpMessage&) { return 200; };
    scene.agent.hang_up();
    ASSERT_TRUE(
        scene.world.until([&] { return scene.agent.texts.size() == 2; }, kMsrpAnswerWait / 2));
    EXPECT_EQ(scene.agent.texts.at(1).body, "hello");
    scene.world.pass(10s);
    EXPECT_EQ(scene.open(), 1u);
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
}

// Where the edge has no room a text of theirs is held, and a 200 behind it is not read: its time is
// over all the same.
TEST(SessionMsrp, AnAnswerBehindAHeldTextIsWaitedForNoLonger) {
    MsrpScene scene(kLongTexts);
    const std::string ours = scene.open_theirs();
    scene.agent.answer = [](const sip::MsrpMessage&) { return 0; };
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.world.edge().refuse = 1'000'000;
    for (std::size_t i = 0; i * 900'000 < kOutboxBytes; ++i) {
        const std::string id = "n" + std::to_string(1'000 + i);
        scene.agent.say(ours, id, std::string(900'000, 'x'));
        ASSERT_TRUE(scene.gets("t" + id + " 200"));
    }
    scene.agent.say(ours, "held1", "held");
    scene.agent.respond(scene.agent.texts.at(0), "200 OK");
    scene.world.pass(1s);
    EXPECT_FALSE(scene.answered("theld1 200"));
    scene.peer->send_tcp(scene.world.sip_address(), scene.in_call(scene.answer_of_call, "BYE", 2));
    EXPECT_TRUE(scene.final_answer("BYE").starts_with("SIP/2.0 200 "));
    scene.world.pass(kMsrpAnswerWait / 2);
    EXPECT_EQ(scene.agent.texts.size(), 1u);
    scene.agent.answer = [](const sip::MsrpMessage&) { return 200; };
    ASSERT_TRUE(scene.world.until([&] { return scene.agent.texts.size() == 2; }, kMsrpAnswerWait));
    EXPECT_EQ(scene.agent.texts.at(1).body, "hello");
    // Nobody takes what was held any more, and its sender hears of it.
    scene.world.edge().refuse = 0;
    ASSERT_TRUE(scene.gets("theld1 481") || scene.agent.closed == 1);
}

// IM-50: a session of MSRP takes plain text only, whatever its user has asked for outside it.
TEST(SessionMsrp, AFailureIsToldInPlainText) {
    MsrpScene scene;
    scene.open_theirs();
    const std::string text =
        "From: <im:romeo@sip.example>\r\nTo: <im:juliet@xmpp.example>\r\n"
        "DateTime: 2020-09-13T12:26:40Z\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
        "imdn.Message-ID: 34jk324j\r\nimdn.Disposition-Notification: positive-delivery, "
        "negative-delivery\r\n\r\nContent-Type: text/plain\r\n\r\nhello";
    scene.peer->send_tcp(scene.world.sip_address(),
                         World::request("p1", text, "Content-Type: message/cpim\r\n"));
    EXPECT_TRUE(scene.final_answer("MESSAGE").starts_with("SIP/2.0 200 "));
    const std::string stanza = scene.world.edge().stanzas.back();
    const std::size_t id = stanza.find(" id='") + 5;
    ASSERT_TRUE(scene.world.give(
        "<message type='error' from='juliet@xmpp.example' to='romeo@sip.example' id='" +
        stanza.substr(id, stanza.find('\'', id) - id) +
        "'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        "</error></message>"));
    ASSERT_TRUE(scene.got(1));
    EXPECT_TRUE(scene.agent.texts.at(0).type.starts_with("text/plain"));
    EXPECT_TRUE(has(scene.agent.texts.at(0).body, "could not be delivered: item-not-found"));
}

// What failed when its session was over is told by a text (IM-50).
TEST(SessionMsrp, AFailureBehindTheEndIsTold) {
    for (const bool in_doubt : {false, true}) {
        MsrpScene scene;
        const std::string ours = scene.open_theirs();
        scene.world.edge().at_once = false;
        scene.agent.say(ours, "one1", "hello");
        ASSERT_TRUE(scene.gets("tone1 200"));
        scene.agent.hang_up();
        ASSERT_TRUE(scene.sent("BYE"));
        scene.world.gateway().on_outcome({scene.world.edge().tickets.at(0),
                                          in_doubt ? link::Fate::kInDoubt : link::Fate::kFailed,
                                          in_doubt ? link::Fault::kNone : link::Fault::kUnreachable,
                                          false});
        ASSERT_TRUE(scene.sent("MESSAGE") || scene.got(1)) << in_doubt;
    }
}

// Nor can MSRP say it any more while our BYE has no answer.
TEST(SessionMsrp, AFailureWhileTheSessionEndsIsTold) {
    MsrpScene scene;
    const std::string ours = scene.open_theirs();
    scene.world.edge().at_once = false;
    scene.agent.say(ours, "one1", "hello");
    ASSERT_TRUE(scene.gets("tone1 200"));
    scene.peer->answer = [](const sip::Message&) { return 0; };
    ASSERT_TRUE(scene.world.give(state_stanza("gone")));
    ASSERT_TRUE(scene.sent("BYE"));
    scene.world.gateway().on_outcome(
        {scene.world.edge().tickets.at(0), link::Fate::kFailed, link::Fault::kUnreachable, false});
    ASSERT_TRUE(scene.sent("MESSAGE"));
    EXPECT_TRUE(has(scene.requests("MESSAGE").at(0), "could not be delivered"));
    EXPECT_TRUE(scene.agent.reports.empty());
}

// The process ends while texts wait for a session that is not bound: their senders are told.
TEST(SessionMsrp, WhatWaitsWhenTheTimeToDrainIsOverIsToldSo) {
    MsrpScene scene;
    scene.agent.answer = [](const sip::MsrpMessage&) { return 0; };
    scene.write("m1", "hello");
    scene.write("m2", "again");
    ASSERT_TRUE(scene.world.until([&] { return scene.agent.hellos == 1; }));
    scene.world.gateway().drain();
    scene.world.pass(10s);
    EXPECT_FALSE(scene.world.gateway().drained());
    scene.world.gateway().give_up();
    scene.world.pass(1s);  // and not when the time to be bound is over
    for (const std::string id : {"m1", "m2"}) {
        EXPECT_TRUE(has(scene.told_of(id), "The gateway is stopping")) << id;
    }
    // One is on its way, another behind it.
    MsrpScene other;
    other.agent.answer = [](const sip::MsrpMessage& m) { return m.has_body ? 0 : 200; };
    other.write("m1", "hello");
    ASSERT_TRUE(other.got(1));
    other.write("m2", "again");
    other.world.gateway().drain();
    other.world.pass(10s);
    other.world.gateway().give_up();
    other.world.pass(1s);
    EXPECT_TRUE(has(other.told_of("m1"), "may or may not have arrived"));
    EXPECT_TRUE(has(other.told_of("m2"), "The gateway is stopping"));
    EXPECT_EQ(other.requests("INVITE").size(), 1u);  // nobody would hear of its answer
    EXPECT_TRUE(other.world.until([&] { return other.world.gateway().drained(); }));
}

// So are those of whom one waits for room, and others wait behind it: none is sent any more.
TEST(SessionMsrp, WhatWaitsForRoomWhenTheTimeToDrainIsOverIsToldSo) {
    MsrpScene scene(kLongTexts);
    scene.write("m0", "hello");
    for (const std::string user : {"nurse", "friar", "tybalt"}) {
        ASSERT_TRUE(scene.world.give(World::message("o1", "hello", user)));
    }
    ASSERT_TRUE(scene.got(4));
    scene.world.pass(1s);
    EXPECT_EQ(scene.agent.accepted, 1u);
    scene.agent.stop_reading();
    const std::string kLong(950'000, 'x');
    for (const std::string user : {"nurse", "friar", "tybalt"}) {
        ASSERT_TRUE(scene.world.give(World::message("o2", kLong, user)));
    }
    scene.write("m1", kLong);
    scene.write("m2", "behind");
    scene.world.gateway().drain();
    scene.world.pass(1s);
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
    scene.world.gateway().give_up();
    scene.world.pass(1s);
    for (const std::string id : {"m1", "m2"}) {
        EXPECT_TRUE(has(scene.told_of(id), "The gateway is stopping")) << id;
    }
    EXPECT_TRUE(has(scene.told_of("o2"), "may or may not have arrived"));
}

// A process that ends says so, and what is on its way arrives.
TEST(SessionMsrp, DrainingEndsThem) {
    MsrpScene scene;
    scene.agent.answer = [](const sip::MsrpMessage& m) { return m.has_body ? 0 : 200; };
    scene.write("m1", "hello");
    ASSERT_TRUE(scene.got(1));
    scene.world.gateway().drain();
    scene.world.pass(1s);
    EXPECT_FALSE(scene.world.gateway().drained());
    EXPECT_TRUE(scene.requests("BYE").empty());
    scene.agent.respond(scene.agent.texts.at(0), "200 OK");
    ASSERT_TRUE(scene.sent("BYE"));
    EXPECT_TRUE(scene.world.until([&] { return scene.world.gateway().drained(); }));
    EXPECT_TRUE(scene.world.edge().stanzas.empty());
}

}  // namespace
}  // namespace fedgate::gateway
