#include "xml/writer.hpp"

#include "xml/scan.hpp"

namespace fedgate::xml {
namespace {

Bytes escape_of(char c) {
    switch (c) {
        case '&': return "&amp;";
        case '<': return "&lt;";
        case '>': return "&gt;";
        case '\'': return "&apos;";
        case '"': return "&quot;";
        case '\t': return "&#9;";
        case '\n': return "&#10;";
        default: return "&#13;";
    }
}

template <char... kEscaped>
void write_escaped(Sink& sink, Bytes text) {
    const char* p = text.data();
    const char* const end = p + text.size();
    while (true) {
        const char* const hit = find_any<kEscaped...>(p, end);
        sink.append(Bytes(p, static_cast<std::size_t>(hit - p)));
        if (hit == end) return;
        sink.append(escape_of(*hit));
        p = hit + 1;
    }
}

template <char... kEscaped>
bool is_plain(Bytes text) {
    const char* const end = text.data() + text.size();
    return find_any<kEscaped...>(text.data(), end) == end;
}
bool is_plain_text(Bytes text) { return is_plain<'&', '<', '>', '\r'>(text); }
bool is_plain_value(Bytes value) {
    return is_plain<'&', '<', '>', '\'', '"', '\t', '\n', '\r'>(value);
}

void write_tag(Sink& sink, Bytes name, std::initializer_list<Attribute> attributes) {
    sink.append("<", name);
    for (const Attribute& attribute : attributes)
        write_attribute(sink, attribute.name, attribute.value);
}

}  // namespace

// A CR that is not escaped would come back as LF (XML 1.0 2.11).
void write_text(Sink& sink, Bytes text) { write_escaped<'&', '<', '>', '\r'>(sink, text); }

void write_attribute_value(Sink& sink, Bytes value) {
    write_escaped<'&', '<', '>', '\'', '"', '\t', '\n', '\r'>(sink, value);
}

void write_attribute(Sink& sink, Bytes name, Bytes value) {
    if (value.data() == nullptr) return;
    if (is_plain_value(value)) return sink.append(" ", name, "='", value, "'");
    sink.append(" ", name, "='");
    write_attribute_value(sink, value);
    sink.append('\'');
}

void write_start(Sink& sink, Bytes name, std::initializer_list<Attribute> attributes) {
    write_tag(sink, name, attributes);
    sink.append('>');
}

void write_empty(Sink& sink, Bytes name, std::initializer_list<Attribute> attributes) {
    write_tag(sink, name, attributes);
    sink.append("/>");
}

void write_end(Sink& sink, Bytes name) { sink.append("</", name, ">"); }

void write_element(Sink& sink, Bytes name, std::initializer_list<Attribute> attributes,
                   Bytes text) {
    if (attributes.size() == 0 && is_plain_text(text))
        return sink.append("<", name, ">", text, "</", name, ">");
    write_start(sink, name, attributes);
    write_text(sink, text);
    write_end(sink, name);
}

}  // namespace fedgate::xml
