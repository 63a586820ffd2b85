#include "appliance/gateway/chat_state.hpp"

#include <string>

#include <gtest/gtest.h>

namespace fedgate::gateway {
namespace {

const Instant kNoon{std::chrono::hours(1)};

// "active", "idle", with its refresh; or "no".
std::string read(const std::string& document) {
    static xml::Framer framer;
    const auto news = parse_is_composing(document, framer);
    if (!news) return "no";
    return std::string(news->active ? "active " : "idle ") +
           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(news->refresh).count());
}

std::string document(const std::string& content, const std::string& attributes = "") {
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<isComposing "
           "xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"" +
           attributes + ">" + content + "</isComposing>\n";
}

TEST(IsComposing, IsRead) {  // IM-43, CS-6, CS-10
    // RFC 3994 section 6, with all that a schema brings.
    EXPECT_EQ(read(document("\n  <state>active</state>\n  <contenttype>text/plain</contenttype>\n"
                            "  <refresh>90</refresh>\n",
                            "\n xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""
                            "\n xsi:schemaLocation=\"urn:ietf:params:xml:ns:im-composing "
                            "iscomposing.xsd\"")),
              "active 90");
    EXPECT_EQ(read(document("<state>idle</state><lastactive>2003-01-27T10:43:00Z</lastactive>")),
              "idle 120");
    EXPECT_EQ(read(document("<state> active\n</state>")), "active 120");
    EXPECT_EQ(read(document("<state>sleeping</state>")), "idle 120");  // CS-6: any other
    EXPECT_EQ(read(document("<state>" + std::string(1'000, 'a') + "</state>")), "idle 120");
    EXPECT_EQ(read("<c:isComposing xmlns:c='urn:ietf:params:xml:ns:im-iscomposing'>"
                   "<c:state>active</c:state></c:isComposing>"),
              "active 120");
    EXPECT_EQ(read(document("<x:refresh xmlns:x='y'>5</x:refresh><state>active</state>")),
              "active 120");
    for (const auto& [text, seconds] :
         {std::pair{"0", "10"}, std::pair{"1000000", "600"}, std::pair{"99999999999999", "600"},
          std::pair{"-5", "120"}, std::pair{"many", "120"}, std::pair{"", "120"}}) {
        EXPECT_EQ(
            read(document(std::string("<state>active</state><refresh>") + text + "</refresh>")),
            std::string("active ") + seconds)
            << text;
    }
}

TEST(IsComposing, IsGuarded) {
    const std::string good = document("<state>active</state><refresh>60</refresh>");
    ASSERT_EQ(read(good), "active 60");
    for (std::size_t cut = 0; cut + 1 < good.size(); ++cut) {
        ASSERT_EQ(read(good.substr(0, cut)), "no") << cut;
    }
    for (const std::string& bad :
         {std::string(""), std::string("active"), document(""), document("<state>active"),
          std::string("<isComposing><state>active</state></isComposing>"),
          std::string("<other xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state>"
                      "</other>"),
          "<!DOCTYPE isComposing [<!ENTITY a 'b'>]>" + good, document("<state>&a;</state>"),
          document("<?pi?><state>active</state>"), document("<state>active</other>"),
          document("<state>active</state>" + std::string(20'000, ' ')),
          document("<a><a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a></a>"
                   "<state>active</state>")}) {
        EXPECT_EQ(read(bad), "no") << bad.substr(0, 200);
    }
}

TEST(IsComposing, IsWritten) {  // CS-10
    char memory[512];
    Sink sink{MutableBytes(memory)};
    write_is_composing(true, sink);
    EXPECT_EQ(sink.written(),
              "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state>"
              "<contenttype>text/plain</contenttype><refresh>120</refresh></isComposing>");
    EXPECT_EQ(read(std::string(sink.written())), "active 120");
    sink.truncate(0);
    write_is_composing(false, sink);
    EXPECT_EQ(read(std::string(sink.written())), "idle 120");
}

TEST(ChatState, IsWritten) {  // CS-11
    char memory[512];
    Sink sink{MutableBytes(memory)};
    write_chat_state({"romeo@sip.example/desk", "juliet@xmpp.example", "i1", "t<1>"},
                     ChatState::kComposing, sink);
    EXPECT_EQ(sink.written(),
              "<message from='romeo@sip.example/desk' to='juliet@xmpp.example' id='i1' "
              "type='chat'><thread>t&lt;1&gt;</thread>"
              "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>");
    for (const char* name : {"active", "composing", "paused", "inactive", "gone"}) {
        EXPECT_EQ(name_of(find_chat_state(name)), name);
    }
    EXPECT_EQ(find_chat_state("thinking"), ChatState::kNone);
    EXPECT_EQ(find_chat_state(""), ChatState::kNone);
}

using News = Typing::News;

TEST(Typing, IsToldToSipWhereSipShowsItsOwn) {  // CS-9
    Typing typing;
    EXPECT_EQ(typing.on_chat_state(ChatState::kComposing, kNoon), News::kNone);
    EXPECT_EQ(typing.on_is_composing(true, kNoon), ChatState::kComposing);
    EXPECT_EQ(typing.on_chat_state(ChatState::kComposing, kNoon + 1s), News::kActive);
    EXPECT_EQ(typing.on_chat_state(ChatState::kComposing, kNoon + 59min + 59s), News::kActive);
    EXPECT_EQ(typing.on_chat_state(ChatState::kPaused, kNoon + 1h), News::kNone);  // forgotten
    EXPECT_EQ(typing.on_is_composing(false, kNoon + 1h), ChatState::kActive);
    EXPECT_EQ(typing.on_chat_state(ChatState::kPaused, kNoon + 1h), News::kIdle);
    typing.on_unanswered();
    EXPECT_EQ(typing.on_chat_state(ChatState::kComposing, kNoon + 1h), News::kNone);
    EXPECT_EQ(typing.on_is_composing(true, kNoon + 1h), ChatState::kComposing);
    EXPECT_EQ(typing.on_chat_state(ChatState::kComposing, kNoon + 1h), News::kActive);
    typing.on_refused();  // 415: for good
    EXPECT_EQ(typing.on_is_composing(false, kNoon + 1h), ChatState::kActive);
    EXPECT_EQ(typing.on_chat_state(ChatState::kPaused, kNoon + 1h), News::kNone);
}

TEST(Typing, IsToldToSipOnChange) {  // CS-1..CS-5, CS-8
    Typing typing;
    static_cast<void>(typing.on_is_composing(false, kNoon));
    const auto tell = [&](ChatState state, Duration after) {
        return typing.on_chat_state(state, kNoon + after);
    };
    EXPECT_EQ(tell(ChatState::kActive, 0s), News::kNone);  // it is idle already
    EXPECT_EQ(tell(ChatState::kComposing, 1s), News::kActive);
    EXPECT_EQ(tell(ChatState::kComposing, 60s), News::kNone);
    EXPECT_EQ(tell(ChatState::kComposing, 61s), News::kActive);  // a minute after the last one
    EXPECT_EQ(tell(ChatState::kGone, 62s), News::kNone);
    for (const ChatState idle : {ChatState::kPaused, ChatState::kActive, ChatState::kInactive}) {
        EXPECT_EQ(tell(ChatState::kComposing, 200s), News::kActive);
        EXPECT_EQ(tell(idle, 200s), News::kIdle);
        EXPECT_EQ(tell(idle, 300s), News::kNone);
    }
    EXPECT_EQ(tell(ChatState::kComposing, 400s), News::kActive);
    typing.on_xmpp_text(ChatState::kActive, kNoon + 401s);  // a text: idle, and nothing is said
    EXPECT_EQ(tell(ChatState::kActive, 402s), News::kNone);
    EXPECT_EQ(tell(ChatState::kComposing, 403s), News::kActive);
}

TEST(Typing, IsShownToWhoShowsItHimself) {  // CS-7
    Typing typing;
    EXPECT_EQ(typing.on_is_composing(true, kNoon), ChatState::kNone);
    EXPECT_FALSE(typing.on_sip_text(kNoon));
    typing.on_xmpp_text(ChatState::kNone, kNoon);
    EXPECT_FALSE(typing.on_sip_text(kNoon));
    typing.on_xmpp_text(ChatState::kActive, kNoon);
    EXPECT_TRUE(typing.on_sip_text(kNoon + 59min));
    EXPECT_FALSE(typing.on_sip_text(kNoon + 1h));
    EXPECT_EQ(typing.on_is_composing(true, kNoon + 1h), ChatState::kNone);
}

TEST(Typing, IsShownOnChange) {  // CS-6, CS-12
    Typing typing;
    typing.on_xmpp_text(ChatState::kActive, kNoon);
    EXPECT_EQ(typing.on_is_composing(false, kNoon), ChatState::kNone);
    EXPECT_EQ(typing.on_is_composing(true, kNoon), ChatState::kComposing);
    EXPECT_EQ(typing.on_is_composing(true, kNoon + 60s), ChatState::kNone);
    EXPECT_EQ(typing.on_is_composing(false, kNoon + 61s), ChatState::kActive);
    EXPECT_EQ(typing.on_is_composing(true, kNoon + 62s), ChatState::kComposing);
    EXPECT_TRUE(typing.on_sip_text(kNoon + 63s));  // the text says it
    EXPECT_EQ(typing.on_is_composing(false, kNoon + 64s), ChatState::kNone);
    EXPECT_EQ(typing.on_is_composing(true, kNoon + 65s), ChatState::kComposing);
    typing.on_refresh_missed();
    EXPECT_EQ(typing.on_is_composing(true, kNoon + 66s), ChatState::kComposing);
}

}  // namespace
}  // namespace fedgate::gateway
