// What is known of the pair of an XMPP user and a SIP user, page-mode messages included: the queue
// of GEN-5, threads and Call-IDs (IM-5, IM-34), who spoke first, the loop guard of SEC-3. One shard
// owns a pair: owner_of(pair). Idle pairs leave; when all places are taken the one longest idle
// leaves first. Thread: the shard's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "appliance/gateway/block_pool.hpp"
#include "appliance/gateway/chat_state.hpp"
#include "appliance/gateway/key.hpp"
#include "appliance/gateway/sip_agent.hpp"
#include "core/base/limits.hpp"
#include "core/base/prefetch.hpp"
#include "core/base/slab.hpp"
#include "core/base/time.hpp"
#include "core/base/token_bucket.hpp"

namespace fedgate::gateway {

constexpr std::size_t kConversations = 65'536;                 // of one shard
constexpr Duration kConversationIdle = std::chrono::hours(1);  // IM-5
constexpr Duration kResourceKnown =
    std::chrono::hours(24);                     // ADDR-8; not longer than the pair itself
constexpr std::size_t kThreadBytesMax = 1'024;  // a longer one is not remembered
constexpr std::size_t kSenders = 32'768;        // S2S-65, of one shard
constexpr double kSubscribeRate = 10.0 / 60;    // S2S-65, of one sender

// SEC-3: how often one text came within a minute. Keeps the last few texts of a pair.
class LoopGuard {
public:
    // False: it came more often than `repeats_max`; 0: no bound.
    [[nodiscard]] bool pass(std::uint64_t text, std::int64_t minute, std::uint32_t repeats_max);

    // It was not taken after all, and will come again.
    void forget(std::uint64_t text) {
        for (Seen& seen : seen_) {
            if (seen.text == text && seen.count > 0) --seen.count;
        }
    }

private:
    struct Seen {
        std::uint64_t text = 0;
        std::uint32_t count = 0;
    };
    std::array<Seen, 4> seen_{};
    std::int64_t minute_ = 0;
};

class KnownResource {
public:
    void learn(const Key& resource, Instant now) {
        resource_ = resource;
        learnt_at_ = now;
    }
    [[nodiscard]] bool is(const Key& resource, Instant now) const {
        return learnt_at_ && resource_ == resource && now - *learnt_at_ < kResourceKnown;
    }

private:
    Key resource_;
    std::optional<Instant> learnt_at_;
};

struct Session;
struct ShownTyping;

struct Conversation {
    explicit Conversation(const Key& k) : pair(k) {}

    // What each text needs comes first: a thousand pairs do not fit a cache.
    Key pair;
    RequestList waiting;          // GEN-5: not more than limits::kPairQueueStanzas
    bool busy = false;            // one MESSAGE is pending
    bool starting = false;        // the engine's: not from within itself
    bool sip_wrote = false;       // features.md A6: our user has written first
    bool archiving_told = false;  // features.md U10
    bool sip_seen = false;        // that there is such a user of ours was noted
    bool xmpp_gone = false;       // SESS-7: the XMPP user, until the next text or session
    std::uint8_t sessions = 0;    // those that receive only are among them
    Handle<Session> session;      // that its texts go out by, or wait for

private:
    friend class Conversations;
    // Least recently used first.
    Handle<Conversation> self_;
    Conversation* older_ = nullptr;
    Conversation* newer_ = nullptr;
    Instant used_at_{};

public:
    // An isComposing that waits until the queue is empty; there is one only while `busy`.
    ClientRequest* typing_request = nullptr;
    Typing typing;
    // The last resource that each of the two has shown: ADDR-8 and IM-30.
    KnownResource xmpp_resource;
    KnownResource sip_resource;
    LoopGuard guard_x2s;
    LoopGuard guard_s2x;
    Handle<ShownTyping> shown;  // while the XMPP user sees that the SIP user types
    Instant pages_until{};      // SESS-5: the SIP side has no sessions

