// A partner's user who watches a contact of ours, whose SIP server is played by the test.
#pragma once

#include <map>

#include <gtest/gtest.h>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/conversation.hpp"
#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway::test {

// A document with these tuples: id, then what is inside of <tuple/>.
inline std::string pidf(const std::vector<std::pair<std::string, std::string>>& tuples) {
    std::string text =
        "<?xml version='1.0' encoding='UTF-8'?><presence xmlns='urn:ietf:params:xml:ns:pidf' "
        "entity='pres:romeo@sip.example'>";
    for (const auto& [id, content] : tuples) {
        text += "<tuple id='ID-" + id + "'>" + content + "</tuple>";
    }
    return text + "</presence>";
}
inline const std::string kOpen = "<status><basic>open</basic></status>";
inline const std::string kClosed = "<status><basic>closed</basic></status>";

// On its disk, where the gateways agree on who owns a pair: the secret is World's.
inline std::unique_ptr<store::Memory> make_store(std::uint32_t shards = 1) {
    return std::make_unique<store::Memory>(shards, [shards](const store::Row& row) {
        Address xmpp;
        Address sip;
        FEDGATE_CHECK(read_jid(row.xmpp, xmpp) && read_jid(row.sip, sip));
        const Key pair = KeyMaker({7, 11}).make(
            {xmpp.jid.local, xmpp.jid.domain, sip.jid.local, sip.jid.domain});
        return Conversations::owner_of(pair, shards);
    });
}

class WatchScene {
public:
    explicit WatchScene(const Settings& more = {}, std::uint32_t shards = 1,
                        store::Memory* store = nullptr, net::TlsContext* tls = nullptr)
        : world(more, shards, tls, {}, {}, store), store_(store) {
        play();
    }
    WatchScene(const WatchScene&) = delete;
    WatchScene& operator=(const WatchScene&) = delete;
    ~WatchScene() {  // the store outlives the shards that it knows
        if (store_ != nullptr) store_->crash([] { return true; });
    }
    // The server (again).
    void play() {
        peer = world.peer();
        peer->answer = [this](const sip::Message& request) {
            if (request.method != sip::Method::kSubscribe) return 200;
            subscribes.emplace_back(request.bytes);
            if (status / 100 == 2 && !says.empty()) {
                peer->send_tcp(world.sip_address(),
                               notify_text(subscribes.back(), says, document, {}, "peer"));
            }
            return status;
        };
    }

    // It is gone.
    void stop() {
        peer->stop();
        stopped_.push_back(std::move(peer));
    }

    // A stanza of the user, at the first shard, which takes it to its owner.
    void stanza(const std::string& type, const std::string& resource = {},
                const std::string& user = "juliet", const std::string& content = {},
                const std::string& domain = "xmpp.example") {
        const std::string from = user + "@" + domain + (resource.empty() ? "" : "/" + resource);
        const std::string text = "<presence from='" + from + "' to='romeo@sip.example' id='p1'" +
                                 (type.empty() ? "" : " type='" + type + "'") + ">" + content +
                                 "</presence>";
        EXPECT_TRUE(world.until([&] {  // at start it waits for the store
            return world.gateways[0]->take_stanza({domain, link::Proof::kCertificate, text});
        }));
    }
    // Waits for the n-th SUBSCRIBE, and gives it.
    std::string subscribe(std::size_t n, Duration at_most = 30s) {
        const bool came = world.until([&] { return subscribes.size() >= n; }, at_most);
        EXPECT_TRUE(came) << "SUBSCRIBE " << n << "\n" << world.log();
        return came ? subscribes[n - 1] : std::string();
    }
    // What the server says in the dialog of that SUBSCRIBE; gives the answer's status line.
    std::string notify(const std::string& of, const std::string& state,
                       const std::string& body = {}, const std::string& headers = {},
                       const std::string& tag = "peer") {
        const std::size_t before = peer->responses.size();
        peer->send_tcp(world.sip_address(), notify_text(of, state, body, headers, tag));
        const bool came = world.until([&] { return peer->responses.size() > before; });
        EXPECT_TRUE(came) << "answer to NOTIFY\n" << world.log();
        return came ? peer->responses.back().substr(0, peer->responses.back().find("\r\n"))
                    : std::string();
    }
    std::string notify_text(const std::string& of, const std::string& state,
                            const std::string& body, const std::string& headers,
                            const std::string& tag) {
        const std::string cseq = std::to_string(++cseq_);
        const std::string contact = header_of(of, "Contact");
        std::string to = header_of(of, "To");
        to = to.substr(0, to.find(";tag="));
        std::string text = "NOTIFY " + contact.substr(1, contact.find('>') - 1) +
                           " SIP/2.0\r\nVia: SIP/2.0/TCP 10.99.0.1:5070;branch=z9hG4bKn" + cseq +
                           "\r\nMax-Forwards: 70\r\nFrom: " + to + ";tag=" + tag +
                           "\r\nTo: " + header_of(of, "From") +
                           "\r\nCall-ID: " + header_of(of, "Call-ID") + "\r\nCSeq: " + cseq +
                           " NOTIFY\r\nContact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n";
        if (!has(headers, "Event:")) text += "Event: presence\r\n";
        if (!state.empty()) text += "Subscription-State: " + state + "\r\n";
        if (!body.empty() && !has(headers, "Content-Type:")) {
            text += "Content-Type: application/pidf+xml\r\n";
        }
        return text + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
               body;
    }
    std::vector<std::string> stanzas() {
        std::vector<std::string> all;
        for (auto& edge : world.edges) {
            all.insert(all.end(), edge->stanzas.begin(), edge->stanzas.end());
        }
        return all;
    }
    // Waits for the n-th stanza to the partner, and gives it without its random id.
    std::string sent(std::size_t n, Duration at_most = 30s) {
        const bool came = world.until([&] { return stanzas().size() >= n; }, at_most);
        EXPECT_TRUE(came) << "stanza " << n << "\n" << world.log();
        if (!came) return {};
        std::string text = stanzas()[n - 1];
        const std::size_t id = text.find(" id='");
        if (id != std::string::npos) text.erase(id, text.find('\'', id + 5) - id + 1);
        return text;
    }
    // Nothing more goes to the partner.
    void quiet(std::size_t stanza_count, Duration time = 5s) {
        world.pass(time);
        const std::vector<std::string> all = stanzas();
        EXPECT_EQ(all.size(), stanza_count) << (all.empty() ? "none at all" : all.back());
    }
    // Asked and approved, with one resource: the SUBSCRIBE. Two stanzas have gone.
    std::string approved(const std::string& first_document = pidf({{"desk", kOpen}})) {
        const std::size_t before = stanzas().size();
        stanza("subscribe");
        const std::string first = subscribe(1);
        EXPECT_EQ(notify(first, "active;expires=3600", first_document), "SIP/2.0 200 OK");
        sent(before + 2);
        return first;
    }

    World world;
    std::unique_ptr<SipPhone> peer;
    std::vector<std::string> subscribes;
    int status = 200;
    // What the server says by itself, behind (before, SIP-22) each 2xx; empty: nothing.
    std::string says;
    std::string document;

private:
    store::Memory* store_;
    int cseq_ = 0;
    std::vector<std::unique_ptr<SipPhone>> stopped_;
};

}  // namespace fedgate::gateway::test
