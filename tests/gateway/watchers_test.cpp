// SIP users watch XMPP contacts: interworking section 6.3, through the whole gateway.
#include <map>

#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string header_of(const std::string& message, const std::string& name) {
    const std::size_t at = message.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return message.substr(begin, message.find("\r\n", begin) - begin);
}

std::string body_of(const std::string& message) {
    return message.substr(message.find("\r\n\r\n") + 4);
}

struct Wish {
    std::string call_id = "watch-1";
    std::string contact = "juliet";
    std::string user = "romeo";
    std::string expires = "600";
    std::string headers = {};
    std::string event = "presence";
    std::string domain = "xmpp.example";
};

// A SIP client behind its server, which watches; and a partner's contacts.
class Scene {
public:
    explicit Scene(const Settings& more = {}, std::uint32_t shards = 1)
        : world(more, shards), peer(world.peer()) {
        peer->answer = [this](const sip::Message& request) {
            if (request.method != sip::Method::kNotify) return 200;
            notifies.emplace_back(request.bytes);
            return notify_status;
        };
    }

    // Sends a SUBSCRIBE and gives the answer to it. `to_tag`: of its dialog.
    std::string subscribe(const Wish& wish = Wish(), const std::string& to_tag = {}) {
        const std::size_t before = peer->responses.size();
        const std::string uri = "sip:" + wish.contact + "@" + wish.domain;
        const std::string cseq = std::to_string(++cseq_);
        std::string request =
            "SUBSCRIBE " + uri + " SIP/2.0\r\nVia: SIP/2.0/TCP 10.99.0.1:5070;branch=z9hG4bKs" +
            cseq + "\r\nMax-Forwards: 70\r\nFrom: <sip:" + wish.user + "@sip.example>;tag=f-" +
            wish.call_id + "\r\nTo: <" + uri + ">" + (to_tag.empty() ? "" : ";tag=" + to_tag) +
            "\r\nCall-ID: " + wish.call_id + "\r\nCSeq: " + cseq +
            " SUBSCRIBE\r\nContact: <sip:" + wish.user + "@10.99.0.1:5070;transport=tcp>\r\n";
        if (!wish.event.empty()) request += "Event: " + wish.event + "\r\n";
        if (!wish.expires.empty()) request += "Expires: " + wish.expires + "\r\n";
        request += wish.headers + "Content-Length: 0\r\n\r\n";
        peer->send_tcp(world.sip_address(), request);
        const bool came = world.until([&] { return peer->responses.size() > before; });
        EXPECT_TRUE(came) << world.log();
        return came ? peer->responses.back() : std::string();
    }
    static std::string tag_of(const std::string& answer) {
        const std::string to = header_of(answer, "To");
        return to.substr(to.find(";tag=") + 5);
    }
    // A stanza of the contact, at any shard, which takes it to its owner.
    void stanza(const std::string& type, const std::string& content = {},
                const std::string& resource = {}, const std::string& id = "s1",
                const std::string& contact = "juliet") {
        const std::string text =
            "<presence from='" + contact + "@xmpp.example" +
            (resource.empty() ? "" : "/" + resource) + "' to='romeo@sip.example' id='" + id + "'" +
            (type.empty() ? "" : " type='" + type + "'") + ">" + content + "</presence>";
        EXPECT_TRUE(world.give(text));
    }
    // Waits for the n-th NOTIFY, and gives it.
    std::string notify(std::size_t n, Duration at_most = 30s) {
        const bool came = world.until([&] { return notifies.size() >= n; }, at_most);
        EXPECT_TRUE(came) << "NOTIFY " << n << "\n" << world.log();
        return came ? notifies[n - 1] : std::string();
    }
    std::vector<std::string> stanzas() {
        std::vector<std::string> all;
        for (auto& edge : world.edges) {
            all.insert(all.end(), edge->stanzas.begin(), edge->stanzas.end());
        }
        return all;
    }
    std::string sent(std::size_t n) {
        const bool came = world.until([&] { return stanzas().size() >= n; });
        EXPECT_TRUE(came) << "stanza " << n << "\n" << world.log();
        return came ? stanzas()[n - 1] : std::string();
    }
    // Asked and approved; the tag of the dialog. Two NOTIFYs have come, one stanza has gone.
    std::string approved() {
        const std::string answer = subscribe();
        notify(1);
        sent(1);
        stanza("subscribed");
        EXPECT_TRUE(has(notify(2), "Subscription-State: active"));
        return tag_of(answer);
    }

