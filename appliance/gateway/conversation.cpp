#include "appliance/gateway/conversation.hpp"

#include <algorithm>

namespace fedgate::gateway {

bool LoopGuard::pass(std::uint64_t text, std::int64_t minute, std::uint32_t repeats_max) {
    if (repeats_max == 0) return true;
    if (minute != minute_) {
        seen_ = {};
        minute_ = minute;
    }
    Seen* place = &seen_[0];
    for (Seen& seen : seen_) {
        if (seen.count > 0 && seen.text == text) return ++seen.count <= repeats_max;
        if (seen.count < place->count) place = &seen;
    }
    *place = {text, 1};
    return true;
}

std::uint32_t Conversation::next_cseq(std::uint64_t call_id) {
    for (Dialogue& dialogue : dialogues_) {
        if (dialogue.cseq > 0 && dialogue.call_id == call_id) {
            // SIP-2: below 2^31, also when a request is sent again by the next ones (SIP-30,
            // SIP-9).
            if (dialogue.cseq >= INT32_MAX - 16) dialogue.cseq = 0;
            return ++dialogue.cseq;
        }
    }
    dialogues_[next_dialogue_] = {call_id, 1};
    next_dialogue_ = static_cast<std::uint8_t>((next_dialogue_ + 1u) % dialogues_.size());
    return 1;
}

void Conversation::remember_thread(BlockPool& blocks, Bytes call_id, Bytes thread) {
    if (call_id == thread || thread.empty() || thread.size() > kThreadBytesMax) return;
    if (!find_thread(call_id).empty()) return;
    Thread& place = threads_[next_thread_];
    place.memory = blocks.copy({call_id, thread});  // without memory it is not remembered
    place.call_id_bytes = call_id.size();
    next_thread_ = static_cast<std::uint8_t>((next_thread_ + 1u) % threads_.size());
}

Bytes Conversation::find_thread(Bytes call_id) const {
    for (const Thread& thread : threads_) {
        if (!thread.memory || thread.memory.bytes().substr(0, thread.call_id_bytes) != call_id)
            continue;
        return thread.memory.bytes().substr(thread.call_id_bytes);
    }
    return {};
}

Conversation* Conversations::peek(const Key& pair) {
    const auto* handle = index_.find(pair);
    return handle != nullptr ? slab_.find(*handle) : nullptr;
}

Conversation* Conversations::open(const Key& pair, Instant now, Handle<Conversation>& handle) {
    Conversation* conversation = slab_.find(handle);
    if (conversation == nullptr || conversation->pair != pair) conversation = peek(pair);
    if (conversation == nullptr) {
        conversation = slab_.make(handle, pair);
        if (conversation == nullptr && drop_oldest_idle()) conversation = slab_.make(handle, pair);
        if (conversation == nullptr) return nullptr;
        conversation->self_ = handle;
        FEDGATE_CHECK(index_.insert(pair, handle));
    } else {
        unlink(*conversation);
    }
    handle = conversation->self_;
    touch(*conversation, now);
    return conversation;
}

Conversation* Conversations::use(Handle<Conversation> handle, Instant now) {
    Conversation* const conversation = slab_.find(handle);
    if (conversation == nullptr) return nullptr;
    unlink(*conversation);
    touch(*conversation, now);
    return conversation;
}

void Conversations::touch(Conversation& conversation, Instant now) {
    conversation.used_at_ = now;
    conversation.older_ = newest_;
    conversation.newer_ = nullptr;
    (newest_ != nullptr ? newest_->newer_ : oldest_) = &conversation;
    newest_ = &conversation;
}

void Conversations::unlink(Conversation& conversation) {
    (conversation.older_ != nullptr ? conversation.older_->newer_ : oldest_) = conversation.newer_;
    (conversation.newer_ != nullptr ? conversation.newer_->older_ : newest_) = conversation.older_;
}

void Conversations::drop(Conversation& conversation) {
    unlink(conversation);
    index_.erase(conversation.pair);
    slab_.free(conversation.self_);
}

bool Conversations::drop_oldest_idle() {
    constexpr std::size_t kLookAtMax = 64;  // those with something pending are few
    Conversation* conversation = oldest_;
    for (std::size_t i = 0; i < kLookAtMax && conversation != nullptr; ++i) {
        if (may_leave(*conversation)) {
            drop(*conversation);
            return true;
        }
        Conversation* const next = conversation->newer_;
        if (conversation->sessions > 0) {  // it stays: not in the way of those that may leave
            unlink(*conversation);
            touch(*conversation, conversation->used_at_);
        }
        conversation = next;
    }
    return false;
}

void Conversations::evict_idle(Instant now, std::size_t count_max) {
    while (count_max-- > 0 && oldest_ != nullptr) {
        if (now - oldest_->used_at_ < kConversationIdle || !may_leave(*oldest_)) return;
        drop(*oldest_);
    }
}

bool SenderRates::take(const Key& key, double per_second, double burst, Instant now) {
    if (per_second <= 0) return true;
    const auto* known = index_.find(key);
    if (known != nullptr) return slab_.find(*known)->bucket.take(1, now);
    Handle<Sender> handle;
    Sender* sender = slab_.make(handle);
    if (sender ==
        nullptr) {  // the one that came first makes room: it starts anew when it comes again
        Sender* oldest = slab_.find(first_);
        const Handle<Sender> freed = first_;
        first_ = oldest->next;
        index_.erase(oldest->key);
        slab_.free(freed);
        sender = slab_.make(handle);
    }
    sender->key = key;
    sender->bucket = TokenBucket(per_second, burst, now);
    FEDGATE_CHECK(index_.insert(key, handle));
    if (Sender* last = slab_.find(last_)) last->next = handle;
    if (slab_.find(first_) == nullptr) first_ = handle;
    last_ = handle;
    return sender->bucket.take(1, now);
}

void SenderRates::give_back(const Key& key, Instant now) {
    if (const auto* known = index_.find(key)) slab_.find(*known)->bucket.charge(-1, now);
}

}  // namespace fedgate::gateway
