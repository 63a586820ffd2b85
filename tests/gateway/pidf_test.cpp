#include "appliance/gateway/pidf.hpp"

#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "xml/document.hpp"

namespace fedgate::gateway {
namespace {

using namespace std::string_literals;

std::string describe_pidf(const Presence& p) {
    std::string text = "[" + std::string(p.resource) + "]" + (p.available ? "open" : "closed");
    if (p.show != Show::kNone) text += " " + std::string(show_name(p.show));
    if (p.priority) text += " p" + std::to_string(*p.priority);
    if (p.since) text += " @" + std::to_string(p.since->time_since_epoch().count());
    for (const Note& note : p.notes()) {
        text += " '" + std::string(note.text) + "'";
        if (!note.language.empty()) text += "." + std::string(note.language);
    }
    return text;
}

struct Read {
    std::vector<char> memory;
    Document document;
    PidfVerdict verdict;
    explicit Read(const std::string& body) : memory(2 * body.size()) {
        Sink sink{MutableBytes(memory)};
        xml::Document tree;
        verdict = read_pidf(body, tree, document, sink);
    }
};

// The tuples of a document, or why it has none.
std::string read_pidf(const std::string& body) {
    const Read read(body);
    if (read.verdict != PidfVerdict::kRead) return std::string(pidf_verdict_text(read.verdict));
    std::string text;
    for (const Presence& presence : read.document.tuples()) {
        if (!text.empty()) text += "; ";
        text += describe_pidf(presence);
    }
    return text;
}

std::string pidf(const std::string& content) {
    return "<presence xmlns='urn:ietf:params:xml:ns:pidf' "
           "xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' "
           "xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' entity='pres:romeo@sip.example'>" +
           content + "</presence>";
}
std::string tuple(const std::string& status, const std::string& rest = "",
                  const std::string& id = "ID-orchard") {
    return "<tuple id='" + id + "'><status>" + status + "</status>" + rest + "</tuple>";
}
std::string person(const std::string& activities, const std::string& rest = "") {
    return "<dm:person id='p1'><rpid:activities>" + activities + "</rpid:activities>" + rest +
           "</dm:person>";
}
const std::string kOpenStatus = "<basic>open</basic>";
const std::string kClosedStatus = "<basic>closed</basic>";

// ---- SIP -> XMPP

TEST(PidfIn, SaysOpenOrClosed) {  // PRES-1, PRES-2; RFC 8048 examples 4 and 20
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus))), "[orchard]open");
    EXPECT_EQ(read_pidf(pidf(tuple("<basic>closed</basic>"))), "[orchard]closed");
    EXPECT_EQ(read_pidf(pidf(tuple("\n <basic>\n open </basic>\n"))), "[orchard]open");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus + kClosedStatus))), "[orchard]open");
    EXPECT_EQ(read_pidf(pidf("")), "");
    EXPECT_EQ(read_pidf("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:a@b'/>"), "");
}

TEST(PidfIn, ReadsTheDocumentOfTheStandard) {  // RFC 8048 example 4 -> 6; ERT-4: with its show
    EXPECT_EQ(read_pidf("<?xml version='1.0' encoding='UTF-8'?>\n"
                        "<presence xmlns='urn:ietf:params:xml:ns:pidf'\n"
                        "          entity='pres:romeo@example.net'>\n"
                        "  <tuple id='ID-orchard'>\n"
                        "    <status>\n"
                        "      <basic>open</basic>\n"
                        "      <show xmlns='jabber:client'>away</show>\n"
                        "    </status>\n"
                        "  </tuple>\n"
                        "</presence>\n"),
              "[orchard]open away");
}

TEST(PidfIn, DecodesTupleIds) {  // PRES-3
    const auto resource = [](const std::string& id) {
        return read_pidf(pidf(tuple(kOpenStatus, "", id)));
    };
    EXPECT_EQ(resource("ID-a_20b_5fc"), "[a b_c]open");
    EXPECT_EQ(resource("ID-_c3_a9t_c3_a9"), "[été]open");
    EXPECT_EQ(resource("t4109"), "[t4109]open");
    EXPECT_EQ(resource("a_20b"), "[a_20b]open");       // not one of ours
    EXPECT_EQ(resource("ID-a_zz_2"), "[a_zz_2]open");  // nor this
    EXPECT_EQ(resource("ID-_2F"), "[_2F]open");
    EXPECT_EQ(resource("ID-"), "[]open");
    EXPECT_EQ(resource("ID-_00"), "[]open");  // no resource may have it: ADDR-2
    EXPECT_EQ(resource("ID-_ff"), "[]open");
    EXPECT_EQ(resource("ID-_0a"), "[]open");
    EXPECT_EQ(resource(std::string(1'023, 'x')), "[" + std::string(1'023, 'x') + "]open");
    EXPECT_EQ(resource(std::string(1'024, 'x')), "[]open");
    EXPECT_EQ(resource(std::string(10'000, 'x')), "[]open");
    EXPECT_EQ(read_pidf(pidf("<tuple><status><basic>open</basic></status></tuple>")), "[]open");
}

TEST(PidfIn, PrefersTheShowOfXmpp) {  // PRES-4, PRES-10
    const auto show = [](const std::string& value, const std::string& activity = "") {
        return read_pidf(pidf(
            tuple(kOpenStatus + "<show xmlns='jabber:client'>" + value + "</show>") +
            (activity.empty() ? "" : person("<rpid:" + activity + "/>", "<dm:note>n</dm:note>"))));
    };
    for (const char* value : {"away", "chat", "dnd", "xa"})
        EXPECT_EQ(show(value), "[orchard]open "s + value);
    EXPECT_EQ(show("chat", "busy"), "[orchard]open chat 'n'");
    EXPECT_EQ(show("online", "busy"), "[orchard]open dnd 'n'");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus + "<show>away</show>"))), "[orchard]open");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus + "<show xmlns='jabber:server'>away</show>"))),
              "[orchard]open");
    EXPECT_EQ(read_pidf(pidf(tuple(kClosedStatus + "<show xmlns='jabber:client'>away</show>"))),
              "[orchard]closed");
}

