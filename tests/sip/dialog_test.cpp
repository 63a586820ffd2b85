#include "sip/dialog.hpp"

#include <array>

#include <gtest/gtest.h>

#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

using test::Read;

constexpr KeySecret kSecret = {1, 2};

// What our side sends first.
RequestHead our_head(Bytes method = "INVITE") {
    RequestHead head;
    head.method = method;
    head.uri = "sip:bob@b.example";
    head.from = {{}, "sip:alice@a.example", "ours"};
    head.to = {{}, "sip:bob@b.example", {}};
    head.call_id = "call";
    head.cseq = 7;
    return head;
}

Read parse(const std::string& text) {
    Read read(test::crlf(text));
    EXPECT_EQ(read.parse(Carrier::kStream).parsed.verdict, Verdict::kDone) << read.parsed.reason;
    return read;
}
Read response(int status, const std::string& fields, const std::string& to_tag = ";tag=theirs") {
    return parse("SIP/2.0 " + std::to_string(status) +
                 " x\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\nFrom: <sip:alice@a.example>;tag=ours\n"
                 "To: <sip:bob@b.example>" +
                 to_tag + "\nCall-ID: call\nCSeq: 7 INVITE\n" + fields + "Content-Length: 0\n\n");
}
Read request(const std::string& method, int cseq, const std::string& fields,
             const std::string& to_tag = "", const std::string& from_tag = ";tag=theirs") {
    return parse(method +
                 " sip:alice@gw.example SIP/2.0\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\n"
                 "From: \"B\" <sip:bob@b.example>" +
                 from_tag + "\nTo: <sip:alice@a.example>" + to_tag + "\nCall-ID: call\nCSeq: " +
                 std::to_string(cseq) + " " + method + "\n" + fields + "Content-Length: 0\n\n");
}

// The lines of a request's head that a dialog decides.
std::string written(const RequestHead& head) {
    std::array<char, 8'192> memory;
    Sink sink{MutableBytes(memory)};
    write_request_head(sink, head);
    write_no_body(sink);
    EXPECT_FALSE(sink.overflowed());
    Read read(sink.written());
    EXPECT_EQ(read.parse(Carrier::kStream).parsed.verdict, Verdict::kDone) << sink.written();
    std::string out;
    for (const Bytes line : {read.message.start_line, read.message.value(HeaderName::kRoute)}) {
        out += std::string(line) + "\n";
    }
    return out;
}
std::string next(Dialog& dialog, Method method = Method::kBye) {
    RequestHead head;
    head.via = {Transport::kTcp, "gw", 0, "z9hG4bK1"};
    EXPECT_TRUE(dialog.next_request(method, head));
    return written(head);
}

constexpr const char* kContact = "Contact: <sip:bob@phone;transport=tcp>\n";
constexpr const char* kRoutes =
    "Record-Route: <sip:p1.example;lr>, \"x\" <sip:p2.example;lr;ftag=1>;y=\"<,\"\n"
    "Record-Route: <sips:p3.example;lr=on>\n";

TEST(Dialog, AClientsRouteSetIsReadFromTheBottom) {  // SIP-16, RFC 3261 12.1.2
    const Read answer = response(200, std::string(kContact) + kRoutes);
    auto dialog = Dialog::from_response(our_head(), answer.message);
    ASSERT_TRUE(dialog) << dialog.error().where;
    EXPECT_EQ(dialog->route_set(),
              "<sips:p3.example;lr=on>, <sip:p2.example;lr;ftag=1>;y=\"<,\", <sip:p1.example;lr>");
    EXPECT_EQ(dialog->next_hop(), "sips:p3.example;lr=on");  // SIP-9
    EXPECT_EQ(dialog->remote_target(), "sip:bob@phone;transport=tcp");
    EXPECT_FALSE(dialog->early());
    EXPECT_FALSE(dialog->secure());
    EXPECT_EQ(next(*dialog), "BYE sip:bob@phone;transport=tcp SIP/2.0\n" +
                                 std::string(dialog->route_set()) + "\n");
    EXPECT_EQ(dialog->local_cseq(), 8u);
}

