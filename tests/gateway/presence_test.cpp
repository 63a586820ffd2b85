#include "appliance/gateway/presence.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/gateway/mapping.hpp"
#include "xml/framer.hpp"
#include "xml/scope.hpp"

namespace fedgate::gateway {
namespace {

constexpr WallTime kReadAt{std::chrono::seconds(1'800'000'000)};

// A stanza read and written again, to `juliet@xmpp.example`, as the SIP user's server would see it.
std::string there_and_back(const std::string& content, const std::string& attributes = "",
                           bool notes_allowed = true, Bytes language = {}) {
    const std::string text = "<presence from='romeo@sip.example/orchard' to='juliet@xmpp.example'" +
                             attributes + ">" + content + "</presence>";
    std::vector<char> memory(text.size());
    Sink sink{MutableBytes(memory)};
    const Presence read = read_presence(xml::parse_stanza(text, kScope), "orchard", sink);
    EXPECT_FALSE(sink.overflowed());
    std::vector<char> out_memory(65'536);
    Sink out{MutableBytes(out_memory)};
    PresenceHead head;
    head.from = "romeo@sip.example";
    head.to = "juliet@xmpp.example";
    head.id = "fresh";
    head.language = language;
    head.now = kReadAt;
    write_presence(head, read, notes_allowed, out);
    EXPECT_FALSE(out.overflowed());
    const std::string start =
        "<presence from='romeo@sip.example/orchard' to='juliet@xmpp.example' id='fresh'";
    std::string written(out.written());
    EXPECT_TRUE(written.starts_with(start)) << written;
    return written.substr(start.size());
}

TEST(PresenceStanza, SaysAvailableOrNot) {  // PRES-1, PRES-2, PRES-9
    EXPECT_EQ(there_and_back("", " id='old'"), "></presence>");
    EXPECT_EQ(there_and_back("", " type='unavailable'"), " type='unavailable'></presence>");
    EXPECT_EQ(there_and_back("<status>gone</status>", " type='unavailable'"),
              " type='unavailable'><status>gone</status></presence>");
    // What somebody who is not there says of his device means nothing.
    EXPECT_EQ(there_and_back("<show>dnd</show><priority>5</priority>", " type='unavailable'"),
              " type='unavailable'></presence>");
}

TEST(PresenceStanza, HasOneOfFourShows) {  // PRES-4, R5
    for (const char* show : {"away", "chat", "dnd", "xa"}) {
        const std::string element = std::string("<show>") + show + "</show>";
        EXPECT_EQ(there_and_back(element), ">" + element + "</presence>");
    }
    EXPECT_EQ(there_and_back("<show> away\n</show>"), "><show>away</show></presence>");
    for (const char* none : {"<show>busy</show>", "<show/>", "<show>Away</show>",
                             "<show xmlns='urn:other'>away</show>"}) {
        EXPECT_EQ(there_and_back(none), "></presence>") << none;
    }
    EXPECT_EQ(there_and_back("<show>dnd</show><show>away</show>"), "><show>dnd</show></presence>");
    EXPECT_EQ(show_name(Show::kNone).data(), nullptr);
}

TEST(PresenceStanza, HasAStatusForEachLanguage) {  // PRES-5, PRES-8
    EXPECT_EQ(there_and_back("<status>a &lt; b</status><status xml:lang='fr'>c</status>"),
              "><status>a &lt; b</status><status xml:lang='fr'>c</status></presence>");
    EXPECT_EQ(there_and_back("<status>a</status><status>b</status>"),
              "><status>a</status></presence>");
    EXPECT_EQ(there_and_back("<status> \n </status>"), "></presence>");
    EXPECT_EQ(there_and_back("<status>\n a b </status>"), "><status>a b</status></presence>");
    // The stanza's language is the status's, unless that has one.
    EXPECT_EQ(
        there_and_back("<status>a</status><status xml:lang='de'>b</status>", " xml:lang='fr'"),
        "><status xml:lang='fr'>a</status><status xml:lang='de'>b</status></presence>");
    EXPECT_EQ(there_and_back("<status>a</status>", " xml:lang='not a tag'"),
              "><status>a</status></presence>");
    // That of Content-Language is said once.
    EXPECT_EQ(there_and_back("<status xml:lang='de'>a</status><status xml:lang='fr'>b</status>", "",
                             true, "fr"),
              " xml:lang='fr'><status xml:lang='de'>a</status><status>b</status></presence>");
}

TEST(PresenceStanza, ShowsNotesOnlyToWhomTheyAreFor) {  // R7
    EXPECT_EQ(there_and_back("<show>away</show><status>secret</status>", "", false),
              "><show>away</show></presence>");
}

TEST(PresenceStanza, HasAPriority) {  // PRES-6, PRES-7
    EXPECT_EQ(there_and_back("<priority>127</priority>"), "><priority>127</priority></presence>");
    EXPECT_EQ(there_and_back("<priority> +5 </priority>"), "><priority>5</priority></presence>");
    EXPECT_EQ(there_and_back("<priority>-128</priority>"), "><priority>-128</priority></presence>");
    for (const char* none : {"", "128", "-129", "1.5", "x", "99999999999999999999", "--1", "1 2"}) {
        EXPECT_EQ(there_and_back(std::string("<priority>") + none + "</priority>"), "></presence>")
            << none;
    }
}

TEST(PresenceStanza, TellsSinceWhenAfterAMinute) {  // PRES-11
    const auto delay = [](const std::string& stamp) {
        return "<delay xmlns='urn:xmpp:delay' stamp='" + stamp + "'/>";
    };
    EXPECT_EQ(there_and_back(delay("2027-01-15T07:58:59Z")),
              ">" + delay("2027-01-15T07:58:59Z") + "</presence>");
    EXPECT_EQ(there_and_back(delay("2027-01-15T07:59:00Z")), "></presence>");
    EXPECT_EQ(there_and_back(delay("2027-01-15T12:00:00Z")), "></presence>");  // their clock
    EXPECT_EQ(there_and_back(delay("yesterday")), "></presence>");
}

TEST(PresenceStanza, DropsWhatSipHasNoPlaceFor) {  // PRES-11, R8: the nick too
    EXPECT_EQ(there_and_back("<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' "
                             "ver='v'/><x xmlns='vcard-temp:x:update'><photo/></x>"
                             "<nick xmlns='http://jabber.org/protocol/nick'>R</nick>"
                             "<idle xmlns='urn:xmpp:idle:1' since='2027-01-15T07:00:00Z'/>"
                             "<show>xa</show>"),
              "><show>xa</show></presence>");
}

TEST(PresenceStanza, KeepsNotesInBounds) {
    std::string statuses;
    for (char c = 'a'; c <= 'z'; ++c)
        statuses += std::string("<status xml:lang='") + c + c + "'>x</status>";
    const std::string written = there_and_back(statuses);
    std::size_t count = 0;
    for (std::size_t at = 0; (at = written.find("<status", at)) != std::string::npos; ++at) ++count;
    EXPECT_EQ(count, limits::kNotes);

    // Cut between two characters of two bytes.
    std::string accents = "x";
    for (std::size_t i = 0; i < limits::kNoteBytes; ++i) accents += "é";
    EXPECT_EQ(there_and_back("<status>" + accents + "</status>"),
              "><status>" + accents.substr(0, limits::kNoteBytes - 1) + "</status></presence>");
    const std::string full(limits::kNoteBytes, 'x');
    EXPECT_EQ(there_and_back("<status>" + full + "</status><status xml:lang='fr'>y</status>"),
              "><status>" + full + "</status></presence>");
}

TEST(PresenceStanza, IsWellFormedWhateverTheNamesAre) {
    Presence presence;
    presence.resource = "it's <\"&> a";
    presence.available = true;
    presence.add_note({"", "]]> & <b/>"});
    std::vector<char> memory(4'096);
    Sink out{MutableBytes(memory)};
    out.append("<s xmlns='jabber:server'>");
    write_presence({"o\\27malley@sip.example", "a&b@xmpp.example", "1", {}, kReadAt}, presence,
                   true, out);
    xml::Framer framer;
    xml::Frame frame;
    ASSERT_EQ(framer.next(out.written(), frame), xml::FrameStatus::kDone);
    ASSERT_EQ(framer.next(out.written().substr(frame.consumed), frame), xml::FrameStatus::kDone);
    const xml::Stanza stanza = xml::parse_stanza(frame.bytes, framer.scope());
    EXPECT_EQ(stanza.kind, xml::StanzaKind::kPresence);
    Sink from{MutableBytes(memory)};
    EXPECT_TRUE(stanza.root.attribute("from", from));
    EXPECT_EQ(from.written(), "o\\27malley@sip.example/it's <\"&> a");
}

TEST(PresenceStanza, HasAKind) {  // PRES-16: bare to bare
    char memory[256];
    Sink out{MutableBytes(memory)};
    write_presence_kind("subscribed", "romeo@sip.example", "juliet@xmpp.example", "7", out);
    EXPECT_EQ(out.written(),
              "<presence from='romeo@sip.example' to='juliet@xmpp.example' id='7' "
              "type='subscribed'/>");
}

}  // namespace
}  // namespace fedgate::gateway