// PRES-10, R5, R15: every activity of RFC 4480 3.2.
TEST(PidfIn, MapsActivities) {
    const struct {
        const char* activity;
        const char* show;
        const char* text;
    } kRows[] = {
        {"appointment", "dnd", "In an appointment"},
        {"away", "away", ""},
        {"breakfast", "away", "At breakfast"},
        {"busy", "dnd", ""},
        {"dinner", "away", "At dinner"},
        {"holiday", "xa", "On holiday"},
        {"in-transit", "away", "In transit"},
        {"looking-for-work", "away", "Looking for work"},
        {"lunch", "away", "At lunch"},
        {"meal", "away", "At a meal"},
        {"meeting", "dnd", "In a meeting"},
        {"on-the-phone", "dnd", "On the phone"},
        {"other", "", ""},
        {"performance", "dnd", "At a performance"},
        {"permanent-absence", "xa", "No longer here"},
        {"playing", "away", "Playing"},
        {"presentation", "dnd", "In a presentation"},
        {"shopping", "away", "Shopping"},
        {"sleeping", "xa", "Sleeping"},
        {"spectator", "", "At an event"},
        {"steering", "away", "Driving"},
        {"travel", "away", "Travelling"},
        {"tv", "", "Watching television"},
        {"unknown", "", ""},
        {"vacation", "xa", "On vacation"},
        {"working", "", "Working"},
        {"worship", "away", "At worship"},
        {"levitating", "", ""},
    };
    for (const auto& row : kRows) {
        std::string expected = "[orchard]open";
        if (*row.show != '\0') expected += " "s + row.show;
        if (*row.text != '\0') expected += " '"s + row.text + "'.en";
        EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus) + person("<rpid:"s + row.activity + "/>"))),
                  expected);
    }
}

TEST(PidfIn, TakesTheFirstActivityOfTheTable) {  // PRES-10, R15
    EXPECT_EQ(
        read_pidf(pidf(person("<rpid:away/><rpid:vacation/><rpid:busy/>") + tuple(kOpenStatus))),
        "[orchard]open dnd 'On vacation'.en");
    EXPECT_EQ(read_pidf(pidf(person("<rpid:lunch/><rpid:sleeping/>") + tuple(kOpenStatus))),
              "[orchard]open xa 'Sleeping'.en");
    EXPECT_EQ(
        read_pidf(pidf(person("<rpid:away/>") + person("<rpid:meeting/>") + tuple(kOpenStatus))),
        "[orchard]open dnd 'In a meeting'.en");
    EXPECT_EQ(read_pidf(pidf(person("<rpid:other>Gardening</rpid:other>") + tuple(kOpenStatus))),
              "[orchard]open 'Gardening'.en");
    EXPECT_EQ(read_pidf(pidf(person("<rpid:on-the-phone/>") + tuple(kClosedStatus))),
              "[orchard]closed");
    // Not RPID: other names, other places.
    EXPECT_EQ(read_pidf(pidf(person("<busy/>") + tuple(kOpenStatus))), "[orchard]open");
    EXPECT_EQ(read_pidf(pidf("<person><rpid:activities><rpid:busy/></rpid:activities></person>" +
                             tuple(kOpenStatus))),
              "[orchard]open");
    EXPECT_EQ(
        read_pidf(pidf("<rpid:activities><rpid:busy/></rpid:activities>" + tuple(kOpenStatus))),
        "[orchard]open");
}

TEST(PidfIn, FallsBackToOtherNotes) {  // PRES-5, R7
    const std::string of_person = person("<rpid:meeting/>", "<dm:note xml:lang='de'>P</dm:note>");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note>T</note><note xml:lang='fr'>U</note>") +
                             of_person + "<note>D</note>")),
              "[orchard]open dnd 'T' 'U'.fr");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus) + of_person + "<note>D</note>")),
              "[orchard]open dnd 'P'.de");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus) + person("<rpid:meeting/>", "<note>Q</note>"))),
              "[orchard]open dnd 'Q'");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus) + person("<rpid:meeting/>") + "<note>D</note>")),
              "[orchard]open dnd 'D'");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus) + person("<rpid:meeting/>"))),
              "[orchard]open dnd 'In a meeting'.en");
    EXPECT_EQ(read_pidf(pidf(tuple(kClosedStatus) + "<note>D</note>")), "[orchard]closed 'D'");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note> \n</note>") + "<note>D</note>")),
              "[orchard]open 'D'");
}

