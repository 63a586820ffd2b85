#include "core/rules/index.hpp"

#include <cstring>

namespace fedgate::rules {
namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Longer than any name that can be asked for.
constexpr std::size_t kNameBytes = 2'048;

// Bit 5 apart, a letter is the same in both cases. What else then looks alike, the comparison
// tells.
constexpr std::uint64_t kFold = 0x2020'2020'2020'2020;
constexpr std::uint64_t kFactor = 0x9e37'79b9'7f4a'7c15;

// Eight bytes at a time. Names come from configuration only: what a peer asks for never gets in.
std::uint32_t hash_of(Bytes name) {
    std::uint64_t hash = name.size();
    const auto add = [&hash](std::uint64_t word) {
        hash = (hash ^ (word | kFold)) * kFactor;
        hash ^= hash >> 32;
    };
    const char* p = name.data();
    std::size_t left = name.size();
    std::uint64_t word = 0;
    for (; left >= sizeof word; left -= sizeof word, p += sizeof word) {
        std::memcpy(&word, p, sizeof word);
        add(word);
    }
    word = 0;
    for (std::size_t i = 0; i < left; ++i) word = word << 8 | static_cast<std::uint8_t>(p[i]);
    if (left != 0) add(word);
    return static_cast<std::uint32_t>(hash);
}

bool same(Bytes name, Bytes other) {
    if (name.size() != other.size()) return false;
    if (std::memcmp(name.data(), other.data(), name.size()) == 0) return true;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] != lower(other[i])) return false;
    }
    return true;
}

}  // namespace

void NameIndex::rehash(std::size_t slots) {
    slots_.assign(slots, {});
    for (std::uint32_t entry = 0; entry < names_.size(); ++entry) {
        const std::uint32_t hash = hash_of(names_[entry]);
        std::size_t at = hash & (slots - 1);
        while (slots_[at].entry != kNone) at = (at + 1) & (slots - 1);
        slots_[at] = {hash, entry};
    }
}

bool NameIndex::add(Bytes name, std::uint32_t number) {
    const std::uint32_t found = find(name);
    if (found != kNone) return found == number;
    std::string key(name);
    for (char& c : key) c = lower(c);
    names_.push_back(std::move(key));
    numbers_.push_back(number);
    std::size_t slots = slots_.empty() ? 8 : slots_.size();
    while (slots < 2 * names_.size()) slots *= 2;
    if (slots != slots_.size()) {
        rehash(slots);
        return true;
    }
    const std::uint32_t hash = hash_of(name);
    std::size_t at = hash & (slots - 1);
    while (slots_[at].entry != kNone) at = (at + 1) & (slots - 1);
    slots_[at] = {hash, static_cast<std::uint32_t>(names_.size() - 1)};
    return true;
}

std::uint32_t NameIndex::find(Bytes name) const {
    if (slots_.empty()) return kNone;
    const std::uint32_t hash = hash_of(name);
    for (std::size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
        const Slot& slot = slots_[at];
        if (slot.entry == kNone) return kNone;
        if (slot.hash == hash && same(names_[slot.entry], name)) return numbers_[slot.entry];
    }
}

std::uint32_t NameIndex::find(Bytes a, Bytes b, Bytes c) const {
    if (slots_.empty()) return kNone;
    char memory[kNameBytes];
    Sink joined{MutableBytes(memory)};
    for (const Bytes part : {a, b, c}) joined.append(part);
    return joined.overflowed() ? kNone : find(joined.written());
}

}  // namespace fedgate::rules