TEST(Dialog, AServersRouteSetIsReadFromTheTop) {  // SIP-16, RFC 3261 12.1.1
    const Read invite = request("INVITE", 41, std::string(kContact) + kRoutes);
    auto dialog = Dialog::from_request(invite.message, "ours");
    ASSERT_TRUE(dialog) << dialog.error().where;
    EXPECT_EQ(dialog->route_set(),
              "<sip:p1.example;lr>, <sip:p2.example;lr;ftag=1>;y=\"<,\", <sips:p3.example;lr=on>");
    RequestHead head;
    ASSERT_TRUE(dialog->next_request(Method::kMessage, head));
    EXPECT_EQ(head.method, "MESSAGE");
    EXPECT_EQ(head.cseq, 1u);
    EXPECT_EQ(head.dialog_lines,
              "From: <sip:alice@a.example>;tag=ours\r\nTo: <sip:bob@b.example>;tag=theirs\r\n"
              "Call-ID: call\r\nCSeq: ");
    EXPECT_EQ(dialog->call_id(), "call");
    EXPECT_EQ(dialog->local_uri(), "sip:alice@a.example");
    EXPECT_EQ(dialog->local_tag(), "ours");
    EXPECT_EQ(dialog->remote_uri(), "sip:bob@b.example");
    EXPECT_EQ(dialog->remote_tag(), "theirs");
    EXPECT_EQ(head.uri, "sip:bob@phone;transport=tcp");
}

TEST(Dialog, AStrictRouterGetsTheRequestAsIfItWereTheTarget) {  // SIP-16, RFC 3261 12.2.1.1
    const Read one = request("INVITE", 1,
                             std::string(kContact) +
                                 "Record-Route: <sip:old@p1.example>\n"
                                 "Record-Route: <sip:p2.example;lr>;q=1\n");
    auto dialog = Dialog::from_request(one.message, "ours");
    ASSERT_TRUE(dialog);
    EXPECT_EQ(next(*dialog),
              "BYE sip:old@p1.example SIP/2.0\n"
              "<sip:p2.example;lr>;q=1, <sip:bob@phone;transport=tcp>\n");
    EXPECT_EQ(dialog->next_hop(), "sip:old@p1.example");
    // The target moves at the end of the route.
    const Read moved = request("UPDATE", 2, "Contact: <sip:bob@other>\n", ";tag=ours");
    EXPECT_EQ(dialog->on_request(moved.message), 0);
    EXPECT_EQ(next(*dialog),
              "BYE sip:old@p1.example SIP/2.0\n<sip:p2.example;lr>;q=1, <sip:bob@other>\n");

    const Read alone =
        request("INVITE", 1, std::string(kContact) + "Record-Route: <sip:old@p1.example>\n");
    auto single = Dialog::from_request(alone.message, "ours");
    ASSERT_TRUE(single);
    EXPECT_EQ(next(*single), "BYE sip:old@p1.example SIP/2.0\n<sip:bob@phone;transport=tcp>\n");
}

TEST(Dialog, WithoutRoutesTheTargetIsTheNextHop) {  // SIP-9
    const Read invite = request("INVITE", 1, kContact);
    auto dialog = Dialog::from_request(invite.message, "ours");
    ASSERT_TRUE(dialog);
    EXPECT_EQ(dialog->next_hop(), "sip:bob@phone;transport=tcp");
    EXPECT_EQ(next(*dialog), "BYE sip:bob@phone;transport=tcp SIP/2.0\n\n");
}

TEST(Dialog, TheCseqOfAPeerOnlyRises) {  // SIP-22, RFC 3261 12.2.2
    const Read invite = request("INVITE", 10, kContact);
    auto dialog = Dialog::from_request(invite.message, "ours");
    ASSERT_TRUE(dialog);
    EXPECT_EQ(dialog->on_request(request("MESSAGE", 9, "", ";tag=ours").message), 500);
    EXPECT_EQ(dialog->on_request(request("MESSAGE", 10, "", ";tag=ours").message), 500);
    EXPECT_EQ(dialog->on_request(request("ACK", 10, "", ";tag=ours").message), 0);
    EXPECT_EQ(dialog->on_request(request("MESSAGE", 400, "", ";tag=ours").message), 0);  // a gap
    EXPECT_EQ(dialog->on_request(request("BYE", 399, "", ";tag=ours").message), 500);
    EXPECT_EQ(dialog->on_request(request("BYE", 401, "", ";tag=ours").message), 0);
    // A dialog that we began has no number of theirs yet: any is good, also 0.
    auto ours = Dialog::from_response(our_head(), response(200, kContact).message);
    ASSERT_TRUE(ours);
    EXPECT_EQ(ours->on_request(request("MESSAGE", 0, "", ";tag=ours").message), 0);
    EXPECT_EQ(ours->on_request(request("MESSAGE", 0, "", ";tag=ours").message), 500);
}

