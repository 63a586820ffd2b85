// Counts every message that goes in, and demands that it ends as the product promises: delivered
// once, refused to its sender once, or in doubt (refused, and nobody knows whether it was
// delivered). Receipts and typing go with them: they may be lost, but a receipt comes once, for
// what was delivered, and typing is seen before the text that ends it, or not at all.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace fedgate::simulation {

struct Ledger {
    struct Entry {
        bool to_sip = false;
        std::string pair;
        unsigned order = 0;  // within its pair
        unsigned delivered = 0;
        unsigned refused = 0;      // by Fedgate
        bool own_doubt = false;    // the sender's own side broke off: it has told its user so
        bool accepted = false;     // SIP to XMPP: 2xx came
        bool never_left = false;   // the sender's own side gave up: not our message
        bool at_crash = false;     // open when Fedgate was killed
        bool left_unread = false;  // written to a partner that did not read, on a stream now over
        bool asks = false;         // for a receipt
        unsigned receipts = 0;     // that came to its sender
    };
    // What one user shows of his typing.
    struct State {
        std::string pair;
        unsigned order = 0;  // within its pair
        unsigned after = 0;  // so many messages of the pair
        bool composing = false;
        bool own_doubt = false;  // as a message's
        unsigned shown = 0;
    };
    struct Extras {
        unsigned asked = 0, receipts = 0, receipts_doubled = 0, receipts_invented = 0;
        unsigned typed = 0, shown = 0, overtaken = 0, strange = 0, unread_late = 0;
    };
    struct Totals {
        unsigned sent = 0, delivered = 0, refused = 0, in_doubt = 0, open = 0, doubled = 0,
                 disordered = 0;
    };

    Entry& add(const std::string& name, bool to_sip, const std::string& pair) {
        Entry& entry = entries[name];
        entry.to_sip = to_sip;
        entry.pair = (to_sip ? "> " : "< ") + pair;
        entry.order = ++sent_in_pair[entry.pair];
        return entry;
    }
    void on_delivered(const std::string& name) {
        if (!entries.contains(name)) return note(strange, name);
        Entry& entry = entries.at(name);
        ++entry.delivered;
        unsigned& newest = newest_in_pair[entry.pair];
        newest = std::max(newest, entry.order);
        unsigned& last = delivered_in_pair[entry.pair];
        // One that its sender was told is in doubt may come at any time, or never.
        if (entry.order < last && entry.refused == 0 && !entry.own_doubt) {
            if (entry.left_unread) {
                ++unread_late;
            } else {
                note(disordered, name);
            }
        }
        last = entry.order;
    }
    void on_refused(const std::string& name, const std::string& cause = "error") {
        ++entries.at(name).refused;
        ++causes[cause];
    }

    // In a session: of one text of that user on SIP, it does not say which. It was sent before, and
    // may have arrived.
    void on_notice(const std::string& pair) {
        notices["< " + pair].insert(sent_in_pair["< " + pair]);
        ++causes["notice"];
    }

    void add_typing(const std::string& name, bool to_sip, const std::string& pair, bool composing) {
        State& state = states[name];
        state.pair = (to_sip ? "> " : "< ") + pair;
        state.order = ++typed_in_pair[state.pair];
        state.after = sent_in_pair[state.pair];
        state.composing = composing;
    }
    // `name`: what is said again when its time is over has that of the composing that it ends.
    void on_typing(const std::string& name, bool composing) {
        if (!states.contains(name)) return note(strange, name);
        State& state = states.at(name);
        if (composing != state.composing) return;
        ++state.shown;
        unsigned& last = shown_in_pair[state.pair];
        const bool late = composing && newest_in_pair[state.pair] > state.after;
        if ((late || state.order < last) && !state.own_doubt) note(overtaken, name);
        last = std::max(last, state.order);
    }
    void on_receipt(const std::string& name) {
        if (!entries.contains(name)) return note(strange, name);
        Entry& entry = entries.at(name);
        if (++entry.receipts > 1) return note(receipts_doubled, name);
        if (!entry.asks || entry.delivered == 0) note(receipts_invented, name);
    }
    // Order holds within a stream (RFC 6120 10.1): what lies unread in one that was given up may
    // come beside what is in the next.
    void excuse_unread() {
        for (auto& [name, entry] : entries) {
            entry.left_unread = entry.left_unread || (!entry.to_sip && entry.delivered == 0);
        }
    }
    // Typing that the network, or who does not read, holds back may come at any time.
    void excuse_typing() {
        for (auto& [name, state] : states) state.own_doubt = state.own_doubt || state.shown == 0;
    }
    // Whoever sent it does not know what has become of it, for reasons of his own.
    void on_own_doubt(const std::string& name) {
        if (entries.contains(name)) entries.at(name).own_doubt = true;
        if (states.contains(name)) states.at(name).own_doubt = true;
    }

