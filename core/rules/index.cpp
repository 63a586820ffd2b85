#include "core/rules/index.hpp"

namespace fedgate::rules {
namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// FNV-1a: names are short, and come from configuration only; what a peer asks for never gets in.
constexpr std::uint32_t kHashStart = 2166136261U;
std::uint32_t hash_on(std::uint32_t hash, Bytes bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<std::uint8_t>(lower(c))) * 16777619U;
    return hash;
}

// Compares `part` with the front of `name` and takes it off.
bool take(Bytes& name, Bytes part) {
    if (name.size() < part.size()) return false;
    for (std::size_t i = 0; i < part.size(); ++i) {
        if (name[i] != lower(part[i])) return false;
    }
    name.remove_prefix(part.size());
    return true;
}

}  // namespace

void NameIndex::rehash(std::size_t slots) {
    slots_.assign(slots, {});
    for (std::uint32_t entry = 0; entry < names_.size(); ++entry) {
        const std::uint32_t hash = hash_on(kHashStart, names_[entry]);
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
    const std::uint32_t hash = hash_on(kHashStart, name);
    std::size_t at = hash & (slots - 1);
    while (slots_[at].entry != kNone) at = (at + 1) & (slots - 1);
    slots_[at] = {hash, static_cast<std::uint32_t>(names_.size() - 1)};
    return true;
}

std::uint32_t NameIndex::find(Bytes a, Bytes b, Bytes c) const {
    if (slots_.empty()) return kNone;
    const std::uint32_t hash = hash_on(hash_on(hash_on(kHashStart, a), b), c);
    for (std::size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
        const Slot& slot = slots_[at];
        if (slot.entry == kNone) return kNone;
        if (slot.hash != hash) continue;
        Bytes name = names_[slot.entry];
        if (take(name, a) && take(name, b) && take(name, c) && name.empty()) {
            return numbers_[slot.entry];
        }
    }
}

}  // namespace fedgate::rules
