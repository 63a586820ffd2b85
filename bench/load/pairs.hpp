// Who watches whom: each of `watchers` SIP users has `contacts` XMPP users as contacts, the same
// number in each of `domains` XMPP domains. An XMPP user is the contact of at most ten: so many he
// may subscribe to at once (S2S-65). Pairs are numbered from 0.
#pragma once

#include <algorithm>
#include <optional>

namespace fedgate::load {

struct PairEnds {
    unsigned sip = 0;     // sip:s<sip>@
    unsigned user = 0;    // u<user>@
    unsigned domain = 0;  // p<domain>.
    friend bool operator==(const PairEnds&, const PairEnds&) = default;
};

class Pairs {
public:
    // `contacts` is a multiple of `domains`.
    Pairs(unsigned watchers, unsigned contacts, unsigned domains)
        : watchers_(watchers),
          contacts_(contacts),
          domains_(domains),
          each_(contacts / domains),
          users_(std::max(each_, (watchers * each_ + 9) / 10)) {}

    [[nodiscard]] unsigned count() const { return watchers_ * contacts_; }
    [[nodiscard]] unsigned domains() const { return domains_; }
    [[nodiscard]] PairEnds ends(unsigned pair) const {
        const unsigned sip = pair / contacts_;
        const unsigned contact = pair % contacts_;
        return {sip, (sip + contact / domains_) % users_, contact % domains_};
    }
    [[nodiscard]] std::optional<unsigned> find(const PairEnds& ends) const {
        if (ends.sip >= watchers_ || ends.user >= users_ || ends.domain >= domains_) return {};
        const unsigned nth = (ends.user + users_ - ends.sip % users_) % users_;
        if (nth >= each_) return {};
        return ends.sip * contacts_ + nth * domains_ + ends.domain;
    }

private:
    unsigned watchers_, contacts_, domains_;
    unsigned each_;   // contacts of one SIP user in one domain
    unsigned users_;  // of one XMPP domain
};

}  // namespace fedgate::load
