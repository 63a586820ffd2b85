// Whole XML documents that arrive in one piece (presence documents of SIP), as a tree of RapidXML.
// Framer judges a document before RapidXML sees it: well-formed and namespace-well-formed, UTF-8,
// limits::kXmlDepth and its like, no DTD, no processing instruction (style guide, section 8).
// Pure. Owner: one reader, which keeps it: what it allocates once, 16 KiB and the text, serves the
// next document too; more is allocated for many nodes only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/base/bytes.hpp"

namespace rapidxml {
template <class Ch>
class xml_node;
}

namespace fedgate::xml {

enum class DocumentStatus : std::uint8_t { kRead, kNotWellFormed, kTooLarge };

// A view of one element; valid while its Document is there and reads no other text.
class Node {
public:
    Node() = default;
    explicit Node(const rapidxml::xml_node<char>* node) : node_(node) {}
    explicit operator bool() const { return node_ != nullptr; }

    [[nodiscard]] Bytes name() const;           // local part
    [[nodiscard]] Bytes namespace_uri() const;  // compared as it is written, as Element's
    [[nodiscard]] bool is(Bytes local, Bytes uri) const {
        return name() == local && namespace_uri() == uri;
    }
    // The value of the attribute with this name as written. Without a Sink: raw, or a null view.
    [[nodiscard]] Bytes attribute(Bytes name) const;
    bool attribute(Bytes name, Sink&) const;
    // xml:lang, of this element or around it; raw; empty: none.
    [[nodiscard]] Bytes language() const;
    [[nodiscard]] Node first_child() const;  // elements only
    [[nodiscard]] Node next_sibling() const;
    [[nodiscard]] Node child(Bytes local, Bytes uri) const;  // the first one of that name
    // The element's own character data, decoded; that of its children is skipped. False: no room.
    bool text(Sink&) const;

    class Iterator;
    [[nodiscard]] Iterator begin() const;  // over the child elements
    [[nodiscard]] Iterator end() const;

private:
    const rapidxml::xml_node<char>* node_ = nullptr;
};

class Node::Iterator {
public:
    explicit Iterator(Node node) : node_(node) {}
    const Node& operator*() const { return node_; }
    Iterator& operator++() {
        node_ = node_.next_sibling();
        return *this;
    }
    bool operator!=(const Iterator& other) const { return node_.node_ != other.node_.node_; }

private:
    Node node_;
};
inline Node::Iterator Node::begin() const { return Iterator(first_child()); }
inline Node::Iterator Node::end() const { return Iterator(Node()); }

class Document {
public:
    Document();
    ~Document();
    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;

    // The text is copied.
    [[nodiscard]] DocumentStatus read(Bytes text, std::size_t bytes_max);
    [[nodiscard]] Node root() const;  // after kRead

private:
    struct Tree;
    std::unique_ptr<Tree> tree_;
};

}  // namespace fedgate::xml
