// Changes of rows on their way from a shard to what keeps them.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "appliance/store/store.hpp"

namespace fedgate::store {

// A row as it is to be, or (`erased`) not to be any more. Owns its text.
struct Change {
    Change() = default;
    Change(const Row& row, bool is_erased)
        : xmpp_bytes(row.xmpp.size()),
          sip_bytes(row.sip.size()),
          changed(row.changed),
          kind(row.kind),
          auth(row.auth),
          erased(is_erased) {
        text.reserve(row.xmpp.size() + row.sip.size() + row.detail.size());
        text.append(row.xmpp).append(row.sip).append(row.detail);
    }

    // Views of `text`.
    [[nodiscard]] Row row() const {
        const Bytes all = text;
        return {.kind = kind,
                .xmpp = all.substr(0, xmpp_bytes),
                .sip = all.substr(xmpp_bytes, sip_bytes),
                .auth = auth,
                .changed = changed,
                .detail = all.substr(xmpp_bytes + sip_bytes)};
    }

    std::string text;  // xmpp, sip, detail
    std::size_t xmpp_bytes = 0;
    std::size_t sip_bytes = 0;
    WallTime changed{};
    Kind kind = Kind::kWatch;
    std::uint8_t auth = 0;
    bool erased = false;
};

// What a row is known by, as one text: no address has a NUL in it.
inline std::string key_of(Kind kind, Bytes xmpp, Bytes sip) {
    std::string key;
    key.reserve(xmpp.size() + sip.size() + 2);
    key += static_cast<char>(kind);
    key.append(xmpp) += '\0';
    key.append(sip);
    return key;
}

// One of each key; and the number of the last change that it holds.
struct Batch {
    std::unordered_map<std::string, Change> changes;
    Sequence last = 0;
};

}  // namespace fedgate::store