    // CSeq of a Call-ID that is used again (IM-5): the last two Call-IDs of the pair.
    [[nodiscard]] std::uint32_t next_cseq(std::uint64_t call_id);
    // IM-34: the thread behind a Call-ID that IM-5 had to make; empty: it is not one.
    void remember_thread(BlockPool&, Bytes call_id, Bytes thread);
    [[nodiscard]] Bytes find_thread(Bytes call_id) const;

private:
    struct Dialogue {
        std::uint64_t call_id = 0;
        std::uint32_t cseq = 0;
    };
    struct Thread {
        Block memory;  // call_id, thread
        std::size_t call_id_bytes = 0;
    };
    std::array<Dialogue, 2> dialogues_{};
    std::array<Thread, 2> threads_{};
    std::uint8_t next_dialogue_ = 0;
    std::uint8_t next_thread_ = 0;
};

class Conversations {
public:
    Conversations() : slab_(kConversations), index_(kConversations) {}

    [[nodiscard]] static std::uint32_t owner_of(const Key& pair, std::uint32_t shards) {
        return static_cast<std::uint32_t>(pair.high % shards);
    }
    // The one of the pair, made when it is new; null when all are busy. It is used now. `handle`:
    // where it was, or none; and where it is.
    [[nodiscard]] Conversation* open(const Key& pair, Instant now, Handle<Conversation>& handle);
    // The same of one that is known. Null: it has gone.
    [[nodiscard]] Conversation* use(Handle<Conversation>, Instant now);
    [[nodiscard]] Conversation* peek(const Key& pair);
    // It is opened, peeked at or used soon.
    void prefetch(const Key& pair) const { index_.prefetch(pair); }
    void prefetch(Handle<Conversation> handle) const { slab_.prefetch<kFrontBytes>(handle); }
    [[nodiscard]] Conversation* find(Handle<Conversation> handle) { return slab_.find(handle); }
    // Of one that is used soon: what that changes, too.
    void prefetch_neighbours(Handle<Conversation> handle) {
        const Conversation* const conversation = slab_.find(handle);
        if (conversation == nullptr) return;
        if (conversation->older_ != nullptr) prefetch_line(&conversation->older_->newer_);
        if (conversation->newer_ != nullptr) prefetch_line(&conversation->newer_->older_);
    }
    // Lets go of what was idle for kConversationIdle, at most `count_max`.
    void evict_idle(Instant now, std::size_t count_max);
    [[nodiscard]] std::size_t count() const { return slab_.count(); }

private:
    static constexpr std::size_t kFrontBytes = 320;  // what each text of XMPP's needs
    // A session comes to its own end; who has one has something pending.
    [[nodiscard]] static bool may_leave(const Conversation& conversation) {
        return !conversation.busy && conversation.waiting.count == 0 && conversation.sessions == 0;
    }
    void touch(Conversation&, Instant now);
    void unlink(Conversation&);
    void drop(Conversation&);
    [[nodiscard]] bool drop_oldest_idle();

    Slab<Conversation> slab_;
    sip::KeyIndex<Handle<Conversation>> index_;
    Conversation* oldest_ = nullptr;
    Conversation* newest_ = nullptr;
};

// S2S-65: messages, or requests to subscribe, of one XMPP user. On the shard where they come in: a
// partner's few streams may be on different shards, each with its own count.
class SenderRates {
public:
    SenderRates() : slab_(kSenders), index_(kSenders) {}
    // `per_second` 0: no bound.
    [[nodiscard]] bool take(const Key& sender, double per_second, double burst, Instant now);
    // What was taken could not go on now and will come again.
    void give_back(const Key& sender, Instant now);

private:
    struct Sender {
        Key key;
        TokenBucket bucket;
        Handle<Sender> next;  // in the order in which they came
    };
    Slab<Sender> slab_;
    sip::KeyIndex<Handle<Sender>> index_;
    Handle<Sender> first_;
    Handle<Sender> last_;
};

}  // namespace fedgate::gateway
