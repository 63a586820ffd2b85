#include "appliance/edge/sessions.hpp"

#include <algorithm>
#include <cstring>

#include "appliance/edge/context.hpp"
#include "core/base/hash.hpp"

namespace fedgate::edge {

namespace {

constexpr std::uint32_t kSessionKind = static_cast<std::uint32_t>(link::RecordKind::kSession);
constexpr std::uint32_t kSessionMark = static_cast<std::uint32_t>(link::RecordKind::kSessionMark);
// At a bound this part of it is forgotten at once.
constexpr std::size_t kPartForgotten = 8;

// Is every line of `old` one of `proved` too?
bool covers(Bytes proved, Bytes old) {
    while (!old.empty()) {
        const Bytes line = old.substr(0, old.find('\n') + 1);
        if (line.empty()) return false;
        std::size_t at = proved.find(line);
        while (at != Bytes::npos && at != 0 && proved[at - 1] != '\n')
            at = proved.find(line, at + 1);
        if (at == Bytes::npos) return false;
        old.remove_prefix(line.size());
    }
    return true;
}

Bytes their_domain(Bytes pairs) {
    pairs.remove_prefix(std::min(pairs.size(), pairs.find(' ') + 1));
    return pairs.substr(0, pairs.find_first_of(" \n"));
}

}  // namespace

Sessions::Sessions(Shard& shard, SessionsOwner& owner)
    : shard_(shard), owner_(owner), again_(*this) {
    shard.set_handler(kSessionKind, *this);
    shard.set_handler(kSessionMark, *this,
                      RecordUse::kMayWait);  // with the stanzas, so behind them
}

void Sessions::begin(Bytes id, Bytes pairs, std::uint64_t stream) {
    say_home(id, {.say = Say::kBegin, .stream = stream}, pairs);
}

void Sessions::end(Bytes id, Bytes pairs, std::uint64_t stream, std::uint32_t handled,
                   bool broken) {
    Held held{{.say = Say::kEnd, .handled = handled, .stream = stream, .broken = broken},
              std::string(pairs),
              {},
              0};
    if (shard_.count() == 1) return say_home(id, held.record, pairs);
    FEDGATE_CHECK(id.size() == kIdBytes);
    std::memcpy(held.record.id, id.data(), kIdBytes);
    for (std::uint32_t to = 0; to < shard_.count(); ++to) {
        if (to != shard_.index()) held.unmarked.push_back(to);
    }
    const std::uint64_t number = next_held_++;
    mark(number, held_.emplace(number, std::move(held)).first->second);
}

void Sessions::mark(std::uint64_t number, Held& held) {
    const Bytes record = bytes_of(number);
    std::erase_if(held.unmarked, [&](std::uint32_t to) {
        if (!shard_.send(to, kSessionMark, {record})) return false;
        ++held.awaited;
        return true;
    });
    if (!held.unmarked.empty()) {
        shard_.loop().timers().arm(again_, shard_.loop().now() + kMailboxRetry);
    }
}

void Sessions::on_passed(std::uint64_t number) {
    const auto it = held_.find(number);
    if (it == held_.end() || --it->second.awaited > 0 || !it->second.unmarked.empty()) return;
    const Held held = std::move(it->second);
    held_.erase(it);
    say_home(Bytes(held.record.id, kIdBytes), held.record, held.pairs);
}

void Sessions::resume(Bytes id, Bytes pairs, std::uint64_t stream) {
    say_home(id, {.say = Say::kResume, .stream = stream}, pairs);
}

void Sessions::say_home(Bytes id, Record record, Bytes pairs) {
    FEDGATE_CHECK(id.size() == kIdBytes);
    std::memcpy(record.id, id.data(), kIdBytes);
    say(static_cast<std::uint32_t>(fnv1a(id) % shard_.count()), record, pairs);
}

void Sessions::say(std::uint32_t to, const Record& record, Bytes pairs) {
    if (unsent_.empty() && try_send(to, record, pairs)) return;
    // At the bound that session can't be resumed. What follows from one that was made known is
    // said, or it would live for ever: those are as many as there are streams.
    if (unsent_.size() >= limits::kSessionRecords && record.say == Say::kBegin) return;
    unsent_.push_back({to, record, std::string(pairs)});
    shard_.loop().timers().arm(again_, shard_.loop().now() + kMailboxRetry);
}

bool Sessions::try_send(std::uint32_t to, const Record& record, Bytes pairs) {
    return shard_.send(to, kSessionKind, {bytes_of(record), pairs});
}

void Sessions::send_waiting() {
    for (auto& [number, held] : held_) {
        if (!held.unmarked.empty()) mark(number, held);
    }
    while (!unsent_.empty()) {
        const Unsent& first = unsent_.front();
        if (!try_send(first.to, first.record, first.pairs)) {
            shard_.loop().timers().arm(again_, shard_.loop().now() + kMailboxRetry);
            return;
        }
        unsent_.pop_front();
    }
}

bool Sessions::on_record(std::uint32_t kind, std::uint32_t from_shard, Bytes bytes) {
    Record record;
    if (kind == kSessionMark) {  // all that was sent before it has been taken
        record.say = Say::kPassed;
        std::memcpy(&record.stream, bytes.data(), sizeof record.stream);
        say(from_shard, record, {});
        return true;
    }
    std::memcpy(&record, bytes.data(), sizeof record);
    const Bytes id(record.id, kIdBytes);
    const Bytes pairs = bytes.substr(sizeof record);
    const Seat seat{from_shard, record.stream};
    switch (record.say) {
        case Say::kBegin: on_begin(id, seat, pairs); break;
        case Say::kEnd: on_end(id, seat, record, pairs); break;
        case Say::kResume: on_resume(id, seat, pairs); break;
        case Say::kGone: on_gone(id, seat); break;
        case Say::kPassed: on_passed(record.stream); break;
        case Say::kTake:
            if (std::ranges::any_of(held_, [&](const auto& held) {
                    return Bytes(held.second.record.id, kIdBytes) == id &&
                           held.second.record.stream == record.stream;
                })) {
                break;  // its end is about to be told
            }
            if (const auto left = owner_.take_session(record.stream)) {
                end(id, left->pairs, record.stream, left->handled, true);
            } else {
                say_home(id, {.say = Say::kGone, .stream = record.stream}, {});
            }
            break;
        case Say::kAnswer: {
            std::optional<std::uint32_t> handled;
            if (record.has_handled) handled = record.handled;
            if (!owner_.on_session(record.stream, record.granted, handled) && record.granted) {
                end(id, pairs, record.stream, record.handled, true);  // nobody has used it
            }
            break;
        }
    }
    return true;
}

void Sessions::answer(const Seat& seat, Bytes id, bool granted,
                      std::optional<std::uint32_t> handled, Bytes pairs) {
    Record record{.say = Say::kAnswer,
                  .handled = handled.value_or(0),
                  .stream = seat.stream,
                  .granted = granted,
                  .has_handled = handled.has_value()};
    std::memcpy(record.id, id.data(), kIdBytes);
    say(seat.shard, record, pairs);
}

void Sessions::on_begin(Bytes id, const Seat& seat, Bytes pairs) {
    if (sessions_.size() >= limits::kSessions) {
        forget_oldest(limits::kSessions / kPartForgotten, [](const Session&) { return true; });
    }
    if (sessions_.size() >= limits::kSessions) return;  // all live: it can't be resumed
    Session session;
    session.seat = seat;
    session.pairs = pairs;
    sessions_.emplace(id, std::move(session));
}

void Sessions::on_end(Bytes id, const Seat& seat, const Record& record, Bytes pairs) {
    const auto it = sessions_.find(std::string(id));
    if (it == sessions_.end()) return;
    Session& session = it->second;
    if (session.state != Session::State::kLive || session.seat != seat) return;
    detach(session, pairs);
    session.state = record.broken ? Session::State::kBroken : Session::State::kOver;
    session.handled = record.handled;
    session.until = shard_.loop().now() + kSessionKept;
    if (!session.wanted_by) return;
    const Seat asker = *session.wanted_by;
    session.wanted_by.reset();
    settle(id, session, asker, session.wanted_pairs);
}

void Sessions::detach(Session& session, Bytes pairs) {
    const Bytes their = their_domain(pairs);
    session.pairs = pairs;
    session.pattern = owner_.pattern_of(their);
    make_room_for(their, session.pattern);
    ++detached_[std::string(their)];
    if (!session.pattern.empty()) ++detached_[session.pattern];
}

void Sessions::attach(Session& session) {
    const auto uncount = [this](Bytes key) {
        const auto it = detached_.find(std::string(key));
        if (it != detached_.end() && --it->second == 0) detached_.erase(it);
    };
    uncount(their_domain(session.pairs));
    if (!session.pattern.empty()) uncount(session.pattern);
}

void Sessions::forget(std::unordered_map<std::string, Session>::iterator it) {
    if (it->second.state != Session::State::kLive) attach(it->second);
    sessions_.erase(it);
}

// Who owns a pattern's names does not fill the table. The one that makes it necessary is live.
void Sessions::make_room_for(Bytes their, Bytes pattern) {
    const auto count = [this](Bytes key) {
        const auto it = detached_.find(std::string(key));
        return it != detached_.end() ? it->second : 0;
    };
    if (count(their) >= limits::kSessionsPerPartner) {
        forget_oldest(limits::kSessionsPerPartner / kPartForgotten,
                      [their](const Session& one) { return their_domain(one.pairs) == their; });
    }
    if (!pattern.empty() && count(pattern) >= limits::kSessionsOfPattern) {
        forget_oldest(limits::kSessionsOfPattern / kPartForgotten,
                      [pattern](const Session& one) { return one.pattern == pattern; });
    }
}

// Of those without a stream; those that are over go before all. Many at a time: to find them takes
// a look at all.
template <typename Concerns>
void Sessions::forget_oldest(std::size_t count, Concerns concerns) {
    using Iterator = std::unordered_map<std::string, Session>::iterator;
    std::vector<Iterator> found;
    for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
        if (it->second.state != Session::State::kLive && concerns(it->second)) found.push_back(it);
    }
    count = std::min(count, found.size());
    const auto end = found.begin() + static_cast<std::ptrdiff_t>(count);
    std::ranges::partial_sort(found, end, [](Iterator a, Iterator b) {
        const bool a_over = a->second.state == Session::State::kOver;
        const bool b_over = b->second.state == Session::State::kOver;
        return a_over != b_over ? a_over : a->second.until < b->second.until;
    });
    for (auto it = found.begin(); it != end; ++it) forget(*it);
}

