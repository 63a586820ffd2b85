// features.md U6: the rules have changed, or the process. Who may watch no longer is told so, and
// hears nothing more. The contact's approval stays, for when he may again.
#include <algorithm>

#include "appliance/gateway/watchers.hpp"

namespace fedgate::gateway {

void Watchers::reload() {
    judge_at_ = 0;
    if (count() != 0) host_.shard().loop().timers().arm(judging_, now());
}

void Watchers::judge_some() {
    const std::uint32_t end = std::min(places_, judge_at_ + kJudgedAtOnce);
    while (judge_at_ < end && host_.has_room()) {
        Watcher* const watcher = watchers_.find_at(judge_at_++);
        if (watcher != nullptr && !is_gone(*watcher)) end_if_revoked(*watcher);
    }
    if (judge_at_ < places_) host_.shard().loop().timers().arm(judging_, now() + kJudgedEvery);
}

bool Watchers::end_if_revoked(Watcher& watcher) {
    if (watcher.dialogs == nullptr) return false;
    const rules::Snapshot& rules = host_.rules();
    Address user;
    Address contact;
    if (!read_jid(watcher.sip_jid(), user) || !read_jid(watcher.contact_jid(), contact))
        return false;
    const rules::SipDomain* domain = rules.sip_domain(user.domain_ascii);
    const rules::Partner* partner = rules.partner(contact.domain_ascii);
    if (domain != nullptr && partner != nullptr && partner->passes(rules::Kind::kPresence) &&
        rules.may_converse(user.user, *domain, *partner, rules::Direction::kToXmpp).allowed()) {
        return false;
    }
    host_.shard().stats().add(Counter::kPolicyRefused);
    NotifyLane& lane = watcher.domain.lane;
    watcher.presences.clear();
    end_all(watcher, "rejected", 0);
    if (watcher.auth == WatcherAuth::kGranted) send(watcher, "unavailable");  // as PRES-67
    settle(watcher);
    send_waiting(lane);
    return true;
}

}  // namespace fedgate::gateway
