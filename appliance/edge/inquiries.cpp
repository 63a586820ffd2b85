#include "appliance/edge/inquiries.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "net/address.hpp"

namespace fedgate::edge {

namespace {

// A dialback question on its way to the pair's shard: this, then its parts. And what became of it.
struct QuestionRecord {
    std::uint64_t number;
    std::uint32_t our_size;
    std::uint32_t their_size;
    std::uint32_t id_size;
    std::uint32_t key_size;  // the fingerprint is the rest
};
struct AnswerRecord {
    std::uint64_t number;
    bool asked;
    xml::Verdict verdict;
};

}  // namespace

Inquiries::Inquiries(Context& context, DoorGuard& guard, InquiriesOwner& owner)
    : context_(context), guard_(guard), owner_(owner), sweep_(*this) {
    for (const auto kind : {link::RecordKind::kQuestion, link::RecordKind::kQuestionAnswer}) {
        context_.shard.set_handler(static_cast<std::uint32_t>(kind), *this);
    }
}

Inquiries::~Inquiries() { context_.loop.cancel_turn_task(*this); }

void Inquiries::verify(const InStream& stream, Bytes our, Bytes their, Bytes id, Bytes key) {
    const SocketAddress& peer = stream.connection().peer_address();
    if (const char* limit = refusal(stream, their)) {
        context_.log.event(EventId::kConnectionLimit,
                           {{"peer", net::format_address(peer)}, {"limit", limit}});
        // Told later: the stream's calls must not be re-entered.
        refused_.push_back(
            {stream.handle(), std::string(our), std::string(their), std::string(id)});
        context_.loop.at_turn_end(*this);
        return;
    }
    const net::Connection& connection = stream.connection();
    const Question question{
        our, their, id, key,
        connection.secured() ? Bytes(connection.peer().fingerprint_sha256) : Bytes()};
    asked_.push_back({stream.handle(), net::ip_key(peer),
                      std::make_unique<Verification>(context_, *this, question), ++last_number_});
    asked_.back().verification->begin(ask_on_stream(last_number_, question));
}

// DB-5: the stream of the pair, if one stands, is on the pair's shard.
bool Inquiries::ask_on_stream(std::uint64_t number, const Question& question) {
    const auto size = [](Bytes bytes) { return static_cast<std::uint32_t>(bytes.size()); };
    const QuestionRecord record{number, size(question.our), size(question.their), size(question.id),
                                size(question.key)};
    return context_.shard.send(owner_.owner_of(question.our, question.their),
                               static_cast<std::uint32_t>(link::RecordKind::kQuestion),
                               {bytes_of(record), question.our, question.their, question.id,
                                question.key, question.fingerprint});
}

void Inquiries::question_here(const Asker& asker, const Question& question) {
    OutStream* stream = owner_.find_out_stream(question.our, question.their);
    if (stream == nullptr || !stream->ask(question, asker)) answer(asker, std::nullopt);
}

// Without room in the mailbox it is lost, and asked again in time.
void Inquiries::answer(const Asker& asker, std::optional<xml::Verdict> verdict) {
    const AnswerRecord record{asker.number, verdict.has_value(),
                              verdict.value_or(xml::Verdict::kError)};
    static_cast<void>(context_.shard.send(
        asker.shard, static_cast<std::uint32_t>(link::RecordKind::kQuestionAnswer),
        {bytes_of(record)}));
}

void Inquiries::answer_here(std::uint64_t number, std::optional<xml::Verdict> verdict) {
    const auto asked = std::ranges::find(asked_, number, &Asked::number);
    if (asked == asked_.end()) return;
    asked->verification->answered(verdict);
    sweep_soon();  // it may be over
}

// Each question makes us ask DNS and connect, for whoever wants it. Null: it may.
const char* Inquiries::refusal(const InStream& stream, Bytes their) {
    const auto of_stream = std::ranges::count_if(asked_, [&](const Asked& asked) {
        return asked.stream == stream.handle() && !asked.verification->over();
    });
    if (std::cmp_greater_equal(of_stream, limits::kVerificationsPerStream))
        return "dialback questions of one stream";
    auto verdict = DoorGuard::Refusal::kQuestions;
    if (asked_.size() < limits::kVerifications) {
        verdict = guard_.ask(context_.rules->settings.xmpp, stream.connection().peer_address(),
                             std::string(their), context_.loop.now());
    }
    return verdict == DoorGuard::Refusal::kNone ? nullptr : DoorGuard::name_of(verdict);
}

// All who wait for one domain share the question, so that nobody can use up another's.
bool Inquiries::find_dane(const InStream& stream, Bytes their) {
    const auto same = std::ranges::find(searches_, their, &Search::domain);
    if (same != searches_.end()) {
        same->streams.push_back(stream.handle());
        return true;
    }
    const SocketAddress& peer = stream.connection().peer_address();
    if (searches_.size() >= limits::kInquiries || !guard_.may_ask(peer, context_.loop.now())) {
        context_.log.event(EventId::kConnectionLimit,
                           {{"peer", net::format_address(peer)}, {"limit", "TLSA questions"}});
        return false;
    }
    searches_.push_back({std::string(their),
                         {stream.handle()},
                         std::make_unique<net::DaneFinder>(context_.loop, context_.resolver, *this,
                                                           std::string(their))});
    return true;
}

void Inquiries::on_dane_found(net::DaneFinder& finder, net::DaneQuestion answer) {
    const auto it = std::ranges::find_if(
        searches_, [&](const Search& one) { return one.finder.get() == &finder; });
    const Search over = std::move(*it);
    searches_.erase(it);
    for (const Handle<InStream> handle : over.streams) {
        if (InStream* stream = owner_.find_in_stream(handle)) stream->dane_found(answer);
    }
}

void Inquiries::on_verdict(Verification& verification, xml::Verdict verdict) {
    const bool valid = verdict == xml::Verdict::kValid;
    context_.stats.add(valid ? Counter::kDialbackVerified : Counter::kDialbackRefused);
    if (!valid) {
        const bool invalid = verdict == xml::Verdict::kInvalid;
        context_.tell(invalid ? EventId::kDialbackRefused : EventId::kDialbackFailed,
                      FailureKind::kDialback, true, verification.their(), nullptr,
                      invalid ? "its own server does not know the dialback key that came for " +
                                    verification.our()
                              : "its own server could not be asked about a dialback key for " +
                                    verification.our());
    }
    const auto it = std::ranges::find_if(
        asked_, [&](const Asked& asked) { return asked.verification.get() == &verification; });
    if (it == asked_.end()) return;
    if (InStream* stream = owner_.find_in_stream(it->stream)) {
        stream->verified(verification.our(), verification.their(), verification.id(), verdict);
    }
}

bool Inquiries::on_record(std::uint32_t kind, std::uint32_t from_shard, Bytes record) {
    if (kind == static_cast<std::uint32_t>(link::RecordKind::kQuestionAnswer)) {
        AnswerRecord told;
        std::memcpy(&told, record.data(), sizeof told);
        answer_here(told.number,
                    told.asked ? std::optional(told.verdict) : std::optional<xml::Verdict>());
        return true;
    }
    QuestionRecord header;
    std::memcpy(&header, record.data(), sizeof header);
    record.remove_prefix(sizeof header);
    const auto cut = [&record](std::uint32_t size) {
        const Bytes part = record.substr(0, size);
        record.remove_prefix(size);
        return part;
    };
    const Bytes our = cut(header.our_size);
    const Bytes their = cut(header.their_size);
    const Bytes id = cut(header.id_size);
    const Bytes key = cut(header.key_size);
    question_here({from_shard, header.number}, {our, their, id, key, record});
    return true;
}

void Inquiries::on_turn_end() {
    for (const Refused& one : std::exchange(refused_, {})) {
        if (InStream* stream = owner_.find_in_stream(one.stream)) {
            stream->verified(one.our, one.their, one.id, xml::Verdict::kOverLimit);
        }
    }
}

void Inquiries::forget(Handle<InStream> stream) {
    for (const Asked& asked : asked_) {
        if (asked.stream != stream) continue;
        asked.verification->abandon();
        sweep_soon();  // with its connection
    }
}

void Inquiries::sweep_soon() { context_.loop.timers().arm(sweep_, context_.loop.now()); }

void Inquiries::sweep() {
    std::erase_if(asked_, [this](const Asked& asked) {
        if (!asked.verification->over()) return false;
        guard_.answered(asked.address);
        return true;
    });
}

}  // namespace fedgate::edge