TEST(PidfIn, KnowsTheLanguageOfANote) {  // PRES-8
    EXPECT_EQ(read_pidf("<presence xmlns='urn:ietf:params:xml:ns:pidf' xml:lang='fr'>"
                        "<tuple id='t'><status><basic>open</basic></status><note>A</note>"
                        "<note xml:lang='en'>B</note></tuple></presence>"),
              "[t]open 'A'.fr 'B'.en");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note xml:lang='no good'>A</note>"))),
              "[orchard]open 'A'");
}

TEST(PidfIn, ReadsNotesAsText) {
    EXPECT_EQ(
        read_pidf(pidf(tuple(kOpenStatus, "<note>\n  1 &lt; <![CDATA[2 & 3]]>&#x20AC;\n</note>"))),
        "[orchard]open '1 < 2 & 3€'");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note>a<b>hidden</b>c</note>"))),
              "[orchard]open 'ac'");
}

TEST(PidfIn, ReadsPriorities) {  // PRES-6: 0.007, 0.015, 0.992 as in RFC 8048 6.3
    const auto priority = [](const std::string& q) {
        return read_pidf(
            pidf(tuple(kOpenStatus, "<contact priority='" + q + "'>sip:a@b</contact>")));
    };
    const struct {
        const char* q;
        int priority;
    } kRows[] = {{"0", 0},     {"0.007", 1}, {"0.015", 2},   {"0.992", 126}, {"1", 127},
                 {"1.0", 127}, {"0.5", 64},  {"0.039", 5},   {"0.", 0},      {"1.000", 127},
                 {" 1 ", 127}, {"0.8", 102}, {"0.9999", 127}};
    for (const auto& row : kRows)
        EXPECT_EQ(priority(row.q), "[orchard]open p" + std::to_string(row.priority)) << row.q;
    for (const char* q : {"", "1.001", "2", "-0.5", "0,5", "0.5x", ".5", "high"})
        EXPECT_EQ(priority(q), "[orchard]open") << q;
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<contact>sip:a@b</contact>"))), "[orchard]open");
    EXPECT_EQ(read_pidf(pidf(tuple(kClosedStatus, "<contact priority='1'>sip:a@b</contact>"))),
              "[orchard]closed");
}

TEST(PidfIn, ReadsTimestamps) {  // PRES-11
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<timestamp>2001-10-27T16:49:29Z</timestamp>"))),
              "[orchard]open @1004201369");
    EXPECT_EQ(
        read_pidf(pidf(tuple(kOpenStatus, "<timestamp> 2001-10-27T16:49:29.5+02:00 </timestamp>"))),
        "[orchard]open @1004194169");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<timestamp>today</timestamp>"))), "[orchard]open");
}

// What stands in an element that is no part of its schema says nothing of what is around it.
TEST(PidfIn, IsNotMisledFromWithin) {
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus,
                                   "<contact priority='0.5'>sip:a@b</contact><rpid:activities>"
                                   "<rpid:away/><contact priority='0'/></rpid:activities>"))),
              "[orchard]open away p64");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus,
                                   "<timestamp>2001-10-27T16:49:29Z</timestamp>"
                                   "<note>hi<timestamp/></note>"))),
              "[orchard]open @1004201369 'hi'");
    EXPECT_EQ(read_pidf(pidf(
                  tuple("<rpid:activities><rpid:away/><basic/></rpid:activities>" + kOpenStatus))),
              "[orchard]open away");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus) +
                             person("<rpid:away/><note>x</note>", "<note>P<note>x</note></note>"))),
              "[orchard]open away 'P'");
}

TEST(PidfIn, NeedsBasicOrMore) {  // PRES-17
    EXPECT_EQ(read_pidf(pidf(tuple(""))), "");
    EXPECT_EQ(read_pidf(pidf("<tuple id='a'/>")), "");
    EXPECT_EQ(read_pidf(pidf(tuple("<basic>maybe</basic>"))), "");
    EXPECT_EQ(read_pidf(pidf(tuple("<show xmlns='jabber:client'>away</show>"))),
              "[orchard]open away");
    EXPECT_EQ(read_pidf(pidf(tuple("") + person("<rpid:busy/>"))), "[orchard]open dnd");
    EXPECT_EQ(read_pidf(pidf("<tuple id='a'>" + kOpenStatus + "</tuple>")),
              "");  // not in its status
    EXPECT_EQ(read_pidf(pidf(tuple("<x:basic xmlns:x='urn:x'>open</x:basic>"))), "");
}

