// What a stream header declares for every stanza that follows: the default namespace and prefixes.
// Owner: the stream's Framer. The strings are copied, so views that it gives out live until the
// next header. Limits: limits::kXmlPrefixes prefixes, kScopeBytes in all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

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
        for (const Entry& entry : prefixes_) {
            if (view(entry.prefix) == prefix) return view(entry.uri);
        }
        return prefix == "xml" ? kXmlNamespace : Bytes();
    }
    [[nodiscard]] std::size_t count() const { return prefixes_.size(); }
    [[nodiscard]] Bytes prefix(std::size_t index) const { return view(prefixes_[index].prefix); }
    [[nodiscard]] Bytes uri(std::size_t index) const { return view(prefixes_[index].uri); }

    void clear() { *this = StreamScope(); }
    // False at a limit.
    [[nodiscard]] bool set_default(Bytes uri) { return has_default_ = keep(uri, default_); }
    [[nodiscard]] bool add(Bytes prefix, Bytes uri) {
        if (prefixes_.size() == limits::kXmlPrefixes) return false;
        Entry entry;
        if (!keep(prefix, entry.prefix) || !keep(uri, entry.uri)) return false;
        prefixes_.push_back(entry);
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
        if (bytes.size() > kScopeBytes - memory_.size()) return false;
        piece = {static_cast<std::uint16_t>(memory_.size()),
                 static_cast<std::uint16_t>(bytes.size())};
        memory_.append(bytes);
        return true;
    }

    std::string memory_;
    std::vector<Entry> prefixes_;
    Piece default_;
    bool has_default_ = false;
};

}  // namespace fedgate::xml