    World world;
    std::unique_ptr<test::SipPeer> peer;
    std::vector<std::string> notifies;
    int notify_status = 200;

private:
    int cseq_ = 0;
};

// The whole of RFC 8048 5.3.1 and 6.2, on one shard and on four.
TEST(Watchers, FromTheWishToTheDocument) {  // PRES-60, PRES-63, PRES-65, R1
    for (const std::uint32_t shards : {1u, 4u}) {
        Scene scene({}, shards);
        const std::string answer = scene.subscribe();
        EXPECT_TRUE(answer.starts_with("SIP/2.0 200 ")) << answer;
        EXPECT_EQ(header_of(answer, "Expires"), "600");
        EXPECT_TRUE(has(header_of(answer, "Contact"), "sip:juliet@gw.example")) << answer;
        const std::string first = scene.notify(1);
        EXPECT_TRUE(first.starts_with("NOTIFY sip:romeo@10.99.0.1:5070;transport=tcp SIP/2.0\r\n"));
        EXPECT_EQ(header_of(first, "Subscription-State"), "pending;expires=600");
        EXPECT_EQ(header_of(first, "Event"), "presence");
        EXPECT_EQ(header_of(first, "Content-Length"), "0");
        EXPECT_EQ(header_of(first, "Call-ID"), "watch-1");
        EXPECT_TRUE(has(header_of(first, "From"), ";tag=" + Scene::tag_of(answer)));
        EXPECT_TRUE(has(header_of(first, "To"), ";tag=f-watch-1"));
        EXPECT_TRUE(has(scene.sent(1),
                        "type='subscribe' from='romeo@sip.example' to='juliet@xmpp.example'") ||
                    has(scene.sent(1), "to='juliet@xmpp.example'"))
            << scene.sent(1);
        scene.stanza("subscribed");
        const std::string second = scene.notify(2);
        EXPECT_TRUE(header_of(second, "Subscription-State").starts_with("active;expires="));
        EXPECT_EQ(header_of(second, "Content-Length"), "0");
        scene.stanza("", "<show>away</show><status>be right back</status>", "balcony");
        const std::string third = scene.notify(3);
        EXPECT_EQ(header_of(third, "Content-Type"), "application/pidf+xml");
        EXPECT_TRUE(has(body_of(third), "entity='pres:juliet@xmpp.example'")) << third;
        EXPECT_TRUE(has(body_of(third), "<tuple id='ID-balcony'>"));
        EXPECT_TRUE(has(body_of(third), "be right back"));
        EXPECT_EQ(scene.stanzas().size(), 1u);
    }
}

// Prosody answers <subscribe/> with it at once; a document that says so would be wrong for 5 s.
TEST(Watchers, UnavailableBeforeTheApprovalIsNoState) {  // PRES-63, PRES-65
    Scene scene;
    scene.subscribe();
    scene.notify(1);
    scene.sent(1);
    scene.stanza("unavailable");
    scene.stanza("subscribed");
    EXPECT_EQ(header_of(scene.notify(2), "Content-Length"), "0");
    scene.stanza("", "", "balcony");
    EXPECT_TRUE(has(body_of(scene.notify(3, 1s)), "<basic>open</basic>"));
}

}  // namespace
}  // namespace fedgate::gateway