    [[nodiscard]] Extras extras() const {
        Extras extras;
        for (const auto& [name, entry] : entries) {
            extras.asked += entry.asks && entry.delivered > 0 ? 1 : 0;
            extras.receipts += entry.receipts > 0 ? 1 : 0;
        }
        for (const auto& [name, state] : states) extras.shown += state.shown > 0 ? 1 : 0;
        extras.typed = static_cast<unsigned>(states.size());
        extras.receipts_doubled = receipts_doubled;
        extras.receipts_invented = receipts_invented;
        extras.overtaken = overtaken;
        extras.strange = strange;
        extras.unread_late = unread_late;
        return extras;
    }
    [[nodiscard]] Totals totals() const {
        Totals totals;
        auto told = notices;
        for (const auto& [name, entry] : entries) {
            if (entry.never_left) continue;
            ++totals.sent;
            if (entry.delivered > 1 || entry.refused > allowed_refusals) {
                ++totals.doubled;
            } else if (entry.own_doubt || (entry.delivered == 1 && entry.refused > 0)) {
                ++totals.in_doubt;
            } else if (entry.delivered == 1) {
                ++totals.delivered;
            } else if (entry.refused > 0 || is_told(entry, told)) {
                ++totals.refused;
            } else if (entry.at_crash) {
                ++totals.in_doubt;
            } else {
                ++totals.open;
            }
        }
        totals.disordered = disordered;
        return totals;
    }
    [[nodiscard]] std::string first_open() const {
        for (const auto& [name, entry] : entries) {
            if (entry.never_left || entry.own_doubt || entry.at_crash) continue;
            if (entry.delivered + entry.refused == 0) return name;
        }
        return {};
    }

    std::map<std::string, Entry> entries;
    std::map<std::string, State> states;
    std::map<std::string, unsigned> causes;                  // of refusals
    std::map<std::string, std::multiset<unsigned>> notices;  // of a pair: behind that order
    std::map<std::string, unsigned> sent_in_pair;
    std::map<std::string, unsigned> delivered_in_pair;
    std::map<std::string, unsigned> newest_in_pair;
    std::map<std::string, unsigned> typed_in_pair;
    std::map<std::string, unsigned> shown_in_pair;
    unsigned disordered = 0;
    unsigned unread_late = 0;  // out of order for the reason that excuse_unread() has
    unsigned overtaken = 0;    // typing
    unsigned receipts_doubled = 0;
    unsigned receipts_invented = 0;  // for what did not ask, or was not there yet
    unsigned strange = 0;            // nobody has sent that
    std::string first_wrong;
    unsigned allowed_refusals =
        1;  // with faults 2: an error is said again when a stream breaks under it

private:
    using Told = std::map<std::string, std::multiset<unsigned>>;
    static bool is_told(const Entry& entry, Told& told) {
        auto& notices = told[entry.pair];
        const auto notice = notices.lower_bound(entry.order);
        if (notice == notices.end()) return false;
        notices.erase(notice);
        return true;
    }
    void note(unsigned& count, const std::string& name) {
        ++count;
        if (first_wrong.empty()) first_wrong = name;
    }
};

}  // namespace fedgate::simulation
