#include "sip/transaction_key.hpp"

#include <bit>
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
        if (i < field.size()) std::memcpy(&last, field.data() + i, field.size() - i);
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
enum Kind : std::uint64_t { kServer = 1, kServer2543 = 2, kClient = 3, kMerge = 4 };

char* write_hex(char* out, std::uint8_t byte) {
    constexpr char kDigits[] = "0123456789abcdef";
    *out++ = kDigits[byte >> 4];
    *out++ = kDigits[byte & 15];
    return out;
}

void write_token(char* out, Maker maker, TokenRandom random) {
    for (const std::uint16_t number : {maker.node, maker.core}) {
        out = write_hex(out, static_cast<std::uint8_t>(number >> 8));
        out = write_hex(out, static_cast<std::uint8_t>(number & 0xff));
    }
    for (const std::uint8_t byte : random) out = write_hex(out, byte);
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

TransactionKey client_key(const KeySecret& secret, Bytes branch, Bytes cseq_method) {
    Hasher hasher(secret);
    hasher.add(kClient);
    hasher.add(branch);
    hasher.add(cseq_method);
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

Branch make_branch(Maker maker, TokenRandom random) {
    Branch branch;
    std::memcpy(branch.text.data(), kBranchCookie.data(), kBranchCookie.size());
    write_token(branch.text.data() + kBranchCookie.size(), maker, random);
    return branch;
}

Tag make_tag(Maker maker, TokenRandom random) {
    Tag tag;
    write_token(tag.text.data(), maker, random);
    return tag;
}

std::optional<Maker> maker_of_branch(Bytes branch) {
    if (!has_branch_cookie(branch)) return std::nullopt;
    return maker_of_tag(branch.substr(kBranchCookie.size()));
}

std::optional<Maker> maker_of_tag(Bytes tag) {
    if (tag.size() != kTagBytes || !chars::all<chars::kHex>(tag)) return std::nullopt;
    unsigned numbers[2] = {0, 0};
    for (std::size_t i = 0; i < 8; ++i) {
        numbers[i / 4] = numbers[i / 4] * 16 + static_cast<unsigned>(chars::hex_value(tag[i]));
    }
    return Maker{static_cast<std::uint16_t>(numbers[0]), static_cast<std::uint16_t>(numbers[1])};
}

}  // namespace fedgate::sip
