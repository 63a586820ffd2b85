#include "sip/transaction_key.hpp"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>

#include "core/base/hex.hpp"
#include "core/base/limits.hpp"
#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

// What kind of key it is, so that those of different kinds never meet in one index.
enum Kind : std::uint64_t { kServer = 1, kServer2543 = 2, kMerge = 3, kDialog = 4 };

// SipHash-1-3 with 128 bits of output (Aumasson, Bernstein). The first word says what kind of key
// it is and how long each field is, so that no two lists of fields look alike.
class Hasher {
public:
    explicit Hasher(const KeySecret& secret)
        : v0_(secret.a ^ 0x736f6d6570736575u),
          v1_(secret.b ^ 0x646f72616e646f6du ^ 0xeeu),
          v2_(secret.a ^ 0x6c7967656e657261u),
          v3_(secret.b ^ 0x7465646279746573u) {}

    void begin(Kind kind, Bytes first, Bytes second, Bytes third = {}) {
        static_assert(limits::kSipHeaderBytes < 1 << 16);  // they are all of a header section
        absorb(kind | std::uint64_t{first.size()} << 16 | std::uint64_t{second.size()} << 32 |
               std::uint64_t{third.size()} << 48);
    }
    void add(Bytes field) {
        add(field, [](std::uint64_t word) { return word; });
    }
    void add_lower(Bytes field) { add(field, lower_letters); }
    void add(std::uint64_t number) { absorb(number); }

    [[nodiscard]] TransactionKey finish() {
        v2_ ^= 0xee;
        for (int i = 0; i < 3; ++i) round();
        TransactionKey key;
        key.low = v0_ ^ v1_ ^ v2_ ^ v3_;
        v1_ ^= 0xdd;
        for (int i = 0; i < 3; ++i) round();
        key.high = v0_ ^ v1_ ^ v2_ ^ v3_;
        return key;
    }

private:
    // The eight bytes of a word in lower case: 'A' to 'Z', and nothing else.
    static std::uint64_t lower_letters(std::uint64_t word) {
        constexpr std::uint64_t kEach = 0x0101'0101'0101'0101;
        const std::uint64_t low = word & 0x7f * kEach;
        const std::uint64_t from_a = low + (0x80 - 'A') * kEach;
        const std::uint64_t beyond_z = low + (0x7f - 'Z') * kEach;
        return word | ((from_a ^ beyond_z) & ~word & 0x80 * kEach) >> 2;
    }
    template <typename Change>
    void add(Bytes field, Change change) {
        std::size_t i = 0;
        for (; i + 8 <= field.size(); i += 8) {
            std::uint64_t word;
            std::memcpy(&word, field.data() + i, 8);
            absorb(change(word));
        }
        std::uint64_t last = 0;
        const std::size_t left = field.size() - i;
        if (left == 0) return;
        if (i > 0) {  // one load of fixed size, of which the end counts
            std::memcpy(&last, field.data() + field.size() - 8, 8);
            last >>= 8 * (8 - left);
        } else {
            for (std::size_t k = 0; k < left; ++k) {
                last |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(field[k])) << 8 * k;
            }
        }
        absorb(change(last));
    }
    void absorb(std::uint64_t word) {
        v3_ ^= word;
        round();
        v0_ ^= word;
    }
    void round() {
        v0_ += v1_;
        v2_ += v3_;
        v1_ = std::rotl(v1_, 13) ^ v0_;
        v3_ = std::rotl(v3_, 16) ^ v2_;
        v0_ = std::rotl(v0_, 32);
        v2_ += v1_;
        v0_ += v3_;
        v1_ = std::rotl(v1_, 17) ^ v2_;
        v3_ = std::rotl(v3_, 21) ^ v0_;
        v2_ = std::rotl(v2_, 32);
    }

    std::uint64_t v0_;
    std::uint64_t v1_;
    std::uint64_t v2_;
    std::uint64_t v3_;
};

constexpr std::size_t kBranchNumberBytes = (kBranchBytes - kBranchCookie.size()) / 2;

// Numbers stand in a token with the highest byte first.
template <std::unsigned_integral Number>
Number turned(Number number) {
    return std::endian::native == std::endian::little ? std::byteswap(number) : number;
}
template <std::unsigned_integral Number>
std::uint8_t* put(std::uint8_t* out, Number number) {
    number = turned(number);
    std::memcpy(out, &number, sizeof number);
    return out + sizeof number;
}
template <std::unsigned_integral Number>
const std::uint8_t* take(const std::uint8_t* in, Number& number) {
    std::memcpy(&number, in, sizeof number);
    number = turned(number);
    return in + sizeof number;
}

}  // namespace

