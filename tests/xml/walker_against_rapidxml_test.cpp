// A second opinion: what Walker says of a document, and what RapidXML's tree of it says.
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidxml/rapidxml.hpp>

#include "xml/document.hpp"

namespace fedgate::xml {
namespace {

using Node = rapidxml::xml_node<char>;

constexpr std::size_t kBytesMax = 65'536;
constexpr unsigned kDepthMax = 6;

// Documents of few names, so that prefixes are declared anew, hidden and taken back. No line
// ends, and no text of white space alone: RapidXML does not know what XML 1.0, 2.11 and 3.3.3, say
// of them, and leaves out the other.
class Writer {
public:
    explicit Writer(unsigned seed) : random_(seed) {}

    std::string document() {
        if (chance(3)) text_ += "<?xml version='1.0' encoding='UTF-8'?>";
        if (chance(3)) text_ += "<!-- before -->";
        element({}, 0);
        if (chance(3)) text_ += "<!-- behind -->";
        return text_;
    }

private:
    std::size_t below(std::size_t n) { return random_() % n; }
    bool chance(std::size_t n) { return below(n) == 0; }
    std::string any(std::initializer_list<const char*> of) { return of.begin()[below(of.size())]; }

    void attribute(const std::string& name, const std::string& value) {
        const std::string quote = any({"'", "\""});
        text_ += any({" ", "  "}) + name + any({"=", " ="}) + quote + value + quote;
    }

    void element(std::vector<std::string> prefixes, unsigned depth) {
        std::string declared;
        if (chance(3)) {
            declared = any({"p", "q", "pp"});
            prefixes.push_back(declared);
        }
        std::string name = any({"a", "b", "note"});
        if (!prefixes.empty() && chance(2)) name = prefixes[below(prefixes.size())] + ":" + name;
        text_ += "<" + name;
        if (!declared.empty()) attribute("xmlns:" + declared, any({"u", "v", "w"}));
        if (chance(4)) attribute("xmlns", any({"", "u", "x"}));
        if (chance(3)) attribute("id", any({"1", "", "a&amp;b", "&lt;&#x26;&gt;", "x > y"}));
        if (chance(4)) attribute("xml:lang", any({"en", "fr"}));
        if (chance(6)) {
            text_ += any({"/>", " />"});
            return;
        }
        text_ += ">";
        for (std::size_t n = below(5); n-- > 0;) content(prefixes, depth);
        text_ += "</" + name + any({">", " >"});
    }

    void content(const std::vector<std::string>& prefixes, unsigned depth) {
        switch (below(6)) {
            case 0: text_ += "<![CDATA[" + any({"", "<a>", "]]", "&amp;", "x>"}) + "]]>"; break;
            case 1: text_ += "<!--" + any({"", " <a> ", " - ", "'"}) + "-->"; break;
            case 2: text_ += any({"t", " t ", "&amp;", "&#65;&quot;", "> \xC3\xA9"}); break;
            default:
                if (depth < kDepthMax) element(prefixes, depth + 1);
        }
    }

    std::mt19937 random_;
    std::string text_;
};

std::string line(Bytes name, Bytes uri, Bytes id, Bytes language, Bytes text) {
    std::string all = "{" + std::string(uri) + "}";
    return all.append(name).append("#").append(id).append("@").append(language).append("(").append(
               text) +
           ")";
}

std::string by_walker(Walker& walk) {
    char id_memory[256];
    char text_memory[1'024];
    Sink id{MutableBytes(id_memory)};
    Sink text{MutableBytes(text_memory)};
    static_cast<void>(walk.attribute("id", id));
    Walker reader = walk;
    EXPECT_TRUE(reader.text(text));
    std::string all =
        line(walk.name(), walk.namespace_uri(), id.written(), walk.language(), text.written());
    for (; walk.enter(); walk.leave()) {
        if (walk.name() != "_") all += "[" + by_walker(walk) + "]";  // that was a comment
    }
    return all;
}

// The value of the nearest attribute of that name, from this element outwards.
Bytes nearest(const Node* node, Bytes name) {
    for (; node != nullptr; node = node->parent()) {
        const auto* found = node->first_attribute(name.data(), name.size());
        if (found != nullptr) return {found->value(), found->value_size()};
    }
    return {};
}

std::string by_tree(const Node* node) {
    Bytes name(node->name(), node->name_size());
    std::string xmlns = "xmlns";
    if (const std::size_t colon = name.find(':'); colon != Bytes::npos) {
        xmlns.append(":").append(name.substr(0, colon));
        name.remove_prefix(colon + 1);
    }
    std::string text;
    std::string children;
    for (const Node* child = node->first_node(); child; child = child->next_sibling()) {
        if (child->type() == rapidxml::node_element) {
            children += "[" + by_tree(child) + "]";
        } else {
            text.append(child->value(), child->value_size());
        }
    }
    const auto* id = node->first_attribute("id");
    return line(name, nearest(node, xmlns), id ? Bytes(id->value(), id->value_size()) : Bytes(),
                nearest(node, "xml:lang"), text) +
           children;
}

TEST(Walker, SaysWhatRapidXmlSays) {
    for (unsigned seed = 0; seed < 4'000; ++seed) {
        const std::string text = Writer(seed).document();
        Document document;
        ASSERT_EQ(document.read(text, kBytesMax), DocumentStatus::kRead) << text;
        Walker walk = document.walk();
        ASSERT_TRUE(walk.enter());
        std::string copy = text;
        rapidxml::xml_document<char> tree;
        tree.parse<0>(copy.data());
        ASSERT_EQ(by_walker(walk), by_tree(tree.first_node())) << text;
    }
}

}  // namespace
}  // namespace fedgate::xml
