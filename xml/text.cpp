#include "xml/text.hpp"

#include "xml/scan.hpp"
#include "xml/utf8.hpp"

namespace fedgate::xml {
namespace {

Bytes between(const char* begin, const char* end) {
    return {begin, static_cast<std::size_t>(end - begin)};
}

// Calls visit(character, its bytes) for what is not plain ASCII text, and plain(bytes) for the runs
// between.
template <typename Plain, typename Visit>
bool walk(Bytes text, Plain&& plain, Visit&& visit) {
    const char* p = text.data();
    const char* const end = p + text.size();
    while (p != end) {
#if defined(__SSE2__)
        const char* const hit = find_special_sse2(p, end, '<', '<', '<');
#else
        const char* const hit = find_special_bytewise(p, end, '<', '<', '<');
#endif
        plain(between(p, hit));
        if (hit == end) break;
        Utf8Character c = decode_utf8(hit, end);
        if (c.status == Utf8Character::Status::kTruncated)
            c.status = Utf8Character::Status::kInvalid;
        if (!visit(c, Bytes(hit, c.size))) return false;
        p = hit + c.size;
    }
    return true;
}

bool valid(const Utf8Character& c) { return c.status == Utf8Character::Status::kValid; }

void write_lines(Sink& sink, Bytes text, Bytes line_end) {
    const char* p = text.data();
    const char* const end = p + text.size();
    while (p != end) {
        const char* const hit = find_any<'\r', '\n'>(p, end);
        sink.append(between(p, hit));
        if (hit == end) return;
        sink.append(line_end);
        p = hit + (*hit == '\r' && end - hit > 1 && hit[1] == '\n' ? 2 : 1);
    }
}

}  // namespace

bool is_utf8(Bytes text) {
    return walk(text, [](Bytes) {}, [](const Utf8Character& c, Bytes) { return valid(c); });
}

bool is_xml_text(Bytes text) {
    return walk(
        text, [](Bytes) {},
        [](const Utf8Character& c, Bytes) { return valid(c) && is_xml_character(c.value); });
}

void write_xml_text(Sink& sink, Bytes text) {
    constexpr Bytes kReplacement = "\xEF\xBF\xBD";  // U+FFFD
    walk(
        text, [&](Bytes plain) { sink.append(plain); },
        [&](const Utf8Character& c, Bytes bytes) {
            sink.append(valid(c) && is_xml_character(c.value) ? bytes : kReplacement);
            return true;
        });
}

void write_lf_lines(Sink& sink, Bytes text) { write_lines(sink, text, "\n"); }
void write_crlf_lines(Sink& sink, Bytes text) { write_lines(sink, text, "\r\n"); }

}  // namespace fedgate::xml