bool has_branch_cookie(Bytes branch) {
    return branch.size() > kBranchCookie.size() &&
           equal_ignoring_case(branch.substr(0, kBranchCookie.size()), kBranchCookie);
}

TransactionKey server_key(const KeySecret& secret, const Message& request) {
    // RFC 3261 17.2.3: an ACK belongs to its INVITE.
    return server_key(
        secret, request,
        request.method == Method::kAck ? method_text(Method::kInvite) : request.method_name);
}

TransactionKey server_key(const KeySecret& secret, const Message& request, Bytes as_method) {
    Hasher hasher(secret);
    const Method method = find_method(as_method);
    const Bytes unknown = method == Method::kUnknown ? as_method : Bytes();
    if (has_branch_cookie(request.via.branch)) {
        hasher.begin(kServer, request.via.branch, request.via.sent_by.host, unknown);
        hasher.add(static_cast<std::uint64_t>(method) << 16 | request.via.sent_by.port);
        hasher.add(request.via.branch);
        hasher.add_lower(request.via.sent_by.host);
        hasher.add(unknown);
        return hasher.finish();
    }
    // SIP-48. The To tag is left out: an ACK has the one of the response, the INVITE none.
    hasher.begin(kServer2543, request.request_uri_text, request.from.tag, request.call_id);
    hasher.begin(kServer2543, request.via.text, as_method);
    hasher.add(request.cseq.number);
    hasher.add(request.request_uri_text);
    hasher.add(request.from.tag);
    hasher.add(request.call_id);
    hasher.add(request.via.text);
    hasher.add(as_method);
    return hasher.finish();
}

TransactionKey merge_key(const KeySecret& secret, const Message& request) {
    Hasher hasher(secret);
    const Bytes unknown =
        request.cseq.method == Method::kUnknown ? request.cseq.method_name : Bytes();
    hasher.begin(kMerge, request.from.tag, request.call_id, unknown);
    hasher.add(static_cast<std::uint64_t>(request.cseq.method) << 32 | request.cseq.number);
    hasher.add(request.from.tag);
    hasher.add(request.call_id);
    hasher.add(unknown);
    return hasher.finish();
}

TransactionKey dialog_key(const KeySecret& secret, Bytes call_id, Bytes local_tag,
                          Bytes remote_tag) {
    Hasher hasher(secret);
    hasher.begin(kDialog, call_id, local_tag, remote_tag);
    hasher.add(call_id);
    hasher.add_lower(local_tag);  // tokens, of which peers may change the case
    hasher.add_lower(remote_tag);
    return hasher.finish();
}

TransactionKey dialog_key(const KeySecret& secret, const Message& request) {
    return dialog_key(secret, request.call_id, request.to.tag, request.from.tag);
}

Branch make_branch(const BranchParts& parts) {
    std::array<std::uint8_t, kBranchNumberBytes> bytes;
    std::uint8_t* const at = put(put(bytes.data(), parts.core), parts.place);
    std::ranges::copy(parts.random, at);
    Branch branch;
    std::memcpy(branch.text.data(), kBranchCookie.data(), kBranchCookie.size());
    write_hex(branch.text.data() + kBranchCookie.size(), bytes);
    return branch;
}

Tag make_tag(std::uint32_t core, const TokenRandom& random) {
    std::array<std::uint8_t, kTagBytes / 2> bytes;
    std::ranges::copy(random, put(bytes.data(), core));
    Tag tag;
    write_hex(tag.text.data(), bytes);
    return tag;
}

std::optional<BranchParts> read_branch(Bytes branch) {
    std::array<std::uint8_t, kBranchNumberBytes> bytes;
    if (branch.size() != kBranchBytes || !has_branch_cookie(branch) ||
        !read_hex(branch.data() + kBranchCookie.size(), bytes)) {
        return std::nullopt;
    }
    BranchParts parts;
    const std::uint8_t* const at = take(take(bytes.data(), parts.core), parts.place);
    std::copy_n(at, parts.random.size(), parts.random.begin());
    return parts;
}

std::optional<std::uint32_t> core_of_tag(Bytes tag) {
    std::array<std::uint8_t, kTagBytes / 2> bytes;
    if (tag.size() != kTagBytes || !read_hex(tag.data(), bytes)) return std::nullopt;
    std::uint32_t core = 0;
    take(bytes.data(), core);
    return core;
}

std::optional<TokenRandom> random_of_tag(Bytes tag) {
    TokenRandom random;
    constexpr std::size_t kMakerDigits = kTagBytes - 2 * kTokenRandomBytes;
    if (tag.size() != kTagBytes || !read_hex(tag.data() + kMakerDigits, random))
        return std::nullopt;
    return random;
}

}  // namespace fedgate::sip
