#include "appliance/link/topology.hpp"

#include <algorithm>
#include <utility>

#include "core/base/limits.hpp"

namespace fedgate::link {

namespace {

constexpr Duration kAgainAfter = std::chrono::milliseconds(5);  // when there is no room
// The same commit is sent again at earliest after this, to whom asks for it.
constexpr Duration kOfferCommitAgain = std::chrono::seconds(5);
// A peer is told of the same node at earliest after this again, however often that changes.
constexpr Duration kTellAgain = std::chrono::milliseconds(200);

NodeRow row_of(const NodeNews& news) {
    return {std::string(news.node), news.newest, news.in_force, std::string(news.why)};
}

NodeNews news_of(NodeNews::Kind kind, Bytes node, const NodeRow& row) {
    return {kind, node, row.newest, row.in_force, row.why};
}

}  // namespace

Topology::~Topology() { FEDGATE_CHECK(peers_.empty()); }

void Topology::set_newest(NodeRow own, std::shared_ptr<const std::string> published,
                          std::chrono::seconds left) {
    own_ = std::move(own);
    published_ = std::move(published);
    take_back_at_ = loop_.now() + left;
    for (TopologyPeer* peer : peers_) {
        peer->untold_.insert("");
        peer->send_newer();
    }
    give();
}

void Topology::set_secret(WallTime made, Bytes secret) {
    secret_ = {made, std::string(secret)};
    for (TopologyPeer* peer : peers_) peer->secret_untold_ = true;
    give();
}

// The one that was made first is everybody's; of two at once, the one that is sorted first.
void Topology::take_secret(TopologyPeer& from, const DialbackSecret& theirs) {
    Secret secret{theirs.made, std::string(theirs.secret)};
    if (secret_ && secret == *secret_) return;
    if (secret_ && *secret_ < secret) {
        from.secret_untold_ = true;
        return give();
    }
    if (!earlier_ || secret < *earlier_) earlier_ = std::move(secret);
    use_earlier();
    give();
}

// Whoever makes up earlier ones all the time does not make everybody change all the time.
void Topology::use_earlier() {
    if (!earlier_ || !secret_changes_.take(1, loop_.now())) return;
    secret_ = std::exchange(earlier_, std::nullopt);
    for (TopologyPeer* peer : peers_) peer->secret_untold_ = true;
    owner_.on_secret(secret_->made, secret_->text);
}

void Topology::tell_others_of(const TopologyPeer& one) {
    for (TopologyPeer* peer : peers_) {
        if (peer->name_ != one.name_) peer->untold_.insert(one.name_);
    }
    give();
}

void Topology::give() {
    Instant again = kNever;
    for (TopologyPeer* peer : peers_) again = std::min(again, peer->give());
    if (earlier_) again = std::min(again, secret_changes_.available_at(1, loop_.now()));
    if (again != kNever) loop_.timers().arm(timer_, again);
}

std::vector<NodeRow> Topology::rows() const {
    std::map<std::string, NodeRow> all;
    for (const TopologyPeer* peer : peers_) {
        for (const auto& [name, row] : peer->tells_) {
            if (all.size() >= limits::kTopologyNodes) break;
            all.emplace(name, row).first->second.node = name;
        }
    }
    for (const TopologyPeer* peer : peers_) {
        if (!peer->says_) continue;
        all[peer->name_] = *peer->says_;
        all[peer->name_].node = peer->name_;
    }
    std::vector<NodeRow> rows;
    for (auto& [name, row] : all) rows.push_back(std::move(row));
    return rows;
}

TopologyPeer::~TopologyPeer() {
    if (topology_ != nullptr) topology_->peers_.erase(this);
}

// A session that goes on has lost nothing.
void TopologyPeer::on_up(bool resumed) {
    if (topology_ == nullptr || channel_.session().peer().minor < kTopologyMinor) return;
    if (resumed && speaks_) return topology_->give();
    on_over();
    speaks_ = true;
    topology_->peers_.insert(this);
    untold_ = {""};
    for (const TopologyPeer* peer : topology_->peers_) {
        if (peer->says_ && peer->name_ != name_) untold_.insert(peer->name_);
    }
    secret_untold_ = topology_->secret_.has_value();
    topology_->give();
}

void TopologyPeer::on_over() {
    if (topology_ == nullptr) return;
    speaks_ = false;
    topology_->peers_.erase(this);
    const bool was_there = std::exchange(says_, std::nullopt).has_value();
    tells_.clear();
    untold_.clear();
    told_at_.clear();
    asks_ = false;
    secret_untold_ = false;
    sending_.reset();
    sending_digest_ = {};
    coming_ = {};
    come_ = {};
    if (was_there) topology_->tell_others_of(*this);
}

void TopologyPeer::on_room() {
    if (speaks_) topology_->give();
}

void TopologyPeer::on_frame(const Frame& frame) {
    if (!speaks_) return;
    if (const auto* news = std::get_if<NodeNews>(&frame)) take(*news);
    if (const auto* piece = std::get_if<CommitPiece>(&frame)) take(*piece);
    if (const auto* secret = std::get_if<DialbackSecret>(&frame)) {
        topology_->take_secret(*this, *secret);
    }
}

void TopologyPeer::take(const NodeNews& news) {
    if (news.kind == NodeNews::Kind::kSelf) {
        says_ = row_of(news);
        // If it still has less, and says so again: it may take now what it did not take.
        asks_ = sending_ == nullptr && sending_digest_ == topology_->own_.newest.digest &&
                says_->newest < topology_->own_.newest;
        send_newer();
        return topology_->tell_others_of(*this);
    }
    const std::string name(news.node);
    if (news.kind == NodeNews::Kind::kGone) {
        tells_.erase(name);
    } else if (tells_.contains(name) || tells_.size() < limits::kTopologyNodes) {
        tells_[name] = row_of(news);
    }
}

void TopologyPeer::send_newer() {
    if (offer_newer()) topology_->give();
}

// Each is sent to it once, until it asks again.
bool TopologyPeer::offer_newer() {
    const config::CommitId& ours = topology_->own_.newest;
    if (!says_ || topology_->published_ == nullptr || says_->newest >= ours) return false;
    if (sending_digest_ == ours.digest) return false;
    sending_ = topology_->published_;
    sending_digest_ = ours.digest;
    offered_at_ = topology_->loop_.now();
    sent_ = 0;
    return true;
}

Instant TopologyPeer::give() {
    if (!speaks_ || !channel_.up()) return kNever;
    const Instant now = topology_->loop_.now();
    Instant again = kNever;
    if (asks_ && now >= offered_at_ + kOfferCommitAgain) {
        asks_ = false;
        sending_digest_ = {};
        offer_newer();
    }
    if (asks_) again = offered_at_ + kOfferCommitAgain;
    if (!give_news(again) || !give_pieces()) again = std::min(again, now + kAgainAfter);
    return again;
}

bool TopologyPeer::give_news(Instant& again) {
    const Instant now = topology_->loop_.now();
    std::erase_if(told_at_, [now](const auto& one) { return now >= one.second + kTellAgain; });
    for (auto at = untold_.begin(); at != untold_.end();) {
        if (const auto told = told_at_.find(*at); told != told_at_.end()) {
            again = std::min(again, told->second + kTellAgain);
            ++at;
            continue;
        }
        const auto known = std::ranges::find_if(topology_->peers_, [&](const TopologyPeer* peer) {
            return peer->name_ == *at && peer->says_;
        });
        const bool own = at->empty();
        const bool gone = !own && known == topology_->peers_.end();
        const NodeNews news =
            own    ? news_of(NodeNews::Kind::kSelf, topology_->own_.node, topology_->own_)
            : gone ? news_of(NodeNews::Kind::kGone, *at, {})
                   : news_of(NodeNews::Kind::kPeer, *at, *(*known)->says_);
        if (!channel_.send(news)) return false;
        told_at_[*at] = now;
        at = untold_.erase(at);
    }
    if (secret_untold_) {
        if (!channel_.send(DialbackSecret{topology_->secret_->made, topology_->secret_->text})) {
            return false;
        }
        secret_untold_ = false;
    }
    return true;
}

bool TopologyPeer::give_pieces() {
    while (sending_ != nullptr) {
        if (channel_.session().unacknowledged_bytes(Lane::kNews) >= limits::kCommitSentBytes) {
            return false;
        }
        CommitPiece piece;
        piece.digest = sending_digest_;
        const Duration left = topology_->take_back_at_ - topology_->loop_.now();
        piece.left_s = static_cast<std::uint32_t>(
            std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::seconds>(left).count()));
        piece.size = static_cast<std::uint32_t>(sending_->size());
        piece.offset = static_cast<std::uint32_t>(sent_);
        piece.bytes = Bytes(*sending_).substr(sent_, limits::kCommitPieceBytes);
        if (!channel_.send(piece)) return false;
        sent_ += piece.bytes.size();
        if (sent_ == sending_->size()) sending_.reset();
    }
    return true;
}

void TopologyPeer::take(const CommitPiece& piece) {
    if (piece.offset == 0) {
        coming_ = piece;
        come_.clear();
    } else if (piece.digest != coming_.digest || piece.size != coming_.size ||
               piece.offset != come_.size() || come_.empty()) {
        come_ = {};
        return topology_->owner_.on_bad_commit(name_);
    }
    come_.append(piece.bytes);
    if (come_.size() < piece.size) return;
    topology_->owner_.on_commit(name_, std::exchange(come_, {}),
                                std::chrono::seconds(piece.left_s));
}

}  // namespace fedgate::link
