#include "sip/msrp_session.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "sip/message.hpp"
#include "sip/msrp_session_tables.hpp"
#include "sip/sdp.hpp"

namespace fedgate::sip {
namespace {

constexpr std::size_t kIdBytes = 13;
// Between the pieces of a message that came in part: 413. Memory costs its sender nearly as much.
constexpr std::uint64_t kGapBytes = 2 * limits::kMsrpChunkBytes;

// The n-th id of a session: it can't be foreseen without the seed, and no two are the same.
struct Id {
    std::array<char, kIdBytes> text;
    Id(std::uint64_t seed, std::uint64_t number) {
        std::uint64_t x = seed + number * 0x9e3779b97f4a7c15;  // splitmix64, a permutation
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        x ^= x >> 31;
        for (char& c : text) {
            c = "0123456789abcdefghijklmnopqrstuv"[x & 31];
            x >>= 5;
        }
    }
    [[nodiscard]] Bytes bytes() const { return {text.data(), text.size()}; }
};

// `transaction` is `id`, or one of its chunks.
bool is_of(Bytes transaction, Bytes id) {
    if (!transaction.starts_with(id)) return false;
    const Bytes rest = transaction.substr(id.size());
    return rest.empty() || rest.front() == '.';
}

std::size_t chunk_count(std::size_t size) {
    return size == 0 ? 1 : (size + limits::kMsrpChunkBytes - 1) / limits::kMsrpChunkBytes;
}

}  // namespace

std::uint16_t judge_stray(const MsrpMessage& request) {
    const std::uint16_t status = request.method == MsrpMethod::kOther ? 501 : 481;
    return request.wants(status) ? status : std::uint16_t{0};
}

MsrpSession::MsrpSession(const MsrpTerms& terms, const MsrpPeer& peer, Instant now)
    : terms_(&terms),
      our_path_(peer.our_path),
      their_path_(peer.their_path),
      size_max_(peer.size_max),
      seed_(peer.seed),
      bind_by_(now + terms.bind_timeout),
      state_(peer.role == MsrpRole::kActive ? MsrpState::kConnecting : MsrpState::kWaiting) {
    FEDGATE_CHECK(terms.memory != nullptr);
}

MsrpSession::~MsrpSession() {
    for (Partial& partial : partials_) terms_->memory->bytes -= partial.body.size();
}

MsrpActions MsrpSession::step(MsrpEvent event) {
    for (const auto& row : tables::msrp::kRows) {
        if (row.from != state_ || row.on != event) continue;
        state_ = row.to;
        return row.actions;
    }
    return MsrpActions::kNone;
}

MsrpActions MsrpSession::on_connected(Instant now, Sink& out) {
    const MsrpActions actions = step(MsrpEvent::kConnected);
    if (state_ != MsrpState::kBinding) return actions;
    write_empty_send(out);
    bind_by_ = now + terms_->transaction_timeout;
    return actions;
}

// SESS-21.
void MsrpSession::write_empty_send(Sink& out) {
    bind_number_ = next_number_++;
    const Id transaction(seed_, bind_number_);
    const Id message_id(seed_, next_number_++);
    MsrpSend send;
    send.transaction = transaction.bytes();
    send.to_path = their_path_;
    send.from_path = our_path_;
    send.message_id = message_id.bytes();
    write_msrp_send(out, send);
}

// RFC 4975 5.4, 14.1: the session's id in our URI is what only the peer knows. Its own must be the
// one that it announced.
bool MsrpSession::is_for_us(const MsrpMessage& message) const {
    if (message.to.text == our_path_ && message.from.text == their_path_) return true;  // usually
    const auto ours = parse_msrp_path(our_path_);
    const auto theirs = parse_msrp_path(their_path_);
    return ours && theirs && message.to.count == 1 && same_msrp_uri(message.to.first, ours->last) &&
           message.from.count != 0 && same_msrp_uri(message.from.last, theirs->last);
}

MsrpActions MsrpSession::on_message(const MsrpMessage& message, Instant now, Sink& out) {
    content_ = {};
    if (message.method == MsrpMethod::kNone) return on_response(message, now);
    if (state_ == MsrpState::kOver || state_ == MsrpState::kConnecting || !is_for_us(message)) {
        if (const std::uint16_t status = judge_stray(message); status != 0) {
            write_msrp_response(out, message, status);
        }
        return MsrpActions::kNone;
    }
    const MsrpActions bound = step(MsrpEvent::kRequest);
    switch (message.method) {
        case MsrpMethod::kSend: return bound | on_send(message, now, out);
        case MsrpMethod::kReport: return bound | on_report(message);
        default: return bound | refuse(message, 501, out);
    }
}

MsrpActions MsrpSession::on_refused(const MsrpMessage& message, MsrpFault fault, Sink& out) {
    content_ = {};
    if (message.method == MsrpMethod::kNone) return MsrpActions::kNone;
    const bool is_ours = state_ != MsrpState::kOver && is_for_us(message);
    const MsrpActions bound = is_ours ? step(MsrpEvent::kRequest) : MsrpActions::kNone;
    return bound | refuse(message, is_ours ? fault.status : std::uint16_t{481}, out);
}

MsrpActions MsrpSession::refuse(const MsrpMessage& message, std::uint16_t status, Sink& out) {
    if (message.wants(status)) write_msrp_response(out, message, status);
    const bool is_dropped = message.method == MsrpMethod::kSend && drop(message.message_id);
    return is_dropped ? MsrpActions::kDropped : MsrpActions::kNone;
}

MsrpActions MsrpSession::on_send(const MsrpMessage& message, Instant now, Sink& out) {
    if (message.flag == MsrpFlag::kAborted) {  // SESS-23
        if (message.wants(200)) write_msrp_response(out, message, 200);
        return drop(message.message_id) ? MsrpActions::kDropped : MsrpActions::kNone;
    }
    if (!message.has_body && find_partial(message.message_id) == nullptr) {
        if (message.wants(200)) write_msrp_response(out, message, 200);
        return MsrpActions::kNone;  // it says nothing but that it is there
    }
    if (message.has_body && !accepts(message.content_type)) return refuse(message, 415, out);
    return take_chunk(message, now, out);
}

MsrpActions MsrpSession::take_chunk(const MsrpMessage& message, Instant now, Sink& out) {
    const std::uint64_t last = message.range.first - 1 + message.body.size();
    if (last > terms_->size_max || message.range.total.value_or(0) > terms_->size_max) {
        return refuse(message, 413, out);
    }
    Partial* partial = find_partial(message.message_id);
    // Nearly always it is whole at once.
    if (partial == nullptr && message.range.first == 1 && message.flag == MsrpFlag::kLast) {
        if (message.wants(200)) write_msrp_response(out, message, 200);
        content_ = {message.message_id, message.content_type, message.body, message.success_report};
        return MsrpActions::kMessage;
    }
    if (partial == nullptr) {
        if (partials_.size() == limits::kMsrpPartials) return refuse(message, 413, out);
        partial = &partials_.emplace_back();
        partial->message_id = message.message_id;
        partial->content_type = message.content_type;
        partial->expires_at = now + terms_->partial_timeout;  // once, however it drips
    }
    const std::uint16_t status = add(*partial, message);
    if (status != 200) return refuse(message, status, out);
    partial->success_report |= message.success_report;
    if (message.wants(200)) write_msrp_response(out, message, 200);
    const bool is_whole = partial->size.has_value() && partial->piece_count == 1 &&
                          partial->pieces[0].first == 1 &&
                          partial->pieces[0].last == *partial->size;
    if (!is_whole) return MsrpActions::kNone;
    terms_->memory->bytes -= partial->body.size();
    MsrpMemory& memory = *terms_->memory;
    memory.message_id = std::move(partial->message_id);
    memory.content_type = std::move(partial->content_type);
    memory.body = std::move(partial->body);
    partial->body.clear();
    content_ = {memory.message_id, memory.content_type, memory.body, partial->success_report};
    drop(*partial);
    return MsrpActions::kMessage;
}

// SESS-23, RFC 4975 5.1: in any order; where chunks overlap the later one holds. What a chunk says
// of its own end does not count: its bytes do.
std::uint16_t MsrpSession::add(Partial& partial, const MsrpMessage& chunk) {
    const std::uint64_t first = chunk.range.first;
    const std::uint64_t last = first - 1 + chunk.body.size();
    if (chunk.flag == MsrpFlag::kLast) {
        // Two ends, or bytes behind it: which holds can't be known.
        if (partial.size.value_or(last) != last || partial.body.size() > last) return 400;
        partial.size = last;
    } else if (partial.size.value_or(last) < last) {
        return 400;
    }
    if (chunk.body.empty()) return 200;
    if (first - 1 > partial.body.size()) {
        std::uint64_t missing = first - 1;
        for (std::size_t i = 0; i < partial.piece_count; ++i) {
            missing -= partial.pieces[i].last - partial.pieces[i].first + 1;
        }
        if (missing > kGapBytes) return 413;
    }
    if (last > partial.body.size() && !grow(partial, last)) return 413;
    chunk.body.copy(partial.body.data() + first - 1, chunk.body.size());
    // Joined with all pieces that it touches.
    Piece joined{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last)};
    auto* const begin = partial.pieces.data();
    auto* const end = begin + partial.piece_count;
    auto* const rest = std::remove_if(begin, end, [&joined](const Piece& piece) {
        if (piece.last + 1 < joined.first || joined.last + 1 < piece.first) return false;
        joined = {std::min(joined.first, piece.first), std::max(joined.last, piece.last)};
        return true;
    });
    partial.piece_count = static_cast<std::size_t>(rest - begin);
    if (partial.piece_count == partial.pieces.size()) return 413;
    partial.pieces[partial.piece_count++] = joined;
    return 200;
}

