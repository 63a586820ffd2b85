#include "appliance/gateway/receipt.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "appliance/gateway/mime.hpp"
#include "tests/gateway/mapping.hpp"

namespace fedgate::gateway {
namespace {

const Key kPair{1, 2};
const ReceiptIds kIds({3, 5});

std::string write(const ReceiptNote& note, const Key& pair = kPair) {
    std::vector<char> memory(2 * kReceiptIdBytes);
    Sink sink{MutableBytes(memory)};
    sink.append("=");  // what is there stays
    if (!kIds.write(pair, note, sink)) return "";
    EXPECT_LE(sink.size(), kReceiptIdBytes + 1);
    return std::string(sink.written().substr(1));
}

std::string read_name(const std::string& id, ReceiptFor kind = ReceiptFor::kStanza,
                      const Key& pair = kPair, const ReceiptIds& ids = kIds) {
    char memory[kReceiptIdBytes];
    Sink sink{MutableBytes(memory)};
    const auto note = ids.read(pair, kind, id, sink);
    return note ? std::string(note->name) : "nothing";
}

TEST(ReceiptIds, CarryWhatTheReceiptNeeds) {  // RCPT-3
    const std::string id =
        write({ReceiptFor::kStanza, true, {true, false, true}, kNow, "stanza<1> ü", "my balcony"});
    ASSERT_FALSE(id.empty());
    EXPECT_EQ(id.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                   "-_"),
              std::string::npos)
        << id;
    char memory[kReceiptIdBytes];
    Sink sink{MutableBytes(memory)};
    const auto note = kIds.read(kPair, ReceiptFor::kStanza, id, sink);
    ASSERT_TRUE(note);
    EXPECT_EQ(note->name, "stanza<1> ü");
    EXPECT_EQ(note->resource, "my balcony");
    EXPECT_EQ(note->sent_at, kNow);
    EXPECT_TRUE(note->chat && note->wanted.positive && !note->wanted.negative &&
                note->wanted.display);
}

TEST(ReceiptIds, AreOursAndOfTheirPair) {
    const std::string id = write({ReceiptFor::kStanza, false, {}, kNow, "s1", "r"});
    EXPECT_EQ(read_name(id), "s1");
    EXPECT_EQ(read_name(id, ReceiptFor::kRequest), "nothing");
    EXPECT_EQ(read_name(id, ReceiptFor::kStanza, Key{2, 1}), "nothing");
    EXPECT_EQ(read_name(id, ReceiptFor::kStanza, kPair, ReceiptIds({3, 6})), "nothing");
    for (std::size_t i = 0; i < id.size(); ++i) {
        std::string other = id;
        other[i] = other[i] == 'A' ? 'B' : 'A';
        EXPECT_EQ(read_name(other), "nothing") << i;
        EXPECT_EQ(read_name(id.substr(0, i)), "nothing") << i;
    }
    for (const std::string& bad : {std::string(""), std::string("hello"), std::string(5'000, 'A'),
                                   std::string(16, 'A'), id + "A", "<" + id}) {
        EXPECT_EQ(read_name(bad), "nothing") << bad.substr(0, 40);
    }
}

TEST(ReceiptIds, AreBounded) {
    const std::string long_name(kReceiptNameBytes, 'n');
    EXPECT_EQ(read_name(write({ReceiptFor::kStanza, false, {}, kNow, long_name, long_name})),
              long_name);
    EXPECT_EQ(write({ReceiptFor::kStanza, false, {}, kNow, long_name + "n", ""}), "");
    EXPECT_EQ(write({ReceiptFor::kStanza, false, {}, kNow, "", ""}), "");
    // Without the resource it goes to the bare JID.
    EXPECT_EQ(read_name(write({ReceiptFor::kStanza, false, {}, kNow, "s", long_name + "n"})), "s");
    EXPECT_EQ(write({ReceiptFor::kRequest, false, {}, kNow, "two words", ""}), "");
    EXPECT_EQ(write({ReceiptFor::kRequest, false, {}, kNow, "a\nb", ""}), "");
}

std::string disposition(const std::string& content) {
    static xml::Framer framer;
    char memory[1'024];
    Sink sink{MutableBytes(memory)};
    const auto imdn =
        parse_imdn("<?xml version=\"1.0\"?>\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">" +
                       content + "</imdn>",
                   framer, sink);
    if (!imdn) return "no";
    constexpr const char* kNames[] = {"other", "delivered", "displayed", "failed"};
    return std::string(imdn->message_id) + " " + kNames[static_cast<int>(imdn->disposition)];
}

TEST(ImdnDocument, IsRead) {  // IM-44
    const auto with = [](const std::string& content) {
        return disposition(
            "<message-id>34jk324j</message-id>\n"
            "<datetime>2008-04-04T12:16:49-05:00</datetime>" +
            content);
    };
    const auto status = [&](const std::string& kind, const std::string& state) {
        return with("<" + kind + "-notification><status><" + state + "/></status></" + kind +
                    "-notification>");
    };
    EXPECT_EQ(status("delivery", "delivered"), "34jk324j delivered");
    EXPECT_EQ(status("display", "displayed"), "34jk324j displayed");
    EXPECT_EQ(status("delivery", "failed"), "34jk324j failed");
    EXPECT_EQ(status("delivery", "error"), "34jk324j failed");
    EXPECT_EQ(status("delivery", "forbidden"), "34jk324j other");
    EXPECT_EQ(status("display", "error"), "34jk324j other");
    EXPECT_EQ(status("processing", "processed"), "34jk324j other");
    EXPECT_EQ(with(""), "34jk324j other");
    EXPECT_EQ(with("<delivery-notification/>"), "34jk324j other");
    EXPECT_EQ(disposition("<delivery-notification><status><delivered/></status>"
                          "</delivery-notification>"),
              "no");
    EXPECT_EQ(disposition("<message-id>x</message-id"), "no");
}

TEST(ImdnDocument, IsWrittenAsItIsRead) {  // RCPT-2
    for (const auto& [what, expected] : {std::pair{Disposition::kDelivered, "m<1> delivered"},
                                         std::pair{Disposition::kDisplayed, "m<1> displayed"},
                                         std::pair{Disposition::kFailed, "m<1> failed"}}) {
        char memory[1'024];
        Sink sink{MutableBytes(memory)};
        write_imdn("m<1>", kNow, what, sink);
        const std::string text(sink.written());
        EXPECT_NE(text.find("<datetime>2020-09-13T12:26:40Z</datetime>"), std::string::npos);
        const std::string front = "<imdn xmlns='urn:ietf:params:xml:ns:imdn'>";
        ASSERT_TRUE(text.starts_with(front)) << text;
        EXPECT_EQ(disposition(text.substr(front.size(), text.size() - front.size() - 7)), expected);
    }
}

TEST(Cpim, IsWrittenAsItIsRead) {  // RCPT-1
    char memory[2'048];
    Sink sink{MutableBytes(memory)};
    sink.append("before\r\n");
    write_cpim({"sip:a@x;gr=1", "sip:b@y", kNow, "id1", true, "text/plain;charset=UTF-8", false},
               "wo\r\n\r\nrd", sink);
    const std::string text(sink.written());
    const std::string body =
        "From: <sip:a@x;gr=1>\r\nTo: <sip:b@y>\r\nDateTime: 2020-09-13T12:26:40Z\r\n"
        "NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: id1\r\n"
        "imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\r\n"
        "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 8\r\n\r\nwo\r\n\r\nrd";
    EXPECT_EQ(text, "before\r\nContent-Type: message/cpim\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n\r\n" + body);
    const BodyText found = find_text({"message/cpim", {}, {}}, body);
    EXPECT_EQ(found.part.data, "wo\r\n\r\nrd");
    EXPECT_EQ(found.message_id, "id1");
    const Wanted wanted = parse_wanted(found.wanted);
    EXPECT_TRUE(wanted.positive && wanted.negative && !wanted.display);
    EXPECT_TRUE(parse_wanted(" display ;x=y,processing").display);
    EXPECT_FALSE(parse_wanted("positive").positive);
}

TEST(Received, NamesTheStanza) {  // RCPT-7
    char memory[512];
    Sink sink{MutableBytes(memory)};
    write_received({"romeo@sip.example", "juliet@xmpp.example/balcony", "n1", true}, "a'1", sink);
    EXPECT_EQ(sink.written(),
              "<message from='romeo@sip.example' to='juliet@xmpp.example/balcony' id='n1' "
              "type='chat'><received xmlns='urn:xmpp:receipts' id='a&apos;1'/></message>");
}

}  // namespace
}  // namespace fedgate::gateway
