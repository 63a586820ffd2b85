// One gateway with sessions, a SIP user who calls and is called, and an XMPP user.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway::test {

inline std::string tag_of(const std::string& value) {
    return value.substr(value.find(";tag=") + 5);
}

class SessionScene {
public:
    // `sdp`: what the SIP user offers and answers with.
    SessionScene(const Settings& settings, std::string sdp, std::uint32_t shards = 1,
                 net::TlsContext* tls = nullptr,
                 const std::map<std::string, std::string>& names = {})
        : world(settings, shards, tls, names), peer(world.peer()), usual_sdp(std::move(sdp)) {
        peer->sdp = usual_sdp;
    }

    // Requests of that method, and the last of them.
    std::vector<std::string> requests(const std::string& method) const {
        std::vector<std::string> all;
        for (const std::string& one : peer->requests) {
            if (one.starts_with(method + " ")) all.push_back(one);
        }
        return all;
    }
    bool sent(const std::string& method, std::size_t count = 1) {
        return world.until([&] { return requests(method).size() >= count; });
    }
    bool told(const std::string& text) {
        return world.until([&] { return tells(text); });
    }
    bool tells(const std::string& text) {
        for (const std::string& one : world.edge().stanzas) {
            if (has(one, text)) return true;
        }
        return false;
    }

    // The SIP user calls. The answer.
    std::string call() { return call(usual_sdp); }
    std::string call(const std::string& sdp, const std::string& headers = {},
                     const std::string& branch = "i1") {
        const std::string type = sdp.empty() ? "" : "Content-Type: application/sdp\r\n";
        peer->send_tcp(
            world.sip_address(),
            World::request(branch, sdp,
                           "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n" + headers + type,
                           "TCP", "sip:juliet@xmpp.example", "sip:romeo@sip.example", "INVITE"));
        return final_answer("INVITE");
    }
    std::string final_answer(const std::string& method) {
        const std::size_t before = answers_seen;
        EXPECT_TRUE(world.until([&] {
            for (std::size_t i = before; i < peer->responses.size(); ++i) {
                if (peer->responses[i].starts_with("SIP/2.0 1")) continue;
                if (has(peer->responses[i], " " + method + "\r\n")) {
                    answers_seen = i + 1;
                    return true;
                }
            }
            return false;
        }));
        return answers_seen > 0 ? peer->responses[answers_seen - 1] : std::string();
    }
    // A request in the dialog that the call of `branch` made.
    std::string in_call(const std::string& answer, const std::string& method, int cseq,
                        const std::string& body = {}, const std::string& headers = {},
                        const std::string& branch = "i1") {
        return method + " sip:juliet@gw.example SIP/2.0\r\nVia: SIP/2.0/TCP ua.sip.example:5070;" +
               "branch=z9hG4bK" + method + std::to_string(cseq) +
               "\r\nMax-Forwards: 70\r\nFrom: <sip:romeo@sip.example>;tag=f" + branch +
               "\r\nTo: " + header_of(answer, "To") + "\r\nCall-ID: call-" + branch +
               "\r\nCSeq: " + std::to_string(cseq) + " " + method + "\r\n" + headers +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    }
    std::string say(const std::string& answer, int cseq, const std::string& text,
                    const std::string& type = "text/plain; charset=UTF-8") {
        peer->send_tcp(world.sip_address(),
                       in_call(answer, "MESSAGE", cseq, text, "Content-Type: " + type + "\r\n"));
        return final_answer("MESSAGE");
    }
    void acknowledge(const std::string& answer, const std::string& sdp = {}) {
        peer->send_tcp(
            world.sip_address(),
            in_call(answer, "ACK", 1, sdp, sdp.empty() ? "" : "Content-Type: application/sdp\r\n"));
        world.pass(100ms);
    }
    // A request of the SIP user in the dialog that the INVITE of ours has made.
    std::string in_ours(const std::string& invite, const std::string& method, int cseq,
                        const std::string& body = {}, const std::string& headers = {}) {
        return method + " sip:juliet@gw.example SIP/2.0\r\nVia: SIP/2.0/TCP ua.sip.example:5070;" +
               "branch=z9hG4bKo" + method + std::to_string(cseq) +
               "\r\nMax-Forwards: 70\r\nFrom: " + header_of(invite, "To") +
               ";tag=peer\r\nTo: " + header_of(invite, "From") +
               "\r\nCall-ID: " + header_of(invite, "Call-ID") +
               "\r\nCSeq: " + std::to_string(cseq) + " " + method + "\r\n" + headers +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    }
    // The answer of the SIP side to a request that it has left waiting.
    void respond(const std::string& to, const std::string& status, const std::string& body = {}) {
        std::string answer = "SIP/2.0 " + status + "\r\n";
        for (const char* name : {"Via", "From", "Call-ID", "CSeq"}) {
            answer += std::string(name) + ": " + header_of(to, name) + "\r\n";
        }
        answer += "To: " + header_of(to, "To") + ";tag=peer\r\n";
        if (!body.empty()) {
            answer +=
                "Contact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n"
                "Content-Type: application/sdp\r\n";
        }
        peer->send_back(answer + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                        body);
        world.pass(100ms);
    }
    std::size_t open() const { return world.count(Counter::kSessionsOpen); }

    World world;
    std::unique_ptr<SipPhone> peer;
    std::string usual_sdp;
    std::size_t answers_seen = 0;
};

// A chat state alone.
inline std::string state_stanza(const std::string& name) {
    return "<message from='juliet@xmpp.example/balcony' to='romeo@sip.example' type='chat' id='" +
           name + "'><" + name + " xmlns='http://jabber.org/protocol/chatstates'/></message>";
}

}  // namespace fedgate::gateway::test