// The way of every text is the way of any request.
TEST(Dialog, ATextIsWrittenAsAnyRequest) {  // SIP-16
    const Bytes via = "SIP/2.0/TCP gw;branch=z9hG4bK1";
    for (const std::string routes :
         {"", kRoutes, "Record-Route: <sip:old@p1.example>\nRecord-Route: <sip:p2.example;lr>\n",
          "Record-Route: <sip:old@p1.example>\n"}) {
        const Read invite = request("INVITE", 1, kContact + routes);
        auto dialog = Dialog::from_request(invite.message, "ours", 0x7fff'fffd);
        auto same = Dialog::from_request(invite.message, "ours", 0x7fff'fffd);
        ASSERT_TRUE(dialog && same);
        std::array<char, 2'048> memory;
        Sink sink{MutableBytes(memory)};
        RequestHead head;
        ASSERT_TRUE(same->next_request(Method::kMessage, head));
        head.via.text = via;
        write_request_head(sink, head);
        const std::string expected(sink.written());
        sink.truncate(0);
        ASSERT_TRUE(dialog->has_next_cseq());
        const std::size_t before_via = dialog->write_request(Method::kMessage, via, sink);
        EXPECT_EQ(sink.written(), expected);
        EXPECT_EQ(before_via, expected.find("Via: "));
        EXPECT_EQ(dialog->local_cseq(), same->local_cseq());
        EXPECT_LE(sink.size() - via.size() - Bytes("Via: \r\n").size(),
                  dialog->request_bytes_max());
        dialog->write_request(Method::kMessage, via, sink);
        EXPECT_FALSE(dialog->has_next_cseq());
    }
}

// RFC 3261 25.1: it may stand around a semicolon.
TEST(Dialog, ATabInARouteGoesOnAsItCame) {  // SIP-16
    const std::string route = "<sip:p1.example;lr>;a=b\t;\tc=d";
    const Read invite = request("INVITE", 1, kContact + ("Record-Route: " + route) + "\n");
    const auto dialog = Dialog::from_request(invite.message, "ours");
    ASSERT_TRUE(dialog);
    EXPECT_EQ(dialog->route_set(), route);
    EXPECT_EQ(dialog->next_hop(), "sip:p1.example;lr");
}

// Whatever it is made of, it ends no line of a request.
TEST(Dialog, NoTargetEndsALine) {  // RFC 3261 25.1
    RequestHead head = our_head();
    head.uri = "sip:bob@b.example\r\nEvil: yes";
    const auto dialog = Dialog::from_response(head, response(200, "").message);
    ASSERT_FALSE(dialog);
    EXPECT_EQ(dialog.error().code, Errc::kMalformed);
}

TEST(Dialog, OurCseqEndsBelow2To31) {  // RFC 3261 8.1.1.5
    RequestHead head = our_head();
    head.cseq = 0x7fff'fffe;
    auto dialog = Dialog::from_response(head, response(200, kContact).message);
    ASSERT_TRUE(dialog);
    EXPECT_TRUE(dialog->next_request(Method::kBye, head));
    EXPECT_EQ(head.cseq, 0x7fff'ffffu);
    EXPECT_FALSE(dialog->next_request(Method::kBye, head));
    EXPECT_EQ(dialog->local_cseq(), 0x7fff'ffffu);
}

TEST(Dialog, CredentialsRaiseTheCseq) {  // RFC 3261 22.2
    auto dialog = Dialog::from_response(our_head(), response(200, kContact).message);
    ASSERT_TRUE(dialog);
    RequestHead head;
    dialog->note_cseq(9);
    dialog->note_cseq(3);
    ASSERT_TRUE(dialog->next_request(Method::kBye, head));
    EXPECT_EQ(head.cseq, 10u);
}

TEST(Dialog, TheTargetMovesWithTheRequestsThatMayMoveIt) {  // RFC 3261 12.2.1.2, 12.2.2
    const Read invite = request("INVITE", 1, kContact);
    auto dialog = Dialog::from_request(invite.message, "ours");
    ASSERT_TRUE(dialog);
    const char* const kMoved = "Contact: <sip:bob@[2001:db8::1]:99>\n";
    EXPECT_EQ(dialog->on_request(request("INFO", 2, kMoved, ";tag=ours").message), 0);
    EXPECT_EQ(dialog->remote_target(), "sip:bob@phone;transport=tcp");
    EXPECT_EQ(dialog->on_request(request("INVITE", 3, kMoved, ";tag=ours").message), 0);
    EXPECT_EQ(dialog->remote_target(), "sip:bob@[2001:db8::1]:99");
    for (const char* method : {"NOTIFY", "SUBSCRIBE", "UPDATE"}) {
        auto other = Dialog::from_request(invite.message, "ours");
        EXPECT_EQ(other->on_request(request(method, 4, kMoved, ";tag=ours").message), 0);
        EXPECT_EQ(other->remote_target(), "sip:bob@[2001:db8::1]:99") << method;
    }
    // By our own requests: a 2xx moves it, anything else does not.
    const Read back = response(200, kContact);
    EXPECT_TRUE(dialog->on_response(Method::kMessage, back.message));
    EXPECT_TRUE(dialog->on_response(Method::kUpdate, response(302, kContact).message));
    EXPECT_EQ(dialog->remote_target(), "sip:bob@[2001:db8::1]:99");
    EXPECT_TRUE(dialog->on_response(Method::kUpdate, back.message));
    EXPECT_EQ(dialog->remote_target(), "sip:bob@phone;transport=tcp");
    // A request out of order moves nothing, and neither does one with a bad Contact.
    EXPECT_EQ(dialog->on_request(request("UPDATE", 2, kMoved, ";tag=ours").message), 500);
    for (const char* bad : {"Contact: *\n", "Contact: <sip:a@b>, <sip:c@d>\n",
                            "Contact: <sip:a@b>\nContact: <sip:c@d>\n", "Contact: <tel:+1>\n",
                            "Contact: <sip:a@b?x=y>\n"}) {
        EXPECT_EQ(dialog->on_request(request("UPDATE", 50, bad, ";tag=ours").message), 400) << bad;
    }
    EXPECT_EQ(dialog->remote_target(), "sip:bob@phone;transport=tcp");
    EXPECT_EQ(dialog->on_request(request("UPDATE", 50, "", ";tag=ours").message), 0);
}

TEST(Dialog, EachForkIsADialogOfItsOwn) {  // SIP-21, SIP-22
    auto one = Dialog::from_response(our_head(), response(180, kContact, ";tag=f1").message);
    auto two = Dialog::from_response(our_head(), response(200, kContact, ";tag=f2").message);
    auto three = Dialog::from_response(our_head(),
                                       response(200, "Contact: <sip:bob@pc>\n", ";tag=f3").message);
    ASSERT_TRUE(one && two && three);
    KeyIndex<int> index(3);
    ASSERT_TRUE(index.insert(one->key(kSecret), 1));
    ASSERT_TRUE(index.insert(two->key(kSecret), 2));
    ASSERT_TRUE(index.insert(three->key(kSecret), 3));
    const auto find = [&](const std::string& to_tag, const std::string& from_tag) {
        const Read bye = request("BYE", 1, "", to_tag, from_tag);
        const int* found = index.find(dialog_key(kSecret, bye.message));
        return found == nullptr ? 0 : *found;
    };
    EXPECT_EQ(find(";tag=ours", ";tag=f1"), 1);
    EXPECT_EQ(find(";tag=OURS", ";tag=F2"), 2);
    EXPECT_EQ(find(";tag=ours", ";tag=f3"), 3);
    EXPECT_EQ(find(";tag=ours", ";tag=f4"), 0);  // 481
    EXPECT_EQ(find(";tag=other", ";tag=f1"), 0);
    EXPECT_EQ(find(";tag=ours", ""), 0);
    EXPECT_NE(one->key(kSecret), dialog_key(kSecret, "Call", "ours", "f1"));  // Call-ID: by byte
    EXPECT_NE(dialog_key(kSecret, "c", "ab", "c"), dialog_key(kSecret, "c", "a", "bc"));
}

TEST(Dialog, AnEarlyDialogIsConfirmedByItsOwn2xx) {  // RFC 3261 13.2.2.4
    const Read ringing = response(183, "Record-Route: <sip:p1.example;lr>\n");
    auto dialog = Dialog::from_response(our_head(), ringing.message);
    ASSERT_TRUE(dialog);
    EXPECT_TRUE(dialog->early());
    EXPECT_EQ(dialog->remote_target(), "sip:bob@b.example");  // no Contact: where the INVITE went
    EXPECT_FALSE(dialog->confirm(response(200, "Contact: *\n").message));
    EXPECT_EQ(dialog->remote_target(), "sip:bob@b.example");
    const Read answer = response(200, std::string(kContact) + "Record-Route: <sip:p2.example>\n");
    EXPECT_TRUE(dialog->confirm(answer.message));
    EXPECT_FALSE(dialog->early());
    EXPECT_EQ(dialog->route_set(), "<sip:p2.example>");  // computed anew
    EXPECT_EQ(dialog->next_hop(), "sip:p2.example");
    RequestHead ack;
    for (int again = 0; again < 2; ++again) {
        dialog->fill_ack(ack, 7);
        EXPECT_EQ(ack.method, "ACK");
        EXPECT_EQ(ack.cseq, 7u);
        EXPECT_EQ(ack.uri, "sip:p2.example");
        EXPECT_EQ(ack.route, "<sip:bob@phone;transport=tcp>");
    }
    EXPECT_EQ(dialog->local_cseq(), 7u);
}

TEST(Dialog, ANotifyMakesTheDialogOfASubscription) {  // SIP-16, RFC 6665 4.4.1
    const Read notify = request("NOTIFY", 3, std::string(kContact) + kRoutes, ";tag=ours");
    auto dialog = Dialog::from_request(notify.message, notify.message.to.tag, 7);
    ASSERT_TRUE(dialog);
    EXPECT_EQ(dialog->route_set().substr(0, 21), "<sip:p1.example;lr>, ");
    RequestHead head;
    ASSERT_TRUE(dialog->next_request(Method::kSubscribe, head));
    EXPECT_EQ(head.cseq, 8u);
    EXPECT_EQ(dialog->key(kSecret), dialog_key(kSecret, notify.message));
    EXPECT_EQ(dialog->on_request(request("NOTIFY", 2, "", ";tag=ours").message), 500);
}

TEST(Dialog, WhatMakesNoDialogIsRefused) {
    const auto refused = [](const std::string& fields) {
        const auto dialog = Dialog::from_request(request("INVITE", 1, fields).message, "ours");
        return dialog ? 0 : Dialog::refusal(dialog.error());
    };
    EXPECT_EQ(refused(""), 400);
    EXPECT_EQ(refused("Contact: *\n"), 400);
    EXPECT_EQ(refused("Contact: <sip:a@b>,<sip:c@d>\n"), 400);
    for (const char* bad : {"sip:p1;lr", "<tel:1>", "<sip:p1?a=b>", "", "<sip:p1;lr>,"}) {
        EXPECT_EQ(refused(std::string(kContact) + "Record-Route: " + bad + "\n"), 400) << bad;
    }
    EXPECT_FALSE(Dialog::from_response(our_head(), response(100, kContact).message));
    EXPECT_FALSE(Dialog::from_response(our_head(), response(302, kContact).message));
    EXPECT_FALSE(Dialog::from_response(our_head(), response(200, kContact, "").message));
    EXPECT_FALSE(Dialog::from_response(our_head(), response(200, "Contact: *\n").message));
    // RFC 2543 peers have no tag: SIP-52.
    const Read old = request("INVITE", 1, kContact, "", "");
    const auto dialog = Dialog::from_request(old.message, "ours");
    ASSERT_TRUE(dialog);
    EXPECT_EQ(dialog->remote_tag(), "");
    EXPECT_EQ(dialog->key(kSecret),
              dialog_key(kSecret, request("BYE", 2, "", ";tag=ours", "").message));
}

TEST(Dialog, APeerWithoutATagHasNone) {  // RFC 3261 12.1.1: one of RFC 2543
    const Read invite = request("INVITE", 1, "Contact: <sip:bob@phone>\n", "", "");
    auto dialog = Dialog::from_request(invite.message, "ours");
    ASSERT_TRUE(dialog) << dialog.error().where;
    RequestHead head;
    ASSERT_TRUE(dialog->next_request(Method::kBye, head));
    EXPECT_EQ(head.dialog_lines,
              "From: <sip:alice@a.example>;tag=ours\r\nTo: <sip:bob@b.example>\r\n"
              "Call-ID: call\r\nCSeq: ");
    EXPECT_EQ(dialog->remote_tag(), "");
    EXPECT_EQ(dialog->call_id(), "call");
    EXPECT_EQ(dialog->remote_target(), "sip:bob@phone");
}

TEST(Dialog, WhatEndsALineIsNotKept) {
    const Read invite = request("INVITE", 1, kContact);
    for (const Bytes tag : {Bytes("a\rb"), Bytes("a\r\nX: y"), Bytes("a\0b", 3)}) {
        EXPECT_FALSE(Dialog::from_request(invite.message, tag));
    }
}

TEST(Dialog, MemoryHasABound) {
    const auto status = [](std::size_t routes, std::size_t bytes) {
        std::string fields = kContact;
        for (std::size_t i = 0; i < routes; ++i) {
            fields += "Record-Route: <sip:p" + std::string(bytes, 'x') + ";lr>\n";
        }
        const auto dialog = Dialog::from_request(request("INVITE", 1, fields).message, "ours");
        return dialog ? 0 : Dialog::refusal(dialog.error());
    };
    EXPECT_EQ(status(limits::kSipRoutes, 1), 0);
    EXPECT_EQ(status(limits::kSipRoutes + 1, 1), 513);
    EXPECT_EQ(status(20, 180), 0);
    EXPECT_EQ(status(20, 200), 513);
    const std::string big(limits::kSipDialogBytes, 'x');
    const Read huge = request("INVITE", 1, "Contact: <sip:" + big + "@h>\n");
    EXPECT_EQ(Dialog::refusal(Dialog::from_request(huge.message, "ours").error()), 513);
    const Read invite = request("INVITE", 1, kContact);
    EXPECT_EQ(Dialog::refusal(Dialog::from_request(invite.message, big).error()), 513);
    // What can't be kept changes nothing.
    auto dialog = Dialog::from_request(invite.message, "ours");
    EXPECT_EQ(dialog->on_request(
                  request("UPDATE", 2, "Contact: <sip:" + big + "@h>\n", ";tag=ours").message),
              513);
    EXPECT_FALSE(dialog->confirm(
        response(200, "Contact: <sip:" + big + "@h>\nRecord-Route: <sip:p1;lr>\n").message));
    EXPECT_EQ(dialog->remote_target(), "sip:bob@phone;transport=tcp");
    EXPECT_EQ(next(*dialog), "BYE sip:bob@phone;transport=tcp SIP/2.0\n\n");
    EXPECT_LE(sizeof(Dialog), 80u);
}

std::string saved(const Dialog& dialog) {
    std::array<char, Dialog::kSavedBytes> memory;
    Sink sink{MutableBytes(memory)};
    dialog.save(sink);
    EXPECT_FALSE(sink.overflowed());
    return std::string(sink.written());
}

TEST(Dialog, ItGoesOnAfterARestart) {
    for (const std::string& routes : {std::string(), std::string(kRoutes),
                                      std::string("Record-Route: <sip:strict.example>\n")}) {
        const Read first = request("SUBSCRIBE", 3, kContact + routes);
        auto dialog = Dialog::from_request(first.message, "ours");
        ASSERT_TRUE(dialog);
        static_cast<void>(next(*dialog, Method::kNotify));
        auto again = Dialog::restore(saved(*dialog));
        ASSERT_TRUE(again) << saved(*dialog);
        EXPECT_EQ(again->key(kSecret), dialog->key(kSecret));
        EXPECT_EQ(again->next_hop(), dialog->next_hop());
        EXPECT_EQ(again->local_cseq(), 1u);
        EXPECT_EQ(next(*again, Method::kNotify), next(*dialog, Method::kNotify));
        EXPECT_EQ(again->on_request(request("SUBSCRIBE", 3, kContact).message), 500);  // SIP-22
        EXPECT_EQ(again->on_request(request("SUBSCRIBE", 4, kContact).message), 0);
    }
}

TEST(Dialog, WhatADiskHasSpoiltIsNoDialog) {
    const Read first = request("SUBSCRIBE", 3, std::string(kContact) + kRoutes);
    auto dialog = Dialog::from_request(first.message, "ours");
    ASSERT_TRUE(dialog);
    const std::string whole = saved(*dialog);
    for (std::size_t i = 0; i < whole.size(); ++i) {
        EXPECT_FALSE(Dialog::restore(whole.substr(0, i))) << i;
        for (const char c : {'\n', '<', '>', ' ', '9', '\0'}) {
            std::string other = whole;
            other[i] = c;
            if (auto read = Dialog::restore(other)) {
                RequestHead head;  // as good as any, as far as memory goes
                EXPECT_TRUE(read->next_request(Method::kNotify, head) ||
                            read->local_cseq() > 1u << 30);
                EXPECT_FALSE(read->next_hop().empty());
            }
        }
    }
}

TEST(Dialog, SomeResponsesEndIt) {  // RFC 3261 12.2.1.2
    auto dialog = Dialog::from_response(our_head(), response(200, kContact).message);
    ASSERT_TRUE(dialog);
    for (const int status : {481, 408}) {
        EXPECT_FALSE(dialog->on_response(Method::kInfo, response(status, "").message)) << status;
    }
    for (const int status : {200, 404, 486, 500, 603}) {
        EXPECT_TRUE(dialog->on_response(Method::kInfo, response(status, "").message)) << status;
    }
}

TEST(Dialog, SipsStaysSips) {  // RFC 3261 12.1.1
    RequestHead head = our_head();
    head.uri = "SIPS:bob@b.example";
    const auto dialog = Dialog::from_response(head, response(200, kContact).message);
    ASSERT_TRUE(dialog);
    EXPECT_TRUE(dialog->secure());
    const Read plain = request("INVITE", 1, kContact);
    std::string called(plain.buffer.begin(), plain.buffer.end());
    called.replace(called.find("sip:alice@gw"), 4, "sips:");
    Read invite(called);
    ASSERT_EQ(invite.parse(Carrier::kStream).parsed.verdict, Verdict::kDone);
    EXPECT_TRUE(Dialog::from_request(invite.message, "ours")->secure());
    EXPECT_FALSE(Dialog::from_request(plain.message, "ours")->secure());
    const auto contact = [](const OwnContact& of) {
        std::array<char, 200> memory;
        Sink sink{MutableBytes(memory)};
        write_contact(sink, of);
        return std::string(sink.written());
    };
    OwnContact ours{"juliet%20c", "gw1.example", 5061, Transport::kTls, true};
    EXPECT_EQ(contact(ours), "Contact: <sips:juliet%20c@gw1.example:5061>\r\n");
    ours.secure = false;  // SIP-20
    EXPECT_EQ(contact(ours), "Contact: <sip:juliet%20c@gw1.example:5061;transport=tls>\r\n");
    EXPECT_EQ(contact({"", "[::1]", 0, Transport::kUdp, false}),
              "Contact: <sip:[::1];transport=udp>\r\n");
}

TEST(Dialog, TheAnswerRepeatsTheRecordRoutes) {  // SIP-16, RFC 3261 12.1.1
    const Read invite = request("INVITE", 1, std::string(kContact) + kRoutes);
    std::array<char, 400> memory;
    Sink sink{MutableBytes(memory)};
    write_record_routes(sink, invite.message);
    EXPECT_EQ(sink.written(), test::crlf(kRoutes));
}

}  // namespace
}  // namespace fedgate::sip