bool MsrpSession::grow(Partial& partial, std::size_t size) {
    MsrpMemory& memory = *terms_->memory;
    const std::size_t more = size - partial.body.size();
    if (more > memory.bytes_max - memory.bytes) return false;
    memory.bytes += more;
    partial.body.resize(size);
    return true;
}

MsrpSession::Partial* MsrpSession::find_partial(Bytes message_id) {
    const auto found = std::ranges::find(partials_, message_id, &Partial::message_id);
    return found == partials_.end() ? nullptr : &*found;
}

bool MsrpSession::drop(Bytes message_id) {
    Partial* const partial = find_partial(message_id);
    if (partial != nullptr) drop(*partial);
    return partial != nullptr;
}

void MsrpSession::drop(Partial& partial) {
    terms_->memory->bytes -= partial.body.size();
    partials_.erase(partials_.begin() + (&partial - partials_.data()));
    if (partials_.empty()) partials_ = {};
}

bool MsrpSession::accepts(Bytes content_type) const {
    if (content_type.size() > limits::kMsrpContentTypeBytes) return false;
    const auto type = parse_content_type(content_type);
    if (!type) return false;
    const char* const end = type->subtype.data() + type->subtype.size();
    return accepts_type(terms_->accept_types,
                        {type->type.data(), static_cast<std::size_t>(end - type->type.data())});
}

