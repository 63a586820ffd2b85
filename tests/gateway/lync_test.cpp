#include "appliance/gateway/lync.hpp"

#include <string>

#include <gtest/gtest.h>

#include "core/base/hash.hpp"

namespace fedgate::gateway {
namespace {

std::string typed(const std::string& document) {
    static xml::Framer framer;
    const auto active = parse_keyboard_activity(document, framer);
    return !active ? "no" : *active ? "types" : "idle";
}

std::string activity(const std::string& content) {
    return "<?xml version=\"1.0\"?><KeyboardActivity>" + content + "</KeyboardActivity>";
}

TEST(KeyboardActivity, IsRead) {  // SESS-44
    EXPECT_EQ(typed(activity("<status status=\"type\" />")), "types");
    EXPECT_EQ(typed(activity("<status status='idle'/>")), "idle");
    EXPECT_EQ(
        typed("<KeyboardActivity>\n <x/><status status=\"type\"></status>\n</KeyboardActivity>"),
        "types");
    EXPECT_EQ(typed(activity("<status status='sleeps'/><status status='idle'/>")), "idle");
}

TEST(KeyboardActivity, AnythingElseIsNone) {  // SESS-44
    for (const std::string& other :
         {std::string(), std::string("type"), activity(""), activity("<status/>"),
          activity("<status status='TYPE'/>"), activity("<status xmlns='x' status='type'/>"),
          std::string("<keyboardactivity><status status='type'/></keyboardactivity>"),
          std::string("<KeyboardActivity xmlns='x'><status status='type'/></KeyboardActivity>"),
          std::string("<KeyboardActivity><status status='type'/>"),
          std::string("<!DOCTYPE a><KeyboardActivity><status status='type'/></KeyboardActivity>"),
          activity("<a>" + std::string(20'000, 'x') + "</a><status status='type'/>"),
          std::string("<action xmlns='http://schemas.microsoft.com/sip/multiparty/'/>")}) {
        EXPECT_EQ(typed(other), "no") << other.substr(0, 80);
    }
}

TEST(KeyboardActivity, IsWrittenAsItIsRead) {  // SESS-44
    char memory[128];
    for (const bool active : {false, true}) {
        Sink sink{MutableBytes(memory)};
        write_keyboard_activity(active, sink);
        EXPECT_EQ(typed(std::string(sink.written())), active ? "types" : "idle");
    }
    Sink sink{MutableBytes(memory)};
    write_keyboard_activity(true, sink);
    EXPECT_EQ(
        sink.written(),
        "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" /></KeyboardActivity>");
}

TEST(MsConversationId, IsSixteenBytesOfTheThread) {  // SESS-41
    char memory[128];
    Sink sink{MutableBytes(memory)};
    const Key key{.high = 1, .low = 2};
    write_ms_conversation_id(key, sink);
    Bytes line = sink.written();
    ASSERT_TRUE(line.starts_with("Ms-Conversation-ID: ") && line.ends_with("\r\n")) << line;
    line = line.substr(20, line.size() - 22);
    char bytes[16];
    EXPECT_EQ(fedgate::decode_base64(line, bytes), 16u);
    EXPECT_EQ(bytes[0], 1);
    EXPECT_EQ(bytes[8], 2);
}

TEST(Epid, IsTheSameForADeviceEveryTime) {  // ADDR-10
    char memory[128];
    Sink sink{MutableBytes(memory)};
    write_epid("balcony", sink);
    EXPECT_EQ(sink.written(), ";epid=6d55c0974c");
    sink.truncate(0);
    write_epid("", sink);
    EXPECT_EQ(sink.size(), 0u);
}

std::string diagnosed(Bytes value) {
    const auto read = parse_diagnostics(value);
    if (!read) return "no";
    return std::to_string(read->code)
        .append("|")
        .append(read->reason)
        .append("|")
        .append(read->source);
}

TEST(MsDiagnostics, AreRead) {  // SESS-45
    EXPECT_EQ(
        diagnosed("1034;reason=\"Previous hop\";Domain=\"a.example\";source=\"sip.b.example\""),
        "1034|Previous hop|sip.b.example");
    EXPECT_EQ(diagnosed("504.1; source=\"h\" ; REASON=busy"), "504|busy|h");
    EXPECT_EQ(diagnosed("0"), "0||");
    EXPECT_EQ(diagnosed("4294967295;reason=\"a \\\"b\\\"\""), "4294967295|a \\\"b\\\"|");
    for (const char* const bad : {"", ";reason=\"x\"", "x", "-1", "4294967296", "1x;reason=\"x\"",
                                  "1;reason=\"x", "1;;", "1,2"}) {
        EXPECT_EQ(diagnosed(bad), "no") << bad;
    }
}

TEST(MsDiagnostics, ThePublicOneIsWritten) {
    char memory[128];
    Sink sink{MutableBytes(memory)};
    write_diagnostics_public(1027, "no \"video\"\r\nX: y", sink);
    EXPECT_EQ(sink.written(), "ms-diagnostics-public: 1027;reason=\"no \\\"video\\\"  X: y\"\r\n");
    const Bytes value = sink.written().substr(23, sink.size() - 25);
    EXPECT_EQ(diagnosed(value), "1027|no \\\"video\\\"  X: y|");
}

TEST(MsDiagnostics, TheInnerOneIsFoundFirst) {
    std::string text =
        "SIP/2.0 480 Temporarily Unavailable\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
        "ms-diagnostics-public: 1;reason=\"public\"\r\nMS-Diagnostics: 2;reason=\"inner\"\r\n"
        "Content-Length: 0\r\n\r\n";
    const auto found = [](std::string& bytes) {
        sip::Message message;
        EXPECT_EQ(sip::parse_message(bytes, sip::Carrier::kStream, 1'000, message).verdict,
                  sip::Verdict::kDone);
        const auto read = find_diagnostics(message);
        return read ? std::string(read->reason) : "none";
    };
    EXPECT_EQ(found(text), "inner");
    text.replace(text.find("2;reason"), 1, "x");
    EXPECT_EQ(found(text), "public");
    text.replace(text.find("1;reason"), 1, "x");
    EXPECT_EQ(found(text), "none");
}

}  // namespace
}  // namespace fedgate::gateway
