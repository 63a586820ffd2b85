// The SIP users' sessions: for each pair the dialog of an INVITE of profile lync, theirs or the
// target's, in which its texts go. Owner: the load. Thread: its own. Memory: a dialog for each
// pair, some 350 bytes.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/options.hpp"
#include "bench/load/sip_end.hpp"
#include "sip/dialog.hpp"

namespace fedgate::load {

class Sessions {
public:
    // `run`: in each Call-ID, no other run's.
    Sessions(const Options&, SipEnd&, std::string run);

    // Of INVITEs of ours, before any text. False: no room now.
    [[nodiscard]] bool open(unsigned pair);
    // In one that stands.
    [[nodiscard]] bool send(unsigned number, Bytes content_type, Bytes body);
    [[nodiscard]] bool end(unsigned pair);  // true: there is none, too
    [[nodiscard]] bool stands(unsigned pair) const { return pairs_[pair].state == State::kOpen; }

    void on_request(const sip::Message&, SipEnd::Answer&);
    // The number of the text that it refuses; SIZE_MAX: none.
    [[nodiscard]] std::size_t on_response(const sip::Message&);
    void turn();  // sends what is due: ACKs
    // Those that are beginning or ending, by a request of ours.
    [[nodiscard]] unsigned under_way() const { return under_way_; }

    struct Counts {
        std::uint64_t opened = 0;   // by either side
        std::uint64_t refused = 0;  // INVITEs, by either side
        std::uint64_t ended = 0;    // by us, as the other side said, too
        std::uint64_t gone = 0;     // by the other side; or it no longer knew it
        std::uint64_t outside = 0;  // texts that came outside any
    };
    [[nodiscard]] const Counts& counts() const { return counts_; }
    [[nodiscard]] const std::string& first_refusal() const { return first_refusal_; }

private:
    enum class State : std::uint8_t { kNone, kInviting, kOpen, kEnding };
    struct Pair {
        State state = State::kNone;
        std::optional<sip::Dialog> dialog;
    };

    void on_invite(const sip::Message&, SipEnd::Answer&);
    void on_invite_answered(unsigned pair, const sip::Message&);
    [[nodiscard]] Pair* find(const sip::Message& request);
    [[nodiscard]] std::optional<unsigned> pair_of(Bytes sip_user) const;
    [[nodiscard]] std::string sip_uri(unsigned pair) const;
    [[nodiscard]] std::string xmpp_uri(unsigned pair) const;
    [[nodiscard]] std::string contact(unsigned pair) const;  // a line
    void refuse(std::string why);

    const Options& options_;
    SipEnd& sip_;
    const std::string run_;
    std::vector<Pair> pairs_;
    std::deque<unsigned> acks_due_;
    unsigned under_way_ = 0;
    std::string first_refusal_;
    Counts counts_;
};

}  // namespace fedgate::load