// RCPT-3. A peer may report part after part.
MsrpActions MsrpSession::on_report(const MsrpMessage& report) {
    for (std::size_t i = 0; i < unsettled_.size(); ++i) {
        Unsettled& one = unsettled_[i];
        if (Id(seed_, one.number).bytes() != report.message_id) continue;
        outcome_ = {one.tag, report.report_status};
        if (report.report_status == 200) {
            const std::uint64_t last = std::min(report.range.last.value_or(one.size), one.size);
            if (report.range.first <= one.reported + 1) one.reported = std::max(one.reported, last);
            if (one.reported < one.size) return MsrpActions::kNone;
        }
        const bool is_asked = one.tag != 0;
        const bool is_wanted = one.wants_report;
        settle(i);
        if (!is_asked || report.report_status == 0) return MsrpActions::kNone;
        if (report.report_status != 200) return MsrpActions::kFailed;
        return is_wanted ? MsrpActions::kDelivered : MsrpActions::kNone;
    }
    return MsrpActions::kNone;
}

MsrpActions MsrpSession::on_response(const MsrpMessage& response, Instant now) {
    if (state_ == MsrpState::kOver) return MsrpActions::kNone;
    if (state_ == MsrpState::kBinding && response.transaction == Id(seed_, bind_number_).bytes()) {
        if (response.status == 200) return step(MsrpEvent::kAccepted);
        outcome_ = {0, response.status};
        return step(MsrpEvent::kRefused);
    }
    for (std::size_t i = 0; i < unsettled_.size(); ++i) {
        Unsettled& one = unsettled_[i];
        if (one.unanswered == 0) continue;  // its transaction is over
        if (!is_of(response.transaction, one.transaction())) continue;
        if (response.status != 200) return fail(i, response.status);
        if (--one.unanswered > 0) return MsrpActions::kNone;
        one.answer_by = kNever;
        outcome_ = {one.tag, 200};
        const bool is_told = outcome_.tag != 0 && terms_->failure_report == MsrpFailureReport::kYes;
        if (!one.wants_report) is_told ? keep_for_failure(i, now) : settle(i);
        return is_told ? MsrpActions::kAccepted : MsrpActions::kNone;
    }
    return MsrpActions::kNone;  // of one that was settled
}

