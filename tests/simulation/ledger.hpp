// Counts every message that goes in, and demands that it ends as the product promises: delivered
// once, refused to its sender once, or in doubt (refused, and nobody knows whether it was
// delivered).
#pragma once

#include <map>
#include <string>

namespace fedgate::simulation {

struct Ledger {
    struct Entry {
        bool to_sip = false;
        std::string pair;
        unsigned order = 0;  // within its pair
        unsigned delivered = 0;
        unsigned refused = 0;     // by Fedgate
        bool own_doubt = false;   // the sender's own side broke off: it has told its user so
        bool accepted = false;    // SIP to XMPP: 2xx came
        bool never_left = false;  // the sender's own side gave up: not our message
        bool at_crash = false;    // open when Fedgate was killed
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
        Entry& entry = entries.at(name);
        ++entry.delivered;
        unsigned& last = delivered_in_pair[entry.pair];
        // One that its sender was told is in doubt may come at any time, or never.
        if (entry.order < last && entry.refused == 0 && !entry.own_doubt) {
            ++disordered;
            if (first_disordered.empty()) first_disordered = name;
        }
        last = entry.order;
    }
    void on_refused(const std::string& name, const std::string& cause = "error") {
        ++entries.at(name).refused;
        ++causes[cause];
    }

    [[nodiscard]] Totals totals() const {
        Totals totals;
        for (const auto& [name, entry] : entries) {
            if (entry.never_left) continue;
            ++totals.sent;
            if (entry.delivered > 1 || entry.refused > allowed_refusals) {
                ++totals.doubled;
            } else if (entry.own_doubt || (entry.delivered == 1 && entry.refused > 0)) {
                ++totals.in_doubt;
            } else if (entry.delivered == 1) {
                ++totals.delivered;
            } else if (entry.refused > 0) {
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
    std::map<std::string, unsigned> causes;  // of refusals
    std::map<std::string, unsigned> sent_in_pair;
    std::map<std::string, unsigned> delivered_in_pair;
    unsigned disordered = 0;
    std::string first_disordered;
    unsigned allowed_refusals =
        1;  // with faults 2: an error is said again when a stream breaks under it
};

}  // namespace fedgate::simulation
