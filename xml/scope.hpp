// What a stream header declares for every stanza that follows: the default namespace and prefixes.
// Owner: the stream's Framer. The strings are copied into fixed memory, so views that it gives out
// live until the next header. Limits: limits::kXmlPrefixes prefixes, kScopeBytes in all.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"

namespace fedgate::xml {

inline constexpr Bytes kServerNamespace = "jabber:server";
inline constexpr Bytes kStreamNamespace = "http://etherx.jabber.org/streams";
inline constexpr Bytes kDialbackNamespace = "jabber:server:dialback";
inline constexpr Bytes kXmlNamespace = "http://www.w3.org/XML/1998/namespace";
inline constexpr Bytes kStanzasNamespace = "urn:ietf:params:xml:ns:xmpp-stanzas";
inline constexpr Bytes kStreamsNamespace = "urn:ietf:params:xml:ns:xmpp-streams";

inline constexpr std::size_t kScopeBytes = 2'048;

class StreamScope {
public:
    // The default namespace of a stream without a header yet is jabber:server.
    [[nodiscard]] Bytes default_namespace() const {
        return has_default_ ? Bytes(memory_.data() + default_.offset, default_.size)
                            : kServerNamespace;
    }
    // The namespace of `prefix`, or a null view. `xml` is always declared.
    [[nodiscard]] Bytes find(Bytes prefix) const {
        for (std::size_t i = 0; i < count_; ++i) {
            if (view(prefixes_[i].prefix) == prefix) return view(prefixes_[i].uri);
        }
        return prefix == "xml" ? kXmlNamespace : Bytes();
    }
    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] Bytes prefix(std::size_t index) const { return view(prefixes_[index].prefix); }
    [[nodiscard]] Bytes uri(std::size_t index) const { return view(prefixes_[index].uri); }

    void clear() { *this = StreamScope(); }
    // False at a limit.
    [[nodiscard]] bool set_default(Bytes uri) { return has_default_ = keep(uri, default_); }
    [[nodiscard]] bool add(Bytes prefix, Bytes uri) {
        if (count_ == prefixes_.size()) return false;
        Entry& entry = prefixes_[count_];
        if (!keep(prefix, entry.prefix) || !keep(uri, entry.uri)) return false;
        ++count_;
        return true;
    }

private:
    struct Piece {
        std::uint16_t offset = 0;
        std::uint16_t size = 0;
    };
    struct Entry {
        Piece prefix;
        Piece uri;
    };

    [[nodiscard]] Bytes view(Piece piece) const {
        return {memory_.data() + piece.offset, piece.size};
    }
    bool keep(Bytes bytes, Piece& piece) {
        if (bytes.size() > memory_.size() - used_) return false;
        piece = {used_, static_cast<std::uint16_t>(bytes.size())};
        if (!bytes.empty()) std::memcpy(memory_.data() + used_, bytes.data(), bytes.size());
        used_ = static_cast<std::uint16_t>(used_ + bytes.size());
        return true;
    }

    std::array<char, kScopeBytes> memory_{};
    std::array<Entry, limits::kXmlPrefixes> prefixes_{};
    Piece default_;
    std::uint16_t used_ = 0;
    std::uint8_t count_ = 0;
    bool has_default_ = false;
};

}  // namespace fedgate::xml
