// A load of presence, both ways. On the SIP side it is the watchers and the presence server, on
// the XMPP side the servers of all contacts. It is a workload from the command line, or does what
// standard input says, a line at a time, and answers each line with one JSON object; what goes on
// in between it serves, too. Owner: main. Thread: its own. Memory: sizeof(Pair) and two texts for
// each pair.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "bench/load/ends.hpp"
#include "bench/load/histogram.hpp"
#include "bench/load/pairs.hpp"
#include "bench/load/results.hpp"

namespace fedgate::load {

// The number in the first <note/> of a PIDF: which presence it is. SIZE_MAX: none.
[[nodiscard]] std::size_t note_of(Bytes document);
void write_document(Sink&, Bytes sip_user, Bytes domain, unsigned number);

class Presence final : public link::GatewayDoor, SocketOwner {
public:
    explicit Presence(const Options&);
    ~Presence();

    [[nodiscard]] int run();  // the program's exit status

private:
    enum Kind : std::uint8_t {
        kWatch,
        kRefresh,
        kUnwatch,
        kSubscribe,
        kProbe,
        kChangeXmpp,
        kChangeSip,
        kMessageToSip,
        kMessageToXmpp,
        kKinds
    };
    static const std::array<const char*, kKinds> kNames;

    struct Pair {
        std::string watcher;  // "tag target" of the dialog in which we subscribed
        std::string server;   // "call-id tag target" of the one in which we notify
        std::array<std::uint32_t, kKinds> at{};  // when it was begun, in units of 10 us
        std::uint16_t pending = 0;               // bits of kinds
        std::uint16_t generation = 0;            // of our Call-IDs
        std::uint32_t watcher_cseq = 0, server_cseq = 0;
        std::uint32_t xmpp_serial = 1, sip_serial = 1;  // what the two users' presence is now
        bool watched = false, subscribed = false;
        bool xmpp_right = false, sip_right = false;  // the other side sees it
    };

    struct Task {
        Kind kind;
        unsigned first, next, last;
        double rate;  // a second; 0: as fast as the window lets
        std::uint64_t from_ns;
    };

    struct Account {
        unsigned sent = 0, done = 0, failed = 0, coalesced = 0;
        unsigned open = 0;
        Histogram latency;
    };

    struct Counters {
        unsigned pending = 0, active = 0, terminated = 0, documents = 0;  // NOTIFYs that came
        unsigned subscribes = 0, refreshes = 0, ended = 0;                // SUBSCRIBEs that came
        unsigned asked = 0, probes = 0, presences = 0, errors = 0;        // stanzas that came
        unsigned again = 0;                 // stanzas that a stream did not take or may have lost
        std::vector<unsigned> each_second;  // SUBSCRIBEs that came
    };

    enum class Out : std::uint8_t {
        kNone,
        kSubscribed,
        kPresence,
        kSubscribe,
        kProbe,
        kMessage,
        kNotify,
        kNotifyEnd
    };
    static constexpr std::size_t kDueMax = 8;
    struct Due {
        Out what;
        unsigned pair;
    };

    // Commands.
    void on_readable(Socket) override;
    void begin(const std::string& line);
    [[nodiscard]] bool begin_tasks(const std::vector<std::string>& words);
    void everybody_changed();
    [[nodiscard]] bool finished() const;
    void answer(bool late);

    // Workloads (presence_workload.cpp).
    [[nodiscard]] int run_workload();
    // All pairs do all of this, both kinds at once. False: `report_` says what is wrong.
    [[nodiscard]] bool pass(std::initializer_list<Kind>);
    [[nodiscard]] std::string why_over(std::uint64_t now, std::uint64_t total) const;

    // Work.
    void turn();
    void send_more();
    [[nodiscard]] bool send(Kind, unsigned pair);
    [[nodiscard]] bool send_subscribe(unsigned pair, unsigned expires);
    [[nodiscard]] bool send_notify(unsigned pair, bool end);
    [[nodiscard]] bool send_message(unsigned pair);
    [[nodiscard]] bool send_out(Due);
    [[nodiscard]] std::string stanza(Due) const;
    void started(Kind, unsigned pair, std::uint64_t at_ns);
    void done(Kind, unsigned pair);
    void failed(Kind, unsigned pair);
    void send_due();

    // The SIP end.
    void on_request(const sip::Message&, sip::ResponseHead&, Sink& lines);
    void on_notify(const sip::Message&, sip::ResponseHead&);
    void on_subscribe(const sip::Message&, sip::ResponseHead&, Sink& lines);
    void on_answered(const sip::Message&);
    void on_response(const sip::Message&);
    [[nodiscard]] std::optional<unsigned> pair_of(Bytes sip_user, Bytes xmpp_user,
                                                  Bytes xmpp_domain) const;
    [[nodiscard]] std::optional<unsigned> pair_of_ours(Bytes call_id) const;
    // The XMPP end.
    bool take_stanza(const link::FromPartner&) override;
    void on_outcome(const link::Outcome&) override;
    void on_presence(const xml::Stanza&, unsigned pair);

    void see_xmpp(unsigned pair, std::size_t serial);
    void see_sip(unsigned pair, std::size_t serial);
    [[nodiscard]] bool has_room() const { return due_.size() < kDueMax * pairs_.size(); }
    [[nodiscard]] std::uint32_t clock(std::uint64_t now_ns) const;  // as Pair::at
    [[nodiscard]] std::string sip_uri(unsigned pair) const;
    [[nodiscard]] std::string jid(unsigned pair) const;
    [[nodiscard]] std::string domain_of(unsigned pair) const;

    const Options& options_;
    const Pairs numbers_;
    const std::string& transport_;
    Ends ends_;
    std::vector<Pair> pairs_;
    std::deque<Due> due_;  // kDueMax for each pair
    std::string to_tag_;
    std::uint32_t messages_ = 0;
    Socket input_{};
    std::string typed_;
    bool over_ = false;
    bool connecting_ = false;

    std::string command_;  // empty: none
    std::vector<Task> tasks_;
    std::array<Account, kKinds> accounts_;
    Counters counters_;
    unsigned right_ = 0, right_wanted_ = 0;
    Results report_;  // of a workload
    std::uint64_t moved_ns_ = 0;
    std::string broken_, first_refusal_;
    std::uint64_t born_ns_ = 0, begun_ns_ = 0, until_ns_ = 0;
};

}  // namespace fedgate::load
