// A load of messages in one direction, singly or in sessions; every message carries a number and is
// counted at the far end. Owner: main. Thread: its own. Memory: sizeof(Sent) for each message.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/load/ends.hpp"
#include "bench/load/results.hpp"
#include "bench/load/sessions.hpp"

namespace fedgate::load {

class Messages final : public link::GatewayDoor {
public:
    explicit Messages(const Options& options) : options_(options), ends_(options) {}

    // The program's exit status.
    [[nodiscard]] int run();

private:
    struct Sent {
        std::uint64_t at = 0;      // when it was due; with no rate, when it was written
        std::uint32_t branch = 0;  // of the request that brought it
        bool done = false;
        bool refused = false;
    };

    bool set_up();
    void on_request(const sip::Message&, SipEnd::Answer&);
    void on_response(const sip::Message&);
    bool take_stanza(const link::FromPartner&) override;
    void on_outcome(const link::Outcome&) override;
    void on_arrived(Bytes text, std::uint32_t branch);
    void on_refused(Bytes text, std::string why);
    void refuse(std::size_t number, std::string why);
    void end(std::size_t number);
    void load(Progress&);  // until all of sent_ has come to an end, or for a fault
    void go_on();
    void measure();
    // Does it to each pair's session, as many at a time as the window has. Else there is a fault.
    void pass(bool (Sessions::*step)(unsigned pair));
    void hold(Progress&);
    void end_sessions();
    [[nodiscard]] std::string session_fault() const;
    void send_more(std::uint64_t now);
    bool send(unsigned number);
    [[nodiscard]] bool from_xmpp() const {
        return options_.mode == Mode::kToSip || options_.mode == Mode::kReturn;
    }
    [[nodiscard]] std::uint64_t due(unsigned number) const;
    [[nodiscard]] std::uint64_t ended() const { return results_.delivered + results_.refused; }
    [[nodiscard]] std::string why_over(std::uint64_t now) const;

    const Options& options_;
    Ends ends_;
    std::string padding_;
    std::string run_;  // no other's: a target may remember Call-IDs
    std::optional<Sessions> sessions_;
    std::vector<Sent> sent_;
    std::vector<unsigned> newest_;  // of each pair: the number behind the last that arrived
    unsigned next_ = 0;
    unsigned open_ = 0;
    std::uint64_t begun_ns_ = 0, measured_from_ns_ = 0, moved_ns_ = 0;
    std::uint64_t cpu_from_ = 0, own_cpu_from_ = 0;
    std::uint64_t refused_in_a_row_ = 0;
    bool warm_ = false;
    std::string broken_, first_refusal_;
    Results results_;
};

}  // namespace fedgate::load
