// Whole XML documents that arrive in one piece (presence documents of SIP), and a walk through one.
// Framer is the judge of them: well-formed and namespace-well-formed, UTF-8, limits::kXmlDepth and
// its like, no DTD, no processing instruction.
// Pure. Owner: one reader, which keeps it: its memory serves the next document too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"

namespace fedgate::xml {

enum class DocumentStatus : std::uint8_t { kRead, kNotWellFormed, kTooLarge };

// Goes through an element once, in the order of its text:
//
//     while (walk.enter()) {  // the next child
//         if (walk.is("note", uri)) walk.text(sink);
//         walk.leave();
//     }
//
// Name and attributes are those of the element at hand. Made for well-formed input; on other input
// the answers are arbitrary but stay inside the bytes, in which the views are, too.
class Walker {
public:
    // Stands before the element that these bytes are: it is entered first.
    explicit Walker(Bytes element) : element_(element) { restart(); }
    void restart();

    // Into the next child of the element at hand. False: it has no more.
    [[nodiscard]] bool enter();
    // Behind the element at hand, whatever is left in it.
    void leave();

    [[nodiscard]] Bytes name() const { return levels_[depth_].name; }  // local part
    [[nodiscard]] Bytes namespace_uri() const;  // compared as it is written, as Element's
    [[nodiscard]] bool is(Bytes local, Bytes uri) const {
        return name() == local && namespace_uri() == uri;
    }
    // The value of the attribute with this name as written. Without a Sink: raw, or a null view.
    [[nodiscard]] Bytes attribute(Bytes name) const;
    bool attribute(Bytes name, Sink&) const;
    // xml:lang, of this element or around it; raw; empty: none.
    [[nodiscard]] Bytes language() const { return levels_[depth_].language; }
    // What is left of the element's own character data, decoded; that of its children is skipped.
    // False: no room.
    bool text(Sink&);

private:
    struct Level {
        Bytes name;
        Bytes prefix;
        const char* attributes;
        Bytes default_uri;
        Bytes language;
        std::size_t prefixes;  // declared here or around it
        bool ended;
    };
    struct Declaration {
        Bytes prefix;
        Bytes uri;
    };
    void open(const char* tag);

    Bytes element_;
    const char* at_ = nullptr;
    const char* end_ = nullptr;
    std::size_t depth_;  // 0: around the element
    std::array<Level, limits::kXmlDepth + 1> levels_;
    std::array<Declaration, limits::kXmlPrefixes> declarations_;
};

class Document {
public:
    // The text has to stay while it is walked through.
    [[nodiscard]] DocumentStatus read(Bytes text, std::size_t bytes_max);
    [[nodiscard]] Walker walk() const { return Walker(root_); }  // after kRead

private:
    [[nodiscard]] DocumentStatus frame(Bytes prolog, Bytes rest, std::size_t bytes_max);

    Framer framer_;
    std::string masked_;
    Bytes root_;
};

}  // namespace fedgate::xml
