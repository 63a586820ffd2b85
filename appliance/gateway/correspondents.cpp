#include "appliance/gateway/correspondents.hpp"

#include "appliance/gateway/lync.hpp"
#include "sip/uri.hpp"

namespace fedgate::gateway {
namespace {

// Every byte of a JID escaped.
constexpr std::size_t kEscapedUriBytes = 3 * xml::kJidBytes + 64;
constexpr std::size_t kOtherBytes = 4 * xml::kJidBytes + 2 * kEscapedUriBytes;

}  // namespace

Correspondents::Correspondents(const KeyMaker& keys) : keys_(keys), other_memory_(kOtherBytes) {}

void Correspondents::reload(const rules::Snapshot& rules) {
    rules_ = &rules;
    memo_.clear();
}

const Correspondence& Correspondents::find(Bytes from, Bytes to, bool keep) {
    if (const Correspondence* kept = memo_.find(from, to)) return *kept;
    const auto work = [this](Bytes one, Bytes other, Correspondence& what, Sink& memory) {
        work_out(one, other, what, memory);
        return what.good;
    };
    if (keep) {
        if (const Correspondence* made = memo_.make(from, to, work)) return *made;
    }
    Sink memory{MutableBytes(other_memory_)};
    work_out(from, to, other_, memory);
    FEDGATE_CHECK(!memory.overflowed());
    return other_;
}

void Correspondents::work_out(Bytes from, Bytes to, Correspondence& what, Sink& memory) const {
    what = {};
    what.malformed = !read_jid(from, what.from, memory) || !read_jid(to, what.to, memory);
    if (what.malformed) return;
    what.domain = rules_->sip_domain(what.to.domain_ascii);
    what.partner = rules_->partner(what.from.domain_ascii);
    what.good = what.domain != nullptr && rules_->sip_domain(what.from.domain_ascii) == nullptr;
    if (!what.good) return;
    what.decision = what.partner == nullptr
                        ? rules::Decision{rules_->why_no_partner(what.from.domain_ascii)}
                        : rules_->may_converse(what.to.user, *what.domain, *what.partner,
                                               rules::Direction::kFromXmpp);
    what.pair = pair_key(keys_, what.from, what.to);
    what.sender = keys_.make({what.from.jid.local, what.from.jid.domain});
    what.resource = keys_.make({what.from.jid.resource});
    const auto note = [&memory](auto&& write) {
        const std::size_t begin = memory.size();
        write();
        return memory.written().substr(begin);
    };
    const bool lync = what.domain->profile == rules::Profile::kLync;
    what.from_uri =
        note([&] { lync ? write_aor(what.from, memory) : write_sender_uri(what.from, memory); });
    if (lync) what.epid = note([&] { write_epid(what.from.jid.resource, memory); });
    what.to_uri = note([&] {
        what.domain->phone ? write_phone_aor(what.to, memory) : write_aor(what.to, memory);
    });
}

}  // namespace fedgate::gateway
