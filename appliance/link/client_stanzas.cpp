// What goes by the links: stanzas and their fates, and requests to other gateways.
#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "appliance/link/client.hpp"
#include "appliance/link/client_link.hpp"
#include "core/base/limits.hpp"
#include "xml/jid.hpp"
#include "xml/stanza.hpp"

namespace fedgate::link {

namespace {

// What goes to a partner moves to a better edge when all of it has left the other one. It is held
// back for that for the first of these times, and if that was too short not again for the second.
constexpr Duration kHeldToMove = 200ms;
constexpr Duration kMoveAgain = 2s;

}  // namespace

bool Client::is_member(const std::string& gateway) const {
    return settings_.gateways.empty() ||
           std::ranges::find(settings_.gateways, gateway) != settings_.gateways.end();
}

bool Client::has_others() const {
    const auto has_some = [this](const auto& link) {
        return std::ranges::any_of(link->gateways, [&](const std::string& name) {
            return name != link->own_name && is_member(name);
        });
    };
    return asked_.count() > 0 || std::ranges::any_of(links_, has_some);
}

// As the edge that would be asked chooses; if that has no connection now, it is waited for.
bool Client::is_anothers(std::uint64_t conversation) const {
    if (askings_[mix(conversation) % kAskings].count > 0) return true;
    const Link* const link = best_link(conversation);
    if (link == nullptr) return false;
    const std::size_t slot = slot_of(conversation);
    const std::string* owner = nullptr;
    for (const std::string& name : link->gateways) {
        if (!is_member(name)) continue;
        if (owner == nullptr || score_of(name, slot) > score_of(*owner, slot)) owner = &name;
    }
    return owner != nullptr && is_member(link->own_name) && *owner != link->own_name;
}

bool Client::ask(const Request& request) {
    const auto number = static_cast<std::uint32_t>(mix(request.conversation) % kAskings);
    Asking& asking = askings_[number];
    if (asking.count == 0) asking.link = best_link(request.conversation);
    if (asking.link == nullptr || !asking.link->channel.open() || !fits(request)) return false;
    const std::uint64_t own = asked_.add(request.ticket, asking.link->serial, number);
    if (own == 0) return false;
    if (asking.link->channel.send(Request{own, request.conversation, request.bytes})) {
        ++asking.count;
        return true;
    }
    asked_.remove(own);
    return false;
}

void Client::take_answer(const Link& link, const Answer& answer) {
    const auto asked = asked_.take(
        answer.ticket, [&](const Tickets::Entry& one) { return one.link == link.serial; });
    if (!asked) return;
    --askings_[asked->about].count;
    gateway_->on_answer(answer.as(asked->theirs));
}

// It never waits for room: what is behind it may be what makes room for others.
bool Client::take_request(Link& link, const Request& request) {
    if (link.owed.size() >= limits::kLinkOutcomes) return false;  // who asks does not listen
    if (settings_.gateways.size() == 1) {                         // there is nobody who could ask
        link.owed.tell(refused(request.ticket));
        return true;
    }
    const std::uint64_t own = askers_.add(request.ticket, link.serial);
    if (own != 0 && gateway_->take_request({own, request.conversation, request.bytes})) return true;
    if (own != 0 && askers_.find(own) != nullptr) askers_.remove(own);
    link.owed.tell(busy(request.ticket));
    return true;
}

void Client::answer(const Answer& answer) {
    const auto asker = askers_.take(answer.ticket);
    if (!asker) return;  // who has asked, or his edge, is gone
    const auto at =
        std::ranges::find_if(links_, [&](const auto& link) { return link->serial == asker->link; });
    if (at != links_.end()) (*at)->owed.tell(answer.as(asker->theirs));
}

void Client::take_outcome(const Link& link, const Outcome& outcome) {
    Tickets::Entry* entry = tickets_.find(outcome.ticket);
    if (entry == nullptr || entry->link != link.serial) return;
    settle(*entry);
    Outcome told = outcome;
    told.ticket = entry->theirs;
    if (outcome.fate != Fate::kWritten || !outcome.acknowledges) tickets_.remove(outcome.ticket);
    gateway_->on_outcome(told);
}

// It has a fate: what follows may go another way.
void Client::settle(Tickets::Entry& entry) {
    Pair& pair = pairs_[std::exchange(entry.about, 0)];
    if (pair.open > 0) --pair.open;
}

// What becomes of a stream of an edge that carries nothing to him says nothing of the way to him.
void Client::take_news(Link& link, const PartnerNews& news) {
    using Kind = PartnerNews::Kind;
    Pair& pair = pairs_[pair_of(news.our_domain, news.their_domain)];
    if (news.kind == Kind::kUp) pair.stands = &link;
    if (news.kind == Kind::kBroke || news.kind == Kind::kDown) {
        if (pair.stands == &link) pair.stands = nullptr;
        if (!carries(link, news.our_domain, news.their_domain)) return;
    }
    gateway_->on_partner(news);
}

bool Client::carries(const Link& link, Bytes our, Bytes their) {
    const Pair& pair = pairs_[pair_of(our, their)];
    if (pair.link == nullptr || pair.link == &link) return true;
    if (rules_ == nullptr || !rules_->users_have_sites()) return false;
    return std::ranges::any_of(rules_->sites(), [&](const rules::Site& site) {
        key_.assign(our).append(1, ' ').append(their).append(1, ' ').append(site.name);
        const auto at = pair_numbers_.find(key_);
        return at != pair_numbers_.end() && pairs_[at->second].link == &link;
    });
}

// At the bound, those that nothing is on its way of are forgotten. 0: no room.
std::uint32_t Client::pair_of(Bytes our, Bytes their, Bytes site) {
    key_.assign(our).append(1, ' ').append(their);
    if (!site.empty()) key_.append(1, ' ').append(site);
    const auto at = pair_numbers_.find(key_);
    if (at != pair_numbers_.end()) return at->second;
    if (free_pairs_.empty() && pairs_.size() > limits::kLinkPairs) {
        std::erase_if(pair_numbers_, [this](const auto& entry) {
            if (pairs_[entry.second].open > 0) return false;
            pairs_[entry.second] = {};
            free_pairs_.push_back(entry.second);
            return true;
        });
        if (free_pairs_.empty()) return 0;
    }
    std::uint32_t number = static_cast<std::uint32_t>(pairs_.size());
    if (free_pairs_.empty()) {
        pairs_.emplace_back();
    } else {
        number = free_pairs_.back();
        free_pairs_.pop_back();
    }
    pair_numbers_.emplace(key_, number);
    return number;
}

Client::Link* Client::best_link(std::uint64_t what, Bytes pool) const {
    if (links_.size() == 1) return links_[0]->there() ? links_[0].get() : nullptr;
    const Instant now = shard_.loop().now();
    Link* best = nullptr;
    std::tuple<bool, bool, bool, std::uint32_t, double> best_score;  // the lowest one
    for (const auto& link : links_) {
        if (!link->there()) continue;
        const bool other = !pool.empty() && link->pool != pool;
        const std::tuple its{!link->trial.passed(now), !link->listed, other, link->rank,
                             -weighted_score(link->host, link->weight, what)};
        if (best != nullptr && its >= best_score) continue;
        best = link.get();
        best_score = its;
    }
    return best;
}

Client::Link* Client::link_for(Pair& pair, Link& best) {
    if (pair.link == nullptr || pair.link == &best) return &best;
    Link& old = *pair.link;
    if (old.channel.returning()) return nullptr;
    const Session& session = old.channel.session();
    if (pair.open == 0 && session.acknowledged(Lane::kStanzas) >= pair.sent) return &best;
    const Instant now = shard_.loop().now();
    if (now >= pair.move_at) {
        pair.hold_until = now + kHeldToMove;
        pair.move_at = pair.hold_until + kMoveAgain;
    }
    if (now < pair.hold_until) return nullptr;
    return old.channel.open() ? &old : &best;
}

// By which pool its sender goes first, and of which site he is, if that is not his domain's.
Client::Way Client::way_of(const ToPartner& to) const {
    if (rules_ == nullptr || !rules_->has_routes()) return {};
    const rules::SipDomain* const domain = rules_->sip_domain(to.our_domain);
    if (domain == nullptr) return {};
    const rules::Site* const common = rules_->site_of({}, *domain);
    const rules::Site* own = common;
    if (rules_->users_have_sites()) {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(to.stanza, scope);
        std::array<char, xml::kJidBytes> decoded;
        Sink text{MutableBytes(decoded)};
        const auto from = xml::split_jid(stanza.decoded(stanza.from, text));
        std::array<char, limits::kJidPartBytes> memory;
        Sink user{MutableBytes(memory)};
        if (from) xml::unescape_local(from->local, user);
        own = rules_->site_of(user.written(), *domain);
    }
    if (own == nullptr) return {};
    return {own->route, own != common ? Bytes(own->name) : Bytes()};
}

// Nothing of this pair of domains is on its way by another edge, whosever it is.
bool Client::all_went_by(const Link& best, const ToPartner& to) {
    const auto went = [&](Bytes site) {
        const Pair& pair = pairs_[pair_of(to.our_domain, to.their_domain, site)];
        if (pair.link == nullptr || pair.link == &best) return true;
        return pair.open == 0 &&
               pair.link->channel.session().acknowledged(Lane::kStanzas) >= pair.sent;
    };
    return went({}) && std::ranges::all_of(rules_->sites(), [&](const rules::Site& site) {
               return went(site.name);
           });
}

bool Client::take_stanza(const ToPartner& to) {
    if (!fits(to)) {
        fail(to, Fault::kTooLong);
        return true;
    }
    if (!missed(kEdgeAwaited)) return again_.empty() && take(to);
    owe(to);
    return true;
}

// What is owed waits for longer, and nothing that may not wait stands behind it.
void Client::owe(const ToPartner& to) {
    if (!may_wait_long(to.ticket) || !again_.push(to)) fail(to, Fault::kUnreachable);
}

// What may wait for longer is none of those whose senders are told.
void Client::on_timer(Timer&) {
    if (!missed(kEdgeAwaited)) return;
    again_.take_out([](const ToPartner& to) { return !may_wait_long(to.ticket); },
                    [this](const ToPartner& to) { fail(to, Fault::kUnreachable); });
}

bool Client::take(const ToPartner& to) {
    const Way way = way_of(to);
    Link* const best = best_link(fnv1a(to.their_domain, fnv1a(to.our_domain)), way.pool);
    if (best == nullptr) {
        if (!missed(kLateNewsKept)) return false;
        fail(to, Fault::kUnreachable);
        return true;
    }
    if (shard_.loop().now() < users_move_until_ && !all_went_by(*best, to)) return false;
    const std::uint32_t number = pair_of(to.our_domain, to.their_domain, way.site);
    Link* const link = number != 0 ? link_for(pairs_[number], *best) : best;
    return link != nullptr && link->channel.open() && send(to, *link, number);
}

bool Client::send(const ToPartner& to, Link& link, std::uint32_t number) {
    Ticket ticket = to.ticket;
    if (is_asked(ticket)) {
        ticket = tickets_.add(to.ticket, link.serial, number);
        if (ticket == 0) return false;
    }
    if (!link.channel.send(ToPartner{ticket, to.our_domain, to.their_domain, to.stanza})) {
        if (is_asked(ticket)) tickets_.remove(ticket);
        return false;
    }
    shard_.stats().add(Counter::kLinkStanzasToPartners);
    if (number == 0) return true;
    Pair& pair = pairs_[number];
    if (pair.link != &link) {
        pair.link = &link;
        pair.open = 0;
        pair.move_at = {};
    }
    pair.sent = link.channel.session().sent(Lane::kStanzas);
    if (is_asked(ticket)) ++pair.open;
    return true;
}

void Client::fail(const ToPartner& to, Fault fault) {
    if (is_asked(to.ticket)) return gateway_->on_outcome({to.ticket, Fate::kFailed, fault});
    if (to.ticket == kForNow) return;
    shard_.stats().add(Counter::kXmppAnswersLost);
    shard_.log().event(EventId::kAnswerLost,
                       {{"partner", to.their_domain}, {"domain", to.our_domain}});
}

void Client::on_returned(const Frame& frame, bool maybe_taken) {
    if (const auto* to = std::get_if<ToPartner>(&frame)) take_back(*to, maybe_taken);
}

// By the ticket: what its sender can be told of is in doubt; an answer is said again, and what must
// not be said twice is not (link.hpp).
void Client::take_back(const ToPartner& to, bool maybe_taken) {
    ToPartner again = to;
    if (is_asked(to.ticket)) {
        Tickets::Entry* entry = tickets_.find(to.ticket);
        if (entry == nullptr) return;
        settle(*entry);
        again.ticket = entry->theirs;
        tickets_.remove(to.ticket);
        if (maybe_taken) {
            return gateway_->on_outcome({again.ticket, Fate::kInDoubt, Fault::kUnreachable});
        }
    } else if (to.ticket != 0 && maybe_taken) {
        return;
    }
    if (missed(kEdgeAwaited)) return owe(again);
    if (!again_.push(again)) fail(again, Fault::kUnreachable);
}

// What the edge has taken and not told the fate of.
void Client::on_over(Link& link) {
    link.trial.on_over(shard_.loop().now());
    note_who_is_there();  // it was there as long as it might have gone on
    tickets_.remove_all_of(link.serial, [this](Ticket theirs) {
        gateway_->on_outcome({theirs, Fate::kInDoubt, Fault::kUnreachable});
    });
    askers_.remove_all_of(link.serial, [](Ticket) {});
    asked_.remove_if([&link](const Tickets::Entry& entry) { return entry.link == link.serial; },
                     [this](const Tickets::Entry& entry) {
                         --askings_[entry.about].count;
                         gateway_->on_answer({entry.theirs, Answer::Kind::kLost});
                     });
    link.owed.clear();
    link.gateways.clear();
    link.topology.on_over();
    tell_partners_of(link);
}

// The streams to partners that it had are gone, too.
void Client::tell_partners_of(Link& link) {
    std::set<std::string> told;
    for (const auto& [names, number] : pair_numbers_) {
        Pair& pair = pairs_[number];
        if (pair.link != &link && pair.stands != &link) continue;
        told.insert(names.substr(0, names.find(' ', names.find(' ') + 1)));
        if (pair.stands == &link) pair.stands = nullptr;
        if (pair.link != &link) continue;
        pair.link = nullptr;
        pair.open = 0;
    }
    const auto kind = edges_.none() ? PartnerNews::Kind::kDown : PartnerNews::Kind::kBroke;
    for (const Bytes names : told) {
        const std::size_t space = names.find(' ');
        gateway_->on_partner({kind, Fault::kUnreachable, names.substr(0, space),
                              names.substr(space + 1), "an edge has gone"});
    }
}

}  // namespace fedgate::link
