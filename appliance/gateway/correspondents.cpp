#include "appliance/gateway/correspondents.hpp"

#include <cstring>

#include "sip/uri.hpp"

namespace fedgate::gateway {
namespace {

// Every byte of a JID escaped.
constexpr std::size_t kUriBytes = 3 * xml::kJidBytes + 64;
constexpr std::size_t kOtherBytes = 4 * xml::kJidBytes + 2 * kUriBytes;

// Only a place to look at; the texts are compared. Eight bytes at a time, the last of them again.
std::uint64_t hash_of(Bytes from, Bytes to) {
    constexpr std::uint64_t kFactor = 0x9e37'79b9'7f4a'7c15;
    std::uint64_t hash = from.size();
    const auto add = [&hash](const char* at) {
        std::uint64_t word;
        std::memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * kFactor;
        hash ^= hash >> 32;
    };
    for (const Bytes text : {from, to}) {
        if (text.size() < sizeof hash) {
            char padded[sizeof hash] = {};
            std::memcpy(padded, text.data(), text.size());
            add(padded);
            continue;
        }
        const char* const last = text.data() + text.size() - sizeof hash;
        for (const char* at = text.data(); at < last; at += sizeof hash) add(at);
        add(last);
    }
    return hash | 1;
}

}  // namespace

Correspondents::Correspondents(const KeyMaker& keys)
    : keys_(keys), slab_(kCorrespondents), sets_(kSets), other_memory_(kOtherBytes) {}

void Correspondents::reload(const rules::Snapshot& rules) {
    rules_ = &rules;
    for (Set& set : sets_) set.hashes = {};
}

const Correspondence& Correspondents::find(Bytes from, Bytes to, bool keep) {
    const std::uint64_t hash = hash_of(from, to);
    Set& set = sets_[hash / 2 % kSets];
    for (std::size_t way = 0; way < set.hashes.size(); ++way) {
        if (set.hashes[way] != hash) continue;
        const Kept& kept = *set.kept[way];
        const char* const memory = kept.memory.data();
        if (Bytes(memory, kept.from_size) != from ||
            Bytes(memory + kept.from_size, kept.to_size) != to) {
            continue;
        }
        set.newest = static_cast<std::uint8_t>(way);
        return kept.what;
    }
    if (keep && from.size() + to.size() < kCorrespondenceBytes) {
        if (const Correspondence* made = make(from, to, hash, set)) return *made;
    }
    Sink memory{MutableBytes(other_memory_)};
    work_out(from, to, other_, memory);
    FEDGATE_CHECK(!memory.overflowed());
    return other_;
}

// Null: nothing to be kept.
const Correspondence* Correspondents::make(Bytes from, Bytes to, std::uint64_t hash, Set& set) {
    const std::size_t way = set.hashes[0] == 0 ? 0 : 1u - set.newest;
    Kept*& kept = set.kept[way];
    Handle<Kept> handle;  // it is never given back
    if (kept == nullptr) kept = slab_.make(handle);
    set.hashes[way] = 0;
    Sink memory{MutableBytes(kept->memory)};
    memory.append(from);
    memory.append(to);
    const Bytes texts = memory.written();
    work_out(texts.substr(0, from.size()), texts.substr(from.size()), kept->what, memory);
    if (!kept->what.good || memory.overflowed()) return nullptr;
    kept->from_size = static_cast<std::uint16_t>(from.size());
    kept->to_size = static_cast<std::uint16_t>(to.size());
    set.hashes[way] = hash;
    set.newest = static_cast<std::uint8_t>(way);
    return &kept->what;
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
    what.from_uri = note([&] { write_sender_uri(what.from, memory); });
    what.to_uri = note([&] {
        what.domain->phone ? write_phone_aor(what.to, memory) : write_aor(what.to, memory);
    });
}

}  // namespace fedgate::gateway
