#include "appliance/gateway/presences.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fedgate::gateway {
namespace {

std::string describe(const Presence& p) {
    std::string text = std::string(p.resource) + (p.available ? "+" : "-");
    if (p.show != Show::kNone) text += show_name(p.show);
    if (p.priority) text += std::to_string(*p.priority);
    for (const Note& note : p.notes()) {
        text += "'" + std::string(note.text) + "'" + std::string(note.language);
    }
    return text;
}

std::string describe(const Presences& presences) {
    std::string text;
    for (const Presence& p : presences) text += (text.empty() ? "" : " ") + describe(p);
    return text;
}

Presence made(Bytes resource, bool available, Show show = Show::kNone, Bytes note = {}) {
    Presence p;
    p.resource = resource;
    p.available = available;
    p.show = show;
    p.add_note({{}, note});
    return p;
}

// ---- What an XMPP contact says (PRES-13)

TEST(Presences, KeepsTheNewestFirst) {
    Presences all;
    EXPECT_TRUE(all.empty());
    EXPECT_TRUE(all.set(made("a", true)));
    EXPECT_TRUE(all.set(made("b", true, Show::kAway, "note")));
    EXPECT_EQ(describe(all), "b+away'note' a+");
    EXPECT_TRUE(all.set(made("a", true, Show::kDnd)));
    EXPECT_EQ(describe(all), "a+dnd b+away'note'");
    EXPECT_EQ(all.available_count(), 2U);
    EXPECT_FALSE(all.empty());
    all.clear();
    EXPECT_TRUE(all.empty());
    EXPECT_EQ(all.bytes(), 0U);
}

TEST(Presences, WhoeverDoesNotSayItAgainIsGone) {  // PRES-13
    Presences all;
    EXPECT_FALSE(all.drop_doubted());
    for (const char* name : {"a", "b", ""}) EXPECT_TRUE(all.set(made(name, true)));
    EXPECT_FALSE(all.drop_doubted());
    all.doubt();
    EXPECT_EQ(describe(all), "+ b+ a+");  // until it is known
    EXPECT_FALSE(all.set(made("b", true)));
    EXPECT_TRUE(all.set(made("c", true)));
    EXPECT_TRUE(all.set(made("a", true, Show::kAway)));
    EXPECT_TRUE(all.drop_doubted());
    EXPECT_EQ(describe(all), "a+away c+ b+");
    EXPECT_FALSE(all.drop_doubted());
    all.doubt();
    EXPECT_TRUE(all.set(made("c", false)));
    EXPECT_TRUE(all.drop_doubted());
    EXPECT_EQ(describe(all), "a-");
    all.doubt();
    EXPECT_FALSE(all.drop_doubted());
    EXPECT_EQ(describe(all), "a-");
    EXPECT_TRUE(all.set(made("", true)));
    all.doubt();
    EXPECT_TRUE(all.drop_doubted());
    EXPECT_EQ(describe(all), "-");
}

TEST(Presences, KeepsAllThatAStateHas) {
    Presence p = made("résource/ x", true, Show::kXa);
    p.priority = std::int8_t{-7};
    p.since = WallTime(std::chrono::seconds(-12'345'678'901));
    p.add_note({"en", "one"});
    p.add_note({"fr-CA", "deux"});
    Presences all;
    EXPECT_TRUE(all.set(p));
    EXPECT_TRUE(same_state(*all.begin(), p));
    EXPECT_EQ(all.begin()->since, p.since);
    EXPECT_EQ(all.bytes(), p.kept_bytes());
}

TEST(Presences, SaysWhatIsNew) {
    Presences all;
    EXPECT_TRUE(all.set(made("a", true, Show::kAway, "n")));
    EXPECT_FALSE(all.set(made("a", true, Show::kAway, "n")));
    Presence later = made("a", true, Show::kAway, "n");
    later.since = WallTime(std::chrono::seconds(1));
    EXPECT_FALSE(all.set(later));
    EXPECT_TRUE(all.set(made("a", true, Show::kAway, "m")));
    EXPECT_TRUE(all.set(made("a", true, Show::kNone, "m")));
    Presence other = made("a", true);
    other.add_note({"en", "m"});
    EXPECT_TRUE(all.set(other));
    other.priority = std::int8_t{0};
    EXPECT_TRUE(all.set(other));
    EXPECT_FALSE(all.set(other));
    EXPECT_FALSE(all.set(made("b", false)));  // never heard of
    EXPECT_EQ(describe(all), "a+0'm'en");
}

TEST(Presences, KeepsTheLastOneThatWent) {  // PRES-13
    Presences all;
    EXPECT_TRUE(all.set(made("a", true)));
    EXPECT_TRUE(all.set(made("b", true)));
    EXPECT_TRUE(all.set(made("b", false, Show::kNone, "bye")));
    EXPECT_EQ(describe(all), "a+");
    EXPECT_TRUE(all.set(made("a", false, Show::kNone, "bye")));
    EXPECT_EQ(describe(all), "a-'bye'");
    EXPECT_EQ(all.available_count(), 0U);
    EXPECT_FALSE(all.empty());
    EXPECT_FALSE(all.set(made("a", false, Show::kNone, "bye")));
    EXPECT_FALSE(all.set(made("b", false)));
    EXPECT_TRUE(all.set(made("a", false, Show::kNone, "on holiday")));
    EXPECT_TRUE(all.set(made("", false)));
    EXPECT_EQ(describe(all), "a-");
    EXPECT_TRUE(all.set(made("c", true)));
    EXPECT_EQ(describe(all), "c+");
    EXPECT_TRUE(all.remove("c"));
    EXPECT_FALSE(all.remove("c"));
    EXPECT_EQ(describe(all), "c-");
}

TEST(Presences, AllGoTogether) {  // unavailable from the bare JID
    Presences all;
    EXPECT_TRUE(all.set(made("", false)));
    EXPECT_EQ(describe(all), "-");
    EXPECT_FALSE(all.set(made("", false)));
    EXPECT_TRUE(all.set(made("a", true)));
    EXPECT_TRUE(all.set(made("b", true)));
    EXPECT_TRUE(all.set(made("", false, Show::kNone, "off")));
    EXPECT_EQ(describe(all), "b-'off'");
    EXPECT_FALSE(all.set(made("", false, Show::kNone, "off")));
}

TEST(Presences, ForgetsTheOldestAtItsBounds) {
    Presences all;
    for (std::size_t i = 0; i < limits::kResources + 3; ++i)
        EXPECT_TRUE(all.set(made("r" + std::to_string(i), true)));
    EXPECT_EQ(all.available_count(), limits::kResources);
    EXPECT_EQ(describe(*all.begin()), "r18+");
    EXPECT_EQ(describe(all).substr(describe(all).size() - 3), "r3+");
    const std::string note(limits::kNoteBytes, 'x');
    for (char c = 'a'; c < 'a' + 12; ++c)
        EXPECT_TRUE(all.set(made(Bytes(&c, 1), true, Show::kNone, note)));
    EXPECT_LE(all.bytes(), limits::kPresenceBytes);
    EXPECT_EQ(all.available_count(), 7U);
    EXPECT_EQ(all.begin()->resource, "l");
}

TEST(Presences, IsSmall) {
    EXPECT_LE(sizeof(Presences), 16U);
    Presences all;
    EXPECT_TRUE(all.set(made("Gajim.ABCD1234", true, Show::kAway)));
    EXPECT_LE(all.bytes(), 20U);
}

TEST(Presences, WritesItsDocument) {  // PRES-13, PRES-8
    Presences all;
    Presence p = made("a", true);
    p.add_note({"fr", "x"});
    EXPECT_TRUE(all.set(p));
    EXPECT_TRUE(all.set(made("b", true, Show::kDnd)));
    char memory[2'048];
    Sink out{MutableBytes(memory)};
    EXPECT_EQ(write_pidf("sip:a@b.example", all, true, out), "fr");
    const std::vector<Presence> list = {made("b", true, Show::kDnd), p};
    char list_memory[2'048];
    Sink list_out{MutableBytes(list_memory)};
    write_pidf("sip:a@b.example", list, true, list_out);
    EXPECT_EQ(out.written(), list_out.written());
}

TEST(Presences, WritesNoMoreThanItSays) {
    const std::string aor = "sip:" + std::string(limits::kJidPartBytes, '&') + "@" +
                            std::string(limits::kJidPartBytes, 'x');
    for (const std::size_t resource_bytes : {std::size_t{500}, limits::kJidPartBytes}) {
        Presences all;
        for (char c = 'a'; c <= 'p'; ++c) {
            const std::string resource = c + std::string(resource_bytes - 1, '&');
            Presence p = made(resource, true, Show::kDnd);
            p.priority = std::int8_t{5};
            p.since = WallTime();
            EXPECT_TRUE(all.set(p));
        }
        EXPECT_GT(all.bytes(), limits::kPresenceBytes - limits::kJidPartBytes);
        std::vector<char> memory(kPidfBytesMax);
        Sink out{MutableBytes(memory)};
        write_pidf(aor, all, true, out);
        EXPECT_FALSE(out.overflowed());
        EXPECT_GT(out.size(), kPidfBytesMax / 3);
    }
}

TEST(Presences, CanBeMoved) {
    Presences one;
    EXPECT_TRUE(one.set(made("a", true)));
    Presences two = std::move(one);
    EXPECT_EQ(describe(two), "a+");
    EXPECT_TRUE(one.empty());  // NOLINT(bugprone-use-after-move): said to be empty
    one = std::move(two);
    EXPECT_EQ(describe(one), "a+");
}

// ---- What an XMPP user is told of a SIP contact (PRES-14, PRES-15)

Document document(const std::vector<Presence>& tuples) {
    Document made;
    for (const Presence& tuple : tuples) made.tuple_memory[made.count++] = tuple;
    return made;
}

// The stanzas that a document makes; at most `most` are taken.
std::string diff(Presences& known, const std::vector<Presence>& tuples, int most = 1'000) {
    std::string sent;
    const bool whole = known.diff(document(tuples), [&](const Presence& p) {
        if (most-- == 0) return false;
        sent += (sent.empty() ? "" : " ") + describe(p);
        return true;
    });
    return whole ? sent : sent + " held";
}

TEST(PresencesDiff, TellsWhatIsNewAndWhoIsGone) {  // PRES-14, PRES-19
    Presences known;
    EXPECT_EQ(diff(known, {made("a", true), made("b", true, Show::kAway)}), "a+ b+away");
    EXPECT_EQ(diff(known, {made("a", true), made("b", true, Show::kAway)}), "");
    EXPECT_EQ(diff(known, {made("b", true, Show::kAway), made("a", true)}), "");
    EXPECT_EQ(diff(known, {made("a", true, Show::kDnd), made("b", true, Show::kAway)}), "a+dnd");
    EXPECT_EQ(diff(known, {made("b", true, Show::kAway)}), "a-");
    EXPECT_EQ(diff(known, {made("c", true)}), "c+ b-");  // first who is there
    EXPECT_EQ(describe(known), "c+");
}

TEST(PresencesDiff, TellsWhoClosed) {  // PRES-15: announced before, from its full JID
    Presences known;
    EXPECT_EQ(diff(known, {made("a", true), made("b", true)}), "a+ b+");
    EXPECT_EQ(diff(known, {made("a", true), made("b", false, Show::kNone, "bye")}), "b-'bye'");
    EXPECT_EQ(diff(known, {made("a", true), made("b", false, Show::kNone, "bye")}), "");
    EXPECT_EQ(diff(known, {made("a", false)}), "a-");
    EXPECT_EQ(diff(known, {made("a", false)}), "");
    EXPECT_EQ(diff(known, {}), "");
    EXPECT_EQ(describe(known), "-");
    EXPECT_EQ(diff(known, {made("a", true)}), "a+");
    EXPECT_EQ(describe(known), "a+");
}

TEST(PresencesDiff, TellsOnceThatNobodyIsThere) {  // PRES-15: never announced, from the bare JID
    Presences known;
    EXPECT_EQ(diff(known, {made("a", false), made("b", false)}), "-");
    EXPECT_EQ(diff(known, {made("a", false), made("b", false)}), "");
    EXPECT_EQ(diff(known, {made("c", false)}), "");
    EXPECT_EQ(diff(known, {made("c", false, Show::kNone, "holiday")}), "-'holiday'");
    EXPECT_EQ(diff(known, {made("b", true), made("a", false)}), "b+");  // another one is open
    EXPECT_EQ(known.available_count(), 1U);
    Presences empty;
    EXPECT_EQ(diff(empty, {}), "-");
}

TEST(PresencesDiff, ABareOneIsAResourceToo) {
    Presences known;
    EXPECT_EQ(diff(known, {made("", true)}), "+");
    EXPECT_EQ(diff(known, {made("", true)}), "");
    EXPECT_EQ(diff(known, {made("", false)}), "-");
    EXPECT_EQ(diff(known, {made("", false)}), "");
}

TEST(PresencesDiff, GoesOnWhereItWasHeld) {
    const std::vector<Presence> first = {made("a", true), made("b", true)};
    const std::vector<Presence> second = {made("c", true), made("d", true)};
    Presences known;
    EXPECT_EQ(diff(known, first, 1), "a+ held");
    EXPECT_EQ(describe(known), "a+");
    EXPECT_EQ(diff(known, first), "b+");
    EXPECT_EQ(diff(known, second, 3), "c+ d+ b- held");
    EXPECT_EQ(diff(known, second), "a-");
    EXPECT_EQ(diff(known, {made("x", false)}, 0), " held");
    EXPECT_EQ(diff(known, {made("x", false)}), "d- c-");
    EXPECT_EQ(diff(known, {made("x", false)}), "");
    Presences fresh;
    EXPECT_EQ(diff(fresh, {made("x", false)}, 0), " held");
    EXPECT_EQ(diff(fresh, {made("x", false)}), "-");
}

// A user who can't be told who is gone is not told of others for ever.
TEST(PresencesDiff, KeepsNoMoreThanTwoDocuments) {
    Presences known;
    const std::string note(450, 'x');
    for (int round = 0; round < 10; ++round) {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < limits::kResources; ++i)
            names.push_back(std::to_string(round) + "." + std::to_string(i));
        std::vector<Presence> tuples;
        for (const std::string& name : names)
            tuples.push_back(made(name, true, Show::kNone, round < 5 ? Bytes() : Bytes(note)));
        EXPECT_EQ(known.diff(document(tuples), [](const Presence& p) { return p.available; }),
                  round == 0);
        EXPECT_LE(known.available_count(), 2 * limits::kResources);
        EXPECT_LE(known.bytes(), 2 * limits::kPresenceBytes);
    }
    const std::string sent = diff(known, {made("9.0", true, Show::kNone, note)});
    EXPECT_TRUE(sent.ends_with("9.0+'" + note + "'")) << sent;  // when the others have gone
    EXPECT_EQ(known.available_count(), 1U);
}

// Whatever comes and wherever it is held: the user ends with what the last document says.
TEST(PresencesDiff, EndsWithTheLastDocument) {
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
        Presences known;
        std::map<std::string, std::string> seen;  // what the user's client shows
        std::vector<std::string> names;
        for (int i = 0; i < 40; ++i) names.push_back("r" + std::to_string(i));
        std::vector<Presence> last;
        const auto send = [&](const Presence& p) {
            if (p.available) {
                seen[std::string(p.resource)] = describe(p);
            } else if (p.resource.empty()) {
                seen.clear();
            } else {
                EXPECT_EQ(seen.erase(std::string(p.resource)), 1U);
            }
        };
        for (int step = 0; step < 12; ++step) {
            last.clear();
            std::ranges::shuffle(names, random);
            for (std::size_t i = 0; i < random() % (limits::kResources + 1); ++i)
                last.push_back(made(names[i], random() % 4 != 0, static_cast<Show>(random() % 5)));
            int most = static_cast<int>(random() % 20);
            (void)known.diff(document(last), [&](const Presence& p) {
                if (most-- == 0) return false;
                send(p);
                return true;
            });
        }
        EXPECT_TRUE(known.diff(document(last), [&](const Presence& p) {
            send(p);
            return true;
        }));
        std::map<std::string, std::string> expected;
        for (const Presence& p : last)
            if (p.available) expected[std::string(p.resource)] = describe(p);
        EXPECT_EQ(seen, expected);
        EXPECT_EQ(known.available_count(), expected.size());
        EXPECT_LE(known.bytes(), 2 * limits::kPresenceBytes);
    }
}

TEST(PresencesDiff, TakesAllBack) {
    Presences known;
    EXPECT_EQ(diff(known, {made("a", true), made("b", true, Show::kDnd, "n")}), "a+ b+dnd'n'");
    std::string sent;
    int most = 1;
    const auto send = [&](const Presence& p) {
        if (most-- == 0) return false;
        sent += describe(p);
        return true;
    };
    EXPECT_FALSE(known.take_back(send));
    EXPECT_EQ(sent, "b-");
    most = 5;
    EXPECT_TRUE(known.take_back(send));
    EXPECT_EQ(sent, "b-a-");
    EXPECT_TRUE(known.empty());
    EXPECT_TRUE(known.take_back(send));
    EXPECT_EQ(sent, "b-a-");
}

std::string saved(const Presences& presences) {
    std::vector<char> memory(65'536);
    Sink sink{MutableBytes(memory)};
    presences.save(sink);
    EXPECT_FALSE(sink.overflowed());
    return std::string(sink.written());
}

TEST(PresencesStore, RemembersWhoWasAnnounced) {
    Presences known;
    EXPECT_EQ(saved(known), "");
    EXPECT_EQ(diff(known, {made("a b/c", true, Show::kDnd), made("", true), made("é", true)}),
              "a b/c+dnd + é+");
    const std::string text = saved(known);
    EXPECT_EQ(text, "é\n\na b/c\n");

    Presences again;
    again.restore(text);
    EXPECT_EQ(saved(again), text);
    EXPECT_TRUE(again.empty());  // what they said is not known
    EXPECT_EQ(again.available_count(), 0U);
    // Announced anew, the same state or not, or taken back.
    EXPECT_EQ(diff(again, {made("a b/c", true, Show::kDnd)}), "a b/c+dnd é- -");
    EXPECT_EQ(diff(again, {made("a b/c", true, Show::kDnd)}), "");

    again.restore("x\n");
    EXPECT_EQ(diff(again, {made("x", false)}), "x-");
    again.restore("x\n");
    EXPECT_EQ(diff(again, {made("x", true)}), "x+");
    EXPECT_EQ(diff(again, {made("x", true)}), "");
    again.restore("x\ny\n");
    std::string sent;
    EXPECT_TRUE(again.take_back([&](const Presence& p) {
        sent += describe(p);
        return true;
    }));
    EXPECT_EQ(sent, "x-y-");
}

TEST(PresencesStore, TakesNoMoreThanItsBounds) {
    std::string text;
    for (std::size_t i = 0; i < 2 * limits::kResources; ++i) text += std::to_string(i) + "\n";
    Presences known;
    known.restore(text);
    EXPECT_EQ(std::ranges::count(saved(known), '\n'), limits::kResources);
    known.restore(std::string(2'000, 'x') + "\n");
    EXPECT_EQ(saved(known), "");
    known.restore("cut");  // as only a broken store has it
    EXPECT_EQ(saved(known), "");
}

}  // namespace
}  // namespace fedgate::gateway
