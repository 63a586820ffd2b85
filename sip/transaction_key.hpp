// Which transaction or dialog does a message belong to? RFC 3261 17.1.3 and 17.2.3, with the RFC
// 2543 fallback for branches without the cookie (SIP-48). A key is a 128-bit keyed hash
// (SipHash-1-3) of the matching fields, so an index needs no second comparison and a peer can't aim
// at a bucket without knowing the secret.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/check.hpp"
#include "core/base/prefetch.hpp"
#include "sip/message.hpp"

namespace fedgate::sip {

struct TransactionKey {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend bool operator==(const TransactionKey&, const TransactionKey&) = default;
};

struct KeySecret {  // random, one for each process or shard
    std::uint64_t a = 0;
    std::uint64_t b = 0;
};

constexpr Bytes kBranchCookie = "z9hG4bK";
// RFC 3261 8.1.1.7. The cookie alone is no unique branch (SIP-48).
[[nodiscard]] bool has_branch_cookie(Bytes branch);

// Of a request from a peer: branch, sent-by, method; an ACK gets the key of its INVITE.
[[nodiscard]] TransactionKey server_key(const KeySecret&, const Message& request);
[[nodiscard]] TransactionKey server_key(const KeySecret&, const Message& request, Bytes as_method);
// What a CANCEL is about, a transaction of any other method (RFC 3261 9.2), by `find`, which gives
// a pointer for a key. Null: nothing.
template <typename Find>
[[nodiscard]] auto find_cancelled(const KeySecret& secret, const Message& cancel, Find find) {
    auto found = find(server_key(secret, cancel, method_text(Method::kInvite)));
    for (auto i = unsigned{1}; !found && i <= static_cast<unsigned>(Method::kUpdate); ++i) {
        const auto method = static_cast<Method>(i);
        if (method == Method::kAck || method == Method::kCancel) continue;
        found = find(server_key(secret, cancel, method_text(method)));
    }
    return found;
}
// Merged requests (SIP-11, RFC 3261 8.2.2.2): From tag, Call-ID, CSeq; only for requests without a
// To tag.
[[nodiscard]] TransactionKey merge_key(const KeySecret&, const Message& request);

// Of a dialog: Call-ID, our tag, their tag (SIP-22). Without their tag: of what we asked for and
// what may make a dialog, or several (SIP-21).
[[nodiscard]] TransactionKey dialog_key(const KeySecret&, Bytes call_id, Bytes local_tag,
                                        Bytes remote_tag);
// The dialog that a request of a peer is in, which is one when its To has a tag.
[[nodiscard]] TransactionKey dialog_key(const KeySecret&, const Message& request);

// Key -> Value, of fixed size: open addressing with linear probing, half full at most. Allocates
// when made, never again. Owner and thread: one shard.
template <typename Value>
class KeyIndex {
public:
    explicit KeyIndex(std::size_t count_max) : count_max_(count_max) {
        std::size_t slots = 16;
        while (slots < count_max * 2) slots *= 2;
        slots_.resize(slots);
    }
    // False at the bound, or when the key is there.
    [[nodiscard]] bool insert(const TransactionKey& key, const Value& value) {
        if (count_ == count_max_) return false;
        std::size_t i = home(key);
        for (; slots_[i].used; i = after(i)) {
            if (slots_[i].key == key) return false;
        }
        slots_[i] = {key, value, true};
        ++count_;
        return true;
    }
    // It is looked for soon: fetches the place from memory meanwhile.
    void prefetch(const TransactionKey& key) const { prefetch_line(&slots_[home(key)]); }
    // Null when it is not there. Valid until the next insert or erase.
    [[nodiscard]] Value* find(const TransactionKey& key) {
        for (std::size_t i = home(key); slots_[i].used; i = after(i)) {
            if (slots_[i].key == key) return &slots_[i].value;
        }
        return nullptr;
    }
    bool erase(const TransactionKey& key) {
        std::size_t i = home(key);
        for (; slots_[i].used; i = after(i)) {
            if (slots_[i].key == key) break;
        }
        if (!slots_[i].used) return false;
        // Close the gap: move back whatever would no longer be found from its home.
        for (std::size_t j = after(i); slots_[j].used; j = after(j)) {
            if (distance(home(slots_[j].key), j) >= distance(i, j)) {
                slots_[i] = slots_[j];
                i = j;
            }
        }
        slots_[i].used = false;
        --count_;
        return true;
    }
    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] std::size_t count_max() const { return count_max_; }

private:
    struct alignas(32) Slot {  // never across two cache lines
        TransactionKey key;
        Value value{};
        bool used = false;
    };
    [[nodiscard]] std::size_t home(const TransactionKey& key) const {
        return key.low & (slots_.size() - 1);
    }
    [[nodiscard]] std::size_t after(std::size_t i) const { return (i + 1) & (slots_.size() - 1); }
    [[nodiscard]] std::size_t distance(std::size_t from, std::size_t to) const {
        return (to - from) & (slots_.size() - 1);
    }

    std::vector<Slot> slots_;
    std::size_t count_max_;
    std::size_t count_ = 0;
};

constexpr std::size_t kTokenRandomBytes = 12;  // 96 bits: SIP-13
using TokenRandom = std::array<std::uint8_t, kTokenRandomBytes>;

// A branch tells the core that made it, as a tag does, and where that keeps the transaction, so
// that a response finds it without a search. The random part proves that it is the answer (RFC
// 3261 17.1.3, together with the method).
struct BranchParts {
    std::uint32_t core = 0;
    std::uint32_t place = 0;
    TokenRandom random{};
    friend bool operator==(const BranchParts&, const BranchParts&) = default;
};

constexpr std::size_t kTagBytes = 8 + 2 * kTokenRandomBytes;
constexpr std::size_t kBranchBytes = kBranchCookie.size() + 16 + 2 * kTokenRandomBytes;

// Text of fixed size that one can keep: hexadecimal, since peers may change the case of tokens.
template <std::size_t kSize>
struct Token {
    std::array<char, kSize> text{};
    [[nodiscard]] Bytes view() const { return {text.data(), kSize}; }
};
using Branch = Token<kBranchBytes>;
using Tag = Token<kTagBytes>;

[[nodiscard]] Branch make_branch(const BranchParts&);
[[nodiscard]] Tag make_tag(std::uint32_t core, const TokenRandom&);
// The reverse; nothing when we can't have made it.
[[nodiscard]] std::optional<BranchParts> read_branch(Bytes branch);
[[nodiscard]] std::optional<std::uint32_t> core_of_tag(Bytes tag);
[[nodiscard]] std::optional<TokenRandom> random_of_tag(Bytes tag);

}  // namespace fedgate::sip