TEST(PidfIn, JudgesNamespacesAndNotPrefixes) {  // PRES-17
    EXPECT_EQ(
        read_pidf("<p:presence xmlns:p='urn:ietf:params:xml:ns:pidf'><p:tuple id='a'><p:status>"
                  "<p:basic>open</p:basic></p:status><p:note>n</p:note></p:tuple>"
                  "<person xmlns='urn:ietf:params:xml:ns:pidf:data-model' id='b'>"
                  "<activities xmlns='urn:ietf:params:xml:ns:pidf:rpid'><busy/></activities>"
                  "</person></p:presence>"),
        "[a]open dnd 'n'");
    // Prefixes that mean something else: they are not what they seem.
    EXPECT_EQ(read_pidf("<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='urn:x' "
                        "xmlns:rpid='urn:ietf:params:xml:ns:pidf:data-model'>" +
                        tuple(kOpenStatus) + person("<rpid:busy/>") + "</presence>"),
              "[orchard]open");
    EXPECT_EQ(
        read_pidf("<presence xmlns='urn:ietf:params:xml:ns:pidf'>"
                  "<tuple xmlns='urn:x' id='a'><status><basic>open</basic></status></tuple>"
                  "<x:tuple xmlns:x='urn:x' id='b'><status><basic>open</basic></status></x:tuple>"
                  "</presence>"),
        "");
    for (const char* other :
         {"<presence/>", "<presence xmlns='jabber:client'/>", "<html xmlns='urn:x'/>",
          "<presence xmlns='urn:ietf:params:xml:ns:pidf:'/>",
          "<pidf xmlns='urn:ietf:params:xml:ns:pidf'/>",
          "<x:presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:x='urn:x'/>",
          "<presence xmlns='urn:ietf:params:xml:ns:pidf-diff'/>",
          "<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='0' state='full'/>"}) {
        EXPECT_EQ(read_pidf(other), "not a presence document") << other;
    }
}

TEST(PidfIn, RefusesWhatIsHostile) {  // PRES-17
    EXPECT_EQ(read_pidf("<!DOCTYPE presence [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>" +
                        pidf(tuple(kOpenStatus, "<note>&b;</note>"))),
              "not well-formed");
    EXPECT_EQ(
        read_pidf("<!DOCTYPE presence SYSTEM 'file:///etc/passwd'>" + pidf(tuple(kOpenStatus))),
        "not well-formed");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note>&undeclared;</note>"))), "not well-formed");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note>\xC3\x28</note>"))), "not well-formed");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note>&#1;</note>"))), "not well-formed");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus)) + "<presence/>"), "not well-formed");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus)).substr(0, 200)), "not well-formed");
    EXPECT_EQ(read_pidf(""), "not well-formed");
    std::string deep;
    for (int i = 0; i < 10'000; ++i) deep += "<n>";
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, deep))), "too large");
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note>" + std::string(1 << 20, 'x') + "</note>"))),
              "too large");
}