// RFC 4975 7.1.2: a relay behind the peer may yet have to say that it has failed.
void MsrpSession::keep_for_failure(std::size_t index, Instant now) {
    unsettled_[index].report_by = now + terms_->failure_timeout;
    const auto may_fail = [](const Unsettled& one) { return one.may_fail(); };
    if (std::ranges::count_if(unsettled_, may_fail) > std::ptrdiff_t{limits::kMsrpMayFail}) {
        unsettled_.erase(std::ranges::find_if(unsettled_, may_fail));
    }
}

// SESS-25. CS-9: that the peer does not take what nobody asks after is no reason to end.
MsrpActions MsrpSession::fail(std::size_t index, std::uint16_t status) {
    const std::uint64_t tag = unsettled_[index].tag;
    settle(index);
    outcome_ = {tag, status};
    const bool is_spared = tag == 0 && (status == 413 || status == 415);
    const bool ends = tables::msrp::ends_session(status) && !is_spared;
    const MsrpActions actions = ends ? step(MsrpEvent::kRefused) : MsrpActions::kNone;
    return tag != 0 ? actions | MsrpActions::kFailed : actions;
}

void MsrpSession::settle(std::size_t index) {
    unsettled_.erase(unsettled_.begin() + static_cast<std::ptrdiff_t>(index));
    // An idle session keeps no memory of a busy hour.
    if (unsettled_.empty() && unsettled_.capacity() > 4) unsettled_ = {};
}

MsrpActions MsrpSession::on_lost() {
    content_ = {};
    return step(MsrpEvent::kLost);
}

MsrpActions MsrpSession::end() {
    content_ = {};
    return step(MsrpEvent::kEnd);
}

MsrpActions MsrpSession::on_time(Instant now) {
    content_ = {};
    if (state_ == MsrpState::kOver) return MsrpActions::kNone;
    if (state_ != MsrpState::kBound && now >= bind_by_) {
        outcome_ = {0, 408};
        return step(MsrpEvent::kTimeout);
    }
    for (Partial& partial : partials_) {
        if (now < partial.expires_at) continue;
        drop(partial);
        return MsrpActions::kDropped;
    }
    for (std::size_t i = 0; i < unsettled_.size();) {
        Unsettled& one = unsettled_[i];
        if (now >= one.answer_by) {
            // RFC 4975 7.1.2: where all answers were asked for silence is a failure, else it is
            // none.
            if (terms_->failure_report == MsrpFailureReport::kYes) return fail(i, 408);
            one.answer_by = kNever;
        }
        const bool is_open = one.answer_by != kNever || now < one.report_by;
        is_open ? void(++i) : settle(i);
    }
    return MsrpActions::kNone;
}

Instant MsrpSession::deadline() const {
    if (state_ == MsrpState::kOver) return kNever;
    Instant first = state_ == MsrpState::kBound ? kNever : bind_by_;
    for (const Partial& partial : partials_) first = std::min(first, partial.expires_at);
    for (const Unsettled& one : unsettled_) {
        first = std::min(first, one.answer_by == kNever ? one.report_by : one.answer_by);
    }
    return first;
}

