// Answers for as long as DNS-8 lets them hold. Bounded; when it is full an answer is simply not
// kept.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>

#include "core/base/time.hpp"
#include "net/resolver.hpp"

namespace fedgate::net {

class DnsCache {
public:
    static constexpr std::size_t kEntriesMax = 4'096;

    // Null: not known, or no longer. The ttl in the answer is what is left of it. Valid until
    // put().
    const DnsAnswer* find(const std::string& name, DnsType type, Instant now) {
        const auto found = entries_.find(key(name, type));
        if (found == entries_.end() || found->second.until <= now) return nullptr;
        found->second.answer.ttl = found->second.until - now;
        return &found->second.answer;
    }
    void put(const std::string& name, DnsType type, const DnsAnswer& answer, Instant now) {
        if (entries_.size() >= kEntriesMax) {
            std::erase_if(entries_, [now](const auto& entry) { return entry.second.until <= now; });
            if (entries_.size() >= kEntriesMax) return;
        }
        entries_[key(name, type)] = {answer, now + answer.ttl};
    }

private:
    struct Entry {
        DnsAnswer answer;
        Instant until;
    };

    static std::string key(const std::string& name, DnsType type) {
        std::string text = name;
        for (char& c : text) {
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        }
        text += '/';
        text += std::to_string(static_cast<unsigned>(type));
        return text;
    }

    std::unordered_map<std::string, Entry> entries_;
};

}  // namespace fedgate::net
