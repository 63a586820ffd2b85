// What the Framer has seen of the element that it has just cut, so that views over it need not look
// again: its start tag, and its children with theirs. Offsets in the framed bytes. Valid until the
// Framer goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/bytes.hpp"

namespace fedgate::xml {

struct Outline {
    // More children are not written down: whoever wants them looks for himself.
    static constexpr std::size_t kChildren = 16;

    struct Span {
        std::uint32_t offset = 0;
        std::uint32_t size = 0;

        [[nodiscard]] Bytes of(const char* start) const { return {start + offset, size}; }
    };
    struct Name {
        Span whole;
        std::uint32_t prefix_size = 0;  // 0: no prefix
    };
    struct Attribute : Name {
        Span value;
    };
    struct Child {
        Name name;
        Span default_namespace;  // its own xmlns
        Span content;
        std::uint32_t end = 0;  // behind the element; it begins before its name
        bool has_default = false;
        bool empty = false;  // an empty-element tag
        bool flat = false;   // no elements in it
        bool plain = false;  // its text is written as it is meant: no reference, no CDATA, no CR
    };

    Name name;
    Span default_namespace;
    bool has_default = false;
    bool plain = false;     // each attribute's value is written as it is meant
    bool complete = false;  // these are all children
    std::uint32_t attribute_count = 0;
    std::uint32_t child_count = 0;
    // As many as were ever needed at once: most streams need few, and many streams are idle. Behind
    // the element's attributes those of the tag at hand.
    std::vector<Attribute> attributes;
    std::vector<Child> children;
};

}  // namespace fedgate::xml
