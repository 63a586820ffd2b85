#include "sip/transaction_key.hpp"

#include <bit>
#include <concepts>
#include <cstring>

#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

// SipHash-1-3 with 128 bits of output (Aumasson, Bernstein), fed field by field. Each field is
// ended by its length, so that no two lists of fields look alike.
class Hasher {
public:
    explicit Hasher(const KeySecret& secret)
        : v0_(secret.a ^ 0x736f6d6570736575u),
          v1_(secret.b ^ 0x646f72616e646f6du ^ 0xeeu),
          v2_(secret.a ^ 0x6c7967656e657261u),
          v3_(secret.b ^ 0x7465646279746573u) {}

    void add(Bytes field) {
        std::size_t i = 0;
        for (; i + 8 <= field.size(); i += 8) {
            std::uint64_t word;
            std::memcpy(&word, field.data() + i, 8);
            absorb(word);
        }
        std::uint64_t last = 0;
        const std::size_t left = field.size() - i;
        if (left > 0 && i > 0) {  // one load of fixed size, of which the end counts
            std::memcpy(&last, field.data() + field.size() - 8, 8);
            last >>= 8 * (8 - left);
        } else {
            for (std::size_t k = 0; k < left; ++k) {
                last |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(field[k])) << 8 * k;
            }
        }
        absorb(last | static_cast<std::uint64_t>(field.size()) << 56);
        absorb(field.size());
    }
    void add_lower(Bytes field) {
        std::uint64_t word = 0;
        for (std::size_t i = 0; i < field.size(); ++i) {
            word = word << 8 | static_cast<std::uint8_t>(chars::lower(field[i]));
            if (i % 8 == 7) absorb(word);
        }
        absorb(word);
        absorb(field.size());
    }
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

// What kind of key it is, so that those of different kinds never meet in one index.
enum Kind : std::uint64_t { kServer = 1, kServer2543 = 2, kMerge = 3, kDialog = 4 };

void write_hex(char*& out, std::span<const std::uint8_t> bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    for (const std::uint8_t byte : bytes) {
        *out++ = kDigits[byte >> 4];
        *out++ = kDigits[byte & 15];
    }
}

template <std::unsigned_integral Number>
void write_hex(char*& out, Number number) {
    std::array<std::uint8_t, sizeof number> bytes{};
    for (std::size_t i = sizeof number; i-- > 0; number = static_cast<Number>(number >> 4 >> 4)) {
        bytes[i] = static_cast<std::uint8_t>(number & 0xff);
    }
    write_hex(out, bytes);
}

// Takes two digits for each byte off the front of `text`. False: not hexadecimal.
bool take_hex(Bytes& text, std::span<std::uint8_t> bytes) {
    static constexpr std::array<std::int8_t, 256> kValues = [] {
        std::array<std::int8_t, 256> values{};
        for (int c = 0; c < 256; ++c) {
            values[static_cast<std::size_t>(c)] =
                static_cast<std::int8_t>(chars::hex_value(static_cast<char>(c)));
        }
        return values;
    }();
    if (text.size() < 2 * bytes.size()) return false;
    int all = 0;  // negative when one was: not a digit
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const int high = kValues[static_cast<std::uint8_t>(text[2 * i])];
        const int low = kValues[static_cast<std::uint8_t>(text[2 * i + 1])];
        all |= high | low;
        bytes[i] = static_cast<std::uint8_t>(high << 4 | (low & 15));
    }
    text.remove_prefix(2 * bytes.size());
    return all >= 0;
}

template <std::unsigned_integral Number>
bool take_hex(Bytes& text, Number& number) {
    std::array<std::uint8_t, sizeof number> bytes{};
    if (!take_hex(text, std::span<std::uint8_t>(bytes))) return false;
    number = 0;
    for (const std::uint8_t byte : bytes) number = static_cast<Number>(number << 4 << 4 | byte);
    return true;
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
    if (has_branch_cookie(request.via.branch)) {
        hasher.add(kServer);
        hasher.add(request.via.branch);
        hasher.add_lower(request.via.sent_by.host);
        hasher.add(request.via.sent_by.port);
        hasher.add(as_method);
        return hasher.finish();
    }
    // SIP-48. The To tag is left out: an ACK has the one of the response, the INVITE none.
    hasher.add(kServer2543);
    hasher.add(request.request_uri_text);
    hasher.add(request.from.tag);
    hasher.add(request.call_id);
    hasher.add(request.cseq.number);
    hasher.add(request.via.text);
    hasher.add(as_method);
    return hasher.finish();
}

TransactionKey merge_key(const KeySecret& secret, const Message& request) {
    Hasher hasher(secret);
    hasher.add(kMerge);
    hasher.add(request.from.tag);
    hasher.add(request.call_id);
    hasher.add(request.cseq.number);
    hasher.add(request.cseq.method_name);
    return hasher.finish();
}

TransactionKey dialog_key(const KeySecret& secret, Bytes call_id, Bytes local_tag,
                          Bytes remote_tag) {
    Hasher hasher(secret);
    hasher.add(kDialog);
    hasher.add(call_id);
    hasher.add_lower(local_tag);  // tokens, of which peers may change the case
    hasher.add_lower(remote_tag);
    return hasher.finish();
}

TransactionKey dialog_key(const KeySecret& secret, const Message& request) {
    return dialog_key(secret, request.call_id, request.to.tag, request.from.tag);
}

Branch make_branch(const BranchParts& parts) {
    Branch branch;
    std::memcpy(branch.text.data(), kBranchCookie.data(), kBranchCookie.size());
    char* out = branch.text.data() + kBranchCookie.size();
    write_hex(out, parts.maker.node);
    write_hex(out, parts.maker.core);
    write_hex(out, parts.place);
    write_hex(out, parts.random);
    return branch;
}

Tag make_tag(Maker maker, const TokenRandom& random) {
    Tag tag;
    char* out = tag.text.data();
    write_hex(out, maker.node);
    write_hex(out, maker.core);
    write_hex(out, random);
    return tag;
}

std::optional<BranchParts> read_branch(Bytes branch) {
    if (branch.size() != kBranchBytes || !has_branch_cookie(branch)) return std::nullopt;
    branch.remove_prefix(kBranchCookie.size());
    BranchParts parts;
    const bool good = take_hex(branch, parts.maker.node) && take_hex(branch, parts.maker.core) &&
                      take_hex(branch, parts.place) &&
                      take_hex(branch, std::span<std::uint8_t>(parts.random));
    return good ? std::optional(parts) : std::nullopt;
}

std::optional<Maker> maker_of_tag(Bytes tag) {
    if (tag.size() != kTagBytes || !chars::all<chars::kHex>(tag)) return std::nullopt;
    Maker maker;
    const bool good = take_hex(tag, maker.node) && take_hex(tag, maker.core);
    return good ? std::optional(maker) : std::nullopt;
}

std::optional<TokenRandom> random_of_tag(Bytes tag) {
    if (tag.size() != kTagBytes) return std::nullopt;
    tag.remove_prefix(8);  // the maker
    TokenRandom random;
    const bool good = take_hex(tag, std::span<std::uint8_t>(random));
    return good ? std::optional(random) : std::nullopt;
}

}  // namespace fedgate::sip