TEST(PidfIn, BoundsTuplesAndNotes) {
    std::string many;
    for (int i = 0; many.size() < 60'000; ++i)
        many +=
            "<tuple id='a" + std::to_string(i) + "'><status>" + kOpenStatus + "</status></tuple>";
    EXPECT_EQ(Read(pidf(many)).document.tuples().size(), limits::kResources);
    std::string huge;
    for (int i = 0; i < 10'000; ++i) huge += tuple(kOpenStatus, "", "a" + std::to_string(i));
    EXPECT_EQ(read_pidf(pidf(huge)), "too large");

    // One open tuple after many closed ones is not lost.
    std::string closed;
    for (int i = 0; i < 500; ++i) closed += tuple(kClosedStatus, "", "c" + std::to_string(i));
    const Read last(pidf(closed + tuple(kOpenStatus, "", "last")));
    ASSERT_EQ(last.document.tuples().size(), limits::kResources);
    EXPECT_EQ(describe_pidf(last.document.tuples()[0]), "[last]open");

    std::string notes;
    for (int i = 0; i < 1'500; ++i)
        notes += "<note xml:lang='a-" + std::to_string(i) + "'>x</note>";
    EXPECT_EQ(Read(pidf(tuple(kOpenStatus, notes))).document.tuples()[0].notes().size(),
              limits::kNotes);

    // In all no more than Presences keeps: notes go first, then tuples.
    std::string fat;
    for (int i = 0; i < 16; ++i)
        fat += tuple(kOpenStatus, "<note>" + std::string(2'000, 'x') + "</note>",
                     "f" + std::to_string(i));
    std::size_t bytes = 0;
    const Read bounded(pidf(fat));
    ASSERT_EQ(bounded.document.tuples().size(), 16U);
    for (const Presence& presence : bounded.document.tuples()) bytes += presence.kept_bytes();
    EXPECT_LE(bytes, limits::kPresenceBytes);
    EXPECT_GT(bytes, limits::kPresenceBytes - limits::kNoteBytes);
    std::string wide;
    for (int i = 0; i < 16; ++i)
        wide += tuple(kOpenStatus, "", std::to_string(i) + std::string(1'000, 'x'));
    EXPECT_EQ(Read(pidf(wide)).document.tuples().size(), 8U);
}

TEST(PidfIn, HasOneTupleForAResource) {
    EXPECT_EQ(read_pidf(pidf(tuple(kOpenStatus, "<note>1</note>", "a") +
                             tuple(kOpenStatus, "<note>2</note>", "a"))),
              "[a]open '1'");
    EXPECT_EQ(read_pidf(pidf(tuple(kClosedStatus, "", "a") + tuple(kOpenStatus, "", "ID-a") +
                             tuple(kClosedStatus, "", "a"))),
              "[a]open");
}

TEST(PidfIn, NeedsRoomForItsText) {
    const std::string body = pidf(tuple(kOpenStatus, "<note>" + std::string(500, 'x') + "</note>"));
    char memory[100];
    Sink sink{MutableBytes(memory)};
    xml::Document tree;
    Document document;
    EXPECT_EQ(read_pidf(body, tree, document, sink), PidfVerdict::kTooLarge);
}

// ---- What others write

TEST(PidfIn, ReadsWhatBaresipWrites) {
    const auto document = [](const std::string& basic) {
        return "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\r\n"
               "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\"\r\n"
               "    xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\"\r\n"
               "    xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\"\r\n"
               "    entity=\"sip:romeo@sip.example\">\r\n"
               "  <dm:person id=\"p4159\"><rpid:activities/></dm:person>\r\n"
               "  <tuple id=\"t4109\">\r\n    <status>\r\n      <basic>" +
               basic +
               "</basic>\r\n    </status>\r\n"
               "    <contact>sip:romeo@sip.example</contact>\r\n  </tuple>\r\n</presence>\r\n";
    };
    EXPECT_EQ(read_pidf(document("open")), "[t4109]open");
    EXPECT_EQ(read_pidf(document("closed")), "[t4109]closed");
}

TEST(PidfIn, ReadsWhatLyncWrites) {  // R5: one tuple, activities of the draft of RPID
    const auto document = [](const std::string& activity) {
        return "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" "
               "xmlns:ep=\"urn:ietf:params:xml:ns:pidf:status:rpid-status\" "
               "xmlns:ci=\"urn:ietf:params:xml:ns:pidf:cipid\" entity=\"sip:romeo@sip.example\">"
               "<tuple id=\"0\"><status><basic>open</basic><ep:activities>\r\n <ep:activity>" +
               activity +
               "</ep:activity>\r\n</ep:activities></status></tuple>"
               "<ci:display-name>Romeo</ci:display-name></presence>";
    };
    EXPECT_EQ(read_pidf(document("busy")), "[0]open dnd");
    EXPECT_EQ(read_pidf(document("away")), "[0]open away");
    EXPECT_EQ(read_pidf(document("on-the-phone")), "[0]open dnd 'On the phone'.en");
    EXPECT_EQ(read_pidf(document("in-transit")), "[0]open away 'In transit'.en");
    EXPECT_EQ(read_pidf(document("online")), "[0]open");
}

TEST(PidfIn, ReadsWhatBriaWrites) {  // and X-Lite: the status is a note of the person
    EXPECT_EQ(
        read_pidf("<?xml version='1.0' encoding='UTF-8'?><presence "
                  "xmlns='urn:ietf:params:xml:ns:pidf' "
                  "xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' "
                  "xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' "
                  "xmlns:c='urn:ietf:params:xml:ns:pidf:cipid' entity='sip:romeo@sip.example'>"
                  "<tuple id='t6a7eec1f'><status><basic>open</basic></status></tuple>"
                  "<dm:person id='p5f37a7d1'><rpid:activities><rpid:away/></rpid:activities>"
                  "<dm:note>Away</dm:note></dm:person></presence>"),
        "[t6a7eec1f]open away 'Away'");
}

TEST(PidfIn, ReadsWhatKamailioAggregates) {  // of two devices; pua_dialoginfo's overlay
    EXPECT_EQ(read_pidf("<?xml version=\"1.0\"?>\n"
                        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" "
                        "xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" "
                        "xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" "
                        "entity=\"sip:romeo@sip.example\">\n"
                        "  <tuple xmlns=\"urn:ietf:params:xml:ns:pidf\" id=\"desk\">\n"
                        "    <status>\n      <basic>open</basic>\n    </status>\n"
                        "    <contact priority=\"0.8\">sip:romeo@192.0.2.7:5060</contact>\n"
                        "    <note xml:lang=\"en\">At my desk</note>\n"
                        "    <timestamp>2026-11-26T04:00:00Z</timestamp>\n  </tuple>\n"
                        "  <tuple xmlns=\"urn:ietf:params:xml:ns:pidf\" id=\"mobile\">\n"
                        "    <status>\n      <basic>closed</basic>\n    </status>\n  </tuple>\n"
                        "<dm:person xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" "
                        "xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" id=\"1\">"
                        "<rpid:activities><rpid:on-the-phone/></rpid:activities>"
                        "<dm:note>On the phone</dm:note></dm:person>\n"
                        "</presence>\n"),
              "[desk]open dnd p102 @1795665600 'At my desk'.en; [mobile]closed 'On the phone'");
}

// ---- XMPP -> SIP

struct Made {
    Presence presence;
    Made(Bytes resource, bool available, Show show = Show::kNone) {
        presence.resource = resource;
        presence.available = available;
        presence.show = show;
    }
    Made& priority(int value) {
        presence.priority = static_cast<std::int8_t>(value);
        return *this;
    }
    Made& note(Bytes text, Bytes language = {}) {
        presence.add_note({language, text});
        return *this;
    }
    operator Presence() const { return presence; }  // NOLINT: a test's convenience
};

constexpr Bytes kAor = "sip:juliet@example.com";

std::string write(const std::vector<Presence>& presences, bool notes_allowed = true,
                  std::string* language = nullptr, Bytes aor = kAor) {
    std::vector<char> memory(131'072);
    Sink out{MutableBytes(memory)};
    const Bytes common = write_pidf(aor, presences, notes_allowed, out);
    if (language != nullptr) *language = common;
    EXPECT_FALSE(out.overflowed());
    return std::string(out.written());
}

const std::string kDeclaration = "<?xml version='1.0' encoding='UTF-8'?>";
const std::string kRoot =
    "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:juliet@example.com'>";
std::string person_out(const std::string& activity) {
    return "<dm:person xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' "
           "xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' id='person'><rpid:activities><rpid:" +
           activity + "/></rpid:activities></dm:person>";
}

TEST(PidfOut, WritesTheDocumentOfTheSpecification) {  // PRES-1, PRES-4..6, PRES-10, PRES-12
    EXPECT_EQ(write({Made("balcony", true, Show::kAway).priority(5).note("be right back")}),
              kDeclaration + kRoot +
                  "<tuple id='ID-balcony'><status><basic>open</basic>"
                  "<show xmlns='jabber:client'>away</show></status>"
                  "<contact priority='0.039'>sip:juliet@example.com;gr=balcony</contact>"
                  "<note>be right back</note></tuple>" +
                  person_out("away") + "</presence>");
}

TEST(PidfOut, WritesEveryResourceAndAClosedOneWhenAllAreGone) {  // PRES-2, PRES-13
    EXPECT_EQ(write({Made("phone", true), Made("balcony", true, Show::kChat)}),
              kDeclaration + kRoot +
                  "<tuple id='ID-phone'><status><basic>open</basic></status></tuple>"
                  "<tuple id='ID-balcony'><status><basic>open</basic>"
                  "<show xmlns='jabber:client'>chat</show></status></tuple></presence>");
    EXPECT_EQ(write({Made("phone", false)}),
              kDeclaration + kRoot +
                  "<tuple id='ID-phone'><status><basic>closed</basic></status></tuple></presence>");
}

TEST(PidfOut, EncodesTupleIds) {  // PRES-3: always an XML ID
    const auto id = [](Bytes resource) {
        const std::string text = write({Made(resource, true)});
        const std::size_t begin = text.find("<tuple id='") + 11;
        return text.substr(begin, text.find('\'', begin) - begin);
    };
    EXPECT_EQ(id("Az0.-"), "ID-Az0.-");
    EXPECT_EQ(id("a_b/c d'é"), "ID-a_5fb_2fc_20d_27_c3_a9");
    EXPECT_EQ(id(""), "ID-");
}

TEST(PidfOut, WritesPriorities) {  // PRES-6, PRES-7: 0.007, 0.015, 0.992 as in RFC 8048 6.2
    const struct {
        int priority;
        const char* q;
    } kRows[] = {{0, "0"},       {1, "0.007"}, {2, "0.015"},  {5, "0.039"},
                 {126, "0.992"}, {127, "1"},   {64, "0.503"}, {28, "0.22"}};
    for (const auto& row : kRows) {
        EXPECT_NE(write({Made("r", true).priority(row.priority)})
                      .find("<contact priority='"s + row.q + "'>sip:juliet@example.com;gr=r<"),
                  std::string::npos)
            << row.priority;
    }
    EXPECT_EQ(write({Made("r", true).priority(-1)}), write({Made("r", true)}));
    EXPECT_EQ(write({Made("r", true)}).find("<contact"), std::string::npos);
    EXPECT_NE(write({Made("it's/&<", true).priority(0)}).find(";gr=it's/&amp;%3C</contact>"),
              std::string::npos);  // ADDR-7
}

TEST(PidfOut, WritesActivitiesOfThePerson) {  // PRES-10, R6
    const auto activity = [](const std::vector<Presence>& presences) {
        const std::string text = write(presences);
        for (const char* name : {"busy", "away"})
            if (text.find(person_out(name)) != std::string::npos) return name;
        EXPECT_EQ(text.find("person"), std::string::npos);
        return "";
    };
    EXPECT_STREQ(activity({Made("a", true)}), "");
    EXPECT_STREQ(activity({Made("a", true, Show::kChat)}), "");
    EXPECT_STREQ(activity({Made("a", true, Show::kAway)}), "away");
    EXPECT_STREQ(activity({Made("a", true, Show::kXa)}), "away");
    EXPECT_STREQ(activity({Made("a", true, Show::kDnd)}), "busy");
    EXPECT_STREQ(activity({Made("a", false)}), "");
    // The highest priority; of equal ones the most available.
    EXPECT_STREQ(activity({Made("a", true, Show::kAway), Made("b", true)}), "");
    EXPECT_STREQ(activity({Made("a", true, Show::kAway), Made("b", true, Show::kDnd)}), "busy");
    EXPECT_STREQ(activity({Made("a", true, Show::kDnd).priority(5), Made("b", true)}), "busy");
    EXPECT_STREQ(activity({Made("a", true, Show::kDnd).priority(-1), Made("b", true, Show::kXa)}),
                 "away");
}

// features.md A15: what a server of Lync reads, and each state as it says it itself.
TEST(PidfOut, ToLyncItIsOneTupleWithItsActivity) {  // PRES-13, PRES-10, R6, R7
    const auto lync = [](const std::vector<Presence>& presences, bool notes_allowed = true) {
        std::vector<char> memory(131'072);
        Sink out{MutableBytes(memory)};
        write_pidf(kAor, presences, notes_allowed, out, PidfForm::kLync);
        return std::string(out.written());
    };
    const auto document = [](const std::string& status, const std::string& note = {}) {
        return kDeclaration +
               "<presence xmlns='urn:ietf:params:xml:ns:pidf' "
               "xmlns:ep='urn:ietf:params:xml:ns:pidf:status:rpid-status' "
               "entity='sip:juliet@example.com'><tuple id='0'><status><basic>" +
               status + "</status>" + note + "</tuple></presence>";
    };
    const std::string open = "open</basic>";
    const std::string away =
        "open</basic><ep:activities><ep:activity>away</ep:activity></ep:activities>";
    const std::string busy =
        "open</basic><ep:activities><ep:activity>busy</ep:activity></ep:activities>";
    EXPECT_EQ(lync({Made("balcony", true)}), document(open));
    EXPECT_EQ(lync({Made("balcony", true, Show::kChat).priority(7)}), document(open));
    EXPECT_EQ(lync({Made("balcony", true, Show::kAway)}), document(away));
    EXPECT_EQ(lync({Made("balcony", true, Show::kXa)}), document(away));
    EXPECT_EQ(lync({Made("balcony", true, Show::kDnd)}), document(busy));
    EXPECT_EQ(lync({Made("balcony", false)}), document("closed</basic>"));
    EXPECT_EQ(lync({Made("", false).note("gone")}),
              document("closed</basic>", "<note>gone</note>"));
    // Of several the one that messages go to, with its note and nobody else's.
    EXPECT_EQ(lync({Made("phone", true, Show::kAway).note("out"),
                    Made("desk", true, Show::kDnd).note("in a call").priority(5),
                    Made("tablet", true).note("here")}),
              document(busy, "<note>in a call</note>"));
    EXPECT_EQ(lync({Made("phone", true, Show::kAway).note("out")}, false), document(away));
    // As it is read: the same state, of one device that has no name.
    EXPECT_EQ(read_pidf(lync({Made("phone", true, Show::kDnd).note("n")})), "[0]open dnd 'n'");
}

TEST(PidfOut, WritesNotesWithTheirLanguages) {  // PRES-5, PRES-8, R7
    std::string language;
    EXPECT_NE(write({Made("a", true).note("x < y & z").note("b", "fr")}, true, &language)
                  .find("<note>x &lt; y &amp; z</note><note xml:lang='fr'>b</note>"),
              std::string::npos);
    EXPECT_EQ(language, "");
    write({Made("a", true).note("x", "fr"), Made("b", true), Made("c", true).note("y", "fr")}, true,
          &language);
    EXPECT_EQ(language, "fr");
    write({Made("a", true).note("x", "fr"), Made("b", true).note("y", "en"),
           Made("c", true).note("z", "fr")},
          true, &language);
    EXPECT_EQ(language, "");
    EXPECT_EQ(write({Made("a", true).note("x", "fr")}, false, &language), write({Made("a", true)}));
    EXPECT_EQ(language, "");
}

TEST(PidfOut, WritesTimestamps) {  // PRES-11
    Presence presence = Made("a", true).note("n");
    presence.since = WallTime(std::chrono::seconds(1'004'201'369));
    EXPECT_NE(write({presence}).find("<note>n</note><timestamp>2001-10-27T16:49:29Z</timestamp>"),
              std::string::npos);
}

TEST(PidfOut, WritesTheEntityAsAUri) {  // PRES-12, ADDR-4
    EXPECT_NE(write({Made("a", true).priority(1)}, true, nullptr, "sip:o'malley&co@example.com")
                  .find("entity='pres:o&apos;malley&amp;co@example.com'"),
              std::string::npos);
}

// A state of any kind, in what XMPP may say.
Presence random_presence(std::mt19937& random, std::vector<std::string>& texts) {
    const auto number = [&](int max) { return std::uniform_int_distribution<>(0, max)(random); };
    const auto text = [&](std::size_t size_max) -> Bytes {
        static const char* const kPieces[] = {"a",  "Z", "0",   "_",   "-",  ".", "/",
                                              "&",  "<", ">",   "'",   "\"", "é", "€",
                                              "😀", "%", "]]>", "b c", "ID-"};
        std::string made;
        const int pieces = number(static_cast<int>(size_max));
        for (int i = 0; i < pieces; ++i) made += kPieces[number(std::size(kPieces) - 1)];
        texts.push_back(made);
        return texts.back();
    };
    Presence presence;
    presence.resource = text(12);
    presence.available = number(4) != 0;
    for (const Bytes language : {Bytes(""), Bytes("en"), Bytes("fr-CA")})
        if (number(2) == 0) presence.add_note({language, text(20)});
    if (number(3) == 0) presence.since = WallTime(std::chrono::seconds(number(2'000'000'000)));
    if (!presence.available) return presence;
    presence.show = static_cast<Show>(number(4));
    if (number(1) == 0) presence.priority = static_cast<std::int8_t>(number(127));
    return presence;
}

TEST(Pidf, ThereAndBackIsTheSame) {  // PRES-3..8, PRES-11: S2X(X2S(p)) = p
    std::mt19937 random(20'261'126);
    for (int round = 0; round < 2'000; ++round) {
        std::vector<std::string> texts;
        texts.reserve(256);
        std::vector<Presence> sent;
        const int count = 1 + static_cast<int>(random() % 5);
        for (int i = 0; i < count; ++i) {
            const Presence one = random_presence(random, texts);
            // A JID's resource has no such ends, and its person's state is not that of others.
            const bool fresh = std::ranges::none_of(
                sent, [&](const Presence& other) { return other.resource == one.resource; });
            if (fresh) sent.push_back(one);
        }
        // A resource without a show has that of the person, which may be another one's (PRES-10).
        const bool several = sent.size() > 1;
        const std::string body = write(sent);
        const Read back(body);
        ASSERT_EQ(back.verdict, PidfVerdict::kRead) << body;
        ASSERT_EQ(back.document.tuples().size(), sent.size()) << body;
        for (std::size_t i = 0; i < sent.size(); ++i) {
            Presence expected = sent[i];
            const Presence& got = back.document.tuples()[i];
            if (several && expected.available && expected.show == Show::kNone)
                expected.show = got.show;
            EXPECT_EQ(describe_pidf(got), describe_pidf(expected)) << body;
        }
    }
}

TEST(Pidf, IsValidInTheOrderOfItsSchema) {  // RFC 3863 4.4, RFC 4479
    Presence presence = Made("a", true, Show::kDnd).priority(3).note("n", "en");
    presence.since = WallTime(std::chrono::seconds(1));
    xml::Document document;
    const std::string text = write({presence, Made("b", true)});
    ASSERT_EQ(document.read(text, 65'536), xml::DocumentStatus::kRead);
    // Of the children of the first element at that depth.
    const auto names = [&](int depth) {
        xml::Walker walk = document.walk();
        for (int i = 0; i < depth; ++i) EXPECT_TRUE(walk.enter());
        std::string all;
        for (; walk.enter(); walk.leave()) all += std::string(walk.name()) + " ";
        return all;
    };
    EXPECT_EQ(names(1), "tuple tuple person ");
    EXPECT_EQ(names(2), "status contact note timestamp ");
    EXPECT_EQ(names(3), "basic show ");
}

// ---- Types

TEST(Pidf, KnowsItsContentType) {  // PRES-12, PRES-17, R10
    EXPECT_TRUE(is_pidf_type("application/pidf+xml"));
    EXPECT_TRUE(is_pidf_type("Application/PIDF+XML ; charset=UTF-8"));
    for (const char* other : {"", "application/pidf-diff+xml", "application/xpidf+xml",
                              "text/xml+msrtc.pidf", "application/pidf+xmlx", "text/plain"})
        EXPECT_FALSE(is_pidf_type(other)) << other;
}

TEST(Pidf, KnowsWhoTakesIt) {  // PRES-73, R10
    const auto accepts = [](const std::string& headers) {
        std::string text =
            "SUBSCRIBE sip:juliet@xmpp.example SIP/2.0\r\n"
            "Via: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
            "From: <sip:romeo@sip.example>;tag=1\r\nTo: <sip:juliet@xmpp.example>\r\n"
            "Call-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\nEvent: presence\r\n" +
            headers + "Content-Length: 0\r\n\r\n";
        sip::Message message;
        const sip::Parsed parsed =
            sip::parse_message({text.data(), text.size()}, sip::Carrier::kStream, 1'000, message);
        EXPECT_EQ(parsed.verdict, sip::Verdict::kDone);
        return accepts_pidf(message);
    };
    EXPECT_TRUE(accepts(""));
    EXPECT_TRUE(accepts("Accept: application/pidf+xml\r\n"));
    EXPECT_TRUE(
        accepts("Accept: application/msrtc-event-categories+xml, application/xpidf+xml, "
                "application/pidf+xml;q=0.5\r\n"));
    EXPECT_TRUE(accepts("Accept: text/plain\r\nAccept: application/PIDF+xml\r\n"));
    EXPECT_TRUE(accepts("Accept: */*\r\n"));
    EXPECT_TRUE(accepts("Accept: application/*\r\n"));
    EXPECT_FALSE(accepts("Accept: application/xpidf+xml, text/*\r\n"));
    EXPECT_FALSE(accepts("Accept: multipart/related\r\n"));
    EXPECT_FALSE(accepts("Accept:\r\n"));
}

}  // namespace
}  // namespace fedgate::gateway