MsrpSent MsrpSession::send(const MsrpOutgoing& message, Instant now, Sink& out) {
    content_ = {};
    if (state_ != MsrpState::kBound) return MsrpSent::kNotBound;
    if (size_max_ != 0 && message.body.size() > size_max_) return MsrpSent::kTooLong;
    if (!make_room()) return MsrpSent::kFull;
    Unsettled one;
    one.tag = message.tag;
    one.number = next_number_++;
    one.size = message.body.size();
    one.unanswered = static_cast<std::uint32_t>(chunk_count(message.body.size()));
    one.answer_by = now + terms_->transaction_timeout;
    one.wants_report = message.success_report;
    if (one.wants_report) one.report_by = now + terms_->report_timeout;
    choose_id(message, one);
    const std::size_t before = out.size();
    write_chunks(message, one, out);
    if (out.overflowed()) {
        out.truncate(before);
        return MsrpSent::kFull;
    }
    unsettled_.push_back(one);
    return MsrpSent::kSent;
}

// At the bound the oldest is given up that only bad news could come for, or else a receipt.
bool MsrpSession::make_room() {
    if (unsettled_.size() < limits::kMsrpUnsettled) return true;
    const auto may_fail = std::ranges::find_if(unsettled_, &Unsettled::may_fail);
    if (may_fail != unsettled_.end()) {
        unsettled_.erase(may_fail);
        return true;
    }
    const bool silence_is_good = terms_->failure_report != MsrpFailureReport::kYes;
    const auto oldest = std::ranges::find_if(unsettled_, [silence_is_good](const Unsettled& one) {
        return silence_is_good || one.answer_by == kNever || one.tag == 0;
    });
    if (oldest == unsettled_.end()) return false;
    unsettled_.erase(oldest);
    return true;
}

bool MsrpSession::is_in_use(Bytes transaction) const {
    return std::ranges::any_of(unsettled_, [transaction](const Unsettled& one) {
        return one.unanswered != 0 &&
               (is_of(transaction, one.transaction()) || is_of(one.transaction(), transaction));
    });
}

void MsrpSession::choose_id(const MsrpOutgoing& message, Unsettled& one) {
    const auto take = [&](Bytes id) {
        if (has_msrp_end_line(message.body, id) || is_in_use(id)) return false;
        one.id_size = static_cast<std::uint8_t>(id.copy(one.id.data(), one.id.size()));
        return true;
    };
    const Bytes wish = message.transaction;
    if (is_msrp_ident(wish) && wish.size() <= kSentIdBytes && take(wish)) return;
    while (!take(Id(seed_, next_number_++).bytes())) {
    }
}

void MsrpSession::write_chunks(const MsrpOutgoing& message, const Unsettled& one, Sink& out) const {
    const Id message_id(seed_, one.number);
    const std::size_t count = chunk_count(message.body.size());
    std::array<char, kMsrpIdentBytes> memory;
    Sink transaction{MutableBytes(memory)};
    transaction.append(one.transaction());
    MsrpSend send;
    send.to_path = their_path_;
    send.from_path = our_path_;
    send.message_id = message_id.bytes();
    send.total = message.body.size();
    send.failure_report = terms_->failure_report;
    send.success_report = message.success_report;
    send.content_type = message.content_type;
    for (std::size_t i = 0; i < count; ++i) {
        if (count > 1) {
            transaction.truncate(one.id_size);
            transaction.append('.');
            transaction.append_number(i);
        }
        send.transaction = transaction.written();
        send.first = i * limits::kMsrpChunkBytes + 1;
        send.body = message.body.substr(send.first - 1, limits::kMsrpChunkBytes);
        send.flag = i + 1 == count ? MsrpFlag::kLast : MsrpFlag::kMore;
        write_msrp_send(out, send);
    }
}

bool MsrpSession::report(Bytes message_id, std::uint64_t size, Sink& out, std::uint16_t status) {
    if (state_ != MsrpState::kBound) return true;  // nobody to tell
    const Id transaction(seed_, next_number_++);
    const std::size_t before = out.size();
    write_msrp_report(out, {transaction.bytes(), their_path_, our_path_, message_id, size, status});
    if (!out.overflowed()) return true;
    out.truncate(before);
    return false;
}

bool MsrpSession::awaits(std::uint64_t tag) const {
    return std::ranges::find(unsettled_, tag, &Unsettled::tag) != unsettled_.end();
}

bool MsrpSession::take_failed(MsrpOutcome& out) {
    while (state_ == MsrpState::kOver && !unsettled_.empty()) {
        const Unsettled one = unsettled_.front();
        settle(0);
        if (one.tag == 0 || one.answer_by == kNever) continue;
        out = {one.tag, 408};
        return true;
    }
    return false;
}

}  // namespace fedgate::sip
