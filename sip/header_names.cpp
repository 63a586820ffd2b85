#include "sip/header_names.hpp"

#include <array>
#include <cstring>

#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

struct Row {
    Bytes text;
    char compact;  // 0: none
};

// In the order of HeaderName. Compact forms: RFC 3261 7.3.3, 3515 r, 3892 b, 3841 a j d, 4028 x,
// 4474 y, 6665 o u.
constexpr std::array<Row, kHeaderNameCount> kNames = {{
    {"", 0},
    {"Accept", 0},
    {"Accept-Contact", 'a'},
    {"Accept-Encoding", 0},
    {"Accept-Language", 0},
    {"Allow", 0},
    {"Allow-Events", 'u'},
    {"Authentication-Info", 0},
    {"Authorization", 0},
    {"Call-ID", 'i'},
    {"Contact", 'm'},
    {"Content-Disposition", 0},
    {"Content-Encoding", 'e'},
    {"Content-Language", 0},
    {"Content-Length", 'l'},
    {"Content-Transfer-Encoding", 0},
    {"Content-Type", 'c'},
    {"CSeq", 0},
    {"Date", 0},
    {"Error-Info", 0},
    {"Event", 'o'},
    {"Expires", 0},
    {"From", 'f'},
    {"Identity", 'y'},
    {"In-Reply-To", 0},
    {"Max-Forwards", 0},
    {"MIME-Version", 0},
    {"Min-Expires", 0},
    {"Organization", 0},
    {"P-Asserted-Identity", 0},
    {"P-Preferred-Identity", 0},
    {"Path", 0},
    {"Priority", 0},
    {"Privacy", 0},
    {"Proxy-Authenticate", 0},
    {"Proxy-Authentication-Info", 0},
    {"Proxy-Authorization", 0},
    {"Proxy-Require", 0},
    {"Reason", 0},
    {"Record-Route", 0},
    {"Refer-To", 'r'},
    {"Referred-By", 'b'},
    {"Reject-Contact", 'j'},
    {"Replaces", 0},
    {"Request-Disposition", 'd'},
    {"Require", 0},
    {"Retry-After", 0},
    {"Route", 0},
    {"Server", 0},
    {"Session-Expires", 'x'},
    {"SIP-ETag", 0},
    {"SIP-If-Match", 0},
    {"Subject", 's'},
    {"Subscription-State", 0},
    {"Supported", 'k'},
    {"Timestamp", 0},
    {"To", 't'},
    {"Unsupported", 0},
    {"User-Agent", 0},
    {"Via", 'v'},
    {"Warning", 0},
    {"WWW-Authenticate", 0},
}};

constexpr HeaderIndex make_index() {
    HeaderIndex index;
    for (std::size_t i = 1; i < kNames.size(); ++i) {
        const Bytes text = kNames[i].text;
        auto& slot = index.slots[HeaderIndex::slot_of(text.data(), text.size())];
        if (slot != 0) index.unique = false;
        slot = static_cast<std::uint8_t>(i);
        if (text.size() < HeaderIndex::kShort) {  // its colon stands within them, too
            index.sizes[i] = static_cast<std::uint8_t>(text.size());
            for (std::size_t k = 0; k < text.size(); ++k) {
                index.lower[i][k] = static_cast<char>(text[k] | 0x20);
            }
        }
        if (kNames[i].compact != 0) {
            index.compact[static_cast<std::size_t>(kNames[i].compact)] =
                static_cast<std::uint8_t>(i);
            index.compact[static_cast<std::size_t>(kNames[i].compact - 0x20)] =
                static_cast<std::uint8_t>(i);
        }
    }
    return index;
}

template <typename Word>
bool same_word(const char* a, const char* b) {
    Word left;
    Word right;
    std::memcpy(&left, a, sizeof left);
    std::memcpy(&right, b, sizeof right);
    return ((left ^ right) & static_cast<Word>(0xdfdf'dfdf'dfdf'dfdfu)) == 0;
}

// Ours have letters and '-' only, and the other one is a token: what differs in bit 5 differs in
// case.
bool same_name(const char* name, const char* text, std::size_t size) {
    if (size >= 8) {
        for (std::size_t i = 0; i + 8 < size; i += 8) {
            if (!same_word<std::uint64_t>(name + i, text + i)) return false;
        }
        return same_word<std::uint64_t>(name + size - 8, text + size - 8);
    }
    if (size >= 4) {
        return same_word<std::uint32_t>(name, text) &&
               same_word<std::uint32_t>(name + size - 4, text + size - 4);
    }
    return same_word<std::uint16_t>(name, text) &&
           same_word<std::uint16_t>(name + size - 2, text + size - 2);
}

}  // namespace

constexpr HeaderIndex kHeaderIndex = make_index();
static_assert(kHeaderIndex.unique, "two header names share a slot: change the factors");

HeaderName find_header_name(Bytes name) {
    if (name.size() < 2) {
        if (name.empty() || static_cast<std::uint8_t>(name[0]) >= 128) return HeaderName::kOther;
        return static_cast<HeaderName>(kHeaderIndex.compact[static_cast<std::size_t>(name[0])]);
    }
    const std::size_t id = kHeaderIndex.slots[HeaderIndex::slot_of(name.data(), name.size())];
    const Bytes text = kNames[id].text;
    if (id == 0 || text.size() != name.size()) return HeaderName::kOther;
    return same_name(name.data(), text.data(), name.size()) ? static_cast<HeaderName>(id)
                                                            : HeaderName::kOther;
}

Bytes header_text(HeaderName id) { return kNames[static_cast<std::size_t>(id)].text; }

}  // namespace fedgate::sip
