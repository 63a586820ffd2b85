#include "appliance/gateway/seen_users.hpp"

#include <iterator>

namespace fedgate::gateway {

void SeenUsers::note(Bytes user, Bytes domain, WallTime now) {
    if (user.empty() || user.size() + 1 + domain.size() > kSeenAddressBytes) return;
    std::string address(user);
    for (char& c : address) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    address.append(1, '@').append(domain);
    if (const auto known = index_.find(address); known != index_.end()) {
        known->second->at = now;
        users_.splice(users_.end(), users_, known->second);
        return;
    }
    if (users_.size() >= most_) {
        index_.erase(users_.front().address);
        users_.pop_front();
    }
    users_.push_back({std::move(address), now});
    index_.emplace(users_.back().address, std::prev(users_.end()));
}

}  // namespace fedgate::gateway