void Sessions::on_resume(Bytes id, const Seat& asker, Bytes pairs) {
    const auto it = sessions_.find(std::string(id));
    // Who has not proved the same is not told more than who made the id up.
    if (it == sessions_.end() || !covers(pairs, it->second.pairs)) {
        return answer(asker, id, false, {}, {});
    }
    Session& session = it->second;
    if (session.state != Session::State::kLive) return settle(id, session, asker, pairs);
    if (session.wanted_by) answer(*session.wanted_by, id, false, {}, {});
    session.wanted_by = asker;
    session.wanted_pairs = pairs;
    Record take{.say = Say::kTake, .stream = session.seat.stream};
    std::memcpy(take.id, id.data(), kIdBytes);
    say(session.seat.shard, take, {});
}

// A stream that ended has said so before; only what was not kept then is unknown now.
void Sessions::on_gone(Bytes id, const Seat& seat) {
    const auto it = sessions_.find(std::string(id));
    if (it == sessions_.end()) return;
    const Session& session = it->second;
    if (session.state != Session::State::kLive || session.seat != seat) return;
    if (session.wanted_by) answer(*session.wanted_by, id, false, {}, {});
    sessions_.erase(it);
}

// A session without a stream, and who wants it.
void Sessions::settle(Bytes id, Session& session, const Seat& asker, Bytes pairs) {
    const bool good = covers(pairs, session.pairs);
    const bool granted = good && session.state == Session::State::kBroken;
    std::optional<std::uint32_t> handled;
    if (good) handled = session.handled;
    answer(asker, id, granted, handled, session.pairs);
    if (!granted) return;
    attach(session);
    session.state = Session::State::kLive;
    session.seat = asker;
    session.until = kNever;
    session.wanted_pairs.clear();
}

void Sessions::sweep() {
    const Instant now = shard_.loop().now();
    for (auto it = sessions_.begin(); it != sessions_.end();) {
        Session& session = it->second;
        if (session.state == Session::State::kLive || session.until > now) {
            ++it;
        } else if (session.state == Session::State::kOver) {
            forget(it++);
        } else {
            session.state = Session::State::kOver;
            session.until = now + kSessionKept;
        }
    }
}

}  // namespace fedgate::edge
